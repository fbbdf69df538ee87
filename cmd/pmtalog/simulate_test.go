package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
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
