package powermtawebhook

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadata"
)

// reasonBadGzip is the quarantine reason of a body that cannot be unpacked.
const reasonBadGzip = "bad_gzip"

// outcome is what became of a body.
type outcome struct {
	// status is 200; 400 when nothing of the body was a record, and all of it
	// is in quarantine; or 503 when the sender has to try again.
	status   int
	accepted int64 // records that the pipeline has
	rejected int64 // pieces of input that are in quarantine
	refused  int64 // records that are in quarantine as refused for good
	problem  string
	cause    error // of a 503; for the log, since it may name what senders need not know
}

// delivery is one body on its way to the pipeline.
type delivery struct {
	r      *webhookReceiver
	in     acctlogs.Input // the whole body
	dec    *acct.Decoder
	uids   *acctlogs.ContentUIDs
	stream acct.Attr

	rejects  rejects
	contexts acctlogs.Contexts

	mu       sync.Mutex // guards everything below
	failed   error      // of the first batch that the pipeline did not take
	refused  []refusal
	accepted acctlogs.Counts
}

// refusal is a batch that the pipeline refused for good.
type refusal struct {
	in     acctlogs.Input
	before []byte
	uids   [][2]uint64
	cause  error
}

// batch is the records of one piece of a body.
type batch struct {
	d      *delivery
	offset int
	in     acctlogs.Input
	before []byte // decoder state in front of it
	out    acctlogs.Builder
	uids   [][2]uint64
}

// Record implements acct.Handler.
func (b *batch) Record(rec *acct.Record) {
	b.d.uids.Identify(rec, b.in.Src)
	b.uids = append(b.uids, rec.UID)
	b.out.Add(rec, b.d.stream)
}

// Reject implements acct.Handler.
func (b *batch) Reject(r acct.Reject) {
	r.Start += b.offset
	r.End += b.offset
	b.d.rejects.add(acctlogs.Reject{Reject: r, Context: b.d.contexts.Of(b.d.dec)})
}

// deliver hands the records of a body to the pipeline and returns when it has
// taken or refused all of them. ctx bounds how long that may last.
func (r *webhookReceiver) deliver(ctx context.Context, name, src string) outcome {
	d := &delivery{r: r, dec: acct.NewDecoder(r.opts), uids: acctlogs.NewContentUIDs(r.cfg.Instance, len(src)/400)}
	d.in = acctlogs.Input{Name: name, Src: src, Final: true, Observed: time.Now()}
	d.stream = acct.Attr{Key: semconv.PMTAStream, Str: r.streamOf(src)}

	var wg sync.WaitGroup
	free := make(chan struct{}, r.cfg.MaxInFlight)
	for b := range d.batches {
		free <- struct{}{}
		if d.hasFailed() {
			break // the sender has to send all of it again anyway
		}
		wg.Go(func() {
			defer func() { <-free }()
			d.offer(ctx, b)
		})
	}
	wg.Wait()
	if d.failed != nil {
		return outcome{status: http.StatusServiceUnavailable, problem: "the pipeline does not accept records now", cause: d.failed}
	}
	return d.settle(ctx)
}

// batches decodes the body piece by piece.
func (d *delivery) batches(yield func(*batch) bool) {
	src := d.in.Src
	size := int(d.r.cfg.BatchSize)
	for pos, n := 0, size; pos < len(src); {
		b := &batch{d: d, offset: pos, in: d.in, before: d.dec.State()}
		end := min(len(src), pos+n)
		b.in.Src, b.in.Offset, b.in.Final = src[pos:end], int64(pos), end == len(src)
		b.out.Begin(&d.r.common, end-pos, d.in.Observed)
		used := d.dec.Decode(b.in.Src, b.in.Final, b)
		if used == 0 {
			n *= 2 // a record longer than a batch
			continue
		}
		b.in.Src = b.in.Src[:used]
		pos, n = pos+used, size
		if len(b.uids) > 0 && !yield(b) {
			return
		}
	}
}

func (d *delivery) hasFailed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed != nil
}

// offer hands one batch to the pipeline.
func (d *delivery) offer(ctx context.Context, b *batch) {
	r := d.r
	opCtx := r.obs.StartLogsOp(ctx)
	logs := b.out.Logs
	b.out.Logs = plog.Logs{} // the pipeline owns it from here on
	err := r.next.ConsumeLogs(opCtx, logs)
	r.obs.EndLogsOp(opCtx, metadata.Type.String(), len(b.uids), err)
	if err == nil {
		for i, n := range b.out.Counts {
			if n > 0 {
				r.telemetry.PmtaWebhookRecords.Add(ctx, n, r.typeAttrs[i])
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		for i, n := range b.out.Counts {
			d.accepted[i] += n
		}
	case acctlogs.IsPermanent(err):
		d.refused = append(d.refused, refusal{in: b.in, before: b.before, uids: b.uids, cause: err})
	case d.failed == nil:
		d.failed = err
	}
}

// settle puts into quarantine what did not reach the pipeline. It is called
// when the pipeline has answered for every batch, so that what is sent again
// is not in quarantine twice.
func (d *delivery) settle(ctx context.Context) outcome {
	r := d.r
	o := outcome{status: http.StatusOK, rejected: d.rejects.total()}
	for _, n := range d.accepted {
		o.accepted += n
	}
	slices.SortFunc(d.refused, func(a, b refusal) int { return cmp.Compare(a.in.Offset, b.in.Offset) })
	for _, ref := range d.refused {
		dec := acct.NewDecoder(r.opts)
		if err := dec.Restore(ref.before, ref.in.Offset); err != nil {
			return outcome{status: http.StatusServiceUnavailable, problem: "internal error", cause: err} // cannot be: the state is our own
		}
		entries := ref.in.Refused(dec, ref.cause, nil)
		for i := range entries {
			entries[i].UIDs = []string{string(acct.AppendUID(nil, ref.uids[i]))}
		}
		if !r.quarantined(r.refused, r.cfg.Quarantine.RefusedPath(), entries) {
			return outcome{status: http.StatusServiceUnavailable, problem: "the quarantine file for refused records cannot be written"}
		}
		o.refused += int64(len(entries))
		r.telemetry.PmtaWebhookRejected.Add(ctx, int64(len(entries)), reasonAttr(acctlogs.ReasonRefused))
		r.log.Error("the pipeline refused records for good; they are in the quarantine file",
			zap.String("from", ref.in.Name), zap.Int("records", len(entries)),
			zap.String("quarantine", r.cfg.Quarantine.RefusedPath()), zap.Error(ref.cause))
	}
	if o.rejected == 0 {
		return o
	}
	if !r.quarantined(r.rejected, r.cfg.Quarantine.Path, d.in.Rejected(d.rejects.pieces(len(d.in.Src)))) {
		return outcome{status: http.StatusServiceUnavailable, problem: "the quarantine file cannot be written"}
	}
	for reason, n := range d.rejects.byReason {
		r.telemetry.PmtaWebhookRejected.Add(ctx, n, reasonAttr(string(reason)))
	}
	first := d.rejects.list[0]
	r.log.Warn("input could not be read as records; it is in the quarantine file",
		zap.String("from", d.in.Name), zap.Int("offset", first.Start), zap.Int64("pieces", o.rejected),
		zap.String("reason", string(first.Reason)), zap.String("detail", first.Detail), zap.String("quarantine", r.cfg.Quarantine.Path))
	if o.accepted == 0 && o.refused == 0 {
		o.status, o.problem = http.StatusBadRequest, "nothing in this body is an accounting record; "+first.Detail
	}
	return o
}

// damaged puts a body into quarantine that cannot be unpacked.
func (r *webhookReceiver) damaged(ctx context.Context, name string, body []byte, cause error) outcome {
	e := quarantine.Entry{Time: time.Now().UTC(), File: name, Reason: reasonBadGzip, Detail: cause.Error()}
	e.SetRaw(string(body))
	if !r.quarantined(r.rejected, r.cfg.Quarantine.Path, []quarantine.Entry{e}) {
		return outcome{status: http.StatusServiceUnavailable, problem: "the quarantine file cannot be written"}
	}
	r.telemetry.PmtaWebhookRejected.Add(ctx, 1, reasonAttr(reasonBadGzip))
	r.log.Warn("a body could not be unpacked; it is in the quarantine file",
		zap.String("from", name), zap.Int("bytes", len(body)), zap.Error(cause), zap.String("quarantine", r.cfg.Quarantine.Path))
	return outcome{status: http.StatusBadRequest, rejected: 1, problem: cause.Error()}
}

// writeSize is about how much is written to a quarantine file at a time.
const writeSize = 1 << 20

// quarantined writes entries and reports whether all of them are there. It
// does not try again: the sender will.
func (r *webhookReceiver) quarantined(file *quarantine.File, path string, entries []quarantine.Entry) bool {
	for len(entries) > 0 {
		n := 0
		for size := 0; n < len(entries) && size < writeSize; n++ {
			size += entries[n].Length + len(entries[n].Context)
		}
		if err := file.Write(entries[:n]); err != nil {
			hint := "senders get 503 and keep their records until it can be written"
			if errors.Is(err, quarantine.ErrFull) {
				hint = "move its files away; senders get 503 and keep their records until then"
			}
			r.log.Error("cannot write the quarantine file; "+hint, zap.String("quarantine", path), zap.Error(err))
			return false
		}
		entries = entries[n:]
	}
	return true
}

// streamOf returns the value of pmta.stream for a body.
func (r *webhookReceiver) streamOf(src string) string {
	if r.cfg.Stream != streamAuto {
		return r.cfg.Stream
	}
	look := &bounceCheck{}
	dec := acct.NewDecoder(r.opts)
	for pos, n := 0, 4<<10; pos < len(src) && !look.others; n = min(2*n, 2*len(src)) {
		end := min(len(src), pos+n)
		pos += dec.Decode(src[pos:end], end == len(src), look)
	}
	if look.bounces && !look.others {
		return semconv.StreamBounce
	}
	return semconv.StreamAcct
}

// bounceCheck looks only at types.
type bounceCheck struct{ bounces, others bool }

func (c *bounceCheck) Record(rec *acct.Record) {
	if rec.Type == acct.TypeBounce || rec.Type == acct.TypeRemoteBounce {
		c.bounces = true
	} else {
		c.others = true
	}
}

func (c *bounceCheck) Reject(acct.Reject) {}

// maxRejects is how many rejects of a body are kept apart.
const maxRejects = 10_000

// rejects collects what is no record in a body. Of very many, or of very long
// header lines, it makes one that reaches from the first to the last: a body
// of bad rows must not take many times its size.
type rejects struct {
	list     []acctlogs.Reject
	end      int // of the last
	cost     int // bytes in the quarantine file
	byReason map[acct.Reason]int64
}

func (r *rejects) add(rej acctlogs.Reject) {
	if r.byReason == nil {
		r.byReason = map[acct.Reason]int64{}
	}
	r.byReason[rej.Reason]++
	r.end = rej.End
	r.cost += rej.End - rej.Start + len(rej.Context)
	if len(r.list) < maxRejects {
		r.list = append(r.list, rej)
	}
}

func (r *rejects) total() (n int64) {
	for _, k := range r.byReason {
		n += k
	}
	return n
}

// pieces returns what goes to quarantine of a body of size bytes.
func (r *rejects) pieces(size int) []acctlogs.Reject {
	if r.total() <= maxRejects && r.cost <= 4*size+1<<20 {
		return r.list
	}
	all := r.list[0]
	all.End = r.end
	all.Detail = "first of many, with the good records between them: " + all.Detail
	return []acctlogs.Reject{all}
}

func reasonAttr(reason string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("reason", reason))
}
