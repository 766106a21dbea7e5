package sqlite_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
)

// legacy unpacks a folder that the first version of the page file's format was written into: a checkpoint, and a transaction
// that only the log has.
func legacy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/legacy/v1")); err != nil {
		t.Fatal(err)
	}
	packed, err := filepath.Glob(filepath.Join(dir, "log", "*.gz"))
	if err != nil || len(packed) == 0 {
		t.Fatal("no log in the fixture")
	}
	for _, name := range packed {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.WriteFile(strings.TrimSuffix(name, ".gz"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const legacyRows = `SELECT count(*), (SELECT name FROM tea WHERE id = 100), (SELECT name FROM tea WHERE id = 2) FROM tea`

func TestAFolderOfTheFirstFormatIsOpenedAndEncrypted(t *testing.T) {
	if *encrypted {
		t.Skip("it was written in the clear")
	}
	dir := legacy(t)
	o := withBucket(dir, objstore.NewMemory())
	h := open(t, o)
	db := find(t, h, "shop")
	c := connect(t, db)
	wantText(t, c.Raw(), legacyRows, "40,in the log alone,sencha")
	sqlExec(t, c, `UPDATE tea SET name = 'changed' WHERE id = 2`)
	for range 2 {
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	upload(t, db)
	c.Close()
	closeHost(t, h)

	o.Keys = testKeys
	h = open(t, o)
	db = find(t, h, "shop")
	c = connect(t, db)
	if err := db.Rekey(t.Context(), sqlite.RekeyOptions{Data: true}); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	resealed(t, db)
	wantText(t, c.Raw(), legacyRows, "40,in the log alone,changed")
	b, err := os.ReadFile(filepath.Join(dir, "db", "1", "pages"))
	if err != nil || strings.Contains(string(b), "in the log alone") {
		t.Fatalf("the page file has rows in the clear, %v", err)
	}
	upload(t, db)
	c.Close()
	closeHost(t, h)
	h = open(t, o)
	c = connect(t, find(t, h, "shop"))
	wantText(t, c.Raw(), legacyRows, "40,in the log alone,changed")
	if _, err := h.VerifyRestore(t.Context(), sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "shop"}, Target: backup.Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
}
