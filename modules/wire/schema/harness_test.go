package schema_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/bop-platform/bop/modules/wire/dialect/postgres"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// db is a connection with what DDL needs around it. Expressions are translated by a printer that knows just what the
// tests write: package plan's own tests are elsewhere.
type db struct {
	t   testing.TB
	c   *sqlite3.Conn
	env schema.Env
}

func open(t testing.TB) *db {
	t.Helper()
	c, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d := &db{t: t, c: c}
	d.env = schema.Env{Database: "app", User: "bop", Expr: expression, Query: d.query, Format: postgres.Format}
	d.sql("PRAGMA foreign_keys = ON")
	for _, name := range []string{"bop_ci", "bop_decimal"} {
		err := c.CreateCollation(name, func(a, b []byte) int { return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b))) })
		if err != nil {
			t.Fatal(err)
		}
	}
	next := int64(0)
	err = c.CreateFunction("nextval", 1, 0, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		next++
		ctx.ResultInt64(next)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sql runs plain SQLite statements.
func (d *db) sql(text string) {
	d.t.Helper()
	if err := d.c.Exec(text); err != nil {
		d.t.Fatalf("%s: %v", text, err)
	}
}

// rows returns a query's rows, columns joined by |.
func (d *db) rows(text string) []string {
	d.t.Helper()
	st, _, err := d.c.Prepare(text)
	if err != nil {
		d.t.Fatalf("%s: %v", text, err)
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
		d.t.Fatalf("%s: %v", text, err)
	}
	return out
}

func (d *db) load() *schema.Schema {
	d.t.Helper()
	s, err := schema.Load(d.c)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// try runs DDL in a transaction of its own.
func (d *db) try(st *ir.Statement) (schema.Result, error) {
	d.t.Helper()
	d.sql("BEGIN IMMEDIATE")
	res, err := schema.Apply(d.c, d.load(), st, d.env)
	if err != nil {
		d.sql("ROLLBACK")
		return res, err
	}
	d.sql("COMMIT")
	return res, nil
}

func (d *db) parse(text string) []*ir.Statement {
	d.t.Helper()
	list, err := postgres.Parse(text)
	if err != nil {
		d.t.Fatalf("%s: %v", text, err)
	}
	return list
}

// pg runs PostgreSQL's DDL that must succeed, statement by statement; the last one's result is returned.
func (d *db) pg(text string) (res schema.Result) {
	d.t.Helper()
	for _, st := range d.parse(text) {
		var err error
		if res, err = d.try(st); err != nil {
			d.t.Fatalf("%s: %v", st.Text, err)
		}
	}
	d.check()
	return res
}

// fail runs one statement that must fail with a SQLSTATE, and returns the error.
func (d *db) fail(state, text string) error {
	d.t.Helper()
	before := d.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
	_, err := d.try(d.parse(text)[0])
	if err == nil {
		d.t.Fatalf("%s: no error, want %s", text, state)
	}
	if !strings.Contains(err.Error(), state) {
		d.t.Fatalf("%s: %v, want %s", text, err, state)
	}
	if after := d.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"); fmt.Sprint(before) != fmt.Sprint(after) {
		d.t.Fatalf("%s changed the schema although it failed:\n%v\n%v", text, before, after)
	}
	return err
}

// check looks for damage and for definitions that don't agree with SQLite's.
func (d *db) check() {
	d.t.Helper()
	if got := d.rows("PRAGMA integrity_check"); len(got) != 1 || got[0] != "ok" {
		d.t.Fatalf("integrity_check: %v", got)
	}
	s := d.load()
	for _, t := range s.Tables {
		var physical, logical []string
		db := "main"
		if t.Temp {
			db = "temp"
		}
		for _, n := range d.rows("SELECT name FROM pragma_table_xinfo('" + t.SQLName + "', '" + db + "')") {
			physical = append(physical, n)
		}
		for _, c := range t.Columns {
			logical = append(logical, c.Name)
		}
		if strings.Join(physical, ",") != strings.Join(logical, ",") {
			d.t.Fatalf("table %s: columns %v in SQLite, %v in the schema", t.Name, physical, logical)
		}
	}
	if left := d.rows("SELECT name FROM sqlite_schema WHERE name LIKE '\\_\\_bop\\_%' ESCAPE '\\' AND name NOT IN ('__bop_objects', '__bop_sequences') AND name NOT LIKE '\\_\\_bop\\_seq\\_%' ESCAPE '\\'"); len(left) > 0 {
		d.t.Fatalf("left behind: %v", left)
	}
}

// expression translates the few expressions that the tests use.
func expression(e ir.Expr, scope *schema.Table) (string, types.Type, error) {
	switch e := e.(type) {
	case *ir.Literal:
		switch e.Value.Class {
		case types.Null:
			return "NULL", e.Type, nil
		case types.Int:
			return strconv.FormatInt(e.Value.I, 10), e.Type, nil
		case types.Float:
			return strconv.FormatFloat(e.Value.F, 'g', -1, 64), e.Type, nil
		}
		return "'" + strings.ReplaceAll(string(e.Value.B), "'", "''") + "'", e.Type, nil
	case *ir.ColumnRef:
		if scope == nil || scope.Column(e.Name) == nil {
			return "", types.Type{}, fmt.Errorf("no column %s", e.Name)
		}
		return `"` + e.Name + `"`, scope.Column(e.Name).Type, nil
	case *ir.Binary:
		l, lt, err := expression(e.Left, scope)
		if err != nil {
			return "", lt, err
		}
		r, _, err := expression(e.Right, scope)
		return "(" + l + " " + e.Op + " " + r + ")", lt, err
	case *ir.Is:
		x, _, err := expression(e.X, scope)
		not := ""
		if e.Not {
			not = "NOT "
		}
		return x + " IS " + not + e.What, types.T(types.Bool), err
	case *ir.Func:
		var args []string
		for _, a := range e.Args {
			s, _, err := expression(a, scope)
			if err != nil {
				return "", types.Type{}, err
			}
			args = append(args, s)
		}
		name := e.Name
		switch name {
		case "now", "current_timestamp":
			return "datetime('now')", types.T(types.TimestampTZ), nil
		}
		return name + "(" + strings.Join(args, ", ") + ")", types.T(types.Text), nil
	case *ir.Cast:
		x, from, err := expression(e.X, scope)
		if err != nil || from == e.To.Type || from.Kind == types.Unknown && !e.To.Type.IsNumber() || from.Kind == types.Numeric || from.Kind == types.Regclass || from.IsInteger() && e.To.Type.IsInteger() {
			return x, e.To.Type, err
		}
		if l, ok := e.X.(*ir.Literal); ok && l.Value.Class == types.String && e.To.Type.IsInteger() {
			return string(l.Value.B), e.To.Type, nil
		}
		if e.To.Type.Kind == types.Bool {
			switch strings.ToLower(x) {
			case "'t'", "'true'":
				return "1", e.To.Type, nil
			case "'f'", "'false'":
				return "0", e.To.Type, nil
			}
			return x, e.To.Type, nil
		}
		if strings.Contains(x, "datetime") || strings.Contains(x, "nextval") || strings.HasPrefix(x, "'") && schema.Storage(e.To.Type) == "TEXT" {
			return x, e.To.Type, nil
		}
		return "CAST(" + x + " AS " + schema.Storage(e.To.Type) + ")", e.To.Type, nil
	}
	return "", types.Type{}, fmt.Errorf("the tests have no %T", e)
}

// query translates SELECT columns FROM table.
func (d *db) query(q *ir.Query) (string, []schema.QueryColumn, error) {
	s, err := schema.Load(d.c)
	if err != nil {
		return "", nil, err
	}
	sel := q.Body.(*ir.Select)
	from := sel.From[0].(*ir.Table)
	t := s.Find(d.env.SearchPath, from.Name.Schema, from.Name.Name)
	if t == nil {
		return "", nil, fmt.Errorf("no table %s", from.Name.Name)
	}
	var names []string
	var cols []schema.QueryColumn
	for _, it := range sel.Items {
		if _, ok := it.Expr.(*ir.Star); ok {
			for _, c := range t.Columns {
				names = append(names, `"`+c.Name+`"`)
				cols = append(cols, schema.QueryColumn{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Source: c})
			}
			continue
		}
		sql, typ, err := expression(it.Expr, t)
		if err != nil {
			return "", nil, err
		}
		name := it.Alias
		col := schema.QueryColumn{Type: typ}
		if r, ok := it.Expr.(*ir.ColumnRef); ok {
			if name == "" {
				name = r.Name
			}
			col.Source = t.Column(r.Name)
		}
		col.Name = name
		names = append(names, sql)
		cols = append(cols, col)
	}
	sql := "SELECT " + strings.Join(names, ", ") + ` FROM "` + t.SQLName + `"`
	if sel.Where != nil {
		w, _, err := expression(sel.Where, t)
		if err != nil {
			return "", nil, err
		}
		sql += " WHERE " + w
	}
	return sql, cols, nil
}
