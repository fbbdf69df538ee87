package smtpreply

import "strconv"

// Enhanced is an enhanced status code (RFC 3463) such as 5.1.1. The zero
// value stands for none.
type Enhanced struct {
	Class   uint8  // 2, 4 or 5
	Subject uint16 // 0 to 999
	Detail  uint16 // 0 to 999
}

// IsZero reports whether there is no code.
func (e Enhanced) IsZero() bool { return e == Enhanced{} }

// String returns the code as written in a reply, "" for none.
func (e Enhanced) String() string {
	if e.IsZero() {
		return ""
	}
	return string(e.append(nil))
}

func (e Enhanced) append(b []byte) []byte {
	b = append(b, '0'+e.Class, '.')
	b = strconv.AppendUint(b, uint64(e.Subject), 10)
	b = append(b, '.')
	return strconv.AppendUint(b, uint64(e.Detail), 10)
}

// vague says that the code means nothing of its own: x.0.0 is also what PMTA
// writes when the server gave no code.
func (e Enhanced) vague() bool { return e.Subject == 0 && e.Detail == 0 }

// origin is who speaks.
type origin uint8

const (
	originReply       origin = iota // the remote server
	originLocal                     // PMTA itself: x-pmta;...
	originBounceQueue               // PMTA bounced its queue because of the reply given
)

// parsed is the outcome of the first step. text shares memory with the input.
type parsed struct {
	code   uint16 // reply code, 0 for none
	enh    Enhanced
	text   string // what follows the codes, not bounded
	origin origin
	// expired: PMTA's own status says that the message timed out; the
	// reply is then the last deferral.
	expired bool
	multi   bool // the first line says that more follow: "550-"
}

// repeats reports whether s begins with the reply code and, when there is
// one, the enhanced code of p: the prefix of the last of several lines.
func (p *parsed) repeats(s string) bool {
	code, rest, ok := cutCode(s)
	if !ok || code != p.code || rest == "" {
		return false
	}
	if p.enh.IsZero() {
		return p.multi
	}
	return p.multi || p.enhLen(rest[1:]) > 0
}

// enhLen is the length of p's enhanced code at the front of s, 0 when it is
// not there.
func (p *parsed) enhLen(s string) int {
	e, rest, ok := cutEnhanced(s, 0)
	if !ok || e != p.enh {
		return 0
	}
	return len(s) - len(rest)
}

// class is the reply class: 2, 4, 5, or 0 when nothing says.
func (p *parsed) class() uint8 {
	if p.code != 0 {
		return uint8(p.code / 100)
	}
	return p.enh.Class
}

// permanent reports whether everything that was said is permanent. A reply
// that contradicts itself (550 4.2.1) is not.
func (p *parsed) permanent() bool {
	return p.class() == 5 && p.enh.Class != 4
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isAlnum(b byte) bool {
	return isDigit(b) || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isSpace reports what separates words: control characters too, which templates
// have a space for. What the codes are must not depend on what templates do not
// show, since verdicts are kept by template.
func isSpace(b byte) bool { return b <= ' ' || b == 0x7f }

func skipSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

// cutCode takes a reply code off the front of s: three digits, the first 2
// to 5, that no further digit, letter or dot follows.
func cutCode(s string) (code uint16, rest string, ok bool) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || s[1] > '9' || s[1] < '0' || !isDigit(s[2]) {
		return 0, s, false
	}
	if len(s) > 3 && (isAlnum(s[3]) || s[3] == '.') {
		return 0, s, false
	}
	return uint16(s[0]-'0')*100 + uint16(s[1]-'0')*10 + uint16(s[2]-'0'), s[3:], true
}

// cutNumber takes up to three digits off the front of s.
func cutNumber(s string) (n uint16, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 3 && isDigit(s[i]) {
		n = n*10 + uint16(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0
}

// cutEnhanced takes an enhanced status code off the front of s, which must
// end there: 10.5.1.20, 5.7.1.2 and 5.1.1a are none. class, when not 0,
// replaces a class digit that does not exist (7.7.1).
func cutEnhanced(s string, class uint8) (e Enhanced, rest string, ok bool) {
	if len(s) < 5 || !isDigit(s[0]) || s[1] != '.' {
		return e, s, false
	}
	e.Class = s[0] - '0'
	subject, r, ok1 := cutNumber(s[2:])
	if !ok1 || r == "" || r[0] != '.' {
		return Enhanced{}, s, false
	}
	detail, r, ok2 := cutNumber(r[1:])
	if !ok2 || r != "" && (isAlnum(r[0]) || r[0] == '.' && len(r) > 1 && isAlnum(r[1])) {
		return Enhanced{}, s, false
	}
	if e.Class != 2 && e.Class != 4 && e.Class != 5 {
		if class == 0 {
			return Enhanced{}, s, false
		}
		e.Class = class
	}
	e.Subject, e.Detail = subject, detail
	return e, r, true
}

// cutDiagType takes a diagnostic type off the front of s: "smtp;",
// "x-pmta;", "X-Postfix;" (RFC 3464, section 2.3.6).
func cutDiagType(s string) (kind, rest string) {
	for i := 0; i < len(s) && i < 24; i++ {
		switch c := s[i]; {
		case c == ';' && i > 0:
			return s[:i], s[i+1:]
		case i == 0 && isDigit(c), c != '-' && c != '_' && !isAlnum(c):
			return "", s
		}
	}
	return "", s
}

func equalFold(s, lowerCase string) bool {
	if len(s) != len(lowerCase) {
		return false
	}
	for i := range len(s) {
		if lower(s[i]) != lowerCase[i] {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, lowerCase string) bool {
	return len(s) >= len(lowerCase) && equalFold(s[:len(lowerCase)], lowerCase)
}

// parse reads the codes at the front of a diagnostic or a bare reply. The
// codes inside diag are trusted before status, which PMTA makes up when the
// server gave none: 4.0.0, 5.0.0, and 5.1.1 for a bare 553.
func parse(diag, status string) parsed {
	var p parsed
	s := skipSpace(diag)
	kind, rest := cutDiagType(s)
	if kind != "" {
		s = skipSpace(rest)
		if equalFold(kind, "x-pmta") {
			p.origin = originLocal
			for i := 0; i+6 <= len(s) && i < 40; i++ {
				if hasPrefixFold(s[i:], "reply:") {
					p.origin = originBounceQueue
					s = skipSpace(s[i+6:])
					break
				}
			}
		}
	}
	// Up to four rounds: servers repeat themselves ("550 550 5.1.1",
	// "550 5.1.1 550 5.1.1").
	for range 4 {
		code, r, ok := cutCode(s)
		if ok {
			if p.code != 0 && code != p.code {
				break
			}
			if p.code == 0 {
				p.multi = r != "" && r[0] == '-'
			}
			p.code = code
		} else if p.code != 0 && !p.enh.IsZero() {
			break
		} else {
			r = s
		}
		for r != "" && (isSpace(r[0]) || r[0] == '-' || r[0] == ';' || r[0] == ':') {
			r = r[1:]
		}
		before := r
		if r != "" && r[0] == '#' {
			r = r[1:]
		} else if len(r) > 1 && r[0] == '(' && r[1] == '#' {
			r = r[2:]
		}
		e, r2, okE := cutEnhanced(r, p.class())
		if okE && (p.enh.IsZero() || p.enh == e) {
			if p.enh.IsZero() {
				p.enh = e
			}
			r = r2
			if len(r) > 0 && (r[0] == ')' || r[0] == ':') {
				r = r[1:]
			}
			if len(r) > 0 && r[0] == '-' {
				r = r[1:]
			}
			r = skipSpace(r)
		} else {
			r = before
		}
		if !ok && !okE {
			break
		}
		s = r
	}
	p.text = s

	if p.enh.IsZero() {
		p.enh = findHashCode(s, p.class())
	}
	if status == "" {
		return p
	}
	st, r, ok := cutEnhanced(skipSpace(status), 0)
	if !ok {
		return p
	}
	p.expired = st.Class != 2 && st.Subject == 4 && st.Detail == 7
	switch {
	case p.code == 0 && p.enh.IsZero():
		p.enh = st
		if p.text == "" && !st.vague() {
			p.text = skipSpace(r) // PMTA's own words, in parentheses
		}
	case p.enh.IsZero() && p.code != 553 && st.Class == p.class() && !st.vague():
		p.enh = st
	}
	return p
}

// findHashCode finds qmail's "(#5.1.1)", which may stand anywhere. The
// subject is checked because Yahoo writes its own numbers so: [#4.16.5].
func findHashCode(s string, class uint8) Enhanced {
	s = s[:min(len(s), headBytes)]
	for i := 0; i+5 < len(s); i++ {
		if s[i] != '#' {
			continue
		}
		e, _, ok := cutEnhanced(s[i+1:], class)
		if ok && e.Subject <= 7 && (class == 0 || e.Class == class) {
			return e
		}
	}
	return Enhanced{}
}
