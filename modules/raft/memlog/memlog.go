// Package memlog keeps the logs of a host's groups in memory, for tests and simulations.
//
// It tells apart what a real store would have made durable from what it wouldn't have: Clone returns the former, as a
// store that was opened again after a crash.
package memlog

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// Memory is a raft.LogStore in memory.
type Memory struct {
	mu     sync.RWMutex
	groups map[raft.GroupID]*log
	closed bool // by Close, or by a Write that failed
}

var _ raft.LogStore = (*Memory)(nil)

// log is one group's. Its slices are never written to below their length, so that readers may keep parts of them.
type log struct {
	hard    raft.HardState
	members *pb.ConfState
	start   raft.Position
	entries []*pb.Entry // from durable.start on
	// durable is what a crash leaves of what needn't be durable at once.
	durable struct {
		members *pb.ConfState
		start   raft.Position
	}
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{groups: map[raft.GroupID]*log{}} }

// Clone returns a new store that holds what a crash at this moment would leave of this one: no compactions since the
// last Write, nor anything of a Write that failed. The store may be closed.
func (m *Memory) Clone() *Memory {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := NewMemory()
	for id, l := range m.groups {
		left := *l
		left.members, left.start = l.durable.members, l.durable.start
		left.entries = slices.Clone(l.entries)
		c.groups[id] = &left
	}
	return c
}

// Groups implements raft.LogStore. They are in ascending order.
func (m *Memory) Groups() ([]raft.GroupID, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, raft.ErrLogClosed
	}
	return slices.Sorted(maps.Keys(m.groups)), nil
}

// Initial implements raft.LogStore.
func (m *Memory) Initial(g raft.GroupID) (raft.Initial, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return raft.Initial{}, raft.ErrLogClosed
	}
	l := m.group(g)
	return raft.Initial{HardState: l.hard, Members: proto.CloneOf(l.members), Start: l.start, Last: l.last()}, nil
}

// Write implements raft.LogStore.
func (m *Memory) Write(updates []raft.Update) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return raft.ErrLogClosed
	}
	changed := map[raft.GroupID]*log{}
	for _, u := range updates {
		l := changed[u.Group]
		if l == nil {
			before := *m.group(u.Group)
			l = &before
			changed[u.Group] = l
		}
		if err := l.apply(u); err != nil {
			m.closed = true
			return err
		}
	}
	maps.Copy(m.groups, changed)
	for _, l := range m.groups {
		l.settle()
	}
	return nil
}

// Entries implements raft.LogStore.
func (m *Memory) Entries(g raft.GroupID, lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, raft.ErrLogClosed
	}
	l := m.group(g)
	if lo <= l.start.Index {
		return nil, fmt.Errorf("memlog: group %d: entries from %d: %w", g, lo, raft.ErrCompacted)
	}
	if last := l.last(); lo > last || hi > last+1 {
		return nil, fmt.Errorf("memlog: group %d: entries %d to before %d of %d: %w", g, lo, hi, last, raft.ErrUnavailable)
	}
	if lo >= hi {
		return nil, nil
	}
	from := lo - l.durable.start.Index - 1
	found := l.entries[from : from+hi-lo]
	n, size := 0, uint64(0)
	for _, e := range found {
		size += uint64(proto.Size(e))
		if n > 0 && size > maxBytes {
			break
		}
		n++
	}
	return slices.Clip(found[:n]), nil
}

// Term implements raft.LogStore.
func (m *Memory) Term(g raft.GroupID, index uint64) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return 0, raft.ErrLogClosed
	}
	return m.group(g).term(g, index)
}

// Bounds implements raft.LogStore.
func (m *Memory) Bounds(g raft.GroupID) (start raft.Position, last uint64, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return raft.Position{}, 0, raft.ErrLogClosed
	}
	l := m.group(g)
	return l.start, l.last(), nil
}

// Compact implements raft.LogStore.
func (m *Memory) Compact(g raft.GroupID, index uint64, members *pb.ConfState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return raft.ErrLogClosed
	}
	l := m.group(g)
	if index <= l.start.Index {
		return nil
	}
	term, err := l.term(g, index)
	if err != nil {
		return fmt.Errorf("memlog: compact: %w", err)
	}
	l.start = raft.Position{Index: index, Term: term}
	if members != nil {
		l.members = proto.CloneOf(members)
	}
	return nil
}

// Remove implements raft.LogStore.
func (m *Memory) Remove(g raft.GroupID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return raft.ErrLogClosed
	}
	delete(m.groups, g)
	return nil
}

// Close implements raft.LogStore.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// group returns a group's log, an empty one if there is none.
func (m *Memory) group(g raft.GroupID) *log {
	if l := m.groups[g]; l != nil {
		return l
	}
	l := &log{members: &pb.ConfState{}}
	l.durable.members = l.members
	return l
}

func (l *log) last() uint64 { return l.durable.start.Index + uint64(len(l.entries)) }

func (l *log) term(g raft.GroupID, index uint64) (uint64, error) {
	switch {
	case index < l.start.Index:
		return 0, fmt.Errorf("memlog: group %d: term of entry %d: %w", g, index, raft.ErrCompacted)
	case index == l.start.Index:
		return l.start.Term, nil
	case index > l.last():
		return 0, fmt.Errorf("memlog: group %d: term of entry %d: %w", g, index, raft.ErrUnavailable)
	}
	return l.entries[index-l.durable.start.Index-1].GetTerm(), nil
}

// apply makes an update's changes, or returns why it can't be one of this log.
func (l *log) apply(u raft.Update) error {
	if u.Group == 0 {
		return fmt.Errorf("memlog: write: an update of group 0: groups are numbered from 1")
	}
	if u.Snapshot.Index != 0 {
		l.start, l.durable.start, l.entries = u.Snapshot, u.Snapshot, nil
	}
	if u.Members != nil {
		l.members = proto.CloneOf(u.Members)
	}
	for i, e := range u.Entries {
		if want := u.Entries[0].GetIndex() + uint64(i); e.GetIndex() != want {
			return fmt.Errorf("memlog: write: group %d: entry %d in the place of %d", u.Group, e.GetIndex(), want)
		}
	}
	if len(u.Entries) > 0 {
		first := u.Entries[0].GetIndex()
		if first > l.last()+1 {
			return fmt.Errorf("memlog: write: group %d: entries from %d don't follow %d", u.Group, first, l.last())
		}
		// What is behind the start was applied: it is the same.
		fresh := u.Entries[min(uint64(len(u.Entries)), l.start.Index+1-min(first, l.start.Index+1)):]
		if len(fresh) > 0 {
			keep := fresh[0].GetIndex() - l.durable.start.Index - 1
			if keep < uint64(len(l.entries)) {
				l.entries = slices.Clip(l.entries[:keep])
			}
			l.entries = append(l.entries, fresh...)
		}
	}
	if u.HardState != nil {
		l.hard = *u.HardState
	}
	return nil
}

// settle makes durable what waited for the next Write.
func (l *log) settle() {
	if cut := l.start.Index - l.durable.start.Index; cut > 0 {
		l.entries = slices.Clone(l.entries[cut:])
	}
	l.durable.members, l.durable.start = l.members, l.start
}
