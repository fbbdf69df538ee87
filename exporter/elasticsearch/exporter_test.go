package elasticsearch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/elasticsearch/internal/metadatatest"
	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
	"github.com/otelcol-pmta/otelcol-pmta/internal/estest"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

func ids(docs []estest.Doc) (out []string) {
	for _, d := range docs {
		out = append(out, d.ID)
	}
	return out
}

// The whole default path: queue, gzip, several bulk requests per push, every
// record of a simulated mail server, replayed.
func TestEveryRecordOnceInEveryMode(t *testing.T) {
	for _, mode := range estemplate.Modes {
		t.Run(mode, func(t *testing.T) {
			s := estest.New(t)
			cfg := testConfig(t, s.URL)
			cfg.SendingQueue = createDefaultConfig().(*Config).SendingQueue
			cfg.Mapping.Mode = mode
			cfg.Flush.Bytes = 200 << 10
			e := start(t, cfg, nil)
			ld := simulated(t, 1500)
			require.NoError(t, e.ConsumeLogs(context.Background(), ld))
			docs := s.Docs()
			require.Equal(t, uids(ld), ids(docs))
			for _, size := range s.Sizes() {
				require.Less(t, size, 210<<10)
			}
			require.Greater(t, s.Bulks(), 3)
			require.Equal(t, s.Bulks(), s.Gzipped())
			for _, d := range docs {
				require.Equal(t, "logs-pmta.acct-default", d.Index)
				var doc map[string]any
				require.NoError(t, json.Unmarshal(d.Source, &doc))
				require.Equal(t, "logs", doc["data_stream.type"])
				require.Equal(t, "pmta.acct", doc["data_stream.dataset"])
				require.Equal(t, "default", doc["data_stream.namespace"])
			}
			require.NoError(t, e.ConsumeLogs(context.Background(), ld))
			require.Len(t, s.Docs(), len(docs), "a replay makes no second document")
			metadatatest.AssertEqualElasticsearchDocuments(t, e.telemetry, []metricdata.DataPoint[int64]{
				{Value: 1500, Attributes: attribute.NewSet(attribute.String("outcome", "created"))},
				{Value: 1500, Attributes: attribute.NewSet(attribute.String("outcome", "conflict"))},
			}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
		})
	}
}

func TestRouting(t *testing.T) {
	for _, mode := range estemplate.Modes {
		s := estest.New(t)
		cfg := testConfig(t, s.URL)
		cfg.Mapping.Mode = mode
		cfg.LogsDynamicID.Enabled = true
		e := start(t, cfg, nil)
		ld := plog.NewLogs()
		add := func(resource, scope, record map[string]any) {
			rl := ld.ResourceLogs().AppendEmpty()
			sl := rl.ScopeLogs().AppendEmpty()
			lr := sl.LogRecords().AppendEmpty()
			lr.SetTimestamp(1)
			require.NoError(t, rl.Resource().Attributes().FromRaw(resource))
			require.NoError(t, sl.Scope().Attributes().FromRaw(scope))
			require.NoError(t, lr.Attributes().FromRaw(record))
		}
		type m = map[string]any
		add(nil, nil, nil)
		add(m{attrDataset: "pmta.bounce"}, nil, m{semconv.LogRecordUID: "u1"})
		add(m{attrDataset: "pmta.bounce", attrNamespace: "acme"}, m{attrDataset: "pmta.scope"}, nil)
		add(m{attrDataset: "pmta.bounce"}, m{attrDataset: "pmta.scope"}, m{attrDataset: "pmta.rec", attrNamespace: "ns"})
		for _, stream := range []any{"acct", "bounce", "diag", "panic", "whatever", "", int64(7)} {
			add(nil, nil, m{semconv.PMTAStream: stream})
		}
		add(m{attrNamespace: "acme"}, nil, m{semconv.PMTAStream: "diag"})
		add(nil, nil, m{semconv.PMTAStream: "panic", attrNamespace: "ns"})
		add(m{attrDataset: "pmta.mine"}, nil, m{semconv.PMTAStream: "diag"})
		add(nil, nil, m{semconv.PMTAStream: "diag", attrDataset: "pmta.rec"})
		add(m{attrDataset: "PMTA Acct-X/#é", attrType: "metrics"}, nil, m{attrDocumentID: "own", semconv.LogRecordUID: "u2"})
		add(m{attrNamespace: "Acme-1"}, nil, m{attrType: "metrics", semconv.PMTAStream: "acct"})
		add(m{attrNamespace: ""}, nil, m{attrDataset: int64(7)})
		require.NoError(t, e.ConsumeLogs(context.Background(), ld))
		var got []string
		for _, d := range s.Docs() {
			got = append(got, d.Index+" "+d.ID)
			var doc map[string]any
			require.NoError(t, json.Unmarshal(d.Source, &doc))
			require.Equal(t, d.Index, fmt.Sprintf("%v-%v-%v", doc[attrType], doc[attrDataset], doc[attrNamespace]), mode)
			if stream, ok := doc["pmta.stream"].(string); ok && mode == estemplate.ModeECS && stream != "" {
				require.Equal(t, "pmta."+stream, doc["event.dataset"])
			}
		}
		require.Equal(t, []string{
			"logs-pmta.acct-default ",
			"logs-pmta.bounce-default u1",
			"logs-pmta.scope-acme ",
			"logs-pmta.rec-ns ",
			"logs-pmta.acct-default ",
			"logs-pmta.bounce-default ",
			"logs-pmta.diag-default ",
			"logs-pmta.panic-default ",
			"logs-pmta.acct-default ",
			"logs-pmta.acct-default ",
			"logs-pmta.acct-default ",
			"logs-pmta.diag-acme ",
			"logs-pmta.panic-ns ",
			"logs-pmta.mine-default ",
			"logs-pmta.rec-default ",
			"logs-pmta_acct_x__é-default own",
			"logs-pmta.acct-acme_1 ",
			"logs-7-default ",
		}, got, mode)
	}
}

// A dataset in the configuration is for all records.
func TestOneDataset(t *testing.T) {
	s := estest.New(t)
	cfg := testConfig(t, s.URL)
	cfg.DataStream.Dataset = "pmta.all"
	e := start(t, cfg, nil)
	ld := small(2)
	ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().PutStr(semconv.PMTAStream, semconv.StreamDiag)
	require.NoError(t, e.ConsumeLogs(context.Background(), ld))
	for _, d := range s.Docs() {
		require.Equal(t, "logs-pmta.all-default", d.Index)
	}
}

func TestFixedIndex(t *testing.T) {
	s := estest.New(t)
	cfg := testConfig(t, s.URL)
	cfg.LogsIndex = "mail"
	e := start(t, cfg, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), small(1)))
	require.Equal(t, "mail", s.Docs()[0].Index)
	require.NotContains(t, string(s.Docs()[0].Source), "data_stream")
}

// What is left comes back alone, with its resource and scope, for
// exporterhelper to send again.
func TestPartialFailureComesBackAlone(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if d.ID == "uid-3" || d.ID == "uid-8" {
			return &estest.ItemFault{Status: 429, Type: "es_rejected_execution_exception", Reason: "queue full"}
		}
		return nil
	}
	e := start(t, testConfig(t, s.URL), nil)
	err := e.ConsumeLogs(context.Background(), small(10))
	require.ErrorContains(t, err, "429 es_rejected_execution_exception")
	require.False(t, consumererror.IsPermanent(err))
	var le consumererror.Logs
	require.ErrorAs(t, err, &le)
	require.Equal(t, []string{"uid-3", "uid-8"}, uids(le.Data()))
	require.Equal(t, 1, le.Data().ResourceLogs().Len())
	require.Equal(t, 1, le.Data().ResourceLogs().At(0).ScopeLogs().Len())
	name, _ := le.Data().ResourceLogs().At(0).Resource().Attributes().Get("service.name")
	require.Equal(t, "pmta", name.Str())
	require.Len(t, s.Docs(), 8)
}

// exporterhelper's retry gets every record there through a node that fails in
// every way it knows.
func TestRetryOnFailureDeliversEverything(t *testing.T) {
	s := estest.New(t)
	s.OnBulk = func(n int) estest.Fault {
		switch {
		case n < 3:
			return estest.Fault{ResetBefore: true}
		case n == 3:
			return estest.Fault{Reset: true} // all become conflicts
		case n == 4:
			return estest.Fault{Status: 401}
		case n == 6:
			return estest.Fault{Status: 503}
		}
		return estest.Fault{}
	}
	s.OnItem = func(d estest.Doc, attempt int) *estest.ItemFault {
		if strings.HasSuffix(d.ID, "7") && attempt < 4 {
			return &estest.ItemFault{Status: 429, Type: "es_rejected_execution_exception", Reason: "queue full"}
		}
		return nil
	}
	cfg := testConfig(t, s.URL)
	cfg.RetryOnFailure.Enabled = true
	cfg.RetryOnFailure.InitialInterval = time.Microsecond
	cfg.RetryOnFailure.MaxInterval = time.Millisecond
	cfg.Retry.MaxRetries = 1
	e := start(t, cfg, nil)
	want := uids(small(200))
	require.NoError(t, e.ConsumeLogs(context.Background(), small(200)))
	got := ids(s.Docs())
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(t, want, got)
	require.Empty(t, deadLetters(t, cfg))
}

func TestDeadLetter(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if d.ID == "uid-4" {
			return &estest.ItemFault{Status: 400, Type: "document_parsing_exception", Reason: "[1:2] failed to parse field [x] of type [ip]"}
		}
		return nil
	}
	cfg := testConfig(t, s.URL)
	e := start(t, cfg, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), small(10)), "a dead letter is delivered, as far as the pipeline is concerned")
	require.Len(t, s.Docs(), 9)
	letters := deadLetters(t, cfg)
	require.Len(t, letters, 1)
	l := letters[0]
	require.Equal(t, "/var/log/pmta/acct.csv", l.File)
	require.EqualValues(t, 400, l.Offset)
	require.Equal(t, "document_parsing_exception", l.Reason)
	require.Equal(t, "400 document_parsing_exception: [1:2] failed to parse field [x] of type [ip]", l.Detail)
	require.Equal(t, `{"create":{"_index":"logs-pmta.acct-default","_id":"uid-4"}}`, string(l.Context))

	// As the README says: action and document are a bulk request again.
	doc, err := l.Bytes()
	require.NoError(t, err)
	docs, err := estest.ParseBulk([]byte(string(l.Context) + "\n" + string(doc) + "\n"))
	require.NoError(t, err)
	require.Equal(t, "uid-4", docs[0].ID)
	metadatatest.AssertEqualElasticsearchDeadLetters(t, e.telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", "document_parsing_exception"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

// When the dead letter files are full, none is deleted: the documents come back.
func TestDeadLettersAreKept(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(estest.Doc, int) *estest.ItemFault {
		return &estest.ItemFault{Status: 400, Type: "document_parsing_exception", Reason: "all of them"}
	}
	cfg := testConfig(t, s.URL)
	cfg.DeadLetter.MaxSize, cfg.DeadLetter.MaxFiles = 1<<10, 2
	e := start(t, cfg, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), small(10)))
	require.NoError(t, e.ConsumeLogs(context.Background(), small(10)))
	err := e.ConsumeLogs(context.Background(), small(10))
	require.ErrorIs(t, err, quarantine.ErrFull)
	require.ErrorContains(t, err, cfg.DeadLetter.Path)
	require.False(t, consumererror.IsPermanent(err))
	require.NoError(t, os.Rename(cfg.DeadLetter.Path+".1", cfg.DeadLetter.Path+".seen"))
	require.NoError(t, e.ConsumeLogs(context.Background(), small(10)))
}

func TestTooLargeDocumentIsADeadLetter(t *testing.T) {
	s := estest.New(t)
	s.OnBulk = func(int) estest.Fault { return estest.Fault{MaxBody: 2000} }
	cfg := testConfig(t, s.URL)
	e := start(t, cfg, nil)
	ld := small(20)
	record(ld, ref{0, 0, 11}).Body().SetStr(strings.Repeat("x", 5000))
	require.NoError(t, e.ConsumeLogs(context.Background(), ld))
	require.Len(t, s.Docs(), 19)
	letters := deadLetters(t, cfg)
	require.Len(t, letters, 1)
	require.Equal(t, "too_large", letters[0].Reason)
	require.EqualValues(t, 1100, letters[0].Offset)
}

// A node that is down: the rest of the batch is not even tried, all of it
// comes back.
// A document that has to wait, for a privilege say, does not hold up the
// requests behind its own.
func TestWaitingDocumentDoesNotHoldUpTheRest(t *testing.T) {
	s := estest.New(t)
	s.OnItem = func(d estest.Doc, _ int) *estest.ItemFault {
		if d.ID == "uid-0" {
			return &estest.ItemFault{Status: 403, Type: "security_exception", Reason: "unauthorized"}
		}
		return nil
	}
	cfg := testConfig(t, s.URL)
	cfg.Flush.Bytes = 16 << 10
	err := start(t, cfg, nil).ConsumeLogs(context.Background(), small(1000))
	var left consumererror.Logs
	require.ErrorAs(t, err, &left)
	require.Equal(t, []string{"uid-0"}, uids(left.Data()))
	require.Greater(t, s.Bulks(), 5)
	require.Len(t, s.Docs(), 999)
}

func TestDownNodeIsNotAskedForEveryRequest(t *testing.T) {
	s := estest.New(t)
	s.OnBulk = func(int) estest.Fault { return estest.Fault{ResetBefore: true} }
	cfg := testConfig(t, s.URL)
	cfg.Retry.Enabled = false
	cfg.Flush.Bytes = 16 << 10
	e := start(t, cfg, nil)
	ld := small(1000)
	err := e.ConsumeLogs(context.Background(), ld)
	require.Error(t, err)
	var le consumererror.Logs
	require.False(t, errors.As(err, &le), "everything is left, so nothing is copied")
	require.Equal(t, 1, s.Bulks())
}

// statusHost keeps what a component says of itself.
type statusHost struct {
	component.Host
	said []componentstatus.Status
}

func (h *statusHost) Report(e *componentstatus.Event) { h.said = append(h.said, e.Status()) }

func TestTemplatesComeBeforeDocuments(t *testing.T) {
	s := estest.New(t)
	var broken atomic.Bool
	broken.Store(true)
	s.OnAdmin = func(string, string) *estest.ItemFault {
		if broken.Load() {
			return &estest.ItemFault{Status: 403, Type: "security_exception", Reason: "action [cluster:admin/component_template/get] is unauthorized for user [pmta]"}
		}
		return nil
	}
	cfg := testConfig(t, s.URL)
	cfg.ManageTemplates = true
	host := &statusHost{Host: componenttest.NewNopHost()}
	e := start(t, cfg, host) // the agent starts all the same
	require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.said)
	err := e.ConsumeLogs(context.Background(), small(3))
	require.ErrorContains(t, err, "the user lacks the cluster privilege manage_index_templates")
	require.ErrorContains(t, err, "set manage_templates: false")
	require.False(t, consumererror.IsPermanent(err))
	require.Zero(t, s.Bulks())

	broken.Store(false)
	require.NoError(t, e.ConsumeLogs(context.Background(), small(3)))
	require.Len(t, s.Docs(), 3)
	require.Equal(t, []string{estemplate.PathSettings, estemplate.PathMappings(estemplate.ModeOTel), estemplate.PathIndexTemplate}, s.Puts())
	require.NoError(t, e.ConsumeLogs(context.Background(), small(3)))
	require.Len(t, s.Puts(), 3)
	require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.said)
}

func TestLogin(t *testing.T) {
	for want, set := range map[string]func(*Config){
		"APIKey aWQ6a2V5": func(c *Config) { c.APIKey = "aWQ6a2V5" },
		"Bearer tok":      func(c *Config) { c.BearerToken = "tok" },
		"Basic " + base64.StdEncoding.EncodeToString([]byte("elastic:pw")): func(c *Config) { c.User, c.Password = "elastic", "pw" },
	} {
		s := estest.New(t)
		s.Authorization = want
		cfg := testConfig(t, s.URL)
		set(cfg)
		require.NoError(t, start(t, cfg, nil).ConsumeLogs(context.Background(), small(1)), want)

		err := start(t, testConfig(t, s.URL), nil).ConsumeLogs(context.Background(), small(1))
		require.ErrorContains(t, err, "check user and password, api_key, or bearer_token")
	}
}

func TestSecretsStayOutOfTexts(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Password, cfg.APIKey, cfg.BearerToken = "hush-1", "hush-2", "hush-3"
	require.NotContains(t, fmt.Sprintf("%+v", *cfg), "hush")
	text, err := json.Marshal(struct{ A, B, C any }{cfg.Password, cfg.APIKey, cfg.BearerToken})
	require.NoError(t, err)
	require.NotContains(t, string(text), "hush")
}

func TestDeadLetterFolderThatCannotBeWritten(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.DeadLetter.Path = "/dev/null/x/dead.jsonl"
	e, err := newExporter(settings(t), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, e.start(context.Background(), componenttest.NewNopHost()), "dead_letter::path: cannot be written")
	require.NoError(t, e.shutdown(context.Background()))
}

// With merged batches, several callers wait for one bulk request.
func TestBatching(t *testing.T) {
	s := estest.New(t)
	cfg := testConfig(t, s.URL)
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.WaitForResult = true
	batch := exporterhelper.BatchConfig{FlushTimeout: time.Hour, Sizer: exporterhelper.RequestSizerTypeItems, MinSize: 20}
	queue.Batch = configoptional.Some(batch)
	cfg.SendingQueue = configoptional.Some(queue)
	e := start(t, cfg, nil)
	done := make(chan error)
	for i := range 2 {
		ld := small(10)
		for k, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			lr.Attributes().PutStr(semconv.LogRecordUID, fmt.Sprint(i, "-", k))
		}
		go func() { done <- e.ConsumeLogs(context.Background(), ld) }()
	}
	for range 2 {
		require.NoError(t, <-done)
	}
	require.Len(t, s.Docs(), 20)
	require.Equal(t, 1, s.Bulks())
}

func TestRecordsWithoutTimeOrUID(t *testing.T) {
	s := estest.New(t)
	e := start(t, testConfig(t, s.URL), nil)
	ld := plog.NewLogs()
	lr := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(time.Unix(5, 0)))
	require.NoError(t, e.ConsumeLogs(context.Background(), ld))
	require.NoError(t, e.ConsumeLogs(context.Background(), ld))
	require.Len(t, s.Docs(), 2, "without uid there is no telling a replay")
}
