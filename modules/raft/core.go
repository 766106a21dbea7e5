package raft

import (
	"log/slog"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Core is the heart of a group's member: Raft's state machine and what its callers were promised, without goroutine,
// clock, network or disk. Groups run one; package rafttest runs whole clusters of them in one goroutine. Whoever runs one
// does, after each call, what Take says, and calls back. It is used by one goroutine.
type Core struct{ r *replica }

// CoreOptions configure a Core. ID, Group and Log have to be set.
type CoreOptions struct {
	ID             NodeID
	Group          GroupID
	Log            LogStore
	ElectionTicks  int // default 10
	HeartbeatTicks int // default 1
	Logger         *slog.Logger
}

// Work is what has to be done now.
type Work struct {
	// Appends are to be written to the log, in order. When one is durable its responses are delivered: to this Core by
	// Step, to others by the network.
	Appends []*pb.Message
	// Applies are to be given to the state machine, in order, and then to Applied.
	Applies []*pb.Message
	// Sends go to other members. They may be lost.
	Sends []*pb.Message
	// Done are calls of callbacks that are due.
	Done []func()
}

// NewCore makes the Core of a member whose log is in the store.
func NewCore(o CoreOptions) (*Core, error) {
	if o.ElectionTicks <= 0 {
		o.ElectionTicks = 10
	}
	if o.HeartbeatTicks <= 0 {
		o.HeartbeatTicks = 1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Core{}
	var err error
	c.r, err = newReplica(replicaOptions{
		group: o.Group, id: o.ID, store: o.Log, election: o.ElectionTicks, heartbeat: o.HeartbeatTicks, maxMessage: 1 << 20, maxInflight: 256,
		maxUncommited: 256 << 20, logger: o.Logger, snapshot: c.offer, failed: func(err error) { panic(err) },
	})
	return c, err
}

func (c *Core) offer() (*pb.Snapshot, error) { return c.r.offer() }

// Tick lets one unit of time pass.
func (c *Core) Tick() { c.r.tick() }

// Step takes a message of another member, or a response of this one's storage.
func (c *Core) Step(m *pb.Message) { c.r.step(m) }

// Propose appends a command; see Group.ProposeAsync.
func (c *Core) Propose(data []byte, done func(at Position, result any, err error)) {
	b := append([]byte{kindCommand}, data...)
	c.r.propose([]*proposal{{kind: pb.EntryNormal, data: b, told: done}})
}

// Change proposes a change of members: the marshalled ConfChangeV2 of changes.
func (c *Core) Change(changes []Change, done func(at Position, result any, err error)) error {
	data, err := encodeChanges(changes)
	if err != nil {
		return err
	}
	c.r.propose([]*proposal{{kind: pb.EntryConfChangeV2, data: data, told: done}})
	return nil
}

// Read asks for a linearizable read; see Group.ReadIndex.
func (c *Core) Read(done func(at Position, result any, err error)) {
	c.r.reads.add(done)
	c.r.reads.ask(c.r)
}

// Command returns the command in a committed entry; nil if it has none.
func Command(e *pb.Entry) []byte {
	if e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
		return nil
	}
	return e.GetData()[1:]
}

// Applied notes that one of Work's Applies was done. There is a result for each command in it.
func (c *Core) Applied(m *pb.Message, results []any) { c.r.done(m, results) }

// Restored notes that the state machine has taken the snapshot of one of Work's Appends, before that is written.
func (c *Core) Restored(s *pb.Snapshot) { c.r.restored(s.GetMetadata()) }

// SnapshotSent notes how a MsgSnap of Work's Sends ended.
func (c *Core) SnapshotSent(to NodeID, ok bool) {
	status := etcd.SnapshotFinish
	if !ok {
		status = etcd.SnapshotFailure
	}
	c.r.rn.ReportSnapshot(uint64(to), status)
	c.r.take()
}

// Members returns the members as of an index, and the index since which they are those.
func (c *Core) Members() (*pb.ConfState, uint64) { return c.r.members, c.r.memberAt }

// State tells the term, the leader that is known (0: none) and whether this member leads.
func (c *Core) State() (term uint64, leader NodeID, leads bool) {
	return c.r.term, c.r.leader, c.r.role == etcd.StateLeader
}

// At is the position up to which entries were applied.
func (c *Core) At() Position { return c.r.applied }

// Stop ends all callers.
func (c *Core) Stop() { c.r.stop() }

// Take returns the work that is due and forgets it.
func (c *Core) Take() Work {
	w := c.r.flush()
	out := Work{Appends: w.appends, Applies: w.applies, Sends: w.sends}
	for _, e := range w.ended {
		out.Done = append(out.Done, func() { e.who.done(e.at, e.result, e.err) })
	}
	return out
}
