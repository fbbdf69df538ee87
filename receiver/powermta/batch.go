package powermta

import (
	"context"
	"strings"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/reconcile"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta/internal/metadata"
)

// fileDecoder makes batches of log records from the bytes of one file.
type fileDecoder struct {
	r      *logsReceiver
	file   *tail.File
	dec    *acct.Decoder
	common *acctlogs.Options
	stream uint32
	// belongs is the stream that the configuration names, "" for the one that
	// the records themselves tell.
	belongs string
	tally   tally
	assume  []byte   // state of the decoder of what was truncated in this file
	columns []string // that the coverage knows
	state   []byte   // of dec, behind the bytes used so far
}

func (r *logsReceiver) newFileDecoder(f *tail.File, state []byte) (tail.Decoder, error) {
	// dec is made at the first chunk, which says at what offset.
	resource, belongs := r.settingsFor(f)
	d := &fileDecoder{r: r, file: f, common: r.common(resource), stream: r.streamNumber(f.Stream), belongs: belongs}
	var err error
	if d.tally, d.state, err = unwrapTally(state); err != nil {
		return nil, err
	}
	_, d.assume, _ = unwrapTally(f.Before) // of another version: nothing is assumed
	return d, nil
}

// common returns what all records with these resource attributes share.
func (r *logsReceiver) common(resource map[string]string) *acctlogs.Options {
	return &acctlogs.Options{ScopeName: metadata.ScopeName, ScopeVersion: r.set.BuildInfo.Version, Resource: resource, Spare: r.spare}
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
	if len(state) == 0 && offset == 0 {
		dec.Assume(d.assume)
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
	if d.dec.Offset() != c.Offset {
		// start_at: end skips from the header to the last line.
		d.state = d.dec.State()
		d.dec, _ = d.decoderAt(d.state, c.Offset) // cannot fail: State is right
		d.tally.Counts = reconcile.Counts{Partial: true}
	}
	// The chunk is ours and never written again, so records can share it.
	src := unsafe.String(unsafe.SliceData(c.Data), len(c.Data))
	b := &batch{d: d, before: d.state, stream: d.streamOf(c, src)}
	b.in = acctlogs.Input{Name: d.file.Path, Src: src, Offset: c.Offset, Final: c.Final, Observed: time.Now()}
	used := b.build(d.dec)
	b.in.Src = src[:used]
	d.state = d.dec.State()
	d.tally.Emitted += int64(b.out.Logs.LogRecordCount())
	for _, rej := range b.rejects {
		if rej.Reason != acct.ReasonNulBytes { // PMTA counted no record there
			d.tally.Rejected++
		}
	}
	d.tally.Duplicates += int64(b.dropped)
	d.r.reports.progress(d.file, d.tally.Counts)
	if d.r.coverage != nil {
		d.r.coverage.batch(d, b)
	}
	if b.out.Logs.LogRecordCount() == 0 && len(b.rejects) == 0 {
		return used, nil
	}
	return used, b
}

// State implements tail.Decoder.
func (d *fileDecoder) State() []byte { return d.tally.wrap(d.state) }

// streamOf says which stream the records of a chunk belong to. A file is one
// of bounces as long as it, and every file of its name before, held nothing
// else. The type column decides, never the file's name.
func (d *fileDecoder) streamOf(c tail.Chunk, src string) string {
	if d.belongs != "" {
		return d.belongs
	}
	if !d.tally.mixed && !d.r.isMixed(d.stream) {
		// One look ahead, so that a file which merely begins with bounces is not
		// taken for one of bounces where that can be known.
		dec, _ := d.decoderAt(d.state, c.Offset)
		var s survey
		dec.Decode(src, c.Final, &s)
		if onlyBounces(&s.counts) {
			return semconv.StreamBounce
		}
	}
	d.tally.mixed = true
	d.r.setMixed(d.stream)
	return semconv.StreamAcct
}

// batch is the records and rejects of one chunk.
type batch struct {
	d      *fileDecoder
	in     acctlogs.Input // the bytes used
	before []byte         // decoder state in front of them
	stream string         // value of pmta.stream

	out      acctlogs.Builder
	rejects  []acctlogs.Reject
	contexts acctlogs.Contexts
	// Times of the first and last record, and the types that the coverage has
	// seen a sample of.
	firstTime, lastTime int64
	sampled             uint16

	dropped int           // copies left out by deduplicate_streams
	drop    map[int]bool  // their places, so that a rebuild leaves out the same
	decided bool          // drop is complete
	dec     *acct.Decoder // in use while build runs
}

// build decodes the input into fresh records and returns the bytes used.
func (b *batch) build(dec *acct.Decoder) int {
	b.out.Begin(b.d.common, len(b.in.Src), b.in.Observed)
	b.dec = dec
	b.rejects, b.dropped, b.contexts = nil, 0, acctlogs.Contexts{}
	used := dec.Decode(b.in.Src, b.in.Final, b)
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
	var buf [5]acct.Attr
	more := append(buf[:0], acct.Attr{Key: semconv.PMTAStream, Str: b.stream})
	if cfg.IncludeFileName {
		more = append(more, acct.Attr{Key: semconv.LogFileName, Str: b.d.file.Name})
	}
	if cfg.IncludeFilePath {
		more = append(more, acct.Attr{Key: semconv.LogFilePath, Str: b.d.file.Path})
	}
	if cfg.IncludeOffset {
		more = append(more, acct.Attr{Key: semconv.LogFileOffset, Num: b.in.Offset + int64(rec.Start), Kind: acct.KindInt})
	}
	if cfg.IncludeOriginal {
		more = append(more, acct.Attr{Key: semconv.LogRecordOriginal, Str: strings.TrimRight(b.in.Src[rec.Start:rec.End], "\r\n")})
	}
	if w := b.d.r.coverage; w != nil && !b.decided {
		b.sample(w, rec)
	}
	b.out.Add(rec, more...)
}

// sample shows the coverage the first record of each type.
func (b *batch) sample(w *coverageWatch, rec *acct.Record) {
	if b.firstTime == 0 {
		b.firstTime = rec.Time
	}
	b.lastTime = rec.Time
	if bit := uint16(1) << rec.Type; b.sampled&bit == 0 {
		b.sampled |= bit
		w.seen.AddSample(w.streamName(b.d), rec)
	}
}

// Reject implements acct.Handler.
func (b *batch) Reject(r acct.Reject) {
	b.rejects = append(b.rejects, acctlogs.Reject{Reject: r, Context: b.contexts.Of(b.dec)})
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
		if err := r.quarantineRejects(ctx, &b.in, b.rejects); err != nil {
			return err
		}
	}
	if b.dropped > 0 {
		r.telemetry.PmtaDuplicatesDropped.Add(ctx, int64(b.dropped))
	}
	total := b.out.Logs.LogRecordCount()
	if total == 0 {
		return nil
	}
	opCtx := r.obs.StartLogsOp(ctx)
	err := r.offer(ctx, b)
	r.obs.EndLogsOp(opCtx, metadata.Type.String(), total, err)
	if err != nil {
		return err
	}
	for i, n := range b.out.Counts {
		if n > 0 {
			r.telemetry.PmtaRecords.Add(ctx, n, r.typeAttrs[i])
		}
	}
	return nil
}

func (b *batch) rebuild() {
	dec, _ := b.d.decoderAt(b.before, b.in.Offset) // an error was reported by Decode
	b.build(dec)
}

// again implements cargo.
func (b *batch) again() plog.Logs {
	b.rebuild()
	return b.logs()
}

// logs implements cargo.
func (b *batch) logs() plog.Logs { return b.out.Take() }

// place implements cargo.
func (b *batch) place() (string, int64) { return b.d.file.Path, b.in.Offset }

// refused implements cargo.
func (b *batch) refused(cause error) []quarantine.Entry {
	dec, _ := b.d.decoderAt(b.before, b.in.Offset) // an error was reported by Decode
	b.out.Counts = acctlogs.Counts{}
	return b.in.Refused(dec, cause, func(rec *acct.Record) bool { return b.d.r.window != nil && b.drop[rec.Start] })
}
