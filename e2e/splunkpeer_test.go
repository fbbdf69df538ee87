package e2e

import (
	"fmt"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/splunkhecreceiver"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// An endpoint that is not ours, contrib's splunk_hec receiver, understands
// every event as config/splunk-hec.yaml sends it.
func TestSplunkIndependentReceiver(t *testing.T) {
	au := newAuthority(t)
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	factory := splunkhecreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"endpoint": addr,
		"tls":      map[string]any{"cert_file": au.pairFiles + ".crt", "key_file": au.pairFiles + ".key"},
	}).Unmarshal(cfg))
	sink := new(consumertest.LogsSink)
	rcv, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, rcv.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, rcv.Shutdown(t.Context())) }()

	got := func() map[string]facts {
		recs := map[string]facts{}
		for _, ld := range sink.AllLogs() {
			eachRecord(ld, func(lr plog.LogRecord) {
				if doc, ok := lr.Body().AsRaw().(map[string]any); ok {
					typ, _ := doc["pmta_record_type"].(string)
					domain, _ := doc["recipient_domain"].(string)
					recs[fmt.Sprint(doc["pmta_record_uid"])] = facts{recordType: typ, rcptDomain: domain, classified: doc["pmta_category"] != nil}
				}
			})
		}
		return recs
	}
	h := newMailHost(t, 3000)
	h.ship(t, "splunk-hec.yaml", []string{"SPLUNK_HEC_URL=https://" + addr, "SPLUNK_HEC_TOKEN=any", "SPLUNK_CA_FILE=" + au.caFile}, got)
	for _, ld := range sink.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			meta := rl.Resource().Attributes().AsRaw()
			require.Equal(t, "pmta:acct", meta["com.splunk.sourcetype"], meta)
			require.Equal(t, "e2e", meta["host.name"], meta)
		}
	}
}
