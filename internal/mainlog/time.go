package mainlog

import "time"

// timeLen is the length of a time with the space behind it, by which every
// entry begins: "2026-01-31 10:05:12 ".
const timeLen = 20

// startsEntry reports whether line begins with a time: four digits, -, and so
// on, and a space or the end behind it.
func startsEntry(line string) bool {
	if len(line) < timeLen-1 || line[4] != '-' || line[7] != '-' || line[10] != ' ' || line[13] != ':' || line[16] != ':' {
		return false
	}
	if len(line) >= timeLen && line[timeLen-1] != ' ' {
		return false
	}
	return isDigit(line[0]) && isDigit(line[1]) && isDigit(line[2]) && isDigit(line[3]) && isDigit(line[5]) && isDigit(line[6]) &&
		isDigit(line[8]) && isDigit(line[9]) && isDigit(line[11]) && isDigit(line[12]) && isDigit(line[14]) && isDigit(line[15]) &&
		isDigit(line[17]) && isDigit(line[18])
}

// mayStartEntry reports whether startsEntry may be true for a line of which
// only s, shorter than a time, is there.
func mayStartEntry(s string) bool {
	const shape = "0000-00-00 00:00:00 "
	for i := 0; i < len(s) && i < timeLen; i++ {
		if shape[i] == '0' && !isDigit(s[i]) || shape[i] != '0' && s[i] != shape[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func two(s string, i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }

func le64(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// clock reads local times. It remembers the last minute.
type clock struct {
	loc    *time.Location
	m0, m1 uint64 // "2026-01-31 10:05" of the minute
	base   int64  // its Unix seconds
	last   int64  // Unix seconds read last, 0 without
}

// parse reads the time at the beginning of s, for which startsEntry is true,
// as Unix seconds. It is false for a time that does not exist.
//
// When clocks are set back, an hour of local times comes twice. The second one
// is meant when the first would be more than a minute before the time read
// last.
func (c *clock) parse(s string) (int64, bool) {
	sec := two(s, 17)
	if sec > 60 {
		return 0, false
	}
	if a, b := le64(s, 0), le64(s, 8); a != c.m0 || b != c.m1 || c.base == 0 {
		base, ok := c.minute(s)
		if !ok {
			return 0, false
		}
		c.m0, c.m1, c.base = a, b, base
	}
	c.last = c.base + int64(sec)
	return c.last, true
}

func (c *clock) minute(s string) (int64, bool) {
	year, month, day, hour, minute := two(s, 0)*100+two(s, 2), two(s, 5), two(s, 8), two(s, 11), two(s, 14)
	if year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, 0, 0, c.loc)
	if t.Unix() <= 0 || time.Date(year, time.Month(month), day, 12, 0, 0, 0, time.UTC).Day() != day {
		return 0, false
	}
	first, second := t.Unix(), t.Unix()
	for _, shift := range [...]int64{-3600, -1800, 1800, 3600} {
		if o := time.Unix(t.Unix()+shift, 0).In(c.loc); o.Hour() == t.Hour() && o.Minute() == t.Minute() && o.Day() == t.Day() {
			first, second = min(first, o.Unix()), max(second, o.Unix())
		}
	}
	if c.last > first+60+59 {
		return second, true
	}
	return first, true
}
