package freeport

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGet(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p, err := Get()
		require.NoError(t, err)
		require.False(t, seen[p])
		seen[p] = true
		require.GreaterOrEqual(t, p, lowest)
		require.LessOrEqual(t, p, highest)
	}
}

func TestFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, text, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	require.False(t, free(port), "somebody listens there")
	require.NoError(t, l.Close())
}
