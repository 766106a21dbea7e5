package pagestore

import "errors"

var (
	// ErrLockTimeout: another transaction kept the writer's place for longer than the time-out.
	ErrLockTimeout = errors.New("lock time-out: another transaction is writing")
	// ErrStaleSnapshot: a transaction that began by reading wants to write, and its snapshot isn't the newest any more.
	ErrStaleSnapshot = errors.New("snapshot is no longer the newest: run the transaction again")
	// ErrSerialization: the transaction ran on a version that was dropped.
	ErrSerialization = errors.New("the transaction ran on a state that was rolled back: run it again")
	// ErrNotCommitted: the transaction is certain not to have happened.
	ErrNotCommitted = errors.New("the transaction was not committed")
	// ErrOutcomeUnknown: the transaction may or may not have happened.
	ErrOutcomeUnknown = errors.New("the outcome of the commit is unknown")
	// ErrDiverged: a record fits the history and doesn't lead where it says. The database has stopped.
	ErrDiverged = errors.New("the database has diverged from its log")
	// ErrForeign: a record belongs to another database or lineage.
	ErrForeign = errors.New("log record belongs to another database")
	// ErrFailed: the database is out of service; the wrapped error says why.
	ErrFailed = errors.New("the database is out of service")
	// ErrClosed: the database was closed or dropped.
	ErrClosed = errors.New("the database is closed")
)
