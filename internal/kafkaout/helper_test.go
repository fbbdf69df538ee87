package kafkaout

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func testConfig(c *kfake.Cluster) Config {
	return Config{
		Brokers: c.ListenAddrs(), ClientID: "test", DialTimeout: 2 * time.Second, IdleTimeout: time.Minute,
		RefreshInterval: time.Minute, Acks: -1, MaxMessageBytes: 1_000_000,
		BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond,
	}
}

func producer(t *testing.T, cfg Config) *Producer {
	t.Helper()
	p, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

type msg struct {
	topic      string
	key, value string
	headers    []Header
	ms         int64
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// send makes one request of all messages; refs are their places in the list.
func send(ctx context.Context, p *Producer, msgs []msg) (Result, error) {
	r := p.NewRequest(ctx)
	for i, m := range msgs {
		var key []byte
		if m.key != "" {
			key = []byte(m.key)
		}
		if err := r.Add(m.topic, key, []byte(m.value), EncodeHeaders(m.headers), m.ms, int32(i)); err != nil {
			return Result{}, err
		}
	}
	return r.Send(ctx), nil
}

func mustSend(t *testing.T, p *Producer, msgs []msg) {
	t.Helper()
	res, err := send(within(t, 20*time.Second), p, msgs)
	require.NoError(t, err)
	require.NoError(t, res.Err())
	require.Empty(t, res.Rejected)
}

// many returns n messages over a number of keys, numbered.
func many(topic string, n, keys int) []msg {
	out := make([]msg, n)
	for i := range out {
		out[i] = msg{topic: topic, value: fmt.Sprintf("%06d", i), ms: 1_700_000_000_000 + int64(i)}
		if keys > 0 {
			out[i].key = fmt.Sprintf("key-%d", i%keys)
		}
	}
	return out
}

// read returns everything in a topic, partition by partition, read by an
// independent client.
func read(t *testing.T, c *kfake.Cluster, topic string, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	want := int64(0)
	for _, p := range c.PartitionInfos(topic) {
		want += p.HighWatermark - p.LogStartOffset
	}
	if want == 0 {
		return nil
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50 * time.Millisecond)}, opts...)...)
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for int64(len(out)) < want {
		f := cl.PollFetches(ctx)
		require.NoError(t, f.Err(), "read %d of %d", len(out), want)
		out = append(out, f.Records()...)
	}
	return out
}

// requireDelivered checks that every message arrived, and those of each key
// in order. It returns how many arrived more than once.
func requireDelivered(t *testing.T, c *kfake.Cluster, topic string, msgs []msg) (duplicates int) {
	t.Helper()
	seen := map[string]bool{}
	last := map[string]string{} // key -> value
	for _, r := range read(t, c, topic) {
		v, k := string(r.Value), string(r.Key)
		if seen[v] {
			duplicates++
			continue
		}
		seen[v] = true
		if r.Key != nil {
			require.Less(t, last[k], v, "order of key %s", k)
			last[k] = v
		}
	}
	for _, m := range msgs {
		if m.topic == topic {
			require.True(t, seen[m.value], "message %s is lost", m.value)
		}
	}
	return duplicates
}
