package pagestore

import (
	"context"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// Snapshot pins one version of a database. It is used by one goroutine at a time. The zero Snapshot can be pinned.
type Snapshot struct {
	State    page.State
	Position uint64 // of State.TXID in the log, if it was committed when pinned
	Rollback uint64 // rollback epoch when pinned

	s    *Store
	base *pagefile.Tree
	at   int    // in s.snaps
	lost bool   // the version was dropped; guarded by s.mu
	peek []byte // what Peek reads into
}

// Pin makes sn a snapshot of the committed head, or of the executed one for whoever has the writer's place.
func (s *Store) Pin(sn *Snapshot, executed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	st := s.committed
	if executed {
		st = s.executed
	}
	*sn = Snapshot{State: st, Position: s.position, Rollback: s.rollback, s: s, base: s.base.Acquire(), at: len(s.snaps)}
	s.snaps = append(s.snaps, sn)
	return nil
}

// Pinned tells whether sn holds a version.
func (sn *Snapshot) Pinned() bool { return sn.s != nil }

// Release lets go of the version.
func (sn *Snapshot) Release() {
	s := sn.s
	if s == nil {
		return
	}
	s.mu.Lock()
	last := len(s.snaps) - 1
	s.snaps[sn.at] = s.snaps[last]
	s.snaps[sn.at].at = sn.at
	s.snaps[last] = nil
	s.snaps = s.snaps[:last]
	outdated := sn.base != s.base
	s.mu.Unlock()
	base := sn.base
	*sn = Snapshot{}
	base.Release()
	if outdated && s.o.Released != nil {
		s.o.Released()
	}
}

// Lost tells whether the version was dropped: what was read from it never happened.
func (sn *Snapshot) Lost() bool {
	sn.s.mu.RLock()
	defer sn.s.mu.RUnlock()
	return sn.lost
}

// Executed tells whether the version is the executed head.
func (sn *Snapshot) Executed() bool {
	sn.s.mu.RLock()
	defer sn.s.mu.RUnlock()
	return !sn.lost && sn.s.executed.TXID == sn.State.TXID
}

// Read copies bytes of page no, from offset at in the page, into dst. A page beyond the end is zeros.
func (sn *Snapshot) Read(ctx context.Context, no uint32, dst []byte, at int) error {
	v, ok, err := sn.find(no)
	switch {
	case err != nil:
		return err
	case !ok:
		return sn.base.Read(ctx, no, dst, at)
	case v.spill == nil:
		copy(dst, v.data[at:])
		return nil
	}
	_, err = v.spill.ReadAt(dst, v.off+int64(at))
	return err
}

// Page returns the bytes of page no, which must not be changed, and its checksum. buf may be used for them. ctx ends the
// wait for a page that is in the bucket alone.
func (sn *Snapshot) Page(ctx context.Context, no uint32, buf []byte) ([]byte, uint64, error) {
	v, ok, err := sn.find(no)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		if no > sn.base.State.Pages {
			return page.Zeros(sn.State.Size), 0, nil
		}
		return sn.base.Page(ctx, no)
	}
	b, err := v.load(buf)
	return b, v.sum, err
}

// Peek is Page for one who goes through all pages once: what others read stays in the cache. The bytes are valid until
// the next call.
func (sn *Snapshot) Peek(ctx context.Context, no uint32, buf []byte) ([]byte, uint64, error) {
	_, newer, err := sn.find(no)
	if err != nil {
		return nil, 0, err
	}
	if newer || no > sn.base.State.Pages {
		return sn.Page(ctx, no, buf)
	}
	return sn.base.Peek(ctx, no, &sn.peek)
}

// Sum returns the checksum of page no without reading it.
func (sn *Snapshot) Sum(ctx context.Context, no uint32) (uint64, error) {
	v, ok, err := sn.find(no)
	if err != nil || ok {
		return v.sum, err
	}
	return sn.base.Sum(ctx, no)
}

// find returns the version of page no in memory, if the snapshot needs one of those. Its bytes stay where they are as
// long as the snapshot is pinned.
func (sn *Snapshot) find(no uint32) (version, bool, error) {
	s := sn.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	if sn.lost {
		return version{}, false, ErrSerialization
	}
	if s.failed != nil {
		return version{}, false, s.failed
	}
	chain := s.pages[no]
	for i := len(chain) - 1; i >= 0; i-- {
		if chain[i].txid <= sn.State.TXID {
			// A version that the tree already has is found there.
			return chain[i], chain[i].txid > sn.base.State.TXID, nil
		}
	}
	return version{}, false, nil
}
