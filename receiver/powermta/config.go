package powermta

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/mainlog"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Config is what a user can set for one powermta receiver.
type Config struct {
	// Include lists glob patterns of accounting files, ** included. The
	// move-to folder of an <acct-file> block may be among them.
	Include []string `mapstructure:"include"`
	// Exclude lists glob patterns of files to leave out.
	Exclude []string `mapstructure:"exclude"`
	// StartAt says where to begin with files that are there at the very first
	// start: "beginning" (default) or "end". Files that appear later are
	// always read from their beginning.
	StartAt string `mapstructure:"start_at"`
	// Storage is the extension that keeps positions over a restart.
	Storage *component.ID `mapstructure:"storage"`
	// PollInterval is how often files are looked at for new data when no
	// notification arrives.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// Notify uses file notification of the operating system where there is one.
	Notify bool `mapstructure:"notify"`
	// Timezone is an IANA name for times without an offset. Default: the
	// host's zone.
	Timezone string `mapstructure:"timezone"`
	// MaxRecordSize is the longest record; longer ones are quarantined.
	MaxRecordSize ByteSize `mapstructure:"max_record_size"`
	// MaxOpenFiles bounds the file descriptors in use.
	MaxOpenFiles int `mapstructure:"max_open_files"`
	// MaxInFlight is how many batches may wait for the pipeline at a time.
	MaxInFlight int `mapstructure:"max_in_flight"`
	// ReadSize is how much is read from a file at a time, and so the size of a
	// batch.
	ReadSize ByteSize `mapstructure:"read_size"`
	// Instance names this PowerMTA among others. It becomes
	// service.instance.id and takes part in log.record.uid.
	Instance string `mapstructure:"instance"`
	// Resource holds resource attributes of every record.
	Resource map[string]string `mapstructure:"resource"`
	// Streams sets resource attributes for some files only.
	Streams []StreamConfig `mapstructure:"streams"`
	// IncludeFileName adds log.file.name to every record.
	IncludeFileName bool `mapstructure:"include_file_name"`
	// IncludeFilePath adds log.file.path to every record.
	IncludeFilePath bool `mapstructure:"include_file_path"`
	// IncludeOffset adds log.file.offset, the place of the record in bytes.
	IncludeOffset bool `mapstructure:"include_offset"`
	// IncludeOriginal adds log.record.original, the line as it was read. It
	// holds personal data.
	IncludeOriginal bool `mapstructure:"include_original"`
	// Quarantine is where input goes that cannot be shipped.
	Quarantine QuarantineConfig `mapstructure:"quarantine"`
	// DeduplicateStreams leaves out copies of a record that PowerMTA wrote to
	// more than one accounting file.
	DeduplicateStreams DeduplicateConfig `mapstructure:"deduplicate_streams"`
	// SystemLog reads PowerMTA's own log besides.
	SystemLog SystemLogConfig `mapstructure:"system_log"`
	// Reconciliation compares PowerMTA's count of a moved accounting file, which
	// the system log tells, with what was read of it.
	Reconciliation ReconciliationConfig `mapstructure:"reconciliation"`
	// Coverage says which questions PowerMTA's configuration cannot answer.
	Coverage CoverageConfig `mapstructure:"coverage"`
	// Retry paces attempts after a refusal by the pipeline. There is no end:
	// only a permanent error ends the attempts.
	Retry RetryConfig `mapstructure:"retry"`
}

// StreamConfig sets resource attributes for the files of a stream.
type StreamConfig struct {
	// Match is a glob pattern for the base name or, with a slash, the path.
	Match string `mapstructure:"match"`
	// Resource holds resource attributes; they win over the general ones.
	Resource map[string]string `mapstructure:"resource"`
	// Stream is the value of pmta.stream: acct or bounce. Empty: bounce for
	// files that hold only b and rb records, else acct.
	Stream string `mapstructure:"stream"`
}

// SystemLogConfig says which system logs are read, and how.
type SystemLogConfig struct {
	// Include lists glob patterns of log files: log, pmta.log, pmtahttp.log,
	// pmta-startuperr.log, and their rotated names. None: no system log is read.
	Include []string `mapstructure:"include"`
	// Exclude lists glob patterns of files to leave out.
	Exclude []string `mapstructure:"exclude"`
	// PatternsFile adds patterns to the built-in ones, or replaces some.
	PatternsFile string `mapstructure:"patterns_file"`
	// ReloadInterval is how often the patterns file is looked at.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`
	// KeepData keeps hex dumps of transferred data (log-data), which hold
	// message content. Credentials are removed in any case.
	KeepData bool `mapstructure:"keep_data"`
	// Sessions puts the lines of an SMTP session together.
	Sessions SessionsConfig `mapstructure:"sessions"`
	// Unknown keeps the templates of entries that no pattern knows.
	Unknown UnknownConfig `mapstructure:"unknown"`
}

// SessionsConfig bounds the assembly of sessions.
type SessionsConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// Lines ships each line of a session too, not only the session.
	Lines bool `mapstructure:"lines"`
	// MaxOpen is how many sessions may be open at a time.
	MaxOpen int `mapstructure:"max_open"`
	// Timeout is how long, by the times in the log, a session may be without a
	// line before its end is no longer waited for.
	Timeout time.Duration `mapstructure:"timeout"`
	// MaxTranscript is the longest transcript of a session.
	MaxTranscript ByteSize `mapstructure:"max_transcript"`
}

// UnknownConfig says where templates of unknown entries are kept.
type UnknownConfig struct {
	// Path is the JSON lines file that `pmtalog unclassified` reads. Empty: they
	// are counted only.
	Path string `mapstructure:"path"`
	// MaxTemplates bounds how many are remembered.
	MaxTemplates int `mapstructure:"max_templates"`
	// SaveInterval is how often the file is written.
	SaveInterval time.Duration `mapstructure:"save_interval"`
}

// ReconciliationConfig steers the comparison of counts.
type ReconciliationConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// Grace is how long after the log told of a move the file may take to be
	// read to its end.
	Grace time.Duration `mapstructure:"grace"`
}

// CoverageConfig steers what is said about missing columns and record types.
type CoverageConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// Delay is how long after the first records, or a change, the agent looks:
	// by then more of them have come.
	Delay time.Duration `mapstructure:"delay"`
}

// QuarantineConfig says where rejected input goes.
type QuarantineConfig = acctlogs.QuarantineConfig

// DeduplicateConfig bounds the memory of records seen.
type DeduplicateConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// MaxEntries is how many recent records are remembered, 24 bytes each.
	MaxEntries int `mapstructure:"max_entries"`
}

// RetryConfig is the pace of attempts.
type RetryConfig struct {
	InitialInterval time.Duration `mapstructure:"initial_interval"`
	MaxInterval     time.Duration `mapstructure:"max_interval"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)

	errNoInclude     = errors.New(`include: no pattern given; name the accounting files, for example include: [/var/log/pmta/acct-*.csv], or system logs in system_log::include`)
	errRetryInterval = errors.New(`retry: initial_interval must be above 0 and not above max_interval`)
)

func createDefaultConfig() component.Config {
	return &Config{
		StartAt:            startAtBeginning,
		PollInterval:       200 * time.Millisecond,
		Notify:             true,
		MaxRecordSize:      1 << 20,
		MaxOpenFiles:       64,
		MaxInFlight:        4,
		ReadSize:           96 << 10,
		IncludeFileName:    true,
		Quarantine:         acctlogs.DefaultQuarantine(),
		DeduplicateStreams: DeduplicateConfig{MaxEntries: 200_000},
		SystemLog: SystemLogConfig{
			ReloadInterval: 10 * time.Second,
			Sessions:       SessionsConfig{Enabled: true, Lines: true, MaxOpen: 1000, Timeout: time.Hour, MaxTranscript: 8 << 10},
			Unknown:        UnknownConfig{MaxTemplates: 2000, SaveInterval: time.Minute},
		},
		Reconciliation: ReconciliationConfig{Enabled: true, Grace: 15 * time.Minute},
		Coverage:       CoverageConfig{Enabled: true, Delay: 5 * time.Second},
		Retry:          RetryConfig{InitialInterval: 100 * time.Millisecond, MaxInterval: 10 * time.Second},
	}
}

const (
	startAtBeginning = "beginning"
	startAtEnd       = "end"
)

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if len(c.Include) == 0 && len(c.SystemLog.Include) == 0 {
		errs = append(errs, errNoInclude)
	}
	globs := func(key string, patterns []string) {
		for i, p := range patterns {
			switch {
			case strings.TrimSpace(p) == "":
				bad("%s[%d]: is empty; remove it or give a file pattern", key, i)
			case !doublestar.ValidatePattern(filepath.ToSlash(p)):
				bad("%s[%d]: %q is no glob pattern; check brackets and braces", key, i, p)
			}
		}
	}
	globs("include", c.Include)
	globs("exclude", c.Exclude)
	globs("system_log::include", c.SystemLog.Include)
	globs("system_log::exclude", c.SystemLog.Exclude)
	if c.StartAt != startAtBeginning && c.StartAt != startAtEnd {
		bad(`start_at: %q is not known; use "beginning" or "end"`, c.StartAt)
	}
	if c.PollInterval < 10*time.Millisecond || c.PollInterval > time.Hour {
		bad("poll_interval: %v is out of range; use 10ms to 1h", c.PollInterval)
	}
	if c.Timezone != "" {
		if _, err := time.LoadLocation(c.Timezone); err != nil {
			bad("timezone: %q is not known; use an IANA name such as Europe/Berlin or UTC", c.Timezone)
		}
	}
	if c.MaxRecordSize < 1<<10 || c.MaxRecordSize > 256<<20 {
		bad("max_record_size: %v is out of range; use 1KiB to 256MiB", c.MaxRecordSize)
	}
	if c.ReadSize < 4<<10 || c.ReadSize > 64<<20 {
		bad("read_size: %v is out of range; use 4KiB to 64MiB", c.ReadSize)
	}
	if c.MaxOpenFiles < 2 {
		bad("max_open_files: %d is too few; use 2 or more", c.MaxOpenFiles)
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > 1024 {
		bad("max_in_flight: %d is out of range; use 1 to 1024", c.MaxInFlight)
	}
	for i, s := range c.Streams {
		if strings.TrimSpace(s.Match) == "" || !doublestar.ValidatePattern(filepath.ToSlash(s.Match)) {
			bad("streams[%d]::match: %q is no glob pattern; use for example bounce-*.csv", i, s.Match)
		}
		if len(s.Resource) == 0 && s.Stream == "" {
			bad("streams[%d]: changes nothing; set resource or stream", i)
		}
		if s.Stream != "" && s.Stream != semconv.StreamAcct && s.Stream != semconv.StreamBounce {
			bad("streams[%d]::stream: %q is not known; use acct or bounce, or leave it out", i, s.Stream)
		}
	}
	if len(c.SystemLog.Include) > 0 {
		errs = append(errs, c.SystemLog.problems()...)
	}
	if c.Reconciliation.Enabled && (c.Reconciliation.Grace < time.Second || c.Reconciliation.Grace > 7*24*time.Hour) {
		bad("reconciliation::grace: %v is out of range; use 1s to 168h", c.Reconciliation.Grace)
	}
	if c.Coverage.Enabled && (c.Coverage.Delay < 0 || c.Coverage.Delay > time.Hour) {
		bad("coverage::delay: %v is out of range; use 0s to 1h", c.Coverage.Delay)
	}
	errs = append(errs, c.Quarantine.Problems()...)
	if c.DeduplicateStreams.Enabled && c.DeduplicateStreams.MaxEntries < 1 {
		bad("deduplicate_streams::max_entries: %d is too few; use 1 or more", c.DeduplicateStreams.MaxEntries)
	}
	if c.Retry.InitialInterval <= 0 || c.Retry.InitialInterval > c.Retry.MaxInterval {
		errs = append(errs, errRetryInterval)
	}
	return errors.Join(errs...)
}

// problems returns every mistake with its key.
func (c *SystemLogConfig) problems() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("system_log::"+format, args...)) }
	if c.PatternsFile != "" {
		if _, err := mainlog.LoadPatterns(c.PatternsFile); err != nil {
			bad("patterns_file: %w", err)
		}
	}
	if c.ReloadInterval < time.Second {
		bad("reload_interval: %v is too short; use 1s or more", c.ReloadInterval)
	}
	if c.Sessions.Enabled {
		if c.Sessions.MaxOpen < 1 || c.Sessions.MaxOpen > 100_000 {
			bad("sessions::max_open: %d is out of range; use 1 to 100000", c.Sessions.MaxOpen)
		}
		if c.Sessions.Timeout < time.Second {
			bad("sessions::timeout: %v is too short; use 1s or more", c.Sessions.Timeout)
		}
		if c.Sessions.MaxTranscript > 1<<20 {
			bad("sessions::max_transcript: %v is too long; use 0 (no transcript) to 1MiB", c.Sessions.MaxTranscript)
		}
	} else if !c.Sessions.Lines {
		bad("sessions: with enabled and lines both false nothing of a session is shipped; set one of them to true")
	}
	if c.Unknown.MaxTemplates < 1 || c.Unknown.MaxTemplates > 1_000_000 {
		bad("unknown::max_templates: %d is out of range; use 1 to 1000000", c.Unknown.MaxTemplates)
	}
	if c.Unknown.SaveInterval < time.Second {
		bad("unknown::save_interval: %v is too short; use 1s or more", c.Unknown.SaveInterval)
	}
	return errs
}

// ByteSize is a number of bytes, in a configuration perhaps with a unit.
type ByteSize = bytesize.Size
