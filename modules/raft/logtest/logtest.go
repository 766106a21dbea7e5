// Package logtest has the tests that each raft.LogStore has to pass:
//
//	logtest.Run(t, logtest.Store{Open: func(t testing.TB, dir string) raft.LogStore { … }})
package logtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// Store is a kind of log store. Its functions are called concurrently, each time for another store.
type Store struct {
	// Open opens the store in a folder, which is empty or has what an earlier one left there.
	Open func(t testing.TB, dir string) raft.LogStore
	// Crash returns another folder, with what a crash at this moment leaves of the open store in dir. No call of the store
	// is under way. By default it is a copy of the files: a store that writes by itself, or keeps its state elsewhere, has
	// to supply its own.
	Crash func(t testing.TB, store raft.LogStore, dir string) string
}

// Run runs the tests, in parallel with each other.
func Run(t *testing.T, s Store) {
	if s.Crash == nil {
		s.Crash = copyFolder
	}
	for _, table := range [][]sentence{writing, reading, restarting, together} {
		for _, c := range table {
			t.Run(c.says, func(t *testing.T) {
				t.Parallel()
				l := &logs{TB: t, of: s, dir: t.TempDir()}
				l.LogStore = s.Open(t, l.dir)
				t.Cleanup(func() { l.Close() })
				c.holds(l)
			})
		}
	}
}

// sentence is what a store promises.
type sentence struct {
	says  string
	holds func(*logs)
}

// logs is the store under test.
type logs struct {
	testing.TB
	raft.LogStore
	of  Store
	dir string
}

// reopen closes the store and opens it again.
func (l *logs) reopen() {
	l.Helper()
	if err := l.Close(); err != nil {
		l.Fatalf("close: %v", err)
	}
	l.LogStore = l.of.Open(l, l.dir)
}

// crash opens what a crash leaves.
func (l *logs) crash() {
	l.Helper()
	dir := l.of.Crash(l, l.LogStore, l.dir)
	l.Close() // may fail: the store may have failed before
	l.dir = dir
	l.LogStore = l.of.Open(l, dir)
}

func copyFolder(t testing.TB, _ raft.LogStore, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}); err != nil {
		t.Fatalf("copy of %s: %v", dir, err)
	}
	return to
}

// write writes updates, which has to succeed.
func (l *logs) write(updates ...raft.Update) {
	l.Helper()
	if err := l.Write(updates); err != nil {
		l.Fatalf("write: %v", err)
	}
}

// compact compacts a log, which has to succeed.
func (l *logs) compact(g raft.GroupID, index uint64, members *pb.ConfState) {
	l.Helper()
	if err := l.Compact(g, index, members); err != nil {
		l.Fatalf("compact group %d to %d: %v", g, index, err)
	}
}

// holds checks all that can be read of a group: it has exactly these entries after start.
func (l *logs) holds(g raft.GroupID, start raft.Position, want []*pb.Entry) {
	l.Helper()
	last := start.Index + uint64(len(want))
	gotStart, gotLast, err := l.Bounds(g)
	if err != nil || gotStart != start || gotLast != last {
		l.Fatalf("group %d: bounds %v to %d, %v; want %v to %d", g, gotStart, gotLast, err, start, last)
	}
	i, err := l.Initial(g)
	if err != nil || i.Start != start || i.Last != last || i.Members == nil {
		l.Fatalf("group %d: initial %+v, %v; want %v to %d", g, i, err, start, last)
	}
	if term, err := l.Term(g, start.Index); err != nil || term != start.Term {
		l.Fatalf("group %d: term of start %d: %d, %v; want %d", g, start.Index, term, err, start.Term)
	}
	if _, err := l.Term(g, last+1); !errors.Is(err, raft.ErrUnavailable) {
		l.Fatalf("group %d: term of entry %d, after the last: %v; want ErrUnavailable", g, last+1, err)
	}
	if _, err := l.Entries(g, start.Index, last+1, noLimit); !errors.Is(err, raft.ErrCompacted) {
		l.Fatalf("group %d: entries from the start %d: %v; want ErrCompacted", g, start.Index, err)
	}
	for _, e := range want {
		if term, err := l.Term(g, e.GetIndex()); err != nil || term != e.GetTerm() {
			l.Fatalf("group %d: term of entry %d: %d, %v; want %d", g, e.GetIndex(), term, err, e.GetTerm())
		}
	}
	if len(want) == 0 {
		return
	}
	got, err := l.Entries(g, start.Index+1, last+1, noLimit)
	if err != nil {
		l.Fatalf("group %d: entries %d to %d: %v", g, start.Index+1, last, err)
	}
	if why := different(got, want); why != "" {
		l.Fatalf("group %d: %s", g, why)
	}
}

const noLimit = 1<<64 - 1

// different says how two rows of entries differ, "" if they don't.
func different(got, want []*pb.Entry) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d entries, want %d", len(got), len(want))
	}
	for i, e := range got {
		w := want[i]
		if e.GetIndex() != w.GetIndex() || e.GetTerm() != w.GetTerm() || e.GetType() != w.GetType() ||
			!slices.Equal(e.GetData(), w.GetData()) {
			return fmt.Sprintf("entry %v, want %v", e, w)
		}
	}
	return ""
}

// entry makes an entry whose data tell its place and term.
func entry(index, term uint64) *pb.Entry {
	return &pb.Entry{Index: &index, Term: &term, Data: fmt.Appendf(nil, "entry %d of term %d", index, term)}
}

// row makes the entries from first to last.
func row(first, last, term uint64) []*pb.Entry {
	var es []*pb.Entry
	for i := first; i <= last; i++ {
		es = append(es, entry(i, term))
	}
	return es
}

// sized makes an entry with so many bytes of data.
func sized(index, term uint64, size int) *pb.Entry {
	e := entry(index, term)
	e.Data = make([]byte, size)
	for i := range e.Data {
		e.Data[i] = byte(index) + byte(i)
	}
	return e
}

func members(voters ...uint64) *pb.ConfState { return &pb.ConfState{Voters: voters} }

// sameMembers fails if a group's members aren't these.
func (l *logs) sameMembers(g raft.GroupID, want *pb.ConfState) {
	l.Helper()
	i, err := l.Initial(g)
	if err != nil {
		l.Fatalf("initial of group %d: %v", g, err)
	}
	if !proto.Equal(i.Members, want) {
		l.Fatalf("group %d: members %v, want %v", g, i.Members, want)
	}
}

// sameState fails if a group's hard state isn't this.
func (l *logs) sameState(g raft.GroupID, want raft.HardState) {
	l.Helper()
	i, err := l.Initial(g)
	if err != nil || i.HardState != want {
		l.Fatalf("group %d: hard state %+v, %v; want %+v", g, i.HardState, err, want)
	}
}
