package filedb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/engine"
)

// conn is a connection to a file.
type conn struct {
	db      *database
	raw     *sqlite3.Conn
	slot    any
	wait    *waiter // its place in the queue, nil if none
	busy    func(ctx context.Context, count int) bool
	cookie  *sqlite3.Stmt
	last    uint64 // number of the last commit
	changed bool   // something was committed since the schema cookie was read
}

var _ engine.Conn = (*conn)(nil)

func (c *conn) prepare() error {
	// SQL must not be able to damage the file format.
	if _, err := c.raw.Config(sqlite3.DBCONFIG_DEFENSIVE, true); err != nil {
		return err
	}
	if err := c.raw.BusyTimeout(5 * time.Second); err != nil {
		return err
	}
	if err := c.raw.Exec(`PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA temp_store = memory`); err != nil {
		return err
	}
	// The hook has to know when a commit is visible to others, and takes the place of SQLite's own checkpoints.
	c.raw.WALHook(c.onCommit)
	c.raw.CommitHook(func() bool { c.db.queue.leave(&c.wait); return true })
	c.raw.RollbackHook(func() {
		c.db.queue.leave(&c.wait)
		c.db.queue.next()
	})
	var err error
	c.cookie, _, err = c.raw.PrepareFlags(`PRAGMA schema_version`, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return err
	}
	if err := c.readCookie(); err != nil {
		return err
	}
	return c.queueUp()
}

// queueUp makes SQLite's waiting for the writer's place a waiting in the queue. PRAGMA busy_timeout, by which a client
// chooses another limit, puts it out of force until the connection is given back.
func (c *conn) queueUp() error {
	if c.busy == nil {
		c.busy = func(ctx context.Context, count int) bool {
			return c.db.o.LockTimeout >= 0 && c.db.queue.wait(ctx, &c.wait, count, c.db.o.LockTimeout)
		}
	}
	return c.raw.BusyHandler(c.busy)
}

// onCommit is called when a commit is done and the writer's place is free again.
func (c *conn) onCommit(_ *sqlite3.Conn, schema string, pages int) error {
	if schema != "main" {
		return nil
	}
	c.changed = true
	c.last = c.db.committed()
	if c.db.queue.next() {
		// Who waits should have the place before this connection comes back for it.
		runtime.Gosched()
	}
	if pages >= c.db.o.CheckpointPages {
		// Readers may hold it up; the next commit tries again.
		if _, _, err := c.raw.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE); err != nil && !errors.Is(err, sqlite3.BUSY) {
			return nil // the commit itself is done: an error of the checkpoint must not look like one of it
		}
	}
	return nil
}

// readCookie tells the database which schema is in the file.
func (c *conn) readCookie() error {
	defer c.cookie.Reset()
	if !c.cookie.Step() {
		return c.cookie.Err()
	}
	c.db.cookie.Store(uint32(c.cookie.ColumnInt64(0)))
	c.db.seen.Store(time.Now().UnixNano())
	return nil
}

// Raw is the connection itself.
func (c *conn) Raw() *sqlite3.Conn { return c.raw }

// SetContext sets the context whose end interrupts what the connection does next.
func (c *conn) SetContext(ctx context.Context) { c.raw.SetInterrupt(ctx) }

// Gate has nothing to wait for: SQLite's commit is final. It looks for a new schema.
func (c *conn) Gate(context.Context) error {
	if !c.changed || !c.raw.GetAutocommit() {
		return nil
	}
	c.changed = false
	old := c.raw.SetInterrupt(context.Background())
	defer c.raw.SetInterrupt(old)
	if err := c.readCookie(); err != nil {
		// The transaction is committed all the same; the next loan looks again.
		c.db.seen.Store(0)
	}
	return nil
}

// Explain names the situations that SQLite's codes stand for.
func (c *conn) Explain(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, sqlite3.BUSY_SNAPSHOT):
		return fmt.Errorf("%w: %w", engine.ErrBusySnapshot, err)
	case errors.Is(err, sqlite3.BUSY) && c.raw.GetInterrupt().Err() != nil:
		return fmt.Errorf("%w: %w", context.Cause(c.raw.GetInterrupt()), err)
	case errors.Is(err, sqlite3.BUSY) && !c.raw.GetAutocommit() && c.raw.TxnState("main") == sqlite3.TXN_READ:
		// It has read, and somebody else is writing: when that one is done, what was read is old.
		return fmt.Errorf("%w: %w", engine.ErrBusySnapshot, err)
	case errors.Is(err, sqlite3.BUSY):
		return fmt.Errorf("%w: %w", engine.ErrLockTimeout, err)
	case errors.Is(err, sqlite3.CANTOPEN):
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	return err
}

// LastTXID is the number of the connection's last commit, 0 if there was none.
func (c *conn) LastTXID() uint64 { return c.last }

// WaitTXID waits until that transaction is committed.
func (c *conn) WaitTXID(ctx context.Context, txid uint64) error { return c.db.waitTXID(ctx, txid) }

// Session is the lender's slot for the borrower.
func (c *conn) Session() *any { return &c.slot }

// Release gives the connection back.
func (c *conn) Release(bad bool) {
	c.db.queue.leave(&c.wait)
	c.db.giveBack(c, bad || !c.clean())
}

// clean ends what is left of a transaction and tells whether the connection can be lent again.
func (c *conn) clean() bool {
	c.raw.SetInterrupt(context.Background())
	if c.raw.TxnState("") != sqlite3.TXN_NONE {
		for s := range c.raw.Stmts() {
			s.Reset() // repeats the error of the last run; what counts is that it is at rest
		}
	}
	if !c.raw.GetAutocommit() {
		if err := c.raw.Exec(`ROLLBACK`); err != nil {
			return false
		}
	}
	if c.changed {
		c.Gate(context.Background())
	}
	c.last = 0
	return c.queueUp() == nil
}

func (c *conn) close() {
	c.raw.SetInterrupt(context.Background())
	c.raw.RollbackHook(nil)
	for _, s := range slices.Collect(c.raw.Stmts()) {
		s.Close() // SQLite keeps a connection open as long as it has statements
	}
	c.raw.Close()
}
