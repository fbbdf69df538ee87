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
	const full, grey = smtpreply.MailboxFull, smtpreply.Greylisted
	known := func(c smtpreply.Category, ok bool) bool { return ok }
	is := func(want smtpreply.Category) func(smtpreply.Category, bool) bool {
		return func(c smtpreply.Category, ok bool) bool { return ok && c == want }
	}
	k := l.Key("bob@mail.example", "news@list.example", "7")
	if known(l.Get(k)) || known(l.Take(k)) {
		t.Error("an empty ledger knows a key")
	}
	l.Put(k, grey)
	l.Put(k, full)
	if !is(full)(l.Get(k)) {
		t.Error("the last deferral does not win")
	}
	if !is(full)(l.Take(k)) || known(l.Get(k)) || l.Len() != 0 {
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
	const v = smtpreply.MailboxFull
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
	const v = smtpreply.MailboxFull
	b.ReportAllocs()
	for b.Loop() {
		k := l.Key("some.one@mail.example", "bounce-1234567@list.example", "newsletter-7")
		l.Put(k, v)
		l.Take(k)
	}
}
