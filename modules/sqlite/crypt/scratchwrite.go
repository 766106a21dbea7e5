package crypt

import (
	"encoding/binary"
	"fmt"
	"io"
)

// edge is the plain text of the block that was written last in part, since appending goes on there. It is that of no
// block if block is -1.
type edge struct {
	block int64
	plain [scratchBlock]byte
}

// WriteAt writes b. Writing past the end leaves zeros before it. After an error, blocks at which it stopped may be lost
// and are reported by ReadAt with ErrForged until they are written anew.
func (s *Scratch) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 || off > maxScratch-int64(len(b)) {
		return 0, fmt.Errorf("writing a temporary file: %d bytes at %d can't be", len(b), off)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := works.Get().(*work)
	defer works.Put(w)
	for done := 0; done < len(b); {
		at := off + int64(done)
		part := int(min(int64(len(b)-done), scratchBatch*scratchBlock-at%scratchBlock))
		n, err := s.write(w, b[done:done+part], at)
		done += n
		s.size = max(s.size, at+int64(n))
		if err != nil {
			return done, err
		}
	}
	return len(b), nil
}

// write writes b, in one call of the file, after one to read for each end at which a block keeps some of what it has.
func (s *Scratch) write(w *work, b []byte, off int64) (int, error) {
	first, end := span(off, int64(len(b)))
	out := w.room(end - first)
	for i := first; i < end; i++ {
		from := max(i*scratchBlock-off, 0)
		part := b[from:min((i+1)*scratchBlock-off, int64(len(b)))]
		if len(part) < scratchBlock {
			if err := s.merge(part, i, off+from-i*scratchBlock); err != nil {
				return 0, err
			}
			part = s.edge.plain[:]
		} else if i == s.edge.block {
			s.edge.block = -1
		}
		slot := out[(i-first)*scratchSlot:][:8:scratchSlot]
		s.count++
		binary.LittleEndian.PutUint64(slot, s.count)
		w.place(i, s.count)
		s.aead.Seal(slot, w.nonce[:], part, w.associated[:])
	}
	n, err := s.f.WriteAt(out, first*scratchSlot)
	whole := int64(n / scratchSlot)
	for i := range whole {
		s.marks.set(first+i, binary.LittleEndian.Uint64(out[i*scratchSlot:]))
	}
	if n == len(out) {
		return len(b), nil
	}
	s.edge.block = -1
	if err == nil {
		err = io.ErrShortWrite
	}
	return int(min(max((first+whole)*scratchBlock-off, 0), int64(len(b)))), fmt.Errorf("writing block %d of a temporary file: %w", first+whole, err)
}

// merge makes the edge that of block, with part at an offset within it.
func (s *Scratch) merge(part []byte, block, at int64) error {
	if s.edge.block != block {
		s.edge.block = -1
		mark := s.marks.get(block)
		switch {
		case mark == 0, at == 0 && block*scratchBlock+int64(len(part)) >= s.size:
			clear(s.edge.plain[:])
		default:
			w := works.Get().(*work)
			defer works.Put(w)
			slot, _, err := s.fetch(w, block, block+1)
			if err != nil {
				return err
			}
			if err := s.open(w, s.edge.plain[:], slot, block, mark); err != nil {
				return err
			}
		}
		s.edge.block = block
	}
	copy(s.edge.plain[at:], part)
	return nil
}

var zeros [scratchBlock]byte

// Truncate makes the size smaller or greater. What comes to it reads as zeros. If the file can't be made smaller, that
// is an error, and the size is the new one all the same.
func (s *Scratch) Truncate(size int64) error {
	if size < 0 || size > maxScratch {
		return fmt.Errorf("truncating a temporary file: it can't have %d bytes", size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if size >= s.size {
		s.size = size
		return nil
	}
	if block := size / scratchBlock; size%scratchBlock > 0 && s.marks.get(block) != 0 {
		// What is behind the end of the last block is zeros, always, so that they are there when the size grows again.
		w := works.Get().(*work)
		defer works.Put(w)
		if _, err := s.write(w, zeros[:min((block+1)*scratchBlock, s.size)-size], size); err != nil {
			return err
		}
	}
	_, blocks := span(0, size)
	s.size = size
	s.marks.cut(blocks)
	if s.edge.block >= blocks {
		s.edge.block = -1
	}
	if err := s.f.Truncate(blocks * scratchSlot); err != nil {
		return fmt.Errorf("truncating a temporary file: %w", err)
	}
	return nil
}

const regionBlocks = 512

// marks are the counters that blocks were sealed with last, 0 for those that were never written, by regions of 2 MiB.
type marks map[int64]*[regionBlocks]uint64

func (m marks) get(block int64) uint64 {
	r := m[block/regionBlocks]
	if r == nil {
		return 0
	}
	return r[block%regionBlocks]
}

func (m marks) set(block int64, mark uint64) {
	r := m[block/regionBlocks]
	if r == nil {
		r = new([regionBlocks]uint64)
		m[block/regionBlocks] = r
	}
	r[block%regionBlocks] = mark
}

// cut forgets the blocks from end on.
func (m marks) cut(end int64) {
	for n, r := range m {
		if start := n * regionBlocks; start >= end {
			delete(m, n)
		} else if end < start+regionBlocks {
			clear(r[end-start:])
		}
	}
}
