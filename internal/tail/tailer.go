package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Tailer follows files. Make one with New, then call Run once.
type Tailer struct {
	cfg     Config
	exclude []string
	now     func() time.Time
	// openRead is a field so that a test can make it fail.
	openRead func(path string) (*os.File, error)

	dirs    map[string]*dir
	newDirs []*dir
	dirBuf  []byte

	byKey    map[fileKey]*file
	byPrefix map[[16]byte][]*file
	loaded   map[*file]struct{} // from the Store, not seen yet
	groups   map[string]*group
	ring     []*group // groups with something to read
	next     int
	idle     []*file
	cursor   int
	waiting  map[*file]struct{}
	retry    map[*file]struct{}
	missing  map[*file]struct{}
	gone     map[*file]struct{}

	open     map[*file]struct{} // those with a descriptor
	turns    uint64
	epoch    uint64 // counts files that went away
	inFlight int
	doneCh   chan *flight
	deliver  context.Context
	stopping bool

	nextPoll   time.Time
	nextRelist time.Time
	nextForget time.Time
	nextSave   time.Time
	firstRun   bool // no positions were ever saved
	firstPass  bool
	events     notifier
	saver      saver

	total   Stats // counters only
	streams map[string]int64
	snap    atomic.Pointer[Stats]
}

// group holds the files of one stream in one directory.
type group struct {
	key     string
	max     order
	maxFile *file
	pending []*file
	sorted  bool
	flip    bool
	inRing  bool
}

// New checks the configuration. Nothing is read before Run.
func New(cfg Config) (*Tailer, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	t := &Tailer{
		cfg: cfg, now: time.Now, openRead: openRead,
		dirs: map[string]*dir{}, dirBuf: make([]byte, 64<<10),
		byKey: map[fileKey]*file{}, byPrefix: map[[16]byte][]*file{}, groups: map[string]*group{},
		waiting: map[*file]struct{}{}, retry: map[*file]struct{}{}, missing: map[*file]struct{}{}, gone: map[*file]struct{}{}, open: map[*file]struct{}{},
		doneCh: make(chan *flight, cfg.MaxInFlight), deliver: context.Background(),
		firstRun: true, firstPass: true, streams: map[string]int64{}, epoch: 1,
	}
	t.saver.init()
	for _, p := range cfg.Include {
		base, rest, err := splitPattern(p)
		if err != nil {
			return nil, err
		}
		t.addDir(base, rest).root = true
	}
	for _, p := range cfg.Exclude {
		if strings.ContainsAny(p, `/\`) {
			base, rest, err := splitPattern(p)
			if err != nil {
				return nil, err
			}
			p = strings.TrimSuffix(filepath.ToSlash(base), "/") + "/" + strings.Join(rest, "/")
		}
		if _, _, err := splitPattern(p); err != nil {
			return nil, err
		}
		t.exclude = append(t.exclude, p)
	}
	t.snap.Store(&Stats{Streams: map[string]StreamStats{}})
	return t, nil
}

// Run follows files until ctx ends, then waits up to ShutdownGrace for the
// deliveries under way, saves the positions and returns nil. It returns an
// error at once when the saved positions cannot be read.
func (t *Tailer) Run(ctx context.Context) error {
	deliver, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	t.deliver = deliver
	if err := t.load(ctx); err != nil {
		return err
	}
	t.startNotify()
	defer t.events.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(max(0, t.poll().Sub(t.now())))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-t.events.signal:
		case fl := <-t.doneCh:
			t.collect(fl)
		case res := <-t.saver.result:
			t.saved(res)
		}
	}
	t.shutdown(ctx, cancel)
	return nil
}

func (t *Tailer) shutdown(ctx context.Context, cancel func()) {
	t.stopping = true
	grace := time.NewTimer(t.cfg.ShutdownGrace)
	defer grace.Stop()
	for t.inFlight > 0 {
		select {
		case fl := <-t.doneCh:
			t.collect(fl)
		case <-grace.C:
			cancel()
		}
	}
	t.saveNow(context.WithoutCancel(ctx))
	for f := range t.open {
		t.closeFile(f)
	}
	t.publish(t.now())
}

// poll does one step of the cycle that design.md describes and returns when
// the next one is due.
func (t *Tailer) poll() time.Time {
	now := t.now()
	for {
		select {
		case fl := <-t.doneCh:
			t.collect(fl)
			continue
		case res := <-t.saver.result:
			t.saved(res)
			continue
		default:
		}
		break
	}
	changed, written := t.takeEvents()
	if full := !now.Before(t.nextPoll); full {
		deep := !now.Before(t.nextRelist)
		if deep {
			t.nextRelist = now.Add(t.cfg.RelistInterval)
		}
		t.discover(now, deep)
		if t.firstPass {
			t.firstPass = false
			t.unconfirmed(now)
			if t.cfg.Observer.Looked != nil {
				t.cfg.Observer.Looked(len(t.byKey) - len(t.missing))
			}
		}
		t.checkIdle(now)
		t.settle(now)
		t.publish(now)
		t.nextPoll = now.Add(t.cfg.PollInterval)
	} else {
		if changed {
			t.discover(now, false)
		}
		for _, f := range written {
			switch f.state {
			case stateIdle:
				t.checkFile(f, now)
			case stateDone, stateWait:
				t.nextPoll = now // the full look decides
			case stateRetry:
				if !now.Before(f.heldUntil) && (f.denied || f.prefix.n == 0 || !f.examined) {
					t.setState(f, statePending)
				}
			}
		}
	}
	for t.inFlight < t.cfg.MaxInFlight {
		f := t.pick()
		if f == nil {
			break
		}
		now = t.now()
		t.turn(f, now)
		if !now.Before(t.nextPoll) {
			break
		}
	}
	t.save(now)
	if t.inFlight < t.cfg.MaxInFlight && len(t.ring) > 0 {
		return now
	}
	if t.saver.dirty && !t.saver.busy && t.nextSave.Before(t.nextPoll) {
		return t.nextSave
	}
	return t.nextPoll
}

// ---- queues

func (t *Tailer) groupOf(path, stream string) *group {
	k := filepath.Dir(path) + "\x00" + stream
	g := t.groups[k]
	if g == nil {
		g = &group{key: k, max: order{num: 1 << 30}}
		t.groups[k] = g
	}
	return g
}

// regroup files f under its present name.
func (t *Tailer) regroup(f *file) {
	st := f.state
	if st == statePending {
		t.setState(f, stateGone)
	}
	stream, o := parseName(strings.TrimSuffix(filepath.Base(f.path), ".gz"))
	g := t.groupOf(f.path, stream)
	f.order, f.group = o, g
	if o.newerThan(g.max) {
		if g.maxFile != nil && g.maxFile != f && !t.firstPass {
			t.countRotation(g.maxFile, g.maxFile.path)
		}
		g.max, g.maxFile = o, f
	}
	if st == statePending {
		t.setState(f, st)
	}
}

func (t *Tailer) countRotation(f *file, path string) {
	if f.rotated || f.state == stateGone || f.state == stateDone {
		return
	}
	f.rotated, f.rotatedAt = true, t.now()
	t.total.Rotations++
	if t.cfg.Observer.Rotated != nil {
		t.cfg.Observer.Rotated(&f.info, path)
	}
}

func (t *Tailer) setState(f *file, s state) {
	if f.state == s {
		return
	}
	switch f.state {
	case statePending:
		if g := f.group; g != nil {
			if i := slices.Index(g.pending, f); i >= 0 {
				if i == 0 {
					g.pending[0] = nil
					g.pending = g.pending[1:]
				} else {
					g.pending = slices.Delete(g.pending, i, i+1)
				}
			}
		}
	case stateIdle:
		if i := f.idleIdx; i >= 0 {
			last := t.idle[len(t.idle)-1]
			t.idle[i], last.idleIdx = last, i
			t.idle = t.idle[:len(t.idle)-1]
			f.idleIdx = -1
		}
	case stateWait:
		delete(t.waiting, f)
	case stateRetry:
		delete(t.retry, f)
	case stateGone:
		delete(t.gone, f)
	}
	f.state = s
	switch s {
	case statePending:
		g := f.group
		g.pending = append(g.pending, f)
		g.sorted = false
		if !g.inRing {
			g.inRing = true
			t.ring = append(t.ring, g)
		}
	case stateIdle:
		f.idleIdx = len(t.idle)
		t.idle = append(t.idle, f)
	case stateWait:
		t.waiting[f] = struct{}{}
	case stateRetry:
		t.retry[f] = struct{}{}
	case stateGone:
		t.gone[f] = struct{}{}
	}
}

// pick gives the next file to read. Groups take turns; within a group the
// oldest and the newest file do, so that a live file does not wait for a
// backlog, unless InOrder asks for the oldest only.
func (t *Tailer) pick() *file {
	for len(t.ring) > 0 {
		if t.next >= len(t.ring) {
			t.next = 0
		}
		g := t.ring[t.next]
		if len(g.pending) == 0 {
			g.inRing, g.flip, g.pending = false, false, nil
			t.ring = slices.Delete(t.ring, t.next, t.next+1)
			continue
		}
		if !g.sorted {
			slices.SortFunc(g.pending, func(a, b *file) int { return a.order.compare(b.order) })
			g.sorted = true
		}
		t.next++
		g.flip = !g.flip
		if g.flip || t.cfg.InOrder {
			return g.pending[0]
		}
		return g.pending[len(g.pending)-1]
	}
	return nil
}

func (t *Tailer) retryLater(f *file, now time.Time, d time.Duration) {
	f.retryAt = now.Add(d)
	t.setState(f, stateRetry)
}

// ---- looking

const (
	idleBudget = 256 // quiet files looked at in one poll
	hotFor     = time.Minute
)

func (t *Tailer) checkIdle(now time.Time) {
	// Backwards, because checkFile may take f out of the list.
	n := len(t.idle)
	for i := n - 1; i >= 0; i-- {
		if i >= len(t.idle) {
			continue
		}
		f := t.idle[i]
		if n > idleBudget && now.Sub(f.changedAt) > hotFor && (i-t.cursor+n)%n >= idleBudget {
			t.maybeFinish(f, now)
			continue
		}
		t.checkFile(f, now)
	}
	if t.cursor += idleBudget; t.cursor >= n {
		t.cursor = 0
	}
}

// note takes over what stat says and reports a change.
func (t *Tailer) note(f *file, st stat, now time.Time) bool {
	f.links = st.links
	if st.size == f.size && st.mtime == f.mtime {
		return false
	}
	if st.size > f.size && f.behind.IsZero() {
		f.behind = now
	}
	f.size, f.mtime, f.changedAt = st.size, st.mtime, now
	f.final = false
	return true
}

func (t *Tailer) statNow(f *file, now time.Time) (stat, bool) {
	var st stat
	var err error
	if f.fh != nil {
		st, err = statFile(f.fh)
	} else {
		st, err = statPath(f.path)
		if err == nil && st.key != f.key || isNotExist(err) {
			if f.missing.IsZero() {
				t.suspect(f.path) // the listing finds out what became of it
			}
			return st, false
		}
	}
	if err != nil {
		t.ioError(f, err, now)
		return st, false
	}
	return st, true
}

// suspect has the next listing find out what path leads to now.
func (t *Tailer) suspect(path string) {
	if d := t.dirs[filepath.Dir(path)]; d != nil {
		d.dirty = true
		if e := d.names[filepath.Base(path)]; e != nil {
			e.kind = kindOther
		}
	}
}

func (t *Tailer) checkFile(f *file, now time.Time) {
	st, ok := t.statNow(f, now)
	if !ok {
		if f.state == stateIdle {
			t.maybeFinish(f, now)
		}
		return
	}
	if t.note(f, st, now) {
		f.check = true
		f.finalDone = false
		if t.inFlight >= t.cfg.MaxInFlight && f.fh != nil && !f.gz && f.pos > 0 {
			// It may be cut before its turn comes: know how much was there.
			if same, err := sameTail(f.fh, f.pos, f.tail); err == nil && same {
				f.maxSize = f.size
				t.touch(f)
			}
		}
		t.setState(f, statePending)
		return
	}
	t.maybeFinish(f, now)
}

// isRotated says that nothing more is expected in f, with the time it has to
// stay unchanged until that is believed.
func (t *Tailer) isRotated(f *file, now time.Time) (bool, time.Duration) {
	grace := t.cfg.FinalGrace
	switch {
	case !f.missing.IsZero():
		if f.links > 0 && f.fh != nil {
			grace = t.cfg.OutGrace
		}
		return now.Sub(f.missing) >= t.missGrace(), grace
	case f.gz, f.renamed, f.group != nil && f.group.max.newerThan(f.order):
		return true, grace
	case f.order.num > 0, f.order.past(now):
		return true, max(grace, time.Hour) // only the name says so
	}
	return false, 0
}

func (t *Tailer) maybeFinish(f *file, now time.Time) {
	rotated, grace := t.isRotated(f, now)
	if !rotated || now.Sub(f.changedAt) < grace || now.Sub(f.rotatedAt) < grace || f.state != stateIdle || len(f.flights) > 0 {
		return
	}
	if f.gz && (f.z == nil || !f.z.eof) {
		return // an incomplete archive waits for its rest
	}
	if !f.gz && f.size > f.pos && !f.finalDone {
		f.final = true
		t.setState(f, statePending)
		return
	}
	t.finish(f, now)
}

func (t *Tailer) finish(f *file, now time.Time) {
	if t.cfg.Observer.Finished != nil {
		t.cfg.Observer.Finished(&f.info, f.pos, f.stateAtPos())
	}
	t.closeFile(f)
	f.dec, f.behind, f.rejected = nil, time.Time{}, nil
	t.setState(f, stateDone)
	t.touch(f)
	if !f.missing.IsZero() {
		t.goneNow(f, now, "")
	}
}

// ---- reading

// canRead opens f and settles who it is.
func (t *Tailer) canRead(f *file, now time.Time) bool {
	if f.fh == nil && !t.openFile(f, now) {
		return false
	}
	t.turns++
	f.used = t.turns
	if !f.examined {
		return t.identify(f, now)
	}
	return true
}

func (t *Tailer) openFile(f *file, now time.Time) bool {
	if len(t.open) >= t.cfg.MaxOpenFiles && !t.closeOne() {
		t.retryLater(f, now, t.cfg.PollInterval)
		return false
	}
	fh, err := t.openRead(f.path)
	if err != nil {
		t.ioError(f, err, now)
		return false
	}
	st, err := statFile(fh)
	if err != nil || st.key != f.key || !st.regular {
		_ = fh.Close()
		if err != nil {
			t.ioError(f, err, now)
		} else {
			t.suspect(f.path)
			t.retryLater(f, now, t.cfg.PollInterval)
		}
		return false
	}
	f.fh = fh
	t.open[f] = struct{}{}
	f.denied = false
	t.note(f, st, now)
	// The number of a deleted file is given to a new one at once.
	same, err := samePrefix(fh, f.gz, f.prefix)
	if err != nil {
		t.ioError(f, err, now)
		return false
	}
	if !same {
		t.restart(f, now)
		return false
	}
	return true
}

// closeOne frees a descriptor that can be opened again by name, the least
// recently used first.
func (t *Tailer) closeOne() bool {
	var best *file
	for f := range t.open {
		if !f.missing.IsZero() || f.z != nil && !f.z.eof && f.state == statePending {
			continue
		}
		if best == nil || f.used < best.used {
			best = f
		}
	}
	if best == nil {
		return false
	}
	t.closeFile(best)
	return true
}

func (t *Tailer) closeFile(f *file) {
	if f.fh != nil {
		_ = f.fh.Close()
		f.fh = nil
		delete(t.open, f)
	}
	if f.z != nil && !(f.z.eof && len(f.z.rest) == 0) {
		f.z = nil
	}
}

func (t *Tailer) ioError(f *file, err error, now time.Time) {
	t.closeFile(f)
	switch {
	case isNotExist(err):
		if f.missing.IsZero() {
			t.suspect(f.path)
		}
		t.retryLater(f, now, t.cfg.PollInterval)
	case errors.Is(err, fs.ErrPermission):
		if !f.denied {
			f.denied = true
			t.pathFailed(f.path, err)
		}
		t.retryLater(f, now, 10*time.Second)
	default:
		if s := err.Error(); f.problem != s && !staleHandle(err) {
			f.problem = s
			t.pathFailed(f.path, err)
		}
		t.retryLater(f, now, time.Second)
	}
}

func (t *Tailer) pathFailed(path string, err error) {
	o := &t.cfg.Observer
	if errors.Is(err, fs.ErrPermission) && o.Denied != nil {
		o.Denied(path, fmt.Errorf("%w: add the agent's user to group pmta, or set \"world-readable yes\" in the <acct-file> block (for the log: \"log-file-world-readable yes\")", err))
	} else if o.Problem != nil {
		o.Problem(path, err)
	}
}

// stateAtPos is what a new Decoder needs to go on at pos.
func (f *file) stateAtPos() []byte {
	switch {
	case len(f.flights) > 0:
		return f.flights[len(f.flights)-1].state
	case f.hasState:
		return f.ackedSt
	}
	return nil
}

func (t *Tailer) needDecoder(f *file, now time.Time) bool {
	if f.dec != nil {
		return true
	}
	st := f.stateAtPos()
	dec, err := t.cfg.NewDecoder(&f.info, st)
	if err != nil && (st != nil || f.pos > 0) {
		// A state that cannot be used: read everything again rather than guess.
		t.problem(f, fmt.Errorf("saved state not usable, reading again from the beginning: %w", err))
		t.toStart(f)
		dec, err = t.cfg.NewDecoder(&f.info, nil)
	}
	if err != nil {
		t.problem(f, fmt.Errorf("no decoder: %w", err))
		t.retryLater(f, now, 5*time.Second)
		return false
	}
	f.dec = dec
	if !f.opened {
		f.opened = true
		if t.cfg.Observer.Opened != nil {
			t.cfg.Observer.Opened(&f.info, f.pos)
		}
	}
	return true
}

func (t *Tailer) problem(f *file, err error) {
	if s := err.Error(); f.problem != s {
		f.problem = s
		t.pathFailed(f.path, err)
	}
}

// toStart forgets every position in f. Flights under way are orphaned.
func (t *Tailer) toStart(f *file) {
	for _, fl := range f.flights {
		fl.dead = true
	}
	f.flights, f.dec, f.z = nil, nil, nil
	f.pos, f.tail, f.tried, f.acked, f.ackedTail, f.hasState = 0, 0, 0, 0, 0, false
	f.ackedSt = nil
	f.final, f.finalDone, f.failed, f.adopted = false, false, false, false
	t.touch(f)
}

// turn reads one chunk of f and starts its delivery.
func (t *Tailer) turn(f *file, now time.Time) {
	if !t.canRead(f, now) {
		return
	}
	if f.gz {
		if f.atEnd {
			// Whole as it is: nothing in it is new. Its position stays 0.
			t.closeFile(f)
			f.behind, f.rejected = time.Time{}, nil
			t.setState(f, stateDone)
			t.touch(f)
			return
		}
		t.turnGz(f, now)
		return
	}
	st, err := statFile(f.fh)
	if err != nil {
		t.ioError(f, err, now)
		return
	}
	t.note(f, st, now)
	if st.size < f.pos {
		t.restart(f, now)
		return
	}
	if f.atEnd && !t.prime(f, now) {
		return
	}
	if !t.needDecoder(f, now) {
		return
	}
	want := f.size - f.pos
	if want == 0 && !f.check {
		t.setState(f, stateIdle)
		return
	}
	// The bytes before the position are read again with the new ones: they
	// prove that this still is the content that was read so far.
	before := tailLenAt(f.pos)
	young := f.pos <= prefixMax && (f.pos == 0 || !f.prefix.complete)
	if young {
		before = f.pos // the prefix must come from the same read as the data
	}
	buf := make([]byte, before+min(want, int64(f.chunk)))
	n, err := f.fh.ReadAt(buf, f.pos-before)
	if err != nil && err != io.EOF {
		t.ioError(f, err, now)
		return
	}
	if int64(n) < before || before > 0 && hashTail(buf[:before]) != f.tail {
		t.restart(f, now)
		return
	}
	f.check = false
	f.maxSize = f.size
	if young {
		if p := prefixOf(buf[:n]); f.pos == 0 && f.prefix.complete && p != f.prefix {
			// Overwritten since it was compared with the known files.
			f.examined = false
			t.setPrefix(f, prefix{})
			return
		} else if p.n > 0 {
			t.setPrefix(f, p)
		}
	}
	t.decode(f, buf[:n:n], int(before), f.pos+int64(n)-before >= f.size, now)
}

// decode offers buf[before:] and queues the batch. eof: nothing lies behind.
func (t *Tailer) decode(f *file, buf []byte, before int, eof bool, now time.Time) {
	data := buf[before:]
	final := f.final && eof
	if len(data) == 0 {
		f.final = false
		t.setState(f, stateIdle)
		return
	}
	end := f.pos + int64(len(data))
	used, batch := f.dec.Decode(Chunk{File: &f.info, Offset: f.pos, Data: data, Final: final})
	if used < 0 || used > len(data) {
		t.problem(f, fmt.Errorf("decoder used %d of %d bytes", used, len(data)))
		used = 0
	}
	if f.z != nil {
		f.z.rest = data[used:]
	}
	if final {
		f.final, f.finalDone = false, true
	}
	f.tried = end
	if used == 0 && eof {
		t.touch(f) // the size is saved, to know what is lost if it vanishes
	}
	if used > 0 || batch != nil {
		f.problem = ""
		f.pos += int64(used)
		f.tail = hashTail(buf[:before+used])
		t.total.BytesRead += int64(used)
		t.streams[f.info.Stream] += int64(used)
		t.launch(&flight{f: f, end: f.pos, tail: f.tail, state: f.dec.State(), batch: batch, at: now, eof: eof})
		f.chunk = t.cfg.ChunkSize
	}
	switch {
	case f.pos < end && final:
		// The decoder broke its contract. Go on without these bytes rather than
		// offer them for ever, but say so.
		t.lostBytes(f, end-f.pos, "not used by the decoder at the end of the file")
		t.setState(f, stateIdle)
	case eof:
		t.setState(f, stateIdle)
	case used == 0 && f.chunk >= t.cfg.ChunkSize+t.cfg.MaxRecordSize:
		t.problem(f, fmt.Errorf("decoder used nothing of %d bytes at offset %d", len(data), f.pos))
		t.retryLater(f, now, 30*time.Second)
	case used == 0:
		f.chunk = min(2*f.chunk, t.cfg.ChunkSize+t.cfg.MaxRecordSize)
	}
}

// turnGz is turn for an archive. Positions are those of the content.
func (t *Tailer) turnGz(f *file, now time.Time) {
	if st, err := statFile(f.fh); err != nil {
		t.ioError(f, err, now)
		return
	} else if t.note(f, st, now) || f.z == nil || f.check && f.state == statePending {
		f.check = false
		// Being written, or a first look: from the beginning to the position.
		z, err := newGzReader(f.fh)
		if err != nil {
			t.gzBroken(f, err, now)
			return
		}
		f.z = z
	}
	z := f.z
	if z.at-int64(len(z.rest)) < f.pos {
		reached, err := z.skip(f.pos)
		if err == io.EOF {
			reached, err, z.last = true, nil, nil // shorter: not the same content
		}
		if err != nil {
			t.gzBroken(f, err, now)
			return
		}
		if !reached {
			return // next turn
		}
		if hashTail(z.last) != f.tail {
			t.restart(f, now)
			return
		}
		f.adopted = false
	}
	if !t.needDecoder(f, now) {
		return
	}
	if z.at-int64(len(z.rest)) < f.pos || f.pos == 0 && z.at > int64(len(z.rest)) {
		f.z = nil // the position moved (start again): next turn
		return
	}
	before := len(z.last)
	buf := make([]byte, before+len(z.rest), before+max(f.chunk, len(z.rest)))
	copy(buf, z.last)
	copy(buf[before:], z.rest)
	var err error
	for len(buf) < cap(buf) && err == nil && !z.eof {
		var n int
		n, err = z.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
	}
	if err == io.EOF {
		z.eof, err = true, nil
	}
	z.rest = nil
	f.final = z.eof
	pos := f.pos
	t.decode(f, buf[:len(buf):len(buf)], before, z.eof, now)
	if used := int(f.pos - pos); used > 0 {
		z.last = append([]byte(nil), buf[max(0, before+used-tailLen):before+used]...)
	}
	if err != nil {
		t.gzBroken(f, err, now)
		return
	}
	if z.eof && f.state == stateIdle {
		t.endOfArchive(f, now)
	}
}

// endOfArchive frees the descriptor: the flights are all that is left.
func (t *Tailer) endOfArchive(f *file, now time.Time) {
	if f.fh != nil {
		_ = f.fh.Close()
		f.fh = nil
		delete(t.open, f)
	}
	t.maybeFinish(f, now)
}

// gzBroken waits for the rest of an archive that is being written; damage
// looks the same and is reported once it does not change any more.
func (t *Tailer) gzBroken(f *file, err error, now time.Time) {
	f.z = nil
	if !errors.Is(err, io.ErrUnexpectedEOF) || now.Sub(f.changedAt) > time.Minute {
		t.problem(f, fmt.Errorf("archive cannot be decompressed (tried again when it changes): %w", err))
	}
	t.closeFile(f)
	if now.Sub(f.changedAt) > time.Minute {
		t.setState(f, stateIdle)
		return
	}
	t.retryLater(f, now, max(time.Second, now.Sub(f.changedAt)/2))
}

// prime prepares a file whose content is not wanted: its Decoder sees the
// first line, then the position jumps to the last line start.
func (t *Tailer) prime(f *file, now time.Time) bool {
	if !t.needDecoder(f, now) {
		return false
	}
	size := f.size
	buf := make([]byte, min(size, prefixMax))
	n, err := f.fh.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		t.ioError(f, err, now)
		return false
	}
	first := 0
	for i, c := range buf[:n] {
		if c == '\n' {
			first = i + 1
			break
		}
	}
	f.atEnd = false
	if first == 0 {
		return true // no line yet: nothing to skip
	}
	// Last line end at or before size.
	end := int64(first)
	step := int64(64 << 10)
	for hi := size; hi > end; {
		lo := max(end, hi-step)
		b := make([]byte, hi-lo)
		if _, err := f.fh.ReadAt(b, lo); err != nil {
			t.ioError(f, err, now)
			f.atEnd = true
			return false
		}
		if i := lastNewline(b); i >= 0 {
			end = lo + int64(i) + 1
			break
		}
		hi = lo
	}
	// With the first record too, if it is before the end: decoders may make an
	// identity of both, which then is that of the file read whole.
	known := first
	if p := prefixOf(buf[:n]); p.complete && p.n <= end {
		known = int(p.n)
	}
	f.dec.Decode(Chunk{File: &f.info, Offset: 0, Data: buf[:known:known]})
	if int64(known) < end {
		f.dec.Decode(Chunk{File: &f.info, Offset: end}) // so that its State knows of the jump
	}
	before := make([]byte, tailLenAt(end))
	if _, err := f.fh.ReadAt(before, end-int64(len(before))); err != nil {
		t.ioError(f, err, now)
		f.atEnd = true
		return false
	}
	f.pos, f.tail, f.tried = end, hashTail(before), end
	f.acked, f.ackedTail = f.pos, f.tail
	f.ackedSt, f.hasState = f.dec.State(), true
	if f.acked >= f.size {
		f.behind = time.Time{}
	}
	t.touch(f)
	return true
}

func lastNewline(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '\n' {
			return i
		}
	}
	return -1
}

// ---- delivery

func (t *Tailer) launch(fl *flight) {
	f := fl.f
	f.flights = append(f.flights, fl)
	if fl.batch == nil {
		fl.done = true
		t.advance(f)
		return
	}
	t.inFlight++
	ctx := t.deliver
	go func() {
		fl.failed = fl.batch.Deliver(ctx) != nil
		fl.batch = nil
		t.doneCh <- fl
	}()
}

func (t *Tailer) collect(fl *flight) {
	t.inFlight--
	fl.done = true
	if fl.dead {
		return
	}
	f := fl.f
	if fl.failed && !t.stopping {
		f.failed = true
	}
	t.advance(f)
	if !f.failed {
		if f.state == stateIdle && len(f.flights) == 0 {
			t.maybeFinish(f, t.now())
		}
		return
	}
	now := t.now()
	if f.state != stateGone {
		t.retryLater(f, now, time.Second)
	}
	for _, fl := range f.flights {
		if !fl.done {
			return // read again when all of them are back
		}
	}
	t.rewind(f)
}

// rewind goes back to what was accepted.
func (t *Tailer) rewind(f *file) {
	f.flights, f.dec, f.z = nil, nil, nil
	f.pos, f.tail, f.tried = f.acked, f.ackedTail, f.acked
	f.failed, f.finalDone, f.check = false, false, true
}

// advance moves the low-water mark.
func (t *Tailer) advance(f *file) {
	for len(f.flights) > 0 && f.flights[0].done && !f.flights[0].failed {
		fl := f.flights[0]
		f.flights[0] = nil
		f.flights = f.flights[1:]
		f.acked, f.ackedTail, f.ackedSt, f.hasState = fl.end, fl.tail, fl.state, true
		if fl.eof {
			f.behind = fl.at
			if f.acked >= f.size || f.gz {
				f.behind = time.Time{}
			}
		}
		t.touch(f)
	}
	if len(f.flights) == 0 {
		f.flights = nil
	}
}

// ---- numbers

// Stats returns the numbers as of the last poll. It may be called at any time.
func (t *Tailer) Stats() Stats {
	s := *t.snap.Load()
	s.Streams = maps.Clone(s.Streams)
	return s
}

func (t *Tailer) publish(now time.Time) {
	s := t.total
	s.Files, s.Open, s.InFlight = len(t.byKey), len(t.open), t.inFlight
	s.Streams = make(map[string]StreamStats, len(t.streams))
	for k, n := range t.streams {
		s.Streams[k] = StreamStats{BytesRead: n}
	}
	add := func(f *file) {
		st := s.Streams[f.info.Stream]
		st.Files++
		if f.gz {
			if f.z == nil || !f.z.eof {
				st.LagBytes += f.size
			}
		} else {
			st.LagBytes += max(0, f.size-f.acked)
		}
		// A line without its end is nobody's delay.
		if stuck := len(f.flights) == 0 && f.tried >= f.size && f.state == stateIdle; !stuck && !f.behind.IsZero() {
			st.LagSeconds = max(st.LagSeconds, now.Sub(f.behind).Seconds())
		}
		s.Streams[f.info.Stream] = st
	}
	for _, f := range t.idle {
		add(f)
	}
	for _, g := range t.ring {
		for _, f := range g.pending {
			add(f)
		}
	}
	for f := range t.retry {
		add(f)
	}
	t.snap.Store(&s)
}

func (t *Tailer) lostBytes(f *file, n int64, why string) {
	t.total.BytesLost += n
	if t.cfg.Observer.Lost != nil {
		t.cfg.Observer.Lost(&f.info, n, why)
	}
}

func isNotExist(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrNotExist)
}
