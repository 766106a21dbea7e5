package boltlog_test

import (
	"fmt"
	"path/filepath"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/boltlog"
)

// BenchmarkWrite writes entries of 128 bytes, so many for each of so many groups, and their hard states; each Write is
// durable. The logs are compacted, so that the file doesn't grow with the run.
func BenchmarkWrite(b *testing.B) {
	for _, groups := range []int{1, 16} {
		for _, each := range []int{1, 64} {
			b.Run(fmt.Sprintf("groups=%d/entries=%d", groups, each), func(b *testing.B) {
				s, err := boltlog.Open(filepath.Join(b.TempDir(), "raft.db"), boltlog.Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				data, term, last := make([]byte, 128), uint64(1), uint64(0)
				updates := make([]raft.Update, groups)
				for b.Loop() {
					for g := range updates {
						es := make([]*pb.Entry, each)
						for i := range es {
							index := last + 1 + uint64(i)
							es[i] = &pb.Entry{Index: &index, Term: &term, Data: data}
						}
						updates[g] = raft.Update{Group: raft.GroupID(g + 1), Entries: es, HardState: &raft.HardState{Term: term, Commit: last}}
					}
					if err := s.Write(updates); err != nil {
						b.Fatal(err)
					}
					if last += uint64(each); last%8192 == 0 {
						for g := range updates {
							if err := s.Compact(raft.GroupID(g+1), last-4096, nil); err != nil {
								b.Fatal(err)
							}
						}
					}
				}
				b.ReportMetric(float64(b.N*groups*each)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}

// BenchmarkEntries reads 64 entries of 128 bytes.
func BenchmarkEntries(b *testing.B) {
	s, err := boltlog.Open(filepath.Join(b.TempDir(), "raft.db"), boltlog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	term := uint64(1)
	es := make([]*pb.Entry, 10000)
	for i := range es {
		index := uint64(i + 1)
		es[i] = &pb.Entry{Index: &index, Term: &term, Data: make([]byte, 128)}
	}
	if err := s.Write([]raft.Update{{Group: 1, Entries: es}}); err != nil {
		b.Fatal(err)
	}
	for name, lo := range map[string]uint64{"newest": 9937, "from the file": 5000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := s.Entries(1, lo, lo+64, 1<<20); err != nil || len(got) != 64 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
