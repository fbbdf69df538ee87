package mainlog

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func goldenInputs(t testing.TB) map[string]string {
	t.Helper()
	names, err := filepath.Glob("testdata/*/input.log")
	if err != nil || len(names) == 0 {
		t.Fatal("no golden files", err)
	}
	m := make(map[string]string)
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		m[filepath.Dir(n)] = string(b)
	}
	return m
}

// optionsOf returns the options of a golden file: its name says what is
// special.
func optionsOf(dir string) Options {
	o := testOptions
	name := filepath.Base(dir)
	o.StartupErrors = strings.HasPrefix(name, "startuperr")
	o.KeepData = strings.HasPrefix(name, "keep_data") || name == "secrets_http"
	if strings.HasPrefix(name, "small_state") {
		o.MaxSessions, o.MaxState, o.MaxTranscript = 3, minMaxState, 600
	}
	return o
}

func TestGolden(t *testing.T) {
	for dir, input := range goldenInputs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var b bytes.Buffer
			for _, e := range decodeAt(t, optionsOf(dir), input, false) {
				fmt.Fprintln(&b, e)
			}
			file := filepath.Join(dir, "expected.jsonl")
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, exp := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
			for i := range max(len(got), len(exp)) {
				var g, w string
				if i < len(got) {
					g = got[i]
				}
				if i < len(exp) {
					w = exp[i]
				}
				if g != w {
					t.Fatalf("line %d\n got %s\nwant %s", i+1, g, w)
				}
			}
		})
	}
}
