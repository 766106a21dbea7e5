// Package ast holds PostgreSQL's raw parse tree as Go structs, and decodes it from the protobuf form that libpg_query
// gives. Fields and constants are named as in PostgreSQL's own headers. Only the messages that dialect/postgres maps
// are here; any other node decodes to *Other, which keeps its name.
//
// The structs are generated from the descriptor in pg_query_go instead of using that package itself: its generated
// code decodes by reflection, which costs as much as the parser, and it compiles PostgreSQL's parser in C a second
// time whenever cgo is on.
package ast

//go:generate go run gen.go
