package kafkaout

import (
	"fmt"
	"testing"

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
)

// BenchmarkFrame is the way of a message from its bytes to a batch ready to be
// sent: key, partition, record, compression, checksum.
func BenchmarkFrame(b *testing.B) {
	const n = 250
	values, keys := make([][]byte, n), make([][]byte, n)
	size := 0
	for i := range values {
		keys[i] = fmt.Appendf(nil, "domain%d.example", i%40)
		v := fmt.Appendf(nil, `{"@timestamp":"2026-01-31T10:00:%02dZ","log.record.uid":"%032x"`, i%60, i*7919)
		for j := range 30 {
			v = jsontext.AppendString(append(v, ','), fmt.Sprintf("pmta.attribute.%d", j))
			v = jsontext.AppendString(append(v, ':'), fmt.Sprintf("value %d", (i*j)%97))
		}
		values[i] = append(v, '}')
		size += len(values[i])
	}
	for kind := None; kind <= Zstd; kind++ {
		b.Run(kind.String(), func(b *testing.B) {
			p, err := New(Config{Brokers: []string{"localhost:1"}, DialTimeout: 1, IdleTimeout: 1, RefreshInterval: 1,
				MaxMessageBytes: 1e6, BackoffMin: 1, BackoffMax: 1, Compression: kind})
			if err != nil {
				b.Fatal(err)
			}
			headers := EncodeHeaders([]Header{{"service.name", []byte("pmta")}})
			state := newTopicState("t")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r := p.NewRequest(b.Context())
				w := &topicWork{state: state, keep: -1, queues: make([]*queue, 3), parts: []int{0, 1, 2}, loads: state.loads(3)}
				r.topics["t"], r.last = w, w
				for i := range values {
					if err := r.Add("t", keys[i], values[i], headers, 1, int32(i)); err != nil {
						b.Fatal(err)
					}
				}
				for _, q := range w.queues {
					for _, batch := range q.batches {
						if err := batch.seal(p.codec); err != nil {
							b.Fatal(err)
						}
						p.batches.Put(batch)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
		})
	}
}
