package smtpreply

import (
	"cmp"
	_ "embed" // the data files
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/rulefile"
)

//go:embed rules.yaml
var rulesYAML []byte

//go:embed providers.yaml
var providersYAML []byte

//go:embed blocklists.yaml
var blocklistsYAML []byte

// Scores of the tiers. A rule may set its own score within 9 of its tier's,
// to say which of two phrases in one reply is the better evidence.
const (
	scoreCode    = 100
	scoreNoted   = 70 // a code of a provider that spells its reason out as well
	scoreStrong  = 80
	scoreStatus  = 60
	scoreWeak    = 40
	scoreGeneric = 20
)

// What a winning rule rests on: values of Verdict.MatchedBy.
const (
	MatchedCode     = "provider_code"
	MatchedLiteral  = "literal"
	MatchedStatus   = "status"
	MatchedReply    = "reply"
	MatchedFallback = "fallback"
)

var tiers = map[string]struct {
	score   int
	matched string
}{
	"code":    {scoreCode, MatchedCode},
	"noted":   {scoreNoted, MatchedCode},
	"strong":  {scoreStrong, MatchedLiteral},
	"status":  {scoreStatus, MatchedStatus},
	"weak":    {scoreWeak, MatchedLiteral},
	"generic": {scoreGeneric, MatchedReply},
}

// Example is a reply with what else a rule may look at. In YAML a plain
// string is a reply alone.
type Example struct {
	Reply  string `yaml:"reply"`
	MX     string `yaml:"mx"`
	Rcpt   string `yaml:"rcpt"`
	Status string `yaml:"status"`
}

// UnmarshalYAML reads a string or a mapping.
func (e *Example) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		e.Reply = n.Value
		return nil
	}
	type plain Example
	return n.Decode((*plain)(e))
}

func (e Example) input() Input {
	return Input{Diag: e.Reply, MX: e.MX, Rcpt: e.Rcpt, DSNStatus: e.Status}
}

// ruleSource is one rule as written.
type ruleSource struct {
	ID        string    `yaml:"id"`
	Category  string    `yaml:"category"`
	Tier      string    `yaml:"tier"`
	Score     int       `yaml:"score"`
	Provider  []string  `yaml:"provider"`
	Reply     []string  `yaml:"reply"`
	Enhanced  []string  `yaml:"enhanced"`
	NotEnh    []string  `yaml:"not_enhanced"`
	AllOf     []string  `yaml:"all_of"`
	AnyOf     []string  `yaml:"any_of"`
	WithAnyOf []string  `yaml:"with_any_of"`
	Within    int       `yaml:"within"`
	MaxWords  int       `yaml:"max_words"`
	NoneOf    []string  `yaml:"none_of"`
	NamedList bool      `yaml:"named_list"`
	Regex     string    `yaml:"regex"`
	Set       ruleSet   `yaml:"set"`
	Examples  []Example `yaml:"examples"`
	Not       []Example `yaml:"not_examples"`
	Disabled  bool      `yaml:"disabled"`

	line int
	user bool
}

// ruleSet is what a rule states beside its category.
type ruleSet struct {
	ProviderCode    string `yaml:"provider_code"` // "enhanced" = the enhanced status code
	Blocklist       string `yaml:"blocklist"`
	BlocklistObject string `yaml:"blocklist_object"`
	AuthMechanism   string `yaml:"auth_mechanism"`
	Retryable       *bool  `yaml:"retryable"`
}

type ruleFile struct {
	Version string `yaml:"version"`
	// Doubt and MildDoubt hold literals that keep a verdict on words from
	// being hard, the latter only without an enhanced status that says the
	// same. Those of a user's file are added to the built-in ones.
	Doubt     []string `yaml:"doubt"`
	MildDoubt []string `yaml:"mild_doubt"`
	// PlainWords may stand beside the words of a bad address: see
	// [engine.plain].
	PlainWords []string    `yaml:"plain_words"`
	Rules      []yaml.Node `yaml:"rules"`
}

type providerSource struct {
	ID      string   `yaml:"id"`
	Name    string   `yaml:"name"`
	Kind    string   `yaml:"kind"`
	Family  string   `yaml:"family"`
	MX      []string `yaml:"mx"`
	Domains []string `yaml:"domains"`
	Hosts   []string `yaml:"hosts"` // further hosts that show up in its replies
	Marks   []string `yaml:"marks"` // literals that only its replies hold
	Codes   []string `yaml:"codes"`
	// BracketCodes are too short to stand alone: only within [] or ().
	BracketCodes []string `yaml:"bracket_codes"`
}

type providerFile struct {
	Version string `yaml:"version"`
	// Hosts are no provider's: pages that replies point to.
	Hosts     []string         `yaml:"hosts"`
	Providers []providerSource `yaml:"providers"`
}

type blocklistSource struct {
	ID     string   `yaml:"id"`
	Name   string   `yaml:"name"`
	Object string   `yaml:"object"`
	Hosts  []string `yaml:"hosts"`
	Names  []string `yaml:"names"` // literals
}

type blocklistFile struct {
	Version    string            `yaml:"version"`
	Blocklists []blocklistSource `yaml:"blocklists"`
}

// MaxRulesFile is the largest rules file that is read, in bytes.
const MaxRulesFile = 4 << 20

// parseRules reads a rules file; errors carry file and line.
func parseRules(file string, data []byte) (ruleFile, []ruleSource, error) {
	var f ruleFile
	if err := rulefile.Decode(data, &f); err != nil {
		return f, nil, fmt.Errorf("%s: %w", file, err)
	}
	out, err := rulefile.Entries(file, whatRule, f.Rules, ruleFields, func(r *ruleSource, line int) { r.line = line })
	return f, out, err
}

// whatRule is how errors call an entry.
const whatRule = "rule"

var ruleFields = map[string]bool{
	"id": true, "category": true, "tier": true, "score": true, "provider": true, "reply": true,
	"enhanced": true, "not_enhanced": true, "all_of": true, "any_of": true, "with_any_of": true, "none_of": true, "within": true, "max_words": true,
	"regex": true, "named_list": true, "set": true, "examples": true, "not_examples": true, "disabled": true,
}

// rule is a compiled rule.
type rule struct {
	id        string
	category  Category
	score     int
	matched   string
	order     int
	providers []uint16 // nil = any
	classes   uint8    // bit per reply class; 0 = any
	codes     []uint16 // reply codes; nil = any
	enhanced  []enhancedRange
	notEnh    []enhancedRange
	all       []uint16
	any       []uint16
	with      []uint16
	noneLits  []uint16
	maxWords  int  // the reply has at most so many; 0 = any number
	within    int  // bytes between a literal of any and one of with; 0 = any distance
	named     bool // a blocklist must be named
	regex     *regexp.Regexp
	set       ruleSet
}

type enhancedRange struct {
	class      uint8 // 0 = any
	subject    int   // -1 = any
	detLo, det int   // inclusive; -1 = any
	none       bool  // no enhanced code at all
}

func (r enhancedRange) match(e Enhanced) bool {
	if r.none || e.IsZero() {
		return r.none && e.IsZero()
	}
	return (r.class == 0 || r.class == e.Class) &&
		(r.subject < 0 || r.subject == int(e.Subject)) &&
		(r.detLo < 0 || r.detLo <= int(e.Detail) && int(e.Detail) <= r.det)
}

// parseEnhancedRange reads 5.1.1, x.2.2, 5.7.606-649, 4.7.x or none.
func parseEnhancedRange(s string) (r enhancedRange, err error) {
	if s == "none" {
		return enhancedRange{none: true, subject: -1, detLo: -1, det: -1}, nil
	}
	bad := fmt.Errorf("enhanced status %q: want a form like 5.1.1, x.2.2, 5.7.606-649, 4.7.x or none", s)
	p := strings.Split(s, ".")
	if len(p) != 3 {
		return r, bad
	}
	switch p[0] {
	case "x":
	case "2", "4", "5":
		r.class = p[0][0] - '0'
	default:
		return r, bad
	}
	num := func(s string) (int, bool) {
		n, err := strconv.ParseUint(s, 10, 16)
		return int(n), err == nil && n <= 999
	}
	ok := true
	if r.subject = -1; p[1] != "x" {
		if r.subject, ok = num(p[1]); !ok {
			return r, bad
		}
	}
	if r.detLo, r.det = -1, -1; p[2] != "x" {
		lo, hi, isRange := strings.Cut(p[2], "-")
		if !isRange {
			hi = lo
		}
		var ok2 bool
		if r.detLo, ok = num(lo); !ok {
			return r, bad
		}
		if r.det, ok2 = num(hi); !ok2 || r.det < r.detLo {
			return r, bad
		}
	}
	return r, nil
}

// engine is everything that was compiled from the data files. It is
// immutable and safe for concurrent use.
type engine struct {
	version    string
	rules      []rule
	sources    []ruleSource // rules[i] was written as sources[i]
	ac         *automaton
	high       *automaton // literals with bytes beyond ASCII; nil when there are none
	literals   int
	ranked     []*rule     // the best score first, ties by order
	triggers   [][]uint16  // literal -> ranks of the rules to verify
	bare       [8][]uint64 // ranks of rules without literals, by enhanced subject
	bareAny    []uint64    // ranks of rules without literals that fit any subject
	marks      []int32     // literal -> provider number, -1 = none
	listNames  []int32     // literal -> blocklist number, -1 = none
	doubt      []uint16    // literals that keep a verdict from being hard
	mildDoubt  []uint16    // the same unless the status says it too
	plainWords map[string]struct{}
	providers  []Provider
	providerID map[string][]uint16 // id or family -> numbers
	mx         *hostTrie
	domains    *hostTrie
	lists      []blocklistSource
	masker     masker
	litText    []string
}

// literalSpace is the set of literals of all parts of the data.
type literalSpace struct {
	num  map[string]uint16
	text []string
}

// normalizeLiteral turns a literal as written into the form it is searched
// in. A leading * lets it begin, and a trailing * ... a literal ends anywhere
// unless a trailing $ asks for the end of a word.
func normalizeLiteral(s string) (string, error) {
	inner := strings.HasPrefix(s, "*")
	whole := strings.HasSuffix(s, "$")
	s = strings.TrimSuffix(strings.TrimPrefix(s, "*"), "$")
	n := string(normalize(nil, appendFolded(nil, s)))
	n = strings.TrimSpace(n)
	if n == "" {
		return "", fmt.Errorf("literal %q holds no letter or digit", s)
	}
	if !inner && n[0] < 0x80 { // scripts such as Japanese have no spaces
		n = " " + n
	}
	if whole {
		n += " "
	}
	return n, nil
}

func (l *literalSpace) add(s string) (uint16, error) {
	n, err := normalizeLiteral(s)
	if err != nil {
		return 0, err
	}
	if i, ok := l.num[n]; ok {
		return i, nil
	}
	if len(l.text) >= maxStates-1 {
		return 0, errTooManyStates
	}
	i := uint16(len(l.text))
	l.num[n] = i
	l.text = append(l.text, n)
	return i, nil
}

func (l *literalSpace) addAll(in []string) ([]uint16, error) {
	var out []uint16
	for _, s := range in {
		i, err := l.add(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	return out, nil
}

// compile builds an engine from the embedded data and, when user is not nil,
// the user's rules: one with the id of a built-in rule replaces it, the
// others come before the built-in ones.
func compile(userFile string, user []byte) (*engine, error) {
	file, base, err := parseRules("rules.yaml", rulesYAML)
	if err != nil {
		return nil, err
	}
	doubt, mild, plain := file.Doubt, file.MildDoubt, file.PlainWords
	e := &engine{version: file.Version, providerID: map[string][]uint16{}, mx: newHostTrie(), domains: newHostTrie()}
	if user != nil {
		file, own, err := parseRules(userFile, user)
		if err != nil {
			return nil, err
		}
		doubt, mild = append(doubt, file.Doubt...), append(mild, file.MildDoubt...)
		plain = append(plain, file.PlainWords...)
		at := make(map[string]int, len(base))
		for i := range base {
			at[base[i].ID] = i
		}
		var added []ruleSource
		for _, r := range own {
			r.user = true
			if i, ok := at[r.ID]; ok {
				base[i] = r
			} else {
				added = append(added, r)
			}
		}
		base = append(added, base...)
	}

	lits := &literalSpace{num: map[string]uint16{}}
	if err := e.loadProviders(lits); err != nil {
		return nil, err
	}
	if err := e.loadBlocklists(lits); err != nil {
		return nil, err
	}
	if e.doubt, err = lits.addAll(doubt); err != nil {
		return nil, fmt.Errorf("doubt: %w", err)
	}
	if e.mildDoubt, err = lits.addAll(mild); err != nil {
		return nil, fmt.Errorf("mild_doubt: %w", err)
	}
	fileOf := func(r *ruleSource) string {
		if r.user {
			return userFile
		}
		return "rules.yaml"
	}
	for i := range base {
		src := &base[i]
		if src.Disabled {
			continue
		}
		r, err := e.compileRule(src, lits)
		if err != nil {
			return nil, &rulefile.Error{File: fileOf(src), Line: src.line, What: whatRule, ID: src.ID, Err: err}
		}
		r.order = len(e.rules)
		if r.order >= 1<<16-1 {
			return nil, &rulefile.Error{File: fileOf(src), Line: src.line, What: whatRule, ID: src.ID, Err: errors.New("too many rules")}
		}
		e.rules = append(e.rules, r)
		e.sources = append(e.sources, *src)
	}

	e.literals = len(lits.text)
	e.litText = lits.text
	e.buildPlainWords(plain)
	if err := e.buildAutomata(lits.text); err != nil {
		return nil, err
	}
	e.index()
	for i := range e.sources {
		src := &e.sources[i]
		if !src.user {
			continue // the built-in ones are checked by a test
		}
		if err := e.checkExamples(i); err != nil {
			return nil, &rulefile.Error{File: fileOf(src), Line: src.line, What: whatRule, ID: src.ID, Err: err}
		}
	}
	return e, nil
}

// buildPlainWords collects the words of the rules on bad addresses and those
// that may stand beside them.
func (e *engine) buildPlainWords(words []string) {
	e.plainWords = make(map[string]struct{}, 1024)
	for _, w := range words {
		e.plainWords[w] = struct{}{}
	}
	for i := range e.rules {
		r := &e.rules[i]
		if taxonomy[r.category].Type != TypeHard || r.matched != MatchedLiteral || e.sources[i].user {
			continue
		}
		for _, set := range [...][]uint16{r.all, r.any, r.with} {
			for _, l := range set {
				for _, w := range strings.Fields(e.litText[l]) {
					e.plainWords[w] = struct{}{}
				}
			}
		}
	}
}

// checkExamples verifies that rule i wins all its examples and none of its
// counter-examples.
func (e *engine) checkExamples(i int) error {
	r := &e.rules[i]
	for _, ex := range e.sources[i].Examples {
		if v, _ := e.run(ex.input()); v.RuleID != r.id {
			return fmt.Errorf("example %q is taken by rule %q", ex.Reply, v.RuleID)
		}
	}
	for _, ex := range e.sources[i].Not {
		if v, _ := e.run(ex.input()); v.RuleID == r.id {
			return fmt.Errorf("counter-example %q is taken by this rule", ex.Reply)
		}
	}
	return nil
}

func (e *engine) compileRule(s *ruleSource, lits *literalSpace) (r rule, err error) {
	r.id, r.set, r.named, r.within, r.maxWords = s.ID, s.Set, s.NamedList, s.Within, s.MaxWords
	if s.MaxWords < 0 {
		return r, errors.New("max_words needs a positive number")
	}
	if r.category, err = ParseCategory(s.Category); err != nil {
		return r, err
	}
	tier, ok := tiers[s.Tier]
	if !ok {
		return r, fmt.Errorf("tier %q: want code, noted, strong, status, weak or generic", s.Tier)
	}
	r.score, r.matched = tier.score, tier.matched
	if s.Score != 0 {
		if s.Score < tier.score-9 || s.Score > tier.score+9 {
			return r, fmt.Errorf("score %d is not within 9 of the tier's %d", s.Score, tier.score)
		}
		r.score = s.Score
	}
	for _, p := range s.Provider {
		n, ok := e.providerID[p]
		if !ok {
			return r, fmt.Errorf("unknown provider %q", p)
		}
		r.providers = append(r.providers, n...)
	}
	for _, c := range s.Reply {
		n, err := strconv.ParseUint(c, 10, 16)
		switch {
		case err == nil && (n == 2 || n == 4 || n == 5):
			r.classes |= 1 << n
		case err == nil && n >= 200 && n <= 599:
			r.codes = append(r.codes, uint16(n))
		default:
			return r, fmt.Errorf("reply %q: want a class (2, 4, 5) or a code (550)", c)
		}
	}
	for _, part := range []struct {
		in  []string
		out *[]enhancedRange
	}{{s.Enhanced, &r.enhanced}, {s.NotEnh, &r.notEnh}} {
		for _, x := range part.in {
			er, err := parseEnhancedRange(x)
			if err != nil {
				return r, err
			}
			*part.out = append(*part.out, er)
		}
	}
	for _, part := range []struct {
		in  []string
		out *[]uint16
	}{{s.AllOf, &r.all}, {s.AnyOf, &r.any}, {s.WithAnyOf, &r.with}, {s.NoneOf, &r.noneLits}} {
		if *part.out, err = lits.addAll(part.in); err != nil {
			return r, err
		}
	}
	hasLiteral := len(r.all)+len(r.any) > 0 || r.named
	if s.Regex != "" {
		if len(r.all)+len(r.any) == 0 {
			return r, errors.New("a regex needs a literal in all_of or any_of")
		}
		if r.regex, err = regexp.Compile(s.Regex); err != nil {
			return r, err
		}
	}
	if r.within != 0 && (r.within < 0 || len(r.any) == 0 || len(r.with) == 0) {
		return r, errors.New("within needs a positive number, any_of and with_any_of")
	}
	if len(r.with) > 0 && !hasLiteral {
		return r, errors.New("with_any_of needs any_of or all_of")
	}
	if !hasLiteral && len(r.enhanced)+len(r.codes) == 0 && r.classes == 0 {
		return r, errors.New("matches everything: give literals, enhanced or reply")
	}
	if !hasLiteral && (s.Tier == "strong" || s.Tier == "weak") {
		return r, fmt.Errorf("tier %s needs literals", s.Tier)
	}
	switch r.set.BlocklistObject {
	case "", "ip", "domain", "url", "helo":
	default:
		return r, fmt.Errorf("blocklist_object %q: want ip, domain, url or helo", r.set.BlocklistObject)
	}
	switch r.set.AuthMechanism {
	case "", "spf", "dkim", "dmarc", "alignment", "arc":
	default:
		return r, fmt.Errorf("auth_mechanism %q: want spf, dkim, dmarc, alignment or arc", r.set.AuthMechanism)
	}
	return r, nil
}

// buildAutomata keeps literals beyond ASCII apart: they would make the table
// of all others three times as wide, and few replies need them.
func (e *engine) buildAutomata(lits []string) (err error) {
	var ascii, high []string
	var asciiNum, highNum []uint16
	for i, l := range lits {
		if strings.IndexFunc(l, func(r rune) bool { return r >= 0x80 }) < 0 {
			ascii, asciiNum = append(ascii, l), append(asciiNum, uint16(i))
		} else {
			high, highNum = append(high, l), append(highNum, uint16(i))
		}
	}
	if e.ac, err = newAutomaton(ascii); err != nil {
		return err
	}
	e.ac.rename(asciiNum)
	if len(high) > 0 {
		if e.high, err = newAutomaton(high); err != nil {
			return err
		}
		e.high.rename(highNum)
	}
	return nil
}

// index ranks the rules and builds the lists from literals to ranks.
func (e *engine) index() {
	e.triggers = make([][]uint16, e.literals)
	for len(e.marks) < e.literals {
		e.marks = append(e.marks, -1)
	}
	for len(e.listNames) < e.literals {
		e.listNames = append(e.listNames, -1)
	}
	for i := range e.rules {
		e.ranked = append(e.ranked, &e.rules[i])
	}
	slices.SortStableFunc(e.ranked, func(a, b *rule) int { return cmp.Compare(b.score, a.score) })
	words := (len(e.ranked) + 63) / 64
	e.bareAny = make([]uint64, words)
	for i := range e.bare {
		e.bare[i] = make([]uint64, words)
	}
	for i, r := range e.ranked {
		rank := uint16(i)
		word, bit := i>>6, uint64(1)<<(i&63)
		switch {
		case len(r.all) > 0:
			// The longest literal is the rarest.
			best := r.all[0]
			for _, l := range r.all {
				if len(e.litText[l]) > len(e.litText[best]) {
					best = l
				}
			}
			e.triggers[best] = append(e.triggers[best], rank)
		case len(r.any) > 0:
			for _, l := range r.any {
				e.triggers[l] = append(e.triggers[l], rank)
			}
		case r.named:
			for l, n := range e.listNames {
				if n >= 0 {
					e.triggers[l] = append(e.triggers[l], rank)
				}
			}
		case len(r.enhanced) == 0:
			e.bareAny[word] |= bit
		default:
			for _, er := range r.enhanced {
				switch {
				case er.subject < 0 || er.subject >= len(e.bare):
					e.bareAny[word] |= bit
				default:
					e.bare[er.subject][word] |= bit
				}
			}
		}
	}
}

func (e *engine) loadProviders(lits *literalSpace) error {
	var f providerFile
	if err := rulefile.Decode(providersYAML, &f); err != nil {
		return fmt.Errorf("providers.yaml: %w", err)
	}
	hosts := newHostTrie()
	e.masker.hosts = hosts
	for _, h := range f.Hosts {
		if _, _, err := hosts.add(h, 0); err != nil {
			return fmt.Errorf("providers.yaml: hosts: %w", err)
		}
	}
	for i, p := range f.Providers {
		n := uint16(i)
		bad := func(err error) error { return fmt.Errorf("providers.yaml: provider %q: %w", p.ID, err) }
		if p.ID == "" || len(e.providerID[p.ID]) > 0 {
			return bad(errors.New("id is missing or used twice"))
		}
		if p.Kind != KindMailbox && p.Kind != KindFilter {
			return bad(fmt.Errorf("kind %q: want mailbox or filter", p.Kind))
		}
		if p.Family == "" {
			p.Family = p.ID
		}
		e.providers = append(e.providers, Provider{ID: p.ID, Name: p.Name, Kind: p.Kind, Family: p.Family, num: n + 1})
		e.providerID[p.ID] = append(e.providerID[p.ID], n)
		if p.Family != p.ID {
			e.providerID[p.Family] = append(e.providerID[p.Family], n)
		}
		for _, set := range []struct {
			trie  *hostTrie
			hosts []string
		}{{e.mx, p.MX}, {e.domains, p.Domains}} {
			for _, h := range set.hosts {
				old, ok, err := set.trie.add(h, n)
				if err != nil {
					return bad(err)
				}
				if !ok {
					return bad(fmt.Errorf("host %q belongs to %q already", h, e.providers[old].ID))
				}
			}
		}
		for _, h := range slices.Concat(p.MX, p.Domains, p.Hosts) {
			if _, _, err := hosts.add(h, n); err != nil {
				return bad(err)
			}
		}
		for _, m := range p.Marks {
			l, err := lits.add(m)
			if err != nil {
				return bad(err)
			}
			for len(e.marks) <= int(l) {
				e.marks = append(e.marks, -1)
			}
			e.marks[l] = int32(n)
		}
		for _, c := range p.Codes {
			if err := e.masker.codes.add(c, false, n); err != nil {
				return bad(err)
			}
		}
		for _, c := range p.BracketCodes {
			if err := e.masker.codes.add(c, true, n); err != nil {
				return bad(err)
			}
		}
	}
	return nil
}

func (e *engine) loadBlocklists(lits *literalSpace) error {
	var f blocklistFile
	if err := rulefile.Decode(blocklistsYAML, &f); err != nil {
		return fmt.Errorf("blocklists.yaml: %w", err)
	}
	e.lists = f.Blocklists
	for i, b := range f.Blocklists {
		bad := func(err error) error { return fmt.Errorf("blocklists.yaml: blocklist %q: %w", b.ID, err) }
		switch b.Object {
		case "ip", "domain", "url", "helo":
		default:
			return bad(fmt.Errorf("object %q: want ip, domain, url or helo", b.Object))
		}
		names := slices.Clone(b.Names)
		for _, h := range b.Hosts {
			if _, _, err := e.masker.hosts.add(h, uint16(i)); err != nil {
				return bad(err)
			}
			names = append(names, "*"+h)
		}
		for _, n := range names {
			l, err := lits.add(n)
			if err != nil {
				return bad(err)
			}
			for len(e.listNames) <= int(l) {
				e.listNames = append(e.listNames, -1)
			}
			if e.listNames[l] < 0 {
				e.listNames[l] = int32(i)
			}
		}
	}
	return nil
}
