package mainlog

import "syscall"

// cpuNow returns the CPU time of the process in nanoseconds.
func cpuNow() int64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
