// Package e2e holds black-box tests: they build the real binaries, start them
// and look only at what a user can see.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/freeport"
)

var binDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "otelcol-pmta-e2e-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var builds sync.Map // command name -> func() error

// binary builds a command of this module once and returns its path.
func binary(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(binDir, name)
	build, _ := builds.LoadOrStore(name, sync.OnceValue(func() error {
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./cmd/"+name)
		cmd.Dir = repoRoot()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
		return nil
	}))
	require.NoError(t, build.(func() error)())
	return path
}

func repoRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// output collects what a program prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// agent is a running otelcol-pmta.
type agent struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *output
	done   chan struct{}
	err    error // valid once done is closed
	health string
}

// startAgent starts the agent with a configuration. The configuration has to
// use ${env:HEALTH_PORT} for its health_check extension.
func startAgent(t *testing.T, config string, env ...string) *agent {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	return startAgentFile(t, path, env...)
}

func startAgentFile(t *testing.T, path string, env ...string) *agent {
	t.Helper()
	return startCommand(t, func(*exec.Cmd) {}, path, env...)
}

// startAgentAs starts the agent as an unprivileged user when the tests run as
// root, who may read everything.
func startAgentAs(t *testing.T, uid uint32, config string, env ...string) *agent {
	t.Helper()
	path := filepath.Join(binDir, "unprivileged.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o644))
	binary(t, "otelcol-pmta")
	require.NoError(t, os.Chmod(binDir, 0o755))
	return startCommand(t, func(cmd *exec.Cmd) { runAs(cmd, uid) }, path, env...)
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

func startCommand(t *testing.T, prepare func(*exec.Cmd), path string, env ...string) *agent {
	t.Helper()
	port := strconv.Itoa(freePort(t))
	a := &agent{t: t, out: &output{}, done: make(chan struct{}), health: "http://localhost:" + port}
	a.cmd = exec.Command(binary(t, "otelcol-pmta"), "--config", path)
	a.cmd.Env = append(append(os.Environ(), "HEALTH_PORT="+port), env...)
	a.cmd.Stdout, a.cmd.Stderr = a.out, a.out
	prepare(a.cmd)
	require.NoError(t, a.cmd.Start())
	go func() {
		a.err = a.cmd.Wait()
		close(a.done)
	}()
	t.Cleanup(func() {
		a.kill()
		if t.Failed() {
			t.Logf("agent's output:\n%s", a.out)
		}
	})
	return a
}

// waitReady blocks until the pipelines run.
func (a *agent) waitReady() {
	a.t.Helper()
	client := http.Client{Timeout: time.Second}
	eventually(a.t, 30*time.Second, "agent ready", func() bool {
		select {
		case <-a.done:
			a.t.Fatalf("the agent ended: %v\n%s", a.err, a.out)
		default:
		}
		resp, err := client.Get(a.health)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the agent as a power failure would, as far as it is concerned.
func (a *agent) kill() {
	_ = a.cmd.Process.Kill()
	<-a.done
}

// stop asks the agent to end and checks that it does so well.
func (a *agent) stop() {
	a.t.Helper()
	require.NoError(a.t, a.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-a.done:
		require.NoError(a.t, a.err, a.out.String())
	case <-time.After(30 * time.Second):
		a.t.Fatalf("the agent did not end\n%s", a.out)
	}
}

// run executes a command of this module to its end.
func run(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, name), args...)
	cmd.Dir = repoRoot()
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatalf("%s: %v", name, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Get()
	require.NoError(t, err)
	return port
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, patience time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
		<-tick.C
	}
}

// lines counts the complete lines of a file, 0 if there is none.
func lines(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return bytes.Count(data, []byte("\n"))
}
