package acct

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

func uids(t *testing.T, o Options, file string) []string {
	t.Helper()
	var out []string
	for _, e := range decodeAt(t, o, file, false) {
		_, rest, ok := strings.Cut(e.text, `"uid":"`)
		if !ok {
			t.Fatal(e.text)
		}
		out = append(out, rest[:32])
	}
	return out
}

func TestUID(t *testing.T) {
	const head = "type,timeLogged,jobId\n"
	const row = "d,2026-02-08 21:54:05+0100,j\n"
	file := head + row + row + row
	first := uids(t, testOptions, file)
	seen := map[string]bool{}
	for _, u := range first {
		if seen[u] {
			t.Error("equal records have the same UID")
		}
		seen[u] = true
	}
	if again := uids(t, testOptions, file); strings.Join(again, "") != strings.Join(first, "") {
		t.Error("another reading gives other UIDs")
	}
	if longer := uids(t, testOptions, file+row); strings.Join(longer[:3], "") != strings.Join(first, "") {
		t.Error("more records change the UIDs of those before")
	}
	for what, other := range map[string][]string{
		"another instance":     uids(t, Options{Instance: "other"}, file),
		"another first record": uids(t, testOptions, head+strings.Replace(row, "j", "k", 1)+row+row),
		"another header":       uids(t, testOptions, strings.Replace(head, "jobId", "envId", 1)+row+row+row),
	} {
		for _, u := range other {
			if seen[u] {
				t.Errorf("%s gives the same UID", what)
			}
		}
	}
}

func TestAppendUID(t *testing.T) {
	if got := string(AppendUID([]byte("x"), [2]uint64{0x00c2a1f07d3e5b68, 0x0123456789abcdef})); got != "x00c2a1f07d3e5b680123456789abcdef" {
		t.Error(got)
	}
}

func TestRestore(t *testing.T) {
	d := NewDecoder(testOptions)
	d.Decode("type,timeLogged\nd,2026-02-08 21:54:05+0100\n", false, &counter{})
	good := d.State()
	if !bytes.Equal(good, d.State()) || &good[0] != &d.State()[0] {
		t.Error("State is made anew without need")
	}
	for name, state := range map[string][]byte{
		"short":   good[:10],
		"version": append([]byte{9}, good[1:]...),
		"format":  append([]byte{stateVersion, 9}, good[2:]...),
		"header":  append(bytes.Clone(good[:20]), "type,,"...),
		"quote":   append(bytes.Clone(good[:20]), `type,"x`...),
	} {
		if err := NewDecoder(testOptions).Restore(state, 44); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := NewDecoder(testOptions).Restore(good, -1); !errors.Is(err, ErrState) {
		t.Error("negative offset:", err)
	}
	if err := NewDecoder(testOptions).Restore(nil, 44); err != nil {
		t.Error(err)
	}
}

// columnsSeen notes Columns at each record, and how often the slice was another one.
type columnsSeen struct {
	d       *Decoder
	last    []string
	changes int
	seen    []string
}

func (c *columnsSeen) Record(*Record) {
	cols := c.d.Columns()
	if len(c.last) == 0 || &cols[0] != &c.last[0] {
		c.changes++
		c.last = cols
	}
	c.seen = append(c.seen, strings.Join(cols, " "))
}

func (c *columnsSeen) Reject(Reject) {}

func TestColumns(t *testing.T) {
	const row = "2026-02-08 21:54:05+0100"
	for name, c := range map[string]struct {
		file    string
		seen    []string
		changes int
		after   string
	}{
		"csv": {"type,timeLogged\nd," + row + "\nd," + row + "\ntype,timeLogged\nd," + row + "\ntype,timeLogged,jobId\nd," + row + ",j\n",
			[]string{"type timeLogged", "type timeLogged", "type timeLogged", "type timeLogged jobId"}, 2, "type timeLogged jobId"},
		"header only": {"type, timeLogged ,jobId\n", nil, 0, "type timeLogged jobId"},
		"bad header":  {"type,timeLogged\nd," + row + "\ntype,,x\n", []string{"type timeLogged"}, 1, ""},
		"json": {`{"type":"d","timeLogged":"` + row + `"}` + "\n" + `{"type":"d","timeLogged":"` + row + `"}` + "\n" + `{"timeLogged":"` + row + `","type":"b"}` + "\n",
			[]string{"type timeLogged", "type timeLogged", "timeLogged type"}, 2, "timeLogged type"},
		"empty": {"", nil, 0, ""},
	} {
		d := NewDecoder(testOptions)
		h := &columnsSeen{d: d}
		d.Decode(c.file, true, h)
		if strings.Join(h.seen, ";") != strings.Join(c.seen, ";") || h.changes != c.changes || strings.Join(d.Columns(), " ") != c.after || d.JSON() != (name == "json") {
			t.Errorf("%s: %q, %d changes, %q in the end", name, h.seen, h.changes, d.Columns())
		}
	}
	d := NewDecoder(testOptions)
	d.Decode("type,timeLogged,jobId\n", false, &counter{})
	again := NewDecoder(testOptions)
	if err := again.Restore(d.State(), d.Offset()); err != nil || strings.Join(again.Columns(), " ") != "type timeLogged jobId" {
		t.Errorf("restored: %v, %q", err, again.Columns())
	}
}

// The usual case costs no allocation.
func TestNoAllocation(t *testing.T) {
	file := sampleFile(2000)
	d := NewDecoder(Options{})
	var c counter
	d.Decode(file, true, &c)
	rows := file[strings.IndexByte(file, '\n')+1:]
	if n := testing.AllocsPerRun(10, func() { d.Decode(rows, true, &c) }); n > 2 {
		t.Errorf("%v allocations for 2000 records", n)
	}
	if c.rejects > 0 {
		t.Error(c.rejects, "rejected")
	}
}

// What a Decoder keeps between calls must not hold the input in memory.
func TestRelease(t *testing.T) {
	d := NewDecoder(Options{})
	d.Decode(sampleFile(10), true, &counter{})
	for _, a := range d.attrs {
		if a.Key != "" || a.Str != "" {
			t.Fatalf("still holds %s %s", a.Key, a.Str)
		}
	}
	if d.rec.TypeText != "" || d.rec.Diag != "" || d.rec.Attrs != nil || d.listIn != "" || d.listOut != "" {
		t.Error("still holds the last record")
	}
}

func TestTypes(t *testing.T) {
	events := map[string]bool{}
	for _, typ := range Types {
		if ParseType(typ.String()) != typ {
			t.Errorf("%s is not read back", typ)
		}
		if events[typ.EventName()] || !strings.HasPrefix(typ.EventName(), "pmta.") {
			t.Errorf("event name %q", typ.EventName())
		}
		events[typ.EventName()] = true
	}
	for _, s := range []string{"", "D", "x", "rx", "unknown"} {
		if ParseType(s) != TypeUnknown {
			t.Errorf("%q has a type", s)
		}
	}
	if TypeUnknown.Outcome() != semconv.OutcomeUnknown {
		t.Error(TypeUnknown.Outcome())
	}
}

// Every documented column leads to the attributes that the table names.
func TestFields(t *testing.T) {
	values := map[string]string{
		"timeQueued": "2026-02-08 21:54:05+0100", "totalSecondsQueued": "3", "dsnStatus": "5.1.1 (text)",
		"dsnDiag": "x-pmta;bounce-queue;reply:550 5.1.1 text", "dsnMta": "host (192.0.2.1)", "srcMta": "host (192.0.2.1)",
		"dlvType": "smtp", "dlvSize": "7", "queue": "a/b", "header_From": "A <a@b.example>", "header_Reply-To": "A <a@b.example>",
		"dlvTlsProtocol": "TLSv1.2", "orig": "a@b.example", "rcpt": "a@b.example", "dlvDestinationIp": "192.0.2.2",
		"time*": "2026-02-08 21:54:05+0100", "timeFirstAttempt": "1770587645", "timeImprinted": "1770587645",
	}
	for _, f := range Fields() {
		if f.op == opSkip {
			continue
		}
		name := strings.Replace(f.Column, "*", "_new", 1)
		value := or(values[f.Column], "v")
		file := "type,timeLogged," + name + ",dlvDestinationIp\nd,2026-02-08 21:54:06+0100," + value + ",\n"
		if f.Column == "dsnMta" {
			file = strings.TrimSuffix(file, "\n") + "192.0.2.9\n"
		}
		e := decodeAt(t, testOptions, file, false)
		if len(e) != 1 || e[0].reason != "" {
			t.Fatalf("%s: %v", f.Column, e)
		}
		for _, a := range f.Attrs {
			key := a.Key
			if a.Key == semconv.PMTAQueueRollup {
				continue // not together with the domain
			}
			found := false
			for k := range e[0].attrs {
				found = found || k == key || strings.HasSuffix(key, "*") && strings.HasPrefix(k, strings.TrimSuffix(key, "*"))
			}
			if !found {
				t.Errorf("%s: no %s in %v", f.Column, key, e[0].attrs)
			}
			if !strings.HasSuffix(key, "*") && len(e[0].attrs[key]) > 0 {
				quoted := e[0].attrs[key][0] == '"'
				if quoted != (a.Kind == KindString) {
					t.Errorf("%s: %s is %s", f.Column, key, e[0].attrs[key])
				}
			}
		}
	}
}

// A quoted field around 16 whole lines that start like records was never
// closed; around fewer it may be text. Neither waits for the end of the file.
func TestSwallowed(t *testing.T) {
	const head, row = "type,timeLogged,jobId,envId\n", "d,2026-02-08 21:54:05+0100,j,e\n"
	open := `d,2026-02-08 21:54:05+0100,"text` + "\n"
	last := `d,2026-02-08 21:54:05+0100,j",e` + "\n"
	for _, c := range []struct {
		rows, records, rejects int
	}{
		{15, 1, 0},  // and the 16th holds the closing quote
		{16, 17, 1}, // in the last one the quote is a character like any other
	} {
		file := head + open + strings.Repeat(row, c.rows) + last
		var got counter
		used := NewDecoder(testOptions).Decode(file, false, &got)
		if used != len(file) || got.records != c.records || got.rejects != c.rejects {
			t.Errorf("%d rows in quotes: %d records, %d rejects, %d of %d bytes used", c.rows, got.records, got.rejects, used, len(file))
		}
	}
	var got counter
	file := head + open + strings.Repeat(row, 20)
	if used := NewDecoder(testOptions).Decode(file, false, &got); used != len(file) || got.records != 20 || got.rejects != 1 {
		t.Errorf("never closed: %d records, %d rejects, %d of %d bytes used", got.records, got.rejects, used, len(file))
	}
}

func TestParseUID(t *testing.T) {
	for _, uid := range [][2]uint64{{}, {1, 2}, {1<<64 - 1, 1 << 63}} {
		if got, ok := ParseUID(string(AppendUID(nil, uid))); !ok || got != uid {
			t.Errorf("%x: got %x, %v", uid, got, ok)
		}
	}
	for _, bad := range []string{"", "12", "0x000000000000000000000000000000", "00000000000000000000000000000000g", "+0000000000000000000000000000000"} {
		if _, ok := ParseUID(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A writer whose file was truncated goes on without a header line.
func TestAssume(t *testing.T) {
	d := NewDecoder(testOptions)
	d.Decode("type,timeLogged,header_X-Job\nd,2026-02-08 21:54:05+0100,a\n", false, &counter{})
	before := d.State()

	const rows = "b,2026-02-08 21:54:05+0100,b\nd,2026-02-08 21:54:05+0100\nd,2026-02-08 21:54:05+0100,c\n"
	const later = "type,timeLogged,header_X-Job\nd,2026-02-08 21:54:05+0100,d\n"
	decode := func(d *Decoder, text string, base int) []event {
		c := &collector{t: t, base: base}
		if used := d.Decode(text, true, c); used != len(text) {
			t.Fatal(used)
		}
		return c.events
	}
	d = NewDecoder(testOptions)
	d.Assume(before)
	events := decode(d, rows, 0)
	if len(events) != 3 || events[0].attrs["pmta.header.x_job"] != `"b"` || events[1].reason != ReasonNoHeader || events[2].attrs["pmta.header.x_job"] != `"c"` {
		t.Fatalf("%+v", events)
	}
	state := d.State()
	again := NewDecoder(testOptions)
	if err := again.Restore(state, int64(len(rows))); err != nil {
		t.Fatal(err)
	}
	sameEvents(t, "restored", decode(d, rows+later, len(rows)), decode(again, rows+later, len(rows)))

	// With a header of its own the file is like any other, and so are its UIDs.
	plain := NewDecoder(testOptions)
	d = NewDecoder(testOptions)
	d.Assume(before)
	sameEvents(t, "with a header", decode(plain, later+rows, 0), decode(d, later+rows, 0))

	// The default columns are known by their number, JSON has its own.
	d = NewDecoder(testOptions)
	d.Decode("type,timeLogged"+strings.Repeat(",x", 40)+"\n", false, &counter{})
	wide := d.State()
	for _, input := range []string{goldenInputs(t)["testdata/no_header"], goldenInputs(t)["testdata/json_lines"]} {
		if input == "" {
			t.Fatal("no input")
		}
		d = NewDecoder(testOptions)
		d.Assume(wide)
		sameEvents(t, "of its own", decode(NewDecoder(testOptions), input, 0), decode(d, input, 0))
	}
	d = NewDecoder(testOptions)
	d.Assume([]byte("damaged"))
	if got := decode(d, rows, 0); len(got) != 3 || got[0].reason != ReasonNoHeader {
		t.Fatalf("%+v", got)
	}
}
