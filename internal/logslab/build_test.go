package logslab

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A Builder gives what the public API gives, in place and into another map,
// by both ways.
func TestBuilder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	defer func(known bool) { layoutKnown = known }(layoutKnown)
	for _, layoutKnown = range []bool{true, false} {
		var slab Slab
		var b Builder
		var view View
		slab.HintAttrs = 300
		var before []pcommon.Map
		var wants []pcommon.Map
		for n := range 300 {
			attrs := randomAttrs(r)
			src, want := pcommon.NewMap(), pcommon.NewMap()
			setSlow(src, attrs)
			view.Reset(src)
			add := randomAttrs(r)
			slab.Begin(&b, len(attrs)+len(add)+2+r.IntN(5))
			for _, i := range r.Perm(len(attrs))[:r.IntN(len(attrs)+1)] {
				key := fmt.Sprintf("moved.%d", i)
				v, _ := src.Get(attrs[i].Key)
				v.CopyTo(want.PutEmpty(key))
				s, ok := view.Text(i)
				require.Equal(t, v.Type() == pcommon.ValueTypeStr, ok)
				if ok {
					require.Equal(t, v.Str(), s)
				}
				b.Move(key, &view, i)
			}
			for i := range add {
				b.Attr(&add[i])
			}
			b.Str("text", "value")
			b.Strings("list", "a,b", "", "c")
			appendSlow(want, add)
			want.PutStr("text", "value")
			require.NoError(t, want.PutEmpty("list").FromRaw([]any{"a,b", "", "c"}))
			dst := src
			if n%2 == 0 {
				dst = pcommon.NewMap()
				dst.PutStr("gone", "after it")
			}
			b.End(dst)
			require.True(t, want.Equal(dst))
			before, wants = append(before, dst), append(wants, want)
		}
		for i := range before { // what came later has not touched it
			require.True(t, wants[i].Equal(before[i]))
			before[i].PutStr("more", "room")
			require.Equal(t, wants[i].Len()+1, before[i].Len())
		}
	}
}
