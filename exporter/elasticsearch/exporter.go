package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/elasticsearch/internal/metadata"
	"github.com/otelcol-pmta/otelcol-pmta/internal/esbulk"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// logsExporter turns log records into bulk requests.
type logsExporter struct {
	cfg       *Config
	set       exporter.Settings
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	renderers *schema.Pool
	workers   sync.Pool // of *worker

	client *esbulk.Client   // from start to shutdown
	dead   *quarantine.File // from start to shutdown

	templates templates
}

func newExporter(set exporter.Settings, cfg *Config) (*logsExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &logsExporter{cfg: cfg, set: set, log: set.Logger, telemetry: telemetry, renderers: schema.NewPool(renderOptions(cfg))}, nil
}

// startTimeout bounds what the first attempt to install templates may delay
// the start of the agent.
const startTimeout = 5 * time.Second

// start opens the dead letter file, makes the client and, if asked to,
// installs the templates.
func (e *logsExporter) start(ctx context.Context, host component.Host) error {
	dead, err := quarantine.Open(e.cfg.DeadLetter.Path, int64(e.cfg.DeadLetter.MaxSize), e.cfg.DeadLetter.MaxFiles)
	if err != nil {
		return fmt.Errorf("dead_letter::path: cannot be written: %w", err)
	}
	// These are records in order that Elasticsearch does not take, all of them
	// where a mapping is wrong: the oldest would be gone within hours.
	dead.KeepAll = true
	e.dead = dead
	if e.client, err = e.newClient(ctx, host); err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := e.ensureTemplates(first); err != nil {
		// The agent starts all the same: other destinations are not to suffer,
		// and every push tries again before it sends anything.
		e.log.Error("the templates are not installed; sending waits, nothing is lost", zap.Error(err))
		componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(err))
		e.templates.recovered = func() { componentstatus.ReportStatus(host, componentstatus.NewEvent(componentstatus.StatusOK)) }
	}
	return nil
}

func (e *logsExporter) newClient(ctx context.Context, host component.Host) (*esbulk.Client, error) {
	urls, err := e.cfg.urls()
	if err != nil {
		return nil, err
	}
	// Compression and the time limit are up to the bulk client, which
	// compresses once for all attempts.
	settings := e.cfg.ClientConfig
	settings.Compression = "none"
	settings.Endpoint = ""
	if settings.MaxIdleConnsPerHost == 0 && e.cfg.SendingQueue.HasValue() {
		settings.MaxIdleConnsPerHost = e.cfg.SendingQueue.Get().NumConsumers
	}
	httpClient, err := settings.ToClient(ctx, host.GetExtensions(), e.set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	cfg := esbulk.Config{
		URLs:          urls,
		Transport:     httpClient.Transport,
		Timeout:       e.cfg.ClientConfig.Timeout,
		APIKey:        string(e.cfg.APIKey),
		BearerToken:   string(e.cfg.BearerToken),
		Username:      e.cfg.User,
		Password:      string(e.cfg.Password),
		UserAgent:     e.set.BuildInfo.Command + "/" + e.set.BuildInfo.Version,
		MaxBytes:      int(e.cfg.Flush.Bytes),
		Pipeline:      e.cfg.Pipeline,
		RetryOnStatus: e.cfg.Retry.RetryOnStatus,
		Observer:      e.observer(),
	}
	if e.cfg.ClientConfig.Compression == configcompression.TypeGzip {
		cfg.GzipLevel = max(int(e.cfg.ClientConfig.CompressionParams.Level), 1)
	}
	if r := e.cfg.Retry; r.Enabled {
		cfg.MaxRetries, cfg.InitialInterval, cfg.MaxInterval = r.MaxRetries, r.InitialInterval, r.MaxInterval
	}
	return esbulk.New(cfg)
}

// observer turns what the bulk client tells into the agent's own metrics.
func (e *logsExporter) observer() esbulk.Observer {
	ctx := context.Background()
	t := e.telemetry
	outcomes := map[string]metric.MeasurementOption{}
	for _, o := range []string{esbulk.OutcomeCreated, esbulk.OutcomeConflict, esbulk.OutcomeFailureStore, esbulk.OutcomeDeadLetter} {
		outcomes[o] = metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", o)))
	}
	return esbulk.Observer{
		Delivered: func(outcome string, n int) { t.ElasticsearchDocuments.Add(ctx, int64(n), outcomes[outcome]) },
		Retried:   func(n int) { t.ElasticsearchRetries.Add(ctx, int64(n)) },
		Request: func(status, bytes, wire int) {
			t.ElasticsearchBulkRequests.Add(ctx, 1, metric.WithAttributes(attribute.Int("http.response.status_code", status)))
			t.ElasticsearchBulkBytes.Add(ctx, int64(bytes))
			t.ElasticsearchBulkBytesSent.Add(ctx, int64(wire))
		},
		Split: func(status, documents int) {
			t.ElasticsearchBulkSplits.Add(ctx, 1)
			e.log.Warn("a bulk request was refused as a whole; sending it again in two halves",
				zap.Int("status", status), zap.Int("documents", documents))
		},
	}
}

func (e *logsExporter) shutdown(ctx context.Context) error {
	var errs []error
	if e.client != nil {
		errs = append(errs, e.client.Close(ctx))
	}
	if e.dead != nil {
		errs = append(errs, e.dead.Close())
	}
	e.telemetry.Shutdown()
	return errors.Join(errs...)
}

// worker is what one push needs.
type worker struct {
	e      *logsExporter
	batch  esbulk.Batch
	router router
	refs   []ref // of the documents in batch
	left   []ref // neither delivered nor a dead letter
}

// ref is the place of a record in a plog.Logs.
type ref struct{ resource, scope, record int }

// push sends all records of ld. It returns nil when Elasticsearch has every
// one of them or the dead letter file has; otherwise an error with those that
// are left.
func (e *logsExporter) push(ctx context.Context, ld plog.Logs) error {
	if err := e.ensureTemplates(ctx); err != nil {
		return err
	}
	w, _ := e.workers.Get().(*worker)
	if w == nil {
		w = &worker{e: e, router: newRouter(e.cfg)}
	}
	defer e.workers.Put(w)
	renderer := e.renderers.Get()
	defer e.renderers.Put(renderer)
	w.batch.Reset()
	w.refs, w.left = w.refs[:0], w.left[:0]

	var firstErr error
	down := false // nothing of the last request got through: do not try the rest
	flush := func() {
		sent := w.batch.Len()
		pending, err := w.flush(ctx, ld)
		down = pending == sent
		if firstErr == nil {
			firstErr = err
		}
	}
	limit := e.client.MaxBytes()
	for i := range ld.ResourceLogs().Len() {
		rl := ld.ResourceLogs().At(i)
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			base := w.router.scope(rl.Resource().Attributes(), sl.Scope().Attributes())
			records := sl.LogRecords()
			for k := range records.Len() {
				at := ref{i, j, k}
				if down {
					w.left = append(w.left, at)
					continue
				}
				lr := records.At(k)
				to := w.router.record(base, lr.Attributes())
				buf := renderer.AppendJSON(w.batch.Begin(to.index, to.id), rl.Resource(), sl.Scope(), lr)
				w.batch.End(to.complete(buf))
				w.refs = append(w.refs, at)
				if w.batch.Size() >= limit {
					flush()
					limit = e.client.MaxBytes()
				}
			}
		}
	}
	if w.batch.Len() > 0 {
		flush()
	}
	switch {
	case len(w.left) == 0:
		return nil
	case len(w.left) == ld.LogRecordCount():
		return firstErr
	default:
		return consumererror.NewLogs(firstErr, pick(ld, w.left))
	}
}

// flush sends the batch. It returns how many documents are left, and then an
// error.
func (w *worker) flush(ctx context.Context, ld plog.Logs) (int, error) {
	pending, err := w.e.client.Send(ctx, &w.batch, func(rs []esbulk.Rejection) error { return w.deadLetter(ctx, ld, rs) })
	for _, i := range pending {
		w.left = append(w.left, w.refs[i])
	}
	w.batch.Reset()
	w.refs = w.refs[:0]
	return len(pending), err
}

// deadLetter keeps documents that Elasticsearch will never take, with the
// place they come from.
func (w *worker) deadLetter(ctx context.Context, ld plog.Logs, rs []esbulk.Rejection) error {
	entries := make([]quarantine.Entry, len(rs))
	now := time.Now()
	for i, r := range rs {
		attrs := record(ld, w.refs[r.Position]).Attributes()
		en := &entries[i]
		*en = quarantine.Entry{Time: now, Reason: reason(r), Detail: detail(r), Context: r.Action}
		for _, name := range []string{semconv.LogFilePath, semconv.LogFileName} {
			if v, ok := attrs.Get(name); ok && en.File == "" {
				en.File = v.Str()
			}
		}
		if v, ok := attrs.Get(semconv.LogFileOffset); ok {
			en.Offset = v.Int()
		}
		en.SetRaw(string(r.Document))
	}
	if err := w.e.dead.Write(entries); err != nil {
		return fmt.Errorf("dead_letter::path: %s: %w", w.e.cfg.DeadLetter.Path, err)
	}
	for i := range entries {
		w.e.telemetry.ElasticsearchDeadLetters.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", entries[i].Reason)))
	}
	// Elasticsearch's reason may quote the document, so it stays out of the
	// agent's log.
	w.e.log.Error("Elasticsearch will never take these documents; they are in the dead letter file",
		zap.Int("documents", len(rs)), zap.String("first_reason", entries[0].Reason), zap.String("file", w.e.cfg.DeadLetter.Path))
	return nil
}

func reason(r esbulk.Rejection) string {
	switch {
	case r.Status == 413:
		return "too_large"
	case r.Type != "":
		return r.Type
	}
	return "rejected"
}

func detail(r esbulk.Rejection) string {
	s := fmt.Sprintf("%d %s", r.Status, r.Type)
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	return s
}

func record(ld plog.Logs, r ref) plog.LogRecord {
	return ld.ResourceLogs().At(r.resource).ScopeLogs().At(r.scope).LogRecords().At(r.record)
}

// pick copies the records at refs, which ascend, with their resources and
// scopes.
func pick(ld plog.Logs, refs []ref) plog.Logs {
	out := plog.NewLogs()
	var rl plog.ResourceLogs
	var sl plog.ScopeLogs
	last := ref{-1, -1, -1}
	for _, r := range refs {
		from := ld.ResourceLogs().At(r.resource)
		if r.resource != last.resource {
			rl = out.ResourceLogs().AppendEmpty()
			from.Resource().CopyTo(rl.Resource())
			rl.SetSchemaUrl(from.SchemaUrl())
		}
		if r.resource != last.resource || r.scope != last.scope {
			sl = rl.ScopeLogs().AppendEmpty()
			from.ScopeLogs().At(r.scope).Scope().CopyTo(sl.Scope())
			sl.SetSchemaUrl(from.ScopeLogs().At(r.scope).SchemaUrl())
		}
		record(ld, r).CopyTo(sl.LogRecords().AppendEmpty())
		last = r
	}
	return out
}
