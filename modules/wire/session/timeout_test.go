package session_test

import (
	"context"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func TestTimeOuts(t *testing.T) {
	t.Run("lock_timeout ends the wait for another writer", func(t *testing.T) {
		k := start(t)
		a, b, m := k.open(ir.Postgres), k.open(ir.Postgres), k.open(ir.MySQL)
		a.want("CREATE TABLE t (id int PRIMARY KEY); BEGIN; INSERT INTO t VALUES (1)", "CREATE TABLE\nBEGIN\nINSERT 0 1")
		b.want("SET lock_timeout = 10", "SET")
		b.fails("INSERT INTO t VALUES (2)", "55P03")
		b.want("BEGIN", "BEGIN")
		b.fails("INSERT INTO t VALUES (2)", "55P03")
		b.want("ROLLBACK", "ROLLBACK")
		m.want("SET innodb_lock_wait_timeout = 1", "SET")
		if e := m.fails("INSERT INTO t VALUES (2)", "55P03"); e.Number != 1205 {
			t.Fatalf("%+v", e)
		}
		a.want("COMMIT", "COMMIT")
		b.want("INSERT INTO t VALUES (2)", "INSERT 0 1")
	})
	t.Run("an idle session ends when its time-outs say so", func(t *testing.T) {
		k := start(t)
		k.open(ir.Postgres).want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		for _, c := range []struct{ set, state string }{
			{"SET idle_session_timeout = 10", "57P05"},
			{"SET idle_in_transaction_session_timeout = 10; BEGIN; INSERT INTO t VALUES (1)", "25P03"},
		} {
			ended := make(chan *sqlerr.Error, 1)
			x, err := k.server.Open(context.Background(), session.Config{User: "ada", Database: "db", Terminate: func(e *sqlerr.Error) { ended <- e }})
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Query(context.Background(), c.set, func(r *session.Result) error { return r.Close() }); err != nil {
				t.Fatal(err)
			}
			if e := <-ended; e.State != c.state {
				t.Errorf("%+v", e)
			}
			x.Close()
		}
	})
	t.Run("client_min_messages holds notices back", func(t *testing.T) {
		k := start(t)
		var got []string
		x, err := k.server.Open(context.Background(), session.Config{User: "ada", Database: "db", Notice: func(e *sqlerr.Error) { got = append(got, e.Severity+e.Message) }})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for _, sql := range []string{"DROP TABLE IF EXISTS none", "SET client_min_messages = warning", "DROP TABLE IF EXISTS none", "COMMIT", "SET client_min_messages = error", "COMMIT"} {
			if err := x.Query(context.Background(), sql, func(r *session.Result) error { return r.Close() }); err != nil {
				t.Fatal(sql, err)
			}
		}
		if len(got) != 2 {
			t.Fatalf("%q", got)
		}
	})
}
