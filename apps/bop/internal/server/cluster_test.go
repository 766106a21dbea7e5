package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bop-platform/bop/apps/bop/internal/cluster"
	"github.com/bop-platform/bop/modules/sqlite"
)

// scan reads one value of a row.
func scan[T any](t *testing.T, c *pgx.Conn, query string) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestThreeServersAreOne(t *testing.T) {
	f := newFleet(t, 3, nil)
	leader, follower := f.leader(), f.follower()
	exec(t, f.nodes[leader].connect(), "CREATE TABLE t (id int PRIMARY KEY)")
	open := func(name, more string) *pgx.Conn {
		t.Helper()
		c, err := pgx.Connect(t.Context(), "postgres://ada@"+f.nodes[name].PG+"/bop?sslmode=disable"+more)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	t.Run("a client may connect to any", func(t *testing.T) {
		c := open(follower, "")
		exec(t, c, "INSERT INTO t VALUES (1)")
		if got := scan[int](t, open(leader, ""), "SELECT count(*) FROM t"); got != 1 {
			t.Error(got)
		}
		if c.PgConn().ParameterStatus("in_hot_standby") != "off" {
			t.Error("a connection that was passed on to the leader takes itself for a follower's")
		}
	})
	t.Run("libpq's way to find the server that takes writes works", func(t *testing.T) {
		c, err := pgx.Connect(t.Context(), f.url("&target_session_attrs=read-write"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		exec(t, c, "INSERT INTO t VALUES (2)")
	})
	t.Run("a follower serves who takes what it has, and refuses writes by the leader's name", func(t *testing.T) {
		c := open(follower, "&options=-c%20bop.read_consistency%3Dstale")
		if got := c.PgConn().ParameterStatus("in_hot_standby"); got != "on" {
			t.Error(got)
		}
		eventually(t, "it has the rows", func() bool { return scan[int](t, c, "SELECT count(*) FROM t") == 2 })
		_, err := c.Exec(t.Context(), "INSERT INTO t VALUES (3)")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "25006" || !strings.Contains(pg.Message, leader+" leads") {
			t.Error(err)
		}
	})
	t.Run("any of them tells who they are", func(t *testing.T) {
		for name := range f.nodes {
			s := f.status(name)
			if s.Leader != leader || len(s.Nodes) != 3 || s.Nodes[0].PG != f.nodes["n1"].PG || !s.Writable {
				t.Errorf("%s: %+v", name, s)
			}
		}
	})
	t.Run("leadership is handed over, and no session hears of it but by its end", func(t *testing.T) {
		w := f.write()
		c := open(leader, "")
		if err := f.change(leader, http.MethodPost, "/transfer", map[string]string{"to": follower}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the session ends", func() bool {
			_, err := c.Exec(t.Context(), "SELECT 1")
			var pg *pgconn.PgError
			return errors.As(err, &pg) && pg.Code == "57P01"
		})
		eventually(t, "the other one leads", func() bool { return f.leader() == follower })
		w.goesOn()
		w.end()
	})
	t.Run("nodes that there aren't can't be changed", func(t *testing.T) {
		for what, err := range map[string]error{
			"remove":   f.remove("n1", "n9"),
			"promote":  f.change("n1", http.MethodPost, "/nodes/n9/promote", struct{}{}),
			"transfer": f.change("n1", http.MethodPost, "/transfer", map[string]string{"to": "n9"}),
		} {
			if err == nil || !strings.Contains(err.Error(), "no such node in the cluster: n9; it has n1, n2, n3") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	t.Run("a node's name is taken", func(t *testing.T) {
		o := settings(t.TempDir())
		o.Node, o.Join, o.MySQL = leader, f.raft[follower], "off"
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "has a node "+leader+" already") {
			t.Error(err)
		}
	})
	t.Run("a folder belongs to one node", func(t *testing.T) {
		gone := f.follower()
		if err := f.stop(gone); err != nil {
			t.Fatal(err)
		}
		o := settings(f.dirs[gone])
		o.Node = "n9"
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "belongs to node "+gone+", not to n9") {
			t.Error(err)
		}
		f.start(gone, nil)
		f.settled()
	})
}

func TestANodeIsReplacedWithoutDowntime(t *testing.T) {
	f := newFleet(t, 3, nil)
	exec(t, f.nodes["n1"].connect(), "CREATE TABLE t (id int PRIMARY KEY)")
	old := f.leader() // the hardest one to do without
	w := f.write()
	w.goesOn()
	f.join("n4", f.follower())
	w.goesOn()
	if err := f.remove(f.follower(), old); err != nil {
		t.Fatal(err)
	}
	r := f.nodes[old]
	delete(f.nodes, old)
	var removed *cluster.RemovedError
	if err := r.ended(); !errors.As(err, &removed) {
		t.Errorf("the removed server's end: %v", err)
	}
	s := f.settled()
	if len(s.Nodes) != 3 || s.Nodes[2].ID != "n4" {
		t.Errorf("%+v", s)
	}
	w.goesOn()
	w.end()
	t.Run("the removed one doesn't come back with its old folder", func(t *testing.T) {
		o := settings(f.dirs[old])
		o.Node, o.Raft, o.Join = old, f.raft[old], f.raft["n4"]
		r := begin(t, o)
		if err := r.ended(); !errors.As(err, &removed) {
			t.Errorf("%v", err)
		}
		if s := f.settled(); len(s.Nodes) != 3 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("but with a new one", func(t *testing.T) {
		f.dirs[old] = f.t.TempDir()
		f.join(old, "n4")
	})
	t.Run("one that was away when it was removed learns of it when it comes back", func(t *testing.T) {
		away := f.follower()
		if err := f.stop(away); err != nil {
			t.Fatal(err)
		}
		if err := f.remove(f.anybody(), away); err != nil {
			t.Fatal(err)
		}
		r := f.begin(away, nil)
		delete(f.nodes, away)
		if err := r.ended(); !errors.As(err, &removed) {
			t.Errorf("%v", err)
		}
		f.settled()
	})
}

// anybody is the name of a server that runs.
func (f *fleet) anybody() string {
	for name := range f.nodes {
		return name
	}
	return ""
}

func TestARollingRestartLosesNothing(t *testing.T) {
	f := newFleet(t, 3, nil)
	exec(t, f.nodes["n1"].connect(), "CREATE TABLE t (id int PRIMARY KEY)")
	// Ports that stay: clients have a list of hosts.
	f.tune = func(o *Options) { o.PG = f.nodes[o.Node].PG }
	w := f.write()
	for _, name := range []string{"n1", "n2", "n3"} {
		w.goesOn()
		r := f.nodes[name]
		r.stop()
		if err := r.ended(); err != nil {
			t.Fatal(err)
		}
		f.start(name, nil)
		f.settled()
	}
	w.goesOn()
	w.end()
}

func TestAServerGrowsIntoACluster(t *testing.T) {
	f := &fleet{t: t, raft: map[string]string{}, dirs: map[string]string{"n1": t.TempDir()}, nodes: map[string]*running{}}
	// Written by the log of a single server, before there was Raft.
	h, err := sqlite.Open(t.Context(), sqlite.Options{Dir: f.dirs["n1"]})
	if err != nil {
		t.Fatal(err)
	}
	db, err := h.Create(t.Context(), FirstDatabase, sqlite.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context(), sqlite.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Raw().Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT; INSERT INTO t VALUES (-1), (-2)`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(), h.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	f.start("n1", nil)
	if got := scan[int](t, f.nodes["n1"].connect(), "SELECT count(*) FROM t"); got != 2 {
		t.Fatalf("%d rows", got)
	}
	exec(t, f.nodes["n1"].connect(), "DELETE FROM t")
	w := f.write()
	f.join("n2", "n1")
	w.goesOn()
	f.join("n3", "n2")
	w.goesOn()
	w.end()
	if err := f.stop("n1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the others go on", func() bool { return f.status("n2").Writable })
	exec(t, f.nodes["n2"].connect(), "INSERT INTO t VALUES (-3)")
	f.start("n1", nil)
	f.settled()
}

func TestALostMajority(t *testing.T) {
	f := newFleet(t, 3, nil)
	exec(t, f.nodes["n1"].connect(), "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	f.settled()
	for _, name := range []string{"n1", "n2"} {
		if err := f.stop(name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the survivor says why nothing can be written", func() bool {
		s := f.status("n3")
		return !s.Writable && s.Reason == "2 of 3 voters are needed, and n3 reaches 1: no answer from n1, n2"
	})
	if err := f.stop("n3"); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Rescue(t.Context(), f.dirs["n3"], f.logger()); err != nil {
		t.Fatal(err)
	}
	f.start("n3", nil)
	exec(t, f.nodes["n3"].connect(), "INSERT INTO t VALUES (2)")
	f.dirs["n1"], f.dirs["n2"] = t.TempDir(), t.TempDir()
	f.join("n1", "n3")
	f.join("n2", "n1")
	if got := scan[int](t, f.nodes["n2"].connect(), "SELECT count(*) FROM t"); got != 2 {
		t.Errorf("%d rows", got)
	}
}
