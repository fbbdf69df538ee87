package powermta

import (
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-pmta/otelcol-pmta/internal/tail"
)

var (
	ignoreTime   = metricdatatest.IgnoreTimestamp()
	fileForBench = &tail.File{Path: "/var/log/pmta/acct-2026-01-31-0000.csv", Name: "acct-2026-01-31-0000.csv", Stream: "acct.csv"}
)

func recordsMetric(byType map[string]int64) (dp []metricdata.DataPoint[int64]) {
	for t, n := range byType {
		dp = append(dp, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("pmta.record.type", t))})
	}
	return dp
}

func rejectedMetric(reason string, n int64) []metricdata.DataPoint[int64] {
	return []metricdata.DataPoint[int64]{{Value: n, Attributes: attribute.NewSet(attribute.String("reason", reason))}}
}

// gauge returns the value of a gauge without attributes, -1 when it has none.
func gauge(t *testing.T, tel *componenttest.Telemetry, name string) int64 {
	t.Helper()
	m, err := tel.GetMetric(name)
	if err != nil {
		return -1
	}
	return m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value
}
