package semconv

// Event names of what only the web monitor tells. What the system log tells
// too has the same name here and there: EventQueueBackoff, EventQueueNormal,
// EventSourceIPDisabled, EventSourceIPEnabled and EventMTAStart.
const (
	EventMonitorUnreachable = "pmta.monitor.unreachable" // the web monitor does not tell PowerMTA's status (ERROR)
	EventMonitorReachable   = "pmta.monitor.reachable"   // it does again (INFO)
	EventCountersReset      = "pmta.counters.reset"      // the counters went back without a restart (INFO)
)

const (
	// PMTAEventInitial marks a state that was there already when the agent
	// looked for the first time, so it may have begun long before. Bool, true
	// or absent.
	PMTAEventInitial = "pmta.event.initial"
	// PMTABackoffPattern is the pattern of the smtp-pattern-list that the reply
	// in PMTAReason matched. String. Example: "/^421 /".
	PMTABackoffPattern = "pmta.backoff.pattern"
)
