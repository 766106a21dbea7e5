package pagefile

import "math/bits"

// space knows which slots are taken. Slots are numbered from 1.
type space struct {
	used    []uint64 // one bit per slot, bit 0 of word 0 is slot 1
	slots   uint32   // number of slots in the file
	count   int64    // of slots that are taken
	hint    int      // no free slot in words before it
	waiting []freed
}

// freed are slots that generation was the first to do without.
type freed struct {
	generation uint64
	slots      []uint32
}

func newSpace() *space { return &space{} }

func (s *space) has(slot uint32) bool {
	w := int((slot - 1) / 64)
	return w < len(s.used) && s.used[w]&(1<<((slot-1)%64)) != 0
}

func (s *space) take(slot uint32) {
	w := int((slot - 1) / 64)
	for w >= len(s.used) {
		s.used = append(s.used, 0)
	}
	if !s.has(slot) {
		s.count++
	}
	s.used[w] |= 1 << ((slot - 1) % 64)
	s.slots = max(s.slots, slot)
}

func (s *space) give(slot uint32) {
	w := int((slot - 1) / 64)
	if s.has(slot) {
		s.count--
	}
	s.used[w] &^= 1 << ((slot - 1) % 64)
	s.hint = min(s.hint, w)
}

// alloc takes the lowest free slot.
func (s *space) alloc() uint32 {
	for w := s.hint; w < len(s.used); w++ {
		if b := bits.TrailingZeros64(^s.used[w]); b < 64 {
			s.hint = w
			slot := uint32(w*64+b) + 1
			s.take(slot)
			return slot
		}
	}
	s.hint = len(s.used)
	slot := uint32(len(s.used)*64) + 1
	s.take(slot)
	return slot
}

// last is the highest slot that is taken.
func (s *space) last() uint32 {
	for w := len(s.used) - 1; w >= 0; w-- {
		if s.used[w] != 0 {
			return uint32(w*64 + 64 - bits.LeadingZeros64(s.used[w]))
		}
	}
	return 0
}

// release frees what no header and no tree of a generation before oldest holds.
func (s *space) release(headers, oldest uint64, drop func(slot uint32)) {
	keep := s.waiting[:0]
	for _, f := range s.waiting {
		if f.generation > headers || f.generation > oldest {
			keep = append(keep, f)
			continue
		}
		for _, slot := range f.slots {
			s.give(slot)
			drop(slot)
		}
	}
	clear(s.waiting[len(keep):])
	s.waiting = keep
}
