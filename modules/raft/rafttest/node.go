package rafttest

import (
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memlog"
)

// group is the number of the only group that is simulated.
const group = 1

// node is a simulated machine.
type node struct {
	s    *simulation
	id   raft.NodeID
	log  *memlog.Memory
	core *raft.Core
	sm   machine
	kept machine // what of sm survives a crash
	up   bool
	life int // how many times it was started

	disk     []func() // what the disk has to do, in order
	writing  bool
	apply    []func() // what the state machine has to do, in order
	applying bool
	held     []*pb.Message // appends behind a snapshot that is being restored
	holding  bool
	state    []string // of the snapshot message that is being stepped
}

// machine is the state machine: the list of what was applied.
type machine struct {
	list []string
	at   raft.Position
	seen raft.Position // the last entry, of whatever kind
}

func (m machine) clone() machine {
	m.list = slices.Clone(m.list)
	return m
}

func newNode(s *simulation, id raft.NodeID, member bool) *node {
	n := &node{s: s, id: id, log: memlog.NewMemory()}
	if member {
		members := &pb.ConfState{}
		for i := range s.o.Nodes {
			members.Voters = append(members.Voters, uint64(i+1))
		}
		first := raft.Position{Index: 1, Term: 1}
		u := raft.Update{Group: group, Snapshot: first, Members: members, HardState: &raft.HardState{Term: 1, Commit: 1}}
		if err := n.log.Write([]raft.Update{u}); err != nil {
			panic(broken(err.Error()))
		}
	}
	n.start()
	return n
}

func (n *node) start() {
	core, err := raft.NewCore(raft.CoreOptions{ID: n.id, Group: group, Log: n.log})
	if err != nil {
		panic(broken(err.Error()))
	}
	n.core, n.up = core, true
	n.life++
	n.sm = n.kept.clone()
	n.work()
}

// crash ends the node: what its disk had not done is lost.
func (n *node) crash() {
	n.s.res.Crashes++
	n.s.note("crash %d", n.id)
	n.up = false
	n.core.Stop()
	for _, f := range n.core.Take().Done {
		f()
	}
	n.log = n.log.Clone()
	n.disk, n.apply, n.held = nil, nil, nil
	n.writing, n.applying, n.holding = false, false, false
}

func (n *node) restart() {
	n.s.note("restart %d", n.id)
	n.start()
}

// work does what the core wants done.
func (n *node) work() {
	for {
		w := n.core.Take()
		if len(w.Appends)+len(w.Applies)+len(w.Sends)+len(w.Done) == 0 {
			break
		}
		for _, m := range w.Appends {
			switch {
			case m.GetSnapshot() != nil && m.GetSnapshot().GetMetadata().GetIndex() > 0:
				n.restore(m)
			case n.holding:
				n.held = append(n.held, m)
			default:
				n.append(m)
			}
		}
		for _, m := range w.Sends {
			n.send(m)
		}
		for _, m := range w.Applies {
			n.later(&n.apply, &n.applying, func() { n.applyEntries(m) })
		}
		for _, f := range w.Done {
			f()
		}
	}
	if term, _, leads := n.core.State(); leads {
		if other, known := n.s.leaders[term]; known && other != n.id {
			panic(broken(fmt.Sprintf("nodes %d and %d both lead in term %d", other, n.id, term)))
		} else if !known {
			n.s.res.Elections++
			n.s.leaders[term] = n.id
			n.s.note("leader %d %d", n.id, term)
		}
	}
}

// later does one thing after another, each some time after it was asked for.
func (n *node) later(queue *[]func(), busy *bool, f func()) {
	*queue = append(*queue, f)
	if !*busy {
		*busy = true
		n.next(queue, busy)
	}
}

func (n *node) next(queue *[]func(), busy *bool) {
	delay := n.s.rnd.IntN(4)
	if n.s.chance(1, 100) {
		delay += n.s.rnd.IntN(80) // a slow disk
	}
	life := n.life
	n.s.after(delay, func() {
		if !n.up || n.life != life {
			return
		}
		f := (*queue)[0]
		*queue = (*queue)[1:]
		f()
		if len(*queue) > 0 {
			n.next(queue, busy)
		} else {
			*busy = false
		}
		n.work()
	})
}

// append makes an append durable and then lets its answers go.
func (n *node) append(m *pb.Message) {
	n.later(&n.disk, &n.writing, func() {
		u := raft.Update{Group: group, Entries: m.GetEntries()}
		if s := m.GetSnapshot(); s != nil && s.GetMetadata().GetIndex() > 0 {
			u.Snapshot = raft.Position{Index: s.GetMetadata().GetIndex(), Term: s.GetMetadata().GetTerm()}
			u.Members = s.GetMetadata().GetConfState()
		}
		if m.Term != nil && (m.GetTerm() != 0 || m.GetVote() != 0 || m.GetCommit() != 0) {
			u.HardState = &raft.HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
		}
		if err := n.log.Write([]raft.Update{u}); err != nil {
			panic(broken(err.Error()))
		}
		for _, r := range m.GetResponses() {
			if raft.NodeID(r.GetTo()) == n.id {
				n.core.Step(r)
			} else {
				n.send(r)
			}
		}
	})
}

func (n *node) applyEntries(m *pb.Message) {
	var results []any
	for _, e := range m.GetEntries() {
		n.sm.seen = raft.Position{Index: e.GetIndex(), Term: e.GetTerm()}
		command := raft.Command(e)
		if command == nil {
			continue
		}
		text := string(command)
		results = append(results, text)
		if e.GetIndex() <= n.sm.at.Index {
			continue // the state machine has it
		}
		n.s.applied(n, len(n.sm.list), text)
		n.sm.list, n.sm.at = append(n.sm.list, text), n.sm.seen
	}
	if n.s.chance(1, 10) {
		n.kept = n.sm.clone() // it is on disk now
	}
	n.core.Applied(m, results)
}

// receive steps a message; state is that of a snapshot.
func (n *node) receive(m *pb.Message, state []string) {
	if m.GetType() == pb.MsgSnap {
		if n.holding {
			return
		}
		n.state = state
	}
	n.core.Step(m)
	n.work()
	n.state = nil
}

// restore lets the state machine take a snapshot, and then the log.
func (n *node) restore(m *pb.Message) {
	state := n.state
	n.holding = true
	meta := m.GetSnapshot().GetMetadata()
	n.later(&n.apply, &n.applying, func() {
		n.s.res.Snapshots++
		if at := (raft.Position{Index: meta.GetIndex(), Term: meta.GetTerm()}); at.Index > n.sm.at.Index {
			for i, text := range state {
				if i >= len(n.sm.list) {
					n.s.applied(n, i, text)
				}
			}
			n.sm = machine{list: slices.Clone(state), at: at, seen: at}
			n.kept = n.sm.clone() // before the log forgets what it stands for
		}
		n.core.Restored(m.GetSnapshot())
		n.holding = false
		held := n.held
		n.held = nil
		n.append(m)
		for _, h := range held {
			n.append(h)
		}
	})
}

// send gives a message to the network. A snapshot is made now.
func (n *node) send(m *pb.Message) {
	if m.GetType() != pb.MsgSnap {
		n.s.send(n, m, nil)
		return
	}
	members, since := n.core.Members()
	at := n.sm.seen
	if at.Index < n.sm.at.Index {
		at = n.sm.at
	}
	if at.Index == 0 {
		at = raft.Position{Index: 1, Term: 1}
	}
	if applied := n.core.At(); at.Index != applied.Index || since > at.Index {
		life := n.life
		n.s.after(1, func() { // what was applied isn't known to the core yet
			if n.up && n.life == life {
				n.core.SnapshotSent(raft.NodeID(m.GetTo()), false)
				n.work()
			}
		})
		return
	}
	m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &at.Index, Term: &at.Term, ConfState: members}}
	n.s.send(n, m, slices.Clone(n.sm.list))
}

// compact cuts the log's beginning off, up to what the state machine has durably.
func (n *node) compact() {
	members, since := n.core.Members()
	to := min(n.kept.at.Index, n.core.At().Index)
	start, last, err := n.log.Bounds(group)
	if err != nil {
		panic(broken(err.Error()))
	}
	to = min(to, last) // a snapshot was restored that the log doesn't have yet
	if to <= start.Index || to < since || n.holding {
		return
	}
	if err := n.log.Compact(group, to, members); err != nil {
		panic(broken(err.Error()))
	}
	n.s.note("compact %d %d", n.id, to)
}

// How a proposal can end.
const (
	acknowledged = iota
	noEffect
	unknown
)

func outcome(err error) int {
	switch {
	case err == nil:
		return acknowledged
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrDropped), errors.Is(err, raft.ErrSuperseded):
		return noEffect
	}
	return unknown
}
