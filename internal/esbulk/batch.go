package esbulk

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/otelcol-pmta/otelcol-pmta/internal/jsontext"
)

// maxIDLength is the longest _id in bytes that Elasticsearch takes; a longer
// one makes it refuse the whole bulk request.
const maxIDLength = 512

// Batch collects documents as the action and source lines of a bulk request.
// The zero value is ready to use. A Batch may be used again after Reset; it
// is not safe for concurrent use.
type Batch struct {
	buf   []byte
	items []span
	// open is where the item begins whose source is being written; source is
	// where that source begins.
	open, source int
	// action of the previous item up to its _id: most items of a batch go to
	// the same index.
	index  string
	prefix []byte
}

// span is the place of one item in the buffer: [start, source) is the action
// line with its newline, [source, end) the document with its newline.
type span struct{ start, source, end int }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.buf = b.buf[:0]
	b.items = b.items[:0]
}

// Len returns the number of documents.
func (b *Batch) Len() int { return len(b.items) }

// Size returns the size of the uncompressed request body in bytes.
func (b *Batch) Size() int { return len(b.buf) }

// Begin starts a document for a data stream or index and returns the buffer
// to which the caller appends the document's JSON, without a line break in
// it, and which End takes back. Without an id Elasticsearch makes one up, and
// then a replay makes a second document. An id that is longer than
// Elasticsearch allows is replaced by its SHA-256.
func (b *Batch) Begin(index, id string) []byte {
	if len(id) > maxIDLength {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	if index != b.index || b.prefix == nil {
		b.index = index
		b.prefix = append(b.prefix[:0], `{"create":{"_index":`...)
		b.prefix = jsontext.AppendString(b.prefix, index)
	}
	b.open = len(b.buf)
	buf := append(b.buf, b.prefix...)
	if id != "" {
		buf = append(buf, `,"_id":`...)
		buf = jsontext.AppendString(buf, id)
	}
	buf = append(buf, "}}\n"...)
	b.source = len(buf)
	return buf
}

// End completes the document that Begin started.
func (b *Batch) End(buf []byte) {
	b.buf = append(buf, '\n')
	b.items = append(b.items, span{b.open, b.source, len(b.buf)})
}

// Action returns the action line of document i without its newline. It is
// valid until Reset.
func (b *Batch) Action(i int) []byte {
	s := b.items[i]
	return b.buf[s.start : s.source-1]
}

// Document returns the JSON of document i. It is valid until Reset.
func (b *Batch) Document(i int) []byte {
	s := b.items[i]
	return b.buf[s.source : s.end-1]
}

// size returns the bytes that documents idx take in a request body.
func (b *Batch) size(idx []int) (n int) {
	for _, i := range idx {
		n += b.items[i].end - b.items[i].start
	}
	return n
}

// runs calls fn for each contiguous piece of the request body that holds
// documents idx, which ascend.
func (b *Batch) runs(idx []int, fn func([]byte) error) error {
	for i := 0; i < len(idx); {
		j := i + 1
		for j < len(idx) && idx[j] == idx[j-1]+1 {
			j++
		}
		if err := fn(b.buf[b.items[idx[i]].start:b.items[idx[j-1]].end]); err != nil {
			return err
		}
		i = j
	}
	return nil
}
