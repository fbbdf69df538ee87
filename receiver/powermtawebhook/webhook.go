package powermtawebhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webhook"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadata"
)

const (
	// remembered is how many bodies are known that were dealt with.
	remembered = 1024
	// maxHeader bounds the header of a request.
	maxHeader = 64 << 10
	// grace is how long requests may go on at shutdown before their records
	// are taken back from the pipeline.
	grace = 5 * time.Second
	// flush is how long their answers may take after that.
	flush = 2 * time.Second
)

// webhookReceiver joins HTTP requests (bodies, answers) and the decoder (what
// the bodies mean) to the pipeline.
type webhookReceiver struct {
	cfg    *Config
	set    receiver.Settings
	log    *zap.Logger
	next   consumer.Logs
	opts   acct.Options
	common acctlogs.Options
	secret webhook.Secret

	obs       *receiverhelper.ObsReport
	telemetry *metadata.TelemetryBuilder
	typeAttrs [len(acctlogs.RecordTypes)]metric.MeasurementOption

	rejected *quarantine.File // input that is no record: bounded, the oldest goes
	refused  *quarantine.File // records that a destination refused: nothing goes
	slots    chan struct{}    // one for each request that has a body in memory
	// bodies knows what became of the latest bodies. An answer that did not
	// reach the sender must not make duplicates when it sends again.
	bodies *webhook.Once[xxh3.Uint128, outcome]
	seed   uint64 // of their hashes, so that nobody can prepare two alike

	// stopping ends when Shutdown begins: no body is read any more. serving
	// ends when what is in the pipeline has had its time.
	stopping, serving context.Context
	stop, abort       context.CancelFunc

	address  net.Addr // set by Start
	server   *http.Server
	finished sync.WaitGroup
}

func newReceiver(set receiver.Settings, cfg *Config, next consumer.Logs) (*webhookReceiver, error) {
	r := &webhookReceiver{cfg: cfg, set: set, log: set.Logger, next: next, secret: cfg.secret(),
		slots:  make(chan struct{}, cfg.MaxConcurrentRequests),
		bodies: webhook.NewOnce[xxh3.Uint128, outcome](remembered), seed: rand.Uint64()}
	r.stopping, r.stop = context.WithCancel(context.Background())
	r.serving, r.abort = context.WithCancel(context.Background())
	r.opts = acct.Options{MaxRecordSize: int(cfg.MaxRecordSize), Instance: cfg.Instance}
	if cfg.Timezone != "" {
		loc, err := time.LoadLocation(cfg.Timezone)
		if err != nil {
			return nil, fmt.Errorf("timezone: %w", err)
		}
		r.opts.Location = loc
	}
	r.common = acctlogs.Options{ScopeName: metadata.ScopeName, ScopeVersion: set.BuildInfo.Version,
		Resource: acctlogs.Resource(cfg.Instance, cfg.Resource)}
	if next.Capabilities().MutatesData {
		r.common.Spare = acctlogs.SpareAttributes()
	}
	transport := "http"
	if cfg.HTTP.TLS.HasValue() {
		transport = "https"
	}
	var err error
	if r.obs, err = receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: transport, ReceiverCreateSettings: set,
	}); err != nil {
		return nil, err
	}
	if r.telemetry, err = metadata.NewTelemetryBuilder(set.TelemetrySettings); err != nil {
		return nil, err
	}
	for i, t := range acctlogs.RecordTypes {
		r.typeAttrs[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String("pmta.record.type", t)))
	}
	return r, nil
}

// Start opens the quarantine and begins to listen.
func (r *webhookReceiver) Start(ctx context.Context, host component.Host) (err error) {
	if r.rejected, r.refused, err = r.cfg.Quarantine.Open(); err != nil {
		return err
	}
	listener, err := r.listen(ctx)
	if err != nil {
		return err
	}
	if err := r.serve(ctx, host, listener); err != nil {
		return errors.Join(err, listener.Close())
	}
	return nil
}

func (r *webhookReceiver) listen(ctx context.Context) (net.Listener, error) {
	var tlsConfig *tls.Config
	if r.cfg.HTTP.TLS.HasValue() {
		var err error
		if tlsConfig, err = r.cfg.HTTP.TLS.Get().LoadTLSConfig(ctx); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		// HTTP/1.1 is all that a webhook needs, and far less to attack.
		tlsConfig.NextProtos = []string{"http/1.1"}
	}
	listener, err := r.cfg.HTTP.NetAddr.Listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("endpoint: cannot listen on %s: %w; name a free port, or an address of this host", r.cfg.HTTP.NetAddr.Endpoint, err)
	}
	anyone := !r.cfg.Secret.HasValue() && !r.cfg.HTTP.Auth.HasValue() && (tlsConfig == nil || tlsConfig.ClientAuth != tls.RequireAndVerifyClientCert)
	if anyone && !loopback(listener.Addr()) {
		r.log.Warn("anyone who reaches this address can send records; set secret, or tls::client_ca_file",
			zap.Stringer("address", listener.Addr()))
	}
	listener = netutil.LimitListener(listener, r.cfg.MaxConnections)
	if tlsConfig != nil {
		listener = tls.NewListener(listener, tlsConfig)
	}
	return listener, nil
}

func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// serve answers requests from listener until Shutdown.
func (r *webhookReceiver) serve(ctx context.Context, host component.Host, listener net.Listener) error {
	server := r.cfg.HTTP
	server.MaxRequestBodySize = int64(r.cfg.MaxBodySize)
	server.CompressionAlgorithms = []string{} // bodies are unpacked here, with a bound
	// For the whole of a request; an answer itself is a few bytes.
	server.WriteTimeout = r.cfg.HTTP.ReadTimeout + r.cfg.AcceptTimeout + r.cfg.HTTP.WriteTimeout
	var err error
	if r.server, err = server.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, r, confighttp.WithErrorHandler(r.fail)); err != nil {
		return err
	}
	r.server.MaxHeaderBytes = maxHeader
	r.address = listener.Addr()
	r.log.Info("waiting for PowerMTA's accounting webhook", zap.Stringer("address", r.address), zap.String("path", r.cfg.Path))
	r.finished.Go(func() {
		if err := r.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// Shutdown answers what is on its way, with 503 where the pipeline does not
// take it in time, and stops to listen.
func (r *webhookReceiver) Shutdown(ctx context.Context) error {
	r.stop()
	var errs []error
	if r.server != nil {
		limit, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- r.server.Shutdown(limit) }()
		inTime := func(d time.Duration, also <-chan struct{}) bool {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case err := <-done:
				errs = append(errs, err)
				return true
			case <-t.C:
			case <-also:
			}
			return false
		}
		if !inTime(grace, ctx.Done()) {
			r.abort()
			if !inTime(flush, nil) {
				cancel()
				<-done
				errs = append(errs, r.server.Close())
			}
		}
		cancel()
		r.finished.Wait()
	}
	r.abort()
	r.telemetry.Shutdown()
	for _, f := range []*quarantine.File{r.rejected, r.refused} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// answer is what a sender gets.
type answer struct {
	status  int
	problem string
	outcome *outcome
	replay  bool
	close   bool // the connection is of no use any more
}

// ServeHTTP implements http.Handler.
func (r *webhookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.reply(w, req, r.handle(w, req))
}

// fail answers for confighttp, when its authentication refuses a request.
func (r *webhookReceiver) fail(w http.ResponseWriter, req *http.Request, problem string, status int) {
	r.reply(w, req, answer{status: status, problem: problem, close: true})
}

func (r *webhookReceiver) reply(w http.ResponseWriter, req *http.Request, a answer) {
	r.telemetry.PmtaWebhookRequests.Add(context.WithoutCancel(req.Context()), 1,
		metric.WithAttributes(attribute.Int("http.response.status_code", a.status)))
	h := w.Header()
	switch a.status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.cfg.RetryAfter.Seconds()))))
	case http.StatusUnauthorized:
		if c := r.secret.Challenge(); c != "" {
			h.Set("WWW-Authenticate", c)
		}
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusUnsupportedMediaType:
		h.Set("Accept-Encoding", "gzip")
	}
	if a.close {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	var body struct {
		Error    string `json:"error,omitempty"`
		Accepted *int64 `json:"accepted,omitempty"`
		Rejected int64  `json:"rejected,omitempty"`
		Refused  int64  `json:"refused,omitempty"`
		Replay   bool   `json:"replay,omitempty"`
	}
	body.Error, body.Replay = a.problem, a.replay
	if o := a.outcome; o != nil {
		body.Accepted, body.Rejected, body.Refused = &o.accepted, o.rejected, o.refused
	}
	_ = json.NewEncoder(w).Encode(body) // the sender may be gone: then it sends again
}

// handle does what a request asks for.
func (r *webhookReceiver) handle(w http.ResponseWriter, req *http.Request) answer {
	if req.URL.Path != r.cfg.Path {
		return answer{status: http.StatusNotFound, problem: "there is nothing at this path"}
	}
	if !r.secret.Known(req.Header) {
		r.log.Warn("a request without the right secret was refused", zap.String("from", client(req)))
		return answer{status: http.StatusUnauthorized, problem: "the secret is missing or wrong", close: true}
	}
	if req.Method != http.MethodPost {
		return answer{status: http.StatusMethodNotAllowed, problem: "use POST"}
	}
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(req.Header.Values("Content-Encoding"), ",")))
	switch encoding {
	case "", "identity", "gzip", "x-gzip":
	default:
		return answer{status: http.StatusUnsupportedMediaType, problem: "Content-Encoding has to be gzip or absent", close: true}
	}
	if req.ContentLength > int64(r.cfg.MaxBodySize) {
		return r.tooLarge(req)
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return answer{status: http.StatusServiceUnavailable, problem: "too many requests at a time (max_concurrent_requests)", close: true}
	}
	body, problem := r.read(w, req)
	if problem != nil {
		return *problem
	}
	return r.take(req, body)
}

const problemStopping = "the agent is shutting down"

// read returns the body as it was sent.
func (r *webhookReceiver) read(w http.ResponseWriter, req *http.Request) ([]byte, *answer) {
	if r.stopping.Err() != nil {
		return nil, &answer{status: http.StatusServiceUnavailable, problem: problemStopping, close: true}
	}
	// Whoever is slow must not hold up the shutdown.
	conn := http.NewResponseController(w)
	unwatch := context.AfterFunc(r.stopping, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer unwatch()
	body, err := webhook.ReadAll(req.Body, req.ContentLength, int(r.cfg.MaxBodySize))
	var over *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, webhook.ErrTooLarge) || errors.As(err, &over):
		a := r.tooLarge(req)
		return nil, &a
	case r.stopping.Err() != nil:
		return nil, &answer{status: http.StatusServiceUnavailable, problem: problemStopping, close: true}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &answer{status: http.StatusRequestTimeout, problem: "the body did not come within " + r.cfg.HTTP.ReadTimeout.String(), close: true}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &answer{status: http.StatusBadRequest, problem: "the body ended early", close: true}
	default:
		return nil, &answer{status: http.StatusBadRequest, problem: "the body cannot be read", close: true}
	}
}

func (r *webhookReceiver) tooLarge(req *http.Request) answer {
	// The sender will try again and again; only a person can help.
	r.log.Error("a body is larger than max_body_size; the sender keeps it. Set max_body_size above max-size of PowerMTA's <acct-file>",
		zap.String("from", client(req)), zap.Stringer("max_body_size", r.cfg.MaxBodySize))
	return answer{status: http.StatusRequestEntityTooLarge, problem: "the body is larger than max_body_size, " + r.cfg.MaxBodySize.String(), close: true}
}

// take delivers a body, unless that was done before.
func (r *webhookReceiver) take(req *http.Request, body []byte) answer {
	var damage error
	text := body
	if webhook.Gzipped(body) {
		switch text, damage = webhook.Gunzip(body, int(r.cfg.MaxBodySize)); {
		case errors.Is(damage, webhook.ErrTooLarge):
			return r.tooLarge(req)
		case damage != nil:
			text = body
		}
	}
	// A sender that gives up waiting sends the body again. So the delivery
	// goes on without it, and its second request joins in.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), r.cfg.AcceptTimeout)
	defer cancel()
	defer context.AfterFunc(r.serving, cancel)()
	r.telemetry.PmtaWebhookBytes.Add(ctx, int64(len(text)))
	// The body is ours and never written again, so records can share it.
	src := unsafe.String(unsafe.SliceData(text), len(text))
	key := xxh3.HashString128Seed(src, r.seed)
	o, again, ok := r.bodies.Do(ctx, key, func() (o outcome, keep bool) {
		name := fmt.Sprintf("webhook %s %016x", client(req), xxh3.HashString(src))
		if damage != nil {
			o = r.damaged(ctx, name, body, damage)
		} else {
			o = r.deliver(ctx, name, src)
		}
		return o, o.status != http.StatusServiceUnavailable
	})
	if !ok {
		o = outcome{status: http.StatusServiceUnavailable, problem: "the same body is still on its way"}
	}
	a := answer{status: o.status, problem: o.problem, outcome: &o, replay: again}
	if again && o.status != http.StatusServiceUnavailable {
		r.telemetry.PmtaWebhookReplays.Add(ctx, 1)
		// A body without a record is in quarantine by now. Whoever sends it
		// again after a 400 must not send it for ever.
		a.status, a.problem = http.StatusOK, ""
	}
	if a.status == http.StatusServiceUnavailable {
		a.outcome = nil
		a.close = r.stopping.Err() != nil
		r.log.Warn("a request got 503; the sender keeps its records and sends them again",
			zap.String("from", client(req)), zap.String("reason", a.problem), zap.Error(o.cause))
	}
	return a
}

// client returns the address of the sender, without its port.
func client(req *http.Request) string {
	if host, _, err := net.SplitHostPort(req.RemoteAddr); err == nil {
		return host
	}
	return req.RemoteAddr
}
