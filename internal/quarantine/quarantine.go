// Package quarantine keeps input that could not be shipped, with its place
// and the reason, in a JSON lines file of bounded size. `pmtalog parse` reads
// the file back.
package quarantine // import "github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

// Entry is one line of a quarantine file.
type Entry struct {
	Time   time.Time `json:"time"`           // when it was put here
	File   string    `json:"file"`           // path of the source file
	Offset int64     `json:"offset"`         // first byte in the file (decompressed, for a .gz)
	Length int       `json:"length"`         // bytes
	Kind   string    `json:"kind,omitempty"` // one of the Kind constants, empty for accounting records
	Reason string    `json:"reason"`         // stable slug, as in the metric
	Detail string    `json:"detail,omitempty"`
	// Context is what the decoder needs to read Raw again, with the same UID.
	Context []byte `json:"context,omitempty"`
	// UIDs are the identities of the records in Raw, in order, where the
	// decoder cannot know them.
	UIDs []string `json:"uids,omitempty"`
	// Raw holds the bytes as text when they are valid UTF-8, else RawBase64
	// holds them.
	Raw       string `json:"raw,omitempty"`
	RawBase64 string `json:"raw_base64,omitempty"`
}

// Kinds of entries other than accounting records.
const (
	KindSystemLog = "system_log" // an entry of the system log
	KindSession   = "session"    // what a session came to; it cannot be decoded again
	KindEvent     = "event"      // what the agent found out itself: Raw is its record as a JSON object
)

// SetRaw stores b so that Bytes returns it unchanged.
func (e *Entry) SetRaw(b string) {
	e.Length = len(b)
	if utf8.ValidString(b) {
		e.Raw = b
		return
	}
	e.RawBase64 = base64.StdEncoding.EncodeToString([]byte(b))
}

// Bytes returns the quarantined input.
func (e *Entry) Bytes() ([]byte, error) {
	if e.RawBase64 == "" {
		return []byte(e.Raw), nil
	}
	return base64.StdEncoding.DecodeString(e.RawBase64)
}

// File appends entries to a JSON lines file. When the file would grow over
// its maximum it is renamed to NAME.1, NAME.1 to NAME.2 and so on; the oldest
// is deleted. Several writers may share a File, but not two processes.
type File struct {
	path     string
	maxSize  int64
	maxFiles int
	// KeepAll refuses an entry with ErrFull rather than delete an old one. Set
	// it before the first Write.
	KeepAll bool

	mu    sync.Mutex // guards everything below
	f     *os.File
	size  int64
	write func(f *os.File, b []byte) (int, error) // a field so that a test can come in between
}

// ErrFull says that all files are full and KeepAll forbids to delete one.
var ErrFull = errors.New("the quarantine is full; move its files away, then reading goes on")

// Open checks that path can be written and returns the File. maxSize is in
// bytes per file, maxFiles counts the current one. The file itself appears
// with the first entry.
func Open(path string, maxSize int64, maxFiles int) (*File, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	return &File{path: path, maxSize: max(maxSize, 1), maxFiles: max(maxFiles, 1), write: (*os.File).Write}, nil
}

// Write appends entries and returns when the operating system has them. On an
// error none, some or all of them may have been written; writing them again
// is safe, since file and offset tell copies apart.
func (q *File) Write(entries []Entry) error {
	var buf []byte
	for i := range entries {
		line, err := json.Marshal(&entries[i])
		if err != nil {
			return err
		}
		buf = append(append(buf, line...), '\n')
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if err := q.ready(int64(len(buf))); err != nil {
			return err
		}
		n, err := q.write(q.f, buf)
		q.size += int64(n)
		if err != nil && n > 0 {
			// End the torn line, so that the retry starts on a line of its own.
			if m, err2 := q.f.Write([]byte{'\n'}); err2 == nil {
				q.size += int64(m)
			}
		}
		if err != nil || !q.movedAway() {
			return err
		}
		// Taken away while it was written: perhaps it was read before that.
	}
}

// ready opens the file if need be and makes room for n bytes.
func (q *File) ready(n int64) error {
	if q.f != nil && q.movedAway() {
		_ = q.f.Close()
		q.f = nil
	}
	if q.f != nil && q.size > 0 && q.size+n > q.maxSize {
		if err := q.rotate(); err != nil {
			return err
		}
	}
	if q.f != nil {
		return nil
	}
	if err := q.open(); err != nil {
		return err
	}
	if q.size > 0 && q.size+n > q.maxSize {
		if err := q.rotate(); err != nil {
			return err
		}
		return q.open()
	}
	return nil
}

// movedAway reports whether someone took the current file away, as one should
// to look into it: then a new one is begun.
func (q *File) movedAway() bool {
	mine, err := q.f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Lstat(q.path)
	return err != nil || !os.SameFile(mine, there)
}

func (q *File) open() error {
	f, err := os.OpenFile(q.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	q.f, q.size = f, st.Size()
	return nil
}

func (q *File) rotate() error {
	if q.KeepAll {
		oldest := q.path
		if q.maxFiles > 1 {
			oldest = fmt.Sprintf("%s.%d", q.path, q.maxFiles-1)
		}
		if _, err := os.Lstat(oldest); err == nil {
			return ErrFull
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if q.f != nil {
		_ = q.f.Close()
		q.f = nil
	}
	if q.maxFiles == 1 {
		return os.Truncate(q.path, 0)
	}
	for i := q.maxFiles - 1; i > 0; i-- {
		from := q.path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", q.path, i-1)
		}
		err := os.Rename(from, fmt.Sprintf("%s.%d", q.path, i))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close closes the file. A Write after Close opens it again.
func (q *File) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.f == nil {
		return nil
	}
	err := q.f.Close()
	q.f = nil
	return err
}

// Read calls fn for each entry of a quarantine file. A line that is no entry
// (torn by a crash) is reported to bad with its number and passed over.
func Read(r io.Reader, fn func(Entry) error, bad func(line int, err error)) error {
	br := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if len(line) > 1 {
			var e Entry
			if uerr := json.Unmarshal(line, &e); uerr != nil {
				bad(n, uerr)
			} else if ferr := fn(e); ferr != nil {
				return ferr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Looks reports whether line starts like a line of a quarantine file.
func Looks(line []byte) bool {
	var e struct {
		File   *string `json:"file"`
		Offset *int64  `json:"offset"`
		Reason *string `json:"reason"`
	}
	return json.Unmarshal(line, &e) == nil && e.File != nil && e.Offset != nil && e.Reason != nil
}
