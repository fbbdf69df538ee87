package main

import (
	"os"
	"runtime/debug"
)

// A reserve is counted as live by the garbage collector but never touched, so
// it takes no memory of the machine. It lets the collector run when about this
// much garbage has gathered rather than at every few megabytes: in a program
// with a small heap that is a third of its CPU. Unlike a large GOGC it adds a
// constant, so memory stays bounded when the heap is large as well.
const (
	heapReserve = 12 << 20 // bytes
	// roomReserve comes to it where less than smallProgram of the program file
	// is resident after starting. How much is depends on the page cache: 25 MB
	// of a file that was copied or installed, nearly all 48 MB of one that the
	// linker has just written. So the whole stays below 80 MB in both cases.
	roomReserve  = 16 << 20
	smallProgram = 32 << 20
)

var reserve [2][]byte

func init() {
	// Who sets the runtime's own knobs wants to decide alone.
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		releaseStartup(func(int) {})
		return
	}
	releaseStartup(func(resident int) {
		if resident < smallProgram {
			reserve[1] = newReserve(roomReserve)
		}
	})
	reserve[0] = newReserve(heapReserve)
	debug.SetGCPercent(100)
}

func newReserve(size int) []byte {
	b := make([]byte, size)
	releaseMemory(b) // where the runtime had to clear it, it was touched
	return b
}
