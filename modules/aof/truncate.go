package aof

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// TruncateBefore gives up records before p, as whole segments: those of which every record is before p. Their files are
// kept as spares. Records at and after p stay; Bounds tells where the log begins then. Appends go on meanwhile.
func (l *Log) TruncateBefore(p Position) error {
	if err := l.queue.check(); err != nil {
		return err
	}
	l.arranging.Lock()
	defer l.arranging.Unlock()
	l.mu.Lock()
	n := 0
	for n < len(l.segments)-1 && l.segments[n].until() <= p && l.segments[n].pins == 0 {
		n++
	}
	dead := l.segments[:n]
	l.segments = slices.Clone(l.segments[n:])
	l.head = max(l.head, l.segments[0].base)
	var older []headless
	if n > 0 {
		l.headless = slices.DeleteFunc(l.headless, func(h headless) bool {
			gone := h.sequence < l.segments[0].header.sequence
			if gone {
				older = append(older, h)
			}
			return gone
		})
		first := l.segments[0].base
		l.damage = slices.DeleteFunc(l.damage, func(d Damage) bool { return d.Last != 0 && d.Last < first })
	}
	l.mu.Unlock()
	// Oldest first: what a later segment cut off must not come back. The catalog keeps objects from coming back.
	var err error
	if n > 0 {
		err = l.remember()
	}
	err = errors.Join(err, l.dropAll(dead))
	for _, h := range older {
		err = errors.Join(err, ignoreNotExist(l.o.FS.Remove(h.name)))
	}
	if err != nil {
		return fmt.Errorf("aof: removing segments before %d: %w", p, err)
	}
	l.weigh()
	l.look()
	return nil
}

// TruncateAfter gives up the records after p; the next record appended gets position p+1. When it returns, they can't
// come back. It begins a new segment whose base cuts off what older segments hold from there on: that segment's name
// appearing in the folder is the moment of truncation. ErrTruncated if p is before the log's beginning. If it fails for
// want of space nothing was truncated.
func (l *Log) TruncateAfter(p Position) error {
	return l.execute(func() error {
		l.arranging.Lock()
		defer l.arranging.Unlock()
		tail := l.tail()
		first, next := l.Bounds()
		if p+1 >= next {
			return nil
		}
		if p+1 < first {
			return fmt.Errorf("%w: truncating after %d: %w, the log begins at %d", errRefused, p, ErrTruncated, first)
		}
		c := &l.committer
		if c.unsynced {
			if err := c.sync(tail, nil); err != nil {
				return err
			}
		}
		s, err := l.create(segmentHeader{sequence: tail.header.sequence + 1, base: p + 1, prev: tail.sum}, 0)
		if err != nil {
			return refusedIfFull(err)
		}
		l.mu.Lock()
		l.visible = p + 1
		for _, old := range l.segments {
			if old.next > p+1 && (old.limit == 0 || old.limit > p+1) {
				old.limit = p + 1
			}
		}
		l.segments = append(l.segments, s)
		l.damage = slices.DeleteFunc(l.damage, func(d Damage) bool { return d.Last != 0 && d.First > p })
		dead := l.takeDead()
		l.cuts.add(p)
		l.cutCount.Store(l.cuts.made)
		l.wakeReaders()
		l.mu.Unlock()
		c.begun()
		c.durable.Store(uint64(p))
		if err := l.dropAll(dead); err != nil {
			l.o.Logger.Warn("removing truncated segments failed; they are ignored and removed at the next opening", "err", err)
		}
		if !slices.Contains(dead, tail) {
			if err := l.sealed(tail); err != nil {
				l.o.Logger.Warn("sealing a segment failed; it will be read by scanning", "segment", tail.name, "err", err)
			}
		}
		l.weigh()
		l.look()
		return nil
	})
}

// Seal ends the current segment, if it has records, and begins a new one.
func (l *Log) Seal(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.execute(func() error {
		if tail := l.tail(); tail.next == tail.base {
			return nil
		}
		return l.committer.roll(0)
	})
}

// cuts are the truncations at the end since the log was opened, for readers that stood behind them.
type cuts struct {
	made uint64 // how many there were
	list []cut  // those that no later one went below, so both fields grow
}

type cut struct {
	number uint64
	after  Position
}

func (c *cuts) add(after Position) {
	c.made++
	c.list = slices.DeleteFunc(c.list, func(e cut) bool { return e.after >= after })
	c.list = append(c.list, cut{c.made, after})
}

// since returns the last position that every truncation after the first seen ones left alone.
func (c *cuts) since(seen uint64) (after Position, any bool) {
	for _, e := range c.list {
		if e.number > seen {
			return e.after, true
		}
	}
	return 0, false
}
