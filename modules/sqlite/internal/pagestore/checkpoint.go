package pagestore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// chunk is how many pages are looked at before the lock is given up for a moment.
const chunk = 2048

// Into is where a checkpoint goes.
type Into struct {
	// File returns the page file for a page size: the one the store stands on, or a new one. whole says that all pages are to
	// be written, and not only those that changed; the checkpoint is made even if none did.
	File  func(size uint32) (f *pagefile.File, whole bool, err error)
	Whole bool // File will ask for all pages
	// Adopt is called when the checkpoint is durable and before the store stands on it.
	Adopt func() error
	// Pace is called for each MiB of a whole checkpoint.
	Pace func(ctx context.Context, done, total int64) error
}

// Checkpoint writes the committed head into a page file. The result is the number of pages written.
func (s *Store) Checkpoint(ctx context.Context, into Into) (pages int, err error) {
	pages, err = s.checkpoint(ctx, into)
	s.mu.Lock()
	s.ckptErr = err
	close(s.room)
	s.room = make(chan struct{})
	s.mu.Unlock()
	return pages, err
}

func (s *Store) checkpoint(ctx context.Context, into Into) (pages int, err error) {
	var sn Snapshot
	if err := s.Pin(&sn, false); err != nil {
		return 0, err
	}
	defer sn.Release()
	if sn.State.TXID == sn.base.State.TXID && !into.Whole || sn.State.Size == 0 {
		return 0, nil
	}
	s.mu.Lock()
	logged := s.logged
	began := time.Now()
	s.mu.Unlock()

	f, whole, err := into.File(sn.State.Size)
	if err != nil {
		return 0, err
	}
	c, err := f.Checkpoint()
	if err != nil {
		return 0, err
	}
	if whole {
		if err := s.copyAll(ctx, &sn, c, into.Pace); err != nil {
			c.Abort()
			return 0, err
		}
		return int(sn.State.Pages), s.commitCheckpoint(c, &sn, into, logged, began)
	}
	nos, err := s.changed(ctx, &sn)
	if err != nil {
		c.Abort()
		return 0, err
	}
	buf := make([]byte, sn.State.Size)
	for _, no := range nos {
		v, ok, err := sn.find(no)
		if err == nil && ok {
			var data []byte
			if data, err = v.load(buf); err == nil {
				err = c.Put(no, data, v.sum, v.spill == nil)
			}
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			c.Abort()
			return 0, fmt.Errorf("checkpoint: page %d: %w", no, err)
		}
	}
	return len(nos), s.commitCheckpoint(c, &sn, into, logged, began)
}

// commitCheckpoint makes what was written durable and puts the store on it.
func (s *Store) commitCheckpoint(c *pagefile.Checkpoint, sn *Snapshot, into Into, logged int64, began time.Time) error {
	t, err := c.Commit(sn.State, sn.Position)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := into.Adopt(); err != nil {
		t.Release()
		return fmt.Errorf("checkpoint: %w", err)
	}
	// The snapshot would keep what the checkpoint has just made superfluous.
	sn.Release()
	s.rebase(t, logged, began)
	return nil
}

// copyAll writes every page of a snapshot.
func (s *Store) copyAll(ctx context.Context, sn *Snapshot, c *pagefile.Checkpoint, pace func(ctx context.Context, done, total int64) error) error {
	size := int64(sn.State.Size)
	total := size * int64(sn.State.Pages)
	buf := make([]byte, size)
	for no := uint32(1); no <= sn.State.Pages; no++ {
		data, sum, err := sn.Page(ctx, no, buf)
		if err == nil {
			err = c.Put(no, data, sum, false)
		}
		if done := int64(no) * size; err == nil && done>>20 != (done-size)>>20 {
			if err = ctx.Err(); err == nil && pace != nil {
				err = pace(ctx, done, total)
			}
		}
		if err != nil {
			return fmt.Errorf("checkpoint: page %d: %w", no, err)
		}
	}
	return nil
}

// changed lists in ascending order the pages that have a version in memory which sn sees.
func (s *Store) changed(ctx context.Context, sn *Snapshot) ([]uint32, error) {
	var nos []uint32
	for at := 0; ; {
		s.mu.RLock()
		n := min(len(s.listed), at+chunk)
		for _, no := range s.listed[min(at, n):n] {
			if no > sn.State.Pages {
				continue
			}
			if chain := s.pages[no]; len(chain) > 0 && chain[0].txid <= sn.State.TXID {
				nos = append(nos, no)
			}
		}
		more := n < len(s.listed)
		s.mu.RUnlock()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if at = n; !more {
			break
		}
	}
	slices.Sort(nos)
	return nos, nil
}

// rebase puts the store on a new tree, whose reference it takes over, and forgets what that made superfluous.
func (s *Store) rebase(t *pagefile.Tree, logged int64, began time.Time) {
	s.mu.Lock()
	old := s.base
	s.base = t
	s.logged -= logged
	s.dirty = began // of what has come since
	s.mu.Unlock()
	old.Release()
	s.Collect()
}

// Collect drops the versions that the page file has and no snapshot needs.
func (s *Store) Collect() {
	s.mu.Lock()
	todo := s.listed
	s.listed = nil
	for len(todo) > 0 {
		n := min(len(todo), chunk)
		base, needs := s.base.State.TXID, s.needs()
		for _, no := range todo[:n] {
			s.collect(no, base, needs)
		}
		todo = todo[n:]
		s.mu.Unlock()
		s.mu.Lock()
	}
	s.mu.Unlock()
}

// need is a snapshot on an older tree: versions after base up to txid.
type need struct{ base, txid page.TXID }

func (s *Store) needs() (list []need) {
	for _, sn := range s.snaps {
		if b := sn.base.State.TXID; b < s.base.State.TXID && !sn.lost {
			list = append(list, need{b, sn.State.TXID})
		}
	}
	return list
}

func (s *Store) collect(no uint32, base page.TXID, needs []need) {
	chain := s.pages[no]
	out := chain[:0]
	for i, v := range chain {
		next := page.TXID(1<<64 - 1)
		if i+1 < len(chain) {
			next = chain[i+1].txid
		}
		if v.txid > base || slices.ContainsFunc(needs, func(n need) bool { return n.base < v.txid && v.txid <= n.txid && n.txid < next }) {
			out = append(out, v)
		} else {
			s.forget(v)
		}
	}
	clear(chain[len(out):])
	if len(out) == 0 {
		delete(s.pages, no)
		return
	}
	s.pages[no] = out
	s.listed = append(s.listed, no)
}
