package logslab

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// What a View shows is what the public API shows, by both ways.
func TestView(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	defer func(known bool) { layoutKnown = known }(layoutKnown)
	for _, layoutKnown = range []bool{true, false} {
		var slab Slab
		var v View
		for range 300 {
			m := pcommon.NewMap()
			setSlow(m, randomAttrs(r))
			v.Reset(m)
			require.Equal(t, m.Len(), v.Len())
			var keys []string
			i := 0
			for k, want := range m.All() {
				require.Equal(t, k, v.Key(i))
				require.True(t, want.Equal(v.Value(i)))
				str := ""
				if want.Type() == pcommon.ValueTypeStr {
					str = want.Str()
				}
				require.Equal(t, str, v.Str(i))
				text := v.Text(i)
				require.Equal(t, want.Type() == pcommon.ValueTypeStr, text != nil)
				if text != nil {
					require.Equal(t, str, *text)
				}
				n, ok := v.Int(i)
				require.Equal(t, want.Type() == pcommon.ValueTypeInt, ok)
				if ok {
					require.Equal(t, want.Int(), n)
				}
				keys = append(keys, string(append([]byte(nil), k...)))
				i++
			}
			require.True(t, v.HasKeys(keys))
			require.False(t, v.HasKeys(append(keys, "more")))
			if i == 0 {
				continue
			}
			at := r.IntN(i)
			slab.SetStr(&v, at, "set")
			got, _ := m.Get(keys[at])
			require.Equal(t, "set", got.Str())
			require.Equal(t, "set", v.Str(at))
			require.Equal(t, "set", *v.Text(at))
			keys[at] = "other"
			require.False(t, v.HasKeys(keys))
		}
	}
}
