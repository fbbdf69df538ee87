package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// FS is what a spool needs of a file system. OS is the real one; another one
// can stand for a disk that is slow, full or hangs. All paths are those that
// the spool made from Config.Dir.
type FS interface {
	// Prepare creates dir and finds out whether files can be made in it. A
	// full disk is no error.
	Prepare(dir string) error
	// List returns the regular files in dir.
	List(dir string) ([]Info, error)
	// Create makes a file that is not there yet, else the error is
	// fs.ErrExist, and keeps other spools from removing it until it is closed.
	Create(path string) (File, error)
	// Open opens a file to read it or to append to it. While another spool
	// writes it the error is ErrInUse.
	Open(path string) (File, error)
	// InUse reports whether another spool writes the file.
	InUse(path string) bool
	// Is reports whether path still leads to f.
	Is(path string, f File) bool
	// Remove deletes a file, ErrInUse if another spool writes it.
	Remove(path string) error
	// Log appends a line to the file path. When that would be longer than
	// limit bytes, it is renamed to path + ".1" first.
	Log(path string, line []byte, limit int64) error
}

// File is an open file. Write appends.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	Size() (int64, error)
	// Truncate takes the beginning of a record back that was written last.
	Truncate(size int64) error
}

// Info describes a file in a directory.
type Info struct {
	Name    string // base name
	Size    int64  // bytes
	ModTime time.Time
}

// ErrInUse says that another spool writes the file.
var ErrInUse = errors.New("another pmtalog pipe writes this file")

const (
	fileMode = 0o640
	dirMode  = 0o750
	// youngFile is the age in which a file is taken to be in use where the
	// system cannot tell by a lock.
	youngFile = 10 * time.Minute
)

// OS is the file system of the operating system. Files get the mode 0640 and
// directories 0750, whatever the umask is: it is PMTA's, and the agent reads
// as a member of the group.
type OS struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Prepare implements FS.
func (OS) Prepare(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return err
		}
		if err := os.Chmod(dir, dirMode); err != nil {
			return err
		}
	}
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		if isFull(err) {
			return nil
		}
		return err
	}
	_ = probe.Close()
	return os.Remove(probe.Name())
}

// List implements FS.
func (OS) List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		st, err := e.Info()
		if err != nil {
			continue // gone since
		}
		out = append(out, Info{st.Name(), st.Size(), st.ModTime()})
	}
	return out, nil
}

// Create implements FS.
func (OS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	if busy, _ := lock(f); busy {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %w", fs.ErrExist, ErrInUse)
	}
	_ = f.Chmod(fileMode) // a file that only PMTA can read is still a record kept
	return osFile{f}, nil
}

// Open implements FS.
func (OS) Open(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if inUse(f) {
		_ = f.Close()
		return nil, ErrInUse
	}
	return osFile{f}, nil
}

// inUse tries the lock of f and keeps it when nobody has it.
func inUse(f *os.File) bool {
	busy, known := lock(f)
	if known {
		return busy
	}
	st, err := f.Stat()
	return err != nil || time.Since(st.ModTime()) < youngFile
}

// InUse implements FS.
func (OS) InUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err == nil && st.Size() == 0 && time.Since(st.ModTime()) < time.Minute {
		return true // made this moment, not locked yet
	}
	return inUse(f)
}

// Is implements FS.
func (OS) Is(path string, f File) bool {
	of, ok := f.(osFile)
	if !ok {
		return false
	}
	a, err := of.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

// Remove implements FS.
func (OS) Remove(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	busy, _ := lock(f)
	if err := f.Close(); err != nil {
		return err
	}
	if busy {
		return ErrInUse
	}
	return os.Remove(path)
}

// Log implements FS.
func (OS) Log(path string, line []byte, limit int64) error {
	if st, err := os.Lstat(path); err == nil && st.Size()+int64(len(line)) > limit {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_ = f.Chmod(fileMode)
	_, err = f.Write(line)
	return errors.Join(err, f.Close())
}

func join(dir, name string) string { return filepath.Join(dir, name) }
