package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	pollEvery = 200 * time.Millisecond // how often a collector is asked for its metrics
	stallFor  = 20 * time.Second       // no progress for so long is a failure
	// A Collector takes signals only a moment after it has said that it is ready.
	settle    = 500 * time.Millisecond
	readyLine = "Everything is ready" // what every Collector logs after its start
)

// collector is a binary with a configuration.
type collector struct {
	name, bin, config string
	env               []string
	overlay           string // second configuration file, "" for none
}

// process is a running collector.
type process struct {
	c       *collector
	cmd     *exec.Cmd
	dir     string // its own scratch folder
	port    int    // of its metrics
	started time.Time
	log     *logWatch
	ready   chan struct{}
	ended   chan struct{}
	waitErr error
}

// start runs c on file with a fresh folder below dir for its state.
func (c *collector) start(dir, file string) (*process, error) {
	state, err := os.MkdirTemp(dir, "state-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{"--config", c.config}
	if c.overlay != "" {
		args = append(args, "--config", c.overlay)
	}
	p := &process{c: c, dir: state, port: port, ready: make(chan struct{}), ended: make(chan struct{})}
	p.log = &logWatch{found: p.ready}
	p.cmd = exec.Command(c.bin, args...)
	p.cmd.Env = append(cleanEnv(), "BENCH_FILE="+file, "BENCH_DIR="+state, "BENCH_PORT="+strconv.Itoa(port))
	p.cmd.Env = append(p.cmd.Env, c.env...)
	p.cmd.Stderr = p.log
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.waitErr = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// cleanEnv leaves out what tunes the Go runtime, so that a collector runs as
// it would for a user.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG":
		default:
			env = append(env, kv)
		}
	}
	return env
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (p *process) waitReady() error {
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
		return p.fail("ended before it was ready")
	case <-time.After(stallFor):
		return p.fail("not ready after " + stallFor.String())
	}
}

// waitAccepted returns when the collector's own count of accepted records is n.
func (p *process) waitAccepted(n int) error {
	var last int64
	progress := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		got, err := p.accepted()
		switch {
		case err == nil && got == int64(n):
			return nil
		case err == nil && got > int64(n):
			return p.fail(fmt.Sprintf("accepted %d records, the file has %d", got, n))
		case err == nil && got > last:
			last, progress = got, time.Now()
		case time.Since(progress) > stallFor:
			return p.fail(fmt.Sprintf("stuck at %d of %d accepted records (metrics: %v)", last, n, err))
		}
		select {
		case <-p.ended:
			return p.fail("ended too early")
		case <-tick.C:
		}
	}
}

// accepted returns the number of records that the receiver says the pipeline
// has accepted: the Collector's general metric, or the agent's own one.
func (p *process) accepted() (int64, error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", p.port))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, errors.New(resp.Status)
	}
	var general, own float64
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(line, "otelcol_receiver_accepted_log_records"):
			general += value
		case strings.HasPrefix(line, "otelcol_pmta_records"):
			own += value
		}
	}
	return int64(max(general, own)), sc.Err()
}

// stop ends the process as a service manager would.
func (p *process) stop() (*os.ProcessState, error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, p.fail(err.Error())
	}
	select {
	case <-p.ended:
	case <-time.After(stallFor):
		return nil, p.fail("did not end after SIGTERM")
	}
	if p.waitErr != nil {
		return nil, p.fail(p.waitErr.Error())
	}
	return p.cmd.ProcessState, nil
}

// kill makes sure that nothing is left behind, whatever happened.
func (p *process) kill() {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	_ = os.RemoveAll(p.dir)
}

func (p *process) fail(what string) error {
	return fmt.Errorf("%s (%s): %s; the end of its log:\n%s", p.c.name, filepath.Base(p.c.bin), what, p.log.tail())
}

// peakRSS returns the peak resident memory so far in bytes, 0 if the system
// does not tell.
func (p *process) peakRSS() int64 { return p.statusBytes("VmHWM") }

func (p *process) statusBytes(field string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// cpu returns user and system time so far, to the 10 ms that Linux counts in.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("this needs /proc: %w", err)
	}
	// The second field is the command in parentheses; utime and stime are
	// fields 14 and 15.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	utime, err1 := strconv.ParseInt(fields[11], 10, 64)
	stime, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(utime+stime) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// maxRSS returns the peak resident memory of an ended process in bytes. Linux
// counts it in KiB, and never below what this program had when it forked.
func maxRSS(s *os.ProcessState) int64 {
	return s.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// logWatch keeps the end of a log and tells when the ready line has come.
type logWatch struct {
	mu    sync.Mutex
	buf   []byte
	seen  bool
	found chan struct{}
}

var _ io.Writer = (*logWatch)(nil)

func (l *logWatch) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if !l.seen && bytes.Contains(l.buf, []byte(readyLine)) {
		l.seen = true
		close(l.found)
	}
	if keep := 8 << 10; len(l.buf) > 2*keep {
		l.buf = append(l.buf[:0], l.buf[len(l.buf)-keep:]...)
	}
	return len(b), nil
}

func (l *logWatch) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf[max(0, len(l.buf)-2048):])
}
