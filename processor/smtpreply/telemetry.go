package smtpreply

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

// registerGauges lets the agent's own metrics read the classifier's counters.
func (p *replyProcessor) registerGauges() error {
	t := p.telemetry
	count := func(value func(smtpreply.Stats) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value(p.classifier.Stats()))
			return nil
		}
	}
	return errors.Join(
		t.RegisterSMTPReplyCacheHitsCallback(count(func(s smtpreply.Stats) int64 { return int64(s.Hits) })),
		t.RegisterSMTPReplyCacheMissesCallback(count(func(s smtpreply.Stats) int64 { return int64(s.Misses) })),
		t.RegisterSMTPReplyCacheEvictionsCallback(count(func(s smtpreply.Stats) int64 { return int64(s.Evictions) })),
		t.RegisterSMTPReplyCacheEntriesCallback(count(func(s smtpreply.Stats) int64 { return int64(s.Entries) })),
		t.RegisterSMTPReplyReloadsCallback(count(func(s smtpreply.Stats) int64 { return int64(s.Reloads) })),
		t.RegisterSMTPReplyUnclassifiedTemplatesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(len(p.classifier.Pending().Templates())))
			return nil
		}),
	)
}
