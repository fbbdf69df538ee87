package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What `make run` starts, for as long as RUN_FOR says: records arrive, both
// programs end well.
func TestDemoEndsByItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	out, stderr, code := run(t, "pmtalog", "demo", "--agent", binary(t, "otelcol-pmta"), "--dir", dir, "--for", "4s", "--rate", "2000")
	require.Zero(t, code, stderr+out)
	require.Regexp(t, `records/s +\d+ in all:.* d \d+.*lag \d+\.\d s  rejected 0`, out)
	require.Regexp(t, `both ended; [1-9]\d* records shipped, 0 rejected, 0 bytes not read`, out)
	require.Contains(t, out, `log.record.uid`)

	data, err := os.ReadFile(filepath.Join(dir, "records.jsonl"))
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	for _, line := range lines {
		require.True(t, json.Valid(line))
	}
}

// Ctrl-C ends both cleanly.
func TestDemoEndsAtCtrlC(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(binary(t, "pmtalog"), "demo", "--agent", binary(t, "otelcol-pmta"), "--dir", dir)
	cmd.Dir = repoRoot()
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	eventually(t, 30*time.Second, "records", func() bool {
		st, err := os.Stat(filepath.Join(dir, "records.jsonl"))
		return err == nil && st.Size() > 0
	})
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), out.String())
	require.Contains(t, out.String(), "both ended;")
}
