package mywire

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// client is one connection.
type client struct {
	s       *Server
	conn    net.Conn // with TLS, if it is used
	raw     net.Conn
	in      input
	out     output
	x       *session.Session
	cancel  context.CancelCauseFunc // of everything that runs for this client
	crowded bool                    // there are too many connections for this one to stay
	secured bool                    // TLS is used

	id     uint32
	nonce  []byte
	reign  uint64         // see session.Config
	caps   uint32         // what both sides know
	handed *handoff.Frame // of a client that another server has accepted
	ended  chan struct{}  // closed at the end
	login  *login
	text   uint16 // the collation that text columns are announced with

	// What the session's variables say.
	ansiQuotes  bool
	noBackslash bool
	patience    atomic.Int64 // how long the client may be silent

	prepared map[uint32]*prepared
	lastID   uint32   // of a prepared statement
	more     bool     // another result follows the one that is sent
	lost     error    // why the connection can't go on; found inside of a statement
	defs     []column // of the result that is sent

	// work is odd while a command runs; the watch compares it with what it saw last.
	work      atomic.Uint64
	seenWork  uint64
	seenWrite uint64
	stuck     time.Duration
	silent    time.Duration

	// mu guards what follows.
	mu       sync.Mutex
	starting bool
	stop     func()        // ends what another server does for this client, in good order
	fatal    *sqlerr.Error // the connection ends with this as soon as it can be told
}

func newClient(s *Server, conn net.Conn) *client {
	c := &client{s: s, conn: conn, raw: conn, starting: true, ended: make(chan struct{})}
	c.in = input{conn: conn, read: func(n int) { s.metrics.in.Add(int64(n)) }}
	c.out = output{conn: conn, wrote: func(n int) { s.metrics.out.Add(int64(n)) }}
	return c
}

// use makes conn the connection that packets go through.
func (c *client) use(conn net.Conn) { c.conn, c.in.conn, c.out.conn = conn, conn, conn }

// errGone ends a connection without another word: the client isn't there any more, or has said good-bye.
var errGone = errors.New("the client is gone")

// run serves the client to its end.
func (c *client) run(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.cancel = cancel
	defer cancel(errGone)
	c.conn.SetDeadline(time.Now().Add(c.s.o.StartTimeout))
	err := c.start(ctx)
	defer func() {
		if c.x != nil {
			c.closeAll()
			c.x.Close()
		}
	}()
	if err == nil {
		c.mu.Lock()
		c.starting = false
		c.mu.Unlock()
		c.conn.SetDeadline(time.Time{})
		c.in.patient = c.s.o.PacketTimeout
		err = c.serve(ctx)
	}
	if c.lost != nil {
		err = c.lost
	}
	c.end(err)
}

// end tells the client why its connection ends, if it can still hear it.
func (c *client) end(err error) {
	c.mu.Lock()
	if c.fatal != nil {
		err = c.fatal
	}
	c.mu.Unlock()
	var e *sqlerr.Error
	if !errors.As(err, &e) {
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			return
		}
		e = sqlerr.New("08P01", "the client took too long to send a packet").My(1159, "Got timeout reading communication packets")
	}
	c.problem(e)
	c.conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	c.out.flush()
}

// terminate ends the connection from another goroutine: now if the client is idle, else when its command is done.
func (c *client) terminate(e *sqlerr.Error) {
	c.mu.Lock()
	if c.fatal == nil {
		c.fatal = e
	}
	starting := c.starting
	if c.stop != nil {
		c.stop()
	}
	c.mu.Unlock()
	if starting {
		c.raw.SetReadDeadline(past)
	}
	c.in.wake()
}

// check is called by the watch.
func (c *client) check(interval, writeTimeout time.Duration) {
	work := c.work.Load()
	switch {
	case work != c.seenWork:
		c.seenWork, c.silent = work, 0
	case work%2 == 1:
		if vanished(c.raw) {
			c.cancel(errGone)
			c.raw.Close()
		}
	default:
		c.silent += interval
		if limit := time.Duration(c.patience.Load()); limit > 0 && c.silent >= limit {
			c.terminate(sqlerr.New("57P05", "terminating connection due to idle-session timeout").
				My(4031, "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior."))
		}
	}
	if write := c.out.writing.Load(); write != c.seenWrite || write%2 == 0 {
		c.seenWrite, c.stuck = write, 0
		return
	}
	c.stuck += interval
	c.mu.Lock()
	if c.fatal != nil {
		writeTimeout = min(writeTimeout, 5*time.Second)
	}
	c.mu.Unlock()
	if c.stuck >= writeTimeout {
		c.cancel(errGone)
		c.raw.Close()
	}
}

// receive returns the next command. What was gathered goes out before it waits.
func (c *client) receive() ([]byte, error) {
	for {
		if !c.in.buffered() {
			if err := c.rest(); err != nil {
				return nil, err
			}
		}
		c.out.seq = 0
		p, err := c.in.next(&c.out.seq, c.s.o.MaxPacket, true)
		if !errors.Is(err, errWoken) {
			return p, err
		}
	}
}

// rest is called before a wait for the client.
func (c *client) rest() error {
	if err := c.out.flush(); err != nil {
		return errGone
	}
	c.out.idle()
	c.in.idle()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fatal != nil {
		c.out.seq = 0
		return c.fatal
	}
	return nil
}

// serve runs the client's commands. It returns errGone, or why the connection has to end.
func (c *client) serve(ctx context.Context) error {
	for {
		p, err := c.receive()
		var long *tooLongError
		switch {
		case errors.As(err, &long):
			c.refuse(long)
			continue
		case err != nil:
			return err
		}
		c.work.Add(1)
		c.s.metrics.commands.Add(1)
		c.more = false
		err = c.command(ctx, p)
		c.work.Add(1)
		if err == nil {
			err = c.out.full()
		}
		if err != nil {
			return err
		}
	}
}

// refuse answers a packet that was too long.
func (c *client) refuse(long *tooLongError) {
	e := sqlerr.New("54000", "the packet is too long: %d bytes, where %d are allowed", long.size, long.most).
		My(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
	if long.command == comStmtLongData {
		return // that command has no answer; the statement misses its data and says so
	}
	c.problem(e)
}
