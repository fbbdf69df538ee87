package schema

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
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

// isPlain reports whether s needs no escaping. The few values for which the
// test of eight bytes at once is too strict take the slow way to the same
// result.
func isPlain(s string) bool {
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

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if isPlain(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	return appendEscaped(dst, s)
}

func appendEscaped(dst []byte, s string) []byte {
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

func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if i := int64(f); float64(i) == f && i > -1e15 && i < 1e15 {
		return strconv.AppendInt(dst, i, 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// appendValue appends any value: bytes in base64, maps as objects.
func appendValue(dst []byte, v pcommon.Value) []byte {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendString(dst, v.Str())
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pcommon.ValueTypeDouble:
		return appendFloat(dst, v.Double())
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, v.Bool())
	case pcommon.ValueTypeSlice:
		dst = append(dst, '[')
		s := v.Slice()
		for i := range s.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, s.At(i))
		}
		return append(dst, ']')
	case pcommon.ValueTypeMap:
		dst = append(dst, '{')
		sep := false
		for k, e := range v.Map().All() {
			if sep {
				dst = append(dst, ',')
			}
			sep = true
			dst = appendString(dst, k)
			dst = append(dst, ':')
			dst = appendValue(dst, e)
		}
		return append(dst, '}')
	case pcommon.ValueTypeBytes:
		b := v.Bytes().AsRaw()
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, b)
		return append(dst, '"')
	}
	return append(dst, "null"...)
}

// stamp keeps a rendered second: neighbouring records mostly have the same.
type stamp struct {
	sec   int64
	set   bool
	text  [len("2006-01-02T15:04:05")]byte
	whole *string // with Z, once it was asked for
}

// day keeps a rendered day.
type day struct {
	number int64 // since the Unix epoch
	set    bool
	text   [len("2006-01-02T")]byte
}

// split parts nanoseconds into seconds and a positive rest.
func split(ns int64) (sec, frac int64) {
	sec, frac = ns/1e9, ns%1e9
	if frac < 0 {
		sec, frac = sec-1, frac+1e9
	}
	return sec, frac
}

// stamp returns a second.
func (r *Renderer) stamp(sec int64) *stamp {
	s := &r.clock[sec&int64(len(r.clock)-1)]
	if s.set && s.sec == sec {
		return s
	}
	*s = stamp{sec: sec, set: true}
	n, left := sec/86400, sec%86400
	if left < 0 {
		n, left = n-1, left+86400
	}
	d := &r.days[n&int64(len(r.days)-1)]
	if !d.set || d.number != n {
		d.number, d.set = n, true
		time.Unix(sec, 0).UTC().AppendFormat(d.text[:0], "2006-01-02T")
	}
	copy(s.text[:], d.text[:])
	two := func(at int, n int64) { s.text[at], s.text[at+1] = byte('0'+n/10), byte('0'+n%10) }
	two(11, left/3600)
	two(14, left/60%60)
	two(17, left%60)
	s.text[13], s.text[16] = ':', ':'
	return s
}

// appendTime appends nanoseconds since the Unix epoch as RFC 3339 in UTC, with
// as many digits of the fraction as it takes.
func (r *Renderer) appendTime(dst []byte, ns int64) []byte {
	sec, frac := split(ns)
	dst = append(dst, r.stamp(sec).text[:]...)
	if frac != 0 {
		var d [10]byte
		for i := 9; i > 0; i-- {
			d[i] = byte('0' + frac%10)
			frac /= 10
		}
		d[0] = '.'
		n := 10
		for d[n-1] == '0' {
			n--
		}
		dst = append(dst, d[:n]...)
	}
	return append(dst, 'Z')
}
