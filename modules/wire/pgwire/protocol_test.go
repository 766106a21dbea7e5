package pgwire_test

import (
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bop-platform/bop/modules/wire/pgwire"
)

func query(sql string) *pgproto3.Query { return &pgproto3.Query{String: sql} }

func TestSimpleQuery(t *testing.T) {
	k := start(t, pgwire.Options{})
	r := k.raw()
	r.send(query("CREATE TABLE t (id int PRIMARY KEY, v text)"))
	r.want("C(CREATE TABLE)", "ZI")

	t.Run("several statements each have their answer", func(t *testing.T) {
		r.send(query("INSERT INTO t VALUES (1, 'a'), (2, NULL); SELECT * FROM t ORDER BY id; SELECT 1 WHERE false"))
		r.want("C(INSERT 0 2)", "T(id 23 0)(v 25 0)", "D(1)(a)", "D(2)(NULL)", "C(SELECT 2)", "T(?column? 23 0)", "C(SELECT 0)", "ZI")
	})
	t.Run("the first error ends the text and undoes it", func(t *testing.T) {
		r.send(query("INSERT INTO t VALUES (3, 'c'); INSERT INTO t VALUES (1, 'x'); INSERT INTO t VALUES (4, 'd')"))
		r.want("C(INSERT 0 1)", "E(ERROR 23505)", "ZI")
		r.send(query("SELECT count(*) FROM t"))
		r.want("T(count 20 0)", "D(2)", "C(SELECT 1)", "ZI")
	})
	t.Run("nothing is an empty query", func(t *testing.T) {
		for _, text := range []string{"", " ", ";", "-- only a comment"} {
			r.send(query(text))
			r.want("I", "ZI")
		}
	})
	t.Run("the status tells of blocks and failed blocks", func(t *testing.T) {
		r.send(query("BEGIN"))
		r.want("C(BEGIN)", "ZT")
		r.send(query("SELECT nothing"))
		r.want("E(ERROR 42703)", "ZE")
		r.send(query("SELECT 1"))
		r.want("E(ERROR 25P02)", "ZE")
		r.send(query("COMMIT"))
		r.want("C(ROLLBACK)", "ZI")
		r.send(query("COMMIT"))
		r.want("N(WARNING 25P01)", "C(COMMIT)", "ZI")
	})
	t.Run("changed settings are reported", func(t *testing.T) {
		r.send(query("SET application_name = 'x'"))
		r.want("S", "C(SET)", "ZI")
	})
	t.Run("text has to be UTF-8", func(t *testing.T) {
		r.send(query("SELECT '\xff'"))
		r.want("E(ERROR 22021)", "ZI")
	})
	t.Run("a syntax error has a position", func(t *testing.T) {
		r.send(query("SELECT 1 FRUM t"))
		m, err := r.Receive()
		if e, ok := m.(*pgproto3.ErrorResponse); err != nil || !ok || e.Code != "42601" || e.Position != 15 {
			t.Fatal(m, err)
		}
		r.want("ZI")
	})
}

func TestExtendedQuery(t *testing.T) {
	k := start(t, pgwire.Options{})
	r := k.raw()
	r.send(query("CREATE TABLE t (id int PRIMARY KEY, v text)"), query("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"))
	r.want("C(CREATE TABLE)", "ZI", "C(INSERT 0 3)", "ZI")
	sync := &pgproto3.Sync{}

	t.Run("a statement is described before it runs", func(t *testing.T) {
		r.send(&pgproto3.Parse{Name: "s", Query: "SELECT v, id FROM t WHERE id >= $1 ORDER BY id"}, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, sync)
		r.want("1", "t[23]", "T(v 25 0)(id 23 0)", "ZI")
		r.send(&pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("2")}, ResultFormatCodes: []int16{0, 1}},
			&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, sync)
		r.want("2", "T(v 25 0)(id 23 1)", "D(b)(\x00\x00\x00\x02)", "D(c)(\x00\x00\x00\x03)", "C(SELECT 2)", "ZI")
	})
	t.Run("what changes data has no rows to describe", func(t *testing.T) {
		r.send(&pgproto3.Parse{Query: "UPDATE t SET v = v WHERE id = $1"}, &pgproto3.Describe{ObjectType: 'S'}, sync)
		r.want("1", "t[23]", "n", "ZI")
	})
	t.Run("parameters may be binary", func(t *testing.T) {
		r.send(&pgproto3.Bind{PreparedStatement: "s", ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{0, 0, 0, 3}}}, &pgproto3.Execute{}, sync)
		r.want("2", "D(c)(3)", "C(SELECT 1)", "ZI")
	})
	t.Run("an error skips everything up to Sync", func(t *testing.T) {
		r.send(&pgproto3.Parse{Query: "SELECT nothing"}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync)
		r.want("E(ERROR 42703)", "ZI")
	})
	t.Run("an unknown statement or portal is an error like others", func(t *testing.T) {
		r.send(&pgproto3.Bind{PreparedStatement: "none"}, sync)
		r.want("E(ERROR 26000)", "ZI")
		r.send(&pgproto3.Describe{ObjectType: 'S', Name: "none"}, sync)
		r.want("E(ERROR 26000)", "ZI")
		r.send(&pgproto3.Execute{Portal: "none"}, sync)
		r.want("E(ERROR 34000)", "ZI")
		r.send(&pgproto3.Close{ObjectType: 'S', Name: "none"}, sync)
		r.want("3", "ZI")
	})
	t.Run("the number of parameters has to be right", func(t *testing.T) {
		r.send(&pgproto3.Bind{PreparedStatement: "s"}, sync)
		r.want("E(ERROR 08P01)", "ZI")
	})
	t.Run("a name can't be used twice", func(t *testing.T) {
		r.send(&pgproto3.Parse{Name: "s", Query: "SELECT 1"}, sync)
		r.want("E(ERROR 42P05)", "ZI")
	})
	t.Run("a value that doesn't fit its type is an error of the value", func(t *testing.T) {
		r.send(&pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("two")}}, sync)
		r.want("E(ERROR 22P02)", "ZI")
		r.send(&pgproto3.Bind{PreparedStatement: "s", ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{1}}}, sync)
		r.want("E(ERROR 22P03)", "ZI")
	})
	t.Run("a portal is suspended and goes on", func(t *testing.T) {
		r.send(query("BEGIN"))
		r.want("C(BEGIN)", "ZT")
		r.send(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", Parameters: [][]byte{[]byte("1")}}, &pgproto3.Execute{Portal: "p", MaxRows: 2}, sync)
		r.want("2", "D(a)(1)", "D(b)(2)", "s", "ZT")
		r.send(query("SELECT 42"))
		r.want("T(?column? 23 0)", "D(42)", "C(SELECT 1)", "ZT")
		r.send(&pgproto3.Execute{Portal: "p", MaxRows: 2}, sync)
		r.want("D(c)(3)", "C(SELECT 1)", "ZT")
		r.send(&pgproto3.Execute{Portal: "p", MaxRows: 2}, sync)
		r.want("C(SELECT 0)", "ZT")
		r.send(query("COMMIT"))
		r.want("C(COMMIT)", "ZI")
		r.send(&pgproto3.Execute{Portal: "p"}, sync)
		r.want("E(ERROR 34000)", "ZI")
	})
	t.Run("a portal of a transaction that has written goes on after other statements", func(t *testing.T) {
		r.send(query("BEGIN; UPDATE t SET v = v"))
		r.until("Z")
		r.send(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", Parameters: [][]byte{[]byte("1")}}, &pgproto3.Execute{Portal: "p", MaxRows: 1}, sync)
		r.want("2", "D(a)(1)", "s", "ZT")
		r.send(query("SELECT 42"))
		r.want("T(?column? 23 0)", "D(42)", "C(SELECT 1)", "ZT")
		r.send(&pgproto3.Execute{Portal: "p", MaxRows: 1}, sync)
		r.want("D(b)(2)", "s", "ZT")
		r.send(query("INSERT INTO t VALUES (99, 'z')"))
		r.want("C(INSERT 0 1)", "ZT")
		r.send(&pgproto3.Execute{Portal: "p"}, sync)
		if got := r.until("Z"); got[0] != "D(c)(3)" {
			t.Fatal(got)
		}
		r.send(query("ROLLBACK"))
		r.want("C(ROLLBACK)", "ZI")
	})
	t.Run("a suspended portal ends with its transaction", func(t *testing.T) {
		r.send(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", Parameters: [][]byte{[]byte("1")}}, &pgproto3.Execute{Portal: "p", MaxRows: 1}, sync)
		r.want("2", "D(a)(1)", "s", "ZI")
		r.send(&pgproto3.Execute{Portal: "p"}, sync)
		r.want("E(ERROR 34000)", "ZI")
	})
	t.Run("statements between two Syncs are one transaction", func(t *testing.T) {
		insert := func(id string) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "INSERT INTO t VALUES ($1, 'x')"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(id)}}, &pgproto3.Execute{}}
		}
		r.send(append(append(insert("10"), insert("1")...), sync)...)
		r.want("1", "2", "C(INSERT 0 1)", "1", "2", "E(ERROR 23505)", "ZI")
		r.send(query("SELECT count(*) FROM t WHERE id = 10"))
		r.want("T(count 20 0)", "D(0)", "C(SELECT 1)", "ZI")
		r.send(append(append(insert("10"), insert("11")...), sync)...)
		r.want("1", "2", "C(INSERT 0 1)", "1", "2", "C(INSERT 0 1)", "ZI")
		r.send(query("SELECT count(*) FROM t WHERE id >= 10"))
		r.want("T(count 20 0)", "D(2)", "C(SELECT 1)", "ZI")
	})
	t.Run("Flush brings answers without Sync", func(t *testing.T) {
		r.send(&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Flush{})
		r.want("1")
		r.send(&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{})
		r.want("2", "D(1)", "C(SELECT 1)")
		r.send(sync)
		r.want("ZI")
	})
	t.Run("an empty statement can be prepared", func(t *testing.T) {
		r.send(&pgproto3.Parse{}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync)
		r.want("1", "t[]", "n", "2", "I", "ZI")
	})
	t.Run("only one statement can be prepared at once", func(t *testing.T) {
		r.send(&pgproto3.Parse{Query: "SELECT 1; SELECT 2"}, sync)
		r.want("E(ERROR 42601)", "ZI")
	})
	t.Run("the function call message is refused", func(t *testing.T) {
		r.send(&pgproto3.FunctionCall{Function: 1})
		r.want("E(ERROR 0A000)", "ZI")
	})
	t.Run("SQL knows the statements of the protocol, and the other way round", func(t *testing.T) {
		r.send(&pgproto3.Parse{Name: "shared", Query: "SELECT v FROM t WHERE id = $1"}, sync)
		r.want("1", "ZI")
		r.send(query("EXECUTE shared(2)"))
		r.want("T(v 25 0)", "D(b)", "C(SELECT 1)", "ZI")
		r.send(query("DEALLOCATE shared; PREPARE other AS SELECT 7"))
		r.want("C(DEALLOCATE)", "C(PREPARE)", "ZI")
		r.send(&pgproto3.Bind{PreparedStatement: "shared", Parameters: [][]byte{[]byte("1")}}, sync)
		r.want("E(ERROR 26000)", "ZI")
		r.send(&pgproto3.Bind{PreparedStatement: "other"}, &pgproto3.Execute{}, sync)
		r.want("2", "D(7)", "C(SELECT 1)", "ZI")
	})
	t.Run("the schema may change under a prepared statement", func(t *testing.T) {
		r.send(&pgproto3.Parse{Name: "all", Query: "SELECT * FROM t WHERE id = 1"}, sync)
		r.want("1", "ZI")
		r.send(query("CREATE INDEX i ON t (v)"))
		r.want("C(CREATE INDEX)", "ZI")
		r.send(&pgproto3.Bind{PreparedStatement: "all"}, &pgproto3.Execute{}, sync)
		r.want("2", "D(1)(a)", "C(SELECT 1)", "ZI")
		r.send(query("ALTER TABLE t ADD COLUMN w int"))
		r.want("C(ALTER TABLE)", "ZI")
		r.send(&pgproto3.Bind{PreparedStatement: "all"}, &pgproto3.Execute{}, sync)
		r.want("2", "E(ERROR 0A000)", "ZI")
	})
}

func TestBadInput(t *testing.T) {
	k := start(t, pgwire.Options{MaxStatement: 1 << 20, MaxMessage: 2 << 20, MessageTimeout: 50 * time.Millisecond})

	t.Run("a statement that is too long is refused and the session lives on", func(t *testing.T) {
		r := k.raw()
		r.send(query("SELECT '" + strings.Repeat("x", 1<<20) + "'"))
		r.want("E(ERROR 54000)", "ZI")
		r.send(&pgproto3.Parse{Query: "SELECT '" + strings.Repeat("x", 1<<20) + "'"}, &pgproto3.Bind{}, &pgproto3.Sync{})
		r.want("E(ERROR 54000)", "ZI")
		r.send(&pgproto3.Parse{Query: "SELECT length($1::text)"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(strings.Repeat("x", 2<<20))}}, &pgproto3.Sync{})
		r.want("1", "E(ERROR 54000)", "ZI")
		r.send(query("SELECT 1"))
		r.want("T(?column? 23 0)", "D(1)", "C(SELECT 1)", "ZI")
	})
	t.Run("a statement of allowed length works", func(t *testing.T) {
		r := k.raw()
		r.send(query("SELECT length('" + strings.Repeat("x", 900_000) + "')"))
		r.want("T(length 23 0)", "D(900000)", "C(SELECT 1)", "ZI")
	})
	t.Run("a message that stops half-way ends the connection", func(t *testing.T) {
		r := k.raw()
		r.Write([]byte{'Q', 0, 0, 0, 100, 'S', 'E', 'L'})
		r.want("E(FATAL 08P01)", "end(unexpected EOF)")
	})
	t.Run("lengths and kinds that make no sense end the connection", func(t *testing.T) {
		for _, bytes := range [][]byte{{'Q', 0, 0, 0, 3}, {'Q', 0xff, 0xff, 0xff, 0xff}, {'!', 0, 0, 0, 4}, {'Q', 0x7f, 0xff, 0xff, 0xff}} {
			r := k.raw()
			r.Write(bytes)
			r.want("E(FATAL 08P01)", "end(unexpected EOF)")
		}
	})
	t.Run("bodies that are shorter than they say are errors", func(t *testing.T) {
		for _, c := range []struct {
			kind byte
			body string
		}{{'P', "s\x00SELECT 1"}, {'P', "s\x00SELECT 1\x00\xff\xff"}, {'B', "\x00\x00\x00\x01"}, {'B', "\x00\x00\xff\xff\x00"}, {'D', "X\x00"}, {'D', ""},
			{'E', "\x00\x00"}, {'C', "S"}, {'C', "Sname"}} {
			r := k.raw()
			r.send(&pgproto3.Parse{Query: "SELECT 1"})
			head := binary.BigEndian.AppendUint32([]byte{c.kind}, uint32(len(c.body)+4))
			r.Write(append(head, c.body...))
			r.send(&pgproto3.Sync{})
			r.want("1", "E(ERROR 08P01)", "ZI")
		}
	})
	t.Run("a client that says nothing is let go", func(t *testing.T) {
		k := start(t, pgwire.Options{StartTimeout: 30 * time.Millisecond})
		r := k.dial()
		r.want("E(FATAL 08P01)", "end(unexpected EOF)")
	})
	t.Run("what is no client of this protocol is let go", func(t *testing.T) {
		for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x16\x03\x01\x00\x00"} {
			r := k.dial()
			r.Write([]byte(text))
			if n, err := io.Copy(io.Discard, r.Conn); n > 0 {
				t.Errorf("%q: %d bytes, %v", text, n, err)
			}
		}
	})
}

func TestStartup(t *testing.T) {
	k := start(t, pgwire.Options{})
	hello := func(version uint32, params ...string) []byte {
		b := binary.BigEndian.AppendUint32(make([]byte, 4), version)
		for _, p := range params {
			b = append(append(b, p...), 0)
		}
		b = append(b, 0)
		binary.BigEndian.PutUint32(b, uint32(len(b)))
		return b
	}
	t.Run("3.2 is spoken", func(t *testing.T) {
		r := k.dial()
		r.Write(hello(3<<16|2, "user", "ada", "database", "db"))
		if got := r.until("Z"); got[0] != "R" {
			t.Fatal(got)
		}
	})
	t.Run("later versions and unknown extensions are negotiated", func(t *testing.T) {
		r := k.dial()
		r.Write(hello(3<<16|9999, "user", "ada", "database", "db", "_pq_.grease", "1"))
		r.want("v(3.2 [_pq_.grease])", "R")
		r.until("Z")
	})
	t.Run("other protocols are refused", func(t *testing.T) {
		r := k.dial()
		r.Write(hello(2<<16, "user", "ada"))
		r.want("E(FATAL 0A000)", "end(unexpected EOF)")
	})
	t.Run("an unknown database is refused", func(t *testing.T) {
		r := k.dial()
		r.Write(hello(3<<16, "user", "ada", "database", "none"))
		r.want("R", "E(FATAL 3D000)", "end(unexpected EOF)")
	})
	t.Run("a user is needed", func(t *testing.T) {
		r := k.dial()
		r.Write(hello(3<<16, "database", "db"))
		r.want("E(FATAL 28000)", "end(unexpected EOF)")
	})
	t.Run("settings come with the connection", func(t *testing.T) {
		c := k.connect("&application_name=tester&options=-c%20statement_timeout%3D1234%20--search-path%3Da%5C%20b")
		if got := one[string](t, c, "SHOW statement_timeout"); !strings.HasPrefix(got, "1234") {
			t.Error(got)
		}
		if got := one[string](t, c, "SHOW search_path"); got != "a b" {
			t.Errorf("%q", got)
		}
		if got := one[string](t, c, "SHOW application_name"); got != "tester" {
			t.Errorf("%q", got)
		}
	})
	t.Run("clients are told what drivers ask for", func(t *testing.T) {
		c := k.connect("")
		for _, name := range []string{"server_version", "server_encoding", "client_encoding", "standard_conforming_strings", "integer_datetimes",
			"TimeZone", "DateStyle", "IntervalStyle", "is_superuser", "session_authorization", "application_name"} {
			if name != "application_name" && c.PgConn().ParameterStatus(name) == "" {
				t.Error(name, "is missing")
			}
		}
	})
	t.Run("encryption is declined when there is none", func(t *testing.T) {
		r := k.dial()
		for _, m := range []pgproto3.FrontendMessage{&pgproto3.SSLRequest{}, &pgproto3.GSSEncRequest{}} {
			r.send(m)
			var b [1]byte
			if _, err := io.ReadFull(r.Conn, b[:]); err != nil || b[0] != 'N' {
				t.Fatal(b, err)
			}
		}
		r.Write(hello(3<<16, "user", "ada", "database", "db"))
		r.until("Z")
	})
	t.Run("too many connections are refused", func(t *testing.T) {
		k := start(t, pgwire.Options{MaxConns: 1})
		first := k.raw()
		r := k.dial()
		r.Write(hello(3<<16, "user", "ada", "database", "db"))
		r.want("E(FATAL 53300)", "end(unexpected EOF)")
		first.send(&pgproto3.Terminate{})
		first.want("end(unexpected EOF)")
	})
}

func TestCancel(t *testing.T) {
	k := start(t, pgwire.Options{})
	c := k.connect("")
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	t.Run("a running statement is interrupted, the session lives on", func(t *testing.T) {
		failed := make(chan error)
		go func() {
			_, err := c.Exec(context.Background(), endless)
			failed <- err
		}()
		for {
			if err := c.PgConn().CancelRequest(context.Background()); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-failed:
				wantState(t, err, "57014")
				if got := one[int](t, c, "SELECT 1"); got != 1 {
					t.Fatal(got)
				}
				return
			case <-time.After(10 * time.Millisecond): // it may not have begun yet
			}
		}
	})
	t.Run("a wrong key does nothing", func(t *testing.T) {
		k.sessions.Cancel(c.PgConn().PID(), 1)
		if got := one[int](t, c, "SELECT 1"); got != 1 {
			t.Fatal(got)
		}
	})
	t.Run("statement_timeout interrupts", func(t *testing.T) {
		exec(t, c, "SET statement_timeout = 20")
		_, err := c.Exec(context.Background(), endless)
		wantState(t, err, "57014")
		exec(t, c, "SET statement_timeout = 0")
	})
	t.Run("a vanished client's statement ends", func(t *testing.T) {
		k := start(t, pgwire.Options{CheckInterval: 5 * time.Millisecond})
		r := k.raw()
		r.send(query(endless))
		r.Close()
		// Shutdown, at the end of the test, waits for statements: it would give up after ten seconds.
	})
}

func TestShutdown(t *testing.T) {
	t.Run("idle clients are told and let go", func(t *testing.T) {
		k := start(t, pgwire.Options{})
		r := k.raw()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := k.server.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		r.want("E(FATAL 57P01)", "end(unexpected EOF)")
		if err := <-k.done; err != pgwire.ErrShutdown {
			t.Fatal(err)
		}
	})
	t.Run("statements that don't end in time are interrupted", func(t *testing.T) {
		k := start(t, pgwire.Options{})
		r := k.raw()
		watch := k.connect("")
		r.send(query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"))
		for one[int](t, watch, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'WITH RECURSIVE%'") == 0 {
			time.Sleep(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := k.server.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
	})
}

func TestNotifications(t *testing.T) {
	k := start(t, pgwire.Options{})
	r, other := k.raw(), k.raw()
	r.send(query("LISTEN news"))
	r.want("C(LISTEN)", "ZI")
	t.Run("they reach an idle client", func(t *testing.T) {
		other.send(query("NOTIFY news, 'one'"))
		other.want("C(NOTIFY)", "ZI")
		r.want("A(news one)")
	})
	t.Run("they wait for the end of the listener's transaction", func(t *testing.T) {
		r.send(query("BEGIN"))
		r.want("C(BEGIN)", "ZT")
		other.send(query("NOTIFY news, 'two'"))
		other.want("C(NOTIFY)", "ZI")
		r.send(query("SELECT 1"))
		r.want("T(?column? 23 0)", "D(1)", "C(SELECT 1)", "ZT")
		r.send(query("COMMIT"))
		r.want("C(COMMIT)", "ZI", "A(news two)")
	})
	t.Run("they are sent when the sender commits", func(t *testing.T) {
		other.send(query("BEGIN; NOTIFY news, 'three'; ROLLBACK; BEGIN; NOTIFY news, 'four'; COMMIT"))
		other.until("Z")
		r.want("A(news four)")
	})
}
