package smtpreply

import (
	"bytes"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// Input is what is known about one reply.
type Input struct {
	// Diag is PMTA's dsnDiag as written ("smtp;550 5.1.1 ...",
	// "x-pmta;bounce-queue;reply:550 ...") or a bare reply.
	Diag string
	// DSNStatus is PMTA's dsnStatus as written: "5.1.1 (bad destination
	// mailbox address)". It is used only where Diag says nothing.
	DSNStatus string
	// MX is dsnMta as written: "mx.example.com (192.0.2.1)".
	MX string
	// Rcpt is the recipient address or its domain.
	Rcpt string
}

// Verdict is what a reply means. It is shared and must not be changed.
type Verdict struct {
	Category  Category
	Type      string // hard, soft or none
	Group     string
	Owner     string
	Retryable bool

	ReplyCode uint16 // 0 when the reply has none
	Enhanced  string // enhanced status code, "" when there is none

	ProviderCode    string // S3150, TSS04, OFR_506, 4.7.28; "" for none
	Blocklist       string // id of the named list, "" for none
	BlocklistObject string // what it lists: ip, domain, url, helo
	AuthMechanism   string // spf, dkim, dmarc, alignment, arc; "" when not named

	TemplateID string // 16 hex digits: xxHash64 of the whole template
	Template   string // the masked reply, at most 256 bytes
	RuleID     string // "" when no rule fits
	MatchedBy  string // provider_code, literal, status, reply or fallback
	// Runner is the category of the best rule of another category, if any.
	Runner Category
	// Cause is, for message_expired, what the reply recorded with it means:
	// the last deferral. Unclassified when it says nothing.
	Cause Category

	RulesVersion string

	enh     Enhanced
	hint    *Provider // provider by the reply's own marks
	pending *pendingTemplate
}

// maxTemplate is the longest Verdict.Template in bytes; the TemplateID covers
// all of it.
const maxTemplate = 256

// scratch is the working memory of one classification.
type scratch struct {
	masked []byte
	norm   []byte
	norm2  []byte
	body   []byte
	hits   hitSet
	part   hitSet   // of one of two replies in one
	cand   []uint64 // rank of a rule -> to be verified
}

var scratchPool = sync.Pool{New: func() any {
	return &scratch{masked: make([]byte, 0, 2*maxMasked), norm: make([]byte, 0, 2*maxMasked)}
}}

// template appends the template of p to dst: codes, then the masked text. Of
// an acceptance only the codes are kept: its text is queue ids.
func (e *engine) template(dst []byte, p *parsed) []byte {
	switch p.origin {
	case originLocal:
		dst = append(dst, "x-pmta;"...)
	case originBounceQueue:
		dst = append(dst, "bounce-queue;"...)
	}
	if p.expired {
		dst = append(dst, "expired;"...)
	}
	if p.code != 0 {
		dst = strconv.AppendUint(dst, uint64(p.code), 10)
	}
	if !p.enh.IsZero() {
		if len(dst) > 0 && dst[len(dst)-1] != ';' {
			dst = append(dst, ' ')
		}
		dst = p.enh.append(dst)
	}
	if p.code/100 == 2 || p.code == 0 && p.enh.Class == 2 {
		return dst
	}
	if len(dst) > 0 && dst[len(dst)-1] != ';' {
		dst = append(dst, ' ')
	}
	dst = e.masker.mask(dst, p)
	if n := len(dst); n > 0 && dst[n-1] == ' ' {
		dst = dst[:n-1]
	}
	return dst
}

// stage begins what Postfix adds to a reply: "(in reply to RCPT TO command)".
var stage = []byte("(in reply to ")

// withoutStage returns body without the words on the command that was
// answered: they say nothing of the reason and hold the words of other ones.
func (sc *scratch) withoutStage(body []byte) []byte {
	i := bytes.Index(body, stage)
	if i < 0 {
		return body
	}
	n := bytes.IndexByte(body[i:], ')')
	if n < 0 || n > 64 {
		return body
	}
	sc.body = append(append(sc.body[:0], body[:i]...), body[i+n+1:]...)
	return sc.body
}

// providerOf finds the provider by MX host, else by recipient domain. nil
// means that neither is known.
func (e *engine) providerOf(in *Input) (p *Provider, mxHost string) {
	mxHost = hostOf(in.MX)
	if mxHost != "" {
		if n, l := e.mx.find(mxHost); l > 0 {
			return &e.providers[n], mxHost
		}
	}
	if in.Rcpt != "" {
		if n, l := e.domains.find(domainOf(in.Rcpt)); l > 0 {
			return &e.providers[n], mxHost
		}
	}
	return nil, mxHost
}

// numOf is the index of p in the engine, -1 for an unknown provider.
func numOf(p *Provider) int {
	if p == nil {
		return -1
	}
	return int(p.num) - 1
}

// run classifies without a cache.
func (e *engine) run(in Input) (*Verdict, *Provider) {
	p := parse(in.Diag, in.DSNStatus)
	sc := scratchPool.Get().(*scratch)
	defer scratchPool.Put(sc)
	prov, _ := e.providerOf(&in)
	sc.masked = e.template(sc.masked[:0], &p)
	v := e.classify(&p, sc, prov, nil)
	if prov == nil {
		prov = v.hint
	}
	return v, prov
}

// classify runs the engine over sc.masked. ex, when not nil, receives what
// was found on the way.
func (e *engine) classify(p *parsed, sc *scratch, known *Provider, ex *Explanation) *Verdict {
	v := &Verdict{ReplyCode: p.code, Enhanced: p.enh.String(), RulesVersion: e.version}
	tmpl := sc.masked
	v.TemplateID = hex16(xxhash.Sum64(tmpl))
	v.Template = cutUTF8(tmpl, maxTemplate)
	class := p.class()
	if class == 2 {
		e.finish(v, Delivered, nil, p)
		v.RuleID, v.MatchedBy = "reply.2xx", MatchedReply
		return v
	}
	body := tmpl
	if i := bodyStart(tmpl, p); i <= len(tmpl) {
		body = tmpl[i:]
	}
	body = sc.withoutStage(body)

	// The provider: known by MX or domain, else by a code or a mark.
	num := numOf(known)
	code, codeProv, hasCode := e.masker.codes.find(body)
	if hasCode {
		v.ProviderCode = string(code)
	}
	norm := normalize(sc.norm[:0], body)
	sc.norm = norm
	e.find(norm, &sc.hits)
	if num < 0 {
		num = e.markOf(&sc.hits)
		if num < 0 && hasCode {
			num = int(codeProv)
		}
		if num >= 0 {
			v.hint = &e.providers[num]
		}
	}

	best, second := e.decide(p, sc, &sc.hits, num, norm)
	cut, inner := splitReplies(body)
	inner = inner || p.code == 0 // words without a code introduce a reply
	if cut > 0 && !(inner && namesSender(body[:cut])) {
		// Two replies in one. Of "host x said: 550 ..." the inner one
		// counts, of two replies one after the other the first. The rest
		// decides only where that part says nothing clear. Where a host
		// tells what another one said of the sender, all of it counts.
		part := body[:cut]
		if inner {
			part = body[cut:]
		}
		all := best
		sc.norm2 = normalize(sc.norm2[:0], part)
		e.find(sc.norm2, &sc.part)
		if r, s := e.decide(p, sc, &sc.part, num, sc.norm2); r != nil && (r.score >= scoreStrong-9 || all == nil || r.score >= all.score) {
			if best = r; s != nil {
				second = s
			}
		}
	}

	cat := Unclassified
	if best != nil {
		cat = best.category
		v.RuleID, v.MatchedBy = best.id, best.matched
	} else {
		v.MatchedBy = MatchedFallback
	}
	if p.expired && p.origin != originBounceQueue {
		if cat != MessageExpired {
			v.Cause = cat
		}
		cat = MessageExpired
		v.RuleID, v.MatchedBy = "status.expired", MatchedStatus
		best = nil
	} else if second != nil {
		v.Runner = second.category
	}
	e.finish(v, cat, best, p)
	if v.Type == TypeHard && !e.sources[best.order].user {
		confirmed := p.enh.confirms(cat)
		switch {
		case anyHit(e.doubt, &sc.hits),
			best.matched == MatchedStatus && !e.plain(norm, oddBesideStatus),
			!confirmed && (anyHit(e.mildDoubt, &sc.hits) || contradicts(best, second)),
			!confirmed && best.matched == MatchedLiteral && (p.enh.denies() || !e.plain(norm, oddBesideWords)):
			v.Type = TypeSoft
		}
	}
	e.capture(v, best, p, sc, norm)
	if ex != nil {
		e.explain(ex, p, sc, num, body, best)
	}
	return v
}

// hardScore is the least score of a rule on words that may make a verdict
// hard: an address is not given up on phrases that leave some doubt. With a
// status that says the same any strong rule will do.
const hardScore = scoreStrong - 4

var space = []byte{' '}

// plainStem is the least length of a word of which longer ones are forms.
const plainStem = 5

// Of so many words of a reply that makes a verdict hard one may be odd: fewer
// where the words alone say that the address is bad.
const (
	oddBesideWords  = 10
	oddBesideStatus = 3
)

// plain reports whether norm speaks of a bad address and, but for one word in
// odds, of nothing else: words that no such reply has are a sign that somebody
// else's address, a file or a program is unknown.
func (e *engine) plain(norm []byte, odds int) bool {
	spaces, words, odd := bytes.Count(norm, space), 0, 0
	for len(norm) > 0 {
		i := 0
		for i < len(norm) && norm[i] != ' ' {
			i++
		}
		w := norm[:i]
		norm = norm[min(i+1, len(norm)):]
		if len(w) < 2 || bytes.ContainsAny(w, "0123456789.") {
			continue
		}
		words++
		for n := len(w); ; n-- {
			if _, ok := e.plainWords[string(w[:n])]; ok {
				break
			}
			if n <= plainStem {
				if odd++; odd*odds > spaces {
					return false // whatever follows
				}
				break
			}
		}
	}
	return odd*odds <= words
}

// contradicts reports whether second, the best rule of another category, is
// as clear as best, a rule on words, and names a cause that has nothing to do
// with the recipient.
func contradicts(best, second *rule) bool {
	if second == nil || second.score < scoreStrong-9 || best.matched != MatchedLiteral {
		return false
	}
	switch second.category {
	case RecipientUnknown, RecipientInactive, RecipientDomainInvalid, MailboxFull, RecipientRestricted, DNSRouting, ProtocolError:
		return false
	}
	return true
}

// confirms reports whether e says by itself what c means.
func (e Enhanced) confirms(c Category) bool {
	switch c {
	case RecipientUnknown:
		return e.Subject == 1 && (e.Detail == 1 || e.Detail == 3 || e.Detail == 10)
	case RecipientInactive:
		return e.Subject == 2 && e.Detail == 1 || e.Subject == 1 && e.Detail == 6
	case RecipientDomainInvalid:
		return e.Subject == 1 && (e.Detail == 2 || e.Detail == 10)
	}
	return false
}

// denies reports whether e names a cause that has nothing to do with the
// recipient's address.
func (e Enhanced) denies() bool {
	if e.Detail == 0 {
		return false
	}
	switch e.Subject {
	case 1:
		return e.Detail >= 7 && e.Detail <= 9
	case 2:
		return e.Detail >= 2 && e.Detail <= 4
	case 4:
		return e.Detail != 1 && e.Detail != 4 && e.Detail != 310
	case 7:
		return e.Detail != 1 && e.Detail != 13 && e.Detail != 17 && e.Detail != 18
	}
	return e.Subject == 3 || e.Subject == 5 || e.Subject == 6
}

// finish fills what follows from category and reply class.
func (e *engine) finish(v *Verdict, c Category, r *rule, p *parsed) {
	info := &taxonomy[c]
	class := p.class()
	v.Category, v.Group, v.Owner = c, info.Group, info.Owner
	if class == 5 && !p.permanent() {
		v.Type, v.Retryable = typeFor(c, 4), retryableFor(c, 5)
	} else {
		v.Type, v.Retryable = typeFor(c, class), retryableFor(c, class)
	}
	if r != nil && v.Type == TypeHard && r.matched != MatchedStatus && r.score < hardScore && !(r.score >= scoreStrong-9 && p.enh.confirms(c)) {
		v.Type = TypeSoft
	}
	if r != nil && r.set.Retryable != nil && c != Delivered {
		v.Retryable = *r.set.Retryable
	}
}

// capture fills code, blocklist and mechanism.
func (e *engine) capture(v *Verdict, r *rule, p *parsed, sc *scratch, norm []byte) {
	if r != nil {
		v.AuthMechanism, v.Blocklist, v.BlocklistObject = r.set.AuthMechanism, r.set.Blocklist, r.set.BlocklistObject
		switch {
		case r.set.ProviderCode == "enhanced":
			if v.ProviderCode == "" {
				v.ProviderCode = v.Enhanced
			}
		case r.set.ProviderCode != "":
			v.ProviderCode = r.set.ProviderCode
		}
		if r.regex != nil && r.regex.NumSubexp() > 0 {
			if m := r.regex.FindSubmatch(window(norm, r, &sc.hits)); m != nil {
				for i, name := range r.regex.SubexpNames() {
					switch name {
					case "provider_code":
						v.ProviderCode = strings.ToUpper(string(m[i]))
					case "blocklist":
						v.Blocklist = string(m[i])
					}
				}
			}
		}
	}
	switch v.Category {
	case Blocklisted, ReputationIP, ReputationDomain, SpamContent:
		if v.Blocklist == "" {
			list := -1
			for _, l := range sc.hits.list {
				if n := int(e.listNames[l]); n >= 0 && (list < 0 || n < list) {
					list = n
				}
			}
			if list >= 0 {
				v.Blocklist = e.lists[list].ID
				if v.BlocklistObject == "" {
					v.BlocklistObject = e.lists[list].Object
				}
			}
		}
		if v.Category == Blocklisted && v.BlocklistObject == "" {
			v.BlocklistObject = listedObject(norm)
		}
	case Authentication:
		if v.AuthMechanism == "" {
			v.AuthMechanism = mechanism(norm)
		}
	}
}

// listedObject guesses from the words what an unnamed list holds.
func listedObject(norm []byte) string {
	switch {
	case containsAny(norm, " url", " uri", " link"):
		return "url"
	case containsAny(norm, " helo ", " ehlo "):
		return "helo"
	case containsAny(norm, " domain", " rhsbl"):
		return "domain"
	}
	return "ip"
}

// mechanism names what failed when the reply names exactly one mechanism.
func mechanism(norm []byte) string {
	if containsAny(norm, " align", " misalign", " unalign") {
		return "alignment"
	}
	if containsAny(norm, "dmarc") {
		return "dmarc" // SPF and DKIM are then named as its parts
	}
	spf, dkim := containsAny(norm, " spf", " senderid", "openspf"), containsAny(norm, " dkim")
	switch {
	case spf && !dkim:
		return "spf"
	case dkim && !spf:
		return "dkim"
	case !spf && containsAny(norm, " arc "):
		return "arc"
	}
	return ""
}

func containsAny(b []byte, subs ...string) bool {
	for _, s := range subs {
		if bytes.Contains(b, []byte(s)) {
			return true
		}
	}
	return false
}

// bodyStart is where the text begins in a template.
func bodyStart(tmpl []byte, p *parsed) int {
	i := 0
	switch p.origin {
	case originLocal:
		i += len("x-pmta;")
	case originBounceQueue:
		i += len("bounce-queue;")
	}
	if p.expired {
		i += len("expired;")
	}
	if p.code != 0 {
		i += 3
	}
	if !p.enh.IsZero() {
		if p.code != 0 {
			i++
		}
		var b [16]byte
		i += len(p.enh.append(b[:0]))
	}
	return min(i, len(tmpl))
}

// markOf returns the provider whose mark was found first, -1 for none.
func (e *engine) markOf(h *hitSet) int {
	for _, l := range h.list {
		if n := e.marks[l]; n >= 0 {
			return int(n)
		}
	}
	return -1
}

// find looks for all literals in a normalized text.
func (e *engine) find(norm []byte, h *hitSet) {
	h.reset(e.literals)
	e.ac.scan(norm, h)
	if e.high == nil {
		return
	}
	for _, b := range norm {
		if b >= 0x80 {
			e.high.scan(norm, h)
			return
		}
	}
}

// Bounds of the work on one reply that is made to be slow.
const (
	maxRegexRuns = 4
	maxVerified  = 96 // rules whose literals are looked at
)

// decide verifies the rules whose literals were found, the best one first,
// and returns the first that holds and the first of another category.
func (e *engine) decide(p *parsed, sc *scratch, h *hitSet, provider int, norm []byte) (best, second *rule) {
	if words := len(e.bareAny); len(sc.cand) < words {
		sc.cand = make([]uint64, words)
	}
	cand := sc.cand[:len(e.bareAny)]
	copy(cand, e.bareAny)
	if s := p.enh.Subject; int(s) < len(e.bare) {
		for i, w := range e.bare[s] {
			cand[i] |= w
		}
	}
	for _, l := range h.list {
		for _, rank := range e.triggers[l] {
			cand[rank>>6] |= 1 << (rank & 63)
		}
	}
	regexLeft, left := maxRegexRuns, maxVerified
	for i, w := range cand {
		for ; w != 0; w &= w - 1 {
			r := e.ranked[i<<6+bits.TrailingZeros64(w)]
			if best != nil && r.category == best.category || !r.scope(p, provider) {
				continue
			}
			if left--; left < 0 {
				return best, second
			}
			if !e.literalsHold(r, h) || r.maxWords > 0 && wordsOver(norm, r.maxWords) {
				continue
			}
			if r.regex != nil {
				if regexLeft--; regexLeft < 0 || !r.regex.Match(window(norm, r, h)) {
					continue
				}
			}
			if best != nil {
				return best, r
			}
			best = r
		}
	}
	return best, second
}

// wordsOver reports whether norm has more than n words; those without a letter
// do not count.
func wordsOver(norm []byte, n int) bool {
	inWord := false
	for _, c := range norm {
		switch {
		case c == ' ':
			inWord = false
		case !inWord && byteClass[c]&(bAlpha|bHigh) != 0:
			inWord = true
			if n--; n < 0 {
				return true
			}
		}
	}
	return false
}

// window is the part of norm in which a pattern is tried: 128 bytes before
// and after the end of the rule's first literal that was found.
func window(norm []byte, r *rule, h *hitSet) []byte {
	for _, set := range [...][]uint16{r.all, r.any} {
		for _, l := range set {
			if h.has(l) {
				end := int(h.ends[l])
				return norm[max(0, end-128):min(len(norm), end+128)]
			}
		}
	}
	return nil
}

// scope reports whether r applies to this provider, reply code and status.
func (r *rule) scope(p *parsed, provider int) bool {
	if r.providers != nil {
		ok := false
		for _, n := range r.providers {
			if int(n) == provider {
				ok = true
				break
			}
		}
		if !ok {
			return false
		}
	}
	if r.classes != 0 || r.codes != nil {
		ok := r.classes&(1<<p.class()) != 0
		for _, c := range r.codes {
			ok = ok || c == p.code
		}
		if !ok {
			return false
		}
	}
	for _, er := range r.notEnh {
		if er.match(p.enh) {
			return false
		}
	}
	if r.enhanced != nil {
		for _, er := range r.enhanced {
			if er.match(p.enh) {
				return true
			}
		}
		return false
	}
	return true
}

func (r *rule) none(h *hitSet) bool {
	for _, l := range r.noneLits {
		if h.has(l) {
			return false
		}
	}
	return true
}

// literalsHold reports whether all literal conditions of r hold.
func (e *engine) literalsHold(r *rule, h *hitSet) bool {
	if r.named && !e.namesList(h) {
		return false
	}
	for _, l := range r.all {
		if !h.has(l) {
			return false
		}
	}
	return anyHit(r.any, h) && anyHit(r.with, h) && r.none(h) && (r.within == 0 || r.near(h))
}

// near reports whether a literal of any_of ends at most within bytes from
// one of with_any_of; the first occurrence of each counts.
func (r *rule) near(h *hitSet) bool {
	for _, a := range r.any {
		if !h.has(a) {
			continue
		}
		for _, b := range r.with {
			if h.has(b) {
				if d := int(h.ends[a]) - int(h.ends[b]); d <= r.within && -d <= r.within {
					return true
				}
			}
		}
	}
	return false
}

// namesList reports whether a known blocklist is named.
func (e *engine) namesList(h *hitSet) bool {
	for _, l := range h.list {
		if e.listNames[l] >= 0 {
			return true
		}
	}
	return false
}

func anyHit(lits []uint16, h *hitSet) bool {
	if len(lits) == 0 {
		return true
	}
	for _, l := range lits {
		if h.has(l) {
			return true
		}
	}
	return false
}

// splitReplies finds a second reply inside a template: a known reply code
// that an enhanced status code or the start of a sentence follows. inner says
// that the words before it quote another server. cut is 0 when there is none.
func splitReplies(b []byte) (cut int, inner bool) {
	for i := 1; i+4 < len(b); i++ {
		if c := b[i]; c != '4' && c != '5' {
			continue
		}
		prev := b[i-1]
		if byteClass[prev]&(bAlpha|bDigit|bDot|bDash) != 0 || prev == '/' || prev == '#' || prev == '=' {
			continue
		}
		sep := b[i+3]
		if sep != ' ' && sep != '-' || !isReplyCode(b[i:i+3]) {
			continue
		}
		n := b[i+4]
		quoted := quotes(b[:i])
		_, _, enh := cutEnhanced(string(b[i+4:min(len(b), i+16)]), 0)
		sentence := 'A' <= n && n <= 'Z' || n == '<' || n == '['
		if quoted && (enh || sentence || byteClass[n]&bAlpha != 0) || enh || sentence && !countsThings(b[:i]) {
			return i, quoted
		}
	}
	return 0, false
}

func isReplyCode(b []byte) bool {
	switch string(b) {
	case "421", "450", "451", "452", "454", "455", "471", "500", "501", "502", "503", "504", "521", "530", "534", "535",
		"538", "541", "550", "551", "552", "553", "554", "555", "556", "557", "570", "571":
		return true
	}
	return false
}

// quotes reports whether the words at the end of b introduce the reply of
// another server.
func quotes(b []byte) bool {
	b = bytes.TrimRight(b, " '\"([<:->;")
	for _, w := range [...]string{"said", "says", "replied", "responded", "responded with", "response", "response was",
		"reply", "reply was", "reports", "returned", "answered", "error was", "with", "error", "gave this error", "server", "smtp"} {
		if len(b) >= len(w) && strings.EqualFold(string(b[len(b)-len(w):]), w) {
			return true
		}
	}
	return false
}

// namesSender reports whether b speaks of the sender: then the reply it quotes
// is what came of a check of the sender's address.
func namesSender(b []byte) bool {
	const word = "sender"
	for i := 0; i+len(word) <= len(b); i++ {
		if lower(b[i]) == word[0] && bytes.EqualFold(b[i:i+len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

// countsThings reports whether b ends in words after which a number is an
// amount, not a reply code.
func countsThings(b []byte) bool {
	b = bytes.TrimRight(b, " :=<")
	for _, w := range [...]string{"of", "than", "limit", "max", "maximum", "exceeds", "exceeded", "over", "is", "to", "line", "port", "error", "code", "status"} {
		if len(b) > len(w) && strings.EqualFold(string(b[len(b)-len(w):]), w) {
			return true
		}
	}
	return false
}

func hex16(n uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := 15; i >= 0; i-- {
		b[i] = digits[n&15]
		n >>= 4
	}
	return string(b[:])
}

// cutUTF8 returns at most n bytes of b as a string of valid UTF-8.
func cutUTF8(b []byte, n int) string {
	if len(b) > n {
		b = b[:n]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		if len(b) > 0 && b[len(b)-1] >= utf8.RuneSelf {
			b = b[:len(b)-1]
		}
	}
	return string(b)
}
