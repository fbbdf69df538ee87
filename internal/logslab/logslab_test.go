package logslab

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

func TestLayoutIsKnown(t *testing.T) {
	require.True(t, layoutKnown, "pdata's layout has changed: records are built by the slow path; adapt the twins")
}

func randomAttrs(r *rand.Rand) []acct.Attr {
	attrs := make([]acct.Attr, r.IntN(50))
	for i := range attrs {
		attrs[i] = acct.Attr{Key: fmt.Sprintf("k%d", i), Kind: acct.Kind(r.IntN(5))}
		switch attrs[i].Kind {
		case acct.KindString:
			attrs[i].Str = fmt.Sprint(r.Uint64())
		case acct.KindStrings:
			attrs[i].Str = "SIZE"
			for range r.IntN(4) {
				attrs[i].Str += fmt.Sprintf(",X%d", r.IntN(100))
			}
		case acct.KindDouble:
			attrs[i].Num = int64(math.Float64bits(r.Float64()))
		case acct.KindBool:
			attrs[i].Num = int64(r.IntN(2))
		default:
			attrs[i].Num = r.Int64()
		}
	}
	return attrs
}

// What the slab builds must not be told apart from what the public API
// builds: by comparison, by marshalling, after copies, changes and garbage
// collections.
func TestSlabEqualsPublicAPI(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	fast, slow := plog.NewLogs(), plog.NewLogs()
	fl := fast.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	sl := slow.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	var slab Slab
	slab.HintAttrs = 500
	for range 2000 {
		attrs := randomAttrs(r)
		f, s := fl.AppendEmpty(), sl.AppendEmpty()
		slab.SetAttributes(f.Attributes(), attrs)
		setSlow(s.Attributes(), attrs)
		slab.SetString(f.Body(), "body")
		s.Body().SetStr("body")
	}
	runtime.GC()
	same := func() {
		t.Helper()
		var m plog.ProtoMarshaler
		fb, err := m.MarshalLogs(fast)
		require.NoError(t, err)
		sb, err := m.MarshalLogs(slow)
		require.NoError(t, err)
		require.Equal(t, sb, fb)
	}
	same()
	for i := range fl.Len() {
		for _, m := range []pcommon.Map{fl.At(i).Attributes(), sl.At(i).Attributes()} {
			m.Remove("k3")
			m.PutStr("k1", "changed")
			m.PutInt("new", 7)
			if v, ok := m.Get("k2"); ok {
				v.SetDouble(2.5)
			}
		}
	}
	runtime.GC()
	same()
	cp := plog.NewLogs()
	fast.CopyTo(cp)
	fast = cp
	runtime.GC()
	same()
}

func TestAppendAndLookup(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var slab Slab
	at := 0
	for i := range 500 {
		slab.Spare = i % 40 // none, not enough, enough
		attrs := randomAttrs(r)
		cut := r.IntN(len(attrs) + 1)
		fast, slow := pcommon.NewMap(), pcommon.NewMap()
		slab.SetAttributes(fast, attrs[:cut])
		slab.Append(fast, attrs[cut:])
		setSlow(slow, attrs)
		require.True(t, slow.Equal(fast))
		key := fmt.Sprintf("k%d", r.IntN(50))
		got, ok := Lookup(fast, key, &at)
		want, found := slow.Get(key)
		require.Equal(t, found, ok)
		if ok {
			require.True(t, want.Equal(got))
			got.SetStr("set through Lookup")
			v, _ := fast.Get(key)
			require.Equal(t, "set through Lookup", v.Str())
		}
	}
	_, ok := Lookup(pcommon.NewMap(), "k", &at)
	require.False(t, ok)
}

func BenchmarkLookup(b *testing.B) {
	m := pcommon.NewMap()
	new(Slab).SetAttributes(m, benchAttrs())
	at := 0
	for range b.N {
		Lookup(m, "pmta.some.key30", &at)
	}
}

func benchAttrs() []acct.Attr {
	attrs := make([]acct.Attr, 36)
	for i := range attrs {
		attrs[i] = acct.Attr{Key: fmt.Sprintf("pmta.some.key%02d", i), Str: "some.value.example.com"}
		if i%12 == 0 {
			attrs[i].Kind = acct.KindInt
		}
	}
	attrs[5] = acct.Attr{Key: "pmta.esmtp", Str: "PIPELINING,8BITMIME,SMTPUTF8,SIZE", Kind: acct.KindStrings}
	return attrs
}

func benchmark(b *testing.B, set func(*Slab, pcommon.Map, []acct.Attr)) {
	const batch = 400
	attrs := benchAttrs()
	b.ReportAllocs()
	for n := 0; n < b.N; n += batch {
		ld := plog.NewLogs()
		recs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		recs.EnsureCapacity(batch)
		slab := Slab{HintAttrs: batch * len(attrs)}
		for range batch {
			set(&slab, recs.AppendEmpty().Attributes(), attrs)
		}
	}
}

func BenchmarkSlab(b *testing.B) {
	benchmark(b, func(s *Slab, m pcommon.Map, a []acct.Attr) { s.SetAttributes(m, a) })
}

func BenchmarkPublicAPI(b *testing.B) {
	benchmark(b, func(_ *Slab, m pcommon.Map, a []acct.Attr) { setSlow(m, a) })
}
