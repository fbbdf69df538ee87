package simulate

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

// richMix makes rare types frequent enough for small runs.
var richMix = Mix{Delivery: 50, Transient: 16, Bounce: 12, TransientQueue: 6, RemoteBounce: 5, RemoteStatus: 5, Feedback: 6}

func mustWorld(t testing.TB, opt WorldOptions) *World {
	t.Helper()
	w, err := NewWorld(opt)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// write runs a world of n records into one file configuration and returns its statistics.
func write(t testing.TB, opt WorldOptions, cfg AccountingConfig, n int64) []FileStats {
	t.Helper()
	a, err := NewAccounting(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Run(context.Background(), mustWorld(t, opt), RunOptions{Streams: []Stream{a}, Records: n})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Records != n {
		t.Fatalf("%d records instead of %d", sum.Records, n)
	}
	return a.Files()
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rows(t testing.TB, b []byte) [][]string {
	t.Helper()
	r, err := csv.NewReader(bytes.NewReader(b)).ReadAll() // strict: equal field counts
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	dir := t.TempDir()
	opt := WorldOptions{Seed: 1, Rate: 200.0 / (48 * 3600), Mix: richMix}
	write(t, opt, AccountingConfig{Path: filepath.Join(dir, "acct.csv")}, 200)
	var got []byte
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries { // two days
		got = append(got, "== "+e.Name()+"\n"...)
		got = append(got, read(t, filepath.Join(dir, e.Name()))...)
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, golden); !bytes.Equal(got, want) {
		t.Errorf("output differs from %s; if that is meant, run with -update", golden)
	}
	for _, typ := range AllTypes() {
		if !bytes.Contains(got, []byte("\n"+typ.String()+",")) {
			t.Errorf("no %s record", typ)
		}
	}
}

func TestDeterminism(t *testing.T) {
	run := func(seed uint64, block int) []byte {
		dir := t.TempDir()
		files := write(t, WorldOptions{Seed: seed, Rate: 5}, AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Block: block, MaxSize: 300_000}, 3000)
		var all []byte
		for _, f := range files {
			all = append(all, f.Name...)
			all = append(all, read(t, filepath.Join(dir, f.Name))...)
		}
		return all
	}
	line, block := run(7, 0), run(7, 4096)
	if !bytes.Equal(line, block) {
		t.Error("line and block mode differ")
	}
	if !bytes.Equal(line, run(7, 0)) {
		t.Error("two runs with one seed differ")
	}
	if bytes.Equal(line, run(8, 0)) {
		t.Error("two seeds give the same")
	}
}

func TestFormats(t *testing.T) {
	opt := WorldOptions{Seed: 3, Rate: 0.05, Mix: richMix}
	fields := map[Type][]string{
		Delivery: {"*", "header_Subject", "header_message-id", "dlvTlsProtocol", "DLVTLSCIPHER", "totalSecondsQueued", "timeFirstAttempt", "rcvSmtpUser", "userString"},
		Bounce:   {"type", "timeLogged", "rcpt", "dsnDiag", "!orig"},
		Feedback: {"*", "!header_From", "arf_Arrival-Date", "header_X-HmXmrOriginalRecipient"},
		Receipt:  {"*", "header_Message-Id", "header_From"},
	}
	// Columns are the union in order of first appearance.
	wantHeader := defaultDBT + ",header_Subject,header_message-id,dlvTlsProtocol,dlvTlsCipher,totalSecondsQueued,timeFirstAttempt,rcvSmtpUser,userString" +
		",rcvSourceIp,rcvDestinationIp,header_From,format,userAgent,reportingMta,repSourceIp,feedbackType,reportedDomain,header_Return-Path,header_X-job,arf_Arrival-Date,header_X-HmXmrOriginalRecipient,dsnReportingMta"
	for _, c := range []struct {
		name string
		cfg  AccountingConfig
	}{
		{"lf", AccountingConfig{}},
		{"crlf", AccountingConfig{CRLF: true}},
		{"unix", AccountingConfig{UnixTimes: true}},
		{"json", AccountingConfig{JSON: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.cfg.Path, c.cfg.Fields, c.cfg.UserString = filepath.Join(dir, "a.csv"), fields, "us,er"
			opt := opt
			opt.Start = time.Date(2026, 1, 31, 0, 0, 0, 0, time.FixedZone("", -5*3600))
			files := write(t, opt, c.cfg, 2000)
			b := read(t, filepath.Join(dir, files[0].Name))
			var recs []map[string]string
			if c.cfg.JSON {
				for line := range bytes.Lines(b) {
					var m map[string]string
					if err := json.Unmarshal(line, &m); err != nil {
						t.Fatalf("%v in %s", err, line)
					}
					if len(m) != strings.Count(wantHeader, ",")+1 {
						t.Fatalf("%d members in %s", len(m), line)
					}
					recs = append(recs, m)
				}
			} else {
				eol := "\n"
				if c.cfg.CRLF {
					eol = "\r\n"
					if bytes.Count(b, []byte("\r\n")) != bytes.Count(b, []byte("\n")) {
						t.Error("a line end without CR")
					}
				}
				if got, _, _ := strings.Cut(string(b), eol); got != wantHeader {
					t.Errorf("header\n%s\nwant\n%s", got, wantHeader)
				}
				all := rows(t, b)
				for _, r := range all[1:] {
					m := map[string]string{}
					for i, v := range r {
						m[all[0][i]] = v
					}
					recs = append(recs, m)
				}
			}
			quoted := 0
			for _, m := range recs {
				if strings.Contains(m["dsnDiag"], `"`) {
					quoted++
				}
				ts := m["timeLogged"]
				if c.cfg.UnixTimes {
					if n, err := strconv.ParseInt(ts, 10, 64); err != nil || n < opt.Start.Unix() {
						t.Fatalf("timeLogged %q", ts)
					}
				} else if _, err := time.Parse("2006-01-02 15:04:05-0700", ts); err != nil || !strings.HasSuffix(ts, "-0500") {
					t.Fatalf("timeLogged %q: %v", ts, err)
				}
				switch m["type"] {
				case "d":
					if m["header_Subject"] == "" || m["userString"] != "us,er" || m["totalSecondsQueued"] == "" || m["dlvSize"] == "" {
						t.Fatalf("incomplete d: %v", m)
					}
				case "b":
					if m["orig"] != "" || m["bounceCat"] != "" || m["rcpt"] == "" {
						t.Fatalf("b has columns that were not asked for: %v", m)
					}
				case "tq":
					if m["rcpt"] != "" || m["header_Subject"] != "" || m["queue"] == "" {
						t.Fatalf("tq: %v", m)
					}
				case "f":
					if m["format"] == "jmrp" && (m["rcpt"] != "" || m["header_X-HmXmrOriginalRecipient"] == "") {
						t.Fatalf("jmrp report: %v", m)
					}
				}
			}
			if quoted == 0 {
				t.Error("no dsnDiag with a quote: quoting was not tried")
			}
		})
	}
}

func TestDefaultColumns(t *testing.T) {
	dir := t.TempDir()
	files := write(t, WorldOptions{Seed: 1, Rate: 1, Count: []Type{Delivery, Bounce, Transient}},
		AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Types: []Type{Delivery, Bounce, Transient}}, 20_000)
	b := read(t, filepath.Join(dir, files[0].Name))
	header, body, _ := strings.Cut(string(b), "\n")
	if header != defaultDBT || strings.Count(header, ",") != 22 {
		t.Errorf("header %s", header)
	}
	if mean := len(body) / 20_000; mean < 450 || mean > 550 {
		t.Errorf("mean line of %d bytes, real files have 450 to 550", mean)
	}
	if !strings.Contains(body, "bücher-lang.example/") || !strings.Contains(body, "(2001:db8:") || !strings.Contains(body, ",yahoo.rollup/") {
		t.Error("no IDN queue, IPv6 host or rollup queue")
	}
}

func TestMixAndRate(t *testing.T) {
	w := mustWorld(t, WorldOptions{Seed: 5, Rate: 2}) // over two days, so that late reports arrive
	var n [numTypes]float64
	var total float64
	var last *Event
	for range 400_000 {
		last = w.Next()
		n[last.Type]++
		total++
	}
	if got := total / last.At.Sub(DefaultStart).Seconds(); got < 1.98 || got > 2.02 {
		t.Errorf("%.3f records/s, want 2", got)
	}
	total -= n[Receipt]
	m := DefaultMix
	for typ, want := range map[Type]float64{Delivery: m.Delivery, Transient: m.Transient, Bounce: m.Bounce, TransientQueue: m.TransientQueue,
		RemoteBounce: m.RemoteBounce, RemoteStatus: m.RemoteStatus, Feedback: m.Feedback} {
		if got := 100 * n[typ] / total; got < want*0.85 || got > want*1.15 {
			t.Errorf("%s: %.2f %%, want %.2f", typ, got, want)
		}
	}
}

// TestLifeCycle checks that the records of each message tell one story.
func TestLifeCycle(t *testing.T) {
	type life struct {
		queued           time.Time
		env, rcpt, queue string
		diag             string
		deferrals        int
		final            Type
		ended            bool
	}
	w := mustWorld(t, WorldOptions{Seed: 11, Rate: 5, Mix: richMix})
	lives := map[uint64]*life{}
	var last time.Time
	var expiries, reports int
	for i := range 300_000 {
		e := w.Next()
		if e.At.Before(last) {
			t.Fatalf("event %d goes back in time", i)
		}
		last = e.At
		if e.Type == TransientQueue {
			if e.Message != nil || e.Attempt == nil || e.Attempt.Queue == "" || e.Attempt.Diag == "" && e.Attempt.SourceIP != "0.0.0.0" {
				t.Fatalf("tq %+v", e.Attempt)
			}
			continue
		}
		m := e.Message
		l := lives[m.ID]
		if e.Type == Receipt {
			if l != nil {
				t.Fatal("second receipt")
			}
			lives[m.ID] = &life{queued: m.Queued, env: m.EnvID, rcpt: m.Rcpt}
			continue
		}
		if l == nil {
			t.Fatalf("%s without r", e.Type)
		}
		if m.Rcpt != l.rcpt || m.EnvID != l.env || !m.Queued.Equal(l.queued) || !strings.HasSuffix(m.Rcpt, "@"+m.Domain) {
			t.Fatalf("%s: message changed: %+v, was %+v", e.Type, m, l)
		}
		if a := e.Attempt; a != nil {
			if l.ended {
				t.Fatalf("%s after %s", e.Type, l.final)
			}
			if l.queue != "" && l.queue != a.Queue {
				t.Fatalf("queue %s, was %s", a.Queue, l.queue)
			}
			l.queue = a.Queue
			if strings.ContainsAny(a.Diag, "{}") {
				t.Fatalf("template in %s", a.Diag)
			}
		}
		switch e.Type {
		case Transient:
			l.deferrals++
			l.diag = e.Attempt.Diag
			if e.Attempt.Status[0] != '4' || e.Attempt.Action != "delayed" {
				t.Fatalf("t with %s %s", e.Attempt.Status, e.Attempt.Action)
			}
		case Delivery:
			l.ended, l.final = true, Delivery
			if e.Attempt.Status[0] != '2' || e.Attempt.Category != success {
				t.Fatalf("d with %s", e.Attempt.Status)
			}
		case Bounce:
			l.ended, l.final = true, Bounce
			if e.Attempt.Category == expired {
				expiries++
				if l.deferrals == 0 {
					t.Fatal("expired without a deferral")
				}
				if d := e.Attempt.Diag; d != "" && d != l.diag {
					t.Fatalf("expired with %s, the last deferral was %s", d, l.diag)
				}
				if age := e.At.Sub(l.queued); age < time.Hour {
					t.Fatalf("expired after %s", age)
				}
			} else if e.Attempt.Status[0] != '5' {
				t.Fatalf("b with %s", e.Attempt.Status)
			}
		case Feedback, RemoteBounce, RemoteStatus:
			reports++
			if !l.ended || l.final != Delivery {
				t.Fatalf("%s without d", e.Type)
			}
			if e.Report == nil || e.Report.Format == "" {
				t.Fatalf("%s: %+v", e.Type, e.Report)
			}
			l.final = e.Type // at most one
		}
	}
	if expiries < 100 || reports < 1000 {
		t.Errorf("%d expiries and %d reports: too few to prove anything", expiries, reports)
	}
}

func TestRotation(t *testing.T) {
	opt := WorldOptions{Seed: 2, Rate: 0.05, Start: time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)}
	const n = 2000 // about 11 hours
	plain := t.TempDir()
	var want []byte
	for _, f := range write(t, opt, AccountingConfig{Path: filepath.Join(plain, "acct.csv")}, n) {
		_, body, _ := bytes.Cut(read(t, filepath.Join(plain, f.Name)), []byte("\n"))
		want = append(want, body...)
	}
	for _, c := range []struct {
		name  string
		cfg   AccountingConfig
		names func(names []string) bool
	}{
		{"midnight", AccountingConfig{}, func(s []string) bool {
			return slices.Equal(s, []string{"acct-2026-03-01-0000.csv", "acct-2026-03-02-0000.csv"})
		}},
		{"size", AccountingConfig{MaxSize: 100_000}, func(s []string) bool {
			return len(s) > 6 && s[1] == "acct-2026-03-01-0001.csv" && slices.Contains(s, "acct-2026-03-02-0001.csv")
		}},
		{"interval", AccountingConfig{MoveTo: "moved", MoveInterval: 2 * time.Hour, Block: 512}, func(s []string) bool {
			return len(s) >= 6 && len(s) <= 8 && s[1] == "acct-2026-03-01-0001.csv" && s[2] == "acct-2026-03-02-0000.csv"
		}},
		{"gzip", AccountingConfig{MoveTo: "moved", MoveInterval: 4 * time.Hour, GzipMoved: true}, func(s []string) bool {
			return len(s) >= 3
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.cfg.Path = filepath.Join(dir, "acct.csv")
			if c.cfg.MoveTo != "" {
				c.cfg.MoveTo = filepath.Join(dir, c.cfg.MoveTo)
			}
			files := write(t, opt, c.cfg, n)
			var names []string
			var got []byte
			for i, f := range files {
				names = append(names, f.Name)
				path := filepath.Join(dir, f.Name)
				var b []byte
				switch live := i == len(files)-1; {
				case live || c.cfg.MoveTo == "":
					b = read(t, path)
				case c.cfg.GzipMoved:
					z, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(c.cfg.MoveTo, f.Name+".gz"))))
					if err != nil {
						t.Fatal(err)
					}
					if b, err = io.ReadAll(z); err != nil {
						t.Fatal(err)
					}
					if _, err := os.Stat(filepath.Join(c.cfg.MoveTo, f.Name)); err == nil {
						t.Error("the uncompressed file is still there")
					}
				default:
					b = read(t, filepath.Join(c.cfg.MoveTo, f.Name))
				}
				if int64(len(b)) != f.Bytes || c.cfg.MaxSize > 0 && f.Bytes > c.cfg.MaxSize {
					t.Errorf("%s: %d bytes, statistics say %d", f.Name, len(b), f.Bytes)
				}
				all := rows(t, b)
				var counted int64
				for _, k := range f.Records {
					counted += k
				}
				if int64(len(all)-1) != counted {
					t.Errorf("%s: %d rows, statistics say %d", f.Name, len(all)-1, counted)
				}
				for _, r := range all[1:] {
					if !strings.Contains(f.Name, r[1][:10]) {
						t.Fatalf("record of %s in %s", r[1], f.Name)
					}
				}
				_, body, _ := bytes.Cut(b, []byte("\n"))
				got = append(got, body...)
			}
			if !c.names(names) {
				t.Errorf("files %v", names)
			}
			if !bytes.Equal(got, want) {
				t.Error("the records of all files together are not those of the plain run")
			}
		})
	}
}

func TestSequenceGoesOn(t *testing.T) {
	dir := t.TempDir()
	moved := filepath.Join(dir, "moved")
	if err := os.Mkdir(moved, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(dir, "acct-2026-01-31-0003.csv"), filepath.Join(moved, "acct-2026-01-31-0011.csv.gz")} {
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := write(t, WorldOptions{}, AccountingConfig{Path: filepath.Join(dir, "acct.csv"), MoveTo: moved}, 5)
	if f[0].Name != "acct-2026-01-31-0012.csv" {
		t.Errorf("new file %s", f[0].Name)
	}
}

func TestBlocksLeavePartialLines(t *testing.T) {
	dir := t.TempDir()
	a, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Block: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Open(DefaultStart); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "acct-2026-01-31-0000.csv")
	w := mustWorld(t, WorldOptions{})
	partial := 0
	for range 100 {
		if _, err := a.Write(w.Next()); err != nil {
			t.Fatal(err)
		}
		b := read(t, path)
		if (len(b)-len(a.header))%1000 != 0 {
			t.Fatalf("%d bytes are not a number of blocks", len(b))
		}
		if b[len(b)-1] != '\n' {
			partial++
		}
	}
	if partial < 50 {
		t.Errorf("a partial last line only %d times", partial)
	}
	if err := a.Tick(DefaultStart.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if b := read(t, path); b[len(b)-1] != '\n' || len(rows(t, b)) != 101 {
		t.Error("Tick does not write out everything")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	var truth bytes.Buffer
	m := NewManifest(&truth)
	files := write(t, WorldOptions{Seed: 4, Mix: richMix, Rate: 1}, AccountingConfig{Path: filepath.Join(dir, "a.csv"), MaxSize: 40_000, CRLF: true, Block: 4096, Manifest: m}, 500)
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&truth)
	for _, f := range files {
		for i, line := range strings.Split(strings.TrimSuffix(string(read(t, filepath.Join(dir, f.Name))), "\r\n"), "\r\n")[1:] {
			var got struct {
				File, Type, SHA256 string
				Record             int
			}
			if err := dec.Decode(&got); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(line))
			typ, _, _ := strings.Cut(line, ",")
			if got.File != f.Name || got.Record != i+1 || got.Type != typ || got.SHA256 != hex.EncodeToString(sum[:16]) {
				t.Fatalf("%+v is not record %d of %s", got, i+1, f.Name)
			}
		}
	}
	if dec.More() {
		t.Error("the manifest has more records than the files")
	}
}

// fakeClock advances only by sleeping, and by extra for each reading.
type fakeClock struct {
	now    time.Time
	extra  time.Duration
	sleeps int
}

func (c *fakeClock) Now() time.Time { c.now = c.now.Add(c.extra); return c.now }
func (c *fakeClock) Sleep(_ context.Context, d time.Duration) {
	c.sleeps++
	c.now = c.now.Add(d)
}

// probe records when events and ticks reach a stream.
type probe struct {
	clock  *fakeClock
	n      int
	ticks  int
	worst  time.Duration // an event's distance from the clock
	early  bool
	cancel context.CancelFunc
	closed bool
}

func (p *probe) Open(time.Time) error { return nil }
func (p *probe) Write(e *Event) (bool, error) {
	p.n++
	d := p.clock.now.Sub(e.At)
	p.early = p.early || d < 0
	p.worst = max(p.worst, d)
	return true, nil
}
func (p *probe) Tick(time.Time) error {
	p.ticks++
	if p.cancel != nil && p.ticks == 20 {
		p.cancel()
	}
	return nil
}
func (p *probe) Close() error { p.closed = true; return nil }

func TestRealTime(t *testing.T) {
	begin := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	clock := &fakeClock{now: begin}
	p := &probe{clock: clock}
	w := mustWorld(t, WorldOptions{Seed: 1, Rate: 500, Start: begin, Hurry: 60})
	if _, err := Run(context.Background(), w, RunOptions{Streams: []Stream{p}, Duration: 60 * time.Second, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	if p.n < 29_000 || p.n > 31_000 {
		t.Errorf("%d records in 60 s at 500 a second", p.n)
	}
	if p.early || p.worst > minSleep {
		t.Errorf("events come early (%v) or up to %s late", p.early, p.worst)
	}
	if p.ticks < 400 || p.ticks > 600 || clock.sleeps > 60*200 {
		t.Errorf("%d ticks, %d sleeps", p.ticks, clock.sleeps)
	}
	if !p.closed {
		t.Error("stream was not closed")
	}
}

func TestRealTimeFallsBehind(t *testing.T) {
	begin := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	clock := &fakeClock{now: begin, extra: 20 * time.Millisecond} // can do 50 a second at most
	p := &probe{clock: clock}
	w := mustWorld(t, WorldOptions{Rate: 1000, Start: begin})
	if _, err := Run(context.Background(), w, RunOptions{Streams: []Stream{p}, Records: 2000, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	if p.worst > maxLag {
		t.Errorf("timestamps are up to %s old", p.worst)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	begin := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	clock := &fakeClock{now: begin}
	p := &probe{clock: clock, cancel: cancel}
	w := mustWorld(t, WorldOptions{Rate: 0.01, Start: begin}) // the next event is far away
	if _, err := Run(ctx, w, RunOptions{Streams: []Stream{p}, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	if p.ticks != 20 || !p.closed {
		t.Errorf("%d ticks, closed %v", p.ticks, p.closed)
	}
}

func TestScenario(t *testing.T) {
	reply, err := NewReply("421 4.7.28 Too much from {ip}", "", policy)
	if err != nil {
		t.Fatal(err)
	}
	const ip = "203.0.113.10"
	inc := &Window{Begin: 10 * time.Minute, End: 40 * time.Minute, Provider: "gmail", SourceIP: ip, Share: 1, Then: Verdict{Outcome: Deferred, Reply: reply}}
	down := &Window{Begin: 50 * time.Minute, Provider: "apple", Share: 1, Then: Verdict{Outcome: Unconnected}}
	w := mustWorld(t, WorldOptions{Rate: 100, Scenario: Scenario{Name: "test", Incidents: []Incident{inc, down}}})
	hit := 0
	for {
		e := w.Next()
		since := e.At.Sub(DefaultStart)
		if since > time.Hour {
			break
		}
		a := e.Attempt
		if a == nil || a.Category == expired {
			continue
		}
		inside := since >= inc.Begin && since < inc.End && a.Provider == "gmail" && a.SourceIP == ip
		if throttled := a.Diag == "smtp;421 4.7.28 Too much from "+ip; throttled != inside {
			t.Fatalf("after %s: %s %s", since, e.Type, a.Diag)
		}
		if inside {
			hit++
			if e.Type != Transient {
				t.Fatalf("%s during the incident", e.Type)
			}
		}
		if since >= down.Begin && a.Provider == "apple" && e.Type != TransientQueue {
			t.Fatalf("%s while the provider is unreachable", e.Type)
		}
	}
	if hit < 50 {
		t.Errorf("the incident hit only %d attempts", hit)
	}
}

func TestReplies(t *testing.T) {
	for i := range providerSpecs {
		p := &providerSpecs[i].providerSpec
		for class, specs := range map[byte][]replySpec{'2': p.ok, '4': p.soft, '5': p.hard} {
			if len(specs) == 0 && p.name != "none" {
				t.Errorf("%s has no %cxx replies", p.name, class)
			}
			for _, s := range specs {
				r, err := NewReply(s.text, s.status, s.category)
				if err != nil {
					t.Errorf("%s: %v", p.name, err)
				} else if s.text[0] != class || r.status[0] != class {
					t.Errorf("%s: %s with status %s among the %cxx replies", p.name, s.text, r.status, class)
				}
			}
		}
	}
	for _, bad := range []string{"no code", "550 {nothing}", "550 {hex}", "550 {ip:3}", "550 {ip", "", "x-pmta;x"} {
		if _, err := NewReply(bad, "", other); err == nil {
			t.Errorf("NewReply(%q) accepts it", bad)
		}
	}
	for text, want := range map[string]string{
		"550 5.1.1 x":                  "5.1.1 (bad destination mailbox address)",
		"421-4.7.28 x":                 "4.7.28 (other or undefined security status)",
		"550 x":                        "5.0.0 (undefined status)",
		"421 5.1.1 class differs":      "4.0.0 (undefined status)",
		"250 ok":                       "2.0.0 (success)",
		"550 5.1 is no enhanced code ": "5.0.0 (undefined status)",
	} {
		if r, err := NewReply(text, "", other); err != nil || r.status != want {
			t.Errorf("%s: status %v, %v", text, r, err)
		}
	}
}

func TestExpandFields(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		in   string
		want string // or "error: " and a part of the text
	}{
		{Delivery, "", defaultDBT},
		{TransientQueue, "queue,*,!dsnDiag", "type,queue,timeLogged,dsnStatus,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta"},
		{Bounce, "JOBID,header_X-Tag,HEADER_x-tag,arf_X", "error: only f has"},
		{Bounce, "JOBID,header_X-Tag,HEADER_x-tag,type", "type,jobId,header_X-Tag"},
		{Bounce, "!type,*", "error: type cannot"},
		{Bounce, "nonsense", "error: unknown field"},
		{Bounce, "!nonsense", "error: unknown field"},
		{TransientQueue, "rcpt", "error: no field \"rcpt\""},
		{TransientQueue, "header_From", "error: no header"},
	} {
		var list []string
		if c.in != "" {
			list = strings.Split(c.in, ",")
		}
		got, err := ExpandFields(c.typ, list)
		if part, bad := strings.CutPrefix(c.want, "error: "); bad {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s %s: error %v, want %q", c.typ, c.in, err, part)
			}
		} else if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%s %s: %v, %v", c.typ, c.in, got, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for name, opt := range map[string]WorldOptions{
		"negative rate": {Rate: -1}, "hurry": {Hurry: -1}, "type": {Count: []Type{99}},
		"mix": {Mix: Mix{Delivery: 1, Feedback: 5}}, "no d": {Mix: Mix{Bounce: 1}},
		"never": {Mix: Mix{Delivery: 1}, Count: []Type{Feedback}},
	} {
		if _, err := NewWorld(opt); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, cfg := range map[string]AccountingConfig{
		"no path": {}, "gzip": {Path: "x", GzipMoved: true}, "size": {Path: "x", MaxSize: -1}, "type": {Path: "x", Types: []Type{42}},
		"field":        {Path: "x", Fields: map[Type][]string{Bounce: {"what"}}},
		"other's type": {Path: "x", Types: []Type{Bounce}, Fields: map[Type][]string{Delivery: {"*"}}},
	} {
		if _, err := NewAccounting(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func BenchmarkWorld(b *testing.B) {
	w := mustWorld(b, WorldOptions{Seed: 1, Rate: 50})
	b.ReportAllocs()
	for b.Loop() {
		w.Next()
	}
}

func BenchmarkAccounting(b *testing.B) {
	dir := b.TempDir()
	a, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Types: []Type{Delivery, Bounce, Transient}, Block: 256 << 10})
	if err != nil {
		b.Fatal(err)
	}
	w := mustWorld(b, WorldOptions{Seed: 1, Rate: 50, Count: []Type{Delivery, Bounce, Transient}})
	b.ReportAllocs()
	if _, err := Run(context.Background(), w, RunOptions{Streams: []Stream{a}, Records: int64(b.N)}); err != nil {
		b.Fatal(err)
	}
}
