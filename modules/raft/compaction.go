package raft

import (
	"cmp"
	"slices"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// compact cuts the log's beginning off when much of it isn't needed: what the state machine has durably, but for some
// entries that stay for members that are a little behind. Much is twice what stays.
func (g *Group) compact() {
	trailing, w := g.h.o.Trailing, &g.weights
	start := g.status.Start
	w.forget(start) // a log store may cut by itself
	if g.restoring || g.r.applied.Index < start+2*trailing && w.total-w.base < 2*g.h.o.TrailingBytes {
		return
	}
	has, err := g.sm.Applied()
	if err != nil {
		g.log.Warn("the log isn't cut: the state machine doesn't say what it has", "err", err)
		return
	}
	_, last, err := g.h.o.Log.Bounds(g.id)
	if err != nil {
		return // Raft will find out
	}
	to := min(has.Index, g.r.applied.Index, last) // a snapshot was restored that the log doesn't have yet
	cut := g.heavy(to)
	if to >= start+2*trailing {
		cut = max(cut, to-trailing)
	}
	if cut <= start || cut < g.r.memberAt {
		return
	}
	if err := g.h.o.Log.Compact(g.id, cut, g.r.members); err != nil {
		g.log.Warn("cutting the log failed", "err", err)
	}
}

// keepForOthers is how many times Options.TrailingBytes a leader keeps for a member that it hears of and that is behind:
// sending it what it lacks costs less than a snapshot.
const keepForOthers = 4

// heavy is where the log, of which the entries up to an index could go, is to be cut for its bytes; 0: nowhere.
func (g *Group) heavy(to uint64) uint64 {
	w, limit := &g.weights, g.h.o.TrailingBytes
	if w.upTo(to)-w.base < 2*limit {
		return 0
	}
	cut := w.last(to, limit)
	if g.r.role == etcd.StateLeader {
		cut = min(cut, max(g.needed(), w.last(to, keepForOthers*limit)))
	}
	if w.upTo(cut)-w.base < limit/2 { // a member that catches up would have it cut for each entry
		return 0
	}
	return cut
}

// needed is up to where all others that a leader hears of have the log, or will have it by a snapshot.
func (g *Group) needed() uint64 {
	least := g.r.last
	g.r.rn.WithProgress(func(id uint64, _ etcd.ProgressType, p tracker.Progress) {
		if NodeID(id) != g.r.id && g.active(NodeID(id), p) {
			least = min(least, max(p.Match, p.PendingSnapshot))
		}
	})
	return least
}

// weights tell how many bytes a log has, about. They count what is applied, which after a start is the whole log.
type weights struct {
	step  uint64 // bytes between two marks, at least
	marks []mark
	start uint64 // index up to which the log was cut off
	base  uint64 // bytes of what was
	total uint64 // bytes of all entries that were seen
	seen  uint64 // index of the last
}

// mark says how many bytes the entries up to an index have, those that were cut off included.
type mark struct{ index, total uint64 }

// entryBytes is what an entry costs besides its data.
const entryBytes = 32

func (w *weights) add(entries []*pb.Entry) {
	for _, e := range entries {
		w.total += uint64(len(e.GetData())) + entryBytes
		w.seen = e.GetIndex()
		before := w.base
		if n := len(w.marks); n > 0 {
			before = w.marks[n-1].total
		}
		if w.total-before >= w.step {
			w.marks = append(w.marks, mark{w.seen, w.total})
		}
	}
}

// upTo is how many bytes there are up to an index, those that were cut off included: at most a step less than it is.
func (w *weights) upTo(index uint64) uint64 {
	if index >= w.seen {
		return w.total
	}
	n, found := slices.BinarySearchFunc(w.marks, index, func(m mark, i uint64) int { return cmp.Compare(m.index, i) })
	switch {
	case found:
		return w.marks[n].total
	case n == 0:
		return w.base
	}
	return w.marks[n-1].total
}

// last is the index behind which, up to another one, entries have at most so many bytes.
func (w *weights) last(to, bytes uint64) uint64 {
	all := w.upTo(to)
	for _, m := range w.marks {
		if m.total+bytes >= all {
			return min(m.index, to)
		}
	}
	return to
}

// forget notes that the log was cut off up to an index.
func (w *weights) forget(index uint64) {
	if index <= w.start {
		return
	}
	w.start = index
	w.base = w.upTo(index)
	n := 0
	for n < len(w.marks) && w.marks[n].index <= index {
		n++
	}
	w.marks = slices.Clone(w.marks[n:])
}

// reset notes that the log begins anew behind an index.
func (w *weights) reset(index uint64) { *w = weights{step: w.step, start: index, seen: index} }
