package session_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/filedb"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/session"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

var rewrite = flag.Bool("rewrite", false, "write the statements that fail now into the lists of testdata")

// What real clients sent to real servers is run again. The statements that fail are listed in testdata, with the error;
// a list may only get shorter.
func TestCaptured(t *testing.T) {
	t.Run("statements of PostgreSQL's clients", func(t *testing.T) {
		replay(t, corpus{dialect: ir.Postgres, files: "testdata/captured/pg-*.sql", base: pgBase, known: "testdata/failing-postgres.txt"})
	})
	t.Run("statements of MySQL's clients", func(t *testing.T) {
		replay(t, corpus{dialect: ir.MySQL, files: "../dialect/mysql/testdata/captured/my-*.sql", base: myBase, known: "testdata/failing-mysql.txt"})
	})
}

// The databases that the clients worked with.
const (
	pgBase = `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
		CREATE TABLE users (id serial PRIMARY KEY, name varchar(50) NOT NULL, email text UNIQUE, balance numeric(10,2) DEFAULT 0,
			active boolean DEFAULT true, created timestamptz DEFAULT now(), born date, data jsonb, tags text[], uid uuid, m mood, photo bytea);
		CREATE TABLE orders (id bigserial PRIMARY KEY, user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE, total numeric(10,2) CHECK (total >= 0), note text);
		CREATE INDEX orders_user_idx ON orders (user_id);
		CREATE VIEW active_users AS SELECT id, name FROM users WHERE active;
		CREATE SEQUENCE s1;
		INSERT INTO users (name, email, tags, m) VALUES ('ada', 'ada@example.com', '{x,y}', 'happy'), ('bob', 'bob@example.com', NULL, 'ok');
		INSERT INTO orders (user_id, total) VALUES (1, 9.99), (2, 5);`
	myBase = "CREATE TABLE users (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(50) NOT NULL, email varchar(100) UNIQUE, " +
		"balance decimal(10,2) DEFAULT 0, active tinyint(1) DEFAULT 1, created timestamp DEFAULT CURRENT_TIMESTAMP, " +
		"upd datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), born date, t time, y year, data json, " +
		"m enum('sad','ok','happy'), st set('a','b'), photo blob, big bigint unsigned, fl float, db double, bt bit(8));" +
		"CREATE TABLE orders (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id int unsigned NOT NULL, total decimal(10,2), note text, " +
		"KEY orders_user_idx (user_id), CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE);" +
		"CREATE VIEW active_users AS SELECT id, name FROM users WHERE active;" +
		"INSERT INTO users (name, email, m) VALUES ('ada', 'ada@example.com', 'happy'), ('bob', 'bob@example.com', 'ok');" +
		"INSERT INTO orders (user_id, total) VALUES (1, 9.99), (2, 5);" +
		"CREATE TABLE sbtest1 (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, k int NOT NULL DEFAULT 0, c char(120) NOT NULL DEFAULT '', pad char(60) NOT NULL DEFAULT '', KEY k_1 (k));"
)

type corpus struct {
	dialect ir.Dialect
	files   string
	base    string
	known   string
}

// captured is one statement of a log.
type captured struct {
	how    string // "simple", "Query" …
	text   string
	params []*string
}

func replay(t *testing.T, c corpus) {
	files, err := filepath.Glob(c.files)
	if err != nil || len(files) == 0 {
		t.Fatal("no captured statements", err)
	}
	// Some clients work on what others have made.
	rank := func(file string) int {
		for i, part := range []string{"pgbench-init", "-migrate", "django32-crud", "django32-flush", "pg-sysbench"} {
			if strings.Contains(file, part) {
				return i - 10
			}
		}
		return 0
	}
	slices.SortStableFunc(files, func(a, b string) int { return rank(a) - rank(b) })
	eng, err := filedb.Open(t.TempDir(), filedb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if err := eng.CreateDatabase(context.Background(), "bop"); err != nil {
		t.Fatal(err)
	}
	server, err := session.NewServer(session.Options{Engine: eng})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	open := func() *session.Session {
		x, err := server.Open(context.Background(), session.Config{Dialect: c.dialect, User: "bop", Database: "bop"})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := open()
	if err := x.Query(context.Background(), c.base, func(r *session.Result) error { return r.Close() }); err != nil {
		t.Fatal(err)
	}
	x.Close()
	failing := map[string]string{} // by file and statement
	seen := 0
	for _, file := range files {
		x := open()
		for _, s := range readCaptured(t, file) {
			seen++
			if err := runCaptured(x, s); err != nil {
				e := sqlerr.FromSQLite(err)
				failing[fmt.Sprintf("%s: %s", filepath.Base(file), oneLine(s.text))] = fmt.Sprintf("%s %s", e.State, oneLine(e.Message))
				if x.Status() == 'E' {
					x.Query(context.Background(), "ROLLBACK", func(r *session.Result) error { return nil })
				}
			}
		}
		x.Close()
	}
	t.Logf("%d statements, %d fail", seen, len(failing))
	compareFailing(t, c.known, failing)
}

// compareFailing compares with the list, whose lines are "file: statement -- error".
func compareFailing(t *testing.T, name string, failing map[string]string) {
	t.Helper()
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(failing)) {
		lines = append(lines, k+" -- "+failing[k])
	}
	if *rewrite {
		head := "# Statements that fail, with the error; \"file: statement -- error\". Lines like this one say why.\n"
		if err := os.WriteFile(name, []byte(head+strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	listed, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(listed)) {
		if statement, _, _ := cutLast(strings.TrimSpace(line), " -- "); !strings.HasPrefix(statement, "#") {
			known[statement] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(failing)) {
		if !known[k] {
			t.Errorf("fails: %s -- %s", k, failing[k])
		}
		delete(known, k)
	}
	for k := range known {
		if k != "" {
			t.Errorf("works now and has to leave %s: %s", name, k)
		}
	}
}

func cutLast(s, sep string) (string, string, bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// oneLine shortens a text to one line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 160 {
		s = s[:160] + "…"
	}
	return s
}

var parameter = regexp.MustCompile(`\$\d+ = (NULL|'((?:[^']|'')*)')`)

// readCaptured reads a log: "-- [how] parameters: …", then the statement, which ends with a semicolon and a line.
func readCaptured(t *testing.T, file string) (out []captured) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(data), "\n-- [") {
		head, text, ok := strings.Cut(part, "\n")
		if !ok || strings.HasPrefix(part, "-- client") {
			continue
		}
		how, params, _ := strings.Cut(head, "]")
		s := captured{how: how, text: strings.TrimSuffix(strings.TrimSpace(text), ";")}
		for _, m := range parameter.FindAllStringSubmatch(params, -1) {
			if m[1] == "NULL" {
				s.params = append(s.params, nil)
				continue
			}
			v := strings.ReplaceAll(m[2], "''", "'")
			s.params = append(s.params, &v)
		}
		out = append(out, s)
	}
	return out
}

// runCaptured runs a statement as a protocol would.
func runCaptured(x *session.Session, s captured) error {
	ctx := context.Background()
	switch how, _, _ := strings.Cut(s.how, " "); how {
	case "Connect", "Field", "Statistics", "Change", "Prepare":
		return nil
	case "Init":
		return x.UseDatabase(ctx, s.text)
	case "extended":
		if strings.Contains(s.how, "fetch from") {
			return nil // more rows of a portal
		}
		p, err := x.Prepare(ctx, s.text, nil)
		if err != nil {
			x.Fail()
			return err
		}
		args := make([]types.Value, len(p.Params))
		for i := range min(len(args), len(s.params)) {
			if s.params[i] == nil {
				continue
			}
			if args[i], err = types.DecodePGText(p.Params[i], []byte(*s.params[i]), x.Input()); err != nil {
				x.Fail()
				return err
			}
		}
		r, err := x.Execute(ctx, p, args, session.ExecuteOptions{Last: true})
		if err == nil {
			err = drain(r, x)
		}
		return errors.Join(err, x.Sync(ctx))
	}
	return x.Query(ctx, s.text, func(r *session.Result) error { return drain(r, x) })
}

// drain reads a result and prints its values, as a protocol does.
func drain(r *session.Result, x *session.Session) error {
	if r.Copy != nil && r.Copy.Statement.From {
		if err := r.Copy.Done(r); err != nil {
			return err
		}
	}
	var b []byte
	pg, my := x.PGFormat(), x.MyFormat()
	for r.Next() {
		for i, v := range r.Row() {
			if x.Dialect() == ir.MySQL {
				b = types.AppendMySQLText(b[:0], r.Columns[i].Type, v, my)
			} else {
				b = types.AppendPGText(b[:0], r.Columns[i].Type, v, pg)
			}
		}
	}
	return r.Close()
}
