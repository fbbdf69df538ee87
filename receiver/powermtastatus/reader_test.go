package powermtastatus

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
	"github.com/otelcol-pmta/otelcol-pmta/processor/smtpreply"
)

var update = flag.Bool("update", false, "write the golden files")

// The pages of each version become the metrics and events of its golden file.
func TestGolden(t *testing.T) {
	for version, now := range map[string]time.Time{
		"3.5": time.Date(2013, 8, 6, 8, 3, 37, 0, time.UTC),
		"4.5": time.Date(2024, 3, 5, 9, 30, 0, 0, time.UTC),
		"5.0": time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC),
	} {
		t.Run(version, func(t *testing.T) {
			dir := filepath.Join("..", "..", "internal", "webmon", "testdata", version)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := os.ReadFile(filepath.Join(dir, filepath.Base(r.URL.Path)+"."+r.URL.Query().Get("format")))
				if err != nil {
					http.NotFound(w, r)
					return
				}
				w.Header().Set("Content-Type", "text/html") // whatever it is
				_, _ = w.Write(b)
			}))
			defer srv.Close()
			r := newTestReader(t, srv.URL, func(c *Config) {
				c.Resource = map[string]string{"team": "mail"}
				c.TopN = TopConfig{Queues: 2, Domains: 2, VMTAs: 1, Jobs: 1}
				c.MetricsBuilderConfig.Metrics.PmtaThroughputRecent.Enabled = true
				c.MetricsBuilderConfig.Metrics.PmtaThroughputPeak.Enabled = true
			})
			r.now = now
			metrics, events := r.collect()
			got := strings.Join(append(metrics, events...), "\n") + "\n"
			golden := filepath.Join("testdata", version+".txt")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

func TestBackoffComesAndGoes(t *testing.T) {
	p, url := newPages(t)
	r := newTestReader(t, url, nil)
	p.status("11:00:00", "10:00:00", 5)
	p.queues("gmail.com/mk-01", "normal", "yahoo.rollup/mk-01", "normal")
	m, e := r.collect()
	require.Empty(t, e)
	require.Equal(t, "0", value(m, "pmta.queue.backoff"))

	p.status("11:00:30", "10:00:00", 5)
	p.queues("gmail.com/mk-01", "backoff", "yahoo.rollup/mk-01", "normal")
	p.set("queueDetail?queue=gmail.com/mk-01", `{"data":{"name":"gmail.com/mk-01","rcp":1,"mode":"backoff","backoffReason":{"pattern":"/421/","response":"421 4.7.28 too much mail from 203.0.113.10"},
		"modeEvents":[{"time":"2026-01-31 11:00:12","mode":"backoff"}],"disabledSources":[{"ip":"203.0.113.10","time":"2026-01-31 11:00:14","reason":"421 4.7.28 too much mail from 203.0.113.10"}]},"status":"success"}`)
	m, e = r.collect()
	require.Len(t, e, 2)
	common := "{log.record.uid=UID pmta.backoff.pattern=/421/ pmta.dsn.diag=smtp;421 4.7.28 too much mail from 203.0.113.10 pmta.dsn.diag_type=smtp pmta.event.source=status " +
		"pmta.queue.domain=gmail.com pmta.queue.name=gmail.com/mk-01 pmta.queue.vmta=mk-01 pmta.reason=421 4.7.28 too much mail from 203.0.113.10 "
	reply := "pmta.stream=diag smtp.response.code=421 smtp.response.enhanced_status=4.7.28 smtp.response.text=too much mail from 203.0.113.10}"
	require.Equal(t, `2026-01-31 11:00:12 WARN pmta.queue.backoff "Queue gmail.com/mk-01 switched to backoff mode: \"421 4.7.28 too much mail from 203.0.113.10\"" `+common+reply, hideUID(e[0]))
	require.Equal(t, `2026-01-31 11:00:14 WARN pmta.source_ip.disabled "Source IP 203.0.113.10 disabled for queue gmail.com/mk-01: \"421 4.7.28 too much mail from 203.0.113.10\"" `+
		strings.Replace(common, "pmta.backoff.pattern=/421/ ", "", 1)+"pmta.source_ip=203.0.113.10 "+reply, hideUID(e[1]))
	require.Equal(t, "1", value(m, "pmta.queue.backoff"))
	require.Equal(t, "1", value(m, "pmta.queue.source_ip.disabled"))

	_, again := r.collect()
	require.Empty(t, again, "once per change")
	p.status("11:01:30", "10:00:00", 5)
	p.queues("gmail.com/mk-01", "normal", "yahoo.rollup/mk-01", "backoff")
	p.set("queueDetail?queue=gmail.com/mk-01", `{"data":{"name":"gmail.com/mk-01","rcp":1,"mode":"normal","modeEvents":[{"time":"2026-01-31 11:01:12","mode":"normal"}]},"status":"success"}`)
	m, e = r.collect()
	require.Len(t, e, 3)
	require.Contains(t, e[0], `11:01:12 INFO pmta.queue.normal "Queue gmail.com/mk-01 switched to normal mode"`)
	require.Contains(t, e[1], `11:01:30 INFO pmta.source_ip.enabled "Source IP 203.0.113.10 re-enabled for queue gmail.com/mk-01"`)
	require.Contains(t, e[2], `11:01:30 WARN pmta.queue.backoff "Queue yahoo.rollup/mk-01 switched to backoff mode" {log.record.uid=`)
	require.Contains(t, e[2], "pmta.queue.rollup=yahoo ")
	require.NotContains(t, e[2], "initial")
	require.Equal(t, "1", value(m, "pmta.queue.backoff"))
	require.Equal(t, "0", value(m, "pmta.queue.source_ip.disabled"))
}

func hideUID(line string) string {
	before, rest, ok := strings.Cut(line, "log.record.uid=")
	if !ok || len(rest) < 32 {
		return line
	}
	return before + "log.record.uid=UID" + rest[32:]
}

func uidOf(line string) string {
	_, rest, _ := strings.Cut(line, "log.record.uid=")
	return rest[:32]
}

// What the monitor dates has the same identity for every agent of the
// instance, and another one for another instance.
func TestInitialEventsAndIdentity(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 5)
	p.queues("a/1", "backoff")
	p.set("queueDetail?queue=a/1", `{"data":{"name":"a/1","rcp":1,"mode":"backoff","modeEvents":[{"time":"2026-01-31 09:00:00","mode":"backoff"}]},"status":"success"}`)
	var lines []string
	for _, instance := range []string{"mta1", "mta1", "mta2", ""} {
		_, e := newTestReader(t, url, func(c *Config) { c.Instance = instance }).collect()
		require.Len(t, e, 1)
		require.Contains(t, e[0], "2026-01-31 09:00:00 WARN pmta.queue.backoff")
		require.Contains(t, e[0], "pmta.event.initial=true")
		lines = append(lines, uidOf(e[0]))
	}
	require.Equal(t, lines[0], lines[1])
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(lines))), 3)
}

func TestRestartAndResetCounters(t *testing.T) {
	p, url := newPages(t)
	p.queues()
	r := newTestReader(t, url, nil)
	line := func(lines []string) string {
		for _, l := range lines {
			if strings.HasPrefix(l, "pmta.recipients{pmta.direction=out}") {
				return strings.TrimPrefix(l, "pmta.recipients{pmta.direction=out} ")
			}
		}
		return "none"
	}
	p.status("11:00:00", "10:00:00", 100)
	m, e := r.collect()
	require.Equal(t, "100 {recipient} sum since 2026-01-31T10:00:00Z", line(m))
	require.Empty(t, e)
	require.Equal(t, "3600", value(m, "pmta.uptime"))

	p.status("11:00:30", "10:00:00", 150)
	m, _ = r.collect()
	require.Equal(t, "150 {recipient} sum since 2026-01-31T10:00:00Z", line(m))

	// pmta reset counters: they began again after the last reading, at 11:00:31 here.
	p.status("11:01:00", "10:00:00", 20)
	m, e = r.collect()
	require.Equal(t, "20 {recipient} sum since 2026-01-31T11:00:31Z", line(m))
	require.Len(t, e, 1)
	require.Contains(t, e[0], "INFO pmta.counters.reset")
	p.status("11:01:30", "10:00:00", 30)
	m, e = r.collect()
	require.Equal(t, "30 {recipient} sum since 2026-01-31T11:00:31Z", line(m))
	require.Empty(t, e)

	// A restart, with more counted than before it: the start time tells.
	p.status("11:02:00", "11:01:40", 500)
	m, e = r.collect()
	require.Equal(t, "500 {recipient} sum since 2026-01-31T11:01:40Z", line(m))
	require.Len(t, e, 1)
	require.Contains(t, e[0], `2026-01-31 11:01:40 INFO pmta.mta.start "PowerMTA 5.0r8 was started at 2026-01-31 11:01:40"`)
	require.Contains(t, e[0], "pmta.version=5.0r8")
	require.Equal(t, "20", value(m, "pmta.uptime"))
}

func TestUnreachableAndBack(t *testing.T) {
	p, url := newPages(t)
	r := newTestReader(t, url, nil)
	// At the very first reading: it may have been so for long.
	m, e := r.collect()
	require.Equal(t, "0", value(m, "pmta.up"))
	require.Len(t, m, 2, "nothing but the resource and pmta.up")
	require.Len(t, e, 1)
	require.Contains(t, e[0], `ERROR pmta.monitor.unreachable "The web monitor of PowerMTA does not tell its status: the web monitor answered 404 Not Found" {error.type=status log.record.uid=`)
	require.Contains(t, e[0], "pmta.event.initial=true")
	_, e = r.collect()
	require.Empty(t, e, "once per change")

	p.status("11:01:00", "10:00:00", 100)
	p.queues()
	m, e = r.collect()
	require.Equal(t, "1", value(m, "pmta.up"))
	require.Len(t, e, 1)
	require.Contains(t, e[0], `INFO pmta.monitor.reachable "The web monitor of PowerMTA answers again"`)

	p.set("status", "<html><body>login</body></html>")
	_, e = r.collect()
	require.Len(t, e, 1)
	require.Contains(t, e[0], "error.type=html")
	require.NotContains(t, e[0], "initial")
	require.Len(t, r.logs.FilterMessageSnippet("set endpoint to the address without /ui").All(), 1)
	r.collect()
	require.Len(t, r.logs.FilterMessageSnippet("set endpoint to the address without /ui").All(), 1, "reported once")

	got, err := r.tel.GetMetric("otelcol_pmta_status_errors")
	require.NoError(t, err)
	counts := map[string]int64{}
	for _, dp := range got.Data.(metricdata.Sum[int64]).DataPoints {
		page, _ := dp.Attributes.Value("page")
		reason, _ := dp.Attributes.Value("reason")
		counts[page.AsString()+" "+reason.AsString()] = dp.Value
	}
	require.Equal(t, map[string]int64{"status status": 2, "status html": 2, "domains status": 1, "vmtas status": 1, "jobs status": 1}, counts)
}

// A page that an old version lacks costs its metrics, not the others.
func TestPagesFailAlone(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 100)
	p.set("vmtas", `{"data":{"vmtas":[{"name":"v1","rcp":3}]},"status":"success"}`)
	r := newTestReader(t, url, nil)
	m, e := r.collect()
	require.Empty(t, e)
	require.Equal(t, "1", value(m, "pmta.up"))
	require.Equal(t, "3", value(m, "pmta.vmta.recipients{pmta.vmta=v1}"))
	for _, none := range []string{"pmta.queue.count", "pmta.queue.backoff", "pmta.domain.count", "pmta.job.count"} {
		require.Equal(t, "none", value(m, none))
	}
	// No list of queues is not a list without queues.
	p.queues("a/1", "backoff")
	_, e = r.collect()
	require.Len(t, e, 1)
	p.set("queues", "{")
	_, e = r.collect()
	require.Empty(t, e)
	p.queues("a/1", "backoff")
	_, e = r.collect()
	require.Empty(t, e)
	require.NotEmpty(t, r.logs.FilterMessage("the web monitor answers again").All())
}

// HTTP that redirects to HTTPS with PowerMTA's own certificate.
func TestSelfSignedCertificate(t *testing.T) {
	mon, err := simulate.NewMonitor(simulate.MonitorConfig{})
	require.NoError(t, err)
	require.NoError(t, mon.Open(time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC)))
	srv, err := simulate.ServeMonitor("127.0.0.1:0", true, mon)
	require.NoError(t, err)
	defer func() { require.NoError(t, srv.Close()) }()
	url := "http://" + srv.Addr

	r := newTestReader(t, url, nil)
	m, e := r.collect()
	require.Equal(t, "0", value(m, "pmta.up"))
	require.Len(t, e, 1)
	require.Contains(t, e[0], "error.type=certificate")
	told := r.logs.FilterMessageSnippet("tls::ca_file").FilterMessageSnippet("tls::insecure_skip_verify: true").All()
	require.Len(t, told, 1)

	m, _ = newTestReader(t, url, func(c *Config) { c.ClientConfig.TLS.InsecureSkipVerify = true }).collect()
	require.Equal(t, "1", value(m, "pmta.up"))

	ca := filepath.Join(t.TempDir(), "webmon.pem")
	require.NoError(t, os.WriteFile(ca, srv.CertificatePEM, 0o600))
	m, _ = newTestReader(t, url, func(c *Config) { c.ClientConfig.TLS.CAFile = ca }).collect()
	require.Equal(t, "1", value(m, "pmta.up"))
}

func TestHostileMonitor(t *testing.T) {
	p, url := newPages(t)
	p.set("status", `{"data":{"x":"`+strings.Repeat("x", 70<<10)+`"}}`)
	r := newTestReader(t, url, func(c *Config) { c.MaxResponseSize = 64 << 10 })
	_, e := r.collect()
	require.Contains(t, e[0], "error.type=too_large")
	require.Len(t, r.logs.FilterMessageSnippet("raise max_response_size").All(), 1)

	// It accepts the connection and says nothing.
	p.wait = make(chan struct{})
	defer close(p.wait)
	r = newTestReader(t, url, func(c *Config) { c.ClientConfig.Timeout = 20 * time.Millisecond })
	_, e = r.collect()
	require.Contains(t, e[0], "error.type=timeout")

	r = newTestReader(t, "http://127.0.0.1:1", nil)
	_, e = r.collect()
	require.Contains(t, e[0], "error.type=unreachable")
	require.Len(t, r.logs.FilterMessageSnippet("pmtahttp").All(), 1)
}

// However many names the lists have, metrics have top_n and the rest.
func TestCardinality(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 1)
	r := newTestReader(t, url, func(c *Config) { c.TopN = TopConfig{Queues: 7, Domains: 3, VMTAs: 2, Jobs: 1}; c.MaxItems = 10_000 })
	names := map[string]map[string]bool{}
	for round := range 20 {
		for kind, one := range map[string]string{"queues": "queue", "domains": "domain", "vmtas": "vmta", "jobs": "job"} {
			var rows []string
			for i := range 300 {
				// The order changes a little from round to round.
				rows = append(rows, fmt.Sprintf(`{"name":"%s%d/x","rcp":%d,"kb":2,"conn":1}`, one, i, 1000+i+(i*7+round*13)%11))
			}
			p.set(kind, fmt.Sprintf(`{"data":{"%s":[%s],"totalRcp":1000000},"status":"success"}`, kind, strings.Join(rows, ",")))
		}
		m, _ := r.collect()
		for metric, most := range map[string]int{"pmta.queue.recipients": 8, "pmta.domain.size": 4, "pmta.vmta.connections": 3, "pmta.job.recipients": 2} {
			n := 0
			var sum int64
			for _, l := range m {
				if strings.HasPrefix(l, metric+"{") {
					n++
					var v int64
					rest := l[strings.IndexByte(l, '}')+2:]
					_, err := fmt.Sscan(rest, &v)
					require.NoError(t, err)
					sum += v
					if names[metric] == nil {
						names[metric] = map[string]bool{}
					}
					names[metric][l[:strings.IndexByte(l, '}')]] = true
				}
			}
			require.Equal(t, most, n, metric)
			if strings.HasSuffix(metric, "recipients") {
				require.EqualValues(t, 1_000_000, sum, "nothing is left out of the sum of %s", metric)
			}
		}
		require.Equal(t, "300", value(m, "pmta.queue.count"))
	}
	for metric, n := range map[string]int{"pmta.queue.recipients": 8, "pmta.domain.size": 4, "pmta.vmta.connections": 3, "pmta.job.recipients": 2} {
		require.Len(t, names[metric], n, "the choice of %s is stable", metric)
	}
}

func TestTopZero(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 1)
	p.queues("a/1", "backoff")
	r := newTestReader(t, url, func(c *Config) { c.TopN = TopConfig{}; c.Details.MaxQueues = 0 })
	m, e := r.collect()
	require.Len(t, e, 1, "events do not depend on it")
	require.Equal(t, "1", value(m, "pmta.queue.backoff"))
	require.Equal(t, "1", value(m, "pmta.queue.count"))
	require.NotContains(t, strings.Join(m, "\n"), "pmta.queue.recipients")
	require.Equal(t, []string{"status", "queues"}, p.take(), "no page more than needed")
	p.queues()
	_, e = r.collect()
	require.Len(t, e, 1)
	require.Contains(t, e[0], `switched to normal mode: \"the queue is no longer listed\"`)
}

// The list of a version that gives ten rows, whatever is asked for, is
// completed by one of those in backoff, and the way out is said once.
func TestShortList(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 1)
	var rows []string
	for i := range 10 {
		rows = append(rows, fmt.Sprintf(`{"name":"q%d/1","rcp":%d,"mode":"normal"}`, i, 100-i))
	}
	p.set("queues", `{"data":{"queues":[`+strings.Join(rows, ",")+`],"totalRcp":2000,"totalQueuesWithRcp":400},"status":"success"}`)
	p.set("queues?mode=backoff", `{"data":{"queues":[{"name":"small/1","rcp":1,"mode":"backoff"}]},"status":"success"}`)
	r := newTestReader(t, url, func(c *Config) { c.Details.MaxQueues = 0 })
	for range 3 {
		m, e := r.collect()
		require.Equal(t, "400", value(m, "pmta.queue.count"))
		if len(e) > 0 {
			require.Contains(t, e[0], "Queue small/1 switched to backoff mode")
		}
		require.Equal(t, "1", value(m, "pmta.queue.backoff"))
		require.NotEqual(t, "none", value(m, "pmta.queue.recipients{pmta.queue.name=_other}"))
	}
	require.Len(t, r.logs.FilterMessageSnippet("http-default-max-items").All(), 1)
}

func TestDetailsAreBounded(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 1)
	var list []string
	for i := range 50 {
		list = append(list, fmt.Sprintf("q%02d/1", i), "backoff")
	}
	p.queues(list...)
	r := newTestReader(t, url, func(c *Config) { c.Details.MaxQueues = 4; c.TopN = TopConfig{} })
	for range 3 {
		r.collect()
		n := 0
		for _, req := range p.take() {
			if strings.HasPrefix(req, "queueDetail") {
				n++
			}
		}
		require.Equal(t, 4, n)
	}
}

// The zone of the monitor's times is found out by its clock.
func TestZone(t *testing.T) {
	p, url := newPages(t)
	p.status("16:30:00", "15:00:00", 1)
	p.queues()
	r := newTestReader(t, url, func(c *Config) { c.Timezone = "" }) // here it is 11:00:01 UTC
	m, _ := r.collect()
	require.Contains(t, strings.Join(m, "\n"), "sum since 2026-01-31T09:30:00Z")
	// A clock that is wrong fits no zone; that is said once.
	r = newTestReader(t, url, func(c *Config) { c.Timezone = "" })
	r.now = r.now.Add(7 * time.Minute)
	r.collect()
	r.now = r.now.Add(-30 * time.Second)
	r.collect()
	require.Len(t, r.logs.FilterMessageSnippet("set timezone").All(), 1)
}

// With storage the agent goes on where it was; without it says what it finds.
func TestStorage(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 100)
	p.queues("a/1", "backoff", "b/1", "backoff")
	host, id := newStoreHost()
	stored := func(c *Config) { c.Storage = &id }
	r := newTestReaderOn(t, url, host, stored)
	_, e := r.collect()
	require.Len(t, e, 2)

	// While the agent is away: b is well, c is not, PowerMTA was restarted.
	p.status("12:00:00", "11:30:00", 10)
	p.queues("a/1", "backoff", "b/1", "normal", "c/1", "backoff")
	r = newTestReaderOn(t, url, host, stored)
	m, e := r.collect()
	require.Len(t, e, 3, e)
	all := strings.Join(e, "\n")
	require.Contains(t, all, "pmta.mta.start")
	require.Contains(t, all, "Queue b/1 switched to normal mode")
	require.Contains(t, all, "Queue c/1 switched to backoff mode")
	require.NotContains(t, all, "initial")
	require.Contains(t, strings.Join(m, "\n"), "sum since 2026-01-31T11:00:01Z", "a start in the future by our clock is now")

	// What was not accepted is found again.
	p.queues("a/1", "normal", "b/1", "normal", "c/1", "normal")
	ld, err := r.scrapeLogs(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, ld.LogRecordCount())
	r = newTestReaderOn(t, url, host, stored)
	_, e = r.collect()
	require.Len(t, e, 2)

	// A damaged state is said to be of no use, and is.
	store := host.ext[id].(*memoryStore)
	require.NoError(t, store.Set(t.Context(), storageKey, []byte("{")))
	r = newTestReaderOn(t, url, host, stored)
	require.Len(t, r.logs.FilterMessageSnippet("of no use").All(), 1)

	for _, ext := range []map[component.ID]component.Component{nil, {id: struct {
		component.StartFunc
		component.ShutdownFunc
	}{}}} {
		cfg := createDefaultConfig().(*Config)
		cfg.Storage = &id
		set, _, _ := settings(t)
		rd, err := newReader(set, cfg)
		require.NoError(t, err)
		require.ErrorContains(t, rd.start(t.Context(), storeHost{componenttest.NewNopHost(), ext}), "storage: extension \"file_storage\"")
	}
}

// What the pipeline does not accept comes again, with the same identity; what
// it refuses for good is in quarantine, or comes again until it is.
func TestRefusedEventsComeAgain(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 100)
	p.queues("a/1", "backoff")
	r := newTestReader(t, url, nil)
	offer := func(answer error) []string {
		ld, err := r.scrapeLogs(t.Context())
		require.NoError(t, err)
		r.now = r.now.Add(r.cfg.CollectionInterval)
		lines := eventLines(ld)
		err = r.deliver(consumeLogs(func(context.Context, plog.Logs) error { return answer }))(t.Context(), ld)
		require.ErrorIs(t, err, answer)
		return lines
	}
	busy := errors.New("busy")
	first := offer(busy)
	require.Len(t, first, 1)
	p.queues("a/1", "backoff", "b/1", "backoff")
	second := offer(busy)
	require.Len(t, second, 2)
	require.Equal(t, first[0], second[0])
	require.Equal(t, second, offer(nil))
	require.Empty(t, offer(nil))

	p.queues("a/1", "normal", "b/1", "backoff")
	folder := filepath.Dir(r.cfg.Quarantine.Path)
	require.NoError(t, os.RemoveAll(folder))
	for _, there := range []bool{false, true} {
		if there {
			require.NoError(t, os.Mkdir(folder, 0o750))
		}
		require.Len(t, offer(errors.Join(consumererror.NewPermanent(busy))), 1)
	}
	require.Empty(t, offer(nil))
	refused, err := r.tel.GetMetric("otelcol_pmta_status_events_refused")
	require.NoError(t, err)
	require.EqualValues(t, 1, refused.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
	kept, err := os.Open(r.cfg.Quarantine.RefusedPath())
	require.NoError(t, err)
	defer func() { _ = kept.Close() }()
	var entries []quarantine.Entry
	require.NoError(t, quarantine.Read(kept, func(e quarantine.Entry) error { entries = append(entries, e); return nil }, nil))
	require.Len(t, entries, 1)
	require.Equal(t, quarantine.KindEvent, entries[0].Kind)
	require.Equal(t, "refused", entries[0].Reason)
	require.Equal(t, url, entries[0].File)
	require.Contains(t, entries[0].Raw, `"event.name":"pmta.queue.normal"`)
	require.Contains(t, entries[0].Raw, `"pmta.stream":"diag"`)
	require.Contains(t, entries[0].Raw, `"pmta.queue.name":"a/1"`)
	accepted, err := r.tel.GetMetric("otelcol_pmta_status_events")
	require.NoError(t, err)
	require.EqualValues(t, 2, accepted.Data.(metricdata.Sum[int64]).DataPoints[0].Value)

	// While nothing is accepted the oldest go, beyond a number.
	for i := range maxPending + 5 {
		r.add(event{name: "x", at: r.now, queue: fmt.Sprint(i)})
	}
	require.Len(t, r.pending, maxPending)
	require.Equal(t, "5", r.pending[0].queue)
}

// smtp_reply says what the reply behind a backoff means.
func TestReasonsAreClassified(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 100)
	p.queues("gmail.com/mk-01", "backoff")
	p.set("queueDetail?queue=gmail.com/mk-01", `{"data":{"name":"gmail.com/mk-01","rcp":1,"mode":"backoff","backoffReason":"/421/ \"421-4.7.28 Our system has detected an unusual rate of unsolicited mail\""},"status":"success"}`)
	r := newTestReader(t, url, nil)
	sink := new(consumertest.LogsSink)
	f := smtpreply.NewFactory()
	proc, err := f.CreateLogs(t.Context(), processortest.NewNopSettings(f.Type()), f.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, proc.Start(t.Context(), componenttest.NewNopHost()))
	_, err = r.scrapeMetrics(t.Context())
	require.NoError(t, err)
	require.NoError(t, proc.ConsumeLogs(t.Context(), r.take()))
	require.NoError(t, proc.Shutdown(t.Context()))
	require.Len(t, sink.AllLogs(), 1)
	attrs := sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
	require.Equal(t, "gmail", attrs[semconv.PMTAProvider])
	require.Equal(t, "rate_limited", attrs[semconv.BounceCategory])
}

// The events are those of the simulated world: each change of its queues, at
// its time, and no other.
func TestEventsAgreeWithTheWorld(t *testing.T) {
	for _, version := range []string{"4.5r8", "5.0r8"} {
		t.Run(version, func(t *testing.T) {
			reply, err := simulate.NewReply("421 4.7.28 too much mail from {ip}, wait", "", "policy-related")
			require.NoError(t, err)
			window := func(begin, end time.Duration, provider string) simulate.Incident {
				return &simulate.Window{Begin: begin, End: end, Provider: provider, Share: 1, Then: simulate.Verdict{Outcome: simulate.Deferred, Reply: reply}}
			}
			w, err := simulate.NewWorld(simulate.WorldOptions{Seed: 11, Rate: 10, Hurry: 20, Scenario: simulate.Scenario{Incidents: []simulate.Incident{
				window(5*time.Minute, 12*time.Minute, "gmail"), window(10*time.Minute, 18*time.Minute, "yahoo")}}})
			require.NoError(t, err)
			mon, err := simulate.NewMonitor(simulate.MonitorConfig{Version: version})
			require.NoError(t, err)
			require.NoError(t, mon.Open(simulate.DefaultStart))
			srv := httptest.NewServer(mon)
			defer srv.Close()
			r := newTestReader(t, srv.URL, func(c *Config) { c.Details.MaxQueues = 200; c.MaxItems = 10_000 })
			states := simulate.NewQueueStates(0)
			var want, got []string
			r.now = simulate.DefaultStart
			for e := w.Next(); e.At.Sub(simulate.DefaultStart) < 30*time.Minute; e = w.Next() {
				for !e.At.Before(r.now.Add(r.cfg.CollectionInterval)) {
					require.NoError(t, mon.Tick(r.now.Add(r.cfg.CollectionInterval)))
					_, events := r.collect()
					for _, l := range events {
						// A re-enabled IP has no date in the page.
						f := strings.Fields(l)
						at := f[1]
						if f[3] == semconv.EventSourceIPEnabled {
							at = ""
						}
						got = append(got, strings.Join([]string{at, f[3], attr(l, semconv.PMTAQueueName), attr(l, semconv.PMTASourceIP)}, " "))
					}
				}
				for _, c := range states.Observe(e) {
					at := c.At.Format("15:04:05")
					name := semconv.EventQueueNormal
					switch {
					case c.SourceIP != "" && c.Disabled:
						name = semconv.EventSourceIPDisabled
					case c.SourceIP != "":
						name, at = semconv.EventSourceIPEnabled, ""
					case c.Backoff:
						name = semconv.EventQueueBackoff
					}
					want = append(want, strings.Join([]string{at, name, c.Queue, c.SourceIP}, " "))
				}
				_, err := mon.Write(e)
				require.NoError(t, err)
			}
			slices.Sort(want)
			slices.Sort(got)
			require.Greater(t, len(want), 20)
			missing, extra := difference(want, got), difference(got, want)
			// An IP that is disabled and enabled again between two readings leaves
			// no trace in the page.
			for _, l := range missing {
				require.Contains(t, l, "source_ip", "missing: %v, extra: %v", missing, extra)
			}
			require.Empty(t, extra)
			require.LessOrEqual(t, len(missing), len(want)/10, "%v", missing)
			t.Logf("%d changes, %d of them missed", len(want), len(missing))
		})
	}
}

func attr(line, key string) string {
	_, rest, ok := strings.Cut(line, " "+key+"=")
	if !ok {
		return ""
	}
	v, _, _ := strings.Cut(strings.TrimSuffix(rest, "}"), " ")
	return v
}

func difference(a, b []string) (only []string) {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	for _, s := range a {
		if left[s]--; left[s] < 0 {
			only = append(only, s)
		}
	}
	return only
}

// Both pipelines of a configuration share one reading.
func TestPipelinesShareOneReading(t *testing.T) {
	p, url := newPages(t)
	p.status("11:00:00", "10:00:00", 100)
	p.queues("a/1", "backoff")
	cfg := createDefaultConfig().(*Config)
	cfg.ClientConfig.Endpoint, cfg.Timezone, cfg.CollectionInterval = url, "UTC", time.Hour
	cfg.Quarantine.Path = filepath.Join(t.TempDir(), "quarantine.jsonl")
	set, _, _ := settings(t)
	f := NewFactory()
	metrics, logs := make(chan pmetric.Metrics, 9), make(chan plog.Logs, 9)
	mc, err := newMetricsConsumer(metrics)
	require.NoError(t, err)
	m, err := f.CreateMetrics(t.Context(), set, cfg, mc)
	require.NoError(t, err)
	l, err := f.CreateLogs(t.Context(), set, cfg, consumeLogs(func(_ context.Context, ld plog.Logs) error { logs <- ld; return nil }))
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, l.Start(t.Context(), componenttest.NewNopHost()))
	require.Equal(t, "1", value(metricLines(<-metrics), "pmta.up"))
	require.Equal(t, 1, (<-logs).LogRecordCount())
	n := 0
	for _, req := range p.take() {
		if req == "status" {
			n++
		}
	}
	require.Equal(t, 1, n)
	require.NoError(t, l.Shutdown(t.Context()))
	require.NoError(t, m.Shutdown(t.Context()))
	require.Empty(t, shared.by)
}

// A Shutdown waits neither for a monitor nor for a pipeline that hangs, and
// the end of the agent is no event.
func TestShutdownWhileItHangs(t *testing.T) {
	p, url := newPages(t)
	p.wait = make(chan struct{})
	cfg := createDefaultConfig().(*Config)
	cfg.ClientConfig.Endpoint, cfg.CollectionInterval, cfg.ClientConfig.Timeout = url, time.Hour, 5*time.Minute
	cfg.Quarantine.Path = filepath.Join(t.TempDir(), "quarantine.jsonl")
	set, _, _ := settings(t)
	l, err := NewFactory().CreateLogs(t.Context(), set, cfg, consumeLogs(func(context.Context, plog.Logs) error { t.Error("an event"); return nil }))
	require.NoError(t, err)
	require.NoError(t, l.Start(t.Context(), componenttest.NewNopHost()))
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.requests) > 0 }, time.Minute, time.Millisecond)
	require.NoError(t, l.Shutdown(t.Context()))
	close(p.wait)
	p.wait = nil

	p.status("11:00:00", "10:00:00", 100)
	p.queues("a/1", "backoff")
	in := make(chan struct{}, 2)
	hang := func(ctx context.Context) error { in <- struct{}{}; <-ctx.Done(); return ctx.Err() }
	cfg2 := *cfg
	l, err = NewFactory().CreateLogs(t.Context(), set, &cfg2, consumeLogs(func(ctx context.Context, _ plog.Logs) error { return hang(ctx) }))
	require.NoError(t, err)
	m, err := NewFactory().CreateMetrics(t.Context(), set, &cfg2, hangingMetrics{hang: hang})
	require.NoError(t, err)
	require.NoError(t, l.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, m.Start(t.Context(), componenttest.NewNopHost()))
	<-in
	<-in
	require.NoError(t, l.Shutdown(t.Context()))
	require.NoError(t, m.Shutdown(t.Context()))
}
