package smtpreply

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// LabelledReply is one line of a labelled file.
type LabelledReply struct {
	Line   int    // 1 is the first line of the file
	Text   string // what is classified
	Want   Category
	Accept []Category // every category that counts as right, Want included
	Kind   string     // reply, mta or prose; "" when the file has no such column
	MX     string     // optional column mx
}

// MaxReplyLine is the longest line that is read from a file, in bytes.
const MaxReplyLine = 1 << 20

// ReadLabelled reads tab separated lines with a header that names at least
// smtp_code, enhanced_status, response_text, common and accept. accept is a
// list separated by commas. The text is response_text when it begins with a
// reply code, else the three columns joined.
func ReadLabelled(r io.Reader) ([]LabelledReply, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), MaxReplyLine)
	if !s.Scan() {
		return nil, cmp.Or(s.Err(), errors.New("the file is empty"))
	}
	col := map[string]int{}
	for i, name := range strings.Split(s.Text(), "\t") {
		col[strings.TrimSpace(name)] = i
	}
	if err := needColumns(col, "smtp_code", "enhanced_status", "response_text", "common", "accept"); err != nil {
		return nil, err
	}
	var out []LabelledReply
	for line := 2; s.Scan(); line++ {
		if s.Text() == "" {
			continue
		}
		f := strings.Split(s.Text(), "\t")
		get := func(name string) string {
			if i, ok := col[name]; ok && i < len(f) {
				return f[i]
			}
			return ""
		}
		l := LabelledReply{Line: line, Kind: get("kind"), MX: get("mx"),
			Text: ReplyText(get("smtp_code"), get("enhanced_status"), get("response_text"))}
		var err error
		if l.Want, err = ParseCategory(get("common")); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		for name := range strings.SplitSeq(get("accept"), ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			c, err := ParseCategory(name)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			l.Accept = append(l.Accept, c)
		}
		if !slices.Contains(l.Accept, l.Want) {
			l.Accept = append(l.Accept, l.Want)
		}
		out = append(out, l)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

func needColumns(col map[string]int, names ...string) error {
	for _, n := range names {
		if _, ok := col[n]; !ok {
			return fmt.Errorf("the header has no column %q", n)
		}
	}
	return nil
}

// ReplyText joins the columns of a reply file: text alone when it begins
// with a reply code, else code, enhanced status and text.
func ReplyText(code, enhanced, text string) string {
	if _, _, ok := cutCode(skipSpace(text)); ok {
		return text
	}
	return strings.Join([]string{code, enhanced, text}, " ")
}

// CategoryScore is the score of one gold category.
type CategoryScore struct {
	Category   Category
	N          int
	Compatible int
	Strict     int
	Confusion  map[Category]int // predictions that are not compatible
}

// Miss is a line that was not classified compatibly.
type Miss struct {
	LabelledReply
	Got    Category
	RuleID string
}

// Report is the score of a labelled file.
type Report struct {
	N            int
	Compatible   int
	Strict       int
	Wrong        int // neither compatible nor unclassified
	Unclassified int // unclassified where that is not accepted
	// Suppress counts lines whose gold category is none of the three hard
	// ones and that still came out as hard.
	Suppress   int
	ByCategory []CategoryScore // in the order of Categories, without empty ones
	Misses     []Miss          // in file order
}

// Score classifies every labelled reply and compares.
func Score(c *Classifier, lines []LabelledReply) Report {
	var r Report
	by := make([]CategoryScore, numCategories)
	for _, l := range lines {
		res := c.Classify(Input{Diag: l.Text, MX: l.MX})
		got := res.Category
		cs := &by[l.Want]
		cs.Category = l.Want
		cs.N++
		r.N++
		if res.Type == TypeHard && taxonomy[l.Want].Type != TypeHard {
			r.Suppress++
		}
		if got == l.Want {
			r.Strict++
			cs.Strict++
		}
		if slices.Contains(l.Accept, got) {
			r.Compatible++
			cs.Compatible++
			continue
		}
		if got == Unclassified {
			r.Unclassified++
		} else {
			r.Wrong++
		}
		if cs.Confusion == nil {
			cs.Confusion = map[Category]int{}
		}
		cs.Confusion[got]++
		r.Misses = append(r.Misses, Miss{l, got, res.RuleID})
	}
	for i := range by {
		if by[i].N > 0 {
			r.ByCategory = append(r.ByCategory, by[i])
		}
	}
	return r
}

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// WriteTo writes the report for a person.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "replies                   %6d\n", r.N)
	for _, l := range []struct {
		name string
		n    int
	}{{"compatible", r.Compatible}, {"strict", r.Strict}, {"wrong and confident", r.Wrong}, {"unclassified", r.Unclassified}} {
		fmt.Fprintf(&b, "%-25s %6d  %5.1f %%\n", l.name, l.n, percent(l.n, r.N))
	}
	fmt.Fprintf(&b, "never-suppress violations %6d\n\n", r.Suppress)
	fmt.Fprintf(&b, "%-26s %5s %11s %7s  %s\n", "category", "n", "compatible", "strict", "taken for")
	for _, c := range r.ByCategory {
		type kv struct {
			c Category
			n int
		}
		var conf []kv
		for k, n := range c.Confusion {
			conf = append(conf, kv{k, n})
		}
		slices.SortFunc(conf, func(a, b kv) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.c, b.c)) })
		var parts []string
		for _, k := range conf {
			parts = append(parts, fmt.Sprintf("%s %d", k.c, k.n))
		}
		fmt.Fprintf(&b, "%-26s %5d %9.1f %% %5.1f %%  %s\n", c.Category, c.N, percent(c.Compatible, c.N), percent(c.Strict, c.N), strings.Join(parts, ", "))
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}
