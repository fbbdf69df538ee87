package acctlogs

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/multierr"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

const (
	header = "type,timeLogged,rcpt,dsnDiag\n"
	rowD   = "d,2026-01-31 10:00:00+0000,r@example.net,smtp;250 2.0.0 ok\n"
	rowB   = "b,2026-01-31 10:00:01+0000,x@example.net,smtp;550 5.1.1 no such user\n"
	rowBad = "b,2026-01-31 10:00:02+0000\n"
)

// feed adds what a decoder finds to a batch.
type feed struct {
	dec     *acct.Decoder
	b       Builder
	uids    []string
	rejects []Reject
}

func (f *feed) Record(rec *acct.Record) {
	f.uids = append(f.uids, string(acct.AppendUID(nil, rec.UID)))
	f.b.Add(rec, acct.Attr{Key: semconv.LogFileName, Str: "acct.csv"})
}

func (f *feed) Reject(r acct.Reject) {
	f.rejects = append(f.rejects, Reject{Reject: r, Context: f.dec.Context()})
}

func TestBuilder(t *testing.T) {
	src := header + rowD + rowBad + rowB + rowD
	f := &feed{dec: acct.NewDecoder(acct.Options{})}
	now := time.Unix(1770000000, 0)
	f.b.Begin(&Options{ScopeName: "scope", ScopeVersion: "1.2", Spare: SpareAttributes(),
		Resource: Resource("mta1", map[string]string{"service.name": "mail", "a": "b"})}, len(src), now)
	f.dec.Decode(src, true, f)

	rl := f.b.Logs.ResourceLogs().At(0)
	require.Equal(t, map[string]any{"service.name": "mail", "service.instance.id": "mta1", "a": "b"}, rl.Resource().Attributes().AsRaw())
	require.Equal(t, semconv.SchemaURL, rl.SchemaUrl())
	sl := rl.ScopeLogs().At(0)
	require.Equal(t, "scope", sl.Scope().Name())
	require.Equal(t, "1.2", sl.Scope().Version())
	require.Equal(t, 3, sl.LogRecords().Len())
	for i, want := range []struct {
		event, body string
		severity    plog.SeverityNumber
	}{
		{"pmta.delivery", "smtp;250 2.0.0 ok", plog.SeverityNumberInfo},
		{"pmta.bounce", "smtp;550 5.1.1 no such user", plog.SeverityNumberError},
		{"pmta.delivery", "smtp;250 2.0.0 ok", plog.SeverityNumberInfo},
	} {
		lr := sl.LogRecords().At(i)
		require.Equal(t, want.event, lr.EventName())
		require.Equal(t, want.body, lr.Body().Str())
		require.Equal(t, want.severity, lr.SeverityNumber())
		require.Equal(t, now.UTC(), lr.ObservedTimestamp().AsTime())
		m := lr.Attributes().AsRaw()
		require.Equal(t, f.uids[i], m[semconv.LogRecordUID])
		require.Equal(t, "acct.csv", m[semconv.LogFileName])
		require.Equal(t, "example.net", m[semconv.PMTARcptDomain])
	}
	require.Equal(t, Counts{acct.TypeDelivery: 2, acct.TypeBounce: 1}, f.b.Counts)

	// A second batch is another one.
	first := f.b.Logs
	f.b.Begin(&Options{}, 0, now)
	require.Equal(t, Counts{}, f.b.Counts)
	require.Equal(t, 3, first.LogRecordCount())
	require.Zero(t, f.b.Logs.LogRecordCount())
}

// What an entry holds decodes to the record that was refused, UID included.
func TestEntriesCanBeDecodedAgain(t *testing.T) {
	in := Input{Name: "/log/acct.csv", Src: header + rowD + rowBad + rowB, Final: true, Observed: time.Unix(1770000000, 0)}
	f := &feed{dec: acct.NewDecoder(acct.Options{})}
	f.b.Begin(&Options{}, len(in.Src), in.Observed)
	f.dec.Decode(in.Src, true, f)

	rejected := in.Rejected(f.rejects)
	require.Len(t, rejected, 1)
	require.Equal(t, "too_few_fields", rejected[0].Reason)
	require.Equal(t, "2 fields, header has 4", rejected[0].Detail)
	require.Equal(t, rowBad, rejected[0].Raw)
	require.Equal(t, int64(len(header+rowD)), rejected[0].Offset)

	refused := in.Refused(acct.NewDecoder(acct.Options{}), errors.New("no such index"), nil)
	require.Len(t, refused, 2)
	for i, e := range refused {
		require.Equal(t, ReasonRefused, e.Reason)
		require.Equal(t, "no such index", e.Detail)
		require.Equal(t, "/log/acct.csv", e.File)
		again := &feed{dec: acct.NewDecoder(acct.Options{})}
		require.NoError(t, again.dec.Restore(e.Context, e.Offset))
		again.b.Begin(&Options{}, len(e.Raw), in.Observed)
		again.dec.Decode(e.Raw, true, again)
		require.Equal(t, f.uids[i:i+1], again.uids)
	}

	some := in.Refused(acct.NewDecoder(acct.Options{}), errors.New("x"), func(r *acct.Record) bool { return r.Type == acct.TypeDelivery })
	require.Len(t, some, 1)
	require.Equal(t, rowB, some[0].Raw)
}

// A hole in a file costs the quarantine one line however long it is.
func TestHolesTakeNoRoom(t *testing.T) {
	in := Input{Name: "/log/acct.csv", Src: header + rowD + strings.Repeat("\x00", 4096) + rowB, Final: true, Observed: time.Unix(1770000000, 0)}
	f := &feed{dec: acct.NewDecoder(acct.Options{})}
	f.b.Begin(&Options{}, len(in.Src), in.Observed)
	f.dec.Decode(in.Src, true, f)
	require.Len(t, f.uids, 2)

	rejected := in.Rejected(f.rejects)
	require.Len(t, rejected, 1)
	require.Equal(t, "nul_bytes", rejected[0].Reason)
	require.Equal(t, 4096, rejected[0].Length)
	require.Equal(t, int64(len(header+rowD)), rejected[0].Offset)
	b, err := rejected[0].Bytes()
	require.NoError(t, err)
	require.Empty(t, b)
}

func TestQuarantineConfig(t *testing.T) {
	require.Empty(t, DefaultQuarantine().Problems())
	require.Equal(t, "/var/lib/otelcol-pmta/quarantine-refused.jsonl", DefaultQuarantine().RefusedPath())
	require.Len(t, QuarantineConfig{}.Problems(), 3)

	c := QuarantineConfig{Path: filepath.Join(t.TempDir(), "q.jsonl"), MaxSize: 1 << 10, MaxFiles: 1}
	rejected, refused, err := c.Open()
	require.NoError(t, err)
	require.False(t, rejected.KeepAll)
	require.True(t, refused.KeepAll)
	c.Path = filepath.Join(c.Path, "\x00", "q.jsonl")
	_, _, err = c.Open()
	require.ErrorContains(t, err, "quarantine::path: cannot write")
}

// Of several destinations one that may recover is enough to go on trying.
func TestIsPermanent(t *testing.T) {
	a, b := consumererror.NewPermanent(errors.New("a")), errors.New("b")
	require.True(t, IsPermanent(a))
	require.True(t, IsPermanent(multierr.Combine(a, a)))
	require.False(t, IsPermanent(multierr.Combine(a, b)))
	require.False(t, IsPermanent(b))
	require.False(t, IsPermanent(nil))
}
