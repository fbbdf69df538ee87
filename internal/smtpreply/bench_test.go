package smtpreply

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// benchReplies are the repository's own texts as PMTA writes them.
func benchReplies(b *testing.B) []Input {
	b.Helper()
	f, err := os.Open("testdata/replies.tsv")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []Input
	err = ScanReplies(f, func(r ReplyRow) error {
		in := Input{Diag: r.Text, MX: "mx1.mail.example (192.0.2.25)", Rcpt: "mail.example", DSNStatus: "5.0.0 (undefined status)"}
		if strings.HasPrefix(r.Text, "2") {
			return nil
		}
		if !strings.Contains(r.Text, ";") || r.Text[0] >= '0' && r.Text[0] <= '9' {
			in.Diag = "smtp;" + r.Text
		}
		out = append(out, in)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func newBench(b *testing.B) *Classifier {
	b.Helper()
	c, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkClassifyHit(b *testing.B) {
	c, in := newBench(b), benchReplies(b)
	for _, x := range in {
		c.Classify(x)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Classify(in[i%len(in)])
	}
}

func BenchmarkClassifyAccepted(b *testing.B) {
	c := newBench(b)
	in := Input{Diag: "smtp;250 2.0.0 OK  1700000000 ab12si3456789wrq.99 - gsmtp", MX: "gmail-smtp-in.l.google.com (192.0.2.26)", DSNStatus: "2.0.0 (success)"}
	b.ReportAllocs()
	for b.Loop() {
		c.Classify(in)
	}
}

func BenchmarkClassifyMiss(b *testing.B) {
	e, in := testEngine(b), benchReplies(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.run(in[i%len(in)])
	}
}

// BenchmarkClassifyUnique is an attacker's traffic: no two templates are the
// same, so every call misses, and the caches are full.
func BenchmarkClassifyUnique(b *testing.B) {
	for _, words := range []int{12, 200, 2000} {
		b.Run(fmt.Sprint(words, "words"), func(b *testing.B) {
			c := newBench(b)
			r := rand.New(rand.NewPCG(1, 2))
			var in []Input
			for range 4096 {
				var s strings.Builder
				s.WriteString("smtp;550 5.7.1")
				for range words {
					s.WriteByte(' ')
					for range 2 + r.IntN(9) {
						s.WriteByte('a' + byte(r.IntN(26)))
					}
				}
				in = append(in, Input{Diag: s.String(), MX: "mx.example.net (192.0.2.1)"})
			}
			seeds := make([]maphash.Seed, 4096)
			for i := range seeds {
				seeds[i] = maphash.MakeSeed()
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				// Another seed each round: no key comes twice.
				c.seed = seeds[i/len(in)%len(seeds)]
				c.Classify(in[i%len(in)])
			}
		})
	}
}

// BenchmarkClassifyLiterals is the worst text for the engine: as many
// literals of the rules as fit.
func BenchmarkClassifyLiterals(b *testing.B) {
	e := testEngine(b)
	r := rand.New(rand.NewPCG(3, 4))
	var in []Input
	for range 512 {
		var s strings.Builder
		s.WriteString("550 5.7.1")
		for s.Len() < headBytes+tailBytes {
			s.WriteString(e.litText[r.IntN(len(e.litText))])
		}
		in = append(in, Input{Diag: s.String()})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.run(in[i%len(in)])
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compile("", nil); err != nil {
			b.Fatal(err)
		}
	}
}
