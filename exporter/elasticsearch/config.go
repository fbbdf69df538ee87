package elasticsearch

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/configkeys"
	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Config is what a user can set for one elasticsearch exporter. Keys that
// contrib's exporter of the same name has mean the same here.
type Config struct {
	// ClientConfig has endpoint, tls, timeout, headers, compression (none or
	// gzip), proxy_url, auth and the like. timeout bounds one request to one
	// node.
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`
	// Endpoints are the URLs of several nodes, instead of endpoint.
	Endpoints []string `mapstructure:"endpoints"`
	// CloudID is the id of a deployment in Elastic Cloud, instead of endpoint.
	CloudID string `mapstructure:"cloudid"`

	// User and Password log in with HTTP basic authentication.
	User     string              `mapstructure:"user"`
	Password configopaque.String `mapstructure:"password"`
	// APIKey logs in with an API key in its encoded form.
	APIKey configopaque.String `mapstructure:"api_key"`
	// BearerToken logs in with a token, as that of a service account.
	BearerToken configopaque.String `mapstructure:"bearer_token"`

	SendingQueue   configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	RetryOnFailure configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`
	// Retry paces the first attempts, made at once and for the documents
	// concerned alone. What is left after them is retry_on_failure's.
	Retry RetryConfig `mapstructure:"retry"`
	// Flush sizes bulk requests.
	Flush FlushConfig `mapstructure:"flush"`

	// LogsIndex is a fixed data stream or index. Empty (default): the data
	// stream is logs-DATASET-NAMESPACE.
	LogsIndex string `mapstructure:"logs_index"`
	// DataStream has the parts of the name for records without the
	// attributes data_stream.dataset and data_stream.namespace.
	DataStream DataStreamConfig `mapstructure:"data_stream"`
	// LogsDynamicID takes the _id from the attribute
	// elasticsearch.document_id where there is one. Without it, and without
	// the attribute, it is log.record.uid.
	LogsDynamicID DynamicIDConfig `mapstructure:"logs_dynamic_id"`
	// Pipeline is an ingest pipeline. Nothing here needs one.
	Pipeline string `mapstructure:"pipeline"`
	// Mapping lays documents out.
	Mapping MappingConfig `mapstructure:"mapping"`

	// DeadLetter is where documents go that Elasticsearch will never take.
	DeadLetter DeadLetterConfig `mapstructure:"dead_letter"`

	// ManageTemplates installs the index template and what it is made of at
	// start.
	ManageTemplates bool `mapstructure:"manage_templates"`
	// Templates says how.
	Templates TemplatesConfig `mapstructure:"templates"`
}

// RetryConfig is the pace of the first attempts.
type RetryConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// MaxRetries is how many there are.
	MaxRetries      int           `mapstructure:"max_retries"`
	InitialInterval time.Duration `mapstructure:"initial_interval"`
	MaxInterval     time.Duration `mapstructure:"max_interval"`
	// RetryOnStatus are the statuses of a request or a document they are for.
	RetryOnStatus []int `mapstructure:"retry_on_status"`
}

// FlushConfig sizes bulk requests.
type FlushConfig struct {
	// Bytes is the size, uncompressed, at which a bulk request is sent. A
	// batch of records that makes more is sent in several.
	Bytes bytesize.Size `mapstructure:"bytes"`
}

// DataStreamConfig has the parts of a data stream's name.
type DataStreamConfig struct {
	// Dataset for all records. Empty (default): pmta.acct, pmta.bounce, pmta.diag
	// or pmta.panic, by the attribute pmta.stream.
	Dataset   string `mapstructure:"dataset"`
	Namespace string `mapstructure:"namespace"`
}

// DynamicIDConfig switches a source of the _id on.
type DynamicIDConfig struct {
	Enabled bool `mapstructure:"enabled"`
}

// MappingConfig lays documents out.
type MappingConfig struct {
	// Mode is otel, ecs or raw.
	Mode string `mapstructure:"mode"`
}

// DeadLetterConfig says where documents go that will never be taken.
type DeadLetterConfig struct {
	// Path is the JSON lines file.
	Path string `mapstructure:"path"`
	// MaxSize is the size at which the file is rotated.
	MaxSize bytesize.Size `mapstructure:"max_size"`
	// MaxFiles is how many files are kept, the current one included.
	MaxFiles int `mapstructure:"max_files"`
}

// TemplatesConfig says what manage_templates installs.
type TemplatesConfig struct {
	// Lifecycle is data_stream (the data stream lifecycle, Elasticsearch 8.14
	// or later), ilm (an index lifecycle policy) or none.
	Lifecycle string `mapstructure:"lifecycle"`
	// Retention is how long data are kept at least, such as 30d.
	Retention string `mapstructure:"retention"`
}

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)

	errOneAddress    = errors.New("endpoint, endpoints, cloudid: set exactly one of them, or the environment variable ELASTICSEARCH_URL")
	errNoDeadLetter  = errors.New("dead_letter::path: must not be empty; name a file the agent may write, for example /var/lib/otelcol-pmta/elasticsearch-dead-letter.jsonl")
	errRetryInterval = errors.New("retry: initial_interval must be above 0 and not above max_interval")
	errCloudID       = errors.New(`cloudid: is not one; copy it from the deployment's page in the Elastic Cloud console, NAME:BASE64`)
)

var lifecycles = []string{estemplate.LifecycleDataStream, estemplate.LifecycleILM, estemplate.LifecycleNone}

const (
	urlVariable      = "ELASTICSEARCH_URL"
	datasetPrefix    = "pmta."
	exampleDataset   = datasetPrefix + semconv.StreamAcct
	defaultNamespace = "default"
)

func createDefaultConfig() component.Config {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 90 * time.Second
	client.Compression = configcompression.TypeGzip
	client.CompressionParams.Level = configcompression.Level(1)
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.WaitForResult = true
	queue.BlockOnOverflow = true
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxElapsedTime = 0
	return &Config{
		ClientConfig:   client,
		SendingQueue:   configoptional.Some(queue),
		RetryOnFailure: retry,
		Retry: RetryConfig{
			Enabled:         true,
			MaxRetries:      3,
			InitialInterval: 100 * time.Millisecond,
			MaxInterval:     time.Minute,
			RetryOnStatus:   []int{429, 500, 502, 503, 504},
		},
		Flush:      FlushConfig{Bytes: 5_000_000},
		DataStream: DataStreamConfig{Namespace: defaultNamespace},
		Mapping:    MappingConfig{Mode: estemplate.ModeOTel},
		DeadLetter: DeadLetterConfig{
			Path:     "/var/lib/otelcol-pmta/elasticsearch-dead-letter.jsonl",
			MaxSize:  64 << 20,
			MaxFiles: 4,
		},
		Templates: TemplatesConfig{Lifecycle: estemplate.LifecycleDataStream, Retention: estemplate.DefaultRetention},
	}
}

// notHere are keys of contrib's exporter that this one does not have.
var notHere = func() map[string]string {
	m := map[string]string{
		"batcher":                 "is not there any more; use sending_queue::batch",
		"discover":                "is not supported; list the nodes in endpoints",
		"logs_dynamic_pipeline":   "is not supported; set pipeline, or none",
		"logstash_format":         "is not supported; documents go to data streams, or to logs_index",
		"mapping::allowed_modes":  "is not supported; mapping::mode is that of all records",
		"metadata_keys":           "is not supported; remove it",
		"include_source_on_error": "is not supported; remove it: the document is in the dead letter file",
		"retry::max_requests":     "is not there any more; use retry::max_retries, which does not count the first attempt",
		"telemetry":               "is not supported; remove it",
	}
	for _, signal := range []string{"traces", "metrics", "profiles"} {
		m[signal+"_index"] = "this exporter takes logs only; remove it"
	}
	return m
}()

// Unmarshal reads a configuration. flush::interval and num_workers are
// contrib's older names of keys below sending_queue, and cloud_id is what
// others call cloudid. logs_dynamic_index has no effect there any more, nor
// here.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := configkeys.Refuse(conf, notHere); err != nil {
		return err
	}
	raw := conf.ToStringMap()
	aliases := []struct{ old, key string }{
		{"flush::interval", "sending_queue::batch::flush_timeout"},
		{"num_workers", "sending_queue::num_consumers"},
		{"cloud_id", "cloudid"},
	}
	merged := confmap.NewFromStringMap(raw)
	merged.Delete("logs_dynamic_index")
	for _, a := range aliases {
		if !conf.IsSet(a.old) {
			continue
		}
		value := conf.Get(a.old)
		merged.Delete(a.old)
		if conf.IsSet(a.key) {
			return fmt.Errorf("%s: is another name of %s; set only the latter", a.old, a.key)
		}
		m := map[string]any{}
		at := m
		parts := strings.Split(a.key, confmap.KeyDelimiter)
		for _, p := range parts[:len(parts)-1] {
			next := map[string]any{}
			at[p] = next
			at = next
		}
		at[parts[len(parts)-1]] = value
		if err := merged.Merge(confmap.NewFromStringMap(m)); err != nil {
			return err
		}
	}
	type plain Config // without this method
	if err := merged.Unmarshal((*plain)(c)); err != nil {
		return err
	}
	configkeys.FitQueue(merged, &c.SendingQueue)
	return nil
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if _, err := c.urls(); err != nil {
		errs = append(errs, err)
	}
	if c.User == "" && c.Password != "" {
		bad("user: is missing; password goes with it")
	}
	if c.User != "" && c.Password == "" {
		bad("password: is missing; user goes with it")
	}
	ways := 0
	for _, set := range []bool{c.User != "" || c.Password != "", c.APIKey != "", c.BearerToken != "", c.ClientConfig.Auth.HasValue()} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		bad("user, api_key, bearer_token, auth: set only one way to log in")
	}
	switch c.ClientConfig.Compression {
	case "", "none", configcompression.TypeGzip:
	default:
		bad("compression: %q is nothing Elasticsearch reads; use gzip or none", c.ClientConfig.Compression)
	}
	if c.ClientConfig.Timeout < 0 {
		bad("timeout: %v is negative; use for example 90s, or 0 for none", c.ClientConfig.Timeout)
	}
	if c.Retry.Enabled {
		if c.Retry.MaxRetries < 0 {
			bad("retry::max_retries: %d is negative; use 0 or more", c.Retry.MaxRetries)
		}
		if c.Retry.InitialInterval <= 0 || c.Retry.InitialInterval > c.Retry.MaxInterval {
			errs = append(errs, errRetryInterval)
		}
		for i, s := range c.Retry.RetryOnStatus {
			if s < 400 || s > 599 {
				bad("retry::retry_on_status[%d]: %d is no status of an error; use 429 or 500 to 599", i, s)
			}
		}
	}
	if c.Flush.Bytes < 16<<10 || c.Flush.Bytes > 90<<20 {
		bad("flush::bytes: %v is out of range; use 16KiB to 90MiB (Elasticsearch takes 100MiB by default)", c.Flush.Bytes)
	}
	if c.LogsIndex != "" && !validIndex(c.LogsIndex) {
		bad(`logs_index: %q is no name of an index; use lower case and none of \ / * ? " < > | , # : or space, not - _ + . in front`, c.LogsIndex)
	}
	for _, p := range []struct{ key, value, example string }{
		{"dataset", c.DataStream.Dataset, exampleDataset}, {"namespace", c.DataStream.Namespace, defaultNamespace},
	} {
		if p.value == "" && p.key == "dataset" {
			continue // the record's stream decides
		}
		if p.value == "" || p.value != sanitize(p.value) {
			bad(`data_stream::%s: %q is no part of a data stream's name; use lower case, at most 100 bytes and none of - \ / * ? " < > | , # : or space, for example %s`, p.key, p.value, p.example)
		}
	}
	if !slices.Contains(estemplate.Modes, c.Mapping.Mode) {
		bad("mapping::mode: %q is not known; use %s", c.Mapping.Mode, strings.Join(estemplate.Modes, ", "))
	}
	if c.DeadLetter.Path == "" {
		errs = append(errs, errNoDeadLetter)
	}
	if c.DeadLetter.MaxSize < 1<<10 {
		bad("dead_letter::max_size: %v is too small; use 1KiB or more", c.DeadLetter.MaxSize)
	}
	if c.DeadLetter.MaxFiles < 1 {
		bad("dead_letter::max_files: %d is too few; use 1 or more", c.DeadLetter.MaxFiles)
	}
	if !slices.Contains(lifecycles, c.Templates.Lifecycle) {
		bad("templates::lifecycle: %q is not known; use %s", c.Templates.Lifecycle, strings.Join(lifecycles, ", "))
	}
	if !validRetention(c.Templates.Retention) {
		bad("templates::retention: %q is no time; use for example 30d", c.Templates.Retention)
	}
	if c.ManageTemplates && c.LogsIndex != "" {
		bad("manage_templates: is for data streams; remove logs_index, or manage_templates")
	}
	if d := c.DataStream.Dataset; c.ManageTemplates && d != "" && !strings.HasPrefix(d, datasetPrefix) {
		bad("manage_templates: the templates are for %s, which data_stream::dataset %q does not match; use for example pmta.acct, or remove it", estemplate.DefaultIndexPattern, c.DataStream.Dataset)
	}
	return errors.Join(errs...)
}

// urls returns the nodes.
func (c *Config) urls() ([]*url.URL, error) {
	var key string
	var list []string
	set := 0
	if c.ClientConfig.Endpoint != "" {
		key, list = "endpoint", []string{c.ClientConfig.Endpoint}
		set++
	}
	if len(c.Endpoints) > 0 {
		key, list = "endpoints", c.Endpoints
		set++
	}
	if c.CloudID != "" {
		set++
	}
	switch {
	case set > 1:
		return nil, errOneAddress
	case c.CloudID != "":
		u, err := parseCloudID(c.CloudID)
		return []*url.URL{u}, err
	case set == 0:
		env := os.Getenv(urlVariable)
		if env == "" {
			return nil, errOneAddress
		}
		key, list = urlVariable, strings.Split(env, ",")
	}
	var urls []*url.URL
	for i, s := range list {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" {
			at := key
			if len(list) > 1 {
				at = fmt.Sprintf("%s[%d]", key, i)
			}
			// The text is not repeated: it may hold a password.
			return nil, fmt.Errorf("%s: is no URL of a node; write for example https://es1.example.com:9200", at)
		}
		if u.User != nil {
			return nil, fmt.Errorf("%s: holds a password; use user and password instead", key)
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		urls = append(urls, u)
	}
	return urls, nil
}

// parseCloudID takes the address of Elasticsearch out of a cloud id:
// NAME:base64(HOST[:PORT]$ELASTICSEARCH[:PORT]$KIBANA).
// https://www.elastic.co/docs/deploy-manage/deploy/elastic-cloud/find-cloud-id
func parseCloudID(id string) (*url.URL, error) {
	data := id[strings.LastIndexByte(id, ':')+1:]
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, errCloudID
	}
	parts := strings.Split(string(raw), "$")
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return nil, errCloudID
	}
	host, port, found := strings.Cut(parts[0], ":")
	if !found {
		port = "443"
	}
	es, own, found := strings.Cut(parts[1], ":")
	if found {
		port = own
	}
	u, err := url.Parse("https://" + es + "." + host + ":" + port)
	if err != nil {
		return nil, errCloudID
	}
	return u, nil
}

// badInName are the characters that the name of an index cannot have.
const badInName = `\/*?"<>| ,#:`

func validIndex(s string) bool {
	return len(s) <= 255 && s == strings.ToLower(s) && !strings.ContainsAny(s, badInName) && !strings.ContainsAny(s[:1], "-_+.")
}

// sanitize makes s a part of a data stream's name.
func sanitize(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == '-' || strings.ContainsRune(badInName, r) {
			return '_'
		}
		return r
	}, strings.ToLower(strings.ToValidUTF8(s, "_")))
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "")
	}
	return s
}

// validRetention tells whether s is a time as Elasticsearch writes it.
func validRetention(s string) bool {
	n := strings.TrimRight(s, "dhms")
	if n == "" || !slices.Contains([]string{"d", "h", "m", "s"}, s[len(n):]) || n[0] == '0' || len(n) > 6 {
		return false
	}
	return strings.Trim(n, "0123456789") == ""
}
