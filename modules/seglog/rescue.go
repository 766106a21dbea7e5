package seglog

import (
	"context"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
)

// Rescue makes the group one of which this host is the only member, for when a majority of its members is lost for good.
// Everything that is in this host's log counts as committed from then on, also what the others never had; what the lost
// members alone had is lost. It is called between OpenSegments and Bind, and must not be called while another member runs:
// the two would go different ways. It returns the place where the group goes on.
func (s *Segments) Rescue(ctx context.Context) (raft.Position, error) {
	i, err := s.o.Store.Initial(s.o.Group)
	if err != nil {
		return raft.Position{}, err
	}
	if i.Last == 0 {
		return raft.Position{}, fmt.Errorf("seglog: group %d was never here", s.o.Group)
	}
	for lo := i.Start.Index + 1; lo <= i.Last; {
		entries, err := s.o.Store.Entries(s.o.Group, lo, i.Last+1, 4<<20)
		if err != nil {
			return raft.Position{}, err
		}
		for _, e := range entries {
			if err := s.keep(ctx, e); err != nil {
				return raft.Position{}, err
			}
		}
		lo += uint64(len(entries))
	}
	for _, x := range s.list {
		if err := x.l.Sync(ctx); err != nil {
			return raft.Position{}, fmt.Errorf("seglog: syncing the log of segment %d: %w", x.id, err)
		}
	}
	term, err := s.o.Store.Term(s.o.Group, i.Last)
	if err != nil {
		return raft.Position{}, err
	}
	at := raft.Position{Index: i.Last, Term: term}
	// The next leader's term is above all that anybody may have voted in.
	next := max(i.HardState.Term, term) + 1
	err = s.o.Store.Write([]raft.Update{{
		Group: s.o.Group, Snapshot: at, Members: &pb.ConfState{Voters: []uint64{uint64(s.o.Self)}}, HardState: &raft.HardState{Term: next, Commit: at.Index},
	}})
	if err != nil {
		return raft.Position{}, err
	}
	s.mu.Lock()
	s.applied, s.moved = at, at
	s.mu.Unlock()
	return at, nil
}

// keep moves an entry into its segment's log.
func (s *Segments) keep(ctx context.Context, e *pb.Entry) error {
	command := raft.Command(e)
	if command == nil {
		return nil
	}
	id, data, err := splitCommand(command)
	if err != nil {
		return err
	}
	s.mu.Lock()
	x := s.list[id]
	if x == nil {
		x, err = s.open(id)
	}
	s.mu.Unlock()
	if err == nil {
		_, err = x.move(ctx, []raft.Entry{{Position: raft.Position{Index: e.GetIndex(), Term: e.GetTerm()}, Data: data}})
	}
	return err
}
