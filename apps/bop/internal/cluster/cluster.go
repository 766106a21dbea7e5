// Package cluster makes a server one of several: it connects their logs, knows where they are, takes in new ones, and
// carries to the leader what only the leader can do.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/replica"
)

// Options configure this server's part.
type Options struct {
	Dir      string
	Node     string
	Listener net.Listener      // of the peers
	Initial  map[string]string // names and addresses of the servers that begin a cluster together; these addresses win
	Name     string            // tells clusters apart that have the same nodes
	Join     string            // address of a member of the cluster to join
	Adopt    bool              // a new folder may take over a lost cluster's databases, whose nodes it doesn't go on with
	TLS      *tls.Config       // mutual, between the servers; nil: loopback alone
	Insecure bool              // plaintext beyond loopback
	Tick     time.Duration     // Raft's; default 50 ms

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	System         *actor.ActorSystem
}

// Node is a server as the cluster knows it.
type Node struct {
	Name  string `json:"name"`
	Raft  string `json:"raft"`
	PG    string `json:"pg,omitempty"`
	MySQL string `json:"mysql,omitempty"`
	HTTP  string `json:"http,omitempty"`
	// Learner: it isn't to vote, however far it is.
	Learner bool `json:"learner,omitempty"`
	// Removed: it was one, and isn't any more.
	Removed bool `json:"removed,omitempty"`
}

// nodesSpace is where the system database has the nodes, by name.
const nodesSpace = "nodes"

// Cluster is this server's part of its cluster.
type Cluster struct {
	o         Options
	id        identity
	transport *tcpnet.Transport
	log       *replica.Log
	inside    *inside
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	changed   chan struct{} // one letter: the system database has changed
	joined    bool          // the server has joined its cluster just now
	altering  sync.Mutex    // held while the leader changes a node's entry
	alone     time.Time     // since when no leader is known; only follow uses it
	removed   chan struct{} // closed when this node isn't a member any more
	ending    sync.Once

	mu    sync.Mutex
	host  *sqlite.Host
	self  Node
	nodes map[string]Node // as the system database has them
	// admitting are the nodes that are being made members.
	admitting map[string]bool
}

// Open connects the server with its cluster, which it makes or joins if the folder belongs to none yet, and opens the log.
func Open(ctx context.Context, o Options) (_ *Cluster, err error) {
	c := &Cluster{o: o, nodes: map[string]Node{}, admitting: map[string]bool{}, changed: make(chan struct{}, 1), removed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			c.cancel()
		}
	}()
	c.self = Node{Name: o.Node, Raft: o.Listener.Addr().String()}
	if own := o.Initial[o.Node]; own != "" {
		c.self.Raft = own
	}
	id, err := c.identify(ctx)
	if err != nil {
		return nil, err
	}
	c.id = *id
	number, err := id.number()
	if err != nil {
		return nil, err
	}
	c.inside = newInside(c)
	c.transport, err = tcpnet.New(tcpnet.Options{
		Node: NodeID(o.Node), Cluster: number, Listener: o.Listener, TLS: o.TLS, Insecure: o.Insecure, SpoolDir: filepath.Join(o.Dir, "snapshots"),
		Accept: c.inside.accept, AcceptJoin: c.inside.acceptJoin, Logger: o.Logger, MeterProvider: o.MeterProvider,
	})
	if err != nil {
		return nil, err
	}
	var voters []raft.NodeID
	for _, name := range id.Voters {
		voters = append(voters, NodeID(name))
	}
	c.log, err = replica.Open(ctx, replica.Options{
		Dir: o.Dir, Node: NodeID(o.Node), Transport: c.transport, Voters: voters, Name: c.name,
		Raft: raft.Options{Tick: o.Tick, Trailing: 5_000}, Parent: aof.Options{Name: "main"},
		Logger: o.Logger, TracerProvider: o.TracerProvider, MeterProvider: o.MeterProvider, System: o.System,
	})
	if err != nil {
		return nil, errors.Join(err, c.transport.Close())
	}
	for name, addr := range c.addresses() {
		c.transport.SetPeer(NodeID(name), addr)
	}
	return c, nil
}

// identify finds out which cluster the server belongs to.
func (c *Cluster) identify(ctx context.Context) (*identity, error) {
	o := &c.o
	id, err := readIdentity(o.Dir)
	if err != nil {
		return nil, err
	}
	if id != nil {
		if id.Node != o.Node {
			return nil, fmt.Errorf("data folder %s belongs to node %s, not to %s: start it with --node %s, or give another --data-dir", o.Dir, id.Node, o.Node, id.Node)
		}
		return id, id.agrees(o)
	}
	switch {
	case o.Join != "" && len(o.Initial) > 0:
		return nil, errors.New("--join and --initial-cluster exclude each other: the first is for a cluster that runs, the second begins one")
	case o.Join != "":
		id, err = c.join(ctx)
		c.joined = true
	case len(o.Initial) > 0:
		if o.Initial[o.Node] == "" {
			return nil, fmt.Errorf("--initial-cluster doesn't name this node, %s: it lists %v", o.Node, slices.Sorted(maps.Keys(o.Initial)))
		}
		id = founder(o.Node, o.Name, slices.Collect(maps.Keys(o.Initial)))
	default:
		id = alone(o.Node)
	}
	if err != nil {
		return nil, err
	}
	id.Rescued = o.Adopt // the system database may name the nodes of the cluster before
	if err := id.write(o.Dir); err != nil {
		return nil, fmt.Errorf("writing %s: %w", identityFile, err)
	}
	return id, nil
}

// Log is the log of the databases.
func (c *Cluster) Log() sqlite.Log { return c.log }

// Joined tells whether the server has joined its cluster just now: it has nothing yet.
func (c *Cluster) Joined() bool { return c.joined }

// Addr is where peers connect.
func (c *Cluster) Addr() net.Addr { return c.o.Listener.Addr() }

// Started tells the cluster of the open host and of where this server's listeners are. From here on the nodes that the
// system database names are followed.
func (c *Cluster) Started(h *sqlite.Host, self Node) {
	c.mu.Lock()
	c.host = h
	self.Name, self.Raft = c.self.Name, c.self.Raft
	c.self = self
	c.mu.Unlock()
	c.wg.Go(c.follow)
}

// SystemChanged is to be told of changes of the system database.
func (c *Cluster) SystemChanged() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// follow keeps the addresses of the peers, and this node's own entry, up to date.
func (c *Cluster) follow() {
	for {
		if err := c.look(); err != nil && c.ctx.Err() == nil {
			c.o.Logger.Warn("looking after the nodes of the cluster failed, it is tried again", "err", err)
		}
		c.noteRemoval()
		again := time.NewTimer(c.pace())
		select {
		case <-c.ctx.Done():
			return
		case <-c.changed:
		case <-again.C:
		}
		again.Stop()
	}
}

// pace is how long it takes until the next look, if nothing changes in the system database.
func (c *Cluster) pace() time.Duration {
	c.mu.Lock()
	leaving := c.nodes[c.o.Node].Removed
	c.mu.Unlock()
	switch id, _ := c.leader(); {
	case leaving:
		return 100 * time.Millisecond
	case id == 0 || !c.registered():
		return time.Second
	}
	return 10 * time.Second
}

// look reads the nodes, tells the transport, and registers this one if it isn't there as it is.
func (c *Cluster) look() error {
	entries, err := c.host.Entries(c.ctx, nodesSpace)
	if err != nil {
		return err
	}
	nodes := map[string]Node{}
	for name, b := range entries {
		n, err := decodeNode(b)
		if err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
		nodes[name] = n
	}
	c.mu.Lock()
	before := c.nodes
	c.nodes = nodes
	c.mu.Unlock()
	if c.id.Rescued {
		if _, own := c.leader(); !own {
			return nil
		}
		return c.forgetOthers() // and look again
	}
	if !maps.Equal(before, nodes) {
		for name := range before {
			if _, there := nodes[name]; !there && c.o.Initial[name] == "" {
				c.transport.SetPeer(NodeID(name), "")
			}
		}
		peers := c.addresses()
		for name, addr := range peers {
			c.transport.SetPeer(NodeID(name), addr)
		}
		c.id.Peers = peers
		if err := c.id.write(c.o.Dir); err != nil {
			return fmt.Errorf("writing %s: %w", identityFile, err)
		}
	}
	for name, n := range nodes {
		if n.Removed && !c.has(name) {
			c.transport.SetPeer(NodeID(name), "")
		}
	}
	c.admitAll()
	if c.registered() || !c.member() {
		return nil
	}
	return c.register(c.ctx)
}

// registered tells whether the system database has this node as it is.
func (c *Cluster) registered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := c.self
	known := c.nodes[want.Name]
	want.Learner = known.Learner
	return known.Removed || known == want
}

// member tells whether this node is one of the group's members, as far as it knows.
func (c *Cluster) member() bool { return c.has(c.o.Node) }

// has tells whether a node is one of the group's members.
func (c *Cluster) has(name string) bool {
	g := c.log.Group()
	if g == nil {
		return false
	}
	s := g.Status()
	return slices.Contains(s.Voters, NodeID(name)) || slices.Contains(s.Learners, NodeID(name))
}

// addresses are where the other nodes are: what this node's own settings say wins.
func (c *Cluster) addresses() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]string{}
	if len(c.nodes) == 0 {
		maps.Copy(all, c.id.Peers)
	}
	for name, n := range c.nodes {
		all[name] = n.Raft
	}
	maps.Copy(all, c.o.Initial)
	maps.DeleteFunc(all, func(name, _ string) bool { return name == c.o.Node || c.nodes[name].Removed && !c.has(name) })
	return all
}

// name is the name of a node.
func (c *Cluster) name(id raft.NodeID) string {
	if id == NodeID(c.o.Node) {
		return c.o.Node
	}
	for name := range c.addresses() {
		if NodeID(name) == id {
			return name
		}
	}
	return fmt.Sprintf("node %016x", uint64(id))
}

// leader is the node that leads, and whether it is this one.
func (c *Cluster) leader() (id raft.NodeID, own bool) {
	g := c.log.Group()
	if g == nil {
		return 0, false
	}
	s := g.Status()
	return s.Leader, s.Leads
}

// Dial opens a stream to the leader.
func (c *Cluster) dialLeader(ctx context.Context, kind byte) (net.Conn, error) {
	id, own := c.leader()
	if own || id == 0 {
		return nil, &sqlite.NotLeaderError{}
	}
	conn, err := c.transport.Dial(ctx, id)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{kind}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Stop ends what runs beside the log, which the host closes.
func (c *Cluster) Stop() {
	c.cancel()
	c.inside.stop()
	c.wg.Wait()
}
