package tail

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The torture test runs a few seconds; TAIL_TORTURE=5m makes it longer and
// TAIL_SEED repeats the choices of a run (not its timing).

type torture struct {
	t     *testing.T
	lax   bool // only losses count
	dir   string
	rng   *rand.Rand
	cfg   Config
	store *memStore

	mu      sync.Mutex
	seen    map[string][]int // record -> runs that accepted it
	left    map[int]int      // file -> records not accepted yet
	pending int
	run     int
	from    map[string][]string // record -> where it was read
	wrong   int
	crashes []int // runs that ended in a crash
	log     []string

	written map[string]int // record -> file
	files   int
	rots    map[string]int
	stop    context.CancelFunc
	ended   chan error
	tl      *Tailer
	total   Stats
}

type tortureBatch struct {
	tt    *torture
	run   int
	from  string
	lines []string
	delay time.Duration
}

func (b *tortureBatch) Deliver(ctx context.Context) error {
	if b.delay > 0 { // so that batches overtake each other
		select {
		case <-time.After(b.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.tt.mu.Lock()
	defer b.tt.mu.Unlock()
	for _, l := range b.lines {
		id, _, _ := strings.Cut(l, ",")
		if strings.HasSuffix(l, "<final>") && !b.tt.lax { // here rotated files end with a line end
			b.tt.t.Errorf("half a line given as the last: %s (content %d) from %s", id, b.tt.written[id], b.from)
		}
		runs := b.tt.seen[id]
		if _, known := b.tt.written[id]; known && len(runs) == 0 {
			b.tt.left[b.tt.written[id]]--
			b.tt.pending--
		}
		if len(runs) > 0 && !slices.ContainsFunc(b.tt.crashes, func(c int) bool { return runs[len(runs)-1] <= c && c < b.run }) {
			if b.tt.wrong++; b.tt.wrong < 5 && !b.tt.lax {
				b.tt.t.Errorf("%s (content %d) accepted again without a crash, from %q and %s", id, b.tt.written[id], b.tt.from[id], b.from)
			}
		}
		b.tt.seen[id] = append(runs, b.run)
		b.tt.from[id] = append(b.tt.from[id], b.from)
	}
	return nil
}

type tortureDecoder struct {
	lineDecoder
	tt  *torture
	run int
}

func (d *tortureDecoder) Decode(c Chunk) (int, Batch) {
	n, b := d.lineDecoder.Decode(c)
	if b == nil {
		return n, nil
	}
	tb := &tortureBatch{tt: d.tt, run: d.run, lines: b.(*lineBatch).lines}
	tb.from = fmt.Sprintf("%s %s@%d", time.Now().Format("05.000"), filepath.Base(c.File.Path), c.Offset)
	if rand.IntN(10) == 0 {
		tb.delay = time.Duration(rand.IntN(3000)) * time.Microsecond
	}
	return n, tb
}

func (tt *torture) note(format string, args ...any) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.log = append(tt.log, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
	if n := len(tt.log); n > 40000 {
		tt.log = append([]string(nil), tt.log[n-20000:]...)
	}
}

func (tt *torture) begin() {
	run := tt.run
	store := tt.store
	cfg := tt.cfg
	cfg.Store = store
	cfg.Notify = tt.rng.IntN(2) == 0
	h := &harness{t: tt.t, dir: tt.dir}
	cfg.NewDecoder = func(f *File, state []byte) (Decoder, error) {
		h2 := harness{t: tt.t, dir: tt.dir, sink: &sink{}}
		ld, err := h2.newDecoder(f, state)
		if err != nil {
			return nil, err
		}
		d := &tortureDecoder{lineDecoder: *ld.(*lineDecoder), tt: tt, run: run}
		d.h = h
		return d, nil
	}
	cfg.Observer = Observer{
		Truncated:      func(f *File) { tt.note("agent: truncated %s", f.Path) },
		Lost:           func(f *File, n int64, why string) { tt.note("agent: lost %s %d %s", f.Path, n, why) },
		Problem:        func(p string, err error) { tt.note("agent: problem %s %v", p, err) },
		ArchiveSkipped: func(f *File, p string) { tt.note("agent: archive %s of %s", p, f.Path) },
		Rotated:        func(f *File, p string) { tt.note("agent: rotated %s -> %s", f.Path, p) },
		Opened:         func(f *File, off int64) { tt.note("agent: opened %s at %d", f.Path, off) },
		Finished:       func(f *File, n int64, _ []byte) { tt.note("agent: finished %s %d", f.Path, n) },
		StoreFailed:    func(err error) { tt.t.Error(err) },
	}
	tl, err := New(cfg)
	if err != nil {
		tt.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	tt.tl, tt.stop, tt.ended = tl, stop, make(chan error, 1)
	go func() { tt.ended <- tl.Run(ctx) }()
}

// end stops the agent. A crash gives the next run what was in the store at a
// moment before.
func (tt *torture) end(crash bool) {
	if crash {
		tt.store = tt.store.clone()
		tt.mu.Lock()
		tt.crashes = append(tt.crashes, tt.run)
		tt.mu.Unlock()
	}
	tt.note("stop, crash %v", crash)
	tt.stop()
	if err := <-tt.ended; err != nil {
		tt.t.Error(err)
	}
	s := tt.tl.Stats()
	tt.total.Truncations += s.Truncations
	tt.total.Rotations += s.Rotations
	tt.total.BytesRead += s.BytesRead
	tt.run++
}

// await waits for a condition on what was accepted.
func (tt *torture) await(what string, ok func() bool) {
	deadline := time.Now().Add(60 * time.Second)
	for {
		tt.mu.Lock()
		done := ok()
		tt.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			tt.mu.Lock()
			log := strings.Join(tt.log[max(0, len(tt.log)-200):], "\n")
			missing := tt.missing()
			tt.mu.Unlock()
			tt.t.Fatalf("waited in vain for %s; missing %v\n%s", what, missing, log)
		}
		time.Sleep(time.Millisecond)
	}
}

func (tt *torture) missing() (out []string) {
	for id := range tt.written {
		if len(tt.seen[id]) == 0 && len(out) < 20 {
			out = append(out, id)
		}
	}
	return out
}

// tortureFile is one content.
type tortureFile struct {
	n    int
	recs int
	half string // rest of a line that is half written
	fh   *os.File
	path string
	gz   bool
}

func (tt *torture) create(path string) *tortureFile {
	tt.files++
	fh, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_EXCL, 0o644)
	if err != nil {
		tt.t.Fatal(err)
	}
	f := &tortureFile{n: tt.files, fh: fh, path: path}
	if tt.rng.IntN(4) > 0 {
		tt.header(f)
	}
	return f
}

func (tt *torture) header(f *tortureFile) { tt.put(f, header) }

func (tt *torture) put(f *tortureFile, s string) {
	if _, err := f.fh.WriteString(s); err != nil {
		tt.t.Fatal(err)
	}
}

// fill writes some records, sometimes half a line at the end.
func (tt *torture) fill(f *tortureFile) {
	tt.finishLine(f)
	var b bytes.Buffer
	if st, err := f.fh.Stat(); err != nil {
		tt.t.Fatal(err)
	} else if st.Size() == 0 {
		b.WriteString(header)
	}
	n := tt.rng.IntN(8)
	if tt.rng.IntN(10) == 0 {
		n = tt.rng.IntN(200)
	}
	tt.mu.Lock()
	for range n {
		f.recs++
		id := "r" + strconv.Itoa(f.n) + "-" + strconv.Itoa(f.recs)
		tt.written[id] = f.n
		tt.left[f.n]++
		tt.pending++
		b.WriteString(id + "," + strings.Repeat("x", prefixMin+tt.rng.IntN(100)) + "\n")
	}
	tt.mu.Unlock()
	s := b.String()
	if tt.rng.IntN(3) == 0 && len(s) > 1 {
		cut := 1 + tt.rng.IntN(len(s)-1)
		s, f.half = s[:cut], s[cut:]
	}
	tt.put(f, s)
}

func (tt *torture) finishLine(f *tortureFile) {
	if f.half != "" {
		tt.put(f, f.half)
		f.half = ""
	}
}

func (tt *torture) must(err error) {
	if err != nil {
		tt.t.Helper()
		tt.t.Fatal(err)
	}
}

func (tt *torture) count(kind string, f *tortureFile) {
	tt.rots[kind]++
	tt.note("writer: %s %s (content %d, %d records)", kind, f.path, f.n, f.recs)
}

func (tt *torture) move(f *tortureFile, to string) {
	tt.must(os.Rename(f.path, to))
	f.path = to
}

// compress does what gzip does: the archive first, then the original goes.
func (tt *torture) compress(f *tortureFile) {
	data, err := os.ReadFile(f.path)
	tt.must(err)
	out, err := os.OpenFile(f.path+".gz", os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	tt.must(err)
	w := gzip.NewWriter(out)
	for len(data) > 0 {
		n := min(len(data), 4<<10)
		_, err = w.Write(data[:n])
		tt.must(err)
		tt.must(w.Flush())
		data = data[n:]
	}
	tt.must(w.Close())
	tt.must(out.Close())
	tt.must(os.Remove(f.path))
	f.path += ".gz"
	f.gz = true
}

func (tt *torture) accepted(f *tortureFile) {
	tt.await(fmt.Sprintf("content %d", f.n), func() bool { return tt.left[f.n] == 0 })
}

// remove deletes a file that was read to its end.
func (tt *torture) remove(f *tortureFile) {
	tt.accepted(f)
	tt.must(os.Remove(f.path))
	tt.count("delete", f)
}

// A stream writes to one live file and rotates it in its own way.
type tortureStream struct {
	name string
	live *tortureFile
	old  []*tortureFile
	day  int
	seq  int
}

func (tt *torture) acctName(s *tortureStream) string {
	return filepath.Join(tt.dir, fmt.Sprintf("%s-%s-%04d.csv", s.name, time.Date(2026, 1, 1+s.day, 0, 0, 0, 0, time.UTC).Format("2006-01-02"), s.seq))
}

func (tt *torture) rotateAcct(s *tortureStream) {
	f := s.live
	tt.finishLine(f)
	if tt.rng.IntN(20) == 0 {
		s.day, s.seq = s.day+1, 0
		tt.count("midnight", f)
	} else {
		s.seq++
		tt.count("new NNNN", f)
	}
	late := tt.rng.IntN(4) == 0
	if late { // the new file is there before the old one is moved and ended
		s.live = tt.create(tt.acctName(s))
		tt.fill(f)
		tt.finishLine(f)
	}
	switch tt.rng.IntN(3) {
	case 0:
		tt.move(f, filepath.Join(tt.dir, "done", filepath.Base(f.path)))
		tt.count("move", f)
		if tt.rng.IntN(4) == 0 {
			tt.fill(f)
			tt.finishLine(f)
		}
	case 1:
		if tt.rng.IntN(2) == 0 {
			tt.compress(f)
			tt.count("gzip", f)
		}
	}
	if !late {
		s.live = tt.create(tt.acctName(s))
	}
	tt.must(f.fh.Close())
	s.old = append(s.old, f)
}

func (tt *torture) rotateShift(s *tortureStream) {
	tt.finishLine(s.live)
	for i := range s.old {
		name := filepath.Join(tt.dir, s.name+"."+strconv.Itoa(len(s.old)-i+1))
		if s.old[i].gz {
			name += ".gz"
		}
		tt.move(s.old[i], name)
	}
	f := s.live
	path := f.path
	tt.move(f, path+".1")
	tt.count("shift", f)
	if tt.rng.IntN(3) == 0 {
		tt.fill(f)
		tt.finishLine(f)
	}
	tt.must(f.fh.Close())
	if tt.rng.IntN(4) == 0 {
		tt.compress(f)
		tt.count("gzip", f)
	}
	s.live = tt.create(path)
	s.old = append(s.old, f)
}

func (tt *torture) rotateCopy(s *tortureStream) {
	f := s.live
	tt.finishLine(f)
	for i := range s.old {
		tt.move(s.old[i], filepath.Join(tt.dir, s.name+"."+strconv.Itoa(len(s.old)-i+1)))
	}
	data, err := os.ReadFile(f.path)
	tt.must(err)
	tt.must(os.WriteFile(f.path+".1", data, 0o644))
	tt.must(f.fh.Truncate(0))
	tt.count("copytruncate", f)
	s.old = append(s.old, &tortureFile{n: f.n, path: f.path + ".1"})
	tt.files++
	s.live = &tortureFile{n: tt.files, fh: f.fh, path: f.path}
}

func (tt *torture) rotateTruncate(s *tortureStream) {
	f := s.live
	tt.finishLine(f)
	tt.accepted(f)
	tt.must(f.fh.Truncate(0))
	tt.count("truncate", f)
	tt.files++
	s.live = &tortureFile{n: tt.files, fh: f.fh, path: f.path}
	if tt.rng.IntN(2) == 0 {
		tt.fill(s.live)
	}
}

func TestRotationTorture(t *testing.T) {
	tortureRun(t, 6*time.Second, false)
}

func tortureRun(t *testing.T, dur time.Duration, lax bool) {
	if v := os.Getenv("TAIL_TORTURE"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		dur = d
	} else if testing.Short() {
		dur = 2 * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("TAIL_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("TAIL_SEED=%d", seed)
	tt := &torture{
		t: t, lax: lax, dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 1)), store: newStore(),
		seen: map[string][]int{}, from: map[string][]string{}, left: map[int]int{}, written: map[string]int{}, rots: map[string]int{},
	}
	if err := os.Mkdir(filepath.Join(tt.dir, "done"), 0o755); err != nil {
		t.Fatal(err)
	}
	tt.cfg = Config{
		Include:      []string{filepath.Join(tt.dir, "*"), filepath.Join(tt.dir, "done", "*")},
		PollInterval: 10 * time.Millisecond, SaveInterval: 20 * time.Millisecond, RelistInterval: time.Second,
		FinalGrace: 500 * time.Millisecond, OutGrace: 500 * time.Millisecond, CopyGrace: 20 * time.Second,
		ChunkSize: 2 << 10, MaxOpenFiles: 24,
	}
	streams := []*tortureStream{{name: "acct"}, {name: "fbl"}, {name: "log"}, {name: "app"}, {name: "http"}}
	for i, s := range streams {
		path := filepath.Join(tt.dir, s.name)
		if i < 2 {
			path = tt.acctName(s)
		}
		s.live = tt.create(path)
	}
	tt.begin()
	for end := time.Now().Add(dur); time.Now().Before(end) && !t.Failed(); {
		i := tt.rng.IntN(len(streams))
		s := streams[i]
		switch op := tt.rng.IntN(100); {
		case op < 60:
			tt.fill(s.live)
		case op < 98:
			switch i {
			case 0, 1:
				tt.rotateAcct(s)
			case 2:
				tt.rotateShift(s)
			case 3:
				tt.rotateCopy(s)
			case 4:
				tt.rotateTruncate(s)
			}
			if len(s.old) > 8 {
				tt.remove(s.old[0])
				s.old = s.old[1:]
			}
		case op == 98 && tt.rng.IntN(4) == 0:
			tt.end(tt.rng.IntN(2) == 0)
			for range tt.rng.IntN(20) { // life goes on meanwhile
				switch i := tt.rng.IntN(4); {
				case tt.rng.IntN(2) == 0:
					tt.fill(streams[i].live)
				case i < 2:
					tt.rotateAcct(streams[i])
				case i == 2:
					tt.rotateShift(streams[i])
				case i == 3:
					tt.rotateCopy(streams[i])
				}
			}
			tt.begin()
		}
		tt.await("the backlog", func() bool { return tt.pending < 3000 })
	}
	for _, s := range streams {
		tt.finishLine(s.live)
	}
	tt.await("the end", func() bool { return tt.pending <= 0 })
	tt.end(false)

	dups, rotations := 0, 0
	for id, runs := range tt.seen {
		if _, ok := tt.written[id]; !ok && !lax {
			t.Errorf("%q was never written; from %v", id, tt.from[id])
		}
		dups += len(runs) - 1
	}
	for k, n := range tt.rots {
		if k != "delete" {
			rotations += n
		}
	}
	t.Logf("%d records, %d rotations %v, %d runs (%d crashed), %d duplicates after a crash, %d unexplained; agent: %d rotations, %d truncations",
		len(tt.written), rotations, tt.rots, tt.run, len(tt.crashes), dups-tt.wrong, tt.wrong, tt.total.Rotations, tt.total.Truncations)
	if t.Failed() {
		t.Log(strings.Join(tt.log[max(0, len(tt.log)-3000):], "\n"))
	}
}
