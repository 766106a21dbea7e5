// Package storage joins the SQLite storage to those who use it: the wire front ends see it as their engine, the admin
// API as its databases.
package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/engine"
)

// Engine is a host of databases as the front ends see it.
type Engine struct {
	Host *sqlite.Host
	Kept *Settings // nil: they are read each time
}

var _ engine.Engine = Engine{}

// Databases lists the names.
func (e Engine) Databases(context.Context) ([]string, error) {
	infos := e.Host.Databases()
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name
	}
	return names, nil
}

// Database returns a database by name.
func (e Engine) Database(_ context.Context, name string) (engine.Database, error) {
	db, err := e.Host.DB(name)
	if err != nil {
		return nil, translate(err)
	}
	return database{e.Host, db}, nil
}

// CreateDatabase makes an empty database.
func (e Engine) CreateDatabase(ctx context.Context, name string) error {
	_, err := e.Host.Create(ctx, name, sqlite.CreateOptions{})
	return translate(err)
}

// Writable tells whether this server accepts writes, and who does if it doesn't.
func (e Engine) Writable() (bool, string) {
	if e.Host.Writable() == nil {
		return true, ""
	}
	return false, e.Host.Leader()
}

type database struct {
	host *sqlite.Host
	db   *sqlite.DB
}

func (d database) Name() string { return d.db.Name() }

func (d database) Version() engine.Version {
	return engine.Version{Database: d.db.ID(), Lineage: d.db.Lineage(), Epoch: d.db.RollbackEpoch(), Schema: d.db.SchemaCookie()}
}

var _ engine.Consistent = database{}

// Fresh returns when reads here are as fresh as asked.
func (d database) Fresh(ctx context.Context, c engine.Consistency) error {
	level := [...]sqlite.Consistency{engine.Linearizable: sqlite.Linearizable, engine.LeaderReads: sqlite.LeaderReads, engine.StaleReads: sqlite.Stale}[c.Level]
	return translate(d.host.Fresh(ctx, level, c.MaxAge))
}

func (d database) Borrow(ctx context.Context) (engine.Conn, error) {
	c, err := d.db.Pool().Get(ctx)
	if err != nil {
		return nil, translate(err)
	}
	return &conn{Conn: c, pool: d.db.Pool()}, nil
}

var _ engine.Durable = (*conn)(nil)

// conn is a lent connection.
type conn struct {
	*sqlite.Conn
	pool *sqlite.Pool
}

func (c *conn) Session() *any { return &c.Conn.Session }

func (c *conn) LastTXID() uint64 { return uint64(c.Conn.LastTXID()) }

func (c *conn) WaitTXID(ctx context.Context, txid uint64) error {
	return translate(c.Conn.WaitTXID(ctx, sqlite.TXID(txid)))
}

// SetDurability holds until Release.
func (c *conn) SetDurability(d engine.Durability) {
	c.Conn.SetDurability([...]sqlite.Durability{engine.Quorum: sqlite.Quorum, engine.Local: sqlite.Local, engine.Async: sqlite.Async}[d])
}

func (c *conn) Gate(ctx context.Context) error { return translate(c.Conn.Gate(ctx)) }

// Explain finds the reason behind an error of SQLite, which the connection knows better than the error code does.
func (c *conn) Explain(err error) error {
	if err == nil {
		return nil
	}
	if reason := translate(c.Conn.Err()); reason != nil {
		return fmt.Errorf("%w: %w", reason, err)
	}
	return translate(err)
}

func (c *conn) Release(bad bool) {
	c.Conn.SetContext(nil)
	c.Conn.Reset()
	c.pool.Put(c.Conn, bad)
}

// situations are the storage's errors and what the front ends call them.
var situations = []struct{ ours, theirs error }{
	{sqlite.ErrNoDatabase, engine.ErrNoDatabase},
	{sqlite.ErrExists, engine.ErrDatabaseExists},
	{sqlite.ErrOutcomeUnknown, engine.ErrOutcomeUnknown},
	{sqlite.ErrNotCommitted, engine.ErrSerialization},
	{sqlite.ErrSerialization, engine.ErrSerialization},
	{sqlite.ErrLockTimeout, engine.ErrLockTimeout},
	{sqlite.ErrStaleSnapshot, engine.ErrBusySnapshot},
	{sqlite.ErrLogFailed, engine.ErrReadOnly},
	{sqlite.ErrBacklog, engine.ErrReadOnly},
	{objstore.ErrUnavailable, engine.ErrUnavailable},
	{sqlite.ErrNotLeader, engine.ErrReadOnly},
	{sqlite.ErrNotFresh, engine.ErrUnavailable},
	{sqlite.ErrFailed, engine.ErrUnavailable},
	{sqlite.ErrDamaged, engine.ErrUnavailable},
	{sqlite.ErrClosed, engine.ErrUnavailable},
	{sqlite.ErrConnBroken, engine.ErrUnavailable},
}

// translate wraps err with the front ends' name for it.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, s := range situations {
		if errors.Is(err, s.ours) {
			return fmt.Errorf("%w: %w", s.theirs, err)
		}
	}
	return err
}
