package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"
)

// Group is this host's member of a group. Its methods may be called concurrently.
type Group struct {
	h   *Host
	id  GroupID
	sm  StateMachine
	log *slog.Logger
	pid *actor.PID
	own metric.MeasurementOption // the attributes of its figures
	// record is own for the figures that each commit makes.
	record []metric.RecordOption

	lease     atomic.Int64  // the end of this leader's lease by the host's clock, 0 if it has none
	committed atomic.Uint64 // index that is known to be committed
	effective atomic.Uint64 // index up to which entries were applied

	// running is held by whoever does the actor's work. What follows is owned by it.
	running   sync.Mutex
	r         *replica
	applier   *applier
	held      []*pb.Message   // appends that wait for a snapshot's restoring
	restoring bool            //
	incoming  *snapshotBody   // of the snapshot message that is being stepped
	later     []whenApplied   //
	current   inbox           // what is being worked off
	sending   map[NodeID]bool // snapshots on their way; true: another one was asked for
	appending int             // appends of entries that the writer has
	lent      bool            // whoever does the actor's work does the writer's afterwards
	effect    Position        // up to where it was seen that entries were applied
	clock     int             // ticks that have passed
	heard     map[NodeID]int  // when a leader last saw that another member is active, by clock
	idle      int             // ticks since a leader has published what it knows of the others
	notices   notices
	weights   weights

	// Owned by the host's writer.
	hard HardState // as the group wants it on disk
	late bool      // its commit index isn't there yet

	// mu guards what follows.
	mu     sync.Mutex
	box    inbox
	awake  bool // the actor was told
	status Status
	err    error // why it stopped
	leadCh chan struct{}

	stopped chan struct{}
	ending  sync.Once
}

// publishTicks is how often a leader publishes what it knows of the others when nothing happens.
const publishTicks = 10

// inbox is what waits for the actor.
type inbox struct {
	ticks     int
	messages  []*pb.Message
	proposals []*proposal
	bytes     int // of proposals
	reads     []func(Position, any, error)
	tasks     []func()
	written   int // appends of entries that are on disk now
}

type whenApplied struct {
	index uint64
	f     func()
}

// wake tells the group's actor that something waits.
type wake struct{}

// ID is the group's number.
func (g *Group) ID() GroupID { return g.id }

// Propose appends a command and returns its place and what the state machine made of it, when it was applied here. Errors:
// ErrNotLeader, ErrDropped and ErrSuperseded mean that it has no effect; ErrUnknown, and that of a context that ended, that
// it may have.
func (g *Group) Propose(ctx context.Context, data []byte) (Position, any, error) {
	w := waiters.Get().(*waiter)
	if err := g.Submit(ctx, Proposal{Data: data, Done: w.told}); err != nil {
		waiters.Put(w)
		return Position{}, nil, err
	}
	select {
	case a := <-w.c:
		waiters.Put(w)
		return a.at, a.result, a.err
	case <-ctx.Done(): // its answer is still to come
		return Position{}, nil, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

// waiter waits for the answer to one proposal, and then for the next.
type waiter struct {
	c    chan answer
	told func(at Position, result any, err error)
}

type answer struct {
	at     Position
	result any
	err    error
}

var waiters = sync.Pool{New: func() any {
	c := make(chan answer, 1)
	return &waiter{c, func(at Position, result any, err error) { c <- answer{at, result, err} }}
}}

// ProposeAsync is Propose that calls back. Commands are appended in the order of the calls. It waits only for room:
// Options.MaxQueueBytes bounds what waits. done is called once, by a goroutine that it must not block; an error that is
// returned means that it isn't called. data isn't kept.
func (g *Group) ProposeAsync(ctx context.Context, data []byte, done func(at Position, result any, err error)) error {
	return g.Submit(ctx, Proposal{Data: data, Done: done})
}

// Proposal is a command, and who hears of it.
type Proposal struct {
	Data []byte
	// Stored, if it is set, is called when the entry is on this member's disk: the members may still lose it to another
	// leader. It isn't called for an entry that was decided before that was known, nor after the leadership has ended. It
	// must not block.
	Stored func(at Position)
	// Done is called once, in whatever order, and must not block. Its arguments are what Propose returns.
	Done func(at Position, result any, err error)
}

// Submit is ProposeAsync for those who want to hear more.
func (g *Group) Submit(ctx context.Context, c Proposal) error {
	data := c.Data
	if len(data) > g.h.o.MaxCommandBytes {
		return fmt.Errorf("%w: a command of %d bytes, the limit is %d", ErrDropped, len(data), g.h.o.MaxCommandBytes)
	}
	b := append(make([]byte, 0, 1+len(data)), kindCommand)
	p := &proposal{kind: pb.EntryNormal, data: append(b, data...), told: c.Done, stored: c.Stored, g: g, started: time.Now()}
	ctx, p.span = g.h.startSpan(ctx, g, len(data))
	if p.span != nil {
		p.traced = &tracing{ctx: context.WithoutCancel(ctx)}
	}
	if err := g.enqueue(ctx, p); err != nil {
		endSpan(p.span, err)
		return err
	}
	return nil
}

func (g *Group) enqueue(ctx context.Context, p *proposal) error {
	for {
		g.mu.Lock()
		if g.err != nil {
			defer g.mu.Unlock()
			return g.err
		}
		if g.box.bytes == 0 || g.box.bytes+len(p.data) <= g.h.o.MaxQueueBytes {
			g.box.proposals = append(g.box.proposals, p)
			g.box.bytes += len(p.data)
			g.told()
			return nil
		}
		if g.leadCh == nil {
			g.leadCh = make(chan struct{})
		}
		room := g.leadCh
		g.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("%w: waiting for room: %w", ErrDropped, context.Cause(ctx))
		}
	}
}

// ReadIndex returns when everything that was committed before the call, by whatever member, is applied here: what is
// read from the state machine then is linearizable. It works on every member, the leader is asked. Reads that come
// together share one round of messages.
func (g *Group) ReadIndex(ctx context.Context) (uint64, error) {
	c := make(chan answer, 1)
	g.mu.Lock()
	if g.err != nil {
		defer g.mu.Unlock()
		return 0, g.err
	}
	g.box.reads = append(g.box.reads, func(at Position, _ any, err error) { c <- answer{at: at, err: err} })
	g.told()
	select {
	case a := <-c:
		return a.at.Index, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// told wakes the actor and unlocks mu.
func (g *Group) told() {
	tell := !g.awake
	g.awake = true
	g.mu.Unlock()
	if tell {
		g.h.system.Root.Send(g.pid, wake{})
	}
}

func (g *Group) add(f func(*inbox)) bool {
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		return false
	}
	f(&g.box)
	g.told()
	return true
}

// lend is add by a goroutine that can do the actor's work itself: if the actor rests it needn't be woken, which saves a
// change of goroutines on the way of each commit. The caller must hold no lock that a callback might want. disk: it calls
// writer.lend afterwards, which may wait for the disk in the writer's place.
func (g *Group) lend(disk bool, f func(*inbox)) bool {
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		return false
	}
	f(&g.box)
	mine := !g.awake
	g.awake = true
	g.mu.Unlock()
	if mine {
		g.run(disk)
	}
	return true
}

// run works off what waits, for the actor or in its place. awake says that somebody does.
func (g *Group) run(disk bool) {
	g.running.Lock()
	defer g.running.Unlock()
	g.lent = disk
	defer func() {
		if p := recover(); p != nil {
			g.fail(fmt.Errorf("raft: group %d panicked: %v", g.id, p))
			g.finish()
		}
	}()
	for g.turn() {
	}
}

// do runs f in the group's actor.
func (g *Group) do(f func()) bool { return g.add(func(b *inbox) { b.tasks = append(b.tasks, f) }) }

// Receive handles the actor's messages.
func (g *Group) Receive(c actor.Context) {
	switch c.Message().(type) {
	case wake:
		g.run(false)
	case *actor.Stopped:
		g.fail(ErrStopped)
		g.running.Lock()
		defer g.running.Unlock()
		g.finish()
	}
}

// turn works off what waits. It reports whether there was anything.
func (g *Group) turn() bool {
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		g.finish()
		return false
	}
	b := g.box
	g.box = inbox{}
	g.appending -= b.written
	if g.appending > 0 && b.bytes < int(g.h.o.MaxMessageBytes) && g.r.role == etcd.StateLeader {
		// The disk is busy with what came before. What comes meanwhile goes as one batch, here and to the others, when that
		// is done: it couldn't be written earlier anyway.
		g.box.proposals, g.box.bytes = b.proposals, b.bytes
		b.proposals, b.bytes = nil, 0
	}
	g.current = b
	if b.ticks == 0 && b.written == 0 && len(b.messages)+len(b.proposals)+len(b.reads)+len(b.tasks) == 0 {
		g.awake = false
		g.mu.Unlock()
		return false
	}
	if g.leadCh != nil && len(g.box.proposals) == 0 {
		close(g.leadCh)
		g.leadCh = nil
	}
	g.mu.Unlock()
	for _, f := range b.tasks {
		f()
	}
	for _, m := range b.messages {
		g.r.step(m)
	}
	if len(b.proposals) > 0 {
		g.current.proposals = nil
		g.r.propose(b.proposals)
	}
	g.current.reads = nil
	for _, done := range b.reads {
		g.r.reads.add(done)
	}
	g.r.reads.ask(g.r)
	for range min(b.ticks, 2) { // a process that was stopped doesn't make up for lost time
		g.r.tick()
	}
	g.listen(b.ticks)
	if g.idle += b.ticks; g.idle >= publishTicks && g.r.role == etcd.StateLeader {
		g.idle = 0
		g.r.out.changed = true // how far the others are has its own pace
	}
	g.dispatch()
	return true
}

// dispatch hands out the work that the replica wants done.
func (g *Group) dispatch() {
	g.dispatchLease()
	w := g.r.flush()
	traced := g.replicating(w.traced)
	for _, m := range w.appends {
		switch {
		case m.GetSnapshot() != nil && !etcd.IsEmptySnap(m.GetSnapshot()):
			g.restore(m)
		case g.restoring:
			g.held = append(g.held, m)
		default:
			if len(m.GetEntries()) > 0 {
				g.appending++
			}
			g.h.writer.add(g, g.lent, traced, m)
			traced = nil // with the first: which of them has which proposal doesn't matter to a trace
		}
	}
	g.deliver(g.hold(w.sends))
	g.replicated()
	for _, m := range w.applies {
		g.weights.add(m.GetEntries())
		g.applier.add(g.applying(m))
	}
	switch {
	case g.r.applied != g.effect:
		// Not where the state machine's answer comes in: a change of members takes effect later.
		g.effect = g.r.applied
		g.afterApply()
	case w.changed:
		g.publish()
	}
	for _, e := range w.ended {
		e.who.done(e.at, e.result, e.err)
	}
}

// dispatchLease makes the end of the lease known before anything leaves that may end it, and what is committed before
// anybody else hears of it.
func (g *Group) dispatchLease() {
	g.lease.Store(int64(g.r.leaseEnd))
	g.committed.Store(g.r.commit)
	g.effective.Store(g.r.applied.Index)
}

// deliver hands messages to the transport: those to one member together.
func (g *Group) deliver(list []*pb.Message) {
	for len(list) > 0 {
		to := list[0].GetTo()
		batch := make([]Message, 0, len(list))
		rest := list[:0]
		for _, m := range list {
			switch {
			case m.GetTo() != to:
				rest = append(rest, m)
			case m.GetType() == pb.MsgSnap:
				g.sendSnapshot(m)
			default:
				batch = append(batch, Message{g.id, m})
			}
		}
		list = rest
		if len(batch) > 0 {
			g.h.o.Transport.Send(NodeID(to), batch)
		}
	}
}

// applied takes what the applier has done.
func (g *Group) applied(m *pb.Message, results []any) { g.r.done(m, results) }

func (g *Group) afterApply() {
	kept := g.later[:0]
	for _, w := range g.later {
		if w.index > g.r.applied.Index {
			kept = append(kept, w)
			continue
		}
		w.f()
	}
	g.later = kept
	g.publish()
	g.compact()
}

// fail makes the group's actor stop it for good.
func (g *Group) fail(err error) {
	g.mu.Lock()
	first := g.err == nil
	if first {
		g.err = err
	}
	g.mu.Unlock()
	if first {
		if !errors.Is(err, ErrStopped) {
			g.log.Error("a group has stopped", "err", err)
		}
		g.h.system.Root.Send(g.pid, wake{})
	}
}

// finish tells everybody who waits that the group has stopped. It runs in the group's actor.
func (g *Group) finish() {
	g.ending.Do(func() {
		g.mu.Lock()
		err := g.err
		b := g.box
		g.box = inbox{}
		if g.leadCh != nil {
			close(g.leadCh)
			g.leadCh = nil
		}
		g.mu.Unlock()
		for _, p := range slices.Concat(g.current.proposals, b.proposals) {
			p.done(Position{}, nil, fmt.Errorf("%w: %w", ErrDropped, err))
		}
		for _, done := range slices.Concat(g.current.reads, b.reads) {
			done(Position{}, nil, err)
		}
		g.r.stop()
		for _, e := range g.r.flush().ended {
			e.who.done(e.at, e.result, e.err)
		}
		g.applier.stop()
		close(g.stopped)
	})
}

// Err is why the group stopped, nil while it runs.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Transfer hands leadership over to another member, which must be caught up soon. It returns when another member leads.
func (g *Group) Transfer(ctx context.Context, to NodeID) error {
	var refusal error
	asked := make(chan struct{})
	if !g.do(func() {
		defer close(asked)
		if g.r.role != etcd.StateLeader {
			refusal = &NotLeaderError{g.id, g.r.leader}
			return
		}
		g.r.transfer(uint64(to))
		g.dispatchLease()
	}) {
		return g.Err()
	}
	select {
	case <-asked:
	case <-g.stopped:
		return g.Err()
	}
	if refusal != nil {
		return refusal
	}
	_, err := g.Wait(ctx, func(s Status) bool { return s.Leader != 0 && s.Leader != g.h.id })
	return err
}

// AddMember adds a node as a learner and makes it a voter as soon as it has caught up: until then it can't hold up
// commits. It returns when it votes. If ctx ends before, the node stays a learner; AddMember goes on from there.
func (g *Group) AddMember(ctx context.Context, id NodeID) error {
	s := g.Status()
	if slices.Contains(s.Voters, id) {
		return nil
	}
	if !slices.Contains(s.Learners, id) {
		if err := g.Change(ctx, Change{id, AddLearner}); err != nil {
			return err
		}
	}
	s, err := g.Wait(ctx, func(s Status) bool {
		i := slices.IndexFunc(s.Peers, func(p Peer) bool { return p.Node == id })
		return !s.Leads || i >= 0 && s.Peers[i].Match+caughtUp >= s.Commit
	})
	if err != nil {
		return fmt.Errorf("raft: waiting until node %d has caught up: %w", id, err)
	}
	if !s.Leads {
		return &NotLeaderError{g.id, s.Leader}
	}
	return g.Change(ctx, Change{id, AddVoter})
}

// caughtUp is how many entries a learner may be behind when it becomes a voter.
const caughtUp = 1000

// Change is one of members.
type Change struct {
	Node NodeID
	Kind ChangeKind
}

// ChangeKind says how.
type ChangeKind uint8

// The kinds.
const (
	AddLearner ChangeKind = iota // gets everything, doesn't vote
	AddVoter                     // or makes a learner one
	Remove
)

// Change changes the members, several at once through a joint configuration: at no moment can two majorities decide
// apart. It returns when the change is committed and applied here.
func (g *Group) Change(ctx context.Context, changes ...Change) error {
	data, err := encodeChanges(changes)
	if err != nil {
		return err
	}
	c := make(chan error, 1)
	err = g.enqueue(ctx, &proposal{kind: pb.EntryConfChangeV2, data: data, told: func(_ Position, _ any, err error) { c <- err }})
	if err != nil {
		return err
	}
	select {
	case err := <-c:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

func encodeChanges(changes []Change) ([]byte, error) {
	cc := &pb.ConfChangeV2{}
	for _, c := range changes {
		t, ok := map[ChangeKind]pb.ConfChangeType{
			AddLearner: pb.ConfChangeAddLearnerNode, AddVoter: pb.ConfChangeAddNode, Remove: pb.ConfChangeRemoveNode,
		}[c.Kind]
		if !ok || c.Node == 0 {
			return nil, fmt.Errorf("%w: %+v", ErrMembers, c)
		}
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: t.Enum(), NodeId: new(uint64(c.Node))})
	}
	if len(changes) == 0 {
		return nil, fmt.Errorf("%w: no change", ErrMembers)
	}
	return proto.Marshal(cc)
}

// Campaign makes this member ask for votes now, unless it knows of a leader.
func (g *Group) Campaign() error {
	if !g.do(func() {
		if g.r.leader != 0 || g.r.fresh > 0 && len(g.r.voters()) > 1 {
			return // its own vote would be one that it must not give
		}
		if err := g.r.rn.Campaign(); err != nil {
			g.log.Debug("campaigning failed", "err", err)
		}
		g.r.take()
	}) {
		return g.Err()
	}
	return nil
}

// snapshotBody is a snapshot that is being received.
type snapshotBody struct {
	body io.Reader
	done chan error
}
