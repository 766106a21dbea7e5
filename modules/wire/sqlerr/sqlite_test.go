package sqlerr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func open(t *testing.T) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestErrorsOfSQLite(t *testing.T) {
	c := open(t)
	if err := c.Exec(`PRAGMA foreign_keys = ON;
		CREATE TABLE p (id INTEGER PRIMARY KEY) STRICT;
		CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL UNIQUE, b INTEGER, c INTEGER REFERENCES p (id),
			n INTEGER CONSTRAINT __bop_range_n CHECK (n BETWEEN -128 AND 127),
			v TEXT CONSTRAINT __bop_len_v CHECK (length(v) <= 3),
			e TEXT CONSTRAINT __bop_enum_e CHECK (e IN ('x', 'y')),
			CONSTRAINT positive CHECK (b > 0)) STRICT;
		CREATE UNIQUE INDEX pair ON t (b, c);
		CREATE TABLE l (a TEXT);
		CREATE UNIQUE INDEX lowered ON l (lower(a));
		INSERT INTO l VALUES ('one');
		INSERT INTO p VALUES (1);
		INSERT INTO t (id, a, b, c) VALUES (1, 'one', 1, 1)`); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		sql        string
		state      string
		number     uint16
		table      string
		column     string
		constraint string
	}{
		{"INSERT INTO t (a) VALUES ('one')", "23505", 1062, "t", "a", ""},
		{"INSERT INTO t (id, a) VALUES (1, 'two')", "23505", 1062, "t", "id", ""},
		{"INSERT INTO t (a, b, c) VALUES ('two', 1, 1)", "23505", 1062, "t", "", ""},
		{"INSERT INTO l (a) VALUES ('ONE')", "23505", 1062, "", "", "lowered"},
		{"INSERT INTO t (a) VALUES (NULL)", "23502", 1048, "t", "a", ""},
		{"INSERT INTO t (a, c) VALUES ('two', 7)", "23503", 1452, "", "", ""},
		{"INSERT INTO t (a, b) VALUES ('two', 0)", "23514", 3819, "", "", "positive"},
		{"INSERT INTO t (a, n) VALUES ('two', 128)", "22003", 1264, "", "n", ""},
		{"INSERT INTO t (a, v) VALUES ('two', 'long')", "22001", 1406, "", "v", ""},
		{"INSERT INTO t (a, e) VALUES ('two', 'z')", "22P02", 1265, "", "e", ""},
		{"INSERT INTO t (a, b) VALUES ('two', 'x')", "22P02", 1366, "", "", ""},
		{"SELECT * FROM none", "42P01", 1146, "", "", ""},
		{"SELECT none FROM t", "42703", 1054, "", "", ""},
		{"SELECT none()", "42883", 1305, "", "", ""},
		{"CREATE TABLE t (a)", "42P07", 1050, "", "", ""},
		{"RELEASE none", "3B001", 1305, "", "", ""},
		{"SELECT sum(v) FROM (SELECT 9223372036854775807 AS v UNION ALL SELECT 1)", "22003", 1690, "", "", ""},
		{"SELECT zeroblob(2000000000)", "54000", 1153, "", "", ""},
	} {
		t.Run(x.sql, func(t *testing.T) {
			err := c.Exec(x.sql)
			if err == nil {
				t.Fatal("no error")
			}
			e := sqlerr.FromSQLite(fmt.Errorf("running it: %w", err))
			if e.State != x.state || e.Number != x.number || e.Table != x.table || e.Column != x.column || e.Constraint != x.constraint {
				t.Fatalf("%+v", e)
			}
			if !errors.Is(e, err) {
				t.Fatal("the cause is lost")
			}
		})
	}
	t.Run("an interrupted statement", func(t *testing.T) {
		c := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		c.SetInterrupt(ctx)
		err := c.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
		if e := sqlerr.FromSQLite(err); e.State != "57014" || e.Number != 1317 {
			t.Fatalf("%+v", e)
		}
	})
	t.Run("an error of a function keeps its fields", func(t *testing.T) {
		want := sqlerr.New("22012", "division by zero").My(1365, "Division by 0").WithHint("Don't.")
		want.Detail = "a detail"
		err := c.CreateFunction("fail", 0, 0, func(ctx sqlite3.Context, _ ...sqlite3.Value) { ctx.ResultError(sqlerr.Carry(want)) })
		if err != nil {
			t.Fatal(err)
		}
		e := sqlerr.FromSQLite(c.Exec("SELECT fail()"))
		if e.State != want.State || e.Number != want.Number || e.Message != want.Message || e.MyMessage != want.MyMessage ||
			e.Hint != want.Hint || e.Detail != want.Detail {
			t.Fatalf("%+v", e)
		}
	})
}

func TestErrorsOfTheEngine(t *testing.T) {
	for _, x := range []struct {
		err    error
		state  string
		number uint16
	}{
		{engine.ErrOutcomeUnknown, "08007", 1180}, {engine.ErrSerialization, "40001", 1213}, {engine.ErrBusySnapshot, "40001", 1213},
		{engine.ErrLockTimeout, "55P03", 1205}, {engine.ErrReadOnly, "25006", 1290}, {engine.ErrNoDatabase, "3D000", 1049},
		{engine.ErrDatabaseExists, "42P04", 1007}, {engine.ErrUnavailable, "57P03", 1105}, {context.Canceled, "57014", 1317},
		{context.DeadlineExceeded, "57014", 1317}, {errors.New("anything else"), "XX000", 1105},
	} {
		e := sqlerr.FromSQLite(fmt.Errorf("doing it: %w", x.err))
		if e.State != x.state || e.Number != x.number || !errors.Is(e, x.err) {
			t.Errorf("%v became %+v", x.err, e)
		}
	}
	t.Run("an engine's name for an error of SQLite goes before its code", func(t *testing.T) {
		if e := sqlerr.FromSQLite(fmt.Errorf("%w: %w", engine.ErrBusySnapshot, sqlite3.BUSY)); e.State != "40001" {
			t.Fatalf("%+v", e)
		}
	})
	t.Run("what is an Error stays the same one", func(t *testing.T) {
		e := sqlerr.New("22012", "division by zero")
		if sqlerr.FromSQLite(fmt.Errorf("dividing: %w", e)) != e {
			t.Fatal("it was replaced")
		}
		if sqlerr.FromSQLite(nil) != nil {
			t.Fatal("no error became one")
		}
	})
}

func FuzzCarried(f *testing.F) {
	f.Add("message\x1f22012\x1f1365\x1fmy\x1fdetail\x1fhint\x1f")
	f.Fuzz(func(t *testing.T, text string) {
		if e, ok := sqlerr.Carried(text); ok && len(e.State) != 5 {
			t.Fatal(e)
		}
	})
}
