package powermtawebhook

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadata"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadatatest"
)

const (
	header = "type,timeLogged,orig,rcpt,dsnDiag,vmta\n"
	rowD   = "d,2026-01-31 10:00:00+0000,s@example.com,r@Example.NET,smtp;250 2.0.0 ok,vmta1\n"
	rowB   = "b,2026-01-31 10:00:01+0000,s@example.com,x@example.net,smtp;550 5.1.1 no such user,vmta1\n"
	rowBad = "b,2026-01-31 10:00:02+0000,too,few\n"
)

// pipeline is a consumer whose answers a test decides.
type pipeline struct {
	answer func(ctx context.Context, attempt int, ld plog.Logs) error
	mu     sync.Mutex // guards everything below
	calls  int
	got    []plog.Logs
}

func (p *pipeline) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (p *pipeline) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	p.mu.Lock()
	p.calls++
	n := p.calls
	p.mu.Unlock()
	if p.answer != nil {
		if err := p.answer(ctx, n, ld); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, ld)
	return nil
}

func (p *pipeline) records() (out []plog.LogRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ld := range p.got {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					out = append(out, lr)
				}
			}
		}
	}
	return out
}

func (p *pipeline) values(key string) (out []string) {
	for _, lr := range p.records() {
		out = append(out, str(lr, key))
	}
	return out
}

func str(lr plog.LogRecord, key string) string {
	v, _ := lr.Attributes().Get(key)
	return v.AsString()
}

// rig is a receiver and what is around it.
type rig struct {
	t    testing.TB
	cfg  *Config
	p    *pipeline
	tel  *componenttest.Telemetry
	logs *observer.ObservedLogs
	host component.Host
	rcv  *webhookReceiver
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, cfg: createDefaultConfig().(*Config), p: &pipeline{}, tel: componenttest.NewTelemetry(), host: componenttest.NewNopHost()}
	r.cfg.HTTP.NetAddr.Endpoint = "localhost:0"
	r.cfg.Quarantine.Path = filepath.Join(t.TempDir(), "q", "quarantine.jsonl")
	t.Cleanup(func() { _ = r.tel.Shutdown(context.Background()) })
	return r
}

// start runs the receiver until the test ends.
func (r *rig) start() *rig {
	r.t.Helper()
	require.NoError(r.t, r.cfg.Validate())
	set := receiver.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: r.tel.NewTelemetrySettings(), BuildInfo: component.BuildInfo{Version: "test"}}
	core, logs := observer.New(zap.InfoLevel)
	set.Logger, r.logs = zap.New(core), logs
	rcv, err := NewFactory().CreateLogs(context.Background(), set, r.cfg, r.p)
	require.NoError(r.t, err)
	r.rcv = rcv.(*webhookReceiver)
	require.NoError(r.t, rcv.Start(context.Background(), r.host))
	r.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := rcv.Shutdown(ctx); err != nil {
			r.t.Errorf("shutdown: %v", err)
		}
	})
	return r
}

func (r *rig) url() string { return "http://" + r.rcv.address.String() + r.cfg.Path }

// response is what a sender gets.
type response struct {
	code     int
	header   http.Header
	close    bool // as the server says
	Error    string
	Accepted *int
	Rejected int
	Refused  int
	Replay   bool
}

func (r *rig) do(req *http.Request, client *http.Client) response {
	r.t.Helper()
	resp, err := client.Do(req)
	require.NoError(r.t, err)
	return r.read(resp)
}

func (r *rig) read(resp *http.Response) response {
	r.t.Helper()
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	out := response{code: resp.StatusCode, header: resp.Header, close: resp.Close}
	require.NoError(r.t, json.Unmarshal(data, &out), "%s", data)
	require.Equal(r.t, "application/json", resp.Header.Get("Content-Type"))
	return out
}

// post sends a body with header lines given as name, value, ...
func (r *rig) post(body string, headers ...string) response {
	r.t.Helper()
	return r.do(r.request(http.MethodPost, r.url(), body, headers...), http.DefaultClient)
}

func (r *rig) request(method, url, body string, headers ...string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	require.NoError(r.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

func (r *rig) accepted(resp response, n int) {
	r.t.Helper()
	require.Equal(r.t, http.StatusOK, resp.code, resp.Error)
	require.Equal(r.t, n, *resp.Accepted)
}

func (r *rig) quarantined() []quarantine.Entry { return r.entries(r.cfg.Quarantine.Path) }

func (r *rig) refusals() []quarantine.Entry { return r.entries(r.cfg.Quarantine.RefusedPath()) }

func (r *rig) entries(path string) (out []quarantine.Entry) {
	r.t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(r.t, err)
	defer func() { _ = f.Close() }()
	require.NoError(r.t, quarantine.Read(f, func(e quarantine.Entry) error { out = append(out, e); return nil },
		func(n int, err error) { r.t.Fatalf("line %d: %v", n, err) }))
	return out
}

func (r *rig) requests(byCode map[int]int64) {
	r.t.Helper()
	var dp []metricdata.DataPoint[int64]
	for code, n := range byCode {
		dp = append(dp, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.Int("http.response.status_code", code))})
	}
	metadatatest.AssertEqualPmtaWebhookRequests(r.t.(*testing.T), r.tel, dp, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func (r *rig) rejected(byReason map[string]int64) {
	r.t.Helper()
	var dp []metricdata.DataPoint[int64]
	for reason, n := range byReason {
		dp = append(dp, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("reason", reason))})
	}
	metadatatest.AssertEqualPmtaWebhookRejected(r.t.(*testing.T), r.tel, dp, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func packed(t testing.TB, s string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.String()
}

func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 20*time.Second, time.Millisecond, what)
}

// nopListener never has a connection.
type nopListener struct{}

func (nopListener) Accept() (net.Conn, error) { return nil, http.ErrServerClosed }
func (nopListener) Close() error              { return nil }
func (nopListener) Addr() net.Addr            { return &net.TCPAddr{} }
