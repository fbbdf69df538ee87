package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A file that the agent may not read is named once with the fix, does not stop
// the others, and is read whole as soon as it may be.
func TestNoPermissionNamesTheFix(t *testing.T) {
	dir, err := os.MkdirTemp("", "permission-*") // t.TempDir is closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	logs, work := filepath.Join(dir, "log"), filepath.Join(dir, "work")
	for _, d := range []string{dir, logs, work} {
		require.NoError(t, os.MkdirAll(d, 0o777))
		require.NoError(t, os.Chmod(d, 0o777))
	}
	row := "type,timeLogged,orig,rcpt\nd,2026-01-31 10:00:00+0000,s@example.com,%@example.net\n"
	secret := filepath.Join(logs, "secret.csv")
	require.NoError(t, os.WriteFile(secret, []byte(row), 0o000))
	require.NoError(t, os.WriteFile(filepath.Join(logs, "open.csv"), []byte(row), 0o644))

	a := startAgentAs(t, 65534, quarantineConfig, "LOG_DIR="+logs, "WORK_DIR="+work)
	a.waitReady()
	records := filepath.Join(work, "records.jsonl")
	size := func() int64 {
		st, err := os.Stat(records)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	eventually(t, 20*time.Second, "the readable file", func() bool { return size() > 0 })
	eventually(t, 20*time.Second, "a message with the fix", func() bool {
		return containsAll(a.out.String(), secret, "group pmta", "world-readable yes")
	})
	before := size()
	require.NoError(t, os.Chmod(secret, 0o644))
	eventually(t, time.Minute, "the other file", func() bool { return size() > before })
	a.stop()
}
