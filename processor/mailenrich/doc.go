//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package mailenrich is a processor that gives mail records what an analyst
// joins on (domains, base senders, dimensions, attempts, attribution) and takes
// away what they must not hold (local parts of recipients).
package mailenrich // import "github.com/otelcol-pmta/otelcol-pmta/processor/mailenrich"
