package acct

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxJSONDepth = 100
	maxJSONPlans = 64
)

// jsonPlans keeps compiled columns by the keys of an object, in order. Most
// objects have the keys of the one before.
type jsonPlans struct {
	last  *plan
	byKey map[string]*plan
}

func (j *jsonPlans) get(keys []string) *plan {
	if p := j.last; p != nil && len(p.names) == len(keys) {
		same := true
		for i, k := range keys {
			if p.names[i] != k {
				same = false
				break
			}
		}
		if same {
			return p
		}
	}
	id := strings.Join(keys, "\x00")
	p := j.byKey[id]
	if p == nil {
		own := strings.Split(strings.Clone(id), "\x00")
		p = compile(own)
		if j.byKey == nil || len(j.byKey) >= maxJSONPlans {
			j.byKey = make(map[string]*plan)
		}
		j.byKey[id] = p
	}
	j.last = p
	return p
}

// decodeJSON decodes objects: one a line, in an array, or one over several
// lines. What separates them is not looked at closely.
func (d *Decoder) decodeJSON(src string, pos int, final bool, h Handler) int {
	text := clean(src)
	for pos < len(src) {
		if d.skip != skipNone {
			n := d.resume(src, pos, final, h)
			if n == pos && d.skip != skipNone {
				return pos
			}
			pos = n
			continue
		}
		c := pos
		for c < len(src) && jsonBetween[src[c]] {
			c++
		}
		if c > pos {
			d.blank(pos, c)
			pos = c
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
		s := src[:window]
		ends := final && window == len(src)
		if src[pos] == '{' {
			end, v := d.scanObject(s, pos, text)
			if v == whole {
				d.object(src, pos, end, h)
				pos = end
				continue
			}
			bad := end
			if v == badQuote {
				if cut := d.resync(s, pos, bad+1, window); cut <= bad {
					h.Reject(Reject{Start: pos, End: cut, Reason: ReasonBadJSON, Detail: "malformed object"})
					pos = cut
					continue
				}
				if m := matchBrace(s, pos); m > bad {
					h.Reject(Reject{Start: pos, End: m, Reason: ReasonBadJSON, Detail: "malformed object"})
					pos = m
					continue
				}
				if nl := indexFrom(s, '\n', bad); nl >= 0 {
					h.Reject(Reject{Start: pos, End: nl + 1, Reason: ReasonBadJSON, Detail: "malformed object"})
					pos = nl + 1
					continue
				}
			}
			switch {
			case ends:
				r := Reject{Start: pos, End: d.resync(s, pos, window, window), Reason: ReasonBadJSON, Detail: "malformed object"}
				if v == more && r.End == window {
					r.Reason, r.Detail = ReasonIncomplete, "the file ends within an object"
				}
				h.Reject(r)
				pos = r.End
			case window < len(src):
				pos = d.overflow(src, pos, window, h)
			default:
				return pos
			}
			continue
		}
		nl := indexFrom(s, '\n', pos)
		switch {
		case nl >= 0:
			nl++
		case ends:
			nl = window
		case window < len(src):
			pos = d.overflow(src, pos, window, h)
			continue
		default:
			return pos
		}
		h.Reject(Reject{Start: pos, End: nl, Reason: ReasonBadJSON, Detail: "not a JSON object"})
		pos = nl
	}
	return pos
}

// jsonBetween holds the bytes that may stand between objects.
var jsonBetween = [256]bool{' ': true, '\t': true, '\r': true, '\n': true, ',': true, '[': true, ']': true}

func (d *Decoder) object(src string, start, end int, h Handler) {
	p := d.plans.get(d.keys)
	r := &d.rec
	r.Type, r.TypeText = TypeUnknown, ""
	if p.typeCol >= 0 {
		r.TypeText = d.field(src, p.typeCol)
		r.Type = ParseType(r.TypeText)
	}
	if reason, detail := d.row(p, src, d.dirty); reason != "" {
		h.Reject(Reject{Start: start, End: end, Reason: reason, Detail: detail})
		return
	}
	d.identify(r, src[start:end], start)
	r.Start, r.End = start, end
	h.Record(r)
}

// scanObject reads the object at s[i]: its keys into d.keys, its values into
// the fields. It returns where the object ends (whole), or where it goes
// wrong (badQuote); more means that s ends before either.
func (d *Decoder) scanObject(s string, i int, text bool) (at int, v verdict) {
	d.keys = d.keys[:0]
	d.side = d.side[:0]
	d.dirty = false
	n := 0
	i = jsonSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return i + 1, whole
	}
	for {
		// Key.
		if i == len(s) {
			return i, more
		}
		if s[i] != '"' {
			return i, badQuote
		}
		end, esc, v := jsonString(s, i)
		if v != whole {
			return end, v
		}
		key := s[i+1 : end-1]
		if esc {
			key = unescape(key)
		}
		if (esc || !text) && !clean(key) {
			key = sanitize(key)
			d.dirty = true
		}
		if key == "" {
			key = "_" // an attribute needs a name
		}
		if len(d.keys) == maxColumns {
			return i, badQuote
		}
		d.keys = append(d.keys, key)
		i = jsonSpace(s, end)
		if i == len(s) {
			return i, more
		}
		if s[i] != ':' {
			return i, badQuote
		}
		i = jsonSpace(s, i+1)
		if i == len(s) {
			return i, more
		}
		// Value.
		if n+2 > len(d.st) {
			d.grow()
		}
		from := i
		switch s[i] {
		case '"':
			if end, esc, v = jsonString(s, i); v != whole {
				return end, v
			}
			i = end
			from, end = from+1, end-1
			if esc || !text {
				val := s[from:end]
				if esc {
					val = unescape(val)
				}
				if !clean(val) {
					val = sanitize(val)
					d.dirty = true
				}
				d.side = append(d.side, val)
				from = ^(len(d.side) - 1)
			}
		default:
			if end, v = jsonValue(s, i, 1); v != whole {
				return end, v
			}
			i = end
			switch {
			case s[from] == 'n':
				end = from // null: no value
			case !text && !clean(s[from:end]):
				d.side = append(d.side, sanitize(s[from:end]))
				d.dirty = true
				from = ^(len(d.side) - 1)
			}
		}
		d.st[n], d.en[n] = int32(from), int32(end)
		n++
		i = jsonSpace(s, i)
		if i == len(s) {
			return i, more
		}
		switch s[i] {
		case '}':
			return i + 1, whole
		case ',':
			i = jsonSpace(s, i+1)
		default:
			return i, badQuote
		}
	}
}

func jsonSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// jsonStop holds the bytes at which the scan of a string stops.
var jsonStop = [256]bool{'"': true, '\\': true, '\n': true}

// jsonString reads the string at s[i], a quote. A line end cannot be part of
// it, so that a missing quote does no harm beyond its line; other control
// characters are let through.
func jsonString(s string, i int) (end int, escaped bool, v verdict) {
	for i++; i < len(s); i++ {
		if !jsonStop[s[i]] {
			continue
		}
		switch s[i] {
		case '"':
			return i + 1, escaped, whole
		case '\n':
			return i, escaped, badQuote
		}
		escaped = true
		if i++; i == len(s) {
			break
		}
		switch s[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			for k := 0; k < 4; k++ {
				if i++; i == len(s) {
					return i, escaped, more
				}
				if !isHex(s[i]) {
					return i, escaped, badQuote
				}
			}
		default:
			return i, escaped, badQuote
		}
	}
	return len(s), escaped, more
}

// jsonValue reads the value at s[i].
func jsonValue(s string, i, depth int) (end int, v verdict) {
	if i == len(s) {
		return i, more
	}
	switch c := s[i]; {
	case c == '"':
		end, _, v = jsonString(s, i)
		return end, v
	case c == '{' || c == '[':
		if depth == maxJSONDepth {
			return i, badQuote
		}
		shut := c + 2 // '}' and ']'
		i = jsonSpace(s, i+1)
		if i < len(s) && s[i] == shut {
			return i + 1, whole
		}
		for {
			if c == '{' {
				if i == len(s) {
					return i, more
				}
				if s[i] != '"' {
					return i, badQuote
				}
				if i, _, v = jsonString(s, i); v != whole {
					return i, v
				}
				if i = jsonSpace(s, i); i == len(s) {
					return i, more
				}
				if s[i] != ':' {
					return i, badQuote
				}
				i = jsonSpace(s, i+1)
			}
			if i, v = jsonValue(s, i, depth+1); v != whole {
				return i, v
			}
			if i = jsonSpace(s, i); i == len(s) {
				return i, more
			}
			if s[i] == shut {
				return i + 1, whole
			}
			if s[i] != ',' {
				return i, badQuote
			}
			i = jsonSpace(s, i+1)
		}
	case c == 't':
		return jsonWord(s, i, "true")
	case c == 'f':
		return jsonWord(s, i, "false")
	case c == 'n':
		return jsonWord(s, i, "null")
	case c == '-' || c >= '0' && c <= '9':
		return jsonNumber(s, i)
	}
	return i, badQuote
}

func jsonWord(s string, i int, word string) (int, verdict) {
	for k := 0; k < len(word); k++ {
		if i+k == len(s) {
			return i + k, more
		}
		if s[i+k] != word[k] {
			return i + k, badQuote
		}
	}
	return i + len(word), whole
}

func jsonNumber(s string, i int) (int, verdict) {
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	bad := func() (int, verdict) {
		if i == len(s) {
			return i, more
		}
		return i, badQuote
	}
	if s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return bad()
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return bad()
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return bad()
		}
	}
	if i == len(s) {
		return i, more
	}
	return i, whole
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// unescape resolves the escapes of a JSON string that jsonString has passed.
// Half a surrogate pair becomes U+FFFD.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return string(append(b, s...))
		}
		b = append(b, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(s[2:]))
				}
				if r = pair; r != utf8.RuneError {
					s = s[6:]
				}
			}
			b = utf8.AppendRune(b, r)
		default: // quote, backslash, slash
			b = append(b, c)
		}
	}
}

func hex4(s string) (r rune) {
	for i := 0; i < 4; i++ {
		c := s[i]
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// matchBrace returns the end of the object at s[i] by its braces alone, on
// one line; 0 if it has none.
func matchBrace(s string, i int) int {
	depth := 0
	quoted := false
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
			return 0
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// joinJSONArray turns an array of strings into its elements, joined by
// commas. Any other text is returned as it is.
func joinJSONArray(s string) string {
	var list []string
	if json.Unmarshal([]byte(s), &list) != nil {
		return s
	}
	return strings.Join(list, ",")
}
