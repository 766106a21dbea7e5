package raft

import (
	"context"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Status describes a member of a group.
type Status struct {
	Group     GroupID
	Node      NodeID
	Leader    NodeID // 0: none is known
	Term      uint64
	Commit    uint64
	Applied   uint64
	Last      uint64   // index of the log's last entry, which need not be on disk yet
	Voters    []NodeID // this list and the next two are shared: they must not be changed
	Learners  []NodeID
	Peers     []Peer // of a leader: how far the others are
	Leads     bool
	Candidate bool
	Start     uint64 // index of the entry before the log's first
}

// Peer is how far another member is, as its leader knows.
type Peer struct {
	Node     NodeID
	Match    uint64 // index up to which it has the log
	Learner  bool
	Active   bool // heard of lately
	Snapshot bool // it is being sent one
}

// Status returns what is known at this moment.
func (g *Group) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// Wait returns the first status that satisfies ok.
func (g *Group) Wait(ctx context.Context, ok func(Status) bool) (Status, error) {
	for {
		changed := g.h.watch(g)
		if s := g.Status(); ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-g.stopped:
			return g.Status(), g.Err()
		case <-ctx.Done():
			return g.Status(), context.Cause(ctx)
		}
	}
}

// listen notes which members a leader has heard of. Raft itself forgets it each time that it counts its quorum.
func (g *Group) listen(ticks int) {
	if ticks == 0 {
		return
	}
	g.clock += ticks
	if g.r.role != etcd.StateLeader {
		clear(g.heard)
		return
	}
	g.r.rn.WithProgress(func(id uint64, _ etcd.ProgressType, p tracker.Progress) {
		if p.RecentActive {
			if g.heard == nil {
				g.heard = map[NodeID]int{}
			}
			g.heard[NodeID(id)] = g.clock
		}
	})
}

// active tells whether a leader has heard of a member lately.
func (g *Group) active(id NodeID, p tracker.Progress) bool {
	at, heard := g.heard[id]
	return p.RecentActive || heard && g.clock-at <= g.h.o.ElectionTicks
}

// publish makes the present state what Status tells. It runs in the group's actor.
func (g *Group) publish() {
	r := g.r
	b := r.rn.BasicStatus()
	s := Status{
		Group: g.id, Node: r.id, Leader: r.leader, Term: r.term, Commit: b.GetCommit(), Applied: r.applied.Index, Last: r.last,
		Voters: r.voters(), Learners: r.learners(),
		Leads: r.role == etcd.StateLeader, Candidate: r.role == etcd.StateCandidate || r.role == etcd.StatePreCandidate,
	}
	if start, _, err := g.h.o.Log.Bounds(g.id); err == nil {
		s.Start = start.Index
	}
	if s.Leads && len(s.Voters)+len(s.Learners) > 1 {
		s.Peers = make([]Peer, 0, len(s.Voters)+len(s.Learners)-1)
		r.rn.WithProgress(func(id uint64, t etcd.ProgressType, p tracker.Progress) {
			if NodeID(id) != r.id {
				s.Peers = append(s.Peers, Peer{NodeID(id), p.Match, t == etcd.ProgressTypeLearner, g.active(NodeID(id), p), p.State == tracker.StateSnapshot})
			}
		})
	}
	g.mu.Lock()
	g.status = s
	g.mu.Unlock()
	g.h.notify(g)
}
