package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/storage"
	"github.com/bop-platform/bop/apps/bop/internal/target"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
	"github.com/bop-platform/bop/modules/sqlite"
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
	Restart bool   `name:"restart" help:"Begin anew, although an earlier restore to this file broke off."`
	Cold    string `name:"cold" placeholder:"URL" help:"Read this bucket without a server: what --cold of bop serve said."`
	KeyFile string `name:"key-file" env:"BOP_KEY_FILE" placeholder:"FILE" help:"With --cold, where the keys are: FILE, env:NAME or command:CMD."`
}

func (c *dbRestoreCmd) Help() string {
	return `bop db snapshots lists what can be restored. The database itself is never changed. With --cold no server is needed.
A restore to a file that breaks off leaves FILE.part, and the same command goes on from there.

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
		return c.told(e, v, 0, "into", c.Into)
	}
	return c.toFile(e, t, func(t backup.Target, begun admin.Begun, w io.Writer, found func(admin.Version, int64)) error {
		return client.Restore(ctx, c.Name, target.Text(t), begun, w, found)
	})
}

// toFile restores to a file, from where an earlier try broke off.
func (c *dbRestoreCmd) toFile(e *env, t backup.Target, restore func(t backup.Target, begun admin.Begun, w io.Writer, found func(admin.Version, int64)) error) error {
	p, err := openPartial(c.Out, c.Name, c.Force, c.Restart)
	if err != nil {
		return err
	}
	if t.Latest && p.known.TXID != 0 {
		t = backup.Target{TXID: sqlite.TXID(p.known.TXID)}
		fmt.Fprintf(e.err, "going on with the restore of transaction %d that broke off at %s; --restart takes the newest one from its beginning\n", p.known.TXID, size(p.known.Bytes))
	}
	show := newProgress(e.err, "restored", 0)
	var refused error // by the disk, before the first byte
	err = restore(t, p.begun(), show.writer(writerFunc(func(b []byte) (int, error) {
		if refused != nil {
			return 0, refused
		}
		return p.Write(b)
	})), func(v admin.Version, from int64) {
		show.total, show.done = v.Bytes, from
		refused = p.found(c.Name, v, from)
	})
	if err == nil {
		err = refused
	}
	if err := p.end(err); err != nil {
		return err
	}
	return c.told(e, p.v, p.from, "file", c.Out)
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
	return c.toFile(e, t, func(t backup.Target, begun admin.Begun, w io.Writer, found func(admin.Version, int64)) error {
		r, err := backup.Restore(ctx, space, t, backup.RestoreOptions{Manifest: m, Pin: "restore-" + rand.Text()})
		if err != nil {
			return err
		}
		defer r.Close()
		st := r.State()
		v := admin.Version{TXID: uint64(st.TXID), Time: time.UnixMicro(st.Time).UTC(), Bytes: int64(st.Pages) * int64(st.Size), PageSize: st.Size, Checksum: st.Checksum}
		from := begun.Of(v)
		found(v, from)
		_, err = r.WriteFrom(ctx, w, from)
		return err
	})
}

// told reports what came of it, and where it is.
func (c *dbRestoreCmd) told(e *env, v admin.Version, from int64, kind, where string) error {
	say := map[string]any{"name": c.Name, "txid": v.TXID, "time": v.Time, "bytes": v.Bytes, kind: where}
	if from > 0 {
		say["resumed_at"] = from
	}
	return c.report(e, say,
		"restored %s as of transaction %d, committed %s, to %s, %s", c.Name, v.TXID, moment(v.Time), where, size(v.Bytes))
}
