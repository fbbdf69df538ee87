// Package jsonline renders accounting records and log entries as flat JSON
// objects, one a line.
package jsonline // import "github.com/otelcol-pmta/otelcol-pmta/internal/jsonline"

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// Writer renders records. The zero value is ready for use; it is not safe for
// several goroutines.
type Writer struct {
	second int64 // of stamp
	stamp  []byte
}

// AppendRecord appends rec and a line feed to dst. Keys are timestamp (RFC 3339
// in UTC), event.name, severity_text, log.record.uid and the attributes.
func (w *Writer) AppendRecord(dst []byte, rec *acct.Record) []byte {
	_, text := rec.Type.Severity()
	dst = w.appendHead(dst, rec.Time, rec.Type.EventName(), text, rec.UID)
	return append(appendAttrs(dst, rec.Attrs), '}', '\n')
}

// Event is a line that is no accounting record.
type Event struct {
	Time         int64 // nanoseconds since the Unix epoch, 0 for none
	Name         string
	SeverityText string
	UID          [2]uint64
	Stream       string // pmta.stream
	Body         string
	Attrs        []acct.Attr
}

// AppendEvent is AppendRecord for an event, with the keys pmta.stream and body
// besides. Without a time there is no timestamp.
func (w *Writer) AppendEvent(dst []byte, e *Event) []byte {
	dst = w.appendHead(dst, e.Time, e.Name, e.SeverityText, e.UID)
	dst = append(dst, `,"`+semconv.PMTAStream+`":`...)
	dst = jsontext.AppendString(dst, e.Stream)
	dst = append(dst, `,"body":`...)
	dst = jsontext.AppendString(dst, e.Body)
	return append(appendAttrs(dst, e.Attrs), '}', '\n')
}

func (w *Writer) appendHead(dst []byte, time int64, name, severity string, uid [2]uint64) []byte {
	dst = append(dst, '{')
	if time != 0 {
		dst = append(dst, `"timestamp":"`...)
		dst = w.appendTime(dst, time)
		dst = append(dst, `",`...)
	}
	dst = append(dst, `"event.name":`...)
	dst = jsontext.AppendString(dst, name)
	dst = append(dst, `,"severity_text":"`...)
	dst = append(dst, severity...)
	dst = append(dst, `","`+semconv.LogRecordUID+`":"`...)
	dst = acct.AppendUID(dst, uid)
	return append(dst, '"')
}

func appendAttrs(dst []byte, attrs []acct.Attr) []byte {
	for i := range attrs {
		a := &attrs[i]
		dst = append(dst, ',')
		dst = jsontext.AppendString(dst, a.Key)
		dst = append(dst, ':')
		switch a.Kind {
		case acct.KindString:
			dst = jsontext.AppendString(dst, a.Str)
		case acct.KindInt:
			dst = strconv.AppendInt(dst, a.Num, 10)
		case acct.KindDouble:
			dst = AppendFloat(dst, math.Float64frombits(uint64(a.Num)))
		case acct.KindBool:
			dst = strconv.AppendBool(dst, a.Num != 0)
		case acct.KindStrings:
			dst = append(dst, '[')
			rest, more := a.Str, true
			for more {
				var e string
				e, rest, more = strings.Cut(rest, ",")
				dst = jsontext.AppendString(dst, e)
				if more {
					dst = append(dst, ',')
				}
			}
			dst = append(dst, ']')
		}
	}
	return dst
}

// appendTime renders nanoseconds since the epoch; the whole second is kept,
// since the next record mostly has the same.
func (w *Writer) appendTime(dst []byte, ns int64) []byte {
	sec, frac := ns/1e9, ns%1e9
	if frac < 0 {
		sec, frac = sec-1, frac+1e9
	}
	if frac != 0 {
		return time.Unix(sec, frac).UTC().AppendFormat(dst, time.RFC3339Nano)
	}
	if w.stamp == nil || w.second != sec {
		w.stamp = time.Unix(sec, 0).UTC().AppendFormat(w.stamp[:0], time.RFC3339)
		w.second = sec
	}
	return append(dst, w.stamp...)
}

// AppendFloat appends f as a JSON number, or null when JSON has no number for
// it.
func AppendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}
