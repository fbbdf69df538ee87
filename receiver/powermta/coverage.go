package powermta

import (
	"context"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/coverage"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// coverageWatch says which questions the accounting files leave open, once for
// each and again when the columns change.
type coverageWatch struct {
	r    *logsReceiver
	seen *coverage.Seen

	mu      sync.Mutex // guards everything declared below
	changed bool       // something was read since the last look
	looked  time.Time
	told    map[string]string // id of each gap that was told, by its key
	gaps    int
}

func newCoverageWatch(r *logsReceiver) *coverageWatch {
	return &coverageWatch{r: r, seen: coverage.New(), told: map[string]string{}}
}

// streamName is how the coverage names the files of a stream: in the folder of
// the first pattern, which is that of the live files. Where a file is found may
// be the move-to folder.
func (w *coverageWatch) streamName(d *fileDecoder) string {
	dir, _ := doublestar.SplitPattern(filepath.ToSlash(w.r.cfg.Include[0]))
	return path.Join(dir, d.file.Stream)
}

// batch looks at what a chunk gave.
func (w *coverageWatch) batch(d *fileDecoder, b *batch) {
	name := w.streamName(d)
	if cols := d.dec.Columns(); len(cols) > 0 && (len(cols) != len(d.columns) || &cols[0] != &d.columns[0]) {
		d.columns = cols
		if d.dec.JSON() {
			w.seen.AddKeys(name, cols)
		} else {
			w.seen.AddHeader(name, cols, b.firstTime)
		}
	}
	for i, n := range b.out.Counts {
		if n > 0 && acct.Type(i) != acct.TypeUnknown {
			w.seen.AddType(name, acct.Type(i), n, b.lastTime)
		}
	}
	w.mu.Lock()
	w.changed = true
	if w.looked.IsZero() {
		w.looked = time.Now() // from now on the delay counts
	}
	w.mu.Unlock()
}

// look reports what is new. It is called about once a second.
func (w *coverageWatch) look(now time.Time) []acctlogs.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.changed || now.Sub(w.looked) < w.r.cfg.Coverage.Delay {
		return nil
	}
	w.changed, w.looked = false, now
	report := w.seen.Report().Sure()
	w.gaps = len(report.Gaps)
	var events []acctlogs.Event
	open := map[string]bool{}
	for i := range report.Gaps {
		g := &report.Gaps[i]
		key := g.Key()
		open[key] = true
		if _, ok := w.told[key]; !ok {
			w.told[key] = g.ID
			events = append(events, w.event(g, now))
		}
	}
	for key, id := range w.told {
		if !open[key] {
			delete(w.told, key)
			w.r.log.Info("PowerMTA's accounting files answer another question now", zap.String("gap", id))
		}
	}
	if len(events) > 0 {
		// In the message, so that the configuration can be copied from the log.
		w.r.log.Warn("PowerMTA's accounting files leave questions open.\n"+report.Text(), zap.Int("gaps", len(report.Gaps)))
	}
	return events
}

func (w *coverageWatch) event(g *coverage.Gap, now time.Time) acctlogs.Event {
	attrs := []acct.Attr{
		{Key: semconv.PMTAStream, Str: semconv.StreamDiag},
		{Key: semconv.PMTACoverageGap, Str: g.ID},
		{Key: semconv.PMTACoverageQuestion, Str: g.Question},
		{Key: semconv.PMTACoverageMissing, Str: strings.Join(g.Missing, ","), Kind: acct.KindStrings},
	}
	if len(g.Streams) > 0 {
		attrs = append(attrs, acct.Attr{Key: semconv.PMTACoverageFile, Str: strings.Join(g.Streams, ",")})
	}
	if g.Block != "" {
		attrs = append(attrs, acct.Attr{Key: semconv.PMTACoverageConfig, Str: g.Block})
	}
	return acctlogs.Event{
		Time: now.UnixNano(), Name: semconv.EventCoverage, Severity: 13, SeverityText: "WARN",
		Body: g.Question + ": missing " + g.What(), UID: w.r.findingUID(semconv.EventCoverage, g.Key(), strings.Join(g.Streams, ",")), Attrs: attrs,
	}
}

// observeGaps is the callback of a gauge.
func (w *coverageWatch) observeGaps(_ context.Context, o metric.Int64Observer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.Observe(int64(w.gaps))
	return nil
}
