package mainlog

import (
	"fmt"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/uid"
)

const (
	defaultMaxRecord = 1 << 20
	minMaxRecord     = 256
	maxMaxRecord     = 256 << 20
	// maxChunk keeps the work of one round bounded.
	maxChunk = 1 << 30

	defaultMaxSessions    = 1000
	defaultSessionTimeout = time.Hour
	defaultMaxTranscript  = 8 << 10
	defaultMaxState       = 256 << 10
	minMaxState           = 4 << 10
)

const bom = "\ufeff"

// Decoder decodes one file of the system log. It is not safe for concurrent
// use.
type Decoder struct {
	opts Options
	max  int
	salt xxh3.Uint128

	// What State saves.
	skip   bool // in the middle of a line that is too large
	seeded bool
	timed  bool // an entry with a time has been seen
	seed   xxh3.Uint128
	off    int64 // position in the file of what Decode gets next
	clock  clock
	prev   previous
	sess   sessions

	uids  uid.Mixer
	match *match
	lines []string // further lines of the entry in work
	attrs []acct.Attr
	sattr []acct.Attr
	ent   Entry
	ses   Session
	stats Stats

	// trace gets the ranges that are neither entry nor reject. For tests.
	trace func(what string, start, end int)
}

// previous is what is known of the entry before, for lines that follow it.
type previous struct {
	uid      [2]uint64
	time     int64
	conn     int64
	severity Severity
	stream   string
	session  *session // open session that its last line belongs to
	flags    uint8    // follow* below
}

const (
	followDrop   = 1 << iota // the entry was removed: so is what follows
	followSecret             // it held credentials
	followSaid               // it ends the transcript of its session
	followFail               // it ends the failing reply of its session
	followAny                // there is an entry before
)

// NewDecoder returns a Decoder for the beginning of a file. To go on in the
// middle of one, call Restore before anything else.
func NewDecoder(o Options) *Decoder {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.MaxRecordSize == 0 {
		o.MaxRecordSize = defaultMaxRecord
	}
	if o.Patterns == nil {
		o.Patterns = Builtin()
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = defaultMaxSessions
	}
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = defaultSessionTimeout
	}
	if o.MaxTranscript == 0 {
		o.MaxTranscript = defaultMaxTranscript
	}
	if o.MaxState <= 0 {
		o.MaxState = defaultMaxState
	}
	o.MaxState = max(o.MaxState, minMaxState)
	d := &Decoder{opts: o, max: min(max(o.MaxRecordSize, minMaxRecord), maxMaxRecord), salt: xxh3.HashString128(o.Instance)}
	d.clock.loc = o.Location
	d.sess.init(&d.opts)
	d.prev.conn = -1
	return d
}

// Offset returns the position in the file behind everything consumed so far.
func (d *Decoder) Offset() int64 { return d.off }

// Stats returns the counters.
func (d *Decoder) Stats() Stats { return d.stats }

// Decode decodes the complete entries at the beginning of src and returns how
// many bytes it has used. src starts where the previous call stopped. What is
// left must be offered again with more behind it; final says that nothing
// will follow, so that everything is used. A result of 0 asks for a longer
// src; one longer than the largest record plus 1 byte never gives 0.
//
// Every byte used belongs to exactly one entry, reject, removed line of a hex
// dump or run of blanks. How src was cut into pieces makes no difference, but
// for one thing: lines without a time belong to the entry before, and are
// joined to it if they are there when it is handed over. When they come later
// they are an Entry of their own, with Continuation set. See the package's
// documentation.
func (d *Decoder) Decode(src string, final bool, h Handler) (used int) {
	if set := d.opts.Patterns.set.Load(); d.match == nil || d.match.set != set {
		d.match = newMatch(set)
	}
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

// release drops what keeps the input alive.
func (d *Decoder) release() {
	clear(d.attrs[:cap(d.attrs)])
	clear(d.sattr[:cap(d.sattr)])
	clear(d.lines[:cap(d.lines)])
	d.ent, d.ses = Entry{}, Session{}
}

func (d *Decoder) mark(what string, start, end int) {
	if d.trace != nil && end > start {
		d.trace(what, start, end)
	}
}

func (d *Decoder) reject(h Handler, start, end int, detail string) {
	d.stats.Rejects++
	d.prev = previous{time: d.prev.time, conn: -1} // what follows belongs to this
	h.Reject(acct.Reject{Start: start, End: end, Reason: ReasonTooLarge, Detail: detail})
}

func (d *Decoder) decode(src string, final bool, h Handler) int {
	pos := 0
	if d.off == 0 && !d.skip {
		if strings.HasPrefix(src, bom) {
			pos = len(bom)
			d.mark("blank", 0, pos)
		} else if !final && strings.HasPrefix(bom, src) {
			return 0
		}
	}
	text := acct.Clean(src)
	for pos < len(src) {
		window := min(len(src), pos+d.max)
		nl := indexFrom(src[:window], '\n', pos)
		if d.skip {
			switch {
			case nl >= 0:
				d.reject(h, pos, nl+1, "rest of a line that is too long")
				d.skip, pos = false, nl+1
			case window == pos+d.max:
				d.reject(h, pos, window, "rest of a line that is too long")
				pos = window
			case final:
				d.reject(h, pos, window, "rest of a line that is too long")
				d.skip, pos = false, window
			default:
				return pos
			}
			continue
		}
		if src[pos] == 0 {
			// A crash of the system leaves NUL where data was not written.
			n := pos + 1
			for n < len(src) && src[n] == 0 {
				n++
			}
			d.mark("blank", pos, n)
			pos = n
			continue
		}
		end, content := nl+1, nl
		if nl < 0 {
			if window < len(src) {
				d.reject(h, pos, window, fmt.Sprintf("line longer than %d bytes", d.max))
				d.skip, pos = true, window
				continue
			}
			if !final {
				return pos
			}
			end, content = len(src), len(src)
		}
		line := trimCR(src[pos:content])
		if isBlank(line) {
			d.mark("blank", pos, end)
			pos = end
			continue
		}
		kind := d.kindOf(line)
		last, ok := d.gather(src, end, pos+d.max, kind, final)
		if !ok {
			return pos
		}
		d.entry(h, line, pos, last, kind, text)
		pos = last
	}
	return pos
}

// lineKind says how a line stands to the one before.
type lineKind uint8

const (
	kindTimed lineKind = iota // begins with a time: a new entry
	kindBare                  // no time, but an entry of its own
	kindMore                  // belongs to the entry before
)

func (d *Decoder) kindOf(line string) lineKind {
	switch {
	case startsEntry(line):
		return kindTimed
	case !d.timed, d.standalone(line):
		return kindBare
	}
	return kindMore
}

// standalone reports whether a line without a time is known to begin an entry
// all the same: start-up errors may have none.
func (d *Decoder) standalone(line string) bool {
	if c := line[0]; c == ' ' || c == '\t' {
		return false
	}
	return d.match.scan(line) && d.match.pick(line, true) != nil
}

// gather collects in d.lines what follows an entry that ends at pos, as far as
// it is there, and returns the end of all. ok is false when more input has to
// come first. limit bounds the entry.
func (d *Decoder) gather(src string, pos, limit int, kind lineKind, final bool) (end int, ok bool) {
	d.lines = d.lines[:0]
	end = pos
	if kind == kindBare && !d.timed {
		return end, true // every line is an entry
	}
	for pos < len(src) && src[pos] != 0 {
		window := min(len(src), limit)
		if pos >= window {
			return end, true
		}
		nl := indexFrom(src[:window], '\n', pos)
		next, content := nl+1, nl
		if nl < 0 {
			if window < len(src) || window == limit {
				return end, true // an entry of its own, or too large
			}
			if !final {
				// The beginning of a time is taken for that of an entry.
				return end, mayStartEntry(src[pos:])
			}
			next, content = len(src), len(src)
		}
		line := trimCR(src[pos:content])
		if startsEntry(line) {
			return end, true
		}
		pos = next
		if isBlank(line) {
			continue
		}
		if d.standalone(line) {
			return end, true
		}
		d.lines = append(d.lines, line)
		end = next
	}
	return end, true
}

func trimCR(s string) string {
	if n := len(s); n > 0 && s[n-1] == '\r' {
		return s[:n-1]
	}
	return s
}

func isBlank(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != ' ' && s[i] != '\t' && s[i] != '\r' && s[i] != 0 {
			return false
		}
	}
	return true
}

func indexFrom(s string, c byte, from int) int {
	if i := strings.IndexByte(s[from:], c); i >= 0 {
		return from + i
	}
	return -1
}

// identify returns the UID of the entry whose first line is line, at position
// start of the present input.
func (d *Decoder) identify(line string, start int) [2]uint64 {
	h := xxh3.HashString128(line)
	if !d.seeded {
		d.seed, d.seeded = h, true
		d.uids.From(d.seed, d.salt)
	}
	return d.uids.UID(h, d.off+int64(start))
}

// entry hands over the entry whose first line is line, in src[start:end] with
// the further ones in d.lines.
func (d *Decoder) entry(h Handler, line string, start, end int, kind lineKind, text bool) {
	e := &d.ent
	*e = Entry{Conn: -1, UID: d.identify(line, start), Start: start, End: end, Attrs: d.attrs[:0]}
	sanitized := !text && d.sanitize(&line)
	drop := false
	switch kind {
	case kindMore:
		drop = d.more(e, line)
	case kindTimed:
		d.timed = true
		if sec, ok := d.clock.parse(line); ok {
			e.Time = sec * 1e9
			d.sess.sweep(sec)
		}
		rest := ""
		if len(line) >= timeLen {
			rest = line[timeLen:]
		}
		e.Conn, e.Text = connection(rest)
		drop = d.first(e)
	case kindBare:
		e.Text = line
		drop = d.first(e)
	}
	if drop {
		d.stats.Removed += uint64(1 + len(d.lines))
		d.mark("removed", start, end)
	} else {
		if len(d.lines) > 0 {
			d.sess.bound()
			d.join(e)
		}
		if sanitized {
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTASanitized, Num: 1, Kind: acct.KindBool})
		}
		d.stats.Entries++
		h.Entry(e)
		d.attrs = e.Attrs[:0]
	}
	d.sess.bound()
	if len(d.sess.ended) > 0 {
		d.emit(h, start, end)
	}
}

// sanitize makes text of *line and the further lines. It reports whether
// something was changed.
func (d *Decoder) sanitize(line *string) (changed bool) {
	if !acct.Clean(*line) {
		*line, changed = acct.Sanitize(*line), true
	}
	for i, l := range d.lines {
		if !acct.Clean(l) {
			d.lines[i], changed = acct.Sanitize(l), true
		}
	}
	return changed
}

// connection splits "( 20)text".
func connection(s string) (conn int64, text string) {
	if len(s) < 3 || s[0] != '(' {
		return -1, s
	}
	i := 1
	for i < len(s) && s[i] == ' ' {
		i++
	}
	n, from := int64(0), i
	for i < len(s) && isDigit(s[i]) && i-from < 15 {
		n = n*10 + int64(s[i]-'0')
		i++
	}
	if i == from || i == len(s) || s[i] != ')' {
		return -1, s
	}
	for i++; i < len(s) && s[i] == ' '; i++ {
	}
	return n, s[i:]
}

// first works on the first line of an entry, whose time, connection number
// and text are in e. drop says that the entry is to be removed.
func (d *Decoder) first(e *Entry) (drop bool) {
	e.Stream = semconv.StreamDiag
	d.prev = previous{uid: e.UID, time: e.Time, conn: e.Conn, flags: followAny}
	if e.Conn >= 0 {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTAConnection, Num: e.Conn, Kind: acct.KindInt})
	}
	if handled, drop := d.sessionLine(e); drop {
		d.prev.flags |= followDrop
		return true
	} else if !handled {
		d.event(e)
	}
	d.prev.severity, d.prev.stream = e.Severity, e.Stream
	return false
}

// event finds out what an entry means that is no line of a session.
func (d *Decoder) event(e *Entry) {
	var p *pattern
	if d.match.scan(e.Text) {
		if d.scrub(&e.Text) {
			d.match.scan(e.Text)
		}
		p = d.match.pick(e.Text, false)
	}
	switch {
	case p != nil:
		e.Event, e.Severity, e.Stream = p.event, p.severity, p.stream
		if p.severity == 0 {
			e.Severity = severityOf(e.Text)
		}
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTALogPattern, Str: p.id})
		e.Attrs = d.match.attrs(e.Attrs, p, e.Text)
		if d.opts.StartupErrors && e.Severity >= Error {
			e.Severity, e.Stream = Fatal, semconv.StreamPanic
		}
	case d.opts.StartupErrors:
		e.Event, e.Severity, e.Stream = semconv.EventMTAStartFailed, Fatal, semconv.StreamPanic
		if e.Text != "" {
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTAReason, Str: e.Text})
		}
	default:
		e.Event, e.Severity = semconv.EventLog, severityOf(e.Text)
		if e.Severity >= Fatal {
			// Not where it tells of one connection, or quotes another server.
			if e.Conn >= 0 || quotedReply.MatchString(e.Text[:min(len(e.Text), scanned)]) {
				e.Severity = Error
			} else {
				e.Stream = semconv.StreamPanic
			}
		}
		d.stats.Unknown++
		if t := d.opts.Unknown; t != nil && e.Text != "" {
			t.Add(e.Text, e.Severity, e.Time)
		}
	}
	d.eventInSession(e)
	if e.Event == semconv.EventMTAStart && !strings.Contains(e.Text, "pmtahttp") && !strings.Contains(e.Text, "pmtawatch") {
		d.sess.endAll(endRestarted)
	}
}

// more works on lines that belong to the entry before, which has been handed
// over already.
func (d *Decoder) more(e *Entry, line string) (drop bool) {
	p := &d.prev
	e.Time, e.Conn, e.Continuation = p.time, p.conn, true
	if p.flags&followDrop != 0 {
		return true
	}
	e.Event, e.Severity, e.Stream = semconv.EventLog, p.severity, p.stream
	if p.flags&followAny == 0 {
		e.Severity, e.Stream = severityOf(line), semconv.StreamDiag
	}
	e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTALogContinuation, Num: 1, Kind: acct.KindBool})
	if p.flags&followAny != 0 {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTALogContinues, Str: string(acct.AppendUID(nil, p.uid))})
	}
	if e.Conn >= 0 {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTAConnection, Num: e.Conn, Kind: acct.KindInt})
	}
	if p.session != nil && !p.session.over {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTASessionID, Str: p.session.id})
	}
	e.Text = d.further(line)
	return false
}

// further returns what is kept of a line that belongs to the entry before, and
// adds it to the session.
func (d *Decoder) further(line string) string {
	if d.prev.flags&followSecret != 0 {
		d.stats.Secrets++
		return removed
	}
	if d.match.scan(line) {
		d.scrub(&line)
	}
	if s := d.prev.session; s != nil && !s.over {
		d.sess.further(s, line, d.prev.flags)
	}
	return line
}

// join adds d.lines to the text of e.
func (d *Decoder) join(e *Entry) {
	n := len(e.Text)
	for i, l := range d.lines {
		d.lines[i] = d.further(l)
		d.sess.bound()
		n += 1 + len(d.lines[i])
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteString(e.Text)
	for _, l := range d.lines {
		b.WriteByte('\n')
		b.WriteString(l)
	}
	e.Text = b.String()
}
