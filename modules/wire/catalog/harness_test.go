package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bop-platform/bop/modules/wire/catalog"
	"github.com/bop-platform/bop/modules/wire/dialect/mysql"
	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/plan"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// server is a connection with everything registered, and a source that shows its schema.
type server struct {
	t      testing.TB
	c      *sqlite3.Conn
	s      *schema.Schema
	env    *funcs.Env
	path   []string
	d      ir.Dialect
	global []catalog.Setting

	objects *catalog.Objects
}

func (s *server) Schema() *schema.Schema { return s.s }
func (s *server) Database() string       { return "app" }
func (s *server) Databases() []string    { return []string{"app", "other"} }
func (s *server) SettingsOf(d string) []string {
	return map[string][]string{"app": {"timezone=Europe/Berlin", `x.y=a "b", c`}}[d]
}
func (s *server) User() string             { return "ada" }
func (s *server) SearchPath() []string     { return s.path }
func (s *server) Dialect() ir.Dialect      { return s.d }
func (s *server) Follows() bool            { return false }
func (s *server) Started() time.Time       { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
func (s *server) Location() *time.Location { return time.UTC }
func (s *server) Users() []catalog.Role {
	return []catalog.Role{{Name: "ada", Superuser: true, Login: true}}
}
func (s *server) Settings() []catalog.Setting { return s.global }
func (s *server) GlobalSettings() []catalog.Setting {
	return s.global
}

func (s *server) Sessions() []catalog.Session {
	return []catalog.Session{{ID: 7, User: "ada", Database: "app", Application: "psql", ClientAddr: "127.0.0.1:4000", Started: s.Started(),
		State: "active", Query: "SELECT 1"}}
}

func open(t testing.TB) *server {
	t.Helper()
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &server{t: t, c: c, path: []string{"ada", "public"}, env: &funcs.Env{User: "ada", Database: "app"},
		global: []catalog.Setting{{Name: "search_path", Value: `"$user", public`}, {Name: "max_connections", Value: "100"}}}
	s.env.SearchPath = s.path
	s.objects = catalog.For(s)
	s.env.Catalog = s.objects
	if err := funcs.Register(c, s.env); err != nil {
		t.Fatal(err)
	}
	if err := catalog.Register(c, s); err != nil {
		t.Fatal(err)
	}
	s.load()
	return s
}

func (s *server) load() {
	var err error
	if s.s, err = schema.Load(s.c); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) planEnv() *plan.Env {
	return &plan.Env{Schema: s.s, SearchPath: s.path, Database: "app", System: catalog.Relation}
}

func (s *server) apply(st *ir.Statement) {
	s.t.Helper()
	if err := s.tryApply(st); err != nil {
		s.t.Fatalf("%s: %v", st.Text, err)
	}
}

func (s *server) tryApply(st *ir.Statement) error {
	s.t.Helper()
	env := schema.Env{SearchPath: s.path, Database: "app", User: "ada",
		Expr: func(e ir.Expr, scope *schema.Table) (string, types.Type, error) {
			return plan.Expression(e, st.Dialect, s.planEnv(), scope)
		},
		Query: func(q *ir.Query) (string, []schema.QueryColumn, error) {
			sql, cols, err := plan.View(q, st.Dialect, s.planEnv())
			var out []schema.QueryColumn
			for _, c := range cols {
				out = append(out, schema.QueryColumn{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Source: c.Source})
			}
			return sql, out, err
		},
		Format: postgres.Format,
	}
	if st.Dialect == ir.MySQL {
		env.SearchPath, env.Format = nil, nil
	}
	if err := s.c.Exec("BEGIN IMMEDIATE"); err != nil {
		s.t.Fatal(err)
	}
	if _, err := schema.Apply(s.c, s.s, st, env); err != nil {
		s.c.Exec("ROLLBACK")
		return err
	}
	if err := s.c.Exec("COMMIT"); err != nil {
		s.t.Fatal(err)
	}
	s.load()
	return nil
}

// pg runs PostgreSQL's DDL.
func (s *server) pg(text string) {
	s.t.Helper()
	list, err := postgres.Parse(text)
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	for _, st := range list {
		s.apply(st)
	}
}

// my runs MySQL's DDL.
func (s *server) my(text string) {
	s.t.Helper()
	if err := s.tryMy(text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) tryMy(text string) error {
	s.t.Helper()
	s.d = ir.MySQL
	list, err := mysql.Parse(text, mysql.Options{})
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	for _, st := range list {
		if err := s.tryApply(st); err != nil {
			return fmt.Errorf("%s: %w", st.Text, err)
		}
	}
	return nil
}

// show runs a SHOW or DESCRIBE and returns the headings and rows.
func (s *server) show(text string) (headings []string, rows []string) {
	s.t.Helper()
	list, err := mysql.Parse(text, mysql.Options{})
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	q, err := catalog.ShowMySQL(list[0].Tree, s)
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	st := &ir.Statement{Dialect: ir.MySQL, Tree: q}
	p, err := plan.Build(st, s.planEnv())
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	for _, c := range p.Columns {
		headings = append(headings, c.Name)
	}
	return headings, s.sqlite(p.SQL)
}

// sqlite runs SQLite's SQL and returns the rows, columns joined by |.
func (s *server) sqlite(text string, args ...types.Value) []string {
	s.t.Helper()
	st, _, err := s.c.Prepare(text)
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	defer st.Close()
	out := []string{}
	for st.Step() {
		cols := make([]string, st.ColumnCount())
		for i := range cols {
			if st.ColumnType(i) == sqlite3.NULL {
				cols[i] = "∅"
			} else {
				cols[i] = st.ColumnText(i)
			}
		}
		out = append(out, strings.Join(cols, "|"))
	}
	if err := st.Err(); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	return out
}

// query runs a query of a dialect.
func (s *server) query(st *ir.Statement) ([]string, error) {
	p, err := plan.Build(st, s.planEnv())
	if err != nil {
		return nil, err
	}
	stmt, _, err := s.c.Prepare(p.SQL)
	if err != nil {
		return nil, err
	}
	defer stmt.Close()
	out := []string{}
	for stmt.Step() {
		cols := make([]string, stmt.ColumnCount())
		for i := range cols {
			cols[i] = stmt.ColumnText(i)
		}
		out = append(out, strings.Join(cols, "|"))
	}
	return out, stmt.Err()
}
