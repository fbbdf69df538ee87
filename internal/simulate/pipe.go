package simulate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// PipeConfig describes a program that gets accounting records, like <acct-file |PROGRAM ARGS>. Zero values are defaults.
type PipeConfig struct {
	Command string // program and arguments, separated by blanks; no shell reads it
	Types   []Type
	Fields  map[Type][]string
	JSON    bool // one object a line, without a header line

	CRLF       bool
	UnixTimes  bool
	UserString string

	Retry   time.Duration // from an error to the next start; 5 minutes
	Timeout time.Duration // of one write; one minute. Where pipes have no time limits, on Windows, there is none
	Block   int           // collect so many bytes before a write; 0 = write each record at once

	Stderr io.Writer                       // gets what the program prints; nowhere
	Notify func(at time.Time, text string) // told of errors in the words of PowerMTA's log
}

// PipeStats is what was written to a pipe.
type PipeStats struct {
	Records int64 // written
	Lost    int64 // not written, because the program did not run
	Starts  int64 // of the program
}

// Pipe starts a program once and writes the header line and then records to its standard input, as they come. After an
// error it gives up until the retry interval is over; records of that time are lost to it. A program that does not read
// makes everything wait, as it does with PowerMTA. It is not safe for concurrent use.
type Pipe struct {
	cfg     PipeConfig
	args    []string
	acct    *Accounting // renders records, has no file
	in      *os.File    // nil while the program does not run
	cmd     *exec.Cmd
	ended   chan error // result of the program that was started last; nil once it was received
	pending []byte
	waiting int64     // records in pending
	again   time.Time // next start
	stats   PipeStats
	at      time.Time
}

// pipePatience is how long a program may take to end after its input has ended.
const pipePatience = 10 * time.Second

// NewPipe checks the configuration. Nothing is started before [Pipe.Open].
func NewPipe(cfg PipeConfig) (*Pipe, error) {
	args := strings.Fields(cfg.Command)
	if len(args) == 0 {
		return nil, errors.New("pipe: no program")
	}
	if cfg.Retry == 0 {
		cfg.Retry = 5 * time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Retry < 0 || cfg.Timeout < 0 || cfg.Block < 0 {
		return nil, errors.New("pipe: sizes and intervals must not be negative")
	}
	acct, err := NewAccounting(AccountingConfig{Path: "pipe", Types: cfg.Types, Fields: cfg.Fields, JSON: cfg.JSON, CRLF: cfg.CRLF, UnixTimes: cfg.UnixTimes, UserString: cfg.UserString})
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return &Pipe{cfg: cfg, args: args, acct: acct}, nil
}

// Stats returns what was done so far.
func (p *Pipe) Stats() PipeStats { return p.stats }

// Open starts the program. An error is logged, not returned, and another start follows.
func (p *Pipe) Open(at time.Time) error {
	p.at = at
	p.start()
	return nil
}

func (p *Pipe) start() {
	p.reap()
	r, w, err := os.Pipe()
	if err != nil {
		p.failed("starting", err)
		return
	}
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, p.cfg.Stderr, p.cfg.Stderr
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		_ = w.Close()
		p.failed("starting", err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.in, p.cmd, p.ended = w, cmd, ended
	p.stats.Starts++
	p.pending, p.waiting = append(p.pending[:0], p.acct.header...), 0
	if p.cfg.Block == 0 {
		p.flush()
	}
}

// reap takes the end of a program that was given up, and ends it if it did not see the end of its input.
func (p *Pipe) reap() {
	if p.ended == nil {
		return
	}
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	p.ended = nil
}

// failed gives the program up for a time.
func (p *Pipe) failed(what string, err error) {
	if p.cfg.Notify != nil {
		p.cfg.Notify(p.at, "Error "+what+` "`+strings.Join(p.args, " ")+`": `+systemText(err))
	}
	if p.in != nil {
		_ = p.in.Close()
		p.in = nil
	}
	p.stats.Lost += p.waiting
	p.pending, p.waiting = p.pending[:0], 0
	p.again = p.at.Add(p.cfg.Retry)
}

// systemText says an error as the C library does.
func systemText(err error) string {
	switch {
	case errors.Is(err, syscall.EPIPE):
		return "Broken pipe"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "Connection timed out"
	case errors.Is(err, os.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return "No such file or directory"
	case errors.Is(err, os.ErrPermission):
		return "Permission denied"
	}
	return err.Error()
}

// Write writes the event's record and reports whether the pipe takes this type.
func (p *Pipe) Write(e *Event) (bool, error) {
	if !p.acct.Takes(e.Type) {
		return false, nil
	}
	p.at = e.At
	p.restart()
	if p.in == nil {
		p.stats.Lost++
		return true, nil
	}
	p.acct.render(e)
	p.pending = append(p.pending, p.acct.line...)
	p.waiting++
	if len(p.pending) >= p.cfg.Block {
		p.flush()
	}
	return true, nil
}

func (p *Pipe) restart() {
	if p.in == nil && !p.at.Before(p.again) {
		p.start()
	}
}

// Tick writes out what is collected.
func (p *Pipe) Tick(now time.Time) error {
	p.at = now
	p.restart()
	p.flush()
	return nil
}

func (p *Pipe) flush() {
	if p.in == nil || len(p.pending) == 0 {
		return
	}
	_ = p.in.SetWriteDeadline(time.Now().Add(p.cfg.Timeout))
	if _, err := p.in.Write(p.pending); err != nil {
		p.failed("writing to", err)
		return
	}
	p.stats.Records += p.waiting
	p.pending, p.waiting = p.pending[:0], 0
}

// Close ends the input and waits for the program. One that does not end within ten seconds is killed. A program that
// ended with an error is logged.
func (p *Pipe) Close() error {
	p.flush()
	if p.in == nil {
		p.reap()
		return nil
	}
	_ = p.in.Close()
	p.in = nil
	limit := time.NewTimer(pipePatience)
	defer limit.Stop()
	var err error
	select {
	case err = <-p.ended:
	case <-limit.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
		err = errors.New("does not end although its input has ended")
	}
	p.ended = nil
	if err != nil && p.cfg.Notify != nil {
		p.cfg.Notify(p.at, `Error executing "`+strings.Join(p.args, " ")+`": `+systemText(err))
	}
	return nil
}
