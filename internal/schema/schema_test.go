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
