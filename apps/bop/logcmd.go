package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore/bucketurl"
)

type logCmd struct {
	Inspect logInspectCmd `cmd:"" help:"Show the segments of a log: where they are, their sizes and positions."`
	Verify  logVerifyCmd  `cmd:"" help:"Check every checksum of a log, in every tier."`
	Seal    logSealCmd    `cmd:"" help:"End the log's current segment, so that it can be compressed and uploaded."`
	Hydrate logHydrateCmd `cmd:"" help:"Bring segments back from the bucket to this disk."`
}

// logFolder names the log that the commands work on.
type logFolder struct {
	Dir  string `arg:"" help:"The log's folder: DATA/log of a server."`
	Cold string `name:"cold" env:"BOP_LOG_COLD" placeholder:"URL" help:"The log's bucket: s3://bucket/prefix?endpoint=URL&region=R or file:///folder. Credentials come from the environment or a profile, as with AWS's tools."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (f *logFolder) options(ctx context.Context, e *env) (o aof.Options, err error) {
	if st, err := os.Stat(f.Dir); err != nil {
		return o, err
	} else if !st.IsDir() {
		return o, fmt.Errorf("%s is no folder", f.Dir)
	}
	o.Logger = slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if f.Cold != "" {
		o.Tiers.Bucket, err = bucketurl.Open(ctx, f.Cold)
	}
	return o, err
}

// open opens the log for a change; nothing moves but what the command asks for.
func (f *logFolder) open(ctx context.Context, e *env) (*aof.Log, error) {
	o, err := f.options(ctx, e)
	if err != nil {
		return nil, err
	}
	if r, err := aof.Inspect(ctx, f.Dir, o); err != nil {
		return nil, err
	} else if len(r.Segments) == 0 {
		return nil, fmt.Errorf("%s holds no log", f.Dir)
	} else if r.Epoch != nil {
		o.Tiers.Epoch = *r.Epoch
	}
	l, err := aof.Open(f.Dir, o)
	if errors.Is(err, aof.ErrLocked) {
		return nil, fmt.Errorf("%s is in use: stop the server first: %w", f.Dir, err)
	}
	return l, err
}

type logInspectCmd struct{ logFolder }

func (c *logInspectCmd) Help() string {
	return "It changes nothing and can look at the log of a running server; what that one is just doing may then show as a finding.\n\nExample:\n  bop log inspect bop-data/log --cold s3://backups/log"
}

func (c *logInspectCmd) Run(ctx context.Context, e *env) error {
	o, err := c.options(ctx, e)
	if err != nil {
		return err
	}
	r, err := aof.Inspect(ctx, c.Dir, o)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(r)
	}
	return printLog(e.out, r)
}

// printLog shows a report as a table.
func printLog(out io.Writer, r *aof.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SEGMENT\tFIRST\tLAST\tRECORDS\tUSED\tHOT\tWARM\tCOLD\tSTATE\t")
	for _, s := range r.Segments {
		sizes := map[string]string{"hot": "-", "warm": "-", "cold": "-"}
		for _, c := range s.Copies {
			sizes[c.Tier] = size(c.Bytes)
		}
		state := "open"
		if s.Sealed {
			state = "sealed"
		}
		last := "-"
		if s.Next > s.First {
			last = strconv.FormatUint(uint64(s.Next-1), 10)
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t\n", s.Sequence, s.First, last, s.Records, size(s.Used), sizes["hot"], sizes["warm"], sizes["cold"], state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d segments, positions %d to %d, %s on this disk, %d spare files\n", len(r.Segments), r.First, r.Next-1, size(r.Bytes), r.Spares)
	if r.Epoch != nil {
		fmt.Fprintf(out, "the bucket's owner has epoch %d\n", *r.Epoch)
	}
	printFindings(out, r.Findings)
	return nil
}

func printFindings(out io.Writer, list []aof.Finding) {
	for _, f := range list {
		fmt.Fprintf(out, "%s at offset %d: %s", f.Name, f.Offset, f.Reason)
		if f.First != 0 {
			fmt.Fprintf(out, " (positions %d to %d)", f.First, f.Last)
		}
		fmt.Fprintf(out, "\n  %s\n", f.Advice)
	}
}

type logVerifyCmd struct{ logFolder }

func (c *logVerifyCmd) Help() string {
	return "It reads every byte of every copy, changes nothing, and ends with status 1 if something is found. The log must not be in use.\n\nExample:\n  bop log verify bop-data/log --cold s3://backups/log"
}

func (c *logVerifyCmd) Run(ctx context.Context, e *env) error {
	o, err := c.options(ctx, e)
	if err != nil {
		return err
	}
	r, err := aof.Verify(ctx, c.Dir, o, showBytes(e, "verified"))
	if errors.Is(err, aof.ErrLocked) {
		return fmt.Errorf("%s is in use: stop the server first: %w", c.Dir, err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		if err := json.NewEncoder(e.out).Encode(r); err != nil {
			return err
		}
	} else {
		printFindings(e.out, r.Findings)
	}
	if n := len(r.Findings); n > 0 {
		return fmt.Errorf("%d findings in %s", n, c.Dir)
	}
	if !c.JSON {
		_, err = fmt.Fprintf(e.out, "%d segments with positions %d to %d are whole\n", len(r.Segments), r.First, r.Next-1)
	}
	return err
}

// showBytes shows on a terminal how far something is.
func showBytes(e *env, what string) func(done, total int64) {
	f, ok := e.err.(*os.File)
	if !ok {
		return nil
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(done, total int64) {
		fmt.Fprintf(f, "\r%s %s of %s ", what, size(done), size(total))
		if done == total {
			fmt.Fprintln(f)
		}
	}
}

type logSealCmd struct{ logFolder }

func (c *logSealCmd) Help() string {
	return "With --cold it returns when the bucket has every sealed segment. The log must not be in use.\n\nExample:\n  bop log seal bop-data/log --cold s3://backups/log"
}

func (c *logSealCmd) Run(ctx context.Context, e *env) (err error) {
	l, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Seal(ctx); err != nil {
		return err
	}
	if c.Cold != "" {
		if err := l.WaitUploaded(ctx); err != nil {
			return err
		}
	}
	first, next := l.Bounds()
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"first": first, "next": next, "uploaded": c.Cold != ""})
	}
	_, err = fmt.Fprintf(e.out, "sealed: positions %d to %d\n", first, next-1)
	return err
}

type logHydrateCmd struct {
	logFolder
	Positions string `arg:"" help:"Positions FROM-TO, or one."`
}

func (c *logHydrateCmd) Help() string {
	return "The segments with these records come back compressed, checked as a whole. The log must not be in use.\n\nExample:\n  bop log hydrate bop-data/log 1-100000 --cold s3://backups/log"
}

func (c *logHydrateCmd) Run(ctx context.Context, e *env) (err error) {
	if c.Cold == "" {
		return errors.New("--cold is missing: it names the bucket that the segments are in")
	}
	from, to, ranged := strings.Cut(c.Positions, "-")
	first, err := strconv.ParseUint(from, 10, 64)
	last := first
	if err == nil && ranged {
		last, err = strconv.ParseUint(to, 10, 64)
	}
	if err != nil || last < first || first == 0 {
		return fmt.Errorf("%q are no positions: give FROM-TO, as 1-1000", c.Positions)
	}
	l, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.WaitAttached(ctx); err != nil {
		return err
	}
	if err := l.Hydrate(ctx, aof.Position(first), aof.Position(last)); err != nil {
		return err
	}
	st := l.Stats()
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"first": first, "last": last, "local": st.Bytes})
	}
	_, err = fmt.Fprintf(e.out, "hydrated: positions %d to %d, %s on this disk\n", first, last, size(st.Bytes))
	return err
}
