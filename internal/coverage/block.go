package coverage

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// view is what was seen, at one moment: the streams by name.
type view []streamView

type streamView struct {
	name    string
	columns []string
	has     map[string]bool
	types   map[string]int64 // records by type
	writes  map[acct.Type]bool
}

// view copies the state. The stream that new record types go to comes first:
// the one with most deliveries.
func (s *Seen) view() view {
	var v view
	for _, name := range streamNames(s.streams) {
		st := s.streams[name]
		sv := streamView{name: st.name, columns: st.columns, has: st.has, types: map[string]int64{}, writes: map[acct.Type]bool{}}
		for t, n := range st.types {
			sv.types[t.String()] = n
			sv.writes[t] = true
		}
		if len(st.types) == 0 && len(st.columns) > 0 {
			for _, t := range likely(st.has) {
				sv.writes[t] = true
			}
		}
		v = append(v, sv)
	}
	main := 0
	for i := range v {
		a, b := v[i], v[main]
		if a.types["d"] > b.types["d"] || a.types["d"] == b.types["d"] && a.writes[tD] && !b.writes[tD] {
			main = i
		}
	}
	if main > 0 {
		v = slices.Insert(slices.Delete(slices.Clone(v), main, main+1), 0, v[main])
	}
	return v
}

func streamNames(m map[string]*stream) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// likely says which record types a header is made for while there is no
// record.
func likely(has map[string]bool) []acct.Type {
	var out []acct.Type
	if has["dsnaction"] || has["dlvtype"] && has["rcpt"] {
		out = append(out, tD, tB) // PMTA's default
	} else if has["dlvtype"] {
		out = append(out, tTQ)
	}
	if has["rcvsourceip"] {
		out = append(out, tR)
	}
	if has["feedbacktype"] || has["useragent"] {
		out = append(out, tF)
	}
	if has["dsnreportingmta"] {
		out = append(out, tRB)
	}
	if out == nil {
		return of(tD, tB)
	}
	return out
}

func (s streamView) hasAny(columns []string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return s.has[strings.ToLower(c)] })
}

func (v view) find(name string) streamView {
	for _, s := range v {
		if s.name == name {
			return s
		}
	}
	return streamView{}
}

// withMain puts the stream first that new record types go to: one that has
// deliveries or bounces, else an acct.csv beside the others.
func (v view) withMain() view {
	if len(v) > 0 && (v[0].writes[tD] || v[0].writes[tB]) {
		return v
	}
	name := "acct.csv"
	if len(v) > 0 {
		name = path.Join(path.Dir(v[0].name), name)
	}
	if i := slices.IndexFunc(v, func(s streamView) bool { return s.name == name }); i >= 0 {
		main := v[i]
		return slices.Insert(slices.Delete(slices.Clone(v), i, i+1), 0, main)
	}
	return slices.Insert(slices.Clone(v), 0, streamView{name: name})
}

// need is what a stream has to write in addition.
type need struct {
	types   map[acct.Type]bool
	columns map[acct.Type][]string
}

func (n *need) column(t acct.Type, c string) {
	if applies(t, c) && !contains(n.columns[t], c) {
		n.columns[t] = append(n.columns[t], c)
	}
}

// block returns the configuration that closes the gaps: one <acct-file> block
// for each stream that has to change, and what is needed elsewhere. With full,
// record types that are new get all columns that questions ask for.
func (v view) block(gaps []Gap, full bool) string {
	v = v.withMain()
	needs := map[string]*need{}
	get := func(name string) *need {
		if needs[name] == nil {
			needs[name] = &need{map[acct.Type]bool{}, map[acct.Type][]string{}}
		}
		return needs[name]
	}
	var elsewhere []string
	var config []string // other things that types need
	for _, g := range gaps {
		q := byID[g.ID]
		switch {
		case g.Kind == KindUnknown:
		case g.Kind == KindType:
			n := get(v[0].name)
			n.types[q.wants] = true
			for i := range table {
				if w := &table[i]; full && slices.Contains(w.types, q.wants) && !isDefault(q.wants, w.columns[0]) {
					for _, c := range append([]string{w.columns[0]}, w.also...) {
						n.column(q.wants, c)
					}
				}
			}
			if q.needsConfig != "" && !slices.Contains(config, q.needsConfig) {
				config = append(config, q.needsConfig)
			}
		case g.Kind == KindEmpty && q.emptyBlock != "":
			elsewhere = append(elsewhere, q.emptyBlock)
		default:
			for _, s := range v {
				for _, t := range g.types() {
					for _, c := range g.Missing {
						if s.writes[t] && slices.Contains(g.Streams, s.name) {
							get(s.name).column(t, c)
						}
					}
				}
			}
		}
	}
	var b strings.Builder
	for _, s := range v {
		if n := needs[s.name]; n != nil {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			s.write(&b, n)
		}
	}
	for _, c := range config {
		what := "f"
		if c == needsBounce {
			what = "rb and rs"
		}
		fmt.Fprintf(&b, "# %s: PowerMTA writes them only with %s.\n", what, c)
	}
	for _, e := range elsewhere {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e)
	}
	return b.String()
}

var byID = func() map[string]*question {
	m := map[string]*question{}
	for i := range table {
		m[table[i].id] = &table[i]
	}
	return m
}()

func (g *Gap) types() (out []acct.Type) {
	for _, t := range g.Types {
		out = append(out, acct.ParseType(t))
	}
	return out
}

// write writes the block of one stream: all it has today and what it needs.
func (s streamView) write(b *strings.Builder, n *need) {
	var types []acct.Type
	for _, t := range acct.Types {
		if s.writes[t] || n.types[t] {
			types = append(types, t)
		}
	}
	fmt.Fprintf(b, "<acct-file %s>\n    records %s\n", s.path(), strings.Join(names(types), ","))
	for _, t := range types {
		if list := s.fields(t, n); list != "*" {
			fmt.Fprintf(b, "    record-fields %s %s\n", t, list)
		}
	}
	var other []string
	for _, c := range s.columns {
		l := strings.ToLower(c)
		if !documented(c) && l != "type" || slices.ContainsFunc(types, func(t acct.Type) bool { return s.explained(t, c) && !asked(t, c) }) {
			other = append(other, c)
		}
	}
	if other != nil {
		fmt.Fprintf(b, "    # the header line does not tell which records have these; keep them where they are: %s\n", strings.Join(other, ","))
	}
	b.WriteString("    # keep what else is in your block: other records (rare ones were perhaps not seen), move-to, max-size, ...\n</acct-file>\n")
}

// explained says that a column may be there for another type, which has it by
// default, and not for t.
func (s streamView) explained(t acct.Type, c string) bool {
	return applies(t, c) && !isDefault(t, c) && slices.ContainsFunc(acct.Types, func(u acct.Type) bool { return s.writes[u] && isDefault(u, c) })
}

// asked says that a question asks for the column in records of type t.
func asked(t acct.Type, c string) bool {
	return slices.ContainsFunc(table, func(q question) bool {
		return slices.Contains(q.types, t) && (contains(q.columns[:1], c) || contains(q.also, c))
	})
}

// fields is the list of one record-fields directive: what the file has today,
// as far as the header line tells, and what is needed.
func (s streamView) fields(t acct.Type, n *need) string {
	restricted := s.writes[t] && len(s.columns) > 0 &&
		slices.ContainsFunc(defaults[t], func(c string) bool { return !s.has[strings.ToLower(c)] })
	var list []string
	add := func(c string) {
		if applies(t, c) && !contains(list, c) {
			list = append(list, c)
		}
	}
	for _, c := range s.columns {
		if restricted || !isDefault(t, c) && (!s.explained(t, c) || asked(t, c)) {
			add(c)
		}
	}
	for _, c := range n.columns[t] {
		// A default column that is needed is not there by default: the version
		// is an older one, or the list is restricted.
		if s.writes[t] || !isDefault(t, c) {
			add(c)
		}
	}
	if !restricted {
		list = append([]string{"*"}, list...)
	}
	return strings.Join(list, ",")
}

func (s streamView) path() string {
	if strings.HasPrefix(s.name, "/") || strings.Contains(s.name, `\`) || strings.HasPrefix(s.name, "|") {
		return s.name
	}
	return path.Join(DefaultDir, s.name)
}

func contains(list []string, c string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, c) })
}

func isDefault(t acct.Type, c string) bool {
	return contains(defaults[t], c) || contains(byDefault[t], c)
}

var (
	dated   = regexp.MustCompile(`-\d{4}-\d\d-\d\d(-\d{4,6})?(\.[A-Za-z0-9]+)?$`)
	numbers = regexp.MustCompile(`^-\d{4}-\d\d-\d\d(-\d{4,6})?`)
)

// StreamOf returns the accounting file as PMTA's configuration names it, from
// the base name of one of its files: acct-2026-01-31-0002.csv.gz gives
// acct.csv.
func StreamOf(base string) string {
	base = strings.TrimSuffix(base, ".gz")
	return dated.ReplaceAllStringFunc(base, func(m string) string { return numbers.ReplaceAllString(m, "") })
}
