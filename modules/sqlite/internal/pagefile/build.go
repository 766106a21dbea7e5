package pagefile

import (
	"fmt"
	"math"
	"slices"
)

// build writes the nodes of t from c.old and the changes.
func (c *Checkpoint) build(t *Tree) error {
	fan := fanout(c.f.size)
	t.levels = levelsFor(t.State.Pages, fan)
	for _, ch := range c.changes {
		if ch.index >= t.State.Pages {
			return fmt.Errorf("checkpoint: page %d is beyond the end", ch.index+1)
		}
	}
	changes := c.changes
	before, after := c.old.State.Pages, t.State.Pages
	for level := range max(t.levels, c.old.levels) {
		nodesBefore := uint32(0)
		if level < c.old.levels {
			nodesBefore = ceilDiv(before, fan)
		}
		nodesAfter := ceilDiv(after, fan)
		if level >= t.levels {
			nodesAfter = 0
		}
		up, err := c.buildLevel(level, changes, nodesBefore, nodesAfter, before, after)
		if err != nil {
			return err
		}
		if level+1 == t.levels {
			switch {
			case len(up) > 0:
				t.root = up[0].entry
			case level < c.old.levels:
				if t.root, err = c.old.nodeRef(level, 0); err != nil {
					return err
				}
			}
		}
		if level+1 == c.old.levels && t.levels > c.old.levels && (len(up) == 0 || up[0].index != 0) {
			// The old root becomes the first child of a new one.
			up = slices.Insert(up, 0, change{0, c.old.root})
		}
		changes, before, after = up, nodesBefore, nodesAfter
	}
	return nil
}

// buildLevel rewrites the nodes of one level that changed, frees the ones that are gone, and returns what changes in
// the level above.
func (c *Checkpoint) buildLevel(level uint32, changes []change, nodesBefore, nodesAfter, before, after uint32) ([]change, error) {
	fan := fanout(c.f.size)
	var up []change
	rewrite := func(index uint32, changes []change) error {
		n := newNode(c.f.size, level, index)
		if index < nodesBefore {
			e, err := c.old.nodeRef(level, index)
			if err != nil {
				return err
			}
			switch {
			case e.here():
				old, err := c.f.node(level, index, e)
				if err != nil {
					return err
				}
				copy(n, old)
				c.freed = append(c.freed, e.slot)
			case e.slot == inBucket:
				for i := range min(fan, before-index*fan) {
					n.set(i, entry{slot: inBucket})
				}
			}
		}
		for _, ch := range changes {
			i := ch.index % fan
			if e := n.entry(i); level == 0 && e.here() && e.slot != ch.slot {
				c.freed = append(c.freed, e.slot)
			}
			n.set(i, ch.entry)
		}
		for i := range fan {
			if uint64(index)*uint64(fan)+uint64(i) < uint64(after) {
				continue
			}
			if e := n.entry(i); level == 0 && e.here() {
				c.freed = append(c.freed, e.slot)
			}
			n.set(i, entry{})
		}
		e := entry{}
		switch {
		case n.empty():
		case n.left(min(fan, after-index*fan)):
			e.slot = inBucket // with everything under it
		default:
			sum := nodeSum(level, index, n)
			slot, err := c.write(n, byte(level+1), index, sum)
			if err != nil {
				return err
			}
			e = entry{slot, sum}
			c.f.cache.put(cacheKey{c.f.number, slot}, n)
		}
		up = append(up, change{index, e})
		return nil
	}
	done := uint32(math.MaxUint32)
	for len(changes) > 0 {
		index := changes[0].index / fan
		if index >= nodesAfter {
			break
		}
		k := 1
		for k < len(changes) && changes[k].index/fan == index {
			k++
		}
		if err := rewrite(index, changes[:k]); err != nil {
			return nil, err
		}
		done = index
		changes = changes[k:]
	}
	if after < before && nodesAfter > 0 && after%fan != 0 && nodesAfter <= nodesBefore && done != nodesAfter-1 {
		if err := rewrite(nodesAfter-1, nil); err != nil {
			return nil, err
		}
	}
	for index := nodesAfter; index < nodesBefore; index++ {
		e, err := c.old.nodeRef(level, index)
		if err != nil {
			return nil, err
		}
		if !e.here() {
			continue
		}
		c.freed = append(c.freed, e.slot)
		if level > 0 {
			continue
		}
		n, err := c.f.node(level, index, e)
		if err != nil {
			return nil, err
		}
		for i := range fan {
			if e := n.entry(i); e.here() {
				c.freed = append(c.freed, e.slot)
			}
		}
	}
	return up, nil
}
