package mailschema

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

// Config is what a user can set for one mail_schema processor.
type Config struct {
	// Schema is otel (nothing is changed), ecs or splunk_cim.
	Schema string `mapstructure:"schema"`
	// Into says where the fields go: "attributes" (in place) or "body", which
	// becomes one map with everything, time and resource included.
	Into string `mapstructure:"into"`
	// StatusCode says what status_code of splunk_cim is when both are known:
	// "smtp", the reply code, or "dsn", the enhanced status code.
	StatusCode string `mapstructure:"status_code"`
}

const (
	intoAttributes = "attributes"
	intoBody       = "body"

	statusSMTP = "smtp"
	statusDSN  = "dsn"
)

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{Schema: schema.OTel.String(), Into: intoAttributes, StatusCode: statusSMTP}
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	s, err := schema.Parse(c.Schema)
	if err != nil {
		errs = append(errs, err)
	}
	if c.Into != intoAttributes && c.Into != intoBody {
		errs = append(errs, fmt.Errorf(`into: %q is not known; use "attributes" or "body"`, c.Into))
	}
	switch {
	case c.StatusCode != statusSMTP && c.StatusCode != statusDSN:
		errs = append(errs, fmt.Errorf(`status_code: %q is not known; use "smtp" or "dsn"`, c.StatusCode))
	case err == nil && c.StatusCode == statusDSN && s != schema.SplunkCIM:
		errs = append(errs, errors.New(`status_code: "dsn" is for schema splunk_cim only; remove it`))
	}
	return errors.Join(errs...)
}
