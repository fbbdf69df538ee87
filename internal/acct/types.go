package acct

import "github.com/otelcol-pmta/otelcol-pmta/internal/semconv"

var typeTable = [...]struct {
	text, event, outcome, sevText string
	sev                           int32
}{
	TypeUnknown:        {"unknown", semconv.EventUnknown, semconv.OutcomeUnknown, "", 0},
	TypeDelivery:       {"d", semconv.EventDelivery, semconv.OutcomeSuccess, "INFO", 9},
	TypeBounce:         {"b", semconv.EventBounce, semconv.OutcomeFailure, "ERROR", 17},
	TypeTransient:      {"t", semconv.EventTransient, semconv.OutcomeFailure, "WARN", 13},
	TypeTransientQueue: {"tq", semconv.EventTransientQueue, semconv.OutcomeFailure, "WARN", 13},
	TypeReceipt:        {"r", semconv.EventReceipt, semconv.OutcomeSuccess, "INFO", 9},
	TypeFeedback:       {"f", semconv.EventFeedback, semconv.OutcomeUnknown, "WARN", 13},
	TypeRemoteBounce:   {"rb", semconv.EventRemoteBounce, semconv.OutcomeFailure, "ERROR", 17},
	TypeRemoteStatus:   {"rs", semconv.EventRemoteStatus, semconv.OutcomeUnknown, "INFO", 9},
}

// Types lists the documented types.
var Types = []Type{TypeDelivery, TypeBounce, TypeTransient, TypeTransientQueue,
	TypeReceipt, TypeFeedback, TypeRemoteBounce, TypeRemoteStatus}

// String returns the short name that PowerMTA writes, "unknown" for
// TypeUnknown.
func (t Type) String() string { return typeTable[t].text }

// EventName returns the name of the event, such as "pmta.delivery".
func (t Type) EventName() string { return typeTable[t].event }

// Outcome returns "success", "failure" or "unknown".
func (t Type) Outcome() string { return typeTable[t].outcome }

// Severity returns the OpenTelemetry severity number (9 INFO, 13 WARN,
// 17 ERROR) and its text; 0 and "" for TypeUnknown.
func (t Type) Severity() (number int32, text string) {
	return typeTable[t].sev, typeTable[t].sevText
}

// ParseType returns the type for what PowerMTA writes in the first column.
func ParseType(s string) Type {
	switch len(s) {
	case 1:
		switch s[0] {
		case 'd':
			return TypeDelivery
		case 'b':
			return TypeBounce
		case 't':
			return TypeTransient
		case 'r':
			return TypeReceipt
		case 'f':
			return TypeFeedback
		}
	case 2:
		switch s {
		case "tq":
			return TypeTransientQueue
		case "rb":
			return TypeRemoteBounce
		case "rs":
			return TypeRemoteStatus
		}
	}
	return TypeUnknown
}
