package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
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
	for variant, o := range variants {
		for typ, lr := range records {
			t.Run(variant+"/"+typ, func(t *testing.T) {
				var got bytes.Buffer
				require.NoError(t, json.Indent(&got, NewRenderer(o).AppendJSON(nil, testResource(), scope, lr), "", "  "))
				got.WriteByte('\n')
				file := filepath.Join("testdata", "golden", variant, typ+".json")
				if *update {
					require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
					require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err)
				require.Equal(t, string(want), got.String())
			})
		}
	}
}
