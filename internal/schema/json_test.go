package schema

import (
	"math"
	"net/mail"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestAppendTime(t *testing.T) {
	r := NewRenderer(Options{})
	for _, ns := range []int64{0, -1, -1e9, 1, 1e9, 1549662821250000000, 1549662821250000001, math.MaxInt64, math.MinInt64} {
		want := time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		require.Equal(t, want, string(r.appendTime(nil, ns)))
		require.Equal(t, want, string(r.appendTime(nil, ns)), "from memory")
	}
}

func TestAppendEpoch(t *testing.T) {
	require.Equal(t, "1549662821.250", string(appendEpoch(nil, 1549662821250400000)))
	require.Equal(t, "1549662821.251", string(appendEpoch(nil, 1549662821250500300)), "as splunk_hec rounds")
	require.Equal(t, "0.001", string(appendEpoch(nil, 1e6)))
	require.Equal(t, "-1.500", string(appendEpoch(nil, -1.5e9)))
}

func FuzzMailDate(f *testing.F) {
	f.Add("Sat, 31 Jan 2026 10:00:12 +0000")
	f.Add("Sat, 1 Mar 2025 23:59:59 -1200")
	f.Add("Thu, 29 Feb 2024 00:00:00 +0530")
	f.Add("Wed, 29 Feb 2023 00:00:00 +0530")
	f.Add("Sat, 31 Jan 2026 10:00:12 GMT")
	f.Add("Sat, 31 JanXX26 10:00:12 +0000")
	f.Fuzz(func(t *testing.T, s string) {
		ns, ok := usualDate(s)
		if !ok {
			return
		}
		// What the short way takes, it takes as net/mail does.
		want, err := mail.ParseDate(s)
		if err != nil {
			// net/mail knows the names of the days and ranges of zones.
			want, err = mail.ParseDate(s[5:])
		}
		if err == nil {
			require.Equal(t, want.UnixNano(), ns)
		}
	})
}

func TestUsualDateOverYears(t *testing.T) {
	for at := time.Date(1970, 1, 1, 5, 6, 7, 0, time.UTC); at.Year() < 2262; at = at.AddDate(0, 0, 1) {
		ns, ok := usualDate(at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
		require.True(t, ok)
		require.Equal(t, at.Unix(), ns/1e9)
	}
}

func TestAppendValue(t *testing.T) {
	v := pcommon.NewValueMap()
	require.NoError(t, v.FromRaw(map[string]any{"a": []any{1, "x", nil, map[string]any{"b": 1.5}, true, math.NaN(), []byte("bytes")}}))
	require.JSONEq(t, `{"a":[1,"x",null,{"b":1.5},true,null,"Ynl0ZXM="]}`, string(appendValue(nil, v)))
	for f, want := range map[float64]string{0: "0", 12: "12", 0.25: "0.25", 1e20: "1e+20", -3: "-3", math.Inf(1): "null", 1e15: "1e+15"} {
		require.Equal(t, want, string(appendFloat(nil, f)))
	}
}
