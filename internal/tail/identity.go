package tail

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// missGrace is how long a name may be absent before that means something: a
// rename between two directories is seen in two steps.
func (t *Tailer) missGrace() time.Duration { return max(time.Second, 2*t.cfg.PollInterval) }

// sight is told that path leads to the regular file that st describes. It says
// whether that is settled.
func (t *Tailer) sight(path string, st stat, now time.Time) bool {
	f := t.byKey[st.key]
	if f == nil {
		t.newFile(path, st, now)
		return true
	}
	if f.gz != isGz(path) {
		// A rename does not compress: the number was given to another file.
		if f.missing.IsZero() {
			return false // a second name; or the first is about to be seen to be gone
		}
		delete(t.loaded, f)
		t.goneNow(f, now, lostVanished)
		t.newFile(path, st, now)
		return true
	}
	if !f.missing.IsZero() && f.path != path && f.fh == nil && len(f.flights) == 0 &&
		!f.prefix.complete && f.pos <= f.prefix.n && (st.size != f.size || st.mtime != f.mtime) {
		// Only the first line was known, which many files share: with another
		// name this is more likely another file than a renamed one, and reading
		// a header again costs nothing.
		delete(t.loaded, f)
		t.goneNow(f, now, "")
		t.newFile(path, st, now)
		return true
	}
	delete(t.loaded, f)
	t.addName(f, path, now)
	switch f.state {
	case stateDone:
		if st.size != f.size || st.mtime != f.mtime {
			f.finalDone, f.check = false, true
			t.setState(f, statePending)
		}
	case stateWait:
		if st.size != f.size || st.mtime != f.mtime {
			t.note(f, st, now)
			f.waitEpoch = 0
		}
	}
	return true
}

const (
	lostVanished  = "vanished before it was read to the end"
	lostTruncated = "truncated before it was read to the end"
)

func (t *Tailer) newFile(path string, st stat, now time.Time) *file {
	f := &file{
		info: fileOf(path),
		key:  st.key, path: path, gz: isGz(path), size: st.size, mtime: st.mtime, links: st.links,
		maxSize: st.size, chunk: t.cfg.ChunkSize, state: stateGone, idleIdx: -1, seenAt: now, changedAt: now,
		atEnd: t.cfg.StartAtEnd && t.firstRun && t.firstPass,
	}
	if m := time.Unix(0, st.mtime); m.Before(now) {
		f.changedAt = m
	}
	t.byKey[f.key] = f
	t.regroup(f)
	if st.size > 0 {
		f.behind = f.changedAt
		t.setState(f, statePending)
	} else {
		t.setState(f, stateIdle)
	}
	return f
}

func fileOf(path string) File {
	path = strings.ToValidUTF8(path, "\ufffd") // attributes and metric labels are text
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	stream, _ := parseName(name)
	return File{Path: path, Name: name, Stream: stream}
}

func isGz(path string) bool { return strings.HasSuffix(path, ".gz") }

func (t *Tailer) addName(f *file, path string, now time.Time) {
	switch {
	case !f.missing.IsZero():
		f.missing = time.Time{}
		delete(t.missing, f)
		if f.path != path {
			t.rename(f, path)
		}
		if f.state == stateRetry {
			f.retryAt = now
		}
	case f.path != path && !slices.Contains(f.aliases, path):
		f.aliases = append(f.aliases, path)
	}
}

// unname is told that path does not lead to f any more.
func (t *Tailer) unname(f *file, path string, now time.Time) {
	if f == nil {
		return
	}
	if i := slices.Index(f.aliases, path); i >= 0 {
		f.aliases = slices.Delete(f.aliases, i, i+1)
		return
	}
	if f.path != path || !f.missing.IsZero() {
		return
	}
	if len(f.aliases) > 0 {
		next := f.aliases[0]
		f.aliases = f.aliases[1:]
		t.rename(f, next)
		return
	}
	f.missing = now
	t.missing[f] = struct{}{}
	if f.state != stateDone {
		t.dirtyDirs()
	}
}

func (t *Tailer) rename(f *file, path string) {
	f.path, f.renamed = path, true
	t.countRotation(f, path)
	t.regroup(f)
	t.touch(f)
}

// unconfirmed treats the files of an earlier run that the first listing did
// not show as missing.
func (t *Tailer) unconfirmed(now time.Time) {
	for f := range t.loaded {
		t.missing[f] = struct{}{}
	}
	t.loaded = nil
}

// identify compares a file that was not read before with the known ones and
// says whether it may be read. The file is open.
func (t *Tailer) identify(f *file, now time.Time) bool {
	p, err := readPrefix(f.fh, f.gz)
	if err != nil {
		if f.gz {
			t.gzBroken(f, err, now)
		} else {
			t.ioError(f, err, now)
		}
		return false
	}
	if same, err := samePrefix(f.fh, f.gz, f.prefix); f.pos > 0 && !f.gz && err == nil && !same {
		return true // cut or overwritten: the turn finds that out, and f keeps what it is known by
	}
	if f.pos == 0 {
		switch c, wait := t.smallCopyOf(f, now); {
		case c != nil:
			t.adopt(c, f, now)
			return false
		case wait:
			t.wait(f, now)
			return false
		}
	}
	if !p.complete {
		if f.pos == 0 && f.size > 0 && now.Sub(f.seenAt) < time.Second && f.missing.IsZero() {
			t.retryLater(f, now, t.cfg.PollInterval) // perhaps a copy that has just begun
			return false
		}
		if f.pos > p.n {
			f.examined = true // records without a full prefix: certainly not a copy being made
		}
		t.setPrefix(f, p)
		return true
	}
	if f.pos > 0 && f.pos > f.prefix.n {
		f.examined = true
		t.setPrefix(f, p)
		return true
	}
	verdict := t.compare(f, p, now)
	switch verdict {
	case verdictRead:
		f.examined, f.rejected, f.waitFrom = true, nil, time.Time{}
		t.setPrefix(f, p)
		if f.gz {
			t.dropUnread(f)
		}
		return true
	case verdictWait:
		t.wait(f, now)
	}
	return false
}

// wait puts f off: it may be a copy.
func (t *Tailer) wait(f *file, now time.Time) {
	if f.waitFrom.IsZero() {
		f.waitFrom = now
	}
	f.waitEpoch = t.epoch
	f.tried = 0
	t.setState(f, stateWait)
	t.closeFile(f)
}

type verdict uint8

const (
	verdictRead    verdict = iota // a content of its own
	verdictWait                   // may be a copy; decide later
	verdictAdopted                // was a copy; f is not used any more
)

// compare looks for a known content that f, with prefix p, is a copy of.
func (t *Tailer) compare(f *file, p prefix, now time.Time) verdict {
	var adopt *file
	wait := false
	quiet := now.Sub(f.changedAt)
	for _, c := range t.byPrefix[p.hash] {
		if c == f || c.prefix.n != p.n || f.rejected[c] {
			continue
		}
		gone := c.state == stateGone
		if f.gz {
			switch {
			case gone:
				if adopt == nil || c.info.Name == f.info.Name && (adopt.info.Name != f.info.Name || c.pos > adopt.pos) {
					adopt = c
				}
			case c.gz:
			case c.info.Name == f.info.Name || !c.missing.IsZero():
				wait = true // as long as the original is there to be read
			case now.Sub(f.waitStart(now)) < t.cfg.CopyGrace:
				wait = true
			}
			continue
		}
		if f.size < c.pos {
			// Too short to be the whole copy, unless it is still being written.
			growing := quiet < t.cfg.CopyGrace && now.Sub(f.waitStart(now)) < 10*t.cfg.CopyGrace
			if growing && (gone || t.sameBytes(f, c)) {
				wait = true
			}
			continue
		}
		if ok, err := sameTail(f.fh, c.pos, c.tail); err != nil || !ok {
			continue
		}
		switch {
		case gone:
			if adopt == nil || c.pos > adopt.pos {
				adopt = c
			}
		case !c.missing.IsZero():
			wait = true
		default:
			from := f.waitStart(now)
			if f.size < c.size && f.changedAt.After(from) && now.Sub(from) < 10*t.cfg.CopyGrace {
				from = f.changedAt // the copy is being made
			}
			if now.Sub(from) < t.cfg.CopyGrace {
				wait = true
			}
		}
	}
	if adopt != nil && !(f.gz && wait && adopt.info.Name != f.info.Name) {
		t.adopt(adopt, f, now)
		return verdictAdopted
	}
	if wait {
		return verdictWait
	}
	return verdictRead
}

// smallCopyOf looks for a content of a log that has too little for a prefix, and
// of which f, under another name, is a copy. The first line and the end of it are
// then all of it. c is one that was just cut; wait says that there is one that
// may still be. Files that begin with a header are never told apart so: it is the
// same in all of them.
func (t *Tailer) smallCopyOf(f *file, now time.Time) (c *file, wait bool) {
	if !t.cfg.InOrder || f.gz {
		return nil, false
	}
	begins := func(c *file) bool {
		if c == f || c.prefix.complete || c.prefix.n == 0 || c.pos == 0 || c.pos > f.size || c.path == f.path || c.gz || f.rejected[c] ||
			c.info.Stream != f.info.Stream || filepath.Dir(c.path) != filepath.Dir(f.path) {
			return false
		}
		same, err := samePrefix(f.fh, false, c.prefix)
		if err == nil && same {
			same, err = sameTail(f.fh, c.pos, c.tail)
		}
		return err == nil && same
	}
	for c := range t.gone {
		if c.cut && now.Sub(c.goneAt) <= 10*t.cfg.CopyGrace && begins(c) {
			return c, false
		}
	}
	if now.Sub(f.waitStart(now)) < t.cfg.CopyGrace {
		for _, c := range t.byKey {
			if begins(c) {
				return nil, true
			}
		}
	}
	return nil, false
}

func (f *file) waitStart(now time.Time) time.Time {
	if f.waitFrom.IsZero() {
		return now
	}
	return f.waitFrom
}

// sameBytes says whether the end of the short file f is also in c.
func (t *Tailer) sameBytes(f, c *file) bool {
	if c.gz {
		return true // not worth the work: wait
	}
	fh := c.fh
	if fh == nil {
		var err error
		if fh, err = openRead(c.path); err != nil {
			return true
		}
		defer func() { _ = fh.Close() }()
	}
	a := make([]byte, tailLenAt(f.size))
	if n, _ := f.fh.ReadAt(a, f.size-int64(len(a))); n < len(a) {
		return true // changing under our hands
	}
	ok, err := sameTail(fh, f.size, hashTail(a))
	return ok || err != nil
}

// adopt binds the known content g, whose file is gone, to the file that f was
// made for. For an archive the bytes before the position are compared when
// they have been decompressed.
func (t *Tailer) adopt(g, f *file, now time.Time) {
	t.closeFile(g)
	fh := f.fh
	f.fh = nil
	delete(t.open, f)
	t.discard(f)
	g.key, g.path, g.aliases, g.gz = f.key, f.path, f.aliases, f.gz
	g.maxSize = f.maxSize
	g.size, g.mtime, g.links, g.changedAt, g.seenAt = f.size, f.mtime, f.links, f.changedAt, f.seenAt
	g.fh, g.z, g.used = fh, nil, t.turns
	t.open[g] = struct{}{}
	g.goneAt, g.lost, g.missing = time.Time{}, 0, time.Time{}
	if m := f.missing; !m.IsZero() {
		g.missing = m
		t.missing[g] = struct{}{}
	}
	g.renamed, g.rotated, g.examined, g.adopted, g.finalDone = true, true, true, g.gz && g.pos > 0, false
	g.tried, g.check, g.rejected = g.pos, true, f.rejected
	t.byKey[g.key] = g
	t.regroup(g)
	t.setState(g, statePending)
	t.touch(g)
	if g.gz && t.cfg.Observer.ArchiveSkipped != nil {
		t.cfg.Observer.ArchiveSkipped(&g.info, g.path)
	}
}

// discard forgets f without a trace.
func (t *Tailer) discard(f *file) {
	if t.byKey[f.key] == f {
		delete(t.byKey, f.key)
	}
	t.closeFile(f)
	t.setState(f, stateGone)
	delete(t.gone, f)
	delete(t.missing, f)
	t.setPrefix(f, prefix{})
	t.unplace(f)
	for _, fl := range f.flights {
		fl.dead = true
	}
	f.flights = nil
}

// restart is for a file on disk that does not hold the content of f any more:
// it was cut, overwritten, or is another file with the same number. The
// content becomes a memory; what is on disk is a new file.
func (t *Tailer) restart(f *file, now time.Time) {
	fh := f.fh
	f.fh = nil
	delete(t.open, f)
	adopted, missing := f.adopted, f.missing
	st := stat{key: f.key, size: f.size, mtime: f.mtime, links: f.links, regular: true}
	path, aliases := f.path, f.aliases
	rejected := f.rejected
	delete(t.byKey, f.key)
	if !adopted {
		t.total.Truncations++
		if t.cfg.Observer.Truncated != nil {
			t.cfg.Observer.Truncated(&f.info)
		}
	}
	f.lost = 0
	var before []byte
	if !adopted && !f.gz {
		if before = f.stateAtPos(); before == nil {
			before = f.info.Before // truncated again before anything came
		}
	}
	if !adopted && f.maxSize > f.pos && !f.gz {
		f.lost, f.lostWhy = f.maxSize-f.pos, lostTruncated
	}
	t.goneNow(f, now, "")
	f.cut = !adopted

	n := t.newFile(path, st, now)
	n.info.Before = before
	n.aliases, n.changedAt, n.atEnd = aliases, now, false
	n.fh = fh
	if fh != nil {
		t.open[n] = struct{}{}
	}
	n.rejected = map[*file]bool{f: true}
	if adopted {
		maps.Copy(n.rejected, rejected)
		n.seenAt = f.seenAt
	}
	if !missing.IsZero() {
		n.missing = missing
		t.missing[n] = struct{}{}
	}
	if t.cfg.InOrder && !adopted {
		// A copy that was made before it was cut holds what was not read: that
		// comes first. The next look finds it.
		n.heldUntil = now.Add(max(2*t.cfg.PollInterval, minHold))
		t.retryLater(n, now, n.heldUntil.Sub(now))
		return
	}
	t.setState(n, statePending)
}

// minHold is how long the new content of a truncated file waits, at least, for
// a copy of the old one.
const minHold = 500 * time.Millisecond

// goneNow ends the binding of f. With why, unread bytes are reported unless a
// copy turns up in time.
func (t *Tailer) goneNow(f *file, now time.Time, why string) {
	if t.byKey[f.key] == f {
		delete(t.byKey, f.key)
	}
	delete(t.missing, f)
	t.closeFile(f)
	if why != "" && f.size > f.pos && !(f.gz && f.pos > 0) {
		f.lost, f.lostWhy = f.size-f.pos, why
	}
	f.dec, f.z, f.aliases, f.goneAt, f.behind = nil, nil, nil, now, time.Time{}
	f.adopted, f.rejected = false, nil
	t.setState(f, stateGone)
	t.touch(f)
	t.epoch++
}

// dropUnread: the archive f holds a file that vanished unread.
func (t *Tailer) dropUnread(f *file) {
	for g := range t.gone {
		if g.pos == 0 && g.info.Name == f.info.Name {
			g.lost = 0
		}
	}
	for g := range t.missing {
		if g.pos == 0 && g.fh == nil && g.info.Name == f.info.Name && g != f {
			t.discard(g)
		}
	}
}

// settle decides what had to wait.
func (t *Tailer) settle(now time.Time) {
	for f := range t.retry {
		if !now.Before(f.retryAt) && !f.failed {
			t.setState(f, statePending)
		}
	}
	for f := range t.missing {
		if now.Sub(f.missing) < t.missGrace() {
			continue
		}
		if d := t.dirs[filepath.Dir(f.path)]; d != nil && d.reported != "" {
			continue // not listed, so not known to be gone
		}
		switch {
		case f.state == stateDone:
			t.goneNow(f, now, "")
		case f.fh != nil && f.state == stateWait:
			f.waitEpoch = 0
		case f.fh != nil || len(f.flights) > 0:
			// Read on through the descriptor; maybeFinish ends it.
		case f.state == stateIdle && (f.finalDone || f.pos >= f.size):
			t.finish(f, now)
		case f.state == stateWait:
			t.discard(f) // the copy of a content that is still there
		default:
			t.goneNow(f, now, lostVanished)
		}
	}
	for f := range t.waiting {
		if !f.gz {
			if st, ok := t.statNow(f, now); ok {
				t.note(f, st, now)
			}
			if f.state != stateWait {
				continue
			}
		}
		if f.waitEpoch != t.epoch || !f.gz || now.Sub(f.waitFrom) >= t.cfg.CopyGrace && !f.waitLong {
			f.waitLong = now.Sub(f.waitFrom) >= t.cfg.CopyGrace
			t.setState(f, statePending)
		}
	}
	if now.Before(t.nextForget) {
		return
	}
	t.nextForget = now.Add(time.Second)
	for f := range t.gone {
		age := now.Sub(f.goneAt)
		if f.lost > 0 && age >= t.cfg.CopyGrace && !t.copyExpected(f) {
			t.lostBytes(f, f.lost, f.lostWhy)
			f.lost = 0
			t.touch(f)
		}
		if f.lost == 0 && len(f.flights) == 0 && (age > t.cfg.ForgetAfter || !f.prefix.complete || f.pos == 0) {
			t.discard(f)
		}
	}
}

// copyExpected says whether a file waits to be read or decided that may hold
// the lost bytes of f.
func (t *Tailer) copyExpected(f *file) bool {
	for c := range t.waiting {
		if c.info.Stream == f.info.Stream {
			return true
		}
	}
	for _, g := range t.ring {
		for _, c := range g.pending {
			if !c.examined && c.info.Stream == f.info.Stream {
				return true
			}
		}
	}
	for c := range t.retry {
		if !c.examined && !c.denied && c.info.Stream == f.info.Stream {
			return true
		}
	}
	return false
}

func (t *Tailer) setPrefix(f *file, p prefix) {
	if f.prefix == p {
		return
	}
	if f.prefix.complete {
		l := t.byPrefix[f.prefix.hash]
		if i := slices.Index(l, f); i >= 0 {
			l = slices.Delete(l, i, i+1)
		}
		if len(l) == 0 {
			delete(t.byPrefix, f.prefix.hash)
		} else {
			t.byPrefix[f.prefix.hash] = l
		}
	}
	f.prefix = p
	if p.complete {
		t.byPrefix[p.hash] = append(t.byPrefix[p.hash], f)
	}
	t.touch(f)
}
