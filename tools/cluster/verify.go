package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// exports waits until all nodes have applied the same log and saves each one's database to a file.
func (r *run) exports(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := r.agreed(ctx); err != nil {
		return nil, err
	}
	var files []string
	for _, n := range r.servers.nodes {
		body, err := n.get(ctx, "/v1/databases/bop/content")
		if err != nil {
			return nil, fmt.Errorf("exporting: %w", err)
		}
		name := filepath.Join(r.work, n.name+".sqlite")
		f, err := os.Create(name)
		if err == nil {
			_, err = io.Copy(f, body)
			err = errors.Join(err, f.Close())
		}
		body.Close()
		if err != nil {
			return nil, fmt.Errorf("exporting from %s: %w", n.name, err)
		}
		files = append(files, name)
	}
	return files, nil
}

// agreed waits until every node has committed and applied the same.
func (r *run) agreed(ctx context.Context) error {
	for {
		var words []string
		var first standing
		same := true
		for i, n := range r.servers.nodes {
			at, err := n.standing(ctx)
			if i == 0 {
				first = at
			}
			same = same && err == nil && at.Commit == first.Commit && at.Applied == at.Commit
			words = append(words, fmt.Sprintf("%s: commit %d, applied %d, %v", n.name, at.Commit, at.Applied, err))
		}
		if same {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the nodes didn't come to the same commit: %s", strings.Join(words, "; "))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// sameFiles says which of the files differ from the first, and where.
func sameFiles(files []string) error {
	var first []byte
	var errs []error
	for i, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if i == 0 {
			first = b
			continue
		}
		if sha256.Sum256(b) == sha256.Sum256(first) {
			continue
		}
		const page = 4096
		var pages []int
		for at := 0; at < max(len(b), len(first)); at += page {
			if !bytes.Equal(slice(b, at, page), slice(first, at, page)) {
				pages = append(pages, at/page+1)
			}
		}
		errs = append(errs, fmt.Errorf("%s (%d bytes) and %s (%d bytes) differ in %d pages of 4 KiB, beginning with %d",
			files[0], len(first), name, len(b), len(pages), pages[:min(5, len(pages))]))
	}
	return errors.Join(errs...)
}

func slice(b []byte, at, n int) []byte { return b[min(at, len(b)):min(at+n, len(b))] }

// inspect checks a database with SQLite itself and returns the ids of the inserted rows.
func inspect(file string) (ids []int64, err error) {
	c, err := sqlite3.Open("file:" + file + "?mode=ro")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var said string
	if err := rows(c, `PRAGMA integrity_check`, func(s *sqlite3.Stmt) { said += s.ColumnText(0) }); err != nil || said != "ok" {
		return nil, fmt.Errorf("integrity_check says %q: %w", said, err)
	}
	var total int64
	if err := rows(c, `SELECT sum(balance) FROM accounts`, func(s *sqlite3.Stmt) { total = s.ColumnInt64(0) }); err != nil {
		return nil, err
	}
	if total != accounts*balance {
		return nil, fmt.Errorf("bank: the accounts hold %d in the end, not %d", total, accounts*balance)
	}
	err = rows(c, `SELECT id FROM entries`, func(s *sqlite3.Stmt) { ids = append(ids, s.ColumnInt64(0)) })
	return ids, err
}

func rows(c *sqlite3.Conn, query string, do func(*sqlite3.Stmt)) error {
	st, _, err := c.Prepare(query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer st.Close()
	for st.Step() {
		do(st)
	}
	return st.Err()
}
