package tail

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// withBirth is a variable so that a test can do without.
var withBirth = true

const statMask = unix.STATX_TYPE | unix.STATX_NLINK | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_BTIME

func statPath(path string) (stat, error) {
	s, err := statx(unix.AT_FDCWD, path, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 4.11, and some sandboxes
		return plainStatPath(path)
	}
	return s, err
}

func statFile(fh *os.File) (s stat, err error) {
	conn, err := fh.SyscallConn()
	if err != nil {
		return s, err
	}
	if cerr := conn.Control(func(fd uintptr) { s, err = statx(int(fd), "", unix.AT_EMPTY_PATH) }); cerr != nil {
		return s, cerr
	}
	if errors.Is(err, unix.ENOSYS) {
		return plainStatFile(fh)
	}
	return s, err
}

func statx(fd int, path string, flags int) (stat, error) {
	var x unix.Statx_t
	for {
		err := unix.Statx(fd, path, flags, statMask, &x)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return stat{}, &os.PathError{Op: "stat", Path: path, Err: err}
		}
		break
	}
	s := stat{
		key:  fileKey{Dev: unix.Mkdev(x.Dev_major, x.Dev_minor), Ino: x.Ino},
		size: int64(x.Size), mtime: x.Mtime.Sec*1e9 + int64(x.Mtime.Nsec), links: uint64(x.Nlink),
		regular: x.Mode&unix.S_IFMT == unix.S_IFREG, dir: x.Mode&unix.S_IFMT == unix.S_IFDIR,
	}
	if x.Mask&unix.STATX_BTIME != 0 && withBirth {
		s.key.Born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	return s, nil
}
