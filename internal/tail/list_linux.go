package tail

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// listDir calls fn for every entry of a directory. It reads the inode numbers
// that the listing holds anyway, so that a folder with 10,000 known files
// costs a few system calls and no stat of each.
func listDir(path string, buf []byte, fn func(name []byte, ino uint64, kind entryKind)) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "list", Path: path, Err: err}
		}
		if n <= 0 {
			return nil
		}
		// struct linux_dirent64: ino u64, off i64, reclen u16, type u8, name.
		for b := buf[:n]; len(b) >= 19; {
			reclen := int(binary.NativeEndian.Uint16(b[16:]))
			if reclen < 19 || reclen > len(b) {
				break
			}
			ino, typ, name := binary.NativeEndian.Uint64(b), b[18], b[19:reclen]
			b = b[reclen:]
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			if s := string(name); s == "." || s == ".." || ino == 0 {
				continue
			}
			kind := kindOther
			switch typ {
			case unix.DT_REG:
				kind = kindFile
			case unix.DT_DIR:
				kind = kindDir
			case unix.DT_LNK:
				kind = kindLink
			case unix.DT_UNKNOWN:
				if fi, err := os.Lstat(filepath.Join(path, string(name))); err == nil {
					kind = kindOf(fi.Mode())
				}
			}
			fn(name, ino, kind)
		}
	}
}
