package acct

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func goldenInputs(t testing.TB) map[string]string {
	t.Helper()
	names, err := filepath.Glob("testdata/*/input.*")
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

func TestGolden(t *testing.T) {
	for dir, input := range goldenInputs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var b bytes.Buffer
			for _, e := range decodeAt(t, testOptions, input, false) {
				fmt.Fprintf(&b, "{\"start\":%d,\"end\":%d,%s}\n", e.start, e.end, e.text)
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
			got, exp := bytes.Split(b.Bytes(), []byte("\n")), bytes.Split(want, []byte("\n"))
			for i := range max(len(got), len(exp)) {
				var g, w []byte
				if i < len(got) {
					g = got[i]
				}
				if i < len(exp) {
					w = exp[i]
				}
				if !bytes.Equal(g, w) {
					t.Fatalf("line %d\n got %s\nwant %s", i+1, g, w)
				}
			}
		})
	}
}

// How the input is cut must not matter, nor whether a new Decoder takes over
// in between.
func TestCuts(t *testing.T) {
	for dir, input := range goldenInputs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want := decodeAt(t, testOptions, input, false)
			step := max(1, len(input)/400)
			for cut := 0; cut <= len(input); cut += step {
				sameEvents(t, fmt.Sprint("cut at ", cut), want, decodeAt(t, testOptions, input, false, cut))
				sameEvents(t, fmt.Sprint("restored at ", cut), want, decodeAt(t, testOptions, input, true, cut))
			}
			for _, size := range []int{1, 7, 100, 1000} {
				var cuts []int
				for i := size; i < len(input); i += size {
					cuts = append(cuts, i)
				}
				sameEvents(t, fmt.Sprint("pieces of ", size), want, decodeAt(t, testOptions, input, false, cuts...))
				sameEvents(t, fmt.Sprint("restored pieces of ", size), want, decodeAt(t, testOptions, input, true, cuts...))
			}
			var ends []int
			for _, e := range want {
				ends = append(ends, e.end)
			}
			sameEvents(t, "restored at each record", want, decodeAt(t, testOptions, input, true, ends...))
		})
	}
}
