package session_test

import (
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
)

func TestErrorsNameTheConstraint(t *testing.T) {
	k := start(t)
	a, m := k.open(ir.Postgres), k.open(ir.MySQL)
	a.want(`CREATE SCHEMA s; CREATE TYPE mood AS ENUM ('ok');
		CREATE TABLE p (id int PRIMARY KEY);
		CREATE TABLE s.t (id int PRIMARY KEY, a text NOT NULL, b int, c int, v varchar(3), n smallint, m mood, big bigint,
			CONSTRAINT pair UNIQUE (b, c), CONSTRAINT positive CHECK (b > 0));
		CREATE TABLE c (id serial PRIMARY KEY, p int CONSTRAINT to_p REFERENCES p (id));
		CREATE UNIQUE INDEX lowered ON s.t (lower(a));
		CREATE UNIQUE INDEX just_v ON s.t (v);
		INSERT INTO p VALUES (1); INSERT INTO c (p) VALUES (1);
		INSERT INTO s.t VALUES (1, 'one', 1, 1, 'v', 1, 'ok', 9223372036854775807)`,
		"CREATE SCHEMA\nCREATE TYPE\nCREATE TABLE\nCREATE TABLE\nCREATE TABLE\nCREATE INDEX\nCREATE INDEX\nINSERT 0 1\nINSERT 0 1\nINSERT 0 1")
	for _, c := range []struct {
		sql, state, message               string
		schema, table, column, constraint string
	}{
		{"INSERT INTO s.t (id, a) VALUES (1, 'x')", "23505", `duplicate key value violates unique constraint "t_pkey"`, "s", "t", "id", "t_pkey"},
		{"INSERT INTO s.t (id, a, b, c) VALUES (2, 'x', 1, 1)", "23505", `duplicate key value violates unique constraint "pair"`, "s", "t", "", "pair"},
		{"INSERT INTO s.t (id, a, v) VALUES (2, 'x', 'v')", "23505", `duplicate key value violates unique constraint "just_v"`, "s", "t", "v", "just_v"},
		{"INSERT INTO s.t (id, a) VALUES (2, 'ONE')", "23505", `duplicate key value violates unique constraint "lowered"`, "s", "t", "", "lowered"},
		{"INSERT INTO s.t (id) VALUES (2)", "23502", `null value in column "a" of relation "t" violates not-null constraint`, "s", "t", "a", ""},
		{"INSERT INTO s.t (a) VALUES ('x')", "23502", `null value in column "id" of relation "t" violates not-null constraint`, "s", "t", "id", ""},
		{"INSERT INTO s.t (id, a, b) VALUES (2, 'x', 0)", "23514", `new row for relation "t" violates check constraint "positive"`, "s", "t", "", "positive"},
		{"INSERT INTO c (p) VALUES (2)", "23503", `insert or update on table "c" violates foreign key constraint "to_p"`, "public", "c", "", "to_p"},
		{"DELETE FROM p", "23503", `update or delete on table "p" violates foreign key constraint "to_p" on table "c"`, "public", "c", "", "to_p"},
		{"INSERT INTO s.t (id, a, v) VALUES (2, 'x', 'long')", "22001", "value too long for type character varying(3)", "", "", "", ""},
		{"UPDATE s.t SET n = n + 40000", "22003", "smallint out of range", "", "", "", ""},
		{"UPDATE s.t SET big = big + 1", "22003", "bigint out of range", "", "", "", ""},
	} {
		e := a.fails(c.sql, c.state)
		if e.Message != c.message || e.Schema != c.schema || e.Table != c.table || e.Constraint != c.constraint || c.column != "" && e.Column != c.column {
			t.Errorf("%s: %+v", c.sql, *e)
		}
	}
	for _, c := range []struct {
		sql, state, message string
		number              uint16
	}{
		{"INSERT INTO p VALUES (1)", "23505", "Duplicate entry for key 'p.PRIMARY'", 1062},
		{"INSERT INTO c (p) VALUES (2)", "23503", "Cannot add, delete or update a row: a foreign key constraint fails (`c`, CONSTRAINT `to_p`)", 1452},
		{"DELETE FROM p", "23503", "Cannot delete or update a parent row: a foreign key constraint fails (`c`, CONSTRAINT `to_p`)", 1451},
	} {
		e := m.fails(c.sql, c.state)
		if e.Number != c.number || e.MyMessage != c.message {
			t.Errorf("%s: %+v", c.sql, *e)
		}
	}
}
