// Package pagevfs shows a page store to SQLite as a file.
//
// SQLite runs in rollback-journal mode with batch-atomic writes: it keeps its journal to itself and hands over all
// pages of a transaction before it announces the end of the commit (SQLITE_FCNTL_COMMIT_PHASETWO), which is where the
// transaction is installed and proposed. A lock of SHARED is a snapshot, RESERVED is the writer's place.
//
// With batch-atomic writes SQLite leaves the change counter in page 1 alone, and after a rollback of speculative
// versions it would repeat. Every connection therefore reads a counter of its own, which moves exactly when the version
// that it is about to read is not the one its page cache was filled from.
package pagevfs
