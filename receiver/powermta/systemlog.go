package powermta

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/mainlog"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta/internal/metadata"
)

// systemLog reads PowerMTA's own log. Its methods but run are called by one
// tailer only, so they need no lock.
type systemLog struct {
	r       *logsReceiver
	opts    mainlog.Options
	unknown *mainlog.Unknown
	// chains holds the files that are being read, by directory and stream, the
	// oldest first: sessions that are open at the end of one go on in the next.
	chains map[string][]*logDecoder
	// orphans are open sessions of a file that has no successor yet.
	orphans map[string]legacy
	seq     int
}

// legacy is the open sessions that a file leaves behind.
type legacy struct {
	from     [16]byte // identity of the file
	sessions []byte
}

// maxChain bounds the files whose sessions may be joined. More are being read
// at a time only when the agent catches up.
const maxChain = 64

func newSystemLog(r *logsReceiver) (*systemLog, error) {
	cfg := r.cfg.SystemLog
	patterns, err := mainlog.LoadPatterns(cfg.PatternsFile)
	if err != nil {
		return nil, fmt.Errorf("system_log::patterns_file: %w", err)
	}
	s := &systemLog{r: r, unknown: mainlog.NewUnknown(cfg.Unknown.MaxTemplates), chains: map[string][]*logDecoder{}, orphans: map[string]legacy{}}
	s.opts = mainlog.Options{
		Location: r.opts.Location, MaxRecordSize: int(r.cfg.MaxRecordSize), Instance: r.cfg.Instance,
		Patterns: patterns, KeepData: cfg.KeepData,
		MaxSessions: cfg.Sessions.MaxOpen, SessionTimeout: cfg.Sessions.Timeout, MaxTranscript: int(cfg.Sessions.MaxTranscript),
	}
	if cfg.Sessions.MaxTranscript == 0 {
		s.opts.MaxTranscript = -1
	}
	if cfg.Unknown.Path == "" {
		return s, nil
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Unknown.Path), 0o750); err != nil {
		return nil, fmt.Errorf("system_log::unknown::path: %w; name a file the agent may write, or set it to \"\"", err)
	}
	if err := s.unknown.Load(cfg.Unknown.Path); err != nil {
		// The counts of earlier days are not worth a refusal to start.
		r.log.Warn("cannot read the templates of unknown log entries of an earlier run; starting anew", zap.String("path", cfg.Unknown.Path), zap.Error(err))
	}
	// Tried at once: a folder that cannot be written shows now, not later.
	if err := s.unknown.Save(cfg.Unknown.Path); err != nil {
		return nil, fmt.Errorf("system_log::unknown::path: %w; name a file the agent may write, or set it to \"\"", err)
	}
	return s, nil
}

// run reloads the patterns and saves the unknown templates until ctx ends.
func (s *systemLog) run(ctx context.Context) {
	cfg, log := s.r.cfg.SystemLog, s.r.log
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.opts.Patterns.Watch(ctx, cfg.ReloadInterval, func(err error) {
			if err != nil {
				log.Error("the patterns file was refused; the patterns before stay in force", zap.Error(err))
				return
			}
			log.Info("the patterns file was read again", zap.String("version", s.opts.Patterns.Version()))
		})
	}()
	defer func() { <-watched }()
	if cfg.Unknown.Path == "" {
		return
	}
	save := func() {
		if err := s.unknown.Save(cfg.Unknown.Path); err != nil {
			log.Error("cannot save the templates of unknown log entries; trying again", zap.String("path", cfg.Unknown.Path), zap.Error(err))
		}
	}
	tick := time.NewTicker(cfg.Unknown.SaveInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			save()
			return
		case <-tick.C:
			save()
		}
	}
}

// logDecoder makes batches of log records from the bytes of one log file.
type logDecoder struct {
	s       *systemLog
	file    *tail.File
	common  *acctlogs.Options
	opts    mainlog.Options
	dec     *mainlog.Decoder
	adopted [16]byte // identity of the file whose sessions went on here
	state   []byte   // of dec, behind the bytes used so far
	index   int      // rotation number in the name
	seq     int
}

// known notes a file that an earlier run did not finish. Nothing may be left to
// read in it, but sessions may be open at its end.
func (s *systemLog) known(f *tail.File, _ int64, state []byte) {
	if d, err := s.decoderFor(f, state); err == nil {
		s.join(d)
	}
}

func (s *systemLog) newDecoder(f *tail.File, state []byte) (tail.Decoder, error) {
	d, err := s.decoderFor(f, state)
	if err != nil {
		return nil, err
	}
	s.join(d)
	return d, nil
}

func (s *systemLog) decoderFor(f *tail.File, state []byte) (*logDecoder, error) {
	resource, _ := s.r.settingsFor(f)
	d := &logDecoder{s: s, file: f, common: s.r.common(resource), opts: s.opts, index: rotationIndex(f), seq: s.seq}
	s.seq++
	d.opts.StartupErrors = strings.Contains(f.Name, "startuperr")
	if len(state) > 0 {
		if len(state) < 17 || state[0] != logStateVersion {
			return nil, mainlog.ErrState
		}
		d.adopted, d.state = [16]byte(state[1:17]), state[17:]
	}
	return d, nil
}

// join puts d in the place of its file in the chain.
func (s *systemLog) join(d *logDecoder) {
	key := chainOf(d.file)
	chain := s.chains[key]
	if i := slices.IndexFunc(chain, func(c *logDecoder) bool { return c.file == d.file }); i >= 0 {
		d.seq = chain[i].seq
		chain[i] = d
		return
	}
	chain = append(chain, d)
	slices.SortStableFunc(chain, func(a, b *logDecoder) int {
		if a.index != b.index {
			return b.index - a.index
		}
		return a.seq - b.seq
	})
	if len(chain) > maxChain {
		chain = slices.Delete(chain, 0, 1)
	}
	s.chains[key] = chain
}

const logStateVersion = 1

// State implements tail.Decoder. Layout: version, identity of the file whose
// sessions went on here, state of the decoder.
func (d *logDecoder) State() []byte {
	b := make([]byte, 0, 17+len(d.state))
	return append(append(append(b, logStateVersion), d.adopted[:]...), d.state...)
}

func chainOf(f *tail.File) string { return filepath.Dir(f.Path) + "\x00" + f.Stream }

// rotationIndex is the 3 of log.3 and log-3.txt, 0 for the live file.
func rotationIndex(f *tail.File) int {
	if f.Name == f.Stream {
		return 0
	}
	name := strings.TrimSuffix(f.Name, filepath.Ext(f.Stream))
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	n, _ := strconv.Atoi(name[i:])
	return n
}

func (d *logDecoder) decoderAt(opts mainlog.Options, state []byte, offset int64) (*mainlog.Decoder, error) {
	dec := mainlog.NewDecoder(opts)
	err := dec.Restore(state, offset)
	if err != nil {
		dec = mainlog.NewDecoder(opts)
		_ = dec.Restore(nil, offset) // cannot fail: an offset is never negative
	}
	return dec, err
}

// Decode implements tail.Decoder.
func (d *logDecoder) Decode(c tail.Chunk) (int, tail.Batch) {
	if d.dec == nil {
		opts := d.opts
		opts.Unknown = d.s.unknown
		var err error
		if d.dec, err = d.decoderAt(opts, d.state, c.Offset); err != nil {
			d.s.r.log.Error("saved decoder state is of no use; open sessions of this file come as incomplete", zap.String("file", d.file.Path), zap.Error(err))
		}
		d.inherit(c.Offset)
	}
	if d.dec.Offset() != c.Offset {
		// start_at: end skips from the first line to the last.
		opts := d.opts
		opts.Unknown = d.s.unknown
		d.state = d.dec.State()
		d.dec, _ = d.decoderAt(opts, d.state, c.Offset) // cannot fail: State is right
	}
	src := unsafe.String(unsafe.SliceData(c.Data), len(c.Data))
	b := &logBatch{d: d, before: d.state, live: true}
	b.in = acctlogs.Input{Name: d.file.Path, Kind: quarantine.KindSystemLog, Src: src, Offset: c.Offset, Final: c.Final, Observed: time.Now()}
	stats := d.dec.Stats()
	used := b.build(d.dec)
	b.live = false
	now := d.dec.Stats()
	b.removed, b.unknown = int64(now.Removed+now.Secrets-stats.Removed-stats.Secrets), int64(now.Unknown-stats.Unknown)
	b.in.Src = src[:used]
	d.state = d.dec.State()
	if b.out.Logs.LogRecordCount() == 0 && len(b.rejects) == 0 {
		return used, nil
	}
	return used, b
}

// inherit takes over, at the beginning of a file, the open sessions of the file
// before it. That one is read to its end, since files are read in order.
func (d *logDecoder) inherit(offset int64) {
	if offset > 0 {
		return
	}
	s, key := d.s, chainOf(d.file)
	if l, ok := s.orphans[key]; ok {
		delete(s.orphans, key)
		d.adopt(l)
		return
	}
	chain := s.chains[key]
	if i := slices.Index(chain, d); i > 0 {
		d.adopt(chain[i-1].leave())
	}
}

// leave returns the sessions that are open at the end of what was read.
func (d *logDecoder) leave() legacy {
	dec := d.dec
	if dec == nil {
		dec = mainlog.NewDecoder(d.opts)
		if dec.Resume(d.state) != nil {
			return legacy{} // nothing was read
		}
	}
	return legacy{dec.Identity(), dec.Carry()}
}

func (d *logDecoder) adopt(l legacy) {
	if len(l.sessions) == 0 || d.adopted == l.from {
		return // nothing, or taken over before a restart
	}
	if err := d.dec.Adopt(l.sessions); err != nil {
		d.s.r.log.Error("cannot go on with the sessions of the log before; they are lost", zap.String("file", d.file.Path), zap.Error(err))
		return
	}
	d.adopted = l.from
	d.state = d.dec.State()
}

// finished hands the sessions that are open at the end of a rotated file to
// the file that follows, unless that has them already.
func (s *systemLog) finished(f *tail.File) {
	key := chainOf(f)
	chain := s.chains[key]
	i := slices.IndexFunc(chain, func(d *logDecoder) bool { return d.file == f })
	if i < 0 {
		return // nothing was read of it
	}
	l := chain[i].leave()
	s.chains[key] = slices.Delete(chain, i, i+1)
	if len(l.sessions) == 0 {
		return
	}
	if i < len(s.chains[key]) {
		switch next := s.chains[key][i]; {
		case next.adopted == l.from:
			return
		case next.dec != nil:
			next.adopt(l)
			return
		}
	}
	s.orphans[key] = l
}

// logBatch is the entries, sessions and rejects of one chunk. It is the
// mainlog.Handler.
type logBatch struct {
	d      *logDecoder
	in     acctlogs.Input // the bytes used
	before []byte         // decoder state in front of them
	live   bool           // built for the first time

	out              acctlogs.Builder
	ev               acctlogs.Event
	rejects          []acctlogs.Reject
	removed, unknown int64
	entries          map[string]int64 // by event name
	sessions         map[string]int64 // by outcome
	dec              *mainlog.Decoder // in use while build runs
}

func (b *logBatch) build(dec *mainlog.Decoder) int {
	b.out.Begin(b.d.common, len(b.in.Src), b.in.Observed)
	b.dec = dec
	b.rejects, b.entries, b.sessions = nil, map[string]int64{}, map[string]int64{}
	return dec.Decode(b.in.Src, b.in.Final, b)
}

// Entry implements mainlog.Handler.
func (b *logBatch) Entry(e *mainlog.Entry) {
	if b.live && e.Event == semconv.EventAcctFileMoved {
		b.moved(e)
	}
	if !b.d.s.r.cfg.SystemLog.Sessions.Lines && isSessionLine(e.Event) {
		return
	}
	cfg := b.d.s.r.cfg
	more := b.more(e.Stream)
	if cfg.IncludeOffset {
		more = append(more, acct.Attr{Key: semconv.LogFileOffset, Num: b.in.Offset + int64(e.Start), Kind: acct.KindInt})
	}
	if cfg.IncludeOriginal {
		// Not the bytes themselves: those may hold credentials.
		more = append(more, acct.Attr{Key: semconv.LogRecordOriginal, Str: e.Text})
	}
	b.ev = acctlogs.Event{Time: e.Time, Name: e.Event, Severity: int32(e.Severity), SeverityText: e.Severity.String(), Body: e.Text, UID: e.UID, Attrs: e.Attrs}
	b.out.AddEvent(&b.ev, more...)
	e.Attrs = b.ev.Attrs
	b.entries[e.Event]++
}

// Session implements mainlog.Handler.
func (b *logBatch) Session(s *mainlog.Session) {
	if !b.d.s.r.cfg.SystemLog.Sessions.Enabled {
		return
	}
	for i := range s.Attrs {
		if s.Attrs[i].Key == semconv.PMTASessionOutcome {
			b.sessions[s.Attrs[i].Str]++
		}
	}
	b.ev = acctlogs.Event{Time: s.Time, Name: semconv.EventSession, Severity: int32(s.Severity), SeverityText: s.Severity.String(), Body: s.Text, UID: s.UID, Attrs: s.Attrs}
	b.out.AddEvent(&b.ev, b.more(semconv.StreamDiag)...)
	s.Attrs = b.ev.Attrs
}

// more is what the receiver adds to entries and sessions.
func (b *logBatch) more(stream string) []acct.Attr {
	more := make([]acct.Attr, 1, 5)
	more[0] = acct.Attr{Key: semconv.PMTAStream, Str: stream}
	if b.d.s.r.cfg.IncludeFileName {
		more = append(more, acct.Attr{Key: semconv.LogFileName, Str: b.d.file.Name})
	}
	if b.d.s.r.cfg.IncludeFilePath {
		more = append(more, acct.Attr{Key: semconv.LogFilePath, Str: b.d.file.Path})
	}
	return more
}

// Reject implements mainlog.Handler.
func (b *logBatch) Reject(r acct.Reject) {
	b.rejects = append(b.rejects, acctlogs.Reject{Reject: r, Context: b.dec.Context()})
}

// moved tells the reconciliation of a moved accounting file that PowerMTA has
// counted.
func (b *logBatch) moved(e *mainlog.Entry) {
	var from, to string
	count := int64(-1)
	for _, a := range e.Attrs {
		switch a.Key {
		case semconv.PMTAAcctFilePath:
			from = a.Str
		case semconv.PMTAAcctFileMovedTo:
			to = a.Str
		case semconv.PMTAAcctFileRecords:
			count = a.Num
		}
	}
	if from != "" && count >= 0 {
		b.d.s.r.reports.moved(from, to, count, e.Time)
	}
}

// isSessionLine tells whether an event is a line of a session.
func isSessionLine(event string) bool {
	return strings.HasPrefix(event, semconv.EventSession+".") && event != semconv.EventSessionAccept
}

// Deliver implements tail.Batch.
func (b *logBatch) Deliver(ctx context.Context) error {
	r := b.d.s.r
	if len(b.rejects) > 0 {
		if err := r.quarantineRejects(ctx, &b.in, b.rejects); err != nil {
			return err
		}
	}
	if b.removed > 0 {
		r.telemetry.PmtaLogRemoved.Add(ctx, b.removed)
	}
	if b.unknown > 0 {
		r.telemetry.PmtaLogUnknown.Add(ctx, b.unknown)
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
	for event, n := range b.entries {
		r.countEntry(ctx, event, n)
	}
	for outcome, n := range b.sessions {
		r.telemetry.PmtaSessions.Add(ctx, n, metric.WithAttributes(attribute.String(semconv.PMTASessionOutcome, outcome)))
	}
	return nil
}

// maxEvents bounds the values of a metric's attribute: a user's patterns may
// name any number of events.
const maxEvents = 100

// countEntry counts entries of the system log and findings by event.
func (r *logsReceiver) countEntry(ctx context.Context, event string, n int64) {
	r.mu.Lock()
	attrs, ok := r.events[event]
	if !ok {
		if len(r.events) >= maxEvents {
			event = "other"
		}
		attrs = metric.WithAttributeSet(attribute.NewSet(attribute.String("event", event)))
		r.events[event] = attrs
	}
	r.mu.Unlock()
	r.telemetry.PmtaLogEntries.Add(ctx, n, attrs)
}

// logs implements cargo.
func (b *logBatch) logs() plog.Logs { return b.out.Take() }

// again implements cargo.
func (b *logBatch) again() plog.Logs {
	dec, _ := b.d.decoderAt(b.d.opts, b.before, b.in.Offset) // an error was reported by Decode
	b.build(dec)
	return b.logs()
}

// place implements cargo.
func (b *logBatch) place() (string, int64) { return b.d.file.Path, b.in.Offset }

// refused implements cargo. What is kept is the text without credentials.
func (b *logBatch) refused(cause error) []quarantine.Entry {
	h := &refusedLog{b: b, detail: cause.Error()}
	h.dec, _ = b.d.decoderAt(b.d.opts, b.before, b.in.Offset)
	h.dec.Decode(b.in.Src, b.in.Final, h)
	b.entries, b.sessions = nil, nil
	return h.entries
}

// refusedLog collects what the pipeline refused for good.
type refusedLog struct {
	b       *logBatch
	detail  string
	dec     *mainlog.Decoder
	entries []quarantine.Entry
}

func (h *refusedLog) Entry(e *mainlog.Entry) {
	if h.b.d.s.r.cfg.SystemLog.Sessions.Lines || !isSessionLine(e.Event) {
		h.add(quarantine.KindSystemLog, e.Start, e.Line(h.b.d.opts.Location), h.dec.Context())
	}
}

func (h *refusedLog) Session(s *mainlog.Session) {
	if h.b.d.s.r.cfg.SystemLog.Sessions.Enabled {
		h.add(quarantine.KindSession, s.Start, s.Text, nil)
	}
}

func (h *refusedLog) Reject(acct.Reject) {} // has an entry of its own already

func (h *refusedLog) add(kind string, start int, raw string, context []byte) {
	e := quarantine.Entry{Time: h.b.in.Observed.UTC(), File: h.b.in.Name, Offset: h.b.in.Offset + int64(start), Kind: kind,
		Reason: acctlogs.ReasonRefused, Detail: h.detail, Context: context}
	e.SetRaw(raw)
	h.entries = append(h.entries, e)
}
