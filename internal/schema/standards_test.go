package schema

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

func list(t testing.TB, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	lines, err := r.ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, lines)
	return lines
}

type ecsField struct {
	typ   string
	array bool
}

func ecsFields(t testing.TB) map[string]ecsField {
	m := map[string]ecsField{}
	for _, l := range list(t, "testdata/ecs-"+strings.TrimSuffix(ECSVersion, ".0")+".0.csv") {
		m[l[0]] = ecsField{l[1], l[2] == "array"}
	}
	return m
}

// Names of our own are allowed below these only.
func isCustom(name string) bool {
	return strings.HasPrefix(name, "pmta.") || strings.HasPrefix(name, "smtp.")
}

func TestTableAgreesWithECS(t *testing.T) {
	official := ecsFields(t)
	for name, typ := range FieldTypes(Options{Schema: ECS}) {
		if isCustom(name) {
			require.NotContains(t, official, name)
			continue
		}
		if name == "labels.*" {
			require.Equal(t, "object", official["labels"].typ)
			continue
		}
		f, ok := official[name]
		require.True(t, ok, "%s is no ECS field", name)
		require.Equal(t, f.typ, typ, name)
	}
}

// No field may be an object and a value at once: Elasticsearch would refuse
// the template.
func TestECSNamesDoNotCollide(t *testing.T) {
	types := FieldTypes(Options{Schema: ECS})
	for name := range types {
		for other := range types {
			require.False(t, strings.HasPrefix(other, name+"."), "%s and %s", name, other)
		}
	}
}

// richRecords are simulated records, half of them with what other processors
// add.
func richRecords(t testing.TB) plog.Logs {
	ld := simulated(t, 800, richMix)
	n := 0
	eachRecord(ld, func(_ pcommon.Resource, _ pcommon.InstrumentationScope, lr plog.LogRecord) {
		if n++; n%2 == 0 {
			classified(lr)
		}
	})
	return ld
}

func TestDocumentsAgreeWithECS(t *testing.T) {
	r := NewRenderer(Options{Schema: ECS})
	seen := map[string]bool{}
	records := 0
	for _, ld := range []plog.Logs{richRecords(t), otherRecords(t)} {
		eachRecord(ld, func(_ pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
			doc := object(t, r.AppendJSON(nil, testResource(), scope, lr))
			agreesWithECS(t, lr, doc)
			for name := range doc {
				seen[name] = true
			}
			records++
		})
	}
	require.Greater(t, records, 900)
	for _, name := range []string{"related.ip", "related.hosts", "related.user", "event.duration", "event.start", "error.message", "destination.ip", "source.ip",
		"client.ip", "client.port", "file.path", "process.command_line", "url.full", "url.path", "dns.question.name", "tls.version"} {
		require.True(t, seen[name], name)
	}
}

var (
	ecsOnce    = sync.OnceValue(func() map[string]ecsField { return ecsFields(new(testing.T)) })
	typesOnce  = sync.OnceValue(func() map[string]string { return FieldTypes(Options{Schema: ECS}) })
	eventOnce  = sync.OnceValue(func() map[string]map[string][]string { return eventValues(new(testing.T)) })
	everywhere = []string{"@timestamp", "event.kind", "event.category", "event.type", "event.action", "event.outcome", "event.dataset", "event.module", "event.id", "ecs.version"}
)

// agreesWithECS checks names, types and shapes of all fields of a document, and
// the values of those that have a fixed set of them.
func agreesWithECS(t *testing.T, lr plog.LogRecord, doc map[string]any) {
	official := ecsOnce()
	for _, name := range everywhere {
		require.Contains(t, doc, name, lr.EventName())
	}
	for name, v := range doc {
		if name == "site" || name == "team" || strings.HasPrefix(name, "labels.") {
			continue // the user's own
		}
		typ := typesOnce()[name]
		if isCustom(name) {
			require.NotEmpty(t, typ, name)
		} else {
			f, ok := official[name]
			require.True(t, ok, "%s is no ECS field", name)
			require.Equal(t, f.typ, typ, name)
			_, isArray := v.([]any)
			require.Equal(t, f.array, isArray, name)
		}
		values, ok := v.([]any)
		if !ok {
			values = []any{v}
		}
		for _, v := range values {
			requireType(t, name, typ, v)
			if s, ok := v.(string); ok && strings.HasSuffix(name, "address") {
				require.NotContains(t, s, "<", name)
			}
			if allowed := eventOnce()[name]; allowed != nil {
				require.Contains(t, allowed, v, name)
			}
		}
		for i, v := range values {
			require.NotContains(t, values[:i], v, name)
		}
	}
	if v, ok := lr.Attributes().Get(semconv.PMTAQueueDuration); ok {
		require.Equal(t, json.Number(time.Duration(v.Double()*1e9).String()), json.Number(durationOf(t, doc["event.duration"])))
	}
	if v, ok := lr.Attributes().Get(semconv.PMTAStream); ok {
		require.Equal(t, "pmta."+v.Str(), doc["event.dataset"])
	}
}

// eventValues returns the values that ECS allows, by field, each with the event
// types that it expects with it.
func eventValues(t testing.TB) map[string]map[string][]string {
	m := map[string]map[string][]string{}
	for _, l := range list(t, "testdata/ecs-"+ECSVersion+"-event.csv") {
		if m[l[0]] == nil {
			m[l[0]] = map[string][]string{}
		}
		m[l[0]][l[1]] = strings.Fields(l[2])
	}
	return m
}

// Every event says what it is by values that ECS knows, and each type is one
// that ECS expects in one of the categories. "error" may stand anywhere: ECS
// describes it for events of every category.
func TestEventsAgreeWithECS(t *testing.T) {
	values := eventValues(t)
	for _, e := range Events() {
		require.NotEmpty(t, e.Category, e.Name)
		require.NotEmpty(t, e.Types, e.Name)
		require.Contains(t, values["event.outcome"], e.Outcome, e.Name)
		expected := []string{"error"}
		for _, c := range e.Category {
			require.Contains(t, values["event.category"], c, e.Name)
			expected = append(expected, values["event.category"][c]...)
		}
		for _, typ := range e.Types {
			require.Contains(t, values["event.type"], typ, e.Name)
			require.Contains(t, expected, typ, e.Name)
		}
		require.Contains(t, []string{semconv.StreamAcct, semconv.StreamDiag, semconv.StreamPanic}, e.Stream, e.Name)
		require.Equal(t, e.Mail, e.Stream == semconv.StreamAcct, e.Name)
	}
}

func durationOf(t testing.TB, v any) string {
	n, err := v.(json.Number).Int64()
	require.NoError(t, err)
	return time.Duration(n).String()
}

func requireType(t testing.TB, name, typ string, v any) {
	t.Helper()
	switch typ {
	case "keyword", "match_only_text", "wildcard":
		require.IsType(t, "", v, name)
		require.NotEmpty(t, v, name)
	case "ip":
		_, err := netip.ParseAddr(v.(string))
		require.NoError(t, err, name)
	case "date", "date_nanos":
		_, err := time.Parse(time.RFC3339Nano, v.(string))
		require.NoError(t, err, name)
	case "long":
		_, err := v.(json.Number).Int64()
		require.NoError(t, err, name)
	case "double":
		require.IsType(t, json.Number(""), v, name)
	case "boolean":
		require.IsType(t, true, v, name)
	case "flattened":
		require.NotEmpty(t, v.(map[string]any), name)
	default:
		t.Fatalf("%s has type %q", name, typ)
	}
}

type cimField struct {
	requirement string
	values      []string
	number      bool
}

func cimFields(t testing.TB, model string) map[string]cimField {
	m := map[string]cimField{}
	for _, l := range list(t, "testdata/cim-"+model+".csv") {
		f := cimField{requirement: l[2]}
		for _, v := range strings.Fields(l[3]) {
			if v == "number" {
				f.number = true
			} else {
				f.values = append(f.values, v)
			}
		}
		m[l[1]] = f
	}
	return m
}

// beyondEmail are fields that Splunk itself or the CIM has, outside of the
// data model Email: the event's time and host, and the addresses that src and
// dest may be made of.
var beyondEmail = []string{"time", "host", "src_ip", "dest_ip"}

func TestTableAgreesWithCIM(t *testing.T) {
	model, alerts := cimFields(t, "email"), cimFields(t, "alerts")
	given := map[string]bool{}
	for i := range rows {
		for _, f := range rows[i].Splunk {
			given[f.Name] = true
			switch {
			case strings.HasPrefix(f.Name, "pmta_") || slices.Contains(beyondEmail, f.Name) || slices.Contains(beyondAlerts, f.Name):
			case f.When != 0 && f.When&onMail == 0:
				require.Contains(t, alerts, f.Name)
			default:
				require.Contains(t, model, f.Name)
			}
		}
	}
	for name, f := range model {
		if f.requirement == "required" {
			require.True(t, given[name], "%s is required", name)
		}
	}
}

func TestDocumentsAgreeWithCIM(t *testing.T) {
	model := cimFields(t, "email")
	for _, dsn := range []bool{false, true} {
		r := NewRenderer(Options{Schema: SplunkCIM, DSNStatus: dsn})
		eachRecord(richRecords(t), func(_ pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
			doc := object(t, r.AppendJSON(nil, testResource(), scope, lr))
			typ := events[eventOf(lr, &r.attrs)].Type
			for name, f := range model {
				v, ok := doc[name]
				if !ok {
					// A queue that failed as a whole has no message, and a
					// report tells what its author wanted to tell. A bounce
					// by PowerMTA itself has no peer; only classified
					// records have a signature; an envelope id is optional.
					whole := typ == acct.TypeDelivery || typ == acct.TypeBounce || typ == acct.TypeTransient || typ == acct.TypeReceipt
					if f.requirement == "required" && whole && name != "signature" && name != "internal_message_id" && (typ != acct.TypeBounce || name != "dest" && name != "src") {
						t.Fatalf("%v has no %s", typ, name)
					}
					continue
				}
				if f.number {
					require.IsType(t, json.Number(""), v, name)
				}
				if len(f.values) > 0 && (name != "action" || slices.Contains([]acct.Type{acct.TypeDelivery, acct.TypeBounce, acct.TypeRemoteBounce}, typ)) {
					require.Contains(t, f.values, v, name)
				}
			}
			for name := range doc {
				if name != "site" && name != "team" && !strings.HasPrefix(name, "pmta_") && !slices.Contains(beyondEmail, name) {
					require.Contains(t, model, name)
				}
				require.NotContains(t, name, ".")
			}
			if v, ok := lr.Attributes().Get(semconv.PMTAQueueDuration); ok {
				ms, err := doc["delay"].(json.Number).Float64()
				require.NoError(t, err)
				s, err := doc["duration"].(json.Number).Float64()
				require.NoError(t, err)
				require.InDelta(t, v.Double(), s, 1e-9)
				require.InDelta(t, v.Double()*1000, ms, 0.5)
			}
			if v, ok := doc["recipient"]; ok {
				require.NotContains(t, v, "<")
				require.Equal(t, json.Number("1"), doc["recipient_count"])
			}
			if v, ok := doc["retries"]; ok {
				require.Equal(t, json.Number("2"), v)
			}
		})
	}
}

// beyondAlerts are fields that other data models have, for what the data model
// Alerts has no place for.
var beyondAlerts = []string{"time", "host", "action", "vendor_product", "process", "protocol", "src_ip", "src_port", "dest_ip", "dest_port", "duration",
	"url", "uri_path", "http_method", "status", "query", "record_type", "site"}

// What is no mail has no field of the data model Email that no other model has,
// and all that the data model Alerts asks for, but for a user.
func TestLogDocumentsAgreeWithCIM(t *testing.T) {
	model := cimFields(t, "alerts")
	r := NewRenderer(Options{Schema: SplunkCIM})
	var slab logslab.Slab
	seen := map[string]bool{}
	eachRecord(otherRecords(t), func(_ pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
		doc := object(t, r.AppendJSON(nil, testResource(), scope, lr))
		for name := range doc {
			require.NotContains(t, name, ".")
			if !strings.HasPrefix(name, "pmta_") && !slices.Contains(beyondAlerts, name) {
				require.Contains(t, model, name, lr.EventName())
			}
		}
		for name, f := range model {
			v, ok := doc[name]
			if f.requirement == "required" && name != "user" && (name != "description" || lr.Body().Str() != "") {
				require.True(t, ok, "%s has no %s", lr.EventName(), name)
			}
			if ok && len(f.values) > 0 {
				require.Contains(t, f.values, v, name)
				seen[name+" "+v.(string)] = true
			}
		}
		// Its sourcetype is told to the exporter, in place and with a body,
		// unless somebody has done so.
		for _, own := range []bool{false, true} {
			want := "pmta:log"
			if own {
				want = "mine"
			}
			for _, render := range []func(plog.LogRecord){
				func(lr plog.LogRecord) { r.Render(&slab, lr) },
				func(lr plog.LogRecord) { r.RenderBody(&slab, testResource(), scope, lr) },
			} {
				cp := plog.NewLogRecord()
				lr.CopyTo(cp)
				if own {
					cp.Attributes().PutStr("com.splunk.sourcetype", "mine")
				}
				render(cp)
				v, ok := cp.Attributes().Get("com.splunk.sourcetype")
				require.True(t, ok)
				require.Equal(t, want, v.Str())
			}
		}
	})
	for _, severity := range []string{"critical", "high", "medium", "informational"} {
		require.True(t, seen["severity "+severity], severity)
	}
	// Mail has the sourcetype of the exporter's configuration, ECS none.
	lr := plog.NewLogRecord()
	lr.SetEventName(semconv.EventDelivery)
	r.Render(&slab, lr)
	_, ok := lr.Attributes().Get("com.splunk.sourcetype")
	require.False(t, ok)
	lr.SetEventName(semconv.EventLog)
	NewRenderer(Options{Schema: ECS}).Render(&slab, lr)
	_, ok = lr.Attributes().Get("com.splunk.sourcetype")
	require.False(t, ok)
}

// Attributes rendered in place, and bodies, have what documents have: with
// room in the record or without, with values of their own or shared ones.
func TestRenderAgreesWithJSON(t *testing.T) {
	for _, s := range []Schema{ECS, SplunkCIM} {
		for _, room := range []int{0, 3, 40} {
			for _, apart := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v/room %d/apart %v", s, room, apart), func(t *testing.T) { renderAgreesWithJSON(t, s, room, apart) })
			}
		}
	}
}

func renderAgreesWithJSON(t *testing.T, s Schema, room int, apart bool) {
	ld := richRecords(t)
	otherRecords(t).ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	r := NewRenderer(Options{Schema: s})
	r.out.Apart(apart)
	slab := logslab.Slab{HintAttrs: 1000}
	elsewhere := []string{"description", "severity", "dest", "src", "@timestamp", "event.end", "event.created", "time", "log.level", "message", "message_info",
		"pmta_event_name", "pmta_severity", "pmta_service_name", "pmta_service_version", "pmta_instance", "host", "pmta_tenant", "site",
		"service.name", "service.version", "service.node.name", "host.name", "observer.hostname", "observer.version", "organization.id", "pmta.tenant"}
	for i := range r.prog.once {
		elsewhere = append(elsewhere, r.prog.fields[r.prog.once[i].field].name)
	}
	var inPlace, bodies []plog.LogRecord
	var docs, attrs []map[string]any
	n := 0
	eachRecord(ld, func(_ pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
		if n++; n%5 != 0 && (room > 0 || apart) {
			return
		}
		lr.Attributes().PutStr("com.splunk.index", "mail")
		doc := object(t, r.AppendJSON(nil, testResource(), scope, lr))
		flatten(doc)

		place, again, body := plog.NewLogRecord(), plog.NewLogRecord(), plog.NewLogRecord()
		lr.CopyTo(place)
		lr.CopyTo(body)
		place.Attributes().EnsureCapacity(place.Attributes().Len() + room)
		body.Attributes().EnsureCapacity(body.Attributes().Len() + room)
		r.Render(&slab, place)
		got := plain(t, place.Attributes())
		attrs = append(attrs, maps.Clone(got))
		require.Equal(t, "mail", got["com.splunk.index"])
		routing := map[string]any{"com.splunk.index": "mail"}
		if v, ok := got["com.splunk.sourcetype"]; ok {
			require.Equal(t, "pmta:log", v)
			routing["com.splunk.sourcetype"] = v
		}
		delete(got, "com.splunk.index")
		delete(got, "com.splunk.sourcetype")
		for k, v := range got {
			require.Equal(t, doc[k], v, k)
		}
		for k := range doc {
			if _, ok := got[k]; !ok {
				require.Contains(t, elsewhere, k)
			}
		}

		place.CopyTo(again)
		r.Render(&slab, again)
		require.Equal(t, plain(t, place.Attributes()), plain(t, again.Attributes()), "rendered twice")

		r.RenderBody(&slab, testResource(), scope, body)
		require.Equal(t, routing, body.Attributes().AsRaw())
		require.Equal(t, doc, plain(t, body.Body().Map()))
		inPlace, bodies, docs = append(inPlace, place), append(bodies, body), append(docs, doc)
	})
	// Later records have not touched earlier ones, nor does a change of one.
	for i := range inPlace {
		require.Equal(t, attrs[i], plain(t, inPlace[i].Attributes()))
		require.Equal(t, docs[i], plain(t, bodies[i].Body().Map()))
		for _, m := range []pcommon.Map{inPlace[i].Attributes(), bodies[i].Body().Map()} {
			for _, v := range m.All() {
				if v.Type() == pcommon.ValueTypeSlice {
					v.Slice().At(0).SetStr("changed in place")
				} else {
					v.SetStr("changed")
				}
			}
		}
	}
}

// plain gives a map as object decodes it, without regard to how numbers are
// written.
func plain(t testing.TB, m pcommon.Map) map[string]any {
	b := appendValue(nil, mapValue(m))
	out := object(t, b)
	flatten(out)
	return out
}

func mapValue(m pcommon.Map) pcommon.Value {
	v := pcommon.NewValueMap()
	m.CopyTo(v.Map())
	return v
}

// flatten lifts the members of objects and evens out numbers.
func flatten(m map[string]any) {
	for _, k := range slices.Collect(maps.Keys(m)) {
		switch v := m[k].(type) {
		case map[string]any:
			delete(m, k)
			for n, e := range v {
				m[k+"."+n] = e
			}
		case json.Number:
			f, _ := v.Float64()
			m[k] = f
		}
	}
}
