package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
	"github.com/bop-platform/bop/modules/sqlite"
)

// Admit implements sqlite.Log.
func (l *Log) Admit(ctx context.Context, n int) error {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return sqlite.ErrClosed
		}
		if l.inFlight == 0 || l.inFlight+int64(n) <= admitBytes {
			l.mu.Unlock()
			return nil
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Propose implements sqlite.Log. The group's queue has room for what Admit admits, and for what comes without asking.
func (l *Log) Propose(ctx context.Context, seg sqlite.SegmentID, rec []byte, done func(sqlite.Position, error)) {
	l.ProposeStored(ctx, seg, rec, nil, done)
}

// ProposeStored implements sqlite.StoredLog.
func (l *Log) ProposeStored(ctx context.Context, seg sqlite.SegmentID, rec []byte, stored func(), done func(sqlite.Position, error)) {
	size := int64(len(rec))
	l.mu.Lock()
	l.inFlight += size
	l.mu.Unlock()
	answer := func(at raft.Position, _ any, err error) {
		l.mu.Lock()
		l.inFlight -= size
		if l.room != nil {
			close(l.room)
			l.room = nil
		}
		l.mu.Unlock()
		done(sqlite.Position(at.Index), explain(err))
	}
	g := l.Group()
	if g == nil {
		go answer(raft.Position{}, nil, &raft.NotLeaderError{Group: Group})
		return
	}
	c := raft.Proposal{Data: seglog.Command(seglog.SegmentID(seg), rec), Done: answer}
	if stored != nil {
		c.Stored = func(raft.Position) { stored() }
	}
	if err := g.Submit(ctx, c); err != nil {
		// Not from here: the caller holds locks that done needs.
		go answer(raft.Position{}, nil, fmt.Errorf("%w: %w", raft.ErrDropped, err))
	}
}

// explain says whether an error leaves open what became of a record.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrDropped), errors.Is(err, raft.ErrSuperseded):
		return fmt.Errorf("%w: %w", sqlite.ErrNotCommitted, err)
	}
	return fmt.Errorf("%w: %w", sqlite.ErrOutcomeUnknown, err)
}

// Committed implements sqlite.Log.
func (l *Log) Committed() sqlite.Position { return sqlite.Position(l.segments.Position().Index) }

// Replay implements sqlite.Log.
func (l *Log) Replay(ctx context.Context, from sqlite.Position, fn func(sqlite.Position, sqlite.SegmentID, []byte) error) error {
	err := l.segments.Replay(ctx, uint64(from), func(at raft.Position, seg seglog.SegmentID, data []byte) error {
		l.note(sqlite.SegmentID(seg), sqlite.Position(at.Index))
		return fn(sqlite.Position(at.Index), sqlite.SegmentID(seg), data)
	})
	return damage(err)
}

// ReplaySegment implements sqlite.SegmentLog.
func (l *Log) ReplaySegment(ctx context.Context, seg sqlite.SegmentID, from sqlite.Position, fn func(sqlite.Committed) error) error {
	return damage(l.segments.ReplaySegment(ctx, seglog.SegmentID(seg), uint64(from), func(at raft.Position, data []byte) error {
		return fn(sqlite.Committed{Position: sqlite.Position(at.Index), Epoch: at.Term, Record: data})
	}))
}

// damage gives what is lost the name that sqlite knows. Positions of a segment's log are none of the group's: all that
// is known is that records of that segment are missing.
func damage(err error) error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []error
		for _, e := range many.Unwrap() {
			list = append(list, damage(e))
		}
		return errors.Join(list...)
	}
	var d *seglog.SegmentDamageError
	if errors.As(err, &d) {
		return &sqlite.LogDamageError{Segment: new(sqlite.SegmentID(d.Segment)), Err: err}
	}
	if errors.Is(err, aof.ErrDamaged) {
		return &sqlite.LogDamageError{Err: err}
	}
	return err
}

func (l *Log) note(seg sqlite.SegmentID, at sqlite.Position) {
	l.mu.Lock()
	l.lasts[seg] = max(l.lasts[seg], at)
	l.mu.Unlock()
}

// Checkpointed implements sqlite.Log.
func (l *Log) Checkpointed(seg sqlite.SegmentID, upTo sqlite.Position) {
	l.mu.Lock()
	l.covered[seg] = max(l.covered[seg], upTo)
	l.mu.Unlock()
	if err := l.segments.Covered(seglog.SegmentID(seg), uint64(upTo)); err != nil && !errors.Is(err, aof.ErrClosed) {
		l.o.Logger.Warn("a database's log isn't cut", "segment", uint64(seg), "err", err)
	}
}

// Forget implements sqlite.Log.
func (l *Log) Forget(seg sqlite.SegmentID) {
	l.mu.Lock()
	delete(l.covered, seg)
	delete(l.lasts, seg)
	l.mu.Unlock()
	if err := l.segments.Forget(seglog.SegmentID(seg)); err != nil && !errors.Is(err, aof.ErrClosed) {
		l.o.Logger.Warn("removing the log of a dropped database failed", "segment", uint64(seg), "err", err)
	}
}

// Head implements sqlite.HeadLog: the oldest record that a database needs, and the bytes of all that are kept.
func (l *Log) Head() (sqlite.Position, int64) {
	head := l.Committed() + 1
	l.mu.Lock()
	for seg, last := range l.lasts {
		if c := l.covered[seg]; c < last {
			head = min(head, c+1)
		}
	}
	l.mu.Unlock()
	return head, l.segments.Bytes()
}
