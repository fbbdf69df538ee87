package reconcile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var t0 = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

const (
	from = "/var/log/pmta/acct-2026-01-31-0000.csv"
	to   = "/var/log/pmta/moved/acct-2026-01-31-0000.csv"
)

type memStore struct {
	slots map[int][]byte
	fail  error
}

func (m *memStore) Load(n int) ([]byte, error) { return m.slots[n], m.fail }
func (m *memStore) Save(n int, data []byte) error {
	if data == nil {
		delete(m.slots, n)
	} else {
		m.slots[n] = data
	}
	return m.fail
}

func newTracker(t *testing.T, opt Options) *Tracker {
	tr, err := New(opt)
	require.NoError(t, err)
	return tr
}

func TestEitherSideMayComeFirst(t *testing.T) {
	read := Counts{Emitted: 95, Rejected: 2, Duplicates: 3}
	for name, order := range map[string][]int{"log first": {0, 1}, "file first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(t, Options{})
			for _, what := range order {
				require.Empty(t, tr.Due(t0))
				if what == 0 {
					require.NoError(t, tr.Moved(from, to, 100, t0, t0))
				} else {
					require.NoError(t, tr.Finished(to+".gz", read, t0))
				}
			}
			due := tr.Due(t0)
			require.Len(t, due, 1)
			require.Equal(t, Result{Outcome: Equal, Name: "acct-2026-01-31-0000.csv", Path: from, MovedTo: to, Counted: 100, Read: read, MovedAt: due[0].MovedAt}, due[0])
			require.True(t, t0.Equal(due[0].MovedAt))
			require.Zero(t, due[0].Difference())
			require.Equal(t, due, tr.Due(t0), "it comes again until it is done")
			require.NoError(t, tr.Done(due[0]))
			require.Empty(t, tr.Due(t0))
		})
	}
}

func TestDifferences(t *testing.T) {
	tr := newTracker(t, Options{})
	require.NoError(t, tr.Moved(from, to, 100, t0, t0))
	require.NoError(t, tr.Moved(from, to, 7, t0, t0), "the log was read twice")
	require.NoError(t, tr.Finished(from, Counts{Emitted: 90}, t0))
	require.NoError(t, tr.Finished(from, Counts{Emitted: 98}, t0.Add(time.Second)), "it grew after all")
	due := tr.Due(t0)
	require.Len(t, due, 1)
	require.Equal(t, Differs, due[0].Outcome)
	require.EqualValues(t, 2, due[0].Difference())

	later := t0.Add(time.Hour)
	require.NoError(t, tr.Moved(`C:\pmta\logs\acct-2.csv`, "", 5, later, later))
	require.NoError(t, tr.Finished("C:/pmta/logs/acct-2.csv", Counts{Emitted: 6}, later))
	due = tr.Due(later)
	require.Len(t, due, 2, "the oldest move first")
	require.EqualValues(t, -1, due[1].Difference())
}

func TestFileThatWasNotRead(t *testing.T) {
	tr := newTracker(t, Options{Grace: time.Minute, Expected: func(p, to string) bool { return strings.Contains(p, "acct-") || strings.Contains(to, "acct-") }})
	require.NoError(t, tr.Moved(from, to, 100, t0, t0))
	require.NoError(t, tr.Moved("/var/log/pmta/other.csv", "", 100, t0, t0))
	require.Empty(t, tr.Due(t0.Add(59*time.Second)))
	due := tr.Due(t0.Add(time.Minute))
	require.Len(t, due, 1, "the other one is not among those that are read")
	require.Equal(t, NotRead, due[0].Outcome)
	require.EqualValues(t, 100, due[0].Difference())
}

// The newest of the moved files may stay open for days: nothing says that it
// will not grow.
func TestFileThatIsReadAndNotFinished(t *testing.T) {
	read := map[string]Counts{}
	tr := newTracker(t, Options{Grace: time.Minute, Progress: func(name string) (Counts, bool) { c, ok := read[name]; return c, ok }})
	require.NoError(t, tr.Moved(from, to, 100, t0, t0))
	read[Name(from)] = Counts{Emitted: 60}
	require.Empty(t, tr.Due(t0), "still reading")
	read[Name(from)] = Counts{Emitted: 99, Rejected: 1}
	due := tr.Due(t0)
	require.Len(t, due, 1)
	require.Equal(t, Equal, due[0].Outcome)
	require.NoError(t, tr.Done(due[0]))

	read[Name(from)] = Counts{Emitted: 5, Partial: true}
	require.NoError(t, tr.Moved(from, to, 100, t0, t0))
	due = tr.Due(t0)
	require.Equal(t, NotCompared, due[0].Outcome, "nobody expects it to have all")
	require.NoError(t, tr.Done(due[0]))

	read[Name(from)] = Counts{Emitted: 99, Rejected: 1}
	require.NoError(t, tr.Moved(from, to, 101, t0, t0))
	require.Empty(t, tr.Due(t0))
	due = tr.Due(t0.Add(time.Minute))
	require.Len(t, due, 1)
	require.Equal(t, Differs, due[0].Outcome)
	require.EqualValues(t, 1, due[0].Difference())
}

// At any moment the agent may be killed: every move is reported at least once,
// with the right numbers.
func TestRestartAnywhere(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		store := &memStore{slots: map[int][]byte{}}
		tr := newTracker(t, Options{Store: store})
		type step func()
		var steps []step
		for i := range 20 {
			name := fmt.Sprintf("/l/acct-%02d.csv", i)
			a := func() { require.NoError(t, tr.Moved(name, "", int64(i), t0, t0)) }
			b := func() { require.NoError(t, tr.Finished(name, Counts{Emitted: int64(i + i%2)}, t0)) }
			steps = append(steps, a, b)
		}
		rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		got := map[string]int64{}
		for _, s := range steps {
			s()
			if rnd.IntN(3) == 0 {
				tr = newTracker(t, Options{Store: store})
			}
			for _, r := range tr.Due(t0) {
				got[r.Name] = r.Difference()
				if rnd.IntN(2) == 0 {
					require.NoError(t, tr.Done(r))
				}
			}
		}
		require.Len(t, got, 20)
		for i := range 20 {
			require.EqualValues(t, -(i % 2), got[fmt.Sprintf("acct-%02d.csv", i)])
		}
	}
}

func TestBound(t *testing.T) {
	store := &memStore{slots: map[int][]byte{}}
	tr := newTracker(t, Options{MaxFiles: 4, Store: store})
	for i := range 10 {
		require.NoError(t, tr.Finished(fmt.Sprintf("acct-%d.csv", i), Counts{Emitted: 1}, t0.Add(time.Duration(i)*time.Second)))
	}
	require.Len(t, store.slots, 4)
	require.Zero(t, tr.Lost(), "files without a count are no loss")
	for i := range 10 {
		require.NoError(t, tr.Moved(fmt.Sprintf("bounce-%d.csv", i), "", 1, t0, t0.Add(time.Hour)))
	}
	require.Len(t, store.slots, 4)
	require.EqualValues(t, 6, tr.Lost())
}

func TestDamagedStore(t *testing.T) {
	tr, err := New(Options{Store: &memStore{slots: map[int][]byte{3: []byte("{"), 4: []byte("{}")}}})
	require.ErrorContains(t, err, "slot 3")
	require.ErrorContains(t, err, "slot 4")
	require.NoError(t, tr.Moved(from, to, 1, t0, t0))

	bad := errors.New("disk full")
	_, err = New(Options{Store: &memStore{fail: bad}, MaxFiles: 1})
	require.ErrorIs(t, err, bad)
}
