// Command fielddoc writes docs/fields.md from the decoder's table of columns.
//
// Usage: go run ./internal/tools/fielddoc > docs/fields.md
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/semconv"
)

func main() {
	if _, err := os.Stdout.Write(render()); err != nil {
		fmt.Fprintln(os.Stderr, "fielddoc:", err)
		os.Exit(1)
	}
}

var kinds = map[acct.Kind]string{
	acct.KindString:  "string",
	acct.KindInt:     "int",
	acct.KindDouble:  "double",
	acct.KindBool:    "bool",
	acct.KindStrings: "string array",
}

func render() []byte {
	var b bytes.Buffer
	b.WriteString(`# From accounting field to attribute

<!-- Made by "go run ./internal/tools/fielddoc > docs/fields.md". Do not edit. -->

Schema: ` + semconv.SchemaURL + `

Columns are found by name, in any order and case. An empty value gives no attribute. A value that is not what the column
should hold is kept as text under ` + "`" + semconv.PMTAUnparsedPrefix + "<column>`" + `. When two columns give the same attribute, the
first that is not empty wins and the other is kept under ` + "`" + semconv.PMTAFieldPrefix + "<column>`" + `.

## Record types

| Type | Event name | Severity | ` + "`" + semconv.PMTAOutcome + "`" + ` |
|---|---|---|---|
`)
	for _, t := range acct.Types {
		num, text := t.Severity()
		fmt.Fprintf(&b, "| `%s` | `%s` | %s (%d) | %s |\n", t, t.EventName(), text, num, t.Outcome())
	}
	t := acct.TypeUnknown
	fmt.Fprintf(&b, "| any other | `%s` | unspecified (0) | %s |\n", t.EventName(), t.Outcome())
	b.WriteString("\nA record of another type also has `" + semconv.PMTARecordUnknownType + "` = true. A record in which bytes that are not text were\nwritten as `\\xNN` has `" + semconv.PMTASanitized + "` = true.\n\n" +
		"Receivers add `" + semconv.LogRecordUID + "`, the record's identity, and `" + semconv.PMTAStream + "`, the stream it belongs to (`" +
		semconv.StreamAcct + "` or `" + semconv.StreamBounce + "`).\n\n")
	b.WriteString("## Columns\n\n| Column | In types | Attribute | Value | Notes |\n|---|---|---|---|---|\n")
	for _, f := range acct.Fields() {
		var keys, values []string
		for _, a := range f.Attrs {
			keys = append(keys, "`"+a.Key+"`")
			if k := kinds[a.Kind]; len(values) == 0 || values[len(values)-1] != k {
				values = append(values, k)
			}
		}
		// One kind for all of them is said once, else there is one for each.
		if len(values) > 1 {
			values = values[:0]
			for _, a := range f.Attrs {
				values = append(values, kinds[a.Kind])
			}
		}
		types := f.Types
		if types == "*" {
			types = "all"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Column, types,
			or(strings.Join(keys, "<br>")), or(strings.Join(values, "<br>")), f.Note)
	}
	return b.Bytes()
}

func or(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
