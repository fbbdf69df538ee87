package mailschema

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

type schemaProcessor struct {
	idle bool // there is nothing to change
	body bool
	pool sync.Pool // *schema.Renderer; calls may overlap
}

func newProcessor(cfg *Config) (*schemaProcessor, error) {
	s, err := schema.Parse(cfg.Schema)
	if err != nil {
		return nil, err
	}
	body := cfg.Into == intoBody
	p := &schemaProcessor{body: body, idle: s == schema.OTel && !body}
	opts := schema.Options{Schema: s, DSNStatus: cfg.StatusCode == statusDSN}
	p.pool.New = func() any { return schema.NewRenderer(opts) }
	return p, nil
}

// fieldsPerRecord is about what a record has after rendering.
const fieldsPerRecord = 56

func (p *schemaProcessor) process(_ context.Context, ld plog.Logs) (plog.Logs, error) {
	if p.idle {
		return ld, nil
	}
	r := p.pool.Get().(*schema.Renderer)
	defer func() {
		r.Release()
		p.pool.Put(r)
	}()
	slab := logslab.Slab{HintAttrs: ld.LogRecordCount() * fieldsPerRecord}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			// The names are no longer those that the URL describes.
			sl.SetSchemaUrl("")
			for _, lr := range sl.LogRecords().All() {
				if p.body {
					r.RenderBody(&slab, rl.Resource(), sl.Scope(), lr)
				} else {
					r.Render(&slab, lr)
				}
			}
		}
		rl.SetSchemaUrl("")
	}
	return ld, nil
}
