package cluster

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/sqlite"
)

func decodeNode(b []byte) (n Node, err error) {
	return n, json.Unmarshal(b, &n)
}

// joined is the answer to a node that joins.
type joined struct {
	Peers map[string]string `json:"peers"`
}

// joinPatience is how long a node asks to be taken in before it gives up.
const joinPatience = 30 * time.Second

// join asks a member to take this node in. The leader adds it in the background: first without a vote, until it has caught up.
func (c *Cluster) join(ctx context.Context) (*identity, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	for {
		id, err := c.tryJoin(ctx)
		if err == nil {
			return id, nil
		}
		var refused *refusedError
		if errors.As(err, &refused) || ctx.Err() != nil {
			return nil, fmt.Errorf("joining the cluster of %s: %w", c.o.Join, err)
		}
		c.o.Logger.Warn("joining failed, it is tried again", "member", c.o.Join, "err", err)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("joining the cluster of %s: %w", c.o.Join, err)
		}
	}
}

// refusedError is a refusal that trying again won't change.
type refusedError struct{ words string }

func (e *refusedError) Error() string { return e.words }

func (c *Cluster) tryJoin(ctx context.Context) (*identity, error) {
	conn, remote, err := tcpnet.Dial(ctx, tcpnet.DialOptions{Node: NodeID(c.o.Node), TLS: c.o.TLS, Insecure: c.o.Insecure}, c.o.Join)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{streamHTTP}); err != nil {
		return nil, err
	}
	var answer joined
	if err := post(ctx, func(context.Context, string, string) (net.Conn, error) { return conn, nil }, "/join", c.self, &answer, false); err != nil {
		return nil, err
	}
	return &identity{Cluster: hex.EncodeToString(remote.Cluster[:]), Node: c.o.Node, Peers: answer.Peers}, nil
}

// passedOn marks requests that are meant for the leader and nobody else.
const passedOn = "X-Bop-Passed-On"

// post sends v over a stream and reads the answer into out, if it isn't nil.
func post(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), path string, v, out any, last bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://leader"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	if last {
		req.Header.Set(passedOn, "1")
	}
	t := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	res, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		if res.StatusCode == http.StatusConflict {
			return &refusedError{string(bytes.TrimSpace(body))}
		}
		return fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(body))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// register puts this node's entry into the system database, through the leader.
func (c *Cluster) register(ctx context.Context) error {
	c.mu.Lock()
	self := c.self
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, own := c.leader(); own {
		return ignoreNotLeader(c.enroll(ctx, self))
	}
	if id, _ := c.leader(); id == 0 {
		return nil // it is tried again when there is one
	}
	return post(ctx, func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dialLeader(ctx, streamHTTP) }, "/register", self, nil, true)
}

func ignoreNotLeader(err error) error {
	if errors.Is(err, sqlite.ErrNotLeader) {
		return nil
	}
	return err
}

func (c *Cluster) put(ctx context.Context, n Node) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return c.host.Put(ctx, nodesSpace, n.Name, b)
}

// takeIn adds a node that asks to join, on the leader.
func (c *Cluster) takeIn(ctx context.Context, n Node) (*joined, error) {
	c.mu.Lock()
	host, self := c.host, c.self
	known, there := c.nodes[n.Name]
	c.mu.Unlock()
	if host == nil {
		return nil, errors.New("this server is still starting")
	}
	if n.Name == self.Name || there && !known.Removed && known.Raft != n.Raft && c.reachable(n.Name) {
		return nil, &refusedError{fmt.Sprintf("the cluster has a node %s already: choose another --node, or remove that one with bop cluster remove %s", n.Name, n.Name)}
	}
	if err := c.alter(ctx, n.Name, func(known *Node) error {
		n.Learner = known.Learner && !known.Removed // it was added as one before it was started
		*known = n
		return nil
	}); err != nil {
		return nil, err
	}
	c.transport.SetPeer(NodeID(n.Name), n.Raft)
	peers := c.addresses()
	peers[self.Name] = self.Raft
	delete(peers, n.Name)
	c.SystemChanged()
	return &joined{peers}, nil
}

// admitAll makes the nodes members that the system database names and the group doesn't have, or has without a vote, and
// takes out those that are to be removed.
func (c *Cluster) admitAll() {
	g := c.log.Group()
	s := g.Status()
	if !s.Leads {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.nodes {
		id := NodeID(name)
		member := slices.Contains(s.Voters, id)
		do := c.admit
		if n.Removed {
			member, do = !c.has(name), c.expel
		}
		if member || n.Learner && !n.Removed || c.admitting[name] {
			continue
		}
		c.admitting[name] = true
		c.wg.Go(func() {
			do(name)
			c.mu.Lock()
			delete(c.admitting, name)
			c.mu.Unlock()
		})
	}
}

// admit makes a node a member, and a voter when it has caught up.
func (c *Cluster) admit(name string) {
	for c.ctx.Err() == nil && c.named(name) {
		g := c.log.Group()
		err := g.AddMember(c.ctx, NodeID(name))
		if err == nil {
			c.o.Logger.Info("a node has joined and votes", "member", name)
			return
		}
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrStopped) || c.ctx.Err() != nil {
			return // the next leader promotes it
		}
		c.o.Logger.Warn("a node isn't a voter yet, it is tried again", "member", name, "err", err)
		select {
		case <-time.After(time.Second):
		case <-c.ctx.Done():
		}
	}
}

// named tells whether the system database has a node.
func (c *Cluster) named(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, there := c.nodes[name]
	return there && !n.Removed
}

// reachable tells whether the leader has heard of a node lately.
func (c *Cluster) reachable(name string) bool {
	for _, p := range c.log.Group().Status().Peers {
		if p.Node == NodeID(name) {
			return p.Active
		}
	}
	return false
}
