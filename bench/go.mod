// The benchmark program, apart from the agent's module. Standard library only.
module github.com/otelcol-pmta/otelcol-pmta/bench

go 1.26
