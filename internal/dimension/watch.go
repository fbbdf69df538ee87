package dimension

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
)

// Source is a table file that may change while it is in use.
type Source struct {
	file  string
	table atomic.Pointer[Table]

	mu  sync.Mutex
	sum [sha256.Size]byte // of the content looked at last
	bad string            // the error it gave
}

// Open loads file. An error is that of [Load].
func Open(file string) (*Source, error) {
	t, data, err := load(file)
	if err != nil {
		return nil, err
	}
	s := &Source{file: file, sum: sha256.Sum256(data)}
	s.table.Store(t)
	return s, nil
}

// Table returns the table in force, never nil.
func (s *Source) Table() *Table { return s.table.Load() }

// Check looks at the file and puts its table in force when the content has
// changed. A file that cannot be read or is broken leaves the old table in
// force; the error is returned once for each content, not at each Check.
//
// The content is compared, not the time of change: that is right for files
// replaced by rename or behind a symbolic link too, and tables are small.
func (s *Source) Check() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, data, err := load(s.file)
	sum := sha256.Sum256(data)
	if err != nil {
		if text := err.Error(); text != s.bad || sum != s.sum {
			s.bad, s.sum = text, sum
			return false, err
		}
		return false, nil
	}
	if sum == s.sum && s.bad == "" {
		return false, nil
	}
	s.sum, s.bad = sum, ""
	s.table.Store(t)
	return true, nil
}
