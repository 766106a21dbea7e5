package schema_test

import (
	"fmt"
	"testing"

	"github.com/bop-platform/bop/modules/wire/schema"
)

// BenchmarkLoad reads a schema of 50 tables with 8 columns, 2 indexes and a foreign key each.
func BenchmarkLoad(b *testing.B) {
	d := open(b)
	d.pg(`CREATE TABLE t0 (id serial PRIMARY KEY, name varchar(40) UNIQUE)`)
	for i := range 49 {
		d.pg(fmt.Sprintf(`CREATE TABLE t%d (id serial PRIMARY KEY, parent int REFERENCES t%d, name varchar(40) NOT NULL, age smallint DEFAULT 5 CHECK (age > 0),
			ok boolean DEFAULT true, at timestamptz DEFAULT now(), total numeric(10,2), note text); CREATE INDEX ON t%d (name); CREATE INDEX ON t%d (parent, at)`, i+1, i, i+1, i+1))
	}
	for b.Loop() {
		if _, err := schema.Load(d.c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddPrimaryKey adds a primary key to a million rows, of values in the order of loading and of others.
func BenchmarkAddPrimaryKey(b *testing.B) {
	for _, c := range []struct{ name, value string }{{"loaded in order", "i"}, {"in another order", "(i * 7919) % 1000003"}} {
		b.Run(c.name, func(b *testing.B) {
			d := open(b)
			for b.Loop() {
				b.StopTimer()
				d.pg(`DROP TABLE IF EXISTS a; CREATE TABLE a (aid int NOT NULL, bid int, filler char(84))`)
				d.sql(`INSERT INTO a WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 1000000) SELECT ` + c.value + `, i % 10, '' FROM x`)
				list := d.parse(`ALTER TABLE a ADD PRIMARY KEY (aid)`)
				b.StartTimer()
				if _, err := d.try(list[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
