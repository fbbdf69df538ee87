package kafkaout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/otelcol-pmta/otelcol-pmta/internal/tlshint"
)

// client talks to the cluster by way of kafka-go's transport, which keeps the
// connections and a copy of the cluster's metadata.
type client struct {
	transport  *kafka.Transport
	addr       net.Addr
	acks       int16
	autoCreate bool

	brokers   []string
	mechanism string      // of SASL; empty: none
	known     atomic.Bool // the cluster has answered once

	mu    sync.Mutex // guards epoch
	epoch int        // how often refresh took effect
}

func newClient(cfg *Config) (*client, error) {
	mechanism, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	// One broker that does not answer must not take the time of the others.
	perAddr := cfg.DialTimeout / time.Duration(len(cfg.Brokers))
	t := &kafka.Transport{
		Dial:        (&net.Dialer{Timeout: perAddr}).DialContext,
		DialTimeout: cfg.DialTimeout,
		IdleTimeout: cfg.IdleTimeout,
		MetadataTTL: cfg.RefreshInterval,
		ClientID:    cfg.ClientID,
		TLS:         cfg.TLS,
		SASL:        mechanism,
	}
	if cfg.OnlyTopic != "" {
		t.MetadataTopics = []string{cfg.OnlyTopic}
	}
	c := &client{transport: t, addr: kafka.TCP(cfg.Brokers...), acks: int16(cfg.Acks), autoCreate: cfg.AutoCreate, brokers: cfg.Brokers}
	if cfg.SASL != nil {
		c.mechanism = cfg.SASL.Mechanism
	}
	return c, nil
}

// explain adds to err what to do about it, as far as that is known, in terms of
// the exporter's settings.
func (c *client) explain(err error) error {
	if hint := c.hint(err); hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

func (c *client) hint(err error) string {
	if s := tlshint.For(err); s != "" {
		return s
	}
	var dns *net.DNSError
	switch withTLS := c.transport.TLS != nil; {
	case errors.Is(err, kafka.SASLAuthenticationFailed):
		return "check auth::sasl::username, password and mechanism"
	case errors.Is(err, kafka.UnsupportedSASLMechanism):
		return "the brokers have no " + c.mechanism + "; set auth::sasl::mechanism to one they have, see their sasl.enabled.mechanisms"
	case errors.Is(err, kafka.TopicAuthorizationFailed):
		return "the user needs the ACLs Describe and Write on the topic, and Create if it is to be made"
	case errors.Is(err, kafka.InvalidTimestamp):
		return "check this host's clock, and message.timestamp.before.max.ms and after.max.ms of the topic"
	case NeedsKey(err):
		return "the topic is compacted: set message_key_from_attributes, or cleanup.policy=delete"
	case errors.As(err, &dns) && !slices.ContainsFunc(c.brokers, func(b string) bool { return strings.HasPrefix(b, dns.Name+":") }):
		return "the brokers give this name in advertised.listeners; this host has to be able to resolve it"
	case c.known.Load():
		return "" // it worked before, so it is not the settings
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		switch {
		case !withTLS && c.mechanism == "":
			return "if this listener wants TLS or a login, set tls or auth::sasl"
		case !withTLS:
			return "if this listener wants TLS, set tls; check auth::sasl::username and password"
		case c.mechanism == "":
			return "if this listener wants a login, set auth::sasl"
		}
		return "check auth::sasl::username and password, and that brokers names a listener with TLS and SASL"
	case withTLS && errors.Is(err, os.ErrDeadlineExceeded):
		return "if this listener does not speak TLS, remove tls or name another in brokers"
	}
	return ""
}

// now returns the current epoch, for refresh.
func (c *client) now() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// refresh forgets the metadata and the idle connections, which are likely to
// be stale together. It does nothing when another goroutine has done so since
// the epoch. The transport offers no other way to ask for new metadata.
func (c *client) refresh(epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		c.transport.CloseIdleConnections()
		c.epoch++
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// partitions returns the leader of each partition of a topic, -1 where there
// is none. It creates the topic when that is wanted and the broker allows it.
func (c *client) partitions(ctx context.Context, topic string) ([]int32, error) {
	leaders, err := c.lookup(ctx, topic, false)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		if !c.autoCreate {
			return nil, fmt.Errorf("topic %q does not exist, or this user may not see it; create it, or set producer::allow_auto_topic_creation: %w", topic, err)
		}
		if leaders, err = c.lookup(ctx, topic, true); errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, kafka.LeaderNotAvailable) {
			return nil, fmt.Errorf("topic %q is not there yet, or the broker does not create topics on demand (auto.create.topics.enable): %w", topic, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("topic %q: %w", topic, c.explain(err))
	}
	return leaders, nil
}

func (c *client) lookup(ctx context.Context, topic string, create bool) ([]int32, error) {
	m, err := c.transport.RoundTrip(ctx, c.addr, &metadata.Request{
		TopicNames: []string{topic}, AllowAutoTopicCreation: create,
	})
	if err != nil {
		return nil, err
	}
	c.known.Store(true)
	res := m.(*metadata.Response)
	if len(res.Topics) == 0 {
		return nil, kafka.UnknownTopicOrPartition
	}
	t := &res.Topics[0]
	if t.ErrorCode != 0 {
		return nil, kafka.Error(t.ErrorCode)
	}
	if len(t.Partitions) == 0 {
		return nil, kafka.LeaderNotAvailable
	}
	leaders := make([]int32, len(t.Partitions))
	for i := range leaders {
		leaders[i] = -1
	}
	for _, p := range t.Partitions {
		if int(p.PartitionIndex) < len(leaders) {
			leaders[p.PartitionIndex] = p.LeaderID
		}
	}
	return leaders, nil
}

// answer is what the broker said about one batch.
type answer struct {
	err     error
	indices []int32 // records the broker named as the reason, by place in the batch
}

// produce sends one sealed batch for each of several partitions with the same
// leader, and returns an answer for each and how long to leave that broker
// alone.
func (c *client) produce(ctx context.Context, heads []*queue) ([]answer, time.Duration, error) {
	req := &rawproduce.Request{Acks: c.acks, Timeout: 30_000}
	if deadline, ok := ctx.Deadline(); ok {
		req.Timeout = int32(max(time.Until(deadline).Milliseconds(), 1))
	}
	for _, q := range heads {
		part := rawproduce.RequestPartition{
			Partition: q.partition,
			RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(q.batches[0].sealed)},
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == q.topic.name {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, part)
		} else {
			req.Topics = append(req.Topics, rawproduce.RequestTopic{Topic: q.topic.name, Partitions: []rawproduce.RequestPartition{part}})
		}
	}
	m, err := c.transport.RoundTrip(ctx, c.addr, req)
	if err != nil {
		return nil, 0, err
	}
	answers := make([]answer, len(heads))
	if c.acks == 0 {
		return answers, 0, nil
	}
	res := m.(*produce.Response)
	for i, q := range heads {
		answers[i] = find(res, q)
	}
	return answers, time.Duration(res.ThrottleTimeMs) * time.Millisecond, nil
}

var errNoAnswer = errors.New("the broker's answer does not mention the partition")

func find(res *produce.Response, q *queue) answer {
	for i := range res.Topics {
		if res.Topics[i].Topic != q.topic.name {
			continue
		}
		for j := range res.Topics[i].Partitions {
			p := &res.Topics[i].Partitions[j]
			if p.Partition != q.partition {
				continue
			}
			if p.ErrorCode == 0 {
				return answer{}
			}
			a := answer{err: kafka.Error(p.ErrorCode)}
			text := p.ErrorMessage
			if text == "" && len(p.RecordErrors) > 0 {
				text = p.RecordErrors[0].BatchIndexErrorMessage
			}
			if text != "" {
				a.err = fmt.Errorf("%w (%s)", a.err, text)
			}
			for _, r := range p.RecordErrors {
				a.indices = append(a.indices, r.BatchIndex)
			}
			return a
		}
	}
	return answer{err: errNoAnswer}
}

// NeedsKey reports whether err says that a topic takes no messages without a
// key. The protocol has no code of its own for it; the words are those of
// Kafka's LogValidator.
func NeedsKey(err error) bool {
	return errors.Is(err, kafka.InvalidRecord) && strings.Contains(err.Error(), "without key")
}

// lasting reports whether err will be there again after any pause shorter
// than the time an operator needs.
func lasting(err error) bool {
	for _, e := range []kafka.Error{
		kafka.InvalidTopic, kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed,
		kafka.InvalidRequiredAcks, kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState,
		kafka.SASLAuthenticationFailed, kafka.UnsupportedVersion, kafka.SecurityDisabled,
		kafka.PolicyViolation, kafka.UnsupportedForMessageFormat, kafka.UnsupportedCompressionType,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
