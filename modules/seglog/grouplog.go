package seglog

import (
	"fmt"
	"slices"
	"sort"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
)

// groupLog is the index of one group's log: where its entries are in the parent log, and the newest of them.
type groupLog struct {
	id      raft.GroupID
	hard    raft.HardState
	members *pb.ConfState
	start   raft.Position // of what is told; a compaction is on disk with the next round
	last    uint64

	settled   raft.Position // start as it is on disk
	runs      []run         // terms of the entries
	places    []place       // of the entries, in the parent log
	tail      []*pb.Entry   // the newest ones, up to last
	tailBytes int
	stated    aof.Position // from here on the parent log tells everything about the group but its entries

	// While the parent log is read at opening, entries may follow others that were cut off and are told once more further on.
	recovering bool
	partial    bool // start isn't settled: it is what the entries that were read so far follow
}

// run is a stretch of entries of one term, up to the next run.
type run struct{ first, term uint64 }

// place says which record of the parent log has entries.
type place struct {
	first, last uint64
	at          aof.Position
}

// take makes an update part of the index.
func (g *groupLog) take(u *update, at aof.Position, cache int) error {
	if p := u.Snapshot; p.Index > 0 {
		g.beginAfter(p)
		g.settled, g.partial = p, false
	}
	if u.Members != nil {
		g.members = u.Members
	}
	if p := u.start; p != nil {
		if p.Index > g.last {
			// Only the newest part of the log is left on disk.
			g.beginAfter(*p)
		}
		g.settled = *p
		g.join()
		if !g.partial {
			g.start = maxPosition(g.start, *p)
		}
	}
	if err := g.append(u.Entries, at, cache); err != nil {
		return err
	}
	if u.HardState != nil {
		g.hard = *u.HardState
	}
	if f := u.flags(); f&hasMembers != 0 && f&hasHardState != 0 && f&(hasSnapshot|hasStart) != 0 {
		g.stated = at
	}
	return nil
}

func maxPosition(a, b raft.Position) raft.Position {
	if a.Index > b.Index {
		return a
	}
	return b
}

// append adds entries, in the place of those that are there from the first one's index on.
func (g *groupLog) append(entries []*pb.Entry, at aof.Position, cache int) error {
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].GetIndex()
	if g.recovering && (first > g.last+1 || g.partial && first <= g.start.Index) {
		g.beginAfter(raft.Position{Index: first - 1})
		g.partial = true
	}
	if first > g.last+1 {
		return fmt.Errorf("group %d: entries from %d don't follow %d", g.id, first, g.last)
	}
	g.cutAfter(first - 1)
	for _, e := range entries {
		if n := len(g.runs); n == 0 || g.runs[n-1].term != e.GetTerm() {
			g.runs = append(g.runs, run{e.GetIndex(), e.GetTerm()})
		}
		g.tailBytes += len(e.GetData())
	}
	g.last = entries[len(entries)-1].GetIndex()
	g.places = append(g.places, place{first, g.last, at})
	g.tail = append(g.tail, entries...)
	g.shrink(cache)
	g.join()
	return nil
}

// beginAfter forgets all entries: the next one is that after p.
func (g *groupLog) beginAfter(p raft.Position) {
	g.start, g.last = p, p.Index
	g.runs, g.places, g.tail, g.tailBytes = nil, nil, nil, 0
}

// join ends being partial if the entries that were read follow the start that is on disk.
func (g *groupLog) join() {
	if g.partial && g.start.Index <= g.settled.Index && g.settled.Index <= g.last {
		g.start, g.partial = g.settled, false
	}
}

// cutAfter forgets the entries behind index.
func (g *groupLog) cutAfter(index uint64) {
	if index >= g.last {
		return
	}
	for n := len(g.runs); n > 0 && g.runs[n-1].first > index; n-- {
		g.runs = g.runs[:n-1]
	}
	for n := len(g.places); n > 0 && g.places[n-1].first > index; n-- {
		g.places = g.places[:n-1]
	}
	if n := len(g.places); n > 0 {
		g.places[n-1].last = min(g.places[n-1].last, index)
	}
	for n := len(g.tail); n > 0 && g.tail[n-1].GetIndex() > index; n-- {
		g.tailBytes -= len(g.tail[n-1].GetData())
		g.tail[n-1] = nil
		g.tail = g.tail[:n-1]
	}
	g.last = index
}

// shrink drops what doesn't fit into the cache, but for the newest entry.
func (g *groupLog) shrink(cache int) {
	for len(g.tail) > 1 && g.tailBytes > cache {
		g.tailBytes -= len(g.tail[0].GetData())
		g.tail[0] = nil
		g.tail = g.tail[1:]
	}
}

// settle forgets what is before the start as it is on disk.
func (g *groupLog) settle() {
	i := sort.Search(len(g.places), func(i int) bool { return g.places[i].last > g.settled.Index })
	if i > 0 {
		g.places = slices.Delete(g.places, 0, i)
	}
	i = sort.Search(len(g.runs), func(i int) bool { return g.runs[i].first > g.settled.Index+1 })
	if i > 1 {
		g.runs = slices.Delete(g.runs, 0, i-1)
	}
	for len(g.tail) > 0 && g.tail[0].GetIndex() <= g.settled.Index {
		g.tailBytes -= len(g.tail[0].GetData())
		g.tail[0] = nil
		g.tail = g.tail[1:]
	}
}

// term is the term of an entry, or of the start.
func (g *groupLog) term(index uint64) (uint64, error) {
	switch {
	case index < g.start.Index:
		return 0, fmt.Errorf("seglog: group %d: term of entry %d: %w", g.id, index, raft.ErrCompacted)
	case index == g.start.Index:
		return g.start.Term, nil
	case index > g.last:
		return 0, fmt.Errorf("seglog: group %d: term of entry %d: %w", g.id, index, raft.ErrUnavailable)
	}
	i := sort.Search(len(g.runs), func(i int) bool { return g.runs[i].first > index })
	return g.runs[i-1].term, nil
}

// oldest is the record of the parent log that has the first entry; ok is false if there are no entries.
func (g *groupLog) oldest() (at aof.Position, ok bool) {
	i := sort.Search(len(g.places), func(i int) bool { return g.places[i].last > g.settled.Index })
	if i == len(g.places) {
		return 0, false
	}
	return g.places[i].at, true
}

// messageBytes is the length of an entry as a message.
func messageBytes(e *pb.Entry) uint64 {
	n := 2 + uvarintBytes(e.GetTerm()) + uvarintBytes(e.GetIndex()) + 2 // the type and two tags
	if e.Data != nil {
		n += 1 + uvarintBytes(uint64(len(e.Data))) + len(e.Data)
	}
	return uint64(n)
}

func uvarintBytes(v uint64) (n int) {
	for n = 1; v >= 0x80; n++ {
		v >>= 7
	}
	return n
}
