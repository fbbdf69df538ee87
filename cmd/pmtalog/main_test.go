package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
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

// A quarantined record keeps the identity that its receiver gave it, where
// that is not one of its place in a file.
func TestParseKeepsTheUIDsOfAnEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quarantine-refused.jsonl")
	q, err := quarantine.Open(path, 1<<20, 1)
	require.NoError(t, err)
	const first, second = "000102030405060708090a0b0c0d0e0f", "f0e0d0c0b0a090807060504030201000"
	entry := func(raw string, uids ...string) quarantine.Entry {
		e := quarantine.Entry{File: "webhook", Reason: "refused", UIDs: uids}
		e.SetRaw(raw)
		return e
	}
	const d = `{"type":"d","timeLogged":"1769853600"}`
	require.NoError(t, q.Write([]quarantine.Entry{entry(d, first), entry(d), entry(d+"\n"+d, second), entry(d, "damaged")}))
	require.NoError(t, q.Close())
	var out, log bytes.Buffer
	require.Equal(t, exitOK, runParse(context.Background(), []string{path}, stdio{out: &out, err: &log}), log.String())
	var uids []any
	for line := range strings.Lines(out.String()) {
		var doc map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &doc))
		uids = append(uids, doc["log.record.uid"])
	}
	require.Len(t, uids, 5)
	require.Equal(t, first, uids[0])
	require.Equal(t, second, uids[2])
	for _, i := range []int{1, 3, 4} {
		require.Len(t, uids[i], 32)
		require.NotContains(t, []any{first, second}, uids[i])
	}
}
