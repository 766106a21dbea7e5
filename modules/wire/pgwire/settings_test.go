package pgwire_test

import (
	"context"
	"maps"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/pgwire"
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

func (c *configured) ChangeSettings(_ context.Context, database string, change func(map[string]string)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[database] == nil {
		c.all[database] = map[string]string{}
	}
	change(c.all[database])
	return nil
}

func startConfigured(t *testing.T, o pgwire.Options, defaults map[string]string) *kit {
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
	e := &configured{Engine: files, all: map[string]map[string]string{}}
	if o.Sessions, err = session.NewServer(session.Options{Engine: e, Defaults: defaults}); err != nil {
		t.Fatal(err)
	}
	return startOn(t, e, o)
}

func TestWhatCountsIsTheSessionThenTheClientThenTheDatabaseThenTheServer(t *testing.T) {
	k := startConfigured(t, pgwire.Options{}, map[string]string{"TimeZone": "Asia/Tokyo", "bop.durability": "local"})
	shows := func(c *pgx.Conn, want string) {
		t.Helper()
		if got := one[string](t, c, "SHOW timezone"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	first := k.connect("")
	shows(first, "Asia/Tokyo")
	exec(t, first, "ALTER DATABASE db SET timezone = 'Europe/Berlin'")
	if _, err := first.Prepare(context.Background(), "alter", "ALTER DATABASE db SET bop.durability TO async"); err != nil {
		t.Fatal(err)
	}
	exec(t, first, "alter")
	shows(first, "Asia/Tokyo") // it began before

	c := k.connect("")
	shows(c, "Europe/Berlin")
	if got := c.PgConn().ParameterStatus("TimeZone"); got != "Europe/Berlin" {
		t.Errorf("the client was told %s", got)
	}
	if got := one[string](t, c, "SHOW bop.durability"); got != "async" {
		t.Error(got)
	}
	for _, asked := range []string{"&timezone=America/Lima", "&options=-c%20timezone%3DAmerica/Lima"} {
		c := k.connect(asked)
		shows(c, "America/Lima")
		exec(t, c, "SET timezone = 'UTC'")
		shows(c, "UTC")
		exec(t, c, "RESET timezone")
		shows(c, "America/Lima")
	}
	exec(t, first, "ALTER DATABASE db RESET timezone")
	shows(k.connect(""), "Asia/Tokyo")

	t.Run("as psql lists it", func(t *testing.T) {
		// What psql 15 asks for \drds.
		const drds = `SELECT rolname AS "Role", datname AS "Database",
pg_catalog.array_to_string(setconfig, E'\n') AS "Settings"
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_database d ON d.oid = setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole
WHERE d.datname OPERATOR(pg_catalog.~) '^(db)$' COLLATE pg_catalog.default
ORDER BY 1, 2`
		exec(t, first, `ALTER DATABASE db SET my.own = 'a "b", c'`)
		var role *string
		var database, config string
		if err := first.QueryRow(context.Background(), drds).Scan(&role, &database, &config); err != nil {
			t.Fatal(err)
		}
		if want := "bop.durability=async\nmy.own=a \"b\", c"; role != nil || database != "db" || config != want {
			t.Errorf("%v, %s, %q", role, database, config)
		}
		// And pg_dump --create.
		const dumped = `SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = $1) ORDER BY 1 LIMIT 1`
		if got := one[string](t, first, dumped, "db"); got != "bop.durability=async" {
			t.Error(got)
		}
	})
}

func TestWhoServesIsDecidedByWhatTheDatabaseSaysOfReads(t *testing.T) {
	greeted := make(chan handoff.Greeting, 1)
	k := startConfigured(t, pgwire.Options{Route: func(_ context.Context, g handoff.Greeting) (net.Conn, error) {
		greeted <- g
		return nil, nil
	}}, map[string]string{"bop.read_consistency": "leader"})
	admin := k.connect("")
	<-greeted
	exec(t, admin, "ALTER DATABASE db SET bop.read_consistency = 'stale(10s)'")
	for _, c := range []struct{ name, rest, want string }{
		{"a database that lets reads be stale", "", "stale(10s)"},
		{"a client that wants others, by an option", "&options=-c%20bop.read_consistency%3Dlinearizable", "linearizable"},
		{"a client that wants others, by a parameter", "&bop.read_consistency=linearizable", "linearizable"},
		{"a database that says nothing", "&database=other", "leader"},
		{"a database that isn't there", "&database=none", "leader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), k.url(c.rest))
			if err != nil {
				wantState(t, err, "3D000")
			}
			if g := <-greeted; g.Consistency != c.want {
				t.Errorf("%+v", g)
			}
			if err != nil {
				return
			}
			defer conn.Close(context.Background())
			if got := one[string](t, conn, "SHOW bop.read_consistency"); got != c.want {
				t.Error(got)
			}
		})
	}
}
