package smtpreply

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
	"github.com/otelcol-pmta/otelcol-pmta/processor/smtpreply/internal/metadata"
)

func testConfig(t testing.TB) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Unclassified.Path = filepath.Join(t.TempDir(), "unclassified.jsonl")
	return cfg
}

func startProcessor(t testing.TB, cfg *Config, sink *consumertest.LogsSink) processor.Logs {
	t.Helper()
	require.NoError(t, cfg.Validate())
	p, err := NewFactory().CreateLogs(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	return p
}

func logs(records ...map[string]any) plog.Logs {
	ld := plog.NewLogs()
	recs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, r := range records {
		_ = recs.AppendEmpty().Attributes().FromRaw(r)
	}
	return ld
}

// classify runs records through a processor and returns their attributes.
func classify(t *testing.T, p processor.Logs, sink *consumertest.LogsSink, records ...map[string]any) (out []map[string]any) {
	t.Helper()
	sink.Reset()
	require.NoError(t, p.ConsumeLogs(context.Background(), logs(records...)))
	for _, ld := range sink.AllLogs() {
		recs := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		for _, lr := range recs.All() {
			out = append(out, lr.Attributes().AsRaw())
		}
	}
	require.Len(t, out, len(records))
	return out
}

func TestWhatARecordGains(t *testing.T) {
	sink := new(consumertest.LogsSink)
	p := startProcessor(t, testConfig(t), sink)
	defer func() { require.NoError(t, p.Shutdown(context.Background())) }()
	out := classify(t, p, sink,
		map[string]any{
			"pmta.record.type": "b", "pmta.dsn.diag": "smtp;550 5.7.1 Messages from 203.0.113.9 were not sent, our internal list holds the network (S3150)",
			"server.address": "example-com.olc.protection.outlook.com", "pmta.bounce_category": "spam-related",
		},
		map[string]any{"pmta.record.type": "d", "pmta.dsn.diag": "smtp;250 2.0.0 queued as 1A2B3C", "server.address": "gmail-smtp-in.l.google.com"},
		map[string]any{"pmta.record.type": "tq", "smtp.enhanced_status": "4.4.1", "pmta.dsn.status_text": "no answer from host", "server.address": "mx.example.org"},
		map[string]any{"pmta.record.type": "r", "smtp.rcpt_to": "a@example.com"},
	)
	b := out[0]
	require.Equal(t, "reputation_ip", b["smtp.bounce.category"])
	require.Equal(t, "reputation", b["smtp.bounce.group"])
	require.Equal(t, "none", b["smtp.bounce.type"])
	require.Equal(t, "S3150", b["smtp.bounce.provider_code"])
	require.Equal(t, "provider_code", b["smtp.bounce.match"])
	require.Equal(t, "microsoft_consumer", b["pmta.provider"])
	require.Equal(t, "reputation_ip", b["error.type"])
	require.Equal(t, "spam-related", b["pmta.bounce_category"], "PMTA's own stays")
	require.NotContains(t, b["log.record.template"], "203.0.113.9")
	for _, key := range []string{"smtp.bounce.owner", "smtp.bounce.retryable", "smtp.bounce.rule_id", "smtp.bounce.rules_version", "pmta.response.template_id"} {
		require.Contains(t, b, key)
	}
	d := out[1]
	require.Equal(t, "delivered", d["smtp.bounce.category"])
	require.Equal(t, "gmail", d["pmta.provider"])
	require.NotContains(t, d, "error.type")
	require.Equal(t, "connection", out[2]["smtp.bounce.category"])
	require.Equal(t, "example.org", out[2]["pmta.provider"])
	require.Equal(t, map[string]any{"pmta.record.type": "r", "smtp.rcpt_to": "a@example.com"}, out[3], "no reply, nothing to say")

	again := classify(t, p, sink, b)[0]
	require.Equal(t, b, again, "what is classified stays so")
}

func TestExpiredMessageGetsItsCause(t *testing.T) {
	sink := new(consumertest.LogsSink)
	p := startProcessor(t, testConfig(t), sink)
	defer func() { require.NoError(t, p.Shutdown(context.Background())) }()
	message := func(typ, diag, rcpt string) map[string]any {
		return map[string]any{"pmta.record.type": typ, "pmta.dsn.diag": diag, "smtp.rcpt_to": rcpt, "smtp.mail_from": "s@example.com", "pmta.job.id": "j1"}
	}
	const expired = "smtp;551 5.4.7 message expired: delivery time ran out"
	out := classify(t, p, sink,
		message("t", "smtp;451 4.7.1 greylisted, come back in five minutes", "a@example.net"),
		message("t", "smtp;452 4.2.2 the mailbox is over its quota", "a@example.net"),
		message("b", expired, "a@example.net"),
		message("b", expired, "b@example.net"),
	)
	require.Equal(t, "message_expired", out[2]["smtp.bounce.category"])
	require.Equal(t, "mailbox_full", out[2]["smtp.bounce.last_category"])
	require.NotContains(t, out[3], "smtp.bounce.last_category", "no deferral was seen")
}

const userRules = `
rules:
  - id: acme-wall
    category: %s
    tier: strong
    any_of: ["zyzzyva wall"]
    examples: ["550 stopped by the zyzzyva wall"]
`

func writeRules(t *testing.T, path, category string, at time.Time) {
	t.Helper()
	tmp := path + ".tmp"
	require.NoError(t, os.WriteFile(tmp, []byte(fmt.Sprintf(userRules, category)), 0o600))
	require.NoError(t, os.Chtimes(tmp, at, at))
	require.NoError(t, os.Rename(tmp, path))
}

func TestUserRulesAreReloaded(t *testing.T) {
	cfg := testConfig(t)
	cfg.RulesFile = filepath.Join(t.TempDir(), "rules.yaml")
	cfg.ReloadInterval = 100 * time.Millisecond
	begin := time.Now().Add(-time.Hour)
	writeRules(t, cfg.RulesFile, "policy", begin)
	sink := new(consumertest.LogsSink)
	p := startProcessor(t, cfg, sink)
	defer func() { require.NoError(t, p.Shutdown(context.Background())) }()
	category := func() any {
		return classify(t, p, sink, map[string]any{"pmta.dsn.diag": "smtp;550 stopped by the zyzzyva wall"})[0]["smtp.bounce.category"]
	}
	require.Equal(t, "policy", category())
	writeRules(t, cfg.RulesFile, "spam_content", begin.Add(time.Minute))
	require.Eventually(t, func() bool { return category() == "spam_content" }, 20*time.Second, 5*time.Millisecond)
	writeRules(t, cfg.RulesFile, "no_such_category", begin.Add(2*time.Minute))
	writeRules(t, cfg.RulesFile, "tls", begin.Add(3*time.Minute))
	require.Eventually(t, func() bool { return category() == "tls" }, 20*time.Second, 5*time.Millisecond)
}

func TestUnclassifiedOutlivesARestart(t *testing.T) {
	cfg := testConfig(t)
	for range 2 {
		sink := new(consumertest.LogsSink)
		p := startProcessor(t, cfg, sink)
		classify(t, p, sink, map[string]any{"pmta.dsn.diag": "smtp;550 flurb snorkel 12345678 quux"})
		require.NoError(t, p.Shutdown(context.Background()))
	}
	f, err := os.Open(cfg.Unclassified.Path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	ts, err := smtpreply.ReadTemplates(f)
	require.NoError(t, err)
	require.Len(t, ts, 1)
	require.Equal(t, uint64(2), ts[0].Count)
	require.NotContains(t, ts[0].Samples[0].Text, "12345678")
}

func TestInvalidConfigs(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("rules:\n  - id: x\n    category: nonsense\n"), 0o600))
	for want, change := range map[string]func(*Config){
		"rules_file":                  func(c *Config) { c.RulesFile = broken },
		"reload_interval":             func(c *Config) { c.ReloadInterval = 0 },
		"cache_size":                  func(c *Config) { c.CacheSize = 0 },
		"unclassified::save_interval": func(c *Config) { c.Unclassified.SaveInterval = 0 },
		"unclassified::max_templates": func(c *Config) { c.Unclassified.MaxTemplates = 0 },
		"last_deferral::max_entries":  func(c *Config) { c.LastDeferral.MaxEntries = -1 },
	} {
		cfg := testConfig(t)
		change(cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	cfg := testConfig(t)
	cfg.RulesFile = broken
	require.ErrorContains(t, cfg.Validate(), ":2: rule", "line and rule are named")
}

func TestConcurrentUse(t *testing.T) {
	sink := new(consumertest.LogsSink)
	p := startProcessor(t, testConfig(t), sink)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				if err := p.ConsumeLogs(context.Background(), logs(map[string]any{"pmta.dsn.diag": "smtp;452 4.2.2 mailbox over quota", "pmta.record.type": "t"})); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	require.NoError(t, p.Shutdown(context.Background()))
	require.Equal(t, 200, sink.LogRecordCount())
}

// records keeps decoded records of simulated traffic.
type records struct{ attrs [][]acct.Attr }

func (r *records) Record(rec *acct.Record) {
	r.attrs = append(r.attrs, append([]acct.Attr(nil), rec.Attrs...))
}
func (r *records) Reject(acct.Reject) {}

func traffic(b *testing.B, n int64) [][]acct.Attr {
	b.Helper()
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 1, Start: simulate.DefaultStart, Rate: 1000})
	require.NoError(b, err)
	dir := b.TempDir()
	out, err := simulate.NewAccounting(simulate.AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Types: []simulate.Type{simulate.Delivery, simulate.Bounce, simulate.Transient}, Block: 1 << 16})
	require.NoError(b, err)
	_, err = simulate.Run(context.Background(), w, simulate.RunOptions{Streams: []simulate.Stream{out}, Records: n})
	require.NoError(b, err)
	names, _ := filepath.Glob(filepath.Join(dir, "*.csv"))
	data, err := os.ReadFile(names[0])
	require.NoError(b, err)
	var recs records
	acct.NewDecoder(acct.Options{}).Decode(string(data), true, &recs)
	return recs.attrs
}

// BenchmarkProcess is what the processor adds to the agent for each record of
// simulated traffic; building the records is not counted.
func BenchmarkProcess(b *testing.B) {
	attrs := traffic(b, 50_000)
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), testConfig(b))
	require.NoError(b, err)
	const batch = 400
	reserve := make([]byte, 16<<20) // as the agent has
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		ld := plog.NewLogs()
		recs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		slab := logslab.Slab{HintAttrs: batch * 64, Spare: 24} // as the receiver does
		for i := range batch {
			slab.SetAttributes(recs.AppendEmpty().Attributes(), attrs[(done+i)%len(attrs)])
		}
		b.StartTimer()
		if _, err := p.process(context.Background(), ld); err != nil {
			b.Fatal(err)
		}
		done += batch
	}
	b.StopTimer()
	_ = reserve[0]
	st := p.classifier.Stats()
	b.ReportMetric(100*float64(st.Hits+st.Accepted)/float64(st.Hits+st.Misses+st.Accepted), "hit%")
}
