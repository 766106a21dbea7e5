package aof

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// The format, version 1; docs/formats/aof.md has every byte. All integers are little-endian.
const (
	formatVersion = 1

	headerBytes  = 64   // of a segment header
	headerCopy   = 2048 // offset of its second copy
	dataStart    = 4096 // offset of the first batch
	batchBytes   = 48   // of a batch header
	trailerBytes = 64   // at the very end of a sealed segment's file
	align        = 8    // batches and footers begin at multiples of it

	maxBatchPayload = 1 << 30
)

var (
	segmentMagic = [8]byte{'B', 'O', 'P', 'A', 'O', 'F', 'S', 'G'}
	footerMagic  = [8]byte{'B', 'O', 'P', 'A', 'O', 'F', 'F', 'T'}
	trailerMagic = [8]byte{'B', 'O', 'P', 'A', 'O', 'F', 'T', 'R'}
	batchMagic   = [4]byte{'B', 'A', 'T', '1'}
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed starts a checksum with the segment's salt, so that bytes of another use of the file never match.
func seed(salt uint64, more uint32) uint32 {
	// Byte by byte: a slice that is given to package crc32 would be allocated.
	c := ^uint32(0)
	for range 8 {
		c = castagnoli[byte(c)^byte(salt)] ^ c>>8
		salt >>= 8
	}
	for range 4 {
		c = castagnoli[byte(c)^byte(more)] ^ c>>8
		more >>= 8
	}
	return ^c
}

func crc(start uint32, b []byte) uint32 { return crc32.Update(start, castagnoli, b) }

func aligned(n int64) int64 { return (n + align - 1) &^ (align - 1) }

// segmentHeader begins a segment file.
type segmentHeader struct {
	salt     uint64   // drawn at random for each use of the file
	sequence uint64   // of the segment in the log; later segments cut earlier ones off at their base
	base     Position // of the first record
	prev     uint32   // checksum of the last batch of the segment before
	created  int64    // nanoseconds since 1970
}

func (h *segmentHeader) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, segmentMagic[:])
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	binary.LittleEndian.PutUint16(b[10:], headerBytes)
	binary.LittleEndian.PutUint64(b[16:], h.salt)
	binary.LittleEndian.PutUint64(b[24:], h.sequence)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.base))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.created))
	binary.LittleEndian.PutUint32(b[48:], h.prev)
	binary.LittleEndian.PutUint32(b[60:], crc(0, b[:60]))
	return b
}

// decodeSegmentHeader returns nil for bytes that are not a valid header. A valid header of a newer format gives its
// version; where the version and the checksum stand never changes, so that a flipped bit isn't taken for a new format.
func decodeSegmentHeader(b []byte) (h *segmentHeader, newer int) {
	if len(b) < headerBytes || !bytes.Equal(b[:8], segmentMagic[:]) {
		return nil, 0
	}
	if crc(0, b[:60]) != binary.LittleEndian.Uint32(b[60:]) {
		return nil, 0
	}
	if v := int(binary.LittleEndian.Uint16(b[8:])); v > formatVersion {
		return nil, v
	}
	return &segmentHeader{
		salt:     binary.LittleEndian.Uint64(b[16:]),
		sequence: binary.LittleEndian.Uint64(b[24:]),
		base:     Position(binary.LittleEndian.Uint64(b[32:])),
		created:  int64(binary.LittleEndian.Uint64(b[40:])),
		prev:     binary.LittleEndian.Uint32(b[48:]),
	}, 0
}

// batchHeader begins a batch. A batch without records is a mark: it only carries the durable position.
type batchHeader struct {
	payload int      // bytes after the header, before the padding
	count   int      // records
	first   Position // of the first record; of a mark: of the next record
	key     uint32   // number of the key that the payload is sealed by, 0: it isn't
	durable Position // what was known to be on disk when the batch was written
	prev    uint32   // checksum of the batch before in this segment; of the first: the segment header's prev
	sum     uint32   // checksum of this batch: of header and payload
}

func (h *batchHeader) last() Position { return h.first + Position(h.count) - 1 }

// size is the number of bytes that the batch takes in the file.
func (h *batchHeader) size() int64 { return aligned(batchBytes + int64(h.payload)) }

// encode fills the header's place at the beginning of b, whose payload is already there.
func (h *batchHeader) encode(b []byte, salt uint64) {
	copy(b, batchMagic[:])
	binary.LittleEndian.PutUint32(b[4:], uint32(h.payload))
	binary.LittleEndian.PutUint32(b[8:], uint32(h.count))
	binary.LittleEndian.PutUint32(b[12:], h.key)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.durable))
	binary.LittleEndian.PutUint32(b[32:], h.prev)
	sum := crc(seed(salt, h.prev), b[:36])
	binary.LittleEndian.PutUint32(b[36:], sum)
	h.sum = crc(sum, b[batchBytes:batchBytes+h.payload])
	binary.LittleEndian.PutUint32(b[40:], h.sum)
	binary.LittleEndian.PutUint32(b[44:], 0)
}

// decodeBatchHeader checks the header alone; the payload is checked by verify.
func decodeBatchHeader(b []byte, salt uint64) (h batchHeader, ok bool) {
	if len(b) < batchBytes || [4]byte(b[:4]) != batchMagic || binary.LittleEndian.Uint32(b[44:]) != 0 {
		return h, false
	}
	h = batchHeader{
		payload: int(binary.LittleEndian.Uint32(b[4:])),
		count:   int(binary.LittleEndian.Uint32(b[8:])),
		key:     binary.LittleEndian.Uint32(b[12:]),
		first:   Position(binary.LittleEndian.Uint64(b[16:])),
		durable: Position(binary.LittleEndian.Uint64(b[24:])),
		prev:    binary.LittleEndian.Uint32(b[32:]),
		sum:     binary.LittleEndian.Uint32(b[40:]),
	}
	if h.payload > maxBatchPayload || h.count > h.payload {
		return h, false
	}
	return h, crc(seed(salt, h.prev), b[:36]) == binary.LittleEndian.Uint32(b[36:])
}

// verify checks a whole batch whose header was decoded from b.
func (h *batchHeader) verify(b []byte) bool {
	return len(b) >= batchBytes+h.payload &&
		crc(binary.LittleEndian.Uint32(b[36:]), b[batchBytes:batchBytes+h.payload]) == h.sum
}

// appendRecord adds a record to a payload: its length as an unsigned varint, then its bytes.
func appendRecord(payload, rec []byte) []byte {
	payload = binary.AppendUvarint(payload, uint64(len(rec)))
	return append(payload, rec...)
}

// nextRecord cuts the first record off a payload.
func nextRecord(payload []byte) (rec, rest []byte, ok bool) {
	n, k := binary.Uvarint(payload)
	if k <= 0 || n > uint64(len(payload)-k) {
		return nil, nil, false
	}
	return payload[k : k+int(n)], payload[k+int(n):], true
}

// indexEntry tells where the batch begins that holds a position.
type indexEntry struct {
	first Position
	off   int64
}

// footer ends the data of a sealed segment.
type footer struct {
	header segmentHeader // as at the beginning, should that be damaged
	next   Position      // after the last record
	count  uint64
	end    int64  // offset after the last batch
	sum    uint32 // checksum of the last batch, which chains over all
	index  []indexEntry
}

func (f *footer) encode() []byte {
	b := append([]byte(nil), footerMagic[:]...)
	b = append(b, f.header.encode()...)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.next))
	b = binary.LittleEndian.AppendUint64(b, f.count)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.end))
	b = binary.LittleEndian.AppendUint32(b, f.sum)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.index)))
	for _, e := range f.index {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.first))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.off))
	}
	return binary.LittleEndian.AppendUint32(b, crc(seed(f.header.salt, 0), b))
}

const footerFixed = 8 + headerBytes + 8 + 8 + 8 + 4 + 4

func decodeFooter(b []byte) (*footer, bool) {
	if len(b) < footerFixed+4 || !bytes.Equal(b[:8], footerMagic[:]) {
		return nil, false
	}
	h, _ := decodeSegmentHeader(b[8:])
	if h == nil {
		return nil, false
	}
	p := b[8+headerBytes:]
	f := &footer{
		header: *h,
		next:   Position(binary.LittleEndian.Uint64(p)),
		count:  binary.LittleEndian.Uint64(p[8:]),
		end:    int64(binary.LittleEndian.Uint64(p[16:])),
		sum:    binary.LittleEndian.Uint32(p[24:]),
	}
	n := uint64(binary.LittleEndian.Uint32(p[28:]))
	if uint64(len(b)) != footerFixed+16*n+4 || crc(seed(h.salt, 0), b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, false
	}
	p = p[32:]
	f.index = make([]indexEntry, n)
	for i := range f.index {
		f.index[i] = indexEntry{Position(binary.LittleEndian.Uint64(p[16*i:])), int64(binary.LittleEndian.Uint64(p[16*i+8:]))}
	}
	return f, true
}

// trailer is at the end of a sealed segment's file and tells where the footer is.
func encodeTrailer(salt uint64, off int64, length int) []byte {
	b := make([]byte, trailerBytes)
	copy(b, trailerMagic[:])
	binary.LittleEndian.PutUint64(b[8:], salt)
	binary.LittleEndian.PutUint64(b[16:], uint64(off))
	binary.LittleEndian.PutUint64(b[24:], uint64(length))
	binary.LittleEndian.PutUint32(b[60:], crc(0, b[:60]))
	return b
}

func decodeTrailer(b []byte) (salt uint64, off int64, length int, ok bool) {
	if len(b) != trailerBytes || !bytes.Equal(b[:8], trailerMagic[:]) || crc(0, b[:60]) != binary.LittleEndian.Uint32(b[60:]) {
		return 0, 0, 0, false
	}
	return binary.LittleEndian.Uint64(b[8:]), int64(binary.LittleEndian.Uint64(b[16:])), int(binary.LittleEndian.Uint64(b[24:])), true
}
