package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// applier runs a group's state machine, in a goroutine of its own: a slow one holds up neither the group nor the host.
type applier struct {
	g    *Group
	has  Position // what the state machine has; entries up to it are passed over
	seen Position // the last entry that was looked at
	gone chan struct{}
	ctx  context.Context
	quit context.CancelFunc

	mu     sync.Mutex
	queue  []task
	more   sync.Cond
	closed bool
}

// task is a MsgStorageApply, or something else to be done between two of them.
type task struct {
	m *pb.Message
	f func() error
}

func newApplier(g *Group, has Position) *applier {
	a := &applier{g: g, has: has, seen: first, gone: make(chan struct{})}
	a.more.L = &a.mu
	a.ctx, a.quit = context.WithCancel(g.h.ctx)
	go a.run()
	return a
}

func (a *applier) add(t task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, t)
	a.more.Signal()
}

func (a *applier) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.quit()
	a.more.Signal()
}

func (a *applier) run() {
	defer close(a.gone)
	defer a.quit()
	for {
		a.mu.Lock()
		for len(a.queue) == 0 && !a.closed {
			a.more.Wait()
		}
		if a.closed {
			a.mu.Unlock()
			return
		}
		t := a.queue[0]
		a.queue = a.queue[1:]
		a.mu.Unlock()
		if err := a.do(t); err != nil {
			if !errors.Is(err, context.Canceled) {
				a.g.fail(fmt.Errorf("raft: the state machine of group %d failed: %w", a.g.id, err))
			}
			return
		}
	}
}

func (a *applier) do(t task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	if t.f != nil {
		return t.f()
	}
	return a.work(t.m, nil)
}

// work does what m asks for. traced are the requests whose proposals are in it.
func (a *applier) work(m *pb.Message, traced []context.Context) error {
	results, err := a.apply(m, traced)
	if err != nil {
		return err
	}
	a.g.lend(false, func(b *inbox) { b.tasks = append(b.tasks, func() { a.g.applied(m, results) }) })
	return nil
}

// apply gives the state machine the commands that it doesn't have yet. There is a result for each command.
func (a *applier) apply(m *pb.Message, traced []context.Context) ([]any, error) {
	var entries []Entry
	commands := 0
	for _, e := range m.GetEntries() {
		if e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
			continue
		}
		commands++
		if e.GetIndex() > a.has.Index {
			entries = append(entries, Entry{Position{e.GetIndex(), e.GetTerm()}, e.GetData()[1:]})
		}
	}
	if n := len(m.GetEntries()); n > 0 {
		e := m.GetEntries()[n-1]
		defer func() { a.seen = Position{e.GetIndex(), e.GetTerm()} }()
	}
	results := make([]any, commands)
	if len(entries) > 0 {
		started := time.Now()
		ctx, spans := a.g.applySpans(a.ctx, traced, len(entries))
		got, err := a.g.sm.Apply(ctx, entries)
		for _, span := range spans {
			endSpan(span, err)
		}
		if err != nil {
			return nil, err
		}
		if len(got) != 0 && len(got) != len(entries) {
			return nil, fmt.Errorf("it gave %d results for %d commands", len(got), len(entries))
		}
		copy(results[commands-len(entries):], got)
		a.has = entries[len(entries)-1].Position
		a.g.h.metrics.applied(a.g, started, len(entries))
	}
	return results, nil
}

// restore makes the state machine take a snapshot that Raft has accepted. It comes before the log is replaced: after a
// crash in between the log is still whole, and the state machine passes over what it has.
func (g *Group) restore(m *pb.Message) {
	in := g.incoming
	g.incoming = nil
	g.restoring = true
	meta := m.GetSnapshot().GetMetadata()
	at := Position{meta.GetIndex(), meta.GetTerm()}
	g.applier.add(task{f: func() error {
		if in == nil {
			return errors.New("a snapshot came without its body")
		}
		if at.Index > g.applier.has.Index {
			started := time.Now()
			err := g.sm.Restore(g.applier.ctx, at, in.body)
			g.h.metrics.restored(g, started, err)
			if err != nil {
				in.done <- err
				return fmt.Errorf("restoring a snapshot at %d: %w", at.Index, err)
			}
			g.applier.has = at
		}
		g.applier.seen = at
		in.done <- nil
		g.do(func() {
			g.r.restored(meta)
			g.weights.reset(at.Index)
			g.restoring = false
			held := g.held
			g.held = nil
			for _, x := range held {
				if len(x.GetEntries()) > 0 {
					g.appending++
				}
			}
			g.h.writer.add(g, false, nil, m)
			g.h.writer.add(g, false, nil, held...)
			g.afterApply()
		})
		return nil
	}})
}

// receiveSnapshot steps a snapshot message with its body, and returns when the state machine has taken it, or when Raft had
// no use for it.
func (g *Group) receiveSnapshot(ctx context.Context, m *pb.Message, body io.Reader) error {
	in := &snapshotBody{body: body, done: make(chan error, 1)}
	if !g.do(func() {
		if g.restoring {
			in.done <- errors.New("raft: another snapshot is being restored")
			return
		}
		g.incoming = in
		g.r.step(m)
		g.dispatch()
		if g.incoming == in {
			g.incoming = nil
			in.done <- nil // it is older than what is here
		}
	}) {
		return g.Err()
	}
	select {
	case err := <-in.done:
		return err
	case <-g.stopped:
		return g.Err()
	}
}

// sendSnapshot makes a snapshot and sends it, beside everything else.
func (g *Group) sendSnapshot(m *pb.Message) {
	to := NodeID(m.GetTo())
	if _, busy := g.sending[to]; busy {
		g.sending[to] = true
		return
	}
	g.sending[to] = false
	finished := func(err error) {
		g.do(func() {
			status := etcd.SnapshotFinish
			if g.sending[to] { // another one was asked for meanwhile
				status = etcd.SnapshotFailure
			}
			delete(g.sending, to)
			if err != nil {
				status = etcd.SnapshotFailure
				g.log.Warn("sending a snapshot failed, it will be tried again", "to", uint64(to), "err", err)
			}
			g.r.rn.ReportSnapshot(uint64(to), status)
			g.r.take()
		})
	}
	g.applier.add(task{f: func() error {
		started := time.Now()
		at, body, err := g.sm.Snapshot(g.applier.ctx)
		if err != nil {
			finished(fmt.Errorf("making it: %w", err))
			return nil
		}
		if seen := g.applier.seen; at.Index < seen.Index {
			at = seen // what came since was no command
		}
		go func() {
			err := g.stream(to, m, at, body)
			g.h.metrics.snapshot(g, started, err)
			finished(err)
		}()
		return nil
	}})
}

// stream sends a snapshot that stands for at.
func (g *Group) stream(to NodeID, m *pb.Message, at Position, body io.ReadSeekCloser) error {
	ready := make(chan error, 1)
	if !g.do(func() {
		g.later = append(g.later, whenApplied{at.Index, func() {
			if g.r.memberAt > at.Index {
				ready <- errors.New("the members changed meanwhile")
				return
			}
			m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &at.Index, Term: &at.Term, ConfState: g.r.members}}
			ready <- nil
		}})
		g.afterApply()
	}) {
		return errors.Join(g.Err(), body.Close())
	}
	var err error
	select {
	case err = <-ready:
	case <-g.stopped:
		err = ErrStopped
	}
	if err == nil {
		err = g.h.o.Transport.SendSnapshot(g.applier.ctx, to, Message{g.id, m}, body)
	}
	return errors.Join(err, body.Close())
}
