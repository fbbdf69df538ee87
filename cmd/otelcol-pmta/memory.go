package main

import (
	"os"
	"runtime/debug"
)

// heapReserve is counted as live by the garbage collector but never touched,
// so it takes no memory of the machine. It lets the collector run when about
// this much garbage has gathered rather than at every few megabytes: in a
// program with a small heap that is a third of its CPU. Unlike a large GOGC it
// adds a constant, so memory stays bounded when the heap is large as well.
const heapReserve = 12 << 20

var reserve []byte

func init() {
	releaseStartup()
	// Who sets the runtime's own knobs wants to decide alone.
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	reserve = make([]byte, heapReserve)
	releaseMemory(reserve) // where the runtime had to clear it, it was touched
	debug.SetGCPercent(100)
}
