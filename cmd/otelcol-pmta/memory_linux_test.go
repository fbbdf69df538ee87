package main

import (
	"os"
	"runtime"
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

func TestResidentFiles(t *testing.T) {
	require.Equal(t, 25312<<10, residentFiles("VmRSS:\t   52864 kB\nRssAnon:\t   27552 kB\nRssFile:\t   25312 kB\nRssShmem:\t       0 kB\n"))
	for _, status := range []string{"", "Name:\tagent\nRssFile:", "\nRssFile: many kB\n", "\nRssFile: 12\n"} {
		require.Zero(t, residentFiles(status), status)
	}
	require.Positive(t, residentFilePages(t))
}

// Pages that the dynamic linker has written to and then made read-only are in
// the program file without what it wrote: without them the first call of a
// function of the C library ends the program.
func TestWhatTheLinkerWroteStays(t *testing.T) {
	releaseProgramPages()
	// The runtime's list of blocks has to grow, and munmap has to be found.
	blocks := make([][]byte, 20_000)
	for i := range blocks {
		blocks[i] = make([]byte, 40_000) // never touched
	}
	runtime.KeepAlive(blocks)
}

func TestProgramPages(t *testing.T) {
	const smaps = `00400000-00402000 r--p 00000000 08:01 42                                 /opt/with space/agent
Size:                  8 kB
Rss:                   8 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
00402000-018e4000 r-xp 00002000 08:01 42                                 /opt/with space/agent
Rss:               12000 kB
Anonymous:             0 kB
0308e000-0308f000 r--p 02c8d000 08:01 42                                 /opt/with space/agent
Rss:                   4 kB
Anonymous:             4 kB
0308f000-032ac000 rw-p 02c8e000 08:01 42                                 /opt/with space/agent
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:           400 kB
7f0000000000-7f0000001000 r-xp 00000000 08:01 43                         /usr/lib/libc.so.6
Anonymous:             0 kB
`
	require.Equal(t, [][2]uintptr{{0x400000, 0x402000}, {0x402000, 0x18e4000}}, programPages(strings.NewReader(smaps), "/opt/with space/agent"))
}
