package estemplate

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estest"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

// direct is the simplest transport: one node.
type direct struct{ url string }

func (d direct) Perform(r *http.Request) (*http.Response, error) {
	r, err := http.NewRequestWithContext(r.Context(), r.Method, d.url+r.URL.Path, r.Body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(r)
}

func defaults(mode string) Options {
	return Options{Mode: mode, Lifecycle: LifecycleDataStream, Retention: DefaultRetention}
}

func actions(done []Done) map[string]Action {
	out := map[string]Action{}
	for _, d := range done {
		out[d.Path] = d.Action
	}
	return out
}

func install(t *testing.T, s *estest.Server, o Options) map[string]Action {
	t.Helper()
	done, err := Install(context.Background(), direct{s.URL}, Objects(o))
	require.NoError(t, err)
	return actions(done)
}

func TestInstallIsIdempotent(t *testing.T) {
	for _, lifecycle := range []string{LifecycleDataStream, LifecycleILM, LifecycleNone} {
		t.Run(lifecycle, func(t *testing.T) {
			s := estest.New(t)
			o := Options{Mode: ModeECS, Lifecycle: lifecycle, Retention: "30d"}
			want := []string{PathSettings, PathMappings(ModeECS), PathIndexTemplate}
			if lifecycle == LifecycleILM {
				want = append([]string{PathPolicy}, want...)
			}
			first := install(t, s, o)
			require.Equal(t, want, s.Puts(), "what a template needs comes before it")
			second := install(t, s, o)
			for _, p := range want {
				require.Equal(t, Installed, first[p], p)
				require.Equal(t, Unchanged, second[p], p)
			}
			require.Len(t, s.Puts(), len(want), "nothing is written twice")

			o.Retention = "60d"
			third := install(t, s, o)
			for _, p := range want {
				wanted := Unchanged
				if lifecycle == LifecycleILM && p == PathPolicy || lifecycle == LifecycleDataStream && p == PathIndexTemplate {
					wanted = Updated
				}
				require.Equal(t, wanted, third[p], p)
			}
		})
	}
}

func TestNewerVersionStays(t *testing.T) {
	s := estest.New(t)
	newer := `{"version":1000,"_meta":{"managed_by":"otelcol-pmta","version":1000,"hash":"x"},"template":{}}`
	s.Store(PathSettings, newer)
	s.Store(PathPolicy, `{"policy":{"_meta":{"managed_by":"otelcol-pmta","version":1000},"phases":{}}}`)
	got := install(t, s, Options{Mode: ModeOTel, Lifecycle: LifecycleILM, Retention: "30d"})
	require.Equal(t, map[string]Action{PathPolicy: Newer, PathSettings: Newer, PathMappings(ModeOTel): Installed, PathIndexTemplate: Installed}, got)
	require.JSONEq(t, newer, string(s.Stored(PathSettings)))
}

func TestOlderVersionIsReplaced(t *testing.T) {
	s := estest.New(t)
	s.Store(PathSettings, `{"version":1,"_meta":{"managed_by":"otelcol-pmta","version":1,"hash":"x"},"template":{}}`)
	require.Equal(t, Updated, install(t, s, defaults(ModeOTel))[PathSettings])
	require.Contains(t, string(s.Stored(PathSettings)), "best_compression")
}

// What an administrator made under the same name is the administrator's.
func TestForeignTemplatesStay(t *testing.T) {
	s := estest.New(t)
	theirs := map[string]string{
		PathPolicy:             `{"policy":{"phases":{"delete":{"min_age":"7d","actions":{"delete":{}}}}}}`,
		PathSettings:           `{"template":{"settings":{"index":{"number_of_shards":12}}}}`,
		PathMappings(ModeOTel): `{"version":1,"_meta":{"managed_by":"mail team"},"template":{}}`,
		PathIndexTemplate:      `{"index_patterns":["logs-pmta.*-*"],"data_stream":{},"priority":500}`,
	}
	want := map[string]Action{}
	for path, body := range theirs {
		s.Store(path, body)
		want[path] = Foreign
	}
	require.Equal(t, want, install(t, s, Options{Mode: ModeOTel, Lifecycle: LifecycleILM, Retention: "30d"}))
	require.Empty(t, s.Puts())
	for path, body := range theirs {
		require.JSONEq(t, body, string(s.Stored(path)))
	}
}

// One data stream cannot hold documents of two modes.
func TestTwoModesDoNotMix(t *testing.T) {
	s := estest.New(t)
	install(t, s, defaults(ModeOTel))
	_, err := Install(context.Background(), direct{s.URL}, Objects(defaults(ModeECS)))
	var me *ModeError
	require.ErrorAs(t, err, &me)
	require.EqualError(t, err, "/_index_template/logs-pmta is installed for mapping::mode otel, not ecs: use one mode for all data streams that match logs-pmta.*-*, or delete the template and roll the data streams over")
	require.Contains(t, string(s.Stored(PathIndexTemplate)), "pmta-otel@mappings")
}

func TestErrorsNameThePrivilege(t *testing.T) {
	for _, c := range []struct {
		name, path string
		fault      estest.ItemFault
		want       string
	}{
		{"templates", "/_component_template/", estest.ItemFault{Status: 403, Type: "security_exception", Reason: "action [cluster:admin/component_template/put] is unauthorized"}, "the user lacks the cluster privilege manage_index_templates"},
		{"policy", "/_ilm/", estest.ItemFault{Status: 403, Type: "security_exception", Reason: "action [cluster:admin/ilm/put] is unauthorized"}, "the user lacks the cluster privilege manage_ilm"},
		{"login", "/", estest.ItemFault{Status: 401, Type: "security_exception", Reason: "unable to authenticate"}, "check user and password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := estest.New(t)
			s.OnAdmin = func(_, path string) *estest.ItemFault {
				if strings.HasPrefix(path, c.path) {
					return &c.fault
				}
				return nil
			}
			_, err := Install(context.Background(), direct{s.URL}, Objects(Options{Mode: ModeRaw, Lifecycle: LifecycleILM, Retention: "30d"}))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, c.fault.Reason)
		})
	}
	s := estest.New(t)
	s.MissingAPIs = []string{"/_ilm/"}
	_, err := Install(context.Background(), direct{s.URL}, Objects(Options{Mode: ModeRaw, Lifecycle: LifecycleILM, Retention: "30d"}))
	require.ErrorContains(t, err, "this server has no index lifecycle management; use templates::lifecycle: data_stream or none")
}

// The files are what Objects makes: go generate ./exporter/elasticsearch.
func TestFilesAreCurrent(t *testing.T) {
	dir := filepath.Join("..", "..", "exporter", "elasticsearch", "templates")
	want := Files()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.Contains(t, want, e.Name(), "a file that is no longer made")
	}
	for name, body := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err, "run: go generate ./exporter/elasticsearch")
		require.True(t, bytes.Equal(body, got), "%s is stale; run: go generate ./exporter/elasticsearch", name)
	}
}

// Every field of the table has a mapping of its own type in every mode.
func TestEveryFieldIsMapped(t *testing.T) {
	for _, mode := range Modes {
		types := schema.FieldTypes(RenderOptions(mode))
		require.NotEmpty(t, types)
		mapped := map[string]string{}
		flatten("", Mappings(mode)["properties"].(map[string]any), mapped)
		for name, typ := range types {
			if strings.HasSuffix(name, "*") {
				continue
			}
			found := false
			for _, prefix := range []string{"", "attributes.", "resource.attributes."} {
				if got, ok := mapped[prefix+name]; ok {
					require.Equal(t, typ, got, "%s: %s", mode, name)
					found = true
				}
			}
			if name == "body" && mode == ModeOTel {
				require.Equal(t, typ, mapped["body.text"])
				found = true
			}
			require.True(t, found, "%s: %s has no mapping", mode, name)
		}
	}
}

func flatten(prefix string, properties map[string]any, out map[string]string) {
	for name, p := range properties {
		p := p.(map[string]any)
		if typ, ok := p["type"].(string); ok {
			out[prefix+name] = typ
		}
		if sub, ok := p["properties"].(map[string]any); ok {
			flatten(prefix+name+".", sub, out)
		}
	}
}

// No text may be longer than Lucene allows, nor any value cost its document.
func TestNothingMalformedCostsADocument(t *testing.T) {
	for _, mode := range Modes {
		var walk func(path string, v any)
		walk = func(path string, v any) {
			switch v := v.(type) {
			case map[string]any:
				if typ, ok := v["type"].(string); ok {
					switch typ {
					case "keyword", "wildcard", "flattened":
						if v["index"] != false {
							require.Contains(t, v, "ignore_above", path)
						}
					case "ip", "long", "double", "date", "date_nanos":
						if !strings.HasSuffix(path, "/@timestamp") {
							require.Equal(t, true, v["ignore_malformed"], path)
						}
					}
				}
				for k, e := range v {
					walk(path+"/"+k, e)
				}
			case []any:
				for _, e := range v {
					walk(path, e)
				}
			}
		}
		// Through JSON, as Elasticsearch gets it.
		text, err := json.Marshal(Mappings(mode))
		require.NoError(t, err)
		var m any
		require.NoError(t, json.NewDecoder(bytes.NewReader(text)).Decode(&m))
		walk(mode, m)
	}
}
