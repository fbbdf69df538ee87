package schema

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// constants calls f with every string constant of package semconv.
func constants(t *testing.T, f func(name, value string)) {
	files, err := filepath.Glob("../semconv/*.go")
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				f(spec.Names[0].Name, value)
			}
			return true
		})
	}
}

// Every attribute name of the project has a row.
func TestEveryAttributeHasARow(t *testing.T) {
	have := map[string]bool{}
	for i := range rows {
		require.False(t, have[rows[i].Attr], "%s twice", rows[i].Attr)
		have[rows[i].Attr] = true
	}
	n := 0
	constants(t, func(name, value string) {
		if !strings.Contains(value, ".") || strings.HasPrefix(name, "Event") || name == "SchemaURL" || name == "PMTAPrefix" {
			return
		}
		if strings.HasSuffix(value, ".") {
			value += "*"
		}
		n++
		require.True(t, have[value] || have["pmta.header.*"] && strings.HasPrefix(value, "pmta.header."), "%s (%s) has no row", name, value)
	})
	require.Greater(t, n, 110)
}

// Every event name of the project is in the table of events.
func TestEveryEventIsKnown(t *testing.T) {
	have := map[string]bool{}
	for _, e := range Events() {
		require.False(t, have[e.Name], "%s twice", e.Name)
		have[e.Name] = true
	}
	n := 0
	constants(t, func(name, value string) {
		if strings.HasPrefix(name, "Event") && strings.HasPrefix(value, "pmta.") {
			n++
			require.True(t, have[value], "%s (%s) is not known", name, value)
		}
	})
	require.Greater(t, n, 40)
}

// sample is a value that every conversion of the row accepts.
func sample(row *Row) any {
	switch row.Kind {
	case acct.KindInt:
		return int64(1549662845000000000)
	case acct.KindDouble:
		return 1.5
	case acct.KindBool:
		return true
	case acct.KindStrings:
		return []any{"A", "B"}
	}
	switch {
	case row.Type == "ip":
		return "192.0.2.1"
	case row.Attr == semconv.EmailOriginationTimestamp:
		return "Sat, 31 Jan 2026 10:00:12 +0000"
	}
	return "v.example"
}

// Every field of the table appears when its attribute is there, with the name
// and under the condition that the table gives.
func TestEveryRowIsRendered(t *testing.T) {
	var names []string
	for _, typ := range acct.Types {
		names = append(names, typ.EventName())
	}
	names = append(names, semconv.EventLog, semconv.EventConfigError, "pmta.of.mine")
	for _, s := range []Schema{OTel, ECS, SplunkCIM} {
		r := NewRenderer(Options{Schema: s})
		for i := range rows {
			row := &rows[i]
			fields := row.Fields(s)
			if s == OTel && row.OTel != "-" {
				fields = fs(Field{Name: row.OTel})
			}
			for _, f := range fields {
				for _, event := range names {
					lr := plog.NewLogRecord()
					lr.SetTimestamp(1)
					lr.SetObservedTimestamp(1)
					lr.SetEventName(event)
					lr.SetSeverityText("INFO")
					lr.SetSeverityNumber(9)
					res := pcommon.NewResource()
					without := object(t, r.AppendJSON(nil, res, pcommon.NewInstrumentationScope(), lr))
					name := f.Name
					switch row.From {
					case Attribute:
						require.NoError(t, lr.Attributes().PutEmpty(row.Attr).FromRaw(sample(row)))
					case ResourceOf:
						res.Attributes().PutStr(row.Attr, "v")
					case Family:
						attr := strings.TrimSuffix(row.Attr, "*") + "x_y"
						require.NoError(t, lr.Attributes().PutEmpty(attr).FromRaw(sample(row)))
						name = strings.TrimSuffix(name, "*") + "x_y"
					case OfRecord:
						lr.Body().SetStr("text")
						lr.SetTraceID([16]byte{1})
						lr.SetSpanID([8]byte{1})
					}
					doc := object(t, r.AppendJSON(nil, res, pcommon.NewInstrumentationScope(), lr))
					flatten(doc)
					want := f.When == 0 || f.When&eventOf(lr, &r.attrs).types(row.Attr == semconv.ClientAddress) != 0
					if f.Conv == NotMailDate {
						want = false
					}
					if _, anyway := without[name]; anyway && !want {
						continue // another row gives it
					}
					_, got := doc[name]
					require.Equal(t, want, got, "%s: %s on %s: %v", s, name, event, doc)
				}
			}
		}
	}
}

// What tells of the PowerMTA is in the resource once when records are rendered
// in place, and only fills in what is missing.
func TestRenderResource(t *testing.T) {
	res := pcommon.NewResource()
	res.Attributes().PutStr("observer.vendor", "mine")
	NewRenderer(Options{Schema: ECS}).RenderResource(res)
	require.Equal(t, map[string]any{
		"observer.vendor": "mine", "observer.product": "PowerMTA", "observer.type": "mta", "ecs.version": ECSVersion,
	}, res.Attributes().AsRaw())
	for _, s := range []Schema{OTel, SplunkCIM} {
		res := pcommon.NewResource()
		NewRenderer(Options{Schema: s}).RenderResource(res)
		require.Zero(t, res.Attributes().Len())
	}
	// A document has them, whichever way its record came.
	lr := plog.NewLogRecord()
	lr.SetEventName("pmta.delivery")
	r := NewRenderer(Options{Schema: ECS})
	want := object(t, r.AppendJSON(nil, pcommon.NewResource(), pcommon.NewInstrumentationScope(), lr))
	require.Equal(t, "PowerMTA", want["observer.product"])
	var slab logslab.Slab
	res = pcommon.NewResource()
	r.RenderResource(res)
	r.Render(&slab, lr)
	_, there := lr.Attributes().Get("observer.product")
	require.False(t, there)
	require.Equal(t, want, object(t, r.AppendJSON(nil, res, pcommon.NewInstrumentationScope(), lr)))
	// A record that says otherwise is right about itself.
	lr.Attributes().PutStr("observer.product", "another")
	r.Render(&slab, lr)
	v, _ := lr.Attributes().Get("observer.product")
	require.Equal(t, "another", v.Str())
}

func render(t testing.TB, o Options, event string, attrs map[string]any) map[string]any {
	t.Helper()
	lr := plog.NewLogRecord()
	lr.SetEventName(event)
	lr.SetTimestamp(1)
	require.NoError(t, lr.Attributes().FromRaw(attrs))
	doc := object(t, NewRenderer(o).AppendJSON(nil, pcommon.NewResource(), pcommon.NewInstrumentationScope(), lr))
	flatten(doc)
	return doc
}

func TestConversions(t *testing.T) {
	ecs, splunk := Options{Schema: ECS}, Options{Schema: SplunkCIM}
	for _, c := range []struct {
		name  string
		o     Options
		event string
		in    map[string]any
		want  map[string]any // nil: absent
	}{
		{"brackets go", ecs, "pmta.delivery", map[string]any{"smtp.rcpt_to": "<a@b.example>", "smtp.mail_from": "<>", "email.message_id": "<1@x>"},
			map[string]any{"email.to.address": []any{"a@b.example"}, "email.sender.address": nil, "email.message_id": "1@x", "related.user": []any{"a@b.example"}}},
		{"brackets go, CIM", splunk, "pmta.delivery", map[string]any{"smtp.rcpt_to": "<a@b.example>", "smtp.mail_from": "<c@d.example>", "email.message_id": "<1@x>"},
			map[string]any{"recipient": "a@b.example", "src_user": "c@d.example", "return_addr": "c@d.example", "message_id": "1@x", "recipient_count": 1.0}},
		{"envelope sender is not From", ecs, "pmta.delivery", map[string]any{"smtp.mail_from": "c@d.example"}, map[string]any{"email.from.address": nil}},
		{"seconds", ecs, "pmta.delivery", map[string]any{"pmta.queue.duration": 1.25}, map[string]any{"event.duration": 1.25e9}},
		{"seconds, CIM", splunk, "pmta.delivery", map[string]any{"pmta.queue.duration": 1.25}, map[string]any{"delay": 1250.0, "duration": 1.25}},
		{"seconds beyond an integer", ecs, "pmta.delivery", map[string]any{"pmta.queue.duration": 1e300}, map[string]any{"event.duration": nil}},
		{"unknown is no host", ecs, "pmta.delivery", map[string]any{"server.address": "unknown", "pmta.source.mta": "[192.0.2.9]"},
			map[string]any{"destination.address": nil, "pmta.source.mta": "192.0.2.9", "related.hosts": []any{"192.0.2.9"}}},
		{"unknown is no host, CIM", splunk, "pmta.delivery", map[string]any{"server.address": "unknown", "network.peer.address": "192.0.2.1"},
			map[string]any{"dest": "192.0.2.1", "dest_ip": "192.0.2.1"}},
		{"no address", ecs, "pmta.receipt", map[string]any{"client.address": "localhost", "network.local.address": "[2001:db8::1]"},
			map[string]any{"source.ip": nil, "destination.ip": "2001:db8::1", "related.ip": []any{"2001:db8::1"}}},
		{"reply on failure", ecs, "pmta.bounce", map[string]any{"smtp.response.code": int64(550), "smtp.response.text": "no"},
			map[string]any{"error.code": "550", "error.message": "no", "smtp.response.code": 550.0}},
		{"reply on success", ecs, "pmta.delivery", map[string]any{"smtp.response.code": int64(250), "smtp.response.text": "yes"},
			map[string]any{"error.code": nil, "error.message": nil, "smtp.response.code": 250.0}},
		{"SMTP code", splunk, "pmta.bounce", map[string]any{"smtp.response.code": int64(550), "smtp.enhanced_status": "5.1.1"}, map[string]any{"status_code": 550.0}},
		{"DSN code", Options{Schema: SplunkCIM, DSNStatus: true}, "pmta.bounce", map[string]any{"smtp.response.code": int64(550), "smtp.enhanced_status": "5.1.1"}, map[string]any{"status_code": "5.1.1"}},
		{"retries", splunk, "pmta.bounce", map[string]any{"pmta.attempt": int64(1)}, map[string]any{"retries": 0.0, "pmta_attempt": 1.0}},
		{"redacted", ecs, "pmta.delivery", map[string]any{"smtp.rcpt_to": "a@b.example", "user.name": "bob", "pmta.redaction.key_id": "k1"}, map[string]any{"related.user": []any{"bob"}}},
		{"redacted to dots", ecs, "pmta.delivery", map[string]any{"smtp.rcpt_to": "...@b.example"}, map[string]any{"related.user": nil}},
		{"redacted by PowerMTA", ecs, "pmta.delivery", map[string]any{"smtp.rcpt_to": "0123456789abcdef@b.example"}, map[string]any{"related.user": nil}},
		{"original recipient", splunk, "pmta.delivery", map[string]any{"pmta.orcpt": "RFC822;a@b.example"}, map[string]any{"orig_recipient": "a@b.example"}},
		{"date", ecs, "pmta.delivery", map[string]any{"email.origination_timestamp": "Fri, 1 Mar 2024 00:30:00 +0100"},
			map[string]any{"email.origination_timestamp": "2024-02-29T23:30:00Z", "pmta.header_date": nil}},
		{"date in an old form", ecs, "pmta.delivery", map[string]any{"email.origination_timestamp": "1 Mar 2024 00:30 GMT"}, map[string]any{"email.origination_timestamp": "2024-03-01T00:30:00Z"}},
		{"no date", ecs, "pmta.delivery", map[string]any{"email.origination_timestamp": "yesterday"}, map[string]any{"email.origination_timestamp": nil, "pmta.header_date": "yesterday"}},
		{"the user's own value wins", ecs, "pmta.bounce", map[string]any{"event.action": "dropped", "event.outcome": "unknown", "related.ip": []any{"192.0.2.7"}, "network.peer.address": "192.0.2.8"},
			map[string]any{"event.action": "dropped", "event.outcome": "unknown", "related.ip": []any{"192.0.2.7"}, "destination.ip": "192.0.2.8"}},
		{"complaint", splunk, "pmta.feedback", map[string]any{"pmta.feedback.type": "abuse"}, map[string]any{"signature": "abuse", "action": "complained"}},
		{"type by attribute", ecs, "", map[string]any{"pmta.record.type": "tq"}, map[string]any{"event.action": "queue_deferred", "event.outcome": "failure"}},
		{"a type of another kind", ecs, "", map[string]any{"server.address": int64(7)}, map[string]any{"destination.address": "7", "event.action": "unknown", "event.outcome": "unknown"}},
		{"dimension", ecs, "pmta.delivery", map[string]any{semconv.PMTADimensionPrefix + "stream": "news"}, map[string]any{"labels.stream": "news"}},
		{"stream", ecs, "pmta.bounce", map[string]any{"pmta.stream": "bounce"}, map[string]any{"event.dataset": "pmta.bounce", "pmta.stream": "bounce", "event.category": []any{"email"}}},
		{"no stream", ecs, "pmta.bounce", nil, map[string]any{"event.dataset": "pmta.acct"}},
		{"no stream in the log", ecs, "pmta.mta.crash", nil, map[string]any{"event.dataset": "pmta.panic", "event.action": "mta.crash", "event.outcome": "failure", "event.type": []any{"end", "error"}}},
		{"a stream of another kind", ecs, "pmta.log", map[string]any{"pmta.stream": "x"}, map[string]any{"event.dataset": "pmta.x"}},
		{"an event of the user", ecs, "pmta.greylisting.seen", map[string]any{"pmta.stream": "diag"}, map[string]any{"event.action": "greylisting.seen", "event.outcome": "unknown", "event.category": []any{"process"}}},
		{"an event of the user, CIM", splunk, "my.event", nil, map[string]any{"action": "my.event", "signature": "my.event", "signature_id": "my.event", "type": "event"}},
		{"the outcome of a session", ecs, "pmta.session", map[string]any{"pmta.outcome": "success", "pmta.session.duration": 2.0, "pmta.session.direction": "outbound", "network.peer.port": int64(25), "network.local.port": int64(40000)},
			map[string]any{"event.outcome": "success", "event.duration": 2e9, "network.direction": "outbound", "destination.port": 25.0, "source.port": 40000.0}},
		{"a client", ecs, "pmta.session.accept", map[string]any{"client.address": "192.0.2.3", "client.port": int64(5), "network.local.address": "192.0.2.4", "network.local.port": int64(25)},
			map[string]any{"source.ip": "192.0.2.3", "source.port": 5.0, "destination.ip": "192.0.2.4", "destination.port": 25.0, "client.ip": "192.0.2.3", "client.port": 5.0}},
		{"a client, CIM", splunk, "pmta.monitor.denied", map[string]any{"client.address": "192.0.2.3"}, map[string]any{"src": "192.0.2.3", "src_ip": "192.0.2.3", "action": "monitor.denied", "recipient_status": nil, "protocol": nil}},
		{"a refusal", ecs, "pmta.queue.backoff", map[string]any{"smtp.response.code": int64(421), "smtp.response.text": "later", "pmta.reason": "421 later"},
			map[string]any{"error.code": "421", "error.message": "later", "event.reason": "421 later", "pmta.reason": "421 later"}},
		{"no refusal", ecs, "pmta.session.reply", map[string]any{"smtp.response.code": int64(250), "smtp.response.text": "ok"}, map[string]any{"error.code": nil, "error.message": nil}},
		{"no mail, CIM", splunk, "pmta.session", map[string]any{"smtp.rcpt_to": "a@b.example", "smtp.mail_from": "c@d.example", "smtp.response.code": int64(550), "smtp.bounce.category": "x", "error.type": "x"},
			map[string]any{"recipient": nil, "src_user": nil, "status_code": nil, "signature": "session", "pmta_rcpt_to": "a@b.example", "pmta_mail_from": "c@d.example", "pmta_category": "x", "pmta_error_type": "x"}},
		{"late time", ecs, "pmta.delivery", map[string]any{"pmta.time_first_attempt": int64(1500000000)}, map[string]any{"pmta.time_first_attempt": "1970-01-01T00:00:01.5Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := render(t, c.o, c.event, c.in)
			for k, v := range c.want {
				if v == nil {
					require.NotContains(t, doc, k)
				} else {
					require.Equal(t, v, doc[k], k)
				}
			}
		})
	}
}

// Resource and record may have the same name; the record wins.
func TestRecordWinsOverResource(t *testing.T) {
	lr, res := plog.NewLogRecord(), pcommon.NewResource()
	lr.Attributes().PutStr("site", "record")
	lr.Attributes().PutStr("host.name", "record")
	res.Attributes().PutStr("site", "resource")
	res.Attributes().PutStr("host.name", "resource")
	res.Attributes().PutStr("event.action", "resource")
	for _, o := range []Options{{}, {Schema: ECS}} {
		doc := object(t, NewRenderer(o).AppendJSON(nil, res, pcommon.NewInstrumentationScope(), lr))
		require.Equal(t, "record", doc["site"])
		require.Equal(t, "record", doc["host.name"])
	}
	doc := object(t, NewRenderer(Options{Nested: true}).AppendJSON(nil, res, pcommon.NewInstrumentationScope(), lr))
	require.Equal(t, map[string]any{"site": "record", "host.name": "record"}, doc["attributes"])
	require.Equal(t, "resource", doc["resource"].(map[string]any)["attributes"].(map[string]any)["site"])
}

// What is no address is in no field of addresses; Elasticsearch would refuse it
// there.
func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "[192.0.2.1]": "192.0.2.1", "0.0.0.0": "", "0.0.0.1": "0.0.0.1",
		"2001:db8::1": "2001:db8::1", "::": "", "::1": "::1", "::ffff:192.0.2.1": "::ffff:192.0.2.1", "FE80:0:0:0:0:0:0:1": "FE80:0:0:0:0:0:0:1",
		"": "", "abc.de": "", "cafe": "", "1.2.3": "", "1.2.3.4.5": "", "a.b.c.d": "", "192.0.2.1:25": "", "fe80::1%2": "",
		"dead:beef": "", "12": "", "1:2::3.4": "", "mx.example": "", strings.Repeat(":", 46): "",
	} {
		require.Equal(t, want, ipOf(in), in)
	}
}

// Whatever the names are, a document is valid JSON without a key twice, and a
// record rendered in place has no attribute twice.
func FuzzNames(f *testing.F) {
	f.Add("a.b", "a_b", "a.b", "x")
	f.Add("pmta.header", "pmta.header.x", "pmta.header_", "v")
	f.Add("pmta.queue", "pmta.queue.name", "pmta_queue", "v")
	f.Add("labels.x", "pmta.dimension.x", "labels.x_", "v")
	f.Add("body", "@timestamp", "resource", "v")
	f.Add("event.action", "action", "pmta.header.", "\xff")
	f.Fuzz(func(t *testing.T, a, b, c, v string) {
		for n, o := range slices.Concat(slices.Collect(maps.Values(variants)), slices.Collect(maps.Values(variants))) {
			lr, res := plog.NewLogRecord(), pcommon.NewResource()
			lr.SetEventName("pmta.bounce")
			if n >= len(variants) {
				lr.SetEventName("pmta.queue.backoff")
			}
			lr.Body().SetStr(v)
			for _, k := range []string{a, b, c} {
				lr.Attributes().PutStr(k, v)
				res.Attributes().PutStr(k, v)
			}
			r := NewRenderer(o)
			object(t, r.AppendJSON(nil, res, pcommon.NewInstrumentationScope(), lr))
			var slab logslab.Slab
			body := plog.NewLogRecord()
			lr.CopyTo(body)
			r.RenderBody(&slab, res, pcommon.NewInstrumentationScope(), body)
			r.Render(&slab, lr)
			for _, m := range []pcommon.Map{lr.Attributes(), body.Body().Map()} {
				seen := map[string]bool{}
				for k := range m.All() {
					require.False(t, seen[k], "%q twice", k)
					seen[k] = true
				}
			}
		}
	})
}
