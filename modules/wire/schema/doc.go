// Package schema is the logical schema of a database: what the clients declared, beside what SQLite's own schema can
// hold. It is stored in tables of the database itself (their names begin with __bop_), written in the same transaction
// as the DDL, so that it replicates, rolls back and restores with the data.
//
// [Load] reads a [Schema], an immutable snapshot that any number of goroutines may share. [Apply] runs one DDL statement
// inside the caller's transaction; the caller loads again afterwards. Each Apply moves SQLite's schema cookie, also when
// only logical objects changed (a comment, a type), so the cookie is all that caches have to compare.
//
// # What is in SQLite
//
// Tables are STRICT, their columns in the storage form of their type. Keys other than the rowid are unique indexes of
// their own, never part of CREATE TABLE, so that they come and go without writing the table anew. Foreign keys, checks,
// NOT NULL and defaults are part of the text of CREATE TABLE and are changed there (PRAGMA writable_schema) after the
// rows were validated. Changes of the rows' layout write the table anew and exchange the root pages, so that no foreign
// key ever sees its parent go.
package schema
