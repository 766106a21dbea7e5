// Package mysql reads MySQL's SQL into the tree that both dialects share (package ir).
//
// # Usage
//
//	statements, err := mysql.Parse(text, mysql.Options{})
//
// The grammar is TiDB's parser. In front of it stands a lexer of this package's own, which executes versioned comments as
// MySQL 8.0.36 does, cuts a text into its statements, bounds how deep a statement may nest, and numbers the parameters.
// What that grammar lacks is read here: transaction control with all its clauses, row aliases of INSERT (VALUES (…) AS new),
// expressions as defaults, RETURNING as MariaDB's clients write it, CHECK and REPAIR TABLE, SHOW of logs and engines.
//
// # Several statements
//
// MySQL parses a statement when the one before it has run. Parse returns the statements before the first bad one together
// with the error, so that a caller can do the same; a caller that wants all or nothing looks at the error first.
//
// # Errors
//
// Errors are *sqlerr.Error. A syntax error is 1064 with the text from the offending word on and its line, as MySQL words
// it. A statement that is understood but isn't there (stored routines, partitions, XA …) is an *ir.Unsupported that names it.
package mysql
