package raft

import (
	"slices"
	"sync/atomic"
	"time"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// noticePatience is how long a follower may hear later that an entry is committed than it could.
const noticePatience = 5 * time.Millisecond

// notices are appends without entries, which tell followers how far is committed. Raft sends one to each after each
// commit, and gets an answer; under load the next entries say the same a moment later. So they wait for those.
type notices struct {
	held  map[NodeID]*pb.Message
	since atomic.Int64 // when the oldest was held back, in nanoseconds since 1970; 0: there is none
	armed atomic.Bool  // the timer runs
	timer *time.Timer
}

// hold takes the notices out of messages that are to be sent. What a follower is waiting for comes behind its notice.
func (g *Group) hold(list []*pb.Message) []*pb.Message {
	n := &g.notices
	if g.r.role != etcd.StateLeader {
		n.drop()
		return list
	}
	out := list[:0]
	for _, m := range list {
		to := NodeID(m.GetTo())
		switch m.GetType() {
		case pb.MsgApp:
			if len(m.GetEntries()) == 0 {
				n.keep(g, to, m)
				continue
			}
			n.forget(to)
		case pb.MsgReadIndexResp, pb.MsgTimeoutNow:
			if notice := n.held[to]; notice != nil {
				n.forget(to)
				out = append(slices.Clone(out), notice)
			}
		}
		out = append(out, m)
	}
	return out
}

func (n *notices) keep(g *Group, to NodeID, m *pb.Message) {
	if n.held == nil {
		n.held = map[NodeID]*pb.Message{}
		n.timer = time.AfterFunc(noticePatience, func() { n.look(g) })
		n.armed.Store(true)
	}
	n.held[to] = m
	if n.since.Load() == 0 {
		n.since.Store(time.Now().UnixNano())
	}
	n.arm(noticePatience)
}

func (n *notices) arm(d time.Duration) {
	if n.armed.CompareAndSwap(false, true) {
		n.timer.Reset(d)
	}
}

func (n *notices) forget(to NodeID) {
	delete(n.held, to)
	if len(n.held) == 0 {
		n.since.Store(0)
	}
}

func (n *notices) drop() {
	clear(n.held)
	n.since.Store(0)
}

// look is what the timer does. It wakes the group only if something has waited long enough.
func (n *notices) look(g *Group) {
	since := n.since.Load()
	left := noticePatience - time.Duration(time.Now().UnixNano()-since)
	if since != 0 && left <= 0 {
		n.armed.Store(false)
		g.do(g.notify)
		return
	}
	if since != 0 {
		n.timer.Reset(left)
		return
	}
	n.armed.Store(false)
	if n.since.Load() != 0 { // held back in between
		n.arm(noticePatience)
	}
}

// notify sends what is held back.
func (g *Group) notify() {
	list := make([]*pb.Message, 0, len(g.notices.held))
	for _, m := range g.notices.held {
		list = append(list, m)
	}
	g.notices.drop()
	if g.r.role == etcd.StateLeader {
		g.deliver(list)
	}
}
