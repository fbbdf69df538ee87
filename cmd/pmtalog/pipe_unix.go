//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// pipeSignals adds what may reach a child of PMTA. Nobody reading standard
// error is no reason to end.
func pipeSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE)
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// pipeInput makes it possible to end a Read of the pipe that f is, and gives
// the pipe room for a burst. Anything but a pipe is returned as it is.
func pipeInput(f *os.File) io.Reader {
	fd := int(f.Fd())
	st, err := f.Stat()
	if err != nil || st.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return f
	}
	growPipe(fd)
	if syscall.SetNonblock(fd, true) != nil {
		return f
	}
	return &inputPipe{f: os.NewFile(uintptr(fd), f.Name()), fd: fd}
}

// inputPipe is a pipe that, once its deadline is over, gives what is in it and
// no more.
type inputPipe struct {
	f    *os.File
	fd   int
	last time.Time // end of giving, for a writer that does not pause
}

// Read implements io.Reader.
func (p *inputPipe) Read(b []byte) (int, error) {
	n, err := p.f.Read(b)
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if p.last.IsZero() {
		p.last = time.Now().Add(time.Second)
	}
	if time.Now().After(p.last) {
		return 0, err
	}
	for {
		m, rerr := syscall.Read(p.fd, b)
		switch {
		case errors.Is(rerr, syscall.EINTR):
		case rerr != nil: // EAGAIN: the pipe is empty
			return 0, err
		case m == 0:
			return 0, io.EOF
		default:
			return m, nil
		}
	}
}

// SetReadDeadline implements spool.Deadliner.
func (p *inputPipe) SetReadDeadline(t time.Time) error { return p.f.SetReadDeadline(t) }

// Close implements io.Closer.
func (p *inputPipe) Close() error { return p.f.Close() }
