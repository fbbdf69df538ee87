//go:build !linux

package mailenrich

import "time"

func threadTime() time.Duration { return 0 }
