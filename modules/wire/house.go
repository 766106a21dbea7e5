package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Every listener is served by an actor, a child of the house. One that panics is started again on the same listener; one
// that panics five times within a minute is stopped, and its error is what Serve returns. An error of the listener itself
// ends its actor: nothing would be better the next time.
const (
	maxRestarts    = 5
	restartsWithin = time.Minute
)

// house is the parent of the listeners' actors.
type house struct {
	system *actor.ActorSystem
	pid    *actor.PID
	own    bool // the system is this house's
	log    *slog.Logger

	mu     sync.RWMutex // held for reading while an actor moves in
	closed bool
}

// serveFunc accepts clients until the listener is done with.
type serveFunc func(ctx context.Context, ln net.Listener) error

// moveIn asks the house for another listener's actor.
type moveIn struct{ l *listener }

// ended tells an actor how its accepting ended. panic nil: it returned err.
type ended struct {
	err   error
	panic any
}

func newHouse(system *actor.ActorSystem, log *slog.Logger) *house {
	h := &house{system: system, log: log}
	if system == nil {
		h.own = true
		h.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
	}
	strategy := actor.NewOneForOneStrategy(maxRestarts, restartsWithin, func(any) actor.Directive { return actor.RestartDirective })
	h.pid = h.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*moveIn); ok {
			ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return m.l }))
		}
	}, actor.WithSupervisor(strategy)))
	return h
}

// serve has a listener served and waits for its end.
func (h *house) serve(ctx context.Context, name string, ln net.Listener, fn serveFunc) error {
	l := &listener{ctx: ctx, name: name, ln: ln, fn: fn, log: h.log, done: make(chan error, 1)}
	h.mu.RLock()
	if h.closed {
		h.mu.RUnlock()
		ln.Close()
		return net.ErrClosed
	}
	h.system.Root.Send(h.pid, &moveIn{l})
	h.mu.RUnlock()
	return <-l.done
}

// close ends the actors, and refuses others.
func (h *house) close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	h.mu.Unlock()
	// Poison lets those move in that were sent before it, so that nobody waits for an actor that never was.
	if err := h.system.Root.PoisonFuture(h.pid).Wait(); err != nil {
		h.log.Warn("stopping the listeners' actors", "error", err)
	}
	if h.own {
		h.system.Shutdown()
	}
}

// listener is the actor of one listener.
type listener struct {
	ctx  context.Context
	name string
	ln   net.Listener
	fn   serveFunc
	log  *slog.Logger
	done chan error // gets the end, once
	last error
}

// Receive implements actor.Actor.
func (l *listener) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		go func() {
			end := &ended{}
			defer func() {
				if end.panic = recover(); end.panic != nil {
					l.log.Error("accepting clients panicked", "protocol", l.name, "panic", end.panic, "stack", string(debug.Stack()))
				}
				root.Send(self, end)
			}()
			end.err = l.fn(l.ctx, l.ln)
		}()
	case *ended:
		l.last = m.err
		if m.panic != nil {
			l.last = fmt.Errorf("accepting %s clients panicked: %v", l.name, m.panic)
			panic(l.last) // the house's turn
		}
		ctx.Stop(ctx.Self())
	case *actor.Stopped:
		l.ln.Close()
		err := l.last
		if err == nil {
			err = net.ErrClosed
		}
		l.done <- err
	}
}
