// Package coverage says which questions of a mail engineer the accounting files
// of a PowerMTA (PMTA) cannot answer, and the <acct-file> block that would.
//
// What is known comes from two places. A header line is certain: a column that
// is not in it is in no record. Record types can only be told from what comes
// by: a type that was not seen among many records is most likely not written.
// [Gap.Kind] and [Gap.Sure] keep the two apart.
//
// Sources: PowerMTA v5.0 User's Guide, sections 3.3.11 and 11.2.
package coverage

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// DefaultDir is where PMTA keeps its files if nobody says otherwise.
const DefaultDir = "/var/log/pmta"

// maxStreams bounds the memory; more streams than that are not looked at.
const maxStreams = 256

// maxKeys bounds the keys of a JSON stream that are remembered.
const maxKeys = 1000

// Kind says what a gap was found from.
type Kind string

// The kinds of gaps. The values are stable.
const (
	KindColumn  Kind = "column"  // a column is not in the header line: certain
	KindType    Kind = "type"    // no record of a type among those seen
	KindEmpty   Kind = "empty"   // a column is there, but was empty in the records seen
	KindUnknown Kind = "unknown" // accounting files cannot tell
)

// Gap is a question that has no answer.
type Gap struct {
	ID       string // stable, such as "deferrals"
	Question string // for a person
	Kind     Kind
	// Missing holds record types (KindType: "t") or columns
	// ("header_Message-Id"), as they are to be written in the configuration.
	Missing []string
	// Types holds the record types that lack the column, in the order of
	// acct.Types.
	Types []string
	// Streams are the accounting files concerned, by the name given to Seen.
	Streams []string
	// Sure is always true for KindColumn. For KindType and KindEmpty it says
	// that enough records were seen.
	Sure bool
	// Records and Span are what KindType and KindEmpty are based on: so many
	// records, over such a time, without one that has it.
	Records int64
	Span    time.Duration
	// Note is a remark for a person, "" if there is none.
	Note string
	// Block is the piece of PMTA configuration that closes this gap alone, ""
	// for KindUnknown.
	Block string
}

// Seen collects what accounting files hold. It is safe for concurrent use. A
// stream is one accounting file of PMTA's configuration with all its rotated
// files; its name is what the block is made for: "acct.csv", or a path such as
// "/var/log/pmta/acct.csv". See StreamOf.
type Seen struct {
	mu      sync.Mutex
	streams map[string]*stream
	total   int64
	first   int64 // nanoseconds since the Unix epoch, 0 when unknown
	last    int64
	latest  map[acct.Type]mark
	moved   bool // PMTA writes counts of moved files
}

type mark struct{ total, at int64 }

type stream struct {
	name    string
	columns []string
	has     map[string]bool // lower case names
	at      int64           // when the columns came into force
	types   map[acct.Type]int64
	samples map[sampleKey]sample
}

type sampleKey struct {
	id string // of the question
	t  acct.Type
}

type sample struct{ n, filled int64 }

// New returns a Seen that has seen nothing.
func New() *Seen {
	return &Seen{streams: map[string]*stream{}, latest: map[acct.Type]mark{}}
}

func (s *Seen) stream(name string) *stream {
	st := s.streams[name]
	if st == nil {
		st = &stream{name: name, types: map[acct.Type]int64{}, samples: map[sampleKey]sample{}}
		if len(s.streams) < maxStreams {
			s.streams[name] = st
		}
	}
	return st
}

// AddHeader tells the columns of a stream, as acct.Decoder.Columns returns
// them. at is the time of the first record under them, in nanoseconds since
// the Unix epoch, or 0 for now: when old files are read together with new
// ones, the columns of the newest count. It reports whether the columns of the
// stream have changed.
func (s *Seen) AddHeader(name string, columns []string, at int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stream(name)
	if len(columns) == 0 || at != 0 && at < st.at {
		return false
	}
	st.at = max(st.at, at)
	if slices.Equal(columns, st.columns) {
		return false
	}
	st.columns = slices.Clone(columns)
	st.has = make(map[string]bool, len(columns))
	for _, c := range columns {
		st.has[strings.ToLower(c)] = true
	}
	clear(st.samples)
	return true
}

// AddKeys is AddHeader for JSON, where each record has keys of its own: what is
// told adds up. It reports whether there was a new one.
func (s *Seen) AddKeys(name string, keys []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stream(name)
	fresh := false
	for _, k := range keys {
		l := strings.ToLower(k)
		if st.has[l] {
			continue
		}
		if st.has == nil {
			st.has = map[string]bool{}
		}
		if len(st.has) < maxKeys {
			st.has[l], fresh = true, true
			st.columns = append(slices.Clip(st.columns), k)
		}
	}
	return fresh
}

// AddType tells that a stream had n records of type t, the last of them at the
// time at, in nanoseconds since the Unix epoch.
func (s *Seen) AddType(name string, t acct.Type, n, at int64) {
	if n <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream(name).types[t] += n
	s.total += n
	if s.first == 0 || at < s.first && at != 0 {
		s.first = at
	}
	s.last = max(s.last, at)
	s.latest[t] = mark{s.total, max(s.latest[t].at, at)}
}

// AddSample looks which columns a record has filled. It need not get every
// record; the first of each type in a batch is plenty. It does not count the
// record: see AddType.
func (s *Seen) AddSample(name string, r *acct.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stream(name)
	for i := range watched {
		q := watched[i]
		if !slices.Contains(q.types, r.Type) {
			continue
		}
		k := sampleKey{q.id, r.Type}
		v := st.samples[k]
		v.n++
		for j := range r.Attrs {
			if r.Attrs[j].Key == q.attr {
				v.filled++
				break
			}
		}
		st.samples[k] = v
	}
}

// watched are the questions that a column may leave open by being empty.
var watched = func() (w []*question) {
	for i := range table {
		if table[i].attr != "" {
			w = append(w, &table[i])
		}
	}
	return w
}()

// SetMovedCounted tells that PMTA's log was seen to hold the number of records
// of a moved file, which takes "count-moved-records yes".
func (s *Seen) SetMovedCounted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = true
}

// Report says what cannot be answered. It depends on nothing but what was told
// before, and is in the order of the table of questions.
func (s *Seen) Report() *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view()
	r := &Report{Questions: len(table), Records: s.total, view: v}
	if s.last > 0 {
		r.Span = time.Duration(s.last - s.first)
	}
	for _, st := range v {
		r.Streams = append(r.Streams, Stream{Name: st.name, Columns: len(st.columns), Types: st.types})
	}
	for i := range table {
		q := &table[i]
		var g *Gap
		switch {
		case q.unknown:
			if !s.moved {
				g = &Gap{Kind: KindUnknown, Missing: []string{"count-moved-records yes"}, Note: "needs move-to; the main log (log-file) has the numbers"}
			}
		case q.wants != acct.TypeUnknown:
			g = s.typeGap(q)
		default:
			if g = columnGap(q, v); g == nil && q.attr != "" {
				g = s.emptyGap(q, v)
			}
		}
		if g == nil {
			continue
		}
		g.ID, g.Question = q.id, q.text
		if q.version != "" && g.Kind == KindColumn {
			g.Note = "PowerMTA " + q.version + " and later"
		}
		r.Gaps = append(r.Gaps, *g)
	}
	for i := range r.Gaps {
		r.Gaps[i].Block = v.block(r.Gaps[i:i+1], false)
	}
	r.Block = v.block(r.Gaps, true)
	return r
}

func (s *Seen) typeGap(q *question) *Gap {
	last := s.latest[q.wants]
	n := s.total - last.total
	if s.total == 0 || n == 0 {
		return nil
	}
	span := time.Duration(max(0, s.last-max(s.first, last.at)))
	g := &Gap{Kind: KindType, Missing: []string{q.wants.String()}, Types: []string{q.wants.String()}, Records: n, Span: span, Note: q.note}
	after := time.Duration(q.afterHours) * time.Hour
	if last.total > 0 {
		// It was written once. Files are read one after the other, so what
		// came last says little; the time of the records says more.
		after = max(7*after, 24*time.Hour)
		g.Note = "was written until " + time.Unix(0, last.at).UTC().Format(time.RFC3339)
	}
	g.Sure = n >= q.afterN && span >= after
	if last.total > 0 && !g.Sure {
		return nil
	}
	if q.needsConfig != "" {
		g.Note = strings.TrimPrefix(g.Note+"; needs "+q.needsConfig+" too", "; ")
	}
	return g
}

// columnGap looks for record types that lack all columns of the question in
// every stream that has them. Types that are not written are no concern of it.
func columnGap(q *question, v view) *Gap {
	var lacking []acct.Type
	where := map[string]bool{}
	for _, t := range q.types {
		has, seen := false, false
		for _, st := range v {
			if len(st.columns) > 0 && st.writes[t] {
				seen = true
				has = has || st.hasAny(q.columns)
			}
		}
		if !seen || has {
			continue
		}
		lacking = append(lacking, t)
		for _, st := range v {
			if len(st.columns) > 0 && st.writes[t] {
				where[st.name] = true
			}
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return &Gap{Kind: KindColumn, Missing: append([]string{q.columns[0]}, q.also...), Types: names(lacking), Streams: sortedKeys(where), Sure: true}
}

func (s *Seen) emptyGap(q *question, v view) *Gap {
	var empty []acct.Type
	var all sample
	least := int64(-1)
	where := map[string]bool{}
	for _, t := range q.types {
		var sum sample
		for _, st := range s.streams {
			c := st.samples[sampleKey{q.id, t}]
			if c.n == 0 || !v.find(st.name).hasAny(q.columns) {
				continue
			}
			sum.n += c.n
			sum.filled += c.filled
		}
		all.n += sum.n
		all.filled += sum.filled
		if q.partly && sum.n > sum.filled || sum.n > 0 && sum.filled == 0 {
			empty = append(empty, t)
			if least < 0 || sum.n-sum.filled < least {
				least = sum.n - sum.filled
			}
			for _, st := range s.streams {
				if c := st.samples[sampleKey{q.id, t}]; c.n > c.filled {
					where[st.name] = true
				}
			}
		}
	}
	// What configuration outside the file fills is filled for all types.
	if len(empty) == 0 || q.emptyBlock != "" && !q.partly && all.filled > 0 {
		return nil
	}
	enough := int64(sampled)
	if q.partly {
		enough = partlySampled
	}
	return &Gap{Kind: KindEmpty, Missing: []string{q.columns[0]}, Types: names(empty), Streams: sortedKeys(where), Sure: least >= enough,
		Records: all.n - all.filled, Note: q.emptyNote}
}

func names(types []acct.Type) []string {
	var out []string
	for _, t := range acct.Types {
		if slices.Contains(types, t) {
			out = append(out, t.String())
		}
	}
	return out
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
