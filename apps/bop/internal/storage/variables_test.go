package storage

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
)

// heldLog keeps the answers to proposals back while it is told to.
type heldLog struct {
	sqlite.Log
	mu      sync.Mutex
	hold    bool
	answers []func(refusal error)
}

func (l *heldLog) Propose(ctx context.Context, seg sqlite.SegmentID, rec []byte, done func(sqlite.Position, error)) {
	l.Log.Propose(ctx, seg, rec, func(p sqlite.Position, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.hold {
			l.answers = append(l.answers, func(refusal error) { done(p, errors.Join(err, refusal)) })
			return
		}
		done(p, err)
	})
}

// keep makes answers wait.
func (l *heldLog) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = true
}

// let makes answers leave, those that wait with a refusal if there is one.
func (l *heldLog) let(refusal error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = false
	for _, answer := range l.answers {
		answer(refusal)
	}
	l.answers = nil
}

func (l *heldLog) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}

// answer is what came of statements that run beside the test.
type answer struct {
	text string
	err  error
}

func beside(x *session.Session, text string) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		text, err := run(x, text)
		out <- answer{text, err}
	}()
	return out
}

func (l *heldLog) eventually(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); l.waiting() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d proposals wait, not %d", l.waiting(), n)
		}
	}
}

// untilTaken waits until a transaction has the writer's place.
func untilTaken(t *testing.T, db *sqlite.DB) {
	t.Helper()
	c, err := db.Conn(t.Context(), sqlite.ConnOptions{LockTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for deadline := time.Now().Add(30 * time.Second); c.Raw().Exec("BEGIN IMMEDIATE") == nil; time.Sleep(time.Millisecond) {
		if err := c.Raw().Exec("ROLLBACK"); err != nil || time.Now().After(deadline) {
			t.Fatalf("nobody took the writer's place: %v", err)
		}
	}
}

func TestVariablesThatSayWhenAnswersLeave(t *testing.T) {
	for _, dialect := range []ir.Dialect{ir.Postgres, ir.MySQL} {
		dir := t.TempDir()
		file, err := aof.Open(filepath.Join(dir, "log"), aof.Options{})
		if err != nil {
			t.Fatal(err)
		}
		log := &heldLog{Log: sqlite.NewAOFLog(file)}
		h, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close(context.Background()) })
		if _, err := h.Create(t.Context(), "db", sqlite.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		srv, err := session.NewServer(session.Options{Engine: Engine{Host: h}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(srv.Close)
		open := func() *session.Session {
			x, err := srv.Open(t.Context(), session.Config{Dialect: dialect, User: "ada", Database: "db"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(x.Close)
			return x
		}
		must := func(x *session.Session, text, want string) {
			t.Helper()
			if got, err := run(x, text); err != nil || got != want {
				t.Fatalf("%s: %q, %v", text, got, err)
			}
		}
		name := dialect.String() + ": "
		must(open(), "CREATE TABLE t (id int PRIMARY KEY)", "")

		t.Run(name+"an asynchronous commit is answered at once, and only its own session waits to read it", func(t *testing.T) {
			a, b := open(), open()
			must(a, "SET bop.durability = 'async'", "")
			log.keep()
			must(a, "INSERT INTO t VALUES (1)", "")
			log.eventually(t, 1)
			// It keeps the connection that a committed on, so that a reads on another.
			must(b, map[ir.Dialect]string{ir.Postgres: "BEGIN ISOLATION LEVEL REPEATABLE READ", ir.MySQL: "BEGIN"}[dialect], "")
			must(b, "SELECT count(*) FROM t", "0")
			own := beside(a, "SELECT count(*) FROM t")
			select {
			case got := <-own:
				t.Fatalf("it read %q, %v", got.text, got.err)
			case <-time.After(20 * time.Millisecond):
			}
			log.let(nil)
			if got := <-own; got.text != "1" || got.err != nil {
				t.Errorf("%+v", got)
			}
		})
		t.Run(name+"tables made asynchronously are there for the next statement", func(t *testing.T) {
			a := open()
			must(a, "SET bop.durability = 'async'", "")
			log.keep()
			made := beside(a, "CREATE TABLE made (id int PRIMARY KEY)")
			log.eventually(t, 1)
			log.let(nil)
			if got := <-made; got.err != nil {
				t.Fatal(got.err)
			}
			must(a, "INSERT INTO made VALUES (1)", "")
			must(a, "DROP TABLE made", "")
		})
		t.Run(name+"with the default the answer waits for the disk", func(t *testing.T) {
			a := open()
			log.keep()
			done := beside(a, "INSERT INTO t VALUES (2)")
			log.eventually(t, 1)
			select {
			case got := <-done:
				t.Fatalf("answered before: %+v", got)
			case <-time.After(20 * time.Millisecond):
			}
			log.let(nil)
			if got := <-done; got.err != nil {
				t.Error(got.err)
			}
		})
		t.Run(name+"strict reads hold a transaction's rows until what it stands on is committed", func(t *testing.T) {
			a, loose, strict := open(), open(), open()
			must(strict, "SET bop.strict_reads = on", "")
			log.keep()
			base := beside(a, "INSERT INTO t VALUES (3)")
			log.eventually(t, 1)
			must(loose, "BEGIN; DELETE FROM t WHERE id = 0; SELECT count(*) FROM t WHERE id = 3", "1")
			end := beside(loose, "ROLLBACK")
			held := beside(strict, "BEGIN; DELETE FROM t WHERE id = 0; SELECT count(*) FROM t WHERE id = 3")
			select {
			case got := <-held:
				t.Fatalf("its rows left: %+v", got)
			case <-time.After(20 * time.Millisecond):
			}
			log.let(nil)
			for _, c := range []<-chan answer{base, end} {
				if got := <-c; got.err != nil {
					t.Error(got.err)
				}
			}
			if got := <-held; strings.TrimSpace(got.text) != "1" || got.err != nil {
				t.Errorf("%+v", got)
			}
			must(strict, "COMMIT", "")
		})
		t.Run(name+"strict reads end a transaction whose base was dropped", func(t *testing.T) {
			a, strict := open(), open()
			must(strict, "SET bop.strict_reads = on", "")
			log.keep()
			base := beside(a, "INSERT INTO t VALUES (4)")
			log.eventually(t, 1)
			held := beside(strict, "BEGIN; DELETE FROM t WHERE id = 0; SELECT count(*) FROM t WHERE id = 4")
			db, err := h.DB("db")
			if err != nil {
				t.Fatal(err)
			}
			untilTaken(t, db)
			log.let(sqlite.ErrNotCommitted)
			if got := <-base; got.err == nil {
				t.Error("the base was committed")
			}
			got := <-held
			if got.err == nil || !strings.Contains(got.err.Error(), "40001") {
				t.Errorf("%+v", got)
			}
			run(strict, "ROLLBACK")
			must(strict, "SELECT 1", "1")
		})
	}
}
