package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// coldRestore compares a restore into a file with copying that file.
func coldRestore(ctx context.Context, o options) (string, error) {
	dir, remove, err := workDir()
	if err != nil {
		return "", err
	}
	defer remove()
	var table strings.Builder
	fmt.Fprintf(&table, `The newest state of a database of %s out of a bucket in a folder into a new file, which is synced, against io.Copy of
such a file into a new one, which is synced too. Both are in the page cache when it begins. Rounds take turns; the ratio
is that of the times of a round, and its median counts. CPU is what the process used.

| contents | kept | copy | its CPU | restore | its CPU | MB/s | ratio (target 0.70) |
|---|---|---|---|---|---|---|---|
`, mib(o.size))
	for _, what := range []contents{asRandom, asText} {
		for _, sealed := range []bool{false, true} {
			s, err := o.stores.store(ctx, o.size, what, sealed)
			if err != nil {
				return "", err
			}
			rounds, bytes, err := s.restores(ctx, dir, 2*o.rounds)
			if err != nil {
				return "", fmt.Errorf("restoring: %w", err)
			}
			m := func(of func(copied, restored took) float64) float64 {
				var v []float64
				for _, r := range rounds {
					v = append(v, of(r[0], r[1]))
				}
				return middle(v)
			}
			restored := m(func(_, r took) float64 { return r.wall.Seconds() })
			fmt.Fprintf(&table, "| %s | %s | %.2f s | %.2f s | %.2f s | %.2f s | %.0f | %.2f |\n", what.name, sealing(sealed),
				m(func(c, _ took) float64 { return c.wall.Seconds() }), m(func(c, _ took) float64 { return c.cpu.Seconds() }),
				restored, m(func(_, r took) float64 { return r.cpu.Seconds() }), float64(bytes)/1e6/restored,
				m(func(c, r took) float64 { return c.wall.Seconds() / r.wall.Seconds() }))
		}
	}
	return table.String(), nil
}

// restores copies and restores in turns. The database isn't in the folder: all comes out of the bucket.
func (s stored) restores(ctx context.Context, dir string, n int) (rounds [][2]took, bytes int64, err error) {
	bucket, err := objstore.OpenDir(s.dir)
	if err != nil {
		return nil, 0, err
	}
	h, err := sqlite.Open(ctx, hostOptions(filepath.Join(dir, "restorer"), s.keys, sqlite.Cold{Bucket: bucket, LogInterval: time.Hour}))
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, h.Close(ctx), os.RemoveAll(filepath.Join(dir, "restorer"))) }()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	restore := func(name string) (took, error) {
		return intoFile(name, func(f *os.File) error {
			r, err := h.RestoreTo(ctx, f, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: coldName}, Target: backup.Target{Latest: true}})
			bytes = r.Bytes
			return err
		})
	}
	if _, err := restore(from); err != nil {
		return nil, 0, err
	}
	for range n {
		copied, err := intoFile(to, func(f *os.File) error {
			in, err := os.Open(from)
			if err != nil {
				return err
			}
			_, err = io.Copy(f, in)
			return errors.Join(err, in.Close())
		})
		if err != nil {
			return nil, 0, err
		}
		restored, err := restore(to)
		if err != nil {
			return nil, 0, err
		}
		rounds = append(rounds, [2]took{copied, restored})
	}
	return rounds, bytes, nil
}

// intoFile writes a new file and syncs it.
func intoFile(name string, write func(*os.File) error) (took, error) {
	if err := os.RemoveAll(name); err != nil {
		return took{}, err
	}
	return timed(func() error {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		err = write(f)
		if err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	})
}
