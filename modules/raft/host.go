package raft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options configure a host. ID, Log and Transport have to be set.
type Options struct {
	ID        NodeID
	Log       LogStore
	Transport Transport

	// Tick is the unit of Raft's time. Default 50 ms.
	Tick time.Duration
	// ElectionTicks is how long a member hears nothing of a leader before it asks for votes, up to twice as long at random.
	// Default 10.
	ElectionTicks int
	// HeartbeatTicks is how often a leader is heard of. Default 1.
	HeartbeatTicks int

	// MaxMessageBytes bounds the entries in one message. Default 1 MiB.
	MaxMessageBytes uint64
	// MaxInflight is how many messages to a member wait for its answer. Default 256.
	MaxInflight int
	// MaxUncommittedBytes bounds what a leader has appended and not committed. Default 256 MiB.
	MaxUncommittedBytes uint64
	// MaxCommandBytes bounds a command. Default 64 MiB.
	MaxCommandBytes int
	// MaxQueueBytes bounds a group's proposals that wait to be appended. Default 32 MiB.
	MaxQueueBytes int
	// Trailing is how many entries stay in the log behind what the state machine has durably, for members that are a little
	// behind. Default 10,000.
	Trailing uint64
	// TrailingBytes bounds the same entries by their bytes: whichever bound is lower counts. A leader keeps up to four times
	// as many bytes for a member that it hears of and that is behind: what it lacks is less than a snapshot, mostly. The log
	// is cut when it has twice as much as may stay. Default 64 MiB.
	TrailingBytes uint64

	// MaxClockDrift is how much faster the clock of one host may run than that of another, as a share: leases are shorter by
	// that much. Default 0.1. Negative: no leases, LeaseRead asks a majority each time.
	MaxClockDrift float64
	// Clock is a time that goes on while the process or the machine is stopped. Default: CLOCK_BOOTTIME, or what comes
	// closest to it.
	Clock func() time.Duration

	// Logger is told of failures and of who leads. Default slog.Default().
	Logger *slog.Logger
	// TracerProvider and MeterProvider default to the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// System runs the groups' actors. Default: one of its own.
	System *actor.ActorSystem
}

func (o *Options) defaults() error {
	if o.ID == 0 || o.Log == nil || o.Transport == nil {
		return errors.New("raft: a host needs an ID other than 0, a log store and a transport")
	}
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if o.Tick <= 0 {
		o.Tick = 50 * time.Millisecond
	}
	def(&o.ElectionTicks, 10)
	def(&o.HeartbeatTicks, 1)
	def(&o.MaxInflight, 256)
	def(&o.MaxCommandBytes, 64<<20)
	def(&o.MaxQueueBytes, 32<<20)
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 1 << 20
	}
	if o.MaxUncommittedBytes == 0 {
		o.MaxUncommittedBytes = 256 << 20
	}
	if o.Trailing == 0 {
		o.Trailing = 10_000
	}
	if o.TrailingBytes == 0 {
		o.TrailingBytes = 64 << 20
	}
	o.TrailingBytes = min(o.TrailingBytes, 1<<56)
	if o.MaxClockDrift == 0 {
		o.MaxClockDrift = 0.1
	}
	if o.Clock == nil {
		o.Clock = bootTime
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("node", uint64(o.ID))
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return nil
}

// Host runs the groups of one machine.
type Host struct {
	o       Options
	id      NodeID
	system  *actor.ActorSystem
	own     bool // the system is the host's
	writer  *writer
	metrics *instruments
	tracer  trace.Tracer
	ctx     context.Context
	cancel  context.CancelFunc
	ticking sync.WaitGroup

	mu      sync.Mutex
	groups  map[GroupID]*Group
	closed  bool
	failure error

	watching sync.Mutex
	watchers map[*Group]chan struct{}
}

// NewHost makes a host and begins to receive. Groups are opened one by one; the host owns log store and transport.
func NewHost(o Options) (*Host, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	h := &Host{o: o, id: o.ID, groups: map[GroupID]*Group{}, watchers: map[*Group]chan struct{}{}, system: o.System}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.tracer = o.TracerProvider.Tracer("github.com/bop-platform/bop/modules/raft")
	var err error
	if h.metrics, err = newInstruments(h); err != nil {
		return nil, fmt.Errorf("raft: registering metrics: %w", err)
	}
	if h.system == nil {
		logger := slog.New(warnings{o.Logger.Handler()})
		h.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return logger }))
		h.own = true
	}
	h.writer = newWriter(h)
	if err := o.Transport.Start(handler{h}); err != nil {
		h.cancel()
		h.writer.stop()
		h.metrics.close()
		return nil, fmt.Errorf("raft: starting the transport: %w", err)
	}
	h.ticking.Go(h.tick)
	return h, nil
}

// warnings leaves out what the actor system says of its daily life.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// tick tells all groups that time passes.
func (h *Host) tick() {
	t := time.NewTicker(h.o.Tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-h.ctx.Done():
			return
		}
		for _, g := range h.all() {
			g.add(func(b *inbox) { b.ticks++ })
		}
	}
}

func (h *Host) all() []*Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*Group, 0, len(h.groups))
	for _, g := range h.groups {
		list = append(list, g)
	}
	return list
}

// Group returns an open group, nil if there is none.
func (h *Host) Group(id GroupID) *Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.groups[id]
}

// SetPeer tells where a host is; "" forgets it.
func (h *Host) SetPeer(id NodeID, address string) { h.o.Transport.SetPeer(id, address) }

// Bootstrap writes the beginning of a group's log, on each of its first members before it is opened there, with the same
// voters everywhere. It does nothing to a group that is there already.
func (h *Host) Bootstrap(id GroupID, voters ...NodeID) error {
	i, err := h.o.Log.Initial(id)
	if err != nil {
		return fmt.Errorf("raft: looking for group %d: %w", id, err)
	}
	if i.Last > 0 || i.HardState != (HardState{}) {
		return nil
	}
	if len(voters) == 0 {
		return fmt.Errorf("%w: a group needs voters", ErrMembers)
	}
	members := &pb.ConfState{}
	for _, v := range voters {
		members.Voters = append(members.Voters, uint64(v))
	}
	u := Update{Group: id, Snapshot: first, Members: members, HardState: &HardState{Term: first.Term, Commit: first.Index}}
	if err := h.writer.write([]Update{u}); err != nil {
		return fmt.Errorf("raft: beginning group %d: %w", id, err)
	}
	return nil
}

// first is the place before a group's first entry: an empty state machine stands for it.
var first = Position{1, 1}

// Stalled is why nothing can be written to the host's log at present, nil if something can: its disk is full, and it is
// tried again. Meanwhile the host leads no group for long.
func (h *Host) Stalled() error {
	if err := h.writer.stalled.Load(); err != nil {
		return *err
	}
	return nil
}

// Open starts this host's member of a group: one that was bootstrapped, one that was open before, or one that its leader
// is about to add (Group.Change there), which waits until it hears of it.
func (h *Host) Open(id GroupID, sm StateMachine) (*Group, error) {
	if id == 0 {
		return nil, errors.New("raft: a group's number isn't 0")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.failure != nil {
		return nil, errors.Join(ErrStopped, h.failure)
	}
	if h.groups[id] != nil {
		return nil, fmt.Errorf("raft: group %d is open", id)
	}
	has, err := sm.Applied()
	if err != nil {
		return nil, fmt.Errorf("raft: opening group %d: %w", id, err)
	}
	start, _, err := h.o.Log.Bounds(id)
	if err != nil {
		return nil, fmt.Errorf("raft: opening group %d: %w", id, err)
	}
	if start.Index > first.Index && has.Index < start.Index {
		return nil, fmt.Errorf("raft: group %d: the state machine stands at %d, the log begins behind %d: its state was lost; remove the member and add it anew", id, has.Index, start.Index)
	}
	g := &Group{h: h, id: id, sm: sm, log: h.o.Logger.With("group", uint64(id)), stopped: make(chan struct{}), sending: map[NodeID]bool{},
		own: metric.WithAttributeSet(attribute.NewSet(attribute.Int64("group", int64(id))))}
	g.weights.step = h.o.TrailingBytes / 64
	g.record = []metric.RecordOption{g.own}
	g.r, err = newReplica(replicaOptions{
		group: id, id: h.id, store: h.o.Log, election: h.o.ElectionTicks, heartbeat: h.o.HeartbeatTicks, maxMessage: h.o.MaxMessageBytes,
		maxInflight: h.o.MaxInflight, maxUncommited: h.o.MaxUncommittedBytes, logger: g.log, clock: h.o.Clock, lease: h.o.lease(), snapshot: func() (*pb.Snapshot, error) { return g.r.offer() },
		failed: func(err error) { go h.fail(err) }, // it stops this group too, which is in the middle of something
	})
	if err != nil {
		return nil, err
	}
	g.applier = newApplier(g, has)
	g.publish()
	g.pid = h.spawn(g)
	h.groups[id] = g
	g.do(func() { g.r.take() }) // what was committed before
	return g, nil
}

// spawn runs an actor that is stopped when it fails: nothing is known about what it was doing.
func (h *Host) spawn(a actor.Actor) *actor.PID {
	never := actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })
	return h.system.Root.Copy().WithGuardian(never).Spawn(actor.PropsFromProducer(func() actor.Actor { return a }))
}

// Remove stops a group and forgets its log. The state machine's state stays.
func (h *Host) Remove(id GroupID) error {
	if err := h.Stop(id); err != nil {
		return err
	}
	return h.o.Log.Remove(id)
}

// Stop stops a group; Open starts it again.
func (h *Host) Stop(id GroupID) error {
	h.mu.Lock()
	g := h.groups[id]
	delete(h.groups, id)
	h.mu.Unlock()
	if g == nil {
		return nil
	}
	h.system.Root.Stop(g.pid)
	<-g.stopped
	<-g.applier.gone
	h.writer.forget(g)
	return nil
}

// fail stops all groups: what the disk has isn't known.
func (h *Host) fail(err error) {
	h.mu.Lock()
	if h.failure != nil {
		h.mu.Unlock()
		return
	}
	h.failure = err
	h.mu.Unlock()
	h.o.Logger.Error("the log store failed; this host's members take no part until it is started again", "err", err)
	for _, g := range h.all() {
		g.fail(fmt.Errorf("%w: the log store failed: %w", ErrStopped, err))
	}
}

// Err is why the host takes no part any more, nil while it does.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure
}

// Close stops all groups, the transport and the log store.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.ticking.Wait()
	err := h.o.Transport.Close()
	for _, g := range h.all() {
		h.Stop(g.id)
	}
	h.writer.stop()
	if h.own {
		h.system.Shutdown()
	}
	h.metrics.close()
	return errors.Join(err, h.o.Log.Close())
}

// watch returns a channel that is closed when the group's status changes.
func (h *Host) watch(g *Group) <-chan struct{} {
	h.watching.Lock()
	defer h.watching.Unlock()
	if h.watchers[g] == nil {
		h.watchers[g] = make(chan struct{})
	}
	return h.watchers[g]
}

func (h *Host) notify(g *Group) {
	h.watching.Lock()
	defer h.watching.Unlock()
	if c := h.watchers[g]; c != nil {
		close(c)
		delete(h.watchers, g)
	}
}

// handler is what the transport tells.
type handler struct{ h *Host }

// Receive implements Handler.
func (x handler) Receive(from NodeID, messages []Message) {
	waits := false
	defer func() {
		if waits { // for the disk, behind all groups: with one fsync
			x.h.writer.lend()
		}
	}()
	if len(messages) > 0 && messages[0].Group != messages[len(messages)-1].Group {
		defer x.h.cork()()
	}
	var g *Group
	for i := 0; i < len(messages); {
		id := messages[i].Group
		var list []*pb.Message
		for i < len(messages) && messages[i].Group == id {
			if NodeID(messages[i].GetFrom()) == from {
				list = append(list, messages[i].Message)
			}
			i++
		}
		if g == nil || g.id != id {
			g = x.h.Group(id)
		}
		if g != nil && len(list) > 0 {
			// Heartbeats must not wait for a disk, not even a slow one.
			disk := slices.ContainsFunc(list, func(m *pb.Message) bool { return m.GetType() != pb.MsgHeartbeat && m.GetType() != pb.MsgHeartbeatResp })
			waits = waits || disk
			g.lend(disk, func(b *inbox) { b.messages = append(b.messages, list...) })
		}
	}
}

// cork holds messages back until the returned function is called, if the transport can.
func (h *Host) cork() (uncork func()) {
	t, ok := h.o.Transport.(Corked)
	if !ok {
		return func() {}
	}
	t.Cork()
	return t.Uncork
}

// ReceiveSnapshot implements Handler.
func (x handler) ReceiveSnapshot(ctx context.Context, from NodeID, m Message, body io.Reader) error {
	g := x.h.Group(m.Group)
	if g == nil {
		return fmt.Errorf("raft: group %d isn't open on node %d", m.Group, x.h.id)
	}
	if NodeID(m.GetFrom()) != from {
		return fmt.Errorf("raft: a snapshot of node %d came from node %d", m.GetFrom(), from)
	}
	return g.receiveSnapshot(ctx, m.Message, body)
}

// Unreachable implements Handler.
func (x handler) Unreachable(to NodeID) {
	for _, g := range x.h.all() {
		g.do(func() {
			g.r.rn.ReportUnreachable(uint64(to))
			g.r.take()
		})
	}
}
