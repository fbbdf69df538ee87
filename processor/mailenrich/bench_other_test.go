//go:build !unix

package mailenrich

import "time"

func cpuTime() time.Duration { return 0 }
