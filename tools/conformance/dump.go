package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/bop-platform/bop/tools/internal/process"
)

// The schemas hold ten related tables and fill them with 10,000 rows by generator statements; the queries are twenty,
// separated by blank lines, each with an order of its own.
var (
	//go:embed testdata/shop_postgres.sql
	shopPostgres string
	//go:embed testdata/shop_mysql.sql
	shopMySQL string
	//go:embed testdata/queries_postgres.sql
	queriesPostgres string
	//go:embed testdata/queries_mysql.sql
	queriesMySQL string
)

func loadPostgresDump(ctx context.Context, b *bench) error {
	peer, err := process.StartPostgres(ctx)
	if err != nil {
		return err
	}
	defer peer.Stop()
	if _, err := psql(ctx, peer.Addr, "postgres", "CREATE ROLE bop SUPERUSER LOGIN; CREATE DATABASE bop OWNER bop;", "-U", "postgres"); err != nil {
		return err
	}
	if _, err := psql(ctx, peer.Addr, "bop", shopPostgres); err != nil {
		return err
	}
	host, port := process.Split(peer.Addr)
	dumps := map[string][]string{"COPY": nil, "INSERT": {"--inserts"}}
	for style, flags := range dumps {
		dump, err := command(ctx, "", nil, "pg_dump", append(flags, "-h", host, "-p", port, "-U", "bop", "bop")...)
		if err != nil {
			return err
		}
		if err := (&bench{binary: b.binary, dir: b.dir + "/" + style}).with(ctx, nil, func(s *server) error {
			if _, err := psql(ctx, s.PG, "bop", dump); err != nil {
				return fmt.Errorf("loading the dump with %s: %w", style, err)
			}
			return sameAnswers(queriesPostgres, func(q string) (string, error) { return psql(ctx, peer.Addr, "bop", q) },
				func(q string) (string, error) { return psql(ctx, s.PG, "bop", q) })
		}); err != nil {
			return err
		}
	}
	return nil
}

func loadMariaDBDump(ctx context.Context, b *bench) error {
	peer, err := process.StartMariaDB(ctx)
	if err != nil {
		return err
	}
	defer peer.Stop()
	if _, err := mysql(ctx, peer.Addr, "", "CREATE USER bop@'%' IDENTIFIED BY ''; GRANT ALL ON *.* TO bop@'%'; CREATE DATABASE bop CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;", "-u", "root"); err != nil {
		return err
	}
	if _, err := mysql(ctx, peer.Addr, "bop", shopMySQL); err != nil {
		return err
	}
	host, port := process.Split(peer.Addr)
	dump, err := command(ctx, "", nil, "mysqldump", "--no-defaults", "--protocol=tcp", "-h", host, "-P", port, "-u", "bop", "bop")
	if err != nil {
		return err
	}
	return b.with(ctx, nil, func(s *server) error {
		if _, err := mysql(ctx, s.MySQL, "bop", dump); err != nil {
			return fmt.Errorf("loading the dump: %w", err)
		}
		return sameAnswers(queriesMySQL, func(q string) (string, error) { return mysql(ctx, peer.Addr, "bop", q) },
			func(q string) (string, error) { return mysql(ctx, s.MySQL, "bop", q) })
	})
}

// sameAnswers runs each query on both servers; all differences are reported, not only the first.
func sameAnswers(queries string, original, ours func(string) (string, error)) error {
	var wrong []string
	n := 0
	for q := range strings.SplitSeq(queries, "\n\n") {
		if q = strings.TrimSpace(q); q == "" {
			continue
		}
		n++
		want, err := original(q)
		if err != nil {
			return fmt.Errorf("the original can't answer: %w", err)
		}
		got, err := ours(q)
		if err == nil {
			err = expect(q, got, want)
		} else {
			err = fmt.Errorf("%s: %w", q, err)
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if n != 20 {
		return fmt.Errorf("%d queries, want 20", n)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d of %d queries answer otherwise:\n%s", len(wrong), n, strings.Join(wrong, "\n"))
	}
	return nil
}
