package pagefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/cespare/xxhash/v2"
)

const (
	magic = "BOPPAGES"
	// Version is the newest format that this package reads, and the one that it writes.
	Version = 2

	headerBytes  = 512  // what a header holds; written in one sector
	headerClear  = 56   // of those, what is never sealed
	headerBody   = 96   // and what is, if the file is sealed
	headerStride = 4096 // distance of the two headers
	slotsStart   = 2 * headerStride

	// slotOverhead is what a slot has beside its page: number of the key, nonce, tag.
	slotOverhead = crypt.BlockOverhead
	slotPrefix   = slotOverhead - 16 // of that, what is before the page when it is sealed
	// inBucket stands in place of a slot: the page, or everything under the node, is in the bucket.
	inBucket = math.MaxUint32

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
	stride     uint32 // bytes per slot
	sealed     bool
	mixed      bool // not all slots are sealed yet
	bucket     Bucket
}

// entry points to a page or a node: where it is and what it must sum up to. Slot 0 is a page of zeros. In place of a
// slot inBucket says that it has left the file; the sum may be 0 then: not known here.
type entry struct {
	slot uint32
	sum  uint64
}

// here tells whether a slot of the file has it.
func (e entry) here() bool { return e.slot != 0 && e.slot != inBucket }

// encode returns the header's bytes, sealed if blocks isn't nil.
func (h *header) encode(blocks *crypt.Blocks) []byte {
	b := make([]byte, headerClear, headerBytes)
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], Version)
	le.PutUint32(b[12:], h.state.Size)
	le.PutUint64(b[16:], h.generation)
	copy(b[24:], h.id.Database[:])
	le.PutUint64(b[40:], h.id.Lineage)
	le.PutUint32(b[48:], h.stride)
	body := make([]byte, headerBody)
	for i, v := range []uint64{uint64(h.state.TXID), h.state.Epoch, h.state.Checksum, uint64(h.state.Time), h.logPos, h.root.sum, h.bucket.Sequence, uint64(h.bucket.TXID)} {
		le.PutUint64(body[8*i:], v)
	}
	le.PutUint32(body[64:], h.state.Pages)
	le.PutUint32(body[68:], h.root.slot)
	le.PutUint32(body[72:], h.levels)
	if h.mixed {
		body[76] = 1
	}
	if blocks == nil {
		b = append(b, body...)
	} else {
		le.PutUint32(b[52:], 1)
		b = blocks.Seal(b, body, b[:headerClear])
	}
	b = b[:headerBytes]
	le.PutUint32(b[headerBytes-4:], crc32.Checksum(b[:headerBytes-4], castagnoli))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoHeader is what decodeHeader says of bytes that are no header, or a torn one.
var errNoHeader = errors.New("no valid header")

// decodeClear reads what is in the clear of every header.
func decodeClear(b []byte) (*header, error) {
	if len(b) < headerBytes || !bytes.HasPrefix(b, []byte(magic)) {
		return nil, errNoHeader
	}
	b = b[:headerBytes]
	le := binary.LittleEndian
	if crc32.Checksum(b[:headerBytes-4], castagnoli) != le.Uint32(b[headerBytes-4:]) {
		return nil, errNoHeader
	}
	h := &header{generation: le.Uint64(b[16:])}
	h.state.Size = le.Uint32(b[12:])
	copy(h.id.Database[:], b[24:])
	h.id.Lineage = le.Uint64(b[40:])
	return h, nil
}

func decodeHeader(name string, b []byte, blocks *crypt.Blocks) (*header, error) {
	h, err := decodeClear(b)
	if err != nil {
		return nil, err
	}
	b = b[:headerBytes]
	switch v := binary.LittleEndian.Uint32(b[8:]); v {
	case 1:
		h.decode1(b)
	case 2:
		err = h.decode2(name, b, blocks)
	default:
		return nil, &NewerFormatError{name, v, Version}
	}
	if err != nil {
		return nil, err
	}
	if !page.ValidSize(h.state.Size) || h.levels != levelsFor(h.state.Pages, fanout(h.state.Size)) || h.levels > maxLevels ||
		h.stride != h.state.Size && h.stride != h.state.Size+slotOverhead {
		return nil, errNoHeader
	}
	return h, nil
}

// decode1 reads what the first version of the format has behind the identity.
func (h *header) decode1(b []byte) {
	le := binary.LittleEndian
	h.state = page.State{
		Size:     h.state.Size,
		TXID:     page.TXID(le.Uint64(b[48:])),
		Epoch:    le.Uint64(b[56:]),
		Checksum: le.Uint64(b[64:]),
		Time:     int64(le.Uint64(b[72:])),
		Pages:    le.Uint32(b[88:]),
	}
	h.logPos = le.Uint64(b[80:])
	h.root = entry{le.Uint32(b[92:]), le.Uint64(b[96:])}
	h.levels = le.Uint32(b[104:])
	h.stride = h.state.Size
}

func (h *header) decode2(name string, b []byte, blocks *crypt.Blocks) (err error) {
	le := binary.LittleEndian
	h.stride = le.Uint32(b[48:])
	body := b[headerClear:][:headerBody]
	if h.sealed = le.Uint32(b[52:]) == 1; h.sealed {
		if blocks == nil {
			return fmt.Errorf("%s: %w", name, crypt.ErrNoKey)
		}
		if body, err = blocks.Open(nil, b[headerClear:][:headerBody+slotOverhead], b[:headerClear]); errors.Is(err, crypt.ErrForged) {
			return errNoHeader
		} else if err != nil {
			return fmt.Errorf("header of %s: %w", name, err)
		}
	}
	v := func(i int) uint64 { return le.Uint64(body[8*i:]) }
	h.state = page.State{Size: h.state.Size, TXID: page.TXID(v(0)), Epoch: v(1), Checksum: v(2), Time: int64(v(3)), Pages: le.Uint32(body[64:])}
	h.logPos = v(4)
	h.root = entry{le.Uint32(body[68:]), v(5)}
	h.bucket = Bucket{Sequence: v(6), TXID: page.TXID(v(7))}
	h.levels = le.Uint32(body[72:])
	h.mixed = body[76] == 1
	return nil
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

func slotOffset(slot, stride uint32) int64 { return slotsStart + int64(slot-1)*int64(stride) }

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

// left tells whether all of the first k children have left the file.
func (n node) left(k uint32) bool {
	for i := range k {
		if n.entry(i).slot != inBucket {
			return false
		}
	}
	return k > 0
}

// nodeSum is seeded with the node's place, so that an intact node elsewhere in the tree is no substitute.
func nodeSum(level, index uint32, b []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(1<<63 | uint64(level)<<32 | uint64(index))
	_, _ = d.Write(b)
	return d.Sum64()
}
