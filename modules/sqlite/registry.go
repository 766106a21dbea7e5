package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/ncruces/go-sqlite3"
)

// The system database is segment 0 of the log, an ordinary database that no list shows. It holds the registry.
const (
	systemSegment = SegmentID(0)
	systemName    = "_bop_system"

	registrySchema = `
CREATE TABLE IF NOT EXISTS databases (
	segment INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
	id      BLOB NOT NULL UNIQUE,
	lineage INTEGER NOT NULL,
	name    TEXT NOT NULL UNIQUE,
	created INTEGER NOT NULL, -- microseconds since 1970
	state   TEXT NOT NULL CHECK (state IN ('ready', 'importing'))
) STRICT`
)

var time0 time.Time

func newIdentity() (id pagefile.Identity) {
	_, _ = rand.Read(id.Database[:]) // never fails
	var b [8]byte
	_, _ = rand.Read(b[:])
	// Positive, so that it is an ordinary number in the registry.
	id.Lineage = binary.LittleEndian.Uint64(b[:])>>1 | 1
	return id
}

// openRegistry starts the system database and the ones that it names.
func (h *Host) openRegistry(ctx context.Context, r *recovery) error {
	id := newIdentity()
	if f := r.segments[systemSegment]; f != nil {
		if f.err != nil {
			return fmt.Errorf("the system database: %w", f.err)
		}
		if f.store != nil {
			id = f.id
		}
	}
	db := h.newDB(systemSegment, id, systemName, time0)
	r.take(db)
	h.start(db)
	h.mu.Lock()
	h.segments[systemSegment] = db
	h.mu.Unlock()
	h.registry = db
	if h.replicated != nil {
		return h.reconcile(ctx)
	}

	var rows []registryRow
	var last int64
	read := func(c *sqlite3.Conn) (err error) {
		if rows, err = readRegistry(c); err != nil {
			return err
		}
		return query(c, `SELECT seq FROM sqlite_sequence WHERE name = 'databases'`, func(s *sqlite3.Stmt) error {
			last = s.ColumnInt64(0)
			return nil
		})
	}
	var err error
	if db.refused != nil {
		err = h.inspect(ctx, read)
	} else {
		if err := h.protectRegistry(ctx); err != nil {
			return err
		}
		err = h.transact(ctx, func(c *sqlite3.Conn) error {
			if err := c.Exec(registrySchema); err != nil {
				return err
			}
			// Imports that a crash interrupted.
			if err := c.Exec(`DELETE FROM databases WHERE state = 'importing'`); err != nil {
				return err
			}
			return read(c)
		})
	}
	if err != nil {
		return fmt.Errorf("reading the registry of databases: %w", err)
	}
	for _, row := range rows {
		db := h.newDB(row.segment, row.identity, row.name, row.created)
		if f := r.take(db); f.err != nil {
			h.o.Logger.Error("database is out of service", "database", row.name, "error", f.err)
		}
		h.start(db)
		h.mu.Lock()
		h.segments[row.segment], h.byName[row.name] = db, db
		h.mu.Unlock()
	}
	if db.refused == nil {
		if err := h.noteLineages(ctx); err != nil {
			return fmt.Errorf("noting what was taken over from the bucket: %w", err)
		}
	}
	if db.refused != nil {
		return nil // nothing is thrown away on the word of a registry that is in doubt
	}
	// What is left belongs to databases that were dropped. One that the registry has never heard of is left alone.
	for seg, f := range r.segments {
		if seg > SegmentID(last) {
			h.o.Logger.Warn("a database that the registry does not know is left alone", "segment", uint64(seg))
			continue
		}
		if f.store != nil {
			f.store.Close()
		}
		if f.file != nil {
			_ = f.file.Close()
		}
		delete(r.segments, seg)
		h.remove(seg)
	}
	return nil
}

type registryRow struct {
	ready    bool
	segment  SegmentID
	identity pagefile.Identity
	name     string
	created  time.Time
}

func readRegistry(c *sqlite3.Conn) (rows []registryRow, err error) {
	err = query(c, `SELECT segment, id, lineage, name, created, state = 'ready' FROM databases`, func(s *sqlite3.Stmt) error {
		r := registryRow{segment: SegmentID(s.ColumnInt64(0)), name: s.ColumnText(3), created: time.UnixMicro(s.ColumnInt64(4)), ready: s.ColumnBool(5)}
		copy(r.identity.Database[:], s.ColumnRawBlob(1))
		r.identity.Lineage = uint64(s.ColumnInt64(2))
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// query calls fn for each row of sql.
func query(c *sqlite3.Conn, sql string, fn func(*sqlite3.Stmt) error, args ...any) error {
	s, _, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	for i, a := range args {
		switch a := a.(type) {
		case string:
			err = s.BindText(i+1, a)
		case []byte:
			err = s.BindBlob(i+1, a)
		case int64:
			err = s.BindInt64(i+1, a)
		default:
			err = fmt.Errorf("argument %d is a %T", i+1, a)
		}
		if err != nil {
			return err
		}
	}
	for s.Step() {
		if fn == nil {
			continue
		}
		if err := fn(s); err != nil {
			return err
		}
	}
	return s.Err()
}

// inspect runs fn on the system database without writing.
func (h *Host) inspect(ctx context.Context, fn func(*sqlite3.Conn) error) error {
	c, err := h.registry.Conn(ctx, ConnOptions{ReadOnly: true, bare: true})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Protect(func() error { return c.Explain(fn(c.Raw())) })
}

// transact runs fn as one transaction in the system database.
func (h *Host) transact(ctx context.Context, fn func(*sqlite3.Conn) error) error {
	c, err := h.registry.Conn(ctx, ConnOptions{bare: true})
	if err != nil {
		return err
	}
	defer c.Close()
	// The outcome must be known, so the caller's context doesn't end the wait for it.
	c.SetContext(context.WithoutCancel(ctx))
	return c.Protect(func() error {
		raw := c.Raw()
		if err := raw.Exec(`BEGIN IMMEDIATE`); err != nil {
			return errors.Join(err, c.Err())
		}
		if err := fn(raw); err != nil {
			err = c.Explain(err)
			return errors.Join(err, raw.Exec(`ROLLBACK`))
		}
		if err := raw.Exec(`COMMIT`); err != nil {
			return errors.Join(err, c.Err())
		}
		return c.Gate(context.WithoutCancel(ctx))
	})
}

// CreateOptions are for Create.
type CreateOptions struct {
	// PageSize in bytes, a power of two from 512 to 65536. Default: 4096.
	PageSize int
}

// Create makes an empty database. ErrExists if there is one of that name.
func (h *Host) Create(ctx context.Context, name string, o CreateOptions) (*DB, error) {
	h.ddl.Lock()
	defer h.ddl.Unlock()
	db, err := h.create(ctx, name, "ready")
	if err != nil {
		return nil, fmt.Errorf("creating database %q: %w", name, err)
	}
	if o.PageSize != 0 && o.PageSize != 4096 {
		if err := db.setPageSize(ctx, o.PageSize); err != nil {
			return nil, errors.Join(fmt.Errorf("creating database %q: %w", name, err), h.drop(ctx, db))
		}
	}
	h.publish(db)
	return db, nil
}

// publish gives a database its place among the names.
func (h *Host) publish(db *DB) {
	h.mu.Lock()
	h.byName[db.Name()] = db
	h.mu.Unlock()
}

// setPageSize makes the first transaction of an empty database.
func (db *DB) setPageSize(ctx context.Context, n int) error {
	c, err := db.Conn(ctx, ConnOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Protect(func() error {
		return c.Raw().Exec(fmt.Sprintf(`PRAGMA page_size = %d; VACUUM`, n))
	})
}

// create registers a database and starts it, without a name that DB would find. ddl is held.
func (h *Host) create(ctx context.Context, name, state string) (*DB, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if _, err := h.DB(name); !errors.Is(err, ErrNoDatabase) {
		if err == nil {
			err = ErrExists
		}
		return nil, err
	}
	if err := h.protectRegistry(ctx); err != nil {
		return nil, err
	}
	id, created := newIdentity(), time.Now()
	var segment SegmentID
	err := h.transact(ctx, func(c *sqlite3.Conn) error {
		if err := c.Exec(registrySchema); err != nil {
			return err
		}
		return query(c, `INSERT INTO databases (id, lineage, name, created, state) VALUES (?, ?, ?, ?, ?) RETURNING segment`,
			func(s *sqlite3.Stmt) error {
				segment = SegmentID(s.ColumnInt64(0))
				return nil
			}, id.Database[:], int64(id.Lineage), name, created.UnixMicro(), state)
	})
	if err != nil {
		return nil, err
	}
	db := h.ensure(registryRow{segment: segment, identity: id, name: name, created: created})
	if h.o.Keys != nil {
		if err := db.protect(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("giving it a key: %w", err), h.drop(context.WithoutCancel(ctx), db))
		}
	}
	return db, nil
}

// protectRegistry makes sure that the names of databases are never written in the clear if there are keys.
func (h *Host) protectRegistry(ctx context.Context) error {
	if h.o.Keys == nil || h.registry.Encrypted() {
		return nil
	}
	if err := h.registry.protect(ctx); err != nil {
		return fmt.Errorf("giving the system database a key: %w", err)
	}
	return nil
}

// ensure starts a database that the registry names, if it isn't there.
func (h *Host) ensure(row registryRow) *DB {
	h.registers.Lock()
	defer h.registers.Unlock()
	if db := h.bySegment(row.segment); db != nil {
		return db
	}
	db := h.newDB(row.segment, row.identity, row.name, row.created)
	if h.unclaimed != nil {
		if f := h.unclaimed.take(db); f.err != nil {
			h.o.Logger.Error("database is out of service", "database", row.name, "error", f.err)
		}
	} else {
		db.store.Store(h.openStore(row.segment, row.identity, pagefile.Empty(), 0, nil))
	}
	h.start(db)
	h.mu.Lock()
	h.segments[row.segment] = db
	h.last = max(h.last, row.segment)
	h.mu.Unlock()
	db.stand()
	return db
}

// Drop removes a database. Its open connections fail from then on.
func (h *Host) Drop(ctx context.Context, name string) error {
	h.ddl.Lock()
	defer h.ddl.Unlock()
	db, err := h.DB(name)
	if err == nil {
		err = h.drop(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("dropping database %q: %w", name, err)
	}
	return nil
}

// drop takes a database out of the registry, and then away. ddl is held.
func (h *Host) drop(ctx context.Context, db *DB) error {
	if err := h.transact(ctx, func(c *sqlite3.Conn) error {
		return query(c, `DELETE FROM databases WHERE segment = ?`, nil, int64(db.segment))
	}); err != nil {
		return err
	}
	if h.replicated != nil {
		// The log tells everyone, this server too.
		select {
		case <-db.gone:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	h.detach(db)
	if err := db.current().Quiet(ctx); err != nil {
		return err
	}
	h.retire(db)
	return nil
}

// detach takes a database out of service for good.
func (h *Host) detach(db *DB) {
	h.mu.Lock()
	if h.byName[db.Name()] == db {
		delete(h.byName, db.Name())
	}
	delete(h.segments, db.segment)
	h.mu.Unlock()
	db.pool.close()
	db.current().Fail(ErrClosed)
	h.stopUploader(db)
	h.system.Root.Stop(db.owner)
	<-db.gone
}

// retire removes what a database has on disk.
func (h *Host) retire(db *DB) {
	if db.cold != nil {
		db.cold.close()
		h.mu.Lock()
		delete(h.colds, db.segment)
		h.mu.Unlock()
	}
	db.current().Close()
	if db.file != nil {
		_ = db.file.Close()
	}
	h.remove(db.segment)
}

// remove deletes the files of a segment. If that fails, the next opening of the folder does it.
func (h *Host) remove(seg SegmentID) {
	h.log.Forget(seg)
	dir := h.segmentDir(seg)
	names, _ := h.o.FS.ReadDir(dir)
	for _, name := range names {
		if name != keysName {
			_ = h.o.FS.Remove(filepath.Join(dir, name))
		}
	}
	// A page file that a crash leaves behind must find its keys.
	if slices.Contains(names, keysName) && h.o.FS.SyncDir(dir) == nil {
		_ = h.o.FS.Remove(filepath.Join(dir, keysName))
	}
	_ = h.o.FS.Remove(dir)
}

// Rename gives a database another name. Connections stay what they are.
func (h *Host) Rename(ctx context.Context, from, to string) error {
	h.ddl.Lock()
	defer h.ddl.Unlock()
	err := func() error {
		db, err := h.DB(from)
		if err != nil {
			return err
		}
		if err := checkName(to); err != nil {
			return err
		}
		if _, err := h.DB(to); err == nil {
			return fmt.Errorf("%w: %q", ErrExists, to)
		}
		if err := h.transact(ctx, func(c *sqlite3.Conn) error {
			return query(c, `UPDATE databases SET name = ? WHERE segment = ?`, nil, to, int64(db.segment))
		}); err != nil {
			return err
		}
		h.mu.Lock()
		delete(h.byName, from)
		db.rename(to)
		h.byName[to] = db
		h.mu.Unlock()
		return nil
	}()
	if err != nil {
		return fmt.Errorf("renaming database %q: %w", from, err)
	}
	return nil
}
