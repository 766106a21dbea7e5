package pageobj

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

const (
	indexMagic = "BOPPGIDX"
	rootMagic  = "BOPPGRUT"
	// Version is the newest format of an index that this package reads, and the one that it writes.
	Version = 1

	indexHeaderBytes = 16
	rootHeaderBytes  = 64
	blockDescBytes   = 36
	packDescBytes    = 28
	crcBytes         = 4
	sumBytes         = 8

	blockPages   = 16384     // pages that an entry block is made for: about 180 KiB
	packBytes    = 512 << 10 // a pack ends when it has so much
	wholeBytes   = 512 << 10 // an index up to this size is read at once
	maxRootBytes = 64 << 20  // 2³² pages in single-page blocks don't come; 2³² pages in full ones take 10 MiB
	maxPackBytes = packBytes + maxFrameBytes + (packBytes/minFrameData)*(5+5+sumBytes)
	maxHeadBytes = max(wholeBytes, maxPackBytes)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// root is the list of an index's parts.
type root struct {
	size     uint32 // bytes per page
	commit   uint32 // pages in the database
	pages    uint32 // pages in the object
	min, max page.TXID
	data     int64 // bytes of the LTX file, sealing not counted
	blocks   []blockDesc
	packs    []packDesc
}

// blockDesc says where an entry block is, and which pages it is about.
type blockDesc struct {
	first, last uint32
	pages       uint32
	length      uint32
	off         int64 // in the index
	base        int64 // where the frame of its first page begins in the LTX file
	crc         uint32
}

// packDesc says where a pack is, and which pages are in it.
type packDesc struct {
	first, last uint32
	pages       uint32
	length      uint32
	off         int64 // in the index
	crc         uint32
}

func encodeIndexHeader() []byte {
	b := append(make([]byte, 0, indexHeaderBytes), indexMagic...)
	b = binary.LittleEndian.AppendUint32(b, Version)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func checkIndexHeader(b []byte) error {
	le := binary.LittleEndian
	if len(b) != indexHeaderBytes || string(b[:8]) != indexMagic || crc32.Checksum(b[:12], castagnoli) != le.Uint32(b[12:]) {
		return errors.New("no index begins here")
	}
	return checkVersion(le.Uint32(b[8:]))
}

func checkVersion(v uint32) error {
	if v != Version {
		return fmt.Errorf("%w: %d, and this program reads %d: use a newer one", ErrNewer, v, Version)
	}
	return nil
}

func (r *root) encode() []byte {
	b := make([]byte, 0, rootHeaderBytes+len(r.blocks)*blockDescBytes+len(r.packs)*packDescBytes+crcBytes)
	le := binary.LittleEndian
	b = append(b, rootMagic...)
	b = le.AppendUint32(b, Version)
	b = le.AppendUint32(b, r.size)
	b = le.AppendUint32(b, r.commit)
	b = le.AppendUint32(b, r.pages)
	b = le.AppendUint64(b, uint64(r.min))
	b = le.AppendUint64(b, uint64(r.max))
	b = le.AppendUint64(b, uint64(r.data))
	b = le.AppendUint32(b, uint32(len(r.blocks)))
	b = le.AppendUint32(b, uint32(len(r.packs)))
	b = le.AppendUint64(b, 0)
	for _, d := range r.blocks {
		b = le.AppendUint32(b, d.first)
		b = le.AppendUint32(b, d.last)
		b = le.AppendUint32(b, d.pages)
		b = le.AppendUint32(b, d.length)
		b = le.AppendUint64(b, uint64(d.off))
		b = le.AppendUint64(b, uint64(d.base))
		b = le.AppendUint32(b, d.crc)
	}
	for _, d := range r.packs {
		b = le.AppendUint32(b, d.first)
		b = le.AppendUint32(b, d.last)
		b = le.AppendUint32(b, d.pages)
		b = le.AppendUint32(b, d.length)
		b = le.AppendUint64(b, uint64(d.off))
		b = le.AppendUint32(b, d.crc)
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeRoot reads a root that lies at off in its index.
func decodeRoot(b []byte, off int64) (*root, error) {
	le := binary.LittleEndian
	if len(b) < rootHeaderBytes+crcBytes || string(b[:8]) != rootMagic {
		return nil, errors.New("no root of an index begins here")
	}
	if body := b[:len(b)-crcBytes]; crc32.Checksum(body, castagnoli) != le.Uint32(b[len(body):]) {
		return nil, errors.New("the root has a wrong checksum")
	}
	if err := checkVersion(le.Uint32(b[8:])); err != nil {
		return nil, err
	}
	r := &root{
		size: le.Uint32(b[12:]), commit: le.Uint32(b[16:]), pages: le.Uint32(b[20:]),
		min: page.TXID(le.Uint64(b[24:])), max: page.TXID(le.Uint64(b[32:])), data: int64(le.Uint64(b[40:])),
	}
	blocks, packs := int64(le.Uint32(b[48:])), int64(le.Uint32(b[52:]))
	if int64(len(b)) != rootHeaderBytes+blocks*blockDescBytes+packs*packDescBytes+crcBytes {
		return nil, fmt.Errorf("the root has %d bytes for %d blocks and %d packs", len(b), blocks, packs)
	}
	if !page.ValidSize(r.size) || r.commit == 0 || r.data < ltxHeaderBytes+ltxEndBytes || le.Uint64(b[56:]) != 0 {
		return nil, errors.New("the root says what can't be")
	}
	b = b[rootHeaderBytes:]
	r.blocks = make([]blockDesc, blocks)
	for i := range r.blocks {
		r.blocks[i] = blockDesc{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:]), int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:])), le.Uint32(b[32:])}
		b = b[blockDescBytes:]
	}
	r.packs = make([]packDesc, packs)
	for i := range r.packs {
		r.packs[i] = packDesc{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:]), int64(le.Uint64(b[16:])), le.Uint32(b[24:])}
		b = b[packDescBytes:]
	}
	return r, r.check(off)
}

// check refuses descriptions that don't fit together. The index ends with the root, which is at end.
func (r *root) check(end int64) error {
	inside := func(off int64, length uint32) bool {
		return off >= indexHeaderBytes && off <= end && int64(length) <= end-off
	}
	var last, pages uint32
	base := int64(ltxHeaderBytes)
	for i, d := range r.blocks {
		if d.first <= last || d.last < d.first || d.last > r.commit || d.pages == 0 || d.pages > blockPages || d.pages-1 > d.last-d.first ||
			!inside(d.off, d.length) || int64(d.length) > int64(d.pages)*maxEntryBytes ||
			d.base < base || d.base > r.data || i == 0 && d.base != base {
			return fmt.Errorf("entry block %d is described as what it can't be", i)
		}
		last, base, pages = d.last, d.base, pages+d.pages
	}
	if pages != r.pages {
		return fmt.Errorf("the blocks have %d pages instead of %d", pages, r.pages)
	}
	last, pages = 0, 0
	for i, d := range r.packs {
		if d.first <= last || d.last < d.first || d.last > r.commit || d.pages == 0 || d.pages-1 > d.last-d.first ||
			!inside(d.off, d.length) || int64(d.length) > maxPackBytes || int64(d.pages)*minPacked > int64(d.length) {
			return fmt.Errorf("pack %d is described as what it can't be", i)
		}
		last, pages = d.last, pages+d.pages
	}
	if pages > r.pages {
		return fmt.Errorf("the packs have %d pages, and the object only %d", pages, r.pages)
	}
	return nil
}

// block is the number of the entry block that would have page no, or -1.
func (r *root) block(no uint32) int {
	i, _ := slices.BinarySearchFunc(r.blocks, no, func(d blockDesc, no uint32) int {
		if d.last < no {
			return -1
		}
		return 1
	})
	if i == len(r.blocks) || r.blocks[i].first > no {
		return -1
	}
	return i
}

// pack is the number of the pack that would have page no, or -1.
func (r *root) pack(no uint32) int {
	i, _ := slices.BinarySearchFunc(r.packs, no, func(d packDesc, no uint32) int {
		if d.last < no {
			return -1
		}
		return 1
	})
	if i == len(r.packs) || r.packs[i].first > no {
		return -1
	}
	return i
}
