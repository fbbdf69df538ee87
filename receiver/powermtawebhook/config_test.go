package powermtawebhook

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"

	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
)

// load reads a configuration as the agent does, with ${env:} and ${file:}.
func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{URIs: []string{"yaml:" + text}, ProviderFactories: []confmap.ProviderFactory{
		yamlprovider.NewFactory(), envprovider.NewFactory(), fileprovider.NewFactory()}})
	require.NoError(t, err)
	conf, err := resolver.Resolve(context.Background())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	t.Setenv("WEBHOOK_TOKEN", "0123456789") // no number
	cfg, err := load(t, `
endpoint: 0.0.0.0:9000
path: /pmta
tls: {cert_file: a.crt, key_file: a.key, client_ca_file: ca.pem}
secret: {bearer_token: "${env:WEBHOOK_TOKEN}"}
max_body_size: 32MiB
max_concurrent_requests: 2
accept_timeout: 4s
retry_after: 1m
timezone: Europe/Berlin
instance: mta1
resource: {team: lists}
stream: bounce
quarantine: {path: /tmp/q.jsonl}
read_timeout: 5s
`)
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:9000", cfg.HTTP.NetAddr.Endpoint)
	require.Equal(t, "ca.pem", cfg.HTTP.TLS.Get().ClientCAFile)
	require.Equal(t, "0123456789", string(cfg.Secret.Get().BearerToken))
	require.Equal(t, bytesize.Size(32<<20), cfg.MaxBodySize)
	require.Equal(t, 5*time.Second, cfg.HTTP.ReadTimeout)
	require.Equal(t, 10*time.Second, cfg.HTTP.ReadHeaderTimeout, "defaults stay where nothing is set")
	require.Equal(t, 4, cfg.Quarantine.MaxFiles)
	require.NotContains(t, fmt.Sprintf("%v %+v", cfg.Secret.Get(), cfg.Secret.Get()), "0123456789")

	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
	cfg, err = load(t, `secret: {header: {name: X-Pmta-Secret, value: "${file:`+file+`}"}}`)
	require.NoError(t, err)
	s := cfg.secret()
	require.True(t, s.Known(http.Header{"X-Pmta-Secret": {"s3cret"}}), "the line end of the file is not part of it")
	require.Equal(t, "localhost:8089", cfg.HTTP.NetAddr.Endpoint)
	require.Equal(t, "/", cfg.Path)
}

// Each mistake is refused with its key and the way out.
func TestInvalidConfigs(t *testing.T) {
	for text, want := range map[string]string{
		`endpoint: ""`: "endpoint: is empty",
		`path: pmta`:   `path: "pmta" is no path; use for example /pmta`,
		`path: /a?b`:   `path: "/a?b" is no path`,
		`secret: {bearer_token: "${env:WEBHOOK_NOT_SET}"}`: "secret::bearer_token: is empty; set it",
		`secret: {}`: "secret::bearer_token: is empty",
		`secret: {bearer_token: a, header: {name: b, value: c}}`: "secret: has both bearer_token and header; keep one",
		`secret: {bearer_token: "a\nb"}`:                         "secret::bearer_token: has a character that no header can carry",
		`secret: {bearer_token: "\n"}`:                           "secret::bearer_token: is empty",
		`secret: {header: {value: b}}`:                           `secret::header::name: "" cannot be used`,
		`secret: {header: {name: "a b", value: b}}`:              `secret::header::name: "a b" cannot be used`,
		`secret: {header: {name: host, value: b}}`:               `secret::header::name: "host" cannot be used`,
		`secret: {header: {name: a, value: ""}}`:                 "secret::header::value: is empty; set it",
		`secret: {header: {name: a, value: "b\0"}}`:              "secret::header::value: has a character",
		`secret: {token: a}`:                                     "token",
		`tls: {cert_file: a}`:                                    "tls",
		`max_request_body_size: 5`:                               "max_request_body_size: is not used here; set max_body_size",
		`compression_algorithms: [zstd]`:                         "compression_algorithms: cannot be set",
		`max_body_size: 1KiB`:                                    "max_body_size: 1KiB is out of range; use 64KiB to 256MiB",
		`max_concurrent_requests: 0`:                             "max_concurrent_requests: 0 is out of range; use 1 to 1024",
		`max_connections: 0`:                                     "max_connections: 0 is out of range",
		`max_in_flight: 0`:                                       "max_in_flight: 0 is out of range",
		`read_timeout: 0`:                                        "read_timeout: 0s is out of range",
		`read_header_timeout: 0`:                                 "read_header_timeout: 0s is out of range",
		`write_timeout: 0`:                                       "write_timeout: 0s is out of range",
		`idle_timeout: -1s`:                                      "idle_timeout: -1s is out of range",
		`accept_timeout: 0`:                                      "accept_timeout: 0s is out of range",
		`retry_after: 10ms`:                                      "retry_after: 10ms is out of range; use 1s to 24h0m0s",
		`batch_size: 1`:                                          "batch_size: 1 is out of range",
		`max_record_size: 1`:                                     "max_record_size: 1 is out of range",
		`timezone: Nowhere`:                                      `timezone: "Nowhere" is not known; use an IANA name`,
		`stream: diag`:                                           `stream: "diag" is not known; use "auto", "acct" or "bounce"`,
		`quarantine: {path: ""}`:                                 "quarantine::path: must not be empty",
		`include: [a]`:                                           "include",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := load(t, text)
			require.Error(t, err)
			require.Contains(t, err.Error(), want)
		})
	}
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	_, err := load(t, `{path: x, stream: y, quarantine: {path: ''}, max_in_flight: 0}`)
	require.Error(t, err)
	for _, key := range []string{"path:", "stream:", "quarantine::path", "max_in_flight"} {
		require.Contains(t, err.Error(), key)
	}
}
