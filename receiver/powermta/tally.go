package powermta

import (
	"encoding/binary"
	"errors"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/acctlogs"
	"github.com/otelcol-pmta/otelcol-pmta/internal/reconcile"
)

// tally is what was made of a file so far. It is saved with the decoder's
// state, so that it covers the whole file however often the agent restarts.
type tally struct {
	reconcile.Counts
	// mixed says that the file holds other records than bounces.
	mixed bool
}

var errTally = errors.New("saved state is damaged or from another version")

const tallyVersion = 1

// wrap returns the tally in front of a decoder's state. Layout: version, flags
// (1: mixed, 2: partial), emitted, rejected and duplicates as varints, the state.
func (t *tally) wrap(state []byte) []byte {
	b := make([]byte, 2, 32+len(state))
	b[0] = tallyVersion
	if t.mixed {
		b[1] |= 1
	}
	if t.Partial {
		b[1] |= 2
	}
	for _, n := range []int64{t.Emitted, t.Rejected, t.Duplicates} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return append(b, state...)
}

// unwrapTally takes apart what wrap returned.
func unwrapTally(b []byte) (t tally, state []byte, err error) {
	if len(b) == 0 {
		return tally{}, nil, nil
	}
	if len(b) < 5 || b[0] != tallyVersion || b[1] > 3 {
		return tally{}, nil, errTally
	}
	t.mixed, t.Partial = b[1]&1 != 0, b[1]&2 != 0
	b = b[2:]
	for _, n := range []*int64{&t.Emitted, &t.Rejected, &t.Duplicates} {
		v, size := binary.Uvarint(b)
		if size <= 0 || v > 1<<62 {
			return tally{}, nil, errTally
		}
		*n, b = int64(v), b[size:]
	}
	return t, b, nil
}

// onlyBounces tells whether counts names no other types than b and rb.
func onlyBounces(c *acctlogs.Counts) bool {
	for i, n := range c {
		if t := acct.Type(i); n > 0 && t != acct.TypeBounce && t != acct.TypeRemoteBounce {
			return false
		}
	}
	return true
}

// survey counts the records of a stretch of input by type.
type survey struct{ counts acctlogs.Counts }

func (s *survey) Record(rec *acct.Record) { s.counts[rec.Type]++ }
func (s *survey) Reject(acct.Reject)      {}
