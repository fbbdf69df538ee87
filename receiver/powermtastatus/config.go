package powermtastatus

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus/internal/metadata"
)

// Config is what a user can set for one powermta_status receiver.
type Config struct {
	// ClientConfig has endpoint, tls, timeout, headers, proxy_url, auth and the
	// like. timeout bounds one request.
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`
	// CollectionInterval is how often the monitor is asked.
	CollectionInterval time.Duration `mapstructure:"collection_interval"`
	// InitialDelay is how long to wait before the first time.
	InitialDelay time.Duration `mapstructure:"initial_delay"`
	// APIKey is sent as X-API-Key. It opens everything in PowerMTA and is not
	// needed where http-access lets this host monitor.
	APIKey configopaque.String `mapstructure:"api_key"`
	// Timezone is an IANA name for the monitor's times. Default: found out by
	// comparing its clock with this host's.
	Timezone string `mapstructure:"timezone"`
	// Instance names this PowerMTA among others. It becomes
	// service.instance.id and takes part in log.record.uid.
	Instance string `mapstructure:"instance"`
	// Resource holds resource attributes of metrics and events.
	Resource map[string]string `mapstructure:"resource"`
	// Storage is the extension that keeps over a restart which queues are in
	// backoff and which source IPs are disabled.
	Storage *component.ID `mapstructure:"storage"`
	// Quarantine is where events go that the pipeline refuses for good.
	Quarantine acctlogs.QuarantineConfig `mapstructure:"quarantine"`
	// TopN bounds how many names have metrics of their own.
	TopN TopConfig `mapstructure:"top_n"`
	// MaxItems is how many rows of a list are asked for.
	MaxItems int `mapstructure:"max_items"`
	// MaxResponseSize is the largest page.
	MaxResponseSize ByteSize `mapstructure:"max_response_size"`
	// Details bounds requests about single queues.
	Details DetailsConfig `mapstructure:"details"`

	// MetricsBuilderConfig has metrics, to turn single ones on or off.
	MetricsBuilderConfig metadata.MetricsBuilderConfig `mapstructure:",squash"`
}

// TopConfig has a number of names for each list. With 0 a list has no metrics
// by name, and is not asked for unless events need it.
type TopConfig struct {
	Queues  int `mapstructure:"queues"`
	Domains int `mapstructure:"domains"`
	VMTAs   int `mapstructure:"vmtas"`
	Jobs    int `mapstructure:"jobs"`
}

// DetailsConfig bounds requests about single queues.
type DetailsConfig struct {
	// MaxQueues is how many queues are asked about each time: those in backoff
	// or with disabled source IPs, and those with new trouble.
	MaxQueues int `mapstructure:"max_queues"`
}

// ByteSize is a number of bytes, in a configuration perhaps with a unit.
type ByteSize = bytesize.Size

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)

	errNoEndpoint = errors.New(`endpoint: is empty; give the address of the web monitor, for example http://localhost:8080`)
	errUserInfo   = errors.New(`endpoint: must not hold a user or password, which would end up in logs; use auth with a basicauth extension`)
	errClearKey   = errors.New(`api_key: would cross the network unencrypted; set endpoint to https://..., or remove the key and let this host in with http-access ADDRESS monitor`)
	errKeyLength  = errors.New(`api_key: has to be 32 to 128 characters long, as http-api-key in PowerMTA's configuration; remove it if http-access lets this host monitor`)
)

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Endpoint = "http://localhost:8080"
	client.Timeout = 10 * time.Second
	return &Config{
		ClientConfig:         client,
		CollectionInterval:   30 * time.Second,
		TopN:                 TopConfig{Queues: 20, Domains: 20, VMTAs: 20, Jobs: 20},
		MaxItems:             500,
		Quarantine:           acctlogs.DefaultQuarantine(),
		MaxResponseSize:      webmon.DefaultMaxBody,
		Details:              DetailsConfig{MaxQueues: 10},
		MetricsBuilderConfig: metadata.NewDefaultMetricsBuilderConfig(),
	}
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	between := func(key string, v, low, high int) {
		if v < low || v > high {
			bad("%s: %d is out of range; use %d to %d", key, v, low, high)
		}
	}

	u, err := url.Parse(c.ClientConfig.Endpoint)
	switch {
	case strings.TrimSpace(c.ClientConfig.Endpoint) == "":
		errs = append(errs, errNoEndpoint)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		bad("endpoint: is no URL; use for example http://localhost:8080")
	case u.User != nil:
		errs = append(errs, errUserInfo)
	case c.APIKey != "" && u.Scheme == "http" && !loopback(u.Hostname()):
		errs = append(errs, errClearKey)
	}
	if n := len(c.APIKey); n > 0 && (n < 32 || n > 128) {
		errs = append(errs, errKeyLength)
	}
	if c.ClientConfig.Timeout <= 0 || c.ClientConfig.Timeout > 10*time.Minute {
		bad("timeout: %v is out of range; use more than 0 up to 10m", c.ClientConfig.Timeout)
	}
	if c.CollectionInterval < time.Second || c.CollectionInterval > 24*time.Hour {
		bad("collection_interval: %v is out of range; use 1s to 24h", c.CollectionInterval)
	}
	if c.InitialDelay < 0 {
		bad("initial_delay: %v is negative; use 0 or more", c.InitialDelay)
	}
	if c.Timezone != "" {
		if _, err := time.LoadLocation(c.Timezone); err != nil {
			bad("timezone: %q is not known; use an IANA name such as Europe/Berlin or UTC, or remove it to find out by the clocks", c.Timezone)
		}
	}
	between("top_n::queues", c.TopN.Queues, 0, 1000)
	between("top_n::domains", c.TopN.Domains, 0, 1000)
	between("top_n::vmtas", c.TopN.VMTAs, 0, 1000)
	between("top_n::jobs", c.TopN.Jobs, 0, 1000)
	between("max_items", c.MaxItems, 10, 10_000)
	if most := max(c.TopN.Queues, c.TopN.Domains, c.TopN.VMTAs, c.TopN.Jobs); most <= 1000 && c.MaxItems < most {
		bad("max_items: %d rows cannot name a top_n of %d; raise it to %d or more", c.MaxItems, most, most)
	}
	between("details::max_queues", c.Details.MaxQueues, 0, 200)
	if c.MaxResponseSize < 64<<10 || c.MaxResponseSize > 256<<20 {
		bad("max_response_size: %v is out of range; use 64KiB to 256MiB", c.MaxResponseSize)
	}
	errs = append(errs, c.Quarantine.Problems()...)
	return errors.Join(errs...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
