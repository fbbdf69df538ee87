//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package powermtawebhook is a receiver for the HTTP accounting webhook of
// PowerMTA. The sender is the queue: it gets 200 only after the pipeline has
// accepted every record, and keeps the body otherwise.
package powermtawebhook // import "github.com/otelcol-pmta/otelcol-pmta/receiver/powermtawebhook"
