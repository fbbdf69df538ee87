package kafkaout

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Record batch, format version 2 (KIP-98; the protocol guide, "Record Batch"):
//
//	 0 base offset       int64     0, the broker sets it
//	 8 batch length      int32     bytes after this field
//	12 leader epoch      int32     -1
//	16 magic             int8      2
//	17 crc               uint32    CRC-32C of everything after it
//	21 attributes        int16     compression
//	23 last offset delta int32
//	27 base timestamp    int64     ms
//	35 max timestamp     int64     ms
//	43 producer id       int64     -1: not idempotent
//	51 producer epoch    int16     -1
//	53 base sequence     int32     -1
//	57 record count      int32
//	61 records, compressed together
const batchHeader = 61

// sizePrefix is the length field that a produce request has before a batch.
const sizePrefix = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is a record batch under construction or under way. Its records stay
// at hand until it is acknowledged, since it may have to be split.
type batch struct {
	raw  []byte  // the records, not compressed
	ends []int32 // where each record ends in raw
	refs []int32 // the caller's number of each record
	base int64   // timestamp of the first record, ms
	max  int64   // latest timestamp, ms

	sealed []byte // size prefix and batch, ready to be sent; empty before seal
}

// varintLen is the length of v as a zigzag varint.
func varintLen(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(u|1) + 6) / 7
}

// recordSize is what a record adds to a batch at most.
func recordSize(key, value, headers []byte) int {
	// length, attributes, timestamp and offset delta, two lengths
	return 5 + 1 + 10 + 5 + 5 + len(key) + 5 + len(value) + len(headers)
}

// add appends a record. headers holds the number of headers and the headers,
// encoded.
func (b *batch) add(ms int64, key, value, headers []byte, ref int32) {
	if len(b.refs) == 0 {
		b.base, b.max = ms, ms
	}
	b.max = max(b.max, ms)
	delta, offset := ms-b.base, int64(len(b.refs))
	keyLen := int64(len(key))
	if key == nil {
		keyLen = -1
	}
	n := 1 + varintLen(delta) + varintLen(offset) + varintLen(keyLen) + len(key) +
		varintLen(int64(len(value))) + len(value) + len(headers)
	b.raw = binary.AppendVarint(b.raw, int64(n))
	b.raw = append(b.raw, 0) // attributes
	b.raw = binary.AppendVarint(b.raw, delta)
	b.raw = binary.AppendVarint(b.raw, offset)
	b.raw = binary.AppendVarint(b.raw, keyLen)
	b.raw = append(b.raw, key...)
	b.raw = binary.AppendVarint(b.raw, int64(len(value)))
	b.raw = append(b.raw, value...)
	b.raw = append(b.raw, headers...)
	b.ends = append(b.ends, int32(len(b.raw)))
	b.refs = append(b.refs, ref)
}

// record returns timestamp delta and the rest (key length and all that
// follows) of record i.
func (b *batch) record(i int) (delta int64, rest []byte) {
	from := int32(0)
	if i > 0 {
		from = b.ends[i-1]
	}
	r := b.raw[from:b.ends[i]]
	_, n := binary.Varint(r) // length
	r = r[n+1:]              // attributes
	delta, n = binary.Varint(r)
	r = r[n:]
	_, n = binary.Varint(r) // offset delta
	return delta, r[n:]
}

// pick copies the records i for which want(i) into dst, which has to be empty.
func (b *batch) pick(dst *batch, want func(i int) bool) {
	for i := range b.refs {
		if !want(i) {
			continue
		}
		delta, rest := b.record(i)
		ms := b.base + delta
		if len(dst.refs) == 0 {
			dst.base, dst.max = ms, ms
		}
		dst.max = max(dst.max, ms)
		offset := int64(len(dst.refs))
		delta = ms - dst.base
		dst.raw = binary.AppendVarint(dst.raw, int64(1+varintLen(delta)+varintLen(offset)+len(rest)))
		dst.raw = append(dst.raw, 0)
		dst.raw = binary.AppendVarint(dst.raw, delta)
		dst.raw = binary.AppendVarint(dst.raw, offset)
		dst.raw = append(dst.raw, rest...)
		dst.ends = append(dst.ends, int32(len(dst.raw)))
		dst.refs = append(dst.refs, b.refs[i])
	}
}

// seal makes the batch ready to be sent. Calling it again does nothing.
func (b *batch) seal(c *codec) error {
	if len(b.sealed) > 0 {
		return nil
	}
	out, err := c.append(append(b.sealed, make([]byte, sizePrefix+batchHeader)...), b.raw)
	if err != nil {
		return err
	}
	b.sealed = out
	binary.BigEndian.PutUint32(out, uint32(len(out)-sizePrefix))
	h := out[sizePrefix:]
	binary.BigEndian.PutUint32(h[8:], uint32(len(h)-12))
	binary.BigEndian.PutUint32(h[12:], ^uint32(0))
	h[16] = 2
	binary.BigEndian.PutUint16(h[21:], uint16(c.kind))
	binary.BigEndian.PutUint32(h[23:], uint32(len(b.refs)-1))
	binary.BigEndian.PutUint64(h[27:], uint64(b.base))
	binary.BigEndian.PutUint64(h[35:], uint64(b.max))
	binary.BigEndian.PutUint64(h[43:], ^uint64(0))
	binary.BigEndian.PutUint16(h[51:], ^uint16(0))
	binary.BigEndian.PutUint32(h[53:], ^uint32(0))
	binary.BigEndian.PutUint32(h[57:], uint32(len(b.refs)))
	binary.BigEndian.PutUint32(h[17:], crc32.Checksum(h[21:], castagnoli))
	return nil
}

func (b *batch) reset() {
	b.raw, b.ends, b.refs, b.sealed = b.raw[:0], b.ends[:0], b.refs[:0], b.sealed[:0]
}

// Header is a message header.
type Header struct {
	Key   string
	Value []byte
}

// Headers is a list of headers in the form in which they are sent: encoded
// once, used for many messages.
type Headers struct{ encoded []byte }

var noHeaders = []byte{0}

// EncodeHeaders prepares headers for use in Add.
func EncodeHeaders(list []Header) Headers {
	b := binary.AppendVarint(nil, int64(len(list)))
	for _, h := range list {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = binary.AppendVarint(b, int64(len(h.Value)))
		b = append(b, h.Value...)
	}
	return Headers{b}
}

func (h Headers) bytes() []byte {
	if h.encoded == nil {
		return noHeaders
	}
	return h.encoded
}

// String returns the headers as they are sent, for comparison.
func (h Headers) String() string { return string(h.encoded) }
