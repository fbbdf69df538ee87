package mailenrich

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Events of the system log and the web monitor hold addresses in texts, and no
// record type: privacy is for them too.
func TestEventsKeepNoAddress(t *testing.T) {
	p, sink := newRunning(t, config(t, "privacy: {mode: redact}"), nil)
	defer stop(t, p)
	l := plog.NewLogs()
	lr := l.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName(semconv.EventQueueBackoff)
	lr.Body().SetStr(`Queue example.com/v1 switched to backoff mode: "450 4.2.1 <ann.lee@example.com> is busy"`)
	for k, v := range map[string]string{
		semconv.PMTAReason:            "450 4.2.1 <ann.lee@example.com> is busy",
		semconv.PMTADSNDiag:           "smtp;450 4.2.1 <ann.lee@example.com> is busy",
		semconv.SMTPCommand:           "RCPT TO:<ann.lee@example.com>",
		semconv.PMTASessionTranscript: "C: RCPT TO:<ann.lee@example.com>\nS: 450 4.2.1 <ann.lee@example.com> is busy",
	} {
		lr.Attributes().PutStr(k, v)
	}
	require.NoError(t, p.ConsumeLogs(t.Context(), l))
	got := records(sink.AllLogs()[0])[0]
	require.NotContains(t, got.Body().Str(), "ann.lee")
	require.Contains(t, got.Body().Str(), "@example.com")
	for k, v := range attrs(t, got) {
		require.NotContains(t, v, "ann.lee", k)
	}
}
