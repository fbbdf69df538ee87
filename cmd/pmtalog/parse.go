package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/jsonline"
	"github.com/otelcol-pmta/otelcol-pmta/internal/mainlog"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

const parseHelp = `Usage: pmtalog parse [FLAGS] FILE...

Reads accounting files and system logs as the agent does and writes one JSON object a line. What was
read and what was rejected goes to standard error. FILE may be an accounting file in CSV or JSON, a
system log (log, pmta.log, pmtahttp.log), compressed (.gz), a quarantine file of the agent, or - for
standard input. Which one it is shows in its first line.

Examples:
  pmtalog parse /var/log/pmta/acct-2026-01-31-0000.csv
  zcat old/*.gz | pmtalog parse - | jq 'select(."pmta.record.type" == "b")'
  pmtalog parse --summary /var/log/pmta/moved/*.csv.gz
  pmtalog parse /var/log/pmta/log | jq 'select(."event.name" == "pmta.queue.backoff")'
  pmtalog parse /var/lib/otelcol-pmta/quarantine.jsonl
`

func runParse(ctx context.Context, args []string, std stdio) int {
	f := newFlags("parse", parseHelp, std)
	zone := f.String("timezone", "", "IANA `ZONE` of times without an offset (default: this machine's)")
	instance := f.String("instance", "", "the agent's `instance`, for the same log.record.uid")
	maxRecord := f.Int("max-record-size", 1<<20, "longest record in `BYTES`")
	systemLog := f.Bool("log", false, "take FILE for a system log, whatever its first line looks like (pmta-startuperr.log)")
	patterns := f.String("patterns", "", "the agent's `patterns_file` for system logs")
	keepData := f.Bool("keep-data", false, "keep hex dumps of message content in system logs")
	summary := f.Bool("summary", false, "print no records, only the summary")
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	if f.NArg() == 0 {
		f.Usage()
		return exitUsage
	}
	p := &parser{opts: acct.Options{Instance: *instance, MaxRecordSize: *maxRecord}, err: std.err, quiet: *summary,
		isLog: *systemLog, types: map[string]int64{}, reasons: map[acct.Reason]int64{}}
	if *zone != "" {
		loc, err := time.LoadLocation(*zone)
		if err != nil {
			return fail(std, exitUsage, "parse", fmt.Errorf("--timezone: %w; use a name such as Europe/Berlin", err))
		}
		p.opts.Location = loc
	}
	p.logOpts = mainlog.Options{Instance: *instance, MaxRecordSize: *maxRecord, Location: p.opts.Location, KeepData: *keepData}
	var err error
	if p.logOpts.Patterns, err = mainlog.LoadPatterns(*patterns); err != nil {
		return fail(std, exitUsage, "parse", fmt.Errorf("--patterns: %w", err))
	}
	p.out = bufio.NewWriterSize(std.out, 256<<10)
	code := exitOK
	for _, name := range f.Args() {
		if err := p.file(ctx, name, std.in); err != nil {
			code = fail(std, exitFailure, "parse", err)
			if ctx.Err() != nil || errors.Is(err, errOutput) {
				break
			}
		}
	}
	if err := p.out.Flush(); err != nil && code == exitOK {
		code = fail(std, exitFailure, "parse", err)
	}
	p.report()
	return code
}

var errOutput = errors.New("cannot write the result")

// parser writes records and counts what it sees. It is the acct.Handler and the
// mainlog.Handler.
type parser struct {
	opts    acct.Options
	logOpts mainlog.Options
	isLog   bool // every file is a system log
	out     *bufio.Writer
	err     io.Writer
	quiet   bool
	json    jsonline.Writer
	line    []byte

	name     string   // of the current file
	base     int64    // position of the current chunk in it
	src      string   // current chunk
	uids     []string // of the records to come, where the decoder cannot know them
	records  int64
	rejected int64
	shown    int
	types    map[string]int64
	reasons  map[acct.Reason]int64
	last     string // type counted last, with its count: types come in runs
	lastN    int64
	werr     error

	// Others look at what is read in these: each record, and each file at its
	// end. Nothing is written then.
	eachRecord func(dec *acct.Decoder, r *acct.Record)
	eachFile   func(dec *acct.Decoder)
	dec        *acct.Decoder
}

// Record implements acct.Handler.
func (p *parser) Record(r *acct.Record) {
	if len(p.uids) > 0 {
		if uid, ok := acct.ParseUID(p.uids[0]); ok {
			r.UID = uid
		}
		p.uids = p.uids[1:]
	}
	p.count(r.TypeText)
	if p.eachRecord != nil {
		p.eachRecord(p.dec, r)
	}
	if p.quiet || p.werr != nil {
		return
	}
	p.line = p.json.AppendRecord(p.line[:0], r)
	_, p.werr = p.out.Write(p.line)
}

// Entry implements mainlog.Handler.
func (p *parser) Entry(e *mainlog.Entry) {
	p.event(&jsonline.Event{Time: e.Time, Name: e.Event, SeverityText: e.Severity.String(), UID: e.UID, Stream: e.Stream, Body: e.Text, Attrs: e.Attrs})
}

// Session implements mainlog.Handler.
func (p *parser) Session(s *mainlog.Session) {
	p.event(&jsonline.Event{Time: s.Time, Name: semconv.EventSession, SeverityText: s.Severity.String(), UID: s.UID, Stream: semconv.StreamDiag, Body: s.Text, Attrs: s.Attrs})
}

func (p *parser) event(e *jsonline.Event) {
	p.count(e.Name)
	if p.quiet || p.werr != nil {
		return
	}
	p.line = p.json.AppendEvent(p.line[:0], e)
	_, p.werr = p.out.Write(p.line)
}

func (p *parser) count(what string) {
	p.records++
	if what != p.last {
		p.flushCount()
		p.last = strings.Clone(what)
	}
	p.lastN++
}

func (p *parser) flushCount() {
	if p.lastN > 0 {
		p.types[p.last] += p.lastN
	}
	p.lastN = 0
}

// maxShown bounds how many rejects are printed one by one.
const maxShown = 20

// Reject implements acct.Handler.
func (p *parser) Reject(r acct.Reject) {
	p.rejected++
	p.reasons[r.Reason]++
	if p.shown++; p.shown <= maxShown {
		text := p.src[r.Start:min(r.End, r.Start+120)]
		fmt.Fprintf(p.err, "%s: byte %d: %s (%s): %q\n", p.name, p.base+int64(r.Start), r.Reason, r.Detail, text)
	}
}

// file reads one file to its end.
func (p *parser) file(ctx context.Context, name string, stdin io.Reader) error {
	in := stdin
	p.name = name
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	br := bufio.NewReaderSize(in, 64<<10)
	if magic, _ := br.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		gz, err := gzip.NewReader(br)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		br = bufio.NewReaderSize(gz, 64<<10)
	}
	head, _ := br.Peek(64 << 10)
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	var err error
	switch {
	case quarantine.Looks(line):
		return p.quarantined(br)
	case p.isLog || mainlog.Looks(string(line)):
		dec := p.logDecoder(name)
		if err = p.stream(ctx, br, p.decodeLog(dec), 0); err == nil {
			p.base, p.src = 0, ""
			dec.Flush(p)
		}
	default:
		err = p.stream(ctx, br, p.decodeAcct(acct.NewDecoder(p.opts)), 0)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p *parser) logDecoder(name string) *mainlog.Decoder {
	opts := p.logOpts
	opts.StartupErrors = strings.Contains(filepath.Base(name), "startuperr")
	return mainlog.NewDecoder(opts)
}

// decode decodes what it can of src and returns how much that is.
type decode func(src string, final bool) (used int)

func (p *parser) decodeAcct(dec *acct.Decoder) decode {
	p.dec = dec
	return func(src string, final bool) int { return dec.Decode(src, final, p) }
}

func (p *parser) decodeLog(dec *mainlog.Decoder) decode {
	return func(src string, final bool) int { return dec.Decode(src, final, p) }
}

// stream decodes what r holds; p.base is its position in the file.
func (p *parser) stream(ctx context.Context, r io.Reader, dec decode, base int64) error {
	p.base = base
	const chunk = 256 << 10
	var rest []byte // not used yet
	for {
		// Records share memory with the chunk, so each one is new.
		buf := make([]byte, len(rest)+max(chunk, len(rest)))
		n := copy(buf, rest)
		var err error
		for n < len(buf) && err == nil {
			var m int
			m, err = r.Read(buf[n:])
			n += m
		}
		buf = buf[:n]
		final := err == io.EOF
		p.src = unsafe.String(unsafe.SliceData(buf), len(buf))
		used := dec(p.src, final)
		if p.werr != nil {
			return fmt.Errorf("%w: %w", errOutput, p.werr)
		}
		if final {
			if p.eachFile != nil {
				p.eachFile(p.dec)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("cut off or damaged, only the records before that were read: %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.base += int64(used)
		rest = buf[used:]
	}
}

// quarantined decodes the entries of a quarantine file again, each with the
// columns that were in force.
func (p *parser) quarantined(r io.Reader) error {
	name := p.name
	return quarantine.Read(r, func(e quarantine.Entry) error {
		raw, err := e.Bytes()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var dec decode
		switch e.Kind {
		case quarantine.KindSession:
			// Its lines have entries of their own; what it came to is for people.
			fmt.Fprintf(p.err, "%s: byte %d: session: %s\n", e.File, e.Offset, raw)
			return nil
		case quarantine.KindEvent:
			return p.found(raw)
		case quarantine.KindSystemLog:
			d := p.logDecoder(e.File)
			err = d.Restore(e.Context, e.Offset)
			dec = p.decodeLog(d)
		default:
			d := acct.NewDecoder(p.opts)
			err = d.Restore(e.Context, e.Offset)
			dec = p.decodeAcct(d)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.name, p.uids = e.File, e.UIDs
		err = p.stream(context.Background(), bytes.NewReader(raw), dec, e.Offset)
		p.name, p.uids = name, nil
		return err
	}, func(line int, err error) {
		fmt.Fprintf(p.err, "%s: line %d is no quarantine entry: %v\n", name, line, err)
	})
}

// found writes an event of the agent's own, which is JSON already.
func (p *parser) found(raw []byte) error {
	var head struct {
		Name string `json:"event.name"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("%s: an event that is no JSON: %w", p.name, err)
	}
	p.count(head.Name)
	if p.quiet || p.werr != nil {
		return nil
	}
	_, p.werr = p.out.Write(append(raw, '\n'))
	return nil
}

func (p *parser) report() {
	p.flushCount()
	if p.shown > maxShown {
		fmt.Fprintf(p.err, "... and %d more rejected\n", p.shown-maxShown)
	}
	fmt.Fprintf(p.err, "%d records", p.records)
	sep := ":"
	for _, t := range sortedByCount(p.types) {
		fmt.Fprintf(p.err, "%s %s %d", sep, t, p.types[t])
		sep = ","
	}
	fmt.Fprintf(p.err, "\n%d rejected", p.rejected)
	sep = ":"
	for _, r := range sortedByCount(p.reasons) {
		fmt.Fprintf(p.err, "%s %s %d", sep, r, p.reasons[r])
		sep = ","
	}
	fmt.Fprintln(p.err)
}

// sortedByCount returns the keys, those with the highest count first.
func sortedByCount[K ~string](m map[K]int64) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int {
		if m[a] != m[b] {
			return int(min(1, max(-1, m[b]-m[a])))
		}
		return bytes.Compare([]byte(a), []byte(b))
	})
	return keys
}
