package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
)

// Every database has an owner, an actor that makes its checkpoints, collects its old versions, and opens it anew after
// a failure. The owners are children of the host's supervisor, which restarts one that panics: a restarted owner finds
// its database out of service and opens it from page file and log. If that fails it tries again, after pauses that
// double; damage and divergence don't go away and aren't tried again. An owner that panics five times within a minute
// is stopped. A database that was given up stays out of service until the host is opened again.
const (
	maxRestarts    = 5
	restartsWithin = time.Minute

	firstPause   = 50 * time.Millisecond
	longestPause = 30 * time.Second

	complainAfter = time.Minute // since the last complaint about checkpoints that fail
)

// Messages of an owner.
type (
	checkpointNow struct {
		ctx  context.Context
		done chan<- error
	}
	checkpointDue struct{} // there is enough for a checkpoint
	checkpointOld struct{} // look whether something has been in the log alone for too long
	collectDue    struct{} // a snapshot that kept old versions is gone
	databaseDown  struct{ cause error }
	tryAgain      struct{}
	restoreNow    struct { // an image takes the place of what is here
		ctx   context.Context
		at    Position
		image io.Reader
		done  chan<- error
	}
	settleNow struct {
		ctx  context.Context
		done chan<- error
	}
	lastOrders struct { // the host closes: a last checkpoint
		ctx  context.Context
		done chan<- error
	}
)

// spawnOwner asks the supervisor for an owner.
type spawnOwner struct {
	db   *DB
	done chan<- struct{}
}

// supervisor is the parent of all owners.
type supervisor struct{}

func (supervisor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *spawnOwner:
		m.db.owner = ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return &owner{db: m.db} }))
		close(m.done)
	case *spawnUploader:
		m.db.uploader = ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return &uploader{db: m.db} }))
		close(m.done)
	}
}

// owner is the actor of one database.
type owner struct {
	db    *DB
	pause time.Duration // before the next attempt to open the database
}

// Receive implements actor.Actor.
func (o *owner) Receive(ctx actor.Context) {
	db := o.db
	defer func() {
		if v := recover(); v != nil {
			// Whatever was going on, what is in memory is not to be trusted any more.
			o.fail(v, ctx.Message())
			panic(v) // the supervisor's turn
		}
	}()
	switch m := ctx.Message().(type) {
	case *actor.Started:
		o.revive(ctx)
		// Where a change of keys was interrupted.
		if k := db.kept; k != nil && db.file != nil && db.file.Sealable() && (len(k.Keys()) > 1 || db.file.Mixed()) {
			db.beginReseal(ctx.Self())
		}
	case *tryAgain:
		o.revive(ctx)
	case *actor.Stopped:
		if err := db.current().Failed(); err != nil {
			db.dead.CompareAndSwap(nil, &err)
		}
		close(db.gone)
	case *checkpointNow:
		m.done <- db.checkpoint(m.ctx)
	case *checkpointDue:
		// What calls for a checkpoint while one is made is heard afterwards, and not at all while they fail: see pause.
		if db.background() {
			db.due.Store(false)
			db.wanted()
		}
	case *checkpointOld:
		db.tidy()
	case *collectDue:
		db.collect.Store(false)
		db.current().Collect()
	case *databaseDown:
		if db.current().Failed() != nil {
			panic(m.cause)
		}
	case *restoreNow:
		m.done <- db.restore(m.ctx, m.at, m.image)
	case *settleNow:
		db.settleAfter = time.Time{}
		m.done <- db.settle(m.ctx)
	case *resealStep:
		db.resealSome(ctx.Self())
	case *lastOrders:
		err := db.checkpoint(m.ctx)
		if err == nil {
			err = db.repeat()
		}
		m.done <- err
		ctx.Stop(ctx.Self())
	}
}

// revive opens a database that is out of service anew.
func (o *owner) revive(ctx actor.Context) {
	db := o.db
	if err := db.current().Failed(); err == nil || errors.Is(err, ErrClosed) || db.dead.Load() != nil {
		return
	}
	err := db.reopen()
	if err == nil {
		o.pause = 0
		return
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrDiverged) || errors.Is(err, ErrNewerFormat) {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
		db.dead.Store(&err)
		db.host.o.Logger.Error("database is given up", "database", db.Name(), "error", err)
		return
	}
	o.pause = min(max(2*o.pause, firstPause), longestPause)
	db.host.o.Logger.Error("database can't be opened, it is tried again", "database", db.Name(), "in", o.pause, "error", err)
	self, root := ctx.Self(), db.host.system.Root
	time.AfterFunc(o.pause, func() { root.Send(self, &tryAgain{}) })
}

// fail takes the database out of service after a panic of the owner.
func (o *owner) fail(v any, message any) {
	var cause error
	switch v := v.(type) {
	case runtime.Error: // an error too, but where it came from is what matters
		cause = &PanicError{v, debug.Stack()}
	case error:
		cause = v
	default:
		cause = &PanicError{v, debug.Stack()}
	}
	o.db.current().Fail(cause)
	switch m := message.(type) {
	case *checkpointNow:
		m.done <- fmt.Errorf("%w: %w", ErrFailed, cause)
	case *settleNow:
		m.done <- fmt.Errorf("%w: %w", ErrFailed, cause)
	case *lastOrders:
		m.done <- fmt.Errorf("%w: %w", ErrFailed, cause)
	case *restoreNow:
		m.done <- fmt.Errorf("%w: %w", ErrFailed, cause)
	}
}

// Checkpoint writes the committed head into the page file, so that the log isn't needed for it any more.
func (db *DB) Checkpoint(ctx context.Context) error {
	done := make(chan error, 1)
	db.host.system.Root.Send(db.owner, &checkpointNow{ctx, done})
	select {
	case err := <-done:
		return err
	case <-db.gone:
		return errors.Join(db.Err(), ErrClosed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// background makes a checkpoint that nobody waits for.
func (db *DB) background() (ok bool) {
	err := db.checkpoint(context.Background())
	if err == nil && db.cold != nil {
		if cerr := db.settle(db.host.life); cerr != nil && db.host.life.Err() == nil && time.Since(db.complained) > complainAfter {
			db.complained = time.Now()
			db.host.o.Logger.Warn("pages can't move between disk and bucket, it is tried again", "database", db.Name(), "error", cerr)
		}
	}
	if err == nil || errors.Is(err, ErrClosed) {
		if db.cold == nil {
			db.complained = time.Time{}
		}
		return true
	}
	if time.Since(db.complained) > complainAfter {
		db.complained = time.Now()
		db.host.o.Logger.Error("checkpoint failed, the log is kept until one succeeds; it is tried again", "database", db.Name(), "error", err)
	}
	db.pause()
	return false
}

// wanted asks for a checkpoint if there is enough for one.
func (db *DB) wanted() {
	if s := db.current().Stats(); s.LogBytes > db.host.o.CheckpointBytes || s.VersionBytes > db.host.o.CheckpointBytes {
		db.host.want(db.segment, false)
	}
}

// pause lets some time pass before the next attempt, so that a full disk isn't asked all the time.
func (db *DB) pause() {
	db.due.Store(true)
	time.AfterFunc(time.Second, func() {
		db.due.Store(false)
		db.wanted()
	})
}

// tidy makes sure that a database which has fallen idle doesn't hold the head of the log.
func (db *DB) tidy() {
	s := db.current().Stats()
	h := db.host
	if db.cold == nil && db.kept != nil && len(db.kept.Keys()) > 1 && db.retiring.CompareAndSwap(false, true) {
		h.wg.Go(func() {
			defer db.retiring.Store(false)
			if _, err := db.retireKeys(h.life); err != nil && h.life.Err() == nil {
				h.o.Logger.Warn("looking for old data keys failed, it is tried again", "error", err)
			}
		})
	}
	switch {
	case s.Commits > 0 && (time.Since(s.DirtySince) >= h.o.CheckpointInterval || h.behind(db)):
		db.background()
	case s.Commits == 0:
		if err := db.repeat(); err != nil {
			h.o.Logger.Error("writing the second header failed", "database", db.Name(), "error", err)
		}
	}
}

// repeat makes both headers stand for the newest version, so that the log isn't needed for it at all.
func (db *DB) repeat() error {
	if db.file == nil || db.file.Covered() == db.current().Heads().Position {
		return nil
	}
	if err := db.file.Repeat(); err != nil {
		return err
	}
	db.release()
	return nil
}

// checkpoint is called by the owner alone.
func (db *DB) checkpoint(ctx context.Context) error {
	h := db.host
	start := time.Now()
	file, fresh := db.file, (*pagefile.File)(nil)
	into := pagestore.Into{
		// A file of the first format has no room for seals.
		Whole: file != nil && !file.Sealable() && db.current().Keys() != nil,
		Adopt: func() error {
			if fresh == nil {
				return nil
			}
			return h.adoptPages(db.dir)
		},
	}
	into.File = func(size uint32) (_ *pagefile.File, whole bool, err error) {
		if err := db.keep(); err != nil {
			return nil, false, err
		}
		if file != nil && file.PageSize() == size && !into.Whole {
			return file, false, nil
		}
		fresh, err = h.createPages(db.segment, db.ident(), size, db.kept)
		return fresh, into.Whole, err
	}
	pages, err := db.current().Checkpoint(ctx, into)
	if err != nil {
		if fresh != nil {
			_ = fresh.Close()
		}
		return err
	}
	if fresh != nil {
		if file != nil {
			_ = file.Close()
		}
		db.file = fresh
	}
	if db.cold != nil {
		db.cold.file.Store(db.file)
	}
	if err := db.keepLess(h.life); err != nil && h.life.Err() == nil {
		h.o.Logger.Warn("old data keys can't be let go of here, it is tried again", "database", db.Name(), "error", err)
	}
	db.release()
	if pages > 0 {
		h.metrics.checkpoint.Record(ctx, time.Since(start).Seconds())
		h.o.Logger.Debug("checkpoint", "database", db.Name(), "pages", pages, "took", time.Since(start))
	}
	return nil
}

// createPages makes an empty page file under a temporary name.
func (h *Host) createPages(segment SegmentID, id pagefile.Identity, size uint32, keys *crypt.Keyring) (*pagefile.File, error) {
	dir := h.segmentDir(segment)
	if err := h.o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", dir, err)
	}
	name := filepath.Join(dir, newPagesName)
	f, err := h.o.FS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	o := h.pageOptions(segment)
	o.Blocks = blocksOf(keys, id.Lineage)
	return pagefile.Create(f, id, size, o), nil
}

// adoptPages gives a page file that holds its first checkpoint its proper name.
func (h *Host) adoptPages(dir string) error {
	fs := h.o.FS
	if err := fs.Rename(filepath.Join(dir, newPagesName), filepath.Join(dir, pagesName)); err != nil {
		return err
	}
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	if err := fs.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("syncing %s: %w", filepath.Dir(dir), err)
	}
	return nil
}

// panicked takes the database out of service after a panic in the middle of a statement.
func (db *DB) panicked(v any) error {
	cause := &PanicError{v, debug.Stack()}
	db.down(cause)
	return fmt.Errorf("%w: %w", ErrFailed, cause)
}

// down takes the database out of service and lets its supervisor bring it back.
func (db *DB) down(cause error) {
	db.current().Fail(cause)
	db.host.o.Logger.Error("database is out of service", "database", db.Name(), "error", cause)
	db.host.system.Root.Send(db.owner, &databaseDown{cause})
}

// reopen builds the store anew from page file and log. It is called by the owner.
func (db *DB) reopen() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("reopening database %q: %w", db.Name(), &PanicError{v, debug.Stack()})
		}
	}()
	h := db.host
	old := db.current()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// What is on its way to the log must have arrived, or it would be missing in what is read from there. A replicated log
	// brings it later.
	if h.replicated == nil {
		if err := old.Quiet(ctx); err != nil {
			return fmt.Errorf("reopening database %q: waiting for the log: %w", db.Name(), err)
		}
	}
	db.applying.Lock()
	defer db.applying.Unlock()
	if db.file != nil {
		_ = db.file.Close()
		db.file = nil
	}
	rollback := old.Heads().Rollback + 1
	old.Close()
	file, keys, err := h.openPages(db.segment)
	if err != nil {
		return fmt.Errorf("reopening database %q: %w", db.Name(), err)
	}
	base := pagefile.Empty()
	if file != nil {
		base = file.Newest()
	}
	from := Position(base.LogPos) + 1
	s := h.openStore(db.segment, db.ident(), base, rollback, keys)
	err = h.log.Replay(ctx, from, func(pos Position, seg SegmentID, rec []byte) error {
		if seg != db.segment {
			return nil
		}
		_, err := s.Apply(uint64(pos), rec)
		return err
	})
	if err != nil {
		s.Close()
		if file != nil {
			_ = file.Close()
		}
		return fmt.Errorf("reopening database %q: %w", db.Name(), err)
	}
	db.file, db.kept = file, keys
	if db.cold != nil {
		db.cold.file.Store(file)
	}
	db.store.Store(s)
	db.stand()
	h.o.Logger.Info("database is back in service", "database", db.Name(), "txid", s.Heads().Committed.TXID)
	return nil
}

// want asks for a checkpoint, or a collection of old versions, without waiting.
func (h *Host) want(segment SegmentID, collect bool) {
	db := h.bySegment(segment)
	if db == nil || db.owner == nil {
		return
	}
	if collect {
		if db.collect.CompareAndSwap(false, true) {
			h.system.Root.Send(db.owner, &collectDue{})
		}
		return
	}
	if db.due.CompareAndSwap(false, true) {
		h.system.Root.Send(db.owner, &checkpointDue{})
	}
}

// dropped is told when a store has dropped speculative versions.
func (h *Host) dropped(segment SegmentID, cause error) {
	db := h.bySegment(segment)
	if db == nil {
		return
	}
	h.o.Logger.Warn("transactions that were not committed are dropped", "database", db.Name(), "error", cause)
}

// watch looks after idle databases, and after those whose oldest record keeps the log from shrinking.
func (h *Host) watch() {
	defer h.wg.Done()
	t := time.NewTicker(max(h.o.CheckpointInterval/4, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-h.closing:
			return
		case <-t.C:
		}
		for _, db := range h.all() {
			h.system.Root.Send(db.owner, &checkpointOld{})
		}
	}
}

// behind tells whether the log has become long since the database's last checkpoint.
func (h *Host) behind(db *DB) bool {
	l, ok := h.log.(HeadLog)
	if !ok {
		return false
	}
	first, bytes := l.Head()
	return bytes > 8*h.o.CheckpointBytes && db.checkpointed() < h.log.Committed()-(h.log.Committed()-first)/2
}

// checkpointed is the position that the page file stands for. It is called by the owner.
func (db *DB) checkpointed() Position {
	if db.file == nil {
		return 0
	}
	return Position(db.file.Covered())
}

var _ pagestore.Log = segmentLog{}
