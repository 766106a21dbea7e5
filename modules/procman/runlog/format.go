package runlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// FORMAT.md specifies these.
const (
	formatVersion  = 1
	fileHeaderSize = 40
	blockHeadSize  = 48
	maxBody        = 4 << 20
	kindLines      = 0
	kindGap        = 1
)

const magic = "bop\x00rlog"

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// marker begins each block of a file. It is random, so that a process cannot print what looks like a block.
type marker [8]byte

// fileHeader is at the beginning of each file.
type fileHeader struct {
	first   uint64
	created int64 // unix nanoseconds
	marker  marker
}

func (h fileHeader) append(b []byte) []byte {
	at := len(b)
	b = append(b, magic...)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, h.first)
	b = le.AppendUint64(b, uint64(h.created))
	b = append(b, h.marker[:]...)
	return le.AppendUint32(b, crc(b[at:]))
}

// parseFileHeader returns false if b isn't a whole header, and an error if it is one of a newer format. Versions share
// the first 12 bytes only, so a newer one is recognised by them.
func parseFileHeader(b []byte, name string) (h fileHeader, ok bool, err error) {
	if len(b) < fileHeaderSize || string(b[:8]) != magic {
		return h, false, nil
	}
	sound := crc(b[:36]) == le.Uint32(b[36:])
	// A damaged version is not a newer one; newer formats keep the checksum where it is.
	if v := le.Uint16(b[8:]); sound && v > formatVersion {
		return h, false, &NewerFormatError{File: name, Found: int(v), Supported: formatVersion}
	}
	h = fileHeader{first: le.Uint64(b[12:]), created: int64(le.Uint64(b[20:])), marker: marker(b[28:36])}
	return h, sound, nil
}

// blockHead is at the beginning of each block.
type blockHead struct {
	size   uint32 // of the body
	crc    uint32 // of the body
	first  uint64
	time   int64 // unix nanoseconds
	count  uint64
	kind   uint8
	stream Stream
	run    uint8 // length of the run id, with which the body begins
}

func (h blockHead) end() uint64 { return h.first + h.count }

func (h blockHead) put(b []byte, m marker) {
	copy(b, m[:])
	le.PutUint32(b[8:], h.size)
	le.PutUint32(b[12:], h.crc)
	le.PutUint64(b[16:], h.first)
	le.PutUint64(b[24:], uint64(h.time))
	le.PutUint64(b[32:], h.count)
	b[40], b[41], b[42], b[43] = h.kind, uint8(h.stream), h.run, 0
	le.PutUint32(b[44:], crc(b[:44]))
}

func parseBlockHead(b []byte, m marker) (h blockHead, ok bool) {
	if len(b) < blockHeadSize || marker(b[:8]) != m || crc(b[:44]) != le.Uint32(b[44:]) {
		return h, false
	}
	h = blockHead{size: le.Uint32(b[8:]), crc: le.Uint32(b[12:]), first: le.Uint64(b[16:]), time: int64(le.Uint64(b[24:])),
		count: le.Uint64(b[32:]), kind: b[40], stream: Stream(b[41]), run: b[42]}
	sane := h.size <= maxBody && uint32(h.run) <= h.size && h.first > 0 && h.count > 0 && h.end() > h.first &&
		h.kind <= kindGap && (h.kind == kindGap || h.stream.valid())
	return h, sane
}

// appendLine appends one line of a block's body.
func appendLine(b []byte, flags Flags, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, byte(flags))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// cutLine takes one line from the rest of a block's body.
func cutLine(b []byte) (data []byte, flags Flags, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || len(b) == k || n > uint64(len(b)-k-1) {
		return nil, 0, nil, false
	}
	flags = Flags(b[k])
	b = b[k+1:]
	return b[:n:n], flags, b[n:], true
}

// gapBlock encodes a recorded gap.
func gapBlock(b []byte, g hole, time int64, m marker) []byte {
	body := [1]byte{byte(g.reason)}
	h := blockHead{size: 1, crc: crc(body[:]), first: g.from, time: time, count: g.count, kind: kindGap}
	at := len(b)
	b = append(b, make([]byte, blockHeadSize)...)
	h.put(b[at:], m)
	return append(b, body[0])
}

// hole is a gap that waits to be recorded.
type hole struct {
	from, count uint64
	reason      Reason
}

func (g hole) String() string { return fmt.Sprintf("%d to %d, %s", g.from, g.from+g.count-1, g.reason) }
