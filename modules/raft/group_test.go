package raft_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

func TestACommandIsAppliedOnAllMembers(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	for i := range 100 {
		c.propose(g, fmt.Sprint("command ", i))
	}
	got := c.agree(1, 100, 1, 2, 3)
	if got[0] != "command 0" || got[99] != "command 99" {
		t.Error(got)
	}
}

func TestOneServerIsAClusterOfOne(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.group(1, 1)
	g := c.leader(1)
	c.propose(g, "a")
	c.nodes[1].stop()
	c.nodes[1].restart()
	c.propose(c.leader(1), "b")
	if got := c.agree(1, 2, 1); got[0] != "a" || got[1] != "b" {
		t.Error(got)
	}
}

func TestManyProposersAndGroupsShareAHost(t *testing.T) {
	c := newCluster(t, 3, nil)
	for id := raft.GroupID(1); id <= 8; id++ {
		c.group(id, 1, 2, 3)
	}
	var wg sync.WaitGroup
	for id := raft.GroupID(1); id <= 8; id++ {
		g := c.leader(id)
		for p := range 4 {
			wg.Go(func() {
				for i := range 25 {
					if _, _, err := g.Propose(c.ctx(), fmt.Append(nil, p, " ", i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for id := raft.GroupID(1); id <= 8; id++ {
		c.agree(id, 100, 1, 2, 3)
	}
}

func TestProposalsArePipelinedInOrder(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	var wg sync.WaitGroup
	var last atomic.Uint64
	for i := range 1000 {
		wg.Add(1)
		err := g.ProposeAsync(c.ctx(), fmt.Append(nil, i), func(at raft.Position, result any, err error) {
			defer wg.Done()
			if err != nil || result != fmt.Sprint(i) || at.Index <= last.Swap(at.Index) {
				t.Error(i, at, result, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	got := c.agree(1, 1000, 1, 2, 3)
	for i, v := range got {
		if v != fmt.Sprint(i) {
			t.Fatalf("%d is %s", i, v)
		}
	}
}

func TestAFollowerRefusesAndNamesTheLeader(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	leader := c.leader(1)
	c.propose(leader, "a")
	for _, n := range c.nodes {
		g := n.host.Group(1)
		if g == leader {
			continue
		}
		if _, err := g.Wait(c.ctx(), func(s raft.Status) bool { return s.Leader != 0 }); err != nil {
			t.Fatal(err)
		}
		_, _, err := g.Propose(c.ctx(), []byte("b"))
		var e *raft.NotLeaderError
		if !errors.As(err, &e) || e.Leader != leader.Status().Node {
			t.Errorf("got %v", err)
		}
	}
	c.agree(1, 1, 1, 2, 3)
}

func TestReadsSeeWhatWasCommittedBefore(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	for i := range 50 {
		c.propose(g, fmt.Sprint(i))
		for id, n := range c.nodes {
			if _, err := n.host.Group(1).ReadIndex(c.ctx()); err != nil {
				t.Fatal(err)
			}
			if got := len(n.sm[1].values()); got < i+1 {
				t.Fatalf("node %d has %d of %d", id, got, i+1)
			}
		}
	}
}

func TestAMinorityNeitherCommitsNorReads(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	old := c.leader(1)
	c.propose(old, "a")
	id := old.Status().Node
	c.isolate(id)
	cut, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := old.ReadIndex(cut); err == nil {
		t.Error("a read was answered")
	}
	outcome := make(chan error, 1)
	go func() {
		_, _, err := old.Propose(context.Background(), []byte("lost"))
		outcome <- err
	}()
	var g *raft.Group
	for g == nil || g == old {
		g = c.leader(1)
	}
	c.propose(g, "b")
	c.propose(g, "c")
	c.net.Heal()
	if err := <-outcome; !errors.Is(err, raft.ErrSuperseded) && !errors.Is(err, raft.ErrNotLeader) {
		t.Errorf("got %v", err)
	}
	if got := c.agree(1, 3, 1, 2, 3); fmt.Sprint(got) != "[a b c]" {
		t.Error(got)
	}
}

func TestAfterLosingItsLeaderAGroupGoesOn(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	for i := range 3 {
		g := c.leader(1)
		c.propose(g, fmt.Sprint("before ", i))
		id := g.Status().Node
		c.nodes[id].stop()
		c.propose(c.leader(1), fmt.Sprint("after ", i))
		c.nodes[id].restart()
		c.agree(1, 2*i+2, 1, 2, 3)
	}
}

func TestLeadershipIsTransferred(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	to := g.Status().Node%3 + 1
	if err := g.Transfer(c.ctx(), to); err != nil {
		t.Fatal(err)
	}
	if _, err := c.nodes[to].host.Group(1).Wait(c.ctx(), func(s raft.Status) bool { return s.Leads }); err != nil {
		t.Fatal(err)
	}
	c.propose(c.nodes[to].host.Group(1), "a")
}

func TestMembersChangeWhileCommandsRun(t *testing.T) {
	c := newCluster(t, 5, nil)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	stop := make(chan struct{})
	var done atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := g.Propose(c.ctx(), fmt.Append(nil, i)); err != nil {
				t.Error(err)
				return
			}
			done.Add(1)
		}
	})
	for id := raft.NodeID(4); id <= 5; id++ {
		c.nodes[id].open(1)
		if err := g.AddMember(c.ctx(), id); err != nil {
			t.Fatal(err)
		}
	}
	// Two others leave at once.
	var leave []raft.Change
	for id := raft.NodeID(1); id <= 3; id++ {
		if id != g.Status().Node {
			leave = append(leave, raft.Change{Node: id, Kind: raft.Remove})
		}
	}
	if err := g.Change(c.ctx(), leave...); err != nil {
		t.Fatal(err)
	}
	s, err := g.Wait(c.ctx(), func(s raft.Status) bool { return len(s.Voters) == 3 })
	if err != nil {
		t.Fatal(err, s)
	}
	close(stop)
	wg.Wait()
	c.agree(1, int(done.Load()), s.Voters...)
}

func TestASnapshotBringsALateMember(t *testing.T) {
	c := newCluster(t, 4, func(o *raft.Options) { o.Trailing = 10 })
	for id := raft.NodeID(1); id <= 3; id++ {
		c.nodes[id].sm[1] = &register{durable: true}
	}
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	for i := range 500 {
		c.propose(g, fmt.Sprint(i))
	}
	if s, err := g.Wait(c.ctx(), func(s raft.Status) bool { return s.Start > 400 }); err != nil {
		t.Fatalf("the log isn't cut: %+v", s)
	}
	c.nodes[4].sm[1] = &register{durable: true}
	c.nodes[4].open(1)
	if err := g.AddMember(c.ctx(), 4); err != nil {
		t.Fatal(err)
	}
	c.propose(g, "last")
	c.agree(1, 501, 1, 2, 3, 4)
	t.Run("and it restarts from its own state", func(t *testing.T) {
		c.nodes[4].stop()
		c.propose(c.leader(1), "one more")
		c.nodes[4].restart()
		c.agree(1, 502, 1, 2, 3, 4)
	})
}

func TestAStateMachineThatFailsStopsItsGroupAlone(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.group(1, 1)
	c.group(2, 1)
	g := c.leader(1)
	_, _, err := g.Propose(c.ctx(), []byte("fail"))
	if !errors.Is(err, raft.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	if _, _, err := g.Propose(c.ctx(), []byte("a")); err == nil || g.Err() == nil {
		t.Error("the group goes on")
	}
	c.propose(c.leader(2), "b")
}

func TestALogStoreThatFailsTakesTheHostOut(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "a")
	id := g.Status().Node
	c.nodes[id].log.Close()
	if _, _, err := g.Propose(c.ctx(), []byte("b")); err == nil {
		t.Error("it was committed by a member that can't write")
	}
	for deadline := time.Now().Add(10 * time.Second); c.nodes[id].host.Err() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the host goes on")
		}
	}
	c.nodes[id].stop()
	g = c.leader(1)
	c.propose(g, "c")
	c.nodes[id].restart()
	c.propose(g, "d")
	if _, err := c.nodes[id].host.Group(1).ReadIndex(c.ctx()); err != nil {
		t.Error(err)
	}
}
