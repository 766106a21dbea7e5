// Package wire serves SQLite databases to PostgreSQL and MySQL clients.
//
// # Usage
//
//	srv, err := wire.OpenFile("data") // a folder of ordinary SQLite files
//	ln, err := net.Listen("tcp", "127.0.0.1:5432")
//	err = srv.ServePostgres(ctx, ln) // psql -h 127.0.0.1 -U ada bop
//
// Any other storage is served through package engine: NewServer takes whatever lends SQLite connections and tells the
// outcome of their commits.
//
// # How it is built
//
// A client's SQL is parsed by the grammar of its dialect (dialect/postgres, dialect/mysql) into one tree (ir). Package
// plan resolves it against the logical schema (schema), gives every expression a type (types, funcs) and prints SQLite's
// SQL. Package session runs statements in transactions; pgwire and mywire are the protocols. Catalogs (catalog) are
// virtual tables of SQLite.
//
// # Concurrency
//
// A Server may serve any number of listeners. Each listener belongs to an actor that is supervised: one that panics is
// started again. Each connection has a goroutine of its own, and a panic there ends that connection alone.
package wire
