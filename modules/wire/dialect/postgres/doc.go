// Package postgres parses PostgreSQL's SQL into the tree of package ir, with PostgreSQL's own grammar (libpg_query,
// compiled to WebAssembly).
//
// # Usage
//
//	if err := postgres.Warm(ctx); err != nil { … } // once, when the server starts
//	statements, err := postgres.Parse("SELECT 1; SELECT 2")
//
// The first use of the grammar compiles it, which takes one to two seconds; Warm does that ahead of the first client.
// After that a short statement costs some tens of microseconds, so callers cache what they make of it. [Fingerprint]
// finds the cached plan of a text whose literals differ, without the grammar and in a fraction of its time.
//
// # What a statement becomes
//
// Parse maps everything that package ir can express. A statement that PostgreSQL would accept and that ir has no node
// for is an *ir.Unsupported that names the construct; it isn't an error, because a client may send it in the middle of
// others. Names are folded, types carry their modifiers, expressions in DDL also come as text in the form that
// PostgreSQL's catalogs print.
//
// # Bounds
//
// The compiled grammar has a fixed stack, and a text that exhausts it would leave it unusable. A text nested more than
// about a thousand levels deep is therefore refused before it is parsed, with the SQLSTATE (54001) that PostgreSQL has
// for it; so is one longer than [MaxText].
//
// All functions may be called by many goroutines.
package postgres
