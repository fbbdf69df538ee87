package webmon

import (
	"cmp"
	"slices"
)

// Other is the name for everything that [Top] does not name.
const Other = "_other"

// Top chooses the rows that get metrics of their own, at most N, so that a
// server with a million jobs has as many metrics as one with N. It prefers
// those with most recipients, but lets one stay that was chosen before until
// another has a quarter more: names that come and go cost a metrics store more
// than those that stay.
type Top struct {
	N      int
	member map[string]bool
}

// Pick returns the rows chosen, by name, and the sum of all others. The sum's
// recipients count what the page does not list if the page has a total; its
// other values are sums over rows that are listed.
func (t *Top) Pick(l *List) (named []Row, rest Row) {
	rows := slices.Clone(l.Rows)
	weight := func(r Row) int64 {
		if r.Name == Other {
			return -1 // the name is taken
		}
		// Connections tell between rows without recipients.
		w := min(r.Recipients.V, 1<<48)*1000 + min(r.Connections.V, 999)
		if t.member[r.Name] {
			w += w / 4
		}
		return w
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a.Name, b.Name))
	})
	n := min(max(t.N, 0), len(rows))
	if n > 0 && n == len(rows) && rows[n-1].Name == Other {
		n--
	}
	named = rows[:n:n]
	rest = Row{Name: Other, Recipients: Some[int64](0), Bytes: Some[int64](0), Connections: Some[int64](0), Domains: Some[int64](0)}
	for _, r := range rows[n:] {
		rest.Recipients.V += r.Recipients.V
		rest.Bytes.V += r.Bytes.V
		rest.Connections.V += r.Connections.V
		rest.Domains.V += r.Domains.V
	}
	t.member = make(map[string]bool, n)
	left := l.TotalRecipients.V
	for _, r := range named {
		t.member[r.Name] = true
		left -= r.Recipients.V
	}
	if l.TotalRecipients.OK {
		rest.Recipients.V = max(left, rest.Recipients.V)
	}
	slices.SortFunc(named, func(a, b Row) int { return cmp.Compare(a.Name, b.Name) })
	return named, rest
}
