// Package privacy replaces the local part of mail addresses by a pseudonym or
// a fixed text, in single addresses and inside other text, the way PowerMTA's
// privacy-policy does. Domains stay.
//
// The pseudonym of a local part is the hexadecimal digest of the local part in
// lower case, so that streams which PowerMTA itself has pseudonymised can be
// joined with those that this package has.
//
// Source: PowerMTA v5.0 User's Guide, sections 3.3.11.16 (privacy-policy) and
// 6.3.30 (pmta digest).
package privacy // import "github.com/otelcol-pmta/otelcol-pmta/internal/privacy"

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/dchest/siphash"

	"github.com/otelcol-pmta/otelcol-pmta/internal/mailaddr"
)

// Mode says what becomes of a local part.
type Mode uint8

// The modes.
const (
	Keep       Mode = iota // nothing
	Redact                 // a fixed text
	SipHash                // SipHash-2-4, 16 hex digits
	HMACSHA256             // HMAC-SHA256, 64 hex digits
)

var modeNames = [...]string{"keep", "redact", "siphash", "hmac-sha256"}

// String returns the name that [ParseMode] takes.
func (m Mode) String() string { return modeNames[m] }

// ParseMode reads keep, redact, siphash or hmac-sha256.
func ParseMode(s string) (Mode, error) {
	for i, n := range modeNames {
		if s == n {
			return Mode(i), nil
		}
	}
	return Keep, fmt.Errorf("%q is not known; use keep, redact, siphash or hmac-sha256", s)
}

// DefaultRedaction is what PowerMTA puts in place of a local part when its
// policy is redact without a text.
const DefaultRedaction = "..."

// Options configure a Policy.
type Options struct {
	Mode Mode
	// Key is the secret of SipHash (at most 16 bytes; shorter ones are padded
	// with zero bytes, as PowerMTA does) and HMAC-SHA256 (any length but 0).
	Key []byte
	// KeyID names the key in records; "" makes one that tells keys apart and
	// says nothing about them.
	KeyID string
	// Redaction is the text of Redact, default [DefaultRedaction].
	Redaction string
	// LowerHex writes digests in lower case. PowerMTA's are in upper case.
	LowerHex bool
}

// Policy makes redactors. It is immutable and safe for several goroutines.
type Policy struct {
	opts   Options
	k0, k1 uint64
	keyID  string
}

// Errors of New. They never hold the key.
var (
	ErrNoKey      = errors.New("no key is given")
	ErrKeyTooLong = errors.New("the key is longer than 16 bytes, which is all that siphash takes")
)

// New checks the options. The key is copied.
func New(o Options) (*Policy, error) {
	p := &Policy{opts: o}
	p.opts.Key = append([]byte(nil), o.Key...)
	if o.Redaction == "" {
		p.opts.Redaction = DefaultRedaction
	}
	switch o.Mode {
	case SipHash:
		if len(o.Key) > 16 {
			return nil, ErrKeyTooLong
		}
		fallthrough
	case HMACSHA256:
		if len(o.Key) == 0 {
			return nil, ErrNoKey
		}
		var k [16]byte
		copy(k[:], o.Key)
		p.k0, p.k1 = binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
		if p.keyID = o.KeyID; p.keyID == "" {
			p.keyID = makeKeyID(p.opts.Key)
		}
	}
	return p, nil
}

// makeKeyID derives a short name from a key. It is behind a keyed hash of its
// own, so it helps nobody to guess at pseudonyms.
func makeKeyID(key []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("otelcol-pmta redaction key id"))
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// KeyID returns the name of the key, "" for modes without one.
func (p *Policy) KeyID() string { return p.keyID }

// Mode returns the mode.
func (p *Policy) Mode() Mode { return p.opts.Mode }

// ParseKey turns the text of a key file or variable into a key. encoding is
// "text" or "hex". One line end behind the key is not part of it. Errors do
// not repeat the key.
func ParseKey(s, encoding string) ([]byte, error) {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	switch encoding {
	case "text":
		return []byte(s), nil
	case "hex":
		k, err := hex.DecodeString(strings.TrimSpace(s))
		if err != nil {
			return nil, errors.New("the key is not written in pairs of hexadecimal digits")
		}
		return k, nil
	}
	return nil, fmt.Errorf("%q is not known; use text or hex", encoding)
}

// Redactor applies a Policy. It is not safe for several goroutines.
type Redactor struct {
	p   *Policy
	mac hash.Hash
	low []byte
	sum []byte
	out []byte

	// The recipient of the record in hand.
	rcpt, rcptLocal, rcptDomain, rcptHash string
	touched                               bool
	numeric                               bool // 16 digits count as a digest

	streak int // recipients in a row that were digests
}

// hashedStreak is how many recipients in a row have to be digests before 16
// digits without a letter count as one.
const hashedStreak = 8

// NewRedactor returns a Redactor for p.
func (p *Policy) NewRedactor() *Redactor {
	r := &Redactor{p: p}
	if p.opts.Mode == HMACSHA256 {
		r.mac = hmac.New(sha256.New, p.opts.Key)
	}
	return r
}

// Begin starts a record. rcpt is its recipient, "" without one; its local part
// is replaced wherever later texts of the record hold it. again says that the
// record is known to have been redacted before.
//
// 16 digits without a letter may be a digest (0.05 % of SipHash digests are
// like that) or a number. They are taken for a digest when the record was
// redacted before, or when the recipients of the records before it were all
// digests: then whoever wrote them has hashed this one, too.
func (r *Redactor) Begin(rcpt string, again bool) {
	r.rcpt = strings.Trim(rcpt, "<> ")
	r.rcptLocal, r.rcptDomain = mailaddr.Split(r.rcpt)
	r.rcptHash, r.touched = "", false
	switch {
	case r.rcptLocal == "" || isNumber(r.rcptLocal):
	case IsDigest(r.rcptLocal):
		r.streak = min(r.streak+1, hashedStreak)
	default:
		r.streak = 0
	}
	r.numeric = again || r.streak >= hashedStreak
}

// Touched reports whether the record holds local parts that were replaced, or
// had been before.
func (r *Redactor) Touched() bool { return r.touched }

// hash returns what stands for a local part.
func (r *Redactor) hash(local string) string {
	if local == "" {
		return ""
	}
	r.touched = true
	if local == r.rcptLocal && r.rcptHash != "" {
		return r.rcptHash
	}
	h := r.compute(local)
	if local == r.rcptLocal {
		r.rcptHash = h
	}
	return h
}

func (r *Redactor) compute(local string) string {
	if r.p.opts.Mode == Keep || r.replaced(local) {
		return local
	}
	if r.p.opts.Mode == Redact {
		return r.p.opts.Redaction
	}
	r.low = append(r.low[:0], local...)
	for i, c := range r.low {
		if c-'A' < 26 {
			r.low[i] = c + 'a' - 'A'
		}
	}
	if r.p.opts.Mode == SipHash {
		// PowerMTA shows the digest as the SipHash paper does: its bytes in
		// little-endian order.
		r.sum = binary.LittleEndian.AppendUint64(r.sum[:0], siphash.Hash(r.p.k0, r.p.k1, r.low))
	} else {
		r.mac.Reset()
		r.mac.Write(r.low)
		r.sum = r.mac.Sum(r.sum[:0])
	}
	var buf [64]byte
	n := hex.Encode(buf[:], r.sum)
	if !r.p.opts.LowerHex {
		for i, c := range buf[:n] {
			if c >= 'a' {
				buf[i] = c - ('a' - 'A')
			}
		}
	}
	return string(buf[:n])
}

// replaced tells whether a local part was replaced before: it is a redaction
// text or has the shape of a digest.
func (r *Redactor) replaced(local string) bool {
	return local == DefaultRedaction || r.p.opts.Mode == Redact && local == r.p.opts.Redaction ||
		IsDigest(local) || r.numeric && isNumber(local)
}

// isNumber reports whether s is 16 digits.
func isNumber(s string) bool {
	if len(s) != 16 {
		return false
	}
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// IsDigest reports whether s has the shape of a digest: 64 or 16 hexadecimal
// digits, all letters of one case. 16 digits without a letter are left to
// [Redactor.Begin].
func IsDigest(s string) bool {
	if len(s) != 64 && len(s) != 16 {
		return false
	}
	lower, upper := false, false
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9:
		case c-'a' <= 5:
			lower = true
		case c-'A' <= 5:
			upper = true
		default:
			return false
		}
	}
	return lower != upper || len(s) == 64 && !lower
}

// Address returns addr with its local part replaced. Angle brackets stay. An
// address without @ counts as a local part.
func (r *Redactor) Address(addr string) string {
	core := strings.Trim(addr, "<> ")
	local, domain := mailaddr.Split(core)
	if local == "" {
		return addr
	}
	h := r.hash(local)
	if h == local {
		return addr
	}
	at := strings.Index(addr, core)
	if len(domain) == 0 && len(local) == len(core) {
		return addr[:at] + h + addr[at+len(core):]
	}
	return addr[:at] + h + addr[at+len(local):]
}

// ORCPT returns an original recipient (RFC 3461) with the local part of its
// address replaced. What is encoded as xtext is decoded first when only then
// it is the recipient, so that both have one pseudonym.
func (r *Redactor) ORCPT(s string) string {
	kind, addr, ok := strings.Cut(s, ";")
	if !ok {
		return r.Address(s)
	}
	if local, domain := mailaddr.Split(addr); strings.IndexByte(local, '+') >= 0 && r.rcptLocal != "" && !strings.EqualFold(local, r.rcptLocal) {
		if dec := xtext(local); strings.EqualFold(dec, r.rcptLocal) {
			return kind + ";" + r.hash(dec) + "@" + domain
		}
	}
	if a := r.Address(addr); a != addr {
		return kind + ";" + a
	}
	return s
}

// xtext decodes +XX. Source: RFC 3461, section 4.
func xtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if v, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(v[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Sender returns an envelope sender with the local parts in its VERP, BATV
// and SRS forms replaced: of the recipient, and of the sender that BATV or
// SRS wrap. A plain sender is left as it is, unless it is the recipient.
func (r *Redactor) Sender(addr string) string {
	local, domain := mailaddr.Split(addr)
	if s, ok := r.encoded(local, 0); ok {
		return s + addr[len(local):]
	}
	if r.rcptLocal != "" && strings.EqualFold(local, r.rcptLocal) && strings.EqualFold(domain, r.rcptDomain) {
		return r.Address(addr)
	}
	return addr
}

// encoded replaces what a form holds; ok is false when local has no form.
func (r *Redactor) encoded(local string, depth int) (s string, ok bool) {
	if depth > 4 || strings.IndexByte(local, '=') < 0 {
		return local, false
	}
	e := mailaddr.Decode(local, r.rcpt)
	switch e.Form {
	case mailaddr.Plain:
		return local, false
	case mailaddr.VERP:
		return e.Pre + r.hash(e.Inner) + e.Post, true
	}
	inner, ok := r.encoded(e.Inner, depth+1)
	if !ok {
		inner = r.hash(e.Inner)
	}
	return e.Pre + inner + e.Post, true
}

// Local returns what stands for the local part of a base sender taken out of
// a BATV or SRS form.
func (r *Redactor) Local(local string) string {
	if s, ok := r.encoded(local, 0); ok {
		return s
	}
	return r.hash(local)
}
