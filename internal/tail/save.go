package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Positions are kept in shards, one key each, so that a save writes only what
// changed: the few files being read in small shards, finished ones, which
// hardly ever change, in larger ones. An index lists the shards.
const (
	storeVersion  = 1
	indexKey      = "tail.index"
	shardFiles    = 16 // files being read in a shard
	shardFinished = 64 // finished files in a shard
)

type shard struct {
	n     int
	done  bool
	files map[*file]struct{}
	dirty bool
}

func (s *shard) space() bool {
	if s.done {
		return len(s.files) < shardFinished
	}
	return len(s.files) < shardFiles
}

type saver struct {
	shards     []*shard
	room       [2]*shard // where the next file goes: being read, finished
	indexDirty bool
	dirty      bool
	busy       bool
	result     chan saveResult
}

type saveOp struct {
	key   string
	value []byte
	shard *shard
}

type saveResult struct {
	failed []saveOp
	err    error
}

func (s *saver) init() { s.result = make(chan saveResult, 1) }

type storedIndex struct {
	Version int `json:"v"`
	Shards  int `json:"shards"`
}

type storedShard struct {
	Version int               `json:"v"`
	Done    bool              `json:"done,omitempty"`
	Files   []json.RawMessage `json:"files"`
}

// storedFile is the saved form of a file. Pos is the low-water mark.
type storedFile struct {
	Dev    uint64 `json:"dev"`
	Ino    uint64 `json:"ino"`
	Born   int64  `json:"born,omitempty"`
	First  string `json:"first"`          // path as found first
	Path   string `json:"path,omitempty"` // path now, when it is another one
	Pos    int64  `json:"pos"`
	Tail   uint64 `json:"tail"`
	PLen   int64  `json:"plen,omitempty"`
	PHash  []byte `json:"phash,omitempty"`
	PFull  bool   `json:"pfull,omitempty"`
	Size   int64  `json:"size"`
	MTime  int64  `json:"mtime"`
	State  []byte `json:"state,omitempty"`
	Has    bool   `json:"has,omitempty"`
	Gz     bool   `json:"gz,omitempty"`
	Done   bool   `json:"done,omitempty"`
	Moved  bool   `json:"moved,omitempty"`
	Adopt  bool   `json:"adopt,omitempty"` // the archive is not verified yet
	GoneAt int64  `json:"gone,omitempty"`  // Unix seconds
}

func shardKey(n int) string { return fmt.Sprintf("tail.s%d", n) }

// touch notes that f has to be saved.
func (t *Tailer) touch(f *file) {
	if t.cfg.Store == nil {
		return
	}
	if f.acked == 0 && f.state != stateDone {
		t.unplace(f)
		return
	}
	done := f.state == stateDone || f.state == stateGone
	if f.shard == nil || f.shard.done != done {
		t.unplace(f)
		f.shard = t.roomFor(done)
		f.shard.files[f] = struct{}{}
	}
	f.shard.dirty, t.saver.dirty = true, true
}

func (t *Tailer) unplace(f *file) {
	if f.shard != nil {
		delete(f.shard.files, f)
		f.shard.dirty, t.saver.dirty = true, true
		f.shard = nil
	}
}

func (t *Tailer) roomFor(done bool) *shard {
	i := 0
	if done {
		i = 1
	}
	if s := t.saver.room[i]; s != nil && s.done == done && s.space() {
		return s
	}
	var found *shard
	for _, s := range t.saver.shards {
		if len(s.files) == 0 && s != t.saver.room[1-i] || s.done == done && s.space() {
			found = s
			break
		}
	}
	if found == nil {
		found = &shard{n: len(t.saver.shards), files: map[*file]struct{}{}}
		t.saver.shards = append(t.saver.shards, found)
		t.saver.indexDirty = true
	}
	if len(found.files) == 0 {
		found.done = done
	}
	t.saver.room[i] = found
	return found
}

func (f *file) stored() storedFile {
	s := storedFile{
		Dev: f.key.Dev, Ino: f.key.Ino, Born: f.key.Born, First: f.info.Path, Pos: f.acked, Tail: f.ackedTail,
		PLen: f.prefix.n, PFull: f.prefix.complete, Size: f.size, MTime: f.mtime, Gz: f.gz,
		Done: f.state == stateDone, Moved: f.renamed, Adopt: f.adopted, Has: f.hasState,
	}
	if f.path != f.info.Path {
		s.Path = f.path
	}
	if f.prefix.n > 0 {
		s.PHash = f.prefix.hash[:]
	}
	if f.hasState {
		s.State = f.ackedSt
	}
	if f.state == stateGone {
		s.GoneAt = f.goneAt.Unix()
	}
	return s
}

// saveOps encodes what changed. The order matters after a crash between two
// writes: the index must know a shard, and a file that moves from one shard to
// another must be in one of them.
func (t *Tailer) saveOps() (ops []saveOp) {
	if t.saver.indexDirty {
		v, _ := json.Marshal(storedIndex{Version: storeVersion, Shards: len(t.saver.shards)})
		ops = append(ops, saveOp{key: indexKey, value: v})
	}
	for _, done := range []bool{true, false} {
		for _, s := range t.saver.shards {
			if !s.dirty || s.done != done {
				continue
			}
			out := storedShard{Version: storeVersion, Done: done, Files: make([]json.RawMessage, 0, len(s.files))}
			for f := range s.files {
				b, _ := json.Marshal(f.stored())
				out.Files = append(out.Files, b)
			}
			v, _ := json.Marshal(out)
			ops = append(ops, saveOp{key: shardKey(s.n), value: v, shard: s})
			s.dirty = false
		}
	}
	t.saver.indexDirty, t.saver.dirty = false, false
	return ops
}

func (t *Tailer) save(now time.Time) {
	if t.cfg.Store == nil || !t.saver.dirty && !t.saver.indexDirty || t.saver.busy || now.Before(t.nextSave) {
		return
	}
	t.nextSave = now.Add(t.cfg.SaveInterval)
	ops := t.saveOps()
	t.saver.busy = true
	go func() { t.saver.result <- writeOps(t.deliver, t.cfg.Store, ops) }()
}

func writeOps(ctx context.Context, store Store, ops []saveOp) saveResult {
	for i, op := range ops {
		if err := store.Set(ctx, op.key, op.value); err != nil {
			return saveResult{failed: ops[i:], err: err}
		}
	}
	return saveResult{}
}

func (t *Tailer) saved(res saveResult) {
	t.saver.busy = false
	if res.err == nil {
		return
	}
	for _, op := range res.failed {
		if op.shard != nil {
			op.shard.dirty = true
		} else {
			t.saver.indexDirty = true
		}
	}
	t.saver.dirty = true
	if t.cfg.Observer.StoreFailed != nil {
		t.cfg.Observer.StoreFailed(fmt.Errorf("saving positions: %w", res.err))
	}
}

// saveNow saves and waits for it.
func (t *Tailer) saveNow(ctx context.Context) {
	if t.cfg.Store == nil {
		return
	}
	if t.saver.busy {
		t.saved(<-t.saver.result)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	t.saved(writeOps(ctx, t.cfg.Store, t.saveOps()))
}

// load reads what an earlier run saved.
func (t *Tailer) load(ctx context.Context) error {
	t.loaded = map[*file]struct{}{}
	if t.cfg.Store == nil {
		return nil
	}
	b, err := t.cfg.Store.Get(ctx, indexKey)
	if err != nil {
		return fmt.Errorf("tail: reading saved positions: %w", err)
	}
	var idx storedIndex
	if b == nil {
		t.saver.indexDirty = true // written with the first save: later runs are not the first
		return nil
	}
	t.firstRun = false
	report := func(key string, err error) {
		if t.cfg.Observer.StoreFailed != nil {
			t.cfg.Observer.StoreFailed(fmt.Errorf("saved positions in %s are not readable, their files are read again: %w", key, err))
		}
	}
	if err := json.Unmarshal(b, &idx); err != nil || idx.Version != storeVersion || idx.Shards < 0 || idx.Shards > 1<<20 {
		if err == nil {
			err = fmt.Errorf("version %d, %d shards", idx.Version, idx.Shards)
		}
		report(indexKey, err)
		t.saver.indexDirty = true
		// The shards may be fine: look for them.
		for idx.Shards = 0; ; idx.Shards++ {
			if v, err := t.cfg.Store.Get(ctx, shardKey(idx.Shards)); err != nil || v == nil {
				break
			}
		}
	}
	now := t.now()
	for n := range idx.Shards {
		s := &shard{n: n, files: map[*file]struct{}{}}
		t.saver.shards = append(t.saver.shards, s)
		b, err := t.cfg.Store.Get(ctx, shardKey(n))
		if err != nil {
			return fmt.Errorf("tail: reading saved positions: %w", err)
		}
		if b == nil {
			continue
		}
		var st storedShard
		if err := json.Unmarshal(b, &st); err != nil || st.Version != storeVersion {
			if err == nil {
				err = fmt.Errorf("version %d", st.Version)
			}
			report(shardKey(n), err)
			continue
		}
		s.done = st.Done
		for _, raw := range st.Files {
			var e storedFile
			if err := json.Unmarshal(raw, &e); err != nil {
				report(shardKey(n), err)
				continue
			}
			if e.Pos < 0 || e.Size < 0 || e.PLen < 0 || e.PLen > prefixMax || e.PLen > 0 && len(e.PHash) != 16 || e.First == "" {
				report(shardKey(n), fmt.Errorf("bad entry for %q", e.First))
				continue
			}
			t.restore(&e, s, now)
		}
	}
	t.tellKnown()
	return nil
}

func (t *Tailer) tellKnown() {
	if t.cfg.Observer.Known == nil {
		return
	}
	var known []*file
	for f := range t.loaded {
		if f.state != stateDone && f.hasState {
			known = append(known, f)
		}
	}
	slices.SortFunc(known, func(a, b *file) int { return a.order.compare(b.order) })
	for _, f := range known {
		t.cfg.Observer.Known(&f.info, f.acked, f.stateAtPos())
	}
}

func (t *Tailer) restore(e *storedFile, s *shard, now time.Time) {
	f := &file{
		info: fileOf(e.First),
		key:  fileKey{e.Dev, e.Ino, e.Born}, path: e.First, gz: e.Gz, size: e.Size, maxSize: e.Size, mtime: e.MTime, links: 1,
		pos: e.Pos, tail: e.Tail, tried: e.Pos, acked: e.Pos, ackedTail: e.Tail,
		chunk: t.cfg.ChunkSize, state: stateGone, idleIdx: -1, examined: e.PFull || e.Pos > e.PLen, adopted: e.Adopt,
		renamed: e.Moved, rotated: e.Moved, seenAt: now, changedAt: now, missing: now,
	}
	if e.Path != "" {
		f.path = e.Path
	}
	if e.Has {
		f.ackedSt, f.hasState = e.State, true
	}
	if m := time.Unix(0, e.MTime); m.Before(now) {
		f.changedAt = m
	}
	if e.GoneAt != 0 {
		f.goneAt = time.Unix(e.GoneAt, 0)
		f.missing = time.Time{}
		t.gone[f] = struct{}{}
	} else {
		if old := t.byKey[f.key]; old != nil {
			// A crash while the file changed shards: the further one is right.
			if old.pos > f.pos || old.pos == f.pos && old.state == stateDone {
				s.dirty, t.saver.dirty = true, true
				return
			}
			t.discard(old)
			delete(t.loaded, old)
		}
		t.byKey[f.key] = f
		t.loaded[f] = struct{}{}
		t.regroup(f)
		if e.Done {
			t.setState(f, stateDone)
		} else {
			f.check = true
			t.setState(f, statePending)
		}
	}
	f.shard = s
	s.files[f] = struct{}{}
	if e.PLen > 0 {
		t.setPrefix(f, prefix{n: e.PLen, hash: [16]byte(e.PHash), complete: e.PFull})
	}
}
