package schema

import (
	"runtime"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

// A few batches are on their way in an agent at any time.
const benchRecords = 1000

// reserve is what the agent has: it lets the garbage collector run less often,
// at no cost of memory.
var reserve = make([]byte, 16<<20)

func benchLogs(b *testing.B) plog.Logs {
	ld := simulated(b, benchRecords, simulate.DefaultMix)
	runtime.KeepAlive(reserve)
	attrs := 0
	eachRecord(ld, func(_ pcommon.Resource, _ pcommon.InstrumentationScope, lr plog.LogRecord) {
		attrs += lr.Attributes().Len()
	})
	b.ReportMetric(float64(attrs)/benchRecords, "attrs/record")
	return ld
}

func BenchmarkAppendJSON(b *testing.B) {
	for _, o := range []struct {
		name string
		Options
	}{{"otel", Options{}}, {"otel_nested", Options{Nested: true}}, {"ecs", Options{Schema: ECS}}, {"splunk_cim", Options{Schema: SplunkCIM}}} {
		b.Run(o.name, func(b *testing.B) {
			ld := benchLogs(b)
			rl := ld.ResourceLogs().At(0)
			sl := rl.ScopeLogs().At(0)
			records := sl.LogRecords()
			r := NewRenderer(o.Options)
			var dst []byte
			bytes := 0
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if i%400 == 0 {
					dst = dst[:0]
				}
				from := len(dst)
				dst = r.AppendJSON(dst, rl.Resource(), sl.Scope(), records.At(i%benchRecords))
				bytes += len(dst) - from
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/record")
			b.ReportMetric(float64(r.Misses()), "misses")
		})
	}
}
