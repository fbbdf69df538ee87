package simulate

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseIncident(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // part of the error
	}{
		{"nonsense", "unknown name: use one of throttle, block"},
		{"", "unknown name"},
		{"crash@soon", "no beginning"},
		{"crash@-5s", "no beginning"},
		{"crash@5s+", "no length"},
		{"crash@5s+0s", "no length"},
		{"crash:signal=none", "signal=none is not a number from 1 to 64"},
		{"crash:signal", "key=value"},
		{"crash:signal=1,signal=2", "once"},
		{"crash:share=1", `unknown key "share": use signal`},
		{"disk_full:share=1", "has no keys"},
		{"throttle:provider=gmx-mail", "unknown provider"},
		{"throttle:share=1.5", "not between 0 and 1"},
		{"throttle:share=0", "not between 0 and 1"},
		{"throttle:share=NaN", "not between 0 and 1"},
		{"block", "needs vmta=NAME or source_ip=IP"},
		{"block:vmta=mta-99", "there is no vMTA"},
		{"block:vmta=mta-eu-01,source_ip=203.0.113.11", "there is no vMTA"},
		{"reload@1s+5s", "no length"},
		{"startup_failure:cause=fire", "use config or licence"},
	} {
		if i, err := ParseIncident(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, %v", c.in, i, err)
		}
	}
	for _, in := range []string{"throttle", "throttle@5m", "throttle@5m+1h:provider=yahoo,share=0.5", "block:vmta=mta-eu-01,source_ip=203.0.113.10",
		"block@1s:source_ip=2001:db8:53:1::a,provider=microsoft", "dns:domain=gmail.com", "crash", "crash@1h+2s:signal=9", "disk_full",
		"startup_failure:line=3,cause=licence", "reload@5s:line=9"} {
		if _, err := ParseIncident(in); err != nil {
			t.Error(err)
		}
	}
	for _, s := range incidentSpecs {
		if !strings.Contains(IncidentHelp(), "  "+s.name+" ") {
			t.Errorf("no help for %s", s.name)
		}
	}
	if _, err := NewWorld(WorldOptions{Scenario: mustIncidents(t, "crash@1m+30s", "disk_full@80s")}); err == nil || !strings.Contains(err.Error(), "before another one ends") {
		t.Errorf("overlapping stoppages: %v", err)
	}
	if _, err := NewWorld(WorldOptions{Scenario: Scenario{Incidents: []Incident{&Stoppage{Begin: -1}}}}); err == nil {
		t.Error("a negative beginning is accepted")
	}
}

// TestWindows: incidents that have an opinion about attempts have it, and no others.
func TestWindows(t *testing.T) {
	w := mustWorld(t, WorldOptions{Seed: 3, Rate: 100, Scenario: mustIncidents(t,
		"block:vmta=mta-eu-01,provider=microsoft", "dns@1m+1m:provider=yahoo", "throttle@2m+2m:provider=gmail,share=0.5")})
	var blocked, unknown, throttled, gmail int
	for {
		e := w.Next()
		since := e.At.Sub(DefaultStart)
		if since > 4*time.Minute {
			break
		}
		a := e.Attempt
		if a == nil || a.Status == statusExpired {
			continue
		}
		if is := a.Provider == "microsoft" && a.VMTA.Name == "mta-eu-01"; is != strings.Contains(a.Diag, "is not taken: part of this network") && is {
			t.Fatalf("%s %s", e.Type, a.Diag)
		} else if is {
			blocked++
			if e.Type != Bounce {
				t.Fatalf("%s during the block", e.Type)
			}
		}
		if is := a.Provider == "yahoo" && since >= time.Minute && since < 2*time.Minute; is {
			unknown++
			if e.Type != TransientQueue || a.Host != "" || a.RemoteIP != "" || a.SourceIP != "0.0.0.0" || !strings.HasPrefix(a.Status, "4.4.3") {
				t.Fatalf("%s %+v while hosts cannot be looked up", e.Type, a)
			}
		}
		if since >= 2*time.Minute && a.Provider == "gmail" {
			gmail++
			if strings.Contains(a.Diag, "421-4.7.28") {
				throttled++
			}
		}
	}
	if blocked < 5 || unknown < 50 || throttled < gmail/3 || throttled > gmail*2/3 {
		t.Errorf("%d blocked, %d without hosts, %d of %d throttled", blocked, unknown, throttled, gmail)
	}
}

// TestStoppages: nothing happens while the server is down, nothing is taken while the disk is full, and all of it happens
// afterwards.
func TestStoppages(t *testing.T) {
	opt := WorldOptions{Seed: 6, Rate: 50, Hurry: 60, Scenario: mustIncidents(t, "startup_failure@0+5s", "crash@30s+10s", "disk_full@60s+15s", "startup_failure@90s+5s", "reload@100s")}
	w := mustWorld(t, opt)
	var kinds []NoticeKind
	var last time.Time
	var receipts, attempts, final int
	for {
		e := w.Next()
		if e.At.Before(last) {
			t.Fatal("time goes back")
		}
		last = e.At
		since := e.At.Sub(DefaultStart)
		if since > 4*time.Minute {
			break
		}
		if e.Type == Notice {
			kinds = append(kinds, e.Server.Kind)
			continue
		}
		down := since < 5*time.Second || since >= 30*time.Second && since < 40*time.Second || since >= 90*time.Second && since < 95*time.Second
		if down {
			t.Fatalf("%s after %s", e.Type, since)
		}
		switch full := since >= 60*time.Second && since < 75*time.Second; {
		case e.Type == Receipt && full:
			t.Fatalf("a message is taken after %s", since)
		case full:
			attempts++
		case e.Type == Receipt:
			receipts++
		case e.Type == Delivery, e.Type == Bounce:
			final++
		}
	}
	want := []NoticeKind{StartFailed, Started, Crashed, Started, DiskIsFull, DiskHasRoom, Stopped, StartFailed, Started, Reloaded}
	if len(kinds) != len(want) {
		t.Fatalf("notices %v", kinds)
	}
	for i, k := range want {
		if kinds[i] != k {
			t.Errorf("notice %d is %d instead of %d", i, kinds[i], k)
		}
	}
	if attempts == 0 || final < receipts*9/10 {
		t.Errorf("%d attempts while the disk was full; %d receipts, %d final", attempts, receipts, final)
	}
}

// TestNoIncident: incidents leave the time before them as it is.
func TestNoIncident(t *testing.T) {
	run := func(s Scenario) string {
		dir := t.TempDir()
		acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Run(context.Background(), mustWorld(t, WorldOptions{Seed: 1, Scenario: s}), RunOptions{Streams: []Stream{acct}, Records: 2000}); err != nil {
			t.Fatal(err)
		}
		return string(read(t, filepath.Join(dir, acct.Files()[0].Name)))
	}
	if run(Scenario{}) != run(mustIncidents(t, "throttle@100h", "crash@200h", "disk_full@300h")) {
		t.Error("incidents that come later change the run")
	}
}
