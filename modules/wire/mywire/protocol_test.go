package mywire_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/bop-platform/bop/modules/wire/mywire"
)

func TestQueries(t *testing.T) {
	k := start(t, mywire.Options{})
	c := k.open()
	exec(t, c, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20), n DECIMAL(10,2), d DATETIME(6), b BLOB)")

	t.Run("the text and the binary protocol give the same rows", func(t *testing.T) {
		at := time.Date(2020, 1, 2, 3, 4, 5, 678000, time.UTC)
		r := exec(t, c, "INSERT INTO t (name, n, d, b) VALUES (?, ?, ?, ?), (NULL, NULL, NULL, NULL)", "ädä", "12.5", at, []byte{0, 255, '\''})
		if id, _ := r.LastInsertId(); id != 1 {
			t.Errorf("first generated id %d", id)
		}
		if n, _ := r.RowsAffected(); n != 2 {
			t.Errorf("%d rows", n)
		}
		for _, args := range [][]any{nil, {0}} {
			text := "SELECT name, n, d, b FROM t WHERE id > 0 ORDER BY id"
			if args != nil {
				text = strings.Replace(text, "> 0", "> ?", 1)
			}
			rows, err := c.QueryContext(context.Background(), text, args...)
			if err != nil {
				t.Fatal(err)
			}
			var name, n sql.NullString
			var d sql.NullTime
			var b []byte
			rows.Next()
			if err := rows.Scan(&name, &n, &d, &b); err != nil {
				t.Fatal(err)
			}
			if name.String != "ädä" || n.String != "12.50" || !d.Time.Equal(at) || !bytes.Equal(b, []byte{0, 255, '\''}) {
				t.Errorf("got %v %v %v %q", name, n, d, b)
			}
			rows.Next()
			if err := rows.Scan(&name, &n, &d, &b); err != nil || name.Valid || n.Valid || d.Valid || b != nil {
				t.Errorf("got %v %v %v %q, %v; want NULLs", name, n, d, b, err)
			}
			if rows.Next() || rows.Err() != nil {
				t.Errorf("more rows, or %v", rows.Err())
			}
		}
	})
	t.Run("an update counts the rows it changed, and those it found when the client asks for them", func(t *testing.T) {
		exec(t, c, "UPDATE t SET name = 'same' WHERE id = 1")
		if n, _ := exec(t, c, "UPDATE t SET name = 'same' WHERE id = 1").RowsAffected(); n != 0 {
			t.Errorf("%d rows changed", n)
		}
		found := k.open(func(c *mysql.Config) { c.ClientFoundRows = true })
		if n, _ := exec(t, found, "UPDATE t SET name = 'same' WHERE id = 1").RowsAffected(); n != 1 {
			t.Errorf("%d rows found", n)
		}
	})
	t.Run("errors have MySQL's numbers and the connection goes on", func(t *testing.T) {
		for text, number := range map[string]uint16{
			"SELECT * FROM nope": 1146, "SELEC": 1064, "SELECT nope FROM t": 1054, "INSERT INTO t (id) VALUES (1)": 1062, ";": 1065,
			"CREATE TABLE t (a INT)": 1050, "USE nope": 1049, "CREATE PROCEDURE p() SELECT 1": 1235,
		} {
			_, err := c.ExecContext(context.Background(), text)
			wantNumber(t, err, number)
		}
		_, err := c.ExecContext(context.Background(), "SELECT ? FROM nope", 1)
		wantNumber(t, err, 1146)
		if n := one[int](t, c, "SELECT count(*) FROM t"); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("transactions", func(t *testing.T) {
		tx, err := c.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		tx.Exec("DELETE FROM t")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if n := one[int](t, c, "SELECT count(*) FROM t"); n != 2 {
			t.Errorf("%d rows after a rollback", n)
		}
	})
	t.Run("several results of one text", func(t *testing.T) {
		multi := k.open(func(c *mysql.Config) { c.MultiStatements = true })
		rows, err := multi.QueryContext(context.Background(), "SELECT 1; UPDATE t SET n = 1; SELECT 'b;'; ")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for more := true; more; more = rows.NextResultSet() {
			for rows.Next() {
				var s string
				rows.Scan(&s)
				got = append(got, s)
			}
		}
		if err := rows.Close(); err != nil || strings.Join(got, " ") != "1 b;" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("several statements are a syntax error for clients that don't ask for them", func(t *testing.T) {
		_, err := c.ExecContext(context.Background(), "SELECT 1; DROP TABLE t")
		if e := wantNumber(t, err, 1064); !strings.Contains(e.Message, "near 'DROP TABLE t' at line 1") {
			t.Error(e.Message)
		}
		if n := one[int](t, c, "SELECT count(*) FROM t"); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("parameters of every kind", func(t *testing.T) {
		exec(t, c, "CREATE TABLE p (i INT, u BIGINT UNSIGNED, f DOUBLE, s TEXT, b VARBINARY(10), d DATE, ts TIMESTAMP NULL, tm TIME, n DECIMAL(20,4), j JSON, e ENUM('x','y'))")
		exec(t, c, "INSERT INTO p VALUES (?,?,?,?,?,?,?,?,?,?,?)", -5, uint64(1)<<40, 1.25, "text", []byte("\x00b"), "2020-02-29",
			time.Date(2021, 5, 6, 7, 8, 9, 0, time.UTC), "-30:01:02", "123.4567", `{"a": 1}`, "y")
		var i, u int64
		var f float64
		var s, d, tm, n, j, e string
		var b []byte
		var ts time.Time
		err := c.QueryRowContext(context.Background(), "SELECT i, u, f, s, b, CAST(d AS CHAR), ts, tm, n, j, e FROM p WHERE i = ? AND s = ? AND d = ? AND n > ? AND e = ?",
			"-5", "text", "2020-02-29", 100.5, "y").Scan(&i, &u, &f, &s, &b, &d, &ts, &tm, &n, &j, &e)
		if err != nil {
			t.Fatal(err)
		}
		if i != -5 || u != 1<<40 || f != 1.25 || s != "text" || string(b) != "\x00b" || d != "2020-02-29" || ts.Unix() != 1620284889 ||
			tm != "-30:01:02" || n != "123.4567" || j != `{"a": 1}` || e != "y" {
			t.Error(i, u, f, s, b, d, ts, tm, n, j, e)
		}
	})
	t.Run("an untyped parameter has the type that the client sends", func(t *testing.T) {
		stmt, err := c.PrepareContext(context.Background(), "SELECT ?")
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		for _, v := range []any{int64(5), "five", 5.5, nil, int64(6)} {
			var got any
			if err := stmt.QueryRow(v).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if b, ok := got.([]byte); ok {
				got = string(b)
			}
			if got != v {
				t.Errorf("sent %v (%T), got %v (%T)", v, v, got, got)
			}
		}
	})
	t.Run("a number for a string column is compared as a number", func(t *testing.T) {
		if n := one[int](t, c, "SELECT count(*) FROM (SELECT '05' AS s) x WHERE s = ?", 5); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestLargePackets(t *testing.T) {
	k := start(t, mywire.Options{MaxPacket: 40 << 20})
	c := k.open(func(c *mysql.Config) { c.MaxAllowedPacket = 64 << 20 })
	exec(t, c, "CREATE TABLE t (b LONGBLOB)")
	for _, n := range []int{1<<24 - 20, 1<<24 + 5, 36 << 20} {
		b := bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n]
		exec(t, c, "DELETE FROM t")
		exec(t, c, "INSERT INTO t VALUES (?)", b)
		if got := one[[]byte](t, c, "SELECT b FROM t"); !bytes.Equal(got, b) {
			t.Fatalf("%d bytes came back as %d other ones", n, len(got))
		}
	}
	t.Run("one beyond the limit is refused and the connection goes on", func(t *testing.T) {
		r := k.raw(t, plain)
		r.query("SELECT '" + strings.Repeat("x", 41<<20) + "'")
		r.want("err 1153")
		r.query("DO 1")
		r.want("ok 0 0 0x2")
	})
}

func TestPackets(t *testing.T) {
	k := start(t, mywire.Options{PacketTimeout: 300 * time.Millisecond})
	t.Run("an empty packet is an unknown command", func(t *testing.T) {
		r := k.raw(t, plain)
		r.seq = 0
		r.write(nil)
		r.want("err 1047")
		r.command(0x0e)
		r.want("ok 0 0 0x2")
	})
	t.Run("unknown commands", func(t *testing.T) {
		r := k.raw(t, plain)
		for _, code := range []byte{0, 5, 6, 8, 0x0b, 0x0f, 0x12, 0x20, 0xff} {
			r.command(code, 1, 2, 3)
			r.want("err 1047")
		}
	})
	t.Run("a number out of order ends the connection", func(t *testing.T) {
		r := k.raw(t, plain)
		r.seq = 7
		r.write([]byte{0x0e})
		if got := r.short(); !strings.HasPrefix(got, "err 1156") && !strings.HasPrefix(got, "end packet number") {
			t.Error(got)
		}
		if _, err := io.ReadAll(r.r); err != nil {
			t.Error(err)
		}
	})
	t.Run("half a packet times out", func(t *testing.T) {
		r := k.raw(t, plain)
		r.seq = 1
		r.Write([]byte{10, 0, 0, 0, 3, 'S'})
		r.want("err 1159")
		if _, err := r.read(); err != io.EOF {
			t.Error(err)
		}
	})
	t.Run("the states of the session are told", func(t *testing.T) {
		r := k.raw(t, plain)
		r.query("SET autocommit = 0")
		r.want("ok 0 0 0x0")
		r.query("SET autocommit = 1")
		r.want("ok 0 0 0x2")
		r.query("BEGIN")
		r.want("ok 0 0 0x3")
		r.query("ROLLBACK")
		r.want("ok 0 0 0x2")
		r.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
		r.want("ok 0 0 0x202")
		r.query("-- nothing")
		r.want("ok 0 0 0x202")
		r.query(" ")
		r.want("err 1065")
	})
	t.Run("the end of rows with and without EOF packets", func(t *testing.T) {
		r := k.raw(t, plain)
		r.query("SELECT 5")
		r.columns("eof 0x2")
		r.want(`"\x015"`, "eof 0x2")
		r = k.raw(t, plain|deprecateEOF)
		r.query("SELECT 5")
		r.columns("")
		r.want(`"\x015"`, "ok 0x2")
	})
	t.Run("more results are announced", func(t *testing.T) {
		r := k.raw(t, plain|multiStatements)
		r.query("SELECT 5; DO 1; SELEC; DO 2")
		r.columns("eof 0xa")
		r.want(`"\x015"`, "eof 0xa", "ok 0 0 0xa", "err 1064")
	})
	t.Run("COM_SET_OPTION allows several statements", func(t *testing.T) {
		r := k.raw(t, plain)
		r.query("DO 1; DO 2")
		r.want("err 1064")
		r.command(0x1b, 0, 0)
		r.want("eof 0x2")
		r.query("DO 1; DO 2")
		r.want("ok 0 0 0xa", "ok 0 0 0x2")
		r.command(0x1b, 2, 0)
		r.want("err 1047")
	})
	t.Run("COM_INIT_DB, COM_STATISTICS, COM_FIELD_LIST, COM_PROCESS_INFO, COM_PROCESS_KILL", func(t *testing.T) {
		r := k.raw(t, plain)
		r.command(2, []byte("nope")...)
		r.want("err 1049")
		r.command(2, []byte("db")...)
		r.want("ok 0 0 0x2")
		r.command(9)
		if p := r.packet(); !bytes.HasPrefix(p, []byte("Uptime: ")) {
			t.Errorf("%q", p)
		}
		r.query("CREATE TABLE f (a INT NOT NULL, b TEXT)")
		r.want("ok 0 0 0x2")
		r.command(4, []byte("f\x00%")...)
		a, b := r.packet(), r.packet()
		if !bytes.HasSuffix(a, []byte{0xfb}) || !bytes.Contains(a, []byte("\x01a\x01a\x0c")) || !bytes.Contains(b, []byte("\x01b\x01b\x0c")) {
			t.Errorf("%q %q", a, b)
		}
		r.want("eof 0x2")
		r.command(4, 'f')
		r.want("err 1835")
		r.command(0x0a)
		r.columns("eof 0x2")
		for {
			if s := r.short(); strings.HasPrefix(s, "eof") {
				break
			}
		}
		r.command(0x0c, le32(99999999)...)
		r.want("err 1094")
	})
	t.Run("a definition names table, column, type and flags", func(t *testing.T) {
		r := k.raw(t, plain)
		r.query("CREATE TABLE defs (id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT, flag TINYINT(1), u INT UNIQUE)")
		r.want("ok 0 0 0x2")
		r.query("SELECT x.id AS i, flag, u, 1 + 1 FROM defs x")
		defs := r.columns("eof 0x2")
		r.want("eof 0x2")
		want := []string{
			"\x03def\x02db\x01x\x04defs\x01i\x02id\x0c\x3f\x00\x0a\x00\x00\x00\x03\xa3\x02\x00\x00\x00",
			"\x03def\x02db\x01x\x04defs\x04flag\x04flag\x0c\x3f\x00\x01\x00\x00\x00\x01\x80\x00\x00\x00\x00",
			"\x03def\x02db\x01x\x04defs\x01u\x01u\x0c\x3f\x00\x0b\x00\x00\x00\x03\x84\x00\x00\x00\x00",
			"\x03def\x00\x00\x00\x051 + 1\x00\x0c\x3f\x00\x14\x00\x00\x00\x08\x81\x00\x00\x00\x00",
		}
		for i, d := range defs {
			if string(d) != want[i] {
				t.Errorf("column %d:\n got %q\nwant %q", i, d, want[i])
			}
		}
	})
}

func TestPrepared(t *testing.T) {
	k := start(t, mywire.Options{MaxPrepared: 20, MaxPacket: 1 << 20})
	r := k.raw(t, plain)
	id := r.prepare("SELECT ?, ?")
	types := []byte{8, 0, 253, 0}
	t.Run("types of parameters are remembered", func(t *testing.T) {
		r.TB = t
		r.command(0x17, join(id, []byte{0, 1, 0, 0, 0, 0, 1}, types, le64(7), []byte("\x02ab"))...)
		r.columns("eof 0x2")
		r.want(`"\x00\x00\a\x00\x00\x00\x00\x00\x00\x00\x02ab"`, "eof 0x2")
		r.command(0x17, join(id, []byte{0, 1, 0, 0, 0, 0, 0}, le64(8), []byte("\x01c"))...)
		r.columns("eof 0x2")
		r.want(`"\x00\x00\b\x00\x00\x00\x00\x00\x00\x00\x01c"`, "eof 0x2")
		r.command(0x17, join(id, []byte{0, 1, 0, 0, 0, 1, 0}, []byte("\x01d"))...) // the first is NULL
		r.columns("eof 0x2")
		r.want(`"\x00\x04\x01d"`, "eof 0x2")
	})
	t.Run("types have to be told once", func(t *testing.T) {
		r.TB = t
		other := r.prepare("SELECT ?")
		r.command(0x17, join(other, []byte{0, 1, 0, 0, 0, 0, 0}, le64(8))...)
		r.want("err 1210")
	})
	t.Run("long data comes in pieces and counts once", func(t *testing.T) {
		r.TB = t
		long := r.prepare("SELECT length(?)")
		r.command(0x18, join(long, []byte{0, 0}, []byte("abc"))...)
		r.command(0x18, join(long, []byte{0, 0}, []byte("defg"))...)
		r.command(0x17, join(long, []byte{0, 1, 0, 0, 0, 0, 1, 252, 0})...)
		r.columns("eof 0x2")
		r.want(`"\x00\x00\a\x00\x00\x00\x00\x00\x00\x00"`, "eof 0x2")
		r.command(0x17, join(long, []byte{0, 1, 0, 0, 0, 0, 1, 253, 0}, []byte("\x02xy"))...)
		r.columns("eof 0x2")
		r.want(`"\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"`, "eof 0x2")
		for range 3 {
			r.command(0x18, join(long, []byte{0, 0}, make([]byte, 500<<10))...)
		}
		r.command(0x17, join(long, []byte{0, 1, 0, 0, 0, 0, 1, 252, 0})...)
		r.want("err 1153")
		r.command(0x18, join(long, []byte{9, 0}, []byte("no such parameter"))...)
		r.command(0x1a, long...)
		r.want("ok 0 0 0x2")
	})
	t.Run("a cursor gives its rows as they are fetched", func(t *testing.T) {
		r.TB = t
		r.query("CREATE TABLE c (a INT)")
		r.want("ok 0 0 0x2")
		r.query("INSERT INTO c VALUES (1), (2), (3)")
		r.want("ok 3 0 0x2")
		cursor := r.prepare("SELECT a FROM c ORDER BY a")
		r.command(0x17, join(cursor, []byte{1, 1, 0, 0, 0})...)
		r.columns("eof 0x42")
		r.command(0x1c, join(cursor, le32(2))...)
		r.want(`"\x00\x00\x01\x00\x00\x00"`, `"\x00\x00\x02\x00\x00\x00"`, "eof 0x42")
		r.query("INSERT INTO c VALUES (4)") // the cursor doesn't see it
		r.want("ok 1 0 0x2")
		r.command(0x1c, join(cursor, le32(2))...)
		r.want(`"\x00\x00\x03\x00\x00\x00"`, "eof 0xc2")
		r.command(0x1c, join(cursor, le32(2))...)
		r.want("err 1421")
		r.command(0x17, join(cursor, []byte{1, 1, 0, 0, 0})...)
		r.columns("eof 0x42")
		r.command(0x1a, cursor...)
		r.want("ok 0 0 0x2")
		r.command(0x1c, join(cursor, le32(2))...)
		r.want("err 1421")
	})
	t.Run("a closed statement is gone", func(t *testing.T) {
		r.TB = t
		r.command(0x19, id...)
		r.command(0x17, join(id, []byte{0, 1, 0, 0, 0, 0, 1}, types, le64(7), []byte("\x02ab"))...)
		r.want("err 1243")
		r.command(0x1a, id...)
		r.want("err 1243")
	})
	t.Run("bad bytes are errors", func(t *testing.T) {
		r.TB = t
		st := r.prepare("SELECT ?")
		for _, body := range [][]byte{nil, st[:2], st, join(st, []byte{0}), join(st, []byte{0, 1, 0, 0, 0}), join(st, []byte{0, 1, 0, 0, 0, 0, 1}),
			join(st, []byte{0, 1, 0, 0, 0, 0, 1, 8, 0, 1, 2}), join(st, []byte{0, 1, 0, 0, 0, 0, 1, 253, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
			join(st, []byte{0, 1, 0, 0, 0, 0, 1, 99, 0, 1}), join(st, []byte{0, 1, 0, 0, 0, 0, 1, 12, 0, 200})} {
			r.command(0x17, body...)
			if got := r.short(); !strings.HasPrefix(got, "err ") {
				t.Errorf("%q: %s", body, got)
			}
		}
		r.command(0x1c, 1)
		r.want("err 1835")
	})
	t.Run("their number is bounded", func(t *testing.T) {
		r := k.raw(t, plain)
		for range 20 {
			r.prepare("DO 1")
		}
		r.command(0x16, []byte("DO 1")...)
		r.want("err 1461")
		r.command(0x1f) // reset
		r.want("ok 0 0 0x2")
		r.prepare("DO 1")
	})
}

func TestReset(t *testing.T) {
	k := start(t, mywire.Options{})
	r := k.raw(t, plain)
	r.query("SET @a = 5, sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
	r.want("ok 0 0 0x202")
	r.query("BEGIN")
	r.want("ok 0 0 0x203")
	r.command(0x1f)
	r.want("ok 0 0 0x2")
	r.query("SELECT @a")
	r.columns("eof 0x2")
	r.want(`"\xfb"`, "eof 0x2")

	t.Run("another user on the same connection", func(t *testing.T) {
		r.TB = t
		r.command(0x11, []byte("bob\x00\x00db\x00\x2d\x00mysql_native_password\x00")...)
		r.want("ok 0 0 0x2")
		r.query("SELECT user()")
		r.columns("eof 0x2")
		if p := r.packet(); !bytes.Contains(p, []byte("bob@")) {
			t.Errorf("%q", p)
		}
		r.want("eof 0x2")
	})
	t.Run("to a database that isn't there: the connection ends", func(t *testing.T) {
		r.TB = t
		r.command(0x11, []byte("bob\x00\x00nope\x00\x2d\x00mysql_native_password\x00")...)
		r.want("err 1049")
		if _, err := r.read(); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Run("too many connections", func(t *testing.T) {
		k := start(t, mywire.Options{MaxConns: 1})
		c := k.open()
		_, err := k.try()
		wantNumber(t, err, 1040)
		if n := one[int](t, c, "SELECT 1"); n != 1 {
			t.Error(n)
		}
	})
	t.Run("a silent client is sent away after its wait_timeout", func(t *testing.T) {
		k := start(t, mywire.Options{CheckInterval: 50 * time.Millisecond})
		r := k.raw(t, plain)
		r.query("SET wait_timeout = 1")
		r.want("ok 0 0 0x2")
		r.seq = 0
		r.want("err 4031")
	})
	t.Run("a client that never says who it is", func(t *testing.T) {
		k := start(t, mywire.Options{StartTimeout: 200 * time.Millisecond})
		r := k.dial(t)
		r.seq = 1
		r.want("err 1159")
	})
	t.Run("KILL QUERY interrupts a statement and KILL ends its session", func(t *testing.T) {
		k := start(t, mywire.Options{})
		victim, killer := k.open(), k.open()
		id := one[int64](t, victim, "SELECT connection_id()")
		const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
		for _, how := range []string{"KILL QUERY ", "KILL "} {
			got := make(chan error, 1)
			go func() {
				_, err := victim.ExecContext(context.Background(), endless)
				got <- err
			}()
			running(t, killer, "WITH%")
			if _, err := killer.ExecContext(context.Background(), how+itoa(id)); err != nil {
				t.Fatal(err)
			}
			err := <-got
			var e *mysql.MySQLError
			switch {
			case how == "KILL QUERY ":
				wantNumber(t, err, 1317)
			case err == nil || errors.As(err, &e) && e.Number != 1927 && e.Number != 1317:
				t.Errorf("got %v", err)
			}
		}
		if err := victim.PingContext(context.Background()); err == nil {
			t.Error("the connection lives")
		}
	})
	t.Run("what a vanished client had begun is undone", func(t *testing.T) {
		k := start(t, mywire.Options{})
		c := k.open()
		exec(t, c, "CREATE TABLE t (a INT)")
		r := k.raw(t, plain)
		r.query("BEGIN")
		r.want("ok 0 0 0x3")
		r.query("INSERT INTO t VALUES (1)")
		r.want("ok 1 0 0x3")
		r.Close()
		exec(t, c, "INSERT INTO t VALUES (2)") // waits for the writer's place
		if n := one[int](t, c, "SELECT sum(a) FROM t"); n != 2 {
			t.Errorf("sum %d", n)
		}
	})
	t.Run("a client that vanishes while its statement runs doesn't keep it running", func(t *testing.T) {
		k := start(t, mywire.Options{CheckInterval: 20 * time.Millisecond})
		c := k.open()
		exec(t, c, "CREATE TABLE t (a INT)")
		r := k.raw(t, plain)
		r.query("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0")
		running(t, c, "INSERT INTO t WITH%")
		r.Close()
		exec(t, c, "INSERT INTO t VALUES (2)")
	})
	t.Run("shutdown tells idle clients, and lets statements end", func(t *testing.T) {
		k := start(t, mywire.Options{})
		idle, busy := k.raw(t, plain), k.raw(t, plain)
		watch := k.open()
		one[int](t, watch, "SELECT get_lock('shutdown', 0)")
		busy.query("SELECT get_lock('shutdown', 60)") // comes when the end of watch's session frees it
		running(t, watch, "SELECT get_lock%")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := k.server.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		idle.seq = 0
		idle.want("err 1053")
		busy.columns("eof 0x2")
		busy.want(`"\x011"`, "eof 0x2")
		busy.seq = 0
		busy.want("err 1053")
		if err := <-k.done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		k.done <- nil
	})
	t.Run("a shutdown that can't wait interrupts", func(t *testing.T) {
		k := start(t, mywire.Options{})
		busy, watch := k.raw(t, plain), k.open()
		busy.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
		running(t, watch, "WITH%")
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := k.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// running waits until PROCESSLIST shows a statement that runs.
func running(t testing.TB, c *sql.Conn, like string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if one[int](t, c, "SELECT count(*) FROM information_schema.processlist WHERE info LIKE ?", like) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the statement doesn't show in PROCESSLIST")
		}
	}
}

func itoa(n int64) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func TestLoadData(t *testing.T) {
	k := start(t, mywire.Options{})
	c := k.open()
	exec(t, c, "CREATE TABLE t (id INT PRIMARY KEY, s VARCHAR(40), n DECIMAL(6,2))")
	load := func(file, rest string) (sql.Result, error) {
		mysql.RegisterReaderHandler(t.Name(), func() io.Reader { return strings.NewReader(file) })
		defer mysql.DeregisterReaderHandler(t.Name())
		return c.ExecContext(context.Background(), "LOAD DATA LOCAL INFILE 'Reader::"+t.Name()+"' "+rest)
	}
	rows := func(t *testing.T) string {
		t.Helper()
		var s sql.NullString
		s.String = one[string](t, c, "SELECT group_concat(concat_ws('|', id, ifnull(s, 'NULL'), ifnull(n, 'NULL')) ORDER BY id SEPARATOR ' / ') FROM t")
		return s.String
	}
	t.Run("tabs and escapes by default", func(t *testing.T) {
		r, err := load("1\ta\\tb\t1.5\n2\t\\N\t\\N\n3\tback\\\\slash\t-2\n", "INTO TABLE t")
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := r.RowsAffected(); n != 3 {
			t.Errorf("%d rows", n)
		}
		if got := rows(t); got != "1|a\tb|1.50 / 2|NULL|NULL / 3|back\\slash|-2.00" {
			t.Error(got)
		}
	})
	t.Run("quotes, a head to skip, chosen columns", func(t *testing.T) {
		exec(t, c, "DELETE FROM t")
		if _, err := load("s,id\r\n\"x, \"\"y\"\"\",1\r\nNULL,2\r\n\"NULL\",3", "INTO TABLE t FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\r\n' IGNORE 1 LINES (s, id)"); err != nil {
			t.Fatal(err)
		}
		if got := rows(t); got != `1|x, "y"|NULL / 2|NULL|NULL / 3|NULL|NULL` {
			t.Error(got)
		}
		if got := one[int](t, c, "SELECT count(*) FROM t WHERE s IS NULL"); got != 1 {
			t.Errorf("%d NULLs, where one NULL was in quotes", got)
		}
	})
	t.Run("rows that are there already are left or replaced", func(t *testing.T) {
		r, err := load("1\tnew\t1\n9\tnine\t9\n", "INTO TABLE t")
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := r.RowsAffected(); n != 1 {
			t.Errorf("%d rows", n)
		}
		if _, err := load("1\tnew\t1\n", "REPLACE INTO TABLE t"); err != nil {
			t.Fatal(err)
		}
		if got := one[string](t, c, "SELECT s FROM t WHERE id = 1"); got != "new" {
			t.Error(got)
		}
	})
	t.Run("many packets", func(t *testing.T) {
		exec(t, c, "DELETE FROM t")
		var b strings.Builder
		for i := range 20_000 {
			b.WriteString(itoa(int64(i)+1) + "\tsome text of a row\t1.25\n")
		}
		if _, err := load(b.String(), "INTO TABLE t"); err != nil {
			t.Fatal(err)
		}
		if n := one[int](t, c, "SELECT count(*) FROM t"); n != 20_000 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("an error in the file leaves the connection usable and nothing stored", func(t *testing.T) {
		exec(t, c, "DELETE FROM t")
		_, err := load("1\tok\t1\n2\t\xff\xfe\t1\n", "INTO TABLE t")
		wantNumber(t, err, 1300)
		if n := one[int](t, c, "SELECT count(*) FROM t"); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("a client that doesn't send files", func(t *testing.T) {
		r := k.raw(t, plain)
		r.query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t")
		r.want("err 3948")
		r.query("DO 1")
		r.want("ok 0 0 0x2")
	})
}
