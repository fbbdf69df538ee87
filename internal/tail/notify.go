package tail

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// notifyPause is the least time between two wake-ups by events: a file that
// grows 5,000 times a second is read 20 times. While nobody takes events the
// kernel merges equal ones.
const notifyPause = 50 * time.Millisecond

// notifier collects events between two polls.
type notifier struct {
	w       *fsnotify.Watcher
	signal  chan struct{}
	done    chan struct{}
	mu      sync.Mutex
	written map[string]struct{}
	changed map[string]struct{} // directories
	all     bool
}

func (t *Tailer) startNotify() {
	n := &t.events
	n.signal = make(chan struct{}, 1)
	if !t.cfg.Notify {
		return
	}
	// Without a buffer: while this side pauses, the kernel merges equal events
	// instead of waking the process for each written line.
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.notifyFailed("", err)
		return
	}
	n.w, n.done = w, make(chan struct{})
	n.written, n.changed = map[string]struct{}{}, map[string]struct{}{}
	for _, d := range t.dirs {
		t.watch(d)
	}
	go n.run()
}

func (t *Tailer) notifyFailed(path string, err error) {
	if t.cfg.Observer.Problem != nil {
		t.cfg.Observer.Problem(path, fmt.Errorf("no file notification, polling instead: %w", err))
	}
}

// watch subscribes to a directory once.
func (t *Tailer) watch(d *dir) {
	if t.events.w == nil || d.watched {
		return
	}
	if err := t.events.w.Add(d.path); err != nil {
		if !d.noWatch {
			d.noWatch = true
			t.notifyFailed(d.path, err)
		}
		return
	}
	d.watched = true
}

func (n *notifier) run() {
	defer close(n.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		// Block for one event, take what else is there, tell the reader, rest.
		select {
		case ev, ok := <-n.w.Events:
			if !ok {
				return
			}
			n.add(ev)
		case err, ok := <-n.w.Errors:
			if !ok {
				return
			}
			n.fail(err)
		}
		for more := true; more; {
			select {
			case ev, ok := <-n.w.Events:
				if !ok {
					return
				}
				n.add(ev)
			case err, ok := <-n.w.Errors:
				if !ok {
					return
				}
				n.fail(err)
			default:
				more = false
			}
		}
		select {
		case n.signal <- struct{}{}:
		default:
		}
		pause.Reset(notifyPause)
		<-pause.C
	}
}

func (n *notifier) add(ev fsnotify.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ev.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0 {
		n.changed[filepath.Dir(ev.Name)] = struct{}{}
		n.changed[ev.Name] = struct{}{} // the directory itself
	}
	if ev.Op&(fsnotify.Write|fsnotify.Chmod) != 0 {
		n.written[ev.Name] = struct{}{}
	}
}

// fail: events were lost, most likely because the queue overflowed. Everything
// is looked at.
func (n *notifier) fail(error) {
	n.mu.Lock()
	n.all = true
	n.mu.Unlock()
}

func (n *notifier) close() {
	if n.w != nil {
		_ = n.w.Close()
		<-n.done
	}
}

// takeEvents says whether a directory changed and which files were written.
func (t *Tailer) takeEvents() (changed bool, written []*file) {
	n := &t.events
	if n.w == nil {
		return false, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all {
		n.all = false
		t.dirtyDirs()
		t.nextPoll = time.Time{}
	}
	for path := range n.changed {
		if d := t.dirs[path]; d != nil {
			d.dirty, changed = true, true
			if _, err := statPath(path); err != nil {
				d.watched = false // gone with the watch on it
			}
		}
	}
	clear(n.changed)
	for path := range n.written {
		if d := t.dirs[filepath.Dir(path)]; d != nil {
			if e := d.names[filepath.Base(path)]; e != nil && e.bound {
				if f := t.byKey[e.key]; f != nil {
					written = append(written, f)
				}
			}
		}
	}
	clear(n.written)
	return changed, written
}
