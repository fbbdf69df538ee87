package mainlog

import (
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

// Severity is an OpenTelemetry severity number.
type Severity int32

// The severities in use.
const (
	Debug Severity = 5
	Info  Severity = 9
	Warn  Severity = 13
	Error Severity = 17
	Fatal Severity = 21
)

// String returns the severity text: "INFO".
func (s Severity) String() string {
	switch s {
	case Debug:
		return "DEBUG"
	case Info:
		return "INFO"
	case Warn:
		return "WARN"
	case Error:
		return "ERROR"
	case Fatal:
		return "FATAL"
	}
	return ""
}

// Entry is one entry of the log. It belongs to the Decoder and is valid until
// the Handler returns; the strings in it share memory with the input of Decode
// and stay valid for as long as they are referenced.
type Entry struct {
	Time     int64  // nanoseconds since the Unix epoch, 0 for an entry without a time
	Event    string // event name, one of the semconv.Event constants
	Severity Severity
	Stream   string // semconv.StreamDiag or StreamPanic: for semconv.PMTAStream, which is not in Attrs
	Conn     int64  // connection number, -1 without
	Text     string // what follows time and connection number, secrets removed, lines joined by "\n"
	Attrs    []acct.Attr
	UID      [2]uint64 // identity, see Decoder
	// Continuation says that the entry holds further lines of the entry before,
	// which had been handed over when they came.
	Continuation bool
	Start, End   int // byte range in the input of Decode, line end included
}

// Session is one SMTP session, put together from its entries. It is valid
// until the Handler returns. Its event is semconv.EventSession, its stream
// semconv.StreamDiag.
type Session struct {
	Time     int64 // of its last line, nanoseconds since the Unix epoch
	Severity Severity
	Text     string // for a person: "gmail.com/vmta1 to mx.example (192.0.2.1): delivered, …"
	Attrs    []acct.Attr
	UID      [2]uint64 // made from the UID of its first entry
	// Start and End are the place of the entry that ended it. They are those of
	// that entry; a session has no bytes of its own.
	Start, End int
}

// ReasonTooLarge is the reason of the only kind of Reject: a line longer than
// Options.MaxRecordSize.
const ReasonTooLarge = acct.ReasonTooLarge

// Handler receives what Decode finds, in input order; sessions come behind the
// entry that ends them.
type Handler interface {
	// Entry takes one entry. e is reused after it returns.
	Entry(e *Entry)
	// Session takes one session. s is reused after it returns.
	Session(s *Session)
	// Reject takes one piece of input that is no entry.
	Reject(r acct.Reject)
}

// Options configure a Decoder. The zero value is ready for use.
type Options struct {
	// Location is the zone of the times, which have none. Default time.Local.
	Location *time.Location
	// MaxRecordSize is the longest entry in bytes, line ends included.
	// Default 1 MiB, at least 256 bytes, at most 256 MiB.
	MaxRecordSize int
	// Instance goes into every UID, so that equal files of two servers give
	// different ones. It may be empty.
	Instance string
	// Patterns say what entries mean. Default Builtin().
	Patterns *Patterns
	// Unknown counts the templates of what no pattern knows. It may be nil:
	// where the same input is decoded again, it should not be counted again.
	Unknown *Unknown
	// KeepData keeps the hex dumps of log-data, which hold messages. Credentials
	// are removed from the log in any case.
	KeepData bool
	// StartupErrors says that this is pmta-startuperr.log: whatever stands in it
	// kept PowerMTA from starting.
	StartupErrors bool
	// MaxSessions is the number of open sessions that are kept. Default 1000.
	MaxSessions int
	// SessionTimeout is how long, by the times in the log, a session may be
	// without a line before its end is no longer waited for. Default 1 h.
	SessionTimeout time.Duration
	// MaxTranscript is the longest transcript of a session in bytes, -1 for
	// none. Default 8 KiB. With many open sessions it is less.
	MaxTranscript int
	// MaxState bounds what State returns, in bytes. Default 256 KiB, at least
	// 4 KiB.
	MaxState int
}

// Stats are counters of a Decoder, from its making on.
type Stats struct {
	Entries  uint64 // handed to the Handler
	Sessions uint64
	Rejects  uint64
	Removed  uint64 // lines of hex dumps that were removed
	Secrets  uint64 // pieces of credentials that were removed
	Unknown  uint64 // entries that no pattern knows
}
