package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/sqlite"
)

func onDisk(disk *crashfs.FS, tmp string) sqlite.Options {
	return withKeys(sqlite.Options{
		Dir: "/data", FS: disk, TempDir: tmp,
		LogOptions:         aof.Options{SegmentBytes: 64 << 10, IdleMark: time.Hour},
		CheckpointBytes:    8 << 10,
		CheckpointInterval: time.Hour,
		Logger:             slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// progress is what a workload knows of its own transactions.
type progress struct {
	created bool // CREATE DATABASE was acknowledged
	tables  bool
	acked   int // the last transaction that was acknowledged
	tried   int // the last one that was begun
}

// crashWorkload makes transactions 1, 2, …: each inserts its number and moves money. Between them are checkpoints,
// VACUUM, a change of the page size, a second database, and an opening.
func crashWorkload(disk *crashfs.FS, tmp string, p *progress) error {
	ctx := context.Background()
	h, err := sqlite.Open(ctx, onDisk(disk, tmp))
	if err != nil {
		return err
	}
	defer func() {
		if h != nil {
			h.Close(ctx)
		}
	}()
	db, err := h.Create(ctx, "bank", sqlite.CreateOptions{})
	if err != nil {
		return err
	}
	p.created = true
	c, err := db.Conn(ctx, sqlite.ConnOptions{})
	if err != nil {
		return err
	}
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	if err := c.Raw().Exec(`BEGIN IMMEDIATE;
		CREATE TABLE log (n INTEGER PRIMARY KEY, pad BLOB);
		CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL);
		INSERT INTO account VALUES (1, 1000), (2, 0);
		COMMIT`); err != nil {
		return err
	}
	p.tables = true
	for i := 1; i <= 14; i++ {
		p.tried = i
		if err := c.Raw().Exec(fmt.Sprintf(`BEGIN IMMEDIATE;
			INSERT INTO log VALUES (%d, randomblob(%d));
			UPDATE account SET money = money - %d WHERE id = 1;
			UPDATE account SET money = money + %d WHERE id = 2;
			COMMIT`, i, 300+i%3*2500, i, i)); err != nil {
			return err
		}
		p.acked = i
		switch i {
		case 3, 12:
			err = db.Checkpoint(ctx)
		case 5:
			err = c.Raw().Exec(`VACUUM`)
		case 7:
			if _, err = h.Create(ctx, "other", sqlite.CreateOptions{}); err == nil {
				err = h.Drop(ctx, "other")
			}
		case 9:
			err = c.Raw().Exec(`PRAGMA page_size = 1024; VACUUM`)
			if err == nil {
				err = db.Checkpoint(ctx)
			}
		case 10:
			if err := errors.Join(c.Close(), h.Close(ctx)); err != nil {
				return err
			}
			if h, err = sqlite.Open(ctx, onDisk(disk, tmp)); err != nil {
				return err
			}
			if db, err = h.DB("bank"); err != nil {
				return err
			}
			c, err = db.Conn(ctx, sqlite.ConnOptions{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkCrash opens a disk as it looks after a crash, and tells what is wrong with it.
func checkCrash(disk *crashfs.FS, tmp string, p progress) error {
	ctx := context.Background()
	h, err := sqlite.Open(ctx, onDisk(disk, tmp))
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer h.Close(ctx)
	if d := h.Damage(); len(d) > 0 {
		return fmt.Errorf("damage is reported: %v", d)
	}
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
		return fmt.Errorf("integrity_check says %s, %v", s, err)
	}
	if s, _ := tryText(c.Raw(), `SELECT count(*) FROM sqlite_schema`); s == "0" && !p.tables {
		return nil
	}
	s, err := tryText(c.Raw(), `SELECT count(*), ifnull(max(n), 0), (SELECT sum(money) FROM account), (SELECT money FROM account WHERE id = 2) FROM log`)
	if err != nil {
		return err
	}
	var n, last, sum, moved int
	if _, err := fmt.Sscanf(s, "%d,%d,%d,%d", &n, &last, &sum, &moved); err != nil {
		return fmt.Errorf("%q: %w", s, err)
	}
	if n != last || last < p.acked || last > p.tried || sum != 1000 || moved != last*(last+1)/2 {
		return fmt.Errorf("acknowledged %d, begun %d, found %d up to %d, sum %d, moved %d", p.acked, p.tried, n, last, sum, moved)
	}
	// It must go on from there.
	if err := c.Raw().Exec(`INSERT INTO log VALUES (1000, 'x')`); err != nil {
		return fmt.Errorf("writing after recovery: %w", err)
	}
	return db.Checkpoint(ctx)
}

func TestEveryCrashLeavesWhatWasAcknowledged(t *testing.T) {
	tmp := t.TempDir()
	count := crashfs.New()
	var p progress
	if err := crashWorkload(count, tmp, &p); err != nil {
		t.Fatal(err)
	}
	ops := count.Ops()
	t.Logf("%d operations", ops)
	step := 1
	if testing.Short() {
		step = 7
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 12)
	for n := 1; n <= ops; n += step {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			disk := crashfs.New()
			disk.CrashAt(n)
			var p progress
			_ = crashWorkload(disk, tmp, &p)
			k := 0
			for mode, image := range disk.Images(1) {
				if err := checkCrash(image, tmp, p); err != nil {
					t.Errorf("crash at operation %d of %d, %v image %d: %v", n, ops, mode, k, err)
				}
				k++
			}
		})
		if t.Failed() {
			break
		}
	}
	wg.Wait()
}
