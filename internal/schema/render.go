package schema

import (
	"math"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
)

// cursor is one record being rendered.
type cursor struct {
	r     *Renderer
	lr    plog.LogRecord
	scope pcommon.InstrumentationScope
	plan  *plan
}

// value is the outcome of a conversion.
type value struct {
	kind valueKind
	str  string
	num  int64
	raw  pcommon.Value
}

type valueKind uint8

const (
	isNothing valueKind = iota
	isRaw               // raw
	isStr               // str
	isList              // [str]
	isInt               // num
	isDate              // num, nanoseconds since the Unix epoch
	isEpoch             // the same, as seconds
	isHex               // raw bytes of an id in str
	isText              // str, the text of a body in nested documents
	isOther             // raw, a body that is no text in nested documents
)

func (r *Renderer) source(src int) pcommon.Value {
	if src >= resBase {
		return r.res.Value(src - resBase)
	}
	return r.attrs.Value(src)
}

// sourceText returns a source as a string; what is none comes as JSON.
func (r *Renderer) sourceText(src int) string {
	view := &r.attrs
	if src >= resBase {
		view, src = &r.res, src-resBase
	}
	if s, ok := view.Text(src); ok {
		return s
	}
	return view.Value(src).AsString()
}

// text returns a value as a string; what is none comes as JSON.
func text(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return v.AsString()
}

// convert gives the value of an opValue.
func (c *cursor) convert(o *op, out *value) bool {
	r := c.r
	out.kind = isStr
	switch o.conv {
	case Same:
		out.kind, out.raw = isRaw, r.source(o.src)
		return true
	case Address:
		out.str = unbracket(r.sourceText(o.src), '<', '>')
		return out.str != ""
	case Host:
		out.str = hostOf(r.sourceText(o.src))
		return out.str != ""
	case IP:
		out.str = ipOf(r.sourceText(o.src))
		return out.str != ""
	case Bare:
		out.str = r.sourceText(o.src)
		if s := out.str; len(s) > 7 && strings.EqualFold(s[:7], "rfc822;") {
			out.str = s[7:]
		}
		return true
	case MailDate:
		ns, ok := mailDate(r.sourceText(o.src))
		out.kind, out.num = isDate, ns
		return ok
	case NotMailDate:
		out.str = r.sourceText(o.src)
		_, ok := mailDate(out.str)
		return !ok
	}
	v := r.source(o.src)
	switch o.conv {
	case Text:
		if v.Type() != pcommon.ValueTypeInt {
			out.str = text(v)
			break
		}
		out.str = r.keepInt(v.Int())
	case List, Addresses:
		if v.Type() == pcommon.ValueTypeSlice {
			out.kind, out.raw = isRaw, v
			break
		}
		out.kind, out.str = isList, unbracket(text(v), '<', '>')
		return out.str != ""
	case Nanos, Millis:
		unit := 1e9
		if o.conv == Millis {
			unit = 1e3
		}
		out.kind = isInt
		switch v.Type() {
		case pcommon.ValueTypeDouble:
			return scale(v.Double(), unit, &out.num)
		case pcommon.ValueTypeInt:
			return scale(float64(v.Int()), unit, &out.num)
		}
		return false
	case MinusOne:
		if v.Type() != pcommon.ValueTypeInt {
			return false
		}
		out.kind, out.num = isInt, v.Int()-1
	case Date, Epoch:
		if v.Type() != pcommon.ValueTypeInt {
			// Rendered before, or set by the user.
			out.kind, out.raw = isRaw, v
			break
		}
		out.kind, out.num = isDate, v.Int()
		if o.conv == Epoch {
			out.kind = isEpoch
		}
	}
	return true
}

// ofRecord gives the value of an opRecord.
func (c *cursor) ofRecord(o *op, out *value) bool {
	out.kind = isStr
	switch o.record {
	case recTime:
		out.num = int64(c.lr.Timestamp())
		if out.num == 0 {
			out.num = int64(c.lr.ObservedTimestamp())
		}
		out.kind = isDate
		if o.conv == Epoch {
			out.kind = isEpoch
		}
	case recObserved:
		out.kind, out.num = isDate, int64(c.lr.ObservedTimestamp())
		return out.num != 0
	case recEventName:
		out.str = c.lr.EventName()
		return out.str != ""
	case recSeverityText:
		out.str = c.lr.SeverityText()
		return out.str != ""
	case recSeverityNumber:
		out.kind, out.num = isInt, int64(c.lr.SeverityNumber())
		return out.num != 0
	case recBody:
		return c.body(o, out)
	case recTraceID:
		id := c.lr.TraceID()
		if id.IsEmpty() {
			return false
		}
		out.str = id.String()
	case recSpanID:
		id := c.lr.SpanID()
		if id.IsEmpty() {
			return false
		}
		out.str = id.String()
	case recScope:
		out.str = c.scope.Name()
		return out.str != ""
	case recScopeVersion:
		out.str = c.scope.Version()
		return out.str != ""
	}
	return true
}

func (c *cursor) body(o *op, out *value) bool {
	v := c.lr.Body()
	r := c.r
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return false
	case pcommon.ValueTypeStr:
		out.str = v.Str()
		if o.conv == NewText && c.plan.diag >= 0 && r.attrs.Str(c.plan.diag) == out.str {
			return false
		}
		if r.opts.Nested {
			out.kind = isText
		}
		return true
	}
	if !r.opts.isOTel() {
		return false // a body that is data, not a message
	}
	out.kind, out.raw = isRaw, v
	if r.opts.Nested {
		out.kind = isOther
	}
	return true
}

// join adds the value of an opAdd to the set.
func (c *cursor) join(o *op) {
	r := c.r
	s := r.sourceText(o.src)
	switch o.conv {
	case AddHost:
		s = hostOf(s)
	case AddIP:
		s = ipOf(s)
	case AddUser:
		s = unbracket(s, '<', '>')
		if at := strings.LastIndexByte(s, '@'); at >= 0 && (c.plan.redacted || isPseudonym(s[:at])) {
			return
		}
	}
	if s != "" && !slices.Contains(r.set, s) {
		r.set = append(r.set, s)
	}
}

// appendJSON appends the document.
func (c *cursor) appendJSON(dst []byte, p *plan) []byte {
	c.plan = p
	r := c.r
	dst = append(dst, '{')
	var val value
	ops := p.doc
	for i := 0; i < len(ops); i++ {
		o := &ops[i]
		switch o.kind {
		case opValue:
			if o.conv == Same {
				dst = append(dst, o.json...)
				if o.src < resBase {
					if s, ok := r.attrs.Text(o.src); ok {
						if !isPlain(s) {
							dst = appendEscaped(append(dst, '"'), s)
							break
						}
						dst = append(dst, '"')
						dst = append(dst, s...)
						dst = append(dst, '"', ',')
						continue
					}
				}
				dst = appendValue(dst, r.source(o.src))
				break
			}
			if !c.convert(o, &val) {
				continue
			}
			dst = append(dst, o.json...)
			dst = c.appendVal(dst, &val)
			i += int(o.skip)
		case opRecord:
			if !c.ofRecord(o, &val) {
				continue
			}
			dst = append(dst, o.json...)
			dst = c.appendVal(dst, &val)
			i += int(o.skip)
		case opConst:
			dst = append(dst, o.json...)
			i += int(o.skip)
			continue
		case opAdd:
			c.join(o)
			continue
		case opSet:
			if len(r.set) == 0 {
				continue
			}
			dst = append(dst, o.json...)
			dst = append(dst, '[')
			for n, s := range r.set {
				if n > 0 {
					dst = append(dst, ',')
				}
				dst = appendString(dst, s)
			}
			dst = append(dst, ']')
			r.set = r.set[:0]
		case opOpen:
			dst = append(dst, o.json...)
			continue
		case opClose:
			dst = closeObject(dst)
		}
		dst = append(dst, ',')
	}
	return closeObject(dst)
}

// closeObject ends an object whose members each end with a comma.
func closeObject(dst []byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = '}'
		return dst
	}
	return append(dst, '}')
}

func (c *cursor) appendVal(dst []byte, v *value) []byte {
	switch v.kind {
	case isRaw:
		return appendValue(dst, v.raw)
	case isStr:
		return appendString(dst, v.str)
	case isList:
		return append(appendString(append(dst, '['), v.str), ']')
	case isInt:
		return strconv.AppendInt(dst, v.num, 10)
	case isDate:
		dst = append(dst, '"')
		dst = c.r.appendTime(dst, v.num)
		return append(dst, '"')
	case isEpoch:
		return appendEpoch(dst, v.num)
	case isText:
		dst = append(dst, `{"text":`...)
		return append(appendString(dst, v.str), '}')
	case isOther:
		dst = append(dst, `{"structured":`...)
		return append(appendValue(dst, v.raw), '}')
	}
	return append(dst, "null"...)
}

// appendEpoch appends seconds with milliseconds.
func appendEpoch(dst []byte, ns int64) []byte {
	ms := ns / 1e6
	if ms < 0 {
		return strconv.AppendFloat(dst, float64(ms)/1e3, 'f', 3, 64)
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	f := ms % 1000
	return append(dst, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}

// build makes the attributes that AppendJSON would write.
func (c *cursor) build(p *plan, slab *logslab.Slab) {
	c.plan = p
	r := c.r
	b := &r.out
	slab.Begin(b, p.values)
	var val value
	for i := 0; i < len(p.ops); i++ {
		o := &p.ops[i]
		switch o.kind {
		case opValue:
			if o.move {
				b.Move(o.name, &r.attrs, o.src)
				i += int(o.skip)
				break
			}
			if c.convert(o, &val) {
				c.add(o, &val)
				i += int(o.skip)
			}
		case opRecord:
			if c.ofRecord(o, &val) {
				c.add(o, &val)
				i += int(o.skip)
			}
		case opConst:
			switch {
			case o.number:
				n, _ := strconv.ParseInt(o.value, 10, 64)
				b.Attr(&acct.Attr{Key: o.name, Num: n, Kind: acct.KindInt})
			case o.conv == List:
				b.Strings(o.name, o.value)
			default:
				b.Str(o.name, o.value)
			}
			i += int(o.skip)
		case opAdd:
			c.join(o)
		case opSet:
			if len(r.set) > 0 {
				b.Strings(o.name, r.set...)
				r.set = r.set[:0]
			}
		}
	}
}

// lateValue is a map, a list or bytes, which is rare, and which a Builder does
// not make.
type lateValue struct {
	key   string
	value pcommon.Value
}

// end makes what was built the attributes of m.
func (r *Renderer) end(m pcommon.Map) {
	r.out.End(m)
	for _, l := range r.late {
		l.value.MoveTo(m.PutEmpty(l.key))
	}
	r.late = r.late[:0]
}

// add adds one converted value to what is being built.
func (c *cursor) add(o *op, v *value) {
	r := c.r
	a := acct.Attr{Key: o.name, Str: v.str}
	switch v.kind {
	case isStr:
		r.out.Str(o.name, v.str)
		return
	case isRaw, isOther:
		switch v.raw.Type() {
		case pcommon.ValueTypeInt:
			a.Kind, a.Num = acct.KindInt, v.raw.Int()
		case pcommon.ValueTypeDouble:
			a.Kind, a.Num = acct.KindDouble, int64Bits(v.raw.Double())
		case pcommon.ValueTypeBool:
			a.Kind = acct.KindBool
			if v.raw.Bool() {
				a.Num = 1
			}
		case pcommon.ValueTypeStr:
			a.Str = v.raw.Str()
		default:
			cp := pcommon.NewValueEmpty()
			v.raw.CopyTo(cp)
			r.late = append(r.late, lateValue{o.name, cp})
			return
		}
	case isList:
		r.out.Strings(o.name, v.str)
		return
	case isInt:
		a.Kind, a.Num = acct.KindInt, v.num
	case isDate:
		from := r.room(32)
		r.text = r.appendTime(r.text, v.num)
		a.Str = r.kept(from)
	case isEpoch:
		a.Kind, a.Num = acct.KindDouble, int64Bits(float64(v.num/1e6)/1e3)
	}
	r.out.Attr(&a)
}

// room makes room for n bytes in r.text without moving what is there, and
// returns where they begin. What outgrows the room moves to a new block; the
// old one stays with those who have it.
func (r *Renderer) room(n int) int {
	if cap(r.text)-len(r.text) < n {
		r.text = make([]byte, 0, max(16<<10, n))
	}
	return len(r.text)
}

// kept returns the text from there on as a string. It is never written again.
func (r *Renderer) kept(from int) string {
	b := r.text[from:]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (r *Renderer) keepInt(n int64) string {
	from := r.room(20)
	r.text = strconv.AppendInt(r.text, n, 10)
	return r.kept(from)
}

func unbracket(s string, left, right byte) string {
	if n := len(s); n >= 2 && s[0] == left && s[n-1] == right {
		return s[1 : n-1]
	}
	return s
}

// hostOf returns a host name without brackets, "" for what is no name.
func hostOf(s string) string {
	s = unbracket(s, '[', ']')
	if strings.EqualFold(s, "unknown") {
		return ""
	}
	return s
}

// ipOf returns an IP address without brackets, "" when s is not made of what
// addresses are made of.
func ipOf(s string) string {
	s = unbracket(s, '[', ']')
	if len(s) < 2 || len(s) > 45 {
		return ""
	}
	sep := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
		case c == '.' || c == ':':
			sep = true
		case c|0x20 >= 'a' && c|0x20 <= 'f':
		default:
			return ""
		}
	}
	if !sep {
		return ""
	}
	return s
}

// isPseudonym tells a local part that is a hash: 16 (siphash) or 64
// (HMAC-SHA256) hex digits.
func isPseudonym(local string) bool {
	if len(local) != 16 && len(local) != 64 {
		return false
	}
	for i := range len(local) {
		c := local[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// scale multiplies and rounds; false when the result is no integer of 64 bits.
func scale(f, unit float64, out *int64) bool {
	f *= unit
	if !(f > -9e18 && f < 9e18) {
		return false
	}
	if f < 0 {
		*out = int64(f - 0.5)
	} else {
		*out = int64(f + 0.5)
	}
	return true
}

// mailDate reads a Date header (RFC 5322), or a date that was rendered before.
func mailDate(s string) (int64, bool) {
	if ns, ok := usualDate(s); ok {
		return ns, true
	}
	t, err := mail.ParseDate(s)
	if err != nil {
		if t, err = time.Parse(time.RFC3339, s); err != nil {
			return 0, false
		}
	}
	if y := t.Year(); y < 1678 || y > 2261 {
		return 0, false
	}
	return t.UnixNano(), true
}

// usualDate reads "Sat, 31 Jan 2026 10:00:12 +0000", the form of nearly all.
func usualDate(s string) (int64, bool) {
	if len(s) == 30 { // one digit of the day
		if s[6] != ' ' {
			return 0, false
		}
	} else if len(s) != 31 {
		return 0, false
	}
	ok := s[3] == ',' && s[4] == ' '
	digits := func(s string) (n int) {
		for i := range len(s) {
			c := s[i] - '0'
			ok = ok && c <= 9
			n = n*10 + int(c)
		}
		return n
	}
	day, rest := digits(s[5:len(s)-24]), s[len(s)-24:] // " Jan 2026 10:00:12 +0000"
	month := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", rest[1:4])
	year, hour, minute, second := digits(rest[5:9]), digits(rest[10:12]), digits(rest[13:15]), digits(rest[16:18])
	zone := (digits(rest[20:22])*60 + digits(rest[22:24])) * 60
	if rest[0] != ' ' || rest[4] != ' ' || rest[9] != ' ' || rest[12] != ':' || rest[15] != ':' || rest[18] != ' ' || rest[19] != '+' && rest[19] != '-' {
		ok = false
	}
	if !ok || month%3 != 0 || year < 1970 || year > 2261 || day < 1 || day > 28 && day > daysIn(year, month/3) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if rest[19] == '-' {
		zone = -zone
	}
	return (days(year, month/3+1, day)*86400 + int64(hour*3600+minute*60+second-zone)) * 1e9, true
}

// daysIn returns the days of a month, which counts from 0.
func daysIn(year, month int) int {
	if month == 1 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month]
}

// days counts the days from 1 January 1970, with years that begin in March,
// so that the leap day is the last one.
func days(year, month, day int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day-1) - 719468
}

func int64Bits(f float64) int64 { return int64(math.Float64bits(f)) }
