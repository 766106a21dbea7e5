package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bop-platform/bop/tools/internal/process"
)

const benchRows = 100_000

// pointSelect runs one prepared SELECT by primary key over pgx against bop and against PostgreSQL, in turns.
func pointSelect(ctx context.Context, o options) (string, error) {
	dir, err := os.MkdirTemp("", "bop-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	peer, err := process.StartPostgres(ctx)
	if err != nil {
		return "", err
	}
	defer peer.Stop()
	s, err := process.StartBop(ctx, o.bop, dir, "--log-level", "warn")
	if err != nil {
		return "", err
	}
	defer s.Kill()
	servers := []struct{ name, url string }{
		{"bop", "postgres://bop@" + s.PG + "/bop?sslmode=disable"},
		{"PostgreSQL 15", "postgres://postgres@" + peer.Addr + "/postgres?sslmode=disable"},
	}
	for _, server := range servers {
		if err := fill(ctx, server.url); err != nil {
			return "", fmt.Errorf("filling %s: %w", server.name, err)
		}
	}
	var table strings.Builder
	table.WriteString("One prepared `SELECT id, name, balance FROM point WHERE id = $1` over pgx; client and servers share the cores.\n\n| connections | server | per second | p50 | p99 | ratio |\n|---|---|---|---|---|---|\n")
	for _, connections := range []int{1, 8, 32} {
		measured := make([][]sample, len(servers))
		for range o.rounds {
			for i, server := range servers {
				m, err := measure(ctx, server.url, connections, o.duration)
				if err != nil {
					return "", fmt.Errorf("measuring %s: %w", server.name, err)
				}
				measured[i] = append(measured[i], m)
			}
		}
		base := median(measured[1])
		for i, server := range servers {
			m := median(measured[i])
			fmt.Fprintf(&table, "| %d | %s | %.0f | %v | %v | %.2f |\n", connections, server.name, m.rate, m.p50.Round(time.Microsecond), m.p99.Round(time.Microsecond), m.rate/base.rate)
		}
	}
	return table.String(), nil
}

// sample is one measurement.
type sample struct {
	rate     float64
	count    int
	p50, p99 time.Duration
}

func median(s []sample) sample {
	slices.SortFunc(s, func(a, b sample) int { return int(a.rate - b.rate) })
	return s[len(s)/2]
}

func fill(ctx context.Context, url string) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, `CREATE TABLE point (id integer PRIMARY KEY, name text NOT NULL, balance bigint NOT NULL)`); err != nil {
		return err
	}
	_, err = c.CopyFrom(ctx, pgx.Identifier{"point"}, []string{"id", "name", "balance"}, pgx.CopyFromSlice(benchRows, func(i int) ([]any, error) {
		return []any{i + 1, fmt.Sprintf("customer number %d", i+1), int64(i) * 7}, nil
	}))
	return err
}

func measure(ctx context.Context, url string, connections int, d time.Duration) (sample, error) {
	return queryFor(ctx, []string{url}, `SELECT id, name, balance FROM point WHERE id = $1`, connections, d, func(c *pgx.Conn) error {
		return readRow(ctx, c, 1+rand.Int32N(benchRows))
	})
}

// statement is the name of the one that queryFor prepares.
const statement = "measured"

// readRow reads a row by its id with the statement, and checks what it got.
func readRow(ctx context.Context, c *pgx.Conn, want int32) error {
	var id int32
	var name string
	var balance int64
	err := c.QueryRow(ctx, statement, want).Scan(&id, &name, &balance)
	if err == nil && (id != want || balance != int64(want-1)*7) {
		err = fmt.Errorf("asked for row %d, got %d with balance %d", want, id, balance)
	}
	return err
}

// queryFor makes connections to the servers in turns, prepares a statement on each and has each call do for a while.
func queryFor(ctx context.Context, urls []string, query string, connections int, d time.Duration, do func(*pgx.Conn) error) (sample, error) {
	var mu sync.Mutex
	var all []time.Duration
	var errs []error
	var wg sync.WaitGroup
	begin := make(chan struct{})
	conns := make([]*pgx.Conn, connections)
	for i := range conns {
		c, err := pgx.Connect(ctx, urls[i%len(urls)])
		if err != nil {
			return sample{}, err
		}
		defer c.Close(ctx)
		if _, err := c.Prepare(ctx, statement, query); err != nil {
			return sample{}, err
		}
		conns[i] = c
	}
	for _, c := range conns {
		wg.Go(func() {
			<-begin
			var took []time.Duration
			var err error
			for end := time.Now().Add(d); time.Now().Before(end) && err == nil; {
				t := time.Now()
				err = do(c)
				took = append(took, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			errs = append(errs, err)
		})
	}
	started := time.Now()
	close(begin)
	wg.Wait()
	elapsed := time.Since(started).Seconds()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 { // the others say the same
		return sample{}, errs[i]
	}
	slices.Sort(all)
	return sample{rate: float64(len(all)) / elapsed, count: len(all), p50: all[len(all)/2], p99: all[len(all)*99/100]}, nil
}
