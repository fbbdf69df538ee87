// Package otlpjson renders logs as OTLP JSON, the JSON form of the messages in
// opentelemetry/proto/logs/v1/logs.proto with the rules of the OTLP
// specification: trace and span ids in hex, 64-bit integers as text, enums as
// numbers.
//
// It does what pdata's JSONMarshaler does, at a fraction of its cost, and can
// cut a request into documents of limited size while it writes.
package otlpjson // import "github.com/otelcol-pmta/otelcol-pmta/internal/otlpjson"

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
)

// AppendLogs appends all of ld as one document.
func AppendLogs(dst []byte, ld plog.Logs) []byte {
	dst = append(dst, `{"resourceLogs":[`...)
	for i := range ld.ResourceLogs().Len() {
		rl := ld.ResourceLogs().At(i)
		dst = comma(dst, i)
		dst = append(appendResource(dst, rl), `"scopeLogs":[`...)
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			dst = comma(dst, j)
			dst = append(appendScope(dst, sl), `"logRecords":[`...)
			for k := range sl.LogRecords().Len() {
				dst = AppendRecord(comma(dst, k), sl.LogRecords().At(k))
			}
			dst = append(dst, "]}"...)
		}
		dst = append(dst, "]}"...)
	}
	return append(dst, "]}"...)
}

const closing = "]}]}]}"

// Split renders ld as documents of at most limit bytes and calls emit for each
// with the range [from, to) of its records, counted through ld. A document of
// one record may be larger. doc is only valid during the call. Split returns
// buf, grown, for use in the next call. Resources and scopes without records
// do not appear.
func Split(buf []byte, ld plog.Logs, limit int, emit func(doc []byte, from, to int)) []byte {
	buf = buf[:0]
	from, n := 0, 0 // first record of the document, records so far
	open := 0       // 1: there is a document, 2: resource, 3: scope
	var head []byte // the document's opening up to its scope, for the next one
	for i := range ld.ResourceLogs().Len() {
		rl := ld.ResourceLogs().At(i)
		open = min(open, 1)
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			open = min(open, 2)
			for k := range sl.LogRecords().Len() {
				mark := len(buf)
				switch open {
				case 0:
					buf = append(buf, `{"resourceLogs":[`...)
				case 1:
					buf = append(buf, "]}]},"...)
				case 2:
					buf = append(buf, "]},"...)
				case 3:
					buf = append(buf, ',')
				}
				if open < 2 {
					buf = append(appendResource(buf, rl), `"scopeLogs":[`...)
				}
				if open < 3 {
					buf = append(appendScope(buf, sl), `"logRecords":[`...)
				}
				start := len(buf)
				buf = AppendRecord(buf, sl.LogRecords().At(k))
				if open > 0 && len(buf)+len(closing) > limit {
					// The record opens the next document.
					rec := append([]byte(nil), buf[start:]...)
					emit(append(buf[:mark], closing...), from, n)
					head = append(head[:0], `{"resourceLogs":[`...)
					head = append(appendResource(head, rl), `"scopeLogs":[`...)
					head = append(appendScope(head, sl), `"logRecords":[`...)
					buf = append(append(buf[:0], head...), rec...)
					from = n
				}
				open = 3
				n++
			}
		}
	}
	if open > 0 {
		buf = append(buf, closing...)
		emit(buf, from, n)
	}
	return buf
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

// appendResource appends the opening of a resourceLogs element, a comma at its
// end.
func appendResource(dst []byte, rl plog.ResourceLogs) []byte {
	dst = append(dst, `{"resource":{`...)
	n := len(dst)
	res := rl.Resource()
	if res.Attributes().Len() > 0 {
		dst = append(dst, `"attributes":`...)
		dst = append(appendMap(dst, res.Attributes()), ',')
	}
	dst = appendCount(dst, "droppedAttributesCount", res.DroppedAttributesCount())
	dst = append(trim(dst, n), `},`...)
	return appendText(dst, "schemaUrl", rl.SchemaUrl())
}

func appendScope(dst []byte, sl plog.ScopeLogs) []byte {
	dst = append(dst, `{"scope":{`...)
	n := len(dst)
	s := sl.Scope()
	dst = appendText(dst, "name", s.Name())
	dst = appendText(dst, "version", s.Version())
	if s.Attributes().Len() > 0 {
		dst = append(dst, `"attributes":`...)
		dst = append(appendMap(dst, s.Attributes()), ',')
	}
	dst = appendCount(dst, "droppedAttributesCount", s.DroppedAttributesCount())
	dst = append(trim(dst, n), `},`...)
	return appendText(dst, "schemaUrl", sl.SchemaUrl())
}

// AppendRecord appends one LogRecord.
func AppendRecord(dst []byte, lr plog.LogRecord) []byte {
	dst = append(dst, '{')
	if t := lr.Timestamp(); t != 0 {
		dst = append(dst, `"timeUnixNano":"`...)
		dst = append(strconv.AppendUint(dst, uint64(t), 10), '"', ',')
	}
	if t := lr.ObservedTimestamp(); t != 0 {
		dst = append(dst, `"observedTimeUnixNano":"`...)
		dst = append(strconv.AppendUint(dst, uint64(t), 10), '"', ',')
	}
	if s := lr.SeverityNumber(); s != 0 {
		dst = append(dst, `"severityNumber":`...)
		dst = append(strconv.AppendInt(dst, int64(s), 10), ',')
	}
	dst = appendText(dst, "severityText", lr.SeverityText())
	dst = append(dst, `"body":`...)
	dst = append(appendValue(dst, lr.Body()), ',')
	if lr.Attributes().Len() > 0 {
		dst = append(dst, `"attributes":`...)
		dst = append(appendMap(dst, lr.Attributes()), ',')
	}
	dst = appendCount(dst, "droppedAttributesCount", lr.DroppedAttributesCount())
	dst = appendCount(dst, "flags", uint32(lr.Flags()))
	if id := lr.TraceID(); !id.IsEmpty() {
		dst = append(dst, `"traceId":"`...)
		dst = append(hex.AppendEncode(dst, id[:]), '"', ',')
	}
	if id := lr.SpanID(); !id.IsEmpty() {
		dst = append(dst, `"spanId":"`...)
		dst = append(hex.AppendEncode(dst, id[:]), '"', ',')
	}
	dst = appendText(dst, "eventName", lr.EventName())
	return append(trim(dst, 0), '}')
}

// trim takes the last comma away, unless nothing was added after n.
func trim(dst []byte, n int) []byte {
	if len(dst) > n && dst[len(dst)-1] == ',' {
		return dst[:len(dst)-1]
	}
	return dst
}

func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(append(append(dst, '"'), name...), '"', ':')
	return append(jsontext.AppendString(dst, s), ',')
}

func appendCount(dst []byte, name string, n uint32) []byte {
	if n == 0 {
		return dst
	}
	dst = append(append(append(dst, '"'), name...), '"', ':')
	return append(strconv.AppendUint(dst, uint64(n), 10), ',')
}

func appendMap(dst []byte, m pcommon.Map) []byte {
	dst = append(dst, '[')
	first := true
	for k, v := range m.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, `{"key":`...)
		dst = jsontext.AppendString(dst, k)
		dst = append(dst, `,"value":`...)
		dst = append(appendValue(dst, v), '}')
	}
	return append(dst, ']')
}

func appendValue(dst []byte, v pcommon.Value) []byte {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		dst = jsontext.AppendString(append(dst, `{"stringValue":`...), v.Str())
	case pcommon.ValueTypeInt:
		dst = append(dst, `{"intValue":"`...)
		dst = append(strconv.AppendInt(dst, v.Int(), 10), '"')
	case pcommon.ValueTypeBool:
		dst = strconv.AppendBool(append(dst, `{"boolValue":`...), v.Bool())
	case pcommon.ValueTypeDouble:
		dst = appendFloat(append(dst, `{"doubleValue":`...), v.Double())
	case pcommon.ValueTypeBytes:
		dst = append(dst, `{"bytesValue":"`...)
		dst = append(base64.StdEncoding.AppendEncode(dst, v.Bytes().AsRaw()), '"')
	case pcommon.ValueTypeSlice:
		dst = append(dst, `{"arrayValue":{`...)
		s := v.Slice()
		for i := range s.Len() {
			if i == 0 {
				dst = append(dst, `"values":[`...)
			}
			dst = appendValue(comma(dst, i), s.At(i))
		}
		if s.Len() > 0 {
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	case pcommon.ValueTypeMap:
		dst = append(dst, `{"kvlistValue":{`...)
		if v.Map().Len() > 0 {
			dst = appendMap(append(dst, `"values":`...), v.Map())
		}
		dst = append(dst, '}')
	default:
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendFloat appends a number, or the text that stands for what JSON has no
// number for.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}
