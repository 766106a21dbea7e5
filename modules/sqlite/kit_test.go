package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/sqlite"
	"github.com/bop-platform/bop/modules/sqlite/crypt"
	"github.com/ncruces/go-sqlite3"
)

// open opens a data folder and closes it at the end of the test.
func open(t testing.TB, o sqlite.Options) *sqlite.Host {
	t.Helper()
	h, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// encrypted runs everything with keys.
var encrypted = flag.Bool("encrypted", false, "run the tests on encrypted databases")

// withKeys gives options a key provider if that is asked for.
func withKeys(o sqlite.Options) sqlite.Options {
	if *encrypted && o.Keys == nil {
		o.Keys = testKeys
	}
	return o
}

// testKeys wraps the data keys of all tests.
var testKeys = mustKeys("first " + strings.Repeat("17", 32))

func mustKeys(text string) crypt.KeyProvider {
	k, err := crypt.ParseKeys([]byte(text))
	if err != nil {
		panic(err)
	}
	return k
}

// openKeys reads keys from a file.
func openKeys(t testing.TB, spec string) crypt.KeyProvider {
	t.Helper()
	k, err := crypt.OpenProvider(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func tryOpen(t testing.TB, o sqlite.Options) (*sqlite.Host, error) {
	t.Helper()
	o = withKeys(o)
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.LogOptions.SegmentBytes == 0 {
		o.LogOptions.SegmentBytes = 1 << 20
	}
	h, err := sqlite.Open(context.Background(), o)
	if err == nil {
		t.Cleanup(func() { h.Close(context.Background()) })
	}
	return h, err
}

// create makes a database.
func create(t testing.TB, h *sqlite.Host, name string) *sqlite.DB {
	t.Helper()
	db, err := h.Create(context.Background(), name, sqlite.CreateOptions{})
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

// pool is the database through database/sql.
func pool(t testing.TB, db *sqlite.DB) *sql.DB {
	t.Helper()
	p := sql.OpenDB(db.Connector())
	t.Cleanup(func() { p.Close() })
	return p
}

func sqlExec(t testing.TB, c *sqlite.Conn, sql string) {
	t.Helper()
	if err := c.Raw().Exec(sql); err != nil {
		t.Fatalf("%s: %v (%v)", clip(sql), err, c.Err())
	}
}

// run executes SQL and explains its error.
func run(c *sqlite.Conn, sql string) error { return c.Explain(c.Raw().Exec(sql)) }

func clip(s string) string { return s[:min(len(s), 200)] }

// text returns all values that a query yields, separated by commas.
func text(t testing.TB, c *sqlite3.Conn, sql string) string {
	t.Helper()
	s, err := tryText(c, sql)
	if err != nil {
		t.Fatalf("%s: %v", clip(sql), err)
	}
	return s
}

func tryText(c *sqlite3.Conn, sql string) (string, error) {
	s, _, err := c.Prepare(sql)
	if err != nil {
		return "", err
	}
	if s == nil {
		return "", nil
	}
	defer s.Close()
	var out []string
	for s.Step() {
		for i := range s.ColumnCount() {
			if s.ColumnType(i) == sqlite3.BLOB {
				out = append(out, fmt.Sprintf("x'%x'", s.ColumnRawBlob(i)))
			} else {
				out = append(out, s.ColumnText(i))
			}
		}
	}
	return strings.Join(out, ","), s.Err()
}

func wantText(t testing.TB, c *sqlite3.Conn, sql, want string) {
	t.Helper()
	if got := text(t, c, sql); got != want {
		t.Fatalf("%s: got %s, want %s", clip(sql), clip(got), clip(want))
	}
}

// dump is everything in a database.
func dump(t testing.TB, c *sqlite3.Conn) string {
	t.Helper()
	var b strings.Builder
	names := text(t, c, `SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name`)
	b.WriteString(text(t, c, `SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name`))
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			continue
		}
		order := "1, 2"
		if text(t, c, `SELECT count(*) FROM pragma_table_info('`+name+`')`) == "1" {
			order = "1"
		}
		fmt.Fprintf(&b, "\n%s: %s", name, text(t, c, `SELECT * FROM "`+name+`" ORDER BY `+order))
	}
	return b.String()
}

// plainConn is a connection of SQLite's own to a new file: the oracle.
func plainConn(t testing.TB) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.Open("file:" + filepath.Join(t.TempDir(), "plain.db") + "?_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// plainFile opens an ordinary SQLite file.
func plainFile(t testing.TB, name string) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.OpenFlags(name, sqlite3.OPEN_READONLY)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass that %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// newerHeader turns the header of a page file into one of a later format.
func newerHeader(old []byte) []byte {
	b := bytes.Clone(old)
	binary.LittleEndian.PutUint32(b[8:], 99)
	binary.LittleEndian.PutUint32(b[508:], crc32.Checksum(b[:508], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// testSeed moves from run to run.
func testSeed() uint64 { return uint64(time.Now().UnixNano() / 1e6) }
