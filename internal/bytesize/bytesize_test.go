package bytesize

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnmarshalText(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "512": 512, "1KiB": 1024, "2 MiB": 2 << 20, "1GB": 1e9, "5mb": 5e6, "3k": 3 << 10, "7B": 7,
	} {
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, s, text)
	}
	for _, text := range []string{"", "x", "-1", "1XB", "1.5MiB", "9999999999GiB"} {
		var s Size
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
}

func TestString(t *testing.T) {
	for want, s := range map[string]Size{"0": 0, "1": 1, "1KiB": 1 << 10, "1025": 1025, "5MiB": 5 << 20, "2GiB": 2 << 30, "1000000": 1e6} {
		require.Equal(t, want, s.String())
	}
}
