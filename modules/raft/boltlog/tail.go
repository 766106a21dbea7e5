package boltlog

import (
	pb "go.etcd.io/raft/v3/raftpb"
)

// entryOverhead is about what an entry takes in memory beside its data.
const entryOverhead = 128

// tail holds the newest entries of a group, so that what Raft reads most doesn't come from the file. It is either empty
// or reaches to the log's end.
type tail struct {
	entries []*pb.Entry
	bytes   int
}

// first returns the index of the oldest entry; ok is false if there is none.
func (t *tail) first() (index uint64, ok bool) {
	if len(t.entries) == 0 {
		return 0, false
	}
	return t.entries[0].GetIndex(), true
}

// since returns the entries from index on; nil if the tail doesn't go back that far.
func (t *tail) since(index uint64) []*pb.Entry {
	first, ok := t.first()
	if !ok || index < first || index-first >= uint64(len(t.entries)) {
		return nil
	}
	return t.entries[index-first:]
}

// append adds entries in the place of those from the first one's index on, and drops the oldest above limit bytes.
func (t *tail) append(entries []*pb.Entry, limit int) {
	t.cut(entries[0].GetIndex())
	for _, e := range entries {
		t.entries = append(t.entries, e)
		t.bytes += len(e.Data) + entryOverhead
	}
	n := 0
	for n < len(t.entries) && t.bytes > limit {
		t.bytes -= len(t.entries[n].Data) + entryOverhead
		t.entries[n] = nil // the array lives on
		n++
	}
	t.entries = t.entries[n:]
}

// cut drops the entries from index on.
func (t *tail) cut(index uint64) {
	for n := len(t.entries); n > 0 && t.entries[n-1].GetIndex() >= index; n-- {
		t.bytes -= len(t.entries[n-1].Data) + entryOverhead
		t.entries[n-1] = nil
		t.entries = t.entries[:n-1]
	}
}

// drop drops the entries up to index.
func (t *tail) drop(index uint64) {
	n := 0
	for n < len(t.entries) && t.entries[n].GetIndex() <= index {
		t.bytes -= len(t.entries[n].Data) + entryOverhead
		t.entries[n] = nil
		n++
	}
	t.entries = t.entries[n:]
}

// reset drops everything.
func (t *tail) reset() { *t = tail{} }
