// Package handoff passes a client's connection from the server that accepted it on to another one, which serves it. The
// first server ends TLS and reads what the client says of itself; the second one finds that in a frame and goes on from
// there, authentication included. The bytes are specified in docs/formats/handoff.md of the repository.
package handoff

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Greeting is what is known of a client when it has to be decided which server serves it.
type Greeting struct {
	Protocol       Protocol
	User, Database string
	Consistency    string // bop.read_consistency as the client set it when it connected, else as its database or the server has it; "": nobody
	Cancel         bool   // it wants to cancel a statement of a session that isn't here (PostgreSQL)
	RemoteAddr     net.Addr
}

// Route returns a connection to the server that is to serve a client, nil to serve it here, or an error that the client
// is refused with.
type Route func(ctx context.Context, g Greeting) (net.Conn, error)

// Client is one that a Route is asked for.
type Client struct {
	Conn     net.Conn
	Greeting Greeting
	Patience time.Duration // with the Route
	// Frame is called when the client is passed on, not before: it may take what the client has sent already.
	Frame func() *Frame
	// StopBy says what ends the waiting or the passing from elsewhere. It reports false if that has been asked for already.
	StopBy func(stop func()) bool
}

// Pass passes the client on if another server is to serve it; it reports whether that has happened, and is over.
func (r Route) Pass(ctx context.Context, c Client) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	if !c.StopBy(cancel) {
		return true, nil
	}
	conn, err := r(ctx, c.Greeting)
	if err != nil || conn == nil {
		return false, err
	}
	f, stop := c.Frame(), make(chan struct{})
	if !c.StopBy(sync.OnceFunc(func() { close(stop) })) {
		conn.Close()
		return true, nil
	}
	err = Pass(c.Conn, conn, f, stop)
	return err == nil, err
}

// Protocol is what a client speaks.
type Protocol uint8

// The protocols.
const (
	PostgreSQL Protocol = 1
	MySQL      Protocol = 2
)

// String returns postgresql or mysql.
func (p Protocol) String() string {
	switch p {
	case PostgreSQL:
		return "postgresql"
	case MySQL:
		return "mysql"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Frame is what the second server has to know.
type Frame struct {
	Protocol Protocol
	TLS      bool   // the client's connection to the first server is under TLS
	Remote   string // the client's address
	Start    []byte // what the client has said: PostgreSQL's start-up message without its length, MySQL's login packet
	Early    []byte // what it has sent behind that already

	// MySQL: what the first server has greeted it with, and the sequence number of the next packet.
	ID           uint32
	Capabilities uint32
	Nonce        []byte
	Sequence     byte
}

const (
	magic    = "BOPHANDO"
	version  = 1
	head     = 16                     // bytes up to the length and with it
	minFrame = head + 4 + 4 + 4*4 + 4 // of a frame whose parts are empty
	maxFrame = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrFrame: what came isn't a frame.
var ErrFrame = errors.New("handoff: damaged frame")

// Write writes the frame.
func (f *Frame) Write(w io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	b := append([]byte(magic), version, byte(f.Protocol), 0, f.Sequence)
	if f.TLS {
		b[10] = 1
	}
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, f.ID)
	b = binary.LittleEndian.AppendUint32(b, f.Capabilities)
	for _, part := range [][]byte{[]byte(f.Remote), f.Nonce, f.Start, f.Early} {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	if len(b)+4 > maxFrame {
		return fmt.Errorf("%w: %d bytes", ErrFrame, len(b)+4)
	}
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)+4))
	_, err := w.Write(binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
	return err
}

// Read reads a frame.
func Read(r io.Reader) (*Frame, error) {
	first := make([]byte, head)
	if _, err := io.ReadFull(r, first); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	n := binary.LittleEndian.Uint32(first[12:])
	switch {
	case string(first[:8]) != magic:
		return nil, fmt.Errorf("%w: it doesn't begin as one", ErrFrame)
	case first[8] != version:
		return nil, fmt.Errorf("%w: version %d, this server speaks %d", ErrFrame, first[8], version)
	case n < minFrame || n > maxFrame:
		return nil, fmt.Errorf("%w: %d bytes", ErrFrame, n)
	}
	b := make([]byte, n)
	copy(b, first)
	if _, err := io.ReadFull(r, b[head:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	body := b[:n-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[n-4:]) {
		return nil, fmt.Errorf("%w: checksum", ErrFrame)
	}
	f := &Frame{Protocol: Protocol(first[9]), TLS: first[10] == 1, Sequence: first[11],
		ID: binary.LittleEndian.Uint32(body[head:]), Capabilities: binary.LittleEndian.Uint32(body[head+4:])}
	rest := body[head+8:]
	var remote []byte
	for _, to := range []*[]byte{&remote, &f.Nonce, &f.Start, &f.Early} {
		if len(rest) < 4 || uint32(len(rest)-4) < binary.LittleEndian.Uint32(rest) {
			return nil, fmt.Errorf("%w: it ends too early", ErrFrame)
		}
		size := binary.LittleEndian.Uint32(rest)
		*to, rest = rest[4:4+size:4+size], rest[4+size:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: it goes on behind its end", ErrFrame)
	}
	f.Remote = string(remote)
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

// nonceSize is the length of what MySQL's passwords are mixed with, in bytes.
const nonceSize = 20

// check looks for what no server writes.
func (f *Frame) check() error {
	switch {
	case f.Protocol == MySQL && len(f.Nonce) != nonceSize:
		return fmt.Errorf("%w: a nonce of %d bytes", ErrFrame, len(f.Nonce))
	case f.Protocol != MySQL && f.Protocol != PostgreSQL:
		return fmt.Errorf("%w: %v", ErrFrame, f.Protocol)
	}
	return nil
}

// Conn is the client's connection as the second server sees it.
func (f *Frame) Conn(conn net.Conn) net.Conn {
	c := &client{Conn: conn, early: f.Early, remote: conn.RemoteAddr()}
	if a, err := netip.ParseAddrPort(f.Remote); err == nil {
		c.remote = net.TCPAddrFromAddrPort(a)
	}
	return c
}

type client struct {
	net.Conn
	early  []byte
	remote net.Addr
}

// RemoteAddr is where the client is.
func (c *client) RemoteAddr() net.Addr { return c.remote }

// Read gives what had come before first.
func (c *client) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// Pass gives server the frame and copies bytes both ways until the client's session has ended. An error: the frame could
// not be written, and the client may be told. After the end of stop nothing more is taken from the client; the session
// ends when it has answered what it has. Both connections are closed in the end, but the client's not after an error.
func Pass(client, server net.Conn, f *Frame, stop <-chan struct{}) error {
	server.SetWriteDeadline(time.Now().Add(Greeted))
	if err := f.Write(server); err != nil {
		server.Close()
		return fmt.Errorf("passing the client on: %w", err)
	}
	server.SetWriteDeadline(time.Time{})
	client.SetDeadline(time.Time{})
	splice(client, server, stop)
	return nil
}

// linger is how long a client may take to close its connection when its session has ended.
const linger = 5 * time.Second

// splice is the copying of Pass.
func splice(client, server net.Conn, stop <-chan struct{}) {
	defer client.Close()
	defer server.Close()
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-stop:
			client.SetReadDeadline(past)
		case <-ended:
		}
	})
	wg.Go(func() {
		defer close(ended)
		_, err := io.Copy(client, server)
		if err != nil || !closeWrite(client) {
			client.Close()
			return
		}
		// Bytes that the client has sent behind its session's end must not make its system throw the last answer away.
		client.SetReadDeadline(time.Now().Add(linger))
	})
	_, err := io.Copy(server, client)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || !closeWrite(server) {
		server.Close()
	}
	wg.Wait()
}

var past = time.Unix(1, 0)

// closeWrite says that nothing more will come. Not every connection can.
func closeWrite(conn net.Conn) bool {
	half, ok := conn.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// Greeted is how long the second server waits for the frame, and the first one for that to be taken.
const Greeted = 10 * time.Second
