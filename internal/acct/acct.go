// Package acct decodes PowerMTA (PMTA) accounting records, in CSV or JSON,
// into typed attributes. It knows nothing of the Collector.
//
// Source of the format: PowerMTA v5.0 User's Guide, chapter 11.
package acct

import "time"

// Type is a record type: the first column of every accounting record.
type Type uint8

// The eight record types of PowerMTA. TypeUnknown stands for any other value;
// such a record is passed on with the value as it was written.
const (
	TypeUnknown        Type = iota
	TypeDelivery            // d: handed to the next hop
	TypeBounce              // b: failed for good, decided by this server
	TypeTransient           // t: one attempt for one recipient failed, to be retried
	TypeTransientQueue      // tq: one attempt for a whole queue failed, no recipient
	TypeReceipt             // r: accepted by PMTA
	TypeFeedback            // f: complaint by way of a feedback loop
	TypeRemoteBounce        // rb: bounce message that came back later
	TypeRemoteStatus        // rs: other delivery status notification
)

// Kind says which field of an Attr holds its value.
type Kind uint8

const (
	KindString  Kind = iota // Attr.Str
	KindInt                 // Attr.Num
	KindDouble              // math.Float64frombits(uint64(Attr.Num))
	KindBool                // Attr.Num != 0
	KindStrings             // Attr.Str, elements joined by ','; none of them empty
)

// Attr is one attribute of a record. Keys are unique within a record.
type Attr struct {
	Key  string
	Str  string
	Num  int64
	Kind Kind
}

// Record is one decoded accounting record. It belongs to the Decoder and is
// valid until the Handler returns; the strings in it share memory with the
// input of Decode and stay valid for as long as they are referenced.
type Record struct {
	Type     Type
	TypeText string // first column as written
	Time     int64  // timeLogged, nanoseconds since the Unix epoch; never 0
	Diag     string // dsnDiag as written, "" when absent
	Attrs    []Attr
	UID      [2]uint64 // identity, see AppendUID
	Start    int       // byte range in the input of Decode, line end included
	End      int
}

// Reason says why input was rejected. The values are stable: they are the
// `reason` dimension of a metric and a field of the quarantine file.
type Reason string

const (
	ReasonNoHeader      Reason = "no_header"       // row before any header, layout not certain from its column count
	ReasonTooFewFields  Reason = "too_few_fields"  // fewer fields than the header has
	ReasonTooManyFields Reason = "too_many_fields" // more fields than the header has
	ReasonBadQuote      Reason = "bad_quote"       // quote that does not end, or text after a closing quote
	ReasonTooLarge      Reason = "too_large"       // longer than Options.MaxRecordSize
	ReasonBadTime       Reason = "bad_time"        // timeLogged missing or in no known form
	ReasonBadJSON       Reason = "bad_json"        // not a JSON object, or one that ends early
	ReasonBadHeader     Reason = "bad_header"      // header line with an unnamed column, or far too many
	ReasonEmptyType     Reason = "empty_type"      // first column is empty
	ReasonIncomplete    Reason = "incomplete"      // input ended in the middle of a record
	ReasonNulBytes      Reason = "nul_bytes"       // nothing but NUL bytes where a record begins: a hole in the file
)

// Reject is input that could not become a record.
type Reject struct {
	Start, End int // byte range in the input of Decode, line end included
	Reason     Reason
	Detail     string // for a person: "19 fields, header has 23"
}

// Handler receives what Decode finds, in input order.
type Handler interface {
	// Record takes one record. r is reused after it returns.
	Record(r *Record)
	// Reject takes one piece of input that is no record.
	Reject(r Reject)
}

// Options configure a Decoder. The zero value is ready for use.
type Options struct {
	// Location is the zone of times without an offset. Default time.Local.
	Location *time.Location
	// MaxRecordSize is the longest record in bytes, line end included.
	// Default 1 MiB, at least 256 bytes, at most 256 MiB.
	MaxRecordSize int
	// Instance goes into every UID, so that equal files of two servers give
	// different ones. It may be empty.
	Instance string
}
