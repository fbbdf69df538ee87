//go:build unix

package tail

import (
	"os"
	"syscall"
)

// statOf turns a FileInfo that came from path or fh into what identity needs.
func statOf(fi os.FileInfo, _ string, _ *os.File) (stat, error) {
	s := stat{size: fi.Size(), mtime: fi.ModTime().UnixNano(), links: 1, regular: fi.Mode().IsRegular(), dir: fi.IsDir()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.key = fileKey{Dev: uint64(st.Dev), Ino: uint64(st.Ino)}
		s.links = uint64(st.Nlink)
	}
	return s, nil
}

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
