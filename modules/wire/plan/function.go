package plan

import (
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// call resolves a function call.
func (b *builder) call(f *ir.Func, sc *level) *node {
	if f.Over != nil {
		return b.windowCall(f, sc)
	}
	if n := b.builtin(f, sc); n != nil {
		n.pos = f.Pos
		return n
	}
	if b.isAggregate(f) {
		return b.aggregateCall(f, sc)
	}
	args := b.callArgs(f, sc)
	if s, as := b.choose(b.plain(f), args, false); s != nil {
		if s.Form == funcs.SetReturning {
			return b.setCall(f, s, as, sc)
		}
		n := b.apply(s, as)
		n.pos = f.Pos
		return n
	}
	if n := b.castCall(f, args); n != nil {
		return n
	}
	b.noFunction(f, args)
	return nil
}

// plain are the overloads of a function that a call without OVER or aggregate clauses can mean.
func (b *builder) plain(f *ir.Func) []*funcs.Signature {
	switch f.Schema {
	case "", "pg_catalog", "information_schema", "public":
	default:
		if b.pg() {
			return nil
		}
	}
	return funcs.Lookup(b.d, f.Name)
}

func (b *builder) callArgs(f *ir.Func, sc *level) []*node {
	args := make([]*node, 0, len(f.Args))
	for _, a := range f.Args {
		n := b.interval(a, sc)
		args = append(args, n)
	}
	args = spread(args)
	if len(f.ArgNames) == len(args) {
		args = b.namedArgs(f, args)
	}
	return args
}

// namedArgs puts arguments given by name into their places. Signatures have no names: those that applications use by
// name are known here.
func (b *builder) namedArgs(f *ir.Func, args []*node) []*node {
	named := false
	for _, name := range f.ArgNames {
		named = named || name != ""
	}
	if !named {
		return args
	}
	order := argNames[f.Name]
	out := make([]*node, len(args))
	for i, a := range args {
		at := i
		if name := f.ArgNames[i]; name != "" {
			at = -1
			for k, want := range order {
				if want == name {
					at = k
				}
			}
			if at < 0 {
				b.noFunction(f, args)
			}
		}
		if at >= len(out) || out[at] != nil {
			b.noFunction(f, args)
		}
		out[at] = a
	}
	return out
}

var argNames = map[string][]string{
	"make_interval":    {"years", "months", "weeks", "days", "hours", "mins", "secs"},
	"make_date":        {"year", "month", "day"},
	"make_time":        {"hour", "min", "sec"},
	"make_timestamp":   {"year", "month", "mday", "hour", "min", "sec"},
	"make_timestamptz": {"year", "month", "mday", "hour", "min", "sec", "timezone"},
	"jsonb_set":        {"jsonb_in", "path", "replacement", "create_if_missing"},
	"parse_ident":      {"str", "strict"},
	"regexp_replace":   {"string", "pattern", "replacement", "start", "N", "flags"},
}

// castCall is PostgreSQL's int4(x), date(x): a conversion written as a function.
func (b *builder) castCall(f *ir.Func, args []*node) *node {
	if b.my() || len(args) != 1 || f.Schema != "" && f.Schema != "pg_catalog" {
		return nil
	}
	bt, ok := types.BuiltinByName(f.Name)
	if !ok {
		return nil
	}
	t, known := types.FromOID(bt.OID, -1)
	if !known || !args[0].open && !b.convertible(args[0].typ, t, explicit) {
		return nil
	}
	return b.coerce(args[0], t, explicit)
}

func (b *builder) noFunction(f *ir.Func, args []*node) {
	var ts []string
	for _, a := range args {
		if a.open && a.param == 0 || a.typ.Kind == types.Unknown {
			ts = append(ts, "unknown")
			continue
		}
		ts = append(ts, typeName(a.typ))
	}
	name := f.Name
	if f.Schema != "" {
		name = f.Schema + "." + name
	}
	known := len(funcs.Lookup(b.d, f.Name)) > 0
	err := sqlerr.New("42883", "function %s(%s) does not exist", name, strings.Join(ts, ", ")).
		WithHint("No function matches the given name and argument types. You might need to add explicit type casts.")
	if known {
		err.My(1582, "Incorrect parameter count in the call to native function '%s'", f.Name)
	} else {
		err.My(1305, "FUNCTION %s.%s does not exist", b.env.Database, f.Name)
	}
	b.failAt(err, f.Pos)
}

// internal calls a function that the packages below provide for the planner by name.
func (b *builder) internal(name string, args ...*node) *node {
	if n := b.tryInternal(name, args...); n != nil {
		return n
	}
	b.fail(sqlerr.New("42883", "function %s does not exist", name))
	return nil
}

func (b *builder) tryInternal(name string, args ...*node) *node {
	s, as := b.choose(funcs.Lookup(b.d, name), args, false)
	if s == nil {
		return nil
	}
	return b.apply(s, as)
}

// apply prints a call of a chosen signature with converted arguments.
func (b *builder) apply(s *funcs.Signature, args []*node) *node {
	b.writes = b.writes || s.Writes
	b.volatile = b.volatile || s.Writes || s.Volatile
	n := b.printCall(s, args)
	n.typ = b.resultType(s, args)
	b.setCollation(n)
	if n.typ.IsString() || s.Result == funcs.Same {
		for _, a := range args {
			if a.coll != "" && a.typ.IsString() {
				n.coll = a.coll
				break
			}
		}
	}
	n.span = span{}
	if s.Form == funcs.Scalar && n.typ.Kind == types.Bool {
		n.span = span{0, 1, true}
	}
	return n
}

func (b *builder) printCall(s *funcs.Signature, args []*node) *node {
	if s.SQL != "" {
		return b.template(s.SQL, args, types.Type{})
	}
	return atom(s.Name+"("+list(args)+")", types.Type{})
}

// resultType is the type of a call.
func (b *builder) resultType(s *funcs.Signature, args []*node) types.Type {
	if s.ResultOf != nil {
		ts := make([]types.Type, len(args))
		for i, a := range args {
			ts[i] = a.typ
		}
		return s.ResultOf(ts)
	}
	switch s.Result {
	case funcs.Same:
		if len(args) > 0 {
			return args[0].typ
		}
		return types.T(types.Text)
	case funcs.AnyElem, funcs.AnyArray:
		bd, _ := bind(s, len(args))
		elem, _ := b.element(bd, args)
		if elem.Kind == types.Unknown {
			elem = types.T(types.Text)
		}
		if s.Result == funcs.AnyArray {
			return b.arrayOf(elem)
		}
		return elem
	case funcs.Any:
		return types.T(types.Text)
	}
	return types.T(s.Result)
}

// builtin resolves the functions that are really syntax; nil for others.
func (b *builder) builtin(f *ir.Func, sc *level) *node {
	if f.Schema != "" && f.Schema != "pg_catalog" {
		return nil
	}
	switch f.Name {
	case "coalesce", "ifnull":
		if f.Name == "ifnull" && (b.pg() || len(f.Args) != 2) || len(f.Args) == 0 {
			return nil
		}
		return b.coalesce(f, sc)
	case "nullif":
		if len(f.Args) != 2 {
			return nil
		}
		l, r := b.expr(f.Args[0], sc), b.expr(f.Args[1], sc)
		cmp := b.compare("=", l, r, f.Pos)
		l = b.settle(l)
		lc, rc, coll, ok := b.comparable(l, r)
		if ok && lc.typ == l.typ {
			n := atom("nullif("+lc.arg()+coll+", "+rc.text()+")", l.typ)
			n.coll = l.coll
			return n
		}
		n := atom("CASE WHEN "+cmp.text()+" THEN NULL ELSE "+l.text()+" END", l.typ)
		n.coll = l.coll
		return n
	case "greatest", "least":
		return b.extreme(f, sc)
	case "if":
		if b.pg() || len(f.Args) != 3 {
			return nil
		}
		return b.caseExpr(&ir.Case{Whens: []ir.When{{Cond: f.Args[0], Then: f.Args[1]}}, Else: f.Args[2], Pos: f.Pos}, sc)
	case "pg_typeof":
		if b.pg() && len(f.Args) == 1 {
			a := b.expr(f.Args[0], sc)
			t := a.typ
			if a.open && a.param == 0 {
				t = types.T(types.Unknown)
			}
			return constant(types.IntValue(int64(t.PGOID())), types.T(types.Regtype))
		}
	case "values":
		if b.my() && len(f.Args) == 1 {
			return b.insertedValue(f, sc)
		}
	case "default":
		if ref, ok := f.Args[0].(*ir.ColumnRef); ok && b.my() && len(f.Args) == 1 {
			n := b.columnRef(ref, sc)
			if n.column == nil || n.column.source == nil {
				b.failAt(sqlerr.New("42601", "DEFAULT needs a column").My(1364, "Field '%s' doesn't have a default value", ref.Name), f.Pos)
			}
			return b.defaultNode(n.column.source, n.column.table)
		}
	case "isnull":
		if b.my() && len(f.Args) == 1 {
			return b.is(&ir.Is{X: f.Args[0], What: "NULL", Pos: f.Pos}, sc)
		}
	}
	return b.json(f, sc)
}

func (b *builder) coalesce(f *ir.Func, sc *level) *node {
	args := b.exprs(f.Args, sc)
	t := b.commonType(args, "COALESCE")
	if t.Kind == types.Unknown {
		t = types.T(types.Text)
	}
	coll := b.resultCollation(args)
	s := span{known: true, lo: 1, hi: 0}
	notNull := false
	parts := make([]string, len(args))
	for i := range args {
		args[i] = b.coerce(args[i], t, implicit)
		parts[i] = args[i].text()
		s = s.join(args[i].span)
		notNull = notNull || args[i].notNull
	}
	var n *node
	switch len(args) {
	case 1:
		n = raw(parts[0], t)
	case 2:
		n = atom("ifnull("+parts[0]+", "+parts[1]+")", t)
	default:
		n = atom("coalesce("+strings.Join(parts, ", ")+")", t)
	}
	b.setCollation(n)
	if t.IsString() {
		n.coll = coll
	}
	n.span, n.notNull = s, notNull
	return n
}

// extreme is GREATEST and LEAST.
func (b *builder) extreme(f *ir.Func, sc *level) *node {
	args := b.exprs(f.Args, sc)
	if len(args) == 0 {
		return nil
	}
	t := b.commonType(args, strings.ToUpper(f.Name))
	if t.Kind == types.Unknown {
		t = types.T(types.Text)
	}
	for i := range args {
		args[i] = b.coerce(args[i], t, implicit)
	}
	coll := b.resultCollation(args)
	op := "<"
	if f.Name == "greatest" {
		op = ">"
	}
	if b.pg() {
		// NULLs are left out.
		acc := args[0]
		for _, a := range args[1:] {
			cmp := b.compare(op, a, acc, f.Pos)
			sql := "CASE WHEN " + acc.arg() + " IS NULL OR " + cmp.arg() + " THEN " + a.text() + " ELSE " + acc.text() + " END"
			acc = atom(sql, t)
			b.setCollation(acc)
		}
		if len(args) > 3 {
			// Nested CASEs double with each argument: let the values be read once.
			name := map[string]string{"greatest": "max", "least": "min"}[f.Name]
			if cl := classOf(t); cl != enumClass && cl != equalOnly && cl != noClass {
				parts := make([]string, len(args))
				for i, a := range args {
					parts[i] = "(" + a.text() + ")"
				}
				probe := &node{sql: "column1", atom: true, typ: t, coll: args[0].coll}
				acc = atom("(SELECT "+name+"("+b.keyed(probe)+") FROM (VALUES "+strings.Join(parts, ", ")+"))", t)
				b.setCollation(acc)
			}
		}
		acc.coll = coll
		return acc
	}
	name := "min"
	if op == ">" {
		name = "max"
	}
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = a.text()
		if i == 0 {
			parts[i] = b.keyed(a)
		}
	}
	if len(parts) == 1 {
		return args[0]
	}
	n := atom(name+"("+strings.Join(parts, ", ")+")", t)
	b.setCollation(n)
	if t.IsString() {
		n.coll = coll
	}
	return n
}

// outputText is a value as PostgreSQL sends it to clients: its text, with t and f for booleans.
func (b *builder) outputText(n *node) *node {
	if n.typ.Kind == types.Bool {
		return atom("CASE "+n.arg()+" WHEN 1 THEN 't' WHEN 0 THEN 'f' END", types.T(types.Text))
	}
	if t := b.textOf(n); t != nil {
		return t
	}
	return n
}

// recordText prints a row as PostgreSQL shows it: (a,b).
func (b *builder) recordText(n *node) string {
	args := make([]*node, len(n.row))
	for i, f := range n.row {
		args[i] = b.outputText(b.settle(f))
	}
	if r := b.tryInternal("bop_record", args...); r != nil {
		return r.text()
	}
	// Quotes are only put where the text needs them: empty, or with a character that has a meaning in rows.
	parts := make([]string, len(args))
	for i, a := range args {
		s := a.arg()
		switch {
		case a.isNull():
			parts[i] = "''"
			continue
		case classOf(n.row[i].typ) == intClass || classOf(n.row[i].typ) == boolClass || classOf(n.row[i].typ) == uuidClass || classOf(n.row[i].typ) == numericClass:
			parts[i] = "ifnull(" + a.text() + ", '')"
			continue
		}
		parts[i] = fmt.Sprintf(`ifnull(CASE WHEN %[1]s = '' OR %[1]s GLOB '*[ ",()\]*' THEN '"' || replace(replace(%[2]s, '\', '\\'), '"', '""') || '"' ELSE %[2]s END, '')`, s, a.text())
	}
	return "'(' || " + strings.Join(parts, " || ',' || ") + " || ')'"
}
