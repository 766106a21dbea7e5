package replica_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/bop-platform/bop/modules/sqlite/replica"
)

func clusterKeys(t *testing.T) crypt.KeyProvider {
	t.Helper()
	k, err := crypt.ParseKeys([]byte("first " + strings.Repeat("17", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sharing are the options of servers that share a bucket.
func sharing(bucket objstore.Bucket, keys crypt.KeyProvider) func(*replica.Options, *sqlite.Options) {
	return func(ro *replica.Options, so *sqlite.Options) {
		ro.Raft.Trailing = 10
		so.Keys = keys
		so.CheckpointBytes = 128 << 10
		so.Cold = sqlite.Cold{Bucket: bucket, Node: fmt.Sprintf("n%d", ro.Node), LogInterval: 10 * time.Millisecond, PageInterval: 50 * time.Millisecond, LocalBytes: 1 << 20}
	}
}

func both(t *testing.T, fn func(t *testing.T, keys crypt.KeyProvider)) {
	t.Run("in the clear", func(t *testing.T) { fn(t, nil) })
	t.Run("encrypted", func(t *testing.T) { fn(t, clusterKeys(t)) })
}

// uploaded waits until the bucket has everything that the leader has committed.
func uploaded(t *testing.T, s *server, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.db(name).Upload(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestTheNextLeaderGoesOnUploading(t *testing.T) {
	both(t, func(t *testing.T, keys crypt.KeyProvider) {
		c := newCluster(t, 3, sharing(objstore.NewMemory(), keys))
		first := c.leader()
		p := first.create("shop")
		insert(t, p, 0, 200)
		uploaded(t, first, "shop")
		insert(t, p, 1000, 50)
		first.stop()
		next := c.leader()
		insert(t, next.pool("shop"), 2000, 50)
		uploaded(t, next, "shop")
		want := next.db("shop").Heads().Committed
		var out bytes.Buffer
		r, err := next.host.RestoreTo(t.Context(), &out, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "shop"}, Target: backup.Target{Latest: true}})
		if err != nil || r.TXID != want {
			t.Fatalf("got %+v, %v, want %d", r, err, want)
		}
		report, err := next.host.VerifyBackup(t.Context(), sqlite.BackupOf{Name: "shop"}, true, nil)
		if err != nil || len(report.Problems) > 0 {
			t.Fatalf("got %v, %v", err, report.Problems)
		}
		c.start(first.id, c.voters...)
		c.same("shop")
	})
}

func TestADeposedUploaderDoesNoHarm(t *testing.T) {
	c := newCluster(t, 3, sharing(objstore.NewMemory(), nil))
	old := c.leader()
	insert(t, old.create("shop"), 0, 100)
	uploaded(t, old, "shop")
	for _, f := range c.followers(old) {
		c.net.Partition(old.id, f.id, true)
		c.net.Partition(f.id, old.id, true)
	}
	next := c.successor(old)
	p := next.pool("shop")
	for i := range 20 {
		insert(t, p, 1000+100*i, 10)
		// The deposed one tries too, whatever it believes.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_ = old.db("shop").Upload(ctx)
		cancel()
		uploaded(t, next, "shop")
	}
	report, err := next.host.VerifyBackup(t.Context(), sqlite.BackupOf{Name: "shop"}, true, nil)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("got %v, %v", err, report.Problems)
	}
	var out bytes.Buffer
	if r, err := next.host.RestoreTo(t.Context(), &out, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "shop"}, Target: backup.Target{Latest: true}}); err != nil || r.TXID != next.db("shop").Heads().Committed {
		t.Fatalf("got %+v, %v", r, err)
	}
	c.net.Heal()
	c.same("shop")
}

func TestANewServerTakesItsStateFromTheBucket(t *testing.T) {
	both(t, func(t *testing.T, keys crypt.KeyProvider) {
		c := newCluster(t, 1, sharing(objstore.NewMemory(), keys))
		leader := c.leader()
		p := leader.create("shop")
		if _, err := p.Exec(`WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 12000) INSERT INTO t SELECT n, hex(randomblob(500)) FROM s`); err != nil {
			t.Fatal(err)
		}
		uploaded(t, leader, "shop")
		insert(t, p, 100000, 100)
		c.start(2)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := leader.log.Group().AddMember(ctx, 2); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has everything", func() bool {
			db, err := c.servers[2].host.DB("shop")
			return err == nil && db.Heads().Committed >= leader.db("shop").Heads().Committed
		})
		if n := c.net.SnapshotBytes(); n > 4<<20 {
			t.Errorf("the peer has sent %d bytes of a database of 12 MiB that the bucket has", n)
		}
		c.same("shop")
	})
}

func TestALostClusterIsRebuiltFromTheBucket(t *testing.T) {
	both(t, func(t *testing.T, keys crypt.KeyProvider) {
		mem := objstore.NewMemory()
		c := newCluster(t, 3, sharing(mem, keys))
		leader := c.leader()
		p := leader.create("shop")
		insert(t, p, 0, 300)
		uploaded(t, leader, "shop")
		uploaded(t, leader, "shop")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := leader.host.System().Upload(ctx); err != nil {
			t.Fatal(err)
		}
		kept := leader.db("shop").Heads().Committed
		sum := leader.sum("shop")
		// All servers are lost.
		for _, s := range c.servers {
			s.stop()
		}
		d := &cluster{t: t, net: c.net, servers: map[raft.NodeID]*server{}, tune: func(ro *replica.Options, so *sqlite.Options) {
			sharing(mem, keys)(ro, so)
			so.Cold.Adopt = true
		}}
		one := d.start(7, 7)
		adopted := one.host.Adopted()
		if len(adopted) != 2 {
			t.Fatalf("took over %+v", adopted)
		}
		if got := one.db("shop").Heads().Committed; got != kept {
			t.Fatalf("it goes on at %d, not %d", got, kept)
		}
		if one.sum("shop") != sum {
			t.Fatal("the content differs")
		}
		d.leader()
		insert(t, one.pool("shop"), 5000, 10)
		uploaded(t, one, "shop")
		// And it grows again.
		d.tune = sharing(mem, keys)
		d.start(8)
		if err := one.log.Group().AddMember(ctx, 8); err != nil {
			t.Fatal(err)
		}
		d.same("shop")
		one.stop()
		d.start(7)
		d.leader()
		d.same("shop")
	})
}

func TestAClusterServesWhileTheBucketIsAway(t *testing.T) {
	var down atomic.Bool
	bucket := faulty.New(objstore.NewMemory(), func(faulty.Call) faulty.Fault {
		if down.Load() {
			return faulty.Fault{Before: fmt.Errorf("%w: it is down", objstore.ErrUnavailable)}
		}
		return faulty.Fault{}
	})
	c := newCluster(t, 3, sharing(bucket, nil))
	leader := c.leader()
	p := leader.create("shop")
	insert(t, p, 0, 100)
	uploaded(t, leader, "shop")
	down.Store(true)
	insert(t, p, 1000, 300)
	c.same("shop")
	leader.stop()
	next := c.leader()
	insert(t, next.pool("shop"), 2000, 50)
	down.Store(false)
	eventually(t, "the bucket has everything", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return next.db("shop").Upload(ctx) == nil
	})
	c.start(leader.id, c.voters...)
	c.same("shop")
	report, err := next.host.VerifyBackup(t.Context(), sqlite.BackupOf{Name: "shop"}, true, nil)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("got %v, %v", err, report.Problems)
	}
}

func TestAFollowerWaitsForPagesThatABucketDoesntGiveNow(t *testing.T) {
	var down atomic.Bool
	var refused atomic.Int64
	bucket := faulty.New(objstore.NewMemory(), func(c faulty.Call) faulty.Fault {
		if down.Load() && c.Op == "get" {
			refused.Add(1)
			return faulty.Fault{Before: fmt.Errorf("%w: it is down", objstore.ErrUnavailable)}
		}
		return faulty.Fault{}
	})
	c := newCluster(t, 1, func(ro *replica.Options, so *sqlite.Options) {
		sharing(bucket, nil)(ro, so)
		so.CacheBytes = 64 << 10
		so.Cold.LocalBytes = 0 // what a server has, it keeps; the new one begins with nothing
	})
	leader := c.leader()
	p := leader.create("shop")
	if _, err := p.Exec(`WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 12000) INSERT INTO t SELECT n, hex(randomblob(500)) FROM s`); err != nil {
		t.Fatal(err)
	}
	uploaded(t, leader, "shop")
	c.start(2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := leader.log.Group().AddMember(ctx, 2); err != nil {
		t.Fatal(err)
	}
	follower := c.servers[2].db("shop")
	eventually(t, "it has everything", func() bool { return follower.Heads().Committed >= leader.db("shop").Heads().Committed })
	down.Store(true)
	for range 5 {
		if _, err := p.Exec(`UPDATE t SET v = v || 'y' WHERE id % 100 = 7`); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the follower has asked in vain", func() bool { return refused.Load() > 0 })
	if err := follower.Err(); err != nil {
		t.Errorf("the follower is out of service: %v", err)
	}
	down.Store(false)
	c.same("shop")
	if err := follower.Err(); err != nil {
		t.Errorf("the follower is out of service: %v", err)
	}
}
