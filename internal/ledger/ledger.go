// Package ledger remembers messages whose delivery was put off, so that later
// records of the same message can be given the number of the attempt, the time
// since the first one and the reason of the last deferral.
//
// It is bounded: when it is full, messages that are finished leave first, then
// the one that was heard of longest ago. It is idempotent: an event that comes
// twice, because a batch was sent again or because PowerMTA wrote it to two
// files, counts once.
//
// A message is known by a keyed hash only; the ledger holds no address.
package ledger // import "github.com/otelcol-pmta/otelcol-pmta/internal/ledger"

import (
	"context"
	"sync"
	"time"
)

// DefaultMaxEntries is the default bound. An entry takes about 150 bytes.
const DefaultMaxEntries = 200_000

// Key is the keyed hash of a message for one recipient.
type Key [2]uint64

// Kind says what happened.
type Kind uint8

// The kinds of events.
const (
	// Deferral is an attempt that failed for now.
	Deferral Kind = iota
	// Final is an attempt that ended the matter: a delivery or a rejection.
	Final
	// GivenUp is an end without an attempt: expiry or an operator.
	GivenUp
)

// Event is what happened to a message. Times are nanoseconds since the Unix
// epoch, 0 when not known.
type Event struct {
	Key    Key
	Time   int64
	Queued int64
	First  int64 // first attempt, as the record tells it
	// Print tells events of one message apart: equal for copies of one event.
	Print uint32
	Kind  Kind
	// Category is what a deferral meant.
	Category string
}

// Result is what the ledger knows about an event.
type Result struct {
	// Attempt is the number of the attempt, from 1; 0 when nothing is known.
	// For GivenUp it is that of the last attempt.
	Attempt int32
	// Exact says that no earlier attempt can have gone unseen.
	Exact bool
	// First is the time of the first attempt, 0 when not known.
	First int64
	// LastCategory is that of the deferral before this event, "" when there
	// was none.
	LastCategory string
}

// ring is how many attempts of a message are told apart. An older one most
// likely comes again, so does not count.
const ring = 8

const (
	flagExact = 1 << iota
	flagDone
)

const none = int32(-1)

type entry struct {
	key    Key
	first  int64
	last   int64
	queued int64
	prints [ring]uint32 // of the last attempts; attempt n is at n % ring
	cats   [ring]uint16
	count  uint32 // deferrals seen
	prev   int32
	next   int32
	flags  uint8
}

// list is a doubly linked list through entries, the oldest first.
type list struct{ head, tail, n int32 }

// Ledger is the delivery ledger. It is safe for several goroutines.
type Ledger struct {
	mu      sync.Mutex
	max     int
	entries []entry
	free    []int32
	slots   []uint64 // open addressing: upper half of the hash, place in entries + 1
	used    int
	live    list // waiting for more
	done    list // finished
	names   []string
	ids     map[string]uint16

	// Exactness: messages queued before since, or not after lostTo, may have
	// had attempts that were not seen. Deferrals are seen up to seenTo.
	since, lostTo, seenTo int64
	evicted               uint64

	p persistence
}

// New returns an empty ledger for at most maxEntries messages,
// [DefaultMaxEntries] when that is not positive.
func New(maxEntries int) *Ledger {
	if maxEntries <= 0 {
		maxEntries = DefaultMaxEntries
	}
	l := &Ledger{max: maxEntries}
	l.reset()
	return l
}

func (l *Ledger) reset() {
	l.entries, l.free, l.used = nil, nil, 0
	l.slots = make([]uint64, 1024)
	l.live, l.done = list{none, none, 0}, list{none, none, 0}
	l.names, l.ids = []string{""}, map[string]uint16{"": 0}
	l.since, l.lostTo, l.seenTo, l.evicted = 0, 0, 0, 0
}

// Stats are counters and sizes.
type Stats struct {
	Entries int    // messages known
	Waiting int    // of these, not finished
	Evicted uint64 // waiting messages that had to leave
	Bytes   int    // memory of the tables
}

// Stats returns a snapshot.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Entries: l.used, Waiting: int(l.live.n), Evicted: l.evicted, Bytes: cap(l.entries)*entrySize + cap(l.slots)*8 + cap(l.free)*4}
	return s
}

// slack is how much times in seconds may be off.
const slack = int64(time.Second)

// lag is how far behind the file with deferrals may be read.
const lag = int64(time.Minute)

// Apply takes an event and returns what was known before it.
func (l *Ledger) Apply(ev *Event) Result {
	l.mu.Lock()
	r, changed := l.apply(ev)
	l.mu.Unlock()
	if changed {
		l.p.note(ev)
	}
	return r
}

func (l *Ledger) apply(ev *Event) (r Result, changed bool) {
	if ev.Kind == Deferral {
		if l.since == 0 {
			l.since = ev.Time
		}
		l.seenTo = max(l.seenTo, ev.Time)
	}
	i := l.find(ev.Key)
	if i == none {
		return l.unknown(ev)
	}
	e := &l.entries[i]
	if ev.Kind != Deferral {
		if r = e.result(l); ev.Kind == Final {
			r.Attempt++
		}
		if e.flags&flagDone == 0 {
			e.flags |= flagDone
			e.last = max(e.last, ev.Time)
			l.unlink(&l.live, i)
			l.push(&l.done, i)
			changed = true
		}
		return r, changed
	}
	// Seen before?
	for n := e.count; n > 0 && n+ring > e.count; n-- {
		if e.prints[n%ring] == ev.Print {
			r = Result{Attempt: int32(n), Exact: e.flags&flagExact != 0, First: e.first}
			if n > 1 && n-1+ring > e.count {
				r.LastCategory = l.names[e.cats[(n-1)%ring]]
			}
			return r, false
		}
	}
	if e.count > ring && ev.Time < e.last && ev.Time >= e.first {
		// A file that is read again must not double the attempts. But it may be
		// one that has not been seen, so the number is a lower bound from here
		// on; only the first attempt is known to be it.
		r = Result{Attempt: 1, Exact: e.flags&flagExact != 0 && ev.Time == e.first, First: e.first}
		if ev.Time > e.first && e.flags&flagExact != 0 {
			e.flags &^= flagExact
			changed = true
		}
		return r, changed
	}
	r = e.result(l)
	r.Attempt++
	if ev.Time < e.last || e.flags&flagDone != 0 {
		r.Exact = false // it came late: its place among the others is a guess
	}
	e.count++
	e.prints[e.count%ring], e.cats[e.count%ring] = ev.Print, l.id(ev.Category)
	e.first, e.last = min(e.first, ev.Time), max(e.last, ev.Time)
	if e.flags&flagDone == 0 {
		l.unlink(&l.live, i)
		l.push(&l.live, i)
	}
	return r, true
}

// result says what e tells about an event after it, Attempt being the last.
func (e *entry) result(l *Ledger) Result {
	return Result{
		Attempt: int32(e.count), Exact: e.flags&flagExact != 0, First: e.first,
		LastCategory: l.names[e.cats[e.count%ring]],
	}
}

// unknown handles an event of a message that is not in the ledger.
func (l *Ledger) unknown(ev *Event) (r Result, changed bool) {
	isFirst := ev.First != 0 && ev.First >= ev.Time-slack
	exact := ev.Queued != 0 && l.since != 0 && ev.Queued >= l.since && ev.Queued > l.lostTo
	if ev.First != 0 {
		exact = isFirst
	}
	switch ev.Kind {
	case GivenUp:
		return Result{First: ev.First}, false
	case Final:
		// Without deferrals in the files nothing says that this is the first.
		if isFirst || l.since != 0 {
			r = Result{Attempt: 1, Exact: isFirst || exact && ev.Time <= l.seenTo+lag, First: ev.First}
		}
		return r, false
	}
	i := l.add(ev.Key)
	e := &l.entries[i]
	e.first, e.last, e.queued, e.count = ev.Time, ev.Time, ev.Queued, 1
	if ev.First != 0 {
		e.first = min(ev.First, ev.Time)
	}
	e.prints[1%ring], e.cats[1%ring] = ev.Print, l.id(ev.Category)
	if exact {
		e.flags = flagExact
	}
	l.push(&l.live, i)
	return Result{Attempt: 1, Exact: exact, First: e.first}, true
}

// maxNames bounds the categories; more share one name.
const maxNames = 1000

func (l *Ledger) id(name string) uint16 {
	if id, ok := l.ids[name]; ok {
		return id
	}
	if len(l.names) >= maxNames {
		return l.ids[l.names[len(l.names)-1]]
	}
	if len(l.names) == maxNames-1 {
		name = "other"
	}
	name = string(append([]byte(nil), name...))
	id := uint16(len(l.names))
	l.names = append(l.names, name)
	l.ids[name] = id
	return id
}

// Lists.

func (l *Ledger) push(q *list, i int32) {
	e := &l.entries[i]
	e.prev, e.next = q.tail, none
	if q.tail == none {
		q.head = i
	} else {
		l.entries[q.tail].next = i
	}
	q.tail = i
	q.n++
}

func (l *Ledger) unlink(q *list, i int32) {
	e := &l.entries[i]
	if e.prev == none {
		q.head = e.next
	} else {
		l.entries[e.prev].next = e.next
	}
	if e.next == none {
		q.tail = e.prev
	} else {
		l.entries[e.next].prev = e.prev
	}
	q.n--
}

// Hash table: linear probing, at most half full. A slot holds 32 bits of the
// hash, so that a search for what is not there touches one cache line.

func tag(k Key) uint64 { return k[0] & 0xffffffff00000000 }

func (l *Ledger) find(k Key) int32 {
	mask := uint64(len(l.slots) - 1)
	for s := k[1] & mask; ; s = (s + 1) & mask {
		v := l.slots[s]
		if v == 0 {
			return none
		}
		if v&0xffffffff00000000 == tag(k) {
			if i := int32(uint32(v)) - 1; l.entries[i].key == k {
				return i
			}
		}
	}
}

func (l *Ledger) insert(k Key, i int32) {
	mask := uint64(len(l.slots) - 1)
	s := k[1] & mask
	for l.slots[s] != 0 {
		s = (s + 1) & mask
	}
	l.slots[s] = tag(k) | uint64(uint32(i+1))
}

func (l *Ledger) remove(i int32) {
	mask := uint64(len(l.slots) - 1)
	s := l.entries[i].key[1] & mask
	for uint32(l.slots[s]) != uint32(i+1) {
		s = (s + 1) & mask
	}
	// Move back what came to lie behind it by probing.
	for {
		l.slots[s] = 0
		hole := s
		for {
			s = (s + 1) & mask
			v := l.slots[s]
			if v == 0 {
				return
			}
			home := l.entries[int32(uint32(v))-1].key[1] & mask
			if (s-home)&mask >= (s-hole)&mask {
				l.slots[hole] = v
				break
			}
		}
	}
}

// add makes an entry for k, which is not there, and returns its place. It is
// in no list yet.
func (l *Ledger) add(k Key) int32 {
	if l.used >= l.max {
		l.evict()
	}
	var i int32
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
		l.entries[i] = entry{}
	} else {
		if len(l.entries) == cap(l.entries) {
			// No more than the bound, whatever append would like.
			grown := make([]entry, len(l.entries), min(l.max, max(256, 2*cap(l.entries))))
			copy(grown, l.entries)
			l.entries = grown
		}
		i = int32(len(l.entries))
		l.entries = append(l.entries, entry{})
	}
	l.entries[i].key = k
	l.used++
	if 2*l.used > len(l.slots) {
		old := l.slots
		l.slots = make([]uint64, 2*len(old))
		for _, v := range old {
			if v != 0 {
				l.insert(l.entries[int32(uint32(v))-1].key, int32(uint32(v))-1)
			}
		}
	}
	l.insert(k, i)
	return i
}

func (l *Ledger) evict() {
	i, q := l.done.head, &l.done
	if i == none {
		i, q = l.live.head, &l.live
		l.evicted++
	}
	// One that is finished may come again, too.
	e := &l.entries[i]
	if e.queued == 0 {
		l.lostTo = max(l.lostTo, e.last)
	} else {
		l.lostTo = max(l.lostTo, e.queued)
	}
	l.unlink(q, i)
	l.remove(i)
	l.free = append(l.free, i)
	l.used--
}

// Flush makes durable what Apply has taken since the last call. Without a
// store it does nothing. The ledger itself is in order whatever error comes
// back: only a restart would lose what could not be written.
func (l *Ledger) Flush(ctx context.Context) error { return l.p.flush(ctx, l) }
