package pagefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/cespare/xxhash/v2"
)

const (
	magic = "BOPPAGES"
	// Version is the newest format that this package reads, and the one that it writes.
	Version = 1

	headerBytes  = 512  // what a header holds; written in one sector
	headerStride = 4096 // distance of the two headers
	slotsStart   = 2 * headerStride

	nodeHeader = 16
	entryBytes = 12
	nodeMagic  = 0x4e50 // "PN"
	maxLevels  = 8
)

// ErrDamaged is wrapped by all errors about bytes on disk that are not what was written.
var ErrDamaged = errors.New("page file is damaged")

// DamageError names what is damaged. It wraps ErrDamaged.
type DamageError struct {
	File   string // path of the page file
	Page   uint32 // number of the page that can't be read, 0 if it is a header or a node of the map
	Offset int64  // in the file
	Reason string
}

func (e *DamageError) Error() string {
	if e.Page == 0 {
		return fmt.Sprintf("%s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
	}
	return fmt.Sprintf("%s is damaged at offset %d: page %d: %s", e.File, e.Offset, e.Page, e.Reason)
}

// Unwrap returns ErrDamaged.
func (e *DamageError) Unwrap() error { return ErrDamaged }

// NewerFormatError says that the file was written by a newer program.
type NewerFormatError struct {
	File             string
	Found, Supported uint32
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("%s has format %d and this program reads up to %d", e.File, e.Found, e.Supported)
}

// Identity says whose pages a file holds.
type Identity struct {
	Database page.ID
	Lineage  uint64
}

// header is what one of the two headers says.
type header struct {
	id         Identity
	generation uint64
	state      page.State
	logPos     uint64
	root       entry
	levels     uint32
}

// entry points to a page or a node: where it is and what it must sum up to. Slot 0 is a page of zeros.
type entry struct {
	slot uint32
	sum  uint64
}

func (h *header) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], Version)
	le.PutUint32(b[12:], h.state.Size)
	le.PutUint64(b[16:], h.generation)
	copy(b[24:], h.id.Database[:])
	le.PutUint64(b[40:], h.id.Lineage)
	le.PutUint64(b[48:], uint64(h.state.TXID))
	le.PutUint64(b[56:], h.state.Epoch)
	le.PutUint64(b[64:], h.state.Checksum)
	le.PutUint64(b[72:], uint64(h.state.Time))
	le.PutUint64(b[80:], h.logPos)
	le.PutUint32(b[88:], h.state.Pages)
	le.PutUint32(b[92:], h.root.slot)
	le.PutUint64(b[96:], h.root.sum)
	le.PutUint32(b[104:], h.levels)
	le.PutUint32(b[headerBytes-4:], crc32.Checksum(b[:headerBytes-4], castagnoli))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoHeader is what decodeHeader says of bytes that are no header, or a torn one.
var errNoHeader = errors.New("no valid header")

func decodeHeader(name string, b []byte) (*header, error) {
	if len(b) < headerBytes || !bytes.HasPrefix(b, []byte(magic)) {
		return nil, errNoHeader
	}
	b = b[:headerBytes]
	le := binary.LittleEndian
	if crc32.Checksum(b[:headerBytes-4], castagnoli) != le.Uint32(b[headerBytes-4:]) {
		return nil, errNoHeader
	}
	if v := le.Uint32(b[8:]); v != Version {
		return nil, &NewerFormatError{name, v, Version}
	}
	h := &header{
		generation: le.Uint64(b[16:]),
		state: page.State{
			Size:     le.Uint32(b[12:]),
			TXID:     page.TXID(le.Uint64(b[48:])),
			Epoch:    le.Uint64(b[56:]),
			Checksum: le.Uint64(b[64:]),
			Time:     int64(le.Uint64(b[72:])),
			Pages:    le.Uint32(b[88:]),
		},
		logPos: le.Uint64(b[80:]),
		root:   entry{le.Uint32(b[92:]), le.Uint64(b[96:])},
		levels: le.Uint32(b[104:]),
	}
	copy(h.id.Database[:], b[24:])
	h.id.Lineage = le.Uint64(b[40:])
	if !page.ValidSize(h.state.Size) || h.levels != levelsFor(h.state.Pages, fanout(h.state.Size)) || h.levels > maxLevels {
		return nil, errNoHeader
	}
	return h, nil
}

// fanout is the number of entries in a node.
func fanout(size uint32) uint32 { return (size - nodeHeader) / entryBytes }

func ceilDiv(a, b uint32) uint32 { return uint32((uint64(a) + uint64(b) - 1) / uint64(b)) }

// levelsFor is the height of the tree over n pages.
func levelsFor(n, fan uint32) (levels uint32) {
	for n > 0 {
		levels++
		if n = ceilDiv(n, fan); n == 1 {
			break
		}
	}
	return levels
}

func slotOffset(slot, size uint32) int64 { return slotsStart + int64(slot-1)*int64(size) }

// node is the raw bytes of a node.
type node []byte

func newNode(size, level, index uint32) node {
	n := make(node, size)
	binary.LittleEndian.PutUint16(n, nodeMagic)
	n[2] = byte(level)
	binary.LittleEndian.PutUint32(n[4:], index)
	return n
}

func (n node) entry(i uint32) entry {
	b := n[nodeHeader+i*entryBytes:]
	return entry{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[4:])}
}

func (n node) set(i uint32, e entry) {
	b := n[nodeHeader+i*entryBytes:]
	binary.LittleEndian.PutUint32(b, e.slot)
	binary.LittleEndian.PutUint64(b[4:], e.sum)
}

func (n node) empty() bool { return page.Zero(n[nodeHeader:]) }

// nodeSum is seeded with the node's place, so that an intact node elsewhere in the tree is no substitute.
func nodeSum(level, index uint32, b []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(1<<63 | uint64(level)<<32 | uint64(index))
	_, _ = d.Write(b)
	return d.Sum64()
}
