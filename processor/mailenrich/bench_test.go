package mailenrich

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich/internal/metadata"
)

const benchBatch = 400

// benchmark measures process on simulated traffic, per record. Batches are
// made while the clock stands.
func benchmark(b *testing.B, text string, host component.Host) {
	cfg := mustLoad(b, text)
	p, err := newProcessor(processortest.NewNopSettings(metadata.Type), cfg)
	require.NoError(b, err)
	if host == nil {
		host = componenttest.NewNopHost()
	}
	ctx := context.Background()
	require.NoError(b, p.start(ctx, host))
	defer func() { require.NoError(b, p.shutdown(ctx)) }()
	csv := simulated()
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for n := 0; n < b.N; {
		batches := decode(csv, benchBatch)
		runtime.GC()
		b.StartTimer()
		for _, l := range batches {
			if n += benchBatch; n-benchBatch >= b.N {
				break
			}
			if _, err := p.process(ctx, l); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
	}
}

const benchDimensions = `dimensions: {file: testdata/dimensions.csv}`

func BenchmarkEnrich(b *testing.B) {
	benchmark(b, "{ledger: {enabled: false}, "+benchDimensions+"}", nil)
}

func BenchmarkEnrichLedger(b *testing.B) { benchmark(b, "{"+benchDimensions+"}", nil) }

func BenchmarkEnrichLedgerStorage(b *testing.B) {
	host := storageHost(b, b.TempDir())
	benchmark(b, "{storage: file_storage, "+benchDimensions+"}", host)
}

func BenchmarkEnrichLedgerRepair(b *testing.B) {
	benchmark(b, "{repair: {directory: "+filepath.Join(b.TempDir(), "w")+"}, "+benchDimensions+"}", nil)
}

func BenchmarkEnrichPrivacy(b *testing.B) {
	for _, mode := range []string{"siphash", "hmac-sha256"} {
		b.Run(mode, func(b *testing.B) {
			benchmark(b, "{ledger: {enabled: false}, privacy: {mode: "+mode+", key: 0123456789abcdef}, "+benchDimensions+"}", nil)
		})
	}
}

