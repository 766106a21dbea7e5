package aof

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// committer is the actor that owns the end of the log: it alone writes to the tail.
type committer struct {
	l        *Log
	durable  atomic.Uint64 // the last position on disk
	unsynced bool          // something was written since the last sync
	marked   bool          // the last batch in the tail is a mark, or the tail is empty
	fresh    bool          // the next batch needs a new segment: recovery found bytes after the end
	idle     *time.Timer
	pad      [align]byte
}

// Messages of the committer.
type (
	// drain: the queue isn't empty.
	drain struct{}
	// rest: nothing was written for a while.
	rest struct{}
	// task: fn is to run between two batches, with an empty queue that is locked.
	task struct {
		fn   func() error
		done chan error
	}
)

// Receive handles the committer's messages.
func (c *committer) Receive(ctx actor.Context) {
	defer func() {
		// Nothing is known about a batch in which the committer died: poison the log, and let the supervisor stop the actor.
		if p := recover(); p != nil {
			c.l.o.Logger.Error("the committer panicked", "panic", p)
			c.l.queue.fail(nil, fmt.Errorf("the committer panicked: %v", p), c.l.tailNext(), true)
			panic(p)
		}
	}()
	switch m := ctx.Message().(type) {
	case drain:
		c.drain()
		if !c.marked && c.idle != nil {
			c.idle.Reset(c.l.o.IdleMark)
		}
	case rest:
		if c.l.queue.failure() == nil {
			if err := c.mark(false); err != nil {
				c.l.o.Logger.Warn("leaving a mark failed", "err", err)
			}
		}
	case task:
		m.done <- c.run(m.fn)
	}
}

// drain writes everything that waits, a batch at a time.
func (c *committer) drain() {
	for b := c.l.queue.take(); b != nil; b = c.l.queue.take() {
		c.handle(b)
	}
}

// handle commits one batch and tells who waits. If it dies they are told so too.
func (c *committer) handle(b *batch) {
	finished := false
	defer func() {
		if !finished {
			c.l.queue.fail(b, errors.New("the committer panicked"), c.l.tailNext(), true)
		}
	}()
	if err := c.l.queue.failure(); err != nil {
		c.l.queue.finish(b, fmt.Errorf("%w: %w", ErrPoisoned, err))
	} else if err := c.commit(b); err != nil {
		poison := !errors.Is(err, errRefused)
		if poison {
			c.l.o.Logger.Error("the log refuses appends from now on", "err", err)
		}
		c.l.queue.fail(b, err, c.l.tailNext(), poison)
	} else {
		c.l.queue.finish(b, nil)
	}
	finished = true
}

// errRefused marks errors that left the log as it was, so that it can go on: a full disk above all.
var errRefused = errors.New("nothing was appended")

// commit writes a batch at the end of the tail and syncs it if anybody in it asked for that.
func (c *committer) commit(b *batch) error {
	l := c.l
	tail := l.tail()
	h := batchHeader{payload: len(b.buf) - batchBytes, count: b.count, first: b.first, durable: Position(c.durable.Load())}
	if b.count > 0 {
		b.buf = append(b.buf, c.pad[:h.size()-int64(len(b.buf))]...)
		if c.fresh || !tail.fits(h.size()) {
			if err := c.roll(h.size()); err != nil {
				return err
			}
			tail = l.tail()
		}
		h.prev = tail.sum
		h.encode(b.buf, tail.header.salt)
		if _, err := tail.file.WriteAt(b.buf, tail.end); err != nil {
			err = fmt.Errorf("writing to %s: %w", tail.name, err)
			if isFull(err) {
				// What was written is beyond the end and will be overwritten.
				return fmt.Errorf("%w: %w", errRefused, err)
			}
			return err
		}
		c.unsynced = true
		c.marked = false
	}
	if b.sync && c.unsynced {
		if err := c.sync(tail, b); err != nil {
			return err
		}
		if b.count > 0 {
			c.durable.Store(uint64(h.last()))
		} else {
			c.durable.Store(uint64(l.tailNext() - 1))
		}
	}
	if b.count > 0 {
		l.publish(tail, &h)
		l.metrics.batch(b)
	}
	return nil
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// sync makes the tail durable.
func (c *committer) sync(tail *segment, b *batch) error {
	started := time.Now()
	err := tail.file.Sync()
	took := time.Since(started)
	c.l.metrics.fsync.Record(context.Background(), took.Seconds(), c.l.metrics.name)
	if b != nil {
		c.l.traceSync(b, started, took, err)
	}
	if err != nil {
		return fmt.Errorf("syncing %s: %w", tail.name, err)
	}
	c.unsynced = false
	return nil
}

// roll begins a new segment that has room for size bytes. Whatever fails before the new segment has its name leaves the
// log as it was.
func (c *committer) roll(size int64) error {
	l := c.l
	l.queue.rolling.Store(true)
	defer l.queue.rolling.Store(false)
	tail := l.tail()
	if c.unsynced {
		// A footer must never be on disk before the records that it speaks of.
		if err := c.sync(tail, nil); err != nil {
			return err
		}
		c.durable.Store(uint64(tail.next - 1))
	}
	s, err := l.create(segmentHeader{sequence: tail.header.sequence + 1, base: tail.next, prev: tail.sum}, size)
	if err != nil {
		if isFull(err) {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		return err
	}
	if err := tail.seal(); err != nil {
		l.o.Logger.Warn("sealing a segment failed; it will be read by scanning", "segment", tail.name, "err", err)
	} else {
		l.mu.Lock()
		tail.sealed = true
		l.mu.Unlock()
	}
	c.begin(s)
	return nil
}

// begin makes a segment the tail.
func (c *committer) begin(s *segment) {
	l := c.l
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	c.fresh, c.marked, c.unsynced = false, true, false
	l.prepareSpares()
	l.o.Logger.Debug("segment begun", "segment", s.name, "base", uint64(s.base))
}

// mark leaves a batch without records that says what is durable, so that damage before it is told from a torn end.
func (c *committer) mark(sync bool) error {
	tail := c.l.tail()
	if c.marked || tail == nil {
		return nil
	}
	h := batchHeader{first: tail.next, durable: Position(c.durable.Load()), prev: tail.sum}
	if !tail.fits(h.size()) {
		return nil // the next record begins a segment, which says as much
	}
	b := make([]byte, h.size())
	h.encode(b, tail.header.salt)
	if _, err := tail.file.WriteAt(b, tail.end); err != nil {
		return fmt.Errorf("writing to %s: %w", tail.name, err)
	}
	if sync {
		if err := c.sync(tail, nil); err != nil {
			return err
		}
	} else {
		c.unsynced = true
	}
	c.marked = true
	c.l.publish(tail, &h)
	return nil
}

// run runs a task with nothing waiting. The queue is locked meanwhile, so that positions can be given anew.
func (c *committer) run(fn func() error) error {
	q := &c.l.queue
	for {
		c.drain()
		q.mu.Lock()
		if q.filling == nil && len(q.full) == 0 {
			break
		}
		q.mu.Unlock()
	}
	defer q.mu.Unlock()
	if err := q.refusal(); err != nil {
		return err
	}
	err := fn()
	if err != nil && !errors.Is(err, errRefused) {
		q.failed = err
	}
	q.next = c.l.tailNext()
	return err
}
