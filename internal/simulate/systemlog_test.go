package simulate

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func mustLog(t testing.TB, cfg SystemLogConfig) *SystemLog {
	t.Helper()
	l, err := NewSystemLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustRun(t testing.TB, opt WorldOptions, n int64, streams ...Stream) Summary {
	t.Helper()
	sum, err := Run(context.Background(), mustWorld(t, opt), RunOptions{Streams: streams, Records: n})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func mustIncidents(t testing.TB, specs ...string) Scenario {
	t.Helper()
	var s Scenario
	for _, spec := range specs {
		i, err := ParseIncident(spec)
		if err != nil {
			t.Fatal(err)
		}
		s.Incidents = append(s.Incidents, i)
	}
	return s
}

func TestLogGolden(t *testing.T) {
	dir := t.TempDir()
	zone := time.FixedZone("", -5*3600)
	opt := WorldOptions{Seed: 81, Rate: 0.5, Mix: richMix, Start: time.Date(2026, 1, 31, 23, 59, 30, 0, zone),
		Scenario: mustIncidents(t, "startup_failure@0+2s", "reload@12s", "crash@20s+4s:signal=11", "reload@26s:line=7", "disk_full@27s+2s")}
	acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv")})
	if err != nil {
		t.Fatal(err)
	}
	streams := []Stream{}
	for d := LogNone; d < LogData; d++ {
		streams = append(streams, mustLog(t, SystemLogConfig{
			LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log-"+d.String()), Keep: 8}, Seed: 1, Detail: d, Scenario: &opt.Scenario}))
	}
	web, err := NewHTTPLog(HTTPLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "pmtahttp.log"), Keep: 8}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	startup, err := NewStartupLog(filepath.Join(dir, "pmta-startuperr.log"))
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, opt, 16, append(streams, web, startup, acct)...)
	// One message, taken and delivered, is enough to show everything.
	mustRun(t, WorldOptions{Seed: 42, Rate: 0.5}, 2, acct,
		mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log-data"), Keep: 8}, Seed: 1, Detail: LogData}))
	for _, name := range []string{"log-none", "log-connections", "log-commands", "log-data", "pmtahttp.log", "pmta-startuperr.log"} {
		var got []byte
		if old, err := os.ReadFile(filepath.Join(dir, name+".1")); err == nil {
			got = append(old, "== midnight\n"...)
		}
		got = append(got, read(t, filepath.Join(dir, name))...)
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := read(t, golden); !bytes.Equal(got, want) {
			t.Errorf("output differs from %s; if that is meant, run with -update", golden)
		}
	}
}

// talk is one session as its lines in the log tell it.
type talk struct {
	queue, from string // of MAIL FROM
	replyAt     string
	reply       string // the last one before QUIT, lines joined by blanks
	extensions  string
	cipher      string
	in, out     int
	size        int // bytes that are in no line
	closed      bool
	done        bool
	quit        bool
}

var (
	lineBegin = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)
	lineForm  = regexp.MustCompile(`(?s)^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:\( {0,2}(\d+)\))?(.*)$`)
)

// sessions reads a log with commands; it knows nothing of how the log is made. Sessions that a crash cut are in the list
// too. Other lines go to rest.
func sessions(t *testing.T, log []byte) (list []*talk, rest []string) {
	t.Helper()
	var entries []string
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSuffix(line, "\n")
		if !lineBegin.MatchString(line) {
			entries[len(entries)-1] += "\n" + line
			continue
		}
		entries = append(entries, line)
	}
	open := map[string]*talk{}
	last := ""
	wrapped := 0
	for _, entry := range entries {
		m := lineForm.FindStringSubmatch(entry)
		at, conn, text := m[1], m[2], m[3]
		if at < last {
			t.Fatalf("%s comes after %s", entry, last)
		}
		last = at
		if strings.Contains(text, "\n") {
			wrapped++
		}
		if conn == "" {
			rest = append(rest, entry)
			if strings.HasPrefix(text, "PowerMTA v") {
				clear(open) // the process is a new one
			}
			continue
		}
		s := open[conn]
		switch {
		case strings.HasPrefix(text, "starting "), strings.HasPrefix(text, "accepted connection from "):
			if s != nil && !(s.done || s.closed && s.queue == "") {
				t.Fatalf("%s, but this connection is in use", entry)
			}
			s = &talk{}
			s.queue, _ = strings.CutPrefix(text, "starting ")
			if s.queue == text {
				s.queue = ""
			}
			open[conn] = s
			list = append(list, s)
			continue
		case s == nil || s.done:
			t.Fatalf("%s is in no session", entry)
		}
		if got, ok := strings.CutPrefix(text, ">>> "); ok {
			s.in += len(got) + 2
			if !s.quit && !strings.HasPrefix(got, "220") {
				if s.reply != "" && s.reply[len(s.reply)-1] == 0 {
					s.reply = strings.TrimSuffix(s.reply, "\x00") + " " + got
				} else {
					s.reply = got
				}
				if len(got) > 3 && got[3] == '-' {
					s.reply += "\x00" // more to come
				}
				s.replyAt = at
			}
			if strings.HasPrefix(got, "354") {
				s.size = 1
			}
			continue
		}
		if said, ok := strings.CutPrefix(text, "<<< "); ok {
			s.out += len(said) + 2
			switch {
			case said == "STARTTLS", strings.HasPrefix(said, "MAIL FROM:") && s.extensions == "":
				lines := strings.Split(s.reply, " 250")
				var names []string
				for _, l := range lines[1:] {
					names = append(names, l[1:])
				}
				s.extensions = strings.Join(names, ",")
			case said == "QUIT":
				s.quit = true
			}
			if arg, ok := strings.CutPrefix(said, "MAIL FROM:<"); ok {
				s.from = strings.TrimSuffix(arg, ">")
			}
			continue
		}
		switch {
		case strings.HasPrefix(text, "tls:TLS"):
			s.cipher = text[strings.LastIndexByte(text, ' ')+1:]
		case strings.HasPrefix(text, "closed "):
			in, out := byteCount(t, text, "in="), byteCount(t, text, "out=")
			if s.queue != "" {
				if s.size > 0 {
					s.size = out - s.out - 5
					s.out = out
				}
				if in != s.in || out != s.out {
					t.Fatalf("%s, but the lines have %d and %d bytes", entry, s.in, s.out)
				}
			}
			s.closed = true
		case strings.HasPrefix(text, "done "):
			if text != "done "+s.queue {
				t.Fatalf("%s ends the session of %s", entry, s.queue)
			}
			s.done = true
		}
	}
	if wrapped == 0 {
		t.Error("no continuation line")
	}
	return list, rest
}

func byteCount(t *testing.T, text, key string) int {
	t.Helper()
	_, v, _ := strings.Cut(text, " "+key)
	v, _, _ = strings.Cut(v, " ")
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("no %s in %s", key, text)
	}
	return n
}

// TestLogAgreesWithAccounting: every record of an attempt that a host answered has exactly one session, whose reply is
// its dsnDiag at the same second; and there is no other session.
func TestLogAgreesWithAccounting(t *testing.T) {
	dir := t.TempDir()
	scenario := mustIncidents(t, "crash@40s+10s", "block@0:vmta=mta-eu-01,provider=microsoft", "dns@55s+5s:provider=gmail", "startup_failure@65s+3s")
	opt := WorldOptions{Seed: 9, Rate: 150, Mix: richMix, Hurry: 300, Start: time.Date(2026, 1, 31, 23, 59, 0, 0, time.UTC), Scenario: scenario}
	acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Fields: map[Type][]string{Delivery: {"*", "dlvTlsCipher"}}})
	if err != nil {
		t.Fatal(err)
	}
	log := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log"), Block: 4096}, Seed: 9, Detail: LogCommands, Scenario: &scenario})
	mustRun(t, opt, 12_000, log, acct)

	want := map[string]int{}
	facts := map[string][]string{} // of deliveries
	byType := map[string]int{}
	downs, fails := 0, 0
	for _, f := range acct.Files() {
		all := rows(t, read(t, filepath.Join(dir, f.Name)))
		col := map[string]int{}
		for i, name := range all[0] {
			col[name] = i
		}
		for _, r := range all[1:] {
			typ, host, diag := r[0], r[col["dsnMta"]], r[col["dsnDiag"]]
			switch typ {
			case "d", "b", "t", "tq":
			default:
				continue
			}
			if r[col["dsnStatus"]] == statusExpired {
				continue // no attempt
			}
			if host == "" || diag == "" {
				if !strings.Contains(diag, "administrator") {
					fails++
				}
				continue // nobody answered
			}
			_, text, _ := strings.Cut(diag, ";")
			text = strings.TrimPrefix(text, "bounce-queue;reply:")
			at := r[col["timeLogged"]][:19]
			key := strings.Join([]string{at, r[col["queue"]], r[col["orig"]], text}, "|")
			want[key]++
			byType[typ]++
			if typ == "d" {
				facts[key] = []string{r[col["dlvEsmtpAvailable"]], r[col["dlvTlsCipher"]], r[col["dlvSize"]]}
			}
		}
	}
	for _, typ := range []string{"d", "b", "t", "tq"} {
		if byType[typ] < 150 {
			t.Errorf("only %d %s records with a reply: too few to prove anything", byType[typ], typ)
		}
	}
	list, rest := sessions(t, read(t, filepath.Join(dir, "log")))
	unanswered, cut, inbound := 0, 0, 0
	for _, s := range list {
		if s.queue == "" {
			inbound++
			continue
		}
		if s.replyAt == "" {
			unanswered++
			continue
		}
		if !s.closed || !s.done {
			cut++
		}
		reply := s.reply
		key := strings.Join([]string{s.replyAt, s.queue, s.from, reply}, "|")
		if want[key] == 0 {
			t.Fatalf("no record for the session %q", key)
		}
		want[key]--
		if f := facts[key]; f != nil {
			if s.extensions != f[0] || s.cipher != f[1] || s.closed && strconv.Itoa(s.size) != f[2] {
				t.Fatalf("session %+v, record %q", s, f)
			}
		}
	}
	for key, n := range want {
		if n != 0 {
			t.Errorf("%d records without session: %s", n, key)
		}
	}
	if unanswered != fails {
		t.Errorf("%d sessions without a reply, %d records say so", unanswered, fails)
	}
	if cut == 0 || inbound < 500 {
		t.Errorf("%d sessions cut by the crash, %d clients", cut, inbound)
	}
	text := strings.Join(rest, "\n")
	for _, line := range []string{"Unexpected exception", "exited abnormally", "shutting down", "stopped", "switched to backoff mode: \"", "switched to normal mode",
		"License expires in 30 days"} {
		if !strings.Contains(text, line) {
			t.Errorf("no line with %q", line)
		}
	}
	downs = strings.Count(text, "PowerMTA started")
	if downs != 3 {
		t.Errorf("%d starts", downs)
	}
}

// TestQueueLines: the log tells the changes that QueueStates derives.
func TestQueueLines(t *testing.T) {
	dir := t.TempDir()
	scenario := mustIncidents(t, "throttle@5m+20m:provider=yahoo")
	opt := WorldOptions{Seed: 5, Rate: 20, Hurry: 20, Scenario: scenario}
	log := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log")}, Seed: 5})
	states := &stateProbe{q: NewQueueStates(0)}
	if _, err := Run(context.Background(), mustWorld(t, opt), RunOptions{Streams: []Stream{log, states}, Duration: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var got []string
	all := 0
	for line := range strings.Lines(string(read(t, filepath.Join(dir, "log")))) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.Contains(line, "All SMTP sources"):
			all++
		case strings.Contains(line, "mode"), strings.Contains(line, " for queue "):
			got = append(got, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(states.want, "\n") {
		t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(states.want, "\n"))
	}
	if len(got) < 20 || all == 0 {
		t.Errorf("%d changes, %d queues without a source: too few to prove anything", len(got), all)
	}
}

type stateProbe struct {
	q    *QueueStates
	want []string
}

func (p *stateProbe) Open(time.Time) error { return nil }
func (p *stateProbe) Tick(time.Time) error { return nil }
func (p *stateProbe) Close() error         { return nil }
func (p *stateProbe) Write(e *Event) (bool, error) {
	for _, c := range p.q.Observe(e) {
		at := c.At.Format("2006-01-02 15:04:05 ")
		switch {
		case c.SourceIP != "" && c.Disabled:
			p.want = append(p.want, fmt.Sprintf("%sSource IP %s disabled for queue %s: %q", at, c.SourceIP, c.Queue, c.Reason))
		case c.SourceIP != "":
			p.want = append(p.want, fmt.Sprintf("%sSource IP %s re-enabled for queue %s", at, c.SourceIP, c.Queue))
		case c.Backoff:
			p.want = append(p.want, fmt.Sprintf("%sQueue %s switched to backoff mode: %q", at, c.Queue, c.Reason))
		default:
			p.want = append(p.want, fmt.Sprintf("%sQueue %s switched to normal mode", at, c.Queue))
		}
	}
	return false, nil
}

// TestMovedFiles: the log names every file that was moved, with the number of records that is really in it.
func TestMovedFiles(t *testing.T) {
	dir := t.TempDir()
	log := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log")}, Detail: LogNone})
	moved := filepath.Join(dir, "moved")
	streams := []Stream{log}
	for i, count := range []bool{true, false} {
		a, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, fmt.Sprintf("acct%d.csv", i)), MaxSize: 60_000, MoveTo: moved,
			MoveInterval: 10 * time.Minute, Notify: log.Note, CountMoved: count})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, a)
	}
	mustRun(t, WorldOptions{Seed: 1, Rate: 0.3}, 3000, streams...)
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Accounting file (\S+) was moved to (\S+?)(?: \((\d+) records\))?$`)
	named := map[string]bool{}
	for line := range strings.Lines(string(read(t, filepath.Join(dir, "log")))) {
		if !strings.Contains(line, "Accounting file") {
			continue
		}
		m := form.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("line %q", line)
		}
		name := filepath.Base(m[2])
		if m[1] != filepath.Join(dir, name) || filepath.Dir(m[2]) != moved || named[name] {
			t.Errorf("moved from %s to %s", m[1], m[2])
		}
		named[name] = true
		n := len(rows(t, read(t, m[2]))) - 1
		if strings.HasPrefix(name, "acct0") != (m[3] != "") || m[3] != "" && m[3] != strconv.Itoa(n) {
			t.Errorf("%s: %q records said, %d in it", name, m[3], n)
		}
	}
	entries, err := os.ReadDir(moved)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !named[e.Name()] {
			t.Errorf("nothing said about %s", e.Name())
		}
	}
	if len(entries) < 30 || len(named) != len(entries) {
		t.Errorf("%d files, %d named", len(entries), len(named))
	}
}

func TestLogDeterminism(t *testing.T) {
	run := func(seed uint64, block int, detail LogDetail) string {
		dir := t.TempDir()
		scenario := mustIncidents(t, "crash@1m", "throttle:share=0.5")
		file := LogFileConfig{Block: block, Keep: 4, Every: 50 * time.Second}
		file.Path = filepath.Join(dir, "log")
		log := mustLog(t, SystemLogConfig{LogFileConfig: file, Seed: seed, Detail: detail, Scenario: &scenario})
		file.Path = filepath.Join(dir, "http")
		web, err := NewHTTPLog(HTTPLogConfig{LogFileConfig: file, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv")})
		if err != nil {
			t.Fatal(err)
		}
		mustRun(t, WorldOptions{Seed: seed, Rate: 20, Scenario: scenario}, 4000, log, web, acct)
		var all strings.Builder
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintf(&all, "== %s\n%s", e.Name(), read(t, filepath.Join(dir, e.Name())))
		}
		if len(entries) != 9 {
			t.Errorf("%d files", len(entries))
		}
		return all.String()
	}
	first := run(7, 0, LogData)
	if first != run(7, 0, LogData) {
		t.Error("two runs with one seed differ")
	}
	if first != run(7, 4096, LogData) {
		t.Error("line and block mode differ")
	}
	if run(7, 0, LogCommands) == run(8, 0, LogCommands) {
		t.Error("two seeds give the same")
	}
}

func TestLogRotation(t *testing.T) {
	opt := WorldOptions{Seed: 2, Rate: 0.02, Start: time.Date(2026, 3, 1, 20, 0, 0, 0, time.FixedZone("", 3600))}
	const n = 6000 // about 3.5 days
	run := func(file LogFileConfig) (string, os.FileInfo, os.FileInfo) {
		dir := t.TempDir()
		file.Path = filepath.Join(dir, "log")
		if file.Block == 0 {
			file.Block = 64 << 10
		}
		log := mustLog(t, SystemLogConfig{LogFileConfig: file, Detail: LogConnections})
		acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Block: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file.Path, []byte("an older line\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		mustRun(t, opt, n, log, acct)
		after, err := os.Stat(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		return dir, before, after
	}
	plain, _, _ := run(LogFileConfig{})
	whole := string(read(t, filepath.Join(plain, "log")))
	if !strings.HasPrefix(whole, "an older line\n") {
		t.Error("an existing log was not appended to")
	}
	days := map[string]string{}
	for line := range strings.Lines(whole) {
		if strings.HasPrefix(line, "2026") {
			days[line[:10]] += line
		}
	}
	if len(days) != 5 {
		t.Fatalf("%d days", len(days))
	}
	for _, c := range []struct {
		name string
		file LogFileConfig
		want map[string]string // name to day, "" for no file
	}{
		{"rename", LogFileConfig{Keep: 3, Block: 1000}, map[string]string{"log": "2026-03-05", "log.1": "2026-03-04", "log.2": "2026-03-03", "log.3": ""}},
		{"truncate", LogFileConfig{Keep: 3, Truncate: true}, map[string]string{"log": "2026-03-05", "log.1": "2026-03-04", "log.2": "2026-03-03", "log.3": ""}},
		{"one", LogFileConfig{Keep: 1}, map[string]string{"log": "2026-03-05", "log.1": ""}},
		{"only truncate", LogFileConfig{Keep: 1, Truncate: true}, map[string]string{"log": "2026-03-05", "log.1": ""}},
		{"many", LogFileConfig{Keep: 8}, map[string]string{"log": "2026-03-05", "log.3": "2026-03-02", "log.4": "older", "log.5": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, before, after := run(c.file)
			for name, day := range c.want {
				b, err := os.ReadFile(filepath.Join(dir, name))
				switch {
				case day == "":
					if err == nil {
						t.Errorf("%s exists", name)
					}
				case err != nil:
					t.Error(err)
				case day == "older":
					if string(b) != "an older line\n"+days["2026-03-01"] {
						t.Errorf("%s is not the first day", name)
					}
				case string(b) != days[day]:
					t.Errorf("%s does not have the lines of %s", name, day)
				}
			}
			// A removed file may leave its inode number to the next one.
			if c.name != "one" && os.SameFile(before, after) != c.file.Truncate {
				t.Errorf("truncation is %v, but the same file is %v", c.file.Truncate, os.SameFile(before, after))
			}
		})
	}
	dir, _, _ := run(LogFileConfig{Keep: 100, Every: 6 * time.Hour})
	entries, err := filepath.Glob(filepath.Join(dir, "log*"))
	if err != nil || len(entries) != 15 {
		t.Errorf("%d files with a rotation every 6 hours, %v", len(entries), err)
	}
}

// TestLogDetail: each level has what it should have and nothing more.
func TestLogDetail(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte(SimulatedPassword))
	for detail, has := range map[LogDetail][]string{
		LogNone:        {"Transfer failed: ", "DNS lookup of MX for "},
		LogConnections: {"Transfer failed: ", "DNS lookup of MX for ", ")starting ", ")connecting from ", ")accepted connection from ", ")tls:TLSv1.3", ")closed ", ")done ", ")resolved "},
		LogCommands:    {")starting ", ")<<< EHLO ", ")>>> 250", ")closed "},
		LogData:        {")starting ", ")<<< EHLO ", ")>>> rd ", ")<<< wr ", ")>>> AUTH PLAIN ", secret, " the confidential"},
	} {
		t.Run(detail.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(t.TempDir(), "a.csv")})
			if err != nil {
				t.Fatal(err)
			}
			for _, unnumbered := range []bool{false, true} {
				log := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: path}, Detail: detail, Unnumbered: unnumbered})
				mustRun(t, WorldOptions{Seed: 4, Mix: richMix, Rate: 5}, 2000, log, acct)
				text := string(read(t, path))
				for _, s := range has {
					if unnumbered {
						s = strings.TrimPrefix(s, ")")
					}
					if !strings.Contains(text, s) {
						t.Errorf("nothing like %q", s)
					}
				}
				for _, s := range []string{"(  1)", "<<< EHLO", "rd ", secret, "AUTH PLAIN c"} {
					wanted := s == "(  1)" && detail > LogNone && !unnumbered || s == "<<< EHLO" && detail >= LogCommands || detail == LogData && s != "(  1)"
					if s == "AUTH PLAIN c" {
						wanted = false
					}
					if strings.Contains(text, s) != wanted {
						t.Errorf("%q: wanted %v", s, wanted)
					}
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if d, err := ParseLogDetail("commands"); err != nil || d != LogCommands {
		t.Error(d, err)
	}
	if _, err := ParseLogDetail("all"); err == nil {
		t.Error("detail all is accepted")
	}
}

// TestHexDump compares with the guide's example, whose second half is not in the form of its first.
func TestHexDump(t *testing.T) {
	l := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(t.TempDir(), "log")}, Detail: LogData})
	if err := l.Open(time.Date(2003, 6, 29, 9, 54, 4, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	s := session{l: l, u: l.last, until: l.last, conn: 19}
	s.hexDump(">>> ", "rd ", []byte("220 YSmtp mta134.mail\r\n"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := "2003-06-29 09:54:04 ( 19)>>> rd 23\n" +
		"2003-06-29 09:54:04 ( 19)3232302059536D7470206D7461313334 220 YSmtp mta134\n" +
		"2003-06-29 09:54:04 ( 19)2E6D61696C0D0A                   .mail..\n"
	if got := string(read(t, l.cfg.Path)); !strings.Contains(got, want) {
		t.Errorf("%s", got)
	}
}

func TestSplitReply(t *testing.T) {
	for in, want := range map[string][]string{
		"250 ok":                          {"250 ok"},
		"550-5.1.1 a b 550-5.1.1 c 550 d": {"550-5.1.1 a b", "550-5.1.1 c", "550 d"},
		"550 5.1.1 see 550 5.1.1 x":       {"550 5.1.1 see 550 5.1.1 x"},
		"421-x 14217 421 y":               {"421-x 14217", "421 y"},
		"421-no end":                      {"421-no end"},
		"421-no end 421":                  {"421-no end 421"},
		"4":                               {"4"},
	} {
		var got []string
		for rest := in; rest != ""; {
			var line string
			line, rest = splitReply(rest)
			got = append(got, line)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") || strings.Join(got, " ") != in {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestLogRealTime: lines are at most the lookback late, and in order.
func TestLogRealTime(t *testing.T) {
	begin := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	clock := &fakeClock{now: begin, extra: time.Millisecond}
	path := filepath.Join(t.TempDir(), "log")
	log := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: path}, Detail: LogCommands})
	late := &lateProbe{t: t, path: path}
	w := mustWorld(t, WorldOptions{Seed: 1, Rate: 100, Start: begin, Hurry: 60})
	if _, err := Run(context.Background(), w, RunOptions{Streams: []Stream{log, late}, Duration: 20 * time.Second, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	if late.worst > 4*time.Second || late.ticks < 100 {
		t.Errorf("the log ends %s before the present; %d ticks", late.worst, late.ticks)
	}
	list, _ := sessions(t, read(t, path))
	if len(list) < 1000 {
		t.Errorf("%d sessions", len(list))
	}
}

type lateProbe struct {
	t     *testing.T
	path  string
	ticks int
	worst time.Duration
}

func (p *lateProbe) Open(time.Time) error       { return nil }
func (p *lateProbe) Write(*Event) (bool, error) { return true, nil }
func (p *lateProbe) Close() error               { return nil }
func (p *lateProbe) Tick(now time.Time) error {
	if p.ticks++; p.ticks < 60 || p.ticks%20 != 0 {
		return nil
	}
	b := bytes.TrimSuffix(read(p.t, p.path), []byte("\n"))
	last := b[bytes.LastIndexByte(b, '\n')+1:]
	at, err := time.Parse("2006-01-02 15:04:05", string(last[:min(19, len(last))]))
	if err != nil {
		return nil // a continuation line
	}
	p.worst = max(p.worst, now.Sub(at))
	return nil
}

func TestBadLogOptions(t *testing.T) {
	for name, cfg := range map[string]LogFileConfig{
		"no path": {}, "keep": {Path: "x", Keep: -1}, "every": {Path: "x", Keep: 1, Every: time.Millisecond},
		"off": {Path: "x", Every: time.Hour}, "off too": {Path: "x", Truncate: true}, "block": {Path: "x", Block: -1},
	} {
		if _, err := NewSystemLog(SystemLogConfig{LogFileConfig: cfg}); err == nil {
			t.Errorf("system log: %s is accepted", name)
		}
		if _, err := NewHTTPLog(HTTPLogConfig{LogFileConfig: cfg}); err == nil {
			t.Errorf("http log: %s is accepted", name)
		}
	}
	if _, err := NewSystemLog(SystemLogConfig{LogFileConfig: LogFileConfig{Path: "x"}, Detail: 9}); err == nil {
		t.Error("detail 9 is accepted")
	}
	if _, err := NewStartupLog(""); err == nil {
		t.Error("no path is accepted")
	}
	for _, s := range []Stream{mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: "/dev/null/x"}}), &StartupLog{path: "/dev/null/x"}} {
		if err := s.Open(DefaultStart); err == nil {
			t.Error("a path that cannot be is accepted")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkSystemLog(b *testing.B) {
	for _, d := range []LogDetail{LogConnections, LogCommands, LogData} {
		b.Run(d.String(), func(b *testing.B) {
			dir := b.TempDir()
			log := mustLog(b, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log"), Block: 256 << 10}, Detail: d})
			acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Block: 256 << 10})
			if err != nil {
				b.Fatal(err)
			}
			w := mustWorld(b, WorldOptions{Seed: 1, Rate: 5000})
			b.ReportAllocs()
			if _, err := Run(context.Background(), w, RunOptions{Streams: []Stream{log, acct}, Records: int64(b.N)}); err != nil {
				b.Fatal(err)
			}
			lines, bytes := log.Lines()
			b.ReportMetric(float64(lines)/float64(b.N), "lines/op")
			b.SetBytes(bytes / int64(b.N))
		})
	}
}
