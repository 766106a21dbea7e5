package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/bop-platform/bop/modules/sqlite"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	host, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	db, err := host.Create(ctx, "shop", sqlite.CreateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	pool := sql.OpenDB(db.Connector())
	defer pool.Close()
	if _, err := pool.Exec(`CREATE TABLE tea (name TEXT, grams INTEGER); INSERT INTO tea VALUES ('oolong', 50)`); err != nil {
		log.Fatal(err)
	}
	var grams int
	if err := pool.QueryRow(`SELECT grams FROM tea WHERE name = ?`, "oolong").Scan(&grams); err != nil {
		log.Fatal(err)
	}
	fmt.Println(grams, "g")
	// Output: 50 g
}
