package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// keysInFile counts the slots of a page file by the key that seals them.
func keysInFile(t testing.TB, dir string, db *sqlite.DB) map[uint32]int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "db", fmt.Sprint(db.Segment()), "pages"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[uint32]int{}
	for at := 8192; at+4140 <= len(b); at += 4140 {
		count[uint32(b[at])|uint32(b[at+1])<<8|uint32(b[at+2])<<16|uint32(b[at+3])<<24]++
	}
	return count
}

func resealed(t testing.TB, db *sqlite.DB) {
	t.Helper()
	eventually(t, "all pages are sealed anew", func() bool { return !db.RekeyStatus().Running })
}

func TestKeysAreChangedWhileTheDatabaseServes(t *testing.T) {
	if *encrypted {
		t.Skip("it begins in the clear")
	}
	dir := t.TempDir()
	o := withBucket(dir, objstore.NewMemory())
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	fill(t, c, 3000, 900)
	upload(t, db)
	const sums = `SELECT count(*), total(length(v)), total(unicode(hex(v))) FROM t`
	want := text(t, c.Raw(), sums)
	c.Close()
	closeHost(t, h)

	o.Keys = testKeys
	h = open(t, o)
	db = find(t, h, "d")
	if db.Encrypted() {
		t.Fatal("a database was encrypted without being asked")
	}
	c = connect(t, db)
	for key := 1; key <= 3; key++ {
		if err := db.Rekey(t.Context(), sqlite.RekeyOptions{Data: true}); err != nil {
			t.Fatal(err)
		}
		wantText(t, c.Raw(), sums, want)
		sqlExec(t, c, `CREATE TABLE IF NOT EXISTS x (y); INSERT INTO x VALUES (1)`)
		resealed(t, db)
		wantText(t, c.Raw(), sums, want)
		if st := db.RekeyStatus(); !st.Encrypted || len(st.Keys) != key || st.Done != st.Total || st.Total == 0 {
			t.Fatalf("got %+v", st)
		}
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		upload(t, db)
	}
	c.Close()
	closeHost(t, h)
	h = open(t, o)
	db = find(t, h, "d")
	c = connect(t, db)
	wantText(t, c.Raw(), sums, want)
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	t.Log(keysInFile(t, dir, db))
	if _, err := h.VerifyRestore(t.Context(), sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
}

func TestAnOldDataKeyGoesWhenNothingIsSealedByIt(t *testing.T) {
	for _, bucket := range []objstore.Bucket{nil, objstore.NewMemory()} {
		t.Run(fmt.Sprintf("with a bucket %v", bucket != nil), func(t *testing.T) {
			dir := t.TempDir()
			o := withBucket(dir, bucket)
			o.Keys = testKeys
			o.LogOptions.SegmentBytes = 64 << 10
			o.Cold.Retention.Last, o.Cold.Retention.Log = 1, time.Nanosecond
			h := open(t, o)
			db := create(t, h, "d")
			c := connect(t, db)
			fill(t, c, 500, 900)
			if bucket != nil {
				if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Rekey(t.Context(), sqlite.RekeyOptions{Data: true}); err != nil {
				t.Fatal(err)
			}
			resealed(t, db)
			if need, err := db.RetireKeys(t.Context()); err != nil || need == "" {
				t.Fatalf("it went at once: %q, %v", need, err)
			}
			want := text(t, c.Raw(), `SELECT count(*), total(length(v)) FROM t`)
			last := ""
			defer func() { t.Log("what needed it last: ", last) }()
			eventually(t, "the old key is gone", func() bool {
				sqlExec(t, c, `UPDATE t SET v = randomblob(900) WHERE id % 5 = 1`)
				if bucket != nil {
					if _, err := db.Snapshot(t.Context(), sqlite.SnapshotOptions{}); err != nil {
						t.Fatal(err)
					}
					if err := db.WithBackup(t.Context(), func(ctx context.Context, w *backup.Writer) error {
						_, _, err := w.Expire(ctx, o.Cold.Retention)
						return err
					}); err != nil {
						t.Fatal(err)
					}
				}
				// The log is the system database's too.
				sys := h.System()
				if bucket != nil {
					upload(t, sys)
				}
				for range 2 {
					if err := h.Put(t.Context(), "test", "key", fmt.Append(nil, time.Now())); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(db.Checkpoint(t.Context()), sys.Checkpoint(t.Context())); err != nil {
						t.Fatal(err)
					}
				}
				need, err := db.RetireKeys(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				last = need
				return len(db.RekeyStatus().Keys) == 1
			})
			eventually(t, "it is gone from the disk", func() bool {
				sqlExec(t, c, `UPDATE t SET v = randomblob(900) WHERE id = 1`)
				if bucket != nil {
					upload(t, db)
				}
				if err := db.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(filepath.Join(dir, "db", fmt.Sprint(db.Segment()), "keys"))
				if err != nil {
					t.Fatal(err)
				}
				infos, _, err := crypt.PeekKeyring(b[32:])
				return err == nil && len(infos) == 1
			})
			c.Close()
			closeHost(t, h)
			h = open(t, o)
			db = find(t, h, "d")
			c = connect(t, db)
			wantText(t, c.Raw(), `SELECT count(*), total(length(v)) FROM t`, want)
			wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
			if bucket == nil {
				return
			}
			if _, err := h.VerifyRestore(t.Context(), sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: "d"}, Target: backup.Target{Latest: true}}); err != nil {
				t.Fatal(err)
			}
			// And with the database its keys go, also from the bucket.
			of := sqlite.BackupOf{ID: db.ID()}
			if err := h.ForgetBackup(t.Context(), of); !errors.Is(err, sqlite.ErrExists) {
				t.Fatalf("got %v", err)
			}
			c.Close()
			if err := h.Drop(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
			if err := h.ForgetBackup(t.Context(), of); err != nil {
				t.Fatal(err)
			}
			for info, err := range bucket.List(t.Context(), "", "") {
				if err != nil || strings.HasPrefix(info.Key, of.ID.String()) {
					t.Fatalf("%s is left, %v", info.Key, err)
				}
			}
		})
	}
}

func TestAWrappingKeyIsChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old, next := "old "+strings.Repeat("17", 32), "new "+strings.Repeat("18", 32)
	write(old)
	o := sqlite.Options{Dir: t.TempDir(), Keys: openKeys(t, file)}
	h := open(t, o)
	db := create(t, h, "d")
	sqlExec(t, connect(t, db), `CREATE TABLE t (x); INSERT INTO t VALUES (7)`)
	write(next, old)
	for _, db := range []*sqlite.DB{db, h.System()} {
		if err := db.Rekey(t.Context(), sqlite.RekeyOptions{Wrap: true}); err != nil {
			t.Fatal(err)
		}
		if k := db.RekeyStatus().Keys; len(k) != 1 || k[0].WrappedBy != "new" {
			t.Fatalf("got %+v", k)
		}
	}
	closeHost(t, h)
	write(next) // the old one is gone
	o.Keys = openKeys(t, file)
	h = open(t, o)
	wantText(t, connect(t, find(t, h, "d")).Raw(), `SELECT x FROM t`, "7")
}
