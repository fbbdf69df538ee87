package kafka

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/kafkaout"
)

var update = flag.Bool("update", false, "write golden files anew")

func load(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	r, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := r.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestDefaultsAreValid(t *testing.T) {
	cfg, err := load(t, "")
	require.NoError(t, err)
	require.Equal(t, createDefaultConfig(), cfg)
	queue := cfg.queue()
	q := queue.Get()
	require.True(t, q.WaitForResult, "accepted has to mean delivered")
	require.True(t, q.BlockOnOverflow, "full has to mean wait, not drop")
	require.False(t, q.Batch.HasValue())
	require.Zero(t, cfg.RetryOnFailure.MaxElapsedTime, "never give up")
	require.EqualValues(t, -1, cfg.Producer.RequiredAcks)
}

// The keys are those of contrib's exporter.
func TestEveryKey(t *testing.T) {
	cfg, err := load(t, `
brokers: [kafka1:9092, "[::1]:9093"]
client_id: mta
tls: {ca_file: ca.pem, server_name_override: kafka}
auth: {sasl: {mechanism: SCRAM-SHA-512, username: pmta, password: hunter2}}
dial_timeout: 1s
conn_idle_timeout: 2m
metadata: {refresh_interval: 1m}
timeout: 7s
sending_queue: {queue_size: 5, num_consumers: 2}
retry_on_failure: {max_interval: 20s}
logs: {topic: mail, encoding: json, schema: ecs}
topic_from_attribute: topic
message_key_from_attributes: [pmta.vmta]
headers_from_resource_attributes: [service.name]
record_headers: {env: prod}
record_partitioner: {sticky_key: {hasher: sarama_compat}}
producer:
  max_message_bytes: 2MB
  batch_bytes: 100000
  required_acks: 1
  compression: zstd
  compression_params: {level: 3}
  allow_auto_topic_creation: false
  linger: 20ms
  flush_max_messages: 500
  message_timestamp: event_time
dead_letter: {path: /tmp/x.jsonl, max_size: 1MiB, max_files: 2}
`)
	require.NoError(t, err)
	require.EqualValues(t, 2_000_000, cfg.Producer.MaxMessageBytes)
	require.EqualValues(t, 1, cfg.Producer.RequiredAcks)
	require.Equal(t, kafkaout.SaramaFNV, cfg.partitioner())
	require.Equal(t, []string{"pmta.vmta"}, cfg.keys())
	queue := cfg.queue()
	b := queue.Get().Batch.Get()
	require.Equal(t, 20*time.Millisecond, b.FlushTimeout)
	require.EqualValues(t, 500, b.MinSize)
	require.EqualValues(t, 500, b.MaxSize)
	require.False(t, cfg.SendingQueue.Get().Batch.HasValue(), "the user's settings stay as they are")
}

func TestSpellings(t *testing.T) {
	for yaml, want := range map[string]int{"all": -1, "-1": -1, `"all"`: -1, "0": 0, "1": 1} {
		cfg, err := load(t, "producer: {required_acks: "+yaml+"}")
		require.NoError(t, err, yaml)
		require.EqualValues(t, want, cfg.Producer.RequiredAcks)
	}
	for yaml, want := range map[string]kafkaout.Partitioner{
		"{}": kafkaout.Murmur2, "{round_robin: {}}": kafkaout.RoundRobin, "{round_robin: }": kafkaout.RoundRobin,
		"{least_backup: {}}": kafkaout.LeastBytes, "{sticky_key: {}}": kafkaout.Murmur2,
		"{sticky_key: {hasher: murmur2}}": kafkaout.Murmur2,
	} {
		cfg, err := load(t, "record_partitioner: "+yaml)
		require.NoError(t, err, yaml)
		require.Equal(t, want, cfg.partitioner(), yaml)
	}
	cfg, err := load(t, `brokers: "a:9092, b:9092"`)
	require.NoError(t, err)
	require.Equal(t, []string{"a:9092", "b:9092"}, cfg.Brokers)
	cfg, err = load(t, "sending_queue: {storage: file_storage}")
	require.NoError(t, err)
	require.False(t, cfg.SendingQueue.Get().WaitForResult)
	cfg, err = load(t, "{logs: {encoding: json}, message_key_from_attributes: []}")
	require.NoError(t, err)
	require.Empty(t, cfg.keys(), "an empty list means no key")
	cfg, err = load(t, "logs: {encoding: json}")
	require.NoError(t, err)
	require.Equal(t, []string{"pmta.rcpt.domain"}, cfg.keys())
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg, err := load(t, `{auth: {sasl: {mechanism: PLAIN, username: u, password: hunter2}}, record_headers: {token: hunter2}}`)
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	require.NotContains(t, strings.Join(conf.AllKeys(), " "), "hunter2")
	for _, k := range conf.AllKeys() {
		require.NotContains(t, fmt.Sprint(conf.Get(k)), "hunter2", k)
	}
}

// Each file in testdata/invalid is a configuration with what is said about it.
func TestInvalidConfigs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "invalid", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			in, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = load(t, string(in))
			require.Error(t, err)
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o600))
			}
			want, err2 := os.ReadFile(golden)
			require.NoError(t, err2)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

func TestConfmapTestFile(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for name := range conf.ToStringMap() {
		sub, err := conf.Sub(name)
		require.NoError(t, err)
		cfg := createDefaultConfig()
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg), name)
	}
}
