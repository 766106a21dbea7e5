package tcpnet_test

import (
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/tcpnet"
	"github.com/bop-platform/bop/modules/raft/transporttest"
)

// network is a number of transports on this machine's loopback.
type network struct {
	options func(raft.NodeID) tcpnet.Options

	mu        sync.Mutex
	dir       string
	hosts     map[raft.NodeID]*tcpnet.Transport
	addresses map[raft.NodeID]string
	earlier   uint64 // bytes of bodies that closed transports have received
}

const queue = 4 << 20

// quick are options for a machine of one's own, where waiting is of no use.
func quick(id raft.NodeID) tcpnet.Options {
	return tcpnet.Options{Node: id, QueueBytes: queue, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler)}
}

func newNetwork(t *testing.T, options func(raft.NodeID) tcpnet.Options) *network {
	return &network{options: options, dir: t.TempDir(), hosts: map[raft.NodeID]*tcpnet.Transport{}, addresses: map[raft.NodeID]string{}}
}

func (n *network) Open(t *testing.T, id raft.NodeID) raft.Transport {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.options(id)
	o.SpoolDir = filepath.Join(n.dir, strconv.Itoa(int(id)))
	if old := n.hosts[id]; old != nil {
		n.earlier += old.Stats().SnapshotsReceived.Bytes
		o.Listen = n.addresses[id]
	}
	tr, err := tcpnet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.hosts[id] = tr
	delete(n.addresses, id)
	return tr
}

func (n *network) Address(id raft.NodeID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.hosts[id].Addr(); a != nil {
		n.addresses[id] = a.String()
	}
	return n.addresses[id]
}

func (n *network) Cut(a, b raft.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[a].Cut(b)
	n.hosts[b].Cut(a)
}

func (n *network) SnapshotBytes() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := n.earlier
	for _, h := range n.hosts {
		sum += h.Stats().SnapshotsReceived.Bytes
	}
	return int64(sum)
}

func (n *network) QueueBytes() int { return queue }

func TestTheContractOfTransportsInPlaintext(t *testing.T) {
	transporttest.Run(t, func(t *testing.T) transporttest.Network { return newNetwork(t, quick) })
}
