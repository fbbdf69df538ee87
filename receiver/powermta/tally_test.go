package powermta

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/reconcile"
)

func TestTallyAndStateComeBackTogether(t *testing.T) {
	in := tally{Counts: reconcile.Counts{Emitted: 1 << 40, Rejected: 3, Duplicates: 300, Partial: true}, mixed: true}
	out, state, err := unwrapTally(in.wrap([]byte("state of the decoder")))
	require.NoError(t, err)
	require.Equal(t, in, out)
	require.Equal(t, "state of the decoder", string(state))

	out, state, err = unwrapTally(nil)
	require.NoError(t, err)
	require.Zero(t, out)
	require.Nil(t, state)
	for _, bad := range []string{"x", "\x02\x00\x00\x00\x00", "\x01\x04\x00\x00\x00", "\x01\x00\xff\xff\xff"} {
		_, _, err := unwrapTally([]byte(bad))
		require.ErrorIs(t, err, errTally)
	}
}

const rowRB = "rb,2026-01-31 10:00:03+0000,s@example.com,y@example.net,smtp;550 5.1.1 no such user,\n"

// streams counts the records got by pmta.stream.
func (p *pipeline) streams() map[string]int {
	out := map[string]int{}
	for _, lr := range p.records() {
		out[str(lr, "pmta.stream")]++
	}
	return out
}

func TestFilesOfBouncesAreAStreamOfTheirOwn(t *testing.T) {
	r := newRig(t)
	// What decides is the type of the records, whatever the name says.
	r.write("acct-2026-01-31-0000.csv", header+rowB+rowRB+rowB)
	r.write("bounce-2026-01-31-0000.csv", header+rowB+rowB+rowD)
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "six records", func() bool { return len(p.records()) == 6 })
	require.Equal(t, map[string]int{"bounce": 3, "acct": 3}, p.streams())
	// The next file of a mixed stream is known to be one, even before it says so.
	r.write("bounce-2026-01-31-0001.csv", header+rowB+rowB)
	await(t, "eight records", func() bool { return len(p.records()) == 8 })
	require.Equal(t, map[string]int{"bounce": 3, "acct": 5}, p.streams())
	stop()

	// Nor does a restart forget.
	r.write("bounce-2026-01-31-0001.csv", rowB)
	r.write("acct-2026-01-31-0000.csv", rowB)
	p = newPipeline(nil)
	stop = r.start(p)
	await(t, "two records", func() bool { return len(p.records()) == 2 })
	require.Equal(t, map[string]int{"bounce": 1, "acct": 1}, p.streams())
	stop()
}

func TestConfigurationNamesTheStream(t *testing.T) {
	r := newRig(t)
	r.cfg.Streams = []StreamConfig{{Match: "fbl-*.csv", Stream: "acct"}, {Match: "acct-*.csv", Stream: "bounce"}}
	r.write("fbl-2026-01-31-0000.csv", header+rowB)
	r.write("acct-2026-01-31-0000.csv", header+rowD)
	p := newPipeline(nil)
	stop := r.start(p)
	await(t, "two records", func() bool { return len(p.records()) == 2 })
	stop()
	for _, lr := range p.records() {
		want := "acct"
		if lr.EventName() == "pmta.delivery" {
			want = "bounce"
		}
		require.Equal(t, want, str(lr, "pmta.stream"))
	}
}
