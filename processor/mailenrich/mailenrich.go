package mailenrich

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/dchest/siphash"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/attribution"
	"github.com/otelcol-pmta/otelcol-pmta/internal/dimension"
	"github.com/otelcol-pmta/otelcol-pmta/internal/ledger"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/mailaddr"
	"github.com/otelcol-pmta/otelcol-pmta/internal/privacy"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// enricher is the processor of one pipeline.
type enricher struct {
	cfg       *Config
	set       processor.Settings
	policy    *privacy.Policy
	textNames map[string]bool // attributes with headers in which addresses are replaced
	workers   chan *worker    // those at rest, with what they have learnt
	mem       *memory         // from start to shutdown
}

// restingWorkers is how many workers are kept while nothing is to be done. A
// worker knows shapes and routes, so it pays to use one again.
const restingWorkers = 16

func newProcessor(set processor.Settings, cfg *Config) (*enricher, error) {
	p := &enricher{cfg: cfg, set: set, textNames: map[string]bool{}, workers: make(chan *worker, restingWorkers)}
	var err error
	if p.policy, err = cfg.Privacy.policy(); err != nil {
		return nil, err
	}
	for _, h := range append(recipientHeaders[:len(recipientHeaders):len(recipientHeaders)], cfg.Privacy.Headers...) {
		for _, name := range headerAttributes(snake(h)) {
			p.textNames[name] = true
		}
	}
	for _, name := range cfg.Privacy.Attributes {
		p.textNames[name] = true
	}
	return p, nil
}

func (p *enricher) start(ctx context.Context, host component.Host) (err error) {
	p.mem, err = acquire(ctx, p.cfg, p.set, host)
	return err
}

func (p *enricher) shutdown(ctx context.Context) error {
	if p.mem == nil {
		return nil
	}
	m := p.mem
	p.mem = nil
	return release(ctx, m)
}

// process enriches the records of a batch in place.
func (p *enricher) process(ctx context.Context, logs plog.Logs) (plog.Logs, error) {
	var w *worker
	select {
	case w = <-p.workers:
	default:
		w = p.newWorker()
	}
	w.batch(ctx, logs)
	select {
	case p.workers <- w:
	default:
	}
	return logs, nil
}

// matches are the values of PMTARepairMatch.
const (
	matchMessage = iota
	matchEnvelope
	matchAddress
	matchSender
	numMatches
)

var (
	matchNames   = [numMatches]string{"message", "envelope", "address", "sender"}
	matchOptions = func() (o [numMatches]metric.MeasurementOption) {
		for i, n := range matchNames {
			o[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String(semconv.PMTARepairMatch, n)))
		}
		return o
	}()
)

// worker enriches one batch at a time.
type worker struct {
	p      *enricher
	mem    *memory
	shapes shapes
	learn  func([]string) *shape
	table  *dimension.Table
	routes map[string]*route
	peers  map[string]*attribution.Text
	domain mailaddr.Domains
	redact *privacy.Redactor // nil when local parts are kept

	slab   logslab.Slab
	attrs  []acct.Attr
	low    []byte // scratch for what is hashed
	key    []byte // scratch for names of routes
	text   []byte // strings of new attributes are cut from it
	labels []dimension.Label
	heads  []string
	fixed  []string // names of the attributes repaired

	// The record in hand.
	v    logslab.View
	s    *shape
	time int64
	// What it has, or was given by repair.
	vmta, pool, job, sourceIP string

	limit                int64 // records from beyond are of a wrong clock
	keepReceipts         bool
	repaired             [numMatches]int64
	unrepaired, redacted int64
	err                  error
}

// route is what a virtual MTA, pool, source address and job have in common.
type route struct {
	labels []acct.Attr
	text   *attribution.Text
}

// Bounds of a worker's memory; beyond them it learns anew.
const (
	maxRoutes = 8192
	maxPeers  = 8192
)

func (p *enricher) newWorker() *worker {
	w := &worker{p: p, mem: p.mem, routes: map[string]*route{}, peers: map[string]*attribution.Text{}}
	w.learn = func(keys []string) *shape { return p.learn(keys, w.table) }
	if p.policy.Mode() != privacy.Keep {
		w.redact = p.policy.NewRedactor()
	}
	return w
}

func (w *worker) batch(ctx context.Context, logs plog.Logs) {
	m := w.mem
	if m.dims != nil {
		if t := m.dims.Table(); t != w.table {
			w.table = t
			w.shapes.reset()
			clear(w.routes)
		}
	}
	if len(w.routes) > maxRoutes {
		clear(w.routes)
	}
	if len(w.peers) > maxPeers {
		clear(w.peers)
	}
	w.limit = time.Now().Add(24 * time.Hour).UnixNano()
	w.keepReceipts = m.window != nil && !m.window.SeenDelivery()
	w.slab.HintAttrs = logs.LogRecordCount() * 44
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			recs := sl.LogRecords()
			for i := range recs.Len() {
				w.record(recs.At(i))
			}
		}
	}
	m.flush(ctx)
	t := m.telemetry
	for i, n := range w.repaired {
		if n > 0 {
			t.MailEnrichRepairedRecords.Add(ctx, n, matchOptions[i])
		}
	}
	if w.unrepaired > 0 {
		t.MailEnrichUnrepairedRecords.Add(ctx, w.unrepaired)
	}
	if w.redacted > 0 {
		t.MailEnrichRedactedRecords.Add(ctx, w.redacted)
	}
	if w.err != nil {
		m.trouble(ctx, w.err)
	}
	w.repaired, w.unrepaired, w.redacted, w.err = [numMatches]int64{}, 0, 0, nil
	w.v = logslab.View{} // the records belong to the next consumer now
}

// str returns the string of a field, "" without one.
func (w *worker) str(f field) string {
	if i := w.s.at[f]; i >= 0 {
		return w.v.Str(int(i))
	}
	return ""
}

func (w *worker) int(f field) int64 {
	if i := w.s.at[f]; i >= 0 {
		n, _ := w.v.Int(int(i))
		return n
	}
	return 0
}

// add appends a new attribute, unless the record has it already.
func (w *worker) add(f field, a acct.Attr) {
	if w.s.at[f] < 0 {
		a.Key = fieldNames[f]
		w.attrs = append(w.attrs, a)
	}
}

func (w *worker) addStr(f field, s string) { w.add(f, acct.Attr{Str: s}) }

func (w *worker) addDouble(f field, d float64) {
	w.add(f, acct.Attr{Num: int64(math.Float64bits(d)), Kind: acct.KindDouble})
}

// cut makes a string of parts. It shares memory with other strings of the
// batch.
func (w *worker) cut(a, b, c string) string {
	n := len(a) + len(b) + len(c)
	if cap(w.text)-len(w.text) < n {
		w.text = make([]byte, 0, max(n, 8<<10))
	}
	from := len(w.text)
	w.text = append(append(append(w.text, a...), b...), c...)
	return unsafe.String(unsafe.SliceData(w.text[from:]), n)
}

func (w *worker) record(lr plog.LogRecord) {
	m := lr.Attributes()
	w.v.Reset(m)
	w.s = w.shapes.get(&w.v, w.learn)
	w.attrs = w.attrs[:0]
	w.time = int64(lr.Timestamp())
	typ := acct.ParseType(w.str(fType))
	rcpt, orig := w.str(fRcpt), w.str(fOrig)

	if q := w.int(fQueued); q != 0 && w.s.at[fDuration] < 0 && w.time >= q {
		switch typ {
		case acct.TypeDelivery, acct.TypeBounce, acct.TypeTransient:
			w.addDouble(fDuration, float64(w.time-q)/1e9)
		}
	}
	w.domains(rcpt, orig)

	// Everything that hashes addresses comes before they are replaced.
	w.vmta, w.pool, w.job, w.sourceIP = w.str(fVMTA), w.str(fPool), w.str(fJob), w.str(fSourceIP)
	inMemory := typ != acct.TypeUnknown && typ != acct.TypeTransientQueue && w.time > 0 && w.time < w.limit
	if inMemory {
		w.remember(typ, rcpt, orig)
	} else {
		w.addLabels(w.route())
	}
	base := w.sender(orig, rcpt)

	if w.redact != nil {
		w.replace(lr, rcpt, orig, base)
	} else if base.Local != "" {
		w.addStr(fBase, w.cut(base.Local, "@", w.domain.Get(base.Domain).ASCII))
	}
	w.slab.Append(m, w.attrs)
	if w.redact != nil && w.s.at[fOriginal] >= 0 && w.p.cfg.Privacy.Original == "remove" {
		m.Remove(semconv.LogRecordOriginal)
	}
}

// domains brings domains to one spelling and adds the other.
func (w *worker) domains(rcpt, orig string) {
	// Mostly the queue is that of the recipient's domain.
	if q := w.str(fQueueDomain); q != "" && (q != w.str(fRcptDomain) || !mailaddr.Canonical(q)) {
		w.oneDomain(fQueueDomain, fQueueDomainU, "")
		w.oneDomain(fRcptDomain, fRcptDomainU, rcpt)
	} else if q == "" {
		w.oneDomain(fRcptDomain, fRcptDomainU, rcpt)
	}
	w.oneDomain(fOrigDomain, fOrigDomainU, orig)
}

func (w *worker) oneDomain(f, unicode field, addr string) {
	at := w.s.at[f]
	if at >= 0 {
		have := w.v.Str(int(at))
		if have == "" || mailaddr.Canonical(have) {
			return
		}
		d := w.domain.Get(have)
		if d.ASCII != have {
			w.slab.SetStr(&w.v, int(at), d.ASCII)
		}
		if d.IDNA() {
			w.addStr(unicode, d.Unicode)
		}
		return
	}
	if addr == "" {
		return
	}
	if _, dom := mailaddr.Split(addr); dom != "" {
		if d := w.domain.Get(dom); d.ASCII != "" {
			w.addStr(f, d.ASCII)
			if d.IDNA() {
				w.addStr(unicode, d.Unicode)
			}
		}
	}
}

// formNames joins the names of forms.
func formNames(s *mailaddr.Sender) string {
	if s.Forms[1] == mailaddr.Plain {
		return s.Forms[0].String()
	}
	var names []string
	for _, f := range s.Forms {
		if f != mailaddr.Plain {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, "+")
}

// sender finds the base of an encoded sender; its Local is "" when there is
// none to add.
func (w *worker) sender(orig, rcpt string) (s mailaddr.Sender) {
	if w.s.at[fForm] >= 0 || strings.IndexByte(orig, '=') < 0 {
		return s
	}
	if s = mailaddr.Resolve(orig, rcpt); s.Plain() {
		return mailaddr.Sender{}
	}
	w.addStr(fForm, formNames(&s))
	return s
}

// route returns what is known of the record's virtual MTA, pool, source
// address, job and headers.
func (w *worker) route() *route {
	if w.table == nil && w.mem.window == nil {
		return nil
	}
	vmta := w.vmta
	if vmta == "" {
		vmta = w.str(fQueueVMTA)
	}
	k := append(append(w.key[:0], vmta...), 0)
	k = append(append(k, w.pool...), 0)
	k = append(append(k, w.sourceIP...), 0)
	k = append(k, w.job...)
	for _, at := range w.s.headers {
		k = append(k, 0)
		if at >= 0 {
			k = append(k, w.v.Str(int(at))...)
		}
	}
	w.key = k
	if r := w.routes[string(k)]; r != nil {
		return r
	}
	r := &route{}
	if w.mem.window != nil {
		r.text = attribution.NewText(w.vmta, w.pool, w.job, w.sourceIP)
	}
	if w.table != nil {
		w.heads = w.heads[:0]
		for _, at := range w.s.headers {
			h := ""
			if at >= 0 {
				h = w.v.Str(int(at))
			}
			w.heads = append(w.heads, h)
		}
		w.labels = w.table.Lookup(w.labels[:0], &dimension.Input{VMTA: vmta, Pool: w.pool, SourceIP: w.sourceIP, Job: w.job, Headers: w.heads})
		for _, l := range w.labels {
			r.labels = append(r.labels, acct.Attr{Key: w.p.cfg.Dimensions.Prefix + l.Name, Str: l.Value})
		}
	}
	if len(k) <= 1024 && len(w.routes) <= maxRoutes {
		w.routes[string(k)] = r
	}
	return r
}

func (w *worker) addLabels(r *route) {
	if r != nil && !w.s.labeled {
		w.attrs = append(w.attrs, r.labels...)
	}
}

// lowered appends s in lower case (ASCII) to w.low.
func (w *worker) lowered(s string) {
	b := w.low
	n := len(b)
	b = append(b, s...)
	i := n
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		// Of each byte: above 'Z', from 'A' on, ASCII.
		low := x & 0x7f7f7f7f7f7f7f7f
		upper := (low + 0x3f3f3f3f3f3f3f3f) &^ (low + 0x2525252525252525) &^ x & 0x8080808080808080
		binary.LittleEndian.PutUint64(b[i:], x|upper>>2)
	}
	for ; i < len(b); i++ {
		if c := b[i]; c-'A' < 26 {
			b[i] = c | 0x20
		}
	}
	w.low = b
}

// loweredAddress appends a recipient in lower case, with one spelling of the
// domain: reports have A-labels where the record of the delivery has U-labels.
func (w *worker) loweredAddress(addr string) {
	local, domain := mailaddr.Split(addr)
	if domain == "" || mailaddr.Canonical(domain) {
		w.lowered(addr)
		return
	}
	w.lowered(local)
	w.low = append(append(w.low, '@'), w.domain.Get(domain).ASCII...)
}

// mix spreads a number over 64 bits.
func mix(n uint64) uint64 {
	n ^= n >> 32
	n *= 0xd6e8feb86659fd93
	n ^= n >> 32
	n *= 0xd6e8feb86659fd93
	return n ^ n>>32
}

// hashString is the keyed hash of s, apart from those of other kinds.
func (w *worker) hashString(kind byte, s string) uint64 {
	w.low = append(w.low[:0], kind, 0)
	w.lowered(s)
	return siphash.Hash(w.mem.k0, w.mem.k1, w.low)
}

// remember does what needs a memory of earlier records: repair, ledger, and
// keeping what later ones may need.
func (w *worker) remember(typ acct.Type, rcpt, orig string) {
	m := w.mem
	if m.ledger == nil && m.window == nil {
		w.addLabels(w.route())
		return
	}
	report := typ == acct.TypeFeedback || typ == acct.TypeRemoteBounce || typ == acct.TypeRemoteStatus
	if report {
		if rcpt = strings.Trim(rcpt, "<> "); rcpt == "" {
			rcpt = w.hiddenRcpt()
		}
	}
	var addr, addr2 uint64 // of recipient and sender, 0 without
	redacted := w.p.redacted(rcpt)
	if rcpt != "" && !redacted && (!report || m.window != nil) {
		w.low = append(w.low[:0], 'a', 0)
		w.loweredAddress(rcpt)
		w.low = append(w.low, 0)
		w.lowered(orig)
		addr, addr2 = siphash.Hash128(m.k0, m.k1, w.low)
	}
	queued := w.int(fQueued)

	if report {
		if m.window != nil {
			w.repairReport(typ, addr, orig)
		}
		w.addLabels(w.route())
		return
	}
	if addr == 0 {
		r := w.route()
		w.addLabels(r)
		if redacted && m.window != nil {
			w.keep(typ, 0, 0, queued, orig, r)
		}
		return
	}
	message := addr2 ^ mix(uint64(queued))
	if m.window != nil && typ == acct.TypeBounce && (w.s.at[fSourceIP] < 0 || w.s.at[fPeer] < 0) {
		w.repairBounce(message)
	}
	r := w.route()
	w.addLabels(r)
	if m.window != nil {
		w.keep(typ, addr, message, queued, orig, r)
	}
	if m.ledger != nil && typ != acct.TypeReceipt {
		if queued == 0 {
			// The envelope or job is what else may tell messages apart.
			if id := w.str(fEnv); id != "" {
				message ^= w.hashString('e', id)
			} else if w.job != "" {
				message ^= w.hashString('j', w.job)
			} else {
				return // it could be any message of this sender to this recipient
			}
		}
		w.attempts(typ, ledger.Key{addr, message}, queued)
	}
}

// hiddenRcpt returns the recipient that a report without one names elsewhere.
func (w *worker) hiddenRcpt() string {
	rcpt := strings.Trim(w.str(fHmxRcpt), "<> ")
	if rcpt == "" {
		rcpt = w.str(fARFRcpt)
		if kind, addr, ok := strings.Cut(rcpt, ";"); ok && strings.EqualFold(strings.TrimSpace(kind), "rfc822") {
			rcpt = addr
		}
		rcpt = strings.Trim(rcpt, "<> ")
	}
	return rcpt
}

// keep remembers what a later report or bounce may lack.
func (w *worker) keep(typ acct.Type, addr, message uint64, queued int64, orig string, r *route) {
	e := attribution.Entry{Time: w.time, Queued: queued}
	switch typ {
	case acct.TypeTransient:
		if addr == 0 {
			return
		}
		e.Key, e.Kind = message, attribution.Attempt
		w.mem.window.Add(&e, r.text, w.peer())
		return
	case acct.TypeDelivery:
		e.Kind = attribution.Delivery
	case acct.TypeReceipt:
		if !w.keepReceipts {
			return
		}
		e.Kind = attribution.Receipt
	default:
		return
	}
	env := w.str(fEnv)
	if env != "" {
		e.Envelope = envelopeHash(env)
	}
	if e.Key = addr; addr != 0 {
		w.mem.window.Add(&e, r.text, nil)
	}
	// For reports that hide the recipient.
	if w.p.individual(orig) {
		e.Key = w.hashString('s', orig)
	} else if env != "" {
		e.Key = w.hashString('e', env)
	} else {
		return
	}
	w.mem.window.Add(&e, r.text, nil)
}

func envelopeHash(env string) uint32 { return uint32(xxh3.HashString(env))&^1 | 1 }

// peer returns the remote side of an attempt.
func (w *worker) peer() *attribution.Text {
	ip, host := w.str(fPeer), w.str(fServer)
	if ip == "" && host == "" {
		return nil
	}
	k := append(append(append(w.key[:0], ip...), 0), host...)
	w.key = k
	t := w.peers[string(k)]
	if t == nil {
		t = attribution.NewText(ip, host)
		if len(k) <= 512 {
			w.peers[string(k)] = t
		}
	}
	return t
}

// redacted tells whether a recipient is nobody in particular: PowerMTA, or an
// agent before this one, has put a fixed text in place of the local part.
func (p *enricher) redacted(rcpt string) bool {
	n := strings.IndexByte(rcpt, '@')
	return n > 0 && (rcpt[:n] == privacy.DefaultRedaction || rcpt[:n] == p.policy.Redaction())
}

// individual tells whether a sender is likely to be different for each
// message: it holds a recipient, or a tag of at least six letters and digits
// with two digits in it.
func (p *enricher) individual(orig string) bool {
	local, _ := mailaddr.Split(orig)
	if text := p.policy.Redaction(); strings.Contains(local, privacy.DefaultRedaction) || len(text) >= len(privacy.DefaultRedaction) && strings.Contains(local, text) {
		return false // what made it so has been taken out
	}
	run, digits := 0, 0
	for i := range len(local) {
		switch c := local[i]; {
		case c == '=':
			return true
		case c-'0' <= 9:
			run, digits = run+1, digits+1
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			run++
		default:
			run, digits = 0, 0
		}
		if run >= 6 && digits >= 2 {
			return true
		}
	}
	return false
}

// find is Window.Find; an error counts as nothing found.
func (w *worker) find(key uint64, want func(*attribution.Entry) bool) *attribution.Found {
	f, err := w.mem.window.Find(key, want)
	if err != nil {
		w.err = err
	}
	return f
}

// reportLag is how much earlier than its delivery a report may seem to be, by
// clocks that differ.
const reportLag = int64(time.Hour)

// repairReport gives a report what the delivery that it is about had.
func (w *worker) repairReport(typ acct.Type, addr uint64, orig string) {
	env := w.str(fEnv)
	var envHash uint32
	if env != "" {
		envHash = envelopeHash(env)
	}
	want := func(e *attribution.Entry) bool {
		return e.Kind != attribution.Attempt && e.Time <= w.time+reportLag && (envHash == 0 || e.Envelope == 0 || e.Envelope == envHash)
	}
	var f *attribution.Found
	match := matchAddress
	if addr != 0 {
		f = w.find(addr, want)
	}
	if f == nil && w.p.individual(orig) {
		match = matchSender
		f = w.find(w.hashString('s', orig), want)
	}
	if f == nil && env != "" {
		match = matchEnvelope
		f = w.find(w.hashString('e', env), want)
	}
	if f == nil {
		w.unrepaired++
		return
	}
	if envHash != 0 && f.Envelope == envHash {
		match = matchEnvelope
	}
	w.fixed = w.fixed[:0]
	route := [4]string{}
	copy(route[:], f.Route)
	w.fix(fVMTA, route[0], &w.vmta)
	w.fix(fPool, route[1], &w.pool)
	w.fix(fJob, route[2], &w.job)
	w.fix(fSourceIP, route[3], &w.sourceIP)
	if w.s.at[fTimeSent] < 0 {
		w.add(fTimeSent, acct.Attr{Num: f.Time, Kind: acct.KindInt})
		w.fixed = append(w.fixed, fieldNames[fTimeSent])
	}
	w.mark(match)
}

// repairBounce gives a bounce without addresses those of the last attempt. A
// bounce may have one of the two, the remote one from dsnMta: then it has to be
// that of the attempt.
func (w *worker) repairBounce(message uint64) {
	f := w.find(message, func(e *attribution.Entry) bool { return e.Kind == attribution.Attempt && e.Time <= w.time })
	if f == nil {
		w.unrepaired++
		return
	}
	w.fixed = w.fixed[:0]
	var route [4]string
	var peer [2]string
	copy(route[:], f.Route)
	copy(peer[:], f.Peer)
	if differ(w.str(fPeer), peer[0]) || differ(w.sourceIP, route[3]) || w.s.at[fPeer] < 0 && differ(w.str(fServer), peer[1]) {
		w.unrepaired++
		return
	}
	w.fix(fVMTA, route[0], &w.vmta)
	w.fix(fPool, route[1], &w.pool)
	w.fix(fJob, route[2], &w.job)
	w.fix(fSourceIP, route[3], &w.sourceIP)
	w.fix(fLocal, route[3], nil)
	w.fix(fPeer, peer[0], nil)
	w.fix(fServer, peer[1], nil)
	w.mark(matchMessage)
}

// differ tells of two values that are known and not the same.
func differ(a, b string) bool { return a != "" && b != "" && a != b }

// fix adds what the record lacks.
func (w *worker) fix(f field, value string, into *string) {
	if value == "" || w.s.at[f] >= 0 {
		return
	}
	w.addStr(f, value)
	if into != nil {
		*into = value
	}
	w.fixed = append(w.fixed, fieldNames[f])
}

func (w *worker) mark(match int) {
	if len(w.fixed) == 0 {
		return
	}
	w.repaired[match]++
	w.add(fRepaired, acct.Attr{Str: strings.Join(w.fixed, ","), Kind: acct.KindStrings})
	w.addStr(fMatch, matchNames[match])
}

// attempts tells the ledger of a record and the record what the ledger knows.
func (w *worker) attempts(typ acct.Type, key ledger.Key, queued int64) {
	ev := ledger.Event{Key: key, Time: w.time, Queued: queued, First: w.int(fFirst)}
	category := w.str(fCategory)
	expired := false
	switch typ {
	case acct.TypeTransient:
		ev.Kind = ledger.Deferral
		if category == "" {
			category = codeClass(w.int(fCode))
		}
		ev.Category = category
		h := xxh3.HashString(w.str(fDiag)) ^ mix(uint64(w.time))
		h ^= mix(xxh3.HashString(w.str(fServer)))
		ev.Print = uint32(h) ^ uint32(h>>32)
	case acct.TypeDelivery:
		ev.Kind = ledger.Final
	default:
		ev.Kind = ledger.Final
		if category == "" {
			category = w.str(fPMTACategory)
		}
		expired = category == "message_expired" || category == "message-expired"
		if expired || w.str(fDiagType) == semconv.DiagTypePMTA {
			ev.Kind = ledger.GivenUp
		}
	}
	r := w.mem.ledger.Apply(&ev)
	if r.Attempt == 0 {
		return
	}
	w.add(fAttempt, acct.Attr{Num: int64(r.Attempt), Kind: acct.KindInt})
	exact := int64(0)
	if r.Exact {
		exact = 1
	}
	w.add(fExact, acct.Attr{Num: exact, Kind: acct.KindBool})
	if r.First != 0 && w.time > r.First {
		w.addDouble(fElapsed, float64(w.time-r.First)/1e9)
	}
	if r.LastCategory != "" {
		w.addStr(fLastDeferral, r.LastCategory)
		if expired {
			w.addStr(fLastCategory, r.LastCategory)
		}
	}
}

// codeClass is the category of a deferral that was not classified.
func codeClass(code int64) string {
	switch code / 100 {
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	}
	return "none"
}

// rcptCommand is how transcripts of sessions name recipients.
const rcptCommand = "RCPT TO:<"

// replace replaces local parts, wherever the record holds them.
func (w *worker) replace(lr plog.LogRecord, rcpt, orig string, base mailaddr.Sender) {
	r := w.redact
	known := rcpt
	if known == "" {
		known = w.hiddenRcpt()
	}
	r.Begin(known, w.s.at[fKeyID] >= 0)
	// A session may have many recipients, whom its replies name.
	for t := w.str(fTranscript); ; {
		i := strings.Index(t, rcptCommand)
		if i < 0 {
			break
		}
		t = t[i+len(rcptCommand):]
		addr, _, _ := strings.Cut(t, "\n")
		addr, _, _ = strings.Cut(addr, ">")
		r.Also(addr)
	}
	set := func(at int, have, now string) {
		if now != have {
			w.slab.SetStr(&w.v, at, now)
		}
	}
	if at := int(w.s.at[fRcpt]); at >= 0 && rcpt != "" {
		set(at, rcpt, r.Address(rcpt))
	}
	if at := int(w.s.at[fOrcpt]); at >= 0 {
		have := w.v.Str(at)
		set(at, have, r.ORCPT(have))
	}
	if at := int(w.s.at[fOrig]); at >= 0 && orig != "" {
		set(at, orig, r.Sender(orig))
	}
	if base.Local != "" {
		local := base.Local
		if innermost(&base) != mailaddr.VERP {
			local = r.Local(local)
		}
		w.addStr(fBase, w.cut(local, "@", w.domain.Get(base.Domain).ASCII))
	}
	diag := w.str(fDiag)
	diagNow := diag
	for _, at := range w.s.texts {
		have := w.v.Str(int(at))
		if have == "" {
			continue
		}
		now := r.Text(have)
		set(int(at), have, now)
		if at == w.s.at[fDiag] {
			diagNow = now
		}
	}
	if b := lr.Body(); b.Type() == pcommon.ValueTypeStr {
		if have := b.Str(); have == diag {
			if diagNow != diag {
				w.slab.SetString(b, diagNow)
			}
		} else if now := r.Text(have); now != have {
			w.slab.SetString(b, now)
		}
	}
	if at := int(w.s.at[fOriginal]); at >= 0 && w.p.cfg.Privacy.Original == "redact" {
		have := w.v.Str(at)
		set(at, have, r.Text(have))
	}
	// Addresses are masked in a template already, but not all names.
	if at := int(w.s.model); at >= 0 {
		have := w.v.Str(at)
		set(at, have, r.Template(have))
	}
	if r.Touched() {
		w.redacted++
		if id := w.p.policy.KeyID(); id != "" {
			w.addStr(fKeyID, id)
		}
	}
}

func innermost(s *mailaddr.Sender) (f mailaddr.Form) {
	for _, g := range s.Forms {
		if g != mailaddr.Plain {
			f = g
		}
	}
	return f
}
