package server

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestSettingsOfServersAndDatabases(t *testing.T) {
	f := newFleet(t, 3, func(o *Options) { o.Durability, o.MySQL = "local", "127.0.0.1:0" })
	leader, follower := f.leader(), f.follower()
	open := func(name, database string) *pgx.Conn {
		t.Helper()
		c, err := pgx.Connect(t.Context(), "postgres://ada@"+f.nodes[name].PG+"/"+database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	c := open(leader, "bop")
	if got := scan[string](t, c, "SHOW bop.durability"); got != "local" {
		t.Errorf("the server's durability: %s", got)
	}
	exec(t, c, "CREATE DATABASE reports", "ALTER DATABASE reports SET bop.durability = quorum", "ALTER DATABASE reports SET bop.read_consistency = 'stale'")
	f.settled()

	t.Run("a follower serves a database whose reads may be stale itself", func(t *testing.T) {
		var r *pgx.Conn
		eventually(t, "the setting is there", func() bool {
			if r != nil {
				r.Close(context.Background())
			}
			r = open(follower, "reports")
			return r.PgConn().ParameterStatus("in_hot_standby") == "on"
		})
		if got := scan[string](t, r, "SHOW bop.durability"); got != "quorum" {
			t.Error(got)
		}
		_, err := r.Exec(t.Context(), "CREATE TABLE t (id int)")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "25006" {
			t.Error(err)
		}
	})
	t.Run("and passes on who wants others", func(t *testing.T) {
		for _, database := range []string{"bop", "reports?bop.read_consistency=linearizable"} {
			if got := open(follower, database).PgConn().ParameterStatus("in_hot_standby"); got != "off" {
				t.Errorf("%s: %s", database, got)
			}
		}
	})
	t.Run("MySQL's clients too", func(t *testing.T) {
		for database, want := range map[string]string{"reports": "1 quorum", "bop": "0 local"} {
			if got := f.nodes[follower].mysql(database).value("SELECT CONCAT_WS(' ', @@read_only + 0, @@bop.durability)"); got != want {
				t.Errorf("%s: %s, want %s", database, got, want)
			}
		}
	})
	t.Run("a server that follows changes no settings", func(t *testing.T) {
		_, err := open(follower, "reports").Exec(t.Context(), "ALTER DATABASE reports RESET ALL")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "25006" {
			t.Error(err)
		}
	})
	t.Run("what is changed is heard of everywhere", func(t *testing.T) {
		exec(t, c, "ALTER DATABASE reports SET my.own = 'x'")
		eventually(t, "the change is there", func() bool {
			r := open(follower, "reports")
			defer r.Close(context.Background())
			return scan[string](t, r, "SELECT coalesce(current_setting('my.own', true), '')") == "x"
		})
	})
	t.Run("they outlive a restart", func(t *testing.T) {
		if err := f.stop(follower); err != nil {
			t.Fatal(err)
		}
		f.start(follower, nil)
		if got := scan[string](t, open(follower, "reports"), "SHOW bop.read_consistency"); got != "stale" {
			t.Error(got)
		}
	})
	t.Run("a database of the same name begins without them", func(t *testing.T) {
		c := open(f.leader(), "bop")
		exec(t, c, "DROP DATABASE reports WITH (FORCE)", "CREATE DATABASE reports")
		if got := scan[int](t, c, "SELECT count(*) FROM pg_db_role_setting"); got != 0 {
			t.Errorf("%d settings", got)
		}
		if got := scan[string](t, open(f.leader(), "reports"), "SHOW bop.read_consistency"); got != "linearizable" {
			t.Error(got)
		}
	})
}
