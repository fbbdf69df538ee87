package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

const head = "type,timeLogged,rcpt,dlvEsmtpAvailable,jobId\r\n"

// record makes the n-th record; every third has a line end and quotes within a
// field.
func record(n int) string {
	rcpt := fmt.Sprintf("user%d@example.com", n)
	if n%3 == 0 {
		rcpt = fmt.Sprintf("\"user%d\r\n \"\"x\"\"@example.com\"", n)
	}
	return fmt.Sprintf("d,2026-01-31 10:00:00+0000,%s,\"8BITMIME,SIZE\",job-%06d\r\n", rcpt, n)
}

func records(from, to int) []string {
	var out []string
	for n := from; n < to; n++ {
		out = append(out, record(n))
	}
	return out
}

// disk is a file system in memory that can hang, be full and fail.
type disk struct {
	mu     sync.Mutex
	files  map[string]*content
	now    time.Time
	space  int64                                    // bytes left, -1 for no limit
	write  func(path string, b []byte) (int, error) // nil: normal
	gate   chan struct{}                            // a write to a data file waits until it is closed
	maxSum int64                                    // most bytes in data files at any time
	noCut  bool                                     // files cannot be truncated

	refused chan struct{} // closed with the first write that is refused for space
	refuse  sync.Once
}

type content struct {
	name string
	b    []byte
	mod  time.Time
	busy bool
}

func newDisk() *disk {
	return &disk{files: map[string]*content{}, refused: make(chan struct{}), space: -1, now: time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)}
}

func (d *disk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *disk) advance(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(t)
}

func (d *disk) Prepare(string) error { return nil }

func (d *disk) List(string) ([]Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Info
	for n, c := range d.files {
		out = append(out, Info{n, int64(len(c.b)), c.mod})
	}
	return out, nil
}

func (d *disk) Create(path string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	c := &content{name: name, mod: d.now, busy: true}
	d.files[name] = c
	return &diskFile{d, c}, nil
}

func (d *disk) Open(path string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[filepath.Base(path)]
	switch {
	case c == nil:
		return nil, fs.ErrNotExist
	case c.busy:
		return nil, ErrInUse
	}
	return &diskFile{d, c}, nil
}

func (d *disk) InUse(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[filepath.Base(path)]
	return c != nil && c.busy
}

func (d *disk) Is(path string, f File) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[filepath.Base(path)] == f.(*diskFile).c
}

func (d *disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[filepath.Base(path)]
	switch {
	case c == nil:
		return fs.ErrNotExist
	case c.busy:
		return ErrInUse
	}
	delete(d.files, c.name)
	if d.space >= 0 {
		d.space += int64(len(c.b))
	}
	return nil
}

func (d *disk) Log(path string, line []byte, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	if d.files[name] == nil {
		d.files[name] = &content{name: name}
	}
	d.files[name].b = append(d.files[name].b, line...)
	return nil
}

type diskFile struct {
	d *disk
	c *content
}

func (f *diskFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	gate, write := f.d.gate, f.d.write
	f.d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	n, err := len(b), error(nil)
	if write != nil {
		n, err = write(f.c.name, b)
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.space >= 0 && int64(n) > f.d.space {
		n, err = int(f.d.space), errFull
		f.d.refuse.Do(func() { close(f.d.refused) })
	}
	if f.d.space >= 0 {
		f.d.space -= int64(n)
	}
	f.c.b = append(f.c.b, b[:n]...)
	f.c.mod = f.d.now
	sum := int64(0)
	for n, c := range f.d.files {
		if !strings.HasSuffix(n, ".jsonl") {
			sum += int64(len(c.b))
		}
	}
	f.d.maxSum = max(f.d.maxSum, sum)
	return n, err
}

func (f *diskFile) ReadAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return bytes.NewReader(f.c.b).ReadAt(b, at)
}

func (f *diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.noCut {
		return errFull
	}
	if f.d.space >= 0 {
		f.d.space += int64(len(f.c.b)) - size
	}
	f.c.b = f.c.b[:size]
	return nil
}

func (f *diskFile) Sync() error { return nil }

func (f *diskFile) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.c.busy = false
	return nil
}

func (f *diskFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.c.b)), nil
}

// data returns the data files, oldest first, with their content.
func (d *disk) data() (names []string, contents []string) {
	all, _ := d.List("")
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range ours("acct", all) {
		names = append(names, f.Name)
		contents = append(contents, string(d.files[f.Name].b))
	}
	return names, contents
}

func (d *disk) journal(t *testing.T) []entry {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	return parseJournal(t, d.files["acct.journal.jsonl"].b)
}

func parseJournal(t *testing.T, b []byte) []entry {
	t.Helper()
	var out []entry
	for line := range bytes.Lines(b) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, e)
	}
	return out
}

func events(j []entry, event, reason string) (n int, c Count) {
	for _, e := range j {
		if e.Event == event && (reason == "" || e.Reason == reason) {
			n++
			c.add(e.Records, e.Bytes)
		}
	}
	return n, c
}

// decoded collects what the agent would make of files.
type decoded struct {
	src     string
	records []string
	rejects []acct.Reject
}

func (c *decoded) Record(r *acct.Record) { c.records = append(c.records, c.src[r.Start:r.End]) }
func (c *decoded) Reject(r acct.Reject)  { c.rejects = append(c.rejects, r) }
func (c *decoded) add(file string) {
	c.src = file
	acct.NewDecoder(acct.Options{}).Decode(file, true, c)
}
func decode(files []string) (c decoded) {
	for _, f := range files {
		c.add(f)
	}
	return c
}

// same compares records one by one.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: record %d is %q, want %q", what, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
	}
}

// input is a stream that tells when it was read to its end.
type input struct {
	r   io.Reader
	eof chan struct{}
}

func newInput(recs []string) *input {
	return &input{strings.NewReader(head + strings.Join(recs, "")), make(chan struct{})}
}

func (i *input) Read(b []byte) (int, error) {
	n, err := i.r.Read(b[:min(len(b), 4096)])
	if err == io.EOF {
		close(i.eof)
	}
	return n, err
}

func testConfig(d *disk) Config {
	return Config{Dir: "dir", FS: d, FileSize: minFileSize, MaxSize: 1 << 30, Buffer: minBuffer, MaxWait: -1,
		now: d.clock, retryMin: time.Microsecond, retryMax: time.Microsecond, tick: time.Millisecond}
}

func check(t *testing.T, total Totals, read int) {
	t.Helper()
	if total.Read.Records != int64(read) {
		t.Errorf("%d records read, want %d", total.Read.Records, read)
	}
	if lost := total.Lost(); total.Written.Records+lost.Records != total.Read.Records || total.Written.Bytes+lost.Bytes != total.Read.Bytes {
		t.Errorf("read is not written and dropped: %+v", total)
	}
}

// runs Run and returns when the input is used up, with what gives the result.
func start(t *testing.T, in *input, cfg Config) func() (Totals, error) {
	t.Helper()
	type result struct {
		t   Totals
		err error
	}
	c := make(chan result, 1)
	go func() {
		total, err := Run(context.Background(), in, cfg)
		c <- result{total, err}
	}()
	<-in.eof
	return func() (Totals, error) {
		r := <-c
		return r.t, r.err
	}
}

func readDir(t *testing.T, dir string) (names, contents []string) {
	t.Helper()
	all, err := OS{}.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ours("acct", all) {
		b, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		names, contents = append(names, f.Name), append(contents, string(b))
	}
	return names, contents
}

func headers(t *testing.T, names, contents []string) {
	t.Helper()
	for i, c := range contents {
		if !strings.HasPrefix(c, head) || strings.Count(c, head) != 1 {
			t.Errorf("%s does not begin with the header line, or has it twice", names[i])
		}
	}
	if !slices.IsSorted(names) {
		t.Error("names are not in order:", names)
	}
}
