package raft_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memlog"
	"github.com/bop-platform/bop/modules/raft/memnet"
)

// counter is a state machine in memory: it counts the bytes of its commands.
type counter struct{ total int }

func (c *counter) Applied() (raft.Position, error) { return raft.Position{}, nil }

func (c *counter) Apply(_ context.Context, entries []raft.Entry) (results []any, err error) {
	for _, e := range entries {
		c.total += len(e.Data)
		results = append(results, c.total)
	}
	return results, nil
}

func (c *counter) Snapshot(context.Context) (raft.Position, io.ReadSeekCloser, error) {
	return raft.Position{}, struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(fmt.Append(nil, c.total)), io.NopCloser(nil)}, nil
}

func (c *counter) Restore(_ context.Context, _ raft.Position, body io.Reader) error {
	_, err := fmt.Fscan(body, &c.total)
	return err
}

func Example() {
	// Three hosts in one process; boltlog and tcpnet are for machines.
	network := memnet.New(memnet.Options{})
	var groups []*raft.Group
	for id := raft.NodeID(1); id <= 3; id++ {
		transport := network.Host(id)
		for other := raft.NodeID(1); other <= 3; other++ {
			if other != id {
				transport.SetPeer(other, memnet.Address(other))
			}
		}
		host, err := raft.NewHost(raft.Options{ID: id, Log: memlog.NewMemory(), Transport: transport, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			log.Fatal(err)
		}
		defer host.Close()
		if err := host.Bootstrap(1, 1, 2, 3); err != nil {
			log.Fatal(err)
		}
		g, err := host.Open(1, &counter{})
		if err != nil {
			log.Fatal(err)
		}
		groups = append(groups, g)
	}

	ctx := context.Background()
	s, err := groups[0].Wait(ctx, func(s raft.Status) bool { return s.Leader != 0 })
	if err != nil {
		log.Fatal(err)
	}
	leader := groups[s.Leader-1]
	_, result, err := leader.Propose(ctx, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("total:", result)
	// Output: total: 5
}
