// Command bench compares what the agent costs with what a Collector with the
// filelog receiver costs on the same accounting file, in the same run, and
// measures the agent at rest and at a steady rate. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

var (
	agentBin   = flag.String("agent", "build/bench/otelcol-pmta", "agent `binary`; empty leaves it out")
	peerBin    = flag.String("peer", "build/bench/otelcol-peer", "peer `binary`; empty leaves it out")
	pmtalogBin = flag.String("pmtalog", "build/bench/pmtalog", "pmtalog `binary`")
	configDir  = flag.String("configs", "bench", "`folder` of the configurations")
	workDir    = flag.String("dir", "build/bench/scratch", "scratch `folder`; emptied first, removed at the end")
	inputFile  = flag.String("file", "", "accounting `file` with the 23 default columns to use instead of a simulated one")
	records    = flag.Int("records", envInt("BENCH_RECORDS", 2_000_000), "records in the backlog (default from BENCH_RECORDS)")
	runs       = flag.Int("runs", 3, "measured runs of each, taken in turns; medians are reported")
	parts      = flag.String("parts", "check,backlog,memory,parse,idle,steady", "what to do, a `list`")
	extraEnv   = flag.String("env", "", "environment for agent and peer, such as `GOMAXPROCS=1`; a list with commas")
	idleFor    = flag.Duration("idle", time.Minute, "how long the agent is watched at rest")
	steadyFor  = flag.Duration("steady", time.Minute, "how long records are written at the steady rate")
	rate       = flag.Int("rate", 5000, "records per second in steady state")
)

func envInt(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return def
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	dir, err := filepath.Abs(*workDir)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	var env []string
	if *extraEnv != "" {
		env = strings.Split(*extraEnv, ",")
	}
	var agent, peer, peerGOGC *collector
	if *agentBin != "" {
		agent = &collector{name: "agent", bin: *agentBin, config: filepath.Join(*configDir, "agent-nop.yaml"), env: env}
	}
	if *peerBin != "" {
		peer = &collector{name: "peer (filelog)", bin: *peerBin, config: filepath.Join(*configDir, "peer", "config.yaml"), env: env}
		peerGOGC = &collector{name: "peer, GOGC=400", bin: peer.bin, config: peer.config, env: append(slices.Clone(env), "GOGC=400")}
	}

	fmt.Printf("%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Printf(", load before the run %s", strings.Fields(string(b))[0])
	}
	fmt.Println()
	input, err := prepareInput(dir, *records, *inputFile)
	if err != nil {
		return err
	}
	fmt.Printf("input: %d records, %d bytes a line, types %s\n", input.records, input.bytes/int64(input.records+1), input.mix())

	all := slices.DeleteFunc([]*collector{agent, peer, peerGOGC}, func(c *collector) bool { return c == nil })
	for _, part := range strings.Split(*parts, ",") {
		fmt.Printf("\n== %s\n", part)
		switch part {
		case "check":
			err = check(dir, input, agent, peer)
		case "backlog":
			err = backlog(dir, input, all, peer)
		case "memory":
			err = memory(dir, input, all)
		case "parse":
			err = parse(dir, input)
		case "idle":
			err = needAgent(agent, func() error { return idle(dir, input, agent) })
		case "steady":
			err = needAgent(agent, func() error {
				c := *agent
				c.config = filepath.Join(*configDir, "agent-otlp.yaml")
				return steady(dir, input, agent, &c)
			})
		default:
			err = fmt.Errorf("unknown part %q", part)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return nil
}

func needAgent(agent *collector, f func() error) error {
	if agent == nil {
		fmt.Println("skipped: no agent given")
		return nil
	}
	return f()
}

// result is what one run of a collector cost.
type result struct {
	cpu  time.Duration // user + system, whole process from start to end
	wall time.Duration // from start until all records were accepted
	rss  int64         // peak resident memory, bytes
}

// readAll starts c on file, waits until it has accepted n records, or, with
// n = 0, until it is ready, and stops it.
func readAll(dir string, c *collector, file string, n int) (result, error) {
	p, err := c.start(dir, file)
	if err != nil {
		return result{}, err
	}
	defer p.kill()
	if err := p.waitReady(); err != nil {
		return result{}, err
	}
	if n > 0 {
		if err := p.waitAccepted(n); err != nil {
			return result{}, err
		}
	} else {
		time.Sleep(settle)
	}
	wall := time.Since(p.started)
	rss := p.peakRSS()
	state, err := p.stop()
	if err != nil {
		return result{}, err
	}
	if rss == 0 {
		rss = maxRSS(state)
	}
	return result{cpu: state.UserTime() + state.SystemTime(), wall: wall, rss: rss}, nil
}

// backlog measures every collector on the same file, in turns.
func backlog(dir string, in *acctFile, all []*collector, peer *collector) error {
	idleFile, err := in.headerOnly(filepath.Join(dir, "empty.csv"))
	if err != nil {
		return err
	}
	bases := map[*collector][]result{}
	results := map[*collector][]result{}
	for i := range *runs {
		for _, c := range all {
			base, err := readAll(dir, c, idleFile, 0)
			if err != nil {
				return err
			}
			r, err := readAll(dir, c, in.path, in.records)
			if err != nil {
				return err
			}
			bases[c] = append(bases[c], base)
			results[c] = append(results[c], r)
			fmt.Printf("run %d  %-16s cpu %.2fs  wall %.2fs  peak %.0f MB  (start and stop alone: cpu %.2fs)\n",
				i+1, c.name, r.cpu.Seconds(), r.wall.Seconds(), mb(r.rss), base.cpu.Seconds())
		}
	}
	perRecord := func(c *collector) (net, gross float64) {
		cpu := median(results[c], func(r result) float64 { return r.cpu.Seconds() })
		base := median(bases[c], func(r result) float64 { return r.cpu.Seconds() })
		n := float64(in.records)
		return (cpu - base) / n * 1e6, cpu / n * 1e6
	}
	fmt.Printf("\n%d records → nop, median of %d runs\n\n", in.records, *runs)
	rows := [][]string{{"", "CPU µs/record", "with start and stop", "wall s", "peak RSS MB", "CPU, peer = 1"}}
	for _, c := range all {
		net, gross := perRecord(c)
		ratio := "–"
		if peer != nil {
			peerNet, _ := perRecord(peer)
			ratio = fmt.Sprintf("1/%.1f", peerNet/net)
		}
		rows = append(rows, []string{
			c.name, fmt.Sprintf("%.2f", net), fmt.Sprintf("%.2f", gross),
			fmt.Sprintf("%.1f", median(results[c], func(r result) float64 { return r.wall.Seconds() })),
			fmt.Sprintf("%.0f", median(results[c], func(r result) float64 { return mb(r.rss) })), ratio,
		})
	}
	printTable(rows)
	return nil
}

// memory shows whether memory grows with the size of the file.
func memory(dir string, large *acctFile, all []*collector) error {
	small, err := large.head(filepath.Join(dir, "small.csv"), max(1, large.records/10))
	if err != nil {
		return err
	}
	rows := [][]string{{"peak RSS MB", fmt.Sprintf("%d records", small.records), fmt.Sprintf("%d records", large.records)}}
	for _, c := range all {
		row := []string{c.name}
		for _, in := range []*acctFile{small, large} {
			var rs []result
			for range *runs {
				r, err := readAll(dir, c, in.path, in.records)
				if err != nil {
					return err
				}
				rs = append(rs, r)
			}
			row = append(row, fmt.Sprintf("%.0f", median(rs, func(r result) float64 { return mb(r.rss) })))
		}
		rows = append(rows, row)
	}
	printTable(rows)
	return nil
}

// parse measures pmtalog parse with its output thrown away by the kernel.
func parse(dir string, in *acctFile) error {
	small, err := in.head(filepath.Join(dir, "parse.csv"), min(in.records, 10_000))
	if err != nil {
		return err
	}
	out, err := exec.Command(*pmtalogBin, "parse", small.path).Output()
	if err != nil {
		fmt.Printf("skipped: %s parse: %v\n", *pmtalogBin, explain(err))
		return nil
	}
	if lines := strings.Count(string(out), "\n"); lines != small.records {
		return fmt.Errorf("pmtalog parse wrote %d lines for %d records", lines, small.records)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	var rs []result
	for range *runs {
		cmd := exec.Command(*pmtalogBin, "parse", in.path)
		cmd.Stdout = null
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("pmtalog parse: %w", err)
		}
		s := cmd.ProcessState
		rs = append(rs, result{cpu: s.UserTime() + s.SystemTime(), wall: time.Since(began), rss: maxRSS(s)})
	}
	printTable([][]string{
		{"", "CPU µs/record", "wall s", "peak RSS MB"},
		{
			"pmtalog parse, JSON to " + os.DevNull,
			fmt.Sprintf("%.2f", median(rs, func(r result) float64 { return r.cpu.Seconds() / float64(in.records) * 1e6 })),
			fmt.Sprintf("%.1f", median(rs, func(r result) float64 { return r.wall.Seconds() })),
			fmt.Sprintf("%.0f", median(rs, func(r result) float64 { return mb(r.rss) })),
		},
	})
	return nil
}

// idle measures the agent with one file that does not grow.
func idle(dir string, in *acctFile, agent *collector) error {
	file, err := in.headerOnly(filepath.Join(dir, "empty.csv"))
	if err != nil {
		return err
	}
	p, err := agent.start(dir, file)
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.waitReady(); err != nil {
		return err
	}
	before, err := p.cpu()
	if err != nil {
		fmt.Println("skipped:", err)
		return nil
	}
	time.Sleep(*idleFor)
	after, err := p.cpu()
	if err != nil {
		return err
	}
	rss := p.statusBytes("VmRSS")
	if _, err := p.stop(); err != nil {
		return err
	}
	fmt.Printf("at rest for %v: %.2f %% of one core, %.0f MB resident\n", *idleFor, 100*(after-before).Seconds()/idleFor.Seconds(), mb(rss))
	return nil
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

func median[T any](xs []T, f func(T) float64) float64 {
	vs := make([]float64, len(xs))
	for i, x := range xs {
		vs[i] = f(x)
	}
	slices.Sort(vs)
	n := len(vs)
	if n%2 == 1 {
		return vs[n/2]
	}
	return (vs[n/2-1] + vs[n/2]) / 2
}

// printTable prints rows as a Markdown table, ready for the README.
func printTable(rows [][]string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	for i, row := range rows {
		fmt.Fprintf(w, "| %s\t|\n", strings.Join(row, "\t| "))
		if i == 0 {
			fmt.Fprintf(w, "|%s\n", strings.Repeat("---\t|", len(row)))
		}
	}
	w.Flush()
}

// explain adds the first line that a failed command wrote to standard error.
func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		first, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return fmt.Errorf("%w: %s", err, first)
	}
	return err
}

func copyFile(dst, src string, limit int64) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, limit))
	return errors.Join(err, out.Close())
}
