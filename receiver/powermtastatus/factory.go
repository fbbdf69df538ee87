package powermtastatus

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/scraper"
	"go.opentelemetry.io/collector/scraper/scraperhelper"

	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus/internal/metadata"
)

// NewFactory returns the factory of the powermta_status receiver. Its metrics
// and its events come from one reading of the monitor.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithMetrics(createMetrics, metadata.MetricsStability),
		receiver.WithLogs(createLogs, metadata.LogsStability))
}

// shared has the reader of each configuration, for as long as a receiver uses
// it. The Collector hands the same configuration to both kinds of pipeline.
var shared = struct {
	mu sync.Mutex // guards everything declared below
	by map[*Config]*reader
}{by: map[*Config]*reader{}}

func acquire(set receiver.Settings, cfg *Config) (*reader, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	r := shared.by[cfg]
	if r == nil {
		var err error
		if r, err = newReader(set, cfg); err != nil {
			return nil, err
		}
		shared.by[cfg] = r
	}
	r.users++
	return r, nil
}

// release reports whether it was the last user.
func release(r *reader) bool {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if r.users--; r.users > 0 {
		return false
	}
	delete(shared.by, r.cfg)
	return true
}

func controller(cfg *Config) *scraperhelper.ControllerConfig {
	c := scraperhelper.NewDefaultControllerConfig()
	c.CollectionInterval, c.InitialDelay = cfg.CollectionInterval, cfg.InitialDelay
	return &c
}

func createMetrics(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
	c := cfg.(*Config)
	r, err := acquire(set, c)
	if err != nil {
		return nil, err
	}
	r.wantMetrics = true
	s, err := scraper.NewMetrics(r.scrapeMetrics)
	if err != nil {
		return nil, err
	}
	out, err := consumer.NewMetrics(r.cancelMetrics(next), consumer.WithCapabilities(next.Capabilities()))
	if err != nil {
		return nil, err
	}
	inner, err := scraperhelper.NewMetricsController(controller(c), set, out, scraperhelper.AddMetricsScraper(metadata.Type, s))
	return &half{Component: inner, r: r}, err
}

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	c := cfg.(*Config)
	r, err := acquire(set, c)
	if err != nil {
		return nil, err
	}
	r.wantEvents = true
	out, err := consumer.NewLogs(r.deliver(next), consumer.WithCapabilities(next.Capabilities()))
	if err != nil {
		return nil, err
	}
	factory := scraper.NewFactory(metadata.Type, nil, scraper.WithLogs(
		func(context.Context, scraper.Settings, component.Config) (scraper.Logs, error) {
			return scraper.NewLogs(r.scrapeLogs)
		}, metadata.LogsStability))
	inner, err := scraperhelper.NewLogsController(controller(c), set, out, scraperhelper.AddFactoryWithConfig(factory, nil))
	return &half{Component: inner, r: r}, err
}

// half is the receiver of one kind of pipeline.
type half struct {
	component.Component
	r *reader
}

// Start starts the reader with the first half and asks for the first time.
func (h *half) Start(ctx context.Context, host component.Host) error {
	if err := h.r.start(ctx, host); err != nil {
		return err
	}
	return h.Component.Start(ctx, host)
}

// Shutdown ends a request or a delivery under way, and the reader with the
// last half.
func (h *half) Shutdown(ctx context.Context) error {
	h.r.cancel()
	err := h.Component.Shutdown(ctx)
	if release(h.r) {
		if e := h.r.close(ctx); err == nil {
			err = e
		}
	}
	return err
}
