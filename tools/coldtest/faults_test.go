package coldtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/tools/internal/s3proxy"
)

func init() {
	withServer = append(withServer,
		test{"everything goes on over a bad network, encrypted", func(t *testing.T) { overABadNetwork(t, true) }},
		test{"everything goes on over a bad network, in the clear at first", func(t *testing.T) { overABadNetwork(t, false) }})
}

// grace is short enough that objects are deleted while the test runs, and long enough for what reads without a pin.
const grace = 3 * time.Second

// memory is what a workload knows of a database.
type memory struct {
	mu     sync.Mutex
	states map[sqlite.TXID]sum
	acked  []int // of the ledger
	tried  int
}

// any is one of the transactions whose state is known.
func (m *memory) any(r *rand.Rand) (sqlite.TXID, sum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.states) == 0 {
		return 0, sum{}
	}
	all := make([]sqlite.TXID, 0, len(m.states))
	for t := range m.states {
		all = append(all, t)
	}
	slices.Sort(all)
	t := all[r.IntN(len(all))]
	return t, m.states[t]
}

// badNetwork adds faults at random, and takes them away again.
func badNetwork(ctx context.Context, r *rand.Rand, p *s3proxy.Proxy) {
	for ctx.Err() == nil {
		f := []s3proxy.Fault{
			{Latency: time.Duration(r.IntN(40)) * time.Millisecond, Chance: 0.3},
			{SlowDown: true, Chance: 0.5},
			{SlowDown: true},
			{Cut: 1 + r.Int64N(5000), Chance: 0.4},
			{Cut: -1, Chance: 0.3},
			{Lose: true, Chance: 0.3},
			{Lose: true, Chance: 0.6, When: func(method, _ string) bool { return method == http.MethodPut }},
			{Stale: true, Chance: 0.7},
			{Outage: true},
			{Outage: true, Chance: 0.3},
			{Flip: -1, Chance: 0.3, When: func(method, _ string) bool { return method == http.MethodPut }}, // which the server refuses
		}[r.IntN(11)]
		h := p.Add(f)
		pause(ctx, time.Duration(20+r.IntN(500))*time.Millisecond)
		if r.IntN(3) > 0 || f.Outage || f.SlowDown {
			h.Remove()
		} else {
			time.AfterFunc(time.Second, h.Remove) // together with the next one
		}
		pause(ctx, time.Duration(r.IntN(150))*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// excused tells whether an error is the network's.
func excused(err error) bool {
	for _, e := range []error{objstore.ErrUnavailable, context.DeadlineExceeded, context.Canceled, sqlite.ErrBacklog} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func overABadNetwork(t *testing.T, encrypted bool) {
	g := start(t)
	p := s3proxy.New(g.url)
	t.Cleanup(p.Close)
	p.Seed(*seed)
	bucket := g.bucket(p.URL(), "d", objstore.RetryOptions{Attempts: 6, First: 2 * time.Millisecond, Most: 40 * time.Millisecond})
	everything(t, encrypted, bucket, func(ctx context.Context, r *rand.Rand) {
		badNetwork(ctx, r, p)
		p.Clear()
	})
}

// The same without a network: requests to a bucket in memory fail, with and without effect.
func TestEverythingAtOnce(t *testing.T) {
	for _, encrypted := range []bool{true, false} {
		t.Run(fmt.Sprint("encrypted ", encrypted), func(t *testing.T) {
			var bad atomic.Bool
			chance := rand.New(rand.NewPCG(*seed, 3))
			var mu sync.Mutex
			bucket := faulty.New(objstore.NewMemory(), func(c faulty.Call) (f faulty.Fault) {
				if !bad.Load() {
					return f
				}
				mu.Lock()
				defer mu.Unlock()
				switch chance.IntN(60) {
				case 0:
					f.Before = objstore.ErrUnavailable
				case 1:
					f.After = objstore.ErrUnavailable
				}
				return f
			})
			everything(t, encrypted, objstore.Retry(bucket, objstore.RetryOptions{Attempts: 2, First: time.Millisecond, Most: time.Millisecond}), func(ctx context.Context, r *rand.Rand) {
				for ctx.Err() == nil {
					bad.Store(r.IntN(3) == 0)
					pause(ctx, time.Duration(r.IntN(300))*time.Millisecond)
				}
				bad.Store(false)
			})
		})
	}
}

// everything goes on at once for a while: transactions, uploads, evictions, merges, snapshots, restores, changes of keys;
// and the bucket is what storm makes it, until its context ends.
func everything(t *testing.T, encrypted bool, bucket objstore.Bucket, storm func(context.Context, *rand.Rand)) {
	r := random(t)
	o := cold(t.TempDir(), bucket)
	o.Cold.LocalBytes = 512 << 10
	o.Cold.LogInterval, o.Cold.PageInterval, o.Cold.PageBytes = 20*time.Millisecond, 150*time.Millisecond, 512<<10
	o.Cold.Policy = backup.Policy{Chain: 4, FullBytes: 512 << 10, LogObjects: 4}
	o.Cold.Retention = backup.Retention{Last: 3, Log: 4 * time.Second}
	o.Cold.Grace, o.Cold.PinTTL = grace, time.Minute
	if encrypted {
		o.Keys = testKeys
	}
	h := open(t, o)
	db := create(t, h, "d", sqlite.CreateOptions{})
	if !encrypted { // so that it can be
		closeHost(t, h)
		o.Keys = testKeys
		h = open(t, o)
		db = find(t, h, "d")
	}
	c := connect(t, db)
	do(t, c, schema+`; CREATE TABLE ledger (n INTEGER PRIMARY KEY)`)
	mem := &memory{states: map[sqlite.TXID]sum{}}
	ctx, cancel := context.WithTimeout(t.Context(), *faults)
	defer cancel()
	var wg sync.WaitGroup
	stormRandom, janitorRandom := rand.New(rand.NewPCG(r.Uint64(), 1)), rand.New(rand.NewPCG(r.Uint64(), 2))
	wg.Go(func() { storm(ctx, stormRandom) })
	var did sync.Map
	count := func(what string, err error) {
		if err != nil {
			what += " in vain"
		}
		n, _ := did.LoadOrStore(what, new(int64))
		mem.mu.Lock()
		*n.(*int64)++
		mem.mu.Unlock()
	}
	wg.Go(func() { janitor(ctx, t, h, db, mem, janitorRandom, count) })
	workload(ctx, t, db, mem, r, count)
	wg.Wait()
	if t.Failed() {
		return
	}
	did.Range(func(k, v any) bool { t.Logf("%s: %d", k, *v.(*int64)); return true })

	// The bucket is good again.
	eventually(t, "the bucket takes everything", func() bool { return db.Upload(t.Context()) == nil })
	c = connect(t, db)
	verifyAll(t, h, db, mem, r)
	final, newest := exported(t, db), db.Heads().Committed
	closeHost(t, h)
	h = open(t, o)
	db = find(t, h, "d")
	if d := differ(exported(t, db), final); d != "" {
		t.Fatalf("after opening it again: %s", d)
	}
	verifyAll(t, h, db, mem, r)
	closeHost(t, h)

	o.Dir, o.Cold.Adopt = t.TempDir(), true
	h = open(t, o)
	db = find(t, h, "d")
	// Old data keys may have been dropped since, which is a transaction.
	if got := db.Heads().Committed; got < newest {
		t.Fatalf("an empty disk goes on at transaction %d, not %d", got, newest)
	}
	if d := differ(exported(t, db), final); d != "" {
		t.Fatalf("on an empty disk: %s", d)
	}
	do(t, connect(t, db), `INSERT INTO ledger VALUES (-1)`)
	if err := db.Upload(t.Context()); err != nil {
		t.Fatal(err)
	}
	verifyAll(t, h, db, mem, r)
}

// workload writes, and remembers what the database was at each transaction. Errors must be the network's.
func workload(ctx context.Context, t *testing.T, db *sqlite.DB, mem *memory, r *rand.Rand, count func(string, error)) {
	work := &history{r: r, vacuum: true}
	c := connect(t, db)
	for ctx.Err() == nil && !t.Failed() {
		sql, ledger := work.next(), r.IntN(2) == 0
		if ledger {
			mem.tried++
			sql = fmt.Sprintf(`INSERT INTO ledger VALUES (%d)`, mem.tried)
		}
		var err error
		if r.IntN(40) == 0 {
			err = db.Rekey(ctx, sqlite.RekeyOptions{Data: true})
			count("keys changed", err)
		} else {
			err = c.Explain(c.Raw().Exec(sql))
			count("transactions", err)
			if err == nil && ledger {
				mem.acked = append(mem.acked, mem.tried)
			}
		}
		if err != nil {
			if !excused(err) {
				t.Errorf("%.100s: %v", sql, err)
			}
			c.Close()
			if c, err = db.Conn(context.Background(), sqlite.ConnOptions{}); err != nil {
				t.Errorf("connecting again: %v", err)
				return
			}
			t.Cleanup(func() { c.Close() })
			continue
		}
		at := db.Heads().Committed
		s, err := stateOf(ctx, db)
		count("states remembered", err)
		if err != nil {
			if !excused(err) {
				t.Errorf("exporting: %v", err)
			}
			continue
		}
		mem.mu.Lock()
		mem.states[at] = s
		mem.mu.Unlock()
	}
	c.Close()
}

// janitor does what else goes on.
func janitor(ctx context.Context, t *testing.T, h *sqlite.Host, db *sqlite.DB, mem *memory, r *rand.Rand, count func(string, error)) {
	kinds := []backup.Purpose{backup.PurposeFull, backup.PurposeIncremental, backup.PurposeDifferential}
	for ctx.Err() == nil && !t.Failed() {
		pause(ctx, time.Duration(r.IntN(60))*time.Millisecond)
		var what string
		var err error
		switch r.IntN(7) {
		case 0:
			what = "snapshots"
			_, err = db.Snapshot(ctx, sqlite.SnapshotOptions{Kind: kinds[r.IntN(3)]})
		case 1:
			what = "expired and collected"
			err = db.WithBackup(ctx, func(ctx context.Context, w *backup.Writer) error {
				_, _, err := w.Expire(ctx, backup.Retention{Last: 3, Log: 4 * time.Second})
				if err == nil {
					_, err = w.Collect(ctx)
				}
				return err
			})
		case 2:
			what = "swept"
			err = db.WithBackup(ctx, func(ctx context.Context, w *backup.Writer) error {
				_, err := w.Sweep(ctx)
				return err
			})
		case 3:
			what = "settled"
			err = db.Settle(ctx)
		case 4:
			what = "uploads"
			err = db.Upload(ctx)
		default:
			at, s := mem.any(r)
			if at == 0 {
				continue
			}
			what = "restored"
			var got sum
			got, err = restoredSum(ctx, h, "d", backup.Target{TXID: at})
			if errors.Is(err, backup.ErrNotRestorable) {
				what, err = "not restorable any more", nil
			} else if err == nil && got != s {
				t.Errorf("transaction %d was restored, and is another one than it was", at)
			}
		}
		count(what, err)
		if err != nil && !excused(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// verifyAll looks whether everything is as the workload remembers it, without faults.
func verifyAll(t *testing.T, h *sqlite.Host, db *sqlite.DB, mem *memory, r *rand.Rand) {
	t.Helper()
	if err := db.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := connect(t, db)
	defer c.Close()
	for _, n := range mem.acked {
		want(t, c.Raw(), fmt.Sprintf(`SELECT count(*) FROM ledger WHERE n = %d`, n), "1")
	}
	checked(t, h, sqlite.BackupOf{Name: "d"})
	b, err := h.Backups(t.Context(), sqlite.BackupOf{Name: "d"})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range 40 {
		at, s := mem.any(r)
		in := slices.ContainsFunc(b.Restorable, func(x backup.Range) bool { return x.First <= at && at <= x.Last })
		got, err := restoredSum(t.Context(), h, "d", backup.Target{TXID: at})
		switch {
		case !in && errors.Is(err, backup.ErrNotRestorable):
		case err != nil:
			t.Fatalf("transaction %d, restorable %v: %v", at, in, err)
		case got != s:
			t.Fatalf("transaction %d was restored, and is another one than it was", at)
		default:
			n++
		}
	}
	t.Logf("%d of 40 transactions restored, %d acknowledged rows are there", n, len(mem.acked))
}
