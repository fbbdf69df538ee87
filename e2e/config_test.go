package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every configuration that the repository ships is one that the agent takes.
func TestShippedConfigurationsAreValid(t *testing.T) {
	var files []string
	for _, pattern := range []string{"config/*.yaml", "bench/agent*.yaml"} {
		found, err := filepath.Glob(filepath.Join(repoRoot(), pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.Contains(t, files, filepath.Join(repoRoot(), "config", "quickstart.yaml"))
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if filepath.Base(file) == "webhook.yaml" {
				_, stderr, code := run(t, "otelcol-pmta", "validate", "--config", file)
				assert.NotZero(t, code, "it is open to anyone when the secret is not set")
				assert.Contains(t, stderr, "secret::bearer_token: is empty; set it")
				t.Setenv("WEBHOOK_TOKEN", "s3cret")
			}
			_, stderr, code := run(t, "otelcol-pmta", "validate", "--config", file)
			assert.Zero(t, code, stderr)
		})
	}
}

// The API key of the web monitor is not shown by what prints configurations.
func TestStatusKeyIsNotShown(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	config := "yaml:receivers:\n  powermta_status:\n    endpoint: http://mta1.example:8080\n    api_key: " + key +
		"\nexporters: {nop: }\nservice: {pipelines: {metrics: {receivers: [powermta_status], exporters: [nop]}}}"
	stdout, stderr, code := run(t, "otelcol-pmta", "validate", "--config", config)
	require.NotZero(t, code)
	require.Contains(t, stderr, "api_key: would cross the network unencrypted")
	require.NotContains(t, stdout+stderr, key)
}

// A mistake is refused at start, with the key and the way out.
func TestMistakesAreRefusedWithTheFix(t *testing.T) {
	for name, tc := range map[string]struct{ receiver, want string }{
		"no include":     {"storage: file_storage", "include: no pattern given"},
		"unknown key":    {"include: [a.csv]\n    polling: 1s", "polling"},
		"bad glob":       {"include: ['a[.csv']", "include[0]"},
		"bad start_at":   {"include: [a.csv]\n    start_at: middle", `use "beginning" or "end"`},
		"bad timezone":   {"include: [a.csv]\n    timezone: Mars/Base", "IANA"},
		"bad size":       {"include: [a.csv]\n    max_record_size: big", "512KiB"},
		"several at one": {"include: [a.csv]\n    max_open_files: 0\n    poll_interval: 1ms", "poll_interval"},
		"no quarantine":  {"include: [a.csv]\n    quarantine: {path: ''}", "quarantine::path"},
	} {
		t.Run(name, func(t *testing.T) {
			config := "yaml:receivers:\n  powermta:\n    " + tc.receiver + "\nexporters: {nop: }\nservice: {pipelines: {logs: {receivers: [powermta], exporters: [nop]}}}"
			_, stderr, code := run(t, "otelcol-pmta", "validate", "--config", config)
			require.NotZero(t, code)
			require.Contains(t, strings.ReplaceAll(stderr, `\"`, `"`), tc.want)
		})
	}
}
