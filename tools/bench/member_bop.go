package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/boltlog"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/seglog"
)

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

// firstLeads has one host lead all groups, allLead has each lead a third of them.
func firstLeads(raft.GroupID) raft.NodeID { return 1 }

func allLead(g raft.GroupID) raft.NodeID { return raft.NodeID(1 + uint64(g)%replicaCount) }

// hostMember is one of bop's hosts, with its members of all groups.
type hostMember struct {
	host   *raft.Host
	groups []*raft.Group
	leader func(raft.GroupID) raft.NodeID
	leads  []*raft.Group // those that this host is meant to lead
}

func startHost(kind logKind, groups int, leader func(raft.GroupID) raft.NodeID) func(seat) (member, error) {
	return func(s seat) (_ member, err error) {
		store, err := kind.open(s.dir)
		if err != nil {
			return nil, fmt.Errorf("opening %s: %w", kind.name, err)
		}
		id, quiet := raft.NodeID(s.id), slog.New(slog.DiscardHandler)
		transport, err := tcpnet.New(tcpnet.Options{Node: id, Listen: s.address(), SpoolDir: filepath.Join(s.dir, "spool"), Logger: quiet})
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		m := &hostMember{leader: leader}
		if m.host, err = raft.NewHost(raft.Options{ID: id, Log: store, Transport: transport, Logger: quiet}); err != nil {
			return nil, errors.Join(err, transport.Close(), store.Close())
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, m.close())
			}
		}()
		for i, address := range s.addresses {
			if i != s.id-1 {
				m.host.SetPeer(raft.NodeID(i+1), address)
			}
		}
		for n := range groups {
			g := raft.GroupID(n + 1)
			if err := m.host.Bootstrap(g, 1, 2, replicaCount); err != nil {
				return nil, fmt.Errorf("bootstrapping group %d: %w", g, err)
			}
			group, err := m.host.Open(g, &discard{})
			if err != nil {
				return nil, fmt.Errorf("opening group %d: %w", g, err)
			}
			m.groups = append(m.groups, group)
			if leader(g) == id {
				m.leads = append(m.leads, group)
			}
		}
		return m, nil
	}
}

// settle is called on all hosts: each hands over what another is meant to lead.
func (m *hostMember) settle(ctx context.Context) error {
	for _, g := range m.groups {
		want := m.leader(g.ID())
		for {
			s, err := g.Wait(ctx, func(s raft.Status) bool { return s.Leader == want || s.Leads })
			if err == nil && s.Leads && s.Node != want {
				err = g.Transfer(ctx, want)
			}
			if g.Status().Leader == want {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("waiting for node %d to lead group %d: %w", want, g.ID(), errors.Join(err, context.Cause(ctx)))
			}
		}
	}
	return nil
}

func (m *hostMember) commit(ctx context.Context, proposer int, command []byte) error {
	if len(m.leads) == 0 {
		return fmt.Errorf("this host leads no group: %w", raft.ErrNotLeader)
	}
	_, _, err := m.leads[proposer%len(m.leads)].Propose(ctx, command)
	return err
}

func (m *hostMember) read(ctx context.Context, reader int) error {
	if len(m.leads) == 0 {
		return fmt.Errorf("this host leads no group: %w", raft.ErrNotLeader)
	}
	_, err := m.leads[reader%len(m.leads)].ReadIndex(ctx)
	return err
}

func (m *hostMember) close() error { return m.host.Close() }

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
