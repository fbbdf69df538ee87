package elasticsearch

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
)

func settings(testing.TB) exporter.Settings { return exportertest.NewNopSettings(NewFactory().Type()) }

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

func TestConfig(t *testing.T) {
	t.Setenv(urlVariable, "")
	cfg, err := load(t, `
endpoints: [https://es1:9200, "https://es2:9200/es/"]
user: pmta
password: secret
timeout: 30s
compression: none
headers: {X-Tenant: a}
tls: {insecure_skip_verify: true}
retry: {max_retries: 5, initial_interval: 1s, max_interval: 2s, retry_on_status: [429]}
retry_on_failure: {max_elapsed_time: 10m}
sending_queue: {num_consumers: 4, batch: {flush_timeout: 1s, min_size: 1000}}
flush: {bytes: 10MiB}
logs_dynamic_id: {enabled: true}
mapping: {mode: ecs}
data_stream: {dataset: pmta.bounce, namespace: acme}
dead_letter: {path: /tmp/d.jsonl, max_size: 1MiB, max_files: 2}
manage_templates: true
templates: {lifecycle: ilm, retention: 30d}
`)
	require.NoError(t, err)
	urls, err := cfg.urls()
	require.NoError(t, err)
	require.Equal(t, "https://es1:9200", urls[0].String())
	require.Equal(t, "https://es2:9200/es", urls[1].String())
	require.Equal(t, 4, cfg.SendingQueue.Get().NumConsumers)
	require.True(t, cfg.SendingQueue.Get().WaitForResult, "defaults stay where nothing is set")
	require.Equal(t, 10*time.Minute, cfg.RetryOnFailure.MaxElapsedTime)
	require.True(t, cfg.ClientConfig.TLS.InsecureSkipVerify)
	require.EqualValues(t, 10<<20, cfg.Flush.Bytes)
	require.Equal(t, []int{429}, cfg.Retry.RetryOnStatus)
}

func TestDefaults(t *testing.T) {
	cfg, err := load(t, `{endpoint: "http://localhost:9200"}`)
	require.NoError(t, err)
	require.True(t, cfg.SendingQueue.Get().WaitForResult)
	require.True(t, cfg.SendingQueue.Get().BlockOnOverflow)
	require.Zero(t, cfg.RetryOnFailure.MaxElapsedTime)
	require.Equal(t, "gzip", string(cfg.ClientConfig.Compression))
	require.EqualValues(t, 5_000_000, cfg.Flush.Bytes)
}

// Keys that contrib's exporter had before sending_queue.
func TestOlderKeys(t *testing.T) {
	cfg, err := load(t, `{endpoint: "http://localhost:9200", num_workers: 3, flush: {bytes: 1000000, interval: 7s}}`)
	require.NoError(t, err)
	require.Equal(t, 3, cfg.SendingQueue.Get().NumConsumers)
	require.Equal(t, 7*time.Second, cfg.SendingQueue.Get().Batch.Get().FlushTimeout)
	require.EqualValues(t, 1_000_000, cfg.Flush.Bytes)
	_, err = load(t, `{endpoint: "http://localhost:9200", num_workers: 3, sending_queue: {num_consumers: 4}}`)
	require.ErrorContains(t, err, "num_workers: is another name of sending_queue::num_consumers; set only the latter")
}

// Keys of contrib's exporter that have no effect there, or another name here.
func TestOtherKeys(t *testing.T) {
	t.Setenv(urlVariable, "")
	id := "name:" + base64.StdEncoding.EncodeToString([]byte("eu.example.com$es1$kb1"))
	cfg, err := load(t, "{cloud_id: '"+id+"', logs_dynamic_index: {enabled: true}}")
	require.NoError(t, err)
	require.Equal(t, id, cfg.CloudID)
	_, err = load(t, "{cloud_id: '"+id+"', cloudid: '"+id+"'}")
	require.ErrorContains(t, err, "cloud_id: is another name of cloudid; set only the latter")
	cfg, err = load(t, "{endpoint: 'http://a:9200', sending_queue: {storage: file_storage}}")
	require.NoError(t, err)
	require.False(t, cfg.SendingQueue.Get().WaitForResult)
}

func TestAddressFromEnvironment(t *testing.T) {
	t.Setenv(urlVariable, "http://a:9200, http://b:9200")
	cfg, err := load(t, `{}`)
	require.NoError(t, err)
	urls, err := cfg.urls()
	require.NoError(t, err)
	require.Len(t, urls, 2)
	require.Equal(t, "b:9200", urls[1].Host)
}

func TestCloudID(t *testing.T) {
	for text, want := range map[string]string{
		"eu.example.com$es1$kb1":           "https://es1.eu.example.com:443",
		"eu.example.com:9243$es1$kb1":      "https://es1.eu.example.com:9243",
		"eu.example.com:9243$es1:9244$kb1": "https://es1.eu.example.com:9244",
		"eu.example.com$es1":               "https://es1.eu.example.com:443",
	} {
		u, err := parseCloudID("name:" + base64.StdEncoding.EncodeToString([]byte(text)))
		require.NoError(t, err)
		require.Equal(t, want, u.String())
	}
	for _, bad := range []string{"x", "name:###", "name:" + base64.StdEncoding.EncodeToString([]byte("host")), "name:" + base64.StdEncoding.EncodeToString([]byte("$es"))} {
		_, err := parseCloudID(bad)
		require.ErrorIs(t, err, errCloudID)
	}
}

// Each mistake is refused with its key and the way out.
func TestInvalidConfigs(t *testing.T) {
	t.Setenv(urlVariable, "")
	for text, want := range map[string]string{
		"{}": "endpoint, endpoints, cloudid: set exactly one of them, or the environment variable ELASTICSEARCH_URL",
		"{endpoint: 'http://a:9200', endpoints: ['http://b:9200']}": "set exactly one of them",
		"{endpoint: 'a:9200'}":                                                      "endpoint: is no URL of a node; write for example https://es1.example.com:9200",
		"{endpoints: ['http://a:9200', 'b']}":                                       "endpoints[1]: is no URL of a node",
		"{endpoint: 'http://u:p@a:9200'}":                                           "endpoint: holds a password; use user and password instead",
		"{cloudid: nonsense}":                                                       "cloudid: is not one; copy it from",
		"{endpoint: 'http://a', user: x}":                                           "password: is missing",
		"{endpoint: 'http://a', password: x}":                                       "user: is missing",
		"{endpoint: 'http://a', api_key: x, bearer_token: y}":                       "set only one way to log in",
		"{endpoint: 'http://a', compression: zstd}":                                 `compression: "zstd" is nothing Elasticsearch reads; use gzip or none`,
		"{endpoint: 'http://a', timeout: -1s}":                                      "timeout: -1s is negative",
		"{endpoint: 'http://a', retry: {max_retries: -1}}":                          "retry::max_retries: -1 is negative; use 0 or more",
		"{endpoint: 'http://a', retry: {initial_interval: 1h}}":                     "retry: initial_interval must be above 0 and not above max_interval",
		"{endpoint: 'http://a', retry: {retry_on_status: [200]}}":                   "retry::retry_on_status[0]: 200 is no status of an error",
		"{endpoint: 'http://a', flush: {bytes: 1}}":                                 "flush::bytes: 1 is out of range; use 16KiB to 90MiB",
		"{endpoint: 'http://a', logs_index: Mail}":                                  `logs_index: "Mail" is no name of an index`,
		"{endpoint: 'http://a', data_stream: {dataset: a-b}}":                       `data_stream::dataset: "a-b" is no part of a data stream's name`,
		"{endpoint: 'http://a', data_stream: {namespace: ''}}":                      `data_stream::namespace: "" is no part`,
		"{endpoint: 'http://a', mapping: {mode: none}}":                             `mapping::mode: "none" is not known; use otel, ecs, raw`,
		"{endpoint: 'http://a', dead_letter: {path: ''}}":                           "dead_letter::path: must not be empty",
		"{endpoint: 'http://a', dead_letter: {max_size: 5}}":                        "dead_letter::max_size: 5 is too small; use 1KiB or more",
		"{endpoint: 'http://a', dead_letter: {max_files: 0}}":                       "dead_letter::max_files: 0 is too few",
		"{endpoint: 'http://a', templates: {lifecycle: x}}":                         `templates::lifecycle: "x" is not known; use data_stream, ilm, none`,
		"{endpoint: 'http://a', templates: {retention: soon}}":                      `templates::retention: "soon" is no time; use for example 30d`,
		"{endpoint: 'http://a', templates: {retention: ''}}":                        "templates::retention",
		"{endpoint: 'http://a', templates: {retention: 0d}}":                        "templates::retention",
		"{endpoint: 'http://a', manage_templates: true, logs_index: x}":             "manage_templates: is for data streams",
		"{endpoint: 'http://a', manage_templates: true, data_stream: {dataset: x}}": `which data_stream::dataset "x" does not match`,
		"{endpoint: 'http://a', retry_on_failure: {initial_interval: -1s}}":         "'initial_interval' must be non-negative",
		"{endpoint: 'http://a', apikey: x}":                                         "apikey",
		"{endpoint: 'http://a', discover: {on_start: true}}":                        "discover: is not supported; list the nodes in endpoints",
		"{endpoint: 'http://a', batcher: {enabled: false}}":                         "batcher: is not there any more; use sending_queue::batch",
		"{endpoint: 'http://a', retry: {max_requests: 3}}":                          "retry::max_requests: is not there any more; use retry::max_retries",
		"{endpoint: 'http://a', traces_index: x}":                                   "traces_index: this exporter takes logs only; remove it",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := load(t, text)
			require.Error(t, err)
			require.Contains(t, err.Error(), want)
			require.NotContains(t, err.Error(), "u:p@")
		})
	}
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"pmta.acct": "pmta.acct", "PMTA": "pmta", "a-b c/d": "a_b_c_d", "a\x00b": "a_b", "\xff": "_",
		strings.Repeat("x", 200):      strings.Repeat("x", 100),
		strings.Repeat("x", 99) + "é": strings.Repeat("x", 99),
	} {
		require.Equal(t, want, sanitize(in), "%q", in)
	}
}

func FuzzSanitizeMakesIndexNames(f *testing.F) {
	f.Add("pmta.acct", "default")
	f.Add("A B-\xff", "#")
	f.Add("", "acme")
	f.Fuzz(func(t *testing.T, dataset, namespace string) {
		r := newRouter(createDefaultConfig().(*Config))
		s := r.stream(names{dataset, namespace})
		if dataset == "" {
			for _, s := range s.of {
				require.True(t, validIndex(s.index), "%q", s.index)
			}
			return
		}
		require.True(t, validIndex(s.index), "%q", s.index)
	})
}
