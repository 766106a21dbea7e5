package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
	"github.com/bop-platform/bop/apps/bop/internal/target"
)

// targetHelp says what --to takes.
const targetHelp = `the number of a transaction, a time like 2026-11-30T18:00:05Z, or "2026-11-30 18:00:05" in this machine's time zone, or latest.`

// here reads what --to says, at this place, for a server that may be elsewhere.
func here(to string) (string, error) {
	t, err := target.Parse(to, time.Local)
	if err != nil {
		return "", fmt.Errorf("--to: %w", err)
	}
	return target.Text(t), nil
}

// moment prints a time so that --to takes it and finds the same transaction again.
func moment(t time.Time) string { return t.Local().Format(time.RFC3339Nano) }

type dbSnapshotCmd struct {
	remoteFlags
	Name         string `arg:"" help:"Name of the database."`
	Incremental  bool   `name:"incremental" xor:"kind" help:"Only what has changed since the last snapshot."`
	Differential bool   `name:"differential" xor:"kind" help:"Only what has changed since the last full snapshot."`
	Label        string `name:"label" placeholder:"TEXT" help:"What it is for; the list shows it."`
}

func (c *dbSnapshotCmd) Help() string {
	return `Writers go on meanwhile. How long snapshots are kept is said by --retention of bop serve; each transaction in between can be restored as well.

Example:
  bop db snapshot shop --label "before the release"
  bop db snapshot shop --incremental`
}

func (c *dbSnapshotCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	kind := "full"
	switch {
	case c.Incremental:
		kind = "incremental"
	case c.Differential:
		kind = "differential"
	}
	s, err := client.Snapshot(ctx, c.Name, admin.SnapshotOptions{Kind: kind, Label: c.Label}, newProgress(e.err, "uploaded", 0).set)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(s)
	}
	note := ""
	switch {
	case s.Unchanged:
		note = "; nothing has changed since then"
	case s.Kind != kind:
		note = "; there was none that a snapshot of the kind " + kind + " could stand on"
	}
	_, err = fmt.Fprintf(e.out, "snapshot %s of %s: %s, transaction %d of %s, %s%s\n", s.ID, c.Name, s.Kind, s.TXID, moment(s.Time), size(s.Bytes), note)
	return err
}

type dbSnapshotsCmd struct {
	remoteFlags
	Name string `arg:"" help:"Name of the database, or id of one that there was."`
	All  bool   `name:"all" help:"List all sets of pages that the bucket has, also those that only serve to restore what is between snapshots."`
}

func (c *dbSnapshotsCmd) Help() string {
	return "Each transaction of the ranges below the list can be given to bop db restore --to.\n\nExample:\n  bop db snapshots shop"
}

func (c *dbSnapshotsCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	list, err := client.Snapshots(ctx, c.Name, c.All)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(list)
	}
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tTXID\tTIME\tSIZE\tLABEL")
	for _, s := range list.Snapshots {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", s.ID, s.Kind, s.TXID, moment(s.Time), size(s.Bytes), s.Label)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printRanges(e, list.Restorable)
}

func printRanges(e *env, list []admin.Range) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(e.out, "nothing can be restored yet")
		return err
	}
	for _, r := range list {
		if _, err := fmt.Fprintf(e.out, "restorable: transactions %d to %d, %s to %s\n", r.First, r.Last, moment(r.FirstTime), moment(r.LastTime)); err != nil {
			return err
		}
	}
	return nil
}

type dbVerifyCmd struct {
	remoteFlags
	Name    string `arg:"" help:"Name of the database."`
	Backup  bool   `name:"backup" help:"Check whether the bucket has all that it should, with the right sizes and checksums."`
	Deep    bool   `name:"deep" help:"With --backup: read all of it, and check each page and each record."`
	Restore bool   `name:"restore" help:"Restore a version into a scratch place and let SQLite check it."`
	To      string `name:"to" placeholder:"TXID|TIME|latest" help:"With --restore, which version: ${target} Default: latest."`
}

func (c *dbVerifyCmd) Help() string {
	return `Without --backup and --restore it checks the database on the server that is asked: every page's checksum, and SQLite's own check. The exit status is 1 if something is wrong.

Example:
  bop db verify shop
  bop db verify shop --backup --deep --restore`
}

func (c *dbVerifyCmd) Run(ctx context.Context, e *env) error {
	switch {
	case c.Deep && !c.Backup:
		return errors.New("--deep is of use with --backup")
	case c.To != "" && !c.Restore:
		return errors.New("--to is of use with --restore")
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	o := admin.VerifyOptions{Backup: c.Backup, Deep: c.Deep, Restore: c.Restore}
	if c.Restore {
		if o.To, err = here(c.To); err != nil {
			return err
		}
	}
	v, err := client.Verify(ctx, c.Name, o, newProgress(e.err, "checked", 0).set)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.out).Encode(v)
	} else {
		err = c.print(e, v)
	}
	if err == nil && v.Backup != nil && len(v.Backup.Problems) > 0 {
		err = fmt.Errorf("the backup of %s has %d problems: take a full snapshot now (bop db snapshot %s), and look after the bucket", c.Name, len(v.Backup.Problems), c.Name)
	}
	return err
}

func (c *dbVerifyCmd) print(e *env, v admin.Verified) error {
	if v.Server {
		fmt.Fprintf(e.out, "%s is in order on this server\n", c.Name)
	}
	if b := v.Backup; b != nil {
		what := "are there"
		if b.Deep {
			what = "were read"
		}
		fmt.Fprintf(e.out, "backup of %s: %d page objects and %d log objects, %s, %s\n", c.Name, b.Objects, b.Logs, size(b.Bytes), what)
		for _, p := range b.Problems {
			fmt.Fprintln(e.out, "problem:", p)
		}
		if err := printRanges(e, b.Restorable); err != nil {
			return err
		}
	}
	if r := v.Restored; r != nil {
		fmt.Fprintf(e.out, "restored transaction %d of %s, %s: in order\n", r.TXID, moment(r.Time), size(r.Bytes))
	}
	return nil
}
