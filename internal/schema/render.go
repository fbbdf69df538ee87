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

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/privacy"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
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
	if s := view.Text(src); s != nil {
		return *s
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
func (c *cursor) convert(conv Conv, src int, out *value) bool {
	r := c.r
	out.kind = isStr
	switch conv {
	case Same:
		out.kind, out.raw = isRaw, r.source(src)
		return true
	case Address:
		out.str = unbracket(r.sourceText(src), '<', '>')
		return out.str != ""
	case Host:
		out.str = hostOf(r.sourceText(src))
		return out.str != ""
	case IP:
		out.str = ipOf(r.sourceText(src))
		return out.str != ""
	case Bare:
		out.str = r.sourceText(src)
		if s := out.str; len(s) > 7 && strings.EqualFold(s[:7], "rfc822;") {
			out.str = s[7:]
		}
		return true
	case Dataset:
		s := r.sourceText(src)
		if s == "" {
			return false
		}
		out.str = dataset(s)
		return true
	case MailDate:
		ns, ok := mailDate(r.sourceText(src))
		out.kind, out.num = isDate, ns
		return ok
	case NotMailDate:
		out.str = r.sourceText(src)
		_, ok := mailDate(out.str)
		return !ok
	}
	v := r.source(src)
	switch conv {
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
		if conv == Millis {
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
		if conv == Epoch {
			out.kind = isEpoch
		}
	}
	return true
}

// ofRecord gives the value of an opRecord.
func (c *cursor) ofRecord(source recordSource, conv Conv, out *value) bool {
	out.kind = isStr
	switch source {
	case recTime:
		out.num = int64(c.lr.Timestamp())
		if out.num == 0 {
			out.num = int64(c.lr.ObservedTimestamp())
		}
		out.kind = isDate
		if conv == Epoch {
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
		if conv == Grade {
			out.str = grade(c.lr.SeverityNumber())
			return out.str != ""
		}
		out.kind, out.num = isInt, int64(c.lr.SeverityNumber())
		return out.num != 0
	case recAction, recCIMAction:
		out.str = strings.TrimPrefix(c.lr.EventName(), semconv.PMTAPrefix)
	case recBody:
		return c.body(conv, out)
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

func (c *cursor) body(conv Conv, out *value) bool {
	v := c.lr.Body()
	r := c.r
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return false
	case pcommon.ValueTypeStr:
		out.str = v.Str()
		if conv == NewText && c.plan.diag >= 0 && r.attrs.Str(c.plan.diag) == out.str {
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
	if s := c.member(o.conv, r.sourceText(o.src)); s != "" && !slices.Contains(r.set, s) {
		r.set = append(r.set, s)
	}
}

// member returns what s gives to a set, "" for nothing.
func (c *cursor) member(conv Conv, s string) string {
	switch conv {
	case AddHost:
		return hostOf(s)
	case AddIP:
		return c.r.knownIP(s)
	case AddUser:
		s = unbracket(s, '<', '>')
		if c.plan.redacted && strings.IndexByte(s, '@') >= 0 || isRedacted(s) {
			return ""
		}
	}
	return s
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
					if s := r.attrs.Text(o.src); s != nil {
						if !jsontext.IsPlain(*s) {
							dst = jsontext.AppendEscaped(append(dst, '"'), *s)
							break
						}
						dst = append(dst, '"')
						dst = append(dst, *s...)
						dst = append(dst, '"', ',')
						continue
					}
				}
				dst = appendValue(dst, r.source(o.src))
				break
			}
			if !c.convert(o.conv, o.src, &val) {
				continue
			}
			dst = append(dst, o.json...)
			dst = c.appendVal(dst, &val)
			i += int(o.skip)
		case opRecord:
			if !c.ofRecord(o.record, o.conv, &val) {
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
				dst = jsontext.AppendString(dst, s)
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
		return jsontext.AppendString(dst, v.str)
	case isList:
		return append(jsontext.AppendString(append(dst, '['), v.str), ']')
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
		return append(jsontext.AppendString(dst, v.str), '}')
	case isOther:
		dst = append(dst, `{"structured":`...)
		return append(appendValue(dst, v.raw), '}')
	}
	return append(dst, "null"...)
}

// millis rounds nanoseconds to milliseconds as contrib's splunk_hec exporter
// does, whose time of an event the field has to agree with.
func millis(ns int64) int64 { return int64(math.Round(float64(ns) / 1e6)) }

// appendEpoch appends seconds with milliseconds.
func appendEpoch(dst []byte, ns int64) []byte {
	ms := millis(ns)
	if ms < 0 {
		return strconv.AppendFloat(dst, float64(ms)/1e3, 'f', 3, 64)
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	f := ms % 1000
	return append(dst, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}

// edit makes the attributes that AppendJSON would write, out of those of the
// record. The result is for lr or for a body, see Editor.End.
func (c *cursor) edit(p *plan, slab *logslab.Slab) {
	c.plan = p
	r := c.r
	e := &r.out
	slab.Edit(e, &r.attrs, p.added)
	var val value
	for i := 0; i < len(p.edits); i++ {
		o := &p.edits[i]
		switch o.opKind {
		case opValue:
			if o.conv == Same {
				if o.own {
					e.Rename(int(o.src), o.name)
				} else {
					e.Value(e.Add(), o.name, c.view(int(o.src)), int(o.src)&^resBase)
				}
				break
			}
			done, ok := c.cut(o, slab)
			if !done {
				if ok = c.convert(o.conv, int(o.src), &val); ok {
					c.put(o, &val, slab)
				}
			}
			if !ok {
				if o.own {
					e.Drop(int(o.src))
				}
				continue
			}
		case opRecord:
			if !c.ofRecord(o.record, o.conv, &val) {
				continue
			}
			c.put(o, &val, slab)
		case opConst:
			switch i := e.Add(); {
			case o.number:
				n, _ := strconv.ParseInt(*p.texts[o.src][0], 10, 64)
				e.Int(i, o.name, n)
			case o.conv == List:
				e.Texts(i, o.name, p.texts[o.src]...)
			default:
				e.Text(i, o.name, p.texts[o.src][0])
			}
		case opAdd:
			c.joinText(o, slab)
			continue
		case opSet:
			if len(r.texts) > 0 {
				e.Texts(e.Add(), o.name, r.texts...)
				r.texts = r.texts[:0]
			}
			continue
		}
		for n := o.skip; n > 0; n-- {
			i++
			if left := &p.edits[i]; left.own {
				e.Drop(int(left.src))
			}
		}
	}
	for _, n := range p.renames {
		e.Rename(n.slot, n.key)
	}
	for _, i := range p.dead {
		e.Drop(i)
	}
}

// cut does the conversions that leave a text as it is, or only cut from it. It
// has done nothing when the source is no text.
func (c *cursor) cut(o *edit, slab *logslab.Slab) (done, ok bool) {
	var s string
	t := c.view(int(o.src)).Text(int(o.src) &^ resBase)
	if t == nil {
		return false, false
	}
	switch o.conv {
	case Address, Addresses:
		s = unbracket(*t, '<', '>')
	case Host:
		s = hostOf(*t)
	case IP:
		s = c.r.knownIP(*t)
	case Dataset:
		if d := knownDataset(*t); d != nil {
			c.r.out.Text(c.slot(o), o.name, d)
			return true, true
		}
		return false, false
	default:
		return false, false
	}
	if s == "" {
		return true, false
	}
	if len(s) != len(*t) {
		t = slab.Text(s)
	} else if o.own && o.conv != Addresses {
		c.r.out.Rename(int(o.src), o.name)
		return true, true
	}
	if o.conv == Addresses {
		c.r.out.Texts(c.slot(o), o.name, t)
	} else {
		c.r.out.Text(c.slot(o), o.name, t)
	}
	return true, true
}

// view returns the attributes that a source is one of.
func (c *cursor) view(src int) *logslab.View {
	if src >= resBase {
		return &c.r.res
	}
	return &c.r.attrs
}

// slot is where the field of o goes.
func (c *cursor) slot(o *edit) int {
	if o.own {
		return int(o.src)
	}
	return c.r.out.Add()
}

// same returns the text of o's source if s is all of it: conversions that give
// text cut only.
func (c *cursor) same(o *edit, s string) *string {
	if o.opKind == opValue {
		if t := c.view(int(o.src)).Text(int(o.src) &^ resBase); t != nil && len(*t) == len(s) {
			return t
		}
	}
	return nil
}

// put sets the field of o to a converted value.
func (c *cursor) put(o *edit, v *value, slab *logslab.Slab) {
	r := c.r
	e := &r.out
	i := c.slot(o)
	switch v.kind {
	case isStr, isList:
		t := c.same(o, v.str)
		if t == nil {
			t = slab.Text(v.str)
		}
		if v.kind == isList {
			e.Texts(i, o.name, t)
		} else {
			e.Text(i, o.name, t)
		}
	case isRaw, isOther:
		if o.own {
			e.Rename(i, o.name) // it is the value that is there
			return
		}
		if o.opKind == opValue {
			e.Value(i, o.name, c.view(int(o.src)), int(o.src)&^resBase)
			return
		}
		e.Any(i, o.name, v.raw)
	case isInt:
		e.Int(i, o.name, v.num)
	case isDate:
		e.Text(i, o.name, r.date(v.num, slab))
	case isEpoch:
		e.Double(i, o.name, float64(millis(v.num))/1e3)
	}
}

// joinText adds the value of an opAdd to the set.
func (c *cursor) joinText(o *edit, slab *logslab.Slab) {
	r := c.r
	t := c.view(int(o.src)).Text(int(o.src) &^ resBase)
	var s string
	if t != nil {
		s = *t
	} else {
		s = r.source(int(o.src)).AsString()
	}
	if s = c.member(o.conv, s); s == "" {
		return
	}
	for _, have := range r.texts {
		if *have == s {
			return
		}
	}
	if t == nil || len(*t) != len(s) {
		t = slab.Text(s)
	}
	r.texts = append(r.texts, t)
}

// date returns a time as a string that may be shared.
func (r *Renderer) date(ns int64, slab *logslab.Slab) *string {
	sec, frac := split(ns)
	if frac != 0 {
		from := r.room(32)
		r.text = r.appendTime(r.text, ns)
		return slab.Text(r.kept(from))
	}
	s := r.stamp(sec)
	if s.whole == nil {
		whole := string(append(s.text[:], 'Z'))
		s.whole = &whole
	}
	return s.whole
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

// grade is CIM's word for a severity.
func grade(n plog.SeverityNumber) string {
	switch {
	case n >= plog.SeverityNumberFatal:
		return "critical"
	case n >= plog.SeverityNumberError:
		return "high"
	case n >= plog.SeverityNumberWarn:
		return "medium"
	case n > plog.SeverityNumberUnspecified:
		return "informational"
	}
	return ""
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
	if len(s) == len("unknown") && strings.EqualFold(s, "unknown") {
		return ""
	}
	return s
}

// ipOf returns an IP address without brackets, "" for what has not the shape of
// one: a host name, an address with a port or a zone. The unspecified address,
// which PowerMTA writes where there was no connection, is nobody's.
func ipOf(s string) string {
	s = unbracket(s, '[', ']')
	if len(s) < 2 || len(s) > 45 {
		return ""
	}
	var n uint32
	for i := range len(s) {
		n += inAddress[s[i]]
	}
	dots := n / isDot & 0xff
	if n&0xff000000 == 0 && (n/isColon >= 2 && (dots == 0 || dots == 3) || n&^0xff == 3*isDot && n&0xff == 0) && s != "0.0.0.0" && s != "::" {
		return s
	}
	return ""
}

// knownIP is ipOf, which it need not be called for what it has just said yes to:
// mostly an address is both a field and one of a set.
func (r *Renderer) knownIP(s string) string {
	if s == "" {
		return ""
	}
	at := &r.ips[uintptr(unsafe.Pointer(unsafe.StringData(s)))>>3%uintptr(len(r.ips))]
	if unsafe.StringData(*at) == unsafe.StringData(s) && len(*at) == len(s) {
		return s
	}
	ip := ipOf(s)
	if len(ip) == len(s) {
		*at = s
	}
	return ip
}

// inAddress says what a byte is in an IP address, so that the sum over at most
// 45 bytes counts each kind.
var inAddress = func() (t [256]uint32) {
	for i := range t {
		switch c := byte(i); {
		case c == '.':
			t[i] = isDot
		case c == ':':
			t[i] = isColon
		case c >= '0' && c <= '9':
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			t[i] = isLetter
		default:
			t[i] = notInAddress
		}
	}
	return t
}()

const (
	isLetter     = 1
	isDot        = 1 << 8
	isColon      = 1 << 16
	notInAddress = 1 << 24
)

// isRedacted tells an address with a local part that is a hash, 16 (siphash)
// or 64 (HMAC-SHA256) hex digits, or that PowerMTA or the agent has taken out.
func isRedacted(addr string) bool {
	if strings.HasPrefix(addr, privacy.DefaultRedaction+"@") {
		return true
	}
	for _, n := range [...]int{16, 64} {
		if len(addr) > n && addr[n] == '@' {
			for i := range n {
				c := addr[i]
				if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
					return false
				}
			}
			return true
		}
	}
	return false
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
