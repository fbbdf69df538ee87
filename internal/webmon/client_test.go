package webmon

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// monitor answers with what a test says and notes the requests.
type monitor struct {
	mu       sync.Mutex
	requests []string
	answer   func(w http.ResponseWriter, r *http.Request)
}

func (m *monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.requests = append(m.requests, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-API-Key"))
	m.mu.Unlock()
	m.answer(w, r)
}

func (m *monitor) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.requests
	m.requests = nil
	return r
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (*monitor, *httptest.Server) {
	t.Helper()
	m := &monitor{answer: answer}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	return m, s
}

func client(t *testing.T, opt ClientOptions) *Client {
	t.Helper()
	c, err := NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// version50 answers as 5.0 does.
func version50(t *testing.T) func(w http.ResponseWriter, r *http.Request) {
	pages := map[string][]byte{}
	for _, p := range []string{"status", "queues", "queueDetail", "jobs"} {
		pages["/"+p] = page(t, "5.0/"+p+".json")
	}
	return func(w http.ResponseWriter, r *http.Request) {
		b, ok := pages[r.URL.Path]
		if !ok || r.URL.Query().Get("format") != "json" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b)
	}
}

func TestClientAsksForJSON(t *testing.T) {
	m, s := serve(t, version50(t))
	c := client(t, ClientOptions{URL: s.URL + "/ui/?x=1#y"})
	st, err := c.Status(t.Context(), utc)
	require.NoError(t, err)
	require.Equal(t, "5.0r8", st.Version)
	l, err := c.List(t.Context(), Queues, 500, ModeBackoff, utc)
	require.NoError(t, err)
	require.Len(t, l.Rows, 3)
	_, err = c.List(t.Context(), Jobs, 0, "", utc)
	require.NoError(t, err)
	d, err := c.QueueDetail(t.Context(), "gmail.com/mk-01", utc)
	require.NoError(t, err)
	require.Equal(t, "421 4.7.28 Our system has detected an unusual rate of mail from 203.0.113.10", d.BackoffReason)
	_, err = c.QueueDetail(t.Context(), "gmail.com/mk-02", utc)
	require.ErrorIs(t, err, ErrPage)
	require.Equal(t, []string{
		"GET /status?format=json ", "GET /queues?format=json&maxitems=500&mode=backoff ", "GET /jobs?format=json ",
		"GET /queueDetail?format=json&queue=gmail.com%2Fmk-01 ", "GET /queueDetail?format=json&queue=gmail.com%2Fmk-02 "}, m.take())
}

// Old versions have no JSON, and each says so in its own way. What works is
// remembered, until it works no more.
func TestClientFallsBackToXML(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter, r *http.Request){
		"web page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>PowerMTA</body></html>")
		},
		"not found": http.NotFound,
		"error":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "what?", http.StatusBadRequest) },
		"refusal": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<rsp><fail>unknown format</fail></rsp>")
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			xml := page(t, "4.5/status.xml")
			m, s := serve(t, nil)
			m.answer = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("format") != "xml" {
					refuse(w, r)
					return
				}
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write(xml)
			}
			c := client(t, ClientOptions{URL: s.URL})
			for range 2 {
				st, err := c.Status(t.Context(), utc)
				require.NoError(t, err)
				require.Equal(t, "4.5r8", st.Version)
			}
			require.Equal(t, XML, c.Format())
			require.Equal(t, []string{"GET /status?format=json ", "GET /status?format=xml ", "GET /status?format=xml "}, m.take())
			// An upgrade: XML is refused now.
			m.answer = version50(t)
			_, err := c.Status(t.Context(), utc)
			require.Error(t, err)
			_, err = c.Status(t.Context(), utc)
			require.NoError(t, err)
			require.Equal(t, JSON, c.Format())
		})
	}
	// XML although JSON was asked for.
	m, s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page(t, "4.5/status.xml")) })
	c := client(t, ClientOptions{URL: s.URL})
	for range 2 {
		_, err := c.Status(t.Context(), utc)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"GET /status?format=json ", "GET /status?format=xml "}, m.take())
}

// Neither a refusal in JSON nor a closed door is a reason to ask again.
func TestClientTakesNoForAnAnswer(t *testing.T) {
	m, s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page(t, "5.0/fail.json")) })
	c := client(t, ClientOptions{URL: s.URL})
	_, err := c.QueueDetail(t.Context(), "x/y", utc)
	var fail *FailError
	require.ErrorAs(t, err, &fail)
	require.Len(t, m.take(), 1)

	for _, code := range []int{401, 403} {
		m.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
		_, err = c.Status(t.Context(), utc)
		var status *StatusError
		require.ErrorAs(t, err, &status)
		require.True(t, status.Denied())
		require.Equal(t, "denied", Reason(err))
		require.Len(t, m.take(), 1)
	}
}

// A redirect to https on the same host is followed once and remembered; the
// certificate has to be trusted.
func TestClientRedirect(t *testing.T) {
	secure := &monitor{answer: version50(t)}
	https := httptest.NewUnstartedServer(secure)
	https.Config.ErrorLog = log.New(io.Discard, "", 0)
	https.StartTLS()
	t.Cleanup(https.Close)
	m, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		// PowerMTA's own pages are below /ui; the path of the target does not matter.
		http.Redirect(w, r, https.URL+"/ui", http.StatusFound)
	})

	c := client(t, ClientOptions{URL: s.URL})
	_, err := c.Status(t.Context(), utc)
	var cert *CertificateError
	require.ErrorAs(t, err, &cert)
	require.Equal(t, "certificate", Reason(err))
	require.Empty(t, secure.take())
	m.take()

	c = client(t, ClientOptions{URL: s.URL, HTTP: https.Client()})
	for range 2 {
		_, err = c.Status(t.Context(), utc)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"GET /status?format=json "}, m.take())
	require.Equal(t, []string{"GET /status?format=json ", "GET /status?format=json "}, secure.take())

	// http-redirect-to-https is turned off again, and https with it.
	https.Close()
	m.answer = version50(t)
	_, err = c.Status(t.Context(), utc)
	require.Error(t, err)
	_, err = c.Status(t.Context(), utc)
	require.NoError(t, err)
}

func TestClientRefusesOtherRedirects(t *testing.T) {
	elsewhere, other := serve(t, version50(t))
	u, err := url.Parse(other.URL)
	require.NoError(t, err)
	for name, to := range map[string]string{
		"http":        other.URL + "/status?key=secret",
		"other host":  "https://localhost:" + u.Port() + "/status",
		"name inside": "https://127.0.0.1.example.com/",
		"relative":    "/ui/status",
		"user":        "https://user:secret@localhost/",
	} {
		_, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusMovedPermanently)
		})
		c := client(t, ClientOptions{URL: s.URL, APIKey: "0123456789abcdef"})
		_, err := c.Status(t.Context(), utc)
		var redirect *RedirectError
		require.ErrorAs(t, err, &redirect, name)
		require.NotContains(t, err.Error(), "secret", name)
		require.Equal(t, "redirect", Reason(err))
	}
	require.Empty(t, elsewhere.take())

	// In circles.
	circle := httptest.NewUnstartedServer(nil)
	circle.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, circle.URL+"/status", http.StatusFound)
	})
	circle.StartTLS()
	t.Cleanup(circle.Close)
	_, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, circle.URL+"/status", http.StatusFound)
	})
	c := client(t, ClientOptions{URL: s.URL, HTTP: circle.Client()})
	_, err = c.Status(t.Context(), utc)
	require.Equal(t, "redirect", Reason(err))
}

func TestClientSendsTheKeyOnlyIfConfigured(t *testing.T) {
	m, s := serve(t, version50(t))
	c := client(t, ClientOptions{URL: s.URL, APIKey: "0123456789abcdef0123456789abcdef"})
	_, err := c.Status(t.Context(), utc)
	require.NoError(t, err)
	require.Equal(t, []string{"GET /status?format=json 0123456789abcdef0123456789abcdef"}, m.take())
}

// A hostile or broken server costs a bounded time and a bounded memory.
func TestClientHostileServer(t *testing.T) {
	const limit = 64 << 10
	stop := make(chan struct{})
	defer close(stop)
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		reason string
	}{
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"data":{"x":"`+strings.Repeat("x", 2*limit)+`"}}`)
		}, "too_large"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("<a>"), 1000)); err != nil {
					return
				}
			}
		}, "too_large"},
		"bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 100*limit))
			_ = z.Close()
		}, "too_large"},
		"garbage": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0, 0x80, '<', '{'}) }, "format"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"data":{"status":{"timeNow":"20`)
		}, "format"},
		"cut body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"data":`)
		}, "unreachable"},
		"deep": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("[", limit-1)) }, "too_large"},
		"web page": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html><title>login</title></html>")
		}, "html"},
		"error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "status"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
		}, "timeout"},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := serve(t, c.answer)
			// The silent one is cut off; for the others it is long.
			patience := time.Minute
			if name == "silent" {
				patience = 50 * time.Millisecond
			}
			cl := client(t, ClientOptions{URL: s.URL, MaxBody: limit, HTTP: &http.Client{Timeout: patience}})
			_, err := cl.Status(t.Context(), utc)
			require.Error(t, err)
			require.Equal(t, c.reason, Reason(err), "%v", err)
			require.NotContains(t, err.Error(), s.URL)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, s := serve(t, version50(t))
	_, err := client(t, ClientOptions{URL: s.URL}).Status(ctx, utc)
	require.ErrorIs(t, err, context.Canceled)
	s.Close()
	_, err = client(t, ClientOptions{URL: s.URL}).Status(t.Context(), utc)
	require.Equal(t, "unreachable", Reason(err))
}

func TestNewClient(t *testing.T) {
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://", "://", "/status"} {
		_, err := NewClient(ClientOptions{URL: bad})
		require.Error(t, err, bad)
	}
	require.Empty(t, Reason(nil))
	require.Equal(t, "unreachable", Reason(errors.New("x")))
	require.Equal(t, "status", Reason(fmt.Errorf("page: %w", &StatusError{Code: 500})))
}
