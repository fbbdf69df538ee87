// Package uid makes the identities of records that are read from files.
package uid

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// Size is the length in bytes of what Put writes.
const Size = 16

// Put writes a hash to b[:Size]; Get reads it.
func Put(b []byte, h xxh3.Uint128) {
	binary.LittleEndian.PutUint64(b, h.Lo)
	binary.LittleEndian.PutUint64(b[8:], h.Hi)
}

// Get returns the hash that Put has written to b.
func Get(b []byte) xxh3.Uint128 {
	return xxh3.Uint128{Lo: binary.LittleEndian.Uint64(b), Hi: binary.LittleEndian.Uint64(b[8:])}
}

// Mixer makes the UIDs of the records of one file, or of one body: each is a
// 128-bit hash of the record's text, of where it came from, and of a number
// that tells equal texts apart.
type Mixer struct {
	mixed [2*Size + 8]byte // text, origin, number
}

// From sets where the records come from: the hash of what makes the file
// itself, and of the server it belongs to.
func (m *Mixer) From(file, server xxh3.Uint128) {
	var b [2 * Size]byte
	Put(b[:], file)
	Put(b[Size:], server)
	Put(m.mixed[Size:], xxh3.Hash128(b[:]))
}

// UID returns the identity of the record whose text has the hash text, high
// half first. n is its offset in bytes in the file.
func (m *Mixer) UID(text xxh3.Uint128, n int64) [2]uint64 {
	Put(m.mixed[:], text)
	binary.LittleEndian.PutUint64(m.mixed[2*Size:], uint64(n))
	u := xxh3.Hash128(m.mixed[:])
	return [2]uint64{u.Hi, u.Lo}
}
