package kafkaout

import (
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// decode reads a sealed batch by means of another library.
func decode(t *testing.T, b *batch) []kmsg.Record {
	t.Helper()
	var rb kmsg.RecordBatch
	require.NoError(t, rb.ReadFrom(b.sealed[sizePrefix:]))
	require.EqualValues(t, len(b.sealed)-sizePrefix-12, rb.Length)
	require.EqualValues(t, len(b.refs), rb.NumRecords)
	require.EqualValues(t, len(b.refs)-1, rb.LastOffsetDelta)
	require.EqualValues(t, b.base, rb.FirstTimestamp)
	require.EqualValues(t, b.max, rb.MaxTimestamp)
	recs, err := kfake.BatchRecords(rb)
	require.NoError(t, err)
	return recs
}

// A batch that is taken apart has the same records as before, whatever their
// shape, and each part is a valid batch.
func TestPickKeepsRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	bytesOf := func(n int) []byte {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for range 300 {
		kind := Compression(rng.IntN(5))
		z, err := newCodec(kind, 0)
		require.NoError(t, err)
		type rec struct {
			ms         int64
			key, value []byte
			headers    int
		}
		var in []rec
		var b batch
		for i := range 1 + rng.IntN(200) {
			r := rec{ms: rng.Int64N(1 << 41), value: bytesOf(300), headers: rng.IntN(3)}
			if rng.IntN(3) > 0 {
				r.key = bytesOf(80)
			}
			var h []Header
			for range r.headers {
				h = append(h, Header{"service.name", bytesOf(70)})
			}
			in = append(in, r)
			b.add(r.ms, r.key, r.value, EncodeHeaders(h).bytes(), int32(i))
		}
		var left, right batch
		mask := make([]bool, len(in))
		for i := range mask {
			mask[i] = rng.IntN(2) == 0
		}
		b.pick(&left, func(i int) bool { return mask[i] })
		b.pick(&right, func(i int) bool { return !mask[i] })
		require.Equal(t, len(in), len(left.refs)+len(right.refs))
		for _, part := range []*batch{&b, &left, &right} {
			if len(part.refs) == 0 {
				continue
			}
			require.NoError(t, part.seal(z))
			for i, r := range decode(t, part) {
				want := in[part.refs[i]]
				require.Equal(t, want.ms, part.base+r.TimestampDelta64)
				require.EqualValues(t, i, r.OffsetDelta)
				require.Equal(t, want.key, r.Key)
				require.Equal(t, string(want.value), string(r.Value))
				require.Len(t, r.Headers, want.headers)
			}
		}
	}
}

func TestVarintLen(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 8191, 8192, 1 << 40, -1 << 62} {
		var b batch
		b.add(0, nil, nil, noHeaders, 0)
		b.add(v, []byte("k"), []byte("v"), noHeaders, 1)
		z, _ := newCodec(None, 0)
		require.NoError(t, b.seal(z))
		require.Len(t, decode(t, &b), 2, v)
	}
}

// Keys must land where clients of other makers put them.
func TestPartitionersAgreeWithOthers(t *testing.T) {
	java := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	sarama := kgo.StickyKeyPartitioner(kgo.SaramaCompatHasher(func(b []byte) uint32 {
		h := fnv.New32a()
		_, _ = h.Write(b)
		return h.Sum32()
	})).ForTopic("t")
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 3, 12, 50} {
		w := &topicWork{state: newTopicState("t"), parts: make([]int, n), keep: -1}
		for i := range w.parts {
			w.parts[i] = i
		}
		for range 1000 {
			key := make([]byte, 1+rng.IntN(30))
			for i := range key {
				key[i] = byte(rng.Uint32())
			}
			require.Equal(t, java.Partition(&kgo.Record{Key: key}, n), w.choose(Murmur2, key, 0))
			require.Equal(t, sarama.Partition(&kgo.Record{Key: key}, n), w.choose(SaramaFNV, key, 0))
		}
	}
	// Fixed points, so that both could not change together: the Java client's
	// own test of its hash, toPositive(murmur2("21")) = -973932308 & max.
	b := kafka.Murmur2Balancer{Consistent: true}
	parts := make([]int, 1000)
	for i := range parts {
		parts[i] = i
	}
	require.Equal(t, int(uint32(0x7fffffff)&uint32(0xffffffff-973932308+1))%1000, b.Balance(kafka.Message{Key: []byte("21")}, parts...))
}

func TestParseCompression(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		got, err := ParseCompression(c.String())
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	_, err := ParseCompression("brotli")
	require.ErrorContains(t, err, "use none, gzip")
}
