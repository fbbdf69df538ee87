//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package powermtastatus is a receiver that asks PowerMTA's web monitor for
// its live state: queues, domains, vMTAs, jobs and status as metrics, and as
// log records when a queue enters or leaves backoff, a source IP is disabled
// or enabled, PowerMTA restarts or the monitor cannot be reached.
package powermtastatus // import "github.com/otelcol-pmta/otelcol-pmta/receiver/powermtastatus"
