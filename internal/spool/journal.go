package spool

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

const (
	journalSize = 1 << 20
	// maxPending bounds the lines that wait for a disk that cannot be written.
	maxPending = 1000
)

// entry is a line of the journal.
type entry struct {
	Time    string  `json:"time"` // RFC 3339
	PID     int     `json:"pid"`
	Event   string  `json:"event"` // start, stop, error, recovered, dropped, removed, mended
	Reason  string  `json:"reason,omitempty"`
	File    string  `json:"file,omitempty"`
	Records int64   `json:"records,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Omitted int     `json:"omitted,omitempty"` // lines before this one that could not be kept
	Totals  *Totals `json:"totals,omitempty"`
}

// journal keeps lines until they can be written.
type journal struct {
	fs      FS
	path    string
	now     func() time.Time
	pending [][]byte
	omitted int
	told    map[Reason]Count // drops that are in the journal
	toldAt  time.Time
}

func (j *journal) add(e entry) {
	if len(j.pending) >= maxPending && e.Event != "stop" {
		j.omitted++
		return
	}
	e.Time, e.PID, e.Omitted = j.now().Format(time.RFC3339Nano), os.Getpid(), j.omitted
	j.omitted = 0
	line, err := json.Marshal(e)
	if err != nil {
		return // cannot happen: entry has no type that fails
	}
	j.pending = append(j.pending, append(line, '\n'))
}

// drops adds a line for each reason whose count has grown.
func (j *journal) drops(t Totals, last bool) {
	now := j.now()
	if !last && now.Sub(j.toldAt) < dropPace && !now.Before(j.toldAt) {
		return
	}
	reasons := make([]Reason, 0, len(t.Dropped))
	for r, c := range t.Dropped {
		if c != j.told[r] {
			reasons = append(reasons, r)
		}
	}
	if len(reasons) == 0 {
		return
	}
	if j.told == nil {
		j.told = map[Reason]Count{}
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		c, told := t.Dropped[r], j.told[r]
		j.add(entry{Event: "dropped", Reason: string(r), Records: c.Records - told.Records, Bytes: c.Bytes - told.Bytes})
		j.told[r] = c
	}
	j.toldAt = now
}

// flush writes what it can.
func (j *journal) flush() {
	for len(j.pending) > 0 {
		if j.fs.Log(j.path, j.pending[0], journalSize) != nil {
			return
		}
		j.pending = j.pending[1:]
	}
	j.pending = nil
}
