// Package session runs the statements of one client, whatever protocol it speaks: transactions and isolation, plans and
// prepared statements, variables, cursors, cancellation.
//
// # Usage
//
//	srv := session.NewServer(session.Options{Engine: eng})
//	x, err := srv.Open(ctx, session.Config{Dialect: ir.Postgres, User: "ada", Database: "shop"})
//	err = x.Query(ctx, "SELECT 1; SELECT 2", func(r *session.Result) error { … })
//
//	p, err := x.Prepare(ctx, "SELECT name FROM t WHERE id = $1", nil)
//	r, err := x.Execute(ctx, p, args, session.ExecuteOptions{})
//	for r.Next() { row := r.Row() … }
//	err = r.Close()
//
// # The caller's duties
//
//  1. A Session is used by one goroutine at a time; only Cancel may be called by others.
//  2. Every Result is closed before the next statement runs, except results of portals (ExecuteOptions.Portal). Nothing
//     about a statement's end (its command tag) may be told to the client before Close returned nil: Close passes the
//     engine's output gate.
//  3. The extended protocol of PostgreSQL calls Sync at each Sync message, and Fail after an error.
//
// # Isolation
//
// A transaction takes the writer's place at its first write. Until then, READ COMMITTED of PostgreSQL has no SQLite
// transaction at all and each statement its own snapshot; savepoints set meanwhile are replayed when it begins. REPEATABLE
// READ and SERIALIZABLE begin with the first statement, and an upgrade from a snapshot that is no longer the newest fails
// with 40001. MySQL's REPEATABLE READ keeps its snapshot until its first write and sees the newest state from there on.
package session
