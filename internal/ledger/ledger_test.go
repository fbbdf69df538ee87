package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const sec = int64(time.Second)

func key(n uint64) Key { return Key{n * 0x9e3779b97f4a7c15, n * 0xbf58476d1ce4e5b9} }

// started returns a ledger that has seen a deferral at second 0 of the test.
func started(limit int) *Ledger {
	l := New(limit)
	l.Apply(&Event{Key: key(1 << 40), Time: 1 * sec, Queued: 1 * sec, Print: 1})
	return l
}

func TestAttempts(t *testing.T) {
	l := started(0)
	ev := func(k Kind, at int64, print uint32, cat string) Result {
		return l.Apply(&Event{Key: key(1), Kind: k, Time: at * sec, Queued: 10 * sec, Print: print, Category: cat})
	}
	require.Equal(t, Result{Attempt: 1, Exact: true, First: 11 * sec}, ev(Deferral, 11, 1, "greylisted"))
	require.Equal(t, Result{Attempt: 2, Exact: true, First: 11 * sec, LastCategory: "greylisted"}, ev(Deferral, 611, 2, "rate_limited"))
	require.Equal(t, Result{Attempt: 3, Exact: true, First: 11 * sec, LastCategory: "rate_limited"}, ev(Final, 1211, 3, ""))
	// All of it again, as after a crash.
	require.Equal(t, Result{Attempt: 1, Exact: true, First: 11 * sec}, ev(Deferral, 11, 1, "greylisted"))
	require.Equal(t, Result{Attempt: 2, Exact: true, First: 11 * sec, LastCategory: "greylisted"}, ev(Deferral, 611, 2, "rate_limited"))
	require.Equal(t, Result{Attempt: 3, Exact: true, First: 11 * sec, LastCategory: "rate_limited"}, ev(Final, 1211, 3, ""))
	// Expiry is no attempt.
	require.Equal(t, Result{Attempt: 2, Exact: true, First: 11 * sec, LastCategory: "rate_limited"}, ev(GivenUp, 1300, 4, ""))
}

func TestFirstAttempts(t *testing.T) {
	silent := New(0)
	require.Equal(t, Result{}, silent.Apply(&Event{Key: key(1), Kind: Final, Time: 5 * sec, Queued: 4 * sec}),
		"a file without deferrals says nothing about attempts")
	require.Equal(t, Result{Attempt: 1, Exact: true, First: 5 * sec}, silent.Apply(&Event{Key: key(1), Kind: Final, Time: 5 * sec, First: 5 * sec}),
		"unless the record tells")
	require.Equal(t, Result{}, silent.Apply(&Event{Key: key(1), Kind: GivenUp, Time: 5 * sec}))

	l := started(0)
	final := func(queued, at, first int64) Result {
		return l.Apply(&Event{Key: key(2), Kind: Final, Time: at * sec, Queued: queued * sec, First: first * sec})
	}
	require.True(t, final(10, 11, 0).Exact)
	require.False(t, final(0, 11, 0).Exact, "time queued is not known")
	require.False(t, final(10, 100, 0).Exact, "deferrals may not have been read so far yet")
	l.Apply(&Event{Key: key(3), Time: 90 * sec, Queued: 50 * sec, Print: 1})
	require.True(t, final(10, 100, 0).Exact)
	require.False(t, final(10, 100, 20).Exact, "the record tells of an earlier attempt")

	young := New(0)
	young.Apply(&Event{Key: key(3), Time: 90 * sec, Queued: 80 * sec, Print: 1})
	require.False(t, young.Apply(&Event{Key: key(4), Kind: Final, Time: 91 * sec, Queued: 50 * sec}).Exact,
		"queued before the first deferral was seen")
	r := young.Apply(&Event{Key: key(5), Time: 95 * sec, First: 40 * sec, Queued: 90 * sec, Print: 1})
	require.Equal(t, Result{Attempt: 1, First: 40 * sec}, r)
}

func TestLateDeferral(t *testing.T) {
	l := started(0)
	ev := func(k Kind, at int64) Result {
		return l.Apply(&Event{Key: key(1), Kind: k, Time: at * sec, Queued: 10 * sec, Print: uint32(at)})
	}
	ev(Deferral, 30)
	require.False(t, ev(Deferral, 20).Exact)
	r := ev(Final, 40)
	require.Equal(t, Result{Attempt: 3, Exact: true, First: 20 * sec}, r)
	require.False(t, ev(Deferral, 35).Exact, "came when the message was done")
}

func TestManyAttempts(t *testing.T) {
	l := started(0)
	for n := 1; n <= 40; n++ {
		ev := &Event{Key: key(1), Time: int64(n) * 600 * sec, Queued: 10 * sec, Print: uint32(n), Category: fmt.Sprint("c", n)}
		r := l.Apply(ev)
		require.EqualValues(t, n, r.Attempt)
		if n > 1 {
			require.Equal(t, fmt.Sprint("c", n-1), r.LastCategory)
		}
		require.EqualValues(t, n, l.Apply(ev).Attempt, "a second time")
	}
}

// A message that has been tried for a day comes again from the beginning, as
// when positions in files were lost: nothing counts twice. Whether an attempt
// that is older than those remembered was seen cannot be told, and is not
// claimed.
func TestManyAttemptsAgain(t *testing.T) {
	l := started(0)
	ev := func(k Kind, n int) Result {
		return l.Apply(&Event{Key: key(1), Kind: k, Time: int64(n) * 600 * sec, Queued: 10 * sec, Print: uint32(n), Category: fmt.Sprint("c", n)})
	}
	for n := 1; n <= 40; n++ {
		ev(Deferral, n)
	}
	require.Equal(t, Result{Attempt: 1, Exact: true, First: 600 * sec}, ev(Deferral, 1))
	require.Equal(t, Result{Attempt: 41, Exact: true, First: 600 * sec, LastCategory: "c40"}, ev(Final, 41), "the first one is known to be it")
	for n := 2; n <= 40; n++ {
		r := ev(Deferral, n)
		require.LessOrEqual(t, r.Attempt, int32(n))
		require.False(t, r.Exact)
		if n > 40-ring {
			require.EqualValues(t, n, r.Attempt)
		}
	}
	require.Equal(t, Result{Attempt: 41, First: 600 * sec, LastCategory: "c40"}, ev(Final, 41))
	// Before the first attempt that was seen: one that was not.
	require.Equal(t, int32(41), l.Apply(&Event{Key: key(1), Time: 300 * sec, Queued: 10 * sec, Print: 99}).Attempt)
	require.Equal(t, Result{Attempt: 42, First: 300 * sec, LastCategory: ""}, ev(Final, 41))
}

func TestBound(t *testing.T) {
	l := started(100)
	for n := uint64(1); n <= 150; n++ {
		k := Deferral
		l.Apply(&Event{Key: key(n), Kind: k, Time: int64(n+10) * sec, Queued: int64(n+5) * sec, Print: 1})
		if n%2 == 0 {
			l.Apply(&Event{Key: key(n), Kind: Final, Time: int64(n+11) * sec, Queued: int64(n+5) * sec, Print: 2})
		}
		require.LessOrEqual(t, l.Stats().Entries, 100)
	}
	// 75 finished, 76 waiting with the one of started: all that wait are there.
	s := l.Stats()
	require.Equal(t, 100, s.Entries)
	require.Equal(t, 76, s.Waiting)
	require.Zero(t, s.Evicted)
	for n := uint64(1); n <= 150; n += 2 {
		require.NotEqual(t, none, l.find(key(n)))
	}
	// The finished leave first, then the oldest of the others, counted.
	for n := uint64(200); n < 300; n++ {
		l.Apply(&Event{Key: key(n), Time: int64(n+10) * sec, Queued: int64(n+5) * sec, Print: 1})
	}
	s = l.Stats()
	require.Equal(t, 100, s.Entries)
	require.Equal(t, 100, s.Waiting)
	require.EqualValues(t, 76, s.Evicted)
	require.Equal(t, none, l.find(key(149)))
	// What may have been lost is not called exact.
	r := l.Apply(&Event{Key: key(149), Kind: Final, Time: 400 * sec, Queued: 154 * sec})
	require.False(t, r.Exact)
}

// The delivery of a message that had deferrals comes again when the message has
// left, as it does first when it is finished: then nobody knows of them.
func TestFinishedMessageHasLeft(t *testing.T) {
	l := started(2)
	final := &Event{Key: key(1), Kind: Final, Time: 20 * sec, Queued: 10 * sec}
	l.Apply(&Event{Key: key(1), Time: 11 * sec, Queued: 10 * sec, Print: 1})
	require.Equal(t, Result{Attempt: 2, Exact: true, First: 11 * sec}, l.Apply(final))
	l.Apply(&Event{Key: key(2), Time: 21 * sec, Queued: 20 * sec, Print: 2})
	require.Zero(t, l.Stats().Evicted, "nobody waits for it")
	require.Equal(t, Result{Attempt: 1}, l.Apply(final))
	require.Equal(t, Result{Attempt: 1, First: 11 * sec}, l.Apply(&Event{Key: key(1), Time: 11 * sec, Queued: 10 * sec, Print: 1}))
	require.True(t, l.Apply(&Event{Key: key(3), Kind: Final, Time: 25 * sec, Queued: 24 * sec}).Exact, "queued later")
}

func TestMemory(t *testing.T) {
	l := New(0)
	for n := range uint64(2 * DefaultMaxEntries) {
		l.Apply(&Event{Key: key(n), Time: int64(n) * sec, Queued: int64(n) * sec, Print: 1, Category: "rate_limited"})
	}
	s := l.Stats()
	require.Equal(t, DefaultMaxEntries, s.Entries)
	require.LessOrEqual(t, s.Bytes, 64<<20)
	t.Log(s.Bytes, "bytes,", s.Bytes/s.Entries, "an entry")
}

// The hash table and the lists hold what a plain map would, whatever happens.
func TestAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := started(1 << 20)
	model := map[uint64]int32{}
	for i := range 200_000 {
		n := r.Uint64N(5000)
		switch r.IntN(8) {
		case 0:
			l.mu.Lock()
			if at := l.find(key(n)); at != none {
				q := &l.live
				if l.entries[at].flags&flagDone != 0 {
					q = &l.done
				}
				l.unlink(q, at)
				l.remove(at)
				l.free = append(l.free, at)
				l.used--
			}
			l.mu.Unlock()
			delete(model, n)
		case 1:
			want := model[n] + 1
			require.Equal(t, want, l.Apply(&Event{Key: key(n), Kind: Final, Time: int64(i) * sec}).Attempt)
		default:
			model[n]++
			require.Equal(t, model[n], l.Apply(&Event{Key: key(n), Time: int64(i) * sec, Print: uint32(i)}).Attempt)
		}
	}
	require.Equal(t, len(model)+1, l.Stats().Entries)
}

// memStore is a Store that can fail from a given operation on.
type memStore struct {
	mu   sync.Mutex
	m    map[string][]byte
	left int // operations until it fails, -1 for never
}

func newStore() *memStore { return &memStore{m: map[string][]byte{}, left: -1} }

var errDisk = errors.New("disk full")

func (s *memStore) op() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return errDisk
	}
	if s.left > 0 {
		s.left--
	}
	return nil
}

func (s *memStore) Get(_ context.Context, k string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[k], nil
}

func (s *memStore) Set(_ context.Context, k string, v []byte) error {
	if err := s.op(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[k] = append([]byte(nil), v...)
	return nil
}

func (s *memStore) Delete(_ context.Context, k string) error {
	if err := s.op(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, k)
	return nil
}

func randomEvents(r *rand.Rand, n int) []Event {
	evs := make([]Event, n)
	for i := range evs {
		m := r.Uint64N(uint64(n/3 + 1))
		evs[i] = Event{
			Key: key(m), Time: int64(i+100) * sec, Queued: int64(m+50) * sec, Print: r.Uint32(),
			Kind: Kind(r.IntN(8) / 6), Category: fmt.Sprint("cat", r.IntN(9)),
		}
	}
	return evs
}

func state(l *Ledger) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.encode()
}

func TestRestart(t *testing.T) {
	ctx := t.Context()
	r := rand.New(rand.NewPCG(3, 4))
	store := newStore()
	want := New(2000)
	got := New(2000)
	require.NoError(t, got.Open(ctx, store))
	for i, ev := range randomEvents(r, 60_000) {
		a, b := want.Apply(&ev), got.Apply(&ev)
		require.Equal(t, a, b)
		if i%400 == 399 {
			require.NoError(t, got.Flush(ctx))
		}
		if i%7000 == 6999 {
			require.NoError(t, got.Flush(ctx))
			if i%2 == 0 {
				require.NoError(t, got.Close(ctx))
			}
			got = New(2000)
			require.NoError(t, got.Open(ctx, store))
		}
	}
	require.Equal(t, state(want), state(got))
	require.Positive(t, got.Stats().Evicted)
	// The journal has been cleared now and then.
	require.Less(t, len(store.m), 120)
	require.NoError(t, got.Close(ctx))
	require.LessOrEqual(t, len(store.m), 3)
}

// Wherever the writing stops, what is there can be read and holds everything
// that was flushed; and events that come again count once.
func TestCrashAtAnyPoint(t *testing.T) {
	ctx := t.Context()
	evs := randomEvents(rand.New(rand.NewPCG(5, 6)), 45_000)
	const batch = 500
	for stop := 0; ; stop += 19 {
		store := newStore()
		l := New(0)
		require.NoError(t, l.Open(ctx, store))
		store.left = stop
		done, failed := 0, false
		for done < len(evs) {
			for i := done; i < done+batch; i++ {
				l.Apply(&evs[i])
			}
			if err := l.Flush(ctx); err != nil {
				require.ErrorIs(t, err, errDisk)
				failed = true
				break
			}
			done += batch
		}
		if err := l.Close(ctx); err != nil {
			failed = true
		}
		store.left = -1
		again := New(0)
		require.NoError(t, again.Open(ctx, store))
		want := New(0)
		for i := range evs[:done] {
			want.Apply(&evs[i])
		}
		// The batch that failed may be there or not: after it is sent again
		// the two agree.
		for i := done; i < min(len(evs), done+batch); i++ {
			want.Apply(&evs[i])
			again.Apply(&evs[i])
		}
		require.Equal(t, want.Stats().Entries, again.Stats().Entries)
		for i := range evs[:min(len(evs), done+batch)] {
			probe := Event{Key: evs[i].Key, Kind: Final, Time: 1 << 60, Print: 9}
			a, b := want.find(probe.Key), again.find(probe.Key)
			require.Equal(t, a == none, b == none)
			if a != none {
				require.Equal(t, want.entries[a].count, again.entries[b].count)
				require.Equal(t, want.entries[a].first, again.entries[b].first)
			}
		}
		if !failed {
			break
		}
	}
}

func TestBrokenStore(t *testing.T) {
	ctx := t.Context()
	full := newStore()
	l := New(0)
	require.NoError(t, l.Open(ctx, full))
	for _, ev := range randomEvents(rand.New(rand.NewPCG(7, 8)), 1000) {
		l.Apply(&ev)
	}
	require.NoError(t, l.Flush(ctx))
	require.NoError(t, l.Close(ctx))
	l = New(0)
	require.NoError(t, l.Open(ctx, full))
	l.Apply(&Event{Key: key(9), Time: 1, Print: 5})
	require.NoError(t, l.Flush(ctx))

	for name := range full.m {
		for _, damage := range []func([]byte) []byte{
			func(b []byte) []byte { return b[:len(b)/2] },
			func(b []byte) []byte { b[0] ^= 0x55; return b },
			func([]byte) []byte { return []byte{} },
		} {
			store := newStore()
			for k, v := range full.m {
				store.m[k] = append([]byte(nil), v...)
			}
			store.m[name] = damage(store.m[name])
			l := New(0)
			require.ErrorIs(t, l.Open(ctx, store), ErrBroken, name)
			require.Zero(t, l.Stats().Entries)
			// It works, and what is written over the damage can be read.
			l.Apply(&Event{Key: key(1), Time: sec, Print: 1})
			require.NoError(t, l.Flush(ctx))
			require.NoError(t, l.Close(ctx))
			l = New(0)
			require.NoError(t, l.Open(ctx, store))
			require.Equal(t, 1, l.Stats().Entries)
		}
	}
}

func TestConcurrent(t *testing.T) {
	ctx := t.Context()
	l := New(500)
	require.NoError(t, l.Open(ctx, newStore()))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i, ev := range randomEvents(rand.New(rand.NewPCG(uint64(g), 9)), 20_000) {
				l.Apply(&ev)
				if i%300 == 0 {
					if err := l.Flush(ctx); err != nil {
						t.Error(err)
					}
					l.Stats()
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Close(ctx))
	require.LessOrEqual(t, l.Stats().Entries, 500)
}

func TestManyCategories(t *testing.T) {
	l := New(0)
	for i := range 3 * maxNames {
		l.Apply(&Event{Key: key(1), Time: int64(i), Print: uint32(i), Category: fmt.Sprint(i)})
	}
	require.Len(t, l.names, maxNames)
	require.Equal(t, "other", l.Apply(&Event{Key: key(1), Kind: Final}).LastCategory)
}

func BenchmarkApply(b *testing.B) {
	l := New(0)
	r := rand.New(rand.NewPCG(1, 1))
	evs := make([]Event, 1<<20)
	for i := range evs {
		evs[i] = Event{Key: key(uint64(i)), Kind: Final, Time: int64(i) * 1e7, Queued: int64(i) * 1e7, Print: r.Uint32(), Category: "rate_limited"}
		if p := r.IntN(100); p < 12 {
			evs[i].Kind = Deferral
		} else if p < 24 {
			evs[i].Key = key(uint64(r.IntN(i + 1)))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		l.Apply(&evs[i&(len(evs)-1)])
	}
}
