package raft_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memlog"
	"github.com/bop-platform/bop/modules/raft/memnet"
)

// register is a state machine: a list of what was applied. Commands are results too.
type register struct {
	mu      sync.Mutex
	list    [][]byte
	at      raft.Position
	durable bool // it keeps what it has over a restart
}

func (r *register) Applied() (raft.Position, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.durable {
		return raft.Position{}, nil
	}
	return r.at, nil
}

func (r *register) Apply(_ context.Context, entries []raft.Entry) ([]any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var results []any
	for _, e := range entries {
		if e.Index <= r.at.Index {
			return nil, fmt.Errorf("entry %d comes again", e.Index)
		}
		if bytes.Equal(e.Data, []byte("fail")) {
			return nil, errors.New("told to fail")
		}
		r.list, r.at = append(r.list, bytes.Clone(e.Data)), e.Position
		results = append(results, string(e.Data))
	}
	return results, nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

func (r *register) Snapshot(context.Context) (raft.Position, io.ReadSeekCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b []byte
	for _, v := range r.list {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	return r.at, body{bytes.NewReader(b)}, nil
}

func (r *register) Restore(_ context.Context, at raft.Position, in io.Reader) error {
	b, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.at = nil, at
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		r.list = append(r.list, b[k:k+int(n)])
		b = b[k+int(n):]
	}
	return nil
}

func (r *register) values() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.list {
		list = append(list, string(v))
	}
	return list
}

// cluster is some hosts on one network.
type cluster struct {
	*testing.T
	net   *memnet.Network
	nodes map[raft.NodeID]*node
	tune  func(*raft.Options)
}

type node struct {
	c    *cluster
	id   raft.NodeID
	log  *memlog.Memory
	host *raft.Host
	sm   map[raft.GroupID]*register
}

func newCluster(t *testing.T, n int, tune func(*raft.Options)) *cluster {
	t.Helper()
	c := &cluster{T: t, net: memnet.New(memnet.Options{}), nodes: map[raft.NodeID]*node{}, tune: tune}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.stop()
		}
	})
	for i := range n {
		c.node(raft.NodeID(i + 1))
	}
	return c
}

func (c *cluster) node(id raft.NodeID) *node {
	c.Helper()
	n := &node{c: c, id: id, log: memlog.NewMemory(), sm: map[raft.GroupID]*register{}}
	c.nodes[id] = n
	n.start()
	return n
}

func (n *node) start() {
	n.c.Helper()
	transport := n.c.net.Host(n.id)
	o := raft.Options{ID: n.id, Log: n.log, Transport: transport, Tick: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	if n.c.tune != nil {
		n.c.tune(&o)
	}
	h, err := raft.NewHost(o)
	if err != nil {
		n.c.Fatal(err)
	}
	n.host = h
	for id := range raft.NodeID(9) {
		if id > 0 && id != n.id {
			transport.SetPeer(id, memnet.Address(id))
		}
	}
}

// isolate cuts a host off from all others.
func (c *cluster) isolate(id raft.NodeID) {
	for other := range c.nodes {
		if other != id {
			c.net.Partition(id, other, true)
			c.net.Partition(other, id, true)
		}
	}
}

// stop ends a host as a crash does: what its log store had not written is lost.
func (n *node) stop() {
	if n.host != nil {
		n.host.Close()
		n.host = nil
	}
}

// restart brings it up again with its groups.
func (n *node) restart() {
	n.c.Helper()
	n.log = n.log.Clone()
	n.start()
	for id, sm := range n.sm {
		if !sm.durable {
			n.sm[id] = &register{}
		}
		n.open(id)
	}
}

func (n *node) open(id raft.GroupID) *raft.Group {
	n.c.Helper()
	if n.sm[id] == nil {
		n.sm[id] = &register{}
	}
	g, err := n.host.Open(id, n.sm[id])
	if err != nil {
		n.c.Fatal(err)
	}
	return g
}

// group starts a group on the nodes.
func (c *cluster) group(id raft.GroupID, on ...raft.NodeID) {
	c.Helper()
	for _, n := range on {
		if err := c.nodes[n].host.Bootstrap(id, on...); err != nil {
			c.Fatal(err)
		}
		c.nodes[n].open(id)
	}
}

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	c.Cleanup(cancel)
	return ctx
}

// leader waits until a majority agrees on a leader that runs, and returns its member.
func (c *cluster) leader(id raft.GroupID) *raft.Group {
	c.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, n := range c.nodes {
			if n.host == nil {
				continue
			}
			if g := n.host.Group(id); g != nil && g.Status().Leads {
				if _, err := g.ReadIndex(c.shortly()); err == nil {
					return g
				}
			}
		}
	}
	c.Fatal("nobody leads")
	return nil
}

func (c *cluster) shortly() context.Context {
	ctx, cancel := context.WithTimeout(c.Context(), 500*time.Millisecond)
	c.Cleanup(cancel)
	return ctx
}

func (c *cluster) propose(g *raft.Group, text string) {
	c.Helper()
	at, result, err := g.Propose(c.ctx(), []byte(text))
	if err != nil || result != text || at.Index == 0 {
		c.Fatalf("%s: %v, %v, %v", text, at, result, err)
	}
}

// agree waits until the nodes have applied the same and returns it.
func (c *cluster) agree(id raft.GroupID, want int, on ...raft.NodeID) []string {
	c.Helper()
	var last []string
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		same := true
		for i, n := range on {
			v := c.nodes[n].sm[id].values()
			if i == 0 {
				last = v
			}
			same = same && len(v) == want && fmt.Sprint(v) == fmt.Sprint(last)
		}
		if same {
			return last
		}
		if time.Now().After(deadline) {
			for _, n := range on {
				c.Logf("%d: %d values, %+v", n, len(c.nodes[n].sm[id].values()), c.nodes[n].host.Group(id).Status())
			}
			c.Fatalf("they don't agree on %d values", want)
		}
	}
}
