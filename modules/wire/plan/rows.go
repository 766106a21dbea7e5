package plan

import (
	"strconv"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// tableCall is a set-returning function: a table-valued function of SQLite with its columns.
type tableCall struct {
	sql     string // the call without its alias
	ref     string // quoted alias
	columns []*column
	single  bool   // one column, that of a scalar type
	ordinal string // the row's number, "" its rowid

	// of a call in a select list, to print it again over a grouped query:
	sig  *funcs.Signature
	args []*node
	name string
}

// tableCallOf prints a chosen set-returning signature under an alias.
func (b *builder) tableCallOf(s *funcs.Signature, args []*node, alias string) *tableCall {
	n := b.apply(s, args)
	c := &tableCall{sql: n.text(), ref: quote(b.alias(alias))}
	if len(s.Columns) == 0 {
		c.single = true
		col := &column{name: alias, alias: alias, sql: c.ref + ".value", typ: n.typ}
		if n.typ.Kind == types.Array && s.Result == types.Array {
			col.typ = n.typ
		}
		b.columnCollation(col)
		c.columns = []*column{col}
		return c
	}
	for _, rc := range s.Columns {
		col := &column{name: rc.Name, alias: alias, sql: c.ref + "." + quote(rc.Name), typ: rc.Type}
		switch rc.Type.Kind {
		case funcs.AnyElem:
			bd, _ := bind(s, len(args))
			col.typ, _ = b.element(bd, args)
		}
		b.columnCollation(col)
		c.columns = append(c.columns, col)
	}
	return c
}

func (b *builder) columnCollation(c *column) {
	n := &node{typ: c.typ}
	b.setCollation(n)
	c.coll = n.coll
}

// setCall is a set-returning function in a select list: each of its rows makes a row of the result.
func (b *builder) setCall(f *ir.Func, s *funcs.Signature, args []*node, sc *level) *node {
	if sc.clause != inSelect && sc.clause != inOrder {
		b.failAt(sqlerr.New("0A000", "set-returning functions are not allowed in %s", clauseNames[sc.clause]), f.Pos)
	}
	c := b.tableCallOf(s, args, f.Name)
	c.sig, c.args, c.name = s, args, f.Name
	sc.sets = append(sc.sets, c)
	if c.single {
		n := c.columns[0].node()
		n.column, n.rows = nil, c
		return n
	}
	n := &node{typ: types.T(types.Record), atom: true, row: []*node{}}
	for _, col := range c.columns {
		n.row = append(n.row, col.node())
		n.names = append(n.names, col.name)
	}
	return n
}

// joinSets adds the set-returning functions of a select list to FROM. Several advance in step, as far as the first has
// rows.
func (b *builder) joinSets(r *relation, sc *level) {
	c := r.core
	if sc.grouped {
		c = b.expandGrouped(r, sc)
	}
	for i, t := range sc.sets {
		part := t.sql + " AS " + t.ref
		switch {
		case c.from == "":
			c.from = part
		case i == 0:
			c.from += " JOIN " + part
		default:
			c.from += " LEFT JOIN " + part + " ON " + t.ref + ".rowid = " + sc.sets[0].ref + ".rowid"
		}
	}
}

// expandGrouped puts a grouped query into FROM, so that the set-returning functions of its select list run over its rows.
func (b *builder) expandGrouped(r *relation, sc *level) *core {
	inner := r.core
	ref := quote(b.alias("q"))
	var hidden []output
	keep := func(n *node) *node {
		n = b.settle(n)
		if n.value != nil {
			return n
		}
		name := "c" + strconv.Itoa(len(hidden)+1)
		hidden = append(hidden, output{name, n})
		out := *n
		out.sql, out.atom, out.column, out.fast = ref+"."+quote(name), true, nil, ""
		return &out
	}
	outer := &core{distinct: inner.distinct, on: inner.on}
	found := 0
	for _, o := range inner.outputs {
		if o.node.rows == nil {
			outer.outputs = append(outer.outputs, output{o.name, keep(o.node)})
			continue
		}
		found++
		outer.outputs = append(outer.outputs, o)
	}
	if found != len(sc.sets) || len(inner.on) > 0 {
		b.unsupported("an expression around a set-returning function in the select list of a grouped query")
	}
	for i, t := range sc.sets {
		args := make([]*node, len(t.args))
		for k, a := range t.args {
			args[k] = keep(a)
		}
		alias := t.ref
		again := b.tableCallOf(t.sig, args, t.name)
		again.ref = alias
		sc.sets[i] = again
	}
	for i := range r.order {
		if r.order[i].ordinal == 0 {
			r.order[i].node = keep(r.order[i].node)
		}
	}
	plain := *inner
	plain.outputs, plain.distinct = hidden, false
	names := make([]string, len(hidden))
	for i := range hidden {
		names[i] = hidden[i].name
	}
	var s strings.Builder
	plain.print(b, &s, names, &relation{core: &plain})
	outer.from = "(" + s.String() + ") AS " + ref
	r.core = outer
	return outer
}

// tableFunc is a function in FROM.
func (b *builder) tableFunc(t *ir.TableFunc, sc *level) (string, []*item) {
	var calls []*tableCall
	saved := sc.clause
	sc.clause = inFrom
	used := sc.uses
	name := t.Alias
	if name == "" && len(t.Funcs) > 0 {
		name = t.Funcs[0].Name
	}
	for _, f := range t.Funcs {
		if f.Name == "unnest" && len(f.Args) > 1 && b.pg() {
			calls = append(calls, b.unnestAll(f, name, sc))
			continue
		}
		calls = append(calls, b.funcInFrom(f, name, t, sc, used))
	}
	sc.clause = saved
	it := &item{name: name, visible: true, named: true, ref: calls[0].ref}
	sql := ""
	for i, c := range calls {
		part := c.sql + " AS " + c.ref
		if c.ref == "" {
			part = c.sql
		}
		switch i {
		case 0:
			sql = part
		default:
			sql += " FULL JOIN " + part + " ON " + c.ref + ".rowid = " + calls[0].ref + ".rowid"
		}
		it.columns = append(it.columns, c.columns...)
	}
	if len(calls) == 1 && calls[0].single {
		it.scalar = len(t.Columns) == 0 || !t.Ordinality
		if t.Alias != "" && len(t.Columns) == 0 && it.columns[0].name != "value" {
			it.columns[0].name = t.Alias
		}
	}
	if t.Ordinality {
		it.scalar = false
		number := calls[0].ordinal
		if number == "" {
			number = "(" + calls[0].ref + ".rowid)"
		}
		it.columns = append(it.columns, &column{name: "ordinality", alias: name, sql: number, typ: types.T(types.Int8), notNull: true, span: span{1, 1 << 62, true}})
	}
	b.renameColumns(it, t.Columns)
	if len(calls) > 1 {
		sql = "(" + sql + ")"
	}
	return sql, []*item{it}
}

// unnestAll is unnest of several arrays: the rows of the longest, with the elements of each.
func (b *builder) unnestAll(f *ir.Func, alias string, sc *level) *tableCall {
	ref := quote(b.alias(alias))
	c := &tableCall{ref: ref, ordinal: "(" + ref + ".key + 1)"}
	longest := ""
	for _, e := range f.Args {
		n := b.settle(b.expr(e, sc))
		elem, source := b.elements(n, f.Pos)
		source = "(" + source + ")"
		if longest == "" {
			longest = source
		} else {
			longest = "iif(ifnull(json_array_length(" + longest + "), 0) >= ifnull(json_array_length(" + source + "), 0), " + longest + ", " + source + ")"
		}
		col := &column{name: "unnest", alias: alias, sql: "(" + source + " ->> " + ref + ".key)", typ: elem}
		b.columnCollation(col)
		c.columns = append(c.columns, col)
	}
	c.sql = "json_each(" + longest + ")"
	return c
}

func (b *builder) funcInFrom(f *ir.Func, alias string, t *ir.TableFunc, sc *level, used int) *tableCall {
	if len(t.Types) > 0 {
		if c := b.recordset(f, alias, t, sc); c != nil {
			return c
		}
	}
	args := b.callArgs(f, sc)
	sigs := b.plain(f)
	sets := filterForm(sigs, funcs.SetReturning)
	if s, as := b.choose(sets, args, false); s != nil {
		c := b.tableCallOf(s, as, alias)
		if c.single {
			c.columns[0].name = f.Name
			if strings.HasSuffix(f.Name, "_array_elements") || strings.HasSuffix(f.Name, "_array_elements_text") {
				c.columns[0].name = "value" // theirs has a name, which an alias doesn't change
			}
		}
		return c
	}
	// A function of one value is a table of one row.
	n := b.settle(b.call(f, sc))
	ref := quote(b.alias(alias))
	c := &tableCall{ref: ref, single: true}
	col := &column{name: f.Name, alias: alias, sql: ref + `."value"`, typ: n.typ, coll: n.coll}
	c.columns = []*column{col}
	c.sql = "(SELECT " + n.text() + ` AS "value")`
	if sc.uses != used {
		c.sql = "json_each(json_array(" + b.jsonElement(n) + "))"
	}
	return c
}

// recordset is a function with a column definition list: json_to_recordset(…) AS t(a int, b text).
func (b *builder) recordset(f *ir.Func, alias string, t *ir.TableFunc, sc *level) *tableCall {
	set := strings.HasSuffix(f.Name, "_to_recordset")
	if !set && !strings.HasSuffix(f.Name, "_to_record") || len(f.Args) != 1 {
		b.unsupported("a column definition list for " + f.Name)
	}
	kind := types.JSONB
	if strings.HasPrefix(f.Name, "json_") {
		kind = types.JSON
	}
	arg := b.coerce(b.expr(f.Args[0], sc), types.T(kind), implicit)
	ref := quote(b.alias(alias))
	c := &tableCall{ref: ref}
	c.sql = "json_each(" + arg.text() + ")"
	if !set {
		c.sql = "json_each(json_array(json(" + arg.text() + ")))"
	}
	for i, name := range t.Columns {
		if i >= len(t.Types) {
			break
		}
		to := b.typeOf(&t.Types[i])
		path := stringSQL("$." + strconv.Quote(name))
		n := atom("("+ref+".value ->> "+path+")", types.T(types.Text))
		if to.Kind == types.JSON || to.Kind == types.JSONB {
			n = atom("("+ref+".value -> "+path+")", to)
		}
		if to.IsInteger() || isFloat(to) || to.Kind == types.Bool {
			n.typ = to
		} else {
			n = b.coerce(n, to, explicit)
		}
		c.columns = append(c.columns, &column{name: name, alias: alias, sql: n.arg(), typ: to})
	}
	t.Columns = nil
	return c
}
