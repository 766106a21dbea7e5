package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/aof/objstore/faulty"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// withBucket are options of a host that has a bucket. Nothing happens by itself but what the tests ask for.
func withBucket(dir string, b objstore.Bucket) sqlite.Options {
	return sqlite.Options{Dir: dir, CheckpointBytes: 256 << 10, CacheBytes: 256 << 10,
		Cold: sqlite.Cold{Bucket: b, LogInterval: time.Hour, PageInterval: time.Hour}}
}

func upload(t testing.TB, db *sqlite.DB) {
	t.Helper()
	if err := db.Upload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func fill(t testing.TB, c *sqlite.Conn, rows, size int) {
	t.Helper()
	sqlExec(t, c, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v BLOB); INSERT INTO t (v) SELECT randomblob(%d) FROM `+series, size, rows))
}

func closeHost(t testing.TB, h *sqlite.Host) {
	t.Helper()
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestPagesLeaveTheDiskAndComeBack(t *testing.T) {
	dir, bucket := t.TempDir(), objstore.NewMemory()
	o := withBucket(dir, bucket)
	o.Cold.LocalBytes = 1 << 20
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	fill(t, c, 4000, 1000)
	want := text(t, c.Raw(), `SELECT count(*), sum(length(v)), sum(unicode(hex(v)) * id) FROM t`)
	upload(t, db)
	size := func() int64 {
		st, err := os.Stat(filepath.Join(dir, "db", fmt.Sprint(db.Segment()), "pages"))
		if err != nil {
			return 0
		}
		return st.Size()
	}
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page file is within its bound", func() bool {
		sqlExec(t, c, `UPDATE t SET v = v WHERE id = 1`)
		upload(t, db)
		if err := db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		return db.LocalBytes() <= o.Cold.LocalBytes
	})
	eventually(t, "the page file is cut", func() bool {
		if err := db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		return size() <= o.Cold.LocalBytes
	})
	wantText(t, c.Raw(), `SELECT count(*), sum(length(v)), sum(unicode(hex(v)) * id) FROM t`, want)
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	// Writing to pages that aren't here, and again.
	for i := range 20 {
		sqlExec(t, c, fmt.Sprintf(`UPDATE t SET v = randomblob(1000) WHERE id %% 97 = %d`, i))
		if i%5 == 0 {
			upload(t, db)
			if err := db.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	want = text(t, c.Raw(), `SELECT count(*), sum(length(v)), sum(unicode(hex(v)) * id) FROM t`)
	c.Close()
	closeHost(t, h)
	h = open(t, o)
	c = connect(t, find(t, h, "d"))
	wantText(t, c.Raw(), `SELECT count(*), sum(length(v)), sum(unicode(hex(v)) * id) FROM t`, want)
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
}

func TestAnyTransactionCanBeRestored(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %v", encrypted), func(t *testing.T) {
			o := withBucket(t.TempDir(), objstore.NewMemory())
			if encrypted {
				o.Keys = testKeys
			}
			h := open(t, o)
			db := create(t, h, "d")
			c := connect(t, db)
			sqlExec(t, c, `CREATE TABLE t (id INTEGER PRIMARY KEY, v)`)
			at := map[sqlite.TXID]string{}
			remember := func() {
				at[db.Heads().Committed] = text(t, c.Raw(), `SELECT count(*), total(id), total(length(v)) FROM t`)
			}
			remember()
			for i := range 60 {
				switch i % 6 {
				case 5:
					sqlExec(t, c, `DELETE FROM t WHERE id % 3 = 0`)
				default:
					sqlExec(t, c, fmt.Sprintf(`INSERT INTO t (v) SELECT randomblob(%d) FROM `+series, 50+i*37, 20))
				}
				remember()
				switch i {
				case 10, 30:
					if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: backup.PurposeIncremental}); err != nil {
						t.Fatal(err)
					}
				case 20:
					if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{}); err != nil {
						t.Fatal(err)
					}
				case 25:
					sqlExec(t, c, `VACUUM`)
					remember()
				case 40, 45:
					if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: backup.PurposeDifferential}); err != nil {
						t.Fatal(err)
					}
				case 50:
					upload(t, db)
				}
			}
			for txid, want := range at {
				var out bytes.Buffer
				r, err := h.RestoreTo(t.Context(), &out, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{TXID: txid}})
				if txid < firstRestorable(t, h) {
					if !errors.Is(err, backup.ErrNotRestorable) {
						t.Fatalf("transaction %d: got %v", txid, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if r.TXID != txid {
					t.Fatalf("asked for %d, got %d", txid, r.TXID)
				}
				name := filepath.Join(t.TempDir(), "out.db")
				if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				p := plainFile(t, name)
				wantText(t, p, `SELECT count(*), total(id), total(length(v)) FROM t`, want)
				wantText(t, p, `PRAGMA integrity_check`, "ok")
			}
			if len(at) < 50 {
				t.Fatalf("only %d versions", len(at))
			}
			newest := db.Heads().Committed
			d, r, err := h.Restore(t.Context(), "again", sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}})
			if err != nil {
				t.Fatal(err)
			}
			if r.TXID != newest || d.ID() == db.ID() {
				t.Fatalf("got %+v", r)
			}
			wantText(t, connect(t, d).Raw(), `SELECT count(*), total(id), total(length(v)) FROM t`, at[newest])
			report, err := h.VerifyBackup(t.Context(), sqlite.BackupOf{Name: "d"}, true, nil)
			if err != nil || len(report.Problems) > 0 {
				t.Fatalf("got %v, %v", err, report.Problems)
			}
			if _, err := h.VerifyRestore(t.Context(), sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func firstRestorable(t testing.TB, h *sqlite.Host) sqlite.TXID {
	t.Helper()
	b, err := h.Backups(t.Context(), sqlite.BackupOf{Name: "d"})
	if err != nil {
		t.Fatal(err)
	}
	return b.Restorable[0].First
}

func TestNothingIsInTheBucketInTheClear(t *testing.T) {
	folder := t.TempDir()
	bucket, err := objstore.OpenDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	o := withBucket(t.TempDir(), bucket)
	o.Keys = testKeys
	h := open(t, o)
	db := create(t, h, "planteddatabase")
	plantSecrets(t, db)
	upload(t, db)
	sqlExec(t, connect(t, db), `DELETE FROM plantedtable WHERE id % 2 = 0; VACUUM`)
	if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: backup.PurposeIncremental}); err != nil {
		t.Fatal(err)
	}
	closeHost(t, h)
	scan(t, folder)
}

func TestADatabaseIsOpenedOnAnEmptyDisk(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %v", encrypted), func(t *testing.T) {
			mem := objstore.NewMemory()
			o := withBucket(t.TempDir(), mem)
			if encrypted {
				o.Keys = testKeys
			}
			h := open(t, o)
			db := create(t, h, "d")
			c := connect(t, db)
			fill(t, c, 3000, 1000)
			upload(t, db)
			sqlExec(t, c, `UPDATE t SET v = 'changed' WHERE id = 77`)
			create(t, h, "empty")
			other := create(t, h, "other")
			sqlExec(t, connect(t, other), `CREATE TABLE x (y); INSERT INTO x VALUES ('here')`)
			want := text(t, c.Raw(), `SELECT count(*), total(length(v)) FROM t`)
			last := db.Heads().Committed
			c.Close()
			closeHost(t, h)

			var requests atomic.Int64
			counted := faulty.New(mem, func(c faulty.Call) faulty.Fault {
				requests.Add(1)
				return faulty.Fault{}
			})
			o2 := withBucket(t.TempDir(), counted)
			o2.Keys = o.Keys
			if _, err := tryOpen(t, o2); err == nil {
				// Without Adopt the folder begins anew, and the bucket belongs to somebody else.
				t.Log("an empty folder began anew")
			}
			o2.Dir = t.TempDir()
			o2.Cold.Adopt = true
			h = open(t, o2)
			db = find(t, h, "d")
			if got := db.Heads().Committed; got != last {
				t.Fatalf("it goes on at transaction %d, not %d", got, last)
			}
			c = connect(t, db)
			before := requests.Load()
			wantText(t, c.Raw(), `SELECT v FROM t WHERE id = 77`, "changed")
			t.Logf("%d requests for the first query", requests.Load()-before)
			if n := requests.Load() - before; n > 10 {
				t.Fatalf("%d requests for the first query", n)
			}
			wantText(t, c.Raw(), `SELECT count(*), total(length(v)) FROM t`, want)
			wantText(t, connect(t, find(t, h, "other")).Raw(), `SELECT y FROM x`, "here")
			empty := find(t, h, "empty")
			sqlExec(t, connect(t, empty), `CREATE TABLE begun (x)`)
			if empty.Encrypted() != db.Encrypted() {
				t.Fatalf("the empty database is encrypted: %v", empty.Encrypted())
			}
			// It goes on, and so does its backup.
			sqlExec(t, c, `INSERT INTO t (v) VALUES ('new')`)
			upload(t, db)
			c.Close()
			closeHost(t, h)
			h = open(t, o2)
			c = connect(t, find(t, h, "d"))
			wantText(t, c.Raw(), `SELECT v FROM t ORDER BY id DESC LIMIT 1`, "new")
			wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
			for _, txid := range []sqlite.TXID{last, last + 1} {
				if _, err := h.RestoreTo(t.Context(), io.Discard, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{TXID: txid}}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestABucketThatDoesntAnswerIsAnErrorForMissingPagesOnly(t *testing.T) {
	var down atomic.Bool
	bucket := faulty.New(objstore.NewMemory(), func(faulty.Call) faulty.Fault {
		if down.Load() {
			return faulty.Fault{Before: fmt.Errorf("%w: it is down", objstore.ErrUnavailable)}
		}
		return faulty.Fault{}
	})
	o := withBucket(t.TempDir(), bucket)
	o.Cold.LocalBytes = 512 << 10
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	fill(t, c, 3000, 1000)
	upload(t, db)
	for db.LocalBytes() > o.Cold.LocalBytes || db.LocalBytes() == 0 {
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	down.Store(true)
	sqlExec(t, c, `INSERT INTO t (v) VALUES ('while it is down')`)
	wantText(t, c.Raw(), `SELECT v FROM t ORDER BY id DESC LIMIT 1`, "while it is down")
	if _, err := tryText(c.Raw(), `SELECT total(length(v)) FROM t`); err == nil || !errors.Is(c.Err(), objstore.ErrUnavailable) || !strings.Contains(c.Err().Error(), "page") {
		t.Fatalf("got %v, %v", err, c.Err())
	}
	if err := db.Upload(t.Context()); !errors.Is(err, objstore.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if db.Err() != nil {
		t.Fatalf("the database is out of service: %v", db.Err())
	}
	down.Store(false)
	c = connect(t, db)
	wantText(t, c.Raw(), `SELECT count(*) FROM t`, "3001")
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	upload(t, db)
}

func TestAnAdoptionThatWasInterruptedGoesOn(t *testing.T) {
	mem := objstore.NewMemory()
	o := withBucket(t.TempDir(), mem)
	h := open(t, o)
	db := create(t, h, "d")
	id := db.ID().String()
	c := connect(t, db)
	fill(t, c, 500, 1000)
	upload(t, db)
	c.Close()
	closeHost(t, h)

	var down atomic.Bool
	down.Store(true)
	o = withBucket(t.TempDir(), faulty.New(mem, func(c faulty.Call) faulty.Fault {
		if down.Load() && strings.HasPrefix(c.Key, id) {
			return faulty.Fault{Before: fmt.Errorf("%w: it is down", objstore.ErrUnavailable)}
		}
		return faulty.Fault{}
	}))
	o.Cold.Adopt = true
	h = open(t, o)
	if db, err := h.DB("d"); err == nil && db.Err() == nil {
		t.Fatal("it serves what it hasn't got")
	}
	closeHost(t, h)
	down.Store(false)
	h = open(t, o)
	db = find(t, h, "d")
	if err := db.Err(); err != nil {
		t.Fatal(err)
	}
	wantText(t, connect(t, db).Raw(), `SELECT count(*) FROM t`, "500")
	if a := h.Adopted(); len(a) != 1 || a[0].Name != "d" || a[0].TXID != db.Heads().Committed {
		t.Fatalf("got %+v", a)
	}
}

func TestManyDatabasesGoOnAfterAnAdoption(t *testing.T) {
	o := withBucket(t.TempDir(), objstore.NewMemory())
	h := open(t, o)
	const n = 6
	for i := range n {
		db := create(t, h, fmt.Sprint("d", i))
		c := connect(t, db)
		sqlExec(t, c, `CREATE TABLE t (x)`)
		upload(t, db)
		c.Close()
	}
	for round := range 3 {
		closeHost(t, h)
		o.Dir, o.Cold.Adopt = t.TempDir(), true
		h = open(t, o)
		for i := range n {
			db := find(t, h, fmt.Sprint("d", i))
			c := connect(t, db)
			wantText(t, c.Raw(), `SELECT count(*) FROM t`, fmt.Sprint(round))
			sqlExec(t, c, `INSERT INTO t VALUES (1)`)
			upload(t, db)
			c.Close()
		}
		upload(t, h.System())
	}
}

// distant is a bucket that takes its time, and sees how many requests it has at a time.
type distant struct {
	objstore.Bucket
	now, most, all atomic.Int64
}

func (d *distant) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	d.all.Add(1)
	now := d.now.Add(1)
	for m := d.most.Load(); now > m && !d.most.CompareAndSwap(m, now); m = d.most.Load() {
	}
	defer d.now.Add(-1)
	select {
	case <-time.After(2 * time.Millisecond):
	case <-ctx.Done():
	}
	return d.Bucket.Get(ctx, key, off, n)
}

func TestAScanInKeyOrderIsReadAhead(t *testing.T) {
	mem := objstore.NewMemory()
	h := open(t, withBucket(t.TempDir(), mem))
	db := create(t, h, "d")
	c := connect(t, db)
	// Random keys in many transactions: the leaves of the table are anywhere in the file.
	sqlExec(t, c, `CREATE TABLE t (k INTEGER PRIMARY KEY, v)`)
	for range 20 {
		sqlExec(t, c, `INSERT OR IGNORE INTO t SELECT abs(random()) % 1000000000, randomblob(700) FROM `+fmt.Sprintf(series, 300))
	}
	want := text(t, c.Raw(), `SELECT count(*), total(length(v)) FROM t`)
	upload(t, db)
	c.Close()
	closeHost(t, h)
	far := &distant{Bucket: mem}
	o := withBucket(t.TempDir(), far)
	o.Cold.Adopt = true
	h = open(t, o)
	db = find(t, h, "d")
	c = connect(t, db)
	far.most.Store(0)
	before := far.all.Load()
	wantText(t, c.Raw(), `SELECT count(*), total(length(v)) FROM t`, want)
	t.Logf("%d requests for %d pages, at most %d at a time", far.all.Load()-before, db.Info().Pages, far.most.Load())
	if n := far.most.Load(); n < 12 { // 9 without it
		t.Errorf("at most %d requests at a time", n)
	}
}

func TestAPageThatHasChangedBackStays(t *testing.T) {
	o := withBucket(t.TempDir(), objstore.NewMemory())
	o.Cold.LocalBytes = 64 << 10
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	again := func(bound int64) {
		t.Helper()
		c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nothing is uploaded
		if err := h.Close(ctx); err != nil {
			t.Fatal(err)
		}
		o.Cold.LocalBytes = bound
		h = open(t, o)
		db = find(t, h, "d")
		c = connect(t, db)
	}
	settle := func() {
		t.Helper()
		for range 20 {
			if err := errors.Join(db.Checkpoint(t.Context()), db.Settle(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(t, c, 500, 1000)
	sqlExec(t, c, `UPDATE t SET v = zeroblob(1000)`)
	upload(t, db)
	settle()
	again(0)
	const everything = `SELECT count(*), sum(unicode(hex(v))) FROM t`
	want := text(t, c.Raw(), everything)
	sqlExec(t, c, `UPDATE t SET v = cast(replace(hex(zeroblob(500)), '0', 'x') AS BLOB)`)
	upload(t, db)
	sqlExec(t, c, `UPDATE t SET v = zeroblob(1000)`)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	again(64 << 10)
	settle() // before anyone knows what the bucket has
	upload(t, db)
	settle()
	wantText(t, c.Raw(), everything, want)
	if _, err := h.VerifyRestore(t.Context(), sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
}
