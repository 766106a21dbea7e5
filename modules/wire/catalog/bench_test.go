package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/plan"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
)

// BenchmarkRegister is what a new connection costs.
func BenchmarkRegister(b *testing.B) {
	for b.Loop() {
		open(b)
	}
}

// BenchmarkIntrospection asks about one of 200 tables what psql and Django ask.
func BenchmarkIntrospection(b *testing.B) {
	s := open(b)
	var ddl strings.Builder
	ddl.WriteString("CREATE TABLE t0 (id int PRIMARY KEY);")
	for i := range 199 {
		fmt.Fprintf(&ddl, "CREATE TABLE t%d (id int PRIMARY KEY, parent int REFERENCES t%d, name varchar(40) NOT NULL, age smallint DEFAULT 5, ok boolean, note text); CREATE INDEX ON t%d (name);", i+1, i, i+1)
	}
	s.pg(ddl.String())
	for name, q := range map[string]string{
		"columns": `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
			WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull FROM pg_catalog.pg_attribute a
			WHERE a.attrelid = 't100'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
		"constraints": `SELECT c.conname, array(SELECT attname FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)), c.contype,
			(SELECT fkc.relname FROM pg_class fkc WHERE fkc.oid = c.confrelid) FROM pg_constraint c JOIN pg_class cl ON c.conrelid = cl.oid WHERE cl.relname = 't100' AND pg_table_is_visible(cl.oid)`,
		"tables": `SELECT c.relname, n.nspname, pg_get_userbyid(c.relowner) FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND pg_table_is_visible(c.oid) ORDER BY 1, 2`,
	} {
		b.Run(name, func(b *testing.B) {
			list, err := postgres.Parse(q)
			if err != nil {
				b.Fatal(err)
			}
			p, err := plan.Build(list[0], s.planEnv())
			if err != nil {
				b.Fatal(err)
			}
			st, _, err := s.c.Prepare(p.SQL)
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			for b.Loop() {
				for st.Step() {
				}
				if err := st.Reset(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
