package seglog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/metric"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/raft"
)

// FSM is the state machine of one segment. Its methods are called by one goroutine at a time.
type FSM interface {
	// Applied is the index up to which the state has the segment's entries when it is bound. Those behind it follow.
	Applied() uint64
	// Apply applies committed entries, in order. An error stops the group's member.
	Apply(ctx context.Context, entries []raft.Entry) error
	// Snapshot returns the state as it is between two calls of Apply. It is read while further entries are applied.
	Snapshot(ctx context.Context) (Image, error)
	// Restore replaces the state by an image that has all entries up to at. It is durable when it returns: the entries up
	// to there don't come again.
	Restore(ctx context.Context, at raft.Position, body io.Reader) error
}

// Image is a state machine's state.
type Image interface {
	io.ReadSeekCloser
	Size() int64 // bytes from beginning to end
}

// Application has the state machines of a group's segments.
type Application interface {
	// Segments lists the segments that there are already.
	Segments() []SegmentID
	// Segment returns the state machine of a segment. The first entry of a new one calls for it, or a snapshot. nil: the
	// segment is gone for good, what still comes for it is of no use to anybody.
	Segment(id SegmentID) (FSM, error)
	// Restored is called after a snapshot: other segments than those are gone, at is what all stand at.
	Restored(ids []SegmentID, at raft.Position) error
	// Advanced is called after each batch of entries: everything up to at was applied.
	Advanced(at raft.Position)
}

// SegmentsOptions configure Segments. Dir, Store and Group have to be set.
type SegmentsOptions struct {
	// Dir is the folder of the segments' logs, one folder each.
	Dir   string
	Store *Store
	Group raft.GroupID
	// Self is this host: the only member of a group that is made of a log without Raft (Legacy).
	Self raft.NodeID
	// LegacyTerm returns the epoch that a record of such a log names; the group begins with the highest one.
	LegacyTerm func(record []byte) uint64

	// AOF configures the segments' logs. Their SegmentBytes default to 8 MiB, and they keep no spare files.
	AOF aof.Options
	// Tiers, if set, says where the files of a segment's log live as they grow old: each segment needs a prefix of its own in
	// a bucket. Only what is committed is ever in them. Raft itself reads the parent log alone, which is on this disk.
	Tiers func(SegmentID) aof.Tiers
	// MoveBytes and MoveInterval say how often the segments' logs are synced, so that the parent log can be cut. Defaults
	// 8 MiB and 2 s.
	MoveBytes    int64
	MoveInterval time.Duration

	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// MeterProvider defaults to the global one.
	MeterProvider metric.MeterProvider
	// System runs the actors. Required.
	System *actor.ActorSystem
}

// Segments divides the log of a group among segments: each has a log and a state machine of its own. It is the state
// machine of the group.
type Segments struct {
	o       SegmentsOptions
	app     Application
	metrics *instruments
	mover   *actor.PID

	mu      sync.Mutex
	list    map[SegmentID]*segment
	applied raft.Position // what the state machines have
	moved   raft.Position // what the segments' logs have on disk
	dirty   map[SegmentID]bool
	waiting int64 // bytes that were moved since the last sync
	failure error // of moving
	due     bool  // the mover was told
	closed  bool
}

var _ raft.StateMachine = (*Segments)(nil)

// OpenSegments opens the logs of the segments, and takes over a log without Raft if the store has one. Replay gives what
// they hold; Bind has to be called before the group is opened.
func OpenSegments(ctx context.Context, o SegmentsOptions) (_ *Segments, err error) {
	if o.Dir == "" || o.Store == nil || o.Group == 0 || o.System == nil {
		return nil, errors.New("seglog: segments need a folder, a store, a group and an actor system")
	}
	if o.AOF.FS == nil {
		o.AOF.FS = fsys.OS
	}
	if o.AOF.SegmentBytes <= 0 {
		o.AOF.SegmentBytes = 8 << 20
	}
	if o.AOF.Spare == 0 {
		o.AOF.Spare = -1
	}
	o.AOF.MaxRecordBytes = max(o.AOF.MaxRecordBytes, 128<<20)
	if o.MoveBytes <= 0 {
		o.MoveBytes = 8 << 20
	}
	if o.MoveInterval <= 0 {
		o.MoveInterval = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Segments{o: o, list: map[SegmentID]*segment{}, dirty: map[SegmentID]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeLogs())
		}
	}()
	if err := s.scan(); err != nil {
		return nil, err
	}
	if err := s.adopt(ctx); err != nil {
		return nil, fmt.Errorf("seglog: taking over the log of a single server: %w", err)
	}
	start, _, err := o.Store.Bounds(o.Group)
	if err != nil {
		return nil, err
	}
	s.applied, s.moved = start, start
	if s.metrics, err = newInstruments(s, o.MeterProvider); err != nil {
		return nil, fmt.Errorf("seglog: registering metrics: %w", err)
	}
	s.mover = o.System.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &mover{s: s} }))
	return s, nil
}

// scan opens the logs that are there.
func (s *Segments) scan() error {
	fs := s.o.AOF.FS
	if err := fs.MkdirAll(s.o.Dir, 0o700); err != nil {
		return fmt.Errorf("seglog: making %s: %w", s.o.Dir, err)
	}
	names, err := fs.ReadDir(s.o.Dir)
	if err != nil {
		return fmt.Errorf("seglog: reading %s: %w", s.o.Dir, err)
	}
	for _, name := range names {
		n, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		if _, err := s.open(SegmentID(n)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Segments) dir(id SegmentID) string {
	return filepath.Join(s.o.Dir, strconv.FormatUint(uint64(id), 10))
}

// open opens a segment's log. mu is held, but for the opening.
func (s *Segments) open(id SegmentID) (*segment, error) {
	o := s.o.AOF
	o.System, o.Logger, o.MeterProvider = s.o.System, s.o.Logger, s.o.MeterProvider
	o.Name = "segment"
	if s.o.Tiers != nil {
		o.Tiers = s.o.Tiers(id)
	}
	x, err := openSegment(id, s.dir(id), o)
	if err != nil {
		return nil, err
	}
	s.list[id] = x
	return x, nil
}

// adopt takes over a log without Raft: its records become the segments', and the group begins behind them.
func (s *Segments) adopt(ctx context.Context) error {
	l, ok := s.o.Store.Legacy()
	if !ok {
		return nil
	}
	s.o.Logger.Info("taking over the log of a single server", "first", uint64(l.First), "last", uint64(l.Last))
	term := l.Epoch
	if err := s.o.Store.replayLegacy(ctx, func(at aof.Position, seg SegmentID, data []byte) (err error) {
		x := s.list[seg]
		if x == nil {
			if x, err = s.open(seg); err != nil {
				return err
			}
		}
		if s.o.LegacyTerm != nil {
			term = max(term, s.o.LegacyTerm(data))
		}
		_, err = x.move(ctx, []raft.Entry{{Position: raft.Position{Index: uint64(at)}, Data: data}})
		return err
	}); err != nil {
		return err
	}
	for _, x := range s.list {
		if err := x.l.Sync(ctx); err != nil {
			return err
		}
	}
	return s.o.Store.begin(s.o.Group, s.o.Self, raft.Position{Index: uint64(l.Last), Term: max(term, 1)})
}

// Bind gives the segments their state machines, and those the entries that they lack.
func (s *Segments) Bind(ctx context.Context, app Application) error {
	s.app = app
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.list))
	s.mu.Unlock()
	for _, id := range app.Segments() {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		x, err := s.bound(ctx, id)
		if err != nil {
			return err
		}
		if x == nil {
			if err := s.Forget(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// bound returns a segment that has its state machine, nil if it is gone. It is called by one goroutine at a time.
func (s *Segments) bound(ctx context.Context, id SegmentID) (*segment, error) {
	s.mu.Lock()
	x := s.list[id]
	s.mu.Unlock()
	if x != nil && x.fsm != nil {
		return x, nil
	}
	fsm, err := s.app.Segment(id)
	if err != nil {
		return nil, fmt.Errorf("seglog: state machine of segment %d: %w", id, err)
	}
	if fsm == nil {
		return nil, nil
	}
	if x == nil {
		s.mu.Lock()
		x, err = s.open(id)
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return x, s.bind(ctx, x, fsm)
}

// bind gives a segment its state machine, and that what it lacks.
func (s *Segments) bind(ctx context.Context, x *segment, fsm FSM) error {
	x.fsm, x.has = fsm, fsm.Applied()
	f, err := x.feed(ctx, x.has+1)
	if err != nil {
		return err
	}
	defer f.close()
	for {
		if err := f.next(ctx); err != nil {
			return err
		}
		if f.done {
			return nil
		}
		if err := fsm.Apply(ctx, []raft.Entry{{Position: f.at, Data: slices.Clone(f.data)}}); err != nil {
			return fmt.Errorf("seglog: segment %d: applying entry %d: %w", x.id, f.at.Index, err)
		}
		x.has = f.at.Index
	}
}

// Applied implements raft.StateMachine: it is what the segments' logs have on disk.
func (s *Segments) Applied() (raft.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved, s.failure
}

// Position is what was applied.
func (s *Segments) Position() raft.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// Apply implements raft.StateMachine.
func (s *Segments) Apply(ctx context.Context, entries []raft.Entry) ([]any, error) {
	for i := 0; i < len(entries); {
		id, data, err := splitCommand(entries[i].Data)
		if err != nil {
			return nil, err
		}
		entries[i].Data = data
		n := 1
		for i+n < len(entries) {
			next, data, err := splitCommand(entries[i+n].Data)
			if err != nil {
				return nil, err
			}
			if next != id {
				break
			}
			entries[i+n].Data = data
			n++
		}
		if err := s.apply(ctx, id, entries[i:i+n]); err != nil {
			return nil, err
		}
		i += n
	}
	at := entries[len(entries)-1].Position
	s.mu.Lock()
	s.applied = at
	err := s.failure
	s.mu.Unlock()
	s.app.Advanced(at)
	return nil, err
}

// apply gives entries to a segment.
func (s *Segments) apply(ctx context.Context, id SegmentID, entries []raft.Entry) error {
	x, err := s.bound(ctx, id)
	if err != nil || x == nil {
		return err
	}
	n, err := s.move(ctx, x, entries)
	if err != nil {
		return err
	}
	if n > 0 {
		s.moving(id, int64(n))
	}
	for len(entries) > 0 && entries[0].Index <= x.has {
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return nil
	}
	if err := x.fsm.Apply(ctx, entries); err != nil {
		return fmt.Errorf("seglog: segment %d: %w", id, err)
	}
	x.has = entries[len(entries)-1].Index
	return nil
}

// move is segment.move that waits while the disk is full: nothing is lost, the parent log has the entries.
func (s *Segments) move(ctx context.Context, x *segment, entries []raft.Entry) (int, error) {
	for tries := 0; ; tries++ {
		n, err := x.move(ctx, entries)
		if err == nil || errors.Is(err, aof.ErrPoisoned) || errors.Is(err, aof.ErrClosed) || ctx.Err() != nil {
			return n, err
		}
		if tries%50 == 0 {
			s.o.Logger.Error("a segment's log takes nothing, it is tried again", "segment", uint64(x.id), "err", err)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (s *Segments) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil && !s.closed {
		s.failure = err
		s.o.Logger.Error("a segment's log failed", "err", err)
	}
}

// Covered says that a segment's state machine has its entries up to index durably: they needn't stay in its log.
func (s *Segments) Covered(id SegmentID, index uint64) error {
	s.mu.Lock()
	x := s.list[id]
	s.mu.Unlock()
	if x == nil {
		return nil
	}
	return x.cut(context.Background(), index)
}

// Forget removes a segment that is gone for good.
func (s *Segments) Forget(id SegmentID) error {
	s.mu.Lock()
	x := s.list[id]
	delete(s.list, id)
	delete(s.dirty, id)
	s.mu.Unlock()
	var err error
	if x != nil {
		err = x.l.Close()
	}
	fs, dir := s.o.AOF.FS, s.dir(id)
	names, _ := fs.ReadDir(dir)
	for _, name := range names {
		err = errors.Join(err, fs.Remove(filepath.Join(dir, name)))
	}
	if gone := fs.Remove(dir); x != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// Replay calls fn for each entry in the segments' logs from an index on, in the order of the group's log. data is valid
// during the call. It passes over what is damaged, and returns an error for each lot of it at the end.
func (s *Segments) Replay(ctx context.Context, from uint64, fn func(at raft.Position, seg SegmentID, data []byte) error) error {
	s.mu.Lock()
	list := make([]*segment, 0, len(s.list))
	for _, x := range s.list {
		list = append(list, x)
	}
	s.mu.Unlock()
	var feeds []*feed
	defer func() {
		for _, f := range feeds {
			f.close()
		}
	}()
	var lost []error
	step := func(f *feed) error {
		for {
			err := f.next(ctx)
			if !errors.Is(err, aof.ErrDamaged) {
				return err
			}
			lost = append(lost, &SegmentDamageError{f.s.id, err})
		}
	}
	for _, x := range list {
		if err := x.l.Sync(ctx); err != nil { // what was handed over is readable then
			return fmt.Errorf("seglog: segment %d: %w", x.id, err)
		}
		f, err := x.feed(ctx, from)
		if err != nil {
			return err
		}
		feeds = append(feeds, f)
		if err := step(f); err != nil {
			return err
		}
	}
	for {
		var next *feed
		for _, f := range feeds {
			if !f.done && (next == nil || f.at.Index < next.at.Index) {
				next = f
			}
		}
		if next == nil {
			return errors.Join(lost...)
		}
		if err := fn(next.at, next.s.id, next.data); err != nil {
			return err
		}
		if err := step(next); err != nil {
			return err
		}
	}
}

// ReplaySegment calls fn for each entry in one segment's log from an index on, in order. data is valid during the call.
func (s *Segments) ReplaySegment(ctx context.Context, id SegmentID, from uint64, fn func(at raft.Position, data []byte) error) error {
	s.mu.Lock()
	x := s.list[id]
	s.mu.Unlock()
	if x == nil {
		return nil
	}
	f, err := x.feed(ctx, from)
	if err != nil {
		return err
	}
	defer f.close()
	for {
		if err := f.next(ctx); errors.Is(err, aof.ErrDamaged) {
			return &SegmentDamageError{id, err}
		} else if err != nil || f.done {
			return err
		}
		if err := fn(f.at, f.data); err != nil {
			return err
		}
	}
}

// SegmentDamageError says which segment's log is damaged. It wraps *aof.DamageError.
type SegmentDamageError struct {
	Segment SegmentID
	Err     error
}

func (e *SegmentDamageError) Error() string {
	return fmt.Sprintf("seglog: segment %d: %v", e.Segment, e.Err)
}

func (e *SegmentDamageError) Unwrap() error { return e.Err }

// Bytes is how much the segments' logs hold, and the oldest index in them.
func (s *Segments) Bytes() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.list {
		n += x.l.Stats().Bytes
	}
	return n
}

// Close closes the segments' logs. The group must have been stopped.
func (s *Segments) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stopMover()
	s.metrics.close()
	return s.closeLogs()
}

func (s *Segments) closeLogs() (err error) {
	for _, x := range s.list {
		err = errors.Join(err, x.l.Close())
	}
	return err
}
