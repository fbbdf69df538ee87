package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const pipeHeader = "type,timeLogged,rcpt,dlvEsmtpAvailable,jobId\r\n"

// pipeRecord is the n-th record of a run; every fifth has a line end in a
// field.
func pipeRecord(run, n int) string {
	rcpt := fmt.Sprintf("user%d@example.com", n)
	if n%5 == 0 {
		rcpt = fmt.Sprintf("\"user%d\r\n\"\"x\"\"@example.com\"", n)
	}
	return fmt.Sprintf("d,2026-01-31 10:00:00+0000,%s,\"8BITMIME,SIZE\",run%d-%07d\r\n", rcpt, run, n)
}

// pipeProcess is a running `pmtalog pipe`.
type pipeProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	err bytes.Buffer
}

func startPipe(t *testing.T, args ...string) *pipeProcess {
	t.Helper()
	p := &pipeProcess{cmd: exec.Command(binary(t, "pmtalog"), append([]string{"pipe"}, args...)...)}
	p.cmd.Stderr = &p.err
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	p.in = in
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *pipeProcess) write(t *testing.T, run, from, to int) {
	t.Helper()
	var b strings.Builder
	if from == 0 {
		b.WriteString(pipeHeader)
	}
	for n := from; n < to; n++ {
		b.WriteString(pipeRecord(run, n))
	}
	_, err := io.WriteString(p.in, b.String())
	require.NoError(t, err)
}

func spoolFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "acct-*.csv"))
	require.NoError(t, err)
	slices.Sort(files)
	return files
}

func spoolSize(files []string) (n int64) {
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			n += st.Size()
		}
	}
	return n
}

var jobID = regexp.MustCompile(`^run(\d+)-(\d{7})$`)

// spoolRecords reads the spool with `pmtalog parse` and returns the numbers of
// each run in the order of the files, and how much was rejected.
func spoolRecords(t *testing.T, files []string) (runs map[int][]int, rejected int) {
	t.Helper()
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(b, []byte(pipeHeader)), "%s does not begin with the header line", f)
	}
	stdout, stderr, code := run(t, "pmtalog", append([]string{"parse"}, files...)...)
	require.Zero(t, code, stderr)
	runs = map[int][]int{}
	for line := range strings.Lines(stdout) {
		var r map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		job, _ := r["pmta.job.id"].(string)
		m := jobID.FindStringSubmatch(job)
		require.NotNil(t, m, "record with job %q", job)
		a, _ := strconv.Atoi(m[1])
		n, _ := strconv.Atoi(m[2])
		runs[a] = append(runs[a], n)
	}
	m := regexp.MustCompile(`(?m)^(\d+) rejected`).FindStringSubmatch(stderr)
	require.NotNil(t, m, stderr)
	rejected, _ = strconv.Atoi(m[1])
	return runs, rejected
}

// isPrefix says that numbers are 0, 1, 2, ... without gap or repetition.
func isPrefix(numbers []int) bool {
	for i, n := range numbers {
		if n != i {
			return false
		}
	}
	return true
}

// kill -9 in the middle of a stream, again and again: of each run a prefix is
// there, with at least what was seen on disk before the kill, and nothing twice.
func TestPipeKilled(t *testing.T) {
	dir := t.TempDir()
	const kills = 8
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	atLeast := make([]int, kills+1)
	for k := range kills {
		p := startPipe(t, "--dir", dir, "--file-size", "1MiB", "--max-size", "4GiB")
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = io.WriteString(p.in, pipeHeader)
			for n := 0; ; n++ {
				if _, err := io.WriteString(p.in, pipeRecord(k, n)); err != nil {
					return
				}
			}
		}()
		// Kill somewhere behind the first records.
		before := spoolSize(spoolFiles(t, dir))
		target := before + 1000 + rnd.Int64N(4<<20)
		eventually(t, 30*time.Second, "records on disk", func() bool { return spoolSize(spoolFiles(t, dir)) >= target })
		for _, f := range spoolFiles(t, dir) {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			atLeast[k] += bytes.Count(b, fmt.Appendf(nil, ",run%d-", k))
		}
		require.NoError(t, p.cmd.Process.Kill())
		_ = p.cmd.Wait()
		<-written
	}
	p := startPipe(t, "--dir", dir, "--file-size", "1MiB", "--max-size", "4GiB")
	p.write(t, kills, 0, 1234)
	require.NoError(t, p.in.Close())
	require.NoError(t, p.cmd.Wait(), p.err.String())

	runs, rejected := spoolRecords(t, spoolFiles(t, dir))
	require.LessOrEqual(t, rejected, kills)
	for k := range kills {
		require.True(t, isPrefix(runs[k]), "run %d", k)
		require.GreaterOrEqual(t, len(runs[k]), atLeast[k]-1, "run %d", k) // the last one counted may have been cut off
	}
	require.Len(t, runs[kills], 1234)
	require.True(t, isPrefix(runs[kills]))
}

// Nobody reads the spool: it stays within its bound and holds the newest
// records, the files that went are in the journal with their records.
func TestPipeNobodyReads(t *testing.T) {
	dir := t.TempDir()
	p := startPipe(t, "--dir", dir, "--file-size", "256KiB", "--max-size", "1MiB")
	const total = 60_000
	for n := 0; n < total; n += 2000 {
		p.write(t, 1, n, n+2000)
		require.LessOrEqual(t, spoolSize(spoolFiles(t, dir)), int64(1<<20))
	}
	require.NoError(t, p.in.Close())
	require.NoError(t, p.cmd.Wait(), p.err.String())
	files := spoolFiles(t, dir)
	require.LessOrEqual(t, spoolSize(files), int64(1<<20))
	runs, rejected := spoolRecords(t, files)
	require.Zero(t, rejected)

	removed := 0
	journal, err := os.ReadFile(filepath.Join(dir, "acct.journal.jsonl"))
	require.NoError(t, err)
	var last map[string]any
	for line := range strings.Lines(string(journal)) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e["event"] == "removed" {
			require.Equal(t, "max_size", e["reason"])
			removed += int(e["records"].(float64))
		}
		require.NotEqual(t, "dropped", e["event"], line)
		last = e
	}
	require.Equal(t, "stop", last["event"])
	require.Equal(t, total, removed+len(runs[1]))
	for i, n := range runs[1] {
		require.Equal(t, removed+i, n)
	}
	require.Contains(t, p.err.String(), "60000 records read, 60000 written")
}

// A signal while PMTA keeps the pipe open: what PMTA has written is kept, and
// PMTA learns that nobody reads any more.
func TestPipeSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		dir := t.TempDir()
		p := startPipe(t, "--dir", dir)
		p.write(t, 1, 0, 100) // makes sure that it runs
		eventually(t, 20*time.Second, "records on disk", func() bool { return len(spoolFiles(t, dir)) == 1 })
		p.write(t, 1, 100, 5000)
		require.NoError(t, p.cmd.Process.Signal(sig))
		require.NoError(t, p.cmd.Wait(), "%v: %s", sig, p.err.String())
		runs, rejected := spoolRecords(t, spoolFiles(t, dir))
		require.Zero(t, rejected)
		require.Len(t, runs[1], 5000, sig)
		require.True(t, isPrefix(runs[1]))
		_, err := io.WriteString(p.in, pipeRecord(1, 5000))
		require.Error(t, err)
	}
}

func TestPipeRefusesToStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, stderr, code := run(t, "pmtalog", "pipe", "--dir", filepath.Join(file, "spool"))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "install -d -o pmta")
	_, stderr, code = run(t, "pmtalog", "pipe")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--dir: is required")
}

// The agent stands still while PMTA writes, PMTA restarts in between, and the
// pipe is killed once; when the agent is back it gets every record once.
func TestPipeIntoAgent(t *testing.T) {
	dir := t.TempDir()
	spool := filepath.Join(dir, "spool")
	flags := []string{"--dir", spool, "--file-size", "256KiB"}
	p := startPipe(t, flags...)
	p.write(t, 1, 0, 8000)
	require.NoError(t, p.in.Close())
	require.NoError(t, p.cmd.Wait(), p.err.String())

	p = startPipe(t, flags...)
	p.write(t, 2, 0, 2000)
	eventually(t, 20*time.Second, "run 2 on disk", func() bool {
		files := spoolFiles(t, spool)
		b, err := os.ReadFile(files[len(files)-1])
		return err == nil && bytes.Contains(b, []byte("run2-0001999\r\n"))
	})
	require.NoError(t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()

	a := startAgent(t, quarantineConfig, "LOG_DIR="+spool, "WORK_DIR="+dir)
	a.waitReady()
	p = startPipe(t, flags...)
	p.write(t, 3, 0, 3000)
	counted := func() map[string]int {
		seen := map[string]int{}
		b, _ := os.ReadFile(filepath.Join(dir, "records.jsonl"))
		for _, m := range regexp.MustCompile(`run\d-\d{7}`).FindAll(b, -1) {
			seen[string(m)]++
		}
		return seen
	}
	eventually(t, 60*time.Second, "all records", func() bool { return len(counted()) == 13_000 })
	require.NoError(t, p.in.Close())
	require.NoError(t, p.cmd.Wait(), p.err.String())
	a.stop()
	for job, n := range counted() {
		require.Equal(t, 1, n, job)
	}
	_, err := os.Stat(filepath.Join(dir, "quarantine.jsonl"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
