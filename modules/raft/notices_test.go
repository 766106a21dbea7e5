package raft_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
)

// counted counts appends, with entries and without.
type counted struct {
	raft.Transport
	full, empty *atomic.Int64
}

func (c counted) Send(to raft.NodeID, messages []raft.Message) {
	for _, m := range messages {
		switch {
		case m.GetType() != pb.MsgApp:
		case len(m.GetEntries()) == 0:
			c.empty.Add(1)
		default:
			c.full.Add(1)
		}
	}
	c.Transport.Send(to, messages)
}

func TestFollowersHearWithTheNextEntryThatOneIsCommitted(t *testing.T) {
	var full, empty atomic.Int64
	c := newCluster(t, 3, func(o *raft.Options) { o.Transport = counted{o.Transport, &full, &empty} })
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "first")
	full.Store(0)
	empty.Store(0)
	began := time.Now()
	const n = 200
	for i := range n {
		c.propose(g, fmt.Sprint(i))
	}
	// One is sent by itself for each rest of 5 ms, to each follower, which a slow machine may make many of.
	rests := 2 * (int64(time.Since(began)/(5*time.Millisecond)) + 1)
	// A follower that is behind gets several entries at once; each was sent to one at least before it was committed.
	if full.Load() < n || empty.Load() > rests {
		t.Errorf("%d appends with entries, %d without for at most %d rests", full.Load(), empty.Load(), rests)
	}
	c.agree(1, n+1, 1, 2, 3)
}

// mute loses heartbeats, which would tell it as well.
type mute struct {
	raft.Transport
	on *atomic.Bool
}

func (m mute) Send(to raft.NodeID, messages []raft.Message) {
	if m.on.Load() {
		messages = slices.DeleteFunc(messages, func(m raft.Message) bool { return m.GetType() == pb.MsgHeartbeat })
	}
	m.Transport.Send(to, messages)
}

func TestFollowersHearSoonThatTheLastEntryIsCommitted(t *testing.T) {
	var muted atomic.Bool
	c := newCluster(t, 3, func(o *raft.Options) {
		o.Transport, o.Tick = mute{o.Transport, &muted}, 50*time.Millisecond
	})
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "first")
	c.agree(1, 1, 1, 2, 3)
	muted.Store(true)
	term := g.Status().Term
	c.propose(g, "last")
	c.agree(1, 2, 1, 2, 3)
	if now := g.Status().Term; now != term {
		t.Errorf("it took another leader, of term %d", now)
	}
}
