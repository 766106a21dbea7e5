package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// kit is a server over a folder of files, with a database named db.
type kit struct {
	*testing.T
	server *session.Server
}

func start(t *testing.T) *kit {
	t.Helper()
	eng, err := filedb.Open(t.TempDir(), filedb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	if err := eng.CreateDatabase(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	s, err := session.NewServer(session.Options{Engine: eng})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &kit{t, s}
}

// client is a session of a test.
type client struct {
	k *kit
	*session.Session
}

func (k *kit) open(d ir.Dialect) *client {
	k.Helper()
	x, err := k.server.Open(context.Background(), session.Config{Dialect: d, User: "ada", Database: "db"})
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(x.Close)
	return &client{k, x}
}

// try runs a text and returns its rows: values joined by |, rows by newlines, and tags of statements without rows.
func (c *client) try(text string) (string, error) {
	var out []string
	err := c.Query(context.Background(), text, func(r *session.Result) error {
		for r.Next() {
			var row []string
			for i, v := range r.Row() {
				if v.IsNull() {
					row = append(row, "NULL")
					continue
				}
				row = append(row, string(types.AppendPGText(nil, r.Columns[i].Type, v, c.PGFormat())))
			}
			out = append(out, strings.Join(row, "|"))
		}
		if err := r.Close(); err != nil {
			return err
		}
		if r.Columns == nil && !r.Empty() {
			out = append(out, string(r.AppendTag(nil)))
		}
		return nil
	})
	return strings.Join(out, "\n"), err
}

func (c *client) want(text, want string) {
	c.k.Helper()
	got, err := c.try(text)
	if err != nil {
		c.k.Fatalf("%s: %v", text, err)
	}
	if got != want {
		c.k.Fatalf("%s:\ngot\n%s\nwant\n%s", text, got, want)
	}
}

func (c *client) fails(text, state string) *sqlerr.Error {
	c.k.Helper()
	got, err := c.try(text)
	var e *sqlerr.Error
	if !errors.As(err, &e) || e.State != state {
		c.k.Fatalf("%s: got %q and %v, want SQLSTATE %s", text, got, err, state)
	}
	return e
}

func TestTransactions(t *testing.T) {
	t.Run("what is committed is seen by others, what is rolled back is not", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.Postgres), k.open(ir.Postgres)
		a.want("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE")
		a.want("BEGIN; INSERT INTO t VALUES (1, 'one')", "BEGIN\nINSERT 0 1")
		b.want("SELECT count(*) FROM t", "0")
		a.want("COMMIT", "COMMIT")
		b.want("SELECT v FROM t", "one")
		a.want("BEGIN; DELETE FROM t; ROLLBACK", "BEGIN\nDELETE 1\nROLLBACK")
		b.want("SELECT count(*) FROM t", "1")
	})
	t.Run("several statements without BEGIN are one transaction", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		a.fails("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)", "23505")
		a.want("SELECT count(*) FROM t", "0")
		if a.Status() != 'I' {
			t.Fatalf("status %c", a.Status())
		}
	})
	t.Run("an error aborts the block until its end", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		a.want("BEGIN; INSERT INTO t VALUES (1)", "BEGIN\nINSERT 0 1")
		a.fails("SELECT nothing FROM t", "42703")
		if a.Status() != 'E' {
			t.Fatalf("status %c", a.Status())
		}
		a.fails("SELECT 1", "25P02")
		a.want("COMMIT", "ROLLBACK")
		a.want("SELECT count(*) FROM t", "0")
	})
	t.Run("savepoints set before the first write work", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		a.want("BEGIN; SAVEPOINT a; SELECT count(*) FROM t; INSERT INTO t VALUES (1); SAVEPOINT b; INSERT INTO t VALUES (2); ROLLBACK TO b; SELECT count(*) FROM t; ROLLBACK TO a; SELECT count(*) FROM t; INSERT INTO t VALUES (3); RELEASE a; COMMIT",
			"BEGIN\nSAVEPOINT\n0\nINSERT 0 1\nSAVEPOINT\nINSERT 0 1\nROLLBACK\n1\nROLLBACK\n0\nINSERT 0 1\nRELEASE\nCOMMIT")
		a.want("SELECT id FROM t", "3")
	})
	t.Run("a savepoint rescues a block from an error", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		a.want("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s", "BEGIN\nINSERT 0 1\nSAVEPOINT")
		a.fails("INSERT INTO t VALUES (1)", "23505")
		a.want("ROLLBACK TO s; INSERT INTO t VALUES (2); COMMIT", "ROLLBACK\nINSERT 0 1\nCOMMIT")
		a.want("SELECT count(*) FROM t", "2")
	})
	t.Run("read committed sees what others commit between its statements, and can write then", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.Postgres), k.open(ir.Postgres)
		a.want("CREATE TABLE t (n int); INSERT INTO t VALUES (1)", "CREATE TABLE\nINSERT 0 1")
		a.want("BEGIN; SELECT n FROM t", "BEGIN\n1")
		b.want("UPDATE t SET n = 2", "UPDATE 1")
		a.want("SELECT n FROM t; UPDATE t SET n = n + 10; COMMIT", "2\nUPDATE 1\nCOMMIT")
		b.want("SELECT n FROM t", "12")
	})
	t.Run("repeatable read keeps its snapshot and can't write from a stale one", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.Postgres), k.open(ir.Postgres)
		a.want("CREATE TABLE t (n int); INSERT INTO t VALUES (1)", "CREATE TABLE\nINSERT 0 1")
		a.want("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT n FROM t", "BEGIN\n1")
		b.want("UPDATE t SET n = 2", "UPDATE 1")
		a.want("SELECT n FROM t", "1")
		a.fails("UPDATE t SET n = 3", "40001")
		a.want("ROLLBACK", "ROLLBACK")
		b.want("SELECT n FROM t", "2")
	})
	t.Run("a read-only transaction refuses writes", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("CREATE TABLE t (n int)", "CREATE TABLE")
		a.want("BEGIN READ ONLY", "BEGIN")
		a.fails("INSERT INTO t VALUES (1)", "25006")
		a.want("ROLLBACK", "ROLLBACK")
	})
	t.Run("DDL rolls back with its transaction", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.Postgres), k.open(ir.Postgres)
		a.want("BEGIN; CREATE TABLE t (n int); INSERT INTO t VALUES (1); SELECT n FROM t; ROLLBACK", "BEGIN\nCREATE TABLE\nINSERT 0 1\n1\nROLLBACK")
		a.fails("SELECT * FROM t", "42P01")
		b.fails("SELECT * FROM t", "42P01")
		a.want("CREATE TABLE t (n int, m int)", "CREATE TABLE")
		b.want("INSERT INTO t VALUES (1, 2); SELECT * FROM t", "INSERT 0 1\n1|2")
	})
	t.Run("writers wait for each other", func(t *testing.T) {
		k := start(t)
		a := k.open(ir.Postgres)
		a.want("CREATE TABLE t (n int); INSERT INTO t VALUES (0)", "CREATE TABLE\nINSERT 0 1")
		var wg sync.WaitGroup
		for range 8 {
			c := k.open(ir.Postgres)
			wg.Go(func() {
				for range 20 {
					if _, err := c.try("BEGIN; SELECT n FROM t; UPDATE t SET n = n + 1; COMMIT"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		a.want("SELECT n FROM t", "160")
	})
}

func TestPrepared(t *testing.T) {
	k := start(t)
	a, b := k.open(ir.Postgres), k.open(ir.Postgres)
	a.want("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE")
	ctx := t.Context()
	insert, err := a.Prepare(ctx, "INSERT INTO t VALUES ($1, $2)", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(insert.Params) != 2 || insert.Params[0].Kind != types.Int4 || insert.Params[1].Kind != types.Text || insert.Columns != nil {
		t.Fatalf("%+v", insert)
	}
	for i := range 3 {
		r, err := a.Execute(ctx, insert, []types.Value{types.IntValue(int64(i)), types.StringValue(fmt.Sprint("v", i))}, session.ExecuteOptions{Last: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil || string(r.AppendTag(nil)) != "INSERT 0 1" {
			t.Fatalf("%s, %v", r.AppendTag(nil), err)
		}
	}
	sel, err := a.Prepare(ctx, "SELECT v FROM t WHERE id = $1", nil)
	if err != nil {
		t.Fatal(err)
	}
	read := func() (string, error) {
		r, err := a.Execute(ctx, sel, []types.Value{types.IntValue(2)}, session.ExecuteOptions{Last: true})
		if err != nil {
			return "", err
		}
		var out []string
		for r.Next() {
			out = append(out, string(r.Row()[0].B))
		}
		return strings.Join(out, ","), r.Close()
	}
	if got, err := read(); got != "v2" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	t.Run("a plan follows a change of the schema", func(t *testing.T) {
		b.want("ALTER TABLE t ADD COLUMN w int DEFAULT 7", "ALTER TABLE")
		if got, err := read(); got != "v2" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	})
	t.Run("a plan whose rows would look otherwise is refused", func(t *testing.T) {
		star, err := a.Prepare(ctx, "SELECT * FROM t", nil)
		if err != nil {
			t.Fatal(err)
		}
		b.want("ALTER TABLE t DROP COLUMN w", "ALTER TABLE")
		var e *sqlerr.Error
		if _, err := a.Execute(ctx, star, nil, session.ExecuteOptions{Last: true}); !errors.As(err, &e) || e.State != "0A000" {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("statements between two Syncs are one transaction", func(t *testing.T) {
		for i := range 2 {
			r, err := a.Execute(ctx, insert, []types.Value{types.IntValue(int64(10 + i)), types.Value{}}, session.ExecuteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		}
		b.want("SELECT count(*) FROM t WHERE id >= 10", "0")
		if err := a.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		b.want("SELECT count(*) FROM t WHERE id >= 10", "2")
	})
	t.Run("PREPARE and EXECUTE of SQL", func(t *testing.T) {
		b.want("PREPARE p (int) AS SELECT v FROM t WHERE id = $1; EXECUTE p (1 + 1); DEALLOCATE p", "PREPARE\nv2\nDEALLOCATE")
		b.fails("EXECUTE p (1)", "26000")
	})
}

func TestSessionState(t *testing.T) {
	t.Run("variables roll back with their transaction", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("SET application_name = 'one'; SHOW application_name", "SET\none")
		a.want("BEGIN; SET application_name = 'two'; ROLLBACK; SHOW application_name", "BEGIN\nSET\nROLLBACK\none")
		a.want("BEGIN; SET LOCAL application_name = 'two'; SHOW application_name; COMMIT; SHOW application_name", "BEGIN\nSET\ntwo\nCOMMIT\none")
		a.want("RESET application_name; SHOW application_name", "RESET\n")
		a.fails("SET nonsense = 1", "42704")
		a.fails("SET timezone = 'Nowhere/Land'", "22023")
	})
	t.Run("cursors go both ways and end with their transaction", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2), (3), (4), (5)", "CREATE TABLE\nINSERT 0 5")
		a.want("BEGIN; DECLARE c SCROLL CURSOR FOR SELECT n FROM t ORDER BY n; FETCH 2 FROM c; FETCH BACKWARD 1 FROM c; FETCH ABSOLUTE 4 FROM c; MOVE 1 IN c; FETCH ALL FROM c; FETCH PRIOR FROM c; COMMIT",
			"BEGIN\nDECLARE CURSOR\n1\n2\n1\n4\nMOVE 1\n5\nCOMMIT")
		a.fails("FETCH c", "34000")
		a.want("BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT n FROM t ORDER BY n; FETCH h; COMMIT; DELETE FROM t; FETCH 2 FROM h; CLOSE h",
			"BEGIN\nDECLARE CURSOR\n1\nCOMMIT\nDELETE 5\n2\n3\nCLOSE CURSOR")
	})
	t.Run("a cancelled statement ends, and the session goes on", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		go func() {
			for !strings.Contains(fmt.Sprint(a.Running()), "recursive") {
				time.Sleep(time.Millisecond)
			}
			a.Cancel()
		}()
		a.fails("WITH recursive n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "57014")
		a.want("SELECT 1", "1")
	})
	t.Run("statement_timeout ends a statement", func(t *testing.T) {
		a := start(t).open(ir.Postgres)
		a.want("SET statement_timeout = 20", "SET")
		e := a.fails("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "57014")
		if !strings.Contains(e.Message, "timeout") {
			t.Fatal(e.Message)
		}
	})
	t.Run("temporary tables are the session's own", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.Postgres), k.open(ir.Postgres)
		a.want("CREATE TEMP TABLE t (n int); INSERT INTO t VALUES (1); SELECT n FROM t", "CREATE TABLE\nINSERT 0 1\n1")
		a.want("SELECT n FROM t", "1")
		b.fails("SELECT n FROM t", "42P01")
	})
	t.Run("notifications arrive at commit, once", func(t *testing.T) {
		k := start(t)
		got := make(chan session.Notification, 10)
		x, err := k.server.Open(t.Context(), session.Config{User: "l", Database: "db", Notified: func(n session.Notification) { got <- n }})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		(&client{k, x}).want("LISTEN news", "LISTEN")
		k.open(ir.Postgres).want("BEGIN; NOTIFY news, 'a'; NOTIFY news, 'a'; NOTIFY news, 'b'; COMMIT", "BEGIN\nNOTIFY\nNOTIFY\nNOTIFY\nCOMMIT")
		for _, want := range []string{"a", "b"} {
			if n := <-got; n.Payload != want || n.Channel != "news" {
				t.Fatalf("%+v", n)
			}
		}
		if len(got) > 0 {
			t.Fatal("more than two")
		}
	})
	t.Run("an unknown database is refused with its SQLSTATE", func(t *testing.T) {
		k := start(t)
		_, err := k.server.Open(t.Context(), session.Config{User: "a", Database: "nowhere"})
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.State != "3D000" {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("databases are made and dropped", func(t *testing.T) {
		k := start(t)
		a := k.open(ir.Postgres)
		a.want("CREATE DATABASE other", "CREATE DATABASE")
		a.fails("CREATE DATABASE other", "42P04")
		a.want("DROP DATABASE other; ", "DROP DATABASE")
		a.fails("DROP DATABASE other", "3D000")
		a.fails("DROP DATABASE db", "55006")
	})
	t.Run("a writer that idles too long in its transaction is ended", func(t *testing.T) {
		k := start(t)
		ended := make(chan *sqlerr.Error, 1)
		x, err := k.server.Open(t.Context(), session.Config{User: "a", Database: "db", Terminate: func(e *sqlerr.Error) { ended <- e }})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		a := &client{k, x}
		a.want("CREATE TABLE t (n int); SET idle_in_transaction_session_timeout = 20", "CREATE TABLE\nSET")
		a.want("BEGIN; INSERT INTO t VALUES (1)", "BEGIN\nINSERT 0 1")
		if e := <-ended; e.State != "25P03" {
			t.Fatal(e)
		}
	})
}

func TestMySQL(t *testing.T) {
	t.Run("the other dialect on the same database", func(t *testing.T) {
		k := start(t)
		m, p := k.open(ir.MySQL), k.open(ir.Postgres)
		m.want("CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(40), KEY (body))", "CREATE TABLE")
		m.want("INSERT INTO notes (body) VALUES ('one'), ('two')", "INSERT 0 2")
		if id := m.LastInsertID(); id != 1 {
			t.Fatalf("last insert id %d", id)
		}
		p.want("SELECT id, body FROM notes ORDER BY id", "1|one\n2|two")
		m.want("SELECT body FROM notes WHERE body = 'ONE'", "one")
		m.want("START TRANSACTION; DELETE FROM notes; SELECT COUNT(*) FROM notes; ROLLBACK", "BEGIN\nDELETE 2\n0\nROLLBACK")
		m.want("SHOW TABLES", "notes")
		m.fails("SELECT nothing FROM notes", "42703")
		m.want("SELECT COUNT(*) FROM notes", "2")
	})
	t.Run("repeatable read keeps its snapshot until the first write", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.MySQL), k.open(ir.MySQL)
		a.want("CREATE TABLE t (n INT); INSERT INTO t VALUES (1)", "CREATE TABLE\nINSERT 0 1")
		a.want("START TRANSACTION; SELECT n FROM t", "BEGIN\n1")
		b.want("UPDATE t SET n = 2", "UPDATE 1")
		a.want("SELECT n FROM t", "1")
		a.want("UPDATE t SET n = n + 10; SELECT n FROM t; COMMIT", "UPDATE 1\n12\nCOMMIT")
	})
	t.Run("autocommit = 0 keeps a transaction open until COMMIT", func(t *testing.T) {
		k := start(t)
		a, b := k.open(ir.MySQL), k.open(ir.MySQL)
		a.want("CREATE TABLE t (n INT); SET autocommit = 0; INSERT INTO t VALUES (1)", "CREATE TABLE\nSET\nINSERT 0 1")
		b.want("SELECT COUNT(*) FROM t", "0")
		a.want("COMMIT", "COMMIT")
		b.want("SELECT COUNT(*) FROM t", "1")
	})
	t.Run("user variables and system variables", func(t *testing.T) {
		a := start(t).open(ir.MySQL)
		a.want("SET @a = 5, @b := 'x'; SELECT @a + 1, @b, @@autocommit", "SET\n6|x|1")
		a.want("SET NAMES utf8mb4; SELECT @@character_set_client", "SET\nutf8mb4")
		a.fails("SET nonsense = 1", "42704")
	})
}
