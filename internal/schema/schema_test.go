package schema

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// object decodes one JSON object and fails on a key that occurs twice.
func object(t testing.TB, b []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var read func() any
	read = func() any {
		tok, err := d.Token()
		require.NoError(t, err, "%s", b)
		switch tok {
		case json.Delim('{'):
			m := map[string]any{}
			for d.More() {
				k, err := d.Token()
				require.NoError(t, err, "%s", b)
				require.NotContains(t, m, k, "%s", b)
				m[k.(string)] = read()
			}
			_, err = d.Token()
			require.NoError(t, err)
			return m
		case json.Delim('['):
			l := []any{}
			for d.More() {
				l = append(l, read())
			}
			_, err = d.Token()
			require.NoError(t, err)
			return l
		}
		return tok
	}
	m, ok := read().(map[string]any)
	require.True(t, ok, "%s", b)
	require.False(t, d.More())
	return m
}

var variants = map[string]Options{
	"otel": {}, "otel_nested": {Nested: true}, "ecs": {Schema: ECS}, "splunk_cim": {Schema: SplunkCIM}, "splunk_cim_dsn": {Schema: SplunkCIM, DSNStatus: true},
}

func TestValidJSON(t *testing.T) {
	ld := simulated(t, 3000, richMix)
	for name, o := range variants {
		t.Run(name, func(t *testing.T) {
			r := NewRenderer(o)
			eachRecord(ld, func(res pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord) {
				object(t, r.AppendJSON(nil, res, scope, lr))
			})
			t.Log(r.Misses(), "shapes")
		})
	}
}

// A pool hands out what was used last, so that what it has learnt stays.
func TestPool(t *testing.T) {
	p := NewPool(Options{Schema: ECS})
	a, b := p.Get(), p.Get()
	require.NotSame(t, a, b)
	p.Put(a)
	p.Put(b)
	require.Same(t, b, p.Get())
	for range 3 * maxResting {
		p.Put(NewRenderer(Options{Schema: ECS}))
	}
	require.Len(t, p.resting, maxResting)
}

// Records whose names are equal, but not the same strings in memory, share a
// plan.
func TestPlansAreFoundByName(t *testing.T) {
	r := NewRenderer(Options{Schema: ECS})
	for i := range 50 {
		lr := plog.NewLogRecord()
		lr.SetEventName("pmta.delivery")
		for _, k := range []string{"pmta.queue.name", "smtp.rcpt_to", "site"} {
			lr.Attributes().PutStr(string(append([]byte(nil), k...)), "v")
		}
		doc := object(t, r.AppendJSON(nil, pcommon.NewResource(), pcommon.NewInstrumentationScope(), lr))
		require.Equal(t, "v", doc["pmta.queue.name"], i)
	}
	require.Equal(t, 1, r.Misses())
}
