package simulate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// LogFileConfig describes a log whose name stays the same, like PowerMTA's log-file. Zero values are defaults.
type LogFileConfig struct {
	Path string
	// Keep is how many files there are in all with the live one, like log-rotate: at midnight PATH becomes PATH.1, that
	// one PATH.2, and so on. 0 = never rotate.
	Keep     int
	Every    time.Duration // rotate this often too, as if "pmta rotate log" was called
	Truncate bool          // copy the content to PATH.1 (if Keep is above 1) and truncate PATH in place, instead of renaming

	// Block is 0 for a write after each event, or the size of the blocks in which bytes reach the file, so that its end is
	// usually a partial line; what is left over is written by Tick, before a rotation and at the end.
	Block int
}

// logFile writes lines that are in order of time.
type logFile struct {
	cfg     LogFileConfig
	loc     *time.Location
	file    *os.File
	pending []byte
	turn    int64 // Unix time of the next rotation
	times   [16]cachedTime
	lines   int64
	bytes   int64
}

func checkLogFile(cfg *LogFileConfig, what string) error {
	switch {
	case cfg.Path == "":
		return fmt.Errorf("%s: no path", what)
	case cfg.Keep < 0 || cfg.Every < 0 || cfg.Block < 0:
		return fmt.Errorf("%s %s: numbers, sizes and intervals must not be negative", what, cfg.Path)
	case cfg.Every > 0 && cfg.Every < time.Second:
		return fmt.Errorf("%s %s: rotate once a second at most", what, cfg.Path)
	case cfg.Keep == 0 && (cfg.Every > 0 || cfg.Truncate):
		return fmt.Errorf("%s %s: rotation is off, so it can neither come more often nor truncate", what, cfg.Path)
	}
	return nil
}

func (l *logFile) open(at time.Time) error {
	l.loc = at.Location()
	if err := os.MkdirAll(filepath.Dir(l.cfg.Path), 0o755); err != nil {
		return err
	}
	l.schedule(at)
	return l.create()
}

func (l *logFile) create() (err error) {
	l.file, err = os.OpenFile(l.cfg.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	return err
}

// schedule finds the next rotation after at.
func (l *logFile) schedule(at time.Time) {
	if l.cfg.Keep == 0 {
		l.turn = 1<<63 - 1
		return
	}
	y, m, d := at.Date()
	l.turn = time.Date(y, m, d+1, 0, 0, 0, 0, l.loc).Unix()
	if l.cfg.Every > 0 {
		l.turn = min(l.turn, at.Unix()+int64(l.cfg.Every/time.Second))
	}
}

// write takes lines of the second unix. The bytes are not kept.
func (l *logFile) write(unix int64, b []byte) error {
	if unix >= l.turn {
		if err := l.rotate(unix); err != nil {
			return err
		}
	}
	for _, c := range b {
		if c == '\n' {
			l.lines++
		}
	}
	l.bytes += int64(len(b))
	l.pending = append(l.pending, b...)
	if n := len(l.pending); l.cfg.Block > 0 && n >= l.cfg.Block {
		return l.put(n / l.cfg.Block * l.cfg.Block)
	}
	return nil
}

// settle is called after each event.
func (l *logFile) settle() error {
	if l.cfg.Block == 0 {
		return l.flush()
	}
	return nil
}

func (l *logFile) put(n int) error {
	if n == 0 {
		return nil
	}
	if _, err := l.file.Write(l.pending[:n]); err != nil {
		return err
	}
	l.pending = l.pending[:copy(l.pending, l.pending[n:])]
	return nil
}

func (l *logFile) flush() error { return l.put(len(l.pending)) }

func (l *logFile) rotate(unix int64) error {
	if err := l.flush(); err != nil {
		return err
	}
	l.schedule(time.Unix(unix, 0).In(l.loc))
	old := func(n int) string { return fmt.Sprintf("%s.%d", l.cfg.Path, n) }
	for n := l.cfg.Keep - 2; n > 0; n-- {
		if err := os.Rename(old(n), old(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if l.cfg.Truncate {
		if l.cfg.Keep > 1 {
			if err := copyFile(l.cfg.Path, old(1)); err != nil {
				return err
			}
		}
		return l.file.Truncate(0)
	}
	if err := l.file.Close(); err != nil {
		return err
	}
	var err error
	if l.cfg.Keep > 1 {
		err = os.Rename(l.cfg.Path, old(1))
	} else {
		err = os.Remove(l.cfg.Path)
	}
	return errors.Join(err, l.create())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.flush(), l.file.Close())
	l.file = nil
	return err
}

// stamp appends the time at the beginning of a line: local, without zone.
func (l *logFile) stamp(dst []byte, unix int64) []byte {
	c := &l.times[unix&15]
	if c.unix != unix || c.text == nil {
		c.unix = unix
		c.text = time.Unix(unix, 0).In(l.loc).AppendFormat(c.text[:0], "2006-01-02 15:04:05 ")
	}
	return append(dst, c.text...)
}
