//go:build unix

package tail

import (
	"os"
	"syscall"
)

func openRead(path string) (*os.File, error) {
	// Without O_NONBLOCK a named pipe that took the file's place would block.
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func staleHandle(err error) bool { return isErrno(err, syscall.ESTALE) }

func isErrno(err error, want syscall.Errno) bool {
	for err != nil {
		if e, ok := err.(syscall.Errno); ok {
			return e == want
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		err = u.Unwrap()
	}
	return false
}
