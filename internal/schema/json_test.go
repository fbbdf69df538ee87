package schema

import (
	"encoding/json"
	"math"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("seven77")
	f.Add("\"\\\x00\x1f\x7f\u2028é\U0001F600 and then some more text")
	f.Add("broken \xff\xfe utf-8 \xed\xa0\x80")
	f.Fuzz(func(t *testing.T, s string) {
		got := appendString([]byte("x"), s)
		require.True(t, utf8.Valid(got))
		var back string
		require.NoError(t, json.Unmarshal(got[1:], &back))
		var want strings.Builder
		for _, r := range s { // U+FFFD for each bad byte
			want.WriteRune(r)
		}
		require.Equal(t, want.String(), back)
	})
}

// Every byte at every place of an 8-byte word is seen.
func TestIsPlain(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for i := range n {
			for c := range 256 {
				b := []byte(strings.Repeat("a", n))
				b[i] = byte(c)
				require.Equal(t, plainASCII[c], isPlain(string(b)), "%q", b)
			}
		}
	}
}

func TestAppendTime(t *testing.T) {
	r := NewRenderer(Options{})
	for _, ns := range []int64{0, -1, -1e9, 1, 1e9, 1549662821250000000, 1549662821250000001, math.MaxInt64, math.MinInt64} {
		want := time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		require.Equal(t, want, string(r.appendTime(nil, ns)))
		require.Equal(t, want, string(r.appendTime(nil, ns)), "from memory")
	}
}

func TestAppendEpoch(t *testing.T) {
	require.Equal(t, "1549662821.250", string(appendEpoch(nil, 1549662821250999999)))
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
