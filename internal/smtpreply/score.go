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

// ReplyRow is one line of a file of replies.
type ReplyRow struct {
	Line   int    // 1 is the first line of the file, a header included
	Text   string // what is classified
	MX     string // column mx
	Kind   string // column kind: reply, mta or prose
	Want   string // column common: the category it should get
	Accept string // column accept: every category that counts as right, separated by commas
}

// MaxReplyLine is the longest line that is read from a file, in bytes.
const MaxReplyLine = 1 << 20

// ScanReplies reads a file of replies and calls fn for every line, in order.
// A first line with a column response_text among others separated by tabs
// makes it a table, with the columns smtp_code, enhanced_status, mx, kind,
// common and accept where they exist; any other file holds one reply a line.
// In a table the reply is response_text when that begins with a reply code,
// else code, status and text joined.
func ScanReplies(r io.Reader, fn func(ReplyRow) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), MaxReplyLine)
	var col map[string]int
	line := 0
	for s.Scan() {
		line++
		text := strings.TrimSuffix(s.Text(), "\r")
		if line == 1 {
			names := strings.Split(text, "\t")
			if len(names) > 1 && slices.Contains(names, "response_text") {
				col = make(map[string]int, len(names))
				for i, n := range names {
					col[n] = i
				}
				continue
			}
		}
		row := ReplyRow{Line: line, Text: text}
		if col != nil {
			f := strings.Split(text, "\t")
			get := func(name string) string {
				if i, ok := col[name]; ok && i < len(f) {
					return f[i]
				}
				return ""
			}
			row.Text = ReplyText(get("smtp_code"), get("enhanced_status"), get("response_text"))
			row.MX, row.Kind, row.Want, row.Accept = get("mx"), get("kind"), get("common"), get("accept")
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes", line+1, MaxReplyLine)
	}
	return s.Err()
}

// LabelledReply is a reply with the category it should get.
type LabelledReply struct {
	ReplyRow
	Want   Category
	Accept []Category // every category that counts as right, Want included
}

// ReadLabelled reads a table of replies, see [ScanReplies], of which every
// line has a category in column common.
func ReadLabelled(r io.Reader) ([]LabelledReply, error) {
	var out []LabelledReply
	err := ScanReplies(r, func(row ReplyRow) error {
		l := LabelledReply{ReplyRow: row}
		if row.Want == "" {
			return fmt.Errorf("line %d has no label: want a table with the columns smtp_code, enhanced_status, response_text, common and accept", row.Line)
		}
		var err error
		if l.Want, err = ParseCategory(row.Want); err != nil {
			return fmt.Errorf("line %d: %w", row.Line, err)
		}
		l.Accept = []Category{l.Want}
		for name := range strings.SplitSeq(row.Accept, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			c, err := ParseCategory(name)
			if err != nil {
				return fmt.Errorf("line %d: %w", row.Line, err)
			}
			l.Accept = append(l.Accept, c)
		}
		out = append(out, l)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = errors.New("the file holds no replies")
	}
	return out, err
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
