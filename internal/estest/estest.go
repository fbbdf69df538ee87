// Package estest is an Elasticsearch for tests: an HTTP server that keeps
// documents, checks the bulk protocol strictly and fails on demand.
package estest // import "github.com/otelcol-pmta/otelcol-pmta/internal/estest"

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Doc is a document that the server has taken.
type Doc struct {
	Index, ID string
	Source    json.RawMessage
}

// Fault is what a test makes the server do wrong.
type Fault struct {
	// Status answers the request without carrying it out; 0 does not.
	Status int
	// Body goes with Status. Default: an error as Elasticsearch writes it.
	Body string
	// Header goes with Status.
	Header http.Header
	// Reset carries the request out and closes the connection without an
	// answer; ResetBefore closes it without carrying anything out.
	Reset, ResetBefore bool
	// Wait delays the answer until it is closed or the client is gone.
	Wait <-chan struct{}
	// MaxBody answers 413 to a longer body, in bytes after decompression.
	MaxBody int
}

// ItemFault is the answer to one document that is not taken.
type ItemFault struct {
	Status       int
	Type, Reason string
}

// Server is the test server. Its functions may be set before the first
// request only.
type Server struct {
	*httptest.Server

	// OnBulk may return a fault for bulk request n, counted from 0.
	OnBulk func(n int) Fault
	// OnItem may return a fault for a document; attempt counts from 0.
	OnItem func(d Doc, attempt int) *ItemFault
	// OnAdmin may answer any other request instead of the server.
	OnAdmin func(method, path string) *ItemFault
	// Authorization, when set, is the header that every request must have.
	Authorization string
	// MissingAPIs are path prefixes that this server does not know, as
	// "/_ilm".
	MissingAPIs []string

	tb testing.TB

	mu       sync.Mutex // guards everything below
	bulks    int
	docs     []Doc
	ids      map[string]bool // index, NUL, id
	attempts map[string]int
	sizes    []int
	gzipped  int
	admin    map[string]json.RawMessage // path -> body as PUT
	puts     []string                   // paths, in order
}

// New starts a server, which ends with the test. A violation of the protocol
// fails the test.
func New(tb testing.TB) *Server {
	s := &Server{tb: tb, ids: map[string]bool{}, attempts: map[string]int{}, admin: map[string]json.RawMessage{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(func() { s.Server.CloseClientConnections(); s.Server.Close() })
	return s
}

// Docs returns the documents taken so far, in order.
func (s *Server) Docs() []Doc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.docs)
}

// Bulks returns how many bulk requests arrived.
func (s *Server) Bulks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bulks
}

// Sizes returns the uncompressed body sizes of the bulk requests so far.
func (s *Server) Sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sizes)
}

// Gzipped returns how many bulk requests had a compressed body.
func (s *Server) Gzipped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gzipped
}

// Stored returns what was PUT to a path such as /_index_template/x.
func (s *Server) Stored(path string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admin[path]
}

// Store puts body at a path as if a client had.
func (s *Server) Store(path, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admin[path] = json.RawMessage(body)
}

// Puts returns the paths that were PUT, in order.
func (s *Server) Puts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.puts)
}

func (s *Server) violation(w http.ResponseWriter, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	s.tb.Errorf("the client breaks the protocol: %s", msg)
	writeError(w, http.StatusBadRequest, "illegal_argument_exception", msg)
}

func writeError(w http.ResponseWriter, status int, typ, reason string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error":  map[string]any{"root_cause": []any{map[string]any{"type": typ, "reason": reason}}, "type": typ, "reason": reason},
		"status": status,
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	if s.Authorization != "" && r.Header.Get("Authorization") != s.Authorization {
		writeError(w, http.StatusUnauthorized, "security_exception", "unable to authenticate user")
		return
	}
	if r.URL.Path == "/_bulk" {
		s.bulk(w, r)
		return
	}
	s.serveAdmin(w, r)
}

// indexName are the rules for a data stream or index name that matter here.
var indexName = regexp.MustCompile(`^[^-_+.A-Z\\/*?"<>| ,#:][^A-Z\\/*?"<>| ,#:]{0,254}$`)

func (s *Server) bulk(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := s.bulks
	s.bulks++
	s.mu.Unlock()
	var fault Fault
	if s.OnBulk != nil {
		fault = s.OnBulk(n)
	}
	if fault.ResetBefore {
		s.reset(w)
		return
	}
	body, ok := s.readBody(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	s.sizes = append(s.sizes, len(body))
	s.mu.Unlock()
	if fault.Wait != nil {
		select {
		case <-fault.Wait:
		case <-r.Context().Done():
			return
		}
	}
	if fault.MaxBody > 0 && len(body) > fault.MaxBody {
		fault.Status, fault.Body = http.StatusRequestEntityTooLarge, "<html>413 Request Entity Too Large</html>"
	}
	if fault.Status != 0 {
		for k, v := range fault.Header {
			w.Header()[k] = v
		}
		if fault.Body == "" {
			writeError(w, fault.Status, "injected_exception", "injected by the test")
			return
		}
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
		return
	}
	docs, err := ParseBulk(body)
	if err != nil {
		s.violation(w, "%v", err)
		return
	}
	answer := s.take(docs)
	if fault.Reset {
		s.reset(w)
		return
	}
	_, _ = w.Write(answer)
}

func (s *Server) reset(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		s.tb.Errorf("hijack: %v", err)
		return
	}
	_ = c.Close()
}

func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.Method != http.MethodPost {
		s.violation(w, "%s %s", r.Method, r.URL.Path)
		return nil, false
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/x-ndjson" {
		s.violation(w, "Content-Type %q", ct)
		return nil, false
	}
	for k := range r.URL.Query() {
		if k != "filter_path" && k != "pipeline" {
			s.violation(w, "request [/_bulk] contains unrecognized parameter: [%s]", k)
			return nil, false
		}
	}
	if fp := r.URL.Query().Get("filter_path"); !strings.Contains(fp, "items.*.status") || !strings.Contains(fp, "errors") {
		s.violation(w, "filter_path %q", fp)
		return nil, false
	}
	var in io.Reader = r.Body
	switch ce := r.Header.Get("Content-Encoding"); ce {
	case "":
	case "gzip":
		zr, err := gzip.NewReader(in)
		if err != nil {
			s.violation(w, "gzip: %v", err)
			return nil, false
		}
		in = zr
		s.mu.Lock()
		s.gzipped++
		s.mu.Unlock()
	default:
		s.violation(w, "Content-Encoding %q", ce)
		return nil, false
	}
	body, err := io.ReadAll(in)
	if err != nil {
		if r.Context().Err() == nil {
			s.violation(w, "body: %v", err)
		}
		return nil, false
	}
	return body, true
}

// ParseBulk reads the body of a bulk request that only creates. It is
// stricter than Elasticsearch: every line must be there, no key is passed
// over, no object may hold a key twice.
func ParseBulk(body []byte) ([]Doc, error) {
	if len(body) == 0 || body[len(body)-1] != '\n' {
		return nil, fmt.Errorf("the bulk request must be terminated by a newline [\\n]")
	}
	lines := bytes.Split(body[:len(body)-1], []byte{'\n'})
	if len(lines)%2 != 0 {
		return nil, fmt.Errorf("%d lines, so an action is without source", len(lines))
	}
	var docs []Doc
	for i := 0; i < len(lines); i += 2 {
		dec := json.NewDecoder(bytes.NewReader(lines[i]))
		dec.DisallowUnknownFields()
		var action struct {
			Create *struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			} `json:"create"`
		}
		if err := dec.Decode(&action); err != nil || dec.More() || action.Create == nil {
			return nil, fmt.Errorf("line %d is no create action: %.200q (%v)", i+1, lines[i], err)
		}
		if !indexName.MatchString(action.Create.Index) {
			return nil, fmt.Errorf("line %d: invalid index name [%s]", i+1, action.Create.Index)
		}
		if len(action.Create.ID) > 512 {
			return nil, fmt.Errorf("line %d: id is too long, must be no longer than 512 bytes but was: %d", i+1, len(action.Create.ID))
		}
		if err := checkSource(lines[i+1]); err != nil {
			return nil, fmt.Errorf("line %d: %w: %.300q", i+2, err, lines[i+1])
		}
		docs = append(docs, Doc{Index: action.Create.Index, ID: action.Create.ID, Source: bytes.Clone(lines[i+1])})
	}
	return docs, nil
}

func checkSource(line []byte) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("the source is no object")
	}
	timestamp, err := checkObject(dec)
	if err != nil {
		return err
	}
	if dec.More() {
		return fmt.Errorf("data behind the source")
	}
	if !timestamp {
		return fmt.Errorf("data stream timestamp field [@timestamp] is missing")
	}
	return nil
}

func checkObject(dec *json.Decoder) (timestamp bool, err error) {
	seen := map[string]bool{}
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			return false, err
		}
		key := k.(string)
		if seen[key] {
			return false, fmt.Errorf("duplicate key %q", key)
		}
		seen[key] = true
		if err := checkValue(dec); err != nil {
			return false, err
		}
	}
	_, err = dec.Token()
	return seen["@timestamp"], err
}

func checkValue(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		_, err = checkObject(dec)
	case json.Delim('['):
		for dec.More() {
			if err := checkValue(dec); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	}
	return err
}

// take stores documents and writes the answer in the order and form of
// Elasticsearch under the filter path.
func (s *Server) take(docs []Doc) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items bytes.Buffer
	failed := false
	for i, d := range docs {
		if i > 0 {
			items.WriteByte(',')
		}
		key := d.Index + "\x00" + d.ID
		if d.ID == "" {
			key = fmt.Sprintf("%s\x00auto-%d", d.Index, len(s.docs))
		}
		var f *ItemFault
		if s.OnItem != nil {
			f = s.OnItem(d, s.attempts[key])
		}
		s.attempts[key]++
		if f == nil && s.ids[key] {
			f = &ItemFault{http.StatusConflict, "version_conflict_engine_exception", fmt.Sprintf("[%s]: version conflict, document already exists (current version [1])", d.ID)}
		}
		if f != nil {
			failed = true
			e, _ := json.Marshal(map[string]any{"type": f.Type, "reason": f.Reason})
			fmt.Fprintf(&items, `{"create":{"status":%d,"error":%s}}`, f.Status, e)
			continue
		}
		s.ids[key] = true
		s.docs = append(s.docs, d)
		items.WriteString(`{"create":{"status":201}}`)
	}
	return fmt.Appendf(nil, `{"errors":%t,"items":[%s]}`, failed, items.Bytes())
}

// serveAdmin keeps what is PUT and gives it back in the shape that
// Elasticsearch has for the kind of thing.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if s.OnAdmin != nil {
		if f := s.OnAdmin(r.Method, path); f != nil {
			writeError(w, f.Status, f.Type, f.Reason)
			return
		}
	}
	for _, p := range s.MissingAPIs {
		if strings.HasPrefix(path, p) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"no handler found for uri [%s] and method [%s]"}`, path, r.Method)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		if ct := r.Header.Get("Content-Type"); ct != "application/json" {
			s.violation(w, "Content-Type %q of PUT %s", ct, path)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !json.Valid(body) {
			s.violation(w, "PUT %s: no JSON (%v)", path, err)
			return
		}
		s.admin[path] = body
		s.puts = append(s.puts, path)
		_, _ = io.WriteString(w, `{"acknowledged":true}`)
	case http.MethodGet:
		body, ok := s.admin[path]
		name := path[strings.LastIndexByte(path, '/')+1:]
		switch {
		case !ok:
			writeError(w, http.StatusNotFound, "resource_not_found_exception", fmt.Sprintf("[%s] not found", name))
		case strings.HasPrefix(path, "/_component_template/"):
			fmt.Fprintf(w, `{"component_templates":[{"name":%q,"component_template":%s}]}`, name, body)
		case strings.HasPrefix(path, "/_index_template/"):
			fmt.Fprintf(w, `{"index_templates":[{"name":%q,"index_template":%s}]}`, name, body)
		case strings.HasPrefix(path, "/_ilm/policy/"):
			var p struct{ Policy json.RawMessage }
			_ = json.Unmarshal(body, &p)
			fmt.Fprintf(w, `{%q:{"version":1,"modified_date":"2026-01-01T00:00:00.000Z","policy":%s,"in_use_by":{}}}`, name, p.Policy)
		default:
			writeError(w, http.StatusNotFound, "resource_not_found_exception", path)
		}
	default:
		s.violation(w, "%s %s", r.Method, path)
	}
}
