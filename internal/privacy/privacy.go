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

// Redaction returns the text of mode redact, whatever the mode is.
func (p *Policy) Redaction() string { return p.opts.Redaction }

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
	needles                               []needle
	template                              bool // Template is at work

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
	r.setNeedles()
}

// Touched reports whether the record holds local parts that were replaced, or
// had been before.
func (r *Redactor) Touched() bool { return r.touched }

// hash returns what stands for a local part.
func (r *Redactor) hash(local string) string {
	if local == "" {
		return ""
	}
	if r.template {
		return templateUser
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
	if local, domain := mailaddr.Split(addr); r.rcptLocal != "" && len(local) > len(r.rcptLocal) && mailaddr.EncodedSuffix(local, r.rcptLocal) == 0 {
		return kind + ";" + r.hash(r.rcptLocal) + "@" + domain
	}
	if a := r.Address(addr); a != addr {
		return kind + ";" + a
	}
	return s
}

// Sender returns an envelope sender with the local parts in its VERP, BATV
// and SRS forms replaced: of the recipient, and of the sender that BATV or
// SRS wrap. A plain sender is left as it is, unless it is the recipient.
func (r *Redactor) Sender(addr string) string {
	local, domain := mailaddr.Split(addr)
	if s, ok := r.encoded(local, 0, false); ok {
		return s + addr[len(local):]
	}
	if r.rcptLocal == "" || r.rcptDomain == "" {
		return addr
	}
	if strings.EqualFold(local, r.rcptLocal) && strings.EqualFold(domain, r.rcptDomain) {
		return r.Address(addr)
	}
	if s, ok := r.holds(local); ok {
		return s + addr[len(local):]
	}
	return addr
}

// maxGap is how much may be between the recipient's local part and domain in a
// sender of a form that nobody has written down: #, %40, ==a==.
const maxGap = 5

// holds replaces the recipient's local part in a sender that has their domain
// right behind it, somehow set apart.
func (r *Redactor) holds(local string) (s string, ok bool) {
	domain := strings.TrimSuffix(r.rcptDomain, ".")
	if domain == "" || len(local) <= len(r.rcptLocal)+len(domain) || len(local) > maxLocal {
		return local, false
	}
	for from := 0; ; {
		at := indexFold(local[from:], r.rcptLocal)
		if at < 0 {
			return local, false
		}
		at += from
		from = at + 1
		rest := local[at+len(r.rcptLocal):]
		if at > 0 && isWord(local[at-1]) || rest == "" || isWord(rest[0]) {
			continue
		}
		if indexFold(rest[:min(len(rest), maxGap+len(domain))], domain) >= 0 {
			return local[:at] + r.hash(r.rcptLocal) + rest, true
		}
	}
}

// encoded replaces what a form holds; ok is false when local has no form. In
// text only the VERP form of the recipient counts as one: of another it is not
// sure where the name begins and ends.
func (r *Redactor) encoded(local string, depth int, text bool) (s string, ok bool) {
	if depth > 4 || strings.IndexByte(local, '=') < 0 {
		return local, false
	}
	e := mailaddr.Decode(local, r.rcpt)
	switch e.Form {
	case mailaddr.Plain:
		return local, false
	case mailaddr.VERP:
		user := e.Inner
		if r.rcptLocal != "" && mailaddr.EncodedSuffix(user, r.rcptLocal) == 0 {
			user = r.rcptLocal // one pseudonym, in code or not
		} else if text {
			return local, false
		}
		if text && !strings.EqualFold(e.Domain, strings.TrimSuffix(r.rcptDomain, ".")) {
			return local, false
		}
		return e.Pre + r.hash(user) + e.Post, true
	}
	inner, ok := r.encoded(e.Inner, depth+1, text)
	if !ok {
		inner = r.hash(e.Inner)
	}
	return e.Pre + inner + e.Post, true
}

// Local returns what stands for the local part of a base sender taken out of
// a BATV or SRS form.
func (r *Redactor) Local(local string) string {
	if s, ok := r.encoded(local, 0, false); ok {
		return s
	}
	return r.hash(local)
}
