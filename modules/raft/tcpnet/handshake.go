package tcpnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/bop-platform/bop/modules/raft"
)

const (
	helloSize    = 64
	helloMagic   = "BOPRAFTP"
	lowest       = 1 // versions of the protocol that this package speaks
	highest      = 1
	applProtocol = "bop-raft"
)

// Class is what a connection is for.
type Class uint8

// The classes.
const (
	Messages   Class = iota // all but those below
	Heartbeats              // MsgHeartbeat and MsgHeartbeatResp
	Snapshots
	Streams // of the application: see Transport.Dial
	classes
)

func (c Class) String() string {
	if c >= classes {
		return "unknown"
	}
	return [...]string{"messages", "heartbeats", "snapshots", "streams"}[c]
}

// status is how the accepting side answers a hello.
type status byte

const (
	accepted status = iota
	wrongCluster
	wrongNode
	wrongVersion
	notAllowed
	refused
	full
)

var reasons = [...]error{wrongCluster: ErrWrongCluster, wrongNode: ErrWrongNode, wrongVersion: ErrVersion, notAllowed: ErrNotAllowed,
	refused: ErrNoStreams, full: ErrFull}

// hello is what each side says first. The dialling side names the versions that it speaks; the other one the version
// that it chose, twice, and a status.
type hello struct {
	low, high uint16
	class     Class
	status    status
	cluster   [16]byte
	from, to  raft.NodeID
}

func (h hello) encode() []byte {
	b := make([]byte, helloSize)
	copy(b, helloMagic)
	binary.LittleEndian.PutUint16(b[8:], h.low)
	binary.LittleEndian.PutUint16(b[10:], h.high)
	b[12], b[13] = byte(h.class), byte(h.status)
	copy(b[16:], h.cluster[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(h.from))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.to))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeHello(b []byte) (h hello, err error) {
	if len(b) != helloSize || string(b[:8]) != helloMagic {
		return h, fmt.Errorf("%w: it speaks another protocol", ErrProtocol)
	}
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return h, fmt.Errorf("%w: checksum of its hello is wrong", ErrProtocol)
	}
	h.low, h.high = binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint16(b[10:])
	h.class, h.status = Class(b[12]), status(b[13])
	copy(h.cluster[:], b[16:])
	h.from, h.to = raft.NodeID(binary.LittleEndian.Uint64(b[32:])), raft.NodeID(binary.LittleEndian.Uint64(b[40:]))
	return h, nil
}

func readHello(conn net.Conn) (hello, error) {
	b := make([]byte, helloSize)
	if _, err := io.ReadFull(conn, b); err != nil {
		return hello{}, err
	}
	return decodeHello(b)
}

// local tells whether an address can't be reached from other machines.
func local(a net.Addr) bool {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP.IsLoopback()
	}
	return a.Network() == "unix"
}

// configs returns the configurations of both sides of a connection.
func (o *Options) configs() (client, server *tls.Config, err error) {
	if o.TLS == nil {
		return nil, nil, nil
	}
	c := o.TLS
	if len(c.Certificates) == 0 && c.GetConfigForClient == nil && (c.GetCertificate == nil || c.GetClientCertificate == nil) {
		return nil, nil, errors.New("tcpnet: Options.TLS has no certificate for both sides of a connection")
	}
	client = c.Clone()
	client.MinVersion = max(client.MinVersion, tls.VersionTLS13)
	client.NextProtos = []string{applProtocol}
	server = client.Clone()
	server.ClientAuth = tls.RequireAndVerifyClientCert
	if server.ClientCAs == nil {
		server.ClientCAs = server.RootCAs
	}
	return client, server, nil
}

// secure makes a connection one that may carry messages: by TLS, or because it doesn't leave the machine.
func (t *Transport) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	if t.client == nil {
		if !t.o.Insecure && !local(conn.RemoteAddr()) {
			return nil, fmt.Errorf("%w: %v", ErrPlaintext, conn.RemoteAddr())
		}
		return conn, nil
	}
	var secured *tls.Conn
	if address == "" {
		secured = tls.Server(conn, t.server)
	} else {
		config := t.client
		if config.ServerName == "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			config = config.Clone()
			config.ServerName = host
		}
		secured = tls.Client(conn, config)
	}
	return secured, secured.HandshakeContext(ctx)
}

// verify asks whether whoever is at the other end may speak for a host.
func (t *Transport) verify(conn net.Conn, id raft.NodeID) error {
	secured, ok := conn.(*tls.Conn)
	if !ok || t.o.Verify == nil {
		return nil
	}
	if err := t.o.Verify(id, secured.ConnectionState()); err != nil {
		return fmt.Errorf("%w: host %d: %w", ErrNotAllowed, id, err)
	}
	return nil
}

// dial connects to a host and introduces itself.
func (t *Transport) dial(ctx context.Context, to raft.NodeID, address string, c Class) (*link, error) {
	conn, raw, err := t.connect(ctx, to, address, c)
	if err != nil {
		return nil, err
	}
	return newLink(t.counted(conn, c), raw, t.o.DeadAfter, max(t.o.MaxMessageBytes, frameTarget)), nil
}

// connect is dial without what frames need.
func (t *Transport) connect(ctx context.Context, to raft.NodeID, address string, c Class) (conn, raw net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.o.DialTimeout)
	defer cancel()
	if raw, err = (&net.Dialer{}).DialContext(ctx, "tcp", address); err != nil {
		return nil, nil, err
	}
	// Closing the connection is what ends a handshake whose time is up. raw is nil by then if this function has returned.
	opened := raw
	stop := context.AfterFunc(ctx, func() { opened.Close() })
	conn, err = t.introduce(ctx, raw, to, address, c)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return nil, nil, err
	}
	return conn, raw, nil
}

func (t *Transport) introduce(ctx context.Context, raw net.Conn, to raft.NodeID, address string, c Class) (net.Conn, error) {
	conn, err := t.secure(ctx, raw, address)
	if err != nil {
		return nil, err
	}
	if err := t.verify(conn, to); err != nil {
		return nil, err
	}
	own := hello{low: lowest, high: highest, class: c, cluster: t.o.Cluster, from: t.o.Node, to: to}
	h, err := exchange(conn, own)
	switch {
	case err != nil:
		return nil, err
	case h.cluster != t.o.Cluster:
		return nil, ErrWrongCluster
	case h.from != to || h.to != t.o.Node:
		return nil, fmt.Errorf("%w: host %d", ErrWrongNode, h.from)
	}
	return conn, h.chose()
}

// chose tells whether an answer names a version that this package speaks.
func (h hello) chose() error {
	if h.low != h.high || h.high < lowest || h.high > highest {
		return fmt.Errorf("%w: it chose %d", ErrVersion, h.high)
	}
	return nil
}

// exchange says hello and reads the answer.
func exchange(conn net.Conn, own hello) (hello, error) {
	if _, err := conn.Write(own.encode()); err != nil {
		return hello{}, err
	}
	h, err := readHello(conn)
	switch {
	case err != nil:
		return h, err
	case h.status != accepted && int(h.status) < len(reasons):
		return h, fmt.Errorf("refused: %w", reasons[h.status])
	case h.status != accepted:
		return h, fmt.Errorf("%w: refused with status %d", ErrProtocol, h.status)
	}
	return h, nil
}

// welcome is the accepting side of introduce. place is where a connection takes up room that was accepted; it is to be
// given back by receiving from it.
func (t *Transport) welcome(ctx context.Context, raw net.Conn) (conn net.Conn, h hello, place chan struct{}, err error) {
	if conn, err = t.secure(ctx, raw, ""); err != nil {
		return nil, hello{}, nil, err
	}
	if h, err = readHello(conn); err != nil {
		return nil, h, nil, err
	}
	if h.class >= classes || h.from == 0 {
		return nil, h, nil, fmt.Errorf("%w: class %d of host %d", ErrProtocol, h.class, h.from)
	}
	answer := hello{low: highest, high: highest, class: h.class, cluster: t.o.Cluster, from: t.o.Node, to: h.from}
	switch {
	case h.joins() && (t.o.AcceptJoin == nil || h.from == t.o.Node):
		answer.status = refused
	case h.joins() && (h.low > highest || h.high < lowest):
		answer.status = wrongVersion
	case h.joins():
		if err = t.verify(conn, h.from); err != nil {
			answer.status = notAllowed
		}
	case !bytes.Equal(h.cluster[:], t.o.Cluster[:]):
		answer.status = wrongCluster
	case h.class == Streams && t.o.Accept == nil:
		answer.status = refused
	case h.to != t.o.Node || h.from == t.o.Node:
		answer.status = wrongNode
	case h.low > highest || h.high < lowest:
		answer.status = wrongVersion
	default:
		if err = t.verify(conn, h.from); err != nil {
			answer.status = notAllowed
		}
	}
	if answer.status == accepted { // room is only for those who may have it
		places := t.connected
		if h.class == Streams {
			places = t.streaming
		}
		select {
		case places <- struct{}{}:
			place = places
		default:
			answer.status = full
		}
	}
	if answer.status == accepted {
		answer.low = min(h.high, highest)
		answer.high = answer.low
	} else if err == nil {
		err = fmt.Errorf("refused: %w", reasons[answer.status])
	}
	if _, werr := conn.Write(answer.encode()); err == nil {
		err = werr
	}
	return conn, h, place, err
}

// accept serves a connection that somebody made, to its end. greeted gives up its place among the handshakes.
func (t *Transport) accept(raw net.Conn, greeted func()) {
	defer raw.Close()
	ctx, cancel := context.WithTimeout(t.ctx, t.o.DialTimeout)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, h, place, err := t.welcome(ctx, raw)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	cancel()
	if place != nil {
		defer func() { <-place }()
	}
	greeted()
	if err != nil {
		if t.ctx.Err() == nil {
			t.o.Logger.Warn("raft: refused a connection", "remote", raw.RemoteAddr().String(), "peer", uint64(h.from), "class", h.class.String(), "error", err)
		}
		return
	}
	if h.class == Streams {
		t.stream(conn, raw, h)
		return
	}
	l := newLink(t.counted(conn, h.class), raw, t.o.DeadAfter, max(t.o.MaxMessageBytes, frameTarget))
	unbind := context.AfterFunc(t.ctx, l.close)
	defer unbind()
	defer l.close()
	if h.class == Snapshots {
		err = t.receiveSnapshot(l, h.from)
	} else {
		err = t.receiveMessages(l, h.from, h.class)
	}
	if err != nil && t.ctx.Err() == nil {
		level := slog.LevelDebug // the side that sends says what matters
		if errors.Is(err, ErrProtocol) || errors.Is(err, ErrDead) {
			level = slog.LevelWarn
		}
		t.o.Logger.Log(context.Background(), level, "raft: connection ended", "remote", raw.RemoteAddr().String(), "peer", uint64(h.from), "class", h.class.String(), "error", err)
	}
}

// afterRefusal is how long the listener rests when accepting fails.
const afterRefusal = 50 * time.Millisecond
