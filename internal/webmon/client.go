package webmon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// DefaultMaxBody is the largest page that a [Client] reads unless told
// otherwise, in bytes after decompression.
const DefaultMaxBody = 8 << 20

// ClientOptions say what to ask and how. Only URL is required.
type ClientOptions struct {
	// URL is where the monitor is, such as http://localhost:8080. A path is
	// put before those of the pages.
	URL string
	// HTTP sends the requests; its CheckRedirect is not used. Its Timeout
	// bounds each request. Default: http.DefaultClient's transport.
	HTTP *http.Client
	// APIKey is sent as X-API-Key if it is not empty.
	APIKey string
	// MaxBody bounds a page in bytes. Default: DefaultMaxBody.
	MaxBody int64
}

// Client asks one web monitor. It only sends GET. It is safe for concurrent
// use.
type Client struct {
	opt  ClientOptions
	http *http.Client

	first url.URL // as configured

	mu     sync.Mutex // guards everything declared below
	base   url.URL    // first, or where it redirected to
	format Format     // that this server is known to answer, or empty
}

// StatusError is an answer with another HTTP status than 200.
type StatusError struct {
	Code int
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the web monitor answered %d %s", e.Code, http.StatusText(e.Code))
}

// Denied reports whether the monitor does not let this host in.
func (e *StatusError) Denied() bool {
	return e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden
}

// RedirectError is a redirect that is not followed: only one to https on the
// same host is.
type RedirectError struct {
	To string // without its query
}

// Error implements error.
func (e *RedirectError) Error() string {
	return fmt.Sprintf("the web monitor redirects to %s, which is not https on the same host", e.To)
}

// CertificateError is a certificate that is not trusted.
type CertificateError struct {
	Err error
}

// Error implements error.
func (e *CertificateError) Error() string {
	return "the certificate of the web monitor is not trusted: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Err }

// NewClient fails if the URL is not one of http or https.
func NewClient(opt ClientOptions) (*Client, error) {
	u, err := url.Parse(opt.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL such as http://localhost:8080", opt.URL)
	}
	if opt.MaxBody <= 0 {
		opt.MaxBody = DefaultMaxBody
	}
	c := &Client{opt: opt, http: &http.Client{}}
	if opt.HTTP != nil {
		*c.http = *opt.HTTP
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	// Pages meant for people are below /ui; those for programs are not.
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/ui")
	u.RawQuery, u.Fragment = "", ""
	c.first, c.base = *u, *u
	return c, nil
}

// Format returns the format that the monitor is known to answer, empty before
// the first page.
func (c *Client) Format() Format {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.format
}

// CloseIdleConnections ends connections that are kept for the next request.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Status asks for /status.
func (c *Client) Status(ctx context.Context, opt ParseOptions) (s *Status, err error) {
	err = c.get(ctx, "status", nil, func(page []byte) (err error) {
		s, err = ParseStatus(page, opt)
		return err
	})
	return s, err
}

// List asks for a page with a list, of at most maxItems rows (0 = what the
// monitor gives by itself, which is 10 unless http-default-max-items says
// otherwise). With a mode only queues in that mode are asked for; a monitor
// that does not know these parameters gives what it gives.
func (c *Client) List(ctx context.Context, k Kind, maxItems int, mode string, opt ParseOptions) (l *List, err error) {
	q := url.Values{}
	if maxItems > 0 {
		q.Set("maxitems", strconv.Itoa(maxItems))
	}
	if mode != "" {
		q.Set("mode", mode)
	}
	err = c.get(ctx, string(k), q, func(page []byte) (err error) {
		l, err = ParseList(page, k, opt)
		return err
	})
	return l, err
}

// QueueDetail asks for /queueDetail of a queue, "domain/vmta".
func (c *Client) QueueDetail(ctx context.Context, queue string, opt ParseOptions) (d *QueueDetail, err error) {
	err = c.get(ctx, "queueDetail", url.Values{"queue": {queue}}, func(page []byte) (err error) {
		if d, err = ParseQueueDetail(page, opt); err == nil && !strings.EqualFold(d.Name, queue) {
			d, err = nil, fmt.Errorf("%w: it is about another queue", ErrPage)
		}
		return err
	})
	return d, err
}

// get asks for a page as JSON and, as long as the monitor has never answered
// that, as XML too.
func (c *Client) get(ctx context.Context, page string, q url.Values, use func([]byte) error) error {
	known := c.Format()
	formats := []Format{JSON, XML}
	if known != "" {
		formats = []Format{known}
	}
	var first error
	for _, f := range formats {
		is, err := c.try(ctx, page, q, f, use)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		// An old version may answer a request for JSON with a refusal in XML.
		if !anotherFormat(err) && (is == "" || is == f) {
			break
		}
	}
	// Perhaps it is another version now. A page that only this version lacks
	// says nothing about that.
	if known != "" && page == "status" && anotherFormat(first) {
		c.setFormat("")
	}
	return first
}

// anotherFormat reports whether the same request in another format may do.
func anotherFormat(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return !status.Denied()
	}
	return errors.Is(err, ErrFormat) || errors.Is(err, ErrHTML) || errors.Is(err, ErrPage)
}

// try also returns the format of the answer, if there is one.
func (c *Client) try(ctx context.Context, page string, q url.Values, f Format, use func([]byte) error) (Format, error) {
	body, err := c.fetch(ctx, page, q, f)
	if err != nil {
		return "", err
	}
	is, _ := detect(body) // use reports the error
	if err := use(body); err != nil {
		return is, err
	}
	c.setFormat(is)
	return is, nil
}

func (c *Client) setFormat(f Format) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.format = f
}

func (c *Client) fetch(ctx context.Context, page string, q url.Values, f Format) ([]byte, error) {
	for hop := 0; ; hop++ {
		c.mu.Lock()
		u := c.base
		c.mu.Unlock()
		u.Path = strings.TrimRight(u.Path, "/") + "/" + page
		query := url.Values{"format": {string(f)}}
		for k, v := range q {
			query[k] = v
		}
		u.RawQuery = query.Encode()
		body, to, err := c.once(ctx, u.String())
		if err != nil {
			var status *StatusError
			if !errors.As(err, &status) {
				// Perhaps it redirects no more: begin at the beginning.
				c.mu.Lock()
				c.base = c.first
				c.mu.Unlock()
			}
			return nil, err
		}
		if to == "" {
			return body, nil
		}
		if err := c.follow(&u, to, hop); err != nil {
			return nil, err
		}
	}
}

// follow takes a redirect to https on the same host over for all requests from
// now on: only its scheme and host count, since the path is known.
func (c *Client) follow(from *url.URL, to string, hop int) error {
	target, err := from.Parse(to)
	if err != nil {
		return &RedirectError{To: "an address that is none"}
	}
	if target.Scheme != "https" || !strings.EqualFold(target.Hostname(), from.Hostname()) || hop > 0 ||
		from.Scheme == "https" && target.Host == from.Host {
		target.RawQuery, target.Fragment, target.User = "", "", nil
		return &RedirectError{To: limit(target.String(), maxName)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base.Scheme, c.base.Host = target.Scheme, target.Host
	return nil
}

// once sends one request. to is where the answer redirects to, if it does.
func (c *Client) once(ctx context.Context, address string) (body []byte, to string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", "application/json, application/xml, text/xml;q=0.9, */*;q=0.5")
	if c.opt.APIKey != "" {
		req.Header.Set("X-API-Key", c.opt.APIKey)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, "", clean(err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if to = resp.Header.Get("Location"); to == "" {
			return nil, "", &StatusError{Code: resp.StatusCode}
		}
		return nil, to, nil
	default:
		return nil, "", &StatusError{Code: resp.StatusCode}
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, c.opt.MaxBody+1))
	if err != nil {
		return nil, "", clean(err)
	}
	if int64(len(body)) > c.opt.MaxBody {
		return nil, "", fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.opt.MaxBody)
	}
	return body, "", nil
}

// clean takes the URL, which would repeat in every message, off an error and
// tells certificates that are not trusted from other trouble.
func clean(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) {
		return &CertificateError{Err: err}
	}
	return err
}

// Reason names what kind of trouble an error is, in a word that suits a metric
// attribute: certificate, redirect, denied, status, format, html, page,
// too_large, refused, timeout or unreachable.
func Reason(err error) string {
	var cert *CertificateError
	var redirect *RedirectError
	var status *StatusError
	var fail *FailError
	var netErr net.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &cert):
		return "certificate"
	case errors.As(err, &redirect):
		return "redirect"
	case errors.As(err, &status):
		if status.Denied() {
			return "denied"
		}
		return "status"
	case errors.As(err, &fail):
		return "refused"
	case errors.Is(err, ErrHTML):
		return "html"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, ErrPage):
		return "page"
	case errors.Is(err, ErrFormat):
		return "format"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	}
	return "unreachable"
}
