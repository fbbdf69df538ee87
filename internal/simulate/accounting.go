package simulate

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// AccountingConfig describes one accounting file, like an <acct-file> block. Zero values are defaults.
type AccountingConfig struct {
	Path   string            // base path: "log/acct.csv" is written as "log/acct-2026-01-31-0000.csv"
	Types  []Type            // record types; their order decides the order of columns; all
	Fields map[Type][]string // record-fields by type, see ExpandFields; "*"

	JSON       bool // one JSON object a line instead of CSV, all values strings
	CRLF       bool // line ends; LF
	UnixTimes  bool // times as Unix seconds (iso-times no)
	UserString string

	MaxSize      int64         // bytes of a file after which the next one begins; 0 = no limit
	MoveTo       string        // folder on the same volume into which finished files are renamed
	MoveInterval time.Duration // with MoveTo, how long a file is open; one day
	GzipMoved    bool          // with MoveTo, compress moved files

	// Block is 0 for a write after each record, or the size of the blocks in which bytes reach the file, so that the
	// end of a file is usually a partial record; what is left over is written by Tick and when the file is finished.
	Block int

	Manifest *Manifest // if set, told of each record

	// Notify, if set, is told what PowerMTA says in its log when a file was moved. CountMoved adds the number of records
	// (count-moved-records).
	Notify     func(at time.Time, text string)
	CountMoved bool

	// finished, if set, is told of each file that another one follows. It makes MoveInterval count without MoveTo.
	finished func(FileStats)
}

// FileStats is what was written to one file.
type FileStats struct {
	Name    string           `json:"file"` // base name while it was live
	Records map[string]int64 `json:"records"`
	Bytes   int64            `json:"bytes"` // with header, before compression
}

// Accounting writes events to accounting files. It is not safe for concurrent use.
type Accounting struct {
	cfg     AccountingConfig
	header  []byte
	columns []string
	rows    [numTypes]*rowFormat

	file      *os.File
	name      string
	size      int64
	records   int64
	opened    time.Time
	dayEnd    int64 // Unix time of the next midnight
	day       string
	seq       int
	counts    [numTypes]int64
	done      []FileStats
	pending   []byte
	line      []byte
	scratch   []byte
	timeCache [64]cachedTime
}

type rowFormat struct{ fields []field }

type cachedTime struct {
	unix int64
	loc  *time.Location
	text []byte
}

// NewAccounting checks the configuration. Nothing is created before [Accounting.Open].
func NewAccounting(cfg AccountingConfig) (*Accounting, error) {
	if cfg.Path == "" {
		return nil, errors.New("accounting file: no path")
	}
	if len(cfg.Types) == 0 {
		cfg.Types = AllTypes()
	}
	if cfg.MoveInterval == 0 {
		cfg.MoveInterval = 24 * time.Hour
	}
	if cfg.MaxSize < 0 || cfg.MoveInterval < 0 || cfg.Block < 0 {
		return nil, fmt.Errorf("accounting file %s: sizes and intervals must not be negative", cfg.Path)
	}
	if cfg.GzipMoved && cfg.MoveTo == "" {
		return nil, fmt.Errorf("accounting file %s: only moved files are compressed, so it needs a folder to move them to", cfg.Path)
	}
	o := &Accounting{cfg: cfg}
	index := map[string]int{}
	byType := map[Type]map[int]field{}
	for _, t := range cfg.Types {
		if t >= numTypes {
			return nil, fmt.Errorf("accounting file %s: unknown record type %d", cfg.Path, t)
		}
		names, err := ExpandFields(t, cfg.Fields[t])
		if err != nil {
			return nil, fmt.Errorf("accounting file %s: %w", cfg.Path, err)
		}
		byType[t] = map[int]field{}
		for _, name := range names {
			usual, f, err := lookup(t, name)
			if err != nil {
				return nil, err
			}
			key := strings.ToLower(usual)
			i, ok := index[key]
			if !ok {
				i = len(o.columns)
				index[key] = i
				o.columns = append(o.columns, usual)
			}
			byType[t][i] = f
		}
	}
	for t, list := range cfg.Fields {
		if byType[t] == nil && len(list) > 0 {
			return nil, fmt.Errorf("accounting file %s: fields for %s, which it does not record", cfg.Path, t)
		}
	}
	for t, fields := range byType {
		r := &rowFormat{fields: make([]field, len(o.columns))}
		for i, f := range fields {
			r.fields[i] = f
		}
		o.rows[t] = r
	}
	if !cfg.JSON {
		for i, c := range o.columns {
			if i > 0 {
				o.header = append(o.header, ',')
			}
			o.header = o.quote(append(o.header, c...), len(o.header))
		}
		o.header = o.eol(o.header)
	}
	return o, nil
}

// Columns returns the names in the header line, in order.
func (o *Accounting) Columns() []string { return o.columns }

// Takes reports whether records of type t are written.
func (o *Accounting) Takes(t Type) bool { return t < numTypes && o.rows[t] != nil }

// Open creates the first file, with its header.
func (o *Accounting) Open(at time.Time) error {
	if err := os.MkdirAll(filepath.Dir(o.cfg.Path), 0o755); err != nil {
		return err
	}
	if o.cfg.MoveTo != "" {
		if err := os.MkdirAll(o.cfg.MoveTo, 0o755); err != nil {
			return err
		}
	}
	return o.open(at)
}

// split returns the base name without and with only its extension.
func (o *Accounting) split() (dir, stem, ext string) {
	dir, base := filepath.Split(o.cfg.Path)
	ext = filepath.Ext(base)
	return dir, strings.TrimSuffix(base, ext), ext
}

func (o *Accounting) open(at time.Time) error {
	dir, stem, ext := o.split()
	if day := at.Format("2006-01-02"); day != o.day {
		o.day = day
		y, m, d := at.Date()
		o.dayEnd = time.Date(y, m, d+1, 0, 0, 0, 0, at.Location()).Unix()
		o.seq = 0
		for _, folder := range []string{dir, o.cfg.MoveTo} {
			if folder == "" {
				if folder != dir {
					continue
				}
				folder = "."
			}
			entries, err := os.ReadDir(folder)
			if err != nil {
				return err
			}
			for _, e := range entries {
				rest, ok := strings.CutPrefix(e.Name(), stem+"-"+day+"-")
				if !ok {
					continue
				}
				num, _, _ := strings.Cut(rest, ".")
				if n, err := strconv.Atoi(num); err == nil && n >= o.seq {
					o.seq = n + 1
				}
			}
		}
	}
	o.name = fmt.Sprintf("%s-%s-%04d%s", stem, o.day, o.seq, ext)
	o.seq++
	f, err := os.OpenFile(dir+o.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	o.file, o.opened, o.size, o.records, o.counts = f, at, 0, 0, [numTypes]int64{}
	if len(o.header) > 0 {
		if _, err := f.Write(o.header); err != nil {
			return err
		}
		o.size = int64(len(o.header))
	}
	return nil
}

// due reports whether a new file must begin before something that happens now.
func (o *Accounting) due(at time.Time) bool {
	if o.records == 0 {
		return at.Unix() >= o.dayEnd
	}
	return at.Unix() >= o.dayEnd || (o.cfg.MoveTo != "" || o.cfg.finished != nil) && at.Sub(o.opened) >= o.cfg.MoveInterval
}

// Write appends the event's record and reports whether the file takes this type. Time decides about midnight and
// move-interval, so events must come in order.
func (o *Accounting) Write(e *Event) (bool, error) {
	if e.Type >= numTypes || o.rows[e.Type] == nil {
		return false, nil
	}
	o.render(e)
	if o.due(e.At) || o.cfg.MaxSize > 0 && o.records > 0 && o.size+int64(len(o.line)) > o.cfg.MaxSize {
		if err := o.rotate(e.At); err != nil {
			return false, err
		}
	}
	if o.cfg.Manifest != nil {
		o.cfg.Manifest.add(o.name, o.records+1, e.Type, o.line[:len(o.line)-o.eolLen()])
	}
	o.size += int64(len(o.line))
	o.records++
	o.counts[e.Type]++
	if o.cfg.Block == 0 {
		_, err := o.file.Write(o.line)
		return true, err
	}
	o.pending = append(o.pending, o.line...)
	if n := len(o.pending) / o.cfg.Block * o.cfg.Block; n > 0 {
		if _, err := o.file.Write(o.pending[:n]); err != nil {
			return true, err
		}
		o.pending = o.pending[:copy(o.pending, o.pending[n:])]
	}
	return true, nil
}

// Tick writes out what is buffered and rotates if time demands it although nothing happens.
func (o *Accounting) Tick(now time.Time) error {
	if o.due(now) {
		return o.rotate(now)
	}
	return o.flush()
}

func (o *Accounting) flush() error {
	if len(o.pending) > 0 {
		if _, err := o.file.Write(o.pending); err != nil {
			return err
		}
		o.pending = o.pending[:0]
	}
	if o.cfg.Manifest != nil {
		return o.cfg.Manifest.Flush()
	}
	return nil
}

// absolute returns path as PowerMTA, which knows no working directory, would say it.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Rotate finishes the file and begins the next one, like "pmta rotate acct".
func (o *Accounting) Rotate(at time.Time) error { return o.rotate(at) }

func (o *Accounting) rotate(at time.Time) error {
	if err := o.finish(); err != nil {
		return err
	}
	if o.cfg.MoveTo != "" {
		dir, _, _ := o.split()
		moved := filepath.Join(o.cfg.MoveTo, o.name)
		if err := os.Rename(dir+o.name, moved); err != nil {
			return err
		}
		if o.cfg.GzipMoved {
			if err := compress(moved); err != nil {
				return err
			}
		}
		if o.cfg.Notify != nil {
			text := "Accounting file " + absolute(dir+o.name) + " was moved to " + absolute(moved)
			if o.cfg.CountMoved {
				text += " (" + strconv.FormatInt(o.records, 10) + " records)"
			}
			o.cfg.Notify(at, text)
		}
	}
	if o.cfg.finished != nil {
		o.cfg.finished(o.done[len(o.done)-1])
	}
	return o.open(at)
}

// finish closes the file under its name.
func (o *Accounting) finish() error {
	if o.file == nil {
		return nil
	}
	err := errors.Join(o.flush(), o.file.Close())
	o.file = nil
	s := FileStats{Name: o.name, Bytes: o.size, Records: map[string]int64{}}
	for t, n := range o.counts {
		if n > 0 {
			s.Records[Type(t).String()] = n
		}
	}
	o.done = append(o.done, s)
	return err
}

// Close finishes the live file, which keeps its place and name.
func (o *Accounting) Close() error { return o.finish() }

// Files returns what was written to each finished file, in order.
func (o *Accounting) Files() []FileStats { return o.done }

// compress replaces path by path.gz. The archive appears under its name only when it is complete.
func compress(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	dir, base := filepath.Split(path)
	tmp := dir + "." + base + ".gz.tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	if err = errors.Join(err, z.Close(), out.Close()); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, path+".gz"); err != nil {
		return err
	}
	in.Close() // Windows removes no open file
	return os.Remove(path)
}

func (o *Accounting) eolLen() int {
	if o.cfg.CRLF {
		return 2
	}
	return 1
}

func (o *Accounting) eol(dst []byte) []byte {
	if o.cfg.CRLF {
		dst = append(dst, '\r')
	}
	return append(dst, '\n')
}

// render puts the record with its line end into o.line.
func (o *Accounting) render(e *Event) {
	b := o.line[:0]
	fields := o.rows[e.Type].fields
	if o.cfg.JSON {
		for i := range fields {
			b = append(b, ",\""...)
			b = append(b, o.columns[i]...)
			b = append(b, "\":"...)
			o.scratch = o.scratch[:0]
			if fields[i].value != nil {
				o.scratch = fields[i].value(o.scratch, e, o)
			}
			b = appendJSONString(b, o.scratch)
		}
		b[0] = '{'
		b = append(b, '}')
	} else {
		for i := range fields {
			if i > 0 {
				b = append(b, ',')
			}
			f := &fields[i]
			if f.value == nil {
				continue
			}
			start := len(b)
			b = f.value(b, e, o)
			if !f.raw {
				b = o.quote(b, start)
			}
		}
	}
	o.line = o.eol(b)
}

// quote encloses b[start:] in quotes if RFC 4180 demands it.
func (o *Accounting) quote(b []byte, start int) []byte {
	needed := false
	for _, c := range b[start:] {
		if c <= ',' && (c == ',' || c == '"' || c == '\n' || c == '\r') {
			needed = true
			break
		}
	}
	if !needed {
		return b
	}
	o.scratch = append(o.scratch[:0], b[start:]...)
	b = append(b[:start], '"')
	for _, c := range o.scratch {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

func appendJSONString(b, s []byte) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, hexLower[c>>4], hexLower[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendTime renders t in the configured form, remembering recent seconds.
func (o *Accounting) appendTime(dst []byte, t time.Time) []byte {
	unix := t.Unix()
	if o.cfg.UnixTimes {
		return strconv.AppendInt(dst, unix, 10)
	}
	c := &o.timeCache[unix&63]
	if c.unix != unix || c.loc != t.Location() || c.text == nil {
		c.unix, c.loc = unix, t.Location()
		c.text = t.AppendFormat(c.text[:0], "2006-01-02 15:04:05-0700")
	}
	return append(dst, c.text...)
}

// Manifest is the truth about what was written: one JSON line for each record with the name of the file, the number of
// the record in it (from 1), the type, and the first 32 hexadecimal digits of the SHA-256 of the record's bytes without
// the line end.
type Manifest struct {
	w   *bufio.Writer
	buf []byte
}

// NewManifest writes to w.
func NewManifest(w io.Writer) *Manifest { return &Manifest{w: bufio.NewWriterSize(w, 64<<10)} }

func (m *Manifest) add(file string, n int64, t Type, record []byte) {
	sum := sha256.Sum256(record)
	b := append(m.buf[:0], `{"file":`...)
	b = strconv.AppendQuote(b, file)
	b = append(b, `,"record":`...)
	b = strconv.AppendInt(b, n, 10)
	b = append(append(append(b, `,"type":"`...), t.String()...), `","sha256":"`...)
	b = hex.AppendEncode(b, sum[:16])
	b = append(b, "\"}\n"...)
	m.buf = b
	m.w.Write(b) // an error stays and is reported by Flush
}

// Flush writes out what is buffered and returns the first error of any write.
func (m *Manifest) Flush() error { return m.w.Flush() }
