package coldtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// features fills a database with what SQLite keeps in ways of its own.
const features = `
	CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB);
	CREATE INDEX ta ON t (a, b);
	CREATE VIRTUAL TABLE f USING fts5 (body);
	CREATE VIRTUAL TABLE r USING rtree (id, x0, x1, y0, y1);
	CREATE TABLE big (id INTEGER PRIMARY KEY, b BLOB);`

func more(n int) string {
	return fmt.Sprintf(`BEGIN IMMEDIATE;
		INSERT INTO t (a, b) SELECT 'row %[1]d', randomblob(100 + v) FROM %[2]s;
		INSERT INTO f (body) SELECT 'word' || v || ' common round%[1]d' FROM %[2]s;
		INSERT INTO r SELECT %[1]d * 1000 + v, v, v + 1, %[1]d, %[1]d + 1 FROM %[2]s;
		INSERT INTO big (b) VALUES (randomblob(400000)), (zeroblob(300000));
		DELETE FROM t WHERE id %% 5 = %[1]d; DELETE FROM big WHERE id %% 3 = %[1]d; COMMIT`, n, rows(120))
}

// digests tell whether two databases say the same.
var digests = []string{
	`SELECT count(*), total(id), total(length(b)), group_concat(hex(substr(b, 1, 2)), '') FROM t`,
	`SELECT count(*) FROM t WHERE a >= 'row 1'`,
	`SELECT count(*) FROM f WHERE f MATCH 'common'`,
	`SELECT group_concat(rowid) FROM f WHERE f MATCH 'word7'`,
	`SELECT count(*), total(id) FROM r WHERE x0 < 50 AND y1 > 1`,
	`SELECT count(*), total(length(b)), group_concat(hex(substr(b, 200000, 8)), '') FROM big`,
}

func digest(t testing.TB, c *sqlite.Conn) (all string) {
	t.Helper()
	for _, q := range digests {
		s, err := text(c.Raw(), q)
		if err != nil {
			t.Fatal(c.Explain(err))
		}
		all += s + "\n"
	}
	return all
}

// settled lets pages leave the disk until the bound holds.
func settled(t testing.TB, db *sqlite.DB, bound int64) {
	t.Helper()
	eventually(t, "the pages have left the disk", func() bool {
		if err := errors.Join(db.Upload(t.Context()), db.Checkpoint(t.Context()), db.Settle(t.Context())); err != nil {
			t.Fatal(err)
		}
		return db.LocalBytes() <= bound
	})
}

func TestPageSizesAndFeatures(t *testing.T) {
	vacuums := []string{"none", "full", "incremental"}
	for i, size := range []int{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536} {
		vacuum := vacuums[i%3]
		t.Run(fmt.Sprintf("%d, auto_vacuum %s", size, vacuum), func(t *testing.T) {
			bucket := objstore.NewMemory()
			o := cold(t.TempDir(), bucket)
			o.Cold.LocalBytes = 512 << 10
			if i%2 == 0 {
				o.Keys = testKeys
			}
			h := open(t, o)
			db := create(t, h, "d", sqlite.CreateOptions{PageSize: size})
			c := connect(t, db)
			do(t, c, `PRAGMA auto_vacuum = `+vacuum+`; VACUUM;`+features)
			states := map[sqlite.TXID]sum{}
			remember := func() {
				s, err := stateOf(t.Context(), db)
				if err != nil {
					t.Fatal(err)
				}
				states[db.Heads().Committed] = s
			}
			kinds := []backup.Purpose{backup.PurposeFull, backup.PurposeIncremental, backup.PurposeDifferential}
			for n := range 5 {
				do(t, c, more(n))
				if n == 2 {
					settled(t, db, o.Cold.LocalBytes)
					do(t, c, `VACUUM`)
				}
				if vacuum == "incremental" {
					do(t, c, `PRAGMA incremental_vacuum(50)`)
				}
				if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: kinds[n%3]}); err != nil {
					t.Fatal(err)
				}
				remember() // since the first snapshot: what was before can't be restored
			}
			if i%2 == 1 { // encrypted from now on
				c.Close()
				closeHost(t, h)
				o.Keys = testKeys
				h = open(t, o)
				db = find(t, h, "d")
				c = connect(t, db)
			}
			if err := db.Rekey(t.Context(), sqlite.RekeyOptions{Data: true}); err != nil {
				t.Fatal(err)
			}
			do(t, c, more(5))
			remember()
			settled(t, db, o.Cold.LocalBytes)
			eventually(t, "all pages are sealed anew", func() bool { return !db.RekeyStatus().Running })
			all := digest(t, c)
			want(t, c.Raw(), integrity, "ok")
			want(t, c.Raw(), `PRAGMA page_size`, fmt.Sprint(size))
			for txid, state := range states {
				got, err := restoredSum(t.Context(), h, "d", backup.Target{TXID: txid})
				if err != nil || got != state {
					t.Fatalf("transaction %d: %v, or it is another one", txid, err)
				}
			}
			checked(t, h, sqlite.BackupOf{Name: "d"})
			copied, _, err := h.Restore(t.Context(), "copy", sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}})
			if err != nil {
				t.Fatal(err)
			}
			if got := digest(t, connect(t, copied)); got != all {
				t.Fatal("a restored database is another one")
			}
			final := exported(t, db)
			sound(t, final)
			c.Close()
			closeHost(t, h)

			o.Dir, o.Cold.Adopt = t.TempDir(), true
			h = open(t, o)
			c = connect(t, find(t, h, "d"))
			if got := digest(t, c); got != all {
				t.Fatal("a database on an empty disk is another one")
			}
			want(t, c.Raw(), integrity, "ok")
			do(t, c, more(6)+`; VACUUM`)
			want(t, c.Raw(), integrity, "ok")
		})
	}
}

// A database that is larger than 2 GiB, so that the page at 1 GiB, which SQLite never uses, is in the middle.
func TestPastTwoGiB(t *testing.T) {
	if !*large {
		t.Skip("takes minutes: -large")
	}
	for _, size := range []int{65536, 4096} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { pastTwoGiB(t, size) })
	}
}

func pastTwoGiB(t *testing.T, size int) {
	begun := time.Now()
	lap := func(what string) {
		t.Logf("%s: %v", what, time.Since(begun).Round(100*time.Millisecond))
		begun = time.Now()
	}
	bucket, err := objstore.OpenPlainDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := cold(t.TempDir(), bucket)
	o.CheckpointBytes, o.CacheBytes, o.LogOptions.SegmentBytes = 64<<20, 64<<20, 64<<20
	o.Cold.LocalBytes = 256 << 20
	h := open(t, o)
	db := create(t, h, "d", sqlite.CreateOptions{PageSize: size})
	c := connect(t, db)
	do(t, c, `CREATE TABLE big (id INTEGER PRIMARY KEY, name TEXT, b BLOB); CREATE INDEX bn ON big (name)`)
	const each = 16 << 20
	for n := 1; n*each < 2<<30+256<<20; n++ {
		do(t, c, fmt.Sprintf(`INSERT INTO big VALUES (%[1]d, 'row %[1]d', zeroblob(%[2]d)); INSERT INTO big SELECT 1000 * %[1]d + v, 'small', randomblob(3000) FROM %[3]s`, n, each, rows(20)))
		if n%32 == 0 {
			if err := db.Upload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	const all = `SELECT count(*), total(length(b)), total(unicode(name)), max(id) FROM big`
	said, err := text(c.Raw(), all)
	if err != nil {
		t.Fatal(err)
	}
	pages := db.Info().Pages
	if pages*int64(size) < 2<<30 {
		t.Fatalf("it has %d bytes", pages*int64(size))
	}
	lap("filled")
	if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
	lap("full snapshot")
	eventually(t, "the pages have left the disk", func() bool {
		if err := errors.Join(db.Checkpoint(t.Context()), db.Settle(t.Context())); err != nil {
			t.Fatal(err)
		}
		return db.LocalBytes() <= o.Cold.LocalBytes
	})
	lap("eviction")
	before := db.Heads().Committed
	do(t, c, `UPDATE big SET name = 'changed' WHERE id % 1000 = 7; DELETE FROM big WHERE id = 65`)
	if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{Kind: backup.PurposeIncremental}); err != nil {
		t.Fatal(err)
	}
	lap("incremental snapshot")
	c.Close()
	closeHost(t, h)
	o.Keys = testKeys // encrypted from now on
	h = open(t, o)
	db = find(t, h, "d")
	if err := db.Rekey(t.Context(), sqlite.RekeyOptions{Data: true}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Minute); db.RekeyStatus().Running; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("sealing the pages doesn't come to an end: %+v", db.RekeyStatus())
		}
	}
	lap("rekey of what is here")
	if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{}); err != nil {
		t.Fatal(err)
	}
	lap("full snapshot, sealed")
	for _, to := range []backup.Target{{Latest: true}, {TXID: before}} {
		name := filepath.Join(t.TempDir(), "out.db")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.RestoreTo(t.Context(), f, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: to}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		lap("restored " + to.String())
		p := plain(t, name)
		want(t, p, `PRAGMA quick_check`, "ok")
		if to.TXID == before {
			want(t, p, all, said)
		} else {
			want(t, p, `SELECT count(*) FROM big WHERE id = 65`, "0")
		}
		p.Close()
		os.Remove(name)
		lap("and checked")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Cold.Adopt = t.TempDir(), true
	begun = time.Now()
	h = open(t, o)
	c = connect(t, find(t, h, "d"))
	want(t, c.Raw(), `SELECT name FROM big WHERE id = 100007`, "changed")
	lap("first answer on an empty disk")
	want(t, c.Raw(), `PRAGMA quick_check`, "ok")
	lap("checked on an empty disk")
	do(t, c, `INSERT INTO big VALUES (-1, 'new', randomblob(100000))`)
	if err := find(t, h, "d").Upload(t.Context()); err != nil {
		t.Fatal(err)
	}
}
