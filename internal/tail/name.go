package tail

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// order sorts the files of one stream in one directory by age, oldest first,
// as far as their names tell.
type order struct {
	live bool   // no rotation mark in the name: always the newest
	date string // 20260131, "" without
	seq  int    // the NNNN behind a date
	num  int    // the N of log.N: the higher the older
	name string
}

func (a order) compare(b order) int {
	if a.live != b.live {
		if a.live {
			return 1
		}
		return -1
	}
	return cmp.Or(strings.Compare(a.date, b.date), cmp.Compare(a.seq, b.seq), -cmp.Compare(a.num, b.num),
		strings.Compare(a.name, b.name))
}

// newerThan leaves the name alone out: it says nothing about age.
func (a order) newerThan(b order) bool {
	a.name, b.name = "", ""
	return a.compare(b) > 0
}

var (
	datedName    = regexp.MustCompile(`^(.*?)[-_.](\d{4})-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?:[-_.](\d{1,6}))?(\.\D.*)?$`)
	numberedName = regexp.MustCompile(`^(.+)\.(\d{1,4})$`)
	windowsName  = regexp.MustCompile(`^(.+)-(\d{1,3})(\.(?:txt|log))$`)
)

// parseName takes the rotation marks off a base name without .gz. PMTA writes
// acct-2026-01-31-0002.csv, log.3 and, on Windows, log-3.txt; logrotate writes
// log-20260131.
func parseName(name string) (stream string, o order) {
	o.name = name
	if m := datedName.FindStringSubmatch(name); m != nil {
		o.date = m[2] + m[3] + m[4]
		o.seq, _ = strconv.Atoi(m[5])
		return m[1] + m[6], o
	}
	if m := numberedName.FindStringSubmatch(name); m != nil {
		o.num, _ = strconv.Atoi(m[2])
		return m[1], o
	}
	if m := windowsName.FindStringSubmatch(name); m != nil {
		o.num, _ = strconv.Atoi(m[2])
		return m[1] + m[3], o
	}
	o.live = true
	return name, o
}

// past says that the date in the name is over by more than a day, whatever the
// time zone.
func (a order) past(now time.Time) bool {
	return a.date != "" && a.date < now.Add(-48*time.Hour).Format("20060102")
}
