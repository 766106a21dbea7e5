package raft_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/bop-platform/bop/modules/raft"
)

// deaf loses what would bring a host entries or snapshots. Heartbeats come.
type deaf struct {
	raft.Transport
	host *atomic.Uint64
}

func (d deaf) Send(to raft.NodeID, messages []raft.Message) {
	if raft.NodeID(d.host.Load()) == to {
		messages = slices.DeleteFunc(messages, func(m raft.Message) bool { return m.GetType() == pb.MsgApp })
	}
	d.Transport.Send(to, messages)
}

// measured is a cluster whose metrics can be read.
func measured(t *testing.T, n int, tune func(*raft.Options)) (*cluster, map[raft.NodeID]*metric.ManualReader) {
	readers := map[raft.NodeID]*metric.ManualReader{}
	return newCluster(t, n, func(o *raft.Options) {
		readers[o.ID] = metric.NewManualReader()
		o.MeterProvider = metric.NewMeterProvider(metric.WithReader(readers[o.ID]))
		if tune != nil {
			tune(o)
		}
	}), readers
}

// figures reads a host's metrics, by name and, if there are several of a name, by that of the peer or the outcome. Of a
// histogram it is the count.
func figures(t *testing.T, r *metric.ManualReader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					name := m.Name
					if v, ok := p.Attributes.Value("peer"); ok {
						name += fmt.Sprint(" of ", v.AsInt64())
					}
					out[name] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					name := m.Name
					if v, ok := p.Attributes.Value("outcome"); ok {
						name += " " + v.AsString()
					}
					out[name] = int64(p.Count)
				}
			}
		}
	}
	return out
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestALeaderTellsHowFarMembersAreBehind(t *testing.T) {
	var lost atomic.Uint64
	c, readers := measured(t, 3, func(o *raft.Options) { o.Transport = deaf{o.Transport, &lost} })
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	c.propose(g, "all have it")
	c.agree(1, 1, 1, 2, 3)
	leader := g.Status().Node
	far, near := leader%3+1, (leader+1)%3+1
	read := func(name string) int64 { return figures(t, readers[leader])[name] }
	until(t, "nobody is behind", func() bool {
		return read(fmt.Sprint("bop_raft_peer_lag of ", far)) == 0 && read(fmt.Sprint("bop_raft_peer_log_lag of ", far)) == 0
	})
	lost.Store(uint64(far))
	for i := range 20 {
		c.propose(g, fmt.Sprint(i))
	}
	until(t, "one is behind by 20 that are committed", func() bool {
		return read(fmt.Sprint("bop_raft_peer_lag of ", far)) == 20 && read(fmt.Sprint("bop_raft_peer_log_lag of ", far)) == 20 &&
			read(fmt.Sprint("bop_raft_peer_lag of ", near)) == 0
	})
	if f := figures(t, readers[near]); f[fmt.Sprint("bop_raft_peer_lag of ", far)] != 0 || f["bop_raft_leads"] != 0 {
		t.Errorf("one that doesn't lead tells %v", f)
	}
	// What nobody else gets isn't committed: it is only in the log.
	c.net.Partition(leader, near, true)
	ended := make(chan error, 1)
	if err := g.ProposeAsync(c.ctx(), []byte("alone"), func(_ raft.Position, _ any, err error) { ended <- err }); err != nil {
		t.Fatal(err)
	}
	until(t, "the log is one further than what is committed", func() bool {
		f := figures(t, readers[leader])
		return f[fmt.Sprint("bop_raft_peer_log_lag of ", far)] == 21 && f[fmt.Sprint("bop_raft_peer_lag of ", far)] == 20 || f["bop_raft_leads"] == 0
	})
	lost.Store(0)
	c.net.Heal()
	<-ended
}

// slow is a state machine that waits while a test has its lock.
type slow struct {
	register
	hold sync.Mutex
}

func (s *slow) Apply(ctx context.Context, entries []raft.Entry) ([]any, error) {
	s.hold.Lock()
	defer s.hold.Unlock()
	return s.register.Apply(ctx, entries)
}

// hang makes it wait until the function that is returned is called, or the test ends.
func (s *slow) hang(t *testing.T) (release func()) {
	s.hold.Lock()
	release = sync.OnceFunc(s.hold.Unlock)
	t.Cleanup(release)
	return release
}

// slowly starts group 1 on all hosts.
func (c *cluster) slowly() map[raft.NodeID]*slow {
	c.Helper()
	var all []raft.NodeID
	for id := range c.nodes {
		all = append(all, id)
	}
	slices.Sort(all)
	list := map[raft.NodeID]*slow{}
	for id, n := range c.nodes {
		list[id] = &slow{}
		if err := n.host.Bootstrap(1, all...); err != nil {
			c.Fatal(err)
		}
		if _, err := n.host.Open(1, list[id]); err != nil {
			c.Fatal(err)
		}
	}
	return list
}

func TestAStateMachineThatHangsShowsAsLag(t *testing.T) {
	c, readers := measured(t, 3, nil)
	machines := c.slowly()
	g := c.leader(1)
	c.propose(g, "all have it")
	for _, id := range []raft.NodeID{g.Status().Node%3 + 1, g.Status().Node} { // one that follows, which publishes less, and the leader
		until(t, "all is applied", func() bool {
			f, leader := figures(t, readers[id]), figures(t, readers[g.Status().Node])
			return f["bop_raft_apply_lag"] == 0 && f["bop_raft_commit_index"] == leader["bop_raft_commit_index"]
		})
		release := machines[id].hang(t)
		for range 5 {
			if err := g.ProposeAsync(c.ctx(), []byte("x"), func(raft.Position, any, error) {}); err != nil {
				t.Error(err)
			}
		}
		until(t, fmt.Sprintf("on node %d five are committed and not applied", id), func() bool {
			f := figures(t, readers[id])
			return f["bop_raft_apply_lag"] == 5 && f["bop_raft_commit_index"] == f["bop_raft_applied_index"]+5
		})
		release()
		until(t, "all is applied again", func() bool { return figures(t, readers[id])["bop_raft_apply_lag"] == 0 })
	}
}

func TestSnapshotsAreCountedOnBothSides(t *testing.T) {
	c, readers := measured(t, 4, func(o *raft.Options) { o.Trailing = 10 })
	for id := raft.NodeID(1); id <= 4; id++ {
		c.nodes[id].sm[1] = &register{durable: true}
	}
	c.group(1, 1, 2, 3)
	g := c.leader(1)
	for i := range 100 {
		c.propose(g, fmt.Sprint(i))
	}
	c.nodes[4].open(1)
	if err := g.AddMember(c.ctx(), 4); err != nil {
		t.Fatal(err)
	}
	until(t, "one was sent and taken", func() bool {
		return figures(t, readers[g.Status().Node])["bop_raft_snapshot sent"] > 0 && figures(t, readers[4])["bop_raft_restore restored"] > 0
	})
}
