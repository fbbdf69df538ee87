package powermtastatus

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus/internal/metadata"
)

// maxPending bounds the events that wait for the pipeline. Then the oldest go.
const maxPending = 10_000

// event is something that happened.
type event struct {
	seq      int64
	name     string
	at       time.Time // when it happened, or was seen
	observed time.Time
	body     string
	queue    string
	sourceIP string
	reason   string
	pattern  string
	version  string
	kind     string // of trouble with the monitor
	initial  bool
	known    bool // at is what the monitor says, so another reading says the same
}

// severities of the events, INFO if not here.
var severities = map[string]struct {
	number int32
	text   string
}{
	semconv.EventQueueBackoff:       {int32(plog.SeverityNumberWarn), "WARN"},
	semconv.EventSourceIPDisabled:   {int32(plog.SeverityNumberWarn), "WARN"},
	semconv.EventMonitorUnreachable: {int32(plog.SeverityNumberError), "ERROR"},
}

// changed makes the event of a change, worded as the system log words it.
func (r *reader) changed(c *webmon.Change, observed time.Time) {
	e := event{at: c.At, observed: observed, queue: c.Queue, sourceIP: c.SourceIP, reason: c.Reason, pattern: c.Pattern, initial: c.Initial, known: c.Known}
	ip := c.SourceIP
	if ip == "" {
		ip = "(all)"
	}
	switch c.Kind {
	case webmon.QueueBackoff:
		e.name, e.body = semconv.EventQueueBackoff, fmt.Sprintf("Queue %s switched to backoff mode", c.Queue)
	case webmon.QueueNormal:
		e.name, e.body = semconv.EventQueueNormal, fmt.Sprintf("Queue %s switched to normal mode", c.Queue)
	case webmon.SourceIPDisabled:
		e.name, e.body = semconv.EventSourceIPDisabled, fmt.Sprintf("Source IP %s disabled for queue %s", ip, c.Queue)
	case webmon.SourceIPEnabled:
		e.name, e.body = semconv.EventSourceIPEnabled, fmt.Sprintf("Source IP %s re-enabled for queue %s", ip, c.Queue)
	}
	if c.Reason != "" {
		e.body += fmt.Sprintf(": %q", c.Reason)
	}
	r.add(e)
}

// add queues an event for the pipeline, if there is one.
func (r *reader) add(e event) {
	r.dirty = true
	if !r.wantEvents {
		return
	}
	if e.observed.IsZero() {
		e.observed = e.at
	}
	r.seq++
	e.seq = r.seq
	if len(r.pending) == maxPending {
		r.pending = r.pending[1:]
		r.telemetry.PmtaStatusEventsDropped.Add(context.Background(), 1)
	}
	r.pending = append(r.pending, e)
}

// scrapeLogs hands out all events that no pipeline has accepted yet.
func (r *reader) scrapeLogs(ctx context.Context) (plog.Logs, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh(ctx, &r.eventsSeen)
	r.offered = r.seq
	if len(r.pending) == 0 {
		r.save(ctx)
		return plog.NewLogs(), nil
	}
	var b acctlogs.Builder
	b.Begin(&acctlogs.Options{ScopeName: metadata.ScopeName, ScopeVersion: r.set.BuildInfo.Version, Resource: r.resource},
		len(r.pending)*400, r.clock())
	var attrs []acct.Attr
	for i := range r.pending {
		out := r.record(&r.pending[i], attrs[:0])
		b.AddEvent(&out)
		attrs = out.Attrs
	}
	return b.Logs, nil
}

// record makes the log record of e, with its attributes behind attrs.
func (r *reader) record(e *event, attrs []acct.Attr) acctlogs.Event {
	s, ok := severities[e.name]
	if !ok {
		s.number, s.text = int32(plog.SeverityNumberInfo), "INFO"
	}
	return acctlogs.Event{Time: e.at.UnixNano(), Name: e.name, Severity: s.number, SeverityText: s.text, Body: e.body, UID: r.uid(e), Attrs: r.attributes(attrs, e)}
}

func (r *reader) attributes(a []acct.Attr, e *event) []acct.Attr {
	str := func(key, v string) {
		if v != "" {
			a = append(a, acct.Attr{Key: key, Str: v})
		}
	}
	str(semconv.PMTAStream, semconv.StreamDiag)
	str(semconv.PMTAEventSource, semconv.EventSourceStatus)
	str(semconv.PMTAQueueName, e.queue)
	if i := strings.LastIndexByte(e.queue, '/'); i >= 0 {
		if name, rollup := strings.CutSuffix(e.queue[:i], ".rollup"); rollup {
			str(semconv.PMTAQueueRollup, name)
		} else {
			str(semconv.PMTAQueueDomain, name)
		}
		str(semconv.PMTAQueueVMTA, e.queue[i+1:])
	}
	str(semconv.PMTASourceIP, e.sourceIP)
	str(semconv.PMTAReason, e.reason)
	str(semconv.PMTABackoffPattern, e.pattern)
	str(semconv.PMTAVersion, e.version)
	str(semconv.ErrorType, e.kind)
	if reply := webmon.Reply(e.reason); reply != "" && e.queue != "" {
		// In the form of dsnDiag, so that smtp_reply says what it means.
		str(semconv.PMTADSNDiag, "smtp;"+reply)
		str(semconv.PMTADSNDiagType, semconv.DiagTypeSMTP)
		code, enhanced, text := acct.ParseReply(reply)
		if code != 0 {
			a = append(a, acct.Attr{Key: semconv.SMTPResponseCode, Num: code, Kind: acct.KindInt})
		}
		str(semconv.SMTPResponseEnhancedStatus, enhanced)
		str(semconv.SMTPResponseText, text)
	}
	if e.initial {
		a = append(a, acct.Attr{Key: semconv.PMTAEventInitial, Num: 1, Kind: acct.KindBool})
	}
	return a
}

// uid is the identity of an event: the same whenever it is found out again, by
// this agent or another one with the same instance, if the monitor dates it.
func (r *reader) uid(e *event) [2]uint64 {
	b := make([]byte, 0, 256)
	instance := r.cfg.Instance
	if instance == "" {
		instance = r.cfg.ClientConfig.Endpoint
	}
	for _, s := range []string{"powermta_status", instance, e.name, e.queue, e.sourceIP} {
		b = append(append(b, s...), 0)
	}
	at := e.at.UnixNano()
	if e.known {
		at = e.at.Unix()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	h := xxh3.Hash128(b)
	return [2]uint64{h.Hi, h.Lo}
}

// deliver offers events to the pipeline. What it does not accept is offered
// again at the next reading, with what has happened since.
func (r *reader) deliver(next consumer.Logs) consumer.ConsumeLogsFunc {
	return func(ctx context.Context, ld plog.Logs) error {
		if ld.LogRecordCount() == 0 {
			return nil
		}
		ctx, cancel := r.stopped(ctx)
		defer cancel()
		n := int64(ld.LogRecordCount())
		err := next.ConsumeLogs(ctx, ld)
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err == nil:
			r.telemetry.PmtaStatusEvents.Add(ctx, n)
		case acctlogs.IsPermanent(err):
			if e := r.quarantine(err); e != nil {
				r.log.Error("the pipeline refused events for good, and the quarantine file cannot be written; they are offered again at the next collection",
					zap.Int64("events", n), zap.String("quarantine", r.cfg.Quarantine.RefusedPath()), zap.NamedError("quarantine_error", e), zap.Error(err))
				return err
			}
			r.telemetry.PmtaStatusEventsRefused.Add(ctx, n)
			r.log.Error("the pipeline refused events for good; they are in the quarantine file",
				zap.Int64("events", n), zap.String("quarantine", r.cfg.Quarantine.RefusedPath()), zap.Error(err))
		default:
			if r.run.Err() == nil {
				r.log.Warn("the pipeline does not accept events; they are offered again at the next collection", zap.Int64("events", n), zap.Error(err))
			}
			return err
		}
		for len(r.pending) > 0 && r.pending[0].seq <= r.offered {
			r.pending = r.pending[1:]
		}
		if len(r.pending) == 0 {
			r.pending = nil
		}
		r.save(ctx)
		return err
	}
}

// quarantine keeps the events in the batch that the pipeline refused with the
// error cause.
func (r *reader) quarantine(cause error) (err error) {
	if r.refused == nil {
		if r.refused, err = r.cfg.Quarantine.OpenRefused(); err != nil {
			return err
		}
	}
	var events []acctlogs.Event
	for i := range r.pending {
		if e := &r.pending[i]; e.seq <= r.offered {
			events = append(events, r.record(e, nil))
		}
	}
	return r.refused.Write(acctlogs.RefusedEvents(r.cfg.ClientConfig.Endpoint, events, cause))
}

// cancelMetrics lets a Shutdown end a delivery that hangs.
func (r *reader) cancelMetrics(next consumer.Metrics) consumer.ConsumeMetricsFunc {
	return func(ctx context.Context, md pmetric.Metrics) error {
		ctx, cancel := r.stopped(ctx)
		defer cancel()
		return next.ConsumeMetrics(ctx, md)
	}
}
