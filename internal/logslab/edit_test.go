package logslab

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// An Editor gives what the public API gives, with and without room in the
// record, into the same map and into another one, by every way there is.
func TestEditor(t *testing.T) {
	t.Run("fast", func(t *testing.T) { testEditor(t, false) })
	t.Run("apart", func(t *testing.T) { testEditor(t, true) })
	t.Run("slow", func(t *testing.T) {
		defer func(known bool) { layoutKnown = known }(layoutKnown)
		layoutKnown = false
		testEditor(t, false)
	})
	t.Run("pooling", func(t *testing.T) {
		require.NoError(t, featuregate.GlobalRegistry().Set("pdata.useProtoPooling", true))
		defer func() { require.NoError(t, featuregate.GlobalRegistry().Set("pdata.useProtoPooling", false)) }()
		require.True(t, Pooling())
		testEditor(t, true)
	})
}

func testEditor(t *testing.T, apart bool) {
	r := rand.New(rand.NewPCG(7, 8))
	slab := Slab{HintAttrs: 300}
	e := Editor{}
	e.Apart(apart)
	common := []acct.Attr{{Key: "const.a", Str: "x"}, {Key: "const.b", Num: 4, Kind: acct.KindInt}, {Key: "const.c", Str: "z"}}
	shared := Share(common)
	shareable := "shared text"
	var results, wants []pcommon.Map
	for n := range 400 {
		attrs := randomAttrs(r)
		src, want := pcommon.NewMap(), pcommon.NewMap()
		slab.Spare = r.IntN(40) // none, not enough, enough
		slab.SetAttributes(src, attrs)
		var view View
		view.Reset(src)
		type change struct {
			what int
			from int // for copies
		}
		changes := make([]change, len(attrs))
		added := r.IntN(12)
		more := make([]change, added)
		for i := range changes {
			changes[i] = change{r.IntN(10), r.IntN(len(attrs))}
		}
		for i := range more {
			more[i].what = 3 + r.IntN(5)
			if len(attrs) > 0 {
				more[i] = change{3 + r.IntN(6), r.IntN(len(attrs))}
			}
		}
		sh := shared
		if n%5 == 0 {
			sh = nil
		}
		set := func(c change, i int, key string) {
			w := want.PutEmpty(key)
			switch c.what {
			case 3:
				e.Text(i, key, &shareable)
				w.SetStr(shareable)
			case 4:
				e.Int(i, key, int64(n))
				w.SetInt(int64(n))
			case 5:
				e.Double(i, key, 1.5)
				w.SetDouble(1.5)
			case 6:
				list := []string{"a,b", "", "c", "d"}[:1+n%4]
				ptrs := make([]*string, len(list))
				for j := range list {
					ptrs[j] = &list[j]
					w.SetEmptySlice()
				}
				for j := range list {
					w.Slice().AppendEmpty().SetStr(list[j])
				}
				e.Texts(i, key, ptrs...)
			case 7:
				m := pcommon.NewValueMap()
				m.Map().PutStr("k", "v")
				e.Any(i, key, m)
				m.CopyTo(w)
			case 8: // of another place, see below
				v, _ := src.Get(attrs[c.from].Key)
				v.CopyTo(w)
				e.Value(i, key, &view, c.from)
			}
		}
		slab.Edit(&e, &view, added+len(common))
		// Copies come first: what they copy is still what it was.
		for i, c := range more {
			set(c, e.Add(), fmt.Sprint("more.", i))
		}
		for i, c := range changes {
			key := attrs[i].Key
			switch c.what {
			case 0:
				e.Drop(i)
			case 1:
				v, _ := src.Get(key)
				v.CopyTo(want.PutEmpty("renamed." + key))
				e.Rename(i, "renamed."+key)
			case 2, 8, 9: // left alone
				v, _ := src.Get(key)
				v.CopyTo(want.PutEmpty(key))
			}
		}
		for i, c := range changes {
			if c.what > 2 && c.what < 8 {
				set(c, i, "set."+attrs[i].Key)
			}
		}
		if sh != nil {
			appendSlow(want, common)
		}
		dst := src
		if n%2 == 0 {
			dst = pcommon.NewMap()
			dst.PutStr("gone", "after it")
		}
		e.End(dst, sh)
		require.True(t, want.Equal(dst), "%v\n%v", want.AsRaw(), dst.AsRaw())
		results, wants = append(results, dst), append(wants, want)
	}
	runtime.GC()
	for i, m := range results { // what came later has not touched it
		require.True(t, wants[i].Equal(m))
		m.PutStr("more", "room")
		require.Equal(t, wants[i].Len()+1, m.Len())
		// Nor does a change in one record touch another.
		for _, v := range m.All() {
			if v.Type() == pcommon.ValueTypeSlice {
				v.Slice().At(0).SetStr("changed in place")
			} else {
				v.SetStr("changed")
			}
		}
	}
	require.Equal(t, "shared text", shareable)
	for i := range len(results) - 1 {
		results[i].Clear()
		require.Equal(t, wants[len(wants)-1].Len()+1, results[len(results)-1].Len())
	}
	require.Equal(t, map[string]any{"const.a": "x", "const.b": int64(4), "const.c": "z"}, func() map[string]any {
		m := pcommon.NewMap()
		slab.AppendShared(m, shared)
		return m.AsRaw()
	}())
}

func TestCut(t *testing.T) {
	defer func(known bool) { layoutKnown = known }(layoutKnown)
	for _, layoutKnown = range []bool{true, false} {
		var slab Slab
		m, rest := pcommon.NewMap(), pcommon.NewMap()
		setSlow(m, []acct.Attr{{Key: "a", Str: "x"}, {Key: "b", Str: "1,2", Kind: acct.KindStrings}, {Key: "c", Num: 3, Kind: acct.KindInt}})
		var v View
		var e Editor
		v.Reset(m)
		slab.Edit(&e, &v, 0)
		e.Drop(1)
		slab.Cut(m, &v, []int{1})
		e.End(rest, nil)
		require.Equal(t, map[string]any{"b": []any{"1", "2"}}, m.AsRaw())
		require.Equal(t, map[string]any{"a": "x", "c": int64(3)}, rest.AsRaw())
		v.Reset(m)
		slab.Cut(m, &v, nil)
		require.Zero(t, m.Len())
	}
}

func TestExpect(t *testing.T) {
	before := Expected()
	Expect("a test", 3)
	Expect("a test", 5)
	Expect("a test", 4)
	Expect("another test", 2)
	require.Equal(t, before+7, Expected())
}
