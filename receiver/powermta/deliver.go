package powermta

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
)

// cargo is a batch of log records made from a stretch of a file.
type cargo interface {
	// logs gives the records away; it is called once.
	logs() plog.Logs
	// again makes the same records from the bytes once more.
	again() plog.Logs
	// place is where the bytes are.
	place() (file string, offset int64)
	// refused returns what to keep when the pipeline refuses the batch for good.
	refused(cause error) []quarantine.Entry
}

// offer repeats ConsumeLogs until the pipeline accepts the batch, or refuses it
// for good and the quarantine has it. It fails only when ctx ends before that.
func (r *logsReceiver) offer(ctx context.Context, c cargo) error {
	pause := backoff{cfg: r.cfg.Retry}
	logs := c.logs()
	for {
		err := r.next.ConsumeLogs(ctx, logs)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if acctlogs.IsPermanent(err) {
			return r.quarantineRefused(ctx, c, err)
		}
		r.telemetry.PmtaRetries.Add(ctx, 1)
		if pause.shouldLog() {
			file, offset := c.place()
			r.log.Warn("the pipeline does not accept records; reading waits, nothing is lost",
				zap.String("file", file), zap.Int64("offset", offset), zap.Int("attempt", pause.attempt+1), zap.Error(err))
		}
		if err := pause.wait(ctx); err != nil {
			return err
		}
		// What was refused may have been changed on its way, and a part that
		// was handed back has been, so the batch is built again from the bytes.
		logs = c.again()
	}
}

func (r *logsReceiver) quarantineRejects(ctx context.Context, in *acctlogs.Input, rejects []acctlogs.Reject) error {
	if err := r.toQuarantine(ctx, r.quarantine, r.cfg.Quarantine.Path, in.Rejected(rejects)); err != nil {
		return err
	}
	for _, rej := range rejects {
		r.telemetry.PmtaRejected.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", string(rej.Reason))))
	}
	first := rejects[0]
	r.log.Warn("input could not be read as records; it is in the quarantine file",
		zap.String("file", in.Name), zap.Int64("offset", in.Offset+int64(first.Start)), zap.Int("pieces", len(rejects)),
		zap.String("reason", string(first.Reason)), zap.String("detail", first.Detail), zap.String("quarantine", r.cfg.Quarantine.Path))
	return nil
}

func (r *logsReceiver) quarantineRefused(ctx context.Context, c cargo, cause error) error {
	entries := c.refused(cause)
	if err := r.toQuarantine(ctx, r.refused, r.cfg.Quarantine.RefusedPath(), entries); err != nil {
		return err
	}
	r.telemetry.PmtaRejected.Add(ctx, int64(len(entries)), metric.WithAttributes(attribute.String("reason", acctlogs.ReasonRefused)))
	file, offset := c.place()
	r.log.Error("the pipeline refused records for good; they are in the quarantine file",
		zap.String("file", file), zap.Int64("offset", offset), zap.Int("records", len(entries)),
		zap.String("quarantine", r.cfg.Quarantine.RefusedPath()), zap.Error(cause))
	return nil
}

// toQuarantine writes until it succeeds: a full disk must not lose input.
func (r *logsReceiver) toQuarantine(ctx context.Context, file *quarantine.File, path string, entries []quarantine.Entry) error {
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
