package pagestore

import (
	"context"
	"slices"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// Changed lists in ascending order the pages that were installed after the transaction since, as far as the snapshot has
// them. Pages that have been changed back may be among them. known tells whether the store can know all: it has seen what
// came since it was made, and forgets what Settled is told of.
func (s *Store) Changed(sn *Snapshot, since page.TXID) (nos []uint32, known bool) {
	s.mu.RLock()
	if s.changes == nil || since < s.tracked {
		s.mu.RUnlock()
		return nil, false
	}
	for no, txid := range s.changes {
		if txid > since && no <= sn.State.Pages {
			nos = append(nos, no)
		}
	}
	s.mu.RUnlock()
	slices.Sort(nos)
	return nos, true
}

// ChangedSince tells whether page no was installed after a transaction, as far as that is known and wasn't settled.
func (s *Store) ChangedSince(no uint32, txid page.TXID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changes[no] > txid
}

// Settled says that nobody will ask for what was changed by transactions up to txid.
func (s *Store) Settled(txid page.TXID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for no, t := range s.changes {
		if t <= txid {
			delete(s.changes, no)
		}
	}
	s.tracked = max(s.tracked, txid)
}

// Touch adds pages to what Changed lists, as if the newest transaction had changed them, and says that with them all is
// known that has changed after the transaction since.
func (s *Store) Touch(nos []uint32, since page.TXID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == nil {
		return
	}
	s.tracked = min(s.tracked, since)
	for _, no := range nos {
		s.changes[no] = max(s.changes[no], s.committed.TXID)
	}
}

// Local tells whether page no needn't be fetched from the bucket, and its checksum then.
func (sn *Snapshot) Local(no uint32) (bool, uint64, error) {
	v, ok, err := sn.find(no)
	if err != nil || ok {
		return ok, v.sum, err
	}
	return sn.base.Local(no)
}

// Prefetch asks for pages that will be needed soon, of those that are in the bucket alone. It returns at once.
func (sn *Snapshot) Prefetch(ctx context.Context, nos []uint32) {
	if sn.s != nil {
		sn.base.Prefetch(ctx, nos)
	}
}

// Tree is the tree that the snapshot stands on; it lives as long as the snapshot.
func (sn *Snapshot) Tree() *pagefile.Tree { return sn.base }

// Upkeep makes a checkpoint that changes where pages are and not what they are, by fn, in the file that the store stands
// on. It is called by who makes checkpoints. fn tells whether there is something to commit.
func (s *Store) Upkeep(ctx context.Context, f *pagefile.File, fn func(c *pagefile.Checkpoint) (bool, error)) error {
	c, err := f.Checkpoint()
	if err != nil {
		return err
	}
	some, err := fn(c)
	if err != nil || !some {
		c.Abort()
		return err
	}
	old := c.Old()
	t, err := c.Commit(old.State, old.LogPos)
	if err != nil {
		return err
	}
	s.mu.Lock()
	before := s.base
	s.base = t
	s.mu.Unlock()
	before.Release()
	return nil
}
