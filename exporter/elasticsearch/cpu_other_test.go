//go:build !unix

package elasticsearch

import "time"

// cpuTime is not measured here.
func cpuTime() time.Duration { return 0 }
