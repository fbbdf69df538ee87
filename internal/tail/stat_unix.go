//go:build unix

package tail

import (
	"os"
	"syscall"
)

func plainStatPath(path string) (stat, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return stat{}, err
	}
	return statOf(fi), nil
}

func plainStatFile(fh *os.File) (stat, error) {
	fi, err := fh.Stat()
	if err != nil {
		return stat{}, err
	}
	return statOf(fi), nil
}

func statOf(fi os.FileInfo) stat {
	s := stat{size: fi.Size(), mtime: fi.ModTime().UnixNano(), links: 1, regular: fi.Mode().IsRegular(), dir: fi.IsDir()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.key = fileKey{Dev: uint64(st.Dev), Ino: uint64(st.Ino)}
		s.links = uint64(st.Nlink)
	}
	return s
}
