package session_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// configured is an engine that keeps settings in memory.
type configured struct {
	engine.Engine
	leader string // "": this server
	mu     sync.Mutex
	all    map[string]map[string]string
}

func (c *configured) Writable() (bool, string) { return c.leader == "", c.leader }

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

// configuredKit is a server on it, with the databases db and other.
type configuredKit struct {
	*kit
	configured *configured
}

func (k configuredKit) connect(d ir.Dialect, database string, params map[string]string) *client {
	k.Helper()
	x, err := k.server.Open(k.Context(), session.Config{Dialect: d, User: "ada", Database: database, Params: params})
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(x.Close)
	return &client{k.kit, x}
}

func startConfigured(t *testing.T, o session.Options) configuredKit {
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
	c := &configured{Engine: files, all: map[string]map[string]string{}}
	o.Engine = c
	s, err := session.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return configuredKit{&kit{t, s}, c}
}

func TestADatabaseSaysWhatVariablesAreForItsSessions(t *testing.T) {
	k := startConfigured(t, session.Options{Defaults: map[string]string{"bop.durability": "local", "bop.read_consistency": "leader"}})
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
		k.connect(ir.Postgres, "db", map[string]string{"timezone": "Asia/Tokyo"}).want("SHOW timezone", "Asia/Tokyo")
	})
	t.Run("RESET and DISCARD ALL go back to what the client set as it connected", func(t *testing.T) {
		x := k.connect(ir.Postgres, "db", map[string]string{"timezone": "Asia/Tokyo", "bop.read_consistency": "stale"})
		x.want("SET timezone = 'UTC'; RESET timezone; SHOW timezone", "SET\nRESET\nAsia/Tokyo")
		x.want("SET bop.read_consistency = leader; DISCARD ALL; SHOW bop.read_consistency", "SET\nDISCARD ALL\nstale")
	})
	t.Run("and so does MySQL's COM_RESET_CONNECTION, for what decided who serves the client", func(t *testing.T) {
		x := k.connect(ir.MySQL, "other", map[string]string{"bop.read_consistency": "stale", "character_set_client": "latin1"})
		x.want("SELECT @@bop.read_consistency, @@character_set_client; SET bop.read_consistency = leader", "stale|latin1\nSET")
		if err := x.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.want("SELECT @@bop.read_consistency, @@character_set_client", "stale|utf8mb4")
	})
	t.Run("MySQL's clients get this server's own alone, on whatever database they come to", func(t *testing.T) {
		x := k.open(ir.MySQL)
		x.want("SELECT @@bop.durability, @@time_zone", "async|SYSTEM")
		x.want("USE other; SELECT @@bop.durability", "USE\nlocal")
	})
	t.Run("another database has none of it", func(t *testing.T) {
		k.connect(ir.Postgres, "other", nil).want("SHOW bop.durability; SHOW timezone", "local\nUTC")
	})
	t.Run("the catalog has it, as psql's \\drds reads it", func(t *testing.T) {
		admin.want(`SELECT datname, setrole, setconfig FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase`,
			`db|0|{bop.durability=async,bop.read_consistency=stale(10s),"my.own=x y","search_path=a, public",TimeZone=Europe/Berlin}`)
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
		for text, want := range map[string]struct{ state, words string }{
			"ALTER DATABASE none SET nothing = 1":                                            {"3D000", `database "none" does not exist`},
			"ALTER DATABASE none RESET ALL":                                                  {"3D000", `database "none" does not exist`},
			"ALTER DATABASE db SET nothing = 1":                                              {"42704", `unrecognized configuration parameter "nothing"`},
			"ALTER DATABASE db RESET nothing":                                                {"42704", `unrecognized configuration parameter "nothing"`},
			"ALTER DATABASE db SET my.unset FROM CURRENT":                                    {"42704", `unrecognized configuration parameter "my.unset"`},
			"ALTER DATABASE db SET TRANSACTION ISOLATION LEVEL READ COMMITTED":               {"42704", `unrecognized configuration parameter "TRANSACTION"`},
			"ALTER DATABASE db SET bop.nothing = 1":                                          {"42602", `invalid configuration parameter name "bop.nothing"`},
			`ALTER DATABASE db SET "my own.x=" = 1`:                                          {"42602", `invalid configuration parameter name "my own.x="`},
			"ALTER DATABASE db SET timezone = 'Nowhere'":                                     {"22023", `invalid value for parameter "TimeZone": "Nowhere"`},
			"ALTER DATABASE db SET timezone TO a, b":                                         {"22023", "SET timezone takes only one argument"},
			"ALTER DATABASE db SET bop.durability = 'never'":                                 {"22023", `invalid value for parameter "bop.durability": "never"`},
			"ALTER DATABASE db SET bop.read_consistency = 'soon'":                            {"22023", `invalid value for parameter "bop.read_consistency": "soon"`},
			"ALTER DATABASE db SET bop.wait_for_txid = 1":                                    {"55P02", `parameter "bop.wait_for_txid" cannot be changed`},
			"ALTER DATABASE db SET bop.traceparent = 'x'":                                    {"55P02", `parameter "bop.traceparent" cannot be changed`},
			"ALTER DATABASE db SET server_version = '9'":                                     {"55P02", `parameter "server_version" cannot be changed`},
			"ALTER DATABASE db SET transaction_isolation = 'serializable'":                   {"55P02", `parameter "transaction_isolation" cannot be changed`},
			"BEGIN; ALTER DATABASE db SET timezone = 'UTC'":                                  {"25001", "ALTER DATABASE SET cannot run inside a transaction block"},
			"SET default_transaction_read_only = on; ALTER DATABASE db SET timezone = 'UTC'": {"25006", "cannot execute ALTER DATABASE in a read-only transaction"},
		} {
			if e := k.open(ir.Postgres).fails(text, want.state); e.Message != want.words {
				t.Errorf("%s: %s", text, e.Message)
			}
		}
		admin.want("SELECT count(*) FROM pg_db_role_setting", "0")
		if e := admin.fails("ALTER DATABASE db SET bop.durability = 'never'", "22023"); e.Hint != "Available values: quorum, local, async." {
			t.Error(e.Hint)
		}
	})
}

func TestAnEngineThatKeepsNoSettingsSaysSo(t *testing.T) {
	start(t).open(ir.Postgres).fails("ALTER DATABASE db SET timezone = 'UTC'", "0A000")
}

func TestWhatADatabaseSaysHolds(t *testing.T) {
	k := startConfigured(t, session.Options{})
	admin := k.open(ir.Postgres)
	admin.want("CREATE TABLE t (id int)", "CREATE TABLE")
	is := func(settings string) {
		t.Helper()
		admin.want("ALTER DATABASE db RESET ALL", "ALTER DATABASE")
		for set := range strings.SplitSeq(settings, "; ") {
			admin.want("ALTER DATABASE db SET "+set, "ALTER DATABASE")
		}
	}
	t.Run("transactions only read", func(t *testing.T) {
		is("default_transaction_read_only = on")
		x := k.open(ir.Postgres)
		x.want("SHOW default_transaction_read_only; SHOW transaction_read_only", "on\non")
		x.fails("INSERT INTO t VALUES (1)", "25006")
		x.fails("BEGIN; INSERT INTO t VALUES (1)", "25006")
		x.want("ROLLBACK; SET default_transaction_read_only = off; INSERT INTO t VALUES (1)", "ROLLBACK\nSET\nINSERT 0 1")
	})
	t.Run("transactions are isolated", func(t *testing.T) {
		is("default_transaction_isolation = 'serializable'")
		k.open(ir.Postgres).want("SHOW transaction_isolation; BEGIN; SHOW transaction_isolation", "serializable\nBEGIN\nserializable")
	})
	t.Run("a style keeps what a session doesn't name of it", func(t *testing.T) {
		admin.want("SET datestyle = 'German'", "SET") // no matter to the others
		is("datestyle = 'DMY'")
		x := k.open(ir.Postgres)
		x.want("SHOW datestyle; SET datestyle = 'SQL'; SHOW datestyle", "ISO, DMY\nSET\nSQL, DMY")
		admin.want("SELECT setconfig FROM pg_db_role_setting; RESET datestyle", "{DateStyle=DMY}\nRESET")
	})
	t.Run("the catalog tells who said it", func(t *testing.T) {
		is("statement_timeout = '7s'; timezone = 'Europe/Berlin'")
		x := k.connect(ir.Postgres, "db", map[string]string{"application_name": "report"})
		x.want("SET timezone = 'UTC'", "SET")
		x.want("SELECT name, setting, source, reset_val, boot_val FROM pg_settings WHERE name IN ('TimeZone', 'application_name', 'lock_timeout', 'statement_timeout') ORDER BY name",
			"TimeZone|UTC|session|Europe/Berlin|UTC\napplication_name|report|client|report|NULL\nlock_timeout|0|default|0|0\nstatement_timeout|7s|database|7s|0")
	})
	t.Run("a client is told what a rollback goes back to", func(t *testing.T) {
		is("timezone = 'Europe/Berlin'")
		told := map[string]string{}
		x, err := k.server.Open(t.Context(), session.Config{User: "ada", Database: "db", Changed: func(name, value string) { told[name] = value }})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		c := &client{k.kit, x}
		c.want("SET timezone = 'UTC'; BEGIN; RESET timezone", "SET\nBEGIN\nRESET")
		if told["TimeZone"] != "Europe/Berlin" {
			t.Error(told)
		}
		if c.want("ROLLBACK; SHOW timezone", "ROLLBACK\nUTC"); told["TimeZone"] != "UTC" {
			t.Error(told)
		}
	})
	t.Run("MySQL's clients see it in MySQL's way, and lose it with the database", func(t *testing.T) {
		is("bop.strict_reads = on; timezone = 'Europe/Berlin'; lc_messages = 'de_DE.UTF-8'")
		x := k.open(ir.MySQL)
		x.want("SELECT @@bop.strict_reads, @@time_zone, @@lc_messages", "1|SYSTEM|en_US")
		x.want("SHOW WARNINGS", "")
		x.want("USE other; SELECT @@bop.strict_reads; USE db; SELECT @@bop.strict_reads", "USE\n0\nUSE\n1")
		x.want("SET bop.strict_reads = 0; USE other; USE db; SELECT @@bop.strict_reads", "SET\nUSE\nUSE\n0") // its own goes with it
		gone := k.connect(ir.MySQL, "other", nil)
		admin.want("ALTER DATABASE other SET bop.durability = async", "ALTER DATABASE")
		gone.want("USE db; USE other; SELECT @@bop.durability", "USE\nUSE\nasync")
		x.want("USE db", "USE")
		gone.want("DROP DATABASE other; SELECT @@bop.durability", "DROP DATABASE\nquorum")
	})
}

func TestSettingsThatAreNotUnderstoodLockNobodyOut(t *testing.T) {
	k := startConfigured(t, session.Options{Defaults: map[string]string{"bop.durability": "local"}})
	k.configured.all["db"] = map[string]string{"bop.durability": "never", "bop.read_consistency": "soon", "bop.newer": "1", "timezone": "Europe/Berlin"}
	var warned []string
	x, err := k.server.Open(t.Context(), session.Config{User: "ada", Database: "db", Notice: func(e *sqlerr.Error) { warned = append(warned, e.Severity+" "+e.State) }})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if got := strings.Join(warned, ", "); got != "WARNING 22023, WARNING 42602, WARNING 22023" {
		t.Error(got)
	}
	c := &client{k.kit, x}
	c.want("SHOW bop.durability; SHOW bop.read_consistency; SHOW timezone", "local\nlinearizable\nEurope/Berlin")
	if got := k.server.Consistency(t.Context(), "", "db"); got != "" {
		t.Errorf("routed by %q", got)
	}
	c.want("ALTER DATABASE db RESET ALL; SELECT count(*) FROM pg_db_role_setting", "ALTER DATABASE\n0")
}

func TestAServerThatFollowsChangesNoSettings(t *testing.T) {
	k := startConfigured(t, session.Options{})
	k.configured.leader = "n2"
	e := k.open(ir.Postgres).fails("ALTER DATABASE db SET timezone = 'UTC'", "25006")
	if e.Message != "cannot execute ALTER DATABASE: this server follows; n2 leads" {
		t.Error(e.Message)
	}
}

func TestAServersDefaultsAreOfEachDialect(t *testing.T) {
	k := startConfigured(t, session.Options{Defaults: map[string]string{
		"TimeZone": "Europe/Berlin", "time_zone": "+02:00", "bop.strict_reads": "on", "default_transaction_read_only": "on",
		"transaction_isolation": "READ-COMMITTED", "innodb_lock_wait_timeout": "7", "my.own": "x",
	}})
	k.open(ir.Postgres).want("SHOW timezone; SHOW bop.strict_reads; SHOW my.own; SHOW transaction_read_only; SHOW transaction_isolation",
		"Europe/Berlin\non\nx\non\nread committed")
	k.open(ir.MySQL).want("SELECT @@time_zone, @@bop.strict_reads, @@transaction_isolation, @@innodb_lock_wait_timeout", "+02:00|1|READ-COMMITTED|7")
	k.open(ir.MySQL).want("SHOW GLOBAL VARIABLES LIKE 'time_zone'", "time_zone|+02:00")
}

func TestAServersDefaultsAreChecked(t *testing.T) {
	for _, c := range []struct{ name, value, words string }{
		{"bop.durability", "never", "quorum, local, async"},
		{"bop.read_consistency", "soon", "linearizable, leader, stale"},
		{"bop.nothing", "1", "bop.nothing"},
		{"bop.wait_for_txid", "1", "cannot be changed"},
		{"nothing", "1", "unrecognized"},
		{"server_version", "9", "cannot be changed"},
		{"foreign_key_checks", "0", "cannot be changed"},
		{"time_zone", "Nowhere", "Nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := session.NewServer(session.Options{Engine: &configured{}, Defaults: map[string]string{c.name: c.value}})
			if err == nil || !strings.Contains(err.Error(), c.name) || !strings.Contains(err.Error(), c.words) {
				t.Error(err)
			}
		})
	}
}
