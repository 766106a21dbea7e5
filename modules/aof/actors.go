package aof

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// startActors spawns the committer, which is stopped when it fails, and the preparer, which is restarted.
func (l *Log) startActors() {
	l.system = l.o.System
	if l.system == nil {
		logger := slog.New(warnings{l.o.Logger.Handler()})
		l.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return logger }))
	}
	never := actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })
	again := actor.NewOneForOneStrategy(10, time.Minute, actor.DefaultDecider)
	l.committer.idle = time.AfterFunc(time.Hour, func() { l.tell(rest{}) })
	l.committer.idle.Stop()
	l.committer.end.gone = make(chan struct{})
	preparer := &preparer{l: l, end: ending{gone: make(chan struct{})}}
	l.hydrator = &hydrator{l: l, end: ending{gone: make(chan struct{})}}
	l.movers = []*mover{{l: l, name: "packer", step: l.pack}, {l: l, name: "uploader", step: l.upload}}
	spawn := func(a actor.Actor, strategy actor.SupervisorStrategy) *actor.PID {
		return l.system.Root.Copy().WithGuardian(strategy).Spawn(actor.PropsFromProducer(func() actor.Actor { return a }))
	}
	l.actors = []running{
		{spawn(&l.committer, never), &l.committer.end},
		{spawn(preparer, again), &preparer.end},
		{spawn(l.hydrator, again), &l.hydrator.end},
	}
	for _, m := range l.movers {
		m.end.gone = make(chan struct{})
		l.actors = append(l.actors, running{spawn(m, again), &m.end})
	}
	// Nothing runs yet that changes segments.
	several := len(l.segments) > 1
	l.committer.asked = several
	close(l.started)
	if l.o.Tiers.moves() {
		l.look()
	}
	if several {
		l.prepareSpares()
	}
}

// warnings leaves out what the actor system says of its daily life.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// running is an actor of the log, and how to hear of its end.
type running struct {
	pid *actor.PID
	end *ending
}

// ending is closed once, when an actor has stopped for good.
type ending struct {
	once sync.Once
	gone chan struct{}
}

func (e *ending) reached() { e.once.Do(func() { close(e.gone) }) }

// stopActors ends them when they have worked off what they were sent.
func (l *Log) stopActors() {
	l.stopping.Store(true)
	l.committer.idle.Stop()
	for _, a := range l.actors {
		l.system.Root.Poison(a.pid)
		<-a.end.gone
	}
	if l.o.System == nil {
		l.system.Shutdown()
	}
}

func (l *Log) tell(message any) {
	<-l.started // the committer may begin before it is known to everybody
	l.system.Root.Send(l.actors[0].pid, message)
}

func (l *Log) prepareSpares() {
	select {
	case <-l.started:
		if l.spares.missing() {
			l.system.Root.Send(l.actors[1].pid, prepare{})
		}
	default: // recovery; startActors asks again
	}
}

// execute runs fn in the committer, between two batches.
func (l *Log) execute(fn func() error) error {
	if err := l.queue.check(); err != nil {
		return err
	}
	done := make(chan error, 1)
	l.tell(task{fn, done})
	select {
	case err := <-done:
		return err
	case <-l.committer.end.gone:
	}
	select {
	case err := <-done:
		return err
	default: // the committer ended before the task's turn
		return fmt.Errorf("the committer is gone: %w", l.queue.check())
	}
}

func (q *queue) check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refusal()
}
