package main

import (
	"context"
	"log/slog"

	_ "time/tzdata" // time zones by name, also on machines without a database of them

	"github.com/bop-platform/bop/apps/bop/internal/config"
	"github.com/bop-platform/bop/apps/bop/internal/server"
)

type serveCmd struct {
	config.Serve
	configFile
}

func (c *serveCmd) Help() string {
	return `With nothing configured it listens on loopback, keeps its data in bop-data, and lets every user of this machine in:
  psql  -h 127.0.0.1 -U bop bop
  mysql -h 127.0.0.1 -u bop bop

The first line on standard output is JSON with the addresses. SIGTERM shuts down.

With --cold the databases are in a bucket too, so that bop db snapshot and restore work, and the disk may be smaller than
they are. A server that is started alone with an empty --data-dir takes over what the bucket has: after the loss of all
others only, because those would stop writing to it. The first line tells what it took over, under "taken_over".

Example:
  bop serve --data-dir /var/lib/bop --pg 127.0.0.1:5433 --mysql off
  bop key new main --file /etc/bop/keys
  bop serve --data-dir /var/lib/bop --key-file /etc/bop/keys --cold s3://backups/prod --snapshots full=24h,incremental=1h`
}

func (c *serveCmd) Run(ctx context.Context, e *env) error {
	if err := c.Validate(); err != nil {
		return err
	}
	token, err := readToken(c.AdminTokenFile)
	if err != nil {
		return err
	}
	logger := newLogger(e, c.LogLevel, c.LogFormat).With("node", c.Node)
	return server.Run(ctx, server.Options{Serve: c.Serve, Version: buildInfo().Version, AdminToken: token, Out: e.out, Logger: logger})
}

func newLogger(e *env, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(e.err, o))
	}
	return slog.New(slog.NewTextHandler(e.err, o))
}
