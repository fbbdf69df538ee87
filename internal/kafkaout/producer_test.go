package kafkaout

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/otelcol-pmta/otelcol-pmta/internal/freeport"
)

func TestEveryCompressionAndEveryField(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(4, "none", "gzip", "snappy", "lz4", "zstd"))
	for kind := None; kind <= Zstd; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			cfg := testConfig(c)
			cfg.Compression = kind
			p := producer(t, cfg)
			msgs := many(kind.String(), 500, 7)
			msgs[3].headers = []Header{{"service.name", []byte("pmta")}, {"empty", nil}}
			msgs[4].key = ""
			mustSend(t, p, msgs)
			recs := read(t, c, kind.String())
			require.Len(t, recs, len(msgs))
			for _, r := range recs {
				i, err := strconv.Atoi(string(r.Value))
				require.NoError(t, err)
				require.Equal(t, msgs[i].key, string(r.Key))
				require.Equal(t, msgs[i].key == "", r.Key == nil)
				require.Equal(t, msgs[i].ms, r.Timestamp.UnixMilli())
				require.Len(t, r.Headers, len(msgs[i].headers))
				for j, h := range msgs[i].headers {
					require.Equal(t, h.Key, r.Headers[j].Key)
					require.Equal(t, string(h.Value), string(r.Headers[j].Value))
				}
			}
			require.EqualValues(t, len(msgs), p.Stats().Messages)
		})
	}
}

func TestPartitionersSpread(t *testing.T) {
	for _, how := range []Partitioner{Murmur2, SaramaFNV, RoundRobin, LeastBytes} {
		t.Run(how.String(), func(t *testing.T) {
			c := cluster(t, kfake.NumBrokers(2), kfake.SeedTopics(4, "t"))
			cfg := testConfig(c)
			cfg.Partitioner = how
			cfg.MaxMessageBytes = 2000 // a batch: some dozen messages
			p := producer(t, cfg)
			mustSend(t, p, many("t", 2000, 0))
			for _, part := range c.PartitionInfos("t") {
				require.InDelta(t, 500, part.HighWatermark, 100, "partition %d", part.Partition)
			}
			w := p.topic("t").loads(4)
			for i := range w {
				require.Zero(t, w[i].bytes.Load(), "nothing is under way any more")
			}
		})
	}
}

func TestOrderPerKeySurvivesFaults(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(5, "t"))
	var n atomic.Int64
	faults := []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas,
		kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition, kerr.NetworkException,
	}
	for i, e := range faults {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e, Count: -1,
			When: func(kmsg.Request) bool { return n.Add(1)%int64(len(faults)+13) == int64(i) }})
	}
	// And every 17th request ends with the connection.
	var m atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if m.Add(1)%17 == 0 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	cfg := testConfig(c)
	cfg.MaxMessageBytes = 1500
	p := producer(t, cfg)
	msgs := many("t", 3000, 11)
	mustSend(t, p, msgs)
	dups := requireDelivered(t, c, "t", msgs)
	t.Logf("%d arrived twice, %d batches sent again", dups, p.Stats().Retries)
	require.Positive(t, p.Stats().Retries)
}

func TestOnlyTheFailedAreReported(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(2), kfake.SeedTopics(4, "t", "u"))
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Partitions: []int32{2}, Err: kerr.NotEnoughReplicas, Count: -1})
	p := producer(t, testConfig(c))
	msgs := append(many("t", 400, 40), many("u", 100, 4)...)
	for i := range msgs {
		msgs[i].value = fmt.Sprintf("%06d", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	res, err := send(ctx, p, msgs)
	require.NoError(t, err)
	require.Len(t, res.Failed, 1)
	require.ErrorIs(t, res.Err(), kafka.NotEnoughReplicas)
	require.ErrorContains(t, res.Err(), `topic "t", partition 2`)
	failed := map[int32]bool{}
	for _, ref := range res.Failed[0].Refs {
		failed[ref] = true
	}
	require.Zero(t, c.PartitionInfo("t", 2).HighWatermark)
	arrived := append(read(t, c, "t"), read(t, c, "u")...)
	require.Equal(t, len(msgs), len(arrived)+len(failed))
	for _, r := range arrived {
		i, _ := strconv.Atoi(string(r.Value))
		require.False(t, failed[int32(i)], "message %d arrived and was reported as failed", i)
	}
	// Sent again, they all arrive, and nothing is there twice.
	h.Remove()
	var again []msg
	for i := range msgs {
		if failed[int32(i)] {
			again = append(again, msgs[i])
		}
	}
	mustSend(t, p, again)
	require.Zero(t, requireDelivered(t, c, "t", msgs))
}

func TestLeaderMoves(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, "t"))
	p := producer(t, testConfig(c))
	all := many("t", 2000, 9)
	for i := 0; i < len(all); i += 100 {
		mustSend(t, p, all[i:i+100])
		c.ShufflePartitionLeaders()
	}
	require.Zero(t, requireDelivered(t, c, "t", all))
	require.Positive(t, p.Stats().Retries, "a moved leader must have been met")
}

func TestBrokerGoesAndComesBack(t *testing.T) {
	dir := t.TempDir()
	c := cluster(t, kfake.SeedTopics(3, "t"), kfake.DataDir(dir))
	p := producer(t, testConfig(c))
	all := many("t", 300, 9)
	mustSend(t, p, all[:100])

	_, portText, err := net.SplitHostPort(c.ListenAddrs()[0])
	require.NoError(t, err)
	port, err := strconv.Atoi(portText)
	require.NoError(t, err)
	c.Close()

	// While it is away, everything comes back with the reason.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	res, err := send(ctx, p, all[100:200])
	require.NoError(t, err)
	require.Error(t, res.Err())
	refs := 0
	for _, f := range res.Failed {
		refs += len(f.Refs)
	}
	require.Equal(t, 100, refs)

	// A request that is under way when it comes back gets through.
	done := make(chan Result, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		res, _ := send(ctx, p, all[100:])
		done <- res
	}()
	c2 := cluster(t, kfake.DataDir(dir), kfake.Ports(port))
	res = <-done
	require.NoError(t, res.Err())
	require.Zero(t, requireDelivered(t, c2, "t", all))
}

func TestBrokerIsReplaced(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, "t"))
	p := producer(t, testConfig(c))
	all := many("t", 600, 9)
	mustSend(t, p, all[:200])
	require.NoError(t, c.RemoveNode(1))
	mustSend(t, p, all[200:400])
	_, _, err := c.AddNode(7, 0)
	require.NoError(t, err)
	require.NoError(t, c.MoveTopicPartition("t", 0, 7))
	mustSend(t, p, all[400:])
	requireDelivered(t, c, "t", all)
}

func TestPartitionIsAdded(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "t"))
	cfg := testConfig(c)
	cfg.RefreshInterval = 20 * time.Millisecond
	p := producer(t, cfg)
	var all []msg
	part := func() []msg {
		next := many("t", 20, 20)
		for i := range next {
			next[i].value = fmt.Sprintf("%06d", len(all)+i)
		}
		all = append(all, next...)
		return next
	}
	mustSend(t, p, part())

	admin, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer admin.Close()
	req := kmsg.NewPtrCreatePartitionsRequest()
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = "t", 4
	req.Topics = append(req.Topics, rt)
	_, err = req.RequestWith(t.Context(), admin)
	require.NoError(t, err)

	deadline := time.Now().Add(20 * time.Second)
	for c.PartitionInfo("t", 3).HighWatermark == 0 {
		require.True(t, time.Now().Before(deadline), "the new partition is never used")
		mustSend(t, p, part())
	}
	seen := map[string]bool{}
	for _, r := range read(t, c, "t") {
		seen[string(r.Value)] = true
	}
	require.Len(t, seen, len(all))
}

func TestTopicIsMissing(t *testing.T) {
	t.Run("made on demand", func(t *testing.T) {
		for _, only := range []string{"", "t"} {
			c := cluster(t, kfake.AllowAutoTopicCreation())
			cfg := testConfig(c)
			cfg.AutoCreate, cfg.OnlyTopic = true, only
			p := producer(t, cfg)
			mustSend(t, p, many("t", 50, 5))
			require.Zero(t, requireDelivered(t, c, "t", many("t", 50, 5)))
		}
	})
	for _, auto := range []bool{false, true} {
		t.Run(fmt.Sprintf("not there, asked for: %v", auto), func(t *testing.T) {
			c := cluster(t)
			cfg := testConfig(c)
			cfg.AutoCreate = auto
			p := producer(t, cfg)
			msgs := many("t", 50, 5)
			res, err := send(within(t, 200*time.Millisecond), p, msgs)
			require.NoError(t, err)
			require.Len(t, res.Failed, 1)
			require.Len(t, res.Failed[0].Refs, 50)
			require.ErrorContains(t, res.Err(), `topic "t"`)
			if auto {
				require.ErrorContains(t, res.Err(), "auto.create.topics.enable")
			} else {
				require.ErrorContains(t, res.Err(), "allow_auto_topic_creation")
			}
			require.NoError(t, c.CreateTopic("t", 2, nil))
			mustSend(t, p, msgs)
			require.Zero(t, requireDelivered(t, c, "t", msgs))
		})
	}
}

// Topics that are not there leave time to deliver to the others.
func TestMissingTopicsDoNotHoldUpTheOthers(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "t"))
	p := producer(t, testConfig(c))
	msgs := append(many("gone1", 5, 0), many("gone2", 5, 0)...)
	msgs = append(msgs, many("t", 10, 0)...)
	ctx := within(t, time.Second)
	deadline, _ := ctx.Deadline()
	var left atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		left.Store(int64(time.Until(deadline)))
		return nil, nil, false
	})
	res, err := send(ctx, p, msgs)
	require.NoError(t, err)
	require.ErrorContains(t, res.Err(), "gone1")
	require.ErrorContains(t, res.Err(), "gone2")
	require.Len(t, res.Failed, 2)
	require.Len(t, read(t, c, "t"), 10)
	require.Greater(t, time.Duration(left.Load()), 100*time.Millisecond, "time that was left for the topic that is there")
}

func TestTopicGoesAndComesBackSmaller(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(8, "t"))
	p := producer(t, testConfig(c))
	mustSend(t, p, many("t", 50, 20))
	r := p.NewRequest(within(t, 5*time.Second))
	msgs := many("t", 200, 50)
	for i, m := range msgs {
		require.NoError(t, r.Add("t", []byte(m.key), []byte(m.value), Headers{}, m.ms, int32(i)))
	}
	require.NoError(t, c.DeleteTopic("t"))
	require.NoError(t, c.CreateTopic("t", 2, nil))
	res := r.Send(within(t, 5*time.Second))
	require.Error(t, res.Err())
	var again []msg
	for _, f := range res.Failed {
		for _, ref := range f.Refs {
			again = append(again, msgs[ref])
		}
	}
	mustSend(t, p, again)
	seen := map[string]bool{}
	for _, r := range read(t, c, "t") {
		seen[string(r.Value)] = true
	}
	require.Len(t, seen, len(msgs))
}

func TestQuotaIsRespected(t *testing.T) {
	const pause = 150 * time.Millisecond
	c := cluster(t, kfake.SeedTopics(1, "t"))
	var mu sync.Mutex
	var arrivals []time.Time
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		arrivals = append(arrivals, time.Now())
		if len(arrivals) > 1 {
			return nil, nil, false
		}
		// Over quota: not taken, come back later.
		res := req.ResponseKind().(*kmsg.ProduceResponse)
		res.ThrottleMillis = int32(pause.Milliseconds())
		for _, rt := range req.(*kmsg.ProduceRequest).Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.ThrottlingQuotaExceeded.Code
				st.Partitions = append(st.Partitions, sp)
			}
			res.Topics = append(res.Topics, st)
		}
		return res, nil, true
	})
	p := producer(t, testConfig(c))
	mustSend(t, p, many("t", 10, 0))
	require.Zero(t, requireDelivered(t, c, "t", many("t", 10, 0)))
	require.Len(t, arrivals, 2)
	require.GreaterOrEqual(t, arrivals[1].Sub(arrivals[0]), pause-5*time.Millisecond)
	require.Equal(t, pause, p.Stats().Throttled)
}

func TestBrokerTakesLessThanWeThink(t *testing.T) {
	c := cluster(t)
	limit := "4000"
	require.NoError(t, c.CreateTopic("t", 2, map[string]string{"max.message.bytes": limit}))
	p := producer(t, testConfig(c))
	msgs := many("t", 3000, 9)
	msgs[1500].value = strings.Repeat("x", 5000)
	res, err := send(within(t, 20*time.Second), p, msgs)
	require.NoError(t, err)
	require.NoError(t, res.Err())
	require.Len(t, res.Rejected, 1)
	require.ErrorIs(t, res.Rejected[0].Err, kafka.MessageSizeTooLarge)
	require.Equal(t, []int32{1500}, res.Rejected[0].Refs)
	require.Zero(t, requireDelivered(t, c, "t", append(msgs[:1500:1500], msgs[1501:]...)))
	splits := p.Stats().Splits
	require.Positive(t, splits)
	// It has learned: the same again needs no split.
	msgs = many("t", 3000, 9)
	mustSend(t, p, msgs)
	require.Equal(t, splits, p.Stats().Splits)
}

func TestRejectedRecords(t *testing.T) {
	poison := func(t *testing.T, req kmsg.Request) (res *kmsg.ProduceResponse, indices []int32) {
		r := req.(*kmsg.ProduceRequest)
		require.Len(t, r.Topics, 1)
		rp := r.Topics[0].Partitions[0]
		var rb kmsg.RecordBatch
		require.NoError(t, rb.ReadFrom(rp.Records))
		recs, err := kfake.BatchRecords(rb)
		require.NoError(t, err)
		for i, rec := range recs {
			if strings.HasPrefix(string(rec.Value), "bad") {
				indices = append(indices, int32(i))
			}
		}
		res = req.ResponseKind().(*kmsg.ProduceResponse)
		st := kmsg.NewProduceResponseTopic()
		st.Topic = r.Topics[0].Topic
		sp := kmsg.NewProduceResponseTopicPartition()
		sp.Partition, sp.ErrorCode = rp.Partition, kerr.InvalidTimestamp.Code
		st.Partitions = append(st.Partitions, sp)
		res.Topics = append(res.Topics, st)
		return res, indices
	}
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprintf("broker names them: %v", named), func(t *testing.T) {
			c := cluster(t, kfake.SeedTopics(1, "t"))
			requests := 0
			c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				requests++
				res, indices := poison(t, req)
				if len(indices) == 0 {
					return nil, nil, false
				}
				if named {
					for _, i := range indices {
						e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
						e.RelativeOffset = i
						res.Topics[0].Partitions[0].ErrorRecords = append(res.Topics[0].Partitions[0].ErrorRecords, e)
					}
				}
				return res, nil, true
			})
			p := producer(t, testConfig(c))
			msgs := many("t", 100, 0)
			msgs[17].value, msgs[18].value, msgs[99].value = "bad1", "bad2", "bad3"
			res, err := send(within(t, 10*time.Second), p, msgs)
			require.NoError(t, err)
			require.NoError(t, res.Err())
			var refs []int32
			for _, r := range res.Rejected {
				require.ErrorIs(t, r.Err, kafka.InvalidTimestamp)
				refs = append(refs, r.Refs...)
			}
			require.ElementsMatch(t, []int32{17, 18, 99}, refs)
			require.Len(t, read(t, c, "t"), 97)
			if named {
				require.Equal(t, 2, requests)
			}
		})
	}
	t.Run("all of them, so it is the topic", func(t *testing.T) {
		c := cluster(t, kfake.SeedTopics(1, "t"))
		c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			res, _ := poison(t, req)
			for i := range 100 {
				e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
				e.RelativeOffset = int32(i)
				res.Topics[0].Partitions[0].ErrorRecords = append(res.Topics[0].Partitions[0].ErrorRecords, e)
			}
			return res, nil, true
		})
		p := producer(t, testConfig(c))
		res, err := send(within(t, 10*time.Second), p, many("t", 100, 0))
		require.NoError(t, err)
		require.Empty(t, res.Rejected)
		require.Len(t, res.Failed[0].Refs, 100)
	})
}

func TestSilentBroker(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "t"))
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, nil, true // takes the request and never answers
	})
	p := producer(t, testConfig(c))
	msgs := many("t", 10, 0)
	res, err := send(within(t, 200*time.Millisecond), p, msgs)
	require.NoError(t, err)
	require.Len(t, res.Failed, 1)
	err = res.Err()
	require.True(t, errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded), "%v", err)
	mustSend(t, p, msgs)
	require.Zero(t, requireDelivered(t, c, "t", msgs))
}

// lossy loses the next answer when it is told to, and the connection with it.
type lossy struct {
	net.Conn
	lose *atomic.Bool
}

func (c lossy) Write(b []byte) (int, error) {
	if c.lose.CompareAndSwap(true, false) {
		return 0, errors.Join(net.ErrClosed, c.Close())
	}
	return c.Conn.Write(b)
}

type lossyListener struct {
	net.Listener
	lose *atomic.Bool
}

func (l lossyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return lossy{c, l.lose}, nil
}

// What the broker has written without being able to say so arrives again, in
// the same order, and nothing is lost.
func TestAnswerIsLost(t *testing.T) {
	var lose atomic.Bool
	c := cluster(t, kfake.SeedTopics(1, "t"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return lossyListener{l, &lose}, err
	}))
	var n atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		lose.Store(n.Add(1) == 2)
		return nil, nil, false // carried out
	})
	cfg := testConfig(c)
	cfg.MaxMessageBytes = 1500
	msgs := many("t", 100, 3)
	mustSend(t, producer(t, cfg), msgs)
	require.Positive(t, requireDelivered(t, c, "t", msgs), "the second batch is there twice")
}

func TestADeadAddressAmongTheBrokers(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "t"))
	port, err := freeport.Get()
	require.NoError(t, err)
	dead := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cfg := testConfig(c)
	cfg.Brokers = append([]string{dead, dead}, cfg.Brokers...)
	p := producer(t, cfg)
	mustSend(t, p, many("t", 10, 0))
}

func TestAcks(t *testing.T) {
	for _, acks := range []int{-1, 0, 1} {
		c := cluster(t, kfake.SeedTopics(1, "t"))
		got := make(chan int16, 1)
		c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			got <- req.(*kmsg.ProduceRequest).Acks
			return nil, nil, false
		})
		cfg := testConfig(c)
		cfg.Acks = acks
		mustSend(t, producer(t, cfg), many("t", 1, 0))
		require.EqualValues(t, acks, <-got)
	}
}

func TestTooLargeForUs(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "t"))
	cfg := testConfig(c)
	cfg.MaxMessageBytes = 1500
	p := producer(t, cfg)
	r := p.NewRequest(within(t, time.Second))
	require.ErrorIs(t, r.Add("t", nil, make([]byte, 1500), Headers{}, 1, 0), ErrTooLarge)
	require.NoError(t, r.Add("t", nil, make([]byte, 1400), Headers{}, 1, 1))
	res := r.Send(within(t, 5*time.Second))
	require.NoError(t, res.Err())
	require.Len(t, read(t, c, "t"), 1)
}

func tlsPair(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: pool}
}

func TestTLSAndSASL(t *testing.T) {
	server, client := tlsPair(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := cluster(t, kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser(mechanism, "pmta", "correct horse"), kfake.SeedTopics(2, "t"))
			cfg := testConfig(c)
			cfg.TLS = client
			cfg.SASL = &SASL{mechanism, "pmta", "correct horse"}
			mustSend(t, producer(t, cfg), many("t", 100, 5))
			sum := int64(0)
			for _, p := range c.PartitionInfos("t") {
				sum += p.HighWatermark
			}
			require.EqualValues(t, 100, sum)

			cfg.SASL = &SASL{mechanism, "pmta", "wrong battery"}
			res, err := send(within(t, 300*time.Millisecond), producer(t, cfg), many("t", 1, 0))
			require.NoError(t, err)
			require.Error(t, res.Err())
			require.NotContains(t, res.Err().Error(), "battery")
		})
	}
	t.Run("refused as a real broker does", func(t *testing.T) {
		c := cluster(t, kfake.EnableSASL(), kfake.SeedTopics(1, "t"))
		c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			res := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			res.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return res, nil, true
		})
		cfg := testConfig(c)
		cfg.SASL = &SASL{"SCRAM-SHA-256", "admin", "wrong battery"}
		// A wrong password is no reason to go on until the deadline.
		res, err := send(within(t, time.Hour), producer(t, cfg), many("t", 1, 0))
		require.NoError(t, err)
		require.ErrorIs(t, res.Err(), kafka.SASLAuthenticationFailed)
	})
	t.Run("unknown authority", func(t *testing.T) {
		c := cluster(t, kfake.TLS(server), kfake.SeedTopics(1, "t"))
		cfg := testConfig(c)
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
		res, err := send(within(t, 200*time.Millisecond), producer(t, cfg), many("t", 1, 0))
		require.NoError(t, err)
		require.ErrorContains(t, res.Err(), "certificate")
	})
}

// What somebody has to mend is said in terms of the settings.
func TestErrorsNameTheFix(t *testing.T) {
	server, trusted := tlsPair(t)
	stranger := trusted.Clone()
	stranger.ServerName = "other.example.org"
	login := &SASL{"SCRAM-SHA-512", "pmta", "wrong battery"}
	withLogin := func() *kfake.Cluster {
		return cluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "pmta", "correct horse"), kfake.SeedTopics(1, "t"))
	}
	refuse := func(key kmsg.Key, e *kerr.Error) *kfake.Cluster {
		c := withLogin()
		c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			switch res := req.ResponseKind().(type) {
			case *kmsg.SASLAuthenticateResponse:
				res.ErrorCode = e.Code
				return res, nil, true
			case *kmsg.SASLHandshakeResponse:
				res.ErrorCode = e.Code
				return res, nil, true
			}
			return nil, nil, false
		})
		return c
	}
	unseen := cluster(t)
	unseen.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		unseen.KeepControl()
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		host, port, err := net.SplitHostPort(unseen.ListenAddrs()[0])
		require.NoError(t, err)
		n, err := strconv.Atoi(port)
		require.NoError(t, err)
		b := kmsg.NewMetadataResponseBroker()
		b.Host, b.Port = host, int32(n)
		res.Brokers = append(res.Brokers, b)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.ErrorCode = kmsg.StringPtr("t"), kerr.TopicAuthorizationFailed.Code
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
	acl := cluster(t, kfake.SeedTopics(1, "t"))
	acl.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	for name, tc := range map[string]struct {
		c    *kfake.Cluster
		tls  *tls.Config
		sasl *SASL
		want string
	}{
		"wrong password":      {refuse(kmsg.SASLAuthenticate, kerr.SaslAuthenticationFailed), nil, login, "check auth::sasl::username, password and mechanism"},
		"hangs up on a login": {withLogin(), nil, login, "check auth::sasl::username and password"},
		"mechanism":           {refuse(kmsg.SASLHandshake, kerr.UnsupportedSaslMechanism), nil, login, "have no SCRAM-SHA-512; set auth::sasl::mechanism"},
		"no login":            {withLogin(), nil, nil, "set tls or auth::sasl"},
		"no TLS":              {cluster(t, kfake.TLS(server)), nil, nil, "set tls or auth::sasl"},
		"authority":           {cluster(t, kfake.TLS(server)), &tls.Config{RootCAs: x509.NewCertPool()}, nil, "set tls::ca_file"},
		"name":                {cluster(t, kfake.TLS(server)), stranger, nil, "tls::server_name_override"},
		"TLS to a plain port": {cluster(t), trusted, nil, "remove tls"},
		"ACL for writing":     {acl, nil, nil, "the ACLs Describe and Write"},
		"ACL for seeing":      {unseen, nil, nil, "the ACLs Describe and Write"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(tc.c)
			cfg.TLS, cfg.SASL, cfg.OnlyTopic = tc.tls, tc.sasl, "t"
			cfg.DialTimeout = 200 * time.Millisecond
			res, err := send(within(t, 500*time.Millisecond), producer(t, cfg), many("t", 1, 0))
			require.NoError(t, err)
			require.ErrorContains(t, res.Err(), tc.want)
			require.Equal(t, 1, strings.Count(res.Err().Error(), tc.want))
			require.NotContains(t, res.Err().Error(), "battery")
		})
	}
}

// A name that cannot be resolved is either in brokers, or the brokers gave it.
func TestAdvertisedNames(t *testing.T) {
	c := producer(t, Config{
		Brokers: []string{"kafka.example.com:9092"}, DialTimeout: time.Second, IdleTimeout: time.Second, RefreshInterval: time.Second,
		MaxMessageBytes: 1024, BackoffMin: 1, BackoffMax: 1,
	}).client
	require.Contains(t, c.hint(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "kafka-0.internal"}}), "advertised.listeners")
	require.Empty(t, c.hint(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "kafka.example.com"}}))
	require.Contains(t, c.hint(io.EOF), "set tls")
	c.known.Store(true)
	require.Empty(t, c.hint(io.EOF), "it worked before")
}

func TestConcurrentRequestsOverMovingLeaders(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, "t"))
	cfg := testConfig(c)
	cfg.Partitioner = LeastBytes
	p := producer(t, cfg)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		wg.Go(func() {
			for i := range 20 {
				msgs := many("t", 50, 0)
				for j := range msgs {
					msgs[j].value = fmt.Sprintf("%d-%d-%d", w, i, j)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				res, err := send(ctx, p, msgs)
				cancel()
				errs[w] = errors.Join(errs[w], err, res.Err())
				if i%5 == 0 {
					c.ShufflePartitionLeaders()
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	seen := map[string]bool{}
	for _, r := range read(t, c, "t") {
		seen[string(r.Value)] = true
	}
	require.Len(t, seen, 8*20*50)
}
