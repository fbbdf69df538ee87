package webhook

import (
	"context"
	"sync"
)

// Once does each piece of work one time, although a sender that missed the
// answer asks for it again, perhaps while it is still being done. The results
// of the latest pieces are remembered.
type Once[K comparable, V any] struct {
	mu      sync.Mutex // guards everything below
	running map[K]*call[V]
	done    map[K]V
	order   []K // of done, the oldest at next once it is full
	next    int
	size    int
}

type call[V any] struct {
	ended chan struct{}
	value V
	ok    bool // value is set; not so when the work panicked
}

// NewOnce returns a Once that remembers size results.
func NewOnce[K comparable, V any](size int) *Once[K, V] {
	return &Once[K, V]{running: map[K]*call[V]{}, done: map[K]V{}, size: max(size, 1)}
}

// Do returns the result for key: of work, or of an earlier or concurrent call
// of it, then again is true. work says with keep whether its result is to be
// remembered. Do waits for a concurrent call until ctx ends; then ok is false.
func (o *Once[K, V]) Do(ctx context.Context, key K, work func() (v V, keep bool)) (v V, again, ok bool) {
	o.mu.Lock()
	if v, ok := o.done[key]; ok {
		o.mu.Unlock()
		return v, true, true
	}
	if c := o.running[key]; c != nil {
		o.mu.Unlock()
		select {
		case <-c.ended:
			return c.value, true, c.ok
		case <-ctx.Done():
			return v, true, false
		}
	}
	c := &call[V]{ended: make(chan struct{})}
	o.running[key] = c
	o.mu.Unlock()

	keep := false
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.running, key)
		if keep {
			o.remember(key, c.value)
		}
		close(c.ended)
	}()
	c.value, keep = work()
	c.ok = true
	return c.value, false, true
}

func (o *Once[K, V]) remember(key K, v V) {
	if len(o.order) < o.size {
		o.order = append(o.order, key)
	} else {
		delete(o.done, o.order[o.next])
		o.order[o.next] = key
		o.next = (o.next + 1) % o.size
	}
	o.done[key] = v
}
