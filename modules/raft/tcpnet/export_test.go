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
