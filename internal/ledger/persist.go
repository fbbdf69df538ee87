package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"time"
	"unsafe"
)

const entrySize = int(unsafe.Sizeof(entry{}))

// Store keeps bytes by name over a restart. Get returns nil for a name that is
// not there.
type Store interface {
	Get(ctx context.Context, name string) ([]byte, error)
	Set(ctx context.Context, name string, value []byte) error
	Delete(ctx context.Context, name string) error
}

// What is stored:
//
//	ledger/head      which snapshot is in force and where its journal begins
//	ledger/sN/I      snapshot N, piece I
//	ledger/jN        journal piece N: events, in order
//
// A journal piece is written before a batch of records goes on, so a batch
// that the pipeline has accepted is never missing after a crash; one that it
// has not accepted comes again and counts once.
type persistence struct {
	mu      sync.Mutex
	store   Store
	pending []byte
	events  int // in the journal, not in the snapshot

	wmu    sync.Mutex // one writer at a time; taken before mu and Ledger.mu
	seq    uint64     // next journal piece
	from   uint64     // first journal piece behind the snapshot
	snap   uint64     // snapshot in force, 0 for none
	pieces int        // of the snapshot
}

const (
	nameHead  = "ledger/head"
	version   = 1
	pieceSize = 256 << 10
	// A snapshot is written when the journal has as many events as the ledger
	// has entries, and at least this many.
	minJournal = 20_000
)

func nameJournal(n uint64) string { return "ledger/j" + strconv.FormatUint(n, 10) }
func namePiece(n uint64, i int) string {
	return "ledger/s" + strconv.FormatUint(n, 10) + "/" + strconv.Itoa(i)
}

// ErrBroken says that what was stored is of no use. The ledger starts empty.
var ErrBroken = errors.New("the stored ledger cannot be read")

// Open makes l durable in store and takes over what is there. After an error
// that is ErrBroken the ledger is empty and in use; after any other it is not
// durable.
func (l *Ledger) Open(ctx context.Context, store Store) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.p
	p.seq, p.from, p.snap, p.pieces = 1, 1, 0, 0
	head, err := store.Get(ctx, nameHead)
	if err != nil {
		return err
	}
	if head != nil {
		err = l.load(ctx, store, head)
	} else {
		err = l.replay(ctx, store)
	}
	if err != nil && !errors.Is(err, ErrBroken) {
		return err
	}
	if err != nil {
		// Start anew under numbers that nothing has been stored under.
		l.reset()
		p.events = 0
		p.snap, p.pieces, p.seq = uint64(time.Now().UnixNano()), 0, uint64(time.Now().UnixNano())
		p.from = p.seq
		if err := store.Set(ctx, nameHead, p.head()); err != nil {
			return err
		}
	}
	p.store = store
	return err
}

func (p *persistence) head() (b []byte) {
	for _, v := range [...]uint64{version, p.snap, uint64(p.pieces), p.from} {
		b = binary.AppendUvarint(b, v)
	}
	return withSum(b)
}

func (l *Ledger) load(ctx context.Context, store Store, head []byte) error {
	p := &l.p
	if head = checked(head); head == nil {
		return fmt.Errorf("%w: its head is damaged", ErrBroken)
	}
	r := reader{b: head}
	if r.u64() != version {
		return fmt.Errorf("%w: it is of another version", ErrBroken)
	}
	p.snap, p.pieces, p.from = r.u64(), int(r.u64()), r.u64()
	if r.bad || p.pieces < 0 || p.pieces > 1<<20 {
		return fmt.Errorf("%w: its head is damaged", ErrBroken)
	}
	p.seq = p.from
	var all bytes.Buffer
	for i := range p.pieces {
		b, err := store.Get(ctx, namePiece(p.snap, i))
		if err != nil {
			return err
		}
		if b == nil {
			return fmt.Errorf("%w: piece %d is missing", ErrBroken, i)
		}
		all.Write(b)
	}
	if p.pieces > 0 {
		if err := l.decode(all.Bytes()); err != nil {
			return err
		}
	}
	return l.replay(ctx, store)
}

// replay applies the journal, which ends at the first piece that is missing.
func (l *Ledger) replay(ctx context.Context, store Store) error {
	p := &l.p
	for {
		b, err := store.Get(ctx, nameJournal(p.seq))
		if err != nil {
			return err
		}
		if b == nil {
			return nil
		}
		p.seq++
		if b = checked(b); b == nil {
			return fmt.Errorf("%w: its journal is damaged", ErrBroken)
		}
		for r := (reader{b: b}); len(r.b) > 0; {
			var ev Event
			ev.Kind = Kind(r.u64())
			ev.Key = Key{r.fixed(), r.fixed()}
			ev.Time, ev.Queued, ev.First = int64(r.fixed()), int64(r.fixed()), int64(r.fixed())
			ev.Print = uint32(r.u64())
			ev.Category = r.str()
			if r.bad || ev.Kind > GivenUp {
				return fmt.Errorf("%w: its journal is damaged", ErrBroken)
			}
			l.apply(&ev)
			p.events++
		}
	}
}

// note keeps an event for the next flush.
func (p *persistence) note(ev *Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		return
	}
	b := p.pending
	b = binary.AppendUvarint(b, uint64(ev.Kind))
	for _, v := range [...]uint64{ev.Key[0], ev.Key[1], uint64(ev.Time), uint64(ev.Queued), uint64(ev.First)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.AppendUvarint(b, uint64(ev.Print))
	b = binary.AppendUvarint(b, uint64(len(ev.Category)))
	p.pending = append(b, ev.Category...)
	p.events++
}

func (p *persistence) flush(ctx context.Context, l *Ledger) error {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.mu.Lock()
	b, store, events := p.pending, p.store, p.events
	p.pending = nil
	p.mu.Unlock()
	if store == nil || len(b) == 0 {
		return nil
	}
	if err := store.Set(ctx, nameJournal(p.seq), withSum(b)); err != nil {
		p.mu.Lock()
		p.pending = append(b, p.pending...)
		if len(p.pending) > maxPending {
			// The store fails for long. The next snapshot has it all.
			p.pending = p.pending[:0]
			p.events = 1 << 30 // so that it is due
		}
		p.mu.Unlock()
		return err
	}
	p.seq++
	l.mu.Lock()
	used := l.used
	l.mu.Unlock()
	if events < max(minJournal, used) {
		return nil
	}
	return p.snapshot(ctx, l, store)
}

const maxPending = 8 << 20

// Close writes a snapshot. The store is not used after it.
func (l *Ledger) Close(ctx context.Context) error {
	p := &l.p
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.mu.Lock()
	store, events := p.store, p.events
	p.mu.Unlock()
	if store == nil {
		return nil
	}
	var err error
	if events > 0 {
		err = p.snapshot(ctx, l, store)
	}
	p.mu.Lock()
	p.store = nil
	p.mu.Unlock()
	return err
}

// snapshot writes the whole ledger under a new name and then makes it the one
// in force. The caller holds wmu.
func (p *persistence) snapshot(ctx context.Context, l *Ledger, store Store) error {
	l.mu.Lock()
	p.mu.Lock()
	b := l.encode()
	// What is pending is in the snapshot.
	p.pending = nil
	events := p.events
	p.events = 0
	p.mu.Unlock()
	l.mu.Unlock()

	fail := func(err error) error {
		p.mu.Lock()
		p.events += events
		p.mu.Unlock()
		return err
	}
	next, n := p.snap+1, 0
	for rest := b; len(rest) > 0; n++ {
		k := min(len(rest), pieceSize)
		if err := store.Set(ctx, namePiece(next, n), rest[:k]); err != nil {
			return fail(err)
		}
		rest = rest[k:]
	}
	oldSnap, oldPieces, oldFrom := p.snap, p.pieces, p.from
	p.snap, p.pieces, p.from = next, n, p.seq
	if err := store.Set(ctx, nameHead, p.head()); err != nil {
		p.snap, p.pieces, p.from = oldSnap, oldPieces, oldFrom
		return fail(err)
	}
	// From here on the new one counts; what is left over is only waste.
	var errs []error
	for i := range oldPieces {
		errs = append(errs, store.Delete(ctx, namePiece(oldSnap, i)))
	}
	for i := oldFrom; i < p.seq; i++ {
		errs = append(errs, store.Delete(ctx, nameJournal(i)))
	}
	return errors.Join(errs...)
}

// encode renders the ledger. The caller holds l.mu.
func (l *Ledger) encode() []byte {
	b := make([]byte, 0, 64+l.used*96)
	for _, v := range [...]uint64{uint64(l.since), uint64(l.lostTo), uint64(l.seenTo), l.evicted, uint64(len(l.names) - 1)} {
		b = binary.AppendUvarint(b, v)
	}
	for _, n := range l.names[1:] {
		b = binary.AppendUvarint(b, uint64(len(n)))
		b = append(b, n...)
	}
	b = binary.AppendUvarint(b, uint64(l.used))
	for _, q := range []*list{&l.done, &l.live} {
		for i := q.head; i != none; i = l.entries[i].next {
			e := &l.entries[i]
			b = append(b, e.flags)
			for _, v := range [...]uint64{e.key[0], e.key[1], uint64(e.first), uint64(e.last), uint64(e.queued)} {
				b = binary.LittleEndian.AppendUint64(b, v)
			}
			b = binary.AppendUvarint(b, uint64(e.count))
			for n := e.count; n > 0 && n+ring > e.count; n-- {
				b = binary.LittleEndian.AppendUint32(b, e.prints[n%ring])
				b = binary.AppendUvarint(b, uint64(e.cats[n%ring]))
			}
		}
	}
	return withSum(b)
}

// decode is the reverse of encode. When there are more entries than fit, the
// oldest are left out.
func (l *Ledger) decode(b []byte) error {
	damaged := fmt.Errorf("%w: its snapshot is damaged", ErrBroken)
	if b = checked(b); b == nil {
		return damaged
	}
	r := reader{b: b}
	l.since, l.lostTo, l.seenTo, l.evicted = int64(r.u64()), int64(r.u64()), int64(r.u64()), r.u64()
	for n := r.u64(); n > 0 && !r.bad; n-- {
		name := r.str()
		l.ids[name] = uint16(len(l.names))
		l.names = append(l.names, name)
	}
	for n := r.u64(); n > 0 && !r.bad; n-- {
		var e entry
		e.flags = r.byte()
		e.key = Key{r.fixed(), r.fixed()}
		e.first, e.last, e.queued = int64(r.fixed()), int64(r.fixed()), int64(r.fixed())
		e.count = uint32(r.u64())
		for k := e.count; k > 0 && k+ring > e.count; k-- {
			e.prints[k%ring] = r.u32()
			c := r.u64()
			if c >= uint64(len(l.names)) {
				return damaged
			}
			e.cats[k%ring] = uint16(c)
		}
		if r.bad || e.count == 0 || l.find(e.key) != none {
			return damaged
		}
		i := l.add(e.key)
		l.entries[i] = e
		if e.flags&flagDone != 0 {
			l.push(&l.done, i)
		} else {
			l.push(&l.live, i)
		}
	}
	if r.bad || len(r.b) > 0 {
		return damaged
	}
	return nil
}

func withSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func checked(b []byte) []byte {
	n := len(b) - 4
	if n < 0 || crc32.ChecksumIEEE(b[:n]) != binary.LittleEndian.Uint32(b[n:]) {
		return nil
	}
	return b[:n:n]
}

// reader reads what was appended; bad sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u64() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) str() string { return string(r.take(int(min(r.u64(), 1<<20)))) }
