package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, stdio{strings.NewReader(""), &out, &errs})
	return code, out.String(), errs.String()
}

func TestDispatch(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		args   string
		code   int
		out    string // part of standard output
		errors string // part of standard error
	}{
		{"", exitUsage, "", "Usage: pmtalog SUBCOMMAND"},
		{"help", exitOK, "simulate ", ""},
		{"help simulate", exitOK, "Examples:", ""},
		{"simulate -h", exitOK, "-max-size SIZE", ""},
		{"nonsense", exitUsage, "", `no subcommand "nonsense"`},
		{"simulate", exitUsage, "", "--dir is required"},
		{"simulate --nonsense", exitUsage, "", "Flags:"},
		{"simulate --dir /nowhere/x extra", exitUsage, "", "unexpected argument"},
		{"simulate --dir x --rate 5 --start 2026-01-01", exitUsage, "", "virtual time"},
		{"simulate --dir x --duration 5s", exitUsage, "", "needs --rate"},
		{"simulate --dir x --start noon", exitUsage, "", "not a time"},
		{"simulate --dir x --types d,x", exitUsage, "", "unknown record type"},
		{"simulate --dir x --types d,d", exitUsage, "", "twice"},
		{"simulate --dir x --fields d", exitUsage, "", "TYPE:LIST"},
		{"simulate --dir x --fields d:what", exitUsage, "", "unknown field"},
		{"simulate --dir x --types b --fields d:*", exitUsage, "", "no file has records"},
		{"simulate --dir x --default-columns --header Subject", exitUsage, "", "does not go together"},
		{"simulate --dir x --acct-file bounce.csv", exitUsage, "", "NAME:TYPES"},
		{"simulate --dir x --acct-file acct.csv:b", exitUsage, "", "another file"},
		{"simulate --dir x --acct-file ../a.csv:b", exitUsage, "", "NAME:TYPES"},
		{"simulate --dir x --mix z=1", exitUsage, "", "--mix"},
		{"simulate --dir x --flush never", exitUsage, "", "line or block"},
		{"simulate --dir x --gzip-moved", exitUsage, "", "needs --move-to"},
		{"simulate --dir x --max-size 5x", exitUsage, "", "such as 50M"},
		{"simulate --dir /dev/null/x", exitFailure, "", "/dev/null"},
		{"simulate -h", exitOK, "startup_failure", ""},
		{"simulate --dir x --log-detail data", exitUsage, "", "--log-detail needs --log"},
		{"simulate --dir x --log-rotate 3", exitUsage, "", "--log-rotate needs --log or --http-log"},
		{"simulate --dir x --log x/log --log-detail all", exitUsage, "", "use none, connections, commands, data"},
		{"simulate --dir x --log x/log --log-rotate 0 --log-truncate", exitUsage, "", "rotation is off"},
		{"simulate --dir x --webhook-gzip", exitUsage, "", "needs --webhook-url"},
		{"simulate --dir x --webhook-url localhost", exitUsage, "", "no address"},
		{"simulate --dir x --webhook-url http://x --webhook-format xml", exitUsage, "", "use csv, json or jsonl"},
		{"simulate --dir x --webhook-url http://x --webhook-header X", exitUsage, "", "Name: value"},
		{"simulate --dir x --webhook-url http://x --webhook-types z", exitUsage, "", "--webhook-types: unknown record type"},
		{"simulate --dir x --webhook-url http://x --webhook-ca-file x/none", exitUsage, "", "--webhook-ca-file"},
		{"simulate --dir x --webhook-url http://x --webhook-certificate x/none", exitUsage, "", "--webhook-certificate"},
		{"simulate --dir x --pipe-types b", exitUsage, "", "--pipe-types needs --pipe"},
		{"simulate --dir x --pipe cat --pipe-types z", exitUsage, "", "--pipe-types: unknown record type"},
		{"simulate --dir x --incident fire", exitUsage, "", "unknown name: use one of throttle"},
		{"simulate --dir x --incident startup_failure", exitUsage, "", "needs --startup-error"},
		{"simulate --dir x --incident crash@1s --incident crash@2s", exitUsage, "", "before another one ends"},
		{"simulate --dir x --count-moved-records", exitUsage, "", "needs --move-to and --log"},
	} {
		code, out, errs := call(ctx, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errors) || c.out == "" && out != "" {
			t.Errorf("pmtalog %s: code %d, stdout %q, stderr %q", c.args, code, out, errs)
		}
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("wrong usage left a folder")
	}
}

func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	counts := filepath.Join(dir, "counts.json")
	code, _, errs := call(context.Background(), "simulate", "--dir", filepath.Join(dir, "log"), "--records", "3000", "--default-columns", "--span", "3h",
		"--acct-file", "bounce.json:b,rb", "--counts", counts, "--manifest", filepath.Join(dir, "truth"), "--start", "2026-02-03 04:05:06-0500")
	if code != exitOK || !strings.Contains(errs, "3000 records in 2 files") {
		t.Fatalf("code %d: %s", code, errs)
	}
	var stats []simulate.FileStats
	b, err := os.ReadFile(counts)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &stats); err != nil || len(stats) != 2 {
		t.Fatalf("%v: %s", err, b)
	}
	f, err := os.Open(filepath.Join(dir, "log", "acct-2026-02-03-0000.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, r := range rows[1:] {
		got[r[0]]++
		if !strings.HasSuffix(r[1], "-0500") {
			t.Fatalf("time %s", r[1])
		}
	}
	if len(rows[0]) != 23 || got["d"] != stats[0].Records["d"] || got["b"] != stats[0].Records["b"] || got["t"] != stats[0].Records["t"] || len(got) != 3 {
		t.Errorf("%d columns, %v in the file, %v counted", len(rows[0]), got, stats[0])
	}
	bounces, err := os.ReadFile(filepath.Join(dir, "log", "bounce-2026-02-03-0000.json"))
	if err != nil {
		t.Fatal(err)
	}
	if n := stats[1].Records["b"] + stats[1].Records["rb"]; stats[1].Records["b"] != got["b"] || int64(bytes.Count(bounces, []byte("\n"))) != n {
		t.Errorf("bounce.json: %v", stats[1])
	}
	truth, err := os.ReadFile(filepath.Join(dir, "truth"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(truth, []byte("\n")); n != len(rows)-1+bytes.Count(bounces, []byte("\n")) {
		t.Errorf("%d records in the manifest", n)
	}
}

// TestSimulateStreams writes all streams of one run and compares their numbers.
func TestSimulateStreams(t *testing.T) {
	if out := os.Getenv("SIMULATE_PIPE_OUT"); out != "" { // this is the program at the end of the pipe
		f, err := os.Create(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, os.Stdin); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	var mu sync.Mutex
	var posted int
	var tokens = map[string]bool{}
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		posted += bytes.Count(b, []byte("\n"))
		tokens[r.Header.Get("X-Token")] = true
	}))
	defer hook.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
	if err := os.WriteFile(in("ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIMULATE_PIPE_OUT", in("piped"))
	code, _, errs := call(context.Background(), "simulate", "--dir", in("acct"), "--records", "3000", "--span", "1h", "--acct-file", "bounce.csv:b,rb",
		"--move-to", in("moved"), "--move-interval", "10m", "--count-moved-records",
		"--log", in("log/pmta.log"), "--http-log", in("log/pmtahttp.log"), "--startup-error", in("log/pmta-startuperr.log"),
		"--incident", "throttle@10m+10m:provider=yahoo", "--incident", "crash@30m",
		"--webhook-url", hook.URL, "--webhook-format", "jsonl", "--webhook-header", "X-Token: t1", "--webhook-types", "d,b", "--webhook-ca-file", in("ca.pem"),
		"--pipe", self+" -test.run=^TestSimulateStreams$", "--pipe-types", "t")
	if code != exitOK {
		t.Fatalf("code %d: %s", code, errs)
	}
	var d, b, tr int
	if _, err := fmt.Sscanf(errs[strings.Index(errs, "by type:"):], "by type: d=%d b=%d t=%d", &d, &b, &tr); err != nil {
		t.Fatalf("%v in %s", err, errs)
	}
	text := func(name string) string {
		raw, err := os.ReadFile(in(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if posted != d+b || !tokens["t1"] || len(tokens) != 1 || !strings.Contains(errs, fmt.Sprintf("webhook: %d records in", d+b)) {
		t.Errorf("%d records posted, %d written; tokens %v; %s", posted, d+b, tokens, errs)
	}
	piped := strings.Split(text("piped"), "\n")
	if len(piped) < tr+2 || !strings.HasPrefix(piped[0], "type,timeLogged,") || !strings.HasPrefix(piped[tr], "t,") || strings.HasPrefix(piped[tr+1], "t,") ||
		!strings.Contains(errs, fmt.Sprintf("pipe: %d records, 0 lost, 1 starts", tr)) {
		t.Errorf("%d lines piped, %d records; %s", len(piped), tr, errs)
	}
	log := text("log/pmta.log")
	moved, err := os.ReadDir(in("moved"))
	if err != nil || len(moved) == 0 {
		t.Fatal(moved, err)
	}
	for _, e := range moved {
		line := fmt.Sprintf("Accounting file %s was moved to %s (%d records)\n", in("acct/"+e.Name()), in("moved/"+e.Name()), strings.Count(text("moved/"+e.Name()), "\n")-1)
		if !strings.Contains(log, line) {
			t.Errorf("the log has no %s", line)
		}
	}
	for _, part := range []string{"PowerMTA v5.0r8 starting", "exited abnormally", ")<<< RCPT TO:<", "PowerMTA stopped"} {
		if !strings.Contains(log, part) {
			t.Errorf("the log has no %q", part)
		}
	}
	if !strings.Contains(text("log/pmtahttp.log"), "Access denied from ") || !strings.Contains(text("log/pmta-startuperr.log"), "Startup error: No logging file specified") {
		t.Error("the other logs are not complete")
	}
	if left, _ := os.ReadDir(in("acct/webhook-staging")); len(left) > 0 {
		t.Errorf("left in staging: %v", left)
	}
}

// TestSimulateWithoutLog: what a log would say of the pipe goes to standard error.
func TestSimulateWithoutLog(t *testing.T) {
	code, _, errs := call(context.Background(), "simulate", "--dir", t.TempDir(), "--records", "100", "--pipe", "/no/such/program")
	if code != exitOK || !strings.Contains(errs, `Error starting "/no/such/program"`) || !strings.Contains(errs, "pipe: 0 records, 100 lost") {
		t.Errorf("code %d: %s", code, errs)
	}
}

func TestSimulateEndsCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	code, _, errs := call(ctx, "simulate", "--dir", dir, "--rate", "1000")
	if code != exitOK || !strings.Contains(errs, "records in 1 files") {
		t.Errorf("code %d: %s", code, errs)
	}
}

func TestSizeFlag(t *testing.T) {
	for in, want := range map[string]int64{"5": 5, "5b": 5, "2k": 2048, "50M": 50 << 20, "1g": 1 << 30, "0": 0} {
		var v sizeFlag
		if err := v.Set(in); err != nil || int64(v) != want {
			t.Errorf("%s: %d, %v", in, v, err)
		}
	}
	for _, in := range []string{"", "k", "-1", "9223372036854775807g", "5kb"} {
		var v sizeFlag
		if v.Set(in) == nil {
			t.Errorf("%q is accepted as %d", in, v)
		}
	}
}
