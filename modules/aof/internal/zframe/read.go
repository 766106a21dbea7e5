package zframe

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true)) // never more than there is room for
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

// Decode returns the content of frame i, whose bytes in the file are packed, in dst if it has room. What packed says of
// itself makes it take no more memory than the frame's length. Damage is a *CorruptError.
func (s *Summary) Decode(dst []byte, i int, packed []byte) ([]byte, error) {
	f := s.frames[i]
	bad := func(reason string) ([]byte, error) {
		return nil, &CorruptError{fmt.Sprintf("frame %d", i), f.off, reason}
	}
	if len(packed) != int(f.len) || crc(packed) != f.crc {
		return bad("checksum mismatch")
	}
	n := s.plain(i)
	var h zstd.Header
	if err := h.Decode(packed); err != nil || h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(n) {
		return bad("its content has another length than the summary says")
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	if cap(dst) < n {
		dst = make([]byte, 0, n)
	}
	dst, err := d.DecodeAll(packed, dst[:0:n])
	if err != nil {
		return bad(err.Error())
	}
	if len(dst) != n {
		return bad("its content has another length than the summary says")
	}
	return dst, nil
}

// Reader reads the original. It remembers the frame that it decoded last, so that reading on decodes each once.
type Reader struct {
	src io.ReaderAt
	s   *Summary

	mu     sync.Mutex
	number int // of the frame in plain, -1: none
	plain  []byte
	packed []byte
}

// NewReader makes a Reader of a file with the summary s.
func NewReader(src io.ReaderAt, s *Summary) *Reader { return &Reader{src: src, s: s, number: -1} }

// Size is that of the original.
func (r *Reader) Size() int64 { return r.s.Size }

// ReadAt implements io.ReaderAt. A damaged frame is a *CorruptError; n bytes before it are good.
func (r *Reader) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("zframe: reading at offset %d", off)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(b) {
		at := off + int64(n)
		if at >= r.s.Size {
			return n, io.EOF
		}
		i := r.s.Frame(at)
		if err := r.load(i); err != nil {
			return n, err
		}
		n += copy(b[n:], r.plain[at-int64(i)*int64(r.s.FrameBytes):])
	}
	return n, nil
}

func (r *Reader) load(i int) error {
	if r.number == i {
		return nil
	}
	off, n := r.s.Range(i, i+1)
	if int64(cap(r.packed)) < n {
		r.packed = make([]byte, n)
	}
	r.packed = r.packed[:n]
	if err := readFull(r.src, r.packed, off); err != nil {
		return err
	}
	r.number = -1
	plain, err := r.s.Decode(r.plain, i, r.packed)
	if err != nil {
		return err
	}
	r.plain, r.number = plain, i
	return nil
}

// Verify reads a whole file and checks everything in it: each frame, the summary, and that the seek table says the same.
// Errors: *CorruptError, ErrNewer, those of src, and that of ctx.
func Verify(ctx context.Context, src io.ReaderAt, file int64) (*Summary, error) {
	s, err := ReadSummary(src, file)
	if err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	var packed, plain []byte
	sums := make([]uint32, len(s.frames))
	for i, f := range s.frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if cap(packed) < int(f.len) {
			packed = make([]byte, f.len)
		}
		packed = packed[:f.len]
		if err := readFull(src, packed, f.off); err != nil {
			return nil, err
		}
		sum.Write(packed)
		if plain, err = s.Decode(plain, i, packed); err != nil {
			return nil, err
		}
		sums[i] = uint32(xxhash.Sum64(plain))
	}
	rest := make([]byte, file-s.at)
	if err := readFull(src, rest, s.at); err != nil {
		return nil, err
	}
	sum.Write(rest)
	summary := s.encode()
	if !bytes.HasPrefix(rest, summary) {
		return nil, &CorruptError{"summary", s.at, "it isn't as it would be written"}
	}
	if !bytes.Equal(rest[len(summary):], encodeSeekTable(s, sums, len(summary))) {
		return nil, &CorruptError{"seek table", s.at + int64(len(summary)), "it says something else than the summary"}
	}
	s.CRC32C = sum.Sum32()
	return s, nil
}
