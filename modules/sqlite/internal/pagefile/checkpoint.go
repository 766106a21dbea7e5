package pagefile

import (
	"fmt"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
)

// writeBuffer is how many bytes of neighbouring slots go into one write.
const writeBuffer = 1 << 20

// Checkpoint is a new version under construction.
type Checkpoint struct {
	f       *File
	old     *Tree
	bucket  Bucket
	changes []change // ascending
	taken   []uint32
	skipped []uint32 // suspect slots that were passed over
	freed   []uint32
	last    uint32 // number of the page put last

	buf   []byte // pending write
	start uint32 // slot of buf[0]
	next  uint32 // slot after the end of buf
}

type change struct {
	index uint32
	entry
}

// Checkpoint begins a new version on top of the newest one.
func (f *File) Checkpoint() (*Checkpoint, error) {
	if err := f.Survey(); err != nil {
		return nil, err
	}
	f.reclaim()
	return &Checkpoint{f: f, old: f.tree, bucket: f.tree.bucket}, nil
}

// Survey walks the trees of both headers to find the slots that are in use, once. It is for who makes checkpoints.
func (f *File) Survey() error {
	if f.space != nil {
		return nil
	}
	s := newSpace()
	if err := f.tree.walk(s.take); err != nil {
		return fmt.Errorf("finding the free space of %s: %w", f.name, err)
	}
	if f.older != nil {
		var only []uint32
		err := f.older.walk(func(slot uint32) {
			if !s.has(slot) {
				s.take(slot)
				only = append(only, slot)
			}
		})
		if err != nil {
			// The older tree is of no use as a fall-back, so nothing is lost by writing over it.
			for _, slot := range only {
				s.give(slot)
			}
			only = nil
		}
		s.waiting = append(s.waiting, freed{f.tree.generation, only})
	}
	f.space = s
	f.used.Store(s.count)
	return nil
}

// reclaim frees what nothing refers to any more.
func (f *File) reclaim() {
	f.mu.Lock()
	oldest := f.tree.generation
	for t := range f.trees {
		oldest = min(oldest, t.generation)
	}
	f.mu.Unlock()
	headers := f.tree.generation
	if f.older != nil {
		headers = f.older.generation
	}
	f.space.release(headers, oldest, func(slot uint32) { f.cache.drop(cacheKey{f.number, slot}) })
	f.used.Store(f.space.count)
	if f.sealedFrom > 0 && min(headers, oldest) >= f.sealedFrom {
		f.mixed.Store(false)
		f.sealedFrom = 0
	}
}

// Put writes page no into a free slot. Pages come in ascending order. If keep is set, data goes to the cache as it is
// and must not be changed afterwards.
func (c *Checkpoint) Put(no uint32, data []byte, sum uint64, keep bool) error {
	if no <= c.last {
		return fmt.Errorf("checkpoint: page %d after page %d", no, c.last)
	}
	c.last = no
	e := entry{sum: sum}
	if sum != 0 || !page.Zero(data) {
		slot, err := c.write(data, slotPage, no, sum)
		if err != nil {
			return err
		}
		e.slot = slot
		if k := (cacheKey{c.f.number, slot}); keep {
			c.f.cache.put(k, data)
		} else {
			c.f.cache.drop(k)
		}
	}
	c.changes = append(c.changes, change{no - 1, e})
	return nil
}

// write puts a page or node into a free slot.
func (c *Checkpoint) write(data []byte, kind byte, number uint32, sum uint64) (uint32, error) {
	slot := c.f.space.alloc()
	for c.f.suspect[slot] {
		// The slot may belong to a tree that is on disk although its header's sync failed.
		c.skipped = append(c.skipped, slot)
		slot = c.f.space.alloc()
	}
	c.taken = append(c.taken, slot)
	if slot != c.next || len(c.buf)+int(c.f.stride) > writeBuffer {
		if err := c.flush(); err != nil {
			return 0, err
		}
		c.start, c.next = slot, slot
	}
	c.buf = c.f.appendSlot(c.buf, data, kind, number, sum)
	c.next++
	return slot, nil
}

func (c *Checkpoint) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	off := slotOffset(c.start, c.f.stride)
	_, err := c.f.f.WriteAt(c.buf, off)
	c.buf = c.buf[:0]
	if err != nil {
		return fmt.Errorf("writing %s at offset %d: %w", c.f.name, off, err)
	}
	return nil
}

// Abort gives back the slots of a checkpoint that did not come to its end.
func (c *Checkpoint) Abort() {
	for _, slot := range c.taken {
		c.f.space.give(slot)
		c.f.cache.drop(cacheKey{c.f.number, slot})
	}
	c.taken = nil
	c.unskip()
}

func (c *Checkpoint) unskip() {
	for _, slot := range c.skipped {
		c.f.space.give(slot)
	}
	c.skipped = nil
}

// Commit makes the new version durable and current, and returns it with a reference that the caller must release.
// If it fails, the version before stays current and the checkpoint is aborted.
func (c *Checkpoint) Commit(state page.State, logPos uint64) (*Tree, error) {
	t, err := c.commit(state, logPos)
	if err != nil {
		c.Abort()
		return nil, err
	}
	return t, nil
}

func (c *Checkpoint) commit(state page.State, logPos uint64) (*Tree, error) {
	f := c.f
	t := &Tree{State: state, LogPos: logPos, f: f, generation: f.nextGeneration(), bucket: c.bucket}
	if err := c.build(t); err != nil {
		return nil, err
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	if err := f.f.Sync(); err != nil {
		return nil, fmt.Errorf("syncing %s: %w", f.name, err)
	}
	if err := f.writeHeader(t); err != nil {
		// Whether the header is on disk is not known: until another one has replaced it, its slots are taboo.
		if f.suspect == nil {
			f.suspect = map[uint32]bool{}
		}
		for _, slot := range c.taken {
			f.suspect[slot] = true
		}
		return nil, err
	}
	c.taken = nil
	c.unskip()
	if len(c.freed) > 0 {
		f.space.waiting = append(f.space.waiting, freed{t.generation, c.freed})
	}
	f.publish(t)
	f.shrink()
	return t, nil
}

func (f *File) nextGeneration() uint64 { return f.tree.generation + 1 }

// writeHeader replaces the header that is not current.
func (f *File) writeHeader(t *Tree) error {
	blocks := f.blocks.Load()
	if !f.Sealable() {
		blocks = nil
	}
	h := header{id: f.id, generation: t.generation, state: t.State, logPos: t.LogPos, root: t.root, levels: t.levels,
		stride: f.stride, mixed: blocks != nil && f.mixed.Load(), bucket: t.bucket}
	off := int64(1-f.place) * headerStride
	if _, err := f.f.WriteAt(h.encode(blocks), off); err != nil {
		return fmt.Errorf("writing the header of %s: %w", f.name, err)
	}
	if err := f.f.Sync(); err != nil {
		return fmt.Errorf("syncing the header of %s: %w", f.name, err)
	}
	f.place = 1 - f.place
	f.suspect = nil
	return nil
}

func (f *File) publish(t *Tree) {
	f.mu.Lock()
	old := f.tree
	f.tree = t
	t.refs = 2 // the file's own, and the caller's
	f.trees[t] = true
	f.mu.Unlock()
	if old.generation > 0 {
		f.older = &Tree{State: old.State, LogPos: old.LogPos, f: f, generation: old.generation, root: old.root, levels: old.levels, bucket: old.bucket}
	}
	old.Release()
	f.reclaim()
}

// Repeat writes the current version into the other header too, so that both stand for it and the log before it is not
// needed.
func (f *File) Repeat() error {
	t := f.tree
	if f.older != nil && f.older.LogPos == t.LogPos || t.generation == 0 {
		return nil
	}
	return f.Again()
}

// Again writes the newest tree into the other header too: slots that the one before held become free.
func (f *File) Again() error {
	t := f.tree
	if err := f.Survey(); err != nil {
		return err
	}
	n := &Tree{State: t.State, LogPos: t.LogPos, f: f, generation: f.nextGeneration(), root: t.root, levels: t.levels, bucket: t.bucket}
	if err := f.writeHeader(n); err != nil {
		return err
	}
	f.publish(n)
	n.Release()
	f.shrink()
	return nil
}

// shrink cuts free slots off the end of the file when they are a quarter of it.
func (f *File) shrink() {
	last := f.space.last()
	have, err := f.f.Size()
	if err != nil {
		return
	}
	want := slotOffset(last+1, f.stride)
	if have-want < max(1<<20, have/4) && (f.o.Tight == 0 || have <= f.o.Tight || have == want) {
		return
	}
	// Failing to give space back is no reason to fail the checkpoint.
	if f.f.Truncate(want) == nil {
		f.space.slots = last
	}
}
