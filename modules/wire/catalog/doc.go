// Package catalog shows the schema and the server as clients expect to find them: pg_catalog, the information_schema of
// both dialects, MySQL's SHOW and DESCRIBE, and the functions that go with them (pg_get_indexdef, format_type,
// ::regclass …).
//
// The relations are eponymous virtual tables that read a [Source] at the moment of the query; nothing is copied into
// the database and nothing has to be kept up to date. [Register] makes them known to a connection once, [Relation] tells
// package plan which table a client's name stands for.
package catalog
