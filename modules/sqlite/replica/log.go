package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/seglog"
	"github.com/bop-platform/bop/modules/sqlite"
)

// Group is the number of the group that has the databases.
const Group raft.GroupID = 1

// admitBytes is how much may be on its way to the quorum before Admit makes writers wait.
const admitBytes = 16 << 20

// Options configure a Log. Dir, Node and Transport have to be set.
type Options struct {
	// Dir is the data folder: the parent log is in Dir/log, the databases' logs are in Dir/segments.
	Dir string
	// Node is this server, Transport what connects it with the others.
	Node      raft.NodeID
	Transport raft.Transport
	// Voters are the first members of a new group, the same on each of them. Without any, a new server waits until its
	// group's leader adds it.
	Voters []raft.NodeID
	// Name names servers. Default: their numbers.
	Name func(raft.NodeID) string

	// Raft configures the host: Tick, ElectionTicks and the like.
	Raft raft.Options
	// Parent and Segments configure the files.
	Parent, Segments aof.Options

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	System         *actor.ActorSystem // required
}

// Log is a sqlite.ReplicatedLog.
type Log struct {
	o        Options
	store    *seglog.Store
	segments *seglog.Segments
	host     *raft.Host

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	group atomic.Pointer[raft.Group]
	epoch atomic.Uint64 // under which records are taken here, 0: none are

	mu       sync.Mutex
	replica  sqlite.Replica
	leader   string
	inFlight int64
	room     chan struct{} // closed when something in flight has landed; nil if nobody waits
	watchers map[int]func(sqlite.LogEvent)
	watchID  int
	covered  map[sqlite.SegmentID]sqlite.Position
	lasts    map[sqlite.SegmentID]sqlite.Position
	led      chan struct{} // closed when the present leadership begins; nil if nobody waits
	closed   bool

	closing  sync.Once
	closeErr error
	good     time.Time // when this server last had everything that its leader had told it of
}

var (
	_ sqlite.ReplicatedLog = (*Log)(nil)
	_ sqlite.HeadLog       = (*Log)(nil)
	_ sqlite.StoredLog     = (*Log)(nil)
	_ sqlite.SegmentLog    = (*Log)(nil)
	_ sqlite.AtLeastLog    = (*Log)(nil)
)

// Open opens a server's part of the log. The group begins to run with Run, or Lead. It owns the transport.
func Open(ctx context.Context, o Options) (_ *Log, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Name == nil {
		o.Name = func(id raft.NodeID) string { return fmt.Sprintf("node %d", id) }
	}
	if o.Dir == "" || o.Node == 0 || o.Transport == nil || o.System == nil {
		return nil, errors.New("replica: a folder, a node, a transport and an actor system are needed")
	}
	l := &Log{o: o, watchers: map[int]func(sqlite.LogEvent){}, covered: map[sqlite.SegmentID]sqlite.Position{}, lasts: map[sqlite.SegmentID]sqlite.Position{}}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			l.cancel()
			if l.segments != nil {
				err = errors.Join(err, l.segments.Close())
			}
			if l.store != nil && l.host == nil {
				err = errors.Join(err, l.store.Close(), o.Transport.Close())
			}
		}
	}()
	parent := o.Parent
	parent.Logger, parent.System, parent.TracerProvider, parent.MeterProvider = o.Logger, o.System, o.TracerProvider, o.MeterProvider
	if parent.Name == "" {
		parent.Name = "main"
	}
	if l.store, err = seglog.OpenStore(filepath.Join(o.Dir, "log"), seglog.StoreOptions{AOF: parent}); err != nil {
		return nil, newer(err)
	}
	segments := o.Segments
	segments.TracerProvider = o.TracerProvider
	if l.segments, err = seglog.OpenSegments(ctx, seglog.SegmentsOptions{
		Dir: filepath.Join(o.Dir, "segments"), Store: l.store, Group: Group, Self: o.Node, LegacyTerm: sqlite.RecordEpoch,
		AOF: segments, Logger: o.Logger, MeterProvider: o.MeterProvider, System: o.System,
	}); err != nil {
		return nil, newer(err)
	}
	ro := o.Raft
	ro.ID, ro.Log, ro.Transport = o.Node, l.store, o.Transport
	ro.Logger, ro.TracerProvider, ro.MeterProvider, ro.System = o.Logger, o.TracerProvider, o.MeterProvider, o.System
	if l.host, err = raft.NewHost(ro); err != nil {
		return nil, err
	}
	if len(o.Voters) > 0 {
		if err := l.host.Bootstrap(Group, o.Voters...); err != nil {
			return nil, errors.Join(err, l.host.Close())
		}
	}
	return l, nil
}

// newer gives errors about formats the name that sqlite knows.
func newer(err error) error {
	var n *aof.NewerFormatError
	if errors.As(err, &n) {
		return &sqlite.NewerFormatError{What: "the log", Found: uint32(n.Found), Supported: uint32(n.Supported)}
	}
	return err
}

// Host is the Raft host.
func (l *Log) Host() *raft.Host { return l.host }

// Group is this server's member of the group, nil before Run.
func (l *Log) Group() *raft.Group { return l.group.Load() }

// open starts the group.
func (l *Log) open(ctx context.Context, r sqlite.Replica) error {
	l.mu.Lock()
	l.replica = r
	l.mu.Unlock()
	if err := l.segments.Bind(ctx, machines{l}); err != nil {
		return err
	}
	g, err := l.host.Open(Group, l.segments)
	if err != nil {
		return err
	}
	l.group.Store(g)
	l.wg.Go(func() { l.watch(g) })
	// What was known to be committed when the server stopped, changes of members included.
	known := g.Status().Commit
	if _, err := g.Wait(ctx, func(s raft.Status) bool { return s.Applied >= known }); err != nil {
		return err
	}
	if l.alone(g) {
		return g.Campaign() // nobody else could
	}
	return nil
}

// alone tells whether this server is the only one that votes.
func (l *Log) alone(g *raft.Group) bool {
	s := g.Status()
	return len(s.Voters) == 1 && s.Voters[0] == l.o.Node
}

// Run implements sqlite.ReplicatedLog.
func (l *Log) Run(ctx context.Context, r sqlite.Replica) error {
	if err := l.open(ctx, r); err != nil {
		return err
	}
	if !l.alone(l.Group()) {
		return nil
	}
	_, err := l.leading(ctx, 0)
	return err
}

// watch tells the replica who leads.
func (l *Log) watch(g *raft.Group) {
	defer l.wakeLeading() // who waits for a leadership is told that there won't be one
	var led uint64        // the term of the present leadership
	var leader raft.NodeID
	for {
		s, err := g.Wait(l.ctx, func(s raft.Status) bool {
			l.look(s)
			return s.Leader != leader || s.Leads && s.Term != led || led != 0 && (!s.Leads || s.Term != led)
		})
		if led != 0 && (err != nil || !s.Leads || s.Term != led) {
			l.lost(led, g.Err())
			led = 0
		}
		if err != nil {
			return
		}
		leader = s.Leader
		l.mu.Lock()
		l.leader = ""
		if leader != 0 {
			l.leader = l.o.Name(leader)
		}
		l.mu.Unlock()
		if !s.Leads {
			l.replica.Follows()
			continue
		}
		// Confirmed with an entry of this term, everything before which is applied then.
		if _, err := g.ReadIndex(l.ctx); err != nil {
			if g.Err() != nil || l.ctx.Err() != nil {
				return
			}
			leader = 0 // look again
			continue
		}
		if now := g.Status(); !now.Leads || now.Term != s.Term {
			leader = 0
			continue
		}
		led = s.Term
		l.begun(led)
	}
}

func (l *Log) begun(term uint64) {
	l.epoch.Store(term)
	l.replica.Leads(term)
	l.wakeLeading()
}

// wakeLeading makes leading look again.
func (l *Log) wakeLeading() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.led != nil {
		close(l.led)
		l.led = nil
	}
}

// lost tells of the end of a leadership.
func (l *Log) lost(term uint64, cause error) {
	l.epoch.Store(0)
	l.mu.Lock()
	if l.leader == l.o.Name(l.o.Node) {
		l.leader = "" // nobody knows yet who is next
	}
	l.mu.Unlock()
	l.replica.Follows()
	if cause == nil {
		cause = l.notLeader()
	}
	l.mu.Lock()
	fns := make([]func(sqlite.LogEvent), 0, len(l.watchers))
	for _, fn := range l.watchers {
		fns = append(fns, fn)
	}
	l.mu.Unlock()
	for _, fn := range fns {
		fn(sqlite.LogEvent{Epoch: term, Err: cause})
	}
}

func (l *Log) notLeader() error { return &sqlite.NotLeaderError{Leader: l.Leader()} }

// Leader implements sqlite.ReplicatedLog.
func (l *Log) Leader() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leader
}

// leading waits until records are taken here, under an epoch above a given one.
func (l *Log) leading(ctx context.Context, above uint64) (uint64, error) {
	for {
		l.mu.Lock()
		if e := l.epoch.Load(); e > above {
			l.mu.Unlock()
			return e, nil
		}
		if l.led == nil {
			l.led = make(chan struct{})
		}
		led := l.led
		l.mu.Unlock()
		if err := l.Group().Err(); err != nil {
			return 0, err
		}
		select {
		case <-led:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-l.ctx.Done():
			return 0, sqlite.ErrClosed
		}
	}
}

// Lead implements sqlite.Log, for a server that is alone: it begins another term.
func (l *Log) Lead(ctx context.Context, atLeast uint64) (uint64, error) {
	r := l.bound()
	if l.Group() != nil {
		l.cancel()
		l.wg.Wait()
		l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if err := l.host.Stop(Group); err != nil {
			return 0, err
		}
		if e := l.epoch.Load(); e != 0 {
			l.lost(e, nil)
		}
	}
	i, err := l.store.Initial(Group)
	if err != nil {
		return 0, err
	}
	if err := l.AtLeast(atLeast); err != nil {
		return 0, err
	}
	if err := l.open(ctx, r); err != nil {
		return 0, err
	}
	return l.leading(ctx, max(atLeast, i.HardState.Term))
}

// AtLeast implements sqlite.AtLeastLog.
func (l *Log) AtLeast(epoch uint64) error {
	i, err := l.store.Initial(Group)
	if err != nil || i.HardState.Term >= epoch {
		return err
	}
	h := i.HardState
	h.Term, h.Vote = epoch, 0
	if err := l.store.Write([]raft.Update{{Group: Group, HardState: &h}}); err != nil {
		return fmt.Errorf("beginning a leadership in the log: %w", err)
	}
	return nil
}

func (l *Log) bound() sqlite.Replica {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.replica == nil {
		return nobody{}
	}
	return l.replica
}

// Epoch implements sqlite.Log.
func (l *Log) Epoch() (uint64, error) {
	if e := l.epoch.Load(); e != 0 {
		return e, nil
	}
	if g := l.Group(); g != nil && g.Err() != nil {
		return 0, fmt.Errorf("%w: %w", sqlite.ErrLogFailed, g.Err())
	}
	return 0, l.notLeader()
}

// Watch implements sqlite.Log.
func (l *Log) Watch(fn func(sqlite.LogEvent)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.watchID
	l.watchID++
	l.watchers[id] = fn
	return func() {
		l.mu.Lock()
		delete(l.watchers, id)
		l.mu.Unlock()
	}
}

// Fresh implements sqlite.ReplicatedLog.
func (l *Log) Fresh(ctx context.Context, level sqlite.Consistency) error {
	g := l.Group()
	if l.epoch.Load() == 0 {
		return fmt.Errorf("%w: %w", sqlite.ErrNotFresh, l.notLeader())
	}
	if level == sqlite.LeaderReads {
		return nil
	}
	if err := l.confirm(ctx, g); err != nil {
		return fmt.Errorf("%w: %w", sqlite.ErrNotFresh, err)
	}
	return nil
}

// confirm finds out whether this server still leads.
func (l *Log) confirm(ctx context.Context, g *raft.Group) error {
	if l.alone(g) {
		return nil // nobody else could lead, nor be asked
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	_, err := g.LeaseRead(ctx)
	return err
}

// confirmTimeout is how long a read waits for a quorum to confirm the leader.
const confirmTimeout = 5 * time.Second

// Age implements sqlite.ReplicatedLog. While a leader is heard of it is the longest time that one may be silent before
// that is noticed.
func (l *Log) Age() time.Duration {
	if l.epoch.Load() != 0 {
		return 0
	}
	if g := l.Group(); g != nil {
		l.look(g.Status())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.good) + l.silence()
}

func (l *Log) look(s raft.Status) {
	if s.Leader == 0 || s.Applied < s.Commit {
		return
	}
	l.mu.Lock()
	l.good = time.Now()
	l.mu.Unlock()
}

// silence is how long a leader may be silent before its followers ask for votes, at most.
func (l *Log) silence() time.Duration {
	tick, ticks := l.o.Raft.Tick, l.o.Raft.ElectionTicks
	if tick <= 0 {
		tick = 50 * time.Millisecond
	}
	if ticks <= 0 {
		ticks = 10
	}
	return 2 * tick * time.Duration(ticks)
}

// CatchUp implements sqlite.ReplicatedLog.
func (l *Log) CatchUp(ctx context.Context) error {
	g := l.Group()
	if g == nil {
		return fmt.Errorf("%w: %w", sqlite.ErrNotFresh, l.notLeader())
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if _, err := g.ReadIndex(ctx); err != nil {
		return fmt.Errorf("%w: %w", sqlite.ErrNotFresh, err)
	}
	return nil
}

// Close implements sqlite.Log.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.cancel()
		l.wg.Wait()
		err := l.host.Stop(Group)
		l.epoch.Store(0)
		l.closeErr = errors.Join(err, l.segments.Close(), l.host.Close())
	})
	return l.closeErr
}
