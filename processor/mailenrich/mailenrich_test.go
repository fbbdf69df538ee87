package mailenrich

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-pmta/otelcol-pmta/internal/mailaddr"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich/internal/metadata"
)

const everything = `
dimensions: {file: testdata/dimensions.csv}
repair: {directory: $TMP/window}
privacy: {mode: siphash, key: secretkey}
`

func config(t testing.TB, text string) *Config {
	return mustLoad(t, strings.ReplaceAll(text, "$TMP", t.TempDir()))
}

// Of a whole simulated day nothing is lost, no attribute is there twice, no
// local part of a recipient is left, and later records know of earlier ones.
func TestSimulatedDay(t *testing.T) {
	p, sink := newRunning(t, config(t, everything), nil)
	defer stop(t, p)
	total := 0
	seen := map[string]int{}
	for _, l := range decode(simulated(), 400) {
		var locals []string
		for _, lr := range records(l) {
			if v, ok := lr.Attributes().Get(semconv.SMTPRcptTo); ok {
				local, _ := mailaddr.Split(v.Str())
				locals = append(locals, local)
			} else {
				locals = append(locals, "")
			}
		}
		total += len(locals)
		require.NoError(t, p.ConsumeLogs(t.Context(), l))
		all := sink.AllLogs()
		recs := records(all[len(all)-1])
		sink.Reset()
		require.Len(t, recs, len(locals))
		for i, lr := range recs {
			m := attrs(t, lr)
			typ := m[semconv.PMTARecordType].(string)
			for k, v := range m {
				if strings.HasPrefix(k, "pmta.") || strings.HasPrefix(k, "smtp.") {
					seen[typ+" "+k]++
				}
				if s, ok := v.(string); ok && locals[i] != "" && strings.Contains(s, locals[i]) {
					t.Errorf("%s holds %s: %s", k, locals[i], s)
				}
			}
			if locals[i] != "" && strings.Contains(lr.Body().AsString(), locals[i]) {
				t.Errorf("the body holds %s", locals[i])
			}
		}
	}
	require.Greater(t, total, 39_000)
	for _, want := range []string{
		"d " + semconv.PMTAAttempt, "b " + semconv.PMTAAttempt, "t " + semconv.PMTAAttempt, "d " + semconv.PMTALastDeferralCategory,
		"d " + semconv.PMTAFirstAttemptElapsed, "b " + semconv.BounceLastCategory, "rb " + semconv.PMTARepaired, "f " + semconv.PMTARepaired,
		"f " + semconv.PMTATimeSent, "f " + semconv.PMTAVMTA, "rb " + semconv.PMTAJobID, "d " + semconv.PMTAOrigBase, "d pmta.dimension.stream",
		"f pmta.dimension.stream", "tq pmta.dimension.stream", "d " + semconv.PMTARedactionKeyID,
	} {
		require.Positive(t, seen[want], want)
	}
	// Most reports find their message.
	require.Greater(t, float64(seen["f "+semconv.PMTATimeSent]), 0.8*float64(seen["f "+semconv.PMTAReportFormat]))
}

// What passes twice, by two processors or after a failed attempt, gets nothing
// twice and the same numbers.
func TestTwice(t *testing.T) {
	cfg := config(t, everything)
	p, sink := newRunning(t, cfg, nil)
	defer stop(t, p)
	batches := decode(simulated(), 400)[:12]
	for i, l := range batches {
		again := plog.NewLogs()
		l.CopyTo(again)
		require.NoError(t, p.ConsumeLogs(t.Context(), l))
		require.NoError(t, p.ConsumeLogs(t.Context(), again)) // the batch came back
		all := sink.AllLogs()
		first, second := records(all[0]), records(all[1])
		for j := range first {
			a, b := attrs(t, first[j]), attrs(t, second[j])
			// More has been seen the second time, so that what was a lower
			// bound may be exact, and in the very first batch counting begins.
			if b[semconv.PMTAAttemptExact] != a[semconv.PMTAAttemptExact] {
				require.NotEqual(t, true, a[semconv.PMTAAttemptExact])
				delete(a, semconv.PMTAAttemptExact)
				delete(b, semconv.PMTAAttemptExact)
				if i == 0 && a[semconv.PMTAAttempt] == nil {
					delete(b, semconv.PMTAAttempt)
				}
			}
			require.Equal(t, a, b)
		}
		want := make([]map[string]any, len(first))
		for i := range first {
			want[i] = attrs(t, first[i])
		}
		sink.Reset()
		require.NoError(t, p.ConsumeLogs(t.Context(), all[0])) // through it once more
		for i, lr := range records(sink.AllLogs()[0]) {
			got := attrs(t, lr)
			for k, v := range want[i] {
				require.Equal(t, v, got[k], k)
			}
		}
		sink.Reset()
	}
}

// An error of the next consumer comes back as it is.
func TestErrorIsUnchanged(t *testing.T) {
	want := errors.New("destination down")
	p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), config(t, everything), consumertest.NewErr(want))
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	defer stop(t, p)
	require.True(t, p.Capabilities().MutatesData)
	l := decode(simulated(), 400)[0]
	require.Equal(t, want, p.ConsumeLogs(t.Context(), l))
	require.Equal(t, 400, l.LogRecordCount())
}

// Whatever a record holds, it comes through.
func TestStrangeRecords(t *testing.T) {
	p, sink := newRunning(t, config(t, everything+"storage:\n"), nil)
	defer stop(t, p)
	r := rand.New(rand.NewPCG(1, 2))
	strange := []string{"", "@", "a@", "@b", "a@b@c", "\xff\xfe", "x=@y", "prvs=@", "SRS0=@", "=@=", "xn--@xn--", strings.Repeat("a", 70_000) + "@b", "t", "d", "b", "f", "rb", "smtp;", "x-pmta"}
	for range 500 {
		l := plog.NewLogs()
		recs := l.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for range 20 {
			lr := recs.AppendEmpty()
			lr.SetTimestamp(pcommon.Timestamp(r.Uint64() >> r.IntN(64)))
			lr.Body().SetStr(strange[r.IntN(len(strange))])
			m := lr.Attributes()
			m.PutStr(semconv.PMTARecordType, []string{"d", "b", "t", "tq", "r", "f", "rb", "rs", "zz"}[r.IntN(9)])
			for _, name := range fieldNames {
				if name == semconv.PMTARecordType {
					continue
				}
				switch r.IntN(6) {
				case 0:
					m.PutInt(name, r.Int64()-r.Int64())
				case 1:
					m.PutEmptySlice(name).AppendEmpty().SetStr("x")
				case 2, 3:
					m.PutStr(name, strange[r.IntN(len(strange))])
				case 4:
					m.PutEmpty(name)
				}
			}
		}
		require.NoError(t, p.ConsumeLogs(t.Context(), l))
		got := records(sink.AllLogs()[0])
		require.Len(t, got, 20)
		for _, lr := range got {
			attrs(t, lr)
		}
		sink.Reset()
	}
	require.NoError(t, p.ConsumeLogs(t.Context(), plog.NewLogs()))
}

const rows = `type,timeLogged,timeQueued,orig,rcpt,dsnDiag,vmta,jobId
`

func one(t testing.TB, p processor.Logs, sink *consumertest.LogsSink, row string) map[string]any {
	t.Helper()
	sink.Reset()
	require.NoError(t, p.ConsumeLogs(context.Background(), decode(rows+row+"\n", 1)[0]))
	return attrs(t, records(sink.AllLogs()[0])[0])
}

const (
	deferred  = "t,2026-03-01 10:00:00+0000,2026-03-01 09:59:00+0000,b@s.example,ann@example.net,smtp;451 4.7.1 later,v1,j1"
	delivered = "d,2026-03-01 10:30:00+0000,2026-03-01 09:59:00+0000,b@s.example,ann@example.net,smtp;250 ok,v1,j1"
	complaint = "f,2026-03-02 10:00:00+0000,,b@s.example,ann@example.net,,,"
)

// Ledger and attribution outlive a restart, also one without a good-bye.
func TestRestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			dir := t.TempDir()
			text := "{storage: file_storage, repair: {directory: " + dir + "/window}}"
			state := filepath.Join(dir, "state")
			require.NoError(t, os.Mkdir(state, 0o700))
			copyState := func() string {
				to := t.TempDir()
				require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
				return to
			}

			p, sink := newRunning(t, mustLoad(t, text), storageHost(t, state))
			require.EqualValues(t, 1, one(t, p, sink, deferred)[semconv.PMTAAttempt])
			if crash {
				// What is on disk while the agent runs is what a kill leaves.
				dir = copyState()
				defer stop(t, p)
			} else {
				stop(t, p)
			}
			text = "{storage: file_storage, repair: {directory: " + dir + "/window}}"
			if crash {
				state = filepath.Join(dir, "state")
			} else {
				state = filepath.Join(copyState(), "state")
			}
			p, sink = newRunning(t, mustLoad(t, text), storageHost(t, state))
			m := one(t, p, sink, delivered)
			require.EqualValues(t, 2, m[semconv.PMTAAttempt])
			require.Equal(t, "4xx", m[semconv.PMTALastDeferralCategory])
			require.EqualValues(t, 1800, m[semconv.PMTAFirstAttemptElapsed])
			stop(t, p)

			next := t.TempDir()
			require.NoError(t, os.CopyFS(next, os.DirFS(state)))
			p, sink = newRunning(t, mustLoad(t, text), storageHost(t, next))
			defer stop(t, p)
			m = one(t, p, sink, complaint)
			require.Equal(t, "j1", m[semconv.PMTAJobID])
			require.EqualValues(t, time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC).UnixNano(), m[semconv.PMTATimeSent])
		})
	}
}

// Without a storage extension the window keeps its own key.
func TestWindowWithoutStorage(t *testing.T) {
	text := "{repair: {directory: " + t.TempDir() + "}}"
	p, sink := newRunning(t, mustLoad(t, text), nil)
	one(t, p, sink, delivered)
	stop(t, p)
	p, sink = newRunning(t, mustLoad(t, text), nil)
	defer stop(t, p)
	require.Equal(t, "j1", one(t, p, sink, complaint)[semconv.PMTAJobID])
}

// Neither storage nor window holds an address or what was hashed without key.
func TestStateHoldsNoAddress(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	require.NoError(t, os.Mkdir(state, 0o700))
	p, sink := newRunning(t, mustLoad(t, "{storage: file_storage, repair: {directory: "+dir+"/window}}"), storageHost(t, state))
	one(t, p, sink, deferred)
	one(t, p, sink, delivered)
	stop(t, p)
	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		files++
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(b), "ann@")
		require.NotContains(t, string(b), "example.net")
		require.NotContains(t, string(b), "s.example")
		return nil
	}))
	require.GreaterOrEqual(t, files, 3)
}

// The Collector makes one instance for each pipeline. They share what they
// remember, and the last one to stop closes it.
func TestPipelinesShareMemory(t *testing.T) {
	cfg := config(t, "{repair: {directory: $TMP}}")
	a, sinkA := newRunning(t, cfg, nil)
	b, sinkB := newRunning(t, cfg, nil)
	one(t, a, sinkA, deferred)
	require.EqualValues(t, 2, one(t, b, sinkB, delivered)[semconv.PMTAAttempt])
	stop(t, b)
	require.Equal(t, "j1", one(t, a, sinkA, complaint)[semconv.PMTAJobID])
	stop(t, a)
	stop(t, a)
	require.NotContains(t, memories, cfg)
}

func TestClassifiedDeferral(t *testing.T) {
	p, sink := newRunning(t, config(t, "{}"), nil)
	defer stop(t, p)
	feed := func(row string, put func(pcommon.Map)) map[string]any {
		sink.Reset()
		l := decode(rows+row+"\n", 1)[0]
		put(records(l)[0].Attributes())
		require.NoError(t, p.ConsumeLogs(t.Context(), l))
		return attrs(t, records(sink.AllLogs()[0])[0])
	}
	feed(deferred, func(m pcommon.Map) { m.PutStr(semconv.BounceCategory, "mailbox_full") })
	expired := strings.Replace(strings.Replace(delivered, "d,", "b,", 1), "smtp;250 ok", "x-pmta;expired", 1)
	m := feed(expired, func(m pcommon.Map) { m.PutStr(semconv.BounceCategory, "message_expired") })
	require.Equal(t, "mailbox_full", m[semconv.BounceLastCategory])
	require.Equal(t, "mailbox_full", m[semconv.PMTALastDeferralCategory])
	require.EqualValues(t, 1, m[semconv.PMTAAttempt])
	// What the smtp_reply processor has found out stays.
	m = feed(expired, func(m pcommon.Map) {
		m.PutStr(semconv.BounceCategory, "message_expired")
		m.PutStr(semconv.BounceLastCategory, "greylisted")
	})
	require.Equal(t, "greylisted", m[semconv.BounceLastCategory])
}

// Recipients that PowerMTA has redacted are all alike, and so are their VERP
// senders: nothing is said of attempts, and only the envelope finds a delivery.
func TestRedactedRecipients(t *testing.T) {
	const head = "type,timeLogged,timeQueued,orig,rcpt,dsnDiag,vmta,jobId,envId\n"
	p, sink := newRunning(t, config(t, "{repair: {directory: $TMP}}"), nil)
	defer stop(t, p)
	feed := func(row string) map[string]any {
		sink.Reset()
		require.NoError(t, p.ConsumeLogs(t.Context(), decode(head+row+"\n", 1)[0]))
		return attrs(t, records(sink.AllLogs()[0])[0])
	}
	const queued = "2026-03-01 10:00:00+0000,b-...=example.net@s.example,...@example.net,"
	for _, row := range []string{
		"t,2026-03-01 10:00:01+0000," + queued + "smtp;451 one,v1,j1,e1",
		"t,2026-03-01 10:00:02+0000," + queued + "smtp;451 two,v2,j2,e2",
		"d,2026-03-01 10:00:03+0000," + queued + "smtp;250 ok,v1,j1,e1",
		"d,2026-03-01 10:00:04+0000," + queued + "smtp;250 ok,v2,j2,e2",
	} {
		require.NotContains(t, feed(row), semconv.PMTAAttempt)
	}
	m := feed("f,2026-03-01 11:00:00+0000,,b-...=example.net@s.example,...@example.net,,,,")
	require.NotContains(t, m, semconv.PMTAVMTA, "it could be about any of them")
	m = feed("f,2026-03-01 11:00:00+0000,,b-...=example.net@s.example,...@example.net,,,,e1")
	require.Equal(t, "v1", m[semconv.PMTAVMTA])
	require.Equal(t, "envelope", m[semconv.PMTARepairMatch])
}

// The text for redacted recipients may be left empty, or be part of any sender.
func TestTextOfRedaction(t *testing.T) {
	for _, text := range []string{`""`, "b", "abc"} {
		p, sink := newRunning(t, config(t, "{repair: {directory: $TMP}, privacy: {redaction: "+text+"}}"), nil)
		one(t, p, sink, "d,2026-03-01 10:00:02+0000,2026-03-01 10:00:00+0000,b-4f0c11a2@s.example,ann@example.net,smtp;250 ok,v1,j1")
		m := one(t, p, sink, "f,2026-03-01 11:00:00+0000,,b-4f0c11a2@s.example,,,,")
		require.Equal(t, "v1", m[semconv.PMTAVMTA], text)
		require.Equal(t, "sender", m[semconv.PMTARepairMatch], text)
		stop(t, p)
	}
}

// A report may spell the recipient's domain in another way.
func TestSpellingsOfDomains(t *testing.T) {
	p, sink := newRunning(t, config(t, "{repair: {directory: $TMP}}"), nil)
	defer stop(t, p)
	row := func(typ, at, rcpt string) string {
		queued, vmta := "2026-03-01 10:00:00+0000", "v1"
		if typ == "f" {
			queued, vmta = "", ""
		}
		return typ + ",2026-03-01 " + at + "+0000," + queued + ",b@s.example," + rcpt + ",smtp;x," + vmta + ","
	}
	one(t, p, sink, row("t", "10:00:01", "Ann@Bücher.example"))
	require.EqualValues(t, 2, one(t, p, sink, row("d", "10:00:02", "ann@xn--bcher-kva.example"))[semconv.PMTAAttempt])
	for _, rcpt := range []string{"ann@bücher.example", "<ann@xn--bcher-kva.example>", "ann@BÜCHER.example.", "ann@XN--bcher-kva.example"} {
		m := one(t, p, sink, row("f", "11:00:00", rcpt))
		require.Equal(t, "v1", m[semconv.PMTAVMTA], rcpt)
		require.Equal(t, "address", m[semconv.PMTARepairMatch], rcpt)
	}
}

// A clock far ahead must not push out what is remembered.
func TestWrongClock(t *testing.T) {
	p, sink := newRunning(t, config(t, "{repair: {directory: $TMP, max_age: 1h}}"), nil)
	defer stop(t, p)
	one(t, p, sink, deferred)
	one(t, p, sink, "d,2199-03-01 10:30:00+0000,,b@s.example,x@example.net,,v1,j1")
	require.EqualValues(t, 2, one(t, p, sink, delivered)[semconv.PMTAAttempt])
}

func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.csv")
	put := func(text string) {
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	put("vmta,stream\nv1,a\n")
	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	p, err := newProcessor(set, mustLoad(t, "{ledger: {enabled: false}, dimensions: {file: "+file+", reload_interval: 1h}}"))
	require.NoError(t, err)
	require.NoError(t, p.start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, p.shutdown(context.Background())) }()
	stream := func() any {
		l, err := p.process(t.Context(), decode(rows+delivered+"\n", 1)[0])
		require.NoError(t, err)
		return attrs(t, records(l)[0])["pmta.dimension.stream"]
	}
	require.Equal(t, "a", stream())
	put("vmta,stream\nv1,b\n")
	p.mem.checkDimensions()
	require.Equal(t, "b", stream())
	put("vmta,stream\nv1,b\nv2\n")
	p.mem.checkDimensions()
	p.mem.checkDimensions()
	require.Equal(t, "b", stream(), "the table before stays in force")
	refused := logs.FilterMessageSnippet("refused").All()
	require.Len(t, refused, 1)
	require.Contains(t, fmt.Sprint(refused[0].ContextMap()), "line 3: 1 fields, the header has 2")
	put("vmta,customer,header_Subject\nv1,c,\n")
	p.mem.checkDimensions()
	require.Nil(t, stream())
}

// The file is looked at by itself, too.
func TestWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.csv")
	require.NoError(t, os.WriteFile(file, []byte("vmta,stream\nv1,a\n"), 0o600))
	p, sink := newRunning(t, mustLoad(t, "{ledger: {enabled: false}, dimensions: {file: "+file+", reload_interval: 100ms}}"), nil)
	defer stop(t, p)
	require.NoError(t, os.WriteFile(file, []byte("vmta,stream\nv1,b\n"), 0o600))
	require.Eventually(t, func() bool {
		return one(t, p, sink, delivered)["pmta.dimension.stream"] == "b"
	}, 30*time.Second, 20*time.Millisecond)
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for text, want := range map[string]string{
		"storage: file_storage":             `storage: extension "file_storage" is not there`,
		"storage: nop":                      `storage: extension "nop" does not store anything`,
		"repair: {directory: " + file + "}": "repair::directory: ",
	} {
		host := hostWith{component.MustNewID("nop"): nopComponent{}}
		p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), mustLoad(t, text), consumertest.NewNop())
		require.NoError(t, err)
		require.ErrorContains(t, p.Start(t.Context(), host), want)
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

type nopComponent struct {
	component.StartFunc
	component.ShutdownFunc
}

// Many goroutines at once, while the table changes.
func TestConcurrent(t *testing.T) {
	var sunk sync.Map
	next, err := consumer.NewLogs(func(_ context.Context, l plog.Logs) error {
		for i, lr := range records(l) {
			if _, ok := lr.Attributes().Get(semconv.PMTARecordType); !ok {
				return fmt.Errorf("record %d is broken", i)
			}
		}
		n, _ := sunk.LoadOrStore("n", new(sync.Mutex))
		n.(*sync.Mutex).Lock()
		defer n.(*sync.Mutex).Unlock()
		total, _ := sunk.LoadOrStore("total", 0)
		sunk.Store("total", total.(int)+l.LogRecordCount())
		return nil
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "d.csv")
	table := func(s string) {
		require.NoError(t, os.WriteFile(file+".new", []byte("vmta,stream,header_Subject\nmta-*,"+s+",\n"), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	table("a")
	cfg := config(t, strings.ReplaceAll(everything, "testdata/dimensions.csv", file)+"storage: file_storage\n")
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.NoError(t, p.start(t.Context(), storageHost(t, t.TempDir())))
	all := decode(simulated(), 400)[:48]
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := g; i < len(all); i += 6 {
				l, err := p.process(t.Context(), all[i])
				if err != nil {
					t.Error(err)
				}
				if err := next.ConsumeLogs(t.Context(), l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		table(fmt.Sprint("s", i))
		p.mem.checkDimensions()
	}
	wg.Wait()
	total, _ := sunk.Load("total")
	require.Equal(t, 48*400, total)
	require.NoError(t, p.shutdown(context.Background()))
}
