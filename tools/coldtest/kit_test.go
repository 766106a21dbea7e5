package coldtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bop-platform/bop/modules/aof"
	"github.com/bop-platform/bop/modules/aof/objstore"
	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/backup"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
)

// testKeys wraps the data keys of all tests.
var testKeys = parseKeys("first " + strings.Repeat("17", 32))

func parseKeys(text string) crypt.KeyProvider {
	k, err := crypt.ParseKeys([]byte(text))
	if err != nil {
		panic(err)
	}
	return k
}

// random is the test's own, and repeats itself with the same -seed.
func random(t testing.TB) *rand.Rand {
	h := sha256.Sum256([]byte(t.Name()))
	return rand.New(rand.NewPCG(*seed, uint64(h[0])|uint64(h[1])<<8))
}

// cold are options of a host with a bucket, small enough that everything happens soon. Nothing is uploaded by itself.
func cold(dir string, b objstore.Bucket) sqlite.Options {
	return sqlite.Options{
		Dir: dir, CheckpointBytes: 256 << 10, CacheBytes: 256 << 10, CheckpointInterval: 200 * time.Millisecond,
		LogOptions: aof.Options{SegmentBytes: 1 << 20}, Logger: logger(),
		Cold: sqlite.Cold{Bucket: b, LogInterval: time.Hour, PageInterval: time.Hour},
	}
}

func logger() *slog.Logger {
	if *verbose {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// open opens a data folder and closes it at the end of the test.
func open(t testing.TB, o sqlite.Options) *sqlite.Host {
	t.Helper()
	h, err := sqlite.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

func closeHost(t testing.TB, h *sqlite.Host) {
	t.Helper()
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, h *sqlite.Host, name string, o sqlite.CreateOptions) *sqlite.DB {
	t.Helper()
	db, err := h.Create(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func find(t testing.TB, h *sqlite.Host, name string) *sqlite.DB {
	t.Helper()
	db, err := h.DB(name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// connect opens a connection and closes it at the end of the test.
func connect(t testing.TB, db *sqlite.DB) *sqlite.Conn {
	t.Helper()
	c, err := db.Conn(context.Background(), sqlite.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func do(t testing.TB, c *sqlite.Conn, sql string) {
	t.Helper()
	if err := c.Raw().Exec(sql); err != nil {
		t.Fatalf("%.200s: %v (%v)", sql, err, c.Err())
	}
}

// text returns all values that a query yields, separated by commas.
func text(c *sqlite3.Conn, sql string) (string, error) {
	s, _, err := c.Prepare(sql)
	if err != nil {
		return "", fmt.Errorf("%.200s: %w", sql, err)
	}
	defer s.Close()
	var out []string
	for s.Step() {
		for i := range s.ColumnCount() {
			out = append(out, s.ColumnText(i))
		}
	}
	if s.Err() != nil {
		return "", fmt.Errorf("%.200s: %w", sql, s.Err())
	}
	return strings.Join(out, ","), nil
}

func want(t testing.TB, c *sqlite3.Conn, sql, answer string) {
	t.Helper()
	got, err := text(c, sql)
	if err != nil || got != answer {
		t.Fatalf("%.200s: got %.200s, %v, want %.200s", sql, got, err, answer)
	}
}

const integrity = `PRAGMA integrity_check`

// plain opens an ordinary SQLite file.
func plain(t testing.TB, name string) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.OpenFlags(name, sqlite3.OPEN_READONLY)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// exported is the committed state as an ordinary SQLite file.
func exported(t testing.TB, db *sqlite.DB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := db.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restored is a version out of the bucket.
func restored(t testing.TB, h *sqlite.Host, name string, to backup.Target) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := h.RestoreTo(t.Context(), &b, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: name}, Target: to}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sum is the checksum of a state.
type sum [sha256.Size]byte

func sumOf(b []byte) sum { return sha256.Sum256(b) }

// stateOf exports a database and sums it up.
func stateOf(ctx context.Context, db *sqlite.DB) (sum, error) {
	h := sha256.New()
	err := db.Export(ctx, h)
	return sum(h.Sum(nil)), err
}

func restoredSum(ctx context.Context, h *sqlite.Host, name string, to backup.Target) (sum, error) {
	d := sha256.New()
	_, err := h.RestoreTo(ctx, d, sqlite.RestoreOptions{Of: sqlite.BackupOf{Name: name}, Target: to})
	return sum(d.Sum(nil)), err
}

// checked verifies all that the bucket has.
func checked(t testing.TB, h *sqlite.Host, of sqlite.BackupOf) {
	t.Helper()
	report, err := h.VerifyBackup(t.Context(), of, true, nil)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("verifying the backup of %+v: %v, %v", of, err, report)
	}
}

// differ says where two files aren't the same, "" if they are.
func differ(a, b []byte) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d bytes", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			return fmt.Sprintf("byte %d is %02x and %02x", i, a[i], b[i])
		}
	}
	return ""
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// sound lets SQLite check a file.
func sound(t testing.TB, b []byte) {
	t.Helper()
	c := plain(t, write(t, filepath.Join(t.TempDir(), "file.db"), b))
	want(t, c, integrity, "ok")
	c.Close()
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// objects lists what a bucket has.
func objects(t testing.TB, b objstore.Bucket) (list []objstore.Info) {
	t.Helper()
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, info)
	}
	return list
}

func get(t testing.TB, b objstore.Bucket, key string) []byte {
	t.Helper()
	r, _, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
