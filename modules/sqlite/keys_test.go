package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/sqlite"
)

// secrets are planted: a name of a database, a table's name, a value, an overflowing value.
var secrets = []string{"planteddatabase", "plantedtable", "plantedcolumn", "plantedvalue", "plantedspill"}

// scan looks for the secrets in every file below a folder. Files may come and go meanwhile.
func scan(t testing.TB, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files++
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s has %q in the clear", name, s)
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func plantSecrets(t testing.TB, db *sqlite.DB) {
	t.Helper()
	c := connect(t, db)
	sqlExec(t, c, `CREATE TABLE plantedtable (id INTEGER PRIMARY KEY, plantedcolumn TEXT)`)
	sqlExec(t, c, `INSERT INTO plantedtable (plantedcolumn) SELECT 'plantedvalue ' || value FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 3000) SELECT value FROM s)`)
	sqlExec(t, c, `INSERT INTO plantedtable (plantedcolumn) VALUES (replace(hex(zeroblob(40000)), '00', 'plantedspill'))`)
}

func TestNothingIsOnDiskInTheClear(t *testing.T) {
	dir := t.TempDir()
	o := sqlite.Options{Dir: dir, Keys: testKeys, CheckpointBytes: 64 << 10, TxnMemory: 16 << 10, TempMemory: 4 << 10}
	h := open(t, o)
	db := create(t, h, "planteddatabase")
	plantSecrets(t, db)
	scan(t, dir)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := connect(t, db)
	sqlExec(t, c, `VACUUM; CREATE INDEX plantedindex ON plantedtable (plantedcolumn)`)
	scan(t, dir)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	scan(t, dir)
	h = open(t, o)
	c = connect(t, find(t, h, "planteddatabase"))
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	wantText(t, c.Raw(), `SELECT count(*) FROM plantedtable`, "3001")
}

func TestTheScanFindsWhatIsInTheClear(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir})
	if *encrypted {
		t.Skip("nothing is in the clear with -encrypted")
	}
	plantSecrets(t, create(t, h, "planteddatabase"))
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := false
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte("plantedtable")) {
			found = true
		}
		return nil
	})
	if !found {
		t.Fatal("not even a database in the clear shows its table's name: the scan proves nothing")
	}
}

// contents are all files below a folder.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[name] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAWrongOrMissingKeyIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	dir := t.TempDir()
	h := open(t, sqlite.Options{Dir: dir, Keys: testKeys})
	plantSecrets(t, create(t, h, "d"))
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for _, tt := range []struct {
		name string
		o    sqlite.Options
		want error
		say  string
	}{
		{"no key", sqlite.Options{Dir: dir}, sqlite.ErrNoProvider, "--key-file"},
		{"another key of that name", sqlite.Options{Dir: dir, Keys: mustKeys("first " + strings.Repeat("18", 32))}, sqlite.ErrWrongKey, "first"},
		{"a key of another name", sqlite.Options{Dir: dir, Keys: mustKeys("second " + strings.Repeat("17", 32))}, sqlite.ErrNoKey, "first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sqlite.Open(context.Background(), tt.o)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.say) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "1717") || strings.Contains(err.Error(), "1818") {
				t.Fatalf("the error tells a key: %v", err)
			}
			after := contents(t, dir)
			for name, b := range before {
				if after[name] != b {
					t.Errorf("%s was changed", name)
				}
			}
			if len(after) != len(before) {
				t.Errorf("%d files became %d", len(before), len(after))
			}
		})
	}
	h = open(t, sqlite.Options{Dir: dir, Keys: testKeys})
	wantText(t, connect(t, find(t, h, "d")).Raw(), `SELECT count(*) FROM plantedtable`, "3001")
}

func TestEveryFlippedByteOfAnEncryptedDatabaseIsFoundOrHarmless(t *testing.T) {
	dir := t.TempDir()
	o := sqlite.Options{Dir: dir, Keys: testKeys}
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	sqlExec(t, c, `CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t SELECT value, randomblob(900) FROM (WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 40) SELECT value FROM s)`)
	want := dump(t, c.Raw())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	segment := fmt.Sprint(db.Segment())
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pages", "keys"} {
		name := filepath.Join(dir, "db", segment, name)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(data)/60)
		for at := 0; at < len(data); at += step {
			flipped := bytes.Clone(data)
			flipped[at] ^= 0x40
			if err := os.WriteFile(name, flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := tryOpen(t, o)
			if err != nil {
				continue
			}
			if db, err := h.DB("d"); err == nil && db.Err() == nil {
				if c, err := db.Conn(t.Context(), sqlite.ConnOptions{}); err == nil {
					if got, err := tryText(c.Raw(), `SELECT id, v FROM t`); err == nil && !strings.Contains(want, got) {
						t.Errorf("%s: a flipped byte at %d shows as other data", name, at)
					}
					c.Close()
				}
			}
			if err := h.Close(t.Context()); err != nil && !errors.Is(err, sqlite.ErrDamaged) {
				t.Logf("closing: %v", err)
			}
			// What a closing may have written over.
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARecoveryThatMakesCheckpointsFindsNewKeysInTheLog(t *testing.T) {
	o := sqlite.Options{Dir: t.TempDir(), Keys: testKeys}
	h := open(t, o)
	db := create(t, h, "d")
	c := connect(t, db)
	fill(t, c, 100, 1000)
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(o.Dir, "db", fmt.Sprint(db.Segment()), "keys.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	err := db.Rekey(t.Context(), sqlite.RekeyOptions{Data: true}) // committed, and not beside the page file
	if n := len(db.RekeyStatus().Keys); n != 2 {
		t.Fatalf("%d keys, %v", n, err)
	}
	fill(t, c, 3000, 1000)
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // without a last checkpoint
	if err := errors.Join(h.Close(ctx), os.Remove(obstacle)); err != nil {
		t.Fatal(err)
	}
	o.CheckpointBytes = 64 << 10 // so that the recovery makes some
	h = open(t, o)
	db = find(t, h, "d")
	c = connect(t, db)
	wantText(t, c.Raw(), `SELECT count(*) FROM t`, "3100")
	wantText(t, c.Raw(), `PRAGMA integrity_check`, "ok")
	resealed(t, db)
}
