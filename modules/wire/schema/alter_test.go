package schema_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/schema"
)

// family makes a parent and a child with rows, between which foreign keys act.
func family(d *db) {
	d.pg(`CREATE TABLE parent (id int PRIMARY KEY, name varchar(20) NOT NULL UNIQUE, n int);
	      CREATE TABLE child (id serial PRIMARY KEY, parent_id int NOT NULL REFERENCES parent ON DELETE CASCADE, note text);
	      CREATE INDEX child_note ON child (note)`)
	d.sql(`INSERT INTO parent VALUES (1, 'one', 10), (2, 'two', 20), (5, 'five', 50);
	       INSERT INTO child VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 5, 'c')`)
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

func table(t *testing.T, s *schema.Schema, name string) *schema.Table {
	t.Helper()
	tb := s.Find(nil, "", name)
	if tb == nil {
		t.Fatalf("no table %s", name)
	}
	return tb
}

func constraints(s *schema.Schema, t *schema.Table) []string {
	var out []string
	for _, k := range t.Constraints {
		out = append(out, k.Name+" "+schema.ConstraintDefinition(s, t, k, nil))
	}
	return out
}

func TestAlterTable(t *testing.T) {
	t.Run("a referenced table is written anew without touching its children", func(t *testing.T) {
		d := open(t)
		family(d)
		d.pg(`ALTER TABLE parent DROP COLUMN n`)
		equal(t, d.rows("SELECT * FROM parent"), "1|one", "2|two", "5|five")
		equal(t, d.rows("SELECT * FROM child"), "1|1|a", "2|1|b", "3|5|c")
		d.sql("DELETE FROM parent WHERE id = 1")
		equal(t, d.rows("SELECT * FROM child"), "3|5|c")
		d.pg(`ALTER TABLE parent ADD COLUMN created timestamptz DEFAULT now()`)
		equal(t, d.rows("SELECT count(*), count(created) FROM parent"), "2|2")
		equal(t, d.rows("SELECT * FROM pragma_foreign_key_check"))
		if err := d.c.Exec("INSERT INTO child VALUES (9, 77, '')"); err == nil {
			t.Fatal("the foreign key is gone")
		}
	})
	t.Run("a column with a constant default costs no rewrite", func(t *testing.T) {
		d := open(t)
		family(d)
		root := d.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'parent'")
		d.pg(`ALTER TABLE parent ADD COLUMN level int NOT NULL DEFAULT 3, ADD COLUMN remark text`)
		equal(t, d.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'parent'"), root...)
		equal(t, d.rows("SELECT id, level, remark FROM parent"), "1|3|∅", "2|3|∅", "5|3|∅")
		d.pg(`ALTER TABLE parent ALTER level SET DEFAULT 8`)
		equal(t, d.rows("SELECT id, level FROM parent"), "1|3", "2|3", "5|3")
		d.pg(`ALTER TABLE parent ALTER level DROP DEFAULT`)
		equal(t, d.rows("SELECT id, level FROM parent"), "1|3", "2|3", "5|3")
		d.pg(`ALTER TABLE parent DROP COLUMN n`)
		equal(t, d.rows("SELECT * FROM parent"), "1|one|3|∅", "2|two|3|∅", "5|five|3|∅")
		d.fail("23502", `ALTER TABLE parent ADD COLUMN x int NOT NULL`)
		d.fail("42701", `ALTER TABLE parent ADD COLUMN level int`)
		d.pg(`ALTER TABLE parent ADD COLUMN IF NOT EXISTS level int`)
	})
	t.Run("a primary key over the values that rows were loaded in order of is only named", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE accounts (aid int NOT NULL, bid int)`)
		d.sql(`INSERT INTO accounts WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 1000) SELECT i, i % 7 FROM x`)
		root := d.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'accounts'")
		d.pg(`ALTER TABLE accounts ADD PRIMARY KEY (aid)`)
		equal(t, d.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'accounts'"), root...)
		equal(t, d.rows("SELECT aid, bid FROM accounts WHERE aid = 500"), "500|3")
		d.sql(`UPDATE accounts SET bid = 9 WHERE aid = 500; DELETE FROM accounts WHERE aid = 1000; INSERT INTO accounts VALUES (5000, 1)`)
		equal(t, d.rows("SELECT aid, bid FROM accounts WHERE aid IN (500, 501, 5000)"), "500|9", "501|4", "5000|1")
		d.check()
		d.sql("VACUUM")
		d.check()
		equal(t, d.rows("SELECT count(*), sum(aid) FROM accounts"), "1000|504500")
		if !strings.Contains(d.rows("EXPLAIN QUERY PLAN SELECT * FROM accounts WHERE aid = 5")[0], "INTEGER PRIMARY KEY") {
			t.Fatal("the key isn't the rowid")
		}
		d.fail("42P16", `ALTER TABLE accounts ADD PRIMARY KEY (bid)`)
	})
	t.Run("a primary key over other values orders the rows anew", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (k int, v text); CREATE INDEX a_v ON a (v)`)
		d.sql(`INSERT INTO a VALUES (30, 'x'), (10, 'y'), (20, 'z')`)
		d.pg(`ALTER TABLE ONLY a ADD CONSTRAINT a_pkey PRIMARY KEY (k)`)
		equal(t, d.rows("SELECT rowid, * FROM a"), "10|10|y", "20|20|z", "30|30|x")
		equal(t, d.rows("SELECT k FROM a INDEXED BY a_v ORDER BY v"), "30", "10", "20")
		d.pg(`CREATE TABLE b (k int, v text)`)
		d.sql(`INSERT INTO b VALUES (3, 'x'), (3, 'y')`)
		d.fail("23505", `ALTER TABLE b ADD PRIMARY KEY (k)`)
		d.sql(`UPDATE b SET k = NULL WHERE v = 'y'`)
		d.fail("23502", `ALTER TABLE b ADD PRIMARY KEY (k)`)
	})
	t.Run("a primary key over several columns or text is an index", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int, y text)`)
		d.sql(`INSERT INTO a VALUES (1, 'a'), (1, 'b')`)
		d.pg(`ALTER TABLE a ADD PRIMARY KEY (x, y)`)
		s := d.load()
		equal(t, constraints(s, table(t, s, "a")), "a_pkey PRIMARY KEY (x, y)")
		if err := d.c.Exec("INSERT INTO a VALUES (1, 'b')"); err == nil {
			t.Fatal("the key isn't unique")
		}
		if err := d.c.Exec("INSERT INTO a VALUES (1, NULL)"); err == nil {
			t.Fatal("the key takes NULL")
		}
		d.pg(`ALTER TABLE a DROP CONSTRAINT a_pkey`)
		d.sql("INSERT INTO a VALUES (1, 'b')")
		d.fail("23505", `ALTER TABLE a ADD PRIMARY KEY (x, y)`)
	})
	t.Run("foreign keys are validated and enforced", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE p (id int PRIMARY KEY, a int, b int, UNIQUE (a, b)); CREATE TABLE c (pid int, a int, b int)`)
		d.sql(`INSERT INTO p VALUES (1, 1, 1), (2, 1, 2); INSERT INTO c VALUES (1, 1, 2), (7, NULL, 9)`)
		d.fail("23503", `ALTER TABLE c ADD FOREIGN KEY (pid) REFERENCES p`)
		d.pg(`ALTER TABLE c ADD CONSTRAINT later FOREIGN KEY (pid) REFERENCES p NOT VALID`)
		d.fail("23503", `ALTER TABLE c VALIDATE CONSTRAINT later`)
		if err := d.c.Exec("INSERT INTO c VALUES (8, 1, 1)"); err == nil {
			t.Fatal("a key that isn't valid yet must hold for new rows")
		}
		d.sql("DELETE FROM c WHERE pid = 7")
		d.pg(`ALTER TABLE c VALIDATE CONSTRAINT later`)
		d.pg(`ALTER TABLE c ADD FOREIGN KEY (a, b) REFERENCES p (a, b) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED`)
		d.sql("UPDATE p SET b = 5 WHERE id = 2")
		equal(t, d.rows("SELECT * FROM c"), "1|1|5")
		s := d.load()
		equal(t, constraints(s, table(t, s, "c")), "later FOREIGN KEY (pid) REFERENCES p(id)",
			"c_a_b_fkey FOREIGN KEY (a, b) REFERENCES p(a, b) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED")
		d.fail("2BP01", `ALTER TABLE p DROP CONSTRAINT p_pkey`)
		d.fail("42830", `ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES p (a)`)
		d.fail("42804", `CREATE TABLE d (x text REFERENCES p)`)
		d.pg(`ALTER TABLE p DROP CONSTRAINT p_pkey CASCADE`)
		d.sql("INSERT INTO c VALUES (99, NULL, NULL); INSERT INTO p VALUES (1, 8, 8)")
		d.fail("2BP01", `DROP TABLE p`)
		d.pg(`DROP TABLE p CASCADE`)
		equal(t, d.rows("SELECT * FROM c"), "1|1|5", "99|∅|∅")
	})
	t.Run("types change with the values", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (id int PRIMARY KEY, s varchar(10), n int DEFAULT 4, t text)`)
		d.sql(`INSERT INTO a VALUES (1, 'abc', 40000, '12'), (2, 'abcdefgh', 2, '13')`)
		root := d.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'a'")
		d.pg(`ALTER TABLE a ALTER s TYPE varchar(30), ALTER n TYPE bigint`)
		equal(t, d.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'a'"), root...)
		d.fail("22001", `ALTER TABLE a ALTER s TYPE varchar(5)`)
		d.fail("22003", `ALTER TABLE a ALTER n TYPE smallint`)
		d.fail("42804", `ALTER TABLE a ALTER t TYPE int`)
		d.pg(`ALTER TABLE a ALTER t TYPE int USING t::int`)
		equal(t, d.rows("SELECT id, s, n, t, typeof(t) FROM a"), "1|abc|40000|12|integer", "2|abcdefgh|2|13|integer")
		d.pg(`ALTER TABLE a ALTER n TYPE text`)
		equal(t, d.rows("SELECT n, typeof(n) FROM a"), "40000|text", "2|text")
	})
	t.Run("NOT NULL and checks are validated", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x int, y int)`)
		d.sql("INSERT INTO a VALUES (1, NULL), (2, 5)")
		d.fail("23502", `ALTER TABLE a ALTER y SET NOT NULL`)
		d.fail("23514", `ALTER TABLE a ADD CHECK (x > 1)`)
		d.pg(`ALTER TABLE a ALTER x SET NOT NULL, ADD CONSTRAINT small CHECK (x < 10)`)
		if err := d.c.Exec("INSERT INTO a VALUES (11, 1)"); err == nil {
			t.Fatal("the check doesn't hold")
		}
		d.pg(`ALTER TABLE a RENAME CONSTRAINT small TO little; ALTER TABLE a DROP CONSTRAINT little; ALTER TABLE a ALTER x DROP NOT NULL`)
		d.sql("INSERT INTO a VALUES (NULL, 1), (11, 1)")
		d.fail("42704", `ALTER TABLE a DROP CONSTRAINT little`)
		d.pg(`ALTER TABLE a DROP CONSTRAINT IF EXISTS little`)
	})
	t.Run("renames reach everything that names the table or column", func(t *testing.T) {
		d := open(t)
		family(d)
		d.pg(`CREATE VIEW v AS SELECT id, name FROM parent WHERE n IS NOT NULL`)
		d.pg(`CREATE INDEX up ON parent (upper(name)) WHERE n > 5; ALTER TABLE parent ADD CHECK (n > 1)`)
		d.pg(`ALTER TABLE parent RENAME n TO number; ALTER TABLE parent RENAME TO elder; ALTER TABLE elder RENAME COLUMN name TO title`)
		equal(t, d.rows("SELECT * FROM v"), "1|one", "2|two", "5|five")
		s := d.load()
		v := table(t, s, "v")
		if want := " SELECT id, title FROM elder WHERE number IS NOT NULL;"; schema.ViewDefinition(s, v, nil) != want {
			t.Fatalf("view: %s", schema.ViewDefinition(s, v, nil))
		}
		e := table(t, s, "elder")
		equal(t, constraints(s, e), "parent_pkey PRIMARY KEY (id)", "parent_name_key UNIQUE (title)", "parent_n_check CHECK ((number > 1))")
		equal(t, constraints(s, table(t, s, "child"))[1:], "child_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES elder(id) ON DELETE CASCADE")
		if x := s.Indexes[schema.Key{Namespace: "public", Name: "up"}]; schema.IndexDefinition(s, e, x) != `CREATE INDEX up ON public.elder USING btree (upper(title)) WHERE (number > 5)` {
			t.Fatalf("index: %s", schema.IndexDefinition(s, e, x))
		}
		d.fail("0A000", `ALTER TABLE elder ALTER number TYPE text`)
		d.pg(`ALTER TABLE elder ADD COLUMN at timestamptz DEFAULT now()`)
		d.sql("DELETE FROM elder WHERE id = 5")
		equal(t, d.rows("SELECT count(*) FROM child"), "2")
		d.fail("2BP01", `ALTER TABLE elder DROP COLUMN title`)
		d.pg(`ALTER TABLE elder DROP COLUMN title CASCADE`)
		if d.load().Find(nil, "", "v") != nil {
			t.Fatal("the view is still there")
		}
	})
	t.Run("identity and serial columns come and go", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE a (x text)`)
		d.sql("INSERT INTO a VALUES ('p'), ('q')")
		d.pg(`ALTER TABLE a ADD COLUMN id serial PRIMARY KEY`)
		equal(t, d.rows("SELECT * FROM a"), "p|1", "q|2")
		d.fail("2BP01", `DROP SEQUENCE a_id_seq`)
		d.pg(`ALTER TABLE a DROP COLUMN id`)
		if n := len(d.load().Sequences); n != 0 {
			t.Fatalf("%d sequences are left", n)
		}
		d.pg(`ALTER TABLE a ADD COLUMN n int NOT NULL DEFAULT 1; ALTER TABLE a ALTER n DROP DEFAULT; ALTER TABLE a ALTER n ADD GENERATED BY DEFAULT AS IDENTITY (START 40)`)
		q := d.load().Sequences[schema.Key{Namespace: "public", Name: "a_n_seq"}]
		if q == nil || q.Start != 40 || !q.Identity {
			t.Fatalf("sequence %+v", q)
		}
		d.pg(`ALTER TABLE a ALTER n SET GENERATED ALWAYS SET INCREMENT 5; ALTER TABLE a ALTER n DROP IDENTITY`)
		if n := len(d.load().Sequences); n != 0 {
			t.Fatalf("%d sequences are left", n)
		}
	})
	t.Run("tables that pg_dump writes load", func(t *testing.T) {
		d := open(t)
		d.pg(`CREATE TABLE public.t (id integer NOT NULL, name character varying(30));
			ALTER TABLE public.t OWNER TO bop;
			CREATE SEQUENCE public.t_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
			ALTER TABLE public.t_id_seq OWNER TO bop;
			ALTER SEQUENCE public.t_id_seq OWNED BY public.t.id;
			ALTER TABLE ONLY public.t ALTER COLUMN id SET DEFAULT nextval('public.t_id_seq'::regclass)`)
		d.sql("INSERT INTO t VALUES (4, 'a'), (9, 'b')")
		d.pg(`ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id)`)
		s := d.load()
		c := table(t, s, "t").Columns[0]
		if c.NextVal == 0 || schema.DefaultDefinition(s, c, []string{}) != "nextval('public.t_id_seq'::regclass)" || schema.DefaultDefinition(s, c, nil) != "nextval('t_id_seq'::regclass)" {
			t.Fatalf("default %+v", c)
		}
		d.pg(`DROP TABLE t`)
		if s := d.load(); len(s.Tables)+len(s.Indexes)+len(s.Sequences) != 0 {
			t.Fatalf("left: %v %v %v", s.Tables, s.Indexes, s.Sequences)
		}
		equal(t, d.rows("SELECT count(*) FROM __bop_objects"), "1")
	})
}
