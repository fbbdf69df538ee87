package simulate

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogDetail is how much of each SMTP session is in the system log.
type LogDetail uint8

// The levels of detail, each with what is in the ones before.
const (
	LogNone        LogDetail = iota // what happens to the server, queues and source IPs; failures to connect or to look up
	LogConnections                  // beginning and end of sessions (log-connections)
	LogCommands                     // commands and replies (log-commands)
	LogData                         // hexadecimal dumps, and clients' commands with their passwords (log-data)
)

var logDetailNames = []string{"none", "connections", "commands", "data"}

// String returns "none", "connections", "commands" or "data".
func (d LogDetail) String() string {
	if int(d) < len(logDetailNames) {
		return logDetailNames[d]
	}
	return fmt.Sprintf("LogDetail(%d)", uint8(d))
}

// ParseLogDetail reads what [LogDetail.String] returns.
func ParseLogDetail(s string) (LogDetail, error) {
	i := slices.Index(logDetailNames, s)
	if i < 0 {
		return 0, fmt.Errorf("unknown detail %q: use %s", s, strings.Join(logDetailNames, ", "))
	}
	return LogDetail(i), nil
}

// SimulatedPassword is what clients send with AUTH. It is in the log, in base64, only with [LogData].
const SimulatedPassword = "simulated-password-7Kq2"

// SystemLogConfig describes the system log. Zero values are defaults.
type SystemLogConfig struct {
	LogFileConfig
	Seed       uint64
	Detail     LogDetail
	Unnumbered bool      // no connection numbers in front of session lines, so that interleaved sessions cannot be told apart
	Scenario   *Scenario // that of the world; whether the server is up at the start depends on it
}

// SystemLog writes what happens to the server and its sessions, like PowerMTA's log-file. Each attempt that a host
// answered has one session; the reply in it is the dsnDiag of the attempt's accounting record, and has its time. Lines
// of sessions that go on at the same time are interleaved, in order of time. A session begins up to 2.5 s before its
// record, so lines are written that much later than they say. It is not safe for concurrent use.
type SystemLog struct {
	cfg    SystemLogConfig
	file   logFile
	rnd    *Rand
	queues *QueueStates

	// Lines wait here in slots of 1/64 s until nothing can come before them.
	ring  [ringSlots][]byte
	head  int64 // first slot not written yet
	floor int64 // no session's line is before it: the last start
	last  int64 // slot of the latest event
	up    bool
	early []earlyNote // noted before Open

	free     []usedConn // heap: numbers by when they were last in use
	nextConn int32
	ehlos    map[string][]string
	looked   map[string]int64 // when a domain's hosts were last looked up, by domain
	licence  int64            // Unix time of the next warning
	expires  int64            // Unix time
	dump     []byte
	text     []byte
}

type earlyNote struct {
	at   time.Time
	text string
}

type usedConn struct {
	end int64
	num int32
}

const (
	perSecond = 64
	ringSlots = 512
	lookback  = 160 // slots
)

// PowerMTA's name and version as the log and the web monitor say it.
const (
	serverVersion = "v5.0r8"
	serverHost    = "mx.mailer-north.example"
	configFile    = "/etc/pmta/config"
	spoolDir      = "/var/spool/pmta"
)

// NewSystemLog checks the configuration. Nothing is created before [SystemLog.Open].
func NewSystemLog(cfg SystemLogConfig) (*SystemLog, error) {
	if err := checkLogFile(&cfg.LogFileConfig, "system log"); err != nil {
		return nil, err
	}
	if int(cfg.Detail) >= len(logDetailNames) {
		return nil, fmt.Errorf("system log %s: unknown detail %d", cfg.Path, cfg.Detail)
	}
	return &SystemLog{
		cfg: cfg, file: logFile{cfg: cfg.LogFileConfig}, rnd: newRand(cfg.Seed ^ 0x5e551095), queues: NewQueueStates(0),
		ehlos: map[string][]string{}, looked: map[string]int64{},
	}, nil
}

func slotOf(t time.Time) int64 {
	return t.Unix()*perSecond + int64(t.Nanosecond())*perSecond/1e9
}

// Open creates or appends to the file and logs the start, unless the scenario begins with one that fails.
func (l *SystemLog) Open(at time.Time) error {
	if err := l.file.open(at); err != nil {
		return err
	}
	u := slotOf(at)
	l.head, l.floor, l.last = u-lookback, u, u
	l.licence, l.expires = at.Unix()+60, at.AddDate(0, 0, 30).Unix()
	if l.cfg.Scenario == nil || !l.cfg.Scenario.downAtStart() {
		l.started(u)
	}
	for _, n := range l.early {
		l.Note(n.at, n.text)
	}
	l.early = nil
	return l.file.flush()
}

// Note adds a line, such as an error of another stream of the same run.
func (l *SystemLog) Note(at time.Time, text string) {
	if l.file.file == nil {
		l.early = append(l.early, earlyNote{at, text})
		return
	}
	l.line(slotOf(at), text)
}

// Lines returns how many lines and bytes were written.
func (l *SystemLog) Lines() (lines, bytes int64) { return l.file.lines, l.file.bytes }

func (l *SystemLog) started(u int64) {
	l.up, l.floor = true, u
	l.free, l.nextConn = l.free[:0], 0
	clear(l.looked)
	l.line(u, "PowerMTA ", serverVersion, " starting")
	l.line(u, "Warning: name server 192.0.2.53 is not recursive")
	l.line(u, "PowerMTA started")
}

// Write adds the lines of the event's session. It reports false: a log has no accounting records.
func (l *SystemLog) Write(e *Event) (bool, error) {
	u := slotOf(e.At)
	if err := l.advance(e.At, u); err != nil {
		return false, err
	}
	switch e.Type {
	case Notice:
		l.notice(u, e.Server)
	case Receipt:
		if e.Message.SrcType == "smtp" {
			l.inbound(u, e)
		}
	case Feedback, RemoteBounce, RemoteStatus:
		l.inbound(u, e)
	default:
		if e.Attempt.Status != statusExpired { // no attempt belongs to it
			l.outbound(u, e)
		}
		for _, c := range l.queues.Observe(e) {
			l.change(u, e, &c)
		}
	}
	return false, l.file.settle()
}

// Tick writes what is due.
func (l *SystemLog) Tick(now time.Time) error {
	if err := l.advance(now, slotOf(now)); err != nil {
		return err
	}
	return l.file.flush()
}

// Close lets the sessions end and logs the shutdown.
func (l *SystemLog) Close() error {
	if l.file.file == nil {
		return nil
	}
	end := l.head
	for u := l.head; u < l.head+ringSlots; u++ {
		if len(l.ring[u%ringSlots]) > 0 {
			end = u
		}
	}
	if l.up {
		end = max(end, l.last)
		l.line(end, "PowerMTA shutting down")
		l.line(end, "PowerMTA stopped")
	}
	err := l.writeUntil(l.head + ringSlots)
	if err2 := l.file.close(); err == nil {
		err = err2
	}
	return err
}

// advance writes the lines that nothing can come before any more, at a time that an event or the clock has reached.
func (l *SystemLog) advance(at time.Time, u int64) error {
	l.last = max(l.last, u)
	if err := l.daily(at); err != nil {
		return err
	}
	return l.writeUntil(l.last - lookback)
}

func (l *SystemLog) writeUntil(end int64) error {
	for n := 0; l.head < end && n < ringSlots; n++ {
		slot := &l.ring[l.head%ringSlots]
		if len(*slot) > 0 {
			if err := l.file.write(l.head/perSecond, *slot); err != nil {
				return err
			}
			*slot = (*slot)[:0]
		}
		l.head++
	}
	l.head = max(l.head, end) // behind a whole ring there is nothing
	return nil
}

// daily warns of the licence shortly after the start and at 6 o'clock.
func (l *SystemLog) daily(at time.Time) error {
	for at.Unix() >= l.licence {
		u := l.licence * perSecond
		if err := l.writeUntil(u - lookback); err != nil {
			return err
		}
		if days := (l.expires - l.licence + 86399) / 86400; !l.up {
		} else if days > 0 {
			l.line(u, "License expires in ", strconv.FormatInt(days, 10), " days")
		} else {
			l.line(u, "License has expired")
		}
		y, m, d := time.Unix(l.licence, 0).In(l.file.loc).Date()
		next := time.Date(y, m, d, 6, 0, 0, 0, l.file.loc).Unix()
		if next <= l.licence {
			next = time.Date(y, m, d+1, 6, 0, 0, 0, l.file.loc).Unix()
		}
		l.licence = next
	}
	return nil
}

// begin returns the slot of u, or of the nearest time that lines can still have, with a time stamp at its end.
func (l *SystemLog) begin(u int64) (*[]byte, []byte) {
	u = max(u, l.head)
	u = min(u, l.head+ringSlots-1)
	slot := &l.ring[u%ringSlots]
	return slot, l.file.stamp(*slot, u/perSecond)
}

// line adds a line that belongs to no session.
func (l *SystemLog) line(u int64, parts ...string) {
	slot, b := l.begin(u)
	for _, p := range parts {
		b = append(b, p...)
	}
	*slot = append(b, '\n')
}

func (l *SystemLog) notice(u int64, n *ServerNotice) {
	s := n.Stop
	// At most a second, but before the next start.
	soon := min(perSecond, int64(s.Length)*perSecond/int64(time.Second))
	switch n.Kind {
	case Started:
		l.started(u)
	case Stopped:
		l.line(u, "PowerMTA shutting down")
		// Sessions that are open end first.
		l.line(u+soon, "PowerMTA stopped")
		l.up = false
	case Crashed:
		// What open sessions would have written now never comes.
		for i := max(u, l.head) + 1; i < l.head+ringSlots; i++ {
			l.ring[i%ringSlots] = l.ring[i%ringSlots][:0]
		}
		if s.Signal > 0 {
			l.line(u, "Aborted (signal ", strconv.Itoa(s.Signal), ")")
		} else {
			l.line(u, "Unexpected exception: std::bad_alloc")
		}
		l.line(u+soon, "pmtad exited abnormally, restarting")
		l.up = false
	case DiskIsFull:
		l.line(u, "Out of disk space on ", spoolDir, ", no mail is accepted")
		l.line(u, "Spool ", spoolDir, ": No space left on device")
	case DiskHasRoom:
		l.line(u, "Spool ", spoolDir, ": space is available, mail is accepted again")
	case Reloaded:
		if s.Line > 0 {
			l.line(u, "Parse error in line ", strconv.Itoa(s.Line), " of ", configFile, ": unknown directive")
		} else {
			l.line(u, "configuration reloaded")
		}
	}
}

// change logs what became of a queue or a source IP.
func (l *SystemLog) change(u int64, e *Event, c *QueueChange) {
	switch {
	case c.SourceIP == "" && c.Backoff:
		l.line(u, "Queue ", c.Queue, ` switched to backoff mode: "`, c.Reason, `"`)
	case c.SourceIP == "":
		l.line(u, "Queue ", c.Queue, " switched to normal mode")
	case c.Disabled:
		l.line(u, "Source IP ", c.SourceIP, " disabled for queue ", c.Queue, `: "`, c.Reason, `"`)
		all := 1
		if e.Attempt.VMTA.IPv6 != "" {
			all = 2
		}
		if len(l.queues.State(c.Queue).Disabled) == all {
			l.line(u, "All SMTP sources for queue ", c.Queue, " are now disabled.")
		}
	default:
		l.line(u, "Source IP ", c.SourceIP, " re-enabled for queue ", c.Queue)
	}
}

// conn takes a connection number for a session from begin to end. Numbers come back once their session is over.
func (l *SystemLog) conn(begin, end int64) int32 {
	h := l.free
	var c usedConn
	if len(h) > 0 && h[0].end < begin {
		c = h[0]
		n := len(h) - 1
		last := h[n]
		h = h[:n]
		for i := 0; n > 0; {
			k := 2*i + 1
			if k+1 < n && h[k+1].before(&h[k]) {
				k++
			}
			if k >= n || !h[k].before(&last) {
				h[i] = last
				break
			}
			h[i], i = h[k], k
		}
	} else {
		l.nextConn++
		c.num = l.nextConn
	}
	c.end = end
	h = append(h, c)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !c.before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	l.free = h
	return c.num
}

func (a *usedConn) before(b *usedConn) bool { return a.end < b.end || a.end == b.end && a.num < b.num }

// session is one SMTP conversation while its lines are made.
type session struct {
	l       *SystemLog
	u       int64 // time of the next line
	until   int64 // lines before the reply are not after it
	conn    int32
	in, out int // bytes
}

// step lets time pass.
func (s *session) step(n int64) { s.u = min(s.u+n, s.until) }

func (s *session) begin(u int64) (*[]byte, []byte) {
	slot, b := s.l.begin(max(u, s.l.floor))
	if s.l.cfg.Unnumbered {
		return slot, b
	}
	b = append(b, '(')
	if s.conn < 10 {
		b = append(b, ' ')
	}
	if s.conn < 100 {
		b = append(b, ' ')
	}
	return slot, append(strconv.AppendInt(b, int64(s.conn), 10), ')')
}

func (s *session) say(parts ...string) {
	slot, b := s.begin(s.u)
	for _, p := range parts {
		b = append(b, p...)
	}
	*slot = append(b, '\n')
}

// received logs a line from the other side.
func (s *session) received(parts ...string) { s.in += s.talk(">>> ", "rd ", parts) }

// sent logs a line to the other side.
func (s *session) sent(parts ...string) { s.out += s.talk("<<< ", "wr ", parts) }

// talk returns the number of bytes with the line end.
func (s *session) talk(arrow, operation string, parts []string) int {
	n := 2
	for _, p := range parts {
		n += len(p)
	}
	if s.l.cfg.Detail < LogCommands {
		return n
	}
	if s.l.cfg.Detail == LogData {
		t := s.l.text[:0]
		for _, p := range parts {
			t = append(t, p...)
		}
		s.l.text = append(t, '\r', '\n')
		s.hexDump(arrow, operation, s.l.text)
	}
	slot, b := s.begin(s.u)
	b = append(b, arrow...)
	for _, p := range parts {
		b = append(b, p...)
	}
	*slot = append(b, '\n')
	return n
}

const hexUpper = "0123456789ABCDEF"

// hexDump logs bytes as log-data does: the number, then lines of 16 bytes in hexadecimal digits and ASCII.
func (s *session) hexDump(arrow, operation string, data []byte) {
	s.say(arrow, operation, strconv.Itoa(len(data)))
	for len(data) > 0 {
		row := data[:min(16, len(data))]
		data = data[len(row):]
		slot, b := s.begin(s.u)
		for _, c := range row {
			b = append(b, hexUpper[c>>4], hexUpper[c&15])
		}
		for range 16 - len(row) {
			b = append(b, ' ', ' ')
		}
		b = append(b, ' ')
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			b = append(b, c)
		}
		*slot = append(b, '\n')
	}
}

// reply logs a reply from the other side. Replies of several lines are one line of text in accounting files, joined by
// blanks; here they are what the host sent.
func (s *session) reply(text string) {
	for {
		line, rest := splitReply(text)
		s.received(line)
		if rest == "" {
			return
		}
		text = rest
	}
}

// splitReply cuts the first line off a joined reply such as "550-5.1.1 one 550 5.1.1 two".
func splitReply(text string) (line, rest string) {
	if len(text) < 5 || text[3] != '-' {
		return text, ""
	}
	code := text[:3]
	for i := 4; ; {
		k := strings.Index(text[i:], code)
		if k < 0 || i+k+3 >= len(text) {
			return text, ""
		}
		i += k
		if text[i-1] == ' ' && (text[i+3] == ' ' || text[i+3] == '-') {
			return text[:i-1], text[i:]
		}
		i += 3
	}
}

// ehloReply logs the answer to EHLO with the extensions of the accounting record.
func (s *session) ehloReply(host, helo, ip, esmtp string, encrypted bool) {
	list, ok := s.l.ehlos[esmtp]
	if !ok {
		list = strings.Split(esmtp, ",")
		s.l.ehlos[esmtp] = list
	}
	n := len(list)
	if encrypted && n > 0 && list[n-1] == "STARTTLS" {
		n--
	}
	if n == 0 || list[0] == "" {
		s.received("250 ", host)
		return
	}
	s.received("250-", host, " Hello ", helo, " [", ip, "]")
	for i, x := range list[:n] {
		switch {
		case encrypted && x == "STARTTLS":
		case i == n-1:
			s.received("250 ", x)
		default:
			s.received("250-", x)
		}
	}
}

// The point of a conversation at which the decisive reply comes.
const (
	atGreeting = iota
	atMail
	atRcpt
	atEnd
)

// stage guesses from a reply when a host gave it.
func stage(e *Event, text string) int {
	switch a := e.Attempt; {
	case e.Type == TransientQueue:
		return atGreeting
	case e.Type == Delivery:
		return atEnd
	case strings.HasPrefix(text, "421"), a.Category == sender_, a.Category == protocol:
		return atMail
	case a.Category == spam, a.Category == content, a.Category == virus:
		return atEnd
	default:
		return atRcpt
	}
}

func port(r *Rand) string { return strconv.Itoa(1024 + r.IntN(64000)) }

// outbound logs the session of an attempt that was decided at u.
func (l *SystemLog) outbound(u int64, e *Event) {
	a := e.Attempt
	_, text, _ := strings.Cut(a.Diag, ";")
	if rest, ok := strings.CutPrefix(text, "bounce-queue;reply:"); ok {
		text = rest
	}
	rtt := l.rnd.skewed(1, 8)
	if a.Host == "" {
		if text == "" { // else the administrator removed it
			l.noHost(u, e, rtt)
		}
		return
	}
	if a.SourceIP == "0.0.0.0" {
		l.noConnection(u, e, rtt)
		return
	}
	at := stage(e, text)
	think := l.rnd.skewed(0, 40) // what the host takes for its reply
	begin := u - think - rtt*int64(4+at)
	if a.TLSProtocol != "" && at != atGreeting {
		begin -= 4 * rtt
	}
	begin = max(begin, l.floor, l.head)
	if e.Message != nil {
		begin = max(begin, slotOf(e.Message.Queued))
	}
	quit := rtt + 1
	end := u + 2*quit
	s := session{l: l, u: begin, until: u, conn: l.conn(begin, end)}
	v := a.VMTA
	if l.cfg.Detail >= LogConnections {
		s.say("starting ", a.Queue)
		l.lookUp(&s, a)
		s.say("connecting from ", v.Helo, " (", a.SourceIP, ") to ", a.Host, " (", a.RemoteIP, ")")
		s.step(rtt)
		if strings.IndexByte(a.SourceIP, ':') >= 0 {
			s.say("connected from [", a.SourceIP, "]:", port(l.rnd))
		} else {
			s.say("connected from ", a.SourceIP, ":", port(l.rnd))
		}
	}
	s.step(rtt)
	if at != atGreeting {
		l.dialog(&s, e, at, rtt)
	}
	s.u, s.until = u, end
	s.reply(text)
	if at == atGreeting {
		l.failed(&s, a, text)
	}
	if !strings.HasPrefix(text, "421") && at != atGreeting {
		s.sent("QUIT")
		s.step(quit)
		s.received("221 2.0.0 ", a.Host, " closing connection")
	}
	if l.cfg.Detail >= LogConnections {
		s.step(quit)
		s.say("closed ", a.Host, " (", a.RemoteIP, ") in=", strconv.Itoa(s.in), " out=", strconv.Itoa(s.out))
		s.say("done ", a.Queue)
	}
}

// dialog logs the conversation from the greeting to the command that gets the decisive reply.
func (l *SystemLog) dialog(s *session, e *Event, at int, rtt int64) {
	a, m := e.Attempt, e.Message
	if l.rnd.IntN(64) == 0 {
		// Seen in real logs: the end of a long greeting in a line of its own.
		s.received("220-", a.Host, " ESMTP mail gateway, unsolicited mail is not welcome; ",
			e.At.Format("Mon, 02 Jan 2006 15:04:05"), "\n", e.At.Format("-0700"))
		s.received("220 ", a.Host, " ready")
	} else {
		s.received("220 ", a.Host, " ESMTP")
	}
	s.sent("EHLO ", a.VMTA.Helo)
	s.step(rtt)
	s.ehloReply(a.Host, a.VMTA.Helo, a.SourceIP, a.ESMTP, false)
	if a.TLSProtocol != "" {
		s.sent("STARTTLS")
		s.step(rtt)
		s.received("220 2.0.0 Ready to start TLS")
		s.step(2 * rtt)
		if l.cfg.Detail >= LogConnections {
			size := "256"
			if strings.Contains(a.TLSCipher, "128") {
				size = "128"
			}
			s.say("tls:", a.TLSProtocol, " connected with ", size, "-bit ", a.TLSCipher)
			if e.Message.ID&7 == 0 {
				s.say("tls:Cert: /CN=", a.Host, "; issuer=/O=Simulated Trust/CN=Simulated CA 1; verified=no")
			}
		}
		s.sent("EHLO ", a.VMTA.Helo)
		s.step(rtt)
		s.ehloReply(a.Host, a.VMTA.Helo, a.SourceIP, a.ESMTP, true)
	}
	s.sent("MAIL FROM:<", m.Orig, ">")
	s.step(rtt)
	if at == atMail {
		return
	}
	s.received("250 2.1.0 Sender OK")
	s.sent("RCPT TO:<", m.Rcpt, ">")
	s.step(rtt)
	if at == atRcpt {
		return
	}
	s.received("250 2.1.5 Recipient OK")
	s.sent("DATA")
	s.step(rtt)
	s.received("354 Go ahead")
	if l.cfg.Detail == LogData {
		l.dump = m.appendContent(l.dump[:0])
		s.hexDump("<<< ", "wr ", l.dump)
	}
	s.out += m.Size + 5
}

// appendContent renders the beginning of the message, as its first write has it.
func (m *Message) appendContent(d []byte) []byte {
	for _, h := range []string{"From", "To", "Subject", "Message-Id"} {
		d = append(append(d, h...), ": "...)
		d = m.appendHeader(d, strings.ToLower(h))
		d = append(d, "\r\n"...)
	}
	d = append(d, "\r\nDear "...)
	name, _, _ := strings.Cut(m.Rcpt, ".")
	d = append(d, name...)
	d = append(d, ",\r\nthis is the confidential text of message "...)
	d = strconv.AppendUint(d, m.ID, 10)
	return append(d, ".\r\n"...)
}

// lookUp logs the hosts of a domain if it was not looked up for an hour.
func (l *SystemLog) lookUp(s *session, a *Attempt) {
	if t, ok := l.looked[a.Domain]; ok && s.u-t < 3600*perSecond {
		return
	}
	l.looked[a.Domain] = s.u
	s.say("resolved ", a.Domain, ": MX 10 ", a.Host, " (", a.RemoteIP, ")")
}

// failed logs that a queue's connection came to nothing.
func (l *SystemLog) failed(s *session, a *Attempt, text string) {
	if l.cfg.Detail == LogNone {
		l.line(s.u, "Transfer failed: ", a.Queue, ": ", a.Host, " (", a.RemoteIP, "): ", text)
		return
	}
	s.say("Transfer failed: ", a.Queue, ": ", a.Host, " (", a.RemoteIP, "): ", text)
}

// noConnection logs an attempt without an answer.
func (l *SystemLog) noConnection(u int64, e *Event, rtt int64) {
	a := e.Attempt
	begin := max(u-lookback+10, l.floor, l.head)
	text := "Connection timed out (ETIMEDOUT)"
	if a.Category == badConn {
		text = "Connection refused (ECONNREFUSED)"
		begin = max(u-rtt, l.floor, l.head)
	}
	s := session{l: l, u: begin, until: u, conn: l.conn(begin, u)}
	if l.cfg.Detail >= LogConnections {
		s.say("starting ", a.Queue)
		from := a.VMTA.IPv4
		if strings.IndexByte(a.RemoteIP, ':') >= 0 {
			from = a.VMTA.IPv6
		}
		s.say("connecting from ", a.VMTA.Helo, " (", from, ") to ", a.Host, " (", a.RemoteIP, ")")
	}
	s.u = u
	l.failed(&s, a, text)
	if l.cfg.Detail >= LogConnections {
		s.say("done ", a.Queue)
	}
}

// noHost logs an attempt for which no host was found.
func (l *SystemLog) noHost(u int64, e *Event, rtt int64) {
	a := e.Attempt
	text := "SERVFAIL"
	switch a.Status[1:] {
	case statusNoDomain[1:]:
		text = "NXDOMAIN"
	case statusNoMX[1:]:
		text = "no mail hosts for domain"
	}
	if l.cfg.Detail == LogNone {
		l.line(u, "DNS lookup of MX for ", a.Domain, " failed: ", text)
		return
	}
	begin := max(u-rtt, l.floor, l.head)
	if e.Message != nil {
		begin = max(begin, slotOf(e.Message.Queued))
	}
	s := session{l: l, u: begin, until: u, conn: l.conn(begin, u)}
	s.say("starting ", a.Queue)
	s.u = u
	s.say("DNS lookup of MX for ", a.Domain, " failed: ", text)
	s.say("done ", a.Queue)
}

var statusNoDomain, statusNoMX = statusWithText("5.1.2"), statusWithText("5.4.4")

// inbound logs the session in which a message or a report was taken at u.
func (l *SystemLog) inbound(u int64, e *Event) {
	if l.cfg.Detail == LogNone {
		return
	}
	m := e.Message
	mta := m.SrcMTA
	orig, rcpt, size, user := m.Orig, m.Rcpt, m.Size, m.User
	if e.Report != nil {
		mta, orig, rcpt, size, user = e.Report.SrcMTA, "", m.Orig, 3000+int(m.ID&1023), ""
	}
	name, ip, _ := strings.Cut(mta, " (")
	ip = strings.TrimSuffix(ip, ")")
	rtt := l.rnd.skewed(0, 4)
	begin := max(u-7*rtt, l.floor, l.head)
	end := u + 2*rtt
	s := session{l: l, u: begin, until: u, conn: l.conn(begin, end)}
	if strings.IndexByte(ip, ':') >= 0 {
		s.say("accepted connection from [", ip, "]:", port(l.rnd))
	} else {
		s.say("accepted connection from ", ip, ":", port(l.rnd))
	}
	if l.cfg.Detail == LogData {
		l.clientDialog(&s, name, ip, user, orig, rcpt, rtt)
	} else {
		s.in, s.out = 120+len(name)+len(orig)+len(rcpt), 260
	}
	s.in += size + 5
	s.u, s.until = u, end
	if l.cfg.Detail == LogData {
		s.sent("250 2.6.0 message received")
		s.step(rtt)
		s.received("QUIT")
		s.sent("221 2.0.0 ", serverHost, " says goodbye")
	}
	s.step(rtt)
	s.say("closed ", name, " (", ip, ") in=", strconv.Itoa(s.in), " out=", strconv.Itoa(s.out))
}

// clientDialog logs what a client says until the end of its message.
func (l *SystemLog) clientDialog(s *session, name, ip, user, orig, rcpt string, rtt int64) {
	s.sent("220 ", serverHost, " (PowerMTA(TM) ", serverVersion, ") ESMTP service ready")
	s.step(rtt)
	s.received("EHLO ", name)
	s.sent("250-", serverHost, " says hello")
	s.sent("250-AUTH PLAIN LOGIN")
	s.sent("250-PIPELINING")
	s.sent("250 8BITMIME")
	s.step(rtt)
	switch b64 := base64.StdEncoding.EncodeToString; {
	case user == "":
	case l.rnd.IntN(2) == 0:
		s.received("AUTH PLAIN ", b64([]byte("\x00"+user+"\x00"+SimulatedPassword)))
		s.sent("235 2.7.0 authentication successful")
	default:
		s.received("AUTH LOGIN")
		s.sent("334 ", b64([]byte("Username:")))
		s.step(rtt)
		s.received(b64([]byte(user)))
		s.sent("334 ", b64([]byte("Password:")))
		s.step(rtt)
		s.received(b64([]byte(SimulatedPassword)))
		s.sent("235 2.7.0 authentication successful")
	}
	s.step(rtt)
	s.received("MAIL FROM:<", orig, ">")
	s.sent("250 2.1.0 MAIL ok")
	s.received("RCPT TO:<", rcpt, ">")
	s.sent("250 2.1.5 <", rcpt, "> ok")
	s.step(rtt)
	s.received("DATA")
	s.sent("354 send message")
	s.step(rtt)
}
