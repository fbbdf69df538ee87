// Command gen writes the Elasticsearch templates as files, for those who
// install them by hand.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/otelcol-pmta/otelcol-pmta/internal/estemplate"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FOLDER")
		os.Exit(2)
	}
	if err := os.MkdirAll(os.Args[1], 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for name, body := range estemplate.Files() {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), body, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
