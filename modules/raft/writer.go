package raft

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// writer is the actor that makes durable what all groups of a host want: whatever has come together while the last round
// was written is the next one, with one fsync.
type writer struct {
	h   *Host
	pid *actor.PID
	end chan struct{}

	mu     sync.Mutex
	queue  []storageAppend
	awake  bool
	closed bool

	stalled atomic.Pointer[error] // why nothing can be written at present

	turn    sync.Mutex   // held while a round is worked off
	rested  atomic.Int64 // when the last round has ended, in nanoseconds since 1970
	writing sync.Mutex   // LogStore.Write is for one at a time
}

// storageAppend is a MsgStorageAppend of a group.
type storageAppend struct {
	g      *Group
	m      *pb.Message
	traced []context.Context // of proposals in it
}

func newWriter(h *Host) *writer {
	w := &writer{h: h, end: make(chan struct{})}
	w.pid = h.spawn(w)
	return w
}

// add queues what a group wants written. later: the caller calls lend as soon as it holds nothing, so that the actor needn't
// be woken.
func (w *writer) add(g *Group, later bool, traced []context.Context, list ...*pb.Message) {
	w.mu.Lock()
	for _, m := range list {
		w.queue = append(w.queue, storageAppend{g, m, traced})
		traced = nil
	}
	tell := !later && !w.awake && !w.closed && len(w.queue) > 0
	w.awake = w.awake || tell
	w.mu.Unlock()
	if tell {
		w.h.system.Root.Send(w.pid, wake{})
	}
}

// lend does the actor's work in the caller's goroutine if something waits and nobody does it yet.
func (w *writer) lend() {
	w.mu.Lock()
	todo := !w.awake && !w.closed && len(w.queue) > 0
	w.awake = w.awake || todo
	w.mu.Unlock()
	switch {
	case todo && time.Now().UnixNano()-w.rested.Load() < int64(busy):
		// The disk has hardly rested: more will come, and whoever reads it from the network should go on.
		w.h.system.Root.Send(w.pid, wake{})
	case todo:
		for w.round() {
		}
	}
}

// busy is the rest below which the disk counts as being in constant use.
const busy = 50 * time.Microsecond

// Receive handles the actor's messages.
func (w *writer) Receive(c actor.Context) {
	switch c.Message().(type) {
	case wake:
		for w.round() {
		}
	case *actor.Stopped:
		close(w.end)
	}
}

func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.h.system.Root.Stop(w.pid)
	<-w.end
}

// forget drops what a stopped group still wanted written, and waits for what is being written: a group that is opened anew
// must find all of it in its log, or nothing. On a full disk that could take for ever; the group isn't opened anew then.
func (w *writer) forget(g *Group) {
	w.mu.Lock()
	w.queue = slices.DeleteFunc(w.queue, func(a storageAppend) bool { return a.g == g })
	w.mu.Unlock()
	for !w.turn.TryLock() {
		if w.stalled.Load() != nil || w.h.ctx.Err() != nil {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
	w.turn.Unlock()
}

// round writes what has come together. It reports whether there was anything.
func (w *writer) round() bool {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	list := w.queue
	w.queue = nil
	if len(list) == 0 || w.closed {
		w.awake = false
		w.mu.Unlock()
		return false
	}
	w.mu.Unlock()
	updates := make([]Update, 0, len(list))
	for _, a := range list {
		u, any := update(a.g.id, a.m)
		if !any || w.deferrable(a, u) {
			continue
		}
		if a.g.late {
			h := a.g.hard
			u.HardState, a.g.late = &h, false
		}
		updates = append(updates, u)
	}
	if len(updates) > 0 {
		started := time.Now()
		var spans []trace.Span
		for _, a := range list {
			for _, ctx := range a.traced {
				_, span := w.h.tracer.Start(ctx, "raft.append", trace.WithAttributes(attribute.Int("updates", len(updates))))
				spans = append(spans, span)
			}
		}
		err := w.insist(updates)
		for _, span := range spans {
			endSpan(span, err)
		}
		if err != nil {
			w.h.fail(err)
			return false
		}
		w.h.metrics.wrote(started, len(updates))
	}
	w.rested.Store(time.Now().UnixNano())
	if list[0].g != list[len(list)-1].g {
		defer w.h.cork()()
	}
	for _, a := range list {
		a.g.answered(a.m)
	}
	return true
}

// deferrable tells whether an update says nothing but how far the group has committed. That needn't be on disk before
// anybody is told of anything: it goes with the group's next update, in place of an fsync of its own for each commit. A
// change of members is what must not take effect before (replica.remember).
func (w *writer) deferrable(a storageAppend, u Update) bool {
	h := u.HardState
	before := a.g.hard
	if h != nil {
		a.g.hard = *h
	}
	if h == nil || before.Term == 0 || len(u.Entries) > 0 || u.Snapshot.Index > 0 || h.Term != before.Term || h.Vote != before.Vote {
		return false
	}
	for _, r := range a.m.GetResponses() {
		if len(r.GetContext()) > 0 {
			return false
		}
	}
	a.g.late = true
	return true
}

// insist writes, and waits while the disk is full. Meanwhile others may lead.
func (w *writer) insist(updates []Update) error {
	for tries := 0; ; tries++ {
		err := w.write(updates)
		if err == nil || !errors.Is(err, ErrRetry) {
			if tries > 0 {
				w.stalled.Store(nil)
			}
			return err
		}
		w.stalled.Store(&err)
		if tries%retryNote == 0 {
			w.h.o.Logger.Error("the log can't be written, it is tried again", "err", err)
		}
		if tries%retryNote == 1 {
			for _, g := range w.h.all() {
				g.do(g.yield)
			}
		}
		select {
		case <-time.After(retryPause):
		case <-w.h.ctx.Done():
			return err
		}
	}
}

const (
	retryPause = 200 * time.Millisecond
	retryNote  = 50 // tries between two notes in the log
)

// yield hands leadership over to whoever is furthest. It runs in the group's actor.
func (g *Group) yield() {
	if g.r.role != etcd.StateLeader {
		return
	}
	var best, match uint64
	g.r.rn.WithProgress(func(id uint64, t etcd.ProgressType, p tracker.Progress) {
		if NodeID(id) != g.r.id && t == etcd.ProgressTypePeer && (best == 0 || p.Match > match) {
			best, match = id, p.Match
		}
	})
	if best != 0 {
		g.log.Warn("handing leadership over: the log can't be written here", "to", best)
		g.r.transfer(best)
	}
}

func (w *writer) write(updates []Update) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.h.o.Log.Write(updates)
}

// update is what a MsgStorageAppend asks for; any is false if it is nothing.
func update(id GroupID, m *pb.Message) (u Update, any bool) {
	u.Group = id
	if s := m.GetSnapshot(); s != nil && s.GetMetadata().GetIndex() > 0 {
		u.Snapshot = Position{s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()}
		u.Members = s.GetMetadata().GetConfState()
	}
	u.Entries = m.GetEntries()
	if m.Term != nil && (m.GetTerm() != 0 || m.GetVote() != 0 || m.GetCommit() != 0) {
		u.HardState = &HardState{m.GetTerm(), m.GetVote(), m.GetCommit()}
	}
	return u, u.Snapshot.Index > 0 || len(u.Entries) > 0 || u.HardState != nil
}

// answered delivers the answers of the storage: to this member, and to others what had to wait for the disk.
func (g *Group) answered(done *pb.Message) {
	var own, others []*pb.Message
	for _, m := range done.GetResponses() {
		if NodeID(m.GetTo()) == g.h.id {
			own = append(own, m)
		} else {
			others = append(others, m)
		}
	}
	if len(others) > 0 {
		g.deliver(others)
	}
	entries := len(done.GetEntries()) > 0
	if len(own) == 0 && !entries {
		return
	}
	g.lend(false, func(b *inbox) {
		b.messages = append(b.messages, own...)
		if entries {
			b.written++
		}
	})
}
