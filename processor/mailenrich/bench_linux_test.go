package mailenrich

import (
	"syscall"
	"time"
)

// threadTime is the processor time of this thread so far.
func threadTime() time.Duration {
	const rusageThread = 1
	var r syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
