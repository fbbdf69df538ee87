package spool

import (
	"sort"
	"sync"
	"time"
)

// header is the header line that records were read under.
type header struct {
	line    []byte // with line end; empty for JSON and when the input had none
	columns int
	ext     string // csv or json
}

// block is a run of whole records under one header.
type block struct {
	buf     []byte
	records int64
	extra   int64 // bytes of buf that belong to no whole record
	hdr     *header
}

// spare is how many empty blocks are kept for the next burst.
const spare = 8

// queue holds records between the input and the disk. Its memory is bounded
// by limit; what does not fit is dropped, and the drops are counted.
type queue struct {
	limit     int64 // bytes
	blockSize int
	maxWait   time.Duration

	mu      sync.Mutex // guards everything below
	held    int64      // bytes of all blocks: waiting, being written, free
	waiting []*block   // oldest first; the last one is still being filled
	free    []*block
	closed  bool
	// stuck is set when there was no room, until a block is written: what is
	// dropped is one run, and the wait for room is not repeated.
	stuck  bool
	reason Reason // of what has to be dropped now
	totals Totals

	ready chan struct{} // a block waits, or the queue was closed
	room  chan struct{} // a block was written
}

func newQueue(limit int64, blockSize int, maxWait time.Duration) *queue {
	return &queue{limit: limit, blockSize: blockSize, maxWait: maxWait, reason: ReasonDiskSlow,
		totals: Totals{Dropped: map[Reason]Count{}},
		ready:  make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put takes the records in data, which end at ends. It returns at once, or
// after maxWait when there is no room; it never waits twice for a disk that
// stands still.
func (q *queue) put(h *header, data []byte, ends []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.totals.Read.add(int64(len(ends)), int64(len(data)))
	start := 0
	for i := 0; i < len(ends); {
		if q.closed {
			q.drop(ReasonShutdown, int64(len(ends)-i), int64(len(data)-start))
			return
		}
		var b *block
		if !q.stuck {
			b = q.last(h, ends[i]-start)
		}
		if b == nil {
			if q.wait() {
				continue
			}
			q.drop(q.reason, int64(len(ends)-i), int64(len(data)-start))
			return
		}
		// As many as fit.
		fits := start + cap(b.buf) - len(b.buf)
		j := i + sort.Search(len(ends)-i, func(k int) bool { return ends[i+k] > fits })
		b.buf = append(b.buf, data[start:ends[j-1]]...)
		b.records += int64(j - i)
		start, i = ends[j-1], j
		signal(q.ready)
	}
}

// raw takes bytes that are no whole record, to be judged by the agent. They
// count as incomplete and as nothing else.
func (q *queue) raw(h *header, data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.totals.Incomplete++
	if b := q.last(h, len(data)); b != nil && !q.closed {
		b.buf = append(b.buf, data...)
		b.extra += int64(len(data))
		signal(q.ready)
	}
}

// last returns a block under h with room for need more bytes, nil if there is
// none.
func (q *queue) last(h *header, need int) *block {
	if n := len(q.waiting); n > 0 {
		if b := q.waiting[n-1]; b.hdr == h && cap(b.buf)-len(b.buf) >= need {
			return b
		}
	}
	var b *block
	switch n := len(q.free); {
	case need <= q.blockSize && n > 0:
		b, q.free = q.free[n-1], q.free[:n-1]
	default:
		size := int64(max(q.blockSize, need))
		for len(q.free) > 0 && q.held+size > q.limit {
			q.free = q.free[:len(q.free)-1]
			q.held -= int64(q.blockSize)
		}
		if q.held+size > q.limit {
			return nil
		}
		q.held += size
		b = &block{buf: make([]byte, 0, size)}
	}
	b.hdr = h
	q.waiting = append(q.waiting, b)
	q.totals.BufferPeak = max(q.totals.BufferPeak, q.held)
	return b
}

// wait waits for a block to be written. The lock is released meanwhile.
func (q *queue) wait() bool {
	if q.maxWait <= 0 || q.stuck {
		q.stuck = true
		return false
	}
	select {
	case <-q.room: // of some time ago
	default:
	}
	q.mu.Unlock()
	t := time.NewTimer(q.maxWait)
	ok := false
	select {
	case <-q.room:
		ok = true
	case <-t.C:
	}
	t.Stop()
	q.mu.Lock()
	q.totals.Waits++
	q.stuck = !ok
	return ok
}

func (q *queue) drop(r Reason, records, bytes int64) {
	c := q.totals.Dropped[r]
	c.add(records, bytes)
	q.totals.Dropped[r] = c
}

// take returns the oldest block, nil if none waits.
func (q *queue) take() *block {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	b := q.waiting[0]
	q.waiting[0] = nil
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	return b
}

// done gives a block back that was written.
func (q *queue) done(b *block) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if size := cap(b.buf); size == q.blockSize && len(q.free) < spare {
		b.buf, b.records, b.extra, b.hdr = b.buf[:0], 0, 0, nil
		q.free = append(q.free, b)
	} else {
		q.held -= int64(size)
	}
	q.stuck = false
	signal(q.room)
}

// close says that nothing more comes.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.ready)
}

// ended says that nothing waits and nothing more comes.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.waiting) == 0
}

// abandon drops all that waits, and b.
func (q *queue) abandon(b *block) {
	if b == nil {
		b = q.take()
	}
	for ; b != nil; b = q.take() {
		q.mu.Lock()
		q.drop(ReasonShutdown, b.records, int64(len(b.buf))-b.extra)
		q.mu.Unlock()
	}
}

func (q *queue) update(f func(t *Totals)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(&q.totals)
}

func (q *queue) setReason(r Reason) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reason = r
}

func (q *queue) snapshot() Totals {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.totals
	t.Dropped = make(map[Reason]Count, len(q.totals.Dropped))
	for k, v := range q.totals.Dropped {
		t.Dropped[k] = v
	}
	return t
}
