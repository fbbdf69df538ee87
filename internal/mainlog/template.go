package mainlog

import (
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Placeholders of a template.
const (
	maskText  = "{text}" // in quotes
	maskEmail = "{email}"
	maskURL   = "{url}"
	maskIP    = "{ip}"
	maskPath  = "{path}"
	maskQueue = "{queue}"
	maskHost  = "{host}"
	maskTime  = "{ts}"
	maskID    = "{id}"
	maskNum   = "{n}"
)

const (
	maxTemplateIn  = 512 // bytes of a text that are looked at
	maxTemplateOut = 640
)

var separator = func() (t [256]bool) {
	for _, c := range []byte(" \t\r\n()[]{}<>\",;|=`") {
		t[c] = true
	}
	for c := range 0x20 {
		t[c] = true
	}
	return t
}()

// mask appends to dst what a text has in common with others: numbers,
// addresses, hosts, paths and what stands in quotes become placeholders. For a
// sample only mail addresses, IP addresses, URLs and what stands in quotes do.
func mask(dst []byte, s string, sample bool) []byte {
	s, _, _ = strings.Cut(s, "\n")
	s = cut(s, maxTemplateIn)
	base := len(dst)
	for i := 0; i < len(s) && len(dst)-base < maxTemplateOut; {
		c := s[i]
		switch {
		case c == '"' || c == '\'' && (i == 0 || separator[s[i-1]]):
			if j := strings.IndexByte(s[i+1:], c); j > 0 {
				dst = append(append(append(dst, c), maskText...), c)
				i += j + 2
				continue
			}
			dst = append(dst, c)
			i++
			continue
		case c == ' ' || c < 0x20:
			if n := len(dst); n > base && dst[n-1] != ' ' {
				dst = append(dst, ' ')
			}
			i++
			continue
		case separator[c]:
			dst = append(dst, c)
			i++
			continue
		}
		start := i
		plain := true
		for i < len(s) && !separator[s[i]] {
			if !isLetter(s[i]) {
				plain = false
			}
			i++
		}
		if !plain && strings.Contains(s[start:i], "://") {
			for i < len(s) && s[i] > ' ' && strings.IndexByte(`"<>`, s[i]) < 0 {
				i++
			}
		}
		tok := s[start:i]
		if plain && len(tok) < 32 {
			dst = append(dst, tok...)
			continue
		}
		e := len(tok)
		for e > 0 && (tok[e-1] == '.' || tok[e-1] == ':' || tok[e-1] == '!' || tok[e-1] == '?') && (tok[e-1] != ':' || e < 2 || tok[e-2] != ':') {
			e--
		}
		dst = token(dst, tok[:e], sample)
		dst = append(dst, tok[e:]...)
	}
	for n := len(dst); n > base && dst[n-1] == ' '; n-- {
		dst = dst[:n-1]
	}
	return dst
}

// token appends what stands for a word with something in it that is no letter.
func token(dst []byte, t string, sample bool) []byte {
	if t == "" {
		return dst
	}
	var letters, digits, dots, colons, slashes, other int
	for i := 0; i < len(t); i++ {
		switch c := t[i]; {
		case isLetter(c):
			letters++
		case isDigit(c):
			digits++
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c == '/' || c == '\\':
			slashes++
		case c == '@':
			return append(dst, maskEmail...)
		default:
			other++
		}
	}
	if slashes > 1 && strings.Contains(t, "://") {
		return append(dst, maskURL...)
	}
	if digits > 0 && (dots >= 3 || colons >= 2) || colons >= 2 {
		if ip, _ := address(t); ip != "" && !(colons == 2 && letters == 0 && dots == 0) {
			return append(dst, maskIP...)
		}
		if i := strings.IndexByte(t, '/'); i > 0 {
			if acct.BareIP(t[:i]) != "" {
				return append(append(dst, maskIP...), maskRest(t[i:])...)
			}
		}
	}
	if sample {
		return append(dst, t...)
	}
	switch {
	case letters == 0 && digits > 0 && (colons > 0 && dots+slashes == 0 || other == 2 && digits == 8 && dots+slashes == 0):
		return append(dst, maskTime...)
	case letters == 0 && digits > 0:
		return append(dst, maskNum...)
	case slashes > 0 && (t[0] == '/' && len(t) > 1 || len(t) > 2 && t[1] == ':' && t[2] == '\\'):
		return append(dst, maskPath...)
	case slashes == 1 && hostLike(t[:strings.IndexAny(t, `/\`)]):
		return append(dst, maskQueue...)
	case slashes > 0:
		for _, part := range strings.SplitAfter(t, "/") {
			p := strings.TrimSuffix(part, "/")
			dst = append(word(dst, p), part[len(p):]...)
		}
		return dst
	case colons == 1:
		i := strings.IndexByte(t, ':')
		return token(append(token(dst, t[:i], false), ':'), t[i+1:], false)
	case dots > 0 && hostLike(t):
		return append(dst, maskHost...)
	}
	return word(dst, t)
}

// maskRest stands for the prefix length behind an address.
func maskRest(s string) string {
	if len(s) > 1 && isDigit(s[1]) {
		return "/" + maskNum
	}
	return s
}

// word appends a word of letters, digits and other characters.
func word(dst []byte, t string) []byte {
	digits := 0
	for i := 0; i < len(t); i++ {
		if isDigit(t[i]) {
			digits++
		}
	}
	switch {
	case digits == 0 && len(t) < 48:
		return append(dst, t...)
	case digits == 0, digits >= 3 && digits < len(t), digits > 0 && len(t) >= 10:
		return append(dst, maskID...)
	}
	for i := 0; i < len(t); {
		if !isDigit(t[i]) {
			dst = append(dst, t[i])
			i++
			continue
		}
		for i < len(t) && (isDigit(t[i]) || t[i] == '.' && i+1 < len(t) && isDigit(t[i+1])) {
			i++
		}
		dst = append(dst, maskNum...)
	}
	return dst
}

// hostLike reports whether t looks like a host name: labels of letters, digits,
// - and _, the last one of two letters or more.
func hostLike(t string) bool {
	dot := -1
	for i := 0; i < len(t); i++ {
		switch c := t[i]; {
		case c == '.':
			if i == dot+1 {
				return false
			}
			dot = i
		case isLetter(c), isDigit(c), c == '-', c == '_', c >= 0x80:
		default:
			return false
		}
	}
	if dot <= 0 || len(t)-dot < 3 {
		return false
	}
	last := t[dot+1:]
	if strings.HasPrefix(last, "xn--") {
		return true
	}
	for i := 0; i < len(last); i++ {
		if !isLetter(last[i]) && last[i] < 0x80 {
			return false
		}
	}
	// A missing space behind a full stop makes no host.
	return !(t[dot-1] >= 'a' && t[dot-1] <= 'z' && last[0] >= 'A' && last[0] <= 'Z')
}
