package simulate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test program the one at the other end of a pipe, if it is asked to.
func TestMain(m *testing.M) {
	if how := os.Getenv("SIMULATE_PIPE_READER"); how != "" {
		os.Exit(pipeReader(how))
	}
	os.Exit(m.Run())
}

// pipeReader appends its input to the file PIPE_OUT: all of it, or so many lines before it ends. It can also end with an
// error, or read nothing.
func pipeReader(how string) int {
	out, err := os.OpenFile(os.Getenv("PIPE_OUT"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 1
	}
	defer out.Close()
	switch how {
	case "all":
		_, err = io.Copy(out, os.Stdin)
	case "fail":
		if _, err := io.Copy(out, os.Stdin); err != nil {
			return 1
		}
		fmt.Fprintln(os.Stderr, "reader says no")
		return 3
	case "none":
		select {}
	default:
		n, _ := strconv.Atoi(how)
		in := bufio.NewReader(os.Stdin)
		for range n {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return 1
			}
			if _, err := out.Write(line); err != nil {
				return 1
			}
		}
	}
	if err != nil {
		return 1
	}
	return 0
}

// pipeRun runs a world into a pipe whose reader does how, and returns what the reader got, what the log says, and the
// accounting file of the same run.
func pipeRun(t *testing.T, how string, n int64, cfg PipeConfig) (got []byte, log string, acct []byte, stats PipeStats) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIMULATE_PIPE_READER", how)
	t.Setenv("PIPE_OUT", filepath.Join(dir, "out"))
	if cfg.Command == "" {
		cfg.Command = self + " ignored arguments"
	}
	l := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log")}})
	cfg.Notify = l.Note
	p, err := NewPipe(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), JSON: cfg.JSON, CRLF: cfg.CRLF, Types: cfg.Types})
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, WorldOptions{Seed: 1, Rate: 10}, n, l, p, a)
	got, _ = os.ReadFile(filepath.Join(dir, "out"))
	return got, string(read(t, filepath.Join(dir, "log"))), read(t, filepath.Join(dir, a.Files()[0].Name)), p.Stats()
}

func TestPipe(t *testing.T) {
	for _, c := range []PipeConfig{{}, {Block: 4096, CRLF: true, Types: []Type{Delivery, Bounce}}, {JSON: true}} {
		got, log, acct, s := pipeRun(t, "all", 2000, c)
		if !bytes.Equal(got, acct) {
			t.Error("the program did not get what is in the accounting file")
		}
		if s != (PipeStats{Records: 2000, Starts: 1}) || strings.Contains(log, "Error") {
			t.Errorf("%+v; log:\n%s", s, log)
		}
	}
}

func TestPipeBreaks(t *testing.T) {
	const n = 20_000 // 2000 s and 8 MB: much more than a pipe holds
	got, log, acct, s := pipeRun(t, "100", n, PipeConfig{Retry: 8 * time.Minute})
	if s.Records+s.Lost != n || s.Lost < n/2 || s.Starts < 3 || s.Starts > 5 {
		t.Errorf("%+v", s)
	}
	header, _, _ := bytes.Cut(acct, []byte("\n"))
	whole := map[string]bool{}
	for line := range bytes.Lines(acct) {
		whole[string(line)] = true
	}
	lines, headers := 0, 0
	for line := range bytes.Lines(got) {
		lines++
		if !whole[string(line)] {
			t.Fatalf("the program got %q", line)
		}
		if bytes.Equal(bytes.TrimSuffix(line, []byte("\n")), header) {
			headers++
			if (lines-1)%100 != 0 {
				t.Errorf("a header in line %d", lines)
			}
		}
	}
	if int64(headers) != s.Starts || lines != headers*100 {
		t.Errorf("%d lines, %d headers, %d starts", lines, headers, s.Starts)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if k := strings.Count(log, ` Error writing to "`+self+` ignored arguments": Broken pipe`+"\n"); int64(k) != s.Starts {
		t.Errorf("%d errors for %d starts; log:\n%s", k, s.Starts, log)
	}
}

func TestPipeDoesNotStart(t *testing.T) {
	_, log, _, s := pipeRun(t, "all", 2000, PipeConfig{Command: "/no/such/program x", Retry: time.Minute})
	if s.Starts != 0 || s.Lost != 2000 {
		t.Errorf("%+v", s)
	}
	if k := strings.Count(log, ` Error starting "/no/such/program x": No such file or directory`); k != 4 { // 200 s
		t.Errorf("%d errors; log:\n%s", k, log)
	}
}

func TestPipeEndsWithError(t *testing.T) {
	var said bytes.Buffer
	_, log, _, s := pipeRun(t, "fail", 100, PipeConfig{Stderr: &said})
	if s.Records != 100 || !strings.Contains(log, `ignored arguments": exit status 3`) || !strings.Contains(log, `Error executing "`) || said.String() != "reader says no\n" {
		t.Errorf("%+v, %q; log:\n%s", s, said.String(), log)
	}
}

// TestPipeBlocks: a program that does not read is given up when the time for a write is over.
func TestPipeBlocks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("pipes have no time limits there")
	}
	_, log, _, s := pipeRun(t, "none", 5000, PipeConfig{Timeout: 20 * time.Millisecond, Retry: time.Hour})
	if s.Starts != 1 || s.Records+s.Lost != 5000 || s.Lost < 4000 || strings.Count(log, `": Connection timed out`) != 1 {
		t.Errorf("%+v; log:\n%s", s, log)
	}
}

func TestBadPipes(t *testing.T) {
	for name, cfg := range map[string]PipeConfig{"no command": {Command: "  "}, "retry": {Command: "x", Retry: -1}, "field": {Command: "x", Fields: map[Type][]string{Bounce: {"what"}}}} {
		if _, err := NewPipe(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for err, want := range map[error]string{os.ErrPermission: "Permission denied", exec.ErrNotFound: "No such file or directory", io.EOF: "EOF"} {
		if got := systemText(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}
