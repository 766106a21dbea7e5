package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	hashicorp "github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
)

// peerNode is one of the peer's. The first is told who the others are and leads.
type peerNode struct {
	seat
	raft      *hashicorp.Raft
	wal       *raftwal.WAL
	transport *hashicorp.NetworkTransport
}

// startPeer starts a node, its log behind the cache that its makers put there.
func startPeer(tune func(*hashicorp.Config)) func(seat) (member, error) {
	return func(s seat) (_ member, err error) {
		n := &peerNode{seat: s}
		defer func() {
			if err != nil {
				err = errors.Join(err, n.close())
			}
		}()
		if n.wal, err = raftwal.Open(s.dir); err != nil {
			return nil, err
		}
		cached, err := hashicorp.NewLogCache(512, n.wal)
		if err != nil {
			return nil, err
		}
		if n.transport, err = hashicorp.NewTCPTransport(s.address(), nil, replicaCount, 10*time.Second, io.Discard); err != nil {
			return nil, err
		}
		c := hashicorp.DefaultConfig()
		c.LocalID, c.LogOutput, c.LogLevel = hashicorp.ServerID(strconv.Itoa(s.id)), io.Discard, "ERROR"
		tune(c)
		n.raft, err = hashicorp.NewRaft(c, peerDiscard{}, cached, n.wal, hashicorp.NewDiscardSnapshotStore(), n.transport)
		return n, err
	}
}

func (n *peerNode) settle(ctx context.Context) error {
	if n.id != 1 {
		return nil
	}
	var servers []hashicorp.Server
	for i, address := range n.addresses {
		servers = append(servers, hashicorp.Server{ID: hashicorp.ServerID(strconv.Itoa(i + 1)), Address: hashicorp.ServerAddress(address)})
	}
	if err := n.raft.BootstrapCluster(hashicorp.Configuration{Servers: servers}).Error(); err != nil {
		return fmt.Errorf("bootstrapping: %w", err)
	}
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for n.raft.State() != hashicorp.Leader || n.raft.VerifyLeader().Error() != nil {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until node %d leads: %w", n.id, context.Cause(ctx))
		}
	}
	return nil
}

func (n *peerNode) commit(_ context.Context, _ int, command []byte) error {
	return n.raft.Apply(command, 0).Error()
}

func (n *peerNode) close() (err error) {
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

// peerDiscard is the peer's state machine that has nothing to remember; it takes batches, which is the quicker way.
type peerDiscard struct{}

func (peerDiscard) Apply(*hashicorp.Log) any                 { return nil }
func (peerDiscard) ApplyBatch(logs []*hashicorp.Log) []any   { return make([]any, len(logs)) }
func (peerDiscard) Snapshot() (hashicorp.FSMSnapshot, error) { return peerDiscard{}, nil }
func (peerDiscard) Restore(r io.ReadCloser) error            { return r.Close() }
func (peerDiscard) Persist(s hashicorp.SnapshotSink) error   { return s.Close() }
func (peerDiscard) Release()                                 {}
