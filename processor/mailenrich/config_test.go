package mailenrich

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestConfig(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte("00ff\n"), 0o600))
	cfg := mustLoad(t, `
storage: file_storage/state
dimensions: {file: testdata/dimensions.csv, reload_interval: 1m, prefix: my.}
ledger: {max_entries: 1000}
repair: {directory: /var/lib/otelcol-pmta/attribution, max_entries: 5000, max_age: 24h}
privacy: {mode: hmac-sha256, key_file: `+keyFile+`, key_encoding: hex, key_id: k1, hex: lower, headers: [From], attributes: [user.name], original: redact}
`)
	require.Equal(t, "file_storage/state", cfg.Storage.String())
	require.True(t, cfg.Ledger.Enabled, "defaults stay where nothing is set")
	require.Equal(t, 24*time.Hour, cfg.Repair.MaxAge)
	p, err := cfg.Privacy.policy()
	require.NoError(t, err)
	require.Equal(t, "k1", p.KeyID())
	require.Equal(t, "keep", mustLoad(t, "{}").Privacy.Mode, "off by default")
}

// Each mistake is refused with its key and the way out.
func TestInvalidConfigs(t *testing.T) {
	dir := t.TempDir()
	broken, large := filepath.Join(dir, "broken.csv"), filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(broken, []byte("vmta,stream\nv1\n"), 0o600))
	require.NoError(t, os.WriteFile(large, make([]byte, maxKeyFile+1), 0o600))
	for text, want := range map[string]string{
		"dimensions: {file: /nowhere.csv}":                            "dimensions::file: open /nowhere.csv",
		"dimensions: {file: " + broken + "}":                          broken + ": line 2: 1 fields, the header has 2",
		"dimensions: {reload_interval: 1ms}":                          "dimensions::reload_interval: 1ms is too short",
		"dimensions: {prefix: ''}":                                    "dimensions::prefix: is empty",
		"ledger: {max_entries: 0}":                                    "ledger::max_entries: 0 is out of range",
		"repair: {max_entries: 5}":                                    "repair::max_entries: 5 is out of range",
		"repair: {max_age: 1s}":                                       "repair::max_age: 1s is too short",
		"privacy: {mode: sha1}":                                       `privacy::mode: "sha1" is not known; use keep, redact, siphash or hmac-sha256`,
		"privacy: {mode: siphash}":                                    "privacy::key_file: mode siphash needs a key; name a file, or set key: ${env:NAME}",
		"privacy: {mode: siphash, key: a, key_file: b}":               "privacy::key_file: set key or key_file, not both",
		"privacy: {mode: siphash, key: seventeen-bytes-xx}":           "privacy::key: the key is longer than 16 bytes",
		"privacy: {mode: hmac-sha256, key: zz, key_encoding: hex}":    "privacy::key: the key is not written in pairs of hexadecimal digits",
		"privacy: {mode: hmac-sha256, key: zz, key_encoding: base64}": `privacy::key_encoding: "base64" is not known; use text or hex`,
		"privacy: {mode: hmac-sha256, key_file: /nowhere}":            "privacy::key_file: stat /nowhere",
		"privacy: {mode: hmac-sha256, key_file: " + large + "}":       "is larger than 4096 bytes",
		"privacy: {mode: hmac-sha256, key_file: /dev/null}":           "privacy::key_file: no key is given",
		"privacy: {hex: mixed}":                                       `privacy::hex: "mixed" is not known`,
		"privacy: {original: keep}":                                   `privacy::original: "keep" is not known`,
		"privacy: {redaction: a@b}":                                   "privacy::redaction: must not hold @",
		"privacy: {headers: ['']}":                                    "privacy::headers[0]: is empty",
		"privacy: {secret: x}":                                        "secret",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := load(t, text)
			require.Error(t, err)
			require.Contains(t, err.Error(), want)
		})
	}
}

// The key is not in what the agent prints of its configuration, nor in what it
// says about a bad one.
func TestKeyIsNeverShown(t *testing.T) {
	const secret = "hunter2-hunter2-hunter2"
	cfg := mustLoad(t, "privacy: {mode: hmac-sha256, key: "+secret+"}")
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	for _, s := range []string{
		fmt.Sprint(cfg), fmt.Sprintf("%v", *cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg.Privacy),
		fmt.Sprint(conf.ToStringMap()), toJSON(t, cfg),
	} {
		require.NotContains(t, s, secret)
	}
	for _, text := range []string{
		"privacy: {mode: siphash, key: " + secret + "}",
		"privacy: {mode: hmac-sha256, key_encoding: hex, key: " + secret + "}",
		"privacy: {mode: hmac-sha256, key_encoding: x, key: " + secret + "}",
		"privacy: {mode: x, key: " + secret + "}",
		"privacy: {mode: hmac-sha256, key_file: /nowhere, key: " + secret + "}",
	} {
		_, err := load(t, text)
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret)
	}
}
