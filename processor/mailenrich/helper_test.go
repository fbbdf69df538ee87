package mailenrich

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich/internal/metadata"
)

func load(t testing.TB, text string) (*Config, error) {
	t.Helper()
	raw, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := raw.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func mustLoad(t testing.TB, text string) *Config {
	t.Helper()
	cfg, err := load(t, text)
	require.NoError(t, err)
	return cfg
}

// batches makes records of accounting rows, as the receiver does.
type batches struct {
	out   []plog.Logs
	size  int
	slab  logslab.Slab
	recs  plog.LogRecordSlice
	lines string
	orig  bool // log.record.original
	spare int  // room for more attributes, see logslab.Slab
}

func (b *batches) Record(r *acct.Record) {
	if len(b.out) == 0 || b.recs.Len() >= b.size {
		l := plog.NewLogs()
		b.out = append(b.out, l)
		b.recs = l.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		b.slab = logslab.Slab{HintAttrs: 40 * min(b.size, 1000), Spare: b.spare}
	}
	lr := b.recs.AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(r.Time))
	lr.SetEventName(r.Type.EventName())
	if r.Diag != "" {
		b.slab.SetString(lr.Body(), r.Diag)
	}
	attrs := r.Attrs
	if b.orig {
		attrs = append(attrs, acct.Attr{Key: "log.record.original", Str: b.lines[r.Start : r.End-1]})
	}
	b.slab.SetAttributes(lr.Attributes(), attrs)
	r.Attrs = attrs[:0]
}

func (b *batches) Reject(r acct.Reject) { panic(r.Detail) }

func decodeInto(b *batches) {
	acct.NewDecoder(acct.Options{Location: time.UTC}).Decode(b.lines, true, b)
}

// decode makes batches of size records of an accounting file.
func decode(csv string, size int) []plog.Logs {
	b := &batches{size: size, lines: csv}
	decodeInto(b)
	return b.out
}

// newRunning returns a started processor and what comes out of it.
func newRunning(t testing.TB, cfg *Config, host component.Host) (processor.Logs, *consumertest.LogsSink) {
	t.Helper()
	sink := new(consumertest.LogsSink)
	if host == nil {
		host = componenttest.NewNopHost()
	}
	p, err := NewFactory().CreateLogs(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), host))
	return p, sink
}

func stop(t testing.TB, p component.Component) {
	t.Helper()
	require.NoError(t, p.Shutdown(context.Background()))
}

func records(l plog.Logs) []plog.LogRecord {
	var out []plog.LogRecord
	for _, rl := range l.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				out = append(out, lr)
			}
		}
	}
	return out
}

// attrs returns the attributes of a record; a name that is there twice fails.
func attrs(t testing.TB, lr plog.LogRecord) map[string]any {
	t.Helper()
	m := map[string]any{}
	for k, v := range lr.Attributes().All() {
		if _, ok := m[k]; ok {
			t.Errorf("%s is there twice", k)
		}
		m[k] = v.AsRaw()
	}
	return m
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// simulated returns an accounting file of n records of all types, in which
// messages come back as reports and are deferred.
var simulated = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "mailenrich")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	const n = 40_000
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 7, Rate: n / 43200.0})
	if err != nil {
		panic(err)
	}
	a, err := simulate.NewAccounting(simulate.AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Block: 1 << 20})
	if err != nil {
		panic(err)
	}
	if _, err := simulate.Run(context.Background(), w, simulate.RunOptions{Streams: []simulate.Stream{a}, Records: n}); err != nil {
		panic(err)
	}
	var text []byte
	for i, f := range a.Files() {
		b, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			panic(err)
		}
		if i > 0 { // one header is enough
			for b[0] != '\n' {
				b = b[1:]
			}
			b = b[1:]
		}
		text = append(text, b...)
	}
	return string(text)
})
