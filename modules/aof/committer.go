package aof

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// committer is the actor that owns the end of the log: whoever has its turn, and nobody else, writes to the tail. That is
// the actor itself, or for one batch an appender that found nobody at work: two changes of goroutine cost a fifth of the
// time that a durable append takes.
type committer struct {
	l        *Log
	turn     sync.Mutex
	durable  atomic.Uint64 // the last position on disk
	unsynced bool          // something was written since the last sync
	marked   bool          // the last batch in the tail is a mark, or the tail is empty
	sealed   []byte        // the last batch, when batches are sealed
	fresh    bool          // the next batch needs a new segment: recovery found bytes after the end
	idle     *time.Timer
	pad      [align]byte
	asked    bool // spares were asked for since the tail began
	end      ending
}

// Messages of the committer.
type (
	// drain: the queue isn't empty.
	drain struct{}
	// rest: nothing was written for a while.
	rest struct{}
	// task: fn is to run between two batches, with an empty queue to which nothing is added meanwhile.
	task struct {
		fn   func() error
		done chan error
	}
)

// serve has the queue served: here, if the caller may wait for the disk, else by the actor.
func (c *committer) serve(here bool) {
	if here {
		here = c.once()
	}
	if !here {
		c.l.tell(drain{})
	}
}

// once commits one batch in the caller's goroutine. It reports whether the queue is empty.
func (c *committer) once() (empty bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	defer func() {
		if p := recover(); p != nil { // handle has poisoned the log and told who waits
			c.l.o.Logger.Error("a commit panicked", "panic", p)
			empty = false
		}
	}()
	if b := c.l.queue.take(); b != nil {
		c.handle(b)
		if !c.l.queue.rest() {
			return false
		}
	}
	c.quiet()
	return true
}

// last commits what still waits when the actors are gone, and leaves a mark.
func (c *committer) last() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	for !c.drain(batchesPerTurn) {
	}
	if c.l.queue.failure() != nil {
		return nil
	}
	return c.mark(true)
}

// quiet is for when the queue has become empty.
func (c *committer) quiet() {
	if !c.marked && !c.l.stopping.Load() {
		c.idle.Reset(c.l.o.IdleMark)
	}
}

// Receive handles the committer's messages.
func (c *committer) Receive(ctx actor.Context) {
	c.turn.Lock()
	defer c.turn.Unlock()
	defer func() {
		// Nothing is known about a batch in which the committer died: poison the log, and let the supervisor stop the actor.
		if p := recover(); p != nil {
			c.l.o.Logger.Error("the committer panicked", "panic", p)
			c.l.queue.fail(nil, fmt.Errorf("the committer panicked: %v", p), c.l.tailNext(), true)
			panic(p)
		}
	}()
	switch m := ctx.Message().(type) {
	case *actor.Stopped:
		c.end.reached()
	case drain:
		if !c.drain(batchesPerTurn) {
			c.l.tell(drain{})
		} else {
			c.quiet()
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

// batchesPerTurn is how many batches are written before other messages get their turn: under load the queue never
// becomes empty.
const batchesPerTurn = 64

// drain writes what waits, a batch at a time. It reports whether the queue is empty.
func (c *committer) drain(batches int) bool {
	for range batches {
		b := c.l.queue.take()
		if b == nil {
			return true
		}
		c.handle(b)
	}
	return false
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
		c.l.metrics.answered(b)
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
		plain := b.buf
		if l.o.Sealer != nil {
			defer func() { b.buf = plain }() // what is written is the committer's own buffer
		}
		if err := c.seal(b, plain, tail, &h); err != nil {
			return err
		}
		if c.fresh || !tail.fits(h.size()) {
			if err := c.roll(h.size()); err != nil {
				return err
			}
			tail = l.tail()
			if err := c.seal(b, plain, tail, &h); err != nil {
				return err
			}
		}
		b.buf = append(b.buf, c.pad[:h.size()-int64(len(b.buf))]...)
		h.prev = tail.sum
		h.encode(b.buf, tail.header.salt)
		if n, err := tail.file.WriteAt(b.buf, tail.end); err != nil {
			err = fmt.Errorf("writing to %s: %w", tail.name, err)
			if n >= batchBytes+h.payload {
				return err // all but the padding is there: it may come back
			}
			// What was written is beyond the end, is no whole batch, and will be overwritten.
			return refusedIfFull(err)
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
		if !c.asked && tail.end > tail.bytes/2 {
			c.asked = true // a log that stays small needs no spares
			l.prepareSpares()
		}
	}
	return nil
}

// refusedIfFull marks the errors of a full disk, after which the log can go on.
func refusedIfFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// sync makes the tail durable.
func (c *committer) sync(tail *segment, b *batch) error {
	started := time.Now()
	err := tail.file.Sync()
	took := time.Since(started)
	c.l.metrics.fsync.Record(context.Background(), took.Seconds(), c.l.metrics.record...)
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
		return refusedIfFull(err)
	}
	if err := l.sealed(tail); err != nil {
		l.o.Logger.Warn("sealing a segment failed; it will be read by scanning", "segment", tail.name, "err", err)
	}
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	l.weigh()
	c.begun()
	return nil
}

// begun is for a new segment at the tail.
func (c *committer) begun() {
	c.fresh, c.marked, c.unsynced, c.asked = false, true, false, true
	c.l.prepareSpares()
}

// sealed gives a segment that was the tail its footer.
func (l *Log) sealed(s *segment) error {
	if err := s.seal(); err != nil {
		return err
	}
	l.mu.Lock()
	s.sealed, s.fresh, s.closed = true, true, l.o.Tiers.Clock.Now()
	l.mu.Unlock()
	l.look()
	return nil
}

// mark leaves a batch without records that says what is durable, so that damage before it is told from a torn end.
func (c *committer) mark(sync bool) error {
	tail := c.l.tail()
	if c.marked || c.fresh || tail == nil {
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

// run runs a task with nothing waiting and nothing being admitted, so that positions can be given anew.
func (c *committer) run(fn func() error) error {
	q := &c.l.queue
	q.pause(true)
	defer q.pause(false)
	for !c.drain(batchesPerTurn) {
	}
	if err := q.failure(); err != nil {
		return fmt.Errorf("%w: %w", ErrPoisoned, err)
	}
	err := fn()
	q.resume(c.l.tailNext(), err)
	return err
}
