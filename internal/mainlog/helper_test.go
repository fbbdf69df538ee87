package mainlog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// testOptions make results independent of the machine.
var testOptions = Options{Location: time.FixedZone("", 3600), Instance: "test", MaxRecordSize: 2048}

// event is an entry, session or reject, with its place in the file and
// everything in it as text.
type event struct {
	kind       string // entry, more (a continuation), session, reject
	start, end int
	head       string // all but its text
	body       string
	attrs      map[string]string
}

func (e event) String() string {
	if e.kind == "session" {
		return fmt.Sprintf("{%s,\"body\":%s}", e.head, quote(e.body))
	}
	return fmt.Sprintf("{\"start\":%d,\"end\":%d,%s,\"body\":%s}", e.start, e.end, e.head, quote(e.body))
}

// collector is a Handler that keeps what it gets and checks what must always
// hold. base is the position in the file of the present input.
type collector struct {
	t      testing.TB
	base   int
	events []event
	pieces [][2]int // every range seen, in order
}

func (c *collector) attrs(list []acct.Attr) (string, map[string]string) {
	var b strings.Builder
	m := map[string]string{}
	for i, a := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		v := quote(a.Str)
		switch a.Kind {
		case acct.KindInt:
			v = strconv.FormatInt(a.Num, 10)
		case acct.KindDouble:
			v = strconv.FormatFloat(math.Float64frombits(uint64(a.Num)), 'f', -1, 64)
		case acct.KindBool:
			v = strconv.FormatBool(a.Num != 0)
		case acct.KindString:
			if a.Str == "" {
				c.t.Errorf("%s is empty", a.Key)
			}
		default:
			c.t.Errorf("%s has kind %d", a.Key, a.Kind)
		}
		if !acct.Clean(a.Key) || !acct.Clean(a.Str) {
			c.t.Errorf("attribute %q=%q is no text", a.Key, a.Str)
		}
		if _, dup := m[a.Key]; dup {
			c.t.Errorf("attribute %s twice", a.Key)
		}
		m[a.Key] = strings.Clone(v)
		fmt.Fprintf(&b, "%q:%s", a.Key, v)
	}
	return b.String(), m
}

func stamp(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339)
}

func (c *collector) Entry(e *Entry) {
	if e.Event == "" || e.Severity.String() == "" || e.Stream != semconv.StreamDiag && e.Stream != semconv.StreamPanic {
		c.t.Errorf("entry %q has event %q, severity %d, stream %q", e.Text, e.Event, e.Severity, e.Stream)
	}
	if !acct.Clean(e.Text) {
		c.t.Errorf("%q is no text", e.Text)
	}
	ev := event{kind: "entry", start: c.base + e.Start, end: c.base + e.End, body: strings.Clone(e.Text)}
	if e.Continuation {
		ev.kind = "more"
	}
	var list string
	list, ev.attrs = c.attrs(e.Attrs)
	ev.head = fmt.Sprintf(`"event":%q,"severity":%q,"stream":%q,"time":%q,"uid":"%s","attributes":{%s}`,
		e.Event, e.Severity, e.Stream, stamp(e.Time), acct.AppendUID(nil, e.UID), list)
	c.add(ev.start, ev.end)
	c.events = append(c.events, ev)
}

func (c *collector) Session(s *Session) {
	ev := event{kind: "session", body: s.Text}
	var list string
	list, ev.attrs = c.attrs(s.Attrs)
	ev.head = fmt.Sprintf(`"session":true,"severity":%q,"time":%q,"uid":"%s","attributes":{%s}`, s.Severity, stamp(s.Time), acct.AppendUID(nil, s.UID), list)
	c.events = append(c.events, ev)
}

func (c *collector) Reject(r acct.Reject) {
	ev := event{kind: "reject", start: c.base + r.Start, end: c.base + r.End, head: fmt.Sprintf(`"reject":%q`, r.Reason), body: r.Detail}
	c.add(ev.start, ev.end)
	c.events = append(c.events, ev)
}

func (c *collector) add(start, end int) {
	if end <= start {
		c.t.Errorf("empty range %d-%d", start, end)
	}
	c.pieces = append(c.pieces, [2]int{start, end})
}

// quote writes s as JSON.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// decodeAt decodes file in pieces that end at the given positions, and flushes
// the sessions. With restore, a new Decoder goes on after each piece.
func decodeAt(t testing.TB, o Options, file string, restore bool, cuts ...int) []event {
	t.Helper()
	c := &collector{t: t}
	trace := func(_ string, start, end int) { c.add(c.base+start, c.base+end) }
	d := NewDecoder(o)
	d.trace = trace
	step := func(end int, final bool) {
		used := d.Decode(file[c.base:end], final, c)
		if used < 0 || c.base+used > end {
			t.Fatalf("used %d of %d bytes", used, end-c.base)
		}
		if final && c.base+used != end {
			t.Fatalf("%d of %d bytes left in the end", end-c.base-used, end-c.base)
		}
		if used == 0 && end-c.base > d.max {
			t.Fatalf("nothing used of %d bytes", end-c.base)
		}
		c.base += used
		if d.Offset() != int64(c.base) {
			t.Fatalf("offset %d, used %d", d.Offset(), c.base)
		}
		state := d.State()
		if len(state) > d.opts.MaxState {
			t.Fatalf("state of %d bytes, at most %d", len(state), d.opts.MaxState)
		}
		if restore {
			d = NewDecoder(o)
			d.trace = trace
			if err := d.Restore(state, int64(c.base)); err != nil {
				t.Fatal(err)
			}
			if again := d.State(); string(again) != string(state) {
				t.Fatalf("state changes when restored\n%x\n%x", state, again)
			}
		}
	}
	for _, cut := range cuts {
		if cut >= c.base {
			step(cut, false)
		}
	}
	step(len(file), true)
	at := 0
	for _, p := range c.pieces {
		if p[0] != at {
			t.Fatalf("bytes %d-%d are missing or seen twice", at, p[0])
		}
		at = p[1]
	}
	if at != len(file) {
		t.Fatalf("bytes behind %d are missing", at)
	}
	d.Flush(c)
	if d.Open() != 0 {
		t.Fatal("sessions are open after Flush")
	}
	return c.events
}

// joined puts continuations back to the entries that they continue, which is
// the only thing that cuts may change, and sessions behind them.
func joined(events []event) []event {
	var out []event
	last := -1 // entry that a continuation belongs to
	for _, e := range events {
		// The mark tells of the text of this record.
		e.head = strings.Replace(strings.Replace(e.head, `,"pmta.sanitized":true`, "", 1), `"pmta.sanitized":true`, "", 1)
		switch e.kind {
		case "more":
			if last >= 0 {
				out[last].body += "\n" + e.body
				out[last].end = e.end
				continue
			}
			last = len(out)
		case "entry":
			last = len(out)
		case "reject":
			last = -1
		}
		out = append(out, e)
	}
	return out
}
