package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

const classifyHelp = `Usage: pmtalog classify [FLAGS] REPLY
       pmtalog classify [FLAGS] --file FILE [--report | --jsonl]
       pmtalog classify [FLAGS] < FILE

Says what SMTP replies mean and why: the rule that won, the best one of another
category, every rule that matched, and the template. REPLY is a bare reply or a
dsnDiag as PowerMTA writes it.

FILE holds one reply a line, or a table with tabs whose header names the columns
smtp_code, enhanced_status and response_text; --report also needs common (the right
category) and accept (all that count as right, with commas), and scores the lines
whose kind is "reply" or that have no kind. FILE may be - for standard input.

Examples:
  pmtalog classify "550 5.7.1 Service refused, see zen.spamhaus.org"
  pmtalog classify --mx gmail-smtp-in.l.google.com "421 4.7.28 slow down"
  pmtalog classify --file replies.tsv --report
  cut -f9 bounces.tsv | pmtalog classify --jsonl
`

func runClassify(ctx context.Context, args []string, std stdio) int {
	f := newFlags("classify", classifyHelp, std)
	mx := f.String("mx", "", "MX `HOST` that gave the reply (dsnMta)")
	rcpt := f.String("rcpt", "", "recipient `ADDRESS` or domain")
	status := f.String("status", "", "dsnStatus that goes with the reply")
	rules := f.String("rules", "", "`FILE` with rules of your own")
	file := f.String("file", "", "read replies from `FILE`")
	report := f.Bool("report", false, "score a labelled file")
	jsonl := f.Bool("jsonl", false, "print one JSON object for each line of input")
	misses := f.Bool("misses", false, "with --report: also list the lines that were not classified as labelled")
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	usage := func(err error) int { return fail(std, exitUsage, "classify", err) }
	switch {
	case f.NArg() > 0 && *file != "":
		return usage(errors.New("give either a reply or --file"))
	case f.NArg() > 1:
		return usage(errors.New("more than one reply; put it in quotes"))
	case *report && *jsonl:
		return usage(errors.New("give either --report or --jsonl"))
	case *report && *file == "":
		return usage(errors.New("--report needs --file"))
	case *misses && !*report:
		return usage(errors.New("--misses needs --report"))
	}
	c, err := smtpreply.New(smtpreply.Options{RulesFile: *rules})
	if err != nil {
		return fail(std, exitFailure, "classify", err)
	}
	w := bufio.NewWriter(std.out)
	base := smtpreply.Input{MX: *mx, Rcpt: *rcpt, DSNStatus: *status}
	if f.NArg() == 1 && f.Arg(0) != "-" {
		in := base
		in.Diag = f.Arg(0)
		if *jsonl {
			err = writeResult(w, 1, c.Classify(in))
		} else {
			explainReply(w, c, in)
		}
	} else {
		err = classifyFile(ctx, w, std.in, c, base, *file, *report, *jsonl, *misses)
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		return fail(std, exitFailure, "classify", err)
	}
	return exitOK
}

func classifyFile(ctx context.Context, w io.Writer, in io.Reader, c *smtpreply.Classifier, base smtpreply.Input, file string, report, jsonl, misses bool) error {
	name := "standard input"
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // read only
		in, name = f, file
	}
	if report {
		lines, err := smtpreply.ReadLabelled(in)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		replies := lines[:0]
		for _, l := range lines {
			if l.Kind == "" || l.Kind == "reply" {
				replies = append(replies, l)
			}
		}
		r := smtpreply.Score(c, replies)
		if _, err := r.WriteTo(w); err != nil {
			return err
		}
		if misses {
			fmt.Fprintln(w)
			for _, m := range r.Misses {
				fmt.Fprintf(w, "line %d: %s, want %s, rule %s: %s\n", m.Line, m.Got, m.Want, orDash(m.RuleID), m.Text)
			}
		}
		return nil
	}
	err := smtpreply.ScanReplies(in, func(row smtpreply.ReplyRow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		one := base
		one.Diag = row.Text
		if row.MX != "" {
			one.MX = row.MX
		}
		res := c.Classify(one)
		if jsonl {
			return writeResult(w, row.Line, res)
		}
		_, err := fmt.Fprintf(w, "%-24s %-5s %-20s %-28s %s\n", res.Category, res.Type, orDash(res.Provider.ID), orDash(res.RuleID), res.Template)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// replyResult is one line of --jsonl.
type replyResult struct {
	Line      int    `json:"line"` // number in the input, a header included
	Category  string `json:"category"`
	Group     string `json:"group"`
	Type      string `json:"type"`
	Owner     string `json:"owner"`
	Provider  string `json:"provider"`
	Rule      string `json:"rule"`
	MatchedBy string `json:"matched_by"`
	Template  string `json:"template"`
}

func writeResult(w io.Writer, line int, r smtpreply.Result) error {
	b, err := json.Marshal(replyResult{Line: line, Category: r.Category.String(), Group: r.Group, Type: r.Type, Owner: r.Owner,
		Provider: r.Provider.ID, Rule: r.RuleID, MatchedBy: r.MatchedBy, Template: r.Template})
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// explainReply prints one reply's verdict and how it came about.
func explainReply(w io.Writer, c *smtpreply.Classifier, in smtpreply.Input) {
	x := c.Explain(in)
	row := func(name, format string, a ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, fmt.Sprintf(format, a...))
	}
	row("category", "%s: %s", x.Category, x.Category.Info().Doc)
	row("group", "%s", x.Group)
	row("type", "%s", x.Type)
	row("owner", "%s", x.Owner)
	row("retryable", "%t", x.Retryable)
	switch {
	case x.Provider.ID == "":
		row("provider", "-")
	case x.Provider.Kind == "":
		row("provider", "%s (unknown, registrable domain of the MX)", x.Provider.ID)
	default:
		row("provider", "%s (%s, %s, by %s)", x.Provider.ID, x.Provider.Name, x.Provider.Kind, x.ProviderFrom)
	}
	for _, o := range [][2]string{{"code", x.ProviderCode}, {"blocklist", x.Blocklist}, {"listed", x.BlocklistObject}, {"mechanism", x.AuthMechanism}} {
		if o[1] != "" {
			row(o[0], "%s", o[1])
		}
	}
	row("winner", "%s, matched by %s", orDash(x.RuleID), x.MatchedBy)
	runner := "-"
	for _, m := range x.Matches {
		if m.RunnerUp {
			runner = fmt.Sprintf("%s (%s, score %d)", m.RuleID, m.Category, m.Score)
		}
	}
	row("runner-up", "%s", runner)
	row("template", "%s", x.FullTemplate)
	row("template id", "%s", x.TemplateID)
	row("rules", "%s", x.RulesVersion)
	if len(x.Matches) == 0 {
		fmt.Fprintln(w, "\nNo rule of the rule files matches.")
		return
	}
	fmt.Fprintf(w, "\n%d rules match:\n", len(x.Matches))
	for _, m := range x.Matches {
		lits := make([]string, len(m.Literals))
		for i, l := range m.Literals {
			lits[i] = fmt.Sprintf("%q", strings.TrimSpace(l))
		}
		fmt.Fprintf(w, "  %3d  %-24s %-28s %s\n", m.Score, m.Category, m.RuleID, strings.Join(lits, " "))
	}
}
