// Package esbulk delivers JSON documents to Elasticsearch with the bulk API:
// compressed request bodies of bounded size, several nodes with failover, and
// a verdict for every single document. It knows nothing of the Collector.
//
// The protocol is that of
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk.
package esbulk // import "github.com/otelcol-pmta/otelcol-pmta/internal/esbulk"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/klauspost/compress/gzip"

	"github.com/otelcol-pmta/otelcol-pmta/internal/tlshint"
)

// Config is what a Client needs.
type Config struct {
	// URLs are the nodes. Requests go to them in turn; a node that does not
	// answer is left out for a while.
	URLs []*url.URL
	// Transport makes the requests. nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one HTTP request to one node. 0 is no bound.
	Timeout time.Duration

	// At most one of the following ways to log in is used, the first set.
	APIKey      string // base64 of id:key, as Elasticsearch returns it in "encoded"
	BearerToken string
	Username    string
	Password    string

	// UserAgent goes with every request.
	UserAgent string
	// GzipLevel is the compression level of request bodies, 1 (fastest) to 9;
	// 0 sends them as they are.
	GzipLevel int
	// MaxBytes is the size of an uncompressed request body at which it should
	// be sent. A whole-request 413 lowers it; see Client.MaxBytes.
	MaxBytes int
	// Pipeline is the ingest pipeline, none by default.
	Pipeline string

	// MaxRetries is how often a Send tries again by itself, before it
	// returns what is left.
	MaxRetries int
	// InitialInterval is the pause before the first retry. It doubles up to
	// MaxInterval, each time with jitter.
	InitialInterval, MaxInterval time.Duration
	// RetryOnStatus are the statuses of a request or a document for which
	// Send tries again by itself. What failed with another status is left to
	// the caller at once.
	RetryOnStatus []int

	// Observer is told what happens; any of its functions may be nil.
	Observer Observer
}

// Observer is told what happens. Its functions are called from Send.
type Observer struct {
	// Delivered counts documents by outcome: OutcomeCreated, OutcomeConflict,
	// OutcomeFailureStore, OutcomeDeadLetter.
	Delivered func(outcome string, documents int)
	// Retried counts documents that are sent again by Send itself.
	Retried func(documents int)
	// Request is called once per HTTP bulk request that was answered or
	// failed on every node: status 0 is no answer; bytes of the body before
	// and after compression.
	Request func(status, bytes, wireBytes int)
	// Split is called when a request is divided in halves because of its
	// status.
	Split func(status, documents int)
}

// Outcomes of a document.
const (
	OutcomeCreated      = "created"
	OutcomeConflict     = "conflict"      // a document with this _id was there already
	OutcomeFailureStore = "failure_store" // kept by Elasticsearch itself, in the data stream's failure store
	OutcomeDeadLetter   = "dead_letter"   // handed to the reject function of Send
)

// Rejection is a document that Elasticsearch will never take.
type Rejection struct {
	// Position of the document in the batch.
	Position int
	// Action and Document are the two lines of the bulk request, without
	// newline. They are valid only during the call.
	Action, Document []byte
	// Status is the HTTP status of the document or of its request.
	Status int
	// Type and Reason are Elasticsearch's own words.
	Type, Reason string
}

// StatusError is the answer to a request that was not carried out.
type StatusError struct {
	Status int
	// Type and Reason are Elasticsearch's own words; empty when the answer
	// came from something in between.
	Type, Reason string
}

func (e *StatusError) Error() string {
	s := "Elasticsearch answers " + strconv.Itoa(e.Status)
	if e.Type != "" {
		s += " " + e.Type
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		s += " (check user and password, api_key, or bearer_token)"
	case e.Status == http.StatusForbidden:
		s += " (the user needs the index privileges auto_configure and create_doc on the data stream)"
	case e.Status/100 == 3:
		s += " (redirects are not followed: set endpoint to where this one leads)"
	case e.Status == http.StatusNotFound && e.Type == "", e.Type == plainError:
		s += " (check that endpoint is the address of Elasticsearch, its path included)"
	}
	return s
}

// Client sends batches. It is safe for concurrent use.
type Client struct {
	cfg      Config
	tp       *elastictransport.Client
	maxBytes atomic.Int64
	gzips    sync.Pool // of *gzip.Writer
	bodies   sync.Pool // of *bytes.Buffer
}

// New returns a Client. Nothing is sent yet.
func New(cfg Config) (*Client, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("no node given")
	}
	if cfg.GzipLevel != 0 {
		if _, err := gzip.NewWriterLevel(io.Discard, cfg.GzipLevel); err != nil {
			return nil, err
		}
	}
	opts := []elastictransport.Option{
		elastictransport.WithURLs(cfg.URLs...),
		elastictransport.WithTransport(&nodeTransport{next: cfg.Transport, timeout: cfg.Timeout}),
		elastictransport.WithUserAgent(cfg.UserAgent),
	}
	switch {
	case cfg.APIKey != "":
		opts = append(opts, elastictransport.WithAPIKey(cfg.APIKey))
	case cfg.BearerToken != "":
		opts = append(opts, elastictransport.WithServiceToken(cfg.BearerToken))
	case cfg.Username != "":
		opts = append(opts, elastictransport.WithBasicAuth(cfg.Username, cfg.Password))
	}
	if len(cfg.URLs) == 1 {
		opts = append(opts, elastictransport.WithDisableRetry())
	} else {
		// The transport passes a request on to the next node; pauses and what
		// comes after them are up to Send.
		opts = append(opts,
			elastictransport.WithMaxRetries(len(cfg.URLs)-1),
			elastictransport.WithRetryOnStatus(http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
			elastictransport.WithRetryOnError(func(r *http.Request, _ error) bool { return r.Context().Err() == nil }))
	}
	tp, err := elastictransport.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, tp: tp}
	c.maxBytes.Store(int64(cfg.MaxBytes))
	return c, nil
}

// MaxBytes is the size of a batch in bytes at which to send it. It is
// Config.MaxBytes until Elasticsearch, or a proxy before it, finds a request
// too large.
func (c *Client) MaxBytes() int { return int(c.maxBytes.Load()) }

// Perform makes a request to one of the nodes. It is the transport of esapi.
func (c *Client) Perform(r *http.Request) (*http.Response, error) { return c.tp.Perform(r) }

// Close ends what the Client runs in the background. No Send may be running.
func (c *Client) Close(ctx context.Context) error { return c.tp.Close(ctx) }

// Send delivers the documents of a batch. It returns the positions, in
// ascending order, of those that are neither delivered nor rejected, and then
// an error that says why; they are to be sent again. It may take some retries
// and is cut short by ctx.
//
// reject is told of documents that Elasticsearch will never take. Once it has
// returned nil they are off the hands of Send; on an error they stay pending.
func (c *Client) Send(ctx context.Context, b *Batch, reject func([]Rejection) error) (pending []int, err error) {
	if b.Len() == 0 {
		return nil, nil
	}
	idx := make([]int, b.Len())
	for i := range idx {
		idx[i] = i
	}
	s := sender{c: c, ctx: ctx, b: b, refuse: reject}
	s.send(idx)
	slices.Sort(s.pending)
	return s.pending, s.err
}

// sender is one Send.
type sender struct {
	c       *Client
	ctx     context.Context
	b       *Batch
	refuse  func([]Rejection) error
	pending []int
	err     error
}

func (s *sender) leave(idx []int, err error) {
	s.pending = append(s.pending, idx...)
	if s.err == nil {
		s.err = err
	}
}

func (s *sender) send(idx []int) {
	c := s.c
	for attempt := 0; ; attempt++ {
		res, err := c.post(s.ctx, s.b, idx)
		var status int
		switch {
		case err != nil:
			// No answer: nobody knows whether the documents arrived. Sent
			// again, those that did are conflicts.
		case res.status == http.StatusRequestEntityTooLarge || res.status == http.StatusBadRequest && res.err != nil && !notItsFault(res.err):
			s.divide(idx, res)
			return
		case res.status != http.StatusOK:
			status = res.status
			err = res.statusError()
		default:
			idx, status, err = s.sort(idx, res.items)
			if len(idx) == 0 {
				return
			}
		}
		// A request without answer is always worth another attempt.
		if attempt >= c.cfg.MaxRetries || status != 0 && !slices.Contains(c.cfg.RetryOnStatus, status) {
			s.leave(idx, err)
			return
		}
		if perr := c.pause(s.ctx, attempt, res.retryAfter); perr != nil {
			s.leave(idx, fmt.Errorf("%w: %w", perr, err))
			return
		}
		if c.cfg.Observer.Retried != nil {
			c.cfg.Observer.Retried(len(idx))
		}
	}
}

// divide sends a request that was refused as a whole in two halves, so that
// in the end only the documents at fault are left.
func (s *sender) divide(idx []int, res response) {
	if len(idx) == 1 {
		e := res.statusError()
		s.reject([]Rejection{{Position: idx[0], Status: e.Status, Type: e.Type, Reason: e.Reason}})
		return
	}
	c := s.c
	if res.status == http.StatusRequestEntityTooLarge {
		// Build the next requests smaller, or each would cost this again.
		for half := int64(max(s.b.size(idx)/2, minMaxBytes)); ; {
			old := c.maxBytes.Load()
			if old <= half || c.maxBytes.CompareAndSwap(old, half) {
				break
			}
		}
	}
	if c.cfg.Observer.Split != nil {
		c.cfg.Observer.Split(res.status, len(idx))
	}
	s.send(idx[:len(idx)/2])
	if err := s.ctx.Err(); err != nil {
		s.leave(idx[len(idx)/2:], err)
		return
	}
	s.send(idx[len(idx)/2:])
}

// minMaxBytes keeps a proxy with a strange idea of size from turning every
// document into a request.
const minMaxBytes = 16 << 10

// sort handles the verdicts and returns the documents to send again, with the
// status of the first of them.
func (s *sender) sort(idx []int, items []item) (left []int, status int, err error) {
	if items == nil {
		s.count(OutcomeCreated, len(idx))
		return nil, 0, nil
	}
	var created, conflicts, failed int
	var rejections []Rejection
	for n, it := range items {
		switch judge(it) {
		case delivered:
			created++
		case conflict:
			conflicts++
		case stored:
			failed++
		case rejected:
			r := Rejection{Position: idx[n], Status: it.Status, Reason: it.Error.reason()}
			if it.Error != nil {
				r.Type = it.Error.Type
			}
			rejections = append(rejections, r)
		case again:
			left = append(left, idx[n])
			if err == nil {
				status = it.Status
				e := &StatusError{Status: it.Status, Reason: it.Error.reason()}
				if it.Error != nil {
					e.Type = it.Error.Type
				}
				err = e
			}
		}
	}
	s.count(OutcomeCreated, created)
	s.count(OutcomeConflict, conflicts)
	s.count(OutcomeFailureStore, failed)
	s.reject(rejections)
	return left, status, err
}

func (s *sender) reject(rs []Rejection) {
	if len(rs) == 0 {
		return
	}
	for i := range rs {
		rs[i].Action, rs[i].Document = s.b.Action(rs[i].Position), s.b.Document(rs[i].Position)
	}
	if err := s.refuse(rs); err != nil {
		idx := make([]int, len(rs))
		for i := range rs {
			idx[i] = rs[i].Position
		}
		s.leave(idx, fmt.Errorf("cannot write the dead letter: %w", err))
		return
	}
	s.count(OutcomeDeadLetter, len(rs))
}

func (s *sender) count(outcome string, n int) {
	if n > 0 && s.c.cfg.Observer.Delivered != nil {
		s.c.cfg.Observer.Delivered(outcome, n)
	}
}

// response is the answer to one bulk request.
type response struct {
	status     int
	retryAfter time.Duration
	items      []item   // of a 200, as parseItems returns them
	err        *esError // of any other status, nil when it is not Elasticsearch's
	text       string   // start of the body when err is nil
}

func (r response) statusError() *StatusError {
	e := &StatusError{Status: r.status, Reason: r.text}
	if r.err != nil {
		e.Type, e.Reason = r.err.Type, r.err.reason()
	}
	return e
}

var ndjson = http.Header{"Content-Type": {"application/x-ndjson"}}
var ndjsonGzip = http.Header{"Content-Type": {"application/x-ndjson"}, "Content-Encoding": {"gzip"}}

// post makes one bulk request of documents idx.
func (c *Client) post(ctx context.Context, b *Batch, idx []int) (response, error) {
	var body []byte
	header := ndjson
	if c.cfg.GzipLevel != 0 || len(idx) != b.Len() {
		buf, _ := c.bodies.Get().(*bytes.Buffer)
		if buf == nil {
			buf = new(bytes.Buffer)
		}
		buf.Reset()
		if err := c.encode(buf, b, idx); err != nil {
			return response{}, err
		}
		body = buf.Bytes()
		// nodeTransport returns only when nobody reads the body any more.
		defer c.bodies.Put(buf)
		if c.cfg.GzipLevel != 0 {
			header = ndjsonGzip
		}
	} else {
		body = b.buf
	}
	req := esapi.BulkRequest{Body: bytes.NewReader(body), Header: header.Clone(), FilterPath: filterPath, Pipeline: c.cfg.Pipeline}
	res, err := req.Do(ctx, c.tp)
	observe := func(status int) {
		if c.cfg.Observer.Request != nil {
			c.cfg.Observer.Request(status, b.size(idx), len(body))
		}
	}
	if err != nil {
		observe(0)
		return response{}, err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	observe(res.StatusCode)
	if err != nil {
		return response{}, err
	}
	r := response{status: res.StatusCode, retryAfter: retryAfter(res.Header)}
	if res.StatusCode == http.StatusOK {
		r.items, err = parseItems(answer, len(idx))
		return r, err
	}
	if to := res.Header.Get("Location"); to != "" && res.StatusCode/100 == 3 {
		to, _, _ = strings.Cut(to, "?")
		r.text = "go to " + to
		return r, nil
	}
	if r.err = parseError(answer); r.err == nil {
		r.text = strings.TrimSpace(strings.ToValidUTF8(string(answer[:min(len(answer), 200)]), ""))
	}
	return r, nil
}

func (c *Client) encode(dst *bytes.Buffer, b *Batch, idx []int) error {
	if c.cfg.GzipLevel == 0 {
		return b.runs(idx, func(p []byte) error { _, err := dst.Write(p); return err })
	}
	zw, _ := c.gzips.Get().(*gzip.Writer)
	if zw == nil {
		var err error
		if zw, err = gzip.NewWriterLevel(dst, c.cfg.GzipLevel); err != nil {
			return err
		}
	}
	defer c.gzips.Put(zw)
	zw.Reset(dst)
	if err := b.runs(idx, func(p []byte) error { _, err := zw.Write(p); return err }); err != nil {
		return err
	}
	return zw.Close()
}

// retryAfter reads the header of that name in its form of seconds.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// pause waits before attempt+1, for at least what the server asked for but
// not longer than the longest pause.
func (c *Client) pause(ctx context.Context, attempt int, asked time.Duration) error {
	d := c.cfg.InitialInterval << min(attempt, 30)
	if d <= 0 || d > c.cfg.MaxInterval {
		d = c.cfg.MaxInterval
	}
	d = d/2 + rand.N(d/2+1)
	d = max(d, min(asked, c.cfg.MaxInterval))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// nodeTransport bounds the time of a request to one node and reads the whole
// answer, so that a node that dies while answering counts as failed and the
// next one is tried. It returns only when the body of the request is no
// longer in use.
type nodeTransport struct {
	next    http.RoundTripper
	timeout time.Duration
}

// maxAnswer bounds the memory for an answer in bytes. A bulk response is much
// smaller than its request.
const maxAnswer = 128 << 20

func (t *nodeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	cancel := func() {}
	ctx := r.Context()
	if t.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, t.timeout, fmt.Errorf("no answer within %v", t.timeout))
		cancel = stop
	}
	out := r.Clone(ctx)
	// An http.RoundTripper closes every body of a request, but perhaps only
	// after it has returned.
	var bodies sync.WaitGroup
	defer func() {
		cancel()
		bodies.Wait()
	}()
	if r.Body != nil && r.Body != http.NoBody {
		track := func(b io.ReadCloser) io.ReadCloser {
			bodies.Add(1)
			return &trackedBody{ReadCloser: b, closed: sync.OnceFunc(bodies.Done)}
		}
		out.Body = track(r.Body)
		if get := r.GetBody; get != nil {
			// For a connection that turns out to be closed before anything
			// was written to it.
			out.GetBody = func() (io.ReadCloser, error) {
				b, err := get()
				if err != nil {
					return nil, err
				}
				return track(b), nil
			}
		}
	}
	res, err := next.RoundTrip(out)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && r.Context().Err() == nil {
			err = cause
		}
		return nil, explain(r.URL, err)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && r.Context().Err() == nil {
			err = cause
		}
		return nil, fmt.Errorf("%s: reading the answer: %w", r.URL.Host, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return res, nil
}

// explain names the node and, as far as it is known, what to do.
func explain(node *url.URL, err error) error {
	hint := tlshint.For(err)
	if hint == "" && node.Scheme == "http" && errors.Is(err, io.EOF) {
		hint = "if this node wants TLS, write https:// in endpoint"
	}
	if hint != "" {
		return fmt.Errorf("%s: %w (%s)", node.Host, err, hint)
	}
	return fmt.Errorf("%s: %w", node.Host, err)
}

// trackedBody tells when it has been closed.
type trackedBody struct {
	io.ReadCloser
	closed func()
}

func (b *trackedBody) Close() error {
	err := b.ReadCloser.Close()
	b.closed()
	return err
}
