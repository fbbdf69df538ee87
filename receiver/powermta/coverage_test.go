package powermta

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-pmta/otelcol-pmta/internal/quarantine"
)

// gaps returns the coverage events got, by gap.
func (p *pipeline) gaps() map[string]string {
	out := map[string]string{}
	for _, lr := range p.byEvent("pmta.coverage") {
		out[str(lr, "pmta.coverage.gap")] += str(lr, "pmta.coverage.missing")
	}
	return out
}

func TestOpenQuestionsAreToldOnce(t *testing.T) {
	r := newRig(t)
	core, logged := observer.New(zap.WarnLevel)
	r.log = zap.New(core)
	r.cfg.Coverage = CoverageConfig{Enabled: true}
	r.write("acct-2026-01-31-0000.csv", header+rowD+rowB)
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "the gaps", func() bool { return len(p.gaps()) > 0 })
	first := p.gaps()
	require.Equal(t, `["jobId"]`, first["campaign"])
	e := p.byEvent("pmta.coverage")[0]
	require.Equal(t, "diag", str(e, "pmta.stream"))
	require.NotEmpty(t, str(e, "pmta.coverage.question"))
	for _, e := range p.byEvent("pmta.coverage") {
		require.Contains(t, str(e, "pmta.coverage.config"), "<acct-file")
	}
	text := logged.FilterMessageSnippet("leave questions open").All()
	require.Len(t, text, 1)
	require.Contains(t, text[0].Message, "<acct-file")

	// More of the same is no news; another header is.
	r.write("acct-2026-01-31-0000.csv", rowD)
	await(t, "the record", func() bool { return p.events()["pmta.delivery"] == 2 })
	r.write("acct-2026-01-31-0001.csv", strings.Replace(header, ",vmta", ",vmta,jobId", 1)+strings.Replace(rowD, ",vmta1", ",vmta1,job7", 1))
	await(t, "the question is answered", func() bool { return gauge(t, r.tel, "otelcol_pmta_coverage_gaps") == int64(len(first))-1 })
	stop()
	require.Equal(t, first, p.gaps())
}

// What the pipeline refuses for good is kept, findings too.
func TestRefusedFindingsGoToQuarantine(t *testing.T) {
	r := newRig(t)
	r.cfg.Coverage = CoverageConfig{Enabled: true}
	r.write("acct-2026-01-31-0000.csv", header+rowD+rowB)
	p := newPipeline(func(_ int, ld plog.Logs) error {
		if ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).EventName() == "pmta.coverage" {
			return consumererror.NewPermanent(errors.New("no such index"))
		}
		return nil
	})
	stop := r.start(p)
	await(t, "the findings", func() bool { return len(r.refusals()) > 0 })
	stop()
	require.Empty(t, p.gaps())
	e := r.refusals()[0]
	require.Equal(t, quarantine.KindEvent, e.Kind)
	require.Contains(t, e.Detail, "no such index")
	require.Contains(t, e.Raw, `"pmta.coverage.question":`)
}
