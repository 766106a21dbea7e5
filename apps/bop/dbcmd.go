package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bop-platform/bop/apps/bop/internal/admin"
)

// remoteFlags find a running server.
type remoteFlags struct {
	HTTP      string `name:"http" env:"BOP_HTTP" default:"127.0.0.1:7070" placeholder:"ADDR" help:"The running server's --http address, or a URL."`
	TokenFile string `name:"token-file" env:"BOP_TOKEN_FILE" placeholder:"FILE" help:"File with the admin token, if the server asks for one."`
	CAFile    string `name:"ca-file" env:"BOP_CA_FILE" placeholder:"FILE" help:"Certificates in PEM that sign the server's, for https URLs."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

func (f *remoteFlags) client() (*admin.Client, error) {
	token, err := readToken(f.TokenFile)
	if err != nil {
		return nil, err
	}
	h := &http.Client{}
	if f.CAFile != "" {
		pem, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file %s: no certificate in it", f.CAFile)
		}
		h.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	}
	return admin.NewClient(f.HTTP, token, h), nil
}

// readToken reads a token file; the text around the token is trimmed.
func readToken(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading the admin token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%s is empty: write a token into it, e.g. with openssl rand -hex 32", name)
	}
	return token, nil
}

type dbCmd struct {
	Create    dbCreateCmd    `cmd:"" help:"Create an empty database."`
	List      dbListCmd      `cmd:"" help:"List the databases."`
	Import    dbImportCmd    `cmd:"" help:"Create a database from an SQLite file, or from a replica of Litestream."`
	Export    dbExportCmd    `cmd:"" help:"Write a database to an SQLite file."`
	Snapshot  dbSnapshotCmd  `cmd:"" help:"Take a snapshot into the server's bucket."`
	Snapshots dbSnapshotsCmd `cmd:"" help:"List the snapshots in the bucket, and what can be restored."`
	Restore   dbRestoreCmd   `cmd:"" help:"Bring a database of any transaction or time back, as a file or as a new database."`
	Verify    dbVerifyCmd    `cmd:"" help:"Check a database, what the bucket has of it, or what a restore brings back."`
	Rekey     dbRekeyCmd     `cmd:"" help:"Change the keys of a database while it serves, or encrypt one that is in the clear."`
}

type dbCreateCmd struct {
	remoteFlags
	Name string `arg:"" help:"Name of the database."`
}

func (c *dbCreateCmd) Help() string { return "Example:\n  bop db create shop" }

func (c *dbCreateCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.Create(ctx, c.Name); err != nil {
		return err
	}
	return c.report(e, map[string]any{"name": c.Name}, "created %s", c.Name)
}

// report prints one result, for people or for programs.
func (f *remoteFlags) report(e *env, v map[string]any, format string, args ...any) error {
	if f.JSON {
		return json.NewEncoder(e.out).Encode(v)
	}
	_, err := fmt.Fprintf(e.out, format+"\n", args...)
	return err
}

type dbListCmd struct{ remoteFlags }

func (c *dbListCmd) Help() string { return "Example:\n  bop db list --json" }

func (c *dbListCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	list, err := client.List(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.out).Encode(map[string]any{"databases": list})
	}
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSIZE\tTXID\tCREATED")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", d.Name, size(d.Bytes), d.TXID, d.Created.Format(time.RFC3339))
	}
	return w.Flush()
}

// size prints bytes for people.
func size(n int64) string {
	const units = "KMGTP"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

type dbImportCmd struct {
	remoteFlags
	Name       string `arg:"" help:"Name of the new database."`
	File       string `arg:"" optional:"" type:"existingfile" help:"An SQLite database file. Nothing else may write to it meanwhile."`
	Litestream string `name:"litestream" placeholder:"URL" help:"Import a replica of Litestream 0.5 instead: s3://BUCKET/PATH?endpoint=URL&region=R or file:///FOLDER, which the server opens."`
	To         string `name:"to" placeholder:"TXID|TIME|latest" help:"Which version of the replica: ${target} Default: latest."`
}

func (c *dbImportCmd) Help() string {
	return "Example:\n  bop db import shop shop.sqlite\n  bop db import shop --litestream s3://backups/shop.db --to 2026-11-30T18:00:05Z"
}

func (c *dbImportCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	switch {
	case (c.File == "") == (c.Litestream == ""):
		return errors.New("give an SQLite file, or --litestream URL, and not both")
	case c.Litestream != "":
		return c.fromLitestream(ctx, e, client)
	case c.To != "":
		return errors.New("--to is of use with --litestream: a file has one version")
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		if st, err := os.Stat(c.File + suffix); err == nil && st.Size() > 0 {
			return fmt.Errorf("%s is in use or was not closed: %s%s holds changes that the file lacks; close it, or copy it with VACUUM INTO first", c.File, c.File, suffix)
		}
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := client.Import(ctx, c.Name, newProgress(e.err, "sent", st.Size()).reader(f)); err != nil {
		return err
	}
	return c.report(e, map[string]any{"name": c.Name, "bytes": st.Size()}, "imported %s, %s", c.Name, size(st.Size()))
}

func (c *dbImportCmd) fromLitestream(ctx context.Context, e *env, client *admin.Client) error {
	to, err := here(c.To)
	if err != nil {
		return err
	}
	v, err := client.ImportLitestream(ctx, c.Name, admin.LitestreamOptions{URL: c.Litestream, To: to}, newProgress(e.err, "imported", 0).set)
	if err != nil {
		return err
	}
	return c.report(e, map[string]any{"name": c.Name, "txid": v.TXID, "bytes": v.Bytes}, "imported %s as of the replica's transaction %d, %s", c.Name, v.TXID, size(v.Bytes))
}

type dbExportCmd struct {
	remoteFlags
	Name  string `arg:"" help:"Name of the database."`
	File  string `arg:"" type:"path" help:"File to write."`
	Force bool   `name:"force" help:"Replace the file if it is there."`
}

func (c *dbExportCmd) Help() string { return "Example:\n  bop db export shop shop.sqlite" }

func (c *dbExportCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	p := newProgress(e.err, "received", 0)
	if err := newFile(c.File, c.Force, func(f *os.File) error { return client.Export(ctx, c.Name, p.writer(f)) }); err != nil {
		return err
	}
	return c.report(e, map[string]any{"name": c.Name, "file": c.File, "bytes": p.done}, "exported %s to %s, %s", c.Name, c.File, size(p.done))
}
