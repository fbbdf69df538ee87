package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/spool"
)

const pipeHelp = `Usage: pmtalog pipe --dir DIR [FLAGS]     (PowerMTA runs it)

Takes accounting records from PowerMTA's pipe and keeps them in files of bounded size, for the agent to
tail. PowerMTA never waits for the disk longer than --max-wait: when the disk hangs or is full and
--buffer is full too, whole records are dropped and counted by reason.

In /etc/pmta/config, then "pmta reload":

  <acct-file |/usr/bin/pmtalog pipe --dir /var/spool/pmtalog>
      records d,b,t,tq,r,f,rb,rs
  </acct-file>

In the agent:

  receivers:
    powermta:
      include: [/var/spool/pmtalog/acct-*.csv]

CAVEAT of PowerMTA itself: when it cannot write to a pipe, it gives up on it until "pmta reload" or until
retry-interval (5m) is over, and the records of that time never reach the pipe. So configure a file with
the same records as well, <acct-file /var/log/pmta/acct.csv>. Tailing that file is the loss-free way;
use the pipe where the agent cannot read PowerMTA's files. Let the agent tail one of the two.

Files in DIR (group may read, mode 0640):
  NAME-YYYY-MM-DD-NNNN.csv   records; each begins with the header line; .json when PowerMTA sends JSON
  NAME.journal.jsonl         starts, stops, errors, dropped records by reason, removed files. Look here
                             first: PowerMTA shows nobody what this program prints.

Examples:
  pmtalog pipe --dir /tmp/spool < /var/log/pmta/acct-2026-01-31-0000.csv
  grep '"dropped"' /var/spool/pmtalog/acct.journal.jsonl
  tail -1 /var/spool/pmtalog/acct.journal.jsonl

Ends with 0 when PowerMTA closes the pipe, and on SIGTERM, after everything is written; with 1 when it
cannot write to DIR at the start, or lost records in the end. More: docs/pipe.md
`

func runPipe(ctx context.Context, args []string, std stdio) int {
	cfg := spool.Defaults()
	f := newFlags("pipe", pipeHelp, std)
	f.StringVar(&cfg.Dir, "dir", "", "keep files in `DIR` (required; created if missing)")
	f.StringVar(&cfg.Name, "name", cfg.Name, "first part of the file `NAME`s; give each <acct-file |...> its own")
	f.Var((*pipeSize)(&cfg.FileSize), "file-size", "finish a file at this `SIZE`")
	f.Var((*pipeSize)(&cfg.MaxSize), "max-size", "remove the oldest finished file when all would exceed this `SIZE`")
	f.Var((*pipeTime)(&cfg.RotateEvery), "rotate-every", "finish a file after `TIME`, such as 1h; at midnight in any case")
	f.Var((*pipeTime)(&cfg.Keep), "keep", "remove finished files after `TIME`; 0 = only when --max-size is reached")
	f.Var((*pipeSize)(&cfg.Buffer), "buffer", "memory for records that are not written yet, a `SIZE`")
	f.Var((*pipeTime)(&cfg.MaxWait), "max-wait", "let PowerMTA wait up to `TIME` for the disk, once, before records are dropped")
	f.BoolVar(&cfg.Sync, "sync", false, "fsync each write; without it a power failure can lose the last --sync-every")
	f.Var((*pipeTime)(&cfg.SyncEvery), "sync-every", "`TIME` between two fsyncs without --sync; 0 = never")
	f.Var((*pipeTime)(&cfg.Drain), "drain", "go on writing for `TIME` after the end of the input")
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	if f.NArg() > 0 {
		return fail(std, exitUsage, "pipe", fmt.Errorf("unexpected argument %q; records come from standard input", f.Arg(0)))
	}
	for _, d := range []*time.Duration{&cfg.Keep, &cfg.MaxWait, &cfg.SyncEvery} {
		if *d == 0 {
			*d = -1
		}
	}
	if cfg.Drain == 0 {
		cfg.Drain = 1
	}
	if err := cfg.Validate(); err != nil {
		return fail(std, exitUsage, "pipe", err)
	}
	ctx, stop := pipeSignals(ctx)
	defer stop()
	in := std.in
	if in == os.Stdin {
		in = pipeInput(os.Stdin)
	}
	total, err := spool.Run(ctx, in, cfg)
	printPipeSummary(std.err, total)
	if err != nil {
		return fail(std, exitFailure, "pipe", err)
	}
	return exitOK
}

func printPipeSummary(w io.Writer, t spool.Totals) {
	fmt.Fprintf(w, "%d records read, %d written", t.Read.Records, t.Written.Records)
	for _, r := range sortedByCount(dropCounts(t)) {
		fmt.Fprintf(w, ", %d dropped (%s)", t.Dropped[r].Records, r)
	}
	if t.Incomplete > 0 {
		fmt.Fprintf(w, ", %d incomplete", t.Incomplete)
	}
	if t.RemovedFiles > 0 {
		fmt.Fprintf(w, "; %d old files with %d records removed", t.RemovedFiles, t.Removed.Records)
	}
	fmt.Fprintln(w)
}

func dropCounts(t spool.Totals) map[spool.Reason]int64 {
	m := map[spool.Reason]int64{}
	for r, c := range t.Dropped {
		m[r] = c.Records
	}
	return m
}

// pipeSize is a flag for a number of bytes.
type pipeSize int64

// Set implements flag.Value.
func (v *pipeSize) Set(s string) error { return (*bytesize.Size)(v).UnmarshalText([]byte(s)) }

// String implements flag.Value.
func (v *pipeSize) String() string { return bytesize.Size(*v).String() }

// pipeTime is a flag for a time span; days are understood too.
type pipeTime time.Duration

// Set implements flag.Value.
func (v *pipeTime) Set(s string) error {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no time; write for example 8d, 36h or 5ms", s)
		}
		*v = pipeTime(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time; write for example 8d, 36h or 5ms", s)
	}
	*v = pipeTime(d)
	return nil
}

// String implements flag.Value.
func (v *pipeTime) String() string {
	d := time.Duration(*v)
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
