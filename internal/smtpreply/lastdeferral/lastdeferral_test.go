package lastdeferral

import (
	"fmt"
	"sync"
	"testing"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

func newLedger(t testing.TB, size int) *Ledger {
	t.Helper()
	l, err := New(size)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLedger(t *testing.T) {
	l := newLedger(t, 100)
	full := &smtpreply.Verdict{Category: smtpreply.MailboxFull}
	grey := &smtpreply.Verdict{Category: smtpreply.Greylisted}
	k := l.Key("bob@mail.example", "news@list.example", "7")
	if l.Get(k) != nil || l.Take(k) != nil {
		t.Error("an empty ledger knows a key")
	}
	l.Put(k, grey)
	l.Put(k, full)
	if l.Get(k) != full {
		t.Error("the last deferral does not win")
	}
	if l.Take(k) != full || l.Get(k) != nil || l.Len() != 0 {
		t.Error("Take does not take")
	}
}

func TestKey(t *testing.T) {
	l := newLedger(t, 100)
	k := l.Key("Bob@Mail.Example", "news@list.example", "7")
	if l.Key("Bob@mail.example", "news@LIST.example", "7") != k {
		t.Error("the case of a domain counts")
	}
	for _, o := range []Key{
		l.Key("bob@mail.example", "news@list.example", "7"), // the local part's case counts
		l.Key("Bob@Mail.Example", "news@list.example", "8"),
		l.Key("Bob@Mail.Example", "news@list.example7", ""),
		l.Key("Bob@Mail.Examplenews", "@list.example", "7"),
	} {
		if o == k {
			t.Error("different messages have the same key")
		}
	}
}

func TestBound(t *testing.T) {
	l := newLedger(t, 1000)
	v := &smtpreply.Verdict{}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				k := l.Key(fmt.Sprintf("u%d@mail.example", i), "", fmt.Sprint(g))
				l.Put(k, v)
				l.Get(k)
			}
		})
	}
	wg.Wait()
	// Shards round the bound up.
	if n := l.Len(); n < 500 || n > 1100 {
		t.Errorf("%d entries, want about 1000", n)
	}
}

func BenchmarkPutTake(b *testing.B) {
	l := newLedger(b, 0)
	v := &smtpreply.Verdict{}
	b.ReportAllocs()
	for b.Loop() {
		k := l.Key("some.one@mail.example", "bounce-1234567@list.example", "newsletter-7")
		l.Put(k, v)
		l.Take(k)
	}
}
