// Package rulefile reads a file of rules that a user maintains, and notices when
// it changes.
package rulefile

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// File is a file of rules. The zero value is none.
type File struct {
	// Path is its name, "" for none.
	Path string
	// MaxSize is the largest size in bytes that is read.
	MaxSize int

	mu   sync.Mutex // guards everything declared below
	time time.Time
	size int64
}

// Read returns what the file holds now; nil without a path. A file that is read
// does not count as changed, whether or not what it holds is of use: the same bad
// file is reported once, not at every look.
func (f *File) Read() ([]byte, error) {
	if f.Path == "" {
		return nil, nil
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // read only
	fi, err := in.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(f.MaxSize)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > f.MaxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", f.Path, f.MaxSize)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.time, f.size = fi.ModTime(), fi.Size()
	return data, nil
}

// Watch looks at the file every interval until ctx ends and calls reload when
// its time or size is not that of the last Read. report, when not nil, is told
// of every reload, with its error or nil, and once of a file that cannot be
// looked at.
func (f *File) Watch(ctx context.Context, interval time.Duration, reload func() error, report func(error)) {
	if f.Path == "" || interval <= 0 {
		return
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	var lastErr string
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		changed, err := f.changed()
		if err == nil && changed {
			err = reload()
		} else if err == nil {
			continue
		}
		msg := ""
		if err != nil {
			msg = err.Error()
		}
		if report != nil && (err == nil || changed || msg != lastErr) {
			report(err)
		}
		lastErr = msg
	}
}

func (f *File) changed() (bool, error) {
	fi, err := os.Stat(f.Path)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return !fi.ModTime().Equal(f.time) || fi.Size() != f.size, nil
}
