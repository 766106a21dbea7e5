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

	"github.com/bop-platform/bop/modules/sqlite"
)

// segmentBytes is what a segment of the log has unless aof.Options say otherwise.
const segmentBytes = 64 << 20

// coldBudget watches how much of the disk the page files take under a load that needs more.
func coldBudget(ctx context.Context, o options) (string, error) {
	s, err := o.stores.store(ctx, o.size, asText, true)
	if err != nil {
		return "", err
	}
	bound := o.size / 8
	a, err := s.adopt(ctx, time.Millisecond, sqlite.Cold{LocalBytes: bound, LogInterval: time.Second, PageInterval: 2 * time.Second})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.end(ctx)) }()
	var table strings.Builder
	fmt.Fprintf(&table, "A database of %s in a bucket, encrypted, on a server whose page files are bound to %s: 4 clients read and 4 change random rows, and one\nreads all, for %v. The blocks that the page files take on disk are looked at every 20 ms.\n\n| bound | most that was seen | beyond the bound, in log segments of %s (target 1) | average | rows read | rows changed | whole scans | evicted and read again |\n|---|---|---|---|---|---|---|---|\n", mib(o.size), mib(bound), budgetTime(o), mib(segmentBytes))
	var reads, writes, scans atomic.Int64
	var most, sum, samples int64
	watched, stop := make(chan error, 1), make(chan struct{})
	go func() {
		for {
			n, err := diskOf(filepath.Join(a.dir, "local", "db"))
			if err != nil {
				watched <- err
				return
			}
			most, sum, samples = max(most, n), sum+n, samples+1
			select {
			case <-stop:
				watched <- nil
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	before := a.bucket.count()
	_, err = appendFor(ctx, budgetTime(o), 9, func(i int) error {
		var n int64
		id := 1 + rand.IntN(s.rows)
		switch {
		case i == 8:
			scans.Add(1)
			return a.sql.QueryRowContext(ctx, `SELECT sum(length(v)) FROM item`).Scan(&n)
		case i%2 == 0:
			reads.Add(1)
			return a.sql.QueryRowContext(ctx, `SELECT length(v) FROM item WHERE id = ?`, id).Scan(&n)
		}
		writes.Add(1)
		_, err := a.sql.ExecContext(ctx, `UPDATE item SET v = ? WHERE id = ?`, asText.row(id), id)
		return err
	})
	close(stop)
	if err := errors.Join(err, <-watched); err != nil {
		return "", err
	}
	fmt.Fprintf(&table, "| %s | %s | %.2f | %s | %d | %d | %d | %s |\n", mib(bound), mib(most), float64(max(0, most-bound))/float64(segmentBytes), mib(sum/samples),
		reads.Load(), writes.Load(), scans.Load(), mib(a.bucket.count().since(before).bytes))
	return table.String(), err
}

// budgetTime is long enough for pages to leave and come again many times.
func budgetTime(o options) time.Duration { return 10 * o.duration }

// diskOf is how much of the disk the page files below a folder take.
func diskOf(dir string) (n int64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*", "pages*"))
	for _, name := range names {
		st, serr := os.Stat(name)
		if serr == nil {
			n += blocks(st)
		} else if !errors.Is(serr, os.ErrNotExist) {
			return 0, serr
		}
	}
	return n, err
}
