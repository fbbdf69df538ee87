// Command kafka measures what the kafka exporter costs, next to contrib's, on
// the same records in the same run. Contrib's exporter is in this module only.
//
// A fake broker (kfake) that accepts and forgets runs as a process of its own,
// so that only the exporters' processor time is counted.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	contrib "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/kafka"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermta"
)

var (
	asBroker = flag.Bool("broker", false, "be the broker")
	input    = flag.String("input", "", "accounting `files` (pattern) to take the records from")
	records  = flag.Int64("records", 600_000, "records per measurement")
	runs     = flag.Int("runs", 3, "measurements per case; the median counts")
	inFlight = flag.Int("in-flight", 4, "batches at a time")
	profile  = flag.String("cpuprofile", "", "`file` for a CPU profile")
	only     = flag.String("only", "", "cases to measure, by part of their name")
)

const queueOff = "sending_queue: {enabled: false}, retry_on_failure: {enabled: false}, "

type testCase struct {
	name    string
	factory exporter.Factory
	yaml    string
}

func cases(dir string) []testCase {
	ours, theirs := kafka.NewFactory(), contrib.NewFactory()
	dead := "dead_letter: {path: " + filepath.Join(dir, "dead.jsonl") + "}, "
	var out []testCase
	add := func(name, encoding, compression string, both bool) {
		// The same level for both: contrib's default for zstd is a slower one.
		body := "producer: {required_acks: all, compression: " + compression + ", compression_params: {level: 1}}"
		if both {
			out = append(out, testCase{"contrib " + name, theirs, "{" + queueOff + "logs: {topic: t, encoding: " + encoding + "}, " + body + "}"})
		}
		out = append(out, testCase{"ours    " + name, ours, "{" + queueOff + dead + "logs: {topic: t, encoding: " + encoding + "}, " + body + "}"})
	}
	for _, z := range []string{"none", "gzip", "zstd"} {
		add("otlp_json  "+z, "otlp_json", z, true)
		add("otlp_proto "+z, "otlp_proto", z, true)
	}
	for _, z := range []string{"none", "lz4", "zstd"} {
		add("json       "+z, "json", z, false)
	}
	return out
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if *asBroker {
		return broker()
	}
	dir, err := os.MkdirTemp("", "bench-kafka-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	batches, n, err := read(*input, dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, "-broker")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	addr = strings.TrimSpace(addr)

	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%d records in %d batches, %s, GOMAXPROCS %d, load %s\n", n, len(batches), runtime.Version(), runtime.GOMAXPROCS(0), strings.TrimSpace(string(load)))
	fmt.Printf("%-28s %12s %14s %12s\n", "case", "CPU µs/rec", "rec/s per core", "rec/s")
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results := map[string][]sample{}
	all := cases(dir)
	for range *runs {
		for _, c := range all {
			if !strings.Contains(c.name, *only) {
				continue
			}
			s, err := measure(c, addr, batches)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			results[c.name] = append(results[c.name], s)
		}
	}
	for _, c := range all {
		r := results[c.name]
		if len(r) == 0 {
			continue
		}
		slices.SortFunc(r, func(a, b sample) int { return int(a.cpu - b.cpu) })
		m := r[len(r)/2]
		fmt.Printf("%-28s %12.2f %14.0f %12.0f\n", c.name, float64(m.cpu.Nanoseconds())/float64(m.records)/1e3,
			float64(m.records)/m.cpu.Seconds(), float64(m.records)/m.wall.Seconds())
	}
	return nil
}

func broker() error {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"), kfake.BlackholeProduce())
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(c.ListenAddrs()[0])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil
}

// read lets the receiver make batches of the files, as it does in the agent.
func read(pattern, dir string) ([]plog.Logs, int, error) {
	if pattern == "" {
		return nil, 0, errors.New("-input: name accounting files, as pmtalog simulate makes them")
	}
	factory := powermta.NewFactory()
	cfg := factory.CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{
		"include": []any{pattern}, "quarantine": map[string]any{"path": filepath.Join(dir, "quarantine.jsonl")},
	}).Unmarshal(cfg)
	if err != nil {
		return nil, 0, err
	}
	var mu sync.Mutex
	var batches []plog.Logs
	n, last := 0, time.Now()
	sink, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		mu.Lock()
		defer mu.Unlock()
		batches = append(batches, ld)
		n += ld.LogRecordCount()
		last = time.Now()
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	ctx := context.Background()
	r, err := factory.CreateLogs(ctx, receivertest.NewNopSettings(factory.Type()), cfg, sink)
	if err != nil {
		return nil, 0, err
	}
	if err := r.Start(ctx, componenttest.NewNopHost()); err != nil {
		return nil, 0, err
	}
	for done := false; !done; {
		time.Sleep(100 * time.Millisecond)
		mu.Lock()
		done = time.Since(last) > 2*time.Second
		mu.Unlock()
	}
	if n == 0 {
		return nil, 0, fmt.Errorf("-input: no record in %s", pattern)
	}
	return batches, n, r.Shutdown(ctx)
}

type sample struct {
	records   int64
	cpu, wall time.Duration
}

func measure(c testCase, addr string, batches []plog.Logs) (sample, error) {
	var s sample
	raw, err := confmap.NewRetrievedFromYAML([]byte(c.yaml))
	if err != nil {
		return s, err
	}
	conf, err := raw.AsConf()
	if err != nil {
		return s, err
	}
	if err := conf.Merge(confmap.NewFromStringMap(map[string]any{"brokers": []any{addr}})); err != nil {
		return s, err
	}
	cfg := c.factory.CreateDefaultConfig()
	if err := conf.Unmarshal(cfg); err != nil {
		return s, err
	}
	ctx := context.Background()
	exp, err := c.factory.CreateLogs(ctx, exportertest.NewNopSettings(c.factory.Type()), component.Config(cfg))
	if err != nil {
		return s, err
	}
	if err := exp.Start(ctx, componenttest.NewNopHost()); err != nil {
		return s, err
	}
	if err := exp.ConsumeLogs(ctx, batches[0]); err != nil { // connections, pools
		return s, err
	}
	runtime.GC()
	start, before := time.Now(), cpu()
	var sent, next atomic.Int64
	errs := make([]error, *inFlight)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for sent.Load() < *records {
				b := batches[int(next.Add(1))%len(batches)]
				if errs[w] = exp.ConsumeLogs(ctx, b); errs[w] != nil {
					return
				}
				sent.Add(int64(b.LogRecordCount()))
			}
		})
	}
	wg.Wait()
	s = sample{records: sent.Load(), cpu: cpu() - before, wall: time.Since(start)}
	return s, errors.Join(append(errs, exp.Shutdown(ctx))...)
}

// cpu returns user and system time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
