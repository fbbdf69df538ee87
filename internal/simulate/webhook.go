package simulate

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// WebhookConfig describes an HTTP webhook for accounting records, like an <acct-file> block with http-webhook-url. Zero
// values are defaults.
type WebhookConfig struct {
	URL     string
	Staging string // path of the staging files, such as "staging/webhook.csv"
	// Format of the bodies: "csv" with a header line, "json" for one array of objects, or "jsonl" for one object a line.
	// What PowerMTA's own bodies look like is not documented. "csv".
	Format string
	Types  []Type
	Fields map[Type][]string
	Header http.Header // may override Content-Type
	Gzip   bool
	TLS    *tls.Config

	CRLF       bool // line ends of CSV
	UnixTimes  bool
	UserString string

	MaxSize     int64         // bytes of a body; 5 MB
	MaxInterval time.Duration // how long a body is collected; 5 minutes
	Retry       time.Duration // after a failure; one minute
	Timeout     time.Duration // of one request; 5 s

	// Background posts while the world goes on, for runs in real time. Otherwise each request is made between two events,
	// so that the same server's answers lead to the same run.
	Background bool
	Notify     func(at time.Time, text string) // told of errors in the words of PowerMTA's log
}

// WebhookStats is what a webhook did.
type WebhookStats struct {
	Posts    int64 // requests that were answered with 2xx
	Failures int64 // requests that were not
	Records  int64 // in the ones that were
	Left     int64 // records in staging files that are still there
}

// Webhook collects records in a staging file, and posts it when it is large or old enough. A file is deleted after an
// answer of 2xx; until then the same body is sent again and again, and the next files wait. It is not safe for concurrent
// use.
type Webhook struct {
	cfg    WebhookConfig
	acct   *Accounting
	client *http.Client
	url    string // without credentials, for messages
	staged []FileStats
	next   time.Time  // no request before it
	result chan error // of the request that is being made; nil = none
	stats  WebhookStats
	at     time.Time
}

// Attempts and pause between them when the run is over and bodies are left.
const (
	lastAttempts = 5
	lastPause    = 200 * time.Millisecond
)

// NewWebhook checks the configuration. Nothing is created before [Webhook.Open].
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("webhook: %q is no address such as http://localhost:8088/pmta", cfg.URL)
	}
	types := map[string]string{"": "text/csv", "csv": "text/csv", "json": "application/json", "jsonl": "application/x-ndjson"}
	contentType, ok := types[cfg.Format]
	if !ok {
		return nil, fmt.Errorf("webhook: unknown format %q: use csv, json or jsonl", cfg.Format)
	}
	for _, d := range []struct {
		v         *time.Duration
		otherwise time.Duration
	}{{&cfg.MaxInterval, 5 * time.Minute}, {&cfg.Retry, time.Minute}, {&cfg.Timeout, 5 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.otherwise
		}
		if *d.v < 0 {
			return nil, errors.New("webhook: intervals must not be negative")
		}
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = 5 << 20
	}
	cfg.Header = cfg.Header.Clone()
	if cfg.Header == nil {
		cfg.Header = http.Header{}
	}
	if cfg.Header.Get("Content-Type") == "" {
		cfg.Header.Set("Content-Type", contentType)
	}
	if cfg.Gzip {
		cfg.Header.Set("Content-Encoding", "gzip")
	}
	w := &Webhook{cfg: cfg, url: u.Redacted()}
	w.acct, err = NewAccounting(AccountingConfig{
		Path: cfg.Staging, Types: cfg.Types, Fields: cfg.Fields, JSON: strings.HasPrefix(cfg.Format, "json"),
		CRLF: cfg.CRLF && !strings.HasPrefix(cfg.Format, "json"), UnixTimes: cfg.UnixTimes, UserString: cfg.UserString, MaxSize: cfg.MaxSize, MoveInterval: cfg.MaxInterval, Block: 64 << 10,
		finished: w.finished,
	})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg.TLS
	w.client = &http.Client{
		Transport: transport, Timeout: cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// Stats returns what was done so far.
func (w *Webhook) Stats() WebhookStats { return w.stats }

// Open creates the first staging file.
func (w *Webhook) Open(at time.Time) error {
	w.at = at
	return w.acct.Open(at)
}

func (w *Webhook) finished(f FileStats) { w.staged = append(w.staged, f) }

// Write stages the event's record and reports whether the webhook takes this type.
func (w *Webhook) Write(e *Event) (bool, error) {
	w.at = e.At
	ok, err := w.acct.Write(e)
	if err != nil {
		return ok, err
	}
	return ok, w.work(e.At)
}

// Tick posts what is due.
func (w *Webhook) Tick(now time.Time) error {
	w.at = now
	if err := w.acct.Tick(now); err != nil {
		return err
	}
	return w.work(now)
}

// work takes the result of a request in the background, and begins the next one if it is time.
func (w *Webhook) work(now time.Time) error {
	if w.result != nil {
		select {
		case err := <-w.result:
			w.result = nil
			if err := w.settle(now, err); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	for len(w.staged) > 0 && !now.Before(w.next) {
		if w.cfg.Background {
			name := w.path(w.staged[0])
			w.result = make(chan error, 1)
			go func(result chan<- error) { result <- w.post(name) }(w.result)
			return nil
		}
		if err := w.settle(now, w.post(w.path(w.staged[0]))); err != nil {
			return err
		}
	}
	return nil
}

func (w *Webhook) path(f FileStats) string { return filepath.Join(filepath.Dir(w.cfg.Staging), f.Name) }

func records(f FileStats) (n int64) {
	for _, k := range f.Records {
		n += k
	}
	return n
}

// settle removes the first staging file, or waits before the next request if it was not taken.
func (w *Webhook) settle(now time.Time, err error) error {
	if err != nil {
		w.stats.Failures++
		w.next = now.Add(w.cfg.Retry)
		if w.cfg.Notify != nil {
			w.cfg.Notify(now, "Webhook upload to "+w.url+" failed: "+err.Error())
		}
		return nil
	}
	f := w.staged[0]
	w.staged = w.staged[1:]
	if n := records(f); n > 0 {
		w.stats.Posts++
		w.stats.Records += n
	}
	return os.Remove(w.path(f))
}

// post sends a staging file. Its error is the reason as PowerMTA would say it.
func (w *Webhook) post(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(body) <= len(w.acct.header) {
		return nil // no records
	}
	if w.cfg.Format == "json" {
		body = append([]byte("["), bytes.ReplaceAll(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"), []byte(","))...)
		body = append(body, ']')
	}
	if w.cfg.Gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		body = b.Bytes()
	}
	req, err := http.NewRequest(http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range w.cfg.Header {
		req.Header[k] = slices.Clone(v)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return reason(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New("HTTP " + strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// reason shortens the error of a request.
func reason(err error) error {
	var t net.Error
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.As(err, &t) && t.Timeout():
		return errors.New("timed out")
	case errors.As(err, &op):
		return op.Err
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Close posts what is left, with a few attempts. It fails if the server does not take everything; the staging files
// stay.
func (w *Webhook) Close() error {
	if w.acct.file == nil {
		return nil
	}
	if w.result != nil {
		err := w.settle(w.at, <-w.result)
		w.result = nil
		if err != nil {
			return err
		}
	}
	if err := w.acct.Close(); err != nil {
		return err
	}
	w.finished(w.acct.done[len(w.acct.done)-1])
	for attempt := 1; len(w.staged) > 0; {
		before := w.stats.Failures
		if err := w.settle(w.at, w.post(w.path(w.staged[0]))); err != nil {
			return err
		}
		if w.stats.Failures == before {
			continue
		}
		if attempt++; attempt > lastAttempts {
			break
		}
		time.Sleep(lastPause)
	}
	for _, f := range w.staged {
		w.stats.Left += records(f)
	}
	w.client.CloseIdleConnections()
	if len(w.staged) > 0 {
		return fmt.Errorf("webhook %s did not take %d records, which are left in %s", w.url, w.stats.Left, filepath.Dir(w.cfg.Staging))
	}
	return nil
}
