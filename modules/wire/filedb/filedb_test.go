package filedb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/wire/engine"
)

func open(t *testing.T, o Options) engine.Database {
	t.Helper()
	e, err := Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if err := e.CreateDatabase(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	d, err := e.Database(t.Context(), "d")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func borrow(t *testing.T, d engine.Database) engine.Conn {
	t.Helper()
	c, err := d.Borrow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func exec(t *testing.T, c engine.Conn, sql string) {
	t.Helper()
	if err := c.Raw().Exec(sql); err != nil {
		t.Fatal(sql, c.Explain(err))
	}
}

func number(t *testing.T, c engine.Conn, sql string) int64 {
	t.Helper()
	s, _, err := c.Raw().Prepare(sql)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Step() {
		t.Fatal(sql, s.Err())
	}
	return s.ColumnInt64(0)
}

func TestEngine(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, name := range []string{"shop", "Ümläut / 100 %", ".hidden", "a.b-c_d"} {
		if err := e.CreateDatabase(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "other%zz.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	t.Run("databases are listed by the names that they were given", func(t *testing.T) {
		names, err := e.Databases(ctx)
		if err != nil || strings.Join(names, "|") != ".hidden|a.b-c_d|shop|Ümläut / 100 %" {
			t.Fatalf("%q %v", names, err)
		}
	})
	t.Run("a second one of the same name is refused", func(t *testing.T) {
		if err := e.CreateDatabase(ctx, "shop"); !errors.Is(err, engine.ErrDatabaseExists) {
			t.Fatal(err)
		}
	})
	t.Run("an unknown one isn't there, whatever its name", func(t *testing.T) {
		for _, name := range []string{"none", "", "../shop", "a\x00b", strings.Repeat("x", 300)} {
			if _, err := e.Database(ctx, name); !errors.Is(err, engine.ErrNoDatabase) {
				t.Errorf("%q: %v", name, err)
			}
			if err := e.DropDatabase(ctx, name); !errors.Is(err, engine.ErrNoDatabase) {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
	t.Run("the files are the owner's alone", func(t *testing.T) {
		d, _ := e.Database(ctx, "shop")
		c := borrow(t, d)
		exec(t, c, `CREATE TABLE t (a)`)
		for _, end := range []string{".db", ".db-wal"} {
			info, err := os.Stat(filepath.Join(dir, "shop"+end))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Error(end, info, err)
			}
		}
		c.Release(false)
	})
	t.Run("a dropped one is gone, and its connections with it", func(t *testing.T) {
		d, _ := e.Database(ctx, "shop")
		c := borrow(t, d)
		if err := e.DropDatabase(ctx, "shop"); err != nil {
			t.Fatal(err)
		}
		c.Release(false)
		if _, err := d.Borrow(ctx); !errors.Is(err, engine.ErrNoDatabase) {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "shop*")); len(left) > 0 {
			t.Fatal(left)
		}
		if err := e.CreateDatabase(ctx, "shop"); err != nil {
			t.Fatal(err)
		}
		again, _ := e.Database(ctx, "shop")
		if again.Version().Database == d.Version().Database {
			t.Fatal("two databases of one name have the same version")
		}
	})
}

func TestSingleFile(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "notes.sqlite")
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if names, err := e.Databases(ctx); err != nil || len(names) != 1 || names[0] != "notes" {
		t.Fatal(names, err)
	}
	if err := e.CreateDatabase(ctx, "more"); !errors.Is(err, ErrSingleFile) {
		t.Fatal(err)
	}
	if err := e.DropDatabase(ctx, "notes"); !errors.Is(err, ErrSingleFile) {
		t.Fatal(err)
	}
	d, err := e.Database(ctx, "notes")
	if err != nil {
		t.Fatal(err)
	}
	c := borrow(t, d)
	exec(t, c, `CREATE TABLE t (a)`)
	c.Release(false)
}

func TestConnections(t *testing.T) {
	t.Run("a connection comes back without its transaction", func(t *testing.T) {
		d := open(t, Options{})
		c := borrow(t, d)
		exec(t, c, `CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)`)
		c.Release(false)
		again := borrow(t, d)
		defer again.Release(false)
		if again != c {
			t.Fatal("the idle connection wasn't lent")
		}
		if n := number(t, again, `SELECT count(*) FROM t`); n != 0 {
			t.Fatal(n, "rows of a transaction that was never committed")
		}
	})
	t.Run("the slot stays with a connection, and a bad one is never lent again", func(t *testing.T) {
		d := open(t, Options{})
		c := borrow(t, d)
		*c.Session() = "mine"
		c.Release(false)
		c = borrow(t, d)
		if *c.Session() != "mine" {
			t.Fatal(*c.Session())
		}
		c.Release(true)
		c = borrow(t, d)
		defer c.Release(false)
		if *c.Session() != nil {
			t.Fatal(*c.Session())
		}
	})
	t.Run("more than the limit wait", func(t *testing.T) {
		d := open(t, Options{MaxConns: 1})
		c := borrow(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() {
			_, err := d.Borrow(ctx)
			got <- err
		}()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		go func() {
			_, err := d.Borrow(t.Context())
			got <- err
		}()
		c.Release(false)
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})
}

func TestClose(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CreateDatabase(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	d, err := e.Database(t.Context(), "d")
	if err != nil {
		t.Fatal(err)
	}
	c := borrow(t, d)
	exec(t, c, `CREATE TABLE t (a); INSERT INTO t VALUES (1)`)
	if _, _, err := c.Raw().Prepare(`SELECT * FROM t`); err != nil { // and nobody closes it
		t.Fatal(err)
	}
	c.Release(false)
	e.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, "*-wal")); len(left) > 0 {
		t.Fatal("a closed database has still its", left)
	}
}

func TestVersion(t *testing.T) {
	d := open(t, Options{})
	c := borrow(t, d)
	defer c.Release(false)
	before := d.Version()
	exec(t, c, `CREATE TABLE t (a)`)
	if err := c.Gate(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := d.Version()
	if made == before {
		t.Fatal("a new table left the version as it was")
	}
	exec(t, c, `INSERT INTO t VALUES (1)`)
	if err := c.Gate(t.Context()); err != nil || d.Version() != made {
		t.Fatal(err, "a new row changed the version")
	}
}

func TestTransactionNumbers(t *testing.T) {
	d := open(t, Options{})
	c, other := borrow(t, d), borrow(t, d)
	defer c.Release(false)
	defer other.Release(false)
	if n := c.LastTXID(); n != 0 {
		t.Fatal(n)
	}
	exec(t, c, `CREATE TABLE t (a)`)
	first := c.LastTXID()
	exec(t, c, `INSERT INTO t VALUES (1)`)
	if n := c.LastTXID(); n != first+1 {
		t.Fatal(first, n)
	}
	done := make(chan error)
	go func() { done <- other.WaitTXID(t.Context(), first+2) }()
	exec(t, c, `INSERT INTO t VALUES (2)`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := other.WaitTXID(ctx, first+100); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestWriters(t *testing.T) {
	t.Run("a stale snapshot can't become the writer", func(t *testing.T) {
		d := open(t, Options{})
		a, b := borrow(t, d), borrow(t, d)
		defer a.Release(false)
		defer b.Release(false)
		exec(t, a, `CREATE TABLE t (a); BEGIN`)
		number(t, a, `SELECT count(*) FROM t`)
		exec(t, b, `INSERT INTO t VALUES (1)`)
		err := a.Explain(a.Raw().Exec(`INSERT INTO t VALUES (2)`))
		if !errors.Is(err, engine.ErrBusySnapshot) {
			t.Fatal(err)
		}
	})
	t.Run("one that has read doesn't wait for a writer", func(t *testing.T) {
		d := open(t, Options{})
		a, b := borrow(t, d), borrow(t, d)
		defer a.Release(false)
		defer b.Release(false)
		exec(t, a, `CREATE TABLE t (a); BEGIN`)
		number(t, a, `SELECT count(*) FROM t`)
		exec(t, b, `BEGIN IMMEDIATE`)
		err := a.Explain(a.Raw().Exec(`INSERT INTO t VALUES (2)`))
		if !errors.Is(err, engine.ErrBusySnapshot) {
			t.Fatal(err)
		}
	})
	t.Run("waiting ends at the lock time-out", func(t *testing.T) {
		d := open(t, Options{LockTimeout: 10 * time.Millisecond})
		a, b := borrow(t, d), borrow(t, d)
		defer a.Release(false)
		defer b.Release(false)
		exec(t, a, `BEGIN IMMEDIATE`)
		if err := b.Explain(b.Raw().Exec(`BEGIN IMMEDIATE`)); !errors.Is(err, engine.ErrLockTimeout) {
			t.Fatal(err)
		}
		exec(t, a, `ROLLBACK`)
		exec(t, b, `BEGIN IMMEDIATE`)
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		d := open(t, Options{})
		a, b := borrow(t, d), borrow(t, d)
		defer a.Release(false)
		defer b.Release(false)
		exec(t, a, `BEGIN IMMEDIATE`)
		ctx, cancel := context.WithCancelCause(t.Context())
		b.SetContext(ctx)
		why := errors.New("no more")
		time.AfterFunc(5*time.Millisecond, func() { cancel(why) })
		if err := b.Explain(b.Raw().Exec(`BEGIN IMMEDIATE`)); !errors.Is(err, why) {
			t.Fatal(err)
		}
	})
	t.Run("all get their turn", func(t *testing.T) {
		const writers, each = 6, 30
		d := open(t, Options{LockTimeout: time.Minute})
		setup := borrow(t, d)
		exec(t, setup, `CREATE TABLE t (who); PRAGMA synchronous = off`)
		setup.Release(false)
		var wg sync.WaitGroup
		var failed atomic.Int64
		for range writers {
			wg.Go(func() {
				c, err := d.Borrow(context.Background())
				if err != nil {
					failed.Add(1)
					return
				}
				defer c.Release(false)
				for range each {
					if err := c.Raw().Exec(`BEGIN IMMEDIATE; INSERT INTO t VALUES (1); COMMIT`); err != nil {
						t.Error(c.Explain(err))
						failed.Add(1)
						return
					}
				}
			})
		}
		wg.Wait()
		c := borrow(t, d)
		defer c.Release(false)
		if n := number(t, c, `SELECT count(*) FROM t`); n != writers*each || failed.Load() > 0 {
			t.Fatal(n, failed.Load())
		}
	})
}

func TestQueue(t *testing.T) {
	t.Run("who has waited longest is next", func(t *testing.T) {
		var q queue
		var a, b *waiter
		order := make(chan string, 2)
		waiting := func() int {
			q.mu.Lock()
			defer q.mu.Unlock()
			return len(q.waiting)
		}
		start := func(w **waiter, name string) {
			n := waiting()
			go func() {
				if !q.wait(t.Context(), w, 0, time.Minute) {
					name += " gave up"
				}
				order <- name
			}()
			for waiting() == n {
				runtime.Gosched()
			}
		}
		start(&a, "a")
		start(&b, "b")
		q.next()
		if got := <-order; got != "a" {
			t.Fatal(got)
		}
		q.leave(&a) // it has had the place
		q.next()
		if got := <-order; got != "b" {
			t.Fatal(got)
		}
	})
}
