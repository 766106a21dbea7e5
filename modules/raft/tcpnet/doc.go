// Package tcpnet carries the messages and snapshots of raft groups between hosts over TCP, with mutual TLS.
//
// # Usage
//
//	t, err := tcpnet.New(tcpnet.Options{Node: 1, Cluster: id, Listen: ":7000", TLS: config, Verify: verify})
//	err = t.Start(host) // listens
//	t.SetPeer(2, "10.0.0.2:7000")
//
// # Connections
//
// A host dials each peer twice, when it first has something to say: once for heartbeats and their answers, once for all
// other messages. So a heartbeat waits for no entry. Each snapshot has a third connection of its own while it is sent.
// What the peer has to say comes on connections that the peer dials.
//
// # What is ordered and what may be lost
//
// Messages of a class (heartbeats, or the others) come in the order of Send, those of one Send with the same class
// together unless they are many. Between the classes there is no order. Messages are lost if their queue is full, if
// the peer can't be reached, and if a connection breaks while they are under way; Handler.Unreachable is called then,
// from a goroutine of the transport. A later message never comes before an earlier one of its class: a host that is
// dialled again by the same peer drops the older connection and finishes with it before it reads the newer.
//
// # Snapshots
//
// The receiver keeps what it has of a body in a file and, asked to take the same group, index and term again, says how
// many bytes it has and their SHA-256. The sender goes on from there if its body begins with the same bytes, and from
// the start otherwise: bodies of two senders are never mixed, nor is a file trusted that a crash has torn.
//
// # Trust
//
// With TLS both sides show certificates. Which of them may speak for which NodeID is what Options.Verify decides;
// without it every certificate that the configuration accepts may speak for every host. Plaintext is for loopback,
// unless Options.Insecure.
//
// The bytes are specified in docs/formats/raft-tcp.md of the repository.
package tcpnet
