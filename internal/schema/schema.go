// Package schema renders log records of accounting data in one of three
// schemas: the project's own OpenTelemetry names, the Elastic Common Schema
// (ECS) or the Splunk Common Information Model (CIM), data model Email.
//
// All three come from one table, see [Rows]. The same table gives the
// Elasticsearch mappings ([Mappings]) and docs/schema.md.
package schema // import "github.com/otelcol-pmta/otelcol-pmta/internal/schema"

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
)

//go:generate go run ./gen ../../docs/schema.md

// Schema is a set of field names with their units and value shapes.
type Schema uint8

// The schemas.
const (
	// OTel is the attributes as they are.
	OTel Schema = iota
	// ECS is the Elastic Common Schema; what it has no field for is below
	// pmta and smtp.
	ECS
	// SplunkCIM is the data model Email of Splunk's Common Information Model;
	// what it has no field for starts with pmta_.
	SplunkCIM
)

var schemaNames = [...]string{OTel: "otel", ECS: "ecs", SplunkCIM: "splunk_cim"}

// String returns the name as a configuration has it: otel, ecs, splunk_cim.
func (s Schema) String() string { return schemaNames[s] }

// Parse returns the schema with the given name.
func Parse(name string) (Schema, error) {
	for s, n := range schemaNames {
		if n == name {
			return Schema(s), nil
		}
	}
	return OTel, fmt.Errorf("schema %q is not known; use otel, ecs or splunk_cim", name)
}

// Options configure a Renderer. The zero value renders flat OpenTelemetry
// documents.
type Options struct {
	Schema Schema
	// Nested, for OTel only, puts attributes below "attributes" and those of
	// the resource below "resource.attributes", as Elasticsearch's own otel
	// mapping lays documents out.
	Nested bool
	// DSNStatus, for SplunkCIM only, makes status_code the enhanced status
	// code (5.1.1) instead of the SMTP reply code (550) when both are known.
	DSNStatus bool
	// NoDataStream leaves out the attributes data_stream.type, .dataset and
	// .namespace: whoever takes the document says which data stream it is in.
	NoDataStream bool
}

// Renderer renders records. It is not safe for several goroutines; a pool of
// them is cheap.
//
// It learns the sequences of attribute names that occur, and works out once
// for each of them what becomes of every attribute.
type Renderer struct {
	opts   Options
	prog   *program
	shapes []*plan
	places [1024]placed // by the place of names in memory
	misses int

	flat       *Renderer // for bodies, when nested
	attrs, res logslab.View
	clock      [64]stamp
	days       [4]day
	set        []string
	out        logslab.Editor
	texts      []*string // as set, for attributes
	ips        [16]string
	text       []byte // strings of attributes; never written twice
}

// NewRenderer returns a Renderer.
func NewRenderer(o Options) *Renderer {
	r := &Renderer{opts: o, prog: compileProgram(o), shapes: make([]*plan, shapeSlots)}
	r.out.Apart(logslab.Pooling())
	return r
}

// AppendJSON appends lr as one flat JSON object, without a line end, to dst.
//
// Names with dots stay one key ("event.kind"), with one exception: attributes
// whose names come from the input (pmta.header.*, pmta.arf.*, pmta.field.*,
// pmta.unparsed.*) are members of one object each ("pmta.header":{...}), so
// that Elasticsearch can take them as flattened and ksqlDB as a map; in
// SplunkCIM they are flat as well. No key occurs twice: where an attribute's
// name is taken, _ is added to it. Attributes for an exporter (com.splunk.*)
// are left out.
//
// Times: "@timestamp" (RFC 3339, UTC) in OTel and ECS, "time" (seconds since
// the Unix epoch, with milliseconds) in SplunkCIM. Nothing is allocated but
// room in dst, once the Renderer has seen the sequence of attribute names.
// Text that is not UTF-8 gets U+FFFD.
func (r *Renderer) AppendJSON(dst []byte, resource pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) []byte {
	r.attrs.Reset(lr.Attributes())
	r.res.Reset(resource.Attributes())
	p := r.plan(lr, true)
	c := cursor{r: r, lr: lr, scope: scope}
	return c.appendJSON(dst, p)
}

// Render renames, converts and completes the attributes of lr in place. The
// time stays in the record, the resource in the resource. What is the same for
// all records of a PowerMTA is for RenderResource. For OTel nothing is to be
// done. slab gives the memory and is to be one per batch.
//
// An attribute that has the name of a field of the schema already wins over
// what the table says, so that rendering twice does no harm.
func (r *Renderer) Render(slab *logslab.Slab, lr plog.LogRecord) {
	if r.opts.Schema == OTel {
		return
	}
	r.attrs.Reset(lr.Attributes())
	r.res.Reset(noAttributes)
	p := r.plan(lr, false)
	p.compileEdits(r.attrs.Len())
	c := cursor{r: r, lr: lr}
	c.edit(p, slab)
	r.out.End(lr.Attributes(), p.consts)
	if p.route != nil {
		slab.AppendShared(lr.Attributes(), p.route)
	}
}

// RenderResource adds to a resource, of which the records are rendered in
// place, what the schema says of the PowerMTA that they come from: ecs.version
// and observer.* in ECS, nothing in SplunkCIM. What is there already stays.
func (r *Renderer) RenderResource(resource pcommon.Resource) {
	m := resource.Attributes()
	for i := range r.prog.once {
		t := &r.prog.once[i]
		name := r.prog.fields[t.field].name
		if _, ok := m.Get(name); !ok {
			m.PutStr(name, t.value)
		}
	}
}

// RenderBody makes the body of lr one map with everything that AppendJSON
// would write without Nested, resource and time included, and takes the
// attributes away but for those of the exporter (com.splunk.*).
func (r *Renderer) RenderBody(slab *logslab.Slab, resource pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
	if r.opts.Nested {
		// One map has no sections.
		if r.flat == nil {
			r.flat = NewRenderer(Options{Schema: r.opts.Schema})
		}
		r.flat.RenderBody(slab, resource, scope, lr)
		return
	}
	r.attrs.Reset(lr.Attributes())
	r.res.Reset(resource.Attributes())
	p := r.plan(lr, true)
	p.compileEdits(r.attrs.Len())
	c := cursor{r: r, lr: lr, scope: scope}
	c.edit(p, slab)
	slab.Cut(lr.Attributes(), &r.attrs, p.routing)
	r.out.End(lr.Body().SetEmptyMap(), p.consts)
	if p.route != nil {
		slab.AppendShared(lr.Attributes(), p.route)
	}
}

// Misses returns how many records had a sequence of attribute names that was
// not in memory.
func (r *Renderer) Misses() int { return r.misses }

var noAttributes = pcommon.NewMap()

// Release forgets the last record, whose memory would otherwise stay in use.
// The Renderer can be used again.
func (r *Renderer) Release() {
	r.attrs.Reset(noAttributes)
	r.res.Reset(noAttributes)
	clear(r.set[:cap(r.set)])
	r.set = r.set[:0]
	clear(r.texts[:cap(r.texts)])
	r.texts = r.texts[:0]
	clear(r.ips[:])
	r.out.Forget()
	if r.flat != nil {
		r.flat.Release()
	}
}
