package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/otelcol-pmta/otelcol-pmta/internal/esbulk"
	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/estest"
	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

// sink is a node that accepts at once. It stands in for the network by the
// way of an authentication extension, so that all of the exporter is in the
// measurement and nothing of a server.
type sink struct {
	component.StartFunc
	component.ShutdownFunc
	documents int
	answer    []byte
}

var sinkID = component.MustNewID("sink")

func newSink(documents int) *sink {
	var b bytes.Buffer
	b.WriteString(`{"errors":false,"items":[`)
	for i := range documents {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"create":{"status":201}}`)
	}
	b.WriteString(`]}`)
	return &sink{documents: documents, answer: b.Bytes()}
}

func (s *sink) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{sinkID: s}
}

func (s *sink) RoundTripper(http.RoundTripper) (http.RoundTripper, error) { return s, nil }

func (s *sink) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.answer)), Request: r}, err
}

func benchConfig(b *testing.B, mode string, compression configcompression.Type) *Config {
	cfg := testConfig(b, "http://127.0.0.1:1")
	cfg.ClientConfig.Auth = configoptional.Some(configauth.Config{AuthenticatorID: sinkID})
	cfg.ClientConfig.Compression = compression
	cfg.Mapping.Mode = mode
	return cfg
}

const benchRecords = 1000

// loop runs the benchmark and reports the CPU time of a document on all cores,
// garbage collection included, which other programs on the machine do not
// change.
func loop(b *testing.B, documents int, fn func() error) {
	if err := fn(); err != nil { // fills caches and pools
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		if err := fn(); err != nil {
			b.Fatal(err)
		}
	}
	ns := float64((cpuTime() - before).Nanoseconds()) / float64(b.N) / float64(documents)
	b.ReportMetric(ns, "cpu-ns/doc")
	b.ReportMetric(1e9/ns, "docs/cpu-s")
}

// BenchmarkPush is the whole exporter: rendering, bulk body, gzip, HTTP client
// up to the wire, reading the answer.
func BenchmarkPush(b *testing.B) {
	for _, mode := range estemplate.Modes {
		for _, compression := range []configcompression.Type{"gzip", "none"} {
			b.Run(mode+"/"+string(compression), func(b *testing.B) {
				e := start(b, benchConfig(b, mode, compression), newSink(benchRecords))
				ld := simulated(b, benchRecords)
				loop(b, benchRecords, func() error { return e.ConsumeLogs(context.Background(), ld) })
			})
		}
	}
}

// documents renders the simulated records.
func documents(tb testing.TB, mode string) [][]byte {
	s := estest.New(tb)
	cfg := testConfig(tb, s.URL)
	cfg.Mapping.Mode = mode
	require.NoError(tb, start(tb, cfg, nil).ConsumeLogs(context.Background(), simulated(tb, benchRecords)))
	var out [][]byte
	for _, d := range s.Docs() {
		out = append(out, d.Source)
	}
	return out
}

// BenchmarkEncodingJSON is the yardstick: encoding/json for the same documents
// as maps that are there already, into one buffer; with gzip, as the exporter
// compresses. Nothing is sent.
func BenchmarkEncodingJSON(b *testing.B) {
	for _, mode := range estemplate.Modes {
		var maps []map[string]any
		for _, d := range documents(b, mode) {
			var m map[string]any
			require.NoError(b, json.Unmarshal(d, &m))
			maps = append(maps, m)
		}
		for _, compression := range []string{"gzip", "none"} {
			b.Run(mode+"/"+compression, func(b *testing.B) {
				var body, wire bytes.Buffer
				zw, err := gzip.NewWriterLevel(&wire, 1)
				require.NoError(b, err)
				loop(b, len(maps), func() error {
					body.Reset()
					enc := json.NewEncoder(&body)
					enc.SetEscapeHTML(false)
					for _, m := range maps {
						if err := enc.Encode(m); err != nil {
							return err
						}
					}
					if compression == "gzip" {
						wire.Reset()
						zw.Reset(&wire)
						if _, err := zw.Write(body.Bytes()); err != nil {
							return err
						}
						return zw.Close()
					}
					return nil
				})
			})
		}
	}
}

// BenchmarkEncode is only what stands against encoding/json: records to bulk
// body, without compression and request.
func BenchmarkEncode(b *testing.B) {
	for _, mode := range estemplate.Modes {
		b.Run(mode, func(b *testing.B) {
			cfg := benchConfig(b, mode, "none")
			ld := simulated(b, benchRecords)
			renderer, router := schema.NewRenderer(renderOptions(cfg)), newRouter(cfg)
			var batch esbulk.Batch
			rl := ld.ResourceLogs().At(0)
			sl := rl.ScopeLogs().At(0)
			loop(b, benchRecords, func() error {
				batch.Reset()
				base := router.scope(rl.Resource().Attributes(), sl.Scope().Attributes())
				for _, lr := range sl.LogRecords().All() {
					to := router.record(base, lr.Attributes())
					batch.End(to.complete(renderer.AppendJSON(batch.Begin(to.index, to.id), rl.Resource(), sl.Scope(), lr)))
				}
				return nil
			})
			b.ReportMetric(float64(batch.Size())/benchRecords, "B/doc")
		})
	}
}

// BenchmarkGzip weighs compression levels for a bulk body.
func BenchmarkGzip(b *testing.B) {
	var body bytes.Buffer
	for _, d := range documents(b, estemplate.ModeOTel) {
		fmt.Fprintf(&body, "{\"create\":{\"_index\":\"logs-pmta.acct-default\",\"_id\":\"54dd1b345ae9dfab213dec25f8e0cd30\"}}\n%s\n", d)
	}
	for _, level := range []int{1, 2, 6} {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			var wire bytes.Buffer
			zw, err := gzip.NewWriterLevel(&wire, level)
			require.NoError(b, err)
			loop(b, benchRecords, func() error {
				wire.Reset()
				zw.Reset(&wire)
				if _, err := zw.Write(body.Bytes()); err != nil {
					return err
				}
				return zw.Close()
			})
			b.ReportMetric(float64(body.Len())/float64(wire.Len()), "ratio")
		})
	}
}
