package estemplate

import (
	"strings"

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

// ignoreAbove is the longest text that is indexed. A keyword is limited to
// 32766 bytes by Lucene, and one that is longer would cost the document.
const ignoreAbove = 1024

// Mappings returns the mapping for documents of a mode, every field of the
// one table among them.
//
// Names with dots are single fields, not objects with members: attributes
// such as pmta.attempt and pmta.attempt.exact would shut each other out
// otherwise. What is malformed is kept unindexed, so that a strange value
// costs a search, not the document.
func Mappings(mode string) map[string]any {
	root := obj{"@timestamp": obj{"type": "date_nanos"}}
	for _, f := range []string{"data_stream.type", "data_stream.dataset", "data_stream.namespace"} {
		root[f] = field("keyword")
	}
	m := obj{
		"dynamic":           true,
		"date_detection":    false,
		"dynamic_templates": dynamicTemplates(mode),
		"properties":        root,
	}
	if mode != ModeOTel {
		m["subobjects"] = false
		walk(mode, func(_ *schema.Row, name, typ string) {
			if name != "@timestamp" {
				root[name] = field(typ)
			}
		})
		return m
	}
	attributes, resource := obj{}, obj{}
	walk(mode, func(row *schema.Row, name, typ string) {
		switch {
		case name == "@timestamp":
		case row.From == schema.ResourceOf:
			resource[name] = field(typ)
		case row.From != schema.OfRecord:
			attributes[name] = field(typ)
		case name == "body":
			root["body"] = obj{"properties": obj{"text": field(typ), "structured": field("flattened")}}
		case name == "event.name":
			root["event_name"] = field(typ)
		default:
			root[name] = field(typ)
		}
	})
	// passthrough lets a search leave out the name of the object.
	root["attributes"] = obj{"type": "passthrough", "dynamic": true, "priority": 20, "properties": attributes}
	root["resource"] = obj{"properties": obj{
		"attributes": obj{"type": "passthrough", "dynamic": true, "priority": 10, "properties": resource},
	}}
	return m
}

// walk calls fn for every field of a mode that has a name of its own.
func walk(mode string, fn func(row *schema.Row, name, typ string)) {
	rows := schema.Rows()
	for i := range rows {
		row := &rows[i]
		if mode != ModeECS {
			if row.OTel != "-" {
				visit(row, row.OTel, row.Type, fn)
			}
			continue
		}
		for _, f := range row.ECS {
			visit(row, f.Name, f.Type, fn)
		}
	}
}

func visit(row *schema.Row, name, typ string, fn func(row *schema.Row, name, typ string)) {
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		if typ != "flattened" {
			return // see dynamicTemplates
		}
		name = strings.TrimSuffix(prefix, ".")
	}
	fn(row, name, typ)
}

// field returns the mapping of a field of one of the types of the table.
func field(typ string) obj {
	f := obj{"type": typ}
	switch typ {
	case "keyword", "wildcard", "flattened":
		f["ignore_above"] = ignoreAbove
	case "ip", "long", "double", "date", "date_nanos", "boolean":
		f["ignore_malformed"] = true
	}
	return f
}

// dynamicTemplates maps fields that the table cannot name: those of families
// such as pmta.time_*, and what processors or the user add.
func dynamicTemplates(mode string) []any {
	var out []any
	add := func(name string, rule obj) { out = append(out, obj{name: rule}) }
	rows := schema.Rows()
	for i := range rows {
		row := &rows[i]
		if row.From != schema.Family {
			continue
		}
		fields := []schema.Field{{Name: row.OTel, Type: row.Type}}
		if mode == ModeECS {
			fields = row.ECS
		}
		for _, f := range fields {
			if f.Type == "flattened" || !strings.HasSuffix(f.Name, "*") {
				continue
			}
			path := f.Name
			if mode == ModeOTel {
				path = "attributes." + path
			}
			add(f.Name, obj{"path_match": path, "mapping": field(f.Type)})
		}
	}
	for _, t := range []struct{ match, typ string }{
		{"string", "keyword"}, {"long", "long"}, {"double", "double"}, {"boolean", "boolean"},
	} {
		add("any_"+t.match, obj{"match_mapping_type": t.match, "mapping": field(t.typ)})
	}
	return out
}
