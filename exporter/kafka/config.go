package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-pmta/otelcol-pmta/internal/bytesize"
	"github.com/otelcol-pmta/otelcol-pmta/internal/configkeys"
	"github.com/otelcol-pmta/otelcol-pmta/internal/kafkaout"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Config is what a user can set for one kafka exporter. Keys that contrib's
// exporter of the same name has mean the same here.
type Config struct {
	// Brokers are host:port to start from; the others are found by them.
	Brokers []string `mapstructure:"brokers"`
	// ClientID names this client in the brokers' logs, quotas and ACLs.
	ClientID string `mapstructure:"client_id"`
	// TLS is absent for plain connections.
	TLS *configtls.ClientConfig `mapstructure:"tls"`
	// Auth proves who this client is.
	Auth AuthConfig `mapstructure:"auth"`
	// DialTimeout bounds one attempt to connect, TLS and SASL included.
	DialTimeout time.Duration `mapstructure:"dial_timeout"`
	// ConnIdleTimeout is after how long an unused connection is closed.
	ConnIdleTimeout time.Duration `mapstructure:"conn_idle_timeout"`
	// Metadata says how often the cluster is asked about its topics.
	Metadata MetadataConfig `mapstructure:"metadata"`

	// Timeout bounds one attempt to deliver a batch of records, with the
	// retries that a moved leader and the like take.
	Timeout        exporterhelper.TimeoutConfig                             `mapstructure:",squash"`
	SendingQueue   configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	RetryOnFailure configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`

	// Logs says what is written where.
	Logs LogsConfig `mapstructure:"logs"`
	// TopicFromAttribute names an attribute of the record or of its resource
	// that holds the topic. Without it, or when its value is no topic name,
	// the topic is logs::topic.
	TopicFromAttribute string `mapstructure:"topic_from_attribute"`
	// MessageKeyFromAttributes names attributes of the record or of its
	// resource whose values, joined by "|", are the message key.
	MessageKeyFromAttributes []string `mapstructure:"message_key_from_attributes"`
	// PartitionLogsByResourceAttributes makes a hash of the resource the key.
	PartitionLogsByResourceAttributes bool `mapstructure:"partition_logs_by_resource_attributes"`
	// HeadersFromResourceAttributes names resource attributes that become
	// message headers.
	HeadersFromResourceAttributes []string `mapstructure:"headers_from_resource_attributes"`
	// RecordHeaders are the same headers for all messages.
	RecordHeaders configopaque.MapList `mapstructure:"record_headers"`
	// RecordPartitioner spreads messages over partitions.
	RecordPartitioner PartitionerConfig `mapstructure:"record_partitioner"`
	// Producer says how messages are sent.
	Producer ProducerConfig `mapstructure:"producer"`
	// DeadLetter is where records go that no broker will ever take.
	DeadLetter DeadLetterConfig `mapstructure:"dead_letter"`
}

// AuthConfig proves who this client is.
type AuthConfig struct {
	SASL *SASLConfig `mapstructure:"sasl"`
}

// SASLConfig is user name and password with the way to prove them.
type SASLConfig struct {
	Username string              `mapstructure:"username"`
	Password configopaque.String `mapstructure:"password"`
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string `mapstructure:"mechanism"`
}

// MetadataConfig says how often the cluster is asked about its topics.
type MetadataConfig struct {
	// RefreshInterval is how late a new partition may be noticed. A moved
	// leader is noticed at once.
	RefreshInterval time.Duration `mapstructure:"refresh_interval"`
}

// LogsConfig says what is written where.
type LogsConfig struct {
	Topic string `mapstructure:"topic"`
	// Encoding is otlp_proto, otlp_json or json.
	Encoding string `mapstructure:"encoding"`
	// Schema is otel, ecs or splunk_cim, for the encoding json.
	Schema string `mapstructure:"schema"`
}

// PartitionerConfig spreads messages over partitions. One may be set.
type PartitionerConfig struct {
	StickyKey   *StickyKeyConfig `mapstructure:"sticky_key"`
	RoundRobin  *struct{}        `mapstructure:"round_robin"`
	LeastBackup *struct{}        `mapstructure:"least_backup"`
}

// StickyKeyConfig chooses the partition by a hash of the key.
type StickyKeyConfig struct {
	// Hasher is murmur2 (as Java clients) or sarama_compat.
	Hasher string `mapstructure:"hasher"`
}

// ProducerConfig says how messages are sent.
type ProducerConfig struct {
	// MaxMessageBytes bounds a message, and a batch of messages for one
	// partition, before compression.
	MaxMessageBytes bytesize.Size `mapstructure:"max_message_bytes"`
	// BatchBytes is the size at which a batch is full. 0: MaxMessageBytes.
	BatchBytes bytesize.Size `mapstructure:"batch_bytes"`
	// RequiredAcks is all (-1), 1 or 0.
	RequiredAcks RequiredAcks `mapstructure:"required_acks"`
	// Compression is none, gzip, snappy, lz4 or zstd.
	Compression string `mapstructure:"compression"`
	// CompressionParams has the level.
	CompressionParams configcompression.CompressionParams `mapstructure:"compression_params"`
	// AllowAutoTopicCreation lets the broker create a missing topic.
	AllowAutoTopicCreation bool `mapstructure:"allow_auto_topic_creation"`
	// Linger is how long to wait for more records, up to FlushMaxMessages,
	// before sending. It sets sending_queue::batch, unless that is set.
	Linger           time.Duration `mapstructure:"linger"`
	FlushMaxMessages int           `mapstructure:"flush_max_messages"`
	// MessageTimestamp is send_time or event_time.
	MessageTimestamp string `mapstructure:"message_timestamp"`
}

// DeadLetterConfig says where records go that no broker will ever take.
type DeadLetterConfig struct {
	// Path is the JSON lines file.
	Path string `mapstructure:"path"`
	// MaxSize is the size at which the file is rotated.
	MaxSize bytesize.Size `mapstructure:"max_size"`
	// MaxFiles is how many files are kept, the current one included.
	MaxFiles int `mapstructure:"max_files"`
}

// RequiredAcks is how many replicas have to have a message: -1 for all that
// are in sync, 1 for the leader, 0 for none.
type RequiredAcks int

// UnmarshalText reads all, -1, 0 or 1.
func (r *RequiredAcks) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "all", "-1":
		*r = -1
	case "0", "1":
		*r = RequiredAcks(s[0] - '0')
	default:
		return fmt.Errorf("required_acks: %q is not known; use all, 1 or 0", s)
	}
	return nil
}

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Unmarshaler = (*PartitionerConfig)(nil)

	errNoBroker     = errors.New("brokers: none given; name at least one, for example brokers: [kafka1.example.com:9092]")
	errNoDeadLetter = errors.New("dead_letter::path: must not be empty; name a file the agent may write, for example /var/lib/otelcol-pmta/kafka-dead-letter.jsonl")
)

const (
	encodingOTLPProto = "otlp_proto"
	encodingOTLPJSON  = "otlp_json"
	encodingJSON      = "json"

	hasherMurmur2 = "murmur2"
	hasherSarama  = "sarama_compat"

	sendTime  = "send_time"
	eventTime = "event_time"

	defaultTopic = "otlp_logs"
)

func createDefaultConfig() component.Config {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.WaitForResult = true
	queue.BlockOnOverflow = true
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = time.Second
	retry.MaxElapsedTime = 0
	return &Config{
		Brokers:         []string{"localhost:9092"},
		ClientID:        "otelcol-pmta",
		DialTimeout:     3 * time.Second,
		ConnIdleTimeout: 9 * time.Minute,
		Metadata:        MetadataConfig{RefreshInterval: 10 * time.Minute},
		Timeout:         exporterhelper.TimeoutConfig{Timeout: 10 * time.Second},
		SendingQueue:    configoptional.Some(queue),
		RetryOnFailure:  retry,
		Logs:            LogsConfig{Topic: defaultTopic, Encoding: encodingOTLPProto, Schema: schema.OTel.String()},
		Producer: ProducerConfig{
			MaxMessageBytes:        1_000_000,
			RequiredAcks:           -1,
			Compression:            "none",
			AllowAutoTopicCreation: true,
			FlushMaxMessages:       10_000,
			MessageTimestamp:       sendTime,
		},
		DeadLetter: DeadLetterConfig{
			Path:     "/var/lib/otelcol-pmta/kafka-dead-letter.jsonl",
			MaxSize:  64 << 20,
			MaxFiles: 4,
		},
	}
}

// notHere are keys of contrib's exporter that this one does not have.
var notHere = func() map[string]string {
	const versions = "is not supported; remove it: the versions of requests are agreed on with each broker"
	m := map[string]string{
		"auth::kerberos":                           "is not supported; use auth::sasl with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
		"auth::plain_text":                         "is not there any more; use auth::sasl with mechanism: PLAIN",
		"auth::sasl::aws_msk":                      "is not supported; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
		"auth::sasl::oauthbearer_token_source":     "is not supported; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
		"auth::sasl::version":                      versions,
		"auth::tls":                                "is not there any more; use tls",
		"encoding":                                 "is not there any more; use logs::encoding",
		"include_metadata_keys":                    "is not supported; remove it",
		"logs::encoding_from_metadata_key":         "is not supported; use logs::encoding",
		"logs::message_key_from_metadata_key":      "is not supported; use message_key_from_attributes",
		"logs::topic_from_metadata_key":            "is not supported; use topic_from_attribute",
		"metadata::full":                           "is not supported; remove it: with topic_from_attribute it is true, otherwise false",
		"metadata::retry":                          "is not supported; use timeout and retry_on_failure",
		"partition_logs_by_trace_id":               "is not supported; use message_key_from_attributes",
		"producer::max_broker_write_bytes":         "is not supported; use producer::max_message_bytes",
		"protocol_version":                         versions,
		"rack_id":                                  "is for consumers; remove it",
		"resolve_canonical_bootstrap_servers_only": "is not supported; list the brokers in brokers",
		"topic":            "is not there any more; use logs::topic",
		"use_leader_epoch": "is not supported; remove it",
	}
	for _, key := range []string{"traces", "metrics", "profiles", "partition_traces_by_id", "partition_metrics_by_resource_attributes"} {
		m[key] = "this exporter takes logs only; remove it"
	}
	return m
}()

// Unmarshal reads a configuration.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := configkeys.Refuse(conf, notHere); err != nil {
		return err
	}
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	for i, b := range c.Brokers { // "a:9092, b:9092", as it comes from an environment variable
		c.Brokers[i] = strings.TrimSpace(b)
	}
	configkeys.FitQueue(conf, &c.SendingQueue)
	return nil
}

// Unmarshal reads a partitioner; `round_robin:` and `round_robin: {}` are the
// same.
func (p *PartitionerConfig) Unmarshal(conf *confmap.Conf) error {
	m := conf.ToStringMap()
	for _, key := range []string{"round_robin", "least_backup"} {
		if v, ok := m[key]; ok && v == nil {
			m[key] = map[string]any{}
		}
	}
	type plain PartitionerConfig // without this method
	return confmap.NewFromStringMap(m).Unmarshal((*plain)(p))
}

// Validate reports every mistake at once, each with its key and the way out.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if len(c.Brokers) == 0 {
		errs = append(errs, errNoBroker)
	}
	for i, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
			bad("brokers[%d]: %q is no address; write host:port, for example kafka1.example.com:9092", i, b)
		}
	}
	for _, d := range []struct {
		key     string
		value   time.Duration
		example string
	}{
		{"dial_timeout", c.DialTimeout, "3s"}, {"conn_idle_timeout", c.ConnIdleTimeout, "9m"},
		{"metadata::refresh_interval", c.Metadata.RefreshInterval, "10m"}, {"timeout", c.Timeout.Timeout, "10s"},
	} {
		if d.value <= 0 {
			bad("%s: %v must be above 0; use for example %s", d.key, d.value, d.example)
		}
	}
	if s := c.Auth.SASL; s != nil {
		if s.Username == "" {
			bad("auth::sasl::username: is missing")
		}
		if s.Password == "" {
			bad("auth::sasl::password: is missing; write for example ${env:KAFKA_PASSWORD}")
		}
		if !slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, s.Mechanism) {
			bad("auth::sasl::mechanism: %q is not known; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
		}
	}
	if !validTopic(c.Logs.Topic) {
		bad("logs::topic: %q is no topic name; use letters, digits, dot, _ and -, at most 249", c.Logs.Topic)
	}
	switch c.Logs.Encoding {
	case encodingOTLPProto, encodingOTLPJSON, encodingJSON:
	default:
		bad("logs::encoding: %q is not known; use otlp_proto, otlp_json or json", c.Logs.Encoding)
	}
	if _, err := schema.Parse(c.Logs.Schema); err != nil {
		bad("logs::schema: %w", err)
	}
	if c.PartitionLogsByResourceAttributes && len(c.MessageKeyFromAttributes) > 0 {
		bad("message_key_from_attributes: cannot be combined with partition_logs_by_resource_attributes; remove one")
	}
	if p := c.RecordPartitioner; count(p.StickyKey != nil, p.RoundRobin != nil, p.LeastBackup != nil) > 1 {
		bad("record_partitioner: set only one of sticky_key, round_robin and least_backup")
	}
	if s := c.RecordPartitioner.StickyKey; s != nil && s.Hasher != "" && s.Hasher != hasherMurmur2 && s.Hasher != hasherSarama {
		bad("record_partitioner::sticky_key::hasher: %q is not known; use murmur2 or sarama_compat", s.Hasher)
	}
	p := c.Producer
	if p.MaxMessageBytes < 1<<10 || p.MaxMessageBytes > 100<<20 {
		bad("producer::max_message_bytes: %v is out of range; use 1KiB to 100MiB, and not more than the broker's message.max.bytes", p.MaxMessageBytes)
	}
	if p.BatchBytes < 0 || p.BatchBytes > p.MaxMessageBytes {
		bad("producer::batch_bytes: %v is out of range; use 0 to max_message_bytes", p.BatchBytes)
	}
	if p.RequiredAcks < -1 || p.RequiredAcks > 1 {
		bad("producer::required_acks: %d is not known; use all, 1 or 0", p.RequiredAcks)
	}
	if _, err := kafkaout.ParseCompression(p.Compression); err != nil {
		bad("producer::compression: %q is not known; use none, gzip, snappy, lz4 or zstd", p.Compression)
	} else if t := configcompression.Type(p.Compression); t.IsCompressed() {
		if err := t.ValidateParams(p.CompressionParams); err != nil {
			bad("producer::compression_params::level: %w", err)
		}
	}
	if p.Linger < 0 {
		bad("producer::linger: %v is negative; use for example 10ms, or 0 for none", p.Linger)
	}
	if p.FlushMaxMessages < 1 {
		bad("producer::flush_max_messages: %d is too few; use 1 or more", p.FlushMaxMessages)
	}
	if p.MessageTimestamp != sendTime && p.MessageTimestamp != eventTime {
		bad("producer::message_timestamp: %q is not known; use send_time or event_time", p.MessageTimestamp)
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
	return errors.Join(errs...)
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// validTopic reports whether Kafka allows a topic of this name
// (org.apache.kafka.common.internals.Topic).
func validTopic(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 249 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// keys returns the attributes of the message key. By default a flat document
// goes with its recipient domain, and an OTLP request, which holds records of
// many domains, has no key.
func (c *Config) keys() []string {
	switch {
	case c.PartitionLogsByResourceAttributes:
		return nil
	case c.MessageKeyFromAttributes != nil:
		return c.MessageKeyFromAttributes
	case c.Logs.Encoding == encodingJSON:
		return []string{semconv.PMTARcptDomain}
	}
	return nil
}

// queue returns sending_queue with the batching that linger asks for.
func (c *Config) queue() configoptional.Optional[exporterhelper.QueueBatchConfig] {
	q := c.SendingQueue
	if c.Producer.Linger <= 0 || !q.HasValue() || q.Get().Batch.HasValue() {
		return q
	}
	with := *q.Get()
	n := int64(c.Producer.FlushMaxMessages)
	with.Batch = configoptional.Some(exporterhelper.BatchConfig{
		FlushTimeout: c.Producer.Linger, Sizer: exporterhelper.RequestSizerTypeItems, MinSize: n, MaxSize: n,
	})
	return configoptional.Some(with)
}

func (c *Config) partitioner() kafkaout.Partitioner {
	switch p := c.RecordPartitioner; {
	case p.RoundRobin != nil:
		return kafkaout.RoundRobin
	case p.LeastBackup != nil:
		return kafkaout.LeastBytes
	case p.StickyKey != nil && p.StickyKey.Hasher == hasherSarama:
		return kafkaout.SaramaFNV
	}
	return kafkaout.Murmur2
}
