//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml
//go:generate go run ./gen templates

// Package elasticsearch is an exporter that sends log records to Elasticsearch
// data streams with the bulk API. The _id of a document is the record's
// log.record.uid, so that a replay never makes a second document.
package elasticsearch // import "github.com/otelcol-pmta/otelcol-pmta/exporter/elasticsearch"
