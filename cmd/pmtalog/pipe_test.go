package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPipeUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                     "--dir: is required",
		"--dir x file.csv":                     "records come from standard input",
		"--dir x --max-size 100MiB":            "--max-size: 100MiB is too small",
		"--dir x --file-size lots":             "is no size",
		"--dir x --keep 8days":                 "is no time",
		"--dir x --max-wait 1m":                "would make PMTA wait",
		"--dir x --name ../x":                  "--name",
		"--dir x --rotate-every -1h":           "is no time",
		"--dir x --buffer 1KiB --keep 1s":      "--keep: 1s is too short",
		"--dir x --nonsense":                   "Usage: pmtalog pipe",
		"--dir x --rotate-every 5s --keep 30d": "--rotate-every: 5s",
	} {
		code, out, errs := call(context.Background(), append([]string{"pipe"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out)
		require.Contains(t, errs, want, args)
	}
	_, err := os.Stat("x")
	require.ErrorIs(t, err, os.ErrNotExist, "wrong usage left a folder")
	code, out, _ := call(context.Background(), "help", "pipe")
	require.Zero(t, code)
	for _, part := range []string{"<acct-file |/usr/bin/pmtalog pipe --dir /var/spool/pmtalog>", "include: [/var/spool/pmtalog/acct-*.csv]", "CAVEAT", "(default 8d)", "(default 64MiB)"} {
		require.Contains(t, out, part)
	}
}

func TestPipe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	const in = "type,timeLogged,rcpt\nd,2026-01-31 10:00:00+0000,a\nd,2026-01-31 10:00:00+0000,\"b\n\"\n"
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"pipe", "--dir", dir, "--name", "bounce", "--keep", "0", "--max-wait", "0", "--sync-every", "0"}, stdio{strings.NewReader(in), &out, &errs})
	require.Zero(t, code, errs.String())
	require.Equal(t, "2 records read, 2 written\n", errs.String())
	b, err := os.ReadFile(filepath.Join(dir, "bounce-"+time.Now().Format(time.DateOnly)+"-0000.csv"))
	require.NoError(t, err)
	require.Equal(t, in, string(b))
}

func TestPipeTime(t *testing.T) {
	for in, want := range map[string]time.Duration{"8d": 192 * time.Hour, "0": 0, "5ms": 5 * time.Millisecond, "36h": 36 * time.Hour, "0d": 0} {
		var v pipeTime
		require.NoError(t, v.Set(in))
		require.Equal(t, want, time.Duration(v))
	}
	for _, in := range []string{"", "d", "-1d", "1.5d", "x", "-5s", "99999d"} {
		var v pipeTime
		require.Error(t, v.Set(in), in)
	}
	d := pipeTime(48 * time.Hour)
	require.Equal(t, "2d", d.String())
	d = pipeTime(90 * time.Minute)
	require.Equal(t, "1h30m0s", d.String())
}
