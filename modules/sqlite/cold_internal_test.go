package sqlite

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// Closing a database's views waits, with mu held, for those that load, and these ask for the keys.
func TestTheKeysAreToldWhileViewsAreBeingClosed(t *testing.T) {
	var c cold
	k := new(crypt.Keyring)
	c.keyed(k)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keyring() != k { // it would wait for ever
		t.Fatal("they are others")
	}
}

// The bucket gets the key of what was committed, also before the owner has put it beside the page file.
func TestTheBucketHasTheKeysOfItsLog(t *testing.T) {
	ctx := t.Context()
	keys, err := crypt.ParseKeys([]byte("first " + strings.Repeat("17", 32)))
	if err != nil {
		t.Fatal(err)
	}
	bucket := objstore.NewMemory()
	o := Options{Dir: t.TempDir(), Keys: keys, Cold: Cold{Bucket: bucket, LogInterval: time.Hour, PageInterval: time.Hour}}
	h, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	db, err := h.Create(ctx, "d", CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(statement string) {
		t.Helper()
		c, err := db.Conn(ctx, ConnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Raw().Exec(statement); err != nil {
			t.Fatal(c.Explain(err))
		}
	}
	write(`CREATE TABLE t (x)`)
	if err := db.Upload(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.changeKeys(ctx, func(old *crypt.Keyring) (*crypt.Keyring, error) { return old.Rotate(ctx, keys) }); err != nil {
		t.Fatal(err)
	}
	write(`INSERT INTO t VALUES (1)`)
	// As the uploader does by itself each LogInterval, without page objects that would make the log unnecessary.
	if err := db.WithBackup(ctx, func(ctx context.Context, w *backup.Writer) error {
		return (&uploader{db: db, writer: w, pages: time.Now()}).upload(ctx, false)
	}); err != nil {
		t.Fatal(err)
	}
	// What somebody sees who has lost this folder.
	id := db.ident()
	space := backup.Open(backup.Options{Bucket: bucket, Database: id.Database, Lineage: id.Lineage, Provider: keys})
	m, _, err := space.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := space.Keyring(ctx, m.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	r, err := backup.Restore(ctx, space, backup.Target{TXID: db.Heads().Committed}, backup.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	for id := range m.DataKeys() {
		if id != 0 && !ring.Has(id) {
			t.Errorf("data key %d seals what the bucket has, and is not there", id)
		}
	}
	if n := m.DataKeys()[db.current().Keys().Current()]; n == 0 {
		t.Error("nothing is sealed by the new key: the test proves nothing")
	}
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
