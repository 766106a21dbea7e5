package boltlog

import (
	"fmt"
	"math"

	bolt "go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/bop-platform/bop/modules/raft"
)

const (
	noIndex = math.MaxUint64
	// clearEntries is how many entries of a removed group are deleted in one transaction.
	clearEntries = 4096
)

// Remove implements raft.LogStore. The group is forgotten in one transaction; its entries are deleted in further ones,
// between which others may write.
func (s *Store) Remove(id raft.GroupID) error {
	known, err := s.doom(id)
	if err != nil || !known {
		return err
	}
	return s.clear(id)
}

// doom marks a group as removed, durably.
func (s *Store) doom(id raft.GroupID) (known bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.dead.Load() {
		return false, raft.ErrLogClosed
	}
	g := s.group(id)
	if g == nil {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	err = s.db.Update(func(tx *bolt.Tx) error {
		key := appendGroupKey(nil, id)
		return tx.Bucket(bucketGroups).Put(key, appendState(nil, key, state{removed: true}))
	})
	if err != nil {
		s.dead.Store(true)
		return false, fmt.Errorf("boltlog: remove group %d from %s: %w", id, s.path, err)
	}
	g.hard, g.members, g.start, g.last, g.damage = raft.HardState{}, &pb.ConfState{}, raft.Position{}, 0, nil
	g.newest.reset()
	s.doomed[id] = struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, id)
	delete(s.litter, id)
	return true, nil
}

// clear deletes the entries of a removed group and then its record, unless the group was written anew meanwhile.
func (s *Store) clear(id raft.GroupID) error {
	for {
		done, err := s.clearSome(id)
		if err != nil {
			return fmt.Errorf("boltlog: remove group %d from %s: %w", id, s.path, err)
		}
		if done {
			return nil
		}
	}
}

func (s *Store) clearSome(id raft.GroupID) (done bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.dead.Load() {
		return false, raft.ErrLogClosed
	}
	if _, ok := s.doomed[id]; !ok {
		return true, nil
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		n, err := remove(tx.Bucket(bucketEntries), id, 0, noIndex, clearEntries)
		if err != nil || n == clearEntries {
			return err
		}
		done = true
		return tx.Bucket(bucketGroups).Delete(appendGroupKey(nil, id))
	})
	if err != nil {
		s.dead.Store(true)
		return false, err
	}
	if done {
		delete(s.doomed, id)
	}
	return done, nil
}

// remove deletes the entries of a group from lo to hi, at most limit of them, and returns how many it were.
func remove(b *bolt.Bucket, id raft.GroupID, lo, hi, limit uint64) (n int, err error) {
	// A cursor isn't sure of its place after a deletion.
	var found []uint64
	c := b.Cursor()
	for k, _ := c.Seek(appendEntryKey(nil, id, lo)); k != nil && uint64(len(found)) < limit; k, _ = c.Next() {
		of, index, ok := splitEntryKey(k)
		if !ok || of != id || index > hi {
			break
		}
		found = append(found, index)
	}
	var key [entryKeySize]byte
	for _, index := range found {
		if err := b.Delete(appendEntryKey(key[:0], id, index)); err != nil {
			return 0, fmt.Errorf("entry %d of group %d: %w", index, id, err)
		}
	}
	return len(found), nil
}
