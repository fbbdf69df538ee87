package simulate

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MonitorConfig describes a simulated web monitor. Zero values are defaults.
type MonitorConfig struct {
	// Version is what the monitor says it is, "5.0r8". Below 5.0 there is only
	// XML, served as text/html, and format=json gives the page for people.
	Version string
	// Threshold is that of [NewQueueStates].
	Threshold int
	// MaxItems is how many rows a list has if the request does not say; 10
	// (http-default-max-items).
	MaxItems int
}

// Monitor is the web monitor of the simulated server: it takes the events of a
// run as a [Stream] and shows the server's state as an [http.Handler], in JSON
// and XML as PowerMTA does. Queues hold the recipients that wait, counters
// count the events, and backoff is that of [QueueStates].
//
// What the pages /status, /queues, /domains, /vmtas and /jobs look like is
// known from samples and client programs. How the fields of /queueDetail are
// called is not; names are in the style of the others.
//
// It is safe for concurrent use.
type Monitor struct {
	cfg MonitorConfig

	mu      sync.Mutex // guards everything declared below
	started time.Time
	now     time.Time
	down    bool
	stopped bool // it does not run

	in, out         monitorFlow
	bounces, fbl    int64
	names           map[string]bool // domains looked up
	queues          map[string]*monitorQueue
	jobs            map[string]*monitorFlow // what waits
	states          *QueueStates
	seconds         [3600]monitorSecond // ring by second
	topMin, topHour [2]int64            // recipients in, out
	topConns        int64
}

type monitorFlow struct {
	rcp   int64
	bytes int64
}

func (f *monitorFlow) add(n int64, bytes int) { f.rcp += n; f.bytes += n * int64(bytes) }

type monitorSecond struct {
	unix             int64
	in, out          int64
	inBytes, outSize int64
}

type monitorQueue struct {
	monitorFlow
	vmta     string
	attempt  time.Time // last one
	retry    time.Time
	errors   []monitorEvent // newest first, at most 10
	modes    []monitorEvent // newest first, at most 10
	rcpts    []monitorEvent // newest first, at most 50
	disabled []DisabledIP
}

type monitorEvent struct {
	at   time.Time
	text string
	mode string
}

func remember(list []monitorEvent, e monitorEvent, most int) []monitorEvent {
	if len(list) == most {
		list = list[:most-1]
	}
	return slices.Insert(list, 0, e)
}

// NewMonitor checks the configuration.
func NewMonitor(cfg MonitorConfig) (*Monitor, error) {
	cfg.Version = cmp.Or(cfg.Version, "5.0r8")
	cfg.MaxItems = cmp.Or(cfg.MaxItems, 10)
	if _, err := strconv.ParseFloat(cfg.Version[:min(3, len(cfg.Version))], 64); err != nil || cfg.MaxItems < 1 {
		return nil, fmt.Errorf("monitor: %q is no version such as 5.0r8 or 4.5r8", cfg.Version)
	}
	return &Monitor{cfg: cfg, queues: map[string]*monitorQueue{}, jobs: map[string]*monitorFlow{}, names: map[string]bool{},
		states: NewQueueStates(cfg.Threshold)}, nil
}

// Open implements [Stream].
func (m *Monitor) Open(at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started, m.now = at, at
	return nil
}

// Tick implements [Stream].
func (m *Monitor) Tick(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	return nil
}

// Close implements [Stream]. The last state can still be asked for.
func (m *Monitor) Close() error { return nil }

// Restart forgets what a restart of the server makes it forget: counters and
// peaks, but no message, nor the mode of a queue. A [Started] notice does it too.
func (m *Monitor) Restart(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(at)
	m.restart(at)
}

func (m *Monitor) restart(at time.Time) {
	m.reset()
	m.started, m.stopped = at, false
}

// ResetCounters does what "pmta reset counters" does.
func (m *Monitor) ResetCounters() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reset()
}

func (m *Monitor) reset() {
	m.in, m.out, m.bounces, m.fbl = monitorFlow{}, monitorFlow{}, 0, 0
	m.topMin, m.topHour, m.topConns = [2]int64{}, [2]int64{}, 0
}

// SetShuttingDown changes what the monitor says about it.
func (m *Monitor) SetShuttingDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *Monitor) advance(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
}

// queueOf returns the name of the queue that a message waits in.
func queueOf(msg *Message) string {
	return msg.dest.queues[msg.sender.first+msg.sender.indexOf(msg.VMTA)]
}

// Write implements [Stream]. It holds no record of anything.
func (m *Monitor) Write(e *Event) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(e.At)
	switch e.Type {
	case Receipt:
		m.wait(e.Message, 1)
		m.in.add(1, e.Message.Size)
		m.traffic(e.At, e.Message.Size, true)
	case Delivery:
		m.wait(e.Message, -1)
		m.out.add(1, e.Message.Size)
		m.traffic(e.At, e.Message.Size, false)
		m.recipient(e, "delivered")
	case Bounce:
		m.wait(e.Message, -1)
		m.recipient(e, "bounced")
	case Transient:
		m.recipient(e, "deferred")
	case TransientQueue:
		q := m.queue(e.Attempt.Queue, e.Attempt.VMTA.Name)
		q.errors = remember(q.errors, monitorEvent{at: e.At, text: gatewayError(e.Attempt)}, 10)
	case RemoteBounce, RemoteStatus:
		m.bounces++
	case Feedback:
		m.fbl++
	case Notice:
		switch e.Server.Kind {
		case Started:
			m.restart(e.At)
		case Stopped, Crashed, StartFailed:
			m.stopped = true
		}
	}
	if a := e.Attempt; a != nil && e.Report == nil && a.Queue != "" {
		m.attempt(e)
	}
	return false, nil
}

func (m *Monitor) queue(name, vmta string) *monitorQueue {
	q := m.queues[name]
	if q == nil {
		q = &monitorQueue{vmta: vmta}
		m.queues[name] = q
	}
	return q
}

func (m *Monitor) wait(msg *Message, n int64) {
	m.queue(queueOf(msg), msg.VMTA.Name).add(n, msg.Size)
	if msg.JobID != "" {
		j := m.jobs[msg.JobID]
		if j == nil {
			j = new(monitorFlow)
			m.jobs[msg.JobID] = j
		}
		if j.add(n, msg.Size); j.rcp <= 0 {
			delete(m.jobs, msg.JobID)
		}
	}
	m.names[msg.Domain] = true
}

func (m *Monitor) traffic(at time.Time, size int, in bool) {
	s := &m.seconds[at.Unix()%int64(len(m.seconds))]
	if s.unix != at.Unix() {
		*s = monitorSecond{unix: at.Unix()}
	}
	if in {
		s.in++
		s.inBytes += int64(size)
	} else {
		s.out++
		s.outSize += int64(size)
	}
	i, o := m.last(at, time.Minute)
	m.topMin = [2]int64{max(m.topMin[0], i.rcp), max(m.topMin[1], o.rcp)}
}

// last sums the traffic of the time before at.
func (m *Monitor) last(at time.Time, d time.Duration) (in, out monitorFlow) {
	to := at.Unix()
	for u := to - int64(d/time.Second) + 1; u <= to; u++ {
		if s := &m.seconds[(u%3600+3600)%3600]; s.unix == u {
			in.rcp += s.in
			in.bytes += s.inBytes
			out.rcp += s.out
			out.bytes += s.outSize
		}
	}
	return in, out
}

func (m *Monitor) recipient(e *Event, word string) {
	a := e.Attempt
	if a.Host == "" {
		return
	}
	q := m.queue(a.Queue, a.VMTA.Name)
	q.rcpts = remember(q.rcpts, monitorEvent{at: e.At, text: fmt.Sprintf("%s | %s | %s | %s | %s | %s (%s) | %s", word, e.At.Format(monitorTime),
		a.SourceIP, e.Message.Rcpt, e.Message.JobID, a.Host, a.RemoteIP, a.Diag)}, 50)
}

func (m *Monitor) attempt(e *Event) {
	a := e.Attempt
	q := m.queue(a.Queue, a.VMTA.Name)
	q.attempt = e.At
	if e.Type == Transient || e.Type == TransientQueue {
		q.retry = e.At.Add(5 * time.Minute)
	}
	for _, c := range m.states.Observe(e) {
		switch {
		case c.SourceIP != "":
			if c.Disabled {
				q.errors = remember(q.errors, monitorEvent{at: e.At, text: gatewayError(a)}, 10)
				if len(m.states.State(c.Queue).Disabled) >= sources(a.VMTA) {
					q.errors = remember(q.errors, monitorEvent{at: e.At, text: "All SMTP sources for queue " + c.Queue + " are now disabled."}, 10)
				}
			}
		case c.Backoff:
			q.errors = remember(q.errors, monitorEvent{at: e.At, text: gatewayError(a)}, 10)
			q.modes = remember(q.modes, monitorEvent{at: e.At, mode: "backoff", text: "normal to backoff"}, 10)
		default:
			q.modes = remember(q.modes, monitorEvent{at: e.At, mode: "normal", text: "backoff to normal"}, 10)
		}
		q.disabled = slices.Clone(m.states.State(c.Queue).Disabled)
	}
}

func sources(v *VMTA) int {
	if v.IPv6 != "" {
		return 2
	}
	return 1
}

// gatewayError words an attempt that failed as the list of errors does.
func gatewayError(a *Attempt) string {
	_, reply, _ := strings.Cut(a.Diag, ";")
	if reply == "" {
		return "ETIMEDOUT"
	}
	return fmt.Sprintf(`Error: "%s" while connected from %s (%s) to %s (%s)`, reply, a.VMTA.Helo, a.SourceIP, a.Host, a.RemoteIP)
}

const monitorTime = "2006-01-02 15:04:05"

// monitorField is a value of a page; pages keep the order of their fields.
type monitorField struct {
	name  string
	value any // string, int64, kilobytes, bool, monitorObject, or []monitorObject for a list with one element name
	one   string
}

type (
	monitorObject []monitorField
	kilobytes     int64 // bytes, shown as kilobytes with one decimal
)

func (k kilobytes) String() string { return strconv.FormatFloat(float64(k)/1024, 'f', 1, 64) }

func monObj(name string, fields ...monitorField) monitorField {
	return monitorField{name: name, value: monitorObject(fields)}
}

func monVal(name string, value any) monitorField { return monitorField{name: name, value: value} }

func monList(name, one string, items []monitorObject) monitorField {
	return monitorField{name: name, one: one, value: items}
}

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case monitorObject:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendQuote(b, f.name), ':')
			b = appendJSON(b, f.value)
		}
		return append(b, '}')
	case []monitorObject:
		b = append(b, '[')
		for i, o := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, o)
		}
		return append(b, ']')
	case kilobytes:
		return append(b, v.String()...)
	default:
		j, err := json.Marshal(v)
		if err != nil {
			return append(b, "null"...) // cannot be: strings, numbers and booleans
		}
		return append(b, j...)
	}
}

func writeXML(w *strings.Builder, o monitorObject) {
	for _, f := range o {
		switch v := f.value.(type) {
		case monitorObject:
			w.WriteString("<" + f.name + ">")
			writeXML(w, v)
			w.WriteString("</" + f.name + ">")
		case []monitorObject:
			for _, item := range v {
				w.WriteString("<" + f.one + ">")
				writeXML(w, item)
				w.WriteString("</" + f.one + ">")
			}
		case bool:
			n := "0"
			if v {
				n = "1"
			}
			w.WriteString("<" + f.name + ">" + n + "</" + f.name + ">")
		default:
			w.WriteString("<" + f.name + ">")
			_ = xml.EscapeText(w, []byte(fmt.Sprint(v))) // a Builder takes everything
			w.WriteString("</" + f.name + ">")
		}
	}
}

// modern reports whether the version has JSON.
func (m *Monitor) modern() bool { return m.cfg.Version[0] >= '5' }

// ServeHTTP implements [http.Handler].
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	format := r.URL.Query().Get("format")
	asJSON := format == "json" && m.modern()
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "this monitor only shows", http.StatusMethodNotAllowed)
		return
	case r.URL.Path == "/":
		http.Redirect(w, r, "/ui", http.StatusFound)
		return
	case format != "xml" && !asJSON || strings.HasPrefix(r.URL.Path, "/ui"):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>PowerMTA</title></head><body><p>This is a simulated PowerMTA. "+
			`Try <a href="/status?format=xml">/status?format=xml</a>.</p></body></html>`)
		return
	}
	data, fail := m.page(r)
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		status := "success"
		if fail != "" {
			status, data = "fail", monitorObject{}
		}
		_, _ = w.Write(appendJSON(nil, monitorObject{monVal("data", data), monVal("status", status), monVal("message", fail)}))
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	if !m.modern() {
		w.Header().Set("Content-Type", "text/html")
	}
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<rsp>")
	if fail != "" {
		writeXML(&b, monitorObject{monVal("fail", fail)})
	} else {
		writeXML(&b, monitorObject{monVal("data", data)})
		b.WriteString("<succ/>")
	}
	b.WriteString("</rsp>\n")
	_, _ = io.WriteString(w, b.String())
}

func (m *Monitor) page(r *http.Request) (data monitorObject, fail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, "PowerMTA is not running" // the monitor is a service of its own
	}
	q := r.URL.Query()
	limit := m.cfg.MaxItems
	if n, err := strconv.Atoi(q.Get("maxitems")); err == nil && n > 0 {
		limit = n
	}
	switch r.URL.Path {
	case "/status":
		return m.statusPage(), ""
	case "/queues":
		return m.queuesPage(limit, q.Get("mode")), ""
	case "/domains":
		return m.sumPage("domains", "domain", limit, func(name string, _ *monitorQueue) string {
			domain, _, _ := strings.Cut(name, "/")
			return domain
		}), ""
	case "/vmtas":
		return m.sumPage("vmtas", "vmta", limit, func(_ string, q *monitorQueue) string { return q.vmta }), ""
	case "/jobs":
		return m.jobsPage(limit), ""
	case "/queueDetail":
		if queue := m.queues[q.Get("queue")]; queue != nil {
			return monitorObject{monVal("queue", m.detail(q.Get("queue"), queue))}, ""
		}
		return nil, fmt.Sprintf("Unknown queue %q", q.Get("queue"))
	}
	return nil, "Unknown page " + r.URL.Path
}

func (m *Monitor) totals() (all monitorFlow, domains, conns int64) {
	seen := map[string]bool{}
	for name, q := range m.queues {
		all.rcp += q.rcp
		all.bytes += q.bytes
		conns += m.connections(q)
		if q.rcp > 0 {
			domain, _, _ := strings.Cut(name, "/")
			seen[domain] = true
		}
	}
	return all, int64(len(seen)), conns
}

// connections of a queue: one for some seconds after an attempt.
func (m *Monitor) connections(q *monitorQueue) int64 {
	if m.now.Sub(q.attempt) < 5*time.Second {
		return 1
	}
	return 0
}

func flowFields(f monitorFlow) []monitorField {
	return []monitorField{monVal("rcp", f.rcp), monVal("msg", f.rcp), monVal("kb", kilobytes(f.bytes))}
}

func (m *Monitor) statusPage() monitorObject {
	all, domains, conns := m.totals()
	m.topConns = max(m.topConns, conns)
	hourIn, hourOut := m.last(m.now, time.Hour)
	minIn, minOut := m.last(m.now, time.Minute)
	m.topHour = [2]int64{max(m.topHour[0], hourIn.rcp), max(m.topHour[1], hourOut.rcp)}
	window := func(name string, in, out monitorFlow, more ...monitorField) monitorField {
		return monObj(name, append([]monitorField{monObj("out", flowFields(out)...), monObj("in", flowFields(in)...)}, more...)...)
	}
	empty := func(name string) monitorField {
		return monObj(name, monVal("rcp", int64(0)), monVal("dom", int64(0)), monVal("kb", kilobytes(0)))
	}
	backlog := []monitorField{monObj("smtp", monVal("rcp", all.rcp), monVal("dom", domains), monVal("kb", kilobytes(all.bytes))),
		empty("pipe"), empty("discard"), empty("file"), empty("alias"), empty("bounceProcessor"), empty("feedbackLoopProcessor")}
	status := []monitorField{
		monVal("timeNow", m.now.Format(monitorTime)), monVal("startupTime", m.started.Format(monitorTime)), monVal("shuttingDown", m.down),
		monObj("traffic",
			window("total", m.in, m.out, monVal("bounceProcessed", m.bounces), monVal("feedbackLoopProcessed", m.fbl)),
			window("lastHr", hourIn, hourOut), window("lastMin", minIn, minOut),
			window("topPerHr", monitorFlow{rcp: m.topHour[0]}, monitorFlow{rcp: m.topHour[1]}),
			window("topPerMin", monitorFlow{rcp: m.topMin[0]}, monitorFlow{rcp: m.topMin[1]})),
		monObj("conn",
			monObj("smtpIn", monVal("cur", min(minIn.rcp, 20)), monVal("max", int64(500)), monVal("top", min(m.topMin[0], 20))),
			monObj("smtpOut", monVal("cur", conns), monVal("max", int64(3000)), monVal("top", m.topConns))),
		monObj("resolver", monVal("namesCached", int64(len(m.names))), monVal("queriesPending", int64(0)), monVal("queriesActive", int64(0))),
	}
	if m.modern() {
		state := "running"
		if m.down {
			state = "shutting down"
		}
		status = append(status, monVal("status", state))
		backlog = append(backlog, empty("httpDelivery"))
	}
	status = append(status, monObj("queue", backlog...),
		monObj("spool", monVal("initPct", int64(100)), monVal("dirs", all.rcp/4096+1),
			monObj("files", monVal("inUse", all.rcp), monVal("recycled", int64(0)), monVal("total", (all.rcp/4096+1)*4096)),
			monVal("totalRcp", all.rcp), monVal("maxRcp", int64(8_000_000))))
	return monitorObject{
		monObj("mta", monObj("product", monVal("name", "PowerMTA"), monVal("version", m.cfg.Version), monVal("buildDate", "2021-09-01 12:00:00")),
			monObj("os", monVal("name", "Linux")), monVal("fullHostName", "mta-1.mailer-north.example"), monVal("userString", "")),
		monObj("status", status...),
	}
}

type monitorRow struct {
	name string
	monitorFlow
	conns   int64
	domains map[string]bool
}

// monTop sorts rows by recipients and cuts the list.
func monTop(rows []monitorRow, limit int) []monitorRow {
	slices.SortFunc(rows, func(a, b monitorRow) int { return cmp.Or(cmp.Compare(b.rcp, a.rcp), cmp.Compare(a.name, b.name)) })
	return rows[:min(limit, len(rows))]
}

func rowFields(r monitorRow) monitorObject {
	return monitorObject{monVal("name", r.name), monVal("rcp", r.rcp), monVal("kb", kilobytes(r.bytes)), monVal("conn", r.conns)}
}

func (m *Monitor) queuesPage(limit int, mode string) monitorObject {
	var rows []monitorRow
	var all, number int64
	for name, q := range m.queues {
		all += q.rcp
		if q.rcp > 0 {
			number++
		}
		s := m.states.State(name)
		if q.rcp > 0 && (mode == "" || (mode == "backoff") == s.Backoff) {
			rows = append(rows, monitorRow{name: name, monitorFlow: q.monitorFlow, conns: m.connections(q)})
		}
	}
	var items []monitorObject
	for _, r := range monTop(rows, limit) {
		q := m.queues[r.name]
		o := rowFields(r)
		if m.modern() {
			o = append(o, monList("errors", "error", m.errors(q)))
		} else {
			o = append(append(o, m.events(q)...), m.state(r.name, q)...)
		}
		items = append(items, o)
	}
	return monitorObject{monVal("title", fmt.Sprintf("Top %d queues by number of recipients", limit)), monList("queues", "queue", items),
		monVal("totalRcp", all), monVal("totalQueuesWithRcp", number)}
}

// errors are those of 5.0: an array of time and text.
func (m *Monitor) errors(q *monitorQueue) []monitorObject {
	items := []monitorObject{}
	for _, e := range q.errors {
		items = append(items, monitorObject{monVal("time", e.at.Format(monitorTime)), monVal("text", e.text)})
	}
	return items
}

// events are those of older versions: repeated elements with a type.
func (m *Monitor) events(q *monitorQueue) monitorObject {
	var items []monitorObject
	for _, e := range q.errors {
		items = append(items, monitorObject{monVal("type", "error"), monVal("time", e.at.Format(monitorTime)), monVal("text", e.text)})
	}
	return monitorObject{monList("event", "event", items)}
}

func (m *Monitor) state(name string, q *monitorQueue) monitorObject {
	mode := "normal"
	if m.states.State(name).Backoff {
		mode = "backoff"
	}
	o := monitorObject{monVal("paused", "no"), monVal("mode", mode)}
	if m.modern() {
		o[0] = monVal("paused", false)
	}
	if !q.retry.IsZero() {
		o = append(o, monVal("retryTime", q.retry.Format(monitorTime)))
	}
	return o
}

func (m *Monitor) detail(name string, q *monitorQueue) monitorObject {
	o := append(rowFields(monitorRow{name: name, monitorFlow: q.monitorFlow, conns: m.connections(q)}), m.state(name, q)...)
	s := m.states.State(name)
	if s.Backoff {
		if m.modern() {
			o = append(o, monObj("backoffReason", monVal("pattern", "/^4\\d\\d /"), monVal("response", s.Reason)))
		} else {
			o = append(o, monVal("backoffReason", `/^4\d\d / "`+s.Reason+`"`))
		}
	}
	if len(q.disabled) > 0 {
		var items []monitorObject
		for _, d := range q.disabled {
			items = append(items, monitorObject{monVal("ip", d.IP), monVal("time", d.Since.Format(monitorTime)), monVal("reason", d.Reason)})
		}
		o = append(o, monList("disabledSources", "disabledSource", items))
	}
	var modes, rcpts []monitorObject
	for _, e := range q.modes {
		modes = append(modes, monitorObject{monVal("type", "mode"), monVal("time", e.at.Format(monitorTime)), monVal("mode", e.mode), monVal("text", e.text)})
	}
	for _, e := range q.rcpts {
		rcpts = append(rcpts, monitorObject{monVal("type", "rcpt"), monVal("time", e.at.Format(monitorTime)), monVal("text", e.text)})
	}
	if m.modern() {
		return append(o, monList("errors", "error", m.errors(q)), monList("modeEvents", "modeEvent", modes), monList("rcptEvents", "rcptEvent", rcpts))
	}
	return append(append(o, m.events(q)...), monList("event", "event", modes), monList("event", "event", rcpts))
}

// sumPage sums queues by what key makes of them.
func (m *Monitor) sumPage(many, one string, limit int, key func(string, *monitorQueue) string) monitorObject {
	sums := map[string]*monitorRow{}
	var all int64
	for name, q := range m.queues {
		k := key(name, q)
		r := sums[k]
		if r == nil {
			r = &monitorRow{name: k, domains: map[string]bool{}}
			sums[k] = r
		}
		r.rcp += q.rcp
		r.bytes += q.bytes
		r.conns += m.connections(q)
		all += q.rcp
		if q.rcp > 0 {
			domain, _, _ := strings.Cut(name, "/")
			r.domains[domain] = true
		}
	}
	var rows []monitorRow
	for _, r := range sums {
		if r.rcp > 0 {
			rows = append(rows, *r)
		}
	}
	number := int64(len(rows))
	var items []monitorObject
	for _, r := range monTop(rows, limit) {
		o := rowFields(r)
		switch {
		case one == "vmta":
			o = append(o, monVal("pctOfTotal", r.rcp*100/max(all, 1)), monVal("dom", int64(len(r.domains))))
		case m.modern():
			o = append(o, monList("errors", "error", []monitorObject{}))
		}
		items = append(items, o)
	}
	title := strings.ToUpper(one[:1]) + one[1:]
	return monitorObject{monVal("title", title+"s"), monList(many, one, items), monVal("totalRcp", all), monVal("total"+title+"sWithRcp", number)}
}

func (m *Monitor) jobsPage(limit int) monitorObject {
	var rows []monitorRow
	var all int64
	for _, name := range slices.Sorted(maps.Keys(m.jobs)) {
		rows = append(rows, monitorRow{name: name, monitorFlow: *m.jobs[name]})
		all += m.jobs[name].rcp
	}
	number := int64(len(rows))
	var items []monitorObject
	for _, r := range monTop(rows, limit) {
		items = append(items, rowFields(r))
	}
	return monitorObject{monVal("title", "Jobs"), monList("jobs", "job", items), monVal("totalRcp", all), monVal("totalJobsWithRcp", number)}
}
