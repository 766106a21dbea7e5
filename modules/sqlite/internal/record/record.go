// Package record writes and reads the records that transactions leave in the log. The bytes are specified in
// docs/formats/record.md. With keys they are sealed, once, when they are made. A transaction is one record, or, when it is large, several parts of which only the last
// commits.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

const (
	magic = 0xB0
	// Version is the newest format that this package reads.
	Version = 3
	// What records are: in the clear, sealed, in the clear with a keyring.
	plain, sealed, keyed = 1, 2, 3

	flagLast  = 1 << 0
	flagImage = 1 << 1
	flagsAll  = flagLast | flagImage

	fixedLen = 3 + 16 + 8 + 8 + 1 // up to and with the page size, before the first varint
	crcLen   = 4
)

// PartBytes is where a writer begins the next part of a transaction.
const PartBytes = 1 << 20

var (
	// ErrCorrupt is wrapped by the errors about bytes that are no record.
	ErrCorrupt = errors.New("log record is damaged")
	// ErrNewerVersion is wrapped when a record was written by a newer program.
	ErrNewerVersion = errors.New("log record has a newer format")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header begins every part.
type Header struct {
	Database page.ID
	Lineage  uint64
	Epoch    uint64
	TXID     page.TXID
	Prev     page.TXID
	Time     int64  // microseconds since 1970, never before the previous record's
	Size     uint32 // bytes per page
	Part     uint32 // 1, 2, …
	Image    bool   // pages do not build on the previous version: a new page size, an import
}

// Commit ends the last part.
type Commit struct {
	Pages        uint32 // pages in the database after the transaction
	PrevChecksum uint64 // of the database before it
	Checksum     uint64 // of the database after it
}

// Record is one decoded part. Its deltas alias the bytes it was decoded from.
type Record struct {
	Header
	Last    bool
	Commit  Commit // of the last part
	Keyring []byte // the database's keyring from this transaction on, nil: as before
	deltas  []byte
}

// Writer builds the parts of one transaction. The zero Writer is ready for Begin.
type Writer struct {
	buf  []byte
	h    Header
	pgno uint32
}

// Begin starts a transaction's first part; h.Part is set by the Writer.
func (w *Writer) Begin(h Header) {
	w.h, w.h.Part = h, 0
	w.next()
}

func (w *Writer) next() {
	w.h.Part++
	w.pgno = 0
	h := &w.h
	var flags byte
	if h.Image {
		flags |= flagImage
	}
	b := append(w.buf[:0], magic, plain, flags)
	b = append(b, h.Database[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.Lineage)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Time))
	b = append(b, byte(bits.TrailingZeros32(h.Size)))
	b = binary.AppendUvarint(b, h.Epoch)
	b = binary.AppendUvarint(b, uint64(h.TXID))
	b = binary.AppendUvarint(b, uint64(h.TXID-h.Prev))
	w.buf = binary.AppendUvarint(b, uint64(h.Part))
}

// Page adds a page. Pages come in ascending order; base is the page before the transaction, nil for zeros.
func (w *Writer) Page(no uint32, data, base []byte) {
	if base == nil {
		base = page.Zeros(uint32(len(data)))
	}
	w.buf = binary.AppendUvarint(w.buf, uint64(no-w.pgno))
	w.pgno = no
	w.buf = appendDelta(w.buf, data, base)
}

// Len is the number of bytes in the part so far.
func (w *Writer) Len() int { return len(w.buf) }

// Part ends the part and begins the next. The caller owns the bytes.
func (w *Writer) Part() []byte {
	rec := w.end(nil, nil)
	w.next()
	return rec
}

// Finish ends the last part. The caller owns the bytes.
func (w *Writer) Finish(c Commit) []byte { return w.end(&c, nil) }

// FinishKeys ends a transaction that changes nothing but the keyring. Such a record is never sealed: it brings what
// others are opened with.
func (w *Writer) FinishKeys(c Commit, keyring []byte) []byte {
	w.buf[1] = keyed
	return w.end(&c, keyring)
}

func (w *Writer) end(c *Commit, keyring []byte) []byte {
	b := binary.AppendUvarint(w.buf, 0)
	if c != nil {
		b[2] |= flagLast
		b = binary.AppendUvarint(b, uint64(c.Pages))
		b = binary.LittleEndian.AppendUint64(b, c.PrevChecksum)
		b = binary.LittleEndian.AppendUint64(b, c.Checksum)
	}
	if keyring != nil {
		b = append(binary.AppendUvarint(b, uint64(len(keyring))), keyring...)
	}
	w.buf = b
	rec := make([]byte, len(b), len(b)+crcLen)
	copy(rec, b)
	return binary.LittleEndian.AppendUint32(rec, crc32.Checksum(rec, castagnoli))
}

// Decode reads one part and checks its CRC and its structure.
func Decode(b []byte) (*Record, error) {
	if len(b) < 2 || b[0] != magic {
		return nil, fmt.Errorf("%w: it does not begin with the magic byte", ErrCorrupt)
	}
	if b[1] > Version {
		return nil, fmt.Errorf("%w: %d, and this program reads up to %d", ErrNewerVersion, b[1], Version)
	}
	if b[1] == sealed {
		return nil, fmt.Errorf("%w: it is sealed", ErrCorrupt)
	}
	if b[1] == 0 || len(b) < fixedLen+crcLen {
		return nil, fmt.Errorf("%w: short header", ErrCorrupt)
	}
	body := b[:len(b)-crcLen]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: checksum mismatch", ErrCorrupt)
	}
	if body[2]&^flagsAll != 0 || body[35] > 16 {
		return nil, fmt.Errorf("%w: unknown flags or page size", ErrCorrupt)
	}
	r := &Record{Last: body[2]&flagLast != 0}
	r.Image = body[2]&flagImage != 0
	copy(r.Database[:], body[3:])
	r.Lineage = binary.LittleEndian.Uint64(body[19:])
	r.Time = int64(binary.LittleEndian.Uint64(body[27:]))
	r.Size = 1 << body[35]
	in := reader{b: body[fixedLen:]}
	r.Epoch = in.uvarint()
	r.TXID = page.TXID(in.uvarint())
	step := page.TXID(in.uvarint())
	part := in.uvarint()
	if in.bad || !page.ValidSize(r.Size) || r.TXID == 0 || step == 0 || step > r.TXID || part == 0 || part > 1<<31 {
		return nil, fmt.Errorf("%w: impossible header", ErrCorrupt)
	}
	r.Prev, r.Part = r.TXID-step, uint32(part)
	rest := in.b
	if err := walk(&in, r.Size, nil); err != nil {
		return nil, err
	}
	r.deltas = rest[:len(rest)-len(in.b)]
	if r.Last {
		pages := in.uvarint()
		r.Commit.PrevChecksum = in.uint64()
		r.Commit.Checksum = in.uint64()
		if in.bad || pages > 1<<32-2 {
			return nil, fmt.Errorf("%w: impossible commit", ErrCorrupt)
		}
		r.Commit.Pages = uint32(pages)
	}
	if b[1] == keyed {
		if n := in.uvarint(); n <= uint64(len(in.b)) {
			r.Keyring, in.b = in.b[:n:n], in.b[n:]
		}
		if len(r.Keyring) == 0 || !r.Last || len(r.deltas) > 1 {
			return nil, fmt.Errorf("%w: impossible keyring", ErrCorrupt)
		}
	}
	if in.bad || len(in.b) != 0 {
		return nil, fmt.Errorf("%w: bytes after its end", ErrCorrupt)
	}
	return r, nil
}

// Delta is how one page changed.
type Delta struct {
	size uint32
	b    []byte
}

// Pages calls fn for each page in ascending order until fn fails.
func (r *Record) Pages(fn func(no uint32, d Delta) error) error {
	in := reader{b: r.deltas}
	return walk(&in, r.Size, fn)
}

func walk(in *reader, size uint32, fn func(no uint32, d Delta) error) error {
	var no uint64
	for {
		step := in.uvarint()
		if in.bad || no+step > 1<<32-2 {
			return fmt.Errorf("%w: page number out of range", ErrCorrupt)
		}
		if step == 0 {
			return nil
		}
		no += step
		start := in.b
		if !skipDelta(in, size) {
			return fmt.Errorf("%w: delta of page %d", ErrCorrupt, no)
		}
		if fn != nil {
			if err := fn(uint32(no), Delta{size, start[:len(start)-len(in.b)]}); err != nil {
				return err
			}
		}
	}
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.bad, r.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}
