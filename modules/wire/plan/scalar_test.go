package plan_test

import (
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/plan"
)

func TestASecondRowIsLookedForOnlyWhereThereCanBeOne(t *testing.T) {
	for _, c := range []struct {
		name, subquery string
		looks          bool
	}{
		{"a scan may have several rows", "SELECT b FROM s", true},
		{"a condition on a part of a key doesn't bound them", "SELECT id FROM s WHERE a = 1", true},
		{"nor does a key under OR", "SELECT b FROM s WHERE id = 1 OR id = 2", true},
		{"nor a column of its own", "SELECT b FROM s WHERE id = u", true},
		{"nor an index over some of the rows", "SELECT b FROM s WHERE c = 1", true},
		{"groups are several rows", "SELECT count(*) FROM s GROUP BY a", true},
		{"a primary key finds one", "SELECT b FROM s WHERE id = 1", false},
		{"by another table's column too", "SELECT i.b FROM s i WHERE i.id = o.u", false},
		{"a unique column finds one", "SELECT b FROM s WHERE u = 1 AND a > 0", false},
		{"a whole unique key finds one", "SELECT id FROM s WHERE a = 1 AND b = 'x'", false},
		{"an aggregate is one", "SELECT max(id) FROM s", false},
		{"LIMIT 1 is one", "SELECT id FROM s ORDER BY id LIMIT 1", false},
		{"no table is one", "SELECT 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, dialect := range []string{"postgres", "mysql"} {
				d := openDB(t)
				d.answer("setup", "postgres", "CREATE TABLE s (id int PRIMARY KEY, u int UNIQUE, a int, b varchar(10), c int, UNIQUE (a, b)); CREATE UNIQUE INDEX part ON s (c) WHERE a > 0")
				list, _, err := parse(dialect, "SELECT ("+c.subquery+") FROM s o")
				if err != nil {
					t.Fatal(err)
				}
				p, err := plan.Build(list[0], &d.env)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Contains(p.SQL, funcs.ManyRows); got != c.looks {
					t.Errorf("%s: %s", dialect, p.SQL)
				}
			}
		})
	}
}
