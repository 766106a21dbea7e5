package replica_test

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memnet"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/replica"
)

// patience is how long tests wait for what has to happen.
const patience = 30 * time.Second

// cluster is some servers in this process.
type cluster struct {
	t       *testing.T
	net     *memnet.Network
	voters  []raft.NodeID
	servers map[raft.NodeID]*server
	tune    func(*replica.Options, *sqlite.Options)
}

// server is one of them.
type server struct {
	c      *cluster
	id     raft.NodeID
	dir    string
	system *actor.ActorSystem
	log    *replica.Log
	host   *sqlite.Host
}

func newCluster(t *testing.T, n int, tune func(*replica.Options, *sqlite.Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, net: memnet.New(memnet.Options{}), servers: map[raft.NodeID]*server{}, tune: tune}
	for id := raft.NodeID(1); id <= raft.NodeID(n); id++ {
		c.voters = append(c.voters, id)
	}
	for _, id := range c.voters {
		c.start(id, c.voters...)
	}
	return c
}

// start starts a server, in the folder that it had before if there was one.
func (c *cluster) start(id raft.NodeID, voters ...raft.NodeID) *server {
	c.t.Helper()
	s := c.servers[id]
	if s == nil {
		s = &server{c: c, id: id, dir: c.t.TempDir()}
		c.servers[id] = s
		c.t.Cleanup(s.stop)
	}
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("BOP_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("on", uint64(id))
	}
	s.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	ro := replica.Options{
		Dir: s.dir, Node: id, Transport: c.net.Host(id), Voters: voters, System: s.system, Logger: logger,
		Raft:   raft.Options{Tick: 10 * time.Millisecond},
		Parent: aof.Options{SegmentBytes: 1 << 20, Spare: -1}, Segments: aof.Options{SegmentBytes: 256 << 10},
		Name: func(id raft.NodeID) string { return fmt.Sprintf("n%d", id) },
	}
	so := sqlite.Options{Dir: s.dir, System: s.system, Logger: logger}
	if c.tune != nil {
		c.tune(&ro, &so)
	}
	var err error
	if s.log, err = replica.Open(context.Background(), ro); err != nil {
		c.t.Fatal(err)
	}
	for other := range c.servers {
		s.log.Host().SetPeer(other, memnet.Address(other))
		if o := c.servers[other]; o.log != nil {
			o.log.Host().SetPeer(id, memnet.Address(id))
		}
	}
	so.Log = s.log
	if s.host, err = sqlite.Open(context.Background(), so); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// stop closes a server.
func (s *server) stop() {
	if s.host == nil {
		return
	}
	if err := s.host.Close(context.Background()); err != nil {
		s.c.t.Errorf("closing n%d: %v", s.id, err)
	}
	s.system.Shutdown()
	s.host, s.log = nil, nil
}

// leader waits until a server accepts writes.
func (c *cluster) leader() *server {
	c.t.Helper()
	var found *server
	eventually(c.t, "a leader", func() bool {
		for _, s := range c.servers {
			if s.host != nil && s.host.Writable() == nil {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// successor waits until another server than one that believes to lead accepts writes.
func (c *cluster) successor(old *server) (next *server) {
	c.t.Helper()
	eventually(c.t, "another leader", func() bool {
		for _, f := range c.followers(old) {
			if f.host.Writable() == nil {
				next = f
			}
		}
		return next != nil
	})
	return next
}

// followers are the others that run.
func (c *cluster) followers(leader *server) (list []*server) {
	for _, s := range c.servers {
		if s != leader && s.host != nil {
			list = append(list, s)
		}
	}
	return list
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// db waits until a server has a database.
func (s *server) db(name string) *sqlite.DB {
	s.c.t.Helper()
	var db *sqlite.DB
	eventually(s.c.t, fmt.Sprintf("n%d has database %s", s.id, name), func() (ok bool) {
		var err error
		db, err = s.host.DB(name)
		return err == nil
	})
	return db
}

// create makes a database with a table.
func (s *server) create(name string) *sql.DB {
	s.c.t.Helper()
	if _, err := s.host.Create(context.Background(), name, sqlite.CreateOptions{}); err != nil {
		s.c.t.Fatal(err)
	}
	p := s.pool(name)
	if _, err := p.Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)`); err != nil {
		s.c.t.Fatal(err)
	}
	return p
}

// pool is a server's database through database/sql.
func (s *server) pool(name string) *sql.DB {
	p := sql.OpenDB(s.db(name).Connector())
	s.c.t.Cleanup(func() { p.Close() })
	return p
}

// same waits until all servers have the same content, page for page.
func (c *cluster) same(name string) {
	c.t.Helper()
	leader := c.leader()
	want := leader.db(name).Heads().Committed
	sum := leader.sum(name)
	for _, s := range c.followers(leader) {
		eventually(c.t, fmt.Sprintf("n%d has transaction %d of %s", s.id, want, name), func() bool { return s.db(name).Heads().Committed >= want })
		if got := s.sum(name); got != sum {
			c.t.Errorf("n%d: %x, n%d: %x", s.id, got, leader.id, sum)
		}
	}
}

func (s *server) sum(name string) uint64 {
	s.c.t.Helper()
	h := fnv.New64a()
	if err := s.db(name).Export(context.Background(), h); err != nil {
		s.c.t.Fatal(err)
	}
	return h.Sum64()
}

func count(t *testing.T, p *sql.DB) (n int) {
	t.Helper()
	if err := p.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
