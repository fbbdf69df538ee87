package coverage

import (
	"fmt"
	"hash/fnv"
	"io"
	"sort"
	"strings"
	"time"
)

// Report is what a Seen knows at one moment.
type Report struct {
	Gaps      []Gap    // in the order of the table
	Questions int      // asked in all
	Streams   []Stream // the one that new record types go to comes first
	Records   int64    // seen in all
	Span      time.Duration
	// Block is the PMTA configuration that closes all Gaps, "" when there is
	// nothing to change.
	Block string

	view view
}

// Stream is what was seen of one accounting file.
type Stream struct {
	Name    string
	Columns int
	Types   map[string]int64 // records by type
}

// Sure returns the report without what too few records were seen for, and
// without what cannot be seen. This is the one to log and to send.
func (r *Report) Sure() *Report {
	c := *r
	c.Gaps = nil
	for _, g := range r.Gaps {
		if g.Sure {
			c.Gaps = append(c.Gaps, g)
		}
	}
	c.Block = c.view.block(c.Gaps, true)
	return &c
}

// Complete says that every question that can be judged has an answer. Without
// a record nothing can.
func (r *Report) Complete() bool {
	if r.Records == 0 {
		return false
	}
	for _, g := range r.Gaps {
		if g.Kind != KindUnknown {
			return false
		}
	}
	return true
}

// Key is the same for reports that say the same. It does not depend on
// counts, so comparing it with the last one tells whether there is news.
func (r *Report) Key() string {
	h := fnv.New64a()
	for i := range r.Gaps {
		_, _ = io.WriteString(h, r.Gaps[i].Key()+"\n")
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// Key is the same for gaps that say the same. Types and Streams are left out:
// they grow while the first records come in.
func (g *Gap) Key() string {
	return strings.Join([]string{g.ID, string(g.Kind), strings.Join(g.Missing, ","), fmt.Sprint(g.Sure)}, "|")
}

// What says in a few words what is missing: "records t", "column jobId (d,b)".
func (g *Gap) What() string {
	switch g.Kind {
	case KindType:
		return "records " + strings.Join(g.Missing, ",")
	case KindUnknown:
		return strings.Join(g.Missing, ", ")
	}
	noun := "column"
	if len(g.Missing) > 1 {
		noun = "columns"
	}
	return fmt.Sprintf("%s %s in %s", noun, strings.Join(g.Missing, ", "), strings.Join(g.Types, ","))
}

// Text is the report for a person.
func (r *Report) Text() string {
	var b strings.Builder
	for _, s := range r.Streams {
		fmt.Fprintf(&b, "%s: %d columns", s.Name, s.Columns)
		types := make([]string, 0, len(s.Types))
		for t := range s.Types {
			types = append(types, t)
		}
		sort.Slice(types, func(i, j int) bool { return typeOrder(types[i]) < typeOrder(types[j]) })
		sep := "; records "
		for _, t := range types {
			fmt.Fprintf(&b, "%s%s %d", sep, t, s.Types[t])
			sep = ", "
		}
		b.WriteByte('\n')
	}
	if len(r.Streams) == 0 {
		return "No header line and no record seen.\n"
	}
	n := 0
	for _, g := range r.Gaps {
		if g.Kind != KindUnknown {
			n++
		}
	}
	fmt.Fprintf(&b, "\nQuestions without an answer: %d of %d.\n", n, r.Questions)
	if r.Records == 0 {
		b.WriteString("No record seen: which record types PowerMTA writes is not known yet.\n")
	}
	part := func(title string, keep func(g *Gap) bool) {
		first := true
		for i := range r.Gaps {
			g := &r.Gaps[i]
			if !keep(g) {
				continue
			}
			if first {
				b.WriteString("\n" + title + "\n")
				first = false
			}
			what := g.What()
			if g.Kind == KindType || g.Kind == KindEmpty {
				what += fmt.Sprintf(" (%s)", g.evidence())
			}
			fmt.Fprintf(&b, "  %-20s %s\n  %-20s missing: %s\n", g.ID, g.Question, "", what)
			if g.Note != "" {
				fmt.Fprintf(&b, "  %-20s note: %s\n", "", g.Note)
			}
			if len(r.Streams) > 1 && len(g.Streams) > 0 {
				fmt.Fprintf(&b, "  %-20s in: %s\n", "", strings.Join(g.Streams, ", "))
			}
		}
	}
	part("Certain, from the header line:", func(g *Gap) bool { return g.Kind == KindColumn })
	part("Certain, from the records seen:", func(g *Gap) bool { return g.Sure && g.Kind != KindColumn })
	part("Likely, but too few records were seen to be certain:", func(g *Gap) bool { return !g.Sure && g.Kind != KindUnknown })
	part("Cannot be seen in accounting files:", func(g *Gap) bool { return g.Kind == KindUnknown })
	if r.Block != "" {
		b.WriteString("\nIn /etc/pmta/config, instead of the block of the same name, then \"pmta reload\":\n\n")
		b.WriteString(r.Block)
	}
	return b.String()
}

func (g *Gap) evidence() string {
	n := "none of"
	if g.Kind == KindEmpty {
		n = "empty in"
	}
	s := fmt.Sprintf("%s %d records", n, g.Records)
	if g.Span >= time.Second {
		s += " in " + span(g.Span)
	}
	return s
}

// span is a time to the two units that matter.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func typeOrder(t string) string {
	for i, k := range []string{"d", "b", "t", "tq", "r", "f", "rb", "rs"} {
		if k == t {
			return fmt.Sprint(i)
		}
	}
	return "9" + t
}
