package plan

import (
	"slices"
	"strings"

	"github.com/bop-platform/bop/modules/wire/funcs"
	"github.com/bop-platform/bop/modules/wire/ir"
	"github.com/bop-platform/bop/modules/wire/sqlerr"
	"github.com/bop-platform/bop/modules/wire/types"
)

// selectBody resolves a SELECT with its ORDER BY.
func (b *builder) selectBody(s *ir.Select, q *ir.Query, r *relation, sc *level) {
	c := &core{distinct: s.Distinct}
	r.core = c
	if len(s.From) > 0 {
		c.from = b.from(s.From, sc)
	}
	sc.windows = s.Windows
	if s.Where != nil {
		c.where = b.condition(s.Where, sc, inWhere, "WHERE")
	}
	sc.grouped = len(s.GroupBy) > 0 || s.Having != nil || b.aggregates(s, q.OrderBy)
	if len(s.GroupBy) > 0 {
		c.group = b.groupBy(s, sc)
	}

	sc.clause, sc.checking = inSelect, sc.grouped && b.pg()
	for _, it := range s.Items {
		c.outputs = append(c.outputs, b.item(it, sc)...)
	}
	b.checkGrouped(sc)
	for i := range c.outputs {
		o := c.outputs[i]
		if b.my() && o.name != "" {
			sc.outputs = append(sc.outputs, o)
		}
	}
	if s.Having != nil {
		sc.outputsFirst = false
		c.having = b.condition(s.Having, sc, inHaving, "HAVING")
		if c.group == "" && !sc.aggregate {
			// SQLite wants an aggregate beside HAVING. Without one there is one row, of constants.
			inner := "(SELECT count(*)"
			if c.from != "" {
				inner += " FROM " + c.from
			}
			c.from, c.where, c.having = inner+")", c.having, ""
		}
	}
	for _, e := range s.DistinctOn {
		sc.clause = inOrder
		k := b.orderKey(e, c.outputs, sc)
		n := k.node
		if k.ordinal > 0 {
			n = c.outputs[k.ordinal-1].node
		}
		c.on = append(c.on, n)
	}
	if len(q.OrderBy) > 0 {
		b.orderBy(q.OrderBy, s, c, r, sc)
	}
	if len(s.Windows) > 0 {
		c.windows = b.namedWindows(s.Windows, sc)
	}
	b.checkGrouped(sc)
	if len(sc.sets) > 0 {
		b.joinSets(r, sc)
		r.core.expanded = true
	}
	if s.WithRollup {
		b.rollup(s, c, sc)
	}
}

// condition resolves WHERE, HAVING or a condition like them.
func (b *builder) condition(e ir.Expr, sc *level, in clause, name string) string {
	saved := sc.clause
	sc.clause = in
	n := b.mustBool(b.expr(e, sc), name, posOf(e))
	sc.clause = saved
	return b.truth(n)
}

// truth prints a condition.
func (b *builder) truth(n *node) string {
	n = b.settle(n)
	return n.text()
}

// item resolves an element of a select list.
func (b *builder) item(it ir.Item, sc *level) []output {
	switch e := it.Expr.(type) {
	case *ir.Star:
		return b.star(e, sc)
	case *ir.Field:
		if e.Name == "*" {
			n := b.expr(e.X, sc)
			if n.row == nil || n.names == nil {
				b.failAt(sqlerr.New("42809", "type %s is not composite", typeName(n.typ)), e.Pos)
			}
			var out []output
			for i, f := range n.row {
				out = append(out, output{n.names[i], f})
			}
			return out
		}
	}
	n := b.expr(it.Expr, sc)
	name := it.Alias
	if name == "" {
		name = b.outputName(it)
	}
	if n.typ.Kind == types.Void {
		v := *n
		v.typ = types.T(types.Text)
		n = &v
	}
	return []output{{name, n}}
}

// aggregates reports whether a SELECT that has no GROUP BY calls an aggregate in its list or ORDER BY.
func (b *builder) aggregates(s *ir.Select, order []ir.Order) bool {
	for _, it := range s.Items {
		if b.hasAggregate(it.Expr) {
			return true
		}
	}
	for _, o := range order {
		if b.hasAggregate(o.Expr) {
			return true
		}
	}
	return false
}

// hasAggregate looks for a call of an aggregate that isn't a window function, outside of subqueries.
func (b *builder) hasAggregate(e ir.Expr) bool {
	found := false
	walk(e, func(e ir.Expr) bool {
		if f, ok := e.(*ir.Func); ok && f.Over == nil && b.isAggregate(f) {
			found = true
		}
		return !found
	})
	return found
}

func (b *builder) isAggregate(f *ir.Func) bool {
	if f.Star || f.Distinct || f.Filter != nil || f.WithinGroup {
		return true
	}
	switch f.Name {
	case "count", "sum", "avg":
		return true
	case "min", "max":
		return true
	case "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg":
		return b.pg()
	}
	for _, s := range funcs.Lookup(b.d, f.Name) {
		if s.Form == funcs.Aggregate {
			return true
		}
	}
	return false
}

// groupBy resolves GROUP BY; its printed expressions are kept to recognise them in the select list.
func (b *builder) groupBy(s *ir.Select, sc *level) string {
	saved := sc.clause
	sc.clause = inGroup
	var keys []string
	for _, e := range s.GroupBy {
		n := b.groupKey(e, s, sc)
		if n == nil {
			continue
		}
		n = b.settle(n)
		if n.value != nil || n.param != 0 {
			continue // a constant groups nothing; SQLite would read a number as a column's
		}
		if n.row != nil && n.sql == "" {
			for _, f := range n.row {
				sc.groups = append(sc.groups, f.text())
				keys = append(keys, b.keyed(f))
			}
			continue
		}
		sc.groups = append(sc.groups, n.text())
		keys = append(keys, b.keyed(n))
	}
	sc.clause = saved
	if len(keys) == 0 {
		return "NULL"
	}
	return strings.Join(keys, ", ")
}

func (b *builder) groupKey(e ir.Expr, s *ir.Select, sc *level) *node {
	switch e := e.(type) {
	case *ir.Literal:
		if e.Value.Class == types.Int && e.Type.IsInteger() {
			outs := 0
			for _, it := range s.Items {
				if _, star := it.Expr.(*ir.Star); star {
					outs = 1 << 20
				}
				outs++
			}
			i := b.ordinal(e, outs, "GROUP BY")
			return b.groupItem(i, s, sc, e.Pos)
		}
	case *ir.ColumnRef:
		if e.Table == "" {
			// A column of FROM comes first, an alias of the select list second.
			if n := b.findColumn(e, &level{items: sc.items, clause: inGroup}); n != nil {
				return n
			}
			for _, it := range s.Items {
				if b.same(it.Alias, e.Name) && it.Alias != "" {
					return b.expr(it.Expr, sc)
				}
			}
		}
	}
	return b.expr(e, sc)
}

// groupItem resolves the i-th output column as a grouping key.
func (b *builder) groupItem(i int, s *ir.Select, sc *level, pos int) *node {
	at := 0
	for _, it := range s.Items {
		star, ok := it.Expr.(*ir.Star)
		if !ok {
			at++
			if at == i {
				if b.hasAggregate(it.Expr) {
					b.failAt(sqlerr.New("42803", "aggregate functions are not allowed in GROUP BY").
						My(1056, "Can't group on '%s'", it.Alias), posOf(it.Expr))
				}
				return b.expr(it.Expr, sc)
			}
			continue
		}
		outs := b.star(star, sc)
		if i <= at+len(outs) {
			return outs[i-at-1].node
		}
		at += len(outs)
	}
	b.failAt(sqlerr.New("42P10", "GROUP BY position %d is not in select list", i).
		My(1054, "Unknown column '%d' in 'group statement'", i), pos)
	return nil
}

// checkGrouped refuses columns that are neither grouped nor inside an aggregate, as PostgreSQL does. The other columns of
// a table whose primary key is grouped are allowed.
func (b *builder) checkGrouped(sc *level) {
	if !sc.grouped || !b.pg() {
		sc.ungrouped = nil
		return
	}
	for _, u := range sc.ungrouped {
		if b.dependent(u, sc) {
			continue
		}
		name := u.column.name
		if u.item.name != "" {
			name = u.item.name + "." + name
		}
		b.failAt(sqlerr.New("42803", "column \"%s\" must appear in the GROUP BY clause or be used in an aggregate function", name).
			My(1055, "Expression of SELECT list is not in GROUP BY clause and contains nonaggregated column '%s'", name), u.pos)
	}
	sc.ungrouped = nil
}

func (b *builder) dependent(u use, sc *level) bool {
	t := u.column.table
	if t == nil || u.column.source == nil {
		return false
	}
	prefix := strings.TrimSuffix(u.column.sql, quote(u.column.source.Name))
	grouped := func(name string) bool { return slices.Contains(sc.groups, prefix+quote(name)) }
	if b.isSystem(t) {
		return grouped("oid")
	}
	for _, k := range t.Constraints {
		if k.Kind != 'p' {
			continue
		}
		for _, num := range k.Columns {
			c := columnByNum(t, num)
			if c == nil || !grouped(c.Name) {
				return false
			}
		}
		return len(k.Columns) > 0
	}
	return false
}

// orderBy resolves the sort keys of a SELECT.
func (b *builder) orderBy(order []ir.Order, s *ir.Select, c *core, r *relation, sc *level) {
	saved, first := sc.clause, sc.outputsFirst
	sc.clause, sc.outputsFirst = inOrder, b.my()
	for _, o := range order {
		k := b.orderKey(o.Expr, c.outputs, sc)
		k.desc, k.nulls = o.Desc, o.Nulls
		if s.Distinct && k.ordinal == 0 && b.pg() && k.node.value == nil {
			b.failAt(sqlerr.New("42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list"), posOf(o.Expr))
		}
		row := k.node
		if k.ordinal > 0 {
			row = c.outputs[k.ordinal-1].node
		}
		if row.row != nil && row.sql == "" {
			for _, f := range row.row { // rows are in the order of their fields
				r.order = append(r.order, sortKey{node: b.settle(f), desc: k.desc, nulls: k.nulls})
			}
			continue
		}
		r.order = append(r.order, k)
	}
	sc.clause, sc.outputsFirst = saved, first
}

// orderKey resolves one sort key: the number or name of a result column, or an expression.
func (b *builder) orderKey(e ir.Expr, outs []output, sc *level) sortKey {
	switch x := e.(type) {
	case *ir.Literal:
		if x.Value.Class == types.Int && x.Type.IsInteger() {
			return sortKey{ordinal: b.ordinal(x, len(outs), "ORDER BY")}
		}
		if b.pg() {
			b.failAt(sqlerr.New("42601", "non-integer constant in ORDER BY"), x.Pos)
		}
	case *ir.ColumnRef:
		if x.Table != "" {
			break
		}
		found := 0
		for i, o := range outs {
			if !b.same(o.name, x.Name) {
				continue
			}
			if found > 0 && outs[found-1].node.text() != o.node.text() {
				b.failAt(sqlerr.New("42702", "ORDER BY \"%s\" is ambiguous", x.Name).
					My(1052, "Column '%s' in order clause is ambiguous", x.Name), x.Pos)
			}
			if found == 0 {
				found = i + 1
			}
		}
		if found > 0 {
			return sortKey{ordinal: found}
		}
	}
	n := b.settle(b.single(b.expr(e, sc)))
	if n.value == nil {
		sql := n.text()
		for i, o := range outs {
			if o.node.value == nil && !o.node.open && o.node.text() == sql {
				return sortKey{ordinal: i + 1}
			}
		}
	}
	return sortKey{node: n}
}

// with resolves a WITH clause and prints it.
func (b *builder) with(w *ir.With, sc *level) string {
	var s strings.Builder
	word := "WITH "
	if w.Recursive {
		word = "WITH RECURSIVE "
	}
	for i := range w.CTEs {
		def := &w.CTEs[i]
		for _, c := range sc.ctes {
			if b.same(c.name, def.Name) {
				b.fail(sqlerr.New("42712", "WITH query name \"%s\" specified more than once", def.Name).
					My(1066, "Not unique table/alias: '%s'", def.Name))
			}
		}
		c := &cte{name: def.Name, sql: b.cteName(def.Name)}
		q, ok := def.Stmt.(*ir.Query)
		if !ok {
			b.unsupported("a data-modifying statement in WITH whose result is more than shown")
		}
		sql := ""
		if set, is := q.Body.(*ir.SetOp); w.Recursive && is && refers(q, def.Name) {
			sql = b.recursive(q, set, def, c, sc)
		} else {
			rel := b.query(q, sc)
			rel.settle(b)
			names := rel.uniqueNames()
			b.nameCTE(def, names, rel)
			c.columns = rel.itemColumns(quote(c.sql), names)
			for k := range def.Columns {
				c.columns[k].name = def.Columns[k]
			}
			sc.ctes = append(sc.ctes, c)
			sql = rel.print(b, names)
		}
		s.WriteString(word + quote(c.sql))
		word = ", "
		s.WriteString(" AS ")
		switch def.Materialized {
		case 1:
			s.WriteString("MATERIALIZED ")
		case -1:
			s.WriteString("NOT MATERIALIZED ")
		}
		s.WriteString("(" + sql + ")")
	}
	s.WriteByte(' ')
	return s.String()
}

// cteName is the name of a CTE in the printed statement: one that no table has, since SQLite would take the CTE for it.
func (b *builder) cteName(name string) string {
	if b.env.Schema != nil {
		for key := range b.env.Schema.Tables {
			if strings.EqualFold(key.Name, name) {
				b.alias(name)
				break
			}
		}
	}
	return b.alias(name)
}

// nameCTE checks the column list of a CTE.
func (b *builder) nameCTE(def *ir.CTE, names []string, rel *relation) {
	if len(def.Columns) > len(names) || b.my() && len(def.Columns) > 0 && len(def.Columns) != len(names) {
		b.fail(sqlerr.New("42P10", "WITH query \"%s\" has %d columns available but %d columns specified", def.Name, len(names), len(def.Columns)).
			My(1353, "In definition of view, derived table or common table expression, SELECT list and column names list have different column counts"))
	}
}

// recursive resolves WITH RECURSIVE: the types of the columns are those of the part that doesn't refer to itself.
func (b *builder) recursive(q *ir.Query, set *ir.SetOp, def *ir.CTE, c *cte, sc *level) string {
	if set.Op != "UNION" {
		b.fail(sqlerr.New("42P19", "recursive query \"%s\" does not have the form non-recursive-term UNION [ALL] recursive-term", def.Name).
			My(3573, "Recursive Common Table Expression '%s' should contain a UNION", def.Name))
	}
	if refers(set.Left, def.Name) {
		b.fail(sqlerr.New("42P19", "recursive reference to query \"%s\" must not appear within its non-recursive term", def.Name).
			My(3574, "Recursive Common Table Expression '%s' should have one or more non-recursive query blocks followed by one or more recursive ones", def.Name))
	}
	inner := sc
	with := ""
	if q.With != nil {
		inner = &level{outer: sc}
		with = b.with(q.With, inner)
	}
	left := b.query(set.Left, inner)
	left.settle(b)
	names := left.uniqueNames()
	b.nameCTE(def, names, left)
	c.columns = left.itemColumns(quote(c.sql), names)
	for k := range c.columns {
		c.columns[k].notNull, c.columns[k].bare, c.columns[k].span = false, false, spanOf(c.columns[k].typ)
		c.columns[k].source, c.columns[k].table = nil, nil
		if k < len(def.Columns) {
			c.columns[k].name = def.Columns[k]
		}
	}
	sc.ctes = append(sc.ctes, c)
	right := b.query(set.Right, inner)
	if len(right.outputs()) != len(left.outputs()) {
		b.fail(sqlerr.New("42601", "each UNION query must have the same number of columns").
			My(1222, "The used SELECT statements have a different number of columns"))
	}
	for i, o := range left.outputs() {
		ro := right.outputs()[i].node
		want := o.node.typ
		if ro.open {
			right.coerce(b, i, want, implicit)
			continue
		}
		if ro.typ.Kind != want.Kind && b.pg() && !b.convertible(ro.typ, want, implicit) {
			b.fail(sqlerr.New("42804", "recursive query \"%s\" column %d has type %s in non-recursive term but type %s overall",
				def.Name, i+1, typeName(want), typeName(ro.typ)).
				WithHint("Cast the output of the non-recursive term to the correct type."))
		}
		right.coerce(b, i, want, assignment)
	}
	op := set.Op
	if set.All {
		op += " ALL"
	}
	whole := &relation{with: with, set: &setOp{op: op, left: left, right: right, outputs: left.outputs()}}
	b.orderOutputs(q.OrderBy, whole, inner)
	whole.limit = b.limitExpr(q.Limit, inner, "LIMIT")
	whole.offset = b.limitExpr(q.Offset, inner, "OFFSET")
	return whole.print(b, names)
}
