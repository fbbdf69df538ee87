package jsonline

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

func TestRecord(t *testing.T) {
	var w Writer
	rec := &acct.Record{Type: acct.TypeBounce, Time: 1549662821000000000, UID: [2]uint64{1, 2}, Attrs: []acct.Attr{
		{Key: "s", Str: "a \"b\" \\ \n\x01é"},
		{Key: "i", Num: -7, Kind: acct.KindInt},
		{Key: "d", Num: int64(math.Float64bits(1.5)), Kind: acct.KindDouble},
		{Key: "b", Num: 1, Kind: acct.KindBool},
		{Key: "l", Str: "X,Y", Kind: acct.KindStrings},
		{Key: "one", Str: "X", Kind: acct.KindStrings},
	}}
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.AppendRecord(nil, rec), &got))
	require.Equal(t, map[string]any{
		"timestamp": "2019-02-08T21:53:41Z", "event.name": "pmta.bounce", "severity_text": "ERROR",
		"log.record.uid": "00000000000000010000000000000002",
		"s":              "a \"b\" \\ \n\x01é", "i": -7.0, "d": 1.5, "b": true, "l": []any{"X", "Y"}, "one": []any{"X"},
	}, got)
}

func TestTimes(t *testing.T) {
	var w Writer
	for ns, want := range map[int64]string{
		0:                   "1970-01-01T00:00:00Z",
		-1:                  "1969-12-31T23:59:59.999999999Z",
		-1e9:                "1969-12-31T23:59:59Z",
		1549662821250000000: "2019-02-08T21:53:41.25Z",
	} {
		require.Equal(t, want, string(w.appendTime(nil, ns)))
		require.Equal(t, want, string(w.appendTime(nil, ns)), "from memory")
	}
}

func TestNumbersThatJSONLacks(t *testing.T) {
	require.Equal(t, "null", string(AppendFloat(nil, math.NaN())))
	require.Equal(t, "null", string(AppendFloat(nil, math.Inf(1))))
	require.Equal(t, "0.25", string(AppendFloat(nil, 0.25)))
}
