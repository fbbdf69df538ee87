package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const quarantineConfig = `
receivers:
  powermta:
    coverage: {enabled: false} # what the agent finds out itself is no record of a file
    include: ["${env:LOG_DIR}/*.csv"]
    storage: file_storage
    quarantine: {path: "${env:WORK_DIR}/quarantine.jsonl"}
exporters:
  file: {path: "${env:WORK_DIR}/records.jsonl"}
extensions:
  file_storage: {directory: "${env:WORK_DIR}/state", create_directory: true}
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [file_storage, health_check]
  pipelines: {logs: {receivers: [powermta], exporters: [file]}}
  telemetry: {metrics: {level: none}}
`

// A broken row does not stop the agent, lies in the quarantine with its place,
// and pmtalog parse reads the quarantine.
func TestQuarantineCanBeReadBack(t *testing.T) {
	dir := t.TempDir()
	header := "type,timeLogged,orig,rcpt,dsnDiag\n"
	good := "d,2026-01-31 10:00:00+0000,s@example.com,r@example.net,smtp;250 ok\n"
	bad := "b,not a time,s@example.com,r@example.net,smtp;550 no\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acct.csv"), []byte(header+good+bad+good), 0o600))
	a := startAgent(t, quarantineConfig, "LOG_DIR="+dir, "WORK_DIR="+dir)
	a.waitReady()
	q := filepath.Join(dir, "quarantine.jsonl")
	eventually(t, 20*time.Second, "quarantine and records", func() bool {
		_, err := os.Stat(q)
		st, err2 := os.Stat(filepath.Join(dir, "records.jsonl"))
		return err == nil && err2 == nil && st.Size() > 0
	})
	a.stop()
	require.Contains(t, a.out.String(), "bad_time")

	_, stderr, code := run(t, "pmtalog", "parse", q)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "0 records")
	require.Contains(t, stderr, "1 rejected: bad_time 1")

	// After a fix by hand of what the entry holds, it is a record.
	text, err := os.ReadFile(q)
	require.NoError(t, err)
	fixed := filepath.Join(dir, "fixed.jsonl")
	require.NoError(t, os.WriteFile(fixed, []byte(strings.Replace(string(text), "b,not a time", "b,2026-01-31 10:00:05+0000", 1)), 0o600))
	stdout, stderr, code := run(t, "pmtalog", "parse", fixed)
	require.Zero(t, code, stderr)
	var rec map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &rec))
	require.Equal(t, "pmta.bounce", rec["event.name"])
	require.Equal(t, "2026-01-31T10:00:05Z", rec["timestamp"])
	require.Equal(t, float64(550), rec["smtp.response.code"])
}

// The agent and pmtalog parse agree on every record and its identity, through
// a pipe, a file and an archive.
func TestParseAgreesWithItself(t *testing.T) {
	dir := t.TempDir()
	_, stderr, code := run(t, "pmtalog", "simulate", "--dir", dir, "--records", "3000", "--max-size", "0")
	require.Zero(t, code, stderr)
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	out, stderr, code := run(t, "pmtalog", "parse", files[0])
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "3000 records:")
	require.Contains(t, stderr, "\n0 rejected\n")
	uids := map[string]bool{}
	sc := bufio.NewScanner(strings.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var rec map[string]any
		require.NoError(t, json.Unmarshal(sc.Bytes(), &rec))
		uids[rec["log.record.uid"].(string)] = true
	}
	require.Len(t, uids, 3000)
}
