package logslab

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Changing, copying or removing a shared value in one record must not be seen
// in another.
func TestSharedValuesStayApart(t *testing.T) {
	t.Run("plain", sharedValuesStayApart)
	t.Run("pooling", func(t *testing.T) {
		require.NoError(t, featuregate.GlobalRegistry().Set("pdata.useProtoPooling", true))
		defer func() { require.NoError(t, featuregate.GlobalRegistry().Set("pdata.useProtoPooling", false)) }()
		sharedValuesStayApart(t)
	})
}

func sharedValuesStayApart(t *testing.T) {
	attrs := []acct.Attr{{Key: "a", Str: "x"}, {Key: "b", Num: 1, Kind: acct.KindBool}, {Key: "c", Num: 7, Kind: acct.KindInt}}
	sh := Share(attrs)
	want := map[string]any{"own": "o", "a": "x", "b": true, "c": int64(7)}
	r := rand.New(rand.NewPCG(1, 1))
	slab := Slab{HintAttrs: 20}
	maps := make([]pcommon.Map, 50)
	for i := range maps {
		slab.Spare = r.IntN(6)
		maps[i] = pcommon.NewMap()
		slab.SetAttributes(maps[i], []acct.Attr{{Key: "own", Str: "o"}})
		slab.AppendShared(maps[i], sh)
		require.Equal(t, want, maps[i].AsRaw())
	}
	for i := 0; i < len(maps); i += 2 {
		switch i % 8 {
		case 0:
			maps[i].PutStr("a", "changed")
			v, _ := maps[i].Get("b")
			v.SetBool(false)
		case 2:
			maps[i].Remove("a")
			maps[i].PutStr("d", "new")
		case 4:
			v, _ := maps[i].Get("c")
			v.SetStr("now a string")
		case 6:
			maps[i+1].CopyTo(maps[i])
			maps[i].PutInt("c", 9)
			maps[i].Clear()
		}
	}
	runtime.GC()
	for i := 1; i < len(maps); i += 2 {
		require.Equal(t, want, maps[i].AsRaw())
	}
}

func TestSharedListsAreCopied(t *testing.T) {
	sh := Share([]acct.Attr{{Key: "l", Str: "A,B", Kind: acct.KindStrings}})
	var slab Slab
	a, b := pcommon.NewMap(), pcommon.NewMap()
	slab.AppendShared(a, sh)
	slab.AppendShared(b, sh)
	v, _ := a.Get("l")
	v.Slice().At(0).SetStr("changed")
	require.Equal(t, map[string]any{"l": []any{"A", "B"}}, b.AsRaw())
}
