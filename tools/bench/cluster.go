package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// What a cluster of servers is to reach.
const (
	clusterClients = 64
	insertTarget   = 0.13 // of the floor's rate, with as many proposers of 128 B
	wireTarget     = 350  // bytes for a commit of one row, to each follower
)

// replicatedInserts measures three servers: inserts against the floor, reads, failover, and bytes between the servers.
func replicatedInserts(ctx context.Context, o options) (_ string, err error) {
	dir, err := clusterDir()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	c, err := startCluster(ctx, o.bop, dir)
	if err != nil {
		return "", err
	}
	defer c.kill()
	base, err := startReplicas(ctx, floorKind, filepath.Join(dir, "floor"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, base.close()) }()
	var text strings.Builder
	text.WriteString("Three `bop serve` on one machine, all durable, with the clients on the same cores; pgx, prepared statements of one row.\n\n")
	var ids atomic.Int32
	for _, part := range []func() (string, error){
		func() (string, error) { return measureInserts(ctx, o, c, base, &ids) },
		func() (string, error) { return measureReads(ctx, o, c, ids.Load()) },
		func() (string, error) { return measureFailover(ctx, c) },
	} {
		s, err := part()
		if err != nil {
			return "", fmt.Errorf("%w\n%s", err, c.logs())
		}
		text.WriteString(s)
	}
	return text.String(), nil
}

// measureInserts compares the rate of inserts with the floor's, in turns, and counts what a leader sends for each.
func measureInserts(ctx context.Context, o options, c *cluster, base *replicas, ids *atomic.Int32) (string, error) {
	leader, err := c.settled(ctx)
	if err != nil {
		return "", err
	}
	if err := execute(ctx, leader, `CREATE TABLE point (id integer PRIMARY KEY, name text NOT NULL, balance bigint NOT NULL)`); err != nil {
		return "", err
	}
	insert := func(urls []string, d time.Duration) (sample, error) {
		return queryFor(ctx, urls, `INSERT INTO point (id, name, balance) VALUES ($1, $2, $3)`, clusterClients, d, func(conn *pgx.Conn) error {
			id := ids.Add(1)
			_, err := conn.Exec(ctx, statement, id, fmt.Sprintf("customer number %d", id), int64(id-1)*7)
			return err
		})
	}
	var floors, ratios, spreadRatios, bytes []float64
	var atLeader, spread []sample
	for n := range o.rounds + 1 {
		floor, _, err := base.load(clusterClients, 128, o.duration/2)
		if err != nil {
			return "", err
		}
		before, err := leader.sentBytes(ctx)
		if err != nil {
			return "", err
		}
		direct, err := insert([]string{leader.url()}, o.duration)
		if err != nil {
			return "", fmt.Errorf("inserting at the leader: %w", err)
		}
		after, err := leader.sentBytes(ctx)
		if err != nil {
			return "", err
		}
		all, err := insert(c.urls(), o.duration)
		if err != nil {
			return "", fmt.Errorf("inserting at all servers: %w", err)
		}
		if n == 0 { // the first round warms up
			continue
		}
		floors = append(floors, floor)
		ratios, spreadRatios = append(ratios, direct.rate/floor), append(spreadRatios, all.rate/floor)
		atLeader, spread = append(atLeader, direct), append(spread, all)
		bytes = append(bytes, (after-before)/float64(replicaCount-1)/float64(direct.count))
	}
	if now, err := c.settled(ctx); err != nil || now != leader {
		return "", errors.Join(fmt.Errorf("another server leads than %s, the rates say nothing", leader.id), err)
	}
	if err := holds(ctx, leader, ids.Load()); err != nil {
		return "", err
	}
	d, s, ratio, perCommit := median(atLeader), median(spread), middle(ratios), middle(bytes)
	return fmt.Sprintf(`| %d clients insert | commits/s | p50 | p99 | of the floor (%.0f/s) | target |
|---|---|---|---|---|---|
| at the leader | %.0f | %v | %v | %.3f | ≥ %.2f: %s |
| at all three servers | %.0f | %v | %v | %.3f | |

The floor is that of the commits of Raft above, with %d proposers of 128 B, measured in turns with the inserts. Afterwards the table
has each row that was acknowledged. The leader sends each follower %.0f bytes for a commit (target ≤ %d: %s), without what TCP adds.

`, clusterClients, middle(floors), d.rate, round(d.p50), round(d.p99), ratio, insertTarget, met(ratio >= insertTarget),
		s.rate, round(s.p50), round(s.p99), middle(spreadRatios), clusterClients, perCommit, wireTarget, met(perCommit <= wireTarget)), nil
}

// measureReads compares linearizable reads of many clients with those of one.
func measureReads(ctx context.Context, o options, c *cluster, rows int32) (string, error) {
	leader, err := c.settled(ctx)
	if err != nil {
		return "", err
	}
	read := func(clients int) (sample, error) {
		return queryFor(ctx, []string{leader.url()}, `SELECT id, name, balance FROM point WHERE id = $1`, clients, o.duration, func(conn *pgx.Conn) error {
			return readRow(ctx, conn, 1+rand.Int32N(rows))
		})
	}
	var ones, many []sample
	var ratios []float64
	for n := range o.rounds + 1 {
		one, err := read(1)
		if err != nil {
			return "", fmt.Errorf("reading with one client: %w", err)
		}
		all, err := read(clusterClients)
		if err != nil {
			return "", fmt.Errorf("reading with %d clients: %w", clusterClients, err)
		}
		if n == 0 { // the first round warms up
			continue
		}
		ones, many, ratios = append(ones, one), append(many, all), append(ratios, all.rate/one.rate)
	}
	one, all, ratio := median(ones), median(many), middle(ratios)
	return fmt.Sprintf(`Linearizable reads of a row, by the leader's lease, so that they wait for nobody:

| clients | per second | p50 | p99 | × one client |
|---|---|---|---|---|
| 1 | %.0f | %v | %v | 1.0 |
| %d | %.0f | %v | %v | %.1f |

`, one.rate, round(one.p50), round(one.p99), clusterClients, all.rate, round(all.p50), round(all.p99), ratio), nil
}

// execute runs one statement at a server.
func execute(ctx context.Context, n *clusterNode, query string) error {
	conn, err := pgx.Connect(ctx, n.url())
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", n.id, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, query); err != nil {
		return fmt.Errorf("%s at %s: %w", query, n.id, err)
	}
	return nil
}

// errLost: the servers don't have what they acknowledged, or have what nobody sent.
var errLost = errors.New("the table isn't what clients were told")

// holds checks that the table has rows 1 to last.
func holds(ctx context.Context, n *clusterNode, last int32) error {
	conn, err := pgx.Connect(ctx, n.url())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var count, low, high int64
	if err := conn.QueryRow(ctx, `SELECT count(*), min(id), max(id) FROM point`).Scan(&count, &low, &high); err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	if count != int64(last) || low != 1 || high != int64(last) {
		return fmt.Errorf("%w: %d rows from %d to %d, %d were acknowledged", errLost, count, low, high, last)
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
