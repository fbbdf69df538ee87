package kafkaout

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/segmentio/kafka-go"
)

// Partitioner says how messages are spread over the partitions of a topic.
type Partitioner int8

const (
	// Murmur2 sends messages of equal key to one partition, the same one that
	// Java clients choose. Messages without a key stay with one partition
	// until a batch is full.
	Murmur2 Partitioner = iota
	// SaramaFNV is like Murmur2 with the hash of Sarama (and so of contrib's
	// exporter): FNV-1a.
	SaramaFNV
	// RoundRobin takes the partitions in turn and ignores keys.
	RoundRobin
	// LeastBytes takes, batch by batch, the partition with the fewest bytes
	// under way and ignores keys.
	LeastBytes
)

var partitionerNames = []string{"murmur2", "sarama_compat", "round_robin", "least_backup"}

// String returns a name for texts.
func (p Partitioner) String() string {
	if int(p) < len(partitionerNames) {
		return partitionerNames[p]
	}
	return fmt.Sprintf("partitioner %d", p)
}

// topicState is what a Producer remembers of a topic between requests.
type topicState struct {
	name   string
	turn   atomic.Uint64            // next partition for RoundRobin and messages without a key
	limit  atomic.Int64             // batch size the broker is known to take, bytes; 0 = not limited
	load   atomic.Pointer[[]loadOf] // bytes under way per partition, for LeastBytes
	sarama *kafka.Hash
}

type loadOf struct{ bytes atomic.Int64 }

func newTopicState(name string) *topicState {
	s := &topicState{name: name, sarama: &kafka.Hash{}}
	s.turn.Store(uint64(rand.Uint32())) // so that agents do not march in step
	return s
}

// loads returns the counters of n partitions.
func (s *topicState) loads(n int) []loadOf {
	for {
		p := s.load.Load()
		if p != nil && len(*p) == n {
			return *p
		}
		// A new number of partitions starts from zero: this only spreads load.
		fresh := make([]loadOf, n)
		if s.load.CompareAndSwap(p, &fresh) {
			return fresh
		}
	}
}
