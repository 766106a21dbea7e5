package raft_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/bop-platform/bop/modules/raft"
)

// crammed is a log store on a disk that is full at times.
type crammed struct {
	raft.LogStore
	full *atomic.Bool
}

var errFull = errors.New("no space left on device")

func (c crammed) Write(updates []raft.Update) error {
	if c.full.Load() {
		return fmt.Errorf("%w: %w", raft.ErrRetry, errFull)
	}
	return c.LogStore.Write(updates)
}

func TestAFullDiskIsWaitedForWhileOthersLead(t *testing.T) {
	full := map[raft.NodeID]*atomic.Bool{1: {}, 2: {}, 3: {}}
	c := newCluster(t, 3, func(o *raft.Options) { o.Log = crammed{o.Log, full[o.ID]} })
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "before")
	old := g.Status().Node
	full[old].Store(true)
	// It finds out by a proposal, whose outcome is another leader's business.
	told := make(chan error, 1)
	if err := g.ProposeAsync(c.ctx(), []byte("meanwhile"), func(_ raft.Position, _ any, err error) { told <- err }); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Wait(c.ctx(), func(s raft.Status) bool { return !s.Leads && s.Leader != 0 }); err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[old].host.Stalled(); !errors.Is(err, errFull) {
		t.Errorf("why it doesn't write: %v", err)
	}
	next := c.leader(1)
	c.propose(next, "by another")
	full[old].Store(false)
	lost := <-told
	want := 2
	if lost == nil {
		want = 3
	} else if !errors.Is(lost, raft.ErrSuperseded) {
		t.Errorf("the proposal that was under way: %v", lost)
	}
	c.agree(1, want, 1, 2, 3)
	if err := c.nodes[old].host.Stalled(); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}
