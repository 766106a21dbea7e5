package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/sqlite"
)

// A node that was removed stays in the system database as such: it learns there that it is to end, and can't put itself back
// in. It counts as one of the cluster's until Raft has taken it out, in the meantime the majority may need it.

// RemovedError says that a node isn't one of its cluster's any more.
type RemovedError struct{ Node, Dir string }

func (e *RemovedError) Error() string {
	return fmt.Sprintf("%s was removed from its cluster: to take it back, delete %s and start it with --join", e.Node, e.Dir)
}

// newsPatience is how long a node that is removed is given to hear of it from the log.
const newsPatience = 2 * time.Second

// Remove takes a node out. It is called on the leader, which may be the one: it hands over first, and the next leader goes
// on with it.
func (c *Cluster) Remove(ctx context.Context, name string) error {
	id, err := c.memberID(name)
	if err != nil {
		return err
	}
	g := c.log.Group()
	s := g.Status()
	if len(s.Voters) == 1 && s.Voters[0] == id {
		return fmt.Errorf("%s is the only voter: without it there is no cluster", name)
	}
	defer c.takeCharge(name)()
	if err := c.alter(ctx, name, func(n *Node) error {
		n.Name, n.Removed = name, true
		return nil
	}); err != nil {
		return err
	}
	if id == s.Node {
		return c.leave(ctx)
	}
	told := g.Status().Commit
	wait, cancel := context.WithTimeout(ctx, newsPatience)
	defer cancel()
	_, err = g.Wait(wait, func(s raft.Status) bool {
		i := slices.IndexFunc(s.Peers, func(p raft.Peer) bool { return p.Node == id })
		return i < 0 || s.Peers[i].Match >= told || !s.Peers[i].Active
	})
	if err != nil && wait.Err() == nil {
		return err
	}
	return g.Change(ctx, raft.Change{Node: id, Kind: raft.Remove})
}

// leave hands leadership over and waits until this node is out.
func (c *Cluster) leave(ctx context.Context) error {
	if err := c.Transfer(ctx, ""); err != nil {
		return err
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for c.member() {
		select {
		case <-c.removed:
			return nil
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("leadership was handed over, and the next leader hasn't taken %s out yet: %w", c.o.Node, context.Cause(ctx))
		}
	}
	return nil
}

// alter changes a node's entry in the system database, on the leader. Changes come one after the other.
func (c *Cluster) alter(ctx context.Context, name string, change func(*Node) error) error {
	c.altering.Lock()
	defer c.altering.Unlock()
	entries, err := c.host.Entries(ctx, nodesSpace)
	if err != nil {
		return err
	}
	var n Node
	if b := entries[name]; b != nil {
		if n, err = decodeNode(b); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	if err := change(&n); err != nil {
		return err
	}
	return c.put(ctx, n)
}

// enroll puts a member's entry of its own into the system database, on the leader.
func (c *Cluster) enroll(ctx context.Context, n Node) error {
	if _, err := c.memberID(n.Name); err != nil {
		return &refusedError{err.Error()}
	}
	return c.alter(ctx, n.Name, func(known *Node) error {
		if known.Removed {
			return &refusedError{fmt.Sprintf("%s is being removed", n.Name)}
		}
		n.Learner = known.Learner
		*known = n
		return nil
	})
}

// expel goes on with a removal that another leader has begun.
func (c *Cluster) expel(name string) {
	if err := c.log.Group().Change(c.ctx, raft.Change{Node: NodeID(name), Kind: raft.Remove}); err != nil && !errors.Is(err, raft.ErrNotLeader) && c.ctx.Err() == nil {
		c.o.Logger.Warn("a node that is to be removed is a member still, it is tried again", "member", name, "err", err)
	}
}

// Removed is closed when this node has found out that it was removed from its cluster.
func (c *Cluster) Removed() <-chan struct{} { return c.removed }

// RemovedError is the error of a node that was removed.
func (c *Cluster) RemovedError() error { return &RemovedError{c.o.Node, c.o.Dir} }

// noteRemoval finds out whether this node was removed: nobody who knows counts it as a member.
func (c *Cluster) noteRemoval() {
	c.mu.Lock()
	told := c.nodes[c.o.Node].Removed
	c.mu.Unlock()
	if told && !c.member() {
		c.end()
		return
	}
	if id, _ := c.leader(); id != 0 || c.joined && !told {
		c.alone = time.Time{}
		return
	}
	if c.alone.IsZero() {
		c.alone = time.Now()
	}
	if time.Since(c.alone) < newsPatience {
		return
	}
	for _, addr := range c.addresses() {
		if out, err := c.askAbout(addr); err == nil && out {
			c.end()
			return
		}
	}
}

func (c *Cluster) end() {
	c.ending.Do(func() {
		c.o.Logger.Error("this node is none of the cluster's any more", "err", c.RemovedError())
		close(c.removed)
	})
}

// standing is the answer to a node that asks what became of it, and of the one it asks.
type standing struct {
	Removed bool   `json:"removed"`
	Trouble string `json:"trouble,omitempty"` // what keeps the node that answers from leading
}

// askAbout asks a node whether this one was removed. Only those answer whose cluster this is.
func (c *Cluster) askAbout(addr string) (removed bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	conn, remote, err := tcpnet.Dial(ctx, tcpnet.DialOptions{Node: NodeID(c.o.Node), TLS: c.o.TLS, Insecure: c.o.Insecure}, addr)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if number, err := c.id.number(); err != nil || remote.Cluster != number {
		return false, errors.New("it is of another cluster")
	}
	if _, err := conn.Write([]byte{streamHTTP}); err != nil {
		return false, err
	}
	var answer standing
	err = post(ctx, func(context.Context, string, string) (net.Conn, error) { return conn, nil }, "/standing", c.self, &answer, true)
	return answer.Removed, err
}

// standing answers askAbout by what this node knows.
func (i *inside) standing(w http.ResponseWriter, r *http.Request) {
	i.reply(w, r, func(_ context.Context, n Node) (any, error) {
		c := i.c
		c.mu.Lock()
		removed := c.nodes[n.Name].Removed
		c.mu.Unlock()
		if _, err := c.memberID(n.Name); removed && errors.Is(err, ErrUnknownNode) {
			return standing{Removed: true}, nil
		}
		return standing{Trouble: c.trouble()}, nil
	})
}

// Check is an error if the folder is that of a node which was removed.
func (c *Cluster) Check(ctx context.Context, h *sqlite.Host) error {
	entries, err := h.Entries(ctx, nodesSpace)
	if err != nil || entries[c.o.Node] == nil || c.joined {
		return err
	}
	n, err := decodeNode(entries[c.o.Node])
	if err == nil && n.Removed && !c.member() {
		return c.RemovedError()
	}
	return err
}
