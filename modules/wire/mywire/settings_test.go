package mywire_test

import (
	"context"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/mywire"
	"github.com/bop-platform/bop/modules/wire/session"
)

// configured is an engine whose databases say what variables are.
type configured struct {
	engine.Engine
	all map[string]map[string]string
}

func (c configured) Settings(_ context.Context, database string) (map[string]string, error) {
	return c.all[database], nil
}

func (c configured) ChangeSettings(_ context.Context, database string, change func(map[string]string)) error {
	change(c.all[database])
	return nil
}

func TestTheDatabaseOfTheHandshakeDecidesWhoServes(t *testing.T) {
	files, err := filedb.Open(t.TempDir(), filedb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	for _, name := range []string{"db", "other"} {
		if err := files.CreateDatabase(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	sessions, err := session.NewServer(session.Options{Defaults: map[string]string{"bop.read_consistency": "leader"},
		Engine: configured{files, map[string]map[string]string{"db": {"bop.read_consistency": "stale", "bop.durability": "local", "time_zone": "+05:00"}}}})
	if err != nil {
		t.Fatal(err)
	}
	greeted := make(chan handoff.Greeting, 1)
	k := start(t, mywire.Options{Sessions: sessions, Route: func(_ context.Context, g handoff.Greeting) (net.Conn, error) {
		greeted <- g
		return nil, nil
	}})
	for _, c := range []struct{ name, database, asked, routed, then string }{
		{"a database that lets reads be stale", "db", "", "stale", "stale local SYSTEM"},
		{"a client that wants others", "db", "linearizable", "linearizable", "linearizable local SYSTEM"},
		{"a database that says nothing", "other", "", "leader", "leader quorum SYSTEM"},
		{"no database yet", "", "", "leader", "leader quorum SYSTEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := k.open(func(o *mysql.Config) {
				o.DBName = c.database
				if c.asked != "" {
					o.ConnectionAttributes = "bop.read_consistency:" + c.asked
				}
			})
			if g := <-greeted; g.Consistency != c.routed || g.Database != c.database {
				t.Errorf("%+v", g)
			}
			var got string
			if err := conn.QueryRowContext(t.Context(), "SELECT CONCAT_WS(' ', @@bop.read_consistency, @@bop.durability, @@time_zone)").Scan(&got); err != nil || got != c.then {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
