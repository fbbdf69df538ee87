package attribution

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t testing.TB, o Options) *Window {
	t.Helper()
	w, damaged, err := Open(o)
	require.NoError(t, err)
	require.Zero(t, damaged)
	return w
}

func hash(n uint64) uint64 {
	n = (n + 1) * 0x9e3779b97f4a7c15
	n ^= n >> 29
	n *= 0xbf58476d1ce4e5b9
	return n ^ n>>32
}

func all(*Entry) bool { return true }

func find(t testing.TB, w *Window, key uint64) *Found {
	t.Helper()
	f, err := w.Find(key, all)
	require.NoError(t, err)
	return f
}

func TestFind(t *testing.T) {
	w := open(t, Options{Dir: t.TempDir()})
	defer w.Close()
	require.Nil(t, find(t, w, 7))
	require.False(t, w.SeenDelivery())
	route, peer := NewText("v1", "pool", "", "192.0.2.1"), NewText("mx.example")
	w.Add(&Entry{Key: 7, Time: 10, Kind: Receipt}, route, nil)
	require.False(t, w.SeenDelivery())
	w.Add(&Entry{Key: 7, Time: 20, Queued: 5, Envelope: 9, Kind: Delivery}, route, peer)
	w.Add(&Entry{Key: 7, Time: 30, Kind: Attempt}, nil, nil)
	w.Add(&Entry{Key: 7, Time: 30, Kind: Attempt}, nil, nil) // again
	require.True(t, w.SeenDelivery())
	require.Equal(t, 3, w.Stats().Entries)
	require.Equal(t, &Found{Entry: Entry{Key: 7, Time: 30, Kind: Attempt}}, find(t, w, 7))
	f, err := w.Find(7, func(e *Entry) bool { return e.Time < 30 })
	require.NoError(t, err)
	require.Equal(t, &Found{Entry: Entry{Key: 7, Time: 20, Queued: 5, Envelope: 9, Kind: Delivery},
		Route: []string{"v1", "pool", "", "192.0.2.1"}, Peer: []string{"mx.example"}}, f)
	require.NoError(t, w.Flush())
	require.Equal(t, []string{"mx.example"}, f.Peer)
	f, err = w.Find(7, func(e *Entry) bool { return e.Kind == Receipt })
	require.NoError(t, err)
	require.EqualValues(t, 10, f.Time)
}

// The window answers as a plain list would, over many segments and restarts.
func TestAgainstModel(t *testing.T) {
	type item struct {
		e     Entry
		route string
	}
	r := rand.New(rand.NewPCG(1, 2))
	o := Options{Dir: t.TempDir(), MaxEntries: 8000, MaxAge: time.Hour}
	w := open(t, o)
	texts := map[string]*Text{}
	var model []item
	for i := range 30_000 {
		if i%3500 == 3499 {
			require.NoError(t, w.Close())
			w = open(t, o)
		}
		route := fmt.Sprint("vmta", r.IntN(300))
		if texts[route] == nil {
			texts[route] = NewText(route)
		}
		e := Entry{Key: hash(r.Uint64N(4000)), Time: int64(i) * 1e8, Envelope: r.Uint32N(3), Kind: Delivery}
		w.Add(&e, texts[route], nil)
		model = append(model, item{e, route})
		if i%97 == 0 {
			require.NoError(t, w.Flush())
		}
		if i%11 != 0 {
			continue
		}
		st := w.Stats()
		require.LessOrEqual(t, st.Entries, o.MaxEntries)
		key, env := hash(r.Uint64N(4000)), r.Uint32N(3)
		got, err := w.Find(key, func(e *Entry) bool { return e.Envelope == env })
		require.NoError(t, err)
		var want *item
		for j := len(model) - 1; j >= len(model)-st.Entries && want == nil; j-- {
			if model[j].e.Key == key && model[j].e.Envelope == env {
				want = &model[j]
			}
		}
		if want == nil {
			require.Nil(t, got)
			continue
		}
		require.NotNil(t, got)
		require.Equal(t, want.e, got.Entry)
		require.Equal(t, []string{want.route}, got.Route)
	}
	require.Positive(t, w.Stats().Evicted)
	require.GreaterOrEqual(t, w.Stats().Entries, o.MaxEntries*3/4)
	require.NoError(t, w.Close())
	var size int64
	files, err := filepath.Glob(filepath.Join(o.Dir, "*"))
	require.NoError(t, err)
	for _, f := range files {
		st, err := os.Stat(f)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, st.Mode().Perm())
		size += st.Size()
	}
	require.Less(t, size, int64(o.MaxEntries*80), "40 bytes an entry, index and texts")
}

func TestAge(t *testing.T) {
	w := open(t, Options{Dir: t.TempDir(), MaxEntries: 800, MaxAge: time.Hour})
	defer w.Close()
	for i := range 150 {
		w.Add(&Entry{Key: hash(uint64(i)), Time: int64(i)}, nil, nil)
	}
	require.NotNil(t, find(t, w, hash(3)))
	w.Add(&Entry{Key: 1, Time: int64(time.Hour) + 200}, nil, nil)
	require.NoError(t, w.Flush())
	require.Nil(t, find(t, w, hash(3)))
	require.EqualValues(t, 100, w.Stats().Expired)
	require.Zero(t, w.Stats().Evicted)
	require.NotNil(t, find(t, w, hash(120)), "the segment that grows stays whole")
}

func TestAnotherKey(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Options{Dir: dir, KeyCheck: 1, MaxEntries: 160})
	for i := range 50 {
		w.Add(&Entry{Key: hash(uint64(i)), Time: 1}, nil, nil)
	}
	require.NoError(t, w.Close())
	w, damaged, err := Open(Options{Dir: dir, KeyCheck: 2, MaxEntries: 160})
	require.NoError(t, err)
	require.Equal(t, 3, damaged)
	require.Zero(t, w.Stats().Entries)
	require.NoError(t, w.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 2)
}

// Files that were cut or changed do not stop the window, and what comes out of
// them is what went in, or nothing.
func TestDamage(t *testing.T) {
	src := t.TempDir()
	o := Options{Dir: src, MaxEntries: 800}
	w := open(t, o)
	text := NewText("v1", "p1")
	for i := range 250 {
		w.Add(&Entry{Key: hash(uint64(i)), Time: int64(i + 1), Kind: Delivery}, text, nil)
	}
	require.NoError(t, w.Close())
	files, err := os.ReadDir(src)
	require.NoError(t, err)
	require.Len(t, files, 8)
	for _, f := range files {
		for name, damage := range map[string]func([]byte) []byte{
			"gone":  func([]byte) []byte { return nil },
			"empty": func([]byte) []byte { return []byte{} },
			"cut":   func(b []byte) []byte { return b[:len(b)-7] },
			"bit":   func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
			"head":  func(b []byte) []byte { b[0] ^= 4; return b },
		} {
			t.Run(f.Name()+" "+name, func(t *testing.T) {
				o.Dir = t.TempDir()
				require.NoError(t, os.CopyFS(o.Dir, os.DirFS(src)))
				path := filepath.Join(o.Dir, f.Name())
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				require.NoError(t, os.Remove(path))
				if b = damage(b); b != nil {
					require.NoError(t, os.WriteFile(path, b, 0o600))
				}
				w, _, err := Open(o)
				require.NoError(t, err)
				found := 0
				for i := range 250 {
					got, err := w.Find(hash(uint64(i)), all)
					if err != nil || got == nil {
						continue
					}
					found++
					require.EqualValues(t, i+1, got.Time)
				}
				require.GreaterOrEqual(t, found, 140)
				w.Add(&Entry{Key: 5, Time: 999}, NewText("new"), nil)
				require.NoError(t, w.Close())
				w, damaged, err := Open(o)
				require.NoError(t, err)
				require.Zero(t, damaged)
				require.Equal(t, []string{"new"}, find(t, w, 5).Route)
				require.NoError(t, w.Close())
			})
		}
	}
}

// Without a disk the window forgets, but does not grow or stop.
func TestDiskGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w")
	w := open(t, Options{Dir: dir, MaxEntries: 160})
	text := NewText("v1")
	for i := range 30 {
		w.Add(&Entry{Key: hash(uint64(i)), Time: 1}, text, nil)
	}
	require.NoError(t, w.Flush())
	require.NoError(t, os.RemoveAll(dir))
	for i := range 500 {
		w.Add(&Entry{Key: hash(uint64(i)), Time: 2}, text, nil)
		require.LessOrEqual(t, w.Stats().Entries, 160)
	}
	require.Error(t, w.Flush())
	require.Positive(t, w.Stats().Evicted)
	w.Add(&Entry{Key: 1, Time: 3}, text, nil)
	require.Equal(t, []string{"v1"}, find(t, w, 1).Route)
	_ = w.Close() // the folder is gone
}

func TestConcurrent(t *testing.T) {
	// With room for all every entry is found. With less, what is found is right:
	// others may have displaced it before this goroutine comes to look.
	for limit, mustFind := range map[int]bool{40_000: true, 8000: false} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := open(t, Options{Dir: t.TempDir(), MaxEntries: limit})
			var found atomic.Int64
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					text := NewText(fmt.Sprint("v", g))
					for i := range 5000 {
						key := hash(uint64(g*10_000 + i))
						w.Add(&Entry{Key: key, Time: int64(i)}, text, nil)
						if i%50 != 0 {
							continue
						}
						f, err := w.Find(key, all)
						if err != nil || f == nil && mustFind || f != nil && f.Route[0] != fmt.Sprint("v", g) {
							t.Errorf("%v %v", f, err)
						}
						if f != nil {
							found.Add(1)
						}
						if err := w.Flush(); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			require.Positive(t, found.Load())
			require.NoError(t, w.Close())
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	w := open(b, Options{Dir: b.TempDir()})
	text := NewText("vmta01", "pool-main", "job-7", "192.0.2.1")
	b.ReportAllocs()
	for i := range b.N {
		w.Add(&Entry{Key: hash(uint64(i)), Time: int64(i) * 1e6, Kind: Delivery}, text, nil)
		if i%800 == 0 {
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	require.NoError(b, w.Close())
}

func BenchmarkFind(b *testing.B) {
	const n = DefaultMaxEntries
	w := open(b, Options{Dir: b.TempDir()})
	text := NewText("vmta01", "pool-main", "job-7", "192.0.2.1")
	for i := range n {
		w.Add(&Entry{Key: hash(uint64(i)), Time: int64(i), Kind: Delivery}, text, nil)
	}
	require.NoError(b, w.Flush())
	b.Run("there", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			find(b, w, hash(uint64(n-1-i*7919%(n/2))))
		}
	})
	b.Run("not there", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			find(b, w, hash(uint64(n+i)))
		}
	})
	require.NoError(b, w.Close())
}
