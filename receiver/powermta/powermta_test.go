package powermta

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/reconcile"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta/internal/metadata"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta/internal/metadatatest"
)

const (
	header = "type,timeLogged,orig,rcpt,dsnDiag,vmta\n"
	rowD   = "d,2026-01-31 10:00:00+0000,s@example.com,r@Example.NET,smtp;250 2.0.0 ok,vmta1\n"
	rowB   = "b,2026-01-31 10:00:01+0000,s@example.com,x@example.net,smtp;550 5.1.1 no such user,vmta1\n"
	rowBad = "b,2026-01-31 10:00:02+0000,too,few\n"
)

// pipeline is a consumer whose answers a test decides.
type pipeline struct {
	mu      sync.Mutex
	answer  func(attempt int, ld plog.Logs) error
	attempt int
	got     []plog.Logs
	arrived chan struct{}
}

func newPipeline(answer func(int, plog.Logs) error) *pipeline {
	return &pipeline{answer: answer, arrived: make(chan struct{}, 1000)}
}

func (p *pipeline) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (p *pipeline) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt++
	if p.answer != nil {
		if err := p.answer(p.attempt, ld); err != nil {
			return err
		}
	}
	p.got = append(p.got, ld)
	p.arrived <- struct{}{}
	return nil
}

func (p *pipeline) records() (out []plog.LogRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ld := range p.got {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					out = append(out, lr)
				}
			}
		}
	}
	return out
}

// memory is a storage extension that outlives a receiver.
type memory struct {
	component.StartFunc
	component.ShutdownFunc
	mu   sync.Mutex
	data map[string][]byte
}

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return &memoryClient{m}, nil
}

type memoryClient struct{ m *memory }

func (c *memoryClient) Get(_ context.Context, k string) ([]byte, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.m.data[k], nil
}

func (c *memoryClient) Set(_ context.Context, k string, v []byte) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.data[k] = append([]byte(nil), v...)
	return nil
}

func (c *memoryClient) Delete(_ context.Context, k string) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	delete(c.m.data, k)
	return nil
}

func (c *memoryClient) Batch(ctx context.Context, ops ...*storage.Operation) (err error) {
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value, err = c.Get(ctx, op.Key)
		case storage.Set:
			err = c.Set(ctx, op.Key, op.Value)
		case storage.Delete:
			err = c.Delete(ctx, op.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *memoryClient) Close(context.Context) error { return nil }

type host struct {
	ext map[component.ID]component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component { return h.ext }

// rig is a folder of accounting files and a receiver that reads it.
type rig struct {
	t     *testing.T
	dir   string
	cfg   *Config
	store *memory
	tel   *componenttest.Telemetry
	log   *zap.Logger // nil for none
}

func newRig(t *testing.T) *rig {
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, cfg: createDefaultConfig().(*Config), store: &memory{data: map[string][]byte{}}, tel: componenttest.NewTelemetry()}
	r.cfg.Include = []string{filepath.Join(dir, "*.csv")}
	r.cfg.Quarantine.Path = filepath.Join(dir, "quarantine.jsonl")
	r.cfg.Retry = RetryConfig{InitialInterval: time.Millisecond, MaxInterval: 5 * time.Millisecond}
	r.cfg.PollInterval = 10 * time.Millisecond
	r.cfg.Coverage.Enabled = false // its events would be in the way
	id := component.MustNewID("memory")
	r.cfg.Storage = &id
	return r
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(r.t, err)
	_, err = f.WriteString(text)
	require.NoError(r.t, err)
	require.NoError(r.t, f.Close())
}

func (r *rig) start(next consumer.Logs) (stop func()) {
	r.t.Helper()
	require.NoError(r.t, r.cfg.Validate())
	set := receiver.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: r.tel.NewTelemetrySettings(), BuildInfo: component.BuildInfo{Version: "test"}}
	if r.log != nil {
		set.Logger = r.log
	}
	rcv, err := NewFactory().CreateLogs(context.Background(), set, r.cfg, next)
	require.NoError(r.t, err)
	require.NoError(r.t, rcv.Start(context.Background(), host{map[component.ID]component.Component{component.MustNewID("memory"): r.store}}))
	return func() { require.NoError(r.t, rcv.Shutdown(context.Background())) }
}

func (r *rig) quarantined() []quarantine.Entry { return r.entries(r.cfg.Quarantine.Path) }

func (r *rig) refusals() []quarantine.Entry {
	return r.entries(r.refusedFile())
}

func (r *rig) entries(path string) (out []quarantine.Entry) {
	r.t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(r.t, err)
	defer func() { _ = f.Close() }()
	require.NoError(r.t, quarantine.Read(f, func(e quarantine.Entry) error { out = append(out, e); return nil },
		func(int, error) {})) // the last line may be about to be written
	return out
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 20*time.Second, 2*time.Millisecond, what)
}

func str(lr plog.LogRecord, key string) string {
	v, ok := lr.Attributes().Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func TestRecordsReachThePipeline(t *testing.T) {
	r := newRig(t)
	r.cfg.Instance = "mta1"
	r.cfg.Resource = map[string]string{"host.name": "mail1", "team": "all"}
	r.cfg.Streams = []StreamConfig{{Match: "bounce*.csv", Resource: map[string]string{"team": "lists"}}}
	r.cfg.IncludeFilePath, r.cfg.IncludeOffset, r.cfg.IncludeOriginal = true, true, true
	r.write("acct-2026-01-31-0000.csv", header+rowD)
	p := newPipeline(nil)
	stop := r.start(p)
	<-p.arrived
	r.write("bounce-2026-01-31-0000.csv", header+rowB)
	<-p.arrived
	stop()

	recs := p.records()
	require.Len(t, recs, 2)
	d, b := recs[0], recs[1]
	require.Equal(t, "pmta.delivery", d.EventName())
	require.Equal(t, plog.SeverityNumberInfo, d.SeverityNumber())
	require.Equal(t, "INFO", d.SeverityText())
	require.Equal(t, "smtp;250 2.0.0 ok", d.Body().Str())
	require.Equal(t, "2026-01-31 10:00:00 +0000 UTC", d.Timestamp().AsTime().String())
	require.WithinDuration(t, time.Now(), d.ObservedTimestamp().AsTime(), time.Minute)
	require.Equal(t, "example.net", str(d, "pmta.rcpt.domain"))
	require.Equal(t, "acct-2026-01-31-0000.csv", str(d, "log.file.name"))
	require.Equal(t, filepath.Join(r.dir, "acct-2026-01-31-0000.csv"), str(d, "log.file.path"))
	require.Equal(t, "39", str(d, "log.file.offset"))
	require.Equal(t, strings.TrimSuffix(rowD, "\n"), str(d, "log.record.original"))
	require.Len(t, str(d, "log.record.uid"), 32)
	require.Equal(t, "pmta.bounce", b.EventName())
	require.Equal(t, plog.SeverityNumberError, b.SeverityNumber())

	require.Equal(t, map[string]any{"service.name": "pmta", "service.instance.id": "mta1", "host.name": "mail1", "team": "all"},
		p.got[0].ResourceLogs().At(0).Resource().Attributes().AsRaw())
	team, _ := p.got[1].ResourceLogs().At(0).Resource().Attributes().Get("team")
	require.Equal(t, "lists", team.Str())
	require.Contains(t, p.got[0].ResourceLogs().At(0).SchemaUrl(), "/schemas/")
	metadatatest.AssertEqualPmtaRecords(t, r.tel, recordsMetric(map[string]int64{"d": 1, "b": 1}), ignoreTime)
}

// A pipeline that changed what it then refused gets it again as it was read.
func TestRefusedBatchIsOfferedAgainUnchanged(t *testing.T) {
	r := newRig(t)
	r.write("acct.csv", header+rowD+rowB)
	p := newPipeline(func(attempt int, ld plog.Logs) error {
		recs := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		if v, ok := recs.At(0).Attributes().Get("pmta.vmta"); !ok || v.Str() != "vmta1" {
			t.Errorf("attempt %d got a changed record", attempt)
		}
		if attempt < 4 {
			recs.At(0).Attributes().PutStr("pmta.vmta", "changed")
			part := plog.NewLogs()
			recs.MoveAndAppendTo(part.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords())
			return consumererror.NewLogs(errors.New("busy"), part)
		}
		return nil
	})
	stop := r.start(p)
	<-p.arrived
	stop()
	require.Len(t, p.records(), 2)
	require.Equal(t, 4, p.attempt)
	require.Empty(t, r.refusals())
}

// What start_at: end leaves out is no reason for another identity: the uid is
// that which the record has when the file is read whole, or again.
func TestStartAtEndKeepsIdentities(t *testing.T) {
	uids := func(startAt string) map[string]string {
		r := newRig(t)
		r.cfg.StartAt = startAt
		r.cfg.Timezone = "UTC"
		r.cfg.SystemLog.Include = []string{filepath.Join(r.dir, "log")}
		r.write("acct.csv", header+rowD+rowB)
		r.write("log", line(1, "PowerMTA started")+line(2, "configuration reloaded"))
		p := newPipeline(nil)
		stop := r.start(p)
		if startAt == startAtEnd {
			await(t, "the positions at the end", func() bool {
				r.store.mu.Lock()
				defer r.store.mu.Unlock()
				return r.store.data["tail.s0"] != nil && r.store.data["log.tail.s0"] != nil
			})
		}
		r.write("acct.csv", rowRB)
		r.write("log", line(3, "PowerMTA shutting down"))
		await(t, "the new lines", func() bool { return p.events()["pmta.remote_bounce"] == 1 && p.events()["pmta.mta.stop"] == 1 })
		stop()
		out := map[string]string{}
		for _, lr := range p.records() {
			out[lr.EventName()] = str(lr, "log.record.uid")
		}
		return out
	}
	whole, end := uids("beginning"), uids("end")
	require.Len(t, whole, 6)
	require.Len(t, end, 2)
	for event, uid := range end {
		require.Equal(t, whole[event], uid, event)
	}
}

// A file that was begun at its end is not compared with PMTA's count, though
// nothing came behind it or the agent was started again in between.
func TestStartAtEndIsRemembered(t *testing.T) {
	r := newRig(t)
	r.cfg.StartAt = startAtEnd
	r.write("acct.csv", header+rowD+rowB+rowRB)
	stop := r.start(newPipeline(nil))
	await(t, "the position", func() bool {
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		return r.store.data["tail.s0"] != nil
	})
	stop()
	var shard struct{ Files []struct{ State []byte } }
	require.NoError(t, json.Unmarshal(r.store.data["tail.s0"], &shard))
	require.Len(t, shard.Files, 1)
	got, _, err := unwrapTally(shard.Files[0].State)
	require.NoError(t, err)
	require.Equal(t, reconcile.Counts{Partial: true}, got.Counts)
}

// copytruncate leaves a writer that does not know of it, so the file goes on
// without a header; a restart does not forget the columns.
func TestTruncatedUnderItsWriter(t *testing.T) {
	r := newRig(t)
	r.write("acct.csv", header+rowD)
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "the first record", func() bool { return len(p.records()) == 1 })
	require.NoError(t, os.Truncate(filepath.Join(r.dir, "acct.csv"), 0))
	r.write("acct.csv", rowB)
	await(t, "the record behind", func() bool { return p.events()["pmta.bounce"] == 1 })
	stop()
	r.write("acct.csv", rowRB)
	stop = r.start(p)
	await(t, "the last record", func() bool { return p.events()["pmta.remote_bounce"] == 1 })
	stop()
	require.Empty(t, r.quarantined())
}

// A pattern with a slip in it is the commonest reason why nothing arrives.
func TestPatternsThatMatchNothingAreTold(t *testing.T) {
	const told = "no file matches yet; if there should be one, look at the patterns"
	r := newRig(t)
	core, logged := observer.New(zap.WarnLevel)
	r.log = zap.New(core)
	stop := r.start(newPipeline(nil))
	await(t, "the warning", func() bool { return logged.FilterMessage(told).Len() == 1 })
	require.Equal(t, []any{r.cfg.Include[0]}, logged.FilterMessage(told).All()[0].ContextMap()["include"])
	stop()

	r.write("acct.csv", header+rowD)
	p := newPipeline(nil)
	stop = r.start(p)
	<-p.arrived
	stop()
	require.Equal(t, 1, logged.FilterMessage(told).Len())
}

func TestPermanentRefusalGoesToQuarantine(t *testing.T) {
	r := newRig(t)
	r.write("acct.csv", header+rowD+rowB)
	p := newPipeline(func(int, plog.Logs) error { return consumererror.NewPermanent(errors.New("mapping conflict")) })
	stop := r.start(p)
	await(t, "quarantined", func() bool { return len(r.refusals()) == 2 })
	stop()
	require.Empty(t, r.quarantined())
	q := r.refusals()
	require.Equal(t, "refused", q[0].Reason)
	require.Contains(t, q[0].Detail, "mapping conflict")
	require.Equal(t, int64(len(header)), q[0].Offset)
	raw, err := q[1].Bytes()
	require.NoError(t, err)
	require.Equal(t, rowB, string(raw))

	// The position has moved on: a second start has nothing to do.
	r.write("acct.csv", rowD)
	p2 := newPipeline(nil)
	stop = r.start(p2)
	<-p2.arrived
	stop()
	require.Len(t, p2.records(), 1)

	// What is in quarantine decodes to the record that was refused.
	dec := acct.NewDecoder(acct.Options{})
	require.NoError(t, dec.Restore(q[1].Context, q[1].Offset))
	var got collect
	dec.Decode(string(raw), true, &got)
	require.Equal(t, []string{"b"}, got.types)
}

// A destination that refuses everything for hours must not push the first
// records out of a bounded file: reading waits, and goes on when there is room.
func TestFullQuarantineStopsReading(t *testing.T) {
	r := newRig(t)
	r.cfg.Quarantine.MaxSize, r.cfg.Quarantine.MaxFiles = 1<<10, 2
	r.cfg.MaxInFlight = 1 // so that batches reach the file in the order of the input
	r.cfg.ReadSize = 4 << 10
	r.write("acct.csv", header+strings.Repeat(rowD, 400))
	p := newPipeline(func(int, plog.Logs) error { return consumererror.NewPermanent(errors.New("bad token")) })
	stop := r.start(p)
	await(t, "the quarantine to be full", func() bool { return len(r.refusals()) > 0 && r.oldestRefusals() > 0 })
	first := r.entries(r.refusedFile() + ".1")[0]
	require.Equal(t, int64(len(header)), first.Offset, "the first record is still there")
	seen := map[int64]bool{}
	for moved := 0; len(seen) < 400; moved++ {
		for _, name := range []string{r.refusedFile() + ".1", r.refusedFile()} {
			to := filepath.Join(t.TempDir(), "moved.jsonl")
			if os.Rename(name, to) == nil {
				for _, e := range r.entries(to) {
					seen[e.Offset] = true
				}
			}
		}
		await(t, "reading goes on", func() bool { return len(seen)+len(r.refusals())+r.oldestRefusals() > len(seen) || len(seen) == 400 })
	}
	stop()
	require.Len(t, seen, 400, "every record was kept once at least")
}

func (r *rig) refusedFile() string {
	return strings.TrimSuffix(r.cfg.Quarantine.Path, ".jsonl") + "-refused.jsonl"
}

func (r *rig) oldestRefusals() int { return len(r.entries(r.refusedFile() + ".1")) }

type collect struct{ types []string }

func (c *collect) Record(r *acct.Record) { c.types = append(c.types, r.TypeText) }
func (c *collect) Reject(acct.Reject)    {}

func TestBrokenRowsGoToQuarantineAndAreCounted(t *testing.T) {
	r := newRig(t)
	r.write("acct.csv", header+rowD+rowBad+rowB)
	p := newPipeline(nil)
	stop := r.start(p)
	<-p.arrived
	stop()
	require.Len(t, p.records(), 2)
	q := r.quarantined()
	require.Len(t, q, 1)
	require.Equal(t, "too_few_fields", q[0].Reason)
	require.Equal(t, int64(len(header+rowD)), q[0].Offset)
	require.Equal(t, filepath.Join(r.dir, "acct.csv"), q[0].File)
	require.Equal(t, rowBad, q[0].Raw)
	metadatatest.AssertEqualPmtaRejected(t, r.tel, rejectedMetric("too_few_fields", 1), ignoreTime)
}

// What the pipeline had not accepted at shutdown is read again, with the same
// identity; what it had accepted is not.
func TestUnacceptedIsReadAgainAfterRestart(t *testing.T) {
	r := newRig(t)
	r.write("acct.csv", header+rowD)
	first := newPipeline(nil)
	stop := r.start(first)
	<-first.arrived
	stop()

	r.write("acct.csv", rowB)
	tried := make(chan string, 1000)
	refusing := newPipeline(func(_ int, ld plog.Logs) error {
		select {
		case tried <- str(ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0), "log.record.uid"):
		default:
		}
		return errors.New("away")
	})
	stop = r.start(refusing)
	uid := <-tried
	stop()

	last := newPipeline(nil)
	stop = r.start(last)
	<-last.arrived
	stop()
	recs := last.records()
	require.Len(t, recs, 1)
	require.Equal(t, "b", str(recs[0], "pmta.record.type"))
	require.Equal(t, "550", str(recs[0], "smtp.response.code"), "columns are known after a restart in mid-file")
	require.Equal(t, uid, str(recs[0], "log.record.uid"))
}

func TestDeduplicateStreams(t *testing.T) {
	r := newRig(t)
	r.cfg.DeduplicateStreams.Enabled = true
	// The same bounce in both, in different columns; a retry keeps the choice.
	r.write("acct-2026-01-31-0000.csv", header+rowD+rowB+rowB)
	p := newPipeline(func(attempt int, _ plog.Logs) error {
		if attempt%2 == 1 {
			return errors.New("busy")
		}
		return nil
	})
	stop := r.start(p)
	<-p.arrived
	r.write("bounce-2026-01-31-0000.csv", "type,timeLogged,dsnDiag,orig,rcpt\n"+
		"b,2026-01-31 10:00:01+0000,smtp;550 5.1.1 no such user,s@example.com,x@example.net\n"+
		"b,2026-01-31 10:00:09+0000,smtp;550 5.1.1 no such user,s@example.com,only-here@example.net\n")
	<-p.arrived
	stop()
	var rcpts []string
	for _, lr := range p.records() {
		rcpts = append(rcpts, str(lr, "smtp.rcpt_to"))
	}
	require.Equal(t, []string{"r@Example.NET", "x@example.net", "x@example.net", "only-here@example.net"}, rcpts)
}

func TestStartErrorsNameTheFix(t *testing.T) {
	r := newRig(t)
	set := receivertest.NewNopSettings(metadata.Type)
	start := func(h component.Host) error {
		rcv, err := NewFactory().CreateLogs(context.Background(), set, r.cfg, newPipeline(nil))
		require.NoError(t, err)
		err = rcv.Start(context.Background(), h)
		require.NoError(t, rcv.Shutdown(context.Background()))
		return err
	}
	require.ErrorContains(t, start(host{}), `extension "memory" is not there; list it under extensions and service::extensions`)
	require.ErrorContains(t, start(host{map[component.ID]component.Component{component.MustNewID("memory"): nil}}), "does not store anything; use file_storage")
	r.cfg.Storage = nil
	r.write("plain.txt", "x")
	r.cfg.Quarantine.Path = filepath.Join(r.dir, "plain.txt", "q.jsonl")
	require.ErrorContains(t, start(host{}), "quarantine::path: cannot write")
}

// simulated returns n records of the 23 default columns as one file.
func simulated(tb testing.TB, n int64) string {
	tb.Helper()
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 1, Start: simulate.DefaultStart, Rate: 1000})
	require.NoError(tb, err)
	dir := tb.TempDir()
	out, err := simulate.NewAccounting(simulate.AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Types: []simulate.Type{simulate.Delivery, simulate.Bounce, simulate.Transient}, Block: 1 << 16})
	require.NoError(tb, err)
	_, err = simulate.Run(context.Background(), w, simulate.RunOptions{Streams: []simulate.Stream{out}, Records: n})
	require.NoError(tb, err)
	names, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	require.NoError(tb, err)
	require.Len(tb, names, 1)
	data, err := os.ReadFile(names[0])
	require.NoError(tb, err)
	return string(data)
}

// BenchmarkDecodeToLogs is the decoder with log records built, ns for each
// record.
func BenchmarkDecodeToLogs(b *testing.B) {
	src := simulated(b, 50_000)
	cfg := createDefaultConfig().(*Config)
	cfg.Include = []string{"x"}
	rcv, err := newReceiver(receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(b, err)
	d := &fileDecoder{r: rcv, file: fileForBench, common: rcv.common(map[string]string{"service.name": "pmta"})}
	reserve := make([]byte, 16<<20) // as the agent has
	b.ReportAllocs()
	b.ResetTimer()
	records := 0
	for records < b.N {
		dec := acct.NewDecoder(acct.Options{})
		for pos := 0; pos < len(src) && records < b.N; {
			chunk := src[pos:min(len(src), pos+int(cfg.ReadSize))]
			bt := &batch{d: d, in: acctlogs.Input{Src: chunk}}
			used := bt.build(dec)
			if used == 0 {
				break
			}
			pos += used
			records += bt.out.Logs.LogRecordCount()
		}
	}
	b.StopTimer()
	_ = reserve[0]
	b.ReportMetric(float64(len(src))/50_000, "B/record")
}

// BenchmarkDecodeChunks is BenchmarkDecodeToLogs with all that the receiver does
// for a chunk: stream, tally, coverage and the state that is saved.
func BenchmarkDecodeChunks(b *testing.B) {
	src := []byte(simulated(b, 50_000))
	cfg := createDefaultConfig().(*Config)
	cfg.Include = []string{"/var/log/pmta/*.csv"}
	rcv, err := newReceiver(receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(b, err)
	rcv.reports = rcv.newReports(nil)
	rcv.coverage = newCoverageWatch(rcv)
	reserve := make([]byte, 16<<20) // as the agent has
	b.ReportAllocs()
	b.ResetTimer()
	records := 0
	for records < b.N {
		d, err := rcv.newFileDecoder(fileForBench, nil)
		require.NoError(b, err)
		for pos := 0; pos < len(src) && records < b.N; {
			used, bt := d.Decode(tail.Chunk{File: fileForBench, Offset: int64(pos), Data: src[pos:min(len(src), pos+int(cfg.ReadSize))]})
			if used == 0 {
				break
			}
			_ = d.State()
			pos += used
			records += bt.(*batch).out.Logs.LogRecordCount()
		}
	}
	b.StopTimer()
	_ = reserve[0]
}
