package schema

import (
	"maps"
	"slices"
	"strings"
)

// FieldTypes returns the Elasticsearch type of every field of the documents
// that AppendJSON makes. A name that ends with * stands for all that start so;
// a flattened one has no *, since it is one object. In nested documents, names
// are those of the attributes, without "attributes" and "resource.attributes".
// It is nil for SplunkCIM.
func FieldTypes(o Options) map[string]string {
	if o.Schema == SplunkCIM {
		return nil
	}
	types := map[string]string{}
	for i := range rows {
		row := &rows[i]
		fields := row.ECS
		if o.Schema == OTel {
			fields = nil
			if row.OTel != "-" {
				fields = fs(Field{Name: row.OTel, Type: row.Type})
			}
		}
		for _, f := range fields {
			name := f.Name
			if n, ok := nestedNames[name]; ok && o.Schema == OTel && o.Nested {
				name = n
			}
			if f.Type == "flattened" {
				name = strings.TrimSuffix(name, ".*")
			}
			types[name] = f.Type
		}
	}
	return types
}

// property is the mapping of one field. Malformed numbers, dates and
// addresses are kept in the document without being indexed: one odd value
// must not cost the record.
func property(name, typ string) map[string]any {
	p := map[string]any{"type": typ}
	switch typ {
	case "keyword":
		p["ignore_above"] = 1024
		if name == "event.original" {
			return map[string]any{"type": typ, "index": false, "doc_values": false}
		}
	case "flattened", "wildcard":
		p["ignore_above"] = 1024
	case "long", "double", "ip":
		p["ignore_malformed"] = true
	case "date", "date_nanos":
		if name != "@timestamp" { // data streams do not allow it there
			p["ignore_malformed"] = true
		}
	}
	return p
}

// dynamicTemplate maps what matches path.
func dynamicTemplate(name, path string, mapping map[string]any) map[string]any {
	return map[string]any{name: map[string]any{"path_match": path, "mapping": mapping}}
}

// Mappings returns the body of "mappings" in an Elasticsearch template for the
// documents that AppendJSON makes with the same options, ready for
// encoding/json; nil for SplunkCIM. It needs Elasticsearch 8.16 or newer when
// nested (passthrough), 8.3 otherwise. Settings and the data_stream fields'
// values are the caller's.
func Mappings(o Options) map[string]any {
	types := FieldTypes(o)
	if types == nil {
		return nil
	}
	flat := map[string]any{} // by dotted name
	var templates []any
	prefix := ""
	if o.Schema == OTel && o.Nested {
		prefix = "attributes."
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if path, ok := strings.CutSuffix(name, "*"); ok {
			id := strings.NewReplacer(".", "_", "*", "").Replace(strings.TrimSuffix(path, "."))
			templates = append(templates, dynamicTemplate(id, prefix+name, property(name, types[name])))
			continue
		}
		flat[name] = property(name, types[name])
	}
	templates = append(templates, map[string]any{"strings_as_keyword": map[string]any{
		"match_mapping_type": "string", "mapping": property("", "keyword")}})
	stream := map[string]any{
		"data_stream.type":      map[string]any{"type": "constant_keyword"},
		"data_stream.dataset":   map[string]any{"type": "constant_keyword"},
		"data_stream.namespace": map[string]any{"type": "constant_keyword"},
	}
	m := map[string]any{"dynamic": true, "dynamic_templates": templates}
	if o.Schema == ECS {
		maps.Copy(flat, stream)
		m["properties"] = tree(flat)
		return m
	}
	if !o.Nested {
		maps.Copy(flat, stream)
		// pmta.attempt and pmta.attempt.exact are both values.
		m["subobjects"] = false
		m["properties"] = flat
		return m
	}
	top := tree(stream)
	attributes, resource := map[string]any{}, map[string]any{}
	for i := range rows {
		row := &rows[i]
		name := row.OTel
		if n, ok := nestedNames[name]; ok {
			name = n
		}
		switch {
		case row.record == recBody:
			top[name] = map[string]any{"properties": map[string]any{"text": flat[name], "structured": property("", "flattened")}}
			continue
		case row.From == Family:
			name = strings.TrimSuffix(name, ".*")
		}
		p, ok := flat[name]
		switch {
		case !ok:
		case row.From == OfRecord:
			top[name] = p
		case row.From == ResourceOf:
			resource[name] = p
		default:
			attributes[name] = p
		}
	}
	pass := func(priority int, p map[string]any) map[string]any {
		return map[string]any{"type": "passthrough", "dynamic": true, "priority": priority, "properties": p}
	}
	top["attributes"] = pass(20, attributes)
	top["resource"] = map[string]any{"properties": map[string]any{"attributes": pass(10, resource)}}
	top["scope"] = map[string]any{"properties": map[string]any{"name": property("", "keyword"), "version": property("", "keyword")}}
	m["properties"] = top
	return m
}

// tree makes "properties" of objects from dotted names.
func tree(flat map[string]any) map[string]any {
	root := map[string]any{}
	for name, p := range flat {
		at := root
		parts := strings.Split(name, ".")
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = map[string]any{"properties": map[string]any{}}
				at[part] = next
			}
			at = next["properties"].(map[string]any)
		}
		at[parts[len(parts)-1]] = p
	}
	return root
}
