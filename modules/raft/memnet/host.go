package memnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

var _ raft.Transport = (*Host)(nil)

// Host is the transport of one host.
type Host struct {
	n       *Network
	id      raft.NodeID
	address string

	// ctx ends with Close, which waits for wg: everything that may call the handler.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu guards what follows. It is taken before the network's.
	mu      sync.Mutex
	handler raft.Handler
	closed  bool
	peers   map[raft.NodeID]string
	lines   map[origin]*line
	tells   []raft.NodeID // peers that the handler is still to be told of
	telling bool          // a goroutine does
}

// origin tells the lines of a host apart.
type origin struct {
	from  raft.NodeID
	beats bool
}

// line is what is on its way from one host, in one class. It has a goroutine while it isn't empty.
type line struct {
	queue   []item
	bytes   int
	full    bool // the sender was told that it is
	running bool
}

type item struct {
	m        raft.Message
	released bool // no fault applies
}

func newHost(n *Network, id raft.NodeID, address string) *Host {
	h := &Host{n: n, id: id, address: address, peers: map[raft.NodeID]string{}, lines: map[origin]*line{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Address is where other hosts find this one.
func (h *Host) Address() string { return h.address }

// Start makes the host one that can be reached.
func (h *Host) Start(handler raft.Handler) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if h.handler != nil {
		return errors.New("memnet: host was started before")
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.n.hosts[h.address] != nil {
		return fmt.Errorf("memnet: there is a host at %s already", h.address)
	}
	h.n.hosts[h.address] = h
	h.handler = handler
	return nil
}

// SetPeer tells where a host is; "" forgets it.
func (h *Host) SetPeer(id raft.NodeID, address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers[id] = address; address == "" {
		delete(h.peers, id)
	}
}

// Close makes the host one that can't be reached. When it returns, its handler isn't called any more.
func (h *Host) Close() error {
	h.mu.Lock()
	h.n.mu.Lock()
	if h.n.hosts[h.address] == h {
		delete(h.n.hosts, h.address)
	}
	h.n.mu.Unlock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.wg.Wait()
	return nil
}

// find returns the host that a peer's address leads to, nil if that isn't the peer.
func (h *Host) find(to raft.NodeID) (host *Host, known bool) {
	h.mu.Lock()
	address, known := h.peers[to]
	usable := known && h.handler != nil && !h.closed
	h.mu.Unlock()
	if !usable {
		return nil, known
	}
	if host = h.n.at(address); host != nil && host.id != to {
		host = nil
	}
	return host, known
}

func beats(m raft.Message) bool {
	k := m.GetType()
	return k == pb.MsgHeartbeat || k == pb.MsgHeartbeatResp
}

// Send copies messages to their receiver's queue.
func (h *Host) Send(to raft.NodeID, messages []raft.Message) {
	host, known := h.find(to)
	if !known {
		return
	}
	if open, _ := h.n.open(pair{h.id, to}); host == nil || !open {
		h.tell(to)
		return
	}
	items := make([]item, len(messages))
	for i, m := range messages {
		items[i].m = raft.Message{Group: m.Group, Message: proto.Clone(m.Message).(*pb.Message)}
	}
	if !host.enqueue(h.id, items) {
		h.tell(to)
	}
}

func sizeOf(m raft.Message) int {
	n := 128 + len(m.Context) + len(m.GetSnapshot().GetData())
	for _, e := range m.Entries {
		n += 32 + len(e.Data)
	}
	return n
}

// enqueue takes messages that come to this host. It returns false if the sender has to be told that some were lost.
func (h *Host) enqueue(from raft.NodeID, items []item) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	good := true
	for _, i := range items {
		key := origin{from, beats(i.m)}
		l := h.lines[key]
		if l == nil {
			l = &line{}
			h.lines[key] = l
		}
		size := sizeOf(i.m)
		if l.bytes+size > h.n.o.QueueBytes && len(l.queue) > 0 {
			good = good && l.full
			l.full = true
			continue
		}
		l.queue = append(l.queue, i)
		l.bytes += size
	}
	// Only now: what was sent together is delivered together.
	for _, b := range [...]bool{true, false} {
		if l := h.lines[origin{from, b}]; l != nil && len(l.queue) > 0 && !l.running {
			l.running = true
			h.wg.Go(func() { h.deliver(from, l) })
		}
	}
	return good
}

// deliver empties a line.
func (h *Host) deliver(from raft.NodeID, l *line) {
	for {
		h.mu.Lock()
		items := l.queue
		l.queue, l.bytes, l.full = nil, 0, false
		if len(items) == 0 || h.closed {
			l.running = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		if open, _ := h.n.open(pair{from, h.id}); !open {
			continue
		}
		var list []raft.Message
		for _, i := range items {
			times := 1
			if !i.released {
				times = h.n.decide(from, h, i.m)
			}
			for n := range times {
				m := i.m
				if n > 0 {
					m.Message = proto.Clone(m.Message).(*pb.Message)
				}
				list = append(list, m)
			}
		}
		if len(list) > 0 {
			h.handler.Receive(from, list)
		}
	}
}

// tell lets the handler know that a peer can't be reached: not within Send, whose caller may hold what the handler needs.
func (h *Host) tell(to raft.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.handler == nil {
		return
	}
	h.tells = append(h.tells, to)
	if h.telling {
		return
	}
	h.telling = true
	h.wg.Go(func() {
		for {
			h.mu.Lock()
			list := h.tells
			h.tells = nil
			if len(list) == 0 || h.closed {
				h.telling = false
				h.mu.Unlock()
				return
			}
			h.mu.Unlock()
			told := map[raft.NodeID]bool{}
			for _, id := range list {
				if !told[id] {
					told[id] = true
					h.handler.Unreachable(id)
				}
			}
		}
	})
}

// SendSnapshot sends a snapshot and returns when the receiver has installed it, with the error that it returned if it
// didn't. A break ends it with ErrCut or ErrUnreachable; the next call goes on where it was.
func (h *Host) SendSnapshot(ctx context.Context, to raft.NodeID, m raft.Message, content io.ReadSeeker) error {
	meta := m.GetSnapshot().GetMetadata()
	b := body{to, m.Group, raft.Position{Index: meta.GetIndex(), Term: meta.GetTerm()}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(ErrClosed) })()
	host, _ := h.find(to)
	way := pair{h.id, to}
	open, cuts := h.n.open(way)
	switch {
	case h.ctx.Err() != nil:
		return ErrClosed
	case host == nil || !open:
		return ErrUnreachable
	}
	defer context.AfterFunc(host.ctx, func() { cancel(ErrUnreachable) })()
	p := h.n.partial(b)
	select {
	case p.place <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := h.carry(ctx, way, cuts, p, content); err != nil {
		<-p.place
		return err
	}
	installed := make(chan error, 1)
	m.Message = proto.Clone(m.Message).(*pb.Message)
	if !host.install(h.id, m, p.bytes, func(err error) {
		if host.ctx.Err() == nil {
			h.n.forget(b)
		}
		<-p.place
		installed <- err
	}) {
		<-p.place
		return ErrUnreachable
	}
	select {
	case err := <-installed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// carry moves a body, chunk by chunk, until the receiver has all of it.
func (h *Host) carry(ctx context.Context, way pair, cuts int, p *partial, content io.ReadSeeker) error {
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("memnet: reading the snapshot: %w", err)
	}
	if p.bytes == nil {
		p.bytes = make([]byte, 0, size)
	}
	chunk := make([]byte, 64<<10)
	for at := 0; ; {
		n, err := io.ReadFull(content, chunk)
		// What the receiver has counts only if it is the same: another sender's body may have other bytes.
		if same := p.bytes[at:min(at+n, len(p.bytes))]; !bytes.Equal(same, chunk[:len(same)]) {
			p.bytes, at = p.bytes[:0], 0
			if _, err := content.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("memnet: reading the snapshot: %w", err)
			}
			continue
		} else if more := chunk[len(same):n]; len(more) > 0 {
			open, now := h.n.open(way)
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case !open:
				return ErrUnreachable
			case now != cuts:
				return ErrCut
			}
			p.bytes = append(p.bytes, more...)
			h.n.count(len(more))
		}
		at += n
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			p.bytes = p.bytes[:at]
			return nil
		}
		if err != nil {
			return fmt.Errorf("memnet: reading the snapshot: %w", err)
		}
	}
}

// install hands a complete body to the host's handler. It returns false if the host is closed.
func (h *Host) install(from raft.NodeID, m raft.Message, content []byte, done func(error)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wg.Go(func() { done(h.handler.ReceiveSnapshot(h.ctx, from, m, bytes.NewReader(content))) })
	return true
}
