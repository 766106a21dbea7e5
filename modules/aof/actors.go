package aof

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// startActors spawns the committer, which is stopped when it fails, and the preparer, which is restarted.
func (l *Log) startActors() {
	l.system = l.o.System
	if l.system == nil {
		l.ownSystem = true
		l.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return l.o.Logger }))
	}
	never := actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })
	again := actor.NewOneForOneStrategy(10, time.Minute, actor.DefaultDecider)
	l.pids = []*actor.PID{
		l.system.Root.Copy().WithGuardian(never).Spawn(actor.PropsFromProducer(func() actor.Actor { return &l.committer })),
		l.system.Root.Copy().WithGuardian(again).Spawn(actor.PropsFromProducer(func() actor.Actor { return &preparer{l} })),
	}
	l.committer.idle = time.AfterFunc(time.Hour, func() { l.tell(rest{}) })
	l.committer.idle.Stop()
	l.prepareSpares()
}

// stopActors ends both when they have worked off what they were sent.
func (l *Log) stopActors() {
	l.stopping.Store(true)
	l.committer.idle.Stop()
	for _, pid := range l.pids {
		// A committer that panicked is gone already; the wait then ends at once.
		l.system.Root.PoisonFuture(pid).Wait()
	}
	if l.ownSystem {
		l.system.Shutdown()
	}
}

func (l *Log) tell(message any) { l.system.Root.Send(l.pids[0], message) }

func (l *Log) prepareSpares() {
	if len(l.pids) > 1 && l.spares.missing() {
		l.system.Root.Send(l.pids[1], prepare{})
	}
}

// execute runs fn in the committer, between two batches.
func (l *Log) execute(fn func() error) error {
	if err := l.queue.check(); err != nil {
		return err
	}
	done := make(chan error, 1)
	l.tell(task{fn, done})
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(time.Second):
			// The committer died, or the log was closed, before the task's turn: nobody will answer.
			if err := l.queue.check(); err != nil {
				select {
				case err := <-done:
					return err
				default:
					return fmt.Errorf("the committer is gone: %w", err)
				}
			}
		}
	}
}

func (q *queue) check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refusal()
}
