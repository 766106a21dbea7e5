package plan_test

import (
	"testing"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/plan"
)

func BenchmarkBuild(b *testing.B) {
	d := openDB(b)
	d.command("setup", "postgres", `CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))`)
	for name, text := range map[string]string{
		"point select": "SELECT abalance FROM accounts WHERE aid = $1",
		"update":       "UPDATE accounts SET abalance = abalance + $1 WHERE aid = $2",
		"insert":       "INSERT INTO accounts (aid, bid, abalance) VALUES ($1, $2, $3)",
	} {
		list, err := postgres.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Build(list[0], &d.env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
