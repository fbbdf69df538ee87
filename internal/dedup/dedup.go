// Package dedup recognises records that one program wrote to several files,
// within a bounded window.
package dedup // import "github.com/otelcol-pmta/otelcol-pmta/internal/dedup"

import "container/list"

// Window remembers how often each content was seen in each stream, for a
// bounded number of most recently seen contents. It is not safe for use by
// several goroutines.
type Window struct {
	max     int
	entries map[uint64]*list.Element
	recent  list.List // of *entry, most recently seen first
}

type entry struct {
	key     uint64
	kept    uint32 // copies let through
	streams []seen
}

type seen struct {
	stream uint32
	copies uint32
}

// NewWindow returns a Window for at most maxEntries contents.
func NewWindow(maxEntries int) *Window {
	return &Window{max: maxEntries, entries: make(map[uint64]*list.Element)}
}

// Keep reports whether a record is to be kept. key is a hash of its content,
// stream the file stream it comes from. A content that a stream holds n times
// is kept n times, whichever streams hold it and in whatever order they are
// read: the copies let through are the most that any one stream has shown.
func (w *Window) Keep(key uint64, stream uint32) bool {
	el := w.entries[key]
	if el == nil {
		if len(w.entries) >= w.max {
			el = w.recent.Back()
			delete(w.entries, el.Value.(*entry).key)
			*el.Value.(*entry) = entry{key: key}
			w.recent.MoveToFront(el)
		} else {
			el = w.recent.PushFront(&entry{key: key})
		}
		w.entries[key] = el
	} else {
		w.recent.MoveToFront(el)
	}
	e := el.Value.(*entry)
	for i := range e.streams {
		if e.streams[i].stream == stream {
			e.streams[i].copies++
			return e.keep(e.streams[i].copies)
		}
	}
	e.streams = append(e.streams, seen{stream, 1})
	return e.keep(1)
}

func (e *entry) keep(copies uint32) bool {
	if copies <= e.kept {
		return false
	}
	e.kept = copies
	return true
}

// Len returns how many contents are remembered.
func (w *Window) Len() int { return len(w.entries) }
