package memlog_test

import (
	"sync"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/logtest"
	"github.com/bop-platform/bop/modules/raft/memlog"
)

// disks are stores by the folder that they would be in.
type disks struct {
	mu sync.Mutex
	in map[string]*memlog.Memory
}

func (d *disks) open(_ testing.TB, dir string) raft.LogStore {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := memlog.NewMemory()
	if before := d.in[dir]; before != nil {
		m = before.Clone()
	}
	d.in[dir] = m
	return m
}

func (d *disks) crash(t testing.TB, store raft.LogStore, _ string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := t.TempDir()
	d.in[dir] = store.(*memlog.Memory).Clone()
	return dir
}

func TestMemoryIsALogStore(t *testing.T) {
	d := &disks{in: map[string]*memlog.Memory{}}
	logtest.Run(t, logtest.Store{Open: d.open, Crash: d.crash})
}

func TestACloneLacksWhatNeedNotBeDurable(t *testing.T) {
	m := memlog.NewMemory()
	write(t, m, 1, 9)
	if err := m.Compact(1, 5, &pb.ConfState{Voters: []uint64{3}}); err != nil {
		t.Fatal(err)
	}
	lost := m.Clone()
	if i, err := lost.Initial(1); err != nil || i.Start.Index != 0 || i.Last != 9 || len(i.Members.Voters) != 0 {
		t.Errorf("before the next Write: %+v, %v; want the log as it was", i, err)
	}
	if es, err := lost.Entries(1, 1, 10, 1<<20); err != nil || len(es) != 9 {
		t.Errorf("before the next Write: %d entries, %v; want 9", len(es), err)
	}
	write(t, m, 10, 10)
	if i, err := m.Clone().Initial(1); err != nil || i.Start.Index != 5 || len(i.Members.Voters) != 1 {
		t.Errorf("after the next Write: %+v, %v; want the compaction", i, err)
	}
}

func TestACloneIsASeparateStore(t *testing.T) {
	m := memlog.NewMemory()
	write(t, m, 1, 3)
	c := m.Clone()
	write(t, m, 2, 2)
	write(t, c, 4, 8)
	for _, x := range []struct {
		store *memlog.Memory
		last  uint64
	}{{m, 2}, {c, 8}} {
		if _, last, err := x.store.Bounds(1); err != nil || last != x.last {
			t.Errorf("last entry %d, %v; want %d", last, err, x.last)
		}
	}
}

func write(t *testing.T, m *memlog.Memory, first, last uint64) {
	t.Helper()
	var es []*pb.Entry
	for i, term := first, uint64(1); i <= last; i++ {
		index := i
		es = append(es, &pb.Entry{Index: &index, Term: &term})
	}
	if err := m.Write([]raft.Update{{Group: 1, Entries: es}}); err != nil {
		t.Fatal(err)
	}
}
