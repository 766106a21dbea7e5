package sqlite

import (
	"database/sql"
	"testing"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	h, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	db, err := h.Create(ctx, "shop", CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := sql.OpenDB(db.Connector())
	for _, q := range []string{`CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)`, `INSERT INTO t(v) VALUES('a'),('b')`, `VACUUM`, `PRAGMA journal_mode`} {
		if _, err := p.Exec(q); err != nil {
			t.Fatal(q, err)
		}
	}
	var n int
	if err := p.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	p.Close()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	h, err = Open(ctx, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(ctx)
	t.Log(h.Databases())
	db, _ = h.DB("shop")
	p = sql.OpenDB(db.Connector())
	defer p.Close()
	if err := p.QueryRow(`SELECT count(*) FROM t`).Scan(&n); err != nil || n != 2 {
		t.Fatal(n, err)
	}
}
