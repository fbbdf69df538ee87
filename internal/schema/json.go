package schema

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
)

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
		return jsontext.AppendString(dst, v.Str())
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
			dst = jsontext.AppendString(dst, k)
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
