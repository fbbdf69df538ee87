package smtpreply

import (
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Provider is a mailbox host or a filter in front of others.
type Provider struct {
	ID     string // stable: gmail, microsoft_consumer; a registrable domain for an unknown MX
	Name   string // for people
	Kind   string // mailbox, filter, or "" for an unknown MX
	Family string // groups related ids: microsoft; equals ID when alone

	num uint16 // index in the engine + 1, 0 for an unknown one
}

// Values of Provider.Kind.
const (
	KindMailbox = "mailbox"
	KindFilter  = "filter"
)

var noProvider = &Provider{}

// hostTrie maps host suffixes to numbers, longest first, at label boundaries
// only: me.com does not match acme.com, and google.com does not match
// notgoogle.com.attacker.example. It is walked from the end of the host.
type hostTrie struct {
	next  []uint16 // node*hostColumns + column -> node, 0 = none
	value []uint16 // node -> number+1, 0 = none
}

const hostColumns = 39 // a-z 0-9 . - _

var hostColumn = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	for b := byte('a'); b <= 'z'; b++ {
		t[b], t[b-'a'+'A'] = b-'a', b-'a'
	}
	for b := byte('0'); b <= '9'; b++ {
		t[b] = b - '0' + 26
	}
	t['.'], t['-'], t['_'] = 36, 37, 38
	return t
}()

func newHostTrie() *hostTrie {
	return &hostTrie{next: make([]uint16, hostColumns), value: make([]uint16, 1)}
}

// add maps suffix to v. The first value of a suffix stays; add then reports
// that value and false.
func (t *hostTrie) add(suffix string, v uint16) (old uint16, ok bool, err error) {
	if suffix == "" || strings.HasPrefix(suffix, ".") || strings.HasSuffix(suffix, ".") {
		return 0, false, fmt.Errorf("%q is no host name", suffix)
	}
	n := 0
	for i := len(suffix) - 1; i >= 0; i-- {
		c := hostColumn[suffix[i]]
		if c == 255 {
			return 0, false, fmt.Errorf("%q is no host name", suffix)
		}
		e := n*hostColumns + int(c)
		if t.next[e] == 0 {
			if len(t.value) == 1<<16-1 {
				return 0, false, fmt.Errorf("too many host names")
			}
			t.next[e] = uint16(len(t.value))
			t.value = append(t.value, 0)
			t.next = append(t.next, make([]uint16, hostColumns)...)
		}
		n = int(t.next[e])
	}
	if t.value[n] != 0 {
		return t.value[n] - 1, false, nil
	}
	t.value[n] = v + 1
	return v, true, nil
}

// find returns the number of the longest known suffix of host and the length
// of that suffix, 0 when none is known.
func (t *hostTrie) find(host string) (v uint16, length int) {
	n := 0
	for i := len(host) - 1; i >= 0; i-- {
		c := hostColumn[host[i]]
		if c == 255 {
			break
		}
		n = int(t.next[n*hostColumns+int(c)])
		if n == 0 {
			break
		}
		if t.value[n] != 0 && (i == 0 || host[i-1] == '.') {
			v, length = t.value[n]-1, len(host)-i
		}
	}
	return v, length
}

// suffix is the length of the longest known suffix of host.
func (t *hostTrie) suffix(host string) int {
	_, n := t.find(host)
	return n
}

// hostOf cuts PMTA's "name (ip)" to the name, without a trailing dot. A name
// that is an address literal gives "".
func hostOf(mx string) string {
	for mx != "" && isSpace(mx[0]) {
		mx = mx[1:]
	}
	end := 0
	for end < len(mx) && !isSpace(mx[end]) && mx[end] != '(' {
		end++
	}
	mx = mx[:end]
	for mx != "" && mx[len(mx)-1] == '.' {
		mx = mx[:len(mx)-1]
	}
	if mx == "" || mx[0] == '[' || isIPv4(mx) || strings.IndexByte(mx, ':') >= 0 || len(mx) > 255 {
		return ""
	}
	return mx
}

// domainOf is what follows the last @ of an address, or all of it.
func domainOf(rcpt string) string {
	if i := strings.LastIndexByte(rcpt, '@'); i >= 0 {
		rcpt = rcpt[i+1:]
	}
	for rcpt != "" && (rcpt[len(rcpt)-1] == '.' || rcpt[len(rcpt)-1] == '>') {
		rcpt = rcpt[:len(rcpt)-1]
	}
	return rcpt
}

// registrable is the registrable domain of host by the public suffix list,
// or host itself when it has none. The result is lower case and does not
// share memory with host.
func registrable(host string) string {
	h := strings.ToLower(host)
	if d, err := publicsuffix.EffectiveTLDPlusOne(h); err == nil {
		return strings.Clone(d)
	}
	return strings.Clone(h)
}

// codePattern is the shape of a provider code. 9 stands for a digit, @ for
// an upper case letter, a final * for one or more letters, digits, - or _;
// the rest stands for itself, and case counts.
type codePattern struct {
	shape    string
	bracket  bool // counts only within [] or ()
	provider uint16
}

func (p codePattern) match(tok string) bool {
	s := p.shape
	for i := range len(tok) {
		if i >= len(s) {
			return false
		}
		c := tok[i]
		switch s[i] {
		case '9':
			if !isDigit(c) {
				return false
			}
		case '@':
			if c < 'A' || c > 'Z' {
				return false
			}
		case '*':
			if i != len(s)-1 {
				return false
			}
			for j := i; j < len(tok); j++ {
				if byteClass[tok[j]]&(bAlpha|bDigit|bDash) == 0 {
					return false
				}
			}
			return true
		default:
			if c != s[i] {
				return false
			}
		}
	}
	return len(tok) == len(s)
}

// codeGrammar knows the shapes of all provider codes, by first byte.
type codeGrammar struct {
	byFirst [256][]codePattern
}

func (g *codeGrammar) add(shape string, bracket bool, provider uint16) error {
	if shape == "" || shape[0] == '*' {
		return fmt.Errorf("code shape %q: must not be empty nor begin with *", shape)
	}
	p := codePattern{shape, bracket, provider}
	switch c := shape[0]; c {
	case '9':
		for b := '0'; b <= '9'; b++ {
			g.byFirst[b] = append(g.byFirst[b], p)
		}
	case '@':
		for b := 'A'; b <= 'Z'; b++ {
			g.byFirst[b] = append(g.byFirst[b], p)
		}
	default:
		g.byFirst[c] = append(g.byFirst[c], p)
	}
	return nil
}

// match reports whether tok has the shape of a provider code.
func (g *codeGrammar) match(tok string) bool {
	if tok == "" || len(tok) > 24 {
		return false
	}
	for _, p := range g.byFirst[tok[0]] {
		if p.match(tok) {
			return true
		}
	}
	return false
}

// find returns the first provider code in a template.
func (g *codeGrammar) find(template []byte) (code []byte, provider uint16, ok bool) {
	isCode := func(c byte) bool {
		return byteClass[c]&(bAlpha|bDigit|bDash) != 0 || c == '#' || c == ':'
	}
	for i := 0; i < len(template); i++ {
		if len(g.byFirst[template[i]]) == 0 || i > 0 && byteClass[template[i-1]]&(bAlpha|bDigit|bDash) != 0 {
			continue
		}
		j := i
		for j < len(template) && isCode(template[j]) {
			j++
		}
		for j > i && template[j-1] == ':' {
			j--
		}
		if j-i > 24 || j == i {
			continue
		}
		bracket := i > 0 && (template[i-1] == '[' || template[i-1] == '(')
		for _, p := range g.byFirst[template[i]] {
			if (bracket || !p.bracket) && p.match(string(template[i:j])) {
				return template[i:j], p.provider, true
			}
		}
	}
	return nil, 0, false
}
