package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlagsMayStandAnywhere(t *testing.T) {
	for _, tc := range []struct {
		args  string
		words []string
		mx    string
	}{
		{"--mx h a b", []string{"a", "b"}, "h"},
		{"a --mx h b", []string{"a", "b"}, "h"},
		{"a b --mx=h", []string{"a", "b"}, "h"},
		{"a -- --mx h", []string{"a", "--mx", "h"}, ""},
		{"- --mx h", []string{"-"}, "h"},
		{"", nil, ""},
	} {
		var out bytes.Buffer
		f := newFlags("test", "", stdio{out: &out, err: &out})
		mx := f.String("mx", "", "")
		_, ok := parseFlags(f, strings.Fields(tc.args), stdio{out: &out, err: &out})
		require.True(t, ok, tc.args)
		require.Equal(t, tc.mx, *mx, tc.args)
		require.Equal(t, strings.Join(tc.words, " "), strings.Join(f.Args(), " "), tc.args)
	}
	var out bytes.Buffer
	f := newFlags("test", "", stdio{out: &out, err: &out})
	code, ok := parseFlags(f, []string{"a", "--nonsense"}, stdio{out: &out, err: &out})
	require.False(t, ok)
	require.Equal(t, exitUsage, code)
}
