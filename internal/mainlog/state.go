package mainlog

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/uid"
)

const (
	stateVersion = 1
	// stateBase is more than what State returns without sessions.
	stateBase = 160
	// carryVersion is the first byte of what Carry returns.
	carryVersion = 0x81
)

// ErrState is returned by Restore and Adopt for bytes that State and Carry did
// not write.
var ErrState = errors.New("saved state of the log decoder is damaged or from another version")

// State returns what another Decoder needs to go on behind the bytes used so
// far: the identity of the file, what is known of the last entry, and the open
// sessions. It is at most Options.MaxState bytes, but for the time between Adopt
// and the next entry.
func (d *Decoder) State() []byte {
	w := writer{b: make([]byte, 0, stateBase+d.sess.cost)}
	at := int64(-1)
	i := int64(0)
	for s := d.sess.oldest; s != nil; s = s.newer {
		if s == d.prev.session {
			at = i
		}
		i++
	}
	w.identity(d, d.off, &d.prev, at)
	w.sessions(&d.sess)
	return w.b
}

// Context returns what another Decoder needs to decode an entry again, on its
// own and with the same UID, after Restore with its position. Unlike State it
// is small and may be called while Decode runs.
func (d *Decoder) Context() []byte {
	var w writer
	w.identity(d, -1, &previous{conn: -1}, -1)
	w.int(0)
	return w.b
}

// identity writes everything but the sessions.
func (w *writer) identity(d *Decoder, off int64, p *previous, at int64) {
	w.b = append(w.b, stateVersion)
	var flags byte
	for i, is := range [...]bool{d.skip, d.seeded, d.timed} {
		if is {
			flags |= 1 << i
		}
	}
	w.b = append(w.b, flags, p.flags)
	var seed [16]byte
	uid.Put(seed[:], d.seed)
	w.b = append(w.b, seed[:]...)
	w.int(off)
	w.int(d.clock.last)
	w.int(d.sess.swept)
	w.uid(p.uid)
	w.int(p.time)
	w.int(p.conn)
	w.int(int64(p.severity))
	panics := int64(0)
	if p.stream == semconv.StreamPanic {
		panics = 1
	}
	w.int(panics)
	w.int(at)
}

// Restore makes the Decoder go on at position offset of the decompressed file,
// with what State returned there. An empty state means that nothing is known
// of what came before offset. When offset is another one than where State was
// called, only the identity of the file is taken over: what lies between was
// not read.
func (d *Decoder) Restore(state []byte, offset int64) error {
	if offset < 0 {
		return ErrState
	}
	if len(state) == 0 {
		d.off = offset
		// What comes first may be the rest of an entry.
		d.timed = offset > 0
		return nil
	}
	r := reader{b: state}
	if r.byte() != stateVersion {
		return ErrState
	}
	flags, follow := r.byte(), r.byte()
	seed := r.bytes(16)
	off := r.int()
	last, swept := r.int(), r.int()
	p := previous{flags: follow}
	p.uid = r.uid()
	p.time, p.conn = r.int(), r.int()
	p.severity = Severity(r.int())
	switch n := r.int(); {
	case n == 1:
		p.stream = semconv.StreamPanic
	case n == 0:
		p.stream = semconv.StreamDiag
	default:
		r.bad = true
	}
	at := r.int()
	list := r.sessions()
	if r.bad || len(r.b) > 0 || flags > 7 || follow >= 2*followAny || at < -1 || at >= int64(len(list)) || p.conn < -1 {
		return ErrState
	}
	fresh := NewDecoder(d.opts)
	fresh.trace = d.trace
	*d = *fresh
	d.sess.init(&d.opts)
	d.skip, d.seeded, d.timed = flags&1 != 0, flags&2 != 0, flags&4 != 0
	d.seed = uid.Get(seed)
	d.uids.From(d.seed, d.salt)
	d.off = offset
	d.clock.last = last
	if off != offset {
		d.skip = false
		return nil
	}
	d.sess.swept = swept
	for i, s := range list {
		d.sess.add(s)
		if int64(i) == at {
			p.session = s
		}
	}
	d.prev = p
	return nil
}

// Resume is Restore at the position where State was called.
func (d *Decoder) Resume(state []byte) error {
	r := reader{b: state}
	if r.byte() != stateVersion {
		return ErrState
	}
	r.bytes(2 + 16) // flags and identity
	off := r.int()
	if r.bad || off < 0 {
		return ErrState
	}
	return d.Restore(state, off)
}

// Carry returns the open sessions of a file that was rotated away, for the
// Decoder of the file that follows; nil without any. The Decoder keeps them:
// so nothing is lost when the program ends before the state of the other one
// is saved.
func (d *Decoder) Carry() []byte {
	if d.sess.n == 0 {
		return nil
	}
	w := writer{b: make([]byte, 0, 8+d.sess.cost)}
	w.b = append(w.b, carryVersion)
	w.sessions(&d.sess)
	return w.b
}

// Adopt takes over the open sessions of the file before, as Carry returned
// them. It may be called before the first Decode or later: a session of which
// this Decoder knows only the end so far is joined with its beginning. One
// whose number was used anew is handed over as incomplete in the next minute
// of the log. One that is open here already is left alone; but a Decoder that
// goes on from a saved state has adopted what there was, and what has ended
// since would come again: so Adopt is for a file that is read from its
// beginning.
func (d *Decoder) Adopt(carried []byte) error {
	if len(carried) == 0 {
		return nil
	}
	r := reader{b: carried}
	if r.byte() != carryVersion {
		return ErrState
	}
	list := r.sessions()
	if r.bad || len(r.b) > 0 {
		return ErrState
	}
	known := make(map[[2]uint64]bool, d.sess.n)
	for s := d.sess.oldest; s != nil; s = s.newer {
		known[s.uid] = true
	}
	for _, s := range list {
		if known[s.uid] {
			continue
		}
		var later *session
		if s.conn >= 0 {
			later = d.sess.byConn[s.conn]
		} else {
			later = d.findAnon(func(l *session) bool {
				return l.is(cutStart) && (l.queue == "" || s.queue == "" || l.queue == s.queue) && (l.ip == "" || s.ip == "" || l.ip == s.ip)
			})
		}
		switch {
		case later == nil:
			d.sess.add(s)
		case later.is(cutStart):
			d.sess.join(s, later)
		default:
			s.flags |= superseded
			d.sess.add(s)
		}
	}
	// Older than what this Decoder has seen itself.
	d.sess.sort()
	return nil
}

// Flush ends all open sessions as incomplete: for a log that nothing follows.
func (d *Decoder) Flush(h Handler) {
	d.sess.endAll(endOfLog)
	d.emit(h, 0, 0)
	d.prev.session = nil
	d.release()
}

// Open returns the number of open sessions.
func (d *Decoder) Open() int { return d.sess.n }

// join puts the beginning before, from the file before, in front of later.
func (t *sessions) join(before, s *session) {
	s.uid, s.id = before.uid, before.id
	if before.first != 0 {
		s.first = before.first
	}
	if s.dir == dirUnknown || before.dir != dirUnknown {
		s.dir = before.dir
	}
	s.flags = s.flags&^cutStart | before.flags&(sawConnected|sawReply|cutStart|ambiguous|manyFrom|manyRcpt|bytesSeen|tlsBad)
	for _, f := range []struct{ to, from *string }{{&s.queue, &before.queue}, {&s.host, &before.host}, {&s.ip, &before.ip}, {&s.local, &before.local},
		{&s.tlsName, &before.tlsName}, {&s.tlsVersion, &before.tlsVersion}, {&s.cipher, &before.cipher}, {&s.problem, &before.problem}, {&s.fail, &before.fail}, {&s.command, &before.command}} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	for _, f := range []struct {
		to, from *string
		many     uint32
	}{{&s.from, &before.from, manyFrom}, {&s.rcpt, &before.rcpt, manyRcpt}} {
		switch {
		case *f.to == "":
			*f.to = *f.from
		case *f.from != "" && *f.from != *f.to:
			s.flags |= f.many
		}
	}
	if s.peerPort == 0 {
		s.peerPort = before.peerPort
	}
	if s.localPort == 0 {
		s.localPort = before.localPort
	}
	for _, f := range []struct{ to, from *int64 }{{&s.lines, &before.lines}, {&s.commands, &before.commands}, {&s.omitted, &before.omitted},
		{&s.messages, &before.messages}, {&s.messagesRejected, &before.messagesRejected}, {&s.recipients, &before.recipients},
		{&s.rcptRefused, &before.rcptRefused}, {&s.in, &before.in}, {&s.out, &before.out}, {&s.data, &before.data}} {
		*f.to = addBytes(*f.to, *f.from)
	}
	if n := len(before.transcript); n > 0 {
		s.transcript = append(append(make([]byte, 0, n+len(s.transcript)), before.transcript...), s.transcript...)
	}
	t.resize(s)
}

// sort puts the list in the order of the last lines.
func (t *sessions) sort() {
	var list []*session
	for s := t.oldest; s != nil; s = s.newer {
		list = append(list, s)
	}
	sortSessions(list)
	t.oldest, t.newest = nil, nil
	for _, s := range list {
		t.link(s)
	}
}

// writer makes bytes of values.
type writer struct{ b []byte }

func (w *writer) int(n int64) { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) uid(u [2]uint64) {
	w.b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(w.b, u[0]), u[1])
}
func (w *writer) str(s string) { w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...) }
func (w *writer) sessions(t *sessions) {
	w.int(int64(t.n))
	base := int64(0)
	for s := t.oldest; s != nil; s = s.newer {
		w.int(s.conn)
		w.uid(s.uid)
		// Times are near to each other.
		w.int(s.last - base)
		base = s.last
		w.int(s.last - s.first)
		w.int(int64(s.dir))
		w.int(int64(s.flags))
		for _, f := range s.strings() {
			w.str(*f)
		}
		w.str(string(s.pending))
		w.str(string(s.transcript))
		for _, f := range s.numbers() {
			w.int(*f)
		}
	}
}

func (s *session) strings() [11]*string {
	return [...]*string{&s.queue, &s.host, &s.ip, &s.local, &s.from, &s.rcpt, &s.tlsVersion, &s.cipher, &s.problem, &s.fail, &s.command}
}

func (s *session) numbers() [13]*int64 {
	return [...]*int64{&s.peerPort, &s.localPort, &s.lines, &s.commands, &s.omitted, &s.messages, &s.messagesRejected, &s.recipients, &s.rcptRefused,
		&s.in, &s.out, &s.data, &s.dumpLeft}
}

// reader reads what writer wrote. After a mistake bad is set and everything
// is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return make([]byte, min(max(n, 0), 64))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) int() int64 {
	n, k := binary.Varint(r.b)
	if k <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *reader) uid() [2]uint64 {
	b := r.bytes(16)
	return [2]uint64{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (r *reader) str() string {
	n, k := binary.Uvarint(r.b)
	if k <= 0 || n > uint64(len(r.b)-k) {
		r.fail()
		return ""
	}
	s := string(r.b[k : k+int(n)])
	r.b = r.b[k+int(n):]
	if !utf8.ValidString(s) {
		r.fail()
	}
	return s
}

func (r *reader) sessions() []*session {
	n := r.int()
	if n < 0 || n > int64(len(r.b)/40) { // one takes 40 bytes at least
		r.fail()
		return nil
	}
	list := make([]*session, 0, n)
	base := int64(0)
	for range n {
		s := &session{conn: r.int()}
		s.uid = r.uid()
		s.id = string(acct.AppendUID(nil, s.uid))
		s.last = r.int() + base
		base = s.last
		s.first = s.last - r.int()
		dir, flags := r.int(), r.int()
		s.dir, s.flags = direction(dir), uint32(flags)
		for _, f := range s.strings() {
			*f = r.str()
		}
		s.pending = []byte(r.str())
		s.transcript = []byte(r.str())
		for _, f := range s.numbers() {
			if *f = r.int(); *f < 0 {
				r.fail()
			}
		}
		if s.conn < -1 || dir < 0 || dir > int64(inbound) || flags < 0 || flags >= 1<<31 || len(s.pending) > maxPending || s.last < 0 || s.first < 0 {
			r.fail()
		}
		if s.tlsVersion != "" {
			if s.tlsName = "tls"; s.is(oldSSL) {
				s.tlsName = "ssl"
			}
		}
		if r.bad {
			return nil
		}
		list = append(list, s)
	}
	return list
}
