package aof

import (
	"context"
	"errors"
	"fmt"
)

// TruncateBefore gives up records before p, as whole segments: those of which every record is before p. Their files are
// kept as spares. Records at and after p stay; Bounds tells where the log begins then.
func (l *Log) TruncateBefore(p Position) error {
	return l.execute(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for n < len(l.segments)-1 && l.segments[n].until() <= p {
			n++
		}
		// In order, oldest first: what a later segment cut off must not come back.
		var errs []error
		for _, s := range l.segments[:n] {
			errs = append(errs, l.drop(s))
		}
		l.segments = append([]*segment(nil), l.segments[n:]...)
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("%w: removing segments: %w", errRefused, err)
		}
		return nil
	})
}

// TruncateAfter gives up the records after p; the next record appended gets position p+1. When it returns, they can't
// come back. It begins a new segment whose base cuts off what older segments hold from there on: that segment's name
// appearing in the folder is the moment of truncation.
func (l *Log) TruncateAfter(p Position) error {
	return l.execute(func() error {
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
			if isFull(err) {
				return fmt.Errorf("%w: %w", errRefused, err)
			}
			return err
		}
		l.mu.Lock()
		l.visible = p + 1
		for _, old := range l.segments {
			if old.next > p+1 && (old.limit == 0 || old.limit > p+1) {
				old.limit = p + 1
			}
		}
		l.segments = append(l.segments, s)
		err = l.dropDead()
		l.wakeReaders()
		l.mu.Unlock()
		c.fresh, c.marked, c.unsynced = false, true, false
		c.durable.Store(uint64(p))
		l.prepareSpares()
		if err != nil {
			l.o.Logger.Warn("removing truncated segments failed; they are ignored and removed at the next opening", "err", err)
		}
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
