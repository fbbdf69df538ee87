package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/net/idna"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estest"
)

// facts is what is compared of a record, whatever the names are where it
// arrived.
type facts struct {
	recordType, rcptDomain string
	classified             bool // only known of what arrived
}

// arrivals returns the records at a destination by log.record.uid.
type arrivals func() map[string]facts

// factsOf reads the names that documents of the otel and ecs schema share.
func factsOf(doc map[string]any) facts {
	typ, _ := doc["pmta.record.type"].(string)
	domain, _ := doc["pmta.rcpt.domain"].(string)
	return facts{recordType: typ, rcptDomain: domain, classified: doc["smtp.bounce.category"] != nil}
}

// mailHost is a folder as on a host with PowerMTA: logs, and room for state.
type mailHost struct {
	logs, state string
	want        map[string]facts
}

// newMailHost simulates mail and has pmtalog say what the records are.
func newMailHost(t *testing.T, records int) *mailHost {
	t.Helper()
	dir := t.TempDir()
	h := &mailHost{logs: filepath.Join(dir, "pmta"), state: filepath.Join(dir, "state"), want: map[string]facts{}}
	_, stderr, code := run(t, "pmtalog", "simulate", "--dir", h.logs, "--records", fmt.Sprint(records))
	require.Zero(t, code, stderr)
	files, err := filepath.Glob(filepath.Join(h.logs, "acct-*.csv"))
	require.NoError(t, err)
	h.want = parsed(t, append([]string{"--instance", "e2e"}, files...)...)
	require.Len(t, h.want, records)
	return h
}

// parsed returns the records that pmtalog parse makes.
func parsed(t *testing.T, args ...string) map[string]facts {
	t.Helper()
	stdout, stderr, code := run(t, "pmtalog", append([]string{"parse"}, args...)...)
	require.Zero(t, code, stderr)
	recs := map[string]facts{}
	for line := range strings.Lines(stdout) {
		var doc map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &doc))
		recs[doc["log.record.uid"].(string)] = factsOf(doc)
	}
	return recs
}

// ship starts the agent with a file of config/ as it is, waits until every
// record has arrived, and compares.
func (h *mailHost) ship(t *testing.T, config string, env []string, got arrivals, args ...string) *agent {
	t.Helper()
	a := h.start(t, config, env, args...)
	eventually(t, time.Minute, "every record at its destination with "+config, func() bool {
		have := got()
		for uid := range h.want {
			if _, ok := have[uid]; !ok {
				return false
			}
		}
		return true
	})
	a.stop()
	h.compare(t, got())
	require.NoFileExists(t, filepath.Join(h.state, "quarantine.jsonl"))
	require.NoFileExists(t, filepath.Join(h.state, "quarantine-refused.jsonl"))
	for _, name := range []string{"kafka", "elasticsearch"} {
		require.NoFileExists(t, filepath.Join(h.state, name+"-dead-letter.jsonl"))
	}
	return a
}

func (h *mailHost) start(t *testing.T, config string, env []string, args ...string) *agent {
	t.Helper()
	env = append([]string{
		"PMTA_LOG_DIR=" + h.logs, "STATE_DIR=" + h.state, "HOSTNAME=e2e", "METRICS_PORT=" + fmt.Sprint(freePort(t)),
	}, env...)
	a := startCommand(t, func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, args...) },
		filepath.Join(repoRoot(), "config", config), env...)
	a.waitReady()
	return a
}

func (h *mailHost) compare(t *testing.T, got map[string]facts) {
	t.Helper()
	for uid, g := range got {
		if _, ok := h.want[uid]; !ok && g.recordType == "" {
			delete(got, uid) // pmta.coverage, which the agent finds out itself
		}
	}
	require.Len(t, got, len(h.want))
	for uid, want := range h.want {
		g, ok := got[uid]
		require.True(t, ok, "record %s is lost", uid)
		require.Equal(t, want.recordType, g.recordType, uid)
		// mail_enrich writes domains as A-labels.
		ascii, err := idna.Lookup.ToASCII(want.rcptDomain)
		require.NoError(t, err)
		require.Contains(t, []string{want.rcptDomain, ascii}, g.rcptDomain, uid)
		if want.recordType == "b" || want.recordType == "t" {
			require.True(t, g.classified, "%s (%s) is not classified", uid, want.recordType)
		}
	}
}

// authority is a certificate for 127.0.0.1 that is its own authority, as
// files and for servers of this process.
type authority struct {
	cert              tls.Certificate
	caFile, pairFiles string // PEM; pairFiles.crt and pairFiles.key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	dir := t.TempDir()
	au := &authority{cert: srv.TLS.Certificates[0], caFile: filepath.Join(dir, "ca.pem"), pairFiles: filepath.Join(dir, "server")}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	der, err := x509.MarshalPKCS8PrivateKey(au.cert.PrivateKey)
	require.NoError(t, err)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for name, data := range map[string][]byte{au.caFile: crt, au.pairFiles + ".crt": crt, au.pairFiles + ".key": key} {
		require.NoError(t, os.WriteFile(name, data, 0o600))
	}
	return au
}

// client trusts the authority.
func (au *authority) client(t *testing.T) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(au.caFile)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// kafkaDestination is a Kafka cluster with TLS and SCRAM.
func kafkaDestination(t *testing.T, au *authority) ([]string, arrivals) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "pmta.acct"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{au.cert}}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "pmta", "s3cret"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(au.cert.Certificate[0])
	require.NoError(t, err)
	pool.AddCert(leaf)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("pmta.acct"), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(scram.Auth{User: "pmta", Pass: "s3cret"}.AsSha512Mechanism()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	got := map[string]facts{}
	env := []string{"KAFKA_BROKERS=" + strings.Join(c.ListenAddrs(), ","), "KAFKA_PASSWORD=s3cret", "KAFKA_CA_FILE=" + au.caFile}
	return env, func() map[string]facts {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var doc map[string]any
			require.NoError(t, json.Unmarshal(r.Value, &doc))
			uid, _ := doc["log.record.uid"].(string)
			got[uid] = factsOf(doc)
			require.NotEmpty(t, r.Key)
		})
		return got
	}
}

// elasticDestination is a strict bulk endpoint behind TLS that fails at first.
func elasticDestination(t *testing.T, au *authority) ([]string, arrivals) {
	t.Helper()
	key := base64.StdEncoding.EncodeToString([]byte("id:secret"))
	es := estest.New(t)
	es.Authorization = "APIKey " + key // as the client spells it; Elasticsearch takes any case
	es.OnBulk = func(n int) estest.Fault {
		switch n {
		case 0:
			return estest.Fault{Status: http.StatusServiceUnavailable}
		case 1:
			return estest.Fault{Reset: true}
		}
		return estest.Fault{}
	}
	front := httptest.NewUnstartedServer(es.Config.Handler)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{au.cert}}
	front.StartTLS()
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	env := []string{"ELASTICSEARCH_URL=" + front.URL, "ELASTICSEARCH_API_KEY=" + key, "ELASTICSEARCH_CA_FILE=" + au.caFile}
	return env, func() map[string]facts {
		got := map[string]facts{}
		for _, d := range es.Docs() {
			var doc map[string]any
			require.NoError(t, json.Unmarshal(d.Source, &doc))
			require.Equal(t, fmt.Sprintf("logs-pmta.%v-default", doc["pmta.stream"]), d.Index)
			require.Equal(t, d.ID, doc["event.id"])
			require.NotContains(t, got, d.ID, "a document is there twice")
			got[d.ID] = factsOf(doc)
		}
		require.True(t, len(got) == 0 || es.Stored("/_index_template/logs-pmta") != nil, "documents came before the template")
		return got
	}
}

const otlpDestinationConfig = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "${env:GRPC}", tls: {cert_file: "${env:PAIR}.crt", key_file: "${env:PAIR}.key"}}
      http: {endpoint: "${env:HTTP}", tls: {cert_file: "${env:PAIR}.crt", key_file: "${env:PAIR}.key"}}
exporters:
  file: {path: "${env:OUT}", flush_interval: 50ms}
extensions:
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [health_check]
  pipelines: {logs: {receivers: [otlp], exporters: [file]}}
  telemetry: {metrics: {level: none}}
`

// otlpDestination is a second Collector; endpoint makes OTLP_ENDPOINT of its
// two addresses.
func otlpDestination(t *testing.T, au *authority, endpoint func(grpc, http string) string) ([]string, arrivals) {
	t.Helper()
	grpc, http := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	out := filepath.Join(t.TempDir(), "records.jsonl")
	peer := startAgent(t, otlpDestinationConfig, "GRPC="+grpc, "HTTP="+http, "PAIR="+au.pairFiles, "OUT="+out)
	peer.waitReady()
	env := []string{"OTLP_ENDPOINT=" + endpoint(grpc, http), "OTLP_TOKEN=s3cret", "OTLP_CA_FILE=" + au.caFile}
	return env, func() map[string]facts { return otlpFile(t, out) }
}

// otlpFile reads what the file exporter has written so far.
func otlpFile(t *testing.T, path string) map[string]facts {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	got := map[string]facts{}
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		require.NoError(t, err)
		eachRecord(ld, func(lr plog.LogRecord) {
			m := lr.Attributes().AsRaw()
			uid, _ := m["log.record.uid"].(string)
			got[uid] = factsOf(m)
		})
	}
	return got
}

// webhook is what PowerMTA does with <acct-file> and http-webhook-url: it sends
// its records in bodies, until it gets 200 for each.
func (h *mailHost) webhook(t *testing.T, client *http.Client, url string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.logs, "acct-*.csv"))
	require.NoError(t, err)
	send := func(body []byte, token string, packed bool) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/octet-stream")
		if packed {
			var buf bytes.Buffer
			w := gzip.NewWriter(&buf)
			_, err = w.Write(body)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			req.Body, req.ContentLength = io.NopCloser(&buf), int64(buf.Len())
			req.Header.Set("Content-Encoding", "gzip")
		}
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(answer)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		header, rows, _ := bytes.Cut(data, []byte("\n"))
		lines := bytes.SplitAfter(rows, []byte("\n"))
		for n := 0; len(lines) > 0; n++ {
			k := min(len(lines), 400)
			body := slices.Concat(append(header[:len(header):len(header)], '\n'), bytes.Join(lines[:k], nil))
			lines = lines[k:]
			if n == 0 {
				code, _ := send(body, "wrong", false)
				require.Equal(t, http.StatusUnauthorized, code)
			}
			eventually(t, 30*time.Second, "200 for a body", func() bool {
				code, answer := send(body, "s3cret", n%2 == 1)
				require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, code, answer)
				return code == http.StatusOK
			})
			code, answer := send(body, "s3cret", false) // the answer got lost
			require.Equal(t, http.StatusOK, code)
			require.Contains(t, answer, `"replay":true`)
		}
	}
}

// byFacts counts records that look alike, for where their UIDs are others.
func byFacts(records map[string]facts) map[facts]int {
	n := map[facts]int{}
	for _, f := range records {
		f.classified = false
		n[f]++
	}
	return n
}

func grpcAddress(grpc, _ string) string { return grpc }
func httpsURL(_, http string) string    { return "https://" + http }

// Each shipped configuration, as it is, brings every record to its destination
// over TLS and with its credentials.
func TestGalleryDeliversEveryRecord(t *testing.T) {
	const records = 3000
	tests := map[string]func(*testing.T){
		"quickstart.yaml": func(t *testing.T) {
			h := newMailHost(t, records)
			dir := filepath.Dir(h.logs) // logs are in pmta below it
			got := func() map[string]facts { return otlpFile(t, filepath.Join(dir, "records.jsonl")) }
			h.want = parsed(t, filepath.Join(h.logs, "acct-2026-01-31-0000.csv")) // no instance there
			h.ship(t, "quickstart.yaml", []string{"RUN_DIR=" + dir}, got)
			require.NoFileExists(t, filepath.Join(dir, "quarantine.jsonl"))
			require.NoFileExists(t, filepath.Join(dir, "quarantine-refused.jsonl"))
		},
		"kafka.yaml": func(t *testing.T) {
			env, got := kafkaDestination(t, newAuthority(t))
			newMailHost(t, records).ship(t, "kafka.yaml", env, got)
		},
		"elasticsearch.yaml": func(t *testing.T) {
			env, got := elasticDestination(t, newAuthority(t))
			newMailHost(t, records).ship(t, "elasticsearch.yaml", env, got)
		},
		"splunk-hec.yaml": func(t *testing.T) {
			hec := newHEC(t, newAuthority(t))
			newMailHost(t, records).ship(t, "splunk-hec.yaml", hec.env(), hec.arrivals)
		},
		"otlp.yaml": func(t *testing.T) {
			env, got := otlpDestination(t, newAuthority(t), grpcAddress)
			newMailHost(t, records).ship(t, "otlp.yaml", env, got)
		},
		"otlp-http.yaml": func(t *testing.T) {
			env, got := otlpDestination(t, newAuthority(t), httpsURL)
			newMailHost(t, records).ship(t, "otlp-http.yaml", env, got)
		},
		"otlp-persistent-queue.yaml": func(t *testing.T) {
			env, got := otlpDestination(t, newAuthority(t), grpcAddress)
			newMailHost(t, records).ship(t, "otlp-persistent-queue.yaml", env, got)
		},
		"webhook.yaml": func(t *testing.T) {
			au := newAuthority(t)
			env, got := otlpDestination(t, au, grpcAddress)
			h := newMailHost(t, records)
			address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
			a := h.start(t, "webhook.yaml", append(env, "WEBHOOK_ENDPOINT="+address, "WEBHOOK_TOKEN=s3cret", "PMTA_INSTANCE=e2e",
				"WEBHOOK_CERT_FILE="+au.pairFiles+".crt", "WEBHOOK_KEY_FILE="+au.pairFiles+".key"))
			h.webhook(t, au.client(t), "https://"+address+"/")
			// Every 200 said that the records are there: nothing to wait for but
			// the destination's own file.
			eventually(t, 20*time.Second, "every record at its destination", func() bool { return len(got()) >= len(h.want) })
			a.stop()
			require.Equal(t, byFacts(h.want), byFacts(got()))
			require.NoFileExists(t, filepath.Join(h.state, "quarantine.jsonl"))
			require.NoFileExists(t, filepath.Join(h.state, "quarantine-refused.jsonl"))
		},
		"combined.yaml": func(t *testing.T) {
			au := newAuthority(t)
			kafkaEnv, kafka := kafkaDestination(t, au)
			elasticEnv, elastic := elasticDestination(t, au)
			hec := newHEC(t, au)
			all := []arrivals{kafka, elastic, hec.arrivals}
			h := newMailHost(t, records)
			h.ship(t, "combined.yaml", append(append(kafkaEnv, elasticEnv...), hec.env()...), func() map[string]facts {
				var least map[string]facts
				for _, got := range all {
					if m := got(); least == nil || len(m) < len(least) {
						least = m
					}
				}
				return least
			})
			for _, got := range all {
				h.compare(t, got())
			}
		},
		"status.yaml": statusDelivered,
	}
	files, err := filepath.Glob(filepath.Join(repoRoot(), "config", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, tests, len(files), "a test for each file")
	for _, file := range files {
		name := filepath.Base(file)
		require.Contains(t, tests, name)
		t.Run(name, tests[name])
	}
}
