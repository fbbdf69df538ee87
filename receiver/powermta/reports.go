package powermta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/reconcile"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
)

// reports sends what the agent itself finds out: accounting files that differ
// from PowerMTA's count, questions that its configuration leaves open. They are
// no part of a file, so nothing waits for them.
type reports struct {
	r      *logsReceiver
	wake   chan struct{}
	done   chan struct{}
	cancel context.CancelFunc

	mu      sync.Mutex // guards everything declared below
	tracker *reconcile.Tracker
	pending []acctlogs.Event
	lost    int64 // of tracker.Lost, as far as it was told
	// reading holds what was read so far of the files that are not finished.
	reading map[string]reconcile.Counts
}

// maxPending bounds the events that wait for the pipeline.
const maxPending = 256

func (r *logsReceiver) newReports(store *sideStore) *reports {
	p := &reports{r: r, wake: make(chan struct{}, 1), done: make(chan struct{}), reading: map[string]reconcile.Counts{}}
	if r.cfg.Reconciliation.Enabled && len(r.cfg.SystemLog.Include) > 0 && len(r.cfg.Include) > 0 {
		opt := reconcile.Options{Grace: r.cfg.Reconciliation.Grace, Expected: r.isIncluded,
			Progress: func(name string) (reconcile.Counts, bool) { c, ok := p.reading[name]; return c, ok }}
		if store != nil {
			opt.Store = store
		}
		var err error
		if p.tracker, err = reconcile.New(opt); err != nil {
			r.log.Warn("some of what PowerMTA counted before the restart cannot be read; those files are not compared", zap.Error(err))
		}
	}
	return p
}

// isIncluded tells whether a file is among those to read, here or where it was
// moved to, which may be named as a file or as a folder.
func (r *logsReceiver) isIncluded(from, to string) bool {
	names := []string{from}
	if to != "" {
		names = append(names, to, filepath.Join(to, filepath.Base(from)))
	}
	for _, name := range names {
		if matchAny(r.cfg.Include, name) && !matchAny(r.cfg.Exclude, name) {
			return true
		}
	}
	// PowerMTA may see its files at another place than the agent does, as in a
	// container, or name them from its own folder on. Then the name has to do.
	if _, err := os.Stat(filepath.Dir(from)); filepath.IsAbs(from) && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	base := filepath.Base(from)
	return matchBase(r.cfg.Include, base) && !matchBase(r.cfg.Exclude, base)
}

// matchBase matches the name of a file with the last part of patterns.
func matchBase(patterns []string, base string) bool {
	for _, p := range patterns {
		if ok, _ := doublestar.Match(path.Base(filepath.ToSlash(p)), base); ok {
			return true
		}
	}
	return false
}

func matchAny(patterns []string, name string) bool {
	name = filepath.ToSlash(name)
	for _, p := range patterns {
		if abs, err := filepath.Abs(p); err == nil {
			p = abs
		}
		if ok, _ := doublestar.Match(filepath.ToSlash(p), name); ok {
			return true
		}
	}
	return false
}

func (p *reports) start() {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go p.run(ctx)
}

func (p *reports) stop() {
	if p.cancel != nil {
		p.cancel()
		<-p.done
	}
}

func (p *reports) run(ctx context.Context) {
	defer close(p.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.wake:
		}
		if p.r.coverage != nil {
			p.add(p.r.coverage.look(time.Now())...)
		}
		p.sendPending(ctx)
		p.reconcile(ctx)
	}
}

func (p *reports) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// add puts events in line. When the pipeline has been away for so long that the
// line is full, the oldest go: they were logged.
func (p *reports) add(events ...acctlogs.Event) {
	if len(events) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = append(p.pending, events...)
	if n := len(p.pending) - maxPending; n > 0 {
		p.pending = append(p.pending[:0], p.pending[n:]...)
		p.r.log.Warn("the pipeline does not accept the agent's own findings; the oldest were dropped, they are in this log", zap.Int("dropped", n))
	}
	p.signal()
}

func (p *reports) sendPending(ctx context.Context) {
	p.mu.Lock()
	events := p.pending
	p.pending = nil
	p.mu.Unlock()
	if len(events) > 0 && !p.emit(ctx, events) {
		p.mu.Lock()
		p.pending = append(events, p.pending...)
		p.mu.Unlock()
	}
}

// emit sends events and is true when the pipeline has decided about them.
func (p *reports) emit(ctx context.Context, events []acctlogs.Event) bool {
	r := p.r
	pause := backoff{cfg: r.cfg.Retry}
	var b acctlogs.Builder
	for {
		b.Begin(r.common(acctlogs.Resource(r.cfg.Instance, r.cfg.Resource)), 0, time.Now())
		for _, e := range events {
			e.Attrs = append([]acct.Attr(nil), e.Attrs...)
			b.AddEvent(&e)
		}
		err := r.next.ConsumeLogs(ctx, b.Logs)
		switch {
		case err == nil:
			for _, e := range events {
				r.countEntry(ctx, e.Name, 1)
			}
			return true
		case ctx.Err() != nil:
			return false
		case acctlogs.IsPermanent(err):
			if r.toQuarantine(ctx, r.refused, r.cfg.Quarantine.RefusedPath(), acctlogs.RefusedEvents("the agent", events, err)) != nil {
				return false
			}
			r.telemetry.PmtaRejected.Add(ctx, int64(len(events)), metric.WithAttributes(attribute.String("reason", acctlogs.ReasonRefused)))
			r.log.Error("the pipeline refused the agent's own findings for good; they are in this log and in the quarantine file",
				zap.Int("events", len(events)), zap.String("quarantine", r.cfg.Quarantine.RefusedPath()), zap.Error(err))
			return true
		}
		r.telemetry.PmtaRetries.Add(ctx, 1)
		if pause.shouldLog() {
			r.log.Warn("the pipeline does not accept the agent's own findings; trying again", zap.Int("attempt", pause.attempt+1), zap.Error(err))
		}
		if pause.wait(ctx) != nil {
			return false
		}
	}
}

// moved notes what the system log says of an accounting file.
func (p *reports) moved(from, to string, counted, at int64) {
	if p.tracker == nil {
		return
	}
	if p.r.coverage != nil {
		p.r.coverage.seen.SetMovedCounted()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.storeFailed(p.tracker.Moved(from, to, counted, time.Unix(0, at), time.Now()))
	p.signal()
}

// progress notes what was read of an accounting file so far.
func (p *reports) progress(f *tail.File, c reconcile.Counts) {
	if p.tracker == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading[reconcile.Name(f.Path)] = c
}

// known notes an accounting file that an earlier run did not finish.
func (p *reports) known(f *tail.File, state []byte) {
	if t, _, err := unwrapTally(state); err == nil {
		p.progress(f, t.Counts)
	}
}

// finished notes that an accounting file was read to its end.
func (p *reports) finished(f *tail.File, state []byte) {
	if p.tracker == nil {
		return
	}
	t, _, err := unwrapTally(state)
	if err != nil {
		return // then the file is read again, and finishes again
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reading, reconcile.Name(f.Path))
	p.storeFailed(p.tracker.Finished(f.Path, t.Counts, time.Now()))
	p.signal()
}

func (p *reports) storeFailed(err error) {
	if err != nil {
		p.r.log.Warn("cannot save what is known of a moved accounting file; it is not compared if the agent stops now", zap.Error(err))
	}
}

func (p *reports) reconcile(ctx context.Context) {
	if p.tracker == nil {
		return
	}
	p.mu.Lock()
	due := p.tracker.Due(time.Now())
	lost := p.tracker.Lost() - p.lost
	p.lost += lost
	p.mu.Unlock()
	r := p.r
	r.countReconciled(ctx, string(reconcile.NotCompared), lost)
	for _, res := range due {
		if res.Outcome == reconcile.Differs || res.Outcome == reconcile.NotRead {
			r.log.Warn("PowerMTA counted another number of records in an accounting file than were read",
				zap.String("file", res.Path), zap.String("outcome", string(res.Outcome)), zap.Int64("counted", res.Counted),
				zap.Int64("emitted", res.Read.Emitted), zap.Int64("rejected", res.Read.Rejected), zap.Int64("duplicates", res.Read.Duplicates))
			if !p.emit(ctx, []acctlogs.Event{r.reconciliationEvent(res)}) {
				return // it is due again after a restart
			}
		}
		r.countReconciled(ctx, string(res.Outcome), 1)
		if d := res.Difference(); d != 0 && res.Outcome != reconcile.NotCompared {
			direction := "missing"
			if d < 0 {
				direction, d = "surplus", -d
			}
			r.telemetry.PmtaReconciliationRecords.Add(ctx, d, metric.WithAttributes(attribute.String("direction", direction)))
		}
		p.mu.Lock()
		p.storeFailed(p.tracker.Done(res))
		p.mu.Unlock()
	}
}

func (r *logsReceiver) countReconciled(ctx context.Context, outcome string, n int64) {
	if n > 0 {
		r.telemetry.PmtaReconciledFiles.Add(ctx, n, metric.WithAttributes(attribute.String("outcome", outcome)))
	}
}

func (r *logsReceiver) reconciliationEvent(res reconcile.Result) acctlogs.Event {
	body := fmt.Sprintf("PowerMTA counted %d records in %s; %d were sent, %d rejected, %d left out as duplicates",
		res.Counted, res.Path, res.Read.Emitted, res.Read.Rejected, res.Read.Duplicates)
	if res.Outcome == reconcile.NotRead {
		body = fmt.Sprintf("PowerMTA moved %s with %d records; it was not read to its end within %v", res.Path, res.Counted, r.cfg.Reconciliation.Grace)
	}
	num := func(key string, n int64) acct.Attr { return acct.Attr{Key: key, Num: n, Kind: acct.KindInt} }
	attrs := []acct.Attr{
		{Key: semconv.PMTAStream, Str: semconv.StreamDiag},
		{Key: semconv.PMTAAcctFilePath, Str: res.Path},
		num(semconv.PMTAAcctFileRecords, res.Counted),
		{Key: semconv.PMTAReconciliationOutcome, Str: string(res.Outcome)},
		num(semconv.PMTAReconciliationEmitted, res.Read.Emitted),
		num(semconv.PMTAReconciliationRejected, res.Read.Rejected),
		num(semconv.PMTAReconciliationDuplicates, res.Read.Duplicates),
		num(semconv.PMTAReconciliationDifference, res.Difference()),
	}
	if res.MovedTo != "" {
		attrs = append(attrs, acct.Attr{Key: semconv.PMTAAcctFileMovedTo, Str: res.MovedTo})
	}
	return acctlogs.Event{
		Time: res.MovedAt.UnixNano(), Name: semconv.EventReconciliation, Severity: 13, SeverityText: "WARN", Body: body,
		UID: r.findingUID(semconv.EventReconciliation, res.Path, string(res.Outcome), fmt.Sprint(res.MovedAt.UnixNano(), res.Counted, res.Read)), Attrs: attrs,
	}
}

// findingUID is the identity of a finding: what was found, not when.
func (r *logsReceiver) findingUID(parts ...string) [2]uint64 {
	h := xxh3.New()
	for _, s := range append([]string{r.cfg.Instance}, parts...) {
		_, _ = h.WriteString(s)
		_, _ = h.Write([]byte{0})
	}
	u := h.Sum128()
	return [2]uint64{u.Hi, u.Lo}
}
