package pgwire_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/lib/pq"

	"github.com/bop-platform/bop/modules/wire/pgwire"
)

// everyday is a table of everyday types.
const everyday = `CREATE TABLE everyday (
	id bigint PRIMARY KEY, b boolean, i2 smallint, i4 integer, f4 real, f8 double precision, n numeric(20,4), t text, vc varchar(20),
	by bytea, d date, ts timestamp, tz timestamptz, j jsonb, u uuid, a integer[], ta text[])`

func TestPGX(t *testing.T) {
	ctx := context.Background()
	k := start(t, pgwire.Options{})

	t.Run("values of everyday types come back as they went, in binary and in text", func(t *testing.T) {
		exec(t, k.connect(""), everyday)
		moment := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
		want := []any{true, int16(-2), int32(1 << 30), float32(1.5), 1e300, pgtype.Numeric{Int: big.NewInt(123456789), Exp: -4, Valid: true},
			"naïve ☃", "short", []byte{0, 1, 0xff}, time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), moment, moment,
			`{"a": [1, null, "x"]}`, pgtype.UUID{Bytes: [16]byte{1, 2, 3}, Valid: true}, []int32{1, -2, 3}, []string{"a", `"b,`, ""}}
		for id, mode := range []string{"cache_statement", "describe_exec", "exec", "simple_protocol", "cache_describe"} {
			c := k.connect("&default_query_exec_mode=" + mode)
			args := append([]any{int64(id)}, want...)
			exec(t, c, `INSERT INTO everyday VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17)`, args...)
			row := c.QueryRow(ctx, "SELECT * FROM everyday WHERE id = $1", id)
			got := make([]any, len(want)+1)
			to := make([]any, len(got))
			to[0] = new(int64)
			for i, w := range want {
				to[i+1] = reflect.New(reflect.TypeOf(w)).Interface()
			}
			if err := row.Scan(to...); err != nil {
				t.Fatalf("%s: %v", mode, err)
			}
			for i, w := range want {
				g := reflect.ValueOf(to[i+1]).Elem().Interface()
				if gt, ok := g.(time.Time); ok {
					if !gt.Equal(w.(time.Time)) {
						t.Errorf("%s: %v, want %v", mode, g, w)
					}
				} else if !reflect.DeepEqual(g, w) {
					t.Errorf("%s: %#v, want %#v", mode, g, w)
				}
			}
		}
	})
	t.Run("NULL is NULL everywhere", func(t *testing.T) {
		c := k.connect("")
		exec(t, c, "INSERT INTO everyday (id) VALUES (100)")
		rows, err := c.Query(ctx, "SELECT * FROM everyday WHERE id = 100")
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got[1:] {
			if v != nil {
				t.Errorf("column %d: %v", i+1, v)
			}
		}
	})
	t.Run("a batch is one transaction and one round trip", func(t *testing.T) {
		c := k.connect("")
		exec(t, c, "CREATE TABLE batch (id int PRIMARY KEY)")
		var b pgx.Batch
		for i := range 20 {
			b.Queue("INSERT INTO batch VALUES ($1)", i)
		}
		b.Queue("SELECT count(*) FROM batch").QueryRow(func(r pgx.Row) error {
			var n int
			if err := r.Scan(&n); err != nil || n != 20 {
				return fmt.Errorf("%d rows: %w", n, err)
			}
			return nil
		})
		if err := c.SendBatch(ctx, &b).Close(); err != nil {
			t.Fatal(err)
		}
		b = pgx.Batch{}
		b.Queue("INSERT INTO batch VALUES (100)")
		b.Queue("INSERT INTO batch VALUES (1)")
		wantState(t, c.SendBatch(ctx, &b).Close(), "23505")
		if n := one[int](t, c, "SELECT count(*) FROM batch"); n != 20 {
			t.Fatal(n)
		}
	})
	t.Run("CopyFrom stores rows, all or none", func(t *testing.T) {
		c := k.connect("")
		exec(t, c, "CREATE TABLE copied (id int PRIMARY KEY, v text, at timestamptz, n numeric)")
		at := time.Now().Truncate(time.Microsecond)
		source := func(n int) pgx.CopyFromSource {
			return pgx.CopyFromSlice(n, func(i int) ([]any, error) {
				return []any{i, fmt.Sprintf("row\t%d", i), at, pgtype.Numeric{Int: big.NewInt(int64(i)), Exp: -1, Valid: true}}, nil
			})
		}
		columns := []string{"id", "v", "at", "n"}
		if n, err := c.CopyFrom(ctx, pgx.Identifier{"copied"}, columns, source(5000)); err != nil || n != 5000 {
			t.Fatal(n, err)
		}
		if got := one[string](t, c, "SELECT v || ' ' || n FROM copied WHERE id = 4999"); got != "row\t4999 499.9" {
			t.Fatalf("%q", got)
		}
		_, err := c.CopyFrom(ctx, pgx.Identifier{"copied"}, columns, source(6000))
		if e := wantState(t, err, "23505"); e.TableName != "copied" || e.Where != "COPY copied, line 1" {
			t.Fatalf("%+v", e)
		}
		if n := one[int](t, c, "SELECT count(*) FROM copied"); n != 5000 {
			t.Fatal(n)
		}
	})
	t.Run("COPY moves text, CSV and binary data in both directions", func(t *testing.T) {
		c := k.connect("")
		exec(t, c, "CREATE TABLE moved (id int, v text, d date)")
		data := map[string]string{
			"":                                "1\ta\\tb\t2024-02-29\n2\t\\N\t\\N\n",
			"(FORMAT csv, HEADER true)":       "id,v,d\n1,a\tb,2024-02-29\n2,,\n",
			"(FORMAT csv, NULL '-')":          "1,a\tb,2024-02-29\n2,-,-\n",
			"(DELIMITER '|', NULL 'nothing')": "1|a\\tb|2024-02-29\n2|nothing|nothing\n",
		}
		for with, text := range data {
			exec(t, c, "TRUNCATE moved")
			if tag, err := c.PgConn().CopyFrom(ctx, strings.NewReader(text), "COPY moved FROM STDIN "+with); err != nil || tag.String() != "COPY 2" {
				t.Fatal(with, tag, err)
			}
			var out bytes.Buffer
			if tag, err := c.PgConn().CopyTo(ctx, &out, "COPY moved TO STDOUT "+with); err != nil || tag.String() != "COPY 2" || out.String() != text {
				t.Fatalf("%s: %v %v\n%q", with, tag, err, out.String())
			}
		}
		var binary, text bytes.Buffer
		if _, err := c.PgConn().CopyTo(ctx, &binary, "COPY moved TO STDOUT (FORMAT binary)"); err != nil {
			t.Fatal(err)
		}
		exec(t, c, "TRUNCATE moved")
		if _, err := c.PgConn().CopyFrom(ctx, &binary, "COPY moved FROM STDIN BINARY"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PgConn().CopyTo(ctx, &text, "COPY (SELECT v, id FROM moved ORDER BY id) TO STDOUT"); err != nil || text.String() != "a\\tb\t1\n\\N\t2\n" {
			t.Fatalf("%q %v", text.String(), err)
		}
	})
	t.Run("an error of COPY data tells where it is, and the session lives on", func(t *testing.T) {
		c := k.connect("")
		exec(t, c, "TRUNCATE moved")
		_, err := c.PgConn().CopyFrom(ctx, strings.NewReader("1\ta\t2024-01-01\nx\tb\t2024-01-01\n"), "COPY moved FROM STDIN")
		if e := wantState(t, err, "22P02"); e.Where != `COPY moved, line 2, column id: "x"` {
			t.Fatalf("%+v", e)
		}
		_, err = c.PgConn().CopyFrom(ctx, strings.NewReader("1\ta\n"), "COPY moved FROM STDIN")
		wantState(t, err, "22P04")
		_, err = c.PgConn().CopyFrom(ctx, io.MultiReader(strings.NewReader("1\ta\t2024-01-01\n"), errReader{}), "COPY moved FROM STDIN")
		if err == nil {
			t.Fatal("the client's error was forgotten")
		}
		if n := one[int](t, c, "SELECT count(*) FROM moved"); n != 0 {
			t.Fatal(n)
		}
	})
	t.Run("notifications arrive", func(t *testing.T) {
		c, other := k.connect(""), k.connect("")
		exec(t, c, "LISTEN news")
		exec(t, other, "SELECT pg_notify('news', 'hello')")
		n, err := c.WaitForNotification(ctx)
		if err != nil || n.Channel != "news" || n.Payload != "hello" || n.PID != other.PgConn().PID() {
			t.Fatal(n, err)
		}
	})
	t.Run("cursors go through large results", func(t *testing.T) {
		c := k.connect("")
		tx, err := c.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(ctx)
		exec(t, c, "DECLARE big CURSOR FOR SELECT id FROM copied ORDER BY id")
		total := 0
		for {
			tag := exec(t, c, "FETCH FORWARD 700 FROM big")
			total += int(tag.RowsAffected())
			if tag.RowsAffected() < 700 {
				break
			}
		}
		if total != 5000 {
			t.Fatal(total)
		}
	})
	t.Run("many rows stream", func(t *testing.T) {
		c := k.connect("")
		rows, err := c.Query(ctx, "SELECT i, 'some text to make it longer ' || i FROM generate_series(1, 20000) AS i")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if rows.Err() != nil || n != 20000 {
			t.Fatal(n, rows.Err())
		}
	})
	t.Run("a result that isn't read to its end can be left", func(t *testing.T) {
		c := k.connect("")
		rows, err := c.Query(ctx, "SELECT * FROM copied")
		if err != nil {
			t.Fatal(err)
		}
		rows.Next()
		rows.Close()
		if got := one[int](t, c, "SELECT 7"); got != 7 {
			t.Fatal(got)
		}
	})
	t.Run("the end of a context ends its statement", func(t *testing.T) {
		c := k.connect("")
		short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		_, err := c.Exec(short, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
		if err == nil {
			t.Fatal("an endless statement ended")
		}
		<-c.PgConn().CleanupDone() // it asks the server to cancel, and waits for the answer
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("no more data") }

func TestLibPQ(t *testing.T) {
	k := start(t, pgwire.Options{})
	for _, binary := range []string{"no", "yes"} {
		t.Run("statements, transactions and errors, with binary parameters: "+binary, func(t *testing.T) {
			db, err := sql.Open("postgres", k.url("&binary_parameters="+binary))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			name := "lib" + binary
			must := func(_ any, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(db.Exec("CREATE TABLE " + name + " (id serial PRIMARY KEY, name text NOT NULL UNIQUE, at timestamptz, data bytea)"))
			var id int
			at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
			must(nil, db.QueryRow("INSERT INTO "+name+" (name, at, data) VALUES ($1, $2, $3) RETURNING id", "a", at, []byte{0, 1, 2}).Scan(&id))
			stmt, err := db.Prepare("SELECT name, at, data FROM " + name + " WHERE id = $1")
			must(nil, err)
			defer stmt.Close()
			for range 3 {
				var got string
				var when time.Time
				var data []byte
				must(nil, stmt.QueryRow(id).Scan(&got, &when, &data))
				if got != "a" || !when.Equal(at) || !bytes.Equal(data, []byte{0, 1, 2}) {
					t.Fatal(got, when, data)
				}
			}
			tx, err := db.Begin()
			must(nil, err)
			must(tx.Exec("INSERT INTO " + name + " (name) VALUES ('b')"))
			_, err = tx.Exec("INSERT INTO "+name+" (name) VALUES ($1)", "a")
			var e *pq.Error
			if !errors.As(err, &e) || e.Code != "23505" || e.Table != name {
				t.Fatalf("%+v", err)
			}
			must(nil, tx.Rollback())
			var n int
			must(nil, db.QueryRow("SELECT count(*) FROM "+name).Scan(&n))
			if n != 1 {
				t.Fatal(n)
			}
			tx, err = db.Begin()
			must(nil, err)
			in, err := tx.Prepare(pq.CopyIn(name, "name", "data"))
			must(nil, err)
			for i := range 100 {
				must(in.Exec(fmt.Sprint("copied ", i), []byte{byte(i)}))
			}
			must(in.Exec())
			must(nil, in.Close())
			must(nil, tx.Commit())
			must(nil, db.QueryRow("SELECT count(*) FROM "+name).Scan(&n))
			if n != 101 {
				t.Fatal(n)
			}
		})
	}
}
