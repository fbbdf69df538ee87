package jsontext

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func FuzzAppendString(f *testing.F) {
	f.Add("")
	f.Add("plain")
	f.Add("a\xf0\x9f")
	f.Add("seven77")
	f.Add("\"\\\x00\x1f\x7f\u2028é\U0001F600 and then some more text")
	f.Add("broken \xff\xfe utf-8 \xed\xa0\x80")
	f.Fuzz(func(t *testing.T, s string) {
		got := AppendString([]byte("x"), s)
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
				require.Equal(t, plainASCII[c], IsPlain(string(b)), "%q", b)
			}
		}
	}
}
