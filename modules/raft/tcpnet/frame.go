package tcpnet

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// kind says what a frame holds.
type kind byte

const (
	kindMessages kind = 1 + iota
	kindPing          // empty: the sender is there
	kindPong          // empty: the answer
	kindBegin         // a snapshot: its size and message
	kindHave          // how much of it the receiver has
	kindFrom          // where the sender goes on
	kindChunk         // bytes of the body
	kindEnd           // SHA-256 of the body
	kindResult        // what became of it
)

const (
	frameHeader = 12
	frameTarget = 256 << 10 // messages are gathered into a frame up to this size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealFrame fills in the header of a frame that begins at start of b and ends with it.
func sealFrame(b []byte, start int, k kind) {
	f := b[start:]
	binary.LittleEndian.PutUint32(f, uint32(len(f)-frameHeader))
	f[4], f[5], f[6], f[7] = byte(k), 0, 0, 0
	sum := crc32.Update(crc32.Checksum(f[:8], castagnoli), castagnoli, f[frameHeader:])
	binary.LittleEndian.PutUint32(f[8:], sum)
}

// appendFrame appends a frame with a payload of several parts.
func appendFrame(b []byte, k kind, parts ...[]byte) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	for _, p := range parts {
		b = append(b, p...)
	}
	sealFrame(b, start, k)
	return b
}

// frameReader reads frames. The payload that it returns is valid until the next one.
type frameReader struct {
	r     io.Reader
	limit int // of a payload
	head  [frameHeader]byte
	buf   []byte
}

func (f *frameReader) next() (kind, []byte, error) {
	if _, err := io.ReadFull(f.r, f.head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(f.head[:])
	k := kind(f.head[4])
	if k < kindMessages || k > kindResult || f.head[5]|f.head[6]|f.head[7] != 0 {
		return 0, nil, fmt.Errorf("%w: no such frame: % x", ErrProtocol, f.head[:8])
	}
	if int64(n) > int64(f.limit) {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes, at most %d may come", ErrProtocol, n, f.limit)
	}
	p, err := f.payload(int(n))
	if err != nil {
		return 0, nil, err
	}
	sum := crc32.Update(crc32.Checksum(f.head[:8], castagnoli), castagnoli, p)
	if sum != binary.LittleEndian.Uint32(f.head[8:]) {
		return 0, nil, fmt.Errorf("%w: checksum of a frame of %d bytes is wrong", ErrProtocol, n)
	}
	return k, p, nil
}

// payload reads n bytes. Room is made as they come: a length alone, which may be a lie, costs nothing.
func (f *frameReader) payload(n int) ([]byte, error) {
	const keep, step = 1 << 20, 256 << 10
	if cap(f.buf) > keep && n <= keep {
		f.buf = nil
	}
	have := 0
	for have < n {
		if have == cap(f.buf) {
			grown := make([]byte, min(n, max(2*have, step)))
			copy(grown, f.buf[:have])
			f.buf = grown
		}
		to := min(n, cap(f.buf))
		if _, err := io.ReadFull(f.r, f.buf[have:to]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		have = to
	}
	return f.buf[:n], nil
}
