package e2e

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// sink is an OTLP/HTTP destination that can misbehave in every way a real one
// does.
type sink struct {
	t    *testing.T
	addr string

	mode atomic.Int32 // a fault
	srv  *http.Server
	gone chan struct{} // closed when hanging requests have to end

	mu       sync.Mutex        // guards everything below
	lines    map[string]string // uid -> log.record.original
	received int
	mixed    int                                 // equal uid, other content: must stay 0
	keep     func(uid string, lr plog.LogRecord) // gets every record, if set
}

type fault int32

const (
	accept   fault = iota
	refuse         // 503
	hang           // takes the request and never answers
	forget         // takes the records, then hangs up without an answer
	throttle       // 429 with Retry-After
	faults
)

func newSink(t *testing.T) *sink {
	s := &sink{t: t, lines: map[string]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	s.serve(l)
	t.Cleanup(s.disappear)
	return s
}

func (s *sink) serve(l net.Listener) {
	s.gone = make(chan struct{})
	s.srv = &http.Server{Handler: s}
	go func(srv *http.Server) { _ = srv.Serve(l) }(s.srv)
}

// disappear closes the port and every connection.
func (s *sink) disappear() {
	if s.srv != nil {
		close(s.gone)
		_ = s.srv.Close()
		s.srv = nil
	}
}

// reappear listens on the same port again.
func (s *sink) reappear() {
	s.disappear()
	eventually(s.t, 10*time.Second, "port free again", func() bool {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.addr)
		if err == nil {
			s.serve(l)
		}
		return err == nil
	})
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		hangUp(w)
		return
	}
	switch fault(s.mode.Load()) {
	case refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case throttle:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case hang:
		select {
		case <-s.gone:
		case <-r.Context().Done():
		case <-time.After(2 * time.Second):
		}
		hangUp(w) // a plain return would answer 200
		return
	case forget:
		s.take(body)
		hangUp(w)
		return
	}
	s.take(body)
	w.Header().Set("Content-Type", "application/x-protobuf")
	resp, _ := plogotlp.NewExportResponse().MarshalProto()
	_, _ = w.Write(resp)
}

func hangUp(w http.ResponseWriter) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = c.Close()
	}
}

func (s *sink) take(body []byte) {
	req := plogotlp.NewExportRequest()
	if err := req.UnmarshalProto(body); err != nil {
		s.t.Errorf("not OTLP: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	eachRecord(req.Logs(), func(lr plog.LogRecord) {
		uid, _ := lr.Attributes().Get("log.record.uid")
		line, _ := lr.Attributes().Get("log.record.original")
		s.received++
		if old, ok := s.lines[uid.Str()]; ok && old != line.Str() {
			s.mixed++
		}
		s.lines[uid.Str()] = line.Str()
		if s.keep != nil {
			s.keep(uid.Str(), lr)
		}
	})
}

func (s *sink) count() (unique, received int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines), s.received
}

// misbehave goes through random faults until ctx ends, then behaves.
func (s *sink) misbehave(ctx context.Context, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	for ctx.Err() == nil {
		if r.IntN(5) == 0 {
			s.disappear()
			pause(ctx, time.Duration(r.IntN(300))*time.Millisecond)
			s.reappear()
			continue
		}
		if r.IntN(2) == 0 {
			s.mode.Store(int32(accept))
		} else {
			s.mode.Store(int32(r.IntN(int(faults))))
		}
		pause(ctx, time.Duration(20+r.IntN(200))*time.Millisecond)
	}
	s.mode.Store(int32(accept))
}

// pause lets a fault last for a while.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func eachRecord(ld plog.Logs, fn func(plog.LogRecord)) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				fn(lr)
			}
		}
	}
}
