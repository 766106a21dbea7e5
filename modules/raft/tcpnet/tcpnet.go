package tcpnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"go.opentelemetry.io/otel/metric"

	"github.com/bop-platform/bop/modules/raft"
)

var _ raft.Transport = (*Transport)(nil)

// Transport carries the messages of one host.
type Transport struct {
	o              Options
	client, server *tls.Config
	handler        raft.Handler
	corked         atomic.Int32 // how often Cork was called, and Uncork wasn't
	counters       counters
	sending        transfers // of snapshots, to peers
	taking         transfers // from peers
	observer       metric.Registration
	unreachable    *teller
	limiter        *limiter
	spool          *spool
	receiving      chan struct{} // a place for each snapshot that may be received
	connected      chan struct{} // a place for each connection that peers may have made
	streaming      chan struct{} // a place for each stream that they may have opened

	// ctx ends with Close, which waits for wg: everything that may call the handler or has a file open.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu guards what follows.
	mu       sync.RWMutex
	listener net.Listener
	peers    map[raft.NodeID]*peer
	incoming map[origin]*link
	closed   bool
}

// peer is a host that this one sends to.
type peer struct {
	address string
	lanes   [2]*lane // Messages, Heartbeats
}

// origin tells incoming connections apart of which there is one at a time.
type origin struct {
	from  raft.NodeID
	class Class
}

// New checks the options. Start is what listens.
func New(o Options) (*Transport, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	t := &Transport{o: o, peers: map[raft.NodeID]*peer{}, incoming: map[origin]*link{}, receiving: make(chan struct{}, o.MaxSnapshots),
		connected: make(chan struct{}, o.MaxConnections), streaming: make(chan struct{}, o.MaxStreams)}
	var err error
	if t.client, t.server, err = o.configs(); err != nil {
		return nil, err
	}
	t.limiter = newLimiter(o.SnapshotBytesPerSecond)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Start listens and begins to deliver to h. It is called once.
func (t *Transport) Start(h raft.Handler) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.handler != nil {
		return errors.New("tcpnet: transport was started before")
	}
	l := t.o.Listener
	if l == nil {
		if l, err = net.Listen("tcp", t.o.Listen); err != nil {
			return fmt.Errorf("tcpnet: listening: %w", err)
		}
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if t.server == nil && !t.o.Insecure && !local(l.Addr()) {
		return fmt.Errorf("%w: listening on %v", ErrPlaintext, l.Addr())
	}
	if t.spool, err = openSpool(t.o.SpoolDir, t.o.SpoolAge); err != nil {
		return fmt.Errorf("tcpnet: folder for snapshots: %w", err)
	}
	if t.observer, err = t.observe(); err != nil {
		t.spool.close()
		return fmt.Errorf("tcpnet: metrics: %w", err)
	}
	t.listener, t.handler = l, h
	t.unreachable = newTeller()
	t.wg.Go(func() { t.unreachable.run(t.ctx, h) })
	t.wg.Go(func() { t.listen(l) })
	return nil
}

// Addr is where the transport listens, nil before Start.
func (t *Transport) Addr() net.Addr {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.listener == nil {
		return nil
	}
	return t.listener.Addr()
}

func (t *Transport) listen(l net.Listener) {
	handshakes := make(chan struct{}, t.o.MaxConnections)
	for {
		conn, err := l.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Most often there are no file descriptors left; connections that end give some back.
			t.o.Logger.Warn("raft: accepting a connection", "error", err)
			rest := time.NewTimer(afterRefusal)
			select {
			case <-t.ctx.Done():
			case <-rest.C:
			}
			rest.Stop()
			continue
		}
		select {
		case handshakes <- struct{}{}:
			t.wg.Go(func() { t.accept(conn, func() { <-handshakes }) })
		default: // whoever is behind it hasn't said what it wants
			conn.Close()
			t.o.Logger.Warn("raft: too many connections at once", "remote", conn.RemoteAddr().String(), "limit", t.o.MaxConnections)
		}
	}
}

// SetPeer tells where a host is; "" forgets it. Connections to an older address are dropped.
func (t *Transport) SetPeer(id raft.NodeID, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	switch {
	case t.closed || t.handler == nil || id == t.o.Node:
	case address == "" && p != nil:
		delete(t.peers, id)
		for _, l := range p.lanes {
			l.cancel()
		}
	case address == "":
	case p == nil:
		p = &peer{address: address}
		for c := range p.lanes {
			l := newLane(t, id, Class(c), address)
			p.lanes[c] = l
			t.wg.Go(l.run)
		}
		t.peers[id] = p
	case p.address != address:
		p.address = address
		for _, l := range p.lanes {
			l.move(address)
		}
	}
}

// Send hands messages over without waiting.
func (t *Transport) Send(to raft.NodeID, messages []raft.Message) {
	t.mu.RLock()
	p := t.peers[to]
	t.mu.RUnlock()
	if p == nil {
		t.counters.dropped[UnknownPeer].Add(uint64(len(messages)))
		return
	}
	// One pass for each class, so that what was sent together is queued together.
	beats := 0
	for _, m := range messages {
		if classOf(m) == Heartbeats {
			beats++
		}
	}
	if beats > 0 {
		p.lanes[Heartbeats].send(messages, beats)
	}
	if beats < len(messages) {
		p.lanes[Messages].send(messages, len(messages)-beats)
	}
}

var _ raft.Corked = (*Transport)(nil)

// Cork implements raft.Corked.
func (t *Transport) Cork() { t.corked.Add(1) }

// Uncork implements raft.Corked.
func (t *Transport) Uncork() {
	if t.corked.Add(-1) > 0 {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, p := range t.peers {
		if l := p.lanes[Messages]; l.waits() {
			l.poke()
		}
	}
}

func classOf(m raft.Message) Class {
	if k := m.GetType(); k == pb.MsgHeartbeat || k == pb.MsgHeartbeatResp {
		return Heartbeats
	}
	return Messages
}

// receiveMessages delivers what comes on a connection until it ends.
func (t *Transport) receiveMessages(l *link, from raft.NodeID, c Class) error {
	// The newest connection of a peer is the one that it uses. What is left on the older must not come after it.
	key := origin{from, c}
	t.mu.Lock()
	older := t.incoming[key]
	t.incoming[key] = l
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		if t.incoming[key] == l {
			delete(t.incoming, key)
		}
		t.mu.Unlock()
		close(l.ended)
	}()
	if older != nil {
		older.close()
		<-older.ended
	}
	for {
		k, p, err := l.frame.next()
		if err != nil {
			select {
			case <-l.gone:
				return nil // closed by this side
			default:
				return err
			}
		}
		switch k {
		case kindPing:
			if err := l.write(pongFrame); err != nil {
				return err
			}
		case kindMessages:
			list, err := decodeMessages(p)
			if err != nil {
				return err
			}
			// A newer connection may be waiting, or Close: neither wants to hear more from this one.
			select {
			case <-l.gone:
				return nil
			default:
			}
			t.counters.received[c].Add(uint64(len(list)))
			t.handler.Receive(from, list)
		default:
			return fmt.Errorf("%w: frame of kind %d among messages", ErrProtocol, k)
		}
	}
}

// Close drops all connections and what waits in queues. When it returns, the handler isn't called any more. It must not
// be called by the handler.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	listener, started := t.listener, t.handler != nil
	t.mu.Unlock()
	t.cancel()
	var err error
	if started {
		err = listener.Close()
	} else if t.o.Listener != nil {
		err = t.o.Listener.Close()
	}
	t.wg.Wait()
	if !started {
		return err
	}
	return errors.Join(err, t.observer.Unregister(), t.spool.close())
}
