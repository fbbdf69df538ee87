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
		semconv.URLFull:               "https://mta1.example/getFile?rcpt=ann.lee%40example.com",
		semconv.URLPath:               "/listqueue/ann.lee@example.com",
		semconv.PMTAPipeCommand:       `/opt/alert --to ann.lee@example.com`,
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

// The replies of a session name its recipients, of whom it may have many.
func TestSessionKeepsNoName(t *testing.T) {
	p, sink := newRunning(t, config(t, "privacy: {mode: redact}"), nil)
	defer stop(t, p)
	l := plog.NewLogs()
	lr := l.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName(semconv.EventSession)
	lr.Body().SetStr("example.com/v1: rejected, 2 refused: 550 5.1.1 joe.doe unknown")
	lr.Attributes().PutStr(semconv.SMTPResponseText, "joe.doe unknown")
	lr.Attributes().PutStr(semconv.PMTASessionTranscript,
		"C: RCPT TO:<ann.lee@example.com>\nS: 550 ann.lee unknown\nC: RCPT TO:<joe.doe@example.com> ORCPT=rfc822;x\nS: 550 5.1.1 joe.doe unknown\nC: RCPT TO:<")
	require.NoError(t, p.ConsumeLogs(t.Context(), l))
	got := records(sink.AllLogs()[0])[0]
	require.Equal(t, "example.com/v1: rejected, 2 refused: 550 5.1.1 ... unknown", got.Body().Str())
	m := attrs(t, got)
	require.Equal(t, "... unknown", m[semconv.SMTPResponseText])
	require.Equal(t, "C: RCPT TO:<...@example.com>\nS: 550 ... unknown\nC: RCPT TO:<...@example.com> ORCPT=rfc822;x\nS: 550 5.1.1 ... unknown\nC: RCPT TO:<",
		m[semconv.PMTASessionTranscript])
}

// What is derived from a reply holds the recipient no more than the reply does:
// the template that smtp_reply makes knows addresses, but not every name. It
// must not hold a pseudonym either, or there is one for each recipient.
func TestDerivedTextsKeepNoName(t *testing.T) {
	p, sink := newRunning(t, config(t, "privacy: {mode: siphash, key: secretkey}"), nil)
	defer stop(t, p)
	l := decode(rows+"b,2026-03-01 10:00:05+0000,2026-03-01 10:00:00+0000,b@s.example,port25@example.com,smtp;550 5.1.1 mailbox port25 unknown,v1,j\n", 1)[0]
	m := records(l)[0].Attributes()
	m.PutStr(semconv.LogRecordTemplate, "550 5.1.1 mailbox port25 unknown")
	m.PutStr(semconv.PMTADSNStatusText, "Port25: no such user")
	require.NoError(t, p.ConsumeLogs(t.Context(), l))
	got := attrs(t, records(sink.AllLogs()[0])[0])
	require.Equal(t, "EB938A2508145899@example.com", got[semconv.SMTPRcptTo])
	require.Equal(t, "smtp;550 5.1.1 mailbox EB938A2508145899 unknown", got[semconv.PMTADSNDiag])
	require.Equal(t, "550 5.1.1 mailbox {user} unknown", got[semconv.LogRecordTemplate])
	require.Equal(t, "EB938A2508145899: no such user", got[semconv.PMTADSNStatusText])
}

// A report that hides the recipient may name it elsewhere, and hold it in
// places where the name alone tells it.
func TestHiddenRecipientOfReport(t *testing.T) {
	const head = "type,timeLogged,orig,rcpt,arf_Original-Rcpt-To,arf_Comment\n"
	p, sink := newRunning(t, config(t, "privacy: {mode: siphash, key: secretkey}"), nil)
	defer stop(t, p)
	for _, named := range []string{"<port25@example.com>", "rfc822;port25@example.com", "RFC822; <Port25@example.com>"} {
		sink.Reset()
		require.NoError(t, p.ConsumeLogs(t.Context(), decode(head+"f,2026-03-01 10:00:05+0000,b_port25_example.com@s.example,,"+named+",port25 is not amused\n", 1)[0]))
		got := attrs(t, records(sink.AllLogs()[0])[0])
		require.Equal(t, "b_EB938A2508145899_example.com@s.example", got[semconv.SMTPMailFrom], named)
		require.Equal(t, "EB938A2508145899 is not amused", got["pmta.arf.comment"], named)
	}
}
