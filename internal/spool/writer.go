package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

const (
	// maxAttempts is how often a file is tried before another one is begun.
	maxAttempts = 3
	// dropPace is the least time between two journal lines about drops that go
	// on.
	dropPace = 10 * time.Second
	// maxCounted bounds the finished files whose record count is remembered.
	maxCounted = 4096
)

// errNoRoom says that others fill the spool.
var errNoRoom = errors.New("the spool is full of files that are being written")

// writer moves records from the queue to files. Everything it has belongs to
// the goroutine that calls run.
type writer struct {
	cfg Config
	fs  FS
	q   *queue
	log journal

	f       File // nil when none is open
	name    string
	hdr     *header // of f
	date    string
	began   time.Time
	size    int64
	records int64
	dirty   bool // written since the last fsync
	synced  time.Time
	cur     *block // taken from the queue, not written to its end
	off     int    // of cur: written
	cut     bool   // the last write to f ended in the middle of cur

	failed   int // attempts in a row
	pause    time.Duration
	counts   map[string]int64 // records of finished files
	finished map[string]bool  // files seen without a writer: none comes back
	torn     []string         // finished files that end in part of a record, to be mended
	nextTick time.Time
	cleaned  time.Time
}

func newWriter(cfg Config, q *queue) *writer {
	return &writer{cfg: cfg, fs: cfg.FS, q: q, counts: map[string]int64{}, finished: map[string]bool{},
		log: journal{fs: cfg.FS, path: join(cfg.Dir, cfg.Name+".journal.jsonl"), now: cfg.now}}
}

// run writes until the queue has ended and is empty, or ctx ends. An error is
// one from before the first record.
func (w *writer) run(ctx context.Context) error {
	if err := w.fs.Prepare(w.cfg.Dir); err != nil {
		return fmt.Errorf("cannot write to the spool directory: %w; create it for the user that PMTA runs as: install -d -o pmta -g pmta -m 0750 %s", err, w.cfg.Dir)
	}
	w.log.add(entry{Event: "start"})
	w.recover()
	w.synced = w.cfg.now()
	timer := time.NewTicker(w.cfg.tick)
	defer timer.Stop()
	for ctx.Err() == nil {
		w.tick()
		if w.cur == nil {
			w.cur, w.off = w.q.take(), 0
		}
		switch {
		case w.cur != nil:
			if err := w.step(); err != nil {
				w.fail(err)
				select {
				case <-time.After(w.pause):
				case <-ctx.Done():
				}
			}
			continue
		case w.q.ended():
			w.finish()
			w.stop()
			return nil
		}
		select {
		case <-w.q.ready:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	w.q.abandon(w.rest())
	w.finish()
	w.stop()
	return nil
}

// rest is the part of cur that was not written.
func (w *writer) rest() *block {
	if w.cur == nil {
		return nil
	}
	w.rewind()
	b := *w.cur
	b.buf = b.buf[w.off:]
	return &b
}

// step writes cur, all or a part of it.
func (w *writer) step() error {
	now := w.cfg.now()
	b := w.cur
	if w.f != nil && !w.cut && (w.hdr != b.hdr || w.over(now) ||
		w.records > 0 && w.size+int64(len(b.buf)-w.off) > w.cfg.FileSize) {
		w.finish()
	}
	if w.f == nil {
		if err := w.begin(now, b.hdr); err != nil {
			return err
		}
	}
	n, err := w.f.Write(b.buf[w.off:])
	w.size += int64(n)
	w.off += n
	w.dirty = w.dirty || n > 0
	if err != nil {
		w.cut = w.cut || n > 0
		return err
	}
	if w.cfg.Sync {
		if err := w.f.Sync(); err != nil {
			w.cut = true
			return err
		}
		w.dirty = false
	}
	w.cut = false
	w.records += b.records
	w.q.update(func(t *Totals) { t.Written.add(b.records, int64(len(b.buf))-b.extra) })
	if w.failed > 0 {
		w.failed, w.pause = 0, 0
		w.q.setReason(ReasonDiskSlow)
		w.log.add(entry{Event: "recovered"})
	}
	w.cur = nil
	w.q.done(b)
	return nil
}

// over says that the time of the open file is over.
func (w *writer) over(now time.Time) bool {
	return now.Format(time.DateOnly) != w.date || w.cfg.RotateEvery > 0 && now.Sub(w.began) >= w.cfg.RotateEvery
}

// fail notes an error and decides what to try next.
func (w *writer) fail(err error) {
	w.failed++
	w.q.update(func(t *Totals) { t.Errors++ })
	w.pause = min(max(2*w.pause, w.cfg.retryMin), w.cfg.retryMax)
	reason := ReasonWriteError
	if isFull(err) || errors.Is(err, errNoRoom) {
		reason = ReasonDiskFull
	}
	w.q.setReason(reason)
	if w.failed == 1 {
		w.log.add(entry{Event: "error", Reason: string(reason), Detail: err.Error(), File: w.name})
	}
	if reason == ReasonDiskFull {
		// What was written long ago is rather to go than what was not read yet.
		if files, err := w.list(); err == nil && w.removeOldest(files, string(ReasonDiskFull)) {
			w.pause = 0
		}
		return
	}
	if w.f != nil && w.failed%maxAttempts == 0 {
		w.giveUp()
	}
}

// giveUp leaves a file that cannot be written. A record that is in it in part
// is written again, to the next one.
func (w *writer) giveUp() {
	w.rewind()
	w.finish()
}

// rewind counts the whole records of cur that were written and takes back the
// part of one: a reader could take it for a whole record. No reader has gone
// beyond the last line end, so the file gets shorter for nobody.
func (w *writer) rewind() {
	b := w.cur
	if b == nil || w.off == 0 {
		return
	}
	next := nextCSV
	if b.hdr.ext == "json" {
		next = nextJSON
	}
	at, n := 0, int64(0)
	for at < w.off {
		l := next(b.buf[at:])
		if l == 0 || at+l > w.off {
			break
		}
		at += l
		n++
	}
	n = min(n, b.records)
	w.records += n
	b.records -= n
	w.q.update(func(t *Totals) { t.Written.add(n, int64(at)) })
	if part := int64(w.off - at); part > 0 && w.f != nil {
		if err := w.f.Truncate(w.size - part); err != nil {
			w.torn = append(w.torn, w.name)
		} else {
			w.size -= part
		}
	}
	b.buf = append(b.buf[:0], b.buf[at:]...)
	w.off, w.cut = 0, false
}

// begin makes the next file and writes the header line to it.
func (w *writer) begin(now time.Time, h *header) error {
	files, err := w.makeRoom()
	if err != nil {
		return err
	}
	date, seq := now.Format(time.DateOnly), 0
	for _, f := range files {
		if f.date == date && f.seq >= seq {
			seq = f.seq + 1
		}
	}
	for range 100 {
		name := fileName(w.cfg.Name, date, seq, h.ext)
		f, err := w.fs.Create(join(w.cfg.Dir, name))
		if errors.Is(err, fs.ErrExist) {
			seq++ // another spool was faster
			continue
		}
		if err != nil {
			return err
		}
		if n, err := f.Write(h.line); err != nil {
			_ = f.Close()
			_ = w.fs.Remove(join(w.cfg.Dir, name))
			return fmt.Errorf("header line, %d of %d bytes: %w", n, len(h.line), err)
		}
		w.f, w.name, w.hdr, w.date, w.began = f, name, h, date, now
		w.size, w.records, w.dirty, w.cut = int64(len(h.line)), 0, true, false
		return nil
	}
	return fmt.Errorf("no free file name such as %s", fileName(w.cfg.Name, date, seq, h.ext))
}

// finish closes the open file.
func (w *writer) finish() {
	if w.f == nil {
		return
	}
	if w.dirty && w.cfg.SyncEvery >= 0 {
		w.sync()
	}
	if err := w.f.Close(); err != nil {
		w.log.add(entry{Event: "error", Reason: string(ReasonWriteError), Detail: err.Error(), File: w.name})
	}
	if len(w.counts) < maxCounted {
		w.counts[w.name], w.finished[w.name] = w.records, true
	}
	w.f, w.hdr, w.cut = nil, nil, false
}

func (w *writer) sync() {
	if err := w.f.Sync(); err != nil {
		w.q.update(func(t *Totals) { t.Errors++ })
		w.log.add(entry{Event: "error", Reason: "sync", Detail: err.Error(), File: w.name})
	}
	w.dirty, w.synced = false, w.cfg.now()
}

// tick does what the clock asks for.
func (w *writer) tick() {
	now := w.cfg.now()
	if now.Before(w.nextTick) && w.nextTick.Sub(now) <= w.cfg.tick {
		return
	}
	w.nextTick = now.Add(w.cfg.tick)
	if w.f != nil && !w.cut {
		switch {
		case w.over(now):
			w.finish()
		case !w.fs.Is(join(w.cfg.Dir, w.name), w.f):
			w.log.add(entry{Event: "error", Reason: "vanished", Detail: "the open file was removed or renamed; a new one is begun", File: w.name, Records: w.records})
			w.finish()
		case w.dirty && !w.cfg.Sync && w.cfg.SyncEvery >= 0 && now.Sub(w.synced) >= w.cfg.SyncEvery:
			w.sync()
		}
	}
	w.mendTorn()
	if now.Sub(w.cleaned) >= time.Minute || now.Before(w.cleaned) {
		w.cleaned = now
		w.removeOld(now)
	}
	w.log.drops(w.q.snapshot(), false)
	w.log.flush()
}

func (w *writer) stop() {
	w.mendTorn()
	t := w.q.snapshot()
	w.log.drops(t, true)
	w.log.add(entry{Event: "stop", Totals: &t})
	w.log.flush()
}

// list returns the files of the spool, oldest first.
func (w *writer) list() ([]spooled, error) {
	all, err := w.fs.List(w.cfg.Dir)
	if err != nil {
		return nil, err
	}
	return ours(w.cfg.Name, all), nil
}

// busy says whether a file is being written, by this spool or another one.
func (w *writer) busy(name string) bool {
	if w.f != nil && name == w.name {
		return true
	}
	if w.finished[name] {
		return false
	}
	if w.fs.InUse(join(w.cfg.Dir, name)) {
		return true
	}
	w.finished[name] = true
	return false
}

// makeRoom removes the oldest finished files until a new one can be filled
// within MaxSize, and returns what is left. A file that another spool writes
// counts as full.
func (w *writer) makeRoom() ([]spooled, error) {
	files, err := w.list()
	if err != nil {
		if err2 := w.fs.Prepare(w.cfg.Dir); err2 != nil {
			return nil, errors.Join(err, err2)
		}
		if files, err = w.list(); err != nil {
			return nil, err
		}
	}
	w.forget(files)
	total := int64(0)
	for _, f := range files {
		if w.busy(f.Name) {
			f.Size = max(f.Size, w.cfg.FileSize)
		}
		total += f.Size
	}
	for total > w.cfg.MaxSize-w.cfg.FileSize {
		i := slices.IndexFunc(files, func(f spooled) bool { return !w.busy(f.Name) })
		if i < 0 || !w.remove(files[i], "max_size") {
			return nil, errNoRoom
		}
		total -= files[i].Size
		files = slices.Delete(files, i, i+1)
	}
	return files, nil
}

// forget drops what is remembered of files that are gone.
func (w *writer) forget(files []spooled) {
	there := make(map[string]bool, len(files))
	for _, f := range files {
		there[f.Name] = true
	}
	for name := range w.counts {
		if !there[name] {
			delete(w.counts, name)
		}
	}
	for name := range w.finished {
		if !there[name] {
			delete(w.finished, name)
		}
	}
}

func (w *writer) removeOldest(files []spooled, reason string) bool {
	for _, f := range files {
		if !w.busy(f.Name) && w.remove(f, reason) {
			return true
		}
	}
	return false
}

// removeOld removes finished files that are older than Keep.
func (w *writer) removeOld(now time.Time) {
	if w.cfg.Keep < 0 {
		return
	}
	files, err := w.list()
	if err != nil {
		return // writing will tell
	}
	for _, f := range files {
		if now.Sub(f.ModTime) > w.cfg.Keep && !w.busy(f.Name) {
			w.remove(f, "keep")
		}
	}
}

func (w *writer) remove(f spooled, reason string) bool {
	records, known := w.counts[f.Name]
	if !known {
		records = w.count(f)
	}
	err := w.fs.Remove(join(w.cfg.Dir, f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return true // another spool was faster, and counts it
	}
	if err != nil {
		w.finished[f.Name] = w.finished[f.Name] && !errors.Is(err, ErrInUse)
		w.log.add(entry{Event: "error", Reason: "remove", Detail: err.Error(), File: f.Name})
		return false
	}
	delete(w.counts, f.Name)
	delete(w.finished, f.Name)
	w.q.update(func(t *Totals) {
		t.RemovedFiles++
		t.Removed.add(records, f.Size)
	})
	w.log.add(entry{Event: "removed", Reason: reason, File: f.Name, Records: records, Bytes: f.Size})
	return true
}

// scan reads a file of the spool and returns its records, the columns of its
// last header line and what comes behind the last whole record.
func scan(r io.ReaderAt, json bool) (records int64, columns int, rest []byte, err error) {
	next := nextCSV
	if json {
		next = nextJSON
	}
	buf := make([]byte, readSize+MaxRecord)
	have, at := 0, int64(0)
	for {
		n, err := r.ReadAt(buf[have:have+readSize], at)
		at += int64(n)
		have += n
		pos := 0
		for pos < have {
			l := next(buf[pos:have])
			if l == 0 && have-pos > MaxRecord {
				l = bytes.LastIndexByte(buf[pos:have], '\n') + 1 // no record; go on behind it
				if l == 0 {
					l = have - pos
				}
				records--
			}
			if l == 0 {
				break
			}
			rec := buf[pos : pos+l]
			pos += l
			switch {
			case !json && isHeader(rec):
				columns, _ = width(chomp(rec))
			case !isBlank(rec):
				records++
			}
		}
		have = copy(buf, buf[pos:have])
		if err == io.EOF {
			return records, columns, bytes.Clone(buf[:have]), nil
		}
		if err != nil {
			return records, columns, nil, err
		}
	}
}

// count counts the records of a file from an earlier run; 0 if it cannot be
// read.
func (w *writer) count(f spooled) int64 {
	r, err := w.fs.Open(join(w.cfg.Dir, f.Name))
	if err != nil {
		return 0
	}
	defer func() { _ = r.Close() }()
	n, _, _, _ := scan(r, f.ext == "json")
	return n
}

// recover looks for files whose writer was killed in the middle of a record.
func (w *writer) recover() {
	files, err := w.list()
	if err != nil {
		return // beginning a file will tell
	}
	for _, f := range files {
		if f.Size == 0 {
			continue
		}
		if err := w.mend(f.Name); err != nil {
			w.log.add(entry{Event: "error", Reason: "mend", Detail: err.Error(), File: f.Name})
		}
	}
}

func (w *writer) mendTorn() {
	w.torn = slices.DeleteFunc(w.torn, func(name string) bool { return w.mend(name) == nil })
}

// mend completes the last record of a file, if it was cut off, so that the
// agent rejects it, and only it. The file does not get shorter: a reader may
// have given up waiting and gone beyond the last line end.
func (w *writer) mend(name string) error {
	r, err := w.fs.Open(join(w.cfg.Dir, name))
	if errors.Is(err, ErrInUse) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	size, err := r.Size()
	if err != nil || size == 0 {
		return err
	}
	var last [1]byte
	if _, err := r.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
		return err
	}
	json := strings.HasSuffix(name, ".json")
	_, columns, rest, err := scan(r, json)
	if err != nil {
		return err
	}
	end := []byte{'\n'}
	if !json {
		end = seal(rest, columns)
	}
	if _, err := r.Write(end); err != nil {
		return err
	}
	w.q.update(func(t *Totals) { t.Incomplete++ })
	w.log.add(entry{Event: "mended", File: name, Bytes: int64(len(rest)), Detail: "its last record was cut off, perhaps by kill -9; the agent rejects it"})
	return nil
}
