// Package sqlite stores SQLite databases as versions of pages above one log.
//
// A Host is an open data folder. Its databases share one log, so that all their commits that wait at the same moment
// share one fsync, and a commit doesn't hold the writer's place while it waits for it.
//
//	h, err := sqlite.Open(ctx, sqlite.Options{Dir: "data"})
//	db, err := h.Create(ctx, "shop", sqlite.CreateOptions{})
//	pool := sql.OpenDB(db.Connector())
//	_, err = pool.ExecContext(ctx, `INSERT INTO orders VALUES (?, ?)`, 1, "tea")
//
// # What is promised
//
// A commit that was answered is there after a crash of the process or the machine. Readers have a snapshot of the
// committed state and never wait; there is one writer at a time, and writers queue in the order they came. A
// transaction larger than memory works. ATTACH reads other databases of the host; it doesn't write to them, and never
// opens files of the machine.
//
// # The caller's duties
//
//  1. Conn is used by one goroutine at a time.
//  2. Whoever uses Conn rather than database/sql calls Gate after each transaction and before telling anyone of its end,
//     because a transaction that writes runs on a state that may not be committed yet.
//  3. ErrOutcomeUnknown means what it says: the application must look whether its transaction happened.
//  4. A connection for which Stale is true is closed, with everything that was derived from it. Pool and database/sql
//     do that by themselves. What is cached elsewhere is keyed with DB.ID, DB.Lineage, DB.RollbackEpoch and
//     DB.SchemaCookie.
//
// # What runs in the background
//
// Each database has an owner, a supervised actor that folds committed versions into the page file, so that the log can
// drop its head. A panic in one database takes that database out of service, and its owner opens it again from page
// file and log; the others go on.
package sqlite
