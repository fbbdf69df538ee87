package esbulk

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estest"
)

func TestBatchBytes(t *testing.T) {
	var b Batch
	b.End(append(b.Begin("logs-a-b", "1"), `{"@timestamp":1}`...))
	b.End(append(b.Begin("logs-a-b", ""), `{"@timestamp":2}`...))
	b.End(append(b.Begin("logs-c-d", "x\"\\\n\xff"), `{"@timestamp":3}`...))
	require.Equal(t, `{"create":{"_index":"logs-a-b","_id":"1"}}
{"@timestamp":1}
{"create":{"_index":"logs-a-b"}}
{"@timestamp":2}
{"create":{"_index":"logs-c-d","_id":"x\"\\\n`+"\ufffd"+`"}}
{"@timestamp":3}
`, string(b.buf))
	require.Equal(t, len(b.buf), b.Size())
	require.Equal(t, 3, b.Len())
	require.Equal(t, `{"create":{"_index":"logs-a-b"}}`, string(b.Action(1)))
	require.Equal(t, `{"@timestamp":3}`, string(b.Document(2)))

	b.Reset()
	require.Zero(t, b.Len())
	require.Zero(t, b.Size())
	b.End(append(b.Begin("logs-a-b", strings.Repeat("x", 513)), `{"@timestamp":1}`...))
	docs, err := estest.ParseBulk(b.buf)
	require.NoError(t, err)
	require.Len(t, docs[0].ID, 64, "an id that is too long becomes a hash")
}

// The fast path must agree with the JSON parser about every answer.
func FuzzParseItems(f *testing.F) {
	f.Add([]byte(`{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}`), 2)
	f.Add([]byte(`{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}}]}`), 2)
	f.Add([]byte(`{"errors":false,"items":[]}`), 0)
	f.Add([]byte(`{"errors":false,"items":[{"create":{"status":200,"failure_store":"used"}}]}`), 1)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		if n < 1 || n > 100 || !allCreated(body, n) {
			return
		}
		var r struct {
			Items []map[string]item
		}
		require.NoError(t, json.Unmarshal(body, &r))
		require.Len(t, r.Items, n)
		for _, it := range r.Items {
			require.Equal(t, 201, it["create"].Status)
		}
	})
}

func TestParseItems(t *testing.T) {
	items, err := parseItems([]byte(`{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}`), 2)
	require.NoError(t, err)
	require.Nil(t, items)

	_, err = parseItems([]byte(`{"errors":false,"items":[{"create":{"result":"created"}}]}`), 1)
	require.ErrorContains(t, err, "an item is without status")

	items, err = parseItems([]byte(`{"errors":true,"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"failed to parse","caused_by":{"type":"illegal_argument_exception","reason":"'x' is not an IP string literal."}}}}]}`), 2)
	require.NoError(t, err)
	require.Equal(t, stored, judge(items[0]))
	require.Equal(t, rejected, judge(items[1]))
	require.Equal(t, "failed to parse: 'x' is not an IP string literal.", items[1].Error.reason())
}
