package spool

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkSplit is the cost of finding records.
func BenchmarkSplit(b *testing.B) {
	data := []byte(strings.Join(records(0, 10_000), ""))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for at := 0; at < len(data); {
			at += nextCSV(data[at:])
		}
	}
}

// BenchmarkHangingDisk writes to the pipe while the disk hangs: the buffer
// fills, then records are dropped. It reports how long the writes take.
func BenchmarkHangingDisk(b *testing.B) {
	d := newDisk()
	d.gate = make(chan struct{})
	cfg := testConfig(d)
	cfg.MaxWait, cfg.Drain = Defaults().MaxWait, time.Nanosecond
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan Totals, 1)
	go func() {
		t, _ := Run(context.Background(), r, cfg)
		done <- t
	}()
	_, _ = io.WriteString(w, head)
	rec := []byte(record(1))
	b.SetBytes(int64(len(rec)))
	waits := make([]time.Duration, 0, b.N)
	for range b.N {
		t := time.Now()
		if _, err := w.Write(rec); err != nil {
			b.Fatal(err)
		}
		waits = append(waits, time.Since(t))
	}
	b.StopTimer()
	_ = w.Close()
	t := <-done
	close(d.gate)
	if t.Read.Records != int64(b.N) || t.Written.Records != 0 {
		b.Fatalf("%+v", t)
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)*99/100].Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(waits[len(waits)-1].Nanoseconds())/1e3, "max-µs")
}
