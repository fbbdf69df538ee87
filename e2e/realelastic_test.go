//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/elasticsearch"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/simulate"
)

// A real Elasticsearch node, from Maven artifacts. E2E_ELASTICSEARCH (a URL
// without login) names one that already runs; what stops a node is left out
// then.

const elasticVersion = "8.19.21"

// missingForElasticsearch names the tools that are not there.
func missingForElasticsearch() (missing []string) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	return missing
}

// elasticJars fetches the server once and returns the folder of its jars.
var elasticJars = sync.OnceValues(func() (string, error) {
	jars := filepath.Join(repoRoot(), "build", "e2e", "elasticsearch", "jars")
	cmd := exec.Command("mvn", "-q", "-B", "-f", filepath.Join(repoRoot(), "e2e", "parts", "elasticsearch", "pom.xml"),
		"dependency:copy-dependencies", "-DoutputDirectory="+jars)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching Elasticsearch: %w\n%s", err, out)
	}
	return jars, nil
})

// realElastic is a running node.
type realElastic struct {
	t    *testing.T
	url  string
	home string // empty for a node that is not ours
	core string // class path
	cmd  *exec.Cmd
	done chan struct{}
	log  *output
}

// startElasticsearch starts a node, or uses that of E2E_ELASTICSEARCH. It
// skips the test if Java or Maven are missing.
func startElasticsearch(t *testing.T) *realElastic {
	t.Helper()
	if u := os.Getenv("E2E_ELASTICSEARCH"); u != "" {
		return &realElastic{t: t, url: strings.TrimSuffix(u, "/")}
	}
	if missing := missingForElasticsearch(); len(missing) > 0 {
		t.Skipf("missing: %s (Java 17 and Maven, or E2E_ELASTICSEARCH=url)", strings.Join(missing, ", "))
	}
	jars, err := elasticJars()
	require.NoError(t, err)
	e := &realElastic{t: t, home: t.TempDir(), log: &output{}}
	port, transport := freePort(t), freePort(t)
	e.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	e.layOut(jars, port, transport)
	e.start()
	t.Cleanup(func() {
		e.kill()
		if t.Failed() {
			t.Logf("node's output:\n%s", e.log)
		}
	})
	return e
}

// layOut makes the home folder that a distribution would have: netty is a
// module with a class loader of its own, everything else is on the class path.
func (e *realElastic) layOut(jars string, port, transport int) {
	module := filepath.Join(e.home, "modules", "transport-netty4")
	e.core = filepath.Join(e.home, "core")
	for _, dir := range []string{"config", "plugins", "core", "modules/transport-netty4"} {
		require.NoError(e.t, os.MkdirAll(filepath.Join(e.home, dir), 0o755))
	}
	files, err := filepath.Glob(filepath.Join(jars, "*.jar"))
	require.NoError(e.t, err)
	require.NotEmpty(e.t, files)
	for _, f := range files {
		dir, name := e.core, filepath.Base(f)
		if strings.HasPrefix(name, "netty-") || strings.HasPrefix(name, "transport-netty4-") {
			dir = module
		}
		require.NoError(e.t, os.Symlink(f, filepath.Join(dir, name)))
	}
	require.NoError(e.t, os.WriteFile(filepath.Join(module, "plugin-descriptor.properties"), fmt.Appendf(nil, `name=transport-netty4
description=HTTP and transport
version=%[1]s
elasticsearch.version=%[1]s
java.version=17
classname=org.elasticsearch.transport.netty4.Netty4Plugin
`, elasticVersion), 0o600))
	require.NoError(e.t, os.WriteFile(filepath.Join(e.home, "config", "elasticsearch.yml"), fmt.Appendf(nil, `network.host: 127.0.0.1
http.port: %d
transport.port: %d
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
`, port, transport), 0o600))
}

// start starts the node on the data it has and waits until it answers.
func (e *realElastic) start() {
	e.t.Helper()
	e.cmd = exec.Command("java", "-Xmx1g", "-cp", e.core+"/*", filepath.Join(repoRoot(), "e2e", "parts", "elasticsearch", "RunElasticsearch.java"), e.home)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	require.NoError(e.t, e.cmd.Start())
	done := make(chan struct{})
	e.done = done
	cmd := e.cmd
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	client := http.Client{Timeout: 2 * time.Second}
	eventually(e.t, 2*time.Minute, "node up", func() bool {
		select {
		case <-done:
			e.t.Fatalf("the node ended:\n%s", e.log)
		default:
		}
		res, err := client.Get(e.url + "/_cluster/health?wait_for_status=yellow&timeout=1s")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// kill ends the node as a power failure would.
func (e *realElastic) kill() {
	_ = e.cmd.Process.Kill()
	<-e.done
}

// call makes a request and returns the answer, which must be a 2xx.
func (e *realElastic) call(method, path, body string, out any) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(body))
	require.NoError(e.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(e.t, err)
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	require.NoError(e.t, err)
	require.Equal(e.t, 2, res.StatusCode/100, "%s %s: %s", method, path, answer)
	if out != nil {
		require.NoError(e.t, json.Unmarshal(answer, out))
	}
}

// count returns how many documents of a data stream a query finds.
func (e *realElastic) count(stream, query string) int {
	e.t.Helper()
	e.call(http.MethodPost, "/"+stream+"/_refresh", "", nil)
	var r struct{ Count int }
	e.call(http.MethodPost, "/"+stream+"/_count", `{"query":`+query+`}`, &r)
	return r.Count
}

// documents returns everything in a data stream, by _id.
func (e *realElastic) documents(stream string) map[string]json.RawMessage {
	e.t.Helper()
	e.call(http.MethodPost, "/"+stream+"/_refresh", "", nil)
	type page struct {
		ScrollID string `json:"_scroll_id"`
		Hits     struct {
			Hits []struct {
				ID     string          `json:"_id"`
				Source json.RawMessage `json:"_source"`
			}
		}
	}
	docs := map[string]json.RawMessage{}
	var p page
	e.call(http.MethodPost, "/"+stream+"/_search?scroll=1m", `{"size":2000,"query":{"match_all":{}}}`, &p)
	for len(p.Hits.Hits) > 0 {
		for _, h := range p.Hits.Hits {
			require.NotContains(e.t, docs, h.ID)
			docs[h.ID] = h.Source
		}
		id := p.ScrollID
		p = page{}
		e.call(http.MethodPost, "/_search/scroll", `{"scroll":"1m","scroll_id":"`+id+`"}`, &p)
	}
	return docs
}

// xpackTypes are field types that a server from Maven artifacts does not have,
// and what serves for them.
var xpackTypes = strings.NewReplacer(`"match_only_text"`, `"text"`, `"wildcard"`, `"keyword"`, `"constant_keyword"`, `"keyword"`)

// front returns the URL for an exporter. A node without x-pack gets a proxy in
// front of it that exchanges in templates the field types it does not have;
// everything else passes unchanged.
func (e *realElastic) front() string {
	e.t.Helper()
	probe := `{"template":{"mappings":{"properties":{"a":{"type":"match_only_text"},"b":{"type":"constant_keyword"},"c":{"type":"wildcard"}}}}}`
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPut, e.url+"/_component_template/pmta-e2e-probe", strings.NewReader(probe))
	require.NoError(e.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(e.t, err)
	_ = res.Body.Close()
	if res.StatusCode == http.StatusOK {
		e.call(http.MethodDelete, "/_component_template/pmta-e2e-probe", "", nil)
		return e.url
	}
	target, err := url.Parse(e.url)
	require.NoError(e.t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if strings.HasPrefix(r.In.URL.Path, "/_component_template/") && r.In.Body != nil {
				body, _ := io.ReadAll(r.In.Body)
				body = []byte(xpackTypes.Replace(string(body)))
				r.Out.Body, r.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			}
		},
		ErrorLog: nil,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, err.Error())
		},
	}
	s := httptest.NewServer(proxy)
	e.t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// elasticExporter is an exporter in this process.
func elasticExporter(t *testing.T, config string) exporter.Logs {
	t.Helper()
	raw, err := confmap.NewRetrievedFromYAML([]byte(config))
	require.NoError(t, err)
	conf, err := raw.AsConf()
	require.NoError(t, err)
	factory := elasticsearch.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	e, err := factory.CreateLogs(t.Context(), exportertest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e
}

// accounted decodes n records of a simulated PowerMTA.
func accounted(t *testing.T, seed uint64, n int64) plog.Logs {
	t.Helper()
	dir := t.TempDir()
	fields := map[simulate.Type][]string{
		simulate.Delivery: {"*", "header_Subject", "header_From", "header_Message-Id", "header_X-Campaign"},
		simulate.Bounce:   {"*", "header_Subject", "header_X-Campaign"},
	}
	w, err := simulate.NewWorld(simulate.WorldOptions{Seed: seed, Rate: 5, Mix: simulate.DefaultMix, Hurry: 500})
	require.NoError(t, err)
	a, err := simulate.NewAccounting(simulate.AccountingConfig{Path: filepath.Join(dir, "acct.csv"), Fields: fields})
	require.NoError(t, err)
	_, err = simulate.Run(t.Context(), w, simulate.RunOptions{Streams: []simulate.Stream{a}, Records: n})
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	require.NoError(t, err)
	d := &decoded{t: t, logs: plog.NewLogs()}
	rl := d.logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "pmta")
	rl.Resource().Attributes().PutStr("service.instance.id", "mta1")
	d.records = rl.ScopeLogs().AppendEmpty().LogRecords()
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		acct.NewDecoder(acct.Options{Location: time.UTC}).Decode(string(text), true, d)
	}
	require.EqualValues(t, n, d.records.Len())
	return d.logs
}

type decoded struct {
	t       *testing.T
	logs    plog.Logs
	records plog.LogRecordSlice
	slab    logslab.Slab
}

func (d *decoded) Record(rec *acct.Record) {
	lr := d.records.AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(rec.Time))
	lr.SetEventName(rec.Type.EventName())
	number, text := rec.Type.Severity()
	lr.SetSeverityNumber(plog.SeverityNumber(number))
	lr.SetSeverityText(text)
	if rec.Diag != "" {
		d.slab.SetString(lr.Body(), rec.Diag)
	}
	attrs := append(rec.Attrs, acct.Attr{Key: semconv.LogRecordUID, Str: string(acct.AppendUID(nil, rec.UID))})
	d.slab.SetAttributes(lr.Attributes(), attrs)
	rec.Attrs = attrs[:0]
}

func (d *decoded) Reject(r acct.Reject) { d.t.Errorf("rejected: %+v", r) }

// rendered returns the documents that ld should become, by _id.
func rendered(ld plog.Logs, mode string) map[string]string {
	out := map[string]string{}
	r := schema.NewRenderer(estemplate.RenderOptions(mode))
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				uid, _ := lr.Attributes().Get(semconv.LogRecordUID)
				out[uid.Str()] = string(r.AppendJSON(nil, rl.Resource(), sl.Scope(), lr))
			}
		}
	}
	return out
}

// requireSame compares documents with what they should be, but for the names
// of their data stream.
func requireSame(t *testing.T, want map[string]string, got map[string]json.RawMessage) {
	t.Helper()
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for id, w := range want {
		var a, b map[string]any
		require.NoError(t, json.Unmarshal([]byte(w), &a))
		require.NoError(t, json.Unmarshal(got[id], &b))
		for _, f := range []string{"type", "dataset", "namespace"} {
			require.NotEmpty(t, b["data_stream."+f])
			delete(b, "data_stream."+f)
		}
		require.Equal(t, a, b)
	}
}

// Templates are installed, documents arrive as they were rendered, a replay
// makes no second one, fields have types that can be searched, and what a
// mapping refuses is a dead letter with Elasticsearch's reason.
func TestRealElasticsearchTakesEveryDocument(t *testing.T) {
	modes := estemplate.Modes
	if os.Getenv("E2E_ELASTICSEARCH") != "" {
		modes = modes[:1] // one cluster holds templates for one mode
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			es := startElasticsearch(t)
			dataset := fmt.Sprintf("pmta.e2e%d", time.Now().UnixNano())
			stream := "logs-" + dataset + "-default"
			dead := filepath.Join(t.TempDir(), "dead.jsonl")
			config := fmt.Sprintf(`
endpoint: %s
manage_templates: true
mapping: {mode: %s}
data_stream: {dataset: %s}
flush: {bytes: 300KiB}
dead_letter: {path: %s}
`, es.front(), mode, dataset, dead)
			x := elasticExporter(t, config)
			ld := accounted(t, 1, 3000)
			require.NoError(t, x.ConsumeLogs(t.Context(), ld))
			want := rendered(ld, mode)
			require.Len(t, want, 3000)
			requireSame(t, want, es.documents(stream))

			// A second agent finds the templates in place, and sends the
			// same again.
			require.NoError(t, elasticExporter(t, config).ConsumeLogs(t.Context(), ld))
			require.Equal(t, 3000, es.count(stream, `{"match_all":{}}`))

			for query, some := range map[string]map[string]string{
				"address": {
					estemplate.ModeOTel: `{"term":{"attributes.network.peer.address":"198.51.100.0/24"}}`,
					estemplate.ModeECS:  `{"term":{"destination.ip":"198.51.100.0/24"}}`,
					estemplate.ModeRaw:  `{"term":{"network.peer.address":"198.51.100.0/24"}}`,
				},
				"number": {
					estemplate.ModeOTel: `{"range":{"smtp.response.code":{"gte":400}}}`, // without the prefix
					estemplate.ModeECS:  `{"range":{"smtp.response.code":{"gte":400}}}`,
					estemplate.ModeRaw:  `{"range":{"smtp.response.code":{"gte":400}}}`,
				},
				"header": {
					estemplate.ModeOTel: `{"exists":{"field":"attributes.pmta.header.x_campaign"}}`,
					estemplate.ModeECS:  `{"exists":{"field":"pmta.header.x_campaign"}}`,
					estemplate.ModeRaw:  `{"exists":{"field":"pmta.header.x_campaign"}}`,
				},
				"time": {
					estemplate.ModeOTel: `{"range":{"@timestamp":{"gte":"2000-01-01"}}}`,
					estemplate.ModeECS:  `{"range":{"event.start":{"gte":"2000-01-01"}}}`,
					estemplate.ModeRaw:  `{"range":{"@timestamp":{"gte":"2000-01-01"}}}`,
				},
			} {
				require.Positive(t, es.count(stream, some[mode]), "%s: %s", query, some[mode])
			}
			for _, field := range []string{"data_stream.dataset", "data_stream.type"} {
				require.Equal(t, 3000, es.count(stream, `{"exists":{"field":"`+field+`"}}`), field)
			}

			// An address that is none costs nothing; a text where an object
			// has to be costs the document.
			bad := plog.NewLogs()
			rl := bad.ResourceLogs().AppendEmpty()
			for i, attrs := range []map[string]any{
				{semconv.LogRecordUID: "odd", semconv.PMTADSNMTAIP: "not an address", "pmta.message.size": "huge", "date": "2026-01-01"},
				{semconv.LogRecordUID: "odd2", "date": "no date at all", "number": 1},
				{semconv.LogRecordUID: "odd3", "number": "no number"},
				{semconv.LogRecordUID: "bad", "pmta.header": "no object"},
			} {
				lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				lr.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_770_000_000, int64(i))))
				require.NoError(t, lr.Attributes().FromRaw(attrs))
			}
			require.NoError(t, x.ConsumeLogs(t.Context(), bad))
			require.Equal(t, 3003, es.count(stream, `{"match_all":{}}`))
			text, err := os.ReadFile(dead)
			require.NoError(t, err)
			var letter quarantine.Entry
			require.NoError(t, json.Unmarshal(text, &letter))
			require.Equal(t, "document_parsing_exception", letter.Reason)
			require.Contains(t, letter.Detail, "pmta.header")
			require.Contains(t, string(letter.Context), `"_id":"bad"`)
		})
	}
}

// The node is killed, frozen and started again in mid-stream: every record
// arrives, none twice.
func TestRealElasticsearchOutage(t *testing.T) {
	es := startElasticsearch(t)
	if es.home == "" {
		t.Skip("stops the node, so not with E2E_ELASTICSEARCH")
	}
	dead := filepath.Join(t.TempDir(), "dead.jsonl")
	x := elasticExporter(t, fmt.Sprintf(`
endpoint: %s
timeout: 2s
manage_templates: true
flush: {bytes: 100KiB}
retry: {initial_interval: 10ms, max_interval: 100ms}
retry_on_failure: {initial_interval: 50ms, max_interval: 500ms}
dead_letter: {path: %s}
`, es.front(), dead))
	const batches, perBatch = 60, 500
	sent := make([]plog.Logs, batches)
	want := map[string]string{}
	for i := range sent {
		sent[i] = accounted(t, uint64(i+10), perBatch)
		maps.Copy(want, rendered(sent[i], estemplate.ModeOTel))
	}
	require.Len(t, want, batches*perBatch)

	todo := make(chan plog.Logs)
	progress := make(chan struct{}, batches)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for ld := range todo {
				if err := x.ConsumeLogs(t.Context(), ld); err != nil {
					t.Errorf("not delivered: %v", err)
				}
				progress <- struct{}{}
			}
		})
	}
	senders.Go(func() {
		defer close(todo)
		for _, ld := range sent {
			todo <- ld
		}
	})
	wait := func(n int) {
		for range n {
			<-progress
		}
	}
	wait(10)
	es.kill()
	es.start()
	wait(10)
	require.NoError(t, es.cmd.Process.Signal(syscall.SIGSTOP))
	// Until requests have run into their time limit, at least once each.
	frozen := time.NewTimer(5 * time.Second)
	<-frozen.C
	require.NoError(t, es.cmd.Process.Signal(syscall.SIGCONT))
	wait(batches - 20)
	senders.Wait()
	requireSame(t, want, es.documents("logs-pmta.acct-default"))
	require.NoFileExists(t, dead)
}

const elasticAgent = `
receivers:
  powermta:
    coverage: {enabled: false} # what the agent finds out itself is no record of a file
    include: ["${env:LOG_DIR}/*.csv"]
    storage: file_storage
    instance: mta1
    quarantine: {path: "${env:WORK_DIR}/quarantine.jsonl"}
exporters:
  elasticsearch:
    endpoint: ${env:ELASTICSEARCH}
    mapping: {mode: raw}
    manage_templates: true
    dead_letter: {path: "${env:WORK_DIR}/dead.jsonl"}
extensions:
  file_storage: {directory: "${env:WORK_DIR}/state", create_directory: true}
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [file_storage, health_check]
  pipelines: {logs: {receivers: [powermta], exporters: [elasticsearch]}}
  telemetry: {metrics: {level: none}, logs: {level: warn}}
`

// A simulated day goes through the real agent, and comes back from the node as
// pmtalog reads it from the files, record by record.
func TestRealElasticsearchDay(t *testing.T) {
	es := startElasticsearch(t)
	work := t.TempDir()
	logs := filepath.Join(work, "log")
	require.NoError(t, os.MkdirAll(logs, 0o755))
	_, stderr, code := run(t, "pmtalog", "simulate", "--dir", logs, "--records", "20000", "--seed", "5", "--header", "Message-Id,Subject,X-Campaign")
	require.Zero(t, code, stderr)
	files, err := filepath.Glob(filepath.Join(logs, "*.csv"))
	require.NoError(t, err)
	stdout, stderr, code := run(t, "pmtalog", append([]string{"parse", "--instance", "mta1"}, files...)...)
	require.Zero(t, code, stderr)
	want := map[string]map[string]any{}
	for line := range strings.Lines(stdout) {
		var rec map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &rec))
		want[rec[semconv.LogRecordUID].(string)] = rec
	}
	require.GreaterOrEqual(t, len(want), 20000)

	a := startAgent(t, elasticAgent, "LOG_DIR="+logs, "WORK_DIR="+work, "ELASTICSEARCH="+es.front())
	a.waitReady()
	stream := "logs-pmta.acct-default"
	eventually(t, 2*time.Minute, "every record in Elasticsearch", func() bool {
		res, err := http.Get(es.url + "/" + stream + "/_count?ignore_unavailable=true")
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		var r struct{ Count int }
		_ = json.NewDecoder(res.Body).Decode(&r)
		return r.Count >= len(want)
	})
	a.stop()
	got := es.documents(stream)
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for id, rec := range want {
		var doc map[string]any
		require.NoError(t, json.Unmarshal(got[id], &doc))
		for name, v := range rec {
			if strings.HasPrefix(name, "pmta.") || strings.HasPrefix(name, "smtp.") {
				if _, grouped := doc[name]; !grouped && (strings.HasPrefix(name, semconv.PMTAHeaderPrefix) || strings.HasPrefix(name, semconv.PMTAFieldPrefix)) {
					continue
				}
				require.Equal(t, v, doc[name], "%s of %s", name, id)
			}
		}
	}
	require.NoFileExists(t, filepath.Join(work, "dead.jsonl"))
}
