package mailschema

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich"
	"github.com/otelcol-pmta/otelcol-pmta/processor/smtpreply"
)

// benchBatch is how many records a batch has: what the receiver makes of one
// read of a file.
const benchBatch = 400

// reserve is what the agent has (cmd/otelcol-pmta/memory.go): it lets the
// garbage collector run less often, at no cost of memory.
var reserve = make([]byte, 12<<20)

// accounting returns files of benchBatch records with the 23 default columns.
var accounting = sync.OnceValue(func() (out []string) {
	dir, err := os.MkdirTemp("", "mailschema")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 7, Rate: 50, Mix: simulate.DefaultMix, Hurry: 500})
	if err != nil {
		panic(err)
	}
	a, err := simulate.NewAccounting(simulate.AccountingConfig{
		Path: filepath.Join(dir, "acct.csv"), Types: []simulate.Type{simulate.Delivery, simulate.Bounce, simulate.Transient, simulate.TransientQueue},
	})
	if err != nil {
		panic(err)
	}
	if _, err := simulate.Run(context.Background(), w, simulate.RunOptions{Streams: []simulate.Stream{a}, Records: 20 * benchBatch}); err != nil {
		panic(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(names) != 1 {
		panic("one file is expected")
	}
	csv, err := os.ReadFile(names[0])
	if err != nil {
		panic(err)
	}
	header, rows, _ := strings.Cut(string(csv), "\n")
	lines := strings.SplitAfter(rows, "\n")
	for len(lines) >= benchBatch {
		out = append(out, header+"\n"+strings.Join(lines[:benchBatch], ""))
		lines = lines[benchBatch:]
	}
	return out
})

// received makes records as the receiver does.
type received struct {
	logs plog.Logs
	recs plog.LogRecordSlice
	slab logslab.Slab
	uids []byte
}

func receive(csv string) plog.Logs {
	b := &received{logs: plog.NewLogs()}
	rl := b.logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("host.name", "mta1.example.com")
	b.recs = rl.ScopeLogs().AppendEmpty().LogRecords()
	b.recs.EnsureCapacity(benchBatch)
	spare := acctlogs.SpareAttributes()
	b.slab = logslab.Slab{HintAttrs: benchBatch * (36 + spare), Spare: spare}
	acct.NewDecoder(acct.Options{Location: time.UTC}).Decode(csv, true, b)
	return b.logs
}

func (b *received) Record(rec *acct.Record) {
	from := len(b.uids)
	b.uids = acct.AppendUID(b.uids, rec.UID)
	attrs := append(rec.Attrs, acct.Attr{Key: semconv.LogRecordUID, Str: string(b.uids[from:])}, acct.Attr{Key: semconv.PMTAStream, Str: semconv.StreamAcct}, acct.Attr{Key: semconv.LogFileName, Str: "acct.csv"})
	lr := b.recs.AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(rec.Time))
	lr.SetObservedTimestamp(pcommon.Timestamp(rec.Time + 1_250_000_000))
	lr.SetEventName(rec.Type.EventName())
	if rec.Diag != "" {
		b.slab.SetString(lr.Body(), rec.Diag)
	}
	b.slab.SetAttributes(lr.Attributes(), attrs)
	rec.Attrs = attrs[:0]
}

func (b *received) Reject(r acct.Reject) { panic(r.Detail) }

// through starts a processor that hands on to next.
func through(b *testing.B, f processor.Factory, next consumer.Logs) consumer.Logs {
	cfg := f.CreateDefaultConfig()
	if c, ok := cfg.(*smtpreply.Config); ok {
		c.Unclassified.Path = ""
	}
	p, err := f.CreateLogs(context.Background(), processortest.NewNopSettings(f.Type()), cfg, next)
	require.NoError(b, err)
	require.NoError(b, p.Start(context.Background(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, p.Shutdown(context.Background())) })
	return p
}

// BenchmarkProcess measures one record in the place where it is in the agent:
// made by the receiver, then through smtp_reply and mail_enrich, whose cost is
// not counted. ns/op is wall time, cpu-ns/op the processor time of the thread,
// which other work on the machine does not change as much.
func BenchmarkProcess(b *testing.B) {
	for _, cfg := range []Config{
		{Schema: "ecs", Into: intoAttributes}, {Schema: "splunk_cim", Into: intoAttributes},
		{Schema: "ecs", Into: intoBody}, {Schema: "splunk_cim", Into: intoBody},
	} {
		cfg.StatusCode = statusSMTP
		b.Run(cfg.Schema+"/"+cfg.Into, func(b *testing.B) { benchmark(b, &cfg) })
	}
}

func benchmark(b *testing.B, cfg *Config) {
	p, err := newProcessor(cfg)
	require.NoError(b, err)
	heap := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/allocs:objects"}}
	var wall, cpu time.Duration
	var bytes, objects uint64
	before, after := 0, 0
	measured, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		attrs := func() (n int) {
			for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
				n += lr.Attributes().Len()
			}
			return n
		}
		before += attrs()
		metrics.Read(heap)
		bytes, objects = bytes-heap[0].Value.Uint64(), objects-heap[1].Value.Uint64()
		cpu -= threadTime()
		began := time.Now()
		_, err := p.process(ctx, ld)
		wall += time.Since(began)
		cpu += threadTime()
		metrics.Read(heap)
		bytes, objects = bytes+heap[0].Value.Uint64(), objects+heap[1].Value.Uint64()
		after += attrs()
		return err
	})
	require.NoError(b, err)
	chain := through(b, smtpreply.NewFactory(), through(b, mailenrich.NewFactory(), measured))
	files := accounting()
	runtime.KeepAlive(reserve)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx := context.Background()
	for _, f := range files { // shapes, caches
		require.NoError(b, chain.ConsumeLogs(ctx, receive(f)))
	}
	wall, cpu, bytes, objects, before, after = 0, 0, 0, 0, 0, 0
	done := 0
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; done < b.N; i++ {
		require.NoError(b, chain.ConsumeLogs(ctx, receive(files[i%len(files)])))
		done += benchBatch
	}
	per := float64(done)
	b.ReportMetric(float64(wall.Nanoseconds())/per, "ns/op")
	b.ReportMetric(float64(cpu.Nanoseconds())/per, "cpu-ns/op")
	b.ReportMetric(float64(bytes)/per, "B/op")
	b.ReportMetric(float64(objects)/per, "allocs/op")
	b.ReportMetric(float64(before)/per, "attrs-in")
	b.ReportMetric(float64(after)/per, "attrs-out")
}
