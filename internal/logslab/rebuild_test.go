package logslab

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Rebuild gives what the public API gives, in place and into another map, by
// both ways.
func TestRebuild(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	defer func(known bool) { layoutKnown = known }(layoutKnown)
	for _, layoutKnown = range []bool{true, false} {
		var slab Slab
		for n := range 300 {
			attrs := randomAttrs(r)
			src, want := pcommon.NewMap(), pcommon.NewMap()
			setSlow(src, attrs)
			var moves []Move
			for _, i := range r.Perm(len(attrs))[:r.IntN(len(attrs)+1)] {
				key := fmt.Sprintf("moved.%d", i)
				moves = append(moves, Move{Key: key, From: i})
				v, _ := src.Get(attrs[i].Key)
				v.CopyTo(want.PutEmpty(key))
			}
			add := randomAttrs(r)
			appendSlow(want, add)
			dst := src
			if n%2 == 0 {
				dst = pcommon.NewMap()
				dst.PutStr("gone", "after it")
			}
			slab.Rebuild(dst, src, moves, add)
			require.True(t, want.Equal(dst))
			dst.PutStr("more", "room")
			require.Equal(t, want.Len()+1, dst.Len())
		}
	}
}
