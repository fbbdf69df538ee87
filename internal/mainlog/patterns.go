package mainlog

import (
	"context"
	_ "embed" // the patterns
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/rulefile"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

//go:embed events.yaml
var eventsYAML []byte

// Bounds of a pattern file.
const (
	MaxPatternsFile = 4 << 20 // bytes
	maxPatterns     = 1000
	maxLiterals     = 4096
	// scanned is how much of an entry patterns look at.
	scanned = 2048
)

// Example is a text with what a pattern takes from it. In YAML a plain string
// is a text alone.
type Example struct {
	Text string `yaml:"text"`
	// Attrs, where given, are attributes that the pattern must take from the
	// text, numbers in decimal.
	Attrs map[string]string `yaml:"attrs"`
}

// UnmarshalYAML reads a string or a mapping.
func (e *Example) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		e.Text = n.Value
		return nil
	}
	type plain Example
	return n.Decode((*plain)(e))
}

// patternSource is one pattern as written.
type patternSource struct {
	ID         string            `yaml:"id"`
	Event      string            `yaml:"event"`
	Severity   string            `yaml:"severity"` // "words" = by the words of the text
	Stream     string            `yaml:"stream"`   // default: panic when FATAL, else diag
	AllOf      []string          `yaml:"all_of"`
	AnyOf      []string          `yaml:"any_of"`
	WithAnyOf  []string          `yaml:"with_any_of"`
	NoneOf     []string          `yaml:"none_of"`
	Regex      string            `yaml:"regex"`
	NotRegex   string            `yaml:"not_regex"`
	Attrs      map[string]string `yaml:"attrs"`      // group of the regex -> attribute, ":int" behind it for a number
	Set        map[string]string `yaml:"set"`        // attributes that are always the same
	Standalone bool              `yaml:"standalone"` // begins an entry even without a time in front
	Examples   []Example         `yaml:"examples"`
	Not        []Example         `yaml:"not_examples"`
	Disabled   bool              `yaml:"disabled"`

	line int
	user bool
}

type patternFile struct {
	Version  string      `yaml:"version"`
	Patterns []yaml.Node `yaml:"patterns"`
}

// pattern is a compiled pattern.
type pattern struct {
	id, event, stream string
	severity          Severity // 0 = by the words
	all, any, none    []uint16
	with              []uint16
	regex, notRegex   *regexp.Regexp
	groups            []group
	set               []acct.Attr
	standalone        bool
}

// group says what to do with a group of the regex.
type group struct {
	index int
	key   string
	op    groupOp
}

type groupOp uint8

const (
	opString groupOp = iota
	opInt
	opQueue  // with its parts
	opReason // quotes dropped, an SMTP reply in it taken to pieces
)

// patternSet is what a reload replaces as a whole. It is immutable.
type patternSet struct {
	version       string
	patterns      []pattern // in the order in which they are tried
	sources       []patternSource
	lits          *matcher
	words         int      // of the bit set
	auth, cred    int      // literals behind which secrets may stand
	header, query []uint16 // the same, for headers of HTTP and queries of URLs
}

// Patterns say what entries mean. They are safe for concurrent use; a reload
// replaces all at once.
type Patterns struct {
	set  atomic.Pointer[patternSet]
	mu   sync.Mutex // guards reloads
	file rulefile.File
}

var builtin = sync.OnceValue(func() *Patterns {
	p, err := LoadPatterns("")
	if err != nil {
		panic(err) // a test compiles the embedded file
	}
	return p
})

// Builtin returns the patterns that come with the package.
func Builtin() *Patterns { return builtin() }

// LoadPatterns returns the built-in patterns and those of a file of the user,
// if path is not empty: a pattern with the id of a built-in one replaces it,
// the others are tried before the built-in ones. The error names file, line,
// pattern and reason.
func LoadPatterns(path string) (*Patterns, error) {
	p := &Patterns{file: rulefile.File{Path: path, MaxSize: MaxPatternsFile}}
	return p, p.Reload()
}

// Reload reads the file again. After an error the patterns before stay in
// force.
func (p *Patterns) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, err := p.file.Read()
	if err != nil {
		return err
	}
	set, err := compile(p.file.Path, user)
	if err != nil {
		return err
	}
	p.set.Store(set)
	return nil
}

// Version identifies the patterns in force.
func (p *Patterns) Version() string { return p.set.Load().version }

// Watch looks at the file every interval until ctx ends and reloads it when
// its time or size has changed. report, when not nil, is called after every
// reload, with its error or nil.
func (p *Patterns) Watch(ctx context.Context, interval time.Duration, report func(error)) {
	p.file.Watch(ctx, interval, p.Reload, report)
}

// parsePatterns reads a pattern file; errors carry file and line.
func parsePatterns(file string, data []byte) (string, []patternSource, error) {
	var f patternFile
	if err := rulefile.Decode(data, &f); err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(f.Patterns) > maxPatterns {
		return "", nil, fmt.Errorf("%s: %d patterns, at most %d are possible", file, len(f.Patterns), maxPatterns)
	}
	out, err := rulefile.Entries(file, whatPattern, f.Patterns, patternFields, func(s *patternSource, line int) { s.line = line })
	return f.Version, out, err
}

// whatPattern is how errors call an entry.
const whatPattern = "pattern"

var patternFields = map[string]bool{"id": true, "event": true, "severity": true, "stream": true, "all_of": true, "any_of": true, "with_any_of": true, "none_of": true,
	"regex": true, "not_regex": true, "attrs": true, "set": true, "standalone": true, "examples": true, "not_examples": true, "disabled": true}

// compile builds a set from the embedded patterns and, when user is not nil,
// the user's.
func compile(userFile string, user []byte) (*patternSet, error) {
	version, sources, err := parsePatterns("events.yaml", eventsYAML)
	if err != nil {
		return nil, err
	}
	set := &patternSet{version: version}
	if user != nil {
		_, own, err := parsePatterns(userFile, user)
		if err != nil {
			return nil, err
		}
		at := map[string]int{}
		for i := range sources {
			at[sources[i].ID] = i
		}
		var added []patternSource
		for _, s := range own {
			s.user = true
			if i, ok := at[s.ID]; ok {
				sources[i] = s
			} else {
				added = append(added, s)
			}
		}
		sources = append(added, sources...)
		set.version += fmt.Sprintf("+%08x", uint32(xxh3.Hash(user)))
	}
	fail := func(s *patternSource, err error) error {
		file := "events.yaml"
		if s.user {
			file = userFile
		}
		return &rulefile.Error{File: file, Line: s.line, What: whatPattern, ID: s.ID, Err: err}
	}
	lits := &literals{num: map[string]uint16{}}
	auth, _ := lits.add("auth ")
	cred, _ := lits.add("://")
	set.auth, set.cred = int(auth), int(cred)
	set.header, _ = lits.addAll(secretHeaders)
	set.query, _ = lits.addAll(secretQueries)
	for i := range sources {
		s := &sources[i]
		if s.Disabled {
			continue
		}
		p, err := compilePattern(s, lits)
		if err != nil {
			return nil, fail(s, err)
		}
		set.patterns = append(set.patterns, p)
		set.sources = append(set.sources, *s)
	}
	if set.lits, err = newMatcher(lits.text); err != nil {
		return nil, err
	}
	set.words = (len(lits.text) + 63) / 64
	for i := range set.sources {
		if user != nil && !set.sources[i].user {
			continue // a user may take away from the built-in ones, which a test checks
		}
		if err := set.check(i); err != nil {
			return nil, fail(&set.sources[i], err)
		}
	}
	return set, nil
}

// check verifies that pattern i takes all its examples and none of its
// counter-examples.
func (s *patternSet) check(i int) error {
	src := &s.sources[i]
	m := newMatch(s)
	for _, ex := range src.Examples {
		p := m.find(ex.Text)
		if p == nil {
			return fmt.Errorf("example %q is not taken by this pattern", ex.Text)
		}
		if p.id != src.ID {
			return fmt.Errorf("example %q is taken by pattern %q", ex.Text, p.id)
		}
		got := map[string]string{}
		for _, a := range m.attrs(nil, p, ex.Text) {
			got[a.Key] = a.Str
			if a.Kind == acct.KindInt {
				got[a.Key] = strconv.FormatInt(a.Num, 10)
			}
		}
		for k, v := range ex.Attrs {
			if got[k] != v {
				return fmt.Errorf("example %q gives %s = %q, want %q", ex.Text, k, got[k], v)
			}
		}
	}
	for _, ex := range src.Not {
		if p := m.find(ex.Text); p != nil && p.id == src.ID {
			return fmt.Errorf("counter-example %q is taken by this pattern", ex.Text)
		}
	}
	return nil
}

type literals struct {
	text []string
	num  map[string]uint16
}

func (l *literals) add(s string) (uint16, error) {
	s = strings.ToLower(s)
	if strings.TrimSpace(s) == "" {
		return 0, errors.New("a literal is empty")
	}
	if i, ok := l.num[s]; ok {
		return i, nil
	}
	if len(l.text) == maxLiterals {
		return 0, errTooManyLiterals
	}
	i := uint16(len(l.text))
	l.num[s] = i
	l.text = append(l.text, s)
	return i, nil
}

func (l *literals) addAll(in []string) (out []uint16, err error) {
	for _, s := range in {
		i, err := l.add(s)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

var (
	eventName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)
	attrName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*$`)
)

// ParseSeverity reads DEBUG, INFO, WARN, ERROR or FATAL.
func ParseSeverity(s string) (Severity, error) {
	for _, v := range [...]Severity{Debug, Info, Warn, Error, Fatal} {
		if strings.EqualFold(s, v.String()) {
			return v, nil
		}
	}
	return 0, fmt.Errorf("severity %q: want DEBUG, INFO, WARN, ERROR or FATAL", s)
}

func compilePattern(s *patternSource, lits *literals) (p pattern, err error) {
	p.id, p.event, p.standalone = s.ID, s.Event, s.Standalone
	if !eventName.MatchString(s.Event) {
		return p, fmt.Errorf("event %q: want a name such as pmta.queue.backoff", s.Event)
	}
	if s.Severity != "words" {
		if p.severity, err = ParseSeverity(s.Severity); err != nil {
			return p, fmt.Errorf("%w, or words", err)
		}
	}
	switch p.stream = s.Stream; p.stream {
	case semconv.StreamDiag, semconv.StreamPanic:
	case "":
		if p.stream = semconv.StreamDiag; p.severity == Fatal {
			p.stream = semconv.StreamPanic
		}
	default:
		return p, fmt.Errorf("stream %q: want diag or panic", s.Stream)
	}
	if len(s.AllOf)+len(s.AnyOf) == 0 {
		return p, errors.New("matches everything: give a literal in all_of or any_of")
	}
	for _, part := range []struct {
		in  []string
		out *[]uint16
	}{{s.AllOf, &p.all}, {s.AnyOf, &p.any}, {s.WithAnyOf, &p.with}, {s.NoneOf, &p.none}} {
		if *part.out, err = lits.addAll(part.in); err != nil {
			return p, err
		}
	}
	if s.Regex != "" {
		if p.regex, err = regexp.Compile(s.Regex); err != nil {
			return p, err
		}
	}
	if s.NotRegex != "" {
		if p.notRegex, err = regexp.Compile(s.NotRegex); err != nil {
			return p, err
		}
	}
	used := map[string]string{}
	for _, name := range sortedKeys(s.Attrs) {
		spec := s.Attrs[name]
		g := group{index: -1}
		if p.regex != nil {
			g.index = p.regex.SubexpIndex(name)
		}
		if g.index < 0 {
			return p, fmt.Errorf("attrs: the regex has no group %q; write (?P<%s>…)", name, name)
		}
		key, kind, typed := strings.Cut(spec, ":")
		switch {
		case typed && kind != "int":
			return p, fmt.Errorf("attrs: %s: type %q: want int, or no type for text", name, kind)
		case typed:
			g.op = opInt
		case key == semconv.PMTAQueueName:
			g.op = opQueue
		case key == semconv.PMTAReason:
			g.op = opReason
		}
		if !attrName.MatchString(key) {
			return p, fmt.Errorf("attrs: %s: %q is no attribute name", name, key)
		}
		if other, dup := used[key]; dup && other == "set" {
			return p, fmt.Errorf("attrs: %s: %q is set twice", name, key)
		}
		used[key] = name
		g.key = key
		p.groups = append(p.groups, g)
	}
	for _, k := range sortedKeys(s.Set) {
		if !attrName.MatchString(k) || s.Set[k] == "" {
			return p, fmt.Errorf("set: %q = %q: want an attribute name and a text", k, s.Set[k])
		}
		if _, dup := used[k]; dup {
			return p, fmt.Errorf("set: %q is taken from the text, too", k)
		}
		p.set = append(p.set, acct.Attr{Key: k, Str: s.Set[k]})
	}
	if len(s.Examples) == 0 {
		return p, errors.New("has no examples: give at least one text that it takes")
	}
	return p, nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// match is what looking for patterns needs. It is not safe for concurrent use.
type match struct {
	set  *patternSet
	bits []uint64
	loc  []int // groups of the pattern picked last
}

func newMatch(s *patternSet) *match { return &match{set: s, bits: make([]uint64, s.words)} }

func (m *match) has(l int) bool { return m.bits[l>>6]&(1<<(l&63)) != 0 }

// scan looks for the literals in text. It is false when there is none.
func (m *match) scan(text string) bool {
	return m.set.lits.scan(text[:min(len(text), scanned)], m.bits)
}

// find returns the pattern that takes text, nil without.
func (m *match) find(text string) *pattern {
	if !m.scan(text) {
		return nil
	}
	return m.pick(text, false)
}

// pick returns the first pattern whose literals were found by scan and whose
// regex fits.
func (m *match) pick(text string, standalone bool) *pattern {
	text = text[:min(len(text), scanned)]
next:
	for i := range m.set.patterns {
		p := &m.set.patterns[i]
		for _, l := range p.all {
			if !m.has(int(l)) {
				continue next
			}
		}
		if len(p.any) > 0 && !m.one(p.any) || len(p.with) > 0 && !m.one(p.with) || m.one(p.none) || standalone && !p.standalone {
			continue
		}
		m.loc = nil
		if p.notRegex != nil && p.notRegex.MatchString(text) {
			continue
		}
		switch {
		case p.regex == nil:
		case len(p.groups) == 0:
			if !p.regex.MatchString(text) {
				continue
			}
		default:
			if m.loc = p.regex.FindStringSubmatchIndex(text); m.loc == nil {
				continue
			}
		}
		return p
	}
	return nil
}

func (m *match) one(lits []uint16) bool {
	for _, l := range lits {
		if m.has(int(l)) {
			return true
		}
	}
	return false
}

// attrs appends what p, which pick has just returned for text, takes from it.
func (m *match) attrs(dst []acct.Attr, p *pattern, text string) []acct.Attr {
	from := len(dst)
	dst = append(dst, p.set...)
	loc := m.loc
	if loc == nil {
		return dst
	}
	has := func(key string) bool {
		return slices.ContainsFunc(dst[from:], func(a acct.Attr) bool { return a.Key == key })
	}
	for _, g := range p.groups {
		if loc[2*g.index] < 0 || has(g.key) {
			continue
		}
		v := strings.TrimSpace(text[loc[2*g.index]:loc[2*g.index+1]])
		if v == "" {
			continue
		}
		switch g.op {
		case opInt:
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				dst = append(dst, acct.Attr{Key: g.key, Num: n, Kind: acct.KindInt})
			}
			continue // an attribute has one type
		case opQueue:
			dst = appendQueue(dst, v)
			continue
		case opReason:
			if v = unquote(v); v == "" {
				continue
			}
			// "503 Service Unavailable" of a webhook is no SMTP reply.
			if r := v; r[0] >= '4' && r[0] <= '5' && !has(semconv.SMTPResponseCode) && !has(semconv.HTTPResponseStatusCode) {
				dst = appendReply(dst, r)
			}
		}
		dst = append(dst, acct.Attr{Key: g.key, Str: v})
	}
	return dst
}

func unquote(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

// appendQueue appends a queue with its parts.
func appendQueue(dst []acct.Attr, q string) []acct.Attr {
	dst = append(dst, acct.Attr{Key: semconv.PMTAQueueName, Str: q})
	i := strings.LastIndexByte(q, '/')
	if i < 0 {
		return dst
	}
	if name, rollup := strings.CutSuffix(q[:i], ".rollup"); name != "" {
		k := semconv.PMTAQueueDomain
		if rollup {
			k = semconv.PMTAQueueRollup
		}
		dst = append(dst, acct.Attr{Key: k, Str: name})
	}
	if i+1 < len(q) {
		dst = append(dst, acct.Attr{Key: semconv.PMTAQueueVMTA, Str: q[i+1:]})
	}
	return dst
}

// appendReply appends a reply that says no, whole and in its parts, if s is
// one.
func appendReply(dst []acct.Attr, s string) []acct.Attr {
	code, enhanced, text := acct.ParseReply(s)
	if code < 400 {
		return dst
	}
	dst = append(dst, acct.Attr{Key: semconv.PMTADSNDiag, Str: "smtp;" + s},
		acct.Attr{Key: semconv.SMTPResponseCode, Num: code, Kind: acct.KindInt})
	if enhanced != "" {
		dst = append(dst, acct.Attr{Key: semconv.SMTPResponseEnhancedStatus, Str: enhanced})
	}
	if text != "" {
		dst = append(dst, acct.Attr{Key: semconv.SMTPResponseText, Str: text})
	}
	return dst
}
