package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
)

const systemLog = `2026-01-31 10:00:00 PowerMTA v5.0r8 starting
2026-01-31 10:00:01 ( 20)starting example.net/vmta1
2026-01-31 10:00:01 ( 20)<<< AUTH PLAIN AHVzZXIAc2VjcmV0LXBhc3N3b3Jk
2026-01-31 10:00:02 ( 20)done example.net/vmta1
2026-01-31 10:00:03 ( 21)starting example.org/vmta1
`

func parse(t *testing.T, stdin string, args ...string) (rows []map[string]any, summary string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append([]string{"parse", "--timezone", "UTC"}, args...), stdio{strings.NewReader(stdin), &out, &errOut})
	require.Equal(t, exitOK, code, errOut.String())
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		rows = append(rows, m)
	}
	return rows, errOut.String()
}

func TestParseSystemLog(t *testing.T) {
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "log"), filepath.Join(dir, "log.1.gz")
	require.NoError(t, os.WriteFile(plain, []byte(systemLog), 0o600))
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := w.Write([]byte(systemLog))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(packed, gz.Bytes(), 0o600))

	rows, summary := parse(t, "", plain)
	var names []string
	for _, m := range rows {
		names = append(names, m["event.name"].(string))
		require.Len(t, m["log.record.uid"], 32)
		require.NotContains(t, m["body"], "AHVzZXI")
	}
	// The session that is open at the end comes as incomplete.
	require.Equal(t, []string{"pmta.mta.start", "pmta.session.start", "pmta.session.command", "pmta.session.done", "pmta.session",
		"pmta.session.start", "pmta.session"}, names)
	require.Equal(t, "2026-01-31T10:00:00Z", rows[0]["timestamp"])
	require.Equal(t, "diag", rows[0]["pmta.stream"])
	require.Equal(t, true, rows[6]["pmta.session.incomplete"])
	require.Contains(t, summary, "7 records: pmta.session 2, pmta.session.start 2,")

	again, _ := parse(t, "", packed)
	require.Equal(t, rows, again)
	again, _ = parse(t, systemLog, "-")
	require.Equal(t, rows, again)
}

// An archive that was cut off gives what it holds, and is not taken for whole.
func TestParseCutArchive(t *testing.T) {
	const header = "type,timeLogged,jobId\n"
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := io.WriteString(w, header)
	require.NoError(t, err)
	for i := range 50_000 {
		_, err := fmt.Fprintf(w, "d,2026-02-08 21:54:05+0100,job-%d\n", i*i)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	file := filepath.Join(t.TempDir(), "acct.csv.gz")
	require.NoError(t, os.WriteFile(file, gz.Bytes()[:gz.Len()/2], 0o600))

	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"parse", file}, stdio{strings.NewReader(""), &out, &errOut})
	require.Equal(t, exitFailure, code)
	require.Contains(t, errOut.String(), file+": cut off or damaged")
	require.NotContains(t, errOut.String(), "incomplete")
	require.Contains(t, errOut.String(), "\n0 rejected")
	require.Greater(t, strings.Count(out.String(), "\n"), 10_000)
}

func TestParseSaysWhenItIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pmta-startuperr.log")
	require.NoError(t, os.WriteFile(path, []byte("No logging file specified\n"), 0o600))
	rows, _ := parse(t, "", "--log", path)
	require.Len(t, rows, 1)
	require.Equal(t, "pmta.mta.start_failed", rows[0]["event.name"])
	require.Equal(t, "panic", rows[0]["pmta.stream"])
	require.NotContains(t, rows[0], "timestamp")

	dir := t.TempDir()
	patterns := filepath.Join(dir, "patterns.yaml")
	require.NoError(t, os.WriteFile(patterns, []byte("patterns: nonsense\n"), 0o600))
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"parse", "--patterns", patterns, path}, stdio{nil, &out, &errOut})
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut.String(), "--patterns: "+patterns)
}

// What the agent could not deliver of a log is read like the log itself.
func TestParseQuarantinedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quarantine-refused.jsonl")
	q, err := quarantine.Open(path, 1<<20, 1)
	require.NoError(t, err)
	entries := []quarantine.Entry{
		{Time: time.Unix(1, 0), File: "/var/log/pmta/log", Kind: quarantine.KindSystemLog, Reason: "refused"},
		{Time: time.Unix(1, 0), File: "/var/log/pmta/log", Kind: quarantine.KindSession, Reason: "refused"},
		{Time: time.Unix(1, 0), File: "http://localhost:8080", Kind: quarantine.KindEvent, Reason: "refused"},
	}
	entries[0].SetRaw("2026-01-31 10:00:05 PowerMTA shutting down\n")
	entries[1].SetRaw("example.net/vmta1: delivered")
	entries[2].SetRaw(`{"event.name":"pmta.queue.backoff","pmta.queue.name":"example.net/vmta1"}`)
	require.NoError(t, q.Write(entries))
	require.NoError(t, q.Close())
	rows, summary := parse(t, "", path)
	require.Len(t, rows, 2)
	require.Equal(t, "pmta.mta.stop", rows[0]["event.name"])
	require.Equal(t, map[string]any{"event.name": "pmta.queue.backoff", "pmta.queue.name": "example.net/vmta1"}, rows[1])
	require.Contains(t, summary, "2 records")
	require.Contains(t, summary, "session: example.net/vmta1: delivered")
}
