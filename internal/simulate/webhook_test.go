package simulate

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/freeport"
)

// hook is a server that refuses some requests.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte // of requests that were taken
	all    [][]byte // of all, with the status that was answered in front
	header http.Header
}

func newHook(t *testing.T, status func(n int) int) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		s := status(len(h.all))
		if s == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		h.all = append(h.all, append(fmt.Appendf(nil, "%d ", s), body...))
		if s/100 == 2 {
			h.bodies = append(h.bodies, body)
		}
		h.header = r.Header.Clone()
		w.WriteHeader(s)
	}))
	t.Cleanup(h.Close)
	return h
}

func TestWebhook(t *testing.T) {
	for _, c := range []struct {
		format, contentType string
		gzip                bool
	}{{"csv", "text/csv", false}, {"json", "application/json", true}, {"jsonl", "application/x-ndjson", false}} {
		t.Run(c.format, func(t *testing.T) {
			answers := []int{503, 200, 302, 429, 202}
			h := newHook(t, func(n int) int { return answers[n%len(answers)] })
			dir := t.TempDir()
			var notes []string
			w, err := NewWebhook(WebhookConfig{
				URL: h.URL, Staging: filepath.Join(dir, "staging", "w.csv"), Format: c.format, Gzip: c.gzip, CRLF: true, MaxSize: 100_000, MaxInterval: 5 * time.Minute,
				Retry: 30 * time.Second, Header: http.Header{"X-Token": {"t1"}}, Notify: func(at time.Time, text string) { notes = append(notes, text) },
			})
			if err != nil {
				t.Fatal(err)
			}
			acct, err := NewAccounting(AccountingConfig{Path: filepath.Join(dir, "acct.csv"), JSON: c.format != "csv", CRLF: c.format == "csv"})
			if err != nil {
				t.Fatal(err)
			}
			// The end comes with several bodies that still wait; the server takes each one sooner or later.
			mustRun(t, WorldOptions{Seed: 1, Rate: 1}, 3000, w, acct)

			if h.header.Get("X-Token") != "t1" || h.header.Get("Content-Type") != c.contentType || (h.header.Get("Content-Encoding") == "gzip") != c.gzip {
				t.Errorf("headers %v", h.header)
			}
			// Every body is sent again until it is taken.
			failures := 0
			for i, r := range h.all[:len(h.all)-1] {
				if !bytes.HasPrefix(r, []byte("20")) {
					failures++
					if !bytes.Equal(r[4:], h.all[i+1][4:]) {
						t.Fatalf("after the failure of request %d another body came", i)
					}
				}
			}
			var got []byte
			for _, b := range h.bodies {
				if c.gzip {
					z, err := gzip.NewReader(bytes.NewReader(b))
					if err != nil {
						t.Fatal(err)
					}
					if b, err = io.ReadAll(z); err != nil {
						t.Fatal(err)
					}
				}
				if len(b) > 110_000 {
					t.Errorf("a body of %d bytes", len(b))
				}
				switch c.format {
				case "csv":
					header, rest, _ := bytes.Cut(b, []byte("\n"))
					if string(header)+"\n" != string(acct.header) {
						t.Fatalf("header %s", header)
					}
					got = append(got, rest...)
				case "json":
					var list []json.RawMessage
					if err := json.Unmarshal(b, &list); err != nil {
						t.Fatal(err)
					}
					for _, r := range list {
						got = append(append(got, r...), '\n')
					}
				default:
					got = append(got, b...)
				}
			}
			want := read(t, filepath.Join(dir, acct.Files()[0].Name))
			if c.format == "csv" {
				_, want, _ = bytes.Cut(want, []byte("\n"))
			}
			if !bytes.Equal(got, want) {
				t.Error("the records of all bodies are not those of the accounting file")
			}
			s := w.Stats()
			if s.Records != 3000 || s.Posts != int64(len(h.bodies)) || s.Failures != int64(failures) || s.Posts < 10 || s.Failures < 5 || s.Left != 0 {
				t.Errorf("%+v with %d bodies and %d failures", s, len(h.bodies), failures)
			}
			text := strings.Join(notes, "\n")
			if len(notes) != failures || !strings.Contains(text, "Webhook upload to "+h.URL+" failed: HTTP 503") || !strings.Contains(text, "failed: HTTP 302") {
				t.Errorf("notes %q", notes)
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "staging")); len(left) > 0 {
				t.Errorf("staging still has %v", left)
			}
		})
	}
}

// TestWebhookWaits: after a failure no request comes before the retry interval is over.
func TestWebhookWaits(t *testing.T) {
	var asked []time.Time
	var now time.Time
	h := newHook(t, func(n int) int { asked = append(asked, now); return 500 })
	w, err := NewWebhook(WebhookConfig{URL: h.URL, Staging: filepath.Join(t.TempDir(), "w.csv"), MaxInterval: time.Minute, Retry: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Open(DefaultStart); err != nil {
		t.Fatal(err)
	}
	world := mustWorld(t, WorldOptions{Seed: 1, Rate: 1})
	for {
		e := world.Next()
		if now = e.At; now.Sub(DefaultStart) > time.Hour {
			break
		}
		if _, err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 6 {
		t.Fatalf("%d requests in an hour with a retry every 10 minutes", len(asked))
	}
	for i := range asked[1:] {
		if d := asked[i+1].Sub(asked[i]); d < 10*time.Minute {
			t.Errorf("request %d after %s", i+1, d)
		}
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "did not take") || w.Stats().Left < 3000 {
		t.Errorf("%v, %+v", err, w.Stats())
	}
}

// TestWebhookDown: without a server the records stay in the staging files, and the run ends with an error.
func TestWebhookDown(t *testing.T) {
	port, err := freeport.Get()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	dir := t.TempDir()
	log := mustLog(t, SystemLogConfig{LogFileConfig: LogFileConfig{Path: filepath.Join(dir, "log")}})
	w, err := NewWebhook(WebhookConfig{URL: "http://user:secret@" + address + "/x", Staging: filepath.Join(dir, "staging", "w.csv"), Notify: log.Note})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Run(context.Background(), mustWorld(t, WorldOptions{Seed: 1, Rate: 1}), RunOptions{Streams: []Stream{log, w}, Records: 500})
	if err == nil || !strings.Contains(err.Error(), "500 records, which are left in") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	text := string(read(t, filepath.Join(dir, "log")))
	if !strings.Contains(text, "Webhook upload to http://user:xxxxx@"+address+"/x failed: connection refused") {
		t.Errorf("log:\n%s", text)
	}
	var n int
	files, err := filepath.Glob(filepath.Join(dir, "staging", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		n += len(rows(t, read(t, f))) - 1
	}
	if n != 500 {
		t.Errorf("%d records in staging", n)
	}
}

// TestWebhookBackground: in real time a server that does not answer makes nothing wait.
func TestWebhookBackground(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	h := newHook(t, func(n int) int { <-release; return 200 })
	defer once.Do(func() { close(release) })
	clock := &fakeClock{now: DefaultStart}
	w, err := NewWebhook(WebhookConfig{URL: h.URL, Staging: filepath.Join(t.TempDir(), "w.csv"), MaxInterval: time.Second, Timeout: time.Minute, Background: true})
	if err != nil {
		t.Fatal(err)
	}
	// When the run ends a request is under way. It is answered while Close waits for it.
	last := &endProbe{f: func() { once.Do(func() { close(release) }) }}
	sum, err := Run(context.Background(), mustWorld(t, WorldOptions{Seed: 1, Rate: 100}), RunOptions{Streams: []Stream{w, last}, Duration: 20 * time.Second, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if s := w.Stats(); s.Records != sum.Records || s.Failures != 0 || s.Posts < 10 {
		t.Errorf("%+v of %d", s, sum.Records)
	}
}

type endProbe struct{ f func() }

func (p *endProbe) Open(time.Time) error       { return nil }
func (p *endProbe) Write(*Event) (bool, error) { return false, nil }
func (p *endProbe) Tick(time.Time) error       { return nil }
func (p *endProbe) Close() error               { p.f(); return nil }

func TestWebhookReasons(t *testing.T) {
	if err := reason(context.DeadlineExceeded); err.Error() != "timed out" {
		t.Error(err)
	}
	if err := reason(&net.OpError{Op: "dial", Err: errors.New("no route")}); err.Error() != "no route" {
		t.Error(err)
	}
}

func TestBadWebhooks(t *testing.T) {
	for name, cfg := range map[string]WebhookConfig{
		"no url": {Staging: "x"}, "ftp": {URL: "ftp://x/", Staging: "x"}, "format": {URL: "http://x/", Staging: "x", Format: "xml"},
		"retry": {URL: "http://x/", Staging: "x", Retry: -1}, "no staging": {URL: "http://x/"},
		"field": {URL: "http://x/", Staging: "x", Fields: map[Type][]string{Bounce: {"what"}}},
	} {
		if _, err := NewWebhook(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
