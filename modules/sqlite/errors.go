package sqlite

import (
	"errors"
	"fmt"

	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagefile"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagestore"
	"github.com/bop-platform/bop/modules/sqlite/internal/pagevfs"
)

// Errors about a data folder.
var (
	// ErrLocked: another process, or another Host of this one, has the folder open.
	ErrLocked = fsys.ErrLocked
	// ErrNewerFormat is wrapped by NewerFormatError: something in the folder was written by a newer program.
	ErrNewerFormat = errors.New("written by a newer version")
	// ErrDamaged is wrapped by all errors about bytes on disk that are not what was written. The text names the file,
	// the offset and the page.
	ErrDamaged = pagefile.ErrDamaged
	// ErrClosed: the host or the database was closed, or the database was dropped.
	ErrClosed = pagestore.ErrClosed
)

// Errors about the set of databases.
var (
	// ErrNoDatabase: there is no database of that name.
	ErrNoDatabase = errors.New("no such database")
	// ErrExists: the name is taken.
	ErrExists = errors.New("database exists already")
	// ErrBadName: a database can't be called that.
	ErrBadName = errors.New("not a name for a database")
	// ErrNotSQLite: what should be imported is no intact SQLite database.
	ErrNotSQLite = errors.New("not an intact SQLite database")
)

// Errors about transactions. database/sql wraps them, and so does Conn.Explain; SQLite itself knows only its codes.
var (
	// ErrLockTimeout: another transaction kept the writer's place for longer than the lock time-out. (SQLITE_BUSY)
	ErrLockTimeout = pagestore.ErrLockTimeout
	// ErrStaleSnapshot: a transaction that began by reading wants to write, and its snapshot isn't the newest any
	// more. Nothing has happened; run it again, or begin it with BEGIN IMMEDIATE. (SQLITE_BUSY_SNAPSHOT)
	ErrStaleSnapshot = pagestore.ErrStaleSnapshot
	// ErrSerialization: the transaction ran on a state that was thrown away. Nothing of it has happened; run it again.
	ErrSerialization = pagestore.ErrSerialization
	// ErrNotCommitted: the transaction is certain not to have happened, and won't.
	ErrNotCommitted = pagestore.ErrNotCommitted
	// ErrOutcomeUnknown: the transaction may have happened or not, and the application has to look.
	ErrOutcomeUnknown = pagestore.ErrOutcomeUnknown
	// ErrLogFailed: the log takes nothing any more. Committed data can be read; the host must be opened again.
	ErrLogFailed = errors.New("the log has failed: nothing can be written until the data folder is opened again")
	// ErrNotLeader is wrapped by NotLeaderError: another server accepts writes.
	ErrNotLeader = errors.New("this server doesn't lead")
	// ErrNotFresh: it can't be found out now whether this server knows everything that was committed.
	ErrNotFresh = errors.New("reads can't be served as fresh as they have to be")
	// ErrDiverged: the log and the database contradict each other. The database has stopped.
	ErrDiverged = pagestore.ErrDiverged
	// ErrFailed: the database is out of service; the wrapped error says why.
	ErrFailed = pagestore.ErrFailed
	// ErrConnBroken: the connection ran out of memory or panicked and must be closed.
	ErrConnBroken = errors.New("the connection is broken")
	// ErrHostFile: a statement wants to open a file of the host.
	ErrHostFile = pagevfs.ErrHostFile
)

// DamageError names the file, the page and the offset of damaged bytes. It wraps ErrDamaged.
type DamageError = pagefile.DamageError

// NewerFormatError says what was written by a newer program. It wraps ErrNewerFormat.
type NewerFormatError struct {
	What             string // path or thing
	Found, Supported uint32
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("%s was written by a newer version: format %d, and this program reads up to %d", e.What, e.Found, e.Supported)
}

// Unwrap returns ErrNewerFormat.
func (e *NewerFormatError) Unwrap() error { return ErrNewerFormat }

// NotLeaderError says who accepts writes. It wraps ErrNotLeader.
type NotLeaderError struct{ Leader string } // "": nobody is known to

func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return "this server doesn't lead, and no leader is known at present"
	}
	return fmt.Sprintf("this server follows; %s leads", e.Leader)
}

// Unwrap returns ErrNotLeader.
func (e *NotLeaderError) Unwrap() error { return ErrNotLeader }

// PanicError is a panic that took a database or a connection out of service, and nothing else.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }
