package spool

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	goodName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]*$`)
	datedName = regexp.MustCompile(`\d{4}-?\d\d-?\d\d`)
	mark      = regexp.MustCompile(`^-(\d{4}-\d\d-\d\d)-(\d{4,6})\.(csv|json)$`)
)

// fileName makes NAME-YYYY-MM-DD-NNNN.csv, as PMTA names its own files.
func fileName(name, date string, seq int, ext string) string {
	return fmt.Sprintf("%s-%s-%04d.%s", name, date, seq, ext)
}

// spooled is a data file of this spool.
type spooled struct {
	Info
	date string
	seq  int
	ext  string
}

// ours picks the data files of the spool called name, oldest first.
func ours(name string, all []Info) []spooled {
	var out []spooled
	for _, i := range all {
		rest, ok := strings.CutPrefix(i.Name, name)
		if !ok {
			continue
		}
		m := mark.FindStringSubmatch(rest)
		if m == nil {
			continue
		}
		seq, _ := strconv.Atoi(m[2])
		out = append(out, spooled{i, m[1], seq, m[3]})
	}
	slices.SortFunc(out, func(a, b spooled) int {
		return cmp.Or(strings.Compare(a.date, b.date), cmp.Compare(a.seq, b.seq), strings.Compare(a.Name, b.Name))
	})
	return out
}
