package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/crashfs"
	"github.com/bop-platform/bop/modules/aof/fsys"
	"github.com/bop-platform/bop/modules/sqlite"
)

func TestADamagedPageIsNamedAndNeverReturned(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	db := create(t, h, "d")
	sqlExec(t, connect(t, db), `CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t SELECT value, zeroblob(3000) || 'needle' FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 50) SELECT value FROM s)`)
	other := create(t, h, "other")
	sqlExec(t, connect(t, other), `CREATE TABLE t (x); INSERT INTO t VALUES (1)`)
	name := filepath.Join(dir, "db", fmt.Sprint(db.Segment()), "pages")
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const headers, slot = 8192, 4096 + 44
	at := bytes.Index(data, []byte("needle"))
	if *encrypted {
		if at >= 0 {
			t.Fatal("the needle is there in the clear")
		}
		at = headers + 9*slot + 1000
	}
	data[at] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	h = open(t, sqlite.Options{Dir: dir})
	c := connect(t, find(t, h, "d"))
	_, err = tryText(c.Raw(), `SELECT sum(length(v)) FROM t`)
	var damage *sqlite.DamageError
	if err == nil || !errors.As(c.Err(), &damage) || !errors.Is(c.Err(), sqlite.ErrDamaged) {
		t.Fatalf("got %v, %v", err, c.Err())
	}
	if damage.File != name || damage.Page == 0 || damage.Offset != headers+int64(at-headers)/slot*slot {
		t.Fatalf("got %v, the flipped byte is at %d", damage, at)
	}
	// The rest can be read, and the other database too.
	wantText(t, c.Raw(), `SELECT count(*) FROM sqlite_schema`, "1")
	wantText(t, connect(t, find(t, h, "other")).Raw(), `SELECT x FROM t`, "1")
}

func TestADatabaseWithoutValidHeaderDoesNotKeepTheOthersDown(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	bad, good := create(t, h, "bad"), create(t, h, "good")
	for _, db := range []*sqlite.DB{bad, good} {
		sqlExec(t, connect(t, db), `CREATE TABLE t (x); INSERT INTO t VALUES (1)`)
	}
	h.Close(t.Context())
	name := filepath.Join(dir, "db", fmt.Sprint(bad.Segment()), "pages")
	data, _ := os.ReadFile(name)
	clear(data[:8192])
	os.WriteFile(name, data, 0o600)
	h = open(t, sqlite.Options{Dir: dir})
	if err := find(t, h, "bad").Err(); !errors.Is(err, sqlite.ErrDamaged) || !strings.Contains(err.Error(), name) {
		t.Fatalf("got %v", err)
	}
	if _, err := find(t, h, "bad").Conn(t.Context(), sqlite.ConnOptions{}); !errors.Is(err, sqlite.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	sqlExec(t, connect(t, find(t, h, "good")), `INSERT INTO t VALUES (2)`)
}

func TestTheOlderHeaderStandsInForADamagedOne(t *testing.T) {
	disk := crashfs.New()
	o := onDisk(disk, t.TempDir())
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	sqlExec(t, c, `CREATE TABLE t (x, pad)`)
	for i := range 9 {
		// More than a file of the log holds, so that its head goes.
		for range 5 {
			sqlExec(t, c, `DELETE FROM t WHERE x IS NULL; INSERT INTO t VALUES (NULL, randomblob(30000))`)
		}
		sqlExec(t, c, fmt.Sprintf(`INSERT INTO t VALUES (%d, '')`, i))
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join("/data/db", fmt.Sprint(db.Segment()), "pages")
	disk.Crash()
	for header := range int64(2) {
		image := disk.Image(crashfs.Kept, 0)
		image.Flip(name, header*4096+70, 3)
		h := open(t, onDisk(image, t.TempDir()))
		c := connect(t, find(t, h, "d"))
		wantText(t, c.Raw(), `SELECT count(x), max(x) FROM t`, "9,8")
		wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	}
}

func TestAFailedFsyncOfTheLog(t *testing.T) {
	disk := crashfs.New()
	tmp := t.TempDir()
	h := open(t, onDisk(disk, tmp))
	db := create(t, h, "d")
	c := connect(t, db)
	sqlExec(t, c, `CREATE TABLE t (x); INSERT INTO t VALUES ('kept')`)
	var broken atomic.Bool
	disk.Inject(func(op crashfs.Op) error {
		if broken.Load() && op.Kind == crashfs.Sync && strings.HasPrefix(op.Name, "/data/log") {
			return syscall.EIO
		}
		return nil
	})
	broken.Store(true)
	if err := run(c, `INSERT INTO t VALUES ('who knows')`); !errors.Is(err, sqlite.ErrOutcomeUnknown) || errors.Is(err, sqlite.ErrNotCommitted) {
		t.Fatalf("got %v", err)
	}
	broken.Store(false)
	// What is committed can be read, nothing can be written.
	d := connect(t, db)
	wantText(t, d.Raw(), `SELECT group_concat(x) FROM t`, "kept")
	if err := run(d, `INSERT INTO t VALUES ('no')`); !errors.Is(err, sqlite.ErrLogFailed) || !errors.Is(err, sqlite.ErrNotCommitted) || errors.Is(err, sqlite.ErrOutcomeUnknown) {
		t.Fatalf("got %v", err)
	}
	h.Close(t.Context())
	h = open(t, onDisk(disk, tmp))
	c = connect(t, find(t, h, "d"))
	if got := text(t, c.Raw(), `SELECT group_concat(x) FROM t`); got != "kept" && got != "kept,who knows" {
		t.Fatalf("got %s", got)
	}
	sqlExec(t, c, `INSERT INTO t VALUES ('again')`)
}

func TestAFailedFsyncOfThePageFile(t *testing.T) {
	for _, which := range []int{1, 2} { // of the pages, of the header
		t.Run(fmt.Sprintf("sync %d of the checkpoint", which), func(t *testing.T) {
			disk := crashfs.New()
			tmp := t.TempDir()
			h := open(t, onDisk(disk, tmp))
			db := create(t, h, "d")
			c := connect(t, db)
			sqlExec(t, c, `CREATE TABLE t (x); INSERT INTO t VALUES (1)`)
			for range 3 {
				sqlExec(t, c, `UPDATE t SET x = x + 1`)
				if err := db.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var n atomic.Int64
			disk.Inject(func(op crashfs.Op) error {
				if op.Kind == crashfs.Sync && strings.Contains(op.Name, "/pages") && n.Add(1) == int64(which) {
					return syscall.EIO
				}
				return nil
			})
			sqlExec(t, c, `UPDATE t SET x = x + 1`)
			if err := db.Checkpoint(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v", err)
			}
			sqlExec(t, c, `UPDATE t SET x = x + 1; CREATE TABLE u AS SELECT randomblob(9000)`)
			wantText(t, c.Raw(), `SELECT x FROM t`, "6")
			if err := db.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantText(t, c.Raw(), `SELECT x FROM t`, "6")
			disk.Crash()
			for mode, image := range disk.Images(2) {
				h := open(t, onDisk(image, tmp))
				c := connect(t, find(t, h, "d"))
				if got := text(t, c.Raw(), `SELECT x FROM t`); got != "6" {
					t.Errorf("%v: got %s", mode, got)
				}
				wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
			}
		})
	}
}

func TestAFullDisk(t *testing.T) {
	for _, where := range []string{"/data/log", "/data/db"} {
		t.Run("at "+where, func(t *testing.T) {
			disk := crashfs.New()
			tmp := t.TempDir()
			h := open(t, onDisk(disk, tmp))
			db := create(t, h, "d")
			c := connect(t, db)
			c.SetLockTimeout(5 * time.Second)
			sqlExec(t, c, `CREATE TABLE t (n INTEGER PRIMARY KEY, v)`)
			var full atomic.Bool
			disk.Inject(func(op crashfs.Op) error {
				if full.Load() && op.Kind == crashfs.Write && strings.HasPrefix(op.Name, where) {
					return &crashfs.ShortWrite{N: op.Len / 2, Err: syscall.ENOSPC}
				}
				return nil
			})
			acked := 0
			insert := func() error {
				err := run(c, fmt.Sprintf(`INSERT INTO t VALUES (%d, randomblob(9000))`, acked+1))
				if err == nil {
					acked++
				}
				return err
			}
			for range 5 {
				if err := insert(); err != nil {
					t.Fatal(err)
				}
			}
			full.Store(true)
			var err error
			for range 200 {
				if err = insert(); err != nil {
					break
				}
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("got %v", err)
			}
			if strings.HasSuffix(where, "log") && !errors.Is(err, sqlite.ErrNotCommitted) {
				t.Fatalf("got %v", err)
			}
			// Reading goes on.
			d := connect(t, db)
			wantText(t, d.Raw(), `SELECT count(*), max(n) FROM t`, fmt.Sprintf("%d,%d", acked, acked))
			full.Store(false)
			c = connect(t, db)
			c.SetLockTimeout(5 * time.Second)
			eventually(t, "writes are taken again", func() bool { return insert() == nil })
			if err := db.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			disk.Crash()
			image := disk.Image(crashfs.Lost, 0)
			h = open(t, onDisk(image, tmp))
			c = connect(t, find(t, h, "d"))
			wantText(t, c.Raw(), `SELECT count(*), max(n) FROM t`, fmt.Sprintf("%d,%d", acked, acked))
			wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
		})
	}
}

// panicFS panics in operations on one file when it is told to.
type panicFS struct {
	fsys.FS
	name        atomic.Pointer[string]
	read, write atomic.Bool
}

type panicFile struct {
	fsys.File
	fs   *panicFS
	name string
}

func (p *panicFS) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	f, err := p.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &panicFile{f, p, name}, nil
}

func (f *panicFile) hit() bool {
	n := f.fs.name.Load()
	return n != nil && strings.HasPrefix(f.name, *n)
}

func (f *panicFile) ReadAt(b []byte, off int64) (int, error) {
	if f.fs.read.Load() && f.hit() {
		panic("reading is broken")
	}
	return f.File.ReadAt(b, off)
}

func (f *panicFile) WriteAt(b []byte, off int64) (int, error) {
	if f.fs.write.Load() && f.hit() {
		panic("writing is broken")
	}
	return f.File.WriteAt(b, off)
}

func TestAPanicTakesOneDatabaseOutOfServiceForAMoment(t *testing.T) {
	for _, what := range []string{"in a statement", "in a checkpoint"} {
		t.Run(what, func(t *testing.T) {
			pfs := &panicFS{FS: fsys.OS}
			dir := t.TempDir()
			o := sqlite.Options{Dir: dir, FS: pfs, CacheBytes: 1}
			h := open(t, o)
			bad, good := create(t, h, "bad"), create(t, h, "good")
			for _, db := range []*sqlite.DB{bad, good} {
				sqlExec(t, connect(t, db), `CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(2000000))`)
				if err := db.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				sqlExec(t, connect(t, db), `INSERT INTO t VALUES ('in the log')`)
			}
			epoch := bad.RollbackEpoch()
			prefix := filepath.Join(dir, "db", fmt.Sprint(bad.Segment()), "pages")
			pfs.name.Store(&prefix)
			c := connect(t, bad)
			if what == "in a statement" {
				pfs.read.Store(true)
				_, err := tryText(c.Raw(), `SELECT hex(substr(x, 1900000, 1)) FROM t`)
				pfs.read.Store(false)
				var p *sqlite.PanicError
				if err == nil || !errors.As(c.Err(), &p) {
					t.Fatalf("got %v, %v", err, c.Err())
				}
			} else {
				pfs.write.Store(true)
				err := bad.Checkpoint(t.Context())
				pfs.write.Store(false)
				if !errors.Is(err, sqlite.ErrFailed) {
					t.Fatalf("got %v", err)
				}
			}
			sqlExec(t, connect(t, good), `INSERT INTO t VALUES ('untouched')`)
			eventually(t, "the database is back", func() bool { return bad.Err() == nil })
			if bad.RollbackEpoch() == epoch || !c.Stale() {
				t.Fatal("caches of the time before are not told to go")
			}
			d := connect(t, bad)
			wantText(t, d.Raw(), `SELECT count(*), max(x) FROM t`, "2,"+text(t, d.Raw(), `SELECT max(x) FROM t`))
			sqlExec(t, d, `INSERT INTO t VALUES (2)`)
			wantText(t, d.Raw(), `PRAGMA integrity_check`, "ok")
			if err := bad.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOutOfMemoryBreaksTheConnectionAlone(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir()})
	db := create(t, h, "d")
	sqlExec(t, connect(t, db), `CREATE TABLE t (x)`)
	c, err := db.Conn(t.Context(), sqlite.ConnOptions{MaxMemory: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Protect(func() error {
		return c.Raw().Exec(`BEGIN IMMEDIATE; INSERT INTO t VALUES (1); INSERT INTO t VALUES (hex(zeroblob(6000000)))`)
	})
	if !errors.Is(err, sqlite.ErrConnBroken) || !c.Stale() {
		t.Fatalf("got %v", err)
	}
	if err := c.Close(); err != nil {
		t.Logf("closing: %v", err)
	}
	d := connect(t, db)
	sqlExec(t, d, `INSERT INTO t VALUES (2)`) // the writer's place is free
	wantText(t, d.Raw(), `SELECT x FROM t`, "2")
}

func TestKill9(t *testing.T) {
	if dir := os.Getenv("BOP_SQLITE_KILL9"); dir != "" {
		killed(dir)
		return
	}
	rounds := 2
	dir := t.TempDir()
	acked := map[string]int{}
	for range rounds {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKill9$", fmt.Sprintf("-encrypted=%v", *encrypted))
		cmd.Env = append(os.Environ(), "BOP_SQLITE_KILL9="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 250 && lines.Scan(); n++ {
			var writer string
			var i int
			if k, _ := fmt.Sscanf(lines.Text(), "acked %s %d", &writer, &i); k == 2 {
				acked[writer] = max(acked[writer], i)
			} else if strings.HasPrefix(lines.Text(), "failed") {
				t.Fatal(lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was on its way
			var writer string
			var i int
			if k, _ := fmt.Sscanf(lines.Text(), "acked %s %d", &writer, &i); k == 2 {
				acked[writer] = max(acked[writer], i)
			}
		}
		cmd.Wait()
		h := open(t, sqlite.Options{Dir: dir})
		db := find(t, h, "d")
		c := connect(t, db)
		wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
		for w, n := range acked {
			got := text(t, c.Raw(), fmt.Sprintf(`SELECT count(*), ifnull(max(n), 0) FROM t WHERE w = '%s'`, w))
			var count, last int
			fmt.Sscanf(got, "%d,%d", &count, &last)
			if count != last || last < n || last > n+1 {
				t.Fatalf("writer %s had %d acknowledged, found %s", w, n, got)
			}
			acked[w] = last
		}
		wantText(t, c.Raw(), `SELECT count(*) FROM t WHERE NOT EXISTS (SELECT 1 FROM pair WHERE pair.w = t.w AND pair.n = t.n)`, "0")
		c.Close()
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(acked) != 8 {
		t.Fatalf("%d writers had something acknowledged", len(acked))
	}
}

// killed is the child: eight writers that say what was acknowledged.
func killed(dir string) {
	ctx := context.Background()
	fail := func(err error) {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	h, err := sqlite.Open(ctx, withKeys(sqlite.Options{Dir: dir, CheckpointBytes: 32 << 10, LogOptions: aof.Options{SegmentBytes: 1 << 20}}))
	if err != nil {
		fail(err)
	}
	db, err := h.DB("d")
	if errors.Is(err, sqlite.ErrNoDatabase) {
		db, err = h.Create(ctx, "d", sqlite.CreateOptions{})
	}
	if err != nil {
		fail(err)
	}
	c, err := db.Conn(ctx, sqlite.ConnOptions{})
	if err == nil {
		err = c.Raw().Exec(`CREATE TABLE IF NOT EXISTS t (w, n, pad); CREATE TABLE IF NOT EXISTS pair (w, n)`)
	}
	if err != nil {
		fail(err)
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			c, err := db.Conn(ctx, sqlite.ConnOptions{})
			if err != nil {
				fail(err)
			}
			s, _, err := c.Raw().Prepare(fmt.Sprintf(`SELECT ifnull(max(n), 0) FROM t WHERE w = 'w%d'`, w))
			if err != nil {
				fail(err)
			}
			s.Step()
			from := s.ColumnInt(0)
			s.Close()
			for i := from + 1; ; i++ {
				if err := run(c, fmt.Sprintf(`BEGIN IMMEDIATE; INSERT INTO t VALUES ('w%d', %d, randomblob(200)); INSERT INTO pair VALUES ('w%d', %d); COMMIT`, w, i, w, i)); err != nil {
					fail(err)
				}
				out.Lock()
				fmt.Printf("acked w%d %d\n", w, i)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestADamagedLogIsReportedAndWhatMayHaveLostSomethingCanOnlyBeRead(t *testing.T) {
	disk := crashfs.New()
	tmp := t.TempDir()
	o := onDisk(disk, tmp)
	o.CheckpointBytes = 1 << 20
	h := open(t, o)
	a, b, idle := create(t, h, "a"), create(t, h, "b"), create(t, h, "idle")
	ca, cb := connect(t, a), connect(t, b)
	sqlExec(t, ca, `CREATE TABLE t (x)`)
	sqlExec(t, cb, `CREATE TABLE t (x)`)
	sqlExec(t, connect(t, idle), `CREATE TABLE t (x)`)
	for i := range 10 {
		sqlExec(t, ca, fmt.Sprintf(`INSERT INTO t VALUES ('needle of a %d')`, i))
		sqlExec(t, cb, fmt.Sprintf(`INSERT INTO t VALUES ('needle of b %d')`, i))
	}
	if *encrypted {
		t.Skip("the record that it damages is found by its plain text")
	}
	disk.Crash()
	image := disk.Image(crashfs.Lost, 0)
	var name string
	var at int
	for _, n := range image.Files("/data/log") {
		f, err := image.OpenFile(n, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		data := make([]byte, size)
		f.ReadAt(data, 0)
		f.Close()
		if k := bytes.Index(data, []byte("needle of a 5")); k >= 0 {
			name, at = n, k
		}
	}
	image.Flip(name, int64(at), 1)
	oi := onDisk(image, tmp)
	oi.CheckpointBytes = 1 << 20
	h = open(t, oi)
	if d := h.Damage(); len(d) == 0 || !errors.Is(d[0], sqlite.ErrDamaged) || !strings.Contains(d[0].Error(), name) {
		t.Fatalf("damage: %v", d)
	}
	// The one that went on after the damage has lost nothing.
	cb = connect(t, find(t, h, "b"))
	wantText(t, cb.Raw(), `SELECT count(*) FROM t`, "10")
	sqlExec(t, cb, `INSERT INTO t VALUES ('more')`)
	// The one that lost a transaction shows what came before, and takes nothing.
	ca = connect(t, find(t, h, "a"))
	wantText(t, ca.Raw(), `SELECT count(*), max(x) FROM t`, "5,needle of a 4")
	if err := run(ca, `INSERT INTO t VALUES ('more')`); !errors.Is(err, sqlite.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	if err := find(t, h, "a").Info().Err; !errors.Is(err, sqlite.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	// So does the one of which nobody knows.
	if err := run(connect(t, find(t, h, "idle")), `INSERT INTO t VALUES ('x')`); !errors.Is(err, sqlite.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
}
