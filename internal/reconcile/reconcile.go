// Package reconcile compares what PowerMTA says it wrote into an accounting
// file with what was read of it. It knows nothing of the Collector.
//
// With "count-moved-records yes" PowerMTA puts the number of records of each
// moved file into its system log (PowerMTA v5.0 User's Guide, section 3.3.11).
// The log and the file are read independently, so either side may come first,
// and the other one in a later run of the agent.
package reconcile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Counts is what became of the rows of one file.
type Counts struct {
	Emitted    int64 `json:"emitted"`    // became records that the pipeline took, or refused for good
	Rejected   int64 `json:"rejected"`   // went to quarantine as no records
	Duplicates int64 `json:"duplicates"` // left out as copies of another stream's
	// Partial says that a part of the file was left out on purpose.
	Partial bool `json:"partial,omitempty"`
}

// Total is the number of rows.
func (c Counts) Total() int64 { return c.Emitted + c.Rejected + c.Duplicates }

// Outcome is how a comparison ended.
type Outcome string

// The outcomes. They are values of a metric's attribute.
const (
	Equal   Outcome = "equal"   // both numbers agree
	Differs Outcome = "differs" // they do not
	// NotCompared: a part of the file was left out on purpose (start_at: end).
	NotCompared Outcome = "not_compared"
	NotRead     Outcome = "not_read" // the file was moved, and nothing was read of it in time
)

// Result is one file's comparison.
type Result struct {
	Outcome Outcome
	Name    string // base name of the file
	Path    string // as the log names it, before the move
	MovedTo string // as the log names it; may be empty
	Counted int64  // PowerMTA's number
	Read    Counts
	MovedAt time.Time // of the log entry
}

// Difference is how many records PowerMTA counted beyond those read; negative
// when more were read.
func (r Result) Difference() int64 { return r.Counted - r.Read.Total() }

// Store keeps what waits for its other half over a restart.
type Store interface {
	// Load returns nil for a slot never saved.
	Load(slot int) ([]byte, error)
	Save(slot int, data []byte) error
}

// Options configure a Tracker.
type Options struct {
	// MaxFiles bounds the files that wait for their other half. Default 512.
	MaxFiles int
	// Grace is how long after the move was read about a file may take to be
	// read to its end. Default 15 minutes.
	Grace time.Duration
	// Expected tells whether a file is among those that are read at all. A
	// moved file of which it says no is left alone. Nil means all.
	Expected func(path, movedTo string) bool
	// Store may be nil.
	Store Store
	// Progress returns what was read so far of a file that is not finished, by
	// base name. A file may stay open for long after its end was reached. It may
	// be nil.
	Progress func(name string) (Counts, bool)
}

// entry is one file of which at least one half is known.
type entry struct {
	Name    string  `json:"name"`
	Path    string  `json:"path,omitempty"`
	MovedTo string  `json:"moved_to,omitempty"`
	Counted *int64  `json:"counted,omitempty"` // nil: the log has not said it yet
	MovedAt int64   `json:"moved_at,omitempty"`
	Since   int64   `json:"since"` // Unix seconds, when the present halves were learnt
	Read    *Counts `json:"read,omitempty"`
	Due     Outcome `json:"due,omitempty"` // the result is settled and not taken yet

	slot int
}

// Tracker pairs the halves. It is not safe for concurrent use.
type Tracker struct {
	opt    Options
	byName map[string]*entry
	slots  []*entry
	next   int
	lost   int64
}

// New makes a Tracker and loads what an earlier one has saved. The error tells
// what of it could not be read; the Tracker is good without it.
func New(opt Options) (*Tracker, error) {
	if opt.MaxFiles <= 0 {
		opt.MaxFiles = 512
	}
	if opt.Grace <= 0 {
		opt.Grace = 15 * time.Minute
	}
	t := &Tracker{opt: opt, byName: map[string]*entry{}, slots: make([]*entry, opt.MaxFiles)}
	if opt.Store == nil {
		return t, nil
	}
	var errs []error
	for i := range t.slots {
		data, err := opt.Store.Load(i)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(data) == 0 {
			continue
		}
		e := &entry{slot: i}
		if err := json.Unmarshal(data, e); err != nil || e.Name == "" {
			errs = append(errs, fmt.Errorf("slot %d is damaged", i))
			continue
		}
		t.slots[i], t.byName[e.Name] = e, e
	}
	return t, errors.Join(errs...)
}

// baseName is the part behind the last separator of either system.
func baseName(p string) string { return path.Base(strings.ReplaceAll(p, `\`, "/")) }

// Moved notes what the log says: PowerMTA moved the file and counted its
// records. Saying it again changes nothing.
func (t *Tracker) Moved(from, to string, counted int64, at, now time.Time) error {
	if t.opt.Expected != nil && !t.opt.Expected(from, to) {
		return nil
	}
	name := baseName(from)
	e := t.byName[name]
	if e != nil && e.Counted != nil {
		return nil
	}
	var err error
	if e == nil {
		e, err = t.add(name, now)
	}
	e.Path, e.MovedTo, e.Counted, e.MovedAt, e.Since = from, to, &counted, at.UnixNano(), now.Unix()
	return errors.Join(err, t.settle(e))
}

// Finished notes that a file was read to its end. A later call for the same
// name replaces the counts, as for a file that grew after all.
func (t *Tracker) Finished(file string, read Counts, now time.Time) error {
	name := Name(file)
	e := t.byName[name]
	var err error
	if e == nil {
		e, err = t.add(name, now)
	}
	e.Read = &read
	if e.Counted == nil {
		e.Since = now.Unix()
	}
	return errors.Join(err, t.settle(e))
}

// Name is what a file is known by: its base name, without .gz.
func Name(file string) string { return strings.TrimSuffix(baseName(file), ".gz") }

func (t *Tracker) settle(e *entry) error {
	if e.Counted != nil && e.Read != nil {
		switch {
		case e.Read.Partial:
			e.Due = NotCompared
		case *e.Counted != e.Read.Total():
			e.Due = Differs
		default:
			e.Due = Equal
		}
	}
	return t.save(e)
}

// add takes the next slot; what is in it has waited longest.
func (t *Tracker) add(name string, now time.Time) (*entry, error) {
	for range t.slots {
		if t.slots[t.next] == nil {
			break
		}
		t.next = (t.next + 1) % len(t.slots)
	}
	var err error
	if old := t.slots[t.next]; old != nil { // all are taken: the oldest goes
		old = slices.MinFunc(t.slots, func(a, b *entry) int { return cmp.Compare(a.Since, b.Since) })
		t.next = old.slot
		if old.Counted != nil {
			t.lost++ // a finished file without a count is the ordinary case and no loss
		}
		err = t.drop(old)
	}
	e := &entry{Name: name, Since: now.Unix(), slot: t.next}
	t.slots[e.slot], t.byName[name] = e, e
	return e, err
}

// Lost is how many of PowerMTA's counts gave way to newer ones before they
// could be compared.
func (t *Tracker) Lost() int64 { return t.lost }

// Due returns the comparisons that are settled, the oldest move first. Each
// comes again, also after a restart, until Done is called with it.
func (t *Tracker) Due(now time.Time) []Result {
	var out []Result
	for _, e := range t.slots {
		if e == nil || e.Counted == nil {
			continue
		}
		if e.Due == "" {
			t.look(e, now)
		}
		if e.Due == "" {
			continue
		}
		r := Result{Outcome: e.Due, Name: e.Name, Path: e.Path, MovedTo: e.MovedTo, Counted: *e.Counted, MovedAt: time.Unix(0, e.MovedAt)}
		if e.Read != nil {
			r.Read = *e.Read
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Result) int {
		return cmp.Or(a.MovedAt.Compare(b.MovedAt), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// look settles a move whose file is not finished: at once when all of it was
// read, else when the time is over.
func (t *Tracker) look(e *entry, now time.Time) {
	late := now.Sub(time.Unix(e.Since, 0)) >= t.opt.Grace
	var c Counts
	ok := false
	if t.opt.Progress != nil {
		c, ok = t.opt.Progress(e.Name)
	}
	switch {
	case ok && c.Partial:
		e.Read, e.Due = &c, NotCompared
	case ok && c.Total() == *e.Counted:
		e.Read, e.Due = &c, Equal
	case ok && late:
		e.Read, e.Due = &c, Differs
	case late:
		e.Due = NotRead
	}
}

// Done forgets a settled comparison that has been reported.
func (t *Tracker) Done(r Result) error {
	if e := t.byName[r.Name]; e != nil {
		return t.drop(e)
	}
	return nil
}

func (t *Tracker) drop(e *entry) error {
	delete(t.byName, e.Name)
	t.slots[e.slot] = nil
	if t.opt.Store == nil {
		return nil
	}
	return t.opt.Store.Save(e.slot, nil)
}

func (t *Tracker) save(e *entry) error {
	if t.opt.Store == nil {
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return t.opt.Store.Save(e.slot, data)
}
