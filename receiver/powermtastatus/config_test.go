package powermtastatus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	raw, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := raw.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

const key = "0123456789abcdef0123456789abcdef"

func TestConfig(t *testing.T) {
	cfg, err := load(t, `
endpoint: https://mta1.example:8080
tls: {ca_file: /etc/otelcol-pmta/webmon.pem}
timeout: 3s
collection_interval: 1m
initial_delay: 2s
api_key: `+key+`
timezone: Europe/Berlin
instance: mta1
resource: {host.name: mta1}
storage: file_storage/positions
top_n: {queues: 50, jobs: 0}
max_items: 1000
max_response_size: 4MiB
details: {max_queues: 0}
metrics: {pmta.throughput.peak: {enabled: true}, pmta.job.size: {enabled: false}}
`)
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, cfg.ClientConfig.Timeout)
	require.Equal(t, TopConfig{Queues: 50, Domains: 20, VMTAs: 20}, cfg.TopN)
	require.Equal(t, ByteSize(4<<20), cfg.MaxResponseSize)
	require.True(t, cfg.MetricsBuilderConfig.Metrics.PmtaThroughputPeak.Enabled)
	require.False(t, cfg.MetricsBuilderConfig.Metrics.PmtaJobSize.Enabled)
	require.Equal(t, "file_storage/positions", cfg.Storage.String())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", cfg, cfg, *cfg), key, "the key is not shown")

	cfg, err = load(t, "{}")
	require.NoError(t, err)
	require.Equal(t, "http://localhost:8080", cfg.ClientConfig.Endpoint)
	require.Equal(t, 30*time.Second, cfg.CollectionInterval)
	require.Equal(t, 10, cfg.Details.MaxQueues)
}

// Each mistake is refused with its key and the way out.
func TestInvalidConfigs(t *testing.T) {
	for text, want := range map[string]string{
		"endpoint: ''":                     "endpoint: is empty; give the address of the web monitor, for example http://localhost:8080",
		"endpoint: localhost:8080":         "endpoint: is no URL; use for example http://localhost:8080",
		"endpoint: http://u:geheim@h:8080": "endpoint: must not hold a user or password",
		"api_key: short":                   "api_key: has to be 32 to 128 characters long",
		"{endpoint: 'http://mta1.example:8080', api_key: " + key + "}": "api_key: would cross the network unencrypted; set endpoint to https://",
		"timeout: 0s":                              "timeout: 0s is out of range; use more than 0 up to 10m",
		"collection_interval: 10ms":                "collection_interval: 10ms is out of range; use 1s to 24h",
		"initial_delay: -1s":                       "initial_delay: -1s is negative; use 0 or more",
		"timezone: Nowhere":                        `timezone: "Nowhere" is not known; use an IANA name such as Europe/Berlin`,
		"top_n: {queues: -1}":                      "top_n::queues: -1 is out of range; use 0 to 1000",
		"top_n: {domains: 1001}":                   "top_n::domains: 1001 is out of range; use 0 to 1000",
		"top_n: {vmtas: 1001}":                     "top_n::vmtas: 1001 is out of range",
		"top_n: {jobs: 1001}":                      "top_n::jobs: 1001 is out of range",
		"max_items: 5":                             "max_items: 5 is out of range; use 10 to 10000",
		"{top_n: {jobs: 900}}":                     "max_items: 500 rows cannot name a top_n of 900; raise it to 900 or more",
		"details: {max_queues: 1000}":              "details::max_queues: 1000 is out of range; use 0 to 200",
		"quarantine: {path: ''}":                   "quarantine::path: must not be empty",
		"max_response_size: 1KiB":                  "max_response_size: 1KiB is out of range; use 64KiB to 256MiB",
		"max_response_size: big":                   "512KiB",
		"top_n: 5":                                 "top_n",
		"interval: 5s":                             "interval",
		"metrics: {pmta.nothing: {enabled: true}}": "pmta.nothing",
	} {
		_, err := load(t, text)
		require.Error(t, err, text)
		require.Contains(t, strings.ReplaceAll(err.Error(), `\"`, `"`), want, text)
		require.NotContains(t, err.Error(), "geheim")
		require.NotContains(t, err.Error(), key)
	}
	_, err := load(t, "{timezone: Nowhere, max_items: 5, details: {max_queues: -1}}")
	for _, k := range []string{"timezone", "max_items", "details::max_queues"} {
		require.ErrorContains(t, err, k+":", "all at once")
	}
	_, err = load(t, "{endpoint: 'http://127.0.0.1:8080', api_key: "+key+"}")
	require.NoError(t, err, "it does not leave this host")
}
