package pgwire_test

import (
	"context"
	"database/sql"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	_ "github.com/lib/pq"

	"github.com/bop-platform/bop/modules/wire/engine"
	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/handoff"
	"github.com/bop-platform/bop/modules/wire/pgwire"
)

// passesTo is a Route that passes every client on to another server, over loopback TCP.
func passesTo(t *testing.T, to *kit) handoff.Route {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				f, err := handoff.Read(conn)
				if err != nil {
					t.Error(err)
					return
				}
				to.server.ServeHandoff(conn, f)
			}()
		}
	}()
	return func(ctx context.Context, _ handoff.Greeting) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
	}
}

// follower is an engine of a server that follows while writable says so.
type follower struct {
	engine.Engine
	writable func() bool
}

func (f *follower) Writable() (bool, string) {
	if f.writable() {
		return true, ""
	}
	return false, "n3"
}

func startFollower(t *testing.T, writable func() bool) *kit {
	t.Helper()
	files, err := filedb.Open(t.TempDir(), filedb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	if err := files.CreateDatabase(context.Background(), "db"); err != nil {
		t.Fatal(err)
	}
	return startOn(t, &follower{files, writable}, pgwire.Options{})
}

// await waits until a query gives true.
func await(t *testing.T, c *pgx.Conn, query string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for ok := false; !ok; {
		if err := c.QueryRow(ctx, query, args...).Scan(&ok); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	lock    = "SELECT pg_advisory_lock(7)"
	waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query = '" + lock + "'"
)

func TestAServerThatShutsDownLetsPassedOnStatementsAnswer(t *testing.T) {
	serves := start(t, pgwire.Options{})
	passes := start(t, pgwire.Options{Route: passesTo(t, serves)})
	holder := serves.connect("")
	exec(t, holder, lock)
	client := passes.connect("")
	answered := make(chan error, 1)
	go func() {
		_, err := client.Exec(context.Background(), lock)
		answered <- err
	}()
	await(t, holder, waiting)
	down := make(chan error, 1)
	go func() { down <- passes.server.Shutdown(context.Background()) }()
	<-passes.done // Serve has returned: the clients are next
	exec(t, holder, "SELECT pg_advisory_unlock(7)")
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	await(t, holder, "SELECT count(*) = 1 FROM pg_stat_activity")
}

func TestAServerThatDoesNotLeadServesNobodyElsesClients(t *testing.T) {
	t.Run("but refuses them, and names the leader", func(t *testing.T) {
		passes := start(t, pgwire.Options{Route: passesTo(t, startFollower(t, func() bool { return false }))})
		_, err := pgx.Connect(context.Background(), passes.url(""))
		if e := wantState(t, err, "57P03"); !strings.Contains(e.Message, "n3") {
			t.Error(e.Message)
		}
	})
	t.Run("but for those that take stale reads", func(t *testing.T) {
		passes := start(t, pgwire.Options{Route: passesTo(t, startFollower(t, func() bool { return false }))})
		c := passes.connect("&options=-c%20bop.read_consistency%3Dstale")
		if got := c.PgConn().ParameterStatus("in_hot_standby") + c.PgConn().ParameterStatus("default_transaction_read_only"); got != "onon" {
			t.Error(got)
		}
		if _, err := c.Exec(context.Background(), "CREATE TABLE t (id int)"); err == nil {
			t.Error("a server that follows took a write")
		} else if e := wantState(t, err, "25006"); e.Message != "cannot execute CREATE TABLE: this server follows; n3 leads" {
			t.Error(e.Message)
		}
	})
	t.Run("and one that is about to lead lets them wait", func(t *testing.T) {
		var asked atomic.Int64
		passes := start(t, pgwire.Options{Route: passesTo(t, startFollower(t, func() bool { return asked.Add(1) > 3 }))})
		exec(t, passes.connect(""), "CREATE TABLE t (id int)")
	})
}

func TestShutdownDoesNotWaitForARoute(t *testing.T) {
	asked := make(chan struct{})
	k := start(t, pgwire.Options{Route: func(ctx context.Context, _ handoff.Greeting) (net.Conn, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	r := k.dial()
	r.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "ada", "database": "db"}})
	<-asked
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := k.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	r.want("E(FATAL 57P01)")
}

func TestAClientWithoutTLSIsNotPassedOnWhereItIsRequired(t *testing.T) {
	conf, _ := certificate(t)
	k := start(t, pgwire.Options{TLS: conf, RequireTLS: true, Route: func(context.Context, handoff.Greeting) (net.Conn, error) {
		t.Error("asked for a route")
		return nil, nil
	}})
	_, err := pgx.Connect(context.Background(), k.url(""))
	wantState(t, err, "28000")
}

func TestDemoted(t *testing.T) {
	t.Run("ends idle sessions at once and others when they have answered", func(t *testing.T) {
		k := start(t, pgwire.Options{})
		holder := k.connect("&options=-c%20bop.read_consistency%3Dstale")
		exec(t, holder, lock)
		idle, busy := k.raw(), k.raw()
		busy.send(&pgproto3.Query{String: lock})
		await(t, holder, waiting)
		k.sessions.Demoted()
		idle.want("E(FATAL 57P01)")
		exec(t, holder, "SELECT pg_advisory_unlock(7)")
		busy.want("T(pg_advisory_lock 25 0)", "D()", "C(SELECT 1)", "ZI", "E(FATAL 57P01)")
		exec(t, holder, "SELECT 1")
	})
	t.Run("and a pool connects again by itself", func(t *testing.T) {
		k := start(t, pgwire.Options{})
		db, err := sql.Open("postgres", k.url(""))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		count := func() (pid int) {
			t.Helper()
			if err := db.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
		before := count()
		k.sessions.Demoted()
		await(t, k.connect("&options=-c%20bop.read_consistency%3Dstale"), "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1", before)
		if after := count(); after == before {
			t.Error("the session is still the one from before")
		}
	})
}
