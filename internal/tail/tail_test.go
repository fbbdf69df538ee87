package tail

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestReadAppendedAndPartialLine(t *testing.T) {
	h := newHarness(t)
	h.write("acct-2026-01-31-0000.csv", header, rec("a"))
	h.step(0)
	h.want("a")
	r := rec("b")
	h.write("acct-2026-01-31-0000.csv", r[:10])
	h.step(time.Second)
	h.want()
	h.write("acct-2026-01-31-0000.csv", r[10:], rec("c"))
	h.step(time.Second)
	h.want("b", "c")
	h.restart()
	h.step(time.Second)
	h.write("acct-2026-01-31-0000.csv", rec("d"))
	h.step(time.Second)
	h.want("d")
}

func TestNewFileAndOrder(t *testing.T) {
	h := newHarness(t)
	h.write("acct-2026-01-31-0001.csv", header, rec("c"))
	h.write("acct-2026-01-30-0002.csv", header, rec("b"))
	h.write("acct-2026-01-30-0000.csv", header, rec("a"))
	h.step(0)
	got := h.sink.all()
	slices.Sort(got)
	if len(got) != 3 {
		t.Fatal(got)
	}
	h.sink.take()
	h.write("acct-2026-01-31-0001.csv", rec("d"))
	h.write("acct-2026-01-31-0002.csv", header, rec("e"))
	h.step(time.Second)
	h.want("d", "e")
	h.wantEvent("rotated acct-2026-01-31-0001.csv", 1)
	h.pass(6 * time.Second)
	h.wantEvent("finished acct-2026-01-31-0001.csv", 1)
	h.wantEvent("finished acct-2026-01-31-0002.csv", 0)
}

func TestRenameToOtherFolderWhileReading(t *testing.T) {
	for _, watched := range []bool{true, false} {
		h := newHarness(t, func(c *Config) {
			c.MaxInFlight = 1
			if watched {
				c.Include = append(c.Include, filepath.Join(filepath.Dir(c.Include[0]), "done", "*"))
			}
		})
		h.write("acct-2026-01-31-0000.csv", header, rec("a"))
		h.step(0)
		h.write("acct-2026-01-31-0000.csv", rec("b"))
		h.rename("acct-2026-01-31-0000.csv", "done/acct-2026-01-31-0000.csv")
		h.write("acct-2026-01-31-0001.csv", header, rec("c"))
		h.step(time.Second)
		// A slow writer still has the moved file open.
		h.write("done/acct-2026-01-31-0000.csv", rec("d"), "half")
		h.pass(2 * time.Second)
		got := h.sink.take()
		slices.Sort(got)
		if len(got) != 4 {
			t.Fatalf("watched %v: %q %q", watched, got, h.events)
		}
		h.pass(40 * time.Second)
		h.want("half<final>")
		h.wantEvent("finished acct-2026-01-31-0000.csv", 1)
		h.wantEvent("lost", 0)
		if watched {
			h.write("done/acct-2026-01-31-0000.csv", rec("e"))
			h.pass(31 * time.Second)
			h.want("e")
		}
	}
}

func TestRenameWhileAgentIsDown(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Include = []string{filepath.Join(filepath.Dir(c.Include[0]), "**", "acct*")} })
	h.write("acct-2026-01-31-0000.csv", header, rec("a"))
	h.step(0)
	h.want("a")
	h.restart()
	h.write("acct-2026-01-31-0000.csv", rec("b"))
	h.rename("acct-2026-01-31-0000.csv", "moved/x/acct-2026-01-31-0000.csv")
	h.pass(3 * time.Second)
	h.want("b")
	h.wantEvent("lost", 0)
}

func TestConstantNameRotation(t *testing.T) {
	h := newHarness(t)
	h.write("log", header, rec("a"))
	h.step(0)
	for i := range 5 {
		h.write("log", rec(fmt.Sprintf("x%d", i)))
		for n := 3; n > 0; n-- {
			if _, err := os.Stat(h.path(fmt.Sprintf("log.%d", n))); err == nil {
				h.rename(fmt.Sprintf("log.%d", n), fmt.Sprintf("log.%d", n+1))
			}
		}
		h.rename("log", "log.1")
		h.write("log", header, rec(fmt.Sprintf("y%d", i)))
		h.step(300 * time.Millisecond)
	}
	h.want("a", "x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
	h.pass(10 * time.Second)
	h.wantEvent("rotated log", 5)
	h.wantEvent("finished log", 5)
	h.wantEvent("lost", 0)
	h.restart()
	h.pass(40 * time.Second)
	h.want()
}

func TestTruncation(t *testing.T) {
	h := newHarness(t)
	h.write("log", header, recs("a", 0, 5))
	h.step(0)
	h.want(names("a", 0, 5)...)
	h.do(os.Truncate(h.path("log"), 0))
	h.step(time.Second)
	h.write("log", header, rec("b"))
	h.step(time.Second)
	h.want("b")
	h.wantEvent("truncated", 1)

	// Cut and longer than before when it is seen.
	h.do(os.Truncate(h.path("log"), 0))
	h.write("log", header, recs("c", 0, 50))
	h.step(time.Second)
	h.want(names("c", 0, 50)...)
	h.wantEvent("truncated", 2)

	// Cut to a smaller size that is not 0, and rewritten to the same size.
	h.do(os.Truncate(h.path("log"), 0))
	h.write("log", header, recs("d", 0, 50))
	h.do(os.Chtimes(h.path("log"), time.Time{}, time.Now().Add(time.Second)))
	h.step(time.Second)
	h.want(names("d", 0, 50)...)
	h.wantEvent("truncated", 3)
	h.pass(10 * time.Second)
	h.wantEvent("lost", 0)

	// While the agent is down.
	h.restart()
	h.do(os.Truncate(h.path("log"), 0))
	h.write("log", header, recs("e", 0, 60))
	h.step(time.Second)
	h.want(names("e", 0, 60)...)
}

func TestTruncationReportsKnownLoss(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxInFlight = 1; c.ChunkSize = 1 << 10 })
	h.write("log", header, recs("a", 0, 100))
	h.sink.gate = make(chan struct{})
	h.step(0) // one batch in flight, the rest unread
	h.do(os.Truncate(h.path("log"), 0))
	close(h.sink.gate)
	h.sink.gate = nil
	h.step(time.Second)
	h.pass(10 * time.Second)
	h.wantEvent("lost log", 1)
	if s := h.tl.Stats(); s.BytesLost == 0 || s.Truncations != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestCopyTruncate(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxInFlight = 1; c.ChunkSize = 1 << 10 })
	copyTo := func(a, b string) {
		data, err := os.ReadFile(h.path(a))
		h.do(err)
		h.do(os.WriteFile(h.path(b), data, 0o644))
	}
	// Everything was read before: the copy adds nothing.
	h.write("log", header, recs("a", 0, 3))
	h.step(0)
	copyTo("log", "log.1")
	h.step(100 * time.Millisecond) // the copy is seen before the truncation
	h.do(os.Truncate(h.path("log"), 0))
	h.write("log", header, recs("b", 0, 3))
	h.pass(2 * time.Second)
	h.want("a0", "a1", "a2", "b0", "b1", "b2")

	// Half read: the copy has the rest.
	h.sink.gate = make(chan struct{})
	h.write("log", recs("c", 0, 100))
	h.step(time.Second)
	copyTo("log", "log.2")
	h.do(os.Truncate(h.path("log"), 0))
	h.write("log", header, recs("d", 0, 3))
	close(h.sink.gate)
	h.sink.gate = nil
	h.pass(10 * time.Second)
	got := h.sink.take()
	if len(got) != 103 {
		t.Fatalf("%d records", len(got))
	}
	h.wantEvent("lost", 0)
	h.wantEvent("truncated", 2)
}

func TestTwoLiveFilesWithEqualBeginning(t *testing.T) {
	h := newHarness(t)
	h.write("acct.csv", header, recs("a", 0, 3))
	h.write("bounce.csv", header, recs("a", 0, 3))
	h.pass(10 * time.Second)
	h.want("a0", "a1", "a2", "a0", "a1", "a2")
	h.write("bounce.csv", rec("b"))
	h.write("acct.csv", rec("c"))
	h.step(time.Second)
	h.wantSet("c", "b")
	// The same, but different from the second record on: no waiting.
	h.write("fbl.csv", header, rec("a0"), rec("f"))
	h.step(time.Second)
	h.want("a0", "f")
}

func TestDeletedWhileReading(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxInFlight = 1; c.ChunkSize = 1 << 10 })
	h.write("acct-2026-01-31-0000.csv", header, recs("a", 0, 100), "half")
	h.sink.gate = make(chan struct{})
	h.step(0)
	h.do(os.Remove(h.path("acct-2026-01-31-0000.csv")))
	h.step(300 * time.Millisecond)
	close(h.sink.gate)
	h.sink.gate = nil
	h.pass(10 * time.Second)
	h.want(append(names("a", 0, 100), "half<final>")...)
	h.wantEvent("lost", 0)
	h.wantEvent("finished", 1)
}

func TestDeletedBeforeRead(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxInFlight = 1; c.ChunkSize = 1 << 10 })
	h.write("acct-2026-01-30-0000.csv", header, recs("a", 0, 100))
	h.write("acct-2026-01-30-0001.csv", header, recs("b", 0, 100))
	h.write("acct-2026-01-30-0002.csv", header, recs("c", 0, 100))
	h.sink.gate = make(chan struct{})
	h.step(0)
	h.do(os.Remove(h.path("acct-2026-01-30-0001.csv")))
	h.pass(2 * time.Second)
	close(h.sink.gate)
	h.sink.gate = nil
	h.pass(10 * time.Second)
	h.wantEvent("lost acct-2026-01-30-0001.csv "+fmt.Sprint(len(header+recs("b", 0, 100))), 1)
	if n := len(h.sink.take()); n != 200 {
		t.Fatal(n)
	}
}

func TestVanishedWhileAgentIsDown(t *testing.T) {
	h := newHarness(t)
	h.write("log", header, rec("a"), "half a line")
	h.step(0)
	h.want("a")
	h.restart()
	h.do(os.Remove(h.path("log")))
	h.pass(10 * time.Second)
	h.wantEvent("lost log 11 ", 1)
	h.restart()
	h.pass(10 * time.Second)
	h.wantEvent("lost log 11 ", 1)
}

func TestPartialLineAtRotation(t *testing.T) {
	h := newHarness(t)
	h.write("acct-2026-01-31-0000.csv", header, rec("a"), "b,half")
	h.pass(20 * time.Second)
	h.want("a") // live: waits
	h.write("acct-2026-01-31-0001.csv", header, rec("c"))
	h.pass(3 * time.Second)
	h.want("c")
	h.pass(3 * time.Second)
	h.want("b<final>")
	h.write("acct-2026-01-31-0000.csv", "rest\n", rec("d"))
	h.pass(31 * time.Second)
	h.want("rest", "d")
}

func TestEmptyAndHeaderOnlyFile(t *testing.T) {
	h := newHarness(t)
	h.write("acct-2026-01-31-0000.csv")
	h.pass(2 * time.Second)
	h.write("acct-2026-01-31-0000.csv", header)
	h.write("fbl-2026-01-31-0000.csv", header)
	h.pass(3 * time.Second)
	h.want()
	h.restart()
	h.pass(2 * time.Second)
	h.write("fbl-2026-01-31-0000.csv", rec("f"))
	h.write("acct-2026-01-31-0000.csv", "short\n")
	h.pass(time.Second)
	h.wantSet("short", "f")
	h.crash()
	h.pass(2 * time.Second)
	h.sink.take()
	h.write("acct-2026-01-31-0000.csv", rec("a"))
	h.step(time.Second)
	h.want("a")
}

func gz(t testing.TB, data string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchiveOfReadFile(t *testing.T) {
	h := newHarness(t)
	content := header + recs("a", 0, 200)
	h.write("acct-2026-01-31-0000.csv", content)
	h.write("acct-2026-01-31-0001.csv", header, rec("b"))
	h.pass(7 * time.Second)
	h.want(append([]string{"a0"}, append(names("a", 1, 200), "b")...)...)
	h.do(os.WriteFile(h.path("acct-2026-01-31-0000.csv.gz"), gz(t, content), 0o644))
	h.pass(20 * time.Second) // as long as the original is there nothing happens
	h.do(os.Remove(h.path("acct-2026-01-31-0000.csv")))
	h.pass(20 * time.Second)
	h.want()
	h.wantEvent("archive acct-2026-01-31-0000.csv.gz", 1)
	h.wantEvent("lost", 0)
	h.restart()
	h.pass(40 * time.Second)
	h.want()
}

func TestArchiveOfHalfReadFile(t *testing.T) {
	h := newHarness(t)
	content := header + recs("a", 0, 200)
	h.write("acct-2026-01-31-0000.csv", content)
	h.step(0)
	h.restart()
	h.want(names("a", 0, 200)...)
	// While the agent is down: more lines, rotation, compression.
	content += recs("b", 0, 200) + "half"
	h.do(os.WriteFile(h.path("acct-2026-01-31-0000.csv.gz"), gz(t, content), 0o644))
	h.do(os.Remove(h.path("acct-2026-01-31-0000.csv")))
	h.pass(20 * time.Second)
	h.want(append(names("b", 0, 200), "half<final>")...)
	h.wantEvent("lost", 0)
}

func TestArchiveOfUnreadFileAndOfAnother(t *testing.T) {
	h := newHarness(t)
	data := gz(t, header+recs("a", 0, 2000))
	// Still being compressed when it is seen.
	h.do(os.WriteFile(h.path("acct-2026-01-31-0000.csv.gz"), data[:len(data)/2], 0o644))
	h.pass(2 * time.Second)
	h.do(os.WriteFile(h.path("acct-2026-01-31-0000.csv.gz"), data, 0o644))
	h.pass(30 * time.Second)
	h.want(names("a", 0, 2000)...)
	h.wantEvent("problem", 0)
	// Begins like a file that was read and is gone, but differs later.
	h.write("x-2026-01-31-0000.csv", header, recs("p", 0, 50))
	h.write("x-2026-01-31-0001.csv", header, recs("q", 0, 1))
	h.pass(10 * time.Second)
	h.sink.take()
	h.do(os.Remove(h.path("x-2026-01-31-0000.csv")))
	h.pass(3 * time.Second)
	h.do(os.WriteFile(h.path("x-2026-01-31-0000.csv.gz"), gz(t, header+recs("p", 0, 5)+recs("r", 0, 100)), 0o644))
	h.pass(10 * time.Second)
	h.want(append(names("p", 0, 5), names("r", 0, 100)...)...)
}

func TestArchiveOfFileDeletedUnread(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxInFlight = 1; c.ChunkSize = 1 << 10 })
	h.write("acct-2026-01-30-0000.csv", header, recs("a", 0, 100))
	h.write("acct-2026-01-30-0001.csv", header, recs("b", 0, 100))
	h.write("acct-2026-01-30-0002.csv", header, recs("c", 0, 100))
	h.sink.gate = make(chan struct{})
	h.step(0)
	h.do(os.WriteFile(h.path("acct-2026-01-30-0001.csv.gz"), gz(t, header+recs("b", 0, 100)), 0o644))
	h.do(os.Remove(h.path("acct-2026-01-30-0001.csv")))
	h.pass(time.Second)
	close(h.sink.gate)
	h.sink.gate = nil
	h.pass(30 * time.Second)
	h.wantEvent("lost", 0)
	if n := len(h.sink.take()); n != 300 {
		t.Fatal(n)
	}
}

func TestDamagedArchive(t *testing.T) {
	h := newHarness(t)
	data := gz(t, header+recs("a", 0, 2000))
	data[len(data)-6] ^= 0xff // checksum
	h.do(os.WriteFile(h.path("acct-2026-01-31-0000.csv.gz"), data, 0o644))
	h.do(os.WriteFile(h.path("acct-2026-01-30-0000.csv.gz"), []byte("not a gzip file"), 0o644))
	h.pass(3 * time.Minute)
	h.want(names("a", 0, 2000)...)
	h.wantEvent("problem acct-2026-01-31-0000.csv.gz", 1)
	h.wantEvent("problem acct-2026-01-30-0000.csv.gz", 1)
}

func TestInodeReuse(t *testing.T) {
	h := newHarness(t)
	h.write("acct-2026-01-30-0000.csv", header, recs("a", 0, 3))
	h.write("acct-2026-01-30-0001.csv", header, recs("b", 0, 3))
	h.pass(10 * time.Second)
	h.sink.take()
	f := h.tl.byKey[keyOf(t, h.path("acct-2026-01-30-0000.csv"))]
	if f.state != stateDone {
		t.Fatal(f.state)
	}
	// The same number under the same name for other content, as a file system
	// does that gives freed numbers out again.
	h.do(os.WriteFile(h.path("acct-2026-01-30-0000.csv"), []byte(header+recs("n", 0, 9)), 0o644))
	h.pass(31 * time.Second)
	h.want(names("n", 0, 9)...)
	// And while the agent is down, under another name.
	h.restart()
	h.rename("acct-2026-01-30-0001.csv", "acct-2026-02-01-0000.csv")
	h.do(os.WriteFile(h.path("acct-2026-02-01-0000.csv"), []byte(header+recs("m", 0, 9)), 0o644))
	h.pass(5 * time.Second)
	h.want(names("m", 0, 9)...)
}

func keyOf(t testing.TB, path string) fileKey {
	st, err := statPath(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.key
}

func TestLowWaterMark(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ChunkSize = 1 << 10; c.MaxInFlight = 4 })
	h.write("log", header, recs("a", 0, 200))
	h.sink.gate = make(chan struct{})
	h.step(0)
	if h.tl.inFlight != 4 {
		t.Fatal(h.tl.inFlight)
	}
	f := h.tl.byKey[keyOf(t, h.path("log"))]
	// The third flight is back first: the position stays.
	third := f.flights[2]
	third.done = true
	h.tl.advance(f)
	if f.acked != 0 || len(f.flights) != 4 {
		t.Fatal(f.acked, len(f.flights))
	}
	first := f.flights[0]
	first.done = true
	h.tl.advance(f)
	if f.acked != first.end || !bytes.Equal(f.ackedSt, first.state) || len(f.flights) != 3 {
		t.Fatal(f.acked, len(f.flights))
	}
	close(h.sink.gate)
}

func TestCrashReadsAgainFromTheLastSave(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.SaveInterval = time.Hour })
	h.write("log", header, recs("a", 0, 5))
	h.step(0) // saved
	h.tl.nextSave = time.Time{}
	h.step(0)
	h.write("log", recs("b", 0, 5))
	h.step(time.Second) // not saved
	h.sink.take()
	h.crash()
	h.step(time.Second)
	h.want(names("b", 0, 5)...)
}

func TestDeliveryErrorRewinds(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ChunkSize = 1 << 10 })
	h.sink.err = errors.New("no")
	h.write("log", header, recs("a", 0, 50))
	h.step(0)
	h.pass(3 * time.Second)
	h.sink.err = nil
	h.pass(3 * time.Second)
	h.want(names("a", 0, 50)...)
}

func TestGrowingChunk(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ChunkSize = 1 << 10; c.MaxRecordSize = 1 << 20 })
	long := strings.Repeat("x", 100<<10)
	h.write("log", header, rec("a"), "b,", long, "\n", rec("c"))
	h.step(0)
	h.want("a", "b", "c")
	h.write("log", "d,", strings.Repeat("y", 2<<20), "\n", rec("e"))
	h.pass(2 * time.Second)
	h.wantEvent("decoder used nothing", 1)
	if s := h.tl.Stats(); s.Streams["log"].LagBytes < 2<<20 {
		t.Fatalf("%+v", s)
	}
}

func TestStartAtEnd(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.StartAtEnd = true })
	h.write("acct-2026-01-30-0000.csv", header, recs("a", 0, 5))
	h.write("acct-2026-01-31-0000.csv", header, recs("b", 0, 5), "c,")
	h.step(0)
	h.want()
	h.write("acct-2026-01-31-0000.csv", "\n")
	h.step(time.Second)
	h.want("c")
	h.write("acct-2026-01-31-0001.csv", header, recs("d", 0, 3))
	h.step(time.Second)
	h.want("d0", "d1", "d2")
	h.restart()
	h.write("acct-2026-01-31-0002.csv", header, recs("e", 0, 3))
	h.pass(2 * time.Second)
	h.want("e0", "e1", "e2")
}

func TestStartAtEndSkipsArchives(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.StartAtEnd = true })
	content := header + recs("b", 0, 50)
	h.do(os.WriteFile(h.path("acct-2026-01-29-0000.csv.gz"), gz(t, header+recs("a", 0, 50)), 0o644))
	h.do(os.WriteFile(h.path("acct-2026-01-30-0000.csv"), []byte(content), 0o644))
	h.do(os.WriteFile(h.path("acct-2026-01-30-0000.csv.gz"), gz(t, content), 0o644)) // gzip is about to remove the other
	h.pass(10 * time.Second)
	h.want()
	h.do(os.Remove(h.path("acct-2026-01-30-0000.csv")))
	h.pass(20 * time.Second)
	h.restart()
	h.rename("acct-2026-01-29-0000.csv.gz", "acct-2026-01-29-0000.old.csv.gz")
	h.pass(40 * time.Second)
	h.want()
	h.wantEvent("lost", 0)
	h.do(os.WriteFile(h.path("acct-2026-01-28-0000.csv.gz"), gz(t, header+recs("c", 0, 3)), 0o644))
	h.pass(5 * time.Second)
	h.want("c0", "c1", "c2")
}

func TestNoPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root may read everything: the error is injected")
	}
	h := newHarness(t)
	h.write("log", header, rec("a"))
	h.do(os.Chmod(h.path("log"), 0))
	h.tl.openRead = func(path string) (*os.File, error) {
		if fi, err := os.Stat(path); err == nil && fi.Mode().Perm() == 0 {
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrPermission}
		}
		return openRead(path)
	}
	h.pass(30 * time.Second)
	h.want()
	h.wantEvent("denied log: open log: permission denied: add the agent's user to group pmta", 1)
	h.do(os.Chmod(h.path("log"), 0o644))
	h.pass(11 * time.Second)
	h.want("a")
}

func TestReadErrorIsRetried(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxOpenFiles = 1 })
	h.write("log", header, rec("a"))
	fails := 3
	h.tl.openRead = func(path string) (*os.File, error) {
		if fails--; fails >= 0 {
			return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("input/output error")}
		}
		return openRead(path)
	}
	h.pass(6 * time.Second)
	h.want("a")
	h.wantEvent("problem log", 1)
	// A broken descriptor is replaced.
	for f := range h.tl.open {
		_ = f.fh.Close()
	}
	h.write("log", rec("b"))
	h.pass(6 * time.Second)
	h.want("b")
}

func TestSymlinks(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Include = []string{filepath.Join(filepath.Dir(c.Include[0]), "in", "*.csv")} })
	h.write("real/acct", header, rec("a"))
	h.do(os.MkdirAll(h.path("in"), 0o755))
	h.do(os.Symlink(h.path("real/acct"), h.path("in/one.csv")))
	h.do(os.Symlink(h.path("real/acct"), h.path("in/two.csv")))
	h.step(0)
	h.want("a")
	h.write("real/acct", rec("b"))
	h.step(time.Second)
	h.want("b")
	h.do(os.Remove(h.path("in/one.csv")))
	h.pass(3 * time.Second)
	h.write("real/acct", rec("c"))
	h.step(time.Second)
	h.want("c")
	// The link moves on to the next file.
	h.write("real/acct2", header, rec("d"))
	h.do(os.Remove(h.path("in/two.csv")))
	h.do(os.Symlink(h.path("real/acct2"), h.path("in/two.csv")))
	h.pass(3 * time.Second)
	h.want("d")
}

// A name that is no text is shown as text, and opened as it is.
func TestNameThatIsNoText(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not take such names")
	}
	h := newHarness(t)
	h.write("a\xffcct-2026-01-31-0000.csv", header, rec("a"))
	h.step(0)
	h.restart()
	h.write("a\xffcct-2026-01-31-0000.csv", rec("b"))
	h.pass(5 * time.Second)
	h.want("a", "b")
	h.wantEvent("opened a\ufffdcct-2026-01-31-0000.csv", 2)
	h.wantEvent("looked 1", 2)
	h.wantEvent("lost", 0)
	if _, ok := h.tl.Stats().Streams["a\ufffdcct.csv"]; !ok {
		t.Errorf("%v", h.tl.Stats().Streams)
	}
}

// A link that leads nowhere is reported once, and does not have its directory
// listed all the time.
func TestLinksThatLeadNowhere(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Include = []string{filepath.Join(filepath.Dir(c.Include[0]), "in", "*.csv")} })
	h.do(os.MkdirAll(h.path("in"), 0o755))
	h.do(os.Symlink(h.path("in/loop.csv"), h.path("in/loop.csv")))
	h.do(os.Symlink(h.path("later"), h.path("in/later.csv")))
	for i := range 5 {
		h.write(fmt.Sprintf("in/acct-2026-01-31-%04d.csv", i), header, recs("a", i, i+1))
		h.pass(time.Second)
	}
	h.want(names("a", 0, 5)...)
	h.wantEvent("problem in/loop.csv", 1)
	if h.tl.dirs[h.path("in")].dirty {
		t.Error("to be listed again though nothing changed")
	}
	h.write("later", header, rec("b"))
	h.pass(h.tl.cfg.RelistInterval + time.Second)
	h.want("b")
}

func TestExcludeAndDeepPatterns(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		d := filepath.Dir(c.Include[0])
		c.Include = []string{filepath.Join(d, "pmta*", "**", "{acct,fbl}-*.csv")}
		c.Exclude = []string{"*-0009.csv", filepath.Join(d, "**", "old", "*")}
	})
	h.write("other/acct-1.csv", header, rec("no1"))
	h.write("pmta1/acct-1.csv", header, rec("a"))
	h.write("pmta1/acct-0009.csv", header, rec("no2"))
	h.write("pmta1/old/acct-1.csv", header, rec("no3"))
	h.write("pmta1/log", header, rec("no4"))
	h.step(0)
	h.want("a")
	h.write("pmta2/x/y/fbl-1.csv", header, rec("b"))
	h.pass(3 * time.Second)
	h.want("b")
	if _, err := New(Config{Include: []string{"a/[x"}, NewDecoder: h.newDecoder}); err == nil {
		t.Fatal("malformed pattern accepted")
	}
	if _, err := New(Config{Include: []string{"a/{b/c,d}/x"}, NewDecoder: h.newDecoder}); err == nil {
		t.Fatal("separator in braces accepted")
	}
}

func TestLiveFileDoesNotStarve(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ChunkSize = 1 << 10; c.MaxInFlight = 1 })
	for i := range 20 {
		h.write(fmt.Sprintf("acct-2026-01-30-%04d.csv", i), header, recs(fmt.Sprintf("f%d-", i), 0, 100))
	}
	h.write("acct-2026-01-31-0000.csv", header, rec("live"))
	h.step(0)
	i := slices.IndexFunc(h.sink.all(), func(s string) bool { return strings.HasPrefix(s, "live") })
	if i < 0 || i > 60 {
		t.Fatal("live record came at", i)
	}
	// The backlog itself comes oldest first.
	var order []string
	for _, l := range h.sink.take() {
		if n, _, _ := strings.Cut(l, "-"); n[0] == 'f' && (len(order) == 0 || order[len(order)-1] != n) {
			order = append(order, n)
		}
	}
	if !slices.IsSortedFunc(order[:10], func(a, b string) int {
		x, _ := strconv.Atoi(a[1:])
		y, _ := strconv.Atoi(b[1:])
		return x - y
	}) {
		t.Log(order) // the newest takes turns with the oldest
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxOpenFiles = 5 })
	for i := range 200 {
		h.write(fmt.Sprintf("s%d.csv", i), header, rec(fmt.Sprintf("a%d", i)))
	}
	h.pass(time.Second)
	for i := range 200 {
		h.write(fmt.Sprintf("s%d.csv", i), rec(fmt.Sprintf("b%d", i)))
	}
	h.pass(time.Second)
	if n := len(h.sink.take()); n != 400 || len(h.tl.open) > 5 {
		t.Fatal(n, len(h.tl.open))
	}
}

func TestStoreErrors(t *testing.T) {
	h := newHarness(t)
	h.store.fail = errors.New("disk full")
	h.write("log", header, rec("a"))
	h.pass(3 * time.Second)
	h.want("a")
	if h.count("store: saving positions: disk full") == 0 {
		t.Fatal(h.events)
	}
	h.store.fail = nil
	h.pass(2 * time.Second)
	h.crash()
	h.pass(2 * time.Second)
	h.want() // saved after the store recovered
	// Damage: read again, with a report.
	for k, v := range h.store.m {
		if k != indexKey {
			h.store.m[k] = v[:len(v)/2]
		}
	}
	h.crash()
	h.pass(2 * time.Second)
	h.want("a")
	h.wantEvent("not readable", 1)
	h.restart()
	h.store.m[indexKey] = []byte("{")
	h.crash()
	h.pass(2 * time.Second)
	h.want()
	h.wantEvent("not readable", 2)
	// The decoder does not know its state any more.
	h.restart()
	h.badNew = errors.New("old state")
	h.pass(2 * time.Second)
	h.write("log", rec("b"))
	h.step(time.Second)
	h.want("a", "b")
	h.store.fail = errors.New("gone")
	if err := h.tl.load(context.Background()); err == nil {
		t.Fatal("unreadable store accepted")
	}
}

func TestForgetting(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.ForgetAfter = time.Minute })
	for i := range 300 {
		h.write(fmt.Sprintf("acct-2026-01-30-%04d.csv", i), header, rec(fmt.Sprintf("a%d", i)))
	}
	h.pass(10 * time.Second)
	if n := len(h.sink.take()); n != 300 {
		t.Fatal(n)
	}
	for i := range 300 {
		h.do(os.Remove(h.path(fmt.Sprintf("acct-2026-01-30-%04d.csv", i))))
	}
	h.pass(10 * time.Second)
	if len(h.tl.byKey) != 0 || len(h.tl.gone) != 300 {
		t.Fatal(len(h.tl.byKey), len(h.tl.gone))
	}
	h.pass(70 * time.Second)
	if len(h.tl.gone) != 0 || len(h.tl.byPrefix) != 0 {
		t.Fatal(len(h.tl.gone), len(h.tl.byPrefix))
	}
	h.restart()
	if len(h.tl.gone)+len(h.tl.loaded) != 0 {
		t.Fatal("came back")
	}
	h.wantEvent("lost", 0)
}

func TestSteadyStateDoesNotRewriteFinishedFiles(t *testing.T) {
	h := newHarness(t)
	for i := range 1000 {
		h.write(fmt.Sprintf("acct-2026-01-30-%04d.csv", i), header, rec(fmt.Sprintf("a%d", i)))
	}
	h.pass(10 * time.Second)
	h.store.sets = 0
	for i := range 20 {
		h.write("acct-2026-01-30-0999.csv", rec(fmt.Sprint("x", i)))
		h.pass(time.Second)
	}
	if h.store.sets > 2*20 {
		t.Fatal(h.store.sets, "writes")
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"acct-2026-01-31-0002.csv": "acct.csv", "acct-2026-01-31.csv": "acct.csv", "acct-20171114": "acct",
		"log": "log", "log.3": "log", "log-3.txt": "log.txt", "log.txt": "log.txt", "pmtahttp.log.1": "pmtahttp.log",
		"log-20260131": "log", "fbl-2026-13-31-0002.csv": "fbl-2026-13-31-0002.csv", "node-1.csv": "node-1.csv",
	} {
		if got, _ := parseName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	sorted := []string{"acct-2026-01-30-0009.csv", "acct-2026-01-31-0000.csv", "acct-2026-01-31-0001.csv", "acct-2026-01-31-10000.csv", "acct.csv"}
	for i := range len(sorted) - 1 {
		_, a := parseName(sorted[i])
		_, b := parseName(sorted[i+1])
		if !b.newerThan(a) || a.newerThan(b) {
			t.Error(sorted[i], sorted[i+1])
		}
	}
	_, a := parseName("log.2")
	_, b := parseName("log.1")
	_, c := parseName("log")
	if !b.newerThan(a) || !c.newerThan(b) {
		t.Error("log.N")
	}
}

func TestInOrder(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxInFlight, c.ChunkSize, c.InOrder = 1, 1<<10, true })
	var want []string
	for _, name := range []string{"log.2", "log.1", "log"} {
		for i := range 40 {
			h.write(name, rec(fmt.Sprint(name, "-", i)))
			if i > 0 { // the first line is the header
				want = append(want, fmt.Sprint(name, "-", i))
			}
		}
	}
	h.pass(5 * time.Second)
	h.want(want...)
}

// A log may be so short when it is cut that it has no prefix.
func TestCopyOfSmallLog(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.InOrder = true })
	line := func(name string) string { return name + ",x\n" }
	for i, more := range []string{"", "more", "more and a long one" + strings.Repeat(",", 100)} {
		first := fmt.Sprint("header", i)
		h.write("log", line(first), line("a"))
		h.pass(2 * time.Second) // what is so small waits for a second
		want := []string{"a"}
		if more != "" {
			h.write("log", line(more)) // nobody has looked yet
			want = append(want, strings.TrimRight(more, ","))
		}
		b, err := os.ReadFile(h.path("log"))
		h.do(err)
		h.do(os.WriteFile(h.path(fmt.Sprint("log.", 3-i)), b, 0o644))
		h.do(os.Truncate(h.path("log"), 0))
		h.pass(3 * time.Second)
		h.want(want...)
	}
	// The same text again is not a copy: a start may fail twice for one reason.
	h.write("log", line("header"), line("z"))
	h.pass(2 * time.Second)
	h.do(os.Truncate(h.path("log"), 0))
	h.step(time.Second)
	h.write("log", line("header"), line("z"))
	h.pass(2 * time.Second)
	h.do(os.Remove(h.path("log")))
	h.step(time.Second)
	h.write("log", line("header"), line("z"))
	h.pass(2 * time.Second)
	h.want("z", "z", "z")
}

// The copy of a log that was cut has older lines than the log.
func TestInOrderCopyFirst(t *testing.T) {
	for _, found := range []string{"at once", "later"} {
		h := newHarness(t, func(c *Config) { c.InOrder = true })
		h.write("log", header, rec("a"), rec("b"))
		h.step(0)
		h.write("log", rec("c")) // nobody has looked yet
		b, err := os.ReadFile(h.path("log"))
		h.do(err)
		h.do(os.WriteFile(h.path("log.1"), b, 0o644))
		if found == "at once" {
			h.step(0) // may be a copy: waits
			h.write("log", rec("d"))
			h.do(os.WriteFile(h.path("log.1"), append(b, rec("d")...), 0o644))
		}
		h.do(os.Truncate(h.path("log"), 0))
		h.write("log", header, rec("e"))
		h.pass(3 * time.Second)
		want := []string{"a", "b", "c", "d", "e"}
		if found == "later" {
			want = []string{"a", "b", "c", "e"}
		}
		h.want(want...)
	}
}

func TestKnownFilesAreTold(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Observer.Known = func(f *File, off int64, st []byte) {
			c.Observer.Opened(f, -off) // an event with a mark
			if int64(binary.BigEndian.Uint64(st)) != off {
				t.Errorf("%s: state is not that of %d", f.Path, off)
			}
		}
	})
	h.write("log", header, rec("a"))
	h.step(0)
	size := len(header) + len(rec("a"))
	h.rename("log", "log.1")
	h.write("log", header, rec("b"))
	h.step(300 * time.Millisecond)
	h.restart()
	h.wantEvent(fmt.Sprintf("opened log -%d", size), 2)
	h.pass(20 * time.Second) // log.1 is finished by now
	h.restart()
	h.wantEvent(fmt.Sprintf("opened log -%d", size), 3)
}
