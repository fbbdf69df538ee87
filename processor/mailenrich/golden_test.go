package mailenrich

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each folder of testdata/cases is a case: config.yaml, and accounting rows in
// input.csv that run through the processor one batch a row. expected.jsonl
// holds what that changed: of each record the attributes added, changed and
// removed.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/cases/*")
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
			require.NoError(t, err)
			cfg := mustLoad(t, strings.ReplaceAll(string(text), "$TMP", t.TempDir()))
			csv, err := os.ReadFile(filepath.Join(dir, "input.csv"))
			require.NoError(t, err)
			p, sink := newRunning(t, cfg, nil)
			defer stop(t, p)
			var out strings.Builder
			b := &batches{size: 1, lines: string(csv), orig: strings.Contains(string(text), "original")}
			decodeInto(b)
			for _, l := range b.out {
				before := plog.NewLogs()
				l.CopyTo(before)
				require.NoError(t, p.ConsumeLogs(t.Context(), l))
				got := sink.AllLogs()
				out.WriteString(diff(t, records(before)[0], records(got[len(got)-1])[0]))
			}
			file := filepath.Join(dir, "expected.jsonl")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
				return
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, strings.Split(string(want), "\n"), strings.Split(out.String(), "\n"))
		})
	}
}

// diff renders what became of a record.
func diff(t *testing.T, before, after plog.LogRecord) string {
	was, is := attrs(t, before), attrs(t, after)
	rec := fmt.Sprint(was["pmta.record.type"])
	added, changed := map[string]any{}, map[string]any{}
	var removed []string
	for k, v := range is {
		if old, ok := was[k]; !ok {
			added[k] = v
		} else if !reflect.DeepEqual(old, v) {
			changed[k] = v
		}
	}
	for k := range was {
		if _, ok := is[k]; !ok {
			removed = append(removed, k)
		}
	}
	if a, b := before.Body().AsString(), after.Body().AsString(); a != b {
		changed["(body)"] = b
	}
	s := fmt.Sprintf(`{"record":%q,"added":%s`, rec, toJSON(t, added))
	if len(changed) > 0 {
		s += `,"changed":` + toJSON(t, changed)
	}
	if len(removed) > 0 {
		s += `,"removed":` + toJSON(t, removed)
	}
	return s + "}\n"
}
