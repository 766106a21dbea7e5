package tcpnet

import (
	"context"
	"sync"

	"github.com/bop-platform/bop/modules/raft"
)

// teller tells the handler which peers can't be reached. It has a goroutine of its own: the handler isn't called by who
// sends, and a lane whose peer takes nothing has no time.
type teller struct {
	mu    sync.Mutex
	peers map[raft.NodeID]bool
	wake  chan struct{}
}

func newTeller() *teller {
	return &teller{peers: map[raft.NodeID]bool{}, wake: make(chan struct{}, 1)}
}

func (t *teller) tell(id raft.NodeID) {
	t.mu.Lock()
	t.peers[id] = true
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *teller) run(ctx context.Context, h raft.Handler) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		t.mu.Lock()
		peers := t.peers
		t.peers = map[raft.NodeID]bool{}
		t.mu.Unlock()
		for id := range peers {
			if ctx.Err() == nil {
				h.Unreachable(id)
			}
		}
	}
}
