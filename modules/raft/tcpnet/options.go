package tcpnet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/bop-platform/bop/modules/raft"
)

// These errors are returned by New, Start and SendSnapshot, or told in the log when a peer can't be reached.
var (
	// ErrClosed: the transport was closed.
	ErrClosed = errors.New("tcpnet: transport is closed")
	// ErrPlaintext: the address isn't loopback and there is no TLS. Set Options.TLS, or Options.Insecure.
	ErrPlaintext = errors.New("tcpnet: plaintext beyond loopback: set TLS, or Insecure")
	// ErrUnknownPeer: SetPeer wasn't told where the host is.
	ErrUnknownPeer = errors.New("tcpnet: address of the host isn't known")
	// ErrWrongCluster: the peer belongs to another cluster.
	ErrWrongCluster = errors.New("tcpnet: peer is of another cluster")
	// ErrWrongNode: at the address is another host than the one that was expected there.
	ErrWrongNode = errors.New("tcpnet: another host is at this address")
	// ErrVersion: the peer speaks no version of the protocol that this host speaks.
	ErrVersion = errors.New("tcpnet: no common version of the protocol")
	// ErrNotAllowed: a certificate may not speak for the host that showed it.
	ErrNotAllowed = errors.New("tcpnet: certificate may not speak for this host")
	// ErrProtocol: the peer sent bytes that the protocol doesn't have.
	ErrProtocol = errors.New("tcpnet: peer breaks the protocol")
	// ErrDead: nothing was heard from the peer for Options.DeadAfter.
	ErrDead = errors.New("tcpnet: nothing heard from the peer")
	// ErrBusy: the peer takes as many snapshots as it may already.
	ErrBusy = errors.New("tcpnet: peer takes no further snapshot at present")
	// ErrNoStreams: the host takes no streams.
	ErrNoStreams = errors.New("tcpnet: host takes no streams")
	// ErrFull: the host has as many streams, or connections, as it may. It takes more when some have ended.
	ErrFull = errors.New("tcpnet: host takes no more at present")
	// ErrChanged: the body that the peer has isn't the one that was sent. It is sent again from its start.
	ErrChanged = errors.New("tcpnet: snapshot arrived with other bytes than were sent")
)

// RemoteError is what the receiver of a snapshot answered in place of having installed it.
type RemoteError struct {
	Node raft.NodeID
	Text string
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("tcpnet: host %d didn't install the snapshot: %s", e.Node, e.Text)
}

// Options configure a transport. Node is required; the rest has useful zero values.
type Options struct {
	// Node is this host.
	Node raft.NodeID
	// Cluster is the same on all hosts of a cluster; hosts of other clusters are refused.
	Cluster [16]byte
	// Listen is the address to listen on. Default "127.0.0.1:0".
	Listen string
	// Listener is used in place of Listen. Close closes it.
	Listener net.Listener

	// TLS has this host's certificate and the authorities by which peers are verified (RootCAs; ClientCAs if they differ).
	// Both sides must show a certificate. nil: plaintext, on loopback alone.
	TLS *tls.Config
	// Verify says whether a verified certificate may speak for a host. nil: each may speak for all.
	Verify func(id raft.NodeID, peer tls.ConnectionState) error
	// Insecure allows plaintext beyond loopback.
	Insecure bool

	// QueueBytes bounds what waits for a peer, in each class of messages. Default 64 MiB.
	QueueBytes int
	// MaxMessageBytes bounds a message, about: entries and 32 bytes for each. Longer ones are lost, with an error in the
	// log. It has to be the same on all hosts. Default 64 MiB, at most 1 GiB.
	MaxMessageBytes int
	// MaxConnections bounds the connections that peers have made to this host, streams not counted, and in addition those
	// whose handshake is under way. Default 1024.
	MaxConnections int

	// Accept gets the streams that other members open with Dial, each in a goroutine of its own. It owns them; they are
	// closed when it returns. nil refuses them.
	Accept func(stream net.Conn, from raft.NodeID)
	// AcceptJoin gets the streams of hosts that aren't members yet (the function Dial), whose certificate was verified like
	// that of a member. nil refuses them.
	AcceptJoin func(stream net.Conn, from raft.NodeID)
	// MaxStreams bounds the streams that are taken at the same time: further ones are refused with ErrFull. Default 10,000.
	MaxStreams int

	// DialTimeout bounds connecting and the handshake, on both sides. Default 5 s.
	DialTimeout time.Duration
	// PingEvery is how often an idle connection is probed. Default 3 s.
	PingEvery time.Duration
	// DeadAfter is how long a peer may say nothing and take nothing before its connection is dropped. Default 4 × PingEvery.
	DeadAfter time.Duration
	// MinBackoff and MaxBackoff bound the pause before a peer is dialled again. Defaults 20 ms and 1 s.
	MinBackoff, MaxBackoff time.Duration

	// SpoolDir keeps what has come of snapshots' bodies, so that they can be resumed after a restart too. Default: a folder
	// among the system's temporary files, removed by Close. No other process may use it.
	SpoolDir string
	// SpoolAge is how long a body that nobody goes on with is kept. Default 24 h.
	SpoolAge time.Duration
	// SnapshotBytesPerSecond limits what all snapshots together may send. Default: no limit.
	SnapshotBytesPerSecond int64
	// MaxSnapshots bounds the snapshots that are received at the same time. Default 4.
	MaxSnapshots int
	// MaxSnapshotBytes bounds the body of a snapshot that is received. Default: no limit.
	MaxSnapshotBytes int64
	// SnapshotAttempts is how often in a row a snapshot is tried without a byte of progress. Default 5.
	SnapshotAttempts int

	// Logger is told of peers that come and go. Default slog.Default().
	Logger *slog.Logger
	// MeterProvider defaults to the global one.
	MeterProvider metric.MeterProvider
}

func orElse[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (o *Options) defaults() error {
	if o.Node == 0 {
		return errors.New("tcpnet: Options.Node is not set")
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	orElse(&o.QueueBytes, 64<<20)
	orElse(&o.MaxMessageBytes, 64<<20)
	o.MaxMessageBytes = min(max(o.MaxMessageBytes, 4<<10), 1<<30)
	orElse(&o.MaxConnections, 1024)
	orElse(&o.MaxStreams, 10_000)
	orElse(&o.DialTimeout, 5*time.Second)
	orElse(&o.PingEvery, 3*time.Second)
	orElse(&o.DeadAfter, 4*o.PingEvery)
	orElse(&o.MinBackoff, 20*time.Millisecond)
	orElse(&o.MaxBackoff, time.Second)
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	orElse(&o.SpoolAge, 24*time.Hour)
	orElse(&o.MaxSnapshots, 4)
	orElse(&o.SnapshotAttempts, 5)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("node", uint64(o.Node))
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return nil
}
