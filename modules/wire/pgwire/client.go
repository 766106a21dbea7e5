package pgwire

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// client is one connection.
type client struct {
	s      *Server
	conn   net.Conn // with TLS, if it is used
	raw    net.Conn
	in     input
	out    output
	x      *session.Session
	handed *handoff.Frame          // of a client that another server has accepted
	done   chan struct{}           // closed at the end
	cancel context.CancelCauseFunc // of everything that runs for this client
	// crowded: there are too many connections for this one to stay.
	crowded bool

	unnamed *session.Prepared // the unnamed statement, nil if there is none
	portals map[string]*portal
	bound   portal // the unnamed portal, whose memory is used again
	fields  []field
	lost    error // why the connection can't go on; found inside of a command
	skip    bool  // after an error, until Sync
	due     bool  // what is gathered goes out before the next wait

	// work is odd while a command runs; the watch compares it with what it saw last.
	work      atomic.Uint64
	seenWork  uint64
	seenWrite uint64
	stuck     time.Duration

	// mu guards what follows.
	mu       sync.Mutex
	starting bool
	stop     func()                 // ends what another server does for this client, in good order
	fatal    *sqlerr.Error          // the connection ends with this as soon as it can be told
	notes    []session.Notification // not delivered yet
	dropped  int                    // notifications beyond what is kept
}

// maxNotes is how many notifications wait for a client that is busy or in a transaction.
const maxNotes = 16 << 10

func newClient(s *Server, conn net.Conn) *client {
	c := &client{s: s, conn: conn, raw: conn, starting: true, done: make(chan struct{})}
	c.in = input{conn: conn, read: func(n int) { s.metrics.in.Add(int64(n)) }}
	c.out = output{conn: conn, wrote: func(n int) { s.metrics.out.Add(int64(n)) }}
	return c
}

// use makes conn the connection that messages go through.
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
	if c.x != nil {
		defer c.x.Close()
		defer c.closePortals()
	}
	if err == nil {
		c.mu.Lock()
		c.starting = false
		c.mu.Unlock()
		c.conn.SetDeadline(time.Time{})
		c.in.patient = c.s.o.MessageTimeout
		err = c.serve(ctx)
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
		e = sqlerr.New("08P01", "the client took too long to send a message")
	}
	told := *e
	told.Severity = "FATAL"
	c.out.problem('E', &told)
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

// notify keeps a notification until the client can have it. It is called by other sessions.
func (c *client) notify(n session.Notification) {
	c.mu.Lock()
	if len(c.notes) < maxNotes {
		c.notes = append(c.notes, n)
	} else {
		c.dropped++
	}
	c.mu.Unlock()
	c.in.wake()
}

// check is called by the watch.
func (c *client) check(interval, writeTimeout time.Duration) {
	if work := c.work.Load(); work != c.seenWork {
		c.seenWork = work
	} else if work%2 == 1 && vanished(c.raw) {
		c.cancel(errGone)
		c.raw.Close()
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

// limit is how long messages may be.
func (c *client) limit(kind byte) int {
	switch kind {
	case 'Q', 'P':
		return c.s.o.MaxStatement
	case 'B', 'd', 'F':
		return c.s.o.MaxMessage
	}
	return 64 << 10
}

// receive returns the next message. What was gathered goes out before it waits.
func (c *client) receive() (kind byte, body []byte, err error) {
	for {
		if !c.in.buffered() {
			if err := c.rest(); err != nil {
				return 0, nil, err
			}
		}
		kind, body, err = c.in.next(c.limit)
		if !errors.Is(err, errWoken) {
			return kind, body, err
		}
	}
}

// rest is called before a wait for the client.
func (c *client) rest() error {
	c.mu.Lock()
	fatal, notes, dropped := c.fatal, []session.Notification(nil), 0
	if len(c.notes) > 0 && c.x.Status() == 'I' && !c.x.InTransaction() {
		notes, dropped = c.notes, c.dropped
		c.notes, c.dropped = nil, 0
	}
	c.mu.Unlock()
	if fatal != nil {
		return fatal
	}
	for _, n := range notes {
		at := c.out.begin('A')
		c.out.int32(n.From)
		c.out.text(n.Channel)
		c.out.text(n.Payload)
		c.out.end(at)
		c.due = true
	}
	if dropped > 0 {
		e := sqlerr.New("01000", "%d notifications were lost because the session was busy for too long", dropped)
		e.Severity = "WARNING"
		c.out.problem('N', e)
	}
	if c.due {
		c.due = false
		if err := c.out.flush(); err != nil {
			return errGone
		}
		c.out.idle()
	}
	c.in.idle()
	return nil
}

// serve runs the client's commands. It returns errGone, or why the connection has to end.
func (c *client) serve(ctx context.Context) error {
	for {
		kind, body, err := c.receive()
		if err != nil {
			if long := (*tooLongError)(nil); errors.As(err, &long) {
				c.refuse(long)
				continue
			}
			if errors.Is(err, errFraming) {
				return sqlerr.New("08P01", "invalid message length")
			}
			return err
		}
		if c.skip && kind != 'S' && kind != 'X' {
			continue
		}
		c.work.Add(1)
		err = c.command(ctx, kind, body)
		c.work.Add(1)
		if err == nil {
			err = c.out.full()
		}
		if err != nil {
			return err
		}
	}
}

// command runs one message. An error ends the connection; those of statements are told and that is it.
func (c *client) command(ctx context.Context, kind byte, body []byte) error {
	switch kind {
	case 'Q':
		c.query(ctx, body)
	case 'P':
		c.extended(c.parse(ctx, body))
	case 'B':
		c.extended(c.bind(body))
	case 'D':
		c.extended(c.describe(body))
	case 'E':
		c.extended(c.execute(ctx, body))
	case 'C':
		c.extended(c.close(body))
	case 'H':
		c.due = true
	case 'S':
		c.sync(ctx)
	case 'F':
		c.problem(sqlerr.Unsupported("the function call message of the protocol"))
		c.x.Fail()
		c.sync(ctx)
	case 'd', 'c', 'f':
		// What a client still sends after its COPY has failed.
	case 'X':
		return errGone
	default:
		return sqlerr.New("08P01", "invalid frontend message type %d", kind)
	}
	if c.lost != nil {
		return c.lost
	}
	return c.out.err
}

// lose remembers inside of a command that the connection can't go on.
func (c *client) lose(err error) { c.lost = err }

// refuse answers a message that was too long.
func (c *client) refuse(long *tooLongError) {
	if c.skip || long.kind == 'd' || long.kind == 'c' || long.kind == 'f' {
		return
	}
	e := sqlerr.New("54000", "the message is too long: %d bytes, where %d are allowed", long.size, long.most).
		WithHint("Send large values as parameters, and many rows with COPY.")
	c.x.Fail()
	if long.kind == 'Q' || long.kind == 'F' {
		c.problem(e)
		c.out.ready(c.x.Status())
		c.due = true
		return
	}
	c.extended(e)
}

// problem tells an error and sends it soon.
func (c *client) problem(err error) {
	e := sqlerr.FromSQLite(err)
	c.out.problem('E', e)
	c.due = true
}

// extended ends a message of the extended protocol.
func (c *client) extended(err error) {
	if err == nil {
		return
	}
	c.closePortals()
	c.x.Fail()
	c.problem(err)
	c.skip = true
}

// sync is Sync, and the end of a simple query.
func (c *client) sync(ctx context.Context) {
	c.skip, c.due = false, true
	if !c.x.InTransaction() || c.x.Status() == 'I' {
		c.closePortals()
	}
	if err := c.x.Sync(ctx); err != nil {
		c.problem(err)
	}
	c.out.ready(c.x.Status())
}

func appendInt(dst []byte, v int64) []byte { return strconv.AppendInt(dst, v, 10) }
