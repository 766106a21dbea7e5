package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/storage"
	"github.com/bop-platform/bop/apps/bop/internal/target"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

type dbRestoreCmd struct {
	remoteFlags
	Name    string `arg:"" help:"Name of the database, or id of one that there was."`
	To      string `name:"to" default:"latest" placeholder:"TXID|TIME|latest" help:"Which version: ${target} A time means what was committed then or before."`
	Out     string `name:"out" type:"path" placeholder:"FILE" xor:"where" required:"" help:"Write it to an SQLite file."`
	Into    string `name:"into" placeholder:"NEWDB" xor:"where" required:"" help:"Make a new database of it on the server."`
	Force   bool   `name:"force" help:"Replace the file if it is there."`
	Cold    string `name:"cold" placeholder:"URL" help:"Read this bucket without a server: what --cold of bop serve said."`
	KeyFile string `name:"key-file" env:"BOP_KEY_FILE" placeholder:"FILE" help:"With --cold, where the keys are: FILE, env:NAME or command:CMD."`
}

func (c *dbRestoreCmd) Help() string {
	return `bop db snapshots lists what can be restored. The database itself is never changed. With --cold no server is needed.

Example:
  bop db restore shop --to "2026-11-30 18:00:05" --out shop.sqlite
  bop db restore shop --to 4711 --into shop_before
  bop db restore shop --cold s3://backups/prod --key-file keys --out shop.sqlite`
}

func (c *dbRestoreCmd) Run(ctx context.Context, e *env) error {
	t, err := target.Parse(c.To, time.Local)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if c.Cold != "" {
		if c.Into != "" {
			return errors.New("--into makes a database on a server, and --cold asks none: give --out FILE, or leave --cold out")
		}
		return c.offline(ctx, e, t)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if c.Into != "" {
		v, err := client.RestoreInto(ctx, c.Name, target.Text(t), c.Into, newProgress(e.err, "restored", 0).set)
		if err != nil {
			return err
		}
		return c.told(e, v, "into", c.Into)
	}
	p := newProgress(e.err, "received", 0)
	var v admin.Version
	if err := newFile(c.Out, c.Force, func(f *os.File) error {
		return client.Restore(ctx, c.Name, target.Text(t), p.writer(f), func(found admin.Version) { v, p.total = found, found.Bytes })
	}); err != nil {
		return err
	}
	return c.told(e, v, "file", c.Out)
}

// offline reads the bucket.
func (c *dbRestoreCmd) offline(ctx context.Context, e *env, t backup.Target) error {
	var keys crypt.KeyProvider
	if c.KeyFile != "" {
		var err error
		if keys, err = crypt.OpenProvider(ctx, c.KeyFile); err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
	}
	bucket, err := storage.OpenBucket(ctx, c.Cold, bucketurl.Options{Plain: true})
	if err != nil {
		return fmt.Errorf("--cold: %w", err)
	}
	space, m, err := storage.FindBackup(ctx, bucket, keys, c.Name)
	if err != nil {
		return err
	}
	var v admin.Version
	err = newFile(c.Out, c.Force, func(f *os.File) error {
		r, err := backup.Restore(ctx, space, t, backup.RestoreOptions{Manifest: m, Progress: newProgress(e.err, "restored", 0).set})
		if err != nil {
			return err
		}
		defer r.Close()
		st := r.State()
		v = admin.Version{TXID: uint64(st.TXID), Time: time.UnixMicro(st.Time).UTC()}
		v.Bytes, err = r.WriteTo(ctx, f)
		return err
	})
	if err != nil {
		return err
	}
	return c.told(e, v, "file", c.Out)
}

// told reports what came of it, and where it is.
func (c *dbRestoreCmd) told(e *env, v admin.Version, kind, where string) error {
	return c.report(e, map[string]any{"name": c.Name, "txid": v.TXID, "time": v.Time, "bytes": v.Bytes, kind: where},
		"restored %s as of transaction %d, committed %s, to %s, %s", c.Name, v.TXID, moment(v.Time), where, size(v.Bytes))
}
