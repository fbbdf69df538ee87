// Package webhook holds what a receiver of HTTP webhooks needs besides
// net/http: bodies of bounded size, a secret, and work that is done once
// although the sender asks for it again. It knows nothing of the Collector.
package webhook // import "github.com/otelcol-pmta/otelcol-pmta/internal/webhook"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// ErrTooLarge says that a body, or what it unpacks to, is longer than allowed.
var ErrTooLarge = errors.New("longer than allowed")

// ErrDamaged says that a compressed body cannot be unpacked.
var ErrDamaged = errors.New("the gzip data is damaged")

// firstRead is how much memory a body gets before a byte of it is there.
const firstRead = 32 << 10

// ReadAll reads r to its end, limit bytes at most, else it returns
// ErrTooLarge. Other errors are those of r. expected is the size that the
// sender has announced, or 0; it counts only once firstRead bytes have come.
func ReadAll(r io.Reader, expected int64, limit int) ([]byte, error) {
	buf := make([]byte, 0, min(firstRead, limit+1))
	for {
		if len(buf) == cap(buf) {
			size := 2 * cap(buf)
			if expected <= int64(limit) {
				size = max(size, int(expected)+1) // 1 for the read that finds the end
			}
			grown := make([]byte, len(buf), min(size, limit+1))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > limit {
			return nil, ErrTooLarge
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Gzipped tells by its first bytes whether b is compressed with gzip.
func Gzipped(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 }

var readers sync.Pool // of *gzip.Reader

// Gunzip unpacks b, to limit bytes at most, else it returns ErrTooLarge. It
// stops there, however much would follow. Any other error wraps ErrDamaged.
func Gunzip(b []byte, limit int) ([]byte, error) {
	zr, ok := readers.Get().(*gzip.Reader)
	if !ok {
		zr = new(gzip.Reader)
	}
	defer readers.Put(zr)
	err := zr.Reset(bytes.NewReader(b))
	var out []byte
	if err == nil {
		// The end of gzip data says how long the last part of it is unpacked.
		out, err = ReadAll(zr, int64(binary.LittleEndian.Uint32(b[len(b)-4:])), limit)
	}
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return out, err
}
