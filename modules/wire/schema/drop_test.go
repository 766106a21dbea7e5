package schema_test

import (
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
)

func TestDrop(t *testing.T) {
	t.Run("dropping a parent with its child deletes no rows on the way", func(t *testing.T) {
		d := open(t)
		family(d)
		d.sql(`CREATE TABLE log (what TEXT); CREATE TRIGGER deleted AFTER DELETE ON child BEGIN INSERT INTO log VALUES (old.id); END`)
		d.fail("2BP01", `DROP TABLE parent`)
		d.pg(`DROP TABLE parent, child`)
		equal(t, d.rows("SELECT * FROM log"))
		if s := d.load(); s.Find(nil, "", "parent") != nil || s.Find(nil, "", "child") != nil {
			t.Fatal("a table is still there")
		}
	})
	t.Run("CASCADE takes the foreign key, not the rows", func(t *testing.T) {
		d := open(t)
		family(d)
		res := d.pg(`DROP TABLE parent CASCADE`)
		if len(res.Notices) != 1 || res.Notices[0].Message != "drop cascades to constraint child_parent_id_fkey on table child" {
			t.Fatalf("notices %v", res.Notices)
		}
		equal(t, d.rows("SELECT count(*) FROM child"), "3")
		d.sql("INSERT INTO child VALUES (9, 99, '')")
	})
	t.Run("a table takes its indexes, sequences and types along", func(t *testing.T) {
		d := open(t)
		family(d)
		d.pg(`DROP TABLE child; DROP TABLE parent`)
		equal(t, d.rows("SELECT kind FROM __bop_objects"), "meta")
		equal(t, d.rows("SELECT count(*) FROM __bop_sequences"), "0")
		equal(t, d.rows("SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_\\_bop%' ESCAPE '\\'"))
	})
	t.Run("a table that references itself goes", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE RESTRICT)`)
		d.sql("INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2)")
		d.pg(`DROP TABLE tree`)
	})
	t.Run("OIDs are never given out twice", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int)`)
		first := d.load().Find(nil, "", "a").OID
		d.pg(`DROP TABLE a; CREATE TABLE a (x int)`)
		if again := d.load().Find(nil, "", "a").OID; again <= first {
			t.Fatalf("OID %d after %d", again, first)
		}
	})
	t.Run("views keep what they read", func(t *testing.T) {
		d := open(t)
		family(d)
		d.pg(`CREATE VIEW names AS SELECT name FROM parent; CREATE VIEW again AS SELECT name FROM names`)
		d.fail("2BP01", `DROP TABLE child, parent`)
		d.fail("2BP01", `DROP VIEW names`)
		d.fail("42809", `DROP TABLE names`)
		d.fail("42809", `DROP VIEW parent`)
		d.pg(`DROP VIEW names CASCADE`)
		d.fail("42P07", `CREATE VIEW parent AS SELECT name FROM child`)
		d.pg(`CREATE VIEW v (n) AS SELECT name FROM parent; CREATE OR REPLACE VIEW v AS SELECT name AS n, id FROM parent`)
		equal(t, d.rows("SELECT n, id FROM v ORDER BY id"), "one|1", "two|2", "five|5")
		d.fail("42P16", `CREATE OR REPLACE VIEW v AS SELECT id FROM parent`)
		d.pg(`ALTER VIEW v RENAME TO w`)
		equal(t, d.rows("SELECT count(*) FROM w"), "3")
	})
	t.Run("IF EXISTS says what it skips", func(t *testing.T) {
		d := open(t)
		res := d.pg(`DROP TABLE IF EXISTS nothing`)
		if len(res.Notices) != 1 || res.Notices[0].Message != `table "nothing" does not exist, skipping` || res.Tag != "DROP TABLE" {
			t.Fatalf("%+v", res)
		}
		d.fail("42P01", `DROP TABLE nothing`)
		d.fail("42704", `DROP INDEX nothing`)
		d.fail("42704", `DROP TYPE nothing`)
		d.fail("3F000", `DROP SCHEMA nothing`)
		d.fail("3F000", `DROP TABLE nothing.t`)
	})
	t.Run("an index of a constraint goes only with it", func(t *testing.T) {
		d := open(t)
		family(d)
		d.fail("2BP01", `DROP INDEX parent_name_key`)
		d.pg(`DROP INDEX child_note; ALTER TABLE parent DROP CONSTRAINT parent_name_key`)
		d.sql("INSERT INTO parent VALUES (8, 'one', 1)")
	})
	t.Run("schemas", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE SCHEMA shop; CREATE TABLE shop.t (id serial PRIMARY KEY, x int UNIQUE); CREATE TABLE t (id int)`)
		d.sql(`INSERT INTO "shop.t" (id, x) VALUES (1, 2)`)
		d.fail("2BP01", `DROP SCHEMA shop`)
		d.fail("42P06", `CREATE SCHEMA shop`)
		d.fail("42939", `CREATE SCHEMA pg_own`)
		d.fail("42P07", `ALTER TABLE shop.t SET SCHEMA public`)
	})
	t.Run("tables move between schemas with what belongs to them", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE SCHEMA shop; CREATE TABLE goods (id serial PRIMARY KEY, x int UNIQUE)`)
		d.sql(`INSERT INTO goods VALUES (1, 2)`)
		d.pg(`ALTER TABLE goods SET SCHEMA shop`)
		s := d.load()
		g := s.Find(nil, "shop", "goods")
		if g == nil || g.SQLName != "shop.goods" || s.Sequences[schema.Key{Namespace: "shop", Name: "goods_id_seq"}] == nil {
			t.Fatalf("%+v", g)
		}
		if got := schema.DefaultDefinition(s, g.Columns[0], nil); got != "nextval('shop.goods_id_seq'::regclass)" {
			t.Fatal(got)
		}
		equal(t, d.rows(`SELECT * FROM "shop.goods"`), "1|2")
		d.pg(`DROP SCHEMA shop CASCADE`)
		if s := d.load(); len(s.Tables) != 0 || s.Namespace("shop") != nil {
			t.Fatalf("left: %v", s.Tables)
		}
		d.pg(`DROP SCHEMA public CASCADE`)
		d.fail("3F000", `CREATE TABLE x (a int)`)
		d.pg(`CREATE SCHEMA public; CREATE TABLE x (a int)`)
	})
}

func TestTemporary(t *testing.T) {
	d := open(t)
	d.pg(`CREATE TABLE t (a int); CREATE TEMP TABLE t (b serial PRIMARY KEY, c text NOT NULL UNIQUE)`)
	s := d.load()
	if got := s.Find(nil, "", "t"); !got.Temp || !s.HasTemp || got.Columns[0].Name != "b" {
		t.Fatalf("found %+v", got)
	}
	if got := s.Find(nil, "public", "t"); got.Temp {
		t.Fatal("the permanent table is hidden")
	}
	d.sql("INSERT INTO temp.t VALUES (1, 'x')")
	d.pg(`ALTER TABLE t ADD COLUMN d int DEFAULT 7; ALTER TABLE t DROP COLUMN c`)
	equal(t, d.rows("SELECT * FROM temp.t"), "1|7")
	d.fail("42P16", `ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES public.t (a)`)
	d.pg(`DROP TABLE t`)
	if got := d.load().Find(nil, "", "t"); got.Temp {
		t.Fatal("the temporary table is still there")
	}
	equal(t, d.rows("SELECT name FROM temp.sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_bop%' ESCAPE '\\'"))
}

func TestTypes(t *testing.T) {
	t.Run("labels are added and renamed in the rows", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (m mood DEFAULT 'ok')`)
		d.sql("INSERT INTO t VALUES ('sad'), ('ok')")
		if err := d.c.Exec("INSERT INTO t VALUES ('great')"); err == nil || !strings.Contains(err.Error(), "__bop_enum_m") {
			t.Fatalf("%v", err)
		}
		d.pg(`ALTER TYPE mood ADD VALUE 'great' BEFORE 'ok'; ALTER TYPE mood ADD VALUE IF NOT EXISTS 'great'; ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'`)
		d.sql("INSERT INTO t VALUES ('great')")
		equal(t, d.rows("SELECT m FROM t"), "blue", "ok", "great")
		if e := d.load().Enums[schema.Key{Namespace: "public", Name: "mood"}]; strings.Join(e.Labels, ",") != "blue,great,ok" {
			t.Fatalf("labels %v", e.Labels)
		}
		d.fail("42710", `ALTER TYPE mood ADD VALUE 'ok'`)
		d.fail("2BP01", `DROP TYPE mood`)
		d.pg(`ALTER TYPE mood RENAME TO feeling`)
		if c := d.load().Find(nil, "", "t").Columns[0]; c.Declared != "feeling" {
			t.Fatalf("declared %s", c.Declared)
		}
		d.pg(`ALTER TABLE t ADD COLUMN x int; DROP TYPE feeling CASCADE`)
		equal(t, d.rows("SELECT * FROM t"), "∅", "∅", "∅")
		d.fail("42704", `CREATE TABLE u (m mood)`)
	})
	t.Run("domains check their values", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE DOMAIN age AS int CHECK (VALUE > 0) CONSTRAINT old CHECK (VALUE < 150) DEFAULT 18; CREATE TABLE t (id int, a age)`)
		c := d.load().Find(nil, "", "t").Columns[1]
		if c.DefaultSQL != "18" || c.Domain == 0 {
			t.Fatalf("%+v", c)
		}
		d.sql("INSERT INTO t VALUES (1, 5)")
		for _, bad := range []string{"0", "200"} {
			if err := d.c.Exec("INSERT INTO t VALUES (1, " + bad + ")"); err == nil {
				t.Fatalf("%s was taken", bad)
			}
		}
		d.fail("2BP01", `DROP DOMAIN age`)
		d.pg(`DROP DOMAIN age CASCADE`)
		equal(t, d.rows("SELECT * FROM t"), "1")
	})
	t.Run("a set takes each label once", func(t *testing.T) {
		d := open(t)
		st := &ir.Statement{Dialect: ir.MySQL, Tree: &ir.CreateTable{Name: ir.Name{Name: "t"}, Columns: []ir.ColumnDef{
			{Name: "s", Type: ir.TypeName{Type: types.T(types.Set), Declared: "set('a','b','it''s')"}}}}}
		if _, err := d.try(st); err != nil {
			t.Fatal(err)
		}
		for _, ok := range []string{"", "a", "b,a", "a,b,it''s"} {
			d.sql("INSERT INTO t VALUES ('" + ok + "')")
		}
		for _, bad := range []string{"c", "a,a", "a,c", ",", "a,"} {
			if err := d.c.Exec("INSERT INTO t VALUES ('" + bad + "')"); err == nil {
				t.Fatalf("%q was taken", bad)
			}
		}
	})
}

func TestSequences(t *testing.T) {
	d := open(t)
	d.pg(`CREATE SEQUENCE s INCREMENT BY -2 MINVALUE -100; ALTER SEQUENCE s RESTART WITH -7`)
	equal(t, d.rows("SELECT value, called FROM __bop_sequences"), "-7|0")
	s := d.load()
	equal(t, d.rows(`SELECT * FROM "`+s.Find(nil, "", "s").SQLName+`"`), "-7|0|0")
	d.fail("22023", `CREATE SEQUENCE bad MINVALUE 5 MAXVALUE 4`)
	d.fail("22023", `CREATE SEQUENCE bad START 5 MAXVALUE 4`)
	d.fail("22023", `CREATE SEQUENCE bad AS smallint MAXVALUE 40000`)
	d.fail("42P07", `CREATE SEQUENCE s`)
	d.pg(`CREATE TABLE t (a int DEFAULT nextval('s')); ALTER SEQUENCE s OWNED BY t.a; ALTER SEQUENCE s RENAME TO r`)
	s = d.load()
	if got := schema.DefaultDefinition(s, s.Find(nil, "", "t").Columns[0], nil); got != "nextval('r'::regclass)" {
		t.Fatal(got)
	}
	d.fail("2BP01", `DROP SEQUENCE r`)
	d.pg(`DROP SEQUENCE r CASCADE`)
	if c := d.load().Find(nil, "", "t").Columns[0]; c.DefaultSQL != "" {
		t.Fatalf("default %s", c.DefaultSQL)
	}
}
