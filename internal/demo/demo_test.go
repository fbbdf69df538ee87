package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

const scraped = `# TYPE otelcol_pmta_records_total counter
otelcol_pmta_records_total{otel_scope_name="x",pmta_record_type="d"} 900
otelcol_pmta_records_total{otel_scope_name="x",pmta_record_type="t"} 100
# TYPE otelcol_pmta_rejected_total counter
otelcol_pmta_rejected_total{reason="bad_quote"} 2
# TYPE otelcol_pmta_log_entries_total counter
otelcol_pmta_log_entries_total{event="pmta.mta.start"} 1
otelcol_pmta_log_entries_total{event="pmta.queue.backoff"} 6
# TYPE otelcol_pmta_sessions_total counter
otelcol_pmta_sessions_total{pmta_session_outcome="delivered"} 3
# TYPE otelcol_pmta_lag_bytes gauge
otelcol_pmta_lag_bytes{stream="acct.csv"} 10
otelcol_pmta_lag_bytes{stream="bounce.csv"} 5
# TYPE otelcol_pmta_lag_seconds gauge
otelcol_pmta_lag_seconds{stream="acct.csv"} 0.25
otelcol_pmta_lag_seconds{stream="bounce.csv"} 0.1
`

func TestSummaryLine(t *testing.T) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scraped))
	require.NoError(t, err)
	s := summarise(families)
	require.Equal(t, int64(1000), s.total)
	require.Equal(t, int64(15), s.lagBytes)
	before := summary{at: s.at.Add(-2 * time.Second), total: 400}
	require.Equal(t, "   300 records/s  1000 in all: d 900 t 100  log 7 events 3 sessions  lag 0.2 s  rejected 2", s.line(before))
}

func TestFirstRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"pmta.delivery","attributes":[{"key":"pmta.vmta","value":{"stringValue":"vmta1"}},{"key":"smtp.response.code","value":{"intValue":"250"}}]}]}]}]}`+"\n"), 0o600))
	require.Equal(t, "  event.name = pmta.delivery\n  pmta.vmta = \"vmta1\"\n  smtp.response.code = \"250\"\n", firstRecord(path))
	require.Empty(t, firstRecord(path+".missing"))
}
