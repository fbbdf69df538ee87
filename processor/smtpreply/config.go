package smtpreply

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/smtpreply"
)

// Config is what a user can set for one smtp_reply processor.
type Config struct {
	// RulesFile names a YAML file with rules that add to the built-in ones or
	// replace those with the same id. It is read again when it changes.
	RulesFile string `mapstructure:"rules_file"`
	// ReloadInterval is how often the file is looked at.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`
	// CacheSize is how many verdicts are kept, up to 700 bytes each.
	CacheSize int `mapstructure:"cache_size"`
	// Unclassified says where replies are kept that no rule fits.
	Unclassified UnclassifiedConfig `mapstructure:"unclassified"`
	// LastDeferral bounds the memory of deferrals, by which an expired message
	// gets its real reason.
	LastDeferral LastDeferralConfig `mapstructure:"last_deferral"`
}

// UnclassifiedConfig says where and how many unclassified templates are kept.
type UnclassifiedConfig struct {
	// Path is the JSON lines file that `pmtalog unclassified` reads. Empty
	// keeps them in memory only.
	Path string `mapstructure:"path"`
	// SaveInterval is how often the file is written.
	SaveInterval time.Duration `mapstructure:"save_interval"`
	// MaxTemplates is how many are counted.
	MaxTemplates int `mapstructure:"max_templates"`
}

// LastDeferralConfig bounds the memory of deferrals.
type LastDeferralConfig struct {
	// MaxEntries is how many recipients are remembered, 0 = none.
	MaxEntries int `mapstructure:"max_entries"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		ReloadInterval: 10 * time.Second,
		CacheSize:      16384,
		Unclassified: UnclassifiedConfig{
			Path:         "/var/lib/otelcol-pmta/unclassified.jsonl",
			SaveInterval: time.Minute,
			MaxTemplates: 2000,
		},
		LastDeferral: LastDeferralConfig{MaxEntries: 200_000},
	}
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.RulesFile != "" {
		// A broken file is refused at start; later the old rules stay.
		if _, err := smtpreply.New(smtpreply.Options{RulesFile: c.RulesFile, CacheSize: 16}); err != nil {
			bad("rules_file: %w", err)
		}
	}
	if c.ReloadInterval < 100*time.Millisecond {
		bad("reload_interval: %v is too short; use 100ms or more", c.ReloadInterval)
	}
	if c.CacheSize < 1 {
		bad("cache_size: %d is too few; use 1 or more", c.CacheSize)
	}
	if c.Unclassified.SaveInterval < time.Second {
		bad("unclassified::save_interval: %v is too short; use 1s or more", c.Unclassified.SaveInterval)
	}
	if c.Unclassified.MaxTemplates < 1 {
		bad("unclassified::max_templates: %d is too few; use 1 or more", c.Unclassified.MaxTemplates)
	}
	if c.LastDeferral.MaxEntries < 0 {
		bad("last_deferral::max_entries: %d is below 0; use 0 to switch it off", c.LastDeferral.MaxEntries)
	}
	return errors.Join(errs...)
}
