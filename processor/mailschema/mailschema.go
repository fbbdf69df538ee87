package mailschema

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

type schemaProcessor struct {
	idle bool // there is nothing to change
	body bool
	pool *schema.Pool // calls may overlap
}

func newProcessor(cfg *Config) (*schemaProcessor, error) {
	s, err := schema.Parse(cfg.Schema)
	if err != nil {
		return nil, err
	}
	body := cfg.Into == intoBody
	switch {
	case body:
		logslab.Expect("mail_schema", addedBody)
	case s != schema.OTel:
		logslab.Expect("mail_schema", addedFields)
	}
	opts := schema.Options{Schema: s, DSNStatus: cfg.StatusCode == statusDSN}
	return &schemaProcessor{body: body, idle: s == schema.OTel && !body, pool: schema.NewPool(opts)}, nil
}

const (
	// addedFields is how many fields a record has more than attributes in
	// place, addedBody how many a body has.
	addedFields, addedBody = 16, 28
	// fieldsPerRecord is about what a record has after rendering.
	fieldsPerRecord = 68
)

func (p *schemaProcessor) process(_ context.Context, ld plog.Logs) (plog.Logs, error) {
	if p.idle {
		return ld, nil
	}
	r := p.pool.Get()
	defer p.pool.Put(r)
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
		if !p.body {
			r.RenderResource(rl.Resource())
		}
	}
	return ld, nil
}
