package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

const unclassifiedHelp = `Usage: pmtalog unclassified [FLAGS] FILE...

Lists the templates of SMTP replies that no rule fits, the most frequent first. FILE is
what the agent writes (unclassified::path of the processor smtp_reply), or - for standard
input; templates of several files are added up. Samples are masked.

Examples:
  pmtalog unclassified /var/lib/otelcol-pmta/unclassified.jsonl
  pmtalog unclassified --limit 0 --jsonl mx*.jsonl | jq -r .template
`

func runUnclassified(ctx context.Context, args []string, std stdio) int {
	f := newFlags("unclassified", unclassifiedHelp, std)
	limit := f.Int("limit", 50, "list at most `N` templates, 0 for all")
	jsonl := f.Bool("jsonl", false, "print one JSON object a template")
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	if f.NArg() == 0 {
		f.Usage()
		return exitUsage
	}
	if *limit < 0 {
		return fail(std, exitUsage, "unclassified", errors.New("--limit must not be negative"))
	}
	byID := map[string]*smtpreply.Template{}
	var all []smtpreply.Template
	var total uint64
	for _, name := range f.Args() {
		if err := ctx.Err(); err != nil {
			return fail(std, exitFailure, "unclassified", err)
		}
		ts, err := readTemplates(name, std.in)
		if err != nil {
			return fail(std, exitFailure, "unclassified", err)
		}
		for _, t := range ts {
			total += t.Count
			if old, ok := byID[t.ID]; ok {
				mergeTemplate(old, t)
			} else {
				byID[t.ID] = &t
			}
		}
	}
	for _, t := range byID {
		all = append(all, *t)
	}
	smtpreply.SortTemplates(all)
	shown := all
	if *limit > 0 && len(shown) > *limit {
		shown = shown[:*limit]
	}
	w := bufio.NewWriter(std.out)
	if err := errors.Join(writeTemplates(w, shown, *jsonl), w.Flush()); err != nil {
		return fail(std, exitFailure, "unclassified", err)
	}
	fmt.Fprintf(std.err, "%d templates, %d replies; %d shown\n", len(all), total, len(shown))
	return exitOK
}

func readTemplates(name string, in io.Reader) ([]smtpreply.Template, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // read only
		in = f
	} else {
		name = "standard input"
	}
	ts, err := smtpreply.ReadTemplates(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ts, nil
}

// mergeTemplate adds t, the same template of another file, to old.
func mergeTemplate(old *smtpreply.Template, t smtpreply.Template) {
	old.Count += t.Count
	if t.First.Before(old.First) {
		old.First = t.First
	}
	if t.Last.After(old.Last) {
		old.Last = t.Last
		old.Samples = t.Samples
	}
}

func writeTemplates(w io.Writer, ts []smtpreply.Template, jsonl bool) error {
	if jsonl {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, t := range ts {
			if err := enc.Encode(t); err != nil {
				return err
			}
		}
		return nil
	}
	if len(ts) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "%10s  %-16s  %-20s  %-18s  %s\n", "count", "template id", "last seen (UTC)", "provider", "template"); err != nil {
		return err
	}
	for _, t := range ts {
		provider := t.Provider
		if provider == "" {
			provider = "-"
		}
		if _, err := fmt.Fprintf(w, "%10d  %-16s  %-20s  %-18s  %s\n", t.Count, t.ID, t.Last.UTC().Format(time.DateTime), provider, t.Template); err != nil {
			return err
		}
	}
	return nil
}
