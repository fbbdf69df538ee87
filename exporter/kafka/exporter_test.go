package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-pmta/otelcol-pmta/exporter/kafka/internal/metadata"
	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
)

// records returns n records over some resources, scopes and recipient
// domains, each with its number as uid.
func records(n int) plog.Logs {
	ld := plog.NewLogs()
	for i := range n {
		if i%40 == 0 {
			rl := ld.ResourceLogs().AppendEmpty()
			rl.Resource().Attributes().PutStr("service.name", "pmta")
			rl.Resource().Attributes().PutStr("host.name", fmt.Sprintf("mta%d", i/40%2))
		}
		rl := ld.ResourceLogs().At(ld.ResourceLogs().Len() - 1)
		if i%20 == 0 {
			rl.ScopeLogs().AppendEmpty().Scope().SetName("pmta")
		}
		lr := rl.ScopeLogs().At(rl.ScopeLogs().Len() - 1).LogRecords().AppendEmpty()
		lr.SetTimestamp(1_700_000_000_000_000_000)
		lr.SetEventName("pmta.delivery")
		lr.Attributes().PutStr("log.record.uid", fmt.Sprintf("%06d", i))
		lr.Attributes().PutStr("log.file.name", "acct.csv")
		lr.Attributes().PutInt("log.file.offset", int64(i*100))
		if i%10 != 9 {
			lr.Attributes().PutStr("pmta.rcpt.domain", fmt.Sprintf("domain%d.example", i%7))
		}
		lr.Attributes().PutStr("pmta.dsn.diag", strings.Repeat("x", 100))
	}
	return ld
}

func uidOf(lr plog.LogRecord) string {
	v, _ := lr.Attributes().Get("log.record.uid")
	return v.Str()
}

func uids(ld plog.Logs) (out []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				out = append(out, uidOf(lr))
			}
		}
	}
	return out
}

type world struct {
	*testing.T
	cluster *kfake.Cluster
	cfg     *Config
	exp     exporter.Logs
	tel     *componenttest.Telemetry
}

// start starts the exporter against a cluster. yaml is its configuration but
// for the brokers and the dead letter file.
func start(t *testing.T, c *kfake.Cluster, yaml string) *world {
	t.Helper()
	cfg, err := load(t, yaml)
	require.NoError(t, err)
	cfg.Brokers = c.ListenAddrs()
	cfg.DeadLetter.Path = filepath.Join(t.TempDir(), "dead.jsonl")
	tel := componenttest.NewTelemetry()
	set := exportertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	exp, err := NewFactory().CreateLogs(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, exp.Start(t.Context(), componenttest.NewNopHost()))
	w := &world{t, c, cfg, exp, tel}
	t.Cleanup(func() {
		require.NoError(t, exp.Shutdown(context.Background()))
		require.NoError(t, tel.Shutdown(context.Background()))
	})
	return w
}

func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func (w *world) consume(ld plog.Logs) error {
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	return w.exp.ConsumeLogs(ctx, ld)
}

func (w *world) read(topic string) []*kgo.Record {
	w.Helper()
	want := int64(0)
	for _, p := range w.cluster.PartitionInfos(topic) {
		want += p.HighWatermark
	}
	if want == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	require.NoError(w, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for int64(len(out)) < want {
		f := cl.PollFetches(ctx)
		require.NoError(w, f.Err())
		out = append(out, f.Records()...)
	}
	return out
}

// readOTLP returns the uids in a topic of OTLP messages.
func (w *world) readOTLP(topic string) (out []string) {
	w.Helper()
	for _, r := range w.read(topic) {
		require.LessOrEqual(w, len(r.Value), int(w.cfg.Producer.MaxMessageBytes))
		var ld plog.Logs
		var err error
		if w.cfg.Logs.Encoding == encodingOTLPJSON {
			ld, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(r.Value)
		} else {
			ld, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(r.Value)
		}
		require.NoError(w, err)
		for _, rl := range ld.ResourceLogs().All() {
			require.Equal(w, 2, rl.Resource().Attributes().Len())
		}
		out = append(out, uids(ld)...)
	}
	sort.Strings(out)
	return out
}

func (w *world) letters() (out []quarantine.Entry) {
	w.Helper()
	data, err := os.ReadFile(w.cfg.DeadLetter.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(w, err)
	require.NoError(w, quarantine.Read(bytes.NewReader(data), func(e quarantine.Entry) error { out = append(out, e); return nil },
		func(line int, err error) { w.Fatalf("line %d: %v", line, err) }))
	return out
}

func TestJSONOneMessagePerRecord(t *testing.T) {
	for schema, uidKey := range map[string]string{"otel": "log.record.uid", "ecs": "event.id", "splunk_cim": ""} {
		t.Run(schema, func(t *testing.T) {
			w := start(t, fake(t, kfake.SeedTopics(3, "mail")), `
logs: {topic: mail, encoding: json, schema: `+schema+`}
headers_from_resource_attributes: [host.name, not.there]
record_headers: {env: test}
producer: {compression: zstd}
`)
			ld := records(200)
			require.NoError(t, w.consume(ld))
			recs := w.read("mail")
			require.Len(t, recs, 200)
			seen := map[string]bool{}
			partitionOf := map[string]int32{}
			for _, r := range recs {
				var doc map[string]any
				require.NoError(t, json.Unmarshal(r.Value, &doc), "%s", r.Value)
				if uidKey != "" {
					require.Contains(t, doc, uidKey)
					seen[fmt.Sprint(doc[uidKey])] = true
				} else {
					seen[string(r.Value)] = true
				}
				require.NotEmpty(t, r.Key)
				if p, ok := partitionOf[string(r.Key)]; ok {
					require.Equal(t, p, r.Partition, "a key stays with its partition")
				}
				partitionOf[string(r.Key)] = r.Partition
				require.Len(t, r.Headers, 2)
				require.Equal(t, "env", r.Headers[0].Key)
				require.Equal(t, "test", string(r.Headers[0].Value))
				require.Equal(t, "host.name", r.Headers[1].Key)
				require.Contains(t, string(r.Headers[1].Value), "mta")
				require.Less(t, time.Since(r.Timestamp), time.Hour, "send_time is the default")
			}
			require.Len(t, seen, 200)
			require.Contains(t, partitionOf, "domain3.example")
			require.Contains(t, partitionOf, "000009", "a record without the domain goes by its uid")
		})
	}
}

func TestEventTime(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json", "otlp_proto"} {
		w := start(t, fake(t, kfake.SeedTopics(1, "otlp_logs")), `{logs: {encoding: `+encoding+`}, producer: {message_timestamp: event_time}}`)
		require.NoError(t, w.consume(records(3)))
		require.EqualValues(t, 1_700_000_000_000, w.read("otlp_logs")[0].Timestamp.UnixMilli())
	}
}

func TestOTLP(t *testing.T) {
	for _, encoding := range []string{"otlp_json", "otlp_proto"} {
		t.Run(encoding, func(t *testing.T) {
			w := start(t, fake(t, kfake.SeedTopics(3, "otlp_logs")), `{logs: {encoding: `+encoding+`}}`)
			ld := records(200)
			require.NoError(t, w.consume(ld))
			require.Len(t, w.read("otlp_logs"), 1)
			require.Equal(t, uids(ld), w.readOTLP("otlp_logs"))
		})
		t.Run(encoding+"/split", func(t *testing.T) {
			w := start(t, fake(t, kfake.SeedTopics(3, "otlp_logs")), `{logs: {encoding: `+encoding+`}, producer: {max_message_bytes: 5000}}`)
			ld := records(200)
			require.NoError(t, w.consume(ld))
			require.Greater(t, len(w.read("otlp_logs")), 5)
			require.Equal(t, uids(ld), w.readOTLP("otlp_logs"))
			require.Empty(t, w.letters())
		})
		t.Run(encoding+"/by key", func(t *testing.T) {
			w := start(t, fake(t, kfake.SeedTopics(3, "otlp_logs")), `{logs: {encoding: `+encoding+`}, message_key_from_attributes: [pmta.rcpt.domain, host.name]}`)
			ld := records(200)
			require.NoError(t, w.consume(ld))
			keys := map[string]bool{}
			for _, r := range w.read("otlp_logs") {
				keys[string(r.Key)] = true
			}
			require.Contains(t, keys, "domain3.example|mta1")
			require.Contains(t, keys, "|mta0")
			require.Len(t, keys, 16)
			require.Equal(t, uids(ld), w.readOTLP("otlp_logs"))
		})
		t.Run(encoding+"/by resource", func(t *testing.T) {
			w := start(t, fake(t, kfake.SeedTopics(3, "otlp_logs")), `{logs: {encoding: `+encoding+`}, partition_logs_by_resource_attributes: true, headers_from_resource_attributes: [host.name]}`)
			ld := records(200)
			require.NoError(t, w.consume(ld))
			recs := w.read("otlp_logs")
			require.Len(t, recs, 2)
			require.NotEqual(t, string(recs[0].Key), string(recs[1].Key))
			require.Len(t, recs[0].Key, 16)
			require.Equal(t, uids(ld), w.readOTLP("otlp_logs"))
		})
	}
}

func TestTopicFromAttribute(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json"} {
		w := start(t, fake(t, kfake.NumBrokers(2), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(2)), `{logs: {topic: rest, encoding: `+encoding+`}, topic_from_attribute: t}`)
		ld := plog.NewLogs()
		lrs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for i, topic := range []string{"bounces", "", "not a topic", "bounces", "deliveries", ".."} {
			lr := lrs.AppendEmpty()
			lr.Attributes().PutStr("log.record.uid", fmt.Sprint(i))
			if topic != "" {
				lr.Attributes().PutStr("t", topic)
			}
		}
		require.NoError(t, w.consume(ld))
		for topic, want := range map[string]int{"bounces": 2, "deliveries": 1, "rest": 3} {
			if encoding == "json" {
				require.Len(t, w.read(topic), want, topic)
			} else {
				require.Len(t, w.read(topic), 1, topic)
			}
		}
	}
}

func TestTooLargeRecordDoesNotBlockTheRest(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json", "otlp_proto"} {
		for _, who := range []string{"us", "broker"} {
			t.Run(encoding+"/"+who, func(t *testing.T) {
				c := fake(t)
				yaml := `{logs: {encoding: ` + encoding + `}, producer: {max_message_bytes: 20000}}`
				limit := "1000000"
				if who == "broker" {
					yaml, limit = `{logs: {encoding: `+encoding+`}}`, "20000"
				}
				require.NoError(t, c.CreateTopic("otlp_logs", 2, map[string]string{"max.message.bytes": limit}))
				w := start(t, c, yaml)
				ld := records(200)
				big := ld.ResourceLogs().At(1).ScopeLogs().At(1).LogRecords().At(3) // number 63
				big.Attributes().PutStr("pmta.header.x", strings.Repeat("y", 30000))
				require.NoError(t, w.consume(ld))

				letters := w.letters()
				require.Len(t, letters, 1)
				require.Equal(t, "message_too_large", letters[0].Reason)
				require.Equal(t, "acct.csv", letters[0].File)
				require.EqualValues(t, 6300, letters[0].Offset)
				raw, err := letters[0].Bytes()
				require.NoError(t, err)
				back, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(raw)
				require.NoError(t, err)
				require.Equal(t, []string{"000063"}, uids(back))

				want := uids(ld)
				want = append(want[:63:63], want[64:]...)
				if encoding == "json" {
					require.Len(t, w.read("otlp_logs"), 199)
				} else {
					require.Equal(t, want, w.readOTLP("otlp_logs"))
				}
				m, err := w.tel.GetMetric("otelcol_kafka_dead_letters")
				require.NoError(t, err)
				require.NotNil(t, m.Data)
			})
		}
	}
}

// refusing makes a broker refuse messages as Kafka's LogValidator does.
func refusing(t *testing.T, c *kfake.Cluster, code *kerr.Error, text string, when func(kmsg.Record, int64) bool) {
	t.Helper()
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := req.(*kmsg.ProduceRequest)
		res := req.ResponseKind().(*kmsg.ProduceResponse)
		bad := false
		for _, rt := range r.Topics {
			st := kmsg.NewProduceResponseTopic()
			st.Topic = rt.Topic
			for _, rp := range rt.Partitions {
				sp := kmsg.NewProduceResponseTopicPartition()
				sp.Partition = rp.Partition
				var rb kmsg.RecordBatch
				if err := rb.ReadFrom(rp.Records); err != nil {
					t.Error(err)
				}
				recs, err := kfake.BatchRecords(rb)
				if err != nil {
					t.Error(err)
				}
				for i, rec := range recs {
					if when(rec, rb.FirstTimestamp+rec.TimestampDelta64) {
						e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
						e.RelativeOffset, e.ErrorMessage = int32(i), &text
						sp.ErrorRecords = append(sp.ErrorRecords, e)
						sp.ErrorCode, bad = code.Code, true
					}
				}
				st.Partitions = append(st.Partitions, sp)
			}
			res.Topics = append(res.Topics, st)
		}
		return res, nil, bad
	})
}

// A topic that wants keys where none are configured, or a clock that is wrong,
// must not send the whole stream to the dead letters.
func TestWhatIsNotTheRecordsFaultWaits(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json", "otlp_proto"} {
		for _, n := range []int{1, 50} {
			t.Run(fmt.Sprintf("%s/%d/compacted", encoding, n), func(t *testing.T) {
				c := fake(t, kfake.SeedTopics(1, "otlp_logs"))
				refusing(t, c, kerr.InvalidRecord, "Compacted topic cannot accept message without key in topic partition otlp_logs-0.",
					func(r kmsg.Record, _ int64) bool { return r.Key == nil })
				w := start(t, c, `{logs: {encoding: `+encoding+`}, message_key_from_attributes: [], retry_on_failure: {enabled: false}}`)
				err := w.consume(records(n))
				require.ErrorContains(t, err, "set message_key_from_attributes")
				require.False(t, consumererror.IsPermanent(err))
				require.Empty(t, w.letters())
			})
			t.Run(fmt.Sprintf("%s/%d/clock", encoding, n), func(t *testing.T) {
				c := fake(t, kfake.SeedTopics(1, "otlp_logs"))
				refusing(t, c, kerr.InvalidTimestamp, "Timestamp is out of range", func(kmsg.Record, int64) bool { return true })
				w := start(t, c, `{logs: {encoding: `+encoding+`}, retry_on_failure: {enabled: false}}`)
				require.ErrorContains(t, w.consume(records(n)), "check this host's clock")
				require.Empty(t, w.letters())
			})
		}
	}
	// With keys configured, the record that has none is at fault.
	c := fake(t, kfake.SeedTopics(1, "otlp_logs"))
	refusing(t, c, kerr.InvalidRecord, "Compacted topic cannot accept message without key", func(r kmsg.Record, _ int64) bool { return r.Key == nil })
	w := start(t, c, `{logs: {encoding: json}, message_key_from_attributes: [not.there], retry_on_failure: {enabled: false}}`)
	require.NoError(t, w.consume(records(1)))
	require.Len(t, w.letters(), 1)
	require.Equal(t, "invalid_record", w.letters()[0].Reason)
}

// Of an OTLP request with a record whose time the broker refuses, only that
// record is a dead letter.
func TestTimeThatIsRefusedIsOneRecords(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json", "otlp_proto"} {
		t.Run(encoding, func(t *testing.T) {
			c := fake(t, kfake.SeedTopics(1, "otlp_logs"))
			refusing(t, c, kerr.InvalidTimestamp, "Timestamp is out of range", func(_ kmsg.Record, ms int64) bool { return ms > 3_000_000_000_000 })
			w := start(t, c, `{logs: {encoding: `+encoding+`}, producer: {message_timestamp: event_time}, retry_on_failure: {enabled: false}}`)
			ld := records(50)
			ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(4_000_000_000_000_000_000)
			require.NoError(t, w.consume(ld))
			letters := w.letters()
			require.Len(t, letters, 1)
			require.Equal(t, "invalid_timestamp", letters[0].Reason)
			if encoding != "json" {
				require.Len(t, w.readOTLP("otlp_logs"), 49)
			} else {
				require.Len(t, w.read("otlp_logs"), 49)
			}
		})
	}
}

func TestDeadLetterFileCannotBeWritten(t *testing.T) {
	w := start(t, fake(t, kfake.SeedTopics(1, "otlp_logs")), `{logs: {encoding: json}, producer: {max_message_bytes: 5000}, retry_on_failure: {enabled: false}}`)
	require.NoError(t, os.RemoveAll(filepath.Dir(w.cfg.DeadLetter.Path)))
	ld := records(10)
	ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(4).Attributes().PutStr("x", strings.Repeat("y", 6000))
	err := w.consume(ld)
	var left consumererror.Logs
	require.ErrorAs(t, err, &left, "nothing is dropped")
	require.Equal(t, []string{"000004"}, uids(left.Data()))
	require.False(t, consumererror.IsPermanent(err))
	require.Len(t, w.read("otlp_logs"), 9)
}

// After a partial failure the caller gets exactly what was not acknowledged.
// When the dead letter files are full, none is deleted: the record comes back.
func TestDeadLettersAreKept(t *testing.T) {
	w := start(t, fake(t, kfake.SeedTopics(1, "otlp_logs")), `{logs: {encoding: json}, producer: {max_message_bytes: 5000}, retry_on_failure: {enabled: false}, dead_letter: {max_size: 8KiB, max_files: 2}}`)
	big := func() error {
		ld := records(1)
		ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("x", strings.Repeat("y", 6000))
		return w.consume(ld)
	}
	require.NoError(t, big())
	require.NoError(t, big())
	err := big()
	require.ErrorIs(t, err, quarantine.ErrFull)
	require.ErrorContains(t, err, w.cfg.DeadLetter.Path)
	require.False(t, consumererror.IsPermanent(err))
	// Moved away, it goes on.
	require.NoError(t, os.Rename(w.cfg.DeadLetter.Path+".1", w.cfg.DeadLetter.Path+".seen"))
	require.NoError(t, big())
}

func TestPartialFailure(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json", "otlp_proto"} {
		t.Run(encoding, func(t *testing.T) {
			c := fake(t, kfake.NumBrokers(2), kfake.SeedTopics(4, "otlp_logs"))
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "otlp_logs", Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
			w := start(t, c, `{logs: {encoding: `+encoding+`}, message_key_from_attributes: [pmta.rcpt.domain], timeout: 200ms, retry_on_failure: {enabled: false}}`)
			ld := records(200)
			err := w.consume(ld)
			var left consumererror.Logs
			require.ErrorAs(t, err, &left)
			require.False(t, consumererror.IsPermanent(err))
			n := left.Data().LogRecordCount()
			require.Positive(t, n)
			require.Less(t, n, 200)
			f.Remove()
			require.NoError(t, w.consume(left.Data()))
			if encoding == "json" {
				require.Len(t, w.read("otlp_logs"), 200, "none twice, none lost")
			} else {
				require.Equal(t, uids(ld), w.readOTLP("otlp_logs"))
			}
		})
	}
}

// With the defaults the exporter tries for ever, and ConsumeLogs returns only
// when everything is there.
func TestAcceptedMeansDelivered(t *testing.T) {
	c := fake(t, kfake.NumBrokers(2), kfake.SeedTopics(4, "otlp_logs"))
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "otlp_logs", Partitions: []int32{1, 2}, Err: kerr.NotEnoughReplicas, Count: -1})
	w := start(t, c, `{logs: {encoding: json}, timeout: 50ms, retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}}`)
	done := make(chan error, 1)
	go func() { done <- w.consume(records(200)) }()
	require.NoError(t, f.Wait(t.Context(), 10))
	select {
	case err := <-done:
		t.Fatalf("returned before delivery: %v", err)
	default:
	}
	f.Remove()
	require.NoError(t, <-done)
	require.Len(t, w.read("otlp_logs"), 200)
	m, err := w.tel.GetMetric("otelcol_kafka_messages_acknowledged")
	require.NoError(t, err)
	require.NotNil(t, m.Data)
}

func TestLinger(t *testing.T) {
	c := fake(t, kfake.SeedTopics(1, "otlp_logs"))
	w := start(t, c, `{logs: {encoding: otlp_proto}, producer: {linger: 1h, flush_max_messages: 30}}`)
	done := make(chan error, 3)
	for range 3 {
		go func() { done <- w.consume(records(10)) }()
	}
	for range 3 {
		require.NoError(t, <-done)
	}
	require.Len(t, w.read("otlp_logs"), 1, "three requests in one message")
}

func TestEmptyRequest(t *testing.T) {
	for _, encoding := range []string{"json", "otlp_json", "otlp_proto"} {
		w := start(t, fake(t, kfake.SeedTopics(1, "otlp_logs")), `logs: {encoding: `+encoding+`}`)
		require.NoError(t, w.consume(plog.NewLogs()))
		require.Empty(t, w.read("otlp_logs"))
	}
}

func TestStartSaysWhyTheDeadLetterFileWillNotDo(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cfg.DeadLetter.Path = filepath.Join(file, "dead.jsonl")
	exp, err := NewFactory().CreateLogs(t.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, exp.Start(t.Context(), componenttest.NewNopHost()), "dead_letter::path")
	require.NoError(t, exp.Shutdown(t.Context()))
}
