package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/otelcol-pmta/otelcol-pmta/internal/demo"
)

const demoHelp = `Usage: pmtalog demo --agent otelcol-pmta --config FILE [FLAGS]

Starts a simulated PowerMTA and the agent, and shows on one line what the agent does. Ctrl-C ends both.

Example:
  pmtalog demo --agent bin/otelcol-pmta --config config/quickstart.yaml --for 20s
`

func runDemo(ctx context.Context, args []string, std stdio) int {
	f := newFlags("demo", demoHelp, std)
	agent := f.String("agent", "bin/otelcol-pmta", "`PATH` of the agent")
	config := f.String("config", "config/quickstart.yaml", "configuration `FILE` of the agent; it may use RUN_DIR, METRICS_PORT and HEALTH_PORT")
	dir := f.String("dir", "run", "scratch `DIR` for logs, records and state; an earlier run's are removed")
	length := f.Duration("for", 0, "end by itself after `TIME`, such as 20s (default: at Ctrl-C)")
	rate := f.Float64("rate", 500, "records `PER-SECOND` of the simulated PowerMTA")
	if code, ok := parseFlags(f, args, std); !ok {
		return code
	}
	self, err := os.Executable()
	if err != nil {
		return fail(std, exitFailure, "demo", err)
	}
	logs := filepath.Join(*dir, "pmta")
	terminal := false
	if out, ok := std.out.(*os.File); ok {
		st, err := out.Stat()
		terminal = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	err = demo.Run(ctx, demo.Options{
		Agent: *agent, Config: *config, Dir: *dir, For: *length, Out: std.out, Terminal: terminal,
		// Small files, so that rotation and the move are seen; a pace at which
		// retries, late bounces and complaints come within a minute.
		Simulate: []string{self, "simulate", "--dir", logs, "--rate", strconv.FormatFloat(*rate, 'g', -1, 64), "--hurry", "300",
			"--max-size", "2M", "--move-to", filepath.Join(logs, "moved"), "--move-interval", "10s", "--count-moved-records",
			"--log", filepath.Join(logs, "log"), "--log-rotate-every", "20s", "--log-rotate", "3", "--http-log", filepath.Join(logs, "pmtahttp.log"),
			"--incident", "throttle@8s+20s:provider=yahoo,share=0.9"},
	})
	if err != nil {
		return fail(std, exitFailure, "demo", err)
	}
	return exitOK
}
