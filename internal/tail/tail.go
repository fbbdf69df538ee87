// Package tail follows files that another program writes, rotates, renames,
// truncates, compresses and deletes, and hands their bytes on in order. It
// knows nothing of the Collector or of what the bytes mean. See design.md.
package tail

import "context"

// Decoder makes batches from the bytes of one file. Each file has its own.
// Calls for one file never overlap.
type Decoder interface {
	// Decode takes the bytes of the file from c.Offset on. It returns how many
	// of them it has used (whole records only; the rest is offered again,
	// with more behind it) and a batch to deliver, nil when there is none.
	// With c.Final nothing will follow, so everything has to be used. (If the
	// file grows all the same, Decode is called again behind it.)
	// Using nothing of a chunk that is not final asks for a longer one.
	Decode(c Chunk) (used int, b Batch)
	// State returns what a new Decoder needs to go on behind the bytes used so
	// far. It is saved with the position; at most a few kilobytes. The Tailer
	// keeps the result, so it must not be changed later.
	State() []byte
}

// Chunk is a piece of a file.
type Chunk struct {
	File   *File
	Offset int64  // of Data[0]; in the decompressed content for a .gz
	Data   []byte // may be kept, must not be changed; empty only at the jump of StartAtEnd
	Final  bool   // the file is complete: rotated away or compressed
}

// Batch is what one Decode call produced.
type Batch interface {
	// Deliver blocks until the batch is accepted (nil), or until ctx ends.
	// Any error means: not accepted, read again after a restart. Retrying is
	// the batch's own business.
	Deliver(ctx context.Context) error
}

// File describes a followed file to a Decoder.
type File struct {
	Path   string // as found first, valid UTF-8; a rename does not change it
	Name   string // base name, without .gz
	Before []byte // State behind what the file held before it was truncated, nil without: the writer may go on without a header
	Stream string // Name without rotation marks: acct-2026-01-31-0002.csv is "acct.csv", log.3 is "log"
}

// NewDecoder makes the Decoder for a file: from its beginning with state nil,
// else behind a saved position with what State returned there.
type NewDecoder func(f *File, state []byte) (Decoder, error)

// Store keeps positions over a restart.
type Store interface {
	// Get returns nil, nil for a key that is not there.
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}
