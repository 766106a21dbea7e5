// Command conformance drives a bop server with the clients that people use: psql, mysql, pgbench, sysbench, and the
// dumps that the real servers' own tools write. A client that isn't installed is a failure.
//
//	conformance -bop bin/bop            all checks
//	conformance -bop bin/bop -only dump the checks whose name contains a word
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// check is one thing that has to hold.
type check struct {
	name  string
	mysql bool // needs the MySQL port
	run   func(context.Context, *bench) error
}

// bench is what checks work on: a fresh server each, unless they ask for more.
type bench struct {
	binary string
	dir    string // of this check alone
}

var checks = []check{
	{"psql and mysql share a database", true, shareDatabase},
	{"psql introspects as with PostgreSQL", false, introspectPostgres},
	{"mysql introspects", true, introspectMySQL},
	{"several databases: CREATE DATABASE, \\c, USE", true, severalDatabases},
	{"pgbench: three protocols, sums agree", false, pgbench},
	{"sysbench oltp_read_write", true, sysbench},
	{"pg_dump of a real PostgreSQL loads and answers the same", false, loadPostgresDump},
	{"mysqldump of a real MariaDB loads and answers the same", true, loadMariaDBDump},
	{"users, TLS and wrong passwords", true, authentication},
	{"bad input leaves the server standing", true, badInput},
	{"databases survive a restart, export and import", false, restartExportImport},
}

func main() {
	binary := flag.String("bop", "bin/bop", "the bop binary to drive")
	only := flag.String("only", "", "run only the checks whose name contains this")
	withMySQL := flag.Bool("mysql", true, "run the checks that need the MySQL port")
	limit := flag.Duration("limit", 5*time.Minute, "time for one check")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, ran := 0, 0
	for _, c := range checks {
		if !strings.Contains(c.name, *only) || c.mysql && !*withMySQL {
			continue
		}
		ran++
		started := time.Now()
		err := runOne(ctx, c, *binary, *limit)
		took := time.Since(started).Seconds()
		if err != nil {
			failed++
			fmt.Printf("FAIL  %s  %.1fs\n      %s\n", c.name, took, strings.ReplaceAll(err.Error(), "\n", "\n      "))
			continue
		}
		fmt.Printf("ok    %s  %.1fs\n", c.name, took)
	}
	if failed > 0 || ran == 0 {
		fmt.Printf("%d of %d checks failed\n", failed, ran)
		os.Exit(1)
	}
}

func runOne(ctx context.Context, c check, binary string, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "bop-conformance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.run(ctx, &bench{binary: binary, dir: dir})
}
