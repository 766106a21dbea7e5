package tcpnet

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/bop-platform/bop/modules/raft"
)

// Loss is why a message was lost.
type Loss uint8

// The reasons.
const (
	QueueFull   Loss = iota // the peer's queue had no room
	Broken                  // the peer wasn't reached, or the connection broke before the message was handed to the kernel
	UnknownPeer             // the host's address isn't known, or was forgotten
	TooLarge                // above MaxMessageBytes
	losses
)

func (l Loss) String() string {
	return [...]string{"queue_full", "broken", "unknown_peer", "too_large"}[l]
}

// counters are the sums since New.
type counters struct {
	sentBytes, receivedBytes [classes]atomic.Uint64
	sent, received           [Snapshots]atomic.Uint64
	connects                 [classes]atomic.Uint64
	dropped                  [losses]atomic.Uint64
	bodySent, bodyReceived   atomic.Uint64
}

// Traffic is what went in one direction, or came, in one class.
type Traffic struct {
	Messages uint64 // 0 in Snapshots and Streams
	Bytes    uint64 // on the wire, without what TLS and TCP add
}

// Stats are sums since New, and what waits now.
type Stats struct {
	Sent, Received [4]Traffic // by Class
	Connects       [4]uint64  // connections made by this host, by Class
	Dropped        [4]uint64  // messages, by Loss
	// SnapshotSent and SnapshotReceived are bytes of snapshots' bodies.
	SnapshotSent, SnapshotReceived uint64
	Queued                         map[raft.NodeID]int // bytes, about, that wait for each peer
}

// Stats returns the transport's figures.
func (t *Transport) Stats() Stats {
	c := &t.counters
	s := Stats{Queued: map[raft.NodeID]int{}, SnapshotSent: c.bodySent.Load(), SnapshotReceived: c.bodyReceived.Load()}
	for i := range classes {
		s.Sent[i].Bytes, s.Received[i].Bytes, s.Connects[i] = c.sentBytes[i].Load(), c.receivedBytes[i].Load(), c.connects[i].Load()
		if i < Snapshots {
			s.Sent[i].Messages, s.Received[i].Messages = c.sent[i].Load(), c.received[i].Load()
		}
	}
	for i := range s.Dropped {
		s.Dropped[i] = c.dropped[i].Load()
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, p := range t.peers {
		for _, l := range p.lanes {
			l.mu.Lock()
			s.Queued[id] += l.bytes
			l.mu.Unlock()
		}
	}
	return s
}

// countedConn counts bytes.
type countedConn struct {
	net.Conn
	in, out *atomic.Uint64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(uint64(n))
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(uint64(n))
	return n, err
}

func (t *Transport) counted(conn net.Conn, c Class) net.Conn {
	return countedConn{conn, &t.counters.receivedBytes[c], &t.counters.sentBytes[c]}
}

// observe registers the metrics, which are read from Stats.
func (t *Transport) observe() (metric.Registration, error) {
	m := t.o.MeterProvider.Meter("github.com/bop-platform/bop/modules/raft/tcpnet")
	var errs [5]error
	bytes, err := m.Int64ObservableCounter("bop_raft_transport", metric.WithUnit("By"),
		metric.WithDescription("Bytes to and from peers, without what TLS and TCP add."))
	errs[0] = err
	messages, err := m.Int64ObservableCounter("bop_raft_transport_messages", metric.WithDescription("Messages to and from peers."))
	errs[1] = err
	queue, err := m.Int64ObservableGauge("bop_raft_transport_queue", metric.WithUnit("By"),
		metric.WithDescription("Bytes, about, that wait to be sent to a peer."))
	errs[2] = err
	reconnects, err := m.Int64ObservableCounter("bop_raft_transport_reconnects",
		metric.WithDescription("Connections made to peers, the first ones included."))
	errs[3] = err
	dropped, err := m.Int64ObservableCounter("bop_raft_transport_dropped", metric.WithDescription("Messages lost before they were sent."))
	errs[4] = err
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	node := attribute.Int64("node", int64(t.o.Node))
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(more, node)...))
	}
	return m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := t.Stats()
		for i := range classes {
			class := attribute.String("class", i.String())
			in, out := with(class, attribute.String("direction", "in")), with(class, attribute.String("direction", "out"))
			o.ObserveInt64(bytes, int64(s.Received[i].Bytes), in)
			o.ObserveInt64(bytes, int64(s.Sent[i].Bytes), out)
			o.ObserveInt64(reconnects, int64(s.Connects[i]), with(class))
			if i < Snapshots {
				o.ObserveInt64(messages, int64(s.Received[i].Messages), in)
				o.ObserveInt64(messages, int64(s.Sent[i].Messages), out)
			}
		}
		for i, n := range s.Dropped {
			o.ObserveInt64(dropped, int64(n), with(attribute.String("reason", Loss(i).String())))
		}
		for id, n := range s.Queued {
			o.ObserveInt64(queue, int64(n), with(attribute.String("peer", strconv.FormatUint(uint64(id), 10))))
		}
		return nil
	}, bytes, messages, queue, reconnects, dropped)
}
