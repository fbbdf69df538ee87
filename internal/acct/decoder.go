package acct

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/uid"
)

const (
	defaultMaxRecord = 1 << 20
	minMaxRecord     = 256
	maxMaxRecord     = 256 << 20
	// maxChunk keeps positions within 31 bits.
	maxChunk = 1 << 30
	// maxColumns is far beyond any real header. It bounds the work that a
	// hostile one can cause.
	maxColumns = 1000
)

type format uint8

const (
	formatUnknown format = iota // nothing but blank lines so far
	formatCSV
	formatJSON
)

// skipMode is set behind input that was too large, until the next line that
// starts like a record.
type skipMode uint8

const (
	skipNone skipMode = iota
	skipMid           // in the middle of a line
	skipLine          // at the start of a line
)

// Decoder decodes one accounting file. It is not safe for concurrent use.
type Decoder struct {
	loc  *time.Location
	max  int
	salt xxh3.Uint128

	// What State saves.
	format  format
	skip    skipMode
	seeded  bool         // seed is that of the file; before, of the header
	seed    xxh3.Uint128 // hash of header line and first record
	header  string       // header line in force, "" without
	spoilt  bool         // the last header line could not be used
	assumed bool         // header is from before the file was truncated
	saved   []byte       // what State returned, nil after a change
	off     int64        // position in the file of what Decode gets next
	uids    uid.Mixer
	plan    *plan // header in force, nil without
	plans   jsonPlans
	keys    []string // of the object in work
	dirty   bool     // the object in work has been sanitized
	tc      timeCache
	lowered map[string]string
	listIn  string // the last list, as read and tidied
	listOut string
	rec     Record
	attrs   []Attr

	// Fields of the record in work: [st[i], en[i]) in the line; st[i] < 0
	// means side[^st[i]].
	st, en []int32
	side   []string

	// trace gets the ranges that are neither record nor reject. For tests.
	trace func(what string, start, end int)
}

// NewDecoder returns a Decoder for the beginning of a file. To go on in the
// middle of one, call Restore before anything else.
func NewDecoder(o Options) *Decoder {
	d := &Decoder{loc: o.Location, max: o.MaxRecordSize}
	if d.loc == nil {
		d.loc = time.Local
	}
	if d.max == 0 {
		d.max = defaultMaxRecord
	}
	d.max = min(max(d.max, minMaxRecord), maxMaxRecord)
	d.salt = xxh3.HashString128(o.Instance)
	d.st = make([]int32, 64)
	d.en = make([]int32, 64)
	return d
}

// Offset returns the position in the file behind everything consumed so far.
func (d *Decoder) Offset() int64 { return d.off }

// Columns returns the column names in force, as written: those of the last
// header line or, for JSON, the keys of the last record; nil while nothing is
// known. The caller must not change them. The slice is the same one until
// other columns come into force, so comparing the addresses of two first
// elements is enough to see a change. A Handler may call it: it is the header
// of the record at hand.
func (d *Decoder) Columns() []string {
	switch {
	case d.plan != nil:
		return d.plan.names
	case d.plans.last != nil:
		return d.plans.last.names
	}
	return nil
}

// JSON reports whether the input is JSON, in which each record has keys of its
// own, so that Columns may change from record to record.
func (d *Decoder) JSON() bool { return d.format == formatJSON }

// Decode decodes the complete records at the beginning of src and returns how
// many bytes it has used. src starts where the previous call stopped. What is
// left must be offered again with more behind it; final says that nothing
// will follow, so that everything is used. A result of 0 asks for a longer
// src; one longer than the largest record plus 1 byte never gives 0.
//
// Every byte used belongs to exactly one record, reject, header line or run of
// blanks, and how src was cut into pieces makes no difference to what h gets.
func (d *Decoder) Decode(src string, final bool, h Handler) (used int) {
	for {
		chunk, last := src[used:], final
		if len(chunk) > maxChunk {
			chunk, last = chunk[:maxChunk], false
		}
		n := d.decode(chunk, last, h)
		d.release()
		d.off += int64(n)
		used += n
		if used == len(src) || len(chunk) < maxChunk || n == 0 {
			return used
		}
	}
}

func (d *Decoder) decode(src string, final bool, h Handler) int {
	pos := 0
	for d.format == formatUnknown {
		pos = d.detect(src, pos, final)
		if d.format != formatUnknown {
			break
		}
		n := pos
		if pos < len(src) && src[pos] == 0 {
			n = d.hole(src, pos, final, h)
		}
		if n == pos {
			return pos
		}
		pos = n
	}
	if d.format == formatJSON {
		return d.decodeJSON(src, pos, final, h)
	}
	return d.decodeCSV(src, pos, final, h)
}

// release drops what keeps the input alive, and buffers of unusual size.
func (d *Decoder) release() {
	clear(d.attrs)
	clear(d.side[:cap(d.side)])
	clear(d.keys[:cap(d.keys)])
	d.rec = Record{}
	d.listIn, d.listOut = "", ""
	if len(d.st) > 4*maxColumns {
		d.st, d.en = make([]int32, 64), make([]int32, 64)
	}
}

const bom = "\ufeff"

// detect finds out the format from the first byte behind from that is not
// blank. It returns where blank lines and byte order mark end, with the format
// still unknown if src ends there or a line begins with NUL.
func (d *Decoder) detect(src string, from int, final bool) int {
	start := from
	if d.off == 0 && from == 0 {
		if strings.HasPrefix(src, bom) {
			start = len(bom)
		} else if !final && strings.HasPrefix(bom, src) {
			return 0
		}
	}
	pos := start
	for i := start; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\n':
			pos = i + 1
			continue
		case c == ' ' || c == '\t' || c == '\r':
			continue
		case c == 0 && i == pos:
			d.blank(from, pos)
			return pos
		case c == '{' || c == '[':
			d.format = formatJSON
			d.header, d.plan, d.assumed = "", nil, false
		default:
			d.format = formatCSV
		}
		d.saved = nil
		d.blank(from, pos)
		return pos
	}
	if final {
		pos = len(src)
	}
	d.blank(from, pos)
	return pos
}

// hole rejects the NUL bytes at pos, where a record could begin: what a writer
// leaves that goes on at its old position after the file was truncated, or a
// crash whose last blocks never came to the disk. What stands behind them is
// read as if they were not there. It returns their end, or pos if it takes
// more input to know it; of a long hole, the end of a piece.
func (d *Decoder) hole(src string, pos int, final bool, h Handler) int {
	window := min(len(src), pos+d.max)
	end := pos
	for end < window && src[end] == 0 {
		end++
	}
	if end == len(src) && end < pos+d.max && !final {
		return pos // they may be filled in yet
	}
	h.Reject(Reject{Start: pos, End: end, Reason: ReasonNulBytes, Detail: "NUL bytes where a record should begin"})
	return end
}

func (d *Decoder) blank(start, end int) {
	if d.trace != nil && end > start {
		d.trace("blank", start, end)
	}
}

// clean reports whether s is text: UTF-8 without NUL.
func clean(s string) bool {
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

// identify sets the UID of the record whose text, without line end, is line,
// at position start of the present input.
func (d *Decoder) identify(r *Record, line string, start int) {
	h := xxh3.HashString128(line)
	if !d.seeded {
		var b [2 * uid.Size]byte
		uid.Put(b[:], d.seed)
		uid.Put(b[uid.Size:], h)
		d.seed = xxh3.Hash128(b[:])
		d.seeded = true
		d.saved = nil
		d.uids.From(d.seed, d.salt)
	}
	r.UID = d.uids.UID(h, d.off+int64(start))
}

// hashHeader makes the seed of a file from its header line, to be joined by
// the first record.
func hashHeader(line string) xxh3.Uint128 { return xxh3.HashString128(line) }

// AppendUID appends id as 32 lower-case hex digits.
//
// The UID of a record is a 128-bit hash of its text, its position in the
// decompressed file, the header line and first record of the file, and
// Options.Instance. So it is the same whenever the record is read again,
// whatever the file is called by then and whether it is compressed, and it
// differs between equal records.
func AppendUID(dst []byte, id [2]uint64) []byte {
	const hex = "0123456789abcdef"
	var b [32]byte
	for i := 0; i < 16; i++ {
		b[15-i] = hex[id[0]>>(4*i)&15]
		b[31-i] = hex[id[1]>>(4*i)&15]
	}
	return append(dst, b[:]...)
}

// ParseUID reads what AppendUID has written.
func ParseUID(s string) (id [2]uint64, ok bool) {
	if len(s) != 32 {
		return id, false
	}
	for i := range id {
		n, err := strconv.ParseUint(s[16*i:16*i+16], 16, 64)
		if err != nil {
			return [2]uint64{}, false
		}
		id[i] = n
	}
	return id, true
}

const stateVersion = 1

// ErrState is returned by Restore for bytes that State did not write.
var ErrState = errors.New("saved decoder state is damaged or from another version")

// State returns what another Decoder needs to go on behind the bytes used so
// far: format, header line and the identity of the file. It is cheap and
// changes rarely; the caller must not change the result.
//
// Layout: version, format, skip mode and flags (1: the seed is final, 2: the
// last header line could not be used, 4: the header line is that of Assume), 1
// byte each; 16 bytes of seed; the header line.
func (d *Decoder) State() []byte {
	if d.saved == nil {
		b := make([]byte, 20, 20+len(d.header))
		b[0], b[1], b[2] = stateVersion, byte(d.format), byte(d.skip)
		if d.seeded {
			b[3] |= 1
		}
		if d.spoilt {
			b[3] |= 2
		}
		if d.assumed {
			b[3] |= 4
		}
		uid.Put(b[4:], d.seed)
		d.saved = append(b, d.header...)
	}
	return d.saved
}

// Restore makes the Decoder go on at position offset of the decompressed
// file, with what State returned there. An empty state means that nothing is
// known of what came before offset.
func (d *Decoder) Restore(state []byte, offset int64) error {
	if offset < 0 {
		return ErrState
	}
	if len(state) == 0 {
		d.off = offset
		return nil
	}
	if len(state) < 20 || state[0] != stateVersion || state[1] > byte(formatJSON) || state[2] > byte(skipLine) || state[3] > 7 {
		return ErrState
	}
	header := string(state[20:])
	if header != "" {
		if !d.setHeader(header) {
			return ErrState
		}
	}
	d.format, d.skip, d.seeded, d.seed = format(state[1]), skipMode(state[2]), state[3]&1 != 0, uid.Get(state[4:])
	d.spoilt, d.assumed = state[3]&2 != 0, state[3]&4 != 0
	d.saved, d.off = nil, offset
	d.uids.From(d.seed, d.salt)
	return nil
}

// Assume says what State another Decoder had when the file was truncated under
// its writer, which then goes on without a header line: until the file has one,
// rows with as many fields as that header are read with its columns. Call it
// before Decode, for the beginning of a file only.
func (d *Decoder) Assume(before []byte) {
	if len(before) > 20 && before[0] == stateVersion && d.setHeader(string(before[20:])) {
		d.assumed = true
	}
}

// setHeader puts a header line in force, given as clean text. It is false if
// the line cannot be one.
func (d *Decoder) setHeader(line string) bool {
	line = strings.Clone(line)
	d.side = d.side[:0]
	var sp splitter
	if i := strings.IndexByte(line, '"'); i >= 0 {
		if sp = d.splitQuoted(line, 0, i, len(line), true); sp.verdict != whole {
			return false
		}
	} else {
		sp.fields = d.finish(d.split(line, 0, len(line), d.begin(0)), len(line))
	}
	if sp.fields > maxColumns {
		return false
	}
	names := make([]string, sp.fields)
	for i := range names {
		names[i] = strings.TrimSpace(d.field(line, i))
		if names[i] == "" || strings.ContainsAny(names[i], "\r\n") {
			return false // several lines, perhaps all of a file whose lines end with CR alone
		}
	}
	d.header, d.spoilt, d.assumed = line, false, false
	d.plan = compile(names)
	d.saved = nil
	return true
}
