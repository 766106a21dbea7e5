// Package transporttest has the contract of raft.Transport as tests. Every implementation must pass them.
//
//	func TestContract(t *testing.T) {
//		transporttest.Run(t, func(t *testing.T) transporttest.Network { … })
//	}
package transporttest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// Network is what a test needs of an implementation.
type Network interface {
	// Open makes the transport of a host; the test starts and closes it. A host that is opened again after it was closed
	// has the address that it had, and whatever it keeps of snapshots.
	Open(t *testing.T, id raft.NodeID) raft.Transport
	// Address is where a host is that was started.
	Address(id raft.NodeID) string
	// Cut breaks the connections that there are between two hosts.
	Cut(a, b raft.NodeID)
	// SnapshotBytes is how many bytes of snapshots' bodies hosts have received so far.
	SnapshotBytes() int64
	// QueueBytes is what bounds the queue of a peer, about.
	QueueBytes() int
}

// Make makes a network without hosts.
type Make func(t *testing.T) Network

// patience is how long a test waits for what has to happen: only a failing one waits to its end.
const patience = 60 * time.Second

// Run runs the contract tests.
func Run(t *testing.T, make Make) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, *kit)
	}{
		{"messages come as they were sent, all fields included", fields},
		{"messages come in order and none is lost", order},
		{"messages of 1 MiB come whole", large},
		{"the heartbeats of many groups that are sent at once come at once", coalesced},
		{"messages of many groups come in each group's order, to all hosts", manyGroups},
		{"heartbeats don't wait for entries that nobody takes", overtaking},
		{"a full queue loses messages, tells so, and never waits", overflow},
		{"a host that isn't there is unreachable, and reached when it is", absent},
		{"a host that restarts at its address is reached again", restart},
		{"a host that moved is reached where it is, and nowhere once forgotten", moved},
		{"order holds across connections that break", breaks},
		{"a snapshot of 50 MiB goes on after a cut where it was cut", resumed},
		{"a snapshot goes on after its receiver restarted", resumedAfterRestart},
		{"bodies of two snapshots at one position aren't mixed", notMixed},
		{"an empty snapshot arrives", empty},
		{"what a receiver says of a snapshot reaches the sender", refused},
		{"sending a snapshot ends with its context", cancelled},
		{"closing while everything is sent ends all of it", closing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &kit{t: t, net: make(t), hosts: map[raft.NodeID]*host{}}) })
	}
}

// kit is a test's hosts.
type kit struct {
	t     *testing.T
	net   Network
	hosts map[raft.NodeID]*host
}

// host is a transport with a handler that notes everything.
type host struct {
	raft.Transport
	t  *testing.T
	id raft.NodeID

	mu          sync.Mutex
	changed     chan struct{} // closed at every change
	received    map[raft.NodeID][]raft.Message
	calls       []int // messages in each call of Receive
	unreachable map[raft.NodeID]int
	bodies      []string // hashes of snapshots
	closed      bool     // nothing may come any more
	onReceive   func([]raft.Message)
	onSnapshot  func(context.Context, io.Reader) error
}

// open starts a host that knows the others, and is known by them.
func (k *kit) open(id raft.NodeID) *host {
	k.t.Helper()
	h := k.start(id)
	for other, o := range k.hosts {
		if other != id {
			o.SetPeer(id, k.net.Address(id))
			h.SetPeer(other, k.net.Address(other))
		}
	}
	return h
}

// start starts a host that nobody knows.
func (k *kit) start(id raft.NodeID) *host {
	k.t.Helper()
	h := &host{Transport: k.net.Open(k.t, id), t: k.t, id: id, changed: make(chan struct{}),
		received: map[raft.NodeID][]raft.Message{}, unreachable: map[raft.NodeID]int{}}
	if err := h.Start(h); err != nil {
		k.t.Fatal(err)
	}
	k.hosts[id] = h
	k.t.Cleanup(func() { h.stop() })
	return h
}

// stop closes a host; its handler notices if it is called afterwards.
func (h *host) stop() {
	h.t.Helper()
	done := make(chan error, 1)
	go func() { done <- h.Close() }()
	select {
	case err := <-done:
		if err != nil {
			h.t.Errorf("closing host %d: %v", h.id, err)
		}
	case <-time.After(patience):
		h.t.Fatalf("closing host %d doesn't end", h.id)
	}
	h.change(func() { h.closed = true })
}

// change notes something.
func (h *host) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f(); h.changed != nil {
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

// until waits for a condition, which is asked with the lock held. Meanwhile it does something every now and then.
func (h *host) until(what string, condition func() bool, meanwhile func()) {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		met, changed := condition(), h.changed
		h.mu.Unlock()
		if met {
			return
		}
		var again <-chan time.Time
		if meanwhile != nil {
			meanwhile()
			again = time.After(5 * time.Millisecond)
		}
		select {
		case <-changed:
		case <-again:
		case <-deadline:
			h.t.Fatalf("host %d: %s: it didn't happen", h.id, what)
		}
	}
}

func (h *host) count(from raft.NodeID, n int) func() bool {
	return func() bool { return len(h.received[from]) >= n }
}

func (h *host) from(id raft.NodeID) []raft.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.received[id]
}

// Receive implements raft.Handler.
func (h *host) Receive(from raft.NodeID, messages []raft.Message) {
	h.mu.Lock()
	f := h.onReceive
	h.mu.Unlock()
	if f != nil {
		f(messages)
	}
	h.change(func() {
		if h.closed {
			h.t.Errorf("host %d receives after it was closed", h.id)
		}
		h.received[from] = append(h.received[from], messages...)
		h.calls = append(h.calls, len(messages))
	})
}

// ReceiveSnapshot implements raft.Handler.
func (h *host) ReceiveSnapshot(ctx context.Context, from raft.NodeID, m raft.Message, body io.Reader) error {
	h.mu.Lock()
	f := h.onSnapshot
	h.mu.Unlock()
	if f != nil {
		if err := f(ctx, body); err != nil {
			return err
		}
	}
	sum, err := digest(body)
	h.change(func() {
		if h.closed {
			h.t.Errorf("host %d receives a snapshot after it was closed", h.id)
		}
		h.received[from] = append(h.received[from], m)
		h.bodies = append(h.bodies, sum)
	})
	return err
}

// Unreachable implements raft.Handler.
func (h *host) Unreachable(to raft.NodeID) {
	h.change(func() {
		if h.closed {
			h.t.Errorf("host %d is told of %d after it was closed", h.id, to)
		}
		h.unreachable[to]++
	})
}

// fixed are random bytes that nobody changes.
var fixed = func() []byte {
	b := make([]byte, 1<<20+4096)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

// app is a message with one entry, whose index numbers it.
func app(g raft.GroupID, n uint64, size int) raft.Message {
	data := make([]byte, size)
	copy(data, fixed[n%4096:])
	return raft.Message{Group: g, Message: &pb.Message{Type: pb.MsgApp.Enum(), Term: proto.Uint64(3), LogTerm: proto.Uint64(3), Index: proto.Uint64(n - 1),
		Entries: []*pb.Entry{{Term: proto.Uint64(3), Index: proto.Uint64(n), Data: data}}}}
}

func beat(g raft.GroupID, n uint64) raft.Message {
	return raft.Message{Group: g, Message: &pb.Message{Type: pb.MsgHeartbeat.Enum(), Term: proto.Uint64(3), Commit: proto.Uint64(n)}}
}

func isBeat(m raft.Message) bool { return m.GetType() == pb.MsgHeartbeat }

// same says how two messages differ, "" if they don't.
func same(got, want raft.Message) string {
	if got.Group != want.Group || !proto.Equal(got.Message, want.Message) {
		return fmt.Sprintf("got group %d %.300v, want group %d %.300v", got.Group, got.Message, want.Group, want.Message)
	}
	return ""
}
