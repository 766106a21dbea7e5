package replica_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/replica"
)

func insert(t *testing.T, p *sql.DB, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if _, err := p.Exec(`INSERT INTO t VALUES (?, ?)`, i, strings.Repeat("x", i%100)); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
}

func TestFollowersHaveWhatTheLeaderCommits(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader := c.leader()
	p := leader.create("shop")
	insert(t, p, 0, 50)
	c.same("shop")
	for _, f := range c.followers(leader) {
		fp := f.pool("shop")
		if n := count(t, fp); n != 50 {
			t.Errorf("n%d has %d rows", f.id, n)
		}
		_, err := fp.Exec(`INSERT INTO t VALUES (1000, '')`)
		if !errors.Is(err, sqlite.ErrNotLeader) || !strings.Contains(err.Error(), "this server follows; n") {
			t.Errorf("a write on a follower: %v", err)
		}
		if err := f.host.Fresh(t.Context(), sqlite.Linearizable, 0); !errors.Is(err, sqlite.ErrNotLeader) {
			t.Errorf("a linearizable read on a follower: %v", err)
		}
		if err := f.host.Fresh(t.Context(), sqlite.Stale, time.Nanosecond); err != nil {
			t.Errorf("a stale read that asks the leader: %v", err)
		}
	}
	t.Run("databases are made, renamed and dropped everywhere", func(t *testing.T) {
		leader.create("old")
		if err := leader.host.Rename(t.Context(), "old", "new"); err != nil {
			t.Fatal(err)
		}
		for _, f := range c.followers(leader) {
			f.db("new")
		}
		if err := leader.host.Drop(t.Context(), "new"); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.servers {
			eventually(t, "it is gone", func() bool {
				_, err := s.host.DB("new")
				return errors.Is(err, sqlite.ErrNoDatabase)
			})
		}
		leader.create("new")
		c.same("new")
	})
	t.Run("a transaction larger than a record goes as parts", func(t *testing.T) {
		if _, err := p.Exec(`INSERT INTO t WITH RECURSIVE n(i) AS (VALUES (10000) UNION ALL SELECT i+1 FROM n WHERE i < 10600) SELECT i, hex(randomblob(3000)) FROM n`); err != nil {
			t.Fatal(err)
		}
		c.same("shop")
	})
}

func TestAnotherLeaderTakesOverWithEverythingThatWasAcknowledged(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader := c.leader()
	insert(t, leader.create("shop"), 0, 20)
	for round := range 3 {
		old := c.leader()
		old.stop()
		next := c.leader()
		if n := count(t, next.pool("shop")); n != 20*(round+1) {
			t.Fatalf("round %d: n%d has %d rows", round, next.id, n)
		}
		insert(t, next.pool("shop"), 20*(round+1), 20)
		c.start(old.id, c.voters...)
		c.same("shop")
	}
}

func TestADeposedLeaderTakesBackWhatWasNotCommitted(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader := c.leader()
	p := leader.create("shop")
	insert(t, p, 0, 5)
	c.same("shop")
	// Cut off, its commits hang.
	for _, f := range c.followers(leader) {
		c.net.Partition(leader.id, f.id, true)
		c.net.Partition(f.id, leader.id, true)
	}
	var wg sync.WaitGroup
	outcomes := make([]error, 4)
	for i := range outcomes {
		wg.Go(func() { _, outcomes[i] = p.Exec(`INSERT INTO t VALUES (?, 'lost')`, 100+i) })
	}
	next := c.successor(leader)
	insert(t, next.pool("shop"), 5, 5)
	eventually(t, "the old leader notices", func() bool { return leader.host.Writable() != nil })
	c.net.Heal()
	wg.Wait()
	for _, err := range outcomes {
		if !errors.Is(err, sqlite.ErrNotCommitted) && !errors.Is(err, sqlite.ErrNotLeader) && !errors.Is(err, sqlite.ErrSerialization) {
			t.Errorf("a transaction that is superseded: %v", err)
		}
	}
	c.same("shop")
	if n := count(t, next.pool("shop")); n != 10 {
		t.Errorf("%d rows", n)
	}
	if n := count(t, leader.pool("shop")); n != 10 {
		t.Errorf("%d rows on the deposed leader", n)
	}
}

func TestADeposedLeaderHearsOfWhatTheNextOneCommits(t *testing.T) {
	for name, durability := range map[string]sqlite.Durability{"clients that wait": sqlite.Quorum, "clients that don't": sqlite.Async} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3, nil)
			leader := c.leader()
			insert(t, leader.create("shop"), 0, 5)
			db := leader.db("shop")
			p := sql.OpenDB(db.ConnectorWith(sqlite.ConnectorOptions{ConnOptions: sqlite.ConnOptions{Durability: durability}}))
			t.Cleanup(func() { p.Close() })
			c.same("shop")
			// The followers hear the leader, and it doesn't hear them: they have what is proposed, and nobody is told.
			for _, f := range c.followers(leader) {
				c.net.Partition(f.id, leader.id, true)
			}
			var wg sync.WaitGroup
			outcomes := make([]error, 4)
			for i := range outcomes {
				wg.Go(func() { _, outcomes[i] = p.Exec(`INSERT INTO t VALUES (?, 'late')`, 100+i) })
				eventually(t, "it stands on those before", func() bool {
					h := db.Heads()
					return h.Executed == h.Committed+sqlite.TXID(i)+1
				})
			}
			eventually(t, "the leader gives up", func() bool { return leader.host.Writable() != nil })
			c.net.Heal()
			wg.Wait()
			for i, err := range outcomes {
				if err != nil {
					t.Errorf("transaction %d, which another leader committed: %v", i, err)
				}
			}
			c.same("shop")
			if n := count(t, c.leader().pool("shop")); n != 9 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestACommitThatIsLocalWaitsForThisServersDiskAlone(t *testing.T) {
	c := newCluster(t, 3, func(o *replica.Options, _ *sqlite.Options) {
		o.Raft.Tick = 50 * time.Millisecond // it shall go on leading for a while
	})
	leader := c.leader()
	insert(t, leader.create("shop"), 0, 5)
	c.same("shop")
	db := leader.db("shop")
	conns := map[sqlite.Durability]*sqlite.Conn{}
	for _, d := range []sqlite.Durability{sqlite.Local, sqlite.Quorum} {
		conn, err := db.Conn(t.Context(), sqlite.ConnOptions{Durability: d})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[d] = conn
	}
	write := func(d sqlite.Durability, id int) error {
		return conns[d].Explain(conns[d].Raw().Exec(fmt.Sprintf(`INSERT INTO t VALUES (%d, 'x')`, id)))
	}
	for _, f := range c.followers(leader) {
		c.net.Partition(leader.id, f.id, true)
	}
	before := db.Heads()
	if err := write(sqlite.Local, 10); err != nil {
		t.Fatal(err)
	}
	if err := conns[sqlite.Local].Gate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := db.Heads(); h.Committed != before.Committed || h.Executed != before.Executed+1 {
		t.Fatalf("%+v, before %+v", h, before)
	}
	waits := make(chan error, 1)
	go func() { waits <- write(sqlite.Quorum, 11) }()
	eventually(t, "the next one is proposed", func() bool { return db.Heads().Executed == before.Executed+2 })
	select {
	case err := <-waits:
		t.Fatalf("a commit of the quorum's was answered by one server: %v", err)
	default:
	}
	// The others choose a leader that has neither.
	next := c.successor(leader)
	insert(t, next.pool("shop"), 5, 5)
	eventually(t, "the leader gives up", func() bool { return leader.host.Writable() != nil })
	c.net.Heal()
	if err := <-waits; !errors.Is(err, sqlite.ErrNotCommitted) {
		t.Errorf("what was lost with the leader: %v", err)
	}
	c.same("shop")
	if n := count(t, c.leader().pool("shop")); n != 10 {
		t.Errorf("%d rows", n)
	}
}

func TestANewServerStartsFromASnapshotWhileWritesGoOn(t *testing.T) {
	c := newCluster(t, 1, func(o *replica.Options, _ *sqlite.Options) {
		o.Raft.Trailing = 10
	})
	leader := c.leader()
	p := leader.create("shop")
	insert(t, p, 0, 100)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1000; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := p.Exec(`INSERT INTO t VALUES (?, 'meanwhile')`, i); err != nil {
				t.Errorf("row %d: %v", i, err)
				return
			}
		}
	})
	for id := raft.NodeID(2); id <= 3; id++ {
		c.start(id)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := leader.log.Group().AddMember(ctx, id); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	close(stop)
	wg.Wait()
	c.same("shop")
	leader.stop()
	insert(t, c.leader().pool("shop"), 200, 10)
	c.start(leader.id)
	c.same("shop")
}
