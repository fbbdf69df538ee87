package acct

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testOptions make results independent of the machine.
var testOptions = Options{
	Location:      time.FixedZone("", 5*3600+1800),
	MaxRecordSize: 2048,
	Instance:      "test",
}

// event is a record or reject, with its place in the file and everything in
// it as text.
type event struct {
	start, end int
	reason     Reason
	text       string
	attrs      map[string]string
}

// collector is a Handler that keeps what it gets and checks what must always
// hold. base is the position in the file of the present input.
type collector struct {
	t      testing.TB
	base   int
	events []event
	pieces [][2]int // every range seen, in order
}

func (c *collector) Record(r *Record) {
	e := event{start: c.base + r.Start, end: c.base + r.End, attrs: map[string]string{}}
	num, sev := r.Type.Severity()
	var b strings.Builder
	fmt.Fprintf(&b, `"event":%q,"severity":"%d %s","time":%q,"uid":"%s"`, r.Type.EventName(), num, sev,
		time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano), AppendUID(nil, r.UID))
	b.WriteString(`,"attributes":{`)
	for i, a := range r.Attrs {
		if i > 0 {
			b.WriteByte(',')
		}
		v := strconv.Quote(a.Str)
		switch a.Kind {
		case KindInt:
			v = strconv.FormatInt(a.Num, 10)
		case KindDouble:
			v = strconv.FormatFloat(math.Float64frombits(uint64(a.Num)), 'f', -1, 64)
		case KindBool:
			v = strconv.FormatBool(a.Num != 0)
		case KindStrings:
			list := strings.Split(a.Str, ",")
			for i, s := range list {
				if s == "" {
					c.t.Errorf("empty element in %s %q", a.Key, a.Str)
				}
				list[i] = strconv.Quote(s)
			}
			v = "[" + strings.Join(list, ",") + "]"
		case KindString:
			if a.Str == "" {
				c.t.Errorf("%s is empty", a.Key)
			}
		}
		if !clean(a.Key) || !clean(a.Str) {
			c.t.Errorf("attribute %q=%q is no text", a.Key, a.Str)
		}
		if _, dup := e.attrs[a.Key]; dup {
			c.t.Errorf("attribute %s twice", a.Key)
		}
		e.attrs[a.Key] = v
		fmt.Fprintf(&b, "%q:%s", a.Key, v)
	}
	b.WriteByte('}')
	e.text = b.String()
	if r.Time == 0 {
		c.t.Error("time is 0")
	}
	c.add(e.start, e.end)
	c.events = append(c.events, e)
}

func (c *collector) Reject(r Reject) {
	e := event{start: c.base + r.Start, end: c.base + r.End, reason: r.Reason}
	e.text = fmt.Sprintf(`"reject":%q,"detail":%q`, r.Reason, r.Detail)
	c.add(e.start, e.end)
	c.events = append(c.events, e)
}

func (c *collector) add(start, end int) {
	if end <= start {
		c.t.Errorf("empty range %d-%d", start, end)
	}
	c.pieces = append(c.pieces, [2]int{start, end})
}

func (c *collector) trace(_ string, start, end int) { c.add(c.base+start, c.base+end) }

// decodeAt decodes file in pieces that end at the given positions. With
// restore, a new Decoder goes on after each piece.
func decodeAt(t testing.TB, o Options, file string, restore bool, cuts ...int) []event {
	t.Helper()
	c := &collector{t: t}
	d := NewDecoder(o)
	d.trace = c.trace
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
		if restore {
			state := d.State()
			d = NewDecoder(o)
			d.trace = c.trace
			if err := d.Restore(state, int64(c.base)); err != nil {
				t.Fatal(err)
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
	return c.events
}

func sameEvents(t testing.TB, what string, want, got []event) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if want[i].start != got[i].start || want[i].end != got[i].end || want[i].text != got[i].text {
			t.Fatalf("%s: event %d\n got %d-%d %s\nwant %d-%d %s", what, i, got[i].start, got[i].end, got[i].text, want[i].start, want[i].end, want[i].text)
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%s: %d events, want %d", what, len(got), len(want))
	}
}
