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
	Streams        int        // that others have opened and that are open now
	Dropped        [4]uint64  // messages, by Loss
	// SnapshotsSent and SnapshotsReceived are of those that have come to an end, but for the bytes; Transfers are under way.
	SnapshotsSent, SnapshotsReceived SnapshotSums
	Transfers                        []Transfer
	Queued                           map[raft.NodeID]int // bytes, about, that wait for each peer
}

// Stats returns the transport's figures.
func (t *Transport) Stats() Stats {
	c := &t.counters
	s := Stats{Queued: map[raft.NodeID]int{}, SnapshotsSent: t.sending.sum(), SnapshotsReceived: t.taking.sum(),
		Transfers: append(t.sending.list(), t.taking.list()...), Streams: len(t.streaming)}
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
	var errs [11]error
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
	streams, err := m.Int64ObservableGauge("bop_raft_transport_streams", metric.WithDescription("Streams that peers have opened."))
	errs[5] = err
	bodies, err := m.Int64ObservableCounter("bop_raft_transport_snapshot", metric.WithUnit("By"),
		metric.WithDescription("Bytes of snapshots' bodies to and from peers."))
	errs[6] = err
	snapshots, err := m.Int64ObservableCounter("bop_raft_transport_snapshots",
		metric.WithDescription("Snapshots to and from peers, by outcome: installed, or failed (of those received also: broken off)."))
	errs[7] = err
	resumed, err := m.Int64ObservableCounter("bop_raft_transport_snapshots_resumed",
		metric.WithDescription("Times that a snapshot went on where it was cut off."))
	errs[8] = err
	done, err := m.Int64ObservableGauge("bop_raft_transport_snapshot_done", metric.WithUnit("By"),
		metric.WithDescription("Bytes that the receiver has of a snapshot under way."))
	errs[9] = err
	total, err := m.Int64ObservableGauge("bop_raft_transport_snapshot_size", metric.WithUnit("By"),
		metric.WithDescription("Bytes of a snapshot under way."))
	errs[10] = err
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
		o.ObserveInt64(streams, int64(s.Streams), with())
		for direction, x := range map[string]SnapshotSums{"in": s.SnapshotsReceived, "out": s.SnapshotsSent} {
			way := attribute.String("direction", direction)
			o.ObserveInt64(bodies, int64(x.Bytes), with(way))
			o.ObserveInt64(snapshots, int64(x.Installed), with(way, attribute.String("outcome", "installed")))
			o.ObserveInt64(snapshots, int64(x.Failed), with(way, attribute.String("outcome", "failed")))
			o.ObserveInt64(resumed, int64(x.Resumed), with(way))
		}
		for _, x := range s.Transfers {
			way := "out"
			if x.Incoming {
				way = "in"
			}
			which := with(attribute.String("direction", way), attribute.Int64("group", int64(x.Group)), peerAttribute(x.Peer))
			o.ObserveInt64(done, x.Done, which)
			o.ObserveInt64(total, x.Total, which)
		}
		for i, n := range s.Dropped {
			o.ObserveInt64(dropped, int64(n), with(attribute.String("reason", Loss(i).String())))
		}
		for id, n := range s.Queued {
			o.ObserveInt64(queue, int64(n), with(peerAttribute(id)))
		}
		return nil
	}, bytes, messages, queue, reconnects, dropped, streams, bodies, snapshots, resumed, done, total)
}

func peerAttribute(id raft.NodeID) attribute.KeyValue {
	return attribute.String("peer", strconv.FormatUint(uint64(id), 10))
}
