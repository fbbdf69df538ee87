#!/bin/sh
# Runs every fuzz target of the module for a short while: fuzz.sh 40000x
# A number of runs, not a time: up to Go 1.26 a run that is ended by the clock
# fails now and then without a finding (golang/go#75804).
set -eu
runs=${1:-40000x}
for file in $(grep -rl --include='*_test.go' '^func Fuzz' receiver processor connector exporter extension internal cmd 2>/dev/null | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz $target in $(dirname "$file") for $runs"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$runs" -fuzzminimizetime 5x "./$(dirname "$file")"
	done
done
