package replica_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memnet"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/logtest"
	"github.com/bop-platform/bop/modules/sqlite/replica"
)

func system() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// alone opens the log of a server without others.
func alone(t *testing.T, dir string) *replica.Log {
	t.Helper()
	s := system()
	t.Cleanup(s.Shutdown)
	l, err := replica.Open(context.Background(), replica.Options{
		Dir: dir, Node: 1, Transport: memnet.New(memnet.Options{}).Host(1), Voters: []raft.NodeID{1}, System: s, Logger: slog.New(slog.DiscardHandler),
		Parent: aof.Options{SegmentBytes: 1 << 20, Spare: -1}, Segments: aof.Options{SegmentBytes: 256 << 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTheLogKeepsTheContractOfLogs(t *testing.T) {
	logtest.Run(t, func(t *testing.T, dir string) sqlite.Log { return alone(t, dir) })
}
