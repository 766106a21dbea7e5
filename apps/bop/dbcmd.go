package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
	Create dbCreateCmd `cmd:"" help:"Create an empty database."`
	List   dbListCmd   `cmd:"" help:"List the databases."`
	Import dbImportCmd `cmd:"" help:"Create a database from an SQLite file."`
	Export dbExportCmd `cmd:"" help:"Write a database to an SQLite file."`
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
	Name string `arg:"" help:"Name of the new database."`
	File string `arg:"" type:"existingfile" help:"An SQLite database file. Nothing else may write to it meanwhile."`
}

func (c *dbImportCmd) Help() string { return "Example:\n  bop db import shop shop.sqlite" }

func (c *dbImportCmd) Run(ctx context.Context, e *env) error {
	client, err := c.client()
	if err != nil {
		return err
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

type dbExportCmd struct {
	remoteFlags
	Name  string `arg:"" help:"Name of the database."`
	File  string `arg:"" type:"path" help:"File to write."`
	Force bool   `name:"force" help:"Replace the file if it is there."`
}

func (c *dbExportCmd) Help() string { return "Example:\n  bop db export shop shop.sqlite" }

func (c *dbExportCmd) Run(ctx context.Context, e *env) (err error) {
	client, err := c.client()
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.File); err == nil && !c.Force {
		return fmt.Errorf("%s is there already: choose another name or give --force", c.File)
	}
	// The file appears under its name only when it is whole and on disk.
	tmp, err := os.CreateTemp(filepath.Dir(c.File), "."+filepath.Base(c.File)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	p := newProgress(e.err, "received", 0)
	if err := client.Export(ctx, c.Name, p.writer(tmp)); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), c.File); err != nil {
		return err
	}
	return c.report(e, map[string]any{"name": c.Name, "file": c.File, "bytes": p.done}, "exported %s to %s, %s", c.Name, c.File, size(p.done))
}

// progress prints how far a transfer is, once a second, where a person is looking.
type progress struct {
	to    io.Writer // nil: nobody is
	verb  string
	total int64 // 0: unknown
	done  int64
	last  time.Time
}

func newProgress(to io.Writer, verb string, total int64) *progress {
	p := &progress{verb: verb, total: total, last: time.Now()}
	if f, ok := to.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			p.to = to
		}
	}
	return p
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if p.to == nil || time.Since(p.last) < time.Second {
		return
	}
	p.last = time.Now()
	if p.total > 0 {
		fmt.Fprintf(p.to, "%s %s of %s (%d %%)\n", p.verb, size(p.done), size(p.total), 100*p.done/p.total)
		return
	}
	fmt.Fprintf(p.to, "%s %s\n", p.verb, size(p.done))
}

func (p *progress) reader(r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		p.add(n)
		return n, err
	})
}

func (p *progress) writer(w io.Writer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		n, err := w.Write(b)
		p.add(n)
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
