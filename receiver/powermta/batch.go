package powermta

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/multierr"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta/internal/metadata"
)

// reasonRefused is the quarantine reason of records that the pipeline refused
// for good.
const reasonRefused = "refused"

// fileDecoder makes batches of log records from the bytes of one file.
type fileDecoder struct {
	r        *logsReceiver
	file     *tail.File
	dec      *acct.Decoder
	resource map[string]string
	stream   uint32
	state    []byte // of dec, behind the bytes used so far
}

func (r *logsReceiver) newFileDecoder(f *tail.File, state []byte) (tail.Decoder, error) {
	// dec is made at the first chunk, which says at what offset.
	return &fileDecoder{r: r, file: f, resource: r.resourceFor(f), stream: r.streamNumber(f.Stream), state: state}, nil
}

// decoderAt returns a decoder that goes on at offset of the file. With an error
// the state was of no use: then rows that no header explains are rejected.
func (d *fileDecoder) decoderAt(state []byte, offset int64) (*acct.Decoder, error) {
	dec := acct.NewDecoder(d.r.opts)
	err := dec.Restore(state, offset)
	if err != nil {
		dec = acct.NewDecoder(d.r.opts)
		_ = dec.Restore(nil, offset) // cannot fail: an offset is never negative
	}
	return dec, err
}

// Decode implements tail.Decoder.
func (d *fileDecoder) Decode(c tail.Chunk) (int, tail.Batch) {
	if d.dec == nil {
		var err error
		if d.dec, err = d.decoderAt(d.state, c.Offset); err != nil {
			d.r.log.Error("saved decoder state is of no use; reading on without the columns of this file",
				zap.String("file", d.file.Path), zap.Error(err))
		}
	}
	b := &batch{d: d, offset: c.Offset, final: c.Final, before: d.state, observed: time.Now()}
	// The chunk is ours and never written again, so records can share it.
	src := unsafe.String(unsafe.SliceData(c.Data), len(c.Data))
	b.src = src
	used := b.build(d.dec, src)
	b.src = src[:used]
	d.state = d.dec.State()
	if b.logs.LogRecordCount() == 0 && len(b.rejects) == 0 {
		return used, nil
	}
	return used, b
}

// State implements tail.Decoder.
func (d *fileDecoder) State() []byte { return d.state }

// reject is input that became no record, with what it takes to decode it again.
type reject struct {
	acct.Reject
	context []byte
}

// batch is the records and rejects of one chunk.
type batch struct {
	d        *fileDecoder
	src      string // the bytes used, kept to build the records again
	offset   int64  // of src in the file
	final    bool
	before   []byte // decoder state in front of src
	observed time.Time

	logs    plog.Logs
	counts  [len(recordTypes)]int64
	rejects []reject
	dropped int           // copies left out by deduplicate_streams
	drop    map[int]bool  // their places, so that a rebuild leaves out the same
	decided bool          // drop is complete
	dec     *acct.Decoder // in use while build runs
	records plog.LogRecordSlice
	slab    logslab.Slab
	uids    []byte
}

// build decodes src into fresh records and returns the bytes used.
func (b *batch) build(dec *acct.Decoder, src string) int {
	b.logs = plog.NewLogs()
	rl := b.logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl(semconv.SchemaURL)
	putResource(rl.Resource(), b.d.resource)
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(metadata.ScopeName)
	sl.Scope().SetVersion(b.d.r.set.BuildInfo.Version)
	b.records = sl.LogRecords()
	// A row of the default columns is about 500 bytes and 36 attributes.
	n := len(src)/400 + 1
	b.records.EnsureCapacity(n)
	b.slab = logslab.Slab{HintAttrs: n * (36 + b.d.r.spare), Spare: b.d.r.spare}
	b.uids = make([]byte, 0, n*32)
	b.dec = dec
	b.counts, b.rejects, b.dropped = [len(recordTypes)]int64{}, nil, 0
	used := dec.Decode(src, b.final, b)
	b.decided = true
	return used
}

// Record implements acct.Handler.
func (b *batch) Record(rec *acct.Record) {
	if b.d.r.window != nil && !b.keep(rec) {
		b.dropped++
		return
	}
	cfg := b.d.r.cfg
	attrs := rec.Attrs
	b.uids = acct.AppendUID(b.uids, rec.UID)
	uid := b.uids[len(b.uids)-32:]
	attrs = append(attrs, acct.Attr{Key: semconv.LogRecordUID, Str: unsafe.String(unsafe.SliceData(uid), len(uid))})
	if cfg.IncludeFileName {
		attrs = append(attrs, acct.Attr{Key: semconv.LogFileName, Str: b.d.file.Name})
	}
	if cfg.IncludeFilePath {
		attrs = append(attrs, acct.Attr{Key: semconv.LogFilePath, Str: b.d.file.Path})
	}
	if cfg.IncludeOffset {
		attrs = append(attrs, acct.Attr{Key: semconv.LogFileOffset, Num: b.offset + int64(rec.Start), Kind: acct.KindInt})
	}
	if cfg.IncludeOriginal {
		attrs = append(attrs, acct.Attr{Key: semconv.LogRecordOriginal, Str: strings.TrimRight(b.src[rec.Start:rec.End], "\r\n")})
	}
	lr := b.records.AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(rec.Time))
	lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(b.observed))
	lr.SetEventName(rec.Type.EventName())
	number, text := rec.Type.Severity()
	lr.SetSeverityNumber(plog.SeverityNumber(number))
	lr.SetSeverityText(text)
	if rec.Diag != "" {
		b.slab.SetString(lr.Body(), rec.Diag)
	}
	b.slab.SetAttributes(lr.Attributes(), attrs)
	rec.Attrs = attrs[:0] // hand a grown slice back to the decoder
	b.counts[rec.Type]++
}

// Reject implements acct.Handler.
func (b *batch) Reject(r acct.Reject) {
	b.rejects = append(b.rejects, reject{r, b.dec.Context()})
}

// keep decides once per record whether it is a copy of one in another stream.
func (b *batch) keep(rec *acct.Record) bool {
	if b.decided {
		return !b.drop[rec.Start]
	}
	if b.d.r.keep(contentKey(rec), b.d.stream) {
		return true
	}
	if b.drop == nil {
		b.drop = map[int]bool{}
	}
	b.drop[rec.Start] = true
	return false
}

// contentKey hashes what says that two rows of different files tell of the
// same event, whichever columns the files have besides.
func contentKey(rec *acct.Record) uint64 {
	var buf [512]byte
	k := append(buf[:0], rec.TypeText...)
	for t, i := uint64(rec.Time), 0; i < 8; i++ {
		k = append(k, byte(t>>(8*i)))
	}
	k = append(k, rec.Diag...)
	for i := range rec.Attrs {
		switch rec.Attrs[i].Key {
		case semconv.SMTPMailFrom, semconv.SMTPRcptTo, semconv.PMTAQueueName:
			k = append(append(k, 0), rec.Attrs[i].Key...)
			k = append(append(k, 0), rec.Attrs[i].Str...)
		}
	}
	return xxh3.Hash(k)
}

// Deliver implements tail.Batch: it returns nil when the pipeline has accepted
// every record or the quarantine has taken it, and an error only when ctx ends
// before that.
func (b *batch) Deliver(ctx context.Context) error {
	r := b.d.r
	if len(b.rejects) > 0 {
		if err := b.quarantineRejects(ctx); err != nil {
			return err
		}
	}
	if b.dropped > 0 {
		r.telemetry.PmtaDuplicatesDropped.Add(ctx, int64(b.dropped))
	}
	total := b.logs.LogRecordCount()
	if total == 0 {
		return nil
	}
	opCtx := r.obs.StartLogsOp(ctx)
	err := b.offer(ctx)
	r.obs.EndLogsOp(opCtx, metadata.Type.String(), total, err)
	if err != nil {
		return err
	}
	for i, n := range b.counts {
		if n > 0 {
			r.telemetry.PmtaRecords.Add(ctx, n, r.typeAttrs[i])
		}
	}
	return nil
}

// offer repeats ConsumeLogs until the pipeline accepts the batch or refuses it
// for good.
func (b *batch) offer(ctx context.Context) error {
	r := b.d.r
	pause := backoff{cfg: r.cfg.Retry}
	logs := b.logs
	b.logs = plog.Logs{} // the pipeline owns it from here on
	for {
		err := r.next.ConsumeLogs(ctx, logs)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if isPermanent(err) {
			return b.quarantineRefused(ctx, err)
		}
		r.telemetry.PmtaRetries.Add(ctx, 1)
		if pause.shouldLog() {
			r.log.Warn("the pipeline does not accept records; reading waits, nothing is lost",
				zap.String("file", b.d.file.Path), zap.Int64("offset", b.offset), zap.Int("attempt", pause.attempt+1), zap.Error(err))
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
		// What was refused may have been changed on its way, and a part that
		// was handed back has been, so the batch is built again from the bytes.
		b.rebuild()
		logs = b.logs
		b.logs = plog.Logs{}
	}
}

func (b *batch) rebuild() {
	dec, _ := b.d.decoderAt(b.before, b.offset) // an error was reported by Decode
	b.build(dec, b.src)
}

// isPermanent tells whether another attempt is pointless: every one of the
// errors, where several destinations answered, has to say so.
func isPermanent(err error) bool {
	all := multierr.Errors(err)
	for _, e := range all {
		if !consumererror.IsPermanent(e) {
			return false
		}
	}
	return len(all) > 0
}

func (b *batch) quarantineRejects(ctx context.Context) error {
	r := b.d.r
	entries := make([]quarantine.Entry, len(b.rejects))
	for i, rej := range b.rejects {
		entries[i] = b.entry(rej.Start, rej.End, string(rej.Reason), rej.Detail)
		entries[i].Context = rej.context
	}
	if err := b.toQuarantine(ctx, r.quarantine, r.cfg.Quarantine.Path, entries); err != nil {
		return err
	}
	for _, rej := range b.rejects {
		r.telemetry.PmtaRejected.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", string(rej.Reason))))
	}
	first := b.rejects[0]
	r.log.Warn("input could not be read as records; it is in the quarantine file",
		zap.String("file", b.d.file.Path), zap.Int64("offset", b.offset+int64(first.Start)), zap.Int("pieces", len(b.rejects)),
		zap.String("reason", string(first.Reason)), zap.String("detail", first.Detail), zap.String("quarantine", r.cfg.Quarantine.Path))
	return nil
}

// refusals collects the places of a batch's records, for the quarantine.
type refusals struct {
	b       *batch
	entries []quarantine.Entry
	detail  string
	dec     *acct.Decoder
}

func (h *refusals) Record(rec *acct.Record) {
	if h.b.d.r.window != nil && h.b.drop[rec.Start] {
		return
	}
	e := h.b.entry(rec.Start, rec.End, reasonRefused, h.detail)
	e.Context = h.dec.Context()
	h.entries = append(h.entries, e)
}

func (h *refusals) Reject(acct.Reject) {} // went to quarantine already

func (b *batch) quarantineRefused(ctx context.Context, cause error) error {
	r := b.d.r
	dec, _ := b.d.decoderAt(b.before, b.offset) // an error was reported by Decode
	h := &refusals{b: b, detail: cause.Error(), dec: dec}
	dec.Decode(b.src, b.final, h)
	if err := b.toQuarantine(ctx, r.refused, refusedPath(r.cfg.Quarantine.Path), h.entries); err != nil {
		return err
	}
	r.telemetry.PmtaRejected.Add(ctx, int64(len(h.entries)), metric.WithAttributes(attribute.String("reason", reasonRefused)))
	r.log.Error("the pipeline refused records for good; they are in the quarantine file",
		zap.String("file", b.d.file.Path), zap.Int64("offset", b.offset), zap.Int("records", len(h.entries)),
		zap.String("quarantine", refusedPath(r.cfg.Quarantine.Path)), zap.Error(cause))
	b.counts = [len(recordTypes)]int64{}
	return nil
}

func (b *batch) entry(start, end int, reason, detail string) quarantine.Entry {
	e := quarantine.Entry{Time: b.observed.UTC(), File: b.d.file.Path, Offset: b.offset + int64(start), Reason: reason, Detail: detail}
	e.SetRaw(b.src[start:end])
	return e
}

// toQuarantine writes until it succeeds: a full disk must not lose input.
func (b *batch) toQuarantine(ctx context.Context, file *quarantine.File, path string, entries []quarantine.Entry) error {
	r := b.d.r
	pause := backoff{cfg: r.cfg.Retry}
	for {
		err := file.Write(entries)
		if err == nil {
			return nil
		}
		if pause.shouldLog() {
			r.log.Error("cannot write the quarantine file; reading waits until it can be written",
				zap.String("quarantine", path), zap.Error(err))
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
	}
}

// backoff paces attempts: doubling, with jitter, never ending.
type backoff struct {
	cfg     RetryConfig
	attempt int
	logged  time.Time
}

// shouldLog is true at the first attempt and then once a minute.
func (p *backoff) shouldLog() bool {
	if now := time.Now(); now.Sub(p.logged) > time.Minute {
		p.logged = now
		return true
	}
	return false
}

func (p *backoff) wait(ctx context.Context) error {
	d := p.cfg.MaxInterval
	if p.attempt < 30 {
		d = min(d, p.cfg.InitialInterval<<p.attempt)
	}
	p.attempt++
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
