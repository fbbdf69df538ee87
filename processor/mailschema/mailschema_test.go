package mailschema

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
	"github.com/otelcol-pmta/otelcol-pmta/processor/mailschema/internal/metadata"
)

func input() plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl("https://otelcol-pmta.dev/schemas/1.0.0")
	rl.Resource().Attributes().PutStr("host.name", "mta1.example.com")
	sl := rl.ScopeLogs().AppendEmpty()
	for range 3 {
		lr := sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(1549662821250000000)
		lr.SetEventName("pmta.bounce")
		lr.Body().SetStr("smtp;550 5.1.1 no such user")
		a := lr.Attributes()
		a.PutStr("pmta.record.type", "b")
		a.PutStr("smtp.rcpt_to", "a@b.example")
		a.PutStr("pmta.dsn.diag", "smtp;550 5.1.1 no such user")
		a.PutInt("smtp.response.code", 550)
		a.PutStr("smtp.enhanced_status", "5.1.1")
		a.PutDouble("pmta.queue.duration", 2.5)
		a.PutStr("com.splunk.index", "mail")
	}
	return ld
}

func run(t *testing.T, cfg *Config) plog.Logs {
	t.Helper()
	require.NoError(t, cfg.Validate())
	sink := new(consumertest.LogsSink)
	p, err := NewFactory().CreateLogs(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), nil))
	require.NoError(t, p.ConsumeLogs(context.Background(), input()))
	require.NoError(t, p.Shutdown(context.Background()))
	require.Len(t, sink.AllLogs(), 1)
	return sink.AllLogs()[0]
}

func TestOTelChangesNothing(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	p, err := newProcessor(cfg)
	require.NoError(t, err)
	require.True(t, p.idle)
	require.Equal(t, input(), run(t, cfg))
}

func TestAttributes(t *testing.T) {
	ld := run(t, &Config{Schema: "ecs", Into: intoAttributes, StatusCode: statusSMTP})
	rl := ld.ResourceLogs().At(0)
	require.Empty(t, rl.SchemaUrl())
	require.Equal(t, map[string]any{
		"host.name": "mta1.example.com", "ecs.version": schema.ECSVersion,
		"observer.vendor": "Port25", "observer.product": "PowerMTA", "observer.type": "mta",
	}, rl.Resource().Attributes().AsRaw())
	for _, lr := range rl.ScopeLogs().At(0).LogRecords().All() {
		got := lr.Attributes().AsRaw()
		require.Equal(t, int64(2500000000), got["event.duration"])
		require.Equal(t, "bounced", got["event.action"])
		require.Equal(t, []any{"a@b.example"}, got["email.to.address"])
		require.Equal(t, "smtp;550 5.1.1 no such user", lr.Body().Str())
		require.NotContains(t, got, "smtp.rcpt_to")
		require.NotContains(t, got, "host.name")
		require.NotContains(t, got, "@timestamp")
		require.NotContains(t, got, "observer.vendor")
	}
}

func TestBody(t *testing.T) {
	for status, want := range map[string]any{statusSMTP: int64(550), statusDSN: "5.1.1"} {
		ld := run(t, &Config{Schema: "splunk_cim", Into: intoBody, StatusCode: status})
		for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			got := lr.Body().Map().AsRaw()
			require.Equal(t, want, got["status_code"])
			require.Equal(t, "blocked", got["action"])
			require.Equal(t, int64(2500), got["delay"])
			require.Equal(t, int64(1), got["recipient_count"])
			require.Equal(t, 1549662821.25, got["time"])
			require.Equal(t, "mta1.example.com", got["host"])
			require.Equal(t, map[string]any{"com.splunk.index": "mail"}, lr.Attributes().AsRaw())
		}
	}
}

// Batches may be processed at the same time.
func TestConcurrent(t *testing.T) {
	p, err := newProcessor(&Config{Schema: "ecs", Into: intoAttributes, StatusCode: statusSMTP})
	require.NoError(t, err)
	want, err := p.process(context.Background(), input())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := p.process(context.Background(), input())
				if err != nil || got.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(2).Attributes().Equal(want.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(2).Attributes()) == false {
					t.Error("differs", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Schema: "otel", Into: intoAttributes, StatusCode: statusSMTP}, ""},
		{Config{Schema: "ECS", Into: intoAttributes, StatusCode: statusSMTP}, `schema "ECS" is not known; use otel, ecs or splunk_cim`},
		{Config{Schema: "ecs", Into: "", StatusCode: statusSMTP}, `into: "" is not known; use "attributes" or "body"`},
		{Config{Schema: "ecs", Into: intoBody, StatusCode: "x"}, `status_code: "x" is not known; use "smtp" or "dsn"`},
		{Config{Schema: "ecs", Into: intoBody, StatusCode: statusDSN}, `status_code: "dsn" is for schema splunk_cim only`},
	} {
		err := c.cfg.Validate()
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.want)
	}
	err := (&Config{}).Validate()
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
}
