package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bop-platform/bop/modules/sqlite/internal/pagevfs"
	"github.com/ncruces/go-sqlite3"
)

// Progress is told how many of a number of pages are done.
type Progress func(done, total int64)

// importStep is how many pages are copied between two looks at the context.
const importStep = 1024

// ImportFile makes a database of an ordinary SQLite file, which is checked first and whose page size is kept. The file
// may be in use by others, also in WAL mode. progress may be nil.
// ErrNotSQLite if the file is no intact database, ErrExists if the name is taken.
func (h *Host) ImportFile(ctx context.Context, name, path string, progress Progress) (*DB, error) {
	h.ddl.Lock()
	defer h.ddl.Unlock()
	db, err := h.importFile(ctx, name, path, progress)
	if err != nil {
		return nil, fmt.Errorf("importing %s as database %q: %w", path, name, err)
	}
	return db, nil
}

// Import is ImportFile for the bytes of a SQLite file.
func (h *Host) Import(ctx context.Context, name string, r io.Reader, progress Progress) (*DB, error) {
	sp, err := h.temp().Spill()
	if err != nil {
		return nil, fmt.Errorf("importing database %q: %w", name, err)
	}
	defer sp.Release()
	n, err := io.Copy(io.NewOffsetWriter(sp, 0), contextReader{ctx, r})
	if err != nil {
		return nil, fmt.Errorf("importing database %q: %w", name, err)
	}
	db, err := h.take(ctx, name, plainFile{sp, n}, progress)
	if err != nil {
		return nil, fmt.Errorf("importing database %q: %w", name, err)
	}
	return db, nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(b)
}

func (h *Host) importFile(ctx context.Context, name, path string, progress Progress) (*DB, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	src, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return h.importConn(ctx, name, src, progress)
}

// importConn makes a database of another one that is open for reading. ddl is held.
func (h *Host) importConn(ctx context.Context, name string, src *sqlite3.Conn, progress Progress) (*DB, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := checkPlain(ctx, src); err != nil {
		return nil, err
	}
	db, err := h.create(ctx, name, "importing")
	if err != nil {
		return nil, err
	}
	if err = h.copyInto(ctx, db, src, progress); err == nil {
		err = h.transact(ctx, func(c *sqlite3.Conn) error {
			return query(c, `UPDATE databases SET state = 'ready' WHERE segment = ?`, nil, int64(db.segment))
		})
	}
	if err != nil {
		return nil, errors.Join(err, h.drop(context.WithoutCancel(ctx), db))
	}
	h.publish(db)
	return db, nil
}

// openPlain opens an ordinary SQLite file for reading.
func openPlain(path string) (*sqlite3.Conn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(abs); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a file", ErrNotSQLite)
	}
	c, err := sqlite3.OpenFlags(abs, sqlite3.OPEN_READONLY)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSQLite, err)
	}
	// The check calls functions that the schema uses.
	if err := registerExtensions(c); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNotSQLite, err), c.Close())
	}
	return c, nil
}

// checkPlain runs SQLite's own check.
func checkPlain(ctx context.Context, c *sqlite3.Conn) error {
	old := c.SetInterrupt(ctx)
	defer c.SetInterrupt(old)
	var first string
	err := query(c, `PRAGMA integrity_check(1)`, func(s *sqlite3.Stmt) error {
		first = s.ColumnText(0)
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotSQLite, err)
	case first != "ok":
		return fmt.Errorf("%w: %s", ErrNotSQLite, first)
	}
	return nil
}

// copyInto copies a whole database as one transaction.
func (h *Host) copyInto(ctx context.Context, db *DB, src *sqlite3.Conn, progress Progress) error {
	f := pagevfs.NewFile(db.current(), &db.hooks)
	f.LockTimeout = h.o.LockTimeout
	ticket := h.ticket(f)
	defer h.punch(ticket)
	b, err := src.BackupInit("main", "file:"+ticket+"?vfs="+h.vfsName)
	if err != nil {
		return errors.Join(err, f.Err())
	}
	f.Context = context.WithoutCancel(ctx)
	for done := false; !done; {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), b.Close())
		}
		if done, err = b.Step(importStep); err != nil {
			return errors.Join(err, f.Err(), b.Close())
		}
		if progress != nil {
			progress(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
		}
	}
	return errors.Join(b.Close(), f.Err())
}

// ExportFile writes the committed state as an ordinary SQLite file, which is checked before it gets its name. The file
// must not exist.
func (db *DB) ExportFile(ctx context.Context, path string) error {
	tmp := path + ".part"
	err := func() error {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w", path, os.ErrExist)
		}
		f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if err := db.Export(ctx, f); err != nil {
			return errors.Join(err, f.Close())
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
		if st, err := os.Stat(tmp); err == nil && st.Size() > 0 {
			c, err := openPlain(tmp)
			if err != nil {
				return err
			}
			if err := errors.Join(checkPlain(ctx, c), c.Close()); err != nil {
				return err
			}
		}
		return os.Rename(tmp, path)
	}()
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("exporting database %q: %w", db.Name(), err)
	}
	return nil
}
