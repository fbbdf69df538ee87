package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

// runTool runs one subcommand and returns exit code and output.
func runTool(t *testing.T, in string, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, stdio{strings.NewReader(in), &out, &errs})
	return code, out.String(), errs.String()
}

func TestClassifyExplains(t *testing.T) {
	code, out, errs := runTool(t, "", "classify", "--mx", "gmail-smtp-in.l.google.com", "550 5.1.1 no such user, see our policy")
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"category     recipient_unknown", "type         hard", "gmail (Gmail, mailbox, by mx)", "winner       unknown.user, matched by literal", "runner-up    policy", "template     550 5.1.1 no such user", `"no such user"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	_, out, _ = runTool(t, "", "classify", "550 lorem ipsum")
	if !strings.Contains(out, "No rule") || !strings.Contains(out, "category     unclassified") {
		t.Errorf("unclassified:\n%s", out)
	}
}

func TestClassifyJSONL(t *testing.T) {
	decode := func(s string) (rs []replyResult) {
		t.Helper()
		d := json.NewDecoder(strings.NewReader(s))
		d.DisallowUnknownFields()
		for d.More() {
			var r replyResult
			if err := d.Decode(&r); err != nil {
				t.Fatal(err)
			}
			rs = append(rs, r)
		}
		return rs
	}
	code, out, errs := runTool(t, "550 5.1.1 no such user\n\n452 4.2.2 mailbox full\r\n", "classify", "--jsonl")
	rs := decode(out)
	if code != exitOK || len(rs) != 3 {
		t.Fatalf("exit %d, %d lines: %s", code, len(rs), errs)
	}
	if r := rs[0]; r.Line != 1 || r.Category != "recipient_unknown" || r.Group != "recipient" || r.Type != "hard" || r.Owner != "list_hygiene" || r.Rule == "" || r.MatchedBy != "literal" || r.Template != "550 5.1.1 no such user" {
		t.Errorf("%+v", r)
	}
	if rs[1].Category != "unclassified" || rs[2].Category != "mailbox_full" || rs[2].Line != 3 {
		t.Errorf("%+v", rs[1:])
	}

	file := filepath.Join(t.TempDir(), "replies.tsv")
	table := "smtp_code\tenhanced_status\tresponse_text\n550\t5.1.1\tno such user\n\t\t452 4.2.2 mailbox full\n"
	if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runTool(t, "", "classify", "--file", file, "--jsonl")
	rs = decode(out)
	if code != exitOK || len(rs) != 2 || rs[0].Line != 2 || rs[0].Type != "hard" || rs[1].Category != "mailbox_full" {
		t.Errorf("exit %d: %+v %s", code, rs, errs)
	}
}

func TestClassifyReport(t *testing.T) {
	file := filepath.Join("..", "..", "internal", "smtpreply", "testdata", "replies.tsv")
	code, out, errs := runTool(t, "", "classify", "--file", file, "--report", "--misses")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"compatible", "strict", "wrong and confident", "unclassified", "never-suppress violations      0", "taken for", "recipient_unknown"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestClassifyUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"classify", "550", "5.1.1"}, exitUsage, "quotes"},
		{[]string{"classify", "--report", "550 no"}, exitUsage, "--report needs --file"},
		{[]string{"classify", "--file", "x", "550 no"}, exitUsage, "either"},
		{[]string{"classify", "--file", "x", "--report", "--jsonl"}, exitUsage, "either"},
		{[]string{"classify", "--misses", "550 no"}, exitUsage, "--misses needs"},
		{[]string{"classify", "--file", "does-not-exist.tsv"}, exitFailure, "does-not-exist.tsv"},
		{[]string{"classify", "--rules", "does-not-exist.yaml", "550 no"}, exitFailure, "does-not-exist.yaml"},
		{[]string{"unclassified"}, exitUsage, "Usage"},
		{[]string{"unclassified", "--limit", "-1", "x"}, exitUsage, "--limit"},
		{[]string{"unclassified", "does-not-exist.jsonl"}, exitFailure, "does-not-exist.jsonl"},
	} {
		code, _, errs := runTool(t, "", c.args...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d, %q", c.args, code, errs)
		}
	}
	if code, _, errs := runTool(t, "550 no\n", "classify", "--file", "-", "--report"); code != exitFailure || !strings.Contains(errs, "no label") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

func TestUnclassified(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c, err := smtpreply.New(smtpreply.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.Classify(smtpreply.Input{Diag: "550 lorem <bob@mail.example>"})
	}
	c.Classify(smtpreply.Input{Diag: "550 ipsum"})
	file := filepath.Join(t.TempDir(), "u.jsonl")
	if err := c.Pending().Save(file); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runTool(t, "", "unclassified", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) != 3 || !strings.Contains(lines[1], "550 lorem <{email}>") || !strings.Contains(lines[2], "550 ipsum") || !strings.Contains(errs, "2 templates, 4 replies") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	// Two files are added up; --limit cuts.
	code, out, _ = runTool(t, "", "unclassified", "--jsonl", "--limit", "1", file, file)
	ts, err := smtpreply.ReadTemplates(strings.NewReader(out))
	if code != exitOK || err != nil || len(ts) != 1 || ts[0].Count != 6 {
		t.Errorf("exit %d, %v: %+v", code, err, ts)
	}
}
