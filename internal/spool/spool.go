// Package spool keeps a stream of accounting records, as PowerMTA (PMTA) writes
// it to a pipe, in files of bounded size that a tailer can follow.
//
// The one promise to the writing side is that it never waits for the disk: one
// goroutine reads the stream into a buffer of bounded size, another one writes.
// What does not fit is dropped in whole records and counted by reason. See
// docs/pipe.md for files, journal and limits.
//
// Format of the stream: PowerMTA v5.0 User's Guide, sections 11.2.9 and 11.3.
package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
)

// Config says where and how records are kept. Dir is required; the zero value
// of every other field stands for the default in Defaults.
type Config struct {
	// Dir is the directory of the files; it is created with mode 0750.
	Dir string
	// Name is the first part of every file name.
	Name string
	// FileSize is the size in bytes at which a file is finished.
	FileSize int64
	// MaxSize bounds all files of this Name in Dir together, in bytes. The
	// oldest finished file is removed when a new one would not fit. At least
	// four times FileSize.
	MaxSize int64
	// RotateEvery finishes a file after this time; 0 only at midnight.
	RotateEvery time.Duration
	// Keep is the age at which a finished file is removed. Negative: never.
	Keep time.Duration
	// Buffer bounds the memory for records that are not written yet, in bytes.
	Buffer int64
	// MaxWait is how long reading may stop to let the disk catch up before
	// records are dropped; negative: not at all.
	MaxWait time.Duration
	// Sync makes each write wait for the disk (fsync).
	Sync bool
	// SyncEvery is the time between two fsyncs without Sync; negative: never.
	SyncEvery time.Duration
	// Drain is how long Run goes on writing when the input has ended.
	Drain time.Duration
	// FS is the file system, OS{} by default.
	FS FS

	now func() time.Time
	// retryMin and retryMax pace attempts after a write error.
	retryMin, retryMax time.Duration
	tick               time.Duration // between two looks at the clock
}

// Defaults returns the values that stand for 0.
func Defaults() Config {
	return Config{
		Name: "acct", FileSize: 64 << 20, MaxSize: 1 << 30, Keep: 8 * 24 * time.Hour,
		Buffer: 64 << 20, MaxWait: 5 * time.Millisecond, SyncEvery: 5 * time.Second, Drain: 10 * time.Second,
		FS: OS{}, now: time.Now, retryMin: 50 * time.Millisecond, retryMax: time.Second, tick: time.Second,
	}
}

// MaxRecord is the longest record in bytes. The agent refuses longer ones too.
const MaxRecord = 1 << 20

const (
	minFileSize = 64 << 10
	minBuffer   = 1 << 20
	readSize    = 256 << 10
	maxBlock    = 256 << 10
)

func (c *Config) setDefaults() {
	d := Defaults()
	def(&c.Name, d.Name)
	def(&c.FileSize, d.FileSize)
	def(&c.MaxSize, d.MaxSize)
	def(&c.Keep, d.Keep)
	def(&c.Buffer, d.Buffer)
	def(&c.MaxWait, d.MaxWait)
	def(&c.SyncEvery, d.SyncEvery)
	def(&c.Drain, d.Drain)
	def(&c.retryMin, d.retryMin)
	def(&c.retryMax, d.retryMax)
	def(&c.tick, d.tick)
	if c.FS == nil {
		c.FS = d.FS
	}
	if c.now == nil {
		c.now = d.now
	}
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate reports every mistake at once, by the name of the flag of `pmtalog
// pipe`, and the way out.
func (c Config) Validate() error {
	c.setDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		bad("--dir: is required; name a directory that the user of PMTA may write, for example --dir /var/spool/pmtalog")
	}
	if !goodName.MatchString(c.Name) || datedName.MatchString(c.Name) {
		bad("--name: %q cannot be the beginning of a file name; use letters, digits, '_', '-' and '.', and no date", c.Name)
	}
	if c.FileSize < minFileSize {
		bad("--file-size: %v is too small; use %v or more", bytesize.Size(c.FileSize), bytesize.Size(minFileSize))
	}
	if c.MaxSize < 4*c.FileSize {
		bad("--max-size: %v is too small for files of %v; use %v or more, or a smaller --file-size", bytesize.Size(c.MaxSize),
			bytesize.Size(c.FileSize), bytesize.Size(4*c.FileSize))
	}
	if c.Buffer < minBuffer {
		bad("--buffer: %v is too small; use %v or more", bytesize.Size(c.Buffer), bytesize.Size(minBuffer))
	}
	if c.RotateEvery != 0 && c.RotateEvery < time.Minute {
		bad("--rotate-every: %v is too often; use 1m or more, or 0 for midnight only", c.RotateEvery)
	}
	if c.Keep > 0 && c.Keep < time.Minute {
		bad("--keep: %v is too short; use 1m or more, or 0 for no limit", c.Keep)
	}
	if c.MaxWait > time.Second {
		bad("--max-wait: %v would make PMTA wait; use 1s or less", c.MaxWait)
	}
	return errors.Join(errs...)
}

// maxRecord is MaxRecord, or less when buffer or files are small.
func (c *Config) maxRecord() int { return int(min(MaxRecord, c.FileSize/4, c.Buffer/4)) }

func (c *Config) blockSize() int { return int(min(maxBlock, c.FileSize/4)) }

// Reason says why records were dropped. The values are stable: they are in the
// journal.
type Reason string

const (
	ReasonDiskSlow   Reason = "disk_slow"   // the disk hangs or is slower than the input, and the buffer was full
	ReasonDiskFull   Reason = "disk_full"   // no space, and the buffer was full
	ReasonWriteError Reason = "write_error" // the files cannot be written, and the buffer was full
	ReasonTooLarge   Reason = "too_large"   // longer than MaxRecord
	ReasonShutdown   Reason = "shutdown"    // not written within Config.Drain after the end of the input
)

// Count is a number of records with their bytes, line ends included.
type Count struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

func (c *Count) add(records, bytes int64) {
	c.Records += records
	c.Bytes += bytes
}

// Totals are counts since the start. Read = Written + the sum of Dropped, once
// Run has returned, but for Incomplete.
type Totals struct {
	Read    Count            `json:"read"`    // whole records of the input; header lines are none
	Written Count            `json:"written"` // handed to the operating system
	Dropped map[Reason]Count `json:"dropped,omitempty"`
	// Removed counts finished files that were deleted, with their records. The
	// agent has read them, unless it stood still.
	Removed      Count `json:"removed"`
	RemovedFiles int64 `json:"removed_files"`
	// Incomplete counts records that ended in the middle. They are in the
	// files, made so that the agent rejects them.
	Incomplete int64 `json:"incomplete,omitempty"`
	Errors     int64 `json:"errors,omitempty"` // failed attempts to write
	Waits      int64 `json:"waits,omitempty"`  // times the input had to wait for the disk, MaxWait at most
	BufferPeak int64 `json:"buffer_peak"`      // bytes
}

// Lost returns the records that were dropped.
func (t Totals) Lost() (c Count) {
	for _, d := range t.Dropped {
		c.add(d.Records, d.Bytes)
	}
	return c
}

// Deadliner is an input whose blocked Read can be ended, as that of a pipe. A
// Read behind the deadline returns os.ErrDeadlineExceeded.
type Deadliner interface {
	SetReadDeadline(t time.Time) error
}

// Run copies in to the spool until in ends, or until ctx does. Then it takes
// what is left in in if that is a Deadliner, closes it if it is an io.Closer,
// and writes what is in memory. Errors are a wrong configuration, a directory
// that cannot be written when Run starts, an input that cannot be read, and
// records that could not be written in the end. Anything else that goes wrong
// with the disk is waited out.
func Run(ctx context.Context, in io.Reader, cfg Config) (Totals, error) {
	if err := cfg.Validate(); err != nil {
		return Totals{}, err
	}
	cfg.setDefaults()
	q := newQueue(cfg.Buffer, cfg.blockSize(), cfg.MaxWait)
	stop, cancel := context.WithCancel(context.Background())
	defer cancel()

	read := make(chan error, 1)
	go func() { read <- (&reader{q: q, max: cfg.maxRecord()}).run(in) }()
	wrote := make(chan error, 1)
	w := newWriter(cfg, q)
	go func() { wrote <- w.run(stop) }()

	var inErr error
	select {
	case inErr = <-read:
	case err := <-wrote:
		return q.snapshot(), err // could not start
	case <-ctx.Done():
		if d, ok := in.(Deadliner); ok && d.SetReadDeadline(time.Now().Add(50*time.Millisecond)) == nil {
			inErr = <-read
			// Whatever PMTA writes from here on is to fail, not to get lost.
			if c, ok := in.(io.Closer); ok {
				_ = c.Close()
			}
		}
	}
	q.close()
	t := time.NewTimer(cfg.Drain)
	defer t.Stop()
	var err error
	select {
	case err = <-wrote:
	case <-t.C:
		cancel() // ends the waiting between two attempts
		grace := time.NewTimer(100 * time.Millisecond)
		defer grace.Stop()
		select {
		case err = <-wrote:
		case <-grace.C: // hangs in a system call
			q.abandon(nil)
			q.update(func(t *Totals) {
				open := t.Read.Records - t.Written.Records - t.Lost().Records
				bytes := t.Read.Bytes - t.Written.Bytes - t.Lost().Bytes
				c := t.Dropped[ReasonShutdown]
				c.add(open, bytes)
				t.Dropped[ReasonShutdown] = c
			})
		}
	}
	total := q.snapshot()
	if n := total.Dropped[ReasonShutdown].Records; n > 0 && err == nil {
		err = fmt.Errorf("%d records were not written within %v after the end of the input", n, cfg.Drain)
	}
	if inErr != nil {
		inErr = fmt.Errorf("cannot read the input: %w", inErr)
	}
	return total, errors.Join(inErr, err)
}

// reader cuts the input into records.
type reader struct {
	q     *queue
	max   int
	json  bool
	known bool // whether it is JSON
	hdr   *header
	skip  bool // in a line that was too long
	ends  []int
}

// run reads until the end of in.
func (r *reader) run(in io.Reader) error {
	buf := make([]byte, readSize+r.max)
	have := 0
	for {
		n, err := in.Read(buf[have : have+readSize])
		fresh := buf[have : have+n]
		have += n
		if used := r.take(buf[:have], fresh); used > 0 {
			have = copy(buf, buf[used:have])
		}
		if err == nil {
			continue
		}
		interrupted := errors.Is(err, os.ErrDeadlineExceeded)
		r.end(buf[:have], !interrupted)
		if err == io.EOF || interrupted || errors.Is(err, os.ErrClosed) {
			return nil
		}
		return err
	}
}

// take hands the whole records in b on and returns how much of b it has used.
// fresh is the part of b that was not offered before.
func (r *reader) take(b, fresh []byte) int {
	pos := 0
	if r.skip {
		nl := bytes.IndexByte(b, '\n')
		if nl < 0 {
			r.tooLarge(0, len(b))
			return len(b)
		}
		r.tooLarge(0, nl+1)
		r.skip = false
		pos = nl + 1
	}
	if !r.known {
		for pos < len(b) && (b[pos] == ' ' || b[pos] == '\t' || b[pos] == '\r' || b[pos] == '\n') {
			pos++
		}
		if pos == len(b) {
			return pos
		}
		r.known, r.json = true, b[pos] == '{' || b[pos] == '['
		r.hdr = &header{ext: "csv"} // until there is a header line
		if r.json {
			r.hdr.ext = "json"
		}
	}
	if len(b)-pos <= r.max && bytes.IndexByte(fresh, '\n') < 0 {
		return pos // nothing can have ended
	}
	run := pos // where the records not handed on yet begin
	r.ends = r.ends[:0]
	flush := func() {
		if len(r.ends) > 0 {
			r.q.put(r.hdr, b[run:pos], r.ends)
			r.ends = r.ends[:0]
		}
	}
	for pos < len(b) {
		n := r.next(b[pos:])
		switch {
		case n > r.max, n == 0 && len(b)-pos > r.max:
			// Too long, or a quote that was never closed. Lines are handed on
			// as they are: the agent finds the records among them.
			last := bytes.LastIndexByte(b[pos:pos+r.max], '\n') + 1
			for end := pos + last; pos < end; {
				pos += bytes.IndexByte(b[pos:end], '\n') + 1
				r.ends = append(r.ends, pos-run)
			}
			if last > 0 {
				continue
			}
			flush()
			nl := bytes.IndexByte(b[pos:], '\n') + 1
			if nl == 0 {
				r.skip = true
				nl = len(b) - pos
			}
			r.tooLarge(1, nl)
			pos += nl
			run = pos
		case n == 0:
			flush()
			return pos
		default:
			rec := b[pos : pos+n]
			if c := rec[0]; c <= ' ' || !r.json && (c == 't' || c == 'T' || c == '"' || c == bom[0]) {
				if header := !r.json && isHeader(rec); header || isBlank(rec) {
					flush()
					if header {
						r.header(rec)
					}
					pos += n
					run = pos
					continue
				}
			}
			pos += n
			r.ends = append(r.ends, pos-run)
		}
	}
	flush()
	return pos
}

func (r *reader) next(b []byte) int {
	if r.json {
		return nextJSON(b)
	}
	return nextCSV(b)
}

// header puts a header line in force. The same one again changes nothing.
func (r *reader) header(rec []byte) {
	if bytes.Equal(rec, r.hdr.line) {
		return
	}
	n, _ := width(chomp(rec))
	r.hdr = &header{line: bytes.Clone(rec), columns: n, ext: "csv"}
}

func (r *reader) tooLarge(records, n int) {
	r.q.update(func(t *Totals) {
		t.Read.add(int64(records), int64(n))
		r.q.drop(ReasonTooLarge, int64(records), int64(n))
	})
}

// end handles what is left when the input has ended, cleanly or in the middle.
// A record without a line end is whole if it has all its fields.
func (r *reader) end(rest []byte, clean bool) {
	if r.skip {
		r.tooLarge(0, len(rest))
		return
	}
	if !r.known || isBlank(rest) || !r.json && isHeader(rest) {
		return
	}
	if r.json {
		whole := append(bytes.Clone(rest), '\n')
		if t := bytes.TrimRight(rest, " \t\r\n"); len(t) > 0 && t[len(t)-1] == '}' && nextJSON(whole) == len(whole) {
			r.q.put(r.hdr, whole, []int{len(whole)})
			return
		}
		r.q.raw(r.hdr, whole)
		return
	}
	fields, open := width(rest)
	if clean && !open && fields == r.hdr.columns {
		whole := append(bytes.Clone(bytes.TrimSuffix(rest, []byte{'\r'})), '\n')
		r.q.put(r.hdr, whole, []int{len(whole)})
		return
	}
	r.q.raw(r.hdr, append(bytes.Clone(rest), seal(rest, r.hdr.columns)...))
}
