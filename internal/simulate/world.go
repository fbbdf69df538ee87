package simulate

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// DefaultStart is where virtual time begins unless told otherwise.
var DefaultStart = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)

// Mix gives the share of each record type among all but receipts, as relative weights. Every message also has one
// receipt. Bounce includes messages that expired.
type Mix struct {
	Delivery, Transient, Bounce, TransientQueue, RemoteBounce, RemoteStatus, Feedback float64
}

// DefaultMix is an ordinary day of a bulk sender.
var DefaultMix = Mix{Delivery: 80, Transient: 12, Bounce: 6, TransientQueue: 0.8, RemoteBounce: 0.5, RemoteStatus: 0.2, Feedback: 0.5}

// WorldOptions describe a world. The zero value of each field is its default.
type WorldOptions struct {
	Seed     uint64
	Start    time.Time // DefaultStart; its location is the server's time zone
	Rate     float64   // records a second of the types in Count; 10
	Count    []Type    // types that Rate is about; all
	Mix      Mix       // DefaultMix
	Scenario Scenario  // nothing out of the ordinary
	// Hurry divides the delays of a message's life (retries, expiry, late bounces, complaints), so that a short run in
	// real time shows all of it; 1. The first attempt is not affected.
	Hurry int
}

// World is the simulated server and its surroundings. It is not safe for concurrent use.
type World struct {
	opt   WorldOptions
	rnd   *Rand
	start time.Time
	shift time.Duration
	now   time.Duration // since start, without shift

	providers []*provider
	byWeight  weights
	senders   []*sender
	bySender  weights
	local     localReplies

	heap       eventHeap
	nextInject time.Duration
	baseGap    int64 // ns between injections when on course
	perRecord  int64 // ns
	lag        int64 // records over which being off course is evened out
	counted    int64
	counts     [numTypes]bool
	nextID     uint64
	heapSeq    uint64
	freed      *Message
	pool       []*Message
	hurry      int64
	notices    []notice // still to come, in order of time
	stops      []*Stoppage

	pQueue, pDoomed, pAgain, pBounceQueue, pAdmin, pV6 uint64

	ev  Event
	srv ServerNotice
	at  Attempt
	rep Report
	buf []byte
}

type localReplies struct{ domain, bounceQueue, admin, queue, asyncBounce, asyncStatus replySet }

type replySet struct {
	list []*Reply
	w    weights
}

func (s *replySet) pick(r *Rand) *Reply { return s.list[s.w.pick(r)] }

type provider struct {
	*providerSpec
	dests    []*destination
	byDomain weights
	tlsProto []string
	tlsCiph  []string
	byTLS    weights

	ok, soft, hard  replySet
	pDefer, pBounce uint64
	// A delivery's later report: below pRB a late bounce, below pRS a status, below pF a complaint.
	pRB, pRS, pF uint64
}

type destination struct {
	domain    string
	provider  *provider
	endpoints []endpoint
	queues    []string // by vMTA index
}

type endpoint struct{ host, ip4, ip6 string }

type sender struct {
	*senderSpec
	vmtas    []*VMTA
	first    int // index of vmtas[0] in destination.queues
	camp     *campaign
	clients  []client
	fromLine string
}

type client struct{ mta, ip, user string }

type campaign struct {
	job, subject string
	left         int
	number       int
}

const (
	kindAttempt uint8 = iota
	kindExpire
	kindRemoteBounce
	kindRemoteStatus
	kindFeedback
)

type scheduled struct {
	due  time.Duration
	seq  uint64
	msg  *Message
	kind uint8
}

// retryAfter is the queue's retry schedule in seconds; the last value repeats.
var retryAfter = []int64{600, 1200, 1800, 3600}

const (
	expiredShare     = 0.04 // of bounces
	expiredDeferrals = 8.0  // average number of deferrals before that
	againShare       = 0.30 // of retries that are deferred once more
)

// NewWorld builds a world. It fails on options that make no sense.
func NewWorld(opt WorldOptions) (*World, error) {
	if opt.Start.IsZero() {
		opt.Start = DefaultStart
	}
	if opt.Rate == 0 {
		opt.Rate = 10
	}
	if opt.Mix == (Mix{}) {
		opt.Mix = DefaultMix
	}
	if opt.Hurry == 0 {
		opt.Hurry = 1
	}
	if opt.Count == nil {
		opt.Count = AllTypes()
	}
	if !(opt.Rate >= 1e-5 && opt.Rate <= 1e7) {
		return nil, fmt.Errorf("rate %v is not between 0.00001 and 10,000,000 records a second", opt.Rate)
	}
	if opt.Hurry < 1 || opt.Hurry > 3600 {
		return nil, fmt.Errorf("hurry %d is not between 1 and 3600", opt.Hurry)
	}
	w := &World{opt: opt, rnd: newRand(opt.Seed), start: opt.Start, hurry: int64(opt.Hurry)}
	if err := w.plan(); err != nil {
		return nil, err
	}
	if err := w.build(); err != nil {
		return nil, err
	}
	return w, w.calibrate()
}

// buildVMTAs returns the server's virtual MTAs, pool by pool.
func buildVMTAs() []*VMTA {
	var vmtas []*VMTA
	for pi, p := range poolSpecs {
		for i := range p.count {
			v := &VMTA{
				Name: fmt.Sprintf("%s-%02d", p.prefix, i+1),
				Pool: p.name,
				Helo: fmt.Sprintf("o%02d.%s.mailer-north.example", i+1, p.host),
				IPv4: fmt.Sprintf("203.0.113.%d", p.first+i),
			}
			if i < p.v6 {
				v.IPv6 = fmt.Sprintf("2001:db8:53:%x::%x", pi+1, p.first+i)
			}
			vmtas = append(vmtas, v)
		}
	}
	return vmtas
}

func (w *World) build() error {
	vmtas := buildVMTAs()
	firstOf := map[string]int{}
	inPool := map[string][]*VMTA{}
	for i, v := range vmtas {
		if len(inPool[v.Pool]) == 0 {
			firstOf[v.Pool] = i
		}
		inPool[v.Pool] = append(inPool[v.Pool], v)
	}

	// Remote hosts get addresses in order from two documentation networks.
	addr := netip.MustParseAddr("198.51.100.1")
	number := 0
	nextEndpoint := func(host string, v6 bool) endpoint {
		number++
		e := endpoint{host: host, ip4: addr.String()}
		if v6 {
			e.ip6 = fmt.Sprintf("2001:db8:%x::%x", 0x100+number/16, 0x1a+number%16)
		}
		if addr = addr.Next(); addr == netip.MustParseAddr("198.51.100.255") {
			addr = netip.MustParseAddr("192.0.2.64")
		}
		return e
	}
	for i := range providerSpecs {
		spec := &providerSpecs[i].providerSpec
		p := &provider{providerSpec: spec}
		var err error
		if p.ok, err = compile(spec.ok); err == nil {
			if p.soft, err = compile(spec.soft); err == nil {
				p.hard, err = compile(spec.hard)
			}
		}
		if err != nil {
			return fmt.Errorf("provider %s: %w", spec.name, err)
		}
		for _, t := range spec.tls {
			proto, cipher, _ := strings.Cut(t.s, " ")
			p.tlsProto, p.tlsCiph = append(p.tlsProto, proto), append(p.tlsCiph, cipher)
		}
		p.byTLS = newWeights(len(spec.tls), func(i int) int { return spec.tls[i].w })
		domains := spec.domains
		if spec.perHost {
			domains = nil
			for _, d := range hostedDomains[spec.name] {
				domains = append(domains, weighted{d, 1})
			}
		}
		var shared []endpoint
		for di, d := range domains {
			dst := &destination{domain: d.s, provider: p, endpoints: shared}
			ascii := strings.ReplaceAll(d.s, "bücher-lang", "xn--bcher-lang-9db")
			if shared == nil || spec.perHost {
				dst.endpoints = nil
				for _, mx := range spec.mx {
					host := strings.NewReplacer("{dd}", strings.ReplaceAll(ascii, ".", "-"), "{d}", ascii,
						"{n}", fmt.Sprintf("%06x", 0x1a2b3c+di*0x10f1)).Replace(mx)
					dst.endpoints = append(dst.endpoints, nextEndpoint(host, spec.v6))
				}
				shared = dst.endpoints
			}
			for _, v := range vmtas {
				name := d.s
				if spec.rollup != "" {
					name = spec.rollup + ".rollup"
				}
				dst.queues = append(dst.queues, name+"/"+v.Name)
			}
			p.dests = append(p.dests, dst)
		}
		p.byDomain = newWeights(len(domains), func(i int) int { return domains[i].w })
		w.providers = append(w.providers, p)
	}
	w.byWeight = newWeights(len(providerSpecs), func(i int) int { return providerSpecs[i].weight })

	for i := range senderSpecs {
		spec := &senderSpecs[i]
		s := &sender{senderSpec: spec, vmtas: inPool[spec.pool], first: firstOf[spec.pool]}
		s.fromLine = fmt.Sprintf("%s <%s@%s>", spec.name, spec.local, spec.domain)
		for k := range 2 {
			ip := fmt.Sprintf("192.0.2.%d", 10+2*i+k)
			c := client{mta: fmt.Sprintf("app%d.%s (%s)", k+1, spec.domain, ip), ip: ip}
			if !spec.api {
				c.user = spec.code + "-submit"
			}
			s.clients = append(s.clients, c)
		}
		w.senders = append(w.senders, s)
	}
	w.bySender = newWeights(len(senderSpecs), func(i int) int { return senderSpecs[i].weight })

	var errs []error
	set := func(specs []replySpec) replySet {
		s, err := compile(specs)
		errs = append(errs, err)
		return s
	}
	w.local = localReplies{set(localDomainReplies), set(bounceQueueReplies), set(adminReplies), set(queueReplies),
		set(asyncBounceReplies), set(asyncStatusReplies)}
	for _, r := range append(append(w.local.domain.list, w.local.bounceQueue.list...), w.local.admin.list...) {
		r.local = true
	}
	return errors.Join(errs...)
}

func compile(specs []replySpec) (replySet, error) {
	s := replySet{w: newWeights(len(specs), func(i int) int { return specs[i].w })}
	for _, spec := range specs {
		r, err := NewReply(spec.text, spec.status, spec.category)
		if err != nil {
			return s, err
		}
		s.list = append(s.list, r)
	}
	return s, nil
}

// calibrate turns the mix into probabilities for each decision. Products that are added are rounded first, so that no
// platform fuses them and all get the same bits.
func (w *World) calibrate() error {
	m := w.opt.Mix
	for _, v := range []float64{m.Delivery, m.Transient, m.Bounce, m.TransientQueue, m.RemoteBounce, m.RemoteStatus, m.Feedback} {
		if !(v >= 0) || v > 1e6 {
			return errors.New("mix: every share must be a number from 0 to 1,000,000")
		}
	}
	final := m.Delivery + m.Bounce
	if m.Delivery <= 0 {
		return errors.New("mix: the share of d must not be 0")
	}
	bounce := m.Bounce / final
	doomed := bounce * expiredShare
	deferrals := m.Transient / final
	deferFirst := float64(deferrals-float64(doomed*expiredDeferrals)) * (1 - againShare)
	if deferFirst < 0 {
		deferFirst, doomed = 0, deferrals/expiredDeferrals
	}
	if m.Transient == 0 {
		doomed = 0
	}
	late := [3]float64{m.RemoteBounce / m.Delivery, m.RemoteStatus / m.Delivery, m.Feedback / m.Delivery}
	if deferFirst > 0.9 || late[0]+late[1]+late[2] > 0.9 {
		return errors.New("mix: too many deferrals or reports for the number of deliveries")
	}
	attempts := final + m.Transient + m.TransientQueue
	w.pQueue = threshold(m.TransientQueue / attempts)
	w.pDoomed = threshold(doomed)
	w.pAgain = threshold(againShare)
	w.pBounceQueue, w.pAdmin, w.pV6 = threshold(0.03), threshold(0.01), threshold(0.15)

	var total, dw, bw, aw, fw float64
	for i, p := range w.providers {
		x := float64(providerSpecs[i].weight)
		total += x
		dw += float64(x * float64(p.deferral))
		bw += float64(x * float64(p.bounce))
		aw += float64(x * float64(p.async))
		fw += float64(x * float64(p.fblWeight))
	}
	rejected := bounce - doomed
	for _, p := range w.providers {
		p.pDefer = threshold(min(0.95, deferFirst*float64(p.deferral)*total/dw))
		p.pBounce = threshold(min(0.95, rejected*float64(p.bounce)*total/bw))
		rb := min(0.3, late[0]*float64(p.async)*total/aw)
		rs := min(0.3, late[1]*float64(p.async)*total/aw)
		f := min(0.3, late[2]*float64(p.fblWeight)*total/fw)
		p.pRB = threshold(rb)
		p.pRS = p.pRB + threshold(rs)
		p.pF = p.pRS + threshold(f)
	}

	// How many counted records one message leads to, in the long run.
	perMessage := [numTypes]float64{m.Delivery, m.Bounce, m.Transient, m.TransientQueue, final, m.Feedback, m.RemoteBounce, m.RemoteStatus}
	var wanted float64
	for _, t := range w.opt.Count {
		if t >= numTypes {
			return fmt.Errorf("unknown record type %d", t)
		}
		w.counts[t] = true
		wanted += perMessage[t]
	}
	if wanted == 0 {
		return errors.New("mix: none of the record types asked for ever happens")
	}
	w.perRecord = max(1, int64(1e9/w.opt.Rate))
	w.baseGap = max(1, int64(wanted/final*1e9/w.opt.Rate))
	w.lag = max(50, int64(3*w.opt.Rate))
	return nil
}

// Delay moves the event that Next returned last, and everything after it, by d. A caller in real time that has fallen
// behind uses it to catch up with its clock.
func (w *World) Delay(d time.Duration) {
	if d <= 0 {
		return
	}
	w.shift += d
	if m := w.ev.Message; m != nil {
		if w.ev.Type == Receipt {
			m.Queued = m.Queued.Add(d)
		}
		if m.First.Equal(w.ev.At) {
			m.First = m.First.Add(d)
		}
	}
	w.ev.At = w.ev.At.Add(d)
}

// Next advances the world to its next event. There is always one. Times never go backwards.
func (w *World) Next() *Event {
	if w.freed != nil {
		*w.freed = Message{}
		w.pool = append(w.pool, w.freed)
		w.freed = nil
	}
	for !w.step() {
	}
	if w.ev.Type < numTypes && w.counts[w.ev.Type] {
		w.counted++
	}
	return &w.ev
}

// step makes the next event, or puts off something that a stoppage is in the way of and returns false.
func (w *World) step() bool {
	inject := len(w.heap) == 0 || w.nextInject <= w.heap[0].due
	due := w.nextInject
	if !inject {
		due = w.heap[0].due
	}
	if len(w.notices) > 0 && w.notices[0].due <= due {
		n := w.notices[0]
		w.notices = w.notices[1:]
		w.now = n.due
		w.srv = ServerNotice{n.kind, n.stop}
		w.ev = Event{Type: Notice, At: w.clock(), Server: &w.srv}
		return true
	}
	for _, s := range w.stops {
		if due < s.Begin || due >= s.Begin+s.Length {
			continue
		}
		switch {
		case inject:
			w.nextInject = s.Begin + s.Length + time.Duration(w.rnd.between(1e8, 3e9))
		case s.down():
			// The spool is read and the queues start one after the other.
			item := w.heap.pop()
			item.due, item.seq = s.Begin+s.Length+time.Duration(w.rnd.between(1e9, 20e9)), w.nextSeq()
			w.heap.push(item)
		default:
			continue
		}
		return false
	}
	if inject {
		w.now = w.nextInject
		w.inject()
		w.nextInject += time.Duration(w.gap())
		return true
	}
	s := w.heap.pop()
	w.now = s.due
	switch s.kind {
	case kindAttempt:
		w.attempt(s.msg)
	case kindExpire:
		w.expire(s.msg)
	default:
		w.report(s.msg, s.kind)
	}
	return true
}

// gap is the time to the next injection: even numbers around the mean, and faster or slower while the number of counted
// records is behind or ahead of the rate.
func (w *World) gap() int64 {
	behind := int64(w.now)/w.perRecord - w.counted
	speed := 1024 + behind*1024/w.lag
	speed = min(max(speed, 512), 2048)
	return w.baseGap*1024/speed*int64(w.rnd.IntN(2048))/1024 + 1
}

func (w *World) clock() time.Time { return w.start.Add(w.now + w.shift) }

func (w *World) inject() {
	s := w.senders[w.bySender.pick(w.rnd)]
	p := w.providers[w.byWeight.pick(w.rnd)]
	d := p.dests[p.byDomain.pick(w.rnd)]
	if s.camp == nil || s.camp.left == 0 {
		w.newCampaign(s)
	}
	s.camp.left--

	var m *Message
	if n := len(w.pool); n > 0 {
		m, w.pool = w.pool[n-1], w.pool[:n-1]
	} else {
		m = new(Message)
	}
	w.nextID++
	m.ID = w.nextID
	m.Queued = w.clock()
	m.sender, m.camp, m.dest = s, s.camp, d
	m.Domain = d.domain
	m.Stream, m.Pool = s.stream, s.pool
	vi := w.rnd.IntN(len(s.vmtas))
	m.VMTA = s.vmtas[vi]
	c := &s.clients[w.rnd.IntN(len(s.clients))]
	m.SrcMTA, m.ClientIP, m.User = c.mta, c.ip, c.user
	m.SrcType, m.LocalIP = "smtp", "203.0.113.5"
	if s.api {
		m.SrcType = "api"
	}
	if s.jobs {
		m.JobID = s.camp.job
	}
	m.Size = int(w.rnd.skewed(s.minSize, s.maxSize))
	m.doomed = w.rnd.chance(w.pDoomed)

	// All strings of the message in one allocation.
	b := w.buf[:0]
	b = append(b, givenNames[w.rnd.IntN(len(givenNames))]...)
	b = append(b, '.')
	b = append(b, familyNames[w.rnd.IntN(len(familyNames))]...)
	b = append(b, ".x"...)
	b = w.rnd.appendHex(b, 5)
	localEnd := len(b)
	b = append(b, '@')
	b = append(b, d.domain...)
	rcptEnd := len(b)
	switch s.verp {
	case 0:
		b = append(append(b, s.code...), '-')
		b = append(b, b[:localEnd]...)
		b = append(append(b, '='), d.domain...)
		b = append(append(b, "@"...), s.domain...)
	case 1:
		b = append(b, "bounce+"...)
		b = w.rnd.appendHex(b, 12)
		b = append(append(b, '@'), s.domain...)
	default:
		b = append(append(b, "rp-"...), s.code...)
		b = append(b, '-')
		b = strconv.AppendUint(b, m.ID, 36)
		b = append(b, '-')
		b = append(b, b[:localEnd]...)
		b = append(append(b, '='), d.domain...)
		b = append(append(b, '@'), s.domain...)
	}
	origEnd := len(b)
	if s.envID {
		b = append(b, s.code...)
		b = w.rnd.appendHex(b, 10)
	}
	envEnd := len(b)
	if s.dsn {
		b = append(append(b, "rfc822;"...), b[:rcptEnd]...)
	}
	w.buf = b
	all := string(b)
	m.Rcpt, m.Orig, m.EnvID, m.Orcpt = all[:rcptEnd], all[rcptEnd:origEnd], all[origEnd:envEnd], all[envEnd:]

	w.schedule(time.Duration(w.rnd.skewed(5e6, 2.5e9)), m, kindAttempt)
	w.ev = Event{Type: Receipt, At: m.Queued, Message: m}
}

func (w *World) newCampaign(s *sender) {
	c := &campaign{number: 1, left: 1 << 62}
	if s.camp != nil {
		c.number = s.camp.number + 1
	}
	if s.stream == "transactional" {
		c.job = s.code + "-" + s.stream
	} else {
		c.job = s.code + "-" + w.clock().Format("20060102") + "-" + fmt.Sprintf("%03d", c.number)
		c.left = int(w.rnd.between(2_000, 40_000))
		c.subject = strings.ReplaceAll(s.subjects[w.rnd.IntN(len(s.subjects))], "{c}", strconv.Itoa(10+c.number*5%80))
	}
	s.camp = c
}

// begin fills in what is known of an attempt before the conversation.
func (w *World) begin(m *Message) {
	d, p := m.dest, m.dest.provider
	a := &w.at
	*a = Attempt{
		Number: m.Attempts, Provider: p.name, Domain: d.domain, VMTA: m.VMTA, FromDomain: m.sender.domain,
		Queue: d.queues[m.sender.first+m.sender.indexOf(m.VMTA)],
	}
	if len(d.endpoints) == 0 {
		return
	}
	e := &d.endpoints[0]
	if n := len(d.endpoints); n > 1 {
		e = &d.endpoints[w.rnd.IntN(n)]
	}
	a.Host, a.RemoteIP, a.SourceIP = e.host, e.ip4, m.VMTA.IPv4
	if e.ip6 != "" && m.VMTA.IPv6 != "" && w.rnd.chance(w.pV6) {
		a.RemoteIP, a.SourceIP = e.ip6, m.VMTA.IPv6
	}
	a.ESMTP = p.esmtp
	t := p.byTLS.pick(w.rnd)
	a.TLSProtocol, a.TLSCipher = p.tlsProto[t], p.tlsCiph[t]
}

func (s *sender) indexOf(v *VMTA) int {
	for i := range s.vmtas {
		if s.vmtas[i] == v {
			return i
		}
	}
	return 0
}

func (w *World) attempt(m *Message) {
	p := m.dest.provider
	m.Attempts++
	if m.First.IsZero() {
		m.First = w.clock()
	}
	w.begin(m)
	a := &w.at

	verdict, decided := Verdict{}, false
	for _, inc := range w.opt.Scenario.Incidents {
		if verdict, decided = inc.Verdict(w.now, m, a, w.rnd); decided {
			break
		}
	}
	if !decided {
		verdict = w.normal(m, p)
	}
	if len(m.dest.endpoints) == 0 && verdict.Outcome != Rejected {
		verdict = Verdict{Outcome: Rejected, Reply: w.local.domain.pick(w.rnd)}
	}

	switch verdict.Outcome {
	case Unconnected:
		w.unconnected(m, verdict.Reply)
	case Deferred:
		r := verdict.Reply
		if r == nil {
			r = p.soft.pick(w.rnd)
		}
		w.answer(m, r, "delayed")
		m.Deferrals++
		if m.last == nil {
			m.last = new(Attempt)
		}
		*m.last = *a
		w.ev = Event{Type: Transient, At: w.clock(), Message: m, Attempt: a}
		w.retry(m)
	case Rejected:
		r := verdict.Reply
		if r == nil {
			switch {
			case w.rnd.chance(w.pBounceQueue):
				r = w.local.bounceQueue.pick(w.rnd)
			case w.rnd.chance(w.pAdmin):
				r = w.local.admin.pick(w.rnd)
			case len(p.hard.list) > 0:
				r = p.hard.pick(w.rnd)
			default:
				r = w.local.domain.pick(w.rnd)
			}
		}
		if r.local && r.diagType == "" || r == w.local.admin.list[0] {
			a.Host, a.RemoteIP, a.SourceIP, a.ESMTP, a.TLSProtocol, a.TLSCipher = "", "", "", "", "", ""
		}
		w.answer(m, r, "failed")
		w.ev = Event{Type: Bounce, At: w.clock(), Message: m, Attempt: a}
		w.freed = m
	default:
		r := verdict.Reply
		if r == nil {
			r = p.ok.pick(w.rnd)
		}
		w.answer(m, r, "relayed")
		w.ev = Event{Type: Delivery, At: w.clock(), Message: m, Attempt: a}
		w.aftermath(m, p)
	}
}

// normal is the course of an ordinary day.
func (w *World) normal(m *Message, p *provider) Verdict {
	if len(m.dest.endpoints) == 0 {
		return Verdict{Outcome: Rejected, Reply: w.local.domain.pick(w.rnd)}
	}
	if w.rnd.chance(w.pQueue) {
		return Verdict{Outcome: Unconnected}
	}
	again := p.pDefer
	if m.Deferrals > 0 {
		again = w.pAgain
	}
	if m.doomed || w.rnd.chance(again) {
		return Verdict{Outcome: Deferred}
	}
	if w.rnd.chance(p.pBounce) {
		return Verdict{Outcome: Rejected}
	}
	return Verdict{Outcome: Accepted}
}

func (w *World) answer(m *Message, r *Reply, action string) {
	a := &w.at
	a.Action, a.Status, a.Category = action, r.status, r.category
	a.Diag = ""
	if r.diagType != "" {
		w.buf = r.appendTo(w.buf[:0], w.clock(), m, a, w.rnd)
		a.Diag = string(w.buf)
	}
}

func (w *World) unconnected(m *Message, r *Reply) {
	a := &w.at
	if r == nil {
		r = w.local.queue.pick(w.rnd)
	}
	w.answer(nil, r, "")
	if a.Diag == "" {
		a.SourceIP = "0.0.0.0"
	}
	if r.noHost {
		a.Host, a.RemoteIP = "", ""
	}
	a.FromDomain, a.ESMTP, a.TLSProtocol, a.TLSCipher = "", "", "", ""
	w.ev = Event{Type: TransientQueue, At: w.clock(), Attempt: a}
	// The recipient knows nothing of this; it goes with the queue's next connection.
	w.schedule(w.life(w.rnd.between(20, 300)), m, kindAttempt)
}

// life scales a delay in seconds of a message's life.
func (w *World) life(seconds int64) time.Duration {
	return max(time.Duration(seconds)*time.Second/time.Duration(w.hurry), time.Second)
}

func (w *World) retry(m *Message) {
	base := retryAfter[min(m.Deferrals, len(retryAfter))-1]
	wait := w.life(w.rnd.between(base*9/10, base*11/10))
	left := m.Queued.Add(w.life(m.sender.expiry)).Sub(w.clock())
	if wait >= left {
		w.schedule(max(left, time.Second), m, kindExpire)
		return
	}
	w.schedule(wait, m, kindAttempt)
}

// expire gives a message up. Its diagnostic is that of the last deferral; no source says what PowerMTA writes there, so
// one in four has none.
func (w *World) expire(m *Message) {
	a := &w.at
	*a = *m.last
	a.Action, a.Status, a.Category = "failed", statusExpired, expired
	if w.rnd.IntN(4) == 0 {
		a.Diag = ""
	}
	w.ev = Event{Type: Bounce, At: w.clock(), Message: m, Attempt: a}
	w.freed = m
}

var statusExpired = statusWithText("4.4.7")

// aftermath decides what will be heard of a delivery later.
func (w *World) aftermath(m *Message, p *provider) {
	x := w.rnd.Uint64() >> 11
	var kind uint8
	var wait int64
	switch {
	case x < p.pRB:
		kind, wait = kindRemoteBounce, w.rnd.skewed(2, 7200)
	case x < p.pRS:
		kind, wait = kindRemoteStatus, w.rnd.skewed(2, 14400)
	case x < p.pF:
		kind, wait = kindFeedback, w.rnd.skewed(90, 28800)
	default:
		w.freed = m
		return
	}
	m.deliver = &deliveryFacts{w.at.SourceIP, w.at.Host, w.at.RemoteIP}
	w.schedule(w.life(wait), m, kind)
}

func (w *World) report(m *Message, kind uint8) {
	p, d := m.dest.provider, m.deliver
	r := &w.rep
	*r = Report{MTA: d.host + " (" + d.remoteIP + ")", ReportingMTA: d.host, LocalIP: "203.0.113.6", OriginalIP: d.sourceIP, Domain: m.sender.domain}
	r.SrcMTA = r.MTA
	w.freed = m
	w.ev = Event{At: w.clock(), Message: m, Report: r}
	if kind == kindFeedback {
		w.ev.Type = Feedback
		r.Format, r.UserAgent, r.FeedbackType = p.fbl, p.fblAgent, "abuse"
		if p.fbl == "jmrp" {
			r.HideRecipient, r.FeedbackType, r.ReportingMTA = true, "", ""
		}
		return
	}
	w.at = Attempt{Domain: m.Domain, Host: d.host, RemoteIP: d.remoteIP, SourceIP: d.sourceIP, VMTA: m.VMTA, FromDomain: m.sender.domain}
	set := &w.local.asyncBounce
	w.ev.Type, r.Format = RemoteBounce, "dsn"
	if kind == kindRemoteStatus {
		w.ev.Type, set = RemoteStatus, &w.local.asyncStatus
	} else if w.rnd.IntN(12) == 0 {
		r.Format = "qmail"
	}
	reply := set.pick(w.rnd)
	w.answer(m, reply, "")
	r.Status, r.Diag, r.Category = w.at.Status, w.at.Diag, w.at.Category
	if kind == kindRemoteStatus {
		r.Action = "delivered"
		if reply.category != success {
			r.Action = "delayed"
		}
	}
}

func (w *World) schedule(after time.Duration, m *Message, kind uint8) {
	w.heap.push(scheduled{due: w.now + after, seq: w.nextSeq(), msg: m, kind: kind})
}

func (w *World) nextSeq() uint64 {
	w.heapSeq++
	return w.heapSeq
}

// eventHeap is a binary heap by time, then by order of scheduling.
type eventHeap []scheduled

func (h eventHeap) less(a, b *scheduled) bool {
	return a.due < b.due || a.due == b.due && a.seq < b.seq
}

func (h *eventHeap) push(s scheduled) {
	q := append(*h, s)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q.less(&s, &q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = s
	*h = q
}

func (h *eventHeap) pop() scheduled {
	q := *h
	top := q[0]
	n := len(q) - 1
	s := q[n]
	q[n] = scheduled{}
	q = q[:n]
	*h = q
	if n == 0 {
		return top
	}
	i := 0
	for {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && q.less(&q[c+1], &q[c]) {
			c++
		}
		if !q.less(&q[c], &s) {
			break
		}
		q[i] = q[c]
		i = c
	}
	q[i] = s
	return top
}
