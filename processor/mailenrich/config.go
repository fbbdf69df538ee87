package mailenrich

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/attribution"
	"github.com/otelcol-pmta/otelcol-pmta/internal/dimension"
	"github.com/otelcol-pmta/otelcol-pmta/internal/ledger"
	"github.com/otelcol-pmta/otelcol-pmta/internal/privacy"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Config is what a user can set for one mail_enrich processor.
type Config struct {
	// Storage is the extension that keeps the delivery ledger over a restart.
	Storage *component.ID `mapstructure:"storage"`
	// Dimensions is the table of labels.
	Dimensions DimensionsConfig `mapstructure:"dimensions"`
	// Ledger is the memory of deferred messages.
	Ledger LedgerConfig `mapstructure:"ledger"`
	// Repair is the memory of what messages were sent with.
	Repair RepairConfig `mapstructure:"repair"`
	// Privacy says what becomes of local parts.
	Privacy PrivacyConfig `mapstructure:"privacy"`
}

// DimensionsConfig names the table of labels.
type DimensionsConfig struct {
	// File is a CSV or YAML file. Empty switches dimensions off.
	File string `mapstructure:"file"`
	// ReloadInterval is how often the file is looked at.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`
	// Prefix comes before the name of a label.
	Prefix string `mapstructure:"prefix"`
}

// LedgerConfig bounds the delivery ledger.
type LedgerConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// MaxEntries is how many deferred messages are remembered, about 150
	// bytes each.
	MaxEntries int `mapstructure:"max_entries"`
}

// RepairConfig places and bounds the attribution window.
type RepairConfig struct {
	// Directory is a folder for nothing but the window. Empty switches repair
	// off.
	Directory string `mapstructure:"directory"`
	// MaxEntries is how many entries are kept, 50 bytes each on disk. A
	// delivery makes two.
	MaxEntries int `mapstructure:"max_entries"`
	// MaxAge is how long they are kept, in the time of the records.
	MaxAge time.Duration `mapstructure:"max_age"`
}

// PrivacyConfig says what becomes of local parts.
type PrivacyConfig struct {
	// Mode is keep, redact, siphash or hmac-sha256.
	Mode string `mapstructure:"mode"`
	// Key is the secret. It is never shown.
	Key configopaque.String `mapstructure:"key"`
	// KeyFile is a file that holds the secret.
	KeyFile string `mapstructure:"key_file"`
	// KeyEncoding is how the secret is written: text or hex.
	KeyEncoding string `mapstructure:"key_encoding"`
	// KeyID names the secret in records. Default: made from it.
	KeyID string `mapstructure:"key_id"`
	// Redaction is the text of mode redact.
	Redaction string `mapstructure:"redaction"`
	// Hex is the case of digests: upper (PowerMTA's) or lower.
	Hex string `mapstructure:"hex"`
	// Headers lists more message headers in which addresses are replaced.
	Headers []string `mapstructure:"headers"`
	// Attributes lists more attributes in which addresses are replaced.
	Attributes []string `mapstructure:"attributes"`
	// Original says what becomes of log.record.original: remove or redact.
	Original string `mapstructure:"original"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		Dimensions: DimensionsConfig{ReloadInterval: 10 * time.Second, Prefix: semconv.PMTADimensionPrefix},
		Ledger:     LedgerConfig{Enabled: true, MaxEntries: ledger.DefaultMaxEntries},
		Repair:     RepairConfig{MaxEntries: attribution.DefaultMaxEntries, MaxAge: attribution.DefaultMaxAge},
		Privacy: PrivacyConfig{
			Mode: privacy.Keep.String(), KeyEncoding: "text", Redaction: privacy.DefaultRedaction, Hex: "upper", Original: "remove",
		},
	}
}

// recipientHeaders are headers that name recipients; addresses in them are
// replaced whatever Headers lists.
var recipientHeaders = []string{"To", "Cc", "Bcc", "Delivered-To", "Envelope-To", "X-Original-To", "X-HmXmrOriginalRecipient", "Return-Path", "List-Unsubscribe"}

// maxKeyFile bounds what is read for a key.
const maxKeyFile = 4096

// policy returns the policy that c asks for. Errors do not repeat the key.
func (c *PrivacyConfig) policy() (*privacy.Policy, error) {
	mode, err := privacy.ParseMode(c.Mode)
	if err != nil {
		return nil, fmt.Errorf("privacy::mode: %w", err)
	}
	source := "privacy::key"
	o := privacy.Options{Mode: mode, KeyID: c.KeyID, Redaction: c.Redaction, LowerHex: c.Hex == "lower"}
	if mode == privacy.SipHash || mode == privacy.HMACSHA256 {
		text := string(c.Key)
		switch {
		case c.Key != "" && c.KeyFile != "":
			return nil, errors.New("privacy::key_file: set key or key_file, not both")
		case c.Key == "" && c.KeyFile == "":
			return nil, fmt.Errorf("privacy::key_file: mode %s needs a key; name a file, or set key: ${env:NAME}", mode)
		case c.KeyFile != "":
			source = "privacy::key_file"
			st, err := os.Stat(c.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("privacy::key_file: %w", err)
			}
			if st.Size() > maxKeyFile {
				return nil, fmt.Errorf("privacy::key_file: %s is larger than %d bytes; name the file that holds nothing but the key", c.KeyFile, maxKeyFile)
			}
			b, err := os.ReadFile(c.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("privacy::key_file: %w", err)
			}
			text = string(b)
		}
		key, err := privacy.ParseKey(text, c.KeyEncoding)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		o.Key = key
	}
	p, err := privacy.New(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return p, nil
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if c.Dimensions.File != "" {
		if _, err := dimension.Load(c.Dimensions.File); err != nil {
			bad("dimensions::file: %w", err)
		}
	}
	if c.Dimensions.ReloadInterval < 100*time.Millisecond {
		bad("dimensions::reload_interval: %v is too short; use 100ms or more", c.Dimensions.ReloadInterval)
	}
	if c.Dimensions.Prefix == "" {
		bad("dimensions::prefix: is empty; use for example %s", semconv.PMTADimensionPrefix)
	}
	if n := c.Ledger.MaxEntries; n < 1 || n > 100_000_000 {
		bad("ledger::max_entries: %d is out of range; use 1 to 100000000, or enabled: false", n)
	}
	if n := c.Repair.MaxEntries; n < 1000 || n > 1_000_000_000 {
		bad("repair::max_entries: %d is out of range; use 1000 to 1000000000, or no directory", n)
	}
	if c.Repair.MaxAge < time.Minute {
		bad("repair::max_age: %v is too short; use 1m or more", c.Repair.MaxAge)
	}
	if p := &c.Privacy; true {
		if p.KeyEncoding != "text" && p.KeyEncoding != "hex" {
			bad("privacy::key_encoding: %q is not known; use text or hex", p.KeyEncoding)
		} else if _, err := p.policy(); err != nil {
			errs = append(errs, err)
		}
		if p.Hex != "upper" && p.Hex != "lower" {
			bad("privacy::hex: %q is not known; use upper (PowerMTA's) or lower", p.Hex)
		}
		if p.Original != "remove" && p.Original != "redact" {
			bad("privacy::original: %q is not known; use remove or redact", p.Original)
		}
		if strings.ContainsAny(p.Redaction, "@\r\n\x00") {
			bad("privacy::redaction: must not hold @ or control characters; use for example %q", privacy.DefaultRedaction)
		}
		for i, h := range p.Headers {
			if strings.TrimSpace(h) == "" {
				bad("privacy::headers[%d]: is empty; name a header, for example To", i)
			}
		}
	}
	return errors.Join(errs...)
}
