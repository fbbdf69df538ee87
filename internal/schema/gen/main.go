// Command gen writes docs/schema.md from the table of schemas.
package main

import (
	"fmt"
	"os"

	"github.com/otelcol-pmta/otelcol-pmta/internal/schema"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], schema.Markdown(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
