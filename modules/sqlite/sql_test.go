package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/ncruces/go-sqlite3"
)

func single(t *testing.T) (*sqlite.Host, *sqlite.Conn) {
	t.Helper()
	h := open(t, sqlite.Options{Dir: t.TempDir()})
	return h, connect(t, create(t, h, "d"))
}

const series = `(WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < %d) SELECT value FROM s)`

func TestTransactionsLargerThanARecordAndThanMemory(t *testing.T) {
	dir := t.TempDir()
	o := sqlite.Options{Dir: dir, TxnMemory: 256 << 10, TempMemory: 64 << 10, CheckpointBytes: 1 << 20}
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	sqlExec(t, c, `PRAGMA cache_size = 50; CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)`)
	sqlExec(t, c, fmt.Sprintf(`INSERT INTO t SELECT value, randomblob(3000) FROM `+series, 4000))
	before := text(t, c.Raw(), `SELECT count(*), sum(length(v)) FROM t`)
	sqlExec(t, c, `BEGIN; UPDATE t SET v = randomblob(3000); SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; ROLLBACK`)
	wantText(t, c.Raw(), `SELECT count(*), sum(length(v)) FROM t`, before)
	sqlExec(t, c, `BEGIN; UPDATE t SET v = randomblob(3100); COMMIT`)
	wantText(t, c.Raw(), `SELECT count(*), sum(length(v)) FROM t`, fmt.Sprintf("4000,%d", 4000*3100))
	want := text(t, c.Raw(), `SELECT sum(unicode(hex(substr(v, 7, 1))) * id) FROM t`)
	wantText(t, connect(t, db).Raw(), `PRAGMA integrity_check`, "ok")
	c.Close()
	h.Close(t.Context())
	h = open(t, o)
	c = connect(t, find(t, h, "d"))
	wantText(t, c.Raw(), `SELECT sum(unicode(hex(substr(v, 7, 1))) * id) FROM t`, want)
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if len(left) != 0 {
		t.Fatalf("temporary files are left: %v", left)
	}
}

func TestPartsWithoutTheirEndAreDiscarded(t *testing.T) {
	l, _, db := held(t)
	c := connect(t, db)
	before := db.Heads()
	l.setHold(true)
	done := async(func() error { return run(c, `INSERT INTO t VALUES (randomblob(4000000))`) })
	eventually(t, "the parts are in flight", func() bool { return l.inFlight() >= 3 })
	// The first part gets into the log, the second doesn't.
	l.commit(1)
	l.fail(1, errElsewhere, false)
	l.setHold(false)
	if err := <-done; !errors.Is(err, sqlite.ErrNotCommitted) {
		t.Fatalf("got %v", err)
	}
	d := connect(t, db)
	wantText(t, d.Raw(), `SELECT count(*) FROM t`, "1")
	sqlExec(t, d, `INSERT INTO t VALUES ('next')`)
	if h := db.Heads(); h.Committed != before.Committed+1 {
		t.Fatalf("heads %+v after %+v", h, before)
	}
	// A server that has only the log comes to the same state.
	h := open(t, sqlite.Options{Dir: t.TempDir(), Log: l})
	e := connect(t, find(t, h, "d"))
	wantText(t, e.Raw(), `SELECT group_concat(x) FROM t`, "base,next")
	wantText(t, e.Raw(), `PRAGMA integrity_check`, "ok")
}

func TestAReplicaOfTheLogIsTheSameDatabase(t *testing.T) {
	l, _, db := held(t)
	c := connect(t, db)
	for i := range 20 {
		sqlExec(t, c, fmt.Sprintf(`INSERT INTO t SELECT randomblob(%d) FROM `+series, 100*i, i+1))
	}
	sqlExec(t, c, `DELETE FROM t WHERE rowid % 3 = 0; VACUUM; PRAGMA page_size = 8192; VACUUM; CREATE INDEX i ON t (x)`)
	h := open(t, sqlite.Options{Dir: t.TempDir(), Log: l, CheckpointBytes: 32 << 10})
	d := find(t, h, "d")
	if d.ID() != db.ID() || d.Lineage() != db.Lineage() || d.Heads().Committed != db.Heads().Committed {
		t.Fatalf("%+v instead of %+v", d.Info(), db.Info())
	}
	if a, b := dump(t, c.Raw()), dump(t, connect(t, d).Raw()); a != b {
		t.Fatal("contents differ")
	}
}

func TestPragmas(t *testing.T) {
	_, c := single(t)
	sqlExec(t, c, `CREATE TABLE t (x)`)
	for sql, want := range map[string]string{
		`PRAGMA journal_mode`:               "wal",
		`PRAGMA journal_mode = delete`:      "wal",
		`PRAGMA journal_mode = off`:         "wal",
		`PRAGMA main.journal_mode = memory`: "wal",
		`PRAGMA locking_mode = exclusive`:   "normal",
		`PRAGMA page_size`:                  "4096",
		`PRAGMA wal_checkpoint(TRUNCATE)`:   "0",
		`PRAGMA synchronous = off`:          "",
		`PRAGMA quick_check`:                "ok",
	} {
		wantText(t, c.Raw(), sql, want)
	}
	sqlExec(t, c, `INSERT INTO t VALUES (1)`)
	wantText(t, c.Raw(), `PRAGMA wal_checkpoint`, "0")
	if n := c.DB().Versions(); n != 0 {
		t.Fatalf("%d pages are above the page file after a checkpoint", n)
	}
}

func TestAttach(t *testing.T) {
	h, c := single(t)
	other := create(t, h, "other one")
	w := connect(t, other)
	sqlExec(t, w, `CREATE TABLE o (x); INSERT INTO o VALUES ('there')`)
	sqlExec(t, c, `CREATE TABLE t (x); INSERT INTO t VALUES ('here')`)
	sqlExec(t, c, `ATTACH 'other one' AS o`)
	wantText(t, c.Raw(), `SELECT t.x, o.x FROM t, o.o`, "here,there")
	sqlExec(t, w, `UPDATE o SET x = 'changed'`)
	wantText(t, c.Raw(), `SELECT x FROM o.o`, "changed")
	t.Run("reads only", func(t *testing.T) {
		for _, sql := range []string{`INSERT INTO o.o VALUES (1)`, `BEGIN IMMEDIATE; INSERT INTO t VALUES (1); INSERT INTO o.o VALUES (1)`, `CREATE TABLE o.x (x)`} {
			err := c.Raw().Exec(sql)
			if err == nil || !strings.Contains(err.Error(), "readonly") {
				t.Fatalf("%s: %v", sql, err)
			}
			if !c.Raw().GetAutocommit() {
				sqlExec(t, c, `ROLLBACK`)
			}
		}
		// Nobody's writer's place was taken by BEGIN IMMEDIATE.
		sqlExec(t, c, `BEGIN IMMEDIATE; INSERT INTO t SELECT x FROM o.o`)
		sqlExec(t, w, `INSERT INTO o VALUES ('meanwhile')`)
		sqlExec(t, c, `COMMIT`)
		wantText(t, c.Raw(), `SELECT group_concat(x) FROM t`, "here,changed")
	})
	t.Run("never opens a file of the host", func(t *testing.T) {
		dir := t.TempDir()
		secret := filepath.Join(dir, "secret.db")
		s, err := sqlite3.Open("file:" + secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Exec(`CREATE TABLE s (x)`); err != nil {
			t.Fatal(err)
		}
		s.Close()
		fresh := filepath.Join(dir, "fresh.db")
		for _, sql := range []string{
			`ATTACH '` + secret + `' AS s`,
			`ATTACH 'file:` + secret + `' AS s`,
			`ATTACH 'FILE:` + secret + `?vfs=os' AS s`,
			`ATTACH "file:` + secret + `?vfs=os" AS s`,
			`ATTACH 'fi' || 'le:` + secret + `?vfs=os' AS s`,
			`ATTACH (SELECT 'file:` + fresh + `?vfs=os') AS s`,
			`VACUUM INTO '` + fresh + `'`,
			`VACUUM INTO 'file:` + fresh + `?vfs=os'`,
			`VACUUM INTO 'fi' || 'le:` + fresh + `?vfs=os'`,
			`CREATE VIRTUAL TABLE temp.v USING csv (filename = '` + secret + `')`,
			`SELECT readfile('` + secret + `')`,
			`SELECT writefile('` + fresh + `', 'x')`,
			`SELECT load_extension('x')`,
		} {
			if err := c.Raw().Exec(sql); err == nil {
				t.Errorf("%s: it works", sql)
			}
		}
		st, _, err := c.Raw().Prepare(`ATTACH ? AS s`)
		if err == nil {
			st.BindText(1, "file:"+fresh+"?vfs=os")
			if err := st.Exec(); err == nil {
				t.Error("a parameter gets through")
			}
			st.Close()
		}
		if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file was made: %v", err)
		}
		for _, sql := range []string{`PRAGMA temp_store_directory = '` + dir + `'`} {
			c.Raw().Exec(sql)
		}
	})
	t.Run("private ones can be written", func(t *testing.T) {
		sqlExec(t, c, `ATTACH ':memory:' AS m; CREATE TABLE m.t (x); INSERT INTO m.t VALUES (1); DETACH m; DETACH o`)
	})
	t.Run("a user's authorizer comes after ours", func(t *testing.T) {
		var asked int
		if err := c.SetAuthorizer(func(sqlite3.AuthorizerActionCode, string, string, string, string) sqlite3.AuthorizerReturnCode {
			asked++
			return sqlite3.AUTH_OK
		}); err != nil {
			t.Fatal(err)
		}
		wantText(t, c.Raw(), `SELECT count(*) FROM t`, "2")
		if asked == 0 {
			t.Fatal("it was not asked")
		}
		if err := c.Raw().Exec(`ATTACH 'file:x?vfs=os' AS x`); err == nil {
			t.Fatal("the connection's own is gone")
		}
	})
}

func TestTemporaryTables(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir(), TempMemory: 8 << 10})
	db := create(t, h, "d")
	c := connect(t, db)
	created := db.Heads().Executed // an encrypted one begins with its keys
	sqlExec(t, c, `PRAGMA temp_store = file; PRAGMA temp.cache_size = 10; CREATE TEMP TABLE x AS SELECT randomblob(3000) AS b FROM `+fmt.Sprintf(series, 300))
	sqlExec(t, c, `BEGIN; DELETE FROM x; ROLLBACK; CREATE TEMP TABLE y AS SELECT b FROM x ORDER BY b DESC`)
	wantText(t, c.Raw(), `SELECT count(*), sum(length(b)) FROM y`, "300,900000")
	wantText(t, c.Raw(), `SELECT count(*) FROM main.sqlite_schema`, "0")
	if db.Heads().Executed > created {
		t.Fatal("temporary tables went to the log")
	}
	p := db.Pool()
	for _, text := range []string{
		`CREATE TEMP TABLE mine (x)`, `CREATE TABLE temp.mine (x)`, `CREATE TEMP VIEW mine AS SELECT 1`, `CREATE VIRTUAL TABLE temp.mine USING fts5(x)`,
		`CREATE TABLE theirs (x); CREATE TEMP TRIGGER mine AFTER INSERT ON theirs BEGIN SELECT 1; END`,
	} {
		a, err := p.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sqlExec(t, a, text)
		p.Put(a, false)
		if p.Idle() != 0 {
			t.Errorf("after %s a connection with temporary things was kept for others", text)
		}
	}
}

func TestExtensions(t *testing.T) {
	_, c := single(t)
	used := map[string]string{
		"json":      `SELECT json_extract('{"a": [1, 2]}', '$.a[1]')`,
		"math":      `SELECT round(sqrt(2), 3)`,
		"fts5":      `CREATE VIRTUAL TABLE ft USING fts5 (x); INSERT INTO ft VALUES ('red apples'); SELECT rowid FROM ft WHERE ft MATCH 'apples'`,
		"rtree":     `CREATE VIRTUAL TABLE rt USING rtree (id, a, b); INSERT INTO rt VALUES (1, 2, 3); SELECT id FROM rt WHERE a > 1`,
		"spellfix1": `CREATE VIRTUAL TABLE sf USING spellfix1; INSERT INTO sf (word) VALUES ('kitten'); SELECT word FROM sf WHERE word MATCH 'kiten'`,
		"vec1":      `SELECT count(*) FROM pragma_module_list WHERE name LIKE 'vec1%'`,
		"unicode":   `SELECT upper('ä')`,
		"regexp":    `SELECT regexp_like('abc', '^a.c$'), 'abc' REGEXP 'b'`,
		"uuid":      `SELECT length(uuid())`,
		"stats":     `SELECT median(value) FROM ` + fmt.Sprintf(series, 9),
		"approx":    `SELECT approx_count_distinct(value) > 0 FROM ` + fmt.Sprintf(series, 9),
		"hash":      `SELECT hex(md5('x'))`,
		"ipaddr":    `SELECT ipcontains('10.0.0.0/8', '10.1.2.3')`,
		"array":     `SELECT count(*) FROM pragma_module_list WHERE name = 'array'`,
		"bloom":     `CREATE VIRTUAL TABLE bl USING bloom_filter (100); INSERT INTO bl VALUES ('a'); SELECT count(*) FROM bl ('a')`,
		"blobio":    `SELECT count(*) > 0 FROM pragma_function_list WHERE name = 'readblob'`,
		"closure":   `SELECT count(*) FROM pragma_module_list WHERE name = 'transitive_closure'`,
		"csv":       `CREATE VIRTUAL TABLE temp.cs USING csv (data = 'a,b', schema = 'CREATE TABLE x (a, b)'); SELECT a, b FROM cs`,
		"pivot":     `SELECT count(*) FROM pragma_module_list WHERE name LIKE 'pivot%'`,
		"statement": `CREATE VIRTUAL TABLE temp.st USING statement ((SELECT :a + 1 AS n)); SELECT n FROM st (41)`,
		"zorder":    `SELECT zorder(1, 2) > 0`,
	}
	for _, e := range sqlite.Extensions() {
		sql, ok := used[e.Name]
		if !ok || e.Version == "" || e.Adds == "" {
			t.Errorf("%+v is not tested or not described", e)
			continue
		}
		var last string
		for one := range strings.SplitSeq(sql, "; ") {
			last = text(t, c.Raw(), one)
		}
		if last == "" || last == "0" {
			t.Errorf("%s: %s gives %q", e.Name, sql, last)
		}
	}
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	// LIKE is SQLite's own, which can use an index.
	sqlExec(t, c, `CREATE TABLE l (x TEXT COLLATE NOCASE); CREATE INDEX lx ON l (x)`)
	if plan := text(t, c.Raw(), `EXPLAIN QUERY PLAN SELECT * FROM l WHERE x LIKE 'ab%'`); !strings.Contains(plan, "x>? AND x<?") {
		t.Error(plan)
	}
}

func TestCompiledVersionIsTheOneThatIsListed(t *testing.T) {
	_, c := single(t)
	wantText(t, c.Raw(), `SELECT sqlite_version()`, sqlite.Extensions()[0].Version)
}

func TestTheSchemaCookieFollowsTheSchema(t *testing.T) {
	_, c := single(t)
	db := c.DB()
	a := db.SchemaCookie()
	sqlExec(t, c, `CREATE TABLE t (x)`)
	b := db.SchemaCookie()
	sqlExec(t, c, `INSERT INTO t VALUES (1)`)
	if a == b || b != db.SchemaCookie() || fmt.Sprint(b) != text(t, c.Raw(), `PRAGMA schema_version`) {
		t.Fatalf("cookies %d, %d, %d", a, b, db.SchemaCookie())
	}
}

func TestPageSizes(t *testing.T) {
	h := open(t, sqlite.Options{Dir: t.TempDir()})
	for size := 512; size <= 65536; size *= 2 {
		db, err := h.Create(t.Context(), fmt.Sprint(size), sqlite.CreateOptions{PageSize: size})
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, db)
		wantText(t, c.Raw(), `PRAGMA page_size`, fmt.Sprint(size))
		sqlExec(t, c, fmt.Sprintf(`CREATE TABLE t (x); INSERT INTO t SELECT randomblob(700) FROM `+series, 50))
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		sqlExec(t, c, fmt.Sprintf(`PRAGMA page_size = %d; VACUUM`, 512+(65536-512)*(size/65536^1)))
		wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantText(t, c.Raw(), `SELECT count(*), sum(length(x)) FROM t`, "50,35000")
	}
}

func TestABigDatabaseWithTheLockPage(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a gigabyte")
	}
	if os.Getenv("BOP_SLOW") == "" {
		t.Skip("writes a gigabyte: set BOP_SLOW to run it")
	}
	h := open(t, sqlite.Options{Dir: t.TempDir(), TxnMemory: 8 << 20})
	db, err := h.Create(t.Context(), "big", sqlite.CreateOptions{PageSize: 65536})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, db)
	sqlExec(t, c, `CREATE TABLE t (x)`)
	for range 11 {
		sqlExec(t, c, `INSERT INTO t VALUES (randomblob(100000000))`)
	}
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantText(t, connect(t, db).Raw(), `SELECT count(*), sum(length(x)) FROM t`, "11,1100000000")
}
