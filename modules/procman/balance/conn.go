package balance

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// chunk is how much is copied before it is counted. With an idle timeout it is small, as only whole chunks show that a
	// slow receiver still takes something.
	chunk     = 1 << 20
	idleChunk = 64 << 10
	// tick is how often bytes are counted while a chunk isn't full.
	tick = 15 * time.Second
	// grace is what the way back gets to bring what is already here, after the way to the target broke.
	grace = time.Second
)

// conn is one connection of a client.
type conn struct {
	listener *Listener
	client   net.Conn
	ctx      context.Context // ends with the connection
	cancel   context.CancelFunc
	began    time.Time
	moved    atomic.Int64 // when bytes did last, in nanoseconds since began

	mu         sync.Mutex
	target     net.Conn // nil until it is dialed
	aborted    bool
	over       bool // nothing is left to be timed
	graceTimer *time.Timer
	idleTimer  *time.Timer
}

// serve runs the connection from the pick to the end.
func (c *conn) serve() {
	defer c.client.Close()
	l := c.listener
	lease, err := c.dial()
	if err != nil {
		switch {
		case c.ctx.Err() != nil: // cut, and counted by who did
		case errors.Is(err, ErrNoTarget), errors.Is(err, ErrClosed):
			l.pool.count.unserved.Add(1)
			l.pool.complain(l.o.Logger, "connection found no target", "client", c.client.RemoteAddr(), "err", err)
		default:
			l.pool.count.failed.Add(1)
			l.pool.complain(l.o.Logger, "connection reached no target", "client", c.client.RemoteAddr(), "err", err)
		}
		return
	}
	defer lease.Done()
	defer c.target.Close()
	c.exchange(lease.member)
}

// dial leases and dials targets, each at most once, until one answers. The error is ErrNoTarget, or the last *DialError.
func (c *conn) dial() (*Lease, error) {
	l := c.listener
	var tried []*member
	var last error
	for {
		lease, err := l.pool.acquire(c.ctx, l.o.Policy, l.o.Wait, tried)
		if err != nil {
			if last != nil {
				return nil, last
			}
			return nil, err
		}
		lease.OnCut(c.abort)
		err = c.connect(lease.target)
		if err == nil {
			lease.Dialed(nil)
			return lease, nil
		}
		if c.ctx.Err() == nil {
			lease.Dialed(err)
		}
		lease.Done()
		if c.ctx.Err() != nil {
			return nil, context.Cause(c.ctx)
		}
		tried = append(tried, lease.member)
		last = &DialError{Target: lease.target, Err: err}
		l.o.Logger.Debug("try another target", "err", last)
	}
}

// connect dials a target and greets it with the PROXY header, if it wants one.
func (c *conn) connect(t Target) error {
	l := c.listener
	target, err := l.dialer.DialContext(c.ctx, "tcp", t.Address)
	if err != nil {
		return err
	}
	if header := l.o.Proxy.header(c.client.RemoteAddr(), c.client.LocalAddr()); len(header) > 0 {
		if _, err := target.Write(header); err != nil {
			target.Close()
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		target.Close()
		return context.Canceled
	}
	c.target = target
	return nil
}

// abort ends the connection at once, with a reset to both sides.
func (c *conn) abort() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
	reset(c.client)
	if c.target != nil {
		reset(c.target)
	}
}

// exchange copies both ways until both have ended.
func (c *conn) exchange(m *member) {
	count := &c.listener.pool.count
	c.began = time.Now()
	if idle := c.listener.o.IdleTimeout; idle > 0 {
		c.watchIdle(idle)
	}
	var up error
	var wg sync.WaitGroup
	wg.Go(func() {
		if up = c.pump(c.target, c.client, &m.bytesIn, &count.bytesIn); up != nil {
			c.giveGrace()
		}
	})
	down := c.pump(c.client, c.target, &m.bytesOut, &count.bytesOut)
	if down != nil {
		c.abort() // one of them is dead, and no answer can come any more
	}
	wg.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.graceTimer != nil {
		c.graceTimer.Stop()
	}
	if c.idleTimer != nil {
		c.idleTimer.Stop()
	}
	// The client has got a whole answer if down is nil; what the target has got isn't whole, so it is told.
	if up != nil {
		reset(c.target)
	}
}

// giveGrace ends the connection soon, after the way to the target broke. Whether reading or writing failed can't be told
// from a splice, so neither can be who is dead; if it is the target, the rest of its answer may be here already.
func (c *conn) giveGrace() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.graceTimer = time.AfterFunc(grace, c.abort)
	}
}

// pump copies one way until it ends, and passes the end on. Two TCP connections are spliced in the kernel where it can.
func (c *conn) pump(dst, src net.Conn, counts ...*atomic.Uint64) error {
	size, every := int64(chunk), tick
	if idle := c.listener.o.IdleTimeout; idle > 0 {
		size, every = idleChunk, min(tick, max(idle/4, time.Millisecond))
	}
	for {
		// The deadline is only to count: splice returns what it has moved, and nothing is lost.
		if err := src.SetReadDeadline(time.Now().Add(every)); err != nil {
			return err
		}
		n, err := io.Copy(dst, &io.LimitedReader{R: src, N: size})
		if n > 0 {
			c.moved.Store(int64(time.Since(c.began)))
			for _, count := range counts {
				count.Add(uint64(n))
			}
		}
		switch {
		case err == nil && n == size:
		case err == nil:
			if half, ok := dst.(interface{ CloseWrite() error }); ok {
				return half.CloseWrite()
			}
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return err
		}
	}
}

// watchIdle closes the connection once nothing has moved for so long, either way.
func (c *conn) watchIdle(idle time.Duration) {
	// A pump tells of slow bytes with up to a tick's delay, so the limit is a tick longer.
	idle += min(tick, max(idle/4, time.Millisecond))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idleTimer = time.AfterFunc(idle, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.over || c.aborted {
			return
		}
		if quiet := time.Since(c.began) - time.Duration(c.moved.Load()); quiet < idle {
			c.idleTimer.Reset(idle - quiet)
			return
		}
		c.over = true
		c.listener.pool.count.idle.Add(1)
		c.client.Close()
		c.target.Close()
	})
}

// reset closes a connection so that its peer gets an error and not an end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
