package smtpreply

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Bounds of the work on one reply: only its first headBytes and its last
// tailBytes are looked at, which keeps even a reply made to be slow under
// 10 µs. A reason stands in the first lines (most hosts) or in the last one
// (GMX); of real replies, about one in a hundred is longer than both together.
const (
	headBytes = 176
	tailBytes = 72
	// maxMasked is the longest masked text; a placeholder may be longer
	// than what it stands for.
	maxMasked = 640
)

// Placeholders of a template.
const (
	maskEmail = "{email}"
	maskIP    = "{ip}"
	maskHost  = "{host}"
	maskURL   = "{url}"
	maskID    = "{id}"
	maskNum   = "{n}"
	maskTime  = "{ts}"
	maskText  = "{text}" // bytes of an encoding that is not read
)

// Byte classes.
const (
	bSep   = 1 << iota // ends a token
	bAlpha             // ASCII letter
	bDigit
	bDot
	bAt
	bColon
	bSlash
	bDash  // - and _
	bHigh  // 0x80 and up
	bOther // the rest
)

var byteClass = func() (t [256]uint16) {
	for i := range 256 {
		b := byte(i)
		switch {
		case isDigit(b):
			t[i] = bDigit
		case isAlnum(b):
			t[i] = bAlpha
		case b >= 0x80:
			t[i] = bHigh
		case isSpace(b):
			t[i] = bSep
		default:
			t[i] = bOther
		}
	}
	for _, b := range []byte("[](){}<>\"',;=|`") {
		t[b] = bSep
	}
	t['.'], t['@'], t[':'], t['/'], t['-'], t['_'] = bDot, bAt, bColon, bSlash, bDash, bDash
	return t
}()

// masker turns reply text into a template.
type masker struct {
	hosts *hostTrie   // hosts that stay: providers and lists
	codes codeGrammar // provider codes that stay
}

// mask appends the template of p's text to dst. The repeated prefixes of a
// multi-line reply ("550-5.7.1 ", and "550 5.7.1 " of the last line) go.
func (m *masker) mask(dst []byte, p *parsed) []byte {
	text := p.text
	if len(text) > headBytes+tailBytes {
		// Cut between words: half an address would not be masked.
		head, tail := text[:headBytes], text[len(text)-tailBytes:]
		for i := len(head) - 1; i > 0; i-- {
			if isSpace(head[i]) {
				head = head[:i]
				break
			}
		}
		for i := range len(tail) {
			if isSpace(tail[i]) {
				tail = tail[i:]
				break
			}
		}
		dst = m.maskPart(dst, head, p)
		dst = append(dst, " ... "...)
		return m.maskPart(dst, tail, p)
	}
	return m.maskPart(dst, text, p)
}

func (m *masker) maskPart(dst []byte, s string, p *parsed) []byte {
	base := len(dst)
	numAt := -1 // where in dst the number just written begins
	for i := 0; i < len(s) && len(dst)-base < maxMasked-128; {
		c := s[i]
		k := byteClass[c]
		if k&bSep != 0 {
			switch {
			case c == 0x1b && i+1 < len(s) && s[i+1] == '$': // ISO-2022 shift
				i = skipISO2022(s, i)
				dst = append(dst, maskText...)
				continue
			case isSpace(c):
				if n := len(dst); n > base && dst[n-1] != ' ' {
					dst = append(dst, ' ')
				}
			default:
				dst = append(dst, c)
				numAt = -1
			}
			i++
			continue
		}
		start := i
		var flags uint16
		for i < len(s) {
			k = byteClass[s[i]]
			if k&bSep != 0 {
				break
			}
			flags |= k
			i++
		}
		tok := s[start:i]
		if flags&^(bAlpha|bDash) == 0 {
			switch {
			case len(tok) >= 32:
				dst = append(dst, maskID...)
			case numAt >= 0 && isTimeUnit(tok):
				dst = append(dst[:numAt], maskNum...)
				dst = append(dst, ' ')
				dst = append(dst, tok...)
			case start > 0 && s[start-1] == '<' && i < len(s) && s[i] == '>' && tok != "unknown":
				dst = append(dst, maskEmail...) // <localpart>
			default:
				dst = append(dst, tok...)
			}
			numAt = -1
			continue
		}
		if flags == bDigit {
			numAt = -1
			switch {
			case len(tok) == 3 && p.code != 0 && i < len(s) && s[i] == ' ' && p.repeats(s[start:]):
				i += 1 + p.enhLen(s[i+1:])
			case len(tok) >= 5:
				dst = append(dst, maskNum...)
			default:
				numAt = len(dst)
				dst = append(dst, tok...)
			}
			continue
		}
		numAt = -1
		dst, i = m.token(dst, s, start, i, flags, p.code)
	}
	for n := len(dst); n > base && dst[n-1] == ' '; n-- {
		dst = dst[:n-1]
	}
	return dst
}

func skipISO2022(s string, i int) int {
	for j := i + 2; j+2 < len(s); j++ {
		if s[j] == 0x1b && s[j+1] == '(' {
			return j + 3
		}
	}
	return len(s)
}

// isTimeUnit reports whether tok makes the number before it a duration.
func isTimeUnit(tok string) bool {
	switch lower(tok[0]) {
	case 's':
		return hasPrefixFold(tok, "sec") || len(tok) == 1
	case 'm':
		return hasPrefixFold(tok, "min") || hasPrefixFold(tok, "millisec") || equalFold(tok, "ms")
	case 'h':
		return hasPrefixFold(tok, "hour") || equalFold(tok, "hrs") || equalFold(tok, "h")
	case 'd':
		return equalFold(tok, "days") || equalFold(tok, "day")
	}
	return false
}

// token appends what stands for s[start:end], which is not a plain word or
// number, and returns where to go on: a URL may reach beyond end, and of
// "a:b" only the left part is done.
func (m *masker) token(dst []byte, s string, start, end int, flags, code uint16) ([]byte, int) {
	tok := s[start:end]
	if flags&bDot != 0 {
		// sendmail glues: bob@mail.example...User unknown
		if c := strings.Index(tok, "..."); c > 0 {
			tok, end = tok[:c], start+c
		} else if c == 0 {
			return append(dst, "..."...), start + 3
		}
	}
	if flags&bAt != 0 && len(tok) > 1 && strings.IndexByte(tok, '@') >= 0 {
		dst = append(dst, maskEmail...)
		// "bob@mail.example:blocked": what follows the colon is a reason.
		if c := strings.LastIndexByte(tok, ':'); c > strings.LastIndexByte(tok, '@') && c < len(tok)-1 {
			return append(dst, ':'), start + c + 1
		}
		for e := len(tok); e > 0 && isEndPunct(tok[e-1]); e-- {
			dst = append(dst, tok[e-1])
		}
		return dst, end
	}
	if flags&bHigh != 0 && flags&(bDot|bColon|bSlash|bDigit) == 0 {
		return appendFolded(dst, tok), end
	}

	// "550-5.7.1" or "550-text": continuation of a multi-line reply.
	if code != 0 && len(tok) > 3 && tok[3] == '-' {
		if c, _, ok := cutCode(tok); ok && c == code {
			if _, rest, ok := cutEnhanced(tok[4:], 0); ok && rest == "" {
				return dst, end
			}
			if len(tok) == 4 {
				return dst, end
			}
			return dst, start + 4
		}
	}

	// URL, with or without scheme.
	if flags&bSlash != 0 {
		if at := strings.Index(tok, "://"); at >= 0 {
			return m.url(dst, s, start+at+3)
		}
		if slash := strings.IndexByte(tok, '/'); slash > 3 && isHostName(tok[:slash]) {
			return m.url(dst, s, start)
		}
	}

	// Punctuation around the word.
	a, e := 0, len(tok)
	for e > a && isEndPunct(tok[e-1]) {
		e--
	}
	for a < e && (tok[a] == '.' || tok[a] == ':' || tok[a] == '*' || tok[a] == '/') {
		a++
	}
	dst = append(dst, tok[:a]...)
	tail := tok[e:]
	core := tok[a:e]
	if core == "" {
		return append(dst, tail...), end
	}

	if flags&bColon != 0 {
		if w := timeOrIPv6(core); w != "" {
			dst = append(dst, w...)
			return append(dst, tail...), end
		}
		if c := strings.IndexByte(core, ':'); c >= 0 && !m.codes.match(core) {
			left := core[:c]
			if isIPv4(left) || isHostName(left) { // with a port or not
				dst = m.plain(dst, left)
			} else {
				dst = m.plain(dst, left)
			}
			return append(dst, ':'), start + a + c + 1
		}
	}
	if flags&bSlash != 0 {
		if c := strings.IndexByte(core, '/'); c > 0 {
			if left := core[:c]; isIPv4(left) {
				dst = append(dst, maskIP...)
				return append(dst, tail...), end
			}
			dst = m.plain(dst, core[:c])
			return append(dst, '/'), start + a + c + 1
		}
	}
	dst = m.plain(dst, core)
	return append(dst, tail...), end
}

func isEndPunct(b byte) bool {
	return b == '.' || b == ':' || b == '!' || b == '?' || b == '*'
}

// plain appends what stands for a token without colon, slash or punctuation
// around it.
func (m *masker) plain(dst []byte, tok string) []byte {
	var letters, digits, dots, dashes, other int
	for i := range len(tok) {
		switch k := byteClass[tok[i]]; k {
		case bAlpha:
			letters++
		case bDigit:
			digits++
		case bDot:
			dots++
		case bDash:
			dashes++
		case bHigh:
			return appendFolded(dst, tok)
		default:
			other++
		}
	}
	switch {
	case letters == 0 && other == 0:
		switch {
		case dots == 3 && isIPv4(tok):
			return append(dst, maskIP...)
		case dots == 0 && dashes == 3 && digits <= 12 && digits >= 4:
			return append(dst, maskIP...) // 1-2-3-4
		case dots == 0 && dashes == 2 && digits == 8:
			return append(dst, maskTime...) // 2026-11-23
		case dots == 2 && digits <= 7 || dots == 1 && digits <= 6 || digits < 5:
			return append(dst, tok...) // 5.7.28, 4.16.50
		}
		return append(dst, maskNum...)
	case dots > 0 && other == 0 && isHostName(tok):
		return m.host(dst, tok)
	case digits == 0:
		if len(tok) > 64 || other > 3 && len(tok) > 24 {
			return append(dst, maskID...)
		}
		return append(dst, tok...)
	case len(tok) < 7:
		if letters+digits == len(tok) && isDigit(tok[0]) {
			for i := range len(tok) {
				if !isDigit(tok[i]) {
					if isTimeUnit(tok[i:]) {
						dst = append(dst, maskNum...)
						return append(dst, tok[i:]...)
					}
					break
				}
			}
		}
		return append(dst, tok...)
	case m.codes.match(tok) || isStandardName(tok):
		return append(dst, tok...)
	case digits == 1 && letters > 8 && dashes > 0, dots > 0 && digits <= 2 && letters > 10:
		return append(dst, tok...) // a phrase with a digit in it
	}
	return append(dst, maskID...)
}

func isLower(b byte) bool { return 'a' <= b && b <= 'z' }

func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }

// isStandardName keeps words such as RFC5322, 8BITMIME and ISO-8859-1.
func isStandardName(tok string) bool {
	return hasPrefixFold(tok, "rfc") || hasPrefixFold(tok, "8bit") ||
		hasPrefixFold(tok, "iso-") || hasPrefixFold(tok, "sha") && len(tok) < 8
}

func isIPv4(s string) bool {
	parts := 0
	for {
		n := 0
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		if n == 0 || n > 3 {
			return false
		}
		parts++
		if n == len(s) {
			return parts == 4
		}
		if s[n] != '.' || parts == 4 {
			return false
		}
		s = s[n+1:]
	}
}

// timeOrIPv6 returns the placeholder for a time or an IPv6 address, "" for
// anything else.
func timeOrIPv6(s string) string {
	colons, digits, hex, other := 0, 0, 0, 0
	for i := range len(s) {
		switch b := s[i]; {
		case b == ':':
			colons++
		case isDigit(b):
			digits++
		case 'a' <= lower(b) && lower(b) <= 'f':
			hex++
		default:
			other++
		}
	}
	switch {
	case colons >= 2 && hex == 0 && digits >= 3 && digits <= 8 && other == 0:
		return maskTime
	case colons >= 2 && digits >= 8 && len(s) > 10 && s[4] == '-':
		return maskTime // 2026-11-23T10:00:00.000Z
	case colons >= 2 && digits+hex >= 1 && other <= 3 && (digits > 0 || strings.Contains(s, "::")):
		return maskIP
	case colons == 1 && digits >= 8 && isIPv4(s[:strings.IndexByte(s, ':')]):
		return maskIP // with a port
	}
	return ""
}

// isHostName reports whether s looks like a host name: labels of letters,
// digits, - and _, the last one letters only. A missing space after a full
// stop ("denied.Please") does not make one.
func isHostName(s string) bool {
	dot := -1
	for i := range len(s) {
		switch byteClass[s[i]] {
		case bDot:
			if i == dot+1 { // empty label
				return false
			}
			dot = i
		case bAlpha, bDigit, bDash:
		default:
			return false
		}
	}
	if dot <= 0 || len(s)-dot < 3 {
		return false
	}
	for i := dot + 1; i < len(s); i++ {
		if byteClass[s[i]] != bAlpha {
			return dot+4 < len(s) && hasPrefixFold(s[dot+1:], "xn--")
		}
	}
	a, b := s[dot-1], s[dot+1]
	if 'a' <= a && a <= 'z' && 'A' <= b && b <= 'Z' {
		return false
	}
	// Exchange's own names: RESOLVER.ADR.RecipNotFound.
	for _, p := range [...]string{"resolver.", "storedrv.", "smtpsend.", "queue.", "routing.", "transport."} {
		if hasPrefixFold(s, p) {
			return false
		}
	}
	return true
}

// host appends a host name: a known one is cut to the part that is known.
func (m *masker) host(dst []byte, h string) []byte {
	n := m.hosts.suffix(h)
	switch {
	case n == 0:
		return append(dst, maskHost...)
	case n < len(h):
		dst = append(dst, '*', '.')
	}
	return append(dst, h[len(h)-n:]...)
}

// url appends what stands for the URL whose host begins at s[i], and returns
// the offset after it. Only a known host keeps its path, and of the query
// only the keys c and p, in which GMX and Google name the reason.
func (m *masker) url(dst []byte, s string, i int) ([]byte, int) {
	end := i
	for end < len(s) && !isSpace(s[end]) && strings.IndexByte("<>\"'()[]{}|,;`", s[end]) < 0 {
		end++
	}
	u := s[i:end]
	e := len(u)
	for e > 0 && isEndPunct(u[e-1]) {
		e--
	}
	tail := u[e:]
	u = u[:e]

	cut := strings.IndexAny(u, "/?#:")
	if cut < 0 {
		cut = len(u)
	}
	host, rest := u[:cut], u[cut:]
	known := isHostName(host) && m.hosts.suffix(host) > 0
	if !known {
		dst = append(dst, maskURL...)
	} else {
		dst = m.host(dst, host)
		path := rest
		if q := strings.IndexAny(path, "?#"); q >= 0 {
			path = path[:q]
		}
		segments := 0
		for seg := range strings.SplitSeq(path, "/") {
			if seg == "" {
				continue
			}
			if segments++; segments > 4 {
				break
			}
			dst = append(dst, '/')
			if len(seg) > 40 || strings.IndexByte(seg, '@') >= 0 {
				dst = append(dst, maskID...)
			} else {
				dst = m.pathSegment(dst, seg)
			}
		}
		if q := strings.IndexByte(rest, '?'); q >= 0 {
			query, _, _ := strings.Cut(rest[q+1:], "#")
			n := 0
			for kv := range strings.SplitSeq(query, "&") {
				if n++; n > 8 {
					break
				}
				if len(kv) > 2 && len(kv) <= 24 && (kv[0] == 'c' || kv[0] == 'p') && kv[1] == '=' && isWord(kv[2:]) {
					dst = append(dst, '?')
					dst = append(dst, kv...)
				}
			}
		}
	}
	if f := strings.LastIndexByte(rest, '#'); f >= 0 {
		frag := rest[f+1:]
		if m.codes.match(frag) || known && len(frag) < 12 && isWord(frag) {
			dst = append(dst, '#')
			dst = append(dst, frag...)
		}
	}
	return append(dst, tail...), end
}

// pathSegment appends a part of a URL's path: file names stay, ids go.
func (m *masker) pathSegment(dst []byte, seg string) []byte {
	digits := 0
	for i := range len(seg) {
		switch byteClass[seg[i]] {
		case bDigit:
			digits++
		case bAlpha, bDash, bDot:
		default:
			return append(dst, maskID...)
		}
	}
	if digits > 4 && !m.codes.match(seg) || isIPv4(seg) {
		return append(dst, maskID...)
	}
	return append(dst, seg...)
}

// isWord reports whether s is made of letters, digits, - and _, with a
// letter in it.
func isWord(s string) bool {
	letter := false
	for i := range len(s) {
		switch byteClass[s[i]] {
		case bAlpha:
			letter = true
		case bDigit, bDash:
		default:
			return false
		}
	}
	return letter
}

// latinBase is the ASCII letter of U+00C0 to U+017F, so that a rule need not
// know accents nor their encoding. '?' where there is none.
const latinBase = "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty" +
	"AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlLlLl" +
	"NnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs"

// appendFolded appends s as valid UTF-8 with Latin letters cut to ASCII. A
// byte that is no UTF-8 is read as Latin-1.
func appendFolded(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			dst = append(dst, s[i])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 {
			r, n = rune(s[i]), 1
		}
		switch {
		case 0xC0 <= r && r <= 0x17F:
			dst = append(dst, latinBase[r-0xC0])
		case r == 0x2018 || r == 0x2019 || r == 0x2BC:
			dst = append(dst, '\'')
		case r == 0x201C || r == 0x201D || r == 0xAB || r == 0xBB:
			dst = append(dst, '"')
		case 0x2010 <= r && r <= 0x2015:
			dst = append(dst, '-')
		case r < 0xA0:
			dst = append(dst, '?')
		case r == 0xA0 || r == 0x3000 || r == 0x202F:
			dst = append(dst, ' ')
		default:
			dst = utf8.AppendRune(dst, r)
		}
		i += n
	}
	return dst
}

// normalize appends to dst the form of a template in which literals are
// looked for: lower case, words apart by one space, with a space at both
// ends; placeholders, brackets, quotes and punctuation are gone, but an
// address outside brackets is the word ip. A dot stays
// between two characters of a word (5.7.28, spamhaus.org). Spellings that
// mean the same become one, see [mendWord].
func normalize(dst []byte, s []byte) []byte {
	dst = append(dst, ' ')
	word := len(dst) // where the current word begins
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch k := byteClass[c]; {
		case k&(bAlpha|bDigit|bHigh) != 0:
			dst = append(dst, lower(c))
			continue
		case c == '\'':
			if n := len(dst); n > word && dst[n-1] == 'n' && i+1 < len(s) && lower(s[i+1]) == 't' {
				if string(dst[word:]) == "can" {
					dst = append(dst, "no"...) // can't: cannot
				} else {
					if string(dst[word:]) == "won" {
						dst = append(dst[:word], "will "...)
					} else {
						dst = append(dst[:n-1], ' ')
					}
					dst, word = mendWord(dst, word)
					dst = append(dst, "no"...)
				}
			}
			continue
		case c == '.' && i+1 < len(s) && len(dst) > word && byteClass[s[i+1]]&(bAlpha|bDigit) != 0 && byteClass[s[i-1]]&(bAlpha|bDigit) != 0 &&
			!(isLower(s[i-1]) && isUpper(s[i+1])): // "an error.Please": a space is missing
			dst = append(dst, '.')
			continue
		case c == '{':
			n := placeholderLen(s[i:])
			if n > 0 && string(s[i:i+n]) == maskIP && (i == 0 || s[i-1] != '[' && s[i-1] != '(' && s[i-1] != '<') {
				// An address outside brackets is a part of the sentence.
				if len(dst) > word {
					dst, word = mendWord(append(dst, ' '), word)
				}
				if !bytes.HasSuffix(dst, []byte(" ip ")) && !bytes.HasSuffix(dst, []byte(" address ")) {
					dst = append(dst, "ip "...)
					word = len(dst)
				}
			}
			if n > 0 {
				i += n - 1
			}
		}
		if len(dst) > word {
			dst, word = mendWord(append(dst, ' '), word)
		}
	}
	if len(dst) > word {
		dst, _ = mendWord(append(dst, ' '), word)
	}
	return dst
}

// mendWord looks at the last word of dst, which begins at word and ends with
// a space, and brings it to the one spelling the rules use: articles are
// dropped, email and e mail are mail, was, are, has been and the like are is,
// can not is cannot, mail box and black list are one word, -is- in authorise
// and recognise is -iz-. It returns where the next word begins.
func mendWord(dst []byte, word int) ([]byte, int) {
	n := len(dst) - 1
	prev := func(p string) bool { // the word before is p
		k := word - 1 - len(p)
		return k >= 1 && dst[k-1] == ' ' && string(dst[k:word-1]) == p
	}
	switch n - word {
	case 1:
		if dst[word] == 'a' {
			return dst[:word], word
		}
	case 2:
		if dst[word] == 'a' && dst[word+1] == 'n' {
			return dst[:word], word
		}
	case 3:
		switch string(dst[word:n]) {
		case "the":
			return dst[:word], word
		case "was", "are":
			dst = append(dst[:word], "is "...)
		case "not":
			if prev("can") {
				dst = append(dst[:word-1], "not "...)
			}
		case "box":
			if prev("mail") {
				dst = append(dst[:word-1], "box "...)
			}
		}
	case 4:
		switch string(dst[word:n]) {
		case "were":
			dst = append(dst[:word], "is "...)
		case "been":
			if prev("has") {
				dst = append(dst[:word-4], "is "...)
			} else if prev("have") {
				dst = append(dst[:word-5], "is "...)
			}
		case "mail":
			if prev("e") {
				dst = append(dst[:word-2], "mail "...)
			}
		case "list":
			dst = joinList(dst, word, prev)
		}
	case 5:
		switch string(dst[word:n]) {
		case "email":
			dst = append(dst[:word], "mail "...)
		case "mails":
			if prev("e") {
				dst = append(dst[:word-2], "mails "...)
			}
		case "lists":
			dst = joinList(dst, word, prev)
		}
	case 6:
		switch string(dst[word:n]) {
		case "emails":
			dst = append(dst[:word], "mails "...)
		case "listed":
			dst = joinList(dst, word, prev)
		}
	default:
		if n-word >= 9 && (string(dst[word:word+8]) == "authoris" || string(dst[word:word+8]) == "recognis") {
			dst[word+7] = 'z'
		}
	}
	return dst, len(dst)
}

// joinList makes one word of "black list" and its kin.
func joinList(dst []byte, word int, prev func(string) bool) []byte {
	if word < 6 {
		return dst
	}
	switch dst[word-2] {
	case 'k', 'e', 'y', 'w':
	default:
		return dst
	}
	for _, p := range [...]string{"black", "white", "block", "grey", "gray", "deny", "allow"} {
		if prev(p) {
			return append(dst[:word-1], dst[word:]...)
		}
	}
	return dst
}

// placeholderLen is the length of the placeholder s begins with, or 0.
func placeholderLen(s []byte) int {
	for i := 1; i < len(s) && i < 8; i++ {
		if s[i] == '}' {
			switch string(s[:i+1]) {
			case maskEmail, maskIP, maskHost, maskURL, maskID, maskNum, maskTime, maskText:
				return i + 1
			}
			return 0
		}
	}
	return 0
}
