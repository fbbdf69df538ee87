#!/bin/sh
# Runs every fuzz target of the module for a short while: fuzz.sh 10s
set -eu
time=${1:-10s}
for file in $(grep -rl --include='*_test.go' '^func Fuzz' receiver processor connector exporter extension internal cmd 2>/dev/null | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz $target in $(dirname "$file") for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5x "./$(dirname "$file")"
	done
done
