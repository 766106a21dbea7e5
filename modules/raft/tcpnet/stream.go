package tcpnet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

// A stream carries bytes of the application between two hosts, over the port, the certificates and the handshake of
// the transport. After the hello it is raw: nothing is framed, nothing is probed but by TCP itself.

// keepAlive is how often TCP probes an idle stream.
const keepAlive = 15 * time.Second

// closeWriter is a connection that can say that nothing more will come.
type closeWriter interface{ CloseWrite() error }

// Stream is a connection of which each direction can be ended by itself.
type Stream struct {
	net.Conn // counts the bytes
	half     closeWriter
	forget   func() bool
}

// CloseWrite tells the other side that nothing more will come.
func (s *Stream) CloseWrite() error {
	if s.half == nil {
		return nil
	}
	return s.half.CloseWrite()
}

// Close closes the stream.
func (s *Stream) Close() error {
	s.forget()
	return s.Conn.Close()
}

func (t *Transport) newStream(conn, raw net.Conn) *Stream {
	if c, ok := raw.(*net.TCPConn); ok {
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 4})
	}
	half, _ := conn.(closeWriter)
	return &Stream{t.counted(conn, Streams), half, context.AfterFunc(t.ctx, func() { raw.Close() })}
}

// Dial opens a stream to another member, whose Options.Accept gets the other end. Errors: ErrUnknownPeer, ErrNoStreams,
// ErrFull, and those of connecting.
func (t *Transport) Dial(ctx context.Context, to raft.NodeID) (net.Conn, error) {
	t.mu.RLock()
	p := t.peers[to]
	address := ""
	if p != nil {
		address = p.address
	}
	t.mu.RUnlock()
	if address == "" {
		return nil, fmt.Errorf("%w: host %d", ErrUnknownPeer, to)
	}
	conn, raw, err := t.connect(ctx, to, address, Streams)
	if err != nil {
		return nil, fmt.Errorf("tcpnet: a stream to host %d at %s: %w", to, address, err)
	}
	t.counters.connects[Streams].Add(1)
	return t.newStream(conn, raw), nil
}

// stream hands a stream to the application.
func (t *Transport) stream(conn, raw net.Conn, h hello) {
	s := t.newStream(conn, raw)
	defer s.Close()
	if h.joins() {
		t.o.AcceptJoin(s, h.from)
	} else {
		t.o.Accept(s, h.from)
	}
}

// joins tells whether a host says hello that knows neither the cluster nor whom it speaks to.
func (h hello) joins() bool { return h.class == Streams && h.to == 0 && h.cluster == [16]byte{} }

// DialOptions are for Dial. Node is required; the others are as in Options.
type DialOptions struct {
	Node        raft.NodeID
	TLS         *tls.Config
	Verify      func(id raft.NodeID, peer tls.ConnectionState) error
	Insecure    bool
	DialTimeout time.Duration
}

// Remote is who answered.
type Remote struct {
	Node    raft.NodeID
	Cluster [16]byte
}

// Dial opens a stream to a member of a cluster of which only an address is known. That member's Options.AcceptJoin gets the
// other end. Errors: ErrNoStreams, ErrFull, ErrVersion, ErrWrongNode, ErrNotAllowed, and those of connecting.
func Dial(ctx context.Context, o DialOptions, address string) (net.Conn, Remote, error) {
	t, err := New(Options{Node: o.Node, TLS: o.TLS, Insecure: o.Insecure, DialTimeout: o.DialTimeout})
	if err != nil {
		return nil, Remote{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.o.DialTimeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, Remote{}, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, remote, err := func() (net.Conn, Remote, error) {
		conn, err := t.secure(ctx, raw, address)
		if err != nil {
			return nil, Remote{}, err
		}
		h, err := exchange(conn, hello{low: lowest, high: highest, class: Streams, from: o.Node})
		if err != nil {
			return nil, Remote{}, err
		}
		remote := Remote{h.from, h.cluster}
		switch err := h.chose(); {
		case err != nil:
			return nil, remote, err
		case h.from == 0 || h.from == o.Node || h.to != o.Node || h.class != Streams:
			return nil, remote, fmt.Errorf("%w: host %d answers to host %d in class %d", ErrWrongNode, h.from, h.to, h.class)
		}
		t.o.Verify = o.Verify
		return conn, remote, t.verify(conn, h.from)
	}()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, remote, fmt.Errorf("tcpnet: a stream to %s: %w", address, err)
	}
	return t.newStream(conn, raw), remote, nil
}
