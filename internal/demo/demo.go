// Package demo runs a simulated PowerMTA and the agent side by side and shows
// on one line what the agent does.
package demo // import "github.com/otelcol-pmta/otelcol-pmta/internal/demo"

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/otelcol-pmta/otelcol-pmta/internal/freeport"
)

// Options say what to run.
type Options struct {
	Agent    string        // path of the agent's binary
	Config   string        // its configuration; reads RUN_DIR, METRICS_PORT and HEALTH_PORT
	Simulate []string      // command that writes logs into Dir/pmta
	Dir      string        // scratch folder; what an earlier run left there is removed
	For      time.Duration // ends by itself after this time; 0 = when ctx ends
	Out      io.Writer
	Terminal bool // Out is a terminal: keep the summary on one line
}

// What an earlier run may have left in Dir. Nothing else is ever removed.
var leftovers = []string{"pmta", "state", "records.jsonl", "quarantine.jsonl", "quarantine-refused.jsonl", "unclassified.jsonl", "unknown-log.jsonl", "agent.log", "pmta.log"}

// Run blocks until For is over or ctx ends, ends both programs and returns nil
// if both ran and ended well.
func Run(ctx context.Context, o Options) error {
	for _, name := range leftovers {
		if err := os.RemoveAll(filepath.Join(o.Dir, name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "pmta"), 0o755); err != nil {
		return err
	}
	var ports [2]string // metrics, health
	for i := range ports {
		port, err := freeport.Get()
		if err != nil {
			return err
		}
		ports[i] = strconv.Itoa(port)
	}
	agent, err := start(filepath.Join(o.Dir, "agent.log"), exec.Command(o.Agent, "--config", o.Config),
		"RUN_DIR="+o.Dir, "METRICS_PORT="+ports[0], "HEALTH_PORT="+ports[1])
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer agent.kill()
	pmta, err := start(filepath.Join(o.Dir, "pmta.log"), exec.Command(o.Simulate[0], o.Simulate[1:]...))
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	defer pmta.kill()

	fmt.Fprintf(o.Out, "simulated PowerMTA writes   %s\nagent writes records to     %s\nagent's own log             %s\n",
		filepath.Join(o.Dir, "pmta"), filepath.Join(o.Dir, "records.jsonl"), filepath.Join(o.Dir, "agent.log"))
	if o.For == 0 {
		fmt.Fprintln(o.Out, "Ctrl-C ends both.")
	}

	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last, now summary
	show := func() {
		if s, err := scrape(ports[0]); err == nil && s.at.Sub(now.at) > time.Second/2 {
			last, now = now, s
			line := now.line(last)
			if o.Terminal {
				fmt.Fprintf(o.Out, "\r\x1b[K%s", line)
			} else {
				fmt.Fprintln(o.Out, line)
			}
		}
	}
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-agent.done:
			return fmt.Errorf("the agent ended by itself (%v); its log: %s\n%s", agent.err, filepath.Join(o.Dir, "agent.log"), tailOf(filepath.Join(o.Dir, "agent.log")))
		case <-pmta.done:
			return fmt.Errorf("the simulator ended by itself (%v)\n%s", pmta.err, tailOf(filepath.Join(o.Dir, "pmta.log")))
		case <-tick.C:
			show()
		}
	}

	// First the writer, then let the agent catch up, then the agent.
	errPMTA := pmta.stop(10 * time.Second)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		show()
		if now.lagBytes == 0 && now.total == last.total && now.sessions == last.sessions {
			break
		}
	}
	errAgent := agent.stop(20 * time.Second)
	if o.Terminal {
		fmt.Fprintln(o.Out)
	}
	fmt.Fprintf(o.Out, "both ended; %d records shipped, %d rejected, %d bytes not read; %d events and %d sessions of the system log\n",
		now.total, now.rejected, now.lagBytes, now.events, now.sessions)
	if sample := firstRecord(filepath.Join(o.Dir, "records.jsonl")); sample != "" {
		fmt.Fprintf(o.Out, "one of them:\n%s", sample)
	}
	if errPMTA != nil {
		return fmt.Errorf("simulator: %w", errPMTA)
	}
	if errAgent != nil {
		return fmt.Errorf("agent: %w\n%s", errAgent, tailOf(filepath.Join(o.Dir, "agent.log")))
	}
	return nil
}

// process is a child that is ended by a signal, not by the terminal, so that
// the order of ending is ours.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

func start(logPath string, cmd *exec.Cmd, env ...string) (*process, error) {
	logFile, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }()
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), env...)
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) stop(patience time.Duration) error {
	interrupt(p.cmd)
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.kill()
		return errors.New("did not end when asked and was killed")
	}
}

func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// summary is what the agent's own metrics say at one moment.
type summary struct {
	at         time.Time
	total      int64
	byType     map[string]int64
	events     int64 // of the system log
	sessions   int64
	rejected   int64
	lagBytes   int64
	lagSeconds float64
}

func scrape(port string) (summary, error) {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://localhost:" + port + "/metrics")
	if err != nil {
		return summary{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return summary{}, err
	}
	return summarise(families), nil
}

func summarise(families map[string]*dto.MetricFamily) summary {
	s := summary{at: time.Now(), byType: map[string]int64{}}
	for name, f := range families {
		name = strings.TrimSuffix(name, "_total")
		for _, m := range f.GetMetric() {
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			switch name {
			case "otelcol_pmta_records":
				s.total += int64(v)
				for _, l := range m.GetLabel() {
					if l.GetName() == "pmta_record_type" {
						s.byType[l.GetValue()] += int64(v)
					}
				}
			case "otelcol_pmta_log_entries":
				s.events += int64(v)
			case "otelcol_pmta_sessions":
				s.sessions += int64(v)
			case "otelcol_pmta_rejected":
				s.rejected += int64(v)
			case "otelcol_pmta_lag_bytes":
				s.lagBytes += int64(v)
			case "otelcol_pmta_lag_seconds":
				s.lagSeconds = max(s.lagSeconds, v)
			}
		}
	}
	return s
}

// line renders a summary, with the rate since the one before.
func (s summary) line(before summary) string {
	rate := 0.0
	if d := s.at.Sub(before.at).Seconds(); d > 0 && !before.at.IsZero() {
		rate = float64(s.total-before.total) / d
	}
	types := make([]string, 0, len(s.byType))
	for t := range s.byType {
		types = append(types, t)
	}
	sort.Slice(types, func(i, j int) bool { return s.byType[types[i]] > s.byType[types[j]] })
	var b strings.Builder
	fmt.Fprintf(&b, "%6.0f records/s  %d in all:", rate, s.total)
	for _, t := range types {
		fmt.Fprintf(&b, " %s %d", t, s.byType[t])
	}
	fmt.Fprintf(&b, "  log %d events %d sessions", s.events, s.sessions)
	fmt.Fprintf(&b, "  lag %.1f s  rejected %d", s.lagSeconds, s.rejected)
	return b.String()
}

// firstRecord returns the attributes of a record near the beginning of a file of
// OTLP JSON lines, one a line; of a deferral or bounce if there is one.
func firstRecord(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	type batch struct {
		ResourceLogs []struct {
			ScopeLogs []struct {
				LogRecords []struct {
					EventName  string `json:"eventName"`
					Attributes []struct {
						Key   string                     `json:"key"`
						Value map[string]json.RawMessage `json:"value"`
					} `json:"attributes"`
				} `json:"logRecords"`
			} `json:"scopeLogs"`
		} `json:"resourceLogs"`
	}
	best := ""
	dec := json.NewDecoder(bufio.NewReader(f))
	// A record with a reply shows more than a receipt, and one comes soon.
	for range 20 {
		var b batch
		if dec.Decode(&b) != nil {
			return best
		}
		for _, rl := range b.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				for _, rec := range sl.LogRecords {
					telling := rec.EventName == "pmta.transient" || rec.EventName == "pmta.bounce"
					if best != "" && !telling {
						continue
					}
					var text strings.Builder
					fmt.Fprintf(&text, "  event.name = %s\n", rec.EventName)
					for _, a := range rec.Attributes {
						for _, v := range a.Value {
							fmt.Fprintf(&text, "  %s = %s\n", a.Key, bytes.TrimSpace(v))
						}
					}
					best = text.String()
					if telling {
						return best
					}
				}
			}
		}
	}
	return best
}

func tailOf(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}
