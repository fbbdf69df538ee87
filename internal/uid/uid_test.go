package uid

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
)

// The UIDs of records that were delivered must not change with a release: a
// replay over an update would bring them a second time.
func TestUIDsStay(t *testing.T) {
	var m Mixer
	m.From(xxh3.HashString128("type,timeLogged"), xxh3.HashString128("mta1"))
	text := xxh3.HashString128("d,2026-03-28 23:00:00")
	require.Equal(t, [2]uint64{0xfeaeb8f2c23d12da, 0xe2203cba5eaec35b}, m.UID(text, 16))
}

func TestUIDsDiffer(t *testing.T) {
	a, b := xxh3.HashString128("a"), xxh3.HashString128("b")
	seen := map[[2]uint64]bool{}
	for _, from := range [][2]xxh3.Uint128{{a, a}, {a, b}, {b, a}, {b, b}} {
		var m Mixer
		m.From(from[0], from[1])
		for _, text := range []xxh3.Uint128{a, b} {
			for _, n := range []int64{0, 1, 1 << 40} {
				u := m.UID(text, n)
				require.False(t, seen[u])
				seen[u] = true
				require.Equal(t, u, m.UID(text, n))
			}
		}
	}
}

func TestPutGet(t *testing.T) {
	var b [Size]byte
	h := xxh3.HashString128("x")
	Put(b[:], h)
	require.Equal(t, h, Get(b[:]))
}
