package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
)

// coldSnapshot measures commits while a full snapshot goes to a bucket, and while none does.
func coldSnapshot(ctx context.Context, o options) (string, error) {
	dir, remove, err := workDir()
	if err != nil {
		return "", err
	}
	defer remove()
	var table strings.Builder
	fmt.Fprintf(&table, `Single-row UPDATEs of random rows, each a transaction that is on disk when it is answered, in a database of %s.
Each round measures for %v without a snapshot and then as long as a full one takes to come into a bucket in a folder of
the same disk; server, bucket and clients share the cores. The ratio is the rate with it by the one without, the
median over the rounds.

| kept | writers | snapshot | commits per second | p50 | p99 | ratio (target 0.80) | it took |
|---|---|---|---|---|---|---|---|
`, mib(o.size), o.duration)
	for _, sealed := range []bool{false, true} {
		if err := snapshotRows(ctx, o, &table, filepath.Join(dir, folder(sealing(sealed))), sealed); err != nil {
			return "", err
		}
	}
	return table.String(), nil
}

func snapshotRows(ctx context.Context, o options, table *strings.Builder, dir string, sealed bool) (err error) {
	bucket, err := objstore.OpenDir(filepath.Join(dir, "bucket"))
	if err != nil {
		return err
	}
	s := stored{}
	if sealed {
		if s.keys, err = newKeys(); err != nil {
			return err
		}
	}
	h, db, rows, err := filled(ctx, hostOptions(filepath.Join(dir, "local"), s.keys, sqlite.Cold{Bucket: bucket}), o.size, asText)
	if err != nil {
		return err
	}
	p := sql.OpenDB(db.Connector())
	defer func() { err = errors.Join(err, p.Close(), h.Close(ctx)) }()
	if err := db.Upload(ctx); err != nil {
		return err
	}
	for _, writers := range []int{1, 16} {
		p.SetMaxOpenConns(writers)
		p.SetMaxIdleConns(writers)
		write := func() error {
			_, err := p.ExecContext(ctx, `UPDATE item SET v = ? WHERE id = ?`, asText.row(rand.IntN(1<<20)), 1+rand.IntN(rows))
			return err
		}
		var rates [2][]float64
		var waits [2][]time.Duration
		var ratios, took []float64
		for n := range o.rounds + 1 {
			quiet, err := writeUntil(ctx, writers, func() error { time.Sleep(o.duration); return nil }, write)
			if err != nil {
				return err
			}
			busy, err := writeUntil(ctx, writers, func() error {
				_, err := db.Snapshot(ctx, sqlite.SnapshotOptions{})
				return err
			}, write)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "  %s, %d writers, round %d: %.0f commits/s, %.0f during a snapshot of %.0f s\n", sealing(sealed), writers, n, quiet.rate, busy.rate, busy.elapsed.Seconds())
			if n == 0 { // the first round warms up
				continue
			}
			for i, r := range []appendRound{quiet, busy} {
				rates[i], waits[i] = append(rates[i], r.rate), append(waits[i], r.waits...)
			}
			ratios, took = append(ratios, busy.rate/quiet.rate), append(took, busy.elapsed.Seconds())
		}
		for i, during := range []string{"none", "full"} {
			p50, p99 := percentiles(waits[i])
			ratio, t := "1.00", ""
			if i == 1 {
				ratio, t = fmt.Sprintf("%.2f", middle(ratios)), fmt.Sprintf("%.1f s", middle(took))
			}
			fmt.Fprintf(table, "| %s | %d | %s | %.0f | %v | %v | %s | %s |\n", sealing(sealed), writers, during, middle(rates[i]), p50, p99, ratio, t)
		}
	}
	return nil
}

// writeUntil lets writers write until something else is done.
func writeUntil(ctx context.Context, writers int, until, write func() error) (r appendRound, err error) {
	waits, errs := make([][]time.Duration, writers), make([]error, writers+1)
	done := make(chan struct{})
	var wg sync.WaitGroup
	began := time.Now()
	for i := range writers {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-done:
					return
				default:
				}
				at := time.Now()
				errs[i] = write()
				waits[i] = append(waits[i], time.Since(at))
			}
		})
	}
	errs[writers] = until()
	r.elapsed = time.Since(began)
	r.waits = slices.Concat(waits...)
	close(done)
	wg.Wait()
	r.waits = slices.Concat(waits...)
	r.rate = float64(len(r.waits)) / time.Since(began).Seconds()
	return r, errors.Join(append(errs, ctx.Err())...)
}
