package acct

import (
	"time"
)

// timeCache remembers the date and zone of the last time in the usual form.
// Consecutive records rarely differ in them.
type timeCache struct {
	date0, date1, zone uint64
	base               int64 // Unix seconds of 00:00:00 on that date in that zone
}

func le64(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// parseTime reads "2006-01-02 15:04:05-0700" and its relatives into
// nanoseconds since the Unix epoch. It is false for anything else and for
// years before 1970 or after 2261.
func (d *Decoder) parseTime(s string) (int64, bool) {
	if len(s) == 24 {
		w1, w2 := le64(s, 8), le64(s, 16)
		if le64(s, 0) == d.tc.date0 && w1&0xffffff == d.tc.date1 && w2>>24 == d.tc.zone {
			h1, h2 := s[11]-'0', s[12]-'0'
			m1, m2 := s[14]-'0', s[15]-'0'
			s1, s2 := s[17]-'0', s[18]-'0'
			h, m, sec := h1*10+h2, m1*10+m2, s1*10+s2
			if h2 <= 9 && m1 <= 5 && m2 <= 9 && s1 <= 5 && s2 <= 9 && h1 <= 2 && h <= 23 && s[13] == ':' && s[16] == ':' {
				return (d.tc.base + int64(h)*3600 + int64(m)*60 + int64(sec)) * 1e9, true
			}
		}
	}
	return d.parseTimeSlow(s)
}

func (d *Decoder) parseTimeSlow(s string) (int64, bool) {
	if len(s) < 11 || s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9' && s[4] >= '0' && s[4] <= '9' && s[5] >= '0' && s[5] <= '9' {
		return parseUnix(s)
	}
	var year, month, day int
	var ok1, ok2, ok3 bool
	switch {
	case s[4] == '-' && s[7] == '-':
		year, ok1 = digits(s[0:4])
		month, ok2 = digits(s[5:7])
		day, ok3 = digits(s[8:10])
	case s[2] == '/' && s[5] == '/':
		month, ok1 = digits(s[0:2])
		day, ok2 = digits(s[3:5])
		year, ok3 = digits(s[6:10])
	default:
		return 0, false
	}
	if !ok1 || !ok2 || !ok3 || year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	if s[10] != ' ' && s[10] != 'T' || len(s) < 19 || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	hour, ok1 := digits(s[11:13])
	minute, ok2 := digits(s[14:16])
	sec, ok3 := digits(s[17:19])
	// 60 is a leap second; it counts as the first of the next minute.
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || sec > 60 {
		return 0, false
	}
	rest := s[19:]
	var nano int64
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		var ok bool
		if nano, rest, ok = fraction(rest[1:]); !ok {
			return 0, false
		}
	}
	if rest == "" {
		t := time.Date(year, time.Month(month), day, hour, minute, sec, int(nano), d.loc)
		return t.UnixNano(), true
	}
	offset, ok := zone(rest)
	if !ok {
		return 0, false
	}
	base := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() - offset
	if len(s) == 24 && len(rest) == 5 && rest[0] != ' ' && s[4] == '-' && s[10] == ' ' {
		d.tc = timeCache{date0: le64(s, 0), date1: le64(s, 8) & 0xffffff, zone: le64(s, 16) >> 24, base: base}
	}
	return (base+int64(hour)*3600+int64(minute)*60+int64(sec))*1e9 + nano, true
}

// parseUnix reads Unix seconds, with or without a fraction.
func parseUnix(s string) (int64, bool) {
	var n, nano int64
	i := 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if i == 10 {
			return 0, false // beyond the year 2286
		}
		n = n*10 + int64(s[i]-'0')
	}
	if i == 0 || n > 9214646400 {
		return 0, false
	}
	if i < len(s) {
		if s[i] != '.' || i+1 == len(s) {
			return 0, false
		}
		var ok bool
		var rest string
		if nano, rest, ok = fraction(s[i+1:]); !ok || rest != "" {
			return 0, false
		}
	}
	return n*1e9 + nano, true
}

// fraction reads the digits behind a decimal point; those beyond the ninth
// are dropped.
func fraction(s string) (nano int64, rest string, ok bool) {
	i, scale := 0, int64(1e8)
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		nano += int64(s[i]-'0') * scale
		scale /= 10
	}
	return nano, s[i:], i > 0
}

// zone reads "Z", "+0000", "+00:00" or "+00", with or without a space before.
func zone(s string) (seconds int64, ok bool) {
	if s[0] == ' ' && len(s) > 1 {
		s = s[1:]
	}
	if s == "Z" || s == "z" {
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	var h, m int
	ok1, ok2 := false, true
	switch {
	case len(s) == 3:
		h, ok1 = digits(s[1:])
	case len(s) == 5:
		h, ok1 = digits(s[1:3])
		m, ok2 = digits(s[3:])
	case len(s) == 6 && s[3] == ':':
		h, ok1 = digits(s[1:3])
		m, ok2 = digits(s[4:])
	}
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	seconds = int64(h)*3600 + int64(m)*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

// digits reads a number of at most 4 digits.
func digits(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
