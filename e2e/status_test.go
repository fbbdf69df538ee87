package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const statusDestinationConfig = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "${env:GRPC}", tls: {cert_file: "${env:PAIR}.crt", key_file: "${env:PAIR}.key"}}
exporters:
  file/logs: {path: "${env:OUT}/logs.jsonl", flush_interval: 50ms}
  file/metrics: {path: "${env:OUT}/metrics.jsonl", flush_interval: 50ms}
extensions:
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [health_check]
  pipelines:
    logs: {receivers: [otlp], exporters: [file/logs]}
    metrics: {receivers: [otlp], exporters: [file/metrics]}
  telemetry: {metrics: {level: none}}
`

// statusDelivered runs config/status.yaml against the web monitor of a
// simulated PowerMTA, with its redirect to HTTPS and its own certificate, and
// waits for its metrics and events at both destinations.
func statusDelivered(t *testing.T) {
	dir := t.TempDir()
	monitor := fmt.Sprintf("localhost:%d", freePort(t))
	cert := filepath.Join(dir, "webmon.pem")
	// Where most attempts fail some queue is soon in backoff.
	mta := exec.Command(binary(t, "pmtalog"), "simulate", "--dir", filepath.Join(dir, "pmta"), "--rate", "300", "--hurry", "60", "--mix", "t=80",
		"--status-listen", monitor, "--status-https", "--status-cert", cert)
	said := &output{}
	mta.Stdout, mta.Stderr = said, said
	require.NoError(t, mta.Start())
	t.Cleanup(func() { _ = mta.Process.Kill() })
	eventually(t, 30*time.Second, "the monitor", func() bool { st, err := os.Stat(cert); return err == nil && st.Size() > 0 })

	au := newAuthority(t)
	grpc := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	startAgent(t, statusDestinationConfig, "GRPC="+grpc, "PAIR="+au.pairFiles, "OUT="+dir).waitReady()
	prometheus := freePort(t)
	a := startAgentFile(t, filepath.Join(repoRoot(), "config", "status.yaml"), "OTLP_ENDPOINT="+grpc, "OTLP_TOKEN=s3cret", "OTLP_CA_FILE="+au.caFile,
		"PMTA_STATUS_URL=http://"+monitor, "PMTA_STATUS_CA_FILE="+cert, "STATUS_INTERVAL=1s", "HOSTNAME=e2e", "STATE_DIR="+filepath.Join(dir, "state"),
		fmt.Sprintf("PROMETHEUS_PORT=%d", prometheus), fmt.Sprintf("METRICS_PORT=%d", freePort(t)))
	a.waitReady()

	// Lines of the page for Prometheus, by name.
	page := func() map[string][]string {
		resp, err := http.Get(fmt.Sprintf("http://localhost:%d/metrics", prometheus))
		if err != nil {
			return nil
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		byName := map[string][]string{}
		for line := range strings.Lines(string(body)) {
			if !strings.HasPrefix(line, "#") {
				name := line[:strings.IndexAny(line, "{ ")]
				byName[name] = append(byName[name], strings.TrimSpace(line))
			}
		}
		return byName
	}
	var shown map[string][]string
	eventually(t, time.Minute, "metrics on the page for Prometheus", func() bool {
		shown = page()
		return len(shown["pmta_queue_recipients"]) > 5 && len(shown["pmta_recipients_total"]) == 2
	})
	require.Len(t, shown["pmta_up"], 1)
	require.True(t, strings.HasSuffix(shown["pmta_up"][0], " 1"), shown["pmta_up"])
	require.Contains(t, shown["pmta_up"][0], `instance="e2e"`)
	for name, lines := range shown {
		if regexp.MustCompile(`^pmta_(queue|domain|vmta|job)_(recipients|size_bytes|connections)$`).MatchString(name) {
			require.LessOrEqual(t, len(lines), 21, name)
			require.Contains(t, strings.Join(lines, "\n"), `"_other"`, name)
		}
	}

	// The same, and the events, at the OTLP endpoint.
	events := func() (all []map[string]any) {
		for _, line := range completeLines(t, filepath.Join(dir, "logs.jsonl")) {
			ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
			require.NoError(t, err)
			eachRecord(ld, func(lr plog.LogRecord) {
				m := lr.Attributes().AsRaw()
				m["event"] = lr.EventName()
				all = append(all, m)
			})
		}
		return all
	}
	eventually(t, time.Minute, "a queue in backoff, classified, and one that left it", func() bool {
		seen := map[string]bool{}
		for _, e := range events() {
			if e["event"] == "pmta.queue.backoff" && e["smtp.bounce.category"] != nil {
				seen["backoff"] = true
			}
			seen[e["event"].(string)] = true
		}
		return seen["backoff"] && seen["pmta.queue.normal"]
	})
	eventually(t, time.Minute, "metrics at the OTLP endpoint", func() bool {
		names := map[string]bool{}
		for _, line := range completeLines(t, filepath.Join(dir, "metrics.jsonl")) {
			md, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
			require.NoError(t, err)
			for _, rm := range md.ResourceMetrics().All() {
				for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
					names[m.Name()] = true
				}
			}
		}
		return names["pmta.queue.recipients"] && names["pmta.recipients"] && names["pmta.queue.backoff"]
	})
	a.stop()
	seen := map[string]bool{}
	for _, e := range events() {
		uid, _ := e["log.record.uid"].(string)
		require.Len(t, uid, 32)
		require.False(t, seen[uid], "an event is there twice: %v", e)
		seen[uid] = true
		require.Equal(t, "diag", e["pmta.stream"])
		require.Equal(t, "status", e["pmta.event.source"])
	}
	require.NoError(t, mta.Process.Signal(syscall.SIGINT))
	require.NoError(t, mta.Wait(), said.String())
}

// completeLines returns the lines that a file exporter has finished.
func completeLines(t *testing.T, path string) (lines [][]byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	for line := range bytes.Lines(data) {
		if bytes.HasSuffix(line, []byte("\n")) {
			lines = append(lines, line)
		}
	}
	return lines
}
