package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

const (
	plainRequest = 1 << 20
	plainAtOnce  = 8
)

// coldScan compares a SELECT that reads all pages out of the bucket with plain range requests for the same object.
func coldScan(ctx context.Context, o options) (string, error) {
	var table strings.Builder
	fmt.Fprintf(&table, `%sSELECT sum(length(v))%s of a database of %s on an empty disk, out of a bucket with %v latency, against %d range requests
of 1 MiB at a time for the same page object by the same process. Each round is an opening of its own; the ratio is that
of the times of a round, and its median counts. CPU is what the process used: what the SELECT uses beyond the plain
requests is opening, decompressing, checking and SQLite itself.

| contents | kept | object | plain requests | SELECT: bucket's bytes per second | database's | ratio (target 0.50) | plain: CPU | SELECT: time | CPU |
|---|---|---|---|---|---|---|---|---|---|
`, "`", "`", mib(o.size), bucketLatency, plainAtOnce)
	for _, what := range []contents{asRandom, asText} {
		for _, sealed := range []bool{false, true} {
			s, err := o.stores.store(ctx, o.size, what, sealed)
			if err != nil {
				return "", err
			}
			var plain, plainCPU, scan, scanCPU, ratio []float64
			var bytes int64
			for range o.rounds {
				p, q, n, err := s.scan(ctx)
				if err != nil {
					return "", fmt.Errorf("scanning %s: %w", what.name, err)
				}
				plain, plainCPU = append(plain, p.wall.Seconds()), append(plainCPU, p.cpu.Seconds())
				scan, scanCPU = append(scan, q.wall.Seconds()), append(scanCPU, q.cpu.Seconds())
				ratio, bytes = append(ratio, p.wall.Seconds()/q.wall.Seconds()), n
			}
			fmt.Fprintf(&table, "| %s | %s | %s | %.0f MB/s | %.0f MB/s | %.0f MB/s | %.2f | %.2f s | %.2f s | %.2f s |\n", what.name, sealing(sealed), mib(bytes),
				float64(bytes)/middle(plain)/1e6, float64(bytes)/middle(scan)/1e6, float64(s.rows)/4*4096/middle(scan)/1e6, middle(ratio),
				middle(plainCPU), middle(scan), middle(scanCPU))
		}
	}
	return table.String(), nil
}

// scan does both once.
func (s stored) scan(ctx context.Context) (plain, scan took, bytes int64, err error) {
	a, err := s.adopt(ctx, bucketLatency, sqlite.Cold{})
	if err != nil {
		return plain, scan, 0, err
	}
	defer func() { err = errors.Join(err, a.end(ctx)) }()
	ref, err := a.pages(ctx)
	if err != nil {
		return plain, scan, 0, err
	}
	plain, err = timed(func() error {
		return readPlain(ctx, objstore.Prefix(a.bucket, a.db.ID().String()), ref.key, ref.size)
	})
	if err != nil {
		return plain, scan, 0, err
	}
	var n int64
	scan, err = timed(func() error { return a.sql.QueryRowContext(ctx, `SELECT sum(length(v)) FROM item`).Scan(&n) })
	if err == nil && n != int64(s.rows)*int64(rowBytes) {
		err = fmt.Errorf("the rows have %d bytes instead of %d", n, s.rows*rowBytes)
	}
	return plain, scan, ref.size, err
}

type pageObject struct {
	key  string
	size int64
}

// pages is the largest page object of the database.
func (a *adopted) pages(ctx context.Context) (p pageObject, err error) {
	b, err := a.Backups(ctx, sqlite.BackupOf{Name: coldName})
	if err != nil {
		return p, err
	}
	for _, f := range b.Manifest.Objects {
		if f.Size > p.size {
			p = pageObject{f.Key, f.Size}
		}
	}
	if p.key == "" {
		return p, backup.ErrNoBackup
	}
	return p, nil
}

// readPlain reads an object by range requests.
func readPlain(ctx context.Context, bucket objstore.Bucket, key string, size int64) error {
	offs := make(chan int64)
	errs := make([]error, plainAtOnce)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			buf := make([]byte, plainRequest)
			for off := range offs {
				body, _, err := bucket.Get(ctx, key, off, min(plainRequest, size-off))
				if err == nil {
					_, err = io.ReadFull(body, buf[:min(plainRequest, size-off)])
					err = errors.Join(err, body.Close())
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	for off := int64(0); off < size; off += plainRequest {
		offs <- off
	}
	close(offs)
	wg.Wait()
	return errors.Join(errs...)
}
