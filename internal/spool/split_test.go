package spool

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, in string
		csv      int
	}{
		{"plain", "d,a,b\nd", 6},
		{"cr lf", "d,a,b\r\nd", 7},
		{"no line end", "d,a,b", 0},
		{"empty", "", 0},
		{"blank", "\n", 1},
		{"quoted", "d,\"a,b\",c\n", 10},
		{"line end in quotes", "d,\"a\nb\",c\nd", 10},
		{"cr lf in quotes", "d,\"a\r\nb\"\r\nd", 10},
		{"open quote", "d,\"a\nd,b\n", 0},
		{"escaped quote", "d,\"a\"\"\n\"\"b\"\nx", 12},
		{"perhaps escaped", "d,\"a\"", 0},
		{"closed, cr", "d,\"a\"\r", 0},
		{"quote in the middle of a field", "d,a\"b\nx", 6},
		{"text behind a closing quote", "d,\"a\"b\nx", 7},
		{"text behind, quotes again", "d,\"a\"b,\"\nx", 9},
		{"quoted first field", "\"a\n\",b\nx", 7},
		{"byte order mark", bom + "\"a\n\",b\nx", 10},
		{"empty quotes", "\"\",\"\"\nx", 6},
	} {
		if got := nextCSV([]byte(c.in)); got != c.csv {
			t.Errorf("%s: %d, want %d", c.name, got, c.csv)
		}
	}
	for _, c := range []struct {
		name, in string
		json     int
	}{
		{"line", `{"a":1}` + "\n{", 8},
		{"braces and quotes in text", `{"a":"}\"{"}` + "\n", 13},
		{"several lines", "{\n \"a\":1\n}\n{", 11},
		{"not closed", "{\"a\":1\n{\"b\":2}\n", 7},
		{"text not closed", "{\"a\n\"}\n", 4},
		{"closing brace too many", "}\n", 2},
		{"no line end", `{"a":1}`, 0},
		{"in the middle", "{\n", 0},
		{"bracket", "[\n{}", 2},
		{"backslash at the end", `{"a\`, 0},
	} {
		if got := nextJSON([]byte(c.in)); got != c.json {
			t.Errorf("JSON, %s: %d, want %d", c.name, got, c.json)
		}
	}
}

func TestIsHeader(t *testing.T) {
	for in, want := range map[string]bool{
		"type,timeLogged\n": true, "Type,x\r\n": true, "\"type\",x\n": true, " type ,x\n": true, bom + "type,x\n": true, "type\n": true,
		"t,2026\n": false, "tq,2026\n": false, "typed,x\n": false, "\"type": false, "": false, strings.Repeat("type", 30): false,
	} {
		if isHeader([]byte(in)) != want {
			t.Errorf("%q", in)
		}
	}
}

// However a record is cut off: sealed, it is rejected, and nothing else is.
func TestSeal(t *testing.T) {
	const cols = "type,timeLogged,rcpt,jobId\n"
	for _, rec := range []string{
		"d,2026-01-31 10:00:00+0000,a@b.example,job1\n",
		"d,2026-01-31 10:00:00+0000,\"a \"\"x\"\"\r\nd,2026-01-31 10:00:00+0000,b,c\r\n@b.example\",\"job,1\"\n",
	} {
		for cut := 1; cut < len(rec); cut++ {
			part := rec[:cut]
			got := decode([]string{cols + record4(1) + part + string(seal([]byte(part), 4)) + record4(2)})
			for _, r := range got.records {
				// A line within quotes that looks like a record may be taken for one.
				if r != record4(1) && r != record4(2) && !strings.HasSuffix(r, ",b,c\r\n") {
					t.Fatalf("cut at %d: %q became a record", cut, r)
				}
			}
			if len(got.rejects) == 0 || got.records[0] != record4(1) || got.records[len(got.records)-1] != record4(2) {
				t.Fatalf("cut at %d: %q, %v", cut, got.records, got.rejects)
			}
		}
	}
}

func record4(n int) string {
	return strings.NewReplacer("N", string(rune('0'+n))).Replace("d,2026-01-31 10:00:00+0000,N@b.example,jobN\n")
}

// pieces runs a reader over in, cut into pieces of size bytes, and returns
// what it queued; open is the bytes of it that belong to no whole record.
func pieces(in []byte, size, maxRecord int) (out []byte, total Totals, open int64) {
	q := newQueue(1<<30, 64<<10, -1)
	_ = (&reader{q: q, max: maxRecord}).run(&chopped{in, size})
	total = q.snapshot()
	for b := q.take(); b != nil; b = q.take() {
		out = append(out, b.buf...)
		open += b.extra
	}
	return out, total, open
}

type chopped struct {
	b    []byte
	size int
}

func (c *chopped) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), c.size)], c.b)
	c.b = c.b[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// places notes where records of a file are.
type places struct {
	at      [][2]int
	rejects int
}

func (p *places) Record(r *acct.Record) { p.at = append(p.at, [2]int{r.Start, r.End}) }
func (p *places) Reject(acct.Reject)    { p.rejects++ }

// How the input is cut makes no difference, no byte gets lost, and no record
// that the agent can read is cut.
func FuzzReader(f *testing.F) {
	f.Add([]byte(head+record(1)+record(2)+record(3)), uint16(7))
	f.Add([]byte(head+record(1)+head+"type,x\n"+record(2)+"d,\"open"), uint16(100))
	f.Add([]byte("{\"type\":\"d\"}\n{\n\"type\":\n\"b\"}\n[{}]\n{"), uint16(3))
	f.Add([]byte("\n\r\n"+bom+head+"d,\"a\"x\n\"\"\"\n"+strings.Repeat("y", 5000)+"\nz"), uint16(1))
	f.Add([]byte(head+"d,\""+strings.Repeat("line\n", 2000)+record(5)), uint16(999))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		const maxRecord = 4096
		n := max(1, int(size))
		out, total, _ := pieces(in, len(in)+1, maxRecord)
		again, total2, open := pieces(in, n, maxRecord)
		if !bytes.Equal(out, again) && total.Dropped[ReasonTooLarge].Records == 0 {
			t.Fatalf("cut into %d: %q, in one piece: %q", n, again, out)
		}
		if total2.Incomplete == 0 && open != 0 || int64(len(again))-open+total2.Lost().Bytes != total2.Read.Bytes {
			t.Fatalf("%d bytes queued, %d of them open, %+v", len(again), open, total2)
		}
	})
}

// The boundaries are those of the agent's decoder.
func FuzzBoundaries(f *testing.F) {
	f.Add(head + record(1) + record(2) + record(3))
	f.Add(head + "d,2026-01-31 10:00:00+0000,\"a\"\"\n\",b\"c,\"\"\n" + record(2))
	f.Add(`{"type":"d","timeLogged":"2026-01-31 10:00:00+0000"}` + "\n{\n\"timeLogged\":\"1770587645\",\"type\":\"b\"}\n")
	f.Fuzz(func(t *testing.T, in string) {
		var p places
		acct.NewDecoder(acct.Options{}).Decode(in, true, &p)
		if p.rejects > 0 || len(p.at) == 0 {
			t.Skip("nothing to expect of damaged input")
		}
		b := []byte(in)
		pos, i := 0, 0
		blank := len(b) - len(bytes.TrimLeft(b, " \t\r\n"))
		next := nextCSV
		if blank < len(b) && (b[blank] == '{' || b[blank] == '[') {
			next = nextJSON
		}
		for pos < len(b) {
			n := next(b[pos:])
			if n == 0 {
				break
			}
			pos += n
			for i < len(p.at) && p.at[i][1] <= pos {
				i++
			}
			if i < len(p.at) && p.at[i][0] < pos && pos < p.at[i][1] && !isBlank(b[pos:p.at[i][1]]) {
				t.Fatalf("cut at %d in the middle of the record at %v of %q", pos, p.at[i], in)
			}
		}
	})
}
