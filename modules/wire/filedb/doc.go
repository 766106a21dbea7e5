// Package filedb is an engine.Engine over ordinary SQLite files: a folder with one file per database, or a single file.
// The files are in WAL mode with synchronous=FULL, so that a commit that was acknowledged survives a crash, and any
// other program that knows SQLite may read and write them at the same time.
//
// # Usage
//
//	eng, err := filedb.Open("data", filedb.Options{})
//	err = eng.CreateDatabase(ctx, "shop") // data/shop.db
//	defer eng.Close()
//
// # What it promises
//
// A commit is final when SQLite says so: Gate never fails. Writers of one Engine queue for the writer's place; who has
// waited longest is next. Writers of other processes aren't in that queue, so it is tried again every few milliseconds
// on their account.
//
// Transaction numbers (LastTXID, WaitTXID) order the commits that went through one Engine. They are not in the file:
// they start at the microseconds of the clock when the database is opened, so that they rise across restarts.
package filedb
