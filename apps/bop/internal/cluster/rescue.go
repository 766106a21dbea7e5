package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite/replica"
)

// Rescued is what Rescue has done.
type Rescued struct {
	Node  string   `json:"node"`
	Index uint64   `json:"index"` // up to which the log counts as committed
	Lost  []string `json:"lost"`  // the nodes that the cluster had besides, as far as the folder knows
}

// Rescue makes the data folder of a node that isn't running a cluster of its own, with an identity that keeps the nodes of
// the old one away.
func Rescue(ctx context.Context, dir string, log *slog.Logger) (*Rescued, error) {
	id, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, fmt.Errorf("%s is no data folder of a server that was in a cluster", dir)
	}
	lock, err := fsys.OS.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: stop the server first: %w", dir, err)
	}
	defer lock.Close()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	defer system.Shutdown()
	at, err := replica.Rescue(ctx, replica.Options{Dir: dir, Node: NodeID(id.Node), System: system, Logger: log})
	if err != nil {
		return nil, err
	}
	out := &Rescued{Node: id.Node, Index: at.Index}
	for name := range id.Peers {
		out.Lost = append(out.Lost, name)
	}
	for _, name := range id.Voters {
		if _, twice := id.Peers[name]; name != id.Node && !twice {
			out.Lost = append(out.Lost, name)
		}
	}
	slices.Sort(out.Lost)
	fresh := alone(id.Node)
	fresh.Rescued = true
	if err := fresh.write(dir); err != nil {
		return nil, fmt.Errorf("writing %s: %w", identityFile, err)
	}
	return out, nil
}

// forgetOthers takes the nodes of the cluster that this one was rescued from out of the system database.
func (c *Cluster) forgetOthers() error {
	for name := range c.nodes {
		if name == c.o.Node {
			continue
		}
		if err := c.host.Put(c.ctx, nodesSpace, name, nil); err != nil {
			return err
		}
	}
	c.id.Rescued, c.id.Peers = false, nil
	if err := c.id.write(c.o.Dir); err != nil {
		return fmt.Errorf("writing %s: %w", identityFile, err)
	}
	return nil
}
