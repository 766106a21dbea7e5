package zframe

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// DefaultFrame is how much of the original a frame holds unless Options say otherwise.
const DefaultFrame = 32 << 10

// Options of Write. The zero value is good.
type Options struct {
	FrameBytes int               // of the original in each frame, 1 KiB to 16 MiB; default DefaultFrame
	Level      zstd.EncoderLevel // default zstd.SpeedDefault
	Meta       []byte            // kept in the summary, which has at most 64 MiB
}

// encoders by level: making one costs more than compressing a frame.
var encoders sync.Map // of zstd.EncoderLevel to *sync.Pool

func encoder(level zstd.EncoderLevel) (*zstd.Encoder, func(), error) {
	p, _ := encoders.LoadOrStore(level, new(sync.Pool))
	pool := p.(*sync.Pool)
	if e, ok := pool.Get().(*zstd.Encoder); ok {
		return e, func() { pool.Put(e) }, nil
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true)) // each frame tells its length
	return e, func() { pool.Put(e) }, err
}

// Write stores the first size bytes of src. It holds one frame in memory. Errors: those of w and src, io.ErrUnexpectedEOF
// for a src that ends before size, and that of options which don't fit.
func Write(w io.Writer, src io.ReaderAt, size int64, o Options) (*Summary, error) {
	if o.FrameBytes == 0 {
		o.FrameBytes = DefaultFrame
	}
	if o.FrameBytes < minFrame || o.FrameBytes > maxFrame {
		return nil, fmt.Errorf("zframe: frames of %d bytes: they have %d to %d", o.FrameBytes, minFrame, maxFrame)
	}
	if size < 0 {
		return nil, fmt.Errorf("zframe: an original of %d bytes", size)
	}
	if o.Level == 0 {
		o.Level = zstd.SpeedDefault
	}
	// Before anything is written: ReadSummary refuses what is longer.
	n := size / int64(o.FrameBytes)
	if size%int64(o.FrameBytes) > 0 {
		n++
	}
	if long := summaryBytes(n, len(o.Meta)); long > maxSummary {
		return nil, fmt.Errorf("zframe: a summary of %d bytes, at most %d: take larger frames than %d bytes, or less Meta than %d",
			long, maxSummary, o.FrameBytes, len(o.Meta))
	}
	enc, done, err := encoder(o.Level)
	if err != nil {
		return nil, err
	}
	defer done()
	s := &Summary{Size: size, FrameBytes: o.FrameBytes, Meta: o.Meta}
	out := &summing{w: w, sum: crc32.New(castagnoli)}
	plain := make([]byte, min(int64(o.FrameBytes), size))
	var packed []byte
	var sums []uint32
	for off := int64(0); off < size; off += int64(len(plain)) {
		plain = plain[:min(int64(len(plain)), size-off)]
		if n, err := src.ReadAt(plain, off); n < len(plain) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("zframe: reading the original at offset %d of %d: %w", off+int64(n), size, err)
		}
		packed = enc.EncodeAll(plain, packed[:0])
		s.frames = append(s.frames, frame{out.n, uint32(len(packed)), crc(packed)})
		sums = append(sums, uint32(xxhash.Sum64(plain)))
		if _, err := out.Write(packed); err != nil {
			return nil, err
		}
	}
	s.at = out.n
	summary := s.encode()
	if _, err := out.Write(summary); err != nil {
		return nil, err
	}
	if _, err := out.Write(encodeSeekTable(s, sums, len(summary))); err != nil {
		return nil, err
	}
	s.File, s.CRC32C = out.n, binary.BigEndian.Uint32(out.sum.Sum(nil))
	return s, nil
}

// summing counts and sums what is written.
type summing struct {
	w   io.Writer
	n   int64
	sum hash.Hash32
}

func (s *summing) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.n += int64(n)
	s.sum.Write(b[:n])
	return n, err
}
