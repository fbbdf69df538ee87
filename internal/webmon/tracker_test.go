package webmon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// at is a time on the day of the tests: at("10:30:00").
func at(clock string) time.Time {
	t, err := time.Parse(timeLayout, "2026-01-31 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func q(name, mode string, events ...Event) Row {
	return Row{Name: name, Recipients: Some[int64](1), Mode: mode, Events: events}
}

func errorAt(clock, text string) Event { return Event{Kind: EventError, Time: at(clock), Text: text} }

func modeAt(clock, mode, text string) Event {
	return Event{Kind: EventMode, Time: at(clock), Mode: mode, Text: text}
}

func detail(r Row, disabled ...DisabledIP) *QueueDetail {
	return &QueueDetail{Row: r, Disabled: disabled, DisabledListed: len(disabled) > 0}
}

func details(d ...*QueueDetail) map[string]*QueueDetail {
	m := map[string]*QueueDetail{}
	for _, x := range d {
		m[x.Name] = x
	}
	return m
}

// story writes changes as lines that can be compared.
func story(changes []Change) (lines []string) {
	names := []string{"backoff", "normal", "disabled", "enabled"}
	for _, c := range changes {
		s := fmt.Sprintf("%s %s %s", c.At.Format("15:04:05"), c.Queue, names[c.Kind])
		if c.SourceIP != "" {
			s += " " + c.SourceIP
		}
		if c.Reason != "" {
			s += fmt.Sprintf(" %q", c.Reason)
		}
		if c.Pattern != "" {
			s += " " + c.Pattern
		}
		if c.Known {
			s += " known"
		}
		if c.Initial {
			s += " initial"
		}
		lines = append(lines, s)
	}
	return lines
}

type step struct {
	o    Observation
	want []string
}

func play(t *testing.T, tr *Tracker, steps ...step) {
	t.Helper()
	for i, s := range steps {
		require.Equal(t, s.want, story(tr.Observe(s.o)), "step %d", i)
	}
}

// A list that says the mode is enough for backoff.
func TestTrackerByList(t *testing.T) {
	tr := NewTracker()
	reply := `Error: "421 4.7.0 wait" while connected from h (192.0.2.1) to x (192.0.2.25)`
	play(t, tr,
		step{Observation{Now: at("10:00:00"), Rows: []Row{q("a/1", ModeNormal), q("b/1", ModeBackoff, errorAt("08:00:00", reply))}},
			[]string{`10:00:00 b/1 backoff "421 4.7.0 wait" initial`}},
		step{Observation{Now: at("10:00:30"), Rows: []Row{q("a/1", ModeNormal), q("b/1", ModeBackoff)}}, nil},
		step{Observation{Now: at("10:01:00"), Rows: []Row{q("a/1", ModeBackoff, errorAt("10:00:40", "ETIMEDOUT"), errorAt("10:00:35", reply)), q("b/1", ModeNormal)}},
			[]string{`10:01:00 a/1 backoff "421 4.7.0 wait"`, `10:01:00 b/1 normal`}},
		// Not in the list: unknown, not well.
		step{Observation{Now: at("10:01:30"), Rows: []Row{q("b/1", ModeNormal)}}, nil},
		step{Observation{Now: at("10:02:00"), Rows: []Row{q("a/1", ModeBackoff)}}, nil},
		step{Observation{Now: at("10:02:30"), Complete: true}, []string{`10:02:30 a/1 normal "the queue is no longer listed"`}},
	)
	n, ips := tr.Backoff()
	require.Zero(t, n+ips)
	require.Empty(t, tr.queues)
	require.Empty(t, tr.seen)
}

// Details date the changes, name the reason, and know the source IPs.
func TestTrackerByDetails(t *testing.T) {
	tr := NewTracker()
	why := "421 4.7.28 too fast"
	backoff := func(events ...Event) *QueueDetail {
		d := detail(q("a/1", ModeBackoff, events...))
		d.BackoffReason, d.BackoffPattern = why, "/4.7.28/"
		return d
	}
	withIP := func(d *QueueDetail, ips ...DisabledIP) *QueueDetail {
		d.Disabled, d.DisabledListed = ips, true
		return d
	}
	ip := DisabledIP{IP: "192.0.2.1", Since: at("09:59:00"), Reason: "521 no"}
	play(t, tr,
		step{Observation{Now: at("10:00:00"), Rows: []Row{q("a/1", "")},
			Details: details(withIP(backoff(modeAt("09:58:00", ModeBackoff, ""), modeAt("09:00:00", ModeNormal, "")), ip))},
			[]string{`09:58:00 a/1 backoff "421 4.7.28 too fast" /4.7.28/ known initial`, `09:59:00 a/1 disabled 192.0.2.1 "521 no" known initial`}},
		// The same once more.
		step{Observation{Now: at("10:00:30"), Rows: []Row{q("a/1", "")},
			Details: details(withIP(backoff(modeAt("09:58:00", ModeBackoff, "")), ip))}, nil},
		// Out and in again between two looks; another IP, of unknown age, with a reply among the errors; the first one is back.
		step{Observation{Now: at("10:01:00"), Rows: []Row{q("a/1", "")},
			Details: details(withIP(backoff(modeAt("10:00:50", ModeBackoff, `"451 4.7.1 greylisted"`), modeAt("10:00:40", ModeNormal, ""), modeAt("09:58:00", ModeBackoff, ""),
				errorAt("10:00:52", `Error: "521 5.2.1 no" while connected from h (192.0.2.2) to x (192.0.2.25)`), errorAt("10:00:53", `Error: "521 other" while connected from h (192.0.2.3) to x (192.0.2.25)`)),
				DisabledIP{IP: "192.0.2.2"}))},
			[]string{`10:00:40 a/1 normal known`, `10:00:50 a/1 backoff "451 4.7.1 greylisted" /4.7.28/ known`,
				`10:01:00 a/1 disabled 192.0.2.2 "521 5.2.1 no"`, `10:01:00 a/1 enabled 192.0.2.1`}},
		// No list of disabled source IPs any more: none is.
		step{Observation{Now: at("10:01:30"), Rows: []Row{q("a/1", "")}, Details: details(detail(q("a/1", ModeNormal, modeAt("10:01:20", ModeNormal, ""))))},
			[]string{`10:01:20 a/1 normal known`, `10:01:30 a/1 enabled 192.0.2.2`}},
		// In backoff for a moment only.
		step{Observation{Now: at("10:02:00"), Rows: []Row{q("a/1", "")}, Details: details(detail(q("a/1", ModeNormal, modeAt("10:01:55", ModeNormal, ""), modeAt("10:01:45", ModeBackoff, ""), modeAt("10:01:20", ModeNormal, ""))))},
			[]string{`10:01:45 a/1 backoff known`, `10:01:55 a/1 normal known`}},
		// Seen for the first time, but like this before the last look.
		step{Observation{Now: at("10:03:00"), Rows: []Row{q("z/9", ModeBackoff)}, Details: details(detail(q("z/9", ModeBackoff, modeAt("08:00:00", ModeBackoff, "")), DisabledIP{IP: "192.0.2.9", Since: at("08:00:01")}))},
			[]string{`08:00:00 z/9 backoff known initial`, `08:00:01 z/9 disabled 192.0.2.9 known initial`}},
		// The same IP disabled anew.
		step{Observation{Now: at("10:04:00"), Rows: []Row{q("z/9", ModeBackoff)}, Details: details(detail(q("z/9", ModeBackoff), DisabledIP{IP: "192.0.2.9", Since: at("10:03:30")}))},
			[]string{`10:03:30 z/9 disabled 192.0.2.9 known`}},
	)
}

// A queue that no list shows is looked for; when even its own page is gone it
// is forgotten, and that is told.
func TestTrackerAbsent(t *testing.T) {
	tr := NewTracker()
	failed := map[string]bool{"a/1": true}
	play(t, tr,
		step{Observation{Now: at("10:00:00"), Rows: []Row{q("a/1", ModeBackoff), q("b/1", ModeBackoff)}, Details: details(detail(q("a/1", ModeBackoff), DisabledIP{IP: "192.0.2.1"}))},
			[]string{`10:00:00 a/1 backoff initial`, `10:00:00 a/1 disabled 192.0.2.1 initial`, `10:00:00 b/1 backoff initial`}},
		step{Observation{Now: at("10:00:30"), Failed: failed, Details: details(detail(q("b/1", ModeBackoff)))}, nil},
		step{Observation{Now: at("10:01:00"), Failed: failed, Details: details(detail(q("b/1", ModeNormal)))}, []string{`10:01:00 b/1 normal`}},
		step{Observation{Now: at("10:01:30"), Failed: failed}, []string{
			`10:01:30 a/1 normal "the queue is no longer listed"`, `10:01:30 a/1 enabled 192.0.2.1 "the queue is no longer listed"`}},
		step{Observation{Now: at("10:02:00"), Failed: failed}, nil},
	)
	require.Empty(t, tr.queues)
}

// Old versions tell of disabled sources only in a sentence among the errors.
func TestTrackerBySentence(t *testing.T) {
	l, err := ParseList(page(t, "4.5/queues.xml"), Queues, utc)
	require.NoError(t, err)
	now := time.Date(2024, 3, 5, 9, 30, 0, 0, time.UTC)
	tr := NewTracker()
	initial := tr.Observe(Observation{Now: now, Rows: l.Rows})
	require.Equal(t, []Change{
		{Kind: SourceIPDisabled, Queue: "aol.com/vmta-a", At: time.Date(2024, 3, 5, 6, 42, 33, 0, time.UTC), Known: true, Initial: true,
			Reason: "521 5.2.1 :  AOL will not accept delivery of this message.", SourceIP: "203.0.113.246"},
		{Kind: QueueBackoff, Queue: "aol.com/vmta-a", At: now, Initial: true, Reason: "521 5.2.1 :  AOL will not accept delivery of this message."},
	}, initial)
	require.Empty(t, tr.Observe(Observation{Now: now.Add(30 * time.Second), Rows: l.Rows}))

	again := slices.Clone(l.Rows)
	again[2].Events = []Event{{Kind: EventError, Time: now.Add(40 * time.Second), Text: "All SMTP sources for queue yahoo.rollup/vmta-a are now disabled."}}
	got := tr.Observe(Observation{Now: now.Add(time.Minute), Rows: again})
	require.Equal(t, []Change{{Kind: SourceIPDisabled, Queue: "yahoo.rollup/vmta-a", At: now.Add(40 * time.Second), Known: true}}, got)
	require.Empty(t, tr.Observe(Observation{Now: now.Add(90 * time.Second), Rows: again}))
	// A page with the list says it better, and not twice.
	d, err := ParseQueueDetail(page(t, "4.5/queueDetail.xml"), utc)
	require.NoError(t, err)
	got = tr.Observe(Observation{Now: now.Add(2 * time.Minute), Rows: again, Details: details(d)})
	require.Len(t, got, 1)
	require.Equal(t, SourceIPDisabled, got[0].Kind)
	require.True(t, got[0].Initial)
}

// Requests for details are bounded, and nobody waits for ever.
func TestTrackerWanted(t *testing.T) {
	tr := NewTracker()
	var rows []Row
	for i := range 8 {
		rows = append(rows, q(fmt.Sprintf("q%d/1", i), ModeBackoff))
	}
	require.Nil(t, tr.Wanted(rows, nil, 0))
	require.Equal(t, []string{"q0/1", "q1/1", "q2/1", "q3/1"}, tr.Wanted(rows, nil, 4))
	tr.Observe(Observation{Now: at("10:00:00"), Rows: rows})
	got := map[string]int{}
	for range 8 {
		names := tr.Wanted(rows, nil, 4)
		require.Len(t, names, 4)
		for _, n := range names {
			got[n]++
		}
		tr.Observe(Observation{Now: at("10:00:00"), Rows: rows})
	}
	require.Len(t, got, 8)
	require.Equal(t, 4, slices.Min(slices.Collect(maps.Values(got))), "each as often as the others")

	// News has a quarter of them; what there is no room for comes later.
	for i := range 3 {
		rows = append(rows, q(fmt.Sprintf("news%d/1", i), "", errorAt("10:00:10", "ETIMEDOUT")))
	}
	rows = append(rows, q("told/1", ModeNormal, errorAt("10:00:10", "source 192.0.2.1 disabled")), q("quiet/1", ModeNormal, errorAt("10:00:10", "ETIMEDOUT")))
	var asked []string
	for range 4 {
		names := tr.Wanted(rows, nil, 4)
		require.Len(t, names, 4)
		asked = append(asked, names[3])
		tr.Observe(Observation{Now: at("10:01:00"), Rows: rows})
	}
	require.Equal(t, []string{"told/1", "news0/1", "news1/1", "news2/1"}, asked)
	require.NotContains(t, strings.Join(tr.Wanted(rows, nil, 4), " "), "news")

	// Those missing from the list, or said to be well, come before the others.
	rows = rows[1:8]
	rows[4].Mode = ModeNormal
	require.Equal(t, []string{"q0/1", "q5/1"}, sorted(tr.Wanted(rows, nil, 2)))
	// With nothing to remember all of it is for news.
	tr = NewTracker()
	require.Len(t, tr.Wanted([]Row{q("a", "", errorAt("10:00:00", "x")), q("b", "", errorAt("10:00:00", "x")), q("c", "")}, nil, 4), 2)
}

// Queues that the monitor named when asked for backoff are looked at, but not
// all the time if they are well.
func TestTrackerHints(t *testing.T) {
	tr := NewTracker()
	rows := []Row{q("a/1", ""), q("b/1", "")}
	hints := map[string]bool{"b/1": true}
	times := 0
	for i := range 22 {
		names := tr.Wanted(rows, hints, 4)
		if len(names) > 0 {
			require.Equal(t, []string{"b/1"}, names)
			times++
		}
		o := Observation{Now: at("10:00:00"), Rows: rows, Details: map[string]*QueueDetail{}}
		for _, n := range names {
			o.Details[n] = detail(q(n, ModeNormal))
		}
		require.Empty(t, tr.Observe(o), i)
	}
	require.Equal(t, 2, times)
	require.Empty(t, tr.Wanted(rows, nil, 4))
	require.Empty(t, tr.hinted)
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// The memory outlives the agent: what was known is not told again, and what
// changed meanwhile is.
func TestTrackerSave(t *testing.T) {
	tr := NewTracker()
	rows := []Row{q("a/1", ModeBackoff), q("b/1", ModeBackoff)}
	require.Len(t, tr.Observe(Observation{Now: at("10:00:00"), Rows: rows, Details: details(detail(rows[0], DisabledIP{IP: "192.0.2.1"}))}), 3)
	b := tr.Save()
	next := NewTracker()
	require.NoError(t, next.Restore(b))
	require.Equal(t, string(b), string(next.Save()))
	play(t, next,
		step{Observation{Now: at("11:00:00"), Rows: []Row{q("a/1", ModeBackoff), q("b/1", ModeNormal), q("c/1", ModeBackoff)}},
			[]string{`11:00:00 b/1 normal`, `11:00:00 c/1 backoff`}})
	for _, bad := range []string{"", "{", `{"version":2}`, `[]`} {
		require.Error(t, next.Restore([]byte(bad)), bad)
	}
	require.NoError(t, next.Restore([]byte(`{"version":1,"queues":{"x":null}}`)))
}

func TestTrackerIsBounded(t *testing.T) {
	tr := NewTracker()
	var rows []Row
	for i := range maxTracked + 5 {
		rows = append(rows, q(fmt.Sprint("q", i), ModeBackoff))
	}
	require.Len(t, tr.Observe(Observation{Now: at("10:00:00"), Rows: rows}), maxTracked)
	require.Len(t, tr.queues, maxTracked)
	require.EqualValues(t, 5, tr.Overflow())
	n, _ := tr.Backoff()
	require.Equal(t, maxTracked, n)
}

func TestTop(t *testing.T) {
	list := func(total int64, counts ...int64) *List {
		l := &List{}
		for i, n := range counts {
			l.Rows = append(l.Rows, Row{Name: string(rune('a' + i)), Recipients: Some(n), Bytes: Some(n * 10), Connections: Some[int64](1)})
		}
		if total > 0 {
			l.TotalRecipients = Some(total)
		}
		return l
	}
	names := func(rows []Row) (s string) {
		for _, r := range rows {
			s += r.Name
		}
		return s
	}
	top := Top{N: 2}
	named, rest := top.Pick(list(100, 10, 30, 20, 5))
	require.Equal(t, "bc", names(named))
	require.Equal(t, Row{Name: Other, Recipients: Some[int64](50), Bytes: Some[int64](150), Connections: Some[int64](2), Domains: Some[int64](0)}, rest)
	// A little more does not push a name out, a quarter more does.
	named, _ = top.Pick(list(0, 24, 30, 20, 5))
	require.Equal(t, "bc", names(named))
	named, rest = top.Pick(list(0, 26, 30, 20, 5))
	require.Equal(t, "ab", names(named))
	require.EqualValues(t, 25, rest.Recipients.V)
	// Equal ones by name, whatever the order of the page.
	top = Top{N: 2}
	l := list(0, 7, 7, 7, 7)
	slices.Reverse(l.Rows)
	named, _ = top.Pick(l)
	require.Equal(t, "ab", names(named))
	// The name of the rest is not for others.
	top = Top{N: 5}
	l = list(0, 7)
	l.Rows = append(l.Rows, Row{Name: Other, Recipients: Some[int64](3)})
	named, rest = top.Pick(l)
	require.Equal(t, "a", names(named))
	require.EqualValues(t, 3, rest.Recipients.V)
	// A total below the sum is one of an earlier moment.
	_, rest = (&Top{N: 1}).Pick(list(1, 5, 4))
	require.EqualValues(t, 4, rest.Recipients.V)
	named, rest = (&Top{}).Pick(list(0, 5, 4))
	require.Empty(t, named)
	require.EqualValues(t, 9, rest.Recipients.V)
}
