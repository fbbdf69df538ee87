package privacy

import (
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
	if strings.IndexByte(s, '@') < 0 && indexEncodedAt(s) < 0 && !r.mayHold(s) {
		return s
	}
	out, done := r.out[:0], 0 // s[:done] is in out
	for i := 0; i < len(s); i++ {
		width := atWidth(s[i:])
		if width == 0 {
			continue
		}
		start := i
		if i > done && s[i-1] == '"' {
			// A quoted local part (RFC 5321): back to the other quote.
			if q := strings.LastIndexByte(s[done:i-1], '"'); q >= 0 && !strings.Contains(s[done+q:i], "\n") {
				start = done + q
			}
		}
		if start == i {
			for start > done && isAtext(s[start-1]) {
				start--
			}
		}
		end := domainEnd(s, i+width)
		// a@b@c: all before the last one is local part.
		for w := atWidth(s[end:]); w > 0 && end > i+width; w = atWidth(s[end:]) {
			next := domainEnd(s, end+w)
			if next == end+w {
				break
			}
			i, width, end = end, w, next
		}
		if start == i || end == i+width {
			continue
		}
		if width == 3 {
			// In a URL: what is before is not part of the address.
			if j := strings.LastIndexAny(s[start:i], "/?=&"); j >= 0 {
				start += j + 1
			}
			if start == i {
				continue
			}
		}
		out = r.words(out, s[done:start])
		out = r.token(out, s[start:i])
		out = append(out, s[i:end]...)
		done, i = end, end-1
	}
	out = r.words(out, s[done:])
	r.out = out[:0]
	if string(out) == s {
		return s
	}
	return string(out)
}

// token appends what stands for the local part of an address found in text.
// Where its shape leaves a doubt, all of it is replaced.
func (r *Redactor) token(dst []byte, local string) []byte {
	if n := len(r.rcptLocal); n > 0 && n < len(local) && strings.EqualFold(local[len(local)-n:], r.rcptLocal) && strings.IndexByte("=/?&", local[len(local)-n-1]) >= 0 {
		// to=user@domain: the name in front is not part of the address.
		return append(append(dst, local[:len(local)-n]...), r.hash(r.rcptLocal)...)
	}
	e := mailaddr.Decode(local, r.rcpt)
	if e.Form != mailaddr.Plain && e.Form != mailaddr.VERP || e.Form == mailaddr.VERP && strings.EqualFold(e.Inner, r.rcptLocal) && strings.EqualFold(e.Domain, r.rcptDomain) {
		if s, ok := r.encoded(local, 0); ok {
			return append(dst, s...)
		}
	}
	return append(dst, r.hash(local)...)
}

// minWord is the shortest local part that is looked for without its domain:
// shorter ones are words of the reply more often than they are names.
const minWord = 3

func (r *Redactor) mayHold(s string) bool {
	return len(r.rcptLocal) >= minWord && indexFold(s, r.rcptLocal) >= 0
}

// words appends s with the recipient's local part replaced where it is a word
// of its own.
func (r *Redactor) words(dst []byte, s string) []byte {
	if len(r.rcptLocal) < minWord || len(s) < len(r.rcptLocal) || r.replaced(r.rcptLocal) {
		return append(dst, s...)
	}
	for {
		at := 0
		for {
			i := indexFold(s[at:], r.rcptLocal)
			if i < 0 {
				return append(dst, s...)
			}
			at += i
			end := at + len(r.rcptLocal)
			if (at == 0 || !isWord(s[at-1])) && (end == len(s) || !isWord(s[end])) {
				break
			}
			at++
		}
		dst = append(append(dst, s[:at]...), r.hash(r.rcptLocal)...)
		s = s[at+len(r.rcptLocal):]
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

// atWidth returns the length of the @ that s begins with, 3 if it is encoded
// as in URLs, 0 if there is none.
func atWidth(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == '@':
		return 1
	case len(s) >= 3 && s[0] == '%' && s[1] == '4' && s[2] == '0':
		return 3
	}
	return 0
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

func indexEncodedAt(s string) int { return strings.Index(s, "%40") }
