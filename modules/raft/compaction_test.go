package raft_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/bop-platform/bop/modules/raft"
)

// kept is how many bytes of commands a member's log has.
func (c *cluster) kept(id raft.NodeID) (sum int) {
	c.Helper()
	start, last, err := c.nodes[id].log.Bounds(1)
	if err != nil {
		c.Fatal(err)
	}
	if last == start.Index {
		return 0
	}
	entries, err := c.nodes[id].log.Entries(1, start.Index+1, last+1, 1<<40)
	if err != nil {
		c.Fatal(err)
	}
	for _, e := range entries {
		sum += len(e.GetData())
	}
	return sum
}

func TestFewLargeEntriesDoNotKeepMuch(t *testing.T) {
	const limit, size = 64 << 10, 8 << 10
	c := newCluster(t, 3, func(o *raft.Options) { o.TrailingBytes = limit })
	for _, n := range c.nodes {
		n.sm[1] = &register{durable: true}
	}
	c.group(1, 1, 2, 3)
	large := string(bytes.Repeat([]byte("x"), size))
	written := 0
	write := func(n int, what string) {
		g := c.leader(1)
		for range n {
			c.propose(g, what)
			written++
		}
	}
	bounded := func() {
		t.Helper()
		nudges := 50
		until(t, "each log has at most twice what may stay, and not much less than that", func() bool {
			if nudges--; nudges >= 0 {
				write(1, "small") // a leader that has kept more for a member that was behind looks again
			}
			for id := range c.nodes {
				if n := c.kept(id); n > 2*limit+size || n < limit/2 {
					return false
				}
			}
			return true
		})
	}
	write(100, large)
	bounded()
	t.Run("and it is known again after a restart", func(t *testing.T) {
		for _, n := range c.nodes {
			n.stop()
		}
		for _, n := range c.nodes {
			n.restart()
		}
		write(10, large) // with what was kept it is more than may be
		bounded()
		c.agree(1, written, 1, 2, 3)
	})
}

func TestSmallEntriesAreBoundedByTheirNumber(t *testing.T) {
	c := newCluster(t, 1, func(o *raft.Options) { o.Trailing, o.TrailingBytes = 50, 1<<62 })
	c.nodes[1].sm[1] = &register{durable: true}
	c.group(1, 1)
	g := c.leader(1)
	for i := range 300 {
		c.propose(g, fmt.Sprint(i))
	}
	until(t, "the log is cut", func() bool {
		s := g.Status()
		return s.Start > 1 && s.Last-s.Start <= 100 && s.Last-s.Start >= 50
	})
}

func TestALeaderKeepsWhatAMemberLacksThatItHearsOf(t *testing.T) {
	const limit, size = 64 << 10, 8 << 10
	var lost atomic.Uint64
	c := newCluster(t, 3, func(o *raft.Options) { o.TrailingBytes, o.Transport = limit, deaf{o.Transport, &lost} })
	for _, n := range c.nodes {
		n.sm[1] = &register{durable: true}
	}
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "first")
	c.agree(1, 1, 1, 2, 3)
	leader := g.Status().Node
	far, near := leader%3+1, (leader+1)%3+1
	lost.Store(uint64(far))
	large := string(bytes.Repeat([]byte("x"), size))
	match := func() uint64 {
		for _, p := range g.Status().Peers {
			if p.Node == far {
				return p.Match
			}
		}
		t.Fatal("it isn't a peer any more")
		return 0
	}
	for range 28 { // 3.5 times what may stay
		c.propose(g, large)
	}
	until(t, "the follower that isn't behind has cut its log", func() bool { return c.kept(near) <= 2*limit+size })
	if s := g.Status(); s.Start > match() || !s.Leads {
		t.Errorf("the log begins behind %d, the member has it up to %d", s.Start, match())
	}
	for range 40 { // and more than four times that
		c.propose(g, large)
	}
	until(t, "the leader has cut what the member lacks", func() bool { return g.Status().Start > match() })
	if n := c.kept(leader); n < 3*limit || n > 5*limit {
		t.Errorf("it keeps %d bytes, want about %d", n, 4*limit)
	}
	lost.Store(0)
	c.agree(1, 69, 1, 2, 3)
}
