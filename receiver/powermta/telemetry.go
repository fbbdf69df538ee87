package powermta

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
)

// registerGauges lets the agent's own metrics read the tailer's counters.
func (r *logsReceiver) registerGauges() error {
	t := r.telemetry
	count := func(value func(tail.Stats) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			var sum int64
			for _, t := range r.tailers {
				sum += value(t.Stats())
			}
			o.Observe(sum)
			return nil
		}
	}
	var err error
	if r.coverage != nil {
		err = t.RegisterPmtaCoverageGapsCallback(r.coverage.observeGaps)
	}
	return errors.Join(err,
		t.RegisterPmtaBytesReadCallback(count(func(s tail.Stats) int64 { return s.BytesRead })),
		t.RegisterPmtaBytesLostCallback(count(func(s tail.Stats) int64 { return s.BytesLost })),
		t.RegisterPmtaRotationsCallback(count(func(s tail.Stats) int64 { return s.Rotations })),
		t.RegisterPmtaTruncationsCallback(count(func(s tail.Stats) int64 { return s.Truncations })),
		t.RegisterPmtaFilesOpenCallback(count(func(s tail.Stats) int64 { return int64(s.Open) })),
		t.RegisterPmtaFilesTrackedCallback(count(func(s tail.Stats) int64 { return int64(s.Files) })),
		t.RegisterPmtaBatchesInFlightCallback(count(func(s tail.Stats) int64 { return int64(s.InFlight) })),
		t.RegisterPmtaLagBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			for _, t := range r.tailers {
				for name, s := range t.Stats().Streams {
					o.Observe(s.LagBytes, metric.WithAttributes(attribute.String("stream", name)))
				}
			}
			return nil
		}),
		t.RegisterPmtaLagSecondsCallback(func(_ context.Context, o metric.Float64Observer) error {
			for _, t := range r.tailers {
				for name, s := range t.Stats().Streams {
					o.Observe(s.LagSeconds, metric.WithAttributes(attribute.String("stream", name)))
				}
			}
			return nil
		}),
	)
}

// observer turns what a tailer tells into log lines, and tells other of known
// and finished files.
func (r *logsReceiver) observer(other tail.Observer) tail.Observer {
	log := r.log
	return tail.Observer{
		Known: other.Known,
		Opened: func(f *tail.File, offset int64) {
			log.Debug("reading", zap.String("file", f.Path), zap.Int64("offset", offset))
		},
		Finished: func(f *tail.File, size int64, state []byte) {
			other.Finished(f, size, state)
			log.Debug("read to the end", zap.String("file", f.Path), zap.Int64("bytes", size))
		},
		Rotated: func(f *tail.File, path string) {
			log.Debug("rotated", zap.String("file", f.Path), zap.String("now", path))
		},
		Truncated: func(f *tail.File) {
			log.Warn("the file was truncated or rewritten in place; reading it from its beginning", zap.String("file", f.Path))
		},
		Lost: func(f *tail.File, bytes int64, reason string) {
			log.Error("bytes were lost before they could be read; keep files longer (delete-after), or include the move-to folder",
				zap.String("file", f.Path), zap.Int64("bytes", bytes), zap.String("reason", reason))
		},
		Denied: func(path string, err error) {
			log.Error("no permission to read", zap.String("path", path), zap.Error(err))
		},
		ArchiveSkipped: func(f *tail.File, path string) {
			log.Debug("archive of a file that was read already", zap.String("file", f.Path), zap.String("archive", path))
		},
		Problem: func(path string, err error) {
			log.Warn("cannot read for now; trying again", zap.String("path", path), zap.Error(err))
		},
		StoreFailed: func(err error) {
			log.Error("positions cannot be read or saved; after a restart records may be sent again", zap.Error(err))
		},
	}
}
