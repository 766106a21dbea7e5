package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

const (
	pgAccounts = 100_000 // per unit of scale, as in pgbench
	pgTellers  = 10
	pgScale    = 10
)

// bank is pgbench's database in a host of this process.
type bank struct {
	host  *sqlite.Host
	sql   *sql.DB
	conns []*bankConn
}

// bankConn is one client's connection with its statements.
type bankConn struct {
	conn                                      *sql.Conn
	account, balance, teller, branch, history *sql.Stmt
}

// openBank fills a database with scale units of pgbench's.
func openBank(ctx context.Context, dir string, keys crypt.KeyProvider, cache int64) (_ *bank, err error) {
	o := hostOptions(dir, keys, sqlite.Cold{})
	o.CacheBytes = cache
	b := &bank{}
	if b.host, err = sqlite.Open(ctx, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(ctx))
		}
	}()
	db, err := b.host.Create(ctx, coldName, sqlite.CreateOptions{})
	if err != nil {
		return nil, err
	}
	b.sql = sql.OpenDB(db.Connector())
	numbers := `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
	for _, q := range []string{
		`CREATE TABLE branches (bid INTEGER PRIMARY KEY, bbalance INTEGER NOT NULL, filler TEXT)`,
		`CREATE TABLE tellers (tid INTEGER PRIMARY KEY, bid INTEGER NOT NULL, tbalance INTEGER NOT NULL, filler TEXT)`,
		`CREATE TABLE accounts (aid INTEGER PRIMARY KEY, bid INTEGER NOT NULL, abalance INTEGER NOT NULL, filler TEXT)`,
		`CREATE TABLE history (tid INTEGER, bid INTEGER, aid INTEGER, delta INTEGER, mtime INTEGER, filler TEXT)`,
		fmt.Sprintf(numbers+`INSERT INTO branches SELECT i, 0, printf('%%88s', '') FROM n`, pgScale),
		fmt.Sprintf(numbers+`INSERT INTO tellers SELECT i, 1 + i / %d, 0, printf('%%84s', '') FROM n`, pgScale*pgTellers, pgTellers),
		fmt.Sprintf(numbers+`INSERT INTO accounts SELECT i, 1 + i / %d, 0, printf('%%84s', '') FROM n`, pgScale*pgAccounts, pgAccounts),
	} {
		if _, err := b.sql.ExecContext(ctx, q); err != nil {
			return nil, fmt.Errorf("filling the bank: %w", err)
		}
	}
	return b, db.Checkpoint(ctx)
}

func (b *bank) close(ctx context.Context) error {
	var errs []error
	for _, c := range b.conns {
		errs = append(errs, c.conn.Close())
	}
	if b.sql != nil {
		errs = append(errs, b.sql.Close())
	}
	if b.host != nil {
		errs = append(errs, b.host.Close(ctx))
	}
	return errors.Join(errs...)
}

// connect makes connections for so many clients.
func (b *bank) connect(ctx context.Context, clients int) error {
	b.sql.SetMaxOpenConns(clients)
	b.sql.SetMaxIdleConns(clients)
	for len(b.conns) < clients {
		c := &bankConn{}
		var err error
		if c.conn, err = b.sql.Conn(ctx); err != nil {
			return err
		}
		b.conns = append(b.conns, c)
		for _, s := range []struct {
			st  **sql.Stmt
			sql string
		}{
			{&c.account, `UPDATE accounts SET abalance = abalance + ? WHERE aid = ?`},
			{&c.balance, `SELECT abalance FROM accounts WHERE aid = ?`},
			{&c.teller, `UPDATE tellers SET tbalance = tbalance + ? WHERE tid = ?`},
			{&c.branch, `UPDATE branches SET bbalance = bbalance + ? WHERE bid = ?`},
			{&c.history, `INSERT INTO history (tid, bid, aid, delta, mtime) VALUES (?, ?, ?, ?, unixepoch())`},
		} {
			if *s.st, err = c.conn.PrepareContext(ctx, s.sql); err != nil {
				return err
			}
		}
	}
	return nil
}

// transfer is pgbench's TPC-B-like transaction.
func (c *bankConn) transfer(ctx context.Context) error {
	aid, tid, bid, delta := 1+rand.IntN(pgScale*pgAccounts), 1+rand.IntN(pgScale*pgTellers), 1+rand.IntN(pgScale), rand.IntN(10001)-5000
	tx, err := c.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var balance int
	_, err = c.account.ExecContext(ctx, delta, aid)
	if err == nil {
		err = c.balance.QueryRowContext(ctx, aid).Scan(&balance)
	}
	if err == nil {
		_, err = c.teller.ExecContext(ctx, delta, tid)
	}
	if err == nil {
		_, err = c.branch.ExecContext(ctx, delta, bid)
	}
	if err == nil {
		_, err = c.history.ExecContext(ctx, tid, bid, aid, delta)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (c *bankConn) selectOne(ctx context.Context) error {
	var balance int
	return c.balance.QueryRowContext(ctx, 1+rand.IntN(pgScale*pgAccounts)).Scan(&balance)
}

// cryptCost compares a bank in the clear with an encrypted one.
func cryptCost(ctx context.Context, o options) (string, error) {
	dir, remove, err := workDir()
	if err != nil {
		return "", err
	}
	defer remove()
	keys, err := newKeys()
	if err != nil {
		return "", err
	}
	var table strings.Builder
	fmt.Fprintf(&table, `pgbench's database of scale %d (about 110 MiB) through database/sql, in short rounds that take turns; the ratio is the
encrypted one's rate by the other's, the median over the rounds. With 256 MiB of cache all pages stay in memory, with
16 MiB most reads come from the page file and are opened each time.

| work | clients | cache | kept | per second | p50 | p99 | ratio (target 0.95) |
|---|---|---|---|---|---|---|---|
`, pgScale)
	for _, cache := range []int64{256 << 20, 16 << 20} {
		if err := cryptTable(ctx, o, &table, filepath.Join(dir, fmt.Sprint(cache)), keys, cache); err != nil {
			return "", err
		}
	}
	return table.String(), nil
}

func cryptTable(ctx context.Context, o options, table *strings.Builder, dir string, keys crypt.KeyProvider, cache int64) (err error) {
	var banks []*bank
	defer func() {
		for _, b := range banks {
			err = errors.Join(err, b.close(ctx))
		}
	}()
	for _, sealed := range []bool{false, true} {
		k := keys
		if !sealed {
			k = nil
		}
		b, err := openBank(ctx, filepath.Join(dir, folder(sealing(sealed))), k, cache)
		if err != nil {
			return err
		}
		banks = append(banks, b)
	}
	works := []struct {
		name    string
		clients []int
		do      func(*bankConn) error
	}{
		{"TPC-B-like", []int{1, 16}, func(c *bankConn) error { return c.transfer(ctx) }},
		{"point SELECT", []int{1, 8}, func(c *bankConn) error { return c.selectOne(ctx) }},
	}
	for _, w := range works {
		for _, clients := range w.clients {
			length := o.duration / 10
			var rates, ratios [2][]float64
			var waits [2][]time.Duration
			for n := range 6*o.rounds + 1 {
				var r [2]appendRound
				for i := range banks {
					i = (i + n) % 2
					if err := banks[i].connect(ctx, clients); err != nil {
						return err
					}
					if r[i], err = appendFor(ctx, length, clients, func(c int) error { return w.do(banks[i].conns[c]) }); err != nil {
						return fmt.Errorf("%s: %w", w.name, err)
					}
				}
				for i := range r {
					if n > 0 { // the first round warms up
						rates[i], waits[i] = append(rates[i], r[i].rate), append(waits[i], r[i].waits...)
						ratios[i] = append(ratios[i], r[i].rate/r[0].rate)
					}
				}
			}
			for i := range banks {
				p50, p99 := percentiles(waits[i])
				fmt.Fprintf(table, "| %s | %d | %s | %s | %.0f | %v | %v | %.3f |\n", w.name, clients, mib(cache), sealing(i == 1), middle(rates[i]), p50, p99, middle(ratios[i]))
			}
		}
	}
	return nil
}
