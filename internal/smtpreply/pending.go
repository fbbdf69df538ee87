package smtpreply

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsonlfile"
)

// Bounds of what is kept per unclassified template.
const (
	pendingDays   = 7   // samples, one a day
	pendingSample = 512 // bytes of a sample
)

// Sample is one masked reply of a day.
type Sample struct {
	Day   string `json:"day"`   // UTC, 2026-11-23
	Count uint64 `json:"count"` // replies with this template on that day
	Text  string `json:"text"`  // masked
}

// Template is a template that no rule fits, one JSON object a line in a file.
type Template struct {
	ID        string    `json:"template_id"`
	Template  string    `json:"template"`
	Provider  string    `json:"provider,omitempty"` // of the first reply seen
	ReplyCode uint16    `json:"reply_code,omitempty"`
	Enhanced  string    `json:"enhanced_status,omitempty"`
	Count     uint64    `json:"count"`
	First     time.Time `json:"first_seen"`
	Last      time.Time `json:"last_seen"`
	Samples   []Sample  `json:"samples"` // oldest first
}

// pendingTemplate is a Template that is being counted.
type pendingTemplate struct {
	n    atomic.Uint64 // replies not yet added to t
	last atomic.Int64  // Unix seconds
	day  atomic.Int64  // day of the newest sample, days since the epoch

	t Template // guarded by Pending.mu
}

// Pending counts unclassified templates and keeps one masked sample a day of
// each. It is bounded: a new template displaces the one seen longest ago.
type Pending struct {
	mu   sync.Mutex
	max  int
	m    map[string]*pendingTemplate
	lost uint64 // templates displaced
}

// NewPending returns an empty Pending for at most limit templates, 2000 when
// limit is not positive.
func NewPending(limit int) *Pending {
	if limit <= 0 {
		limit = 2000
	}
	return &Pending{max: limit, m: make(map[string]*pendingTemplate)}
}

func (p *Pending) entry(v *Verdict, prov *Provider, masked []byte) *pendingTemplate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t, ok := p.m[v.TemplateID]; ok {
		return t
	}
	t := &pendingTemplate{t: Template{ID: v.TemplateID, Template: v.Template, ReplyCode: v.ReplyCode, Enhanced: v.Enhanced}}
	switch {
	case prov != nil:
		t.t.Provider = prov.ID
	case v.hint != nil:
		t.t.Provider = v.hint.ID
	}
	t.day.Store(-1)
	p.makeRoom()
	p.m[v.TemplateID] = t
	return t
}

// makeRoom drops a quarter of the templates, those seen longest ago, when p is
// full. The caller holds p.mu.
func (p *Pending) makeRoom() {
	if len(p.m) < p.max {
		return
	}
	all := make([]*pendingTemplate, 0, len(p.m))
	for _, t := range p.m {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *pendingTemplate) int {
		return cmp.Or(cmp.Compare(a.last.Load(), b.last.Load()), cmp.Compare(a.t.ID, b.t.ID))
	})
	for _, t := range all[:max(1, len(all)/4)] {
		delete(p.m, t.t.ID)
		p.lost++
	}
}

// count adds one reply. It takes the lock once a day per template only.
func (p *Pending) count(t *pendingTemplate, masked []byte, now time.Time) {
	sec := now.Unix()
	t.last.Store(sec)
	if day := sec / 86400; t.day.Load() != day {
		p.mu.Lock()
		if t.day.Load() != day {
			t.flush()
			t.t.Samples = append(t.t.Samples, Sample{Day: now.UTC().Format(time.DateOnly), Text: cutUTF8(masked, pendingSample)})
			if len(t.t.Samples) > pendingDays {
				t.t.Samples = slices.Delete(t.t.Samples, 0, len(t.t.Samples)-pendingDays)
			}
			if t.t.First.IsZero() {
				t.t.First = time.Unix(sec, 0).UTC()
			}
			t.day.Store(day)
		}
		p.mu.Unlock()
	}
	t.n.Add(1)
}

// flush moves the count to the newest sample's day. The caller holds the lock.
func (t *pendingTemplate) flush() {
	n := t.n.Swap(0)
	t.t.Count += n
	if k := len(t.t.Samples); k > 0 {
		t.t.Samples[k-1].Count += n
	}
	if s := t.last.Load(); s > 0 {
		t.t.Last = time.Unix(s, 0).UTC()
	}
}

// Templates returns a copy of all templates, the most frequent first.
func (p *Pending) Templates() []Template {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Template, 0, len(p.m))
	for _, t := range p.m {
		t.flush()
		c := t.t
		c.Samples = slices.Clone(c.Samples)
		out = append(out, c)
	}
	SortTemplates(out)
	return out
}

// Displaced returns how many templates were dropped for want of room.
func (p *Pending) Displaced() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// SortTemplates sorts by count, the largest first, then by id.
func SortTemplates(t []Template) {
	slices.SortFunc(t, func(a, b Template) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID))
	})
}

// Save writes all templates to file, one JSON object a line, and replaces
// the file at once.
func (p *Pending) Save(file string) error { return jsonlfile.Save(file, p.Templates()) }

// Load adds the templates of a file that Save wrote. A file that does not
// exist is no error. Counting goes on where the file ends.
func (p *Pending) Load(file string) error {
	ts, err := jsonlfile.Load(file, checkTemplate)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range ts {
		if _, ok := p.m[t.ID]; ok || len(p.m) >= p.max {
			continue
		}
		e := &pendingTemplate{t: t}
		e.last.Store(t.Last.Unix())
		e.day.Store(-1)
		if k := len(t.Samples); k > 0 {
			if d, err := time.Parse(time.DateOnly, t.Samples[k-1].Day); err == nil {
				e.day.Store(d.Unix() / 86400)
			}
		}
		p.m[t.ID] = e
	}
	return nil
}

// ReadTemplates reads what Save wrote, in file order. Samples beyond the
// bound are dropped, the oldest first.
func ReadTemplates(r io.Reader) ([]Template, error) { return jsonlfile.Read(r, checkTemplate) }

func checkTemplate(t *Template) error {
	if t.ID == "" {
		return errors.New("template_id is missing")
	}
	if n := len(t.Samples) - pendingDays; n > 0 {
		t.Samples = slices.Delete(t.Samples, 0, n)
	}
	return nil
}
