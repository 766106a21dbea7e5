package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// Databases is a host of databases as the admin API sees it.
type Databases struct {
	Host   *sqlite.Host
	Logger *slog.Logger
}

var _ admin.Databases = Databases{}

// List describes the databases.
func (d Databases) List(context.Context) ([]admin.Info, error) {
	infos := d.Host.Databases()
	out := make([]admin.Info, len(infos))
	for i, info := range infos {
		out[i] = admin.Info{Name: info.Name, ID: fmt.Sprintf("%x", info.ID[:]), Created: info.Created,
			Bytes: info.Pages * int64(info.PageSize), TXID: uint64(info.Heads.Committed)}
		if info.Err != nil {
			out[i].Error = info.Err.Error()
		}
	}
	return out, nil
}

// Create makes an empty database.
func (d Databases) Create(ctx context.Context, name string) error {
	_, err := d.Host.Create(ctx, name, sqlite.CreateOptions{})
	return status(err)
}

// Import makes a database from the bytes of an SQLite file.
func (d Databases) Import(ctx context.Context, name string, r io.Reader) error {
	last := time.Now()
	_, err := d.Host.Import(ctx, name, r, func(done, total int64) {
		if time.Since(last) > 5*time.Second {
			last = time.Now()
			d.Logger.Info("importing", "database", name, "pages_done", done, "pages", total)
		}
	})
	return status(err)
}

// Export writes a database as an SQLite file.
func (d Databases) Export(ctx context.Context, name string, w io.Writer) error {
	db, err := d.Host.DB(name)
	if err != nil {
		return status(err)
	}
	return status(db.Export(ctx, w))
}

// status gives errors the kind that decides the HTTP status.
func status(err error) error {
	for _, k := range []struct{ ours, theirs error }{
		{sqlite.ErrNoDatabase, admin.ErrNotFound}, {sqlite.ErrExists, admin.ErrExists},
		{sqlite.ErrBadName, admin.ErrInvalid}, {sqlite.ErrNotSQLite, admin.ErrInvalid}, {sqlite.ErrNoBucket, admin.ErrInvalid},
		{backup.ErrNotRestorable, admin.ErrNotFound}, {backup.ErrNoBackup, admin.ErrNotFound},
	} {
		if errors.Is(err, k.ours) {
			return &kindError{k.theirs, err}
		}
	}
	return err
}

// kindError keeps the storage's words and adds a kind.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }
