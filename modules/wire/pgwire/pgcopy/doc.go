// Package pgcopy reads and writes the data of PostgreSQL's COPY: its text, CSV and binary formats.
//
//	o, err := pgcopy.ParseOptions(statement.Format, statement.Options, columnNames)
//	r := pgcopy.NewReader(source, o)
//	for row, err := r.Row(); err != io.EOF; row, err = r.Row() { … }
//
// A Reader holds one row at a time. What it refuses is an *sqlerr.Error with the SQLSTATE of the original and, in
// Context, the line.
package pgcopy
