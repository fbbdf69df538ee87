package tail

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// memStore is a Store that survives a restart of the Tailer, not of the test.
type memStore struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail error
	sets int
}

func newStore() *memStore { return &memStore{m: map[string][]byte{}} }

func (s *memStore) Get(_ context.Context, k string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.m[k]), s.fail
}

func (s *memStore) Set(_ context.Context, k string, v []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.sets++
	s.m[k] = bytes.Clone(v)
	return nil
}

func (s *memStore) Delete(_ context.Context, k string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, k)
	return nil
}

func (s *memStore) clone() *memStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newStore()
	for k, v := range s.m {
		c.m[k] = v
	}
	return c
}

type accepted struct {
	seq   int
	lines []string
}

// sink takes what is delivered. Deliveries run side by side; what comes out is
// in the order of decoding.
type sink struct {
	mu   sync.Mutex
	seq  int
	got  []accepted
	gate chan struct{}
	err  error
}

func (s *sink) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	return s.seq
}

func (s *sink) accept(b *lineBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.got = append(s.got, accepted{b.seq, b.lines})
	return nil
}

func (s *sink) all() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.got, func(a, b accepted) int { return a.seq - b.seq })
	for _, a := range s.got {
		lines = append(lines, a.lines...)
	}
	return lines
}

func (s *sink) take() []string {
	l := s.all()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = nil
	return l
}

// lineDecoder takes the first line for a header and every other line for a
// record. It fails the test when it is started in mid-file without a header
// or is handed bytes out of order.
type lineDecoder struct {
	h      *harness
	s      *sink
	file   *File
	header string
	pos    int64
	jump   bool // StartAtEnd: one gap is right
}

type lineBatch struct {
	s     *sink
	seq   int
	gate  chan struct{}
	lines []string
}

func (b *lineBatch) Deliver(ctx context.Context) error {
	if g := b.gate; g != nil {
		select {
		case <-g:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.s.accept(b)
}

func (d *lineDecoder) Decode(c Chunk) (int, Batch) {
	if c.Offset != d.pos && !d.jump {
		d.h.errorf("%s: chunk at %d, want %d", d.file.Path, c.Offset, d.pos)
	}
	if len(c.Data) == 0 && !(d.jump && c.Offset > d.pos) {
		d.h.errorf("%s: empty chunk at %d", d.file.Path, c.Offset)
	}
	if c.Offset != d.pos {
		d.jump = false
	}
	var lines []string
	used := 0
	for used < len(c.Data) {
		i := bytes.IndexByte(c.Data[used:], '\n')
		if i < 0 && !c.Final {
			break
		}
		var line string
		if i < 0 {
			line = string(c.Data[used:]) + "<final>"
			used = len(c.Data)
		} else {
			line = string(c.Data[used : used+i])
			used += i + 1
		}
		if d.header == "" {
			d.header = line
			continue
		}
		if line == d.header {
			d.h.errorf("%s: header read as a record at %d", d.file.Path, c.Offset)
		}
		lines = append(lines, line)
	}
	d.pos = c.Offset + int64(used)
	if len(lines) == 0 {
		return used, nil
	}
	return used, &lineBatch{d.s, d.s.next(), d.s.gate, lines}
}

func (d *lineDecoder) State() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(d.pos)), d.header...)
}

// harness runs a Tailer step by step with its own clock.
type harness struct {
	t     testing.TB
	dir   string
	cfg   Config
	store *memStore
	sink  *sink
	tl    *Tailer
	clock time.Time

	mu     sync.Mutex
	events []string
	badNew error
}

func (h *harness) errorf(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, "FAIL "+fmt.Sprintf(format, args...))
	h.t.Errorf(format, args...)
}

func (h *harness) event(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, strings.ReplaceAll(fmt.Sprintf(format, args...), h.dir+string(filepath.Separator), ""))
}

func (h *harness) newDecoder(f *File, state []byte) (Decoder, error) {
	if h.badNew != nil && state != nil {
		return nil, h.badNew
	}
	d := &lineDecoder{h: h, s: h.sink, file: f, jump: h.cfg.StartAtEnd}
	if len(state) >= 8 {
		d.pos = int64(binary.BigEndian.Uint64(state))
		d.header = string(state[8:])
	} else if state != nil {
		return nil, errors.New("short state")
	}
	return d, nil
}

func newHarness(t testing.TB, change ...func(*Config)) *harness {
	h := &harness{t: t, dir: t.TempDir(), store: newStore(), sink: &sink{}, clock: time.Now()}
	h.cfg = Config{
		Include:    []string{filepath.Join(h.dir, "*")},
		Store:      h.store,
		NewDecoder: h.newDecoder,
		Observer: Observer{
			Looked: func(n int) { h.event("looked %d", n) },
			Opened: func(f *File, off int64) { h.event("opened %s %d", f.Path, off) },
			Finished: func(f *File, n int64, st []byte) {
				// The last state is that behind the last byte accepted.
				if len(st) >= 8 && int64(binary.BigEndian.Uint64(st)) != n {
					h.errorf("%s: finished at %d with the state of %d", f.Path, n, binary.BigEndian.Uint64(st))
				} else if n > 0 && st == nil {
					h.errorf("%s: finished at %d without a state", f.Path, n)
				}
				h.event("finished %s %d", f.Path, n)
			},
			Rotated:        func(f *File, p string) { h.event("rotated %s -> %s", f.Path, p) },
			Truncated:      func(f *File) { h.event("truncated %s", f.Path) },
			Lost:           func(f *File, n int64, why string) { h.event("lost %s %d %s", f.Path, n, why) },
			Denied:         func(p string, err error) { h.event("denied %s: %v", p, err) },
			ArchiveSkipped: func(f *File, p string) { h.event("archive %s of %s", p, f.Path) },
			Problem:        func(p string, err error) { h.event("problem %s: %v", p, err) },
			StoreFailed:    func(err error) { h.event("store: %v", err) },
		},
	}
	for _, c := range change {
		c(&h.cfg)
	}
	h.start()
	return h
}

// start begins a run with what the Store holds.
func (h *harness) start() {
	h.t.Helper()
	tl, err := New(h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	tl.now = func() time.Time { return h.clock }
	if err := tl.load(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	h.tl = tl
}

// crash ends the run without saving; stop saves first.
func (h *harness) crash() {
	h.quiesce()
	for f := range h.tl.open {
		h.tl.closeFile(f)
	}
	h.start()
}

func (h *harness) restart() {
	h.quiesce()
	h.tl.saveNow(context.Background())
	h.crash()
}

// quiesce waits until nothing is in flight or being saved.
func (h *harness) quiesce() {
	for h.tl.inFlight > 0 {
		h.tl.collect(<-h.tl.doneCh)
	}
	if h.tl.saver.busy {
		h.tl.saved(<-h.tl.saver.result)
	}
}

// step lets d pass and polls until there is nothing to do at this time. The
// directories are listed anew: their mtime is real time, the clock is not.
func (h *harness) step(d time.Duration) {
	h.t.Helper()
	h.clock = h.clock.Add(d)
	h.tl.dirtyDirs()
	h.tl.nextPoll = time.Time{}
	for i := 0; ; i++ {
		h.tl.poll()
		if h.sink.gate == nil {
			h.quiesce()
		}
		if len(h.tl.ring) == 0 || h.tl.inFlight > 0 {
			break
		}
		if i > 100000 {
			h.t.Fatal("does not come to rest")
		}
	}
}

// pass lets d pass in polls.
func (h *harness) pass(d time.Duration) {
	h.t.Helper()
	for ; d > 0; d -= 250 * time.Millisecond {
		h.step(250 * time.Millisecond)
	}
}

func (h *harness) path(name string) string { return filepath.Join(h.dir, filepath.FromSlash(name)) }

func (h *harness) write(name string, parts ...string) {
	h.t.Helper()
	p := h.path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		h.t.Fatal(err)
	}
	fh, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = fh.Close() }()
	if _, err := fh.WriteString(strings.Join(parts, "")); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) do(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) rename(a, b string) {
	h.t.Helper()
	h.do(os.MkdirAll(filepath.Dir(h.path(b)), 0o755))
	h.do(os.Rename(h.path(a), h.path(b)))
}

// want checks what was accepted since the last call, in order, as record names.
func (h *harness) want(names ...string) {
	h.t.Helper()
	got := h.sink.take()
	for i, l := range got {
		got[i], _, _ = strings.Cut(l, ",")
		if strings.HasSuffix(l, "<final>") && !strings.HasSuffix(got[i], "<final>") {
			got[i] += "<final>"
		}
	}
	if !slices.Equal(got, names) {
		h.t.Fatalf("accepted %q\n    want %q\nevents:\n%s", got, names, strings.Join(h.events, "\n"))
	}
}

// wantSet is want for files of several streams, which have no order.
func (h *harness) wantSet(names ...string) {
	h.t.Helper()
	h.sink.got = []accepted{{0, slices.Sorted(slices.Values(h.sink.all()))}}
	slices.Sort(names)
	h.want(names...)
}

func (h *harness) wantEvent(sub string, n int) {
	h.t.Helper()
	if got := h.count(sub); got != n {
		h.t.Fatalf("event %q %d times, want %d:\n%s", sub, got, n, strings.Join(h.events, "\n"))
	}
}

func (h *harness) count(sub string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if strings.Contains(e, sub) {
			n++
		}
	}
	return n
}

const header = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag\n"

// rec makes a record that is told by its name and long enough to be a prefix.
func rec(name string) string {
	return name + ",2026-01-31 10:00:00+0000,a@example.com,b@example.net,relayed,2.0.0 (success)\n"
}

func recs(base string, from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(rec(fmt.Sprintf("%s%d", base, i)))
	}
	return b.String()
}

func names(base string, from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%s%d", base, i))
	}
	return out
}
