// Package jsontext writes the strings of JSON documents.
package jsontext

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

const hexDigits = "0123456789abcdef"

// plainASCII marks the bytes that stand for themselves in a JSON string.
var plainASCII = func() (t [256]bool) {
	for c := range utf8.RuneSelf {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has a high bit set when one of the eight bytes of w does not stand
// for itself in a JSON string: control, quote, backslash or beyond ASCII.
func special(w uint64) uint64 {
	q, b := w^(ones*'"'), w^(ones*'\\')
	return (w | (w - ones*' ') | (q - ones) | (b - ones)) & highs
}

// IsPlain reports whether s needs no escaping. The few values for which the
// test of eight bytes at once is too strict take the slow way to the same
// result.
func IsPlain(s string) bool {
	n := len(s)
	if n < 8 {
		for i := range n {
			if !plainASCII[s[i]] {
				return false
			}
		}
		return true
	}
	b := unsafe.Slice(unsafe.StringData(s), n)
	var bad uint64
	for len(b) > 32 {
		bad |= special(binary.LittleEndian.Uint64(b)) | special(binary.LittleEndian.Uint64(b[8:])) |
			special(binary.LittleEndian.Uint64(b[16:])) | special(binary.LittleEndian.Uint64(b[24:]))
		b = b[32:]
	}
	for len(b) > 8 {
		bad |= special(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	// The last eight bytes, of which some were looked at before.
	b = unsafe.Slice(unsafe.StringData(s), n)
	return bad|special(binary.LittleEndian.Uint64(b[n-8:])) == 0
}

// AppendString appends s as a JSON string (RFC 8259). Bytes that are not UTF-8
// become U+FFFD each.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if IsPlain(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	return AppendEscaped(dst, s)
}

// AppendEscaped appends the rest of a JSON string behind its first quote, for a
// caller that knows from IsPlain that there is something to escape.
func AppendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plainASCII[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}
