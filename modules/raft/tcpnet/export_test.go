package tcpnet

import "github.com/bop-platform/bop/modules/raft"

// Cut breaks the connections that a host has made to this one.
func (t *Transport) Cut(from raft.NodeID) {
	t.mu.RLock()
	for o, l := range t.incoming {
		if o.from == from {
			l.close()
		}
	}
	t.mu.RUnlock()
	t.spool.mu.Lock()
	defer t.spool.mu.Unlock()
	for _, r := range t.spool.active {
		r.link.close()
	}
}

// Incoming is how many connections messages come on.
func (t *Transport) Incoming() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.incoming)
}

// Claims is how many snapshots wait for the outcome of another one.
func (t *Transport) Claims() int {
	t.spool.mu.Lock()
	defer t.spool.mu.Unlock()
	return t.spool.waiting
}

// Hello is what a host says first.
func Hello(from, to raft.NodeID) []byte {
	return hello{low: lowest, high: highest, from: from, to: to}.encode()
}

// Joining is what a host says first that isn't a member.
func Joining(from raft.NodeID) []byte {
	return hello{low: lowest, high: highest, class: Streams, from: from}.encode()
}

// Answer is what a host says that takes a connection.
func Answer(low, high uint16, from, to raft.NodeID, c Class) []byte {
	return hello{low: low, high: high, class: c, from: from, to: to}.encode()
}

// busy tells whether a snapshot is being received.
func (s *spool) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.active) > 0
}
