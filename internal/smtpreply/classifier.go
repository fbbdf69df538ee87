package smtpreply

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/elastic/go-freelru"

	"github.com/otelcol-pmta/otelcol-pmta/internal/rulefile"
)

// Options configure a Classifier. The zero value is ready for use.
type Options struct {
	// CacheSize is the number of verdicts kept, default 65536. A verdict
	// costs at most about 700 bytes, so the default is bounded by 45 MiB;
	// ordinary traffic has a few thousand templates.
	CacheSize int
	// UnclassifiedCacheSize is the number of unclassified verdicts kept,
	// default CacheSize/8. They have a cache of their own so that a flood
	// of them cannot displace the rest.
	UnclassifiedCacheSize int
	// MXCacheSize is the number of unknown MX hosts whose registrable
	// domain is kept, default 8192.
	MXCacheSize int
	// RulesFile, when set, holds rules of the user: they add to the
	// built-in ones or replace those with the same id.
	RulesFile string
	// PendingTemplates is the number of unclassified templates that are
	// counted, default 2000.
	PendingTemplates int
	// Now gives the time, default time.Now.
	Now func() time.Time
}

// Result is the answer for one reply. It holds pointers only and is copied
// without allocation.
type Result struct {
	*Verdict
	// Provider is never nil; its ID is "" when nothing tells.
	Provider *Provider
}

// Stats are counters since the start. Hits + Misses + Accepted is the number
// of calls.
type Stats struct {
	Hits, Misses uint64
	Accepted     uint64 // 2xx replies, which need no cache of templates
	Evictions    uint64
	Entries      int // verdicts in the cache now
	Unclassified uint64
	Reloads      uint64
	Version      string // of the rules in force
}

// counters is padded to a cache line: shards do not disturb each other.
type counters struct {
	hits, misses, accepted, evictions, unclassified atomic.Uint64
	_                                               [24]byte
}

// state is what a reload replaces as a whole.
type state struct {
	engine *engine
	cache  *freelru.ShardedLRU[uint64, *Verdict]
	uncl   *freelru.ShardedLRU[uint64, *Verdict]
	ok     [600]atomic.Pointer[[acceptSlots]atomic.Pointer[Verdict]]
}

// acceptSlots is the number of enhanced codes kept per 2xx reply code.
const acceptSlots = 64

// Classifier says what replies mean. It is safe for concurrent use.
type Classifier struct {
	opts    Options
	seed    maphash.Seed
	state   atomic.Pointer[state]
	mx      *freelru.ShardedLRU[uint64, *Provider]
	c       counters
	reloads atomic.Uint64
	pending *Pending

	reloadMu sync.Mutex
	file     rulefile.File
}

// New builds a Classifier from the built-in rules and Options.RulesFile.
func New(o Options) (*Classifier, error) {
	if o.CacheSize <= 0 {
		o.CacheSize = 65536
	}
	if o.UnclassifiedCacheSize <= 0 {
		o.UnclassifiedCacheSize = max(o.CacheSize/8, 16)
	}
	if o.MXCacheSize <= 0 {
		o.MXCacheSize = 8192
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Classifier{file: rulefile.File{Path: o.RulesFile, MaxSize: MaxRulesFile}, opts: o, seed: maphash.MakeSeed(), pending: NewPending(o.PendingTemplates)}
	var err error
	if c.mx, err = freelru.NewSharded[uint64, *Provider](uint32(o.MXCacheSize), foldHash); err != nil {
		return nil, err
	}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	c.reloads.Store(0)
	return c, nil
}

// foldHash makes the cache's 32-bit hash of a key that is a hash already.
func foldHash(k uint64) uint32 { return uint32(k ^ k>>32) }

func (c *Classifier) newState(e *engine) (*state, error) {
	s := &state{engine: e}
	var err error
	if s.cache, err = freelru.NewSharded[uint64, *Verdict](uint32(c.opts.CacheSize), foldHash); err != nil {
		return nil, err
	}
	s.uncl, err = freelru.NewSharded[uint64, *Verdict](uint32(c.opts.UnclassifiedCacheSize), foldHash)
	return s, err
}

// Reload reads Options.RulesFile again and puts its rules in force at once.
// After an error, which names line and reason, the old rules stay in force.
func (c *Classifier) Reload() error {
	c.reloadMu.Lock()
	defer c.reloadMu.Unlock()
	user, err := c.file.Read()
	if err != nil {
		return err
	}
	e, err := compile(c.opts.RulesFile, user)
	if err != nil {
		return err
	}
	if user != nil {
		e.version += "+" + hex16(xxhash.Sum64(user))[:8]
	}
	s, err := c.newState(e)
	if err != nil {
		return err
	}
	c.state.Store(s)
	c.reloads.Add(1)
	return nil
}

// Watch polls the rules file every interval until ctx ends and reloads it
// when its time or size has changed. report, when not nil, is called after
// every reload, with its error or nil.
func (c *Classifier) Watch(ctx context.Context, interval time.Duration, report func(error)) {
	c.file.Watch(ctx, interval, c.Reload, report)
}

// Version returns the version of the rules in force.
func (c *Classifier) Version() string { return c.state.Load().engine.version }

// Stats returns the counters.
func (c *Classifier) Stats() Stats {
	s := c.state.Load()
	return Stats{
		Hits: c.c.hits.Load(), Misses: c.c.misses.Load(), Accepted: c.c.accepted.Load(),
		Evictions: c.c.evictions.Load(), Unclassified: c.c.unclassified.Load(),
		Entries: s.cache.Len() + s.uncl.Len(), Reloads: c.reloads.Load(), Version: s.engine.version,
	}
}

// Pending returns the templates that no rule fits.
func (c *Classifier) Pending() *Pending { return c.pending }

// Classify says what a reply means. A template that was seen before costs no
// allocation. Only the categories recipient_unknown, recipient_inactive and
// recipient_domain_invalid are ever hard, and only on a reply that is
// permanent in both its codes and clear: words that leave some doubt give
// the category but are soft.
func (c *Classifier) Classify(in Input) Result {
	s := c.state.Load()
	e := s.engine
	p := parse(in.Diag, in.DSNStatus)
	prov, mx := e.providerOf(&in)

	if p.class() == 2 {
		c.c.accepted.Add(1)
		return Result{s.accepted(&p), c.provider(prov, nil, mx)}
	}

	sc := scratchPool.Get().(*scratch)
	sc.masked = e.template(sc.masked[:0], &p)
	key := maphash.Bytes(c.seed, sc.masked)
	if prov != nil {
		key ^= uint64(prov.num) * 0x9e3779b97f4a7c15
	}
	v, ok := s.cache.Get(key)
	if !ok {
		v, ok = s.uncl.Get(key)
	}
	if ok {
		c.c.hits.Add(1)
	} else {
		c.c.misses.Add(1)
		v = e.classify(&p, sc, prov, nil)
		if v.Category == Unclassified {
			v.pending = c.pending.entry(v, prov, sc.masked)
			if s.uncl.Add(key, v) {
				c.c.evictions.Add(1)
			}
		} else if s.cache.Add(key, v) {
			c.c.evictions.Add(1)
		}
	}
	if v.Category == Unclassified {
		c.c.unclassified.Add(1)
		if v.pending != nil {
			c.pending.count(v.pending, sc.masked, c.opts.Now())
		}
	}
	scratchPool.Put(sc)
	return Result{v, c.provider(prov, v, mx)}
}

// provider picks the provider: the one of MX or recipient domain, else the
// one the reply names, else the registrable domain of the MX host.
func (c *Classifier) provider(known *Provider, v *Verdict, mx string) *Provider {
	switch {
	case known != nil:
		return known
	case v != nil && v.hint != nil:
		return v.hint
	case mx == "":
		return noProvider
	}
	key := maphash.String(c.seed, mx)
	if p, ok := c.mx.Get(key); ok {
		return p
	}
	d := registrable(mx)
	p := &Provider{ID: d, Name: d, Family: d}
	c.mx.Add(key, p)
	return p
}

// accepted returns the verdict for a 2xx reply: one per pair of codes.
func (s *state) accepted(p *parsed) *Verdict {
	slots := s.ok[p.code].Load()
	if slots == nil {
		slots = new([acceptSlots]atomic.Pointer[Verdict])
		if !s.ok[p.code].CompareAndSwap(nil, slots) {
			slots = s.ok[p.code].Load()
		}
	}
	// A server has its one or two codes, all servers together some dozens: a
	// slot that another code holds is passed over, as two that take turns in
	// one would be classified anew each time.
	home := (uint(p.enh.Class)*31 + uint(p.enh.Subject)*11 + uint(p.enh.Detail)) % acceptSlots
	slot := &slots[home]
	for i := range uint(8) {
		at := &slots[(home+i)%acceptSlots]
		v := at.Load()
		if v != nil && v.enh == p.enh {
			return v
		}
		if v == nil {
			slot = at
			break
		}
	}
	sc := &scratch{masked: s.engine.template(make([]byte, 0, 32), p)}
	v := s.engine.classify(p, sc, nil, nil)
	v.enh = p.enh
	slot.Store(v)
	return v
}
