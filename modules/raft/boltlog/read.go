package boltlog

import (
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/bop-platform/bop/modules/raft"
)

var errMissing = errors.New("there is no such record")

// Entries implements raft.LogStore.
func (s *Store) Entries(id raft.GroupID, lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	if s.dead.Load() {
		return nil, raft.ErrLogClosed
	}
	g := s.group(id)
	if g == nil {
		g = &group{id: id}
	}
	g.mu.RLock()
	tx, cached, err := s.prepare(g, lo, hi)
	if cached != nil {
		cached = slices.Clone(within(cached[:hi-lo], maxBytes))
	}
	g.mu.RUnlock()
	if err != nil || tx == nil {
		return cached, err
	}
	found, err := s.read(tx, id, lo, hi, maxBytes)
	return found, errors.Join(err, tx.Rollback())
}

// Term implements raft.LogStore.
func (s *Store) Term(id raft.GroupID, index uint64) (uint64, error) {
	if s.dead.Load() {
		return 0, raft.ErrLogClosed
	}
	g := s.group(id)
	if g == nil {
		g = &group{id: id}
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return s.term(g, index)
}

// prepare returns the newest entries from lo on, or a transaction to read them from, or neither if hi is lo. g.mu is
// held.
func (s *Store) prepare(g *group, lo, hi uint64) (*bolt.Tx, []*pb.Entry, error) {
	if g.damage != nil {
		return nil, nil, g.damage
	}
	if lo <= g.start.Index {
		return nil, nil, fmt.Errorf("boltlog: group %d: entries from %d: %w", g.id, lo, raft.ErrCompacted)
	}
	if lo > g.last || hi > g.last+1 {
		return nil, nil, fmt.Errorf("boltlog: group %d: entries %d to before %d of %d: %w",
			g.id, lo, hi, g.last, raft.ErrUnavailable)
	}
	if lo >= hi {
		return nil, nil, nil
	}
	if cached := g.newest.since(lo); cached != nil {
		return nil, cached, nil
	}
	tx, err := s.begin()
	return tx, nil, err
}

// begin begins a transaction that reads.
func (s *Store) begin() (*bolt.Tx, error) {
	tx, err := s.db.Begin(false)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return nil, raft.ErrLogClosed
	}
	if err != nil {
		return nil, fmt.Errorf("boltlog: read %s: %w", s.path, err)
	}
	return tx, nil
}

// within returns the first of the entries, as many as have maxBytes together, at least one.
func within(entries []*pb.Entry, maxBytes uint64) []*pb.Entry {
	size := uint64(0)
	for i, e := range entries {
		size += uint64(proto.Size(e))
		if i > 0 && size > maxBytes {
			return entries[:i]
		}
	}
	return entries
}

// read reads entries that the transaction sees.
func (s *Store) read(tx *bolt.Tx, id raft.GroupID, lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	var records []record
	c, size := tx.Bucket(bucketEntries).Cursor(), uint64(0)
	k, v := c.Seek(appendEntryKey(make([]byte, 0, entryKeySize), id, lo))
	for want := lo; want < hi; want++ {
		of, index, ok := splitEntryKey(k)
		if !ok || of != id || index != want {
			return nil, &DamageError{Path: s.path, Group: id, Index: want, Err: errMissing}
		}
		r, err := parseEntry(k, v)
		if err != nil {
			return nil, &DamageError{Path: s.path, Group: id, Index: want, Err: err}
		}
		size += messageSize(want, r)
		if len(records) > 0 && size > maxBytes {
			break
		}
		records = append(records, r)
		k, v = c.Next()
	}
	return entries(lo, records), nil
}

// term returns an entry's term. g.mu is held.
func (s *Store) term(g *group, index uint64) (uint64, error) {
	switch {
	case g.damage != nil:
		return 0, g.damage
	case index < g.start.Index:
		return 0, fmt.Errorf("boltlog: group %d: term of entry %d: %w", g.id, index, raft.ErrCompacted)
	case index == g.start.Index:
		return g.start.Term, nil
	case index > g.last:
		return 0, fmt.Errorf("boltlog: group %d: term of entry %d: %w", g.id, index, raft.ErrUnavailable)
	}
	if cached := g.newest.since(index); cached != nil {
		return cached[0].GetTerm(), nil
	}
	tx, err := s.begin()
	if err != nil {
		return 0, err
	}
	key := appendEntryKey(make([]byte, 0, entryKeySize), g.id, index)
	var r record
	err = errMissing
	if v := tx.Bucket(bucketEntries).Get(key); v != nil {
		r, err = parseEntry(key, v)
	}
	if err != nil {
		err = &DamageError{Path: s.path, Group: g.id, Index: index, Err: err}
	}
	return r.term, errors.Join(err, tx.Rollback())
}
