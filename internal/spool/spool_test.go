package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestRotation(t *testing.T) {
	d := newDisk()
	want := records(0, 5000)
	finish := start(t, newInput(want), testConfig(d))
	total, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	check(t, total, len(want))
	names, contents := d.data()
	headers(t, names, contents)
	if len(names) < 5 || names[0] != "acct-2026-01-31-0000.csv" || names[1] != "acct-2026-01-31-0001.csv" {
		t.Error(names)
	}
	for i, c := range contents {
		if len(c) > minFileSize || i < len(contents)-1 && len(c) < minFileSize/2 {
			t.Errorf("%s has %d bytes", names[i], len(c))
		}
	}
	got := decode(contents)
	same(t, "spool", got.records, want)
	if len(got.rejects) > 0 || total.Written.Records != 5000 {
		t.Errorf("%v, %+v", got.rejects, total)
	}
	j := d.journal(t)
	if last := j[len(j)-1]; j[0].Event != "start" || last.Event != "stop" || last.Totals == nil || last.Totals.Written != total.Written {
		t.Errorf("journal: %+v", j)
	}
}

// While the disk hangs the input is read to its end all the same. What the
// buffer holds is written when the disk is back, the rest was dropped whole.
func TestHangingDisk(t *testing.T) {
	d := newDisk()
	d.gate = make(chan struct{})
	cfg := testConfig(d)
	cfg.Drain = time.Hour
	want := records(0, 50_000) // 4.5 MB for a buffer of 1 MiB
	finish := start(t, newInput(want), cfg)
	close(d.gate)
	total, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	check(t, total, len(want))
	lost := total.Dropped[ReasonDiskSlow]
	if len(total.Dropped) != 1 || lost.Records < 35_000 || total.BufferPeak > cfg.Buffer || total.BufferPeak < cfg.Buffer*9/10 {
		t.Errorf("%+v", total)
	}
	_, contents := d.data()
	got := decode(contents)
	same(t, "spool", got.records, want[:len(want)-int(lost.Records)])
	if len(got.rejects) > 0 {
		t.Error(got.rejects)
	}
	if n, c := events(d.journal(t), "dropped", "disk_slow"); n == 0 || c != lost {
		t.Errorf("%d journal lines say %+v, dropped %+v", n, c, lost)
	}
}

// After a hanging disk is back everything new is kept again.
func TestDiskComesBack(t *testing.T) {
	d := newDisk()
	gate := make(chan struct{})
	d.gate = gate
	q := newQueue(minBuffer, 64<<10, -1)
	r := &reader{q: q, max: 4096}
	feed := func(recs []string) {
		b := []byte(strings.Join(recs, ""))
		if n := r.take(b, b); n != len(b) {
			t.Fatalf("%d of %d bytes used", n, len(b))
		}
	}
	cfg := testConfig(d)
	cfg.setDefaults()
	feed([]string{head})
	first := records(0, 30_000)
	feed(first)
	lost := int(q.snapshot().Lost().Records)
	if lost == 0 {
		t.Fatal("nothing was dropped")
	}
	close(gate)
	w := newWriter(cfg, q)
	for w.cur = q.take(); w.cur != nil; w.cur, w.off = q.take(), 0 {
		if err := w.step(); err != nil {
			t.Fatal(err)
		}
	}
	second := records(30_000, 35_000)
	feed(second)
	q.close()
	if err := w.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, contents := d.data()
	same(t, "spool", decode(contents).records, append(first[:len(first)-lost:len(first)-lost], second...))
	if q.snapshot().Lost().Records != int64(lost) {
		t.Error("dropped after the disk was back")
	}
}

// A disk that does not come back does not keep the program.
func TestDiskHangsForEver(t *testing.T) {
	d := newDisk()
	d.gate = make(chan struct{})
	defer close(d.gate)
	cfg := testConfig(d)
	cfg.Drain = time.Millisecond
	finish := start(t, newInput(records(0, 20_000)), cfg)
	total, err := finish()
	if err == nil || !strings.Contains(err.Error(), "were not written") {
		t.Error(err)
	}
	check(t, total, 20_000)
	if total.Written.Records != 0 || total.Dropped[ReasonShutdown].Records == 0 || total.Dropped[ReasonDiskSlow].Records == 0 {
		t.Errorf("%+v", total)
	}
}

// MaxWait lets a disk that works catch up, and is not spent twice on one that
// stands still.
func TestMaxWait(t *testing.T) {
	q := newQueue(minBuffer, 64<<10, time.Hour)
	h := &header{ext: "csv"}
	rec := bytes.Repeat([]byte("x"), 32<<10)
	put := func() { q.put(h, rec, []int{len(rec)}) }
	for range minBuffer / len(rec) {
		put()
	}
	var wg sync.WaitGroup
	wg.Go(put) // has to wait
	b := q.take()
	q.done(b)
	wg.Wait()
	if s := q.snapshot(); s.Lost().Records != 0 || q.stuck {
		t.Errorf("%+v", s)
	}
	q.maxWait = time.Nanosecond
	for range 10 {
		put()
	}
	if s := q.snapshot(); s.Waits > 3 || s.Dropped[ReasonDiskSlow].Records != 9 || !q.stuck {
		t.Errorf("%+v", s)
	}
}

// On a full disk finished files make room, oldest first; when there are none,
// the newest records are dropped. A write that stopped in the middle of a
// record goes on there.
func TestDiskFull(t *testing.T) {
	d := newDisk()
	d.space = 3*minFileSize + 777
	want := records(0, 20_000)
	cfg := testConfig(d)
	cfg.Buffer = 64 << 20
	finish := start(t, newInput(want), cfg)
	total, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	check(t, total, len(want))
	names, contents := d.data()
	headers(t, names, contents)
	got := decode(contents)
	n, c := events(d.journal(t), "removed", "disk_full")
	if n == 0 || int64(n) != total.RemovedFiles || c.Records != total.Removed.Records || len(got.rejects) > 0 {
		t.Errorf("%d removed, %+v, %+v, rejects %v", n, c, total, got.rejects)
	}
	same(t, "spool", got.records, want[total.Removed.Records:])
}

func TestDiskStaysFull(t *testing.T) {
	d := newDisk()
	d.space = 1000
	cfg := testConfig(d)
	cfg.Drain = time.Hour
	want := records(0, 30_000)
	in := newInput(want)
	finish := start(t, in, cfg)
	<-d.refused
	d.mu.Lock()
	d.space = -1
	d.mu.Unlock()
	total, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	check(t, total, len(want))
	lost := total.Dropped[ReasonDiskFull].Records + total.Dropped[ReasonDiskSlow].Records // slow: before the first error
	if lost == 0 || lost != total.Lost().Records || total.Errors == 0 {
		t.Errorf("%+v", total)
	}
	_, contents := d.data()
	got := decode(contents)
	if len(got.rejects) > 0 {
		t.Error(got.rejects)
	}
	same(t, "spool", got.records, want[:int64(len(want))-lost])
	j := d.journal(t)
	if n, _ := events(j, "error", "disk_full"); n == 0 {
		t.Errorf("%+v", j)
	}
	if n, _ := events(j, "recovered", ""); n == 0 {
		t.Errorf("%+v", j)
	}
}

// A file that cannot be written any more is left, and the record that is in it
// in part is written again: nothing is lost and nothing is there twice. Where
// even truncating fails, the part is made one that the agent rejects.
func TestBrokenFile(t *testing.T) {
	want := records(0, 5000)
	for cut := 30_001; cut < 30_101; cut++ {
		for _, noCut := range []bool{false, true} {
			d := newDisk()
			d.noCut = noCut
			broken := map[string]int{"acct-2026-01-31-0001.csv": cut, "acct-2026-01-31-0003.csv": 7, "acct-2026-01-31-0004.csv": len(head)}
			fails := map[string]int{}
			d.write = func(name string, b []byte) (int, error) {
				left, ok := broken[name]
				if !ok {
					return len(b), nil
				}
				n := min(left, len(b))
				broken[name] = left - n
				if n == len(b) {
					return n, nil
				}
				if fails[name]++; fails[name] == maxAttempts {
					delete(broken, name) // a name is used again when its header line could not be written
				}
				return n, syscall.EIO
			}
			finish := start(t, newInput(want), testConfig(d))
			total, err := finish()
			if err != nil {
				t.Fatal(err)
			}
			check(t, total, len(want))
			_, contents := d.data()
			got := decode(contents)
			same(t, fmt.Sprintf("cut at %d", cut), got.records, want)
			if len(got.rejects) > 1 || !noCut && len(got.rejects) > 0 || total.Written.Records != 5000 || total.Errors == 0 {
				t.Errorf("%d rejects %v, %+v", len(got.rejects), got.rejects, total)
			}
		}
	}
}

// The spool never exceeds its size while nobody reads it, the oldest file goes
// first, and what is left is exactly the newest records.
func TestBound(t *testing.T) {
	d := newDisk()
	cfg := testConfig(d)
	cfg.Buffer = 64 << 20
	cfg.MaxSize = 4 * minFileSize
	want := records(0, 30_000)
	finish := start(t, newInput(want), cfg)
	total, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	check(t, total, len(want))
	if d.maxSum > cfg.MaxSize || d.maxSum < cfg.MaxSize*3/4 {
		t.Errorf("up to %d bytes on disk, bound %d", d.maxSum, cfg.MaxSize)
	}
	names, contents := d.data()
	headers(t, names, contents)
	same(t, "spool", decode(contents).records, want[total.Removed.Records:])
	n, c := events(d.journal(t), "removed", "max_size")
	if n == 0 || int64(n) != total.RemovedFiles || c.Records != total.Removed.Records {
		t.Errorf("%d removed in the journal %+v, %+v", n, c, total)
	}
	// The next run counts the records of files that it did not write.
	in := newInput(records(30_000, 40_000))
	finish = start(t, in, cfg)
	total2, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	_, contents = d.data()
	all := append(want, records(30_000, 40_000)...)
	same(t, "second run", decode(contents).records, all[total.Removed.Records+total2.Removed.Records:])
	if d.maxSum > cfg.MaxSize {
		t.Errorf("up to %d bytes on disk, bound %d", d.maxSum, cfg.MaxSize)
	}
}

// manual is a writer that is moved by hand.
func manual(t *testing.T, cfg Config) (*writer, func(recs ...string)) {
	t.Helper()
	cfg.setDefaults()
	q := newQueue(cfg.Buffer, cfg.blockSize(), cfg.MaxWait)
	r := &reader{q: q, max: cfg.maxRecord()}
	w := newWriter(cfg, q)
	return w, func(recs ...string) {
		t.Helper()
		for _, s := range recs {
			b := []byte(s)
			if n := r.take(b, b); n != len(b) {
				t.Fatalf("%d of %d bytes used", n, len(b))
			}
		}
		for w.cur = q.take(); w.cur != nil; w.cur = q.take() {
			w.off = 0
			if err := w.step(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRotationByTime(t *testing.T) {
	d := newDisk()
	cfg := testConfig(d)
	cfg.RotateEvery = time.Hour
	w, feed := manual(t, cfg)
	feed(head, record(1))
	d.advance(59 * time.Minute)
	feed(record(2))
	d.advance(2 * time.Minute)
	feed(record(4)) // an hour is over
	d.advance(time.Hour)
	w.tick()
	if w.f != nil {
		t.Error("an idle file is not finished after the hour")
	}
	d.now = time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC)
	feed(record(5))
	d.advance(time.Second)
	feed(record(7))
	d.advance(-time.Minute) // the clock is set back over midnight
	feed(record(8))
	names, contents := d.data()
	headers(t, names, contents)
	if strings.Join(names, " ") != "acct-2026-01-31-0000.csv acct-2026-01-31-0001.csv acct-2026-01-31-0002.csv acct-2026-01-31-0003.csv acct-2026-02-01-0000.csv" {
		t.Error(names)
	}
	if got := decode(contents); len(got.records) != 6 || len(got.rejects) != 0 {
		t.Errorf("%q", got.records)
	}
	if strings.Count(contents[0], "\nd,") != 2 || !strings.Contains(contents[3], record(8)) {
		t.Error(contents)
	}
}

func TestKeep(t *testing.T) {
	d := newDisk()
	cfg := testConfig(d)
	cfg.Keep = 24 * time.Hour
	cfg.RotateEvery = time.Hour
	w, feed := manual(t, cfg)
	feed(head, record(1), record(2))
	d.advance(12 * time.Hour)
	feed(record(3))
	d.advance(11 * time.Hour)
	w.tick()
	if names, _ := d.data(); len(names) != 2 {
		t.Error("removed too early:", names)
	}
	d.advance(2 * time.Hour)
	w.tick()
	names, _ := d.data()
	if len(names) != 1 || names[0] != "acct-2026-01-31-0001.csv" {
		t.Error(names)
	}
	w.stop()
	if n, c := events(d.journal(t), "removed", "keep"); n != 1 || c.Records != 2 {
		t.Errorf("%d files, %+v", n, c)
	}
}

func TestHeaders(t *testing.T) {
	const other = "type,timeLogged,rcpt\n"
	short := func(n int) string { return fmt.Sprintf("b,2026-01-31 10:00:00+0000,u%d@example.com\n", n) }
	t.Run("changes", func(t *testing.T) {
		d := newDisk()
		_, feed := manual(t, testConfig(d))
		feed(head, record(1), head, "\r\n", record(2), other, short(1), head, record(3))
		_, contents := d.data()
		want := []string{head + record(1) + record(2), other + short(1), head + record(3)}
		if !slices.Equal(contents, want) {
			t.Errorf("%q", contents)
		}
	})
	t.Run("none", func(t *testing.T) {
		d := newDisk()
		_, feed := manual(t, testConfig(d))
		feed(record(1), record(2))
		if _, contents := d.data(); !slices.Equal(contents, []string{record(1) + record(2)}) {
			t.Errorf("%q", contents)
		}
	})
	t.Run("only", func(t *testing.T) {
		d := newDisk()
		_, feed := manual(t, testConfig(d))
		feed(head)
		if names, _ := d.data(); len(names) != 0 {
			t.Error(names)
		}
	})
	t.Run("json", func(t *testing.T) {
		d := newDisk()
		rec := `{"type":"d","timeLogged":"2026-01-31 10:00:00+0000"}` + "\n"
		finish := start(t, &input{strings.NewReader(rec + rec + strings.TrimSpace(rec)), make(chan struct{})}, testConfig(d))
		total, err := finish()
		names, contents := d.data()
		if err != nil || total.Read.Records != 3 || names[0] != "acct-2026-01-31-0000.json" || contents[0] != rec+rec+rec {
			t.Errorf("%v %+v %q %q", err, total, names, contents)
		}
	})
}

// The last record of a clean input may lack its line end if it is whole.
func TestEndOfInput(t *testing.T) {
	whole := strings.TrimSuffix(record(1), "\r\n")
	for rest, c := range map[string]struct{ records, rejects int }{
		"": {1, 0}, whole: {2, 0}, whole + "\r": {2, 0}, whole[:len(whole)-20]: {1, 1}, `d,2026-01-31 10:00:00+0000,"a`: {1, 1}, "\r\n ": {1, 0}, "type,x": {1, 0},
	} {
		d := newDisk()
		finish := start(t, &input{strings.NewReader(head + record(2) + rest), make(chan struct{})}, testConfig(d))
		total, err := finish()
		_, contents := d.data()
		got := decode(contents)
		if err != nil || len(got.records) != c.records || len(got.rejects) != c.rejects || total.Incomplete > int64(c.rejects) {
			t.Errorf("%q: %v, %q, %v, %+v", rest, err, got.records, got.rejects, total)
		}
	}
}

func TestTooLarge(t *testing.T) {
	d := newDisk()
	cfg := testConfig(d) // a file of 64 KiB has records up to 16 KiB
	long := "d,2026-01-31 10:00:00+0000," + strings.Repeat("x", 300<<10) + ",,\r\n"
	open := "d,2026-01-31 10:00:00+0000,\"never closed\r\n"
	want := records(1, 400)
	in := &input{strings.NewReader(head + record(1) + long + strings.Join(want[1:200], "") + open + strings.Join(want[200:], "")), make(chan struct{})}
	finish := start(t, in, cfg)
	total, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	if c := total.Dropped[ReasonTooLarge]; c.Records != 1 || c.Bytes != int64(len(long)) {
		t.Errorf("%+v", total)
	}
	if lost := total.Lost(); total.Written.Bytes+lost.Bytes != total.Read.Bytes {
		t.Errorf("%+v", total)
	}
	_, contents := d.data()
	got := decode(contents)
	same(t, "spool", got.records, want)
	if len(got.rejects) != 1 {
		t.Error(got.rejects)
	}
}

// A file that somebody takes away is noticed; records go to a new one.
func TestOpenFileVanishes(t *testing.T) {
	d := newDisk()
	w, feed := manual(t, testConfig(d))
	feed(head, record(1))
	d.mu.Lock()
	delete(d.files, w.name)
	d.mu.Unlock()
	d.advance(time.Minute)
	w.tick()
	feed(record(2))
	names, contents := d.data()
	if len(names) != 1 || contents[0] != head+record(2) {
		t.Errorf("%q %q", names, contents)
	}
	w.stop()
	if n, c := events(d.journal(t), "error", "vanished"); n != 1 || c.Records != 1 {
		t.Errorf("%+v", d.journal(t))
	}
}

// Whatever kill -9 leaves of the last record: the agent reads all records
// before, rejects this one, and reads all that come after.
func TestRecover(t *testing.T) {
	const before = 3
	whole := head + record(0) + record(1) + record(2)
	last := record(3)
	for cut := 0; cut <= len(last); cut++ {
		d := newDisk()
		d.files["acct-2026-01-31-0000.csv"] = &content{name: "acct-2026-01-31-0000.csv", b: []byte(whole + last[:cut]), mod: d.now}
		finish := start(t, newInput(records(10, 12)), testConfig(d))
		total, err := finish()
		if err != nil {
			t.Fatal(err)
		}
		names, contents := d.data()
		headers(t, names, contents)
		if !strings.HasPrefix(contents[0], whole+last[:cut]) {
			t.Fatalf("cut at %d: the old file got shorter", cut)
		}
		got := decode(contents)
		want := records(0, before)
		if cut == len(last) {
			want = append(want, last)
		}
		same(t, fmt.Sprintf("cut at %d", cut), got.records, append(want, records(10, 12)...))
		partial := cut > 0 && cut < len(last)
		if len(got.rejects) > 1 || partial != (len(got.rejects) == 1) {
			t.Fatalf("cut at %d: %v", cut, got.rejects)
		}
		n, _ := events(d.journal(t), "mended", "")
		if int64(n) != total.Incomplete || partial && last[cut-1] != '\n' && n != 1 {
			t.Fatalf("cut at %d: %d mended, %+v", cut, n, total)
		}
	}
}

// A file that another spool is writing is neither mended nor removed, and its
// number is not taken.
func TestOthersFile(t *testing.T) {
	d := newDisk()
	part := head + record(1)[:40]
	d.files["acct-2026-01-31-0000.csv"] = &content{name: "acct-2026-01-31-0000.csv", b: []byte(part), mod: d.now, busy: true}
	cfg := testConfig(d)
	cfg.Buffer = 64 << 20
	cfg.MaxSize = 4 * minFileSize
	finish := start(t, newInput(records(0, 20_000)), cfg)
	if _, err := finish(); err != nil {
		t.Fatal(err)
	}
	names, contents := d.data()
	if names[0] != "acct-2026-01-31-0000.csv" || contents[0] != part {
		t.Errorf("%q", names)
	}
	if d.maxSum > cfg.MaxSize-minFileSize+int64(len(part)) {
		t.Errorf("%d bytes: the other's file is not counted as full", d.maxSum)
	}
}

// Two spools in one directory, as after a reload of PMTA, on the real file
// system.
func TestTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, FileSize: minFileSize, MaxSize: 6 * minFileSize}
	var wg sync.WaitGroup
	totals := make([]Totals, 2)
	for i := range 2 {
		wg.Go(func() {
			var in strings.Builder
			in.WriteString(head)
			for n := range 20_000 {
				in.WriteString(strings.Replace(record(n), "job-", fmt.Sprintf("spool%d-", i), 1))
			}
			total, err := Run(context.Background(), strings.NewReader(in.String()), cfg)
			if err != nil {
				t.Error(err)
			}
			totals[i] = total
		})
	}
	wg.Wait()
	names, contents := readDir(t, dir)
	headers(t, names, contents)
	got := decode(contents)
	size := 0
	for i, c := range contents {
		size += len(c)
		if strings.Contains(c, "spool0-") && strings.Contains(c, "spool1-") {
			t.Error(names[i], "has records of both")
		}
	}
	if int64(size) > cfg.MaxSize || len(got.rejects) > 0 {
		t.Errorf("%d bytes, rejects %v", size, got.rejects)
	}
	removed := totals[0].Removed.Records + totals[1].Removed.Records
	lost := totals[0].Lost().Records + totals[1].Lost().Records
	if int64(len(got.records))+removed+lost != 40_000 || removed == 0 {
		t.Errorf("%d records left, %d removed, %d dropped", len(got.records), removed, lost)
	}
}

// When its context ends Run takes what is in the pipe, closes it and writes
// everything.
func TestInterrupt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "spool")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if r.SetReadDeadline(time.Time{}) != nil {
		t.Skip("pipes have no deadline here")
	}
	want := records(0, 300)
	if _, err := io.WriteString(w, head+strings.Join(want, "")+"d,2026-01-31 10:00:00+0000,x,,job"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	total, err := Run(ctx, r, Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if total.Read.Records != 300 || total.Written.Records != 300 || total.Incomplete != 1 {
		t.Errorf("%+v", total)
	}
	names, contents := readDir(t, dir)
	headers(t, names, contents)
	got := decode(contents)
	same(t, "spool", got.records, want)
	if len(got.rejects) != 1 {
		t.Error("the record that was cut off is to be rejected:", got.rejects)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("the pipe is still open")
	}
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if _, err := Run(context.Background(), strings.NewReader(head+record(1)), Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o750, filepath.Join(dir, "acct-"+time.Now().Format(time.DateOnly)+"-0000.csv"): 0o640, filepath.Join(dir, "acct.journal.jsonl"): 0o640} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != want && os.PathSeparator == '/' {
			t.Errorf("%s has mode %o, want %o", path, st.Mode().Perm(), want)
		}
	}
}

func TestCannotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	_, err := Run(context.Background(), r, Config{Dir: filepath.Join(file, "spool")})
	if err == nil || !strings.Contains(err.Error(), "install -d -o pmta") {
		t.Error(err)
	}
}

func TestInputFails(t *testing.T) {
	d := newDisk()
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader(head+record(1)), failing{broken})
	total, err := Run(context.Background(), in, testConfig(d))
	if !errors.Is(err, broken) || total.Written.Records != 1 {
		t.Errorf("%v, %+v", err, total)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestValidate(t *testing.T) {
	for want, c := range map[string]Config{
		"--dir: is required":            {},
		`--name: "../x"`:                {Dir: "d", Name: "../x"},
		`--name: "acct-2026-01-31"`:     {Dir: "d", Name: "acct-2026-01-31"},
		"--file-size: 1KiB":             {Dir: "d", FileSize: 1 << 10},
		"--max-size: 100MiB":            {Dir: "d", MaxSize: 100 << 20},
		"--buffer: 1KiB":                {Dir: "d", Buffer: 1 << 10},
		"--rotate-every: 1s":            {Dir: "d", RotateEvery: time.Second},
		"--keep: 1s":                    {Dir: "d", Keep: time.Second},
		"--max-wait: 1m0s":              {Dir: "d", MaxWait: time.Minute},
		"use 256MiB or more, or a smal": {Dir: "d", MaxSize: 1 << 20},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if err := (Config{Dir: "d"}).Validate(); err != nil {
		t.Error(err)
	}
}

// The journal is bounded, on disk and in memory.
func TestJournalBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal.jsonl")
	j := journal{fs: OS{}, path: path, now: time.Now}
	for range 3000 {
		j.add(entry{Event: "error", Detail: strings.Repeat("x", 1000)})
		j.flush()
	}
	for _, p := range []string{path, path + ".1"} {
		if st, err := os.Stat(p); err != nil || st.Size() > journalSize {
			t.Errorf("%v %v", err, st)
		}
	}
	j.path = filepath.Join(path, "no", "directory")
	for range maxPending + 50 {
		j.add(entry{Event: "error"})
		j.flush()
	}
	j.add(entry{Event: "stop"})
	if len(j.pending) != maxPending+1 {
		t.Error(len(j.pending))
	}
	if last := parseJournal(t, j.pending[maxPending])[0]; last.Omitted != 50 {
		t.Errorf("%+v", last)
	}
}

// While a spool writes a file, others know it, in the same process and in
// another one alike: the lock belongs to the open file.
func TestLock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no locks here")
	}
	path := filepath.Join(t.TempDir(), "acct-2026-01-31-0000.csv")
	f, err := OS{}.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if !(OS{}).InUse(path) {
		t.Error("a file that was made this moment is not in use")
	}
	if _, err := io.WriteString(f, head); err != nil {
		t.Fatal(err)
	}
	if !(OS{}).InUse(path) {
		t.Error("a file that is being written is not in use")
	}
	if err := (OS{}).Remove(path); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	if _, err := (OS{}).Open(path); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	if _, err := (OS{}).Create(path); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if !(OS{}).Is(path, f) {
		t.Error("the path leads to another file")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if (OS{}).InUse(path) {
		t.Error("a finished file is in use")
	}
	g, err := OS{}.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = g.Close()
	if err := (OS{}).Remove(path); err != nil {
		t.Error(err)
	}
	if (OS{}).InUse(path) || (OS{}).Is(path, f) {
		t.Error("a file that is gone is in use, or is there")
	}
}
