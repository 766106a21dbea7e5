package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// replica is one member of a group: Raft's state machine, and what was promised to callers. It has no goroutine, no clock
// and no disk: events go in by its methods, and work comes out of take. That is what a simulation drives.
type replica struct {
	group GroupID
	id    NodeID
	rn    *etcd.RawNode
	log   *slog.Logger

	term   uint64
	leader NodeID
	role   etcd.StateType

	commit   uint64   // index that is known to be committed
	applied  Position // the state machine's
	members  *pb.ConfState
	memberAt uint64 // index of the change that made members
	last     uint64 // index of the last entry, which may be on its way to the disk
	accepted uint64 // index of the last snapshot that Raft took: its members hold from then on

	clock    func() time.Duration
	lease    time.Duration // how long one is; 0: none
	leaseEnd time.Duration // by clock; 0: there is none
	yielded  uint64        // the term in which leadership was to be handed over
	fresh    int           // ticks for which no vote is given after the start

	finished []finished // what the state machine has applied and that hasn't taken effect yet
	known    uint64     // commit index that is on disk for sure
	asked    uint64     // commit index that is on its way there because a change of members waits for it

	listed   *pb.ConfState // the members of which the following are lists; those are never changed
	voting   []NodeID
	learning []NodeID

	proposals proposals
	proposing []*proposal // those that are being handed to Raft
	reads     reads
	out       work
}

// work is what a replica wants done. Appends are done in order, applies are; the two needn't wait for each other.
type work struct {
	appends []*pb.Message // each to be durable before its responses go out
	applies []*pb.Message // committed entries
	sends   []*pb.Message // to other members
	ended   []ending      // callers to be told
	traced  []*proposal   // those in appends whose requests are recorded
	changed bool          // leader, role or term
}

// finished is what a state machine has applied.
type finished struct {
	m       *pb.Message
	results []any
}

// ending is a caller's answer.
type ending struct {
	who    caller
	at     Position
	result any
	err    error
}

// replicaOptions are those of a group that Raft needs.
type replicaOptions struct {
	group         GroupID
	id            NodeID
	store         LogStore
	election      int // ticks
	heartbeat     int
	maxMessage    uint64
	maxInflight   int
	maxUncommited uint64
	logger        *slog.Logger
	clock         func() time.Duration // nil: no leases
	lease         time.Duration
	snapshot      func() (*pb.Snapshot, error)
	failed        func(error) // the log store can't be read
}

func newReplica(o replicaOptions) (*replica, error) {
	first, err := o.store.Initial(o.group)
	if err != nil {
		return nil, err
	}
	r := &replica{group: o.group, id: o.id, log: o.logger, applied: first.Start, members: first.Members, memberAt: first.Start.Index, last: first.Last,
		known: first.HardState.Commit, clock: o.clock, lease: o.lease}
	if o.clock == nil {
		r.lease = 0
	}
	if first.HardState.Term > 1 { // who has never voted or followed owes nobody anything
		r.fresh = o.election
	}
	v := &view{store: o.store, group: o.group, snapshot: o.snapshot, failed: o.failed}
	r.rn, err = etcd.NewRawNode(&etcd.Config{
		ID: uint64(o.id), ElectionTick: o.election, HeartbeatTick: o.heartbeat, Storage: v,
		// The log is applied from its start: that is where the members are known. The state machine passes over what it has.
		Applied: first.Start.Index, AsyncStorageWrites: true,
		MaxSizePerMsg: o.maxMessage, MaxCommittedSizePerReady: 4 * o.maxMessage, MaxUncommittedEntriesSize: o.maxUncommited,
		MaxInflightMsgs: o.maxInflight, CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		StepDownOnRemoval: true, ReadOnlyOption: etcd.ReadOnlySafe, Logger: logger{o.logger},
	})
	if err != nil {
		return nil, fmt.Errorf("raft: starting group %d: %w", o.group, err)
	}
	r.observe()
	return r, nil
}

// Kinds of a command's first byte: an entry without bytes is Raft's own.
const kindCommand = 1

// kinds are what entries point to.
var kinds = [...]pb.EntryType{pb.EntryNormal: pb.EntryNormal, pb.EntryConfChange: pb.EntryConfChange, pb.EntryConfChangeV2: pb.EntryConfChangeV2}

// propose appends commands, if this member leads.
func (r *replica) propose(list []*proposal) {
	if r.role != etcd.StateLeader {
		for _, p := range list {
			r.end(p, Position{}, nil, &NotLeaderError{r.group, r.leader})
		}
		return
	}
	r.proposing = list // should Raft panic, stop tells their callers
	m := &pb.Message{Type: pb.MsgProp.Enum(), From: new(uint64(r.id)), Entries: make([]*pb.Entry, len(list))}
	entries := make([]pb.Entry, len(list)) // Raft makes copies
	for i, p := range list {
		entries[i].Type, entries[i].Data = &kinds[p.kind], p.data
		m.Entries[i] = &entries[i]
	}
	if err := r.rn.Step(m); err != nil {
		r.proposing = nil
		for _, p := range list {
			r.end(p, Position{}, nil, fmt.Errorf("%w: %w", ErrDropped, err))
		}
		return
	}
	r.proposing = nil
	// What was appended just now has its place when take looks; those that Raft refused have become empty.
	for i, p := range list {
		if p.kind != pb.EntryNormal && len(m.Entries[i].GetData()) == 0 {
			r.end(p, Position{}, nil, fmt.Errorf("%w: another change is under way", ErrMembers))
			continue
		}
		r.proposals.waiting = append(r.proposals.waiting, p)
	}
	r.take()
}

// tick is the passing of one unit of time.
func (r *replica) tick() {
	r.fresh = max(r.fresh-1, 0)
	r.rn.Tick()
	r.reads.age(r)
	r.take()
}

// step takes a message of another member, or an answer of this one's storage.
func (r *replica) step(m *pb.Message) {
	if m.GetType() == pb.MsgStorageAppendResp && len(m.GetContext()) > 0 {
		r.known = max(r.known, binary.BigEndian.Uint64(m.GetContext()))
		r.finish()
		r.take()
		return
	}
	if r.vows(m) {
		return
	}
	if m.GetType() == pb.MsgStorageAppendResp && r.role == etcd.StateLeader {
		r.proposals.onDisk(r, Position{m.GetIndex(), m.GetLogTerm()})
	}
	if err := r.rn.Step(m); err != nil && !errors.Is(err, etcd.ErrStepPeerNotFound) && !errors.Is(err, etcd.ErrProposalDropped) {
		r.log.Debug("a message was refused", "type", m.GetType().String(), "from", m.GetFrom(), "err", err)
	}
	r.take()
}

// done notes that a state machine has applied what m carried; results are those of the entries with commands.
func (r *replica) done(m *pb.Message, results []any) {
	r.finished = append(r.finished, finished{m, results})
	r.finish()
}

// finish lets what was applied take effect, in order. A change of members waits until the log store has a commit index
// that covers it: a member that is started again applies it then before it can ask for votes. Otherwise it might lead by
// the members of before, which need not overlap with those of now.
func (r *replica) finish() {
	for len(r.finished) > 0 {
		f := r.finished[0]
		if r.changes(f.m) > r.known {
			r.remember(r.changes(f.m))
			return
		}
		r.finished = r.finished[1:]
		r.conclude(f.m, f.results)
	}
}

// changes is the index of the last change of members in m, 0 if there is none.
func (r *replica) changes(m *pb.Message) (at uint64) {
	for _, e := range m.GetEntries() {
		if e.GetType() != pb.EntryNormal {
			at = e.GetIndex()
		}
	}
	return at
}

// remember has the commit index written, behind everything that is on its way to the disk.
func (r *replica) remember(index uint64) {
	if r.asked >= index {
		return
	}
	r.asked = index
	h := r.rn.BasicStatus().HardState
	term, vote, commit := h.GetTerm(), h.GetVote(), max(h.GetCommit(), index)
	r.out.appends = append(r.out.appends, &pb.Message{
		Type: pb.MsgStorageAppend.Enum(), To: new(uint64(etcd.LocalAppendThread)), From: new(uint64(r.id)), Term: &term, Vote: &vote, Commit: &commit,
		Responses: []*pb.Message{{
			Type: pb.MsgStorageAppendResp.Enum(), To: new(uint64(r.id)), From: new(uint64(etcd.LocalAppendThread)), Context: binary.BigEndian.AppendUint64(nil, commit),
		}},
	})
}

// conclude makes what was applied take effect.
func (r *replica) conclude(m *pb.Message, results []any) {
	k := 0
	for _, e := range m.GetEntries() {
		at := Position{e.GetIndex(), e.GetTerm()}
		var result any
		switch {
		case e.GetType() != pb.EntryNormal && e.GetIndex() <= r.accepted:
			result = r.members // it was on its way to the state machine when the snapshot came
		case e.GetType() != pb.EntryNormal:
			result = r.reconfigure(e)
		case len(e.GetData()) > 0:
			result = results[k]
			k++
		}
		if at.Index > r.applied.Index {
			r.applied = at
		}
		r.proposals.decided(r, at, result)
	}
	r.reads.advance(r)
	for _, resp := range m.GetResponses() {
		r.step(resp)
	}
}

// restored notes that the state machine has taken a snapshot's state.
func (r *replica) restored(meta *pb.SnapshotMetadata) {
	r.applied = Position{meta.GetIndex(), meta.GetTerm()}
	r.members, r.memberAt = meta.GetConfState(), meta.GetIndex()
	r.proposals.passed(r, meta.GetIndex())
	r.reads.advance(r)
}

// reconfigure makes a committed change of members hold.
func (r *replica) reconfigure(e *pb.Entry) any {
	var change pb.ConfChangeV2
	if e.GetType() == pb.EntryConfChangeV2 {
		if err := proto.Unmarshal(e.GetData(), &change); err != nil {
			panic(fmt.Sprintf("a committed change of members can't be read: %v", err))
		}
	} else {
		var old pb.ConfChange
		if err := proto.Unmarshal(e.GetData(), &old); err != nil {
			panic(fmt.Sprintf("a committed change of members can't be read: %v", err))
		}
		change = *old.AsV2()
	}
	r.members, r.memberAt = r.rn.ApplyConfChange(&change), e.GetIndex()
	r.out.changed = true
	return r.members
}

// take collects what Raft wants done.
func (r *replica) take() {
	for r.rn.HasReady() {
		rd := r.rn.Ready()
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case etcd.LocalAppendThread:
				r.out.traced = append(r.out.traced, r.proposals.place(m.GetEntries())...)
				if at := m.GetSnapshot().GetMetadata().GetIndex(); at > 0 {
					r.accepted, r.last = max(r.accepted, at), at
				}
				if n := len(m.GetEntries()); n > 0 {
					r.last = m.GetEntries()[n-1].GetIndex()
				}
				r.out.appends = append(r.out.appends, m)
			case etcd.LocalApplyThread:
				r.out.applies = append(r.out.applies, m)
			default:
				r.out.sends = append(r.out.sends, m)
			}
		}
		for _, s := range rd.ReadStates {
			r.reads.confirmed(r, binary.BigEndian.Uint64(s.RequestCtx), s.Index)
		}
		r.observe()
	}
}

// observe notes who leads.
func (r *replica) observe() {
	st := r.rn.BasicStatus()
	leader, role, term := NodeID(st.Lead), st.RaftState, st.GetTerm()
	r.commit = st.GetCommit()
	if leader == r.leader && role == r.role && term == r.term {
		return
	}
	r.out.changed = true
	r.leader, r.role, r.term = leader, role, term
	r.leaseEnd = 0
	r.reads.forget()
	if role != etcd.StateLeader {
		r.proposals.asking = nil
	}
}

func (r *replica) end(who caller, at Position, result any, err error) {
	r.out.ended = append(r.out.ended, ending{who, at, result, err})
}

// offer tells Raft which snapshot could be sent: one of now.
func (r *replica) offer() (*pb.Snapshot, error) {
	at := r.applied
	if at.Index == 0 {
		return nil, etcd.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &at.Index, Term: &at.Term, ConfState: r.members}}, nil
}

// stop ends what callers wait for.
func (r *replica) stop() {
	for _, p := range r.proposing {
		r.end(p, Position{}, nil, ErrUnknown)
	}
	r.proposals.stop(r)
	r.reads.fail(r, ErrStopped)
}

// flush hands out the work that has come together.
func (r *replica) flush() work {
	w := r.out
	r.out = work{}
	return w
}

// voters are the members that vote, in order. The list isn't the caller's.
func (r *replica) voters() []NodeID {
	r.list()
	return r.voting
}

// learners are those that don't, or not yet.
func (r *replica) learners() []NodeID {
	r.list()
	return r.learning
}

// list makes the lists of members, which are asked for with each batch of entries and seldom change.
func (r *replica) list() {
	if r.listed == r.members {
		return
	}
	r.listed, r.voting, r.learning = r.members, nil, nil
	for _, id := range slices.Concat(r.members.GetVoters(), r.members.GetVotersOutgoing()) {
		r.voting = append(r.voting, NodeID(id))
	}
	slices.Sort(r.voting)
	r.voting = slices.Compact(r.voting)
	for _, id := range slices.Concat(r.members.GetLearners(), r.members.GetLearnersNext()) {
		r.learning = append(r.learning, NodeID(id))
	}
}

// logger gives Raft's messages to slog. What Raft calls information is detail here.
type logger struct{ *slog.Logger }

// detail words a message only if it is wanted: some come with every entry.
func (l logger) detail(words func() string) {
	if l.Logger.Enabled(context.Background(), slog.LevelDebug) {
		l.Logger.Debug(words())
	}
}

func (l logger) Debug(v ...any)              {}
func (l logger) Debugf(f string, v ...any)   {}
func (l logger) Info(v ...any)               { l.detail(func() string { return fmt.Sprint(v...) }) }
func (l logger) Infof(f string, v ...any)    { l.detail(func() string { return fmt.Sprintf(f, v...) }) }
func (l logger) Warning(v ...any)            { l.detail(func() string { return fmt.Sprint(v...) }) }
func (l logger) Warningf(f string, v ...any) { l.detail(func() string { return fmt.Sprintf(f, v...) }) }
func (l logger) Error(v ...any)              { l.Logger.Error(fmt.Sprint(v...)) }
func (l logger) Errorf(f string, v ...any)   { l.Logger.Error(fmt.Sprintf(f, v...)) }
func (l logger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l logger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l logger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l logger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
