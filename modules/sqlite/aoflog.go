package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/bop-platform/bop/modules/aof"
)

// Kinds of records in the AOF.
const (
	aofRecord     = 1 // kind, uvarint segment, the record
	aofLeadership = 2 // kind, uvarint epoch
)

// admitBytes is how much may be on its way to the disk before Admit makes writers wait.
const admitBytes = 16 << 20

// AOFLog is the log of a single server: all databases share one append-only file, and a group of transactions shares
// one fsync.
type AOFLog struct {
	l *aof.Log

	mu        sync.Mutex
	epoch     uint64
	err       error // set when the log takes nothing any more
	inFlight  int64
	leads     bool          // Lead was called: the whole log has been seen
	room      chan struct{} // closed when something in flight has landed; nil if nobody waits
	overflow  []proposal    // what the AOF would not take at once, in order
	frame     []byte        // scratch of Propose
	watchers  map[int]func(LogEvent)
	watcherID int
	segments  map[SegmentID]*span
	cut       Position // the head that was last asked for
}

// span is what the log holds of a segment.
type span struct{ last, covered Position }

type proposal struct {
	ctx  context.Context
	seg  SegmentID
	size int64
	done func(Position, error)
	rec  []byte // framed, of those that the AOF has not taken
}

var _ Log = (*AOFLog)(nil)
var _ HeadLog = (*AOFLog)(nil)
var _ SegmentLog = (*AOFLog)(nil)

// NewAOFLog makes a Log of an open AOF, which it takes over. All of the AOF's records must be its own.
func NewAOFLog(l *aof.Log) *AOFLog {
	return &AOFLog{l: l, watchers: map[int]func(LogEvent){}, segments: map[SegmentID]*span{}}
}

// AOF returns the append-only file below.
func (l *AOFLog) AOF() *aof.Log { return l.l }

// Lead implements Log.
func (l *AOFLog) Lead(ctx context.Context, atLeast uint64) (uint64, error) {
	l.mu.Lock()
	epoch := max(l.epoch, atLeast) + 1
	l.mu.Unlock()
	rec := binary.AppendUvarint([]byte{aofLeadership}, epoch)
	if _, err := l.l.Append(ctx, rec, aof.Fsync); err != nil {
		return 0, fmt.Errorf("beginning a leadership in the log: %w", l.explain(err))
	}
	l.mu.Lock()
	l.epoch, l.leads = epoch, true
	l.mu.Unlock()
	l.trim()
	return epoch, nil
}

// Epoch implements Log.
func (l *AOFLog) Epoch() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	return l.epoch, nil
}

// Admit implements Log.
func (l *AOFLog) Admit(ctx context.Context, n int) error {
	for {
		l.mu.Lock()
		if l.err != nil || l.inFlight == 0 || l.inFlight+int64(n) <= admitBytes {
			defer l.mu.Unlock()
			return l.err
		}
		room := l.landing()
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// landing is closed when something in flight has landed. mu is held.
func (l *AOFLog) landing() <-chan struct{} {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

// Propose implements Log.
func (l *AOFLog) Propose(ctx context.Context, seg SegmentID, rec []byte, done func(Position, error)) {
	l.mu.Lock()
	l.frame = append(binary.AppendUvarint(append(l.frame[:0], aofRecord), uint64(seg)), rec...)
	p := proposal{ctx: ctx, seg: seg, size: int64(len(l.frame)), done: done}
	l.inFlight += p.size
	waiting := len(l.overflow) > 0
	if !waiting {
		// Under the lock, so that nobody overtakes. The AOF copies the bytes.
		if err := l.l.TryAppendAsync(ctx, [][]byte{l.frame}, aof.Fsync, l.landed(p)); err == nil {
			l.mu.Unlock()
			return
		}
		// Backpressure, or a refusal that must not be heard before the answers to what is in flight.
	}
	p.rec = bytes.Clone(l.frame)
	l.overflow = append(l.overflow, p)
	l.mu.Unlock()
	if !waiting {
		go l.drain()
	}
}

// drain hands over what didn't fit, waiting for the AOF to take it.
func (l *AOFLog) drain() {
	for {
		l.mu.Lock()
		if len(l.overflow) == 0 {
			l.mu.Unlock()
			return
		}
		p := l.overflow[0]
		l.mu.Unlock()
		landed := l.landed(p)
		err := l.l.AppendAsync(context.WithoutCancel(p.ctx), [][]byte{p.rec}, aof.Fsync, func(pos aof.Position, err error) { landed(pos, err) })
		if err != nil {
			l.settle()
			landed(0, err)
		}
		l.mu.Lock()
		l.overflow[0] = proposal{}
		l.overflow = l.overflow[1:]
		l.mu.Unlock()
	}
}

// settle waits until everything that the AOF took has an answer.
func (l *AOFLog) settle() {
	for {
		l.mu.Lock()
		taken := l.inFlight
		for _, p := range l.overflow {
			taken -= p.size
		}
		if taken <= 0 {
			l.mu.Unlock()
			return
		}
		room := l.landing()
		l.mu.Unlock()
		<-room
	}
}

func (l *AOFLog) landed(p proposal) func(aof.Position, error) {
	return func(pos aof.Position, err error) {
		var failed []func(LogEvent)
		var event LogEvent
		l.mu.Lock()
		l.inFlight -= p.size
		if l.room != nil {
			close(l.room)
			l.room = nil
		}
		if err == nil {
			l.note(p.seg, Position(pos))
		} else {
			if errors.Is(err, aof.ErrPoisoned) && l.err == nil {
				l.err = fmt.Errorf("%w: %w", ErrLogFailed, err)
				event = LogEvent{l.epoch, l.err}
				for _, fn := range l.watchers {
					failed = append(failed, fn)
				}
			}
			err = l.explain(err)
		}
		l.mu.Unlock()
		p.done(Position(pos), err)
		for _, fn := range failed {
			fn(event)
		}
	}
}

// explain says whether an error of the AOF leaves open what became of the record.
func (l *AOFLog) explain(err error) error {
	switch {
	case errors.Is(err, aof.ErrPoisoned):
		return fmt.Errorf("%w: %w: %w", ErrOutcomeUnknown, ErrLogFailed, err)
	case errors.Is(err, aof.ErrClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	// The AOF takes back what it could not write before it answers.
	return fmt.Errorf("%w: %w", ErrNotCommitted, err)
}

// note remembers that seg has a record at pos. mu is held.
func (l *AOFLog) note(seg SegmentID, pos Position) {
	s := l.segments[seg]
	if s == nil {
		s = &span{}
		l.segments[seg] = s
	}
	s.last = max(s.last, pos)
}

// Committed implements Log.
func (l *AOFLog) Committed() Position { return Position(l.l.Durable()) }

// Damage lists what was found damaged so far.
func (l *AOFLog) Damage() (list []*LogDamageError) {
	for _, d := range l.l.Damage() {
		list = append(list, &LogDamageError{First: Position(d.First), Last: Position(d.Last), Err: &aof.DamageError{Damage: d}})
	}
	return list
}

// Replay implements Log. It passes over what is damaged and says at its end what that was.
func (l *AOFLog) Replay(ctx context.Context, from Position, fn func(Position, SegmentID, []byte) error) error {
	first, _ := l.l.Bounds()
	last := l.l.Durable()
	at := max(aof.Position(from), first)
	var damage []error
	for at <= last {
		next, err := l.replay(ctx, at, last, fn)
		var d *aof.DamageError
		switch {
		case errors.As(err, &d):
			damage = append(damage, &LogDamageError{First: Position(d.First), Last: Position(d.Last), Err: err})
			next = max(at, next, d.Last+1)
		case err != nil:
			return err
		}
		at = next
	}
	return errors.Join(damage...)
}

// ReplaySegment implements SegmentLog. It reads over the records of the other segments.
func (l *AOFLog) ReplaySegment(ctx context.Context, seg SegmentID, from Position, fn func(Committed) error) error {
	return l.Replay(ctx, from, func(pos Position, s SegmentID, rec []byte) error {
		if s != seg {
			return nil
		}
		return fn(Committed{Position: pos, Record: rec})
	})
}

func (l *AOFLog) replay(ctx context.Context, from, last aof.Position, fn func(Position, SegmentID, []byte) error) (aof.Position, error) {
	r, err := l.l.Reader(from)
	if err != nil {
		return from, fmt.Errorf("reading the log from position %d: %w", from, err)
	}
	defer r.Close()
	for {
		if err := ctx.Err(); err != nil {
			return from, context.Cause(ctx)
		}
		rec, err := r.TryNext()
		if errors.Is(err, aof.ErrTail) {
			return last + 1, nil
		}
		if err != nil {
			return from, fmt.Errorf("reading the log: %w", err)
		}
		if rec.Position > last {
			return last + 1, nil
		}
		from = rec.Position + 1
		if err := l.deliver(Position(rec.Position), rec.Data, fn); err != nil {
			return from, err
		}
		if rec.Position == last {
			return from, nil
		}
	}
}

func (l *AOFLog) deliver(pos Position, data []byte, fn func(Position, SegmentID, []byte) error) error {
	if len(data) == 0 {
		return fmt.Errorf("log position %d is empty: %w", pos, ErrDamaged)
	}
	v, n := binary.Uvarint(data[1:])
	if n <= 0 {
		return fmt.Errorf("log position %d has no segment: %w", pos, ErrDamaged)
	}
	switch data[0] {
	case aofRecord:
		l.mu.Lock()
		l.note(SegmentID(v), pos)
		l.mu.Unlock()
		return fn(pos, SegmentID(v), data[1+n:])
	case aofLeadership:
		l.mu.Lock()
		l.epoch = max(l.epoch, v)
		l.mu.Unlock()
		return nil
	}
	return &NewerFormatError{fmt.Sprintf("log position %d", pos), uint32(data[0]), aofLeadership}
}

// Checkpointed implements Log.
func (l *AOFLog) Checkpointed(seg SegmentID, upTo Position) {
	l.mu.Lock()
	s := l.segments[seg]
	if s == nil {
		s = &span{}
		l.segments[seg] = s
	}
	s.covered = max(s.covered, upTo)
	l.mu.Unlock()
	l.trim()
}

// Forget implements Log.
func (l *AOFLog) Forget(seg SegmentID) {
	l.mu.Lock()
	delete(l.segments, seg)
	l.mu.Unlock()
	l.trim()
}

// trim drops the head that no segment needs. Only whole files of the AOF go.
func (l *AOFLog) trim() {
	keep := Position(l.l.Durable())
	l.mu.Lock()
	if !l.leads {
		// The log is still being replayed: what the rest holds isn't known.
		l.mu.Unlock()
		return
	}
	for _, s := range l.segments {
		if s.last > s.covered {
			keep = min(keep, s.covered+1)
		}
	}
	if keep <= l.cut {
		l.mu.Unlock()
		return
	}
	l.cut = keep
	l.mu.Unlock()
	// Space that can't be given back now is given back the next time.
	_ = l.l.TruncateBefore(aof.Position(keep))
}

// Head implements HeadLog.
func (l *AOFLog) Head() (Position, int64) {
	first, _ := l.l.Bounds()
	return Position(first), l.l.Stats().Bytes
}

// Watch implements Log.
func (l *AOFLog) Watch(fn func(LogEvent)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.watcherID
	l.watcherID++
	l.watchers[id] = fn
	return func() {
		l.mu.Lock()
		delete(l.watchers, id)
		l.mu.Unlock()
	}
}

// Close implements Log.
func (l *AOFLog) Close() error { return l.l.Close() }
