package crypt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"sync/atomic"
	"testing"
)

var (
	database = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	other    = [16]byte{0xff}
)

const lineage = 0x0102030405060708

// filled is a source of random bytes for known answers: all are b.
func filled(b byte) func([]byte) {
	return func(p []byte) {
		for i := range p {
			p[i] = b
		}
	}
}

// ringOf is a keyring whose data keys are n ones, n twos, and so on.
func ringOf(database [16]byte, keys int) *Keyring {
	var list []*dataKey
	for i := range keys {
		d := &dataKey{id: uint32(i + 1), created: 1700000000000000, by: "k1", wrapped: []byte("wrapped")}
		filled(byte(i + 1))(d.secret[:])
		list = append(list, d)
	}
	return newKeyring(database, 1, list)
}

func local(t testing.TB, text string) *Local {
	t.Helper()
	l, err := ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newRing(t testing.TB, p KeyProvider) *Keyring {
	t.Helper()
	k, err := NewKeyring(t.Context(), p, database)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// flipped yields b with each of its bits flipped in turn. What it yields is only good until the next.
func flipped(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		c := bytes.Clone(b)
		for i := range len(b) * 8 {
			c[i/8] ^= 1 << (i % 8)
			if !yield(i, c) {
				return
			}
			c[i/8] ^= 1 << (i % 8)
		}
	}
}

// cuts yields all beginnings of b, and b with a byte more.
func cuts(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range len(b) {
			if !yield(b[:i:i]) {
				return
			}
		}
		yield(append(bytes.Clone(b), 0))
	}
}

func wantError(t testing.TB, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("got error %v, want %v", err, want)
}

// memFile is a file in memory that counts calls and can be full.
type memFile struct {
	b             []byte
	limit         int // bytes, 0 for no limit
	reads, writes atomic.Int64
	closed        bool
}

var errFileFull = errors.New("no room")

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.reads.Add(1)
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(b, f.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.writes.Add(1)
	n := len(b)
	if f.limit > 0 {
		n = max(min(n, f.limit-int(off)), 0)
	}
	if grow := int(off) + n - len(f.b); grow > 0 && n > 0 {
		f.b = append(f.b, make([]byte, grow)...)
	}
	copy(f.b[min(int(off), len(f.b)):], b[:n])
	if n < len(b) {
		return n, errFileFull
	}
	return n, nil
}

func (f *memFile) Truncate(size int64) error {
	if size > int64(len(f.b)) {
		f.b = append(f.b, make([]byte, size-int64(len(f.b)))...)
	}
	f.b = f.b[:size]
	return nil
}

func (f *memFile) Close() error { f.closed = true; return nil }

// mendHeader gives the first 60 bytes of an object's header their checksum.
func mendHeader(b []byte) []byte {
	b = bytes.Clone(b[:60])
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// mendKeyring gives an encoded keyring another checksum.
func mendKeyring(b []byte) []byte {
	b = bytes.Clone(b[:len(b)-4])
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}
