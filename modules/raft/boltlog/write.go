package boltlog

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

// sweepEntries is how many entries that were cut off a Write deletes, beside twice as many as it writes: so a long log
// that is cut doesn't hold up the Writes of all groups, and what is deleted keeps up with what is written.
const sweepEntries = 512

// fillPercent of a page that is split: a group's entries are mostly written in order.
const fillPercent = 0.9

// plan is what a transaction is going to write.
type plan struct {
	steps   []step
	changes map[raft.GroupID]*change
	doomed  []raft.GroupID // whose entries of former times go in this transaction
	sweep   int            // how many entries that were cut off may go
}

// step either deletes the entries of a group from index on, or writes entries.
type step struct {
	g       *group
	index   uint64
	entries []*pb.Entry
	reset   bool // those before index are of no use either
}

// change is how a group is going to be.
type change struct {
	g       *group
	state   state
	last    uint64
	record  bool // the group's record is to be written
	hard    bool // the hard state is another
	start   bool // the log was replaced by a snapshot
	members bool
	takes   bool // entries go that a reader could be about to read
	litter  bool // there are entries at or before the start
	swept   bool // no more of them
}

// Write implements raft.LogStore.
func (s *Store) Write(updates []raft.Update) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.dead.Load() {
		return raft.ErrLogClosed
	}
	p := s.plan(sweepEntries)
	for _, u := range updates {
		if err := p.add(s, u); err != nil {
			s.dead.Store(true)
			return fmt.Errorf("boltlog: write %s: %w", s.path, err)
		}
	}
	if p.idle() {
		return nil
	}
	if err := s.commit(p); err != nil {
		return fmt.Errorf("boltlog: write %s: %w", s.path, err)
	}
	return nil
}

// plan begins a plan with the groups that were compacted. writing is held.
func (s *Store) plan(sweep int) *plan {
	p := &plan{changes: map[raft.GroupID]*change{}, sweep: sweep}
	s.mu.Lock()
	littered := make([]*group, 0, len(s.litter))
	for id := range s.litter {
		littered = append(littered, s.groups[id])
	}
	s.mu.Unlock()
	for _, g := range littered {
		// The start below which a sweep deletes has to stand in the file by then: so the record goes with it.
		c := p.change(g)
		c.record, c.litter = true, true
	}
	return p
}

// idle says that there is nothing to write.
func (p *plan) idle() bool {
	for _, c := range p.changes {
		if c.record {
			return false
		}
	}
	return len(p.steps) == 0
}

// change returns what is to become of a group, as it is if there is nothing yet.
func (p *plan) change(g *group) *change {
	if c := p.changes[g.id]; c != nil {
		return c
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	c := &change{g: g, state: state{hard: g.hard, start: g.start, members: g.members}, last: g.last, record: !g.recorded}
	p.changes[g.id] = c
	return c
}

// add adds an update, or returns why it can't be one of the log as it is.
func (p *plan) add(s *Store, u raft.Update) error {
	if u.Group == 0 {
		return fmt.Errorf("an update of group 0: groups are numbered from 1")
	}
	c := p.change(s.groupFor(p, u.Group))
	if c.g.damage != nil {
		return c.g.damage
	}
	if u.Snapshot.Index != 0 {
		c.litter = c.litter || c.last > c.state.start.Index
		c.state.start, c.last = u.Snapshot, u.Snapshot.Index
		c.start, c.takes, c.record = true, true, true
		p.steps = append(p.steps, step{g: c.g, index: c.last + 1, reset: true})
	}
	if u.Members != nil {
		c.state.members = proto.CloneOf(u.Members)
		c.members, c.takes, c.record = true, true, true
	}
	if err := p.addEntries(c, u.Entries); err != nil {
		return err
	}
	if u.HardState != nil {
		c.state.hard = *u.HardState
		c.hard, c.record = true, true
	}
	return nil
}

func (p *plan) addEntries(c *change, entries []*pb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].GetIndex()
	for i, e := range entries {
		if want := first + uint64(i); e.GetIndex() != want {
			return fmt.Errorf("group %d: entry %d in the place of %d", c.g.id, e.GetIndex(), want)
		}
	}
	if first > c.last+1 {
		return fmt.Errorf("group %d: entries from %d don't follow %d", c.g.id, first, c.last)
	}
	if start := c.state.start.Index; first <= start {
		// What is behind the start was applied: it is the same.
		behind := min(start-first+1, uint64(len(entries)))
		entries, first = entries[behind:], start+1
	}
	if len(entries) == 0 {
		return nil
	}
	last := entries[len(entries)-1].GetIndex()
	c.takes = c.takes || first <= c.last
	if last < c.last {
		p.steps = append(p.steps, step{g: c.g, index: last + 1})
	}
	p.steps = append(p.steps, step{g: c.g, index: first, entries: entries})
	p.sweep += 2 * len(entries)
	c.last = last
	return nil
}

// groupFor returns a group, a new one if there is none.
func (s *Store) groupFor(p *plan, id raft.GroupID) *group {
	if c := p.changes[id]; c != nil {
		return c.g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[id]
	if g == nil {
		g = &group{id: id, members: &pb.ConfState{}}
		s.groups[id] = g
		if _, ok := s.doomed[id]; ok {
			p.doomed = append(p.doomed, id)
		}
	}
	return g
}

// commit makes a plan durable and then known to readers. After an error the store takes nothing more. writing is held.
func (s *Store) commit(p *plan) error {
	for _, c := range p.changes {
		if c.takes {
			c.g.mu.Lock()
			defer c.g.mu.Unlock()
		}
	}
	if err := s.db.Update(func(tx *bolt.Tx) error { return s.put(tx, p) }); err != nil {
		s.dead.Store(true)
		return err
	}
	for _, id := range p.doomed {
		delete(s.doomed, id)
	}
	for _, c := range p.changes {
		if !c.takes {
			c.g.mu.Lock()
			defer c.g.mu.Unlock()
		}
		c.install()
	}
	for _, st := range p.steps {
		switch {
		case st.reset:
			st.g.newest.reset()
		case st.entries == nil:
			st.g.newest.cut(st.index)
		default:
			st.g.newest.append(st.entries, s.opts.CacheBytes)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range p.changes {
		// A compaction since the plan was made leaves new litter.
		if c.swept && c.g.start == c.state.start {
			delete(s.litter, id)
		} else if c.litter {
			s.litter[id] = struct{}{}
		}
	}
	return nil
}

// install makes a change known. g.mu is held.
func (c *change) install() {
	g := c.g
	if c.hard {
		g.hard = c.state.hard
	}
	if c.start {
		g.start = c.state.start
	}
	if c.members {
		g.members = c.state.members
	}
	g.last = c.last
	g.recorded = g.recorded || c.record
}

// put writes a plan's records.
func (s *Store) put(tx *bolt.Tx, p *plan) error {
	groups, all := tx.Bucket(bucketGroups), tx.Bucket(bucketEntries)
	all.FillPercent = fillPercent
	// The transaction refers to the records until its end.
	buf := s.buffer[:0]
	for _, id := range p.doomed {
		if _, err := remove(all, id, 0, noIndex, noIndex); err != nil {
			return err
		}
	}
	var key [entryKeySize]byte
	for _, st := range p.steps {
		if st.entries == nil {
			if _, err := remove(all, st.g.id, st.index, noIndex, noIndex); err != nil {
				return err
			}
		}
		for _, e := range st.entries {
			k := appendEntryKey(key[:0], st.g.id, e.GetIndex())
			from := len(buf)
			buf = appendEntry(buf, k, e)
			if err := all.Put(k, buf[from:]); err != nil {
				return fmt.Errorf("entry %d of group %d: %w", e.GetIndex(), st.g.id, err)
			}
		}
	}
	for id, c := range p.changes {
		if c.litter && p.sweep > 0 {
			n, err := remove(all, id, 0, c.state.start.Index, uint64(p.sweep))
			if err != nil {
				return err
			}
			c.swept = n < p.sweep
			p.sweep -= n
		}
		if c.record {
			k := appendGroupKey(key[:0], id)
			from := len(buf)
			buf = appendState(buf, k, c.state)
			if err := groups.Put(k, buf[from:]); err != nil {
				return fmt.Errorf("record of group %d: %w", id, err)
			}
		}
	}
	if s.buffer = buf[:0]; cap(buf) > 4<<20 {
		s.buffer = nil
	}
	return nil
}
