package tail

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
)

// fileKey is a file's identity on its volume for as long as it exists. Born is
// the time of creation in Unix nanoseconds where the file system knows it, else
// 0: it tells a file from a deleted one that had the same number.
type fileKey struct {
	Dev, Ino uint64
	Born     int64
}

type stat struct {
	key     fileKey
	size    int64
	mtime   int64 // Unix nanoseconds
	links   uint64
	regular bool
	dir     bool
}

// state is what the Tailer does with a file. See design.md.
type state uint8

const (
	statePending state = iota // has bytes to read; in its group's queue
	stateIdle                 // read to its end, may grow; looked at on each poll
	stateWait                 // held back, may be the copy of a known file
	stateRetry                // cannot be read now; tried again at retryAt
	stateDone                 // complete, read and accepted; looked at on a relist
	stateGone                 // not bound to any file on disk; kept to recognise a copy
)

const (
	tailLen    = 256      // bytes before a position that prove the position
	prefixMin  = 64       // least bytes behind the first line that tell files apart
	prefixMax  = 64 << 10 // a longer first record is cut here
	gzSkipStep = 4 << 20  // decompressed bytes thrown away in one turn
)

type prefix struct {
	n        int64 // length; 0 = nothing known
	hash     [16]byte
	complete bool // header and first record are in it
}

// file is one content: it outlives renames, compression and the descriptor.
type file struct {
	info File

	// Binding to the disk. All of it is void in stateGone.
	key     fileKey
	path    string   // a name that leads to the file
	aliases []string // further names
	gz      bool
	size    int64 // as last seen; raw size of a .gz
	maxSize int64 // size when the content before pos was last verified
	mtime   int64
	links   uint64
	fh      *os.File
	z       *gzReader
	used    uint64 // turn counter of the last use of fh

	prefix prefix
	pos    int64  // read and decoded up to here
	tail   uint64 // hash of the tailLen bytes before pos
	tried  int64  // the decoder was offered everything up to here
	chunk  int    // current chunk size
	dec    Decoder

	flights   []*flight // in order of the file
	acked     int64     // low-water mark: everything before is accepted
	ackedTail uint64
	ackedSt   []byte // Decoder state at acked
	hasState  bool

	state     state
	order     order
	group     *group
	idleIdx   int
	examined  bool // compared with known files
	rejected  map[*file]bool
	adopted   bool // bound to an archive; tail at pos not verified yet
	atEnd     bool // begin at the end
	renamed   bool
	rotated   bool // counted as rotated
	rotatedAt time.Time
	final     bool // the next turn gives the rest as final
	finalDone bool // the rest was given up to tried
	check     bool // verify the tail even without growth
	failed    bool // a delivery failed while running: rewind
	denied    bool // reported
	opened    bool // reported
	problem   string
	seenAt    time.Time
	changedAt time.Time
	missing   time.Time // zero: a name leads to the file
	retryAt   time.Time
	heldUntil time.Time // not read before, whatever is written to it
	cut       bool      // while gone: its file was truncated by this run
	waitFrom  time.Time
	waitEpoch uint64
	waitLong  bool
	goneAt    time.Time
	behind    time.Time // unaccepted bytes are at least this old; zero: none
	lost      int64     // bytes to report unless a copy turns up
	lostWhy   string
	shard     *shard
}

type flight struct {
	f      *file
	end    int64
	tail   uint64
	state  []byte
	batch  Batch
	at     time.Time
	eof    bool
	done   bool
	failed bool
	dead   bool // the file was rewound: the result means nothing
}

func hashTail(b []byte) uint64 {
	if len(b) > tailLen {
		b = b[len(b)-tailLen:]
	}
	s := sha256.Sum256(b)
	return binary.BigEndian.Uint64(s[:])
}

func tailLenAt(pos int64) int64 { return min(pos, tailLen) }

// prefixOf finds the identifying prefix in the first bytes of a file: the
// first line and the first record, which ends at a line end at least prefixMin
// bytes further. Without a whole record only the first line counts.
func prefixOf(b []byte) prefix {
	cut := func(n int, complete bool) prefix {
		s := sha256.Sum256(b[:n])
		return prefix{n: int64(n), hash: [16]byte(s[:16]), complete: complete}
	}
	first := bytes.IndexByte(b, '\n') + 1
	if first > 0 && len(b) >= first+prefixMin {
		if i := bytes.IndexByte(b[first+prefixMin-1:], '\n'); i >= 0 && first+prefixMin+i <= prefixMax {
			return cut(first+prefixMin+i, true)
		}
	}
	if len(b) >= prefixMax {
		return cut(prefixMax, true)
	}
	if first > 0 {
		return cut(first, false)
	}
	return prefix{}
}

// readPrefix reads the first bytes of the content, decompressed for a .gz.
func readPrefix(fh *os.File, gz bool) (prefix, error) {
	buf := make([]byte, 4<<10)
	for {
		var n int
		var err error
		if gz {
			z, zerr := newGzReader(fh)
			if zerr != nil {
				return prefix{}, zerr
			}
			n, err = io.ReadFull(z, buf)
			if errors.Is(err, io.ErrUnexpectedEOF) || err == nil {
				err = io.EOF
			}
		} else {
			n, err = fh.ReadAt(buf, 0)
		}
		if err != nil && err != io.EOF {
			return prefix{}, err
		}
		p := prefixOf(buf[:n])
		if p.complete || n < len(buf) || len(buf) >= prefixMax {
			return p, nil
		}
		buf = make([]byte, min(len(buf)*4, prefixMax))
	}
}

// samePrefix says whether the file still begins with p.
func samePrefix(fh *os.File, gz bool, p prefix) (bool, error) {
	if p.n == 0 {
		return true, nil
	}
	buf := make([]byte, p.n)
	var n int
	var err error
	if gz {
		z, zerr := newGzReader(fh)
		if zerr != nil {
			return false, zerr
		}
		n, err = io.ReadFull(z, buf)
	} else {
		n, err = fh.ReadAt(buf, 0)
	}
	if n < len(buf) {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		return false, err
	}
	s := sha256.Sum256(buf)
	return [16]byte(s[:16]) == p.hash, nil
}

// sameTail says whether the bytes before pos are those that were read there.
func sameTail(fh *os.File, pos int64, want uint64) (bool, error) {
	buf := make([]byte, tailLenAt(pos))
	n, err := fh.ReadAt(buf, pos-int64(len(buf)))
	if n < len(buf) {
		if err == io.EOF {
			err = nil
		}
		return false, err
	}
	return hashTail(buf) == want, nil
}

// gzReader decompresses from the beginning of a file.
type gzReader struct {
	zr   *gzip.Reader
	at   int64  // decompressed bytes handed out
	last []byte // up to tailLen bytes before at, kept while skipping
	rest []byte // handed out, not used by the decoder yet
	eof  bool
}

func newGzReader(fh *os.File) (*gzReader, error) {
	zr, err := gzip.NewReader(io.NewSectionReader(fh, 0, 1<<62))
	if err != nil {
		if err == io.EOF { // empty so far
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return &gzReader{zr: zr}, nil
}

func (z *gzReader) Read(p []byte) (int, error) {
	n, err := z.zr.Read(p)
	z.at += int64(n)
	return n, err
}

// skip moves towards pos and says whether it is reached.
func (z *gzReader) skip(pos int64) (bool, error) {
	buf := make([]byte, 64<<10)
	for todo := int64(gzSkipStep); z.at < pos && todo > 0; {
		n, err := z.Read(buf[:min(int64(len(buf)), pos-z.at)])
		todo -= int64(n)
		z.last = append(z.last, buf[:n]...)
		if extra := len(z.last) - tailLen; extra > 0 {
			z.last = append(z.last[:0], z.last[extra:]...)
		}
		if err != nil && z.at < pos {
			return false, err
		}
	}
	return z.at >= pos, nil
}
