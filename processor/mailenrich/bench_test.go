package mailenrich

import (
	"context"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich/internal/metadata"
)

// benchBatch is how many records a batch has: what the receiver makes of one
// read of a file.
const benchBatch = 400

// spare is the room that the receiver leaves for the attributes of processors.
const spare = 20

// pieces cuts an accounting file into files of n records.
func pieces(csv string, n int) (out []string) {
	header, rows, _ := strings.Cut(csv, "\n")
	lines := strings.SplitAfter(rows, "\n")
	for len(lines) >= n {
		out = append(out, header+"\n"+strings.Join(lines[:n], ""))
		lines = lines[n:]
	}
	return out
}

// benchmark measures process on simulated traffic, per record. A batch is made
// and handed over at once, as the receiver does, so it is in the caches; what
// making it costs is not counted. ns/op is wall time, cpu-ns/op the processor
// time of the thread, which other work on the machine does not change as much.
func benchmark(b *testing.B, text string, host component.Host, spare int) {
	cfg := mustLoad(b, text)
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
	require.NoError(b, err)
	if host == nil {
		host = componenttest.NewNopHost()
	}
	ctx := context.Background()
	require.NoError(b, p.start(ctx, host))
	defer func() { require.NoError(b, p.shutdown(ctx)) }()
	files := pieces(simulated(), benchBatch)
	heap := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/allocs:objects"}}
	var wall, cpu time.Duration
	var bytes, objects uint64
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done := 0
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; done < b.N; i++ {
		in := &batches{size: benchBatch, spare: spare, lines: files[i%len(files)]}
		decodeInto(in)
		metrics.Read(heap)
		bytes, objects = bytes-heap[0].Value.Uint64(), objects-heap[1].Value.Uint64()
		cpu -= threadTime()
		began := time.Now()
		if _, err := p.process(ctx, in.out[0]); err != nil {
			b.Fatal(err)
		}
		wall += time.Since(began)
		cpu += threadTime()
		metrics.Read(heap)
		bytes, objects = bytes+heap[0].Value.Uint64(), objects+heap[1].Value.Uint64()
		done += benchBatch
	}
	per := float64(done)
	b.ReportMetric(float64(wall.Nanoseconds())/per, "ns/op")
	b.ReportMetric(float64(cpu.Nanoseconds())/per, "cpu-ns/op")
	b.ReportMetric(float64(bytes)/per, "B/op")
	b.ReportMetric(float64(objects)/per, "allocs/op")
}

const benchDimensions = `dimensions: {file: testdata/dimensions.csv}`

func BenchmarkEnrich(b *testing.B) {
	benchmark(b, "{ledger: {enabled: false}, "+benchDimensions+"}", nil, spare)
}

// Records that nobody left room in, as those from the network: all attributes
// of a record are moved.
func BenchmarkEnrichNoSpare(b *testing.B) {
	benchmark(b, "{ledger: {enabled: false}, "+benchDimensions+"}", nil, 0)
}

func BenchmarkEnrichLedger(b *testing.B) { benchmark(b, "{"+benchDimensions+"}", nil, spare) }

func BenchmarkEnrichLedgerNoSpare(b *testing.B) { benchmark(b, "{"+benchDimensions+"}", nil, 0) }

func BenchmarkEnrichLedgerStorage(b *testing.B) {
	benchmark(b, "{storage: file_storage, "+benchDimensions+"}", storageHost(b, b.TempDir()), spare)
}

func BenchmarkEnrichLedgerRepair(b *testing.B) {
	benchmark(b, "{repair: {directory: "+filepath.Join(b.TempDir(), "w")+"}, "+benchDimensions+"}", nil, spare)
}

func BenchmarkEnrichPrivacy(b *testing.B) {
	for _, mode := range []string{"siphash", "hmac-sha256"} {
		b.Run(mode, func(b *testing.B) {
			benchmark(b, "{ledger: {enabled: false}, privacy: {mode: "+mode+", key: 0123456789abcdef}, "+benchDimensions+"}", nil, spare)
		})
	}
}
