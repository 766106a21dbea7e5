package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
)

const (
	scratchBlock = 4096
	scratchSlot  = 8 + scratchBlock + tagBytes
	scratchBatch = 512 // blocks that are read or written by one call at most

	maxScratch = math.MaxInt64 / scratchSlot * scratchBlock
)

// ScratchFile is the file that a Scratch writes to. It is empty to begin with.
type ScratchFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	io.Closer
}

// Scratch encrypts a temporary file under a key that nobody else ever has. It reads and writes at any place, and is of
// use to this process only. Reads may go on concurrently; writes exclude everything else.
//
// What each block has to be is known in memory (8 bytes for each 4 KiB), so that nothing old can come back either.
type Scratch struct {
	f    ScratchFile
	aead cipher.AEAD

	mu    sync.RWMutex
	size  int64 // of the plain text
	count uint64
	marks marks
	edge  edge
}

// NewScratch returns an empty Scratch in f.
func NewScratch(f ScratchFile) *Scratch {
	var key [KeyBytes]byte
	draw(key[:])
	return newScratch(f, key[:])
}

func newScratch(f ScratchFile, key []byte) *Scratch {
	return &Scratch{f: f, aead: newGCM(key), marks: marks{}, edge: edge{block: -1}}
}

// Size is how many bytes of plain text there are.
func (s *Scratch) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.size
}

// Close closes the file.
func (s *Scratch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f.Close()
}

// work is memory for one call.
type work struct {
	nonce      [nonceBytes]byte
	associated [8]byte
	plain      [scratchBlock]byte
	slots      []byte
}

var works = sync.Pool{New: func() any { return &work{} }}

func (w *work) room(blocks int64) []byte {
	if n := int(blocks) * scratchSlot; cap(w.slots) < n {
		w.slots = make([]byte, n)
	}
	return w.slots[:blocks*scratchSlot]
}

// place sets nonce and associated data.
func (w *work) place(block int64, mark uint64) {
	binary.LittleEndian.PutUint64(w.nonce[4:], mark)
	binary.LittleEndian.PutUint64(w.associated[:], uint64(block))
}

func span(off, n int64) (first, end int64) {
	return off / scratchBlock, (off + n + scratchBlock - 1) / scratchBlock
}

// ReadAt reads what was written. Past the end it returns io.EOF; what was never written reads as zeros.
func (s *Scratch) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading a temporary file: offset %d", off)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(b) == 0 {
		return 0, nil
	}
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), s.size-off))
	w := works.Get().(*work)
	defer works.Put(w)
	for done := 0; done < n; {
		at := off + int64(done)
		part := int(min(int64(n-done), scratchBatch*scratchBlock-at%scratchBlock))
		if err := s.read(w, b[done:done+part], at); err != nil {
			return done, err
		}
		done += part
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// read reads all of b, in one call of the file.
func (s *Scratch) read(w *work, b []byte, off int64) error {
	first, end := span(off, int64(len(b)))
	slots, start, err := s.fetch(w, first, end)
	if err != nil {
		return err
	}
	for i := first; i < end; i++ {
		from := max(i*scratchBlock-off, 0)
		part := b[from:min((i+1)*scratchBlock-off, int64(len(b)))]
		mark := s.marks.get(i)
		if mark == 0 {
			clear(part)
			continue
		}
		slot := slots[(i-start)*scratchSlot:][:scratchSlot]
		if len(part) == scratchBlock {
			if err := s.open(w, part, slot, i, mark); err != nil {
				return err
			}
			continue
		}
		if err := s.open(w, w.plain[:], slot, i, mark); err != nil {
			return err
		}
		copy(part, w.plain[off+from-i*scratchBlock:])
	}
	return nil
}

// fetch reads the slots of the blocks from first to end, without those at both ends that were never written. start is
// the block of the first of them.
func (s *Scratch) fetch(w *work, first, end int64) (slots []byte, start int64, err error) {
	for first < end && s.marks.get(first) == 0 {
		first++
	}
	for first < end && s.marks.get(end-1) == 0 {
		end--
	}
	if first == end {
		return nil, first, nil
	}
	slots = w.room(end - first)
	n, err := s.f.ReadAt(slots, first*scratchSlot)
	if n == len(slots) {
		return slots, first, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file ends before it: %w", ErrForged)
	}
	return nil, 0, fmt.Errorf("reading block %d of a temporary file: %w", first+int64(n/scratchSlot), err)
}

// open puts the plain text of a slot into the scratchBlock bytes of plain.
func (s *Scratch) open(w *work, plain, slot []byte, block int64, mark uint64) error {
	w.place(block, mark)
	if binary.LittleEndian.Uint64(slot) == mark {
		if _, err := s.aead.Open(plain[:0:scratchBlock], w.nonce[:], slot[8:], w.associated[:]); err == nil {
			return nil
		}
	}
	return fmt.Errorf("reading block %d of a temporary file: %w", block, ErrForged)
}
