// Package attribution remembers on disk, for a bounded time, which virtual
// MTA, pool, job and addresses a message was sent with, so that bounces and
// complaints that arrive later without them can be given them.
//
// Messages are known by keyed hashes only; no mail address is written.
//
// The window is a row of segments, the newest of which grows. A segment is
// two append-only files, entries of fixed size and texts; when it is full an
// index file is added to it, and whole segments are dropped at the other end.
// Looking something up in a full segment takes a bit filter in memory and two
// or three small reads.
package attribution // import "github.com/otelcol-pmta/otelcol-pmta/internal/attribution"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxEntries = 2_000_000
	DefaultMaxAge     = 7 * 24 * time.Hour
)

// Kind is what an entry tells of, in ascending order of worth.
type Kind uint8

// The kinds of entries.
const (
	Receipt Kind = iota + 1
	Attempt
	Delivery
)

// Options configure a Window.
type Options struct {
	// Dir is the folder of the window. It is created; nothing else may be in it.
	Dir string
	// MaxEntries bounds the entries, 40 bytes each on disk, and 2.5 bytes
	// in memory. A delivery makes two.
	MaxEntries int
	// MaxAge drops what is older than the newest record by this much.
	MaxAge time.Duration
	// KeyCheck tells windows made with different keys apart: what another key
	// has made is removed when the window is opened.
	KeyCheck uint32
}

// Text is a list of strings that many entries have in common. The zero Text
// is empty. A Text remembers where it was written, so it should be kept and
// used again; it belongs to one goroutine.
type Text struct {
	packed []byte
	gen    uint64 // of the segment that it was written to
	off    uint32
}

// NewText packs strings, of which at most 255 bytes each are kept.
func NewText(fields ...string) *Text {
	t := &Text{}
	for _, f := range fields {
		f = f[:min(len(f), 255)]
		t.packed = append(append(t.packed, byte(len(f))), f...)
	}
	return t
}

func unpack(b []byte) (fields []string) {
	for len(b) > 0 {
		n := int(b[0]) + 1
		if n > len(b) {
			return fields
		}
		fields = append(fields, string(b[1:n]))
		b = b[n:]
	}
	return fields
}

// Entry is what is known of a message. Times are nanoseconds since the Unix
// epoch.
type Entry struct {
	Key      uint64
	Time     int64
	Queued   int64  // 0 when not known
	Envelope uint32 // hash of the envelope id, 0 without one
	Kind     Kind
}

// Found is an entry with its texts.
type Found struct {
	Entry
	Route, Peer []string // nil when there was none
}

const (
	entrySize   = 40
	segmentSize = 1 << 16 // entries in a full segment, at most
	filterBits  = 1 << 20 // of a full segment
	noEntry     = int32(-1)
	// Texts of a segment: offset 0 stands for none.
	textsStart = 8
	maxTexts   = 1 << 28
)

// Window is the window. It is safe for several goroutines.
type Window struct {
	mu   sync.Mutex
	opts Options
	size int // entries in a full segment

	segs    []*segment // full ones, the oldest first
	active  *segment
	newest  int64 // time of the newest entry
	evicted uint64
	expired uint64
	sent    bool // an entry of a delivery was seen
	dirty   bool
	err     error // of writing, reported once by Flush
}

// generation numbers the lives of active segments, of all windows.
var generation atomic.Uint64

// segment is one piece of the window.
type segment struct {
	n       uint64
	gen     uint64
	count   int
	newest  int64
	filter  []uint64
	entries *os.File
	texts   *os.File
	index   *os.File // full segments only

	slotCount int

	// Of the active segment.
	data     []byte  // all entries
	prev     []int32 // the entry before with the same key
	slots    []int32 // open addressing by key: place of the newest entry + 1
	textEnd  uint32
	known    map[string]uint32
	newTexts []byte
	written  int // entries in the file
}

// Open opens or creates the window in opts.Dir. Segments that are damaged are
// removed; their number is returned.
func Open(opts Options) (w *Window, damaged int, err error) {
	if opts.MaxEntries <= 0 {
		opts.MaxEntries = DefaultMaxEntries
	}
	if opts.MaxAge <= 0 {
		opts.MaxAge = DefaultMaxAge
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, 0, err
	}
	w = &Window{opts: opts, size: min(segmentSize, max(16, opts.MaxEntries/8))}
	numbers, damaged, err := w.scan()
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			w.closeFiles()
		}
	}()
	var last uint64
	for i, n := range numbers {
		last = n
		s, err := w.load(n, i == len(numbers)-1)
		if errors.Is(err, errDamaged) {
			damaged++
			if err := w.removeFiles(n); err != nil {
				return nil, damaged, err
			}
			continue
		}
		if err != nil {
			return nil, damaged, err
		}
		w.newest = max(w.newest, s.newest)
		if s.index != nil {
			w.segs = append(w.segs, s)
		} else {
			w.active = s
		}
	}
	if w.active == nil {
		if w.active, err = w.create(last + 1); err != nil {
			return nil, damaged, err
		}
	}
	w.trim()
	return w, damaged, nil
}

// scan returns the numbers of the segments in ascending order. What is left of
// others is removed.
func (w *Window) scan() (numbers []uint64, damaged int, err error) {
	files, err := os.ReadDir(w.opts.Dir)
	if err != nil {
		return nil, 0, err
	}
	kinds := map[uint64][]string{}
	for _, f := range files {
		num, kind, ok := strings.Cut(f.Name(), ".")
		if n, err := strconv.ParseUint(num, 16, 64); ok && err == nil && len(num) == 16 {
			kinds[n] = append(kinds[n], kind)
		}
	}
	for n, k := range kinds {
		if slices.Contains(k, "entries") {
			numbers = append(numbers, n)
			continue
		}
		damaged++
		if err := w.removeFiles(n); err != nil {
			return nil, damaged, err
		}
	}
	slices.Sort(numbers)
	return numbers, damaged, nil
}

var errDamaged = errors.New("damaged")

func (w *Window) path(n uint64, kind string) string {
	return filepath.Join(w.opts.Dir, fmt.Sprintf("%016x.%s", n, kind))
}

// header begins the files of entries and texts.
func (w *Window) header() []byte {
	return binary.LittleEndian.AppendUint32([]byte("pma1"), w.opts.KeyCheck)
}

func (w *Window) create(n uint64) (*segment, error) {
	s := &segment{n: n}
	var err error
	if s.entries, err = os.OpenFile(w.path(n, "entries"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	if s.texts, err = os.OpenFile(w.path(n, "texts"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		_ = s.entries.Close() // the first error counts
		return nil, err
	}
	for _, f := range []*os.File{s.entries, s.texts} {
		if _, err = f.WriteAt(w.header(), 0); err != nil {
			s.close()
			return nil, err
		}
	}
	s.begin(w.size)
	return s, nil
}

// begin makes the tables of an active segment.
func (s *segment) begin(size int) {
	s.filter = make([]uint64, filterBits/64)
	s.data = make([]byte, 0, size*entrySize)
	s.prev = make([]int32, 0, size)
	slots := 2
	for slots < 2*size {
		slots *= 2
	}
	s.slots, s.slotCount = make([]int32, slots), slots
	s.gen = generation.Add(1)
	s.known = map[string]uint32{}
	s.textEnd = textsStart
}

// load opens segment n. The last one becomes active again when it has no
// index yet.
func (w *Window) load(n uint64, last bool) (_ *segment, err error) {
	s := &segment{n: n}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	open := func(kind string) (*os.File, error) {
		f, err := os.OpenFile(w.path(n, kind), os.O_RDWR, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			return nil, errDamaged
		}
		return f, err
	}
	if s.entries, err = open("entries"); err != nil {
		return nil, err
	}
	if s.texts, err = open("texts"); err != nil {
		return nil, err
	}
	all, err := os.ReadFile(w.path(n, "entries"))
	if err != nil {
		return nil, err
	}
	head := make([]byte, textsStart)
	if _, err := s.texts.ReadAt(head, 0); err != nil || string(head) != string(w.header()) ||
		len(all) < textsStart || string(all[:textsStart]) != string(head) {
		return nil, errDamaged
	}
	s.begin(max(w.size, (len(all)-textsStart)/entrySize))
	// An entry that a crash has cut off, or torn, ends what can be used.
	for b := all[textsStart:]; len(b) >= entrySize; b = b[entrySize:] {
		if binary.LittleEndian.Uint16(b[38:]) != check(b) {
			if !last {
				return nil, errDamaged
			}
			break
		}
		s.append(b[:entrySize])
		e, _, _ := parse(b)
		w.sent = w.sent || e.Kind == Delivery
	}
	s.written = s.count
	if s.index, err = open("index"); errors.Is(err, errDamaged) {
		s.index, err = nil, nil
	} else if err != nil {
		return nil, err
	} else if ok, err := s.checkIndex(); err != nil {
		return nil, err
	} else if !ok {
		_ = s.index.Close() // to be made again
		s.index = nil
	}
	st, err := s.texts.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > maxTexts {
		return nil, errDamaged
	}
	s.textEnd = uint32(st.Size())
	switch {
	case s.index != nil:
		s.shrink()
	case !last:
		if err := w.seal(s); err != nil {
			return nil, err
		}
	default:
		if err := s.entries.Truncate(int64(textsStart + s.count*entrySize)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// An index is the number of slots and of entries, the slots, and for each
// entry the one before with the same key; numbers of 4 bytes.
const indexHead = 8

// checkIndex takes over the number of slots and reports whether the index is
// complete.
func (s *segment) checkIndex() (bool, error) {
	st, err := s.index.Stat()
	if err != nil {
		return false, err
	}
	var b [indexHead]byte
	if _, err := s.index.ReadAt(b[:], 0); err != nil {
		return false, nil
	}
	slots, count := int(binary.LittleEndian.Uint32(b[:])), int(binary.LittleEndian.Uint32(b[4:]))
	if slots < 2 || slots&(slots-1) != 0 || count != s.count || count >= slots || st.Size() != int64(indexHead+4*(slots+count)) {
		return false, nil
	}
	s.slotCount = slots
	return true, nil
}

// shrink lets go of what a full segment has on disk.
func (s *segment) shrink() {
	s.data, s.known, s.newTexts, s.prev, s.slots = nil, nil, nil, nil, nil
}

func (s *segment) close() {
	for _, f := range []*os.File{s.entries, s.texts, s.index} {
		if f != nil {
			_ = f.Close() // everything is written; there is nothing to do about it
		}
	}
}

func (w *Window) closeFiles() {
	for _, s := range append(slices.Clone(w.segs), w.active) {
		if s != nil {
			s.close()
		}
	}
}

func (w *Window) removeFiles(n uint64) error {
	var errs []error
	for _, kind := range []string{"tmp", "index", "texts", "entries"} {
		if err := os.Remove(w.path(n, kind)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Entry layout, little-endian: key 8, time 8, queued 8, envelope 4, route 4,
// peer 4, kind 1, zero 1, check 2.

func check(b []byte) uint16 {
	h := uint64(0x9e3779b97f4a7c15)
	for i := 0; i < 32; i += 8 {
		h = (h ^ binary.LittleEndian.Uint64(b[i:])) * 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	h = (h ^ uint64(binary.LittleEndian.Uint32(b[32:])) ^ uint64(b[36])<<32) * 0xff51afd7ed558ccd
	return uint16(h >> 48)
}

func parse(b []byte) (e Entry, route, peer uint32) {
	le := binary.LittleEndian
	return Entry{
		Key: le.Uint64(b), Time: int64(le.Uint64(b[8:])), Queued: int64(le.Uint64(b[16:])),
		Envelope: le.Uint32(b[24:]), Kind: Kind(b[36]),
	}, le.Uint32(b[28:]), le.Uint32(b[32:])
}

// slot returns where in slots key is, or would be.
func (s *segment) slot(key uint64) int {
	mask := uint64(len(s.slots) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		p := s.slots[i]
		if p == 0 || binary.LittleEndian.Uint64(s.data[int(p-1)*entrySize:]) == key {
			return int(i)
		}
	}
}

func (s *segment) append(b []byte) {
	key := binary.LittleEndian.Uint64(b)
	i := s.slot(key)
	s.prev = append(s.prev, s.slots[i]-1)
	s.data = append(s.data, b...)
	s.count++
	s.slots[i] = int32(s.count)
	s.newest = max(s.newest, int64(binary.LittleEndian.Uint64(b[8:])))
	s.filter[(key>>20)%filterBits/64] |= 1 << ((key >> 20) % 64)
	s.filter[(key>>40)%filterBits/64] |= 1 << ((key >> 40) % 64)
}

func (s *segment) mayHold(key uint64) bool {
	a := s.filter[(key>>20)%filterBits/64] >> ((key >> 20) % 64)
	b := s.filter[(key>>40)%filterBits/64] >> ((key >> 40) % 64)
	return a&b&1 != 0
}

// text returns the offset of t in the active segment.
func (s *segment) text(t *Text) uint32 {
	if t == nil || len(t.packed) == 0 {
		return 0
	}
	if t.gen == s.gen {
		return t.off
	}
	off, ok := s.known[string(t.packed)]
	if !ok {
		if int(s.textEnd)+len(t.packed)+2 > maxTexts || len(t.packed) > 0xffff {
			return 0
		}
		off = s.textEnd
		s.newTexts = binary.LittleEndian.AppendUint16(s.newTexts, uint16(len(t.packed)))
		s.newTexts = append(s.newTexts, t.packed...)
		s.textEnd += uint32(len(t.packed)) + 2
		s.known[string(t.packed)] = off
	}
	t.gen, t.off = s.gen, off
	return off
}

// SeenDelivery reports whether an entry of a delivery was ever added: where
// deliveries are seen, receipts need not be kept.
func (w *Window) SeenDelivery() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// Add remembers e. The same entry again is not kept twice.
func (w *Window) Add(e *Entry, route, peer *Text) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.active
	if p := s.slots[s.slot(e.Key)]; p != 0 {
		have, _, _ := parse(s.data[int(p-1)*entrySize:])
		if have == *e {
			return
		}
	}
	var buf [entrySize]byte
	le := binary.LittleEndian
	le.PutUint64(buf[:], e.Key)
	le.PutUint64(buf[8:], uint64(e.Time))
	le.PutUint64(buf[16:], uint64(e.Queued))
	le.PutUint32(buf[24:], e.Envelope)
	le.PutUint32(buf[28:], s.text(route))
	le.PutUint32(buf[32:], s.text(peer))
	buf[36] = byte(e.Kind)
	le.PutUint16(buf[38:], check(buf[:]))
	s.append(buf[:])
	w.sent = w.sent || e.Kind == Delivery
	w.newest = max(w.newest, e.Time)
	w.dirty = true
	if s.count >= w.size {
		w.roll()
	}
}

// roll makes the active segment a full one and begins the next.
func (w *Window) roll() {
	s := w.active
	next, err := w.create(s.n + 1)
	if err == nil {
		if err = w.write(s); err == nil {
			err = w.seal(s)
		}
		if err != nil {
			next.close()
			err = errors.Join(err, w.removeFiles(next.n))
		}
	}
	if err != nil {
		// The disk does not take it: this segment is lost, and begun anew in
		// memory, so that memory stays bounded.
		w.err = err
		w.evicted += uint64(s.count)
		n := s.n
		*s = segment{n: n, entries: s.entries, texts: s.texts}
		if err := errors.Join(s.entries.Truncate(textsStart), s.texts.Truncate(textsStart)); err != nil {
			w.err = errors.Join(w.err, err)
		}
		s.begin(w.size)
		return
	}
	w.segs = append(w.segs, s)
	w.active = next
	w.trim()
}

// trim drops segments beyond the bounds.
func (w *Window) trim() {
	total := w.active.count
	for _, s := range w.segs {
		total += s.count
	}
	for len(w.segs) > 0 {
		s := w.segs[0]
		old := s.newest < w.newest-int64(w.opts.MaxAge)
		// The active segment will be full some day.
		if !old && total-w.active.count+w.size <= w.opts.MaxEntries {
			return
		}
		s.close()
		if err := w.removeFiles(s.n); err != nil {
			w.err = err
		}
		if old {
			w.expired += uint64(s.count)
		} else {
			w.evicted += uint64(s.count)
		}
		total -= s.count
		w.segs = w.segs[1:]
	}
}

// write puts new texts and entries of the active segment into its files, texts
// first: an entry never points to a text that is not there.
func (w *Window) write(s *segment) error {
	if len(s.newTexts) > 0 {
		if _, err := s.texts.WriteAt(s.newTexts, int64(s.textEnd)-int64(len(s.newTexts))); err != nil {
			return err
		}
		s.newTexts = s.newTexts[:0]
	}
	if s.written < s.count {
		if _, err := s.entries.WriteAt(s.data[s.written*entrySize:], int64(textsStart+s.written*entrySize)); err != nil {
			return err
		}
		s.written = s.count
	}
	return nil
}

// seal writes the index of a segment. It appears under its name when it is
// complete.
func (w *Window) seal(s *segment) error {
	b := make([]byte, 0, indexHead+4*(len(s.slots)+len(s.prev)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.slots)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.prev)))
	for _, list := range [][]int32{s.slots, s.prev} {
		for _, v := range list {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	tmp := w.path(s.n, "tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, w.path(s.n, "index")); err != nil {
		return err
	}
	var err error
	if s.index, err = os.Open(w.path(s.n, "index")); err != nil {
		return err
	}
	s.shrink()
	return nil
}

// Flush writes what Add has taken to the files and drops what is too old. An
// error is about durability only.
func (w *Window) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.err
	w.err = nil
	if w.dirty {
		w.dirty = false
		if e := w.write(w.active); e != nil {
			w.dirty = true
			err = errors.Join(err, e)
		}
		w.trim()
	}
	return err
}

// Close flushes and closes the window.
func (w *Window) Close() error {
	err := w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeFiles()
	return err
}

// Stats are counters and sizes.
type Stats struct {
	Entries int    // in the window
	Evicted uint64 // dropped for want of room
	Expired uint64 // dropped for age
}

// Stats returns a snapshot.
func (w *Window) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Stats{Entries: w.active.count, Evicted: w.evicted, Expired: w.expired}
	for _, seg := range w.segs {
		s.Entries += seg.count
	}
	return s
}

// maxChain is how many entries of one key are looked at.
const maxChain = 64

// Find returns the newest entry with the given key that want accepts, nil
// without one. Entries come the newest first; an error is one of reading.
func (w *Window) Find(key uint64, want func(*Entry) bool) (*Found, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := maxChain
	for i := len(w.segs); i >= 0 && left > 0; i-- {
		s := w.active
		if i < len(w.segs) {
			s = w.segs[i]
		}
		if !s.mayHold(key) {
			continue
		}
		at, err := s.first(key)
		if err != nil {
			return nil, err
		}
		for ; at != noEntry && left > 0; left-- {
			b, err := s.entry(at)
			if err != nil {
				return nil, err
			}
			e, route, peer := parse(b)
			if want(&e) {
				f := &Found{Entry: e}
				if f.Route, err = s.readText(route); err != nil {
					return nil, err
				}
				f.Peer, err = s.readText(peer)
				return f, err
			}
			if at, err = s.before(at); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func (s *segment) entry(at int32) ([]byte, error) {
	if at < 0 || int(at) >= s.count {
		return nil, fmt.Errorf("%s is damaged", s.entries.Name())
	}
	if s.index == nil {
		return s.data[int(at)*entrySize:][:entrySize], nil
	}
	b := make([]byte, entrySize)
	_, err := s.entries.ReadAt(b, int64(textsStart+int(at)*entrySize))
	if err == nil && binary.LittleEndian.Uint16(b[38:]) != check(b) {
		err = fmt.Errorf("%s is damaged", s.entries.Name())
	}
	return b, err
}

// first returns the newest entry of key.
func (s *segment) first(key uint64) (int32, error) {
	if s.index == nil {
		return s.slots[s.slot(key)] - 1, nil
	}
	// A full segment keeps its slots in memory no more.
	n := s.slotCount
	mask := uint64(n - 1)
	var page [256]byte
	have := -1
	for i := key & mask; ; i = (i + 1) & mask {
		if p := int(i) &^ 63; p != have {
			if _, err := s.index.ReadAt(page[:min(256, n*4)], indexHead+int64(p)*4); err != nil {
				return noEntry, err
			}
			have = p
		}
		p := int32(binary.LittleEndian.Uint32(page[(int(i)-have)*4:]))
		if p == 0 {
			return noEntry, nil
		}
		b, err := s.entry(p - 1)
		if err != nil {
			return noEntry, err
		}
		if binary.LittleEndian.Uint64(b) == key {
			return p - 1, nil
		}
	}
}

func (s *segment) before(at int32) (int32, error) {
	if s.index == nil {
		return s.prev[at], nil
	}
	var b [4]byte
	_, err := s.index.ReadAt(b[:], indexHead+int64(s.slotCount+int(at))*4)
	return int32(binary.LittleEndian.Uint32(b[:])), err
}

func (s *segment) readText(off uint32) ([]string, error) {
	if off == 0 {
		return nil, nil
	}
	if end := int(s.textEnd) - len(s.newTexts); int(off) >= end && s.index == nil {
		b := s.newTexts[int(off)-end:]
		n := int(binary.LittleEndian.Uint16(b))
		return unpack(b[2 : 2+n]), nil
	}
	var size [2]byte
	if _, err := s.texts.ReadAt(size[:], int64(off)); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint16(size[:]))
	if _, err := s.texts.ReadAt(b, int64(off)+2); err != nil {
		return nil, err
	}
	return unpack(b), nil
}
