package privacy

import (
	"encoding/base64"
	"encoding/hex"
	"mime"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/mailaddr"
)

// Text returns s with every mail address in it pseudonymised, and every
// occurrence of the recipient's local part as a word of its own when it has
// three bytes or more. s itself is returned when nothing was found.
func (r *Redactor) Text(s string) string {
	if s == "" || r.p.opts.Mode == Keep {
		return s
	}
	if strings.Contains(s, "=?") {
		s = r.encodedWords(s)
	}
	return r.replaceIn(s)
}

// replaceIn is Text for what is no encoded word.
func (r *Redactor) replaceIn(s string) string {
	if strings.IndexByte(s, '@') < 0 && !mayEncodeAt(s) && !r.mayHold(s) {
		return s
	}
	out, done := r.out[:0], 0 // s[:done] is in out
	looked, run := 0, 0       // what is before looked begins, as one word, at run
	for i := 0; i < len(s); i++ {
		if !beginsAt[s[i]] {
			continue
		}
		width := atWidth(s, i)
		if width == 0 {
			continue
		}
		end := domainEnd(s, i+width)
		if end == i+width {
			continue
		}
		start := i
		if i > done && s[i-1] == '"' {
			// A quoted local part (RFC 5321): back to the other quote.
			if q := quotedFrom(s, done, i-1); q >= 0 {
				start = q
			}
		}
		if end < len(s) && s[end] == '"' && start == i {
			// The same with an @ in it.
			if w := atWidth(s, end+1); w > 0 {
				if next := domainEnd(s, end+1+w); next > end+1+w {
					if q := quotedFrom(s, done, end); q >= 0 {
						start, i, width, end = q, end+1, w, next
					}
				}
			}
		}
		if start == i {
			for start > looked && isAtext(s[start-1]) {
				start--
			}
			if start == looked {
				start = run
			}
			looked, run = i, start
			start = max(start, done)
		}
		// a@b@c: all before the last one is local part.
		for w := atWidth(s, end); w > 0 && end > i+width; w = atWidth(s, end) {
			next := domainEnd(s, end+w)
			if next == end+w {
				break
			}
			i, width, end = end, w, next
		}
		if start == i {
			continue
		}
		if s[start] != '"' && (width > 1 || isURL(s[start:i])) {
			// In a URL: what is before is not part of the address.
			at := start
			if j := strings.LastIndexAny(s[at:i], "/?&"); j >= 0 {
				at += j + 1
				if j = strings.IndexByte(s[at:i], '='); j >= 0 {
					at += j + 1
				}
			}
			if at < i {
				start = at
			} else if width > 1 {
				continue
			}
		}
		out = r.words(out, s[done:start], r.needles)
		escape := byte(0)
		if width > 1 {
			escape = s[i]
		}
		out = r.token(out, s[start:i], start > 0 && s[start-1] == '\\', escape)
		out = append(out, s[i:end]...)
		done, i = end, end-1
	}
	out = r.words(out, s[done:], r.needles)
	r.out = out[:0]
	if string(out) == s {
		return s
	}
	return string(out)
}

// wordDecoder decodes the words of header fields.
var wordDecoder mime.WordDecoder

// maxWord bounds an encoded word; RFC 2047 allows 75 bytes, some write more.
const maxWord = 1024

// encodedWords replaces in s what stands in encoded words (RFC 2047): many
// programs write an address as its own display name, and encode that. Words
// that hold nothing, or in a charset that is not known, stay as they are.
func (r *Redactor) encodedWords(s string) string {
	var b strings.Builder
	done := 0
	for from := 0; ; {
		start := strings.Index(s[from:], "=?")
		if start < 0 {
			break
		}
		start += from
		from = start + 2
		// =?charset?B?text?=
		word := s[start:min(len(s), start+maxWord)]
		end := 2
		for range 2 {
			if i := strings.IndexByte(word[end:], '?'); i >= 0 {
				end += i + 1
			}
		}
		i := strings.Index(word[end:], "?=")
		if i < 0 {
			continue
		}
		end += start + i + 2
		text, err := wordDecoder.Decode(s[start:end])
		if err != nil {
			continue
		}
		from = end
		if now := r.replaceIn(text); now != text {
			b.WriteString(s[done:start])
			b.WriteString("=?utf-8?B?")
			b.WriteString(base64.StdEncoding.EncodeToString([]byte(now)))
			b.WriteString("?=")
			done = end
		}
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// Template is Text for what is made of a text to tell kinds of it apart, so
// must not have a pseudonym in it: {user} is there instead.
func (r *Redactor) Template(s string) string {
	r.template = true
	s = r.Text(s)
	r.template = false
	return s
}

// templateUser stands for a local part in templates.
const templateUser = "{user}"

// isURL tells whether what is before an @ is the end of a URL, or of its path,
// rather than a local part, which may hold slashes: /S=Lee/G=Ann/.
func isURL(s string) bool {
	if strings.IndexByte(s, '?') >= 0 {
		return true
	}
	slash := strings.IndexByte(s, '/')
	return slash >= 0 && (strings.Contains(s[slash:], "//") || slash == 0 && strings.IndexByte(s, '=') < 0)
}

// maxLocal bounds the work for what is no local part: SMTP allows 64 bytes, in
// quotes twice that.
const maxLocal = 1024

// quotedFrom returns where, after done, the quoted string begins that ends with
// the quote at end; -1 when there is none.
func quotedFrom(s string, done, end int) int {
	from := max(done, end-maxLocal)
	q := openingQuote(s[from:end])
	if q < 0 || strings.Contains(s[from+q:end], "\n") {
		return -1
	}
	return from + q
}

// openingQuote returns where the quoted string begins that s is all but the
// closing quote of, -1 when it has no beginning.
func openingQuote(s string) int {
	for q := strings.LastIndexByte(s, '"'); q >= 0; q = strings.LastIndexByte(s[:q], '"') {
		n := q
		for n > 0 && s[n-1] == '\\' {
			n--
		}
		if (q-n)%2 == 0 {
			return q
		}
	}
	return -1
}

// token appends what stands for the local part of an address found in text.
// Where its shape leaves a doubt, all of it is replaced. backslash says that
// one is before it, escape is the first byte of an encoded @.
func (r *Redactor) token(dst []byte, local string, backslash bool, escape byte) []byte {
	if r.replaced(local) || r.template && local == templateUser {
		r.hash(local) // to be counted
		return append(dst, local...)
	}
	left := leftOf(local, backslash)
	if r.rcptLocal != "" {
		// The recipient, perhaps in code; before it stands what is not part of
		// the address: to=user@domain.
		n := mailaddr.EncodedSuffix(local, r.rcptLocal)
		if n == 0 || n > 0 && (left >= n || strings.IndexByte("=/?&", local[n-1]) >= 0 || n >= 3 && isQuoteCode(local[n-3:])) {
			return append(append(dst, local[:n]...), r.hash(r.rcptLocal)...)
		}
	}
	if left < len(local) {
		dst, local = append(dst, local[:left]...), local[left:]
	}
	if s, ok := r.encoded(local, 0, true); ok {
		return append(dst, s...)
	}
	if escape != 0 {
		local = unescape(local, escape)
	}
	return append(dst, r.hash(local)...)
}

// leftOf returns how many bytes at the beginning of s quote what follows, as
// they are or in code; a local part does not begin so.
func leftOf(s string, backslash bool) (n int) {
	if backslash {
		for _, e := range [...]string{"u003c", "u0022", "u0027", "x3c", "x22", "x27"} {
			if len(s) > len(e) && strings.EqualFold(s[:len(e)], e) {
				n = len(e)
				break
			}
		}
		if n == 0 && len(s) > 1 && (s[0] == 'n' || s[0] == 'r' || s[0] == 't') {
			n = 1
		}
	}
	for n < len(s) {
		switch c := s[n]; {
		case strings.IndexByte("'`{|*", c) >= 0:
			n++
		case len(s)-n >= 3 && isQuoteCode(s[n:]):
			n += 3
		default:
			return n
		}
	}
	return n
}

// isQuoteCode tells whether s begins with a blank, a quote or < in code.
func isQuoteCode(s string) bool {
	return (s[0] == '%' || s[0] == '=') && (s[1] == '2' && (s[2] == '0' || s[2] == '2' || s[2] == '7') || s[1] == '3' && s[2]|0x20 == 'c')
}

// unescape decodes the XX behind escape: % of URLs, = of quoted-printable, + of
// xtext.
func unescape(s string, escape byte) string {
	if strings.IndexByte(s, escape) < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == escape && i+2 < len(s) {
			if v, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b = append(b, v[0])
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// minWord is the shortest local part that is looked for without its domain:
// shorter ones are words of the reply more often than they are names.
const minWord = 3

// needle is a text that stands for the recipient without an @ behind it, and
// the local part that it means.
type needle struct{ text, local string }

// setNeedles finds out what the recipient may be called in text.
func (r *Redactor) setNeedles() {
	r.needles = r.needles[:0]
	l := r.rcptLocal
	n := len(l)
	if n < minWord || n > maxLocal || r.replaced(l) {
		return
	}
	r.needles = append(r.needles, needle{l, l})
	if l[0] == '"' && l[n-1] == '"' && n-2 >= minWord {
		r.needles = append(r.needles, needle{l[1 : n-1], l})
	} else if i := strings.IndexByte(l, '+'); i >= minWord {
		r.needles = append(r.needles, needle{l[:i], l[:i]}) // without its tag
	}
}

// Also makes the local part of another recipient of the record in hand one that
// is replaced where it is a word of its own, as that of [Redactor.Begin] is.
func (r *Redactor) Also(rcpt string) {
	local, _ := mailaddr.Split(strings.Trim(rcpt, "<> "))
	if len(local) < minWord || len(local) > maxLocal || len(r.needles) >= maxNeedles || r.replaced(local) {
		return
	}
	for _, n := range r.needles {
		if n.text == local {
			return
		}
	}
	r.needles = append(r.needles, needle{local, local})
}

// maxNeedles bounds what is looked for in each text.
const maxNeedles = 32

func (r *Redactor) mayHold(s string) bool {
	for i := range r.needles {
		if indexFold(s, r.needles[i].text) >= 0 {
			return true
		}
	}
	return false
}

// words appends s with the needles replaced where they are words of their own.
func (r *Redactor) words(dst []byte, s string, needles []needle) []byte {
	if len(needles) == 0 {
		return append(dst, s...)
	}
	n := &needles[0]
	for {
		at := 0
		for {
			i := indexFold(s[at:], n.text)
			if i < 0 {
				return r.words(dst, s, needles[1:])
			}
			at += i
			end := at + len(n.text)
			if (at == 0 || !isWord(s[at-1])) && (end == len(s) || !isWord(s[end])) {
				break
			}
			at++
		}
		dst = r.words(dst, s[:at], needles[1:])
		dst = append(dst, r.hash(n.local)...)
		s = s[at+len(n.text):]
	}
}

// indexFold is strings.Index, ASCII letters being equal in either case. No
// allocation.
func indexFold(s, sub string) int {
	c := sub[0]
	l, u := c, c
	if c|0x20 >= 'a' && c|0x20 <= 'z' {
		l, u = c|0x20, c&^0x20
	}
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i] != l && s[i] != u {
			continue
		}
		j := 1
		for j < len(sub) && lower(s[i+j]) == lower(sub[j]) {
			j++
		}
		if j == len(sub) {
			return i
		}
	}
	return -1
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c + 'a' - 'A'
	}
	return c
}

func isWord(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

// isAtext is true for what a local part may hold without quotes (RFC 5321,
// RFC 6531).
func isAtext(c byte) bool {
	return isWord(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func isDomainByte(c byte) bool { return isWord(c) || c == '.' || c == '-' || c == '_' }

// atWidth returns the length of the @ that is at i, more than 1 if it is
// encoded, 0 if there is none: %40 and %2540 as in URLs, +40 of xtext, =40 of
// quoted-printable, &#64; of HTML. What more often is something else counts
// only before a domain name.
func atWidth(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch s[i] {
	case '@':
		return 1
	case '%':
		if strings.HasPrefix(s[i+1:], "40") {
			return 3
		}
		if strings.HasPrefix(s[i+1:], "2540") {
			return 5
		}
	case '+', '=':
		if strings.HasPrefix(s[i+1:], "40") && isName(s, i+3) {
			return 3
		}
	case '&':
		for _, e := range [...]string{"&#64;", "&#x40;", "&commat;"} {
			if len(s)-i > len(e) && strings.EqualFold(s[i:i+len(e)], e) {
				return len(e)
			}
		}
	}
	return 0
}

// beginsAt is true for the bytes that an @ may begin with, see atWidth.
var beginsAt = [256]bool{'@': true, '%': true, '+': true, '=': true, '&': true}

// mayEncodeAt tells of texts in which atWidth may find an encoded @.
func mayEncodeAt(s string) bool {
	return strings.Contains(s, "40") || strings.IndexByte(s, '&') >= 0
}

// isName tells whether a domain name is at i: two labels or more, the last one
// of letters.
func isName(s string, i int) bool {
	name := strings.TrimRight(s[i:domainEnd(s, i)], ".-_")
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || len(name)-dot < 3 {
		return false
	}
	for _, c := range []byte(name[dot+1:]) {
		if c-'0' <= 9 || c == '-' || c == '_' {
			return strings.HasPrefix(name[dot+1:], "xn--")
		}
	}
	return true
}

// domainEnd returns where the domain or address literal that begins at i ends.
func domainEnd(s string, i int) int {
	if i < len(s) && s[i] == '[' {
		// No further than an IP address goes: behind a bracket that does not end
		// another mail address may stand.
		j := i + 1
		for j < len(s) && (isDomainByte(s[j]) || s[j] == ':') {
			j++
		}
		if j < len(s) && s[j] == ']' {
			return j + 1
		}
	}
	for i < len(s) && isDomainByte(s[i]) {
		i++
	}
	return i
}
