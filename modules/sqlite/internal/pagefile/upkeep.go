package pagefile

import (
	"context"
	"fmt"
)

// A checkpoint may also change where pages are, without changing what the database is: give slots to pages that came from
// the bucket, take them from pages that the bucket serves, seal by another key. Such a checkpoint has no pages that are
// Put, and is committed with the state and log position of the newest tree.

// SetBucket names the manifest that serves the pages without a slot from this version on. Everything that the tree
// before had in the bucket must be in this one too, unchanged.
func (c *Checkpoint) SetBucket(b Bucket) { c.bucket = b }

// Old is the version that the checkpoint builds on.
func (c *Checkpoint) Old() *Tree { return c.old }

// Settle gives slots to the pages that came from the bucket since the last time, as long as there is room for them.
func (c *Checkpoint) Settle(room int64) (bytes int64, err error) {
	nos, pages := c.f.takeGuests()
	for _, no := range nos {
		g := pages[no]
		if bytes+int64(c.f.stride) > room || no > c.old.State.Pages {
			continue
		}
		e, err := c.old.lookup(no)
		if err != nil {
			return bytes, err
		}
		if e.slot != inBucket || e.sum != 0 && e.sum != g.sum {
			continue
		}
		if e.sum == 0 && !c.serves(context.Background(), no, g.sum) {
			continue // it came for an older tree
		}
		if err := c.Put(no, g.data, g.sum, true); err != nil {
			return bytes, err
		}
		c.f.cache.drop(c.f.guestKey(no, g.sum))
		bytes += int64(c.f.stride)
	}
	return bytes, nil
}

// serves tells whether the bucket has that version of a page.
func (c *Checkpoint) serves(ctx context.Context, no uint32, sum uint64) bool {
	v, err := (&Tree{f: c.f, bucket: c.bucket}).view()
	if err != nil {
		return false
	}
	have, err := v.Sum(ctx, no)
	return err == nil && have == sum
}

// Evict takes the slots of pages that the checkpoint's bucket serves, until they are so many bytes, beginning where the
// last one ended. Pages that were used since are passed over, unless hot is set. It tells whether it came to the end of
// the database; the next one begins at its beginning.
//
// What isn't in the file is taken to be in every later version of the bucket as it is in this one, until it changes. So a
// page must stay that may have changed since this one, for which stay is asked, even if it has changed back: the next
// version of the bucket may be from in between.
func (c *Checkpoint) Evict(ctx context.Context, bytes int64, hot bool, stay func(no uint32) bool) (freed int64, end bool, err error) {
	f, t := c.f, c.old
	fan := fanout(f.size)
	v, err := (&Tree{f: f, bucket: c.bucket}).view()
	if err != nil {
		return 0, false, err
	}
	for no := f.hand + 1; ; {
		if no > t.State.Pages {
			f.hand = 0
			return freed, true, nil
		}
		if freed >= bytes {
			f.hand = no - 1
			return freed, false, nil
		}
		if ctx.Err() != nil {
			return freed, false, context.Cause(ctx)
		}
		index := (no - 1) / fan
		ref, err := t.nodeRef(0, index)
		if err != nil {
			return freed, false, err
		}
		if !ref.here() {
			no = (index+1)*fan + 1
			continue
		}
		n, err := f.node(0, index, ref)
		if err != nil {
			return freed, false, err
		}
		for i := (no - 1) % fan; i < fan && no <= t.State.Pages && freed < bytes; i, no = i+1, no+1 {
			e := n.entry(i)
			if !e.here() || !hot && f.recent(e.slot) {
				continue
			}
			sum, err := v.Sum(ctx, no)
			if err != nil {
				return freed, false, fmt.Errorf("page %d: %w", no, err)
			}
			if sum != e.sum || stay != nil && stay(no) {
				continue // the bucket has it as it was before
			}
			f.cache.move(cacheKey{f.number, e.slot}, f.guestKey(no, e.sum))
			c.changes = append(c.changes, change{no - 1, entry{inBucket, e.sum}})
			c.last = no
			freed += int64(f.stride)
		}
	}
}

// Lower moves pages, and the nodes above them, from slots beyond a number of slots into free ones before it, so that the
// file can be cut. It moves about so many bytes at most.
func (c *Checkpoint) Lower(ctx context.Context, slots uint32, bytes int64) (moved int64, err error) {
	f, t := c.f, c.old
	fan := fanout(f.size)
	for no := uint32(1); no <= t.State.Pages && moved < bytes; {
		if ctx.Err() != nil {
			return moved, context.Cause(ctx)
		}
		index := (no - 1) / fan
		ref, err := t.nodeRef(0, index)
		if err != nil {
			return moved, err
		}
		if !ref.here() {
			no = (index+1)*fan + 1
			continue
		}
		n, err := f.node(0, index, ref)
		if err != nil {
			return moved, err
		}
		high, err := f.above(t, index, slots)
		if err != nil {
			return moved, err
		}
		first := no
		for i := uint32(0); i < fan && no <= t.State.Pages; i, no = i+1, no+1 {
			e := n.entry(i)
			if !e.here() || e.slot <= slots {
				continue
			}
			data, err := f.page(no, e)
			if err != nil {
				return moved, err
			}
			if err := c.Put(no, data, e.sum, false); err != nil {
				return moved, err
			}
			moved += int64(f.stride)
		}
		if high && c.last < first {
			c.touch(n, first, fan)
			moved += int64(f.stride)
		}
	}
	return moved, nil
}

// touch lets the nodes above a page be written anew: one entry stands in, as it was.
func (c *Checkpoint) touch(n node, no, fan uint32) {
	c.last = no
	c.changes = append(c.changes, change{no - 1, n.entry((no - 1) % fan)})
}

// above tells whether one of the nodes above a node of the lowest level, or that itself, is in a slot beyond a number.
func (f *File) above(t *Tree, index, slots uint32) (bool, error) {
	fan := fanout(f.size)
	for level := uint32(0); level < t.levels; level++ {
		ref, err := t.nodeRef(level, index)
		if err != nil {
			return false, err
		}
		if ref.here() && ref.slot > slots {
			return true, nil
		}
		index /= fan
	}
	return false, nil
}

// Slots is how many slots the file has room for within so many bytes.
func (f *File) Slots(bytes int64) uint32 {
	return uint32(max(0, (bytes-slotsStart)/int64(f.stride)))
}

// Scrub writes zeros over the slots that hold nothing: what was there may be in the clear.
func (f *File) Scrub(ctx context.Context) error {
	f.reclaim()
	zeros := make([]byte, f.stride)
	for slot := uint32(1); slot <= f.space.slots; slot++ {
		if f.space.has(slot) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := f.f.WriteAt(zeros, slotOffset(slot, f.stride)); err != nil {
			return fmt.Errorf("clearing %s: %w", f.name, err)
		}
	}
	return f.f.Sync()
}

// recent tells whether a slot was used lately, and forgets it.
func (f *File) recent(slot uint32) bool {
	return f.touched.take(slot) || f.cache.has(cacheKey{f.number, slot})
}

// Reseal seals pages and nodes anew that are sealed by another key than the current one, or by none, from page from on.
// It ends when it has written about so many bytes, and says where the next one goes on: 0 when all are done.
func (c *Checkpoint) Reseal(ctx context.Context, from uint32, bytes int64, current uint32) (next uint32, written int64, err error) {
	f, t := c.f, c.old
	fan := fanout(f.size)
	for no := max(from, 1); no <= t.State.Pages; {
		if written >= bytes {
			return no, written, nil
		}
		if ctx.Err() != nil {
			return no, written, context.Cause(ctx)
		}
		index := (no - 1) / fan
		ref, err := t.nodeRef(0, index)
		if err != nil {
			return no, written, err
		}
		if !ref.here() {
			no = (index+1)*fan + 1
			continue
		}
		n, err := f.node(0, index, ref)
		if err != nil {
			return no, written, err
		}
		first := no
		for i := (no - 1) % fan; i < fan && no <= t.State.Pages; i, no = i+1, no+1 {
			e := n.entry(i)
			if !e.here() {
				continue
			}
			if k, err := f.keyOf(e.slot); err != nil {
				return no, written, err
			} else if k == current {
				continue
			}
			data, err := f.page(no, e)
			if err != nil {
				return no, written, err
			}
			if err := c.Put(no, data, e.sum, false); err != nil {
				return no, written, err
			}
			written += int64(f.stride)
		}
		// The nodes above are written with their pages; where no page is, one entry stands in, as it was.
		if c.last < first {
			old, err := f.oldKey(t, index, current)
			if err != nil {
				return no, written, err
			}
			if old {
				c.touch(n, first, fan)
				written += int64(f.stride)
			}
		}
	}
	return 0, written, nil
}

// oldKey tells whether one of the nodes above a node of the lowest level, or that itself, isn't sealed by the current key.
func (f *File) oldKey(t *Tree, index, current uint32) (bool, error) {
	fan := fanout(f.size)
	for level := uint32(0); level < t.levels; level++ {
		ref, err := t.nodeRef(level, index)
		if err != nil {
			return false, err
		}
		if ref.here() {
			if k, err := f.keyOf(ref.slot); err != nil || k != current {
				return err == nil, err
			}
		}
		index /= fan
	}
	return false, nil
}

// Resealed says that nothing of the newest version is in the clear any more: such a slot is damage as soon as no older
// version is read.
func (f *File) Resealed() { f.sealedFrom = f.tree.generation }

// Adopt makes an empty file stand for a version of which everything is in the bucket.
func (c *Checkpoint) Adopt(pages uint32) {
	fan := fanout(c.f.size)
	c.old = &Tree{f: c.f, bucket: c.bucket, levels: levelsFor(pages, fan), root: entry{slot: inBucket}}
	c.old.State.Size, c.old.State.Pages = c.f.size, pages
	if pages == 0 {
		c.old.root = entry{}
	}
}
