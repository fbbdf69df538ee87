package simulate

import (
	"context"
	"errors"
	"time"
)

// Stream renders events to some output.
type Stream interface {
	// Open is called once before the first event.
	Open(at time.Time) error
	// Write is called with every event, in order, and reports whether the stream holds a record of it.
	Write(e *Event) (bool, error)
	// Tick is called in real time about every 100 ms, whether or not something happens.
	Tick(now time.Time) error
	// Close is called once at the end, also after an error.
	Close() error
}

// Clock is the time for a run in real time.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx is done.
	Sleep(ctx context.Context, d time.Duration)
}

// SystemClock is the computer's clock in the local time zone.
type SystemClock struct{}

// Now implements [Clock].
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep implements [Clock].
func (SystemClock) Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// RunOptions say how long and how fast a run is.
type RunOptions struct {
	Streams  []Stream      // opened in this order and closed in the opposite one, so a log that others tell things comes first
	Records  int64         // end after so many events that some stream took; 0 = no limit
	Duration time.Duration // end when so much of the world's time has passed; 0 = no limit
	Clock    Clock         // pace events by this clock; nil = as fast as possible
}

// Summary says what a run did.
type Summary struct {
	Records int64           // events that some stream took
	ByType  [numTypes]int64 // the same by Type
}

const (
	tickEvery = 100 * time.Millisecond
	minSleep  = 5 * time.Millisecond // events due within it are written together
	maxLag    = time.Second          // further behind than this, the world's time jumps
)

// Run hands the world's events to the streams until a limit is reached or ctx is done, which is not an error.
func Run(ctx context.Context, w *World, opt RunOptions) (sum Summary, err error) {
	opened := 0
	defer func() {
		for i := opened - 1; i >= 0; i-- {
			err = errors.Join(err, opt.Streams[i].Close())
		}
	}()
	for _, s := range opt.Streams {
		opened++
		if err := s.Open(w.start); err != nil {
			return sum, err
		}
	}
	var lastTick time.Time
	for n := 0; opt.Records == 0 || sum.Records < opt.Records; n++ {
		if n&255 == 0 && ctx.Err() != nil {
			return sum, nil
		}
		e := w.Next()
		if opt.Duration > 0 && e.At.Sub(w.start) >= opt.Duration {
			return sum, nil
		}
		if opt.Clock != nil {
			for {
				now := opt.Clock.Now().In(w.start.Location())
				if lastTick.IsZero() {
					lastTick = now
				}
				if now.Sub(lastTick) >= tickEvery {
					lastTick = now
					for _, s := range opt.Streams {
						if err := s.Tick(now); err != nil {
							return sum, err
						}
					}
				}
				wait := e.At.Sub(now)
				if wait <= 0 {
					if -wait > maxLag {
						w.Delay(-wait)
					}
					break
				}
				opt.Clock.Sleep(ctx, min(max(wait, minSleep), tickEvery))
				if ctx.Err() != nil {
					return sum, nil
				}
			}
		}
		taken := false
		for _, s := range opt.Streams {
			ok, err := s.Write(e)
			if err != nil {
				return sum, err
			}
			taken = taken || ok
		}
		if taken {
			sum.Records++
			sum.ByType[e.Type]++
		}
	}
	return sum, nil
}
