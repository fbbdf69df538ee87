package simulate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/webmon"
)

// census counts events in another way than the monitor does.
type census struct {
	waiting  map[uint64]string // message to queue
	bytes    map[uint64]int
	in, out  int64
	reports  int64
	feedback int64
	states   *QueueStates
	at       time.Time
}

func newCensus() *census {
	return &census{waiting: map[uint64]string{}, bytes: map[uint64]int{}, states: NewQueueStates(0)}
}

func (c *census) Open(at time.Time) error { c.at = at; return nil }
func (c *census) Tick(time.Time) error    { return nil }
func (c *census) Close() error            { return nil }

func (c *census) Write(e *Event) (bool, error) {
	c.at = e.At
	c.states.Observe(e)
	switch e.Type {
	case Receipt:
		c.in++
		c.waiting[e.Message.ID], c.bytes[e.Message.ID] = queueOf(e.Message), e.Message.Size
	case Delivery:
		c.out++
		delete(c.waiting, e.Message.ID)
	case Bounce:
		delete(c.waiting, e.Message.ID)
	case RemoteBounce, RemoteStatus:
		c.reports++
	case Feedback:
		c.feedback++
	}
	return true, nil
}

var incident = Scenario{Incidents: []Incident{&Window{Begin: 20 * time.Minute, Provider: "gmail", Share: 1, Then: Verdict{Outcome: Deferred, Reply: mustReply("421 4.7.28 too much mail from {ip}, wait")}}}}

func mustReply(text string) *Reply {
	r, err := NewReply(text, "", policy)
	if err != nil {
		panic(err)
	}
	return r
}

// The monitor agrees with what the other streams of the run were told, in both
// formats, and its pages are ones that the reader of real pages understands.
func TestMonitorAgreesWithTheRun(t *testing.T) {
	for _, version := range []string{"4.5r8", "5.0r8"} {
		t.Run(version, func(t *testing.T) {
			m, err := NewMonitor(MonitorConfig{Version: version})
			if err != nil {
				t.Fatal(err)
			}
			c := newCensus()
			w, err := NewWorld(WorldOptions{Seed: 7, Rate: 20, Scenario: incident})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Run(t.Context(), w, RunOptions{Duration: 40 * time.Minute, Streams: []Stream{m, c}}); err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewServer(m)
			defer srv.Close()
			cl, err := webmon.NewClient(webmon.ClientOptions{URL: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			opt := webmon.ParseOptions{Location: time.UTC}
			st, err := cl.Status(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]webmon.Format{"4.5r8": webmon.XML, "5.0r8": webmon.JSON}[version]; cl.Format() != want || st.Version != version {
				t.Errorf("format %s, version %s", cl.Format(), st.Version)
			}
			var bytes int64
			want := map[string]int64{}
			for id, queue := range c.waiting {
				want[queue]++
				bytes += int64(c.bytes[id])
			}
			eq := func(what string, got, want int64) {
				t.Helper()
				if got != want {
					t.Errorf("%s: %d, want %d", what, got, want)
				}
			}
			eq("in", st.Total.In.Recipients.V, c.in)
			eq("out", st.Total.Out.Recipients.V, c.out)
			eq("bounces", st.Total.BounceProcessed.V, c.reports)
			eq("feedback", st.Total.FeedbackLoopProcessed.V, c.feedback)
			eq("waiting", st.Backlog[0].Recipients.V, int64(len(c.waiting)))
			if d := st.Backlog[0].Bytes.V - bytes; d < -100 || d > 100 {
				t.Errorf("%d bytes waiting, want %d", st.Backlog[0].Bytes.V, bytes)
			}
			if !st.Now.Equal(c.at.Truncate(time.Second)) || !st.Started.Equal(DefaultStart) {
				t.Errorf("times %v, %v", st.Now, st.Started)
			}

			l, err := cl.List(t.Context(), webmon.Queues, 100_000, "", opt)
			if err != nil {
				t.Fatal(err)
			}
			eq("queues", int64(len(l.Rows)), int64(len(want)))
			backoff := 0
			for _, r := range l.Rows {
				eq(r.Name, r.Recipients.V, want[r.Name])
				s := c.states.State(r.Name)
				if version < "5" && (r.Mode == webmon.ModeBackoff) != s.Backoff {
					t.Errorf("%s: mode %q", r.Name, r.Mode)
				}
				d, err := cl.QueueDetail(t.Context(), r.Name, opt)
				if err != nil {
					t.Fatal(err)
				}
				if (d.Mode == webmon.ModeBackoff) != s.Backoff || d.BackoffReason != s.Reason || len(d.Disabled) != len(s.Disabled) {
					t.Errorf("%s: %+v, want %+v", r.Name, d, s)
				}
				for i, ip := range s.Disabled {
					if got := d.Disabled[i]; got.IP != ip.IP || got.Reason != ip.Reason || !got.Since.Equal(ip.Since.Truncate(time.Second)) {
						t.Errorf("%s: %+v, want %+v", r.Name, got, ip)
					}
				}
				if s.Backoff {
					backoff++
				}
			}
			if backoff == 0 {
				t.Error("no queue in backoff")
			}
			for _, k := range []webmon.Kind{webmon.Domains, webmon.VMTAs, webmon.Jobs} {
				l, err := cl.List(t.Context(), k, 100_000, "", opt)
				if err != nil {
					t.Fatal(err)
				}
				var sum int64
				for _, r := range l.Rows {
					sum += r.Recipients.V
				}
				eq("sum of "+string(k), sum, l.TotalRecipients.V)
				eq("number of "+string(k), int64(len(l.Rows)), l.TotalRows.V)
				if k != webmon.Jobs {
					eq(string(k), sum, int64(len(c.waiting)))
				}
			}
			// Ten unless asked for more; only those in backoff if asked for.
			if l, err = cl.List(t.Context(), webmon.Queues, 0, "", opt); err != nil || len(l.Rows) != 10 || l.Complete(0) {
				t.Errorf("%d rows, %v", len(l.Rows), err)
			}
			if l, err = cl.List(t.Context(), webmon.Queues, 100_000, "backoff", opt); err != nil || len(l.Rows) != backoff {
				t.Errorf("%d rows, want %d, %v", len(l.Rows), backoff, err)
			}
			if _, err := cl.QueueDetail(t.Context(), "no/such", opt); webmon.Reason(err) != "refused" {
				t.Errorf("%v", err)
			}

			m.ResetCounters()
			if st, err = cl.Status(t.Context(), opt); err != nil || st.Total.In.Recipients.V != 0 || st.Backlog[0].Recipients.V == 0 || !st.Started.Equal(DefaultStart) {
				t.Errorf("%+v, %v", st, err)
			}
			m.Restart(c.at.Add(time.Minute))
			m.SetShuttingDown(true)
			if st, err = cl.Status(t.Context(), opt); err != nil || st.Started.Equal(DefaultStart) || !st.ShuttingDown.V {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
	for _, bad := range []MonitorConfig{{Version: "x"}, {MaxItems: -1}} {
		if _, err := NewMonitor(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// A crash is a time without status, then another start time, and counters that
// begin again.
func TestMonitorAfterACrash(t *testing.T) {
	m, err := NewMonitor(MonitorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWorld(WorldOptions{Seed: 7, Rate: 20, Scenario: Scenario{Incidents: []Incident{&Stoppage{Kind: CrashStop, Begin: 10 * time.Minute, Length: time.Minute}}}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m)
	defer srv.Close()
	cl, err := webmon.NewClient(webmon.ClientOptions{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	opt := webmon.ParseOptions{Location: time.UTC}
	if err := m.Open(DefaultStart); err != nil {
		t.Fatal(err)
	}
	var before *webmon.Status
	down := false
	for e := w.Next(); e.At.Sub(DefaultStart) < 12*time.Minute; e = w.Next() {
		if _, err := m.Write(e); err != nil {
			t.Fatal(err)
		}
		switch since := e.At.Sub(DefaultStart); {
		case e.Type == Notice && e.Server.Kind == Crashed:
			if _, err := cl.Status(t.Context(), opt); webmon.Reason(err) != "refused" {
				t.Fatalf("%v", err)
			}
			down = true
		case before == nil && since > 9*time.Minute:
			if before, err = cl.Status(t.Context(), opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := cl.Status(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if !down || !before.Started.Equal(DefaultStart) || !after.Started.Equal(DefaultStart.Add(11*time.Minute)) ||
		after.Total.Out.Recipients.V == 0 || after.Total.Out.Recipients.V >= before.Total.Out.Recipients.V {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestMonitorIsForPeopleToo(t *testing.T) {
	m, err := NewMonitor(MonitorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m)
	defer srv.Close()
	for path, want := range map[string]int{"/": 200, "/ui": 200, "/status": 200, "/ui/status?format=json": 200} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
		if _, err := webmon.ParseStatus(b, webmon.ParseOptions{}); webmon.Reason(err) != "html" {
			t.Errorf("%s: %v", path, err)
		}
	}
	resp, err := http.Post(srv.URL+"/command", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.Status)
	}
}

// One port speaks HTTP, to redirect, and HTTPS.
func TestServeMonitor(t *testing.T) {
	m, err := NewMonitor(MonitorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Open(time.Now()); err != nil {
		t.Fatal(err)
	}
	s, err := ServeMonitor("127.0.0.1:0", true, m)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := webmon.NewClient(webmon.ClientOptions{URL: "http://" + s.Addr})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Status(context.Background(), webmon.ParseOptions{}); webmon.Reason(err) != "certificate" {
		t.Errorf("%v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CertificatePEM) {
		t.Fatal("no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	if cl, err = webmon.NewClient(webmon.ClientOptions{URL: "http://" + s.Addr, HTTP: &http.Client{Transport: transport}}); err != nil {
		t.Fatal(err)
	}
	if st, err := cl.Status(context.Background(), webmon.ParseOptions{}); err != nil || st.Version != "5.0r8" {
		t.Errorf("%v, %v", st, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ServeMonitor("nowhere.invalid:0", false, m); err == nil {
		t.Error("listens nowhere")
	}
	plain, err := ServeMonitor("127.0.0.1:0", false, m)
	if err != nil {
		t.Fatal(err)
	}
	if cl, err = webmon.NewClient(webmon.ClientOptions{URL: "http://" + plain.Addr}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Status(context.Background(), webmon.ParseOptions{}); err != nil {
		t.Error(err)
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
}
