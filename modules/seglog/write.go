package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

const (
	// recordBytes is about how long a record of the parent log may become before the round goes on in another one.
	recordBytes = 8 << 20
	// carryBytes is how much of a group's entries is written anew so that they don't keep the head of the parent log.
	carryBytes = 256 << 10
)

// Write implements raft.LogStore.
func (s *Store) Write(updates []raft.Update) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	list := make([]update, 0, len(updates)+1)
	s.mu.RLock()
	closed := s.closed
	var err error
	for _, u := range updates {
		if err = s.check(u, list); err != nil {
			break
		}
		list = append(list, s.trimmed(u, list))
	}
	if err == nil && !closed {
		list = s.compactions(list)
	}
	s.mu.RUnlock()
	if closed {
		return raft.ErrLogClosed
	}
	if err != nil {
		return s.broken(err)
	}
	return s.write(list)
}

// broken closes the store after a failure.
func (s *Store) broken(err error) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return err
}

// check refuses updates that no log can have.
func (s *Store) check(u raft.Update, before []update) error {
	if u.Group == 0 {
		return errors.New("seglog: an update of group 0: groups are numbered from 1")
	}
	for i, e := range u.Entries {
		if want := u.Entries[0].GetIndex() + uint64(i); e.GetIndex() != want {
			return fmt.Errorf("seglog: group %d: entry %d in the place of %d", u.Group, e.GetIndex(), want)
		}
	}
	if len(u.Entries) == 0 {
		return nil
	}
	var last uint64
	if g := s.groups[u.Group]; g != nil {
		last = g.last
	}
	for i := range before {
		b := &before[i]
		if b.Group != u.Group {
			continue
		}
		if b.Snapshot.Index > 0 {
			last = b.Snapshot.Index
		}
		if n := len(b.Entries); n > 0 {
			last = b.Entries[n-1].GetIndex()
		}
	}
	if u.Snapshot.Index > 0 {
		last = u.Snapshot.Index
	}
	if first := u.Entries[0].GetIndex(); first > last+1 {
		return fmt.Errorf("seglog: group %d: entries from %d don't follow %d", u.Group, first, last)
	}
	return nil
}

// trimmed leaves out entries before the start: they were applied, so they are the same.
func (s *Store) trimmed(u raft.Update, before []update) update {
	var start uint64
	if g := s.groups[u.Group]; g != nil {
		start = g.start.Index
	}
	for i := range before {
		if b := &before[i]; b.Group == u.Group && b.Snapshot.Index > 0 {
			start = b.Snapshot.Index
		}
	}
	if u.Snapshot.Index > 0 {
		start = u.Snapshot.Index
	}
	for len(u.Entries) > 0 && u.Entries[0].GetIndex() <= start {
		u.Entries = u.Entries[1:]
	}
	if u.Members != nil {
		u.Members = proto.CloneOf(u.Members)
	}
	return update{Update: u}
}

// compactions adds what Compact has asked for, and, when there is something to cut, the statements that allow it. mu is
// held for reading.
func (s *Store) compactions(list []update) []update {
	touched := func(id raft.GroupID) bool {
		return slices.ContainsFunc(list, func(u update) bool { return u.Group == id && u.Snapshot.Index > 0 })
	}
	look := s.sinceLook > s.o.AOF.SegmentBytes/4
	front := len(list)
	for id, g := range s.groups {
		if touched(id) {
			continue
		}
		start := g.start
		u := update{Update: raft.Update{Group: id}, start: &start}
		switch {
		case look && s.behind(g):
			u.HardState, u.Members = &raft.HardState{Term: g.hard.Term, Vote: g.hard.Vote, Commit: g.hard.Commit}, g.members
			if at, ok := g.oldest(); ok && s.old(at) {
				u.Entries = g.carried()
			}
		case g.start != g.settled:
			u.Members = g.members
		default:
			continue
		}
		list = append(list, u)
	}
	if len(list) == front {
		return list
	}
	// Before the round's own updates, which build on them.
	slices.SortStableFunc(list[front:], func(a, b update) int { return cmp.Compare(a.Group, b.Group) })
	return slices.Concat(list[front:], list[:front])
}

// old tells whether a record lies in the part of the parent log that one wants to cut.
func (s *Store) old(at aof.Position) bool {
	first, next := s.l.Bounds()
	return at < first+(next-first)/2
}

// behind tells whether a group keeps the head of the parent log though it needn't.
func (s *Store) behind(g *groupLog) bool {
	at, ok := g.oldest()
	return s.old(g.stated) && (!ok || !s.old(at) || g.carried() != nil) || ok && s.old(at) && g.carried() != nil
}

// carried are the entries behind the start if they are few.
func (g *groupLog) carried() []*pb.Entry {
	n := g.last - g.start.Index
	if n == 0 || n > uint64(len(g.tail)) {
		return nil
	}
	list := g.tail[uint64(len(g.tail))-n:]
	bytes := 0
	for _, e := range list {
		if bytes += len(e.GetData()) + 16; bytes > carryBytes {
			return nil
		}
	}
	return slices.Clone(list)
}

// write makes updates durable and then known. writing is held.
func (s *Store) write(list []update) error {
	records, parts, err := s.encode(list)
	if err != nil {
		return s.broken(err)
	}
	if len(records) == 0 {
		return nil
	}
	first, err := s.append(records)
	if err != nil {
		switch err = fmt.Errorf("seglog: writing to the parent log: %w", err); {
		case errors.Is(err, aof.ErrClosed):
			return s.broken(errors.Join(raft.ErrLogClosed, err))
		case errors.Is(err, aof.ErrPoisoned):
			return s.broken(err)
		}
		return fmt.Errorf("%w: %w", raft.ErrRetry, err) // the log takes back what it can't write
	}
	s.mu.Lock()
	for i, part := range parts {
		for j := range part {
			if err := s.take(&part[j], first+aof.Position(i)); err != nil {
				s.closed = true
				s.mu.Unlock()
				return fmt.Errorf("seglog: %w", err)
			}
		}
	}
	for _, part := range parts {
		for j := range part {
			if g := s.groups[part[j].Group]; g != nil && part[j].start != nil {
				g.settle()
			}
		}
	}
	// In this order: what allows a cut was written with this round if it was time to look before it.
	cut := s.cuttable()
	for _, r := range records {
		s.sinceLook += int64(len(r))
	}
	var told []toldPosition
	if s.o.Durable != nil {
		told = s.told(list)
	}
	s.mu.Unlock()
	for _, t := range told {
		s.o.Durable(t.group, t.last)
	}
	if cut > 0 {
		// Space that can't be given back now is given back the next time.
		_ = s.l.TruncateBefore(cut)
	}
	return nil
}

type toldPosition struct {
	group raft.GroupID
	last  raft.Position
}

func (s *Store) told(list []update) (told []toldPosition) {
	for i := range list {
		if n := len(list[i].Entries); n > 0 {
			e := list[i].Entries[n-1]
			told = append(told, toldPosition{list[i].Group, raft.Position{Index: e.GetIndex(), Term: e.GetTerm()}})
		}
	}
	return told
}

// cuttable is the head that the parent log may get, 0 if it isn't worth while. mu is held.
func (s *Store) cuttable() aof.Position {
	if s.sinceLook <= s.o.AOF.SegmentBytes/4 {
		return 0
	}
	s.sinceLook = 0
	_, keep := s.l.Bounds()
	for _, g := range s.groups {
		keep = min(keep, g.stated)
		if at, ok := g.oldest(); ok {
			keep = min(keep, at)
		}
	}
	if keep <= s.cut {
		return 0
	}
	s.cut = keep
	return keep
}

// encode makes records of a round: one, unless it is very long. parts are the updates in each.
func (s *Store) encode(list []update) (records [][]byte, parts [][]update, err error) {
	var part []update
	size := 0
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		var b []byte
		if len(records) == 0 {
			b = s.buf[:0]
		}
		b, err := appendRound(b, part)
		if err != nil {
			return err
		}
		if len(records) == 0 && cap(b) <= 1<<20 {
			s.buf = b
		}
		records, parts = append(records, b), append(parts, part)
		part, size = nil, 0
		return nil
	}
	for _, u := range list {
		rest := u.Entries
		for more := false; ; more = true {
			n := 0
			for n < len(rest) && (size < recordBytes || n == 0 && len(part) == 0) {
				size += len(rest[n].GetData()) + 16
				n++
			}
			u.Entries, rest = rest[:n:n], rest[n:]
			if !more || n > 0 {
				part = append(part, u)
			}
			if len(rest) == 0 {
				break
			}
			if err := flush(); err != nil {
				return nil, nil, err
			}
			u = update{Update: raft.Update{Group: u.Group}}
		}
	}
	return records, parts, flush()
}
