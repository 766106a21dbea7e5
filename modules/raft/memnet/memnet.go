// Package memnet is a network within a process, for tests of what uses a raft.Transport: it delivers, and is told what
// to do wrong.
//
//	net := memnet.New(memnet.Options{})
//	a, b := net.Host(1), net.Host(2)
//	a.Start(handlerA); b.Start(handlerB)
//	a.SetPeer(2, memnet.Address(2))
//	net.Fault(func(from, to raft.NodeID, m raft.Message) memnet.Action { … })
//
// # Order
//
// Messages between two hosts come in the order of Send, heartbeats and their answers among themselves, and all others
// among themselves, as over TCP. Messages are copied on the way: nothing is shared between hosts.
//
// # Faults
//
// A function decides about each message when it is delivered; Partition cuts one direction between two hosts. Cut breaks
// the snapshots that are being sent between two hosts, once. A host that is closed and made again has the same address,
// and the bodies that it had received in part.
//
// A host has goroutines only while something is on its way to it; Close waits for them.
package memnet

import (
	"errors"
	"fmt"
	"sync"

	"github.com/bop-platform/bop/modules/raft"
)

// These errors are returned by SendSnapshot.
var (
	// ErrUnreachable: there is no such host, or a partition before it.
	ErrUnreachable = errors.New("memnet: host can't be reached")
	// ErrCut: Cut broke the connection. What the receiver has is kept.
	ErrCut = errors.New("memnet: connection was cut")
	// ErrClosed: this host was closed.
	ErrClosed = errors.New("memnet: host is closed")
)

// Action is what becomes of a message.
type Action uint8

// The actions.
const (
	Deliver   Action = iota
	Drop             // lose it
	Duplicate        // deliver it twice
	Hold             // keep it until Release
)

// Fault decides about a message. It may be called by several goroutines at once, and must not change the message.
type Fault func(from, to raft.NodeID, m raft.Message) Action

// Options configure a network. The zero value is good.
type Options struct {
	// QueueBytes bounds what is on its way between two hosts, in each class of messages. Default 64 MiB.
	QueueBytes int
}

// Network connects hosts.
type Network struct {
	o Options

	mu          sync.Mutex
	hosts       map[string]*Host // by address
	fault       Fault
	partitioned map[pair]bool
	held        []held
	bodies      map[body]*partial // what came of snapshots
	cuts        map[pair]int
	carried     int64
}

// pair is a direction between two hosts.
type pair struct{ from, to raft.NodeID }

// held is a message that waits for Release, and where it was going.
type held struct {
	from    raft.NodeID
	address string
	m       raft.Message
}

// body names a snapshot that a host receives.
type body struct {
	to    raft.NodeID
	group raft.GroupID
	at    raft.Position
}

// partial is what came of a snapshot. One sender at a time has the place.
type partial struct {
	place chan struct{}
	bytes []byte
}

// New makes a network without hosts.
func New(o Options) *Network {
	if o.QueueBytes <= 0 {
		o.QueueBytes = 64 << 20
	}
	return &Network{o: o, hosts: map[string]*Host{}, partitioned: map[pair]bool{}, bodies: map[body]*partial{}, cuts: map[pair]int{}}
}

// Address is where Host puts a host.
func Address(id raft.NodeID) string { return fmt.Sprintf("memory:%d", id) }

// Host makes a host at its usual address. It can be reached from Start to Close.
func (n *Network) Host(id raft.NodeID) *Host { return n.HostAt(id, Address(id)) }

// HostAt makes a host at another address.
func (n *Network) HostAt(id raft.NodeID, address string) *Host { return newHost(n, id, address) }

// Fault sets the function that decides about messages; nil delivers all.
func (n *Network) Fault(f Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = f
}

// Partition cuts, or mends, the way from one host to another. The way back is another one. The sender is told that the
// other is unreachable, as it would find out by itself.
func (n *Network) Partition(from, to raft.NodeID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.partitioned[pair{from, to}] = cut
	if cut {
		n.cuts[pair{from, to}]++
	}
}

// Heal mends all partitions.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.partitioned)
}

// Cut breaks the snapshots that are being sent between two hosts.
func (n *Network) Cut(a, b raft.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pair{a, b}]++
	n.cuts[pair{b, a}]++
}

// Held is how many messages are held.
func (n *Network) Held() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held)
}

// Release sends the held messages on, in their order, behind what was sent meanwhile. The fault isn't asked about them
// again.
func (n *Network) Release() {
	n.mu.Lock()
	list := n.held
	n.held = nil
	n.mu.Unlock()
	for _, h := range list {
		if to := n.at(h.address); to != nil {
			to.enqueue(h.from, []item{{m: h.m, released: true}})
		}
	}
}

// SnapshotBytes is how many bytes of snapshots' bodies have reached a host so far.
func (n *Network) SnapshotBytes() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.carried
}

func (n *Network) at(address string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[address]
}

// decide applies the faults to a message that comes to a host. It returns how many times to deliver it.
func (n *Network) decide(from raft.NodeID, to *Host, m raft.Message) int {
	n.mu.Lock()
	f := n.fault
	n.mu.Unlock()
	if f == nil {
		return 1
	}
	switch f(from, to.id, m) {
	case Drop:
		return 0
	case Duplicate:
		return 2
	case Hold:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.held = append(n.held, held{from, to.address, m})
		return 0
	}
	return 1
}

// open tells whether the way between two hosts is, and how often it was cut.
func (n *Network) open(p pair) (open bool, cuts int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.partitioned[p], n.cuts[p]
}

// partial returns what a host has of a snapshot.
func (n *Network) partial(b body) *partial {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.bodies[b]
	if p == nil {
		p = &partial{place: make(chan struct{}, 1)}
		n.bodies[b] = p
	}
	return p
}

func (n *Network) forget(b body) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.bodies, b)
}

func (n *Network) count(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.carried += int64(bytes)
}
