// Package acctlogs makes OpenTelemetry log records of decoded accounting
// records, and quarantine entries of what cannot be shipped. Every receiver of
// accounting data uses it, so that a record looks the same however it came.
package acctlogs // import "github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"

import (
	"maps"
	"slices"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/logslab"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

// RecordTypes are the values of the metric attribute pmta.record.type, in the
// order of acct.Type. Unknown types share one, since a sender could invent any
// number.
var RecordTypes = [...]string{"other", "d", "b", "t", "tq", "r", "f", "rb", "rs"}

// Counts holds a number for each of RecordTypes.
type Counts [len(RecordTypes)]int64

// SpareAttributes is how many attributes the processors of this project add to
// a record at most: Options.Spare where a processor changes records. Reply
// classification and enrichment together take 20; others have told by the time
// that receivers are made, which is after processors.
func SpareAttributes() int { return 20 + logslab.Expected() }

// Options say what all records of a batch have in common.
type Options struct {
	ScopeName, ScopeVersion string
	// Resource holds the resource attributes.
	Resource map[string]string
	// Spare is how many attributes may be added to a record without a copy of
	// those it has.
	Spare int
}

// Resource returns the resource attributes that every receiver sets: those of
// own, and service.name and service.instance.id where own does not say them.
func Resource(instance string, own map[string]string) map[string]string {
	res := map[string]string{"service.name": "pmta"}
	if instance != "" {
		res["service.instance.id"] = instance
	}
	maps.Copy(res, own)
	return res
}

// Builder makes one batch of log records. It is not safe for concurrent use.
type Builder struct {
	// Logs is the batch. The Builder does not touch it after the last Add.
	Logs plog.Logs
	// Counts says how many records of each type were added.
	Counts Counts

	records  plog.LogRecordSlice
	slab     logslab.Slab
	uids     []byte
	observed pcommon.Timestamp
}

// Begin starts a batch of the records in size bytes of input, seen at the time
// observed. What was built before is left to its owner.
func (b *Builder) Begin(o *Options, size int, observed time.Time) {
	b.Logs = plog.NewLogs()
	rl := b.Logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl(semconv.SchemaURL)
	m := rl.Resource().Attributes()
	m.EnsureCapacity(len(o.Resource))
	for _, k := range slices.Sorted(maps.Keys(o.Resource)) {
		m.PutStr(k, o.Resource[k])
	}
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(o.ScopeName)
	sl.Scope().SetVersion(o.ScopeVersion)
	b.records = sl.LogRecords()
	// A row of the default columns is about 500 bytes and 36 attributes.
	n := size/400 + 1
	b.records.EnsureCapacity(n)
	b.slab = logslab.Slab{HintAttrs: n * (36 + o.Spare), Spare: o.Spare}
	b.uids = make([]byte, 0, n*32)
	b.observed = pcommon.NewTimestampFromTime(observed)
	b.Counts = Counts{}
}

// Take gives the batch away: it belongs to the caller from here on.
func (b *Builder) Take() plog.Logs {
	logs := b.Logs
	b.Logs = plog.Logs{}
	return logs
}

// Event is a log record of something else than an accounting record.
type Event struct {
	Time         int64 // nanoseconds since the Unix epoch; 0: unknown, it gets the time of observation
	Name         string
	Severity     int32 // OpenTelemetry severity number
	SeverityText string
	Body         string
	UID          [2]uint64 // see acct.AppendUID
	Attrs        []acct.Attr
}

// Add appends rec to the batch, with more attributes behind its own and its
// UID. Keys have to be unique. rec.Attrs may be a longer slice afterwards.
func (b *Builder) Add(rec *acct.Record, more ...acct.Attr) {
	number, text := rec.Type.Severity()
	e := Event{Time: rec.Time, Name: rec.Type.EventName(), Severity: number, SeverityText: text, Body: rec.Diag, UID: rec.UID, Attrs: rec.Attrs}
	b.AddEvent(&e, more...)
	rec.Attrs = e.Attrs // hand a grown slice back to the decoder
	b.Counts[rec.Type]++
}

// AddEvent is Add for an event. It is not in Counts. e.Attrs is empty
// afterwards, perhaps with more room.
func (b *Builder) AddEvent(e *Event, more ...acct.Attr) {
	b.uids = acct.AppendUID(b.uids, e.UID)
	uid := b.uids[len(b.uids)-32:]
	attrs := append(e.Attrs, acct.Attr{Key: semconv.LogRecordUID, Str: unsafe.String(unsafe.SliceData(uid), len(uid))})
	attrs = append(attrs, more...)
	lr := b.records.AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(e.Time))
	if e.Time == 0 {
		lr.SetTimestamp(b.observed)
	}
	lr.SetObservedTimestamp(b.observed)
	lr.SetEventName(e.Name)
	lr.SetSeverityNumber(plog.SeverityNumber(e.Severity))
	lr.SetSeverityText(e.SeverityText)
	if e.Body != "" {
		b.slab.SetString(lr.Body(), e.Body)
	}
	b.slab.SetAttributes(lr.Attributes(), attrs)
	e.Attrs = attrs[:0]
}
