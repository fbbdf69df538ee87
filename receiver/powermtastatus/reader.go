package powermtastatus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/storageclient"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus/internal/metadata"
)

// storageKey is where the memory is kept.
const storageKey = "state"

// reader reads the monitor for the metrics and the logs pipeline of one
// configuration: the first that asks after a collection interval makes it read,
// the other gets the same.
type reader struct {
	cfg *Config
	set receiver.Settings
	log *zap.Logger

	users                   int  // guarded by shared.mu
	wantMetrics, wantEvents bool // set before start

	zone      *time.Location // as configured; nil = find out
	resource  map[string]string
	telemetry *metadata.TelemetryBuilder
	mb        *metadata.MetricsBuilder
	clock     func() time.Time

	run    context.Context // ends with the first Shutdown
	cancel context.CancelFunc

	mu      sync.Mutex // guards everything declared below
	started bool
	client  *webmon.Client
	store   storage.Client
	tops    map[webmon.Kind]*webmon.Top

	generation              int64 // counts readings
	metricsSeen, eventsSeen int64 // the last one that each pipeline got
	last                    reading
	trouble                 map[string]string // page to the kind of trouble that was reported
	truncated               map[webmon.Kind]bool

	memory  memory
	tracker *webmon.Tracker
	overran int64 // of tracker.Overflow, counted

	refused *quarantine.File // nil until it can be written

	pending []event
	seq     int64 // of the newest event
	offered int64 // of the newest event in the batch that the pipeline has
	dirty   bool  // memory or tracker differ from what is stored
}

// memory is what is known of the monitor from earlier readings, besides queues.
type memory struct {
	// Known says that the monitor was asked before.
	Known bool `json:"known"`
	Down  bool `json:"down,omitempty"`
	// StartedText is PowerMTA's start as written, so that another zone is no restart.
	StartedText string `json:"started_text,omitempty"`
	// CountersSince is when the counters began, if that is not the start.
	CountersSince time.Time       `json:"counters_since"`
	Counters      []int64         `json:"counters,omitempty"`
	LastRead      time.Time       `json:"last_read"`
	Queues        json.RawMessage `json:"queues,omitempty"` // of the tracker, when stored
}

// reading is what the monitor said at one time.
type reading struct {
	at     time.Time      // by this host's clock
	status *webmon.Status // nil if the monitor did not answer
	lists  map[webmon.Kind]*listed
	paused int64     // -1 if lists do not say
	since  time.Time // of the counters
	// backoff and disabledIPs are -1 if not known.
	backoff, disabledIPs int64
}

// listed is a list by name, as far as it is shown.
type listed struct {
	named []webmon.Row
	rest  webmon.Row
	count int64
}

func newReader(set receiver.Settings, cfg *Config) (*reader, error) {
	r := &reader{
		cfg: cfg, set: set, log: set.Logger, clock: time.Now,
		resource: acctlogs.Resource(cfg.Instance, cfg.Resource),
		mb:       metadata.NewMetricsBuilder(cfg.MetricsBuilderConfig, set),
		tops: map[webmon.Kind]*webmon.Top{webmon.Queues: {N: cfg.TopN.Queues}, webmon.Domains: {N: cfg.TopN.Domains},
			webmon.VMTAs: {N: cfg.TopN.VMTAs}, webmon.Jobs: {N: cfg.TopN.Jobs}},
		trouble: map[string]string{}, truncated: map[webmon.Kind]bool{}, tracker: webmon.NewTracker(),
	}
	r.run, r.cancel = context.WithCancel(context.Background())
	if cfg.Timezone != "" {
		loc, err := time.LoadLocation(cfg.Timezone)
		if err != nil {
			return nil, fmt.Errorf("timezone: %w", err)
		}
		r.zone = loc
	}
	var err error
	r.telemetry, err = metadata.NewTelemetryBuilder(set.TelemetrySettings)
	return r, err
}

// start makes the client and reads the memory, once.
func (r *reader) start(ctx context.Context, host component.Host) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return nil
	}
	hc, err := r.cfg.ClientConfig.ToClient(ctx, host.GetExtensions(), r.set.TelemetrySettings)
	if err != nil {
		return err
	}
	r.client, err = webmon.NewClient(webmon.ClientOptions{
		URL: r.cfg.ClientConfig.Endpoint, HTTP: hc, APIKey: string(r.cfg.APIKey), MaxBody: int64(r.cfg.MaxResponseSize)})
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if err := r.openRefused(); err != nil {
		return err
	}
	if err := r.openStore(ctx, host); err != nil {
		return err
	}
	r.started = true
	return nil
}

// openRefused opens the file for events that the pipeline refuses for good.
func (r *reader) openRefused() (err error) {
	if !r.wantEvents {
		return nil
	}
	if r.refused, err = r.cfg.Quarantine.OpenRefused(); err != nil && r.cfg.Quarantine.Path == acctlogs.DefaultQuarantine().Path {
		// Nobody asked for that folder; a monitor that is watched is worth more.
		r.log.Warn("events that the pipeline refuses for good could not be kept; set quarantine::path", zap.Error(err))
		return nil
	}
	return err
}

func (r *reader) openStore(ctx context.Context, host component.Host) error {
	if r.cfg.Storage == nil {
		return nil
	}
	var err error
	if r.store, err = storageclient.Open(ctx, host, r.cfg.Storage, component.KindReceiver, r.set.ID); err != nil {
		return err
	}
	b, err := r.store.Get(ctx, storageKey)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if len(b) == 0 {
		return nil
	}
	var m memory
	if err = json.Unmarshal(b, &m); err == nil {
		err = r.tracker.Restore(m.Queues)
	}
	if err != nil {
		r.log.Warn("the stored state of queues is of no use; queues in backoff are reported as if seen first", zap.Error(err))
		return nil
	}
	m.Queues = nil
	r.memory = m
	return nil
}

// save stores the memory once the pipeline has accepted every event that led
// to it.
func (r *reader) save(ctx context.Context) {
	if r.store == nil || !r.dirty || len(r.pending) > 0 {
		return
	}
	m := r.memory
	m.Queues = r.tracker.Save()
	b, err := json.Marshal(m)
	if err == nil {
		err = r.store.Set(ctx, storageKey, b)
	}
	if err != nil {
		r.log.Error("the state of queues cannot be saved; after a restart queues in backoff are reported again, with the same log.record.uid if the monitor dates them", zap.Error(err))
		return
	}
	r.dirty = false
}

// close is the end of the last user.
func (r *reader) close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.telemetry.Shutdown()
	if r.client != nil {
		r.client.CloseIdleConnections()
	}
	if r.refused != nil {
		_ = r.refused.Close() // each Write has ended with the system having it
	}
	if len(r.pending) > 0 {
		r.log.Warn("events were not accepted before the end", zap.Int("events", len(r.pending)))
	}
	if r.store != nil {
		r.save(ctx)
		return r.store.Close(ctx)
	}
	return nil
}

// stopped returns a context that ends with ctx or with the reader.
func (r *reader) stopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.run, cancel)
	return ctx, func() { stop(); cancel() }
}

// fresh makes sure that there is a reading that a pipeline has not got yet and
// that is not old.
func (r *reader) fresh(ctx context.Context, seen *int64) {
	if *seen == r.generation || r.clock().Sub(r.last.at) >= r.cfg.CollectionInterval {
		ctx, cancel := r.stopped(ctx)
		defer cancel()
		ctx, done := context.WithTimeout(ctx, max(r.cfg.CollectionInterval, r.cfg.ClientConfig.Timeout))
		defer done()
		r.read(ctx)
	}
	*seen = r.generation
}

// read asks for all pages.
func (r *reader) read(ctx context.Context) {
	at := r.clock()
	s, err := r.client.Status(ctx, webmon.ParseOptions{Location: time.UTC})
	if err != nil {
		if r.run.Err() != nil {
			return // the agent ends
		}
		r.generation++
		r.last = reading{at: at}
		r.failed("status", err)
		r.down(at, err)
		return
	}
	r.generation++
	r.ok("status")
	opt := webmon.ParseOptions{Location: r.location(s, at)}
	s.SetZone(opt)
	r.up(s, at)
	n := reading{at: at, status: s, lists: map[webmon.Kind]*listed{}, since: r.memory.CountersSince, paused: -1, backoff: -1, disabledIPs: -1}
	r.queues(ctx, &n, opt)
	for _, k := range []webmon.Kind{webmon.Domains, webmon.VMTAs, webmon.Jobs} {
		if r.wantMetrics && r.tops[k].N > 0 {
			r.list(ctx, &n, k, opt)
		}
	}
	r.last = n
	r.memory.LastRead = at
	r.dirty = true
}

// location is the zone of the monitor's times.
func (r *reader) location(s *webmon.Status, at time.Time) *time.Location {
	if r.zone != nil {
		return r.zone
	}
	loc, ok := webmon.Zone(s.NowText, at, time.Local)
	if !ok {
		if r.trouble["clock"] == "" {
			r.trouble["clock"] = "reported"
			r.log.Warn("the monitor's clock does not fit this host's in any zone, so its times may be wrong; set both by NTP, or set timezone",
				zap.String("monitor", s.NowText), zap.Time("here", at))
		}
		return time.Local
	}
	delete(r.trouble, "clock")
	return loc
}

// list reads a page for its metrics.
func (r *reader) list(ctx context.Context, n *reading, k webmon.Kind, opt webmon.ParseOptions) *webmon.List {
	l, err := r.client.List(ctx, k, r.cfg.MaxItems, "", opt)
	if err != nil {
		r.failed(string(k), err)
		return nil
	}
	r.ok(string(k))
	if !l.Complete(r.cfg.MaxItems) && len(l.Rows) < r.cfg.MaxItems && !r.truncated[k] {
		r.truncated[k] = true
		r.log.Warn("the monitor lists fewer "+string(k)+" than were asked for; the others are in the sum only, and changes of theirs may be missed. "+
			"Set http-default-max-items in PowerMTA's configuration", zap.Int("listed", len(l.Rows)), zap.Int64("there", l.TotalRows.V), zap.Int("asked", r.cfg.MaxItems))
	}
	shown := &listed{count: l.TotalRows.V}
	if !l.TotalRows.OK {
		shown.count = int64(len(l.Rows))
	}
	shown.named, shown.rest = r.tops[k].Pick(l)
	n.lists[k] = shown
	return l
}

// queues reads the list of queues and the details that the tracker wants.
func (r *reader) queues(ctx context.Context, n *reading, opt webmon.ParseOptions) {
	l := r.list(ctx, n, webmon.Queues, opt)
	if l == nil {
		return
	}
	rows, modes := l.Rows, true
	have := make(map[string]bool, len(rows))
	for i := range rows {
		have[rows[i].Name] = true
		modes = modes && rows[i].Mode != ""
		if p := rows[i].Paused; p.OK {
			n.paused = max(n.paused, 0)
			if p.V {
				n.paused++
			}
		}
	}
	complete := l.Complete(r.cfg.MaxItems)
	// The list may end before a queue in backoff, or not say the mode. A
	// monitor that knows the parameter gives those in backoff.
	var hints map[string]bool
	if !complete || !modes {
		if b, err := r.client.List(ctx, webmon.Queues, r.cfg.MaxItems, webmon.ModeBackoff, opt); err != nil {
			r.failed("queues", err)
		} else {
			shorter := len(b.Rows) < len(rows)
			for _, row := range b.Rows {
				if !have[row.Name] {
					rows = append(rows, row)
				}
				if shorter && row.Mode == "" {
					if hints == nil {
						hints = map[string]bool{}
					}
					hints[row.Name] = true
				}
			}
		}
	}
	o := webmon.Observation{Now: r.now(n), Rows: rows, Details: map[string]*webmon.QueueDetail{}, Failed: map[string]bool{}}
	// With details a queue that is not listed is asked for.
	o.Complete = complete && modes && r.cfg.Details.MaxQueues == 0
	for _, name := range r.tracker.Wanted(rows, hints, r.cfg.Details.MaxQueues) {
		d, err := r.client.QueueDetail(ctx, name, opt)
		if err == nil {
			r.ok("queueDetail")
			o.Details[name] = d
			continue
		}
		var refused *webmon.FailError
		var status *webmon.StatusError
		switch {
		case errors.As(err, &refused) || errors.As(err, &status) && status.Code == 404:
			o.Failed[name] = true // there is no such queue any more
			continue
		case errors.Is(err, webmon.ErrPage):
			o.Failed[name] = true
		}
		r.failed("queueDetail", err)
		if ctx.Err() != nil || webmon.Reason(err) == "denied" {
			break
		}
	}
	changes := r.tracker.Observe(o)
	if over := r.tracker.Overflow(); over > r.overran {
		r.telemetry.PmtaStatusEventsDropped.Add(ctx, over-r.overran)
		r.overran = over
	}
	for i := range changes {
		r.changed(&changes[i], n.at)
	}
	if modes || r.cfg.Details.MaxQueues > 0 {
		q, ips := r.tracker.Backoff()
		n.backoff, n.disabledIPs = int64(q), int64(ips)
	}
}

// now is the time of a reading by the monitor's clock.
func (r *reader) now(n *reading) time.Time {
	if n.status.Now.IsZero() {
		return n.at
	}
	return n.status.Now
}

// up notes that the monitor answers, and what its counters say of the past.
func (r *reader) up(s *webmon.Status, at time.Time) {
	m := &r.memory
	if m.Known && m.Down {
		r.add(event{name: semconv.EventMonitorReachable, at: at, body: "The web monitor of PowerMTA answers again"})
		r.log.Info("the web monitor answers again")
	}
	began := s.Started
	if began.IsZero() || began.After(at) {
		began = at
	}
	counters := counters(s)
	restart := m.StartedText != "" && s.StartedText != "" && s.StartedText != m.StartedText
	switch {
	case restart:
		r.add(event{name: semconv.EventMTAStart, at: began, known: !s.Started.IsZero(), version: s.Version,
			body: fmt.Sprintf("PowerMTA %s was started at %s", s.Version, s.StartedText)})
		m.CountersSince = began
	case m.CountersSince.IsZero():
		m.CountersSince = began
	case fell(m.Counters, counters):
		r.add(event{name: semconv.EventCountersReset, at: at, body: "The counters of PowerMTA were reset (pmta reset counters)"})
		// They began at zero some time after the last reading.
		m.CountersSince = m.LastRead
	}
	m.Known, m.Down, m.Counters = true, false, counters
	if s.StartedText != "" {
		m.StartedText = s.StartedText
	}
}

// counters are those that only grow, in a fixed order.
func counters(s *webmon.Status) []int64 {
	t := &s.Total
	return []int64{t.In.Recipients.V, t.In.Messages.V, t.In.Bytes.V, t.Out.Recipients.V, t.Out.Messages.V, t.Out.Bytes.V,
		t.BounceProcessed.V, t.FeedbackLoopProcessed.V}
}

func fell(before, now []int64) bool {
	if len(before) != len(now) {
		return false
	}
	for i := range now {
		if now[i] < before[i] {
			return true
		}
	}
	return false
}

// down notes that the monitor does not tell the status.
func (r *reader) down(at time.Time, err error) {
	m := &r.memory
	if !m.Known || !m.Down {
		r.add(event{name: semconv.EventMonitorUnreachable, at: at, reason: err.Error(), kind: webmon.Reason(err), initial: !m.Known,
			body: "The web monitor of PowerMTA does not tell its status: " + err.Error()})
	}
	m.Known, m.Down = true, true
	r.dirty = true
}

// failed counts a page that could not be read, and reports it once.
func (r *reader) failed(page string, err error) {
	reason := webmon.Reason(err)
	r.telemetry.PmtaStatusErrors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("page", page), attribute.String("reason", reason)))
	if r.trouble[page] == reason {
		return
	}
	r.trouble[page] = reason
	log := r.log.Warn
	if page == "status" {
		log = r.log.Error
	}
	log("cannot read the web monitor; "+r.advice(reason), zap.String("page", page), zap.String("endpoint", r.cfg.ClientConfig.Endpoint), zap.Error(err))
}

func (r *reader) ok(page string) {
	if r.trouble[page] != "" && page != "status" {
		r.log.Info("the web monitor answers again", zap.String("page", page))
	}
	delete(r.trouble, page)
}

// advice is the way out of a kind of trouble.
func (r *reader) advice(reason string) string {
	switch reason {
	case "certificate":
		return "PowerMTA makes its own certificate: set tls::ca_file to a copy of /var/lib/pmta/webmon.pem, or tls::insecure_skip_verify: true"
	case "denied":
		return "let this host in with http-access ADDRESS monitor in PowerMTA's configuration (127.0.0.1 if the agent runs there), then pmta reload"
	case "redirect":
		return "set endpoint to where it redirects if that is right"
	case "html":
		return "set endpoint to the address without /ui, and let this host in with http-access ADDRESS monitor"
	case "too_large":
		return "raise max_response_size or lower max_items"
	case "timeout":
		return "raise timeout, or lower max_items and details::max_queues"
	case "unreachable":
		return "check that the service pmtahttp runs and http-mgmt-port is the port in endpoint"
	}
	return "check that endpoint is PowerMTA's web monitor"
}
