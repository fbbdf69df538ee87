//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package smtpreply is a processor that says of every record with an SMTP
// reply what the reply means.
package smtpreply // import "github.com/otelcol-pmta/otelcol-pmta/processor/smtpreply"
