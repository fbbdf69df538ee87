package schema

import "sync"

// Pool keeps renderers between batches. Unlike a sync.Pool it does not forget
// them with a garbage collection: to learn the shapes of records anew takes
// longer than to render a batch. It holds as many as were in use at once, up
// to maxResting.
type Pool struct {
	opts    Options
	mu      sync.Mutex
	resting []*Renderer // the last one put is the next to go
}

const maxResting = 16

// NewPool returns a Pool of renderers with these options.
func NewPool(o Options) *Pool { return &Pool{opts: o} }

// Get returns a renderer that nobody else uses.
func (p *Pool) Get() *Renderer {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.resting) - 1
	if n < 0 {
		return NewRenderer(p.opts)
	}
	r := p.resting[n]
	p.resting = p.resting[:n]
	return r
}

// Put gives r back, which forgets the last record.
func (p *Pool) Put(r *Renderer) {
	r.Release()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.resting) < maxResting {
		p.resting = append(p.resting, r)
	}
}
