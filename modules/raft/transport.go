package raft

import (
	"context"
	"io"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Message is one between members of a group.
type Message struct {
	Group GroupID
	*pb.Message
}

// Corked is a Transport that can hold back what is to be sent, so that what several groups send in a row goes together.
// Heartbeats aren't held back.
type Corked interface {
	Transport
	// Cork holds back until Uncork was called as often.
	Cork()
	Uncork()
}

// Handler takes what a transport receives. Its methods don't block for long.
type Handler interface {
	// Receive takes messages in the order in which they came. The host owns them afterwards.
	Receive(from NodeID, messages []Message)
	// ReceiveSnapshot reads a snapshot's bytes to their end. It returns when the state machine has them, or with the reason
	// why not; the sender gets it as text.
	ReceiveSnapshot(ctx context.Context, from NodeID, m Message, body io.Reader) error
	// Unreachable says that messages to a host are lost at present.
	Unreachable(to NodeID)
}

// Transport carries messages between hosts. Messages may be lost; heartbeats come in their order, and so do all others. Its methods may be called
// concurrently.
type Transport interface {
	// Start begins to deliver to h. It is called once, before everything else.
	Start(h Handler) error
	// Send hands messages over without waiting: what doesn't fit into the peer's queue is lost. The transport owns them
	// afterwards. Heartbeats of all groups that are sent at once travel together, and never behind a queue of entries.
	Send(to NodeID, messages []Message)
	// SendSnapshot sends a snapshot on a connection of its own and returns when the receiver has installed it. body is read
	// from the offset that the receiver already has of the same snapshot (its index and term) after a break.
	SendSnapshot(ctx context.Context, to NodeID, m Message, body io.ReadSeeker) error
	// SetPeer tells where a host is; "" forgets it.
	SetPeer(id NodeID, address string)
	Close() error
}
