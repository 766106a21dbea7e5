package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bop-platform/bop/apps/bop/internal/cluster"
)

func TestServeRefusesToBeOpenToOtherMachines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"as one of a cluster without certificates", []string{"--raft", "0.0.0.0:0"},
			[]string{"--raft 0.0.0.0:0 is beyond loopback: give --peer-ca, --peer-cert and --peer-key"}},
		{"at the address that the list gives it", []string{"--node", "n1", "--initial-cluster", "n1=10.0.0.1:7071,n2=10.0.0.2:7071"},
			[]string{"--raft 10.0.0.1:7071 is beyond loopback", "--peer-ca"}},
		{"with some of the certificates' files", []string{"--raft", "0.0.0.0:0", "--peer-ca", file}, []string{"--peer-ca, --peer-cert and --peer-key belong together"}},
		{"to administrators without a token", []string{"--http", "0.0.0.0:0", "--tls-cert", file, "--tls-key", file},
			[]string{"--http 0.0.0.0:0 is beyond loopback: give --admin-token-file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			args := append([]string{"serve", "--data-dir", dir, "--pg", "127.0.0.1:0", "--mysql", "off", "--http", "off"}, c.args...)
			status, out, errs := command(t, args...)
			if status != 2 || out != "" {
				t.Errorf("%d %q", status, out)
			}
			for _, words := range c.says {
				if !strings.Contains(errs, words) {
					t.Errorf("no %q in %q", words, errs)
				}
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("it made the data folder all the same")
			}
		})
	}
}

// trio are three servers that have begun a cluster together. What is done to it comes in order.
type trio struct {
	t    *testing.T
	n    [3]*member
	list string   // --initial-cluster
	peer []string // flags of each for the others
}

func TestAClusterThatKnowsItsServersByTheirCertificates(t *testing.T) {
	ca := newAuthority(t)
	c := &trio{t: t}
	var list []string
	for i, name := range []string{"n1", "n2", "n3"} {
		c.n[i] = newMember(t, name)
		list = append(list, name+"="+c.n[i].raft)
	}
	c.list, c.peer = strings.Join(list, ","), ca.peer("server")
	for _, m := range c.n {
		m.begin(append(c.peer, "--initial-cluster", c.list, "--cluster-name", "shop")...)
	}
	for _, m := range c.n {
		m.serves()
	}
	c.n[0].whole(3)
	does(t, c.n[0].connect(""), "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")

	t.Run("status is a table with a sentence, or JSON, whoever is asked", c.status)
	t.Run("what can't be is refused in words", c.refusals)
	t.Run("a MySQL client says by an attribute that it takes what a follower has", c.attribute)
	t.Run("sessions on a leader that hands over end with 57P01, after their answers", c.handOver)
	t.Run("a learner has everything and no vote until it is promoted", c.learner)
	t.Run("impostors in a member's place are refused, and both sides say so", func(t *testing.T) { c.impostors(t, newAuthority(t)) })
	t.Run("without a majority one sentence says why nothing can be written", c.minority)
	t.Run("the survivor goes on alone with its data, and another server joins it", c.rescue)
}

// leader is the server that leads, and others are those that don't.
func (c *trio) leader() (leader *member, others []*member) {
	c.t.Helper()
	name := c.n[0].whole(3).Leader
	for _, m := range c.n {
		if m.name == name {
			leader = m
		} else {
			others = append(others, m)
		}
	}
	return leader, others
}

func (c *trio) status(t *testing.T) {
	leader, _ := c.leader()
	for _, m := range c.n {
		var lines []string
		eventually(t, m.name+" tells of all of them", func() bool { // they register when they begin to serve
			code, out, errs := command(t, "cluster", "status", "--http", m.HTTP)
			lines = strings.Split(strings.TrimSpace(out), "\n")
			if code != 0 || errs != "" || len(lines) != 6 {
				t.Fatalf("%d\n%s\n%s", code, out, errs)
			}
			for i, n := range c.n {
				want := []string{n.name, "follower", "yes", "0", n.raft, n.PG, n.MySQL, n.HTTP}
				if n == leader {
					want[1] = "leader"
				}
				if !slices.Equal(strings.Fields(lines[i+1]), want) {
					return false
				}
			}
			return true
		})
		if !strings.HasPrefix(lines[5], "Writes go to "+leader.name+" (term ") {
			t.Errorf("%s says %q", m.name, lines[5])
		}
		s := m.status()
		if s.Leader != leader.name || !s.Writable || s.Reason != "" || role(s, leader.name) != "leader" || len(s.Nodes) != 3 {
			t.Errorf("%s says %+v", m.name, s)
		}
	}
	if code, out, errs := command(t, "cluster", "status", "--http", c.n[1].HTTP, "--wait", "10s"); code != 0 || !strings.Contains(out, "Writes go to") {
		t.Errorf("--wait: %d %q %q", code, out, errs)
	}
}

func (c *trio) refusals(t *testing.T) {
	leader, others := c.leader()
	const unknown = "no such node in the cluster: n9; it has n1, n2, n3"
	for _, r := range []struct {
		name string
		args []string
		says string
	}{
		{"removing a node that there isn't", []string{"cluster", "remove", "n9"}, unknown},
		{"promoting one", []string{"cluster", "promote", "n9"}, unknown},
		{"handing over to one", []string{"cluster", "transfer", "n9"}, unknown},
		{"handing over to the leader itself", []string{"cluster", "transfer", leader.name}, leader.name + " leads already"},
	} {
		t.Run(r.name, func(t *testing.T) {
			for _, m := range c.n { // followers ask the leader
				code, out, errs := command(t, append(r.args, "--http", m.HTTP)...)
				if code != 1 || out != "" || !strings.Contains(errs, r.says) {
					t.Errorf("%s: %d %q %q", m.name, code, out, errs)
				}
			}
		})
	}
	t.Run("rescuing a folder that is in use", func(t *testing.T) {
		code, out, errs := command(t, "cluster", "rescue", "--yes", "--data-dir", others[0].dir)
		if code != 1 || out != "" || !strings.Contains(errs, "stop the server first") {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("rescuing a folder of no server", func(t *testing.T) {
		dir := t.TempDir()
		code, out, errs := command(t, "cluster", "rescue", "--yes", "--data-dir", dir)
		if code != 1 || out != "" || !strings.Contains(errs, dir+" is no data folder of a server that was in a cluster") {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("joining without a certificate", func(t *testing.T) {
		m := newMember(t, "n4")
		m.begin("--join", others[0].raft)
		m.says("joining failed, it is tried again", others[0].raft)
		others[0].says("raft: refused a connection", "tls:")
		m.end()
		if s := others[0].status(); len(s.Nodes) != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func (c *trio) attribute(t *testing.T) {
	leader, others := c.leader()
	follower := others[0]
	follower.whole(3)
	const name = "bop.read_consistency"
	stale := connectMySQL(t, follower.MySQL, name, "stale")
	if n, err := stale.query("SELECT count(*) FROM t"); err != nil || n != "1" {
		t.Errorf("%s, %v", n, err)
	}
	if v, err := stale.query("SELECT @@read_only"); err != nil || v != "1" {
		t.Errorf("it doesn't take itself for a follower's: %q, %v", v, err)
	}
	var refused *mysqlError
	if _, err := stale.query("INSERT INTO t VALUES (100)"); !errors.As(err, &refused) || refused.number != 1290 || !strings.Contains(refused.words, leader.name+" leads") {
		t.Errorf("a write: %v", err)
	}
	passed := connectMySQL(t, follower.MySQL, name, "linearizable")
	if _, err := passed.query("INSERT INTO t VALUES (101)"); err != nil {
		t.Errorf("a connection that is passed on to the leader: %v", err)
	}
	if _, err := passed.query("DELETE FROM t WHERE id = 101"); err != nil {
		t.Error(err)
	}
}

func (c *trio) handOver(t *testing.T) {
	leader, others := c.leader()
	const staleReads = "&options=-c%20bop.read_consistency%3Dstale"
	idle, busy, open := leader.connect(""), leader.connect(""), leader.connect("")
	passed, onFollower, onLeader := others[1].connect(""), others[1].connect(staleReads), leader.connect(staleReads)
	does(t, idle, "INSERT INTO t VALUES (2)", "SELECT pg_advisory_lock(1)")
	does(t, open, "BEGIN", "INSERT INTO t VALUES (200)")
	// The lock is let go when the idle session ends; the statement that waits for it is answered after that.
	limit, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		var seven int
		err := busy.QueryRow(limit, "SELECT 7 + length(pg_advisory_lock(1)::text)").Scan(&seven)
		if err == nil && seven != 7 {
			err = errors.New("not the right one")
		}
		answer <- err
	}()
	eventually(t, "the statement runs", func() bool {
		var n int
		err := idle.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT 7%'").Scan(&n)
		return err == nil && n == 1
	})
	if code, out, errs := command(t, "cluster", "transfer", others[0].name, "--http", others[1].HTTP); code != 0 || out != "leadership was handed over\n" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	if err := <-answer; err != nil {
		t.Errorf("the answer of the statement that ran: %v", err)
	}
	for who, conn := range map[string]*pgx.Conn{"an idle client": idle, "one that has its answer": busy, "one in a transaction": open, "one that a follower passed on": passed} {
		_, err := conn.WaitForNotification(limit)
		var told *pgconn.PgError
		if !errors.As(err, &told) || told.Code != "57P01" || told.Severity != "FATAL" {
			t.Errorf("%s was told %v", who, err)
		}
	}
	for who, conn := range map[string]*pgx.Conn{"a follower": onFollower, "the server that led": onLeader} {
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM t WHERE id = 1").Scan(&n); err != nil || n != 1 {
			t.Errorf("a client that takes what %s has doesn't go on: %d, %v", who, n, err)
		}
	}
	if now, _ := c.leader(); now != others[0] {
		t.Errorf("%s leads, not %s", now.name, others[0].name)
	}
	// A list of hosts finds the new leader, also among servers that answer for themselves.
	found := connect(t, []*member{leader, others[1], others[0]}, "&target_session_attrs=read-write"+staleReads)
	does(t, found, "INSERT INTO t VALUES (3)")
	if got := ids(t, found); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("rows %v", got)
	}
}

func (c *trio) learner(t *testing.T) {
	leader, others := c.leader()
	m := newMember(t, "n4")
	if code, out, errs := command(t, "cluster", "add", m.name, m.raft, "--learner", "--http", others[0].HTTP, "--json"); code != 0 || out != `{"done":"added n4"}`+"\n" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	m.begin(append(c.peer, "--join", others[0].raft)...)
	m.serves()
	if s := m.whole(4); role(s, m.name) != "learner" || s.Leader != leader.name {
		t.Fatalf("%+v", s)
	}
	stale := m.connect("&options=-c%20bop.read_consistency%3Dstale")
	if got := ids(t, stale); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("it has rows %v", got)
	}
	if code, out, errs := command(t, "cluster", "transfer", m.name, "--http", leader.HTTP); code != 1 || out != "" || !strings.Contains(errs, "n4 is a learner, and only voters can lead") {
		t.Errorf("leadership was handed over to it: %d %q %q", code, out, errs)
	}
	if s := m.whole(4); role(s, m.name) != "learner" {
		t.Errorf("it votes without a word: %+v", s)
	}
	if code, out, errs := command(t, "cluster", "promote", m.name, "--http", m.HTTP); code != 0 || out != "promoted n4\n" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	if s := m.whole(4); role(s, m.name) != "follower" {
		t.Errorf("%+v", s)
	}
	if code, out, errs := command(t, "cluster", "remove", m.name, "--http", leader.HTTP); code != 0 || out != "removed n4\n" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	if code := m.gone(); code != 1 {
		t.Errorf("it ended with %d", code)
	}
	m.says("bop: n4 was removed from its cluster", m.dir, "--join")
	leader.whole(3)
}

func (c *trio) impostors(t *testing.T, another *authority) {
	n1, n3 := c.n[0], c.n[2]
	if code := n3.end(); code != 0 {
		t.Fatalf("its end: %d", code)
	}
	eventually(t, "it is missed", func() bool { return missing(n1.status(), "n3") })
	if code, out, errs := command(t, "cluster", "transfer", "n3", "--http", n1.HTTP); code != 1 || out != "" || !strings.Contains(errs, "n3 can't be reached") {
		t.Errorf("it was made the leader: %d %q %q", code, out, errs)
	}
	for _, i := range []struct {
		name    string
		args    []string
		theirs  string // log
		members string
	}{
		{"a cluster of another name", append(c.peer, "--cluster-name", "stall"), "peer is of another cluster", "peer is of another cluster"},
		{"a certificate of another authority", append(another.peer("server"), "--cluster-name", "shop"), "certificate signed by unknown authority", "tls: "},
		{"one that trusts the authority of the others, and isn't trusted", append(slices.Concat(another.peer("guest"), c.peer[:2]), "--cluster-name", "shop"), "remote error: tls: ", "certificate signed by unknown authority"},
		{"no certificate", []string{"--cluster-name", "shop"}, "raft: peer can't be reached", "tls: "},
	} {
		t.Run(i.name, func(t *testing.T) {
			before := len(n1.log.text())
			m := newMember(t, "n3")
			m.raft = n3.raft
			m.begin(append(i.args, "--initial-cluster", c.list)...)
			m.says("raft: peer can't be reached", n1.raft, i.theirs)
			eventually(t, "n1 says so", func() bool {
				for line := range strings.Lines(n1.log.text()[before:]) {
					if strings.Contains(line, "raft: refused a connection") && strings.Contains(line, i.members) {
						return true
					}
				}
				return false
			})
			m.says("waiting for the other servers of the cluster")
			if s := n1.status(); !s.Writable || !missing(s, "n3") {
				t.Errorf("it counts as n3: %+v", s)
			}
			line := m.line
			if code := m.end(); code != 0 || len(line) > 0 {
				t.Errorf("its end: %d; %d lines say that it serves", code, len(line))
			}
		})
	}
	t.Run("a server with a cluster of its own", func(t *testing.T) {
		m := newMember(t, "n3")
		m.raft = n3.raft
		m.begin(c.peer...)
		m.serves()
		m.says("raft: refused a connection", "peer is of another cluster")
		if s := m.whole(1); s.Leader != "n3" {
			t.Errorf("%+v", s)
		}
		if code := m.end(); code != 0 {
			t.Errorf("its end: %d", code)
		}
		m.begin(append(c.peer, "--initial-cluster", c.list)...)
		if code := m.gone(); code != 1 {
			t.Errorf("it began another cluster with what it had: %d", code)
		}
		m.says("bop: ", m.dir, "belongs to a cluster that doesn't have n1, n2: --initial-cluster begins a cluster, and only where folders are empty")
	})
	n3.begin(append(c.peer, "--initial-cluster", c.list, "--cluster-name", "shop")...)
	n3.serves()
	n3.whole(3)
}

func (c *trio) minority(t *testing.T) {
	n3 := c.n[2]
	n3.whole(3)
	for _, m := range c.n[:2] {
		if code := m.end(); code != 0 {
			t.Fatalf("the end of %s: %d", m.name, code)
		}
	}
	const why = "2 of 3 voters are needed, and n3 reaches 1: no answer from n1, n2"
	eventually(t, "it is known", func() bool { return n3.status().Reason == why })
	refused := make(chan error, 1)
	go func() { // it takes a while until nobody is hoped for any more
		conn, err := pgx.Connect(context.Background(), "postgres://ada@"+n3.PG+"/bop?sslmode=disable")
		if err == nil {
			conn.Close(context.Background())
		}
		refused <- err
	}()
	code, out, errs := command(t, "cluster", "status", "--http", n3.HTTP)
	if code != 0 || errs != "" || !strings.HasSuffix(out, "\nWrites are unavailable: "+why+".\n") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	code, out, _ = command(t, "cluster", "status", "--http", n3.HTTP, "--json")
	var s struct {
		Writable *bool  `json:"writable"`
		Reason   string `json:"reason"`
		Leader   string `json:"leader"`
	}
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || s.Writable == nil || *s.Writable || s.Reason != why || s.Leader != "" {
		t.Errorf("%d %s", code, out)
	}
	code, out, errs = command(t, "cluster", "status", "--http", n3.HTTP, "--wait", "300ms")
	if code != 1 || !strings.Contains(out, why) || !strings.Contains(errs, "not after 300ms: writes are unavailable: "+why) {
		t.Errorf("--wait: %d %q %q", code, out, errs)
	}
	if code, _, errs := command(t, "cluster", "remove", "n1", "--http", n3.HTTP); code != 1 || errs == "" {
		t.Errorf("a node was removed by a minority: %d %q", code, errs)
	}
	if got := ids(t, n3.connect("&options=-c%20bop.read_consistency%3Dstale")); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("stale reads: %v", got)
	}
	var told *pgconn.PgError
	if err := <-refused; !errors.As(err, &told) || told.Code != "57P03" {
		t.Errorf("a client that may write was told %v", err)
	}
}

func (c *trio) rescue(t *testing.T) {
	n1, n2, n3 := c.n[0], c.n[1], c.n[2]
	if code := n3.end(); code != 0 {
		t.Fatalf("its end: %d", code)
	}
	if code, _, errs := command(t, "cluster", "rescue", "--data-dir", n3.dir); code != 1 || !strings.Contains(errs, "nothing was changed") {
		t.Errorf("without a yes: %d %q", code, errs)
	}
	code, out, errs := command(t, "cluster", "rescue", "--data-dir", n3.dir, "--yes", "--json")
	var r cluster.Rescued
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || r.Node != "n3" || r.Index == 0 || !slices.Equal(r.Lost, []string{"n1", "n2"}) {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	n3.begin(append(c.peer, "--initial-cluster", c.list, "--cluster-name", "shop")...)
	if code := n3.gone(); code != 1 {
		t.Errorf("it took the list of the old cluster: %d", code)
	}
	n3.begin(c.peer...)
	n3.serves()
	does(t, n3.connect(""), "INSERT INTO t VALUES (4)")

	// One of the lost servers comes back after all, in spite of the warning.
	n2.begin(append(c.peer, "--initial-cluster", c.list, "--cluster-name", "shop")...)
	n2.says("raft: peer can't be reached", n3.raft, "peer is of another cluster")
	n2.serves()
	if s := n2.status(); s.Writable || !strings.HasPrefix(s.Reason, "2 of 3 voters are needed, and n2 reaches 1") {
		t.Errorf("it counts n3 in: %+v", s)
	}
	if code := n2.end(); code != 0 {
		t.Errorf("its end: %d", code)
	}

	n1.dir = c.t.TempDir() // it runs longer than this subtest
	n1.begin(append(c.peer, "--join", n3.raft)...)
	n1.serves()
	s := n1.whole(2)
	if role(s, "n1") != "follower" || role(s, "n3") != "leader" {
		t.Errorf("%+v", s)
	}
	does(t, n1.connect(""), "INSERT INTO t VALUES (5)")
	if got := ids(t, n1.connect("")); !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
		t.Errorf("rows %v", got)
	}
	if res, err := http.Get("http://" + n1.HTTP + "/readyz"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", res, err)
	} else {
		res.Body.Close()
	}
}
