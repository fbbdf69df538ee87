package otlpjson

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

type gen struct{ *rand.Rand }

func (g gen) text() string {
	b := make([]rune, g.IntN(12))
	for i := range b {
		b[i] = []rune{'a', 'z', '"', '\\', '\n', '\t', 1, 0x7f, 'é', '<', '\u2028', 0x1f4e7}[g.IntN(12)]
	}
	return string(b)
}

func (g gen) value(v pcommon.Value, depth int) {
	switch g.IntN(8) {
	case 0:
		v.SetInt(int64(g.Uint64()))
	case 1:
		v.SetDouble([]float64{0, -1.5, 1e300, 5e-324, 1e21, math.NaN(), math.Inf(1), math.Inf(-1), float64(g.IntN(1e6))}[g.IntN(9)])
	case 2:
		v.SetBool(g.IntN(2) == 0)
	case 3:
		v.SetEmptyBytes().FromRaw([]byte(g.text()))
	case 4:
		s := v.SetEmptySlice()
		for range g.IntN(3) * depth {
			g.value(s.AppendEmpty(), depth-1)
		}
	case 5:
		g.attrs(v.SetEmptyMap(), g.IntN(3)*depth, depth-1)
	case 6: // none
	default:
		v.SetStr(g.text())
	}
}

func (g gen) attrs(m pcommon.Map, n, depth int) {
	for range n {
		g.value(m.PutEmpty(fmt.Sprintf("k%d%s", g.IntN(100), g.text())), depth)
	}
}

func (g gen) logs() plog.Logs {
	ld := plog.NewLogs()
	for range g.IntN(4) {
		rl := ld.ResourceLogs().AppendEmpty()
		g.attrs(rl.Resource().Attributes(), g.IntN(4), 2)
		rl.Resource().SetDroppedAttributesCount(uint32(g.IntN(2)))
		rl.SetSchemaUrl([]string{"", "https://example.com/1"}[g.IntN(2)])
		for range g.IntN(3) {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName(g.text())
			sl.Scope().SetVersion(g.text())
			g.attrs(sl.Scope().Attributes(), g.IntN(2), 2)
			sl.Scope().SetDroppedAttributesCount(uint32(g.IntN(2)))
			sl.SetSchemaUrl(g.text())
			for range g.IntN(6) {
				lr := sl.LogRecords().AppendEmpty()
				lr.SetTimestamp(pcommon.Timestamp(g.Uint64() * uint64(g.IntN(2))))
				lr.SetObservedTimestamp(pcommon.Timestamp(g.Uint64() * uint64(g.IntN(2))))
				lr.SetSeverityNumber(plog.SeverityNumber(g.IntN(25)))
				lr.SetSeverityText(g.text())
				lr.SetEventName(g.text())
				lr.SetDroppedAttributesCount(uint32(g.IntN(2)))
				lr.SetFlags(plog.LogRecordFlags(g.IntN(2)))
				if g.IntN(2) == 0 {
					lr.SetTraceID([16]byte{1, byte(g.Uint32())})
					lr.SetSpanID([8]byte{9, byte(g.Uint32())})
				}
				g.value(lr.Body(), 3)
				g.attrs(lr.Attributes(), g.IntN(8), 3)
			}
		}
	}
	return ld
}

func proto(t *testing.T, ld plog.Logs) []byte {
	t.Helper()
	b, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	return b
}

// pdata reads back what was there, and writes the same document itself.
func TestAgreesWithPdata(t *testing.T) {
	g := gen{rand.New(rand.NewPCG(1, 1))}
	for i := range 3000 {
		ld := g.logs()
		doc := AppendLogs(nil, ld)
		back, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(doc)
		require.NoError(t, err, "%s", doc)
		require.Equal(t, proto(t, ld), proto(t, back), "case %d: %s", i, doc)
		if ld.ResourceLogs().Len() > 0 {
			theirs, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
			require.NoError(t, err)
			require.JSONEq(t, withScopes(t, theirs), withScopes(t, doc))
		}
	}
}

// withScopes makes equal what the two writers may do in either way: an empty
// list, left out or written. It goes by way of pdata for that.
func withScopes(t *testing.T, doc []byte) string {
	ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(doc)
	require.NoError(t, err)
	out, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	return string(out)
}

type flat struct{ resource, scope, record string }

func flatten(ld plog.Logs) (out []flat) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				out = append(out, flat{string(appendResource(nil, rl)), string(appendScope(nil, sl)), string(AppendRecord(nil, lr))})
			}
		}
	}
	return out
}

// However small the limit, all records arrive once, in order, each with its
// resource and scope, and only a document of one record is over the limit.
func TestSplit(t *testing.T) {
	g := gen{rand.New(rand.NewPCG(2, 2))}
	var buf []byte
	for range 1500 {
		ld := g.logs()
		limit := 1 + g.IntN(6000)
		var got []flat
		next := 0
		buf = Split(buf, ld, limit, func(doc []byte, from, to int) {
			require.Equal(t, next, from)
			require.Greater(t, to, from)
			next = to
			require.True(t, len(doc) <= limit || to == from+1, "%d bytes, %d records, limit %d", len(doc), to-from, limit)
			part, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(doc)
			require.NoError(t, err, "%s", doc)
			require.Equal(t, to-from, part.LogRecordCount())
			got = append(got, flatten(part)...)
		})
		require.Equal(t, ld.LogRecordCount(), next)
		require.Equal(t, flatten(ld), got)
	}
}

func TestSplitKeepsTogetherWhatFits(t *testing.T) {
	ld := plog.NewLogs()
	lrs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range 100 {
		lrs.AppendEmpty().Body().SetStr("0123456789")
	}
	n := 0
	Split(nil, ld, len(AppendLogs(nil, ld)), func(doc []byte, _, _ int) {
		n++
		require.JSONEq(t, string(AppendLogs(nil, ld)), string(doc))
	})
	require.Equal(t, 1, n)
	n = 0
	Split(nil, ld, 1000, func([]byte, int, int) { n++ })
	require.Less(t, n, 8)
}

func TestNotUTF8(t *testing.T) {
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("a\xffb")
	doc := AppendLogs(nil, ld)
	require.True(t, utf8.Valid(doc))
	require.Contains(t, string(doc), "a\ufffdb")
}

func bench() plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "pmta")
	lrs := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range 1000 {
		lr := lrs.AppendEmpty()
		lr.SetTimestamp(1700000000000000000)
		for j := range 30 {
			lr.Attributes().PutStr(fmt.Sprintf("pmta.attribute.%d", j), fmt.Sprintf("a value of some length %d", i))
		}
		for j := range 6 {
			lr.Attributes().PutInt(fmt.Sprintf("pmta.number.%d", j), int64(i))
		}
	}
	return ld
}

func BenchmarkSplit(b *testing.B) {
	ld, buf := bench(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = Split(buf, ld, 1e6, func([]byte, int, int) {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func BenchmarkPdata(b *testing.B) {
	ld := bench()
	var m plog.JSONMarshaler
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.MarshalLogs(ld)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}
