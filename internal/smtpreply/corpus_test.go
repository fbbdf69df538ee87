package smtpreply

import (
	"os"
	"strings"
	"testing"
)

// scoreFile scores the lines of kind reply of a labelled file.
func scoreFile(t *testing.T, name string) Report {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines, err := ReadLabelled(f)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	replies := lines[:0]
	for _, l := range lines {
		if l.Kind == "reply" || l.Kind == "" {
			replies = append(replies, l)
		}
	}
	r := Score(c, replies)
	for _, m := range r.Misses {
		t.Logf("line %d: %s, want %s, by %q: %.200s", m.Line, m.Got, m.Want, m.RuleID, m.Text)
	}
	return r
}

// TestReplyFile scores a labelled file of real replies that is not part of
// the repository.
func TestReplyFile(t *testing.T) {
	name := os.Getenv("SMTP_REPLIES_TSV")
	if name == "" {
		t.Skip("SMTP_REPLIES_TSV names no labelled file of real replies")
	}
	r := scoreFile(t, name)
	if p := percent(r.Compatible, r.N); p < 96 {
		t.Errorf("compatible: %.1f %%, want at least 96 %%", p)
	}
	if p := percent(r.Wrong, r.N); p > 2 {
		t.Errorf("wrong and confident: %.1f %%, want at most 2 %%", p)
	}
	if r.Suppress != 0 {
		t.Errorf("%d never-suppress violations", r.Suppress)
	}
	t.Logf("compatible %.1f %%, strict %.1f %%, wrong %.1f %%, unclassified %.1f %%, n %d",
		percent(r.Compatible, r.N), percent(r.Strict, r.N), percent(r.Wrong, r.N), percent(r.Unclassified, r.N), r.N)
}

// TestOwnReplies scores the repository's own texts.
func TestOwnReplies(t *testing.T) {
	r := scoreFile(t, "testdata/replies.tsv")
	if r.N < 150 {
		t.Errorf("%d replies, want at least 150", r.N)
	}
	if len(r.ByCategory) != int(numCategories) {
		t.Errorf("%d categories of %d have replies", len(r.ByCategory), numCategories)
	}
	if p := percent(r.Compatible, r.N); p < 98 {
		t.Errorf("compatible: %.1f %%, want at least 98 %%", p)
	}
	if p := percent(r.Wrong, r.N); p > 1 {
		t.Errorf("wrong and confident: %.1f %%, want at most 1 %%", p)
	}
	if r.Suppress != 0 {
		t.Errorf("%d never-suppress violations", r.Suppress)
	}
}

func TestScore(t *testing.T) {
	const table = "smtp_code\tenhanced_status\tresponse_text\tcommon\taccept\tkind\n" +
		"550\t5.1.1\tno such user\trecipient_unknown\trecipient_unknown\treply\n" +
		"\t\t550 over quota\tremote_system_error\tremote_system_error,mailbox_full\treply\r\n" +
		"550\t\tlorem ipsum\tpolicy\tpolicy\treply\n" +
		"550\t5.1.1\tno such user\tspam_content\tspam_content\treply\n"
	lines, err := ReadLabelled(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := Score(c, lines)
	if r.N != 4 || r.Compatible != 2 || r.Strict != 1 || r.Wrong != 1 || r.Unclassified != 1 || r.Suppress != 1 || len(r.Misses) != 2 {
		t.Errorf("%+v", r)
	}
	if r.Misses[0].Line != 4 || r.Misses[1].Line != 5 {
		t.Errorf("misses on lines %d and %d, want 4 and 5", r.Misses[0].Line, r.Misses[1].Line)
	}
	for name, in := range map[string]string{
		"empty":            "",
		"no label":         "550 no such user\n",
		"unknown category": "response_text\tcommon\naccept\tnonsense\n",
	} {
		if _, err := ReadLabelled(strings.NewReader(in)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
