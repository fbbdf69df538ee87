package powermta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/dedup"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/storageclient"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta/internal/metadata"
)

// logsReceiver joins the tailer (which bytes, when, position saved) and the
// decoder (what the bytes mean) to the pipeline.
type logsReceiver struct {
	cfg  *Config
	set  receiver.Settings
	log  *zap.Logger
	next consumer.Logs
	opts acct.Options
	// spare is how many attributes processors may add to a record without a
	// copy of those it has; 0 where no processor changes records.
	spare int

	obs       *receiverhelper.ObsReport
	telemetry *metadata.TelemetryBuilder
	typeAttrs [len(acctlogs.RecordTypes)]metric.MeasurementOption

	store      storage.Client
	quarantine *quarantine.File // input that is no record: bounded, the oldest goes
	refused    *quarantine.File // records that a destination refused: nothing goes, reading waits
	tailers    []*tail.Tailer   // of accounting files, of system logs
	reports    *reports
	coverage   *coverageWatch // nil when switched off
	syslog     *systemLog     // nil without system logs
	cancel     context.CancelFunc
	done       sync.WaitGroup

	mu      sync.Mutex // guards everything declared below
	window  *dedup.Window
	streams map[string]uint32
	mixed   map[uint32]bool
	events  map[string]metric.MeasurementOption
}

func newReceiver(set receiver.Settings, cfg *Config, next consumer.Logs) (*logsReceiver, error) {
	r := &logsReceiver{cfg: cfg, set: set, log: set.Logger, next: next, streams: map[string]uint32{}, mixed: map[uint32]bool{}, events: map[string]metric.MeasurementOption{}}
	r.opts = acct.Options{MaxRecordSize: int(cfg.MaxRecordSize), Instance: cfg.Instance}
	if cfg.Timezone != "" {
		loc, err := time.LoadLocation(cfg.Timezone)
		if err != nil {
			return nil, fmt.Errorf("timezone: %w", err)
		}
		r.opts.Location = loc
	}
	if next.Capabilities().MutatesData {
		r.spare = acctlogs.SpareAttributes()
	}
	if cfg.DeduplicateStreams.Enabled {
		r.window = dedup.NewWindow(cfg.DeduplicateStreams.MaxEntries)
	}
	var err error
	if r.obs, err = receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "file", ReceiverCreateSettings: set,
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

// Start opens the position store and the quarantine and begins to read.
func (r *logsReceiver) Start(ctx context.Context, host component.Host) error {
	if err := r.openStore(ctx, host); err != nil {
		return err
	}
	var err error
	if r.quarantine, r.refused, err = r.cfg.Quarantine.Open(); err != nil {
		return err
	}
	var side *sideStore
	if r.store != nil {
		side = &sideStore{client: r.store, prefix: "reconcile."}
	}
	r.reports = r.newReports(side)
	if r.cfg.Coverage.Enabled && len(r.cfg.Include) > 0 {
		r.coverage = newCoverageWatch(r)
	}
	if len(r.cfg.Include) > 0 {
		if err := r.addTailer("", r.cfg.Include, r.cfg.Exclude, tail.Config{
			NewDecoder: r.newFileDecoder,
			Observer: tail.Observer{
				Known:    func(f *tail.File, _ int64, state []byte) { r.reports.known(f, state) },
				Finished: func(f *tail.File, _ int64, state []byte) { r.reports.finished(f, state) },
			},
		}); err != nil {
			return err
		}
	}
	if len(r.cfg.SystemLog.Include) > 0 {
		if r.syslog, err = newSystemLog(r); err != nil {
			return err
		}
		if err := r.addTailer("log.", r.cfg.SystemLog.Include, r.cfg.SystemLog.Exclude, tail.Config{
			NewDecoder: r.syslog.newDecoder,
			InOrder:    true, // sessions go on in the next file
			Observer: tail.Observer{
				Known:    r.syslog.known,
				Finished: func(f *tail.File, _ int64, _ []byte) { r.syslog.finished(f) },
			},
		}); err != nil {
			return err
		}
	}
	if err := r.registerGauges(); err != nil {
		return err
	}
	var run context.Context
	run, r.cancel = context.WithCancel(context.Background())
	r.reports.start()
	if r.syslog != nil {
		r.done.Go(func() { r.syslog.run(run) })
	}
	for _, t := range r.tailers {
		r.done.Go(func() {
			if err := t.Run(run); err != nil {
				// Reading from the beginning would be worse than not to start.
				componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(fmt.Errorf("storage: cannot read the saved positions: %w", err)))
			}
		})
	}
	return nil
}

// addTailer makes a tailer from cfg and the configuration. Its positions have
// keys that begin with prefix.
func (r *logsReceiver) addTailer(prefix string, include, exclude []string, cfg tail.Config) error {
	cfg.Include, cfg.Exclude = include, exclude
	cfg.StartAtEnd = r.cfg.StartAt == startAtEnd
	cfg.PollInterval, cfg.Notify = r.cfg.PollInterval, r.cfg.Notify
	cfg.ChunkSize, cfg.MaxRecordSize = int(r.cfg.ReadSize), int(r.cfg.MaxRecordSize)
	cfg.MaxOpenFiles, cfg.MaxInFlight = r.cfg.MaxOpenFiles, r.cfg.MaxInFlight
	cfg.Observer = r.observer(cfg.Observer)
	cfg.Observer.Looked = func(files int) {
		if files == 0 {
			r.log.Warn("no file matches yet; if there should be one, look at the patterns", zap.Strings("include", include), zap.Strings("exclude", exclude))
		}
	}
	if r.store != nil {
		cfg.Store = prefixStore{r.store, prefix}
	}
	t, err := tail.New(cfg)
	if err != nil {
		return err
	}
	r.tailers = append(r.tailers, t)
	return nil
}

func (r *logsReceiver) openStore(ctx context.Context, host component.Host) error {
	if r.cfg.Storage == nil {
		r.log.Warn("storage is not set: after a restart all files are read again; add a file_storage extension and set storage: file_storage")
		return nil
	}
	var err error
	r.store, err = storageclient.Open(ctx, host, r.cfg.Storage, component.KindReceiver, r.set.ID)
	return err
}

// Shutdown stops reading, waits for batches in flight as long as ctx allows
// and saves the positions. What was not accepted is read again next time.
func (r *logsReceiver) Shutdown(ctx context.Context) error {
	var errs []error
	if r.cancel != nil {
		r.cancel()
		stopped := make(chan struct{})
		go func() {
			r.done.Wait()
			r.reports.stop()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-ctx.Done():
			errs = append(errs, ctx.Err())
		}
	}
	r.telemetry.Shutdown()
	if r.quarantine != nil {
		errs = append(errs, r.quarantine.Close())
	}
	if r.refused != nil {
		errs = append(errs, r.refused.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close(ctx))
	}
	return errors.Join(errs...)
}

// settingsFor returns the resource attributes of a file's records, in a fixed
// order of precedence: defaults, then resource, then each of streams that
// matches; and the stream that the last of these names, "" for none.
func (r *logsReceiver) settingsFor(f *tail.File) (resource map[string]string, stream string) {
	res := acctlogs.Resource(r.cfg.Instance, r.cfg.Resource)
	full := filepath.ToSlash(f.Path)
	for _, s := range r.cfg.Streams {
		pattern, name := filepath.ToSlash(s.Match), full
		if path.Base(pattern) == pattern {
			name = f.Name
		}
		if ok, _ := doublestar.Match(pattern, name); ok {
			maps.Copy(res, s.Resource)
			if s.Stream != "" {
				stream = s.Stream
			}
		}
	}
	return res, stream
}

func (r *logsReceiver) streamNumber(name string) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.streams[name]
	if !ok {
		n = uint32(len(r.streams)) + 1
		r.streams[name] = n
	}
	return n
}

// isMixed tells whether a file of this stream number held other records than
// bounces.
func (r *logsReceiver) isMixed(stream uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mixed[stream]
}

func (r *logsReceiver) setMixed(stream uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mixed[stream] = true
}

// keep asks the window whether this copy of a record is to be shipped.
func (r *logsReceiver) keep(key uint64, stream uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window.Keep(key, stream)
}
