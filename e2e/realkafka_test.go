//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/kafka"
)

// A real Apache Kafka broker in KRaft mode, from Maven artifacts. E2E_KAFKA
// (host:port) names one that already runs; what stops a broker is left out
// then.

var kafkaLibs = sync.OnceValues(func() (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%w: %s (Java 17 and Maven, or E2E_KAFKA=host:port)", errNoTool, tool)
		}
	}
	libs := filepath.Join(repoRoot(), "build", "e2e", "kafka", "libs")
	cmd := exec.Command("mvn", "-q", "-B", "-f", filepath.Join(repoRoot(), "e2e", "parts", "kafka", "pom.xml"),
		"dependency:copy-dependencies", "-DoutputDirectory="+libs)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching Kafka: %w\n%s", err, out)
	}
	return libs, nil
})

var errNoTool = errors.New("missing")

// realKafka is a running broker.
type realKafka struct {
	t     *testing.T
	addr  string
	libs  string
	dir   string // empty for a broker that is not ours
	cmd   *exec.Cmd
	done  chan struct{}
	log   *output
	props string
}

// startKafka starts a broker, or uses that of E2E_KAFKA. It skips the test if
// Java or Maven are missing.
func startKafka(t *testing.T) *realKafka {
	t.Helper()
	libs, err := kafkaLibs()
	if errors.Is(err, errNoTool) {
		t.Skip(err)
	}
	require.NoError(t, err)
	if addr := os.Getenv("E2E_KAFKA"); addr != "" {
		return &realKafka{t: t, addr: addr, libs: libs}
	}
	k := &realKafka{t: t, libs: libs, dir: t.TempDir(), log: &output{}}
	port, controller := freePort(t), freePort(t)
	k.addr = fmt.Sprintf("127.0.0.1:%d", port)
	k.props = filepath.Join(k.dir, "server.properties")
	require.NoError(t, os.WriteFile(k.props, fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
num.partitions=3
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
`, port, controller, filepath.Join(k.dir, "data")), 0o600))
	id := strings.TrimSpace(k.java(time.Minute, "kafka.tools.StorageTool", "random-uuid"))
	k.java(time.Minute, "kafka.tools.StorageTool", "format", "-t", id, "-c", k.props)
	k.start()
	t.Cleanup(func() {
		k.kill()
		if t.Failed() {
			t.Logf("broker's output:\n%s", k.log)
		}
	})
	return k
}

// java runs a Kafka tool and returns what it prints.
func (k *realKafka) java(limit time.Duration, args ...string) string {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx256m", "-cp", k.libs + "/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(k.t, cmd.Run(), "%v: %s", args, &stderr)
	return stdout.String()
}

// start starts the broker on the data it has and waits until it answers.
func (k *realKafka) start() {
	k.t.Helper()
	k.cmd = exec.Command("java", "-Xmx512m", "-cp", k.libs+"/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "kafka.Kafka", k.props)
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	require.NoError(k.t, k.cmd.Start())
	done := make(chan struct{})
	k.done = done
	cmd := k.cmd
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	eventually(k.t, 2*time.Minute, "broker up", func() bool {
		select {
		case <-done:
			k.t.Fatalf("the broker ended:\n%s", k.log)
		default:
		}
		c, err := net.DialTimeout("tcp", k.addr, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func (k *realKafka) ours() bool { return k.dir != "" }

// kill ends the broker as a power failure would.
func (k *realKafka) kill() {
	_ = k.cmd.Process.Kill()
	<-k.done
}

// pause and resume stop the broker in mid-air: connections stay, nothing
// answers.
func (k *realKafka) pause()  { require.NoError(k.t, k.cmd.Process.Signal(syscall.SIGSTOP)) }
func (k *realKafka) resume() { require.NoError(k.t, k.cmd.Process.Signal(syscall.SIGCONT)) }

// createTopic makes a topic with the broker's own tool.
func (k *realKafka) createTopic(name string, partitions int, config ...string) {
	k.t.Helper()
	args := []string{"org.apache.kafka.tools.TopicCommand", "--bootstrap-server", k.addr, "--create", "--topic", name,
		"--partitions", fmt.Sprint(partitions), "--replication-factor", "1"}
	for _, c := range config {
		args = append(args, "--config", c)
	}
	k.java(time.Minute, args...)
}

// message is what the console consumer prints of one.
type message struct{ partition, key, value string }

// read returns everything in a topic, read by Kafka's console consumer, after
// another of Kafka's tools has said how much that is: on a busy machine the
// consumer may be silent for longer than any pause that means the end.
func (k *realKafka) read(topic string) (out []message) {
	k.t.Helper()
	total := 0
	for line := range strings.Lines(k.java(time.Minute, "org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server", k.addr, "--topic", topic)) {
		_, end, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), topic+":"), ":") // topic:partition:offset
		n, err := strconv.Atoi(end)
		require.NoError(k.t, err, "%s", line)
		total += n
	}
	if total == 0 {
		return nil
	}
	text := k.java(5*time.Minute, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", k.addr,
		"--topic", topic, "--from-beginning", "--max-messages", fmt.Sprint(total), "--timeout-ms", "120000",
		"--formatter-property", "print.key=true", "--formatter-property", "print.partition=true")
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		require.Len(k.t, parts, 3, "%s", line)
		out = append(out, message{parts[0], parts[1], parts[2]})
	}
	return out
}

// kafkaExporter starts the exporter alone, in this process.
func kafkaExporter(t *testing.T, addr, yaml string) exporter.Logs {
	t.Helper()
	factory := kafka.NewFactory()
	cfg := factory.CreateDefaultConfig()
	r, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := r.AsConf()
	require.NoError(t, err)
	require.NoError(t, conf.Merge(confmap.NewFromStringMap(map[string]any{
		"brokers": []any{addr}, "dead_letter": map[string]any{"path": filepath.Join(t.TempDir(), "dead.jsonl")},
	})))
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	exp, err := factory.CreateLogs(t.Context(), exportertest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, exp.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, exp.Shutdown(context.Background())) })
	return exp
}

// numbered returns n records with the uids from, from+1 and so on.
func numbered(from, n int) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "pmta")
	lrs := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := from; i < from+n; i++ {
		lr := lrs.AppendEmpty()
		lr.SetTimestamp(1_700_000_000_000_000_000)
		lr.SetEventName("pmta.delivery")
		lr.Attributes().PutStr("log.record.uid", fmt.Sprintf("%08d", i))
		lr.Attributes().PutStr("pmta.rcpt.domain", fmt.Sprintf("domain%d.example", i%37))
		lr.Attributes().PutStr("pmta.dsn.diag", `smtp;250 2.0.0 "Ok": queued as é`)
	}
	return ld
}

var topicNumber atomic.Int64

func freshTopic(t *testing.T) string {
	return fmt.Sprintf("e2e-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), topicNumber.Add(1))
}

func TestRealKafkaTakesEverything(t *testing.T) {
	k := startKafka(t)
	for _, encoding := range []string{"json", "otlp_json"} {
		for _, compression := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			t.Run(encoding+"/"+compression, func(t *testing.T) {
				topic := freshTopic(t) // made on demand
				exp := kafkaExporter(t, k.addr, fmt.Sprintf("{logs: {topic: %s, encoding: %s}, producer: {compression: %s}}", topic, encoding, compression))
				require.NoError(t, exp.ConsumeLogs(t.Context(), numbered(0, 500)))
				seen := map[string]string{} // uid -> partition
				for _, m := range k.read(topic) {
					if encoding == "json" {
						var doc map[string]any
						require.NoError(t, json.Unmarshal([]byte(m.value), &doc))
						seen[doc["log.record.uid"].(string)] = m.partition
						require.Equal(t, doc["pmta.rcpt.domain"], m.key)
						require.Contains(t, doc["pmta.dsn.diag"], `"Ok": queued as é`)
						continue
					}
					ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(m.value))
					require.NoError(t, err)
					for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
						v, _ := lr.Attributes().Get("log.record.uid")
						seen[v.Str()] = m.partition
					}
				}
				require.Len(t, seen, 500)
			})
		}
	}
	t.Run("too large for the broker", func(t *testing.T) {
		topic := freshTopic(t)
		k.createTopic(topic, 2, "max.message.bytes=20000")
		exp := kafkaExporter(t, k.addr, "{logs: {topic: "+topic+", encoding: json}}")
		ld := numbered(0, 1000)
		lrs := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		lrs.At(500).Attributes().PutStr("x", strings.Repeat("y", 30_000))
		require.NoError(t, exp.ConsumeLogs(t.Context(), ld))
		require.Len(t, k.read(topic), 999)
	})
	t.Run("time in the future", func(t *testing.T) {
		topic := freshTopic(t)
		k.createTopic(topic, 2, "message.timestamp.after.max.ms=1000")
		exp := kafkaExporter(t, k.addr, "{logs: {topic: "+topic+", encoding: json}, producer: {message_timestamp: event_time}}")
		ld := numbered(0, 100)
		for _, i := range []int{3, 50} {
			ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(i).SetTimestamp(4_000_000_000_000_000_000)
		}
		require.NoError(t, exp.ConsumeLogs(t.Context(), ld))
		require.Len(t, k.read(topic), 98)
	})
	t.Run("compacted topic without keys", func(t *testing.T) {
		topic := freshTopic(t)
		k.createTopic(topic, 1, "cleanup.policy=compact")
		exp := kafkaExporter(t, k.addr, "{logs: {topic: "+topic+", encoding: json}, message_key_from_attributes: [], retry_on_failure: {enabled: false}}")
		require.ErrorContains(t, exp.ConsumeLogs(t.Context(), numbered(0, 100)), topic)
	})
}

// The broker is killed, and stopped in mid-air, while records flow. None is
// lost; those that are there twice are counted and equal.
func TestRealKafkaOutage(t *testing.T) {
	k := startKafka(t)
	if !k.ours() {
		t.Skip("E2E_KAFKA: not ours to kill")
	}
	topic := freshTopic(t)
	k.createTopic(topic, 3)
	exp := kafkaExporter(t, k.addr, "{logs: {topic: "+topic+", encoding: json}, timeout: 3s, retry_on_failure: {initial_interval: 100ms, max_interval: 1s}, producer: {compression: zstd}}")

	const perBatch = 200
	var sent atomic.Int64 // batches accepted
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := int(next.Add(1) - 1)
				if err := exp.ConsumeLogs(context.Background(), numbered(n*perBatch, perBatch)); err != nil {
					t.Errorf("batch %d: %v", n, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	flows := func(what string) {
		from := sent.Load()
		eventually(t, 2*time.Minute, what, func() bool { return sent.Load() >= from+20 })
	}
	flows("records flow")
	k.kill()
	time.Sleep(2 * time.Second) // the length of the outage
	k.start()
	flows("records flow after SIGKILL")
	k.pause()
	time.Sleep(5 * time.Second) // longer than timeout
	k.resume()
	flows("records flow after SIGSTOP")
	close(stop)
	wg.Wait()

	total := int(sent.Load()) * perBatch
	count := map[string]int{}
	content := map[string]string{}
	for _, m := range k.read(topic) {
		var doc map[string]any
		require.NoError(t, json.Unmarshal([]byte(m.value), &doc))
		uid := doc["log.record.uid"].(string)
		if count[uid]++; count[uid] > 1 {
			require.Equal(t, content[uid], m.value, "equal uid, other content")
		}
		content[uid] = m.value
	}
	require.Len(t, count, total, "records lost")
	twice := 0
	for _, n := range count {
		twice += n - 1
	}
	t.Logf("%d records, %d arrived more than once", total, twice)
}

const kafkaAgentConfig = `
receivers:
  powermta:
    coverage: {enabled: false} # what the agent finds out itself is no record of a file
    include: ["${env:LOG_DIR}/**/*.csv"]
    storage: file_storage
    instance: e2e
    timezone: UTC
    quarantine: {path: "${env:WORK_DIR}/quarantine.jsonl"}
exporters:
  kafka:
    brokers: ["${env:KAFKA}"]
    logs: {topic: "${env:TOPIC}", encoding: json}
    producer: {compression: zstd}
    timeout: 3s
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s}
    dead_letter: {path: "${env:WORK_DIR}/dead-letter.jsonl"}
extensions:
  file_storage: {directory: "${env:WORK_DIR}/state", create_directory: true}
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [file_storage, health_check]
  pipelines:
    logs: {receivers: [powermta], exporters: [kafka]}
  telemetry: {metrics: {level: none}}
`

// A simulated day of mail goes through the real agent; both the broker and the
// agent are killed on the way. Every record is in the topic and equals what
// pmtalog parse makes of the same files.
func TestRealKafkaAgent(t *testing.T) {
	k := startKafka(t)
	topic := freshTopic(t)
	k.createTopic(topic, 3)
	logs, work := t.TempDir(), t.TempDir()
	simulate := func(seed, records int) {
		cmd := exec.Command(binary(t, "pmtalog"), "simulate", "--dir", filepath.Join(logs, fmt.Sprint(seed)),
			"--records", fmt.Sprint(records), "--seed", fmt.Sprint(seed))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	env := []string{"LOG_DIR=" + logs, "WORK_DIR=" + work, "KAFKA=" + k.addr, "TOPIC=" + topic}

	simulate(1, 15_000)
	a := startAgent(t, kafkaAgentConfig, env...)
	a.waitReady()
	if k.ours() {
		eventually(t, time.Minute, "the broker stores records", func() bool {
			segments, _ := filepath.Glob(filepath.Join(k.dir, "data", topic+"-*", "*.log"))
			for _, s := range segments {
				if st, err := os.Stat(s); err == nil && st.Size() > 0 {
					return true
				}
			}
			return false
		})
		k.kill()
	}
	simulate(2, 15_000)
	a.kill()
	a = startAgent(t, kafkaAgentConfig, env...)
	a.waitReady()
	simulate(3, 5_000)
	if k.ours() {
		k.start()
	}

	files, err := filepath.Glob(filepath.Join(logs, "*", "*.csv"))
	require.NoError(t, err)
	cmd := exec.Command(binary(t, "pmtalog"), append([]string{"parse", "--instance", "e2e", "--timezone", "UTC"}, files...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	want := map[string]map[string]any{}
	for line := range bytes.Lines(text) {
		var doc map[string]any
		require.NoError(t, json.Unmarshal(line, &doc))
		want[doc["log.record.uid"].(string)] = doc
	}
	require.NotEmpty(t, want)

	got := map[string]map[string]any{}
	twice := 0
	eventually(t, 5*time.Minute, "every record is in the topic", func() bool {
		clear(got)
		twice = 0
		for _, m := range k.read(topic) {
			var doc map[string]any
			require.NoError(t, json.Unmarshal([]byte(m.value), &doc))
			uid := doc["log.record.uid"].(string)
			delete(doc, "observed_timestamp") // when it was read, so another time after a crash
			if was, ok := got[uid]; ok {
				twice++
				require.Equal(t, was, doc, "equal uid, other content")
			}
			got[uid] = doc
		}
		return len(got) >= len(want)
	})
	a.stop()
	require.Len(t, got, len(want))
	fields := 0
	for uid, w := range want {
		g := got[uid]
		require.NotNil(t, g, "record %s is lost", uid)
		for name, value := range w {
			if !strings.HasPrefix(name, "pmta.") && !strings.HasPrefix(name, "smtp.") {
				continue
			}
			other, ok := g[name]
			if !ok { // members of one object, or a name of the schema: see docs/schema.md
				continue
			}
			require.Equal(t, value, other, "%s of %s", name, uid)
			fields++
		}
	}
	require.Greater(t, fields, 15*len(want), "records are compared field by field")
	require.NoFileExists(t, filepath.Join(work, "dead-letter.jsonl"))
	t.Logf("%d records, %d fields equal, %d arrived more than once", len(want), fields, twice)
}
