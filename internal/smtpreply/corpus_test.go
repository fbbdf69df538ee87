package smtpreply

import (
	"os"
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
