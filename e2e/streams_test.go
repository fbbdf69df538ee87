package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

const streamsConfig = `
receivers:
  powermta:
    include: ["${env:LOG_DIR}/*-*.csv", "${env:LOG_DIR}/moved/*-*.csv"]
    storage: file_storage
    instance: e2e
    timezone: UTC
    system_log:
      include: ["${env:LOG_DIR}/log", "${env:LOG_DIR}/log.*", "${env:LOG_DIR}/pmtahttp.log*", "${env:LOG_DIR}/pmta-startuperr.log"]
      unknown: {path: "${env:WORK_DIR}/unknown.jsonl"}
    quarantine: {path: "${env:WORK_DIR}/quarantine.jsonl"}
processors:
  smtp_reply: {unclassified: {path: "${env:WORK_DIR}/unclassified.jsonl"}}
exporters:
  otlp_http:
    endpoint: http://${env:SINK}
    compression: none
    retry_on_failure: {initial_interval: 10ms, max_interval: 100ms, max_elapsed_time: 0}
    sending_queue: {wait_for_result: true, block_on_overflow: true, num_consumers: 2, queue_size: 4}
extensions:
  file_storage: {directory: "${env:WORK_DIR}/state", create_directory: true, recreate: true}
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [file_storage, health_check]
  pipelines: {logs: {receivers: [powermta], processors: [smtp_reply], exporters: [otlp_http]}}
  telemetry:
    logs: {level: warn}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: localhost, port: "${env:METRICS_PORT}"}}}}]}
`

// event is what is compared of a record.
type event struct{ name, severity, stream, queue, diag, outcome, category string }

// Six hours of a server on which much goes wrong: it fails to start, a provider
// throttles it, it crashes. The agent is killed on the way. In the end every
// record of every stream has arrived, the sessions in the log tell the same as
// the accounting files, and PowerMTA's counts are what was read.
func TestEveryStreamOfOneServer(t *testing.T) {
	work := t.TempDir()
	logs := filepath.Join(work, "pmta")
	require.NoError(t, os.MkdirAll(filepath.Join(logs, "moved"), 0o755))
	_, stderr, code := run(t, "pmtalog", "simulate", "--dir", logs, "--records", "12000", "--span", "6h", "--types", "d,b,t,tq,r,f,rs",
		"--acct-file", "bounce.csv:b,rb", "--move-to", filepath.Join(logs, "moved"), "--move-interval", "1h", "--count-moved-records",
		"--log", filepath.Join(logs, "log"), "--log-rotate-every", "2h", "--http-log", filepath.Join(logs, "pmtahttp.log"),
		"--startup-error", filepath.Join(logs, "pmta-startuperr.log"),
		"--incident", "throttle@1h+2h:provider=yahoo,share=0.9", "--incident", "crash@4h")
	require.Zero(t, code, stderr)

	// What there is, as pmtalog reads it file by file.
	want := map[string]event{}
	read := func(args ...string) {
		stdout, stderr, code := run(t, "pmtalog", append([]string{"parse", "--timezone", "UTC", "--instance", "e2e"}, args...)...)
		require.Zero(t, code, stderr)
		for line := range strings.Lines(stdout) {
			var doc map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &doc))
			if name := doc["event.name"].(string); name != "pmta.session" { // those may span files
				text := func(key string) string { s, _ := doc[key].(string); return s }
				want[text("log.record.uid")] = event{name: name, queue: text("pmta.queue.name"), diag: text("pmta.dsn.diag")}
			}
		}
	}
	glob := func(pattern string) []string {
		files, err := filepath.Glob(filepath.Join(logs, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		return files
	}
	acct := append(append(glob("*-*.csv"), glob("moved/acct-*.csv")...), glob("moved/bounce-*.csv")...)
	read(acct...)
	records := len(want)
	read(append(glob("log*"), glob("pmtahttp.log*")...)...)
	read("--log", filepath.Join(logs, "pmta-startuperr.log"))

	got := map[string]event{}
	sink := newSink(t)
	sink.keep = func(uid string, lr plog.LogRecord) {
		text := func(key string) string {
			if v, ok := lr.Attributes().Get(key); ok {
				return v.AsString()
			}
			return ""
		}
		got[uid] = event{lr.EventName(), lr.SeverityText(), text("pmta.stream"), text("pmta.queue.name"), text("pmta.dsn.diag"),
			text("pmta.session.outcome"), text("smtp.bounce.category")}
	}
	arrived := func() map[string]event {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return maps.Clone(got)
	}
	port := fmt.Sprint(freePort(t))
	env := []string{"LOG_DIR=" + logs, "SINK=" + sink.addr, "METRICS_PORT=" + port}
	start := func(state string) *agent {
		return startAgent(t, streamsConfig, append(env, "WORK_DIR="+filepath.Join(work, state))...)
	}
	all := func() bool {
		have := arrived()
		for uid := range want {
			if _, ok := have[uid]; !ok {
				return false
			}
		}
		return true
	}
	// Killed on the way.
	for _, share := range []int{10, 3} {
		a := start("killed")
		eventually(t, time.Minute, "a part of the records", func() bool { return len(arrived()) > len(want)/share })
		a.kill()
	}
	a := start("killed")
	eventually(t, 2*time.Minute, "every record of every stream", all)
	a.stop()

	// Another agent that reads it all again finds nothing but what is there.
	moved := 0
	for _, e := range want {
		if e.name == "pmta.acct_file.moved" {
			moved++
		}
	}
	require.GreaterOrEqual(t, moved, 8)
	a = start("whole")
	eventually(t, 2*time.Minute, "PowerMTA's counts to be compared", func() bool {
		return metric(t, port, `otelcol_pmta_reconciled_files\{[^}]*outcome="equal"[^}]*\} (\d+)`) == fmt.Sprint(moved)
	})
	a.stop()
	have := arrived()

	streams, byName, sessions := map[string]int{}, map[string]int{}, map[string]int{}
	delivered, deliveries := map[string]int{}, map[string]int{}
	for uid, e := range have {
		byName[e.name]++
		streams[e.stream]++
		require.Equal(t, e.severity == "FATAL", e.stream == "panic", "%v", e)
		w, ok := want[uid]
		switch {
		case ok:
			require.Equal(t, w.name, e.name)
			require.Equal(t, w.diag, e.diag)
		case e.name == "pmta.session":
			sessions[e.queue+" "+words(e.diag)]++
			if e.outcome == "delivered" {
				delivered[e.queue]++
			}
		default:
			require.Equal(t, "pmta.coverage", e.name, "it came from nowhere")
		}
	}
	require.Zero(t, byName["pmta.reconciliation.difference"])
	require.Zero(t, sink.mixed)
	require.NotZero(t, records)
	bounced := 0
	for _, e := range have {
		switch e.name {
		case "pmta.delivery":
			deliveries[e.queue]++
		case "pmta.bounce", "pmta.transient":
			if e.stream == "bounce" {
				bounced++
				continue // the acct file has it too
			}
			if strings.HasPrefix(e.diag, "smtp;") && !strings.Contains(e.diag, "unable to connect") {
				require.Positive(t, sessions[e.queue+" "+words(e.diag)], "no session tells of %v", e)
			}
		}
	}
	require.Equal(t, deliveries, delivered)
	rows := 0
	for _, f := range append(glob("bounce-*.csv"), glob("moved/bounce-*.csv")...) {
		rows += lines(f) - 1
	}
	require.Equal(t, rows, bounced+byName["pmta.remote_bounce"])
	require.Equal(t, rows, streams["bounce"])
	require.Equal(t, records-rows, streams["acct"])
	require.Positive(t, byName["pmta.mta.crash"])
	require.Positive(t, byName["pmta.mta.start_failed"])
	require.Positive(t, byName["pmta.queue.backoff"])
	require.Positive(t, byName["pmta.monitor.denied"])
	require.Positive(t, byName["pmta.config.error"])
	for _, e := range have {
		if e.name == "pmta.session" && (e.outcome == "rejected" || e.outcome == "deferred") {
			require.NotEmpty(t, e.category, "the reply in %v is not classified", e)
		}
	}
}

var replyCodes = regexp.MustCompile(`\b[245]\d\d[- ]([245]\.\d+\.\d+\s*)?|\s+`)

// words is a reply without the codes that begin each of its lines, which stand
// in different places in the log and in the accounting file.
func words(diag string) string {
	return strings.Join(strings.Fields(replyCodes.ReplaceAllString(diag, " ")), " ")
}

// metric returns the first group of a pattern in the agent's metrics, "" when
// there is none.
func metric(t *testing.T, port, pattern string) string {
	t.Helper()
	resp, err := http.Get("http://localhost:" + port + "/metrics")
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if m := regexp.MustCompile(pattern).FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}
