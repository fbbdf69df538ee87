package mainlog

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/uid"
)

// What a command is to a session, and a reply by the command it answers.
const (
	cmdNone  = 0
	cmdGreet = 'g' // no command: the greeting
	cmdHello = 'h'
	cmdTLS   = 's'
	cmdAuth  = 'a'
	cmdMail  = 'm'
	cmdRcpt  = 'r'
	cmdData  = 'd'
	cmdText  = 'e' // no command: the message behind DATA
	cmdBdat  = 'b'
	cmdLast  = 'l' // BDAT … LAST
	cmdQuit  = 'q'
	cmdReset = 'x'
	cmdOther = 'o'
)

// Why a session ended.
const (
	endDone       = ""
	endTooMany    = "too_many"   // Options.MaxSessions
	endTooLarge   = "too_large"  // Options.MaxState
	endTooOld     = "too_old"    // Options.SessionTimeout
	endSuperseded = "superseded" // another one with its number, or its queue
	endRestarted  = "restarted"  // PowerMTA was
	endOfLog      = "end_of_log" // Decoder.Flush
	noStart       = "no_start"   // the first lines are missing
)

// Bounds of one session.
const (
	maxName     = 255 // queues, hosts
	maxAddress  = 320
	maxFail     = 1024 // of the failing reply
	maxSaid     = 600  // of one line in the transcript
	maxPending  = 255  // commands without a reply
	sessionBase = 224  // saved bytes of a session, strings apart
	// closedGrace is how long, in seconds, `done` is waited for behind `closed`.
	closedGrace = 60
)

type direction uint8

const (
	dirUnknown direction = iota
	outbound
	inbound
)

// Flags of a session.
const (
	sawConnected = 1 << iota
	sawReply
	sawQuit
	sawClosed
	tlsBad
	inAuth    // an AUTH exchange is going on
	cutStart  // the first lines are missing
	ambiguous // lines may be those of another session
	manyFrom  // more than one sender
	manyRcpt  // more than one recipient
	txFailed  // the transaction has failed already
	inFail    // in the middle of a failing multi-line reply
	saidAll   // the last command is in the transcript
	dumpFirst // the next dump line is the first of its dump
	dumpSent  // the dump is of what PowerMTA sent
	bytesSeen // `closed` told in and out
	superseded
	oldSSL // the protocol was SSL
)

// session is an open session.
type session struct {
	older, newer *session // by the last line

	conn        int64
	uid         [2]uint64
	id          string
	first, last int64 // Unix seconds, 0 without
	dir         direction
	flags       uint32

	queue, host, ip, local, from, rcpt string
	tlsName, tlsVersion, cipher        string
	problem                            string // last trouble told in another line
	fail                               string // last failing reply: "550 5.1.1 text"
	command                            string // last command
	pending                            []byte // commands without a reply yet, oldest first
	transcript                         []byte

	peerPort, localPort                                 int64
	lines, commands, omitted                            int64
	messages, messagesRejected, recipients, rcptRefused int64
	in, out, data, dumpLeft                             int64

	cost  int    // as counted in sessions.cost
	over  bool   // no longer open
	ended string // why
}

func (s *session) is(f uint32) bool { return s.flags&f != 0 }

func (s *session) size() int {
	return sessionBase + len(s.queue) + len(s.host) + len(s.ip) + len(s.local) + len(s.from) + len(s.rcpt) + len(s.tlsName) + len(s.tlsVersion) +
		len(s.cipher) + len(s.problem) + len(s.fail) + len(s.command) + len(s.pending) + len(s.transcript)
}

// sessions are the open sessions of a log.
type sessions struct {
	opts           *Options
	byConn         map[int64]*session
	oldest, newest *session
	n, anon        int   // open ones, and those of them without a number
	cost           int   // bytes of all in State
	swept          int64 // minute of the last sweep
	ended          []*session
}

func (t *sessions) init(o *Options) {
	t.opts, t.byConn = o, map[int64]*session{}
}

func (t *sessions) link(s *session) {
	s.older, s.newer = t.newest, nil
	if t.newest != nil {
		t.newest.newer = s
	} else {
		t.oldest = s
	}
	t.newest = s
}

func (t *sessions) unlink(s *session) {
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		t.oldest = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		t.newest = s.older
	}
	s.older, s.newer = nil, nil
}

// add puts an open session in.
func (t *sessions) add(s *session) {
	t.link(s)
	t.n++
	if s.conn >= 0 {
		if !s.is(superseded) {
			t.byConn[s.conn] = s
		}
	} else if t.anon++; t.anon > 1 {
		for o := t.newest; o != nil; o = o.older {
			if o.conn < 0 {
				o.flags |= ambiguous
			}
		}
	}
	s.cost = s.size()
	t.cost += s.cost
}

func (t *sessions) end(s *session, why string) {
	t.unlink(s)
	t.n--
	t.cost -= s.cost
	if s.conn < 0 {
		t.anon--
	} else if t.byConn[s.conn] == s {
		delete(t.byConn, s.conn)
	}
	s.over, s.ended = true, why
	t.ended = append(t.ended, s)
}

func (t *sessions) endAll(why string) {
	for t.oldest != nil {
		t.end(t.oldest, why)
	}
}

// touched counts a line of s, whose size may have changed.
func (t *sessions) touched(s *session, sec int64) {
	if sec != 0 {
		if s.first == 0 {
			s.first = sec
		}
		s.last = sec
	}
	s.lines++
	if t.newest != s {
		t.unlink(s)
		t.link(s)
	}
	t.resize(s)
}

func (t *sessions) resize(s *session) {
	n := s.size()
	t.cost += n - s.cost
	s.cost = n
}

// sweep ends sessions that are over or too old, once for each minute of the
// log.
func (t *sessions) sweep(sec int64) {
	minute := sec / 60
	if minute == t.swept {
		return
	}
	t.swept = minute
	limit := int64(t.opts.SessionTimeout.Seconds())
	for s := t.oldest; s != nil; {
		next := s.newer
		switch idle := sec - s.last; {
		case s.is(superseded):
			t.end(s, endSuperseded)
		case s.last == 0:
			s.last = sec
		case s.is(sawClosed) && idle >= closedGrace:
			t.end(s, endDone)
		case idle > limit, idle < -limit-3600: // or a clock that was wrong
			t.end(s, endTooOld)
		}
		s = next
	}
}

// bound keeps number and size within their limits.
func (t *sessions) bound() {
	for t.n > t.opts.MaxSessions {
		t.end(t.oldest, endTooMany)
	}
	if t.cost <= t.opts.MaxState-stateBase {
		return
	}
	// Transcripts go first, those of the sessions that were quiet longest.
	for s := t.oldest; s != nil && t.cost > (t.opts.MaxState-stateBase)*7/8; s = s.newer {
		if n := bytes.Count(s.transcript, []byte("\n")); n > 0 {
			s.transcript, s.omitted = nil, s.omitted+int64(n)
			s.flags &^= saidAll
			t.resize(s)
		}
	}
	for t.cost > t.opts.MaxState-stateBase && t.oldest != nil {
		t.end(t.oldest, endTooLarge)
	}
}

// say adds a line to the transcript. Its first half holds everything; then
// only what failed is added, with the command that it answers.
func (t *sessions) say(s *session, mark, text string, sec int64, important bool) (said bool) {
	if t.opts.MaxTranscript < 0 {
		return false
	}
	limit := min(t.opts.MaxTranscript, max(t.opts.MaxState/2/max(t.n, 1), 256))
	if len(text) > maxSaid {
		text = cut(text, maxSaid) + "…"
	}
	n := len(s.transcript) + len(mark) + len(text) + 12
	if n > limit || !important && n > limit/2 {
		s.omitted++
		return false
	}
	s.transcript = append(s.transcript, mark...)
	if gap := sec - s.last; sec != 0 && s.last != 0 && gap > 0 {
		s.transcript = append(s.transcript, "[+"...)
		s.transcript = strconv.AppendInt(s.transcript, gap, 10)
		s.transcript = append(s.transcript, "s] "...)
	}
	s.transcript = append(s.transcript, text...)
	s.transcript = append(s.transcript, '\n')
	return true
}

// further adds a line that belongs to the last line of s.
func (t *sessions) further(s *session, line string, flags uint8) {
	line = strings.TrimSpace(line)
	if n := len(s.transcript); flags&followSaid != 0 && n > 0 && n+len(line) < t.opts.MaxTranscript {
		s.transcript = append(append(append(s.transcript[:n-1], ' '), cut(line, maxSaid)...), '\n')
	}
	if flags&followFail != 0 && len(s.fail)+len(line) < maxFail {
		s.fail += " " + line
	}
	t.resize(s)
}

// sortSessions sorts by the last line, keeping the order of equal ones.
func sortSessions(list []*session) {
	slices.SortStableFunc(list, func(a, b *session) int { return cmp.Compare(a.last, b.last) })
}

// cut returns at most n bytes of s, whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// keep copies a string that outlives the input.
func keep(s string, n int) string { return strings.Clone(cut(s, n)) }

// open makes a session that begins with e.
func (d *Decoder) open(e *Entry, conn int64) *session {
	s := &session{conn: conn, flags: cutStart}
	var b [16]byte
	uid.Put(b[:], xxh3.Uint128{Lo: e.UID[0], Hi: e.UID[1]})
	u := xxh3.Hash128Seed(b[:], 1)
	s.uid = [2]uint64{u.Hi, u.Lo}
	s.id = string(acct.AppendUID(nil, s.uid))
	d.sess.add(s)
	return s
}

// find returns the open session that a line belongs to, nil without.
func (d *Decoder) find(conn int64) *session {
	if conn >= 0 {
		return d.sess.byConn[conn]
	}
	if d.sess.anon == 0 {
		return nil
	}
	var closed *session
	for s := d.sess.newest; s != nil; s = s.older {
		if s.conn < 0 {
			if !s.is(sawClosed) {
				return s
			}
			if closed == nil {
				closed = s
			}
		}
	}
	return closed
}

// findAnon returns the open session without a number for which ok is true.
func (d *Decoder) findAnon(ok func(s *session) bool) *session {
	if d.sess.anon == 0 {
		return nil
	}
	for s := d.sess.newest; s != nil; s = s.older {
		if s.conn < 0 && ok(s) {
			return s
		}
	}
	return nil
}

// findOrOpen returns the session that a line belongs to; without one, it
// opens one of which the beginning is missing.
func (d *Decoder) findOrOpen(e *Entry) *session {
	s := d.find(e.Conn)
	if s == nil || e.Conn < 0 && s.is(sawClosed) {
		s = d.open(e, e.Conn)
	}
	return s
}

// inSession ends the work on a line of s.
func (d *Decoder) inSession(e *Entry, s *session, event string) {
	if e.Event = event; e.Severity == 0 {
		e.Severity = Info
	}
	d.sess.touched(s, e.Time/1e9)
	e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTASessionID, Str: s.id})
	if s.dir == inbound {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTASessionDirection, Str: directionInbound})
	}
	d.prev.session = s
}

// Values of semconv.PMTASessionDirection.
const (
	directionOutbound = "outbound"
	directionInbound  = "inbound"
)

// sessionLine works on a line of the session vocabulary. It is not handled
// when it is none; drop says that it is to be removed.
func (d *Decoder) sessionLine(e *Entry) (handled, drop bool) {
	t := e.Text
	if len(t) < 3 {
		return false, false
	}
	switch t[0] {
	case '>', '<':
		if t[1] == t[0] && t[2] == t[0] {
			return d.said(e, t[3:], t[0] == '<')
		}
		return false, false
	case 's':
		if q, ok := strings.CutPrefix(t, "starting "); ok && queueLike(q, e.Conn >= 0) {
			d.starting(e, strings.TrimRight(q, " "))
			return true, false
		}
	case 'd':
		if q, ok := strings.CutPrefix(t, "done "); ok && queueLike(q, e.Conn >= 0) {
			d.done(e, strings.TrimRight(q, " "))
			return true, false
		}
	case 'c':
		if rest, ok := strings.CutPrefix(t, "connecting "); ok && d.connect(e, rest, false) {
			return true, false
		}
		if rest, ok := strings.CutPrefix(t, "connected "); ok && d.connect(e, rest, true) {
			return true, false
		}
		if rest, ok := strings.CutPrefix(t, "closed "); ok && d.closed(e, rest) {
			return true, false
		}
	case 't':
		if rest, ok := strings.CutPrefix(t, "tls:"); ok {
			d.tls(e, strings.TrimLeft(rest, " "))
			return true, false
		}
	case 'a', 'A':
		if len(t) > 25 && strings.EqualFold(t[:25], "accepted connection from ") && d.accepted(e, t[25:]) {
			return true, false
		}
	}
	if hexValue(t[0]) >= 0 && hexValue(t[1]) >= 0 {
		return d.dumped(e)
	}
	return false, false
}

// queueLike reports whether q may be a queue: one word, and without a
// connection number one with a dot or slash.
func queueLike(q string, numbered bool) bool {
	q = strings.TrimRight(q, " ")
	if q == "" || len(q) > maxName || strings.IndexByte(q, ' ') >= 0 {
		return false
	}
	return numbered || strings.IndexByte(q, '/') > 0 || strings.IndexByte(q, '.') > 0
}

func (d *Decoder) starting(e *Entry, queue string) {
	if e.Conn >= 0 {
		if s := d.sess.byConn[e.Conn]; s != nil {
			d.replace(s)
		}
	} else if s := d.findAnon(func(s *session) bool { return s.queue == queue }); s != nil {
		d.replace(s)
	}
	s := d.open(e, e.Conn)
	s.flags &^= cutStart
	s.dir, s.queue = outbound, keep(queue, maxName)
	e.Attrs = appendQueue(e.Attrs, queue)
	d.inSession(e, s, semconv.EventSessionStart)
}

// replace ends s because another session takes its place.
func (d *Decoder) replace(s *session) {
	if s.is(sawClosed) {
		d.sess.end(s, endDone)
	} else {
		d.sess.end(s, endSuperseded)
	}
}

func (d *Decoder) done(e *Entry, queue string) {
	var s *session
	if e.Conn >= 0 {
		s = d.sess.byConn[e.Conn]
	} else if s = d.findAnon(func(s *session) bool { return s.queue == queue }); s == nil {
		s = d.findAnon(func(s *session) bool { return s.queue == "" && s.dir != inbound })
	}
	e.Attrs = appendQueue(e.Attrs, queue)
	if s == nil {
		e.Event, e.Severity = semconv.EventSessionDone, Info
		return
	}
	if s.queue == "" {
		s.queue = keep(queue, maxName)
	}
	d.inSession(e, s, semconv.EventSessionDone)
	d.prev.session = nil
	d.sess.end(s, endDone)
}

// place is one end of a connection.
type place struct {
	host, ip string
	port     int64
}

// parsePlace reads "HOST (IP)", "[IP]:PORT", "IP:PORT", "IP" and "HOST". It is
// false for anything else.
func parsePlace(s string) (p place, ok bool) {
	s = strings.Trim(s, " ")
	if s == "" {
		return p, false
	}
	if n := len(s); s[n-1] == ')' {
		i := strings.LastIndexByte(s, '(')
		if i < 0 {
			return p, false
		}
		p.host = strings.TrimRight(s[:i], " ")
		p.ip, p.port = address(s[i+1 : n-1])
		if ip, port := address(p.host); ip != "" {
			p.host = ip
			p.port = max(p.port, port)
		}
		return p, p.ip != "" && strings.IndexByte(p.host, ' ') < 0
	}
	if p.ip, p.port = address(s); p.ip != "" {
		return p, true
	}
	p.host = s
	return p, strings.IndexByte(s, ' ') < 0 && strings.IndexByte(s, '.') > 0
}

// address reads an IP address with or without a port.
func address(s string) (ip string, port int64) {
	i := strings.LastIndexByte(s, ':')
	// "192.0.2.1:25" has the shape of an address to BareIP.
	if i < 0 || strings.IndexByte(s, ':') != i && s[0] != '[' || s[len(s)-1] == ']' {
		return acct.BareIP(s), 0
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return "", 0
	}
	if ip = acct.BareIP(s[:i]); ip == "" {
		return "", 0
	}
	return ip, int64(n)
}

func anyAddress(ip string) bool { return ip == "" || ip == "::" || ip == "0.0.0.0" }

// appendPeer appends the other end of a connection.
func appendPeer(dst []acct.Attr, p place) []acct.Attr {
	if p.host != "" {
		dst = append(dst, acct.Attr{Key: semconv.ServerAddress, Str: p.host})
	}
	if p.ip != "" {
		dst = append(dst, acct.Attr{Key: semconv.NetworkPeerAddress, Str: p.ip})
	}
	if p.port != 0 {
		dst = append(dst, acct.Attr{Key: semconv.NetworkPeerPort, Num: p.port, Kind: acct.KindInt})
	}
	return dst
}

func appendLocal(dst []acct.Attr, p place) []acct.Attr {
	if !anyAddress(p.ip) {
		dst = append(dst, acct.Attr{Key: semconv.NetworkLocalAddress, Str: p.ip})
	}
	if p.port != 0 {
		dst = append(dst, acct.Attr{Key: semconv.NetworkLocalPort, Num: p.port, Kind: acct.KindInt})
	}
	return dst
}

// connect reads "to HOST (IP)", "from NAME (IP) to HOST (IP)" and "from
// IP:PORT", which tells the local end.
func (d *Decoder) connect(e *Entry, rest string, done bool) bool {
	var from, to place
	fromText, isFrom := strings.CutPrefix(rest, "from ")
	toText, isTo := strings.CutPrefix(rest, "to ")
	if isFrom {
		fromText, toText, isTo = strings.Cut(fromText, " to ")
	}
	ok := isFrom || isTo
	if ok && isFrom {
		from, ok = parsePlace(fromText)
	}
	if ok && isTo {
		to, ok = parsePlace(toText)
	}
	if !ok || !isTo && from.ip == "" {
		return false
	}
	s := d.findOrOpen(e)
	if s.dir == dirUnknown {
		s.dir = outbound
	}
	if done {
		s.flags |= sawConnected
	}
	if isTo {
		if s.is(sawClosed) || s.ip != "" && s.ip != to.ip {
			// The next host of the same queue.
			s.flags &^= sawClosed | sawReply | sawQuit | sawConnected | tlsBad
			s.pending, s.tlsName, s.tlsVersion, s.cipher = s.pending[:0], "", "", ""
		}
		s.host, s.ip, s.peerPort = keep(to.host, maxName), keep(to.ip, maxName), to.port
		e.Attrs = appendPeer(e.Attrs, to)
	}
	if isFrom {
		if !anyAddress(from.ip) {
			s.local = keep(from.ip, maxName)
		}
		if from.port != 0 {
			s.localPort = from.port
		}
		e.Attrs = appendLocal(e.Attrs, from)
	}
	d.inSession(e, s, semconv.EventSessionConnect)
	return true
}

func (d *Decoder) accepted(e *Entry, rest string) bool {
	from, _, _ := strings.Cut(rest, " to ")
	from, _, _ = strings.Cut(from, ",")
	p, ok := parsePlace(from)
	if !ok || p.ip == "" {
		return false
	}
	if e.Conn >= 0 {
		if s := d.sess.byConn[e.Conn]; s != nil {
			d.replace(s)
		}
	}
	s := d.open(e, e.Conn)
	s.flags = s.flags&^cutStart | sawConnected
	s.dir, s.host, s.ip, s.peerPort = inbound, keep(p.host, maxName), keep(p.ip, maxName), p.port
	e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.ClientAddress, Str: p.ip})
	if p.port != 0 {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.ClientPort, Num: p.port, Kind: acct.KindInt})
	}
	d.inSession(e, s, semconv.EventSessionAccept)
	return true
}

// closed reads "HOST (IP) in=511 out=68".
func (d *Decoder) closed(e *Entry, rest string) bool {
	where, in, out, counted := rest, int64(0), int64(0), false
	if i := strings.LastIndex(rest, " in="); i >= 0 {
		a, b, ok := strings.Cut(rest[i+4:], " out=")
		x, err1 := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
		y, err2 := strconv.ParseInt(strings.TrimSpace(b), 10, 64)
		if ok && err1 == nil && err2 == nil && x >= 0 && y >= 0 {
			where, in, out, counted = rest[:i], x, y, true
		}
	}
	p, ok := parsePlace(where)
	if !ok || !counted && e.Conn < 0 {
		return false
	}
	var s *session
	if e.Conn >= 0 {
		s = d.sess.byConn[e.Conn]
	} else if s = d.findAnon(func(s *session) bool { return s.ip == p.ip && !s.is(sawClosed) }); s == nil {
		s = d.findAnon(func(s *session) bool { return s.ip == "" && !s.is(sawClosed) })
	}
	if s == nil {
		s = d.open(e, e.Conn)
	}
	s.flags |= sawClosed
	if s.ip == "" {
		s.host, s.ip, s.peerPort = keep(p.host, maxName), keep(p.ip, maxName), p.port
	}
	if s.dir == inbound {
		if p.ip != "" {
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.ClientAddress, Str: p.ip})
		}
	} else {
		e.Attrs = appendPeer(e.Attrs, p)
	}
	if counted {
		s.in, s.out = addBytes(s.in, in), addBytes(s.out, out)
		s.flags |= bytesSeen
		if in > 0 {
			s.flags |= sawConnected
		}
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTASessionBytesReceived, Num: in, Kind: acct.KindInt},
			acct.Attr{Key: semconv.PMTASessionBytesSent, Num: out, Kind: acct.KindInt})
	}
	d.inSession(e, s, semconv.EventSessionClose)
	if s.dir == inbound {
		d.prev.session = nil
		d.sess.end(s, endDone)
	}
	return true
}

// addBytes adds without going beyond what an integer holds.
func addBytes(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// tls reads "TLSv1.2 connected with 128-bit CIPHER" and what else tls lines
// tell.
func (d *Decoder) tls(e *Entry, rest string) {
	s := d.findOrOpen(e)
	version, with, ok := strings.Cut(rest, " connected with ")
	if name, number := tlsProtocol(version); ok && name != "" {
		if s.tlsName, s.tlsVersion = name, keep(number, 16); name == "ssl" {
			s.flags |= oldSSL
		} else {
			s.flags &^= oldSSL
		}
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.TLSProtocolName, Str: name}, acct.Attr{Key: semconv.TLSProtocolVersion, Str: number})
		if i := strings.Index(with, "-bit "); i >= 0 && i < 6 {
			with = with[i+5:]
		}
		if with, _, _ = strings.Cut(with, " "); with != "" {
			s.cipher = keep(with, maxName)
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.TLSCipher, Str: with})
		}
		s.flags &^= tlsBad
		s.flags |= sawConnected
	} else if !strings.HasPrefix(rest, "Cert:") {
		if e.Severity = severityOf(rest); e.Severity > Warn {
			e.Severity = Warn // of this connection only
		}
		if e.Severity == Warn {
			s.flags |= tlsBad
			s.problem = keep(rest, maxFail)
		}
	}
	if d.sess.say(s, "*: ", e.Text, e.Time/1e9, e.Severity == Warn) {
		d.prev.flags |= followSaid
	}
	d.inSession(e, s, semconv.EventSessionTLS)
}

// tlsProtocol splits "TLSv1.2" into tls and 1.2.
func tlsProtocol(s string) (name, version string) {
	if len(s) > 4 && s[3] == 'v' && isDigit(s[4]) && strings.IndexByte(s, ' ') < 0 {
		switch s[:3] {
		case "TLS":
			return "tls", s[4:]
		case "SSL":
			return "ssl", s[4:]
		}
	}
	return "", ""
}

// said works on what went over the connection: sent is from PowerMTA.
func (d *Decoder) said(e *Entry, text string, sent bool) (handled, drop bool) {
	// All blanks: servers take " AUTH PLAIN …" for what it is, so its secret counts.
	text = strings.TrimLeft(text, " \t")
	if len(text) > 3 && text[2] == ' ' && (sent && text[:2] == "wr" || !sent && text[:2] == "rd") {
		if n, err := strconv.ParseUint(strings.TrimSpace(text[3:]), 10, 40); err == nil {
			s := d.findOrOpen(e)
			s.data, s.dumpLeft = addBytes(s.data, int64(n)), int64(n)
			s.flags = s.flags&^dumpSent | dumpFirst
			if sent {
				s.flags |= dumpSent
			}
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.PMTASessionDataBytes, Num: int64(n), Kind: acct.KindInt})
			d.inSession(e, s, semconv.EventSessionData)
			return true, false
		}
	}
	s := d.findOrOpen(e)
	if s.dir == dirUnknown {
		s.dir = outbound
		if sent && replyLike(text) || !sent && verbOf(text) != cmdNone {
			s.dir = inbound
		}
	}
	if sent == (s.dir == inbound) {
		d.reply(e, s, text, sent)
	} else {
		d.commanded(e, s, text, sent)
	}
	return true, false
}

// replyLike reports whether a line begins with a reply code.
func replyLike(s string) bool {
	return len(s) >= 3 && s[0] >= '2' && s[0] <= '5' && isDigit(s[1]) && isDigit(s[2]) && (len(s) == 3 || s[3] == ' ' || s[3] == '-')
}

func arrow(sent bool, text string) string {
	if sent {
		return "<<< " + text
	}
	return ">>> " + text
}

// commanded works on a line from the client.
func (d *Decoder) commanded(e *Entry, s *session, text string, sent bool) {
	verb := verbOf(text)
	answer := s.is(inAuth) && verb == cmdNone
	switch {
	case verb == cmdAuth:
		var cut bool
		if text, cut = redactAuth(text); cut {
			d.secret(e, text, sent)
		}
	case answer && text != "*", !answer && verb == cmdNone && likeBase64(text):
		text = removed
		d.secret(e, text, sent)
	}
	if answer {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPCommand, Str: text})
	} else {
		s.flags &^= inAuth
		d.command(e, s, verb, text)
	}
	s.flags &^= saidAll
	if d.sess.say(s, "C: ", text, e.Time/1e9, false) {
		s.flags |= saidAll
		d.prev.flags |= followSaid
	}
	d.inSession(e, s, semconv.EventSessionCommand)
}

// secret notes that the text of e was replaced.
func (d *Decoder) secret(e *Entry, text string, sent bool) {
	d.stats.Secrets++
	d.prev.flags |= followSecret
	e.Text = arrow(sent, text)
}

func (d *Decoder) command(e *Entry, s *session, verb byte, text string) {
	s.commands++
	s.command = keep(text, maxSaid)
	if text != "" {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPCommand, Str: text})
	}
	switch verb {
	case cmdNone:
		verb = cmdOther
	case cmdAuth:
		s.flags |= inAuth
	case cmdMail:
		s.flags &^= txFailed
		if a, ok := pathOf(text); ok && a != "" {
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPMailFrom, Str: a})
			if s.from == "" {
				s.from = keep(a, maxAddress)
			} else if s.from != cut(a, maxAddress) {
				s.flags |= manyFrom
			}
		}
	case cmdRcpt:
		if a, ok := pathOf(text); ok && a != "" {
			e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPRcptTo, Str: a})
			if s.rcpt == "" {
				s.rcpt = keep(a, maxAddress)
			} else if s.rcpt != cut(a, maxAddress) {
				s.flags |= manyRcpt
			}
		}
	case cmdQuit:
		s.flags |= sawQuit
	case cmdBdat:
		if n := len(text); n > 5 && strings.EqualFold(text[n-5:], " last") {
			verb = cmdLast
		}
	}
	if len(s.pending) < maxPending {
		s.pending = append(s.pending, verb)
	}
}

// pathOf returns the address of "MAIL FROM:<a@b> SIZE=1", which may be empty.
func pathOf(s string) (addr string, ok bool) {
	i := strings.IndexByte(s, ':')
	if i < 0 {
		return "", false
	}
	s = strings.TrimLeft(s[i+1:], " ")
	if s != "" && s[0] == '<' {
		// A quoted local part may hold '>'.
		quoted := false
		for j := 1; j < len(s); j++ {
			switch {
			case s[j] == '\\' && quoted:
				j++
			case s[j] == '"':
				quoted = !quoted
			case s[j] == '>' && !quoted:
				return s[1:j], true
			}
		}
		return "", false
	}
	s, _, _ = strings.Cut(s, " ")
	return s, s != ""
}

// reply works on a line from the server.
func (d *Decoder) reply(e *Entry, s *session, text string, sent bool) {
	defer d.inSession(e, s, semconv.EventSessionReply)
	s.flags |= sawReply | sawConnected
	if !replyLike(text) {
		if s.is(inAuth) && likeBase64(text) {
			text = removed
			d.secret(e, text, sent)
		}
		if d.sess.say(s, "S: ", text, e.Time/1e9, false) {
			d.prev.flags |= followSaid
		}
		return
	}
	if strings.HasPrefix(text, "334") {
		// A challenge, even where the AUTH command was not seen: nothing else
		// has this code. What the client says next is the answer.
		s.flags |= inAuth
		if len(text) > 4 {
			text = text[:4] + removed
			d.secret(e, text, sent)
		}
	}
	code, enhanced, words := acct.ParseReply(text)
	e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPResponseCode, Num: code, Kind: acct.KindInt})
	if enhanced != "" {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPResponseEnhancedStatus, Str: enhanced})
	}
	if words != "" {
		e.Attrs = append(e.Attrs, acct.Attr{Key: semconv.SMTPResponseText, Str: words})
	}
	bad := code >= 400
	if bad {
		e.Severity = Warn
		if !s.is(saidAll) && s.command != "" && !s.is(inFail) && d.sess.say(s, "C: ", s.command, 0, true) {
			s.flags |= saidAll
			s.omitted = max(0, s.omitted-1)
		}
	}
	if d.sess.say(s, "S: ", text, e.Time/1e9, bad) {
		d.prev.flags |= followSaid
	}
	switch {
	case bad && s.is(inFail):
		if words != "" && len(s.fail)+len(words) < maxFail {
			s.fail += " " + words
		}
		d.prev.flags |= followFail
	case bad:
		var b strings.Builder
		b.WriteString(text[:3])
		if enhanced != "" && !strings.HasSuffix(words, "(#"+enhanced+")") {
			b.WriteByte(' ')
			b.WriteString(enhanced)
		}
		if words != "" {
			b.WriteByte(' ')
			b.WriteString(cut(words, maxFail/2))
		}
		s.fail = b.String()
		d.prev.flags |= followFail
	}
	if len(text) > 3 && text[3] == '-' {
		if bad {
			s.flags |= inFail
		}
		return
	}
	s.flags &^= inFail
	d.answered(s, code)
}

// answered counts a complete reply, which belongs to the oldest command
// without one.
func (d *Decoder) answered(s *session, code int64) {
	kind := byte(cmdOther)
	if len(s.pending) > 0 {
		kind = s.pending[0]
		s.pending = s.pending[:copy(s.pending, s.pending[1:])]
	}
	bad, good := code >= 400, code < 300
	if code != 334 {
		s.flags &^= inAuth
	}
	refused := func() {
		if !s.is(txFailed) {
			s.flags |= txFailed
			s.messagesRejected++
		}
	}
	switch kind {
	case cmdAuth:
		if code == 334 {
			s.first334()
		}
	case cmdTLS:
		if bad {
			s.flags |= tlsBad
		}
	case cmdMail, cmdBdat:
		if bad {
			refused()
		}
	case cmdRcpt:
		if bad {
			s.rcptRefused++
		} else if good {
			s.recipients++
		}
	case cmdData:
		if bad {
			refused()
		} else if code == 354 && len(s.pending) < maxPending {
			s.pending = append(s.pending, 0)
			copy(s.pending[1:], s.pending)
			s.pending[0] = cmdText
		}
	case cmdText, cmdLast:
		if good {
			s.messages++
		} else if bad {
			refused()
		}
	}
}

// first334 puts the AUTH command back: its exchange goes on.
func (s *session) first334() {
	s.pending = append(s.pending, 0)
	copy(s.pending[1:], s.pending)
	s.pending[0] = cmdAuth
}

// dumped works on what may be a line of a hex dump.
func (d *Decoder) dumped(e *Entry) (handled, drop bool) {
	s := d.find(e.Conn)
	left := int64(0)
	if s != nil {
		left = s.dumpLeft
	}
	n, ok := dump(e.Text, left)
	if !ok {
		return false, false
	}
	if left > 0 {
		s.dumpLeft = max(0, s.dumpLeft-int64(n))
		client := s.is(dumpSent) == (s.dir != inbound)
		if s.is(dumpFirst) {
			s.flags &^= dumpFirst
			switch start := dumpStarts(e.Text); {
			case (client || s.dir == dirUnknown) && len(start) >= 4 && strings.EqualFold(start[:4], "AUTH"):
				s.flags |= inAuth
			case (!client || s.dir == dirUnknown) && replyLike(start) && start[0] != '3':
				s.flags &^= inAuth // the answer to it
			}
		}
	}
	secret := s != nil && s.is(inAuth)
	if !d.opts.KeepData || secret {
		if s != nil {
			d.sess.touched(s, e.Time/1e9)
		}
		if secret {
			d.stats.Secrets++
		}
		return true, true
	}
	if s != nil {
		d.inSession(e, s, semconv.EventSessionData)
	} else {
		e.Event, e.Severity = semconv.EventSessionData, Info
	}
	return true, false
}

// eventInSession adds an entry with a connection number that is no line of the
// vocabulary to its session.
func (d *Decoder) eventInSession(e *Entry) {
	if e.Conn < 0 {
		return
	}
	s := d.sess.byConn[e.Conn]
	if s == nil {
		return
	}
	if e.Severity >= Warn {
		s.problem = keep(e.Text, maxFail)
	}
	if d.sess.say(s, "*: ", e.Text, e.Time/1e9, e.Severity >= Warn) {
		d.prev.flags |= followSaid
	}
	d.inSession(e, s, e.Event)
}
