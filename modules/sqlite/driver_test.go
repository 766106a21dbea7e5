package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
)

func sqlDB(t *testing.T) (*sqlite.DB, *sql.DB) {
	t.Helper()
	db := create(t, open(t, sqlite.Options{Dir: t.TempDir()}), "d")
	return db, pool(t, db)
}

func must(t *testing.T, _ any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseSQL(t *testing.T) {
	db, p := sqlDB(t)
	must(t, p.Ping, p.Ping())
	exec := func(sql string, args ...any) sql.Result {
		t.Helper()
		r, err := p.Exec(sql, args...)
		must(t, r, err)
		return r
	}
	exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, f REAL, b BLOB, at TIMESTAMP, ok BOOLEAN, day DATE)`)
	at := time.Date(2026, 11, 22, 10, 11, 12, 131415, time.UTC)
	r := exec(`INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)`, 7, "text", 1.5, []byte{1, 2}, at, true, "2026-11-22")
	if id, _ := r.LastInsertId(); id != 7 {
		t.Fatalf("id %d", id)
	}
	exec(`INSERT INTO t (id, s) VALUES (:a, @b)`, sql.Named("a", 8), sql.Named("b", nil))
	t.Run("values come back as they went", func(t *testing.T) {
		var id int
		var s string
		var f float64
		var b []byte
		var got, day time.Time
		var ok bool
		must(t, nil, p.QueryRow(`SELECT * FROM t WHERE id = ?`, 7).Scan(&id, &s, &f, &b, &got, &ok, &day))
		if s != "text" || f != 1.5 || string(b) != "\x01\x02" || !got.Equal(at) || !ok || day.Day() != 22 {
			t.Fatal(id, s, f, b, got, ok, day)
		}
		var null sql.NullString
		must(t, nil, p.QueryRow(`SELECT s FROM t WHERE id = 8`).Scan(&null))
		if null.Valid {
			t.Fatal("NULL came back as a value")
		}
		if err := p.QueryRow(`SELECT s FROM t WHERE id = 9`).Scan(&s); !errors.Is(err, sql.ErrNoRows) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("several statements in one text", func(t *testing.T) {
		exec(`CREATE TABLE m (x); INSERT INTO m VALUES (1); INSERT INTO m VALUES (2)`)
		var n int
		must(t, nil, p.QueryRow(`SELECT count(*) FROM m`).Scan(&n))
		if n != 2 {
			t.Fatal(n)
		}
		if _, err := p.Prepare(`SELECT 1; SELECT 2`); err == nil {
			t.Fatal("two statements were prepared as one")
		}
		if _, err := p.Prepare(` -- nothing`); err == nil {
			t.Fatal("nothing was prepared")
		}
		must(t, nil, p.QueryRow("SELECT 1 -- a comment\n;  ").Scan(&n))
	})
	t.Run("a statement can be run while its rows are open", func(t *testing.T) {
		st, err := p.Prepare(`SELECT value FROM (SELECT 1 AS value UNION ALL SELECT 2)`)
		must(t, st, err)
		defer st.Close()
		conn, err := p.Conn(t.Context())
		must(t, conn, err)
		defer conn.Close()
		a, err := conn.QueryContext(t.Context(), `SELECT x FROM m ORDER BY x`)
		must(t, a, err)
		b, err := conn.QueryContext(t.Context(), `SELECT x FROM m ORDER BY x`)
		must(t, b, err)
		for want := 1; want <= 2; want++ {
			for _, rows := range []*sql.Rows{a, b} {
				var x int
				if !rows.Next() || rows.Scan(&x) != nil || x != want {
					t.Fatal(x, want)
				}
			}
		}
		must(t, nil, errors.Join(a.Close(), b.Close()))
	})
	t.Run("RETURNING gives its rows", func(t *testing.T) {
		rows, err := p.Query(`INSERT INTO m SELECT x + 10 FROM m RETURNING x`)
		must(t, rows, err)
		n := 0
		for rows.Next() {
			n++
		}
		must(t, nil, errors.Join(rows.Err(), rows.Close()))
		if n != 2 {
			t.Fatal(n)
		}
	})
	t.Run("affected rows are those of the statement", func(t *testing.T) {
		r := exec(`UPDATE m SET x = x + 1`)
		if n, _ := r.RowsAffected(); n != 4 {
			t.Fatal(n)
		}
		r = exec(`CREATE TABLE IF NOT EXISTS m (x)`)
		if n, _ := r.RowsAffected(); n != 0 {
			t.Fatal(n)
		}
	})
	t.Run("transactions", func(t *testing.T) {
		tx, err := p.Begin()
		must(t, tx, err)
		must(t, nil, func() error { _, err := tx.Exec(`DELETE FROM m`); return err }())
		must(t, nil, tx.Rollback())
		tx, err = p.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSnapshot})
		must(t, tx, err)
		var n int
		must(t, nil, tx.QueryRow(`SELECT count(*) FROM m`).Scan(&n))
		exec(`INSERT INTO m VALUES (99)`) // on another connection
		var again int
		must(t, nil, tx.QueryRow(`SELECT count(*) FROM m`).Scan(&again))
		if n != again || n != 4 {
			t.Fatal(n, again)
		}
		if _, err := tx.Exec(`DELETE FROM m`); !errors.Is(err, sqlite.ErrStaleSnapshot) {
			t.Fatalf("got %v", err)
		}
		must(t, nil, tx.Rollback())
		if _, err := p.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadUncommitted}); err == nil {
			t.Fatal("dirty reads are not on offer")
		}
	})
	t.Run("an error that rolls back makes the commit fail", func(t *testing.T) {
		tx, err := p.Begin()
		must(t, tx, err)
		if _, err := tx.Exec(`INSERT OR ROLLBACK INTO t (id) VALUES (100), (7)`); err == nil {
			t.Fatal("there is no conflict")
		}
		if err := tx.Commit(); !errors.Is(err, sqlite.ErrNotCommitted) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a context interrupts a statement", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		var n int
		err := p.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM `+series+` AS a, `+series, 100000, 100000)).Scan(&n)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		must(t, nil, p.QueryRow(`SELECT 1`).Scan(&n))
	})
	t.Run("read-only connections", func(t *testing.T) {
		ro := sql.OpenDB(db.ConnectorWith(sqlite.ConnectorOptions{ConnOptions: sqlite.ConnOptions{ReadOnly: true}}))
		defer ro.Close()
		var n int
		must(t, nil, ro.QueryRow(`SELECT count(*) FROM m`).Scan(&n))
		if _, err := ro.Exec(`DELETE FROM m`); err == nil {
			t.Fatal("it wrote")
		}
		tx, err := ro.Begin()
		must(t, tx, err)
		must(t, nil, tx.Rollback())
	})
	t.Run("more statements than are kept", func(t *testing.T) {
		small := sql.OpenDB(db.ConnectorWith(sqlite.ConnectorOptions{Statements: 2}))
		defer small.Close()
		small.SetMaxOpenConns(1)
		st, err := small.Prepare(`SELECT 0 + ?`)
		must(t, st, err)
		for i := range 10 {
			var n int
			must(t, nil, small.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&n))
			must(t, nil, st.QueryRow(i).Scan(&n))
			if n != i {
				t.Fatal(n, i)
			}
		}
	})
}
