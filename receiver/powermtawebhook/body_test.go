package powermtawebhook

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/webhook"
	"github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook/internal/metadata"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// bodies returns the golden bodies by folder.
func bodies(t testing.TB) map[string]string {
	t.Helper()
	names, err := filepath.Glob("testdata/bodies/*/body.*")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	m := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		m[filepath.Dir(name)] = string(b)
	}
	return m
}

// What comes of each form of a body: the answer, the records, the quarantine.
func TestGolden(t *testing.T) {
	for dir, body := range bodies(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r := newRig(t)
			r.cfg.Timezone = "UTC"
			r.cfg.Instance = "mta1"
			r.start()
			var got bytes.Buffer
			line := func(kind string, v any) {
				data, err := json.Marshal(map[string]any{kind: v})
				require.NoError(t, err)
				got.Write(append(data, '\n'))
			}
			resp := r.post(body)
			answer := map[string]any{"code": resp.code, "error": resp.Error, "accepted": resp.Accepted, "rejected": resp.Rejected}
			line("answer", answer)
			for _, lr := range r.p.records() {
				line("record", map[string]any{"event": lr.EventName(), "time": lr.Timestamp().AsTime(), "severity": lr.SeverityText(),
					"body": lr.Body().AsString(), "attributes": lr.Attributes().AsRaw()})
			}
			for _, e := range r.quarantined() {
				line("rejected", map[string]any{"reason": e.Reason, "detail": e.Detail, "offset": e.Offset, "raw": e.Raw, "raw_base64": e.RawBase64})
			}
			file := filepath.Join(dir, "expected.jsonl")
			if *update {
				require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
				return
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, strings.Split(string(want), "\n"), strings.Split(got.String(), "\n"))
		})
	}
}

// tally collects what the decoder makes of a text in one go.
type tally struct{ records, rejects int }

func (c *tally) Record(*acct.Record) { c.records++ }
func (c *tally) Reject(acct.Reject)  { c.rejects++ }

// Whatever is in a body, each record of it arrives once, each reject is
// counted, and the body sent again changes nothing.
func FuzzBody(f *testing.F) {
	for _, b := range bodies(f) {
		f.Add([]byte(b))
		f.Add([]byte(packed(f, b)))
	}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxBodySize, cfg.BatchSize, cfg.MaxRecordSize = 32<<10, 64, 1<<10
	cfg.Quarantine.Path, cfg.Quarantine.MaxSize, cfg.Quarantine.MaxFiles = filepath.Join(f.TempDir(), "q.jsonl"), 1<<20, 1
	p := &pipeline{}
	rcv, err := newReceiver(receivertest.NewNopSettings(metadata.Type), cfg, p)
	require.NoError(f, err)
	rcv.rejected, rcv.refused, err = cfg.Quarantine.Open()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		p.got, p.calls = nil, 0
		rcv.bodies = webhook.NewOnce[xxh3.Uint128, outcome](8)
		post := func() (int, response) {
			rec := httptest.NewRecorder()
			rcv.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
			var resp response
			if err := json.Unmarshal(rec.Body.Bytes(), &resp); err != nil {
				t.Fatal(err)
			}
			return rec.Code, resp
		}
		code, resp := post()
		if code == http.StatusRequestEntityTooLarge {
			if len(p.got) > 0 {
				t.Fatal("records of a body that is too large")
			}
			return
		}
		text, damaged := string(body), false
		if webhook.Gzipped(body) {
			out, err := webhook.Gunzip(body, int(cfg.MaxBodySize))
			text, damaged = string(out), err != nil
		}
		var want tally
		if damaged {
			want.rejects = 1
		} else {
			acct.NewDecoder(rcv.opts).Decode(text, true, &want)
		}
		if resp.Accepted == nil || *resp.Accepted != want.records || resp.Rejected != want.rejects {
			t.Fatalf("%d %+v, want %+v", code, resp, want)
		}
		if wantCode := map[bool]int{false: 200, true: 400}[want.records == 0 && want.rejects > 0]; code != wantCode {
			t.Fatalf("got %d", code)
		}
		uids := p.values("log.record.uid")
		if len(uids) != want.records {
			t.Fatalf("%d records in the pipeline", len(uids))
		}
		slices.Sort(uids)
		if len(slices.Compact(uids)) != want.records {
			t.Fatal("two records have one uid")
		}
		calls := p.calls
		if code, resp = post(); code != http.StatusOK || !resp.Replay || p.calls != calls {
			t.Fatalf("sent again: %d %+v", code, resp)
		}
	})
}

// BenchmarkRequest is a body of 5 MB, PowerMTA's default, from the request to
// the answer with a pipeline that takes everything. ns for each record.
func BenchmarkRequest(b *testing.B) {
	for _, form := range []string{"csv", "gzip", "json"} {
		b.Run(form, func(b *testing.B) {
			const records = 10_000
			var body strings.Builder
			cols := strings.Split("type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool", ",")
			if form != "json" {
				body.WriteString(strings.Join(cols, ",") + "\n")
			}
			for i := range records {
				n := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))
				row := []string{"d", "2026-01-31 10:00:00+0000", "2026-01-31 09:59:50+0000", "bounce-" + n + "@sender.example", "recipient." + n + "@example.net", "",
					"relayed", "2.0.0 (success)", "smtp;250 2.0.0 OK 1774735200 " + n + "-0f3b5d7a9c1e2d4f6a8b - accepted for delivery", "mx1.mail.example.net (203.0.113.7)", "",
					"smtp", "app1.int.sender.example (10.20.0.4)", "smtp", "198.51.100.20", "203.0.113.7", "ENHANCEDSTATUSCODES,8BITMIME,SIZE,STARTTLS,SMTPUTF8", "54321", "vmta01", "job-260101", "env-" + n,
					"example.net/vmta01", "pool-main"}
				if form == "json" {
					for k, v := range row {
						body.WriteString("{,"[min(k, 1):min(k, 1)+1] + `"` + cols[k] + `":"` + v + `"`)
					}
					body.WriteString("}\n")
					continue
				}
				row[16] = `"` + row[16] + `"`
				body.WriteString(strings.Join(row, ",") + "\n")
			}
			sent := body.String()
			if form == "gzip" {
				sent = packed(b, sent)
			}
			cfg := createDefaultConfig().(*Config)
			cfg.Quarantine.Path = filepath.Join(b.TempDir(), "q.jsonl")
			rcv, err := newReceiver(receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, rcv.serve(b.Context(), componenttest.NewNopHost(), nopListener{}))
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += records {
				rcv.bodies = webhook.NewOnce[xxh3.Uint128, outcome](1)
				rec := httptest.NewRecorder()
				rcv.server.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(sent)))
				if rec.Code != http.StatusOK {
					b.Fatal(rec.Body)
				}
			}
			b.StopTimer()
			require.NoError(b, rcv.Shutdown(b.Context()))
			b.ReportMetric(float64(body.Len())/records, "B/record")
		})
	}
}
