package plan_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

var rewrite = flag.Bool("rewrite", false, "write the present output into the golden files of testdata")

// db is a database in memory with all functions, and the schema that scripts make.
type db struct {
	t       testing.TB
	c       *sqlite3.Conn
	env     plan.Env
	funcs   funcs.Env
	schema  *schema.Schema
	dialect ir.Dialect
}

func openDB(t testing.TB) *db {
	t.Helper()
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d := &db{t: t, c: c}
	d.env = plan.Env{Database: "app", Strict: true, System: catalog.Relation}
	at := time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC)
	d.funcs = funcs.Env{TxTime: at, StatementTime: at, Location: time.UTC, TimeZone: "UTC", User: "bop", SessionUser: "bop",
		Database: "app", SearchPath: []string{"public"}, Strict: true, ZeroDates: true}
	if err := funcs.Register(c, &d.funcs); err != nil {
		t.Fatal(err)
	}
	d.funcs.Catalog = catalog.For(d)
	if err := catalog.Register(c, d); err != nil {
		t.Fatal(err)
	}
	if err := c.Exec("PRAGMA foreign_keys = 1"); err != nil {
		t.Fatal(err)
	}
	d.load()
	return d
}

func (d *db) load() {
	d.t.Helper()
	s, err := schema.Load(d.c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.schema, d.env.Schema = s, s
}

// ddlEnv is what DDL needs of the planner.
func (d *db) ddlEnv(dialect ir.Dialect) schema.Env {
	env := schema.Env{Database: "app", User: "bop", Format: postgres.Format}
	env.Expr = func(e ir.Expr, scope *schema.Table) (string, types.Type, error) {
		return plan.Expression(e, dialect, &d.env, scope)
	}
	env.Query = func(q *ir.Query) (string, []schema.QueryColumn, error) {
		sql, cols, err := plan.View(q, dialect, &d.env)
		var out []schema.QueryColumn
		for _, c := range cols {
			out = append(out, schema.QueryColumn{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Source: c.Source})
		}
		return sql, out, err
	}
	return env
}

// do runs one statement and returns its plan and rows as text.
func (d *db) do(st *ir.Statement) (p *plan.Plan, rows []string, err error) {
	d.dialect = st.Dialect
	switch st.Tree.(type) {
	case *ir.Query, *ir.Insert, *ir.Update, *ir.Delete, *ir.Truncate, *ir.Do:
	default:
		if err := d.c.Exec("BEGIN IMMEDIATE"); err != nil {
			return nil, nil, err
		}
		_, err := schema.Apply(d.c, d.schema, st, d.ddlEnv(st.Dialect))
		end := "COMMIT"
		if err != nil {
			end = "ROLLBACK"
		}
		if e := d.c.Exec(end); e != nil {
			return nil, nil, e
		}
		d.load()
		return nil, nil, err
	}
	p, err = plan.Build(st, &d.env)
	if err != nil {
		return nil, nil, err
	}
	for _, sql := range p.Before {
		if err := d.c.Exec(sql); err != nil {
			return p, nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	rows, err = d.run(p)
	if err != nil {
		err = fromSQLite(err)
	}
	return p, rows, err
}

func (d *db) run(p *plan.Plan) ([]string, error) {
	s, tail, err := d.c.Prepare(p.SQL)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if strings.TrimSpace(tail) != "" {
		return nil, fmt.Errorf("more than one statement: %s", tail)
	}
	var rows []string
	for s.Step() {
		row := make([]string, len(p.Columns))
		for i, c := range p.Columns {
			row[i] = text(p.Dialect, c.Type, columnValue(s, i))
		}
		rows = append(rows, strings.Join(row, "|"))
	}
	return rows, s.Err()
}

func columnValue(s *sqlite3.Stmt, i int) types.Value {
	switch s.ColumnType(i) {
	case sqlite3.INTEGER:
		return types.IntValue(s.ColumnInt64(i))
	case sqlite3.FLOAT:
		return types.FloatValue(s.ColumnFloat(i))
	case sqlite3.TEXT:
		return types.StringValue(s.ColumnText(i))
	case sqlite3.BLOB:
		return types.BlobValue(s.ColumnBlob(i, nil))
	}
	return types.Value{}
}

func text(d ir.Dialect, t types.Type, v types.Value) string {
	if v.IsNull() {
		return "NULL"
	}
	if d == ir.MySQL {
		return string(types.AppendMySQLText(nil, t, v, nil))
	}
	f := types.NewPGFormat()
	f.Name = func(k types.Kind, oid uint32) string {
		if bt, ok := types.BuiltinByOID(oid); ok && k == types.Regtype {
			return bt.SQLName
		}
		return ""
	}
	return string(types.AppendPGText(nil, t, v, f))
}

// fromSQLite is the error that a client would see; what SQLite refuses to compile stays as it is, to be seen in tests.
func fromSQLite(err error) error {
	if e := sqlerr.FromSQLite(err); e.State != "XX000" && e.State != "42601" {
		return e
	}
	return err
}

// describe prints a plan for a golden file.
func describe(p *plan.Plan) string {
	var s strings.Builder
	for _, b := range p.Before {
		fmt.Fprintf(&s, "before: %s\n", b)
	}
	fmt.Fprintf(&s, "sql: %s\n", p.SQL)
	if len(p.Params) > 0 {
		names := make([]string, len(p.Params))
		for i, t := range p.Params {
			names[i] = typeText(t)
		}
		fmt.Fprintf(&s, "params: %s\n", strings.Join(names, ", "))
	}
	if len(p.Columns) > 0 {
		names := make([]string, len(p.Columns))
		for i, c := range p.Columns {
			names[i] = c.Name + " " + typeText(c.Type)
			if c.Source != nil {
				names[i] += " = " + c.Table.Name + "." + c.Source.Name
			}
			if c.NotNull {
				names[i] += " not null"
			}
		}
		fmt.Fprintf(&s, "columns: %s\n", strings.Join(names, ", "))
	}
	if p.Class != plan.Read {
		fmt.Fprintf(&s, "class: %s\n", [...]string{"read", "write", "utility"}[p.Class])
	}
	if p.Volatile {
		s.WriteString("volatile\n")
	}
	if p.AutoColumn != nil {
		fmt.Fprintf(&s, "auto: %s\n", p.AutoColumn.Name)
	}
	if p.CalcFound != "" {
		fmt.Fprintf(&s, "found: %s\n", p.CalcFound)
	}
	for _, a := range p.Touched {
		fmt.Fprintf(&s, "needs: %s %s(%s)\n", a.Privilege, a.Table.Name, strings.Join(a.Columns, ", "))
	}
	return s.String()
}

func typeText(t types.Type) string {
	s := t.PGName()
	if s == "bpchar" {
		s = "character"
	}
	if t.Unsigned {
		s += " unsigned"
	}
	return s
}

func errorText(dialect ir.Dialect, err error) string {
	var e *sqlerr.Error
	if !errors.As(err, &e) {
		return "error: " + err.Error() + "\n"
	}
	if dialect == ir.MySQL {
		msg := e.MyMessage
		if msg == "" {
			msg = e.Message
		}
		return fmt.Sprintf("error: %d %s\n", e.Number, msg)
	}
	s := fmt.Sprintf("error: %s %s\n", e.State, e.Message)
	if e.Detail != "" {
		s += "detail: " + e.Detail + "\n"
	}
	if e.Hint != "" {
		s += "hint: " + e.Hint + "\n"
	}
	if e.Position != 0 {
		s += fmt.Sprintf("position: %d\n", e.Position)
	}
	return s
}

// TestScripts runs testdata/*.txt. A script is a list of commands, each a line with a verb and a dialect, statements, a
// line ---- and what they give:
//
//	setup postgres   statements that must succeed, nothing printed
//	plan postgres    the plan of one statement
//	rows postgres    the rows of each statement
//
// go test ./plan -run TestScripts -rewrite writes the present output into the files.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := openDB(t)
	var out bytes.Buffer
	in := bufio.NewScanner(bytes.NewReader(data))
	in.Buffer(nil, 1<<20)
	line := 0
	for in.Scan() {
		line++
		head := in.Text()
		if head == "" || strings.HasPrefix(head, "#") {
			out.WriteString(head + "\n")
			continue
		}
		at := line
		verb, dialectName, _ := strings.Cut(head, " ")
		var body, want strings.Builder
		for in.Scan() {
			line++
			if in.Text() == "----" || in.Text() == "" {
				break
			}
			body.WriteString(in.Text() + "\n")
		}
		for in.Text() != "" && in.Scan() {
			line++
			if in.Text() == "" {
				break
			}
			want.WriteString(in.Text() + "\n")
		}
		got := d.command(verb, dialectName, body.String())
		out.WriteString(head + "\n" + body.String())
		if verb != "setup" {
			out.WriteString("----\n" + got)
			if got != want.String() && !*rewrite {
				t.Errorf("%s:%d: %s\n%s----\ngot:\n%s\nwant:\n%s", file, at, head, body.String(), got, want.String())
			}
		} else if got != "" {
			t.Errorf("%s:%d: %s", file, at, got)
		}
		out.WriteString("\n")
	}
	if *rewrite {
		if err := os.WriteFile(file, append(bytes.TrimRight(out.Bytes(), "\n"), '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *db) command(verb, dialectName, body string) string {
	list, dialect, err := parse(dialectName, body)
	if err != nil {
		return errorText(dialect, err)
	}
	var s strings.Builder
	for _, st := range list {
		switch verb {
		case "setup":
			if _, _, err := d.do(st); err != nil {
				return errorText(dialect, err)
			}
		case "plan":
			p, err := plan.Build(st, &d.env)
			if err != nil {
				s.WriteString(errorText(dialect, err))
				continue
			}
			s.WriteString(describe(p))
			if stmt, _, err := d.c.Prepare(p.SQL); err != nil {
				s.WriteString("SQLITE: " + err.Error() + "\n")
			} else {
				stmt.Close()
			}
		case "rows":
			p, rows, err := d.do(st)
			if err != nil {
				s.WriteString(errorText(dialect, err))
				if p != nil && !errors.As(err, new(*sqlerr.Error)) {
					s.WriteString("sql: " + p.SQL + "\n")
				}
				continue
			}
			for _, r := range rows {
				s.WriteString(strings.ReplaceAll(r, "\n", `\n`) + "\n")
			}
			if len(list) > 1 {
				s.WriteString(".\n")
			}
		default:
			return "unknown command " + verb + "\n"
		}
	}
	return s.String()
}

func parse(dialectName, text string) ([]*ir.Statement, ir.Dialect, error) {
	switch dialectName {
	case "postgres":
		list, err := postgres.Parse(text)
		return list, ir.Postgres, err
	}
	list, err := mysql.Parse(text, mysql.Options{})
	return list, ir.MySQL, err
}
