package schema

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Event is what the schemas say of all records of one kind.
type Event struct {
	// Name is the event name.
	Name string
	// Type is the record type of accounting records; TypeUnknown for others.
	Type acct.Type
	// Mail says that it is an accounting record, so about a message.
	Mail bool
	// Action is event.action, CIM the action of Splunk's data model Email, of
	// which delivered and blocked are prescribed values.
	Action, CIM string
	// Outcome is event.outcome where the record does not say it itself.
	Outcome string
	// Category and Types are event.category and event.type, values that ECS
	// allows; each of Types is one that it expects in one of the categories, or
	// error.
	Category, Types []string
	// Stream is pmta.stream where the record does not say it itself.
	Stream string
	// Refusal says that a reply in the record is one of failure, though the
	// event as such is none.
	Refusal bool
}

// event is the place of an Event in events.
type event uint8

// otherEvent is for event names that are not known: events that a user's
// patterns name. Its action is its name.
const otherEvent = event(acct.TypeRemoteStatus) + 1

func words(s ...string) []string { return s }

// Outcomes, short.
const (
	good    = semconv.OutcomeSuccess
	failed  = semconv.OutcomeFailure
	unclear = semconv.OutcomeUnknown
)

// events is accounting records first, by their types.
var events = func() (all []Event) {
	mail := func(t acct.Type, action, cim string) {
		all = append(all, Event{
			Name: t.EventName(), Type: t, Mail: true, Action: action, CIM: cim, Outcome: t.Outcome(),
			Category: words("email"), Types: words("info"), Stream: semconv.StreamAcct,
		})
	}
	mail(acct.TypeUnknown, "unknown", "unknown")
	mail(acct.TypeDelivery, "delivered", "delivered")
	mail(acct.TypeBounce, "bounced", "blocked")
	mail(acct.TypeTransient, "deferred", "deferred")
	mail(acct.TypeTransientQueue, "queue_deferred", "deferred")
	mail(acct.TypeReceipt, "received", "received")
	mail(acct.TypeFeedback, "complained", "complained")
	mail(acct.TypeRemoteBounce, "remote_bounced", "blocked")
	mail(acct.TypeRemoteStatus, "remote_status", "remote_status")

	log := func(name, outcome string, category, types []string) *Event {
		action := strings.TrimPrefix(name, semconv.PMTAPrefix)
		all = append(all, Event{Name: name, Action: action, CIM: action, Outcome: outcome, Category: category, Types: types, Stream: semconv.StreamDiag})
		return &all[len(all)-1]
	}
	log("", unclear, words("process"), words("info"))
	log(semconv.EventLog, unclear, words("process"), words("info"))
	log(semconv.EventMTAStart, good, words("process"), words("start"))
	log(semconv.EventMTAStop, good, words("process"), words("end"))
	log(semconv.EventMTAStartFailed, failed, words("process"), words("start", "error")).Stream = semconv.StreamPanic
	log(semconv.EventMTACrash, failed, words("process"), words("end", "error")).Stream = semconv.StreamPanic
	log(semconv.EventConfigError, failed, words("configuration"), words("error"))
	log(semconv.EventConfigReload, good, words("configuration"), words("change"))
	log(semconv.EventSession, unclear, words("network", "email"), words("connection", "end", "info")).Refusal = true
	log(semconv.EventSessionStart, unclear, words("network"), words("start"))
	log(semconv.EventSessionConnect, unclear, words("network"), words("connection", "start"))
	log(semconv.EventSessionAccept, good, words("network"), words("connection", "start", "allowed"))
	log(semconv.EventSessionTLS, unclear, words("network"), words("protocol"))
	log(semconv.EventSessionClose, unclear, words("network"), words("connection", "end"))
	log(semconv.EventSessionDone, unclear, words("network"), words("end"))
	log(semconv.EventSessionCommand, unclear, words("network", "email"), words("protocol", "info"))
	log(semconv.EventSessionReply, unclear, words("network", "email"), words("protocol", "info"))
	log(semconv.EventSessionData, unclear, words("network"), words("protocol"))
	log(semconv.EventDNSError, failed, words("network"), words("protocol", "error"))
	log(semconv.EventDNSLookup, good, words("network"), words("protocol", "info"))
	log(semconv.EventTransferFailed, failed, words("email"), words("info", "error"))
	log(semconv.EventSourceIPDisabled, failed, words("email"), words("info"))
	log(semconv.EventSourceIPEnabled, good, words("email"), words("info"))
	log(semconv.EventQueueBackoff, failed, words("email"), words("info"))
	log(semconv.EventQueueNormal, good, words("email"), words("info"))
	log(semconv.EventAcctFileMoved, good, words("file"), words("change"))
	log(semconv.EventPipeError, failed, words("process"), words("error"))
	log(semconv.EventWebhookError, failed, words("web"), words("error"))
	log(semconv.EventMonitorDenied, failed, words("network", "web"), words("access", "denied"))
	log(semconv.EventMonitorRequest, unclear, words("web"), words("access"))
	log(semconv.EventMonitorUnreachable, failed, words("web"), words("error"))
	log(semconv.EventMonitorReachable, good, words("web"), words("info"))
	log(semconv.EventLicenceError, failed, words("configuration"), words("error"))
	log(semconv.EventSpoolError, failed, words("file"), words("error"))
	log(semconv.EventDiskFull, failed, words("host", "file"), words("error")).Stream = semconv.StreamPanic
	log(semconv.EventCountersReset, unclear, words("process"), words("info"))
	log(semconv.EventCoverage, unclear, words("configuration"), words("info"))
	log(semconv.EventReconciliation, failed, words("file"), words("info"))
	return all
}()

// Events returns what is known of each event name. The caller must not change
// it.
func Events() []Event { return events }

// byEventName finds the events that are no accounting records.
var byEventName = func() map[string]event {
	m := map[string]event{}
	for i := range events {
		if e := &events[i]; !e.Mail && e.Name != "" {
			m[e.Name] = event(i)
		}
	}
	return m
}()

// eventOf tells the kind of a record by its event name, else by its record
// type.
func eventOf(lr plog.LogRecord, attrs *logslab.View) event {
	name := lr.EventName()
	switch name {
	case semconv.EventDelivery:
		return event(acct.TypeDelivery)
	case semconv.EventBounce:
		return event(acct.TypeBounce)
	case semconv.EventTransient:
		return event(acct.TypeTransient)
	case semconv.EventTransientQueue:
		return event(acct.TypeTransientQueue)
	case semconv.EventReceipt:
		return event(acct.TypeReceipt)
	case semconv.EventFeedback:
		return event(acct.TypeFeedback)
	case semconv.EventRemoteBounce:
		return event(acct.TypeRemoteBounce)
	case semconv.EventRemoteStatus:
		return event(acct.TypeRemoteStatus)
	}
	if e, ok := byEventName[name]; ok {
		return e
	}
	for i := range attrs.Len() {
		if attrs.Key(i) == semconv.PMTARecordType {
			return event(acct.ParseType(attrs.Str(i)))
		}
	}
	if name == "" || name == semconv.EventUnknown {
		return event(acct.TypeUnknown)
	}
	return otherEvent
}

// Types is a set of kinds of records, for the conditions of fields: record
// types, and the events of the system log as a whole.
type Types uint16

// Beyond the record types.
const (
	logBit     = uint(acct.TypeRemoteStatus) + 1 + iota // no accounting record
	inboundBit                                          // the same, and the record names a client
	failureBit                                          // the same, and it tells of a failure
)

func typeSet(ts ...acct.Type) (s Types) {
	for _, t := range ts {
		s |= 1 << t
	}
	return s
}

var (
	onD       = typeSet(acct.TypeDelivery)
	onR       = typeSet(acct.TypeReceipt)
	onF       = typeSet(acct.TypeFeedback)
	onFailure = typeSet(acct.TypeBounce, acct.TypeTransient, acct.TypeTransientQueue, acct.TypeRemoteBounce) | 1<<failureBit
	onAttempt = typeSet(acct.TypeDelivery, acct.TypeBounce, acct.TypeTransient, acct.TypeTransientQueue)
	onInbound = onR | 1<<inboundBit
	onLog     = Types(1 << logBit)
	onMail    = Types(1<<logBit - 1)
	notR      = ^onR
	notF      = onMail &^ onF
)

// types is the set that a record of a kind is in: its bits.
func (e event) types(client bool) Types {
	d := &events[e]
	if d.Mail {
		return 1 << d.Type
	}
	s := Types(1 << logBit)
	if client {
		s |= 1 << inboundBit
	}
	if d.Outcome == failed || d.Refusal {
		s |= 1 << failureBit
	}
	return s
}

// String lists the types as PowerMTA writes them, "" for all. log stands for
// the events of the system log.
func (s Types) String() string {
	if s == 0 {
		return ""
	}
	var in, out []string
	for _, t := range acct.Types {
		if s&(1<<t) != 0 {
			in = append(in, t.String())
		} else {
			out = append(out, t.String())
		}
	}
	mail := strings.Join(in, " ")
	if len(out) == 0 {
		mail = "mail"
	} else if len(out) < len(in) {
		mail = "not " + strings.Join(out, " ")
	}
	log := ""
	switch {
	case s&(1<<logBit) != 0 && len(out) > 0 && len(out) < len(in):
		return mail // which includes the log
	case s&(1<<logBit) != 0:
		log = "log"
	case s&(1<<inboundBit) != 0:
		log = "log of a client"
	case s&(1<<failureBit) != 0:
		log = "log of a failure"
	}
	if mail == "" || log == "" {
		return mail + log
	}
	return mail + ", " + log
}

// sourceTypeLog is Splunk's sourcetype of what is no accounting record, which
// the add-on knows.
const sourceTypeLog = "pmta:log"

// attrSourceType tells the splunk_hec exporter the sourcetype of a record.
const attrSourceType = "com.splunk.sourcetype"

// routeLog is what such records get.
func routeLog() *logslab.Shared {
	return logslab.Share([]acct.Attr{{Key: attrSourceType, Str: sourceTypeLog}})
}

// sourceType reports whether the records get a sourcetype of their own; the
// exporter's configuration has that of accounting records.
func (e *Event) sourceType(s Schema) bool { return s == SplunkCIM && !e.Mail }

// datasets are those of the streams, so that none is made again.
var datasets = func() (l []*string) {
	for _, s := range []string{semconv.StreamAcct, semconv.StreamBounce, semconv.StreamDiag, semconv.StreamPanic} {
		d := semconv.PMTAPrefix + s
		l = append(l, &d)
	}
	return l
}()

// knownDataset is the dataset of a stream, nil for one that is not known.
func knownDataset(stream string) *string {
	for _, d := range datasets {
		if (*d)[len(semconv.PMTAPrefix):] == stream {
			return d
		}
	}
	return nil
}

// dataset is the dataset of a stream.
func dataset(stream string) string {
	if d := knownDataset(stream); d != nil {
		return *d
	}
	return semconv.PMTAPrefix + stream
}
