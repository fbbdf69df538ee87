package quarantine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func entry(i int, raw string) Entry {
	e := Entry{Time: time.Unix(1, 0).UTC(), File: "/var/log/pmta/acct.csv", Offset: int64(i), Reason: "bad_quote", Context: []byte("type,timeLogged")}
	e.SetRaw(raw)
	return e
}

func readAll(t *testing.T, path string) (out []Entry) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, Read(bytes.NewReader(data), func(e Entry) error { out = append(out, e); return nil },
		func(line int, err error) { t.Fatalf("line %d: %v", line, err) }))
	return out
}

func TestRoundTripKeepsEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "q.jsonl")
	q, err := Open(path, 1<<20, 2)
	require.NoError(t, err)
	require.NoFileExists(t, path, "the file appears with the first entry")
	raws := []string{"d,\"x\r\ny\n", "d,\xff\x00\n", "", "b,<é>&"}
	for i, raw := range raws {
		require.NoError(t, q.Write([]Entry{entry(i, raw)}))
	}
	require.NoError(t, q.Close())
	got := readAll(t, path)
	require.Len(t, got, len(raws))
	for i, raw := range raws {
		b, err := got[i].Bytes()
		require.NoError(t, err)
		require.Equal(t, raw, string(b))
		require.Equal(t, len(raw), got[i].Length)
		require.Equal(t, int64(i), got[i].Offset)
	}
}

func TestRotationBoundsDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "q.jsonl")
	for round := range 3 { // reopened in between, as after a restart
		q, err := Open(path, 1000, 3)
		require.NoError(t, err)
		for i := range 20 {
			require.NoError(t, q.Write([]Entry{entry(round*20+i, strings.Repeat("x", 100))}))
		}
		require.NoError(t, q.Close())
	}
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Len(t, files, 3)
	last := int64(59)
	for i := range 3 { // newest first, no gap
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		st, err := os.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, st.Size(), int64(1000))
		es := readAll(t, name)
		for j := len(es) - 1; j >= 0; j-- {
			require.Equal(t, last, es[j].Offset)
			last--
		}
	}
}

func TestSingleFileIsBoundedToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.jsonl")
	q, err := Open(path, 500, 1)
	require.NoError(t, err)
	for i := range 10 {
		require.NoError(t, q.Write([]Entry{entry(i, strings.Repeat("x", 100))}))
	}
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, st.Size(), int64(500))
	es := readAll(t, path)
	require.Equal(t, int64(9), es[len(es)-1].Offset)
}

func TestReadPassesOverTornLines(t *testing.T) {
	var got, bad []int
	err := Read(strings.NewReader(`{"file":"a","offset":1,"reason":"x"}`+"\n"+`{"file":"a","off`+"\n"+`{"file":"a","offset":3,"reason":"x"}`),
		func(e Entry) error { got = append(got, int(e.Offset)); return nil },
		func(line int, _ error) { bad = append(bad, line) })
	require.NoError(t, err)
	require.Equal(t, []int{1, 3}, got)
	require.Equal(t, []int{2}, bad)
}

func TestOpenRefusesAnUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(filepath.Join(file, "q.jsonl"), 1, 1)
	require.Error(t, err)
}

func TestLooks(t *testing.T) {
	require.True(t, Looks([]byte(`{"time":"2026-01-01T00:00:00Z","file":"a","offset":0,"length":1,"reason":"bad_time","raw":"x"}`)))
	require.False(t, Looks([]byte(`{"type":"d","timeLogged":"1"}`)))
	require.False(t, Looks([]byte(`type,timeLogged`)))
}

// With KeepAll nothing is deleted: writing waits until someone makes room.
func TestKeepAllRefusesRatherThanDelete(t *testing.T) {
	for _, files := range []int{1, 3} {
		dir := t.TempDir()
		path := filepath.Join(dir, "q.jsonl")
		q, err := Open(path, 1000, files)
		require.NoError(t, err)
		q.KeepAll = true
		kept := 0
		for err == nil {
			if err = q.Write([]Entry{entry(kept, strings.Repeat("x", 100))}); err == nil {
				kept++
			}
		}
		require.ErrorIs(t, err, ErrFull)
		require.ErrorIs(t, q.Write([]Entry{entry(kept, strings.Repeat("x", 100))}), ErrFull)
		names, err := filepath.Glob(path + "*")
		require.NoError(t, err)
		require.Len(t, names, files)
		var all []Entry
		away := t.TempDir()
		for _, name := range names {
			all = append(all, readAll(t, name)...)
			require.NoError(t, os.Rename(name, filepath.Join(away, filepath.Base(name))))
		}
		require.Len(t, all, kept)
		require.NoError(t, q.Write([]Entry{entry(kept, "y")}), "room was made")
		require.Len(t, readAll(t, path), 1)
		require.NoError(t, q.Close())
	}
}

// Somebody takes the file away, reads it at once and deletes it: what is being
// written at that moment comes into the next file.
func TestTakenAwayWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.jsonl")
	q, err := Open(path, 1<<20, 2)
	require.NoError(t, err)
	require.NoError(t, q.Write([]Entry{entry(1, "x")}))
	write := q.write
	q.write = func(f *os.File, b []byte) (int, error) {
		q.write = write
		require.Len(t, readAll(t, path), 1)
		require.NoError(t, os.Remove(path))
		return write(f, b)
	}
	require.NoError(t, q.Write([]Entry{entry(2, "y")}))
	require.NoError(t, q.Write([]Entry{entry(3, "z")}))
	require.NoError(t, q.Close())
	got := readAll(t, path)
	require.Len(t, got, 2)
	require.Equal(t, int64(2), got[0].Offset)
}
