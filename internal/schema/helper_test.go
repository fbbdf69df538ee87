package schema

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/mainlog"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

// simulated returns n accounting records of all types with header fields, as
// the powermta receiver makes them.
func simulated(t testing.TB, n int64, mix simulate.Mix) plog.Logs {
	t.Helper()
	dir := t.TempDir()
	fields := map[simulate.Type][]string{}
	for _, typ := range simulate.AllTypes() {
		switch typ {
		case simulate.TransientQueue:
		case simulate.Feedback:
			fields[typ] = []string{"*", "header_Subject", "header_From", "header_Message-Id", "arf_Original-Mail-From"}
		default:
			fields[typ] = []string{"*", "header_Subject", "header_From", "header_Message-Id", "header_Date", "header_X-Campaign"}
		}
	}
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 7, Rate: 5, Mix: mix, Hurry: 500})
	require.NoError(t, err)
	a, err := simulate.NewAccounting(simulate.AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Fields: fields, UserString: "cluster-a"})
	require.NoError(t, err)
	_, err = simulate.Run(context.Background(), w, simulate.RunOptions{Streams: []simulate.Stream{a}, Records: n})
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	require.NoError(t, err)
	b := &builder{logs: plog.NewLogs()}
	rl := b.logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl(semconv.SchemaURL)
	for k, v := range map[string]string{"service.name": "pmta", "service.instance.id": "mta1", "host.name": "mta1.example.com", "site": "fra"} {
		rl.Resource().Attributes().PutStr(k, v)
	}
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("test")
	b.records = sl.LogRecords()
	b.slab.HintAttrs = int(n) * 45
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		acct.NewDecoder(acct.Options{Location: time.UTC}).Decode(string(text), true, b)
	}
	require.Zero(t, b.rejects)
	require.EqualValues(t, n, b.records.Len())
	return b.logs
}

type builder struct {
	logs    plog.Logs
	records plog.LogRecordSlice
	slab    logslab.Slab
	rejects int
}

func (b *builder) Record(rec *acct.Record) {
	attrs := append(rec.Attrs, acct.Attr{Key: semconv.LogRecordUID, Str: string(acct.AppendUID(nil, rec.UID))},
		acct.Attr{Key: semconv.PMTAStream, Str: semconv.StreamAcct}, acct.Attr{Key: semconv.LogFileName, Str: "acct.csv"})
	lr := b.records.AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(rec.Time))
	lr.SetObservedTimestamp(pcommon.Timestamp(rec.Time + 1_250_000_000))
	lr.SetEventName(rec.Type.EventName())
	number, text := rec.Type.Severity()
	lr.SetSeverityNumber(plog.SeverityNumber(number))
	lr.SetSeverityText(text)
	if rec.Diag != "" {
		b.slab.SetString(lr.Body(), rec.Diag)
	}
	b.slab.SetAttributes(lr.Attributes(), attrs)
	rec.Attrs = attrs[:0]
}

func (b *builder) Reject(acct.Reject) { b.rejects++ }

// logRecords makes records of the system log as the powermta receiver does.
type logRecords struct{ acctlogs.Builder }

func (b *logRecords) Entry(e *mainlog.Entry) {
	ev := acctlogs.Event{Time: e.Time, Name: e.Event, Severity: int32(e.Severity), SeverityText: e.Severity.String(), Body: e.Text, UID: e.UID, Attrs: e.Attrs}
	b.AddEvent(&ev, acct.Attr{Key: semconv.PMTAStream, Str: e.Stream})
	e.Attrs = ev.Attrs
}

func (b *logRecords) Session(s *mainlog.Session) {
	ev := acctlogs.Event{Time: s.Time, Name: semconv.EventSession, Severity: int32(s.Severity), SeverityText: s.Severity.String(), Body: s.Text, UID: s.UID, Attrs: s.Attrs}
	b.AddEvent(&ev, acct.Attr{Key: semconv.PMTAStream, Str: semconv.StreamDiag})
	s.Attrs = ev.Attrs
}

func (b *logRecords) Reject(acct.Reject) {}

// otherRecords returns what is no accounting record: all that the decoder of
// the system log is tested with, the events of the web monitor and those that
// the agent finds out itself.
func otherRecords(t testing.TB) plog.Logs {
	t.Helper()
	b := &logRecords{}
	b.Begin(&acctlogs.Options{ScopeName: "test", Resource: map[string]string{"service.name": "pmta"}}, 1<<20, time.Unix(1769853700, 250e6))
	files, err := filepath.Glob("../mainlog/testdata/*/input.log")
	require.NoError(t, err)
	require.Greater(t, len(files), 30)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		d := mainlog.NewDecoder(mainlog.Options{Location: time.UTC, StartupErrors: strings.Contains(f, "startuperr")})
		d.Decode(string(text), true, b)
		d.Flush(b)
	}
	num := func(key string, n int64) acct.Attr { return acct.Attr{Key: key, Num: n, Kind: acct.KindInt} }
	for i, e := range []acctlogs.Event{
		{Name: semconv.EventQueueBackoff, Severity: 13, SeverityText: "WARN", Body: "queue gmail.com/vmta1 is in backoff mode", Attrs: []acct.Attr{
			{Key: semconv.PMTAEventSource, Str: semconv.EventSourceStatus}, {Key: semconv.PMTAQueueName, Str: "gmail.com/vmta1"}, {Key: semconv.PMTAQueueDomain, Str: "gmail.com"},
			{Key: semconv.PMTAQueueVMTA, Str: "vmta1"}, {Key: semconv.PMTAReason, Str: "421 4.7.28 rate limited"}, {Key: semconv.PMTABackoffPattern, Str: "/^421 /"},
			{Key: semconv.PMTADSNDiag, Str: "smtp;421 4.7.28 rate limited"}, {Key: semconv.PMTADSNDiagType, Str: "smtp"}, num(semconv.SMTPResponseCode, 421),
			{Key: semconv.SMTPResponseEnhancedStatus, Str: "4.7.28"}, {Key: semconv.SMTPResponseText, Str: "rate limited"}, {Key: semconv.PMTAEventInitial, Num: 1, Kind: acct.KindBool},
			{Key: semconv.BounceCategory, Str: "rate_limited"}, {Key: semconv.BounceRuleID, Str: "gmail-rate"}, {Key: semconv.ErrorType, Str: "rate_limited"}}},
		{Name: semconv.EventMonitorUnreachable, Severity: 17, SeverityText: "ERROR", Body: "the web monitor does not answer", Attrs: []acct.Attr{
			{Key: semconv.PMTAEventSource, Str: semconv.EventSourceStatus}, {Key: semconv.PMTAReason, Str: "connection refused"}, {Key: semconv.ErrorType, Str: "unreachable"}}},
		{Name: semconv.EventMonitorReachable, Severity: 9, SeverityText: "INFO", Body: "the web monitor answers again"},
		{Name: semconv.EventCountersReset, Severity: 9, SeverityText: "INFO", Body: "the counters went back"},
		{Name: semconv.EventCoverage, Severity: 13, SeverityText: "WARN", Body: "who defers mail: missing t, tq", Attrs: []acct.Attr{
			{Key: semconv.PMTACoverageGap, Str: "no_transient"}, {Key: semconv.PMTACoverageQuestion, Str: "who defers mail"},
			{Key: semconv.PMTACoverageMissing, Str: "t,tq", Kind: acct.KindStrings}, {Key: semconv.PMTACoverageFile, Str: "acct.csv"}, {Key: semconv.PMTACoverageConfig, Str: "<acct-file x>\n</acct-file>"}}},
		{Name: semconv.EventReconciliation, Severity: 13, SeverityText: "WARN", Body: "PowerMTA counted 5 records; 4 were sent", Attrs: []acct.Attr{
			{Key: semconv.PMTAAcctFilePath, Str: "/var/log/pmta/acct-1.csv"}, {Key: semconv.PMTAAcctFileMovedTo, Str: "/var/log/pmta/moved/acct-1.csv"}, num(semconv.PMTAAcctFileRecords, 5),
			{Key: semconv.PMTAReconciliationOutcome, Str: "differs"}, num(semconv.PMTAReconciliationEmitted, 4), num(semconv.PMTAReconciliationRejected, 0),
			num(semconv.PMTAReconciliationDuplicates, 0), num(semconv.PMTAReconciliationDifference, 1)}},
	} {
		e.Time, e.UID = int64(1769853600+i)*1e9, [2]uint64{7, uint64(i)}
		b.AddEvent(&e, acct.Attr{Key: semconv.PMTAStream, Str: semconv.StreamDiag})
	}
	return b.Logs
}

var richMix = simulate.Mix{Delivery: 40, Transient: 15, Bounce: 15, TransientQueue: 8, RemoteBounce: 8, RemoteStatus: 6, Feedback: 8}

// classified adds what later processors add, so that no row is left out.
func classified(lr plog.LogRecord) {
	m := lr.Attributes()
	values := map[string]any{
		"smtp.bounce.category": "recipient_unknown", "smtp.bounce.group": "recipient", "smtp.bounce.type": "hard", "smtp.bounce.owner": "list_hygiene",
		"smtp.bounce.retryable": false, "smtp.bounce.provider": "gmail", "smtp.bounce.provider_code": "S3150", "smtp.bounce.blocklist": "Spamhaus ZEN",
		"smtp.bounce.blocklist_object": "ip", "smtp.bounce.auth_mechanism": "dmarc", "smtp.bounce.rule_id": "generic-user-unknown", "smtp.bounce.match": "literal",
		"smtp.bounce.rules_version": "2026.1", "smtp.bounce.last_category": "rate_limited", "error.type": "recipient_unknown",
		"pmta.response.template_id": "0123456789abcdef", "log.record.template": "550 5.1.1 <*> unknown", "pmta.provider": "gmail",
		semconv.PMTAAttempt: int64(3), semconv.PMTAAttemptExact: true, semconv.PMTATimeSent: int64(1549662845000000000),
		semconv.PMTADimensionPrefix + "stream": "newsletter", "pmta.field.newColumn": "x", "pmta.unparsed.dlvSize": "many",
		semconv.PMTAFirstAttemptElapsed: 12.5, semconv.PMTALastDeferralCategory: "greylisted", "team": "a",
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if err := m.PutEmpty(k).FromRaw(values[k]); err != nil {
			panic(err)
		}
	}
}

func eachRecord(ld plog.Logs, f func(res pcommon.Resource, scope pcommon.InstrumentationScope, lr plog.LogRecord)) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				f(rl.Resource(), sl.Scope(), lr)
			}
		}
	}
}
