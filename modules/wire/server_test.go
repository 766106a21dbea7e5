package wire_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/bop-platform/bop/modules/wire"
)

func Example() {
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	srv, err := wire.OpenFile(dir)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	go srv.ServePostgres(ctx, ln)
	defer srv.Shutdown(ctx)

	conn, err := pgx.Connect(ctx, "postgres://ada@"+ln.Addr().String()+"/bop")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	var name string
	err = conn.QueryRow(ctx, `WITH people (id, name) AS (VALUES (1, 'Ada'), (2, 'Grace')) SELECT name FROM people WHERE id = $1`, 2).Scan(&name)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name)
	// Output: Grace
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestServer(t *testing.T) {
	ctx := t.Context()
	srv, err := wire.OpenFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pg, my := listen(t), listen(t)
	ended := make(chan error, 2)
	go func() { ended <- srv.ServePostgres(context.Background(), pg) }()
	go func() { ended <- srv.ServeMySQL(context.Background(), my) }()

	t.Run("clients of both protocols see each other's rows", func(t *testing.T) {
		p, err := pgx.Connect(ctx, "postgres://ada@"+pg.Addr().String()+"/bop?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		m, err := sql.Open("mysql", "ada@tcp("+my.Addr().String()+")/bop")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if _, err := p.Exec(ctx, `CREATE TABLE notes (id serial PRIMARY KEY, text varchar(20) NOT NULL, price numeric(8,2), done boolean DEFAULT false)`); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Exec(ctx, `INSERT INTO notes (text, price) VALUES ($1, $2)`, "from psql", "1.50"); err != nil {
			t.Fatal(err)
		}
		var text, price string
		if err := m.QueryRowContext(ctx, "SELECT text, price FROM notes WHERE id = ?", 1).Scan(&text, &price); err != nil || text != "from psql" || price != "1.50" {
			t.Fatal(text, price, err)
		}
		if _, err := m.ExecContext(ctx, "UPDATE notes SET text = 'from mysql', done = true WHERE id = ?", 1); err != nil {
			t.Fatal(err)
		}
		var done bool
		if err := p.QueryRow(ctx, "SELECT text, done FROM notes").Scan(&text, &done); err != nil || text != "from mysql" || !done {
			t.Fatal(text, done, err)
		}
	})
	t.Run("an end of the context ends a listener alone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		ln := listen(t)
		done := make(chan error)
		go func() { done <- srv.ServePostgres(ctx, ln) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
	t.Run("Shutdown ends the listeners", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
		if err := srv.ServePostgres(ctx, listen(t)); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
	})
}
