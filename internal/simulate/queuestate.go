package simulate

import (
	"slices"
	"strings"
	"time"
)

// DefaultBackoffThreshold is how many failed attempts in a row put a queue into backoff unless a caller says otherwise.
const DefaultBackoffThreshold = 5

// QueueChange is one change in the state of a queue. If SourceIP is set it is about that IP in this queue, and Disabled
// is its new state; else it is about the queue's mode, and Backoff is its new state.
type QueueChange struct {
	Queue    string // "domain/vmta" or "name.rollup/vmta"
	At       time.Time
	Backoff  bool
	Reason   string // the SMTP reply, or the dsnStatus if no host answered; empty when things are well again
	SourceIP string
	Disabled bool
}

// DisabledIP is a source IP that a queue does not use.
type DisabledIP struct {
	IP     string
	Since  time.Time
	Reason string // the SMTP reply
}

// QueueState is what [QueueStates] knows of one queue.
type QueueState struct {
	Backoff  bool
	Since    time.Time    // of the last change of the mode; zero before the first
	Reason   string       // why it is in backoff
	Disabled []DisabledIP // by time
}

// QueueStates derives from events what PowerMTA would do to queues, so that all streams of a run agree about it:
//
//   - A queue whose last attempts, as many as the threshold, were all Transient or TransientQueue is in backoff, until
//     a Delivery.
//   - A source IP whose last attempts in a queue, as many as the threshold, were all Transient with a reply that names
//     the IP is disabled for this queue, until a Delivery from it.
//
// A Bounce by a host's reply ends a row of failures but not the backoff. One that no host has part in (expired, deleted,
// no such domain) does neither. The result depends on nothing but the events. It is not safe for concurrent use. The
// number of queues is that of the world's domains times its vMTAs, so its memory is bounded.
type QueueStates struct {
	threshold int
	queues    map[string]*queueRow
	changes   []QueueChange
}

type queueRow struct {
	QueueState
	failures int
	ips      []ipRow
}

type ipRow struct {
	ip       string
	failures int
}

// NewQueueStates starts with all queues in normal mode and all source IPs enabled. A threshold below 1 is
// [DefaultBackoffThreshold].
func NewQueueStates(threshold int) *QueueStates {
	if threshold < 1 {
		threshold = DefaultBackoffThreshold
	}
	return &QueueStates{threshold: threshold, queues: map[string]*queueRow{}}
}

// State returns what is known of a queue. The list in it must not be changed, nor kept beyond the next Observe.
func (q *QueueStates) State(queue string) QueueState {
	if row := q.queues[queue]; row != nil {
		return row.QueueState
	}
	return QueueState{}
}

// Observe takes the next event and returns what it changes: nothing for most events, otherwise a source IP before the
// queue when things get worse and after it when they get better. The slice is valid until the next call.
func (q *QueueStates) Observe(e *Event) []QueueChange {
	a := e.Attempt
	if a == nil || a.Queue == "" {
		return nil
	}
	q.changes = q.changes[:0]
	switch e.Type {
	case Transient, TransientQueue:
		q.failed(q.row(a.Queue), e)
	case Delivery:
		q.delivered(q.row(a.Queue), e)
	case Bounce:
		if row := q.queues[a.Queue]; row != nil && a.Host != "" && a.Status != statusExpired {
			row.failures = 0
			row.ip(a.SourceIP).failures = 0
		}
	}
	return q.changes
}

func (q *QueueStates) row(queue string) *queueRow {
	row := q.queues[queue]
	if row == nil {
		row = new(queueRow)
		q.queues[queue] = row
	}
	return row
}

func (r *queueRow) ip(ip string) *ipRow {
	for i := range r.ips {
		if r.ips[i].ip == ip {
			return &r.ips[i]
		}
	}
	r.ips = append(r.ips, ipRow{ip: ip})
	return &r.ips[len(r.ips)-1]
}

func (r *queueRow) disabled(ip string) int {
	return slices.IndexFunc(r.Disabled, func(d DisabledIP) bool { return d.IP == ip })
}

func (q *QueueStates) failed(row *queueRow, e *Event) {
	a := e.Attempt
	_, reply, _ := strings.Cut(a.Diag, ";")
	if e.Type == Transient {
		ip := row.ip(a.SourceIP)
		if !namesIP(reply, a.SourceIP) {
			ip.failures = 0
		} else if ip.failures++; ip.failures >= q.threshold && row.disabled(a.SourceIP) < 0 {
			row.Disabled = append(row.Disabled, DisabledIP{IP: a.SourceIP, Since: e.At, Reason: reply})
			q.changes = append(q.changes, QueueChange{Queue: a.Queue, At: e.At, Reason: reply,
				SourceIP: a.SourceIP, Disabled: true})
		}
	}
	if row.failures++; row.failures >= q.threshold && !row.Backoff {
		if reply == "" {
			reply = a.Status
		}
		row.Backoff, row.Since, row.Reason = true, e.At, reply
		q.changes = append(q.changes, QueueChange{Queue: a.Queue, At: e.At, Backoff: true, Reason: reply})
	}
}

func (q *QueueStates) delivered(row *queueRow, e *Event) {
	a := e.Attempt
	row.failures = 0
	row.ip(a.SourceIP).failures = 0
	if row.Backoff {
		row.Backoff, row.Since, row.Reason = false, e.At, ""
		q.changes = append(q.changes, QueueChange{Queue: a.Queue, At: e.At})
	}
	if i := row.disabled(a.SourceIP); i >= 0 {
		row.Disabled = slices.Delete(row.Disabled, i, i+1)
		q.changes = append(q.changes, QueueChange{Queue: a.Queue, At: e.At, SourceIP: a.SourceIP})
	}
}

// namesIP reports whether the text holds the IP and not only as part of a longer one.
func namesIP(text, ip string) bool {
	part := func(c byte) bool {
		return c == '.' || c == ':' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	for from := 0; ip != ""; {
		i := strings.Index(text[from:], ip)
		if i < 0 {
			break
		}
		i += from
		end := i + len(ip)
		// A full stop or colon after it may end a sentence.
		if (i == 0 || !part(text[i-1])) &&
			(end == len(text) || !part(text[end]) || (text[end] == '.' || text[end] == ':') && (end+1 == len(text) || !part(text[end+1]))) {
			return true
		}
		from = i + 1
	}
	return false
}
