package powermta

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
)

// newLogRig is a rig that reads system logs only.
func newLogRig(t *testing.T) *rig {
	r := newRig(t)
	r.cfg.Include = nil
	r.cfg.Timezone = "UTC"
	r.cfg.SystemLog.Include = []string{filepath.Join(r.dir, "log"), filepath.Join(r.dir, "log.*"), filepath.Join(r.dir, "pmta-startuperr.log")}
	return r
}

// line is a line of the log at a second of a day.
func line(second int, text string) string {
	return time.Date(2026, 1, 31, 10, 0, second, 0, time.UTC).Format(time.DateTime) + " " + text + "\n"
}

// events counts the records got by event name.
func (p *pipeline) events() map[string]int {
	out := map[string]int{}
	for _, lr := range p.records() {
		out[lr.EventName()]++
	}
	return out
}

func (p *pipeline) byEvent(name string) (out []plog.LogRecord) {
	for _, lr := range p.records() {
		if lr.EventName() == name {
			out = append(out, lr)
		}
	}
	return out
}

const (
	queue = "example.net/vmta1"
	peer  = "mx1.example.net (192.0.2.25)"
)

// sessionLines is a session in which the recipient is refused.
func sessionLines(second int) (begin, end string) {
	begin = line(second, "( 20)starting "+queue) + line(second, "( 20)connecting to "+peer) +
		line(second, "( 20)>>> 220 mx1.example.net ESMTP") + line(second, "( 20)<<< EHLO mail.example.com") + line(second, "( 20)>>> 250 PIPELINING")
	end = line(second+1, "( 20)<<< MAIL FROM:<s@example.com>") + line(second+1, "( 20)>>> 250 2.1.0 ok") +
		line(second+1, "( 20)<<< RCPT TO:<x@example.net>") + line(second+1, "( 20)>>> 550 5.1.1 no such user") +
		line(second+2, "( 20)closed "+peer+" in=120 out=80") + line(second+2, "( 20)done "+queue)
	return begin, end
}

func TestSystemLogReachesThePipeline(t *testing.T) {
	r := newLogRig(t)
	begin, end := sessionLines(1)
	r.write("log", line(0, "PowerMTA v5.0r8 starting")+begin+end+line(5, "Something that nobody has heard of")+
		line(6, "Spool /var/spool/pmta: No space left on device"))
	r.write("pmta-startuperr.log", line(0, "Startup error: No logging file specified"))
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "all entries", func() bool { return len(p.records()) == 16 })
	stop()
	got := p.events()
	require.Equal(t, 1, got["pmta.mta.start"])
	require.Equal(t, 1, got["pmta.mta.start_failed"])
	require.Equal(t, 1, got["pmta.disk.full"])
	require.Equal(t, 1, got["pmta.log"])
	require.Equal(t, 1, got["pmta.session"])
	require.Equal(t, map[string]int{"diag": 14, "panic": 2}, p.streams())
	require.Equal(t, plog.SeverityNumberFatal, p.byEvent("pmta.disk.full")[0].SeverityNumber())

	s := p.byEvent("pmta.session")[0]
	require.Equal(t, queue, str(s, "pmta.queue.name"))
	require.Equal(t, "mx1.example.net", str(s, "server.address"))
	require.Equal(t, "smtp;550 5.1.1 no such user", str(s, "pmta.dsn.diag"))
	require.Equal(t, "rejected", str(s, "pmta.session.outcome"))
	require.Equal(t, "log", str(s, "log.file.name"))
	require.Len(t, str(s, "log.record.uid"), 32)
	require.Equal(t, time.Date(2026, 1, 31, 10, 0, 3, 0, time.UTC), s.Timestamp().AsTime())
}

func TestOnlyWholeSessionsOnRequest(t *testing.T) {
	r := newLogRig(t)
	r.cfg.SystemLog.Sessions.Lines = false
	begin, end := sessionLines(1)
	r.write("log", begin+end+line(5, "PowerMTA shutting down"))
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "the last entry", func() bool { return p.events()["pmta.mta.stop"] == 1 })
	stop()
	require.Equal(t, map[string]int{"pmta.session": 1, "pmta.mta.stop": 1}, p.events())
}

// A session that is open when the log is rotated, or when the agent stops, or
// both, comes out whole and once.
func TestSessionsOutliveRotationAndRestart(t *testing.T) {
	for _, tc := range []struct{ rotate, restart bool }{{true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("rotate %v restart %v", tc.rotate, tc.restart), func(t *testing.T) {
			r := newLogRig(t)
			begin, end := sessionLines(1)
			r.write("log", line(0, "PowerMTA started")+begin)
			p := newPipeline(nil)
			stop := r.start(p)
			await(t, "the beginning", func() bool { return len(p.records()) == 6 })
			if tc.restart {
				stop()
			}
			if tc.rotate {
				require.NoError(t, os.Rename(filepath.Join(r.dir, "log"), filepath.Join(r.dir, "log.1")))
			}
			r.write("log", end)
			if tc.restart {
				stop = r.start(p)
			}
			await(t, "the session", func() bool { return p.events()["pmta.session"] == 1 })
			stop()
			s := p.byEvent("pmta.session")[0]
			require.Empty(t, str(s, "pmta.session.incomplete"), s.Body().Str())
			require.Equal(t, queue, str(s, "pmta.queue.name"))
			require.Contains(t, str(s, "pmta.session.transcript"), "EHLO")
			require.Contains(t, str(s, "pmta.session.transcript"), "RCPT TO")
			first := p.byEvent("pmta.session.start")[0]
			require.Equal(t, str(first, "pmta.session.id"), str(s, "log.record.uid"))
		})
	}
}

// The agent finds three days of logs: what was open at the end of a file ends
// in the next.
func TestSessionsAcrossABacklogOfLogs(t *testing.T) {
	r := newLogRig(t)
	b1, e1 := sessionLines(1)
	b2, e2 := sessionLines(10)
	r.write("log.2", line(0, "PowerMTA started")+b1)
	r.write("log.1", e1+b2)
	r.write("log", e2)
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"log.2", "log.1"} {
		require.NoError(t, os.Chtimes(filepath.Join(r.dir, name), old, old))
	}
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "all lines", func() bool { return p.events()["pmta.session.done"] == 2 })
	stop()
	require.Equal(t, 2, p.events()["pmta.session"])
	for _, s := range p.byEvent("pmta.session") {
		require.Empty(t, str(s, "pmta.session.incomplete"), s.Body().Str())
		require.Contains(t, str(s, "pmta.session.transcript"), "EHLO")
	}
}

// What is offered again after a refusal is the same, sessions included, and
// unknown templates are counted once.
func TestRefusedLogIsOfferedAgainUnchanged(t *testing.T) {
	r := newLogRig(t)
	r.cfg.SystemLog.Unknown.Path = filepath.Join(r.dir, "unknown.jsonl")
	begin, end := sessionLines(1)
	r.write("log", begin+end+line(5, "Something that nobody has heard of"))
	var first map[string]int
	p := newPipeline(func(attempt int, ld plog.Logs) error {
		got := map[string]int{}
		for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			got[lr.EventName()+str(lr, "log.record.uid")+lr.Body().Str()]++
			lr.Attributes().Clear()
		}
		if first == nil {
			first = got
		} else if !maps.Equal(first, got) {
			t.Errorf("attempt %d differs", attempt)
		}
		if attempt < 4 {
			return errors.New("busy")
		}
		return nil
	})
	stop := r.start(p)
	<-p.arrived
	stop()
	require.Len(t, first, 13)
	data, err := os.ReadFile(r.cfg.SystemLog.Unknown.Path)
	require.NoError(t, err)
	require.Contains(t, string(data), `"count":1,`)
}

func TestLogRefusedForGoodGoesToQuarantineWithoutCredentials(t *testing.T) {
	r := newLogRig(t)
	begin, end := sessionLines(1)
	secret := "AHVzZXIAc2VjcmV0LXBhc3N3b3Jk"
	r.write("log", begin+line(1, "( 20)<<< AUTH PLAIN "+secret)+line(1, "( 20)>>> 235 2.7.0 ok")+end)
	p := newPipeline(func(int, plog.Logs) error { return consumererror.NewPermanent(errors.New("mapping conflict")) })
	stop := r.start(p)
	await(t, "quarantined", func() bool { return len(r.refusals()) == 14 })
	stop()
	kinds := map[string]int{}
	for _, e := range r.refusals() {
		kinds[e.Kind]++
		raw, err := e.Bytes()
		require.NoError(t, err)
		require.NotContains(t, string(raw), secret)
	}
	require.Equal(t, map[string]int{quarantine.KindSystemLog: 13, quarantine.KindSession: 1}, kinds)
	require.True(t, strings.HasPrefix(r.refusals()[0].Raw, "2026-01-31 10:00:01 ( 20)starting example.net/vmta1"), r.refusals()[0].Raw)
}

func TestCountsOfMovedFilesAreCompared(t *testing.T) {
	r := newLogRig(t)
	require.NoError(t, os.Mkdir(filepath.Join(r.dir, "moved"), 0o755))
	r.cfg.Include = []string{filepath.Join(r.dir, "acct-*.csv"), filepath.Join(r.dir, "moved", "acct-*.csv")}
	move := func(n, count int) {
		name := fmt.Sprintf("acct-2026-01-31-%04d.csv", n)
		from, to := filepath.Join(r.dir, name), filepath.Join(r.dir, "moved", name)
		require.NoError(t, os.Rename(from, to))
		r.write("log", line(n, fmt.Sprintf("Accounting file %s was moved to %s (%d records)", from, to, count)))
	}
	r.write("acct-2026-01-31-0000.csv", header+rowD+rowBad+rowB)
	r.write("acct-2026-01-31-0001.csv", header+rowD)
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "the records", func() bool { return p.events()["pmta.delivery"] == 2 })
	move(0, 3) // as many as there are, a rejected one included
	move(1, 5) // PowerMTA says there were more
	await(t, "the difference", func() bool { return len(p.byEvent("pmta.reconciliation.difference")) == 1 })
	stop()
	e := p.byEvent("pmta.reconciliation.difference")[0]
	require.Equal(t, "diag", str(e, "pmta.stream"))
	require.Equal(t, filepath.Join(r.dir, "acct-2026-01-31-0001.csv"), str(e, "pmta.acct_file.path"))
	require.Equal(t, "differs", str(e, "pmta.reconciliation.outcome"))
	require.Equal(t, "5", str(e, "pmta.acct_file.records"))
	require.Equal(t, "1", str(e, "pmta.reconciliation.emitted"))
	require.Equal(t, "4", str(e, "pmta.reconciliation.difference"))
	require.Contains(t, e.Body().Str(), "counted 5 records")
	require.Equal(t, 2, p.events()["pmta.acct_file.moved"])
}

// With copytruncate the copy goes on where the log was read to, and what is open
// at its end goes on in the log.
func TestSessionsOutliveCopyTruncate(t *testing.T) {
	r := newLogRig(t)
	p := newPipeline(nil)
	stop := r.start(p)
	log := filepath.Join(r.dir, "log")
	for i := range 3 {
		begin, end := sessionLines(10*i + 1)
		r.write("log", begin)
		await(t, "the beginning", func() bool { return p.events()["pmta.session.start"] == i+1 })
		for k := 2; k >= 0; k-- {
			if from := fmt.Sprintf("%s.%d", log, k); k > 0 {
				if err := os.Rename(from, fmt.Sprintf("%s.%d", log, k+1)); !errors.Is(err, os.ErrNotExist) {
					require.NoError(t, err)
				}
			}
		}
		data, err := os.ReadFile(log)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(log+".1", data, 0o600))
		require.NoError(t, os.Truncate(log, 0))
		r.write("log", end)
		await(t, "the end", func() bool { return p.events()["pmta.session"] == i+1 })
	}
	// The sessions above were told once; the next line with their number is of another.
	begin, end := sessionLines(50)
	r.write("log", begin+end)
	await(t, "another session", func() bool { return p.events()["pmta.session"] >= 4 })
	stop()
	uids := map[string]bool{}
	for _, s := range p.byEvent("pmta.session") {
		require.Empty(t, str(s, "pmta.session.incomplete_reason"), s.Body().Str())
		uids[str(s, "log.record.uid")] = true
	}
	require.Len(t, uids, 4)
	require.Len(t, p.byEvent("pmta.session"), 4)
}

// What PowerMTA calls a file need not be what the agent calls it.
func TestMovedFilesAreRecognised(t *testing.T) {
	dir := t.TempDir()
	moved := filepath.Join(dir, "moved")
	require.NoError(t, os.Mkdir(moved, 0o755))
	r := &logsReceiver{cfg: &Config{Include: []string{filepath.Join(moved, "acct-*.csv")}, Exclude: []string{"**/acct-test-*.csv"}}}
	const name, other = "acct-2026-01-31-0000.csv", "diag-2026-01-31-0000.csv"
	elsewhere := filepath.Join(dir, "no such folder")
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{filepath.Join(dir, name), filepath.Join(moved, name), true},
		{filepath.Join(dir, name), moved, true}, // the folder only
		{filepath.Join(dir, name), moved + "/", true},
		{filepath.Join(dir, name), filepath.Join(dir, "archive"), false}, // read by nobody
		{filepath.Join(elsewhere, name), filepath.Join(elsewhere, "moved", name), true},
		{"log/" + name, "log/moved/" + name, true},
		{"log/" + other, "log/moved/" + other, false},
		{"log/acct-test-2026-01-31-0000.csv", "log/moved/", false},
	} {
		require.Equal(t, c.want, r.isIncluded(c.from, c.to), "%s to %s", c.from, c.to)
	}
}

// Some administrators empty the log in place; others copy it first.
func TestTruncatedLogGoesOn(t *testing.T) {
	r := newLogRig(t)
	begin, end := sessionLines(1)
	r.write("log", line(0, "PowerMTA started")+begin+end+line(5, "configuration reloaded"))
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "the first part", func() bool { return p.events()["pmta.config.reload"] == 1 })
	require.NoError(t, os.Truncate(filepath.Join(r.dir, "log"), 0))
	b2, e2 := sessionLines(20)
	r.write("log", line(10, "PowerMTA shutting down")+b2)
	await(t, "what was written after that", func() bool { return p.events()["pmta.mta.stop"] == 1 && p.events()["pmta.session.start"] == 2 })
	r.write("log", e2)
	await(t, "the second session", func() bool { return p.events()["pmta.session"] == 2 })
	stop()
	uids := map[string]bool{}
	for _, lr := range p.records() {
		uids[str(lr, "log.record.uid")] = true
	}
	require.Len(t, uids, len(p.records()), "nothing came twice")
	for _, s := range p.byEvent("pmta.session") {
		require.Empty(t, str(s, "pmta.session.incomplete"), s.Body().Str())
	}
}
