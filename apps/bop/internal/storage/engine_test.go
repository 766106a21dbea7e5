package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
)

func open(t *testing.T, dir string) *sqlite.Host {
	t.Helper()
	h, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs statements and returns rows as text.
func run(x *session.Session, text string) (string, error) {
	var out []string
	err := x.Query(context.Background(), text, func(r *session.Result) error {
		for r.Next() {
			var row []string
			for _, v := range r.Row() {
				switch {
				case v.B != nil:
					row = append(row, string(v.B))
				default:
					row = append(row, fmt.Sprint(v.I))
				}
			}
			out = append(out, strings.Join(row, "|"))
		}
		return r.Close()
	})
	return strings.Join(out, "\n"), err
}

func TestSessionsOnTheStorage(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	if _, err := h.Create(t.Context(), "db", sqlite.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	srv, err := session.NewServer(session.Options{Engine: Engine{Host: h}})
	if err != nil {
		t.Fatal(err)
	}
	client := func() *session.Session {
		x, err := srv.Open(t.Context(), session.Config{Dialect: ir.Postgres, User: "ada", Database: "db"})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := client()
	if _, err := run(x, `CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
		INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 10) i`); err != nil {
		t.Fatal(err)
	}
	t.Run("transfers by many sessions keep the sum that readers see", func(t *testing.T) {
		var wg sync.WaitGroup
		for w := range 4 {
			c := client()
			wg.Go(func() {
				defer c.Close()
				for i := range 25 {
					from, to := 1+(w+i)%10, 1+(w*3+i*7)%10
					_, err := run(c, fmt.Sprintf(`BEGIN; SELECT balance FROM accounts WHERE id = %d; UPDATE accounts SET balance = balance - 1 WHERE id = %[1]d; UPDATE accounts SET balance = balance + 1 WHERE id = %d; COMMIT`, from, to))
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
			r := client()
			wg.Go(func() {
				defer r.Close()
				for range 40 {
					if sum, err := run(r, `SELECT sum(balance)::bigint FROM accounts`); sum != "1000" || err != nil {
						t.Errorf("sum %q, %v", sum, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
	x.Close()
	srv.Close()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("they are there after reopening", func(t *testing.T) {
		h := open(t, dir)
		defer h.Close(t.Context())
		srv, err := session.NewServer(session.Options{Engine: Engine{Host: h}})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		x, err := srv.Open(t.Context(), session.Config{User: "ada", Database: "db"})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		if sum, err := run(x, `SELECT sum(balance)::bigint FROM accounts`); sum != "1000" || err != nil {
			t.Fatalf("sum %q, %v", sum, err)
		}
	})
	t.Run("errors are the front ends' own", func(t *testing.T) {
		h := open(t, t.TempDir())
		defer h.Close(t.Context())
		e := Engine{Host: h}
		if _, err := e.Database(t.Context(), "nowhere"); !errors.Is(err, engine.ErrNoDatabase) {
			t.Fatal(err)
		}
		if err := e.CreateDatabase(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := e.CreateDatabase(t.Context(), "a"); !errors.Is(err, engine.ErrDatabaseExists) {
			t.Fatal(err)
		}
	})
}
