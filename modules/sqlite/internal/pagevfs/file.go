package pagevfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// noVersion is never the number of a version.
const noVersion = page.TXID(1<<64 - 1)

// Hooks connect files to the database that they belong to. All may be nil.
type Hooks struct {
	// Waited is told how long a writer queued for its place.
	Waited func(d time.Duration)
	// Committing is called before a commit; what it returns is called with its outcome.
	Committing func(ctx context.Context) (context.Context, func(page.TXID, error))
	// Checkpoint writes the committed head into the page file.
	Checkpoint func(ctx context.Context) error
	// Ahead says that pages may have to be fetched from elsewhere, so that it is worth while to ask for the next ones early.
	Ahead bool
	// Panicked is told that something in the database panicked; it takes the database out of service.
	Panicked func(v any) error
}

// File is a connection's view of a database. Like a connection, it is used by one goroutine at a time.
type File struct {
	Store    *pagestore.Store
	Hooks    *Hooks
	ReadOnly bool
	// Context ends waits, and carries the trace. LockTimeout is how long a transaction queues for the writer's place.
	Context     context.Context
	LockTimeout time.Duration
	// Answer says when commits return.
	Answer Answer

	lock    vfs.LockLevel
	hint    bool // the next SHARED lock belongs to a write transaction
	writer  bool // this file has the writer's place
	sn      pagestore.Snapshot
	overlay *pagestore.Overlay

	// The change counter that this connection sees, and the version its page cache was filled from.
	counter      uint32
	seen         page.TXID
	seenRollback uint64
	speculative  bool // it has read versions that were not committed

	// What the output gate waits for.
	base         page.TXID
	baseRollback uint64
	proposed     *pagestore.Pending // by the last transaction, if nobody waited for it

	descent descent

	last    page.TXID // last commit
	lastErr error
}

// Answer is when a commit returns.
type Answer uint8

const (
	Committed Answer = iota // when the log has acknowledged it
	Stored                  // when this server's disk has it
	AtOnce
)

// NewFile returns a view of a store.
func NewFile(s *pagestore.Store, h *Hooks) *File {
	return &File{Store: s, Hooks: h, Context: context.Background(), seen: noVersion, seenRollback: s.Heads().Rollback}
}

var (
	_ vfs.FileLockState        = &File{}
	_ vfs.FileCommitPhaseTwo   = &File{}
	_ vfs.FileBatchAtomicWrite = &File{}
	_ vfs.FilePragma           = &File{}
)

// Err is why the last lock, read or commit failed, nil if it didn't.
func (f *File) Err() error { return f.lastErr }

// ClearErr forgets it.
func (f *File) ClearErr() { f.lastErr = nil }

// LastTXID is the last transaction committed through this file, 0 if none.
func (f *File) LastTXID() page.TXID { return f.last }

// Gate waits until the newest version that the last transaction ran on is committed. If it was dropped, the error is
// ErrSerialization, or what became of the transaction if it was proposed: both may come back by the next leader's log.
func (f *File) Gate(ctx context.Context) error {
	err := f.Store.WaitCommitted(ctx, f.base, f.baseRollback)
	if f.proposed == nil || !errors.Is(err, pagestore.ErrSerialization) {
		return err
	}
	if err = f.proposed.Wait(ctx); err == nil {
		f.base, f.proposed = 0, nil
	}
	return err
}

// Stale tells whether the connection has read versions that were dropped since: its caches may hold what never
// happened.
func (f *File) Stale() bool {
	return f.speculative && f.seenRollback != f.Store.Heads().Rollback
}

// fail remembers err and turns it into what SQLite understands.
func (f *File) fail(err error, code sqlite3.ExtendedErrorCode) error {
	f.lastErr = err
	switch {
	case errors.Is(err, pagestore.ErrLockTimeout):
		return sqlite3.BUSY
	case errors.Is(err, pagestore.ErrStaleSnapshot):
		return sqlite3.BUSY_SNAPSHOT
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if code == sqlite3.IOERR_LOCK {
			return sqlite3.INTERRUPT
		}
	}
	return vfs.SystemError(err, code)
}

// guard turns a panic into an error that takes only this database out of service.
func (f *File) guard(err *error) {
	v := recover()
	if v == nil {
		return
	}
	cause := fmt.Errorf("panic: %v", v)
	if f.Hooks.Panicked != nil {
		cause = f.Hooks.Panicked(v)
	}
	*err = f.fail(cause, sqlite3.ExtendedErrorCode(sqlite3.IOERR))
}

// Lock implements vfs.File.
func (f *File) Lock(l vfs.LockLevel) (err error) {
	defer f.guard(&err)
	if f.lock >= l {
		return nil
	}
	switch {
	case l == vfs.LOCK_SHARED:
		hint := f.hint
		f.hint = false
		err = f.lockShared(hint && !f.ReadOnly)
	case f.ReadOnly:
		err = errors.New("the database is open for reading only")
	default:
		err = f.lockWriter()
	}
	if err != nil {
		return f.fail(err, sqlite3.IOERR_LOCK)
	}
	f.lock = l
	return nil
}

// lockShared takes a snapshot: of the executed head together with the writer's place, or of the committed head.
func (f *File) lockShared(write bool) error {
	f.lastErr = nil
	if f.Stale() {
		return fmt.Errorf("%w: the connection must be closed", pagestore.ErrSerialization)
	}
	if write {
		if err := f.acquire(); err != nil {
			return err
		}
	} else if f.last > 0 && f.Answer != Committed {
		// Read your own writes.
		if err := f.Store.WaitCommitted(f.Context, f.last, f.baseRollback); err != nil {
			return err
		}
	}
	if err := f.Store.Pin(&f.sn, write); err != nil {
		f.release()
		return err
	}
	f.took()
	return nil
}

// took accounts for the version that was pinned.
func (f *File) took() {
	f.base, f.baseRollback, f.proposed = f.sn.State.TXID, f.sn.Rollback, nil
	if f.writer {
		f.speculative = true
	}
	if f.seen != f.sn.State.TXID || f.seenRollback != f.sn.Rollback {
		f.counter++
		f.seen, f.seenRollback = f.sn.State.TXID, f.sn.Rollback
	}
}

// lockWriter makes a transaction that has begun by reading the writer.
func (f *File) lockWriter() error {
	if f.writer {
		return nil
	}
	// There is no use in queueing with a snapshot that can't be written on.
	if !f.sn.Executed() {
		return pagestore.ErrStaleSnapshot
	}
	if err := f.acquire(); err != nil {
		return err
	}
	if !f.sn.Executed() {
		f.release()
		return pagestore.ErrStaleSnapshot
	}
	f.speculative = true
	return nil
}

func (f *File) acquire() error {
	start := time.Now()
	err := f.Store.AcquireWriter(f.Context, f.LockTimeout)
	if f.Hooks.Waited != nil {
		f.Hooks.Waited(time.Since(start))
	}
	f.writer = err == nil
	return err
}

func (f *File) release() {
	if f.writer {
		f.writer = false
		f.Store.ReleaseWriter()
	}
}

// Unlock implements vfs.File. What CommitPhaseTwo did not publish is dropped.
func (f *File) Unlock(l vfs.LockLevel) error {
	if f.lock <= l {
		return nil
	}
	if f.overlay != nil {
		f.overlay.Close()
		f.overlay = nil
	}
	f.release()
	if l == vfs.LOCK_NONE {
		f.sn.Release()
	}
	f.lock = l
	return nil
}

// Close implements vfs.File.
func (f *File) Close() error { return f.Unlock(vfs.LOCK_NONE) }

// CheckReservedLock implements vfs.File.
func (f *File) CheckReservedLock() (bool, error) { return f.Store.WriterTaken(), nil }

// LockState implements vfs.FileLockState.
func (f *File) LockState() vfs.LockLevel { return f.lock }

// Size implements vfs.File.
func (f *File) Size() (int64, error) {
	if f.overlay != nil {
		return f.overlay.Size(), nil
	}
	st := f.sn.State
	if !f.sn.Pinned() {
		st = f.Store.Heads().Committed
	}
	return int64(st.Pages) * int64(st.Size), nil
}

// ReadAt implements vfs.File.
func (f *File) ReadAt(b []byte, off int64) (n int, err error) {
	defer f.guard(&err)
	sn := &f.sn
	if !sn.Pinned() {
		// SQLite looks at the header before it locks.
		var once pagestore.Snapshot
		if err := f.Store.Pin(&once, false); err != nil {
			return 0, f.fail(err, sqlite3.IOERR_READ)
		}
		defer once.Release()
		sn = &once
	}
	size, block := int64(sn.State.Pages)*int64(sn.State.Size), int64(sn.State.Size)
	if f.overlay != nil {
		size = f.overlay.Size()
		if block == 0 {
			block = f.overlay.Block()
		}
	}
	first := off
	for n < len(b) && off < size {
		no, at := uint32(off/block)+1, int(off%block)
		part := b[n : n+min(int(block)-at, len(b)-n, int(size-off))]
		done := false
		if f.overlay != nil {
			if done, err = f.overlay.Read(no, part, at); err != nil {
				return n, f.fail(err, sqlite3.IOERR_READ)
			}
		}
		if !done {
			if no > sn.State.Pages {
				clear(part)
			} else if err := sn.Read(f.Context, no, part, at); errors.Is(err, pagefile.ErrDamaged) {
				return n, f.fail(err, sqlite3.IOERR_CORRUPTFS)
			} else if err != nil {
				return n, f.fail(err, sqlite3.IOERR_READ)
			} else if int64(len(part)) == block {
				f.ahead(sn, no, part)
			}
		}
		n += len(part)
		off += int64(len(part))
	}
	if first < 96 && n > 0 {
		patchCounter(b[:n], first, f.counter)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements vfs.File: pages stay private until CommitPhaseTwo.
func (f *File) WriteAt(b []byte, off int64) (n int, err error) {
	defer f.guard(&err)
	if !f.writer {
		return 0, f.fail(errors.New("write outside of a transaction"), sqlite3.IOERR_WRITE)
	}
	o := f.private()
	if off == 0 && len(b) >= 100 {
		// The pager will compare with the counter it has just written; what is stored is the transaction's number,
		// and always rollback-journal mode, whatever an imported file said.
		f.counter = binary.BigEndian.Uint32(b[24:])
		saved := [...]byte{b[18], b[19]}
		b[18], b[19] = 1, 1
		patchCounter(b, 0, uint32(f.sn.State.TXID+1))
		defer func() {
			b[18], b[19] = saved[0], saved[1]
			patchCounter(b, 0, f.counter)
		}()
	}
	if err := o.Write(b, off, func(no uint32, dst []byte) error {
		if no > f.sn.State.Pages {
			clear(dst)
			return nil
		}
		return f.sn.Read(f.Context, no, dst, 0)
	}); err != nil {
		return 0, f.fail(err, sqlite3.IOERR_WRITE)
	}
	return len(b), nil
}

func (f *File) private() *pagestore.Overlay {
	if f.overlay == nil {
		f.overlay = f.Store.Overlay(&f.sn)
	}
	return f.overlay
}

// Truncate implements vfs.File.
func (f *File) Truncate(size int64) error {
	if !f.writer {
		return f.fail(errors.New("truncation outside of a transaction"), sqlite3.IOERR_TRUNCATE)
	}
	f.private().Truncate(size)
	return nil
}

// CommitPhaseTwo implements vfs.FileCommitPhaseTwo. SQLite calls it once per write transaction, when all pages are
// written and the end of the file is where it will be. An error here makes the statement fail and the connection
// forget its page cache.
func (f *File) CommitPhaseTwo() (err error) {
	defer f.guard(&err)
	if f.overlay == nil {
		return nil
	}
	f.lastErr = nil
	ctx, finish := f.Context, func(page.TXID, error) {}
	if f.Hooks.Committing != nil {
		ctx, finish = f.Hooks.Committing(ctx)
	}
	f.writer = false // Commit hands the place on
	p, err := f.Store.Commit(ctx, &f.sn, f.overlay, f.Answer == Stored)
	f.overlay.Close()
	f.overlay = nil
	if err == nil && p != nil {
		f.last = p.State.TXID
		f.base, f.baseRollback = p.State.TXID-1, f.sn.Rollback
		switch f.proposed = p; f.Answer {
		case Stored:
			err = p.WaitStored(ctx)
		case Committed:
			// Its outcome is that of what it stands on, also where that was dropped in the meantime and has come back by
			// another leader's log.
			err = p.Wait(ctx)
			f.base, f.proposed = 0, nil
		}
	}
	if err != nil {
		f.seen = noVersion
		finish(f.last, err)
		return f.fail(err, sqlite3.IOERR_COMMIT_ATOMIC)
	}
	if p != nil {
		f.seen = p.State.TXID
		finish(f.last, nil)
	} else {
		finish(0, nil)
	}
	return nil
}

// Pragma implements vfs.FilePragma.
func (f *File) Pragma(name, value string) (string, error) {
	switch name {
	case "experimental_pragma_20251114":
		// SQLite announces that the lock it is about to take is for a write transaction.
		f.hint = true
	case "journal_mode":
		return "wal", nil
	case "locking_mode":
		return "normal", nil
	case "wal_checkpoint":
		if f.Hooks.Checkpoint != nil {
			if err := f.Hooks.Checkpoint(f.Context); err != nil {
				return "", err
			}
		}
		return "0", nil
	case "busy_timeout":
		if ms, err := strconv.ParseInt(strings.Trim(value, " '\""), 10, 32); err == nil {
			f.LockTimeout = time.Duration(max(ms, 0)) * time.Millisecond
		}
		return strconv.FormatInt(f.LockTimeout.Milliseconds(), 10), nil
	}
	return "", sqlite3.NOTFOUND
}

// Sync implements vfs.File: the log makes commits durable.
func (f *File) Sync(vfs.SyncFlag) error { return nil }

// SectorSize implements vfs.File.
func (f *File) SectorSize() int { return 0 }

// DeviceCharacteristics implements vfs.File. IOCAP_ATOMIC is not among them: it would make SQLite choose 8 KiB pages.
func (f *File) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_BATCH_ATOMIC | vfs.IOCAP_SEQUENTIAL | vfs.IOCAP_SAFE_APPEND |
		vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SUBPAGE_READ
}

// BeginAtomicWrite implements vfs.FileBatchAtomicWrite: all writes are private until the commit anyway.
func (f *File) BeginAtomicWrite() error { return nil }

// CommitAtomicWrite implements vfs.FileBatchAtomicWrite.
func (f *File) CommitAtomicWrite() error { return nil }

// RollbackAtomicWrite implements vfs.FileBatchAtomicWrite.
func (f *File) RollbackAtomicWrite() error { return nil }

// patchCounter writes v over the change counter (bytes 24–27 of the database) and the counter for which the size in
// the header is valid (92–95), as far as b, which begins at off, holds them.
func patchCounter(b []byte, off int64, v uint32) {
	var be [4]byte
	binary.BigEndian.PutUint32(be[:], v)
	for _, field := range [...]int64{24, 92} {
		for i := range be {
			if k := field + int64(i) - off; k >= 0 && k < int64(len(b)) {
				b[k] = be[i]
			}
		}
	}
}
