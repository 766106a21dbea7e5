package logtest

import (
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

var reading = []sentence{
	{"any part of the log can be read", func(l *logs) {
		want := slices.Concat(row(1, 4, 1), row(5, 9, 3), row(10, 12, 4))
		l.write(raft.Update{Group: 1, Entries: want})
		check := func() {
			for lo := uint64(1); lo <= 12; lo++ {
				for hi := lo; hi <= 13; hi++ {
					got, err := l.Entries(1, lo, hi, noLimit)
					if why := different(got, want[lo-1:hi-1]); err != nil || why != "" {
						l.Fatalf("entries %d to before %d: %s, %v", lo, hi, why, err)
					}
				}
			}
		}
		check()
		l.reopen()
		check()
		l.write(raft.Update{Group: 1, Entries: row(13, 14, 4)})
		check()
	}},
	{"entries that were read stay as they were when the log changes", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 9, 1)})
		got, err := l.Entries(1, 1, 10, noLimit)
		if err != nil {
			l.Fatal(err)
		}
		middle, err := l.Entries(1, 2, 4, noLimit)
		if err != nil {
			l.Fatal(err)
		}
		_ = append(middle, entry(4, 7)) // nor does the log change with them
		l.holds(1, beginning, row(1, 9, 1))
		l.write(raft.Update{Group: 1, Entries: row(4, 6, 2)})
		l.compact(1, 5, members(1))
		l.write(raft.Update{Group: 1, Snapshot: raft.Position{Index: 20, Term: 3}, Entries: row(21, 25, 3)})
		if why := different(got, row(1, 9, 1)); why != "" {
			l.Fatal(why)
		}
	}},
	{"entries are as many as have the bytes together, at least one", func(l *logs) {
		var want []*pb.Entry
		for i := range uint64(6) {
			want = append(want, sized(i+1, 1<<(7*i), int(i*i*40)))
		}
		l.write(raft.Update{Group: 1, Entries: want})
		check := func() {
			for n := 1; n <= len(want); n++ {
				size := uint64(0)
				for _, e := range want[:n] {
					// As a store may set the type where it was left out.
					size += uint64(proto.Size(&pb.Entry{Index: e.Index, Term: e.Term, Type: e.GetType().Enum(), Data: e.Data}))
				}
				for limit, count := range map[uint64]int{size: n, size - 1: max(1, n-1)} {
					got, err := l.Entries(1, 1, 7, limit)
					// Where the type was left out, an entry's message is two bytes shorter.
					slack, err2 := l.Entries(1, 1, 7, limit-min(limit, uint64(2*n)))
					if err := errors.Join(err, err2); err != nil || len(got) < count || len(slack) > count {
						l.Fatalf("limit %d: %d entries, %d with %d bytes fewer, %v; want %d", limit, len(got), len(slack), 2*n, err, count)
					}
					if why := different(got, want[:len(got)]); why != "" {
						l.Fatal(why)
					}
				}
			}
			if got, err := l.Entries(1, 3, 7, 0); err != nil || len(got) != 1 {
				l.Fatalf("limit 0: %d entries, %v; want 1", len(got), err)
			}
		}
		check()
		l.reopen()
		check()
	}},
	{"entries beyond the last are unavailable", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 5, 1)})
		for _, c := range [][2]uint64{{6, 7}, {6, 6}, {3, 7}, {100, 200}} {
			if got, err := l.Entries(1, c[0], c[1], noLimit); !errors.Is(err, raft.ErrUnavailable) {
				l.Errorf("entries %d to before %d: %d, %v; want ErrUnavailable", c[0], c[1], len(got), err)
			}
		}
		if _, err := l.Entries(9, 1, 2, noLimit); !errors.Is(err, raft.ErrUnavailable) {
			l.Errorf("entries of an unknown group: %v; want ErrUnavailable", err)
		}
	}},
	{"compaction cuts off up to the index, whose term remains known", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: slices.Concat(row(1, 4, 1), row(5, 9, 3))})
		for _, c := range []struct {
			index uint64
			start raft.Position
			rest  []*pb.Entry
		}{
			{2, raft.Position{Index: 2, Term: 1}, slices.Concat(row(3, 4, 1), row(5, 9, 3))},
			{4, raft.Position{Index: 4, Term: 1}, row(5, 9, 3)},
			{5, raft.Position{Index: 5, Term: 3}, row(6, 9, 3)},
			{3, raft.Position{Index: 5, Term: 3}, row(6, 9, 3)}, // behind the start: nothing happens
			{9, raft.Position{Index: 9, Term: 3}, nil},
		} {
			l.compact(1, c.index, members(1, c.index))
			l.holds(1, c.start, c.rest)
			l.sameMembers(1, members(1, c.start.Index))
			if c.start.Index > 0 {
				if _, err := l.Term(1, c.start.Index-1); !errors.Is(err, raft.ErrCompacted) {
					l.Fatalf("term before the start %d: %v; want ErrCompacted", c.start.Index, err)
				}
			}
			for _, lo := range []uint64{1, c.start.Index} {
				if _, err := l.Entries(1, lo, c.start.Index+1, noLimit); !errors.Is(err, raft.ErrCompacted) {
					l.Fatalf("entries from %d: %v; want ErrCompacted", lo, err)
				}
			}
		}
		l.write(raft.Update{Group: 1, Entries: row(10, 11, 4)})
		l.holds(1, raft.Position{Index: 9, Term: 3}, row(10, 11, 4))
		l.sameMembers(1, members(1, 9))
		l.reopen()
		l.holds(1, raft.Position{Index: 9, Term: 3}, row(10, 11, 4))
		l.sameMembers(1, members(1, 9))
	}},
	{"compaction beyond the last entry is refused", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1)})
		for _, g := range []raft.GroupID{1, 2} {
			if err := l.Compact(g, 4, members(1)); !errors.Is(err, raft.ErrUnavailable) {
				l.Errorf("group %d: %v; want ErrUnavailable", g, err)
			}
		}
		l.holds(1, beginning, row(1, 3, 1))
	}},
	{"compaction without members leaves them as they were", func(l *logs) {
		l.write(raft.Update{Group: 1, Snapshot: raft.Position{Index: 1, Term: 1}, Members: members(1, 2), Entries: row(2, 5, 1)})
		l.compact(1, 4, nil)
		l.sameMembers(1, members(1, 2))
	}},
	{"members are the store's own", func(l *logs) {
		given := members(1, 2)
		l.write(raft.Update{Group: 1, Snapshot: raft.Position{Index: 1, Term: 1}, Members: given, Entries: row(2, 5, 1)})
		given.Voters[0] = 9
		i, err := l.Initial(1)
		if err != nil {
			l.Fatal(err)
		}
		i.Members.Voters[1] = 9
		l.sameMembers(1, members(1, 2))
		given = members(3)
		l.compact(1, 3, given)
		given.Voters[0] = 9
		l.sameMembers(1, members(3))
	}},
	{"a long log that was compacted keeps what is after it, Write after Write", func(l *logs) {
		const length = 5000
		l.write(raft.Update{Group: 1, Entries: row(1, length, 1)}, raft.Update{Group: 2, Entries: row(1, length, 1)})
		l.compact(1, length-10, members(1))
		l.compact(2, length-20, members(1))
		for i := uint64(1); i <= 12; i++ {
			l.write(raft.Update{Group: 1, Entries: row(length+i, length+i, 2)})
			if i%4 == 0 {
				l.crash()
			}
			l.holds(1, raft.Position{Index: length - 10, Term: 1}, slices.Concat(row(length-9, length, 1), row(length+1, length+i, 2)))
			l.holds(2, raft.Position{Index: length - 20, Term: 1}, row(length-19, length, 1))
		}
	}},
	{"a store that was closed refuses everything", func(l *logs) {
		l.write(raft.Update{Group: 1, Entries: row(1, 3, 1)})
		if err := l.Close(); err != nil {
			l.Fatalf("close: %v", err)
		}
		for name, call := range map[string]func() error{
			"Groups":  func() error { _, err := l.Groups(); return err },
			"Initial": func() error { _, err := l.Initial(1); return err },
			"Write":   func() error { return l.Write([]raft.Update{{Group: 1, Entries: row(4, 4, 1)}}) },
			"Entries": func() error { _, err := l.Entries(1, 1, 2, noLimit); return err },
			"Term":    func() error { _, err := l.Term(1, 1); return err },
			"Bounds":  func() error { _, _, err := l.Bounds(1); return err },
			"Compact": func() error { return l.Compact(1, 1, members(1)) },
			"Remove":  func() error { return l.Remove(1) },
		} {
			if err := call(); !errors.Is(err, raft.ErrLogClosed) {
				l.Errorf("%s: %v; want ErrLogClosed", name, err)
			}
		}
		l.LogStore = l.of.Open(l, l.dir)
		l.holds(1, beginning, row(1, 3, 1))
	}},
	{"errors name the group and the entry", func(l *logs) {
		l.write(raft.Update{Group: 41, Entries: row(1, 3, 1)})
		_, err := l.Term(41, 17)
		if text := fmt.Sprint(err); !errors.Is(err, raft.ErrUnavailable) || !containsAll(text, "41", "17") {
			l.Errorf("term of entry 17 of group 41: %v", err)
		}
	}},
}
