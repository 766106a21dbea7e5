package pageobj

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

const (
	maxEntryBytes = 5 + 5 + sumBytes
	minEntryBytes = 1 + 1 + sumBytes
	minPacked     = 1 + 1 + sumBytes + minFrameData
)

// entry is what an index says of one page.
type entry struct {
	no     uint32
	size   uint32 // of its frame
	packed bool   // it is in a pack too
	sum    uint64
	off    int64 // of its frame in the LTX file; not stored: frames follow each other
}

// appendEntry writes an entry that follows the one of page prev.
func appendEntry(b []byte, prev uint32, e entry) []byte {
	b = binary.AppendUvarint(b, uint64(e.no-prev-1))
	size := uint64(e.size) << 1
	if e.packed {
		size |= 1
	}
	b = binary.AppendUvarint(b, size)
	return binary.LittleEndian.AppendUint64(b, e.sum)
}

// block is a decoded entry block.
type block struct {
	desc   blockDesc
	nos    []uint32 // ascending; nil if the numbers are desc.first, desc.first+1, …
	ends   []uint32 // of the frames, counted from desc.base
	sums   []uint64
	packed []uint64 // one bit for each page; nil if none
}

// decodeBlock reads an entry block. Nothing of b is kept.
func decodeBlock(b []byte, d blockDesc, size uint32, data int64) (*block, error) {
	if len(b) != int(d.length) || crc32.Checksum(b, castagnoli) != d.crc {
		return nil, errors.New("an entry block has a wrong checksum")
	}
	if len(b) < int(d.pages)*minEntryBytes {
		return nil, fmt.Errorf("an entry block has %d bytes for %d pages", len(b), d.pages)
	}
	k := &block{desc: d, ends: make([]uint32, d.pages), sums: make([]uint64, d.pages)}
	dense := d.last-d.first == d.pages-1
	if !dense {
		k.nos = make([]uint32, d.pages)
	}
	no, end, limit := uint64(d.first)-1, uint64(0), uint64(data-d.base)
	largest := uint64(frameBound(size))
	for i := range k.ends {
		gap, n := binary.Uvarint(b)
		if n <= 0 || gap > uint64(d.last) {
			return nil, fmt.Errorf("entry %d of a block has no page number", i)
		}
		b = b[n:]
		frame, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+sumBytes || frame>>1 < minFrameBytes || frame>>1 > largest {
			return nil, fmt.Errorf("entry %d of a block has no size", i)
		}
		if no += gap + 1; no > uint64(d.last) {
			return nil, fmt.Errorf("entry %d of a block is about page %d, and the block ends with %d", i, no, d.last)
		}
		if end += frame >> 1; end > limit {
			return nil, fmt.Errorf("entry %d of a block points behind the end of the object", i)
		}
		if !dense {
			k.nos[i] = uint32(no)
		}
		k.ends[i], k.sums[i] = uint32(end), binary.LittleEndian.Uint64(b[n:])
		if frame&1 != 0 {
			if k.packed == nil {
				k.packed = make([]uint64, (d.pages+63)/64)
			}
			k.packed[i/64] |= 1 << (i % 64)
		}
		b = b[n+sumBytes:]
		if i == 0 && no != uint64(d.first) {
			return nil, fmt.Errorf("a block that begins with page %d is said to begin with %d", no, d.first)
		}
	}
	if no != uint64(d.last) || len(b) != 0 {
		return nil, errors.New("an entry block doesn't end where it should")
	}
	return k, nil
}

// find returns the place of page no among the entries, or the place of the next one.
func (k *block) find(no uint32) (int, bool) {
	if no < k.desc.first {
		return 0, false
	}
	if k.nos == nil {
		i := int(no - k.desc.first)
		return min(i, len(k.ends)), i < len(k.ends)
	}
	return slices.BinarySearch(k.nos, no)
}

func (k *block) len() int { return len(k.ends) }

func (k *block) no(i int) uint32 {
	if k.nos == nil {
		return k.desc.first + uint32(i)
	}
	return k.nos[i]
}

func (k *block) at(i int) entry {
	e := entry{no: k.no(i), sum: k.sums[i], off: k.desc.base, size: k.ends[i]}
	if i > 0 {
		e.off += int64(k.ends[i-1])
		e.size -= k.ends[i-1]
	}
	e.packed = k.packed != nil && k.packed[i/64]&(1<<(i%64)) != 0
	return e
}

// bytes is about what it takes in memory.
func (k *block) bytes() int64 {
	return int64(len(k.nos)*4 + len(k.ends)*4 + len(k.sums)*8 + len(k.packed)*8 + 160)
}

// pack is an opened pack: a list of its pages, and their compressed bytes.
type pack struct {
	desc packDesc
	nos  []uint32
	sums []uint64
	ends []uint32 // of each page's bytes in data
	data []byte
}

// appendPacked writes what a pack's list says of a page.
func appendPacked(b []byte, prev, no uint32, length int, sum uint64) []byte {
	b = binary.AppendUvarint(b, uint64(no-prev-1))
	b = binary.AppendUvarint(b, uint64(length))
	return binary.LittleEndian.AppendUint64(b, sum)
}

// decodePack reads a pack, and keeps b.
func decodePack(b []byte, d packDesc, size uint32) (*pack, error) {
	if len(b) != int(d.length) || crc32.Checksum(b, castagnoli) != d.crc {
		return nil, errors.New("a pack has a wrong checksum")
	}
	if len(b) < int(d.pages)*minPacked {
		return nil, fmt.Errorf("a pack has %d bytes for %d pages", len(b), d.pages)
	}
	p := &pack{desc: d, nos: make([]uint32, d.pages), sums: make([]uint64, d.pages), ends: make([]uint32, d.pages)}
	no, end := uint64(d.first)-1, uint64(0)
	largest := uint64(frameBound(size) - frameHeaderBytes)
	for i := range p.nos {
		gap, n := binary.Uvarint(b)
		if n <= 0 || gap > uint64(d.last) {
			return nil, fmt.Errorf("page %d of a pack has no number", i)
		}
		b = b[n:]
		length, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+sumBytes || length < minFrameData || length > largest {
			return nil, fmt.Errorf("page %d of a pack has no size", i)
		}
		if no += gap + 1; no > uint64(d.last) || i == 0 && no != uint64(d.first) {
			return nil, fmt.Errorf("page %d of a pack has number %d, and the pack is of %d to %d", i, no, d.first, d.last)
		}
		end += length
		p.nos[i], p.ends[i], p.sums[i] = uint32(no), uint32(end), binary.LittleEndian.Uint64(b[n:])
		b = b[n+sumBytes:]
	}
	if no != uint64(d.last) || end != uint64(len(b)) {
		return nil, errors.New("a pack doesn't end where it should")
	}
	p.data = b
	return p, nil
}

func (p *pack) find(no uint32) (int, bool) { return slices.BinarySearch(p.nos, no) }

// page decompresses page i of the pack into dst, and checks it.
func (p *pack) page(i int, dst []byte) error {
	from := uint32(0)
	if i > 0 {
		from = p.ends[i-1]
	}
	return decompress(p.data[from:p.ends[i]], p.nos[i], p.sums[i], dst)
}

func (p *pack) bytes() int64 { return int64(len(p.nos)*16+len(p.data)) + 160 }
