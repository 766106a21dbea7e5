package logtest

import (
	"math/rand/v2"
	"slices"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memlog"
)

func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}

var restarting = []sentence{
	{"what was written is there after closing", func(l *logs) {
		hard := raft.HardState{Term: 2, Vote: 3, Commit: 4}
		l.write(raft.Update{Group: 1, Entries: row(1, 5, 1), HardState: &hard})
		l.write(raft.Update{Group: 1, Entries: row(4, 4, 2)})
		l.reopen()
		l.holds(1, beginning, slices.Concat(row(1, 3, 1), row(4, 4, 2)))
		l.sameState(1, hard)
	}},
	{"what was written is there after a crash, Write by Write", func(l *logs) {
		for i := uint64(1); i <= 10; i++ {
			hard := raft.HardState{Term: i, Vote: i % 3, Commit: i}
			l.write(raft.Update{Group: 1, Entries: row(2*i-1, 2*i, 1), HardState: &hard}, raft.Update{Group: 2, Entries: row(1, 1, i)})
			l.crash()
			l.holds(1, beginning, row(1, 2*i, 1))
			l.holds(2, beginning, row(1, 1, i))
			l.sameState(1, hard)
		}
	}},
	{"a tail that was replaced doesn't come back after a crash", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 2000, 1)})
		l.write(raft.Update{Group: 1, Entries: row(1500, 1500, 2)})
		l.crash()
		l.holds(1, beginning, slices.Concat(row(1, 1499, 1), row(1500, 1500, 2)))
		l.write(raft.Update{Group: 1, Entries: row(1501, 1501, 2)})
		l.crash()
		l.holds(1, beginning, slices.Concat(row(1, 1499, 1), row(1500, 1501, 2)))
	}},
	{"a log that a snapshot replaced doesn't come back after a crash", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 2000, 1)})
		at := raft.Position{Index: 1000, Term: 2}
		l.write(raft.Update{Group: 1, Snapshot: at, Members: members(1, 2)})
		l.crash()
		l.holds(1, at, nil)
		l.write(raft.Update{Group: 1, Entries: row(1001, 1002, 2)})
		l.crash()
		l.holds(1, at, row(1001, 1002, 2))
		l.sameMembers(1, members(1, 2))
	}},
	{"a compaction is durable with the next Write, also of another group", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		l.compact(1, 5, members(4))
		l.write(raft.Update{Group: 2, Entries: row(1, 1, 1)})
		l.crash()
		l.holds(1, raft.Position{Index: 5, Term: 1}, row(6, 9, 1))
		l.sameMembers(1, members(4))
	}},
	{"a compaction before a crash is lost or kept together with its members", func(l *logs) {
		l.write(raft.Update{Group: 1, Snapshot: raft.Position{Index: 1, Term: 1}, Members: members(1), Entries: row(2, 9, 1)})
		l.compact(1, 5, members(4))
		l.crash()
		start, _, err := l.Bounds(1)
		if err != nil {
			l.Fatal(err)
		}
		if start.Index == 1 {
			l.holds(1, start, row(2, 9, 1))
			l.sameMembers(1, members(1))
		} else {
			l.holds(1, raft.Position{Index: 5, Term: 1}, row(6, 9, 1))
			l.sameMembers(1, members(4))
		}
	}},
	{"what happens in any order is what a log in memory makes of it", func(l *logs) {
		for seed := range uint64(3) {
			compare(l, rand.New(rand.NewPCG(seed, 7)), 50)
		}
	}},
}

// compare does the same things to the store under test and to a log in memory, in an order that the seed gives.
func compare(l *logs, r *rand.Rand, steps int) {
	groups, err := l.Groups()
	if err != nil {
		l.Fatal(err)
	}
	for _, g := range groups {
		if err := l.Remove(g); err != nil {
			l.Fatal(err)
		}
	}
	want := memlog.NewMemory()
	term := uint64(1)
	for range steps {
		switch n := r.IntN(20); n {
		case 0, 1:
			// Both have it durable afterwards, whatever they do with what needn't be.
			both(l, want, raft.Update{Group: 1})
			if n == 0 {
				l.reopen()
			} else {
				l.crash()
			}
		case 2, 3, 4:
			g := raft.GroupID(1 + r.IntN(3))
			start, last, _ := want.Bounds(g)
			if index := start.Index + r.Uint64N(last-start.Index+1); index > start.Index {
				l.compact(g, index, members(index))
				if err := want.Compact(g, index, members(index)); err != nil {
					l.Fatal(err)
				}
			}
		case 5:
			g := raft.GroupID(1 + r.IntN(3))
			if err := l.Remove(g); err != nil {
				l.Fatal(err)
			}
			if err := want.Remove(g); err != nil {
				l.Fatal(err)
			}
		default:
			term++
			var all []raft.Update
			for _, g := range r.Perm(3)[:1+r.IntN(3)] {
				all = append(all, someUpdate(r, want, raft.GroupID(1+g), term))
			}
			both(l, want, all...)
		}
		for g := raft.GroupID(1); g <= 3; g++ {
			i, err := want.Initial(g)
			if err != nil {
				l.Fatal(err)
			}
			var es []*pb.Entry
			if i.Last > i.Start.Index {
				if es, err = want.Entries(g, i.Start.Index+1, i.Last+1, noLimit); err != nil {
					l.Fatal(err)
				}
			}
			l.holds(g, i.Start, es)
			l.sameState(g, i.HardState)
			if got, err := l.Initial(g); err != nil || !proto.Equal(got.Members, i.Members) {
				l.Fatalf("members %v, %v; want %v", got.Members, err, i.Members)
			}
		}
	}
}

func both(l *logs, want *memlog.Memory, updates ...raft.Update) {
	l.Helper()
	l.write(updates...)
	if err := want.Write(updates); err != nil {
		l.Fatal(err)
	}
}

// someUpdate makes an update that a group could have.
func someUpdate(r *rand.Rand, of *memlog.Memory, g raft.GroupID, term uint64) raft.Update {
	u := raft.Update{Group: g}
	start, last, _ := of.Bounds(g)
	first := last + 1
	switch r.IntN(8) {
	case 0:
		at := start.Index + 1 + r.Uint64N(last-start.Index+20)
		u.Snapshot, u.Members = raft.Position{Index: at, Term: term}, members(at, term)
		first = at + 1
	case 1, 2:
		first = start.Index + 1 + r.Uint64N(last-start.Index+1)
	}
	for i := range r.Uint64N(40) {
		u.Entries = append(u.Entries, sized(first+i, term, r.IntN(300)))
	}
	if r.IntN(2) == 0 {
		u.HardState = &raft.HardState{Term: term, Vote: r.Uint64N(4), Commit: start.Index}
	}
	return u
}
