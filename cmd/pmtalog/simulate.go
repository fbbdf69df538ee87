package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

var simulateHelp = `Usage: pmtalog simulate --dir DIR [FLAGS]

Writes the accounting files of a simulated PowerMTA: providers, vMTAs, campaigns, and for each message
the receipt, the attempts, the delivery or bounce, and late bounces and complaints. Its other logs, its
webhook and its pipe can be had with them, and all tell the same story.

Without --rate it writes --records records as fast as it can, in virtual time: the same flags give the
same bytes. With --rate it writes at that rate with the current time until --duration, --records or Ctrl-C.

Examples:
  pmtalog simulate --dir /tmp/pmta --records 100000
  pmtalog simulate --dir /tmp/pmta --rate 50 --hurry 60 --duration 20s
  pmtalog simulate --dir /tmp/pmta --records 2000000 --types d,b,t --max-size 0
  pmtalog simulate --dir /tmp/pmta --rate 500 --max-size 5M --move-to /tmp/pmta/moved --move-interval 30s
  pmtalog simulate --dir /tmp/pmta --acct-file bounce.csv:b,rb --acct-file fbl.csv:f --header Message-Id
  pmtalog simulate --dir /tmp/pmta --rate 50 --hurry 60 --status-listen 127.0.0.1:8080   # curl 'localhost:8080/queues?format=json'
  pmtalog simulate --dir /tmp/pmta --types d,b --fields 'd:*,header_Message-Id,!orcpt;b:type,timeLogged,rcpt,dsnDiag'
  pmtalog simulate --dir /tmp/pmta --rate 50 --log /tmp/pmta/pmta.log --http-log /tmp/pmta/pmtahttp.log \
      --move-to /tmp/pmta/moved --move-interval 30s --count-moved-records
  pmtalog simulate --dir /tmp/pmta --log /tmp/pmta/pmta.log --incident throttle@1h+2h:provider=yahoo,share=0.8 --incident crash@5h
  pmtalog simulate --dir /tmp/pmta --rate 50 --webhook-url http://localhost:8088/pmta --webhook-format json --webhook-max-interval 5s
  pmtalog simulate --dir /tmp/pmta --rate 50 --pipe '/usr/bin/pmtalog pipe --dir /tmp/spool'

Incidents, NAME[@BEGIN[+LENGTH]][:KEY=VALUE,...]; BEGIN is a time after the start (0), LENGTH is to the end unless given:
` + simulate.IncidentHelp() + `
The form of some log lines is known from PowerMTA's guides; where it is not, it is our own. Lines of --log
come some 2.5 s later than they say, because a session is written when its outcome is known.
`

type simulateFlags struct {
	dir, types, fields, headers, start, moveTo, flush, manifest, counts, mix, userString string
	defaultColumns, gzip, crlf, unix, json, countMoved                                   bool
	records                                                                              int64
	rate                                                                                 float64
	duration, span, moveInterval                                                         time.Duration
	seed                                                                                 uint64
	hurry                                                                                int
	maxSize                                                                              sizeFlag
	more                                                                                 []string
	streams                                                                              streamFlags
	status                                                                               statusFlags
}

func runSimulate(ctx context.Context, args []string, std stdio) int {
	c := simulateFlags{maxSize: 250 << 20}
	f := newFlags("simulate", simulateHelp, std)
	f.StringVar(&c.dir, "dir", "", "write into `DIR` (required; created if missing)")
	f.Int64Var(&c.records, "records", 0, "end after `N` records; a record in several files counts once (default 10000 without --rate)")
	f.Float64Var(&c.rate, "rate", 0, "write `R` records a second in real time")
	f.DurationVar(&c.duration, "duration", 0, "with --rate: end after `TIME`, such as 20s")
	f.DurationVar(&c.span, "span", 12*time.Hour, "without --rate: virtual `TIME` over which the records are spread")
	f.Uint64Var(&c.seed, "seed", 1, "seed of all chance")
	f.StringVar(&c.start, "start", "", "without --rate: virtual `TIME` of the beginning, such as 2026-01-31T20:00:00-05:00; its offset is the server's zone (default "+simulate.DefaultStart.Format(time.RFC3339)+")")
	f.IntVar(&c.hurry, "hurry", 1, "divide delays of retries, expiry, late bounces and complaints by `N`, to see them in a short run")
	f.StringVar(&c.mix, "mix", "", "shares other than d=80,t=12,b=6,tq=0.8,rb=0.5,rs=0.2,f=0.5, such as `t=30,b=10`; r comes once for each message")
	f.StringVar(&c.types, "types", "d,b,t,tq,r,f,rb,rs", "record `TYPES` of acct.csv; their order is the order of the columns")
	f.BoolVar(&c.defaultColumns, "default-columns", false, "only d, b and t with the 23 default columns")
	f.StringVar(&c.fields, "fields", "", "record-fields by type: `LIST` such as d:*,header_X-Job,!orcpt;b:*  with names, * (default columns), !NAME, header_NAME, and arf_NAME for f")
	f.StringVar(&c.headers, "header", "", "add columns for these message headers to all types but tq: `NAMES` such as Message-Id,Subject")
	f.StringVar(&c.userString, "user-string", "sim", "value of the column userString, if --fields asks for it")
	f.Func("acct-file", "one more accounting file with its own types: `NAME:TYPES` such as bounce.csv:b,rb (repeatable)", func(s string) error {
		c.more = append(c.more, s)
		return nil
	})
	f.Var(&c.maxSize, "max-size", "begin a new file at this `SIZE` (b, k, m, g; 0 = never)")
	f.StringVar(&c.moveTo, "move-to", "", "rename finished files into `DIR`, on the same volume")
	f.DurationVar(&c.moveInterval, "move-interval", 24*time.Hour, "with --move-to: finish a file after `TIME`")
	f.BoolVar(&c.countMoved, "count-moved-records", false, "with --move-to and --log: the log says how many records a moved file has")
	f.BoolVar(&c.gzip, "gzip-moved", false, "with --move-to: compress moved files")
	f.BoolVar(&c.crlf, "crlf", false, "end lines with CR LF")
	f.BoolVar(&c.unix, "unix-times", false, "write times as Unix seconds")
	f.BoolVar(&c.json, "json", false, "write JSON lines, into acct.json; a file named .json is always JSON")
	f.StringVar(&c.flush, "flush", "", "write after each `line`, or in blocks of 4096 bytes, so that files end in partial lines: line or block (default line with --rate, else large blocks)")
	f.StringVar(&c.manifest, "manifest", "", "write the truth to `FILE`: for each record a JSON line with file, number, type and hash")
	f.StringVar(&c.counts, "counts", "", "write the number of records by file and type to `FILE` as JSON")
	c.streams.define(f)
	c.status.register(f)
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	if f.NArg() > 0 {
		return fail(std, exitUsage, "simulate", fmt.Errorf("unexpected argument %q", f.Arg(0)))
	}
	set := map[string]bool{}
	f.Visit(func(fl *flag.Flag) { set[fl.Name] = true })
	world, streams, run, err := c.plan(set)
	if err != nil {
		return fail(std, exitUsage, "simulate", err)
	}
	var truth *os.File
	if c.manifest != "" {
		if truth, err = os.Create(c.manifest); err != nil {
			return fail(std, exitFailure, "simulate", err)
		}
	}
	var manifest *simulate.Manifest
	if truth != nil {
		manifest = simulate.NewManifest(truth)
	}
	var files []*simulate.Accounting
	logs, err := c.streams.logs(c.seed, &world.Scenario, streams[0].Block)
	if err != nil {
		return fail(std, exitUsage, "simulate", err)
	}
	run.Streams = logs
	for _, cfg := range streams {
		cfg.Manifest = manifest
		if c.streams.systemLog != nil {
			cfg.Notify, cfg.CountMoved = c.streams.systemLog.Note, c.countMoved
		}
		a, err := simulate.NewAccounting(cfg)
		if err != nil {
			return fail(std, exitUsage, "simulate", err)
		}
		files = append(files, a)
		run.Streams = append(run.Streams, a)
	}
	others, err := c.streams.outputs(streams[0], c.dir, c.rate != 0, std)
	if err != nil {
		return fail(std, exitUsage, "simulate", err)
	}
	run.Streams = append(run.Streams, others...)
	w, err := simulate.NewWorld(world)
	if err != nil {
		return fail(std, exitUsage, "simulate", err)
	}
	stopStatus, err := c.status.start(&run)
	if err != nil {
		return fail(std, exitUsage, "simulate", err)
	}
	began := time.Now()
	sum, err := simulate.Run(ctx, w, run)
	err = errors.Join(err, stopStatus())
	if truth != nil {
		err = errors.Join(err, manifest.Flush(), truth.Close())
	}
	stats := []simulate.FileStats{}
	for _, a := range files {
		stats = append(stats, a.Files()...)
	}
	if err == nil && c.counts != "" {
		err = writeJSON(c.counts, stats)
	}
	printSummary(std, sum, stats, time.Since(began))
	c.streams.summary(std)
	if err != nil {
		return fail(std, exitFailure, "simulate", err)
	}
	return exitOK
}

// plan turns the flags into options, or says what is wrong with them.
func (c *simulateFlags) plan(set map[string]bool) (w simulate.WorldOptions, files []simulate.AccountingConfig, run simulate.RunOptions, err error) {
	bad := func(format string, args ...any) (simulate.WorldOptions, []simulate.AccountingConfig, simulate.RunOptions, error) {
		return w, nil, run, fmt.Errorf(format, args...)
	}
	realTime := c.rate != 0
	switch {
	case c.dir == "":
		return bad("--dir is required, such as --dir /tmp/pmta")
	case c.records < 0 || c.rate < 0 || c.duration < 0 || c.span <= 0:
		return bad("--records, --rate and --duration must not be negative, and --span must be positive")
	case realTime && (set["start"] || set["span"]):
		return bad("--start and --span are for virtual time; with --rate the current time is used")
	case !realTime && set["duration"]:
		return bad("--duration needs --rate; in virtual time use --span")
	case c.defaultColumns && (set["types"] || set["fields"] || set["header"]):
		return bad("--default-columns does not go together with --types, --fields or --header")
	case c.gzip && c.moveTo == "":
		return bad("--gzip-moved needs --move-to")
	case c.countMoved && (c.moveTo == "" || c.streams.log == ""):
		return bad("--count-moved-records needs --move-to and --log")
	}
	if err := c.streams.check(set); err != nil {
		return w, nil, run, err
	}
	w = simulate.WorldOptions{Seed: c.seed, Hurry: c.hurry, Rate: c.rate, Scenario: simulate.Scenario{Incidents: c.streams.incidents}}
	run = simulate.RunOptions{Records: c.records, Duration: c.duration}
	block := 256 << 10
	if realTime {
		w.Start, run.Clock, block = time.Now(), simulate.SystemClock{}, 0
	} else {
		if run.Records == 0 {
			run.Records = 10_000
		}
		w.Rate = float64(run.Records) / c.span.Seconds()
		if c.start != "" {
			if w.Start, err = parseStart(c.start); err != nil {
				return w, nil, run, err
			}
		}
	}
	switch c.flush {
	case "":
	case "line":
		block = 0
	case "block":
		block = 4096
	default:
		return bad("--flush is line or block, not %q", c.flush)
	}
	if w.Mix, err = parseMix(c.mix); err != nil {
		return w, nil, run, err
	}
	if c.defaultColumns {
		c.types = "d,b,t"
	}
	fields, err := parseFields(c.fields)
	if err != nil {
		return w, nil, run, err
	}
	ext := ".csv"
	if c.json {
		ext = ".json"
	}
	counted := map[simulate.Type]bool{}
	names := map[string]bool{}
	used := map[simulate.Type]bool{}
	for i, spec := range append([]string{"acct" + ext + ":" + c.types}, c.more...) {
		name, list, ok := strings.Cut(spec, ":")
		if !ok || name == "" || filepath.Base(name) != name {
			return bad("--acct-file %s: write it as NAME:TYPES, such as bounce.csv:b,rb", spec)
		}
		if names[name] {
			return bad("--acct-file %s: there is another file of this name", name)
		}
		names[name] = true
		types, err := simulate.ParseTypes(list)
		if err != nil {
			if i == 0 {
				return bad("--types: %w", err)
			}
			return bad("--acct-file %s: %w", name, err)
		}
		cfg := simulate.AccountingConfig{
			Path: filepath.Join(c.dir, name), Types: types, Fields: map[simulate.Type][]string{},
			JSON: c.json || strings.EqualFold(filepath.Ext(name), ".json"), CRLF: c.crlf, UnixTimes: c.unix, UserString: c.userString,
			MaxSize: int64(c.maxSize), MoveTo: c.moveTo, MoveInterval: c.moveInterval, GzipMoved: c.gzip, Block: block,
		}
		for _, t := range types {
			used[t] = true
			if !counted[t] {
				counted[t] = true
				w.Count = append(w.Count, t)
			}
			columns := fields[t]
			if c.headers != "" && t != simulate.TransientQueue {
				if columns == nil {
					columns = []string{"*"}
				}
				columns = append([]string(nil), columns...)
				for _, h := range strings.Split(c.headers, ",") {
					columns = append(columns, "header_"+strings.TrimSpace(h))
				}
			}
			cfg.Fields[t] = columns
		}
		files = append(files, cfg)
	}
	for t := range fields {
		if !used[t] {
			return bad("--fields %s: no file has records of this type", t)
		}
	}
	return w, files, run, nil
}

// parseFields reads "TYPE:LIST;TYPE:LIST".
func parseFields(s string) (map[simulate.Type][]string, error) {
	fields := map[simulate.Type][]string{}
	if s == "" {
		return fields, nil
	}
	for _, one := range strings.Split(s, ";") {
		name, list, ok := strings.Cut(one, ":")
		if !ok || strings.TrimSpace(list) == "" {
			return nil, fmt.Errorf("--fields: %q is not TYPE:LIST, such as d:*,header_Subject", one)
		}
		types, err := simulate.ParseTypes(name)
		if err != nil {
			return nil, fmt.Errorf("--fields: %w", err)
		}
		for _, t := range types {
			if fields[t] != nil {
				return nil, fmt.Errorf("--fields: %s is given twice", t)
			}
			fields[t] = strings.Split(list, ",")
		}
	}
	return fields, nil
}

// parseMix reads "t=30,b=10" over the default mix.
func parseMix(s string) (simulate.Mix, error) {
	m := simulate.DefaultMix
	if s == "" {
		return m, nil
	}
	shares := map[string]*float64{"d": &m.Delivery, "t": &m.Transient, "b": &m.Bounce, "tq": &m.TransientQueue,
		"rb": &m.RemoteBounce, "rs": &m.RemoteStatus, "f": &m.Feedback}
	for _, one := range strings.Split(s, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		v, err := strconv.ParseFloat(value, 64)
		if shares[name] == nil || err != nil {
			return m, fmt.Errorf("--mix: %q is not TYPE=SHARE with one of d, t, b, tq, rb, rs, f", one)
		}
		*shares[name] = v
	}
	return m, nil
}

func parseStart(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05-0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--start: %q is not a time such as 2026-01-31T20:00:00-05:00", s)
}

// sizeFlag is a number of bytes with PowerMTA's suffixes b, k, m, g.
type sizeFlag int64

func (v *sizeFlag) String() string {
	switch {
	case *v > 0 && *v%(1<<20) == 0:
		return strconv.FormatInt(int64(*v)>>20, 10) + "M"
	default:
		return strconv.FormatInt(int64(*v), 10)
	}
}

func (v *sizeFlag) Set(s string) error {
	shift := 0
	num := s
	if n := len(s); n > 0 {
		if i := strings.IndexByte("bkmg", s[n-1]|0x20); i >= 0 {
			shift, num = 10*i, s[:n-1]
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return fmt.Errorf("write it as a number with b, k, m or g, such as 50M")
	}
	*v = sizeFlag(n << shift)
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func printSummary(std stdio, sum simulate.Summary, files []simulate.FileStats, took time.Duration) {
	var bytes int64
	for _, s := range files {
		bytes += s.Bytes
	}
	fmt.Fprintf(std.err, "%d records in %d files, %d bytes, %.1f s (%.0f records/s)\n",
		sum.Records, len(files), bytes, took.Seconds(), float64(sum.Records)/max(took.Seconds(), 0.001))
	line := "by type:"
	for _, t := range simulate.AllTypes() {
		if n := sum.ByType[t]; n > 0 {
			line += fmt.Sprintf(" %s=%d", t, n)
		}
	}
	fmt.Fprintln(std.err, line)
}
