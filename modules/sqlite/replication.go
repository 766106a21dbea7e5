package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
	"github.com/ncruces/go-sqlite3"
)

// outcomeWait is how long the clients of a deposed leader wait for what the next one makes of their commits.
const outcomeWait = 5 * time.Second

// awayPause is how long a follower waits before it asks a bucket again that doesn't answer.
const awayPause = 500 * time.Millisecond

// replica is a Host as its replicated log sees it.
type replica struct{ h *Host }

var _ Replica = replica{}

// standing is why nobody may write on this server, nil if one may.
func (h *Host) standing() error {
	if err := h.stance.Load(); err != nil {
		return *err
	}
	return nil
}

// stand lets writers in or not.
func (db *DB) stand() {
	s := db.current()
	if s == nil || s.Failed() != nil {
		return
	}
	err := db.refused
	if err == nil {
		err = db.host.standing()
	}
	s.RefuseWriters(err)
}

// Segments implements Replica.
func (r replica) Segments() (ids []SegmentID) {
	for _, db := range r.h.all() {
		ids = append(ids, db.segment)
	}
	return ids
}

// Holds implements Replica.
func (r replica) Holds(seg SegmentID) (Position, bool) {
	h := r.h
	if db := h.bySegment(seg); db != nil {
		return Position(db.current().Heads().Position), true
	}
	h.registers.Lock()
	defer h.registers.Unlock()
	if f := h.unclaimed.segments[seg]; f != nil && f.store != nil {
		return Position(f.store.Heads().Position), true
	}
	return 0, seg > h.last
}

// Apply implements Replica.
func (r replica) Apply(ctx context.Context, seg SegmentID, records []Committed) error {
	h := r.h
	db := h.bySegment(seg)
	if db == nil {
		h.registers.Lock()
		defer h.registers.Unlock()
		for _, c := range records {
			if err := h.unclaimed.apply(c.Position, seg, c.Record); err != nil {
				return err
			}
		}
		return nil
	}
	if err := db.apply(ctx, records); err != nil {
		return err
	}
	if db == h.registry {
		return h.reconcile(ctx)
	}
	return nil
}

// apply takes committed records. A database that can't take them goes out of service and doesn't keep the others.
func (db *DB) apply(ctx context.Context, records []Committed) error {
	if s := db.current(); s.Failed() == nil {
		if err := s.Room(ctx); err != nil && ctx.Err() != nil {
			return err
		}
	}
	db.applying.Lock()
	defer db.applying.Unlock()
	for _, c := range records {
		s := db.current()
		if s.Failed() != nil {
			return nil // it reads them from the log when it is opened anew
		}
		_, err := s.Arrive(uint64(c.Position), c.Epoch, c.Record)
		for tries := 0; err != nil && pagestore.Away(err) && ctx.Err() == nil && s.Failed() == nil; tries++ {
			// A page that the transaction changes is in the bucket alone. Nothing is lost by waiting, and reads go on.
			if tries%60 == 0 {
				db.host.o.Logger.Warn("the log can't be applied as long as the bucket is away", "database", db.Name(), "error", err)
			}
			select {
			case <-time.After(awayPause):
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-db.host.life.Done():
				return ErrClosed
			}
			_, err = s.Arrive(uint64(c.Position), c.Epoch, c.Record)
		}
		if errors.Is(err, pagestore.ErrForeign) && db.rename0(c.Record) {
			_, err = db.current().Arrive(uint64(c.Position), c.Epoch, c.Record)
		}
		if errors.Is(err, record.ErrNewerVersion) {
			return &NewerFormatError{fmt.Sprintf("log position %d", c.Position), uint32(c.Record[1]), record.Version}
		}
		if err != nil {
			db.down(err)
		}
	}
	return nil
}

// rename0 gives an empty database the identity that its first record names: only the leader that made it knew.
func (db *DB) rename0(rec []byte) bool {
	old := db.current()
	r, err := pagestore.Follows(rec)
	if err != nil || old.Heads().Committed.TXID != 0 {
		return false
	}
	id := db.ident()
	id.Database, id.Lineage = r.Database, r.Lineage
	db.replace(id, nil, nil)
	return true
}

// Advanced implements Replica.
func (r replica) Advanced(Position) {}

// Leads implements Replica.
func (r replica) Leads(epoch uint64) {
	h := r.h
	select {
	case <-h.closing:
		return // whoever is next won't find a writer that leaves
	default:
	}
	h.stance.Store(nil)
	for _, db := range h.all() {
		db.stand()
	}
	h.o.Logger.Info("this server leads", "epoch", epoch)
	h.wg.Go(func() { h.prepareRegistry(epoch) })
}

// Follows implements Replica.
func (r replica) Follows() {
	h := r.h
	leader := h.replicated.Leader()
	var err error = &NotLeaderError{leader}
	was := h.stance.Swap(&err)
	for _, db := range h.all() {
		db.stand()
		if was == nil {
			db.DropSpeculative()
		}
	}
	if was != nil {
		return
	}
	h.o.Logger.Info("this server no longer leads", "leader", leader)
	stores := make([]*pagestore.Store, 0)
	for _, db := range h.all() {
		stores = append(stores, db.current())
	}
	// Most hear from the next leader's log what became of their commits.
	time.AfterFunc(outcomeWait, func() {
		for _, s := range stores {
			s.GiveUp(errors.New("this server lost its leadership before the transaction was seen committed"))
		}
	})
}

// prepareRegistry makes the tables of the system database, and clears away what a leader before has left half done.
func (h *Host) prepareRegistry(epoch uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h.ddl.Lock()
	defer h.ddl.Unlock()
	if err := h.protectRegistry(ctx); err != nil && h.standing() == nil {
		h.o.Logger.Error("the system database stays in the clear until the next leader tries", "epoch", epoch, "error", err)
		return
	}
	if h.registry.current().Heads().Committed.Pages > 0 {
		if err := h.noteLineages(ctx); err != nil && h.standing() == nil {
			h.o.Logger.Error("noting what was taken over from the bucket failed", "epoch", epoch, "error", err)
		}
	}
	todo := false
	if h.registry.current().Heads().Committed.Pages == 0 {
		todo = true
	} else if err := h.inspect(ctx, func(c *sqlite3.Conn) error {
		return query(c, `SELECT 1 FROM databases WHERE state = 'importing'`, func(*sqlite3.Stmt) error {
			todo = true
			return nil
		})
	}); err != nil {
		h.o.Logger.Error("reading the registry of databases failed", "error", err)
	}
	if !todo {
		return
	}
	err := h.transact(ctx, func(c *sqlite3.Conn) error {
		if err := c.Exec(registrySchema); err != nil {
			return err
		}
		return c.Exec(`DELETE FROM databases WHERE state = 'importing'`)
	})
	if err != nil && h.standing() == nil {
		h.o.Logger.Error("preparing the registry of databases failed", "epoch", epoch, "error", err)
	}
}

// reconcile makes the databases those that the registry names. Of a replicated log it is called after each change of the
// registry, and may not wait for the log.
func (h *Host) reconcile(ctx context.Context) error {
	if h.registry.current().Heads().Committed.Pages == 0 {
		return nil
	}
	var rows []registryRow
	var last int64
	if err := h.inspect(ctx, func(c *sqlite3.Conn) (err error) {
		if rows, err = readRegistry(c); err != nil {
			return err
		}
		return query(c, `SELECT seq FROM sqlite_sequence WHERE name = 'databases'`, func(s *sqlite3.Stmt) error {
			last = s.ColumnInt64(0)
			return nil
		})
	}); err != nil {
		if h.registry.current().Failed() != nil {
			return nil // it says so itself
		}
		return fmt.Errorf("reading the registry of databases: %w", err)
	}
	named := map[SegmentID]bool{systemSegment: true}
	byName := map[string]*DB{}
	for _, row := range rows {
		db := h.ensure(row)
		db.rename(row.name)
		named[row.segment] = true
		if row.ready {
			byName[row.name] = db
		}
	}
	for _, db := range h.all() {
		if !named[db.segment] {
			h.detach(db)
			h.retire(db)
		}
	}
	h.mu.Lock()
	h.byName = byName
	h.last = max(h.last, SegmentID(last))
	h.mu.Unlock()
	h.forgetUnnamed(named, SegmentID(last))
	if h.o.SystemChanged != nil {
		h.o.SystemChanged()
	}
	return nil
}

// forgetUnnamed throws away what recovery found of databases that were dropped.
func (h *Host) forgetUnnamed(named map[SegmentID]bool, last SegmentID) {
	h.registers.Lock()
	defer h.registers.Unlock()
	for seg, f := range h.unclaimed.segments {
		if named[seg] || seg > last {
			continue
		}
		if f.store != nil {
			f.store.Close()
		}
		if f.file != nil {
			_ = f.file.Close()
		}
		delete(h.unclaimed.segments, seg)
		h.remove(seg)
	}
}

// Image implements Replica.
func (r replica) Image(_ context.Context, seg SegmentID) (Image, error) {
	db := r.h.bySegment(seg)
	if db == nil {
		return nil, fmt.Errorf("%w: segment %d", ErrNoDatabase, seg)
	}
	return db.image()
}

// Restore implements Replica.
func (r replica) Restore(ctx context.Context, seg SegmentID, at Position, image io.Reader) error {
	h := r.h
	db := h.bySegment(seg)
	if db == nil {
		return fmt.Errorf("%w: segment %d is in the snapshot and not in its registry", ErrDamaged, seg)
	}
	done := make(chan error, 1)
	h.system.Root.Send(db.owner, &restoreNow{ctx, at, image, done})
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("restoring database %q: %w", db.Name(), err)
		}
	case <-db.gone:
		return ErrClosed
	}
	if db == h.registry {
		return h.reconcile(ctx)
	}
	return nil
}

// Restored implements Replica.
func (r replica) Restored(_ context.Context, segs []SegmentID) error {
	h := r.h
	named := map[SegmentID]bool{}
	for _, s := range segs {
		named[s] = true
	}
	for _, db := range h.all() {
		if !named[db.segment] && db != h.registry {
			h.detach(db)
			h.retire(db)
		}
	}
	return nil
}

// Leader names the server that accepts writes, "" if none is known to or if the log isn't shared.
func (h *Host) Leader() string {
	if h.replicated == nil {
		return ""
	}
	return h.replicated.Leader()
}

// Writable is nil if writes are accepted here, or says why not.
func (h *Host) Writable() error {
	if err := h.standing(); err != nil {
		if h.replicated != nil {
			return &NotLeaderError{h.replicated.Leader()}
		}
		return err
	}
	_, err := h.log.Epoch()
	return err
}

// Fresh returns when reads here are as fresh as asked. maxAge bounds the age of stale ones; 0 doesn't. Errors:
// ErrNotLeader, ErrNotFresh.
func (h *Host) Fresh(ctx context.Context, level Consistency, maxAge time.Duration) error {
	if h.replicated == nil {
		return nil
	}
	if level != Stale {
		return h.replicated.Fresh(ctx, level)
	}
	if maxAge <= 0 {
		return nil
	}
	age := h.replicated.Age()
	if age <= maxAge {
		return nil
	}
	if err := h.replicated.CatchUp(ctx); err != nil {
		return fmt.Errorf("this server was last up to date %v ago, at most %v is allowed, and the leader can't be asked: %w", age.Round(time.Millisecond), maxAge, err)
	}
	return nil
}
