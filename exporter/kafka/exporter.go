package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	segmentio "github.com/segmentio/kafka-go"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/kafka/internal/metadata"
	"github.com/otelcol-pmta/otelcol-pmta/internal/kafkaout"
	"github.com/otelcol-pmta/otelcol-pmta/internal/otlpjson"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Reasons of dead letters.
const (
	reasonTooLarge         = "message_too_large"
	reasonInvalidTimestamp = "invalid_timestamp"
	reasonInvalidRecord    = "invalid_record"
)

type logsExporter struct {
	cfg       *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	route     router
	schema    schema.Schema
	dead      *quarantine.File
	producer  *kafkaout.Producer

	renderers *schema.Pool
	encoders  sync.Pool    // of *encoder
	limit     atomic.Int64 // largest OTLP document the broker is known to take; 0 = not known
}

// encoder is what one goroutine needs to make messages.
type encoder struct{ buf, key []byte }

func newExporter(set exporter.Settings, cfg *Config) (*logsExporter, error) {
	t, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &logsExporter{cfg: cfg, log: set.Logger, telemetry: t, route: newRouter(cfg)}
	if e.schema, err = schema.Parse(cfg.Logs.Schema); err != nil {
		return nil, err
	}
	e.renderers = schema.NewPool(schema.Options{Schema: e.schema})
	e.encoders.New = func() any { return &encoder{} }
	return e, nil
}

func (e *logsExporter) start(ctx context.Context, _ component.Host) error {
	c := e.cfg
	dead, err := quarantine.Open(c.DeadLetter.Path, int64(c.DeadLetter.MaxSize), c.DeadLetter.MaxFiles)
	if err != nil {
		return fmt.Errorf("dead_letter::path: %w; the agent needs to write there", err)
	}
	// These are records in order that the topic does not take; with a wrong
	// limit there may be many, and the oldest would be gone soon.
	dead.KeepAll = true
	compression, err := kafkaout.ParseCompression(c.Producer.Compression)
	if err != nil {
		return err
	}
	pc := kafkaout.Config{
		Brokers: c.Brokers, ClientID: c.ClientID, DialTimeout: c.DialTimeout, IdleTimeout: c.ConnIdleTimeout,
		RefreshInterval: c.Metadata.RefreshInterval, AutoCreate: c.Producer.AllowAutoTopicCreation,
		Acks: int(c.Producer.RequiredAcks), Compression: compression, CompressionLevel: int(c.Producer.CompressionParams.Level),
		MaxMessageBytes: int(c.Producer.MaxMessageBytes), BatchBytes: int(c.Producer.BatchBytes),
		Partitioner: c.partitioner(), BackoffMin: 50 * time.Millisecond, BackoffMax: time.Second,
	}
	if c.TopicFromAttribute == "" {
		pc.OnlyTopic = c.Logs.Topic
	}
	if c.TLS != nil {
		if pc.TLS, err = c.TLS.LoadTLSConfig(ctx); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if s := c.Auth.SASL; s != nil {
		pc.SASL = &kafkaout.SASL{Mechanism: s.Mechanism, Username: s.Username, Password: string(s.Password)}
	}
	producer, err := kafkaout.New(pc)
	if err != nil {
		return err
	}
	e.dead, e.producer = dead, producer
	return e.register()
}

// register lets the agent's own metrics read the producer's counters.
func (e *logsExporter) register() error {
	count := func(value func(kafkaout.Stats) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value(e.producer.Stats()))
			return nil
		}
	}
	t := e.telemetry
	return errors.Join(
		t.RegisterKafkaMessagesAcknowledgedCallback(count(func(s kafkaout.Stats) int64 { return s.Messages })),
		t.RegisterKafkaBytesAcknowledgedCallback(count(func(s kafkaout.Stats) int64 { return s.Bytes })),
		t.RegisterKafkaBatchesRetriedCallback(count(func(s kafkaout.Stats) int64 { return s.Retries })),
		t.RegisterKafkaBatchesSplitCallback(count(func(s kafkaout.Stats) int64 { return s.Splits })),
		t.RegisterKafkaThrottledCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(e.producer.Stats().Throttled.Seconds())
			return nil
		}),
	)
}

func (e *logsExporter) shutdown(context.Context) error {
	e.telemetry.Shutdown()
	if e.producer == nil {
		return nil // never started
	}
	e.producer.Close()
	return e.dead.Close()
}

// push delivers ld. The error, if any, names exactly the records that are to
// be sent again.
func (e *logsExporter) push(ctx context.Context, ld plog.Logs) error {
	o := &outcome{ld: ld}
	if e.cfg.Logs.Encoding == encodingJSON {
		e.pushRecords(ctx, o)
	} else {
		e.pushRequests(ctx, o)
	}
	e.bury(ctx, o)
	return o.err()
}

// pushRecords sends one message for each record.
func (e *logsExporter) pushRecords(ctx context.Context, o *outcome) {
	enc := e.encoders.Get().(*encoder)
	defer e.encoders.Put(enc)
	renderer := e.renderers.Get()
	defer e.renderers.Put(renderer)
	req := e.producer.NewRequest(ctx)
	now := time.Now().UnixMilli()
	n := int32(0)
	for _, rl := range o.ld.ResourceLogs().All() {
		res := e.route.resource(rl)
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				enc.buf = renderer.AppendJSON(enc.buf[:0], rl.Resource(), sl.Scope(), lr)
				var key []byte
				key, enc.key = e.route.key(enc.key[:0], &res, lr)
				ms := now
				if e.cfg.Producer.MessageTimestamp == eventTime {
					ms = recordTime(lr, now)
				}
				if err := req.Add(e.route.topic(&res, lr), key, enc.buf, res.headers, ms, n); err != nil {
					o.reject(reasonTooLarge, err, n)
				}
				n++
			}
		}
	}
	result := req.Send(ctx)
	for _, f := range result.Failed {
		o.fail(f.Err, f.Refs...)
	}
	for _, r := range result.Rejected {
		if e.misfit(r.Err) {
			o.fail(r.Err, r.Refs...)
			continue
		}
		o.reject(reasonOf(r.Err), r.Err, r.Refs...)
	}
}

// misfit reports whether a refusal is for the configuration and not for the
// record, so that every other record would be refused as well: those have to
// wait for the operator.
func (e *logsExporter) misfit(err error) bool {
	if errors.Is(err, segmentio.InvalidTimestamp) {
		return e.cfg.Producer.MessageTimestamp == sendTime // this host's clock
	}
	return kafkaout.NeedsKey(err) && !e.route.hasKeys()
}

// pushRequests sends OTLP requests: one message for each group of records
// with the same topic, key and headers, or several where it would be too large.
func (e *logsExporter) pushRequests(ctx context.Context, o *outcome) {
	type message struct {
		group    *group
		from, to int // records, by their place in the group
		size     int
	}
	enc := e.encoders.Get().(*encoder)
	defer e.encoders.Put(enc)
	now := time.Now().UnixMilli()
	groups := e.route.groups(o.ld)
	for len(groups) > 0 {
		req := e.producer.NewRequest(ctx)
		var messages []message
		for _, g := range groups {
			limit := e.producer.MaxValue(g.key, g.headers)
			if l := int(e.limit.Load()); l > 0 {
				limit = min(limit, l)
			}
			ms := now
			if e.cfg.Producer.MessageTimestamp == eventTime {
				ms = recordTime(first(g.ld), now)
			}
			emit := func(doc []byte, from, to int) {
				if err := req.Add(g.topic, g.key, doc, g.headers, ms, int32(len(messages))); err != nil {
					o.reject(reasonTooLarge, err, g.refs(from, to)...)
					return
				}
				messages = append(messages, message{g, from, to, len(doc)})
			}
			if e.cfg.Logs.Encoding == encodingOTLPJSON {
				enc.buf = otlpjson.Split(enc.buf, g.ld, limit, emit)
			} else if err := splitProto(g.ld, 0, limit, emit); err != nil {
				o.fail(err, g.refs(0, g.ld.LogRecordCount())...)
			}
		}
		result := req.Send(ctx)
		groups = nil
		for _, f := range result.Failed {
			for _, ref := range f.Refs {
				m := messages[ref]
				o.fail(f.Err, m.group.refs(m.from, m.to)...)
			}
		}
		for _, r := range result.Rejected {
			reason := reasonOf(r.Err)
			for _, ref := range r.Refs {
				m := messages[ref]
				refs := m.group.refs(m.from, m.to)
				switch {
				case e.misfit(r.Err):
					o.fail(r.Err, refs...)
					continue
				case m.to-m.from == 1 || reason == reasonInvalidRecord:
					o.reject(reason, r.Err, refs...)
					continue
				case reason == reasonInvalidTimestamp:
					// The time is that of the first record: find those at fault.
					groups = append(groups, m.group.halves(m.from, m.to)...)
					continue
				}
				// Too large for the broker, though not for max_message_bytes:
				// again, in smaller pieces, and smaller ones from now on.
				if half := int64(m.size / 2); e.limit.Load() == 0 || half < e.limit.Load() {
					e.limit.Store(max(half, 1<<10))
				}
				groups = append(groups, m.group.halves(m.from, m.to)...)
			}
		}
	}
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, segmentio.InvalidTimestamp):
		return reasonInvalidTimestamp
	case errors.Is(err, segmentio.InvalidRecord):
		return reasonInvalidRecord
	}
	return reasonTooLarge
}

// bury writes rejected records to the dead letter file. If that fails, they
// count as failed: nothing is dropped.
func (e *logsExporter) bury(ctx context.Context, o *outcome) {
	if len(o.rejected) == 0 {
		return
	}
	slices.SortFunc(o.rejected, func(a, b rejected) int { return int(a.ref - b.ref) })
	entries := make([]quarantine.Entry, 0, len(o.rejected))
	now := time.Now()
	i, n := 0, int32(0)
	for _, rl := range o.ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				for ; i < len(o.rejected) && o.rejected[i].ref == n; i++ {
					entries = append(entries, letter(now, o.rejected[i], rl, sl, lr))
				}
				n++
			}
		}
	}
	if err := e.dead.Write(entries); err != nil {
		for _, r := range o.rejected {
			o.fail(fmt.Errorf("dead_letter::path: %s: %w", e.cfg.DeadLetter.Path, err), r.ref)
		}
		return
	}
	counts := map[string]int64{}
	for _, r := range o.rejected {
		counts[r.reason]++
	}
	for reason, n := range counts {
		e.telemetry.KafkaDeadLetters.Add(ctx, n, metric.WithAttributes(attribute.String("reason", reason)))
	}
	e.log.Warn("records that Kafka does not take are in the dead letter file",
		zap.Int("records", len(o.rejected)), zap.String("file", e.cfg.DeadLetter.Path), zap.Error(o.rejected[0].err))
}

// letter makes the entry of a record: where it came from, as far as it is
// known, and the record as an OTLP JSON document.
func letter(now time.Time, r rejected, rl plog.ResourceLogs, sl plog.ScopeLogs, lr plog.LogRecord) quarantine.Entry {
	entry := quarantine.Entry{Time: now, Reason: r.reason, Detail: r.err.Error()}
	for _, name := range []string{semconv.LogFilePath, semconv.LogFileName} {
		if v, ok := lr.Attributes().Get(name); ok {
			entry.File = v.AsString()
			break
		}
	}
	if v, ok := lr.Attributes().Get(semconv.LogFileOffset); ok {
		entry.Offset = v.Int()
	}
	one := plog.NewLogs()
	nrl := one.ResourceLogs().AppendEmpty()
	rl.Resource().CopyTo(nrl.Resource())
	nrl.SetSchemaUrl(rl.SchemaUrl())
	nsl := nrl.ScopeLogs().AppendEmpty()
	sl.Scope().CopyTo(nsl.Scope())
	nsl.SetSchemaUrl(sl.SchemaUrl())
	lr.CopyTo(nsl.LogRecords().AppendEmpty())
	entry.SetRaw(string(otlpjson.AppendLogs(nil, one)))
	return entry
}

// outcome collects what became of the records of one push. Records are counted
// through ld.
type outcome struct {
	ld       plog.Logs
	failed   []bool // by record; nil while none has
	errs     []error
	rejected []rejected
}

type rejected struct {
	ref    int32
	reason string
	err    error
}

func (o *outcome) fail(err error, refs ...int32) {
	if len(refs) == 0 {
		return
	}
	if o.failed == nil {
		o.failed = make([]bool, o.ld.LogRecordCount())
	}
	for _, r := range refs {
		o.failed[r] = true
	}
	if !slices.ContainsFunc(o.errs, func(e error) bool { return e.Error() == err.Error() }) {
		o.errs = append(o.errs, err)
	}
}

func (o *outcome) reject(reason string, err error, refs ...int32) {
	for _, r := range refs {
		o.rejected = append(o.rejected, rejected{r, reason, err})
	}
}

// err returns nil or an error with the records to be sent again.
func (o *outcome) err() error {
	if o.failed == nil {
		return nil
	}
	return consumererror.NewLogs(errors.Join(o.errs...), subset(o.ld, func(i int) bool { return o.failed[i] }))
}

// subset copies the records i of ld for which keep(i), in order, with what
// they are under.
func subset(ld plog.Logs, keep func(i int) bool) plog.Logs {
	out := plog.NewLogs()
	i := 0
	for _, rl := range ld.ResourceLogs().All() {
		var nrl plog.ResourceLogs
		haveResource := false
		for _, sl := range rl.ScopeLogs().All() {
			var nsl plog.ScopeLogs
			haveScope := false
			for _, lr := range sl.LogRecords().All() {
				i++
				if !keep(i - 1) {
					continue
				}
				if !haveResource {
					haveResource = true
					nrl = out.ResourceLogs().AppendEmpty()
					rl.Resource().CopyTo(nrl.Resource())
					nrl.SetSchemaUrl(rl.SchemaUrl())
				}
				if !haveScope {
					haveScope = true
					nsl = nrl.ScopeLogs().AppendEmpty()
					sl.Scope().CopyTo(nsl.Scope())
					nsl.SetSchemaUrl(sl.SchemaUrl())
				}
				lr.CopyTo(nsl.LogRecords().AppendEmpty())
			}
		}
	}
	return out
}

// splitProto encodes ld in OTLP protobuf, in several parts if it would be over
// limit. from is the place of its first record.
func splitProto(ld plog.Logs, from, limit int, emit func(doc []byte, from, to int)) error {
	var m plog.ProtoMarshaler
	n := ld.LogRecordCount()
	if n == 0 {
		return nil
	}
	// Nearly always it fits: asking for the size first would cost more.
	doc, err := m.MarshalLogs(ld)
	if err != nil {
		return err
	}
	if n == 1 || len(doc) <= limit {
		emit(doc, from, from+n)
		return nil
	}
	half := n / 2
	if err := splitProto(subset(ld, func(i int) bool { return i < half }), from, limit, emit); err != nil {
		return err
	}
	return splitProto(subset(ld, func(i int) bool { return i >= half }), from+half, limit, emit)
}

func first(ld plog.Logs) plog.LogRecord {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				return lr
			}
		}
	}
	return plog.NewLogRecord()
}

// recordTime returns the time of the record in milliseconds.
func recordTime(lr plog.LogRecord, now int64) int64 {
	if t := lr.Timestamp(); t != 0 {
		return int64(t) / 1e6
	}
	if t := lr.ObservedTimestamp(); t != 0 {
		return int64(t) / 1e6
	}
	return now
}
