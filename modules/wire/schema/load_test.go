package schema_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

func TestForeignTables(t *testing.T) {
	d := open(t)
	d.sql(`CREATE TABLE author (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(30) NOT NULL DEFAULT 'x', born DATE, score DECIMAL(5,2), flag BOOLEAN, raw BLOB, UNIQUE (name, born));
		CREATE TABLE book (isbn TEXT PRIMARY KEY, author INT REFERENCES author ON DELETE CASCADE, up TEXT AS (upper(isbn)) STORED) WITHOUT ROWID;
		CREATE INDEX book_author ON book (author DESC, lower(isbn)) WHERE author > 1;
		CREATE VIEW titles AS SELECT isbn, name FROM book JOIN author ON author.id = book.author;
		CREATE VIEW broken AS SELECT * FROM nowhere;
		CREATE TABLE __bop_seq_secret (x)`)
	s := d.load()
	if s.Find(nil, "", "__bop_seq_secret") != nil || s.Find(nil, "", "sqlite_sequence") != nil {
		t.Fatal("a hidden table is shown")
	}
	a := s.Find(nil, "", "author")
	if !a.Foreign || a.RowID == nil || a.RowID.Name != "id" || !a.RowID.AutoIncrement || a.RowID.Type != types.T(types.Int8) {
		t.Fatalf("%+v", a)
	}
	var kinds []string
	for _, c := range a.Columns {
		kinds = append(kinds, c.Name+" "+schema.PostgresType(s, c.Type)+" "+c.DefaultSQL)
	}
	equal(t, kinds, "id bigint ", "name character varying(30) 'x'", "born text ", "score double precision ", "flag boolean ", "raw bytea ")
	equal(t, constraints(s, a), "author_pkey PRIMARY KEY (id)", "author_name_born_key UNIQUE (name, born)")
	b := s.Find(nil, "", "book")
	if b.RowID != nil || b.ColumnByNum(3).Generated == "" {
		t.Fatalf("%+v", b)
	}
	equal(t, constraints(s, b), "book_pkey PRIMARY KEY (isbn)", "book_author_fkey FOREIGN KEY (author) REFERENCES author(id) ON DELETE CASCADE")
	if v := s.Find(nil, "", "titles"); v == nil || !v.View || len(v.Columns) != 2 || v.ViewText != "SELECT isbn, name FROM book JOIN author ON author.id = book.author" {
		t.Fatalf("%+v", v)
	}
	if len(s.Referencing(a)) != 1 || len(s.Indices(b)) != 2 {
		t.Fatalf("%v %v", s.Referencing(a), s.Indices(b))
	}
	again := d.load().Find(nil, "", "author")
	if again.OID != a.OID || again.OID < 16384 || again.OID >= 1<<31 {
		t.Fatalf("OIDs %d and %d", a.OID, again.OID)
	}

	t.Run("what SQLite does by itself is done to them", func(t *testing.T) {
		d.pg(`ALTER TABLE author ADD COLUMN note text DEFAULT 'n'; ALTER TABLE author RENAME COLUMN note TO remark; ALTER TABLE author DROP COLUMN remark;
			ALTER TABLE author RENAME TO writer; CREATE INDEX writer_name ON writer (name); DROP INDEX writer_name; ALTER TABLE writer RENAME TO author`)
	})
	t.Run("tables of ours may refer to them", func(t *testing.T) {
		d.pg(`CREATE TABLE review (id int PRIMARY KEY, author_id bigint REFERENCES author)`)
		if err := d.c.Exec("INSERT INTO review VALUES (1, 5)"); err == nil {
			t.Fatal("the foreign key doesn't hold")
		}
	})
	t.Run("what needs our definition is refused in words", func(t *testing.T) {
		d.fail("0A000", `ALTER TABLE author ADD CHECK (id > 0)`)
		d.fail("0A000", `ALTER TABLE author ALTER name TYPE text`)
	})
}

func TestLoad(t *testing.T) {
	t.Run("a table that another program dropped is gone", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int UNIQUE); CREATE TABLE b (y int)`)
		d.sql("DROP TABLE a")
		s := d.load()
		if s.Find(nil, "", "a") != nil || len(s.Indexes) != 0 || s.Find(nil, "", "b") == nil {
			t.Fatalf("%v %v", s.Tables, s.Indexes)
		}
		d.pg(`CREATE TABLE a (x int UNIQUE)`)
	})
	t.Run("a database of a newer version is refused", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int)`)
		d.sql(`UPDATE __bop_objects SET def = '{"format":99,"next":20000}' WHERE oid = 1`)
		if _, err := schema.Load(d.c); err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Fatalf("%v", err)
		}
	})
	t.Run("a damaged definition is an error that names it", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int)`)
		d.sql(`UPDATE __bop_objects SET def = '{"columns":[{"t":"nonsense"}]}' WHERE name = 'a'`)
		if _, err := schema.Load(d.c); err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Fatalf("%v", err)
		}
	})
	t.Run("a snapshot may be shared", func(t *testing.T) {
		d := open(t)
		family(d)
		s := d.load()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, tb := range s.SortedTables() {
					_ = schema.CreateTableMySQL(s, tb, 0)
					s.Memo("key", func() any { return 1 })
				}
			})
		}
		wg.Wait()
	})
	t.Run("every change moves SQLite's cookie", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int)`)
		for _, ddl := range []string{`COMMENT ON TABLE a IS 'x'`, `CREATE TYPE m AS ENUM ('a')`, `CREATE SCHEMA n`, `ALTER TABLE a ALTER x SET DEFAULT 3`, `ALTER TABLE a OWNER TO someone`} {
			before := d.load().Cookie
			if res := d.pg(ddl); !res.Changed || d.load().Cookie == before {
				t.Fatalf("%s: %+v, the cookie is still %d", ddl, res, before)
			}
		}
	})
}
