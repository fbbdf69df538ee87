package acctlogs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
)

func uidsOf(instance, src string) []string {
	c := NewContentUIDs(instance, 0)
	h := &identified{src: src, c: c}
	acct.NewDecoder(acct.Options{Instance: instance}).Decode(src, true, h)
	return h.uids
}

type identified struct {
	src  string
	c    *ContentUIDs
	uids []string
}

func (h *identified) Record(r *acct.Record) {
	h.c.Identify(r, h.src)
	h.uids = append(h.uids, string(acct.AppendUID(nil, r.UID)))
}

func (h *identified) Reject(acct.Reject) {}

func TestContentUIDs(t *testing.T) {
	all := uidsOf("mta1", header+rowD+rowB+rowD)
	require.Len(t, all, 3)
	require.NotEqual(t, all[0], all[2], "equal records of one body are two")
	require.Equal(t, all[:2], uidsOf("mta1", header+rowBad+rowD+rowB), "place does not matter")
	require.Equal(t, all[1:2], uidsOf("mta1", header+rowB), "nor what is in the same body")
	require.Equal(t, all[:1], uidsOf("mta1", "\ufeff"+"TYPE,timeLogged,RCPT,dsnDiag\r\n"+rowD[:len(rowD)-1]+"\r\n"), "nor the header or the line end")
	require.Equal(t, all[:1], uidsOf("mta1", header+rowD[:len(rowD)-1]), "nor that the body ends there")
	require.NotEqual(t, all[0], uidsOf("mta2", header+rowD)[0], "the instance does")
	require.NotEqual(t, all[0], uidsOf("", header+rowD)[0])

	a, b := `{"type":"d","timeLogged":"1700000000"}`, `{"type":"b","timeLogged":"1700000001"}`
	lines := uidsOf("", a+"\n"+b+"\n"+a+"\n")
	require.Len(t, lines, 3)
	require.Equal(t, lines, uidsOf("", "["+a+", "+b+",\n"+a+"]"))
	require.Equal(t, lines[1:2], uidsOf("", b))

	// It is written down in the documents of destinations: it stays.
	require.Equal(t, "6003b8cd92bccff8c556f73e271782b7", all[0])
}
