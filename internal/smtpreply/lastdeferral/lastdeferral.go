// Package lastdeferral remembers why each recipient was last put off, so that
// a bounce that only says "message expired" can be told its cause.
package lastdeferral

import (
	"hash/maphash"
	"strings"

	"github.com/elastic/go-freelru"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

// DefaultSize is the number of recipients remembered when none is given.
const DefaultSize = 200_000

// Key stands for one message to one recipient. Two keys can be equal by
// chance, once in 2^64.
type Key uint64

// Ledger maps keys to categories. It is bounded: when full, the entry used
// longest ago goes. It is safe for concurrent use. An entry costs about 40
// bytes without a pointer among them, so that the garbage collector passes them
// over.
type Ledger struct {
	seed maphash.Seed
	m    *freelru.ShardedLRU[Key, smtpreply.Category]
}

// New returns an empty Ledger for size entries, DefaultSize when size is not
// positive.
func New(size int) (*Ledger, error) {
	if size <= 0 {
		size = DefaultSize
	}
	m, err := freelru.NewSharded[Key, smtpreply.Category](uint32(size), func(k Key) uint32 { return uint32(k ^ k>>32) })
	if err != nil {
		return nil, err
	}
	return &Ledger{seed: maphash.MakeSeed(), m: m}, nil
}

// Key returns the key of a message: recipient, envelope sender and job, as
// PMTA writes them (rcpt, orig, jobId). Case is ignored in the domains only.
// It does not allocate for ASCII addresses whose domains are lower case.
func (l *Ledger) Key(rcpt, orig, job string) Key {
	var h maphash.Hash
	h.SetSeed(l.seed)
	writeAddress(&h, rcpt)
	writeAddress(&h, orig)
	_, _ = h.WriteString(job) // a maphash never fails
	return Key(h.Sum64())
}

func writeAddress(h *maphash.Hash, a string) {
	at := strings.LastIndexByte(a, '@')
	_, _ = h.WriteString(a[:at+1])
	_, _ = h.WriteString(strings.ToLower(a[at+1:]))
	_ = h.WriteByte(0) // no part runs into the next
}

// Put remembers c as the category of the last deferral of k.
func (l *Ledger) Put(k Key, c smtpreply.Category) { l.m.Add(k, c) }

// Take returns the category of the last deferral of k and forgets it; ok is
// false when there is none. To be called when the message has left the queue,
// for whatever reason.
func (l *Ledger) Take(k Key) (c smtpreply.Category, ok bool) {
	if c, ok = l.m.Get(k); ok {
		l.m.Remove(k)
	}
	return c, ok
}

// Get returns the category of the last deferral of k; ok is false when there
// is none.
func (l *Ledger) Get(k Key) (c smtpreply.Category, ok bool) { return l.m.Get(k) }

// Len returns the number of entries.
func (l *Ledger) Len() int { return l.m.Len() }
