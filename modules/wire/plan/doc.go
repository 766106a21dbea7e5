// Package plan turns a parsed statement into one that SQLite runs: it resolves names against the logical schema, gives
// every expression and parameter a type, and prints SQLite's SQL.
//
// # Usage
//
//	p, err := plan.Build(statement, &plan.Env{Schema: snapshot, SearchPath: path, System: catalog.Relation})
//	// run p.Before, then p.SQL with parameters of p.Params in storage form; describe the rows by p.Columns
//
// [Expression] and [View] do the same for the expressions and queries inside of DDL.
//
// # How it works
//
// Expressions become nodes from the leaves up: a node is a piece of SQLite's SQL with a type. Constants and parameters
// of unknown type stay open until an operator, a function, a column or a set operation gives them one, as in
// PostgreSQL; their text is then brought into storage form at once. Select lists stay nodes until the whole query is
// known, since INSERT, UNION and VALUES still convert them. Everything else is printed as it is resolved.
//
// Names in the printed SQL are always quoted and qualified, and every FROM element has an alias of its own in the
// whole statement, so that no name can be captured by another scope: SQLite compares names without case, PostgreSQL
// doesn't.
//
// # What the caller must know
//
//   - A NULL for a PostgreSQL column that is SQLite's rowid can't be left to SQLite, which would generate a value: the
//     plan writes a text in its place, and SQLite answers SQLITE_MISMATCH ("datatype mismatch"). For a plan whose Table
//     has a RowID that error means: null value in that column.
//   - Whole-number arithmetic that overflows 64 bits on its way into a column becomes REAL in SQLite, which a STRICT
//     table refuses with SQLITE_CONSTRAINT_DATATYPE ("cannot store REAL value in INTEGER column"): out of range.
//   - Positions in errors count from the beginning of Statement.Text, plus Statement.Offset.
package plan
