package logtest

import (
	"errors"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

var beginning raft.Position

var writing = []sentence{
	{"a group that was never written is empty", func(l *logs) {
		l.holds(7, beginning, nil)
		l.sameMembers(7, &pb.ConfState{})
		l.sameState(7, raft.HardState{})
		if gs, err := l.Groups(); err != nil || len(gs) != 0 {
			l.Fatalf("groups %v, %v; want none", gs, err)
		}
	}},
	{"entries follow those before", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1)})
		l.write(raft.Update{Group: 1, Entries: row(4, 4, 1)})
		l.write(raft.Update{Group: 1, Entries: row(5, 9, 2)})
		l.holds(1, beginning, slices.Concat(row(1, 4, 1), row(5, 9, 2)))
	}},
	{"entries come back with type and data, empty data too", func(l *logs) {
		kinds := []*pb.EntryType{nil, pb.EntryNormal.Enum(), pb.EntryConfChange.Enum(), pb.EntryConfChangeV2.Enum()}
		var want []*pb.Entry
		for i, kind := range kinds {
			e := sized(uint64(i+1), 1<<40+uint64(i), i*5000)
			e.Type = kind
			want = append(want, e)
		}
		l.write(raft.Update{Group: 1<<64 - 1, Entries: want})
		l.holds(1<<64-1, beginning, want)
		l.reopen()
		l.holds(1<<64-1, beginning, want)
	}},
	{"entries that conflict replace the tail", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		l.write(raft.Update{Group: 1, Entries: row(4, 5, 2)})
		l.holds(1, beginning, slices.Concat(row(1, 3, 1), row(4, 5, 2)))
		l.write(raft.Update{Group: 1, Entries: row(5, 7, 3)})
		l.holds(1, beginning, slices.Concat(row(1, 3, 1), row(4, 4, 2), row(5, 7, 3)))
	}},
	{"entries from 1 on replace the whole log", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		l.write(raft.Update{Group: 1, Entries: row(1, 1, 2)})
		l.holds(1, beginning, row(1, 1, 2))
	}},
	{"entries that were compacted are passed over when they come again", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 5, 1)})
		l.compact(1, 3, members(1))
		l.write(raft.Update{Group: 1, Entries: row(2, 7, 1)})
		l.holds(1, raft.Position{Index: 3, Term: 1}, row(4, 7, 1))
		l.write(raft.Update{Group: 1, Entries: row(1, 2, 1)})
		l.holds(1, raft.Position{Index: 3, Term: 1}, row(4, 7, 1))
	}},
	{"a snapshot replaces the log, and its members are those at it", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		joint := &pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}, VotersOutgoing: []uint64{1, 4},
			LearnersNext: []uint64{4}, AutoLeave: proto.Bool(true)}
		at := raft.Position{Index: 20, Term: 3}
		l.write(raft.Update{Group: 1, Snapshot: at, Members: joint})
		l.holds(1, at, nil)
		l.sameMembers(1, joint)
		l.reopen()
		l.holds(1, at, nil)
		l.sameMembers(1, joint)
		l.write(raft.Update{Group: 1, Entries: row(21, 22, 3)})
		l.holds(1, at, row(21, 22, 3))
	}},
	{"a snapshot within the log replaces what is after it too", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		at := raft.Position{Index: 4, Term: 2}
		l.write(raft.Update{Group: 1, Snapshot: at, Members: members(1)})
		l.holds(1, at, nil)
		l.write(raft.Update{Group: 1, Entries: row(5, 6, 2)})
		l.holds(1, at, row(5, 6, 2))
		l.reopen()
		l.holds(1, at, row(5, 6, 2))
	}},
	{"an update's snapshot comes before its entries", func(l *logs) {
		at, hard := raft.Position{Index: 12, Term: 4}, raft.HardState{Term: 5, Vote: 2, Commit: 13}
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		l.write(raft.Update{Group: 1, Snapshot: at, Members: members(2), Entries: row(13, 20, 5), HardState: &hard})
		l.holds(1, at, row(13, 20, 5))
		l.sameState(1, hard)
	}},
	{"the hard state is the last that was written", func(l *logs) {
		l.write(raft.Update{Group: 1, HardState: &raft.HardState{Term: 1, Vote: 2}})
		last := raft.HardState{Term: 1 << 63, Vote: 1<<64 - 1, Commit: 3}
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1), HardState: &last})
		l.write(raft.Update{Group: 1, Entries: row(4, 4, 1)})
		l.sameState(1, last)
		l.reopen()
		l.sameState(1, last)
		l.holds(1, beginning, row(1, 4, 1))
	}},
	{"a Write has many groups, and each has a log of its own", func(l *logs) {
		const groups = 100
		for round := range uint64(3) {
			var all []raft.Update
			for g := raft.GroupID(1); g <= groups; g++ {
				first := 1 + round*uint64(g%4+1)
				all = append(all, raft.Update{Group: g, Entries: row(first, first+uint64(g%4), uint64(g)+round),
					HardState: &raft.HardState{Term: uint64(g), Commit: first}})
			}
			l.write(all...)
		}
		check := func() {
			for g := raft.GroupID(1); g <= groups; g++ {
				n := uint64(g%4 + 1)
				l.holds(g, beginning, slices.Concat(row(1, n, uint64(g)), row(n+1, 2*n, uint64(g)+1), row(2*n+1, 3*n, uint64(g)+2)))
				l.sameState(g, raft.HardState{Term: uint64(g), Commit: 1 + 2*n})
			}
			if gs, err := l.Groups(); err != nil || len(gs) != groups {
				l.Fatalf("%d groups, %v; want %d", len(gs), err, groups)
			}
		}
		check()
		l.crash()
		check()
	}},
	{"updates of one group in one Write are taken in their order", func(l *logs) {
		at := raft.Position{Index: 10, Term: 3}
		l.write(
			raft.Update{Group: 1, Entries: row(1, 6, 1), HardState: &raft.HardState{Term: 1}},
			raft.Update{Group: 2, Entries: row(1, 6, 1)},
			raft.Update{Group: 1, Entries: row(3, 4, 2), HardState: &raft.HardState{Term: 2}},
			raft.Update{Group: 2, Snapshot: at, Members: members(1)},
			raft.Update{Group: 2, Entries: row(11, 12, 3)},
		)
		check := func() {
			l.holds(1, beginning, slices.Concat(row(1, 2, 1), row(3, 4, 2)))
			l.sameState(1, raft.HardState{Term: 2})
			l.holds(2, at, row(11, 12, 3))
		}
		check()
		l.reopen()
		check()
	}},
	{"nothing to write is no error", func(l *logs) {
		l.write()
		l.write(raft.Update{Group: 3})
		l.write(raft.Update{Group: 3})
		if gs, err := l.Groups(); err != nil || !slices.Equal(gs, []raft.GroupID{3}) {
			l.Fatalf("groups %v, %v; want 3", gs, err)
		}
	}},
	{"entries that leave a gap are refused, and then everything until the store is opened again", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1), HardState: &raft.HardState{Term: 1}})
		l.refuses(raft.Update{Group: 1, Entries: row(5, 6, 2)})
	}},
	{"entries that don't follow each other are refused", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1), HardState: &raft.HardState{Term: 1}})
		l.refuses(raft.Update{Group: 1, Entries: []*pb.Entry{entry(4, 2), entry(6, 2)}})
	}},
	{"a group 0 is refused", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1), HardState: &raft.HardState{Term: 1}})
		l.refuses(raft.Update{Entries: row(1, 1, 2)})
	}},
	{"a group that was removed is empty, and can be written anew", func(l *logs) {
		hard := raft.HardState{Term: 3, Vote: 1, Commit: 2}
		l.write(raft.Update{Group: 1, Entries: row(1, 500, 1)}, raft.Update{Group: 2, Entries: row(1, 500, 1), HardState: &hard},
			raft.Update{Group: 3, Entries: row(1, 500, 1)})
		if err := l.Remove(2); err != nil {
			l.Fatalf("remove: %v", err)
		}
		check := func(groups ...raft.GroupID) {
			l.Helper()
			gs, err := l.Groups()
			if slices.Sort(gs); err != nil || !slices.Equal(gs, groups) {
				l.Fatalf("groups %v, %v; want %v", gs, err, groups)
			}
			l.holds(1, beginning, row(1, 500, 1))
			l.holds(3, beginning, row(1, 500, 1))
		}
		check(1, 3)
		l.holds(2, beginning, nil)
		l.sameState(2, raft.HardState{})
		l.crash()
		check(1, 3)
		l.holds(2, beginning, nil)
		l.write(raft.Update{Group: 2, Entries: row(1, 2, 9)})
		l.reopen()
		check(1, 2, 3)
		l.holds(2, beginning, row(1, 2, 9))
		l.sameState(2, raft.HardState{})
	}},
	{"removing a group that isn't there is no error", func(l *logs) {
		if err := l.Remove(9); err != nil {
			l.Fatalf("remove: %v", err)
		}
	}},
}

// refuses writes what can't be an update of group 1, beside an update that can: it has entries 1 to 3 of term 1 before
// and after.
func (l *logs) refuses(u raft.Update) {
	l.Helper()
	if err := l.Write([]raft.Update{{Group: 2, Entries: row(1, 1, 1)}, u}); err == nil {
		l.Fatalf("write of %+v: no error", u)
	}
	if err := l.Write([]raft.Update{{Group: 1, Entries: row(4, 4, 1)}}); !errors.Is(err, raft.ErrLogClosed) {
		l.Fatalf("write after one that failed: %v; want ErrLogClosed", err)
	}
	l.crash()
	l.holds(1, beginning, row(1, 3, 1))
	l.sameState(1, raft.HardState{Term: 1})
	l.write(raft.Update{Group: 1, Entries: row(4, 4, 1)})
	l.holds(1, beginning, row(1, 4, 1))
}
