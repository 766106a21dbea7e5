package session_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
)

// configured is an engine that keeps settings in memory.
type configured struct {
	engine.Engine
	mu  sync.Mutex
	all map[string]map[string]string
}

func (c *configured) Settings(ctx context.Context, database string) (map[string]string, error) {
	if _, err := c.Database(ctx, database); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.all[database]), nil
}

func (c *configured) ChangeSettings(ctx context.Context, database string, change func(map[string]string)) error {
	if _, err := c.Database(ctx, database); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	own := maps.Clone(c.all[database])
	if own == nil {
		own = map[string]string{}
	}
	change(own)
	c.all[database] = own
	return nil
}

func startConfigured(t *testing.T, o session.Options) *kit {
	t.Helper()
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
	o.Engine = &configured{Engine: files, all: map[string]map[string]string{}}
	s, err := session.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &kit{t, s}
}

func TestADatabaseSaysWhatVariablesAreForItsSessions(t *testing.T) {
	k := startConfigured(t, session.Options{Durability: "local", ReadConsistency: "leader"})
	admin := k.open(ir.Postgres)
	admin.want("SHOW bop.durability; SHOW bop.read_consistency", "local\nleader") // the server's
	admin.want(`ALTER DATABASE db SET bop.durability = async;
		ALTER DATABASE db SET bop.read_consistency TO 'stale(10s)';
		ALTER DATABASE db SET TimeZone TO 'Europe/Berlin';
		ALTER DATABASE db SET search_path TO a, public;
		ALTER DATABASE db SET my.own = 'x y'`, "ALTER DATABASE\nALTER DATABASE\nALTER DATABASE\nALTER DATABASE\nALTER DATABASE")

	t.Run("those that are open keep to what they have", func(t *testing.T) {
		admin.want("SHOW bop.durability; SHOW TimeZone", "local\nUTC")
	})
	t.Run("the next ones begin with it", func(t *testing.T) {
		x := k.open(ir.Postgres)
		x.want("SHOW bop.durability; SHOW bop.read_consistency; SHOW timezone; SHOW search_path; SHOW my.own",
			"async\nstale(10s)\nEurope/Berlin\na, public\nx y")
		x.want("SELECT '2026-01-01 12:00+00'::timestamptz", "2026-01-01 13:00:00+01")
	})
	t.Run("what a session sets goes before, and RESET goes back to it", func(t *testing.T) {
		x := k.open(ir.Postgres)
		x.want("SET bop.durability = quorum; SHOW bop.durability; RESET bop.durability; SHOW bop.durability", "SET\nquorum\nRESET\nasync")
	})
	t.Run("what a client sets as it connects goes before", func(t *testing.T) {
		x, err := k.server.Open(t.Context(), session.Config{Dialect: ir.Postgres, User: "ada", Database: "db", Params: map[string]string{"timezone": "Asia/Tokyo"}})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		(&client{k, x}).want("SHOW timezone", "Asia/Tokyo")
	})
	t.Run("MySQL's clients get this server's own alone, on whatever database they come to", func(t *testing.T) {
		x := k.open(ir.MySQL)
		x.want("SELECT @@bop.durability, @@time_zone", "async|SYSTEM")
		x.want("USE other; SELECT @@bop.durability", "USE\nlocal")
	})
	t.Run("another database has none of it", func(t *testing.T) {
		x, err := k.server.Open(t.Context(), session.Config{Dialect: ir.Postgres, User: "ada", Database: "other"})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		(&client{k, x}).want("SHOW bop.durability; SHOW timezone", "local\nUTC")
	})
	t.Run("the catalog has it, as psql's \\drds reads it", func(t *testing.T) {
		admin.want(`SELECT datname, setrole, setconfig FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase`,
			`db|0|{bop.durability=async,bop.read_consistency=stale(10s),"my.own=x y","search_path=a, public",timezone=Europe/Berlin}`)
	})
	t.Run("how fresh reads are is known before a session begins", func(t *testing.T) {
		for _, c := range []struct{ asked, database, want string }{
			{"", "db", "stale(10s)"}, {"linearizable", "db", "linearizable"}, {"", "other", "leader"}, {"", "none", "leader"}, {"", "", "leader"},
		} {
			if got := k.server.Consistency(t.Context(), c.asked, c.database); got != c.want {
				t.Errorf("%q on %q: %q, want %q", c.asked, c.database, got, c.want)
			}
		}
	})
	t.Run("and it can be taken back", func(t *testing.T) {
		admin.want("ALTER DATABASE db RESET bop.durability; ALTER DATABASE db SET timezone TO DEFAULT", "ALTER DATABASE\nALTER DATABASE")
		k.open(ir.Postgres).want("SHOW bop.durability; SHOW timezone; SHOW my.own", "local\nUTC\nx y")
		admin.want("SET statement_timeout = '7s'; ALTER DATABASE db SET statement_timeout FROM CURRENT; ALTER DATABASE db RESET my.own", "SET\nALTER DATABASE\nALTER DATABASE")
		k.open(ir.Postgres).want("SHOW statement_timeout", "7s")
		admin.want("ALTER DATABASE db RESET ALL; SELECT count(*) FROM pg_db_role_setting", "ALTER DATABASE\n0")
	})
	t.Run("what can't be is refused", func(t *testing.T) {
		for text, state := range map[string]string{
			"ALTER DATABASE none SET timezone = 'UTC'":                  "3D000",
			"ALTER DATABASE db SET nothing = 1":                         "42704",
			"ALTER DATABASE db SET bop.nothing = 1":                     "42602",
			"ALTER DATABASE db SET timezone = 'Nowhere'":                "22023",
			"ALTER DATABASE db SET bop.durability = 'never'":            "22023",
			"ALTER DATABASE db SET bop.wait_for_txid = 1":               "55P02",
			"ALTER DATABASE db SET server_version = '9'":                "55P02",
			"BEGIN; ALTER DATABASE db SET timezone = 'UTC'; ROLLBACK":   "25001",
			"ALTER DATABASE db RESET nothing":                           "42704",
			"ALTER DATABASE db SET TRANSACTION ISOLATION LEVEL DEFAULT": "42601",
		} {
			x := k.open(ir.Postgres)
			x.fails(text, state)
		}
	})
}

func TestAnEngineThatKeepsNoSettingsSaysSo(t *testing.T) {
	start(t).open(ir.Postgres).fails("ALTER DATABASE db SET timezone = 'UTC'", "0A000")
}

func TestAServersDefaultsAreChecked(t *testing.T) {
	for _, o := range []session.Options{{Durability: "never"}, {ReadConsistency: "soon"}} {
		if _, err := session.NewServer(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
