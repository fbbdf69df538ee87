package mainlog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsonlfile"
)

const (
	defaultUnknown    = 2000
	maxUnknownSample  = 512
	maxUnknownEntries = 1 << 20
)

// Template is what entries that no pattern knows have in common, one JSON
// object a line in a file.
type Template struct {
	ID       string    `json:"template_id"`
	Template string    `json:"template"`
	Severity string    `json:"severity"` // of the first one
	Count    uint64    `json:"count"`
	First    time.Time `json:"first_seen"`
	Last     time.Time `json:"last_seen"`
	Sample   string    `json:"sample"` // the first one, masked
}

// Unknown counts the templates of entries that no pattern knows, so that the
// patterns which are missing can be found. It is bounded: a new template
// displaces those seen longest ago. It is safe for concurrent use.
type Unknown struct {
	mu    sync.Mutex
	limit int
	m     map[uint64]*unknownTemplate
	buf   []byte
	lost  uint64
	now   func() time.Time
}

type unknownTemplate struct {
	t           Template
	first, last int64 // Unix seconds
}

// NewUnknown returns an empty Unknown for at most limit templates, 2000 when
// limit is not positive.
func NewUnknown(limit int) *Unknown {
	if limit <= 0 {
		limit = defaultUnknown
	}
	return &Unknown{limit: min(limit, maxUnknownEntries), m: map[uint64]*unknownTemplate{}, now: time.Now}
}

// Add counts a text that no pattern knows, of which credentials are removed
// already. at is its time in nanoseconds since the Unix epoch, 0 for now.
func (u *Unknown) Add(text string, sev Severity, at int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.buf = mask(u.buf[:0], text, false)
	sec := at / 1e9
	if at == 0 {
		sec = u.now().Unix()
	}
	key := xxh3.Hash(u.buf)
	t := u.m[key]
	if t == nil {
		u.makeRoom()
		t = &unknownTemplate{first: sec}
		t.t = Template{ID: fmt.Sprintf("%016x", key), Template: string(u.buf), Severity: sev.String(),
			Sample: cut(string(mask(nil, text, true)), maxUnknownSample)}
		u.m[key] = t
	}
	t.t.Count++
	t.first, t.last = min(t.first, sec), max(t.last, sec)
}

// makeRoom drops a quarter of the templates, those seen longest ago, when u is
// full. The caller holds the lock.
func (u *Unknown) makeRoom() {
	if len(u.m) < u.limit {
		return
	}
	keys := make([]uint64, 0, len(u.m))
	for k := range u.m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(u.m[a].last, u.m[b].last), cmp.Compare(a, b))
	})
	for _, k := range keys[:max(1, len(keys)/4)] {
		delete(u.m, k)
		u.lost++
	}
}

// List returns a copy of all templates, the most frequent first.
func (u *Unknown) List() []Template {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]Template, 0, len(u.m))
	for _, t := range u.m {
		c := t.t
		c.First, c.Last = time.Unix(t.first, 0).UTC(), time.Unix(t.last, 0).UTC()
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Template) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Displaced returns how many templates were dropped for want of room.
func (u *Unknown) Displaced() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lost
}

// Save writes all templates to file, one JSON object a line, and replaces the
// file at once.
func (u *Unknown) Save(file string) error { return jsonlfile.Save(file, u.List()) }

// Load adds the templates of a file that Save wrote. A file that does not
// exist is no error. Counting goes on where the file ends.
func (u *Unknown) Load(file string) error {
	list, err := jsonlfile.Load(file, checkTemplate)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range list {
		key := xxh3.HashString(t.Template)
		have := u.m[key]
		if have == nil {
			if len(u.m) >= u.limit {
				continue
			}
			u.m[key] = &unknownTemplate{t: t, first: t.First.Unix(), last: t.Last.Unix()}
			continue
		}
		have.t.Count += t.Count
		have.first, have.last = min(have.first, t.First.Unix()), max(have.last, t.Last.Unix())
	}
	return nil
}

// ReadTemplates reads what Save wrote, in file order.
func ReadTemplates(r io.Reader) ([]Template, error) { return jsonlfile.Read(r, checkTemplate) }

func checkTemplate(t *Template) error {
	if t.ID == "" || t.Template == "" {
		return errors.New("template_id or template is missing")
	}
	return nil
}
