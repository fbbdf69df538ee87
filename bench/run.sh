#!/bin/sh
# Builds the agent, its peer and the benchmark, then runs it. Arguments go to
# the benchmark: sh bench/run.sh -help
set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/bench
mkdir -p "$out"
echo "building agent, pmtalog and peer (a first build takes 2 to 10 minutes) ..." >&2
go build -trimpath -ldflags '-s -w' -o "$out/new/" ./cmd/otelcol-pmta ./cmd/pmtalog
(cd bench/peer && go build -trimpath -ldflags '-s -w' -o "$out/new/otelcol-peer" .)
cp -f "$out"/new/* "$out/" && rm -r "$out/new" # as make build does, which see
(cd bench && go build -o "$out/bench" .)
exec "$out/bench" "$@"
