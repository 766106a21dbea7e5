package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/bop-platform/bop/modules/sqlite/internal/record"
)

// found is a segment that recovery came across, in the folder or in the log.
type found struct {
	segment SegmentID
	file    *pagefile.File
	keys    *crypt.Keyring
	store   *pagestore.Store
	id      pagefile.Identity
	err     error // why it can't be served
	gap     error // a record that doesn't follow, and none that does came after it
	doubt   error // why it must not be written
}

// recovery rebuilds the stores of all segments.
type recovery struct {
	h        *Host
	segments map[SegmentID]*found
}

// recover reads page files and log, begins a leadership, and starts the databases that the registry names.
func (h *Host) recover(ctx context.Context) error {
	r := &recovery{h, map[SegmentID]*found{}}
	if h.replicated != nil {
		h.unclaimed = r
	} else {
		defer r.abandon()
	}
	if err := r.scan(); err != nil {
		return err
	}
	if err := h.adoptSystem(ctx, r); err != nil {
		return err
	}
	err := h.log.Replay(ctx, 0, r.apply)
	lost := damages(err)
	if err != nil && len(lost) == 0 {
		return err
	}
	if l, ok := h.log.(*AOFLog); ok {
		// Damage at the very end leaves no position that could be read.
		lost = append(lost, l.Damage()...)
	}
	if len(lost) > 0 {
		r.doubt(lost)
	}
	var epoch uint64
	for _, f := range r.segments {
		if f.store != nil {
			epoch = max(epoch, f.store.Heads().Committed.Epoch)
		}
	}
	epoch = max(epoch, h.adoptedEpoch)
	if h.replicated == nil {
		if _, err := h.log.Lead(ctx, epoch); err != nil {
			return err
		}
		h.unwatch = h.log.Watch(h.leadershipLost)
	}
	h.supervisor = h.system.Root.Spawn(actor.PropsFromProducer(
		func() actor.Actor { return supervisor{} },
		actor.WithSupervisor(actor.NewOneForOneStrategy(maxRestarts, restartsWithin, func(any) actor.Directive { return actor.RestartDirective })),
	))
	if err := h.openRegistry(ctx, r); err != nil {
		return err
	}
	return h.endAdoption(ctx, epoch)
}

// damages are the lots of lost positions in an error of Replay.
func damages(err error) (list []*LogDamageError) {
	var one *LogDamageError
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			list = append(list, damages(e)...)
		}
		return list
	}
	if errors.As(err, &one) {
		return []*LogDamageError{one}
	}
	return nil
}

// doubt keeps the databases that may have lost transactions from being written: what is left of them can be read and
// exported. A database is beyond doubt if it has a record after the damage that follows, or stands in its page file.
func (r *recovery) doubt(lost []*LogDamageError) {
	for _, d := range lost {
		if d.Segment == nil {
			continue
		}
		r.h.damage = append(r.h.damage, d)
		r.h.o.Logger.Error("the log of a database is damaged, it may have lost transactions", "segment", uint64(*d.Segment), "error", d)
		if f := r.segments[*d.Segment]; f != nil && f.store != nil && f.err == nil {
			f.doubt = fmt.Errorf("the database can only be read, it may have lost transactions: %w", errors.Join(d, f.gap))
		}
	}
	if lost = slices.DeleteFunc(lost, func(d *LogDamageError) bool { return d.Segment != nil }); len(lost) == 0 {
		return
	}
	slices.SortFunc(lost, func(a, b *LogDamageError) int { return cmp.Compare(a.First, b.First) })
	lost = slices.CompactFunc(lost, func(a, b *LogDamageError) bool { return a.First == b.First })
	for _, d := range lost {
		r.h.damage = append(r.h.damage, d)
		r.h.o.Logger.Error("the log is damaged, databases may have lost transactions", "first", uint64(d.First), "last", uint64(d.Last), "error", d)
	}
	last := slices.MaxFunc(lost, func(a, b *LogDamageError) int { return cmp.Compare(a.Last, b.Last) })
	for _, f := range r.segments {
		if f.store == nil || f.err != nil {
			continue
		}
		if f.gap != nil || Position(f.store.Heads().Position) < last.Last {
			f.doubt = fmt.Errorf("the database can only be read, it may have lost transactions: %w", errors.Join(last, f.gap))
		}
	}
}

// scan opens the page files in the folder.
func (r *recovery) scan() error {
	h := r.h
	dir := filepath.Join(h.o.Dir, "db")
	names, err := h.o.FS.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading %s: %w", dir, err)
	}
	for _, name := range names {
		n, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		f := &found{segment: SegmentID(n)}
		r.segments[f.segment] = f
		// The new page file of a checkpoint that a crash interrupted.
		_ = h.o.FS.Remove(filepath.Join(dir, name, newPagesName))
		f.file, f.keys, f.err = h.openPages(f.segment)
		if errors.Is(f.err, ErrNewerFormat) || errors.Is(f.err, ErrNoKey) || errors.Is(f.err, ErrNoProvider) || errors.Is(f.err, ErrWrongKey) {
			return f.err
		}
		if f.err != nil {
			h.o.Logger.Error("a database can't be opened", "segment", n, "error", f.err)
			continue
		}
		if f.file != nil {
			f.id = f.file.Identity()
			r.store(f)
		}
	}
	return nil
}

func (r *recovery) store(f *found) {
	base := pagefile.Empty()
	if f.file != nil {
		base = f.file.Newest()
	}
	f.store = r.h.openStore(f.segment, f.id, base, 0, f.keys)
}

// has tells whether there is anything of the database here. Keys alone are what an adoption begins with.
func (f *found) has() bool { return f != nil && (f.file != nil || f.store != nil || f.err != nil) }

// apply takes one record of the log.
func (r *recovery) apply(pos Position, seg SegmentID, rec []byte) error {
	f := r.segments[seg]
	if f == nil {
		f = &found{segment: seg}
		r.segments[seg] = f
	}
	if f.err != nil {
		return nil
	}
	if f.store == nil {
		head, err := record.PlaceOf(rec)
		if err != nil {
			f.err = fmt.Errorf("log position %d: %w", pos, err)
			return nil
		}
		f.id = pagefile.Identity{Database: head.Database, Lineage: head.Lineage}
		r.store(f)
	}
	what, err := f.store.Apply(uint64(pos), rec)
	switch {
	case errors.Is(err, record.ErrNewerVersion):
		return &NewerFormatError{fmt.Sprintf("log position %d", pos), uint32(rec[1]), record.Version}
	case errors.Is(err, ErrNoProvider), errors.Is(err, ErrWrongKey), errors.Is(err, ErrNoKey):
		return err // and not a database that is damaged
	case err != nil:
		f.err = err
		f.store.Fail(err)
		r.h.o.Logger.Error("a database stops", "segment", uint64(seg), "error", err)
	case what == pagestore.Passed:
		f.gap = fmt.Errorf("%w: the record at log position %d does not follow transaction %d", ErrDamaged, pos, f.store.Heads().Committed.TXID)
	case what == pagestore.Done:
		f.gap = nil
		return r.relieve(f)
	}
	return nil
}

// relieve makes a checkpoint when the log brings more than fits into memory.
func (r *recovery) relieve(f *found) error {
	if s := f.store.Stats(); s.VersionBytes < 2*r.h.o.CheckpointBytes {
		return nil
	}
	db := r.h.newDB(f.segment, f.id, "", time0)
	db.file, db.kept = f.file, f.keys
	db.store.Store(f.store)
	err := db.checkpoint(context.Background())
	f.file, f.keys = db.file, db.kept
	if err != nil {
		return fmt.Errorf("during recovery: %w", err)
	}
	return nil
}

// take hands a segment over to its database.
func (r *recovery) take(db *DB) *found {
	f := r.segments[db.segment]
	if r.h.adopting && db.segment != systemSegment && !f.has() {
		f = r.adopt(db)
	}
	if f == nil {
		f = &found{segment: db.segment}
	}
	delete(r.segments, db.segment)
	if f.store == nil {
		f.id = db.ident()
		if f.err == nil {
			r.store(f)
		} else {
			f.store = r.h.openStore(db.segment, db.ident(), pagefile.Empty(), 0, nil)
		}
	}
	if f.id != db.ident() && r.h.inherits(f, db.ident()) {
		db.identify(f.id)
	}
	if f.id != db.ident() {
		f.err = errors.Join(f.err, fmt.Errorf("%w: the folder of segment %d holds database %s", pagestore.ErrForeign, db.segment, f.id.Database))
	}
	db.file, db.kept = f.file, f.keys
	db.store.Store(f.store)
	if f.err != nil {
		f.store.Fail(f.err)
		err := f.store.Failed()
		db.dead.Store(&err)
	}
	if f.doubt != nil {
		db.refused = f.doubt
	}
	db.stand()
	return f
}

// adopt takes a database over from the bucket that the system database names. One that the bucket doesn't have stays out of
// service.
func (r *recovery) adopt(db *DB) *found {
	ctx := r.h.life
	f, err := r.h.adopt(ctx, db.segment, db.ident(), 0)
	if errors.Is(err, backup.ErrNoBackup) {
		r.h.o.Logger.Warn("the bucket has nothing of a database: it was never written to, or not long enough before the loss", "database", db.Name())
		return nil
	}
	if err != nil {
		r.h.notAdopted = true
		return &found{segment: db.segment, id: db.ident(), err: fmt.Errorf("taking it over from the bucket: %w", err)}
	}
	r.store(f)
	return f
}

// abandon closes what no database has taken.
func (r *recovery) abandon() {
	for _, f := range r.segments {
		if f.store != nil {
			f.store.Close()
		}
		if f.file != nil {
			_ = f.file.Close()
		}
	}
}

// leadershipLost is told by the log.
func (h *Host) leadershipLost(e LogEvent) {
	h.o.Logger.Error("the log accepts nothing any more", "error", e.Err)
	for _, db := range h.all() {
		db.DropSpeculative()
	}
}
