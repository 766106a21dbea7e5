package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
)

// member is a server of a cluster as sessions see it, over a folder of files.
type member struct {
	engine.Engine
	leader atomic.Value // string: who leads; "": this server
	fresh  func(context.Context, engine.Consistency) error
	gate   func() error // of commits; nil: they succeed
	mu     sync.Mutex
	asked  []engine.Consistency // guarded by mu
}

func (m *member) Writable() (bool, string) {
	leader, _ := m.leader.Load().(string)
	return leader == "", leader
}

func (m *member) Database(ctx context.Context, name string) (engine.Database, error) {
	db, err := m.Engine.Database(ctx, name)
	return memberDB{db, m}, err
}

type memberDB struct {
	engine.Database
	m *member
}

func (d memberDB) Fresh(ctx context.Context, c engine.Consistency) error {
	d.m.mu.Lock()
	d.m.asked = append(d.m.asked, c)
	d.m.mu.Unlock()
	if d.m.fresh == nil {
		return nil
	}
	return d.m.fresh(ctx, c)
}

func (d memberDB) Borrow(ctx context.Context) (engine.Conn, error) {
	c, err := d.Database.Borrow(ctx)
	return memberConn{c, d.m}, err
}

type memberConn struct {
	engine.Conn
	m *member
}

func (c memberConn) Gate(ctx context.Context) error {
	if c.m.gate != nil {
		return c.m.gate()
	}
	return c.Conn.Gate(ctx)
}

// connections is how many there are for the sessions of a member.
const connections = 8

func startMember(t *testing.T, o session.Options) (*kit, *member) {
	t.Helper()
	files, err := filedb.Open(t.TempDir(), filedb.Options{MaxConns: connections})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	if err := files.CreateDatabase(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
	m := &member{Engine: files}
	o.Engine = m
	s, err := session.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &kit{t, s}, m
}

func TestReadsAreAsFreshAsTheSessionAsks(t *testing.T) {
	k, m := startMember(t, session.Options{})
	pg, my := k.open(ir.Postgres), k.open(ir.MySQL)
	pg.want("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'); CREATE SEQUENCE s", "CREATE TABLE\nINSERT 0 1\nCREATE SEQUENCE")
	for _, c := range []struct {
		name  string
		x     *client
		texts []string
		asked int // by the last text
	}{
		{"a read asks once", pg, []string{"SELECT v FROM t"}, 1},
		{"so does one by way of a subquery", pg, []string{"SELECT (SELECT count(*) FROM t)"}, 1},
		{"so does one of a sequence", pg, []string{"SELECT last_value FROM s"}, 1},
		{"so does COPY TO", pg, []string{"COPY t TO STDOUT"}, 1},
		{"each read of a read committed transaction asks, as each has a snapshot of its own", pg,
			[]string{"BEGIN", "SELECT v FROM t", "SELECT v FROM t"}, 1},
		{"a transaction that has its snapshot doesn't ask again", pg,
			[]string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT v FROM t", "SELECT v FROM t"}, 0},
		{"the first statement of one that keeps its snapshot asks, whatever it reads", pg,
			[]string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"}, 1},
		{"a writer stands on what is newest", pg, []string{"BEGIN", "UPDATE t SET v = 'two'", "SELECT v FROM t"}, 0},
		{"what reads nothing that is stored doesn't ask", pg, []string{"SELECT 1, now(), pg_is_in_recovery()"}, 0},
		{"nor does SHOW", pg, []string{"SHOW transaction_read_only"}, 0},
		{"nor does SET", pg, []string{"SET bop.read_consistency = linearizable"}, 0},
		{"nor does a variable of MySQL", my, []string{"SELECT @@read_only"}, 0},
		{"MySQL's reads ask", my, []string{"SELECT v FROM t"}, 1},
		{"MySQL's transactions ask once", my, []string{"BEGIN", "SELECT v FROM t", "SELECT v FROM t"}, 0},
	} {
		for _, text := range c.texts {
			m.asked = nil
			if _, err := c.x.try(text); err != nil {
				t.Fatalf("%s: %s: %v", c.name, text, err)
			}
		}
		if len(m.asked) != c.asked {
			t.Errorf("%s: asked %v", c.name, m.asked)
		}
		c.x.want("ROLLBACK", "ROLLBACK")
	}
	pg.want("SET bop.read_consistency = 'stale(1500ms)'; SELECT v FROM t", "SET\none")
	if c := m.asked[len(m.asked)-1]; c.Level != engine.StaleReads || c.MaxAge.String() != "1.5s" {
		t.Errorf("%+v", c)
	}
}

func TestReadsThatCannotBeFreshAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		leader string
		state  string
		number uint16
		words  string
	}{
		{"here, and the leader is named", fmt.Errorf("asked: %w", engine.ErrReadOnly), "n2", "25006", 1290, "cannot read linearizable: this server follows; n2 leads"},
		{"here, where no leader is known", engine.ErrReadOnly, "", "25006", 1290, "cannot read linearizable: this server follows and no leader is known at present"},
		{"for now", fmt.Errorf("2 of 3 are needed: %w", engine.ErrUnavailable), "", "57P03", 1105, "the database is not available"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, m := startMember(t, session.Options{})
			pg, my := k.open(ir.Postgres), k.open(ir.MySQL)
			pg.want("CREATE TABLE t (id int)", "CREATE TABLE")
			m.leader.Store(c.leader)
			m.fresh = func(_ context.Context, asked engine.Consistency) error {
				if asked.Level == engine.StaleReads {
					return nil
				}
				return c.err
			}
			if e := pg.fails("SELECT id FROM t", c.state); e.Message != c.words {
				t.Error(e.Message)
			}
			if e := my.fails("SELECT id FROM t", c.state); e.Number != c.number {
				t.Errorf("%+v", e)
			}
			pg.want("SELECT 1", "1")
			pg.want("SET bop.read_consistency = stale; SELECT count(*) FROM t", "SET\n0")
		})
	}
}

func TestReadsDoNotHoldAConnectionWhileTheyWait(t *testing.T) {
	k, m := startMember(t, session.Options{})
	k.open(ir.Postgres).want("CREATE TABLE t (id int)", "CREATE TABLE")
	waits, goOn := make(chan struct{}, 2*connections), make(chan struct{})
	const readers = 2 * connections
	clients := make([]*client, readers)
	for i := range clients {
		clients[i] = k.open(ir.Postgres)
		clients[i].want("SET bop.read_consistency = leader", "SET")
	}
	other := k.open(ir.Postgres)
	var asked atomic.Int64
	m.fresh = func(_ context.Context, c engine.Consistency) error {
		if c.Level == engine.LeaderReads && asked.Add(1) <= readers {
			waits <- struct{}{}
			<-goOn
		}
		return nil
	}
	done := make(chan error, readers)
	for _, x := range clients {
		go func() {
			_, err := x.try("SELECT id FROM t")
			done <- err
		}()
	}
	for range readers {
		<-waits
	}
	other.want("INSERT INTO t VALUES (1)", "INSERT 0 1")
	close(goOn)
	for range readers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWhatAServerThatCatchesUpHasGotIsPlannedAgain(t *testing.T) {
	k, m := startMember(t, session.Options{})
	x, leader := k.open(ir.Postgres), k.open(ir.Postgres)
	x.want("SET bop.read_consistency = 'stale(1s)'", "SET")
	m.fresh = func(_ context.Context, c engine.Consistency) error {
		if c.Level == engine.StaleReads {
			m.fresh = nil
			leader.want("CREATE TABLE late (id int); INSERT INTO late VALUES (7)", "CREATE TABLE\nINSERT 0 1")
		}
		return nil
	}
	x.want("SELECT id FROM late", "7")
	x.fails("SELECT id FROM never", "42P01")
}

func TestAServerThatFollowsSaysSo(t *testing.T) {
	k, m := startMember(t, session.Options{})
	pg, my := k.open(ir.Postgres), k.open(ir.MySQL)
	pg.want("CREATE TABLE t (id int)", "CREATE TABLE")
	answers := func(on, one, recovers string) {
		t.Helper()
		pg.want("SHOW in_hot_standby", on)
		pg.want("SHOW transaction_read_only", on)
		pg.want("SHOW default_transaction_read_only", on)
		pg.want("SELECT pg_is_in_recovery()", recovers)
		my.want("SELECT @@read_only, @@super_read_only, @@transaction_read_only", strings.Join([]string{one, one, one}, "|"))
	}
	answers("off", "0", "f")
	m.leader.Store("n2")
	answers("on", "1", "t")

	for text, verb := range map[string]string{
		"INSERT INTO t VALUES (1)": "INSERT", "UPDATE t SET id = 2": "UPDATE", "DELETE FROM t": "DELETE", "create  table u (id int)": "CREATE TABLE",
		"DROP TABLE t": "DROP TABLE", "TRUNCATE t": "TRUNCATE TABLE", "COPY t FROM STDIN": "COPY FROM", "-- why\nCREATE INDEX i ON t (id)": "the statement",
		"ANALYZE t": "ANALYZE", "BEGIN; INSERT INTO t VALUES (1)": "INSERT",
	} {
		if e := pg.fails(text, "25006"); e.Message != "cannot execute "+verb+": this server follows; n2 leads" {
			t.Errorf("%s: %s", text, e.Message)
		}
		pg.try("ROLLBACK")
	}
	if e := my.fails("INSERT INTO t VALUES (1)", "25006"); e.Number != 1290 || !strings.Contains(e.MyMessage, "n2 leads") {
		t.Errorf("%+v", e)
	}
	pg.want("SET default_transaction_read_only = off; SHOW default_transaction_read_only", "SET\noff")
	pg.fails("INSERT INTO t VALUES (1)", "25006")
	m.leader.Store("")
	answers("off", "0", "f")
	pg.want("INSERT INTO t VALUES (1)", "INSERT 0 1")
}

func TestSessionsBeginWithTheServersConsistency(t *testing.T) {
	k, m := startMember(t, session.Options{Defaults: map[string]string{"bop.read_consistency": " Stale(10s) "}})
	pg, my := k.open(ir.Postgres), k.open(ir.MySQL)
	pg.want("SHOW bop.read_consistency", "stale(10s)")
	my.want("SELECT @@bop.read_consistency", "stale(10s)")
	pg.want("CREATE TABLE t (id int); SELECT count(*) FROM t", "CREATE TABLE\n0")
	if c := m.asked[len(m.asked)-1]; c.Level != engine.StaleReads || c.MaxAge.Seconds() != 10 {
		t.Errorf("%+v", c)
	}
	pg.want("SET bop.read_consistency = linearizable; SHOW bop.read_consistency", "SET\nlinearizable")
	pg.want("RESET bop.read_consistency; SHOW bop.read_consistency", "RESET\nstale(10s)")
	if _, err := session.NewServer(session.Options{Engine: m, Defaults: map[string]string{"bop.read_consistency": "often"}}); err == nil || !strings.Contains(err.Error(), "often") {
		t.Error(err)
	}
}

func TestWhatACommitsEndIsTold(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     error
		state   string
		number  uint16
		myState string
	}{
		{"nobody knows whether it happened", engine.ErrOutcomeUnknown, "08007", 1180, "08007"},
		{"what it stood on is gone", engine.ErrSerialization, "40001", 1213, ""},
		{"this server doesn't lead any more", engine.ErrReadOnly, "25006", 1290, ""},
		{"there is no quorum", engine.ErrUnavailable, "57P03", 1105, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, m := startMember(t, session.Options{})
			k.open(ir.Postgres).want("CREATE TABLE t (id int)", "CREATE TABLE")
			m.gate = func() error { return fmt.Errorf("committing: %w", c.err) }
			for _, d := range []ir.Dialect{ir.Postgres, ir.MySQL} {
				x := k.open(d)
				for _, text := range []string{"INSERT INTO t VALUES (1)", "BEGIN; INSERT INTO t VALUES (2); COMMIT"} {
					if d == ir.MySQL {
						text = strings.TrimPrefix(text, "BEGIN; ")
					}
					e := x.fails(text, c.state)
					if e.Number != c.number || e.MyState != c.myState || !errors.Is(e, c.err) {
						t.Errorf("%v: %s: %+v", d, text, e)
					}
					if x.InTransaction() {
						t.Errorf("%v: %s: the transaction is still open", d, text)
					}
				}
			}
		})
	}
}

func TestDemotedEndsWhatOnlyALeaderServes(t *testing.T) {
	k, _ := startMember(t, session.Options{})
	ended := make(chan *sqlerr.Error, 8)
	open := func(consistency string, reign uint64) *client {
		t.Helper()
		x, err := k.server.Open(context.Background(), session.Config{User: "ada", Database: "db", Reign: reign,
			Params: map[string]string{"bop.read_consistency": consistency}, Terminate: func(e *sqlerr.Error) { ended <- e }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(x.Close)
		return &client{k, x}
	}
	reign := k.server.Reign()
	stale, fresh := open("stale(1m)", reign), open("linearizable", reign)
	fresh.want("BEGIN; CREATE TABLE t (id int)", "BEGIN\nCREATE TABLE")
	k.server.Demoted()
	if e := <-ended; e.State != "57P01" || e.Number != 1053 || len(ended) != 0 {
		t.Fatalf("%+v and %d more", e, len(ended))
	}
	stale.want("SELECT 1", "1")
	fresh.want("COMMIT", "COMMIT") // what runs gets its answer; the protocol ends the connection behind it

	open("stale", reign)
	open("linearizable", k.server.Reign())
	open("linearizable", 0)
	if len(ended) != 0 {
		t.Fatal("a session was ended that had no reason to be")
	}
	open("leader", reign) // it was decided before that this server serves it
	if e := <-ended; e.State != "57P01" {
		t.Fatalf("%+v", e)
	}
}
