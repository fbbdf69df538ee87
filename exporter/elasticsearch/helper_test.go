package elasticsearch

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

// simulated returns n accounting records of a simulated PowerMTA, as the
// powermta receiver makes them.
func simulated(tb testing.TB, n int64) plog.Logs {
	tb.Helper()
	dir := tb.TempDir()
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 7, Rate: 5, Mix: simulate.DefaultMix, Hurry: 500})
	require.NoError(tb, err)
	a, err := simulate.NewAccounting(simulate.AccountingConfig{Path: filepath.Join(dir, "acct.csv"), UserString: "cluster-a"})
	require.NoError(tb, err)
	_, err = simulate.Run(context.Background(), w, simulate.RunOptions{Streams: []simulate.Stream{a}, Records: n})
	require.NoError(tb, err)
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	require.NoError(tb, err)
	b := &builder{logs: plog.NewLogs()}
	rl := b.logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "pmta")
	rl.Resource().Attributes().PutStr("host.name", "mta1.example.com")
	b.records = rl.ScopeLogs().AppendEmpty().LogRecords()
	b.slab.HintAttrs = int(n) * 45
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(tb, err)
		acct.NewDecoder(acct.Options{Location: time.UTC}).Decode(string(text), true, b)
	}
	require.Zero(tb, b.rejects)
	require.EqualValues(tb, n, b.records.Len())
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

// small makes n records with little in them and uids uid-0, uid-1 and so on.
func small(n int) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "pmta")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		lr := records.AppendEmpty()
		lr.SetTimestamp(pcommon.Timestamp(1_770_000_000_000_000_000))
		lr.Attributes().PutStr(semconv.LogRecordUID, fmt.Sprintf("uid-%d", i))
		lr.Attributes().PutStr(semconv.LogFilePath, "/var/log/pmta/acct.csv")
		lr.Attributes().PutInt(semconv.LogFileOffset, int64(i*100))
	}
	return ld
}

func uids(ld plog.Logs) (out []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				v, _ := lr.Attributes().Get(semconv.LogRecordUID)
				out = append(out, v.Str())
			}
		}
	}
	return out
}

// testConfig has a queue that makes ConsumeLogs wait, quick retries by the
// exporter and none by exporterhelper.
func testConfig(tb testing.TB, urls ...string) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoints = urls
	cfg.Retry.InitialInterval, cfg.Retry.MaxInterval = time.Microsecond, time.Millisecond
	cfg.RetryOnFailure.Enabled = false
	cfg.SendingQueue = configoptional.None[exporterhelper.QueueBatchConfig]()
	cfg.DeadLetter.Path = filepath.Join(tb.TempDir(), "dead.jsonl")
	return cfg
}

// running is an exporter between Start and Shutdown.
type running struct {
	exporter.Logs
	telemetry *componenttest.Telemetry
}

func start(tb testing.TB, cfg *Config, host component.Host) *running {
	tb.Helper()
	require.NoError(tb, cfg.Validate())
	tel := componenttest.NewTelemetry()
	set := exportertest.NewNopSettings(NewFactory().Type())
	set.TelemetrySettings = tel.NewTelemetrySettings()
	e, err := NewFactory().CreateLogs(context.Background(), set, cfg)
	require.NoError(tb, err)
	if host == nil {
		host = componenttest.NewNopHost()
	}
	require.NoError(tb, e.Start(context.Background(), host))
	tb.Cleanup(func() {
		require.NoError(tb, e.Shutdown(context.Background()))
		require.NoError(tb, tel.Shutdown(context.Background()))
		http.DefaultClient.CloseIdleConnections()
	})
	return &running{e, tel}
}

func deadLetters(tb testing.TB, cfg *Config) (out []quarantine.Entry) {
	tb.Helper()
	f, err := os.Open(cfg.DeadLetter.Path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(tb, err)
	defer func() { require.NoError(tb, f.Close()) }()
	require.NoError(tb, quarantine.Read(f, func(e quarantine.Entry) error { out = append(out, e); return nil },
		func(line int, err error) { tb.Fatalf("line %d: %v", line, err) }))
	return out
}
