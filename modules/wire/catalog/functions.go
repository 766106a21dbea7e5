package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/schema"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
	"github.com/ncruces/go-sqlite3"
)

// call is a call of a catalog function: arguments are nil, int64, float64 or string.
type call struct {
	*Objects
	db  conn
	arg []any
}

func (c *call) has(i int) bool { return i < len(c.arg) && c.arg[i] != nil }

func (c *call) oid(i int) uint32 {
	switch v := c.arg[i].(type) {
	case int64:
		return uint32(v)
	case string:
		n, _ := strconv.ParseUint(v, 10, 32)
		return uint32(n)
	}
	return 0
}

func (c *call) text(i int) string {
	if !c.has(i) {
		return ""
	}
	return fmt.Sprint(c.arg[i])
}

func (c *call) int(i int) int {
	if n, ok := c.arg[i].(int64); ok {
		return int(n)
	}
	return 0
}

func (c *call) schema() *schema.Schema { return c.src.Schema() }

// function is a catalog function. Several signatures may share its implementation.
type function struct {
	name string
	sigs []*funcs.Signature
	null bool // is called with NULLs too
	run  func(c *call) (any, error)
}

var functions []*function

// dispatcher is the one function of SQLite that all scalar functions of this package are: making a hundred known to each
// connection would take longer than opening it.
const dispatcher = "bop_catalog"

// byName finds a function for the dispatcher.
var byName = sync.OnceValue(func() map[string]*function {
	m := make(map[string]*function, len(functions))
	for _, f := range functions {
		m[f.name] = f
	}
	return m
})

// setFunctions are the set-returning ones.
var setFunctions []*setFunction

type setFunction struct {
	sig  *funcs.Signature
	args int
	rows func(o *Objects, db conn, arg []any) ([][]any, error)
}

// sig makes a signature; optional says how many of the last arguments may be left out.
func sig(result types.Kind, optional int, args ...types.Kind) *funcs.Signature {
	return &funcs.Signature{Args: args, Optional: optional, Result: result}
}

// arrayOf makes a signature's result an array.
func arrayOf(elem types.Kind, s *funcs.Signature) *funcs.Signature {
	t := types.ArrayOf(elem)
	s.Result, s.ResultOf = types.Array, func([]types.Type) types.Type { return t }
	return s
}

// add makes a function known to package plan; Register makes it known to connections.
func add(name string, run func(c *call) (any, error), sigs ...*funcs.Signature) *function {
	f := &function{name: name, sigs: sigs, run: run}
	functions = append(functions, f)
	for _, s := range sigs {
		s.Name = name
		s.SQL = dispatcher + "('" + name + "')"
		if len(s.Args) > 0 {
			s.SQL = dispatcher + "('" + name + "', $*)"
		}
		funcs.Define([]ir.Dialect{ir.Postgres}, s)
	}
	return f
}

// addNull is add for functions that are called with NULLs.
func addNull(name string, run func(c *call) (any, error), sigs ...*funcs.Signature) {
	for _, s := range sigs {
		s.KeepNull = true
	}
	add(name, run, sigs...).null = true
}

// constant makes a function that always gives the same.
func constant(v any) func(*call) (any, error) { return func(*call) (any, error) { return v, nil } }

func addSet(name string, columns []funcs.ResultColumn, result types.Kind, optional int, args []types.Kind, rows func(o *Objects, db conn, arg []any) ([][]any, error)) {
	s := &funcs.Signature{Name: name, Args: args, Optional: optional, Form: funcs.SetReturning, Result: result, Columns: columns,
		SQL: "bop_" + name + "($*)"}
	funcs.Define([]ir.Dialect{ir.Postgres}, s)
	if !slices.ContainsFunc(setFunctions, func(f *setFunction) bool { return f.sig.Name == name }) {
		setFunctions = append(setFunctions, &setFunction{s, len(args), rows})
	}
}

// registerFunctions makes the functions known to a connection.
func registerFunctions(c *sqlite3.Conn, o *Objects) error {
	run := func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if len(arg) == 0 {
			return
		}
		f := byName()[string(arg[0].RawText())]
		if f == nil {
			ctx.ResultError(sqlerr.Carry(sqlerr.New("42883", "function %s does not exist", arg[0].Text())))
			return
		}
		defer func() {
			if p := recover(); p != nil {
				ctx.ResultError(sqlerr.Carry(sqlerr.New("XX000", "function %s failed: %v", f.name, p)))
			}
		}()
		list := make([]any, len(arg)-1)
		for i, a := range arg[1:] {
			if list[i] = plain(a); list[i] == nil && !f.null {
				ctx.ResultNull()
				return
			}
		}
		v, err := f.run(&call{Objects: o, db: c, arg: list})
		if err != nil {
			ctx.ResultError(sqlerr.Carry(err))
			return
		}
		give(ctx, v)
	}
	if err := c.CreateFunction(dispatcher, -1, sqlite3.INNOCUOUS, run); err != nil {
		return fmt.Errorf("register function %s: %w", dispatcher, err)
	}
	for _, s := range setFunctions {
		columns := []string{"value"}
		if s.sig.Columns != nil {
			columns = nil
			for _, rc := range s.sig.Columns {
				columns = append(columns, rc.Name)
			}
		}
		f := &tableFunc{name: "bop_" + s.sig.Name, columns: columns, args: s.args, rows: func(arg []any) ([][]any, error) { return s.rows(o, c, arg) }}
		if err := f.register(c); err != nil {
			return fmt.Errorf("register function %s: %w", s.sig.Name, err)
		}
	}
	return nil
}

// Register makes the relations and functions of this package known to a connection, once in its life. src is asked when
// they are read, never before.
func Register(c *sqlite3.Conn, src Source) error {
	if err := registerTables(c, src); err != nil {
		return err
	}
	return registerFunctions(c, For(src))
}

func init() {
	definitionFunctions()
	visibilityFunctions()
	serverFunctions()
	privilegeFunctions()
	setReturning()
}

func definitionFunctions() {
	oid, text, boolean, i4 := types.Oid, types.Text, types.Bool, types.Int4
	add("pg_get_expr", func(c *call) (any, error) { return c.expression(c.text(0)), nil },
		sig(text, 1, types.PgNodeTree, oid, boolean), sig(text, 1, text, oid, boolean))
	addNull("format_type", func(c *call) (any, error) {
		if !c.has(0) {
			return nil, nil
		}
		mod := int32(-1)
		if c.has(1) {
			mod = int32(c.int(1))
		}
		return c.FormatType(c.oid(0), mod), nil
	}, sig(text, 0, oid, i4))
	add("pg_get_constraintdef", func(c *call) (any, error) {
		s := c.schema()
		k, ok := s.ByOID[c.oid(0)].(*schema.Constraint)
		if !ok {
			return nil, nil
		}
		for _, t := range s.Tables {
			for _, o := range t.Constraints {
				if o.OID == k.OID {
					return schema.ConstraintDefinition(s, t, o, c.src.SearchPath()), nil
				}
			}
		}
		return schema.ConstraintDefinition(s, &schema.Table{}, k, c.src.SearchPath()), nil
	}, sig(text, 1, oid, boolean))
	add("pg_get_indexdef", func(c *call) (any, error) {
		s := c.schema()
		x, ok := s.ByOID[c.oid(0)].(*schema.Index)
		if !ok {
			return nil, nil
		}
		t := tableOf(s, x.Table)
		if t == nil {
			return nil, nil
		}
		if c.has(1) && c.int(1) > 0 {
			return schema.IndexColumnDefinition(t, x, c.int(1)-1, false), nil
		}
		return schema.IndexDefinition(s, t, x), nil
	}, sig(text, 0, oid), sig(text, 0, oid, i4, boolean))
	viewDef := func(c *call) (any, error) {
		oid := c.oid(0)
		if name, ok := c.arg[0].(string); ok {
			var err error
			if oid, err = c.OIDOf(types.Regclass, name); err != nil {
				return nil, err
			}
		}
		if t := tableOf(c.schema(), oid); t != nil && t.View {
			return schema.ViewDefinition(c.schema(), t, c.src.SearchPath()), nil
		}
		return nil, nil
	}
	add("pg_get_viewdef", viewDef, sig(text, 1, oid, boolean), sig(text, 0, oid, i4), sig(text, 1, text, boolean))
	add("pg_get_ruledef", func(c *call) (any, error) {
		for _, t := range c.schema().Tables {
			if t.View && ruleOID(t) == c.oid(0) {
				return "CREATE RULE \"_RETURN\" AS\n    ON SELECT TO " + schema.RelationText(c.src.SearchPath(), t.Namespace, t.Name) +
					" DO INSTEAD " + schema.ViewDefinition(c.schema(), t, c.src.SearchPath()), nil
			}
		}
		return nil, nil
	}, sig(text, 1, oid, boolean))
	for _, name := range []string{"pg_get_triggerdef", "pg_get_functiondef", "pg_get_partkeydef", "pg_get_partition_constraintdef",
		"pg_get_statisticsobjdef", "pg_get_statisticsobjdef_columns", "pg_get_function_sqlbody", "pg_get_statisticsobjdef_expressions"} {
		add(name, constant(nil), sig(text, 1, oid, boolean))
	}
	add("pg_get_function_arg_default", constant(nil), sig(text, 0, oid, i4))
	arguments := func(c *call) (any, error) {
		p := known().byOID[c.oid(0)]
		if p == nil {
			return nil, nil
		}
		var out []string
		for i, a := range p.args {
			name := c.FormatType(a, -1)
			if p.variadic != 0 && i == len(p.args)-1 {
				name = "VARIADIC " + name
			}
			out = append(out, name)
		}
		return strings.Join(out, ", "), nil
	}
	add("pg_get_function_arguments", arguments, sig(text, 0, oid))
	add("pg_get_function_identity_arguments", arguments, sig(text, 0, oid))
	add("pg_get_function_result", func(c *call) (any, error) {
		p := known().byOID[c.oid(0)]
		if p == nil {
			return nil, nil
		}
		if p.set {
			return "SETOF " + c.FormatType(p.result, -1), nil
		}
		return c.FormatType(p.result, -1), nil
	}, sig(text, 0, oid))
	add("pg_get_serial_sequence", func(c *call) (any, error) {
		s := c.schema()
		ns, name, err := schema.SplitName(c.text(0))
		if err != nil {
			return nil, err
		}
		t := s.Find(c.src.SearchPath(), ns, name)
		if t == nil {
			return nil, sqlerr.New("42P01", "relation \"%s\" does not exist", c.text(0))
		}
		col := t.Column(c.text(1))
		if col == nil {
			return nil, sqlerr.New("42703", "column \"%s\" of relation \"%s\" does not exist", c.text(1), t.Name)
		}
		for _, q := range sortedSequences(s) {
			if q.OwnedTable == t.OID && q.OwnedColumn == col.Num {
				return schema.QuoteIdent(q.Namespace) + "." + schema.QuoteIdent(q.Name), nil
			}
		}
		return nil, nil
	}, sig(text, 0, text, text))
	add("pg_get_userbyid", func(c *call) (any, error) {
		if n := c.roleName(c.oid(0)); n != "" {
			return n, nil
		}
		return fmt.Sprintf("unknown (OID=%d)", c.oid(0)), nil
	}, sig(types.Name, 0, oid))

	// Comments.
	comment := func(c *call, object, class uint32, sub int) any {
		type key struct {
			object, class uint32
			sub           int
		}
		all := c.schema().Memo("comments", func() any {
			m := map[key]string{}
			comments(c.schema(), func(object, class uint32, sub int, text string) {
				m[key{object, class, sub}] = text
				if _, ok := m[key{object, 0, sub}]; !ok {
					m[key{object, 0, sub}] = text
				}
			})
			return m
		}).(map[key]string)
		if s, ok := all[key{object, class, sub}]; ok {
			return s
		}
		return nil
	}
	add("obj_description", func(c *call) (any, error) {
		class := uint32(0)
		if c.has(1) {
			r := find(ir.Postgres, "", c.text(1))
			if r == nil {
				return nil, nil
			}
			class = r.oid
		}
		return comment(c, c.oid(0), class, 0), nil
	}, sig(text, 1, oid, types.Name))
	add("col_description", func(c *call) (any, error) { return comment(c, c.oid(0), oidClassClass, c.int(1)), nil }, sig(text, 0, oid, i4))
	add("shobj_description", constant(nil), sig(text, 0, oid, types.Name))
	add("pg_describe_object", func(c *call) (any, error) {
		if n := c.NameOf(types.Regclass, c.oid(1)); c.oid(0) == oidClassClass {
			return "table " + n, nil
		}
		return "object " + c.text(1), nil
	}, sig(text, 0, oid, oid, i4))

	// Names to OIDs without an error.
	for name, kind := range map[string]types.Kind{"to_regclass": types.Regclass, "to_regtype": types.Regtype, "to_regproc": types.Regproc,
		"to_regprocedure": types.Regprocedure, "to_regnamespace": types.Regnamespace, "to_regrole": types.Regrole} {
		add(name, func(c *call) (any, error) {
			oid, err := c.OIDOf(kind, c.text(0))
			if err != nil {
				return nil, nil
			}
			return oid, nil
		}, sig(kind, 0, text))
	}

	// Helpers of information_schema.
	typmod := func(c *call) (types.Type, bool) {
		if !c.has(1) || c.int(1) < 0 {
			return types.Type{}, false
		}
		t, ok := types.FromOID(c.oid(0), int32(c.int(1)))
		return t, ok
	}
	addNull("_pg_char_max_length", func(c *call) (any, error) {
		if t, ok := typmod(c); ok && (t.Kind == types.Varchar || t.Kind == types.Char || t.Kind == types.Bit) {
			return t.Len, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_char_octet_length", func(c *call) (any, error) {
		if t, ok := typmod(c); ok && (t.Kind == types.Varchar || t.Kind == types.Char) {
			return t.Len * 4, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_numeric_precision", func(c *call) (any, error) {
		switch c.oid(0) {
		case 21:
			return 16, nil
		case 23:
			return 32, nil
		case 20:
			return 64, nil
		case 700:
			return 24, nil
		case 701:
			return 53, nil
		}
		if t, ok := typmod(c); ok && t.Kind == types.Numeric {
			return t.Len, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_numeric_scale", func(c *call) (any, error) {
		switch c.oid(0) {
		case 20, 21, 23:
			return 0, nil
		}
		if t, ok := typmod(c); ok && t.Kind == types.Numeric {
			return t.Scale, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	addNull("_pg_datetime_precision", func(c *call) (any, error) {
		switch c.oid(0) {
		case 1082:
			return 0, nil
		case 1083, 1114, 1184, 1266, 1186:
			if c.has(1) && c.int(1) >= 0 {
				return min(c.int(1), 6), nil
			}
			return 6, nil
		}
		return nil, nil
	}, sig(i4, 0, oid, i4))
	add("pg_sequence_last_value", func(c *call) (any, error) {
		q, ok := c.schema().ByOID[c.oid(0)].(*schema.Sequence)
		if !ok {
			return nil, nil
		}
		st, err := schema.ReadSequence(c.db, q)
		if err != nil || !st.Called {
			return nil, err
		}
		return st.Value, nil
	}, sig(types.Int8, 0, types.Regclass), sig(types.Int8, 0, oid))
}

func visibilityFunctions() {
	oid := types.Oid
	visible := func(c *call, namespace, name string, same func(ns string) uint32, oid uint32) bool {
		if namespace == "pg_catalog" {
			return true
		}
		path := c.src.SearchPath()
		if path == nil {
			path = []string{schema.Public}
		}
		if c.schema().HasTemp {
			path = append([]string{schema.TempNamespace}, path...)
		}
		for _, ns := range path {
			if found := same(ns); found != 0 {
				return found == oid
			}
		}
		return false
	}
	add("pg_table_is_visible", func(c *call) (any, error) {
		s := c.schema()
		ns, name := "", ""
		switch r := s.ByOID[c.oid(0)].(type) {
		case *schema.Table:
			ns, name = r.Namespace, r.Name
		case *schema.Index:
			ns, name = r.Namespace, r.RelationName()
		case *schema.Sequence:
			ns, name = r.Namespace, r.Name
		default:
			if r := systemRelation(c.oid(0)); r != nil {
				return r.namespace == "pg_catalog" || contains(c.src.SearchPath(), r.namespace), nil
			}
			return nil, nil
		}
		return visible(c, ns, name, func(ns string) uint32 {
			if find(ir.Postgres, "pg_catalog", name) != nil {
				return 1 // hidden by the catalog
			}
			key := schema.Key{Namespace: ns, Name: name}
			switch {
			case s.Tables[key] != nil:
				return s.Tables[key].OID
			case s.Indexes[key] != nil:
				return s.Indexes[key].OID
			case s.Sequences[key] != nil:
				return s.Sequences[key].OID
			}
			return 0
		}, c.oid(0)), nil
	}, sig(types.Bool, 0, oid))
	add("pg_type_is_visible", func(c *call) (any, error) {
		s, id := c.schema(), c.oid(0)
		if _, ok := types.BuiltinByOID(id); ok {
			return true, nil
		}
		path := c.src.SearchPath()
		for _, e := range s.Enums {
			if e.OID == id || e.ArrayOID == id {
				return schema.Visible(path, e.Namespace), nil
			}
		}
		for _, d := range s.Domains {
			if d.OID == id || d.ArrayOID == id {
				return schema.Visible(path, d.Namespace), nil
			}
		}
		for _, t := range s.Tables {
			if t.RowType == id || t.ArrayType == id {
				return schema.Visible(path, t.Namespace), nil
			}
		}
		return nil, nil
	}, sig(types.Bool, 0, oid))
	add("pg_function_is_visible", func(c *call) (any, error) {
		if known().byOID[c.oid(0)] == nil {
			return nil, nil
		}
		return true, nil
	}, sig(types.Bool, 0, oid))
	// All there are of these are PostgreSQL's own.
	for _, name := range []string{"pg_collation_is_visible", "pg_conversion_is_visible", "pg_operator_is_visible", "pg_opclass_is_visible",
		"pg_opfamily_is_visible", "pg_statistics_obj_is_visible", "pg_ts_config_is_visible", "pg_ts_dict_is_visible",
		"pg_ts_parser_is_visible", "pg_ts_template_is_visible"} {
		add(name, constant(true), sig(types.Bool, 0, oid))
	}
	add("pg_relation_is_publishable", func(c *call) (any, error) {
		t := tableOf(c.schema(), c.oid(0))
		return t != nil && !t.View && !t.Temp, nil
	}, sig(types.Bool, 0, types.Regclass), sig(types.Bool, 0, oid))
	add("pg_relation_is_updatable", func(c *call) (any, error) {
		if t := tableOf(c.schema(), c.oid(0)); t != nil && !t.View {
			return 28, nil
		}
		return 0, nil
	}, sig(types.Int4, 0, types.Regclass, types.Bool), sig(types.Int4, 0, oid, types.Bool))
	add("pg_is_other_temp_schema", constant(false), sig(types.Bool, 0, oid))
	add("pg_my_temp_schema", func(c *call) (any, error) {
		if c.schema().HasTemp {
			return oidTemp, nil
		}
		return 0, nil
	}, sig(oid, 0))
	add("pg_partition_root", func(c *call) (any, error) { return nil, nil }, sig(types.Regclass, 0, types.Regclass))
}

// encodings are the character set encodings that clients name, by PostgreSQL's numbers.
var encodings = map[int]string{0: "SQL_ASCII", 6: "UTF8", 8: "LATIN1", 24: "WIN1252"}

func serverFunctions() {
	oid, text, i8, boolean := types.Oid, types.Text, types.Int8, types.Bool
	add("pg_encoding_to_char", func(c *call) (any, error) { return encodings[c.int(0)], nil }, sig(types.Name, 0, types.Int4))
	add("pg_char_to_encoding", func(c *call) (any, error) {
		want := strings.ReplaceAll(strings.ToUpper(c.text(0)), "-", "")
		for n, name := range encodings {
			if name == want || want == "UNICODE" && n == 6 {
				return n, nil
			}
		}
		return -1, nil
	}, sig(types.Int4, 0, types.Name))
	add("pg_encoding_max_length", func(c *call) (any, error) {
		if c.int(0) == 6 {
			return 4, nil
		}
		return 1, nil
	}, sig(types.Int4, 0, types.Int4))
	add("getdatabaseencoding", constant("UTF8"), sig(types.Name, 0))
	add("pg_is_in_recovery", constant(false), sig(boolean, 0))
	add("pg_is_wal_replay_paused", constant(false), sig(boolean, 0))
	add("pg_postmaster_start_time", func(c *call) (any, error) { return timestamp(c.src.Started()), nil }, sig(types.TimestampTZ, 0))
	add("pg_conf_load_time", func(c *call) (any, error) { return timestamp(c.src.Started()), nil }, sig(types.TimestampTZ, 0))
	add("pg_tablespace_location", constant(""), sig(text, 0, oid))
	add("pg_filenode_relation", constant(nil), sig(types.Regclass, 0, oid, oid))
	add("pg_relation_filenode", func(c *call) (any, error) { return c.oid(0), nil }, sig(oid, 0, types.Regclass))
	arrayInt := func(name string, args ...types.Kind) {
		add(name, constant("[]"), arrayOf(types.Int4, sig(0, 0, args...)))
	}
	arrayInt("pg_blocking_pids", types.Int4)
	arrayInt("pg_safe_snapshot_blocking_pids", types.Int4)
	add("pg_column_size", func(c *call) (any, error) {
		switch v := c.arg[0].(type) {
		case string:
			return len(v) + 1, nil
		case float64:
			return 8, nil
		}
		return 8, nil
	}, sig(types.Int4, 0, funcs.Any))

	relationSize := func(indexes bool, rows bool) func(c *call) (any, error) {
		return func(c *call) (any, error) { return c.relationSize(c.oid(0), rows, indexes) }
	}
	add("pg_relation_size", func(c *call) (any, error) {
		if c.has(1) && c.text(1) != "main" {
			return 0, nil
		}
		return c.relationSize(c.oid(0), true, false)
	}, sig(i8, 1, types.Regclass, text), sig(i8, 1, oid, text))
	add("pg_table_size", relationSize(false, true), sig(i8, 0, types.Regclass), sig(i8, 0, oid))
	add("pg_indexes_size", relationSize(true, false), sig(i8, 0, types.Regclass), sig(i8, 0, oid))
	add("pg_total_relation_size", relationSize(true, true), sig(i8, 0, types.Regclass), sig(i8, 0, oid))
	add("pg_database_size", func(c *call) (any, error) {
		name := c.text(0)
		if n, ok := c.arg[0].(int64); ok {
			name = ""
			for _, d := range c.src.Databases() {
				if databaseOID(d) == uint32(n) {
					name = d
				}
			}
		}
		if name != c.src.Database() {
			return nil, nil // another database's size can't be told from here
		}
		pages, err := c.number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
		return pages, err
	}, sig(i8, 0, types.Name), sig(i8, 0, oid))
	add("pg_tablespace_size", constant(0), sig(i8, 0, types.Name), sig(i8, 0, oid))
	for _, name := range []string{"pg_indexam_has_property", "pg_index_has_property"} {
		add(name, func(c *call) (any, error) {
			switch strings.ToLower(c.text(1)) {
			case "can_order", "can_unique", "can_multi_col", "index_scan", "backward_scan", "can_include":
				return true, nil
			}
			return false, nil
		}, sig(boolean, 0, oid, text))
	}
	add("pg_index_column_has_property", func(c *call) (any, error) {
		x, ok := c.schema().ByOID[c.oid(0)].(*schema.Index)
		if !ok || c.int(1) < 1 || c.int(1) > len(x.Columns) {
			return nil, nil
		}
		ic := x.Columns[c.int(1)-1]
		switch strings.ToLower(c.text(2)) {
		case "asc":
			return !ic.Desc, nil
		case "desc":
			return ic.Desc, nil
		case "nulls_first":
			return ic.Nulls > 0 || ic.Desc && ic.Nulls == 0, nil
		case "nulls_last":
			return !(ic.Nulls > 0 || ic.Desc && ic.Nulls == 0), nil
		case "orderable", "returnable", "search_array", "search_nulls":
			return true, nil
		}
		return false, nil
	}, sig(boolean, 0, types.Regclass, types.Int4, text), sig(boolean, 0, oid, types.Int4, text))
}

// number runs a query for one integer.
func (c *call) number(sql string) (any, error) {
	st, _, err := c.db.Prepare(sql)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	var n int64
	if st.Step() {
		n = st.ColumnInt64(0)
	}
	return n, st.Err()
}

// relationSize estimates a relation's bytes on disk from its rows: SQLite keeps no count of pages by table.
func (c *call) relationSize(oid uint32, rows, indexes bool) (any, error) {
	s := c.schema()
	t := tableOf(s, oid)
	if x, ok := s.ByOID[oid].(*schema.Index); ok {
		if t = tableOf(s, x.Table); t == nil || x.SQLName == "" {
			return 0, nil
		}
		n, err := c.rowBytes(t, indexColumns(t, x))
		return pages(n), err
	}
	if t == nil {
		if systemRelation(oid) != nil || s.ByOID[oid] != nil {
			return 0, nil
		}
		return nil, nil
	}
	if t.View {
		return 0, nil
	}
	total := int64(0)
	if rows {
		var cols []string
		for _, col := range t.Columns {
			if col.GeneratedSQL == "" || col.Stored {
				cols = append(cols, col.Name)
			}
		}
		n, err := c.rowBytes(t, cols)
		if err != nil {
			return nil, err
		}
		total += pages(n)
	}
	if indexes {
		for _, x := range s.Indices(t) {
			if x.SQLName == "" {
				continue
			}
			n, err := c.rowBytes(t, indexColumns(t, x))
			if err != nil {
				return nil, err
			}
			total += pages(n)
		}
	}
	return total, nil
}

func indexColumns(t *schema.Table, x *schema.Index) []string {
	var cols []string
	for _, ic := range x.Columns {
		if col := t.ColumnByNum(ic.Column); col != nil {
			cols = append(cols, col.Name)
		}
	}
	return cols
}

// rowBytes adds up what columns need in SQLite's records.
func (c *call) rowBytes(t *schema.Table, cols []string) (int64, error) {
	sql := "SELECT total(12"
	for _, name := range cols {
		q := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		sql += " + CASE typeof(" + q + ") WHEN 'text' THEN 1 + octet_length(" + q + ") WHEN 'blob' THEN 1 + length(" + q +
			") WHEN 'real' THEN 9 WHEN 'integer' THEN 5 ELSE 1 END"
	}
	n, err := c.number(sql + `) FROM "` + strings.ReplaceAll(t.SQLName, `"`, `""`) + `"`)
	if err != nil {
		return 0, err
	}
	return n.(int64), nil
}

// pages rounds up to whole pages.
func pages(n int64) int64 { return (n + 4095) / 4096 * 4096 }

func privilegeFunctions() {
	object, text := funcs.Any, types.Text
	// Privileges aren't granted one by one: whoever is let in may use what is there. What the functions check is that
	// the object exists.
	check := func(kind types.Kind) func(c *call) (any, error) {
		return func(c *call) (any, error) {
			of := c.arg[0]
			if len(c.arg) >= 3 {
				of = c.arg[1]
			}
			name, ok := of.(string)
			if !ok {
				return true, nil
			}
			if kind == types.Unknown {
				return true, nil
			}
			if _, err := c.OIDOf(kind, name); err != nil {
				return nil, err
			}
			return true, nil
		}
	}
	add("has_table_privilege", check(types.Regclass), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_anycolumn_privilege", check(types.Regclass), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_sequence_privilege", check(types.Regclass), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_schema_privilege", check(types.Regnamespace), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	add("has_type_privilege", check(types.Regtype), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	for _, name := range []string{"has_database_privilege", "has_function_privilege", "has_language_privilege", "has_tablespace_privilege",
		"has_server_privilege", "has_foreign_data_wrapper_privilege", "has_parameter_privilege", "pg_has_role"} {
		add(name, check(types.Unknown), sig(types.Bool, 0, object, text), sig(types.Bool, 0, object, object, text))
	}
	add("has_column_privilege", func(c *call) (any, error) {
		if name, ok := c.arg[len(c.arg)-3].(string); ok {
			if _, err := c.OIDOf(types.Regclass, name); err != nil {
				return nil, err
			}
		}
		return true, nil
	}, sig(types.Bool, 0, object, object, text), sig(types.Bool, 0, object, object, object, text))
	add("row_security_active", constant(false), sig(types.Bool, 0, object))
	add("acldefault", func(c *call) (any, error) {
		owner := c.roleName(c.oid(1))
		rights := map[string]string{"r": "arwdDxt", "s": "rwU", "n": "UC", "d": "CTc", "f": "X", "l": "U", "T": "U", "t": "C", "F": "U", "S": "U"}
		list := []string{owner + "=" + rights[c.text(0)] + "/" + owner}
		switch c.text(0) {
		case "f", "T", "l":
			list = append([]string{"=" + rights[c.text(0)] + "/" + owner}, list...)
		case "d":
			list = append([]string{"=Tc/" + owner}, list...)
		}
		b, err := json.Marshal(list)
		return string(b), err
	}, arrayOf(types.AclItem, sig(0, 0, types.InternalChar, types.Oid)), arrayOf(types.AclItem, sig(0, 0, text, types.Oid)))
}

func setReturning() {
	text, oid, i4 := types.Text, types.Oid, types.Int4
	column := func(name string, k types.Kind) funcs.ResultColumn {
		return funcs.ResultColumn{Name: name, Type: types.T(k)}
	}
	addSet("pg_get_keywords", []funcs.ResultColumn{column("word", text), column("catcode", types.InternalChar), column("barelabel", types.Bool),
		column("catdesc", text), column("baredesc", text)}, types.Record, 0, nil,
		func(*Objects, conn, []any) ([][]any, error) {
			var out [][]any
			for _, line := range lines("keywords.tsv") {
				f := strings.Split(line, "\t")
				out = append(out, []any{f[0], f[1], f[2] == "t", f[3], f[4]})
			}
			return out, nil
		})
	addSet("pg_partition_ancestors", nil, types.Regclass, 0, []types.Kind{types.Regclass},
		func(*Objects, conn, []any) ([][]any, error) { return nil, nil })
	addSet("pg_partition_tree", []funcs.ResultColumn{column("relid", types.Regclass), column("parentrelid", types.Regclass),
		column("isleaf", types.Bool), column("level", i4)}, types.Record, 0, []types.Kind{types.Regclass},
		func(*Objects, conn, []any) ([][]any, error) { return nil, nil })
	addSet("pg_options_to_table", []funcs.ResultColumn{column("option_name", text), column("option_value", text)}, types.Record, 0,
		[]types.Kind{funcs.AnyArray}, func(_ *Objects, _ conn, arg []any) ([][]any, error) {
			var out [][]any
			for _, o := range jsonArray(arg[0]) {
				name, v, _ := strings.Cut(fmt.Sprint(o), "=")
				out = append(out, []any{name, v})
			}
			return out, nil
		})
	addSet("aclexplode", []funcs.ResultColumn{column("grantor", oid), column("grantee", oid), column("privilege_type", text),
		column("is_grantable", types.Bool)}, types.Record, 0, []types.Kind{funcs.AnyArray}, aclExplode)
	addSet("_pg_expandarray", []funcs.ResultColumn{{Name: "x", Type: types.T(funcs.AnyElem)}, column("n", i4)}, types.Record, 0,
		[]types.Kind{funcs.AnyArray}, expandArray)
	addSet("_pg_expandarray", []funcs.ResultColumn{column("x", types.Int2), column("n", i4)}, types.Record, 0,
		[]types.Kind{types.Int2Vector}, expandArray)
	addSet("pg_sequence_parameters", []funcs.ResultColumn{column("start_value", types.Int8), column("minimum_value", types.Int8),
		column("maximum_value", types.Int8), column("increment", types.Int8), column("cycle_option", types.Bool), column("cache_size", types.Int8),
		column("data_type", oid)}, types.Record, 0, []types.Kind{oid}, func(o *Objects, _ conn, arg []any) ([][]any, error) {
		n, _ := arg[0].(int64)
		q, ok := o.src.Schema().ByOID[uint32(n)].(*schema.Sequence)
		if !ok {
			return nil, nil
		}
		return [][]any{{q.Start, q.Min, q.Max, q.Increment, q.Cycle, q.Cache, q.Type.PGOID()}}, nil
	})
}

func expandArray(_ *Objects, _ conn, arg []any) ([][]any, error) {
	var out [][]any
	s, _ := arg[0].(string)
	if !strings.HasPrefix(s, "[") { // int2vector
		for i, f := range strings.Fields(s) {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return nil, err
			}
			out = append(out, []any{n, i + 1})
		}
		return out, nil
	}
	for i, e := range jsonArray(arg[0]) {
		out = append(out, []any{e, i + 1})
	}
	return out, nil
}

// jsonArray reads the storage form of an array.
func jsonArray(v any) []any {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var list []any
	if err := d.Decode(&list); err != nil {
		return nil
	}
	for i, e := range list {
		if n, ok := e.(json.Number); ok {
			if x, err := n.Int64(); err == nil {
				list[i] = x
			} else if f, err := n.Float64(); err == nil {
				list[i] = f
			}
		}
	}
	return list
}

// aclLetters are the privileges by their letters in access lists.
var aclLetters = map[rune]string{'r': "SELECT", 'w': "UPDATE", 'a': "INSERT", 'd': "DELETE", 'D': "TRUNCATE", 'x': "REFERENCES", 't': "TRIGGER",
	'X': "EXECUTE", 'U': "USAGE", 'C': "CREATE", 'T': "TEMPORARY", 'c': "CONNECT", 's': "SET", 'A': "ALTER SYSTEM"}

func aclExplode(_ *Objects, _ conn, arg []any) ([][]any, error) {
	var out [][]any
	for _, item := range jsonArray(arg[0]) {
		grantee, rest, ok := strings.Cut(fmt.Sprint(item), "=")
		rights, grantor, ok2 := strings.Cut(rest, "/")
		if !ok || !ok2 {
			continue
		}
		to := uint32(0)
		if grantee != "" {
			to = roleOID(grantee)
		}
		letters := []rune(rights)
		for i, l := range letters {
			if l == '*' {
				continue
			}
			out = append(out, []any{roleOID(grantor), to, aclLetters[l], i+1 < len(letters) && letters[i+1] == '*'})
		}
	}
	return out, nil
}
