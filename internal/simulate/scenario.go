package simulate

import "time"

// Outcome is how an attempt ends.
type Outcome uint8

// The ways an attempt can end.
const (
	Accepted    Outcome = iota // Delivery
	Deferred                   // Transient
	Rejected                   // Bounce
	Unconnected                // TransientQueue: no session, so no recipient is concerned
)

// Verdict is an incident's decision about one attempt.
type Verdict struct {
	Outcome Outcome
	// Reply is what the remote host said. Nil takes one of the provider's usual replies for the outcome.
	Reply *Reply
}

// Incident changes what happens to attempts. It is asked for every attempt before the normal course of the world, and the
// first incident with an opinion wins. It sees the attempt as far as it is known before the conversation: number,
// provider, domain, queue, VMTA, sender domain, IPs and host. It must not change it, and must decide from its arguments
// and rnd only, or runs are no longer repeatable.
type Incident interface {
	Verdict(since time.Duration, m *Message, a *Attempt, rnd *Rand) (Verdict, bool)
}

// Scenario is a list of incidents with a name. The zero value is a normal day.
type Scenario struct {
	Name      string
	Incidents []Incident
}

// Window is an incident with a beginning and an end that hits a share of the attempts it matches. An empty string in
// Provider, Domain, VMTA, SourceIP or FromDomain matches everything.
type Window struct {
	Begin, End                                   time.Duration // since the world's start; End 0 means without end
	Provider, Domain, VMTA, SourceIP, FromDomain string
	Share                                        float64 // of the matching attempts, 0 to 1
	Then                                         Verdict
}

// Verdict implements [Incident].
func (w *Window) Verdict(since time.Duration, _ *Message, a *Attempt, rnd *Rand) (Verdict, bool) {
	if since < w.Begin || w.End > 0 && since >= w.End ||
		w.Provider != "" && w.Provider != a.Provider ||
		w.Domain != "" && w.Domain != a.Domain ||
		w.VMTA != "" && w.VMTA != a.VMTA.Name ||
		w.SourceIP != "" && w.SourceIP != a.SourceIP ||
		w.FromDomain != "" && w.FromDomain != a.FromDomain {
		return Verdict{}, false
	}
	return w.Then, rnd.Chance(w.Share)
}
