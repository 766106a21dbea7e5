package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
)

var errElsewhere = errors.New("somebody else leads")

// held opens a host on a log whose answers the test gives, with a table t(x) in a database.
func held(t *testing.T) (*heldLog, *sqlite.Host, *sqlite.DB) {
	t.Helper()
	l := newHeldLog()
	h := open(t, sqlite.Options{Dir: t.TempDir(), Log: l})
	db := create(t, h, "d")
	sqlExec(t, connect(t, db), `CREATE TABLE t (x); INSERT INTO t VALUES ('base')`)
	t.Cleanup(func() { l.setHold(false) })
	return l, h, db
}

// async runs fn and returns where its result will be.
func async(fn func() error) <-chan error {
	ch := make(chan error, 1)
	go func() {
		ch <- fn()
		close(ch)
	}()
	return ch
}

func stillWaits(t *testing.T, what string, ch <-chan error) {
	t.Helper()
	select {
	case err := <-ch:
		t.Fatalf("%s did not wait: %v", what, err)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestCommitsOverlapWhileTheLogIsSlow(t *testing.T) {
	l, _, db := held(t)
	l.setHold(true)
	const writers = 8
	var results [writers]<-chan error
	for i := range writers {
		c := connect(t, db)
		results[i] = async(func() error { return c.Raw().Exec(fmt.Sprintf(`INSERT INTO t VALUES (%d)`, i)) })
	}
	// None has an answer, and yet each has run on top of the one before it.
	eventually(t, "all commits are in flight at once", func() bool { return l.inFlight() == writers })
	r := connect(t, db)
	wantText(t, r.Raw(), `SELECT count(*) FROM t`, "1")
	if h := db.Heads(); h.Executed != h.Committed+writers {
		t.Fatalf("heads %+v", h)
	}
	l.commit(3)
	wantText(t, r.Raw(), `SELECT count(*) FROM t`, "4")
	l.commit(writers)
	for _, ch := range results {
		if err := <-ch; err != nil {
			t.Fatal(err)
		}
	}
	wantText(t, r.Raw(), `SELECT count(*) FROM t`, "9")
	wantText(t, r.Raw(), `PRAGMA integrity_check`, "ok")
}

func TestProposalsAreNeverRepeated(t *testing.T) {
	l, _, db := held(t)
	c := connect(t, db)
	l.setHold(true)
	before := l.proposed
	done := async(func() error { return run(c, `INSERT INTO t VALUES ('lost')`) })
	eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
	l.fail(1, errElsewhere, false)
	if err := <-done; !errors.Is(err, sqlite.ErrOutcomeUnknown) {
		t.Fatalf("got %v", err)
	}
	if l.inFlight() != 0 || l.proposed != before+1 {
		t.Fatalf("%d proposals in flight, %d made", l.inFlight(), l.proposed-before)
	}
}

func TestNobodyWritesWithoutLeadership(t *testing.T) {
	l, _, db := held(t)
	c := connect(t, db)
	l.lose(errElsewhere)
	before := l.proposed
	err := run(c, `INSERT INTO t VALUES ('x')`)
	if !errors.Is(err, sqlite.ErrNotCommitted) || !errors.Is(err, errElsewhere) || l.proposed != before {
		t.Fatalf("got %v", err)
	}
	wantText(t, connect(t, db).Raw(), `SELECT count(*) FROM t`, "1")
	l.regain()
	sqlExec(t, connect(t, db), `INSERT INTO t VALUES ('y')`)
}

func TestLosingTheLeadership(t *testing.T) {
	t.Run("heads fall back to what is committed and the waiters hear that the outcome is unknown", func(t *testing.T) {
		l, _, db := held(t)
		l.setHold(true)
		var results []<-chan error
		for i := range 3 {
			c := connect(t, db)
			results = append(results, async(func() error { return run(c, fmt.Sprintf(`INSERT INTO t VALUES ('lost%d')`, i)) }))
		}
		eventually(t, "the commits are in flight", func() bool { return l.inFlight() == 3 })
		epoch := db.RollbackEpoch()
		l.lose(errElsewhere)
		if h := db.Heads(); h.Executed != h.Committed {
			t.Fatalf("heads %+v", h)
		}
		if db.RollbackEpoch() == epoch {
			t.Fatal("the rollback epoch did not move")
		}
		l.fail(3, errElsewhere, false)
		for _, ch := range results {
			if err := <-ch; !errors.Is(err, sqlite.ErrOutcomeUnknown) {
				t.Fatalf("got %v", err)
			}
		}
		l.regain()
		l.setHold(false)
		c := connect(t, db)
		sqlExec(t, c, `INSERT INTO t VALUES ('new')`)
		wantText(t, c.Raw(), `SELECT group_concat(x) FROM t`, "base,new")
		wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	})
	t.Run("what the log proves not to be there is not committed", func(t *testing.T) {
		l, _, db := held(t)
		l.setHold(true)
		c, d := connect(t, db), connect(t, db)
		first := async(func() error { return run(c, `INSERT INTO t VALUES ('first')`) })
		eventually(t, "the first is in flight", func() bool { return l.inFlight() == 1 })
		second := async(func() error { return run(d, `INSERT INTO t VALUES ('second')`) })
		eventually(t, "both are in flight", func() bool { return l.inFlight() == 2 })
		// The disk was full for the first and no longer for the second, which stands on it.
		l.fail(1, fmt.Errorf("%w: no space", sqlite.ErrNotCommitted), false)
		l.commit(1)
		if err := <-first; !errors.Is(err, sqlite.ErrNotCommitted) {
			t.Fatalf("first: %v", err)
		}
		if err := <-second; !errors.Is(err, sqlite.ErrNotCommitted) {
			t.Fatalf("second: %v", err)
		}
		l.setHold(false)
		sqlExec(t, connect(t, db), `INSERT INTO t VALUES ('third')`)
		wantText(t, connect(t, db).Raw(), `SELECT group_concat(x) FROM t`, "base,third")
	})
	t.Run("a connection that saw dropped versions is of no more use", func(t *testing.T) {
		l, _, db := held(t)
		l.setHold(true)
		w, idle := connect(t, db), connect(t, db)
		wantText(t, idle.Raw(), `SELECT count(*) FROM t`, "1")
		done := async(func() error { return w.Raw().Exec(`CREATE TABLE lost (x)`) })
		eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
		l.lose(errElsewhere)
		l.fail(1, errElsewhere, false)
		<-done
		l.regain()
		l.setHold(false)
		if !w.Stale() {
			t.Fatal("the writer's connection is not stale")
		}
		if _, err := tryText(w.Raw(), `SELECT * FROM lost`); err == nil {
			t.Fatal("the writer's connection still knows the dropped table")
		}
		if idle.Stale() {
			t.Fatal("a connection that only read what is committed need not go")
		}
		sqlExec(t, connect(t, db), `CREATE TABLE other (x)`)
		wantText(t, idle.Raw(), `SELECT name FROM sqlite_schema ORDER BY 1`, "other,t")
	})
	t.Run("an open transaction on a dropped version fails", func(t *testing.T) {
		l, _, db := held(t)
		l.setHold(true)
		a, b := connect(t, db), connect(t, db)
		done := async(func() error { return a.Raw().Exec(`INSERT INTO t VALUES ('a')`) })
		eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
		sqlExec(t, b, `BEGIN IMMEDIATE; INSERT INTO t VALUES ('b')`)
		wantText(t, b.Raw(), `SELECT group_concat(x) FROM t`, "base,a,b")
		l.lose(errElsewhere)
		l.regain()
		err := run(b, `COMMIT`)
		if !errors.Is(err, sqlite.ErrSerialization) {
			t.Fatalf("got %v", err)
		}
		l.fail(1, errElsewhere, false)
		<-done
	})
	t.Run("a snapshot of a dropped version stays lost when its number is used again", func(t *testing.T) {
		l, _, db := held(t)
		c, d := connect(t, db), connect(t, db)
		sqlExec(t, c, `INSERT INTO t VALUES ('second')`)
		c.SetDurability(sqlite.Async)
		l.setHold(true)
		s, _, err := c.Raw().Prepare(`SELECT x FROM t`)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.Step()
		// The open query keeps the snapshot, which is now that of the uncommitted transaction.
		sqlExec(t, c, `INSERT INTO t VALUES ('lost')`)
		lost := c.LastTXID()
		l.fail(1, errElsewhere, false)
		l.setHold(false)
		sqlExec(t, d, `INSERT INTO t VALUES ('new')`)
		if d.LastTXID() != lost {
			t.Fatalf("the number %d was not used again", lost)
		}
		if err := run(c, `INSERT INTO t VALUES ('on top of what is lost')`); err == nil {
			t.Error("a transaction on a lost version was accepted")
		}
		wantText(t, connect(t, db).Raw(), `SELECT group_concat(x) FROM t`, "base,second,new")
		wantText(t, connect(t, db).Raw(), `PRAGMA integrity_check`, "ok")
	})
	t.Run("the pool throws stale connections away", func(t *testing.T) {
		l, _, db := held(t)
		c, err := db.Pool().Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sqlExec(t, c, `INSERT INTO t VALUES ('x')`)
		db.Pool().Put(c, false)
		if db.Pool().Idle() != 1 {
			t.Fatal("the connection was not kept")
		}
		l.lose(errElsewhere)
		l.regain()
		d, err := db.Pool().Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Pool().Put(d, false)
		if d == c {
			t.Fatal("a connection of the old rollback epoch was lent")
		}
	})
}

func TestTheOutputGate(t *testing.T) {
	// start leaves one commit in flight, and c with a transaction that has run on top of it.
	start := func(t *testing.T, sql string) (*heldLog, *sqlite.Conn, <-chan error) {
		l, _, db := held(t)
		l.setHold(true)
		a, c := connect(t, db), connect(t, db)
		done := async(func() error { return a.Raw().Exec(`INSERT INTO t VALUES ('a')`) })
		t.Cleanup(func() {
			l.setHold(false)
			<-done
		})
		eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
		sqlExec(t, c, sql)
		return l, c, done
	}
	for name, sql := range map[string]string{
		"a transaction that changed nothing":      `BEGIN IMMEDIATE; SELECT * FROM t; COMMIT`,
		"a transaction that was rolled back":      `BEGIN IMMEDIATE; DELETE FROM t; ROLLBACK`,
		"an autocommit statement without effect":  `DELETE FROM t WHERE x = 'nobody'`,
		"an autocommit statement that is no more": `UPDATE t SET x = x WHERE 0`,
	} {
		t.Run(name+" is not answered before what it saw is committed", func(t *testing.T) {
			l, c, done := start(t, sql)
			gate := async(func() error { return c.Gate(t.Context()) })
			stillWaits(t, "the gate", gate)
			l.commit(1)
			if err := errors.Join(<-gate, <-done); err != nil {
				t.Fatal(err)
			}
		})
		t.Run(name+" fails if what it saw is dropped", func(t *testing.T) {
			l, c, done := start(t, sql)
			gate := async(func() error { return c.Gate(t.Context()) })
			stillWaits(t, "the gate", gate)
			l.fail(1, errElsewhere, false)
			if err := <-gate; !errors.Is(err, sqlite.ErrSerialization) {
				t.Fatalf("got %v", err)
			}
			<-done
			if err := c.Gate(t.Context()); !errors.Is(err, sqlite.ErrSerialization) {
				t.Fatalf("asked again: %v", err)
			}
		})
	}
	t.Run("a reader never waits", func(t *testing.T) {
		_, c, _ := start(t, `SELECT 1`)
		if err := c.Gate(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("giving up leaves the outcome unknown", func(t *testing.T) {
		_, c, _ := start(t, `BEGIN IMMEDIATE; COMMIT`)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := c.Gate(ctx); !errors.Is(err, sqlite.ErrOutcomeUnknown) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("database/sql shows no row of a write before it is committed", func(t *testing.T) {
		l, _, db := held(t)
		p := pool(t, db)
		l.setHold(true)
		got := async(func() error {
			var x string
			return p.QueryRow(`INSERT INTO t VALUES ('r') RETURNING x`).Scan(&x)
		})
		eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
		stillWaits(t, "the row", got)
		l.commit(1)
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("database/sql holds a rollback back too", func(t *testing.T) {
		l, _, db := held(t)
		p := pool(t, db)
		l.setHold(true)
		c := connect(t, db)
		done := async(func() error { return c.Raw().Exec(`INSERT INTO t VALUES ('a')`) })
		eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
		end := async(func() error {
			tx, err := p.Begin()
			if err != nil {
				return err
			}
			var n int
			if err := tx.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil || n != 2 {
				return fmt.Errorf("%d rows, %w", n, err)
			}
			return tx.Rollback()
		})
		stillWaits(t, "the rollback", end)
		l.fail(1, errElsewhere, false)
		if err := <-end; !errors.Is(err, sqlite.ErrSerialization) {
			t.Fatalf("got %v", err)
		}
		<-done
	})
}

func TestDurabilityDecidesOnlyWhenTheAnswerLeaves(t *testing.T) {
	l, _, db := held(t)
	w, r := connect(t, db), connect(t, db)
	w.SetDurability(sqlite.Async)
	l.setHold(true)
	sqlExec(t, w, `INSERT INTO t VALUES ('fast')`) // is not held up
	if err := w.Gate(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantText(t, r.Raw(), `SELECT count(*) FROM t`, "1") // but nobody sees it yet
	own := async(func() error {
		s, err := tryText(w.Raw(), `SELECT count(*) FROM t`)
		if s != "2" {
			err = errors.Join(err, fmt.Errorf("the session does not see its own write: %s", s))
		}
		return err
	})
	stillWaits(t, "the session's next read", own)
	l.commit(1)
	if err := <-own; err != nil {
		t.Fatal(err)
	}
	wantText(t, r.Raw(), `SELECT count(*) FROM t`, "2")
}

func TestACommitHasAToken(t *testing.T) {
	l, _, db := held(t)
	c := connect(t, db)
	if c.LastTXID() != 0 {
		t.Fatal("there was no commit yet")
	}
	sqlExec(t, c, `INSERT INTO t VALUES (1)`)
	if c.LastTXID() != db.Heads().Committed {
		t.Fatalf("last %d, heads %+v", c.LastTXID(), db.Heads())
	}
	if err := c.WaitTXID(t.Context(), c.LastTXID()); err != nil {
		t.Fatal(err)
	}
	l.setHold(true)
	wait := async(func() error { return db.WaitTXID(t.Context(), c.LastTXID()+1) })
	stillWaits(t, "waiting for a transaction to come", wait)
	d := connect(t, db)
	done := async(func() error { return d.Raw().Exec(`INSERT INTO t VALUES (2)`) })
	eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
	stillWaits(t, "waiting for a transaction to be committed", wait)
	l.commit(1)
	if err := errors.Join(<-wait, <-done); err != nil {
		t.Fatal(err)
	}
}

func TestWritersQueueInOrder(t *testing.T) {
	_, _, db := held(t)
	holder := connect(t, db)
	sqlExec(t, holder, `BEGIN IMMEDIATE`)
	const writers = 6
	var mu sync.Mutex
	var order []int
	var results []<-chan error
	for i := range writers {
		c := connect(t, db)
		results = append(results, async(func() error {
			err := c.Raw().Exec(`BEGIN IMMEDIATE`)
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			return errors.Join(err, c.Raw().Exec(`COMMIT`))
		}))
		eventually(t, "the writer queues", func() bool { return db.WritersWaiting() == i+1 })
	}
	sqlExec(t, holder, `COMMIT`)
	for _, ch := range results {
		if err := <-ch; err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range order {
		if i != n {
			t.Fatalf("they came in the order %v", order)
		}
	}
}

func TestWaitingForTheWritersPlace(t *testing.T) {
	_, _, db := held(t)
	holder, c := connect(t, db), connect(t, db)
	sqlExec(t, holder, `BEGIN IMMEDIATE`)
	t.Run("ends with the time-out", func(t *testing.T) {
		c.SetLockTimeout(5 * time.Millisecond)
		if err := c.Raw().Exec(`INSERT INTO t VALUES (1)`); err == nil || !errors.Is(c.Err(), sqlite.ErrLockTimeout) {
			t.Fatalf("got %v, %v", err, c.Err())
		}
	})
	t.Run("ends with PRAGMA busy_timeout", func(t *testing.T) {
		wantText(t, c.Raw(), `PRAGMA busy_timeout = 7`, "7")
		wantText(t, c.Raw(), `PRAGMA busy_timeout`, "7")
		if err := c.Raw().Exec(`INSERT INTO t VALUES (1)`); err == nil || !errors.Is(c.Err(), sqlite.ErrLockTimeout) {
			t.Fatalf("got %v, %v", err, c.Err())
		}
	})
	t.Run("ends with the context", func(t *testing.T) {
		c.SetLockTimeout(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		c.SetContext(ctx)
		defer c.SetContext(nil)
		done := async(func() error { return c.Raw().Exec(`INSERT INTO t VALUES (1)`) })
		eventually(t, "the writer queues", func() bool { return db.WritersWaiting() == 1 })
		cancel()
		if err := <-done; err == nil {
			t.Fatal("it got in")
		}
		if db.WritersWaiting() != 0 {
			t.Fatal("it still queues")
		}
	})
	t.Run("does not outlast the holder", func(t *testing.T) {
		done := async(func() error { return c.Raw().Exec(`INSERT INTO t VALUES (1)`) })
		eventually(t, "the writer queues", func() bool { return db.WritersWaiting() == 1 })
		sqlExec(t, holder, `ROLLBACK`)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAStaleSnapshotCantBeWrittenOn(t *testing.T) {
	_, _, db := held(t)
	a, b := connect(t, db), connect(t, db)
	sqlExec(t, a, `BEGIN; SELECT * FROM t`)
	sqlExec(t, b, `INSERT INTO t VALUES ('b')`)
	wantText(t, a.Raw(), `SELECT count(*) FROM t`, "1")
	err := a.Raw().Exec(`INSERT INTO t VALUES ('a')`)
	if err == nil || !errors.Is(a.Err(), sqlite.ErrStaleSnapshot) {
		t.Fatalf("got %v, %v", err, a.Err())
	}
	sqlExec(t, a, `ROLLBACK; BEGIN; SELECT * FROM t; INSERT INTO t VALUES ('a'); COMMIT`)
	p := pool(t, db)
	tx, err := p.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`DELETE FROM t`); err == nil {
		t.Fatal("a read-only transaction has written")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Exec(`DELETE FROM t`); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatIsCommittedGetsIntoThePageFile(t *testing.T) {
	l := newHeldLog()
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir, Log: l})
	db := create(t, h, "d")
	sqlExec(t, connect(t, db), `CREATE TABLE t (x); INSERT INTO t VALUES ('base')`)
	l.setHold(true)
	c := connect(t, db)
	done := async(func() error { return run(c, `INSERT INTO t VALUES ('speculative')`) })
	eventually(t, "the commit is in flight", func() bool { return l.inFlight() == 1 })
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.fail(1, errElsewhere, false)
	<-done
	l.setHold(false)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := connect(t, find(t, open(t, sqlite.Options{Dir: dir, Log: l}), "d"))
	wantText(t, d.Raw(), `SELECT group_concat(x) FROM t`, "base")
	wantText(t, d.Raw(), `PRAGMA integrity_check`, "ok")
}

func TestConnectionsSeeEachOthersCommits(t *testing.T) {
	// With batch-atomic writes SQLite leaves the change counter alone: the virtual one has to make up for it.
	_, _, db := held(t)
	a, b := connect(t, db), connect(t, db)
	for i := range 20 {
		w, r := a, b
		if i%3 == 0 {
			w, r = b, a
		}
		sqlExec(t, w, fmt.Sprintf(`UPDATE t SET x = %d`, i))
		wantText(t, r.Raw(), `SELECT x FROM t`, fmt.Sprint(i))
		wantText(t, w.Raw(), `SELECT x FROM t`, fmt.Sprint(i))
		if i%5 == 0 { // page 1 is written, which moves SQLite's own idea of the counter
			sqlExec(t, w, fmt.Sprintf(`CREATE TABLE n%d (x)`, i))
			wantText(t, r.Raw(), fmt.Sprintf(`SELECT count(*) FROM n%d`, i), "0")
		}
	}
}
