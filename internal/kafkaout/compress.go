package kafkaout

import (
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/compress/gzip"
	"github.com/segmentio/kafka-go/compress/lz4"
	"github.com/segmentio/kafka-go/compress/snappy"
)

// Compression is how record batches are compressed.
type Compression int8

// The compressions of the Kafka protocol, with their numbers there.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var compressionNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// ParseCompression returns the compression called name: none, gzip, snappy,
// lz4 or zstd.
func ParseCompression(name string) (Compression, error) {
	for i, n := range compressionNames {
		if n == name {
			return Compression(i), nil
		}
	}
	return None, fmt.Errorf("compression %q is not known; use none, gzip, snappy, lz4 or zstd", name)
}

// String returns the name that ParseCompression takes.
func (c Compression) String() string { return compressionNames[c] }

// codec compresses whole batches. It is safe for several goroutines.
type codec struct {
	kind Compression
	zstd *zstd.Encoder
	lib  compress.Codec
}

// newCodec returns a codec. level is that of the compression's own scale; 0
// and -1 mean the default.
func newCodec(kind Compression, level int) (*codec, error) {
	c := &codec{kind: kind}
	switch kind {
	case Gzip:
		if level == 0 {
			level = -1
		}
		c.lib = &gzip.Codec{Level: level}
	case Snappy:
		c.lib = &snappy.Codec{}
	case LZ4:
		c.lib = &lz4.Codec{}
	case Zstd:
		// The fastest level: on mail logs as JSON the default level takes a
		// sixth to a third more time for 3 % fewer bytes.
		l := zstd.SpeedFastest
		if level > 0 {
			l = zstd.EncoderLevelFromZstd(level)
		}
		// The batch has a checksum of its own. It is seldom over a megabyte,
		// so a larger window is memory for nothing.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
		if err != nil {
			return nil, err
		}
		c.zstd = e
	}
	return c, nil
}

// append appends src, compressed, to dst.
func (c *codec) append(dst, src []byte) ([]byte, error) {
	switch {
	case c.zstd != nil:
		return c.zstd.EncodeAll(src, dst), nil
	case c.lib != nil:
		out := sliceWriter{dst}
		w := c.lib.NewWriter(&out)
		if _, err := w.Write(src); err != nil {
			_ = w.Close()
			return dst, err
		}
		err := w.Close()
		return out.b, err
	}
	return append(dst, src...), nil
}

type sliceWriter struct{ b []byte }

var _ io.Writer = (*sliceWriter)(nil)

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}
