package webmon

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxTracked is how many queues with something to remember a [Tracker] holds.
// Those beyond are not tracked until others are well again; see Overflow.
const maxTracked = 10_000

// maxMisses is how many times a queue that is in no list and whose detail page
// does not answer is looked for, before it counts as gone.
const maxMisses = 3

// ChangeKind is what changed.
type ChangeKind uint8

// The kinds of [Change].
const (
	QueueBackoff ChangeKind = iota
	QueueNormal
	SourceIPDisabled
	SourceIPEnabled
)

// Change is something that happened to a queue between two observations.
type Change struct {
	Kind  ChangeKind
	Queue string
	// At is when it happened if Known, else when it was first seen by the
	// monitor's clock.
	At    time.Time
	Known bool
	// Reason is the reply of the remote host that led to it, perhaps with
	// words around it, or another reason; may be empty.
	Reason   string
	Pattern  string // of the configuration, that the reply matched
	SourceIP string // of the last two kinds; may be empty if only "all" is known
	// Initial says that it was so when the queue was seen first, so it may
	// have been so for long.
	Initial bool
}

// Observation is what one reading of the monitor says about queues.
type Observation struct {
	Now  time.Time // by the monitor's clock
	Rows []Row     // by name, each once
	// Complete says that a queue that is not in Rows is not in backoff. It is
	// for those who ask for no details, which know better.
	Complete bool
	Details  map[string]*QueueDetail // of some of the queues that Wanted named
	Failed   map[string]bool         // queues whose detail page did not answer
}

// Tracker remembers which queues are in backoff and which source IPs are
// disabled, and tells changes. It is not safe for concurrent use.
type Tracker struct {
	queues   map[string]*tracked
	seen     map[string]time.Time // time of the newest event of each row listed, to tell new ones
	unserved map[string]bool      // rows with new events that the last Wanted had no room for
	hinted   map[string]int64     // round in which a hint was followed last
	lists    bool                 // this monitor's detail pages have lists of disabled source IPs
	started  bool                 // there was an observation
	last     time.Time            // Now of it
	round    int64
	overflow int64
}

// tracked is a queue with something to remember. Its fields are what is saved.
type tracked struct {
	Backoff  bool                 `json:"backoff,omitempty"`
	Since    time.Time            `json:"since"` // newest change of mode that was told
	Disabled map[string]time.Time `json:"disabled,omitempty"`
	Told     time.Time            `json:"told"` // newest "all sources are disabled" that was told
	// Old says that the queue was like this when the tracker began, and that
	// its details have not been seen since.
	Old bool `json:"old,omitempty"`

	asked  int64 // round of the last request for details
	misses int
}

func (q *tracked) idle() bool { return !q.Backoff && len(q.Disabled) == 0 }

// NewTracker returns one without memory: what it observes first is initial.
func NewTracker() *Tracker {
	return &Tracker{queues: map[string]*tracked{}, seen: map[string]time.Time{}, hinted: map[string]int64{}}
}

// Backoff returns the number of queues known to be in backoff, and of pairs of
// queue and source IP known to be disabled.
func (t *Tracker) Backoff() (queues, sourceIPs int) {
	for _, q := range t.queues {
		if q.Backoff {
			queues++
		}
		sourceIPs += len(q.Disabled)
	}
	return queues, sourceIPs
}

// Overflow returns how many changes were not told because too many queues were
// being remembered already.
func (t *Tracker) Overflow() int64 { return t.overflow }

type saved struct {
	Version int                 `json:"version"`
	Last    time.Time           `json:"last"`
	Lists   bool                `json:"lists,omitempty"`
	Queues  map[string]*tracked `json:"queues"`
}

// Save returns the memory.
func (t *Tracker) Save() []byte {
	keep := map[string]*tracked{}
	for name, q := range t.queues {
		keep[name] = q
	}
	b, err := json.Marshal(saved{Version: 1, Last: t.last, Lists: t.lists, Queues: keep})
	if err != nil {
		return nil // cannot be: strings, times and booleans
	}
	return b
}

// Restore takes over a memory that Save returned. On error the tracker is as
// new.
func (t *Tracker) Restore(b []byte) error {
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s.Version != 1 || len(s.Queues) > maxTracked {
		return fmt.Errorf("unknown version %d", s.Version)
	}
	n := NewTracker()
	for name, q := range s.Queues {
		if q != nil && name != "" {
			n.queues[name] = q
		}
	}
	n.started, n.last, n.lists = true, s.Last, s.Lists
	*t = *n
	return nil
}

// newest returns the time of the newest event of a row.
func newest(r *Row) (at time.Time) {
	for _, e := range r.Events {
		if e.Time.After(at) {
			at = e.Time
		}
	}
	return at
}

// Wanted names the queues, at most n, whose details are worth a request now,
// in this order: those that have just gone to backoff; those that are
// remembered but no longer listed or listed as normal; those remembered, the
// longest not asked for first; those with new events that tell of backoff or
// disabled sources, or whose mode the list does not say. The last group has a
// quarter of n to itself, so that many queues in backoff do not hide new ones.
//
// A hint is a queue that the monitor gave when it was asked for those in
// backoff, without saying the mode; it counts as one that tells of backoff, but
// not again in the next ten rounds.
func (t *Tracker) Wanted(rows []Row, hints map[string]bool, n int) []string {
	if n <= 0 {
		return nil
	}
	t.round++
	type candidate struct {
		name  string
		class int
		asked int64
	}
	var known, news []candidate
	listed := make(map[string]*Row, len(rows))
	for i := range rows {
		r := &rows[i]
		listed[r.Name] = r
		q := t.queues[r.Name]
		switch {
		case q != nil && !q.idle():
			continue
		case r.Mode == ModeBackoff:
			known = append(known, candidate{name: r.Name})
			continue
		}
		asked, hinted := t.hinted[r.Name]
		switch {
		case hints[r.Name] && (!hinted || t.round-asked > 10):
			news = append(news, candidate{name: r.Name})
		case !newest(r).After(t.seen[r.Name]):
		case tells(r, t.seen[r.Name]):
			news = append(news, candidate{name: r.Name})
		case r.Mode == "":
			news = append(news, candidate{name: r.Name, class: 1})
		}
	}
	for name, q := range t.queues {
		if q.idle() {
			continue
		}
		c := candidate{name: name, class: 2, asked: q.asked}
		if r := listed[name]; r == nil || r.Mode == ModeNormal && q.Backoff {
			c.class = 1
		}
		known = append(known, c)
	}
	order := func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.asked, b.asked), cmp.Compare(a.name, b.name))
	}
	slices.SortFunc(known, order)
	slices.SortStableFunc(news, func(a, b candidate) int { return cmp.Compare(a.class, b.class) }) // then as listed
	forNews := min(len(news), max(n/4, n-len(known)))
	var names []string
	for _, c := range known[:min(len(known), n-forNews)] {
		names = append(names, c.name)
	}
	for _, c := range news[:forNews] {
		names = append(names, c.name)
	}
	t.unserved = make(map[string]bool, len(news)-forNews)
	for _, c := range news[forNews:] {
		t.unserved[c.name] = true
	}
	for _, name := range names {
		if q := t.queues[name]; q != nil {
			q.asked = t.round
		}
		if hints[name] {
			t.hinted[name] = t.round
		}
	}
	maps.DeleteFunc(t.hinted, func(name string, _ int64) bool { return !hints[name] })
	return names
}

// tells reports whether an event newer than since is about backoff or disabled
// sources.
func tells(r *Row, since time.Time) bool {
	for i := range r.Events {
		e := &r.Events[i]
		if !e.Time.After(since) {
			continue
		}
		low := strings.ToLower(e.Text)
		if e.Kind == EventMode || strings.Contains(low, "disabled") || strings.Contains(low, "backoff mode") {
			return true
		}
	}
	return false
}

// Observe takes the next reading and returns what has changed, ordered by time,
// then queue.
func (t *Tracker) Observe(o Observation) []Change {
	var changes []Change
	listed := make(map[string]*Row, len(o.Rows))
	for i := range o.Rows {
		listed[o.Rows[i].Name] = &o.Rows[i]
	}
	for i := range o.Rows {
		changes = t.queue(changes, &o.Rows[i], o.Details[o.Rows[i].Name], &o)
	}
	for _, name := range slices.Sorted(maps.Keys(t.queues)) {
		q := t.queues[name]
		if listed[name] == nil && !q.idle() {
			changes = t.absent(changes, name, q, &o)
		}
	}
	for i := range o.Rows {
		r := &o.Rows[i]
		if at := newest(r); at.After(t.seen[r.Name]) && !t.unserved[r.Name] {
			t.seen[r.Name] = at
		}
	}
	for name := range t.seen {
		if listed[name] == nil {
			delete(t.seen, name)
		}
	}
	for name, q := range t.queues {
		// Told and Since only matter while a row may repeat what was told.
		if q.idle() && listed[name] == nil {
			delete(t.queues, name)
		}
	}
	t.started, t.last = true, o.Now
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Queue, b.Queue))
	})
	return changes
}

func (t *Tracker) queue(changes []Change, r *Row, d *QueueDetail, o *Observation) []Change {
	q := t.queues[r.Name]
	if q == nil {
		if len(t.queues) >= maxTracked {
			if r.Mode == ModeBackoff || d != nil && (d.Mode == ModeBackoff || len(d.Disabled) > 0) {
				t.overflow++
			}
			return changes
		}
		q = &tracked{Old: !t.started}
	}
	q.misses = 0
	before := len(changes)
	changes = t.mode(changes, r, d, q, o)
	changes = t.sources(changes, r, d, q, o)
	if d != nil {
		q.Old = false
	}
	if len(changes) > before || !q.idle() {
		t.queues[r.Name] = q
	}
	return changes
}

// mode tells changes of mode. Those that the detail page dates are told one by
// one; else one is told when the mode is another than before.
func (t *Tracker) mode(changes []Change, r *Row, d *QueueDetail, q *tracked, o *Observation) []Change {
	now := r.Mode
	events := r.Events
	if d != nil {
		if d.Mode != "" {
			now = d.Mode
		}
		events = append(slices.Clip(events), d.Events...)
	}
	var dated []Event
	for _, e := range events {
		if e.Kind == EventMode && e.Mode != "" && !e.Time.IsZero() && !e.Time.After(o.Now.Add(time.Minute)) {
			dated = append(dated, e)
		}
	}
	slices.SortStableFunc(dated, func(a, b Event) int { return a.Time.Compare(b.Time) })
	if now == "" {
		if len(dated) == 0 {
			return changes
		}
		now = dated[len(dated)-1].Mode
	}
	reason := func(at time.Time) string {
		if d != nil && d.BackoffReason != "" {
			return d.BackoffReason
		}
		return lastReply(events, at)
	}
	told := func(mode string, at time.Time, known bool, why string) {
		c := Change{Kind: QueueNormal, Queue: r.Name, At: at, Known: known, Reason: why,
			Initial: !t.started || known && q.Since.IsZero() && at.Before(t.last)}
		if mode == ModeBackoff {
			c.Kind = QueueBackoff
			if d != nil {
				c.Pattern = d.BackoffPattern
			}
		}
		changes = append(changes, c)
		q.Backoff, q.Since = mode == ModeBackoff, at
	}
	// What happened since the last look, as far as it is dated.
	if t.started && !q.Old {
		from := q.Since
		if from.IsZero() {
			from = t.last
		}
		for i, e := range dated {
			if !e.Time.After(from) || (e.Mode == ModeBackoff) == q.Backoff {
				continue
			}
			why := ""
			if e.Mode == ModeBackoff {
				if why = Reply(e.Text); why == "" && i == len(dated)-1 {
					why = reason(e.Time)
				}
			}
			told(e.Mode, e.Time, true, why)
		}
	}
	if (now == ModeBackoff) == q.Backoff {
		return changes
	}
	at, known, why := o.Now, false, ""
	for i := len(dated) - 1; i >= 0; i-- {
		if dated[i].Mode != now {
			break
		}
		if dated[i].Time.After(q.Since) {
			at, known, why = dated[i].Time, true, Reply(dated[i].Text)
		}
	}
	if now == ModeBackoff && why == "" {
		why = reason(at)
	}
	told(now, at, known, why)
	return changes
}

// lastReply returns the newest SMTP reply among the errors up to at.
func lastReply(events []Event, at time.Time) string {
	reply, when := "", time.Time{}
	for _, e := range events {
		if e.Kind != EventError || e.Time.After(at.Add(time.Second)) || reply != "" && !e.Time.After(when) {
			continue
		}
		if s := Reply(e.Text); s != "" {
			reply, when = s, e.Time
		}
	}
	return reply
}

// sources tells source IPs that were disabled or enabled: from the list of the
// detail page or, as long as no such list was seen, from an error in the list
// of queues that says so.
func (t *Tracker) sources(changes []Change, r *Row, d *QueueDetail, q *tracked, o *Observation) []Change {
	if d != nil {
		present := map[string]bool{}
		for _, ip := range d.Disabled {
			present[ip.IP] = true
			since, had := q.Disabled[ip.IP]
			if had && !ip.Since.After(since) {
				continue
			}
			c := Change{Kind: SourceIPDisabled, Queue: r.Name, At: o.Now, Reason: ip.Reason, SourceIP: ip.IP}
			if !ip.Since.IsZero() {
				c.At, c.Known = ip.Since, true
			}
			c.Initial = q.Old || !t.started || c.Known && c.At.Before(t.last) && !had
			if c.Reason == "" {
				c.Reason = replyFor(append(slices.Clip(r.Events), d.Events...), ip.IP, c.At)
			}
			changes = append(changes, c)
			if q.Disabled == nil {
				q.Disabled = map[string]time.Time{}
			}
			q.Disabled[ip.IP] = c.At
		}
		for _, ip := range slices.Sorted(maps.Keys(q.Disabled)) {
			if !present[ip] {
				delete(q.Disabled, ip)
				changes = append(changes, Change{Kind: SourceIPEnabled, Queue: r.Name, At: o.Now, SourceIP: ip})
			}
		}
		t.lists = t.lists || d.DisabledListed
	}
	if t.lists {
		return changes // or will have details soon: the sentence makes Wanted want them
	}
	for i := len(r.Events) - 1; i >= 0; i-- { // oldest first
		e := &r.Events[i]
		if e.Kind != EventError || e.Time.IsZero() || !e.Time.After(q.Told) || !allDisabled(e.Text) {
			continue
		}
		initial := !t.started || q.Old
		if seen := t.seen[r.Name]; initial && r.Mode == ModeNormal || !initial && (seen.IsZero() && e.Time.Before(t.last) || !e.Time.After(seen)) {
			continue // told, or long ago and perhaps over
		}
		q.Told = e.Time
		c := Change{Kind: SourceIPDisabled, Queue: r.Name, At: e.Time, Known: true, Initial: initial}
		for _, cause := range r.Events {
			if s := Reply(cause.Text); s != "" && cause.Kind == EventError && cause.Time.Equal(e.Time) {
				c.Reason, c.SourceIP = s, ConnectedFrom(cause.Text)
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// allDisabled knows the sentence
//
//	All SMTP sources for queue aol.com/192.0.2.1 are now disabled.
func allDisabled(text string) bool {
	low := strings.ToLower(text)
	return strings.HasPrefix(low, "all ") && strings.Contains(low, "source") && strings.Contains(low, "disabled")
}

// replyFor returns the newest SMTP reply to a connection from ip up to at.
func replyFor(events []Event, ip string, at time.Time) string {
	var mine []Event
	for _, e := range events {
		if ConnectedFrom(e.Text) == ip {
			mine = append(mine, e)
		}
	}
	return lastReply(mine, at)
}

// absent decides about a queue that is remembered but not listed.
func (t *Tracker) absent(changes []Change, name string, q *tracked, o *Observation) []Change {
	if d := o.Details[name]; d != nil {
		r := d.Row
		return t.queue(changes, &r, d, o)
	}
	if o.Failed[name] {
		q.misses++
	}
	if !o.Complete && q.misses < maxMisses {
		return changes
	}
	if q.Backoff {
		changes = append(changes, Change{Kind: QueueNormal, Queue: name, At: o.Now, Reason: "the queue is no longer listed"})
		q.Backoff, q.Since = false, o.Now
	}
	for _, ip := range slices.Sorted(maps.Keys(q.Disabled)) {
		changes = append(changes, Change{Kind: SourceIPEnabled, Queue: name, At: o.Now, SourceIP: ip, Reason: "the queue is no longer listed"})
	}
	q.Disabled = nil
	return changes
}
