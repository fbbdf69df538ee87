package simulate

import (
	"reflect"
	"testing"
	"time"
)

func TestQueueStates(t *testing.T) {
	const queue, v4, v6 = "gmail.com/mk-01", "203.0.113.10", "2001:db8:53:1::a"
	at := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	type step struct {
		typ          Type
		ip, diag     string
		status, host string
		want         []QueueChange
	}
	named := "421 4.7.28 too much from " + v4 + ", wait"
	off := func(reason string) QueueChange { return QueueChange{Queue: queue, Backoff: true, Reason: reason} }
	steps := []step{
		{typ: Transient, ip: v4, diag: "smtp;" + named},
		{typ: Delivery, ip: v4, diag: "smtp;250 ok"},
		{typ: Transient, ip: v4, diag: "smtp;" + named},
		{typ: TransientQueue, ip: "0.0.0.0", status: "4.4.1 (no answer from host)"}, // of no IP
		{typ: Bounce, ip: v4, host: "mx", diag: "smtp;550 5.1.1 no such user"},      // the host talks to us: a new row
		{typ: Transient, ip: v4, diag: "smtp;451 4.7.1 busy"},
		{typ: TransientQueue, ip: "0.0.0.0", status: "4.4.1 (no answer from host)"},
		{typ: Bounce, diag: "x-pmta;deleted by administrator"}, // no part of the row
		{typ: Bounce, host: "mx", ip: v4, diag: "smtp;" + named, status: statusExpired},
		{typ: TransientQueue, ip: "0.0.0.0", status: "4.4.1 (no answer from host)", want: []QueueChange{off("4.4.1 (no answer from host)")}},
		{typ: Transient, ip: v4, diag: "smtp;" + named},
		{typ: Transient, ip: v4, diag: "smtp;" + named},
		{typ: Transient, ip: v6, diag: "smtp;421 4.7.28 " + v6 + ": wait"},
		{typ: Transient, ip: v4, diag: "smtp;" + named, want: []QueueChange{{Queue: queue, Reason: named, SourceIP: v4, Disabled: true}}},
		{typ: Transient, ip: v4, diag: "smtp;" + named},                                   // nothing new
		{typ: Bounce, host: "mx", ip: v6, diag: "smtp;550 5.1.1 no such user"},            // still in backoff
		{typ: Delivery, ip: v6, diag: "smtp;250 ok", want: []QueueChange{{Queue: queue}}}, // the IP stays disabled
		{typ: Delivery, ip: v4, diag: "smtp;250 ok", want: []QueueChange{{Queue: queue, SourceIP: v4}}},
		{typ: Transient, ip: v4, diag: "smtp;" + named},
		{typ: Transient, ip: v4, diag: "smtp;" + named},
		{typ: Transient, ip: v4, diag: "smtp;" + named, want: []QueueChange{
			{Queue: queue, Reason: named, SourceIP: v4, Disabled: true}, off(named)}},
		{typ: Delivery, ip: v4, diag: "smtp;250 ok", want: []QueueChange{{Queue: queue}, {Queue: queue, SourceIP: v4}}},
	}
	q := NewQueueStates(3)
	for i, s := range steps {
		at = at.Add(time.Second)
		got := q.Observe(&Event{Type: s.typ, At: at, Attempt: &Attempt{Queue: queue, SourceIP: s.ip, Diag: s.diag, Status: s.status, Host: s.host}})
		for k := range s.want {
			s.want[k].At = at
		}
		if len(got)+len(s.want) > 0 && !reflect.DeepEqual(got, s.want) {
			t.Errorf("step %d: got %+v, want %+v", i, got, s.want)
		}
		if i == 13 {
			st := q.State(queue)
			if !st.Backoff || st.Reason != "4.4.1 (no answer from host)" || len(st.Disabled) != 1 || st.Disabled[0] != (DisabledIP{v4, at, named}) {
				t.Errorf("state %+v", st)
			}
		}
	}
	if st := q.State(queue); st.Backoff || len(st.Disabled) > 0 || st.Reason != "" || st.Since.IsZero() {
		t.Errorf("state at the end %+v", st)
	}
	if st := q.State("unknown"); st.Backoff || !st.Since.IsZero() {
		t.Errorf("state of an unknown queue %+v", st)
	}
}

func TestNamesIP(t *testing.T) {
	for _, c := range []struct {
		text, ip string
		want     bool
	}{
		{"421 from 203.0.113.1, wait", "203.0.113.1", true},
		{"421 from 203.0.113.10, wait", "203.0.113.1", false},
		{"421 [203.0.113.1]", "203.0.113.1", true},
		{"421 listed: 203.0.113.1.", "203.0.113.1", true},
		{"421 203.0.113.1: wait", "203.0.113.1", true},
		{"421 1203.0.113.1 and 203.0.113.1", "203.0.113.1", true},
		{"421 see 203.0.113.1.zen.example", "203.0.113.1", false},
		{"421 2001:db8::1a", "2001:db8::1", false},
		{"421 wait", "", false},
	} {
		if got := namesIP(c.text, c.ip); got != c.want {
			t.Errorf("%q in %q: %v", c.ip, c.text, got)
		}
	}
}

// A provider that refuses an IP for a while shows as backoff and a disabled IP, and both end with it.
func TestQueueStatesInWorld(t *testing.T) {
	reply, err := NewReply("421 4.7.28 too much mail from {ip}, wait", "", policy)
	if err != nil {
		t.Fatal(err)
	}
	run := func(scenario Scenario) (changes []QueueChange) {
		w, err := NewWorld(WorldOptions{Seed: 3, Rate: 20, Scenario: scenario})
		if err != nil {
			t.Fatal(err)
		}
		q := NewQueueStates(0)
		for e := w.Next(); e.At.Sub(DefaultStart) < 3*time.Hour; e = w.Next() {
			changes = append(changes, q.Observe(e)...)
		}
		return changes
	}
	bad := Scenario{Incidents: []Incident{&Window{Begin: 30 * time.Minute, End: time.Hour, Provider: "gmail", Share: 1,
		Then: Verdict{Outcome: Deferred, Reply: reply}}}}
	changes := run(bad)
	open := map[string]bool{}
	began := 0
	for _, c := range changes {
		key := c.Queue + " " + c.SourceIP
		on := c.Backoff
		if c.SourceIP != "" {
			on = c.Disabled
		}
		if open[key] == on {
			t.Fatalf("%+v changes nothing", c)
		}
		if on && c.Reason == "" {
			t.Fatalf("%+v has no reason", c)
		}
		open[key] = on
		if on && c.At.Sub(DefaultStart) > 30*time.Minute && c.At.Sub(DefaultStart) < time.Hour {
			began++
		}
	}
	if began < 4 {
		t.Errorf("%d changes in the window", began)
	}
	if again := run(bad); !reflect.DeepEqual(changes, again) {
		t.Error("the same world gives other changes")
	}
	if quiet := run(Scenario{}); len(quiet) >= len(changes)/2 {
		t.Errorf("%d changes on a normal day, %d on a bad one", len(quiet), len(changes))
	}
}
