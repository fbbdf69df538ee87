package mainlog

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

func sameEvents(t testing.TB, what string, want, got []event) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if want[i].String() != got[i].String() {
			t.Fatalf("%s: event %d\n got %s\nwant %s", what, i, got[i], want[i])
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%s: %d events, want %d", what, len(got), len(want))
	}
}

// How the input is cut must not matter, but for which record further lines
// come in, nor whether a new Decoder takes over in between.
func TestCuts(t *testing.T) {
	for dir, input := range goldenInputs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			o := optionsOf(dir)
			want := joined(decodeAt(t, o, input, false))
			same := func(what string, got []event) {
				t.Helper()
				sameEvents(t, what, want, joined(got))
			}
			step := max(1, len(input)/300)
			for cut := 0; cut <= len(input); cut += step {
				same(fmt.Sprint("cut at ", cut), decodeAt(t, o, input, false, cut))
				same(fmt.Sprint("restored at ", cut), decodeAt(t, o, input, true, cut))
			}
			for _, size := range []int{1, 7, 100, 1000} {
				var cuts []int
				for i := size; i < len(input); i += size {
					cuts = append(cuts, i)
				}
				same(fmt.Sprint("pieces of ", size), decodeAt(t, o, input, false, cuts...))
				same(fmt.Sprint("restored pieces of ", size), decodeAt(t, o, input, true, cuts...))
			}
			var lines []int
			for i := range input {
				if input[i] == '\n' {
					lines = append(lines, i+1)
				}
			}
			same("live", decodeAt(t, o, input, false, lines...))
			same("restored at each line", decodeAt(t, o, input, true, lines...))
		})
	}
}

// An entry is handed over as soon as its line has an end.
func TestLive(t *testing.T) {
	c := &collector{t: t}
	d := NewDecoder(testOptions)
	const line = "2026-03-01 10:00:00 Out of disk space\n"
	require.Equal(t, len(line), d.Decode(line, false, c))
	require.Len(t, c.events, 1)
	require.Contains(t, c.events[0].head, semconv.EventDiskFull)
	c.base = len(line)
	require.Equal(t, 0, d.Decode(" at fo", false, c), "a line without an end waits")
	d.Decode(" at foo\n at bar\n", false, c)
	require.Len(t, c.events, 2)
	require.Equal(t, "more", c.events[1].kind)
	require.Equal(t, " at foo\n at bar", c.events[1].body)
	require.Contains(t, c.events[1].head, `"severity":"FATAL","stream":"panic"`)
	require.Contains(t, c.events[0].head, strings.Trim(c.events[1].attrs[semconv.PMTALogContinues], `"`), "the uid of the entry that is continued")
}

// The same entries have the same UIDs when the file is read again in other
// pieces, and others in another file, at another place and for another
// instance.
func TestUIDs(t *testing.T) {
	const file = "2026-03-01 10:00:00 one\n2026-03-01 10:00:00 two\n2026-03-01 10:00:00 two\n"
	uids := func(o Options, file string, cuts ...int) (u []string) {
		for _, e := range decodeAt(t, o, file, false, cuts...) {
			i := strings.Index(e.head, `"uid":"`) + 7
			u = append(u, e.head[i:i+32])
		}
		return u
	}
	first := uids(testOptions, file)
	require.Equal(t, first, uids(testOptions, file, 24, 30, 48))
	require.NotEqual(t, first[1], first[2])
	other := testOptions
	other.Instance = "other"
	require.NotEqual(t, first[0], uids(other, file)[0])
	require.NotEqual(t, first[2], uids(testOptions, strings.Replace(file, "one", "two", 1))[2])
}

// With its context an entry is decoded again on its own, with the same UID.
func TestContext(t *testing.T) {
	input := goldenInputs(t)["testdata/session_interleaved"]
	d := NewDecoder(testOptions)
	type seen struct {
		start, end int
		uid        [2]uint64
		context    []byte
	}
	var all []seen
	d.Decode(input, true, handler{entry: func(e *Entry) {
		all = append(all, seen{e.Start, e.End, e.UID, d.Context()})
	}})
	for _, s := range all {
		again := NewDecoder(testOptions)
		require.NoError(t, again.Restore(s.context, int64(s.start)))
		n := 0
		again.Decode(input[s.start:s.end], true, handler{entry: func(e *Entry) {
			n++
			require.Equal(t, s.uid, e.UID)
		}})
		require.Equal(t, 1, n)
	}
}

// handler is a Handler made of functions.
type handler struct {
	entry   func(*Entry)
	session func(*Session)
	reject  func(acct.Reject)
}

func (h handler) Entry(e *Entry) {
	if h.entry != nil {
		h.entry(e)
	}
}

func (h handler) Session(s *Session) {
	if h.session != nil {
		h.session(s)
	}
}

func (h handler) Reject(r acct.Reject) {
	if h.reject != nil {
		h.reject(r)
	}
}

// A position that was jumped to (start_at: end) keeps the identity of the file
// and nothing else.
func TestJump(t *testing.T) {
	const first = "2026-03-01 10:00:00 ( 20)starting gmail.com/vmta1\n"
	const rest = "2026-03-01 11:00:00 ( 20)>>> 220 hello\n"
	d := NewDecoder(testOptions)
	c := &collector{t: t}
	d.Decode(first, false, c)
	require.NoError(t, d.Restore(d.State(), 1000))
	require.Equal(t, 0, d.Open())
	require.Equal(t, int64(1000), d.Offset())
	var jumped, whole [2]uint64
	d.Decode(rest, true, handler{entry: func(e *Entry) { jumped = e.UID }})
	d = NewDecoder(testOptions)
	d.Decode(first+strings.Repeat("\n", 1000-len(first))+rest, true, handler{entry: func(e *Entry) { whole = e.UID }})
	require.Equal(t, whole, jumped, "the uid is the same as when everything is read")
}

func TestRestoreRefuses(t *testing.T) {
	d := NewDecoder(testOptions)
	d.Decode(goldenInputs(t)["testdata/session_incomplete"][:400], false, handler{})
	require.Positive(t, d.Open())
	state := d.State()
	for i := 1; i < len(state); i++ {
		require.ErrorIs(t, NewDecoder(testOptions).Restore(state[:i], 0), ErrState, i)
	}
	require.ErrorIs(t, NewDecoder(testOptions).Restore(append([]byte{99}, state[1:]...), 0), ErrState)
	require.ErrorIs(t, NewDecoder(testOptions).Restore(append(state, 0), 0), ErrState)
	require.ErrorIs(t, NewDecoder(testOptions).Restore(nil, -1), ErrState)
	require.ErrorIs(t, NewDecoder(testOptions).Adopt(state), ErrState)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3000 { // no panic
		b := append([]byte(nil), state...)
		for range 1 + rng.IntN(4) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		d := NewDecoder(testOptions)
		if d.Restore(b, int64(rng.IntN(2)*400)) == nil {
			d.Decode("2026-03-01 12:00:00 (  2)>>> 250 ok\nmore\n", true, handler{})
			d.Flush(handler{})
		}
	}
}

// With a zone that changes its clocks the order of the entries tells which of
// two equal hours is meant.
func TestClockSetBack(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	o := testOptions
	o.Location = berlin
	var got []string
	file := ""
	for _, at := range []string{"01:59:59", "02:00:00", "02:30:00", "02:59:59", "02:00:00", "02:30:00", "02:59:59", "03:00:00"} {
		file += "2025-10-26 " + at + " text\n"
	}
	for _, restore := range []bool{false, true} {
		got = nil
		for _, e := range decodeAt(t, o, file, restore, 25, 50, 75, 100, 125, 150, 175) {
			i := strings.Index(e.head, `"time":"`) + 8
			got = append(got, e.head[i+11:i+19])
		}
		require.Equal(t, []string{"23:59:59", "00:00:00", "00:30:00", "00:59:59", "01:00:00", "01:30:00", "01:59:59", "02:00:00"}, got)
	}
}

// Put together from what matters to the decoder, which mutation alone rarely
// hits.
func TestMixes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 1000 {
		data := mix(rng)
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("input %q, seed %d", data, i)
				}
			}()
			checkAny(t, data, uint64(i))
		}()
		if t.Failed() {
			return
		}
	}
}

var mixParts = []string{
	"2026-03-01 10:00:00 ", "2026-03-01 10:00:00 (  1)", "2026-03-01 10:00:01 (  2)", "2026-03-01 10:01:00 (  1)", "2026-03-01 12:00:00 (  3)", "2026-03-01 ",
	"starting a.example/v", "starting b.example/w", "done a.example/v", "done b.example/w", "connecting to mx.a.example (192.0.2.1)",
	"connecting from x.example (192.0.2.9) to mx.b.example (192.0.2.2)", "connected from 192.0.2.9:4711", "accepted connection from 192.0.2.3:99",
	"closed mx.a.example (192.0.2.1) in=5 out=6", "tls:TLSv1.2 connected with 128-bit X", "tls:failed", ">>> 220 hello", ">>> 250-a", ">>> 250 b",
	">>> 550-5.1.1 no", ">>> 550 5.1.1 such user", ">>> 421 later", ">>> 354 go", "<<< EHLO x", "<<< MAIL FROM:<a@b.example>", "<<< RCPT TO:<c@d.example>",
	"<<< DATA", "<<< AUTH LOGIN", "<<< c2VjcmV0", ">>> 334 c2VjcmV0", "<<< QUIT", ">>> rd 20", "<<< wr 4", "3232302059536D7470206D7461313334 220 YSmtp mta134",
	"41424344                         ABCD", "PowerMTA started", "Unexpected exception: x", "Parse error in line 1 of /etc/pmta/config: y",
	"Queue a.example/v switched to backoff mode: \"421 no\"", "some text", " indented", strings.Repeat("long ", 60), strings.Repeat("x", 300),
	"\n", "\n", "\n", "\n", "\r\n", "\n\n", " ", "\x00", "\xff", "é", bom,
}

func mix(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(40) {
		b.WriteString(mixParts[rng.IntN(len(mixParts))])
		if rng.IntN(3) == 0 {
			b.WriteByte('\n')
			b.WriteString(mixParts[rng.IntN(5)])
		}
	}
	return b.String()
}

// checkAny holds for any input: no panic, every byte seen once, bounded state,
// and the same result however it is cut and wherever another Decoder takes
// over.
func checkAny(t *testing.T, data string, seed uint64) {
	o := testOptions
	rng := rand.New(rand.NewPCG(seed, 1))
	o.MaxRecordSize = []int{0, 256, 400, 2048}[rng.IntN(4)]
	o.KeepData = rng.IntN(2) == 0
	o.StartupErrors = rng.IntN(8) == 0
	if rng.IntN(3) == 0 {
		o.MaxSessions, o.MaxState, o.MaxTranscript = 2, minMaxState, 300
	}
	if rng.IntN(4) == 0 {
		o.MaxSessions = 2
	}
	want := joined(decodeAt(t, o, data, false))
	var cuts []int
	for at := 0; ; {
		at += 1 + rng.IntN(1+len(data)/(1+rng.IntN(6)))
		if at >= len(data) {
			break
		}
		cuts = append(cuts, at)
	}
	var lines []int
	for i := range data {
		if data[i] == '\n' {
			lines = append(lines, i+1)
		}
	}
	if o.MaxRecordSize == 256 || o.MaxRecordSize == 400 {
		// What is joined is bounded; where a cut is then, the rest begins anew.
		decodeAt(t, o, data, true, cuts...)
		return
	}
	sameEvents(t, fmt.Sprint("cut at ", cuts), want, joined(decodeAt(t, o, data, false, cuts...)))
	sameEvents(t, fmt.Sprint("restored at ", cuts), want, joined(decodeAt(t, o, data, true, cuts...)))
	sameEvents(t, "restored at each line", want, joined(decodeAt(t, o, data, true, lines...)))
}

func FuzzDecode(f *testing.F) {
	for _, in := range goldenInputs(f) {
		f.Add(in[:min(len(in), 3000)], uint64(len(in)))
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 20 {
		f.Add(mix(rng), uint64(i))
	}
	f.Fuzz(checkAny)
}
