package raft

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func TestWeightsTellWhereToCut(t *testing.T) {
	const size = 100 // of an entry, what it costs besides included
	w := weights{step: 3 * size}
	for i := uint64(2); i <= 101; i++ { // after the first position, as a new log's
		w.add([]*pb.Entry{{Index: proto.Uint64(i), Data: make([]byte, size-entryBytes)}})
	}
	for _, c := range []struct {
		name      string
		to, bytes uint64
		want      uint64
	}{
		{"half of it", 101, 50 * size, 52},
		{"a little", 101, 3 * size, 100},
		{"nothing", 101, 0, 101},
		{"all of it", 101, 1000 * size, 4},
		{"behind an index in the middle", 50, 10 * size, 40},
		{"nothing behind one in the middle", 50, 0, 49},
	} {
		if got := w.last(c.to, c.bytes); got != c.want {
			t.Errorf("%s: cut at %d, want %d", c.name, got, c.want)
		}
		if got := (c.to - w.last(c.to, c.bytes)) * size; got > c.bytes+w.step {
			t.Errorf("%s: %d bytes stay", c.name, got)
		}
	}
	w.forget(52)
	if got := w.upTo(101) - w.base; got < 49*size || got > 49*size+w.step {
		t.Errorf("after half was cut off %d bytes are left", got)
	}
	before := w
	if w.forget(40); w.base != before.base || len(w.marks) != len(before.marks) {
		t.Error("what was cut off is cut off again")
	}
	if len(w.marks) != 16 {
		t.Errorf("%d marks for 49 entries", len(w.marks))
	}
	w.reset(500)
	w.add([]*pb.Entry{{Index: proto.Uint64(501), Data: make([]byte, size-entryBytes)}})
	if got := w.upTo(501) - w.base; got != size {
		t.Errorf("after a snapshot the log has %d bytes", got)
	}
}
