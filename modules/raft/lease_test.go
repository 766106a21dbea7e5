package raft_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

// hand is a clock that a test moves.
type hand struct{ at atomic.Int64 }

func (h *hand) now() time.Duration       { return time.Duration(h.at.Load()) }
func (h *hand) advance(by time.Duration) { h.at.Add(int64(by)) }

func TestALeaderReadsByItsLease(t *testing.T) {
	clock := &hand{}
	clock.advance(time.Hour)
	var length time.Duration
	c := newCluster(t, 3, func(o *raft.Options) {
		o.Clock = clock.now
		length = time.Duration(float64(o.Tick) * 7 * 0.9) // of ten ticks three don't count, and a tenth is for the clocks
	})
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "x")
	read := func() {
		t.Helper()
		if _, err := g.LeaseRead(c.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a round that a majority answers begins one", func(t *testing.T) {
		read()
		if !g.Leased() {
			t.Fatal("no lease")
		}
	})
	t.Run("it ends by the clock, also if no tick was counted", func(t *testing.T) {
		clock.advance(length - 1)
		if !g.Leased() {
			t.Error("it ended too early")
		}
		clock.advance(1)
		if g.Leased() {
			t.Error("it goes on for ever")
		}
		read()
		if !g.Leased() {
			t.Error("no new one")
		}
	})
	t.Run("it is given up before leadership is handed over", func(t *testing.T) {
		var other raft.NodeID
		for id := range raft.NodeID(3) {
			if id+1 != g.Status().Node {
				other = id + 1
			}
		}
		if err := g.Transfer(c.ctx(), other); err != nil {
			t.Fatal(err)
		}
		if g.Leased() {
			t.Error("it is still held")
		}
		g = c.leader(1)
		read()
	})
	t.Run("a follower that knows of a leader doesn't vote for itself", func(t *testing.T) {
		term := g.Status().Term
		for id := range raft.NodeID(3) {
			if m := c.nodes[id+1].host.Group(1); m != g {
				if err := m.Campaign(); err != nil {
					t.Fatal(err)
				}
				if _, err := m.ReadIndex(c.ctx()); err != nil { // it has gone on after that
					t.Fatal(err)
				}
			}
		}
		if s := g.Status(); !s.Leads || s.Term != term {
			t.Errorf("%+v", s)
		}
	})
	t.Run("a leader that nobody answers gets none", func(t *testing.T) {
		c.isolate(g.Status().Node)
		clock.advance(length)
		if _, err := g.LeaseRead(c.shortly()); err == nil {
			t.Error("it reads though others may lead")
		}
	})
}
