package acct

import (
	"fmt"
	"math/bits"
	"strings"
)

const (
	// likeWindow is how much of a line is needed to tell whether it starts
	// like a record.
	likeWindow = 64
	// swallowed is how many lines that start like a record make it certain
	// that the quoted field around them was never closed.
	swallowed = 16
)

// begin starts a list of fields at position pos.
func (d *Decoder) begin(pos int) int {
	d.st[0] = int32(pos)
	return 0
}

// finish ends the last field and returns the number of fields.
func (d *Decoder) finish(n, end int) int {
	d.en[n] = int32(end)
	return n + 1
}

func (d *Decoder) field(s string, i int) string {
	if d.st[i] < 0 {
		return d.side[^d.st[i]]
	}
	return s[d.st[i]:d.en[i]]
}

func (d *Decoder) grow() {
	d.st = append(d.st, make([]int32, len(d.st))...)
	d.en = append(d.en, make([]int32, len(d.en))...)
}

// commas returns a mask with a bit for each comma among 8 bytes.
func commas(w uint64) uint64 {
	const (
		comma = 0x2c2c2c2c2c2c2c2c
		low7  = 0x7f7f7f7f7f7f7f7f
	)
	w ^= comma
	w = ^((w&low7 + low7) | w | low7) // 0x80 in each byte that was a comma
	return (w >> 7) * 0x0102040810204080 >> 56
}

// split ends a field at each comma in s[from:to] and starts the next behind
// it. n is the number of the field that is open.
func (d *Decoder) split(s string, from, to, n int) int {
	i := from
	for ; i+64 <= len(s) && i < to; i += 64 {
		if n+66 > len(d.st) {
			d.grow()
		}
		b := s[i : i+64]
		m := commas(le64(b, 0)) | commas(le64(b, 8))<<8 | commas(le64(b, 16))<<16 | commas(le64(b, 24))<<24 |
			commas(le64(b, 32))<<32 | commas(le64(b, 40))<<40 | commas(le64(b, 48))<<48 | commas(le64(b, 56))<<56
		if rem := to - i; rem < 64 {
			m &= 1<<rem - 1
		}
		st, en := d.st, d.en
		for m != 0 {
			p := int32(i + bits.TrailingZeros64(m))
			en[n] = p
			n++
			st[n] = p + 1
			m &= m - 1
		}
	}
	for ; i < to; i++ {
		if s[i] == ',' {
			if n+2 > len(d.st) {
				d.grow()
			}
			d.en[n] = int32(i)
			n++
			d.st[n] = int32(i + 1)
		}
	}
	return n
}

type verdict uint8

const (
	whole    verdict = iota // a record, well-formed
	more                    // not decidable before more input is there
	tooLarge                // no end within the window
	badQuote                // text behind a closing quote, or a quote never closed
	cutOff                  // the input ends within quotes
)

type splitter struct {
	verdict verdict
	fields  int
	content int // end of the record without its line end
	end     int // end of the record, or of the line where it went wrong
}

// splitQuoted splits the record at pos, whose first quote is at q. It sees
// nothing beyond window; final says that the input ends there.
func (d *Decoder) splitQuoted(s string, pos, q, window int, final bool) (sp splitter) {
	undecided := more
	if !final && window < len(s) {
		undecided = tooLarge
	}
	s = s[:window]
	n := d.begin(pos)
	from := pos
	like := 0
	lineEnd := indexFrom(s, '\n', pos) // -1 without
	for {
		if q < 0 || lineEnd >= 0 && q > lineEnd {
			// No quote in the rest of the record.
			if lineEnd < 0 {
				if !final {
					sp.verdict = undecided
					return sp
				}
				sp.end = len(s)
				sp.content = len(s)
			} else {
				sp.end = lineEnd + 1
				sp.content = lineEnd
			}
			if sp.content > from && s[sp.content-1] == '\r' {
				sp.content--
			}
			n = d.split(s, from, sp.content, n)
			sp.fields = d.finish(n, sp.content)
			return sp
		}
		if q != from && s[q-1] != ',' {
			q = indexFrom(s, '"', q+1) // a quote within a field without quotes
			continue
		}
		n = d.split(s, from, q, n)
		escaped := false
		k := q + 1
		c := 0
		for {
			c = indexFrom(s, '"', k)
			// Lines that end within the quotes.
			for lineEnd >= 0 && (c < 0 || lineEnd < c) {
				next := indexFrom(s, '\n', lineEnd+1)
				if next >= 0 && (c < 0 || next < c) && d.like(s[lineEnd+1:next]) {
					if like++; like == swallowed {
						sp.verdict, sp.end = badQuote, next+1
						return sp
					}
				}
				lineEnd = next
			}
			if c < 0 {
				sp.verdict = undecided
				if final {
					sp.verdict, sp.end = cutOff, len(s)
				}
				return sp
			}
			if c+1 < len(s) && s[c+1] == '"' {
				escaped = true
				k = c + 2
				continue
			}
			break
		}
		if c+1 == len(s) && !final {
			sp.verdict = undecided
			return sp
		}
		if n+2 > len(d.st) {
			d.grow()
		}
		if escaped {
			d.side = append(d.side, strings.ReplaceAll(s[q+1:c], `""`, `"`))
			d.st[n] = int32(^(len(d.side) - 1))
		} else {
			d.st[n] = int32(q + 1)
		}
		d.en[n] = int32(c)
		switch rest := s[c+1:]; {
		case rest == "" || rest == "\r" && final:
			sp.fields, sp.content, sp.end = n+1, c+1, len(s)
			return sp
		case rest[0] == ',':
			n++
			from = c + 2
			d.st[n] = int32(from)
			q = indexFrom(s, '"', from)
		case rest[0] == '\n':
			sp.fields, sp.content, sp.end = n+1, c+1, c+2
			return sp
		case strings.HasPrefix(rest, "\r\n"):
			sp.fields, sp.content, sp.end = n+1, c+1, c+3
			return sp
		default:
			switch {
			case lineEnd >= 0:
				sp.verdict, sp.end = badQuote, lineEnd+1
			case final:
				sp.verdict, sp.end = badQuote, len(s)
			default:
				sp.verdict = undecided
			}
			return sp
		}
	}
}

func indexFrom(s string, c byte, from int) int {
	if i := strings.IndexByte(s[from:], c); i >= 0 {
		return from + i
	}
	return -1
}

// like reports whether a line starts like a record or a header. The first
// likeWindow bytes of the line are enough.
func (d *Decoder) like(s string) bool {
	if len(s) > likeWindow {
		s = s[:likeWindow]
	}
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i]
	}
	if s != "" && s[0] == 0 {
		return true // a hole, with perhaps a record behind it
	}
	s = strings.TrimPrefix(s, bom)
	if d.format == formatJSON {
		s = strings.TrimLeft(s, " \t")
		return s != "" && s[0] == '{'
	}
	first, rest, ok := likeCell(s)
	if !ok {
		return false
	}
	if strings.EqualFold(first, "type") {
		return true
	}
	if d.plan != nil && d.plan.typeCol > 0 {
		return d.likeOrder(s)
	}
	if d.plan != nil && !d.plan.secondIsTime {
		return ParseType(first) != TypeUnknown
	}
	if len(first) == 0 || len(first) > 16 {
		return false
	}
	for i := 0; i < len(first); i++ {
		if !isAlnum(first[i]) && first[i] != '-' && first[i] != '_' {
			return false
		}
	}
	return timeLike(strings.TrimPrefix(rest, `"`))
}

// likeOrder is like for columns of which type is not the first. A line of
// which neither type nor time is in sight passes.
func (d *Decoder) likeOrder(s string) bool {
	if s != "" && strings.HasPrefix(d.header, s) {
		return true
	}
	for i := 0; ; i++ {
		cell, rest, ok := likeCell(s)
		if !ok {
			return i > 0
		}
		switch i {
		case d.plan.typeCol:
			return ParseType(cell) != TypeUnknown
		case d.plan.timeCol:
			return timeLike(cell)
		}
		s = rest
	}
}

func likeCell(s string) (cell, rest string, ok bool) {
	if s != "" && s[0] == '"' {
		return strings.Cut(s[1:], `",`)
	}
	return strings.Cut(s, ",")
}

// timeLike reports whether s starts like a time in one of the known forms.
func timeLike(s string) bool {
	n := 0
	for n < len(s) && s[n]-'0' <= 9 {
		n++
	}
	switch {
	case n >= 9 && n <= 10:
		return n == len(s) || s[n] == ',' || s[n] == '.' || s[n] == '"' || s[n] == '\r' || s[n] == '\n'
	case n == 4:
		return len(s) >= 10 && s[4] == '-' && s[7] == '-'
	case n == 2:
		return len(s) >= 10 && s[2] == '/' && s[5] == '/'
	}
	return false
}

// resync returns where the first line behind pos that starts like a record
// begins, at most to: to if there is none. Lines are cut at window.
func (d *Decoder) resync(s string, pos, to, window int) int {
	for {
		i := indexFrom(s[:to], '\n', pos)
		if i < 0 || i+1 >= to {
			return to
		}
		pos = i + 1
		if d.like(s[pos:window]) {
			return pos
		}
	}
}

func isBlank(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != ' ' && s[i] != '\t' && s[i] != '\r' {
			return false
		}
	}
	return true
}

func (d *Decoder) decodeCSV(src string, pos int, final bool, h Handler) int {
	known := len(src) // end of what can be decided now
	if !final {
		known = strings.LastIndexByte(src, '\n') + 1
	}
	var text bool
	if pos < known {
		text = clean(src[pos:known])
	}
	quote := -1 // first quote at or behind pos, len(src) without
	for pos < len(src) {
		if d.skip != skipNone {
			n := d.resume(src, pos, final, h)
			if n == pos && d.skip != skipNone {
				return pos
			}
			pos = n
			continue
		}
		if src[pos] == 0 {
			n := d.hole(src, pos, final, h)
			if n == pos {
				return pos
			}
			pos = n
			continue
		}
		window := min(len(src), pos+d.max)
		lineEnd := indexFrom(src[:window], '\n', pos)
		sp := splitter{end: lineEnd + 1, content: lineEnd}
		if lineEnd < 0 {
			if window < len(src) {
				pos = d.overflow(src, pos, window, h)
				continue
			}
			if !final {
				return pos
			}
			sp.end, sp.content = len(src), len(src)
		}
		if src[pos] <= ' ' && isBlank(src[pos:sp.content]) {
			d.blank(pos, sp.end)
			pos = sp.end
			continue
		}
		start := pos
		if strings.HasPrefix(src[start:sp.content], bom) {
			start += len(bom)
		}
		if quote < pos {
			if quote = indexFrom(src, '"', pos); quote < 0 {
				quote = len(src)
			}
		}
		d.side = d.side[:0]
		if quote >= sp.content {
			if sp.content > start && src[sp.content-1] == '\r' {
				sp.content--
			}
			sp.fields = d.finish(d.split(src, start, sp.content, d.begin(start)), sp.content)
		} else {
			sp = d.splitQuoted(src, start, quote, window, final && window == len(src))
			switch sp.verdict {
			case more:
				return pos
			case tooLarge:
				pos = d.overflow(src, pos, window, h)
				continue
			case badQuote, cutOff:
				end := d.resync(src, pos, sp.end, window)
				r := Reject{Start: pos, End: end, Reason: ReasonBadQuote, Detail: "a quoted field does not end, or has text behind its closing quote"}
				if sp.verdict == cutOff && end == sp.end {
					r.Reason, r.Detail = ReasonIncomplete, "the file ends within a quoted field"
				}
				h.Reject(r)
				pos = end
				continue
			}
		}
		pos = d.line(src, pos, start, sp, text || clean(src[start:sp.content]), final && lineEnd < 0, h)
	}
	return pos
}

// line handles a well-formed line whose fields are known. It returns where to
// go on.
func (d *Decoder) line(src string, pos, start int, sp splitter, text, last bool, h Handler) int {
	base, n := src, sp.fields
	if !text {
		base = sanitize(src[start:sp.content])
		d.side = d.side[:0]
		if i := strings.IndexByte(base, '"'); i >= 0 {
			n = d.splitQuoted(base, 0, i, len(base), true).fields
		} else {
			n = d.finish(d.split(base, 0, len(base), d.begin(0)), len(base))
		}
	}
	first := d.field(base, 0)
	typ := ParseType(first)
	if typ == TypeUnknown || d.plan != nil && d.plan.typeCol > 0 {
		if d.isHeader(base, n) {
			d.headerLine(src, base, pos, start, sp, text, h)
			return sp.end
		}
		// Only somebody else's program puts another column first.
		if d.plan != nil && d.plan.typeCol > 0 && d.plan.typeCol < n {
			first = d.field(base, d.plan.typeCol)
			typ = ParseType(first)
		}
	}
	reject := func(reason Reason, detail string) int {
		end := sp.end
		if reason == ReasonTooFewFields || reason == ReasonTooManyFields || reason == ReasonIncomplete {
			end = d.resync(src, pos, sp.end, sp.end)
		}
		if end < sp.end && reason == ReasonIncomplete {
			reason = ReasonTooFewFields
		}
		h.Reject(Reject{Start: pos, End: end, Reason: reason, Detail: detail})
		return end
	}
	p := d.plan
	if p == nil || d.assumed && n != len(p.cols) {
		if p = d.layout(base, n, typ); p == nil {
			return reject(ReasonNoHeader, fmt.Sprintf("no usable header line before this row of %d fields", n))
		}
	}
	if n != len(p.cols) {
		reason := ReasonTooManyFields
		if n < len(p.cols) {
			reason = ReasonTooFewFields
			if last {
				reason = ReasonIncomplete
			}
		}
		return reject(reason, fmt.Sprintf("%d fields, header has %d", n, len(p.cols)))
	}
	r := &d.rec
	r.Type, r.TypeText = typ, first
	if reason, detail := d.row(p, base, !text); reason != "" {
		return reject(reason, detail)
	}
	d.identify(r, src[start:sp.content], start)
	r.Start, r.End = pos, sp.end
	h.Record(r)
	return sp.end
}

// isHeader tells whether the n fields in work are the names of columns: the
// first is "type" or, in another order, "type" and "timeLogged" are among them.
func (d *Decoder) isHeader(s string, n int) bool {
	const typ, logged = "type", "timeLogged"
	found := 0
	for i := range n {
		f := d.field(s, i)
		if len(f) < len(typ) || len(f) > 16 {
			continue
		}
		switch f = strings.TrimSpace(f); {
		case strings.EqualFold(f, typ):
			if i == 0 {
				return true
			}
			found |= 1
		case strings.EqualFold(f, logged):
			found |= 2
		}
	}
	return found == 3
}

func (d *Decoder) headerLine(src, base string, pos, start int, sp splitter, text bool, h Handler) {
	raw := src[start:sp.content]
	clean := raw
	if !text {
		clean = base
	}
	if clean != d.header || d.plan == nil || d.assumed {
		if !d.setHeader(clean) {
			// Rows that follow must not be read with the columns before.
			d.header, d.plan, d.spoilt, d.saved = "", nil, true, nil
			detail := fmt.Sprintf("header line with an unnamed column or more than %d columns", maxColumns)
			if strings.ContainsAny(clean, "\r\n") {
				detail = "header line with a line end in it: lines have to end with LF or CR LF"
			}
			h.Reject(Reject{Start: pos, End: sp.end, Reason: ReasonBadHeader, Detail: detail})
			return
		}
		if !d.seeded {
			d.seed = hashHeader(raw)
			d.saved = nil
		}
	}
	if d.trace != nil {
		d.trace("header", pos, sp.end)
	}
}

// layout returns the columns of a row that comes before any header, nil if
// they are not certain.
func (d *Decoder) layout(s string, n int, typ Type) *plan {
	if d.spoilt {
		return nil
	}
	message := typ == TypeDelivery || typ == TypeBounce || typ == TypeTransient
	switch {
	case n == 23 && message:
		return layout23
	case n == 22 && message:
		// 3.x has timeImprinted in the fourth column and ends with envId;
		// later ones have orig there and end with queue.
		fourth := d.field(s, 3)
		slash := strings.IndexByte(d.field(s, 21), '/') >= 0
		_, isTime := d.parseTime(fourth)
		switch {
		case !slash && (fourth == "" || isTime):
			return layout3x
		case slash && fourth != "" && !isTime:
			return layout22
		case slash && fourth == "" && action(d.field(s, 6)) && !action(d.field(s, 7)):
			return layout22 // the null sender
		}
	case n == 10 && typ == TypeTransientQueue:
		return layoutTQ
	case n == 12 && typ == TypeReceipt:
		return layoutR
	}
	return nil
}

func action(s string) bool {
	return s == "relayed" || s == "delivered" || s == "failed" || s == "delayed" || s == "expanded"
}

// overflow rejects what the window holds of a record that has no end in it:
// up to the next line that starts like a record, or else up to the last line
// start, so that no line that the window cuts is judged by half.
func (d *Decoder) overflow(src string, pos, window int, h Handler) int {
	r := Reject{Start: pos, End: window, Reason: ReasonTooLarge, Detail: fmt.Sprintf("longer than %d bytes", d.max)}
	last := strings.LastIndexByte(src[pos:window], '\n') + 1 + pos
	if last > pos {
		r.End = d.resync(src, pos, last, window)
		if r.End < last {
			r.Reason, r.Detail = ReasonBadQuote, "a quoted field does not end"
			if d.format == formatJSON {
				r.Reason, r.Detail = ReasonBadJSON, "an object does not end"
			}
		} else {
			d.setSkip(skipLine)
		}
	} else {
		d.setSkip(skipMid)
	}
	h.Reject(r)
	return r.End
}

func (d *Decoder) setSkip(m skipMode) {
	if d.skip != m {
		d.skip, d.saved = m, nil
	}
}

// resume skips what is left of something too large, up to the next line that
// starts like a record. It returns where to go on: pos if more input is
// needed and d.skip is still set.
func (d *Decoder) resume(src string, pos int, final bool, h Handler) int {
	window := min(len(src), pos+d.max)
	full := window == pos+d.max
	end := final && !full
	emit := func(to int, m skipMode) int {
		d.setSkip(m)
		if to > pos {
			h.Reject(Reject{Start: pos, End: to, Reason: ReasonTooLarge, Detail: fmt.Sprintf("rest of a record longer than %d bytes", d.max)})
		}
		return to
	}
	c := pos
	if d.skip == skipMid {
		nl := indexFrom(src[:window], '\n', pos)
		switch {
		case nl >= 0:
			c = nl + 1
		case end:
			return emit(window, skipNone)
		case full:
			return emit(window, skipMid)
		default:
			return pos
		}
	}
	for {
		nl := -1
		if c < window {
			nl = indexFrom(src[:window], '\n', c)
		}
		switch {
		case c < window && (nl >= 0 || window-c >= likeWindow || end):
			if d.like(src[c:window]) {
				return emit(c, skipNone)
			}
		case end:
			return emit(c, skipNone)
		case full && c > pos:
			return emit(c, skipLine)
		default:
			return pos
		}
		switch {
		case nl >= 0:
			c = nl + 1
		case end:
			return emit(window, skipNone)
		case full && c > pos:
			return emit(c, skipLine)
		case full:
			return emit(window, skipMid)
		default:
			return pos
		}
	}
}
