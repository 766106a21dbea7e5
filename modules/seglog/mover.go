package seglog

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// mover is the actor that makes durable what was moved into the segments' logs. Until then the parent log keeps it.
type mover struct {
	s    *Segments
	stop func() bool
}

// Messages of the mover.
type (
	moveDue struct{}
	moveNow struct{ done chan<- error }
)

// Receive implements actor.Actor.
func (m *mover) Receive(c actor.Context) {
	switch msg := c.Message().(type) {
	case *actor.Started:
		self, root := c.Self(), c.ActorSystem().Root
		var again func()
		again = func() {
			root.Send(self, &moveDue{})
			m.s.mu.Lock()
			defer m.s.mu.Unlock()
			if !m.s.closed {
				time.AfterFunc(m.s.o.MoveInterval, again)
			}
		}
		time.AfterFunc(m.s.o.MoveInterval, again)
	case *moveDue:
		if err := m.s.sync(); err != nil {
			m.s.fail(err)
		}
	case *moveNow:
		msg.done <- m.s.sync()
	}
}

// moving notes what was handed to a segment's log.
func (s *Segments) moving(id SegmentID, n int64) {
	s.mu.Lock()
	s.dirty[id] = true
	s.waiting += n
	tell := s.waiting >= s.o.MoveBytes && !s.due
	s.due = s.due || tell
	s.mu.Unlock()
	s.metrics.moved(n)
	if tell {
		s.o.System.Root.Send(s.mover, &moveDue{})
	}
}

// sync makes durable what the segments' logs were given.
func (s *Segments) sync() error {
	s.mu.Lock()
	at := s.applied
	var list []*segment
	for id := range s.dirty {
		if x := s.list[id]; x != nil {
			list = append(list, x)
		}
	}
	clear(s.dirty)
	s.waiting, s.due = 0, false
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	for _, x := range list {
		if err := x.l.Sync(context.Background()); err != nil && s.has(x) {
			return fmt.Errorf("seglog: syncing the log of segment %d: %w", x.id, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil && at.Index > s.moved.Index {
		s.moved = at
	}
	return s.failure
}

// has tells whether a segment is still there: one that was forgotten meanwhile needs no sync.
func (s *Segments) has(x *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[x.id] == x
}

// Sync returns when everything that was applied is on disk in the segments' logs.
func (s *Segments) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	s.o.System.Root.Send(s.mover, &moveNow{done})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Segments) stopMover() {
	// What it does at the moment it finishes; what waits behind it has no effect on a closed log.
	_ = s.o.System.Root.StopFuture(s.mover).Wait()
}
