package dedup

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneCopyOfEachStreamIsKept(t *testing.T) {
	w := NewWindow(10)
	require.True(t, w.Keep(1, 1), "first seen in acct")
	require.False(t, w.Keep(1, 2), "copy in bounce")
	require.True(t, w.Keep(1, 1), "acct holds two identical rows")
	require.False(t, w.Keep(1, 2))
	require.True(t, w.Keep(1, 2), "a third row that only bounce has")
}

// Whatever the order of reading, a content is kept as often as the stream that
// holds it most often.
func TestKeepsTheMostOfAnyStream(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		counts := [3]int{r.IntN(4), r.IntN(4), r.IntN(4)}
		want, rows := 0, []uint32{}
		for s, n := range counts {
			want = max(want, n)
			for range n {
				rows = append(rows, uint32(s))
			}
		}
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		w, kept := NewWindow(2), 0
		for _, s := range rows {
			if w.Keep(7, s) {
				kept++
			}
		}
		require.Equal(t, want, kept, "%v", counts)
	}
}

func TestWindowIsBounded(t *testing.T) {
	w := NewWindow(3)
	for k := range uint64(100) {
		require.True(t, w.Keep(k, 1))
		require.LessOrEqual(t, w.Len(), 3)
	}
	require.False(t, w.Keep(99, 2))
	require.True(t, w.Keep(0, 2), "left the window long ago")
}

func BenchmarkKeep(b *testing.B) {
	w := NewWindow(200_000)
	b.ReportAllocs()
	for n := range b.N {
		w.Keep(uint64(n)*0x9e3779b97f4a7c15, 1)
	}
}
