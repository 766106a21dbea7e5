package rafttest

import (
	"container/heap"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"io"
	mrand "math/rand/v2"
	"slices"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// Options say what a run is like. The zero value is a cluster of three that has all kinds of bad luck.
type Options struct {
	Seed  uint64
	Nodes int // default 3
	Spare int // nodes that aren't members at first; members then change in the course of the run
	Steps int // units of time; default 3,000
	// Loss, Copies and Late are how many messages of a thousand are lost, come twice, or come much later. Default 20, 20, 50;
	// negative: none.
	Loss, Copies, Late int
	// Crashes, Cuts and Changes are how many times in ten thousand steps a node crashes, a partition begins, or members
	// change. Default 30, 30 and, with Spare, 20; negative: none.
	Crashes, Cuts, Changes int
}

func (o *Options) defaults() {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
		*v = max(*v, 0)
	}
	def(&o.Nodes, 3)
	def(&o.Steps, 3000)
	def(&o.Loss, 20)
	def(&o.Copies, 20)
	def(&o.Late, 50)
	def(&o.Crashes, 30)
	def(&o.Cuts, 30)
	if o.Spare > 0 {
		def(&o.Changes, 20)
	}
}

// Result sums a run up.
type Result struct {
	Proposed, Acknowledged, Superseded, Unknown int
	Reads, Crashes, Elections, Snapshots        int
	Trace                                       uint64 // a hash of everything that happened
}

// Run simulates a cluster. The error is a broken promise, and names the seed. It replaces crypto/rand's Reader while it
// runs, since Raft draws its election timeouts from there; runs wait for each other.
func Run(o Options) (res Result, err error) {
	o.defaults()
	running.Lock()
	defer running.Unlock()
	s := newSimulation(o)
	saved := rand.Reader
	rand.Reader = s.entropy
	defer func() { rand.Reader = saved }()
	s.start()
	defer func() {
		if p := recover(); p != nil {
			b, ok := p.(broken)
			if !ok {
				b = broken(fmt.Sprint("panic: ", p))
			}
			err = fmt.Errorf("seed %d, time %d: %s", o.Seed, s.now, string(b))
		}
	}()
	s.run()
	s.res.Trace = s.trace.Sum64()
	return s.res, nil
}

var running sync.Mutex

// broken is a promise that didn't hold.
type broken string

type simulation struct {
	o       Options
	rnd     *mrand.Rand
	entropy io.Reader
	now     int
	events  events
	serial  int
	nodes   []*node
	cut     map[[2]raft.NodeID]bool
	trace   interface {
		io.Writer
		Sum64() uint64
	}
	res Result

	next    int
	acked   map[string]raft.Position // commands that were acknowledged
	dead    map[string]bool          // commands that were said to have no effect
	history []string                 // what was applied, by the node that is furthest
	leaders map[uint64]raft.NodeID
}

func newSimulation(o Options) *simulation {
	s := &simulation{o: o, cut: map[[2]raft.NodeID]bool{}, trace: fnv.New64a(), acked: map[string]raft.Position{}, dead: map[string]bool{},
		leaders: map[uint64]raft.NodeID{}}
	s.rnd = mrand.New(mrand.NewPCG(o.Seed, 1))
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(o.Seed >> (8 * i))
	}
	s.entropy = mrand.NewChaCha8(seed)
	return s
}

func (s *simulation) start() {
	for i := range s.o.Nodes + s.o.Spare {
		s.nodes = append(s.nodes, newNode(s, raft.NodeID(i+1), i < s.o.Nodes))
	}
}

// event is something that happens at a time; those of one time in the order in which they were thought of.
type event struct {
	at, serial int
	f          func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (s *simulation) after(d int, f func()) {
	s.serial++
	heap.Push(&s.events, event{s.now + d, s.serial, f})
}

func (s *simulation) note(format string, args ...any) { fmt.Fprintf(s.trace, format, args...) }

func (s *simulation) chance(of, n int) bool { return s.rnd.IntN(n) < of }

// run lets the time pass, with bad luck, and then for a while without, at the end of which all must agree.
func (s *simulation) run() {
	for s.now = 0; s.now < s.o.Steps; s.now++ {
		s.luck()
		s.step()
	}
	clear(s.cut)
	s.o.Loss, s.o.Copies, s.o.Late = 0, 0, 0
	for _, n := range s.nodes {
		if !n.up {
			n.restart()
		}
	}
	for end := s.now + 4000; ; s.now++ {
		s.step()
		if s.now%50 == 0 && s.settled() {
			return
		}
		if s.now > end {
			panic(broken(fmt.Sprintf("the cluster doesn't come to rest: %s", s.describe())))
		}
	}
}

// step is one unit of time.
func (s *simulation) step() {
	for len(s.events) > 0 && s.events[0].at <= s.now {
		heap.Pop(&s.events).(event).f()
	}
	for _, n := range s.nodes {
		if n.up && (s.now+int(n.id))%4 == 0 {
			n.core.Tick()
			n.work()
		}
	}
	if s.now < s.o.Steps && s.chance(1, 3) {
		s.propose(s.nodes[s.rnd.IntN(len(s.nodes))])
	}
	if s.now < s.o.Steps && s.chance(1, 20) {
		s.read(s.nodes[s.rnd.IntN(len(s.nodes))])
	}
}

// luck is what goes wrong in a unit of time.
func (s *simulation) luck() {
	if s.chance(s.o.Crashes, 10_000) {
		n := s.nodes[s.rnd.IntN(len(s.nodes))]
		if n.up {
			n.crash()
			s.after(20+s.rnd.IntN(300), func() {
				if !n.up {
					n.restart()
				}
			})
		}
	}
	if s.chance(s.o.Cuts, 10_000) {
		s.partition()
	}
	if s.chance(s.o.Changes, 10_000) {
		s.change()
	}
	if s.chance(1, 200) {
		n := s.nodes[s.rnd.IntN(len(s.nodes))]
		if n.up {
			n.compact()
		}
	}
}

// partition cuts some pairs of nodes off from each other, in one direction or in both, for a while.
func (s *simulation) partition() {
	var pairs [][2]raft.NodeID
	side := s.rnd.Uint64()
	oneWay := s.chance(1, 3)
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			apart := side>>a.id&1 != side>>b.id&1
			if apart && (!oneWay || side>>a.id&1 == 1) {
				pairs = append(pairs, [2]raft.NodeID{a.id, b.id})
			}
		}
	}
	for _, p := range pairs {
		s.cut[p] = true
	}
	s.note("cut %v", pairs)
	s.after(50+s.rnd.IntN(400), func() {
		for _, p := range pairs {
			delete(s.cut, p)
		}
	})
}

// change lets the leader replace a member by a node that isn't one, or add or remove one.
func (s *simulation) change() {
	for _, n := range s.nodes {
		if !n.up {
			continue
		}
		if _, _, leads := n.core.State(); !leads {
			continue
		}
		members, _ := n.core.Members()
		var changes []raft.Change
		in, out := s.nodes[s.rnd.IntN(len(s.nodes))].id, s.nodes[s.rnd.IntN(len(s.nodes))].id
		if !slices.Contains(members.GetVoters(), uint64(in)) && len(members.GetVoters()) < s.o.Nodes+1 {
			changes = append(changes, raft.Change{Node: in, Kind: raft.AddVoter})
		}
		if out != in && slices.Contains(members.GetVoters(), uint64(out)) && len(members.GetVoters()) >= s.o.Nodes {
			changes = append(changes, raft.Change{Node: out, Kind: raft.Remove})
		}
		if len(changes) == 0 {
			return
		}
		s.note("change %v", changes)
		if err := n.core.Change(changes, func(raft.Position, any, error) {}); err != nil {
			panic(broken(err.Error()))
		}
		n.work()
		return
	}
}

// propose proposes a command of its own to a node.
func (s *simulation) propose(n *node) {
	if !n.up {
		return
	}
	s.next++
	text := fmt.Sprint("c", s.next)
	s.res.Proposed++
	n.core.Propose([]byte(text), func(at raft.Position, result any, err error) {
		s.note("%s: %v %v %v", text, at, result, err)
		switch outcome(err) {
		case acknowledged:
			if result != text {
				panic(broken(fmt.Sprintf("%s was answered with %v", text, result)))
			}
			s.res.Acknowledged++
			s.acked[text] = at
		case noEffect:
			s.res.Superseded++
			s.dead[text] = true
			if slices.Contains(s.history, text) {
				panic(broken(fmt.Sprintf("%s was said to have no effect (%v), and was applied", text, err)))
			}
		default:
			s.res.Unknown++
		}
	})
	n.work()
}

// read reads at a node: it must see every command that was acknowledged before.
func (s *simulation) read(n *node) {
	if !n.up {
		return
	}
	before := uint64(0)
	for _, at := range s.acked {
		before = max(before, at.Index)
	}
	n.core.Read(func(at raft.Position, _ any, err error) {
		if err != nil {
			return
		}
		s.res.Reads++
		if n.sm.at.Index < before {
			panic(broken(fmt.Sprintf("node %d read at %d, and index %d had been acknowledged before", n.id, n.sm.at.Index, before)))
		}
	})
	n.work()
}

// applied checks what a node's state machine applies against what others have.
func (s *simulation) applied(n *node, k int, text string) {
	switch {
	case k < len(s.history) && s.history[k] != text:
		panic(broken(fmt.Sprintf("node %d applied %s as its %d, another one %s", n.id, text, k, s.history[k])))
	case k == len(s.history):
		if s.dead[text] {
			panic(broken(fmt.Sprintf("%s was said to have no effect, and is applied by node %d", text, n.id)))
		}
		if slices.Contains(s.history, text) {
			panic(broken(fmt.Sprintf("%s is applied twice", text)))
		}
		s.history = append(s.history, text)
	}
}

// settled tells whether all members have applied the same, and everything that was acknowledged.
func (s *simulation) settled() bool {
	var leader *node
	for _, n := range s.nodes {
		if _, _, leads := n.core.State(); leads {
			leader = n
		}
	}
	if leader == nil {
		return false
	}
	members, _ := leader.core.Members()
	if len(members.GetVotersOutgoing()) > 0 || len(leader.sm.list) != len(s.history) {
		return false
	}
	for _, n := range s.nodes {
		if slices.Contains(members.GetVoters(), uint64(n.id)) && len(n.sm.list) != len(s.history) {
			return false
		}
	}
	for text := range s.acked {
		if !slices.Contains(s.history, text) {
			panic(broken(text + " was acknowledged and is lost"))
		}
	}
	return true
}

func (s *simulation) describe() (text string) {
	for _, n := range s.nodes {
		term, leader, leads := n.core.State()
		members, _ := n.core.Members()
		text += fmt.Sprintf("\n  node %d: term %d, leader %d %v, applied %v, %d of %d commands, members %v", n.id, term, leader, leads, n.core.At(), len(n.sm.list), len(s.history), members)
	}
	return text
}

// send carries a message, if it isn't lost.
func (s *simulation) send(from *node, m *pb.Message, state []string) {
	lost := s.chance(s.o.Loss, 1000)
	if m.GetType() == pb.MsgSnap {
		ok := !lost && !s.cut[[2]raft.NodeID{from.id, raft.NodeID(m.GetTo())}]
		life := from.life
		s.after(5+s.rnd.IntN(20), func() {
			if from.up && from.life == life {
				from.core.SnapshotSent(raft.NodeID(m.GetTo()), ok)
				from.work()
			}
		})
		lost = !ok
	}
	if lost {
		return
	}
	copies := 1
	if s.chance(s.o.Copies, 1000) {
		copies = 2
	}
	for range copies {
		delay := 1 + s.rnd.IntN(3)
		if s.chance(s.o.Late, 1000) {
			delay += s.rnd.IntN(60)
		}
		c := proto.CloneOf(m)
		s.after(delay, func() {
			to := s.nodes[m.GetTo()-1]
			if !to.up || s.cut[[2]raft.NodeID{from.id, to.id}] {
				return
			}
			to.receive(c, state)
		})
	}
}
