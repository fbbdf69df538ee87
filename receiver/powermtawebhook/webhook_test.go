package powermtawebhook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/goleak"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadata"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadatatest"
)

func TestRecordsReachThePipeline(t *testing.T) {
	r := newRig(t)
	r.cfg.Instance = "mta1"
	r.cfg.Resource = map[string]string{"team": "lists"}
	r.start()
	r.accepted(r.post(header+rowD+rowB), 2)

	recs := r.p.records()
	require.Len(t, recs, 2)
	d, b := recs[0], recs[1]
	require.Equal(t, "pmta.delivery", d.EventName())
	require.Equal(t, plog.SeverityNumberInfo, d.SeverityNumber())
	require.Equal(t, "smtp;250 2.0.0 ok", d.Body().Str())
	require.Equal(t, "2026-01-31 10:00:00 +0000 UTC", d.Timestamp().AsTime().String())
	require.WithinDuration(t, time.Now(), d.ObservedTimestamp().AsTime(), time.Minute)
	require.Equal(t, "example.net", str(d, "pmta.rcpt.domain"))
	require.Equal(t, "acct", str(d, "pmta.stream"))
	require.Len(t, str(d, "log.record.uid"), 32)
	require.Equal(t, "pmta.bounce", b.EventName())
	rl := r.p.got[0].ResourceLogs().At(0)
	require.Equal(t, map[string]any{"service.name": "pmta", "service.instance.id": "mta1", "team": "lists"}, rl.Resource().Attributes().AsRaw())
	require.Equal(t, metadata.ScopeName, rl.ScopeLogs().At(0).Scope().Name())

	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualPmtaWebhookRecords(t, r.tel, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("pmta.record.type", "d"))},
		{Value: 1, Attributes: attribute.NewSet(attribute.String("pmta.record.type", "b"))},
	}, ignore, metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualPmtaWebhookBytes(t, r.tel, []metricdata.DataPoint[int64]{{Value: int64(len(header + rowD + rowB))}}, ignore, metricdatatest.IgnoreExemplars())
	r.requests(map[int]int64{200: 1})
}

// PowerMTA lets customers override Content-Type, so it says nothing.
func TestFormIsToldByContent(t *testing.T) {
	const a = `{"type":"d","timeLogged":"1769853600","rcpt":"a@example.net"}`
	const b = `{"type":"b","timeLogged":1769853601,"rcpt":"b@example.net"}`
	for name, body := range map[string]string{
		"csv":    header + rowD + rowB,
		"array":  "[" + a + "," + b + "]",
		"lines":  a + "\n" + b + "\n",
		"spaced": " \r\n[ " + a + " ,\n " + b + " ]\n",
	} {
		for _, contentType := range []string{"application/json", "text/csv", "application/octet-stream", ""} {
			for enc, headers := range map[string][]string{"plain": nil, "identity": {"Content-Encoding", "identity"},
				"gzip": {"Content-Encoding", "gzip"}, "x-gzip": {"Content-Encoding", "X-GZIP"}, "gzip, not said": nil, "gzip, but it is not": {"Content-Encoding", "gzip"}} {
				t.Run(name+" "+contentType+" "+enc, func(t *testing.T) {
					r := newRig(t).start()
					sent := body
					if enc == "gzip" || enc == "x-gzip" || enc == "gzip, not said" {
						sent = packed(t, body)
					}
					r.accepted(r.post(sent, append(headers, "Content-Type", contentType)...), 2)
					require.Equal(t, []string{"d", "b"}, r.p.values("pmta.record.type"))
				})
			}
		}
	}
	t.Run("single object", func(t *testing.T) {
		r := newRig(t).start()
		r.accepted(r.post(a), 1)
	})
	t.Run("nothing in it", func(t *testing.T) {
		r := newRig(t).start()
		for _, body := range []string{"", "\n", header, "[]", "[\n]\n"} {
			r.accepted(r.post(body), 0)
		}
		require.Zero(t, r.p.calls)
		require.Empty(t, r.quarantined())
	})
}

func TestStream(t *testing.T) {
	many := strings.Repeat(rowB, 1000)
	for name, tc := range map[string]struct{ stream, body, want string }{
		"mixed":                  {"auto", header + rowD + rowB, "acct"},
		"only b":                 {"auto", header + many, "bounce"},
		"b and rb":               {"auto", header + many + "r" + rowB, "bounce"},
		"b, and d at the end":    {"auto", header + many + rowD, "acct"},
		"only d":                 {"auto", header + rowD, "acct"},
		"bad rows do not matter": {"auto", header + rowB + rowBad + rowB, "bounce"},
		"said to be bounce":      {"bounce", header + rowD + rowB, "bounce"},
		"said to be acct":        {"acct", header + rowB, "acct"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.cfg.Stream = tc.stream
			r.start()
			require.Equal(t, http.StatusOK, r.post(tc.body).code)
			for _, got := range r.p.values("pmta.stream") {
				require.Equal(t, tc.want, got)
			}
			require.NotEmpty(t, r.p.records())
		})
	}
}

// A body of many batches arrives whole, whatever the size of a batch is.
func TestBatches(t *testing.T) {
	var body strings.Builder
	body.WriteString(header)
	const n = 2000
	for i := range n {
		fmt.Fprintf(&body, "d,2026-01-31 10:00:00+0000,s@example.com,r%d@example.net,\"smtp;250 ok\n%s\",vmta1\n", i, strings.Repeat("x", i*7))
	}
	r := newRig(t)
	r.cfg.BatchSize = 4 << 10 // smaller than a record
	r.start()
	r.accepted(r.post(body.String()), n)
	require.Greater(t, r.p.calls, 100)
	rcpts := r.p.values("smtp.rcpt_to")
	slices.Sort(rcpts)
	require.Len(t, slices.Compact(rcpts), n)
	uids := r.p.values("log.record.uid")
	slices.Sort(uids)
	require.Len(t, slices.Compact(uids), n)
	require.Empty(t, r.quarantined())
}

// A bad row is in quarantine, with its place, and does not hold up the sender.
func TestBadRowsInAGoodBody(t *testing.T) {
	r := newRig(t).start()
	resp := r.post(header + rowD + rowBad + rowB)
	r.accepted(resp, 2)
	require.Equal(t, 1, resp.Rejected)
	q := r.quarantined()
	require.Len(t, q, 1)
	require.Equal(t, "too_few_fields", q[0].Reason)
	require.Equal(t, int64(len(header+rowD)), q[0].Offset)
	require.Equal(t, rowBad, q[0].Raw)
	require.Regexp(t, `^webhook (127\.0\.0\.1|::1) [0-9a-f]{16}$`, q[0].File)
	r.rejected(map[string]int64{"too_few_fields": 1})
	require.Equal(t, 1, r.logs.FilterMessageSnippet("input could not be read as records").Len())
}

// What is no accounting data at all is in quarantine, and the sender is told.
// If it insists, it must not do so for ever.
func TestGarbage(t *testing.T) {
	flipped := []byte(packed(t, header+rowD))
	flipped[len(flipped)-6] ^= 1
	for name, tc := range map[string]struct {
		body, reason string
		raw          bool // the body itself is in quarantine
	}{
		"text":           {"hello, world\n", "no_header", true},
		"html":           {"<html>\n", "no_header", true},
		"bytes":          {"\xff\xfe\x00\x80\x01", "no_header", true},
		"other csv":      {"a,b,c\n", "no_header", true},
		"other json":     {`{"event":"x"}`, "empty_type", true},
		"broken json":    {`{"type":"d",`, "incomplete", true},
		"json string":    {`["a"]`, "bad_json", false},
		"damaged gzip":   {string(flipped), "bad_gzip", true},
		"cut off gzip":   {packed(t, header+rowD)[:30], "bad_gzip", true},
		"gzip of text":   {packed(t, "hello\n"), "no_header", false},
		"gzip in a gzip": {packed(t, packed(t, header+rowD)), "no_header", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).start()
			resp := r.post(tc.body)
			require.Equal(t, http.StatusBadRequest, resp.code)
			require.NotEmpty(t, resp.Error)
			q := r.quarantined()
			require.NotEmpty(t, q)
			require.Equal(t, tc.reason, q[0].Reason)
			raw, err := q[0].Bytes()
			require.NoError(t, err)
			if tc.raw {
				require.Equal(t, tc.body, string(raw))
			}
			r.rejected(map[string]int64{tc.reason: int64(len(q))})

			resp = r.post(tc.body)
			r.accepted(resp, 0)
			require.True(t, resp.Replay)
			require.Len(t, r.quarantined(), len(q), "it is in quarantine once")
			require.Zero(t, r.p.calls)
			r.requests(map[int]int64{400: 1, 200: 1})
		})
	}
}

// Very many bad rows make one entry, not many times the size of the body.
func TestManyRejects(t *testing.T) {
	names := make([]string, 900)
	for i := range names {
		names[i] = fmt.Sprintf("header_%0100d", i)
	}
	for name, tc := range map[string]struct {
		head, good, bad string
		n               int
	}{
		"rows":   {header, rowD, rowBad, maxRejects + 1},
		"header": {"type,timeLogged," + strings.Join(names, ",") + "\n", "d,1769853600" + strings.Repeat(",", 900) + "\n", "d,1769853600\n", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start()
			body := tc.head + strings.Repeat(tc.good+tc.bad, tc.n)
			resp := r.post(body)
			r.accepted(resp, tc.n)
			require.Equal(t, tc.n, resp.Rejected)
			r.rejected(map[string]int64{"too_few_fields": int64(tc.n)})
			q := r.quarantined()
			require.Len(t, q, 1)
			require.Equal(t, body[len(tc.head+tc.good):], q[0].Raw)
			// It decodes to what it holds.
			dec := acct.NewDecoder(acct.Options{})
			require.NoError(t, dec.Restore(q[0].Context, q[0].Offset))
			var c count
			dec.Decode(q[0].Raw, true, &c)
			require.Equal(t, count{tc.n - 1, tc.n}, c)
		})
	}
}

type count struct{ records, rejects int }

func (c *count) Record(*acct.Record) { c.records++ }
func (c *count) Reject(acct.Reject)  { c.rejects++ }

func TestWrongRequests(t *testing.T) {
	r := newRig(t)
	r.cfg.Path = "/pmta"
	r.cfg.MaxBodySize = 64 << 10
	r.start()
	base := "http://" + r.rcv.address.String()
	big := strings.Repeat("x", 64<<10+1)
	chunked := func(body string) *http.Request {
		req := r.request(http.MethodPost, r.url(), "")
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		return req
	}
	for name, tc := range map[string]struct {
		req  *http.Request
		code int
	}{
		"another path":       {r.request(http.MethodPost, base+"/", header+rowD), 404},
		"longer path":        {r.request(http.MethodPost, r.url()+"/", header+rowD), 404},
		"get":                {r.request(http.MethodGet, r.url(), ""), 405},
		"put":                {r.request(http.MethodPut, r.url(), header+rowD), 405},
		"delete":             {r.request(http.MethodDelete, r.url(), ""), 405},
		"deflate":            {r.request(http.MethodPost, r.url(), header+rowD, "Content-Encoding", "deflate"), 415},
		"zstd":               {r.request(http.MethodPost, r.url(), header+rowD, "Content-Encoding", "zstd"), 415},
		"twice":              {r.request(http.MethodPost, r.url(), header+rowD, "Content-Encoding", "gzip", "Content-Encoding", "gzip"), 415},
		"large":              {r.request(http.MethodPost, r.url(), big), 413},
		"large, length hid":  {chunked(big), 413},
		"large after gunzip": {r.request(http.MethodPost, r.url(), packed(t, big)), 413},
		"just not too large": {chunked(header + rowD + strings.Repeat("\n", 64<<10-len(header+rowD))), 200},
	} {
		t.Run(name, func(t *testing.T) {
			resp := r.do(tc.req, http.DefaultClient)
			require.Equal(t, tc.code, resp.code, resp.Error)
			if tc.code != 200 {
				require.NotEmpty(t, resp.Error)
			}
			if tc.code == 405 {
				require.Equal(t, "POST", resp.header.Get("Allow"))
			}
		})
	}
	require.Len(t, r.p.records(), 1)
	require.Empty(t, r.quarantined(), "the sender keeps what is too large")
	require.Equal(t, 3, r.logs.FilterMessageSnippet("Set max_body_size above").Len())
	r.requests(map[int]int64{404: 2, 405: 3, 415: 3, 413: 3, 200: 1})
}

// A bomb of 32 MiB costs no more than a body may.
func TestGzipBomb(t *testing.T) {
	r := newRig(t)
	r.cfg.MaxBodySize = 1 << 20
	r.start()
	bomb := packed(t, strings.Repeat("\x00", 32<<20))
	require.Less(t, len(bomb), 1<<20)
	require.Equal(t, http.StatusRequestEntityTooLarge, r.post(bomb, "Content-Encoding", "gzip").code)
	require.Zero(t, r.p.calls)
	require.Empty(t, r.quarantined())
}

// A pipeline that is busy makes the sender keep its records; nothing is in
// quarantine before it has taken the others.
func TestRefusedThenAccepted(t *testing.T) {
	r := newRig(t)
	r.cfg.RetryAfter = 1500 * time.Millisecond
	r.p.answer = func(_ context.Context, n int, ld plog.Logs) error {
		ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("pmta.vmta", "changed")
		if n < 3 {
			return errors.New("memory runs short")
		}
		return nil
	}
	r.start()
	body := header + rowD + rowBad + rowB
	for range 2 {
		resp := r.post(body)
		require.Equal(t, http.StatusServiceUnavailable, resp.code)
		require.Equal(t, "2", resp.header.Get("Retry-After"))
		require.Equal(t, "the pipeline does not accept records now", resp.Error)
		require.Nil(t, resp.Accepted)
		require.Empty(t, r.quarantined())
	}
	resp := r.post(body)
	r.accepted(resp, 2)
	require.False(t, resp.Replay)
	require.Len(t, r.quarantined(), 1)
	logged := r.logs.FilterMessageSnippet("a request got 503").All()
	require.Len(t, logged, 2)
	require.Equal(t, "memory runs short", logged[0].ContextMap()["error"])
	require.Equal(t, []string{"changed", "vmta1"}, r.p.values("pmta.vmta"))
	r.requests(map[int]int64{503: 2, 200: 1})
}

// One of several batches is refused: the sender gets 503 and sends all of it
// again, and every record has the UID that it had.
func TestOneBatchRefused(t *testing.T) {
	var mu sync.Mutex
	uids := map[string]int{}
	r := newRig(t)
	r.cfg.BatchSize = 4 << 10
	r.p.answer = func(_ context.Context, n int, ld plog.Logs) error {
		mu.Lock()
		defer mu.Unlock()
		for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			uids[str(lr, "log.record.uid")]++
		}
		if n == 5 {
			return errors.New("busy")
		}
		return nil
	}
	r.start()
	body := header + strings.Repeat(rowD+rowB, 500)
	require.Equal(t, http.StatusServiceUnavailable, r.post(body).code)
	require.Less(t, r.p.calls, 20, "it stops at once")
	r.accepted(r.post(body), 1000)
	require.Len(t, uids, 1000)
}

// A pipeline that does not answer does not hold the sender for ever.
func TestAcceptTimeout(t *testing.T) {
	r := newRig(t)
	r.cfg.AcceptTimeout = 20 * time.Millisecond
	r.p.answer = func(ctx context.Context, _ int, _ plog.Logs) error { <-ctx.Done(); return ctx.Err() }
	r.start()
	resp := r.post(header + rowD)
	require.Equal(t, http.StatusServiceUnavailable, resp.code)
	require.Equal(t, "5", resp.header.Get("Retry-After"))
	require.Contains(t, resp.Error, "the pipeline does not accept")
}

func TestPermanentRefusalGoesToQuarantine(t *testing.T) {
	r := newRig(t)
	r.cfg.Instance = "mta1"
	var uids []string
	r.p.answer = func(_ context.Context, _ int, ld plog.Logs) error {
		for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			uids = append(uids, str(lr, "log.record.uid"))
		}
		return consumererror.NewPermanent(errors.New("mapping conflict"))
	}
	r.start()
	resp := r.post(header + rowD + rowBad + rowB)
	r.accepted(resp, 0)
	require.Equal(t, 2, resp.Refused)
	require.Equal(t, 1, resp.Rejected)
	require.Len(t, r.quarantined(), 1)
	q := r.refusals()
	require.Len(t, q, 2)
	require.Equal(t, "refused", q[0].Reason)
	require.Contains(t, q[0].Detail, "mapping conflict")
	require.Equal(t, int64(len(header)), q[0].Offset)
	require.Equal(t, rowB, q[1].Raw)
	require.Equal(t, []string{uids[1]}, q[1].UIDs)
	r.rejected(map[string]int64{"refused": 2, "too_few_fields": 1})

	// What is in quarantine decodes to the record that was refused.
	dec := acct.NewDecoder(acct.Options{})
	require.NoError(t, dec.Restore(q[1].Context, q[1].Offset))
	var c count
	dec.Decode(q[1].Raw, true, &c)
	require.Equal(t, count{1, 0}, c)

	require.True(t, r.post(header+rowD+rowBad+rowB).Replay)
	require.Len(t, r.refusals(), 2)
}

// Batches are refused one by one, and entries are in the order of the body.
func TestSomeBatchesRefusedForGood(t *testing.T) {
	r := newRig(t)
	r.cfg.BatchSize = 4 << 10
	r.p.answer = func(_ context.Context, n int, _ plog.Logs) error {
		if n%2 == 0 {
			return consumererror.NewPermanent(errors.New("no"))
		}
		return nil
	}
	r.start()
	resp := r.post(header + strings.Repeat(rowD, 500))
	require.Equal(t, http.StatusOK, resp.code)
	require.Equal(t, 500, *resp.Accepted+resp.Refused)
	q := r.refusals()
	require.Len(t, q, resp.Refused)
	seen := map[string]bool{}
	for _, lr := range r.p.records() {
		seen[str(lr, "log.record.uid")] = true
	}
	for i, e := range q {
		require.False(t, seen[e.UIDs[0]])
		seen[e.UIDs[0]] = true
		require.True(t, i == 0 || q[i-1].Offset < e.Offset)
	}
	require.Len(t, seen, 500)
}

// While the quarantine cannot be written the sender keeps its records.
func TestQuarantineCannotBeWritten(t *testing.T) {
	for name, answer := range map[string]error{"rejected": nil, "refused": consumererror.NewPermanent(errors.New("no"))} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.p.answer = func(context.Context, int, plog.Logs) error { return answer }
			r.start()
			dir := filepath.Dir(r.cfg.Quarantine.Path)
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
			for _, body := range []string{header + rowD + rowBad, "garbage", packed(t, rowD)[:20]} {
				if answer != nil && body != header+rowD+rowBad {
					continue
				}
				resp := r.post(body)
				require.Equal(t, http.StatusServiceUnavailable, resp.code)
				require.NotEmpty(t, resp.header.Get("Retry-After"))
				require.Contains(t, resp.Error, "cannot be written")
			}
			require.NotZero(t, r.logs.FilterMessageSnippet("cannot write the quarantine file").Len())

			require.NoError(t, os.Remove(dir))
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.Equal(t, http.StatusOK, r.post(header+rowD+rowBad).code)
			require.Len(t, r.quarantined(), 1)
		})
	}
}

// The file for refused records is full: nothing is deleted, the sender waits.
func TestFullQuarantine(t *testing.T) {
	r := newRig(t)
	r.cfg.Quarantine.MaxSize, r.cfg.Quarantine.MaxFiles = 1<<10, 1
	r.p.answer = func(context.Context, int, plog.Logs) error { return consumererror.NewPermanent(errors.New("no")) }
	r.start()
	require.Equal(t, http.StatusOK, r.post(header+strings.Repeat(rowD, 10)).code)
	full := r.refusals()
	require.Equal(t, http.StatusServiceUnavailable, r.post(header+rowB).code)
	require.Equal(t, full, r.refusals())
	require.NoError(t, os.Rename(r.cfg.Quarantine.RefusedPath(), filepath.Join(t.TempDir(), "away")))
	require.Equal(t, http.StatusOK, r.post(header+rowB).code)
	require.Len(t, r.refusals(), 1)
}

// A sender that missed the answer and sends the body again makes no duplicate.
func TestReplay(t *testing.T) {
	r := newRig(t).start()
	body := header + rowD + rowBad + rowB
	r.accepted(r.post(body), 2)
	for _, again := range []string{body, packed(t, body)} {
		resp := r.post(again)
		r.accepted(resp, 2)
		require.True(t, resp.Replay)
	}
	require.Len(t, r.p.records(), 2)
	require.Len(t, r.quarantined(), 1)
	metadatatest.AssertEqualPmtaWebhookReplays(t, r.tel, []metricdata.DataPoint[int64]{{Value: 2}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	r.accepted(r.post(body+rowB), 3)
	require.Len(t, r.p.records(), 5, "another body is another one")
}

// However records are batched, each has the same UID; after a restart too.
func TestReplayInOtherBatches(t *testing.T) {
	const rowT = "t,2026-01-31 10:00:03+0000,s@example.com,y@example.net,smtp;421 4.7.0 later,vmta1\n"
	deliver := func(bodies ...string) map[string]string {
		r := newRig(t)
		r.cfg.Instance = "mta1"
		r.start()
		for _, b := range bodies {
			require.Equal(t, http.StatusOK, r.post(b).code)
		}
		types := map[string]string{}
		for _, lr := range r.p.records() {
			types[str(lr, "log.record.uid")] = str(lr, "pmta.record.type")
		}
		return types
	}
	want := deliver(header + rowD + rowB + rowT + rowD)
	require.Len(t, want, 4)
	require.Equal(t, want, deliver(header+rowD+rowB+rowT+rowD))
	require.Equal(t, want, deliver(header+rowB, header+rowD+rowD, header+rowT))
	require.Equal(t, want, deliver(header+rowT+rowBad+rowD+rowD+rowB))
	require.Equal(t, want, deliver("\ufeff"+strings.ReplaceAll(header+rowD+rowB+rowT+rowD, "\n", "\r\n")))
	one := deliver(header+rowD, header+rowB, header+rowT, header+rowD+"\n")
	require.Len(t, one, 3, "equal records of two bodies are one: the limit that README states")

	const a, b = `{"type":"d","timeLogged":"1769853600","rcpt":"a@example.net"}`, `{"type":"b","timeLogged":"1769853601"}`
	want = deliver("[" + a + "," + b + "]")
	require.Len(t, want, 2)
	require.Equal(t, want, deliver(b+"\n"+a))
	require.Equal(t, want, deliver(a, b))
}

// The sender gives up before the pipeline has answered and sends again: the
// records are in the pipeline once, and it gets 200.
func TestImpatientSender(t *testing.T) {
	r := newRig(t)
	started, release := make(chan struct{}), make(chan struct{})
	r.p.answer = func(ctx context.Context, n int, _ plog.Logs) error {
		if n == 1 {
			close(started)
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.start()
	ctx, giveUp := context.WithCancel(context.Background())
	gone := make(chan int)
	go func() {
		rec := httptest.NewRecorder()
		r.rcv.ServeHTTP(rec, r.request(http.MethodPost, r.url(), header+rowD+rowB).WithContext(ctx))
		gone <- rec.Code
	}()
	<-started
	giveUp()

	codes := make(chan response, 3)
	for range 3 {
		go func() { codes <- r.post(header + rowD + rowB) }()
	}
	await(t, "the others to wait", func() bool { return len(r.rcv.slots) == 4 })
	close(release)
	for range 3 {
		resp := <-codes
		r.accepted(resp, 2)
		require.True(t, resp.Replay)
	}
	require.Equal(t, http.StatusOK, <-gone)
	require.Equal(t, 1, r.p.calls)
	require.Len(t, r.p.records(), 2)
}

// Many senders at a time, some bodies twice: each record arrives once, and
// those that find no place are told to come again.
func TestConcurrency(t *testing.T) {
	r := newRig(t)
	r.cfg.MaxConcurrentRequests = 4
	r.cfg.BatchSize = 4 << 10
	busy := 0
	r.p.answer = func(_ context.Context, n int, _ plog.Logs) error {
		if n%13 == 0 {
			return errors.New("busy")
		}
		return nil
	}
	r.start()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for sender := range 40 {
		wg.Go(func() {
			var body strings.Builder
			body.WriteString(header)
			for i := range 100 {
				fmt.Fprintf(&body, "d,2026-01-31 10:00:00+0000,s@example.com,r%d-%d@example.net,,\n", sender/2, i)
			}
			for {
				resp, err := http.Post(r.url(), "text/csv", strings.NewReader(body.String()))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return
				}
				if resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("got %d", resp.StatusCode)
					return
				}
				mu.Lock()
				busy++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NotZero(t, busy)
	uids := map[string]bool{}
	for _, uid := range r.p.values("log.record.uid") {
		uids[uid] = true
	}
	require.Len(t, uids, 2000)
	require.Empty(t, r.rcv.slots)
}

func TestTooManyRequests(t *testing.T) {
	r := newRig(t)
	r.cfg.MaxConcurrentRequests = 1
	started, release := make(chan struct{}), make(chan struct{})
	r.p.answer = func(context.Context, int, plog.Logs) error { close(started); <-release; return nil }
	r.start()
	first := make(chan response)
	go func() { first <- r.post(header + rowD) }()
	<-started
	resp := r.post(header + rowB)
	require.Equal(t, http.StatusServiceUnavailable, resp.code)
	require.Equal(t, "5", resp.header.Get("Retry-After"))
	close(release)
	r.accepted(<-first, 1)
}

// dial opens a connection and sends text as it is.
func (r *rig) dial(text string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.rcv.address.String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(r.t, err)
	return conn
}

func (r *rig) answerOn(conn net.Conn) response {
	r.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(r.t, err)
	return r.read(resp)
}

const slowHead = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"

// A body that does not come, or a byte at a time, ends at read_timeout.
func TestSlowBody(t *testing.T) {
	for name, send := range map[string]func(net.Conn){
		"nothing more": func(net.Conn) {},
		"byte by byte": func(c net.Conn) {
			for err := error(nil); err == nil; {
				_, err = c.Write([]byte("x"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.cfg.HTTP.ReadTimeout = 50 * time.Millisecond
			r.start()
			conn := r.dial(slowHead + header)
			var wg sync.WaitGroup
			wg.Go(func() { send(conn) })
			resp := r.answerOn(conn)
			require.Equal(t, http.StatusRequestTimeout, resp.code)
			require.True(t, resp.close)
			await(t, "its place to be free", func() bool { return len(r.rcv.slots) == 0 })
			_ = conn.Close()
			wg.Wait()
			require.Zero(t, r.p.calls)
			require.Empty(t, r.quarantined())
		})
	}
}

// Connections that say nothing are closed, and others get their turn.
func TestSilentConnections(t *testing.T) {
	r := newRig(t)
	r.cfg.HTTP.ReadHeaderTimeout = 50 * time.Millisecond
	r.cfg.MaxConnections = 2
	r.start()
	silent := []net.Conn{r.dial(""), r.dial("POST / HTTP/1.1\r\nHost: x\r\nX: ")}
	r.accepted(r.post(header+rowD), 1)
	for _, c := range silent {
		_, err := io.Copy(io.Discard, c)
		require.True(t, err == nil || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "reset"), err)
	}
}

func TestMaxConnections(t *testing.T) {
	r := newRig(t)
	r.cfg.MaxConnections = 2
	rcv, err := newReceiver(receivertest.NewNopSettings(metadata.Type), r.cfg, r.p)
	require.NoError(t, err)
	l, err := rcv.listen(context.Background())
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 3)
	go func() {
		for range 3 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
	}
	first := <-accepted
	<-accepted
	select {
	case <-accepted:
		t.Fatal("a third connection")
	case <-time.After(50 * time.Millisecond): // cannot fail by being too short
	}
	require.NoError(t, first.Close())
	<-accepted
}

// A sender that goes away in the middle of its body has delivered nothing.
func TestBrokenOffBody(t *testing.T) {
	r := newRig(t).start()
	conn := r.dial(slowHead + header + rowD)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	require.Equal(t, http.StatusBadRequest, r.answerOn(conn).code)
	conn = r.dial("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	require.Equal(t, http.StatusBadRequest, r.answerOn(conn).code)
	require.Zero(t, r.p.calls)
	require.Empty(t, r.quarantined(), "the sender has it still")
}

func TestHugeHeader(t *testing.T) {
	r := newRig(t).start()
	conn := r.dial("POST / HTTP/1.1\r\nHost: x\r\n")
	go func() {
		line := []byte("X: " + strings.Repeat("x", 1000) + "\r\n")
		for err := error(nil); err == nil; {
			_, err = conn.Write(line)
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil { // else the server has reset the connection before that was read
		_ = resp.Body.Close()
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
	}
	require.Zero(t, r.p.calls)
}

// At shutdown a body that is still coming is not waited for.
func TestShutdownWhileReading(t *testing.T) {
	r := newRig(t).start()
	conn := r.dial(slowHead + header)
	await(t, "the request", func() bool { return len(r.rcv.slots) == 1 })
	require.NoError(t, r.rcv.Shutdown(context.Background()))
	resp := r.answerOn(conn)
	require.Equal(t, http.StatusServiceUnavailable, resp.code)
	require.Equal(t, "5", resp.header.Get("Retry-After"))
	require.True(t, resp.close)
}

// What the pipeline accepts during a shutdown is answered with 200.
func TestShutdownWaitsForThePipeline(t *testing.T) {
	r := newRig(t)
	started, release := make(chan struct{}), make(chan struct{})
	r.p.answer = func(context.Context, int, plog.Logs) error { close(started); <-release; return nil }
	r.start()
	answers := make(chan response)
	go func() { answers <- r.post(header + rowD) }()
	<-started
	done := make(chan error)
	go func() { done <- r.rcv.Shutdown(context.Background()) }()
	<-r.rcv.stopping.Done()
	// Others are sent away.
	rec := httptest.NewRecorder()
	r.rcv.ServeHTTP(rec, r.request(http.MethodPost, r.url(), header+rowB))
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.Equal(t, "5", rec.Header().Get("Retry-After"))
	close(release)
	r.accepted(<-answers, 1)
	require.NoError(t, <-done)
	_, err := net.Dial("tcp", r.rcv.address.String())
	require.Error(t, err)
}

// What it does not accept is answered with 503 before the agent ends.
func TestShutdownTakesRecordsBack(t *testing.T) {
	r := newRig(t)
	started := make(chan struct{})
	r.p.answer = func(ctx context.Context, _ int, _ plog.Logs) error { close(started); <-ctx.Done(); return ctx.Err() }
	r.start()
	answers := make(chan response)
	go func() { answers <- r.post(header + rowD + rowBad) }()
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no time left
	require.NoError(t, r.rcv.Shutdown(ctx))
	resp := <-answers
	require.Equal(t, http.StatusServiceUnavailable, resp.code)
	require.Equal(t, "5", resp.header.Get("Retry-After"))
	require.Empty(t, r.quarantined())
}

func TestNothingIsLeftBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.NetAddr.Endpoint = "localhost:0"
	cfg.Quarantine.Path = filepath.Join(t.TempDir(), "q.jsonl")
	rcv, err := NewFactory().CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), cfg, &pipeline{})
	require.NoError(t, err)
	require.NoError(t, rcv.Start(context.Background(), componenttest.NewNopHost()))
	client := http.Client{Transport: &http.Transport{}}
	resp, err := client.Post("http://"+rcv.(*webhookReceiver).address.String(), "", strings.NewReader(header+rowD))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, rcv.Shutdown(context.Background()))
	client.CloseIdleConnections()
}

func TestStartErrorsNameTheFix(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	start := func(change func(*Config)) error {
		cfg := createDefaultConfig().(*Config)
		cfg.HTTP.NetAddr.Endpoint = "localhost:0"
		cfg.Quarantine.Path = filepath.Join(t.TempDir(), "q.jsonl")
		change(cfg)
		rcv, err := NewFactory().CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), cfg, &pipeline{})
		require.NoError(t, err)
		err = rcv.Start(context.Background(), componenttest.NewNopHost())
		require.NoError(t, rcv.Shutdown(context.Background()))
		return err
	}
	require.ErrorContains(t, start(func(c *Config) { c.HTTP.NetAddr.Endpoint = taken.Addr().String() }), "endpoint: cannot listen on "+taken.Addr().String())
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	require.ErrorContains(t, start(func(c *Config) { c.Quarantine.Path = filepath.Join(plain, "q.jsonl") }), "quarantine::path: cannot write")
	_, err = NewFactory().CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), &Config{Timezone: "Nowhere"}, &pipeline{})
	require.ErrorContains(t, err, "timezone")
}

func TestAnswerText(t *testing.T) {
	r := newRig(t).start()
	var bodies [][]byte
	for range 2 {
		resp, err := http.Post(r.url(), "", bytes.NewReader([]byte(header+rowD)))
		require.NoError(t, err)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		bodies = append(bodies, data)
	}
	require.Equal(t, `{"accepted":1}`+"\n", string(bodies[0]))
	require.Equal(t, `{"accepted":1,"replay":true}`+"\n", string(bodies[1]))
}
