package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
)

// Schedule says how often snapshots are taken; 0: never by itself.
type Schedule struct {
	Full, Differential, Incremental time.Duration
	// Verify is how often the newest state is restored from the bucket and checked.
	Verify time.Duration
}

// ErrNoBucket: Options.Cold has no bucket.
var ErrNoBucket = errors.New("there is no bucket: start the server with --cold s3://BUCKET/PREFIX or --cold file:///FOLDER")

// SnapshotOptions are for DB.Snapshot.
type SnapshotOptions struct {
	// Kind is backup.PurposeFull, PurposeIncremental (what changed since the last snapshot) or PurposeDifferential (since the
	// last full one). Default: full. Without one that it could stand on it becomes a full one.
	Kind     backup.Purpose
	Label    string
	Progress Progress // in pages; may be nil
}

// Snapshot brings the committed state to the bucket as a restore point that Retention is about. Writers go on meanwhile. Only
// the leader can: ErrNotLeader. If nothing has changed since the last one, that is returned.
func (db *DB) Snapshot(ctx context.Context, o SnapshotOptions) (backup.Object, error) {
	switch o.Kind {
	case "":
		o.Kind = backup.PurposeFull
	case backup.PurposeFull, backup.PurposeIncremental, backup.PurposeDifferential:
	default:
		return backup.Object{}, fmt.Errorf("snapshot of database %q: %q is no kind of snapshot: give full, incremental or differential", db.Name(), o.Kind)
	}
	done := make(chan snapshotDone, 1)
	if err := db.ask(&snapshotNow{ctx, o, done}); err != nil {
		return backup.Object{}, fmt.Errorf("snapshot of database %q: %w", db.Name(), err)
	}
	select {
	case d := <-done:
		if d.err != nil {
			return d.o, fmt.Errorf("snapshot of database %q: %w", db.Name(), d.err)
		}
		return d.o, nil
	case <-db.uploaderGone:
		return backup.Object{}, fmt.Errorf("snapshot of database %q: %w", db.Name(), ErrClosed)
	}
}

// ask sends the uploader a message.
func (db *DB) ask(m any) error {
	if db.cold == nil {
		return ErrNoBucket
	}
	db.host.system.Root.Send(db.uploader, m)
	return nil
}

// Upload brings everything that is committed now to the bucket. Only the leader can.
func (db *DB) Upload(ctx context.Context) error {
	done := make(chan error, 1)
	if err := db.ask(&uploadNow{ctx, done}); err != nil {
		return fmt.Errorf("uploading database %q: %w", db.Name(), err)
	}
	return db.answer("uploading", done)
}

// WithBackup calls fn with the one that may change the database's part of the bucket, while nothing else does. Only the
// leader can.
func (db *DB) WithBackup(ctx context.Context, fn func(ctx context.Context, w *backup.Writer) error) error {
	done := make(chan error, 1)
	if err := db.ask(&withWriter{ctx, fn, done}); err != nil {
		return fmt.Errorf("changing the backup of database %q: %w", db.Name(), err)
	}
	return db.answer("changing the backup of", done)
}

func (db *DB) answer(what string, done <-chan error) error {
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s database %q: %w", what, db.Name(), err)
		}
		return nil
	case <-db.uploaderGone:
		return fmt.Errorf("%s database %q: %w", what, db.Name(), ErrClosed)
	}
}

// snapshot is called by the uploader.
func (u *uploader) snapshot(ctx context.Context, o SnapshotOptions) (backup.Object, error) {
	if err := u.lead(ctx); err != nil {
		return backup.Object{}, err
	}
	if u.db.current().Heads().Committed.Pages == 0 {
		return backup.Object{}, errors.New("it is empty: there is nothing to take a snapshot of yet")
	}
	// The log first, so that any transaction before the snapshot is a target too.
	if err := u.upload(ctx, false); err != nil {
		return backup.Object{}, err
	}
	if o.Kind == backup.PurposeFull {
		return u.full(ctx, o.Kind, o.Label, o.Progress)
	}
	on := u.standsOn(o.Kind)
	if on == nil {
		return u.full(ctx, backup.PurposeFull, o.Label, o.Progress)
	}
	sn, err := u.pin()
	if err != nil {
		return backup.Object{}, err
	}
	defer sn.Release()
	if on.Max >= sn.State.TXID {
		return *on, nil
	}
	if on.State.Size != sn.State.Size {
		return u.full(ctx, backup.PurposeFull, o.Label, o.Progress)
	}
	obj, err := u.putChanges(ctx, sn, on.Max, o.Kind, o.Label, o.Progress)
	if err != nil {
		return backup.Object{}, err
	}
	return obj, u.commit(ctx, sn, func(m *backup.Manifest) { m.Add(obj) })
}

// standsOn is the snapshot that one of a kind would be made on, nil if there is none.
func (u *uploader) standsOn(kind backup.Purpose) (on *backup.Object) {
	list := u.writer.Manifest().Snapshots()
	for i := range list {
		if kind == backup.PurposeIncremental || list[i].Purpose == backup.PurposeFull {
			on = &list[i]
		}
	}
	return on
}

// schedule takes the snapshots that are due.
func (u *uploader) schedule(ctx context.Context) error {
	s := u.db.host.o.Cold.Schedule
	if s == (Schedule{}) || time.Since(u.scheduled) < time.Second {
		return nil
	}
	u.scheduled = time.Now()
	if s.Verify > 0 && time.Since(u.checked) >= s.Verify && u.checking.CompareAndSwap(false, true) {
		u.checked = time.Now()
		h := u.db.host
		ctx, cancel := context.WithCancel(h.life)
		h.wg.Go(func() {
			select {
			case <-h.closing:
			case <-ctx.Done():
			}
			cancel()
		})
		h.wg.Go(func() {
			defer u.checking.Store(false)
			defer cancel()
			u.db.checkRestore(ctx)
		})
	}
	newest := map[backup.Purpose]time.Time{}
	var any time.Time
	for _, o := range u.writer.Manifest().Snapshots() {
		if o.Created.After(newest[o.Purpose]) {
			newest[o.Purpose] = o.Created
		}
		if o.Created.After(any) {
			any = o.Created
		}
	}
	for _, due := range []struct {
		kind  backup.Purpose
		every time.Duration
		last  time.Time
	}{
		{backup.PurposeFull, s.Full, newest[backup.PurposeFull]},
		{backup.PurposeDifferential, s.Differential, latest(newest[backup.PurposeFull], newest[backup.PurposeDifferential])},
		{backup.PurposeIncremental, s.Incremental, any},
	} {
		if due.every <= 0 || time.Since(due.last) < due.every {
			continue
		}
		if _, err := u.snapshot(ctx, SnapshotOptions{Kind: due.kind, Label: "scheduled"}); err != nil {
			return err
		}
		return nil
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Backups is what the bucket has of a database.
type Backups struct {
	Database   ID
	Lineage    uint64
	Name       string
	Snapshots  []backup.Object // the oldest first
	Restorable []backup.Range  // every transaction in them is a target
	Manifest   *backup.Manifest
}

// BackupOf names what to restore: a database that there is, by name, or one that the bucket has, by id.
type BackupOf struct {
	Name    string
	ID      ID     // if Name is empty
	Lineage uint64 // 0: the newest
}

// space finds a database's part of the bucket.
func (h *Host) backupSpace(ctx context.Context, of BackupOf) (*backup.Space, error) {
	if h.o.Cold.Bucket == nil {
		return nil, ErrNoBucket
	}
	if of.Name != "" {
		db, err := h.DB(of.Name)
		if err == nil {
			return db.cold.in(db.ident()), nil
		}
		if !errors.Is(err, ErrNoDatabase) {
			return nil, err
		}
	}
	found, err := backup.List(ctx, h.o.Cold.Bucket)
	if err != nil {
		return nil, err
	}
	var best *backup.Space
	var sequence uint64
	for _, f := range found {
		if f.Err != nil || of.Name == "" && (f.Database != of.ID || of.Lineage != 0 && f.Lineage != of.Lineage) {
			continue
		}
		s := h.spaceOf(pagefile.Identity{Database: f.Database, Lineage: f.Lineage}, nil)
		if of.Name != "" {
			m, _, err := s.Load(ctx)
			if err != nil || m.Name != of.Name || m.Successor != 0 {
				continue
			}
		}
		if best == nil || f.Sequence > sequence {
			best, sequence = s, f.Sequence
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%w: neither here nor in the bucket", ErrNoDatabase)
	}
	return best, nil
}

// Backups tells what the bucket has of a database.
func (h *Host) Backups(ctx context.Context, of BackupOf) (*Backups, error) {
	s, err := h.backupSpace(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("reading what the bucket has: %w", err)
	}
	m, _, err := s.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what the bucket has: %w", err)
	}
	return &Backups{Database: m.Database, Lineage: m.Lineage, Name: m.Name, Snapshots: m.Snapshots(), Restorable: m.Restorable(), Manifest: m}, nil
}

// RestoreOptions are for Host.Restore and Host.RestoreTo.
type RestoreOptions struct {
	Of     BackupOf
	Target backup.Target
	// Progress is told of bytes; may be nil.
	Progress Progress
	// Found is told what RestoreTo writes, before the first byte, and says from which byte on; backup.Check is for who has
	// put such a file together. nil: all of it is written.
	Found func(Restored) (from int64)
}

// open reads a version out of the bucket.
func (h *Host) restored(ctx context.Context, o RestoreOptions) (*backup.Restored, error) {
	s, err := h.backupSpace(ctx, o.Of)
	if err != nil {
		return nil, err
	}
	if db, err := h.DB(o.Of.Name); err == nil && h.Writable() == nil {
		// What was committed a moment ago is a target too.
		if err := db.Upload(ctx); err != nil {
			h.o.Logger.Warn("what was committed last isn't in the bucket", "database", db.Name(), "error", err)
		}
	}
	return backup.Restore(ctx, s, o.Target, backup.RestoreOptions{TempDir: h.o.TempDir, Pin: "restore-" + newName(), Progress: o.Progress})
}

// Restored says what came out of a restore.
type Restored struct {
	TXID     TXID
	Time     time.Time // when it was committed
	Bytes    int64
	PageSize uint32
	Checksum uint64 // as backup.Check wants it
}

func whatCame(r *backup.Restored) Restored {
	st := r.State()
	return Restored{st.TXID, time.UnixMicro(st.Time), int64(st.Pages) * int64(st.Size), st.Size, st.Checksum}
}

// RestoreTo writes a version of a database, out of the bucket, as an ordinary SQLite file. If it fails, what was written
// can be gone on from, by o.Found.
func (h *Host) RestoreTo(ctx context.Context, w io.Writer, o RestoreOptions) (Restored, error) {
	r, err := h.restored(ctx, o)
	if err != nil {
		return Restored{}, fmt.Errorf("restoring %s: %w", o.Target, err)
	}
	defer r.Close()
	var from int64
	if o.Found != nil {
		from = o.Found(whatCame(r))
	}
	if _, err := r.WriteFrom(ctx, w, from); err != nil {
		return Restored{}, fmt.Errorf("restoring %s: %w", o.Target, err)
	}
	return whatCame(r), nil
}

// Restore makes a new database of a version of another one, out of the bucket.
func (h *Host) Restore(ctx context.Context, into string, o RestoreOptions) (*DB, Restored, error) {
	r, err := h.restored(ctx, o)
	if err != nil {
		return nil, Restored{}, fmt.Errorf("restoring %s as database %q: %w", o.Target, into, err)
	}
	defer r.Close()
	db, err := h.takeRestored(ctx, into, r, o.Progress)
	if err != nil {
		return nil, Restored{}, fmt.Errorf("restoring %s as database %q: %w", o.Target, into, err)
	}
	return db, whatCame(r), nil
}

// takeRestored makes a database of a version that is read once, as fast as the bucket gives it, and whose checksum has come
// out before anything is made of it.
func (h *Host) takeRestored(ctx context.Context, into string, r *backup.Restored, progress Progress) (*DB, error) {
	sp, err := h.temp().Spill()
	if err != nil {
		return nil, err
	}
	defer sp.Release()
	n, err := r.WriteTo(ctx, io.NewOffsetWriter(sp, 0))
	if err != nil {
		return nil, err
	}
	return h.take(ctx, into, plainFile{sp, n}, progress)
}

// take makes a database of the bytes of a SQLite file.
func (h *Host) take(ctx context.Context, name string, b plainBytes, progress Progress) (*DB, error) {
	src, done, err := h.openBytes(b)
	if err != nil {
		return nil, err
	}
	defer done()
	h.ddl.Lock()
	defer h.ddl.Unlock()
	return h.importConn(ctx, name, src, progress)
}

// ImportLitestream makes a database of a replica that Litestream 0.5 keeps in a bucket.
func (h *Host) ImportLitestream(ctx context.Context, name string, l *backup.Litestream, t backup.Target, progress Progress) (*DB, error) {
	sp, err := h.temp().Spill()
	if err != nil {
		return nil, fmt.Errorf("importing database %q: %w", name, err)
	}
	defer sp.Release()
	w := io.NewOffsetWriter(sp, 0)
	if _, err := l.WriteTo(ctx, w, t); err != nil {
		return nil, fmt.Errorf("importing database %q: %w", name, err)
	}
	size, _ := w.Seek(0, io.SeekCurrent)
	db, err := h.take(ctx, name, plainFile{sp, size}, progress)
	if err != nil {
		return nil, fmt.Errorf("importing database %q: %w", name, err)
	}
	return db, nil
}

// VerifyBackup looks whether the bucket has everything that the database's manifest names; deep reads and checks all of it.
func (h *Host) VerifyBackup(ctx context.Context, of BackupOf, deep bool, progress Progress) (*backup.Report, error) {
	s, err := h.backupSpace(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("verifying the backup: %w", err)
	}
	return backup.Verify(ctx, s, deep, progress)
}

// VerifyRestore restores a version into a scratch place and lets SQLite check it.
func (h *Host) VerifyRestore(ctx context.Context, o RestoreOptions) (Restored, error) {
	r, err := h.restored(ctx, o)
	if err != nil {
		return Restored{}, fmt.Errorf("restoring %s to check it: %w", o.Target, err)
	}
	defer r.Close()
	if err := r.Scan(ctx, func(uint32, []byte, uint64) error { return nil }); err != nil {
		return Restored{}, fmt.Errorf("restoring %s to check it: %w", o.Target, err)
	}
	c, done, err := h.openBytes(&pages{src: r, size: int64(r.State().Size), count: int64(r.State().Pages)})
	if err == nil {
		defer done()
		err = checkPlain(ctx, c)
	}
	if err != nil {
		return Restored{}, fmt.Errorf("checking what was restored: %w", err)
	}
	return whatCame(r), nil
}

// Verify checks the database on this server: every page against its checksum, and SQLite's own check.
func (db *DB) Verify(ctx context.Context) error {
	c, err := db.Conn(ctx, ConnOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Protect(func() error { return checkPlain(ctx, c.Raw()) }); err != nil {
		return fmt.Errorf("verifying database %q: %w", db.Name(), c.Explain(err))
	}
	return nil
}

// newName is a random name.
func newName() string {
	id := newIdentity()
	return id.Database.String()[:8]
}
