package tail

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// runner runs a Tailer for real.
type runner struct {
	t     *testing.T
	tl    *Tailer
	stop  context.CancelFunc
	ended chan error
}

func startRun(t *testing.T, cfg Config) *runner {
	tl, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &runner{t: t, tl: tl, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- tl.Run(ctx) }()
	return r
}

func (r *runner) end() {
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Fatal(err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for", what)
		}
	}
}

func TestRun(t *testing.T) {
	for _, notify := range []bool{false, true} {
		h := newHarness(t)
		cfg := h.cfg
		cfg.Notify = notify
		if notify {
			cfg.PollInterval = time.Hour // only events can bring anything
		}
		h.write("log", header, rec("a"))
		r := startRun(t, cfg)
		waitFor(t, "a", func() bool { return len(h.sink.all()) == 1 })
		h.write("log", rec("b"))
		waitFor(t, "b", func() bool { return len(h.sink.all()) == 2 })
		h.write("new.csv", header, rec("c"))
		waitFor(t, "c", func() bool { return len(h.sink.all()) == 3 })
		r.end()
		s := r.tl.Stats()
		if s.Open != 0 || s.InFlight != 0 || s.Files != 2 || s.Streams["log"].BytesRead == 0 {
			t.Fatalf("%+v", s)
		}
		h.sink.take()
		r = startRun(t, cfg)
		h.write("log", rec("d"))
		waitFor(t, "d", func() bool { return len(h.sink.all()) == 1 })
		r.end()
		h.want("d")
	}
}

func TestShutdownWaitsForDeliveries(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ShutdownGrace = time.Hour })
	h.sink.gate = make(chan struct{})
	h.write("log", header, rec("a"))
	r := startRun(t, h.cfg)
	waitFor(t, "the delivery", func() bool { return r.tl.Stats().InFlight == 1 })
	r.stop()
	close(h.sink.gate)
	r.end()
	h.start() // the position was saved
	h.step(0)
	h.want("a")
}

func TestShutdownGivesUp(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ShutdownGrace = time.Millisecond })
	h.sink.gate = make(chan struct{})
	h.write("log", header, rec("a"))
	r := startRun(t, h.cfg)
	waitFor(t, "the delivery", func() bool { return r.tl.Stats().InFlight == 1 })
	r.end()
	h.want()
	h.sink.gate = nil
	h.start()
	h.step(0)
	h.want("a") // read again
}

// TestRotationTortureWithoutBirthTime is for file systems that do not know when
// a file was made. There a reused number can make a file be read twice, and
// what the writer left half written can be given as the last line; nothing may
// be lost all the same.
func TestRotationTortureWithoutBirthTime(t *testing.T) {
	setBirth(t, false)
	tortureRun(t, 3*time.Second, true)
}

// devNull counts lines and throws them away.
type devNull struct{ lines, bytes int }

type devNullBatch struct{}

func (devNullBatch) Deliver(context.Context) error { return nil }

func (d *devNull) Decode(c Chunk) (int, Batch) {
	used := 0
	for {
		i := bytes.IndexByte(c.Data[used:], '\n')
		if i < 0 {
			break
		}
		used += i + 1
		d.lines++
	}
	d.bytes += used
	if used == 0 {
		return 0, nil
	}
	return used, devNullBatch{}
}

func (d *devNull) State() []byte { return []byte(header) }

func devNullDecoder(*File, []byte) (Decoder, error) { return &devNull{}, nil }

// BenchmarkRead reads a file of 512 byte lines with a decoder that only looks
// for line ends. One operation is one line. The live heap makes the garbage
// collector run as often as it does in an agent, not as in an empty program.
func BenchmarkRead(b *testing.B) {
	heap := make([]byte, 64<<20)
	defer runtime.KeepAlive(heap)
	for _, kib := range []int{64, 128, 256} {
		b.Run(fmt.Sprintf("chunk=%dK", kib), func(b *testing.B) { benchRead(b, kib<<10) })
	}
}

func benchRead(b *testing.B, chunk int) {
	dir := b.TempDir()
	line := strings.Repeat("x", 511) + "\n"
	fh, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		b.Fatal(err)
	}
	const lines = 200_000
	var buf bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&buf, "%08d%s", i, line[8:])
	}
	if _, err := fh.Write(buf.Bytes()); err != nil {
		b.Fatal(err)
	}
	if err := fh.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(512)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += lines {
		var got atomic.Int64
		tl, err := New(Config{Include: []string{filepath.Join(dir, "*")}, NewDecoder: devNullDecoder, ChunkSize: chunk})
		if err != nil {
			b.Fatal(err)
		}
		if err := tl.load(context.Background()); err != nil {
			b.Fatal(err)
		}
		for got.Load() < int64(lines)*512 {
			tl.poll()
			for tl.inFlight > 0 {
				tl.collect(<-tl.doneCh)
			}
			got.Store(tl.total.BytesRead)
		}
		for f := range tl.open {
			tl.closeFile(f)
		}
	}
}

func manyFiles(b *testing.B, n int) string {
	dir := b.TempDir()
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("acct-2026-01-%02d-%04d.csv", 1+i/1000, i%1000))
		if err := os.WriteFile(name, []byte(header+rec(fmt.Sprint("a", i))), 0o644); err != nil {
			b.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(name, old, old); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// drain polls until every file was read and saved.
func drain(b *testing.B, tl *Tailer) {
	for {
		tl.poll()
		for tl.inFlight > 0 {
			tl.collect(<-tl.doneCh)
		}
		if len(tl.ring) == 0 && tl.inFlight == 0 && len(tl.retry) == 0 {
			return
		}
	}
}

func newBench(b *testing.B, dir string, store Store) *Tailer {
	tl, err := New(Config{Include: []string{filepath.Join(dir, "*")}, NewDecoder: devNullDecoder, Store: store})
	if err != nil {
		b.Fatal(err)
	}
	if err := tl.load(context.Background()); err != nil {
		b.Fatal(err)
	}
	return tl
}

// BenchmarkStart10000 is a first start and a restart in a folder with 10,000
// small files, and a poll with nothing new.
func BenchmarkStart10000(b *testing.B) {
	dir := manyFiles(b, 10_000)
	store := newStore()
	first := newBench(b, dir, store)
	drain(b, first)
	first.saveNow(context.Background())
	b.Run("first", func(b *testing.B) {
		for range b.N {
			tl := newBench(b, dir, newStore())
			drain(b, tl)
			tl.saveNow(context.Background())
			b.ReportMetric(float64(len(tl.open)), "open")
			for f := range tl.open {
				tl.closeFile(f)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		n := 0
		for _, v := range store.m {
			n += len(v)
		}
		for range b.N {
			tl := newBench(b, dir, store)
			drain(b, tl)
			for f := range tl.open {
				tl.closeFile(f)
			}
		}
		b.ReportMetric(float64(n)/10_000, "stored-B/file")
		b.ReportMetric(float64(len(store.m)), "keys")
	})
	b.Run("poll", func(b *testing.B) {
		first.discover(time.Now(), true)
		for range b.N {
			first.nextPoll, first.nextRelist = time.Time{}, time.Now().Add(time.Hour)
			first.poll()
		}
	})
	b.Run("relist", func(b *testing.B) {
		for range b.N {
			first.nextPoll, first.nextRelist = time.Time{}, time.Time{}
			first.poll()
		}
	})
	b.Run("changed", func(b *testing.B) { // a name appeared
		for range b.N {
			first.dirtyDirs()
			first.nextPoll, first.nextRelist = time.Time{}, time.Now().Add(time.Hour)
			first.poll()
		}
	})
}

// latencyDecoder takes the time from written to accepted of lines that hold
// the time they were written.
type latencyDecoder struct {
	devNull
	rec *latencies
}

type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

type latencyBatch struct {
	rec  *latencies
	data []byte
}

func (b *latencyBatch) Deliver(context.Context) error {
	now := time.Now().UnixNano()
	b.rec.mu.Lock()
	defer b.rec.mu.Unlock()
	for _, l := range strings.Split(strings.TrimSpace(string(b.data)), "\n") {
		var at int64
		if _, err := fmt.Sscanf(l, "%d ", &at); err == nil {
			b.rec.all = append(b.rec.all, time.Duration(now-at))
		}
	}
	return nil
}

func (d *latencyDecoder) Decode(c Chunk) (int, Batch) {
	n, b := d.devNull.Decode(c)
	if b == nil {
		return n, nil
	}
	return n, &latencyBatch{d.rec, c.Data[:n]}
}

// BenchmarkSteady appends 5,000 lines a second, one write each, and reports the
// 99th percentile from written to accepted. One operation is one line.
func BenchmarkSteady(b *testing.B) {
	for _, notify := range []bool{true, false} {
		b.Run(fmt.Sprintf("notify=%v", notify), func(b *testing.B) {
			dir := b.TempDir()
			rec := &latencies{}
			tl, err := New(Config{
				Include: []string{filepath.Join(dir, "*")}, Notify: notify, Store: newStore(),
				NewDecoder: func(*File, []byte) (Decoder, error) { return &latencyDecoder{rec: rec}, nil },
			})
			if err != nil {
				b.Fatal(err)
			}
			fh, err := os.Create(filepath.Join(dir, "log"))
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- tl.Run(ctx) }()
			pad := strings.Repeat("x", 490)
			tick := time.NewTicker(10 * time.Millisecond)
			for n := 0; n < b.N; {
				<-tick.C
				for range min(50, b.N-n) {
					if _, err := fmt.Fprintf(fh, "%d %s\n", time.Now().UnixNano(), pad); err != nil {
						b.Fatal(err)
					}
					n++
				}
			}
			tick.Stop()
			for done := false; !done; time.Sleep(time.Millisecond) {
				rec.mu.Lock()
				done = len(rec.all) >= b.N
				rec.mu.Unlock()
			}
			stop()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
			slices.Sort(rec.all)
			b.ReportMetric(float64(rec.all[len(rec.all)*99/100].Milliseconds()), "p99-ms")
			_ = fh.Close()
		})
	}
}
