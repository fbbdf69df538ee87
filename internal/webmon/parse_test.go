package webmon

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

func page(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

var utc = ParseOptions{Location: time.UTC}

// parseAs parses a page by its file's name.
func parseAs(name string, b []byte) (any, error) {
	base := filepath.Base(name)
	switch base = strings.TrimSuffix(base, filepath.Ext(base)); base {
	case "status":
		return ParseStatus(b, utc)
	case "queueDetail", "fail":
		return ParseQueueDetail(b, utc)
	default:
		return ParseList(b, Kind(base), utc)
	}
}

// reOpt is an Opt in JSON.
var reOpt = regexp.MustCompile(`\{\s+"V": ([^,]*),\s+"OK": (true|false)\s+\}`)

// Each page of each version becomes the model in its golden file.
func TestPages(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.[jx]*l")
	require.NoError(t, err)
	more, err := filepath.Glob("testdata/*/*.json")
	require.NoError(t, err)
	files = append(files, more...)
	require.GreaterOrEqual(t, len(files), 13)
	for _, file := range files {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := parseAs(file, b)
			out := ""
			if err != nil {
				out = "error: " + err.Error() + "\n"
			} else {
				j, err := json.MarshalIndent(got, "", " ")
				require.NoError(t, err)
				out = reOpt.ReplaceAllStringFunc(string(j), func(m string) string {
					if sub := reOpt.FindStringSubmatch(m); sub[2] == "true" {
						return sub[1]
					}
					return "null"
				}) + "\n"
			}
			golden := file + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(out), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), out)
		})
	}
}

// The same facts give the same model, whatever the format.
func TestFormatsAgree(t *testing.T) {
	fromJSON, err := ParseStatus([]byte(`{"data":{"mta":{"product":{"version":"5.0r8"}},"status":{"timeNow":"2026-01-31 11:00:00","startupTime":"2026-01-30 11:00:00","shuttingDown":true,
		"traffic":{"total":{"in":{"rcp":5,"msg":"4","kb":1.5}}},"queue":{"httpDelivery":{"rcp":1,"dom":1,"kb":"0.5"}},"spool":{"initPct":100}}},"status":"success"}`), utc)
	require.NoError(t, err)
	fromXML, err := ParseStatus([]byte("\ufeff<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!-- x --><rsp><data><mta><product><version>5.0r8</version></product></mta><status><timeNow> 2026-01-31 11:00:00 </timeNow>"+
		"<startupTime>2026-01-30 11:00:00</startupTime><shuttingDown>1</shuttingDown><traffic><total><in><rcp>5</rcp><msg>4</msg><kb>1.5</kb></in></total></traffic>"+
		"<queue><httpDelivery><rcp>1</rcp><dom>1</dom><kb>0.5</kb></httpDelivery></queue><spool><initPct>100</initPct></spool></status></data><succ/></rsp>"), utc)
	require.NoError(t, err)
	require.Equal(t, fromJSON, fromXML)
	require.Equal(t, Some(true), fromXML.ShuttingDown)
	require.Equal(t, "http_delivery", fromXML.Backlog[0].Type)
	require.Equal(t, Some[int64](512), fromXML.Backlog[0].Bytes)
	require.Equal(t, 24*time.Hour, fromXML.Now.Sub(fromXML.Started))
}

func TestListShapes(t *testing.T) {
	for name, b := range map[string]string{
		"array":            `{"data":{"queues":[{"name":"a/b","rcp":"3","mode":"Backoff","paused":"yes"}]},"status":"success"}`,
		"no envelope":      `{"queues":[{"name":"a/b","rcp":3,"mode":"backoff","paused":true}]}`,
		"repeated":         `<rsp><data><queue><name>a/b</name><rcp>3</rcp><mode>backoff</mode><paused>1</paused></queue></data><succ/></rsp>`,
		"enclosed":         `<rsp><data><queues><queue><name>a/b</name><rcp>3</rcp><mode>backoff</mode><paused>yes</paused></queue></queues></data><succ/></rsp>`,
		"attributes":       `<rsp><data><queue name="a/b" rcp="3" mode="backoff" paused="true"/></data></rsp>`,
		"other case":       `<RSP><Data><Queue><NAME>a/b</NAME><Rcp>3</Rcp><mode>backoff</mode><paused>yes</paused></Queue></Data></RSP>`,
		"twice":            `{"data":{"queues":[{"name":"a/b","rcp":3,"mode":"backoff","paused":true},{"name":"a/b","rcp":99},{"rcp":1}]}}`,
		"null and unknown": `{"data":{"x":null,"queues":[{"name":"a/b","rcp":3.0,"kb":null,"mode":"backoff","paused":true,"more":[[1],{"a":[]}]}]}}`,
	} {
		l, err := ParseList([]byte(b), Queues, utc)
		require.NoError(t, err, name)
		require.Equal(t, []Row{{Name: "a/b", Recipients: Some[int64](3), Mode: ModeBackoff, Paused: Some(true)}}, l.Rows, name)
	}
	for name, b := range map[string]string{
		"XML":  `<rsp><data/><succ/></rsp>`,
		"JSON": `{"data":{},"status":"success"}`,
		"none": `{"data":{"title":"x","queues":[],"totalRcp":0}}`,
	} {
		l, err := ParseList([]byte(b), Queues, utc)
		require.NoError(t, err, name)
		require.Empty(t, l.Rows, name)
	}
}

func TestEventText(t *testing.T) {
	// Latin-1 and a control character in a reply.
	l, err := ParseList([]byte("<rsp><data><queue><name>a/b</name><event><type>error</type><time>x</time><text>Error: \"550 no\x01 gr\xfc\xdfe\"</text></event></queue></data></rsp>"), Queues, utc)
	require.NoError(t, err)
	require.Equal(t, []Event{{Kind: EventError, Text: "Error: \"550 no  grüße\""}}, l.Rows[0].Events)
	// A text that is too long is cut, and a name too.
	l, err = ParseList([]byte(`{"queues":[{"name":"`+strings.Repeat("ü", 600)+`","errors":["`+strings.Repeat("x", 5000)+`"]}]}`), Queues, utc)
	require.NoError(t, err)
	require.Len(t, l.Rows[0].Name, maxName)
	require.Len(t, l.Rows[0].Events[0].Text, maxText)
	for text, want := range map[string]string{
		"normal to backoff": ModeBackoff, "backoff to normal": ModeNormal, "switched to backoff mode": ModeBackoff,
		"normal -> backoff": ModeBackoff, "backoff: \"421 go to normal\"": ModeBackoff, "left backoff, now in normal mode": ModeNormal,
		"mode=normal": ModeNormal, "nothing": "", "entered backoff after normal": ModeBackoff, "backoff mode ended, queue is normal": ModeNormal,
	} {
		require.Equal(t, want, modeOf(text), text)
	}
}

func TestReply(t *testing.T) {
	for text, want := range map[string]string{
		"421 4.7.0 wait": "421 4.7.0 wait",
		`Error: "521 5.2.1 :  no" while connected from a (192.0.2.1) to b (192.0.2.2)`:                                            "521 5.2.1 :  no",
		`skip of MX requested: "421 "DYN" later" received from b (192.0.2.2) while connected from a (192.0.2.1) to b (192.0.2.2)`: `421 "DYN" later`,
		`Error: "550 it says "no"" while connected from a (192.0.2.1) to b (192.0.2.2)`:                                           `550 it says "no"`,
		`/^421 "x"/ "421-first line"`: "421-first line",
		`connect rate limit reached`:  "", "": "", "421": "421", "4211 x": "", `"hello" "450 x`: "450 x", "ETIMEDOUT": "",
	} {
		require.Equal(t, want, Reply(text), text)
	}
	require.Equal(t, "192.0.2.1", ConnectedFrom(`Error: "521 x" while connected from a (192.0.2.1) to b (192.0.2.2)`))
	require.Equal(t, "2001:db8::1", ConnectedFrom(`Error: "521 x" while connected from a (2001:db8::1) to b (192.0.2.2)`))
	require.Empty(t, ConnectedFrom("connect rate limit reached"))
}

func TestQueueDetailShapes(t *testing.T) {
	want := []DisabledIP{{IP: "192.0.2.1"}, {IP: "2001:db8::1"}}
	for name, b := range map[string]string{
		"strings":    `{"data":{"name":"a/b","mode":"normal","disabledSources":["192.0.2.1","host (2001:db8::1)"]}}`,
		"objects":    `{"data":{"queue":{"name":"a/b","mode":"normal"},"disabledSourceIps":[{"address":"192.0.2.1"},{"name":"2001:db8::1"},{"name":"none"}]}}`,
		"sources":    `{"data":{"queue":{"name":"a/b","mode":"normal","sources":[{"ip":"192.0.2.1","enabled":false},{"ip":"192.0.2.9","enabled":true},{"ip":"2001:db8::1","disabled":"yes"},{"ip":"192.0.2.8","disabled":0}]}}}`,
		"XML":        `<rsp><data><queue><name>a/b</name><mode>normal</mode><disabledSource>192.0.2.1</disabledSource><disabledSource><ip>2001:db8::1</ip></disabledSource></queue></data></rsp>`,
		"XML in one": `<rsp><data><queue><name>a/b</name><mode>normal</mode><disabledSources><disabledSource>192.0.2.1</disabledSource><disabledSource><ip>2001:db8::1</ip></disabledSource></disabledSources></queue></data></rsp>`,
	} {
		d, err := ParseQueueDetail([]byte(b), utc)
		require.NoError(t, err, name)
		require.Equal(t, want, d.Disabled, name)
		require.True(t, d.DisabledListed, name)
	}
	d, err := ParseQueueDetail([]byte(`{"data":{"name":"a/b","mode":"backoff","backoffReason":"/421 4\\.7\\/x/ 421 4.7/x wait"}}`), utc)
	require.NoError(t, err)
	require.Equal(t, `/421 4\.7\/x/`, d.BackoffPattern)
	require.Equal(t, "421 4.7/x wait", d.BackoffReason)
	require.False(t, d.DisabledListed)
}

// What is no page is an error of the right kind, never a page of zeros.
func TestNotAPage(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for name, c := range map[string]struct {
		page string
		want error
	}{
		"empty":         {"", ErrFormat},
		"blank":         {" \r\n\t", ErrFormat},
		"text":          {"Access denied", ErrFormat},
		"html":          {"<!DOCTYPE html><html><body>PowerMTA</body></html>", ErrHTML},
		"html later":    {"<?xml version='1.0'?><!-- x --><html lang=en>", ErrHTML},
		"cut JSON":      {`{"data":{"status":{"timeNow":"2026`, ErrFormat},
		"cut behind":    {`{"data":{"status":{"timeNow":"x"}}`, ErrFormat},
		"cut XML":       {"<rsp><data><status><timeNow>2026-01-31</timeNow><traffic><total><in><rcp>58", ErrFormat},
		"crossed XML":   {"<rsp><data></rsp></data>", ErrFormat},
		"two documents": {`{"data":{}}{}`, ErrFormat},
		"two roots":     {"<rsp/><rsp/>", ErrFormat},
		"deep JSON":     {deep, ErrTooLarge},
		"deep array":    {strings.Repeat("[", 100), ErrTooLarge},
		"deep XML":      {strings.Repeat("<a>", 100), ErrTooLarge},
		"many values":   {`{"data":[` + strings.Repeat("1,", maxNodes) + "1]}", ErrTooLarge},
		"other page":    {`{"data":{"x":1},"status":"success"}`, ErrPage},
		"nothing":       {`{}`, ErrPage},
		"array":         {`[]`, ErrPage},
		"null data":     {`{"data":null}`, ErrPage},
		"null":          {`null`, ErrFormat},
		"laughs":        {`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rsp><data><title>&b;</title></data></rsp>`, ErrFormat},
	} {
		for _, kind := range []string{"status", "queues", "queueDetail"} {
			if len(c.page) > 1<<16 && kind != "queues" {
				continue // the limits do not depend on the page
			}
			_, err := parseAs(kind+".x", []byte(c.page))
			require.ErrorIs(t, err, c.want, "%s as %s", name, kind)
		}
	}
	for name, b := range map[string]string{
		"JSON":       `{"data":{},"status":"fail","message":"no such queue"}`,
		"XML fail":   `<rsp><fail><message>no such queue</message></fail></rsp>`,
		"XML error":  `<rsp><data/><error>no such queue</error></rsp>`,
		"JSON error": `{"error":"no such queue"}`,
		"upper case": `{"status":"FAIL","message":"no such queue"}`,
	} {
		_, err := ParseQueueDetail([]byte(b), utc)
		var fail *FailError
		require.ErrorAs(t, err, &fail, name)
		require.Equal(t, "no such queue", fail.Message, name)
		require.Equal(t, "refused", Reason(err))
	}
}

func TestNumbersAndTimes(t *testing.T) {
	s, err := ParseStatus([]byte(`{"data":{"status":{"timeNow":"1769857200","startupTime":"0000-00-00 00:00:00","traffic":{"total":{"in":{"rcp":"-1","msg":"many","kb":-3},"out":{"rcp":1e3,"msg":9223372036854775807,"kb":1e300}}}}}}`), utc)
	require.NoError(t, err)
	require.Equal(t, Flow{}, s.Total.In)
	require.Equal(t, Flow{Recipients: Some[int64](1000), Messages: Some[int64](9223372036854775807)}, s.Total.Out)
	require.Equal(t, time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), s.Now)
	require.True(t, s.Started.IsZero())
}

func TestZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	at := func(wall string, want *time.Location, ok bool) {
		t.Helper()
		loc, got := Zone(wall, now, berlin)
		require.Equal(t, ok, got, wall)
		if ok {
			_, a := now.In(want).Zone()
			_, b := now.In(loc).Zone()
			require.Equal(t, a, b, wall)
			require.Equal(t, want == berlin, loc == berlin, wall)
		}
	}
	at("2026-07-01 14:00:20", berlin, true)
	at("2026-07-01 13:58:20", berlin, true)
	at("2026-07-01 12:00:00", time.UTC, true)
	at("2026-07-01 17:45:00", time.FixedZone("", 20700), true)
	at("2026-07-01 14:08:00", nil, false) // the clock is wrong
	at("2026-07-03 12:00:00", nil, false)
	at("soon", nil, false)
}

func TestComplete(t *testing.T) {
	rows := func(n int) (r []Row) {
		for i := range n {
			r = append(r, Row{Name: fmt.Sprint(i)})
		}
		return r
	}
	require.True(t, (&List{Rows: rows(3), TotalRows: Some[int64](3)}).Complete(100))
	require.False(t, (&List{Rows: rows(3), TotalRows: Some[int64](4)}).Complete(100))
	require.True(t, (&List{Rows: rows(3)}).Complete(100))
	require.False(t, (&List{Rows: rows(10)}).Complete(100), "ten are what an old version gives at most")
	require.False(t, (&List{Rows: rows(100)}).Complete(100))
}

// The parsers take anything without panic, and what they make of it is
// bounded and can be written as UTF-8.
func fuzzParse(f *testing.F, xml bool) {
	files, err := filepath.Glob("testdata/*/*")
	require.NoError(f, err)
	for _, file := range files {
		if (filepath.Ext(file) == ".xml") == xml && filepath.Ext(file) != ".golden" {
			b, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		for _, kind := range []string{"status", "queues", "domains", "vmtas", "jobs", "queueDetail"} {
			got, err := parseAs(kind+".x", b)
			if err != nil {
				var fail *FailError
				known := errors.As(err, &fail)
				for _, e := range []error{ErrFormat, ErrHTML, ErrTooLarge, ErrPage} {
					known = known || errors.Is(err, e)
				}
				require.True(t, known, "%v", err)
				continue
			}
			out, err := json.Marshal(got)
			require.NoError(t, err)
			require.False(t, bytes.Contains(out, []byte(`\u0000`)))
			again, err := parseAs(kind+".x", b)
			require.NoError(t, err)
			require.Equal(t, got, again)
			if l, ok := got.(*List); ok {
				top := Top{N: 2}
				named, _ := top.Pick(l)
				require.LessOrEqual(t, len(named), 2)
				tr := NewTracker()
				names := tr.Wanted(l.Rows, nil, 3)
				require.LessOrEqual(t, len(names), 3)
				tr.Observe(Observation{Rows: l.Rows})
				require.Empty(t, tr.Observe(Observation{Rows: l.Rows}), "nothing has changed")
			}
			if d, ok := got.(*QueueDetail); ok {
				_ = Reply(d.BackoffReason)
			}
		}
	})
}

func FuzzParseJSON(f *testing.F) { fuzzParse(f, false) }

func FuzzParseXML(f *testing.F) { fuzzParse(f, true) }
