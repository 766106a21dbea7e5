package pagestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// Log is where a store proposes its records.
type Log interface {
	// Admit waits until the log can take n more bytes.
	Admit(ctx context.Context, n int) error
	// Propose hands over one record and must not block. done is called once, in the order of the proposals. stored, if it
	// isn't nil, may be called before: the record is on this server's disk.
	Propose(ctx context.Context, rec []byte, stored func(), done func(pos uint64, err error))
	// Epoch is the leadership under which records are accepted, or why none are.
	Epoch() (uint64, error)
}

// Options are what a Store is made of.
type Options struct {
	Identity pagefile.Identity
	Log      Log
	Temp     Temp
	// Keys is the keyring that the base is sealed by, nil: it is in the clear. OpenKeyring opens one that the log brings, and
	// KeysChanged is told, without locks, when one is committed; it must not block.
	Keys        *crypt.Keyring
	OpenKeyring func(b []byte) (*crypt.Keyring, error)
	KeysChanged func()
	// Track says that Changes is asked for.
	Track bool
	// Rollback is the first rollback epoch.
	Rollback uint64
	// TxnMemory is how many bytes of pages an open transaction keeps in memory.
	TxnMemory int64
	// HighWater is how many bytes of versions may be in memory before writers wait for a checkpoint.
	HighWater int64
	// CheckpointBytes is how many bytes of records, or of versions in memory, call for a checkpoint.
	CheckpointBytes int64
	// Arrives says that the log hands every committed record to Arrive, before it answers a proposal with success.
	Arrives bool
	// Full, if set, says why nobody may begin to write, nil: one may.
	Full func() error
	// Changed is called, without locks, when a checkpoint is called for; it must not block.
	Changed func()
	// Dropped is called, without locks, after speculative versions were dropped.
	Dropped func(cause error)
	// Released is called, without locks, when a snapshot that kept old versions is released; it must not block.
	Released func()
}

// Store is the versions of one database.
type Store struct {
	o     Options
	place place

	mu        sync.RWMutex
	base      *pagefile.Tree // the store's own reference
	pages     map[uint32][]version
	listed    []uint32 // every key of pages, once
	committed page.State
	position  uint64 // of committed in the log
	executed  page.State
	pending   []*Pending // proposed, not acknowledged, in order
	orphans   []*Pending // dropped, and their fate isn't known
	rollback  uint64     // rollback epoch
	drops     []drop     // one for each time the rollback epoch moved
	snaps     []*Snapshot
	waiters   []headWaiter
	failed    error
	bytes     int64         // of versions in memory
	spilled   int64         // of versions in temporary files
	logged    int64         // bytes of records since the last checkpoint
	commits   int64         // since the last checkpoint
	dirty     time.Time     // of the first commit since the last checkpoint
	room      chan struct{} // closed when a checkpoint has ended
	ckptErr   error         // how it has ended
	parts     *assembly
	pinned    []page.TXID // scratch of pins
	keys      keys
	changes   map[uint32]page.TXID // pages that were installed after tracked, and when last; nil: nobody asks
	tracked   page.TXID

	flight flight
}

// flight counts the proposals that the log has not answered.
type flight struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to 0, if somebody waits
}

func (f *flight) add() {
	f.mu.Lock()
	f.n++
	f.mu.Unlock()
}

func (f *flight) done() {
	f.mu.Lock()
	if f.n--; f.n == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
	f.mu.Unlock()
}

func (f *flight) wait(ctx context.Context) error {
	f.mu.Lock()
	if f.n == 0 {
		f.mu.Unlock()
		return nil
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// propose counts what it hands to the log.
func (s *Store) propose(ctx context.Context, rec []byte, stored func(), done func(pos uint64, err error)) {
	s.flight.add()
	s.o.Log.Propose(ctx, rec, stored, func(pos uint64, err error) {
		done(pos, err)
		s.flight.done()
	})
}

// version is one page as one transaction left it.
type version struct {
	txid page.TXID
	sum  uint64
	stored
}

// drop remembers that everything above floor was dropped at the end of a rollback epoch.
type drop struct {
	epoch uint64
	floor page.TXID
}

type headWaiter struct {
	txid page.TXID
	done chan error
}

// New returns a store that stands on base, whose reference it takes over.
func New(o Options, base *pagefile.Tree) *Store {
	s := &Store{
		o: o, base: base, pages: map[uint32][]version{}, room: make(chan struct{}),
		committed: base.State, executed: base.State, position: base.LogPos, rollback: o.Rollback,
		keys: keys{committed: o.Keys, executed: o.Keys},
	}
	if o.Track {
		s.changes, s.tracked = map[uint32]page.TXID{}, base.State.TXID
	}
	return s
}

// Identity says whose versions these are.
func (s *Store) Identity() pagefile.Identity { return s.o.Identity }

// Heads are the three heads, and the number of times that versions were dropped.
type Heads struct {
	Executed, Committed page.State
	Position            uint64 // of Committed in the log
	Rollback            uint64
}

// Heads returns where the store stands.
func (s *Store) Heads() Heads {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Heads{s.executed, s.committed, s.position, s.rollback}
}

// Stats is what a checkpointer wants to know.
type Stats struct {
	VersionBytes, SpilledBytes int64
	Versions                   int   // pages with versions above the page file
	LogBytes                   int64 // since the last checkpoint
	Commits                    int64 // committed since the last checkpoint
	DirtySince                 time.Time
	Snapshots, Writers         int
	Pending                    int
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{s.bytes, s.spilled, len(s.pages), s.logged, int64(s.committed.TXID - s.base.State.TXID), s.dirty, len(s.snaps), s.place.waiting(), len(s.pending)}
}

// Failed is why the store is out of service, nil if it isn't.
func (s *Store) Failed() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failed
}

// Fail takes the store out of service. Waiters hear that the outcome of their commits is unknown.
func (s *Store) Fail(cause error) {
	s.mu.Lock()
	if s.failed != nil {
		s.mu.Unlock()
		return
	}
	s.failed = fmt.Errorf("%w: %w", ErrFailed, cause)
	if errors.Is(cause, ErrClosed) {
		s.failed = cause
	}
	for _, p := range s.pending {
		p.resolve(fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause))
	}
	s.giveUp(cause)
	for _, w := range s.waiters {
		w.done <- s.failed
	}
	s.waiters = nil
	err := s.failed
	s.mu.Unlock()
	s.place.fail(err)
}

// RefuseWriters answers everyone who wants to write with err. Reading goes on.
func (s *Store) RefuseWriters(err error) { s.place.fail(err) }

// Quiet waits until every proposal has been answered by the log.
func (s *Store) Quiet(ctx context.Context) error { return s.flight.wait(ctx) }

// Close lets go of the page file. No snapshot is valid afterwards.
func (s *Store) Close() {
	s.Fail(ErrClosed)
	s.mu.Lock()
	base := s.base
	s.base = pagefile.Empty()
	for _, chain := range s.pages {
		for _, v := range chain {
			v.spill.Release()
		}
	}
	s.pages, s.listed = map[uint32][]version{}, nil
	s.mu.Unlock()
	base.Release()
}

// AcquireWriter takes the writer's place. It waits for the place at most timeout, and for a checkpoint to make room as
// long as ctx lasts.
func (s *Store) AcquireWriter(ctx context.Context, timeout time.Duration) error {
	if err := s.waitForRoom(ctx); err != nil {
		return err
	}
	if s.o.Full != nil {
		if err := s.o.Full(); err != nil {
			return err
		}
	}
	return s.place.acquire(ctx, timeout)
}

func (s *Store) waitForRoom(ctx context.Context) error {
	for waited := false; ; waited = true {
		s.mu.RLock()
		// What old snapshots keep in memory is nothing that a checkpoint could change.
		full, room, err := s.o.HighWater > 0 && s.bytes > s.o.HighWater && s.committed.TXID > s.base.State.TXID, s.room, s.ckptErr
		s.mu.RUnlock()
		if !full {
			return nil
		}
		if waited && err != nil {
			return fmt.Errorf("too much waits for a checkpoint: %w", err)
		}
		s.o.Changed()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ReleaseWriter hands the place to the next in the queue.
func (s *Store) ReleaseWriter() { s.place.release() }

// WriterTaken tells whether somebody has the writer's place.
func (s *Store) WriterTaken() bool { return s.place.taken() }

// Overlay returns an empty overlay for a transaction on sn.
func (s *Store) Overlay(sn *Snapshot) *Overlay {
	return NewOverlay(s.o.Temp, s.o.TxnMemory, sn.State.Size, int64(sn.State.Size)*int64(sn.State.Pages))
}

// WaitCommitted waits until the committed head has reached txid, as it was seen in rollback epoch epoch. It fails with
// ErrSerialization if that version was dropped.
func (s *Store) WaitCommitted(ctx context.Context, txid page.TXID, epoch uint64) error {
	s.mu.Lock()
	if s.wasDropped(txid, epoch) {
		s.mu.Unlock()
		return ErrSerialization
	}
	if s.committed.TXID >= txid {
		s.mu.Unlock()
		return nil
	}
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	done := make(chan error, 1)
	s.waiters = append(s.waiters, headWaiter{txid, done})
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.waiters = slices.DeleteFunc(s.waiters, func(w headWaiter) bool { return w.done == done })
	s.mu.Unlock()
	return context.Cause(ctx)
}

// wasDropped tells whether txid, seen in rollback epoch epoch, has been dropped since. mu is held.
func (s *Store) wasDropped(txid page.TXID, epoch uint64) bool {
	for i := len(s.drops) - 1; i >= 0 && s.drops[i].epoch >= epoch; i-- {
		if txid > s.drops[i].floor {
			return true
		}
	}
	return false
}

// advance makes st committed, with the keyring that it brings, if any. mu is held.
func (s *Store) advance(st page.State, pos uint64, keyring *crypt.Keyring) {
	s.committed, s.position = st, pos
	if keyring != nil {
		s.keys.committed = keyring
		if s.o.KeysChanged != nil {
			defer s.o.KeysChanged()
		}
	}
	if len(s.waiters) == 0 {
		return
	}
	s.waiters = slices.DeleteFunc(s.waiters, func(w headWaiter) bool {
		if w.txid > st.TXID {
			return false
		}
		w.done <- nil
		return true
	})
}
