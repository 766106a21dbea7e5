package pagefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// What a sealed slot is bound to: the database, its place in the map, and the checksum that the map has for it, which
// stands for the version.
const (
	slotPage = 0 // a node has one more than its level

	associatedBytes = 16 + 8 + 1 + 4 + 8
)

func (f *File) associated(b *[associatedBytes]byte, kind byte, number uint32, sum uint64) []byte {
	copy(b[:], f.id.Database[:])
	binary.LittleEndian.PutUint64(b[16:], f.id.Lineage)
	b[24] = kind
	binary.LittleEndian.PutUint32(b[25:], number)
	binary.LittleEndian.PutUint64(b[29:], sum)
	return b[:]
}

// appendSlot appends the bytes of a slot: number of the key, nonce, tag around the page; zeros before it in the clear.
func (f *File) appendSlot(dst, data []byte, kind byte, number uint32, sum uint64) []byte {
	if !f.Sealable() {
		return append(dst, data...)
	}
	if blocks := f.blocks.Load(); blocks != nil {
		var a [associatedBytes]byte
		return blocks.Seal(dst, data, f.associated(&a, kind, number, sum))
	}
	var clear [slotOverhead]byte
	return append(append(dst, clear[:]...), data...)
}

// Rekey seals with other keys from here on. What is in the file stays as it is until a checkpoint writes it: see
// Checkpoint.Reseal.
func (f *File) Rekey(blocks *crypt.Blocks) {
	if f.blocks.Load() == nil && blocks != nil {
		f.mixed.Store(true)
	}
	f.blocks.Store(blocks)
}

// Mixed tells whether slots in the clear are expected in a file that has keys.
func (f *File) Mixed() bool { return f.blocks.Load() != nil && f.mixed.Load() }

// page returns a page from the cache or the disk, checked.
func (f *File) page(no uint32, e entry) ([]byte, error) {
	return f.load(e, slotPage, no, no, func(b []byte) bool { return page.Sum(no, b) == e.sum })
}

func (f *File) node(level, index uint32, e entry) (node, error) {
	return f.load(e, byte(level+1), index, 0, func(b []byte) bool { return nodeSum(level, index, b) == e.sum })
}

func (f *File) load(e entry, kind byte, number, no uint32, intact func([]byte) bool) ([]byte, error) {
	k := cacheKey{f.number, e.slot}
	if b := f.cache.get(k); b != nil {
		return b, nil
	}
	b, err := f.read(e, kind, number, no, make([]byte, f.stride), intact)
	if err != nil {
		return nil, err
	}
	f.cache.put(k, b)
	f.touched.set(e.slot)
	return b, nil
}

// peek returns a page, checked, for one who goes through all of them: what others have read stays in the cache. It may
// use raw, which is as long as a slot.
func (f *File) peek(no uint32, e entry, raw []byte) ([]byte, error) {
	if b := f.cache.get(cacheKey{f.number, e.slot}); b != nil {
		return b, nil
	}
	return f.read(e, slotPage, no, no, raw, func(b []byte) bool { return page.Sum(no, b) == e.sum })
}

// read reads a slot into raw, and returns what it holds.
func (f *File) read(e entry, kind byte, number, no uint32, raw []byte, intact func([]byte) bool) ([]byte, error) {
	off := slotOffset(e.slot, f.stride)
	if _, err := f.f.ReadAt(raw, off); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, &DamageError{f.name, no, off, "the file ends before it"}
		}
		return nil, fmt.Errorf("reading %s at offset %d: %w", f.name, off, err)
	}
	b, err := f.unseal(raw, e, kind, number, intact)
	if errors.Is(err, errNotIntact) {
		return nil, &DamageError{f.name, no, off, err.Error()}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s at offset %d: %w", f.name, off, err)
	}
	return b, nil
}

var errNotIntact = errors.New("its checksum does not match")

// unseal returns what a slot holds.
func (f *File) unseal(raw []byte, e entry, kind byte, number uint32, intact func([]byte) bool) ([]byte, error) {
	if !f.Sealable() {
		if !intact(raw) {
			return nil, errNotIntact
		}
		return raw, nil
	}
	blocks := f.blocks.Load()
	if crypt.SealedKey(raw) == 0 {
		if blocks != nil && !f.mixed.Load() {
			return nil, fmt.Errorf("%w: it is in the clear in a file that is sealed", errNotIntact)
		}
		if b := raw[slotOverhead:]; intact(b) {
			return b, nil
		}
		return nil, errNotIntact
	}
	if blocks == nil {
		return nil, fmt.Errorf("%w: it is sealed in a file in the clear", errNotIntact)
	}
	var a [associatedBytes]byte
	b, err := blocks.Open(raw[slotPrefix:slotPrefix], raw, f.associated(&a, kind, number, e.sum)) // in place
	if errors.Is(err, crypt.ErrForged) {
		return nil, fmt.Errorf("%w: %w", errNotIntact, err)
	}
	return b, err
}

// keyOf reads which key a slot is sealed by.
func (f *File) keyOf(slot uint32) (uint32, error) {
	if !f.Sealable() {
		return 0, nil
	}
	var b [4]byte
	off := slotOffset(slot, f.stride)
	if _, err := f.f.ReadAt(b[:], off); err != nil {
		return 0, fmt.Errorf("reading %s at offset %d: %w", f.name, off, err)
	}
	return crypt.SealedKey(b[:]), nil
}

// touched remembers which slots were read from the disk since they were last asked for.
type touched struct {
	mu   sync.Mutex
	bits []uint64
}

func (t *touched) set(slot uint32) {
	w := int(slot / 64)
	t.mu.Lock()
	for w >= len(t.bits) {
		t.bits = append(t.bits, make([]uint64, w+64-len(t.bits))...)
	}
	t.bits[w] |= 1 << (slot % 64)
	t.mu.Unlock()
}

// take tells whether the slot was read, and forgets it.
func (t *touched) take(slot uint32) bool {
	w := int(slot / 64)
	t.mu.Lock()
	defer t.mu.Unlock()
	if w >= len(t.bits) || t.bits[w]&(1<<(slot%64)) == 0 {
		return false
	}
	t.bits[w] &^= 1 << (slot % 64)
	return true
}
