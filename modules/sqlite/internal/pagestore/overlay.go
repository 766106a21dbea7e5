package pagestore

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Overlay holds what an open transaction wrote, in blocks, above a snapshot. Beyond a budget the blocks go to a
// temporary file.
type Overlay struct {
	temp   Temp
	budget int64 // bytes of blocks in memory

	block  uint32 // bytes per block, the page size at the time of the first write
	size   int64  // of the database in bytes
	blocks map[uint32]stored
	memory int64
	spill  *Spill
	end    int64   // of the spill
	free   []int64 // offsets in the spill

	adopted []*Spill
}

// stored is a block: in memory, or in a file.
type stored struct {
	data  []byte
	spill *Spill
	off   int64
}

// load returns the bytes; buf is used if they are in a file.
func (b stored) load(buf []byte) ([]byte, error) {
	if b.spill == nil {
		return b.data, nil
	}
	if _, err := b.spill.ReadAt(buf, b.off); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a spilled page: %w", err)
	}
	return buf, nil
}

// NewOverlay returns an overlay over a database of size bytes.
func NewOverlay(temp Temp, budget int64, block uint32, size int64) *Overlay {
	return &Overlay{temp: temp, budget: budget, block: block, size: size, blocks: map[uint32]stored{}}
}

// Size is the size of the database in bytes as the transaction sees it.
func (o *Overlay) Size() int64 { return o.size }

// Has tells whether the block that holds page no was written.
func (o *Overlay) Has(no uint32) bool {
	_, ok := o.blocks[no]
	return ok
}

// Write puts b at off. Whole blocks are taken as they are; the rest of others comes from base, which reads the
// database without the overlay.
func (o *Overlay) Write(b []byte, off int64, base func(no uint32, dst []byte) error) error {
	if o.block == 0 {
		o.block = uint32(len(b))
	}
	bs := int64(o.block)
	for len(b) > 0 {
		no, at := uint32(off/bs)+1, off%bs
		n := min(bs-at, int64(len(b)))
		if have, ok := o.blocks[no]; ok && have.spill == nil {
			copy(have.data[at:], b[:n])
			b, off = b[n:], off+n
			o.size = max(o.size, off)
			continue
		}
		var block []byte
		if n == bs {
			block = slices.Clone(b[:n])
		} else {
			block = make([]byte, bs)
			if err := o.read(no, block, base); err != nil {
				return err
			}
			copy(block[at:], b[:n])
		}
		if err := o.put(no, block); err != nil {
			return err
		}
		b, off = b[n:], off+n
		o.size = max(o.size, off)
	}
	return nil
}

func (o *Overlay) read(no uint32, dst []byte, base func(no uint32, dst []byte) error) error {
	if s, ok := o.blocks[no]; ok {
		d, err := s.load(dst)
		if err == nil && s.spill == nil {
			copy(dst, d)
		}
		return err
	}
	return base(no, dst)
}

// put takes block as it is.
func (o *Overlay) put(no uint32, block []byte) error {
	old, had := o.blocks[no]
	switch {
	case had && old.spill != nil:
		if _, err := o.spill.WriteAt(block, old.off); err != nil {
			return fmt.Errorf("spilling a page: %w", err)
		}
		return nil
	case had:
		o.memory -= int64(len(old.data))
	}
	if o.memory+int64(len(block)) > o.budget {
		return o.putSpilled(no, block)
	}
	o.memory += int64(len(block))
	o.blocks[no] = stored{data: block}
	return nil
}

func (o *Overlay) putSpilled(no uint32, block []byte) error {
	if o.spill == nil {
		s, err := o.temp.Spill()
		if err != nil {
			return err
		}
		o.spill = s
	}
	off := o.end
	if n := len(o.free); n > 0 {
		off, o.free = o.free[n-1], o.free[:n-1]
	} else {
		o.end += int64(len(block))
	}
	if _, err := o.spill.WriteAt(block, off); err != nil {
		return fmt.Errorf("spilling a page: %w", err)
	}
	o.blocks[no] = stored{spill: o.spill, off: off}
	return nil
}

// Read fills dst from block no, from offset at, if the transaction wrote it.
func (o *Overlay) Read(no uint32, dst []byte, at int) (bool, error) {
	s, ok := o.blocks[no]
	if !ok {
		return false, nil
	}
	if s.spill == nil {
		copy(dst, s.data[at:])
		return true, nil
	}
	if _, err := s.spill.ReadAt(dst, s.off+int64(at)); err != nil && !errors.Is(err, io.EOF) {
		return true, fmt.Errorf("reading a spilled page: %w", err)
	}
	return true, nil
}

// Truncate sets the size of the database and forgets what lies beyond.
func (o *Overlay) Truncate(size int64) {
	if size < o.size && o.block != 0 {
		first := uint32((size+int64(o.block)-1)/int64(o.block)) + 1
		for no, s := range o.blocks {
			if no < first {
				continue
			}
			if s.spill != nil {
				o.free = append(o.free, s.off)
			} else {
				o.memory -= int64(len(s.data))
			}
			delete(o.blocks, no)
		}
	}
	o.size = size
}

// numbers lists the blocks in ascending order.
func (o *Overlay) numbers() []uint32 { return slices.Sorted(maps.Keys(o.blocks)) }

// adopt keeps the temporary file of other alive as long as o is.
func (o *Overlay) adopt(other *Overlay) {
	other.spill.Acquire(1)
	o.adopted = append(o.adopted, other.spill)
}

// Close lets go of the temporary file.
func (o *Overlay) Close() {
	o.spill.Release()
	for _, s := range o.adopted {
		s.Release()
	}
	o.spill, o.blocks, o.adopted = nil, nil, nil
}

// Block is the number of bytes per block, 0 before the first write to an empty database.
func (o *Overlay) Block() int64 { return int64(o.block) }
