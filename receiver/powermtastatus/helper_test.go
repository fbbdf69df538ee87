package powermtastatus

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus/internal/metadata"
)

// testReader is a reader with its own clock, without a Collector around it.
type testReader struct {
	*reader
	t    *testing.T
	now  time.Time
	logs *observer.ObservedLogs
	tel  *componenttest.Telemetry
}

func settings(t *testing.T) (receiver.Settings, *observer.ObservedLogs, *componenttest.Telemetry) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	set.BuildInfo.Version = "test"
	return set, logs, tel
}

func newTestReader(t *testing.T, endpoint string, change func(*Config)) *testReader {
	t.Helper()
	return newTestReaderOn(t, endpoint, nil, change)
}

func newTestReaderOn(t *testing.T, endpoint string, host component.Host, change func(*Config)) *testReader {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.ClientConfig.Endpoint, cfg.Timezone, cfg.Instance = endpoint, "UTC", "mta1"
	cfg.Quarantine.Path = filepath.Join(t.TempDir(), "quarantine.jsonl")
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	set, logs, tel := settings(t)
	r, err := newReader(set, cfg)
	require.NoError(t, err)
	r.wantMetrics, r.wantEvents = true, true
	tr := &testReader{reader: r, t: t, now: time.Date(2026, 1, 31, 11, 0, 1, 0, time.UTC), logs: logs, tel: tel}
	r.clock = func() time.Time { return tr.now }
	if host == nil {
		host = componenttest.NewNopHost()
	}
	require.NoError(t, r.start(t.Context(), host))
	t.Cleanup(func() {
		r.cancel()
		require.NoError(t, r.close(context.Background()))
	})
	return tr
}

// collect makes one collection after another interval.
func (r *testReader) collect() (metrics []string, events []string) {
	r.t.Helper()
	md, err := r.scrapeMetrics(r.t.Context())
	require.NoError(r.t, err)
	ld := r.take()
	r.now = r.now.Add(r.cfg.CollectionInterval)
	return metricLines(md), eventLines(ld)
}

// take accepts the events.
func (r *testReader) take() plog.Logs {
	r.t.Helper()
	ld, err := r.scrapeLogs(r.t.Context())
	require.NoError(r.t, err)
	kept := plog.NewLogs()
	require.NoError(r.t, r.deliver(consumeLogs(func(_ context.Context, l plog.Logs) error {
		l.CopyTo(kept)
		return nil
	}))(r.t.Context(), ld))
	return kept
}

type consumeLogs func(context.Context, plog.Logs) error

func (f consumeLogs) ConsumeLogs(ctx context.Context, ld plog.Logs) error { return f(ctx, ld) }
func (consumeLogs) Capabilities() (c consumer.Capabilities)               { return c }

// metricLines writes metrics as name{attributes} value lines, each with its
// start if it is a sum.
func metricLines(md pmetric.Metrics) (lines []string) {
	for _, rm := range md.ResourceMetrics().All() {
		lines = append(lines, "resource "+attributes(rm.Resource().Attributes()))
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				var points pmetric.NumberDataPointSlice
				kind := "gauge"
				if m.Type() == pmetric.MetricTypeSum {
					kind, points = "sum", m.Sum().DataPoints()
					if !m.Sum().IsMonotonic() || m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
						kind = "other sum"
					}
				} else {
					points = m.Gauge().DataPoints()
				}
				for _, p := range points.All() {
					value := fmt.Sprint(p.IntValue())
					if p.ValueType() == pmetric.NumberDataPointValueTypeDouble {
						value = fmt.Sprint(p.DoubleValue())
					}
					line := fmt.Sprintf("%s%s %s %s %s", m.Name(), attributes(p.Attributes()), value, m.Unit(), kind)
					if kind == "sum" {
						line += " since " + p.StartTimestamp().AsTime().Format(time.RFC3339)
					}
					lines = append(lines, line)
				}
			}
		}
	}
	return lines
}

func attributes(m pcommon.Map) string {
	if m.Len() == 0 {
		return ""
	}
	raw := m.AsRaw()
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, raw[k]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// eventLines writes events as time, severity, name and attributes.
func eventLines(ld plog.Logs) (lines []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				lines = append(lines, fmt.Sprintf("%s %s %s %q %s", lr.Timestamp().AsTime().Format("2006-01-02 15:04:05"), lr.SeverityText(), lr.EventName(),
					lr.Body().Str(), attributes(lr.Attributes())))
			}
		}
	}
	return lines
}

// value returns the value of a metric line, or "none".
func value(lines []string, name string) string {
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, name+" "); ok {
			return rest[:strings.IndexByte(rest, ' ')]
		}
	}
	return "none"
}

// pages is a monitor whose pages a test sets: path, or path?mode=backoff, or
// path?queue=NAME, to body.
type pages struct {
	mu       sync.Mutex
	body     map[string]string
	requests []string
	wait     chan struct{} // if set, every request waits for it
}

func newPages(t *testing.T) (*pages, string) {
	t.Helper()
	p := &pages{body: map[string]string{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return p, s.URL
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	name := strings.TrimPrefix(r.URL.Path, "/")
	if m := q.Get("mode"); m != "" {
		name += "?mode=" + m
	}
	if n := q.Get("queue"); n != "" {
		name += "?queue=" + n
	}
	p.mu.Lock()
	p.requests = append(p.requests, name)
	body, ok := p.body[name]
	wait := p.wait
	p.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
			return
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(body))
}

func (p *pages) set(name, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body[name] = body
}

func (p *pages) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.requests
	p.requests = nil
	return r
}

// status is a /status page.
func (p *pages) status(now, started string, out int64) {
	p.set("status", fmt.Sprintf(`{"data":{"mta":{"product":{"version":"5.0r8"}},"status":{"timeNow":"2026-01-31 %s","startupTime":"2026-01-31 %s",
		"traffic":{"total":{"in":{"rcp":%d},"out":{"rcp":%d}}}}},"status":"success"}`, now, started, out, out))
}

// queues is a /queues page with modes: "a/1", "backoff", "b/1", "normal".
func (p *pages) queues(nameAndMode ...string) {
	var rows []string
	for i := 0; i < len(nameAndMode); i += 2 {
		rows = append(rows, fmt.Sprintf(`{"name":%q,"rcp":1,"kb":1,"conn":1,"mode":%q}`, nameAndMode[i], nameAndMode[i+1]))
	}
	p.set("queues", fmt.Sprintf(`{"data":{"queues":[%s],"totalQueuesWithRcp":%d},"status":"success"}`, strings.Join(rows, ","), len(rows)))
}

// memoryStore is a storage extension that keeps things in memory.
type memoryStore struct {
	component.StartFunc
	component.ShutdownFunc
	mu   sync.Mutex
	data map[string][]byte
}

func (m *memoryStore) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memoryStore) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[key], nil
}

func (m *memoryStore) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[key] = slices.Clone(value)
	return nil
}

func (m *memoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, key)
	return nil
}

func (m *memoryStore) Batch(context.Context, ...*storage.Operation) error { return nil }
func (m *memoryStore) Close(context.Context) error                        { return nil }

// storeHost is a host with a store.
type storeHost struct {
	component.Host
	ext map[component.ID]component.Component
}

func (h storeHost) GetExtensions() map[component.ID]component.Component { return h.ext }

func newStoreHost() (storeHost, component.ID) {
	id := component.MustNewID("file_storage")
	return storeHost{componenttest.NewNopHost(), map[component.ID]component.Component{id: &memoryStore{data: map[string][]byte{}}}}, id
}

func newMetricsConsumer(c chan<- pmetric.Metrics) (consumer.Metrics, error) {
	return consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		c <- md
		return nil
	})
}

// hangingMetrics accepts nothing before its context ends.
type hangingMetrics struct {
	hang func(context.Context) error
}

func (h hangingMetrics) ConsumeMetrics(ctx context.Context, _ pmetric.Metrics) error {
	return h.hang(ctx)
}
func (hangingMetrics) Capabilities() (c consumer.Capabilities) { return c }
