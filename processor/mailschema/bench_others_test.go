//go:build !linux

package mailschema

import "time"

func threadTime() time.Duration { return 0 }
