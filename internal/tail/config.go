package tail

import (
	"errors"
	"time"
)

// Config says what a Tailer follows and how. The zero value of every field but
// Include and NewDecoder is usable.
type Config struct {
	// Include and Exclude are globs with *, ?, [a-z], {a,b} and ** (any number
	// of directories). An Exclude without a path separator is matched against
	// the base name. At least one Include is needed.
	Include []string
	Exclude []string
	// StartAtEnd skips what files hold that exist when the Tailer runs for the
	// first time with this Store. The first line and record of such a file are
	// still given to its Decoder, whose batch is thrown away, so that header and
	// identity are known; Chunk.Offset then jumps to the last line start. An
	// archive is not read at all. Files that appear later are read from their
	// beginning.
	StartAtEnd bool
	// InOrder reads the files of a stream one after the other, the oldest first,
	// for decoders that carry something from one file to the next. Without it a
	// live file is read alongside a backlog, so that it does not have to wait.
	InOrder bool
	// PollInterval is the time between two looks at the followed files.
	// Default 250 ms.
	PollInterval time.Duration
	// Notify asks the operating system for change events on the directories.
	// Polling goes on all the same, so a file system without events only costs
	// latency.
	Notify bool
	// ChunkSize is what a Decoder gets at most at once, in bytes, unless it asks
	// for more. Default 256 KiB.
	ChunkSize int
	// MaxRecordSize bounds the growth of a chunk: a Decoder is given up to
	// ChunkSize + MaxRecordSize bytes and has to use some of them by then.
	// Default 1 MiB.
	MaxRecordSize int
	// MaxOpenFiles bounds the open descriptors. Default 64.
	MaxOpenFiles int
	// MaxInFlight bounds the batches that are being delivered. Default 4.
	MaxInFlight int
	// SaveInterval is the least time between two saves of the positions.
	// Default 500 ms.
	SaveInterval time.Duration
	// FinalGrace is how long a rotated or deleted file has to stay unchanged
	// before an incomplete last record is handed over. Default 5 s.
	FinalGrace time.Duration
	// OutGrace is the same for a file that still exists under a name that no
	// pattern matches any more. Default 30 s.
	OutGrace time.Duration
	// CopyGrace is how long a file that begins like a known one is held back to
	// see whether the known one is truncated or removed, which would make it
	// the copy. Default 5 s.
	CopyGrace time.Duration
	// RelistInterval is the time between two full listings, with a look at
	// every file. Default 30 s.
	RelistInterval time.Duration
	// ForgetAfter is how long a file is remembered after it is gone, so that
	// an archive of it is recognised. Default 8 days.
	ForgetAfter time.Duration
	// ShutdownGrace is how long deliveries under way may go on when Run's
	// context has ended. Default 5 s.
	ShutdownGrace time.Duration
	// Store keeps positions; with nil they live in memory only.
	Store Store
	// NewDecoder is required.
	NewDecoder NewDecoder
	Observer   Observer
}

// Observer is told what happens. Every function may be nil. They are called
// from the reading goroutine and must not block.
type Observer struct {
	// Known: an earlier run has read f up to offset, and not finished it. state
	// is what the Decoder's State was there. Called when Run begins, the oldest
	// files first.
	Known func(f *File, offset int64, state []byte)
	// Looked: the first listing is done and showed so many files.
	Looked func(files int)
	// Opened: reading begins, at offset.
	Opened func(f *File, offset int64)
	// Finished: everything was read and accepted, size bytes in all. state is
	// what the Decoder's State was behind the last of them; nil when nothing
	// was decoded. It comes again when f grows after all and ends anew.
	Finished func(f *File, size int64, state []byte)
	// Rotated: the file gave way to a newer one, or got the name path.
	Rotated func(f *File, path string)
	// Truncated: the file was cut or overwritten in place and starts again.
	Truncated func(f *File)
	// Lost: bytes of the file can never be read. reason is a short English text.
	Lost func(f *File, bytes int64, reason string)
	// Denied: no permission for path, a file or a directory; err says how to fix
	// it. Once per path until it works again.
	Denied func(path string, err error)
	// ArchiveSkipped: path is the archive of the known file f. What was read of f
	// is not read again; the rest, if there is one, is read from the archive.
	ArchiveSkipped func(f *File, path string)
	// Problem: something else is wrong with path; it is tried again.
	Problem func(path string, err error)
	// StoreFailed: positions could not be read or saved. Saving is tried again.
	StoreFailed func(err error)
}

// Stats is a snapshot of a Tailer. Counters begin at 0 with New.
type Stats struct {
	Files       int // known and still there
	Open        int // descriptors
	InFlight    int // batches being delivered
	Rotations   int64
	Truncations int64
	BytesRead   int64 // handed to decoders and used by them; of a .gz decompressed
	BytesLost   int64
	Streams     map[string]StreamStats // by File.Stream
}

// StreamStats is the part of Stats that belongs to one stream.
type StreamStats struct {
	Files      int   // not read to the end yet or still live
	BytesRead  int64 //
	LagBytes   int64 // written, not accepted yet; of an unread .gz the compressed size
	LagSeconds float64
}

func (c *Config) setDefaults() error {
	if len(c.Include) == 0 {
		return errors.New("tail: no include pattern")
	}
	if c.NewDecoder == nil {
		return errors.New("tail: no decoder")
	}
	dur := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	num := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	dur(&c.PollInterval, 250*time.Millisecond)
	dur(&c.SaveInterval, 500*time.Millisecond)
	dur(&c.FinalGrace, 5*time.Second)
	dur(&c.OutGrace, 30*time.Second)
	dur(&c.CopyGrace, 5*time.Second)
	dur(&c.RelistInterval, 30*time.Second)
	dur(&c.ForgetAfter, 8*24*time.Hour)
	dur(&c.ShutdownGrace, 5*time.Second)
	num(&c.ChunkSize, 256<<10)
	num(&c.MaxRecordSize, 1<<20)
	num(&c.MaxOpenFiles, 64)
	num(&c.MaxInFlight, 4)
	return nil
}
