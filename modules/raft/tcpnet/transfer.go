package tcpnet

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bop-platform/bop/modules/raft"
)

// Transfer is a snapshot that is on its way.
type Transfer struct {
	Peer     raft.NodeID
	Incoming bool // from the peer
	Group    raft.GroupID
	Index    uint64 // that the snapshot stands for
	Done     int64  // bytes of the body that the receiver has, about
	Total    int64  // bytes of the body; when it has all of them it is being installed
	Resumed  int64  // bytes that it had of an earlier attempt when this one began
}

// SnapshotSums are of snapshots that went in one direction.
type SnapshotSums struct {
	Bytes     uint64 // of bodies
	Installed uint64
	Failed    uint64 // sent: it was given up; received: the connection ended, or the state machine didn't take it
	Resumed   uint64 // times that a body went on where it was cut off
}

// transfers are the snapshots that are on their way in one direction, and the sums of those that were.
type transfers struct {
	bytes, installed, failed, resumed atomic.Uint64

	mu   sync.Mutex
	open map[*transfer]struct{}
}

// transfer is one of them.
type transfer struct {
	sums          *transfers
	fixed         Transfer // what doesn't change
	done, resumed atomic.Int64
}

func (t *transfers) begin(fixed Transfer) *transfer {
	x := &transfer{sums: t, fixed: fixed}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[*transfer]struct{}{}
	}
	t.open[x] = struct{}{}
	return x
}

// from notes where an attempt begins.
func (x *transfer) from(at int64) {
	x.done.Store(at)
	x.resumed.Store(at)
	if at > 0 {
		x.sums.resumed.Add(1)
	}
}

// moved notes bytes of the body.
func (x *transfer) moved(n int) {
	x.done.Add(int64(n))
	x.sums.bytes.Add(uint64(n))
}

// end is called once.
func (x *transfer) end(installed bool) {
	if installed {
		x.sums.installed.Add(1)
	} else {
		x.sums.failed.Add(1)
	}
	x.sums.mu.Lock()
	defer x.sums.mu.Unlock()
	delete(x.sums.open, x)
}

func (t *transfers) sum() SnapshotSums {
	return SnapshotSums{t.bytes.Load(), t.installed.Load(), t.failed.Load(), t.resumed.Load()}
}

// list returns those that are under way, by peer and group.
func (t *transfers) list() []Transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Transfer
	for x := range t.open {
		f := x.fixed
		f.Done, f.Resumed = x.done.Load(), x.resumed.Load()
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Transfer) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Index, b.Index))
	})
	return list
}
