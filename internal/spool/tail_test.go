package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
)

// follower is what the agent does with the spool, without the Collector.
type follower struct {
	mu      sync.Mutex
	seen    map[string]int
	rejects []string
	changed chan struct{}
}

type followed struct {
	f   *follower
	dec *acct.Decoder
	src string
	got []string
	bad []string
}

func (d *followed) Record(r *acct.Record) { d.got = append(d.got, d.src[r.Start:r.End]) }
func (d *followed) Reject(r acct.Reject)  { d.bad = append(d.bad, d.src[r.Start:r.End]) }
func (d *followed) State() []byte         { return d.dec.State() }

func (d *followed) Decode(c tail.Chunk) (int, tail.Batch) {
	d.src = unsafe.String(unsafe.SliceData(c.Data), len(c.Data))
	used := d.dec.Decode(d.src, c.Final, d)
	b := &followedBatch{d.f, d.got, d.bad}
	d.got, d.bad = nil, nil
	return used, b
}

type followedBatch struct {
	f        *follower
	got, bad []string
}

func (b *followedBatch) Deliver(context.Context) error {
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	for _, r := range b.got {
		b.f.seen[r]++
	}
	b.f.rejects = append(b.f.rejects, b.bad...)
	select {
	case b.f.changed <- struct{}{}:
	default:
	}
	return nil
}

// The agent tails the spool while it is written, rotated, left torn by kill -9
// and shared by two processes: every record arrives once.
func TestTailed(t *testing.T) {
	dir := t.TempDir()
	f := &follower{seen: map[string]int{}, changed: make(chan struct{}, 1)}
	tl, err := tail.New(tail.Config{
		Include: []string{filepath.Join(dir, "acct-*.csv")}, PollInterval: 10 * time.Millisecond, Notify: true,
		FinalGrace: 50 * time.Millisecond, CopyGrace: 50 * time.Millisecond,
		NewDecoder: func(*tail.File, []byte) (tail.Decoder, error) {
			return &followed{f: f, dec: acct.NewDecoder(acct.Options{})}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- tl.Run(ctx) }()

	n := 0
	run := func(count int) {
		recs := records(n, n+count)
		n += count
		total, err := Run(context.Background(), strings.NewReader(head+strings.Join(recs, "")), Config{Dir: dir, FileSize: minFileSize})
		if err != nil || total.Lost().Records > 0 {
			t.Errorf("%v, %+v", err, total)
		}
	}
	run(5000)
	run(3)
	names, _ := readDir(t, dir)
	last, err := os.OpenFile(filepath.Join(dir, names[len(names)-1]), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	torn := strings.TrimSuffix(record(1_000_001), "1\r\n") // all its fields, the last one cut off
	if _, err := last.WriteString(torn); err != nil {
		t.Fatal(err)
	}
	_ = last.Close()
	run(2000)
	var wg sync.WaitGroup
	for i := range 2 {
		recs := records(n, n+3000)
		n += 3000
		wg.Go(func() {
			_, err := Run(context.Background(), strings.NewReader(head+strings.Join(recs, "")), Config{Dir: dir, FileSize: minFileSize})
			if err != nil {
				t.Error(i, err)
			}
		})
	}
	wg.Wait()

	deadline := time.After(30 * time.Second)
	for complete := false; !complete; {
		f.mu.Lock()
		complete = len(f.seen) >= n && len(f.rejects) > 0
		f.mu.Unlock()
		if complete {
			break
		}
		select {
		case <-f.changed:
		case err := <-done:
			t.Fatal(err)
		case <-deadline:
			t.Fatalf("%d of %d records, rejects %q", len(f.seen), n, f.rejects)
		}
	}
	cancel()
	<-done
	for i := range n {
		if f.seen[record(i)] != 1 {
			t.Fatalf("record %d seen %d times", i, f.seen[record(i)])
		}
	}
	if len(f.seen) != n || fmt.Sprint(f.rejects) != fmt.Sprint([]string{torn + ",incomplete\n"}) {
		t.Errorf("%d records, rejects %q", len(f.seen), f.rejects)
	}
}
