package estemplate

import (
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

// Mapping modes.
const (
	ModeOTel = "otel" // attributes below "attributes" and "resource.attributes"
	ModeECS  = "ecs"  // Elastic Common Schema
	ModeRaw  = "raw"  // attributes at the root, with their own names
)

// Modes are all mapping modes.
var Modes = []string{ModeOTel, ModeECS, ModeRaw}

// RenderOptions returns how documents of a mode are rendered.
func RenderOptions(mode string) schema.Options {
	switch mode {
	case ModeECS:
		return schema.Options{Schema: schema.ECS}
	case ModeRaw:
		return schema.Options{Schema: schema.OTel}
	}
	return schema.Options{Schema: schema.OTel, Nested: true}
}

// Mappings returns the mapping for documents of a mode, every field of the one
// table among them.
func Mappings(mode string) map[string]any {
	m := schema.Mappings(RenderOptions(mode))
	// A text that looks like a date is a text: the next one may look like
	// none, and would be refused.
	m["date_detection"] = false
	// Numbers that the table does not know, from processors or the user: the
	// first one decides the type, and a text that comes later must not cost
	// the document.
	templates := m["dynamic_templates"].([]any)
	for _, typ := range []string{"long", "double"} {
		templates = append(templates, obj{"any_" + typ: obj{
			"match_mapping_type": typ,
			"mapping":            obj{"type": typ, "ignore_malformed": true},
		}})
	}
	m["dynamic_templates"] = templates
	return m
}
