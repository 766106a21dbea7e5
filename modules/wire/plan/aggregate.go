package plan

import (
	"fmt"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// aggregateCall resolves an aggregate.
func (b *builder) aggregateCall(f *ir.Func, sc *level) *node {
	switch sc.clause {
	case inWhere, inGroup, inJoin, inValues, inReturning, inFrom:
		b.failAt(sqlerr.New("42803", "aggregate functions are not allowed in %s", clauseNames[sc.clause]).
			My(1111, "Invalid use of group function"), f.Pos)
	}
	if sc.inside > 0 {
		b.failAt(sqlerr.New("42803", "aggregate function calls cannot be nested").My(1111, "Invalid use of group function"), f.Pos)
	}
	sc.aggregate = true
	sc.inside++
	n := b.aggregateBody(f, sc)
	if f.Filter != nil {
		n.sql += " FILTER (WHERE " + b.truth(b.mustBool(b.expr(f.Filter, sc), "FILTER", posOf(f.Filter))) + ")"
	}
	sc.inside--
	if n.wrap != "" {
		n.sql = strings.Replace(n.wrap, "$1", n.sql, 1)
	}
	n.pos = f.Pos
	return n
}

// aggregateBody prints the call itself, without FILTER and OVER.
func (b *builder) aggregateBody(f *ir.Func, sc *level) *node {
	if f.Star {
		if f.Name != "count" {
			b.failAt(sqlerr.New("42883", "function %s() does not exist", f.Name).My(1305, "FUNCTION %s does not exist", f.Name), f.Pos)
		}
		n := atom("count(*)", types.T(types.Int8))
		n.notNull = f.Filter == nil
		return n
	}
	args := b.exprs(f.Args, sc)
	if f.Name == "count" && len(args) >= 1 {
		return b.count(f, args)
	}
	if f.WithinGroup {
		return b.withinGroup(f, args, sc)
	}
	if (f.Name == "min" || f.Name == "max") && len(args) == 1 {
		if n := b.extremeOf(f.Name, args[0]); n != nil {
			return n
		}
	}
	if n := b.jsonAggregate(f, args, sc); n != nil {
		return n
	}
	sigs := filterForm(b.plain(f), funcs.Aggregate)
	s, as := b.choose(sigs, args, false)
	if s == nil {
		if n := b.nativeAggregate(f, args); n != nil {
			return n
		}
		b.noFunction(f, args)
	}
	if f.Distinct && len(as) > 1 {
		return b.distinctText(f, as, sc)
	}
	return b.applyAggregate(f, s, as, sc)
}

func filterForm(sigs []*funcs.Signature, form funcs.Form) []*funcs.Signature {
	var out []*funcs.Signature
	for _, s := range sigs {
		if s.Form == form {
			out = append(out, s)
		}
	}
	return out
}

// applyAggregate prints an aggregate with DISTINCT and ORDER BY inside its parentheses.
func (b *builder) applyAggregate(f *ir.Func, s *funcs.Signature, args []*node, sc *level) *node {
	prefix, suffix := "", ""
	if f.Distinct {
		prefix = "DISTINCT "
	}
	if len(f.OrderBy) > 0 {
		suffix = " ORDER BY " + b.orderInside(f.OrderBy, sc)
	}
	if f.Distinct && len(args) > 0 {
		a := *args[0]
		a.sql, a.value = b.keyed(args[0]), nil
		args[0] = &a
	}
	n := b.printCall(s, args)
	n.typ = b.resultType(s, args)
	if prefix != "" || suffix != "" {
		// The call is the outermost one of the template, or the template is one call.
		open, end := callParens(n.sql)
		if open < 0 {
			b.unsupported(f.Name + " with DISTINCT or ORDER BY")
		}
		n.sql = n.sql[:open+1] + prefix + n.sql[open+1:end] + suffix + n.sql[end:]
	}
	b.setCollation(n)
	if n.typ.IsString() && len(args) > 0 {
		n.coll = args[0].coll
	}
	b.volatile = b.volatile || s.Writes
	return n
}

// callParens finds the parentheses of the call that a printed aggregate consists of.
func callParens(sql string) (open, end int) {
	if !isPlainCall(sql) {
		return -1, -1
	}
	return strings.IndexByte(sql, '('), len(sql) - 1
}

func isPlainCall(sql string) bool { return isCall(sql) && sql[0] != '(' }

func (b *builder) count(f *ir.Func, args []*node) *node {
	for i := range args {
		args[i] = b.settle(args[i])
	}
	n := atom("", types.T(types.Int8))
	n.notNull = true
	switch {
	case len(args) == 1 && args[0].row != nil && args[0].sql == "":
		if len(args[0].row) == 1 {
			args[0] = args[0].row[0]
			break
		}
		if f.Distinct {
			n.sql = "count(DISTINCT " + b.rowKey(args[0].row) + ")"
		} else {
			n.sql = "count(*)" // a row of columns is not NULL
		}
		return n
	case len(args) > 1:
		// MySQL: combinations without a NULL.
		var nulls []string
		for _, a := range args {
			nulls = append(nulls, a.arg()+" IS NOT NULL")
		}
		n.sql = "count(DISTINCT CASE WHEN " + strings.Join(nulls, " AND ") + " THEN " + b.rowKey(args) + " END)"
		return n
	}
	if f.Distinct {
		n.sql = "count(DISTINCT " + b.keyed(args[0]) + ")"
		return n
	}
	n.sql = "count(" + args[0].text() + ")"
	return n
}

// rowKey is one value that is equal for equal rows.
func (b *builder) rowKey(ns []*node) string {
	parts := make([]string, len(ns))
	for i, n := range ns {
		n = b.settle(n)
		parts[i] = n.text()
		switch {
		case n.typ.Kind == types.Bytes:
			parts[i] = "hex(" + n.text() + ")"
		case n.coll == "bop_ci":
			parts[i] = "lower(" + n.text() + ")"
		}
	}
	return "json_array(" + strings.Join(parts, ", ") + ")"
}

// extremeOf is min or max of values that SQLite orders by itself; nil for others.
func (b *builder) extremeOf(name string, a *node) *node {
	if a.row != nil {
		return nil
	}
	a = b.settle(a)
	switch cl := classOf(a.typ); {
	case cl == enumClass && b.enum(a.typ) != nil:
		e := b.enum(a.typ)
		var s strings.Builder
		fmt.Fprintf(&s, "CASE %s(%s)", name, b.enumOrder(a))
		for i, l := range e.Labels {
			fmt.Fprintf(&s, " WHEN %d THEN %s", i+1, stringSQL(l))
		}
		s.WriteString(" END")
		return atom(s.String(), a.typ)
	case cl == noClass || cl == equalOnly || cl == boolClass && b.pg():
		return nil
	}
	n := atom(name+"("+b.keyed(a)+")", a.typ)
	if b.pg() && a.typ.Kind == types.Varchar || a.typ.Kind == types.Name {
		n.typ = types.T(types.Text)
	}
	n.coll, n.span = a.coll, a.span
	return n
}

// nativeAggregate prints aggregates that SQLite has where no signature is defined; nil for others.
func (b *builder) nativeAggregate(f *ir.Func, args []*node) *node {
	if len(args) != 1 || args[0].open {
		return nil
	}
	a := args[0]
	distinct := ""
	if f.Distinct {
		distinct = "DISTINCT "
	}
	switch {
	case f.Name == "sum" && classOf(a.typ) == floatClass:
		return atom("sum("+distinct+a.text()+")", types.T(a.typ.Kind))
	case f.Name == "avg" && classOf(a.typ) == floatClass:
		return atom("avg("+distinct+a.text()+")", types.T(types.Float8))
	}
	return nil
}

// orderInside prints ORDER BY inside an aggregate or a window.
func (b *builder) orderInside(order []ir.Order, sc *level) string {
	parts := make([]string, 0, len(order))
	for _, o := range order {
		n := b.settle(b.expr(o.Expr, sc))
		if n.value != nil {
			continue // a constant sorts nothing
		}
		if n.row != nil && n.sql == "" {
			n = b.record(n)
		}
		parts = append(parts, b.sortExpr(n)+b.direction(sortKey{desc: o.Desc, nulls: o.Nulls}, n))
	}
	if len(parts) == 0 {
		return "NULL"
	}
	return strings.Join(parts, ", ")
}

// distinctText is string_agg(DISTINCT x, separator) and its like: SQLite has DISTINCT for one argument only, so the
// values are collected first and joined behind.
func (b *builder) distinctText(f *ir.Func, args []*node, sc *level) *node {
	suffix := ""
	if len(f.OrderBy) > 0 {
		suffix = " ORDER BY " + b.orderInside(f.OrderBy, sc)
	}
	join := b.joinText(len(args))
	if join == "" {
		b.unsupported(f.Name + "(DISTINCT …) with several arguments")
	}
	n := atom("json_group_array(DISTINCT "+b.keyed(args[0])+suffix+")", args[0].typ)
	n.typ = types.T(types.Text)
	n.coll = args[0].coll
	n.wrap = "(SELECT nullif(" + strings.ReplaceAll(join, "$2", args[1].text()) + ", ''))"
	// NULLs are left out by the joining.
	return n
}

// joinText joins the strings of a JSON array $1 with the separator $2.
func (b *builder) joinText(args int) string {
	if args != 2 {
		return ""
	}
	return "(SELECT group_concat(value, $2) FROM json_each($1) WHERE value IS NOT NULL)"
}

// withinGroup is an ordered-set aggregate: percentile_cont(0.5) WITHIN GROUP (ORDER BY x). Its function gets the direct
// arguments behind the sorted one.
func (b *builder) withinGroup(f *ir.Func, args []*node, sc *level) *node {
	if len(f.OrderBy) != 1 {
		b.unsupported(f.Name + " WITHIN GROUP with several keys")
	}
	o := f.OrderBy[0]
	x := b.expr(o.Expr, sc)
	sigs := filterForm(b.plain(f), funcs.Aggregate)
	all := append([]*node{x}, args...)
	s, as := b.choose(sigs, all, false)
	if s == nil {
		b.noFunction(f, all)
	}
	call := *f
	call.OrderBy = []ir.Order{o}
	return b.applyAggregate(&call, s, as, sc)
}

// windowFuncs are the window functions that SQLite has under the same names: arguments and result.
var windowFuncs = map[string]struct {
	least, most int
	result      types.Kind
}{
	"row_number":   {0, 0, types.Int8},
	"rank":         {0, 0, types.Int8},
	"dense_rank":   {0, 0, types.Int8},
	"percent_rank": {0, 0, types.Float8},
	"cume_dist":    {0, 0, types.Float8},
	"ntile":        {1, 1, types.Int4},
	"lag":          {1, 3, funcs.Same},
	"lead":         {1, 3, funcs.Same},
	"first_value":  {1, 1, funcs.Same},
	"last_value":   {1, 1, funcs.Same},
	"nth_value":    {2, 2, funcs.Same},
}

// windowCall resolves a call with OVER.
func (b *builder) windowCall(f *ir.Func, sc *level) *node {
	switch sc.clause {
	case inWhere, inGroup, inHaving, inJoin, inValues, inReturning, inFrom:
		b.failAt(sqlerr.New("42P20", "window functions are not allowed in %s", clauseNames[sc.clause]).
			My(3593, "You cannot use the window function '%s' in this context.'", f.Name), f.Pos)
	}
	var n *node
	if w, ok := windowFuncs[f.Name]; ok && len(f.Args) >= w.least && len(f.Args) <= w.most {
		args := b.exprs(f.Args, sc)
		t := types.T(w.result)
		if w.result == funcs.Same {
			args[0] = b.settle(args[0])
			t = args[0].typ
			if len(args) > 1 {
				args[1] = b.coerce(args[1], types.T(types.Int4), assignment)
			}
			if len(args) > 2 {
				pair := []*node{args[0], args[2]}
				t = b.commonType(pair, f.Name)
				args[0], args[2] = b.coerce(args[0], t, implicit), b.coerce(args[2], t, implicit)
			}
		} else if len(args) > 0 {
			args[0] = b.coerce(args[0], types.T(types.Int4), assignment)
		}
		n = atom(f.Name+"("+list(args)+")", t)
		b.setCollation(n)
		if len(args) > 0 {
			n.coll = args[0].coll
		}
		n.notNull = w.least == 0
	} else {
		n = b.aggregateBody(f, sc)
		n.notNull = n.notNull && f.Filter == nil
	}
	if f.Filter != nil {
		n.sql += " FILTER (WHERE " + b.truth(b.mustBool(b.expr(f.Filter, sc), "FILTER", posOf(f.Filter))) + ")"
	}
	n.sql += " OVER " + b.window(f.Over, sc)
	if n.wrap != "" {
		n.sql = strings.Replace(n.wrap, "$1", n.sql, 1)
	}
	n.pos = f.Pos
	return n
}

// window prints what stands behind OVER.
func (b *builder) window(w *ir.Window, sc *level) string {
	if w.Name != "" && len(w.Partition) == 0 && len(w.OrderBy) == 0 && w.Frame == "" {
		b.windowNamed(w.Name, sc)
		return quote(w.Name)
	}
	return "(" + b.windowSpec(w, sc) + ")"
}

func (b *builder) windowNamed(name string, sc *level) {
	for _, nw := range sc.windows {
		if b.same(nw.Name, name) {
			return
		}
	}
	b.fail(sqlerr.New("42704", "window \"%s\" does not exist", name).My(3579, "Window name '%s' is not defined.", name))
}

func (b *builder) windowSpec(w *ir.Window, sc *level) string {
	var parts []string
	if w.Name != "" {
		b.windowNamed(w.Name, sc)
		parts = append(parts, quote(w.Name))
	}
	if len(w.Partition) > 0 {
		keys := make([]string, 0, len(w.Partition))
		for _, e := range w.Partition {
			n := b.settle(b.expr(e, sc))
			if n.row != nil && n.sql == "" {
				n = b.record(n)
			}
			keys = append(keys, b.keyed(n))
		}
		parts = append(parts, "PARTITION BY "+strings.Join(keys, ", "))
	}
	if len(w.OrderBy) > 0 {
		parts = append(parts, "ORDER BY "+b.orderInside(w.OrderBy, sc))
	}
	if w.Frame != "" {
		frame := w.Frame
		for _, e := range w.Bounds {
			n := b.coerce(b.expr(e, sc), types.T(types.Int8), assignment)
			frame = strings.Replace(frame, "%s", n.arg(), 1)
		}
		parts = append(parts, frame)
	}
	return strings.Join(parts, " ")
}

func (b *builder) namedWindows(ws []ir.NamedWindow, sc *level) string {
	saved := sc.clause
	sc.clause = inOrder
	parts := make([]string, len(ws))
	for i := range ws {
		parts[i] = quote(ws[i].Name) + " AS (" + b.windowSpec(&ws[i].Spec, sc) + ")"
	}
	sc.clause = saved
	return strings.Join(parts, ", ")
}
