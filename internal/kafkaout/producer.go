package kafkaout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// ErrTooLarge says that a message is over Config.MaxMessageBytes.
var ErrTooLarge = errors.New("message is too large")

// Stats counts what a Producer did since it was made.
type Stats struct {
	Messages  int64         // acknowledged
	Bytes     int64         // acknowledged, as sent: compressed, with framing
	Retries   int64         // batches sent again
	Splits    int64         // batches cut because the broker found them too large
	Throttled time.Duration // time the broker told us to wait (quota)
}

// Producer sends messages. It is safe for several goroutines.
type Producer struct {
	cfg    Config
	client *client
	codec  *codec

	batches sync.Pool // of *batch

	topics sync.Map // name -> *topicState

	mu    sync.Mutex          // guards pause
	pause map[int32]time.Time // broker -> not to be used before (quota)

	messages, bytes, retries, splits, throttled atomic.Int64
}

// New returns a Producer. It connects with the first request, so a broker
// that is away does not keep a program from starting.
func New(cfg Config) (*Producer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.BatchBytes <= 0 || cfg.BatchBytes > cfg.MaxMessageBytes {
		cfg.BatchBytes = cfg.MaxMessageBytes
	}
	c, err := newClient(&cfg)
	if err != nil {
		return nil, err
	}
	z, err := newCodec(cfg.Compression, cfg.CompressionLevel)
	if err != nil {
		return nil, err
	}
	p := &Producer{cfg: cfg, client: c, codec: z, pause: map[int32]time.Time{}}
	p.batches.New = func() any { return new(batch) }
	return p, nil
}

// Close closes all connections. No request may be under way.
func (p *Producer) Close() { p.client.close() }

// Stats returns the counters.
func (p *Producer) Stats() Stats {
	return Stats{
		Messages: p.messages.Load(), Bytes: p.bytes.Load(), Retries: p.retries.Load(),
		Splits: p.splits.Load(), Throttled: time.Duration(p.throttled.Load()),
	}
}

func (p *Producer) topic(name string) *topicState {
	if s, ok := p.topics.Load(name); ok {
		return s.(*topicState)
	}
	s, _ := p.topics.LoadOrStore(name, newTopicState(name))
	return s.(*topicState)
}

func (p *Producer) newBatch() *batch {
	b := p.batches.Get().(*batch)
	b.reset()
	return b
}

// queue holds the batches of one partition, in the order to be sent.
type queue struct {
	topic     *topicState
	partition int32
	batches   []*batch
	load      *atomic.Int64 // of the partition
	added     int64         // what this queue has put there
	err       error         // why the first batch is still here
	dead      bool          // not to be tried again in this Send
}

// topicWork is a topic within one Request.
type topicWork struct {
	state  *topicState
	err    error // no metadata: every message fails with it
	failed []int32
	queues []*queue // by partition, nil where nothing was added
	parts  []int    // partition numbers, as the partitioners want them
	loads  []loadOf
	keep   int // partition in use for messages without a key; -1: choose
	keepN  int // batches it may have before another is chosen
}

// Request collects messages and sends them. It is not safe for several
// goroutines. After Send it is of no further use.
type Request struct {
	p      *Producer
	ctx    context.Context
	topics map[string]*topicWork
	last   *topicWork
	order  []*topicWork
}

// NewRequest returns an empty Request. ctx bounds the waiting for metadata in
// Add.
func (p *Producer) NewRequest(ctx context.Context) *Request {
	return &Request{p: p, ctx: ctx, topics: map[string]*topicWork{}}
}

func (r *Request) work(topic string) *topicWork {
	if r.last != nil && r.last.state.name == topic {
		return r.last
	}
	w := r.topics[topic]
	if w == nil {
		w = &topicWork{state: r.p.topic(topic), keep: -1}
		var leaders []int32
		leaders, w.err = r.p.leaders(r.ctx, topic)
		if w.err == nil {
			w.queues = make([]*queue, len(leaders))
			w.parts = make([]int, len(leaders))
			for i := range w.parts {
				w.parts[i] = i
			}
			w.loads = w.state.loads(len(leaders))
		}
		r.topics[topic] = w
		r.order = append(r.order, w)
	}
	r.last = w
	return w
}

// leaders asks for metadata until it is there or ctx ends. Where there may be
// other topics in the request it takes half of the time at most, so that their
// messages do not have to wait for a topic that is not there.
func (p *Producer) leaders(ctx context.Context, topic string) ([]int32, error) {
	if deadline, ok := ctx.Deadline(); ok && topic != p.cfg.OnlyTopic {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	var why error
	for backoff := p.cfg.BackoffMin; ; backoff = min(2*backoff, p.cfg.BackoffMax) {
		epoch := p.client.now()
		leaders, err := p.client.partitions(ctx, topic)
		if err == nil {
			return leaders, nil
		}
		err = cause(why, err)
		why = err
		p.client.refresh(epoch)
		if lasting(err) || !sleep(ctx, backoff) {
			return nil, err
		}
	}
}

// cause returns err, or what went wrong before when err only says that time is
// up.
func cause(before, err error) error {
	if before != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)) {
		return before
	}
	return err
}

// sleep waits for about d. It is false when ctx ended or would end meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	d = d/2 + rand.N(d/2+1)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Add appends a message. key may be nil; ms is the timestamp in milliseconds
// since the epoch; ref comes back in the Result if the message fails. The only
// error is ErrTooLarge: the message was not added. Add keeps nothing of its
// arguments.
func (r *Request) Add(topic string, key, value []byte, headers Headers, ms int64, ref int32) error {
	h := headers.bytes()
	size := recordSize(key, value, h)
	if size+batchHeader > r.p.cfg.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes, max_message_bytes is %d", ErrTooLarge, size+batchHeader, r.p.cfg.MaxMessageBytes)
	}
	w := r.work(topic)
	if w.err != nil {
		w.failed = append(w.failed, ref)
		return nil
	}
	limit := r.p.cfg.BatchBytes
	if l := int(w.state.limit.Load()); l > 0 {
		limit = min(limit, l)
	}
	limit -= size + batchHeader // what a batch may have to take this message too
	part := w.choose(r.p.cfg.Partitioner, key, limit)
	q := w.queues[part]
	if q == nil {
		q = &queue{topic: w.state, partition: int32(part), load: &w.loads[part].bytes}
		w.queues[part] = q
	}
	if q.full(limit) {
		q.batches = append(q.batches, r.p.newBatch())
	}
	n := len(q.batches)
	q.batches[n-1].add(ms, key, value, h, ref)
	q.load.Add(int64(size))
	q.added += int64(size)
	return nil
}

// full reports whether the last batch is over limit, or missing.
func (q *queue) full(limit int) bool {
	n := len(q.batches)
	return n == 0 || len(q.batches[n-1].raw) > limit
}

// MaxValue returns how many bytes a message with this key and these headers may
// have.
func (p *Producer) MaxValue(key []byte, headers Headers) int {
	return p.cfg.MaxMessageBytes - batchHeader - recordSize(key, nil, headers.bytes())
}

// choose returns the partition of a message. limit is as for full.
func (w *topicWork) choose(how Partitioner, key []byte, limit int) int {
	switch {
	case len(w.parts) == 1:
		return 0
	case how == RoundRobin:
		return w.next()
	case key == nil || how == LeastBytes:
		// Another partition only with a new batch: large batches compress well.
		if w.keep < 0 || w.filled(limit) {
			if how == LeastBytes {
				w.keep = w.leastLoaded()
			} else {
				w.keep = w.next()
			}
			w.keepN = 1
			if q := w.queues[w.keep]; q != nil {
				w.keepN = len(q.batches) + 1
			}
		}
		return w.keep
	case how == SaramaFNV:
		return w.state.sarama.Balance(kafka.Message{Key: key}, w.parts...)
	}
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: key}, w.parts...)
}

func (w *topicWork) next() int { return int(w.state.turn.Add(1) % uint64(len(w.parts))) }

// filled reports whether the partition in use got the batch it was chosen for,
// and that is full.
func (w *topicWork) filled(limit int) bool {
	q := w.queues[w.keep]
	return q != nil && len(q.batches) >= w.keepN && q.full(limit)
}

func (w *topicWork) leastLoaded() int {
	best := w.next() // among equals, take turns
	for i := range w.loads {
		if w.loads[i].bytes.Load() < w.loads[best].bytes.Load() {
			best = i
		}
	}
	return best
}

// Failure is a set of messages with the reason.
type Failure struct {
	Refs []int32
	Err  error
}

// Result says what became of the messages of a Request. A message that is in
// neither list was acknowledged.
type Result struct {
	// Failed messages may succeed when they are added to a new Request.
	Failed []Failure
	// Rejected messages will never be taken by the broker as they are; Err
	// is kafka.MessageSizeTooLarge, kafka.InvalidTimestamp or kafka.InvalidRecord,
	// wrapped.
	Rejected []Failure
}

// Err returns the reasons of Failed, nil when there are none.
func (r *Result) Err() error {
	var errs []error
	seen := map[string]bool{}
	for _, f := range r.Failed {
		if s := f.Err.Error(); !seen[s] {
			seen[s] = true
			errs = append(errs, f.Err)
		}
	}
	return errors.Join(errs...)
}

// Send delivers everything and returns when each message is acknowledged,
// rejected, or has failed for longer than ctx allows.
func (r *Request) Send(ctx context.Context) Result {
	var res Result
	var open []*queue
	for _, w := range r.order {
		if len(w.failed) > 0 {
			res.Failed = append(res.Failed, Failure{w.failed, w.err})
		}
		for _, q := range w.queues {
			if q != nil {
				open = append(open, q)
			}
		}
	}
	r.p.deliver(ctx, open, &res)
	for _, w := range r.order {
		for _, q := range w.queues {
			if q == nil {
				continue
			}
			for _, b := range q.batches { // what has failed
				r.p.batches.Put(b)
			}
			q.load.Add(-q.added)
		}
	}
	return res
}

// deliver works in rounds: each round sends the first batch of each queue, one
// request per broker, all brokers at the same time.
func (p *Producer) deliver(ctx context.Context, open []*queue, res *Result) {
	for attempt := 0; len(open) > 0; {
		epoch := p.client.now()
		p.round(ctx, open, res)
		troubled := false
		open = slices.DeleteFunc(open, func(q *queue) bool {
			if len(q.batches) > 0 && q.err != nil {
				if !q.dead {
					troubled = true
					return false
				}
				p.giveUp(q, res)
				return true
			}
			return len(q.batches) == 0
		})
		if !troubled {
			attempt = 0
			continue
		}
		p.client.refresh(epoch)
		attempt++
		if !sleep(ctx, min(p.cfg.BackoffMin<<min(attempt-1, 10), p.cfg.BackoffMax)) {
			for _, q := range open {
				if q.err == nil {
					q.err = context.Cause(ctx)
					if q.err == nil {
						q.err = context.DeadlineExceeded
					}
				}
				p.giveUp(q, res)
			}
			return
		}
	}
}

func (p *Producer) giveUp(q *queue, res *Result) {
	f := Failure{Err: fmt.Errorf("topic %q, partition %d: %w", q.topic.name, q.partition, q.err)}
	for _, b := range q.batches {
		f.Refs = append(f.Refs, b.refs...)
	}
	res.Failed = append(res.Failed, f)
}

// round sends the first batch of each queue. Afterwards q.err says why it is
// still there, or is nil.
func (p *Producer) round(ctx context.Context, open []*queue, res *Result) {
	type broker struct {
		id    int32
		heads []*queue
	}
	var brokers []*broker
	type layout struct {
		leaders []int32
		err     error
	}
	layouts := map[*topicState]layout{}
	for _, q := range open {
		known, ok := layouts[q.topic]
		if !ok {
			known.leaders, known.err = p.client.partitions(ctx, q.topic.name)
			layouts[q.topic] = known
		}
		l := known.leaders
		switch {
		case known.err != nil:
			q.err, q.dead = cause(q.err, known.err), lasting(known.err)
			continue
		case int(q.partition) >= len(l):
			// The topic was made anew with fewer partitions. A new Request
			// spreads its messages over those.
			q.err, q.dead = kafka.UnknownTopicOrPartition, true
			continue
		case l[q.partition] < 0:
			q.err = kafka.LeaderNotAvailable
			continue
		}
		if err := q.batches[0].seal(p.codec); err != nil {
			q.err, q.dead = err, true
			continue
		}
		id := l[q.partition]
		i := slices.IndexFunc(brokers, func(b *broker) bool { return b.id == id })
		if i < 0 {
			i = len(brokers)
			brokers = append(brokers, &broker{id: id})
		}
		brokers[i].heads = append(brokers[i].heads, q)
	}

	send := func(b *broker) ([]answer, error) {
		if err := p.awaitQuota(ctx, b.id); err != nil {
			return nil, err
		}
		answers, throttle, err := p.client.produce(ctx, b.heads)
		if throttle > 0 {
			p.throttled.Add(int64(throttle))
			p.mu.Lock()
			p.pause[b.id] = time.Now().Add(throttle)
			p.mu.Unlock()
		}
		return answers, err
	}
	settle := func(b *broker, answers []answer, err error) {
		for i, q := range b.heads {
			a := answer{err: err}
			if err == nil {
				a = answers[i]
			}
			p.settle(q, a, res)
		}
	}
	if len(brokers) == 1 {
		answers, err := send(brokers[0])
		settle(brokers[0], answers, err)
		return
	}
	type outcome struct {
		answers []answer
		err     error
	}
	outcomes := make([]outcome, len(brokers))
	var wg sync.WaitGroup
	for i, b := range brokers {
		wg.Go(func() { outcomes[i].answers, outcomes[i].err = send(b) })
	}
	wg.Wait()
	for i, b := range brokers {
		settle(b, outcomes[i].answers, outcomes[i].err)
	}
}

// awaitQuota waits until the broker wants to hear from us again. The broker
// answers at once and then ignores the connection for a while (KIP-219), so
// that sending earlier would only look like a timeout.
func (p *Producer) awaitQuota(ctx context.Context, id int32) error {
	p.mu.Lock()
	until := p.pause[id]
	p.mu.Unlock()
	d := time.Until(until)
	if d <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && until.After(deadline) {
		return fmt.Errorf("broker %d asks for a pause of another %v (quota)", id, d.Round(time.Millisecond))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle acts on the answer for the first batch of q.
func (p *Producer) settle(q *queue, a answer, res *Result) {
	before := q.err
	q.err = nil
	b := q.batches[0]
	drop := func() {
		q.batches = q.batches[1:]
		p.batches.Put(b)
	}
	reject := func(b *batch, err error) {
		res.Rejected = append(res.Rejected, Failure{slices.Clone(b.refs),
			fmt.Errorf("topic %q, partition %d: %w", q.topic.name, q.partition, p.client.explain(err))})
	}
	replace := func(by ...*batch) {
		q.batches = append(by, q.batches[1:]...)
		p.batches.Put(b)
	}
	split := func(first func(int) bool) (*batch, *batch) {
		x, y := p.newBatch(), p.newBatch()
		b.pick(x, first)
		b.pick(y, func(i int) bool { return !first(i) })
		return x, y
	}
	switch {
	case a.err == nil:
		p.messages.Add(int64(len(b.refs)))
		p.bytes.Add(int64(len(b.sealed)))
		drop()
	case errors.Is(a.err, kafka.MessageSizeTooLarge) || errors.Is(a.err, kafka.RecordListTooLarge):
		if len(b.refs) == 1 {
			reject(b, a.err)
			drop()
			return
		}
		// The broker's limit is below ours. Remember, so that the next
		// batches fit at once.
		if half := int64(len(b.raw) / 2); q.topic.limit.Load() == 0 || half < q.topic.limit.Load() {
			q.topic.limit.Store(max(half, 1<<10))
		}
		n := len(b.refs) / 2
		replace(split(func(i int) bool { return i < n }))
		p.splits.Add(1)
	case errors.Is(a.err, kafka.InvalidTimestamp) || errors.Is(a.err, kafka.InvalidRecord):
		if len(b.refs) == 1 {
			reject(b, a.err)
			drop()
			return
		}
		if n := len(a.indices); n == 0 || n == len(b.refs) {
			// All of them: the topic does not want what we send (compacted, no
			// key). That is for the operator, not for the dead letters.
			if n > 0 {
				q.err, q.dead = p.client.explain(a.err), true
				return
			}
			half := len(b.refs) / 2
			replace(split(func(i int) bool { return i < half }))
			return
		}
		bad, good := split(func(i int) bool { return slices.Contains(a.indices, int32(i)) })
		reject(bad, a.err)
		p.batches.Put(bad)
		replace(good)
	default:
		q.err, q.dead = cause(before, p.client.explain(a.err)), lasting(a.err)
		p.retries.Add(1)
	}
}
