package powermta

import "go.opentelemetry.io/collector/receiver"

func NewFactory() receiver.Factory { return nil }
