package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
	"github.com/ncruces/go-sqlite3/ext/rtree"
)

// statements yields random SQL that gives the same result wherever it runs.
type statements struct {
	r     *rand.Rand
	depth int // of savepoints
	tx    bool
}

func (s *statements) blob(max int) string {
	n := s.r.IntN(max)
	return fmt.Sprintf("x'%s'", strings.Repeat(fmt.Sprintf("%02x", s.r.IntN(256)), n))
}

func (s *statements) next() string {
	id := s.r.IntN(400)
	switch n := s.r.IntN(100); {
	case n < 28:
		return fmt.Sprintf(`INSERT OR REPLACE INTO t (id, a, b) VALUES (%d, 'a%d', %s)`, id, s.r.IntN(50), s.blob(1500))
	case n < 36:
		return fmt.Sprintf(`UPDATE t SET a = a || '%d', b = %s WHERE id %% 7 = %d`, id, s.blob(600), s.r.IntN(7))
	case n < 42:
		return fmt.Sprintf(`DELETE FROM t WHERE id BETWEEN %d AND %d`, id, id+s.r.IntN(60))
	case n < 46:
		return fmt.Sprintf(`INSERT INTO u (x) SELECT b FROM t WHERE id > %d`, id)
	case n < 48:
		return `DELETE FROM u`
	case n < 52:
		return fmt.Sprintf(`INSERT INTO u (x, id) VALUES (1, NULL), (2, %d), (3, %d)`, id, id) // fails in the middle
	case n < 56:
		return fmt.Sprintf(`INSERT INTO f (rowid, body) VALUES (%d, 'word%d word%d')`, s.r.IntN(1<<30), id, id/3)
	case n < 60:
		return fmt.Sprintf(`INSERT OR REPLACE INTO r VALUES (%d, %d, %d, %d, %d)`, id, id, id+1, id, id+2)
	case n < 70:
		if s.tx {
			s.tx, s.depth = false, 0
			return []string{`COMMIT`, `COMMIT`, `ROLLBACK`}[s.r.IntN(3)]
		}
		s.tx = true
		return []string{`BEGIN`, `BEGIN IMMEDIATE`}[s.r.IntN(2)]
	case n < 74 && s.tx:
		s.depth++
		return fmt.Sprintf(`SAVEPOINT s%d`, s.depth)
	case n < 78 && s.depth > 0:
		d := 1 + s.r.IntN(s.depth)
		s.depth = d
		return fmt.Sprintf(`ROLLBACK TO s%d`, d)
	case n < 80 && s.depth > 0:
		d := 1 + s.r.IntN(s.depth)
		s.depth = d - 1
		return fmt.Sprintf(`RELEASE s%d`, d)
	case n < 82:
		return fmt.Sprintf(`CREATE TABLE IF NOT EXISTS x%d AS SELECT id, a FROM t`, s.r.IntN(3))
	case n < 84:
		return fmt.Sprintf(`DROP TABLE IF EXISTS x%d`, s.r.IntN(3))
	case n < 85:
		return `CREATE INDEX IF NOT EXISTS ta ON t (a, id)`
	case n < 86:
		return `DROP INDEX IF EXISTS ta`
	case n < 88 && !s.tx:
		return `VACUUM`
	case n < 90 && !s.tx:
		return fmt.Sprintf(`PRAGMA page_size = %d; VACUUM`, 512<<s.r.IntN(6))
	case n < 92 && !s.tx:
		return fmt.Sprintf(`PRAGMA auto_vacuum = %d; VACUUM`, s.r.IntN(3))
	case n < 94:
		return `PRAGMA incremental_vacuum(3)`
	case n < 96:
		return `ANALYZE`
	default:
		return fmt.Sprintf(`UPDATE u SET x = id %% %d`, 1+s.r.IntN(9))
	}
}

func TestRandomSQLGivesWhatPlainSQLiteGives(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			oracle(t, seed, 350)
		})
	}
}

func oracle(t *testing.T, seed uint64, steps int) {
	s := &statements{r: rand.New(rand.NewPCG(seed, 1))}
	plain := plainConn(t)
	for _, register := range []func(*sqlite3.Conn) error{fts5.Register, rtree.Register} {
		if err := register(plain); err != nil {
			t.Fatal(err)
		}
	}
	o := sqlite.Options{Dir: t.TempDir(), CheckpointBytes: 64 << 10, CacheBytes: 1 << 20}
	if seed%2 == 1 {
		o.TxnMemory = 40 << 10 // pages of most transactions spill
	}
	h := open(t, o)
	c := connect(t, create(t, h, "o"))
	both := func(sql string) {
		err1, err2 := plain.Exec(sql), c.Raw().Exec(sql)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("%s: plain SQLite says %v, ours %v (%v)", clip(sql), err1, err2, c.Err())
		}
	}
	both(`PRAGMA cache_size = 20`) // so that pages are written before the commit
	both(`CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB)`)
	both(`CREATE TABLE u (id INTEGER PRIMARY KEY, x)`)
	both(`CREATE VIRTUAL TABLE f USING fts5 (body)`)
	both(`CREATE VIRTUAL TABLE r USING rtree (id, x0, x1, y0, y1)`)
	for i := range steps {
		both(s.next())
		if a, b := plain.GetAutocommit(), c.Raw().GetAutocommit(); a != b {
			t.Fatalf("step %d: plain SQLite in autocommit %v, ours %v", i, a, b)
		}
		switch {
		case i%23 == 0:
			if a, b := dump(t, plain), dump(t, c.Raw()); a != b {
				t.Fatalf("step %d: contents differ:\n%s\n%s", i, clip(a), clip(b))
			}
			wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
		case i%41 == 0 && !s.tx:
			if err := find(t, h, "o").Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		case i%97 == 0 && !s.tx:
			c.Close()
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			h = open(t, o)
			c = connect(t, find(t, h, "o"))
			sqlExec(t, c, `PRAGMA cache_size = 20`)
		}
	}
	if s.tx {
		both(`COMMIT`)
	}
	if a, b := dump(t, plain), dump(t, c.Raw()); a != b {
		t.Fatalf("contents differ")
	}
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	path := t.TempDir() + "/out.db"
	if err := find(t, h, "o").ExportFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
}
