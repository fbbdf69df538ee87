package mailaddr

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/net/idna"
)

// profile maps names the way resolvers do (case, width, dots), does not apply
// the rules for registration, and lets names with _ pass.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.VerifyDNSLength(false))

// Domain is a domain name in its two spellings. Both are in lower case.
type Domain struct {
	ASCII   string // with A-labels: "xn--bcher-kva.example"
	Unicode string // with U-labels: "bücher.example"
}

// IDNA reports whether the two spellings differ.
func (d *Domain) IDNA() bool { return d.ASCII != d.Unicode }

// ParseDomain returns the two spellings of s. Brackets, blanks and a trailing
// dot are taken off. A name that IDNA does not allow is returned in lower
// case, the same in both spellings.
func ParseDomain(s string) Domain {
	s = strings.TrimRight(strings.TrimLeft(s, "[< \t"), ".]> \t")
	if !utf8.ValidString(s) {
		return Domain{s, s}
	}
	l := strings.ToLower(s)
	// The whole of s, not l: of a few letters (İ) IDNA makes another name than
	// their lower case is.
	if len(s) > maxName || !mayBeIDNA(l) && !mayBeIDNA(s) {
		return Domain{l, l}
	}
	ascii, err := profile.ToASCII(s)
	if err != nil || ascii == "" {
		return Domain{l, l}
	}
	uni, err := profile.ToUnicode(ascii)
	if err != nil || uni == "" || hasEmptyLabel(ascii) || hasEmptyLabel(uni) {
		return Domain{l, l}
	}
	for i := range len(ascii) {
		if !plainByte[ascii[i]] {
			return Domain{l, l}
		}
	}
	if back, err := profile.ToASCII(uni); err != nil || back != ascii {
		return Domain{l, l}
	}
	return Domain{ascii, uni}
}

// maxName bounds the work for what is no name: DNS allows 253 bytes, which as
// U-labels are at most four times as many. Punycode takes time by the square.
const maxName = 1024

// hasEmptyLabel tells of a mapping that lost something: "xn--" alone becomes
// nothing.
func hasEmptyLabel(s string) bool {
	return strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..")
}

// Canonical reports whether s needs no [ParseDomain]: it is plain ASCII in
// lower case without A-labels, so both spellings are s. A few names of which
// that is true are not recognised.
func Canonical(s string) bool {
	n := len(s)
	if n == 0 || s[n-1] == '.' {
		return false
	}
	if n < 8 {
		for i := range n {
			if !plainByte[s[i]] {
				return false
			}
		}
		return !strings.Contains(s, "xn--")
	}
	// Eight bytes at a time: each has to be of - . / 0-9 : _ ` a-z.
	const ones, high = 0x0101010101010101, 0x8080808080808080
	b := unsafe.Slice(unsafe.StringData(s), n)
	var bad, x uint64
	for i := 0; ; i += 8 {
		if i > n-8 {
			i = n - 8 // the last ones, some for the second time
		}
		w := binary.LittleEndian.Uint64(b[i:])
		low := w &^ high
		good := (low+ones*(0x80-'-'))&^(low+ones*(0x80-';')) | (low+ones*(0x80-'_'))&^(low+ones*(0x80-'{'))
		bad |= w | ^good
		y := w ^ ones*'x'
		x |= (y - ones) &^ y
		if i == n-8 {
			break
		}
	}
	return bad&high == 0 && (x&high == 0 || !strings.Contains(s, "xn--"))
}

var plainByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == ':'
	}
	return t
}()

func mayBeIDNA(lower string) bool {
	if strings.HasPrefix(lower, "xn--") || strings.Contains(lower, ".xn--") {
		return true
	}
	for i := range len(lower) {
		if lower[i] >= 0x80 {
			return true
		}
	}
	return false
}

// Domains remembers the spellings of domains that are not [Canonical]. The
// zero value is ready for use; it is not safe for several goroutines.
type Domains struct{ m map[string]Domain }

// maxDomains bounds the memory; beyond it the cache starts anew.
const maxDomains = 4096

// Get returns ParseDomain(s).
func (c *Domains) Get(s string) Domain {
	if Canonical(s) {
		return Domain{s, s}
	}
	if d, ok := c.m[s]; ok {
		return d
	}
	if c.m == nil || len(c.m) >= maxDomains {
		c.m = make(map[string]Domain, 64)
	}
	// Neither key nor value must keep the input around.
	key := strings.Clone(s)
	d := ParseDomain(key)
	if len(key) <= 512 {
		c.m[key] = d
	}
	return d
}
