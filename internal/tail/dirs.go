package tail

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

type entryKind uint8

const (
	kindOther entryKind = iota
	kindFile
	kindDir
	kindLink
)

func kindOf(m fs.FileMode) entryKind {
	switch {
	case m.IsRegular():
		return kindFile
	case m.IsDir():
		return kindDir
	case m&fs.ModeSymlink != 0:
		return kindLink
	}
	return kindOther
}

// dir is a directory in which a pattern may match something.
type dir struct {
	path     string
	rests    [][]string // what is left of the patterns below this directory
	names    map[string]*entry
	gen      uint32
	mtime    int64
	listedAt time.Time // wall clock
	dirty    bool
	reported string // last error told
	retryAt  time.Time
	root     bool
	watched  bool
	noWatch  bool // reported
}

type entry struct {
	ino   uint64
	kind  entryKind
	gen   uint32
	file  bool // wanted as a file
	sub   bool // wanted as a directory
	key   fileKey
	bound bool // key is valid
	// failed: the last look found nothing, which was reported.
	failed bool
}

// splitPattern gives the directory to begin in and the rest by path element.
func splitPattern(p string) (base string, rest []string, err error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", nil, err
	}
	s := filepath.ToSlash(abs)
	if !doublestar.ValidatePattern(s) {
		return "", nil, fmt.Errorf("tail: malformed pattern %q", p)
	}
	depth := 0
	for _, r := range s {
		switch {
		case r == '{':
			depth++
		case r == '}':
			depth--
		case r == '/' && depth > 0:
			return "", nil, fmt.Errorf("tail: pattern %q: a path separator within {} is not supported; write two patterns", p)
		}
	}
	base, tail := doublestar.SplitPattern(s)
	if tail == "" || tail == "." {
		return "", nil, fmt.Errorf("tail: pattern %q matches no file", p)
	}
	return filepath.FromSlash(base), strings.Split(tail, "/"), nil
}

func (t *Tailer) addDir(path string, rest []string) *dir {
	d := t.dirs[path]
	if d == nil {
		d = &dir{path: path, names: map[string]*entry{}, dirty: true}
		t.dirs[path] = d
		t.newDirs = append(t.newDirs, d)
	}
	for {
		if !slices.ContainsFunc(d.rests, func(r []string) bool { return slices.Equal(r, rest) }) {
			d.rests = append(d.rests, rest)
			d.dirty = true
			for _, e := range d.names { // decide anew
				e.kind = kindOther
				e.gen--
			}
		}
		if rest[0] != "**" || len(rest) == 1 {
			return d
		}
		rest = rest[1:] // ** may stand for no directory at all
	}
}

func (t *Tailer) wanted(d *dir, name string) bool {
	hit := false
	for _, r := range d.rests {
		if len(r) == 1 && (r[0] == "**" || match(r[0], name)) {
			hit = true
			break
		}
	}
	return hit && !t.excluded(filepath.Join(d.path, name))
}

func match(pattern, name string) bool {
	ok, err := doublestar.Match(pattern, name)
	return ok && err == nil
}

func (t *Tailer) excluded(path string) bool {
	for _, p := range t.exclude {
		s := filepath.ToSlash(path)
		if !strings.Contains(p, "/") {
			s = filepath.ToSlash(filepath.Base(path))
		}
		if match(p, s) {
			return true
		}
	}
	return false
}

// subRests gives what is left of the patterns for a directory called name.
func subRests(d *dir, name string, link bool) (out [][]string) {
	for _, r := range d.rests {
		switch {
		case len(r) == 1 && r[0] != "**":
		case r[0] == "**":
			if !link { // a loop could hide behind a link
				out = append(out, r)
			}
		case match(r[0], name):
			out = append(out, r[1:])
		}
	}
	return out
}

// discover looks for new, renamed and vanished names. With deep it looks at
// every file, not only at the names that changed.
func (t *Tailer) discover(now time.Time, deep bool) {
	// Directories that are found on the way are listed in the same pass.
	todo := make([]*dir, 0, len(t.dirs))
	for _, d := range t.dirs {
		todo = append(todo, d)
	}
	t.newDirs = t.newDirs[:0]
	slices.SortFunc(todo, func(a, b *dir) int { return strings.Compare(a.path, b.path) })
	for len(todo) > 0 {
		for _, d := range todo {
			if t.dirs[d.path] == d {
				t.checkDir(d, now, deep)
			}
		}
		todo = append(todo[:0], t.newDirs...)
		t.newDirs = t.newDirs[:0]
	}
}

func (t *Tailer) checkDir(d *dir, now time.Time, deep bool) {
	if !deep && now.Before(d.retryAt) {
		return
	}
	wall := time.Now()
	st, err := statPath(d.path)
	if err == nil && !st.dir {
		err = &fs.PathError{Op: "list", Path: d.path, Err: fmt.Errorf("not a directory")}
	}
	if err != nil {
		t.dirFailed(d, err, now)
		return
	}
	// A change within the clock tick of the listing leaves the same mtime, so
	// one more listing follows when the mtime was fresh.
	racy := d.listedAt.UnixNano()-d.mtime < int64(2*time.Second) && wall.UnixNano()-d.mtime > int64(2*time.Second)
	if !deep && !d.dirty && st.mtime == d.mtime && !racy {
		return
	}
	d.mtime, d.listedAt, d.dirty = st.mtime, wall, false
	d.gen++
	t.watch(d)
	var todo []string
	err = listDir(d.path, t.dirBuf, func(b []byte, ino uint64, kind entryKind) {
		e := d.names[string(b)]
		if e == nil {
			e = &entry{}
			d.names[string(b)] = e
		} else if !deep && e.gen+1 == d.gen && e.kind == kind && e.ino == ino && ino != 0 && kind != kindLink {
			e.gen = d.gen
			return
		}
		e.gen = d.gen
		if e.kind != kind {
			name := string(b)
			e.kind = kind
			e.file = (kind == kindFile || kind == kindLink) && t.wanted(d, name)
			e.sub = (kind == kindDir || kind == kindLink) && len(subRests(d, name, kind == kindLink)) > 0
		}
		e.ino = ino
		if e.file || e.sub {
			todo = append(todo, string(b))
		}
	})
	if err != nil {
		d.dirty = true
		t.dirFailed(d, err, now)
		return
	}
	d.reported, d.retryAt = "", time.Time{}
	slices.Sort(todo)
	for _, name := range todo {
		t.lookAt(d, d.names[name], filepath.Join(d.path, name), name, now)
	}
	for name, e := range d.names {
		if e.gen != d.gen {
			delete(d.names, name)
			t.dropEntry(filepath.Join(d.path, name), e, now)
		}
	}
}

func (t *Tailer) lookAt(d *dir, e *entry, path, name string, now time.Time) {
	st, err := statPath(path)
	if err != nil {
		again := e.failed
		e.failed = true
		if !again && !isNotExist(err) {
			t.pathFailed(path, err)
		}
		if !again || e.kind != kindLink {
			e.kind, d.dirty = kindOther, true // a race: look again
		}
		return // a link that leads nowhere is looked at with every listing
	}
	e.failed = false
	if st.dir {
		if e.sub {
			for _, r := range subRests(d, name, e.kind == kindLink) {
				t.addDir(path, r)
			}
		}
		return
	}
	if !e.file || !st.regular {
		return
	}
	if e.bound && e.key != st.key {
		t.unname(t.byKey[e.key], path, now)
	}
	e.key, e.bound = st.key, true
	if !t.sight(path, st, now) {
		e.kind, d.dirty = kindOther, true
	}
}

func (t *Tailer) dropEntry(path string, e *entry, now time.Time) {
	if e.bound {
		t.unname(t.byKey[e.key], path, now)
	}
	if e.sub {
		if sub := t.dirs[path]; sub != nil {
			t.dropDir(sub, now)
		}
	}
}

func (t *Tailer) dropDir(d *dir, now time.Time) {
	for name, e := range d.names {
		t.dropEntry(filepath.Join(d.path, name), e, now)
	}
	d.names = map[string]*entry{}
	if !d.root {
		delete(t.dirs, d.path)
	}
	d.dirty = true
}

func (t *Tailer) dirFailed(d *dir, err error, now time.Time) {
	if isNotExist(err) && len(d.names) > 0 {
		t.dropDir(d, now)
	}
	d.retryAt = now.Add(max(t.cfg.PollInterval, time.Second))
	d.dirty = true
	if d.reported == err.Error() {
		return
	}
	d.reported = err.Error()
	t.pathFailed(d.path, err)
}

func (t *Tailer) dirtyDirs() {
	for _, d := range t.dirs {
		d.dirty = true
	}
}
