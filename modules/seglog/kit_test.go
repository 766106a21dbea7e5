package seglog_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
)

var (
	quiet  = slog.New(slog.DiscardHandler)
	system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
)

// small are options of short logs: files of 64 KiB, the first of 4 KiB.
func small(disk fsys.FS) aof.Options {
	return aof.Options{FS: disk, SegmentBytes: 64 << 10, Spare: -1, Logger: quiet, System: system}
}

func openStore(t testing.TB, dir string, disk fsys.FS) *seglog.Store {
	t.Helper()
	s, err := seglog.OpenStore(dir, seglog.StoreOptions{AOF: small(disk)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// entry makes an entry of so many bytes that tell its group, index and term.
func entry(g raft.GroupID, index, term uint64, size int) *pb.Entry {
	data := fmt.Appendf(nil, "entry %d of term %d of group %d ", index, term, g)
	for len(data) < size {
		data = append(data, byte(len(data))^byte(index))
	}
	return &pb.Entry{Index: &index, Term: &term, Data: data}
}

func row(g raft.GroupID, first, last, term uint64, size int) (list []*pb.Entry) {
	for i := first; i <= last; i++ {
		list = append(list, entry(g, i, term, size))
	}
	return list
}

func members(voters ...uint64) *pb.ConfState { return &pb.ConfState{Voters: voters} }

// contents is everything that a store says of its groups.
type contents map[raft.GroupID]groupContents

type groupContents struct {
	hard    raft.HardState
	members *pb.ConfState
	start   raft.Position
	last    uint64
	entries []*pb.Entry
}

// read reads a whole store.
func read(s raft.LogStore) (contents, error) {
	groups, err := s.Groups()
	if err != nil {
		return nil, err
	}
	all := contents{}
	for _, g := range groups {
		i, err := s.Initial(g)
		if err != nil {
			return nil, err
		}
		c := groupContents{hard: i.HardState, members: i.Members, start: i.Start, last: i.Last}
		if i.Last > i.Start.Index {
			if c.entries, err = s.Entries(g, i.Start.Index+1, i.Last+1, 1<<40); err != nil {
				return nil, err
			}
		}
		all[g] = c
	}
	return all, nil
}

// differs says how two stores differ, "" if they don't.
func (c contents) differs(want contents) string {
	for g := range c {
		if _, ok := want[g]; !ok {
			return fmt.Sprintf("group %d is there", g)
		}
	}
	for g, w := range want {
		h, ok := c[g]
		switch {
		case !ok:
			return fmt.Sprintf("group %d is missing", g)
		case h.hard != w.hard:
			return fmt.Sprintf("group %d: hard state %+v, want %+v", g, h.hard, w.hard)
		case h.start != w.start || h.last != w.last:
			return fmt.Sprintf("group %d: %v to %d, want %v to %d", g, h.start, h.last, w.start, w.last)
		case !proto.Equal(h.members, w.members):
			return fmt.Sprintf("group %d: members %v, want %v", g, h.members, w.members)
		case !slices.EqualFunc(h.entries, w.entries, sameEntry):
			return fmt.Sprintf("group %d: its entries are others", g)
		}
	}
	return ""
}

func sameEntry(a, b *pb.Entry) bool {
	return a.GetIndex() == b.GetIndex() && a.GetTerm() == b.GetTerm() && a.GetType() == b.GetType() && slices.Equal(a.GetData(), b.GetData())
}
