package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
)

const (
	bucketLatency = 10 * time.Millisecond
	smallDatabase = 64 << 20
	pointReads    = 100
)

// opening is one opening on an empty disk.
type opening struct {
	open, first, points count
	took, firstTook     time.Duration
	reads               []time.Duration
}

// coldOpen counts what an opening on an empty disk, its first query and random point reads ask of the bucket.
func coldOpen(ctx context.Context, o options) (string, error) {
	var table strings.Builder
	fmt.Fprintf(&table, `An empty disk and a bucket with %v latency; the database is encrypted and has one table with four rows a page. The
first query is a SELECT by primary key, then come %d more of random rows, through database/sql on one connection.
Requests are all that were made of the bucket; a round trip is a time in which at least one was under way. Medians of %d
openings, each of a fork of the bucket.

| database | opening | its requests, round trips | first query | its requests, round trips (target 10) | %d point reads: requests (target 150) | p50 | p99 | read from the bucket |
|---|---|---|---|---|---|---|---|---|
`, bucketLatency, pointReads, 3*o.rounds, pointReads)
	var took []time.Duration
	for _, size := range []int64{smallDatabase, o.size} {
		s, err := o.stores.store(ctx, size, asText, true)
		if err != nil {
			return "", err
		}
		var all []opening
		for range 3 * o.rounds {
			one, err := s.open(ctx)
			if err != nil {
				return "", fmt.Errorf("opening %s out of the bucket: %w", mib(size), err)
			}
			all = append(all, one)
		}
		m := func(of func(opening) float64) float64 {
			var v []float64
			for _, one := range all {
				v = append(v, of(one))
			}
			return middle(v)
		}
		d := func(of func(opening) time.Duration) time.Duration {
			return time.Duration(m(func(o opening) float64 { return float64(of(o)) })).Round(100 * time.Microsecond)
		}
		var reads []time.Duration
		for _, one := range all {
			reads = append(reads, one.reads...)
		}
		p50, p99 := percentiles(reads)
		took = append(took, d(func(o opening) time.Duration { return o.took }))
		fmt.Fprintf(&table, "| %s | %v | %.0f, %.0f | %v | %.0f, %.0f | %.0f | %v | %v | %.1f MiB |\n", mib(size), took[len(took)-1],
			m(func(o opening) float64 { return float64(o.open.requests) }), m(func(o opening) float64 { return float64(o.open.trips) }),
			d(func(o opening) time.Duration { return o.firstTook }),
			m(func(o opening) float64 { return float64(o.first.requests) }), m(func(o opening) float64 { return float64(o.first.trips) }),
			m(func(o opening) float64 { return float64(o.points.requests) }), p50, p99,
			m(func(o opening) float64 { return float64(o.open.bytes+o.first.bytes+o.points.bytes) / (1 << 20) }))
	}
	fmt.Fprintf(&table, "\nOpening %s takes %.2f × as long as opening %s.\n", mib(o.size), took[1].Seconds()/took[0].Seconds(), mib(smallDatabase))
	return table.String(), nil
}

// open opens the database once on an empty disk.
func (s stored) open(ctx context.Context) (r opening, err error) {
	a, err := s.adopt(ctx, bucketLatency, sqlite.Cold{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, a.end(ctx)) }()
	a.sql.SetMaxOpenConns(1)
	r.open, r.took = a.opened, a.took
	read := func() (time.Duration, error) {
		var n int
		began := time.Now()
		err := a.sql.QueryRowContext(ctx, `SELECT length(v) FROM item WHERE id = ?`, 1+rand.IntN(s.rows)).Scan(&n)
		if err == nil && n != rowBytes {
			err = fmt.Errorf("a row has %d bytes instead of %d", n, rowBytes)
		}
		return time.Since(began), err
	}
	before := a.bucket.count()
	if r.firstTook, err = read(); err != nil {
		return r, err
	}
	after := a.bucket.count()
	r.first = after.since(before)
	for range pointReads {
		d, err := read()
		if err != nil {
			return r, err
		}
		r.reads = append(r.reads, d)
	}
	r.points = a.bucket.count().since(after)
	slices.Sort(r.reads)
	return r, nil
}
