package simulate

import (
	"fmt"
	"strings"
	"time"
)

// Type is an accounting record type.
type Type uint8

// The eight record types of PowerMTA accounting files, in the order in which a union header lists their columns.
const (
	Delivery       Type = iota // d: recipient handed to the next hop
	Bounce                     // b: given up, by a reply or locally
	Transient                  // t: one failed attempt for one recipient
	TransientQueue             // tq: one failed attempt for a whole queue, no recipient
	Receipt                    // r: accepted for delivery
	Feedback                   // f: complaint received
	RemoteBounce               // rb: bounce message received later
	RemoteStatus               // rs: other status message received later
	numTypes

	// Notice is no accounting record but something that happens to the server itself. A world has notices only if its
	// scenario has a [Stoppage].
	Notice = numTypes
)

var typeNames = [numTypes]string{"d", "b", "t", "tq", "r", "f", "rb", "rs"}

// String returns the value of the column "type", such as "tq".
func (t Type) String() string {
	if t == Notice {
		return "notice"
	}
	if t >= numTypes {
		return fmt.Sprintf("Type(%d)", uint8(t))
	}
	return typeNames[t]
}

// AllTypes returns the eight types in header order.
func AllTypes() []Type {
	return []Type{Delivery, Bounce, Transient, TransientQueue, Receipt, Feedback, RemoteBounce, RemoteStatus}
}

// ParseTypes reads a comma-separated list such as "d,b,t"; the order is kept. It fails on an unknown, repeated or
// missing name.
func ParseTypes(s string) ([]Type, error) {
	var list []Type
	var seen [numTypes]bool
	for _, name := range strings.Split(s, ",") {
		name = strings.TrimSpace(name)
		found := false
		for i, n := range typeNames {
			if name == n {
				if seen[i] {
					return nil, fmt.Errorf("record type %q is listed twice", name)
				}
				seen[i], found = true, true
				list = append(list, Type(i))
			}
		}
		if !found {
			return nil, fmt.Errorf("unknown record type %q: use d, b, t, tq, r, f, rb, rs", name)
		}
	}
	return list, nil
}

// Event is one thing that happened in the world. The value and what it points to belong to the world and are valid only
// until the next call of [World.Next].
type Event struct {
	Type    Type
	At      time.Time     // in the world's zone
	Message *Message      // nil for TransientQueue and Notice
	Attempt *Attempt      // set for Delivery, Bounce, Transient and TransientQueue
	Report  *Report       // set for Feedback, RemoteBounce and RemoteStatus
	Server  *ServerNotice // set for Notice
}

// ServerNotice says what happened to the server.
type ServerNotice struct {
	Kind NoticeKind
	Stop *Stoppage // the incident it belongs to
}

// NoticeKind is something that can happen to the server.
type NoticeKind uint8

// The kinds of notices.
const (
	Started     NoticeKind = iota // up again after a crash or a failed start
	Stopped                       // shut down in good order
	Crashed                       // went down without a word
	StartFailed                   // a start ended with an error
	DiskIsFull                    // no room in the spool: no mail is taken
	DiskHasRoom                   // the same is over
	Reloaded                      // the configuration was read again, or not if it has an error
)

// Message is one recipient of one message that the server took responsibility for.
type Message struct {
	ID        uint64 // counts from 1
	Queued    time.Time
	First     time.Time // first attempt; zero before it
	Orig      string    // MAIL FROM
	Rcpt      string    // RCPT TO
	Orcpt     string    // ORCPT, "rfc822;address" or empty
	Domain    string    // of Rcpt
	EnvID     string
	JobID     string
	Size      int    // bytes
	SrcType   string // "smtp" or "api"
	SrcMTA    string // "host (ip)" of the injecting client
	ClientIP  string
	LocalIP   string // where the client connected to
	User      string // SMTP AUTH user, empty for api
	Stream    string // "marketing", "newsletter", "transactional"
	VMTA      *VMTA
	Pool      string
	Attempts  int
	Deferrals int

	sender  *sender
	camp    *campaign
	dest    *destination
	doomed  bool
	last    *Attempt // the last deferral
	deliver *deliveryFacts
}

// deliveryFacts is what later reports need to know about the delivery.
type deliveryFacts struct {
	sourceIP string
	host     string
	remoteIP string
}

// VMTA is a virtual MTA of the simulated server.
type VMTA struct {
	Name string
	Pool string
	Helo string // host name, also its PTR
	IPv4 string
	IPv6 string // empty if it has none
}

// Attempt is one try to hand a message, or for TransientQueue a queue, to a host.
type Attempt struct {
	Number      int    // counts from 1 for each message
	Provider    string // short name such as "gmail"
	Domain      string // recipient domain
	Queue       string // "domain/vmta" or "name.rollup/vmta"
	VMTA        *VMTA
	FromDomain  string // of the header From, empty for TransientQueue
	SourceIP    string // "0.0.0.0" if no connection came about
	Host        string // MX host, empty if none was looked up
	RemoteIP    string
	ESMTP       string // extensions offered, joined by commas
	TLSProtocol string // empty without TLS
	TLSCipher   string
	Action      string // dsnAction
	Status      string // dsnStatus with its text
	Diag        string // dsnDiag with its type, may be empty
	Category    string // bounceCat
}

// Report is mail that came back about an earlier delivery.
type Report struct {
	Format        string // "dsn", "qmail", ..., "arf", "jmrp"
	Action        string // dsnAction, RemoteStatus only
	Status        string
	Diag          string
	MTA           string // dsnMta, "host (ip)"
	ReportingMTA  string
	Category      string
	SrcMTA        string // who handed the report to us, "host (ip)"
	LocalIP       string // our IP that took the report
	FeedbackType  string
	UserAgent     string
	Domain        string // Reported-Domain
	OriginalIP    string // IP that had sent the message
	HideRecipient bool   // the report does not name the recipient (JMRP)
}
