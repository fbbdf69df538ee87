package mailenrich

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich/internal/metadata"
)

const (
	// benchBatch is how many records a batch has: what the receiver makes of
	// one read of a file.
	benchBatch = 400
	// benchPiece is how many are made at a time, while the clock stands.
	benchPiece = 4000
)

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

// benchmark measures process on simulated traffic, per record: wall time, and
// as cpu-ns/op the processor time with what the garbage collector takes.
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
	files := pieces(simulated(), benchPiece)
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	var cpu time.Duration
	done := 0
	for i := 0; done < b.N; i++ {
		in := &batches{size: benchBatch, spare: spare, lines: files[i%len(files)]}
		decodeInto(in)
		runtime.GC() // what making the records left is not to be paid here
		before := cpuTime()
		b.StartTimer()
		for _, l := range in.out {
			if _, err := p.process(ctx, l); err != nil {
				b.Fatal(err)
			}
			done += benchBatch
		}
		b.StopTimer()
		cpu += cpuTime() - before
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(done), "cpu-ns/op")
}

const benchDimensions = `dimensions: {file: testdata/dimensions.csv}`

func BenchmarkEnrich(b *testing.B) {
	benchmark(b, "{ledger: {enabled: false}, "+benchDimensions+"}", nil, 0)
}

func BenchmarkEnrichLedger(b *testing.B) { benchmark(b, "{"+benchDimensions+"}", nil, 0) }

// With room for more attributes left by whoever made the records.
func BenchmarkEnrichLedgerSpare(b *testing.B) { benchmark(b, "{"+benchDimensions+"}", nil, 12) }

func BenchmarkEnrichLedgerStorage(b *testing.B) {
	benchmark(b, "{storage: file_storage, "+benchDimensions+"}", storageHost(b, b.TempDir()), 0)
}

func BenchmarkEnrichLedgerRepair(b *testing.B) {
	benchmark(b, "{repair: {directory: "+filepath.Join(b.TempDir(), "w")+"}, "+benchDimensions+"}", nil, 0)
}

func BenchmarkEnrichPrivacy(b *testing.B) {
	for _, mode := range []string{"siphash", "hmac-sha256"} {
		b.Run(mode, func(b *testing.B) {
			benchmark(b, "{ledger: {enabled: false}, privacy: {mode: "+mode+", key: 0123456789abcdef}, "+benchDimensions+"}", nil, 0)
		})
	}
}
