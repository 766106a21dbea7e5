package raft

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.opentelemetry.io/otel/trace"
)

// proposal is a command, or a change of members, whose caller waits.
type proposal struct {
	kind pb.EntryType
	data []byte                                   // a command begins with kindCommand
	told func(at Position, result any, err error) // who hears of it, behind what follows
	// stored is called when the entry is on this member's disk, which leads; nil: nobody asks.
	stored func(at Position)
	at     Position
	next   *proposal // one of another term whose place had the same index

	// Of a command:
	g       *Group
	started time.Time
	span    trace.Span // raft.propose; nil: the caller's request isn't recorded
	traced  *tracing
}

// caller hears how something ended.
type caller interface {
	done(at Position, result any, err error)
}

// callback is a caller that is a function.
type callback func(at Position, result any, err error)

func (f callback) done(at Position, result any, err error) { f(at, result, err) }

// done implements caller.
func (p *proposal) done(at Position, result any, err error) {
	if p.g != nil {
		if err == nil {
			p.g.h.metrics.proposed(p.g, p.started)
		}
		p.traced.over(err)
		endSpan(p.span, err)
	}
	p.told(at, result, err)
}

// proposals are those of this member that aren't decided. One is decided when an entry is applied at its index: its own,
// or another leader's. Losing leadership decides nothing.
type proposals struct {
	waiting []*proposal          // taken by Raft, their places not seen yet, in order
	placed  map[uint64]*proposal // by index: those of several terms may have had the same
	asking  []*proposal          // placed ones that want to hear that they are stored, in order
	traced  []*proposal          // placed ones whose spans go on, in order
}

// place finds the places of the proposals that Raft has just appended. Entries of its own have no data.
func (p *proposals) place(entries []*pb.Entry) (traced []*proposal) {
	for _, e := range entries {
		if len(p.waiting) == 0 {
			return traced
		}
		if len(e.GetData()) == 0 {
			continue
		}
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		w.at = Position{e.GetIndex(), e.GetTerm()}
		if p.placed == nil {
			p.placed = map[uint64]*proposal{}
		}
		w.next = p.placed[w.at.Index]
		p.placed[w.at.Index] = w
		if w.stored != nil {
			p.asking = append(p.asking, w)
		}
		if w.traced != nil {
			traced = append(traced, w)
			p.traced = append(p.traced, w)
		}
	}
	return traced
}

// onDisk tells those who asked that this member's log is on its disk up to an entry. What was proposed under another term
// may have been removed again.
func (p *proposals) onDisk(r *replica, last Position) {
	for len(p.asking) > 0 {
		w := p.asking[0]
		if w.at.Term == last.Term && w.at.Index > last.Index {
			return
		}
		p.asking[0] = nil
		p.asking = p.asking[1:]
		if w.at.Term == last.Term {
			r.end(callback(func(at Position, _ any, _ error) { w.stored(at) }), w.at, nil, nil)
		}
	}
}

// decided ends those at an index that was applied.
func (p *proposals) decided(r *replica, at Position, result any) {
	w := p.placed[at.Index]
	if w == nil {
		return
	}
	delete(p.placed, at.Index)
	for ; w != nil; w = w.next {
		if w.at.Term == at.Term {
			r.end(w, w.at, result, nil)
		} else {
			r.end(w, w.at, nil, ErrSuperseded)
		}
	}
}

// passed ends those that a snapshot has gone past: which entry was at their index isn't known any more.
func (p *proposals) passed(r *replica, index uint64) {
	for _, i := range slices.Sorted(maps.Keys(p.placed)) {
		if i > index {
			return
		}
		for w := p.placed[i]; w != nil; w = w.next {
			r.end(w, w.at, nil, ErrUnknown)
		}
		delete(p.placed, i)
	}
}

// stop ends all: their fates won't be seen here.
func (p *proposals) stop(r *replica) {
	p.passed(r, ^uint64(0))
	for _, w := range p.waiting {
		r.end(w, w.at, nil, ErrUnknown)
	}
	p.waiting = nil
}

// reads are linearizable reads that wait. Requests that come together share one round of heartbeats.
type reads struct {
	number  uint64 // of the last round: each attempt has one of its own, so that an old answer never counts for a later request
	next    []read // for the next round
	asked   []round
	waiting []read // confirmed, until the state machine is there
}

type read struct {
	index uint64
	done  func(at Position, result any, err error)
}

// round is one request to Raft.
type round struct {
	number uint64
	reads  []read
	age    int           // ticks
	sent   time.Duration // by the replica's clock; 0: it counts for no lease
}

// again is after how many ticks a round is asked for anew: Raft may drop a request in silence.
const again = 3

// add asks for a read at the present commit index.
func (s *reads) add(done func(Position, any, error)) { s.next = append(s.next, read{done: done}) }

// ask sends the next round, if there is one.
func (s *reads) ask(r *replica) {
	if len(s.next) == 0 {
		return
	}
	list := s.next
	s.next = nil
	s.request(r, list)
}

func (s *reads) request(r *replica, list []read) {
	s.number++
	x := round{number: s.number, reads: list}
	if r.clock != nil && r.role == etcd.StateLeader {
		x.sent = r.clock()
	}
	s.asked = append(s.asked, x)
	r.rn.ReadIndex(binary.BigEndian.AppendUint64(nil, s.number))
	r.take()
}

// age asks again for rounds that had no answer.
func (s *reads) age(r *replica) {
	var old []read
	kept := s.asked[:0]
	for _, x := range s.asked {
		if x.age++; x.age >= again {
			old = append(old, x.reads...)
			continue
		}
		kept = append(kept, x)
	}
	s.asked = kept
	if len(old) > 0 {
		s.request(r, old)
	}
}

// forget makes rounds that are under way count for no lease.
func (s *reads) forget() {
	for i := range s.asked {
		s.asked[i].sent = 0
	}
}

// confirmed notes the answer to a round, which holds for earlier ones too.
func (s *reads) confirmed(r *replica, number, index uint64) {
	kept := s.asked[:0]
	for _, x := range s.asked {
		if x.number != number {
			kept = append(kept, x)
			continue
		}
		if x.sent > 0 {
			r.hold(x.sent)
		}
		for _, w := range x.reads {
			w.index = index
			s.waiting = append(s.waiting, w)
		}
	}
	s.asked = kept
	s.advance(r)
}

// advance ends the reads whose index was applied.
func (s *reads) advance(r *replica) {
	kept := s.waiting[:0]
	for _, w := range s.waiting {
		if w.index > r.applied.Index {
			kept = append(kept, w)
			continue
		}
		r.end(callback(w.done), Position{Index: w.index}, nil, nil)
	}
	s.waiting = kept
}

// fail ends those that aren't confirmed.
func (s *reads) fail(r *replica, err error) {
	for _, x := range s.asked {
		for _, w := range x.reads {
			r.end(callback(w.done), Position{}, nil, err)
		}
	}
	for _, w := range s.next {
		r.end(callback(w.done), Position{}, nil, err)
	}
	s.asked, s.next = nil, nil
}
