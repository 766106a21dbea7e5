package seglog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

// StoreOptions configure a Store. Their zero value is good.
type StoreOptions struct {
	// AOF configures the parent log. Its SegmentBytes default to 16 MiB here.
	AOF aof.Options
	// CacheBytes is how much of each group's newest entries is kept in memory. Default 32 MiB.
	CacheBytes int
	// Durable, if set, is called after each round with the group's last entry that is on disk now. It must not block.
	Durable func(g raft.GroupID, last raft.Position)
}

// Store is the parent log of a host: whatever its groups have to make durable in one round is one record in one AOF, and
// one fsync. It implements raft.LogStore.
type Store struct {
	o      StoreOptions
	l      *aof.Log
	legacy Legacy

	recovered bool // the parent log was read

	writing sync.Mutex // one round at a time
	buf     []byte     // of a round

	mu        sync.RWMutex
	groups    map[raft.GroupID]*groupLog
	closed    bool         // by Close, or by a Write that failed
	cut       aof.Position // the head that was last asked for
	sinceLook int64        // bytes written since it was looked for something to cut
}

var _ raft.LogStore = (*Store)(nil)

// DamageError: the parent log can't be read as a whole. A voter that may have lost its vote, or entries that it has
// acknowledged, must not take part: take the member out of the group, remove its data and add it anew.
type DamageError struct{ Err error }

func (e *DamageError) Error() string {
	return "seglog: the parent log is damaged, this member must not vote: remove it from its cluster, delete its data folder and let it join again: " + e.Err.Error()
}

func (e *DamageError) Unwrap() error { return e.Err }

// OpenStore opens the parent log in a folder, which is made if it isn't there. Errors: *DamageError, ErrNewer, those of
// aof.Open.
func OpenStore(dir string, o StoreOptions) (*Store, error) {
	if o.CacheBytes <= 0 {
		o.CacheBytes = 32 << 20
	}
	if o.AOF.SegmentBytes <= 0 {
		o.AOF.SegmentBytes = 16 << 20
	}
	o.AOF.MaxRecordBytes = max(o.AOF.MaxRecordBytes, 2*recordBytes, 128<<20)
	l, err := aof.Open(dir, o.AOF)
	if err != nil {
		return nil, fmt.Errorf("seglog: opening the parent log: %w", err)
	}
	s := &Store{o: o, l: l, groups: map[raft.GroupID]*groupLog{}}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// recover rebuilds the index.
func (s *Store) recover() error {
	if list := s.l.Damage(); len(list) > 0 {
		return &DamageError{&aof.DamageError{Damage: list[0]}}
	}
	first, _ := s.l.Bounds()
	r, err := s.l.Reader(first)
	if err != nil {
		return fmt.Errorf("seglog: reading the parent log: %w", err)
	}
	defer r.Close()
	for {
		rec, err := r.TryNext()
		switch {
		case errors.Is(err, aof.ErrTail):
			for _, g := range s.groups {
				if g.partial {
					return &DamageError{fmt.Errorf("group %d: entries from %d don't follow %d", g.id, g.start.Index+1, g.settled.Index)}
				}
				g.recovering = false
				// It is written with less haste than what it speaks of.
				g.hard.Commit = min(g.hard.Commit, g.last)
				g.settle()
			}
			s.recovered = true
			return nil
		case errors.Is(err, aof.ErrDamaged):
			return &DamageError{err}
		case err != nil:
			return fmt.Errorf("seglog: reading the parent log: %w", err)
		}
		if err := s.replay(rec); err != nil {
			return fmt.Errorf("position %d: %w", rec.Position, err)
		}
	}
}

func (s *Store) replay(rec aof.Record) error {
	if len(rec.Data) > 0 && rec.Data[0] < kindRound {
		return s.legacy.see(rec)
	}
	s.legacy.superseded = true
	updates, err := decodeRound(rec.Data, true)
	if err != nil {
		return err
	}
	for i := range updates {
		if err := s.take(&updates[i], rec.Position); err != nil {
			return &DamageError{err}
		}
	}
	return nil
}

// take makes an update that is on disk part of the index. mu is held, but for the opening.
func (s *Store) take(u *update, at aof.Position) error {
	if u.removed {
		delete(s.groups, u.Group)
		return nil
	}
	g := s.groups[u.Group]
	if g == nil {
		g = &groupLog{id: u.Group, members: &pb.ConfState{}, stated: at, recovering: !s.recovered}
		s.groups[u.Group] = g
	}
	return g.take(u, at, s.o.CacheBytes)
}

// Groups implements raft.LogStore. They are in ascending order.
func (s *Store) Groups() ([]raft.GroupID, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, raft.ErrLogClosed
	}
	return slices.Sorted(maps.Keys(s.groups)), nil
}

// Initial implements raft.LogStore.
func (s *Store) Initial(id raft.GroupID) (raft.Initial, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return raft.Initial{}, raft.ErrLogClosed
	}
	g := s.groups[id]
	if g == nil {
		return raft.Initial{Members: &pb.ConfState{}}, nil
	}
	return raft.Initial{HardState: g.hard, Members: proto.CloneOf(g.members), Start: g.start, Last: g.last}, nil
}

// Bounds implements raft.LogStore.
func (s *Store) Bounds(id raft.GroupID) (start raft.Position, last uint64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return raft.Position{}, 0, raft.ErrLogClosed
	}
	if g := s.groups[id]; g != nil {
		return g.start, g.last, nil
	}
	return raft.Position{}, 0, nil
}

// Term implements raft.LogStore.
func (s *Store) Term(id raft.GroupID, index uint64) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, raft.ErrLogClosed
	}
	g := s.groups[id]
	if g == nil {
		g = &groupLog{id: id}
	}
	return g.term(index)
}

// Compact implements raft.LogStore. It is written with the next round.
func (s *Store) Compact(id raft.GroupID, index uint64, members *pb.ConfState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return raft.ErrLogClosed
	}
	g := s.groups[id]
	if g == nil {
		g = &groupLog{id: id}
	}
	if index <= g.start.Index {
		return nil
	}
	term, err := g.term(index)
	if err != nil {
		return fmt.Errorf("seglog: compacting: %w", err)
	}
	g.start = raft.Position{Index: index, Term: term}
	if members != nil {
		g.members = proto.CloneOf(members)
	}
	return nil
}

// Remove implements raft.LogStore.
func (s *Store) Remove(id raft.GroupID) error {
	s.mu.RLock()
	closed, known := s.closed, s.groups[id] != nil
	s.mu.RUnlock()
	if closed {
		return raft.ErrLogClosed
	}
	if !known {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.write([]update{{Update: raft.Update{Group: id}, removed: true}})
}

// Close implements raft.LogStore.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.l.Close()
}

// AOF is the parent log itself, for its figures.
func (s *Store) AOF() *aof.Log { return s.l }

// Append durably of what a round holds.
func (s *Store) append(records [][]byte) (aof.Position, error) {
	return s.l.AppendBatch(context.Background(), records, aof.Fsync)
}
