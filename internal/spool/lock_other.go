//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package spool

import (
	"errors"
	"os"
	"syscall"
)

// lock knows nothing here; the age of a file has to do. On Windows a file that
// is open cannot be removed anyway.
func lock(*os.File) (busy, known bool) { return false, false }

func isFull(err error) bool {
	const diskFull, handleDiskFull = syscall.Errno(112), syscall.Errno(39) // Windows
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, diskFull) || errors.Is(err, handleDiskFull)
}
