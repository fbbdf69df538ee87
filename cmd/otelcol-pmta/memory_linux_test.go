package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func residentFilePages(t *testing.T) int { return resident(t, "RssFile:") }

func resident(t *testing.T, kind string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), kind)
	require.True(t, ok)
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return kB
}

// The program goes on with fewer pages, and what it needs comes back.
func TestStartupPagesAreReleased(t *testing.T) {
	factories, err := components() // touches every component
	require.NoError(t, err)
	n := len(factories.Receivers)
	before := residentFilePages(t)
	releaseProgramPages()
	require.Less(t, residentFilePages(t), before) // how much less depends on the page cache
	factories, err = components()
	require.NoError(t, err)
	require.Len(t, factories.Receivers, n)
}

func TestReserveIsNotResident(t *testing.T) {
	b := make([]byte, 32<<20)
	for i := range b {
		b[i] = 1
	}
	before := resident(t, "RssAnon:")
	releaseMemory(b[1:])
	require.Less(t, resident(t, "RssAnon:"), before)
	require.Equal(t, byte(1), b[0])
	require.Zero(t, b[16<<20])
	releaseMemory(b[:10]) // less than a page
}
