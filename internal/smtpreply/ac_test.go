package smtpreply

import (
	"strings"
	"testing"
)

func asciiLower(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

func checkAutomaton(t *testing.T, literals []string, text string) {
	t.Helper()
	a, err := newAutomaton(literals)
	if err != nil {
		t.Fatalf("newAutomaton(%q): %v", literals, err)
	}
	var h hitSet
	for range 2 { // the second round checks reset
		h.reset(len(literals))
		a.scan([]byte(text), &h)
		for i, l := range literals {
			pos := strings.Index(asciiLower(text), asciiLower(l))
			if got := h.has(uint16(i)); got != (pos >= 0) {
				t.Fatalf("literal %q in %q: got %v", l, text, got)
			}
		}
		for _, l := range h.list {
			want := strings.Index(asciiLower(text), asciiLower(literals[l])) + len(literals[l])
			if int(h.ends[l]) != want {
				t.Fatalf("literal %q in %q ends at %d, want %d", literals[l], text, h.ends[l], want)
			}
		}
	}
}

func TestAutomaton(t *testing.T) {
	for _, c := range []struct {
		literals []string
		text     string
	}{
		{nil, "anything"},
		{[]string{"he", "she", "his", "hers"}, "ushers and HIS"},
		{[]string{"a", "aa", "aaa"}, "aaaa"},
		{[]string{"user unknown", "unknown", "no such user"}, "no such User Unknown"},
		{[]string{"x", "x"}, "x"},
		{[]string{"é", "\xff"}, "caf\xc3\xa9 \xff"},
		{[]string{"ab"}, ""},
	} {
		checkAutomaton(t, c.literals, c.text)
	}
	if _, err := newAutomaton([]string{""}); err == nil {
		t.Error("an empty literal was accepted")
	}
}

func FuzzAutomaton(f *testing.F) {
	f.Add("he|she|his|hers", "ushers")
	f.Add("a|ab|bab|bc|bca|c|caa", "abccab")
	f.Add("\x00|\xff\xfe|A", "a\xff\xfe\x00")
	f.Fuzz(func(t *testing.T, lits, text string) {
		if len(lits) > 4096 || len(text) > 60000 {
			return
		}
		var literals []string
		for l := range strings.SplitSeq(lits, "|") {
			if l != "" {
				literals = append(literals, l)
			}
		}
		checkAutomaton(t, literals, text)
	})
}
