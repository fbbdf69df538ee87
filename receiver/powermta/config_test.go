package powermta

import (
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

func TestConfig(t *testing.T) {
	cfg, err := load(t, `
include: [/var/log/pmta/acct-*.csv, "/var/log/pmta/**/*.csv.gz"]
exclude: ["*-diag-*"]
start_at: end
storage: file_storage/positions
poll_interval: 1s
timezone: Europe/Berlin
max_record_size: 2 MiB
read_size: 65536
instance: mta1
streams: [{match: "bounce-*.csv", resource: {team: lists}}]
quarantine: {path: /tmp/q.jsonl, max_size: 1GB, max_files: 1}
deduplicate_streams: {enabled: true}
retry: {initial_interval: 1s, max_interval: 1m}
`)
	require.NoError(t, err)
	require.Equal(t, "file_storage/positions", cfg.Storage.String())
	require.Equal(t, ByteSize(2<<20), cfg.MaxRecordSize)
	require.Equal(t, ByteSize(65536), cfg.ReadSize)
	require.Equal(t, ByteSize(1e9), cfg.Quarantine.MaxSize)
	require.Equal(t, time.Second, cfg.PollInterval)
	require.True(t, cfg.Notify, "defaults stay where nothing is set")
	require.Equal(t, 200_000, cfg.DeduplicateStreams.MaxEntries)
}

// Each mistake is refused with its key and the way out.
func TestInvalidConfigs(t *testing.T) {
	for text, want := range map[string]string{
		"{}":                                                                   "include: no pattern given; name the accounting files",
		"include: ['']":                                                        "include[0]: is empty; remove it",
		"include: ['a{b']":                                                     `include[0]: "a{b" is no glob pattern`,
		"{include: [a], exclude: ['[']}":                                       `exclude[0]: "[" is no glob pattern`,
		"{include: [a], start_at: now}":                                        `start_at: "now" is not known; use "beginning" or "end"`,
		"{include: [a], poll_interval: 1ms}":                                   "poll_interval: 1ms is out of range; use 10ms to 1h",
		"{include: [a], timezone: Nowhere}":                                    `timezone: "Nowhere" is not known; use an IANA name`,
		"{include: [a], max_record_size: 1}":                                   "max_record_size: 1 is out of range; use 1KiB to 256MiB",
		"{include: [a], max_record_size: 1XB}":                                 `"1XB" is no size; write for example 512KiB`,
		"{include: [a], max_record_size: -5k}":                                 `"-5k" is no size`,
		"{include: [a], read_size: 1GiB}":                                      "read_size: 1GiB is out of range; use 4KiB to 64MiB",
		"{include: [a], max_open_files: 1}":                                    "max_open_files: 1 is too few; use 2 or more",
		"{include: [a], max_in_flight: 0}":                                     "max_in_flight: 0 is out of range; use 1 to 1024",
		"{include: [a], streams: [{match: x}]}":                                "streams[0]: changes nothing; set resource or stream",
		"{include: [a], streams: [{match: x, stream: diag}]}":                  `streams[0]::stream: "diag" is not known`,
		"{include: [a], streams: [{resource: {a: b}}]}":                        `streams[0]::match: "" is no glob pattern`,
		"{include: [a], quarantine: {path: ''}}":                               "quarantine::path: must not be empty",
		"{include: [a], quarantine: {max_size: 5}}":                            "quarantine::max_size: 5 is too small; use 1KiB or more",
		"{include: [a], quarantine: {max_files: 0}}":                           "quarantine::max_files: 0 is too few; use 1 or more",
		"{include: [a], deduplicate_streams: {enabled: true, max_entries: 0}}": "deduplicate_streams::max_entries: 0 is too few",
		"{include: [a], retry: {initial_interval: 1h}}":                        "retry: initial_interval must be above 0 and not above max_interval",
		"{include: [a], includes: [b]}":                                        "includes",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := load(t, text)
			require.Error(t, err)
			require.Contains(t, err.Error(), want)
		})
	}
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	_, err := load(t, "{include: [a], start_at: x, max_open_files: 0, quarantine: {path: ''}}")
	require.Error(t, err)
	for _, key := range []string{"start_at", "max_open_files", "quarantine::path"} {
		require.Contains(t, err.Error(), key)
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]ByteSize{"0": 0, "17": 17, "1b": 1, "1k": 1024, "3KiB": 3072, "1 MiB": 1 << 20, "2GB": 2e9, "1g": 1 << 30} {
		var b ByteSize
		require.NoError(t, b.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, b, text)
	}
	for _, text := range []string{"", "x", "1.5MiB", "99999999999GiB", "MiB"} {
		var b ByteSize
		require.Error(t, b.UnmarshalText([]byte(text)), text)
	}
	for _, b := range []ByteSize{0, 1, 1023, 1024, 5 << 20, 3 << 30, 1500} {
		var back ByteSize
		require.NoError(t, back.UnmarshalText([]byte(strings.ToLower(b.String()))))
		require.Equal(t, b, back)
	}
}
