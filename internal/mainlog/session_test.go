package mainlog

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

func sessionsOf(events []event) (out []event) {
	for _, e := range events {
		if e.kind == "session" {
			out = append(out, e)
		}
	}
	return out
}

// What a session says is the same when the log was rotated in the middle of
// it, whether its beginning is known at once or comes later.
func TestCarry(t *testing.T) {
	input := goldenInputs(t)["testdata/session_interleaved"]
	whole := sessionsOf(decodeAt(t, testOptions, input, false))
	lines := strings.SplitAfter(input, "\n")
	for cut := 1; cut < len(lines)-1; cut++ {
		first, second := strings.Join(lines[:cut], ""), strings.Join(lines[cut:], "")
		before := NewDecoder(testOptions)
		c := &collector{t: t}
		before.Decode(first, true, c)
		carried := before.Carry()
		require.Equal(t, carried, before.Carry(), "the decoder keeps them")

		after := NewDecoder(testOptions)
		require.NoError(t, after.Adopt(carried))
		require.NoError(t, after.Adopt(carried), "twice makes no difference")
		require.Equal(t, before.Open(), after.Open())
		c.base = 0
		after.Decode(second, true, c)
		after.Flush(c)
		got := sessionsOf(c.events)
		require.Len(t, got, len(whole), "rotated behind line %d", cut)
		for i := range whole {
			// One that begins in the new file has another uid.
			require.Equal(t, hex32.ReplaceAllString(whole[i].String(), ""), hex32.ReplaceAllString(got[i].String(), ""), "rotated behind line %d", cut)
			if cut >= 2 {
				require.Equal(t, whole[i].String(), got[i].String(), "rotated behind line %d", cut)
			}
		}
	}

	// The new file has been read for a while before.
	for cut := 4; cut < len(lines)-12; cut++ {
		before := NewDecoder(testOptions)
		before.Decode(strings.Join(lines[:cut], ""), true, handler{})
		c := &collector{t: t}
		after := NewDecoder(testOptions)
		after.Decode(strings.Join(lines[cut:cut+3], ""), false, c)
		require.NoError(t, after.Adopt(before.Carry()))
		require.NoError(t, after.Adopt(before.Carry()))
		after.Decode(strings.Join(lines[cut+3:], ""), true, c)
		after.Flush(c)
		got := sessionsOf(c.events)
		// One session ends in what was read before its beginning was known.
		for _, g := range got {
			if g.attrs[semconv.PMTASessionIncomplete] != "" {
				continue
			}
			for _, w := range whole {
				if g.attrs[semconv.PMTASessionID] != w.attrs[semconv.PMTASessionID] {
					continue
				}
				for _, k := range []string{semconv.PMTAQueueName, semconv.PMTASessionLines, semconv.PMTASessionCommands, semconv.PMTASessionTranscript,
					semconv.PMTADSNDiag, semconv.PMTASessionBytesSent, semconv.PMTASessionDuration, semconv.ServerAddress, semconv.TLSCipher, semconv.SMTPMailFrom} {
					// The gap in front of the first line after the rotation is
					// not known when it is read.
					require.Equal(t, gaps(w.attrs[k]), gaps(g.attrs[k]), "%s, rotated behind line %d", k, cut)
				}
			}
		}
	}

	// The number is used by another session already.
	before, after := NewDecoder(testOptions), NewDecoder(testOptions)
	before.Decode("2026-03-01 10:00:00 (  1)starting old.example/v\n", true, handler{})
	c := &collector{t: t}
	after.Decode("2026-03-01 10:00:10 (  1)starting new.example/v\n", false, c)
	require.NoError(t, after.Adopt(before.Carry()))
	require.Equal(t, 2, after.Open())
	state := after.State()
	again := NewDecoder(testOptions)
	require.NoError(t, again.Restore(state, after.Offset()))
	require.Equal(t, state, again.State())
	again.Decode("2026-03-01 10:01:10 (  1)done new.example/v\n", true, c)
	got := sessionsOf(c.events)
	require.Len(t, got, 2)
	require.Equal(t, `"old.example/v"`, got[0].attrs[semconv.PMTAQueueName])
	require.Equal(t, `"superseded"`, got[0].attrs[semconv.PMTASessionIncompleteReason])
	require.Equal(t, `"new.example/v"`, got[1].attrs[semconv.PMTAQueueName])
	require.Empty(t, got[1].attrs[semconv.PMTASessionIncomplete])
}

var hex32 = regexp.MustCompile("[0-9a-f]{32}")

func gaps(s string) string {
	for i := range 60 {
		s = strings.ReplaceAll(s, fmt.Sprintf("[+%ds] ", i), "")
	}
	return s
}

// Whatever a log holds, sessions stay within their bounds.
func TestSessionBounds(t *testing.T) {
	o := testOptions
	o.MaxSessions, o.MaxState = 50, 16<<10
	d := NewDecoder(o)
	c := &collector{t: t}
	reasons := map[string]int{}
	feed := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...) + "\n"
		c.base += d.Decode(line, false, c)
		require.LessOrEqual(t, len(d.State()), d.opts.MaxState)
		require.LessOrEqual(t, d.Open(), d.opts.MaxSessions)
		for _, e := range sessionsOf(c.events) {
			reasons[e.attrs[semconv.PMTASessionIncompleteReason]]++
		}
		c.events = c.events[:0]
	}
	for i := range 120 {
		feed("2026-03-01 10:00:00 (%3d)starting q%d.example/v", i, i)
	}
	require.Equal(t, map[string]int{`"too_many"`: 70}, reasons)
	for i := range 2000 {
		feed("2026-03-01 10:00:00 (%3d)<<< MAIL FROM:<%s@example.com>", 70+i%50, strings.Repeat("x", i%300))
		feed("2026-03-01 10:00:00 (%3d)>>> 550 5.1.1 %s", 70+i%50, strings.Repeat("y", i%900))
	}
	require.Positive(t, reasons[`"too_large"`], "state is bounded: %v", reasons)
	feed("2026-03-01 11:30:00 nothing")
	require.Zero(t, d.Open())
	require.Positive(t, reasons[`"too_old"`])

	// A long session has a short transcript, and what failed in it.
	o = testOptions
	o.MaxTranscript = 1000
	d, c = NewDecoder(o), &collector{t: t}
	feed("2026-03-01 12:00:00 (  1)starting q.example/v")
	for i := range 500 {
		reply := "250 ok"
		if i == 400 {
			reply = "452 4.5.3 too many"
		}
		c.base += d.Decode(fmt.Sprintf("2026-03-01 12:00:00 (  1)<<< RCPT TO:<u%d@q.example>\n2026-03-01 12:00:00 (  1)>>> %s\n", i, reply), false, c)
	}
	c.events = nil
	c.base += d.Decode("2026-03-01 12:00:00 (  1)done q.example/v\n", false, c)
	s := sessionsOf(c.events)[0]
	require.Less(t, len(s.attrs[semconv.PMTASessionTranscript]), 1100)
	require.True(t, strings.HasSuffix(s.attrs[semconv.PMTASessionTranscript], `\nC: RCPT TO:<u400@q.example>\nS: 452 4.5.3 too many"`), s.attrs[semconv.PMTASessionTranscript])
	require.Equal(t, "499", s.attrs[semconv.PMTASessionRecipientsAccepted])
	require.Equal(t, "1", s.attrs[semconv.PMTASessionRecipientsRejected])
	require.Equal(t, "500", s.attrs[semconv.PMTASessionCommands])
	omitted := s.attrs[semconv.PMTASessionTranscriptOmitted]
	require.Equal(t, fmt.Sprint(1000-strings.Count(s.attrs[semconv.PMTASessionTranscript], `\n`)-1), omitted)

	// Without transcripts there is none.
	o.MaxTranscript = -1
	for _, e := range sessionsOf(decodeAt(t, o, goldenInputs(t)["testdata/session_interleaved"], false)) {
		require.Empty(t, e.attrs[semconv.PMTASessionTranscript])
		require.Empty(t, e.attrs[semconv.PMTASessionTranscriptOmitted])
	}
}

// No credential of the golden files is in any output or saved state.
func TestNoSecrets(t *testing.T) {
	for dir, input := range goldenInputs(t) {
		name := filepath.Base(dir)
		if name != "session_auth" && name != "keep_data" && name != "session_inbound" && name != "secrets_http" {
			continue
		}
		secrets := []string{"U0VDUkVU", "SECRE", "53454352", "QUdGdW", "AGFubg", "AGFub", "PFNFQ1JF", "AFNFQ1JF", "secret", "VXNlcm5hbWU6"}
		check := func(where, s string) {
			for _, x := range secrets {
				require.NotContains(t, s, x, "%s of %s", where, name)
			}
		}
		for _, step := range []int{len(input), 50, 1} {
			d := NewDecoder(optionsOf(dir))
			u := NewUnknown(0)
			d.opts.Unknown = u
			var out []string
			h := handler{
				entry:   func(e *Entry) { out = append(out, e.Text, fmt.Sprint(e.Attrs)) },
				session: func(s *Session) { out = append(out, s.Text, fmt.Sprint(s.Attrs)) },
			}
			pos := 0
			for end := step; pos < len(input); end += step {
				end = min(end, len(input))
				pos += d.Decode(input[pos:end], end == len(input), h)
				check("state", string(d.State()))
				check("carry", string(d.Carry()))
			}
			d.Flush(h)
			check("output", strings.Join(out, "\n"))
			check("unknown", fmt.Sprint(u.List()))
			if name != "session_inbound" {
				require.Positive(t, d.Stats().Secrets)
			}
		}
		require.True(t, strings.Contains(input, "U0VDUkVU") || strings.Contains(input, "53454352") || strings.Contains(input, "AGFubg") || strings.Contains(input, "SECRET"), "the input holds a secret")
	}
}

// Dumps of messages are removed whatever they look like, and counted.
func TestDumpsRemoved(t *testing.T) {
	const file = "2026-03-01 10:00:00 (  1)<<< wr 40\n" +
		"2026-03-01 10:00:00 (  1)53454352455420544558542053454352 SECRET TEXT SECR\n" +
		"2026-03-01 10:00:00 (  1)0010: 53 45 43 52 45 54 SECRET\n" +
		"SECRET on\n" +
		"2026-03-01 10:00:00 (  1)4554                             ET\n" +
		"2026-03-01 10:00:00 (  2)53454352455420544558542053454352 SECRET TEXT SECR\n" +
		"2026-03-01 10:00:00 53454352455420544558542053454352 SECRET TEXT SECR\n" +
		"2026-03-01 10:00:00 (  1)>>> 250 ok\n"
	for _, e := range decodeAt(t, testOptions, file, true, 120, 170, 190, 260) {
		require.NotContains(t, e.String(), "SECRET")
	}
	d := NewDecoder(testOptions)
	d.Decode(file, true, handler{})
	require.Equal(t, uint64(6), d.Stats().Removed)
	require.Equal(t, uint64(2), d.Stats().Entries)
	o := testOptions
	o.KeepData = true
	kept := decodeAt(t, o, file, false)
	require.Contains(t, fmt.Sprint(kept), "SECRET TEXT SECR")
}

// The reply that failed is what the classifier of replies reads.
func TestSessionIsClassified(t *testing.T) {
	cl, err := smtpreply.New(smtpreply.Options{CacheSize: 64})
	require.NoError(t, err)
	got := map[string]string{}
	for _, dir := range []string{"session_interleaved", "session_outcomes", "event_queue"} {
		for _, e := range decodeAt(t, testOptions, goldenInputs(t)["testdata/"+dir], false) {
			if diag := strings.Trim(e.attrs[semconv.PMTADSNDiag], `"`); diag != "" {
				r := cl.Classify(smtpreply.Input{Diag: diag, MX: strings.Trim(e.attrs[semconv.ServerAddress], `"`)})
				got[strings.Trim(e.attrs[semconv.PMTAQueueName], `"`)+" "+e.kind] = r.Category.String()
			}
		}
	}
	require.Equal(t, map[string]string{"aol.com/vmta2 session": "rate_limited", "gmail.com/vmta1 session": "recipient_unknown",
		"rejected.example/vmta1 session": "blocklisted", "gmail.com/vmta1 entry": "rate_limited"}, got)
}

func TestPatternsFile(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "events.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const own = `
version: mine
patterns:
  - id: widget
    event: acme.widget.open
    severity: WARN
    all_of: [widget]
    regex: 'widget (?P<n>\d+) of (?P<queue>\S+)'
    attrs: {n: "acme.widget:int", queue: pmta.queue.name}
    set: {acme.team: mail}
    examples:
      - text: opened widget 17 of a.example/v
        attrs: {acme.widget: "17", pmta.queue.vmta: v, acme.team: mail}
    not_examples: [a widget]
  - id: queue_normal
    disabled: true
    event: x.y
    severity: INFO
    examples: []
  - id: stop
    event: acme.stop
    severity: words
    any_of: [stopped]
    examples: [PowerMTA stopped with an error]
`
	path := write(own)
	p, err := LoadPatterns(path)
	require.NoError(t, err)
	require.NotEqual(t, Builtin().Version(), p.Version())
	o := testOptions
	o.Patterns = p
	d := NewDecoder(o)
	eventsOf := func() (list []string) {
		d.Decode("2026-03-01 10:00:00 opened widget 17 of a.example/v\n2026-03-01 10:00:00 Queue a.example/v switched to normal mode\n"+
			"2026-03-01 10:00:00 PowerMTA stopped, warning\n2026-03-01 10:00:00 PowerMTA started\n", false,
			handler{entry: func(e *Entry) { list = append(list, e.Event+" "+e.Severity.String()) }})
		return list
	}
	require.Equal(t, []string{"acme.widget.open WARN", "pmta.log INFO", "acme.stop WARN", "pmta.mta.start INFO"}, eventsOf())

	// A reload is in force at once; a bad file leaves the patterns as they are.
	require.NoError(t, os.WriteFile(path, []byte("patterns: [{id: a, event: b}]"), 0o600))
	require.Error(t, p.Reload())
	require.Equal(t, "acme.widget.open WARN", eventsOf()[0])
	require.NoError(t, os.WriteFile(path, []byte("patterns: []"), 0o600))
	require.NoError(t, p.Reload())
	require.Equal(t, []string{"pmta.log INFO", "pmta.queue.normal INFO", "pmta.mta.stop INFO", "pmta.mta.start INFO"}, eventsOf())

	const good = "    event: a.b\n    severity: INFO\n    all_of: [text]\n    examples: [a text]\n"
	for _, c := range []struct{ text, want string }{
		{"patterns:\n  - event: a.b\n", ":2: id is missing"},
		{"patterns:\n  - id: x\n" + good + "  - id: x\n" + good, `:7: pattern "x": id is used on line 2 already`},
		{"patterns:\n  - id: x\n    colour: red\n", `:3: pattern "x": unknown field "colour"`},
		{"patterns:\n  - text\n", ":2: a pattern must be a mapping"},
		{"pattern: []\n", "field pattern not found"},
		{"patterns:\n  - id: x\n    event: Nope\n    severity: INFO\n", `pattern "x": event "Nope": want a name`},
		{"patterns:\n  - id: x\n    event: a.b\n    severity: BAD\n", `severity "BAD": want DEBUG, INFO, WARN, ERROR or FATAL, or words`},
		{"patterns:\n  - id: x\n    event: a.b\n    severity: INFO\n    stream: acct\n", `stream "acct": want diag or panic`},
		{"patterns:\n  - id: x\n    event: a.b\n    severity: INFO\n    regex: a\n", "matches everything: give a literal"},
		{"patterns:\n  - id: x\n    event: a.b\n    severity: INFO\n    all_of: ['']\n", "a literal is empty"},
		{"patterns:\n  - id: x\n    event: a.b\n    severity: INFO\n    all_of: [a]\n", "has no examples"},
		{"patterns:\n  - id: x\n" + good + "    regex: '('\n", "missing closing"},
		{"patterns:\n  - id: x\n" + good + "    not_regex: '('\n", "missing closing"},
		{"patterns:\n  - id: x\n" + good + "    not_regex: 'ext'\n", `example "a text" is not taken`},
		{"patterns:\n  - id: x\n" + good + "    attrs: {q: a.b}\n", `the regex has no group "q"`},
		{"patterns:\n  - id: x\n" + good + "    regex: '(?P<q>t)'\n    attrs: {q: 'a.b:float'}\n", `type "float": want int`},
		{"patterns:\n  - id: x\n" + good + "    regex: '(?P<q>t)'\n    attrs: {q: 'a b'}\n", `"a b" is no attribute name`},
		{"patterns:\n  - id: x\n" + good + "    regex: '(?P<q>t)'\n    attrs: {q: a.b}\n    set: {a.b: c}\n", `"a.b" is taken from the text, too`},
		{"patterns:\n  - id: x\n" + good + "    set: {'': c}\n", "want an attribute name and a text"},
		{"patterns:\n  - id: x\n" + good + "    not_examples: [another text]\n", `counter-example "another text" is taken by this pattern`},
		{"patterns:\n  - id: x\n" + good + "    none_of: [a]\n", `example "a text" is not taken by this pattern`},
		{"patterns:\n  - id: y\n" + good + "  - id: x\n" + good, `pattern "x": example "a text" is taken by pattern "y"`},
		{"patterns:\n  - id: x\n" + good + "      - {text: 'text b', attrs: {a.b: c}}\n", ""},
	} {
		_, err := LoadPatterns(write(c.text))
		require.Error(t, err, c.text)
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, "events.yaml", "the file is named")
	}
	_, err = LoadPatterns(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = LoadPatterns(write(strings.Repeat("#", MaxPatternsFile+1)))
	require.ErrorContains(t, err, "larger than")
}

// A change of the file is seen.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(path, []byte("patterns: []"), 0o600))
	p, err := LoadPatterns(path)
	require.NoError(t, err)
	reports := make(chan error, 10)
	go p.Watch(t.Context(), time.Millisecond, func(err error) { reports <- err })
	replace := func(text string) { // at once: half a file may be a good one
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	replace("patterns: [oops]")
	require.Error(t, <-reports)
	before := p.Version()
	replace("patterns: []  # again")
	require.NoError(t, <-reports)
	require.NotEqual(t, before, p.Version())
}

// Every event that the log can tell has a pattern with it.
func TestEventsCovered(t *testing.T) {
	have := map[string]bool{}
	set := Builtin().set.Load()
	for i := range set.patterns {
		p := &set.patterns[i]
		have[p.event] = true
		if p.severity == Fatal {
			require.Equal(t, semconv.StreamPanic, p.stream, p.id)
		}
	}
	for _, e := range []string{semconv.EventMTAStart, semconv.EventMTAStop, semconv.EventMTAStartFailed, semconv.EventMTACrash, semconv.EventConfigError,
		semconv.EventConfigReload, semconv.EventDNSError, semconv.EventDNSLookup, semconv.EventTransferFailed, semconv.EventSourceIPDisabled,
		semconv.EventSourceIPEnabled, semconv.EventQueueBackoff, semconv.EventQueueNormal, semconv.EventAcctFileMoved, semconv.EventPipeError,
		semconv.EventWebhookError, semconv.EventMonitorDenied, semconv.EventMonitorRequest, semconv.EventLicenceError, semconv.EventSpoolError, semconv.EventDiskFull} {
		require.True(t, have[e], e)
		delete(have, e)
	}
	require.Empty(t, have, "events without a name in semconv")
}

func TestSeverity(t *testing.T) {
	for text, want := range map[string]Severity{
		"": Info, "all is well": Info, "an error occurred": Error, "Error: x": Error, "ERRORS FOUND": Error, "unable to x": Error, "x failed": Error,
		"could not x": Error, "cannot x": Error, "can't x": Error, "warning: x": Warn, "connection timed out": Warn, "timed": Info, "access denied": Warn,
		"fatal: x": Fatal, "panic": Fatal, "Aborted": Fatal, "a warning, then an error": Error, "an error, then a warning": Error,
		"0 errors": Info, "no errors": Info, "no error": Info, "without errors": Info, "errors: 0": Info, "errors=0": Info, "failed: 0": Info, "10 errors": Error,
		"errors: 10": Error, "errors: 0.5": Error, "0 errors, 2 failures": Error, "no more errors": Info, "zero errors": Info,
		"see /var/log/error.log": Info, "error.example.com resolved": Info, "opened the error log": Info, "panic-free": Info, "user error@example.com": Info,
		"error-prone": Info, "non-fatal": Info, "terrors": Info, "It is an error.": Error, "(failed)": Error, "\"failed\"": Error,
		"error level 3": Info, "failedover": Info, "no such file, error 2": Error,
	} {
		require.Equal(t, want.String(), severityOf(text).String(), text)
	}
}

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"precached 12 names for mx.example.com in 7 ms":  "precached {n} names for {host} in {n} ms",
		"Queue gmail.com/vmta1 is odd":                   "Queue {queue} is odd",
		"from 192.0.2.1:25 to [2001:db8::1] (192.0.2.9)": "from {ip} to [{ip}] ({ip})",
		`said "ann@example.com is bad" 3 times`:          `said "{text}" {n} times`,
		"to <ann@example.com>: no":                       "to <{email}>: no",
		"file /var/log/pmta/acct-1.csv, C:\\pmta\\log.":  "file {path}, {path}.",
		"at 10:22:33 on 2026-03-01":                      "at {ts} on {ts}",
		"see https://example.com/a?b=c.":                 "see {url}.",
		"job 4f2a9c77 version v5.0r8 x2":                 "job {id} version {id} x{n}",
		"192.0.2.0/24 and a/b c1/d2":                     "{ip}/{n} and a/b c{n}/d{n}",
		"first line\nsecond":                             "first line",
		"naïve café":                                     "naïve café",
		"don't mask 'this one'":                          "don't mask '{text}'",
		"50% of -3.5 MB":                                 "{n} of {n} MB",
		"trailing   space  ":                             "trailing space",
		"host:25 mx.example.com:25":                      "host:{n} {host}:{n}",
		"":                                               "",
	} {
		require.Equal(t, want, string(mask(nil, text, false)), text)
	}
	require.Equal(t, `mx.example.com 17 {ip} {email} "{text}" /var/x`, string(mask(nil, `mx.example.com 17 192.0.2.1 a@b.example "quoted" /var/x`, true)))
	require.LessOrEqual(t, len(mask(nil, strings.Repeat("1 ", 5000), false)), maxTemplateOut+16)
}

func TestUnknown(t *testing.T) {
	u := NewUnknown(8)
	u.now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 5 {
		u.Add(fmt.Sprintf("odd thing %d of user%d@example.com at 192.0.2.%d", i, i, i), Warn, at.Add(time.Duration(i)*time.Hour).UnixNano())
	}
	u.Add("no time", Info, 0)
	list := u.List()
	require.Len(t, list, 2)
	require.Equal(t, Template{ID: list[0].ID, Template: "odd thing {n} of {email} at {ip}", Severity: "WARN", Count: 5, First: at, Last: at.Add(4 * time.Hour),
		Sample: "odd thing 0 of {email} at {ip}"}, list[0])
	require.Equal(t, int64(1_800_000_000), list[1].Last.Unix())

	path := filepath.Join(t.TempDir(), "unknown.jsonl")
	require.NoError(t, u.Load(path), "no file yet")
	require.NoError(t, u.Save(path))
	again := NewUnknown(8)
	again.Add("no time", Info, at.UnixNano())
	require.NoError(t, again.Load(path))
	require.Len(t, again.List(), 2)
	require.Equal(t, uint64(2), again.List()[1].Count)
	require.Equal(t, list[0], again.List()[0])
	require.NoError(t, os.WriteFile(path, []byte("{}\n"), 0o600))
	require.ErrorContains(t, again.Load(path), "line 1: template_id or template is missing")

	for i := range 40 {
		u.Add(strings.Repeat("x", i+1), Info, at.Add(time.Duration(10+i)*time.Hour).UnixNano())
	}
	require.LessOrEqual(t, len(u.List()), 8)
	require.Equal(t, uint64(42-len(u.List())), u.Displaced())

	// The decoder counts only what no pattern knows.
	o := testOptions
	o.Unknown = NewUnknown(0)
	d := NewDecoder(o)
	d.Decode("2026-03-01 10:00:00 PowerMTA started\n2026-03-01 10:00:00 (  1)>>> 250 ok\n2026-03-01 10:00:00 a strange thing\n2026-03-01 10:00:00 \n", true, handler{})
	require.Len(t, o.Unknown.List(), 1)
	require.Equal(t, uint64(2), d.Stats().Unknown)
}

// A reject is the only thing that becomes no entry.
func TestStats(t *testing.T) {
	d := NewDecoder(testOptions)
	var got Stats
	d.Decode(goldenInputs(t)["testdata/too_large"], true, handler{
		entry:   func(*Entry) { got.Entries++ },
		session: func(*Session) { got.Sessions++ },
		reject:  func(acct.Reject) { got.Rejects++ },
	})
	s := d.Stats()
	require.Equal(t, got, Stats{Entries: s.Entries, Sessions: s.Sessions, Rejects: s.Rejects})
	require.Positive(t, s.Rejects)
}
