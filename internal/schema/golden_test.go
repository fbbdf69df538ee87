package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// oneOfEach returns the record of each type that has most attributes.
func oneOfEach(t testing.TB) map[string]plog.LogRecord {
	t.Helper()
	best := map[string]plog.LogRecord{}
	eachRecord(simulated(t, 3000, richMix), func(_ pcommon.Resource, _ pcommon.InstrumentationScope, lr plog.LogRecord) {
		v, ok := lr.Attributes().Get("pmta.record.type")
		require.True(t, ok)
		if have, ok := best[v.Str()]; !ok || lr.Attributes().Len() > have.Attributes().Len() {
			best[v.Str()] = lr
		}
	})
	require.Len(t, best, len(acct.Types))
	return best
}

// oneOfEachEvent returns the record of each event of otherRecords that has most
// attributes.
func oneOfEachEvent(t testing.TB) map[string]plog.LogRecord {
	best := map[string]plog.LogRecord{}
	eachRecord(otherRecords(t), func(_ pcommon.Resource, _ pcommon.InstrumentationScope, lr plog.LogRecord) {
		if have, ok := best[lr.EventName()]; !ok || lr.Attributes().Len() > have.Attributes().Len() {
			best[lr.EventName()] = lr
		}
	})
	for i := range events {
		if e := &events[i]; !e.Mail && e.Name != "" {
			require.Contains(t, best, e.Name)
		}
	}
	return best
}

func testResource() pcommon.Resource {
	res := pcommon.NewResource()
	res.Attributes().PutStr("service.name", "pmta")
	res.Attributes().PutStr("service.instance.id", "mta1")
	res.Attributes().PutStr("service.version", "5.0r7")
	res.Attributes().PutStr("host.name", "mta1.example.com")
	res.Attributes().PutStr("pmta.tenant", "acme")
	res.Attributes().PutStr("site", "fra")
	return res
}

func TestGolden(t *testing.T) {
	records := oneOfEach(t)
	full := plog.NewLogRecord()
	records["b"].CopyTo(full)
	classified(full)
	records["b-classified"] = full
	scope := pcommon.NewInstrumentationScope()
	scope.SetName("otelcol-pmta")
	check := func(variant, name string, o Options, lr plog.LogRecord) {
		t.Run(variant+"/"+name, func(t *testing.T) {
			var got bytes.Buffer
			require.NoError(t, json.Indent(&got, NewRenderer(o).AppendJSON(nil, testResource(), scope, lr), "", "  "))
			got.WriteByte('\n')
			file := filepath.Join("testdata", "golden", variant, name+".json")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
	for variant, o := range variants {
		for typ, lr := range records {
			check(variant, typ, o, lr)
		}
	}
	for event, lr := range oneOfEachEvent(t) {
		for _, variant := range []string{"ecs", "splunk_cim"} {
			check(variant, filepath.Join("log", strings.TrimPrefix(event, "pmta.")), variants[variant], lr)
		}
	}
}
