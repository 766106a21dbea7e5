package session_test

import (
	"context"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

func TestOwnVariables(t *testing.T) {
	t.Run("they are set and shown in PostgreSQL", func(t *testing.T) {
		x := start(t).open(ir.Postgres)
		x.want("SHOW bop.durability; SHOW bop.strict_reads; SHOW bop.traceparent; SHOW bop.last_txid", "quorum\noff\n\n0")
		x.want("SET bop.durability = async; SHOW bop.durability", "SET\nasync")
		x.want("SET bop.strict_reads TO on; SELECT current_setting('bop.strict_reads')", "SET\non")
		x.want("RESET bop.durability; SHOW bop.durability", "RESET\nquorum")
		x.want("SELECT set_config('bop.durability', 'local', false)", "local")
		x.want("SELECT setting FROM pg_settings WHERE name = 'bop.durability'", "local")
		x.want("BEGIN; SET LOCAL bop.durability = async; COMMIT; SHOW bop.durability", "BEGIN\nSET\nCOMMIT\nlocal")
	})
	t.Run("they are set and shown in MySQL", func(t *testing.T) {
		x := start(t).open(ir.MySQL)
		x.want("SELECT @@bop.durability, @@session.bop.strict_reads, @@bop.last_txid", "quorum|0|0")
		x.want("SET bop.durability = 'async'", "SET")
		x.want("SET @@bop.strict_reads = 1, SESSION bop.traceparent = 'x'", "SET")
		x.want("SELECT @@bop.durability, @@bop.strict_reads, @@bop.traceparent", "async|1|x")
		x.want("SHOW VARIABLES LIKE 'bop.dur%'", "bop.durability|async")
		x.want("SET bop.durability = DEFAULT", "SET")
		x.want("SELECT @@bop.durability", "quorum")
	})
	t.Run("reads say how fresh they have to be", func(t *testing.T) {
		k := start(t)
		pg, my := k.open(ir.Postgres), k.open(ir.MySQL)
		pg.want("SHOW bop.read_consistency", "linearizable")
		pg.want("SET bop.read_consistency = 'Stale(10s)'; SHOW bop.read_consistency", "SET\nstale(10s)")
		pg.want("SET bop.read_consistency = leader", "SET")
		my.want("SET bop.read_consistency = 'stale'", "SET")
		my.want("SELECT @@bop.read_consistency", "stale")
	})
	t.Run("bad values and names are refused", func(t *testing.T) {
		k := start(t)
		pg, my := k.open(ir.Postgres), k.open(ir.MySQL)
		pg.fails("SET bop.durability = often", "22023")
		pg.fails("SET bop.last_txid = 1", "55P02")
		pg.fails("SET bop.wait_for_txid = 'soon'", "22023")
		pg.fails("SELECT set_config('bop.wait_for_txid', '1', false)", "0A000")
		pg.fails("SET bop.no_such = leader", "42602")
		pg.fails("SHOW bop.no_such", "42704")
		for _, bad := range []string{"eventual", "stale(soon)", "stale(-1s)", "stale(1s"} {
			pg.fails("SET bop.read_consistency = '"+bad+"'", "22023")
		}
		pg.want("SET app.who = 'ada'; SHOW app.who", "SET\nada")
		for text, number := range map[string]uint16{
			"SET bop.durability = 'often'": 1231, "SET bop.last_txid = 1": 1238, "SET bop.wait_for_txid = 'soon'": 1231,
			"SET bop.no_such = 'leader'": 1193, "SELECT @@bop.no_such": 1193, "SET bop.read_consistency = 'soon'": 1231, "SET GLOBAL bop.durability = 'async'": 1227,
		} {
			if _, err := my.try(text); err == nil || number != sqlerr.FromSQLite(err).Number {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
	t.Run("a commit's token lets another session wait for it", func(t *testing.T) {
		k := start(t)
		a, b, m := k.open(ir.Postgres), k.open(ir.Postgres), k.open(ir.MySQL)
		a.want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		a.want("INSERT INTO t VALUES (1)", "INSERT 0 1")
		token := a.one("SHOW bop.last_txid")
		if token == "0" {
			t.Fatal("no token")
		}
		b.want("SET bop.wait_for_txid = "+token+"; SELECT * FROM t", "SET\n1")
		m.want("SET bop.wait_for_txid = "+token, "SET")
		m.want("SET @@bop.wait_for_txid = '"+token+"'", "SET")
		b.want("SET statement_timeout = 20", "SET")
		b.fails("SET bop.wait_for_txid = 9000000000000000000", "57014")
		a.want("BEGIN; INSERT INTO t VALUES (2)", "BEGIN\nINSERT 0 1")
		a.fails("SET bop.wait_for_txid = "+token, "25001")
		a.want("ROLLBACK", "ROLLBACK")
		if got := a.one("SHOW bop.last_txid"); got != token {
			t.Errorf("a rollback moved the token from %s to %s", token, got)
		}
	})
	t.Run("a connection may begin by waiting", func(t *testing.T) {
		k := start(t)
		a := k.open(ir.Postgres)
		a.want("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE")
		x, err := k.server.Open(context.Background(), session.Config{User: "ada", Database: "db",
			Params: map[string]string{"bop.wait_for_txid": a.one("SHOW bop.last_txid"), "bop.durability": "async"}})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		if v, _ := x.Variable("bop.durability"); v != "async" {
			t.Error(v)
		}
	})
}

// one returns the only value of a query.
func (c *client) one(text string) string {
	c.k.Helper()
	out, err := c.try(text)
	if err != nil {
		c.k.Fatalf("%s: %v", text, err)
	}
	return out
}
