package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/coverage"
)

const coverageHelp = `Usage: pmtalog coverage [FLAGS] FILE...

Reads accounting files and says which questions they cannot answer: who throttles us, which campaign, how
long mail waits, ... and the <acct-file> block that would. FILE may be CSV or JSON, compressed (.gz), or -
for standard input. The files of one <acct-file> belong together by their name without date and number.

Columns are judged by the header line, which is certain. Record types are judged by what is in the files:
the more, the better; a day's files tell more than an hour's.

Examples:
  pmtalog coverage /var/log/pmta/*.csv
  head -1 /var/log/pmta/acct-2026-01-31-0000.csv | pmtalog coverage -
  pmtalog coverage --check /var/log/pmta/*.csv || mail -s "PowerMTA logs too little" ops

Ends with 0; with --check it ends with 1 when a question has no answer.
`

func runCoverage(ctx context.Context, args []string, std stdio) int {
	f := newFlags("coverage", coverageHelp, std)
	check := f.Bool("check", false, "end with 1 when a question has no answer")
	dir := f.String("log-dir", coverage.DefaultDir, "`DIR` of the accounting files in PowerMTA's configuration")
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	if f.NArg() == 0 {
		f.Usage()
		return exitUsage
	}
	seen := coverage.New()
	p := &parser{opts: acct.Options{}, err: std.err, quiet: true, types: map[string]int64{}, reasons: map[acct.Reason]int64{}}
	var stream string
	var last []string
	header := func(dec *acct.Decoder, at int64) {
		cols := dec.Columns()
		if len(cols) == 0 || len(last) == len(cols) && &last[0] == &cols[0] {
			return
		}
		last = cols
		if dec.JSON() {
			seen.AddKeys(stream, cols)
		} else {
			seen.AddHeader(stream, cols, at)
		}
	}
	p.eachRecord = func(dec *acct.Decoder, r *acct.Record) {
		header(dec, r.Time)
		seen.AddType(stream, r.Type, 1, r.Time)
		seen.AddSample(stream, r)
	}
	p.eachFile = func(dec *acct.Decoder) { header(dec, 0) }
	code := exitOK
	for _, name := range f.Args() {
		base := "acct.csv"
		if name != "-" {
			base = coverage.StreamOf(filepath.Base(name))
		}
		stream, last = base, nil
		if *dir != coverage.DefaultDir {
			stream = path.Join(*dir, base)
		}
		if err := p.file(ctx, name, std.in); err != nil {
			code = fail(std, exitFailure, "coverage", err)
			if ctx.Err() != nil {
				return code
			}
		}
	}
	report := seen.Report()
	if _, err := fmt.Fprint(std.out, report.Text()); err != nil {
		return fail(std, exitFailure, "coverage", errors.Join(errOutput, err))
	}
	if p.rejected > 0 {
		fmt.Fprintf(std.err, "%d pieces of the input are no records; look at them with: pmtalog parse --summary %s\n", p.rejected, strings.Join(f.Args(), " "))
	}
	if *check && !report.Complete() {
		return exitFailure
	}
	return code
}
