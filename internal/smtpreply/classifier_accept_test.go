package smtpreply

import "testing"

// Success replies with different codes take turns in real mail: none of them
// may displace another.
func TestAcceptedRepliesKeepTheirVerdicts(t *testing.T) {
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	replies := []string{"250 ok", "250 2.0.0 ok", "250 2.6.0 queued", "250 2.1.5 ok", "250 2.1.0 ok", "251 2.1.5 ok", "250 2.5.0 ok", "250 2.7.0 ok"}
	first := map[string]*Verdict{}
	for range 3 {
		for _, r := range replies {
			v := c.Classify(Input{Diag: "smtp;" + r}).Verdict
			if v.Category != Delivered {
				t.Errorf("%s: %s", r, v.Category)
			}
			if first[r] == nil {
				first[r] = v
			} else if first[r] != v {
				t.Errorf("%s was classified anew", r)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range replies {
			c.Classify(Input{Diag: r})
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
