package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

// Status is a cluster as one of its nodes sees it.
type Status struct {
	Leader   string   `json:"leader"` // "": nobody is known to lead
	Nodes    []Member `json:"nodes"`
	Writable bool     `json:"writable"`
	Reason   string   `json:"reason"` // why writes are unavailable, in a sentence
	Seen     string   `json:"seen_by"`
	Term     uint64   `json:"term"`
	Commit   uint64   `json:"commit"`
	Applied  uint64   `json:"applied"`
}

// Member is a node in a Status.
type Member struct {
	ID        string `json:"id"`
	Role      string `json:"role"` // leader, follower or learner
	Raft      string `json:"raft"`
	PG        string `json:"pg,omitempty"`
	MySQL     string `json:"mysql,omitempty"`
	HTTP      string `json:"http,omitempty"`
	Match     uint64 `json:"match"`             // index up to which it has the log, as the leader knows
	Lag       uint64 `json:"lag"`               // entries that it is behind
	Snapshot  bool   `json:"snapshot"`          // it is being sent one
	Reachable bool   `json:"reachable"`         // heard of lately
	Trouble   string `json:"trouble,omitempty"` // what keeps it from leading, if somebody has asked it
}

// Settled is nil if writes can be made and every node is there and has the log up to an index, and says what is missing.
func (s *Status) Settled(index uint64) error {
	if !s.Writable {
		return fmt.Errorf("writes are unavailable: %s", s.Reason)
	}
	for _, n := range s.Nodes {
		switch {
		case !n.Reachable:
			return fmt.Errorf("%s can't be reached", n.ID)
		case n.Snapshot:
			return fmt.Errorf("%s is being sent a snapshot", n.ID)
		case n.Match < index:
			return fmt.Errorf("%s is %d entries behind", n.ID, n.Lag)
		}
	}
	return nil
}

// ErrUnknownNode: the cluster has no such node.
var ErrUnknownNode = errors.New("no such node in the cluster")

// Status tells what this node knows. Only the leader knows how far the others are.
func (c *Cluster) Status(ctx context.Context) Status {
	g := c.log.Group()
	if g == nil {
		return Status{Seen: c.o.Node, Reason: "this node is still starting", Nodes: []Member{}}
	}
	s := g.Status()
	out := Status{Seen: c.o.Node, Term: s.Term, Commit: s.Commit, Applied: s.Applied, Nodes: []Member{}}
	if s.Leader != 0 {
		out.Leader = c.name(s.Leader)
	}
	addresses := c.addresses()
	c.mu.Lock()
	nodes := c.nodes
	self := c.self
	c.mu.Unlock()
	add := func(id raft.NodeID, role string) {
		name := c.name(id)
		n := nodes[name]
		if name == self.Name {
			n = self
		} else if a := addresses[name]; a != "" {
			n.Raft = a
		}
		m := Member{ID: name, Role: role, Raft: n.Raft, PG: n.PG, MySQL: n.MySQL, HTTP: n.HTTP}
		if id == s.Leader {
			m.Role = "leader"
		}
		switch i := slices.IndexFunc(s.Peers, func(p raft.Peer) bool { return p.Node == id }); {
		case id == s.Node:
			m.Match, m.Reachable, m.Trouble = s.Commit, true, c.trouble()
			m.Lag = s.Commit - min(s.Commit, s.Applied)
		case i >= 0:
			p := s.Peers[i]
			m.Match, m.Reachable, m.Snapshot = p.Match, p.Active, p.Snapshot
			m.Lag = s.Commit - min(s.Commit, p.Match)
		}
		out.Nodes = append(out.Nodes, m)
	}
	for _, id := range s.Voters {
		add(id, "follower")
	}
	for _, id := range s.Learners {
		add(id, "learner")
	}
	slices.SortFunc(out.Nodes, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	if !s.Leads {
		c.probe(ctx, &out)
	}
	out.Writable, out.Reason = c.writable(s, &out)
	return out
}

// probe asks the other nodes whether they can be reached from here.
func (c *Cluster) probe(ctx context.Context, out *Status) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range out.Nodes {
		m := &out.Nodes[i]
		if m.ID == c.o.Node {
			continue
		}
		wg.Go(func() {
			var reached atomic.Bool
			dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := c.transport.Dial(ctx, NodeID(m.ID))
				if err != nil {
					return nil, err
				}
				reached.Store(true)
				if _, err := conn.Write([]byte{streamHTTP}); err != nil {
					return nil, errors.Join(err, conn.Close())
				}
				return conn, nil
			}
			var answer standing
			if err := post(ctx, dial, "/standing", c.self, &answer, true); err == nil {
				m.Trouble = answer.Trouble
			}
			m.Reachable = reached.Load()
		})
	}
	wg.Wait()
}

// trouble is what keeps this node from leading.
func (c *Cluster) trouble() string {
	if err := c.log.Host().Stalled(); err != nil {
		return err.Error()
	}
	return ""
}

// writable says whether writes can be made, and if not, why.
func (c *Cluster) writable(s raft.Status, out *Status) (bool, string) {
	voters, reached := 0, 0
	var missing, troubles []string
	for _, m := range out.Nodes {
		if m.Trouble != "" {
			troubles = append(troubles, m.ID+": "+m.Trouble)
		}
		if m.Role == "learner" {
			continue
		}
		voters++
		if m.Reachable {
			reached++
		} else {
			missing = append(missing, m.ID)
		}
	}
	need := voters/2 + 1
	switch {
	case c.log.Group().Err() != nil:
		return false, fmt.Sprintf("%s takes no part any more: %v", c.o.Node, c.log.Group().Err())
	case voters == 0:
		return false, fmt.Sprintf("%s isn't a member of the cluster yet: it waits to be added", c.o.Node)
	case reached < need:
		return false, fmt.Sprintf("%d of %d voters are needed, and %s reaches %d: no answer from %s", need, voters, c.o.Node, reached, strings.Join(missing, ", "))
	case s.Leads && c.trouble() != "":
		return false, fmt.Sprintf("%s leads and can't write its log: %s", c.o.Node, c.trouble())
	case s.Leads:
		if _, err := c.log.Epoch(); err != nil {
			return false, fmt.Sprintf("%s was elected and hasn't confirmed it with a majority yet", c.o.Node)
		}
		return true, ""
	case out.Leader == "" && len(troubles) > 0:
		return false, "no leader is elected at present; what is known to be in the way: " + strings.Join(troubles, "; ")
	case out.Leader == "":
		return false, fmt.Sprintf("no leader is elected at present; %s reaches %d of %d voters, so there should be one in a moment", c.o.Node, reached, voters)
	}
	return true, ""
}

// id finds a member by its name.
func (c *Cluster) memberID(name string) (raft.NodeID, error) {
	s := c.log.Group().Status()
	id := NodeID(name)
	if !slices.Contains(s.Voters, id) && !slices.Contains(s.Learners, id) {
		var names []string
		for _, v := range slices.Concat(s.Voters, s.Learners) {
			names = append(names, c.name(v))
		}
		slices.Sort(names)
		return 0, fmt.Errorf("%w: %s; it has %s", ErrUnknownNode, name, strings.Join(names, ", "))
	}
	return id, nil
}

// takeCharge keeps the leader's own care for its nodes away from one until the function that it returns is called: of two
// who change the members at the same time, Raft refuses one.
func (c *Cluster) takeCharge(name string) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admitting[name] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.admitting, name)
	}
}

// Add adds a node that waits at an address: as a learner, which becomes a voter when it has caught up unless learner is set.
func (c *Cluster) Add(ctx context.Context, name, address string, learner bool) error {
	defer c.takeCharge(name)()
	if err := c.alter(ctx, name, func(n *Node) error {
		*n = Node{Name: name, Raft: address, Learner: learner}
		return nil
	}); err != nil {
		return err
	}
	c.transport.SetPeer(NodeID(name), address)
	if learner {
		return c.log.Group().Change(ctx, raft.Change{Node: NodeID(name), Kind: raft.AddLearner})
	}
	return c.log.Group().AddMember(ctx, NodeID(name))
}

// Promote makes a learner a voter.
func (c *Cluster) Promote(ctx context.Context, name string) error {
	id, err := c.memberID(name)
	if err != nil {
		return err
	}
	defer c.takeCharge(name)()
	if err := c.alter(ctx, name, func(n *Node) error {
		n.Name, n.Learner = name, false
		return nil
	}); err != nil {
		return err
	}
	return c.log.Group().AddMember(ctx, id)
}

// transferPatience is how long a node is given to take over. Raft gives up after an election's time, much earlier.
const transferPatience = 3 * time.Second

// Transfer hands leadership over to a node, or to the one that is furthest if name is "". Only the leader can.
func (c *Cluster) Transfer(ctx context.Context, name string) error {
	g := c.log.Group()
	to, err := c.successor(g.Status(), name)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, transferPatience)
	defer cancel()
	if err = g.Transfer(wait, to); err != nil && wait.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%s didn't take over within %v: %w", c.name(to), transferPatience, err)
	}
	return err
}

// successor is the node that is to lead next. Raft passes over a wish for one that can't, and nobody would hear of it.
func (c *Cluster) successor(s raft.Status, name string) (raft.NodeID, error) {
	if name == "" {
		var best raft.Peer
		for _, p := range s.Peers {
			if p.Active && !p.Learner && (best.Node == 0 || p.Match > best.Match) {
				best = p
			}
		}
		if best.Node == 0 {
			return 0, errors.New("no other voter can be reached that could lead")
		}
		return best.Node, nil
	}
	to, err := c.memberID(name)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(s.Peers, func(p raft.Peer) bool { return p.Node == to })
	switch {
	case !s.Leads:
		return to, nil // the group says so
	case to == s.Node:
		return 0, fmt.Errorf("%s leads already", name)
	case slices.Contains(s.Learners, to):
		return 0, fmt.Errorf("%s is a learner, and only voters can lead: make it one with bop cluster promote %s", name, name)
	case i >= 0 && !s.Peers[i].Active:
		return 0, fmt.Errorf("%s can't be reached", name)
	}
	return to, nil
}

// Resign hands leadership over before a shutdown, if this node leads and another can. It takes a moment at most.
func (c *Cluster) Resign(ctx context.Context) {
	g := c.log.Group()
	if g == nil || !g.Status().Leads || len(g.Status().Voters) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := c.Transfer(ctx, ""); err != nil {
		c.o.Logger.Warn("shutting down as the leader: leadership could not be handed over", "err", err)
	}
}
