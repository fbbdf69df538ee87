// Package estemplate makes the Elasticsearch templates for documents of the
// schemas, and installs them: component templates with settings and mappings,
// the index template for the data streams, and a lifecycle. No ingest
// pipeline is needed.
package estemplate // import "github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// Version of the templates. It goes up with every change of what Objects
// returns for the same options; an installed template with a higher one is
// left alone.
const Version = 2

// Lifecycles of data.
const (
	LifecycleDataStream = "data_stream" // kept in the index template; Elasticsearch 8.14 or later
	LifecycleILM        = "ilm"         // an index lifecycle policy
	LifecycleNone       = "none"
)

// DefaultIndexPattern matches the data streams of all datasets that start with
// pmta.
const DefaultIndexPattern = "logs-pmta.*-*"

// managedBy marks in _meta what is ours.
const managedBy = "otelcol-pmta"

// priority is above that of Elasticsearch's own templates for logs-*-*.
const priority = 250

// Options say what to make.
type Options struct {
	// Mode is a mapping mode: otel, ecs or raw.
	Mode string
	// Lifecycle is one of the Lifecycle constants.
	Lifecycle string
	// Retention is how long data are kept at least, as Elasticsearch writes
	// times: 90d.
	Retention string
}

// Object is one thing to install.
type Object struct {
	// Path of the REST API, such as /_index_template/logs-pmta.
	Path string
	// Body is the JSON to PUT there.
	Body []byte
	// Hash tells versions of Body apart that have the same Version.
	Hash string

	mode string
}

// kind is the part of the path that names the API.
func (o Object) kind() string { return o.Path[:strings.LastIndexByte(o.Path, '/')] }

// Paths of what Objects returns.
const (
	PathPolicy        = "/_ilm/policy/pmta"
	PathSettings      = "/_component_template/pmta@settings"
	PathIndexTemplate = "/_index_template/logs-pmta"
)

// PathMappings is the path of the mappings for a mode.
func PathMappings(mode string) string { return "/_component_template/" + nameMappings(mode) }

func nameMappings(mode string) string { return "pmta-" + mode + "@mappings" }

type obj = map[string]any

// Objects returns what to install, in the order in which to do it.
func Objects(o Options) []Object {
	var out []Object
	add := func(path string, body obj) {
		object := seal(path, body)
		object.mode = o.Mode
		out = append(out, object)
	}
	settings := obj{"index": obj{"codec": "best_compression"}}
	index := obj{
		"index_patterns": []string{DefaultIndexPattern},
		"priority":       priority,
		"data_stream":    obj{},
		"composed_of":    []string{"pmta@settings", nameMappings(o.Mode), "pmta@custom"},
		// A place for what a site wants to be different.
		"ignore_missing_component_templates": []string{"pmta@custom"},
	}
	switch o.Lifecycle {
	case LifecycleILM:
		add(PathPolicy, obj{"policy": obj{"phases": obj{
			"hot":    obj{"min_age": "0ms", "actions": obj{"rollover": obj{"max_age": "30d", "max_primary_shard_size": "50gb"}}},
			"delete": obj{"min_age": o.Retention, "actions": obj{"delete": obj{}}},
		}}})
		settings["index"].(obj)["lifecycle"] = obj{"name": "pmta"}
	case LifecycleDataStream:
		index["template"] = obj{"lifecycle": obj{"enabled": true, "data_retention": o.Retention}}
	}
	add(PathSettings, obj{"template": obj{"settings": settings}})
	add(PathMappings(o.Mode), obj{"template": obj{"mappings": Mappings(o.Mode)}})
	add(PathIndexTemplate, index)
	return out
}

// seal completes the body with its version and hash.
func seal(path string, body obj) Object {
	plain := encode(body)
	sum := sha256.Sum256(plain)
	hash := hex.EncodeToString(sum[:8])
	meta := obj{
		"managed_by":  managedBy,
		"description": "PowerMTA logs. Do not edit: put your own settings into the component template pmta@custom.",
		"version":     Version,
		"hash":        hash,
	}
	if p, ok := body["policy"].(obj); ok {
		p["_meta"] = meta
	} else {
		body["_meta"] = meta
		body["version"] = Version
	}
	return Object{Path: path, Body: encode(body), Hash: hash}
}

// encode writes JSON with sorted keys, indented, with a final newline.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // maps, strings and numbers always have a JSON
	}
	return b.Bytes()
}

// Action is what Install did with an object.
type Action string

// What Install does.
const (
	Installed Action = "installed" // it was not there
	Updated   Action = "updated"   // it was there in an older or other form
	Unchanged Action = "unchanged" // it was there just so
	Newer     Action = "newer"     // a newer version is there, which stays
	Foreign   Action = "foreign"   // something of that name that is not ours is there, which stays
)

// Done is what became of an object.
type Done struct {
	Path   string
	Action Action
	// Version that is installed now.
	Version int
}

// Error is an object that could not be installed.
type Error struct {
	Path   string
	Status int // of the answer
	// Reason is Elasticsearch's own.
	Reason string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("cannot install %s: Elasticsearch answers %d: %s", e.Path, e.Status, e.Reason)
	switch {
	case e.Status == http.StatusUnauthorized:
		return s + " (check user and password, api_key, or bearer_token)"
	case e.Status == http.StatusForbidden && strings.HasPrefix(e.Path, "/_ilm/"):
		return s + " (the user lacks the cluster privilege manage_ilm)"
	case e.Status == http.StatusForbidden:
		return s + " (the user lacks the cluster privilege manage_index_templates)"
	case strings.Contains(e.Reason, "no handler found") && strings.HasPrefix(e.Path, "/_ilm/"):
		return s + " (this server has no index lifecycle management; use templates::lifecycle: data_stream or none)"
	case e.Status == http.StatusBadRequest && strings.Contains(e.Reason, "[lifecycle]"):
		return s + " (this server has no data stream lifecycle; use templates::lifecycle: ilm or none)"
	}
	return s
}

// Install puts objects in place that are not there, or in an older version. It
// never overwrites a newer version or what somebody else made under that name,
// and it does not write what is there already, so it may run at every start and
// from many agents at once. It stops at the first error, which is an *Error when Elasticsearch answered.
func Install(ctx context.Context, tp esapi.Transport, objects []Object) ([]Done, error) {
	var done []Done
	for _, o := range objects {
		is, found, err := installed(ctx, tp, o)
		if err != nil {
			return done, err
		}
		if other := is.otherMode(o.mode); other != "" {
			return done, &ModeError{Path: o.Path, Installed: other, Wanted: o.mode}
		}
		version, hash := max(is.Version, is.Meta.Version), is.Meta.Hash
		d := Done{Path: o.Path, Version: Version}
		switch {
		case found && is.Meta.ManagedBy != managedBy:
			d.Action, d.Version = Foreign, version
		case found && version > Version:
			d.Action, d.Version = Newer, version
		case found && version == Version && hash == o.Hash:
			d.Action = Unchanged
		default:
			d.Action = Installed
			if found {
				d.Action = Updated
			}
			if _, err := do(ctx, tp, http.MethodPut, o.Path, o.Body); err != nil {
				return done, err
			}
		}
		done = append(done, d)
	}
	return done, nil
}

// ModeError says that the index template is there for documents of another
// mode. One data stream cannot hold both.
type ModeError struct{ Path, Installed, Wanted string }

func (e *ModeError) Error() string {
	return fmt.Sprintf("%s is installed for mapping::mode %s, not %s: use one mode for all data streams that match %s, or delete the template and roll the data streams over",
		e.Path, e.Installed, e.Wanted, DefaultIndexPattern)
}

// stamp is what Install looks at of something that is installed.
type stamp struct {
	Version    int      `json:"version"`
	ComposedOf []string `json:"composed_of"`
	Meta       struct {
		ManagedBy string `json:"managed_by"`
		Version   int    `json:"version"`
		Hash      string `json:"hash"`
	} `json:"_meta"`
}

// otherMode returns the mode of an index template that is not mode.
func (s *stamp) otherMode(mode string) string {
	for _, m := range Modes {
		if m != mode && slices.Contains(s.ComposedOf, nameMappings(m)) {
			return m
		}
	}
	return ""
}

// installed returns what is at the path of o.
func installed(ctx context.Context, tp esapi.Transport, o Object) (s stamp, found bool, err error) {
	answer, err := do(ctx, tp, http.MethodGet, o.Path, nil)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	switch o.kind() {
	case "/_component_template":
		var r struct {
			Templates []struct {
				Template stamp `json:"component_template"`
			} `json:"component_templates"`
		}
		if err := json.Unmarshal(answer, &r); err != nil || len(r.Templates) != 1 {
			return s, false, fmt.Errorf("GET %s: the answer makes no sense (%v)", o.Path, err)
		}
		s = r.Templates[0].Template
	case "/_index_template":
		var r struct {
			Templates []struct {
				Template stamp `json:"index_template"`
			} `json:"index_templates"`
		}
		if err := json.Unmarshal(answer, &r); err != nil || len(r.Templates) != 1 {
			return s, false, fmt.Errorf("GET %s: the answer makes no sense (%v)", o.Path, err)
		}
		s = r.Templates[0].Template
	default:
		// A policy has a version of its own that counts changes; ours is in
		// its _meta.
		var r map[string]struct {
			Policy stamp `json:"policy"`
		}
		if err := json.Unmarshal(answer, &r); err != nil || len(r) != 1 {
			return s, false, fmt.Errorf("GET %s: the answer makes no sense (%v)", o.Path, err)
		}
		for _, p := range r {
			s = p.Policy
		}
	}
	return s, true, nil
}

// do makes one request.
func do(ctx context.Context, tp esapi.Transport, method, path string, body []byte) ([]byte, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	// The node is the transport's choice.
	r, err := http.NewRequestWithContext(ctx, method, "http://"+path, in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := tp.Perform(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, &Error{Path: path, Status: res.StatusCode, Reason: reasonOf(answer)}
	}
	return answer, nil
}

// reasonOf finds Elasticsearch's reason in the answer to a request that was
// refused.
func reasonOf(answer []byte) string {
	var r struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(answer, &r) == nil {
		var e struct{ Type, Reason string }
		if json.Unmarshal(r.Error, &e) == nil && e.Type != "" {
			return e.Type + ": " + e.Reason
		}
		var s string
		if json.Unmarshal(r.Error, &s) == nil {
			return s
		}
	}
	return strings.ToValidUTF8(string(answer[:min(len(answer), 200)]), "")
}

// DefaultRetention is how long data are kept when nothing else is said.
const DefaultRetention = "90d"

// Files returns the objects for every mode as files, by name. The index
// templates have the data stream lifecycle; pmta@settings.ilm.json is for
// those who want the ILM policy instead.
func Files() map[string][]byte {
	files := map[string][]byte{}
	for _, lifecycle := range []string{LifecycleILM, LifecycleDataStream} {
		for _, mode := range Modes {
			for _, o := range Objects(Options{Mode: mode, Lifecycle: lifecycle, Retention: DefaultRetention}) {
				switch o.Path {
				case PathPolicy:
					files["ilm-policy.json"] = o.Body
				case PathSettings:
					files[map[string]string{LifecycleILM: "pmta@settings.ilm.json", LifecycleDataStream: "pmta@settings.json"}[lifecycle]] = o.Body
				case PathIndexTemplate:
					files[map[string]string{LifecycleILM: "logs-pmta." + mode + ".ilm.json", LifecycleDataStream: "logs-pmta." + mode + ".json"}[lifecycle]] = o.Body
				default:
					files["pmta-"+mode+"@mappings.json"] = o.Body
				}
			}
		}
	}
	return files
}
