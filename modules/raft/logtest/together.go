package logtest

import (
	"errors"
	"fmt"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
)

var together = []sentence{
	{"readers see whole logs while others write, replace tails and compact", func(l *logs) {
		const rounds = 60
		var readers sync.WaitGroup
		done := make(chan struct{})
		for range 3 {
			readers.Go(func() {
				for n := 0; ; n++ {
					for g := raft.GroupID(1); g <= 2; g++ {
						if err := l.consistent(g); err != nil {
							l.Error(err)
							return
						}
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		compacted := make(chan uint64, rounds)
		readers.Go(func() {
			for index := range compacted {
				for g := raft.GroupID(1); g <= 2; g++ {
					if err := l.Compact(g, index, members(index)); err != nil {
						l.Errorf("compact group %d to %d: %v", g, index, err)
						return
					}
				}
			}
		})
		last := uint64(0)
		for term := uint64(1); term <= rounds; term++ {
			// Each term replaces a little of what the one before wrote, like a new leader.
			first := last + 1
			if term%5 == 0 {
				first = last - 3
			}
			es := row(first, first+9, term)
			hard := raft.HardState{Term: term, Commit: first}
			l.write(raft.Update{Group: 1, Entries: es, HardState: &hard}, raft.Update{Group: 2, Entries: es})
			last = first + 9
			if term%10 == 1 && first > 20 {
				compacted <- first - 15
			}
		}
		close(compacted)
		close(done)
		readers.Wait()
	}},
	{"groups are removed while others are written", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 20, 1)})
		for g := raft.GroupID(2); g < 12; g++ {
			l.write(raft.Update{Group: g, Entries: row(1, 300, 1)})
		}
		var removing sync.WaitGroup
		removing.Go(func() {
			for g := raft.GroupID(2); g < 12; g++ {
				if err := l.Remove(g); err != nil {
					l.Errorf("remove group %d: %v", g, err)
				}
			}
		})
		for i := uint64(21); i <= 60; i++ {
			l.write(raft.Update{Group: 1, Entries: row(i, i, 1)})
		}
		removing.Wait()
		l.crash()
		l.holds(1, beginning, row(1, 60, 1))
		if gs, err := l.Groups(); err != nil || len(gs) != 1 {
			l.Fatalf("groups %v, %v; want 1", gs, err)
		}
	}},
}

// consistent reads what there is of a group and says what can't have been at any moment.
func (l *logs) consistent(g raft.GroupID) error {
	start, last, err := l.Bounds(g)
	if err != nil {
		return err
	}
	for _, lo := range []uint64{start.Index + 1, (start.Index + last) / 2, last} {
		if lo == 0 || lo > last {
			continue
		}
		es, err := l.Entries(g, lo, last+1, 4<<10)
		if errors.Is(err, raft.ErrCompacted) || errors.Is(err, raft.ErrUnavailable) {
			continue // since Bounds
		}
		if err != nil {
			return fmt.Errorf("group %d: entries %d to %d: %w", g, lo, last, err)
		}
		if err := ordered(es, lo); err != nil {
			return fmt.Errorf("group %d: entries %d to %d: %w", g, lo, last, err)
		}
		if term, err := l.Term(g, lo); err == nil && term < es[0].GetTerm() {
			return fmt.Errorf("group %d: entry %d went back from term %d to %d", g, lo, es[0].GetTerm(), term)
		}
	}
	return nil
}

// ordered says what is wrong with entries that should be those from index lo on.
func ordered(es []*pb.Entry, lo uint64) error {
	if len(es) == 0 {
		return errors.New("no entries")
	}
	term := uint64(0)
	for i, e := range es {
		if e.GetIndex() != lo+uint64(i) || e.GetTerm() < term {
			return fmt.Errorf("entry %d of term %d after one of term %d, in the place of %d", e.GetIndex(), e.GetTerm(), term, lo+uint64(i))
		}
		term = e.GetTerm()
		if why := different([]*pb.Entry{e}, []*pb.Entry{entry(e.GetIndex(), term)}); why != "" {
			return errors.New(why)
		}
	}
	return nil
}
