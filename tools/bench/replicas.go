package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	hashicorp "github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/boltlog"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/seglog"
	"github.com/bop-platform/bop/tools/bench/floor"
)

const replicaCount = 3

// replicas are three members in this process that agree on the order of commands, over loopback TCP, each with a log of
// its own on disk.
type replicas struct {
	name string
	// commit returns when a command was committed, and applied by the member that leads.
	commit func(proposer int, command []byte) error
	close  func() error
}

// replicaKind is a way to start them in an empty folder.
type replicaKind struct {
	name  string
	start func(ctx context.Context, dir string) (*replicas, error)
}

// logKind is a log store under bop's raft.
type logKind struct {
	name string
	open func(dir string) (raft.LogStore, error)
}

// logKinds begin with the one that servers use.
var logKinds = []logKind{
	{"seglog", func(dir string) (raft.LogStore, error) {
		return seglog.OpenStore(dir, seglog.StoreOptions{AOF: aof.Options{Logger: slog.New(slog.DiscardHandler)}})
	}},
	{"boltlog", func(dir string) (raft.LogStore, error) {
		return boltlog.Open(filepath.Join(dir, "raft.db"), boltlog.Options{})
	}},
}

// replicaKinds are the floor first, then bop's raft on each of its log stores, then the peer.
func replicaKinds() []replicaKind {
	all := []replicaKind{{"floor", startFloor}}
	for _, l := range logKinds {
		all = append(all, replicaKind{"bop raft, " + l.name, startBopRaft(l, 1, sameLeader)})
	}
	return append(all,
		replicaKind{"hashicorp/raft 1.7.3, raft-wal 0.4.2", startHashicorp(func(*hashicorp.Config) {})},
		replicaKind{tunedHashicorp, startHashicorp(func(c *hashicorp.Config) { c.MaxAppendEntries, c.BatchApplyCh = 1024, true })})
}

const tunedHashicorp = "the same, tuned"

func startFloor(_ context.Context, dir string) (*replicas, error) {
	g, err := floor.Open(dir, floor.Options{})
	if err != nil {
		return nil, err
	}
	return &replicas{commit: func(_ int, command []byte) error { return g.Commit(command) }, close: g.Close}, nil
}

// sameLeader has one host lead all groups, spreadLeaders has each lead a third of them.
func sameLeader(raft.GroupID) raft.NodeID { return 1 }

func spreadLeaders(g raft.GroupID) raft.NodeID { return raft.NodeID(1 + uint64(g)%replicaCount) }

// startBopRaft starts three hosts with so many groups on them. Proposer n uses group n modulo their number.
func startBopRaft(kind logKind, groups int, leader func(raft.GroupID) raft.NodeID) func(context.Context, string) (*replicas, error) {
	return func(ctx context.Context, dir string) (_ *replicas, err error) {
		var hosts []*raft.Host
		shut := func() (err error) {
			for _, h := range hosts {
				err = errors.Join(err, h.Close())
			}
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, shut())
			}
		}()
		var addresses []string
		for id := raft.NodeID(1); id <= replicaCount; id++ {
			h, address, err := startHost(kind, id, filepath.Join(dir, strconv.Itoa(int(id))))
			if err != nil {
				return nil, fmt.Errorf("starting host %d: %w", id, err)
			}
			hosts, addresses = append(hosts, h), append(addresses, address)
		}
		leaders := make([]*raft.Group, groups)
		for n := range leaders {
			id := raft.GroupID(n + 1)
			members, err := openGroup(hosts, addresses, id)
			if err != nil {
				return nil, fmt.Errorf("opening group %d: %w", id, err)
			}
			if err := lead(ctx, members, leader(id)); err != nil {
				return nil, err
			}
			leaders[n] = members[leader(id)-1]
		}
		return &replicas{close: shut, commit: func(proposer int, command []byte) error {
			_, _, err := leaders[proposer%groups].Propose(ctx, command)
			return err
		}}, nil
	}
}

// openGroup starts a group on all hosts.
func openGroup(hosts []*raft.Host, addresses []string, id raft.GroupID) (members []*raft.Group, err error) {
	for i, h := range hosts {
		for j, address := range addresses {
			if i != j {
				h.SetPeer(raft.NodeID(j+1), address)
			}
		}
		if err := h.Bootstrap(id, 1, 2, replicaCount); err != nil {
			return nil, err
		}
		g, err := h.Open(id, &discard{})
		if err != nil {
			return nil, err
		}
		members = append(members, g)
	}
	return members, nil
}

func startHost(kind logKind, id raft.NodeID, dir string) (*raft.Host, string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", err
	}
	store, err := kind.open(dir)
	if err != nil {
		return nil, "", fmt.Errorf("opening %s: %w", kind.name, err)
	}
	quiet := slog.New(slog.DiscardHandler)
	transport, err := tcpnet.New(tcpnet.Options{Node: id, SpoolDir: filepath.Join(dir, "spool"), Logger: quiet})
	if err != nil {
		return nil, "", errors.Join(err, store.Close())
	}
	h, err := raft.NewHost(raft.Options{ID: id, Log: store, Transport: transport, Logger: quiet})
	if err != nil {
		return nil, "", errors.Join(err, transport.Close(), store.Close())
	}
	return h, transport.Addr().String(), nil
}

// lead makes one of a group's members its leader.
func lead(ctx context.Context, members []*raft.Group, want raft.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	chosen := members[want-1]
	err := chosen.Campaign()
	for err == nil {
		soon, stop := context.WithTimeout(ctx, time.Second)
		s, late := chosen.Wait(soon, func(s raft.Status) bool { return s.Leader != 0 })
		stop()
		switch {
		case s.Leads:
			return nil
		case late == nil && s.Leader != 0:
			late = members[s.Leader-1].Transfer(ctx, want)
		case chosen.Err() != nil:
			return chosen.Err()
		default:
			err = chosen.Campaign()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for node %d to lead group %d: %w", want, chosen.ID(), errors.Join(late, context.Cause(ctx)))
		}
	}
	return err
}

// discard is a state machine that remembers its position alone, which counts as durable, as that of a database on disk
// would: so the log is cut.
type discard struct {
	mu sync.Mutex
	at raft.Position
}

func (d *discard) Applied() (raft.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, nil
}

func (d *discard) Apply(ctx context.Context, entries []raft.Entry) ([]any, error) {
	return make([]any, len(entries)), d.Restore(ctx, entries[len(entries)-1].Position, nil)
}

func (d *discard) Snapshot(context.Context) (raft.Position, io.ReadSeekCloser, error) {
	at, err := d.Applied()
	return at, nothing{strings.NewReader("")}, err
}

func (d *discard) Restore(_ context.Context, at raft.Position, _ io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	return nil
}

// nothing is an empty snapshot.
type nothing struct{ io.ReadSeeker }

func (nothing) Close() error { return nil }

// startHashicorp starts three of the peer's nodes, each log behind the cache that its makers put there.
func startHashicorp(tune func(*hashicorp.Config)) func(context.Context, string) (*replicas, error) {
	return func(ctx context.Context, dir string) (_ *replicas, err error) {
		var nodes []*peerNode
		shut := func() (err error) {
			for _, n := range nodes {
				err = errors.Join(err, n.stop())
			}
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, shut())
			}
		}()
		var servers []hashicorp.Server
		for id := 1; id <= replicaCount; id++ {
			n, err := startPeerNode(id, filepath.Join(dir, strconv.Itoa(id)), tune)
			if err != nil {
				return nil, fmt.Errorf("starting node %d: %w", id, err)
			}
			nodes = append(nodes, n)
			servers = append(servers, hashicorp.Server{ID: hashicorp.ServerID(strconv.Itoa(id)), Address: n.transport.LocalAddr()})
		}
		if err := nodes[0].raft.BootstrapCluster(hashicorp.Configuration{Servers: servers}).Error(); err != nil {
			return nil, fmt.Errorf("bootstrapping: %w", err)
		}
		leader, err := peerLeader(ctx, nodes)
		if err != nil {
			return nil, err
		}
		return &replicas{close: shut, commit: func(_ int, command []byte) error {
			return leader.Apply(command, 0).Error()
		}}, nil
	}
}

// peerNode is one of the peer's.
type peerNode struct {
	raft      *hashicorp.Raft
	wal       *raftwal.WAL
	transport *hashicorp.NetworkTransport
}

func startPeerNode(id int, dir string, tune func(*hashicorp.Config)) (_ *peerNode, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	n := &peerNode{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	if n.wal, err = raftwal.Open(dir); err != nil {
		return nil, err
	}
	cached, err := hashicorp.NewLogCache(512, n.wal)
	if err != nil {
		return nil, err
	}
	if n.transport, err = hashicorp.NewTCPTransport("127.0.0.1:0", nil, replicaCount, 10*time.Second, io.Discard); err != nil {
		return nil, err
	}
	c := hashicorp.DefaultConfig()
	c.LocalID, c.LogOutput, c.LogLevel = hashicorp.ServerID(strconv.Itoa(id)), io.Discard, "ERROR"
	tune(c)
	n.raft, err = hashicorp.NewRaft(c, peerDiscard{}, cached, n.wal, hashicorp.NewDiscardSnapshotStore(), n.transport)
	return n, err
}

func (n *peerNode) stop() (err error) {
	if n.raft != nil {
		err = n.raft.Shutdown().Error()
	}
	if n.transport != nil {
		err = errors.Join(err, n.transport.Close())
	}
	if n.wal != nil {
		err = errors.Join(err, n.wal.Close())
	}
	return err
}

// peerLeader waits until one of the nodes leads.
func peerLeader(ctx context.Context, nodes []*peerNode) (*hashicorp.Raft, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		for _, n := range nodes {
			if n.raft.State() == hashicorp.Leader && n.raft.VerifyLeader().Error() == nil {
				return n.raft, nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a leader: %w", context.Cause(ctx))
		}
	}
}

// peerDiscard is the peer's state machine that has nothing to remember; it takes batches, which is the quicker way.
type peerDiscard struct{}

func (peerDiscard) Apply(*hashicorp.Log) any                 { return nil }
func (peerDiscard) ApplyBatch(logs []*hashicorp.Log) []any   { return make([]any, len(logs)) }
func (peerDiscard) Snapshot() (hashicorp.FSMSnapshot, error) { return peerDiscard{}, nil }
func (peerDiscard) Restore(r io.ReadCloser) error            { return r.Close() }
func (peerDiscard) Persist(s hashicorp.SnapshotSink) error   { return s.Close() }
func (peerDiscard) Release()                                 {}
