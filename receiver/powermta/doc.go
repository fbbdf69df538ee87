//go:generate go tool -modfile=../../tools.mod mdatagen metadata.yaml

// Package powermta is a receiver that reads PowerMTA accounting files and system logs where
// they are written. The file is the queue: a position is saved only after the
// pipeline has accepted every record before it.
package powermta // import "github.com/otelcol-pmta/otelcol-pmta/receiver/powermta"
