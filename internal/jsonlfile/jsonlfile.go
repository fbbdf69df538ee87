// Package jsonlfile keeps a list in a file of JSON lines.
package jsonlfile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 10

// Save writes list to file, one JSON object a line, and replaces the file at
// once.
func Save[T any](file string, list []T) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp*")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range list {
		err = errors.Join(err, enc.Encode(&list[i]))
	}
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
	}
	return err
}

// Load reads what Save wrote, in file order. A file that does not exist is an
// empty list. check may correct an item or refuse it.
func Load[T any](file string, check func(*T) error) ([]T, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	list, err := Read(f, check)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return list, nil
}

// Read is Load from a stream. Its errors name the line.
func Read[T any](r io.Reader, check func(*T) error) ([]T, error) {
	var out []T
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	for line := 1; s.Scan(); line++ {
		if len(s.Bytes()) == 0 {
			continue
		}
		var t T
		err := json.Unmarshal(s.Bytes(), &t)
		if err == nil {
			err = check(&t)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		out = append(out, t)
	}
	return out, s.Err()
}
