package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// HTTPLogConfig describes the log of the web monitor, pmtahttp.log. Zero values are defaults.
type HTTPLogConfig struct {
	LogFileConfig
	Seed uint64
}

// HTTPLog writes what the web monitor logs: the requests of those who may look (http-log-requests), and denials to those
// who may not. It is a service of its own and goes on when the server is down. It is not safe for concurrent use.
type HTTPLog struct {
	file   logFile
	rnd    *Rand
	poll   int64 // Unix times of the next lines
	visit  int64
	denial int64
	round  int
	buf    []byte
}

// NewHTTPLog checks the configuration. Nothing is created before [HTTPLog.Open].
func NewHTTPLog(cfg HTTPLogConfig) (*HTTPLog, error) {
	if err := checkLogFile(&cfg.LogFileConfig, "http log"); err != nil {
		return nil, err
	}
	return &HTTPLog{file: logFile{cfg: cfg.LogFileConfig}, rnd: newRand(cfg.Seed ^ 0x477)}, nil
}

// Open creates or appends to the file.
func (l *HTTPLog) Open(at time.Time) error {
	if err := l.file.open(at); err != nil {
		return err
	}
	u := at.Unix()
	l.poll, l.visit, l.denial = u+1, u+20, u+5
	return nil
}

// Lines returns how many lines and bytes were written.
func (l *HTTPLog) Lines() (lines, bytes int64) { return l.file.lines, l.file.bytes }

// Write adds what happened before the event. It reports false: a log has no accounting records.
func (l *HTTPLog) Write(e *Event) (bool, error) {
	if err := l.advance(e.At.Unix()); err != nil {
		return false, err
	}
	return false, l.file.settle()
}

// Tick adds what happened before now.
func (l *HTTPLog) Tick(now time.Time) error {
	if err := l.advance(now.Unix()); err != nil {
		return err
	}
	return l.file.flush()
}

// Close writes what is left.
func (l *HTTPLog) Close() error { return l.file.close() }

func (l *HTTPLog) advance(now int64) error {
	for {
		u := min(l.poll, l.visit, l.denial)
		if u > now {
			return nil
		}
		b := l.file.stamp(l.buf[:0], u)
		switch u {
		case l.poll: // a monitoring system
			path := "/status?format=json"
			if l.round&1 == 1 {
				path = "/queues?format=json"
			}
			l.round++
			b = append(append(append(b, "GET "...), path...), " from 127.0.0.1: 200"...)
			l.poll = u + 30
		case l.visit: // somebody with a browser
			pages := []string{"/ui/status", "/ui/queues", "/ui/domains", "/ui/vmtas", "/queueDetail?queue=gmail.com/mta-eu-01", "/nosuchpage"}
			p := l.rnd.IntN(len(pages))
			b = append(append(append(b, "GET "...), pages[p]...), " from 192.0.2."...)
			b = strconv.AppendInt(b, 200+l.rnd.between(0, 3), 10)
			if p == len(pages)-1 {
				b = append(b, ": 404"...)
			} else {
				b = append(b, ": 200"...)
			}
			l.visit = u + l.rnd.skewed(10, 1800)
		default:
			b = append(b, "Access denied from 198.51.100."...)
			b = strconv.AppendInt(b, l.rnd.between(1, 254), 10)
			l.denial = u + l.rnd.skewed(5, 3600)
		}
		b = append(b, '\n')
		l.buf = b
		if err := l.file.write(u, b); err != nil {
			return err
		}
	}
}

// StartupLog writes pmta-startuperr.log: why a start failed. It has lines only if the scenario has a [FailedStart]. It is
// not safe for concurrent use.
type StartupLog struct {
	path  string
	file  *os.File
	lines int64
	bytes int64
}

// NewStartupLog writes to path, from [StartupLog.Open] on.
func NewStartupLog(path string) (*StartupLog, error) {
	if path == "" {
		return nil, fmt.Errorf("log of failed starts: no path")
	}
	return &StartupLog{path: path}, nil
}

// Open creates or appends to the file.
func (l *StartupLog) Open(time.Time) (err error) {
	if err = os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return err
	}
	l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	return err
}

// Lines returns how many lines and bytes were written.
func (l *StartupLog) Lines() (lines, bytes int64) { return l.lines, l.bytes }

// Write adds the lines of a start that failed. It reports false: a log has no accounting records.
func (l *StartupLog) Write(e *Event) (bool, error) {
	if e.Type != Notice || e.Server.Kind != StartFailed {
		return false, nil
	}
	var lines []string
	if s := e.Server.Stop; s.Cause == "licence" {
		lines = []string{"Unable to parse serial number: number missing"}
	} else {
		lines = []string{
			"Parse error in line " + strconv.Itoa(s.Line) + " of " + configFile + ": unknown directive",
			"Startup error: No logging file specified",
		}
	}
	stamp := e.At.Format("2006-01-02 15:04:05 ")
	for _, text := range lines {
		n, err := l.file.WriteString(stamp + text + "\n")
		l.bytes += int64(n)
		if err != nil {
			return false, err
		}
		l.lines++
	}
	return false, nil
}

// Tick does nothing: each line is written at once.
func (l *StartupLog) Tick(time.Time) error { return nil }

// Close closes the file.
func (l *StartupLog) Close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
