package powermtawebhook

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"golang.org/x/net/http/httpguts"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webhook"
)

// Config is what a user can set for one powermta_webhook receiver.
type Config struct {
	// HTTP holds endpoint, tls, the timeouts and what else any HTTP server of
	// the Collector has.
	HTTP confighttp.ServerConfig `mapstructure:",squash"`
	// Path is the one path that takes records.
	Path string `mapstructure:"path"`
	// Secret is what a sender has to know. Without it anyone may send.
	Secret configoptional.Optional[SecretConfig] `mapstructure:"secret"`
	// MaxBodySize bounds a body, as it is sent and unpacked.
	MaxBodySize bytesize.Size `mapstructure:"max_body_size"`
	// MaxConcurrentRequests is how many bodies are in memory at a time. More
	// get 503.
	MaxConcurrentRequests int `mapstructure:"max_concurrent_requests"`
	// MaxConnections is how many connections are open at a time. More wait.
	MaxConnections int `mapstructure:"max_connections"`
	// AcceptTimeout is how long the pipeline may take for one body before the
	// sender gets 503.
	AcceptTimeout time.Duration `mapstructure:"accept_timeout"`
	// RetryAfter is what a sender that gets 503 is asked to wait.
	RetryAfter time.Duration `mapstructure:"retry_after"`
	// BatchSize is how much of a body becomes one batch.
	BatchSize bytesize.Size `mapstructure:"batch_size"`
	// MaxInFlight is how many batches of one body may wait for the pipeline at
	// a time.
	MaxInFlight int `mapstructure:"max_in_flight"`
	// MaxRecordSize is the longest record; longer ones are quarantined.
	MaxRecordSize bytesize.Size `mapstructure:"max_record_size"`
	// Timezone is an IANA name for times without an offset. Default: the
	// host's zone.
	Timezone string `mapstructure:"timezone"`
	// Instance names the sending PowerMTA among others. It becomes
	// service.instance.id and takes part in log.record.uid.
	Instance string `mapstructure:"instance"`
	// Resource holds resource attributes of every record.
	Resource map[string]string `mapstructure:"resource"`
	// Stream is the attribute pmta.stream: acct, bounce, or auto, which is
	// bounce for a body that holds only b and rb records.
	Stream string `mapstructure:"stream"`
	// Quarantine is where input goes that cannot be shipped.
	Quarantine acctlogs.QuarantineConfig `mapstructure:"quarantine"`
}

// SecretConfig is a secret that every request has to carry. One of the two is
// set.
type SecretConfig struct {
	// BearerToken is asked for as "Authorization: Bearer TOKEN".
	BearerToken configopaque.String `mapstructure:"bearer_token"`
	// Header is asked for instead.
	Header HeaderConfig `mapstructure:"header"`
}

// HeaderConfig is a header with a secret value.
type HeaderConfig struct {
	Name  string              `mapstructure:"name"`
	Value configopaque.String `mapstructure:"value"`
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

const streamAuto = "auto"

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = "localhost:8089"
	server.ReadHeaderTimeout = 10 * time.Second
	server.ReadTimeout = time.Minute
	server.WriteTimeout = 10 * time.Second
	return &Config{
		HTTP:                  server,
		Path:                  "/",
		MaxBodySize:           16 << 20, // PowerMTA's max-size is 10M at most for a webhook
		MaxConcurrentRequests: 8,
		MaxConnections:        256,
		AcceptTimeout:         30 * time.Second,
		RetryAfter:            5 * time.Second,
		BatchSize:             96 << 10,
		MaxInFlight:           4,
		MaxRecordSize:         1 << 20,
		Stream:                streamAuto,
		Quarantine:            acctlogs.DefaultQuarantine(),
	}
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if c.HTTP.NetAddr.Endpoint == "" {
		bad("endpoint: is empty; use for example localhost:8089, or 0.0.0.0:8089 with tls and secret")
	}
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?# ") {
		bad("path: %q is no path; use for example /pmta", c.Path)
	}
	if c.Secret.HasValue() {
		errs = append(errs, c.Secret.Get().problems()...)
	}
	if c.HTTP.MaxRequestBodySize != 0 {
		bad("max_request_body_size: is not used here; set max_body_size")
	}
	if c.HTTP.CompressionAlgorithms != nil {
		bad("compression_algorithms: cannot be set; plain and gzip bodies are taken, as PowerMTA sends them")
	}
	if c.MaxBodySize < 64<<10 || c.MaxBodySize > 256<<20 {
		bad("max_body_size: %v is out of range; use 64KiB to 256MiB, and more than max-size of PowerMTA's <acct-file>", c.MaxBodySize)
	}
	count := func(key string, n, most int) {
		if n < 1 || n > most {
			bad("%s: %d is out of range; use 1 to %d", key, n, most)
		}
	}
	count("max_concurrent_requests", c.MaxConcurrentRequests, 1024)
	count("max_connections", c.MaxConnections, 65536)
	count("max_in_flight", c.MaxInFlight, 1024)
	duration := func(key string, d, least, most time.Duration) {
		if d < least || d > most {
			bad("%s: %v is out of range; use %v to %v", key, d, least, most)
		}
	}
	// 0 would mean for ever: a slow or silent sender could hold a connection.
	duration("read_header_timeout", c.HTTP.ReadHeaderTimeout, 10*time.Millisecond, time.Hour)
	duration("read_timeout", c.HTTP.ReadTimeout, 10*time.Millisecond, time.Hour)
	duration("write_timeout", c.HTTP.WriteTimeout, 10*time.Millisecond, time.Hour)
	duration("idle_timeout", c.HTTP.IdleTimeout, 10*time.Millisecond, time.Hour)
	duration("accept_timeout", c.AcceptTimeout, 10*time.Millisecond, time.Hour)
	duration("retry_after", c.RetryAfter, time.Second, 24*time.Hour)
	if c.BatchSize < 4<<10 || c.BatchSize > 64<<20 {
		bad("batch_size: %v is out of range; use 4KiB to 64MiB", c.BatchSize)
	}
	if c.MaxRecordSize < 1<<10 || c.MaxRecordSize > 256<<20 {
		bad("max_record_size: %v is out of range; use 1KiB to 256MiB", c.MaxRecordSize)
	}
	if c.Timezone != "" {
		if _, err := time.LoadLocation(c.Timezone); err != nil {
			bad("timezone: %q is not known; use an IANA name such as Europe/Berlin or UTC", c.Timezone)
		}
	}
	switch c.Stream {
	case streamAuto, semconv.StreamAcct, semconv.StreamBounce:
	default:
		bad(`stream: %q is not known; use "auto", "acct" or "bounce"`, c.Stream)
	}
	errs = append(errs, c.Quarantine.Problems()...)
	return errors.Join(errs...)
}

// problems never says what the secret is.
func (s *SecretConfig) problems() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	value := func(key string, v configopaque.String, variable string) {
		switch {
		case plain(v) == "":
			bad("secret::%s: is empty; set it, for example from the environment, ${env:%s}, and check that the variable is set", key, variable)
		case !httpguts.ValidHeaderFieldValue(plain(v)):
			bad("secret::%s: has a character that no header can carry", key)
		}
	}
	switch {
	case s.Header == HeaderConfig{}:
		value("bearer_token", s.BearerToken, "WEBHOOK_TOKEN")
	case s.BearerToken != "":
		bad("secret: has both bearer_token and header; keep one")
	default:
		if !httpguts.ValidHeaderFieldName(s.Header.Name) || strings.EqualFold(s.Header.Name, "Host") {
			bad("secret::header::name: %q cannot be used; use for example X-Pmta-Secret", s.Header.Name)
		}
		value("header::value", s.Header.Value, "WEBHOOK_SECRET")
	}
	return errs
}

// plain returns the secret itself, without the line end of the file that it
// was perhaps read from.
func plain(s configopaque.String) string { return strings.TrimSpace(string(s)) }

// secret is what a request has to carry.
func (c *Config) secret() webhook.Secret {
	if !c.Secret.HasValue() {
		return webhook.Secret{}
	}
	s := c.Secret.Get()
	if s.BearerToken != "" {
		return webhook.NewBearer(plain(s.BearerToken))
	}
	return webhook.NewSecret(s.Header.Name, plain(s.Header.Value))
}
