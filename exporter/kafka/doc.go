//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package kafka is an exporter that writes log records to Kafka and reports
// them as delivered only when the brokers have acknowledged each of them.
package kafka // import "github.com/otelcol-pmta/otelcol-pmta/exporter/kafka"
