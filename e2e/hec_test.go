package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hec is a Splunk HTTP Event Collector that checks what it gets and fails on
// demand.
type hec struct {
	t      *testing.T
	url    string
	caFile string
	token  string
	// faults answers request n, counted from 0, instead of taking it; what is
	// past the end is taken. Set it before the first request only.
	faults []hecFault
	// ack is a token with indexer acknowledgement: requests need a channel.
	ack bool

	mu       sync.Mutex // guards everything below
	requests int
	events   int
	got      map[string]facts
	other    map[string]map[string]any // what is no accounting record
}

// hecFault is an answer that is no success. take is how many events, in
// percent, are kept all the same; status 0 hangs up.
type hecFault struct {
	status, take int
}

func newHEC(t *testing.T, au *authority) *hec {
	t.Helper()
	s := &hec{t: t, token: "11111111-2222-3333-4444-555555555555", caFile: au.caFile, got: map[string]facts{}, other: map[string]map[string]any{}}
	srv := httptest.NewUnstartedServer(s)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{au.cert}}
	srv.StartTLS()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	s.url = srv.URL
	return s
}

func (s *hec) env() []string {
	return []string{"SPLUNK_HEC_URL=" + s.url, "SPLUNK_HEC_TOKEN=" + s.token, "SPLUNK_INDEX=mail_e2e", "SPLUNK_CA_FILE=" + s.caFile}
}

func (s *hec) arrivals() map[string]facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.got)
}

func (s *hec) counts() (requests, events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.events
}

func (s *hec) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/services/collector" {
		s.t.Errorf("%s %s", r.Method, r.URL.Path)
		answer(http.StatusNotFound, `{"text":"The requested URL was not found on this server.","code":404}`)
		return
	}
	if r.Header.Get("Authorization") != "Splunk "+s.token {
		answer(http.StatusForbidden, `{"text":"Invalid token","code":4}`)
		return
	}
	if s.ack && r.Header.Get("X-Splunk-Request-Channel") == "" {
		answer(http.StatusBadRequest, `{"text":"Data channel is missing","code":10}`)
		return
	}
	events, err := hecEvents(r)
	if err != nil {
		s.t.Errorf("not what HEC takes: %v", err)
		answer(http.StatusBadRequest, `{"text":"Invalid data format","code":6}`)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := hecFault{status: http.StatusOK, take: 100}
	if s.requests < len(s.faults) {
		fault = s.faults[s.requests]
	}
	s.requests++
	s.take(events[:len(events)*fault.take/100])
	switch fault.status {
	case 0:
		hangUp(w)
	case http.StatusOK:
		answer(http.StatusOK, `{"text":"Success","code":0}`)
	case http.StatusServiceUnavailable:
		answer(fault.status, `{"text":"Server is busy","code":9}`)
	default:
		answer(fault.status, `{"text":"`+http.StatusText(fault.status)+`"}`)
	}
}

// hecEvent is an event as HEC documents it.
type hecEvent struct {
	Time       float64        `json:"time"`
	Host       string         `json:"host"`
	Source     string         `json:"source"`
	SourceType string         `json:"sourcetype"`
	Index      string         `json:"index"`
	Event      map[string]any `json:"event"`
	Fields     map[string]any `json:"fields"`
}

// hecEvents reads a body: JSON objects one after the other, mostly gzipped.
func hecEvents(r *http.Request) ([]hecEvent, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var body io.Reader = bytes.NewReader(raw)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	var events []hecEvent
	for {
		var e hecEvent
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
}

// take keeps events; the caller holds mu.
func (s *hec) take(events []hecEvent) {
	for _, e := range events {
		uid, _ := e.Event["pmta_record_uid"].(string)
		typ, _ := e.Event["pmta_record_type"].(string)
		domain, _ := e.Event["recipient_domain"].(string)
		if uid == "" || e.Time == 0 || e.Time != e.Event["time"] {
			s.t.Errorf("event without identity or time: %+v", e)
		}
		sourcetype := "pmta:acct"
		if typ == "" { // no accounting record
			sourcetype = "pmta:log"
		}
		if e.Host != "e2e" || e.Source != "pmta" || e.SourceType != sourcetype || e.Index != "mail_e2e" {
			s.t.Errorf("metadata: host %q, source %q, sourcetype %q, index %q", e.Host, e.Source, e.SourceType, e.Index)
		}
		s.events++
		if typ == "" {
			s.other[uid] = e.Event
			continue
		}
		s.got[uid] = facts{recordType: typ, rcptDomain: domain, classified: e.Event["pmta_category"] != nil}
	}
}

// PowerMTA's own log arrives with a sourcetype of its own, so that none of it
// gets into the data model Email.
func TestSplunkSystemLog(t *testing.T) {
	s := newHEC(t, newAuthority(t))
	h := newMailHost(t, 100)
	require.NoError(t, os.WriteFile(filepath.Join(h.logs, "log"), []byte(`2026-01-31 10:00:00 Queue gmail.com/vmta1 switched to backoff mode: "421 4.7.28 rate limited"
2026-01-31 10:00:01 Unexpected exception: out of memory
2026-01-31 10:00:02 PowerMTA v5.0r8 starting
`), 0o600))
	h.ship(t, "splunk-hec.yaml", s.env(), func() map[string]facts {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.other) < 3 {
			return nil // wait for these as well
		}
		return maps.Clone(s.got)
	})
	got := map[any]any{}
	for _, e := range s.other {
		got[e["action"]] = e["severity"]
		require.NotContains(t, e, "recipient")
		require.Equal(t, "e2e", e["dest"])
	}
	require.Equal(t, map[any]any{"queue.backoff": "medium", "mta.crash": "critical", "mta.start": "informational"}, got)
}

// While HEC refuses, is over its limits, hangs up before or after it took
// events, or takes a part of a request only, nothing is lost.
func TestSplunkFaultsLoseNothing(t *testing.T) {
	s := newHEC(t, newAuthority(t))
	s.faults = []hecFault{
		{http.StatusServiceUnavailable, 0},
		{http.StatusRequestEntityTooLarge, 0},
		{http.StatusTooManyRequests, 0},
		{http.StatusInternalServerError, 0},
		{0, 0},
		{0, 100},                             // taken, but the answer is lost
		{http.StatusServiceUnavailable, 50},  // taken in part
		{http.StatusInternalServerError, 50}, // the same
		{http.StatusGatewayTimeout, 100},
		{http.StatusServiceUnavailable, 0},
	}
	h := newMailHost(t, 3000)
	// Short pauses, and several requests per batch: a batch fails in the middle.
	h.ship(t, "splunk-hec.yaml", s.env(), s.arrivals,
		"--config", "yaml:exporters::splunk_hec::retry_on_failure::initial_interval: 10ms",
		"--config", "yaml:exporters::splunk_hec::max_content_length_logs: 20000")
	requests, events := s.counts()
	require.Greater(t, requests, len(s.faults)+10, "a batch was several requests")
	require.Greater(t, events, len(h.want), "what was taken without an answer came again")
	t.Logf("%d requests, %d events, %d of them again", requests, events, events-len(h.want))
}

// A refusal for good, by a bad token or by one that asks for acknowledgement,
// which contrib's exporter does not know: the records are in the quarantine file
// for refusals, and pmtalog reads every one of them from there.
func TestSplunkRefusalLosesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		ack         bool
		token, says string
	}{
		"bad token": {false, "wrong", "403"},
		"ack":       {true, "", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHEC(t, newAuthority(t))
			s.ack = tc.ack
			h := newMailHost(t, 3000)
			env := s.env()
			if tc.token != "" {
				env = append(env, "SPLUNK_HEC_TOKEN="+tc.token)
			}
			a := h.start(t, "splunk-hec.yaml", env)
			file := filepath.Join(h.state, "quarantine-refused.jsonl")
			eventually(t, time.Minute, "every record in the quarantine", func() bool { return lines(file) >= len(h.want) })
			a.stop()
			require.Contains(t, a.out.String(), tc.says)
			require.Empty(t, s.arrivals())
			require.Equal(t, h.want, parsed(t, "--instance", "e2e", file))
		})
	}
}
