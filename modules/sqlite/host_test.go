package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/ncruces/go-sqlite3"
)

func TestDatabasesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	ctx := t.Context()
	for _, name := range []string{"b", "a", "Ünïcode name", "c"} {
		db := create(t, h, name)
		sqlExec(t, connect(t, db), fmt.Sprintf(`CREATE TABLE t (x); INSERT INTO t VALUES ('%s')`, name))
	}
	if _, err := h.Create(ctx, "a", sqlite.CreateOptions{}); !errors.Is(err, sqlite.ErrExists) {
		t.Fatalf("got %v", err)
	}
	for _, name := range []string{"", "a/b", "../x", ":memory:", "file:x", "_bop_system", "a\x00b", strings.Repeat("x", 200), "\xff"} {
		if _, err := h.Create(ctx, name, sqlite.CreateOptions{}); !errors.Is(err, sqlite.ErrBadName) {
			t.Fatalf("%q: got %v", name, err)
		}
	}
	if _, err := h.DB("nobody"); !errors.Is(err, sqlite.ErrNoDatabase) {
		t.Fatalf("got %v", err)
	}
	if _, err := h.DB("_bop_system"); !errors.Is(err, sqlite.ErrNoDatabase) {
		t.Fatalf("the system database shows: %v", err)
	}
	dropped := find(t, h, "b")
	orphan := connect(t, dropped)
	if err := h.Drop(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := orphan.Raw().Exec(`INSERT INTO t VALUES (1)`); err == nil || !errors.Is(orphan.Err(), sqlite.ErrClosed) {
		t.Fatalf("a dropped database takes writes: %v, %v", err, orphan.Err())
	}
	if err := h.Drop(ctx, "b"); !errors.Is(err, sqlite.ErrNoDatabase) {
		t.Fatalf("got %v", err)
	}
	if err := h.Rename(ctx, "c", "a"); !errors.Is(err, sqlite.ErrExists) {
		t.Fatalf("got %v", err)
	}
	if err := h.Rename(ctx, "c", "see"); err != nil {
		t.Fatal(err)
	}
	id := find(t, h, "see").ID()
	again := create(t, h, "b")
	if again.ID() == dropped.ID() || again.Segment() == dropped.Segment() {
		t.Fatal("the new database has the id or the segment of the dropped one")
	}
	check := func(h *sqlite.Host) {
		t.Helper()
		var names []string
		for _, info := range h.Databases() {
			names = append(names, info.Name)
		}
		if got := strings.Join(names, ","); got != "a,b,see,Ünïcode name" {
			t.Fatalf("databases: %s", got)
		}
		wantText(t, connect(t, find(t, h, "see")).Raw(), `SELECT x FROM t`, "c")
		wantText(t, connect(t, find(t, h, "b")).Raw(), `SELECT count(*) FROM sqlite_schema`, "0")
		if find(t, h, "see").ID() != id {
			t.Fatal("the id changed with the name")
		}
	}
	check(h)
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	h = open(t, sqlite.Options{Dir: dir})
	check(h)
	if _, err := os.Stat(filepath.Join(dir, "db", fmt.Sprint(dropped.Segment()))); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the files of the dropped database are still there: %v", err)
	}
}

func TestAFolderInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	if _, err := tryOpen(t, sqlite.Options{Dir: dir}); !errors.Is(err, sqlite.ErrLocked) {
		t.Fatalf("got %v", err)
	}
	create(t, h, "still works")
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	open(t, sqlite.Options{Dir: dir})
}

func TestANewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	sqlExec(t, connect(t, create(t, h, "d")), `CREATE TABLE t (x)`)
	h.Close(t.Context())
	t.Run("of the folder", func(t *testing.T) {
		name := filepath.Join(dir, "format")
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(name, []byte("bop-sqlite 7\n"), 0o600)
		defer os.WriteFile(name, old, 0o600)
		_, err = tryOpen(t, sqlite.Options{Dir: dir})
		var newer *sqlite.NewerFormatError
		if !errors.Is(err, sqlite.ErrNewerFormat) || !errors.As(err, &newer) || newer.Found != 7 {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("of a page file", func(t *testing.T) {
		name := filepath.Join(dir, "db", "1", "pages")
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		old := make([]byte, 512)
		f.ReadAt(old, 0)
		f.WriteAt(newerHeader(old), 0)
		if _, err := tryOpen(t, sqlite.Options{Dir: dir}); !errors.Is(err, sqlite.ErrNewerFormat) {
			t.Fatalf("got %v", err)
		}
		f.WriteAt(old, 0)
	})
	wantText(t, connect(t, find(t, open(t, sqlite.Options{Dir: dir}), "d")).Raw(), `SELECT count(*) FROM t`, "0")
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	db := create(t, h, "d")
	sqlExec(t, connect(t, db), `CREATE TABLE t (x); INSERT INTO t VALUES (1)`)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file of the log may come and go meanwhile
		}
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadersNeverSeeHalfATransfer(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir(), CheckpointBytes: 64 << 10, CacheBytes: 256 << 10})
	db := create(t, h, "bank")
	sqlExec(t, connect(t, db), `CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER, pad BLOB);
		INSERT INTO account SELECT value, 1000, randomblob(300) FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 200) SELECT value FROM s)`)
	p := pool(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers, writers sync.WaitGroup
	var reads atomic.Int64
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				tx, err := p.BeginTx(ctx, nil)
				_ = tx
				if err == nil {
					tx.Rollback()
				}
				var sum, n int
				if err := p.QueryRow(`SELECT sum(money), count(*) FROM account`).Scan(&sum, &n); err != nil || sum != 200_000 || n != 200 {
					t.Errorf("sum %d of %d accounts, %v", sum, n, err)
					return
				}
				reads.Add(1)
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 60 {
				tx, err := p.Begin()
				if err != nil {
					t.Error(err)
					return
				}
				from, to := (w*37+i*13)%200+1, (w*11+i*29+100)%200+1
				_, err1 := tx.Exec(`UPDATE account SET money = money - ? WHERE id = ?`, i, from)
				_, err2 := tx.Exec(`UPDATE account SET money = money + ?, pad = randomblob(300) WHERE id = ?`, i, to)
				if err := errors.Join(err1, err2, tx.Commit()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	if reads.Load() == 0 {
		t.Fatal("nobody has read")
	}
	wantText(t, connect(t, db).Raw(), `PRAGMA integrity_check`, "ok")
}

func TestASnapshotOutlivesCheckpointsAndWrites(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir(), CacheBytes: 64 << 10})
	db := create(t, h, "d")
	w := connect(t, db)
	sqlExec(t, w, `CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)`)
	fill := `INSERT INTO t (v) SELECT randomblob(2000) FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 100) SELECT value FROM s)`
	sqlExec(t, w, fill)
	type view struct {
		c    *sqlite.Conn
		want string
	}
	const sum = `SELECT count(*) || ':' || sum(unicode(hex(substr(v, 1, 1))) * id) || ':' || sum(length(v)) FROM t`
	var views []view
	for i := range 6 {
		c := connect(t, db)
		sqlExec(t, c, `BEGIN`)
		views = append(views, view{c, text(t, c.Raw(), sum)})
		sqlExec(t, w, fmt.Sprintf(`UPDATE t SET v = randomblob(%d) WHERE id %% 3 = %d`, 500+i*300, i%3))
		if i%2 == 1 {
			sqlExec(t, w, fmt.Sprintf(`DELETE FROM t WHERE id %% 7 = %d; VACUUM`, i))
		}
		sqlExec(t, w, fill)
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range views {
		// The page cache of the connection must not be what answers.
		sqlExec(t, v.c, `PRAGMA shrink_memory`)
		if got := text(t, v.c.Raw(), sum); got != v.want {
			t.Errorf("snapshot %d has changed from %s to %s", i, v.want, got)
		}
	}
	for _, v := range views {
		sqlExec(t, v.c, `COMMIT`)
		wantText(t, v.c.Raw(), `PRAGMA integrity_check`, "ok")
	}
	// Once nobody needs them, the old versions go.
	eventually(t, "old versions are collected", func() bool { return db.Versions() == 0 })
}

func TestOneLogServesManyDatabases(t *testing.T) {
	dir := t.TempDir()
	o := sqlite.Options{Dir: dir, CheckpointBytes: 32 << 10}
	h := open(t, o)
	const n = 12
	var wg sync.WaitGroup
	for i := range n {
		db := create(t, h, fmt.Sprintf("db%d", i))
		wg.Go(func() {
			c, err := db.Conn(t.Context(), sqlite.ConnOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			err = c.Raw().Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, db, v)`)
			for k := 0; k < 30 && err == nil; k++ {
				err = c.Raw().Exec(fmt.Sprintf(`INSERT INTO t (db, v) VALUES (%d, randomblob(500))`, i))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = open(t, o)
	for i := range n {
		c := connect(t, find(t, h, fmt.Sprintf("db%d", i)))
		wantText(t, c.Raw(), `SELECT count(*), min(db), max(db) FROM t`, fmt.Sprintf("30,%d,%d", i, i))
		wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	}
}

func TestAnIdleDatabaseDoesNotHoldTheLog(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir(), CheckpointBytes: 64 << 10, CheckpointInterval: 40 * time.Millisecond,
		LogOptions: aof.Options{SegmentBytes: 64 << 10}})
	idle, busy := create(t, h, "idle"), create(t, h, "busy")
	sqlExec(t, connect(t, idle), `CREATE TABLE t (x); INSERT INTO t VALUES (1)`)
	c := connect(t, busy)
	sqlExec(t, c, `CREATE TABLE t (x)`)
	head := h.Log().(sqlite.HeadLog)
	first, _ := head.Head()
	eventually(t, "the head of the log goes", func() bool {
		sqlExec(t, c, `INSERT INTO t VALUES (randomblob(8000))`)
		now, _ := head.Head()
		return now > first+10
	})
}

func TestImportAndExport(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir(), CheckpointBytes: 256 << 10, TxnMemory: 128 << 10})
	ctx := t.Context()
	for _, size := range []int{512, 65536} {
		for _, mode := range []string{"wal", "delete"} {
			t.Run(fmt.Sprintf("page size %d in mode %s", size, mode), func(t *testing.T) {
				src := filepath.Join(t.TempDir(), "src.db")
				c, err := sqlite3.Open("file:" + src)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.Exec(fmt.Sprintf(`PRAGMA page_size = %d; PRAGMA journal_mode = %s; CREATE TABLE t (id INTEGER PRIMARY KEY, v);
					INSERT INTO t SELECT value, randomblob(1500) FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 250) SELECT value FROM s)`, size, mode)); err != nil {
					t.Fatal(err)
				}
				want := dump(t, c)
				name := fmt.Sprintf("%s%d", mode, size)
				var done, total int64
				db, err := h.ImportFile(ctx, name, src, func(d, n int64) { done, total = d, n })
				if err != nil {
					t.Fatal(err)
				}
				if done == 0 || done != total {
					t.Errorf("progress ended with %d of %d", done, total)
				}
				conn := connect(t, db)
				if dump(t, conn.Raw()) != want {
					t.Fatal("contents differ")
				}
				wantText(t, conn.Raw(), `PRAGMA page_size`, fmt.Sprint(size))
				wantText(t, conn.Raw(), `PRAGMA journal_mode`, "wal")
				sqlExec(t, conn, `INSERT INTO t (v) VALUES ('more')`)
				out := filepath.Join(t.TempDir(), "out.db")
				if err := db.ExportFile(ctx, out); err != nil {
					t.Fatal(err)
				}
				if err := db.ExportFile(ctx, out); !errors.Is(err, os.ErrExist) {
					t.Fatalf("an existing file was written over: %v", err)
				}
				back, err := sqlite3.Open("file:" + out + "?mode=ro")
				if err != nil {
					t.Fatal(err)
				}
				defer back.Close()
				wantText(t, back, `PRAGMA integrity_check`, "ok")
				wantText(t, back, `PRAGMA page_size`, fmt.Sprint(size))
				if dump(t, back) != dump(t, conn.Raw()) {
					t.Fatal("the export differs")
				}
				var b bytes.Buffer
				if err := db.Export(ctx, &b); err != nil {
					t.Fatal(err)
				}
				again, err := h.Import(ctx, name+" again", &b, nil)
				if err != nil {
					t.Fatal(err)
				}
				if dump(t, connect(t, again).Raw()) != dump(t, conn.Raw()) {
					t.Fatal("the second import differs")
				}
				if again.ID() == db.ID() || again.Lineage() == db.Lineage() {
					t.Fatal("an import must have an id and a lineage of its own")
				}
			})
		}
	}
	t.Run("what is no database is refused and leaves nothing", func(t *testing.T) {
		bad := filepath.Join(t.TempDir(), "bad.db")
		os.WriteFile(bad, bytes.Repeat([]byte("garbage "), 2000), 0o600)
		if _, err := h.ImportFile(ctx, "bad", bad, nil); !errors.Is(err, sqlite.ErrNotSQLite) {
			t.Fatalf("got %v", err)
		}
		if _, err := h.ImportFile(ctx, "bad", t.TempDir(), nil); !errors.Is(err, sqlite.ErrNotSQLite) {
			t.Fatalf("got %v", err)
		}
		if _, err := h.ImportFile(ctx, "bad", bad+"x", nil); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("got %v", err)
		}
		if _, err := h.DB("bad"); !errors.Is(err, sqlite.ErrNoDatabase) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a database with a torn page is refused", func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "torn.db")
		c, err := sqlite3.Open("file:" + src)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Exec(`CREATE TABLE t (v); INSERT INTO t VALUES (randomblob(20000)), (randomblob(3000)), (randomblob(3000))`); err != nil {
			t.Fatal(err)
		}
		c.Close()
		f, _ := os.OpenFile(src, os.O_RDWR, 0)
		f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), 4096)
		f.Close()
		if _, err := h.ImportFile(ctx, "torn", src, nil); !errors.Is(err, sqlite.ErrNotSQLite) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a cancelled import leaves nothing", func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "big.db")
		c, err := sqlite3.Open("file:" + src)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Exec(`PRAGMA page_size = 512; PRAGMA synchronous = off; CREATE TABLE t (v); INSERT INTO t VALUES (zeroblob(3000000))`); err != nil {
			t.Fatal(err)
		}
		cctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if _, err := h.ImportFile(cctx, "big", src, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if _, err := h.DB("big"); !errors.Is(err, sqlite.ErrNoDatabase) {
			t.Fatalf("got %v", err)
		}
		create(t, h, "big")
	})
}
