package rulefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type entry struct {
	ID   string `yaml:"id"`
	Size int    `yaml:"size"`
	line int
}

func entries(t *testing.T, text string) ([]entry, error) {
	t.Helper()
	var f struct {
		Things []yaml.Node `yaml:"things"`
	}
	require.NoError(t, Decode([]byte(text), &f))
	return Entries("things.yaml", "thing", f.Things, map[string]bool{"id": true, "size": true}, func(e *entry, line int) { e.line = line })
}

func TestEntries(t *testing.T) {
	got, err := entries(t, "things:\n  - id: a\n    size: 3\n  - {id: b}\n")
	require.NoError(t, err)
	require.Equal(t, []entry{{"a", 3, 2}, {"b", 0, 4}}, got)
	got, err = entries(t, "")
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestEntriesErrorsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"things:\n  - just text\n":                       "things.yaml:2: a thing must be a mapping",
		"things:\n  - size: 3\n":                         "things.yaml:2: id is missing",
		"things:\n  - id: a\n    colour: red\n":          `things.yaml:3: thing "a": unknown field "colour"`,
		"things:\n  - colour: red\n    id: a\n":          `things.yaml:2: thing "a": unknown field "colour"`,
		"things:\n  - id: a\n  - id: b\n  - id: a\n":     `things.yaml:4: thing "a": id is used on line 2 already`,
		"things:\n  - id: a\n    size: many\n  - id: b":  `things.yaml:2: thing "a": yaml: unmarshal errors:`,
		"things:\n  - id: a\n    size: 1\n    size: 2\n": "mapping key",
	} {
		_, err := entries(t, text)
		require.ErrorContains(t, err, want, text)
		var at *Error
		require.ErrorAs(t, err, &at)
		require.Error(t, errors.Unwrap(at))
	}
}

func TestDecodeRefusesUnknownKeys(t *testing.T) {
	var f struct{ A int }
	require.ErrorContains(t, Decode([]byte("a: 1\nb: 2\n"), &f), "field b not found")
}

func TestReadRefusesWhatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(path, []byte("12345"), 0o600))
	f := File{Path: path, MaxSize: 4}
	_, err := f.Read()
	require.ErrorContains(t, err, path+": larger than 4 bytes")
	f.MaxSize = 5
	data, err := f.Read()
	require.NoError(t, err)
	require.Equal(t, "12345", string(data))
}

// A change is loaded once; what cannot be loaded is said once, and the file
// that comes after it is loaded again.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string) { // at once: a look must not find half a file
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write("one")
	f := File{Path: path, MaxSize: 100}
	_, err := f.Read()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan string)
	reload := func() error {
		data, err := f.Read()
		if err == nil && string(data) == "bad" {
			return errors.New("bad rules")
		}
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Watch(ctx, time.Millisecond, reload, func(err error) {
			text := "loaded"
			if err != nil {
				text = err.Error()
			}
			select {
			case told <- text:
			case <-ctx.Done():
			}
		})
	}()
	write("three")
	require.Equal(t, "loaded", <-told)
	write("bad")
	require.Equal(t, "bad rules", <-told)
	require.NoError(t, os.Remove(path))
	require.Contains(t, <-told, "no such file")
	write("the fourth")
	require.Equal(t, "loaded", <-told)
	cancel()
	<-done
}
