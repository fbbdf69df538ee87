package e2e

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	kills     = flag.Int("kills", 50, "how often the crash test kills the agent")
	crashSeed = flag.Uint64("crash-seed", 0, "seed of the crash test, 0 = from the clock")
)

const crashConfig = `
receivers:
  powermta:
    coverage: {enabled: false} # what the agent finds out itself is no record of a file
    include: ["${env:LOG_DIR}/*.csv", "${env:LOG_DIR}/moved/*.csv", "${env:LOG_DIR}/moved/*.csv.gz"]
    storage: file_storage
    include_original: true
    read_size: 16KiB
    quarantine: {path: "${env:WORK_DIR}/quarantine.jsonl"}
    retry: {initial_interval: 10ms, max_interval: 200ms}
exporters:
  otlp_http:
    endpoint: http://${env:SINK}
    compression: none
    timeout: 500ms
    retry_on_failure: {initial_interval: 10ms, max_interval: 100ms, max_elapsed_time: 0}
    sending_queue: {wait_for_result: true, block_on_overflow: true, num_consumers: 4, queue_size: 8}
extensions:
  file_storage: {directory: "${env:WORK_DIR}/state", create_directory: true, recreate: true}
  health_check: {endpoint: "localhost:${env:HEALTH_PORT}"}
service:
  extensions: [file_storage, health_check]
  pipelines: {logs: {receivers: [powermta], exporters: [otlp_http]}}
  telemetry: {metrics: {level: none}, logs: {level: "${env:LOG_LEVEL:-warn}"}}
`

// The agent is killed again and again while PowerMTA writes, rotates, moves
// and compresses, and while the destination refuses, hangs, forgets and
// disappears. In the end every row that was written has arrived, and after
// removal of equal uids it has arrived exactly once.
func TestKilledAgentLosesNothing(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	work, err := os.MkdirTemp("", "crash-*")
	require.NoError(t, err)
	defer func() {
		if !t.Failed() {
			_ = os.RemoveAll(work) // else it is needed to find out why
		}
	}()
	logs := filepath.Join(work, "log")
	require.NoError(t, os.MkdirAll(filepath.Join(logs, "moved"), 0o755))
	sink := newSink(t)

	pmta := exec.Command(binary(t, "pmtalog"), "simulate", "--dir", logs, "--rate", "2000", "--seed", fmt.Sprint(seed),
		"--hurry", "300", "--flush", "block", "--types", "d,t,tq,r,rs", "--acct-file", "bounce.csv:b,rb", "--acct-file", "fbl.csv:f",
		"--max-size", "1M", "--move-to", filepath.Join(logs, "moved"), "--move-interval", "2s", "--gzip-moved")
	simOut := &output{}
	pmta.Stdout, pmta.Stderr = simOut, simOut
	require.NoError(t, pmta.Start())
	defer func() { _ = pmta.Process.Kill(); _ = pmta.Wait() }()

	ctx, behave := context.WithCancel(t.Context())
	var faulty sync.WaitGroup
	faulty.Add(1)
	go func() { defer faulty.Done(); sink.misbehave(ctx, seed) }()

	env := []string{"LOG_DIR=" + logs, "WORK_DIR=" + work, "SINK=" + sink.addr}
	begin := time.Now()
	for range *kills {
		a := startAgent(t, crashConfig, env...)
		// From before it can read until well into its work.
		select {
		case <-time.After(time.Duration(r.IntN(1500)) * time.Millisecond):
		case <-a.done:
			t.Fatalf("the agent ended by itself: %v\n%s", a.err, a.out)
		}
		a.kill()
	}
	took := time.Since(begin)

	require.NoError(t, pmta.Process.Signal(syscall.SIGTERM))
	require.NoError(t, pmta.Wait(), simOut.String())
	behave()
	faulty.Wait()

	want := map[string]int{}
	rows := 0
	files := map[string]string{} // row -> file, for messages
	writtenRows(t, logs, func(file, line string) {
		want[line]++
		rows++
		files[line] = file
	})
	require.Greater(t, rows, 10_000, "too little was written for a test\n%s", simOut)
	last := startAgent(t, crashConfig, env...)
	deadline := time.Now().Add(time.Minute)
	for unique := 0; unique < rows && time.Now().Before(deadline); unique, _ = sink.count() {
		pause(t.Context(), 20*time.Millisecond)
	}
	last.stop() // what is missing now is counted as lost below

	unique, received := sink.count()
	lost, extra := 0, 0
	got := map[string]int{}
	for _, line := range sink.lines {
		got[canonical(t, line)]++
	}
	for line, n := range want {
		if n > got[line] {
			lost += n - got[line]
			t.Logf("lost from %s: %q", files[line], line)
		}
		extra += max(0, got[line]-n)
	}
	for line, n := range got {
		if want[line] == 0 {
			extra += n
			t.Logf("never written: %q", line)
		}
	}
	t.Logf("%d kills in %v: %d rows written, %d received, %d lost, %d duplicates before and %d after removal of equal uids",
		*kills, took.Round(time.Second), rows, received, lost, received-unique, extra)
	require.Zero(t, lost, "lost")
	require.Zero(t, extra, "duplicates with different uids")
	require.Zero(t, sink.mixed, "one uid for different rows")
	require.NoFileExists(t, filepath.Join(work, "quarantine.jsonl"))
	require.NoFileExists(t, filepath.Join(work, "quarantine-refused.jsonl"))
}

// writtenRows reads what the simulator wrote with Go's own CSV reader.
func writtenRows(t *testing.T, dir string, fn func(file, line string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		var in io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if in, err = gzip.NewReader(f); err != nil {
				return err
			}
		}
		all, err := csv.NewReader(in).ReadAll()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, rec := range all {
			if rec[0] != "type" {
				fn(path, strings.Join(rec, "\x00"))
			}
		}
		return nil
	}))
}

// canonical brings a row as it was read into the form of writtenRows.
func canonical(t *testing.T, line string) string {
	t.Helper()
	rec, err := csv.NewReader(strings.NewReader(line)).Read()
	require.NoError(t, err)
	return strings.Join(rec, "\x00")
}
