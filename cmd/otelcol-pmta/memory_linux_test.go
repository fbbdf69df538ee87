package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func residentFilePages(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "RssFile:")
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
	require.Less(t, residentFilePages(t), before/2)
	factories, err = components()
	require.NoError(t, err)
	require.Len(t, factories.Receivers, n)
}
