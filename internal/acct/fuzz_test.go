package acct

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// Well-formed CSV gives the fields that encoding/csv gives.
func FuzzDecodeCSV(f *testing.F) {
	f.Add("a,b\x00\"quoted\"\x00 c \x00line\nline\x00\r\n\x00é", uint8(3), false)
	f.Add("\x00\x00,\x00\"\x00\"\"\x00\n", uint8(2), true)
	f.Fuzz(func(t *testing.T, data string, width uint8, crlf bool) {
		n := int(width%6) + 1
		head := []string{"type", "timeLogged"}
		for i := range n {
			head = append(head, "c"+strconv.Itoa(i))
		}
		// Fields are what stands between "\x00"; \x01 stands for a NUL.
		values := strings.Split(data, "\x00")
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.UseCRLF = crlf
		_ = w.Write(head)
		for len(values) > 0 {
			row := []string{"d", "2026-02-08 21:54:05+0100"}
			for range n {
				v := ""
				if len(values) > 0 {
					v = strings.ReplaceAll(values[0], "\x01", "\x00")
					values = values[1:]
				}
				if strings.Count(v, "\n") >= swallowed {
					t.Skip("may look like a quote that was never closed")
				}
				row = append(row, v)
			}
			_ = w.Write(row)
		}
		w.Flush()
		o := testOptions
		o.MaxRecordSize = 0
		got := decodeAt(t, o, b.String(), false)
		r := csv.NewReader(&b)
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			row, err := r.Read()
			if err == io.EOF {
				if i != len(got) {
					t.Fatalf("%d records, want %d", len(got), i)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(got) {
				t.Fatalf("record %d is missing", i)
			}
			if got[i].reason != "" {
				t.Fatalf("record %d: %s", i, got[i].text)
			}
			for j, want := range row[2:] {
				// encoding/csv turns CRLF within quotes into LF.
				value, err := strconv.Unquote(or(got[i].attrs["pmta.field.c"+strconv.Itoa(j)], `""`))
				if err != nil {
					t.Fatal(err)
				}
				value = strings.ReplaceAll(value, "\r\n", "\n")
				if want = sanitize(want); value != want {
					t.Fatalf("record %d field %d: %q, want %q", i, j, value, want)
				}
			}
		}
	})
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Any input: no panic, every byte seen once, and the same result however it
// is cut and wherever another Decoder takes over.
func FuzzDecodeAny(f *testing.F) {
	for _, in := range goldenInputs(f) {
		f.Add(in[:min(len(in), 3000)], uint64(len(in)))
	}
	f.Fuzz(checkAny)
}

func checkAny(t *testing.T, data string, seed uint64) {
	o := testOptions
	rng := rand.New(rand.NewPCG(seed, 1))
	o.MaxRecordSize = []int{0, 256, 400, 2048}[rng.IntN(4)]
	want := decodeAt(t, o, data, false)
	var cuts []int
	for at := 0; ; {
		at += 1 + rng.IntN(1+len(data)/(1+rng.IntN(6)))
		if at >= len(data) {
			break
		}
		cuts = append(cuts, at)
	}
	sameEvents(t, fmt.Sprint("cut at ", cuts), want, decodeAt(t, o, data, false, cuts...))
	sameEvents(t, fmt.Sprint("restored at ", cuts), want, decodeAt(t, o, data, true, cuts...))
	ends := make([]int, len(want))
	for i, e := range want {
		ends[i] = e.end
	}
	sameEvents(t, "restored at each record", want, decodeAt(t, o, data, true, ends...))
}

// The same for inputs put together from what matters to the decoder, which
// mutation alone rarely hits.
func TestMixes(t *testing.T) {
	csvParts := []string{
		"type,timeLogged,jobId,envId\n", "type,jobId,timeLogged\r\n", "type,,x\n", "TYPE,timeLogged\n",
		"jobId,timeLogged,type,envId\n", "jobId,envId,TYPE,timelogged\r\n", "j,2026-02-08 21:54:05+0100,d,e\n", "d,\"a,b\",b,1770587645\n",
		"d,2026-02-08 21:54:05+0100,j,e\n", `d,2026-02-08 21:54:05+0100,j,"a,b"`, "b,1770587645,", "d,2026-02-08 21:54:05+0100,",
		"zz,2026-02-08 21:54:05+0100,j,e\n", `"d","2026-02-08 21:54:05+0100","x","y"`,
		`"`, `"`, `""`, `",`, `,"`, ",", "\n", "\n", "\r\n", "\r", " ", "x", "text", bom, "\x00", "\xff", "é",
		strings.Repeat("long ", 30), strings.Repeat("line\n", 30), strings.Repeat("d,2026-02-08 21:54:05+0100,j,e\n", 17),
	}
	jsonParts := []string{
		`{"type":"d","timeLogged":"2026-02-08 21:54:05+0100"}`, `{"type":"d","timeLogged":1770587645,"a":"b"}`,
		`{`, `}`, `[`, `]`, `"`, `:`, `,`, `"type":"d"`, `"timeLogged":1770587645`, `"k"`, `"v\n"`, `\`, `\u00e9`, "1", "-", "null", "tru",
		"\n", "\n", "\r\n", " ", "x", "\x00", "\xff", "é", `"x":[{"a":1},{"b":[2]}]`, strings.Repeat("[", 120),
		strings.Repeat("long ", 80), strings.Repeat(`"k":1,`, 60), `"` + strings.Repeat("s", 300) + `"`,
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range *mixes {
		parts, data := csvParts, ""
		switch i % 3 {
		case 0:
			data = csvParts[0]
		case 1:
			parts, data = jsonParts, jsonParts[rng.IntN(3)]
		}
		for range rng.IntN(25) {
			data += parts[rng.IntN(len(parts))]
		}
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("input %q, seed %d", data, i)
				}
			}()
			checkAny(t, data, uint64(i))
		}()
	}
}

var mixes = flag.Int("mixes", 3000, "number of inputs in TestMixes")

// Between good records anything may stand: they are read all the same, but
// for at most one behind it.
func FuzzSync(f *testing.F) {
	f.Add(`d,2026-02-08 21:54:05+0100,"open`, false)
	f.Add(`d,2026-02-08 21:54:05+0100,"open"x,`, false)
	f.Add("\"\"\"\n\",\n\"d\",\"2026-02-08", false)
	f.Add(`{"a":"open`, true)
	f.Add(`{"a":[{`, true)
	f.Add("[}]\x00\"", true)
	f.Fuzz(func(t *testing.T, junk string, isJSON bool) {
		if strings.Contains(strings.ToLower(junk), "type") {
			t.Skip("a header would change the columns")
		}
		line := func(id string) string {
			if isJSON {
				return fmt.Sprintf(`{"type":"d","timeLogged":"2026-02-08 21:54:05+0100","jobId":"%s","envId":"a,b"}`, id)
			}
			return fmt.Sprintf(`d,2026-02-08 21:54:05+0100,%s,"a,b"`, id)
		}
		head := "type,timeLogged,jobId,envId\n"
		if isJSON {
			head = ""
		}
		before := head + line("first") + "\n"
		file := before + junk + "\n" + line("second") + "\n" + line("third") + "\n"
		o := testOptions
		o.MaxRecordSize = 0
		if len(junk)%2 == 1 {
			o.MaxRecordSize = 256
		}
		events := decodeAt(t, o, file, false)
		if len(events) < 2 || events[0].attrs["pmta.job.id"] != `"first"` {
			t.Fatal("the record before is missing")
		}
		last := events[len(events)-1]
		if last.attrs["pmta.job.id"] != `"third"` || last.end-last.start > len(line("third"))+1 {
			t.Fatalf("the second record behind is missing: %s", last.text)
		}
	})
}

// The scanner takes what encoding/json takes.
func FuzzJSON(f *testing.F) {
	f.Add(`{"a":1,"b":[true,null,{"c":"\u00e9"}]}`)
	f.Add(`{"a":-0.5e+10,"":""}`)
	f.Add(`{"a":"\ud83d\ude00 \ud83d \udc00"}`)
	f.Fuzz(func(t *testing.T, data string) {
		data = "{" + data
		for i := range len(data) {
			if data[i] < ' ' {
				t.Skip("control characters are let through on purpose")
			}
		}
		if strings.Count(data, "{")+strings.Count(data, "[") >= maxJSONDepth {
			t.Skip("too deep")
		}
		d := NewDecoder(Options{})
		d.format = formatJSON
		end, v := d.scanObject(data, 0, false)
		if ours, std := v == whole && end == len(data), json.Valid([]byte(data)); ours != std {
			if !ours && v == whole && strings.TrimSpace(data[end:]) == "" {
				return // spaces behind the object
			}
			t.Fatalf("verdict %d at %d of %q, encoding/json says %v", v, end, data, std)
		}
		if v != whole || end != len(data) {
			return
		}
		dec := json.NewDecoder(strings.NewReader(data))
		_, _ = dec.Token()
		for i := 0; dec.More(); i++ {
			key, err := dec.Token()
			if err != nil {
				t.Fatal(err)
			}
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				t.Fatal(err)
			}
			got := d.field(data, i)
			if k := key.(string); clean(data) && k != "" && d.keys[i] != sanitize(k) {
				t.Fatalf("key %d: %q, want %q", i, d.keys[i], k)
			}
			var want string
			switch {
			case raw[0] == '"':
				if err := json.Unmarshal(raw, &want); err != nil {
					t.Fatal(err)
				}
			case string(raw) != "null":
				want = string(raw)
			}
			if clean(data) && got != sanitize(want) {
				t.Fatalf("value %d: %q, want %q", i, got, want)
			}
		}
	})
}

// A time in any of the forms is the one that package time reads.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-02-08 21:54:05+0000", "2026-02-08T21:54:05.5Z", "02/08/2026 21:54:05+0530", "1770587645", "1770587645.25", "2026-02-08 21:54:05"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := NewDecoder(testOptions)
		first, ok := d.parseTime(s)
		again, ok2 := d.parseTime(s)
		if first != again || ok != ok2 {
			t.Fatalf("%q: %d %v, then %d %v", s, first, ok, again, ok2)
		}
		want, known := stdTime(s)
		if known && (!ok || want != first) {
			t.Fatalf("%q: %d %v, want %d", s, first, ok, want)
		}
	})
}
