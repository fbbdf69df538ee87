//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package mailschema is a processor that renders records in the Elastic Common
// Schema or Splunk's Common Information Model, for exporters that do not do so
// themselves.
package mailschema // import "github.com/otelcol-pmta/otelcol-pmta/processor/mailschema"
