package balance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Options are those of a Listener. The zero value is useful.
type Options struct {
	Policy      Policy
	DialTimeout time.Duration // of one attempt; default 3 s
	IdleTimeout time.Duration // a connection on which nothing moved either way for so long is closed; default 0: never
	Wait        time.Duration // how long a connection is held while no target is ready; default 5 s, negative: not at all
	MaxConns    int           // connections above it are accepted and closed at once; default 0: no limit
	Proxy       ProxyHeader   // tells the target who the client is; default ProxyNone
	Logger      *slog.Logger  // default: that of the pool
}

// Listener serves the connections of one address.
type Listener struct {
	ln     net.Listener
	pool   *Pool
	o      Options
	dialer net.Dialer

	ctx    context.Context // ends when the connections are cut
	cancel context.CancelFunc
	wg     sync.WaitGroup // the accept loop and the connections

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing bool // don't accept
	cut     bool // and what was accepted ends
}

// Listen listens on an address, such as "tcp" and "127.0.0.1:4000", and serves it from the pool.
func Listen(network, address string, pool *Pool, o Options) (*Listener, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("balance %s: %w", pool.o.Name, err)
	}
	return Serve(ln, pool, o), nil
}

// FromFile serves a listening socket that File gave to the program before this one. It takes the file and closes it.
func FromFile(f *os.File, pool *Pool, o Options) (*Listener, error) {
	ln, err := net.FileListener(f)
	err = errors.Join(err, f.Close())
	if err != nil {
		if ln != nil {
			ln.Close()
		}
		return nil, fmt.Errorf("balance %s from file: %w", pool.o.Name, err)
	}
	return Serve(ln, pool, o), nil
}

// Serve serves ln from the pool and returns at once. The listener belongs to it from then on.
func Serve(ln net.Listener, pool *Pool, o Options) *Listener {
	o.DialTimeout = cmp.Or(max(o.DialTimeout, 0), 3*time.Second)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	if o.Logger == nil {
		o.Logger = pool.o.Logger
	}
	o.Logger = o.Logger.With("service", pool.o.Name, "address", ln.Addr().String())
	l := &Listener{ln: ln, pool: pool, o: o, conns: map[*conn]struct{}{}}
	l.dialer.Timeout = o.DialTimeout
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(l.accept)
	return l
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// File returns a copy of the listening socket for a program that follows this one; the caller closes it. Both may accept
// until this one is closed, so no client is refused in between. A unix socket's file is left in place from then on. The
// error is errors.ErrUnsupported where the listener has no descriptor.
func (l *Listener) File() (*os.File, error) {
	ln, ok := l.ln.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("file of %T: %w", l.ln, errors.ErrUnsupported)
	}
	f, err := ln.File()
	if err != nil {
		return nil, fmt.Errorf("file of listener %s: %w", l.Addr(), err)
	}
	if unix, ok := l.ln.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	return f, nil
}

// Close stops accepting and waits until the connections have ended. When ctx ends first they are cut, and the error is a
// *CutError with their number. The pool stays open.
func (l *Listener) Close(ctx context.Context) error {
	l.mu.Lock()
	first := !l.closing
	l.closing = true
	l.mu.Unlock()
	var err error
	if first {
		err = l.ln.Close()
	}
	ended := make(chan struct{})
	go func() {
		l.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		l.mu.Lock()
		l.cut = true
		cut := len(l.conns)
		for c := range l.conns {
			c.abort()
		}
		l.mu.Unlock()
		<-ended
		l.pool.count.cut.Add(uint64(cut))
		if cut > 0 {
			err = errors.Join(err, &CutError{What: "listener " + l.Addr().String(), Cut: cut, Err: context.Cause(ctx)})
		}
	}
	l.cancel()
	return err
}

// accept runs until the listener is closed.
func (l *Listener) accept() {
	var pause time.Duration
	for {
		client, err := l.ln.Accept()
		if err != nil {
			l.mu.Lock()
			closing := l.closing
			l.mu.Unlock()
			if closing || errors.Is(err, net.ErrClosed) {
				return
			}
			// Mostly there are no descriptors left. Ending would take the service down for good, trying at once would spin.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.o.Logger.Error("accept", "err", err, "pause", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		l.pool.count.accepted.Add(1)
		c := &conn{listener: l, client: client}
		if !l.enter(c) {
			l.pool.count.refused.Add(1)
			client.Close()
			continue
		}
		l.wg.Go(func() {
			defer l.leave(c)
			c.serve()
		})
	}
}

// enter takes a place for a connection, if there is one.
func (l *Listener) enter(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// What was accepted before Close is served: where File was handed on, closing it would be an outage.
	if l.cut || l.o.MaxConns > 0 && len(l.conns) >= l.o.MaxConns {
		return false
	}
	c.ctx, c.cancel = context.WithCancel(l.ctx)
	l.conns[c] = struct{}{}
	l.pool.count.active.Add(1)
	return true
}

func (l *Listener) leave(c *conn) {
	c.cancel()
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	l.pool.count.active.Add(-1)
}
