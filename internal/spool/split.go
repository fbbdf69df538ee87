package spool

import "bytes"

const bom = "\ufeff"

// nextCSV returns the length of the record that b starts with, line end
// included; 0 if it is not complete. A line end within a quoted field does not
// end a record. As in RFC 4180 and in the agent's decoder, a quote opens a
// field only at the field's start; text behind a closing quote ends with its
// line.
func nextCSV(b []byte) int {
	start := 0
	if bytes.HasPrefix(b, []byte(bom)) {
		start = len(bom)
	}
	p := start
	for {
		nl := bytes.IndexByte(b[p:], '\n')
		line := b[p:]
		if nl >= 0 {
			line = line[:nl]
		}
		q := bytes.IndexByte(line, '"')
		if q < 0 {
			if nl < 0 {
				return 0
			}
			return p + nl + 1
		}
		q += p
		if q > start && b[q-1] != ',' {
			p = q + 1
			continue
		}
		c := closing(b, q+1)
		if c < 0 || c+1 == len(b) {
			return 0
		}
		p = c + 1
		switch b[p] {
		case ',':
			continue
		case '\r':
			if p+1 == len(b) {
				return 0
			}
		}
		if nl = bytes.IndexByte(b[p:], '\n'); nl < 0 {
			return 0
		}
		return p + nl + 1
	}
}

// closing returns where the quoted field whose text begins at k is closed, -1
// if that is not known.
func closing(b []byte, k int) int {
	for {
		c := bytes.IndexByte(b[k:], '"')
		if c < 0 {
			return -1
		}
		c += k
		if c+1 < len(b) && b[c+1] == '"' {
			k = c + 2
			continue
		}
		return c
	}
}

// nextJSON is nextCSV for JSON: one object a line, or one over several lines.
// An object that is not closed ends before the next line that begins with one.
func nextJSON(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\n':
			switch {
			case depth <= 0 || quoted:
				return i + 1
			case i+1 == len(b):
				return 0
			case b[i+1] == '{':
				return i + 1
			}
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
			depth--
		}
	}
	return 0
}

// width counts the fields of a CSV record without line end. open says that it
// ends within a quoted field.
func width(b []byte) (fields int, open bool) {
	b = bytes.TrimPrefix(b, []byte(bom))
	p := 0
	for fields = 1; ; fields++ {
		if p < len(b) && b[p] == '"' {
			c := closing(b, p+1)
			if c < 0 {
				return fields, true
			}
			p = c + 1
		}
		c := bytes.IndexByte(b[p:], ',')
		if c < 0 {
			return fields, false
		}
		p += c + 1
	}
}

// seal returns what makes a record without its end one that no decoder takes
// for a whole one: more fields than the header has, and a line end.
func seal(partial []byte, columns int) []byte {
	fields, open := width(partial)
	if columns == 0 {
		columns = max(fields, 24) // the agent knows headerless rows of up to 23 fields
	}
	var s []byte
	if open {
		s = append(s, '"')
	}
	for ; fields <= columns; fields++ {
		s = append(s, ',')
	}
	return append(s, "incomplete\n"...)
}

// isHeader says whether a record is a header line: its first cell is "type".
func isHeader(rec []byte) bool {
	rec = bytes.TrimPrefix(rec, []byte(bom))
	cell := rec
	if len(rec) > 0 && rec[0] == '"' {
		c := closing(rec, 1)
		if c < 0 {
			return false
		}
		cell = rec[1:c]
	} else if i := bytes.IndexAny(rec[:min(len(rec), 64)], ",\r\n"); i >= 0 {
		cell = rec[:i]
	}
	return bytes.EqualFold(bytes.TrimSpace(cell), []byte("type"))
}

func isBlank(rec []byte) bool { return len(bytes.TrimLeft(rec, " \t\r\n")) == 0 }

func chomp(rec []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(rec, []byte{'\n'}), []byte{'\r'})
}
