// Package engine says what wire needs of the storage below it: databases that lend SQLite connections, and the
// outcome of their commits. wire/filedb is an implementation over a folder of ordinary SQLite files.
package engine

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Errors that an Engine returns; test with errors.Is.
var (
	// ErrNoDatabase: there is no database of that name.
	ErrNoDatabase = errors.New("no such database")
	// ErrDatabaseExists: the name is taken.
	ErrDatabaseExists = errors.New("database exists")
	// ErrOutcomeUnknown: the commit may or may not have happened and the client must look.
	ErrOutcomeUnknown = errors.New("commit outcome unknown")
	// ErrSerialization: the transaction ran on a state that was thrown away; run it again.
	ErrSerialization = errors.New("transaction ran on a state that was rolled back")
	// ErrUnavailable: the database can't be served now; the wrapped text says why.
	ErrUnavailable = errors.New("database unavailable")
	// ErrReadOnly: writes are refused here.
	ErrReadOnly = errors.New("database is read-only")
	// ErrLockTimeout: another transaction kept the writer's place for longer than the lock time-out.
	ErrLockTimeout = errors.New("lock time-out")
	// ErrBusySnapshot: a transaction wanted to write but its snapshot is no longer the newest.
	ErrBusySnapshot = errors.New("snapshot is stale")
)

// Engine is a server's set of databases. Its methods may be called by many goroutines.
type Engine interface {
	// Databases lists the names in order.
	Databases(ctx context.Context) ([]string, error)
	// Database returns the database of that name, or ErrNoDatabase.
	Database(ctx context.Context, name string) (Database, error)
	CreateDatabase(ctx context.Context, name string) error
	DropDatabase(ctx context.Context, name string) error
	// Writable tells whether writes are accepted on this server; if not, leader is where they are ("" unknown).
	Writable() (ok bool, leader string)
}

// Configured is an Engine that keeps settings of its databases: what variables are for sessions that don't set them.
type Configured interface {
	Engine
	// Settings are those of a database, by variable. ErrNoDatabase.
	Settings(ctx context.Context, database string) (map[string]string, error)
	// ChangeSettings lets change have them. ErrNoDatabase, ErrReadOnly.
	ChangeSettings(ctx context.Context, database string, change func(map[string]string)) error
}

// Version identifies what cached plans and statements stand on. Two equal Versions mean: same content of the schema.
type Version struct {
	Database [16]byte // the database's random id
	Lineage  uint64   // changes on import, restore and forced recovery
	Epoch    uint64   // moves when speculative versions were thrown away
	Schema   uint32   // SQLite's schema cookie at the committed head
}

// Database is one database.
type Database interface {
	Name() string
	// Version is cheap: it is read before each statement.
	Version() Version
	// Borrow lends a connection until Release. It waits for a free one while ctx lasts.
	Borrow(ctx context.Context) (Conn, error)
}

// Level says what reads may miss.
type Level uint8

// The levels.
const (
	Linearizable Level = iota // nothing that was committed before they began, by whichever server
	LeaderReads               // what a leader that was deposed a moment ago doesn't know
	StaleReads                // what this server hasn't got yet, for MaxAge at most
)

// Consistency is how fresh reads have to be.
type Consistency struct {
	Level  Level
	MaxAge time.Duration // of StaleReads; 0: any age
}

// Consistent is a Database whose reads may have to wait, or can't be served here, when they have to be fresh.
type Consistent interface {
	Database
	// Fresh returns when reads that begin now are as fresh as asked. ErrReadOnly: another server has to be asked;
	// ErrUnavailable: it can't be found out.
	Fresh(ctx context.Context, c Consistency) error
}

// Conn is a lent SQLite connection. It is used by one goroutine at a time.
type Conn interface {
	// Raw is the connection itself. Plain BEGIN, BEGIN IMMEDIATE, COMMIT, ROLLBACK and savepoints work as in SQLite
	// with snapshots: BEGIN IMMEDIATE waits (fairly) for the writer's place up to the lock time-out.
	Raw() *sqlite3.Conn
	// SetContext sets the context of what the connection does next: cancellation of waits, and the trace.
	SetContext(ctx context.Context)
	// Gate waits until everything that the last transaction saw is committed. Nothing about the end of a transaction
	// may be told to a client before it returned nil. ErrSerialization, ErrOutcomeUnknown.
	Gate(ctx context.Context) error
	// Explain turns an error of Raw into one of this package's errors (wrapped with the SQLite error), where it is
	// one of these situations; otherwise it returns err itself.
	Explain(err error) error
	// LastTXID is the transaction number of the last commit made on this connection, 0 if none.
	LastTXID() uint64
	// WaitTXID waits until the committed head has reached txid.
	WaitTXID(ctx context.Context, txid uint64) error
	// Session returns a slot that stays with the connection across loans: statement caches and registered functions.
	Session() *any
	// Release gives the connection back. An open transaction is rolled back; bad says that it must not be lent again.
	Release(bad bool)
}

// Durability says when the answer to a commit leaves.
type Durability uint8

// The durabilities, in the order of what they promise. Whatever is chosen, readers see only what is committed.
const (
	Quorum Durability = iota // when the transaction is committed
	Local                    // when it is on this server's disk; on a single server that is the same
	Async                    // at once: it may be lost in a crash
)

// Durable is a Conn that can answer before a commit is committed. It goes back to Quorum when it is released. A Conn that
// isn't Durable answers when the commit is final.
type Durable interface {
	Conn
	SetDurability(Durability)
}
