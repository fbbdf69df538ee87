package webmon

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Opt is a value that a page may lack.
type Opt[T any] struct {
	V  T
	OK bool
}

// Some returns a value that is there.
func Some[T any](v T) Opt[T] { return Opt[T]{V: v, OK: true} }

// Flow counts what went in or out.
type Flow struct {
	Recipients Opt[int64]
	Messages   Opt[int64]
	Bytes      Opt[int64] // from kilobytes with one decimal
}

// Traffic is what went through in some time.
type Traffic struct {
	In, Out               Flow
	BounceProcessed       Opt[int64] // bounce messages read by the bounce processor
	FeedbackLoopProcessed Opt[int64] // feedback reports read
}

// Connections are SMTP connections of one direction.
type Connections struct {
	Current Opt[int64]
	Max     Opt[int64] // allowed by licence and configuration
	Top     Opt[int64] // most at a time since the start
}

// Backlog is what waits for one way of delivery.
type Backlog struct {
	Type       string // lower snake case: "smtp", "pipe", "bounce_processor"
	Recipients Opt[int64]
	Domains    Opt[int64]
	Bytes      Opt[int64]
}

// Spool is the state of the spool.
type Spool struct {
	InitPercent   Opt[float64] // 100 when all files have been read after a start
	Directories   Opt[int64]
	FilesInUse    Opt[int64]
	FilesRecycled Opt[int64] // kept for reuse
	FilesTotal    Opt[int64]
	Recipients    Opt[int64]
	MaxRecipients Opt[int64]
}

// Status is the page /status.
type Status struct {
	Version  string // "5.0r8"
	HostName string
	State    string // "running", as written; since 5.0

	// NowText and StartedText are local times without a zone, as written.
	NowText, StartedText string
	// Now and Started are the same in the zone of [ParseOptions]; zero if they
	// are missing or no times.
	Now, Started time.Time

	ShuttingDown Opt[bool]

	Total, LastHour, LastMinute, TopPerHour, TopPerMinute Traffic

	SMTPIn, SMTPOut Connections

	NamesCached    Opt[int64]
	QueriesPending Opt[int64]
	QueriesActive  Opt[int64]

	Backlog []Backlog // in the order of the page, at most 16
	Spool   Spool
}

// Modes of a queue.
const (
	ModeNormal  = "normal"
	ModeBackoff = "backoff"
)

// Row is a queue, domain, vMTA or job in a list.
type Row struct {
	Name        string // "domain/vmta", a domain, a vMTA, a job
	Recipients  Opt[int64]
	Bytes       Opt[int64]
	Connections Opt[int64]
	Domains     Opt[int64] // vMTAs only

	Paused    Opt[bool] // queues only
	Mode      string    // queues only: ModeNormal, ModeBackoff, or empty if the page does not say
	RetryText string    // next attempt, local time as written

	Events []Event // newest first, as in the page
}

// The kinds of [Event].
const (
	EventError = "error"
	EventMode  = "mode"
)

// Event is a line of a queue's or domain's short memory: the last ten errors
// and ten changes of mode. The events of single recipients, which hold
// addresses, are left out.
type Event struct {
	Kind string // EventError or EventMode
	Time time.Time
	Text string
	Mode string // of EventMode: the mode it changed to
}

// List is one of the pages /queues, /domains, /vmtas and /jobs.
type List struct {
	Title string
	Rows  []Row
	// TotalRecipients is the sum over all names, listed or not.
	TotalRecipients Opt[int64]
	// TotalRows is how many names have recipients, listed or not.
	TotalRows Opt[int64]
}

// Complete reports whether the page certainly lists all names that have
// recipients, given that at most asked were asked for (0 = not said).
func (l *List) Complete(asked int) bool {
	if l.TotalRows.OK {
		return int64(len(l.Rows)) >= l.TotalRows.V
	}
	// Without a maximum in the request, or if it means nothing to this
	// version, a page has ten rows.
	return len(l.Rows) != 10 && (asked <= 0 || len(l.Rows) < asked)
}

// DisabledIP is a source IP that a queue does not use.
type DisabledIP struct {
	IP     string
	Since  time.Time // zero if the page does not say
	Reason string    // may be empty
}

// QueueDetail is the page /queueDetail.
type QueueDetail struct {
	Row
	BackoffReason  string // the reply of the remote host, perhaps with words around it
	BackoffPattern string // the pattern of the configuration that it matched
	Disabled       []DisabledIP
	// DisabledListed says that the page has a list of disabled source IPs. Old
	// help pages say that it is left out when it would be empty.
	DisabledListed bool
}

// ParseOptions say how to read a page.
type ParseOptions struct {
	// Location is the zone of times without one. Default: that of this host.
	Location *time.Location
}

func (o ParseOptions) loc() *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

const timeLayout = "2006-01-02 15:04:05"

// time reads the forms that PowerMTA uses; the zero time means that it is none.
func (o ParseOptions) time(s string) time.Time {
	if len(s) < 10 || len(s) > 40 {
		return time.Time{}
	}
	for _, layout := range []string{timeLayout, "2006-01-02 15:04:05-0700", time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, o.loc()); err == nil {
			return sane(t)
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1<<33 {
		return sane(time.Unix(n, 0).In(o.loc()))
	}
	return time.Time{}
}

// sane keeps times that fit nanoseconds since the epoch and can be written as
// RFC 3339.
func sane(t time.Time) time.Time {
	if t.Year() < 1971 || t.Year() > 2261 {
		return time.Time{}
	}
	return t
}

// WallClock reads a local time as if it were UTC. It is false if s is no time
// of the form 2006-01-02 15:04:05.
func WallClock(s string) (time.Time, bool) {
	t, err := time.Parse(timeLayout, strings.TrimSpace(s))
	if err != nil || sane(t).IsZero() {
		return time.Time{}, false
	}
	return t, true
}

// Zone finds the zone of a server whose clock shows the wall clock time text
// at now. It is false if the difference is no number of quarter hours, give or
// take five minutes, or more than 14 hours: then the clock is wrong or the text
// old. If local has the same offset at now it is the answer, since it knows
// about summer time.
func Zone(text string, now time.Time, local *time.Location) (*time.Location, bool) {
	wall, ok := WallClock(text)
	if !ok {
		return nil, false
	}
	const quarter = 15 * time.Minute
	diff := wall.Sub(now)
	offset := diff.Round(quarter)
	if rest := diff - offset; rest < -5*time.Minute || rest > 5*time.Minute || offset < -14*time.Hour || offset > 14*time.Hour {
		return nil, false
	}
	seconds := int(offset / time.Second)
	if _, have := now.In(local).Zone(); have == seconds {
		return local, true
	}
	return time.FixedZone("", seconds), true
}

func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 32 {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 1<<62 {
		return 0, false
	}
	return f, true
}

// integer reads a count. What is no number, or negative, is not there.
func (n *node) integer(names ...string) Opt[int64] {
	s := n.str(names...)
	if v, err := strconv.ParseInt(s, 10, 64); err == nil && v >= 0 {
		return Some(v)
	}
	if f, ok := parseNumber(s); ok {
		return Some(int64(f))
	}
	return Opt[int64]{}
}

func (n *node) float(names ...string) Opt[float64] {
	if f, ok := parseNumber(n.str(names...)); ok {
		return Some(f)
	}
	return Opt[float64]{}
}

// kilobytes reads a size in kilobytes as bytes.
func (n *node) kilobytes(names ...string) Opt[int64] {
	if f, ok := parseNumber(n.str(names...)); ok && f < 1<<50 {
		return Some(int64(math.Round(f * 1024)))
	}
	return Opt[int64]{}
}

// boolean reads 0 and 1, true and false, yes and no.
func (n *node) boolean(names ...string) Opt[bool] {
	switch strings.ToLower(n.str(names...)) {
	case "1", "true", "yes", "on":
		return Some(true)
	case "0", "false", "no", "off":
		return Some(false)
	}
	return Opt[bool]{}
}
