package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/bop-platform/bop/modules/sqlite/internal/page"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagevfs"
	"github.com/ncruces/go-sqlite3"
)

// TXID numbers the transactions of a database, from 1.
type TXID = page.TXID

// ConnOptions say how a connection is opened.
type ConnOptions struct {
	// ReadOnly refuses writes.
	ReadOnly bool
	// LockTimeout is how long a transaction queues for the writer's place. Default: the Host's. A negative one doesn't
	// queue. PRAGMA busy_timeout changes it later.
	LockTimeout time.Duration
	// Durability says when commits are answered.
	Durability Durability
	// MaxMemory is how many bytes SQLite may use for the connection. Default: 256 MiB. Beyond, the connection breaks:
	// see Conn.Protect.
	MaxMemory int64

	bare bool // without extensions
}

// Conn is a SQLite connection to one database. It is used by one goroutine at a time.
//
// The caller must pass Gate after each transaction before it tells anyone of its end, and run Raw's methods in Protect
// unless it recovers panics itself: SQLite's out-of-memory is one.
type Conn struct {
	// Session belongs to the user of the connection and stays with it through the pool: statement caches and the like.
	Session any

	db     *DB
	raw    *sqlite3.Conn
	file   *pagevfs.File
	ctx    context.Context
	broken error

	lockTimeout time.Duration
	durability  Durability
	authorizer  Authorizer
	temps       *sqlite3.Stmt // asks for temporary tables
	// mayHaveTemps says that a statement was prepared which makes some. Asking costs as much as a short SELECT.
	mayHaveTemps bool
}

// Conn opens a connection.
func (db *DB) Conn(ctx context.Context, o ConnOptions) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := db.Err(); err != nil {
		return nil, err
	}
	c := &Conn{db: db, ctx: context.Background(), lockTimeout: o.LockTimeout, durability: o.Durability}
	if c.lockTimeout == 0 {
		c.lockTimeout = db.host.o.LockTimeout
	}
	f := pagevfs.NewFile(db.current(), &db.hooks)
	f.ReadOnly = o.ReadOnly
	c.file = f
	c.Reset()
	ticket := db.host.ticket(f)
	defer db.host.punch(ticket)
	if o.MaxMemory > 0 {
		ctx = sqlite3.WithMaxMemory(ctx, o.MaxMemory)
	}
	err := c.Protect(func() (err error) {
		c.raw, err = sqlite3.OpenContext(ctx, "file:"+ticket+"?vfs="+db.host.vfsName)
		if err != nil {
			return err
		}
		return c.prepare(o.bare)
	})
	if err != nil {
		err = c.Explain(err)
		_ = c.Close()
		return nil, fmt.Errorf("opening a connection to database %q: %w", db.Name(), err)
	}
	return c, nil
}

func (c *Conn) prepare(bare bool) error {
	if !bare {
		if err := registerExtensions(c.raw); err != nil {
			return fmt.Errorf("registering extensions: %w", err)
		}
	}
	// SQL must not be able to damage the file format, and see attachable.
	if _, err := c.raw.Config(sqlite3.DBCONFIG_DEFENSIVE, true); err != nil {
		return fmt.Errorf("setting the defensive mode: %w", err)
	}
	return c.SetAuthorizer(nil)
}

// Raw is the connection itself. Its authorizer belongs to the Conn: use SetAuthorizer. So does the defensive mode, in
// which it stays: SQL can't write to shadow tables or to the schema table.
func (c *Conn) Raw() *sqlite3.Conn { return c.raw }

// DB is the database of the connection.
func (c *Conn) DB() *DB { return c.db }

// Reset puts the options back to what the connection was opened with.
func (c *Conn) Reset() {
	c.file.LockTimeout = c.lockTimeout
	c.SetDurability(c.durability)
}

// SetContext sets the context of what the connection does next: its end interrupts statements and waits, and its trace
// gets the spans of commits. An earlier context is forgotten; nil stands for context.Background.
func (c *Conn) SetContext(ctx context.Context) {
	if ctx == nil {
		ctx = context.Background()
	}
	c.ctx = ctx
	c.file.Context = ctx
	if c.raw != nil {
		c.raw.SetInterrupt(ctx)
	}
}

// SetDurability says when the answers to the next commits leave.
func (c *Conn) SetDurability(d Durability) { c.file.Answer = answers[d] }

var answers = [...]pagevfs.Answer{Quorum: pagevfs.Committed, Local: pagevfs.Stored, Async: pagevfs.AtOnce}

// SetLockTimeout says how long the next transactions queue for the writer's place; 0 doesn't queue.
func (c *Conn) SetLockTimeout(d time.Duration) { c.file.LockTimeout = max(d, 0) }

// Gate waits until everything that the last transaction of the connection saw is committed. A transaction that writes
// runs on the newest state, which may not be committed yet; nothing about its end (COMMIT, ROLLBACK, or an
// autocommit statement with its rows, also if it changed nothing) may be told to anyone before Gate has returned nil.
// ErrSerialization and ErrNotCommitted: what it saw was dropped, and nothing of the transaction has happened. If ctx ends
// before it is known, ErrOutcomeUnknown.
func (c *Conn) Gate(ctx context.Context) error {
	err := c.file.Gate(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: waiting for what the transaction stands on was given up: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
	if errors.Is(err, ErrFailed) {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// LastTXID is the last transaction that was committed through the connection, 0 if none.
func (c *Conn) LastTXID() TXID { return c.file.LastTXID() }

// WaitTXID waits until the committed head has reached txid.
func (c *Conn) WaitTXID(ctx context.Context, txid TXID) error { return c.db.WaitTXID(ctx, txid) }

// Err is why the last lock, read or commit of the connection failed: one of the errors of this package, wrapped. It is
// nil if the last transaction began well and nothing has failed since.
func (c *Conn) Err() error {
	if c.broken != nil {
		return c.broken
	}
	return c.file.Err()
}

// Explain adds to an error of Raw what is known of its reason: a failed commit is a disk I/O error to SQLite.
func (c *Conn) Explain(err error) error {
	if err == nil {
		return nil
	}
	detail := c.Err()
	if detail == nil || errors.Is(err, detail) {
		return err
	}
	return fmt.Errorf("%w: %w", detail, err)
}

// Stale tells whether the connection must not be used for another transaction: it is broken, its database was opened
// anew, or it has seen versions that were dropped since.
func (c *Conn) Stale() bool {
	return c.broken != nil || c.file.Store != c.db.current() || c.file.Stale()
}

// Protect calls fn and turns a panic, such as SQLite's out-of-memory, into an error. The connection must then be closed.
func (c *Conn) Protect(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.broken = fmt.Errorf("%w: %w", ErrConnBroken, &PanicError{v, debug.Stack()})
			err = c.broken
		}
	}()
	return fn()
}

// Close closes the connection, with its statements; an open transaction is rolled back.
func (c *Conn) Close() error {
	if c.raw == nil {
		return nil
	}
	raw := c.raw
	c.raw = nil
	var err error
	if c.broken == nil {
		err = c.Protect(func() error {
			raw.SetInterrupt(context.Background())
			for s := range raw.Stmts() {
				defer s.Close()
			}
			return nil
		})
		if err == nil {
			err = c.Protect(raw.Close)
		}
	}
	// Whatever SQLite thinks of it, the snapshot and the writer's place must go.
	return errors.Join(err, c.file.Close())
}
