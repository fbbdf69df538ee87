package elasticsearch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
)

// templates remembers whether manage_templates has been done.
type templates struct {
	installed atomic.Bool
	mu        sync.Mutex // held while installing
	recovered func()     // takes back what start reported, nil if it was nothing
}

// ensureTemplates installs the templates unless they are or nobody asked for
// it. Documents that come before their template would make a data stream with
// guessed types, so nothing is sent before.
func (e *logsExporter) ensureTemplates(ctx context.Context) error {
	t := &e.templates
	if !e.cfg.ManageTemplates || t.installed.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.installed.Load() {
		return nil
	}
	done, err := estemplate.Install(ctx, e.client, estemplate.Objects(estemplate.Options{
		Mode:      e.cfg.Mapping.Mode,
		Lifecycle: e.cfg.Templates.Lifecycle,
		Retention: e.cfg.Templates.Retention,
	}))
	for _, d := range done {
		switch d.Action {
		case estemplate.Newer:
			e.log.Warn("a newer version is installed and stays", zap.String("path", d.Path), zap.Int("version", d.Version), zap.Int("own_version", estemplate.Version))
		case estemplate.Foreign:
			e.log.Warn("is not of otelcol-pmta and stays; field types may not fit. To have it replaced, delete it and start the agent again", zap.String("path", d.Path))
		case estemplate.Unchanged:
			e.log.Debug("is installed", zap.String("path", d.Path))
		default:
			e.log.Info("installed", zap.String("path", d.Path), zap.Int("version", d.Version))
		}
	}
	if err != nil {
		return fmt.Errorf("manage_templates: %w; or ask an administrator to install the files of exporter/elasticsearch/templates, and set manage_templates: false", err)
	}
	t.installed.Store(true)
	if t.recovered != nil {
		t.recovered()
	}
	return nil
}
