package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// copied is another bucket with the same objects.
func copied(from objstore.Bucket) (objstore.Bucket, error) {
	to := objstore.NewMemory()
	ctx := context.Background()
	for info, err := range from.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		body, _, err := from.Get(ctx, info.Key, 0, -1)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		if _, err := to.Put(ctx, info.Key, readerAt(b), int64(len(b)), objstore.PutOptions{}); err != nil {
			return nil, err
		}
	}
	return to, nil
}

type readerAt []byte

func (b readerAt) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, b[min(off, int64(len(b))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func coldDisk(disk *crashfs.FS, tmp string, bucket objstore.Bucket) sqlite.Options {
	o := onDisk(disk, tmp)
	o.Keys = testKeys
	o.CacheBytes = 64 << 10
	o.Cold = withBucket("", bucket).Cold
	o.Cold.LocalBytes = 128 << 10
	return o
}

// coldWorkload writes, and lets pages go to the bucket, leave the disk and come back, keys change and snapshots be taken.
func coldWorkload(disk *crashfs.FS, tmp string, bucket objstore.Bucket, p *progress) error {
	ctx := context.Background()
	h, err := sqlite.Open(ctx, coldDisk(disk, tmp, bucket))
	if err != nil {
		return err
	}
	defer h.Close(ctx)
	db, err := h.Create(ctx, "bank", sqlite.CreateOptions{})
	if err != nil {
		return err
	}
	p.created = true
	c, err := db.Conn(ctx, sqlite.ConnOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Raw().Exec(`BEGIN IMMEDIATE;
		CREATE TABLE log (n INTEGER PRIMARY KEY, pad BLOB);
		CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
		CREATE TABLE big AS SELECT value, randomblob(2000) AS b FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 150) SELECT value FROM s);
		INSERT INTO account VALUES (1, 1000), (2, 0);
		COMMIT`); err != nil {
		return err
	}
	p.tables = true
	for i := 1; i <= 8; i++ {
		p.tried = i
		if err := c.Raw().Exec(fmt.Sprintf(`BEGIN IMMEDIATE;
			INSERT INTO log VALUES (%d, randomblob(1000));
			UPDATE account SET money = money - %d WHERE id = 1;
			UPDATE account SET money = money + %d WHERE id = 2;
			UPDATE big SET b = randomblob(2000) WHERE value %% 13 = %d;
			COMMIT`, i, i, i, i)); err != nil {
			return errors.Join(err, c.Err())
		}
		p.acked = i
		switch i {
		case 1, 3, 6:
			if err = db.Upload(ctx); err == nil {
				if err = db.Checkpoint(ctx); err == nil {
					err = db.Settle(ctx)
				}
			}
		case 2, 4:
			err = db.Checkpoint(ctx)
		case 5:
			err = db.Rekey(ctx, sqlite.RekeyOptions{Data: true})
		case 7:
			_, err = db.Snapshot(ctx, sqlite.SnapshotOptions{Kind: backup.PurposeIncremental})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestEveryCrashWithABucketLeavesWhatWasAcknowledged(t *testing.T) {
	tmp := t.TempDir()
	count := crashfs.New()
	var p progress
	if err := coldWorkload(count, tmp, objstore.NewMemory(), &p); err != nil {
		t.Fatal(err)
	}
	ops := count.Ops()
	t.Logf("%d operations", ops)
	step := max(1, ops/14) // each of them takes a while; the first one moves with the seed of the day
	if testing.Short() {
		step *= 4
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for n := 1 + int(testSeed()%uint64(step)); n <= ops; n += step {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			disk, bucket := crashfs.New(), objstore.NewMemory()
			disk.CrashAt(n)
			var p progress
			_ = coldWorkload(disk, tmp, bucket, &p)
			for mode, image := range disk.Images(1) {
				b, err := copied(bucket)
				if err == nil {
					err = checkColdCrash(image, tmp, b, p)
				}
				if err != nil {
					t.Errorf("crash at operation %d of %d, %v: %v", n, ops, mode, err)
				}
			}
		})
		if t.Failed() {
			break
		}
	}
	wg.Wait()
}

// checkColdCrash opens what a crash has left, goes on, and restores it from the bucket.
func checkColdCrash(disk *crashfs.FS, tmp string, bucket objstore.Bucket, p progress) error {
	ctx := context.Background()
	h, err := sqlite.Open(ctx, coldDisk(disk, tmp, bucket))
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer h.Close(ctx)
	db, err := h.DB("bank")
	if errors.Is(err, sqlite.ErrNoDatabase) && !p.created {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := db.Conn(ctx, sqlite.ConnOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	if s, err := tryText(c.Raw(), `PRAGMA integrity_check`); err != nil || s != "ok" {
		return fmt.Errorf("integrity_check says %s, %v, %v", s, err, c.Err())
	}
	if s, _ := tryText(c.Raw(), `SELECT count(*) FROM sqlite_schema`); s == "0" {
		if p.tables {
			return errors.New("the tables are gone")
		}
		return nil
	}
	var n, sum int
	s, err := tryText(c.Raw(), `SELECT ifnull(max(n), 0), (SELECT sum(money) FROM account) FROM log`)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(s, "%d,%d", &n, &sum); err != nil || n < p.acked || n > p.tried || sum != 1000 {
		return fmt.Errorf("got %s, acknowledged %d, tried %d", s, p.acked, p.tried)
	}
	if err := c.Raw().Exec(`UPDATE big SET b = randomblob(2000) WHERE value % 7 = 1`); err != nil {
		return errors.Join(err, c.Err())
	}
	if err := db.Upload(ctx); err != nil {
		return err
	}
	if err := db.Settle(ctx); err != nil {
		return err
	}
	r, err := h.VerifyRestore(ctx, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "bank"}, Target: backup.Target{Latest: true}})
	if err != nil || r.TXID != db.Heads().Committed {
		return fmt.Errorf("restoring: %+v, %w", r, err)
	}
	report, err := h.VerifyBackup(ctx, sqlite.BackupOf{Name: "bank"}, true, nil)
	if err != nil || len(report.Problems) > 0 {
		return fmt.Errorf("verifying: %v, %w", report, err)
	}
	return nil
}

func TestEveryCrashOfAnAdoptionIsMadeGood(t *testing.T) {
	tmp := t.TempDir()
	lost := objstore.NewMemory()
	ctx := context.Background()
	h, err := sqlite.Open(ctx, coldDisk(crashfs.New(), tmp, lost))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		db, err := h.Create(ctx, fmt.Sprint("d", i), sqlite.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, db)
		fill(t, c, 100, 500)
		upload(t, db)
		sqlExec(t, c, `DELETE FROM t WHERE id > 90`)
		c.Close()
	}
	closeHost(t, h)
	adopt := func(disk *crashfs.FS, b objstore.Bucket) error {
		o := coldDisk(disk, tmp, b)
		o.Cold.Adopt = true
		h, err := sqlite.Open(ctx, o)
		if err != nil {
			return err
		}
		defer h.Close(ctx)
		for i := range 3 {
			db, err := h.DB(fmt.Sprint("d", i))
			if err != nil {
				return err
			}
			c, err := db.Conn(ctx, sqlite.ConnOptions{})
			if err != nil {
				return err
			}
			defer c.Close()
			if s, err := tryText(c.Raw(), `SELECT count(*) FROM t`); err != nil || s != "90" {
				return fmt.Errorf("%s has %s rows, %w", db.Name(), s, errors.Join(err, c.Err()))
			}
			if err := c.Raw().Exec(`BEGIN IMMEDIATE; INSERT INTO t (id) VALUES (1000); DELETE FROM t WHERE id = 1000; COMMIT`); err != nil {
				return errors.Join(err, c.Err())
			}
			if err := db.Upload(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	count := crashfs.New()
	b, err := copied(lost)
	if err == nil {
		err = adopt(count, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	ops := count.Ops()
	t.Logf("%d operations", ops)
	step := max(1, ops/8) // each of them takes a while
	for n := 1 + int(testSeed()%uint64(step)); n <= ops; n += step {
		b, err := copied(lost)
		if err != nil {
			t.Fatal(err)
		}
		disk := crashfs.New()
		disk.CrashAt(n)
		_ = adopt(disk, b)
		for mode, image := range disk.Images(1) {
			again, err := copied(b)
			if err == nil {
				err = adopt(image, again)
			}
			if err != nil {
				t.Errorf("crash at operation %d of %d, %v: %v", n, ops, mode, err)
			}
		}
		if t.Failed() {
			break
		}
	}
}
