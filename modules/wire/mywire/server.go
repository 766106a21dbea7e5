package mywire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/bop-platform/bop/modules/wire/auth"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// ErrShutdown is what Serve returns after Shutdown. It wraps net.ErrClosed.
var ErrShutdown = fmt.Errorf("the server was shut down: %w", net.ErrClosed)

// Options of a Server. Only Sessions is needed.
type Options struct {
	Sessions *session.Server
	// Auth knows the users; nil lets everybody in under any name.
	Auth auth.Store
	// TLS is offered to clients; nil: it isn't.
	TLS *tls.Config
	// RequireTLS refuses clients that don't use TLS, with 3159.
	RequireTLS bool

	// Route, if set, says which server is to serve a client. nil: this one serves all.
	Route handoff.Route

	// MaxConns refuses more connections with 1040, those that haven't shown who they are included. Default 10,000.
	MaxConns int
	// MaxPacket, in bytes, bounds what a client sends at once; longer packets are refused with 1153. Default 64 MiB.
	MaxPacket int
	// MaxPrepared bounds the prepared statements of a connection; more are refused with 1461. Default 16,382.
	MaxPrepared int

	// StartTimeout is how long a client may take until it is let in. Default 30 s.
	StartTimeout time.Duration
	// PacketTimeout is how long a packet that has begun may take, besides a second per 64 KiB. Default 30 s.
	PacketTimeout time.Duration
	// WriteTimeout ends a connection whose client takes nothing for that long. Default 1 minute.
	WriteTimeout time.Duration
	// CheckInterval is how often clients with a running statement are looked for. Default 1 s.
	CheckInterval time.Duration

	Logger        *slog.Logger
	MeterProvider metric.MeterProvider
}

func (o *Options) setDefaults() {
	number := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	duration := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	number(&o.MaxConns, 10_000)
	number(&o.MaxPacket, 64<<20)
	number(&o.MaxPrepared, 16_382)
	duration(&o.StartTimeout, 30*time.Second)
	duration(&o.PacketTimeout, 30*time.Second)
	duration(&o.WriteTimeout, time.Minute)
	duration(&o.CheckInterval, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Server serves clients. It may serve several listeners.
type Server struct {
	o       Options
	caching *auth.Caching // nil without Auth
	metrics *instruments
	started time.Time
	ctx     context.Context // ends when clients have to go, whatever they do
	cancel  context.CancelFunc
	served  atomic.Bool

	mu       sync.Mutex
	clients  map[*client]struct{}
	open     map[net.Listener]struct{}
	shutting bool
	wg       sync.WaitGroup // of clients
	watching sync.WaitGroup
}

// NewServer returns a server that serves nobody yet.
func NewServer(o Options) (*Server, error) {
	if o.Sessions == nil {
		return nil, errors.New("the MySQL protocol needs sessions")
	}
	o.setDefaults()
	s := &Server{o: o, started: time.Now(), clients: map[*client]struct{}{}, open: map[net.Listener]struct{}{}}
	if o.Auth != nil {
		s.caching = auth.NewCaching(o.Auth)
	}
	var err error
	if s.metrics, err = newInstruments(s); err != nil {
		return nil, fmt.Errorf("making the instruments of the MySQL protocol: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Serve accepts clients until Shutdown, and then returns ErrShutdown; another error is the listener's. It closes ln.
// The end of ctx closes ln as well, and leaves the clients alone.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	err := s.accept(ctx, ln)
	ln.Close() // but not after a panic: then whoever supervises may call Serve again
	return err
}

func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	if s.shutting {
		s.mu.Unlock()
		return ErrShutdown
	}
	s.open[ln] = struct{}{}
	if !s.served.Swap(true) {
		s.watching.Go(s.watch)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, ln)
		s.mu.Unlock()
	}()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	pause := time.Duration(0)
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.serve(conn, nil)
		case s.stopped():
			return ErrShutdown
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting MySQL clients: %w", err)
		default:
			// Too many open files and the like: others may end meanwhile.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.o.Logger.Warn("accepting a MySQL client failed", "error", err, "retry_in", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

func (s *Server) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shutting
}

// count is the number of open connections.
func (s *Server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// ServeHandoff serves a client that another server has accepted, to its end. After Shutdown it returns ErrShutdown.
func (s *Server) ServeHandoff(conn net.Conn, f *handoff.Frame) error {
	s.mu.Lock()
	if s.shutting {
		s.mu.Unlock()
		return ErrShutdown
	}
	if !s.served.Swap(true) {
		s.watching.Go(s.watch)
	}
	s.mu.Unlock()
	if c := s.serve(f.Conn(conn), f); c != nil {
		<-c.ended
	}
	return nil
}

// serve begins to serve one client. f is what another server has found out of it, if that has passed it on.
func (s *Server) serve(conn net.Conn, f *handoff.Frame) *client {
	c := newClient(s, conn)
	c.handed = f
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutting || len(s.clients) >= 2*s.o.MaxConns {
		conn.Close() // not even a message
		return nil
	}
	c.crowded = len(s.clients) >= s.o.MaxConns
	s.clients[c] = struct{}{}
	s.wg.Go(func() {
		defer close(c.ended)
		defer func() {
			if p := recover(); p != nil {
				s.o.Logger.Error("a connection panicked", "client", conn.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
			}
			conn.Close()
			s.mu.Lock()
			delete(s.clients, c)
			s.mu.Unlock()
		}()
		c.run(s.ctx)
	})
	return c
}

// Shutdown stops accepting and ends the clients: idle ones at once, the others when their statement is done. When ctx
// ends before that, statements are interrupted and connections closed, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.shutting = true
	for ln := range s.open {
		ln.Close()
	}
	clients := slices.Collect(maps.Keys(s.clients))
	s.mu.Unlock()
	for _, c := range clients {
		c.terminate(sqlerr.New("57P01", "terminating connection due to administrator command").My(1053, "Server shutdown in progress"))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.wg.Wait()
		s.cancel()
		s.watching.Wait()
	}()
	select {
	case <-done:
		s.metrics.close()
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	for _, c := range clients {
		c.raw.Close()
	}
	<-done
	s.metrics.close()
	return context.Cause(ctx)
}

// watch looks after clients that can't look after themselves: those that vanished while a statement of theirs runs, and
// those that take nothing of what is sent to them.
func (s *Server) watch() {
	tick := time.NewTicker(s.o.CheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		clients := slices.Collect(maps.Keys(s.clients))
		s.mu.Unlock()
		for _, c := range clients {
			c.check(s.o.CheckInterval, s.o.WriteTimeout)
		}
	}
}
