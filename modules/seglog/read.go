package seglog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

// Entries implements raft.LogStore. The newest ones come from memory; older ones are read from the parent log, which is on
// the local disk.
func (s *Store) Entries(id raft.GroupID, lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	for {
		found, places, err := s.find(id, lo, hi, maxBytes)
		if err != nil || places == nil {
			return found, err
		}
		found, err = s.read(id, places, lo, hi, maxBytes)
		if !errors.Is(err, aof.ErrTruncated) {
			return found, err
		}
		// It was compacted in between: find says so now.
	}
}

// find returns entries that are in memory, or the places of those that aren't.
func (s *Store) find(id raft.GroupID, lo, hi, maxBytes uint64) ([]*pb.Entry, []place, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, nil, raft.ErrLogClosed
	}
	g := s.groups[id]
	if g == nil {
		g = &groupLog{id: id}
	}
	if lo <= g.start.Index {
		return nil, nil, fmt.Errorf("seglog: group %d: entries from %d: %w", id, lo, raft.ErrCompacted)
	}
	if lo > g.last || hi > g.last+1 {
		return nil, nil, fmt.Errorf("seglog: group %d: entries %d to before %d of %d: %w", id, lo, hi, g.last, raft.ErrUnavailable)
	}
	if lo >= hi {
		return nil, nil, nil
	}
	if from := g.last + 1 - uint64(len(g.tail)); lo >= from {
		return slices.Clone(limited(g.tail[lo-from:hi-from], maxBytes)), nil, nil
	}
	i := sort.Search(len(g.places), func(i int) bool { return g.places[i].last >= lo })
	j := sort.Search(len(g.places), func(i int) bool { return g.places[i].first >= hi })
	return nil, slices.Clone(g.places[i:j]), nil
}

// limited is the beginning of list that has maxBytes together, at least one.
func limited(list []*pb.Entry, maxBytes uint64) []*pb.Entry {
	size := uint64(0)
	for i, e := range list {
		if size += messageBytes(e); i > 0 && size > maxBytes {
			return list[:i]
		}
	}
	return list
}

// read reads entries from the parent log.
func (s *Store) read(id raft.GroupID, places []place, lo, hi, maxBytes uint64) (list []*pb.Entry, err error) {
	size := uint64(0)
	for _, p := range places {
		rec, err := s.l.ReadAt(context.Background(), p.at)
		if err != nil {
			return nil, fmt.Errorf("seglog: group %d: entries %d to %d: %w", id, p.first, p.last, err)
		}
		updates, err := decodeRound(rec, false)
		if err != nil {
			return nil, fmt.Errorf("seglog: group %d: entries %d to %d at position %d: %w", id, p.first, p.last, p.at, err)
		}
		for i := range updates {
			if updates[i].Group != id {
				continue
			}
			for _, e := range updates[i].Entries {
				index := e.GetIndex()
				if index < max(lo, p.first) || index >= hi || index > p.last {
					continue
				}
				if n := uint64(len(list)); index < lo+n {
					list = list[:index-lo] // a later update of the round has another one
				}
				if size += messageBytes(e); len(list) > 0 && size > maxBytes {
					return list, nil
				}
				list = append(list, e)
			}
		}
	}
	return list, nil
}
