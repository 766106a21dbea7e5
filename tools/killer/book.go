package main

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/tools/internal/process"
)

// book is what the writers know: for each, the last transaction it tried and the last that was acknowledged. A writer
// goes on with the next number only after an answer, so that the database may hold at most one more than acknowledged.
type book struct {
	writers []writer
	mysql   bool        // odd writers speak MySQL's protocol
	dying   atomic.Bool // the server is being killed: errors are expected
}

type writer struct{ tried, acked atomic.Int64 }

func init() {
	mysql.SetLogger(&mysql.NopLogger{}) // broken connections are what this is about
}

func newBook(n int, mysql bool) *book { return &book{writers: make([]writer, n), mysql: mysql} }

func (b *book) acknowledged() (n int) {
	for i := range b.writers {
		n += int(b.writers[i].acked.Load())
	}
	return n
}

// open connects a writer.
func (b *book) open(id int, s *process.Bop) (*sql.DB, error) {
	if id%2 == 0 || !b.mysql {
		return sql.Open("pgx", "postgres://bop@"+s.PG+"/bop?sslmode=disable")
	}
	return sql.Open("mysql", "bop@tcp("+s.MySQL+")/bop")
}

func (b *book) create(ctx context.Context, s *process.Bop) error {
	db, err := b.open(0, s)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, stmt := range []string{
		`CREATE TABLE halves (writer int NOT NULL, seq bigint NOT NULL, half int NOT NULL, payload text, PRIMARY KEY (writer, seq, half))`,
		`CREATE TABLE heads (writer int PRIMARY KEY, seq bigint NOT NULL)`,
		`CREATE INDEX halves_payload ON halves (payload)`,
	} {
		if _, err := db.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	for id := range b.writers {
		if _, err := db.ExecContext(ctx, fmt.Sprintf(`INSERT INTO heads VALUES (%d, 0)`, id)); err != nil {
			return err
		}
	}
	return nil
}

// write writes transactions of two halves and a head until the context or the server ends.
func (b *book) write(ctx context.Context, id int, s *process.Bop) error {
	db, err := b.open(id, s)
	if err != nil {
		return err
	}
	defer db.Close()
	w := &b.writers[id]
	for ctx.Err() == nil {
		seq := w.acked.Load() + 1
		if w.tried.Load() >= seq {
			// The last attempt before a kill may have been committed; check settled which.
			return fmt.Errorf("writer %d: transaction %d is unsettled", id, seq)
		}
		w.tried.Store(seq)
		if err := transaction(ctx, db, id, seq); err != nil {
			if b.dying.Load() || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("writer %d, transaction %d: %w", id, seq, err)
		}
		w.acked.Store(seq)
	}
	return nil
}

func transaction(ctx context.Context, db *sql.DB, id int, seq int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for half := range 2 {
		// A payload that is now and then large makes transactions of more than one log record's size.
		size := 20
		if seq%64 == 0 {
			size = 60_000
		}
		stmt := fmt.Sprintf(`INSERT INTO halves VALUES (%d, %d, %d, '%0*d')`, id, seq, half, size, seq)
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE heads SET seq = %d WHERE writer = %d`, seq, id)); err != nil {
		return err
	}
	return tx.Commit()
}

// check exports the database as the server sees it after recovery and holds it against the book.
func (b *book) check(ctx context.Context, binary string, s *process.Bop, work string) error {
	file := filepath.Join(work, "check.sqlite")
	if out, err := exec.CommandContext(ctx, binary, "db", "export", "--http", s.HTTP, "--force", "bop", file).CombinedOutput(); err != nil {
		return fmt.Errorf("bop db export: %w\n%s", err, out)
	}
	c, err := sqlite3.Open("file:" + file + "?mode=ro")
	if err != nil {
		return err
	}
	defer c.Close()
	if got, err := text(c, `PRAGMA integrity_check`); err != nil || got != "ok" {
		return fmt.Errorf("integrity_check says %q: %w", got, err)
	}
	for id := range b.writers {
		w := &b.writers[id]
		var head, rows, last int64
		if err := ints(c, fmt.Sprintf(`SELECT (SELECT seq FROM heads WHERE writer = %[1]d), count(*), coalesce(max(seq), 0) FROM halves WHERE writer = %[1]d`, id), &head, &rows, &last); err != nil {
			return err
		}
		switch acked, tried := w.acked.Load(), w.tried.Load(); {
		case head < acked:
			return fmt.Errorf("writer %d: transaction %d was acknowledged, the database stands at %d", id, acked, head)
		case head > tried:
			return fmt.Errorf("writer %d: the database stands at %d, but only %d were tried", id, head, tried)
		case rows != 2*head || last != head:
			return fmt.Errorf("writer %d: head %d, but %d halves up to %d: a transaction is there by half", id, head, rows, last)
		}
		w.acked.Store(head) // an unknown outcome turned out to be a commit, or not
		w.tried.Store(head)
	}
	return nil
}

func text(c *sqlite3.Conn, query string) (string, error) {
	st, _, err := c.Prepare(query)
	if err != nil {
		return "", err
	}
	defer st.Close()
	if !st.Step() {
		return "", st.Err()
	}
	return st.ColumnText(0), nil
}

func ints(c *sqlite3.Conn, query string, to ...*int64) error {
	st, _, err := c.Prepare(query)
	if err != nil {
		return err
	}
	defer st.Close()
	if !st.Step() {
		return fmt.Errorf("%s: no row: %w", query, st.Err())
	}
	for i, p := range to {
		*p = st.ColumnInt64(i)
	}
	return nil
}
