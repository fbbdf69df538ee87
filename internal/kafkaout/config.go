package kafkaout

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config is what a Producer needs to know.
type Config struct {
	// Brokers are the addresses (host:port) to start from; one that answers
	// is enough to find the others.
	Brokers []string
	// ClientID names this client in the broker's logs and quotas.
	ClientID string
	// TLS is nil for plain connections.
	TLS *tls.Config
	// SASL is nil for no authentication.
	SASL *SASL
	// DialTimeout bounds one attempt to connect, handshakes included.
	DialTimeout time.Duration
	// IdleTimeout is after how long an unused connection is closed.
	IdleTimeout time.Duration
	// RefreshInterval is how old metadata may become. New partitions are
	// found by it; a moved leader is found at once, by the error.
	RefreshInterval time.Duration
	// OnlyTopic, if set, is the one topic that will ever be used, so that
	// metadata of other topics is not fetched.
	OnlyTopic string
	// AutoCreate asks the broker to create missing topics.
	AutoCreate bool
	// Acks is -1 for all in-sync replicas, 1 for the leader, 0 for none.
	Acks int
	// Compression of batches, and its level (0 or -1: default).
	Compression      Compression
	CompressionLevel int
	// MaxMessageBytes is the largest message, and the largest batch, before
	// compression.
	MaxMessageBytes int
	// BatchBytes is the size, before compression, at which a batch is full.
	// 0 means MaxMessageBytes.
	BatchBytes int
	// Partitioner spreads messages over partitions.
	Partitioner Partitioner
	// BackoffMin and BackoffMax bound the pause between attempts within one
	// Send.
	BackoffMin, BackoffMax time.Duration
}

// SASL is user name and password with the way to prove them.
type SASL struct {
	Mechanism          string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username, Password string
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, s.Username, s.Password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, s.Username, s.Password)
	}
	return nil, fmt.Errorf("SASL mechanism %q is not known", s.Mechanism)
}

func (c *Config) check() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("no broker given")
	case c.DialTimeout <= 0 || c.IdleTimeout <= 0 || c.RefreshInterval <= 0:
		return errors.New("timeouts must be above 0")
	case c.MaxMessageBytes < 1<<10:
		return errors.New("MaxMessageBytes must be at least 1024")
	case c.Acks < -1 || c.Acks > 1:
		return errors.New("acks must be -1, 0 or 1")
	case c.BackoffMin <= 0 || c.BackoffMax < c.BackoffMin:
		return errors.New("backoff must be above 0, and its maximum not below its minimum")
	}
	return nil
}
