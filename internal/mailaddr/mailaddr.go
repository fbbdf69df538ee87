// Package mailaddr takes mail addresses apart: local part and domain, the
// IDNA forms of a domain, and what VERP, BATV and SRS do to senders. It never
// fails: what it does not know it leaves alone.
package mailaddr // import "github.com/otelcol-pmta/otelcol-pmta/internal/mailaddr"

import "strings"

// Split cuts addr at its last @. Without one, all of it is the local part.
func Split(addr string) (local, domain string) {
	// Two searches forward are quicker than one backward, which goes byte by
	// byte.
	i := strings.IndexByte(addr, '@')
	if i < 0 {
		return addr, ""
	}
	for {
		j := strings.IndexByte(addr[i+1:], '@')
		if j < 0 {
			return addr[:i], addr[i+1:]
		}
		i += 1 + j
	}
}

// Form is a way to encode one address in the local part of another.
type Form uint8

// The forms.
const (
	// Plain encodes nothing.
	Plain Form = iota
	// VERP is a sender with the recipient in it: prefix-user=domain@host or
	// prefix+user=domain@host. Source: D. J. Bernstein, "Variable Envelope
	// Return Paths", 1997.
	VERP
	// BATV is a signed sender: prvs=tag=local@host. Also taken as BATV are the
	// older prvs=local/tag and the private msprvs1=tag= and btv1==tag==.
	// Source: draft-levine-smtp-batv-01.
	BATV
	// SRS0 is a sender rewritten by a forwarder: SRS0=hash=time=domain=local.
	// Source: M. Wong, S. Gorman, "Sender Rewriting Scheme", 2003.
	SRS0
	// SRS1 is one rewritten by a second forwarder:
	// SRS1=hash=host==hash=time=domain=local.
	SRS1
)

// String returns "verp", "batv", "srs0", "srs1", or "" for Plain.
func (f Form) String() string { return [...]string{"", "verp", "batv", "srs0", "srs1"}[f] }

// Encoded is a local part, taken apart by [Decode]. All strings are pieces of
// the input, and local = Pre + Inner + Post.
type Encoded struct {
	Form Form
	Pre  string // before the inner local part
	// Inner is the local part in it: of the recipient for VERP, of the base
	// sender for all others.
	Inner string
	Post  string
	// Domain is the domain of the inner address; "" for BATV, whose domain is
	// that of the outer address.
	Domain string
	// Prefix is the sender's own part of a VERP address, without separator.
	Prefix string
}

// Decode takes the local part of a sender apart. rcpt is the recipient's
// address, or "": it says where in a VERP sender the recipient begins.
// Without it all behind the first + (or else -) counts as the recipient's, so
// that no part of a name is taken for the sender's.
func Decode(local, rcpt string) Encoded {
	if strings.IndexByte(local, '=') < 0 {
		return Encoded{Inner: local}
	}
	switch local[0] | 0x20 {
	case 'p', 'm', 'b':
		if e, ok := decodeBATV(local); ok {
			return e
		}
	case 's':
		if e, ok := decodeSRS(local); ok {
			return e
		}
	}
	if e, ok := decodeVERP(local, rcpt); ok {
		return e
	}
	return Encoded{Inner: local}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

// equalFold is strings.EqualFold; most of what is compared is equal.
func equalFold(a, b string) bool { return a == b || strings.EqualFold(a, b) }

func decodeBATV(local string) (Encoded, bool) {
	at := func(start, end int) (Encoded, bool) {
		if start >= end {
			return Encoded{}, false
		}
		return Encoded{Form: BATV, Pre: local[:start], Inner: local[start:end], Post: local[end:]}, true
	}
	switch {
	case hasPrefixFold(local, "prvs="):
		rest := local[5:]
		if i := strings.IndexByte(rest, '='); i > 0 && isTag(rest[:i]) {
			return at(5+i+1, len(local))
		}
		if i := strings.LastIndexByte(rest, '/'); i > 0 && isTag(rest[i+1:]) {
			return at(5, 5+i)
		}
	case hasPrefixFold(local, "msprvs1="):
		if i := strings.IndexByte(local[8:], '='); i > 0 && isTag(local[8:8+i]) {
			return at(8+i+1, len(local))
		}
	case hasPrefixFold(local, "btv1=="):
		if i := strings.Index(local[6:], "=="); i > 0 && isTag(local[6:6+i]) {
			return at(6+i+2, len(local))
		}
	}
	return Encoded{}, false
}

// isTag tells whether s may be the tag of a BATV address: the draft has ten
// digits, others use a few more letters and digits.
func isTag(s string) bool {
	if len(s) < 6 || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// isSRSSep is true for the separators that may follow SRS0 and SRS1. Inside,
// the separator is always =.
func isSRSSep(c byte) bool { return c == '=' || c == '+' || c == '-' }

func decodeSRS(local string) (Encoded, bool) {
	if len(local) < 6 || !isSRSSep(local[4]) {
		return Encoded{}, false
	}
	form, at := SRS0, 5
	switch {
	case hasPrefixFold(local, "SRS0"):
	case hasPrefixFold(local, "SRS1"):
		form = SRS1
		// hash=host= and then what the first forwarder wrote behind "SRS0",
		// its separator included.
		i := strings.IndexByte(local[at:], '=')
		if i <= 0 {
			return Encoded{}, false
		}
		at += i + 1
		if i = strings.IndexByte(local[at:], '='); i <= 0 || !isDomain(local[at:at+i]) {
			return Encoded{}, false
		}
		at += i + 1
		if at >= len(local) || !isSRSSep(local[at]) {
			return Encoded{}, false
		}
		at++
	default:
		return Encoded{}, false
	}
	for range 2 { // hash, time
		i := strings.IndexByte(local[at:], '=')
		if i <= 0 {
			return Encoded{}, false
		}
		at += i + 1
	}
	i := strings.IndexByte(local[at:], '=')
	if i <= 0 || !isDomain(local[at:at+i]) || at+i+1 >= len(local) {
		return Encoded{}, false
	}
	inner := at + i + 1
	return Encoded{Form: form, Pre: local[:inner], Inner: local[inner:], Domain: local[at : at+i]}, true
}

func decodeVERP(local, rcpt string) (Encoded, bool) {
	if rl, rd := Split(rcpt); rd != "" && rl != "" {
		// local = prefix sep rl = rd
		eq := len(local) - len(rd) - 1
		if start := eq - len(rl); start >= 0 && local[eq] == '=' &&
			equalFold(local[eq+1:], rd) && equalFold(local[start:eq], rl) &&
			(start == 0 || !isAlnum(local[start-1])) {
			return verpAt(local, start, eq, len(local)), true
		}
		if len(local) <= maxSearch {
			if e, ok := searchVERP(local, rl, strings.TrimSuffix(rd, ".")); ok {
				return e, true
			}
		}
	}
	eq := strings.LastIndexByte(local, '=')
	if eq <= 0 || !isDomain(local[eq+1:]) {
		return Encoded{}, false
	}
	start := strings.IndexByte(local[:eq], '+')
	if start < 0 {
		start = strings.IndexByte(local[:eq], '-')
	}
	if start+1 >= eq {
		return Encoded{}, false
	}
	return verpAt(local, start+1, eq, len(local)), true
}

// maxSearch bounds the work for a sender that is none: SMTP allows 64 bytes.
const maxSearch = 1024

// searchVERP finds the recipient rl@rd in a sender who has more behind it, or
// has it in code.
func searchVERP(local, rl, rd string) (Encoded, bool) {
	for from := 0; ; {
		eq := strings.IndexByte(local[from:], '=')
		if eq < 0 {
			return Encoded{}, false
		}
		eq += from
		from = eq + 1
		end := from + len(rd)
		if end > len(local) || !equalFold(local[from:end], rd) || end < len(local) && !isBreak(local[end:]) {
			continue
		}
		if start := EncodedSuffix(local[:eq], rl); start == 0 || start > 0 && !isAlnum(local[start-1]) {
			return verpAt(local, start, eq, end), true
		}
	}
}

func verpAt(local string, start, eq, end int) Encoded {
	prefix := strings.TrimPrefix(local[:start], `"`)
	for prefix != "" && strings.IndexByte("-+=_.", prefix[len(prefix)-1]) >= 0 {
		prefix = prefix[:len(prefix)-1]
	}
	return Encoded{Form: VERP, Pre: local[:start], Inner: local[start:eq], Post: local[eq:], Domain: local[eq+1 : end], Prefix: prefix}
}

// isBreak tells whether a domain is at its end where s begins: what follows
// does not go on with the name.
func isBreak(s string) bool {
	if s[0] == '.' {
		return len(s) == 1 || !isAlnum(s[1])
	}
	return !isAlnum(s[0]) && s[0] < 0x80
}

// EncodedSuffix returns where in s its ending begins that is text, letters in
// either case and any byte perhaps written as +XX, =XX or %XX; -1 when s does
// not end so. Sources: RFC 3461, section 4 (xtext, which VERP uses too); RFC
// 2045, section 6.7; RFC 3986, section 2.1.
func EncodedSuffix(s, text string) int {
	if n := len(s) - len(text); n >= 0 && equalFold(s[n:], text) {
		return n
	}
	at := len(s)
	for i := len(text) - 1; i >= 0; i-- {
		switch c := text[i]; {
		case at >= 3 && strings.IndexByte("+=%", s[at-3]) >= 0 && unhex(s[at-2])<<4|unhex(s[at-1]) == int(c):
			at -= 3
		case at >= 1 && lower(s[at-1]) == lower(c):
			at--
		default:
			return -1
		}
	}
	return at
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// unhex returns the value of a hexadecimal digit, or one that no byte has.
func unhex(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 1 << 16
}

// isDomain tells whether s looks like a domain name: at least one dot between
// labels of letters, digits, hyphens, underscores or bytes beyond ASCII.
func isDomain(s string) bool {
	dot, prev := false, byte('.')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.':
			if prev == '.' {
				return false
			}
			dot = true
		case !isAlnum(c) && c != '-' && c != '_' && c < 0x80:
			return false
		}
		prev = c
	}
	return dot && prev != '.'
}

// Sender is what [Resolve] found in a sender.
type Sender struct {
	// Forms lists what was taken off, from the outside in; Plain ends it.
	Forms [4]Form
	// Local and Domain are the base address; Domain is in lower case only if
	// it was. Local is "" when a VERP sender has no part of its own.
	Local, Domain string
}

// Plain reports whether there was nothing to take off.
func (s *Sender) Plain() bool { return s.Forms[0] == Plain }

// Resolve takes off the forms of a sender one by one. rcpt is as for [Decode].
// A VERP form is the innermost: what is in it is the recipient.
func Resolve(sender, rcpt string) (s Sender) {
	s.Local, s.Domain = Split(sender)
	for i := range s.Forms {
		if strings.IndexByte(s.Local, '=') < 0 {
			return s
		}
		e := Decode(s.Local, rcpt)
		switch e.Form {
		case Plain:
			return s
		case VERP:
			s.Forms[i], s.Local = VERP, e.Prefix
			return s
		case BATV:
			s.Forms[i], s.Local = BATV, e.Inner
		default:
			s.Forms[i], s.Local, s.Domain = e.Form, e.Inner, e.Domain
		}
	}
	return s
}
