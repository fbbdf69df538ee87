package esbulk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estest"
	"github.com/otelcol-pmta/otelcol-pmta/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stream = "logs-pmta.acct-default"

// rig is a client that counts what happens.
type rig struct {
	*Client
	reject    func([]Rejection) error
	mu        sync.Mutex // guards everything below
	outcomes  map[string]int
	rejected  []Rejection
	retried   int
	statuses  []int
	split     []int
	rejectErr error
}

func newRig(t *testing.T, cfg Config, servers ...*estest.Server) *rig {
	t.Helper()
	r := &rig{outcomes: map[string]int{}}
	for _, s := range servers {
		u, err := url.Parse(s.URL)
		require.NoError(t, err)
		cfg.URLs = append(cfg.URLs, u)
	}
	if cfg.InitialInterval == 0 {
		cfg.InitialInterval, cfg.MaxInterval = time.Microsecond, time.Millisecond
	}
	cfg.RetryOnStatus = []int{429, 500, 502, 503, 504}
	cfg.Transport = &http.Transport{}
	t.Cleanup(cfg.Transport.(*http.Transport).CloseIdleConnections)
	r.reject = func(rs []Rejection) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.rejectErr != nil {
			return r.rejectErr
		}
		for _, x := range rs {
			x.Action, x.Document = bytes.Clone(x.Action), bytes.Clone(x.Document)
			r.rejected = append(r.rejected, x)
		}
		return nil
	}
	lock := func(fn func()) { r.mu.Lock(); defer r.mu.Unlock(); fn() }
	cfg.Observer = Observer{
		Delivered: func(o string, n int) { lock(func() { r.outcomes[o] += n }) },
		Retried:   func(n int) { lock(func() { r.retried += n }) },
		Request:   func(status, _, _ int) { lock(func() { r.statuses = append(r.statuses, status) }) },
		Split:     func(status, _ int) { lock(func() { r.split = append(r.split, status) }) },
	}
	c, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	r.Client = c
	return r
}

func (r *rig) send(ctx context.Context, b *Batch) ([]int, error) { return r.Send(ctx, b, r.reject) }

// batchOf makes documents with _id and n from..to-1.
func batchOf(from, to int) *Batch {
	b := &Batch{}
	for i := from; i < to; i++ {
		b.End(fmt.Appendf(b.Begin(stream, fmt.Sprintf("uid-%d", i)), `{"@timestamp":"2026-01-01T00:00:00Z","n":%d}`, i))
	}
	return b
}

// number reads n of a document.
func number(t testing.TB, source []byte) int {
	var d struct{ N *int }
	require.NoError(t, json.Unmarshal(source, &d))
	require.NotNil(t, d.N)
	return *d.N
}

func requireDocs(t *testing.T, s *estest.Server, want []int) {
	t.Helper()
	got := []int{}
	for _, d := range s.Docs() {
		n := number(t, d.Source)
		require.Equal(t, stream, d.Index)
		require.Equal(t, fmt.Sprintf("uid-%d", n), d.ID)
		got = append(got, n)
	}
	slices.Sort(got)
	require.Equal(t, want, got)
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestSendCreates(t *testing.T) {
	for _, level := range []int{0, 1, 9} {
		t.Run(fmt.Sprint("gzip ", level), func(t *testing.T) {
			s := estest.New(t)
			r := newRig(t, Config{GzipLevel: level}, s)
			pending, err := r.send(context.Background(), batchOf(0, 100))
			require.NoError(t, err)
			require.Empty(t, pending)
			requireDocs(t, s, seq(100))
			require.Equal(t, map[string]int{OutcomeCreated: 100}, r.outcomes)
			require.Equal(t, 1, s.Bulks())
			require.Equal(t, min(level, 1), s.Gzipped())
		})
	}
}

func TestReplayMakesNoSecondDocument(t *testing.T) {
	s := estest.New(t)
	r := newRig(t, Config{GzipLevel: 1}, s)
	for _, b := range []*Batch{batchOf(0, 60), batchOf(40, 100)} {
		pending, err := r.send(context.Background(), b)
		require.NoError(t, err)
		require.Empty(t, pending)
	}
	requireDocs(t, s, seq(100))
	require.Equal(t, map[string]int{OutcomeCreated: 100, OutcomeConflict: 20}, r.outcomes)
}

// A connection that breaks after the documents were taken and before the
// answer: sent again, all of them are conflicts.
func TestResetAfterAccept(t *testing.T) {
	s := estest.New(t)
	s.OnBulk = func(n int) estest.Fault { return estest.Fault{Reset: n == 0} }
	r := newRig(t, Config{GzipLevel: 1, MaxRetries: 1}, s)
	pending, err := r.send(context.Background(), batchOf(0, 50))
	require.NoError(t, err)
	require.Empty(t, pending)
	requireDocs(t, s, seq(50))
	require.Equal(t, map[string]int{OutcomeConflict: 50}, r.outcomes)
	require.Equal(t, []int{0, 200}, r.statuses)
}

func TestItemsAreRetriedAlone(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := estest.New(t)
			s.OnItem = func(d estest.Doc, attempt int) *estest.ItemFault {
				if number(t, d.Source)%10 == 3 && attempt < 2 {
					return &estest.ItemFault{Status: status, Type: "es_rejected_execution_exception", Reason: "rejected execution of coordinating operation"}
				}
				return nil
			}
			r := newRig(t, Config{GzipLevel: 1, MaxRetries: 2}, s)
			pending, err := r.send(context.Background(), batchOf(0, 100))
			require.NoError(t, err)
			require.Empty(t, pending)
			requireDocs(t, s, seq(100))
			require.Equal(t, map[string]int{OutcomeCreated: 100}, r.outcomes, "what was taken is not sent again")
			require.Equal(t, 20, r.retried)
			require.Equal(t, 3, s.Bulks())
		})
	}
}

func TestRetriesEndAndSayWhatIsLeft(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if n := number(t, d.Source); n == 7 || n == 9 {
			return &estest.ItemFault{Status: 429, Type: "es_rejected_execution_exception", Reason: "queue full"}
		}
		return nil
	}
	r := newRig(t, Config{MaxRetries: 3}, s)
	pending, err := r.send(context.Background(), batchOf(0, 20))
	require.EqualError(t, err, "Elasticsearch answers 429 es_rejected_execution_exception: queue full")
	require.Equal(t, []int{7, 9}, pending)
	require.Equal(t, 4, s.Bulks())
	require.Equal(t, map[string]int{OutcomeCreated: 18}, r.outcomes)
}

// Errors that an administrator has to mend must not cost a document, and are
// left to the caller at once.
func TestWhatIsNotTheDocumentsFaultIsPending(t *testing.T) {
	for name, f := range map[string]estest.ItemFault{
		"privilege":   {Status: 403, Type: "security_exception", Reason: "action [indices:data/write/bulk[s]] is unauthorized"},
		"read only":   {Status: 403, Type: "cluster_block_exception", Reason: "index [x] blocked by: [FORBIDDEN/8/index write (api)];"},
		"no index":    {Status: 404, Type: "index_not_found_exception", Reason: "no such index"},
		"shard limit": {Status: 400, Type: "validation_exception", Reason: "this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;"},
		"no pipeline": {Status: 400, Type: "illegal_argument_exception", Reason: "pipeline with id [x] does not exist"},
		"closed":      {Status: 400, Type: "index_closed_exception", Reason: "closed"},
		"alias":       {Status: 400, Type: "illegal_argument_exception", Reason: "no write index is defined for alias [mail]. The write index may be explicitly disabled using is_write_index=false or the alias points to multiple indices without one being designated as a write index"},
	} {
		t.Run(name, func(t *testing.T) {
			s := estest.New(t)
			s.OnItem = func(estest.Doc, int) *estest.ItemFault { return &f }
			r := newRig(t, Config{MaxRetries: 3}, s)
			pending, err := r.send(context.Background(), batchOf(0, 3))
			var se *StatusError
			require.ErrorAs(t, err, &se)
			require.Equal(t, f.Status, se.Status)
			require.Equal(t, f.Reason, se.Reason)
			require.Equal(t, seq(3), pending)
			require.Empty(t, r.rejected)
			require.Equal(t, 1, s.Bulks())
		})
	}
}

func TestMappingErrorsAreRejectedAlone(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if number(t, d.Source) == 4 {
			return &estest.ItemFault{Status: 400, Type: "document_parsing_exception", Reason: "[1:29] failed to parse field [n] of type [ip]"}
		}
		return nil
	}
	r := newRig(t, Config{GzipLevel: 1, MaxRetries: 3}, s)
	pending, err := r.send(context.Background(), batchOf(0, 10))
	require.NoError(t, err)
	require.Empty(t, pending)
	require.Len(t, s.Docs(), 9)
	require.Equal(t, []Rejection{{
		Position: 4, Status: 400, Type: "document_parsing_exception", Reason: "[1:29] failed to parse field [n] of type [ip]",
		Action:   []byte(`{"create":{"_index":"logs-pmta.acct-default","_id":"uid-4"}}`),
		Document: []byte(`{"@timestamp":"2026-01-01T00:00:00Z","n":4}`),
	}}, r.rejected)
	require.Equal(t, map[string]int{OutcomeCreated: 9, OutcomeDeadLetter: 1}, r.outcomes)
}

func TestDeadLetterThatCannotBeWrittenKeepsTheDocument(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if number(t, d.Source) == 1 {
			return &estest.ItemFault{Status: 400, Type: "document_parsing_exception", Reason: "x"}
		}
		return nil
	}
	r := newRig(t, Config{}, s)
	r.rejectErr = errors.New("no space left on device")
	pending, err := r.send(context.Background(), batchOf(0, 3))
	require.EqualError(t, err, "cannot write the dead letter: no space left on device")
	require.Equal(t, []int{1}, pending)
	require.Equal(t, map[string]int{OutcomeCreated: 2}, r.outcomes)
}

// What is left for different reasons comes back in order.
func TestPendingIsInOrder(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if number(t, d.Source)%2 == 0 {
			return &estest.ItemFault{Status: 429, Type: "es_rejected_execution_exception", Reason: "queue full"}
		}
		return &estest.ItemFault{Status: 400, Type: "document_parsing_exception", Reason: "x"}
	}
	r := newRig(t, Config{}, s)
	r.rejectErr = errors.New("no space left on device")
	pending, err := r.send(context.Background(), batchOf(0, 6))
	require.Error(t, err)
	require.Equal(t, seq(6), pending)
}

func TestTooLargeIsSplitDownToOneDocument(t *testing.T) {
	s := estest.New(t)
	b := &Batch{}
	for i := range 32 {
		pad := 10
		if i == 21 {
			pad = 5000
		}
		b.End(fmt.Appendf(b.Begin(stream, fmt.Sprintf("uid-%d", i)), `{"@timestamp":"2026-01-01T00:00:00Z","n":%d,"pad":"%s"}`, i, strings.Repeat("x", pad)))
	}
	s.OnBulk = func(int) estest.Fault { return estest.Fault{MaxBody: 1000} }
	r := newRig(t, Config{GzipLevel: 1, MaxBytes: 5 << 20}, s)
	pending, err := r.send(context.Background(), b)
	require.NoError(t, err)
	require.Empty(t, pending)
	want := slices.DeleteFunc(seq(32), func(n int) bool { return n == 21 })
	requireDocs(t, s, want)
	require.Len(t, r.rejected, 1)
	require.Equal(t, 21, r.rejected[0].Position)
	require.Equal(t, 413, r.rejected[0].Status)
	require.Contains(t, r.rejected[0].Reason, "413 Request Entity Too Large")
	require.Equal(t, map[string]int{OutcomeCreated: 31, OutcomeDeadLetter: 1}, r.outcomes)
	require.NotEmpty(t, r.split)
	require.Equal(t, minMaxBytes, r.MaxBytes(), "the next requests are built smaller, but not without end")
}

// A request that Elasticsearch refuses as a whole is searched for the
// document at fault.
func TestBadRequestIsSplitDownToOneDocument(t *testing.T) {
	s := estest.New(t)
	var mu sync.Mutex
	bad := map[int]bool{}
	s.OnBulk = func(n int) estest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if n <= 3 { // 8, 4, 2 and 1 documents, each with the bad one
			bad[n] = true
			return estest.Fault{Status: 400}
		}
		return estest.Fault{}
	}
	r := newRig(t, Config{}, s)
	pending, err := r.send(context.Background(), batchOf(0, 8))
	require.NoError(t, err)
	require.Empty(t, pending)
	requireDocs(t, s, []int{1, 2, 3, 4, 5, 6, 7})
	require.Len(t, r.rejected, 1)
	require.Equal(t, 0, r.rejected[0].Position)
	require.Equal(t, "injected_exception", r.rejected[0].Type)
	require.Zero(t, r.MaxBytes())
}

// An answer that is not Elasticsearch's says nothing about documents.
func TestForeignAnswersKeepEverything(t *testing.T) {
	for name, f := range map[string]estest.Fault{
		"proxy 400":     {Status: 400, Body: "<html>The plain HTTP request was sent to HTTPS port</html>"},
		"portal 200":    {Status: 200, Body: "<html>log in</html>"},
		"empty 200":     {Status: 200, Body: "{}"},
		"wrong count":   {Status: 200, Body: `{"errors":false,"items":[{"create":{"status":201}}]}`},
		"wrong action":  {Status: 200, Body: `{"errors":false,"items":[{"index":{"status":201}},{"index":{"status":201}},{"index":{"status":201}}]}`},
		"found":         {Status: 302, Body: "elsewhere"},
		"wrong path":    {Status: 400, Body: `{"error":"no handler found for uri [/a/b/_bulk?filter_path=errors] and method [POST]"}`},
		"not found":     {Status: 404, Body: "no such page"},
		"unauthorized":  {Status: 401},
		"no privileges": {Status: 403},
		"unknown param": {Status: 400, Body: `{"error":{"type":"illegal_argument_exception","reason":"request [/_bulk] contains unrecognized parameter: [x]"},"status":400}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := estest.New(t)
			s.OnBulk = func(int) estest.Fault { return f }
			r := newRig(t, Config{}, s)
			pending, err := r.send(context.Background(), batchOf(0, 3))
			require.Error(t, err)
			require.Equal(t, seq(3), pending)
			require.Empty(t, r.rejected)
			require.Empty(t, r.outcomes)
		})
	}
}

// What somebody has to mend is said in terms of the settings.
func TestErrorsNameTheFix(t *testing.T) {
	send := func(t *testing.T, f estest.Fault, change func(*Config)) error {
		s := estest.New(t)
		s.OnBulk = func(int) estest.Fault { return f }
		u, err := url.Parse(s.URL)
		require.NoError(t, err)
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		cfg := Config{URLs: []*url.URL{u}, MaxBytes: 1 << 20, Transport: tr}
		if change != nil {
			change(&cfg)
		}
		c, err := New(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
		pending, err := c.Send(context.Background(), batchOf(0, 3), func([]Rejection) error { t.Error("rejected"); return nil })
		require.Equal(t, seq(3), pending)
		return err
	}
	redirect := http.Header{"Location": {"https://es.example.com:9243/_bulk?filter_path=errors"}}
	require.EqualError(t, send(t, estest.Fault{Status: 308, Header: redirect, Body: "<html>"}, nil),
		"Elasticsearch answers 308: go to https://es.example.com:9243/_bulk (redirects are not followed: set endpoint to where this one leads)")
	require.ErrorContains(t, send(t, estest.Fault{Status: 404, Body: "no such page"}, nil), "check that endpoint is the address of Elasticsearch")
	require.ErrorContains(t, send(t, estest.Fault{Status: 400, Body: `{"error":"no handler found for uri [/a/b/_bulk] and method [POST]"}`}, nil), "its path included")

	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}
	defer tr.CloseIdleConnections()
	require.ErrorContains(t, send(t, estest.Fault{}, func(c *Config) {
		u, err := url.Parse(secure.URL)
		require.NoError(t, err)
		c.URLs, c.Transport = []*url.URL{u}, tr
	}), "set tls::ca_file")
	// A node hangs up on a client that does not speak TLS.
	require.ErrorContains(t, send(t, estest.Fault{ResetBefore: true}, nil), "write https:// in endpoint")
}

func TestWholeRequestIsRetried(t *testing.T) {
	s := estest.New(t)
	s.OnBulk = func(n int) estest.Fault {
		switch n {
		case 0:
			return estest.Fault{Status: 503}
		case 1:
			return estest.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}}
		case 2:
			return estest.Fault{ResetBefore: true}
		}
		return estest.Fault{}
	}
	r := newRig(t, Config{MaxRetries: 5}, s)
	pending, err := r.send(context.Background(), batchOf(0, 5))
	require.NoError(t, err)
	require.Empty(t, pending)
	requireDocs(t, s, seq(5))
	require.Equal(t, 15, r.retried)
}

func TestFailoverToTheNextNode(t *testing.T) {
	// A port on which nobody listens.
	port, err := freeport.Get()
	require.NoError(t, err)
	down := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}

	busy, up := estest.New(t), estest.New(t)
	busy.OnBulk = func(int) estest.Fault { return estest.Fault{Status: 503} }
	r := newRig(t, Config{URLs: []*url.URL{down}, GzipLevel: 1, Timeout: 10 * time.Second}, busy, up)
	for i := range 6 {
		pending, err := r.send(context.Background(), batchOf(i*10, i*10+10))
		require.NoError(t, err)
		require.Empty(t, pending)
	}
	requireDocs(t, up, seq(60))
	require.Empty(t, busy.Docs())
	require.Zero(t, r.retried, "another node needs no pause")
}

func TestEveryNodeDown(t *testing.T) {
	var urls []*url.URL
	for range 2 {
		s := httptest.NewServer(http.NotFoundHandler())
		u, err := url.Parse(s.URL)
		require.NoError(t, err)
		urls = append(urls, u)
		s.Close()
	}
	r := newRig(t, Config{URLs: urls, MaxRetries: 2})
	pending, err := r.send(context.Background(), batchOf(0, 4))
	require.ErrorContains(t, err, "connection refused")
	require.Equal(t, seq(4), pending)
	require.Equal(t, []int{0, 0, 0}, r.statuses)
}

func TestSlowNodeTimesOut(t *testing.T) {
	slow, up := estest.New(t), estest.New(t)
	slow.OnBulk = func(int) estest.Fault { return estest.Fault{Wait: make(chan struct{})} }
	r := newRig(t, Config{Timeout: 50 * time.Millisecond}, slow)
	pending, err := r.send(context.Background(), batchOf(0, 2))
	require.ErrorContains(t, err, "no answer within 50ms")
	require.Equal(t, seq(2), pending)

	r = newRig(t, Config{Timeout: 5 * time.Second}, up)
	pending, err = r.send(context.Background(), batchOf(0, 2))
	require.NoError(t, err)
	require.Empty(t, pending)
}

func TestContextEndsSend(t *testing.T) {
	s := estest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	s.OnBulk = func(int) estest.Fault { cancel(); return estest.Fault{Status: 503} }
	r := newRig(t, Config{MaxRetries: 1000, InitialInterval: time.Hour, MaxInterval: time.Hour}, s)
	pending, err := r.send(ctx, batchOf(0, 2))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, seq(2), pending)
}

func TestAuthorization(t *testing.T) {
	for want, cfg := range map[string]Config{
		"APIKey aWQ6a2V5":            {APIKey: "aWQ6a2V5"},
		"Bearer tok":                 {BearerToken: "tok"},
		"Basic ZWxhc3RpYzpzZWNyZXQ=": {Username: "elastic", Password: "secret"},
	} {
		s := estest.New(t)
		s.Authorization = want
		r := newRig(t, cfg, s)
		pending, err := r.send(context.Background(), batchOf(0, 1))
		require.NoError(t, err, want)
		require.Empty(t, pending)

		r = newRig(t, Config{}, s)
		_, err = r.send(context.Background(), batchOf(0, 1))
		require.ErrorContains(t, err, "check user and password")
	}
}

// Many senders at once share pools and nodes; each document arrives once.
func TestConcurrentSends(t *testing.T) {
	a, b := estest.New(t), estest.New(t)
	fault := func(n int) estest.Fault {
		switch n % 5 {
		case 1:
			return estest.Fault{ResetBefore: true}
		case 3:
			return estest.Fault{MaxBody: 2000}
		}
		return estest.Fault{}
	}
	a.OnBulk, b.OnBulk = fault, fault
	r := newRig(t, Config{GzipLevel: 1, MaxRetries: 50}, a, b)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				from := (w*10 + i) * 50
				pending, err := r.send(context.Background(), batchOf(from, from+50))
				if err != nil || len(pending) > 0 {
					t.Errorf("pending %v: %v", pending, err)
				}
			}
		})
	}
	wg.Wait()
	var got []int
	for _, s := range []*estest.Server{a, b} {
		for _, d := range s.Docs() {
			got = append(got, number(t, d.Source))
		}
	}
	slices.Sort(got)
	require.Equal(t, seq(4000), got)
}
