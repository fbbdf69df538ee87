package acctlogs

import (
	"encoding/binary"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-pmta/otelcol-pmta/internal/acct"
	"github.com/otelcol-pmta/otelcol-pmta/internal/uid"
)

// ContentUIDs makes the identity of records out of their text alone, for input
// that has no lasting place as a row of a file has: a request body that is
// sent again, perhaps cut or joined differently, gives each record the UID it
// had. It is for one body at a time and not safe for concurrent use.
//
// The UID is a 128-bit hash of the instance, the text of the record and how
// many equal texts came before it in the same body. So two equal records in
// one body are two, and two equal records in two bodies are one.
type ContentUIDs struct {
	mixed [2*uid.Size + 8]byte // salt, hash of the text, number
	seen  map[xxh3.Uint128]uint64
}

// NewContentUIDs returns identities for the records of one body with about
// size records of the PowerMTA called instance, which may be "".
func NewContentUIDs(instance string, size int) *ContentUIDs {
	c := &ContentUIDs{seen: make(map[xxh3.Uint128]uint64, size)}
	uid.Put(c.mixed[:], xxh3.HashString128(instance))
	return c
}

// Next returns the UID of the next record of the body. text is the record as
// it came; a byte order mark before it and a line end behind it do not count.
func (c *ContentUIDs) Next(text string) [2]uint64 {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.TrimSuffix(text, "\n")
	text = strings.TrimSuffix(text, "\r")
	h := xxh3.HashString128(text)
	n := c.seen[h]
	c.seen[h] = n + 1
	uid.Put(c.mixed[uid.Size:], h)
	binary.LittleEndian.PutUint64(c.mixed[2*uid.Size:], n)
	u := xxh3.Hash128(c.mixed[:])
	return [2]uint64{u.Hi, u.Lo}
}

// Identify gives rec, a record of src, its UID.
func (c *ContentUIDs) Identify(rec *acct.Record, src string) {
	rec.UID = c.Next(src[rec.Start:rec.End])
}
