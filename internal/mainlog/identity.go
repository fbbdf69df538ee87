package mainlog

import (
	"fmt"
	"strings"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/uid"
)

// Identity returns a hash of the first entry, which tells the file from
// others; zeros before it was read.
func (d *Decoder) Identity() (id [16]byte) {
	uid.Put(id[:], d.seed)
	return id
}

// Line returns an entry as a line of the log, or several, without what was
// removed from it. location is that of the Decoder.
func (e *Entry) Line(location *time.Location) string {
	if location == nil {
		location = time.Local
	}
	var head string
	if e.Time != 0 {
		head = time.Unix(0, e.Time).In(location).Format(time.DateTime + " ")
	}
	if e.Conn >= 0 {
		head += fmt.Sprintf("(%3d)", e.Conn)
	}
	return head + e.Text + "\n"
}

// Looks tells whether a line is one of a system log: it begins with a time.
func Looks(line string) bool { return startsEntry(strings.TrimPrefix(line, bom)) }
